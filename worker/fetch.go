package worker

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/imqueue/emq/tasks"
)

const (
	// emptyFor is how long a queue that was seen empty is not asked again. It
	// adds as much to the latency of a task that comes to an idle queue.
	emptyFor = 10 * time.Millisecond
	// fetchErrorPause is the wait after a fetch that failed. asynq itself tries
	// again at once, thousands of times a second while Redis is full or away.
	fetchErrorPause = 100 * time.Millisecond
)

// fetches makes asynq's fetching cheap. For each task, asynq runs a script on
// each queue of a lane in turn, empty or not. Most queues are empty most of the
// time: they are asked all at once for their length, once for all lanes, and
// the script runs only where there is something to fetch.
type fetches struct {
	redis.UniversalClient
	mu    sync.Mutex
	empty map[string]time.Time // key of a queue's pending tasks -> known to be empty until
}

// pendingSuffix ends the first key of asynq's fetching script, and of no other
// script that a server runs with these four keys.
const pendingSuffix = ":pending"

// EvalSha answers a fetch from an empty queue without asking Redis for it.
func (f *fetches) EvalSha(ctx context.Context, hash string, keys []string, args ...any) *redis.Cmd {
	if len(keys) != 4 || !strings.HasSuffix(keys[0], pendingSuffix) {
		return f.UniversalClient.EvalSha(ctx, hash, keys, args...)
	}
	if f.isEmpty(ctx, keys[0]) {
		cmd := redis.NewCmd(ctx)
		cmd.SetErr(redis.Nil)
		return cmd
	}
	cmd := f.UniversalClient.EvalSha(ctx, hash, keys, args...)
	switch err := cmd.Err(); {
	case errors.Is(err, redis.Nil):
		f.note(map[string]bool{keys[0]: true})
	case err != nil && !redis.HasErrorPrefix(err, "NOSCRIPT"):
		time.Sleep(fetchErrorPause)
	}
	return cmd
}

// isEmpty says whether a queue is known to be empty. When that is not known any
// more, it asks for the lengths of all queues of the family at once.
func (f *fetches) isEmpty(ctx context.Context, key string) bool {
	f.mu.Lock()
	until, seen := f.empty[key]
	f.mu.Unlock()
	if !seen {
		return false // it had something the last time
	}
	if time.Now().Before(until) {
		return true
	}
	pipe := f.Pipeline()
	lengths := map[string]*redis.IntCmd{}
	for _, sibling := range siblings(key) {
		lengths[sibling] = pipe.LLen(ctx, sibling)
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return false // the script's own error goes to asynq
	}
	empty := map[string]bool{}
	for sibling, length := range lengths {
		empty[sibling] = length.Val() == 0
	}
	f.note(empty)
	return empty[key]
}

// note keeps which queues were seen empty just now.
func (f *fetches) note(empty map[string]bool) {
	until := time.Now().Add(emptyFor)
	f.mu.Lock()
	defer f.mu.Unlock()
	for key, is := range empty {
		if is {
			f.empty[key] = until
		} else {
			delete(f.empty, key)
		}
	}
}

// siblings are the keys of the pending tasks of all priorities of the key's
// app and family.
func siblings(key string) []string {
	name := strings.TrimSuffix(strings.TrimPrefix(key, "asynq:{"), "}"+pendingSuffix)
	app, family, _, ok := tasks.ParseQueueName(name)
	if !ok {
		return []string{key}
	}
	keys := make([]string, 0, 3)
	for _, priority := range tasks.Priorities() {
		keys = append(keys, "asynq:{"+tasks.QueueName(app, family, priority)+"}"+pendingSuffix)
	}
	return keys
}
