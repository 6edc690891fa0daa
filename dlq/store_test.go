package dlq

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/imqueue/emq/errclass"
	"github.com/imqueue/emq/tasks"
	"github.com/imqueue/emq/tasks/redisserver/redistest"
)

func TestNew(t *testing.T) {
	t.Parallel()
	_, rdb := redistest.Mini(t)
	for name, tc := range map[string]struct {
		cfg   Config
		field string
	}{
		"no Redis":      {Config{}, "Config.Redis"},
		"negative keep": {Config{Redis: rdb, Keep: -time.Second}, "Config.Keep"},
	} {
		var refused *tasks.FieldError
		if _, err := New(tc.cfg); !errors.As(err, &refused) || refused.Field != tc.field {
			t.Errorf("%s: got %v", name, err)
		}
	}
	s, err := New(Config{Redis: rdb})
	if err != nil || s.keep != KeepDefault {
		t.Errorf("defaults: keep %v, error %v", s.keep, err)
	}
}

func testPut(t *testing.T, w *world) {
	task := message(testApp, "a")
	raw, err := tasks.Encode(task)
	w.ok(err)
	d := w.death(task, forbidden)
	d.Raw = raw
	w.ok(w.store.Put(w.ctx, d))

	e := w.get("a")
	if !reflect.DeepEqual(e.Raw, raw) {
		t.Errorf("raw: got %s, want %s", e.Raw, raw)
	}
	want := Entry{
		ID: "a", App: testApp, Kind: tasks.KindMessageSend, Queue: messageQueue, State: StateDead, Reason: ReasonVerdict,
		Class: errclass.ClassPermanent, Scope: errclass.ScopeJob, Rule: "forbidden", Error: "forbidden_op", Status: 403,
		Description: forbidden.Description, Cause: e.Cause, Why: forbidden.Why, Advice: forbidden.Advice,
		EnqueuedAt: epoch, FirstFailedAt: epoch.Add(-2 * time.Second), LastFailedAt: epoch, ChangedAt: epoch,
		Attempts: d.Attempts, Events: []Event{{At: epoch, Action: ActionDead}},
		Payload: e.Payload, Raw: raw, subjects: []string{"u1"}, causeDescription: errclass.Normalise(forbidden.Description),
	}
	if !reflect.DeepEqual(e, want) {
		t.Errorf("got  %+v\nwant %+v", e, want)
	}
	var payload tasks.Message
	if err := json.Unmarshal(e.Payload, &payload); err != nil || !reflect.DeepEqual(payload, task.Payload) {
		t.Errorf("payload: %s (%v)", e.Payload, err)
	}
	if !strings.HasPrefix(e.Cause, "forbidden-") || len(e.Cause) != len("forbidden-")+8 {
		t.Errorf("cause: %q", e.Cause)
	}
	apps, err := w.store.Apps(w.ctx)
	if err != nil || !reflect.DeepEqual(apps, []string{testApp}) {
		t.Errorf("apps: %v, %v", apps, err)
	}
	w.checkIndex()
}

func testPutAgain(t *testing.T, w *world) {
	w.die("a", forbidden)
	before := w.get("a")
	w.clock.add(time.Minute)
	w.die("a", banned) // the same generation cannot end twice
	if after := w.get("a"); !reflect.DeepEqual(before, after) {
		t.Errorf("changed from %+v\nto %+v", before, after)
	}
	w.checkIndex()

	var refused *tasks.FieldError
	if err := w.store.Put(w.ctx, Death{Task: tasks.Task{App: testApp}}); !errors.As(err, &refused) {
		t.Errorf("without an ID: %v", err)
	}
	if err := w.store.Put(w.ctx, Death{Task: tasks.Task{ID: "a", App: "No App"}}); !errors.As(err, &refused) {
		t.Errorf("without an app: %v", err)
	}
}

func testPutGeneration(t *testing.T, w *world) {
	w.die("a", forbidden)
	w.ok(w.store.Resend(w.ctx, testApp, "a", Actor{Name: "ann", Note: "added u1"}))
	resent := w.take("a~1")
	w.clock.add(time.Minute)

	stale := resent
	stale.Generation = 2
	w.ok(w.store.Put(w.ctx, w.death(stale, banned)))
	if e := w.get("a"); e.State != StateResending {
		t.Fatalf("another generation's end made it %s", e.State)
	}
	d := w.death(resent, banned)
	d.Reason = ReasonExhausted
	w.ok(w.store.Put(w.ctx, d))
	w.ok(w.store.Put(w.ctx, d))

	e := w.get("a")
	if e.State != StateDead || e.Generation != 1 || e.Status != 401 || e.Reason != ReasonExhausted || !strings.HasPrefix(e.Cause, "exhausted-") {
		t.Errorf("got %+v", e)
	}
	if !e.FirstFailedAt.Equal(epoch.Add(-2*time.Second)) || !e.LastFailedAt.Equal(epoch.Add(time.Minute)) || !e.EnqueuedAt.Equal(epoch) {
		t.Errorf("times: first %v, last %v, enqueued %v", e.FirstFailedAt, e.LastFailedAt, e.EnqueuedAt)
	}
	var generations []int
	for _, a := range e.Attempts {
		generations = append(generations, a.Generation)
	}
	if !reflect.DeepEqual(generations, []int{0, 0, 1, 1}) {
		t.Errorf("attempts of generations %v", generations)
	}
	wantEvents := []Event{
		{At: epoch, Action: ActionDead},
		{At: epoch, Action: ActionResend, By: "ann", Note: "added u1"},
		{At: epoch.Add(time.Minute), Action: ActionDeadAgain, Note: "exhausted"},
	}
	if !reflect.DeepEqual(e.Events, wantEvents) {
		t.Errorf("events: %+v", e.Events)
	}
	w.checkIndex()

	// A resend whose entry is gone makes one, rather than vanish.
	orphan := message(testApp, "orphan")
	orphan.Generation = 3
	w.ok(w.store.Put(w.ctx, w.death(orphan, banned)))
	if e := w.get("orphan"); e.State != StateDead || e.Generation != 3 {
		t.Errorf("orphan: %+v", e)
	}
	w.checkIndex()
}

func testPutUndecodable(t *testing.T, w *world) {
	for id, raw := range map[string]string{
		"binary": "\x00\xff\n\nnot json",
		"json":   `{"v":99,"id":"json","app":"shop","new":{"password":"hunter2"}}`,
		"empty":  "",
	} {
		v := errclass.Verdict{Class: errclass.ClassNeedsHuman, Rule: "undecodable", Description: "bad \xff bytes"}
		w.ok(w.store.Put(w.ctx, Death{
			Task: tasks.Task{ID: id, App: testApp}, Raw: []byte(raw), Queue: messageQueue, Reason: ReasonUndecodable, Verdict: v,
		}))
		e := w.get(id)
		if string(e.Raw) != raw || e.Queue != messageQueue || e.Kind != "" || !strings.HasPrefix(e.Cause, "undecodable-") {
			t.Errorf("%s: got %+v, raw %q", id, e, e.Raw)
		}
		if !e.EnqueuedAt.IsZero() || !e.FirstFailedAt.Equal(epoch) || !e.LastFailedAt.Equal(epoch) {
			t.Errorf("%s: times %v %v %v", id, e.EnqueuedAt, e.FirstFailedAt, e.LastFailedAt)
		}
		if id == "json" {
			if string(e.Payload) != raw {
				t.Errorf("payload: %s", e.Payload)
			}
			if shown := e.Redacted(); bytes.Contains(shown.Payload, []byte("hunter2")) || shown.Raw != nil {
				t.Errorf("shown: %s", shown.Payload)
			}
		} else if e.Payload != nil {
			t.Errorf("%s: payload %q", id, e.Payload)
		}
		if _, err := json.Marshal(e); err != nil {
			t.Errorf("%s: %v", id, err)
		}
		err := w.store.Resend(w.ctx, testApp, id, Actor{})
		if err == nil || !strings.Contains(err.Error(), "can't read") || w.get(id).State != StateDead {
			t.Errorf("%s: resend: %v, state %s", id, err, w.get(id).State)
		}
	}
	w.checkIndex()
}

// testPutNarrowed: of a task that was done in part, the dead letter is what is
// left, in its first life and in each resend.
func testPutNarrowed(t *testing.T, w *world) {
	message := func(generation int, to ...string) tasks.Task {
		task := message(testApp, "a")
		task.Generation = generation
		payload := task.Payload.(tasks.Message)
		payload.To = to
		task.Payload = payload
		return task
	}
	check := func(when string, e Entry, to ...string) {
		t.Helper()
		var shown tasks.Message
		if err := json.Unmarshal(e.Payload, &shown); err != nil || !reflect.DeepEqual(shown.To, to) {
			t.Errorf("%s: payload %s (%v), want it to %v", when, e.Payload, err, to)
		}
		if raw, err := tasks.Decode(e.Raw); err != nil || !reflect.DeepEqual(raw.Payload.(tasks.Message).To, to) || raw.Generation != 0 {
			t.Errorf("%s: raw %s (%v), want it to %v", when, e.Raw, err, to)
		}
		if !e.EnqueuedAt.Equal(epoch) {
			t.Errorf("%s: enqueued at %v", when, e.EnqueuedAt)
		}
	}
	queued, err := tasks.Encode(message(0, "u1", "u2", "u3"))
	w.ok(err)
	d := w.death(message(0, "u2", "u3"), forbidden)
	d.Raw = queued
	d.Attempts[0].Targets, d.Attempts[0].Failed = 3, 2
	w.ok(w.store.Put(w.ctx, d))
	e := w.get("a")
	check("dead", e, "u2", "u3")
	if !reflect.DeepEqual(e.Attempts, d.Attempts) {
		t.Errorf("attempts %+v, want %+v", e.Attempts, d.Attempts)
	}

	w.ok(w.store.Resend(w.ctx, testApp, "a", Actor{}))
	resent := w.take("a~1")
	if to := resent.Payload.(tasks.Message).To; !reflect.DeepEqual(to, []string{"u2", "u3"}) {
		t.Errorf("resent to %v", to)
	}
	d = w.death(resent, forbidden)
	d.Raw, err = tasks.Encode(resent)
	w.ok(err)
	d.Task.Payload = message(1, "u3").Payload
	w.ok(w.store.Put(w.ctx, d))
	check("dead again", w.get("a"), "u3")
	w.ok(w.store.Resend(w.ctx, testApp, "a", Actor{}))
	if to := w.take("a~2").Payload.(tasks.Message).To; !reflect.DeepEqual(to, []string{"u3"}) {
		t.Errorf("resent to %v", to)
	}

	// What this version can't read is kept as it is, whatever is known of it.
	d = w.death(message(2, "u3"), forbidden)
	d.Raw, d.Reason = []byte("{}"), ReasonUndecodable
	d.Task.ID = "b"
	w.ok(w.store.Put(w.ctx, d))
	if e := w.get("b"); string(e.Raw) != "{}" {
		t.Errorf("raw %s", e.Raw)
	}
	w.checkIndex()
}

func testAttemptsLeftOut(t *testing.T, w *world) {
	d := w.death(message(testApp, "a"), overloaded)
	d.Attempts = attempts(overloaded, epoch, 150)
	w.ok(w.store.Put(w.ctx, d))
	w.ok(w.store.Resend(w.ctx, testApp, "a", Actor{}))
	d.Task = w.take("a~1")
	w.ok(w.store.Put(w.ctx, d))

	e := w.get("a")
	if len(e.Attempts) != AttemptsMax || e.AttemptsLeftOut != 100 {
		t.Fatalf("%d attempts, %d left out", len(e.Attempts), e.AttemptsLeftOut)
	}
	first, last := e.Attempts[:attemptsHead], e.Attempts[attemptsHead:]
	for i, a := range first {
		if a.Generation != 0 || a.Number != i+1 {
			t.Errorf("attempt %d: %+v", i, a)
		}
	}
	if last[len(last)-1].Number != 150 || last[len(last)-1].Generation != 1 || last[0].Number != 121 || last[0].Generation != 0 {
		t.Errorf("last attempts from %+v to %+v", last[0], last[len(last)-1])
	}

	w.die("b", banned)
	for range AttemptsMax {
		w.ok(w.store.Discard(w.ctx, testApp, "b", Actor{}))
		w.ok(w.store.Restore(w.ctx, testApp, "b", Actor{}))
	}
	if e := w.get("b"); len(e.Events) != AttemptsMax || e.EventsLeftOut != AttemptsMax+1 || e.Events[0].Action != ActionDead {
		t.Errorf("%d events, %d left out, first %+v", len(e.Events), e.EventsLeftOut, e.Events[0])
	}
	w.checkIndex()
}

func testResolve(t *testing.T, w *world) {
	w.die("a", forbidden)
	before := w.get("a")
	w.ok(w.store.Resolve(w.ctx, message(testApp, "a"), nil)) // a first generation is no resend
	later := message(testApp, "a")
	later.Generation = 1
	w.ok(w.store.Resolve(w.ctx, later, nil)) // not resent
	if after := w.get("a"); !reflect.DeepEqual(before, after) {
		t.Fatalf("changed to %+v", after)
	}
	later.ID = "none"
	w.ok(w.store.Resolve(w.ctx, later, nil))

	w.ok(w.store.Resend(w.ctx, testApp, "a", Actor{}))
	resent := w.take("a~1")
	w.clock.add(time.Minute)
	w.ok(w.store.Resolve(w.ctx, resent, attempts(overloaded, w.clock.now(), 1)))
	w.ok(w.store.Resolve(w.ctx, resent, attempts(overloaded, w.clock.now(), 1)))
	e := w.get("a")
	if e.State != StateResolved || !e.ChangedAt.Equal(epoch.Add(time.Minute)) || !e.LastFailedAt.Equal(epoch) ||
		len(e.Attempts) != 3 || e.Attempts[2].Generation != 1 || e.Events[len(e.Events)-1].Action != ActionResolved {
		t.Errorf("got %+v", e)
	}
	w.checkIndex()
}

func testAdmit(t *testing.T, w *world) {
	admit := func(id string, generation int, want bool) {
		t.Helper()
		task := message(testApp, id)
		task.Generation = generation
		if got, err := w.store.Admit(w.ctx, task); err != nil || got != want {
			t.Errorf("%s: got %v, %v, want %v", task.QueueID(), got, err, want)
		}
	}
	admit("a", 0, true)
	admit("a", 1, false)
	w.die("a", forbidden)
	admit("a", 0, false)
	admit("a", 1, false)
	w.ok(w.store.Resend(w.ctx, testApp, "a", Actor{}))
	admit("a", 0, false)
	admit("a", 1, true)
	admit("a", 2, false)
	resent := w.take("a~1")
	w.ok(w.store.Put(w.ctx, w.death(resent, forbidden)))
	admit("a", 1, false)
	w.ok(w.store.Resend(w.ctx, testApp, "a", Actor{}))
	admit("a", 1, false)
	admit("a", 2, true)
	w.ok(w.store.Resolve(w.ctx, w.take("a~2"), nil))
	admit("a", 2, false)
}

func testFind(t *testing.T, w *world) {
	if _, err := w.store.Find(w.ctx, "a"); !errors.Is(err, ErrNotFound) {
		t.Errorf("nowhere: %v", err)
	}
	if _, err := w.store.Get(w.ctx, testApp, "a"); !errors.Is(err, ErrNotFound) {
		t.Errorf("get: %v", err)
	}
	for _, app := range []string{"zoo", testApp, "bar"} {
		w.ok(w.store.Put(w.ctx, w.death(message(app, "a"), forbidden)))
	}
	w.die("b", banned)
	found, err := w.store.Find(w.ctx, "a")
	w.ok(err)
	var apps []string
	for _, e := range found {
		apps = append(apps, e.App)
		if e.ID != "a" || e.Rule != "forbidden" {
			t.Errorf("found %+v", e)
		}
	}
	if !reflect.DeepEqual(apps, []string{"bar", testApp, "zoo"}) {
		t.Errorf("in apps %v", apps)
	}
}

// testPutCrash ends a Put at every step, and repeats it as a worker does.
func testPutCrash(t *testing.T, w *world) {
	step := 0
	for id := 0; ; id++ {
		task := message(testApp, fmt.Sprint("t", id))
		d := w.death(task, forbidden)
		crashed, err := w.crash(step, func(s *Store) error { return s.Put(w.ctx, d) })
		if crashed != (err != nil) {
			t.Fatalf("crash at step %d: crashed %v, error %v", step, crashed, err)
		}
		w.ok(w.store.Put(w.ctx, d))
		e := w.get(task.ID)
		if e.State != StateDead || len(e.Attempts) != 2 || len(e.Events) != 1 {
			t.Fatalf("crash at step %d: %+v", step, e)
		}
		w.checkIndex()
		if !crashed {
			break
		}
		step++
	}
	if step < 4 {
		t.Errorf("a Put has only %d steps?", step)
	}
}

// testLostAnswer: the Redis client repeats a script whose answer was lost.
func testLostAnswer(t *testing.T, w *world) {
	w.die("a", forbidden)
	old, err := w.store.load(w.ctx, testApp, "a")
	w.ok(err)
	r := old.next(StateDiscarded, w.clock.now(), ActionDiscard, Actor{})
	for i := range 2 {
		if made, err := w.store.swap(w.ctx, old, r, change{}); err != nil || !made {
			t.Fatalf("time %d: made %v, error %v", i, made, err)
		}
	}
	other := old.next(StateDiscarded, w.clock.now(), ActionDiscard, Actor{})
	if made, err := w.store.swap(w.ctx, old, other, change{}); err != nil || made {
		t.Errorf("somebody else's change: made %v, error %v", made, err)
	}
	w.checkIndex()
}

func testUnreadable(t *testing.T, w *world) {
	w.die("a", forbidden)
	w.die("b", forbidden)
	head, _, _ := strings.Cut(w.rdb.Get(w.ctx, tasks.EntryKey(testApp, "b")).Val(), "\n")
	w.ok(w.rdb.Set(w.ctx, tasks.EntryKey(testApp, "b"), head+"\na newer format", 0).Err())
	first, err := w.store.List(w.ctx, Filter{State: StateDead}, "", 0)
	w.ok(err)
	page := first.Entries
	if len(page) != 2 || page[0].ID != "b" || page[0].State != "" || page[1].State != StateDead {
		t.Errorf("page: %+v", page)
	}
	if _, err := w.store.Get(w.ctx, testApp, "b"); !errors.Is(err, errDamaged) {
		t.Errorf("get: %v", err)
	}
	if err := w.store.Discard(w.ctx, testApp, "b", Actor{}); !errors.Is(err, errDamaged) {
		t.Errorf("discard: %v", err)
	}
	for _, head := range []string{" ", "dead", "gone 0 v 1 1 c", "dead x v 1 1 c", "dead 0 v x 1 c", "dead 0 v 1 x c"} {
		w.ok(w.rdb.Set(w.ctx, tasks.EntryKey(testApp, "b"), head+"\n{}\n", 0).Err())
		if _, err := w.store.Admit(w.ctx, message(testApp, "b")); !errors.Is(err, errDamaged) {
			t.Errorf("head %q: %v", head, err)
		}
	}
}

func TestEntryJSON(t *testing.T) {
	t.Parallel()
	w := miniWorld(t)
	w.die("a", forbidden)
	text, err := json.Marshal(w.get("a").Redacted())
	w.ok(err)
	var fields map[string]any
	w.ok(json.Unmarshal(text, &fields))
	for _, name := range []string{
		"id", "app", "kind", "class", "scope", "rule", "error", "status", "cause", "state",
		"generation", "attempts", "first_failed_at", "last_failed_at", "payload",
	} {
		if _, ok := fields[name]; !ok {
			t.Errorf("no %s in %s", name, text)
		}
	}
}

// TestRedisErrors: every operation returns the failure of Redis, wrapped.
func TestRedisErrors(t *testing.T) {
	t.Parallel()
	w := miniWorld(t)
	w.die("a", forbidden)
	later := message(testApp, "a")
	later.Generation = 1
	ops := map[string]func(*Store) error{
		"put":        func(s *Store) error { return s.Put(w.ctx, w.death(message(testApp, "b"), forbidden)) },
		"resolve":    func(s *Store) error { return s.Resolve(w.ctx, later, nil) },
		"admit":      func(s *Store) error { _, err := s.Admit(w.ctx, later); return err },
		"get":        func(s *Store) error { _, err := s.Get(w.ctx, testApp, "a"); return err },
		"find":       func(s *Store) error { _, err := s.Find(w.ctx, "a"); return err },
		"list":       func(s *Store) error { _, err := s.List(w.ctx, Filter{}, "", 0); return err },
		"list by":    func(s *Store) error { _, err := s.List(w.ctx, Filter{App: testApp, Error: "x"}, "", 0); return err },
		"count":      func(s *Store) error { _, err := s.Count(w.ctx, Filter{App: testApp}); return err },
		"each":       func(s *Store) error { return s.Each(w.ctx, Filter{App: testApp}, func(Entry) error { return nil }) },
		"causes":     func(s *Store) error { _, err := s.Causes(w.ctx, Filter{App: testApp}); return err },
		"resend":     func(s *Store) error { return s.Resend(w.ctx, testApp, "a", Actor{}) },
		"discard":    func(s *Store) error { return s.Discard(w.ctx, testApp, "a", Actor{}) },
		"restore":    func(s *Store) error { return s.Restore(w.ctx, testApp, "a", Actor{}) },
		"sweep":      func(s *Store) error { _, err := s.Sweep(w.ctx, []string{testApp}); return err },
		"sweep all":  func(s *Store) error { _, err := s.Sweep(w.ctx, nil); return err },
		"set hold":   func(s *Store) error { _, err := s.SetHold(w.ctx, Hold{App: testApp}); return err },
		"clear hold": func(s *Store) error { return s.ClearHold(w.ctx, testApp, "", Actor{}) },
		"holds":      func(s *Store) error { _, err := s.Holds(w.ctx); return err },
		"queues":     func(s *Store) error { _, err := s.Queues(w.ctx, testApp); return err },
		"pause":      func(s *Store) error { return s.Pause(w.ctx, messageQueue, Actor{}) },
		"resume":     func(s *Store) error { return s.Resume(w.ctx, messageQueue, Actor{}) },
		"apps":       func(s *Store) error { _, err := s.Apps(w.ctx); return err },
	}
	for name, op := range ops {
		// Not only the first command may fail.
		for step := 0; ; step += 2 {
			crashed, err := w.crash(step, op)
			if !crashed {
				break
			}
			if !errors.Is(err, errCrash) && name != "resend" { // its last step is made good later
				t.Errorf("%s, failing at step %d: %v", name, step, err)
			}
		}
	}
}
