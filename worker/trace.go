package worker

import (
	"context"
	"net/url"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/imqueue/emq/errclass"
	"github.com/imqueue/emq/tasks"
)

const (
	tracerName  = "github.com/imqueue/emq/worker"
	spanWait    = "emq wait"
	spanAttempt = "emq attempt"
	spanCall    = "emq call"
	// endBack is the end of a traced attempt that no log line speaks of: the task went
	// back to its queue.
	endBack = "back"
)

// An attemptTrace is the tracing of one attempt. Its spans begin, with the time of the
// attempt's own beginning, when there is a call or an end to tell of: a task that a limit
// or a hold sends back has none. No span holds an ID, a text or a secret.
type attemptTrace struct {
	origin tasks.Trace

	// Of an earlier attempt at this generation, when there was one that was recorded:
	// the first one's span, and when the last one ended. They are kept in the task's
	// asynq hash.
	first trace.SpanContext
	last  time.Time

	ctx  context.Context // of the attempt's span
	span trace.Span      // nil until it begins
	end  string
}

// newAttemptTrace reads what a task brings along. What can't be read counts as absent.
func newAttemptTrace(headers map[string]string, f *flight) attemptTrace {
	t := attemptTrace{origin: tasks.TraceOf(headers)}
	if f != nil && f.trace != "" {
		first, last, _ := strings.Cut(f.trace, " ")
		if ms, err := strconv.ParseInt(last, 10, 64); err == nil {
			t.first, t.last = tasks.ParseTraceparent(first), time.UnixMilli(ms)
		}
	}
	return t
}

// leave is what the attempt, which ends now, leaves for the next one; empty when nobody
// records its spans.
func (t *attemptTrace) leave() string {
	if t.span == nil || !t.span.IsRecording() {
		return ""
	}
	return tasks.FormatTraceparent(t.firstSpan()) + " " + strconv.FormatInt(time.Now().UnixMilli(), 10)
}

// firstSpan is that of the first attempt.
func (t *attemptTrace) firstSpan() trace.SpanContext {
	if t.first.IsValid() {
		return t.first
	}
	return t.span.SpanContext()
}

// traceparent is the trace that a dead letter of this attempt is kept with; empty for
// none.
func (w *Worker) traceparent(a *attempt) string {
	w.traceBegin(a)
	first := a.trace.firstSpan()
	if !first.IsSampled() {
		return "" // nobody could look at it
	}
	return tasks.FormatTraceparent(first)
}

// traceBegin begins the attempt's span, after one of the wait before it. They belong to
// the span that enqueued the task. Where there is none, the first wait is the root of a
// trace, and later attempts belong to the first one.
func (w *Worker) traceBegin(a *attempt) {
	t := &a.trace
	if t.span != nil {
		return
	}
	parent := t.origin.Parent
	if !parent.IsValid() {
		parent = t.first
	}
	t.ctx = context.Background()
	if parent.IsValid() {
		t.ctx = trace.ContextWithRemoteSpanContext(t.ctx, parent)
	}
	if w.tracer == nil {
		t.span = trace.SpanFromContext(t.ctx) // which records nothing
		return
	}
	about := trace.WithAttributes(
		attribute.String("emq.app", a.task.App), attribute.String("emq.kind", string(a.task.Kind())),
		attribute.Int("emq.attempt", a.number), attribute.Int("emq.generation", a.task.Generation),
		attribute.String("emq.priority", string(a.task.Priority)))
	if since := t.waits(a); !since.IsZero() {
		ctx, wait := w.tracer.Start(t.ctx, spanWait, trace.WithTimestamp(since), about)
		wait.End(trace.WithTimestamp(a.started))
		if !parent.IsValid() {
			t.ctx = ctx
		}
	}
	options := []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindConsumer), trace.WithTimestamp(a.started), about}
	if t.origin.Link.IsValid() {
		options = append(options, trace.WithLinks(trace.Link{SpanContext: t.origin.Link}))
	}
	t.ctx, t.span = w.tracer.Start(t.ctx, spanAttempt, options...)
}

// waits is since when the task has waited for this attempt; zero when that is not known.
func (t *attemptTrace) waits(a *attempt) time.Time {
	since := t.last
	if since.IsZero() && !a.redelivered() && !a.task.EnqueuedAt.IsZero() {
		if since = a.task.EnqueuedAt; a.task.ProcessAt.After(since) {
			since = a.task.ProcessAt
		}
	}
	if since.After(a.started) {
		since = a.started // by another machine's clock
	}
	return since
}

// traceEnd notes how the attempt ends, if it does.
func (w *Worker) traceEnd(a *attempt, end string) {
	w.traceBegin(a)
	t := &a.trace
	if !t.span.IsRecording() || end == endPart {
		return
	}
	v := a.ending()
	t.end = end
	t.span.SetAttributes(attribute.String("emq.class", string(v.Class)), attribute.String("emq.rule", v.Rule))
	if v.Class != errclass.ClassSuccess {
		t.span.SetStatus(codes.Error, v.Rule)
	}
}

// close ends the attempt's span, if it began.
func (t *attemptTrace) close() {
	if t.span == nil {
		return
	}
	if t.end == "" {
		t.end = endBack
	}
	t.span.SetAttributes(attribute.String("emq.end", t.end))
	t.span.End()
}

// traceCall begins the span of one call. What it returns ends it, once the evidence is
// there.
func (w *Worker) traceCall(a *attempt, method string) (end func()) {
	w.traceBegin(a)
	if !a.trace.span.IsRecording() {
		return func() {}
	}
	_, span := w.tracer.Start(a.trace.ctx, spanCall, trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(
		attribute.String("http.request.method", method), attribute.String("server.address", w.hosts[a.task.App])))
	return func() {
		e := a.evidence
		switch {
		case a.refusal != nil:
			span.SetStatus(codes.Error, "not sent")
		case a.noToken:
			span.SetStatus(codes.Error, "no token")
		case e.Transport != "":
			span.SetAttributes(attribute.String("error.type", string(e.Transport)))
			span.SetStatus(codes.Error, string(e.Transport))
		case e.Status >= 400:
			span.SetStatus(codes.Error, "")
		}
		if e.Status != 0 {
			span.SetAttributes(attribute.Int("http.response.status_code", e.Status))
		}
		span.End()
	}
}

// traceBy has spans made by a provider; nil for none.
func (w *Worker) traceBy(provider trace.TracerProvider) {
	if provider == nil {
		return
	}
	w.tracer, w.hosts = provider.Tracer(tracerName), map[string]string{}
	for _, app := range w.cfg.Apps {
		if u, err := url.Parse(app.URL); err == nil {
			w.hosts[app.Alias] = u.Hostname()
		}
	}
}

// provider makes the spans of resends. It is never nil: that would be the global one.
func (w *Worker) provider() trace.TracerProvider {
	if w.cfg.TracerProvider == nil {
		return noop.NewTracerProvider()
	}
	return w.cfg.TracerProvider
}
