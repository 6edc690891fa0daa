package tasks

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
)

const sampleParent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

// A task enqueued outside any trace carries nothing of one.
func TestUntracedTaskHasNoHeaders(t *testing.T) {
	t.Parallel()
	forEachRedis(t, func(t *testing.T, rdb redis.UniversalClient) {
		r, err := newClient(t, rdb).Enqueue(t.Context(), text("hello"))
		must(t, err)
		if info, _ := queued(t, rdb, r.ID); len(info.Headers) != 0 {
			t.Errorf("headers %v", info.Headers)
		}
	})
}

// Without an SDK, the caller's own span context travels as it is, sampled or not.
func TestCallersContextTravels(t *testing.T) {
	t.Parallel()
	forEachRedis(t, func(t *testing.T, rdb redis.UniversalClient) {
		c := newClient(t, rdb)
		for i, parent := range []string{sampleParent, strings.TrimSuffix(sampleParent, "1") + "0"} {
			ctx := trace.ContextWithRemoteSpanContext(t.Context(), ParseTraceparent(parent))
			r, err := c.Enqueue(ctx, text("hello"), ID(fmt.Sprint("t", i)))
			must(t, err)
			info, _ := queued(t, rdb, r.ID)
			equal(t, "headers", info.Headers, map[string]string{headerParent: parent})
			if strings.Contains(string(info.Payload), "0af7651916") {
				t.Errorf("the trace is in emq's own encoding: %s", info.Payload)
			}
		}
	})
}

// One span is made of each enqueue, and every task and part of it carries that span.
func TestEnqueueSpan(t *testing.T) {
	t.Parallel()
	forEachRedis(t, func(t *testing.T, rdb redis.UniversalClient) {
		spans := tracetest.NewSpanRecorder()
		provider := sdk.NewTracerProvider(sdk.WithSpanProcessor(spans))
		c, err := NewClient(ClientConfig{Redis: rdb, TracerProvider: provider})
		must(t, err)
		ctx, outer := provider.Tracer("test").Start(t.Context(), "request")

		_, err = c.Enqueue(ctx, text(secretText), ID("single"))
		must(t, err)
		many := make([]string, 601)
		for i := range many {
			many[i] = fmt.Sprint("u", i)
		}
		receipts, err := c.EnqueueMany(ctx, []Task{
			{ID: "list", Payload: Message{Target: Users, To: many, Body: Text{Msg: secretText}}}, {ID: "b", Payload: text(secretText)},
		})
		must(t, err)
		_, err = c.Enqueue(ctx, text(secretText), ID("single"))
		if err == nil {
			t.Error("no duplicate")
		}
		if _, err = c.Enqueue(ctx, Message{To: []string{secretText}}); err == nil {
			t.Error("not refused")
		}
		if len(receipts[0].Parts) < 2 {
			t.Fatalf("not split: %+v", receipts[0])
		}

		ended := spans.Ended()
		if len(ended) != 4 {
			t.Fatalf("%d spans", len(ended))
		}
		for _, s := range ended {
			if s.Name() != "emq enqueue" || s.SpanKind() != trace.SpanKindProducer || s.Parent().SpanID() != outer.SpanContext().SpanID() {
				t.Errorf("span %s, %s, parent %s", s.Name(), s.SpanKind(), s.Parent().SpanID())
			}
			if text := fmt.Sprint(s.Attributes(), s.Status(), s.Events()); strings.Contains(text, secretText) || strings.Contains(text, "u1") {
				t.Errorf("a span says %s", text)
			}
		}
		for id, s := range map[string]sdk.ReadOnlySpan{"single": ended[0], receipts[0].Parts[0].ID: ended[1], receipts[0].Parts[1].ID: ended[1], "b": ended[1]} {
			info, _ := queued(t, rdb, id)
			if got := TraceOf(info.Headers).Parent; got.SpanID() != s.SpanContext().SpanID() || got.TraceID() != s.SpanContext().TraceID() || !got.IsRemote() {
				t.Errorf("%s carries %v, want %v", id, got, s.SpanContext())
			}
		}
	})
}

// A resend carries a trace of its own, and whom it goes back to.
func TestRequeueLinks(t *testing.T) {
	t.Parallel()
	forEachRedis(t, func(t *testing.T, rdb redis.UniversalClient) {
		plain := newClient(t, rdb)
		task := Task{ID: "a", Payload: text("hello"), TraceLink: sampleParent}
		must(t, plain.Requeue(t.Context(), task, 1))
		info, _ := queued(t, rdb, "a~1")
		equal(t, "headers", info.Headers, map[string]string{headerLink: sampleParent})
		task.TraceLink = "nonsense"
		must(t, plain.Requeue(t.Context(), task, 2))
		if info, _ = queued(t, rdb, "a~2"); len(info.Headers) != 0 {
			t.Errorf("headers %v", info.Headers)
		}

		spans := tracetest.NewSpanRecorder()
		traced, err := NewClient(ClientConfig{Redis: rdb, TracerProvider: sdk.NewTracerProvider(sdk.WithSpanProcessor(spans))})
		must(t, err)
		task.TraceLink = sampleParent
		must(t, traced.Requeue(context.Background(), task, 3))
		info, _ = queued(t, rdb, "a~3")
		got, span := TraceOf(info.Headers), spans.Ended()[0]
		if got.Parent.SpanID() != span.SpanContext().SpanID() || FormatTraceparent(got.Link) != sampleParent || got.Parent.TraceID() == got.Link.TraceID() {
			t.Errorf("carries %+v, want span %v and link %s", got, span.SpanContext(), sampleParent)
		}
		if links := span.Links(); len(links) != 1 || FormatTraceparent(links[0].SpanContext) != sampleParent {
			t.Errorf("links %v", links)
		}
	})
}

// What is malformed counts as absent.
func TestTraceOf(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{
		"", "nonsense", sampleParent[:54], strings.ToUpper(sampleParent), "ff" + sampleParent[2:],
		"00-00000000000000000000000000000000-b7ad6b7169203331-01", "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01", strings.Repeat("\xff", 1000),
	} {
		got := TraceOf(map[string]string{headerParent: bad, headerLink: bad, headerState: "a=b"})
		if got.Parent.IsValid() || got.Link.IsValid() {
			t.Errorf("%q: %+v", bad, got)
		}
	}
	if got := TraceOf(map[string]string{headerParent: sampleParent, headerState: "\x00,,=", headerLink: "x"}); FormatTraceparent(got.Parent) != sampleParent {
		t.Errorf("%+v", got)
	}
	state, err := trace.ParseTraceState("k=" + strings.Repeat("v", 250) + ",l=" + strings.Repeat("v", 250) + ",m=" + strings.Repeat("v", 250))
	must(t, err)
	for _, c := range []struct {
		state trace.TraceState
		kept  bool
	}{{state, false}, {trace.TraceState{}, false}, {must1(trace.ParseTraceState("k=v")), true}} {
		ctx := trace.ContextWithSpanContext(t.Context(), ParseTraceparent(sampleParent).WithTraceState(c.state))
		headers := traceHeaders(ctx, "")
		if _, kept := headers[headerState]; kept != c.kept || headers[headerParent] != sampleParent {
			t.Errorf("headers %v", headers)
		}
	}
}

func must1[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
