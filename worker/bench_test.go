package worker

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hibiken/asynq"

	"github.com/imqueue/emq/tasks"
	"github.com/imqueue/emq/tasks/redisserver"
	"github.com/imqueue/emq/tasks/redisserver/redistest"
	"github.com/imqueue/emq/worker/easemob/simulator"
)

// The benchmarks run the same work on emq and on a plain asynq server whose
// handler makes the same HTTP call, side by side: compare the metrics of the
// two sub-benchmarks of one run.
//
//	go test ./worker -run '^$' -bench Deliver -benchtime 20000x -count 5

const inFlight = 64

// bare answers every call like a send endpoint and does nothing else, so that
// the measure is the queue's. It tells about each call on calls.
func bare(b *testing.B, calls func()) string {
	b.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		rw.Header().Set("Content-Type", "application/json")
		if r.URL.Path == "/demo/emq/token" {
			_, _ = io.WriteString(rw, `{"access_token":"t","expires_in":86400}`)
			return
		}
		_, _ = io.WriteString(rw, `{"data":{"u1":"1234567890123456789"}}`)
		calls()
	}))
	b.Cleanup(server.Close)
	return server.URL
}

func startEmq(b *testing.B, redisURL, easemobURL string) {
	b.Helper()
	worker, err := New(Config{
		RedisURL: redisURL, Concurrency: inFlight, Logger: slog.New(slog.NewJSONHandler(io.Discard, nil)),
		Apps: []App{{
			Alias: tasks.AppDefault, Key: simulator.AppKeyDefault, URL: easemobURL, ClientID: "id", ClientSecret: "secret",
			Limits: unlimited(),
		}},
	})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- worker.Run(ctx) }()
	b.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			b.Error(err)
		}
	})
}

// startAsynq is what a user would write on asynq alone.
func startAsynq(b *testing.B, addr, easemobURL string) {
	b.Helper()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: inFlight}}
	server := asynq.NewServer(asynq.RedisClientOpt{Addr: addr}, asynq.Config{
		Concurrency: inFlight, Queues: map[string]int{"plain": 1}, LogLevel: asynq.ErrorLevel,
	})
	err := server.Start(asynq.HandlerFunc(func(ctx context.Context, t *asynq.Task) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, easemobURL+"/demo/emq/messages/users", bytes.NewReader(t.Payload()))
		if err != nil {
			return err
		}
		resp, err := client.Do(req)
		if err != nil {
			return err
		}
		defer func() { _ = resp.Body.Close() }()
		_, err = io.Copy(io.Discard, resp.Body)
		return err
	}))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { server.Shutdown(); client.CloseIdleConnections() })
}

func BenchmarkDeliver(b *testing.B) {
	for _, fsync := range []string{"", "everysec", "always"} {
		name := "fsync=" + fsync
		if fsync == "" {
			name = "fsync=none"
		}
		b.Run(name+"/asynq", func(b *testing.B) {
			redisSrv := redistest.Start(b, redisserver.Options{AppendFsync: fsync})
			var calls atomic.Int64
			url := bare(b, func() { calls.Add(1) })
			client := asynq.NewClient(asynq.RedisClientOpt{Addr: redisSrv.Addr()})
			b.Cleanup(func() { _ = client.Close() })
			payload, _ := json.Marshal(text("u1"))
			for range b.N {
				if _, err := client.Enqueue(asynq.NewTask("message.send", payload), asynq.Queue("plain")); err != nil {
					b.Fatal(err)
				}
			}
			deliver(b, &calls, func() { startAsynq(b, redisSrv.Addr(), url) })
		})
		b.Run(name+"/emq", func(b *testing.B) {
			redisSrv := redistest.Start(b, redisserver.Options{AppendFsync: fsync})
			var calls atomic.Int64
			url := bare(b, func() { calls.Add(1) })
			client, err := tasks.NewClient(tasks.ClientConfig{Redis: redistest.Client(b, redisSrv)})
			if err != nil {
				b.Fatal(err)
			}
			list := make([]tasks.Task, b.N)
			for i := range list {
				list[i] = tasks.Task{Payload: text("u1")}
			}
			if _, err := client.EnqueueMany(context.Background(), list); err != nil {
				b.Fatal(err)
			}
			deliver(b, &calls, func() { startEmq(b, redisSrv.URL(), url) })
		})
	}
}

// deliver measures from the start of the worker to the last of b.N calls.
func deliver(b *testing.B, calls *atomic.Int64, start func()) {
	b.ResetTimer()
	start()
	for calls.Load() < int64(b.N) {
		time.Sleep(time.Millisecond)
	}
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "calls/s")
}

// BenchmarkLatency measures from enqueue to call while the queue is idle.
func BenchmarkLatency(b *testing.B) {
	run := func(b *testing.B, called <-chan struct{}, enqueue func() error) {
		time.Sleep(2 * time.Second) // let the start settle
		took := make([]time.Duration, 0, b.N)
		for b.Loop() {
			began := time.Now()
			if err := enqueue(); err != nil {
				b.Fatal(err)
			}
			<-called
			took = append(took, time.Since(began))
			time.Sleep(37 * time.Millisecond) // out of step with the polls
		}
		slices.Sort(took)
		b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
		b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
	}
	b.Run("asynq", func(b *testing.B) {
		redisSrv := redistest.Start(b, redisserver.Options{})
		called := make(chan struct{}, 1)
		startAsynq(b, redisSrv.Addr(), bare(b, func() { called <- struct{}{} }))
		client := asynq.NewClient(asynq.RedisClientOpt{Addr: redisSrv.Addr()})
		b.Cleanup(func() { _ = client.Close() })
		run(b, called, func() error {
			_, err := client.Enqueue(asynq.NewTask("message.send", []byte(`{}`)), asynq.Queue("plain"))
			return err
		})
	})
	b.Run("emq", func(b *testing.B) {
		redisSrv := redistest.Start(b, redisserver.Options{})
		called := make(chan struct{}, 1)
		startEmq(b, redisSrv.URL(), bare(b, func() { called <- struct{}{} }))
		client, err := tasks.NewClient(tasks.ClientConfig{Redis: redistest.Client(b, redisSrv)})
		if err != nil {
			b.Fatal(err)
		}
		n := 0
		run(b, called, func() error {
			n++
			_, err := client.Enqueue(context.Background(), text(fmt.Sprintf("u%d", n)))
			return err
		})
	})
}
