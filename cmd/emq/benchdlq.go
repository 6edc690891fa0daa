package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"github.com/spf13/cobra"

	"github.com/imqueue/emq/dlq"
	"github.com/imqueue/emq/errclass"
	"github.com/imqueue/emq/tasks"
)

// The bars of the design for a million dead letters.
const (
	barPage     = 10.0 // ms, p99
	barTarget   = 50.0
	barPut      = 1.3 // times asynq's archive
	barMemory   = 600.0
	barResend   = 10_000.0
	barBlocking = 10.0 // ms
)

const (
	benchFillers   = 16
	benchPutRounds = 7     // in which a put and asynq's archive take turns
	benchPuts      = 500   // of a round
	benchArchived  = 9_000 // fewer than asynq keeps
	benchResent    = 100_000
	benchCalls     = 300 // of each thing that is read
	benchMinLetter = 1000
)

func newBenchDLQCmd(e *env) *cobra.Command {
	var (
		flags                 benchFlags
		entries, causes, apps int
		rounds                int
	)
	cmd := &cobra.Command{
		Use:   "dlq",
		Short: "Measure the store of dead letters",
		Long: `dlq fills a store with dead letters of realistic calls and answers, and measures what
operators wait for: pages, filters, causes, a text, a bulk resend; what a dead letter
costs in time beside asynq's own archive, measured in turn on the same tasks, and in
memory over its payload; and how long Redis was ever blocked. A bar is what emq
promises for a million dead letters.

A million take some minutes and 1 GB of memory.`,
		Example: `  emq bench dlq
  emq bench dlq --entries 100000 --json
  emq bench dlq --redis redis://10.0.0.5:6379`,
		Args: takesNone,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			switch {
			case entries < benchMinLetter || entries > 20_000_000:
				return usagef("--entries %d: must be %d to 20000000", entries, benchMinLetter)
			case causes < 1 || causes > dlq.CausesMax:
				return usagef("--causes %d: must be 1 to %d", causes, dlq.CausesMax)
			case apps < 1 || apps > 100:
				return usagef("--apps %d: must be 1 to 100", apps)
			}
			if rounds < 1 || rounds > benchRunsMax {
				return usagef("--rounds %d: must be 1 to %d", rounds, benchRunsMax)
			}
			table := e.newBenchTable(flags.json)
			if err := e.benchLetters(cmd.Context(), flags, table, entries, causes, apps, rounds); err != nil {
				return err
			}
			return table.end()
		},
	}
	flags.add(cmd)
	cmd.Flags().IntVar(&entries, "entries", 1_000_000, "how many dead letters")
	cmd.Flags().IntVar(&causes, "causes", 200, "of how many causes")
	cmd.Flags().IntVar(&apps, "apps", 3, "of how many apps")
	cmd.Flags().IntVar(&rounds, "rounds", benchPutRounds, "how often to measure; fewer are quicker and say less")
	return cmd
}

// benchLetters measures a store of so many dead letters, of causes and apps.
func (e *env) benchLetters(ctx context.Context, f benchFlags, table *benchTable, entries, causes, apps, rounds int) (err error) {
	rdb, err := e.benchRedis(ctx, f)
	if err != nil {
		return err
	}
	b := &benchDLQ{env: e, rdb: rdb, table: table, apps: rdb.apps(apps), entries: entries, rounds: rounds}
	defer func() { err = errors.Join(err, rdb.clean(append(rdb.apps(apps), rdb.prefix))) }()
	if err := b.open(causes); err != nil {
		return err
	}
	return b.run(ctx)
}

// benchDLQ is a run of emq bench dlq.
type benchDLQ struct {
	*env
	rdb     *benchRedis
	client  *tasks.Client
	store   *dlq.Store
	letters *benchLetters
	table   *benchTable
	watch   *slowLog
	apps    []string
	entries int
	rounds  int
}

func (b *benchDLQ) open(causes int) (err error) {
	if b.client, err = tasks.NewClient(tasks.ClientConfig{Redis: b.rdb, App: b.apps[0]}); err != nil {
		return err
	}
	if b.store, err = dlq.New(dlq.Config{Redis: b.rdb, Client: b.client}); err != nil {
		return err
	}
	b.letters = newBenchLetters(b.apps, causes, b.entries, b.now())
	return nil
}

func (b *benchDLQ) run(ctx context.Context) error {
	var err error
	if b.watch, err = b.watchSlowLog(ctx); err != nil {
		return err
	}
	for _, step := range []func(context.Context) error{b.archive, b.fill, b.put, b.read, b.search, b.resend, b.blocked} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// sizeOfPayload is the size of what a call carries.
func sizeOfPayload(d dlq.Death) int {
	raw, err := json.Marshal(d.Task.Payload)
	if err != nil {
		return 0
	}
	return len(raw)
}

// archive measures what asynq's archive takes of memory for a piece of the same tasks.
func (b *benchDLQ) archive(ctx context.Context) error {
	n := min(benchArchived, b.entries)
	before, err := b.rdb.number(ctx, "memory", "used_memory")
	if err != nil {
		return err
	}
	a, err := b.newArchiver()
	if err != nil {
		return err
	}
	defer a.close()
	payload := 0
	for i := range n {
		payload += sizeOfPayload(b.letters.death(i))
	}
	if _, err := a.archive(ctx, 0, n); err != nil {
		return err
	}
	after, err := b.rdb.number(ctx, "memory", "used_memory")
	if err != nil {
		return err
	}
	b.table.add(benchRow{
		What: "asynq's archive: memory over the payload", Value: (after - before - float64(payload)) / float64(n), Unit: "B an entry",
		Spread: fmt.Sprintf("%d tasks, the last error only; it keeps 10,000", n),
	})
	return nil
}

// fill makes the dead letters.
func (b *benchDLQ) fill(ctx context.Context) error {
	before, err := b.rdb.number(ctx, "memory", "used_memory")
	if err != nil {
		return err
	}
	bar := b.newBar(true, int64(b.entries), "fill", false)
	var payload, next atomic.Int64
	began := time.Now()
	err = together(benchFillers, func() error {
		for {
			first := int(next.Add(100)) - 100
			if first >= b.entries {
				return nil
			}
			last := min(first+100, b.entries)
			for i := first; i < last; i++ {
				d := b.letters.death(i)
				payload.Add(int64(sizeOfPayload(d)))
				if err := b.store.Put(ctx, d); err != nil {
					return err
				}
			}
			bar.advance(last - first)
		}
	})
	took := time.Since(began)
	bar.clear()
	if err != nil {
		return err
	}
	after, err := b.rdb.number(ctx, "memory", "used_memory")
	if err != nil {
		return err
	}
	mean := float64(payload.Load()) / float64(b.entries)
	b.table.add(benchRow{What: "put, 16 at once", Value: float64(b.entries) / took.Seconds(), Unit: "a second", Spread: "making the samples included"})
	b.table.add(benchRow{
		What: "memory over the payload", Value: (after-before)/float64(b.entries) - mean, Unit: "B an entry",
		Spread: fmt.Sprintf("payload %s B, in all %s B", figure(mean), figure((after-before)/float64(b.entries))),
	}.atMost(barMemory))
	return nil
}

// together runs do so many times at once, and returns the first error.
func together(n int, do func() error) error {
	var group sync.WaitGroup
	errs := make(chan error, n)
	for range n {
		group.Go(func() {
			if err := do(); err != nil {
				errs <- err
			}
		})
	}
	group.Wait()
	close(errs)
	return <-errs
}

// put measures a put beside asynq's archive, one call at a time, in turn.
func (b *benchDLQ) put(ctx context.Context) error {
	a, err := b.newArchiver()
	if err != nil {
		return err
	}
	defer a.close()
	var ours, theirs, oursInRedis, theirsInRedis []float64
	next := b.entries
	for range b.rounds {
		var archived, took timings
		inRedis, err := b.watch.times(ctx, isArchive, func() error {
			archived, err = a.archive(ctx, next, next+benchPuts)
			return err
		})
		if err != nil {
			return err
		}
		theirs, theirsInRedis = append(theirs, archived.at(0.5)), append(theirsInRedis, inRedis.at(0.5))
		deaths := make([]dlq.Death, benchPuts)
		for i := range deaths {
			d := b.letters.death(next + i)
			if d.Raw, err = tasks.Encode(d.Task); err != nil { // a worker has it at hand
				return err
			}
			deaths[i] = d
		}
		inRedis, err = b.watch.times(ctx, isPut, func() error {
			took, err = measure(benchPuts, func(i int) error { return b.store.Put(ctx, deaths[i]) })
			return err
		})
		if err != nil {
			return err
		}
		ours, oursInRedis = append(ours, took.at(0.5)), append(oursInRedis, inRedis.at(0.5))
		next += benchPuts
	}
	row := func(what string, ours, theirs []float64) {
		value, spread := median(ours)
		base, _ := median(theirs)
		b.table.add(benchRow{What: what, Value: value, Unit: "ms, p50", Spread: spread}.against(base).ratioAtMost(barPut))
	}
	row("put, beside asynq's archive", ours, theirs)
	if b.watch.own {
		row("put, time in Redis of it", oursInRedis, theirsInRedis)
	}
	return nil
}

// isArchive knows the call by which asynq archives a task, among commands as the
// slow log and hooks show them: evalsha HASH KEYS, then the keys of the task, the
// active ones, the leases and the archive.
func isArchive(args []string) bool {
	return len(args) > 6 && strings.HasSuffix(args[4], ":active") && strings.HasSuffix(args[6], ":archived")
}

// isPut knows the call by which the store makes an entry.
func isPut(args []string) bool {
	return len(args) > 3 && strings.EqualFold(args[0], "evalsha") && strings.HasPrefix(args[3], "emq:{") && strings.Contains(args[3], "}:dl:")
}

// read measures what operators look at.
func (b *benchDLQ) read(ctx context.Context) error {
	middle := b.letters.since.Add(b.letters.span / 2)
	rare := dlq.Filter{Status: 504}
	causes, err := b.store.Causes(ctx, dlq.Filter{})
	if err != nil {
		return err
	}
	if len(causes) == 0 {
		return errors.New("the store lists no causes")
	}
	cause := causes[len(causes)/2]
	page := func(f dlq.Filter, cursor string) func(int) error {
		return func(int) error {
			_, err := b.store.List(ctx, f, cursor, dlq.PageDefault)
			return err
		}
	}
	first, err := b.store.List(ctx, dlq.Filter{Until: middle}, "", 1)
	if err != nil {
		return err
	}
	for _, m := range []struct {
		what string
		do   func(int) error
		bar  float64
	}{
		{"first page", page(dlq.Filter{}, ""), barPage},
		{"first page of the dead", page(dlq.Filter{State: dlq.StateDead}, ""), barPage},
		{"deep page", page(dlq.Filter{}, first.Next), barPage},
		{"deep page of a class", page(dlq.Filter{Class: errclass.ClassPermanent}, first.Next), barPage},
		{"--app", page(dlq.Filter{App: b.apps[0]}, ""), barPage},
		{"--kind", page(dlq.Filter{Kind: tasks.KindMessageSend}, ""), barPage},
		{"--class", page(dlq.Filter{Class: errclass.ClassPermanent}, ""), barPage},
		{"--error", page(dlq.Filter{Error: "forbidden_op"}, ""), barPage},
		{"--status", page(dlq.Filter{Status: 403}, ""), barPage},
		{"--status, a rare one", page(rare, ""), barPage},
		{"--cause", page(dlq.Filter{Cause: cause.ID}, ""), barPage},
		{"--state dead", page(dlq.Filter{State: dlq.StateDead}, ""), barPage},
		{"--since", page(dlq.Filter{Since: middle}, ""), barPage},
		{"--until", page(dlq.Filter{Until: middle}, ""), barPage},
		{"--app --class", page(dlq.Filter{App: b.apps[0], Class: errclass.ClassNeedsHuman}, ""), barPage},
		{"--kind --error", page(dlq.Filter{Kind: tasks.KindMessageSend, Error: "forbidden_op"}, ""), barPage},
		{"--cause --state", page(dlq.Filter{Cause: cause.ID, State: dlq.StateDead}, ""), barPage},
		{"--app --since", page(dlq.Filter{App: b.apps[0], Since: middle}, ""), barPage},
		{"--class --status", page(dlq.Filter{Class: errclass.ClassPermanent, Status: 403}, ""), barPage},
		{"--class --since --until", page(dlq.Filter{Class: errclass.ClassRetryable, Since: b.letters.since, Until: middle}, ""), barPage},
		{"causes", func(int) error { _, err := b.store.Causes(ctx, dlq.Filter{}); return err }, barPage},
		{"causes of an app", func(int) error { _, err := b.store.Causes(ctx, dlq.Filter{App: b.apps[0]}); return err }, barPage},
		{"--target", func(i int) error {
			// A user of whom there is one dead letter or a few.
			subjects := tasks.Subjects(b.letters.death(i * 37 % b.entries).Task.Payload)
			if len(subjects) == 0 {
				return nil
			}
			found := 0
			for cursor := ""; ; {
				page, err := b.store.List(ctx, dlq.Filter{Target: subjects[0]}, cursor, dlq.PageDefault)
				if err != nil {
					return err
				}
				found += len(page.Entries)
				if cursor = page.Next; cursor == "" || found >= dlq.PageDefault {
					break
				}
			}
			if found == 0 {
				return fmt.Errorf("target %s: nothing found", subjects[0])
			}
			return nil
		}, barTarget},
	} {
		s, err := measure(benchCalls*b.rounds/benchRounds, m.do)
		if err != nil {
			return fmt.Errorf("%s: %w", m.what, err)
		}
		b.table.add(s.p99(m.what).atMost(m.bar))
	}
	return nil
}

// search measures how fast a text is looked for that is nowhere.
func (b *benchDLQ) search(ctx context.Context) error {
	f := dlq.Filter{Text: "this text is in no dead letter"}
	total, err := b.store.Candidates(ctx, f)
	if err != nil {
		return err
	}
	bar := b.newBar(true, int64(total), "search", false)
	defer bar.clear()
	began, read := time.Now(), 0
	for cursor := ""; ; {
		page, err := b.store.List(ctx, f, cursor, dlq.PageMax)
		if err != nil {
			return err
		}
		read += page.Read
		bar.advance(page.Read)
		if cursor = page.Next; cursor == "" {
			break
		}
	}
	took := time.Since(began)
	b.table.add(benchRow{What: "--text, read", Value: float64(read) / took.Seconds(), Unit: "a second", Spread: fmt.Sprintf("%d in %s", read, took.Round(time.Millisecond))})
	return nil
}

// resend measures a bulk resend, frozen and worked on as a worker does it.
func (b *benchDLQ) resend(ctx context.Context) error {
	began := time.Now()
	by := dlq.Actor{Name: "bench"}
	ops, err := b.store.Freeze(ctx, dlq.Bulk{Action: dlq.ActionResend, Max: min(benchResent, b.entries), By: by}, nil)
	if err != nil {
		return err
	}
	froze := time.Since(began)
	members := 0
	for _, op := range ops {
		members += op.Members
		if err := b.store.Start(ctx, op.App, op.ID, by); err != nil {
			return err
		}
	}
	b.table.add(benchRow{What: "bulk resend, freeze", Value: float64(members) / froze.Seconds(), Unit: "a second", Spread: fmt.Sprintf("%d in %s", members, froze.Round(time.Millisecond))})
	bar := b.newBar(true, int64(members), "resend", false)
	began = time.Now()
	var group sync.WaitGroup
	errs := make([]error, len(ops))
	for i, op := range ops {
		group.Go(func() {
			for n := 1; n > 0 && errs[i] == nil; {
				_, n, errs[i] = b.store.Work(ctx, op, dlq.BulkMax, "bench")
				bar.advance(n)
			}
		})
	}
	group.Wait()
	took := time.Since(began)
	bar.clear()
	changed := 0
	for i, op := range ops {
		after, err := b.store.GetOperation(ctx, op.App, op.ID)
		if err = errors.Join(errs[i], err); err != nil {
			return err
		}
		changed += after.Changed
	}
	b.table.add(benchRow{
		What: "bulk resend, unthrottled", Value: float64(changed) / took.Seconds(), Unit: "a second",
		Spread: fmt.Sprintf("%d of %d in %s", changed, members, took.Round(time.Millisecond)),
	}.atLeast(barResend))
	return nil
}

// An archiver lets asynq archive tasks: a server of its own takes them, and their
// handler says that they must not be retried.
type archiver struct {
	bench  *benchDLQ
	queue  string
	client *asynq.Client
	rdb    redis.UniversalClient // of the server, under a hook
	hook   *archiveHook
}

// archiveHook times the call that archives a task, and nothing else that the server does.
type archiveHook struct {
	mu   sync.Mutex
	took timings
	done chan struct{}
	left int
}

func (h *archiveHook) DialHook(next redis.DialHook) redis.DialHook { return next }

func (h *archiveHook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (h *archiveHook) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		args := make([]string, min(len(cmd.Args()), 7))
		for i := range args {
			args[i], _ = cmd.Args()[i].(string)
		}
		if !isArchive(args) {
			return next(ctx, cmd)
		}
		began := time.Now()
		err := next(ctx, cmd)
		took := time.Since(began)
		h.mu.Lock()
		defer h.mu.Unlock()
		if err == nil { // not the first one, whose script Redis does not know
			h.took = append(h.took, took)
			if h.left--; h.left == 0 {
				close(h.done)
			}
		}
		return err
	}
}

func (b *benchDLQ) newArchiver() (*archiver, error) {
	a := &archiver{
		bench: b, queue: tasks.QueueName(b.rdb.prefix, tasks.EndpointMessagesUsers, tasks.Default),
		client: asynq.NewClientFromRedisClient(b.rdb), hook: &archiveHook{},
	}
	var err error
	if a.rdb, err = tasks.OpenRedis(b.rdb.url); err != nil {
		return nil, err
	}
	a.rdb.AddHook(a.hook)
	return a, nil
}

func (a *archiver) close() { _ = a.rdb.Close() }

// archive archives the tasks of some dead letters, one at a time.
func (a *archiver) archive(ctx context.Context, from, to int) (timings, error) {
	a.hook.took, a.hook.done, a.hook.left = nil, make(chan struct{}), to-from
	for i := from; i < to; i++ {
		raw, err := tasks.Encode(a.bench.letters.death(i).Task)
		if err != nil {
			return nil, err
		}
		if _, err := a.client.EnqueueContext(ctx, asynq.NewTask("bench", raw), asynq.Queue(a.queue)); err != nil {
			return nil, err
		}
	}
	server := asynq.NewServerFromRedisClient(a.rdb, asynq.Config{
		Concurrency: 1, Queues: map[string]int{a.queue: 1}, LogLevel: asynq.FatalLevel,
		TaskCheckInterval: time.Millisecond, DelayedTaskCheckInterval: time.Hour, HealthCheckInterval: time.Hour,
	})
	err := server.Start(asynq.HandlerFunc(func(context.Context, *asynq.Task) error {
		return fmt.Errorf("error 403 forbidden_op: a sentence as long as most: %w", asynq.SkipRetry)
	}))
	if err != nil {
		return nil, err
	}
	select {
	case <-a.hook.done:
	case <-ctx.Done():
	}
	server.Shutdown()
	return a.hook.sorted(), ctx.Err()
}

func (h *archiveHook) sorted() timings {
	h.mu.Lock()
	defer h.mu.Unlock()
	slices.Sort(h.took)
	return h.took
}

// A slowLog watches for commands that block Redis for long. On a Redis that is not
// the benchmark's own it only reads.
type slowLog struct {
	rdb     *benchRedis
	own     bool
	since   int64 // ID of the last entry from before
	longest time.Duration
	command string
	count   int
}

const (
	slowBar     = 10 * time.Millisecond
	slowEntries = 2 * benchPuts
)

func (b *benchDLQ) watchSlowLog(ctx context.Context) (*slowLog, error) {
	w := &slowLog{rdb: b.rdb, own: b.rdb.own != nil}
	if w.own {
		if err := b.rdb.ConfigSet(ctx, "slowlog-max-len", strconv.Itoa(4*slowEntries)).Err(); err != nil {
			return nil, err
		}
		return w, w.above(ctx, slowBar)
	}
	list, err := b.rdb.SlowLogGet(ctx, 1).Result()
	if err == nil && len(list) > 0 {
		w.since = list[0].ID
	}
	return w, err
}

// above lets Redis note the commands that take at least so long, from now on.
func (w *slowLog) above(ctx context.Context, bar time.Duration) error {
	if err := w.rdb.ConfigSet(ctx, "slowlog-log-slower-than", strconv.FormatInt(bar.Microseconds(), 10)).Err(); err != nil {
		return err
	}
	return w.rdb.Do(ctx, "SLOWLOG", "RESET").Err()
}

// look adds what was noted above the bar since the last look.
func (w *slowLog) look(ctx context.Context) error {
	list, err := w.rdb.SlowLogGet(ctx, 4*slowEntries).Result()
	if err != nil {
		return err
	}
	for _, entry := range list {
		if entry.ID <= w.since || entry.Duration < slowBar {
			continue
		}
		w.count++
		if entry.Duration > w.longest {
			w.longest, w.command = entry.Duration, strings.Join(entry.Args[:min(len(entry.Args), 5)], " ")
		}
	}
	if len(list) > 0 {
		w.since = max(w.since, list[0].ID)
	}
	return nil
}

// times is how long Redis took for each of the commands that do sends and match knows;
// none where the slow log is not the benchmark's own.
func (w *slowLog) times(ctx context.Context, match func(args []string) bool, do func() error) (timings, error) {
	if !w.own {
		return nil, do()
	}
	if err := errors.Join(w.look(ctx), w.above(ctx, 0)); err != nil {
		return nil, err
	}
	if err := do(); err != nil {
		return nil, err
	}
	list, err := w.rdb.SlowLogGet(ctx, 4*slowEntries).Result()
	if err != nil {
		return nil, err
	}
	var s timings
	for _, entry := range list {
		if match(entry.Args) {
			s = append(s, entry.Duration)
		}
	}
	slices.Sort(s)
	return s, w.above(ctx, slowBar)
}

// blocked tells the longest command above the bar.
func (b *benchDLQ) blocked(ctx context.Context) error {
	if err := b.watch.look(ctx); err != nil {
		return err
	}
	b.table.add(benchRow{
		What: "longest command of 10 ms and more", Value: float64(b.watch.longest.Microseconds()) / 1000, Unit: "ms",
		Spread: oneLine(strings.TrimSpace(fmt.Sprintf("%d of them %s", b.watch.count, b.watch.command)), cellBytes),
	}.atMost(barBlocking))
	return nil
}
