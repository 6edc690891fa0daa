package dlq

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/imqueue/emq/errclass"
	"github.com/imqueue/emq/tasks"
)

// paused lists the app's queues that asynq holds paused.
func (w *world) paused() (names []string) {
	w.t.Helper()
	for _, name := range tasks.QueueNames(testApp) {
		if w.rdb.Exists(w.ctx, queueKey(name, "paused")).Val() == 1 {
			names = append(names, name)
		}
	}
	return names
}

func (w *world) wantPaused(want ...string) {
	w.t.Helper()
	if got := w.paused(); !reflect.DeepEqual(got, want) {
		w.t.Errorf("paused %v, want %v", got, want)
	}
}

var (
	allQueues  = tasks.QueueNames(testApp)
	roomQueues = heldQueues(testApp, tasks.FamilyRooms)
	badSecret  = Hold{
		App: testApp, Rule: "bad-secret", Error: "invalid_grant", Description: "client_id or client_secret is wrong", Status: 400,
		Why: errclass.Text{En: "wrong secret", Zh: "密钥错误"}, Advice: errclass.Text{En: "set it", Zh: "设置"}, Task: "a", By: "w1",
	}
)

func testHolds(t *testing.T, w *world) {
	created, err := w.store.SetHold(w.ctx, badSecret)
	if err != nil || !created {
		t.Fatalf("set: %v, %v", created, err)
	}
	w.wantPaused(allQueues...)
	w.clock.add(time.Hour)
	second := badSecret
	second.Rule, second.Task = "quota", "b"
	if created, err := w.store.SetHold(w.ctx, second); err != nil || created {
		t.Errorf("set again: %v, %v", created, err)
	}
	holds, err := w.store.Holds(w.ctx) // the app is known by its hold alone
	want := badSecret
	want.Since = epoch
	if err != nil || !reflect.DeepEqual(holds, []Hold{want}) {
		t.Errorf("holds %+v, %v", holds, err)
	}

	rooms := badSecret
	rooms.Family = tasks.FamilyRooms
	if created, err := w.store.SetHold(w.ctx, rooms); err != nil || !created {
		t.Errorf("set on a family: %v, %v", created, err)
	}
	if holds, err := w.store.Holds(w.ctx, testApp, "bar"); err != nil || len(holds) != 2 || holds[0].Family != "" || holds[1].Family != tasks.FamilyRooms {
		t.Errorf("holds %+v, %v", holds, err)
	}
	w.ok(w.store.ClearHold(w.ctx, testApp, "", Actor{Name: "ann"}))
	w.wantPaused(roomQueues...)
	if err := w.store.ClearHold(w.ctx, testApp, "", Actor{}); !errors.Is(err, ErrNotFound) {
		t.Errorf("clear again: %v", err)
	}
	w.ok(w.store.ClearHold(w.ctx, testApp, tasks.FamilyRooms, Actor{}))
	w.wantPaused()

	var refused *tasks.FieldError
	if _, err := w.store.SetHold(w.ctx, Hold{App: "No App"}); !errors.As(err, &refused) {
		t.Errorf("bad app: %v", err)
	}
	if _, err := w.store.SetHold(w.ctx, Hold{App: testApp, Family: "birds"}); !errors.As(err, &refused) {
		t.Errorf("bad family: %v", err)
	}
	if err := w.store.ClearHold(w.ctx, testApp, "birds", Actor{}); !errors.As(err, &refused) {
		t.Errorf("clear a bad family: %v", err)
	}
}

func testHoldsAndPauses(t *testing.T, w *world) {
	queue := roomQueues[0]
	if err := w.store.Pause(w.ctx, queue, Actor{}); !errors.Is(err, ErrNotFound) {
		t.Errorf("of an app that was never used: %v", err)
	}
	w.sweep() // a worker serves the app
	for _, other := range []string{"default", "shop:birds:low", "shop:rooms", ""} {
		if err := w.store.Pause(w.ctx, other, Actor{}); !errors.Is(err, ErrNotFound) {
			t.Errorf("pause %q: %v", other, err)
		}
		if err := w.store.Resume(w.ctx, other, Actor{}); !errors.Is(err, ErrNotFound) {
			t.Errorf("resume %q: %v", other, err)
		}
	}
	w.ok(w.store.Resume(w.ctx, queue, Actor{})) // runs already
	w.ok(w.store.Pause(w.ctx, queue, Actor{Name: "ann", Note: "migration"}))
	w.ok(w.store.Pause(w.ctx, queue, Actor{Name: "bob"}))
	w.wantPaused(queue)

	rooms := badSecret
	rooms.Family = tasks.FamilyRooms
	_, err := w.store.SetHold(w.ctx, rooms)
	w.ok(err)
	w.wantPaused(roomQueues...)
	err = w.store.Resume(w.ctx, queue, Actor{})
	if !errors.Is(err, ErrHeld) || !strings.Contains(err.Error(), testApp+"/rooms") || !strings.Contains(err.Error(), rooms.Rule) {
		t.Errorf("resume under a hold: %v", err)
	}
	w.ok(w.store.ClearHold(w.ctx, testApp, tasks.FamilyRooms, Actor{}))
	w.wantPaused(queue)
	w.ok(w.store.Resume(w.ctx, queue, Actor{}))
	w.wantPaused()

	// Another tool's pause is left alone by a sweep, and ended by Resume.
	w.ok(w.inspect.PauseQueue(queue))
	if report := w.sweep(); report != (SweepReport{}) {
		t.Errorf("swept %+v", report)
	}
	w.wantPaused(queue)
	w.ok(w.store.Resume(w.ctx, queue, Actor{}))
	w.wantPaused()

	// And another tool does not end a hold's or an operator's.
	_, err = w.store.SetHold(w.ctx, rooms)
	w.ok(err)
	w.ok(w.store.Pause(w.ctx, messageQueue, Actor{}))
	w.ok(w.inspect.UnpauseQueue(messageQueue))
	w.ok(w.inspect.UnpauseQueue(queue))
	if report := w.sweep(); report != (SweepReport{Held: 2}) {
		t.Errorf("swept %+v", report)
	}
	w.wantPaused(append([]string{messageQueue}, roomQueues...)...)
}

// testHoldCrash ends each operation at every step; a sweep makes it good.
func testHoldCrash(t *testing.T, w *world) {
	w.sweep()
	ops := []struct {
		name   string
		do     func(*Store) error
		done   func(w *world) bool // the operation's first lasting step was made
		want   []string            // paused once it is made
		before []string            // paused otherwise
	}{
		{"set", func(s *Store) error { _, err := s.SetHold(w.ctx, badSecret); return err }, (*world).held, allQueues, nil},
		{"clear", func(s *Store) error { return s.ClearHold(w.ctx, testApp, "", Actor{}) }, func(w *world) bool { return !w.held() }, nil, allQueues},
		{"pause", func(s *Store) error { return s.Pause(w.ctx, messageQueue, Actor{}) }, (*world).pausedByOperator, []string{messageQueue}, nil},
		{"resume", func(s *Store) error { return s.Resume(w.ctx, messageQueue, Actor{}) }, func(w *world) bool { return !w.pausedByOperator() }, nil, []string{messageQueue}},
	}
	for step := 0; ; step++ {
		crashes := 0
		for _, op := range ops {
			crashed, err := w.crash(step, op.do)
			if crashed != (err != nil) {
				t.Fatalf("%s, step %d: crashed %v, error %v", op.name, step, crashed, err)
			}
			if crashed {
				crashes++
			}
			w.sweep()
			if op.done(w) {
				w.wantPaused(op.want...)
			} else {
				w.wantPaused(op.before...)
				w.ok(op.do(w.store))
				w.wantPaused(op.want...)
			}
			if n := w.rdb.SCard(w.ctx, resumingKey(testApp)).Val(); n != 0 {
				t.Errorf("%s, step %d: %d queues to be resumed", op.name, step, n)
			}
			if report := w.sweep(); report != (SweepReport{}) {
				t.Errorf("%s, step %d: second sweep %+v", op.name, step, report)
			}
		}
		if crashes == 0 {
			if step < 10 {
				t.Errorf("only %d steps?", step)
			}
			return
		}
	}
}

func (w *world) held() bool {
	return w.rdb.HExists(w.ctx, holdsKey(testApp), "").Val()
}

func (w *world) pausedByOperator() bool {
	return w.rdb.HExists(w.ctx, pausedKey(testApp), messageQueue).Val()
}

// testHoldRace: whatever many do at the same time, in the end the queues are as
// the holds that are left want them.
func testHoldRace(t *testing.T, w *world) {
	for range 20 {
		var wg sync.WaitGroup
		for i := range 8 {
			_, store := w.open(w.rdb)
			wg.Go(func() {
				family := []tasks.Family{"", tasks.FamilyRooms}[i%2]
				if i/2%2 == 0 {
					_, err := store.SetHold(w.ctx, Hold{App: testApp, Family: family, Rule: fmt.Sprint(i)})
					if err != nil {
						t.Error(err)
					}
				} else if err := store.ClearHold(w.ctx, testApp, family, Actor{}); err != nil && !errors.Is(err, ErrNotFound) {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		reasons, err := w.store.reasons(w.ctx, testApp)
		w.ok(err)
		for _, queue := range allQueues {
			paused := w.rdb.Exists(w.ctx, queueKey(queue, "paused")).Val() == 1
			if paused != reasons.pause(queue) {
				t.Fatalf("%s: paused %v, holds %+v", queue, paused, reasons.holds)
			}
		}
	}
}

func testQueues(t *testing.T, w *world) {
	if queues, err := w.store.Queues(w.ctx); err != nil || len(queues) != 0 {
		t.Errorf("before anything: %+v, %v", queues, err)
	}
	for i := range 3 {
		_, err := w.client.Enqueue(w.ctx, message(testApp, "").Payload, tasks.ID(fmt.Sprint("t", i)))
		w.ok(err)
	}
	_, err := w.client.Enqueue(w.ctx, message(testApp, "").Payload, tasks.In(time.Hour))
	w.ok(err)
	w.archive(messageQueue, "archived", nil)
	since, err := w.rdb.HGet(w.ctx, tasks.TaskKey(messageQueue, "t0"), "pending_since").Int64()
	w.ok(err)
	w.clock.mu.Lock()
	w.clock.at = time.Unix(0, since).Add(time.Minute)
	w.clock.mu.Unlock()
	w.ok(w.store.Pause(w.ctx, messageQueue, Actor{Name: "ann", Note: "why not"}))
	_, err = w.store.SetHold(w.ctx, Hold{App: testApp, Family: tasks.FamilyRooms})
	w.ok(err)
	users := tasks.QueueName(testApp, tasks.EndpointUsersAccount, tasks.Low)
	w.ok(w.inspect.PauseQueue(users))
	unused := tasks.QueueName(testApp, tasks.EndpointUsersOther, tasks.High)
	w.ok(w.store.Pause(w.ctx, unused, Actor{Name: "ann"}))
	// Used once, and not any more. The last three are not emq's, or not this version's.
	w.ok(w.rdb.SAdd(w.ctx, registerKey, roomQueues[0], users, "default", "shop:rooms.future:low", "shop:rooms").Err())

	queues, err := w.store.Queues(w.ctx)
	w.ok(err)
	by := map[string]Queue{}
	var names []string
	for _, q := range queues {
		by[q.Name] = q
		names = append(names, q.Name)
		if q.App != testApp || tasks.QueueName(q.App, q.Endpoint, q.Priority) != q.Name {
			t.Errorf("queue %+v", q)
		}
	}
	want := slices.DeleteFunc(slices.Clone(allQueues), func(queue string) bool {
		return !slices.Contains([]string{messageQueue, roomQueues[0], users, unused}, queue)
	})
	if !slices.Equal(names, want) {
		t.Errorf("queues %q, want %q", names, want)
	}
	if q := by[unused]; !q.Paused || q.PausedBy != PausedByOperator || q.Pause == nil || q.Pause.By != "ann" {
		t.Errorf("got %+v", q)
	}
	q := by[messageQueue]
	info, err := w.inspect.GetQueueInfo(messageQueue)
	w.ok(err)
	if q.Pending != 3 || q.Pending != info.Pending || q.Active != info.Active || q.Scheduled != 1 || q.Scheduled != info.Scheduled ||
		q.Retry != info.Retry || q.Archived != 1 || q.Archived != info.Archived || !q.Paused || q.Paused != info.Paused {
		t.Errorf("got %+v, asynq says %+v", q, info)
	}
	if q.Latency != time.Minute || q.PausedBy != PausedByOperator || q.Pause == nil || q.Pause.By != "ann" || q.Pause.Note != "why not" {
		t.Errorf("got %+v", q)
	}
	if q := by[roomQueues[0]]; !q.Paused || q.PausedBy != PausedByHold || q.Pause != nil || q.Latency != 0 {
		t.Errorf("got %+v", q)
	}
	if q := by[users]; !q.Paused || q.PausedBy != "" {
		t.Errorf("got %+v", q)
	}
	if _, err := w.store.Queues(w.ctx, "No App"); err == nil {
		t.Error("a bad app passed")
	}
}

// testPauseAsAsynq pins what the store writes in asynq's stead: the key of a
// paused queue, used or not.
func testPauseAsAsynq(t *testing.T, w *world) {
	w.sweep()
	theirs, ours := roomQueues[0], roomQueues[1]
	w.ok(w.inspect.PauseQueue(theirs))
	w.ok(w.store.Pause(w.ctx, ours, Actor{}))
	for _, queue := range []string{theirs, ours} {
		key := queueKey(queue, "paused")
		if _, err := w.rdb.Get(w.ctx, key).Int64(); err != nil {
			t.Errorf("%s: %v, want a time in seconds", queue, err)
		}
		if left, err := w.rdb.TTL(w.ctx, key).Result(); err != nil || left != -1 {
			t.Errorf("%s expires in %v, %v", queue, left, err)
		}
	}
	if at := w.rdb.Get(w.ctx, queueKey(ours, "paused")).Val(); at != fmt.Sprint(epoch.Unix()) {
		t.Errorf("paused at %s", at)
	}
	if err := w.inspect.PauseQueue(ours); err == nil {
		t.Error("asynq does not see that the queue is paused")
	}
	w.ok(w.store.Resume(w.ctx, theirs, Actor{}))
	w.ok(w.store.Resume(w.ctx, ours, Actor{}))
	for _, queue := range []string{theirs, ours} {
		if err := w.inspect.UnpauseQueue(queue); err == nil {
			t.Errorf("asynq sees that %s is paused", queue)
		}
	}
}

// testOtherVersion: the queues of an endpoint that this version does not know
// are left alone.
func testOtherVersion(t *testing.T, w *world) {
	const queue = "shop:rooms.future:low"
	w.sweep()
	w.archive(queue, "theirs", nil)
	w.ok(w.inspect.PauseQueue(queue))
	w.ok(w.rdb.SAdd(w.ctx, resumingKey(testApp), queue, messageQueue).Err())
	w.ok(w.inspect.PauseQueue(messageQueue))
	if report := w.sweep(); report != (SweepReport{Repaired: 1}) {
		t.Errorf("swept %+v", report)
	}
	w.wantPaused()
	if w.rdb.Exists(w.ctx, queueKey(queue, "paused")).Val() != 1 || w.rdb.ZCard(w.ctx, queueKey(queue, "archived")).Val() != 1 {
		t.Error("the queue was changed")
	}
	if left := w.rdb.SMembers(w.ctx, resumingKey(testApp)).Val(); !slices.Equal(left, []string{queue}) {
		t.Errorf("to be resumed: %q", left)
	}
}

// testRoundTrips: what workers do all the time costs little, however many queues
// an app may have.
func testRoundTrips(t *testing.T, w *world) {
	rdb := w.dial()
	defer func() { _ = rdb.Close() }()
	_, store := w.open(rdb)
	const never = 1 << 30
	counter := &crasher{step: never}
	rdb.AddHook(counter)
	w.sweep()
	w.ok(w.rdb.SAdd(w.ctx, registerKey, messageQueue).Err())
	for _, test := range []struct {
		name string
		most int // round trips
		do   func() error
	}{
		{"note an unknown answer", 2, func() error { return store.NoteUnknown(w.ctx, Unknown{App: testApp}) }}, // the script is sent once
		{"note another", 1, func() error { return store.NoteUnknown(w.ctx, Unknown{App: testApp}) }},
		{"sweep", 15, func() error { _, err := store.Sweep(w.ctx, []string{testApp}); return err }},
		{"hold", 6, func() error { _, err := store.SetHold(w.ctx, badSecret); return err }},
		{"hold again", 5, func() error { _, err := store.SetHold(w.ctx, badSecret); return err }},
		{"sweep under a hold", 20, func() error { _, err := store.Sweep(w.ctx, []string{testApp}); return err }},
		{"queues", 5, func() error { _, err := store.Queues(w.ctx, testApp); return err }},
		{"clear", 10, func() error { return store.ClearHold(w.ctx, testApp, "", Actor{}) }},
	} {
		before := counter.at
		w.ok(test.do())
		if n := (counter.at - before) / 2; n > test.most {
			t.Errorf("%s: %d round trips, want at most %d", test.name, n, test.most)
		}
	}
}
