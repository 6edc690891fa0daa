package tasks

import (
	"context"
	"errors"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// A task carries the trace context of its enqueue as headers of its asynq message,
// beside its own encoding: a worker that knows none of it makes the call all the same.
const (
	headerParent = "traceparent"
	headerState  = "tracestate"
	headerLink   = "emq-link" // a traceparent
)

const (
	tracerName  = "github.com/imqueue/emq/tasks"
	spanEnqueue = "emq enqueue"
	// traceStateMax bounds the tracestate that a task carries: a longer one is left out.
	traceStateMax = 512
)

// A Trace says where a task comes from. Either part may be invalid, as for most tasks
// both are.
type Trace struct {
	Parent trace.SpanContext // the span that enqueued the task
	Link   trace.SpanContext // of a resend: the first attempt at the task
}

// TraceOf reads the headers of a task's asynq message. What is malformed counts as
// absent.
func TraceOf(headers map[string]string) Trace {
	if len(headers) == 0 {
		return Trace{}
	}
	ctx := propagation.TraceContext{}.Extract(context.Background(), propagation.MapCarrier(headers))
	return Trace{Parent: trace.SpanContextFromContext(ctx), Link: ParseTraceparent(headers[headerLink])}
}

// ParseTraceparent reads a W3C traceparent. The span context of one that is malformed is
// not valid.
func ParseTraceparent(text string) trace.SpanContext {
	if text == "" {
		return trace.SpanContext{}
	}
	ctx := propagation.TraceContext{}.Extract(context.Background(), propagation.MapCarrier{headerParent: text})
	return trace.SpanContextFromContext(ctx)
}

// FormatTraceparent writes a W3C traceparent; nothing for a span context that is not
// valid.
func FormatTraceparent(span trace.SpanContext) string {
	if !span.IsValid() {
		return ""
	}
	headers := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(trace.ContextWithSpanContext(context.Background(), span), headers)
	return headers[headerParent]
}

// traceHeaders are the headers of a task that is enqueued in ctx, and goes back to link;
// nil when neither says anything.
func traceHeaders(ctx context.Context, link string) map[string]string {
	link = FormatTraceparent(ParseTraceparent(link))
	if link == "" && !trace.SpanContextFromContext(ctx).IsValid() {
		return nil
	}
	headers := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, headers)
	if len(headers[headerState]) > traceStateMax {
		delete(headers, headerState)
	}
	if link != "" {
		headers[headerLink] = link
	}
	return headers
}

func newTracer(provider trace.TracerProvider) trace.Tracer {
	if provider == nil {
		provider = otel.GetTracerProvider()
	}
	return provider.Tracer(tracerName)
}

// An enqueueSpan is the span of an enqueue or a resend of some tasks.
type enqueueSpan struct{ trace.Span }

// span begins the span of an enqueue.
func (c *Client) span(ctx context.Context) (context.Context, enqueueSpan) {
	ctx, span := c.tracer.Start(ctx, spanEnqueue, trace.WithSpanKind(trace.SpanKindProducer))
	return ctx, enqueueSpan{span}
}

// about notes what is enqueued: tasks that are fit to be, with their options set.
func (s enqueueSpan) about(items []*enqueueItem) {
	if !s.IsRecording() {
		return
	}
	s.SetAttributes(attribute.Int("emq.tasks", len(items)))
	for _, item := range items {
		if link := ParseTraceparent(item.task.TraceLink); link.IsValid() && item.task.Generation > 0 {
			s.AddLink(trace.Link{SpanContext: link})
		}
	}
	if len(items) == 1 {
		t := items[0].task
		s.SetAttributes(attribute.String("emq.app", t.App), attribute.String("emq.kind", string(t.Kind())),
			attribute.String("emq.priority", string(t.Priority)), attribute.Int("emq.generation", t.Generation))
	}
}

// refused ends the span of an enqueue that queued nothing, because a task was refused.
// The error itself, like any here, may hold what a span must not.
func (s enqueueSpan) refused() { s.SetStatus(codes.Error, "refused") }

// queued notes what became of the tasks.
func (s enqueueSpan) queued(receipts []Receipt) {
	if !s.IsRecording() {
		return
	}
	var duplicates, failed int
	for _, r := range receipts {
		switch {
		case errors.Is(r.Err, ErrDuplicate):
			duplicates++
		case r.Err != nil:
			failed++
		}
	}
	if duplicates > 0 {
		s.SetAttributes(attribute.Int("emq.duplicates", duplicates))
	}
	if failed > 0 {
		s.SetAttributes(attribute.Int("emq.failed", failed))
		s.SetStatus(codes.Error, "not queued, or perhaps not")
	}
}
