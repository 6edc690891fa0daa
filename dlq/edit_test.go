package dlq

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/imqueue/emq/tasks"
)

func TestEdit(t *testing.T) {
	t.Parallel()
	w := miniWorld(t)
	w.die("e1", forbidden)
	before := w.get("e1")
	by := Actor{Name: "op", Note: "typo"}

	for name, payload := range map[string]string{
		"to":          `{"target":"users","to":[],"type":"txt","body":{"msg":"x"}}`,
		"colour":      `{"target":"users","to":["u1"],"type":"txt","body":{"msg":"x"},"colour":"red"}`,
		"json":        `{`,
		"in one call": `{"target":"chatgroups","to":["1","2","3","4"],"type":"txt","body":{"msg":"x"}}`, // Enqueue would split it
	} {
		var field *tasks.FieldError
		err := w.store.Edit(w.ctx, testApp, "e1", json.RawMessage(payload), by)
		if !errors.As(err, &field) || !strings.Contains(err.Error(), name) {
			t.Errorf("payload %s: error %v, want one that names %q", payload, err, name)
		}
	}
	if got := w.get("e1"); string(got.Payload) != string(before.Payload) || len(got.Events) != len(before.Events) {
		t.Fatalf("a refused edit changed the entry: %+v", got)
	}

	w.ok(w.store.Edit(w.ctx, testApp, "e1", json.RawMessage(`{"target":"users","to":["u2"],"type":"txt","body":{"msg":"x"}}`), by))
	got := w.get("e1")
	last := got.Events[len(got.Events)-1]
	if got.State != StateDead || !strings.Contains(string(got.Payload), `"u2"`) {
		t.Errorf("after the edit: %s, payload %s", got.State, got.Payload)
	}
	if last.Action != ActionEdit || last.By != "op" || string(last.Before) != string(before.Payload) {
		t.Errorf("event of the edit: %+v, want the old payload in it", last)
	}

	// What is resent is the new payload.
	w.ok(w.store.Resend(w.ctx, testApp, "e1", by))
	info, err := w.inspect.GetTaskInfo(messageQueue, "e1~1")
	w.ok(err)
	if queued, err := tasks.Decode(info.Payload); err != nil || queued.Payload.(tasks.Message).To[0] != "u2" {
		t.Errorf("queued %+v (%v), want the edited message", queued, err)
	}
	if err := w.store.Edit(w.ctx, testApp, "e1", got.Payload, by); !errors.Is(err, ErrState) {
		t.Errorf("edit while it is resent: %v, want ErrState", err)
	}
	if err := w.store.Edit(w.ctx, testApp, "none", got.Payload, by); !errors.Is(err, ErrNotFound) {
		t.Errorf("edit of nothing: %v, want ErrNotFound", err)
	}
}

func TestEditOfAnExpiredTaskHidesSecrets(t *testing.T) {
	t.Parallel()
	w := miniWorld(t)
	task := message(testApp, "reg")
	task.Payload = tasks.UserRegister{Users: []tasks.NewUser{{Username: "u1", Password: "canary-old"}}}
	task.ExpiresAt = epoch.Add(-time.Hour)
	w.ok(w.store.Put(w.ctx, w.death(task, forbidden)))
	w.ok(w.store.Edit(w.ctx, testApp, "reg", json.RawMessage(`{"username":"u2","password":"canary-new"}`), Actor{Name: "op"}))
	shown, err := json.Marshal(w.get("reg").Redacted())
	w.ok(err)
	if strings.Contains(string(shown), "canary") {
		t.Errorf("a password is shown: %s", shown)
	}
}

func TestSettle(t *testing.T) {
	t.Parallel()
	w := miniWorld(t)
	w.die("s1", overloaded)
	by := Actor{Name: "op", Note: "the receiver has it"}
	if left, err := w.store.Settle(w.ctx, testApp, "s1", by); err != nil || left != 0 {
		t.Fatalf("%d left, %v", left, err)
	}
	got := w.get("s1")
	if last := got.Events[len(got.Events)-1]; got.State != StateResolved || last.Action != ActionSettled || last.By != "op" {
		t.Errorf("after settling: %s, last event %+v", got.State, last)
	}
	if _, err := w.store.Settle(w.ctx, testApp, "s1", Actor{}); !errors.Is(err, ErrState) {
		t.Errorf("settled twice: %v, want ErrState", err)
	}
}

// TestSettleAPart: what was perhaps served of a list is settled, and the rest stays.
func TestSettleAPart(t *testing.T) {
	t.Parallel()
	w := miniWorld(t)
	task := message(testApp, "s2")
	task.Payload = tasks.Message{Target: tasks.Users, To: []string{"u1", "u2", "u3"}, Body: tasks.Text{Msg: "hello"}}
	death := w.death(task, overloaded)
	death.Reason, death.Unknown = ReasonUnknownOutcome, []string{"u2"}
	w.ok(w.store.Put(w.ctx, death))
	if got := w.get("s2"); !slices.Equal(got.Unknown, death.Unknown) {
		t.Errorf("unknown: %v", got.Unknown)
	}
	left, err := w.store.Settle(w.ctx, testApp, "s2", Actor{Name: "op"})
	if err != nil || left != 2 {
		t.Fatalf("%d left, %v", left, err)
	}
	got := w.get("s2")
	if got.State != StateDead || got.Reason != ReasonRest || got.Unknown != nil || !strings.Contains(string(got.Payload), `"to":["u1","u3"]`) {
		t.Errorf("after settling a part: %s, unknown %v, payload %s", got.State, got.Unknown, got.Payload)
	}
	// The same command again, or a second person, is not about those that were not called.
	if left, err := w.store.Settle(w.ctx, testApp, "s2", Actor{}); !errors.Is(err, ErrRest) || left != 0 || w.get("s2").State != StateDead {
		t.Errorf("settled again: %d left, %v, %s", left, err, w.get("s2").State)
	}
}
