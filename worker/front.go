package worker

import (
	"context"
	_ "embed"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"
)

// frontDelay is what asynq is told for a task that shall be the next of its
// queue again: a time so long past that no other wait can mean it.
const frontDelay = -24 * time.Hour

//go:embed lua/front.lua
var frontSource string

var frontScript = redis.NewScript(frontSource)

// front changes when a task is called again that asynq sends back. One that could
// not be called, through no fault of its own, goes to the head of its queue: asynq
// can only put it behind all that waits, which turns the order of a backlog round,
// call by call. The others are due by the millisecond, where asynq knows seconds.
type front struct {
	redis.UniversalClient
	board *board
}

// EvalSha runs a script by its hash.
func (f front) EvalSha(ctx context.Context, hash string, keys []string, args ...any) *redis.Cmd {
	queue, due, is := f.sentBack(keys, args)
	switch {
	case !is:
	case time.Until(due) < frontDelay/2:
		keys = append(keys[:3:3], queueKey(queue, keyPending))
		return frontScript.Run(ctx, f.UniversalClient, keys, args[0], args[1], time.Now().UnixNano())
	default:
		args = f.exact(queue, due, args)
	}
	return f.UniversalClient.EvalSha(ctx, hash, keys, args...)
}

// Eval runs a script by its source, when Redis does not know the hash.
func (f front) Eval(ctx context.Context, source string, keys []string, args ...any) *redis.Cmd {
	if queue, due, is := f.sentBack(keys, args); is {
		args = f.exact(queue, due, args)
	}
	return f.UniversalClient.Eval(ctx, source, keys, args...)
}

// sentBack reads asynq's script that moves a task from its active list (KEYS[2])
// and lease (KEYS[3]) to the tasks to be retried (KEYS[4]). Its arguments are the
// task's ID, the task, the time in seconds, and three more.
func (f front) sentBack(keys []string, args []any) (queue string, due time.Time, is bool) {
	if len(keys) != 8 || len(args) != 6 {
		return "", time.Time{}, false
	}
	queue, part := splitQueueKey(keys[3])
	at, ok := args[2].(int64)
	return queue, time.Unix(at, 0), part == keyRetry && ok
}

// exact puts the time in the place of the second.
func (f front) exact(queue string, due time.Time, args []any) []any {
	id, _ := args[0].(string)
	if exact, known := f.board.hands.due(flightKey{queue, id}); known {
		due = exact
		args = slices.Clone(args)
		args[2] = seconds(due)
	}
	f.board.sentBack(queue, due)
	return args
}
