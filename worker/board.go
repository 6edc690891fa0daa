package worker

import (
	"context"
	_ "embed"
	"errors"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/imqueue/emq/tasks"
)

const (
	// lookOften is how often the queues that had no task are looked at while there was
	// one within busyFor, and lookSeldom how often otherwise: then clients wake the
	// worker, and the look is for tasks that came without news. A look costs a worker
	// and Redis some 0.3 ms of a processor together, most of it for waking up.
	lookOften  = 10 * time.Millisecond
	lookSeldom = 100 * time.Millisecond
	busyFor    = time.Second
	// registerEvery is how soon a queue is noticed that is used for the first
	// time, and pausedFor how soon one that runs again.
	registerEvery = 250 * time.Millisecond
	pausedFor     = 100 * time.Millisecond
	// forwardEvery is how soon a task is noticed that another process plans or
	// has sent back, and forwardMost how many become due in one step.
	forwardEvery = 200 * time.Millisecond
	forwardMost  = 1000
	// fetchErrorPause is the wait after a command that failed.
	fetchErrorPause = 100 * time.Millisecond

	registerKey = "asynq:queues" // asynq's register of queues (a set)
)

//go:embed lua/forward.lua
var forwardSource string

var forwardScript = redis.NewScript(forwardSource)

// A board knows which queues of a worker's apps have tasks, and has them fetched.
// It is what asynq's own polling is replaced by: that asks each queue in turn, for
// each task, in each server, whether or not it has any and whether or not they may
// go now.
//
// The queues known to be empty are looked at together with one command (on
// Cluster one for each queue, in one pipeline). Those with tasks are not looked at
// again: each fetch says how many are left. The board also puts tasks into their
// queues that are due, which asynq does by the second, and late by up to five.
type board struct {
	redis redis.UniversalClient
	log   *slog.Logger
	hands *hands
	news  chan struct{} // asks for a look before its time
	// seldom is lookSeldom.
	seldom time.Duration
	busy   atomic.Int64 // when there was a task last, in nanoseconds
	// recovered is told how many tasks of other workers went back to their queues.
	recovered func(n int)

	fetchers   map[string]*fetcher // by app; not changed after newBoard
	registered time.Time           // when the register was last read; of run alone

	mu     sync.Mutex
	queues map[string]*queue // in asynq's register, by name
}

type queue struct {
	name     string
	app      string
	endpoint tasks.Endpoint
	priority tasks.Priority
	line     *lineup

	pending int       // tasks known to wait in it
	paused  time.Time // until then it is taken to be paused
	forward time.Time // when its tasks that wait for their time are looked at
	fetch   fetch
}

// newBoard makes a board for the apps; ready may be nil.
func newBoard(rdb, servers redis.UniversalClient, limits *limits, ready func(app string) time.Duration, log *slog.Logger, apps []App, concurrency int) *board {
	b := &board{
		redis: rdb, log: log, hands: newHands(), news: make(chan struct{}, 1), seldom: lookSeldom,
		fetchers: map[string]*fetcher{}, queues: map[string]*queue{}, recovered: func(int) {},
	}
	convoy := newConvoy(servers)
	for _, app := range apps {
		b.fetchers[app.Alias] = newFetcher(b, servers, convoy, limits, ready, app.Alias, concurrency)
	}
	return b
}

// run looks at the queues and has their tasks fetched until ctx ends; after that
// nothing is fetched any more.
func (b *board) run(ctx context.Context) {
	defer close(b.hands.over)
	var fetchers sync.WaitGroup
	defer fetchers.Wait()
	for _, f := range b.fetchers {
		fetchers.Go(func() { f.run(ctx) })
	}
	fetchers.Go(func() { b.listen(ctx) })
	timer := time.NewTimer(0)
	defer timer.Stop()
	failing := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-b.news:
			b.registered = time.Time{} // it may be a queue's first task
			b.stir()
		}
		err := b.look(ctx)
		if err != nil && !failing && ctx.Err() == nil {
			b.log.Warn("can't look at the queues: nothing is fetched", "error", err)
		}
		failing = err != nil
		timer.Reset(b.rest(failing))
	}
}

// rest is how long to wait for the next look.
func (b *board) rest(failing bool) time.Duration {
	switch {
	case failing:
		return fetchErrorPause
	case time.Since(time.Unix(0, b.busy.Load())) < busyFor:
		return lookOften
	}
	rest := b.seldom
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, q := range b.queues {
		rest = min(rest, time.Until(q.forward))
	}
	return max(rest, lookOften)
}

// stir has the board look often for a while, because there was a task.
func (b *board) stir() { b.busy.Store(time.Now().UnixNano()) }

// listen wakes the board when there is news from clients, until ctx ends. Where the
// worker may not subscribe, it looks seldom.
func (b *board) listen(ctx context.Context) {
	var channels []string
	for app := range b.fetchers {
		channels = append(channels, tasks.NewsChannel(app))
	}
	heard := b.redis.Subscribe(ctx, channels...)
	defer func() { _ = heard.Close() }()
	messages := heard.Channel()
	for {
		select {
		case <-ctx.Done():
			return
		case _, open := <-messages:
			if !open {
				return
			}
			select {
			case b.news <- struct{}{}:
			default:
			}
		}
	}
}

// register takes in the queues that asynq knows by now.
func (b *board) register(ctx context.Context) error {
	names, err := b.redis.SMembers(ctx, registerKey).Result()
	if err != nil {
		return err
	}
	return b.know(ctx, names)
}

// know takes in the queues of asynq's register. One that Redis has forgotten, because
// it lost its data, is put back: clients register a queue only once.
func (b *board) know(ctx context.Context, names []string) error {
	b.hands.sweep()
	b.mu.Lock()
	known := map[string]bool{}
	for _, name := range names {
		known[name] = true
		app, endpoint, priority, ok := tasks.ParseQueueName(name)
		f := b.fetchers[app]
		if !ok || f == nil || b.queues[name] != nil {
			continue
		}
		q := &queue{name: name, app: app, endpoint: endpoint, priority: priority, line: f.lines[endpoint.Family()]}
		b.queues[name] = q
		r := rankOf(priority)
		q.line.queues[r] = append(q.line.queues[r], q)
	}
	var forgotten []any
	for name := range b.queues {
		if !known[name] {
			forgotten = append(forgotten, name)
		}
	}
	b.mu.Unlock()
	if len(forgotten) > 0 {
		return b.redis.SAdd(ctx, registerKey, forgotten...).Err()
	}
	return nil
}

func (b *board) has(name string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.queues[name] != nil
}

// those lists the queues that meet a condition.
func (b *board) those(meet func(*queue) bool) (list []*queue) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, q := range b.queues {
		if meet(q) {
			list = append(list, q)
		}
	}
	return list
}

// look finds out which of the queues without known tasks have some, puts tasks that are
// due into their queues, and takes in new queues, each when its time has come. While
// nothing happens, that is one round trip.
func (b *board) look(ctx context.Context) error {
	now := time.Now()
	pipe := b.redis.Pipeline()
	var names *redis.StringSliceCmd
	if now.Sub(b.registered) >= registerEvery {
		b.registered = now
		names = pipe.SMembers(ctx, registerKey)
	}
	quiet := b.those(func(q *queue) bool { return q.pending == 0 && q.fetch.want == 0 && now.After(q.paused) })
	stirring := b.anyOf(ctx, pipe, quiet, keyPending)
	due := b.those(func(q *queue) bool { return !now.Before(q.forward) })
	waiting := b.anyOf(ctx, pipe, due, keyScheduled, keyRetry)
	if pipe.Len() == 0 {
		return nil
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return err
	}
	b.mu.Lock()
	for _, q := range due {
		q.forward = now.Add(forwardEvery)
	}
	b.mu.Unlock()
	err := errors.Join(b.count(ctx, stirring(), now), b.forward(ctx, waiting(), now))
	if names != nil {
		err = errors.Join(err, b.know(ctx, names.Val()))
	}
	return err
}

// anyOf asks which of the queues have any of some keys; the answer is there when the
// pipeline was run. On one server that is a single command, and an answer "none" or
// "all".
func (b *board) anyOf(ctx context.Context, pipe redis.Pipeliner, queues []*queue, parts ...string) (answer func() []*queue) {
	together := max(1, len(queues))
	if _, cluster := b.redis.(*redis.ClusterClient); cluster {
		together = 1 // each queue has a slot of its own
	}
	var counts []*redis.IntCmd
	for some := range slices.Chunk(queues, together) {
		var keys []string
		for _, q := range some {
			for _, part := range parts {
				keys = append(keys, queueKey(q.name, part))
			}
		}
		counts = append(counts, pipe.Exists(ctx, keys...))
	}
	return func() (found []*queue) {
		i := 0
		for some := range slices.Chunk(queues, together) {
			if counts[i].Val() > 0 {
				found = append(found, some...)
			}
			i++
		}
		return found
	}
}

// count finds out how many tasks wait in queues.
func (b *board) count(ctx context.Context, queues []*queue, now time.Time) error {
	if len(queues) == 0 {
		return nil
	}
	lengths, paused := make([]*redis.IntCmd, len(queues)), make([]*redis.IntCmd, len(queues))
	pipe := b.redis.Pipeline()
	for i, q := range queues {
		lengths[i], paused[i] = pipe.LLen(ctx, queueKey(q.name, keyPending)), pipe.Exists(ctx, queueKey(q.name, keyPaused))
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, q := range queues {
		switch n := int(lengths[i].Val()); {
		case n > 0 && paused[i].Val() > 0:
			q.paused = now.Add(pausedFor)
		case n > 0:
			q.pending = max(q.pending, n)
			b.stir()
			b.fetchers[q.app].wake()
		}
	}
	return nil
}

// forward puts tasks that are due into their queues.
func (b *board) forward(ctx context.Context, queues []*queue, now time.Time) error {
	calls := make([]scriptCall, len(queues))
	for i, q := range queues {
		calls[i] = scriptCall{
			keys: []string{queueKey(q.name, keyScheduled), queueKey(q.name, keyRetry), queueKey(q.name, keyPending)},
			args: []any{seconds(now), tasks.TaskKey(q.name, ""), now.UnixNano(), forwardMost},
		}
	}
	var failed error
	for i, cmd := range runAll(ctx, b.redis, forwardScript, calls) {
		answer, err := cmd.Slice()
		if err != nil {
			failed = err
			continue
		}
		put, _ := answer[0].(int64)
		next, _ := answer[1].(string)
		b.forwarded(queues[i], int(put), next)
	}
	return failed
}

// forwarded notes what a forward said: how many tasks it put into their queue, and
// when the next one is due.
func (b *board) forwarded(q *queue, put int, next string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if at, err := strconv.ParseFloat(next, 64); err == nil {
		if due := time.UnixMilli(int64(at * 1000)); due.Before(q.forward) {
			q.forward = due
		}
	}
	if put > 0 {
		q.pending += put
		b.stir()
		b.fetchers[q.app].wake()
	}
}

// sentBack says that a task of a queue is due again at a time.
func (b *board) sentBack(name string, due time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if q := b.queues[name]; q != nil && due.Before(q.forward) {
		q.forward = due
	}
}

// seconds is a time as the scores of asynq's sorted sets count it, which have no
// fraction when asynq itself writes them.
func seconds(t time.Time) string {
	return strconv.FormatFloat(float64(t.UnixMilli())/1000, 'f', 3, 64)
}

// The last parts of asynq's keys of a queue.
const (
	keyPending   = "pending"
	keyPaused    = "paused"
	keyActive    = "active"
	keyLease     = "lease"
	keyScheduled = "scheduled"
	keyRetry     = "retry"
	keyCompleted = "completed"
	keyGroups    = "aggregation_sets"
)

// queueKey is one of asynq's keys of a queue.
func queueKey(name, part string) string { return "asynq:{" + name + "}:" + part }

// splitQueueKey undoes queueKey.
func splitQueueKey(key string) (name, part string) {
	rest, _ := strings.CutPrefix(key, "asynq:{")
	name, part, _ = strings.Cut(rest, "}:")
	return name, part
}

// scriptCall is one call of a script among many.
type scriptCall struct {
	keys []string
	args []any
}

// runAll runs a script many times in one pipeline. Each answer has its own error.
func runAll(ctx context.Context, rdb redis.UniversalClient, script *redis.Script, calls []scriptCall) []*redis.Cmd {
	if len(calls) == 0 {
		return nil
	}
	answers := make([]*redis.Cmd, len(calls))
	pipe := rdb.Pipeline()
	for i, call := range calls {
		answers[i] = script.EvalSha(ctx, pipe, call.keys, call.args...)
	}
	_, _ = pipe.Exec(ctx) // each answer is looked at by itself
	for i, cmd := range answers {
		if redis.HasErrorPrefix(cmd.Err(), "NOSCRIPT") {
			answers[i] = script.Eval(ctx, pipe, calls[i].keys, calls[i].args...)
		}
	}
	if pipe.Len() > 0 {
		_, _ = pipe.Exec(ctx)
	}
	return answers
}
