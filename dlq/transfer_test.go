package dlq

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/imqueue/emq/tasks"
)

// history makes entries in every state, with all that an entry may have.
func (w *world) history() {
	w.t.Helper()
	by := Actor{Name: "ada", Note: "<why> & \"how\""}
	for _, id := range []string{"dead", "edited", "resent", "resolved", "discarded", "restored", "again"} {
		w.die(id, forbidden)
		w.clock.add(time.Second)
	}
	w.ok(w.store.Edit(w.ctx, testApp, "edited", []byte(`{"target":"users","to":["u7"],"from":"admin","type":"txt","body":{"msg":"改"}}`), by))
	for _, id := range []string{"resent", "resolved", "again"} {
		w.ok(w.store.Resend(w.ctx, testApp, id, by))
	}
	w.clock.add(time.Second)
	task := message(testApp, "resolved")
	task.Generation = 1
	w.ok(w.store.Resolve(w.ctx, task, attempts(overloaded, w.clock.now(), 1)))
	task.ID = "again"
	w.ok(w.store.Put(w.ctx, Death{Task: task, Verdict: overloaded, Reason: ReasonExhausted, Attempts: attempts(overloaded, w.clock.now(), 3)}))
	w.ok(w.store.Discard(w.ctx, testApp, "discarded", by))
	w.ok(w.store.Discard(w.ctx, testApp, "restored", by))
	w.ok(w.store.Restore(w.ctx, testApp, "restored", by))
	w.ok(w.store.Put(w.ctx, Death{
		Task: tasks.Task{ID: "undecodable", App: testApp}, Raw: []byte("\xff\x00 no task"), Queue: messageQueue, Reason: ReasonUndecodable, Verdict: banned,
	}))
	w.ok(w.store.Put(w.ctx, Death{
		Task: tasks.Task{ID: "newer", App: testApp}, Raw: []byte(`{"v":99,"id":"newer","app":"shop"}`), Queue: messageQueue, Reason: ReasonUndecodable, Verdict: banned,
	}))
	list := message(testApp, "list")
	list.Payload = tasks.Message{Target: tasks.Users, To: []string{"u1", "u2", "u3"}, Body: tasks.Text{Msg: "x"}}
	w.ok(w.store.Put(w.ctx, Death{Task: list, Verdict: banned, Reason: ReasonUnknownOutcome, Unknown: []string{"u2"}}))
	for range AttemptsMax/10 + 2 {
		w.ok(w.store.Resend(w.ctx, testApp, "dead", by))
		task.ID, task.Generation = "dead", task.Generation+1
		e := w.get("dead")
		task.Generation = e.Generation
		w.ok(w.store.Put(w.ctx, Death{Task: task, Verdict: forbidden, Attempts: attempts(forbidden, w.clock.now(), 10)}))
	}
}

// lines exports all entries, by ID.
func (w *world) lines() map[string]string {
	w.t.Helper()
	lines := map[string]string{}
	w.ok(w.store.Each(w.ctx, Filter{}, func(e Entry) error {
		line, err := e.Export()
		lines[e.ID] = string(line)
		return err
	}))
	return lines
}

// testTransfer: what one Redis exports, another imports, and exports again as it was.
func testTransfer(t *testing.T, w *world) {
	w.history()
	exported := w.lines()
	other := miniWorld(t)
	for range 2 { // an import can be repeated
		for id, line := range exported {
			got, err := other.store.Import(other.ctx, []byte(line), Actor{Name: "bob"}, false)
			if err != nil || got.ID != id || got.Result != ImportAdded && got.Result != ImportUnchanged {
				t.Errorf("%s: %+v, %v", id, got, err)
			}
		}
	}
	back := other.lines()
	for id, line := range exported {
		if id == "resent" {
			e := other.get("resent")
			if last := e.Events[len(e.Events)-1]; e.State != StateDead || last.Action != ActionImport || last.By != "bob" || last.Note == "" {
				t.Errorf("an entry that was being resent: %s, %+v", e.State, last)
			}
			continue
		}
		if back[id] != line {
			t.Errorf("%s\nout  %s\nback %s", id, line, back[id])
		}
	}
	if len(back) != len(exported) {
		t.Errorf("%d came back, want %d", len(back), len(exported))
	}
	other.checkIndex()
	for _, c := range []string{w.get("dead").Cause, w.get("undecodable").Cause} {
		here, err := w.store.GetCause(w.ctx, testApp, c)
		w.ok(err)
		there, err := other.store.GetCause(other.ctx, testApp, c)
		w.ok(err)
		if here.Description != there.Description || here.Advice != there.Advice || !reflect.DeepEqual(here.Counts[StateDiscarded], there.Counts[StateDiscarded]) {
			t.Errorf("cause\nhere  %+v\nthere %+v", here, there)
		}
	}
	// It can be put to work there, and both purge alike.
	other.ok(other.store.Resend(other.ctx, testApp, "again", Actor{}))
	if got := other.take("again~2").Generation; got != 2 {
		t.Errorf("generation %d", got)
	}
}

// testTransferCorrected: a tool corrects what was exported, and it comes back.
func testTransferCorrected(t *testing.T, w *world) {
	w.history()
	by := Actor{Name: "bob", Note: "jq"}
	correct := func(id string) []byte {
		return []byte(strings.Replace(w.lines()[id], `"payload":{"target":"users","to":["u1"]`, `"payload":{"target":"users","to":["u5"]`, 1))
	}
	line := correct("restored")
	if got, err := w.store.Import(w.ctx, line, by, true); err != nil || got.Result != ImportEdited || strings.Contains(string(w.get("restored").Payload), "u5") {
		t.Errorf("dry: %s, %v", got.Result, err)
	}
	for _, want := range []ImportResult{ImportEdited, ImportUnchanged} {
		if got, err := w.store.Import(w.ctx, line, by, false); err != nil || got.Result != want {
			t.Errorf("got %s, %v, want %s", got.Result, err, want)
		}
	}
	e := w.get("restored")
	last := e.Events[len(e.Events)-1]
	if !strings.Contains(string(e.Payload), `"to":["u5"]`) || last.Action != ActionEdit || last.By != "bob" || !strings.Contains(string(last.Before), `"to":["u1"]`) {
		t.Errorf("payload %s, event %+v", e.Payload, last)
	}
	found, err := w.store.List(w.ctx, Filter{Target: "u5"}, "", 0)
	w.ok(err)
	if len(found.Entries) != 1 {
		t.Errorf("%d found by the new target", len(found.Entries))
	}
	// Elsewhere it arrives corrected.
	other := miniWorld(t)
	if got, err := other.store.Import(other.ctx, line, by, false); err != nil || got.Result != ImportAdded || !strings.Contains(string(other.get("restored").Payload), "u5") {
		t.Errorf("elsewhere: %s, %v", got.Result, err)
	}
	// What has moved on is left alone.
	w.ok(w.store.Discard(w.ctx, testApp, "restored", Actor{}))
	if got, err := w.store.Import(w.ctx, correctIn(line, "u5", "u6"), by, false); err != nil || got.Result != ImportSkipped {
		t.Errorf("discarded since: %s, %v", got.Result, err)
	}
	old := w.lines()["again"]
	w.ok(w.store.Resend(w.ctx, testApp, "again", Actor{}))
	w.clock.add(time.Second)
	task := message(testApp, "again")
	task.Generation = 2
	w.ok(w.store.Put(w.ctx, Death{Task: task, Verdict: forbidden}))
	if got, err := w.store.Import(w.ctx, []byte(old), by, false); err != nil || got.Result != ImportSkipped {
		t.Errorf("died again since: %s, %v", got.Result, err)
	}
	w.checkIndex()
}

func correctIn(line []byte, from, to string) []byte {
	return []byte(strings.Replace(string(line), `"payload":{"target":"users","to":["`+from, `"payload":{"target":"users","to":["`+to, 1))
}

func TestImportRefuses(t *testing.T) {
	t.Parallel()
	w := miniWorld(t)
	w.history()
	good := w.lines()
	change := func(id string, edit func(map[string]any)) string {
		var m map[string]any
		w.ok(json.Unmarshal([]byte(good[id]), &m))
		edit(m)
		raw, err := json.Marshal(m)
		w.ok(err)
		return string(raw)
	}
	set := func(field string, value any) func(map[string]any) { return func(m map[string]any) { m[field] = value } }
	other := miniWorld(t)
	for name, tc := range map[string]struct{ line, field string }{
		"no JSON":            {"{", "line"},
		"unknown field":      {change("dead", set("mood", "bad")), "line"},
		"two":                {good["dead"] + good["dead"], "line"},
		"no app":             {change("dead", set("app", "")), "app"},
		"no ID":              {change("dead", set("id", "")), "id"},
		"another's task":     {change("dead", set("id", "other")), "raw"},
		"state":              {change("dead", set("state", "gone")), "state"},
		"class":              {change("dead", set("class", "success")), "class"},
		"generation":         {change("dead", set("generation", -1)), "generation"},
		"cause":              {change("dead", set("cause", "a b")), "cause"},
		"no events":          {change("dead", set("events", []any{})), "last_failed_at, changed_at or events"},
		"payload":            {change("dead", set("payload", map[string]any{"target": "users", "to": []string{"u1"}, "type": "txt"})), "payload"},
		"payload not object": {change("dead", set("payload", 1)), "payload"},
		"payload of the end": {change("discarded", set("payload", map[string]any{"target": "users", "to": []string{"u9"}, "from": "a", "type": "txt", "body": map[string]any{"msg": "x"}})), "payload"},
	} {
		_, err := other.store.Import(other.ctx, []byte(tc.line), Actor{}, false)
		refused := (*tasks.FieldError)(nil)
		if !errors.As(err, &refused) || !strings.HasPrefix(refused.Field, tc.field) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if keys := other.keys("*"); len(keys) > 0 {
		t.Errorf("refused lines left %v", keys)
	}
}
