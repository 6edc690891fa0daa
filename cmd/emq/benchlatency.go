package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"github.com/spf13/cobra"

	"github.com/imqueue/emq/tasks"
)

// The bars of the design.
const (
	barIdle50  = 15.0 // ms
	barIdle99  = 40.0
	barIdleCPU = 3.0 // per cent of a core
	barRetry   = 300.0
	barStart   = 300.0
)

const (
	benchRetries = 300
	benchIdle    = 10 * time.Second
	benchStarts  = 7
)

func newBenchLatencyCmd(e *env) *cobra.Command {
	var f benchFlags
	var tries int
	cmd := &cobra.Command{
		Use:   "latency",
		Short: "Measure how soon a task is called",
		Long: `latency runs a worker process and measures, one task after the other, from enqueue to
call while the queue is idle; what the idle worker and Redis cost (Linux); how late
retries come; and from the start of a worker process to its first call.

--baseline measures the same of a plain asynq server, but for the start.`,
		Example: `  emq bench latency --baseline`,
		Args:    takesNone,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if tries < 10 || tries > 100_000 {
				return usagef("--tries %d: must be 10 to 100000", tries)
			}
			return e.bench(cmd.Context(), f, 1, func(ctx context.Context, b *benchRun) error { return b.latency(ctx, tries) })
		},
	}
	f.add(cmd)
	f.addRun(cmd)
	cmd.Flags().IntVar(&tries, "tries", 500, "how many tasks are timed")
	return cmd
}

func (b *benchRun) latency(ctx context.Context, tries int) error {
	if err := b.starts(ctx); err != nil {
		return err
	}
	p, err := b.startProcess(b.rdb.url, b.end, b.apps, b.concurrency, "")
	if err != nil {
		return err
	}
	if err := sleep(ctx, 2*time.Second); err != nil { // the start is over
		return err
	}
	if err := b.idleCost(ctx, p); err != nil {
		return err
	}
	idle, err := b.idle(ctx, tries, func(ctx context.Context) error {
		_, err := b.client.Enqueue(ctx, b.message)
		return err
	})
	if err != nil {
		return err
	}
	late, err := b.retries(ctx, b.queues()[0], func(ctx context.Context, n int) error { return b.enqueueEvenly(ctx, n) })
	if err != nil {
		return err
	}
	if err := p.stop(); err != nil {
		return err
	}
	var plainIdle, plainLate timings
	if b.baseline {
		stop, err := startPlain(b.rdb, b.end, b.concurrency)
		if err != nil {
			return err
		}
		defer stop()
		client := asynq.NewClientFromRedisClient(b.rdb.plain)
		if plainIdle, err = b.idle(ctx, max(10, tries/10), func(ctx context.Context) error {
			_, err := client.EnqueueContext(ctx, asynq.NewTask("message.send", []byte(`{}`)), asynq.Queue(b.rdb.plainQueue()))
			return err
		}); err != nil {
			return err
		}
		if plainLate, err = b.retries(ctx, b.rdb.plainQueue(), func(ctx context.Context, n int) error {
			for i := range n {
				body := fmt.Sprintf(`{"%s":"p%d"}`, tasks.ExtTaskID, i)
				if _, err := client.EnqueueContext(ctx, asynq.NewTask("message.send", []byte(body)), asynq.Queue(b.rdb.plainQueue()), asynq.TaskID(fmt.Sprint("p", i))); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			return err
		}
	}
	row := func(what string, ours, theirs timings, quantile, bar float64) {
		r := benchRow{What: what, Value: ours.at(quantile), Unit: "ms", Spread: fmt.Sprintf("%d tasks, highest %s", len(ours), figure(ours.at(1)))}
		if len(theirs) > 0 {
			r = r.against(theirs.at(quantile))
		}
		b.table.add(r.atMost(bar))
	}
	row("idle queue, enqueue to call, p50", idle, plainIdle, 0.5, barIdle50)
	row("idle queue, enqueue to call, p99", idle, plainIdle, 0.99, barIdle99)
	row("a retry due to its call, p99", late, plainLate, 0.99, barRetry)
	return nil
}

// starts measures from the start of a worker process to the call of a task that waits.
func (b *benchRun) starts(ctx context.Context) error {
	var took timings
	for range benchStarts {
		if err := b.enqueueEvenly(ctx, 1); err != nil {
			return err
		}
		called := make(chan struct{}, 1)
		b.end.watch(func([]byte) int { called <- struct{}{}; return http.StatusOK })
		began := time.Now()
		p, err := b.startProcess(b.rdb.url, b.end, b.apps, b.concurrency, "")
		if err != nil {
			return err
		}
		select {
		case <-called:
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Minute):
			return fmt.Errorf("a worker process made no call within a minute")
		}
		took = append(took, time.Since(began))
		b.end.watch(nil)
		if err := b.drained(ctx); err != nil {
			return err
		}
		if err := p.stop(); err != nil {
			return err
		}
	}
	slices.Sort(took)
	b.table.add(benchRow{
		What: "start of a worker process to its first call", Value: took.at(0.5), Unit: "ms, median",
		Spread: fmt.Sprintf("%s to %s in %d runs", figure(took.at(0)), figure(took.at(1)), len(took)),
	}.atMost(barStart))
	return nil
}

// idle times tasks that come to an empty queue, one after the other.
func (b *benchRun) idle(ctx context.Context, tries int, enqueue func(context.Context) error) (timings, error) {
	called := make(chan struct{}, 1)
	b.end.watch(func([]byte) int { called <- struct{}{}; return http.StatusOK })
	defer b.end.watch(nil)
	bar := b.newBar(true, int64(tries), "idle", false)
	defer bar.clear()
	var took timings
	for range tries {
		began := time.Now()
		if err := enqueue(ctx); err != nil {
			return nil, err
		}
		select {
		case <-called:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		took = append(took, time.Since(began))
		bar.advance(1)
		if err := sleep(ctx, 30*time.Millisecond+rand.N(50*time.Millisecond)); err != nil { // out of step with polls
			return nil, err
		}
	}
	slices.Sort(took)
	return took, nil
}

// idleCost takes the time of a processor that a worker and its Redis use while nothing
// is to be done.
func (b *benchRun) idleCost(ctx context.Context, p *benchProcess) error {
	before, ok := cpuTime(p.Process.Pid)
	_, redisBefore, err := b.rdb.work(ctx)
	if err != nil || !ok {
		return err
	}
	began := time.Now()
	if err := sleep(ctx, benchIdle); err != nil {
		return err
	}
	took := time.Since(began).Seconds()
	after, _ := cpuTime(p.Process.Pid)
	_, redisAfter, err := b.rdb.work(ctx)
	if err != nil {
		return err
	}
	ours, inRedis := (after-before).Seconds()/took*100, (redisAfter-redisBefore)/took*100
	b.table.add(benchRow{
		What: "idle worker and Redis", Value: ours + inRedis, Unit: "% of a core",
		Spread: fmt.Sprintf("worker %s, Redis %s, over %v", figure(ours), figure(inRedis), benchIdle),
	}.atMost(barIdleCPU))
	return nil
}

// retries has every third task fail once, so that Easemob does not seem to be down, and
// times the second call against when it was due.
func (b *benchRun) retries(ctx context.Context, queue string, enqueue func(ctx context.Context, n int) error) (timings, error) {
	const share = 3
	var mu sync.Mutex
	failed, again := map[string]bool{}, map[string]time.Time{}
	calls := 0
	done := make(chan struct{}, benchRetries)
	b.end.watch(func(body []byte) int {
		mu.Lock()
		defer mu.Unlock()
		id := idOf(body)
		if failed[id] {
			again[id] = time.Now()
			done <- struct{}{}
			return http.StatusOK
		}
		if calls++; calls%share == 0 && len(failed) < benchRetries {
			failed[id] = true
			return http.StatusServiceUnavailable
		}
		return http.StatusOK
	})
	defer b.end.watch(nil)
	if err := enqueue(ctx, share*benchRetries); err != nil {
		return nil, err
	}
	due := map[string]time.Time{}
	for n := 0; n < benchRetries; {
		select {
		case <-done:
			n++
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(10 * time.Millisecond):
			waiting, err := b.rdb.ZRangeWithScores(ctx, "asynq:{"+queue+"}:retry", 0, -1).Result()
			if err != nil {
				return nil, err
			}
			noteDue(due, waiting)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	var late timings
	for id, at := range due {
		if called, ok := again[id]; ok {
			late = append(late, max(0, called.Sub(at)))
		}
	}
	slices.Sort(late)
	if len(late) < benchRetries/2 {
		return nil, fmt.Errorf("only %d of %d retries were seen waiting", len(late), benchRetries)
	}
	return late, nil
}

func noteDue(due map[string]time.Time, waiting []redis.Z) {
	for _, z := range waiting {
		if id, ok := z.Member.(string); ok {
			due[id] = time.UnixMilli(int64(z.Score * 1000))
		}
	}
}

func newBenchAllCmd(e *env) *cobra.Command {
	var f benchFlags
	cmd := &cobra.Command{
		Use:   "all",
		Short: "Measure everything that emq promises a figure for",
		Long: `all runs enqueue, deliver, latency and dlq one after the other, beside plain asynq, with
their usual sizes: deliver on a redis-server without persistence and with both kinds of
append-only file, and the store of dead letters with 100,000 of them.

It takes some ten minutes on two cores.`,
		Example: `  emq bench all
  emq bench all --rounds 3 --json > today.jsonl`,
		Args: takesNone,
		RunE: func(cmd *cobra.Command, _ []string) error {
			f.fsync, f.payload, f.concurrency, f.baseline, f.limitCheck = "no", 100, 64, true, true
			if err := f.check(); err != nil {
				return err
			}
			return e.benchAll(cmd.Context(), f)
		},
	}
	f.add(cmd)
	cmd.Flags().IntVar(&f.rounds, "rounds", benchRounds, "how often to measure; fewer are quicker and say less")
	return cmd
}

func (e *env) benchAll(ctx context.Context, f benchFlags) error {
	table := e.newBenchTable(f.json)
	on := func(f benchFlags, run func(context.Context, *benchRun) error) error {
		return e.benchOn(ctx, f, 1, table, run)
	}
	if err := on(f, func(ctx context.Context, b *benchRun) error { return b.enqueue(ctx, 100_000) }); err != nil {
		return err
	}
	fsyncs := []string{"no", "everysec", "always"}
	if f.redis != "" {
		fsyncs = fsyncs[:1] // its own
	}
	for i, fsync := range fsyncs {
		g := f
		g.fsync, g.limitCheck = fsync, i == 0
		if err := on(g, func(ctx context.Context, b *benchRun) error {
			if err := b.deliver(ctx, benchTasks, 0); err != nil || i > 0 {
				return err
			}
			return b.memory(ctx)
		}); err != nil {
			return err
		}
	}
	if err := on(f, func(ctx context.Context, b *benchRun) error { return b.latency(ctx, 500) }); err != nil {
		return err
	}
	if err := e.benchLetters(ctx, f, table, 100_000, 200, 3, f.rounds); err != nil {
		return err
	}
	return table.end()
}
