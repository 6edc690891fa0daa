package dlq

import (
	"errors"
	"fmt"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/imqueue/emq/tasks"
	"github.com/imqueue/emq/tasks/redisserver/redistest"
)

// testTransitions tries every change in every state.
func testTransitions(t *testing.T, w *world) {
	resent := func(id string) tasks.Task {
		task := message(testApp, id)
		task.Generation = 1
		return task
	}
	prepare := map[State]func(id string){
		"absent": func(string) {},
		StateDead: func(id string) {
			w.die(id, forbidden)
		},
		StateResending: func(id string) {
			w.die(id, forbidden)
			w.ok(w.store.Resend(w.ctx, testApp, id, Actor{}))
		},
		StateResolved: func(id string) {
			w.die(id, forbidden)
			w.ok(w.store.Resend(w.ctx, testApp, id, Actor{}))
			w.ok(w.store.Resolve(w.ctx, resent(id), nil))
		},
		StateDiscarded: func(id string) {
			w.die(id, forbidden)
			w.ok(w.store.Discard(w.ctx, testApp, id, Actor{}))
		},
	}
	ops := map[string]func(id string) error{
		"put":     func(id string) error { return w.store.Put(w.ctx, w.death(message(testApp, id), banned)) },
		"put g1":  func(id string) error { return w.store.Put(w.ctx, w.death(resent(id), banned)) },
		"resolve": func(id string) error { return w.store.Resolve(w.ctx, resent(id), nil) },
		"resend":  func(id string) error { return w.store.Resend(w.ctx, testApp, id, Actor{}) },
		"discard": func(id string) error { return w.store.Discard(w.ctx, testApp, id, Actor{}) },
		"restore": func(id string) error { return w.store.Restore(w.ctx, testApp, id, Actor{}) },
	}
	type outcome struct {
		state State
		err   error
	}
	same := func(s State, err error) outcome { return outcome{s, err} }
	want := map[string]map[State]outcome{
		"put": {
			"absent": {StateDead, nil}, StateDead: same(StateDead, nil), StateResending: same(StateResending, nil),
			StateResolved: same(StateResolved, nil), StateDiscarded: same(StateDiscarded, nil),
		},
		"put g1": {
			"absent": {StateDead, nil}, StateDead: same(StateDead, nil), StateResending: {StateDead, nil},
			StateResolved: same(StateResolved, nil), StateDiscarded: same(StateDiscarded, nil),
		},
		"resolve": {
			"absent": {"", nil}, StateDead: same(StateDead, nil), StateResending: {StateResolved, nil},
			StateResolved: same(StateResolved, nil), StateDiscarded: same(StateDiscarded, nil),
		},
		"resend": {
			"absent": {"", ErrNotFound}, StateDead: {StateResending, nil}, StateResending: same(StateResending, ErrResendInProgress),
			StateResolved: same(StateResolved, ErrState), StateDiscarded: same(StateDiscarded, ErrState),
		},
		"discard": {
			"absent": {"", ErrNotFound}, StateDead: {StateDiscarded, nil}, StateResending: same(StateResending, ErrState),
			StateResolved: same(StateResolved, ErrState), StateDiscarded: same(StateDiscarded, ErrState),
		},
		"restore": {
			"absent": {"", ErrNotFound}, StateDead: same(StateDead, ErrState), StateResending: same(StateResending, ErrState),
			StateResolved: same(StateResolved, ErrState), StateDiscarded: {StateDead, nil},
		},
	}
	n := 0
	for op, do := range ops {
		for from, become := range prepare {
			n++
			id := fmt.Sprint("t", n)
			become(id)
			err := do(id)
			expected := want[op][from]
			if !errors.Is(err, expected.err) {
				t.Errorf("%s from %s: error %v, want %v", op, from, err, expected.err)
			}
			var refused *StateError
			if errors.Is(err, ErrState) && (!errors.As(err, &refused) || refused.ID != id || refused.State != from) {
				t.Errorf("%s from %s: %#v", op, from, refused)
			}
			e, err := w.store.Get(w.ctx, testApp, id)
			if e.State != expected.state || (expected.state == "") != errors.Is(err, ErrNotFound) {
				t.Errorf("%s from %s: state %q (%v), want %q", op, from, e.State, err, expected.state)
			}
		}
	}
	w.checkIndex()
}

func testResend(t *testing.T, w *world) {
	// A chosen ID, as a producer gives it.
	_, err := w.client.Enqueue(w.ctx, message(testApp, "").Payload, tasks.ID("order-1"), tasks.WithPriority(tasks.High))
	w.ok(err)
	queue := tasks.QueueName(testApp, tasks.EndpointMessagesUsers, tasks.High)
	info, err := w.inspect.GetTaskInfo(queue, "order-1")
	w.ok(err)
	task, err := tasks.Decode(info.Payload)
	w.ok(err)
	d := w.death(task, forbidden)
	d.Raw = info.Payload
	w.ok(w.store.Put(w.ctx, d))
	w.ok(w.inspect.DeleteTask(queue, "order-1"))

	w.clock.add(time.Hour)
	w.ok(w.store.Resend(w.ctx, testApp, "order-1", Actor{Name: "ann", Note: "fixed"}))
	info, err = w.inspect.GetTaskInfo(queue, "order-1~1")
	w.ok(err)
	resent, err := tasks.Decode(info.Payload)
	w.ok(err)
	if resent.ID != task.ID || resent.Generation != 1 || !resent.IDGiven() || !reflect.DeepEqual(resent.Payload, task.Payload) ||
		resent.Priority != tasks.High || resent.EnqueuedAt.Before(task.EnqueuedAt) {
		t.Errorf("resent %+v", resent)
	}
	e := w.get("order-1")
	if e.State != StateResending || e.Generation != 1 || e.Queue != queue || !e.ChangedAt.Equal(epoch.Add(time.Hour)) {
		t.Errorf("entry %+v", e)
	}
	if n := w.rdb.ZCard(w.ctx, unconfirmedKey(testApp)).Val(); n != 0 {
		t.Errorf("%d unconfirmed", n)
	}
	if err := w.store.Resend(w.ctx, testApp, "order-1", Actor{}); !errors.Is(err, ErrResendInProgress) {
		t.Errorf("again: %v", err)
	}
	if got := w.queued(); !reflect.DeepEqual(got, []string{"order-1~1"}) {
		t.Errorf("queued: %v", got)
	}
	w.checkIndex()
}

// testResendRefused: the task was fit when it was enqueued and is not any more.
func testResendRefused(t *testing.T, w *world) {
	w.die("a", forbidden)
	r, task, err := w.store.mark(w.ctx, testApp, "a", Actor{Name: "ann"})
	w.ok(err)
	task.MaxAge = -1
	var refused *tasks.FieldError
	if err := w.store.queue(w.ctx, r, task); !errors.As(err, &refused) {
		t.Errorf("got %v", err)
	}
	e := w.get("a")
	last := e.Events[len(e.Events)-1]
	if e.State != StateDead || e.Generation != 1 || last.Action != ActionDeadAgain || last.Note == "" || !e.LastFailedAt.Equal(epoch) {
		t.Errorf("entry %+v", e)
	}
	if n := w.rdb.ZCard(w.ctx, unconfirmedKey(testApp)).Val(); n != 0 || len(w.queued()) != 0 {
		t.Errorf("%d unconfirmed, queued %v", n, w.queued())
	}
	w.ok(w.store.Resend(w.ctx, testApp, "a", Actor{}))
	if got := w.queued(); !reflect.DeepEqual(got, []string{"a~2"}) {
		t.Errorf("queued: %v", got)
	}
	w.checkIndex()

	// An entry that holds another entry's task is not resent under its ID.
	w.ok(w.store.Put(w.ctx, Death{Task: tasks.Task{ID: "b", App: testApp}, Raw: e.Raw}))
	if err := w.store.Resend(w.ctx, testApp, "b", Actor{}); !errors.Is(err, errDamaged) || w.get("b").State != StateDead {
		t.Errorf("another's task: %v, state %s", err, w.get("b").State)
	}
}

func TestResendWithoutClient(t *testing.T) {
	t.Parallel()
	w := miniWorld(t)
	w.die("a", forbidden)
	reader, err := New(Config{Redis: w.rdb})
	w.ok(err)
	if err := reader.Resend(w.ctx, testApp, "a", Actor{}); !errors.Is(err, errNoClient) {
		t.Errorf("got %v", err)
	}
	if _, err := reader.Sweep(w.ctx, nil); err != nil {
		t.Errorf("sweep: %v", err)
	}
}

func testResendByMany(t *testing.T, w *world) {
	const operators = 32
	w.die("a", forbidden)
	errs := make([]error, operators)
	var wg sync.WaitGroup
	for i := range operators {
		_, store := w.open(w.rdb)
		wg.Go(func() { errs[i] = store.Resend(w.ctx, testApp, "a", Actor{Name: fmt.Sprint("op", i)}) })
	}
	wg.Wait()
	succeeded := 0
	for _, err := range errs {
		switch {
		case err == nil:
			succeeded++
		case !errors.Is(err, ErrResendInProgress):
			t.Errorf("got %v", err)
		}
	}
	if succeeded != 1 {
		t.Errorf("%d succeeded", succeeded)
	}
	if got := w.queued(); !reflect.DeepEqual(got, []string{"a~1"}) {
		t.Errorf("queued: %v", got)
	}
	w.checkIndex()
}

// testResendCrash ends a Resend at every step. Then either nothing happened, or
// a sweep leaves exactly one task in the queue; and a second sweep does nothing.
func testResendCrash(t *testing.T, w *world) {
	marked := 0
	for step := 0; ; step++ {
		id := fmt.Sprint("t", step)
		w.die(id, forbidden)
		crashed, err := w.crash(step, func(s *Store) error { return s.Resend(w.ctx, testApp, id, Actor{}) })
		state := w.get(id).State
		switch {
		case state == StateDead && err == nil:
			t.Fatalf("step %d: dead, and no error", step)
		case state == StateResending:
			marked++
		}
		// Too early: the one who marked it may still be at work.
		w.clock.add(resendGrace - time.Second)
		if report := w.sweep(); report != (SweepReport{}) {
			t.Errorf("step %d: swept too early: %+v", step, report)
		}
		w.clock.add(2 * time.Second)
		report := w.sweep()
		if report.Resent > 1 || report.Lost > 0 {
			t.Errorf("step %d: swept %+v", step, report)
		}
		if report := w.sweep(); report != (SweepReport{}) {
			t.Errorf("step %d: swept again: %+v", step, report)
		}
		want := []string(nil)
		if state == StateResending {
			want = []string{id + "~1"}
		}
		if got := w.queued(); !reflect.DeepEqual(got, want) {
			t.Fatalf("step %d: %s, queued %v", step, state, got)
		}
		w.checkIndex()
		if state == StateResending {
			task := w.take(id + "~1")
			if due, err := w.store.Admit(w.ctx, task); err != nil || !due {
				t.Errorf("step %d: admit %v, %v", step, due, err)
			}
			w.ok(w.store.Resolve(w.ctx, task, nil))
		}
		if !crashed {
			break
		}
	}
	if marked < 5 {
		t.Errorf("only %d crashes came after the mark", marked)
	}
}

func testVanished(t *testing.T, w *world) {
	w.die("a", forbidden)
	w.die("b", forbidden)
	w.die("c", forbidden)
	for _, id := range []string{"a", "b", "c"} {
		w.ok(w.store.Resend(w.ctx, testApp, id, Actor{}))
	}
	w.take("a~1") // lost with the memory of a failed-over Redis
	w.ok(w.store.Resolve(w.ctx, w.take("b~1"), nil))
	if report := w.sweep(); report != (SweepReport{}) {
		t.Errorf("too early: %+v", report)
	}
	w.clock.add(resendGrace + time.Second)
	if report := w.sweep(); report != (SweepReport{Lost: 1}) {
		t.Errorf("swept %+v", report)
	}
	if got := w.queued(); !reflect.DeepEqual(got, []string{"a~1", "c~1"}) {
		t.Errorf("queued %v", got)
	}
	if report := w.sweep(); report != (SweepReport{}) {
		t.Errorf("again: %+v", report)
	}
	w.checkIndex()
}

// testVanishedRace: the task was gone because it had just ended.
func testVanishedRace(t *testing.T, w *world) {
	w.die("a", forbidden)
	w.ok(w.store.Resend(w.ctx, testApp, "a", Actor{}))
	w.clock.add(resendGrace + time.Second)
	task := w.take("a~1")
	sweeper := w.interrupted("exists", func() { w.ok(w.store.Resolve(w.ctx, task, nil)) })
	report := SweepReport{}
	w.ok(sweeper.findVanished(w.ctx, testApp, &report))
	if got := w.queued(); len(got) != 0 || report != (SweepReport{}) {
		t.Errorf("queued %v, report %+v", got, report)
	}

	// A mark that is left of a resend that ended is only taken away.
	w.ok(w.rdb.ZAdd(w.ctx, unconfirmedKey(testApp), redis.Z{Score: 1, Member: "a~1"}, redis.Z{Score: 2, Member: "none~4"}).Err())
	if report := w.sweep(); report != (SweepReport{}) || len(w.queued()) != 0 {
		t.Errorf("queued %v, report %+v", w.queued(), report)
	}
	if n := w.rdb.Exists(w.ctx, unconfirmedKey(testApp)).Val(); n != 0 {
		t.Error("the marks are still there")
	}
}

// testVanishedTurns: one call looks at a batch, the next at the next one.
func testVanishedTurns(t *testing.T, w *world) {
	const total = sweepBatch + 50
	for i := range total {
		id := fmt.Sprintf("t%05d", i)
		w.die(id, forbidden)
		r, _, err := w.store.mark(w.ctx, testApp, id, Actor{})
		w.ok(err)
		w.store.confirm(w.ctx, r) // but its task is gone
	}
	w.clock.add(resendGrace + time.Second)
	for i, want := range []SweepReport{{Lost: sweepBatch}, {Lost: total - sweepBatch}, {}, {}} {
		if report := w.sweep(); report != want {
			t.Errorf("sweep %d: %+v, want %+v", i, report, want)
		}
	}
	if got := len(w.queued()); got != total {
		t.Errorf("queued %d of %d", got, total)
	}
}

func testPurge(t *testing.T, w *world) {
	const many = purgeBatch + 20
	for i := range many {
		id := fmt.Sprintf("t%05d", i)
		w.die(id, forbidden)
		w.ok(w.store.Discard(w.ctx, testApp, id, Actor{}))
	}
	w.die("resolved", banned)
	w.ok(w.store.Resend(w.ctx, testApp, "resolved", Actor{}))
	w.ok(w.store.Resolve(w.ctx, w.take("resolved~1"), nil))
	w.ok(w.rdb.Set(w.ctx, tasks.ClaimKey(testApp, "resolved"), "done", 0).Err())
	w.die("dead", overloaded)
	w.die("resending", overloaded)
	w.ok(w.store.Resend(w.ctx, testApp, "resending", Actor{}))
	w.die("later", forbidden)
	w.clock.add(time.Hour)
	w.ok(w.store.Discard(w.ctx, testApp, "later", Actor{}))
	w.die("restored", overloaded)
	w.ok(w.store.Discard(w.ctx, testApp, "restored", Actor{}))

	w.clock.add(KeepDefault - time.Hour - time.Second)
	if report := w.sweep(); report != (SweepReport{}) {
		t.Errorf("too early: %+v", report)
	}
	w.ok(w.store.Restore(w.ctx, testApp, "restored", Actor{}))
	w.clock.add(time.Second)
	if report := w.sweep(); report != (SweepReport{Purged: many + 1}) {
		t.Errorf("purged %+v", report)
	}
	w.checkIndex()
	if n := w.rdb.Exists(w.ctx, tasks.EntryKey(testApp, "resolved"), tasks.ClaimKey(testApp, "resolved")).Val(); n != 0 {
		t.Errorf("%d keys of a purged entry are left", n)
	}
	for _, id := range []string{"dead", "resending", "later", "restored"} {
		w.get(id)
	}
	causes, err := w.store.Causes(w.ctx, Filter{})
	w.ok(err)
	ids := w.rdb.SMembers(w.ctx, causesKey(testApp)).Val()
	if len(causes) != 2 || len(ids) != 2 {
		t.Errorf("causes %+v, listed %v", causes, ids)
	}

	w.clock.add(100 * 24 * time.Hour)
	w.sweep()
	for _, id := range []string{"dead", "restored"} {
		if e := w.get(id); e.State != StateDead {
			t.Errorf("%s is %s", id, e.State)
		}
	}
	w.get("resending")
	if _, err := w.store.Get(w.ctx, testApp, "later"); !errors.Is(err, ErrNotFound) {
		t.Errorf("later: %v", err)
	}
	w.checkIndex()
}

// TestSweepGoesOn: one broken queue does not keep the rest from being swept.
func TestSweepGoesOn(t *testing.T) {
	t.Parallel()
	_, rdb := redistest.Mini(t)
	w := newWorld(t, rdb)
	w.ok(rdb.Set(w.ctx, queueKey(messageQueue, "archived"), "not a sorted set", 0).Err())
	w.die("a", forbidden)
	w.ok(w.store.Discard(w.ctx, testApp, "a", Actor{}))
	w.clock.add(KeepDefault)
	report, err := w.store.Sweep(w.ctx, []string{"Not An App", testApp})
	if err == nil || report != (SweepReport{Purged: 1}) {
		t.Errorf("got %+v, %v", report, err)
	}
	apps, err := w.store.Apps(w.ctx)
	if err != nil || !reflect.DeepEqual(apps, []string{testApp}) {
		t.Errorf("apps %v, %v", apps, err)
	}
}
