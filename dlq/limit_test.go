package dlq

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/imqueue/emq/tasks"
)

func rates(t testing.TB, calls, messages string) (l tasks.Limit) {
	t.Helper()
	var err error
	if l.Calls, err = tasks.ParseRates(calls); err == nil {
		l.Messages, err = tasks.ParseRates(messages)
	}
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func testLimits(t *testing.T, w *world) {
	if limits, err := w.store.Limits(w.ctx); err != nil || len(limits) != 0 {
		t.Errorf("before anything: %+v, %v", limits, err)
	}
	users := Limit{
		App: testApp, Endpoint: tasks.EndpointMessagesUsers, Limit: rates(t, "50/s,1000/30m", "600/m"), Reason: "shared with another program", By: "ann",
	}
	w.ok(w.store.SetLimit(w.ctx, users))
	rooms := Limit{
		App: testApp, Endpoint: tasks.EndpointMessagesRooms, Limit: rates(t, "", "10/s"), Reason: "a \x00 party", At: epoch.Add(-time.Hour + time.Microsecond),
	}
	w.ok(w.store.SetLimit(w.ctx, rooms))
	other := Limit{App: "bar", Endpoint: tasks.EndpointUsersAccount, Limit: rates(t, "1/h", ""), Reason: "trial"}
	w.ok(w.store.SetLimit(w.ctx, other))

	users.At, other.At = epoch, epoch
	rooms.At, rooms.Reason = epoch.Add(-time.Hour), "a  party"
	limits, err := w.store.Limits(w.ctx) // the apps are known by their limits alone
	if want := []Limit{other, rooms, users}; err != nil || !reflect.DeepEqual(limits, want) {
		t.Errorf("limits %+v, %v\nwant %+v", limits, err, want)
	}
	w.clock.add(time.Minute)
	users.Limit, users.By, users.At = rates(t, "5/s", ""), "", time.Time{}
	w.ok(w.store.SetLimit(w.ctx, users))
	users.At = epoch.Add(time.Minute)
	limits, err = w.store.Limits(w.ctx, testApp)
	if want := []Limit{rooms, users}; err != nil || !reflect.DeepEqual(limits, want) {
		t.Errorf("limits %+v, %v\nwant %+v", limits, err, want)
	}

	w.ok(w.store.ClearLimit(w.ctx, testApp, users.Endpoint, Actor{Name: "ann"}))
	if err := w.store.ClearLimit(w.ctx, testApp, users.Endpoint, Actor{}); !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), "messages.users of shop") {
		t.Errorf("clear again: %v", err)
	}
	if limits, err := w.store.Limits(w.ctx, testApp, "bar"); err != nil || !reflect.DeepEqual(limits, []Limit{other, rooms}) {
		t.Errorf("limits %+v, %v", limits, err)
	}

	// What another version wrote, or nobody, hides nothing and can be cleared.
	w.ok(w.rdb.HSet(w.ctx, limitsKey(testApp), "messages.future", `{"limit":{"calls":"1/s"},"reason":"r"}`, "groups.other", `{"limit":`).Err())
	limits, err = w.store.Limits(w.ctx, testApp)
	if err == nil || !strings.Contains(err.Error(), "groups.other of shop") || len(limits) != 2 || limits[0].Endpoint != "messages.future" {
		t.Errorf("limits %+v, %v", limits, err)
	}
	w.ok(w.store.ClearLimit(w.ctx, testApp, "groups.other", Actor{}))
	w.ok(w.store.ClearLimit(w.ctx, testApp, "messages.future", Actor{}))
	if limits, err := w.store.Limits(w.ctx, testApp); err != nil || !reflect.DeepEqual(limits, []Limit{rooms}) {
		t.Errorf("limits %+v, %v", limits, err)
	}
}

func TestBadLimits(t *testing.T) {
	t.Parallel()
	w := miniWorld(t)
	good := Limit{App: testApp, Endpoint: tasks.EndpointGroupsCreate, Limit: rates(t, "1/s", ""), Reason: strings.Repeat("r", noteMax)}
	for _, test := range []struct {
		field, bound string
		spoil        func(*Limit)
	}{
		{"app", "lower-case", func(l *Limit) { l.App = "No App" }},
		{"endpoint", "messages, groups, rooms, users", func(l *Limit) { l.Endpoint = "" }},
		{"endpoint", "messages, groups, rooms, users", func(l *Limit) { l.Endpoint = "birds.fly" }},
		{"endpoint", "groups.create, ", func(l *Limit) { l.Endpoint = "groups.craete" }},
		{"limit", "calls, messages or both", func(l *Limit) { l.Limit = tasks.Limit{} }},
		{"calls.rate", "count from 1", func(l *Limit) { l.Limit.Calls = []tasks.Rate{{Count: 0, Per: time.Second}} }},
		{"calls.rate", "time of 1s", func(l *Limit) { l.Limit.Calls = []tasks.Rate{{Count: 1}} }},
		{"messages.rate", "time of 1s", func(l *Limit) { l.Limit.Messages = []tasks.Rate{{Count: 1, Per: 1500 * time.Millisecond}} }},
		{"reason", "must be given", func(l *Limit) { l.Reason = " \n" }},
		{"reason", "at most 1024 bytes", func(l *Limit) { l.Reason += "r" }},
	} {
		l := good
		test.spoil(&l)
		var refused *tasks.FieldError
		if err := w.store.SetLimit(w.ctx, l); !errors.As(err, &refused) || refused.Field != test.field || !strings.Contains(refused.Bound, test.bound) {
			t.Errorf("%+v: error %v, want one about %s: %s", l, err, test.field, test.bound)
		}
	}
	w.ok(w.store.SetLimit(w.ctx, good))
	var refused *tasks.FieldError
	if _, err := w.store.Limits(w.ctx, "No App"); !errors.As(err, &refused) {
		t.Errorf("list of a bad app: %v", err)
	}
	if err := w.store.ClearLimit(w.ctx, "No App", good.Endpoint, Actor{}); !errors.As(err, &refused) {
		t.Errorf("clear of a bad app: %v", err)
	}
}
