package worker

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/imqueue/emq/tasks"
	"github.com/imqueue/emq/tasks/redisserver/redistest"
	"github.com/imqueue/emq/worker/easemob/simulator"
)

// brokenAck fails the first acknowledgement of a task, as a short outage would,
// and notes with which context later ones come.
type brokenAck struct {
	mu    sync.Mutex
	seen  int
	later chan error // ctx.Err() of each acknowledgement after the first
}

func (*brokenAck) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessHook is about asynq's own script.
func (b *brokenAck) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		args := cmd.Args()
		if len(args) > 3 && strings.HasPrefix(cmd.Name(), "eval") {
			if key, _ := args[3].(string); strings.HasSuffix(key, ":active") {
				if b.first() {
					err := errors.New("connection lost")
					cmd.SetErr(err)
					return err
				}
				select {
				case b.later <- ctx.Err():
				default:
				}
			}
		}
		return next(ctx, cmd)
	}
}

// ProcessPipelineHook is about emq's.
func (b *brokenAck) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		for _, cmd := range cmds {
			if _, ids := acknowledged(cmd); len(ids) > 0 && b.first() {
				err := errors.New("connection lost")
				cmd.SetErr(err)
				return err
			}
		}
		return next(ctx, cmds)
	}
}

func (b *brokenAck) first() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.seen++
	return b.seen == 1
}

func TestShortOutageDoesNotRepeatAFinishedTask(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Config{})
	worker, err := New(w.config())
	must(t, err)
	ack := &brokenAck{later: make(chan error, 8)}
	worker.servers.AddHook(ack)
	w.run(worker)
	id := w.enqueue(text("u1"))
	w.idle() // asynq repeats the acknowledgement after 5 s; without detach it never comes through
	if ack.seen < 2 {
		t.Error("no acknowledgement failed: the test shows nothing")
	}
	if n := w.executed(id); n != 1 {
		t.Errorf("executed %d times, want once", n)
	}
}

// TestDetachIsStillNeeded fails when an asynq release repeats a failed
// acknowledgement with a context that is not cancelled: then delete detach.
func TestDetachIsStillNeeded(t *testing.T) {
	t.Parallel()
	mini, rdb := redistest.Mini(t)
	plain := redis.NewClient(&redis.Options{Addr: mini.Addr()})
	t.Cleanup(func() { _ = plain.Close() })
	ack := &brokenAck{later: make(chan error, 8)}
	plain.AddHook(ack)
	server := asynq.NewServerFromRedisClient(plain, asynq.Config{
		Concurrency: 1, Queues: map[string]int{messages: 1}, LogLevel: asynq.FatalLevel, TaskCheckInterval: 10 * time.Millisecond,
	})
	must(t, server.Start(asynq.HandlerFunc(func(context.Context, *asynq.Task) error { return nil })))
	t.Cleanup(server.Shutdown)
	client, err := tasks.NewClient(tasks.ClientConfig{Redis: rdb})
	must(t, err)
	_, err = client.Enqueue(context.Background(), text("u1"))
	must(t, err)
	if err := <-ack.later; !errors.Is(err, context.Canceled) {
		t.Fatalf("asynq repeats a failed acknowledgement with a living context (%v): detach is needless now, delete it", err)
	}
}
