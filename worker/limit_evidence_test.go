package worker

import (
	"context"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/imqueue/emq/tasks"
	"github.com/imqueue/emq/tasks/redisserver"
	"github.com/imqueue/emq/tasks/redisserver/redistest"
	"github.com/imqueue/emq/worker/easemob/simulator"
)

// TestHundredPerSecond shows how well a limit of 100 calls a second is used: two
// worker processes, a backlog of 100,000 messages of low priority, and an urgent
// one every 250 ms, against a simulator that lets no 101st call into any second.
//
//	EMQ_EVIDENCE=1 go test ./worker -run TestHundredPerSecond -v   measures for 30 s
//
// The figures are logged, not asserted, because they are the machine's as well.
func TestHundredPerSecond(t *testing.T) {
	const rate, backlog, step = 100, 100_000, 250 * time.Millisecond
	span := 5 * time.Second
	if os.Getenv("EMQ_EVIDENCE") != "" {
		span = 30 * time.Second
	} else if testing.Short() {
		t.Skip("measures for seconds")
	}
	server := redistest.Start(t, redisserver.Options{})
	w := newWorldOn(t, server.URL(), redistest.Client(t, server), simulator.Config{
		Limits: simulator.Limits{"POST /messages/users": {Calls: simulator.Rates{{Count: rate, Per: time.Second}}}},
	})
	ctx := context.Background()
	list := make([]tasks.Task, backlog)
	for i := range list {
		list[i] = tasks.Task{Payload: text("u1"), Priority: tasks.Low}
	}
	_, err := w.client.EnqueueMany(ctx, list)
	must(t, err)
	for range 2 {
		w.child("")
	}
	w.eventually("a full second of work", func() bool { return len(w.sim.Executed()) > 2*rate })

	refusedBefore, madeBefore := w.calls429()
	queued := map[string]time.Time{}
	began := time.Now()
	for i := 0; time.Since(began) < span; i++ {
		time.Sleep(time.Until(began.Add(time.Duration(i) * step)))
		id := fmt.Sprint("urgent-", i)
		queued[id] = time.Now()
		w.enqueue(text("u2"), tasks.ID(id), tasks.WithPriority(tasks.High))
	}
	ended := time.Now()
	refused, made := w.calls429()
	refused, made = refused-refusedBefore, made-madeBefore

	w.eventually("the last urgent message", func() bool { return w.executed(fmt.Sprint("urgent-", len(queued)-1)) > 0 })
	executed, arrived := 0, map[string]time.Time{}
	for _, e := range w.sim.Executed() {
		if !e.Time.Before(began) && e.Time.Before(ended) {
			executed++
		}
		if _, first := arrived[e.EmqID]; !first {
			arrived[e.EmqID] = e.Time
		}
	}
	var delays []time.Duration
	for id, at := range queued {
		if arrived[id].IsZero() {
			t.Errorf("%s did not arrive before a later one", id)
			continue
		}
		delays = append(delays, arrived[id].Sub(at))
	}
	slices.Sort(delays)
	share := float64(executed) / (rate * ended.Sub(began).Seconds())
	t.Logf("%d calls in %v: %.1f %% of the limit used, %d of %d answered 429 (%.2f %%)",
		executed, ended.Sub(began).Round(time.Millisecond), 100*share, refused, made, 100*float64(refused)/float64(made))
	t.Logf("%d urgent messages over a backlog: p50 %v, p99 %v, max %v from enqueue to arrival",
		len(delays), delays[len(delays)/2], delays[len(delays)*99/100], delays[len(delays)-1])
	if share < 0.5 || share > 1.01 {
		t.Errorf("%.1f %% of the limit used", 100*share)
	}
}

// calls429 counts the calls to users that were answered 429, and all.
func (w *world) calls429() (refused, made int64) {
	for status, n := range w.sim.Counts().Calls["POST /messages/users"] {
		made += n
		if status == 429 {
			refused += n
		}
	}
	return refused, made
}
