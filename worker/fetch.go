package worker

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/imqueue/emq/tasks"
)

const (
	// lookEvery is how often the queues that had no task are looked at. It adds
	// half as much to the latency of a task that comes to an idle queue.
	lookEvery = 15 * time.Millisecond
	// registerEvery is how soon a queue is noticed that is used for the first
	// time, and pausedFor how soon one that runs again.
	registerEvery = 100 * time.Millisecond
	pausedFor     = 100 * time.Millisecond
	// fetchMax is how long a lane waits for a task before it lets asynq look
	// around. The lease of a task begins before the wait: it must be short
	// against asynq's 30 s.
	fetchMax = time.Second
	// fetchErrorPause is the wait after a fetch that failed. asynq itself tries
	// again at once, thousands of times a second while Redis is full or away.
	fetchErrorPause = 100 * time.Millisecond

	registerKey = "asynq:queues" // asynq's register of queues (a set)
)

// A board knows which queues of a worker's apps have tasks, and gives its lanes
// the queue to fetch from. It is what asynq's own polling is replaced by: that
// asks each queue in turn, for each task, in each lane, whether or not it has
// any and whether or not they may go now.
//
// The queues known to be empty are looked at together, for all lanes, with one
// command (on Cluster one for each queue, in one pipeline). Those with tasks are
// not looked at again before so many were fetched. A task is fetched only when
// its queue is not paused, Easemob is not down, and its endpoint's limit gives
// leave; until then it keeps its place in the queue.
type board struct {
	redis  redis.UniversalClient
	limits *limits
	ready  func(app string) time.Duration // how long no task of the app may be fetched
	log    *slog.Logger

	stopped chan struct{} // closed when nothing may be fetched any more
	looks   chan struct{} // asks for a look before its time

	mu      sync.Mutex
	queues  map[string]*queue // in asynq's register, by name
	lineups map[lineupKey]*lineup
	news    chan struct{} // closed when a queue is found to have tasks
}

type queue struct {
	name     string
	app      string
	endpoint tasks.Endpoint
	priority tasks.Priority

	pending  int       // tasks known to wait in it
	fetching int       // fetches under way
	paused   time.Time // until then it is taken to be paused
}

type lineupKey struct {
	app    string
	family tasks.Family
}

// A lineup is the queues of one family of one app, by rank. Those of one rank
// take turns.
type lineup struct {
	queues [4][]*queue
	turn   [4]int
}

// newBoard makes a board for the apps; ready may be nil.
func newBoard(rdb redis.UniversalClient, limits *limits, ready func(app string) time.Duration, log *slog.Logger, apps []App) *board {
	b := &board{
		redis: rdb, limits: limits, ready: ready, log: log,
		stopped: make(chan struct{}), looks: make(chan struct{}, 1), news: make(chan struct{}),
		queues: map[string]*queue{}, lineups: map[lineupKey]*lineup{},
	}
	for _, app := range apps {
		for _, family := range tasks.Families() {
			b.lineups[lineupKey{app.Alias, family}] = &lineup{}
		}
	}
	return b
}

// run looks at the queues until ctx ends; after that nothing is fetched.
func (b *board) run(ctx context.Context) {
	defer close(b.stopped)
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	var registered time.Time
	failing := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-b.looks:
		}
		var err error
		if time.Since(registered) >= registerEvery {
			err = b.register(ctx)
			registered = time.Now()
		}
		if err == nil {
			err = b.look(ctx)
		}
		if err != nil && !failing && ctx.Err() == nil {
			b.log.Warn("can't look at the queues: nothing is fetched", "error", err)
		}
		if failing = err != nil; failing {
			select {
			case <-ctx.Done():
			case <-time.After(fetchErrorPause):
			}
		}
	}
}

// register takes in the queues that asynq knows by now. One that Redis has
// forgotten, because it lost its data, is put back: clients register a queue
// only once.
func (b *board) register(ctx context.Context) error {
	names, err := b.redis.SMembers(ctx, registerKey).Result()
	if err != nil {
		return err
	}
	b.mu.Lock()
	known := map[string]bool{}
	for _, name := range names {
		known[name] = true
		app, endpoint, priority, ok := tasks.ParseQueueName(name)
		line := b.lineups[lineupKey{app, endpoint.Family()}]
		if !ok || line == nil || b.queues[name] != nil {
			continue
		}
		q := &queue{name: name, app: app, endpoint: endpoint, priority: priority}
		b.queues[name] = q
		r := rankOf(priority)
		line.queues[r] = append(line.queues[r], q)
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

func (b *board) registered(name string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.queues[name] != nil
}

// look finds out which of the queues without known tasks have some.
func (b *board) look(ctx context.Context) error {
	now := time.Now()
	var quiet []*queue
	b.mu.Lock()
	for _, q := range b.queues {
		if q.pending == 0 && q.fetching == 0 && now.After(q.paused) {
			quiet = append(quiet, q)
		}
	}
	b.mu.Unlock()
	if len(quiet) == 0 {
		return nil
	}
	stirring, err := b.stirring(ctx, quiet)
	if err != nil || len(stirring) == 0 {
		return err
	}
	lengths, paused := make([]*redis.IntCmd, len(stirring)), make([]*redis.IntCmd, len(stirring))
	pipe := b.redis.Pipeline()
	for i, q := range stirring {
		lengths[i], paused[i] = pipe.LLen(ctx, queueKey(q.name, keyPending)), pipe.Exists(ctx, queueKey(q.name, keyPaused))
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return err
	}
	found := false
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, q := range stirring {
		switch n := int(lengths[i].Val()); {
		case n > 0 && paused[i].Val() > 0:
			q.paused = now.Add(pausedFor)
		case n > 0:
			q.pending, found = n, true
		}
	}
	if found {
		close(b.news)
		b.news = make(chan struct{})
	}
	return nil
}

// stirring drops queues that are surely empty.
func (b *board) stirring(ctx context.Context, quiet []*queue) ([]*queue, error) {
	together := len(quiet)
	if _, cluster := b.redis.(*redis.ClusterClient); cluster {
		together = 1 // each queue has a slot of its own
	}
	pipe := b.redis.Pipeline()
	var counts []*redis.IntCmd
	for some := range slices.Chunk(quiet, together) {
		keys := make([]string, len(some))
		for i, q := range some {
			keys[i] = queueKey(q.name, keyPending)
		}
		counts = append(counts, pipe.Exists(ctx, keys...))
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, err
	}
	var stirring []*queue
	i := 0
	for some := range slices.Chunk(quiet, together) {
		if counts[i].Val() > 0 {
			stirring = append(stirring, some...)
		}
		i++
	}
	return stirring, nil
}

// next waits until a task of the family may be fetched, and returns its queue,
// for which leave was taken. The fetch must be reported to done. It returns nil
// after fetchMax, and once the worker stops.
func (b *board) next(ctx context.Context, app string, family tasks.Family) *queue {
	end := time.Now().Add(fetchMax)
	for {
		select {
		case <-b.stopped:
			return nil
		default:
		}
		q, news, wait := b.pick(lineupKey{app, family})
		wait = min(wait, time.Until(end))
		if q != nil {
			away := time.Duration(0)
			if b.ready != nil {
				away = b.ready(app)
			}
			if away == 0 && b.limits.take(ctx, app, q.endpoint, q.priority) {
				return q
			}
			b.leave(q)
			if away == 0 {
				continue // its limit is known to be reached now; others may go
			}
			wait = min(away, time.Until(end))
		}
		if wait <= 0 {
			return nil
		}
		timer := time.NewTimer(wait)
		select {
		case <-b.stopped:
		case <-news:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// pick chooses a queue with tasks whose endpoint may be open, the highest
// priority first, and reserves one of its tasks. When there is none, it returns
// what to wait for: news, or a time.
func (b *board) pick(key lineupKey) (_ *queue, news <-chan struct{}, wait time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	line, wait := b.lineups[key], fetchMax
	for r := len(line.queues) - 1; r > 0; r-- {
		queues := line.queues[r]
		for i := range queues {
			at := (line.turn[r] + i) % len(queues)
			q := queues[at]
			if q.pending == 0 {
				continue
			}
			if opens := b.limits.opens(q.app, q.endpoint, q.priority); opens > 0 {
				wait = min(wait, opens)
				continue
			}
			line.turn[r] = at + 1
			q.pending--
			q.fetching++
			return q, b.news, wait
		}
	}
	return nil, b.news, wait
}

// leave undoes pick.
func (b *board) leave(q *queue) {
	b.mu.Lock()
	defer b.mu.Unlock()
	q.pending++
	q.fetching--
}

// done ends a fetch. When it found nothing, the leave taken for it is given
// back.
func (b *board) done(q *queue, err error) {
	nothing := errors.Is(err, redis.Nil)
	if nothing {
		b.limits.giveBack(q.app, q.endpoint, q.priority)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	q.fetching--
	if nothing {
		q.pending = 0 // another worker was faster, or it is paused
	}
	if q.pending == 0 {
		select {
		case b.looks <- struct{}{}:
		default:
		}
	}
}

// A lane is the Redis client of one asynq server, which fetches one task after
// the other. It answers asynq's fetch with a task of the queue that the board
// names, whichever queue asynq asked: what asynq does with a task afterwards
// goes by the queue that the task itself carries. And of the scripts that asynq
// runs in the background for all its queues, in every server, it lets through
// those that have something to work on.
//
// What this takes for granted of asynq is pinned by TestLaneKnowsAsynq.
type lane struct {
	redis.UniversalClient
	board  *board
	app    string
	family tasks.Family
	first  string // the queue that asynq asks first in each fetch
	// background lets background scripts through; one lane of a family does.
	background bool

	picked *queue // of a fetch that is to be repeated with the script's source
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

// EvalSha runs a script by its hash.
func (l *lane) EvalSha(ctx context.Context, hash string, keys []string, args ...any) *redis.Cmd {
	return l.eval(ctx, keys, args, func(keys []string, args []any) *redis.Cmd {
		return l.UniversalClient.EvalSha(ctx, hash, keys, args...)
	})
}

// Eval runs a script by its source, when Redis does not know the hash.
func (l *lane) Eval(ctx context.Context, source string, keys []string, args ...any) *redis.Cmd {
	return l.eval(ctx, keys, args, func(keys []string, args []any) *redis.Cmd {
		return l.UniversalClient.Eval(ctx, source, keys, args...)
	})
}

func (l *lane) eval(ctx context.Context, keys []string, args []any, run func([]string, []any) *redis.Cmd) *redis.Cmd {
	if len(keys) == 0 {
		return run(keys, args)
	}
	name, part := splitQueueKey(keys[0])
	if part == keyPending && len(keys) == 4 && len(args) == 2 {
		return l.fetch(ctx, name, args, run)
	}
	if nothing, is := backgroundScript(part, len(keys)); is && !(l.background && l.board.registered(name)) {
		cmd := redis.NewCmd(ctx)
		cmd.SetVal(nothing)
		return cmd
	}
	return run(keys, args)
}

// backgroundScript tells asynq's background scripts by their first key and the
// number of their keys, with the answer by which they say that they found
// nothing to do.
func backgroundScript(part string, keys int) (nothing any, is bool) {
	switch {
	case keys == 2 && (part == keyScheduled || part == keyRetry), keys == 1 && part == keyCompleted:
		return int64(0), true
	case keys == 1 && part == keyLease:
		return []any{}, true
	case keys == 1 && part == keyGroups:
		return "OK", true
	}
	return nil, false
}

// fetch runs asynq's fetching script for the queue that the board names.
func (l *lane) fetch(ctx context.Context, asked string, args []any, run func([]string, []any) *redis.Cmd) *redis.Cmd {
	q := l.picked
	l.picked = nil
	if q == nil && asked == l.first {
		q = l.board.next(ctx, l.app, l.family)
	}
	if q == nil {
		cmd := redis.NewCmd(ctx)
		cmd.SetErr(redis.Nil)
		return cmd
	}
	lease := args[0]
	cmd := run(
		[]string{queueKey(q.name, keyPending), queueKey(q.name, keyPaused), queueKey(q.name, keyActive), queueKey(q.name, keyLease)},
		[]any{lease, tasks.TaskKey(q.name, "")},
	)
	err := cmd.Err()
	if redis.HasErrorPrefix(err, "NOSCRIPT") {
		l.picked = q // asynq sends the source next
		return cmd
	}
	l.board.done(q, err)
	if err != nil && !errors.Is(err, redis.Nil) {
		time.Sleep(fetchErrorPause)
	}
	return cmd
}
