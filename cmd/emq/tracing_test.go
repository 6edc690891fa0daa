package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/imqueue/emq/tasks/redisserver/redistest"
	"github.com/imqueue/emq/worker/easemob/simulator"
)

// receiver is a collector that takes OTLP over HTTP.
type receiver struct {
	*httptest.Server
	t *testing.T

	mu       sync.Mutex
	spans    []*otlp.Span
	raw      []byte // all bodies, unpacked
	headers  http.Header
	services []string
	requests int
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{t: t}
	r.Server = httptest.NewServer(http.HandlerFunc(r.take))
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) take(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.requests++
	r.headers = req.Header
	body := io.Reader(req.Body)
	if req.Header.Get("Content-Encoding") == "gzip" {
		var err error
		if body, err = gzip.NewReader(body); err != nil {
			r.t.Error(err)
			return
		}
	}
	raw, err := io.ReadAll(body)
	var batch collector.ExportTraceServiceRequest
	if err = errors.Join(err, proto.Unmarshal(raw, &batch)); err != nil || req.Method != http.MethodPost || req.URL.Path != "/v1/traces" {
		r.t.Errorf("%s %s: %v", req.Method, req.URL, err)
		return
	}
	r.raw = append(r.raw, raw...)
	for _, resource := range batch.ResourceSpans {
		for _, a := range resource.Resource.Attributes {
			if a.Key == "service.name" {
				r.services = append(r.services, a.Value.GetStringValue())
			}
		}
		for _, scope := range resource.ScopeSpans {
			r.spans = append(r.spans, scope.Spans...)
		}
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
}

// byName are the spans, in the order in which they came.
func (r *receiver) byName() map[string][]*otlp.Span {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := map[string][]*otlp.Span{}
	for _, s := range r.spans {
		all[s.Name] = append(all[s.Name], s)
	}
	return all
}

// tracedEmq is a Redis and a simulated Easemob, with the settings for both.
func tracedEmq(t *testing.T, more ...string) (sim *simulator.Simulator, environ []string) {
	t.Helper()
	mini, _ := redistest.Mini(t)
	sim, err := simulator.New(simulator.Config{})
	must(t, err)
	server := httptest.NewServer(sim)
	t.Cleanup(server.Close)
	return sim, append(more, "EMQ_REDIS_URL=redis://"+mini.Addr(), "EMQ_APP_KEY="+simulator.AppKeyDefault, "EMQ_EASEMOB_URL="+server.URL,
		"EMQ_CLIENT_ID="+simulator.ClientIDDefault, "EMQ_CLIENT_SECRET="+simulator.ClientSecretDefault, "EMQ_HEALTH=off")
}

// work runs a worker until n messages are executed, and returns what it logs and how long
// it took to stop.
func work(t *testing.T, sim *simulator.Simulator, n int, environ []string, meanwhile func()) (log string, stopping time.Duration) {
	t.Helper()
	e := newTestEnv(t, "", environ...)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	done := make(chan int, 1)
	go func() { done <- runUntil(ctx, e.env, []string{"worker"}) }()
	for deadline := time.Now().Add(30 * time.Second); len(sim.Executed()) < n; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			stop()
			<-done
			t.Fatalf("%d of %d messages are executed\n%s", len(sim.Executed()), n, e.stderr)
		}
	}
	if meanwhile != nil {
		meanwhile()
	}
	began := time.Now()
	stop()
	if code := <-done; code != exitDone {
		t.Errorf("exit code %d\n%s", code, e.stderr)
	}
	return e.stderr.String(), time.Since(began)
}

// The tests of this file run alone: what OpenTelemetry does with errors is one for all.

// TestTracesAreExported has `emq enqueue` and `emq worker` send their spans to a real
// receiver: all of them, one trace, no data.
func TestTracesAreExported(t *testing.T) {
	r := newReceiver(t)
	sim, environ := tracedEmq(t, "EMQ_OTLP_ENDPOINT="+r.URL, "EMQ_OTLP_HEADERS=authorization=Bearer%20canary-token,x-team=im")
	newTestEnv(t, "", environ...).run(t, exitDone, "enqueue", "--to", "canary-user", "--from", "canary-from", "--text", "canary-text", "--id", "canary-id")
	if n := len(r.byName()["emq enqueue"]); n != 1 {
		t.Fatalf("%d spans of the enqueue", n)
	}
	log, _ := work(t, sim, 1, environ, nil)
	spans := r.byName()
	if got := slices.Sorted(maps.Keys(spans)); !slices.Equal(got, []string{"emq attempt", "emq call", "emq enqueue", "emq wait"}) {
		t.Fatalf("spans %v\n%s", got, log)
	}
	enqueue, attempt := spans["emq enqueue"][0], spans["emq attempt"][0]
	for name, parent := range map[string]*otlp.Span{"emq wait": enqueue, "emq attempt": enqueue, "emq call": attempt} {
		if s := spans[name][0]; !bytes.Equal(s.TraceId, enqueue.TraceId) || !bytes.Equal(s.ParentSpanId, parent.SpanId) || len(spans[name]) != 1 {
			t.Errorf("%s: trace %x, parent %x, %d of them", name, s.TraceId, s.ParentSpanId, len(spans[name]))
		}
	}
	if h := r.headers; h.Get("Authorization") != "Bearer canary-token" || h.Get("X-Team") != "im" || h.Get("Content-Type") != "application/x-protobuf" {
		t.Errorf("headers %v", h)
	}
	if slices.ContainsFunc(r.services, func(s string) bool { return s != "emq" }) {
		t.Errorf("services %v", r.services)
	}
	for _, secret := range []string{"canary", simulator.ClientSecretDefault, simulator.ClientIDDefault} {
		if bytes.Contains(r.raw, []byte(secret)) {
			t.Errorf("%s was exported", secret)
		}
	}
	if strings.Contains(log, "canary-token") || strings.Contains(log, "traces are lost") {
		t.Errorf("log:\n%s", log)
	}
}

// TestRatioIsParentBased: with a ratio of 0 nothing is sent, and the worker keeps to what
// the enqueue decided.
func TestRatioIsParentBased(t *testing.T) {
	r := newReceiver(t)
	sim, environ := tracedEmq(t, "EMQ_OTLP_ENDPOINT="+r.URL)
	newTestEnv(t, "", append(environ, "EMQ_TRACE_RATIO=0")...).run(t, exitDone, "enqueue", "--to", "u1", "--text", "left out")
	work(t, sim, 1, environ, nil)
	if r.requests != 0 {
		t.Errorf("%d requests, spans %v", r.requests, r.spans)
	}
	newTestEnv(t, "", environ...).run(t, exitDone, "enqueue", "--to", "u1", "--text", "kept")
	work(t, sim, 2, append(environ, "EMQ_TRACE_RATIO=0"), nil)
	if spans := r.byName(); len(spans["emq call"]) != 1 || hex.EncodeToString(spans["emq call"][0].TraceId) != hex.EncodeToString(spans["emq enqueue"][0].TraceId) {
		t.Errorf("spans %v", spans)
	}
}

// TestNothingIsExportedUnasked: without the setting nothing of the SDK runs, whatever its
// own variables say.
func TestNothingIsExportedUnasked(t *testing.T) {
	r := newReceiver(t)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", r.URL)
	t.Setenv("OTEL_TRACES_EXPORTER", "otlp")
	for _, off := range []string{"EMQ_OTLP_ENDPOINT=", "EMQ_OTLP_ENDPOINT=off"} {
		sim, environ := tracedEmq(t, off)
		newTestEnv(t, "", environ...).run(t, exitDone, "enqueue", "--to", "u1", "--text", "hello")
		work(t, sim, 1, environ, func() {
			stacks := make([]byte, 4<<20)
			if all := string(stacks[:runtime.Stack(stacks, true)]); strings.Contains(all, "go.opentelemetry.io/otel/sdk") || strings.Contains(all, "otlptrace") {
				t.Errorf("a goroutine of the SDK runs:\n%s", all)
			}
		})
	}
	if r.requests != 0 {
		t.Errorf("%d requests", r.requests)
	}
}

// TestCollectorIsAway: a collector that refuses, or that takes connections and never
// answers, costs the worker nothing but one line of its log, and its end 5 s at most.
func TestCollectorIsAway(t *testing.T) {
	hang := make(chan struct{})
	silent := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hang }))
	t.Cleanup(silent.Close)
	t.Cleanup(func() { close(hang) })
	rude := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		_, token, _ := strings.Cut(req.Header.Get("X-Key"), " ")
		http.Error(w, "no entry with "+token, http.StatusForbidden)
	}))
	t.Cleanup(rude.Close)
	gone := httptest.NewServer(nil)
	gone.Close()
	for name, url := range map[string]string{"silent": silent.URL, "rude": rude.URL, "gone": gone.URL} {
		t.Run(name, func(t *testing.T) {
			const n = 600
			sim, environ := tracedEmq(t)
			var lines strings.Builder
			for i := range n {
				fmt.Fprintf(&lines, `{"kind":"message.send","payload":{"target":"users","to":["u%d"],"type":"txt","body":{"msg":"hello"}}}`+"\n", i)
			}
			newTestEnv(t, lines.String(), environ...).run(t, exitDone, "enqueue", "-f", "-")
			began := time.Now()
			log, stopping := work(t, sim, n, append(environ, "EMQ_OTLP_ENDPOINT="+url, "EMQ_OTLP_HEADERS=x-key=Bearer%20canary-key"), func() {
				if took := time.Since(began); took > 20*time.Second {
					t.Errorf("it took %v", took)
				}
			})
			if stopping > flushTimeout+3*time.Second {
				t.Errorf("it took %v to stop", stopping)
			}
			if said := strings.Count(log, "traces are lost"); said != 1 || strings.Contains(log, "canary-key") {
				t.Errorf("said %d times:\n%s", said, log)
			}
		})
	}
}

// TestVariablesOfTheExporter: they change nothing of what emq's settings say.
func TestVariablesOfTheExporter(t *testing.T) {
	secure := httptest.NewTLSServer(nil)
	t.Cleanup(secure.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	must(t, os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw}), 0o600))
	for name, value := range map[string]string{
		"PROTOCOL": "http/json", "TRACES_PROTOCOL": "http/json", "CERTIFICATE": ca, "INSECURE": "false",
		"ENDPOINT": "http://127.0.0.1:1", "TRACES_ENDPOINT": "http://127.0.0.1:1", "HEADERS": "x-stray=1", "TIMEOUT": "1",
	} {
		t.Setenv("OTEL_EXPORTER_OTLP_"+name, value)
	}
	t.Setenv("OTEL_TRACES_SAMPLER", "always_off")
	r := newReceiver(t)
	_, environ := tracedEmq(t, "EMQ_OTLP_ENDPOINT="+r.URL)
	e := newTestEnv(t, "", environ...)
	e.run(t, exitDone, "enqueue", "--to", "u1", "--text", "hello")
	if n := len(r.byName()["emq enqueue"]); n != 1 {
		t.Fatalf("%d spans\n%s", n, e.stderr)
	}
	if h := r.headers; h.Get("Content-Type") != "application/x-protobuf" || h.Get("X-Stray") != "" {
		t.Errorf("headers %v", h)
	}
}

func TestExportErrorsAreFew(t *testing.T) {
	t.Parallel()
	var said []string
	h := &exportErrors{headers: map[string]string{"A": "canary"}, lost: func(text string) { said = append(said, text) }}
	for range 100 {
		h.Handle(errors.New("a canary\x1b[2J " + strings.Repeat("x", 9999)))
	}
	h.said = h.said.Add(-lostEvery)
	h.Handle(errors.New("again"))
	if len(said) != 2 || strings.ContainsAny(said[0], "\x1b") || strings.Contains(said[0], "canary") || len(said[0]) > lostTextBytes || !strings.Contains(said[1], "99 times") {
		t.Errorf("said %q", said)
	}
}

func TestTraceSettings(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"http://h:4318": "http://h:4318/v1/traces", "https://h/": "https://h/v1/traces", "https://h/a/b": "https://h/a/b", "off": "", "http://[::1]:4318": "http://[::1]:4318/v1/traces",
		"h:4318": "!", "ftp://h": "!", "http://": "!", "http://u:p@h": "!", "http://h/?a=b": "!", "http://h/#a": "!", "http://:4318": "!", "://": "!",
	} {
		c := &config{}
		if err := putOTLPEndpoint(c, text); (err != nil) != (want == "!") || err == nil && c.OTLPEndpoint != want {
			t.Errorf("%s: %q, %v", text, c.OTLPEndpoint, err)
		}
	}
	for text, want := range map[string]map[string]string{
		"authorization=Basic dTpw==": {"Authorization": "Basic dTpw=="}, " a = b , c=%2Cd%25": {"A": "b", "C": ",d%"},
		"a": nil, "=b": nil, "a=": nil, "a=b,": nil, "a b=c": nil, "a=%zz": nil, "a=b%0d%0ac": nil, "a=b,A=c": nil, "content-type=x": nil, "a=\xff": nil,
	} {
		if got, err := parseHeaders(text); (err != nil) != (want == nil) || err == nil && !maps.Equal(got, want) {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"-1", "1.1", "NaN", "+Inf", "a", ""} {
		if err := putRatio(&config{}, text); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
}
