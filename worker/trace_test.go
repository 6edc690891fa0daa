package worker

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"go.opentelemetry.io/otel/attribute"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/imqueue/emq/dlq"
	"github.com/imqueue/emq/errclass"
	"github.com/imqueue/emq/tasks"
	"github.com/imqueue/emq/worker/easemob/simulator"
)

// traces is a world whose client and workers record their spans.
type traces struct {
	*world
	spans    *tracetest.SpanRecorder
	provider *sdk.TracerProvider
}

func newTraces(t *testing.T, cfg simulator.Config) *traces {
	t.Helper()
	w := &traces{world: newWorld(t, cfg), spans: tracetest.NewSpanRecorder()}
	w.provider = sdk.NewTracerProvider(sdk.WithSpanProcessor(w.spans))
	var err error
	w.client, err = tasks.NewClient(tasks.ClientConfig{Redis: w.rdb, TracerProvider: w.provider})
	must(t, err)
	return w
}

func (w *traces) traced(c *Config) { c.TracerProvider = w.provider }

// request enqueues a message in the span of a request.
func (w *traces) request(opts ...tasks.Option) (id string, request trace.SpanContext) {
	w.t.Helper()
	ctx, span := w.provider.Tracer("test").Start(w.t.Context(), "request")
	defer span.End()
	receipt, err := w.client.Enqueue(ctx, text("u1"), opts...)
	must(w.t, err)
	return receipt.ID, span.SpanContext()
}

// named waits for so many spans of a name, and returns them by their beginning.
func (w *traces) named(name string, n int) []sdk.ReadOnlySpan {
	w.t.Helper()
	var found []sdk.ReadOnlySpan
	w.eventually(fmt.Sprint(n, " spans ", name), func() bool {
		found = slices.DeleteFunc(w.spans.Ended(), func(s sdk.ReadOnlySpan) bool { return s.Name() != name })
		return len(found) >= n
	})
	if len(found) != n {
		w.t.Errorf("%d spans %s, want %d", len(found), name, n)
	}
	slices.SortStableFunc(found, func(a, b sdk.ReadOnlySpan) int { return a.StartTime().Compare(b.StartTime()) })
	return found
}

func (w *traces) childOf(s sdk.ReadOnlySpan, parent trace.SpanContext) {
	w.t.Helper()
	if s.SpanContext().TraceID() != parent.TraceID() || s.Parent().SpanID() != parent.SpanID() {
		w.t.Errorf("%s is of trace %s, parent %s; want %s, %s", s.Name(), s.SpanContext().TraceID(), s.Parent().SpanID(), parent.TraceID(), parent.SpanID())
	}
}

func attributes(s sdk.ReadOnlySpan) map[string]string {
	all := map[string]string{}
	for _, a := range s.Attributes() {
		all[string(a.Key)] = a.Value.String()
	}
	return all
}

func (w *traces) says(s sdk.ReadOnlySpan, want map[string]string) {
	w.t.Helper()
	got := attributes(s)
	for key, value := range want {
		if got[key] != value {
			w.t.Errorf("%s: %s is %q, want %q", s.Name(), key, got[key], value)
		}
	}
}

// TestOneTrace follows a task through two attempts: all is one trace.
func TestOneTrace(t *testing.T) {
	t.Parallel()
	w := newTraces(t, simulator.Config{})
	w.fault(simulator.Fault{Path: "/messages/users", Status: 500, Body: answers("internal_error", "odd"), Times: 1})
	planned := time.Now().Add(1500 * time.Millisecond)
	id, request := w.request(tasks.ID("order-1"), tasks.At(planned))
	w.start(w.traced)
	w.eventually("it is delivered", func() bool { return w.executed(id) == 1 })
	w.idle()

	enqueue := w.named("emq enqueue", 1)[0]
	w.childOf(enqueue, request)
	waits, attempts, calls := w.named("emq wait", 2), w.named("emq attempt", 2), w.named("emq call", 2)
	for i := range 2 {
		w.childOf(waits[i], enqueue.SpanContext())
		w.childOf(attempts[i], enqueue.SpanContext())
		w.childOf(calls[i], attempts[i].SpanContext())
		if !waits[i].EndTime().Equal(attempts[i].StartTime()) || len(attempts[i].Links()) != 0 || attempts[i].SpanKind() != trace.SpanKindConsumer || calls[i].SpanKind() != trace.SpanKindClient {
			t.Errorf("attempt %d: %+v", i, attempts[i])
		}
	}
	if at := waits[0].StartTime(); at.Sub(planned).Abs() > time.Millisecond {
		t.Errorf("the first wait begins at %v, planned for %v", at, planned)
	}
	if since := waits[1].StartTime(); since.Before(calls[0].EndTime().Truncate(time.Millisecond)) || since.After(attempts[0].EndTime()) {
		t.Errorf("the second wait begins at %v, the first attempt ended at %v", since, attempts[0].EndTime())
	}
	w.says(attempts[0], map[string]string{
		"emq.app": tasks.AppDefault, "emq.kind": "message.send", "emq.priority": "default", "emq.attempt": "1", "emq.generation": "0",
		"emq.class": "retryable", "emq.end": "retry",
	})
	w.says(attempts[1], map[string]string{"emq.attempt": "2", "emq.class": "success", "emq.end": "done"})
	w.says(calls[0], map[string]string{"http.request.method": "POST", "http.response.status_code": "500", "server.address": "127.0.0.1"})
	w.says(calls[1], map[string]string{"http.response.status_code": "200"})
	if attributes(attempts[0])["emq.rule"] == "" {
		t.Error("no rule")
	}
}

// TestResendLinks: a resend is a trace of its own, whose attempts link to the first
// attempt of all, however often it is resent.
func TestResendLinks(t *testing.T) {
	t.Parallel()
	for _, sender := range []string{"traced", "untraced"} {
		t.Run(sender, func(t *testing.T) {
			t.Parallel()
			w := newTraces(t, simulator.Config{})
			if sender == "traced" {
				var err error
				w.store, err = dlq.New(dlq.Config{Redis: w.rdb, Client: w.client})
				must(t, err)
			}
			fault := simulator.Fault{Path: "/messages/users", Status: 403, Body: answers("forbidden_op", "not open to this appKey")}
			w.fault(fault)
			id, request := w.request()
			w.start(w.traced)
			entry := w.dead(id)
			first := w.named("emq attempt", 1)[0]
			w.says(first, map[string]string{"emq.end": "dead"})
			if got := tasks.ParseTraceparent(entry.Trace); got.SpanID() != first.SpanContext().SpanID() || got.TraceID() != request.TraceID() {
				t.Errorf("the entry's trace is %q, want that of %v", entry.Trace, first.SpanContext())
			}
			for generation := 1; generation <= 2; generation++ {
				must(t, w.store.Resend(t.Context(), tasks.AppDefault, id, dlq.Actor{Name: "ada"}))
				if again := w.dead(id); again.Trace != entry.Trace || again.Generation != generation {
					t.Errorf("generation %d: trace %q, want %q", again.Generation, again.Trace, entry.Trace)
				}
				resent := w.named("emq attempt", 1+generation)[generation]
				w.says(resent, map[string]string{"emq.generation": fmt.Sprint(generation)})
				if links := resent.Links(); len(links) != 1 || links[0].SpanContext.SpanID() != first.SpanContext().SpanID() || links[0].SpanContext.TraceID() != request.TraceID() {
					t.Errorf("generation %d links to %v", generation, links)
				}
				if resent.SpanContext().TraceID() == request.TraceID() {
					t.Error("the resend is of the first trace")
				}
				if enqueues := w.spansNamed("emq enqueue"); sender == "traced" {
					w.childOf(resent, enqueues[generation].SpanContext())
				}
			}
		})
	}
}

func (w *traces) spansNamed(name string) []sdk.ReadOnlySpan {
	return slices.DeleteFunc(w.spans.Ended(), func(s sdk.ReadOnlySpan) bool { return s.Name() != name })
}

// TestUntracedTask: one that nobody traced, or with headers that say nothing, is called
// all the same. The attempts of a worker that traces are one trace.
func TestUntracedTask(t *testing.T) {
	t.Parallel()
	for name, headers := range map[string]map[string]string{
		"none":      nil,
		"malformed": {"traceparent": "00-nonsense", "tracestate": "\x01", "emq-link": strings.Repeat("x", 5000), "other": "1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newTraces(t, simulator.Config{})
			w.fault(simulator.Fault{Path: "/messages/users", Status: 500, Body: answers("internal_error", "odd"), Times: 2})
			now := time.Now()
			raw, err := tasks.Encode(tasks.Task{
				ID: "m1", App: tasks.AppDefault, Payload: text("u1"), Priority: tasks.Default, OnUnknown: tasks.Retry,
				MaxAttempts: 3, MaxAge: time.Hour, EnqueuedAt: now,
			})
			must(t, err)
			_, err = asynq.NewClientFromRedisClient(w.rdb).Enqueue(asynq.NewTaskWithHeaders("message.send", raw, headers), asynq.TaskID("m1"), asynq.Queue(messages))
			must(t, err)
			w.start(w.traced)
			w.eventually("it is delivered", func() bool { return w.executed("m1") == 1 })
			waits, attempts := w.named("emq wait", 3), w.named("emq attempt", 3)
			if waits[0].Parent().IsValid() {
				t.Errorf("the root has the parent %v", waits[0].Parent())
			}
			w.childOf(attempts[0], waits[0].SpanContext())
			w.childOf(attempts[1], attempts[0].SpanContext())
			w.childOf(attempts[2], attempts[0].SpanContext())
		})
	}
}

// TestUntracedWorker: where the worker records nothing, a dead letter still tells the
// trace of its enqueue; without one it tells none, and Redis holds nothing of either.
func TestUntracedWorker(t *testing.T) {
	t.Parallel()
	w := newTraces(t, simulator.Config{})
	w.fault(simulator.Fault{Path: "/messages/users", Status: 500, Body: answers("internal_error", "odd")})
	traced, request := w.request(tasks.MaxAttempts(2))
	plain, err := tasks.NewClient(tasks.ClientConfig{Redis: w.rdb})
	must(t, err)
	untraced, err := plain.Enqueue(t.Context(), text("u2"), tasks.MaxAttempts(1))
	must(t, err)
	w.start()
	w.eventually("an attempt is remembered", func() bool {
		return w.rdb.HExists(context.Background(), tasks.TaskKey(messages, traced), historyField).Val()
	})
	if w.rdb.HExists(context.Background(), tasks.TaskKey(messages, traced), "emq_trace").Val() {
		t.Error("an attempt that nobody recorded has left a trace")
	}
	enqueue := w.named("emq enqueue", 1)[0].SpanContext()
	if got := w.dead(traced).Trace; got != tasks.FormatTraceparent(enqueue) || !strings.Contains(got, request.TraceID().String()) {
		t.Errorf("trace %q, want that of %v", got, enqueue)
	}
	if got := w.dead(untraced.ID).Trace; got != "" {
		t.Errorf("trace %q of an untraced task", got)
	}
	if n := len(w.spansNamed("emq attempt")); n != 0 {
		t.Errorf("%d attempts", n)
	}
}

// TestUnsampled: what the request's sampler left out stays out, and is not kept.
func TestUnsampled(t *testing.T) {
	t.Parallel()
	w := newTraces(t, simulator.Config{})
	w.fault(simulator.Fault{Path: "/messages/users", Status: 403, Body: answers("forbidden_op", "no")})
	none := sdk.NewTracerProvider(sdk.WithSpanProcessor(w.spans), sdk.WithSampler(sdk.NeverSample()))
	ctx, _ := none.Tracer("test").Start(t.Context(), "request")
	client, err := tasks.NewClient(tasks.ClientConfig{Redis: w.rdb, TracerProvider: none})
	must(t, err)
	receipt, err := client.Enqueue(ctx, text("u1"))
	must(t, err)
	w.start(w.traced)
	if got := w.dead(receipt.ID).Trace; got != "" {
		t.Errorf("trace %q", got)
	}
	if ended := w.spans.Ended(); len(ended) != 0 {
		t.Errorf("spans %v", ended)
	}
}

// TestTraceAfterCrash: a task whose worker is gone, and one that an earlier worker has
// put back, go on in their trace.
func TestTraceAfterCrash(t *testing.T) {
	t.Parallel()
	w := newTraces(t, simulator.Config{})
	id, request := w.request()
	ctx := t.Context()
	// As a worker leaves it that dies right after the fetch.
	must(t, w.rdb.RPopLPush(ctx, queueKey(messages, keyPending), queueKey(messages, keyActive)).Err())
	must(t, w.rdb.HSet(ctx, tasks.TaskKey(messages, id), "state", "active", "emq_owner", "gone").Err())
	w.start(w.traced)
	w.eventually("it is delivered", func() bool { return w.executed(id) == 1 })
	attempt := w.named("emq attempt", 1)[0]
	w.childOf(attempt, w.named("emq enqueue", 1)[0].SpanContext())
	if attempt.SpanContext().TraceID() != request.TraceID() {
		t.Error("another trace")
	}
	w.says(attempt, map[string]string{"emq.attempt": "2", "emq.end": "done"})
	if n := len(w.spansNamed("emq wait")); n != 0 {
		t.Errorf("%d waits: since when is not known", n)
	}
}

// TestSpansHoldNoData: no ID, no text, no name and no secret gets into a span.
func TestSpansHoldNoData(t *testing.T) {
	t.Parallel()
	const canary = "canary7"
	w := newTraces(t, simulator.Config{})
	w.fault(simulator.Fault{Path: "/users", Status: 400, Body: answers(canary, "what is "+canary)})
	w.fault(simulator.Fault{Path: "/messages/users", Status: 403, Body: answers("forbidden_op", canary)})
	w.fault(simulator.Fault{Path: "/users/*", Status: 404, Body: canary})
	w.start(w.traced)
	for i, p := range []tasks.Payload{
		tasks.UserRegister{Users: []tasks.NewUser{{Username: canary, Password: canary}}},
		tasks.Message{Target: tasks.Users, To: []string{canary, canary + "b"}, From: canary, Body: tasks.Text{Msg: canary}},
		tasks.RawCall{Method: "GET", Path: "/users/" + canary + "?q=" + canary},
	} {
		w.dead(w.enqueue(p, tasks.ID(fmt.Sprint(canary, "-", i)), tasks.MaxAttempts(1)))
	}
	w.named("emq attempt", 3)
	for _, s := range w.spans.Ended() {
		said := fmt.Sprint(s.Name(), s.Status(), s.Events(), s.InstrumentationScope(), attributes(s), s.Links())
		for _, secret := range []string{canary, simulator.ClientSecretDefault, simulator.ClientIDDefault} {
			if strings.Contains(said, secret) {
				t.Errorf("a span says %s", said)
			}
		}
		for _, a := range s.Attributes() {
			if a.Value.Type() == attribute.STRING && strings.Contains(a.Value.AsString(), "/") {
				t.Errorf("%s: %s=%s looks like a path", s.Name(), a.Key, a.Value.AsString())
			}
		}
	}
}

// TestSpansOfNoCall: a task that ends without a call has an attempt and no call; one that
// a hold sends back has neither.
func TestSpansOfNoCall(t *testing.T) {
	t.Parallel()
	w := newTraces(t, simulator.Config{})
	expired, _ := w.request(tasks.ExpiresAt(time.Now().Add(50 * time.Millisecond)))
	time.Sleep(60 * time.Millisecond)
	w.plant(messages, "unreadable", `{"v":9,"id":"unreadable"}`)
	w.start(w.traced)
	w.dead(expired)
	w.dead("unreadable")
	for _, s := range w.named("emq attempt", 2) {
		w.says(s, map[string]string{"emq.end": "dead", "emq.app": tasks.AppDefault})
	}
	if n := len(w.spansNamed("emq call")); n != 0 {
		t.Errorf("%d calls", n)
	}
	a := &attempt{task: tasks.Task{ID: "a", App: tasks.AppDefault, Payload: text("u1")}, verdict: errclass.Verdict{}}
	a.trace.close() // of a task that went back
	if n := len(w.spansNamed("emq attempt")); n != 2 {
		t.Errorf("%d attempts", n)
	}
}
