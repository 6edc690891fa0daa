package dlq

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/imqueue/emq/tasks"
)

func testSilences(t *testing.T, w *world) {
	good := Silence{App: testApp, Cause: "quota-1f0a", Until: epoch.Add(2 * time.Hour), By: "ann", Reason: "known, plan is being raised"}
	for field, spoil := range map[string]func(*Silence){
		"app":    func(s *Silence) { s.App = "no app" },
		"cause":  func(s *Silence) { s.Cause = "q" },
		"until":  func(s *Silence) { s.Until = epoch },
		"by":     func(s *Silence) { s.By = " " },
		"reason": func(s *Silence) { s.Reason = "" },
	} {
		bad := good
		spoil(&bad)
		var refused *tasks.FieldError
		if _, err := w.store.SetSilence(w.ctx, bad); !errors.As(err, &refused) || refused.Field != field {
			t.Errorf("a bad %s: %v", field, err)
		}
	}
	far := good
	far.Until = epoch.Add(SilenceMax + time.Second)
	if _, err := w.store.SetSilence(w.ctx, far); err == nil {
		t.Error("a silence of more than 30 days passed")
	}

	first, err := w.store.SetSilence(w.ctx, good)
	w.ok(err)
	whole := good
	whole.Cause, whole.Until = "", epoch.Add(time.Hour)
	second, err := w.store.SetSilence(w.ctx, whole)
	w.ok(err)
	list, err := w.store.Silences(w.ctx)
	w.ok(err)
	if len(list) != 2 || list[0] != second || list[1] != first {
		t.Fatalf("silences %+v", list)
	}
	for _, c := range []struct {
		silence Silence
		cause   string
		want    bool
	}{{first, "quota-1f0a9c3e", true}, {first, "quota-2", false}, {first, "", false}, {second, "quota-2", true}, {second, "", true}} {
		if got := c.silence.Covers(c.cause); got != c.want {
			t.Errorf("%q covers %q: %v", c.silence.Cause, c.cause, got)
		}
	}

	w.clock.add(time.Hour)
	if list, err = w.store.Silences(w.ctx, testApp); err != nil || len(list) != 1 || list[0].ID != first.ID {
		t.Errorf("after an hour: %+v, %v", list, err)
	}
	w.ok(w.store.EndSilence(w.ctx, testApp, first.ID, Actor{Name: "bob"}))
	if err := w.store.EndSilence(w.ctx, testApp, first.ID, Actor{Name: "bob"}); !errors.Is(err, ErrNotFound) {
		t.Errorf("ended twice: %v", err)
	}
	third, err := w.store.SetSilence(w.ctx, Silence{App: testApp, Until: epoch.Add(3 * time.Hour), By: "ann", Reason: "again"})
	w.ok(err)
	if kept := w.rdb.HKeys(w.ctx, silencesKey(testApp)).Val(); len(kept) != 1 || kept[0] != third.ID {
		t.Errorf("what is over is still kept: %v", kept)
	}
	lines, _, err := w.store.Audit(w.ctx, AuditFilter{App: testApp}, "", 10)
	w.ok(err)
	var said []string
	for _, l := range lines {
		said = append(said, l.By+" "+l.Action+" "+l.What)
	}
	if got := strings.Join(said, "; "); !strings.Contains(got, "ann silence alerts of quota-1f0a until ") || !strings.Contains(got, "bob clear silence "+first.ID) {
		t.Errorf("audit: %s", got)
	}
}
