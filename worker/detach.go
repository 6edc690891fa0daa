package worker

import (
	"context"
	"errors"

	"github.com/redis/go-redis/v9"
)

// detach lets asynq repeat a failed acknowledgement. asynq 0.25 and 0.26 repeat
// it with a context that is cancelled already, so that a finished task whose
// acknowledgement met a short outage of Redis would be made again once its
// lease runs out. All of asynq's writes go through EvalSha and Eval.
//
// TestDetachIsStillNeeded fails when an asynq release makes this needless.
type detach struct{ redis.UniversalClient }

func (d detach) EvalSha(ctx context.Context, hash string, keys []string, args ...any) *redis.Cmd {
	return d.UniversalClient.EvalSha(uncancelled(ctx), hash, keys, args...)
}

func (d detach) Eval(ctx context.Context, source string, keys []string, args ...any) *redis.Cmd {
	return d.UniversalClient.Eval(uncancelled(ctx), source, keys, args...)
}

// uncancelled keeps an expired deadline, which means that the lease is lost and
// nothing may be written any more, but drops a plain cancellation.
func uncancelled(ctx context.Context) context.Context {
	if errors.Is(ctx.Err(), context.Canceled) {
		return context.WithoutCancel(ctx)
	}
	return ctx
}
