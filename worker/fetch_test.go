package worker

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
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

// countCommands counts the commands that reach Redis, by name.
type countCommands struct {
	mu sync.Mutex
	n  map[string]int
}

func (c *countCommands) DialHook(next redis.DialHook) redis.DialHook { return next }
func (c *countCommands) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		c.add(cmd)
		return next(ctx, cmd)
	}
}

func (c *countCommands) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		c.add(cmds...)
		return next(ctx, cmds)
	}
}

// add also counts scripts by the last part of their first key.
func (c *countCommands) add(cmds ...redis.Cmder) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, cmd := range cmds {
		c.n[cmd.Name()]++
		c.n["all"]++
		if args := cmd.Args(); len(args) > 3 && strings.HasPrefix(cmd.Name(), "eval") {
			if key, ok := args[3].(string); ok {
				if name, part := splitQueueKey(key); part != "" {
					c.n[part]++
					c.n[name+" "+part]++
				}
			}
		}
	}
}

func (c *countCommands) count(name string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n[name]
}

// usersQueue is a queue of messages.users of the default app.
func usersQueue(p tasks.Priority) string {
	return tasks.QueueName(tasks.AppDefault, tasks.EndpointMessagesUsers, p)
}

// order is what the simulator executed, by task ID.
func (w *world) order() (ids []string) {
	for _, e := range w.sim.Executed() {
		ids = append(ids, e.EmqID)
	}
	return ids
}

// limited sets limits for the app of a worker's configuration.
func limited(limits map[tasks.Endpoint]tasks.Limit) func(*Config) {
	return func(c *Config) { c.Apps[0].Limits = limits }
}

// TestClosedEndpointKeepsItsTasks gives an endpoint one call in half an hour.
func TestClosedEndpointKeepsItsTasks(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Config{})
	ctx := context.Background()
	var ids []string
	for i := range 20 {
		ids = append(ids, w.enqueue(text("u1"), tasks.ID(fmt.Sprintf("m%d", i))))
	}
	worker, err := New(func() Config {
		c := w.config()
		limited(map[tasks.Endpoint]tasks.Limit{tasks.EndpointMessagesUsers: limit(t, "1/30m", "")})(&c)
		return c
	}())
	must(t, err)
	counted := &countCommands{n: map[string]int{}}
	worker.servers.AddHook(counted)
	w.run(worker)
	w.eventually("the first call", func() bool { return len(w.order()) == 1 })

	// Another endpoint of the family is not held up, and goes on meanwhile.
	room := tasks.Message{Target: tasks.Rooms, To: []string{"r1"}, From: "admin", Body: tasks.Text{Msg: "hi"}}
	for i := range 30 {
		room.To = []string{fmt.Sprint("r", i)}
		w.enqueue(room, tasks.WithPriority(tasks.Low))
	}
	w.eventually("the other endpoint's calls", func() bool {
		n, err := w.rdb.LLen(ctx, queueKey(tasks.QueueName(tasks.AppDefault, tasks.EndpointMessagesRooms, tasks.Low), keyPending)).Result()
		must(t, err)
		return n == 0
	})
	waiting, err := w.rdb.LRange(ctx, queueKey(usersQueue(tasks.Default), keyPending), 0, -1).Result()
	must(t, err)
	slices.Reverse(waiting) // asynq pops from the right
	if !slices.Equal(waiting, ids[1:]) {
		t.Errorf("waiting: %q, want all but the first in their order", waiting)
	}
	if n := counted.count(usersQueue(tasks.Default) + " " + keyPending); n > 2 { // and once more when Redis does not know the script
		t.Errorf("%d fetches from a closed endpoint's queue", n)
	}
}

// TestPriorityAndTurns starts a worker on a backlog.
func TestPriorityAndTurns(t *testing.T) {
	t.Parallel()
	_, rdb := redistest.Mini(t)
	ctx := context.Background()
	b := newTestBoard(t, rdb, nil)
	names := map[tasks.Endpoint]int{
		tasks.EndpointMessagesUsers: 30, tasks.EndpointMessagesRooms: 30, tasks.EndpointMessagesRecall: 3,
	}
	for e, n := range names {
		for _, p := range []tasks.Priority{tasks.Low, tasks.High} {
			name := tasks.QueueName(shop, e, p)
			must(t, rdb.SAdd(ctx, registerKey, name).Err())
			for range n {
				must(t, rdb.LPush(ctx, queueKey(name, keyPending), "x").Err())
			}
		}
	}
	must(t, b.register(ctx))
	must(t, b.look(ctx))
	var got []string
	for range 2 * (30 + 30 + 3) {
		q := b.next(ctx, shop, tasks.FamilyMessages)
		if q == nil {
			t.Fatalf("nothing to fetch after %d", len(got))
		}
		got = append(got, string(q.priority)+" "+string(q.endpoint))
		b.done(q, nil)
	}
	for i, s := range got {
		if want := i < 63; strings.HasPrefix(s, "high") != want {
			t.Fatalf("fetch %d: %s", i, s)
		}
	}
	turns := map[string]int{}
	for _, s := range got[:9] {
		turns[s]++
	}
	for e := range names {
		if n := turns["high "+string(e)]; n != 3 {
			t.Errorf("the first nine fetches: %v, want three of each endpoint", turns)
		}
	}
}

// unlimited are settings by which no endpoint has a limit.
func unlimited() map[tasks.Endpoint]tasks.Limit {
	limits := map[tasks.Endpoint]tasks.Limit{}
	for _, info := range tasks.Endpoints() {
		limits[info.Endpoint] = tasks.Limit{}
	}
	return limits
}

func newTestBoard(t *testing.T, rdb redis.UniversalClient, ready func(string) time.Duration) *board {
	t.Helper()
	apps := []App{{Alias: shop, Limits: unlimited()}}
	log := slog.New(slog.DiscardHandler)
	return newBoard(rdb, newLimits(rdb, nil, log, apps), ready, log, apps)
}

func TestBoard(t *testing.T) {
	t.Parallel()
	mini, rdb := redistest.Mini(t)
	ctx := context.Background()
	counted := &countCommands{n: map[string]int{}}
	rdb.AddHook(counted)
	var away atomicDuration
	b := newTestBoard(t, rdb, func(string) time.Duration { return away.get() })
	name := tasks.QueueName(shop, tasks.EndpointMessagesUsers, tasks.Low)
	push := func() { must(t, rdb.LPush(ctx, queueKey(name, keyPending), "x").Err()) }
	for _, e := range []tasks.Endpoint{tasks.EndpointMessagesUsers, tasks.EndpointGroupsCreate} {
		for _, p := range tasks.Priorities() {
			must(t, rdb.SAdd(ctx, registerKey, tasks.QueueName(shop, e, p), "other:messages.users:low", "foreign").Err())
		}
	}
	must(t, b.register(ctx))
	if len(b.queues) != 6 || b.registered("foreign") || b.registered("other:messages.users:low") {
		t.Errorf("queues: %v, want the six of the app", slices.Collect(maps.Keys(b.queues)))
	}

	must(t, b.look(ctx)) // connects
	before := counted.count("all")
	for range 100 {
		must(t, b.look(ctx))
	}
	if n := counted.count("all") - before; n != 100 {
		t.Errorf("%d commands for 100 looks at empty queues", n)
	}
	if q, _, _ := b.pick(lineupKey{shop, tasks.FamilyMessages}); q != nil {
		t.Fatalf("picked %v of empty queues", q)
	}

	// One task is offered once, whatever else looks.
	push()
	must(t, b.look(ctx))
	q := b.next(ctx, shop, tasks.FamilyMessages)
	if q == nil || q.name != name {
		t.Fatalf("next: %v", q)
	}
	must(t, b.look(ctx))
	if again, _, _ := b.pick(lineupKey{shop, tasks.FamilyMessages}); again != nil {
		t.Error("one task is fetched twice")
	}
	b.done(q, redis.Nil) // another worker was faster
	// A paused queue costs nothing for a while, and is seen again.
	must(t, rdb.Set(ctx, queueKey(name, keyPaused), "1", 0).Err())
	must(t, b.look(ctx))
	before = counted.count("llen")
	for range 10 {
		must(t, b.look(ctx))
	}
	if n := counted.count("llen") - before; n > 1 {
		t.Errorf("a paused queue is looked at %d times", n)
	}
	must(t, rdb.Del(ctx, queueKey(name, keyPaused)).Err())

	running, stop := context.WithCancel(ctx)
	var loop sync.WaitGroup
	loop.Go(func() { b.run(running) })
	away.set(50 * time.Millisecond) // Easemob is down
	if q := b.next(ctx, shop, tasks.FamilyMessages); q != nil {
		t.Error("a fetch while Easemob is down")
	}
	away.set(0)
	if q = b.next(ctx, shop, tasks.FamilyMessages); q == nil {
		t.Fatal("no fetch after it has come back")
	}
	must(t, rdb.RPop(ctx, queueKey(name, keyPending)).Err())
	b.done(q, nil)

	// What Redis forgets is put back, and what is new is found.
	mini.FlushAll()
	push()
	if q = b.next(ctx, shop, tasks.FamilyMessages); q == nil {
		t.Error("the task of a queue that Redis has forgotten is not fetched")
	}
	for !rdb.SIsMember(ctx, registerKey, name).Val() {
		time.Sleep(time.Millisecond)
	}
	// A wait ends with the worker.
	ended := make(chan *queue)
	go func() { ended <- b.next(ctx, shop, tasks.FamilyGroups) }()
	stop()
	loop.Wait()
	if q := <-ended; q != nil {
		t.Error("a fetch after the end")
	}
}

// TestFetchThatFindsNothing has another worker take all tasks of a queue that
// the board knows to have some, with leave for a single call.
func TestFetchThatFindsNothing(t *testing.T) {
	t.Parallel()
	_, rdb := redistest.Mini(t)
	ctx := context.Background()
	apps := []App{{Alias: shop, Limits: map[tasks.Endpoint]tasks.Limit{tasks.EndpointMessagesUsers: limit(t, "1/30m", "")}}}
	log := slog.New(slog.DiscardHandler)
	b := newBoard(rdb, newLimits(rdb, nil, log, apps), nil, log, apps)
	name := tasks.QueueName(shop, tasks.EndpointMessagesUsers, tasks.Low)
	must(t, rdb.SAdd(ctx, registerKey, name).Err())
	must(t, rdb.LPush(ctx, queueKey(name, keyPending), "x", "y", "z").Err())
	must(t, b.register(ctx))
	must(t, b.look(ctx))
	q := b.next(ctx, shop, tasks.FamilyMessages)
	if q == nil {
		t.Fatal("nothing to fetch")
	}
	must(t, rdb.Del(ctx, queueKey(name, keyPending)).Err())
	b.done(q, redis.Nil)
	if again, _, _ := b.pick(lineupKey{shop, tasks.FamilyMessages}); again != nil {
		t.Error("a queue that was found empty is asked again")
	}
	if !b.limits.take(ctx, shop, tasks.EndpointMessagesUsers, tasks.Low) {
		t.Error("the only leave in half an hour was lost to a fetch that found nothing")
	}
}

type atomicDuration struct {
	mu sync.Mutex
	d  time.Duration
}

func (a *atomicDuration) get() time.Duration { a.mu.Lock(); defer a.mu.Unlock(); return a.d }
func (a *atomicDuration) set(d time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.d = d
}

// scripts notes the scripts that an asynq server runs.
type scripts struct {
	redis.UniversalClient
	mu    sync.Mutex
	calls []script
}

type script struct {
	keys []string
	args []any
}

func (s *scripts) note(keys []string, args []any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, script{slices.Clone(keys), slices.Clone(args)})
}

func (s *scripts) EvalSha(ctx context.Context, hash string, keys []string, args ...any) *redis.Cmd {
	s.note(keys, args)
	return s.UniversalClient.EvalSha(ctx, hash, keys, args...)
}

func (s *scripts) Eval(ctx context.Context, source string, keys []string, args ...any) *redis.Cmd {
	return s.UniversalClient.Eval(ctx, source, keys, args...)
}

// TestLaneKnowsAsynq pins what lane takes for granted of asynq. When it fails
// after an upgrade, look at how asynq fetches, forwards, recovers and cleans up.
func TestLaneKnowsAsynq(t *testing.T) {
	t.Parallel()
	_, rdb := redistest.Mini(t)
	noted := &scripts{UniversalClient: rdb}
	queues, first := laneQueues(shop, tasks.FamilyMessages)
	server := asynq.NewServerFromRedisClient(noted, asynq.Config{
		Concurrency: 1, Queues: queues, StrictPriority: true, LogLevel: asynq.FatalLevel,
		TaskCheckInterval: time.Millisecond, DelayedTaskCheckInterval: 10 * time.Millisecond, JanitorInterval: 10 * time.Millisecond,
	})
	must(t, server.Start(asynq.HandlerFunc(func(context.Context, *asynq.Task) error { return nil })))
	time.Sleep(200 * time.Millisecond)
	server.Shutdown()

	var asked []string
	seen := map[string]map[string]bool{} // part of the first key -> queues
	for _, call := range noted.calls {
		name, part := splitQueueKey(call.keys[0])
		if part == "" {
			continue // the server's own state
		}
		if part == keyPending {
			asked = append(asked, name)
			if want := []string{queueKey(name, keyPending), queueKey(name, keyPaused), queueKey(name, keyActive), queueKey(name, keyLease)}; !slices.Equal(call.keys, want) {
				t.Fatalf("keys of a fetch: %q, want %q", call.keys, want)
			}
			until, isUnix := call.args[0].(int64)
			if left := time.Until(time.Unix(until, 0)); len(call.args) != 2 || !isUnix || call.args[1] != tasks.TaskKey(name, "") || left < 10*fetchMax {
				t.Fatalf("arguments of a fetch: %v, want the lease's end, long after a lane's wait, and the tasks' prefix", call.args)
			}
		} else if _, is := backgroundScript(part, len(call.keys)); !is {
			t.Errorf("an idle server runs a script that the lane does not know: %q", call.keys)
		}
		if seen[part] == nil {
			seen[part] = map[string]bool{}
		}
		seen[part][name] = true
	}
	if len(asked) < 2*len(queues) {
		t.Fatalf("%d queues asked, want two rounds of %d", len(asked), len(queues))
	}
	for i := 0; i+len(queues) <= len(asked); i += len(queues) {
		if asked[i] != first {
			t.Errorf("round %d begins with %s, want %s", i/len(queues), asked[i], first)
		}
	}
	for _, part := range []string{keyScheduled, keyRetry, keyCompleted, keyLease, keyGroups} {
		if len(seen[part]) != len(queues) {
			t.Errorf("script on %s: seen for %d of %d queues", part, len(seen[part]), len(queues))
		}
	}
}

// TestBackgroundScripts has two lanes of a family, of which one works in the
// background, for the queues in use alone.
func TestBackgroundScripts(t *testing.T) {
	t.Parallel()
	_, rdb := redistest.Mini(t)
	ctx := context.Background()
	b := newTestBoard(t, rdb, nil)
	used := tasks.QueueName(shop, tasks.EndpointMessagesUsers, tasks.Low)
	must(t, rdb.SAdd(ctx, registerKey, used).Err())
	must(t, b.register(ctx))
	running, stop := context.WithCancel(ctx)
	var loop sync.WaitGroup
	loop.Go(func() { b.run(running) })
	queues, first := laneQueues(shop, tasks.FamilyMessages)
	var noted [2]*scripts
	var servers []*asynq.Server
	var logs logBuffer
	for i := range noted {
		noted[i] = &scripts{UniversalClient: rdb}
		servers = append(servers, asynq.NewServerFromRedisClient(
			&lane{UniversalClient: noted[i], board: b, app: shop, family: tasks.FamilyMessages, first: first, background: i == 0},
			asynq.Config{
				Concurrency: 1, Queues: queues, StrictPriority: true, LogLevel: asynq.WarnLevel,
				Logger:            asynqLog{slog.New(slog.NewTextHandler(&logs, nil))},
				TaskCheckInterval: time.Millisecond, DelayedTaskCheckInterval: 10 * time.Millisecond, JanitorInterval: 10 * time.Millisecond,
			}))
		must(t, servers[i].Start(asynq.HandlerFunc(func(context.Context, *asynq.Task) error { return nil })))
	}
	time.Sleep(200 * time.Millisecond)
	stop()
	shutdown(servers)
	loop.Wait()
	for i, n := range noted {
		parts := map[string]bool{}
		for _, call := range n.calls {
			if name, part := splitQueueKey(call.keys[0]); part != "" {
				parts[part] = true
				if name != used {
					t.Errorf("lane %d: a script on %s, which nobody uses", i, call.keys[0])
				}
			}
		}
		want := []string{}
		if i == 0 {
			want = []string{keyGroups, keyCompleted, keyLease, keyRetry, keyScheduled}
		}
		if got := slices.Sorted(maps.Keys(parts)); !slices.Equal(got, want) {
			t.Errorf("lane %d: scripts on %q, want %q", i, got, want)
		}
	}
	if s := logs.String(); s != "" {
		t.Errorf("asynq does not like the answers:\n%s", s)
	}
}

// TestFetchWhenRedisForgetsScripts makes Redis answer NOSCRIPT now and then.
func TestFetchWhenRedisForgetsScripts(t *testing.T) {
	t.Parallel()
	w := newWorldOnRedis(t)
	w.start()
	for i := range 60 {
		w.enqueue(text("u1"), tasks.ID(fmt.Sprint("m", i)))
		if i%10 == 0 {
			must(t, w.rdb.ScriptFlush(context.Background()).Err())
		}
	}
	w.idle()
	w.noDeadLetters()
	for i := range 60 {
		if n := w.executed(fmt.Sprint("m", i)); n != 1 {
			t.Errorf("m%d executed %d times", i, n)
		}
	}
}

func newWorldOnRedis(t *testing.T) *world {
	t.Helper()
	server := redistest.Start(t, redisserver.Options{})
	return newWorldOn(t, server.URL(), redistest.Client(t, server), simulator.Config{})
}

// TestFetchOnCluster fetches from queues in several slots.
func TestFetchOnCluster(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redisserver.Options{Args: []string{"cluster-enabled yes", "cluster-require-full-coverage no"}})
	ctx := context.Background()
	must(t, redistest.Client(t, server).Do(ctx, "CLUSTER", "ADDSLOTSRANGE", 0, 16383).Err())
	url := server.URL() + "?cluster=true"
	rdb, err := tasks.OpenRedis(url)
	must(t, err)
	t.Cleanup(func() { _ = rdb.Close() })
	w := newWorldOn(t, url, rdb, simulator.Config{})
	w.eventually("the cluster", func() bool { return strings.Contains(rdb.ClusterInfo(ctx).Val(), "cluster_state:ok") })
	w.start()
	for i := range 30 {
		w.enqueue(text("u1"), tasks.ID(fmt.Sprint("m", i)), tasks.WithPriority(tasks.Priorities()[i%3]))
	}
	w.idle()
	w.noDeadLetters()
	for i := range 30 {
		if n := w.executed(fmt.Sprint("m", i)); n != 1 {
			t.Errorf("m%d executed %d times", i, n)
		}
	}
}

// TestIdleCost shows what an idle worker with all queues in use costs Redis.
func TestIdleCost(t *testing.T) {
	t.Parallel()
	w := newWorldOnRedis(t)
	ctx := context.Background()
	for _, name := range tasks.QueueNames(tasks.AppDefault) {
		must(t, w.rdb.SAdd(ctx, registerKey, name).Err())
	}
	cfg := w.config()
	cfg.Concurrency = ConcurrencyDefault
	worker, err := New(cfg)
	must(t, err)
	counted := &countCommands{n: map[string]int{}}
	worker.servers.AddHook(counted)
	worker.redis.AddHook(counted)
	w.run(worker)
	time.Sleep(500 * time.Millisecond)
	before, began := counted.count("all"), time.Now()
	time.Sleep(2 * time.Second)
	perSecond := float64(counted.count("all")-before) / time.Since(began).Seconds()
	t.Logf("%d queues, %d lanes: %.0f commands a second", len(tasks.QueueNames(tasks.AppDefault)), 4*cfg.Concurrency/perLane, perSecond)
	if n := counted.count(keyPending); n != 0 {
		t.Errorf("%d fetches from empty queues", n)
	}
}
