package dlq

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/imqueue/emq/tasks"
)

// audit is what the audit says, oldest first.
func (w *world) audit(f AuditFilter) []string {
	w.t.Helper()
	var all []string
	for cursor := ""; ; {
		lines, next, err := w.store.Audit(w.ctx, f, cursor, 3)
		w.ok(err)
		for _, l := range lines {
			all = append(all, fmt.Sprintf("%s %s %s %s %d %s", l.App, l.By, l.Action, l.What, l.Count, l.Why))
		}
		if cursor = next; cursor == "" {
			slices.Reverse(all)
			return all
		}
	}
}

// testAudit: every action of a person is there, once, with who, what, how many and why;
// what emq does by itself is not.
func testAudit(t *testing.T, w *world) {
	by := Actor{Name: "ada", Note: "why"}
	for _, id := range []string{"a", "b", "c", "u"} {
		w.die(id, forbidden)
	}
	cause := w.get("a").Cause
	w.ok(w.store.Resend(w.ctx, testApp, "a", by))
	if err := w.store.Resend(w.ctx, testApp, "a", by); err == nil {
		t.Error("resent twice")
	}
	task := message(testApp, "a")
	task.Generation = 1
	w.ok(w.store.Put(w.ctx, Death{Task: task, Verdict: forbidden}))
	w.ok(w.store.Edit(w.ctx, testApp, "a", []byte(`{"target":"users","to":["u9"],"from":"admin","type":"txt","body":{"msg":"x"}}`), by))
	w.ok(w.store.Discard(w.ctx, testApp, "a", by))
	w.ok(w.store.Restore(w.ctx, testApp, "a", by))
	_, err := w.store.Settle(w.ctx, testApp, "u", by)
	w.ok(err)
	w.ok(w.store.Acknowledge(w.ctx, testApp, cause, by))
	w.ok(w.store.Ignore(w.ctx, testApp, cause, by))
	w.ok(w.store.Reopen(w.ctx, testApp, cause, by))
	op := w.start(Bulk{Action: ActionDiscard, By: by})
	w.ok(w.store.SetRate(w.ctx, testApp, op.ID, 2, by))
	_, _, err = w.store.Work(w.ctx, op, 2, "w1")
	w.ok(err)
	w.ok(w.store.Cancel(w.ctx, testApp, op.ID, by))
	w.ok(w.store.Pause(w.ctx, messageQueue, by))
	w.ok(w.store.Pause(w.ctx, messageQueue, Actor{Name: "bob"})) // it is paused
	w.ok(w.store.Resume(w.ctx, messageQueue, by))
	_, err = w.store.SetHold(w.ctx, Hold{App: testApp, Family: tasks.FamilyRooms, Rule: "operator", By: "ada", Description: "why"})
	w.ok(err)
	w.ok(w.store.ClearHold(w.ctx, testApp, tasks.FamilyRooms, by))
	_, err = w.store.SetHold(w.ctx, badSecret) // a worker
	w.ok(err)
	limit, err := tasks.ParseRates("5/s")
	w.ok(err)
	w.ok(w.store.SetLimit(w.ctx, Limit{App: testApp, Endpoint: tasks.EndpointGroupsCreate, Limit: tasks.Limit{Calls: limit}, Reason: "why", By: "ada"}))
	w.ok(w.store.ClearLimit(w.ctx, testApp, tasks.EndpointGroupsCreate, by))
	w.ok(w.store.NoteAudit(w.ctx, ActionExport, testApp, "--all", 4, by))

	want := []string{
		"shop ada resend a 1 why", "shop ada edit a 1 why", "shop ada discard a 1 why", "shop ada restore a 1 why", "shop ada settled u 1 why",
		"shop ada ack " + cause + " 4 why", "shop ada ignore " + cause + " 4 why", "shop ada reopen " + cause + " 4 why",
		"shop ada start " + op.ID + ": discard --all 3 why", "shop ada rate " + op.ID + ": 2/s 3 why", "shop ada cancel " + op.ID + ": discard --all 3 why",
		"shop ada pause " + messageQueue + " 1 why", "shop ada resume " + messageQueue + " 1 why",
		"shop ada hold shop/rooms 1 why", "shop ada clear hold on shop/rooms 1 why",
		"shop ada limit groups.create: 5/s 1 why", "shop ada clear limit on groups.create 1 why", "shop ada export --all 4 why",
	}
	if got := w.audit(AuditFilter{}); !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if got := w.audit(AuditFilter{App: testApp, Action: ActionClear}); len(got) != 2 {
		t.Errorf("by action: %q", got)
	}
	if got := w.audit(AuditFilter{By: "bob"}); len(got) != 0 {
		t.Errorf("of bob: %q", got)
	}
}

// testAuditPages: pages of several apps neither repeat nor leave out a line, and lines
// that were kept for long enough go.
func testAuditPages(t *testing.T, w *world) {
	const lines = 40
	var want []string
	for i := range lines {
		for _, app := range []string{"bar", "baz", testApp} {
			w.ok(w.store.enrollOnce(w.ctx, app))
			line := AuditLine{At: epoch, By: "ada", Action: ActionExport, App: app, What: strconv.Itoa(i), Count: 1}
			// The clock of Redis gives several lines one time.
			w.ok(w.rdb.XAdd(w.ctx, &redis.XAddArgs{Stream: auditKey(app), ID: fmt.Sprintf("%d-%d", 1000+i/4, i%4), Values: []any{"line", line.encode()}}).Err())
			want = append(want, fmt.Sprintf("%s ada export %d 1 ", app, i))
		}
	}
	if got := w.audit(AuditFilter{}); !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for name, do := range map[string]func() error{
		"cursor": func() error { _, _, err := w.store.Audit(w.ctx, AuditFilter{}, "x", 0); return err },
		"limit":  func() error { _, _, err := w.store.Audit(w.ctx, AuditFilter{}, "", PageMax+1); return err },
		"app":    func() error { _, _, err := w.store.Audit(w.ctx, AuditFilter{App: "No App"}, "", 0); return err },
	} {
		if refused := (*tasks.FieldError)(nil); !errors.As(do(), &refused) || refused.Field != name {
			t.Errorf("%s: %v", name, do())
		}
	}
}

// TestAuditIsBounded: no loop of somebody's fills Redis, and a year is enough.
func TestAuditIsBounded(t *testing.T) {
	t.Parallel()
	w := realWorld(t)
	pipe := w.rdb.Pipeline()
	for i := range auditMax + 5000 {
		w.store.audited(w.ctx, pipe, ActionExport, testApp, strconv.Itoa(i), 1, Actor{Name: "ada"})
		if pipe.Len() == 5000 {
			_, err := pipe.Exec(w.ctx)
			w.ok(err)
		}
	}
	_, err := pipe.Exec(w.ctx)
	w.ok(err)
	if n := w.rdb.XLen(w.ctx, auditKey(testApp)).Val(); n < auditMax || n > auditMax+1000 {
		t.Errorf("%d lines are kept", n)
	}
	w.clock.at = time.Now().Add(AuditKeepDefault + time.Minute)
	for range 200 {
		w.sweep()
	}
	if n := w.rdb.XLen(w.ctx, auditKey(testApp)).Val(); n > 1000 {
		t.Errorf("%d lines are kept for more than a year", n)
	}
}
