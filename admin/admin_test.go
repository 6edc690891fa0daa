package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/imqueue/emq/dlq"
	"github.com/imqueue/emq/errclass"
	"github.com/imqueue/emq/tasks"
	"github.com/imqueue/emq/tasks/redisserver/redistest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a server on a store of its own.
type world struct {
	t      *testing.T
	server *Server
	store  *dlq.Store
	redis  redis.UniversalClient
	mini   *miniredis.Miniredis // nil on another Redis
	log    *logBuffer
}

func newWorld(t *testing.T) *world {
	t.Helper()
	mini, rdb := redistest.Mini(t)
	w := newWorldOn(t, rdb)
	w.mini = mini
	return w
}

func newWorldOn(t *testing.T, rdb redis.UniversalClient) *world {
	t.Helper()
	client, err := tasks.NewClient(tasks.ClientConfig{Redis: rdb})
	if err != nil {
		t.Fatal(err)
	}
	store, err := dlq.New(dlq.Config{Redis: rdb, Client: client})
	if err != nil {
		t.Fatal(err)
	}
	log := &logBuffer{}
	server, err := New(Config{Store: store, Listen: "127.0.0.1:0", Logger: slog.New(slog.NewTextHandler(log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	return &world{t: t, server: server, store: store, redis: rdb, log: log}
}

// at is when the first dead letter of every test failed.
var at = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// die makes task id of an app a dead letter, after seconds after at.
func (w *world) die(app, id string, p tasks.Payload, v errclass.Verdict, after int) {
	w.t.Helper()
	end := at.Add(time.Duration(after) * time.Second)
	err := w.store.Put(w.t.Context(), dlq.Death{
		Task: tasks.Task{
			ID: id, App: app, Payload: p, Priority: tasks.Default, OnUnknown: tasks.Retry,
			MaxAttempts: 20, MaxAge: time.Hour, EnqueuedAt: end.Add(-time.Minute),
		},
		Verdict: v,
		Attempts: []dlq.Attempt{{
			Number: 1, At: end, Status: v.Status, Class: v.Class, Rule: v.Rule, Error: v.Error, Description: v.Description, Counted: true,
		}},
		At: end,
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

func message() tasks.Payload {
	return tasks.Message{Target: tasks.Users, To: []string{"u1"}, From: "admin", Body: tasks.Text{Msg: "shipped"}}
}

func registration(password string) tasks.Payload {
	return tasks.UserRegister{Users: []tasks.NewUser{{Username: "u1", Password: password}}}
}

func verdict(status int, code string) errclass.Verdict {
	return errclass.Verdict{
		Class: errclass.ClassPermanent, Scope: errclass.ScopeJob, Rule: "test-" + code, Status: status, Error: code,
		Description: "as the test has it", Why: errclass.Text{En: "why", Zh: "为什么"}, Advice: errclass.Text{En: "advice", Zh: "建议"},
	}
}

// answer is what a request got.
type answer struct {
	*http.Response
	body []byte
}

// get asks for a path as a local client would.
func (w *world) get(path string) answer { return w.do(http.MethodGet, path, "127.0.0.1:8610") }

func (w *world) do(method, path, host string) answer {
	w.t.Helper()
	r := httptest.NewRequestWithContext(w.t.Context(), method, "http://placeholder"+path, nil)
	r.Host = host
	rec := httptest.NewRecorder()
	w.server.Handler().ServeHTTP(rec, r)
	return answer{rec.Result(), rec.Body.Bytes()}
}

// into reads the body of an answer that must have this status.
func (a answer) into(t *testing.T, status int, v any) {
	t.Helper()
	if a.StatusCode != status {
		t.Fatalf("status %d, want %d: %s", a.StatusCode, status, a.body)
	}
	want := "application/json"
	if status >= 400 {
		want = "application/problem+json"
	}
	if got := a.Header.Get("Content-Type"); got != want {
		t.Errorf("content type %q, want %q", got, want)
	}
	if err := json.Unmarshal(a.body, v); err != nil {
		t.Fatalf("%v: %s", err, a.body)
	}
}

// page is a list as a client reads it.
type page struct {
	Items      []map[string]any `json:"items"`
	NextCursor string           `json:"next_cursor"`
}

func (p page) all(field string) []string {
	values := []string{}
	for _, item := range p.Items {
		values = append(values, fmt.Sprint(item[field]))
	}
	return values
}

// logBuffer is a log that a test may read while the server writes.
type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// turnstile is a Redis hook that holds every command until it is opened.
type turnstile struct {
	reached chan struct{} // gets a value for each command that waits
	open    chan struct{}
}

func (g turnstile) DialHook(next redis.DialHook) redis.DialHook { return next }

func (g turnstile) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		g.reached <- struct{}{}
		<-g.open
		return next(ctx, cmd)
	}
}

func (g turnstile) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}
