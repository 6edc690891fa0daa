package worker

import (
	"cmp"
	"context"
	"crypto/rand"
	_ "embed"
	"errors"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/imqueue/emq/tasks"
)

const (
	// taskLease is how long a task is a worker's own without a sign of life: as long as
	// asynq's, whose heartbeat prolongs it. All leases go by the clock of Redis.
	taskLease = 30 * time.Second
	// handMax is how long a fetched task may wait to be begun before it is put
	// back. It is short against the lease.
	handMax = 5 * time.Second
	// noteFor is how long Redis remembers a worker's last fetch from a queue: longer
	// than a fetch is ever repeated.
	noteFor = 10 * time.Minute
	// gatherFor is how long the first free slot of a family waits for others once
	// all are in use, so that several tasks are fetched with one command.
	gatherFor   = time.Millisecond
	gatherShare = 4 // of the slots
	// fetchMost bounds the tasks of one fetch from a queue, and so its answer.
	fetchMost = 128
	// idleMax is how long a fetcher sleeps that waits for nothing in particular.
	idleMax = 10 * time.Second
)

var (
	//go:embed lua/fetch.lua
	fetchSource string
	//go:embed lua/putback.lua
	putBackSource string

	fetchScript   = redis.NewScript(fetchSource)
	putBackScript = redis.NewScript(putBackSource)
)

// A fetcher fetches the tasks of one app, as many at once as may be made now: its
// families have slots free, their queues are not paused, Easemob is not down, and
// the limits of their endpoints give leave. Until then a task keeps its place in its
// queue.
//
// A fetch has a number, and is repeated under that number until it is answered. Redis
// notes the last one of each worker and queue, so that an answer that was lost, to
// a client that repeats its command or to this one, strands no task.
type fetcher struct {
	board   *board
	servers redis.UniversalClient
	convoy  *convoy // of all fetchers
	limits  *limits
	ready   func(app string) time.Duration // how long no task may be fetched
	app     string
	worker  string // tells the worker's notes, and its tasks, from others'
	lines   map[tasks.Family]*lineup
	news    chan struct{} // asks for a look at what may be fetched
}

// A lineup is the queues of one family of one app, by rank. Those of one rank
// take turns.
type lineup struct {
	fetcher *fetcher
	queues  [4][]*queue
	turn    [4]int

	slots int // calls in flight at most
	free  int
	// full says that no slot was free after the last fetch, and freed when one
	// became free after that.
	full  bool
	freed time.Time
}

// fetch is the state of the fetches from a queue.
type fetch struct {
	number int64
	want   int       // tasks that an unanswered one asks for
	again  time.Time // when that is repeated
	owner  string    // of what it takes: no other fetch has the same
}

func newFetcher(b *board, servers redis.UniversalClient, convoy *convoy, limits *limits, ready func(string) time.Duration, app string, slots int) *fetcher {
	f := &fetcher{
		board: b, servers: servers, convoy: convoy, limits: limits, ready: ready, app: app,
		worker: rand.Text()[:16], lines: map[tasks.Family]*lineup{}, news: make(chan struct{}, 1),
	}
	for _, family := range tasks.Families() {
		f.lines[family] = &lineup{fetcher: f, slots: slots, free: slots}
	}
	return f
}

// wake has the fetcher look at what may be fetched.
func (f *fetcher) wake() {
	select {
	case f.news <- struct{}{}:
	default:
	}
}

// run fetches until ctx ends. What is not begun then is put back.
func (f *fetcher) run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil {
		picked, wait := f.pick(ctx)
		if len(picked) > 0 {
			f.fetch(ctx, picked)
			continue
		}
		timer.Reset(wait)
		select {
		case <-ctx.Done():
		case <-f.news:
		case <-timer.C:
		}
	}
}

// pick chooses what to fetch, and takes slots and leave for it. When that is
// nothing, it returns how long to wait, unless there are news.
func (f *fetcher) pick(ctx context.Context) (picked []*queue, wait time.Duration) {
	planned, wait := f.plan(time.Now())
	// Leave goes to the highest priority first.
	for _, q := range slices.SortedFunc(maps.Keys(planned), func(a, b *queue) int { return cmp.Compare(rankOf(b.priority), rankOf(a.priority)) }) {
		n := planned[q]
		if q.fetch.want > 0 { // one to repeat has its leave
			picked = append(picked, q)
			continue
		}
		granted := 0
		for ; granted < n; granted++ {
			if away := f.away(); away > 0 {
				wait = min(wait, away)
				break
			}
			if !f.limits.take(ctx, q.app, q.endpoint, q.priority) {
				wait = 0 // this endpoint is known to be closed now; others may go
				break
			}
		}
		f.board.mu.Lock()
		q.line.free += n - granted
		q.pending += n - granted
		q.fetch.want = granted
		f.board.mu.Unlock()
		if granted > 0 {
			picked = append(picked, q)
		}
	}
	return picked, wait
}

func (f *fetcher) away() time.Duration {
	if f.ready == nil {
		return 0
	}
	return f.ready(f.app)
}

// plan reserves slots and tasks: for each family as many as both are there, the
// highest priority first. Otherwise it returns how long to wait.
func (f *fetcher) plan(now time.Time) (planned map[*queue]int, wait time.Duration) {
	b := f.board
	b.mu.Lock()
	defer b.mu.Unlock()
	planned, wait = map[*queue]int{}, idleMax
	for _, line := range f.lines {
		wait = min(wait, line.planRepeats(now, planned))
		if line.full && line.free > 0 && line.free < line.slots/gatherShare {
			if left := gatherFor - now.Sub(line.freed); left > 0 {
				wait = min(wait, left)
				continue
			}
		}
		for r := len(line.queues) - 1; r > 0; r-- {
			wait = min(wait, line.planRank(r, planned))
		}
		line.full = line.free == 0
	}
	return planned, wait
}

// planRepeats adds the fetches that got no answer. They have their slots, which may be
// all that there are. It returns when one can be repeated that can't be now.
func (line *lineup) planRepeats(now time.Time, planned map[*queue]int) (wait time.Duration) {
	wait = idleMax
	for _, queues := range line.queues {
		for _, q := range queues {
			if q.fetch.want == 0 {
				continue
			}
			if left := q.fetch.again.Sub(now); left > 0 {
				wait = min(wait, left)
			} else {
				planned[q] = q.fetch.want
			}
		}
	}
	return wait
}

// planRank reserves one task of each queue of a rank in turn, while there are any. It
// returns when one of them can be asked that can't be now.
func (line *lineup) planRank(r int, planned map[*queue]int) (wait time.Duration) {
	wait = idleMax
	limits := line.fetcher.limits
	for open := true; open && line.free > 0; {
		open = false
		first := line.turn[r]
		for i := range line.queues[r] {
			at := (first + i) % len(line.queues[r])
			q := line.queues[r][at]
			if q.fetch.want > 0 || q.pending == 0 || line.free == 0 || planned[q] >= fetchMost {
				continue
			}
			if opens := limits.opens(q.app, q.endpoint, q.priority); opens > 0 {
				wait = min(wait, opens)
				continue
			}
			line.turn[r] = at + 1
			q.pending--
			line.free--
			planned[q]++
			open = true
		}
	}
	return wait
}

// fetch fetches what was picked, and hands it out.
func (f *fetcher) fetch(ctx context.Context, picked []*queue) {
	calls := make([]scriptCall, len(picked))
	for i, q := range picked {
		q.fetch.owner = f.worker + "-" + strconv.FormatInt(q.fetch.number+1, 10)
		calls[i] = scriptCall{
			keys: []string{
				queueKey(q.name, keyPending), queueKey(q.name, keyPaused), queueKey(q.name, keyActive), queueKey(q.name, keyLease),
				queueKey(q.name, "fetched:"+f.worker),
			},
			args: []any{int(taskLease.Seconds()), tasks.TaskKey(q.name, ""), q.fetch.want, q.fetch.number + 1, int(noteFor.Seconds()), q.fetch.owner},
		}
	}
	// Not cut short by ctx: what was taken must be known, to be put back.
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), handMax)
	defer cancel()
	for i, cmd := range f.convoy.run(bounded, fetchScript, calls...) {
		q := picked[i]
		answer, err := cmd.Slice()
		if err != nil {
			if q.fetch.again.IsZero() {
				f.board.log.Warn("can't fetch", "queue", q.name, "error", err)
			}
			f.board.mu.Lock()
			q.fetch.again = time.Now().Add(fetchErrorPause)
			f.board.mu.Unlock()
			continue
		}
		f.answered(ctx, q, answer)
	}
}

// answered takes in the answer to a fetch.
func (f *fetcher) answered(ctx context.Context, q *queue, answer []any) {
	left, _ := answer[0].(int64)
	gone, _ := answer[1].(int64)
	if gone > 0 {
		f.board.vanished(q, gone)
	}
	var got []fetched
	for i := 2; i+3 < len(answer); i += 4 {
		id, _ := answer[i].(string)
		task, _ := answer[i+1].(string)
		deaths, _ := answer[i+2].(int64)
		trace, _ := answer[i+3].(string)
		got = append(got, fetched{queue: q.name, id: id, task: task, owner: q.fetch.owner, deaths: int(deaths), trace: trace})
	}
	if len(got) > 0 {
		f.board.stir()
	}
	f.board.mu.Lock()
	unused := q.fetch.want - len(got)
	q.fetch = fetch{number: q.fetch.number + 1}
	q.pending = int(left)
	q.line.free += unused
	f.board.mu.Unlock()
	if unused > 0 {
		// Another worker was faster, or the queue is paused.
		f.limits.giveBack(q.app, q.endpoint, q.priority, unused)
	}
	if rest := f.board.hands.out(ctx, q.line, got); len(rest) > 0 {
		f.putBack(q, rest)
	}
}

// putBack puts tasks back that nobody has begun.
func (f *fetcher) putBack(q *queue, rest []fetched) {
	args := []any{tasks.TaskKey(q.name, ""), time.Now().UnixNano(), rest[0].owner}
	for _, one := range rest {
		args = append(args, one.id)
	}
	ctx, cancel := context.WithTimeout(context.Background(), handMax)
	defer cancel()
	keys := []string{queueKey(q.name, keyPending), queueKey(q.name, keyActive), queueKey(q.name, keyLease)}
	if err := putBackScript.Run(ctx, f.servers, keys, args...).Err(); err != nil && !errors.Is(err, redis.Nil) {
		f.board.log.Warn("fetched tasks could not be put back: they wait until their lease ends", "queue", q.name, "tasks", len(rest), "error", err)
	}
	f.limits.giveBack(q.app, q.endpoint, q.priority, len(rest))
}

// fetched is a task on its way to a lane.
type fetched struct {
	queue, id string
	task      string // as asynq encodes it
	owner     string
	deaths    int
	trace     string
}

// hands passes fetched tasks to whichever lane asks next, and keeps account of those
// that this process has: each takes one of the slots of its family, until its
// attempt ends, and is on the account until Redis knows what became of it.
type hands struct {
	tasks chan fetched
	over  chan struct{} // closed when no task will come any more

	mu  sync.Mutex
	has map[flightKey]*flight
}

type flightKey struct{ queue, id string }

// A flight is a task that this process has.
type flight struct {
	line  *lineup   // whose slot it has; nil once its attempt has ended
	since time.Time // of the fetch; then of the end
	begun bool
	// owner is the name by which the task is this process', and deaths how many workers
	// may have died of it.
	owner  string
	deaths int
	trace  string // what earlier attempts left; see attemptTrace
	// due is when the task is called again, once its attempt has ended.
	due time.Time
}

func newHands() *hands {
	return &hands{tasks: make(chan fetched), over: make(chan struct{}), has: map[flightKey]*flight{}}
}

// out hands out tasks, and returns those that no lane took.
func (h *hands) out(ctx context.Context, line *lineup, list []fetched) (rest []fetched) {
	if len(list) == 0 {
		return nil
	}
	var lost []*flight
	h.mu.Lock()
	for _, one := range list {
		key := flightKey{one.queue, one.id}
		if old := h.has[key]; old != nil && !old.begun {
			lost = append(lost, old) // its lease has ended before it was begun
		}
		h.has[key] = &flight{line: line, since: time.Now(), owner: one.owner, deaths: one.deaths, trace: one.trace}
	}
	h.mu.Unlock()
	for _, f := range lost {
		h.land(f)
	}
	patience := time.NewTimer(handMax)
	defer patience.Stop()
	for i, one := range list {
		select {
		case h.tasks <- one:
			continue
		case <-ctx.Done():
		case <-patience.C:
		}
		rest = list[i:]
		break
	}
	for _, one := range rest {
		h.settled(flightKey{one.queue, one.id}, one.owner)
	}
	return rest
}

// begin notes that a task's attempt has begun. Its flight is nil for one that no
// fetcher has fetched.
func (h *hands) begin(key flightKey) *flight {
	h.mu.Lock()
	defer h.mu.Unlock()
	f := h.has[key]
	if f != nil {
		f.begun = true
	}
	return f
}

// end frees the slot of a task whose attempt has ended, and notes when it is due
// again, if it is.
func (h *hands) end(f *flight, due time.Time) {
	if f == nil {
		return
	}
	h.mu.Lock()
	f.since, f.due = time.Now(), due
	h.mu.Unlock()
	h.land(f)
}

// land frees the slot of a task, if it has one.
func (h *hands) land(f *flight) {
	h.mu.Lock()
	line := f.line
	f.line = nil
	h.mu.Unlock()
	if line != nil {
		line.release()
	}
}

// look says by which name a task is this process', and when it is due again; the zero
// time when that is asynq's to say.
func (h *hands) look(key flightKey) (owner string, due time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if f := h.has[key]; f != nil {
		return f.owner, f.due
	}
	return "", time.Time{}
}

// settled takes a task off the account: Redis knows what became of it.
func (h *hands) settled(key flightKey, owner string) {
	h.mu.Lock()
	f := h.has[key]
	if f == nil || f.owner != owner { // fetched again by now
		h.mu.Unlock()
		return
	}
	delete(h.has, key)
	h.mu.Unlock()
	h.land(f)
}

// sweep drops what no lane will ever come back to: tasks that asynq could not read
// or whose lease was lost.
func (h *hands) sweep() {
	var lost []*flight
	h.mu.Lock()
	for key, f := range h.has {
		if time.Since(f.since) > taskLease && (!f.begun || f.line == nil) {
			lost = append(lost, f)
			delete(h.has, key)
		}
	}
	h.mu.Unlock()
	for _, f := range lost {
		h.land(f)
	}
}

// release frees a slot.
func (line *lineup) release() {
	mu := &line.fetcher.board.mu
	mu.Lock()
	line.free++
	first := line.free == 1
	if first {
		line.freed = time.Now()
	}
	wake := first || line.free >= line.slots/gatherShare || !line.full
	mu.Unlock()
	if wake {
		line.fetcher.wake()
	}
}
