package worker

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/imqueue/emq/tasks"
	"github.com/imqueue/emq/tasks/redisserver"
	"github.com/imqueue/emq/tasks/redisserver/redistest"
	"github.com/imqueue/emq/worker/easemob/simulator"
)

// unlimited are settings by which no endpoint has a limit.
func unlimited() map[tasks.Endpoint]tasks.Limit {
	limits := map[tasks.Endpoint]tasks.Limit{}
	for _, info := range tasks.Endpoints() {
		limits[info.Endpoint] = tasks.Limit{}
	}
	return limits
}

// newTestBoard makes a board for one app, with so many slots for each family.
func newTestBoard(t *testing.T, rdb redis.UniversalClient, ready func(string) time.Duration, limits map[tasks.Endpoint]tasks.Limit, slots int) *board {
	t.Helper()
	apps := []App{{Alias: shop, Limits: limits}}
	log := slog.New(slog.DiscardHandler)
	return newBoard(rdb, rdb, newLimits(rdb, nil, log, apps), ready, log, apps, slots)
}

// push puts tasks into a queue as asynq does.
func push(t *testing.T, rdb redis.UniversalClient, queue string, ids ...string) {
	t.Helper()
	ctx := context.Background()
	must(t, rdb.SAdd(ctx, registerKey, queue).Err())
	for _, id := range ids {
		must(t, rdb.HSet(ctx, tasks.TaskKey(queue, id), "msg", "task "+id, "state", "pending", "pending_since", 1).Err())
		must(t, rdb.LPush(ctx, queueKey(queue, keyPending), id).Err())
	}
}

// list is a Redis list from its head, where asynq takes tasks from.
func list(t *testing.T, rdb redis.UniversalClient, queue, part string) []string {
	t.Helper()
	ids, err := rdb.LRange(context.Background(), queueKey(queue, part), 0, -1).Result()
	must(t, err)
	slices.Reverse(ids)
	return ids
}

// takes collects n tasks that the board hands out.
func (b *board) takes(t *testing.T, n int) (ids []string) {
	t.Helper()
	for range n {
		select {
		case one := <-b.hands.tasks:
			ids = append(ids, one.id)
		case <-time.After(10 * time.Second):
			t.Fatalf("%d tasks handed out: %q, want %d", len(ids), ids, n)
		}
	}
	return ids
}

// settle takes a task off the account, as the end of its attempt does.
func (b *board) settle(queue, id string) {
	key := flightKey{queue, id}
	owner, _ := b.hands.look(key)
	b.hands.settled(key, owner)
}

// nothing makes sure that the board hands out nothing for a while.
func (b *board) nothing(t *testing.T, why string) {
	t.Helper()
	select {
	case one := <-b.hands.tasks:
		t.Errorf("%s was handed out: %s", one.id, why)
	case <-time.After(10 * lookOften):
	}
}

// runBoard runs a board until the test ends or stop is called.
func runBoard(t *testing.T, b *board) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var loop sync.WaitGroup
	loop.Go(func() { b.run(ctx) })
	stop = sync.OnceFunc(func() { cancel(); loop.Wait() })
	t.Cleanup(stop)
	return stop
}

func TestPriorityAndTurns(t *testing.T) {
	t.Parallel()
	_, rdb := redistest.Mini(t)
	b := newTestBoard(t, rdb, nil, unlimited(), 9)
	names := map[tasks.Endpoint]int{
		tasks.EndpointMessagesUsers: 30, tasks.EndpointMessagesRooms: 30, tasks.EndpointMessagesRecall: 3,
	}
	for e, n := range names {
		for _, p := range []tasks.Priority{tasks.Low, tasks.High} {
			for i := range n {
				push(t, rdb, tasks.QueueName(shop, e, p), fmt.Sprintf("%s %s %d", p, e, i))
			}
		}
	}
	must(t, b.register(context.Background()))
	must(t, b.look(context.Background()))
	runBoard(t, b)
	var got []string
	for range 2 * (30 + 30 + 3) / 9 {
		some := b.takes(t, 9)
		b.nothing(t, "all slots are taken")
		for _, id := range some {
			priority, rest, _ := strings.Cut(id, " ")
			endpoint, _, _ := strings.Cut(rest, " ")
			b.settle(tasks.QueueName(shop, tasks.Endpoint(endpoint), tasks.Priority(priority)), id)
		}
		got = append(got, some...)
	}
	for i, s := range got {
		if want := i < 63; strings.HasPrefix(s, "high") != want {
			t.Fatalf("task %d: %s", i, s)
		}
	}
	turns := map[string]int{}
	for _, s := range got[:9] {
		turns[s[:strings.LastIndex(s, " ")]]++
	}
	for e := range names {
		if n := turns["high "+string(e)]; n != 3 {
			t.Errorf("the first nine: %v, want three of each endpoint", turns)
		}
	}
}

func TestBoard(t *testing.T) {
	t.Parallel()
	mini, rdb := redistest.Mini(t)
	ctx := context.Background()
	counted := &countCommands{n: map[string]int{}}
	rdb.AddHook(counted)
	var away atomicDuration
	b := newTestBoard(t, rdb, func(string) time.Duration { return away.get() }, unlimited(), 4)
	name := tasks.QueueName(shop, tasks.EndpointMessagesUsers, tasks.Low)
	for _, e := range []tasks.Endpoint{tasks.EndpointMessagesUsers, tasks.EndpointGroupsCreate} {
		for _, p := range tasks.Priorities() {
			must(t, rdb.SAdd(ctx, registerKey, tasks.QueueName(shop, e, p), "other:messages.users:low", "foreign").Err())
		}
	}
	must(t, b.register(ctx))
	if len(b.queues) != 6 || b.has("foreign") || b.has("other:messages.users:low") {
		t.Errorf("queues: %v, want the six of the app", b.queues)
	}

	must(t, b.look(ctx)) // connects
	before := counted.count("all")
	for range 100 {
		must(t, b.look(ctx))
	}
	if n := counted.count("all") - before; n > 110 {
		t.Errorf("%d commands for 100 looks at empty queues", n)
	}

	// A paused queue costs nothing for a while, and is seen again.
	push(t, rdb, name, "a")
	must(t, rdb.Set(ctx, queueKey(name, keyPaused), "1", 0).Err())
	must(t, b.look(ctx))
	before = counted.count("llen")
	for range 10 {
		must(t, b.look(ctx))
	}
	if n := counted.count("llen") - before; n > 1 {
		t.Errorf("a paused queue is looked at %d times", n)
	}

	away.set(50 * time.Millisecond) // Easemob is down
	stop := runBoard(t, b)
	must(t, rdb.Del(ctx, queueKey(name, keyPaused)).Err())
	time.Sleep(pausedFor)
	b.nothing(t, "Easemob is down")
	away.set(0)
	if got := b.takes(t, 1); got[0] != "a" {
		t.Errorf("after it has come back: %q", got)
	}
	b.settle(name, "a")

	// What Redis forgets is put back, and what is new is found.
	mini.FlushAll()
	must(t, rdb.HSet(ctx, tasks.TaskKey(name, "b"), "msg", "task b").Err())
	must(t, rdb.LPush(ctx, queueKey(name, keyPending), "b").Err())
	b.takes(t, 1)
	for !rdb.SIsMember(ctx, registerKey, name).Val() {
		time.Sleep(time.Millisecond)
	}

	// What no lane has taken when the worker stops is put back in its order.
	push(t, rdb, name, "c", "d", "e")
	for len(list(t, rdb, name, keyActive)) < 4 {
		time.Sleep(time.Millisecond)
	}
	stop()
	if got := list(t, rdb, name, keyPending); !slices.Equal(got, []string{"c", "d", "e"}) {
		t.Errorf("after the end: %q wait", got)
	}
	if n := rdb.ZCard(ctx, queueKey(name, keyLease)).Val(); n != 1 {
		t.Errorf("%d leases, want the one of b", n)
	}
	if state := rdb.HGet(ctx, tasks.TaskKey(name, "c"), "state").Val(); state != "pending" {
		t.Errorf("state of c: %q", state)
	}
}

// TestFetchThatFindsNothing has another worker take all tasks of a queue that
// the board knows to have some, with leave for a single call.
func TestFetchThatFindsNothing(t *testing.T) {
	t.Parallel()
	_, rdb := redistest.Mini(t)
	ctx := context.Background()
	b := newTestBoard(t, rdb, nil, map[tasks.Endpoint]tasks.Limit{tasks.EndpointMessagesUsers: limit(t, "1/30m", "")}, 4)
	name := tasks.QueueName(shop, tasks.EndpointMessagesUsers, tasks.Low)
	push(t, rdb, name, "x", "y", "z")
	must(t, b.register(ctx))
	must(t, b.look(ctx))
	f := b.fetchers[shop]
	picked, _ := f.pick(ctx)
	if len(picked) != 1 || picked[0].fetch.want != 1 {
		t.Fatalf("picked %v, want one task", picked)
	}
	must(t, rdb.Del(ctx, queueKey(name, keyPending)).Err())
	f.fetch(ctx, picked)
	if picked, _ := f.pick(ctx); len(picked) > 0 {
		t.Error("a queue that was found empty is asked again")
	}
	if free := f.lines[tasks.FamilyMessages].free; free != 4 {
		t.Errorf("%d slots free, want all", free)
	}
	if !b.fetchers[shop].limits.take(ctx, shop, tasks.EndpointMessagesUsers, tasks.Low) {
		t.Error("the only leave in half an hour was lost to a fetch that found nothing")
	}
}

// TestLeaveGoesToTheHighestPriority has tasks of all priorities wait for the only call in
// half an hour.
func TestLeaveGoesToTheHighestPriority(t *testing.T) {
	t.Parallel()
	for range 20 {
		_, rdb := redistest.Mini(t)
		b := newTestBoard(t, rdb, nil, map[tasks.Endpoint]tasks.Limit{tasks.EndpointMessagesUsers: limit(t, "1/30m", "")}, 8)
		for _, p := range tasks.Priorities() {
			push(t, rdb, tasks.QueueName(shop, tasks.EndpointMessagesUsers, p), "x", "y")
		}
		must(t, b.register(context.Background()))
		must(t, b.look(context.Background()))
		if picked, _ := b.fetchers[shop].pick(context.Background()); len(picked) != 1 || picked[0].priority != tasks.High {
			t.Fatalf("picked %d queues, %s first", len(picked), picked[0].name)
		}
	}
}

// loseAnswers has fetches carried out and their answers lost, so many times.
type loseAnswers struct {
	mu    sync.Mutex
	times int
}

func (*loseAnswers) DialHook(next redis.DialHook) redis.DialHook          { return next }
func (*loseAnswers) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }
func (l *loseAnswers) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		err := next(ctx, cmds)
		l.mu.Lock()
		defer l.mu.Unlock()
		for _, cmd := range cmds {
			if args := cmd.Args(); len(args) > 3 && args[2] == 5 && l.times > 0 && cmd.Err() == nil {
				l.times--
				cmd.SetErr(context.DeadlineExceeded)
			}
		}
		return err
	}
}

// TestLostAnswerStrandsNoTask: a fetch whose answer is lost is repeated, and gives
// the tasks that it took.
func TestLostAnswerStrandsNoTask(t *testing.T) {
	t.Parallel()
	w := newWorldOnRedis(t)
	var ids []string
	for i := range 200 {
		ids = append(ids, w.enqueue(text("u1"), tasks.ID(fmt.Sprint("m", i))))
	}
	cfg := w.config()
	cfg.Concurrency = 8
	limited(unlimited())(&cfg) // so that a fetch takes all slots
	worker, err := New(cfg)
	must(t, err)
	lose := &loseAnswers{times: 8}
	worker.servers.AddHook(lose)
	w.run(worker)
	w.idle() // long before a lease ends
	if lose.times != 0 {
		t.Errorf("%d answers were not lost: the test shows nothing", lose.times)
	}
	for _, id := range ids {
		if n := w.executed(id); n != 1 {
			t.Errorf("%s was called %d times", id, n)
		}
	}
	w.noDeadLetters()
}

// TestFetchScript pins what happens when fetches are repeated, late, or find odd things.
func TestFetchScript(t *testing.T) {
	t.Parallel()
	for name, rdb := range map[string]func(testing.TB) redis.UniversalClient{
		"in memory": func(t testing.TB) redis.UniversalClient { _, rdb := redistest.Mini(t); return rdb },
		"on Redis": func(t testing.TB) redis.UniversalClient {
			return redistest.Client(t, redistest.Start(t, redisserver.Options{}))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rdb, ctx := rdb(t), context.Background()
			const q = "shop:messages.users:low"
			fetch := func(n, number int) []any {
				t.Helper()
				answer, err := fetchScript.Run(ctx, rdb, []string{
					queueKey(q, keyPending), queueKey(q, keyPaused), queueKey(q, keyActive), queueKey(q, keyLease), queueKey(q, "fetched:w"),
				}, 1000*number, tasks.TaskKey(q, ""), n, number, 600, fmt.Sprint("me-", number)).Slice()
				must(t, err)
				return answer
			}
			equal := func(what string, got, want any) {
				t.Helper()
				if fmt.Sprint(got) != fmt.Sprint(want) {
					t.Errorf("%s: %v, want %v", what, got, want)
				}
			}
			push(t, rdb, q, "a", "b", "c", "d")
			must(t, rdb.Set(ctx, queueKey(q, keyPaused), 1, 0).Err())
			equal("of a paused queue", fetch(2, 1), []any{0, 0})
			must(t, rdb.Del(ctx, queueKey(q, keyPaused)).Err())
			must(t, rdb.HSet(ctx, tasks.TaskKey(q, "b"), "emq_deaths", 2, "emq_trace", "trace b").Err())
			first := []any{2, 0, "a", "task a", 0, "", "b", "task b", 2, "trace b"}
			equal("a fetch", fetch(2, 1), first)
			equal("state", rdb.HGetAll(ctx, tasks.TaskKey(q, "a")).Val(), map[string]string{"msg": "task a", "state": "active", "emq_owner": "me-1"})
			equal("the same again", fetch(2, 1), first)
			equal("active", list(t, rdb, q, keyActive), []string{"a", "b"})
			equal("the next", fetch(1, 2), []any{1, 0, "c", "task c", 0, ""})
			equal("a late copy of the first", fetch(2, 1), []any{0, 0})
			now := float64(rdb.Time(ctx).Val().Unix())
			for i, z := range rdb.ZRangeWithScores(ctx, queueKey(q, keyLease), 0, -1).Val() {
				if left := z.Score - now; z.Member != []any{"a", "b", "c"}[i] || left > []float64{1000, 1000, 2000}[i] || left < []float64{900, 900, 1900}[i] {
					t.Errorf("lease of %v ends in %v s", z.Member, left)
				}
			}
			// Another worker has taken c meanwhile, since its lease ended.
			must(t, rdb.HSet(ctx, tasks.TaskKey(q, "c"), "emq_owner", "another").Err())
			equal("what is another's is not given again", fetch(1, 2), []any{1, 0})
			// A task that Redis has lost.
			must(t, rdb.Del(ctx, tasks.TaskKey(q, "d")).Err())
			equal("one that is gone", fetch(5, 3), []any{0, 1})
			equal("active", list(t, rdb, q, keyActive), []string{"a", "b", "c"})
		})
	}
}

// TestRetriesComeByTheMillisecond: asynq knows whole seconds only.
func TestRetriesComeByTheMillisecond(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Config{})
	const n = 5
	w.fault(simulator.Fault{Path: "/messages/users", Status: 503, Times: n})
	for range n {
		w.enqueue(text("u1"))
	}
	w.start()
	ctx, queue := context.Background(), usersQueue(tasks.Default)
	due := map[string]float64{}
	w.eventually("the calls", func() bool {
		for _, z := range w.rdb.ZRangeWithScores(ctx, queueKey(queue, keyRetry), 0, -1).Val() {
			due[z.Member.(string)] = z.Score
		}
		return len(w.sim.Executed()) == n
	})
	whole := 0
	for _, e := range w.sim.Executed() {
		at, known := due[e.EmqID]
		if known && e.Time.UnixMilli() < int64(at*1000) {
			t.Errorf("called at %d, before it was due at %f", e.Time.UnixMilli(), at)
		}
		if at == float64(int64(at)) {
			whole++
		}
	}
	if whole == n {
		t.Errorf("all are due at whole seconds, or were not seen waiting: %v", due)
	}
}

// TestNewsWakesTheBoard has a board that would not look by itself for an hour.
func TestNewsWakesTheBoard(t *testing.T) {
	t.Parallel()
	_, rdb := redistest.Mini(t)
	b := newTestBoard(t, rdb, nil, unlimited(), 4)
	b.seldom = time.Hour
	runBoard(t, b)
	c, err := tasks.NewClient(tasks.ClientConfig{Redis: rdb, App: shop})
	must(t, err)
	for rdb.PubSubNumSub(context.Background(), tasks.NewsChannel(shop)).Val()[tasks.NewsChannel(shop)] == 0 {
		time.Sleep(time.Millisecond)
	}
	r, err := c.Enqueue(context.Background(), text("u1"))
	must(t, err)
	if got := b.takes(t, 1); got[0] != r.ID {
		t.Errorf("got %q, want %s", got, r.ID)
	}
}

// TestForward has tasks that wait for their time become due in order, once each.
func TestForward(t *testing.T) {
	t.Parallel()
	_, rdb := redistest.Mini(t)
	ctx, q := context.Background(), tasks.QueueName(shop, tasks.EndpointMessagesUsers, tasks.Low)
	b := newTestBoard(t, rdb, nil, unlimited(), 100)
	must(t, rdb.SAdd(ctx, registerKey, q).Err())
	now := time.Now()
	for i, part := range []string{keyRetry, keyScheduled, keyRetry, keyScheduled} {
		id := fmt.Sprint("t", i)
		must(t, rdb.HSet(ctx, tasks.TaskKey(q, id), "msg", id, "state", part).Err())
		must(t, rdb.ZAdd(ctx, queueKey(q, part), redis.Z{Score: float64(now.Add(time.Duration(i)*300*time.Millisecond).UnixMilli()) / 1000, Member: id}).Err())
	}
	must(t, rdb.ZAdd(ctx, queueKey(q, keyRetry), redis.Z{Score: 1, Member: "gone"}).Err()) // Redis has lost its task
	runBoard(t, b)
	for i, id := range b.takes(t, 4) {
		if want := fmt.Sprint("t", i); id != want {
			t.Errorf("task %d is %s, want %s", i, id, want)
		}
		if early := time.Until(now.Add(time.Duration(i) * 300 * time.Millisecond)); early > 2*time.Millisecond {
			t.Errorf("%s came %v early", id, early)
		}
	}
	if n := rdb.Exists(ctx, tasks.TaskKey(q, "gone"), queueKey(q, keyRetry), queueKey(q, keyScheduled)).Val(); n != 0 {
		t.Errorf("%d keys are left", n)
	}
}

// A slot is free again when the attempt ends, and also if asynq never begins one.
func TestSlotsComeBack(t *testing.T) {
	t.Parallel()
	_, rdb := redistest.Mini(t)
	b := newTestBoard(t, rdb, nil, unlimited(), 2)
	line := b.fetchers[shop].lines[tasks.FamilyMessages]
	old := time.Now().Add(-2 * taskLease)
	b.hands.has[flightKey{"q", "never begun"}] = &flight{line: line, since: old}
	long := &flight{line: line, since: old, begun: true, owner: "me"}
	b.hands.has[flightKey{"q", "long"}] = long
	b.hands.has[flightKey{"q", "lease lost"}] = &flight{since: old, begun: true, due: time.Now()}
	line.free = 0
	b.hands.sweep()
	if _, still := b.hands.has[flightKey{"q", "long"}]; !still || len(b.hands.has) != 1 || line.free != 1 {
		t.Errorf("after the sweep: %v, %d slots free", b.hands.has, line.free)
	}
	b.hands.end(long, time.Time{})
	if line.free != 2 {
		t.Errorf("after the end: %d slots free", line.free)
	}
	b.hands.settled(flightKey{"q", "long"}, "another")
	if len(b.hands.has) != 1 {
		t.Error("another owner's end took the task off the account")
	}
	b.hands.settled(flightKey{"q", "long"}, "me")
	if len(b.hands.has) != 0 || line.free != 2 {
		t.Errorf("when it is settled: %v, %d slots free", b.hands.has, line.free)
	}
}

// A panic while another one is settled is an error for asynq, which has the task run
// again, and takes nobody else down.
func TestPanicWhileAPanicIsSettled(t *testing.T) {
	t.Parallel()
	_, rdb := redistest.Mini(t)
	raw, err := tasks.Encode(tasks.Task{
		ID: "m1", App: shop, Payload: text("u1"), Priority: tasks.Low, OnUnknown: tasks.Retry, MaxAttempts: 1, MaxAge: time.Hour, EnqueuedAt: time.Now(),
	})
	must(t, err)
	w := &Worker{log: slog.New(slog.DiscardHandler), board: newTestBoard(t, rdb, nil, unlimited(), 1)} // any other use of it panics
	err = w.attempt(context.Background(), asynq.NewTask("message.send", raw))
	if err == nil || !isFailure(err) || retryDelay(0, err, nil) != crashDelay {
		t.Errorf("error %v", err)
	}
}
