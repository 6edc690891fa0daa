package worker

import (
	"context"
	_ "embed"
	"sync"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/imqueue/emq/tasks"
)

const (
	// laneCount is how many asynq servers a worker runs. Each starts its tasks one
	// after the other, and none while its heartbeat waits for Redis.
	laneCount = 4
	// laneWait is how long a lane waits for a task before it lets asynq look around.
	// The lease of a task begins before the wait: it must be short against it.
	laneWait = time.Second
	// idlePause is asynq's wait after a fetch that found nothing. The lane has
	// waited already.
	idlePause = time.Millisecond
	// never is the interval of those of asynq's background loops whose work emq
	// does itself or has no use for.
	never = 24 * time.Hour
)

// lanes makes the asynq servers. They serve all families of all apps alike: which
// task comes next, and how many there may be, is the fetchers' to say.
func (w *Worker) lanes() []*asynq.Server {
	queues := map[string]int{}
	for _, app := range w.cfg.Apps {
		for _, name := range tasks.QueueNames(app.Alias) {
			queues[name] = 1
		}
	}
	first := tasks.QueueNames(w.cfg.Apps[0].Alias)[0]
	slots := w.cfg.Concurrency * len(tasks.Families()) * len(w.cfg.Apps)
	var lanes []*asynq.Server
	for i := range laneCount {
		l := &lane{UniversalClient: w.servers, hands: w.board.hands, endings: w.endings, first: first}
		served := map[string]int{first: 1}
		if i == 0 { // whom the worker serves is to be seen in Redis
			served = queues
			served[first] = 2 // of strict priorities the highest: asked before all others
		}
		lanes = append(lanes, asynq.NewServerFromRedisClient(detach{front{l, w.board}}, asynq.Config{
			Concurrency:              (slots + laneCount - 1) / laneCount,
			Queues:                   served,
			StrictPriority:           true,
			TaskCheckInterval:        idlePause,
			DelayedTaskCheckInterval: never,
			JanitorInterval:          never,
			ShutdownTimeout:          w.cfg.DrainTimeout + settleTime,
			IsFailure:                isFailure,
			RetryDelayFunc:           retryDelay,
			Logger:                   asynqLog{w.log},
			LogLevel:                 asynq.WarnLevel,
		}))
	}
	return lanes
}

// shutdown stops all lanes at once and waits for them.
func shutdown(lanes []*asynq.Server) {
	var wg sync.WaitGroup
	for _, lane := range lanes {
		wg.Go(lane.Shutdown)
	}
	wg.Wait()
}

// A lane is the Redis client of an asynq server. It answers asynq's fetch with a
// task of the fetchers', whichever queue asynq asked: what asynq does with a task
// afterwards goes by the queue that the task itself carries. It ends tasks together
// with those of other lanes, and prolongs leases only of tasks that are still this
// worker's. The scripts that asynq runs in the background, in every server, it answers
// itself: emq does their work, or has no use for it.
//
// What this takes for granted of asynq is pinned by TestLaneKnowsAsynq.
type lane struct {
	redis.UniversalClient
	hands   *hands
	endings *endings
	first   string // the queue that asynq asks first in each fetch
}

// EvalSha runs a script by its hash.
func (l *lane) EvalSha(ctx context.Context, hash string, keys []string, args ...any) *redis.Cmd {
	if cmd := l.answer(ctx, keys, args); cmd != nil {
		return cmd
	}
	return l.UniversalClient.EvalSha(ctx, hash, keys, args...)
}

// Eval runs a script by its source, when Redis does not know the hash.
func (l *lane) Eval(ctx context.Context, source string, keys []string, args ...any) *redis.Cmd {
	if cmd := l.answer(ctx, keys, args); cmd != nil {
		return cmd
	}
	return l.UniversalClient.Eval(ctx, source, keys, args...)
}

// answer answers those of asynq's scripts that emq does not leave to Redis.
func (l *lane) answer(ctx context.Context, keys []string, args []any) *redis.Cmd {
	if len(keys) == 0 {
		return nil
	}
	name, part := splitQueueKey(keys[0])
	if part == keyPending && len(keys) == 4 && len(args) == 2 {
		return l.fetch(ctx, name)
	}
	cmd := redis.NewCmd(ctx)
	if end, is := endingOf(name, part, keys, args); is {
		key := flightKey{end.queue, end.id}
		end.owner, _ = l.hands.look(key)
		if err := l.endings.end(ctx, end); err != nil {
			cmd.SetErr(err)
		} else {
			l.hands.settled(key, end.owner)
			cmd.SetVal("OK")
		}
		return cmd
	}
	if nothing, is := backgroundScript(part, len(keys)); is {
		cmd.SetVal(nothing)
		return cmd
	}
	return nil
}

// backgroundScript tells asynq's background scripts by their first key and the
// number of their keys, with the answer by which they say that they found
// nothing to do.
func backgroundScript(part string, keys int) (nothing any, is bool) {
	switch {
	case keys == 2 && (part == keyScheduled || part == keyRetry), keys == 1 && part == keyCompleted:
		return int64(0), true
	case keys == 1 && part == keyLease:
		return []any{}, true
	case keys == 1 && part == keyGroups:
		return "OK", true
	}
	return nil, false
}

// fetch waits a while for a task.
func (l *lane) fetch(ctx context.Context, asked string) *redis.Cmd {
	cmd := redis.NewCmd(ctx)
	cmd.SetErr(redis.Nil)
	if asked != l.first {
		return cmd
	}
	timer := time.NewTimer(laneWait)
	defer timer.Stop()
	select {
	case one := <-l.hands.tasks:
		cmd.SetErr(nil)
		cmd.SetVal(one.task)
	case <-l.hands.over:
	case <-timer.C:
	}
	return cmd
}

//go:embed lua/extend.lua
var extendSource string

var extendScript = redis.NewScript(extendSource)

// ZAddXX prolongs leases: nothing else of asynq's uses it. A task that another worker
// has by now is passed over.
func (l *lane) ZAddXX(ctx context.Context, key string, members ...redis.Z) *redis.IntCmd {
	queue, part := splitQueueKey(key)
	if part != keyLease {
		return l.UniversalClient.ZAddXX(ctx, key, members...)
	}
	args := []any{tasks.TaskKey(queue, ""), int(taskLease.Seconds())}
	for _, one := range members {
		id, _ := one.Member.(string)
		owner, _ := l.hands.look(flightKey{queue, id})
		args = append(args, id, owner)
	}
	cmd := redis.NewIntCmd(ctx)
	n, err := extendScript.Run(ctx, l.UniversalClient, []string{key}, args...).Int64()
	cmd.SetVal(n)
	cmd.SetErr(err)
	return cmd
}
