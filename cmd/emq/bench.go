package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/spf13/cobra"

	"github.com/imqueue/emq/tasks"
	"github.com/imqueue/emq/tasks/redisserver"
	"github.com/imqueue/emq/worker"
)

func newBenchCmd(e *env) *cobra.Command {
	return group(&cobra.Command{
		Use:   "bench",
		Short: "Measure what emq does on this machine, or on a Redis of yours",
		Long: `bench measures emq on a redis-server that it starts itself and stops at the end, or
with --redis on yours. There it works under apps of its own, named b…-1 and so on, whose
keys it removes at the end, and refuses a Redis that emq uses already, unless --yes
says that its users may notice.

What is compared runs by turns in one process, several rounds; a figure is the median of
them, its spread the lowest and the highest. A bar is what emq promises.`,
		Example: `  emq bench deliver --baseline
  emq bench dlq --entries 100000
  emq bench all`,
	}, newBenchEnqueueCmd(e), newBenchDeliverCmd(e), newBenchLatencyCmd(e), newBenchDLQCmd(e), newBenchAllCmd(e))
}

// benchFlags say on which Redis a benchmark runs, and how.
type benchFlags struct {
	redis     string
	yes, json bool

	fsync                string
	payload, concurrency int
	rounds               int
	baseline, limitCheck bool
}

func (f *benchFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.redis, "redis", "", "URL of the Redis to measure; else a redis-server is started")
	cmd.Flags().BoolVarP(&f.yes, "yes", "y", false, "also on a Redis that emq uses")
	jsonFlag(cmd, &f.json)
}

const benchRounds = 5

// addRun adds the flags of what goes through queues.
func (f *benchFlags) addRun(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.fsync, "fsync", "no", "how the redis-server keeps what it is told: no (not at all), everysec or always")
	cmd.Flags().IntVar(&f.payload, "payload", 100, "bytes of a message's text, 1 to 4096")
	cmd.Flags().IntVar(&f.concurrency, "concurrency", 64, "calls in flight, and goroutines that enqueue, 1 to 1024")
	cmd.Flags().IntVar(&f.rounds, "rounds", benchRounds, "how often to measure; fewer are quicker and say less")
	cmd.Flags().BoolVar(&f.baseline, "baseline", false, "also do the same work on plain asynq, by turns")
	cmd.Flags().BoolVar(&f.limitCheck, "limit-check", false, "also measure the parts without a queue")
}

func (f *benchFlags) check() error {
	switch {
	case f.fsync != "no" && f.fsync != "everysec" && f.fsync != "always":
		return usagef("--fsync %q: must be no, everysec or always", f.fsync)
	case f.fsync != "no" && f.redis != "":
		return usagef("--fsync is about a redis-server that is started: the one of --redis keeps its own setting")
	case f.payload < 1 || f.payload > 4096:
		return usagef("--payload %d: must be 1 to 4096", f.payload)
	case f.concurrency < 1 || f.concurrency > worker.ConcurrencyMax:
		return usagef("--concurrency %d: must be 1 to %d", f.concurrency, worker.ConcurrencyMax)
	case f.rounds < 1 || f.rounds > benchRunsMax:
		return usagef("--rounds %d: must be 1 to %d", f.rounds, benchRunsMax)
	}
	return nil
}

// benchRun is a run of a benchmark of what goes through queues.
type benchRun struct {
	*env
	benchFlags
	rdb     *benchRedis
	end     *benchEnd
	client  *tasks.Client
	apps    []string
	message tasks.Message
	table   *benchTable
}

// bench prepares a run for so many apps, and cleans up after it.
func (e *env) bench(ctx context.Context, f benchFlags, apps int, run func(context.Context, *benchRun) error) (err error) {
	if err := f.check(); err != nil {
		return err
	}
	table := e.newBenchTable(f.json)
	if err := e.benchOn(ctx, f, apps, table, run); err != nil {
		return err
	}
	return table.end()
}

// benchOn makes a run whose rows go to a table.
func (e *env) benchOn(ctx context.Context, f benchFlags, apps int, table *benchTable, run func(context.Context, *benchRun) error) (err error) {
	collectLess() // as a worker does, for both sides alike
	b := &benchRun{env: e, benchFlags: f, table: table}
	if b.rdb, err = e.benchRedis(ctx, f); err != nil {
		return err
	}
	b.apps = b.rdb.apps(apps)
	defer func() { err = errors.Join(err, b.rdb.clean(b.apps)) }()
	if b.end, err = e.benchEnd(ctx); err != nil {
		return err
	}
	if b.client, err = tasks.NewClient(tasks.ClientConfig{Redis: b.rdb, App: b.apps[0]}); err != nil {
		return err
	}
	b.message = tasks.Message{Target: tasks.Users, To: []string{"u1"}, From: "admin", Body: tasks.Text{Msg: strings.Repeat("x", f.payload)}}
	return run(ctx, b)
}

// rows adds the median of runs, beside that of the baseline's if there is one; judge sets
// the bar for the ratio.
func (b *benchRun) rows(what, unit string, ours, theirs []float64, judge func(benchRow) benchRow) {
	value, spread := median(ours)
	row := benchRow{What: what, Value: value, Unit: unit, Spread: spread}
	if len(theirs) > 0 {
		base, baseSpread := median(theirs)
		row = row.against(base)
		row.Spread += "; asynq " + baseSpread
		if judge != nil {
			row = judge(row)
		}
	}
	b.table.add(row)
}

// A benchRedis is the Redis that a benchmark runs on.
type benchRedis struct {
	redis.UniversalClient
	plain  redis.UniversalClient // for plain asynq
	url    string
	prefix string // of the apps that the benchmark uses
	own    *redisserver.Server
}

// benchRedis starts a Redis, or connects to the given one.
func (e *env) benchRedis(ctx context.Context, f benchFlags) (*benchRedis, error) {
	b := &benchRedis{url: f.redis, prefix: fmt.Sprintf("b%05x", rand.Uint32N(1<<20))}
	if f.redis == "" {
		fsync := f.fsync
		if fsync == "no" {
			fsync = "" // keeps nothing
		}
		server, err := redisserver.Start(ctx, redisserver.Options{AppendFsync: fsync})
		if errors.Is(err, redisserver.ErrNotInstalled) {
			return nil, usagef("%w: install one, or give the URL of a Redis with --redis", err)
		}
		if err != nil {
			return nil, err
		}
		e.closers = append(e.closers, server.Stop)
		b.own, b.url = server, server.URL()
	}
	var err error
	if b.UniversalClient, err = tasks.OpenRedis(b.url); err != nil {
		return nil, &usageError{err}
	}
	e.closers = append(e.closers, b.Close)
	if b.plain, err = tasks.OpenRedis(b.url); err != nil {
		return nil, &usageError{err}
	}
	e.closers = append(e.closers, b.plain.Close)
	reach, cancel := context.WithTimeout(ctx, reachTimeout)
	defer cancel()
	apps, err := b.SCard(reach, tasks.AppsKey).Result()
	if err != nil {
		return nil, fmt.Errorf("reach Redis at %s: %w", redactURL(b.url), err)
	}
	if apps > 0 && !f.yes {
		return nil, usagef("emq uses the Redis at %s (%s): give --yes to measure on it all the same", redactURL(b.url), plural(int(apps), "app"))
	}
	return b, nil
}

// apps names so many apps of the benchmark's.
func (b *benchRedis) apps(n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = b.prefix + "-" + strconv.Itoa(i+1)
	}
	return list
}

// plainQueue is the queue of plain asynq.
func (b *benchRedis) plainQueue() string { return b.prefix + "-asynq" }

// clean removes what a benchmark left on a Redis that is not its own.
func (b *benchRedis) clean(apps []string) error {
	if b.own != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	err := b.remove(ctx, "emq:{"+b.prefix+"*", "asynq:{"+b.prefix+"*", b.prefix+"-*")
	pipe := b.Pipeline()
	pipe.SRem(ctx, "asynq:queues", b.plainQueue())
	for _, app := range apps {
		pipe.SRem(ctx, tasks.AppsKey, app)
		for _, queue := range tasks.QueueNames(app) {
			pipe.SRem(ctx, "asynq:queues", queue)
		}
	}
	_, more := pipe.Exec(ctx)
	if err = errors.Join(err, more); err != nil {
		return fmt.Errorf("keys of %s-… are left on %s: %w", b.prefix, redactURL(b.url), err)
	}
	return nil
}

// dropQueue removes a queue's tasks.
func (b *benchRedis) dropQueue(ctx context.Context, queue string) error {
	return b.remove(ctx, "asynq:{"+queue+"}:*")
}

// remove removes all keys of some patterns.
func (b *benchRedis) remove(ctx context.Context, patterns ...string) error {
	on := func(ctx context.Context, node redis.UniversalClient) error {
		for _, pattern := range patterns {
			keys := node.Scan(ctx, 0, pattern, 1000).Iterator()
			pipe := node.Pipeline()
			for keys.Next(ctx) {
				if pipe.Unlink(ctx, keys.Val()); pipe.Len() >= 500 {
					if _, err := pipe.Exec(ctx); err != nil {
						return err
					}
				}
			}
			if _, err := pipe.Exec(ctx); err != nil || keys.Err() != nil {
				return errors.Join(err, keys.Err())
			}
		}
		return nil
	}
	return b.masters(ctx, on)
}

// masters does something on each master of a Cluster, at the same time, or on the only
// server.
func (b *benchRedis) masters(ctx context.Context, do func(context.Context, redis.UniversalClient) error) error {
	if cluster, ok := b.UniversalClient.(*redis.ClusterClient); ok {
		return cluster.ForEachMaster(ctx, func(ctx context.Context, node *redis.Client) error { return do(ctx, node) })
	}
	return do(ctx, b.UniversalClient)
}

// info is a section of a server's INFO.
func info(ctx context.Context, rdb redis.UniversalClient, section string) (map[string]string, error) {
	text, err := rdb.Info(ctx, section).Result()
	if err != nil {
		return nil, err
	}
	fields := map[string]string{}
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			fields[name] = value
		}
	}
	return fields, nil
}

// number is a number in a section of INFO.
func (b *benchRedis) number(ctx context.Context, section, field string) (float64, error) {
	fields, err := info(ctx, b, section)
	if err != nil {
		return 0, err
	}
	return strconv.ParseFloat(fields[field], 64)
}

// A benchRow is one line of a benchmark's table.
type benchRow struct {
	What     string  `json:"what"`
	Value    float64 `json:"value"`
	Unit     string  `json:"unit"`
	Spread   string  `json:"spread,omitempty"` // how far the runs lie apart, or the rest of the distribution
	Baseline float64 `json:"baseline,omitempty"`
	Ratio    float64 `json:"ratio,omitempty"`
	Bar      string  `json:"bar,omitempty"`
	Met      *bool   `json:"met,omitempty"`
}

// atMost sets the bar, above which the value must not be.
func (r benchRow) atMost(bar float64) benchRow { return r.judged("≤", bar, r.Value <= bar) }

// atLeast sets the bar, below which the value must not be.
func (r benchRow) atLeast(bar float64) benchRow { return r.judged("≥", bar, r.Value >= bar) }

// ratioAtLeast sets the bar for the ratio to the baseline.
func (r benchRow) ratioAtLeast(bar float64) benchRow {
	r = r.judged("≥", bar, r.Ratio >= bar)
	r.Bar += " ×"
	return r
}

// ratioAtMost sets the bar for the ratio to the baseline.
func (r benchRow) ratioAtMost(bar float64) benchRow {
	r = r.judged("≤", bar, r.Ratio <= bar)
	r.Bar += " ×"
	return r
}

func (r benchRow) judged(sign string, bar float64, met bool) benchRow {
	r.Bar, r.Met = sign+" "+figure(bar), &met
	return r
}

// against sets the baseline.
func (r benchRow) against(baseline float64) benchRow {
	r.Baseline = baseline
	if baseline > 0 {
		r.Ratio = r.Value / baseline
	}
	return r
}

// figure is a number with three digits that count.
func figure(x float64) string {
	switch {
	case x == 0:
		return "0"
	case x >= 100:
		return strconv.FormatFloat(x, 'f', 0, 64)
	default:
		return strconv.FormatFloat(x, 'g', 3, 64)
	}
}

// benchTable prints rows as they come.
type benchTable struct {
	*list
}

func (e *env) newBenchTable(asJSON bool) *benchTable {
	return &benchTable{e.newList(asJSON, "what", "value", "unit", "baseline", "ratio", "bar", "met", "spread")}
}

func (t *benchTable) add(r benchRow) {
	baseline, ratio, met := "", "", ""
	if r.Baseline > 0 {
		baseline, ratio = figure(r.Baseline), figure(r.Ratio)
	}
	if r.Met != nil {
		met = map[bool]string{true: "yes", false: "no"}[*r.Met]
	}
	t.row(r, r.What, figure(r.Value), r.Unit, baseline, ratio, r.Bar, met, r.Spread)
}

// timings is how long each of many calls took.
type timings []time.Duration

// measure calls do n times.
func measure(n int, do func(i int) error) (timings, error) {
	s := make(timings, n)
	for i := range s {
		began := time.Now()
		if err := do(i); err != nil {
			return nil, err
		}
		s[i] = time.Since(began)
	}
	slices.Sort(s)
	return s, nil
}

// at is a quantile in milliseconds.
func (s timings) at(quantile float64) float64 {
	if len(s) == 0 {
		return 0
	}
	return float64(s[min(len(s)-1, int(quantile*float64(len(s))))].Microseconds()) / 1000
}

// p99 is a row of the slowest of a hundred calls.
func (s timings) p99(what string) benchRow {
	return benchRow{What: what, Value: s.at(0.99), Unit: "ms, p99", Spread: fmt.Sprintf("p50 %s, max %s, %d calls", figure(s.at(0.5)), figure(s.at(1)), len(s))}
}

// median is the one in the middle, and spread the lowest and the highest.
func median(runs []float64) (middle float64, spread string) {
	sorted := slices.Sorted(slices.Values(runs))
	return sorted[len(sorted)/2], fmt.Sprintf("%s to %s in %d runs", figure(sorted[0]), figure(sorted[len(sorted)-1]), len(sorted))
}
