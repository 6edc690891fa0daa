package worker

import (
	"context"
	_ "embed"
	"time"

	"github.com/redis/go-redis/v9"
)

// frontDelay is what asynq is told for a task that shall be the next of its
// queue again: a time so long past that no other wait can mean it.
const frontDelay = -24 * time.Hour

var (
	//go:embed lua/front.lua
	frontSource string
	//go:embed lua/later.lua
	laterSource string

	frontScript = redis.NewScript(frontSource)
	laterScript = redis.NewScript(laterSource)
)

// front sends tasks back in asynq's place. One that could not be called, through no
// fault of its own, goes to the head of its queue: asynq can only put it behind all
// that waits, which turns the order of a backlog round, call by call. The others are
// due by the millisecond, where asynq knows seconds. A task that is another worker's
// by now stays where it is.
type front struct {
	redis.UniversalClient
	board *board
}

// EvalSha runs a script by its hash.
func (f front) EvalSha(ctx context.Context, hash string, keys []string, args ...any) *redis.Cmd {
	if back, is := wayBackOf(keys, args); is {
		return f.send(ctx, back, keys, args)
	}
	return f.UniversalClient.EvalSha(ctx, hash, keys, args...)
}

// A wayBack is a task that asynq sends back to its queue.
type wayBack struct {
	flightKey
	aborted bool // its attempt goes on, but the worker stops
	due     time.Time
}

// wayBackOf reads the two of asynq's scripts that take a task from its active list and
// lease. One puts it to those to be retried: its keys are the task, the active list, the
// leases, those to be retried and four counters; its arguments the task's ID, the task,
// the time in seconds, until when the counters are kept, whether it failed, and one more.
// The other puts it back to the waiting ones: active list, leases, waiting, the task;
// the ID.
func wayBackOf(keys []string, args []any) (back wayBack, is bool) {
	if len(args) == 0 {
		return back, false
	}
	back.id, _ = args[0].(string)
	var part string
	switch {
	case len(keys) == 8 && len(args) == 6:
		back.queue, part = splitQueueKey(keys[3])
		at, ok := args[2].(int64)
		back.due = time.Unix(at, 0)
		return back, part == keyRetry && ok
	case len(keys) == 4 && len(args) == 1:
		back.queue, part = splitQueueKey(keys[2])
		back.aborted = true
		return back, part == keyPending
	}
	return back, false
}

// send sends a task back.
func (f front) send(ctx context.Context, back wayBack, keys []string, args []any) *redis.Cmd {
	owner, exact := f.board.hands.look(back.flightKey)
	var cmd *redis.Cmd
	switch now := time.Now(); {
	case back.aborted:
		cmd = frontScript.Run(ctx, f.UniversalClient, []string{keys[3], keys[0], keys[1], keys[2]}, back.id, owner, "", now.UnixNano())
	case back.due.Sub(now) < frontDelay/2:
		cmd = frontScript.Run(ctx, f.UniversalClient, []string{keys[0], keys[1], keys[2], queueKey(back.queue, keyPending)},
			back.id, owner, args[1], now.UnixNano())
	default:
		due := back.due
		if !exact.IsZero() {
			due = exact
		}
		f.board.sentBack(back.queue, due)
		cmd = laterScript.Run(ctx, f.UniversalClient, keys, back.id, owner, args[1], seconds(due), args[3], args[4])
	}
	if sent, err := cmd.Int(); err == nil {
		f.board.hands.settled(back.flightKey, owner)
		if sent == 0 {
			f.board.log.Info("a task was sent back already, or is another worker's by now", "task_id", back.id, "queue", back.queue)
		}
	}
	return cmd
}
