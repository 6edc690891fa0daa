package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/textproto"
	"net/url"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/imqueue/emq/tasks"
)

const (
	otlpPath = "/v1/traces"
	// traceQueue bounds the spans that wait for the collector; more are dropped.
	traceQueue    = 8192
	traceBatch    = 512
	traceDelay    = 2 * time.Second // until a batch that is not full is sent
	exportTimeout = 10 * time.Second
	// flushTimeout is how long the last spans may take when emq ends.
	flushTimeout = 5 * time.Second
	// lostEvery is how often it is said at most that spans are lost.
	lostEvery     = time.Minute
	lostTextBytes = 300
)

// startTracing sends spans to the collector that the settings name. The provider is nil
// when they name none: then nothing of the SDK runs. stop sends what is left; it is to be
// called in either case. lost is told, now and then, that spans are lost, and why.
//
// Nobody waits for the collector but stop: spans that it does not take in time are dropped.
func startTracing(ctx context.Context, cfg *config, lost func(string)) (_ trace.TracerProvider, stop func(), _ error) {
	if cfg.OTLPEndpoint == "" {
		return nil, func() {}, nil
	}
	transport := http.DefaultTransport.(*http.Transport).Clone() // of its own, to be closed
	// All that OTEL_EXPORTER_OTLP_* could change is said here: emq's settings are the law.
	// A certificate of theirs, with a plain endpoint, would even keep the worker from starting.
	exporter, err := otlptrace.New(ctx, otlptracehttp.NewClient(
		otlptracehttp.WithEndpointURL(cfg.OTLPEndpoint),
		otlptracehttp.WithEncoding(otlptracehttp.EncodingProtobuf),
		otlptracehttp.WithTLSClientConfig(nil),
		otlptracehttp.WithHeaders(cfg.OTLPHeaders),
		otlptracehttp.WithCompression(otlptracehttp.GzipCompression),
		otlptracehttp.WithTimeout(exportTimeout),
		otlptracehttp.WithRetry(otlptracehttp.RetryConfig{Enabled: true, InitialInterval: time.Second, MaxInterval: 5 * time.Second, MaxElapsedTime: exportTimeout}),
		otlptracehttp.WithHTTPClient(&http.Client{
			Transport: mute{transport}, Timeout: exportTimeout,
			// Nobody else gets the headers.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}),
	))
	if err != nil {
		return nil, nil, fmt.Errorf("traces: %w", err)
	}
	info, _ := debug.ReadBuildInfo()
	// OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES may say otherwise.
	about, err := resource.New(ctx, resource.WithAttributes(
		attribute.String("service.name", "emq"), attribute.String("service.version", readBuild(version, info).Version),
	), resource.WithFromEnv(), resource.WithTelemetrySDK())
	errs := &exportErrors{headers: cfg.OTLPHeaders, lost: lost}
	otel.SetErrorHandler(errs)
	if err != nil {
		errs.Handle(err)
	}
	provider := sdk.NewTracerProvider(
		sdk.WithResource(about),
		sdk.WithSampler(sdk.ParentBased(sdk.TraceIDRatioBased(cfg.TraceRatio))),
		sdk.WithBatcher(exporter, sdk.WithMaxQueueSize(traceQueue), sdk.WithMaxExportBatchSize(traceBatch),
			sdk.WithBatchTimeout(traceDelay), sdk.WithExportTimeout(exportTimeout)),
	)
	return provider, func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushTimeout)
		defer cancel()
		if err := provider.Shutdown(ctx); err != nil {
			errs.Handle(err)
			_ = exporter.Shutdown(ctx) // ends what is on its way
		}
		transport.CloseIdleConnections()
	}, nil
}

// mute drops the text of a refusal, which would get into the log: a collector may repeat
// what it was sent, and a part of a header's value is as secret as the whole.
type mute struct{ *http.Transport }

func (m mute) RoundTrip(req *http.Request) (*http.Response, error) {
	answer, err := m.Transport.RoundTrip(req)
	if err == nil && (answer.StatusCode < 200 || answer.StatusCode > 299) {
		_ = answer.Body.Close()
		answer.Body = http.NoBody
	}
	return answer, err
}

// exportErrors is told what keeps spans from the collector, and passes on one of many.
type exportErrors struct {
	headers map[string]string
	lost    func(string)

	mu   sync.Mutex
	said time.Time
	more int
}

// Handle implements otel.ErrorHandler.
func (h *exportErrors) Handle(err error) {
	h.mu.Lock()
	if !h.said.IsZero() && time.Since(h.said) < lostEvery {
		h.more++
		h.mu.Unlock()
		return
	}
	more := h.more
	h.said, h.more = time.Now(), 0
	h.mu.Unlock()
	text := err.Error()
	for _, value := range h.headers { // a collector may repeat what it was sent
		text = strings.ReplaceAll(text, value, "[hidden]")
	}
	text = tasks.Printable(text, lostTextBytes)
	if more > 0 {
		text += fmt.Sprintf(" (and %d times more in the last while)", more)
	}
	h.lost(text)
}

// putOTLPEndpoint reads the URL of a collector. Its errors don't quote it: it may hold
// what is secret.
func putOTLPEndpoint(c *config, text string) error {
	if c.OTLPEndpoint = ""; text == "off" {
		return nil
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		return errors.New("must be a URL such as http://127.0.0.1:4318, or off")
	}
	if u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return errors.New("must be a URL without a user, a query and a fragment; what a login needs goes into otlp_headers")
	}
	if u.Path == "" || u.Path == "/" {
		u.Path = otlpPath
	}
	c.OTLPEndpoint = u.String()
	return nil
}

func putRatio(c *config, text string) (err error) {
	if c.TraceRatio, err = strconv.ParseFloat(text, 64); err != nil || !(c.TraceRatio >= 0 && c.TraceRatio <= 1) {
		return fmt.Errorf("%q: must be a number from 0 to 1", text)
	}
	return nil
}

// parseHeaders reads "name=value,name=value". No error shows a value.
func parseHeaders(text string) (map[string]string, error) {
	headers := map[string]string{}
	for i, pair := range strings.Split(text, ",") {
		name, value, ok := strings.Cut(pair, "=")
		name = textproto.CanonicalMIMEHeaderKey(strings.TrimSpace(name))
		value, err := url.PathUnescape(strings.TrimSpace(value))
		if !ok || err != nil || value == "" || !isHeaderName(name) || strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r > '~' }) {
			return nil, fmt.Errorf("header %d must be name=value, the value in printable ASCII, its commas and percent signs percent-encoded", i+1)
		}
		switch name {
		case "Host", "Content-Type", "Content-Length", "Content-Encoding", "Transfer-Encoding":
			return nil, fmt.Errorf("the header %s is not yours to set", name)
		}
		if _, twice := headers[name]; twice {
			return nil, fmt.Errorf("the header %s is given twice", name)
		}
		headers[name] = value
	}
	return headers, nil
}

func isHeaderName(name string) bool {
	return name != "" && !strings.ContainsFunc(name, func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("-_.", r))
	})
}
