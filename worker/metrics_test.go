package worker

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/imqueue/emq/errclass"
	"github.com/imqueue/emq/tasks"
	"github.com/imqueue/emq/worker/easemob/simulator"
)

// Answers that no rule knows are counted, and kept for whoever writes the rule.
func TestUnknownAnswersAreCountedAndKept(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Config{})
	w.fault(simulator.Fault{Path: "/messages/users", Times: 2, Status: 400, Body: map[string]any{
		"error": "flux_overrun", "error_description": "the flux of u1 is over its brim", "access_token": "YWMtsecret",
	}})
	worker, err := New(w.config())
	must(t, err)
	w.run(worker)
	for range 3 {
		w.enqueue(text("u1"))
	}
	w.idle()
	list, err := w.store.Unknowns(context.Background())
	must(t, err)
	if len(list) != 1 || list[0].Count != 2 || list[0].Error != "flux_overrun" || list[0].Kind != tasks.KindMessageSend || list[0].Status != 400 {
		t.Fatalf("unknown answers: %+v", list)
	}
	if !strings.Contains(list[0].Body, "over its brim") || strings.Contains(list[0].Body, "YWMtsecret") {
		t.Errorf("sample: %s", list[0].Body)
	}
	answer := httptest.NewRecorder()
	worker.Handler().ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	for _, want := range []string{
		`emq_unknown_answers_total{app="default",kind="message.send"} 2`,
		`emq_calls_total{app="default",class="permanent",kind="message.send"} 2`,
		`emq_calls_total{app="default",class="success",kind="message.send"} 1`,
	} {
		if !strings.Contains(answer.Body.String(), want) {
			t.Errorf("metrics lack %s:\n%s", want, answer.Body)
		}
	}
}

// Other rules are for the next answer; what is under way goes on.
func TestRulesChangeWhileTasksFlow(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Config{})
	w.fault(simulator.Fault{Path: "/messages/users", BodyContains: "odd", Status: 400, Body: map[string]any{"error": "flux_overrun"}})
	worker, err := New(w.config())
	must(t, err)
	w.run(worker)
	odd := tasks.Message{Target: tasks.Users, To: []string{"u1"}, Body: tasks.Text{Msg: "odd"}}
	if entry := w.dead(w.enqueue(odd)); entry.Rule == "flux" {
		t.Fatal("judged by a rule that nobody gave")
	}
	rules, err := worker.cfg.Rules.Extend(fluxRule)
	must(t, err)
	worker.SetRules(rules)
	w.enqueue(odd)
	w.idle()
	if n, err := w.store.Unknowns(context.Background()); err != nil || len(n) != 1 || n[0].Count != 1 {
		t.Errorf("unknown answers %+v, %v; want the first alone", n, err)
	}
}

var fluxRule = []errclass.Rule{{
	ID: "flux", Errors: []string{"flux_overrun"}, Class: errclass.ClassSuccess,
	Why: errclass.Text{En: "the flux is over, so it is done"}, Advice: errclass.Text{En: "nothing to do"},
}}
