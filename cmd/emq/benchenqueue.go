package main

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"
)

// The bars of the design, against asynq's client in the same run.
const (
	barEnqueueMany     = 4.0 // a loop of asynq's client
	barEnqueueManyOver = 2.0 // many goroutines of it
	barEnqueue         = 1.5
)

func newBenchEnqueueCmd(e *env) *cobra.Command {
	var f benchFlags
	var tasksN int
	cmd := &cobra.Command{
		Use:   "enqueue",
		Short: "Measure how fast a client enqueues",
		Long: `enqueue measures how many tasks a second a client queues: all in one call, one by one
from many goroutines, and one by one in a loop.

--baseline does the same with asynq's client, by turns: in a loop, and from as many
goroutines. --limit-check writes the same payloads to Redis in bare pipelines.`,
		Example: `  emq bench enqueue --baseline
  emq bench enqueue --fsync always --tasks 20000`,
		Args: takesNone,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if tasksN < 100 || tasksN > 1_000_000 {
				return usagef("--tasks %d: must be 100 to 1000000", tasksN)
			}
			return e.bench(cmd.Context(), f, 1, func(ctx context.Context, b *benchRun) error { return b.enqueue(ctx, tasksN) })
		},
	}
	f.add(cmd)
	f.addRun(cmd)
	cmd.Flags().IntVar(&tasksN, "tasks", 100_000, "how many tasks a round queues at once; a tenth of them one by one")
	return cmd
}

// enqueue measures the client, by turns with asynq's.
func (b *benchRun) enqueue(ctx context.Context, n int) error {
	few := max(1, n/10)
	one := func(callers int) func(context.Context) error {
		return func(ctx context.Context) error {
			var next atomic.Int64
			return together(callers, func() error {
				for next.Add(1) <= int64(few) {
					if _, err := b.client.Enqueue(ctx, b.message); err != nil {
						return err
					}
				}
				return nil
			})
		}
	}
	plain := func(callers int) func(context.Context) error {
		return func(ctx context.Context) error { return b.plainEnqueue(ctx, few, callers) }
	}
	ways := []struct {
		name     string
		n        int
		baseline bool
		do       func(context.Context) error
	}{
		{"many", n, false, func(ctx context.Context) error { return b.enqueueMany(ctx, n) }},
		{"plain loop", few, true, plain(1)},
		{"callers", few, false, one(b.concurrency)},
		{"plain callers", few, true, plain(b.concurrency)},
		{"loop", few, false, one(1)},
	}
	rates := map[string][]float64{}
	bar := b.newBar(true, int64(b.rounds*len(ways)), "enqueue", false)
	for range b.rounds {
		for _, way := range ways {
			bar.advance(1)
			if way.baseline && !b.baseline {
				continue
			}
			began := time.Now()
			if err := way.do(ctx); err != nil {
				bar.clear()
				return err
			}
			rates[way.name] = append(rates[way.name], float64(way.n)/time.Since(began).Seconds())
			if err := b.empty(ctx); err != nil {
				bar.clear()
				return err
			}
		}
	}
	bar.clear()
	const unit = "tasks a second"
	atLeast := func(bar float64) func(benchRow) benchRow {
		return func(r benchRow) benchRow { return r.ratioAtLeast(bar) }
	}
	b.rows(fmt.Sprintf("EnqueueMany of %d, against a loop", n), unit, rates["many"], rates["plain loop"], atLeast(barEnqueueMany))
	if b.baseline {
		b.rows(fmt.Sprintf("EnqueueMany of %d, against %d goroutines", n, b.concurrency), unit, rates["many"], rates["plain callers"], atLeast(barEnqueueManyOver))
	}
	b.rows(fmt.Sprintf("Enqueue from %d goroutines", b.concurrency), unit, rates["callers"], rates["plain callers"], atLeast(barEnqueue))
	b.rows("Enqueue in a loop", unit, rates["loop"], rates["plain loop"], nil)
	if b.limitCheck {
		return b.writeLimit(ctx, n)
	}
	return nil
}

// empty drops what a round has queued.
func (b *benchRun) empty(ctx context.Context) error {
	for _, queue := range append([]string{b.rdb.plainQueue()}, b.queues()...) {
		if err := b.rdb.dropQueue(ctx, queue); err != nil {
			return err
		}
	}
	return nil
}
