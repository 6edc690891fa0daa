package worker

import (
	"context"
	_ "embed"
	"errors"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/imqueue/emq/dlq"
	"github.com/imqueue/emq/errclass"
	"github.com/imqueue/emq/tasks"
)

// How rate limits are kept.
//
// A fetch takes leave for one call and one message before it pops a task, and a
// task with several recipients waits in its process for the rest. Leave comes
// from Redis, so that all workers share one count, by Redis' clock, because
// theirs differ. The state of an endpoint of an app is one hash, changed by
// scripts of one key. It holds, for each rate ("100 calls a second"):
//
//   - A log of what was granted in the last span, with its sum. Never is more
//     than the count granted in any span, wherever it begins: the guard. A rate
//     that counts over 256 notes what falls in the same 1/256 of the span as
//     one, at the time of the last. Each entry is written and dropped once, so
//     that a permit costs the same whatever the rate.
//   - For each priority, when the next is due if calls come evenly: the pace. A
//     backlog at its limit thus takes its leave one after the other, instead of
//     a whole span's in a burst that makes the next urgent task wait for the
//     span's end. What a higher priority takes counts for the lower ones, and
//     not the other way round. Being early by a tolerance is allowed, so that
//     time lost to a late poll is caught up. A call is paid for after it was
//     made: one for 600 messages goes when one message may, and those after it
//     wait. Rates over more than a minute have no pace: of three broadcasts a
//     day the second need not wait eight hours.
//
// The guard's span is a little longer than the rate's, because calls are not
// equally long on their way; the pace is a little slower than the guard, so that
// the guard rarely has to stop it.
//
// go-redis/redis_rate was looked at and not taken. Its algorithm is the pace
// alone: with a burst of N it allows nearly 2N in some spans, and to hold N
// strictly it has to run slower by the burst that it allows, 10 to 20 % for
// calls of unequal cost. Nor does it take several rates and a pause in one step.
//
// A task that needs more than is free claims what comes free next: nobody of its
// priority or below gets leave until it is served, or else the small would starve
// the large. It waits a moment in its worker; if that is not enough, it goes back
// to the head of its queue, so that it keeps no slot from calls of other endpoints,
// and the gate stays closed meanwhile. A claim lapses soon after it was due, should
// its process have died.
//
// When Easemob says that a limit is reached all the same (clients share some
// limits, plans have others), slow stops all workers for a moment. If a call that
// began after the pause is refused, too, the pause doubles, and the pace slows by a
// factor that comes back within seconds.
//
// A closed endpoint is not asked again before the time that the script named.
// With high rates permits are taken a few milliseconds' worth at a time. An
// endpoint without rates costs Redis nothing.
const (
	limitsEvery = time.Second // how old a worker's view of the limits set by people may be
	// waitMax is how long a task waits for leave in its worker: long enough for all
	// limits a second.
	waitMax = 2 * time.Second
	// marginShare of a span, at most marginMax, is what calls may differ in
	// their way from the permit to Easemob.
	marginShare = 50
	marginMax   = 100 * time.Millisecond
	// toleranceShare of a span is how early a call may be for its pace.
	toleranceShare = 20
	pacedSpanMax   = time.Minute
	logMax         = 256 // entries of a rate's log
	// leaseTime is the time worth of permits that are taken at once, and how
	// long they may be used; leaseMax is their number.
	leaseTime = 5 * time.Millisecond
	leaseMax  = 512
	// easeTime is how long a pace of nothing would take to come back to the whole.
	easeTime = 20 * time.Second
	// stateSpare is how long the state of an endpoint outlives its longest span.
	stateSpare = 3 * time.Minute
	// closedMax is how long a closed endpoint is taken to be closed without
	// another look, and how long the claim of a task that went back to its queue
	// holds: a permit may have been given back, a limit raised.
	closedMax     = 10 * time.Second
	askTimeout    = 5 * time.Second
	watchedAfter  = time.Minute // how long pauses of an endpoint without rates are asked for after a slow
	slowFirst     = 50 * time.Millisecond
	slowMinute    = time.Second // first pause when a limit per minute is reached
	slowMax       = time.Second
	slowMinuteMax = time.Minute
)

var (
	//go:embed lua/limit.lua
	limitSource string
	//go:embed lua/limit_back.lua
	limitBackSource string
	//go:embed lua/limit_slow.lua
	limitSlowSource string

	limitScript     = redis.NewScript(limitSource)
	limitBackScript = redis.NewScript(limitBackSource)
	limitSlowScript = redis.NewScript(limitSlowSource)
)

// rank orders priorities for the scripts: 1 is the lowest.
type rank int

func rankOf(p tasks.Priority) rank {
	return rank(len(tasks.Priorities()) - slices.Index(tasks.Priorities(), p))
}

// limits are the rate limits of all endpoints of a worker's apps.
type limits struct {
	redis    redis.UniversalClient
	convoy   *convoy // of those who ask
	store    *dlq.Store
	log      *slog.Logger
	apps     []string
	settings map[gateKey]tasks.Limit
	gates    map[gateKey]*gate // not changed after newLimits
	began    time.Time
	failing  atomic.Bool
	waited   func(app string, e tasks.Endpoint) // is told when a task that is due must wait
}

type gateKey struct {
	app      string
	endpoint tasks.Endpoint
}

func newLimits(rdb redis.UniversalClient, store *dlq.Store, log *slog.Logger, apps []App) *limits {
	l := &limits{
		redis: rdb, convoy: newConvoy(rdb), store: store, log: log, began: time.Now(),
		settings: map[gateKey]tasks.Limit{}, gates: map[gateKey]*gate{}, waited: func(string, tasks.Endpoint) {},
	}
	for _, app := range apps {
		l.apps = append(l.apps, app.Alias)
		for _, info := range tasks.Endpoints() {
			key := gateKey{app.Alias, info.Endpoint}
			limit, set := app.Limits[info.Endpoint]
			if !set {
				limit = info.Limit
			}
			l.settings[key] = limit
			g := &gate{limits: l, key: tasks.AppKey(app.Alias, "limit:"+string(info.Endpoint)), limit: limit}
			g.rates.Store(newRates(limit))
			l.gates[key] = g
		}
	}
	return l
}

// refresh reads the limits that people have set, which take the place of the
// settings'.
func (l *limits) refresh(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	set, err := l.store.Limits(ctx, l.apps...)
	if set == nil {
		return err
	}
	override := map[gateKey]tasks.Limit{}
	for _, s := range set {
		override[gateKey{s.App, s.Endpoint}] = s.Limit
	}
	for key, g := range l.gates {
		limit, ok := override[key]
		if !ok {
			limit = l.settings[key]
		}
		if g.change(limit) {
			l.log.Info("limit changed", "app", key.app, "endpoint", key.endpoint, "limit", limit.String())
		}
	}
	if paused := l.pauses(ctx); paused != nil {
		return paused
	}
	return err // about those that can't be read
}

// pauses finds out which of the endpoints without rates, which are not asked for
// leave, another worker has slowed.
func (l *limits) pauses(ctx context.Context) error {
	pipe := l.redis.Pipeline()
	ends := map[*gate]*redis.StringCmd{}
	for _, g := range l.gates {
		if len(g.rates.Load().list) == 0 {
			ends[g] = pipe.HGet(ctx, g.key, "pause")
		}
	}
	if len(ends) == 0 {
		return nil
	}
	if _, err := pipe.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) {
		return err
	}
	for g, cmd := range ends {
		// By Redis' clock, which may differ from this one: an old pause does no harm.
		if end, err := cmd.Int64(); err == nil && time.Since(time.UnixMicro(end)) < watchedAfter {
			g.watch()
		}
	}
	return nil
}

// take takes leave for one call and, where messages count, one message. It
// never waits for the limit.
func (l *limits) take(ctx context.Context, app string, e tasks.Endpoint, p tasks.Priority) (ok bool) {
	g := l.gates[gateKey{app, e}]
	if ok = g == nil || g.take(ctx, rankOf(p)); !ok {
		l.waited(app, e)
	}
	return ok
}

// giveBack gives back what so many takes took: there was no task.
func (l *limits) giveBack(app string, e tasks.Endpoint, p tasks.Priority, n int) {
	if g := l.gates[gateKey{app, e}]; g != nil {
		g.giveBack(rankOf(p), n)
	}
}

// opens is how long take is known to find nothing.
func (l *limits) opens(app string, e tasks.Endpoint, p tasks.Priority) time.Duration {
	if g := l.gates[gateKey{app, e}]; g != nil {
		return g.opens(rankOf(p))
	}
	return 0
}

// wait takes leave for further calls and messages of a task, and waits for it up
// to waitMax. Meanwhile nothing of the task's endpoint is fetched, but of higher
// priority; the same for some time after it says no, which means that the task
// must wait at the head of its queue. Messages without calls are the rest of the
// call that the fetch took leave for: if it is clear at once that they take too
// long, what the fetch took is given back. The error is ctx's, or Redis'.
func (l *limits) wait(ctx context.Context, t tasks.Task, calls, messages int) (ok bool, _ error) {
	g := l.gates[gateKey{t.App, t.Endpoint()}]
	if g == nil {
		return true, nil
	}
	if ok, err := g.wait(ctx, rankOf(t.Priority), t.QueueID(), calls, messages); err != nil || ok {
		return ok, err
	}
	l.waited(t.App, t.Endpoint())
	return false, nil
}

// slow pauses an endpoint for all workers, because Easemob has said that a
// limit a second (DelayRate) or a minute (DelayMinute) is reached, in the answer
// to a call that began so long ago.
func (l *limits) slow(ctx context.Context, app string, e tasks.Endpoint, d errclass.Delay, ago time.Duration) {
	if g := l.gates[gateKey{app, e}]; g != nil {
		g.slow(ctx, d, ago)
	}
}

// note logs the beginning of an outage, once.
func (l *limits) note(err error) {
	if err == nil {
		l.failing.Store(false)
	} else if l.failing.CompareAndSwap(false, true) {
		l.log.Warn("can't ask Redis for rate limits: nothing is fetched that has one", "error", err)
	}
}

// A rate is a tasks.Rate as the scripts want it; times are in microseconds.
type rate struct {
	name                   string // the unit's letter and the span in seconds
	count                  int
	span, tolerance, grain int64
	interval               float64
}

// rates are all rates of an endpoint.
type rates struct {
	list  []rate
	lease int // permits taken at once
	keep  time.Duration
}

func newRates(limit tasks.Limit) *rates {
	all := &rates{lease: leaseMax, keep: stateSpare}
	add := func(unit string, list []tasks.Rate) {
		strict := map[time.Duration]int{} // of several rates over one span the lowest counts
		for _, r := range list {
			if n, seen := strict[r.Per]; !seen || r.Count < n {
				strict[r.Per] = r.Count
			}
		}
		for per, count := range strict {
			margin := min(per/marginShare, marginMax)
			r := rate{
				name: unit + strconv.Itoa(int(per/time.Second)), count: count,
				span: (per + margin*3/4).Microseconds(),
			}
			if per <= pacedSpanMax {
				r.interval = float64((per + margin).Microseconds()) / float64(count)
				r.tolerance = (per / toleranceShare).Microseconds()
			}
			if count > logMax {
				r.grain = per.Microseconds() / logMax
			}
			all.list = append(all.list, r)
			all.lease = min(all.lease, int(int64(count)*int64(leaseTime)/int64(per)))
			all.keep = max(all.keep, per+stateSpare)
		}
	}
	add("c", limit.Calls)
	add("m", limit.Messages)
	all.lease = max(all.lease, 1)
	return all
}

// costs says whether calls or messages count for anything.
func (all *rates) costs(calls, messages int) bool {
	return slices.ContainsFunc(all.list, func(r rate) bool {
		return r.name[0] == 'c' && calls > 0 || r.name[0] == 'm' && messages > 0
	})
}

// A gate is what a process knows of the limits of one endpoint of an app.
type gate struct {
	limits *limits
	key    string // in Redis
	rates  atomic.Pointer[rates]
	// closed is until when a fetch of a rank finds nothing, in nanoseconds after
	// limits.began.
	closed [4]atomic.Int64

	mu sync.Mutex // also keeps fetches from asking Redis at the same time
	// spare permits may be used until lapse; then next is the wait for others.
	spare   int
	lapse   time.Time
	next    time.Duration
	limit   tasks.Limit
	watched time.Time // without rates: until then there may be a pause
}

// change sets other limits and says whether they are other ones.
func (g *gate) change(limit tasks.Limit) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if slices.Equal(g.limit.Calls, limit.Calls) && slices.Equal(g.limit.Messages, limit.Messages) {
		return false
	}
	g.limit, g.spare = limit, 0
	g.rates.Store(newRates(limit))
	g.open(rank(len(g.closed) - 1))
	return true
}

func (g *gate) opens(r rank) time.Duration {
	return max(0, time.Duration(g.closed[r].Load())-time.Since(g.limits.began))
}

// close keeps fetches of a rank and below from asking for a while.
func (g *gate) close(r rank, wait time.Duration) {
	until := int64(time.Since(g.limits.began) + min(wait, closedMax))
	for ; r > 0; r-- {
		if g.closed[r].Load() < until {
			g.closed[r].Store(until)
		}
	}
}

func (g *gate) open(r rank) {
	for ; r > 0; r-- {
		g.closed[r].Store(0)
	}
}

func (g *gate) take(ctx context.Context, r rank) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	all := g.rates.Load()
	if len(all.list) == 0 && now.After(g.watched) {
		return true
	}
	if g.spare > 0 && now.Before(g.lapse) {
		g.use(r)
		return true
	}
	if g.opens(r) > 0 {
		return false
	}
	taken, wait, err := g.ask(ctx, all, r, 1, 1, all.lease, "", 0)
	if err != nil {
		g.close(r, fetchErrorPause)
		return false
	}
	if taken == 0 {
		g.close(r, wait)
		return false
	}
	g.spare, g.lapse, g.next = taken, now.Add(leaseTime), wait
	g.use(r)
	return true
}

// use takes one of the spare permits.
func (g *gate) use(r rank) {
	if g.spare--; g.spare == 0 {
		g.close(r, g.next)
	}
}

// ask runs the script that takes leave.
func (g *gate) ask(ctx context.Context, all *rates, r rank, calls, messages, most int, waiter string, patience time.Duration) (taken int, wait time.Duration, err error) {
	bounded, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	args := []any{int(r), calls, messages, most, waiter, patience.Microseconds(), closedMax.Microseconds(), all.keep.Milliseconds(), easeTime.Microseconds()}
	for _, x := range all.list {
		args = append(args, x.name, x.count, x.span, x.interval, x.tolerance, x.grain)
	}
	answer, err := g.limits.convoy.run(bounded, limitScript, scriptCall{[]string{g.key}, args})[0].Int64Slice()
	if ctx.Err() == nil {
		g.limits.note(err)
	}
	if err != nil {
		return 0, 0, err
	}
	return int(answer[0]), time.Duration(answer[1]) * time.Microsecond, nil
}

// giveBack is not stopped by the fetch's end, and failure costs the permits.
func (g *gate) giveBack(r rank, n int) {
	all := g.rates.Load()
	if len(all.list) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), askTimeout)
	defer cancel()
	args := []any{int(r), n}
	for _, x := range all.list {
		args = append(args, x.name, x.interval)
	}
	if err := limitBackScript.Run(ctx, g.limits.redis, []string{g.key}, args...).Err(); err != nil && !errors.Is(err, redis.Nil) {
		return
	}
	g.open(r)
}

func (g *gate) wait(ctx context.Context, r rank, waiter string, calls, messages int) (ok bool, _ error) {
	if !g.rates.Load().costs(calls, messages) {
		return true, nil
	}
	deadline := time.Now().Add(waitMax)
	for first := true; ; first = false {
		patience := max(0, time.Until(deadline))
		taken, wait, err := g.ask(ctx, g.rates.Load(), r, calls, messages, 1, waiter, patience)
		if err != nil {
			return false, err
		}
		if taken > 0 {
			g.close(r, wait) // of the next fetch
			return true, nil
		}
		if wait > patience && first && calls == 0 {
			g.giveBack(r, 1)
		}
		g.close(r, wait)
		if wait > patience {
			return false, nil
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return false, ctx.Err()
		case <-timer.C:
		}
	}
}

func (g *gate) slow(ctx context.Context, d errclass.Delay, ago time.Duration) {
	first, longest := slowFirst, slowMax
	if d == errclass.DelayMinute {
		first, longest = slowMinute, slowMinuteMax
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	pause, err := limitSlowScript.Run(ctx, g.limits.redis, []string{g.key},
		first.Microseconds(), longest.Microseconds(), g.rates.Load().keep.Milliseconds(), easeTime.Microseconds(), ago.Microseconds()).Int64()
	if err != nil {
		pause = first.Microseconds() // at least this process
	}
	g.watch()
	g.close(rank(len(g.closed)-1), time.Duration(pause)*time.Microsecond)
}

// watch has an endpoint asked for leave for a while, even without rates.
func (g *gate) watch() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.spare, g.watched = 0, time.Now().Add(watchedAfter)
}
