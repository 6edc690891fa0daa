package dlq

import (
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/imqueue/emq/errclass"
	"github.com/imqueue/emq/tasks"
)

// pages lists everything that f selects, page by page.
func (w *world) pages(f Filter, limit int, between func()) []string {
	w.t.Helper()
	var ids []string
	cursor := ""
	for {
		page, err := w.store.List(w.ctx, f, cursor, limit)
		entries, next := page.Entries, page.Next
		w.ok(err)
		if len(entries) > limit || next != "" && len(entries) < limit {
			w.t.Fatalf("%d entries on a page of %d, next %q", len(entries), limit, next)
		}
		for _, e := range entries {
			ids = append(ids, e.ID)
		}
		if next == "" {
			return ids
		}
		if len(entries) == 0 {
			w.t.Fatal("an empty page has a next one")
		}
		cursor = next
		if between != nil {
			between()
		}
	}
}

func testPages(t *testing.T, w *world) {
	var want []string
	for i := range 23 {
		id := fmt.Sprintf("t%02d", i)
		w.die(id, []errclass.Verdict{forbidden, banned, overloaded}[i%3])
		want = append(want, id)
		w.clock.add(time.Second)
	}
	slices.Reverse(want)
	for _, limit := range []int{1, 2, 7, 22, 23, 24, PageMax} {
		for _, f := range []Filter{{}, {App: testApp}, {State: StateDead}, {Kind: tasks.KindMessageSend}} {
			if got := w.pages(f, limit, nil); !reflect.DeepEqual(got, want) {
				t.Errorf("limit %d, filter %+v: %v", limit, f, got)
			}
		}
	}
	var each []string
	w.ok(w.store.Each(w.ctx, Filter{}, func(e Entry) error { each = append(each, e.ID); return nil }))
	if !reflect.DeepEqual(each, want) {
		t.Errorf("each: %v", each)
	}
	stop := errors.New("enough")
	n := 0
	if err := w.store.Each(w.ctx, Filter{}, func(Entry) error { n++; return stop }); !errors.Is(err, stop) || n != 1 {
		t.Errorf("each after its error: %d calls, %v", n, err)
	}
	first, err := w.store.List(w.ctx, Filter{}, "", 0)
	entries, next := first.Entries, first.Next
	if err != nil || len(entries) != 23 || next != "" {
		t.Errorf("default limit: %d, %q, %v", len(entries), next, err)
	}
}

// testEqualTimes: a whole page and more may have failed in the same millisecond.
func testEqualTimes(t *testing.T, w *world) {
	var want []string
	for i := range 40 {
		// Bytes, not an alphabet, order them: A < Z < _ < a < z.
		id := fmt.Sprintf("%c%02d", "AZ_az"[i%5], i)
		if id[0] == '_' {
			id = "x" + id
		}
		w.die(id, []errclass.Verdict{forbidden, banned}[i%2])
		want = append(want, id)
	}
	slices.Sort(want)
	slices.Reverse(want)
	for _, limit := range []int{1, 3, 39, 40} {
		for _, f := range []Filter{{}, {Kind: tasks.KindMessageSend}} {
			if got := w.pages(f, limit, nil); !reflect.DeepEqual(got, want) {
				t.Errorf("limit %d, filter %+v:\ngot  %v\nwant %v", limit, f, got, want)
			}
		}
	}
}

func testAppsPages(t *testing.T, w *world) {
	var want []string
	for i := range 6 {
		for _, app := range []string{"a", "b", "c"} {
			w.ok(w.store.Put(w.ctx, w.death(message(app, fmt.Sprint("same", i)), forbidden)))
			want = append(want, app+fmt.Sprint("same", i))
		}
		if i%2 == 0 {
			w.clock.add(time.Second)
		}
	}
	for _, limit := range []int{1, 2, 4, 5, 18} {
		var got []string
		for cursor := ""; ; {
			page, err := w.store.List(w.ctx, Filter{}, cursor, limit)
			entries, next := page.Entries, page.Next
			w.ok(err)
			for _, e := range entries {
				got = append(got, e.App+e.ID)
			}
			if cursor = next; next == "" {
				break
			}
		}
		slices.Reverse(got)
		// same0; then same1 and same2 in one millisecond; ...
		if !reflect.DeepEqual(got, want) {
			t.Errorf("limit %d:\ngot  %v\nwant %v", limit, got, want)
		}
	}
}

// testMovingPages: what is there during all of a walk is met once, whatever
// comes in at the head and however entries change their states.
func testMovingPages(t *testing.T, w *world) {
	var want []string
	for i := range 50 {
		id := fmt.Sprintf("t%02d", i)
		w.die(id, []errclass.Verdict{forbidden, banned}[i%2])
		want = append(want, id)
		w.clock.add(time.Duration(i%2) * time.Millisecond)
	}
	extra := 0
	for _, f := range []Filter{{}, {Kind: tasks.KindMessageSend}} {
		got := w.pages(f, 3, func() {
			w.clock.add(time.Millisecond)
			extra++
			w.die(fmt.Sprint("new", extra), banned)
			id := want[rand.IntN(len(want))]
			if w.get(id).State == StateDead {
				w.ok(w.store.Discard(w.ctx, testApp, id, Actor{}))
			} else {
				w.ok(w.store.Restore(w.ctx, testApp, id, Actor{}))
			}
		})
		got = slices.DeleteFunc(got, func(id string) bool { return strings.HasPrefix(id, "new") })
		slices.Sort(got)
		if !reflect.DeepEqual(got, want) {
			t.Errorf("filter %+v: got %v", f, got)
		}
	}
	// A walk that changes what it walks over visits everything once.
	met := map[string]int{}
	w.ok(w.store.Each(w.ctx, Filter{State: StateDead}, func(e Entry) error {
		met[e.ID]++
		return w.store.Resend(w.ctx, testApp, e.ID, Actor{})
	}))
	dead, err := w.store.Count(w.ctx, Filter{State: StateDead})
	w.ok(err)
	resending, err := w.store.Count(w.ctx, Filter{State: StateResending})
	w.ok(err)
	if dead != 0 || resending != len(met) || slices.Max(slices.Collect(maps.Values(met))) != 1 {
		t.Errorf("%d dead, %d resending, met %v", dead, resending, met)
	}
}

// testListRace: what changes while a page is read is as if it had done so before.
func testListRace(t *testing.T, w *world) {
	ids := func(s *Store, f Filter) string {
		t.Helper()
		read, err := s.List(w.ctx, f, "", 2)
		page, next := read.Entries, read.Next
		w.ok(err)
		var list []string
		for _, e := range page {
			list = append(list, e.ID)
		}
		return strings.Join(list, " ") + " " + next
	}
	for _, id := range []string{"a", "b", "c", "d"} {
		w.die(id, forbidden)
		w.clock.add(time.Second)
	}
	w.ok(w.store.Resend(w.ctx, testApp, "c", Actor{}))
	again := message(testApp, "c")
	again.Generation = 1
	got := ids(w.interrupted("get", func() { w.ok(w.store.Put(w.ctx, w.death(again, banned))) }), Filter{Error: forbidden.Error})
	if !strings.HasPrefix(got, "d b ") {
		t.Errorf("one died again: %q", got)
	}
	got = ids(w.interrupted("get", func() { w.ok(w.store.Discard(w.ctx, testApp, "d", Actor{})) }), Filter{State: StateDead})
	if !strings.HasPrefix(got, "c b ") {
		t.Errorf("one was discarded: %q", got)
	}
	w.clock.add(KeepDefault)
	got = ids(w.interrupted("get", func() { w.sweep() }), Filter{})
	if !strings.HasPrefix(got, "c b ") {
		t.Errorf("one was purged: %q", got)
	}
}

func testFilters(t *testing.T, w *world) {
	put := func(app, id string, v errclass.Verdict, p tasks.Payload) {
		task := message(app, id)
		if p != nil {
			task.Payload = p
		}
		w.ok(w.store.Put(w.ctx, w.death(task, v)))
		w.clock.add(time.Minute)
	}
	other := forbidden
	other.Status = 400
	put(testApp, "a", forbidden, nil)
	put(testApp, "b", banned, nil)
	put(testApp, "c", other, nil) // the same cause as a, another status
	put(testApp, "d", forbidden, tasks.Recall{MsgID: "123", To: "u1", ChatType: "chat"})
	put("bar", "e", forbidden, nil)
	w.ok(w.store.Discard(w.ctx, testApp, "b", Actor{}))
	cause := w.get("a").Cause
	if w.get("c").Cause != cause {
		t.Fatalf("causes %s and %s", cause, w.get("c").Cause)
	}

	for name, tc := range map[string]struct {
		f    Filter
		want string
	}{
		"all":               {Filter{}, "e d c b a"},
		"app":               {Filter{App: "bar"}, "e"},
		"unknown app":       {Filter{App: "none"}, ""},
		"state":             {Filter{State: StateDiscarded}, "b"},
		"state dead":        {Filter{State: StateDead}, "e d c a"},
		"kind":              {Filter{Kind: tasks.KindMessageRecall}, "d"},
		"class":             {Filter{Class: errclass.ClassNeedsHuman}, "b"},
		"class and state":   {Filter{Class: errclass.ClassNeedsHuman, State: StateDead}, ""},
		"error":             {Filter{Error: "forbidden_op"}, "e d c a"},
		"error and app":     {Filter{Error: "forbidden_op", App: testApp}, "d c a"},
		"cause":             {Filter{Cause: cause}, "c a"},
		"cause by a prefix": {Filter{Cause: "forb"}, "e d c a"},
		"no such cause":     {Filter{Cause: "forbidden-zzzzzzzz"}, ""},
		"status":            {Filter{Status: 403}, "e d a"},
		"status and cause":  {Filter{Status: 400, Cause: cause}, "c"},
		"since":             {Filter{Since: epoch.Add(2 * time.Minute)}, "e d c"},
		"since, finer":      {Filter{Since: epoch.Add(2*time.Minute + 1)}, "e d"},
		"until":             {Filter{Until: epoch.Add(2 * time.Minute)}, "b a"},
		"until, finer":      {Filter{Until: epoch.Add(2*time.Minute + 1)}, "c b a"},
		"between":           {Filter{Since: epoch.Add(time.Minute), Until: epoch.Add(3 * time.Minute)}, "c b"},
		"between, error":    {Filter{Since: epoch.Add(time.Minute), Until: epoch.Add(3 * time.Minute), Error: "forbidden_op"}, "c"},
		"nothing between":   {Filter{Since: epoch.Add(time.Hour), Until: epoch}, ""},
	} {
		for _, limit := range []int{1, 2, 50} {
			entries := []string{}
			for cursor := ""; ; {
				read, err := w.store.List(w.ctx, tc.f, cursor, limit)
				page, next := read.Entries, read.Next
				w.ok(err)
				for _, e := range page {
					entries = append(entries, e.ID)
				}
				if cursor = next; next == "" {
					break
				}
			}
			if got := strings.Join(entries, " "); got != tc.want {
				t.Errorf("%s, limit %d: got %q, want %q", name, limit, got, tc.want)
			}
		}
		if n, err := w.store.Count(w.ctx, tc.f); err != nil || n != len(strings.Fields(tc.want)) {
			t.Errorf("%s: count %d, %v", name, n, err)
		}
		if name != "all" && tc.f.Empty() || name == "all" && !tc.f.Empty() {
			t.Errorf("%s: empty %v", name, tc.f.Empty())
		}
	}

	// A cursor from a page without Until does not pass by it.
	first, err := w.store.List(w.ctx, Filter{}, "", 1)
	w.ok(err)
	second, err := w.store.List(w.ctx, Filter{Until: epoch.Add(time.Minute)}, first.Next, 10)
	page := second.Entries
	if err != nil || len(page) != 1 || page[0].ID != "a" {
		t.Errorf("with a cursor before until: %+v, %v", page, err)
	}
}

func TestListRefuses(t *testing.T) {
	t.Parallel()
	w := miniWorld(t)
	encode := base64.RawURLEncoding.EncodeToString
	for name, tc := range map[string]struct {
		f      Filter
		cursor string
		limit  int
		field  string
	}{
		"limit too large":     {limit: PageMax + 1, field: "limit"},
		"limit negative":      {limit: -1, field: "limit"},
		"app":                 {f: Filter{App: "No App"}, field: "app"},
		"short cause":         {f: Filter{Cause: "for"}, field: "cause"},
		"state":               {f: Filter{State: "gone"}, field: "state"},
		"status":              {f: Filter{Status: -1}, field: "status"},
		"cursor no base64":    {cursor: "%%%", field: "cursor"},
		"cursor empty inside": {cursor: encode([]byte("  ")), field: "cursor"},
		"cursor no time":      {cursor: encode([]byte("x shop a")), field: "cursor"},
		"cursor no app":       {cursor: encode([]byte("1 Shop{} a")), field: "cursor"},
		"cursor no id":        {cursor: encode([]byte("1 shop ")), field: "cursor"},
	} {
		var refused *tasks.FieldError
		_, err := w.store.List(w.ctx, tc.f, tc.cursor, tc.limit)
		if !errors.As(err, &refused) || refused.Field != tc.field {
			t.Errorf("%s: %v", name, err)
		}
		if tc.f.Empty() {
			continue
		}
		if _, err := w.store.Count(w.ctx, tc.f); !errors.As(err, &refused) {
			t.Errorf("%s: count: %v", name, err)
		}
		if _, err := w.store.Causes(w.ctx, tc.f); !errors.As(err, &refused) {
			t.Errorf("%s: causes: %v", name, err)
		}
		if err := w.store.Each(w.ctx, tc.f, func(Entry) error { return nil }); !errors.As(err, &refused) {
			t.Errorf("%s: each: %v", name, err)
		}
	}
}

func testCauses(t *testing.T, w *world) {
	for i := range 5 {
		v := forbidden
		v.Description = fmt.Sprintf("users [u%d] are not members of this group!", i)
		if i == 4 {
			v.Status = 400
		}
		w.die(fmt.Sprint("f", i), v)
		w.clock.add(time.Second)
	}
	w.die("b0", banned)
	d := w.death(message(testApp, "e0"), overloaded)
	d.Reason = ReasonExhausted
	w.ok(w.store.Put(w.ctx, d))
	w.ok(w.store.Discard(w.ctx, testApp, "f4", Actor{}))
	w.ok(w.store.Resend(w.ctx, testApp, "f3", Actor{}))
	w.ok(w.store.Put(w.ctx, w.death(message("bar", "x"), forbidden)))

	causes, err := w.store.Causes(w.ctx, Filter{App: testApp})
	w.ok(err)
	if len(causes) != 3 {
		t.Fatalf("causes %+v", causes)
	}
	c := causes[0]
	want := Cause{
		ID: w.get("f0").Cause, App: testApp, Kind: tasks.KindMessageSend, Class: errclass.ClassPermanent, Scope: errclass.ScopeJob,
		Rule: "forbidden", Error: "forbidden_op", Description: errclass.Normalise(forbidden.Description), Reason: ReasonVerdict,
		Counts:    map[State]int{StateDead: 3, StateDiscarded: 1, StateResending: 1},
		FirstSeen: epoch, LastSeen: epoch.Add(4 * time.Second), Sample: "f2", Why: forbidden.Why, Advice: forbidden.Advice,
		Trend: Trend{LastHour: 5, LastDay: 5}, Triage: Triage{State: TriageOpen, OpenedAt: epoch},
		statuses: []int{403, 400}, total: map[State]int{StateDead: 3, StateDiscarded: 1, StateResending: 1},
	}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got  %+v\nwant %+v", c, want)
	}
	labels := []string{}
	for _, c := range causes[1:] {
		label, _, _ := strings.Cut(c.ID, "-")
		labels = append(labels, label)
	}
	slices.Sort(labels)
	if !reflect.DeepEqual(labels, []string{"banned", "exhausted"}) {
		t.Errorf("labels %v", labels)
	}

	counts := func(f Filter) (all []map[State]int) {
		t.Helper()
		causes, err := w.store.Causes(w.ctx, f)
		w.ok(err)
		for _, c := range causes {
			all = append(all, c.Counts)
		}
		return all
	}
	for name, tc := range map[string]struct {
		f    Filter
		want []map[State]int
	}{
		"all apps":    {Filter{Error: "forbidden_op"}, []map[State]int{{StateDead: 3, StateDiscarded: 1, StateResending: 1}, {StateDead: 1}}},
		"state":       {Filter{State: StateDiscarded}, []map[State]int{{StateDead: 3, StateDiscarded: 1, StateResending: 1}}},
		"time":        {Filter{App: testApp, Until: epoch.Add(time.Second)}, []map[State]int{{StateDead: 1}}},
		"status":      {Filter{Status: 400}, []map[State]int{{StateDiscarded: 1}}},
		"status 2":    {Filter{Status: 403, App: testApp}, []map[State]int{{StateDead: 3, StateResending: 1}}},
		"no match":    {Filter{Kind: tasks.KindUserMute}, nil},
		"short cause": {Filter{Cause: c.ID[:len(c.ID)-1], App: testApp}, []map[State]int{{StateDead: 3, StateDiscarded: 1, StateResending: 1}}},
	} {
		if got := counts(tc.f); !reflect.DeepEqual(got, tc.want) {
			t.Errorf("%s: got %v, want %v", name, got, tc.want)
		}
	}
	if by, err := w.store.Causes(w.ctx, Filter{Status: 403, App: testApp}); err != nil || by[0].Sample != "f2" {
		t.Errorf("sample by status: %+v, %v", by, err)
	}
}

func TestCauseID(t *testing.T) {
	t.Parallel()
	w := miniWorld(t)
	base := w.death(message(testApp, "a"), forbidden)
	id := newCause(base).ID
	change := func(f func(*Death)) string {
		d := base
		f(&d)
		return newCause(d).ID
	}
	for name, same := range map[string]string{
		"status":      change(func(d *Death) { d.Verdict.Status = 500 }),
		"ids":         change(func(d *Death) { d.Verdict.Description = "users [u7, u8] are not members of this group!" }),
		"task":        change(func(d *Death) { d.Task.ID = "b" }),
		"queue, time": change(func(d *Death) { d.Queue, d.At = "x", time.Now() }),
	} {
		if same != id {
			t.Errorf("another %s: cause %s, want %s", name, same, id)
		}
	}
	seen := map[string]string{id: "base"}
	for name, other := range map[string]string{
		"app":         change(func(d *Death) { d.Task.App = "bar" }),
		"kind":        change(func(d *Death) { d.Task.Payload = tasks.Recall{} }),
		"class":       change(func(d *Death) { d.Verdict.Class = errclass.ClassRetryable }),
		"error":       change(func(d *Death) { d.Verdict.Error = "x" }),
		"rule":        change(func(d *Death) { d.Verdict.Rule = "x" }),
		"reason":      change(func(d *Death) { d.Reason = ReasonExhausted }),
		"description": change(func(d *Death) { d.Verdict.Description = "quite another thing" }),
	} {
		if first, twice := seen[other]; twice {
			t.Errorf("another %s: the cause of %s, %s", name, first, other)
		}
		seen[other] = name
	}
	for label, want := range map[string]string{
		"Rule one!":             "rule-one-",
		"":                      "unknown",
		"规则":                    "--",
		strings.Repeat("a", 99): strings.Repeat("a", causeLabelMax),
	} {
		if got := causeLabel(label); got != want {
			t.Errorf("label of %q: %q, want %q", label, got, want)
		}
	}
}
