package simulator

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Defaults and bounds of a [Config].
const (
	AppKeyDefault       = "demo#emq"
	ClientIDDefault     = "emq-client-id"
	ClientSecretDefault = "emq-client-secret"

	TokenTTLDefault = 24 * time.Hour
	// RecallWindowDefault and RecallWindowMax are the vendor's: two minutes
	// unless the app was given more, seven days at most.
	RecallWindowDefault = 2 * time.Minute
	RecallWindowMax     = 7 * 24 * time.Hour

	// BodyMax bounds a request body, in bytes; above it the answer is 413.
	BodyMax = 1 << 20
)

// App is one app key with the credentials of its token endpoint.
type App struct {
	// Key is "org#app"; the path of a call has it as /org/app.
	Key string
	// ClientID and ClientSecret are what POST /token must carry.
	ClientID     string
	ClientSecret string
}

// Config says what a [Simulator] knows at its start. The zero value is usable.
type Config struct {
	// Apps are the app keys served, at least one. Default: one app with
	// [AppKeyDefault], [ClientIDDefault] and [ClientSecretDefault].
	Apps []App
	// TokenTTL is how long a token lives when the request names no ttl.
	// Default [TokenTTLDefault]; at least a second, the unit of expires_in.
	TokenTTL time.Duration
	// RecallWindow is how long after its send a message can be recalled without
	// force. Default [RecallWindowDefault], at most [RecallWindowMax].
	RecallWindow time.Duration
	// Limits are the rate limits; none by default. See [DocumentedLimits].
	Limits Limits
	// Quotas are the plan's; by default the documented ones alone that every plan
	// has.
	Quotas Quotas
	// Faults are in place from the start, and again after a reset.
	Faults []Fault
	// Seed feeds the draws of faults with a probability: the same seed and the
	// same order of requests give the same draws.
	Seed uint64
	// NoRecord keeps counts but no executions, no emq_id counts and no sent
	// messages to recall: for a benchmark that would fill the memory.
	NoRecord bool
	// Now is the clock of tokens, limits, recall and timestamps. Default
	// [time.Now]. Delays of faults are real time whatever the clock.
	Now func() time.Time
	// Logger gets one line a call. Default: none.
	Logger *slog.Logger
}

// withDefaults returns a copy with defaults filled in.
func (cfg Config) withDefaults() Config {
	if len(cfg.Apps) == 0 {
		cfg.Apps = []App{{Key: AppKeyDefault, ClientID: ClientIDDefault, ClientSecret: ClientSecretDefault}}
	}
	cfg.Apps = slices.Clone(cfg.Apps)
	cfg.Limits = maps.Clone(cfg.Limits)
	cfg.Faults = slices.Clone(cfg.Faults)
	if cfg.TokenTTL == 0 {
		cfg.TokenTTL = TokenTTLDefault
	}
	if cfg.RecallWindow == 0 {
		cfg.RecallWindow = RecallWindowDefault
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return cfg
}

func (cfg Config) validate() error {
	seen := make(map[string]bool, len(cfg.Apps))
	for i, a := range cfg.Apps {
		org, name, ok := strings.Cut(a.Key, "#")
		if !ok || org == "" || name == "" || strings.ContainsAny(name, "#/") || strings.Contains(org, "/") {
			return fmt.Errorf("simulator: Apps[%d].Key %q: must be org#app", i, a.Key)
		}
		if seen[a.Key] {
			return fmt.Errorf("simulator: Apps[%d].Key %q: given twice", i, a.Key)
		}
		seen[a.Key] = true
		if a.ClientID == "" {
			return fmt.Errorf("simulator: Apps[%d].ClientID: must not be empty", i)
		}
		if a.ClientSecret == "" {
			return fmt.Errorf("simulator: Apps[%d].ClientSecret: must not be empty", i)
		}
	}
	if cfg.TokenTTL < time.Second {
		return fmt.Errorf("simulator: TokenTTL %v: must be at least 1s", cfg.TokenTTL)
	}
	if cfg.RecallWindow < 0 || cfg.RecallWindow > RecallWindowMax {
		return fmt.Errorf("simulator: RecallWindow %v: must be between 0 and %v", cfg.RecallWindow, RecallWindowMax)
	}
	return cfg.Limits.validate()
}

// Simulator is an Easemob IM REST API. It is an [http.Handler], and safe for
// use by many goroutines. Make one with [New].
type Simulator struct {
	cfg     Config
	routes  router
	apps    map[string]*app // by "org/app"
	control http.Handler

	limits  limiter
	quotas  atomic.Pointer[Quotas]
	faults  faults
	record  record
	outbox  outbox
	groupID atomic.Int64 // the last group or room id given out
}

// app is the state of one app key.
type app struct {
	App
	org, name string
	uuid      string // the "application" of answers
	tokens    tokens

	mu      sync.Mutex // guards what follows
	users   map[string]*user
	chats   map[string]*chat // groups and rooms, by id
	userSeq int64            // order of registration
	chatSeq int64            // order of creation
	mutes   map[string]mute  // global mutes, by user
}

// firstGroupID is the smallest group id, of the length of real ones.
const firstGroupID = 40659491815425

// New returns a simulator with no users, groups or rooms. It returns an error
// that names the field, its value and its bound when cfg is not valid.
func New(cfg Config) (*Simulator, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	s := &Simulator{cfg: cfg, routes: newRouter(routes()), apps: make(map[string]*app, len(cfg.Apps))}
	for _, a := range cfg.Apps {
		org, name, _ := strings.Cut(a.Key, "#")
		s.apps[org+"/"+name] = &app{App: a, org: org, name: name, uuid: uuidOf("app", a.Key)}
	}
	s.groupID.Store(firstGroupID - 1)
	s.outbox.first = firstMessageID
	s.control = s.controlHandler()
	s.clear()
	if err := s.SetLimits(cfg.Limits); err != nil {
		return nil, err
	}
	if err := s.SetQuotas(cfg.Quotas); err != nil {
		return nil, err
	}
	if _, err := s.addFaults(cfg.Faults); err != nil {
		return nil, fmt.Errorf("simulator: %w", err)
	}
	return s, nil
}

// Reset forgets the record, the counts, all users, groups, rooms and sent
// messages, and puts faults, limits, quotas and secrets back to what [Config]
// says. Tokens stay valid and ids go on from where they were, so that a client
// that keeps running is not disturbed.
func (s *Simulator) Reset() {
	s.clear()
	s.ClearFaults()
	// All were accepted by New with the same values.
	_ = s.SetLimits(s.cfg.Limits)
	_ = s.SetOthers(nil)
	_ = s.SetQuotas(s.cfg.Quotas)
	for _, a := range s.cfg.Apps {
		_ = s.SetSecret(a.Key, a.ClientSecret)
	}
	_, _ = s.addFaults(s.cfg.Faults)
}

// clear empties record and state.
func (s *Simulator) clear() {
	for _, a := range s.apps {
		a.mu.Lock()
		a.users = make(map[string]*user)
		a.chats = make(map[string]*chat)
		a.mutes = make(map[string]mute)
		a.mu.Unlock()
	}
	s.outbox.clear()
	s.record.clear()
}

// ServeHTTP answers the control endpoint below /_control/ and the API below
// every other path. It panics with [http.ErrAbortHandler] when a fault cuts a
// connection that can't be taken over, which aborts the answer.
func (s *Simulator) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, controlPrefix) {
		s.control.ServeHTTP(w, r)
		return
	}
	c := s.newCall(r)
	if err := c.readBody(w); err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			s.send(w, c, c.refused(errTooLarge), "")
			return
		}
		s.count(c, 0, "") // the caller left while sending
		return
	}

	f := s.faults.match(c)
	if f == nil {
		s.send(w, c, s.execute(c), "")
		return
	}
	ans := s.underFault(c, f)
	if !wait(r.Context(), f.Latency) {
		// The caller left, or the simulator stops. To return would be a 200.
		s.count(c, 0, f.ID)
		cut(w)
		return
	}
	if f.Cut != "" {
		s.count(c, 0, f.ID)
		cut(w)
		return
	}
	for k, v := range f.Header {
		w.Header().Set(k, v)
	}
	s.send(w, c, ans, f.ID)
}

// execute takes the call through app key, token, endpoint and rate limit to
// its operation, and records what was changed.
func (s *Simulator) execute(c *call) answer {
	if c.app == nil {
		return c.refused(refuse(http.StatusNotFound, "organization_application_not_found",
			fmt.Sprintf("Could not find application for %s from URI: %s", c.orgApp, strings.TrimPrefix(c.r.URL.Path, "/"))))
	}
	if c.route == nil || c.route.family != familyToken {
		if no := s.authenticate(c); no != nil {
			return c.refused(no)
		}
	}
	if c.route == nil {
		// Both spellings are the vendor's, a client's mistake reported as 500.
		if c.pathKnown {
			return c.refused(errNoMethod)
		}
		return c.refused(errNoEndpoint)
	}
	if no := c.checkContentType(); no != nil {
		return c.refused(no)
	}
	if no := s.allowCall(c); no != nil {
		return c.refused(no)
	}
	res, no := c.route.handle(c)
	if no != nil {
		return c.refused(no)
	}
	if res.done != nil {
		s.record.add(s, c, res.done)
	}
	return c.succeeded(res)
}

// send counts the call and writes the answer.
func (s *Simulator) send(w http.ResponseWriter, c *call, ans answer, fault string) {
	s.count(c, ans.status, fault)
	h := w.Header()
	if ans.contentType != "" && h.Get("Content-Type") == "" {
		h.Set("Content-Type", ans.contentType)
	}
	w.WriteHeader(ans.status)
	_, _ = w.Write(ans.body) // the caller may have left; nobody is owed an error
}

// count takes down a call received and how it was answered; status 0 is no
// answer.
func (s *Simulator) count(c *call, status int, fault string) {
	s.record.count(c, status, fault)
	if s.cfg.Logger != nil {
		s.cfg.Logger.LogAttrs(c.r.Context(), slog.LevelInfo, "call",
			slog.String("app", c.orgApp), slog.String("method", c.r.Method), slog.String("path", c.path),
			slog.Int("status", status), slog.String("fault", fault), slog.Duration("took", s.cfg.Now().Sub(c.start)))
	}
}

// Serve answers on l until ctx ends, then closes l and every connection, gives
// running answers a second, and returns nil. It returns the error of the
// listener when that fails first.
func (s *Simulator) Serve(ctx context.Context, l net.Listener) error {
	srv := &http.Server{
		Handler:           s,
		ReadHeaderTimeout: 10 * time.Second,
		BaseContext:       func(net.Listener) context.Context { return ctx },
	}
	stopped := make(chan struct{})
	served := make(chan struct{})
	go func() {
		defer close(stopped)
		select {
		case <-ctx.Done():
		case <-served:
			return
		}
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		if srv.Shutdown(grace) != nil {
			_ = srv.Close() // a connection that would not end
		}
	}()
	err := srv.Serve(l)
	close(served)
	<-stopped
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("simulator: serve: %w", err)
}

// wait sleeps for d and reports false when ctx ended first.
func wait(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// cut closes the connection under the answer, with a reset where TCP allows.
func cut(w http.ResponseWriter) {
	hj, ok := w.(http.Hijacker)
	if !ok {
		panic(http.ErrAbortHandler)
	}
	conn, _, err := hj.Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // a reset, not an orderly end
	}
	_ = conn.Close()
}

// readBody reads the request's body into c.
func (c *call) readBody(w http.ResponseWriter) error {
	if c.r.Body == nil || c.r.Body == http.NoBody {
		return nil
	}
	body := http.MaxBytesReader(w, c.r.Body, BodyMax)
	var err error
	if n := c.r.ContentLength; n > 0 && n <= BodyMax {
		c.body = make([]byte, n)
		_, err = io.ReadFull(body, c.body)
	} else {
		c.body, err = io.ReadAll(body)
	}
	return err
}
