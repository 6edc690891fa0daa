package dlq

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/imqueue/emq/errclass"
	"github.com/imqueue/emq/tasks"
	"github.com/imqueue/emq/tasks/redisserver"
	"github.com/imqueue/emq/tasks/redisserver/redistest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const testApp = "shop"

// epoch is when the clock of a world starts.
var epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// clock is a time that tests move.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// world is what one test works on.
type world struct {
	t       rapid.TB
	ctx     context.Context
	rdb     redis.UniversalClient
	clock   *clock
	client  *tasks.Client
	store   *Store
	inspect *asynq.Inspector
}

func newWorld(t testing.TB, rdb redis.UniversalClient) *world {
	t.Helper()
	w := &world{t: t, ctx: t.Context(), rdb: rdb, clock: &clock{at: epoch}, inspect: asynq.NewInspectorFromRedisClient(rdb)}
	w.client, w.store = w.open(rdb)
	return w
}

// miniWorld is a world on a Redis in memory.
func miniWorld(t testing.TB) *world {
	t.Helper()
	_, rdb := redistest.Mini(t)
	return newWorld(t, rdb)
}

// realWorld is a world on a Redis server of its own.
func realWorld(t testing.TB) *world {
	t.Helper()
	return newWorld(t, redistest.Client(t, redistest.Start(t, redisserver.Options{})))
}

// open makes a further store of the same world, as another process has one.
func (w *world) open(rdb redis.UniversalClient) (*tasks.Client, *Store) {
	w.t.Helper()
	client, err := tasks.NewClient(tasks.ClientConfig{Redis: rdb, App: testApp})
	w.ok(err)
	store, err := New(Config{Redis: rdb, Client: client, Now: w.clock.now})
	w.ok(err)
	return client, store
}

func (w *world) ok(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// message is a task as a worker has it.
func message(app, id string) tasks.Task {
	return tasks.Task{
		ID: id, App: app, Priority: tasks.Default, OnUnknown: tasks.Retry, MaxAttempts: 20, MaxAge: time.Hour, EnqueuedAt: epoch,
		Payload: tasks.Message{Target: tasks.Users, To: []string{"u1"}, From: "admin", Body: tasks.Text{Msg: "a < b & c"}},
	}
}

var messageQueue = tasks.QueueName(testApp, tasks.EndpointMessagesUsers, tasks.Default)

// verdicts that lead to different causes.
var (
	forbidden = errclass.Verdict{
		Class: errclass.ClassPermanent, Scope: errclass.ScopeJob, Rule: "forbidden", Status: 403, Error: "forbidden_op",
		Description: "users [u1] are not members of this group!",
		Why:         errclass.Text{En: "not a member", Zh: "不是成员"}, Advice: errclass.Text{En: "add it", Zh: "添加"},
	}
	banned = errclass.Verdict{
		Class: errclass.ClassNeedsHuman, Scope: errclass.ScopeJob, Rule: "banned", Status: 401, Error: "unauthorized",
		Description: "user u1 is banned", Why: errclass.Text{En: "banned", Zh: "封禁"}, Advice: errclass.Text{En: "lift the ban", Zh: "解封"},
	}
	overloaded = errclass.Verdict{
		Class: errclass.ClassRetryable, Scope: errclass.ScopeJob, Rule: "server-error", Status: 503, Error: "service_unavailable",
		Description: "try later",
	}
)

func attempts(v errclass.Verdict, at time.Time, n int) []Attempt {
	list := make([]Attempt, n)
	for i := range list {
		list[i] = Attempt{
			Number: i + 1, At: at.Add(time.Duration(i-n) * time.Second), LatencyMS: 12, Status: v.Status, Class: v.Class,
			Rule: v.Rule, Error: v.Error, Description: v.Description, Body: `{"error":"` + v.Error + `"}`, Counted: true, Worker: "w1",
		}
	}
	return list
}

func (w *world) death(t tasks.Task, v errclass.Verdict) Death {
	w.t.Helper()
	return Death{Task: t, Queue: t.Queue(), Reason: ReasonVerdict, Verdict: v, Attempts: attempts(v, w.clock.now(), 2), At: w.clock.now()}
}

// die makes a dead letter of app's task id.
func (w *world) die(id string, v errclass.Verdict) {
	w.t.Helper()
	w.ok(w.store.Put(w.ctx, w.death(message(testApp, id), v)))
}

func (w *world) get(id string) Entry {
	w.t.Helper()
	e, err := w.store.Get(w.ctx, testApp, id)
	w.ok(err)
	return e
}

// queued lists the queue IDs of all tasks that wait in the app's queues.
func (w *world) queued() []string {
	w.t.Helper()
	pipe := w.rdb.Pipeline()
	var lists []*redis.StringSliceCmd
	for _, queue := range tasks.QueueNames(testApp) {
		lists = append(lists, pipe.LRange(w.ctx, queueKey(queue, "pending"), 0, -1))
	}
	_, err := pipe.Exec(w.ctx)
	w.ok(err)
	var ids []string
	for _, list := range lists {
		ids = append(ids, list.Val()...)
	}
	return ids
}

// take removes a task from its queue, as a worker does that ended it, and
// returns the task as the worker decoded it.
func (w *world) take(queueID string) tasks.Task {
	w.t.Helper()
	info, err := w.inspect.GetTaskInfo(messageQueue, queueID)
	w.ok(err)
	t, err := tasks.Decode(info.Payload)
	w.ok(err)
	w.ok(w.inspect.DeleteTask(messageQueue, queueID))
	return t
}

func (w *world) sweep() SweepReport {
	w.t.Helper()
	report, err := w.store.Sweep(w.ctx, []string{testApp})
	w.ok(err)
	return report
}

// checkIndex verifies what every change must keep: an entry is in exactly the
// one set that its state, cause and status name, and in the others only as it should.
func (w *world) checkIndex() {
	w.t.Helper()
	keys := w.keys(tasks.AppKey(testApp, "dls:*"))
	in := map[string][]string{} // ID -> sets
	for _, key := range keys {
		members, err := w.rdb.ZRange(w.ctx, key, 0, -1).Result()
		w.ok(err)
		if key == unconfirmedKey(testApp) {
			continue
		}
		for _, member := range members {
			in[member] = append(in[member], key)
		}
	}
	entries := w.keys(tasks.AppKey(testApp, "dl:*"))
	buckets := map[string][]string{} // ID -> buckets
	for _, key := range w.keys(tasks.AppKey(testApp, "dli:*")) {
		members, err := w.rdb.ZRangeWithScores(w.ctx, key, 0, -1).Result()
		w.ok(err)
		for _, m := range members {
			id := m.Member.(string)
			buckets[id] = append(buckets[id], key)
			if at := w.get(id).LastFailedAt.UnixMilli(); at != int64(m.Score) {
				w.t.Fatalf("%s is in %s at %v, failed last at %v", id, key, m.Score, at)
			}
		}
	}
	if len(entries) != len(in) {
		w.t.Fatalf("%d entries, %d in sets: %v", len(entries), len(in), in)
	}
	causes, err := w.rdb.SMembersMap(w.ctx, causesKey(testApp)).Result()
	w.ok(err)
	var at []position
	for id := range in {
		at = append(at, position{app: testApp, id: id})
	}
	records, errs, err := w.store.loadMany(w.ctx, at)
	w.ok(err)
	counts := map[string]int{} // cause and state -> entries
	for i, r := range records {
		id, sets := at[i].id, in[at[i].id]
		w.ok(errs[i])
		if r == nil {
			w.t.Fatalf("%s is in %v and has no entry", id, sets)
			return
		}
		want := map[string]bool{causeSetKey(testApp, r.state, r.cause, r.status): true}
		if r.state == StateResolved || r.state == StateDiscarded {
			want[endedKey(testApp)] = true
		}
		for _, set := range sets {
			if !want[set] {
				w.t.Fatalf("%s, %s of cause %s, is in %s", id, r.state, r.cause, set)
			}
			delete(want, set)
		}
		if len(want) > 0 {
			w.t.Fatalf("%s, %s of cause %s, is only in %v", id, r.state, r.cause, sets)
		}
		listed := bucketKeys(testApp, r.body.Buckets)
		slices.Sort(listed)
		slices.Sort(buckets[id])
		if !slices.Equal(listed, buckets[id]) {
			w.t.Fatalf("%s is in buckets %v, should be in %v", id, buckets[id], listed)
		}
		counts[r.cause+" "+string(r.state)]++
		if _, known := causes[r.cause]; !known {
			w.t.Fatalf("cause %s of %s is not listed", r.cause, id)
		}
	}
	read, err := w.store.causesOf(w.ctx, testApp, Filter{})
	w.ok(err)
	for _, c := range read {
		for _, state := range States() {
			if c.total[state] != counts[c.ID+" "+string(state)] {
				w.t.Fatalf("cause %s counts %d %s, has %d", c.ID, c.total[state], state, counts[c.ID+" "+string(state)])
			}
		}
	}
}

// flush empties a Redis, and every node of a cluster.
func flush(ctx context.Context, rdb redis.UniversalClient) error {
	if cluster, ok := rdb.(*redis.ClusterClient); ok {
		return cluster.ForEachMaster(ctx, func(ctx context.Context, node *redis.Client) error { return node.FlushDB(ctx).Err() })
	}
	return rdb.FlushDB(ctx).Err()
}

// keys lists keys by pattern, on all nodes of a cluster.
func (w *world) keys(pattern string) []string {
	w.t.Helper()
	cluster, ok := w.rdb.(*redis.ClusterClient)
	if !ok {
		keys, err := w.rdb.Keys(w.ctx, pattern).Result()
		w.ok(err)
		return keys
	}
	var mu sync.Mutex
	var keys []string
	w.ok(cluster.ForEachMaster(w.ctx, func(ctx context.Context, node *redis.Client) error {
		list, err := node.Keys(ctx, pattern).Result()
		mu.Lock()
		defer mu.Unlock()
		keys = append(keys, list...)
		return err
	}))
	return keys
}

// behaviours are tested on a Redis in memory and on a real one.
var behaviours = []struct {
	name  string
	check func(*testing.T, *world)
}{
	{"put", testPut},
	{"put again", testPutAgain},
	{"put a later generation", testPutGeneration},
	{"put what can't be decoded", testPutUndecodable},
	{"put what is left of a task", testPutNarrowed},
	{"attempts left out", testAttemptsLeftOut},
	{"resolve", testResolve},
	{"admit", testAdmit},
	{"find", testFind},
	{"transitions", testTransitions},
	{"resend", testResend},
	{"resend refused", testResendRefused},
	{"resend by many", testResendByMany},
	{"resend with a crash", testResendCrash},
	{"put with a crash", testPutCrash},
	{"change whose answer is lost", testLostAnswer},
	{"pages", testPages},
	{"pages of equal times", testEqualTimes},
	{"pages of several apps", testAppsPages},
	{"pages while entries come and go", testMovingPages},
	{"pages while one entry changes", testListRace},
	{"filters", testFilters},
	{"causes", testCauses},
	{"unreadable entry", testUnreadable},
	{"sweep finds vanished tasks", testVanished},
	{"sweep and the end of a task", testVanishedRace},
	{"sweep takes turns", testVanishedTurns},
	{"purge", testPurge},
	{"adopt", testAdopt},
	{"adopt many", testAdoptMany},
	{"adopt a resend", testAdoptResend},
	{"holds", testHolds},
	{"holds and pauses", testHoldsAndPauses},
	{"holds with a crash", testHoldCrash},
	{"hold set while another is cleared", testHoldRace},
	{"queues", testQueues},
	{"pauses as asynq makes them", testPauseAsAsynq},
	{"queues of another version", testOtherVersion},
	{"round trips", testRoundTrips},
	{"operation", testOperation},
	{"operations of all kinds", testOperationKinds},
	{"operation cancelled", testOperationCancel},
	{"operation with crashes", testOperationCrash},
	{"operation by many", testOperationByMany},
	{"members whose answer is lost", testFreezeAnswerLost},
	{"export and import", testTransfer},
	{"export, correct and import", testTransferCorrected},
	{"storm", testStorm},
	{"audit", testAudit},
	{"pages of the audit", testAuditPages},
	{"limits", testLimits},
	{"unknown answers", testUnknowns},
	{"too many unknown answers", testUnknownsBound},
	{"unknown answers of many workers", testUnknownsByMany},
	{"silences", testSilences},
	{"tallies", testTallies},
}

func TestInMemory(t *testing.T) {
	t.Parallel()
	for _, b := range behaviours {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			b.check(t, miniWorld(t))
		})
	}
}

// TestOnCluster runs everything on a Cluster of three nodes, which refuse commands
// over several slots and scripts that touch keys outside their own.
func TestOnCluster(t *testing.T) {
	t.Parallel()
	servers := redistest.Cluster(t, 3)
	for _, b := range behaviours {
		rdb := redistest.ClusterClient(t, servers)
		if err := flush(t.Context(), rdb); err != nil {
			t.Fatal(err)
		}
		t.Run(b.name, func(t *testing.T) { b.check(t, newWorld(t, rdb)) })
	}
}

func TestOnRedis(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redisserver.Options{Args: []string{fmt.Sprintf("databases %d", len(behaviours))}})
	for i, b := range behaviours {
		rdb := redis.NewClient(&redis.Options{Addr: server.Addr(), DB: i, ContextTimeoutEnabled: true})
		t.Cleanup(func() { _ = rdb.Close() })
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			b.check(t, newWorld(t, rdb))
		})
	}
}
