package dlq

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"pgregory.net/rapid"

	"github.com/imqueue/emq/errclass"
	"github.com/imqueue/emq/tasks"
	"github.com/imqueue/emq/tasks/redisserver"
	"github.com/imqueue/emq/tasks/redisserver/redistest"
)

// modelEntry is an entry as it should be.
type modelEntry struct {
	id          string
	state       State
	generation  int
	verdict     errclass.Verdict
	first, last time.Time
	changed     time.Time
	attempts    int
	events      []string
	queued      bool // while it is resending: its task is in the queue
	confirmed   bool
	target      string   // whom the message is for
	op          *modelOp // that resends it
}

// modelOp is the account of an operation as it should be.
type modelOp struct {
	id                   string
	action               string
	members, changed     int
	delivered, deadAgain int
}

// model is a store as it should be, beside the store that it tests.
type model struct {
	*world
	entries map[string]*modelEntry
	ops     []*modelOp
}

func (m *model) drawID(t *rapid.T) string {
	return fmt.Sprint("t", rapid.IntRange(0, 7).Draw(t, "id"))
}

func drawVerdict(t *rapid.T) errclass.Verdict {
	v := rapid.SampledFrom([]errclass.Verdict{forbidden, banned, overloaded}).Draw(t, "verdict")
	v.Status = rapid.SampledFrom([]int{v.Status, 418}).Draw(t, "status") // not the cause's
	return v
}

// dead is what Put does to an entry.
func (m *model) dead(e *modelEntry, v errclass.Verdict, list []Attempt, event string) {
	e.verdict, e.last = v, m.clock.now()
	m.tried(e, list)
	m.enter(e, StateDead, event)
}

func (m *model) tried(e *modelEntry, list []Attempt) {
	if e.attempts == 0 && len(list) > 0 && list[0].At.Before(e.first) {
		e.first = list[0].At
	}
	e.attempts += len(list)
}

func (m *model) enter(e *modelEntry, state State, event string) {
	if e.op != nil && e.state == StateResending {
		switch state {
		case StateResolved:
			e.op.delivered++
		case StateDead:
			e.op.deadAgain++
		}
	}
	e.state, e.changed, e.queued, e.confirmed, e.op = state, m.clock.now(), false, false, nil
	e.events = append(e.events, event)
}

// wantErr compares an error with the one that the entry's state calls for.
func (m *model) wantErr(got, want error) {
	m.t.Helper()
	if !errors.Is(got, want) {
		m.t.Fatalf("error %v, want %v", got, want)
	}
}

func (m *model) put(t *rapid.T) {
	task := message(testApp, m.drawID(t))
	task.Generation = rapid.IntRange(0, 2).Draw(t, "generation")
	v := drawVerdict(t)
	list := attempts(v, m.clock.now(), rapid.IntRange(0, 2).Draw(t, "attempts"))
	m.ok(m.store.Put(m.ctx, Death{Task: task, Verdict: v, Attempts: list}))

	e := m.entries[task.ID]
	switch {
	case e == nil:
		e = &modelEntry{id: task.ID, generation: task.Generation, first: m.clock.now(), target: "u1"}
		m.entries[task.ID] = e
		m.dead(e, v, list, ActionDead)
	case task.Generation > 0 && e.state == StateResending && e.generation == task.Generation:
		if e.queued { // ended by a worker that lost it to another one; that one's is refused
			m.ok(m.inspect.DeleteTask(messageQueue, task.QueueID()))
		}
		m.dead(e, v, list, ActionDeadAgain)
		e.target = "u1"
	}
}

// resend may die after the mark, or after the queue.
func (m *model) resend(t *rapid.T) {
	id := m.drawID(t)
	until := rapid.IntRange(0, 2).Draw(t, "until")
	e := m.entries[id]
	r, task, err := m.store.mark(m.ctx, testApp, id, Actor{})
	switch {
	case e == nil:
		m.wantErr(err, ErrNotFound)
		return
	case e.state == StateResending:
		m.wantErr(err, ErrResendInProgress)
		return
	case e.state != StateDead:
		m.wantErr(err, ErrState)
		return
	}
	m.ok(err)
	e.generation++
	m.enter(e, StateResending, ActionResend)
	if until > 0 {
		m.ok(m.client.Requeue(m.ctx, task, r.generation))
		e.queued = true
	}
	if until > 1 {
		m.store.confirm(m.ctx, r)
		e.confirmed = true
	}
}

// work takes a task from the queue and ends it.
func (m *model) work(t *rapid.T) {
	var waiting []*modelEntry
	for _, id := range slices.Sorted(maps.Keys(m.entries)) {
		if m.entries[id].queued {
			waiting = append(waiting, m.entries[id])
		}
	}
	if len(waiting) == 0 {
		t.Skip("nothing is queued")
	}
	e := rapid.SampledFrom(waiting).Draw(t, "task")
	task := messageTo(e.id, e.target)
	task.Generation = e.generation
	due, err := m.store.Admit(m.ctx, task)
	if err != nil || !due {
		t.Fatalf("%s is not admitted (%v)", task.QueueID(), err)
	}
	v := drawVerdict(t)
	list := attempts(v, m.clock.now(), 1)
	end := rapid.SampledFrom([]string{"resolve", "die", "vanish"}).Draw(t, "end")
	switch end {
	case "resolve":
		m.ok(m.store.Resolve(m.ctx, task, list))
	case "die":
		m.ok(m.store.Put(m.ctx, Death{Task: task, Verdict: v, Attempts: list}))
	}
	m.take(task.QueueID())
	switch end {
	case "resolve":
		m.enter(e, StateResolved, ActionResolved)
		m.tried(e, list)
	case "die":
		m.dead(e, v, list, ActionDeadAgain)
	default:
		e.queued = false
	}
}

func (m *model) discard(t *rapid.T) {
	m.move(t, StateDead, StateDiscarded, ActionDiscard, m.store.Discard)
}

func (m *model) restore(t *rapid.T) {
	m.move(t, StateDiscarded, StateDead, ActionRestore, m.store.Restore)
}

func (m *model) move(t *rapid.T, from, to State, event string, do func(ctx context.Context, app, id string, by Actor) error) {
	id := m.drawID(t)
	err := do(m.ctx, testApp, id, Actor{})
	switch e := m.entries[id]; {
	case e == nil:
		m.wantErr(err, ErrNotFound)
	case e.state != from:
		m.wantErr(err, ErrState)
	default:
		m.ok(err)
		m.enter(e, to, event)
	}
}

// messageTo is a task of the test app for a user.
func messageTo(id, user string) tasks.Task {
	task := message(testApp, id)
	p := task.Payload.(tasks.Message)
	p.To = []string{user}
	task.Payload = p
	return task
}

func (m *model) edit(t *rapid.T) {
	id, user := m.drawID(t), rapid.SampledFrom([]string{"u1", "U2", "u3"}).Draw(t, "user")
	payload, err := json.Marshal(messageTo(id, user).Payload)
	m.ok(err)
	err = m.store.Edit(m.ctx, testApp, id, payload, Actor{Name: "ada"})
	switch e := m.entries[id]; {
	case e == nil:
		m.wantErr(err, ErrNotFound)
	case e.state != StateDead:
		m.wantErr(err, ErrState)
	default:
		m.ok(err)
		m.enter(e, StateDead, ActionEdit)
		e.target = user
	}
}

// bulk makes an operation, lets somebody else change a member, and works on the rest in
// pieces, some of which die half-way.
func (m *model) bulk(t *rapid.T) {
	action := rapid.SampledFrom([]string{ActionResend, ActionDiscard, ActionRestore}).Draw(t, "action")
	b := Bulk{Action: action, Priority: tasks.Default, By: Actor{Name: "ada"}, Filter: Filter{
		Error:  rapid.SampledFrom([]string{"", forbidden.Error}).Draw(t, "error"),
		Target: rapid.SampledFrom([]string{"", "", "u1", "u2"}).Draw(t, "target"),
	}}
	members := map[string]*modelEntry{}
	for id, e := range m.entries {
		if e.state == b.from() && (b.Filter.Error == "" || e.verdict.Error == b.Filter.Error) &&
			(b.Filter.Target == "" || strings.EqualFold(e.target, b.Filter.Target)) {
			members[id] = e
		}
	}
	ops, err := m.store.Freeze(m.ctx, b, nil)
	m.ok(err)
	if len(members) == 0 {
		if len(ops) > 0 {
			t.Fatalf("an operation of nothing: %+v", ops)
		}
		return
	}
	op := &modelOp{id: ops[0].ID, action: action, members: len(members)}
	m.ops = append(m.ops, op)
	m.ok(m.store.Start(m.ctx, testApp, op.id, b.By))
	if id := m.drawID(t); members[id] != nil && action == ActionResend && rapid.Bool().Draw(t, "overtaken") {
		m.ok(m.store.Discard(m.ctx, testApp, id, Actor{}))
		m.enter(members[id], StateDiscarded, ActionDiscard)
		delete(members, id)
	}
	after := ops[0]
	for n := 1; n > 0; {
		if rapid.IntRange(0, 2).Draw(t, "dies") == 0 {
			_, _ = m.crash(rapid.IntRange(0, 14).Draw(t, "step"), func(s *Store) error {
				_, _, err := s.Work(m.ctx, ops[0], 2, "dies")
				return err
			})
		}
		after, n, err = m.store.Work(m.ctx, ops[0], 3, "w1")
		m.ok(err)
	}
	for _, e := range members {
		op.changed++
		switch action {
		case ActionResend:
			e.generation++
			m.enter(e, StateResending, ActionResend)
			e.queued, e.confirmed, e.op = true, true, op
		case ActionDiscard:
			m.enter(e, StateDiscarded, ActionDiscard)
		default:
			m.enter(e, StateDead, ActionRestore)
		}
	}
	want := OpDone
	if action == ActionResend && op.changed > 0 {
		want = OpWaiting
	}
	if after.State != want {
		t.Fatalf("operation %+v, want it %s", after, want)
	}
}

// race lets several operators do something to one entry at the same time: one of them
// does it.
func (m *model) race(t *rapid.T) {
	id := m.drawID(t)
	e := m.entries[id]
	type act struct {
		from, to State
		event    string
		do       func(context.Context, string, string, Actor) error
	}
	a := rapid.SampledFrom([]act{
		{StateDead, StateResending, ActionResend, m.store.Resend},
		{StateDead, StateDiscarded, ActionDiscard, m.store.Discard},
		{StateDiscarded, StateDead, ActionRestore, m.store.Restore},
	}).Draw(t, "act")
	const operators = 4
	errs := make([]error, operators)
	var crowd sync.WaitGroup
	for i := range errs {
		crowd.Go(func() { errs[i] = a.do(m.ctx, testApp, id, Actor{}) })
	}
	crowd.Wait()
	did := 0
	for _, err := range errs {
		switch {
		case err == nil:
			did++
		case e == nil:
			m.wantErr(err, ErrNotFound)
		case !errors.Is(err, ErrState) && !errors.Is(err, ErrResendInProgress):
			t.Fatal(err)
		}
	}
	if e == nil || e.state != a.from {
		if did > 0 {
			t.Fatalf("%d of them did it to %+v", did, e)
		}
		return
	}
	if did != 1 {
		t.Fatalf("%d of them did it", did)
	}
	m.enter(e, a.to, a.event)
	if a.to == StateResending {
		e.generation++
		e.queued, e.confirmed = true, true
	}
}

func (m *model) wait(t *rapid.T) {
	m.clock.add(rapid.SampledFrom([]time.Duration{time.Millisecond, time.Second, resendGrace, KeepDefault / 2}).Draw(t, "time"))
}

func (m *model) swept(t *rapid.T) {
	now := m.clock.now()
	var want SweepReport
	for id, e := range m.entries {
		switch old := now.Sub(e.changed); {
		case e.state == StateResending && !e.confirmed && old >= resendGrace:
			want.Resent++
			e.queued, e.confirmed = true, true
		case e.state == StateResending && !e.queued && old > resendGrace:
			want.Lost++
			e.queued = true
		case (e.state == StateResolved || e.state == StateDiscarded) && old >= KeepDefault:
			want.Purged++
			delete(m.entries, id)
		}
	}
	got := m.sweep()
	got.Operations = 0 // they are looked at in check
	if got != want {
		t.Fatalf("swept %+v, want %+v", got, want)
	}
}

// list compares pages, counts and causes under a filter.
func (m *model) list(t *rapid.T) {
	f := Filter{
		State:  rapid.SampledFrom(append(States(), "")).Draw(t, "state"),
		Error:  rapid.SampledFrom([]string{"", "", "", forbidden.Error, banned.Error}).Draw(t, "error"),
		Class:  rapid.SampledFrom([]errclass.Class{"", "", "", overloaded.Class}).Draw(t, "class"),
		Status: rapid.SampledFrom([]int{0, 0, 418}).Draw(t, "status"),
		Target: rapid.SampledFrom([]string{"", "", "u2", "U1"}).Draw(t, "target"),
		Text:   rapid.SampledFrom([]string{"", "", "", `"ID":"T3"`}).Draw(t, "text"),
	}
	if rapid.Bool().Draw(t, "bounded") {
		f.Since = m.clock.now().Add(-time.Minute)
		f.Until = m.clock.now()
	}
	var selected []*modelEntry
	counts := map[string]map[State]int{} // error -> counts
	for _, e := range m.entries {
		in := (f.Error == "" || f.Error == e.verdict.Error) && (f.Class == "" || f.Class == e.verdict.Class) &&
			(f.Status == 0 || f.Status == e.verdict.Status) && (f.Target == "" || strings.EqualFold(f.Target, e.target)) &&
			(f.Text == "" || e.id == "t3") &&
			(f.Since.IsZero() || !e.last.Before(f.Since)) && (f.Until.IsZero() || e.last.Before(f.Until))
		if !in {
			continue
		}
		if counts[e.verdict.Error] == nil {
			counts[e.verdict.Error] = map[State]int{}
		}
		counts[e.verdict.Error][e.state]++
		if f.State == "" || f.State == e.state {
			selected = append(selected, e)
		}
	}
	slices.SortFunc(selected, func(a, b *modelEntry) int {
		return cmp.Or(b.last.Compare(a.last), strings.Compare(b.id, a.id))
	})
	var want []string
	for _, e := range selected {
		want = append(want, e.id)
	}
	if got := m.pages(f, rapid.IntRange(1, 4).Draw(t, "limit"), nil); !reflect.DeepEqual(got, want) {
		t.Fatalf("filter %+v: got %v, want %v", f, got, want)
	}
	if n, err := m.store.Count(m.ctx, f); err != nil || n != len(want) {
		t.Fatalf("filter %+v: count %d (%v), want %d", f, n, err, len(want))
	}
	for key, c := range counts {
		if f.State != "" && c[f.State] == 0 {
			delete(counts, key)
		}
	}
	causes, err := m.store.Causes(m.ctx, f)
	m.ok(err)
	got := map[string]map[State]int{}
	for i, c := range causes {
		got[c.Error] = c.Counts
		if i > 0 && causes[i-1].Counts[StateDead] < c.Counts[StateDead] {
			t.Fatalf("causes are out of order: %+v", causes)
		}
	}
	if !reflect.DeepEqual(got, counts) || len(causes) != len(counts) {
		t.Fatalf("filter %+v: causes %v, want %v", f, got, counts)
	}
}

// check compares everything that is kept.
func (m *model) check(t *rapid.T) {
	m.checkIndex()
	ids := slices.Sorted(maps.Keys(m.entries))
	at := make([]position, len(ids))
	for i, id := range ids {
		at[i] = position{app: testApp, id: id}
	}
	read, err := m.store.read(m.ctx, at)
	m.ok(err)
	var want []string
	for i, id := range ids {
		e, got := m.entries[id], read[i]
		if got == nil {
			t.Fatalf("%s is gone, want %+v", id, e)
			return
		}
		var events []string
		for _, event := range got.Events {
			events = append(events, event.Action)
		}
		if got.State != e.state || got.Generation != e.generation || got.Rule != e.verdict.Rule || got.Status != e.verdict.Status ||
			!got.FirstFailedAt.Equal(e.first) || !got.LastFailedAt.Equal(e.last) || !got.ChangedAt.Equal(e.changed) ||
			len(got.Attempts) != e.attempts || !reflect.DeepEqual(events, e.events) {
			t.Fatalf("got  %+v\nwant %+v", *got, *e)
		}
		if e.queued {
			want = append(want, tasks.Task{ID: id, Generation: e.generation}.QueueID())
		}
	}
	if n, err := m.store.Count(m.ctx, Filter{}); err != nil || n != len(m.entries) {
		t.Fatalf("%d entries (%v), want %d", n, err, len(m.entries))
	}
	got := m.queued()
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Fatalf("queued %v, want %v", got, want)
	}
	for _, op := range m.ops {
		got, err := m.store.GetOperation(m.ctx, testApp, op.id)
		if errors.Is(err, ErrNotFound) { // ended long ago
			continue
		}
		m.ok(err)
		if got.Members != op.members || got.Worked != op.members || got.Changed != op.changed || got.Skipped != op.members-op.changed ||
			got.Delivered != op.delivered || got.DeadAgain != op.deadAgain {
			t.Fatalf("account %+v, want %+v", got, op)
		}
	}
	unconfirmed := m.rdb.ZCard(m.ctx, unconfirmedKey(testApp)).Val()
	for _, e := range m.entries {
		if e.state == StateResending && !e.confirmed {
			unconfirmed--
		}
	}
	if unconfirmed != 0 {
		t.Fatalf("%d unconfirmed too many", unconfirmed)
	}
}

// testModel does anything in any order and compares the store with its model.
func testModel(t *testing.T, rdb redis.UniversalClient) {
	rapid.Check(t, func(rt *rapid.T) {
		if err := flush(t.Context(), rdb); err != nil {
			rt.Fatal(err)
		}
		w := newWorld(t, rdb)
		w.t = rt
		m := &model{world: w, entries: map[string]*modelEntry{}}
		rt.Repeat(map[string]func(*rapid.T){
			"put": m.put, "resend": m.resend, "work": m.work, "discard": m.discard, "restore": m.restore, "edit": m.edit,
			"bulk": m.bulk, "race": m.race, "wait": m.wait, "sweep": m.swept, "list": m.list, "": m.check,
		})
	})
}

func TestModelInMemory(t *testing.T) {
	t.Parallel()
	_, rdb := redistest.Mini(t)
	testModel(t, rdb)
}

func TestModelOnRedis(t *testing.T) {
	t.Parallel()
	testModel(t, redistest.Client(t, redistest.Start(t, redisserver.Options{})))
}

func TestModelOnCluster(t *testing.T) {
	t.Parallel()
	testModel(t, redistest.ClusterClient(t, redistest.Cluster(t, 3)))
}
