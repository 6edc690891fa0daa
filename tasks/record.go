package tasks

import (
	"context"
	"errors"
	"sync"

	"github.com/redis/go-redis/v9"
)

// queuesKey is asynq's register of queues (a set).
const queuesKey = "asynq:queues"

// TaskKey is asynq's key (a hash) of a task in a queue. id is the QueueID.
func TaskKey(queue, id string) string { return "asynq:{" + queue + "}:t:" + id }

// recorder is a Redis client that writes down the one script call by which
// asynq's client queues a task, instead of sending it. asynq then keeps its
// format to itself, while emq sends hundreds of such calls in one pipeline.
// Everything it relies on is pinned by TestRecorder.
type recorder struct {
	redis.UniversalClient
	sources sync.Map // script hash -> source
}

// recorded is a script call that was written down.
type recorded struct {
	hash, source string
	keys         []string
	args         []any
}

type recordKey struct{}

// noScript makes go-redis' Script.Run fall back to Eval, which shows the source.
type noScript struct{}

func (noScript) Error() string { return "NOSCRIPT source not seen yet" }
func (noScript) RedisError()   {}

// capture runs enqueue and returns the script call that it would have made.
func (r *recorder) capture(ctx context.Context, enqueue func(context.Context) error) (recorded, error) {
	var rec recorded
	if err := enqueue(context.WithValue(ctx, recordKey{}, &rec)); err != nil {
		return recorded{}, err
	}
	if rec.source == "" {
		return recorded{}, errors.New("asynq queued a task in a way that emq does not know")
	}
	return rec, nil
}

// SAdd would register the queue; the client does that itself.
func (r *recorder) SAdd(ctx context.Context, _ string, _ ...any) *redis.IntCmd {
	return redis.NewIntCmd(ctx)
}

// EvalSha writes the call down if the script's source is known.
func (r *recorder) EvalSha(ctx context.Context, hash string, keys []string, args ...any) *redis.Cmd {
	cmd := redis.NewCmd(ctx)
	source, known := r.sources.Load(hash)
	if !known {
		cmd.SetErr(noScript{})
		return cmd
	}
	if rec, ok := ctx.Value(recordKey{}).(*recorded); ok {
		*rec = recorded{hash: hash, source: source.(string), keys: keys, args: args}
	}
	cmd.SetVal(int64(1))
	return cmd
}

// Eval learns the script's source and writes the call down.
func (r *recorder) Eval(ctx context.Context, source string, keys []string, args ...any) *redis.Cmd {
	hash := redis.NewScript(source).Hash()
	r.sources.Store(hash, source)
	return r.EvalSha(ctx, hash, keys, args...)
}

// enqueueHash is that of the script by which asynq queues a task at once. Its keys are
// the task and the pending list, its arguments the task, its ID and the time.
const enqueueHash = "98d28b42650870a743450ffda9791e9e19c6991b"

// immediate says whether the call queues a task at once.
func (r recorded) immediate() bool {
	return r.hash == enqueueHash && len(r.keys) == 2 && len(r.args) == 3
}

func (r recorded) evalSHA(ctx context.Context, pipe redis.Pipeliner) *redis.Cmd {
	return pipe.EvalSha(ctx, r.hash, r.keys, r.args...)
}

func (r recorded) eval(ctx context.Context, pipe redis.Pipeliner) *redis.Cmd {
	return pipe.Eval(ctx, r.source, r.keys, r.args...)
}
