package worker

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/imqueue/emq/dlq"
	"github.com/imqueue/emq/errclass"
	"github.com/imqueue/emq/tasks"
	"github.com/imqueue/emq/tasks/redisserver/redistest"
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

// scrape is what a worker shows at /metrics, by series.
func scrape(t *testing.T, worker *Worker) map[string]float64 {
	t.Helper()
	answer := httptest.NewRecorder()
	worker.Handler().ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if answer.Code != http.StatusOK {
		t.Fatalf("status %d: %s", answer.Code, answer.Body)
	}
	series := map[string]float64{}
	for line := range strings.Lines(answer.Body.String()) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		i := strings.LastIndexByte(strings.TrimSpace(line), ' ')
		value, err := strconv.ParseFloat(strings.TrimSpace(line[i+1:]), 64)
		must(t, err)
		series[line[:i]] = value
	}
	return series
}

// TestMetricsOfAWorker has a worker deliver, retry, bury and resend, be held, and lose its
// Redis, and reads the numbers. All series that are read are there before the first task.
func TestMetricsOfAWorker(t *testing.T) {
	t.Parallel()
	mini, rdb := redistest.Mini(t)
	w := newWorldOn(t, "redis://"+mini.Addr(), rdb, simulator.Config{})
	w.fault(simulator.Fault{Path: "/messages/users", BodyContains: "busy", Times: 1, Status: 503})
	w.fault(simulator.Fault{Path: "/messages/users", BodyContains: "odd", Times: 1, Status: 400, Body: map[string]any{"error": "illegal_argument"}})
	worker, err := New(w.config())
	must(t, err)
	say := func(text string) tasks.Payload {
		return tasks.Message{Target: tasks.Users, To: []string{"u1"}, Body: tasks.Text{Msg: text}}
	}
	const app = `app="default",`
	want := map[string]float64{
		`emq_attempts_total{` + app + `class="success",kind="message.send",rule="ok"}`:          3,
		`emq_calls_total{` + app + `class="retryable",kind="message.send"}`:                     1,
		`emq_calls_total{` + app + `class="permanent",kind="message.send"}`:                     1,
		`emq_call_duration_seconds_count{` + app + `endpoint="messages.users"}`:                 5,
		`emq_delivery_duration_seconds_count{` + app + `family="messages",priority="default"}`:  3,
		`emq_in_flight{app="default"}`:                                                          0,
		`emq_limit_waits_total{` + app + `endpoint="messages.users"}`:                           0,
		`emq_breaker_open{app="default"}`:                                                       0,
		`emq_token_fetches_total{` + app + `result="ok"}`:                                       1,
		`emq_token_fetches_total{` + app + `result="failed"}`:                                   0,
		`emq_unknown_answers_total{` + app + `kind="message.send"}`:                             0,
		`emq_resends_total{` + app + `end="resolved"}`:                                          1,
		`emq_resends_total{` + app + `end="dead"}`:                                              0,
		`emq_recovered_tasks_total`:                                                             0,
		`emq_redis_up`:                                                                          1,
		`emq_dead_letters{` + app + `class="permanent",state="resolved"}`:                       1,
		`emq_dead_letters{` + app + `class="permanent",state="dead"}`:                           0,
		`emq_dead_letter_causes{app="default"}`:                                                 1,
		`emq_queue_tasks{` + app + `queue="` + usersQueue(tasks.Default) + `",state="pending"}`: 0,
		`emq_queue_oldest_seconds{` + app + `queue="` + usersQueue(tasks.Default) + `"}`:        0,
		`emq_holds{` + app + `family="all"}`:                                                    0,
		`emq_holds{` + app + `family="messages"}`:                                               1,
		`emq_dead_letters_purged_total`:                                                         0,
	}
	before := scrape(t, worker)
	for series := range want {
		if value, ok := before[series]; !ok || value != 0 && series != "emq_redis_up" {
			t.Errorf("before the first task: %s is %v, %v", series, value, ok)
		}
	}
	w.run(worker)
	w.enqueue(say("hello"))
	w.enqueue(say("busy"))
	id := w.enqueue(say("odd"))
	w.dead(id)
	must(t, w.store.Resend(t.Context(), tasks.AppDefault, id, dlq.Actor{Name: "ann"}))
	w.idle()
	_, err = w.store.SetHold(t.Context(), dlq.Hold{App: tasks.AppDefault, Family: tasks.FamilyMessages, Rule: "operator", By: "ann"})
	must(t, err)
	var got map[string]float64
	w.eventually("the numbers", func() bool {
		got = scrape(t, worker)
		return got[`emq_holds{`+app+`family="messages"}`] == 1
	})
	for series, n := range want {
		if got[series] != n {
			t.Errorf("%s is %v, want %v", series, got[series], n)
		}
	}
	if got["emq_redis_duration_seconds_count"] < 10 {
		t.Errorf("%v commands were timed", got["emq_redis_duration_seconds_count"])
	}
	w.eventually("the tallies", func() bool {
		list, err := w.store.Tallies(t.Context(), tasks.AppDefault)
		sum := dlq.Tally{}
		for _, n := range list {
			sum.Delivered, sum.Failed, sum.Dead = sum.Delivered+n.Delivered, sum.Failed+n.Failed, sum.Dead+n.Dead
		}
		return err == nil && sum == dlq.Tally{Delivered: 3, Failed: 1, Dead: 1}
	})
	mini.SetError("LOADING away")
	w.eventually("the word that Redis is away", func() bool { return scrape(t, worker)["emq_redis_up"] == 0 })
	if away := scrape(t, worker); away[`emq_dead_letter_causes{app="default"}`] != 1 {
		t.Error("the last numbers are gone while Redis is away")
	}
	mini.SetError("")
}

// TestMetricsStayFew has many tasks fail, each with words of its own.
func TestMetricsStayFew(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Config{})
	worker, err := New(w.config())
	must(t, err)
	w.run(worker)
	for i := range 300 {
		w.fault(simulator.Fault{Path: "/messages/users", BodyContains: fmt.Sprintf("odd-%d.", i), Status: 400, Body: map[string]any{
			"error": fmt.Sprintf("error_%d", i), "error_description": fmt.Sprintf("words of its own: %x", i*7919),
		}})
	}
	for i := range 300 {
		w.enqueue(tasks.Message{Target: tasks.Users, To: []string{"u1"}, Body: tasks.Text{Msg: fmt.Sprintf("odd-%d.", i)}})
		if i == 0 {
			w.idle()
		}
	}
	w.idle()
	all, attempts := scrape(t, worker), 0
	for series := range all {
		if strings.HasPrefix(series, "emq_attempts_total{") {
			attempts++
		}
		if strings.Contains(series, "error_") || strings.Contains(series, "words") || strings.Contains(series, "u1") {
			t.Errorf("a label that is not bounded: %s", series)
		}
	}
	if most := len(tasks.Kinds())*(1+len(ownVerdicts())) + len(worker.rules.Load().Rules()); attempts > most {
		t.Errorf("%d series of attempts, want at most %d", attempts, most)
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
