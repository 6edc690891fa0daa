package worker

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/imqueue/emq/dlq"
	"github.com/imqueue/emq/errclass"
	"github.com/imqueue/emq/tasks"
	"github.com/imqueue/emq/worker/easemob/simulator"
)

// die makes a dead letter without a worker.
func (w *world) die(id string) {
	w.t.Helper()
	must(w.t, w.store.Put(w.t.Context(), dlq.Death{
		Task: tasks.Task{
			ID: id, App: tasks.AppDefault, Payload: text("u1"), Priority: tasks.Default, OnUnknown: tasks.Retry,
			MaxAttempts: 1, MaxAge: time.Hour, EnqueuedAt: time.Now(),
		},
		Verdict: errclass.Verdict{Class: errclass.ClassPermanent, Rule: "r", Status: 403, Error: "forbidden_op"},
	}))
}

// A limit of dead letters warns once when it is reached, again after an hour, and says
// when it is over.
func TestDeadLettersWarn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Config{})
	cfg := w.config()
	cfg.DeadLettersWarn = 2
	d := newDeadLetters(w.store, cfg, prometheus.NewRegistry())
	now := time.Now()
	d.now = func() time.Time { return now }
	lines := func() (warnings, over int) {
		must(t, d.look(t.Context()))
		return strings.Count(w.logs.String(), "level=WARN"), strings.Count(w.logs.String(), "below the limit again")
	}
	w.die("a")
	if n, _ := lines(); n != 0 {
		t.Errorf("%d warnings about one", n)
	}
	w.die("b")
	for range 3 {
		if n, _ := lines(); n != 1 {
			t.Errorf("%d warnings, want 1", n)
		}
	}
	if log := w.logs.String(); !strings.Contains(log, "app=default dead=2 limit=2 causes=1") || !strings.Contains(log, `look="emq dlq causes --app default"`) {
		t.Errorf("log:\n%s", log)
	}
	now = now.Add(warnEvery)
	if n, _ := lines(); n != 2 {
		t.Errorf("%d warnings after an hour, want 2", n)
	}
	must(t, w.store.Discard(t.Context(), tasks.AppDefault, "a", dlq.Actor{}))
	if n, over := lines(); n != 2 || over != 1 {
		t.Errorf("%d warnings, %d times over", n, over)
	}
	d.warn = -1
	w.die("c")
	w.die("d")
	if n, _ := lines(); n != 2 {
		t.Errorf("%d warnings with the limit off", n)
	}
}

// A worker shows the numbers from its start, and counts what it purges.
func TestDeadLetterMetrics(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Config{})
	worker, err := New(func() Config { cfg := w.config(); cfg.DeadLettersKeep = time.Millisecond; return cfg }())
	must(t, err)
	metrics := func() string {
		answer := httptest.NewRecorder()
		worker.Handler().ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/metrics", nil))
		return answer.Body.String()
	}
	for _, state := range dlq.States() {
		if want := fmt.Sprintf("emq_dead_letters{app=\"default\",class=\"permanent\",state=%q} 0\n", state); !strings.Contains(metrics(), want) {
			t.Errorf("at the start there is no %s", want)
		}
	}
	w.die("a")
	w.die("b")
	must(t, w.store.Discard(t.Context(), tasks.AppDefault, "b", dlq.Actor{}))
	time.Sleep(10 * time.Millisecond) // what is kept for a millisecond is due
	w.run(worker)
	w.eventually("numbers", func() bool {
		m := metrics()
		return strings.Contains(m, "emq_dead_letters{app=\"default\",class=\"permanent\",state=\"dead\"} 1\n") && strings.Contains(m, "emq_dead_letters_purged_total 1\n") &&
			strings.Contains(m, "emq_dead_letter_causes{app=\"default\"} 1\n")
	})
}
