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

//go:embed lua/front.lua
var frontSource string

var frontScript = redis.NewScript(frontSource)

// front puts a task that could not be called, through no fault of its own, back
// to the head of its queue. asynq can only put it behind all that waits, which
// turns the order of a backlog round, call by call.
type front struct{ redis.UniversalClient }

// EvalSha answers asynq's script that moves a task from its active list (KEYS[2])
// and lease (KEYS[3]) to the tasks to be retried (KEYS[4]). Its arguments are the
// task's ID, the task, the time in seconds.
func (f front) EvalSha(ctx context.Context, hash string, keys []string, args ...any) *redis.Cmd {
	if len(keys) == 8 && len(args) >= 3 {
		queue, part := splitQueueKey(keys[3])
		if at, ok := args[2].(int64); part == keyRetry && ok && time.Until(time.Unix(at, 0)) < frontDelay/2 {
			keys = append(keys[:3:3], queueKey(queue, keyPending))
			return frontScript.Run(ctx, f.UniversalClient, keys, args[0], args[1], time.Now().UnixNano())
		}
	}
	return f.UniversalClient.EvalSha(ctx, hash, keys, args...)
}
