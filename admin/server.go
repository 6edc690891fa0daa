package admin

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/imqueue/emq/dlq"
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
	if !loopback(host) {
		return c, refuse("must be a loopback address, such as 127.0.0.1 or localhost: whoever reaches it may read everything")
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
	return &Server{cfg: cfg, store: cfg.Store, log: cfg.Logger, metrics: promhttp.HandlerFor(registry, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError})}, nil
}

// routes is the whole API.
func (s *Server) routes() *http.ServeMux {
	mux := http.NewServeMux()
	for _, route := range []struct {
		pattern string
		answer  handler
	}{
		{"GET /healthz", s.live},
		{"GET /readyz", s.ready},
		{"GET /api/v1/queues", s.listQueues},
		{"GET /api/v1/holds", ofApps(s.store.Holds)},
		{"GET /api/v1/limits", ofApps(s.store.Limits)},
		{"GET /api/v1/unknowns", ofApps(s.store.Unknowns)},
		{"GET /api/v1/causes", s.listCauses},
		{"GET /api/v1/dead-letters", s.listDeadLetters},
		{"GET /api/v1/dead-letters/{app}/{id...}", s.getDeadLetter},
		{"GET /api/v1/operations", ofApps(s.store.Operations)},
		{"GET /api/v1/operations/{app}/{id}", s.getOperation},
		{"GET /api/v1/audit", s.listAudit},
	} {
		mux.Handle(route.pattern, s.answer(route.answer))
	}
	mux.Handle("GET /metrics", s.metrics)
	return mux
}

// Handler serves the API, guarded as the package says.
func (s *Server) Handler() http.Handler {
	mux := s.routes()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		secure(w.Header())
		if !loopback(hostName(r.Host)) {
			s.refuse(w, r, &apiError{status: http.StatusMisdirectedRequest,
				detail: "the request's host must be localhost or a loopback address"})
			return
		}
		if h, pattern := mux.Handler(r); pattern == "" {
			s.unrouted(w, r, h)
			return
		}
		mux.ServeHTTP(w, r)
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
	return s.serve(ctx, l)
}

// serve serves on l, and closes it.
func (s *Server) serve(ctx context.Context, l net.Listener) error {
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
