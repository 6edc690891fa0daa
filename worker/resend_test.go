package worker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/imqueue/emq/dlq"
	"github.com/imqueue/emq/tasks"
	"github.com/imqueue/emq/tasks/redisserver"
	"github.com/imqueue/emq/tasks/redisserver/redistest"
	"github.com/imqueue/emq/worker/easemob/simulator"
)

// mortal is a hook on the Redis client of a process that dies: after so many steps,
// each the sending of something to Redis or the arrival of its answer, nothing is
// sent any more and no answer arrives.
type mortal struct{ steps atomic.Int64 }

var errDied = errors.New("the process died")

func (m *mortal) step() error {
	if m.steps.Add(-1) < 0 {
		return errDied
	}
	return nil
}

func (m *mortal) DialHook(next redis.DialHook) redis.DialHook { return next }

func (m *mortal) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if err := m.step(); err != nil {
			cmd.SetErr(err)
			return err
		}
		err := next(ctx, cmd)
		if died := m.step(); died != nil {
			cmd.SetErr(died)
			return died
		}
		return err
	}
}

func (m *mortal) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		err := m.step()
		if err == nil {
			err = next(ctx, cmds)
			if died := m.step(); died != nil {
				err = died
			}
		}
		if errors.Is(err, errDied) {
			for _, cmd := range cmds {
				cmd.SetErr(err)
			}
		}
		return err
	}
}

// mortalStore is a store of a process that dies after so many steps.
func (w *world) mortalStore(steps int) *dlq.Store {
	w.t.Helper()
	rdb, err := tasks.OpenRedis(w.url)
	must(w.t, err)
	w.t.Cleanup(func() { _ = rdb.Close() })
	must(w.t, rdb.Ping(w.t.Context()).Err()) // the greeting is none of its steps
	m := &mortal{}
	m.steps.Store(int64(steps))
	rdb.AddHook(m)
	client, err := tasks.NewClient(tasks.ClientConfig{Redis: rdb})
	must(w.t, err)
	store, err := dlq.New(dlq.Config{Redis: rdb, Client: client})
	must(w.t, err)
	return store
}

// bury makes dead letters of messages, and lifts what made them fail.
func (w *world) bury(n int) []string {
	w.t.Helper()
	fault := simulator.Fault{Path: "/messages/users", Status: 403, Body: map[string]any{
		"error": "forbidden_op", "error_description": "message send requests are not open to this appKey",
	}}
	w.fault(fault)
	ids := make([]string, n)
	list := make([]tasks.Task, n)
	for i := range list {
		ids[i] = fmt.Sprintf("order-%d", i)
		list[i] = tasks.Task{ID: ids[i], Payload: text(fmt.Sprintf("u%d", i))}
	}
	receipts, err := w.client.EnqueueMany(w.t.Context(), list)
	must(w.t, err)
	for _, r := range receipts {
		must(w.t, r.Err)
	}
	w.eventually("all are dead", func() bool { return w.count(dlq.Filter{State: dlq.StateDead}) == n })
	w.idle()
	w.sim.ClearFaults()
	return ids
}

func (w *world) count(f dlq.Filter) int {
	w.t.Helper()
	n, err := w.store.Count(context.Background(), f)
	must(w.t, err)
	return n
}

// realWorld is a world on a Redis server of its own.
func realWorld(t *testing.T) *world {
	t.Helper()
	server := redistest.Start(t, redisserver.Options{})
	return newWorldOn(t, "redis://"+server.Addr(), redistest.Client(t, server), simulator.Config{})
}

// TestResendHappensOnce: while a worker delivers, the same dead letters are resent by
// operators one by one, by two operations at once, and by processes that die at every
// step of either. Easemob executes each message once.
func TestResendHappensOnce(t *testing.T) {
	t.Parallel()
	w := realWorld(t)
	const letters = 400
	stop := w.start(func(c *Config) { c.Name = "first" })
	ids := w.bury(letters)
	stop() // the first worker would work on the operations, too
	ctx, by := t.Context(), dlq.Actor{Name: "ada"}

	var ops []dlq.Operation
	for range 2 {
		frozen, err := w.store.Freeze(ctx, dlq.Bulk{Action: dlq.ActionResend, By: by}, nil)
		must(t, err)
		must(t, w.store.Start(ctx, frozen[0].App, frozen[0].ID, by))
		ops = append(ops, frozen[0])
	}
	var crowd sync.WaitGroup
	var presses, deaths atomic.Int64
	for operator := range 4 {
		crowd.Go(func() {
			for i := operator; i < letters; i += 1 + operator%2 {
				switch err := w.store.Resend(ctx, tasks.AppDefault, ids[i], by); {
				case err == nil:
					presses.Add(1)
				case !errors.Is(err, dlq.ErrResendInProgress) && !errors.Is(err, dlq.ErrState):
					t.Error(err)
				}
			}
		})
	}
	crowd.Go(func() { // dies at each step of a resend
		for i := range letters {
			err := w.mortalStore(i%12).Resend(ctx, tasks.AppDefault, ids[letters-1-i], by)
			if errors.Is(err, errDied) {
				deaths.Add(1)
			}
		}
	})
	for _, op := range ops {
		crowd.Go(func() { // dies at each step of an operation
			for step := range 40 {
				_, _, err := w.mortalStore(step).Work(ctx, op, 10, fmt.Sprint("dies at ", step))
				if errors.Is(err, errDied) {
					deaths.Add(1)
				}
			}
		})
	}
	w.start(func(c *Config) { c.Name = "second" })
	crowd.Wait()
	w.eventually("the operations end", func() bool {
		active, err := w.store.ActiveOperations(ctx, tasks.AppDefault)
		must(t, err)
		return len(active) == 0
	})
	// What died between mark and queue, the sweep finishes after its grace.
	w.eventually("all are resolved", func() bool { return w.count(dlq.Filter{State: dlq.StateResolved}) == letters })
	w.idle()
	if deaths.Load() < 40 {
		t.Errorf("only %d processes died", deaths.Load())
	}
	for id, n := range w.sim.EmqIDs() {
		if n != 1 {
			t.Errorf("%s was executed %d times", id, n)
		}
	}
	if n := len(w.sim.EmqIDs()); n != letters {
		t.Errorf("%d messages were executed, want %d", n, letters)
	}
	changed := 0
	for _, op := range ops {
		after, err := w.store.GetOperation(ctx, op.App, op.ID)
		must(t, err)
		if after.State != dlq.OpDone || after.Changed+after.Skipped != letters || after.Delivered != after.Changed {
			t.Errorf("account: %+v", after)
		}
		changed += after.Changed
	}
	for _, id := range ids {
		e, err := w.store.Get(ctx, tasks.AppDefault, id)
		must(t, err)
		if e.Generation != 1 {
			t.Errorf("%s is of generation %d", id, e.Generation)
		}
	}
	t.Logf("%d resent one by one, %d by the operations, the rest by processes that died; %d deaths", presses.Load(), changed, deaths.Load())
}

// TestOperationOutlivesItsWorkers: the worker that works on an operation is killed, and
// another goes on.
func TestOperationOutlivesItsWorkers(t *testing.T) {
	t.Parallel()
	w := realWorld(t)
	const letters = 60
	stop := w.start(func(c *Config) { c.Name = "first" })
	w.bury(letters)
	stop()
	ctx, by := t.Context(), dlq.Actor{Name: "ada", Note: "bad night"}
	frozen, err := w.store.Freeze(ctx, dlq.Bulk{Action: dlq.ActionResend, Rate: 20, By: by}, nil)
	must(t, err)
	op := frozen[0]
	must(t, w.store.Start(ctx, op.App, op.ID, by))
	after := func() dlq.Operation {
		o, err := w.store.GetOperation(context.Background(), op.App, op.ID)
		must(t, err)
		return o
	}
	child := w.child("") // a process of its own, which nothing kills but this test
	w.eventually("some are resent", func() bool { return after().Changed > 0 })
	must(t, child.Process.Signal(os.Kill))
	_ = child.Wait()
	at := after()
	if at.Changed >= letters {
		t.Fatalf("rate of 20/s: already %d resent", at.Changed)
	}
	must(t, w.store.SetRate(ctx, op.App, op.ID, 0, by))
	w.expireLeases()
	w.start(func(c *Config) { c.Name = "second" })
	w.eventually("it is done", func() bool { return after().State == dlq.OpDone })
	end := after()
	if end.Worked != letters || end.Changed != letters || end.Delivered != letters || end.Worker != "second" {
		t.Errorf("account: %+v", end)
	}
	if len(w.sim.EmqIDs()) != letters {
		t.Errorf("%d messages were executed, want %d", len(w.sim.EmqIDs()), letters)
	}
}
