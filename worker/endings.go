package worker

import (
	"context"
	_ "embed"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/imqueue/emq/tasks"
)

//go:embed lua/done.lua
var doneSource string

var doneScript = redis.NewScript(doneSource)

// An ending is a task that asynq takes out of Redis, because it is done or a dead
// letter.
type ending struct {
	queue, id string
	owner     string // by which the task is this worker's
	// today and ever are the keys of asynq's counters; today is kept until a time.
	today, ever string
	until       any
	result      chan error
}

// endingOf reads asynq's script that ends a task. Its keys are the queue's active
// list, its leases, the task, and two counters; its arguments the task's ID, until when the
// first counter is kept, and the highest count.
func endingOf(queue, part string, keys []string, args []any) (ending, bool) {
	if part != keyActive || len(keys) != 5 || len(args) != 3 {
		return ending{}, false
	}
	id, ok := strings.CutPrefix(keys[2], tasks.TaskKey(queue, ""))
	if !ok || args[0] != id {
		return ending{}, false
	}
	return ending{queue: queue, id: id, today: keys[3], ever: keys[4], until: args[1], result: make(chan error, 1)}, true
}

// endings takes tasks out of Redis, those that end at about the same time with one
// command.
type endings struct {
	redis redis.UniversalClient
	queue chan ending
}

const (
	endingsMost = 256 // of one step
	endTimeout  = 10 * time.Second
)

func newEndings(rdb redis.UniversalClient) *endings {
	return &endings{redis: rdb, queue: make(chan ending, endingsMost)}
}

// end takes a task out of Redis. It may have done so when it returns an error.
func (e *endings) end(ctx context.Context, one ending) error {
	select {
	case e.queue <- one:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-one.result:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// run ends tasks until stop is closed.
func (e *endings) run(stop <-chan struct{}) {
	var list []ending
	for {
		select {
		case <-stop:
			return
		case one := <-e.queue:
			list = append(list[:0], one)
		}
		// Others are about to end when one did.
		gather := time.NewTimer(gatherFor)
		for more := true; more && len(list) < endingsMost; {
			select {
			case one := <-e.queue:
				list = append(list, one)
			case <-gather.C:
				more = false
			}
		}
		gather.Stop()
		e.step(list)
	}
}

func (e *endings) step(list []ending) {
	type batch struct {
		ending
		ids     []any // each with its owner
		results []chan error
	}
	batches := map[[2]string]*batch{} // by queue and day
	for _, one := range list {
		key := [2]string{one.queue, one.today}
		b := batches[key]
		if b == nil {
			b = &batch{ending: one}
			batches[key] = b
		}
		b.ids = append(b.ids, one.id, one.owner)
		b.results = append(b.results, one.result)
	}
	var calls []scriptCall
	var order []*batch
	for _, b := range batches {
		order = append(order, b)
		calls = append(calls, scriptCall{
			keys: []string{queueKey(b.queue, keyActive), queueKey(b.queue, keyLease), b.today, b.ever},
			args: append([]any{tasks.TaskKey(b.queue, ""), b.until}, b.ids...),
		})
	}
	ctx, cancel := context.WithTimeout(context.Background(), endTimeout)
	defer cancel()
	for i, cmd := range runAll(ctx, e.redis, doneScript, calls) {
		for _, result := range order[i].results {
			result <- cmd.Err()
		}
	}
}
