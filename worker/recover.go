package worker

import (
	"context"
	_ "embed"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/imqueue/emq/tasks"
)

const (
	// recoverEvery is how often tasks are looked for whose worker is gone, and
	// recoverAfter how long their lease must have ended by then: a worker that stops
	// prolonging leases has lost its tasks after 30 to 34 s.
	recoverEvery = 2 * time.Second
	recoverAfter = 2 * time.Second
	recoverMost  = 500 // of a queue in one step
)

//go:embed lua/recover.lua
var recoverSource string

var recoverScript = redis.NewScript(recoverSource)

// recover puts the tasks of workers that are gone back into their queues, and mends
// what else a queue's keys may have lost. It is what asynq's own recovery is replaced
// by, which takes up to two minutes, and stops for all at a task that it can't read.
// Any number of workers may do it at a time.
func (b *board) recover(ctx context.Context) error {
	pipe := b.redis.Pipeline()
	working := b.anyOf(ctx, pipe, b.those(func(*queue) bool { return true }), keyActive, keyLease)
	if _, err := pipe.Exec(ctx); err != nil {
		return err
	}
	queues := working()
	calls := make([]scriptCall, len(queues))
	for i, q := range queues {
		calls[i] = scriptCall{
			keys: []string{queueKey(q.name, keyPending), queueKey(q.name, keyActive), queueKey(q.name, keyLease)},
			args: []any{tasks.TaskKey(q.name, ""), int(recoverAfter.Seconds()), recoverMost},
		}
	}
	var failed []error
	for i, cmd := range runAll(ctx, b.redis, recoverScript, calls) {
		answer, err := cmd.Slice()
		if err != nil {
			failed = append(failed, err)
			continue
		}
		q := queues[i]
		if gone, _ := answer[0].(int64); gone > 0 {
			b.vanished(q, gone)
		}
		if ids := answer[1:]; len(ids) > 0 {
			for _, id := range ids {
				b.log.Warn("task goes back to its queue: its worker is gone, or was stopped for too long", "task_id", id, "queue", q.name)
			}
			b.recovered(len(ids))
			b.mu.Lock()
			q.pending += len(ids)
			b.mu.Unlock()
			b.stir()
			b.fetchers[q.app].wake()
		}
	}
	return errors.Join(failed...)
}

// vanished reports tasks of which only the IDs were left.
func (b *board) vanished(q *queue, n int64) {
	b.log.Error("tasks have vanished from Redis: their IDs were in the queue without them", "queue", q.name, "tasks", n)
}

// owns says whether a task is still this worker's, and prolongs its lease if it is.
func (w *Worker) owns(ctx context.Context, a *attempt) (bool, error) {
	n, err := extendScript.Run(ctx, w.redis, []string{queueKey(a.queue, keyLease)},
		tasks.TaskKey(a.queue, ""), int(taskLease.Seconds()), a.task.QueueID(), a.owner).Int()
	return n > 0, err
}

// alone has a task called while no other one is that a worker may have died of. So a
// task that kills its workers is told from those that they had beside it: those have
// died once at most, it dies again. A call that may be made only once is noted as well,
// because only one that began can have been made when its worker died.
//
// The error is what asynq shall do with the task. leave is to be called at its end.
func (w *Worker) alone(ctx context.Context, a *attempt) (leave func(), _ error) {
	leave = func() {}
	if a.deaths == 0 && !onlyOnce(a.task) {
		return leave, nil
	}
	if a.deaths > 0 {
		select {
		case w.suspects <- struct{}{}:
			leave = func() { <-w.suspects }
		case <-ctx.Done():
			return nil, w.back(a, frontDelay, "cut short while another task was called alone")
		case <-w.draining.Done():
			return nil, w.back(a, frontDelay, "cut short while another task was called alone")
		}
	}
	if err := saveScript.Run(ctx, w.redis, []string{tasks.TaskKey(a.queue, a.task.QueueID())}, begunField, a.owner).Err(); err != nil {
		leave()
		return nil, w.back(a, backRedis, "can't note that the call begins: "+err.Error())
	}
	return leave, nil
}
