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
)

func newBenchCmd(e *env) *cobra.Command {
	return group(&cobra.Command{
		Use:   "bench",
		Short: "Measure what emq does on this machine, or on a Redis of yours",
		Long: `bench measures emq on a redis-server that it starts itself and stops at the end, or
with --redis on yours. There it works under apps of its own, named b…-1 and so on, whose
keys it removes at the end, and refuses a Redis that emq uses already, unless --yes
says that its users may notice.`,
		Example: `  emq bench dlq --entries 100000`,
	}, newBenchDLQCmd(e))
}

// benchFlags say on which Redis a benchmark runs.
type benchFlags struct {
	redis     string
	yes, json bool
}

func (f *benchFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.redis, "redis", "", "URL of the Redis to measure; else a redis-server is started")
	cmd.Flags().BoolVarP(&f.yes, "yes", "y", false, "also on a Redis that emq uses")
	jsonFlag(cmd, &f.json)
}

// A benchRedis is the Redis that a benchmark runs on.
type benchRedis struct {
	redis.UniversalClient
	url    string
	prefix string // of the apps that the benchmark uses
	own    *redisserver.Server
}

// benchRedis starts a Redis, or connects to the given one.
func (e *env) benchRedis(ctx context.Context, f benchFlags) (*benchRedis, error) {
	b := &benchRedis{url: f.redis, prefix: fmt.Sprintf("b%05x", rand.Uint32N(1<<20))}
	if f.redis == "" {
		server, err := redisserver.Start(ctx, redisserver.Options{})
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

// clean removes what a benchmark left on a Redis that is not its own.
func (b *benchRedis) clean(apps []string) error {
	if b.own != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	remove := func(ctx context.Context, node redis.UniversalClient) error {
		for _, pattern := range []string{"emq:{" + b.prefix + "*", "asynq:{" + b.prefix + "*"} {
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
	var err error
	if cluster, ok := b.UniversalClient.(*redis.ClusterClient); ok {
		err = cluster.ForEachMaster(ctx, func(ctx context.Context, node *redis.Client) error { return remove(ctx, node) })
	} else {
		err = remove(ctx, b.UniversalClient)
	}
	pipe := b.Pipeline()
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

// info is a section of Redis' INFO.
func (b *benchRedis) info(ctx context.Context, section string) (map[string]string, error) {
	text, err := b.Info(ctx, section).Result()
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
	fields, err := b.info(ctx, section)
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
