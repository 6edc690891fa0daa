package dlq

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/imqueue/emq/errclass"
	"github.com/imqueue/emq/tasks"
)

// freeze freezes the dead letters of the test app into an operation.
func (w *world) freeze(b Bulk) Operation {
	w.t.Helper()
	if b.By.Name == "" {
		b.By = Actor{Name: "ada", Note: "bad night"}
	}
	ops, err := w.store.Freeze(w.ctx, b, nil)
	w.ok(err)
	if len(ops) != 1 {
		w.t.Fatalf("%d operations", len(ops))
	}
	return ops[0]
}

// start freezes and starts an operation.
func (w *world) start(b Bulk) Operation {
	w.t.Helper()
	op := w.freeze(b)
	w.ok(w.store.Start(w.ctx, op.App, op.ID, b.By))
	return op
}

// workAll works on an operation until nothing is left.
func (w *world) workAll(op Operation, most int) Operation {
	w.t.Helper()
	for {
		after, n, err := w.store.Work(w.ctx, op, most, "w1")
		w.ok(err)
		if n == 0 {
			return after
		}
	}
}

// deliver ends the queued tasks: those that fail by a dead letter.
func (w *world) deliver(fails func(id string) bool) {
	w.t.Helper()
	for _, queueID := range w.queued() {
		for _, priority := range tasks.Priorities() {
			queue := tasks.QueueName(testApp, tasks.EndpointMessagesUsers, priority)
			info, err := w.inspect.GetTaskInfo(queue, queueID)
			if err != nil {
				continue
			}
			task, err := tasks.Decode(info.Payload)
			w.ok(err)
			if fails(task.ID) {
				w.ok(w.store.Put(w.ctx, Death{Task: task, Queue: queue, Verdict: forbidden, At: w.clock.now()}))
			} else {
				w.ok(w.store.Resolve(w.ctx, task, nil))
			}
			w.ok(w.inspect.DeleteTask(queue, queueID))
		}
	}
}

// account is what an operation says of its members, in short.
func account(op Operation) string {
	return fmt.Sprintf("%s: %d members, %d worked, %d changed, %d refused, %d skipped, %d delivered, %d dead again, %d at work",
		op.State, op.Members, op.Worked, op.Changed, op.Refused, op.Skipped, op.Delivered, op.DeadAgain, op.AtWork())
}

// testOperation: a bulk resend from its start to its account.
func testOperation(t *testing.T, w *world) {
	for i := range 25 {
		w.die(fmt.Sprintf("f%02d", i), forbidden)
		w.clock.add(time.Second)
	}
	w.die("other", banned)
	lost := w.death(message(testApp, "lost"), forbidden)
	lost.Reason = ReasonUnknownOutcome
	w.ok(w.store.Put(w.ctx, lost))

	op := w.freeze(Bulk{Action: ActionResend, Filter: Filter{Error: forbidden.Error}})
	if got, want := account(op), "frozen: 25 members, 0 worked, 0 changed, 0 refused, 0 skipped, 0 delivered, 0 dead again, 0 at work"; got != want {
		t.Errorf("frozen\ngot  %s\nwant %s", got, want)
	}
	if len(w.queued()) > 0 {
		t.Error("a frozen operation queued something")
	}
	w.die("later", forbidden) // no member

	by := Actor{Name: "ada", Note: "bad night"}
	w.ok(w.store.Start(w.ctx, op.App, op.ID, by))
	if err := w.store.Start(w.ctx, op.App, op.ID, by); !errors.Is(err, ErrState) {
		t.Errorf("started twice: %v", err)
	}
	active, err := w.store.ActiveOperations(w.ctx, testApp)
	w.ok(err)
	if len(active) != 1 || active[0].ID != op.ID || active[0].State != OpRunning {
		t.Errorf("active: %+v", active)
	}
	// Somebody else gets ahead of it with two, and edits a third.
	w.ok(w.store.Discard(w.ctx, testApp, "f03", Actor{}))
	w.ok(w.store.Resend(w.ctx, testApp, "f04", Actor{}))
	w.ok(w.store.Edit(w.ctx, testApp, "f05", []byte(`{"target":"users","to":["u9"],"from":"admin","type":"txt","body":{"msg":"x"}}`), Actor{}))

	after, n, err := w.store.Work(w.ctx, op, 10, "w1")
	w.ok(err)
	if got, want := account(after), "running: 25 members, 10 worked, 8 changed, 0 refused, 2 skipped, 0 delivered, 0 dead again, 8 at work"; n != 10 || got != want {
		t.Errorf("after a piece\ngot  %s\nwant %s", got, want)
	}
	low := w.queued()
	if want := []string{"f00~1", "f01~1", "f02~1", "f04~1", "f05~1", "f06~1", "f07~1", "f08~1", "f09~1"}; !slices.Equal(slices.Sorted(slices.Values(low)), want) {
		t.Errorf("queued %v, want %v", low, want)
	}
	if n := w.rdb.LLen(w.ctx, queueKey(tasks.QueueName(testApp, tasks.EndpointMessagesUsers, tasks.Low), "pending")).Val(); n != 8 {
		t.Errorf("%d at low priority", n)
	}
	after = w.workAll(op, 10)
	if got, want := account(after), "waiting: 25 members, 25 worked, 23 changed, 0 refused, 2 skipped, 0 delivered, 0 dead again, 23 at work"; got != want {
		t.Errorf("all worked on\ngot  %s\nwant %s", got, want)
	}
	w.clock.add(time.Second)
	w.deliver(func(id string) bool { return id == "f07" || id == "f08" })
	after = w.workAll(op, 10)
	if got, want := account(after), "done: 25 members, 25 worked, 23 changed, 0 refused, 2 skipped, 21 delivered, 2 dead again, 0 at work"; got != want {
		t.Errorf("at the end\ngot  %s\nwant %s", got, want)
	}
	e := w.get("f07")
	var events []string
	for _, event := range e.Events {
		events = append(events, strings.TrimSpace(event.Action+" "+event.By+" "+event.Note))
		if event.Action == ActionResend && event.Op != op.ID {
			t.Errorf("event %+v names no operation", event)
		}
	}
	if got, want := strings.Join(events, "; "), "dead; resend ada bad night; dead-again"; got != want {
		t.Errorf("events %q, want %q", got, want)
	}
	for id, want := range map[string]State{"lost": StateDead, "other": StateDead, "later": StateDead, "f03": StateDiscarded, "f00": StateResolved} {
		if got := w.get(id).State; got != want {
			t.Errorf("%s is %s, want %s", id, got, want)
		}
	}
	if active, err = w.store.ActiveOperations(w.ctx, testApp); err != nil || len(active) > 0 {
		t.Errorf("active at the end: %+v, %v", active, err)
	}
	w.checkIndex()
}

// testOperationKinds: discard and restore, everything of several apps, those of
// unknown outcome, priority and a bound.
func testOperationKinds(t *testing.T, w *world) {
	for i := range 6 {
		w.die(fmt.Sprint("f", i), forbidden)
		w.clock.add(time.Second)
	}
	lost := w.death(message(testApp, "lost"), forbidden)
	lost.Reason = ReasonUnknownOutcome
	w.ok(w.store.Put(w.ctx, lost))

	op := w.workAll(w.start(Bulk{Action: ActionDiscard, Filter: Filter{Class: forbidden.Class}, Max: 3}), 2)
	if op.State != OpDone || op.Changed != 3 || w.get("lost").State != StateDiscarded || w.get("f5").State != StateDiscarded || w.get("f3").State != StateDead {
		t.Errorf("discard the newest three: %s", account(op))
	}
	op = w.workAll(w.start(Bulk{Action: ActionRestore}), 100)
	if op.State != OpDone || op.Changed != 3 || op.Filter != "--all" || w.get("lost").State != StateDead {
		t.Errorf("restore all: %s %q", account(op), op.Filter)
	}
	op = w.workAll(w.start(Bulk{Action: ActionResend, Filter: Filter{Text: "LOST"}, IncludeUnknown: true, Priority: tasks.High}), 100)
	if op.State != OpWaiting || op.Changed != 1 || w.get("lost").State != StateResending {
		t.Errorf("resend what is of unknown outcome: %s", account(op))
	}
	if n := w.rdb.LLen(w.ctx, queueKey(tasks.QueueName(testApp, tasks.EndpointMessagesUsers, tasks.High), "pending")).Val(); n != 1 {
		t.Errorf("%d at high priority", n)
	}
	w.ok(w.store.Put(w.ctx, w.death(message("bar", "x"), forbidden)))
	ops, err := w.store.Freeze(w.ctx, Bulk{Action: ActionResend}, nil)
	w.ok(err)
	if len(ops) != 2 || ops[0].App != "bar" || ops[0].Members != 1 || ops[1].App != testApp || ops[1].Members != 6 {
		t.Errorf("of two apps: %+v", ops)
	}
	list, err := w.store.Operations(w.ctx)
	w.ok(err)
	if len(list) != 5 {
		t.Errorf("%d operations listed", len(list))
	}
}

// testOperationCancel: rate, cancel, and what is not allowed.
func testOperationCancel(t *testing.T, w *world) {
	for i := range 6 {
		w.die(fmt.Sprint("f", i), forbidden)
	}
	by := Actor{Name: "ada"}
	op := w.start(Bulk{Action: ActionResend, Rate: 5, By: by})
	w.ok(w.store.SetRate(w.ctx, op.App, op.ID, 0.5, by))
	after, _, err := w.store.Work(w.ctx, op, 2, "w1")
	w.ok(err)
	if after.Rate != 0.5 || after.Worker != "w1" {
		t.Errorf("operation %+v", after)
	}
	w.ok(w.store.Cancel(w.ctx, op.App, op.ID, Actor{Name: "bob", Note: "wrong"}))
	after = w.workAll(op, 2)
	if got, want := account(after), "cancelled: 6 members, 2 worked, 2 changed, 0 refused, 0 skipped, 0 delivered, 0 dead again, 2 at work"; got != want {
		t.Errorf("cancelled\ngot  %s\nwant %s", got, want)
	}
	w.deliver(func(string) bool { return false })
	if after, err = w.store.GetOperation(w.ctx, op.App, op.ID); err != nil || after.Delivered != 2 {
		t.Errorf("what it had resent: %s, %v", account(after), err)
	}
	for name, err := range map[string]error{
		"cancel again":     w.store.Cancel(w.ctx, op.App, op.ID, by),
		"start again":      w.store.Start(w.ctx, op.App, op.ID, by),
		"rate of an ended": w.store.SetRate(w.ctx, op.App, op.ID, 1, by),
	} {
		if !errors.Is(err, ErrState) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := w.store.Cancel(w.ctx, op.App, "nothing", by); !errors.Is(err, ErrNotFound) {
		t.Errorf("cancel of nothing: %v", err)
	}
	// Nobody starts it; nobody wants it.
	frozen := w.freeze(Bulk{Action: ActionDiscard})
	dropped := w.freeze(Bulk{Action: ActionDiscard})
	w.ok(w.store.Drop(w.ctx, dropped.App, dropped.ID))
	w.clock.add(opFrozenFor)
	if got := w.sweep().Operations; got != 1 {
		t.Errorf("swept %d operations, want 1", got)
	}
	if _, err := w.store.GetOperation(w.ctx, frozen.App, frozen.ID); !errors.Is(err, ErrNotFound) {
		t.Errorf("nobody started it: %v", err)
	}
	w.clock.add(KeepDefault)
	w.sweep()
	if list, err := w.store.Operations(w.ctx); err != nil || len(list) > 0 {
		t.Errorf("kept for ever: %+v, %v", list, err)
	}
}

// testOperationCrash: workers that die at any step of an operation, while others
// work on it too, change each member once and keep the account right.
func testOperationCrash(t *testing.T, w *world) {
	const members = 7
	for step := 0; ; step++ {
		w.ok(flush(w.ctx, w.rdb))
		w.client, w.store = w.open(w.rdb) // the old one remembers what is in the register
		for i := range members {
			w.die(fmt.Sprint("f", i), forbidden)
		}
		w.clock.add(time.Second)
		op := w.start(Bulk{Action: ActionResend})
		crashed, _ := w.crash(step, func(s *Store) error {
			_, _, err := s.Work(w.ctx, op, 5, "dies")
			return err
		})
		w.deliver(func(id string) bool { return id == "f1" })
		w.clock.add(time.Second)
		w.workAll(op, 3)
		w.deliver(func(id string) bool { return id == "f1" })
		w.clock.add(resendGrace)
		w.sweep()
		w.deliver(func(id string) bool { return id == "f1" })
		after := w.workAll(op, 3)
		if got, want := account(after), "done: 7 members, 7 worked, 7 changed, 0 refused, 0 skipped, 6 delivered, 1 dead again, 0 at work"; got != want {
			t.Errorf("crash at step %d\ngot  %s\nwant %s", step, got, want)
		}
		for i := range members {
			if e := w.get(fmt.Sprint("f", i)); e.Generation != 1 {
				t.Errorf("crash at step %d: %s is of generation %d", step, e.ID, e.Generation)
			}
		}
		w.checkIndex()
		if !crashed {
			if step < 10 {
				t.Errorf("an operation has only %d steps?", step)
			}
			return
		}
	}
}

// testOperationByMany: several workers at once, and operators who resend the same
// dead letters by hand.
func testOperationByMany(t *testing.T, w *world) {
	const members = 60
	for i := range members {
		w.die(fmt.Sprint("f", i), forbidden)
	}
	w.clock.add(time.Second)
	ops := []Operation{w.start(Bulk{Action: ActionResend}), w.start(Bulk{Action: ActionResend})}
	var crowd sync.WaitGroup
	var mu sync.Mutex
	byHand := 0
	for _, op := range ops {
		for i := range 3 {
			crowd.Go(func() {
				for {
					after, n, err := w.store.Work(w.ctx, op, 7, fmt.Sprint("w", i))
					if err != nil {
						t.Error(err)
					}
					if err != nil || n == 0 && after.State != OpRunning {
						return
					}
				}
			})
		}
	}
	for range 2 {
		crowd.Go(func() {
			for i := range members {
				switch err := w.store.Resend(w.ctx, testApp, fmt.Sprint("f", i), Actor{}); {
				case err == nil:
					mu.Lock()
					byHand++
					mu.Unlock()
				case !errors.Is(err, ErrResendInProgress):
					t.Error(err)
				}
			}
		})
	}
	crowd.Wait()
	if n := len(w.queued()); n != members {
		t.Errorf("%d tasks are queued, want %d", n, members)
	}
	w.deliver(func(string) bool { return false })
	resent := byHand
	for _, op := range ops {
		after := w.workAll(op, 10)
		resent += after.Changed
		if after.State != OpDone || after.Worked != members || after.Changed+after.Skipped != members || after.Delivered != after.Changed {
			t.Errorf("account: %s", account(after))
		}
	}
	if resent != members {
		t.Errorf("%d were resent, want %d (%d by hand)", resent, members, byHand)
	}
	w.checkIndex()
}

// TestFreezeThatFails leaves no operation, whose members nobody would want to pay for.
func TestFreezeThatFails(t *testing.T) {
	t.Parallel()
	w := miniWorld(t)
	for _, app := range []string{"first", "second"} {
		w.ok(w.store.Put(w.ctx, w.death(message(app, "a"), forbidden)))
	}
	ctx, cancel := context.WithCancel(w.ctx)
	ops, err := w.store.Freeze(ctx, Bulk{Action: ActionDiscard}, func(int) { cancel() })
	if !errors.Is(err, context.Canceled) || ops != nil {
		t.Errorf("frozen %v, %v", ops, err)
	}
	if ops, err := w.store.Operations(w.ctx); err != nil || len(ops) != 0 {
		t.Errorf("left %v, %v", ops, err)
	}
	if keys := w.rdb.Keys(w.ctx, "*:op*").Val(); len(keys) != 0 {
		t.Errorf("left %v", keys)
	}
}

// TestPreview: it counts what would be frozen, whether it has to read it or not.
func TestPreview(t *testing.T) {
	t.Parallel()
	w := miniWorld(t)
	for i := range 30 {
		for _, app := range []string{"first", "second"} {
			d := w.death(message(app, fmt.Sprintf("%s-%02d", app, i)), []errclass.Verdict{forbidden, banned, overloaded}[i%3])
			if i == 4 {
				d.Reason = ReasonUnknownOutcome
			}
			w.ok(w.store.Put(w.ctx, d))
			w.clock.add(time.Second)
		}
	}
	w.ok(w.store.Discard(w.ctx, "first", "first-00", Actor{Name: "ada"}))
	for _, b := range []Bulk{
		{Action: ActionResend},
		{Action: ActionResend, IncludeUnknown: true},
		{Action: ActionResend, Max: 7},
		{Action: ActionResend, Max: 1000},
		{Action: ActionDiscard, Filter: Filter{App: "second", Error: banned.Error}},
		{Action: ActionDiscard, Filter: Filter{Since: w.clock.now().Add(-20 * time.Second)}},
		{Action: ActionDiscard, Filter: Filter{Text: "-1"}},
		{Action: ActionDiscard, Filter: Filter{Text: "-1"}, Max: 12},
		{Action: ActionRestore},
		{Action: ActionRestore, Filter: Filter{App: "second"}},
	} {
		looked := 0
		p, err := w.store.Preview(w.ctx, b, func(n int) { looked += n })
		w.ok(err)
		ops, err := w.store.Freeze(w.ctx, b, nil)
		w.ok(err)
		members := 0
		for _, op := range ops {
			members += op.Members
			w.ok(w.store.Drop(w.ctx, op.App, op.ID))
		}
		unknown := 0
		if b.Action == ActionResend && !b.IncludeUnknown {
			unknown = 2
		}
		if p.Count != members || len(p.Sample) != min(members, sampleSize) || p.Unknown != unknown {
			t.Errorf("%+v: %d, a sample of %d, %d unknown; frozen are %d", b, p.Count, len(p.Sample), p.Unknown, members)
		}
		if b.Filter.Text == "" && looked > sampleSize {
			t.Errorf("%+v: looked at %d", b, looked)
		}
		if !slices.IsSortedFunc(p.Sample, func(a, b Entry) int { return b.LastFailedAt.Compare(a.LastFailedAt) }) {
			t.Errorf("%+v: the sample is %v", b, p.Sample)
		}
	}
}

func TestBulkRefuses(t *testing.T) {
	t.Parallel()
	w := miniWorld(t)
	for field, b := range map[string]Bulk{
		"action":   {Action: "edit"},
		"max":      {Action: ActionResend, Max: -1},
		"priority": {Action: ActionResend, Priority: "urgent"},
		"rate":     {Action: ActionResend, Rate: -1},
		"cause":    {Action: ActionResend, Filter: Filter{Cause: "x"}},
	} {
		_, err := w.store.Freeze(w.ctx, b, nil)
		if refused := (*tasks.FieldError)(nil); !errors.As(err, &refused) || refused.Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
}

func TestRate(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{"20/s": "20/s", "30/m": "30/m", "90/m": "1.5/s", "none": "none", "2/h": "2/h", "1000000/s": "1e+06/s"} {
		rate, err := ParseRate(text)
		if got := FormatRate(rate); err != nil || got != want {
			t.Errorf("%s: %s, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "20", "0/s", "-1/s", "20/d", "x/s", "NaN/s", "Inf/s", "0.5/h", "2000000/s"} {
		if rate, err := ParseRate(text); err == nil {
			t.Errorf("%q: %v", text, rate)
		}
	}
}

// testFreezeAnswerLost: the Redis client sends members again whose answer was lost.
func testFreezeAnswerLost(t *testing.T, w *world) {
	op, err := w.store.makeOperation(w.ctx, testApp, Bulk{Action: ActionDiscard})
	w.ok(err)
	again := op
	w.ok(w.store.addMembers(w.ctx, &op, []any{"a 1", "b 2"}))
	w.ok(w.store.addMembers(w.ctx, &again, []any{"a 1", "b 2"}))
	w.ok(w.store.addMembers(w.ctx, &op, []any{"c 3"}))
	read, err := w.store.GetOperation(w.ctx, testApp, op.ID)
	w.ok(err)
	if members := w.rdb.LRange(w.ctx, opMembersKey(testApp, op.ID), 0, -1).Val(); read.Members != 3 || again.Members != 2 || strings.Join(members, ",") != "a 1,b 2,c 3" {
		t.Errorf("%d members: %v", read.Members, members)
	}
}
