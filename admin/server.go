package admin

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/redis/go-redis/v9"

	"github.com/imqueue/emq/dlq"
	"github.com/imqueue/emq/errclass"
	"github.com/imqueue/emq/tasks"
)

// ListenDefault is where the server listens when nothing else is configured.
const ListenDefault = "127.0.0.1:8610"

const (
	answerTimeout   = 10 * time.Second // bound of one answer's work
	shutdownTimeout = answerTimeout + time.Second
	headerMaxBytes  = 16 << 10
)

// Config configures a Server.
type Config struct {
	Store *dlq.Store // required; not closed by the server
	// Listen is the address, "host:port": a loopback address or localhost.
	// Empty means ListenDefault.
	Listen string
	// Logger gets what goes wrong; nil means slog.Default.
	Logger *slog.Logger
	// Redis keeps what was told of alerts, and the answers to requests that carry an
	// Idempotency-Key; without it such a request is refused nothing, and may be made twice.
	Redis redis.UniversalClient
	// Identities may come in. Without any, whoever reaches the address may do everything,
	// and Listen must be a loopback address.
	Identities []Identity
	// ReadOnly refuses every change.
	ReadOnly bool
	// MaskPayloads hides from viewers what messages say.
	MaskPayloads bool
	// Rules explain answers; nil means errclass.Default.
	Rules *errclass.Table
	// CheckRules reads a file of rules as a worker would; the table is nil beside faults.
	// Without it no rules can be checked.
	CheckRules func(text []byte) (RulesCheck, *errclass.Table)
	// Limits are those that the settings of this process give, to be shown.
	Limits dlq.LimitSettings
	// Version is emq's, for the page.
	Version string
}

// withDefaults returns a copy with defaults filled, or a *tasks.FieldError.
func (c Config) withDefaults() (Config, error) {
	if c.Store == nil {
		return c, &tasks.FieldError{Field: "store", Bound: "must be given"}
	}
	if c.Listen == "" {
		c.Listen = ListenDefault
	}
	refuse := func(bound string) error {
		return &tasks.FieldError{Field: "listen address", Value: strconv.Quote(c.Listen), Bound: bound}
	}
	host, port, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return c, refuse("must be host:port")
	}
	if !loopback(host) && len(c.Identities) == 0 {
		return c, refuse("must be a loopback address, such as 127.0.0.1 or localhost, where there are no credentials: whoever reaches it may do everything")
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return c, refuse("the port must be 0 to 65535")
	}
	if host == "localhost" {
		c.Listen = net.JoinHostPort("127.0.0.1", port) // not what a resolver may say
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Rules == nil {
		c.Rules = errclass.Default()
	}
	return c, nil
}

// loopback says whether host, without a port, names this machine to itself only.
func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}

// A Server serves the API. It is safe for concurrent use.
type Server struct {
	cfg     Config
	store   *dlq.Store
	log     *slog.Logger
	metrics http.Handler
	gate    *gate
	streams chan struct{} // has room for as many as there may be
	ending  chan struct{} // closed when the server ends
	now     func() time.Time
}

// New makes a server; it does not listen yet. It returns a *tasks.FieldError for
// a bad setting.
func New(cfg Config) (*Server, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(cfg.Store.Metrics(), collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return &Server{
		cfg: cfg, store: cfg.Store, log: cfg.Logger, metrics: promhttp.HandlerFor(registry, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError}),
		gate: newGate(cfg.Identities), streams: make(chan struct{}, eventsMost), ending: make(chan struct{}), now: time.Now,
	}, nil
}

// mux is the whole API, and what stands beside it.
func (s *Server) mux() *http.ServeMux {
	mux := http.NewServeMux()
	mux.Handle("GET /healthz", s.answer(s.live))
	mux.Handle("GET /readyz", s.answer(s.ready))
	mux.Handle("GET /metrics", s.known(s.metrics.ServeHTTP))
	own := map[string]http.HandlerFunc{ // those that are more than a value
		"GET /session": s.getSession, "POST /session": s.login, "DELETE /session": s.logout,
		"GET /events": s.events, "GET /openapi.json": s.openAPI,
	}
	for _, route := range s.routes() {
		if h := own[route.method+" "+route.path]; h != nil {
			mux.Handle(route.pattern(), h)
		} else {
			mux.Handle(route.pattern(), s.guard(route))
		}
	}
	return mux
}

// known lets those in that may look.
func (s *Server) known(h http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, _, err := s.gate.who(r); err != nil {
			s.refuse(w, r, err)
			return
		}
		h(w, r)
	})
}

// Handler serves the API and the page, guarded as the package says.
func (s *Server) Handler() http.Handler {
	mux := s.mux()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		secure(w.Header())
		if len(s.cfg.Identities) == 0 && !loopback(hostName(r.Host)) {
			s.refuse(w, r, &apiError{status: http.StatusMisdirectedRequest,
				detail: "the request's host must be localhost or a loopback address"})
			return
		}
		h, pattern := mux.Handler(r)
		switch {
		case pattern != "":
			mux.ServeHTTP(w, r)
		case r.URL.Path == "/api" || strings.HasPrefix(r.URL.Path, "/api/"):
			s.unrouted(w, r, h)
		default:
			s.page(w, r)
		}
	})
}

// hostName is a Host header without its port and without brackets.
func hostName(hostport string) string {
	if host, _, err := net.SplitHostPort(hostport); err == nil {
		return host
	}
	if n := len(hostport); n > 2 && hostport[0] == '[' && hostport[n-1] == ']' {
		return hostport[1 : n-1]
	}
	return hostport
}

// secure sets the headers that every answer carries.
func secure(h http.Header) {
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
}

// Run listens and serves until ctx ends, then lets running answers end, within
// a bound. The error is nil after such a stop; otherwise it says why the server
// could not listen, or why it ended by itself.
func (s *Server) Run(ctx context.Context) error {
	var lc net.ListenConfig
	l, err := lc.Listen(context.WithoutCancel(ctx), "tcp", s.cfg.Listen)
	if err != nil {
		return fmt.Errorf("admin: %w", err)
	}
	return s.Serve(ctx, l)
}

// Serve is Run on a listener, which it closes.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	server := &http.Server{
		Handler:           s.Handler(),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       answerTimeout,
		WriteTimeout:      2 * answerTimeout,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    headerMaxBytes,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	s.log.Info("admin started", "address", l.Addr().String())
	select {
	case err := <-ended:
		return fmt.Errorf("admin: %w", err)
	case <-ctx.Done():
	}
	close(s.ending)
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	err := server.Shutdown(bounded)
	if err != nil {
		// Only what a client reads too slowly is still under way.
		err = server.Close()
	}
	<-ended
	s.log.Info("admin stopped")
	if err != nil {
		return fmt.Errorf("stop admin: %w", err)
	}
	return nil
}

// health is the answer of /healthz and /readyz.
type health struct {
	Status string `json:"status"`
}

func (s *Server) live(*http.Request) (any, error) { return health{"ok"}, nil }

// ready asks the store something small, and so Redis.
func (s *Server) ready(r *http.Request) (any, error) {
	if _, err := s.store.Apps(r.Context()); err != nil {
		s.log.Warn("not ready", "error", err)
		return nil, &apiError{status: http.StatusServiceUnavailable, detail: "Redis does not answer"}
	}
	return health{"ready"}, nil
}
