package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"github.com/spf13/cobra"

	"github.com/imqueue/emq/tasks"
)

// The bars of the design, against a plain asynq server in the same run.
const (
	barDeliver       = 2.5
	barDeliverAlways = 6.0
	barResting       = 40.0 // MB
	barWorking       = 120.0
)

const (
	benchTasks   = 30_000
	benchRunsMax = 100
	// benchSettle is how long a process rests before its memory is taken.
	benchSettle = 5 * time.Second
	benchRate   = 10_000 // a second, at which a process' memory is taken
)

func newBenchDeliverCmd(e *env) *cobra.Command {
	var f benchFlags
	var tasksN, apps, processes int
	var memory bool
	cmd := &cobra.Command{
		Use:   "deliver",
		Short: "Measure how fast workers deliver",
		Long: `deliver queues tasks, starts a worker on them with every feature on, and measures the
calls a second from the tenth part of them to the last; they go to an HTTP server in
this process that answers at once. It also tells what a task costs in Redis.

--baseline does the same work on a plain asynq server whose handler makes the same call,
by turns with emq. --limit-check makes the same calls without a queue, and writes the
same payloads to Redis in bare pipelines: no queue can be faster than either.
--memory has a worker process rest and then deliver 10,000 a second, and takes its
memory (Linux).`,
		Example: `  emq bench deliver --baseline
  emq bench deliver --fsync always --baseline --limit-check
  emq bench deliver --redis redis://10.0.0.5:6379 --apps 10 --processes 4`,
		Args: takesNone,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case tasksN < 100 || tasksN > 10_000_000:
				return usagef("--tasks %d: must be 100 to 10000000", tasksN)
			case apps < 1 || apps > 1000:
				return usagef("--apps %d: must be 1 to 1000", apps)
			case processes < 0 || processes > 64:
				return usagef("--processes %d: must be 0 to 64", processes)
			case processes > 0 && f.baseline:
				return usagef("--processes and --baseline exclude each other: asynq would run in this one")
			}
			return e.bench(cmd.Context(), f, apps, func(ctx context.Context, b *benchRun) error {
				if err := b.deliver(ctx, tasksN, processes); err != nil || !memory {
					return err
				}
				return b.memory(ctx)
			})
		},
	}
	f.add(cmd)
	f.addRun(cmd)
	cmd.Flags().IntVar(&tasksN, "tasks", benchTasks, "how many tasks wait when a round begins")
	cmd.Flags().IntVar(&apps, "apps", 1, "of how many apps")
	cmd.Flags().IntVar(&processes, "processes", 0, "how many worker processes; 0: one in this process")
	cmd.Flags().BoolVar(&memory, "memory", false, "also take the memory of a worker process")
	return cmd
}

// deliver measures delivery, by turns with asynq.
func (b *benchRun) deliver(ctx context.Context, n, processes int) error {
	var ours, theirs []delivery
	for range b.rounds {
		d, err := b.delivery(ctx, n, func(ctx context.Context) error { return b.enqueueEvenly(ctx, n) }, func() (func() error, error) {
			return b.workers(processes)
		})
		if err != nil {
			return err
		}
		ours = append(ours, d)
		if !b.baseline {
			continue
		}
		if d, err = b.delivery(ctx, n, func(ctx context.Context) error { return b.plainEnqueue(ctx, n, b.concurrency) }, func() (func() error, error) {
			stop, err := startPlain(b.rdb, b.end, b.concurrency)
			return func() error { stop(); return nil }, err
		}); err != nil {
			return err
		}
		theirs = append(theirs, d)
	}
	bar := barDeliver
	if b.fsync == "always" {
		bar = barDeliverAlways
	}
	what := fmt.Sprintf("deliver, %d in flight, fsync %s", b.concurrency, b.fsync)
	b.rows(what, "calls a second", of(ours, delivery.rate), of(theirs, delivery.rate), func(r benchRow) benchRow { return r.ratioAtLeast(bar) })
	b.rows("… Redis commands a task", "", of(ours, delivery.commands), of(theirs, delivery.commands), nil)
	if b.rdb.own != nil {
		b.rows("… time in Redis a task", "µs", of(ours, delivery.inRedis), of(theirs, delivery.inRedis), nil)
	}
	if b.limitCheck {
		return b.limits(ctx, n)
	}
	return nil
}

// A delivery is one round.
type delivery struct {
	n        int
	timed    int           // of the last of them
	took     time.Duration // for those
	count    float64       // of Redis' commands, those that scripts run included
	redisCPU float64       // seconds
}

func (d delivery) rate() float64     { return float64(d.timed) / d.took.Seconds() }
func (d delivery) commands() float64 { return d.count / float64(d.n) }
func (d delivery) inRedis() float64  { return d.redisCPU / float64(d.n) * 1e6 }

func of(list []delivery, get func(delivery) float64) []float64 {
	var values []float64
	for _, d := range list {
		values = append(values, get(d))
	}
	return values
}

// delivery queues n tasks, starts something that delivers them, and waits for the last.
func (b *benchRun) delivery(ctx context.Context, n int, enqueue func(context.Context) error, start func() (func() error, error)) (d delivery, _ error) {
	if err := enqueue(ctx); err != nil {
		return d, err
	}
	count, cpu, err := b.rdb.work(ctx)
	if err != nil {
		return d, err
	}
	b.end.calls.Store(0)
	stop, err := start()
	if err != nil {
		return d, err
	}
	bar := b.newBar(true, int64(n), "deliver", false)
	defer bar.clear()
	var began time.Time
	shown := 0
	for done := 0; done < n; {
		select {
		case <-ctx.Done():
			_ = stop()
			return d, ctx.Err()
		case <-time.After(time.Millisecond):
		}
		done = int(b.end.calls.Load())
		if began.IsZero() && done >= n/10 {
			began, d.timed = time.Now(), n-done
		}
		bar.advance(min(done, n) - shown)
		shown = min(done, n)
	}
	d.took = time.Since(began)
	countAfter, cpuAfter, err := b.rdb.work(ctx)
	if err != nil {
		return d, err
	}
	d.n, d.count, d.redisCPU = n, countAfter-count, cpuAfter-cpu
	if err := b.drained(ctx); err != nil {
		return d, err
	}
	return d, stop()
}

// drained waits until no task of the benchmark's is left.
func (b *benchRun) drained(ctx context.Context) error {
	queues := append([]string{b.rdb.plainQueue()}, b.queues()...)
	for {
		pipe := b.rdb.Pipeline()
		var left []*redis.IntCmd
		for _, queue := range queues {
			left = append(left, pipe.LLen(ctx, "asynq:{"+queue+"}:pending"), pipe.LLen(ctx, "asynq:{"+queue+"}:active"))
		}
		if _, err := pipe.Exec(ctx); err != nil {
			return err
		}
		sum := int64(0)
		for _, cmd := range left {
			sum += cmd.Val()
		}
		if sum == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// queues are those that the benchmark's tasks wait in.
func (b *benchRun) queues() []string {
	var names []string
	for _, app := range b.apps {
		names = append(names, tasks.QueueName(app, tasks.EndpointMessagesUsers, tasks.Default))
	}
	return names
}

// workers starts a worker in this process, or so many processes.
func (b *benchRun) workers(processes int) (stop func() error, _ error) {
	if processes == 0 {
		return b.startWorker(b.rdb.url, b.end, b.apps, b.concurrency)
	}
	var all []*benchProcess
	for range processes {
		p, err := b.startProcess(b.rdb.url, b.end, b.apps, b.concurrency, "")
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	return func() error {
		for _, p := range all {
			if err := p.stop(); err != nil {
				return err
			}
		}
		return nil
	}, nil
}

// enqueueEvenly queues n tasks, of the apps in turn.
func (b *benchRun) enqueueEvenly(ctx context.Context, n int) error {
	const most = 20_000
	for done := 0; done < n; done += most {
		if err := b.enqueueMany(ctx, min(most, n-done)); err != nil {
			return err
		}
	}
	return nil
}

// enqueueMany queues n tasks with one call.
func (b *benchRun) enqueueMany(ctx context.Context, n int) error {
	list := make([]tasks.Task, n)
	for i := range list {
		list[i] = tasks.Task{App: b.apps[i%len(b.apps)], Payload: b.message}
	}
	receipts, err := b.client.EnqueueMany(ctx, list)
	for _, r := range receipts {
		err = errors.Join(err, r.Err)
	}
	return err
}

// plainEnqueue queues n tasks by asynq's client, from so many goroutines.
func (b *benchRun) plainEnqueue(ctx context.Context, n, callers int) error {
	client := asynq.NewClientFromRedisClient(b.rdb.plain)
	body, err := b.message.MarshalJSON()
	if err != nil {
		return err
	}
	var next atomic.Int64
	return together(callers, func() error {
		for next.Add(1) <= int64(n) {
			if _, err := client.EnqueueContext(ctx, asynq.NewTask("message.send", body), asynq.Queue(b.rdb.plainQueue())); err != nil {
				return err
			}
		}
		return nil
	})
}

// limits measures what no queue can surpass.
func (b *benchRun) limits(ctx context.Context, n int) error {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: b.concurrency}}
	defer client.CloseIdleConnections()
	body, err := b.message.MarshalJSON()
	if err != nil {
		return err
	}
	var calls []float64
	for range b.rounds {
		var next atomic.Int64
		began := time.Now()
		if err := together(b.concurrency, func() error {
			for next.Add(1) <= int64(n) {
				if err := plainCall(ctx, client, b.end.url+"/bench/emq/messages/users", body); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			return err
		}
		calls = append(calls, float64(n)/time.Since(began).Seconds())
	}
	b.rows("limit: the same calls without a queue", "calls a second", calls, nil, nil)
	return b.writeLimit(ctx, n)
}

// writeLimit measures bare writes of the payload.
func (b *benchRun) writeLimit(ctx context.Context, n int) error {
	body, err := b.message.MarshalJSON()
	if err != nil {
		return err
	}
	var writes []float64
	key := b.rdb.prefix + "-writes"
	for range b.rounds {
		began := time.Now()
		for done := 0; done < n; {
			pipe := b.rdb.Pipeline()
			for range min(500, n-done) {
				pipe.LPush(ctx, key, body)
				done++
			}
			if _, err := pipe.Exec(ctx); err != nil {
				return err
			}
		}
		writes = append(writes, float64(n)/time.Since(began).Seconds())
		if err := b.rdb.Unlink(ctx, key).Err(); err != nil {
			return err
		}
	}
	b.rows("limit: the same payloads, pipelined LPUSH", "writes a second", writes, nil, nil)
	return nil
}

// memory takes the memory of a worker process at rest and at work.
func (b *benchRun) memory(ctx context.Context) error {
	p, err := b.startProcess(b.rdb.url, b.end, b.apps, b.concurrency, fmt.Sprintf("%d/s", benchRate))
	if err != nil {
		return err
	}
	if err := sleep(ctx, benchSettle); err != nil {
		return err
	}
	rest, ok := resident(p.Process.Pid)
	if !ok {
		return p.stop()
	}
	b.table.add(benchRow{What: "memory of a worker process at rest", Value: rest, Unit: "MB"}.atMost(barResting))
	const n = 8 * benchRate
	if err := b.enqueueEvenly(ctx, n); err != nil {
		return err
	}
	most, began, from := 0.0, time.Now(), b.end.calls.Load()
	for b.end.calls.Load()-from < n*3/4 {
		mb, _ := resident(p.Process.Pid)
		most = max(most, mb)
		if err := sleep(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
	rate := float64(b.end.calls.Load()-from) / time.Since(began).Seconds()
	b.table.add(benchRow{What: "memory of a worker process at work, highest", Value: most, Unit: "MB", Spread: fmt.Sprintf("%s calls a second", figure(rate))}.atMost(barWorking))
	if err := b.drained(ctx); err != nil {
		return err
	}
	return p.stop()
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// work is how many commands Redis has run, those of scripts included, and how much of a
// processor's time it has used, in seconds; of a Cluster, all its masters.
func (b *benchRedis) work(ctx context.Context) (commands, cpu float64, _ error) {
	var mu sync.Mutex
	err := b.masters(ctx, func(ctx context.Context, node redis.UniversalClient) error {
		stats, err := info(ctx, node, "commandstats")
		if err != nil {
			return err
		}
		used, err := info(ctx, node, "cpu")
		if err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		for name, text := range stats {
			var n float64
			if strings.HasPrefix(name, "cmdstat_") && name != "cmdstat_info" {
				if _, err := fmt.Sscanf(text, "calls=%g,", &n); err == nil {
					commands += n
				}
			}
		}
		for _, name := range []string{"used_cpu_sys", "used_cpu_user"} {
			if s, err := strconv.ParseFloat(used[name], 64); err == nil {
				cpu += s
			}
		}
		return nil
	})
	return commands, cpu, err
}
