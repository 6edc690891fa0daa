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
	ctx, cancel := uncancelled(ctx)
	defer cancel()
	return d.UniversalClient.EvalSha(ctx, hash, keys, args...)
}

func (d detach) Eval(ctx context.Context, source string, keys []string, args ...any) *redis.Cmd {
	ctx, cancel := uncancelled(ctx)
	defer cancel()
	return d.UniversalClient.Eval(ctx, source, keys, args...)
}

// uncancelled drops a cancellation but keeps the deadline, which is the lease's:
// once that is lost, nothing may be written any more.
func uncancelled(ctx context.Context) (context.Context, context.CancelFunc) {
	if !errors.Is(ctx.Err(), context.Canceled) {
		return ctx, func() {}
	}
	living := context.WithoutCancel(ctx)
	if deadline, ok := ctx.Deadline(); ok {
		return context.WithDeadline(living, deadline)
	}
	return living, func() {}
}
