package worker

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"github.com/imqueue/emq/errclass"
	"github.com/imqueue/emq/tasks"
	"github.com/imqueue/emq/tasks/redisserver/redistest"
	"github.com/imqueue/emq/worker/easemob/simulator"
)

// The benchmarks of this suite time the steps of an attempt without Redis and HTTP.
// `emq bench` measures them together, beside plain asynq.

// BenchmarkSettle ends an attempt whose call succeeded: with its log line, and without
// anything to note in Redis.
func BenchmarkSettle(b *testing.B) {
	w, a := benchAttempt(b)
	a.verdict = w.classify(a)
	b.ReportAllocs()
	for b.Loop() {
		if err := w.settle(context.Background(), a); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkJudge classifies the answer to a send and counts it.
func BenchmarkJudge(b *testing.B) {
	w, a := benchAttempt(b)
	b.ReportAllocs()
	for b.Loop() {
		a.verdict = w.classify(a)
		w.metrics.call(a, w.rules.Load())
	}
	if a.verdict.Class != errclass.ClassSuccess {
		b.Fatalf("judged %+v", a.verdict)
	}
}

// BenchmarkPick chooses 64 tasks of a queue with a limit that is not reached, and ends
// their flights.
func BenchmarkPick(b *testing.B) {
	_, rdb := redistest.Mini(b)
	apps := []App{{Alias: tasks.AppDefault, Limits: map[tasks.Endpoint]tasks.Limit{tasks.EndpointMessagesUsers: {}}}}
	log := slog.New(slog.DiscardHandler)
	board := newBoard(rdb, rdb, newLimits(rdb, nil, log, apps), nil, log, apps, 64)
	name := tasks.QueueName(tasks.AppDefault, tasks.EndpointMessagesUsers, tasks.Default)
	if err := board.know(context.Background(), []string{name}); err != nil {
		b.Fatal(err)
	}
	f, q := board.fetchers[tasks.AppDefault], board.queues[name]
	b.ReportAllocs()
	for b.Loop() {
		q.pending = 64
		if picked, _ := f.pick(context.Background()); len(picked) != 1 || q.fetch.want != 64 {
			b.Fatalf("picked %d queues, %d tasks", len(picked), q.fetch.want)
		}
		q.fetch.want = 0
		for range 64 {
			q.line.release()
		}
	}
}

// benchAttempt is an attempt at a message whose call was answered with success.
func benchAttempt(b *testing.B) (*Worker, *attempt) {
	b.Helper()
	mini, _ := redistest.Mini(b)
	w, err := New(Config{
		RedisURL: "redis://" + mini.Addr(), Logger: slog.New(slog.NewJSONHandler(io.Discard, nil)),
		Apps: []App{{Alias: tasks.AppDefault, Key: simulator.AppKeyDefault, URL: "http://127.0.0.1:1", ClientID: "id", ClientSecret: "secret"}},
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(w.close)
	task := tasks.Task{ID: "MJ2XG43FMQ", App: tasks.AppDefault, Payload: text("u1"), Priority: tasks.Default, MaxAttempts: 20, MaxAge: time.Hour, EnqueuedAt: time.Now()}
	return w, &attempt{
		task: task, queue: task.Queue(), number: 1, started: time.Now(), latency: 20 * time.Millisecond,
		evidence: errclass.Evidence{
			Kind: string(task.Kind()), Attempt: 1, Targets: []string{"u1"}, Status: http.StatusOK, Written: true,
			Body: []byte(`{"path":"/messages/users","uri":"https://a1.easemob.com/acme/shop/messages/users","timestamp":1657529588473,"organization":"acme","action":"post","data":{"u1":"1028442084794698104"},"duration":8}`),
		},
	}
}
