package worker

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/imqueue/emq/dlq"
	"github.com/imqueue/emq/errclass"
	"github.com/imqueue/emq/tasks"
	"github.com/imqueue/emq/worker/easemob/simulator"
)

func hello(n int) tasks.Message {
	return tasks.Message{Target: tasks.Users, To: names("u", n), Body: tasks.Text{Msg: "hello"}}
}

// saving is a hook on the script that saves the state of a batch.
type saving func(ctx context.Context, cmd redis.Cmder, next redis.ProcessHook) error

func (f saving) DialHook(next redis.DialHook) redis.DialHook { return next }

func (f saving) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if a := cmd.Args(); len(a) > 4 && a[4] == batchField {
			return f(ctx, cmd, next)
		}
		return next(ctx, cmd)
	}
}

func (f saving) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// Of a send in parts, one may be of unknown outcome and the rest come to another
// end: the dead letter is for a person, who may settle the one and resend the rest.
func TestUnknownPartOfAnExhaustedTask(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Config{})
	w.fault(simulator.Fault{Path: "/messages/users", Times: 1, Status: 413, BodyText: "too large"})
	w.fault(simulator.Fault{Path: "/messages/users", Times: 1, Cut: simulator.CutAfter})
	w.fault(simulator.Fault{Path: "/messages/users", Status: 409, Body: map[string]any{"error": "concurrent_operation_error", "error_description": "Concurrent operation"}})
	w.start()
	id := w.enqueue(hello(4), tasks.OnUnknownOutcome(tasks.Hold), tasks.MaxAttempts(2))
	entry := w.dead(id)
	if entry.Reason != dlq.ReasonUnknownOutcome || !slices.Equal(entry.Unknown, []string{"u0", "u1"}) || len(entryNames(t, entry)) != 4 {
		t.Fatalf("dead letter: reason %s, unknown %v, about %v", entry.Reason, entry.Unknown, entryNames(t, entry))
	}
	w.sim.ClearFaults()
	by := dlq.Actor{Name: "test"}
	left, err := w.store.Settle(t.Context(), tasks.AppDefault, id, by)
	if must(t, err); left != 2 {
		t.Errorf("%d targets left, want 2", left)
	}
	must(t, w.store.Resend(t.Context(), tasks.AppDefault, id, by))
	w.eventually("the rest", func() bool { return len(w.received(id)) == 4 })
	w.idle()
	for name, n := range w.received(id) {
		if n != 1 {
			t.Errorf("%s got it %d times", name, n)
		}
	}
}

// A worker that dies leaves just the part unknown that it may have called.
func TestCrashLeavesOnePartUnknown(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Config{})
	id := w.enqueue(hello(4), tasks.OnUnknownOutcome(tasks.Hold))
	must(t, w.rdb.HSet(t.Context(), tasks.TaskKey(messages, id), batchField, `{"rest":["u1","u2","u3"],"size":1,"split":"too-many-targets"}`).Err())
	w.crash(1)
	w.start()
	entry := w.dead(id)
	if got := entryNames(t, entry); entry.Reason != dlq.ReasonUnknownOutcome || !slices.Equal(got, []string{"u1"}) {
		t.Errorf("dead letter: reason %s, about %v; only u1 may have got it", entry.Reason, got)
	}
	if got := w.received(id); len(got) != 2 || got["u2"] != 1 || got["u3"] != 1 {
		t.Errorf("received %v, want u2 and u3 once", got)
	}
}

// What a call did can't be noted for longer than emq tries to: the task comes back
// as after a crash.
func TestStateThatCanNotBeSaved(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Config{})
	w.fault(simulator.Fault{Path: "/messages/users", Times: 1, Status: 413, BodyText: "too large"})
	worker, err := New(w.config())
	must(t, err)
	var saves atomic.Int64
	until := time.Now().Add(persistFor + time.Second)
	worker.redis.AddHook(saving(func(ctx context.Context, cmd redis.Cmder, next redis.ProcessHook) error {
		// Redis has the script by then: that the call begins is noted with it, too.
		if saves.Add(1) > 1 && time.Now().Before(until) {
			err := errors.New("LOADING")
			cmd.SetErr(err)
			return err
		}
		return next(ctx, cmd)
	}))
	id := w.enqueue(hello(4), tasks.OnUnknownOutcome(tasks.Hold))
	w.run(worker)
	entry := w.dead(id)
	if got := entryNames(t, entry); entry.Reason != dlq.ReasonUnknownOutcome || !slices.Equal(got, []string{"u0", "u1"}) {
		t.Errorf("dead letter: reason %s, about %v", entry.Reason, got)
	}
	if got := w.received(id); len(got) != 4 {
		t.Errorf("received %v, want all four", got)
	}
	for name, n := range w.received(id) {
		if n != 1 {
			t.Errorf("%s got it %d times", name, n)
		}
	}
}

// A worker dies when all targets are done or refused, and before the dead letter
// is written: no call is made about nobody.
func TestNoCallAboutNobody(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Config{})
	for _, name := range []string{"u1", "u2"} {
		w.user(name)
	}
	group := w.group("boss", "u1", "u2")
	w.fault(simulator.Fault{Path: "/chatgroups/**", Method: "DELETE", Times: 1, Status: 200, Body: map[string]any{"data": []any{
		map[string]any{"result": true, "user": "u1", "action": "remove_member"},
		map[string]any{"result": false, "user": "u2", "action": "remove_member", "reason": "exceed_limit"},
	}}})
	worker, err := New(w.config())
	must(t, err)
	var died atomic.Bool
	worker.redis.AddHook(saving(func(ctx context.Context, cmd redis.Cmder, next redis.ProcessHook) error {
		err := next(ctx, cmd)
		if err == nil && died.CompareAndSwap(false, true) {
			panic("stands for a death")
		}
		return err
	}))
	id := w.enqueue(tasks.GroupRemoveMembers{GroupID: group, Usernames: []string{"u1", "u2"}})
	w.run(worker)
	entry := w.dead(id)
	if got := entryNames(t, entry); !slices.Equal(got, []string{"u2"}) {
		t.Errorf("dead letter about %v", got)
	}
	if calls := w.sim.Counts().Calls; !died.Load() || len(calls["unknown"]) > 0 {
		t.Errorf("died %v, calls %v", died.Load(), calls)
	}
}

// A state that a newer emq wrote is kept for one that can read it.
func TestUnreadableBatchState(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Config{})
	id := w.enqueue(hello(4))
	must(t, w.rdb.HSet(t.Context(), tasks.TaskKey(messages, id), batchField, `{"rest":[{"name":"u1"}]}`).Err())
	w.start()
	if entry := w.dead(id); entry.Reason != dlq.ReasonUndecodable {
		t.Errorf("dead letter: %+v", entry)
	}
	if n := len(w.sim.Executed()); n > 0 {
		t.Errorf("%d calls", n)
	}
}

// A hold stops a task between two of its calls.
func TestHoldStopsATaskBetweenItsCalls(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Config{})
	w.fault(simulator.Fault{Path: "/messages/users", Times: 1, Status: 413, BodyText: "too large"})
	w.fault(simulator.Fault{Path: "/messages/users", Times: 1, Latency: 300 * time.Millisecond})
	worker, err := New(w.config())
	must(t, err)
	id := w.enqueue(hello(4))
	w.run(worker)
	w.eventually("the second call is under way", func() bool { return w.sim.Counts().Calls["POST /messages/users"][413] == 1 })
	hold := dlq.Hold{App: tasks.AppDefault, Rule: "test", Since: time.Now()}
	_, err = w.store.SetHold(t.Context(), hold)
	must(t, err)
	worker.holds.set(hold)
	w.eventually("the second call", func() bool { return len(w.received(id)) == 2 })
	time.Sleep(500 * time.Millisecond)
	if got := w.received(id); len(got) != 2 {
		t.Errorf("called under a hold: %v", got)
	}
}

// Both halves of a send are cut after they were carried out: all is unknown.
func TestAllPartsUnknown(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Config{})
	w.fault(simulator.Fault{Path: "/messages/users", Times: 1, Status: 413, BodyText: "too large"})
	w.fault(simulator.Fault{Path: "/messages/users", Times: 2, Cut: simulator.CutAfter})
	w.start()
	id := w.enqueue(hello(4), tasks.OnUnknownOutcome(tasks.Hold))
	if entry := w.dead(id); entry.Reason != dlq.ReasonUnknownOutcome || entry.Unknown != nil {
		t.Errorf("dead letter: reason %s, unknown %v", entry.Reason, entry.Unknown)
	}
	if left, err := w.store.Settle(t.Context(), tasks.AppDefault, id, dlq.Actor{Name: "test"}); left != 0 || err != nil {
		t.Errorf("%d targets left, %v", left, err)
	}
}

// A success without an ID for one receiver, and a refusal of the others.
func TestUnansweredBesideRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Config{})
	w.fault(simulator.Fault{Path: "/messages/users", Times: 1, Status: 413, BodyText: "too large"})
	w.fault(simulator.Fault{Path: "/messages/users", Times: 1, Status: 200, Body: map[string]any{"data": map[string]any{"u0": "", "u1": "123"}}})
	w.fault(simulator.Fault{Path: "/messages/users", Status: 403, Body: map[string]any{"error": "forbidden_op", "error_description": "sender is banned"}})
	w.start()
	id := w.enqueue(hello(4), tasks.OnUnknownOutcome(tasks.Hold))
	if entry := w.dead(id); !slices.Equal(entry.Unknown, []string{"u0"}) || len(entryNames(t, entry)) != 3 {
		t.Errorf("dead letter: unknown %v, about %v", entry.Unknown, entryNames(t, entry))
	}
}

// The part that brought the last worker down is unknown, too.
func TestCrashLoopOfAPart(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Config{})
	id := w.enqueue(hello(6), tasks.OnUnknownOutcome(tasks.Hold))
	died, err := json.Marshal(verdictWorkerDied())
	must(t, err)
	must(t, w.rdb.HSet(t.Context(), tasks.TaskKey(messages, id), batchField,
		`{"rest":["u2","u3","u4","u5"],"size":1,"split":"too-many-targets","crashes":2,"refused":[{"targets":["u0","u1"],"verdict":`+string(died)+`}]}`).Err())
	w.crash(crashLimit)
	w.start()
	if entry := w.dead(id); !slices.Equal(entry.Unknown, []string{"u0", "u1", "u2"}) {
		t.Errorf("dead letter: reason %s, unknown %v", entry.Reason, entry.Unknown)
	}
}

// What was called once and then expired was not "expired before the call".
func TestExpiryAfterACrash(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Config{})
	id := w.enqueue(hello(1), tasks.OnUnknownOutcome(tasks.Hold), tasks.ExpiresAt(time.Now().Add(1100*time.Millisecond)))
	w.crash(1)
	time.Sleep(1200 * time.Millisecond)
	w.start()
	if entry := w.dead(id); entry.Reason != dlq.ReasonUnknownOutcome {
		t.Errorf("dead letter: reason %s, rule %s", entry.Reason, entry.Rule)
	}
}

// The next call is about the head of what is saved as rest, whatever was put off.
func TestRestBeginsWithTheNextCall(t *testing.T) {
	t.Parallel()
	whole := hello(6)
	b := &batch{whole: whole, batchState: batchState{Rest: whole.Targets(), Size: 2, Split: "x"}}
	b.next = b.Rest
	later := errclass.Verdict{Class: errclass.ClassRetryable, Scope: errclass.ScopeJob, Rule: "target-unanswered", OutcomeUnknown: true}
	b.read(errclass.Verdict{Class: errclass.ClassRetryable, Failed: []errclass.Failure{{Target: "u0", Verdict: later}}}, false)
	if head := b.Rest[:2]; !slices.Equal(head, b.part()) {
		t.Errorf("the next call is about %v, a crash would take it for %v", b.part(), head)
	}
}
