package dlq

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"

	"github.com/redis/go-redis/v9"
)

var errCrash = errors.New("connection lost")

// crasher lets a Redis client die: it counts the round trips, and from one of
// them on all fail. Each round trip is two steps: one before which the crash
// comes, so that it is not made, and one after which it comes, so that it is
// made and its answer lost.
type crasher struct {
	mu      sync.Mutex
	step    int // where to crash
	at      int
	crashed bool
}

// enter says whether the next round trip is made, and whether its answer
// arrives. The greeting of a connection is none of the store's steps.
func (c *crasher) enter(cmd redis.Cmder) (made, answered bool) {
	if name := cmd.Name(); name == "hello" || name == "client" || name == "select" {
		return true, true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	at := c.at
	c.at += 2
	made, answered = at+1 <= c.step, at+2 <= c.step
	c.crashed = c.crashed || !answered
	return made, answered
}

func (c *crasher) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

func (c *crasher) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		made, answered := c.enter(cmd)
		var err error
		if made {
			err = next(ctx, cmd)
		}
		if !answered {
			cmd.SetErr(errCrash)
			return errCrash
		}
		return err
	}
}

func (c *crasher) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		made, answered := c.enter(cmds[0])
		var err error
		if made {
			err = next(ctx, cmds)
		}
		if !answered {
			for _, cmd := range cmds {
				cmd.SetErr(errCrash)
			}
			return errCrash
		}
		return err
	}
}

// dial makes another client of the same Redis.
func (w *world) dial() redis.UniversalClient {
	if cluster, ok := w.rdb.(*redis.ClusterClient); ok {
		return redis.NewClusterClient(&redis.ClusterOptions{Addrs: cluster.Options().Addrs, ContextTimeoutEnabled: true})
	}
	same := w.rdb.(*redis.Client).Options()
	return redis.NewClient(&redis.Options{Addr: same.Addr, DB: same.DB, ContextTimeoutEnabled: true})
}

// crash runs do in a process that dies at a step. It says whether the process
// died before it was done, and what do returned.
func (w *world) crash(step int, do func(*Store) error) (crashed bool, err error) {
	w.t.Helper()
	rdb := w.dial()
	defer func() { _ = rdb.Close() }()
	_, store := w.open(rdb)
	c := &crasher{step: step}
	rdb.AddHook(c)
	err = do(store)
	return c.crashed, err
}

// interruption lets something happen between two round trips of a reader:
// before its first pipeline that begins with a command.
type interruption struct {
	before string
	once   sync.Once
	do     func()
}

func (i *interruption) DialHook(next redis.DialHook) redis.DialHook { return next }

func (i *interruption) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

func (i *interruption) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if cmds[0].Name() == i.before {
			i.once.Do(i.do)
		}
		return next(ctx, cmds)
	}
}

// interrupted is a store of a process that do gets ahead of.
func (w *world) interrupted(before string, do func()) *Store {
	w.t.Helper()
	rdb := w.dial()
	w.t.(testing.TB).Cleanup(func() { _ = rdb.Close() })
	rdb.AddHook(&interruption{before: before, do: do})
	_, store := w.open(rdb)
	return store
}
