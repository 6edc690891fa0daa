package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/imqueue/emq/dlq"
	"github.com/imqueue/emq/tasks"
)

func TestNewChecksItsConfig(t *testing.T) {
	t.Parallel()
	store := newWorld(t).store
	for name, test := range map[string]struct {
		cfg   Config
		field string // empty: valid
		want  string // address
	}{
		"default":                {cfg: Config{Store: store}, want: ListenDefault},
		"free port":              {cfg: Config{Store: store, Listen: "127.0.0.1:0"}, want: "127.0.0.1:0"},
		"another loopback":       {cfg: Config{Store: store, Listen: "127.8.8.8:80"}, want: "127.8.8.8:80"},
		"IPv6":                   {cfg: Config{Store: store, Listen: "[::1]:8610"}, want: "[::1]:8610"},
		"localhost":              {cfg: Config{Store: store, Listen: "localhost:8610"}, want: "127.0.0.1:8610"},
		"no store":               {cfg: Config{}, field: "store"},
		"every address":          {cfg: Config{Store: store, Listen: ":8610"}, field: "listen address"},
		"every IPv4 address":     {cfg: Config{Store: store, Listen: "0.0.0.0:8610"}, field: "listen address"},
		"every IPv6 address":     {cfg: Config{Store: store, Listen: "[::]:8610"}, field: "listen address"},
		"address of the network": {cfg: Config{Store: store, Listen: "10.0.0.7:8610"}, field: "listen address"},
		"name":                   {cfg: Config{Store: store, Listen: "admin.example:8610"}, field: "listen address"},
		"name like localhost":    {cfg: Config{Store: store, Listen: "localhost.example:8610"}, field: "listen address"},
		"no port":                {cfg: Config{Store: store, Listen: "127.0.0.1"}, field: "listen address"},
		"empty port":             {cfg: Config{Store: store, Listen: "127.0.0.1:"}, field: "listen address"},
		"port too large":         {cfg: Config{Store: store, Listen: "127.0.0.1:65536"}, field: "listen address"},
		"port by name":           {cfg: Config{Store: store, Listen: "127.0.0.1:http"}, field: "listen address"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := New(test.cfg)
			if test.field == "" {
				if err != nil {
					t.Fatal(err)
				}
				if s.cfg.Listen != test.want {
					t.Errorf("listens on %q, want %q", s.cfg.Listen, test.want)
				}
				return
			}
			var field *tasks.FieldError
			if !errors.As(err, &field) || field.Field != test.field || field.Bound == "" {
				t.Fatalf("error %v, want one about %s", err, test.field)
			}
			if !strings.Contains(err.Error(), test.cfg.Listen) {
				t.Errorf("%q does not name the value %q", err, test.cfg.Listen)
			}
		})
	}
}

func TestHealth(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var got health
	w.get("/healthz").into(t, http.StatusOK, &got)
	if got.Status != "ok" {
		t.Errorf("status %q", got.Status)
	}
	w.get("/readyz").into(t, http.StatusOK, &got)
	if got.Status != "ready" {
		t.Errorf("status %q", got.Status)
	}

	w.mini.Close()
	w.get("/healthz").into(t, http.StatusOK, &got)
	var p problem
	w.get("/readyz").into(t, http.StatusServiceUnavailable, &p)
	if p.Detail != "Redis does not answer" {
		t.Errorf("detail %q", p.Detail)
	}
	if log := w.log.String(); !strings.Contains(log, "not ready") || !strings.Contains(log, "refused") {
		t.Errorf("the log does not say why: %s", log)
	}
}

func TestHostMustBeLoopback(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for host, allowed := range map[string]bool{
		"localhost": true, "localhost:8610": true, "127.0.0.1": true, "127.0.0.1:1": true, "127.1.2.3:8610": true,
		"[::1]": true, "[::1]:8610": true, "[::ffff:127.0.0.1]:8610": true,
		"": false, ":8610": false, "evil.example": false, "evil.example:8610": false, "localhost.evil.example": false,
		"127.0.0.1.evil.example:8610": false, "0.0.0.0:8610": false, "10.0.0.1:8610": false, "[::]:8610": false, "[::1": false,
		"127.0.0.1@evil.example": false,
	} {
		status := w.do(http.MethodGet, "/api/v1/queues", host).StatusCode
		want := http.StatusMisdirectedRequest
		if allowed {
			want = http.StatusOK
		}
		if status != want {
			t.Errorf("host %q got %d, want %d", host, status, want)
		}
	}
}

func TestEveryAnswerIsGuarded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for name, a := range map[string]answer{
		"200": w.get("/api/v1/queues"),
		"400": w.get("/api/v1/queues?x=1"),
		"404": w.get("/api/nowhere"),
		"405": w.do(http.MethodDelete, "/api/v1/queues", "localhost"),
		"421": w.do(http.MethodGet, "/api/v1/queues", "evil.example"),
	} {
		for header, want := range map[string]string{
			"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY",
			"Referrer-Policy": "no-referrer", "Cross-Origin-Resource-Policy": "same-origin",
			"Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
		} {
			if got := a.Header.Values(header); len(got) != 1 || got[0] != want {
				t.Errorf("%s: %s is %q, want %q", name, header, got, want)
			}
		}
		for header := range a.Header {
			if strings.HasPrefix(header, "Access-Control-") {
				t.Errorf("%s: lets other origins in by %s", name, header)
			}
		}
	}
}

func TestUnroutedRequests(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, test := range []struct {
		method, path string
		status       int
		allow        string
	}{
		{http.MethodGet, "/api/v1", http.StatusNotFound, ""},
		{http.MethodGet, "/api/v1/queues/", http.StatusNotFound, ""},
		{http.MethodGet, "/api/v1/dead-letters/default/", http.StatusNotFound, ""},
		{http.MethodPost, "/nowhere", http.StatusMethodNotAllowed, "GET, HEAD"},
		{http.MethodPost, "/api/v1/dead-letters", http.StatusMethodNotAllowed, "GET, HEAD"},
		{http.MethodDelete, "/api/v1/dead-letters/default/x", http.StatusMethodNotAllowed, "GET, HEAD"},
		{http.MethodOptions, "/api/v1/holds", http.StatusMethodNotAllowed, "GET, HEAD, POST"},
	} {
		var p problem
		a := w.do(test.method, test.path, "localhost")
		a.into(t, test.status, &p)
		if p.Status != test.status || p.Title != http.StatusText(test.status) || p.Detail == "" || p.Type != "about:blank" {
			t.Errorf("%s %s: problem %+v", test.method, test.path, p)
		}
		if got := a.Header.Get("Allow"); got != test.allow {
			t.Errorf("%s %s: allows %q, want %q", test.method, test.path, got, test.allow)
		}
	}
	if a := w.get("/api/v1/./queues"); a.StatusCode/100 != 3 || a.Header.Get("Location") != "/api/v1/queues" {
		t.Errorf("an unclean path got %d to %q", a.StatusCode, a.Header.Get("Location"))
	}
}

func TestFailuresOfTheStore(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.mini.SetError("ERR particulars of the store")
	for i, path := range []string{
		"/api/v1/queues", "/api/v1/holds", "/api/v1/causes", "/api/v1/dead-letters", "/api/v1/dead-letters/default/x",
	} {
		var p problem
		a := w.get(path)
		a.into(t, http.StatusInternalServerError, &p)
		if strings.Contains(string(a.body), "particulars") {
			t.Errorf("%s: the client is told %s", path, a.body)
		}
		if log := w.log.String(); strings.Count(log, "request failed") != i+1 || strings.Count(log, "particulars of the store") != i+1 {
			t.Errorf("%s: the log has %s", path, log)
		}
	}
	address := w.mini.Addr()
	w.mini.Close()
	var p problem
	a := w.get("/api/v1/queues")
	a.into(t, http.StatusServiceUnavailable, &p)
	if strings.Contains(string(a.body), address) {
		t.Errorf("the client is told %s", a.body)
	}
}

func TestProblemOf(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		err    error
		status int
		field  string
	}{
		{&apiError{status: http.StatusTeapot, field: "pot", detail: "x"}, http.StatusTeapot, "pot"},
		{&tasks.FieldError{Field: "limit", Bound: "x"}, http.StatusBadRequest, "limit"},
		{dlq.ErrNotFound, http.StatusNotFound, ""},
		{context.DeadlineExceeded, http.StatusServiceUnavailable, ""},
		{io.EOF, http.StatusServiceUnavailable, ""},
		{&net.OpError{Op: "dial", Err: errors.New("x")}, http.StatusServiceUnavailable, ""},
		{errors.New("anything else"), http.StatusInternalServerError, ""},
	} {
		got := problemOf(errors.Join(errors.New("wrapped"), test.err))
		if got.Status != test.status || got.Field != test.field || got.Title == "" {
			t.Errorf("%v became %+v", test.err, got)
		}
	}
}

// TestTooMuchForAnAnswer: a Redis that is there is not blamed when an answer takes too long.
func TestTooMuchForAnAnswer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx, cancel := context.WithDeadline(t.Context(), time.Now())
	defer cancel()
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/api/v1/causes", nil)
	late := fmt.Errorf("list entries of shop: %w", context.DeadlineExceeded)
	if p := w.server.told(r, late); p.Status != http.StatusGatewayTimeout || p.Detail != "given up after 10s: there is too much to look through" {
		t.Errorf("%+v", p)
	}
	w.mini.Close()
	if p := w.server.told(r, late); p.Status != http.StatusServiceUnavailable || p.Detail != "Redis does not answer" {
		t.Errorf("without Redis %+v", p)
	}
}

func TestAnswerThatIsNoJSON(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	broken := func(*http.Request) (any, error) { return json.RawMessage("{"), nil }
	rec := httptest.NewRecorder()
	w.server.answer(broken).ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil))
	var p problem
	answer{rec.Result(), rec.Body.Bytes()}.into(t, http.StatusInternalServerError, &p)
}

// TestShutdownLetsAnswersEnd serves a request that is under way when the
// context ends: it is answered, and then nothing listens.
func TestShutdownLetsAnswersEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	g := turnstile{reached: make(chan struct{}, 100), open: make(chan struct{})}
	w.redis.AddHook(g)

	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- w.server.Serve(ctx, l) }()

	url := "http://" + l.Addr().String() + "/readyz"
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	status := make(chan any, 1)
	go func() {
		resp, err := client.Get(url)
		if err != nil {
			status <- err
			return
		}
		_ = resp.Body.Close()
		status <- resp.StatusCode
	}()
	<-g.reached
	cancel()
	for { // until the listener is closed, whoever connects waits in vain
		conn, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			break
		}
		_ = conn.Close()
		time.Sleep(time.Millisecond)
	}
	select {
	case err := <-ended:
		t.Fatalf("ended before its answers: %v", err)
	default:
	}
	close(g.open)
	if got := <-status; got != http.StatusOK {
		t.Errorf("the request under way got %v", got)
	}
	if err := <-ended; err != nil {
		t.Errorf("ended with %v", err)
	}
}

func TestRun(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := w.server.Run(ctx); err != nil {
		t.Errorf("a run that ends at once: %v", err)
	}

	var lc net.ListenConfig
	taken, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	s, err := New(Config{Store: w.store, Listen: taken.Addr().String(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Run(t.Context()); err == nil || !strings.Contains(err.Error(), taken.Addr().String()) {
		t.Errorf("a taken address gives %v", err)
	}
}

// TestMetrics shows what the store holds, of all apps that were ever used.
func TestMetrics(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.die("shop", "a", message(), verdict(400, "odd"), 0)
	got := w.get("/metrics")
	for _, want := range []string{`emq_dead_letters{app="shop",class="permanent",state="dead"} 1`, "emq_redis_up 1", `emq_holds{app="shop",family="all"} 0`} {
		if got.StatusCode != http.StatusOK || !strings.Contains(string(got.body), want) {
			t.Errorf("status %d, lacks %s", got.StatusCode, want)
		}
	}
}
