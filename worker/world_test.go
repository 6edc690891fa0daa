package worker

import (
	"bytes"
	"context"
	"log/slog"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/imqueue/emq/dlq"
	"github.com/imqueue/emq/tasks"
	"github.com/imqueue/emq/tasks/redisserver/redistest"
	"github.com/imqueue/emq/worker/easemob/simulator"
)

// world is a Redis, a simulated Easemob and what a test does with them.
type world struct {
	t       *testing.T
	url     string // of Redis
	rdb     redis.UniversalClient
	sim     *simulator.Simulator
	easemob string // URL of the simulator
	client  *tasks.Client
	store   *dlq.Store
	logs    *logBuffer
}

func newWorld(t *testing.T, cfg simulator.Config) *world {
	t.Helper()
	mini, rdb := redistest.Mini(t)
	return newWorldOn(t, "redis://"+mini.Addr(), rdb, cfg)
}

func newWorldOn(t *testing.T, url string, rdb redis.UniversalClient, cfg simulator.Config) *world {
	t.Helper()
	sim, err := simulator.New(cfg)
	must(t, err)
	server := httptest.NewServer(sim)
	t.Cleanup(server.Close)
	client, err := tasks.NewClient(tasks.ClientConfig{Redis: rdb})
	must(t, err)
	store, err := dlq.New(dlq.Config{Redis: rdb, Client: client})
	must(t, err)
	return &world{t: t, url: url, rdb: rdb, sim: sim, easemob: server.URL, client: client, store: store, logs: &logBuffer{}}
}

// config is a worker's configuration for the simulator's app.
func (w *world) config() Config {
	return Config{
		RedisURL: w.url, Concurrency: 8, CallTimeout: 2 * time.Second, DrainTimeout: 5 * time.Second,
		Logger: slog.New(slog.NewTextHandler(w.logs, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Apps: []App{{
			Alias: tasks.AppDefault, Key: simulator.AppKeyDefault, URL: w.easemob,
			ClientID: simulator.ClientIDDefault, ClientSecret: simulator.ClientSecretDefault,
		}},
	}
}

// start runs a worker until stop is called or the test ends.
func (w *world) start(change ...func(*Config)) (stop func()) {
	w.t.Helper()
	cfg := w.config()
	for _, c := range change {
		c(&cfg)
	}
	worker, err := New(cfg)
	must(w.t, err)
	return w.run(worker)
}

func (w *world) run(worker *Worker) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- worker.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			w.t.Errorf("Run: %v", err)
		}
	})
	w.t.Cleanup(stop)
	return stop
}

func (w *world) enqueue(p tasks.Payload, opts ...tasks.Option) string {
	w.t.Helper()
	receipt, err := w.client.Enqueue(context.Background(), p, opts...)
	must(w.t, err)
	return receipt.ID
}

// eventually waits until cond holds.
func (w *world) eventually(what string, cond func() bool) {
	w.t.Helper()
	for deadline := time.Now().Add(60 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if cond() {
			return
		}
	}
	w.t.Fatalf("never: %s\nlog:\n%s", what, w.logs)
}

// idle waits until no task of the app is left in any queue.
func (w *world) idle() {
	w.t.Helper()
	w.eventually("queues are empty", func() bool { return w.waiting() == 0 })
}

// waiting counts the tasks that are in any queue, in any state.
func (w *world) waiting() int {
	w.t.Helper()
	queues, err := w.store.Queues(context.Background(), tasks.AppDefault)
	must(w.t, err)
	n := 0
	for _, q := range queues {
		n += q.Pending + q.Active + q.Scheduled + q.Retry + q.Archived
	}
	return n
}

// dead waits for the dead letter of a task.
func (w *world) dead(id string) dlq.Entry {
	w.t.Helper()
	var entry dlq.Entry
	w.eventually("dead letter of "+id, func() bool {
		var err error
		entry, err = w.store.Get(context.Background(), tasks.AppDefault, id)
		return err == nil && entry.State == dlq.StateDead
	})
	w.idle()
	return entry
}

func (w *world) noDeadLetters() {
	w.t.Helper()
	n, err := w.store.Count(context.Background(), dlq.Filter{App: tasks.AppDefault})
	must(w.t, err)
	if n != 0 {
		w.t.Errorf("%d dead letters, want none\nlog:\n%s", n, w.logs)
	}
}

// executed counts how often the simulator executed the message of a task.
func (w *world) executed(id string) int {
	n := 0
	for _, e := range w.sim.Executed() {
		if e.EmqID == id {
			n++
		}
	}
	return n
}

// asTask is what asynq knows of a waiting task.
func (w *world) asTask(queue, id string) *asynq.TaskInfo {
	w.t.Helper()
	info, err := asynq.NewInspectorFromRedisClient(w.rdb).GetTaskInfo(queue, id)
	must(w.t, err)
	return info
}

func (w *world) fault(f simulator.Fault) {
	w.t.Helper()
	_, err := w.sim.AddFault(f)
	must(w.t, err)
}

// group makes a group in the simulator and returns its id.
func (w *world) group(owner string, members ...string) string {
	w.t.Helper()
	id, err := w.sim.CreateGroup("", simulator.Group{Owner: owner, Members: members})
	must(w.t, err)
	return id
}

func (w *world) user(name string) {
	w.t.Helper()
	must(w.t, w.sim.CreateUsers("", name))
}

func text(to string) tasks.Message {
	return tasks.Message{Target: tasks.Users, To: []string{to}, Body: tasks.Text{Msg: "hello"}}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// logBuffer collects log output of several goroutines.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// attempts are the attempt lines about a task.
func (b *logBuffer) attempts(id string) (lines []string) {
	for line := range strings.Lines(b.String()) {
		if strings.Contains(line, "msg=attempt") && strings.Contains(line, "task_id="+id+" ") {
			lines = append(lines, line)
		}
	}
	return lines
}
