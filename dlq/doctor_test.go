package dlq

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	miniserver "github.com/alicebob/miniredis/v2/server"
	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/imqueue/emq/tasks"
	"github.com/imqueue/emq/tasks/redisserver"
	"github.com/imqueue/emq/tasks/redisserver/redistest"
)

// timely sets the clock of the world to the time of day: Examine compares it with
// others.
func (w *world) timely() *world {
	w.clock.add(time.Since(w.clock.now()))
	return w
}

// findings are what Examine says, as "check app level", and checks of each that it
// says enough.
func (w *world) findings(warn int, apps ...string) (all []string, list []Finding) {
	w.t.Helper()
	list = w.store.Examine(w.ctx, warn, apps...)
	for _, f := range list {
		all = append(all, strings.Join(strings.Fields(f.Check+" "+f.App+" "+string(f.Level)), " "))
		if f.What.En == "" || f.What.Zh == "" || f.Level != LevelOK && (f.Mend.En == "" || f.Mend.Zh == "") ||
			(f.Level == LevelWarn || f.Level == LevelFail) && (f.Cost.En == "" || f.Cost.Zh == "") {
			w.t.Errorf("%s says too little: %+v", f.Check, f)
		}
		if f.Level == LevelOK && (f.Mend.En != "" || f.Cost.En != "") {
			w.t.Errorf("%s is well, and says: %+v", f.Check, f)
		}
	}
	return all, list
}

// finds asserts that Examine says this, and returns the finding.
func (w *world) finds(want string, warn int, apps ...string) Finding {
	w.t.Helper()
	all, list := w.findings(warn, apps...)
	i := slices.Index(all, want)
	if i < 0 {
		w.t.Fatalf("no %q in %q", want, all)
	}
	return list[i]
}

// eventuallyFinds waits until Examine says this.
func (w *world) eventuallyFinds(want string) Finding {
	w.t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		w.timely()
		if all, list := w.findings(-1); slices.Contains(all, want) {
			return list[slices.Index(all, want)]
		}
	}
	return w.finds(want, -1)
}

// TestExamine sees a Redis that is as it should be, and one that is not, on real ones.
func TestExamine(t *testing.T) {
	t.Parallel()
	good := newWorld(t, redistest.Client(t, redistest.Start(t, redisserver.Options{AppendFsync: "always"}))).timely()
	good.die("a", forbidden)
	all, list := good.findings(2)
	want := []string{
		"redis ok", "version ok", "clock ok", "memory ok", "maxmemory-policy ok", "appendonly ok", "appendfsync ok", "aof-write ok", "aof-rewrite ok",
		"snapshot ok", "replication ok", "scripts ok", "queues shop ok", "backlog shop ok", "workers shop ok", "stuck shop ok", "dead-letters shop ok",
	}
	if !slices.Equal(all, want) {
		t.Errorf("got  %q\nwant %q", all, want)
	}
	if got := list[len(list)-1].What.En; got != "dead letters: 1, causes: 1, the oldest from 0s ago" {
		t.Errorf("dead letters: %s", got)
	}
	if keys := good.rdb.Keys(good.ctx, "*doctor*").Val(); len(keys) != 0 {
		t.Errorf("left %q", keys)
	}

	bad := newWorld(t, redistest.Client(t, redistest.Start(t, redisserver.Options{Args: []string{"maxmemory 3mb", "maxmemory-policy allkeys-lru"}}))).timely()
	bad.die("a", forbidden)
	bad.die("b", banned)
	_, err := bad.store.SetHold(bad.ctx, badSecret)
	bad.ok(err)
	all, _ = bad.findings(2)
	for _, want := range []string{"maxmemory-policy fail", "appendonly fail", "dead-letters shop warn", "hold shop fail"} {
		if !slices.Contains(all, want) {
			t.Errorf("no %q in %q", want, all)
		}
	}
	if slices.ContainsFunc(all, func(f string) bool { return strings.HasPrefix(f, "appendfsync") || strings.HasPrefix(f, "aof-") }) {
		t.Errorf("looked at the fsync of a file that is not written: %q", all)
	}
	bad.ok(bad.rdb.ConfigSet(bad.ctx, "maxmemory-policy", "noeviction").Err()) // or the dead letters go, too
	bad.finds("maxmemory-policy ok", -1)
	bad.finds("dead-letters shop ok", -1)
	for _, limit := range []struct {
		share float64
		want  string
	}{{0.9, "memory warn"}, {0.99, "memory fail"}} {
		used := readFacts(bad.ctx, bad.rdb).number("used_memory")
		bad.ok(bad.rdb.ConfigSet(bad.ctx, "maxmemory", strconv.Itoa(int(float64(used)/limit.share))).Err())
		bad.finds(limit.want, -1)
	}
	bad.ok(bad.rdb.ConfigSet(bad.ctx, "maxmemory", "1").Err())
	if f := bad.finds("scripts fail", -1); !strings.Contains(f.What.En, "OOM") {
		t.Errorf("full: %+v", f)
	}
	bad.ok(bad.rdb.ConfigSet(bad.ctx, "maxmemory", "0").Err())
	bad.ok(bad.rdb.ConfigSet(bad.ctx, "appendonly", "yes").Err())
	bad.eventually(func() bool { // or it would not stop
		facts := readFacts(bad.ctx, bad.rdb)
		return facts["aof_rewrite_in_progress"] == "0" && facts["aof_rewrite_scheduled"] == "0"
	})
	for _, c := range [][2]string{{"everysec", "appendfsync warn"}, {"no", "appendfsync fail"}, {"always", "appendfsync ok"}} {
		bad.ok(bad.rdb.ConfigSet(bad.ctx, "appendfsync", c[0]).Err())
		bad.finds(c[1], -1)
	}
	// Managed Redis often refuses CONFIG: INFO tells most of it.
	bad.ok(bad.rdb.Do(bad.ctx, "ACL", "SETUSER", "default", "-config").Err())
	bad.finds("appendfsync unknown", -1)
	bad.finds("appendonly ok", -1)
	bad.finds("maxmemory-policy ok", -1)
	// Or INFO, and with both refused there is little to see.
	bad.ok(bad.rdb.Do(bad.ctx, "ACL", "SETUSER", "default", "+config", "-info").Err())
	for _, want := range []string{"version unknown", "memory unknown", "maxmemory-policy ok", "appendonly ok", "appendfsync ok", "aof-write unknown", "snapshot unknown", "replication unknown"} {
		bad.finds(want, -1)
	}
	bad.ok(bad.rdb.Do(bad.ctx, "ACL", "SETUSER", "default", "-config", "-time", "-eval", "-evalsha").Err())
	if all, _ = bad.findings(-1); !slices.Equal(all[:5], []string{"redis ok", "clock unknown", "info unknown", "scripts fail", "workers unknown"}) {
		t.Errorf("without leave: %q", all)
	}
	bad.ok(bad.rdb.Do(bad.ctx, "ACL", "SETUSER", "default", "-smembers").Err())
	bad.finds("apps unknown", -1)
}

// TestExamineSnapshot sees a snapshot fail, and that a failed one has Redis refuse writes.
func TestExamineSnapshot(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	w := newWorld(t, redistest.Client(t, redistest.Start(t, redisserver.Options{Dir: dir, Args: []string{"save 3600 1", "dbfilename dump.rdb"}}))).timely()
	defer func() { w.ok(w.rdb.ConfigSet(w.ctx, "save", "").Err()) }() // or it would not stop
	w.ok(os.MkdirAll(filepath.Join(dir, "dump.rdb", "in the way"), 0o700))
	w.ok(w.rdb.BgSave(w.ctx).Err())
	w.eventuallyFinds("snapshot fail")
	if f := w.finds("scripts fail", -1); !strings.Contains(f.What.En, "MISCONF") {
		t.Errorf("%+v", f)
	}
}

// TestExamineReplica sees a replica from both of its ends, and its link break.
func TestExamineReplica(t *testing.T) {
	t.Parallel()
	master := redistest.Start(t, redisserver.Options{Args: []string{"repl-diskless-sync-delay 0"}})
	host, port, _ := net.SplitHostPort(master.Addr())
	replica := redistest.Start(t, redisserver.Options{Args: []string{"replicaof " + host + " " + port}})
	m, r := newWorld(t, redistest.Client(t, master)), newWorld(t, redistest.Client(t, replica))
	for end := time.Now().Add(time.Minute); !strings.Contains(r.timely().finds("replication fail", -1).What.En, "its link is up"); {
		if time.Now().After(end) {
			t.Fatal("never linked")
		}
	}
	if f := r.finds("scripts fail", -1); !strings.Contains(f.What.En, "READONLY") {
		t.Errorf("%+v", f)
	}
	if f := m.eventuallyFinds("replication ok"); !strings.Contains(f.What.En, "replicas: 1") {
		t.Errorf("%+v", f)
	}
	if err := master.Kill(); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(time.Minute); !strings.Contains(r.timely().finds("replication fail", -1).What.En, "its link is down"); {
		if time.Now().After(end) {
			t.Fatal("never broke")
		}
	}
	if f := m.finds("redis fail", -1); !strings.Contains(f.What.En, "connection refused") || !strings.Contains(f.Mend.En, "Start Redis") {
		t.Errorf("%+v", f)
	}
}

// TestExamineCluster sees each master of a Cluster by itself.
func TestExamineCluster(t *testing.T) {
	t.Parallel()
	servers := redistest.Cluster(t, 2)
	w := newWorld(t, redistest.ClusterClient(t, servers)).timely()
	one := redis.NewClient(&redis.Options{Addr: servers[1].Addr()})
	defer func() { _ = one.Close() }()
	w.ok(one.ConfigSet(w.ctx, "maxmemory-policy", "allkeys-random").Err())
	w.die("a", forbidden)
	w.finds("scripts ok", -1)
	if f := w.finds("maxmemory-policy fail", -1); !strings.HasPrefix(f.What.En, servers[1].Addr()+": ") {
		t.Errorf("%+v", f)
	}
	if f := w.finds("maxmemory-policy ok", -1); !strings.HasPrefix(f.What.En, servers[0].Addr()+": ") {
		t.Errorf("%+v", f)
	}
}

// TestExamineTold sees what a real Redis can't be brought to say here: the INFO of one
// is told by a Redis in memory, with one line changed.
func TestExamineTold(t *testing.T) {
	t.Parallel()
	known := realWorld(t).timely()
	known.ok(known.rdb.ConfigSet(known.ctx, "appendonly", "yes").Err())
	told := known.rdb.Info(known.ctx).Val()
	mini, rdb := redistest.Mini(t)
	w := newWorld(t, rdb).timely()
	say := told
	mini.Server().SetPreHook(func(peer *miniserver.Peer, cmd string, _ ...string) bool {
		if cmd == "INFO" {
			peer.WriteBulk(say)
		}
		return cmd == "INFO"
	})
	for _, c := range []struct{ name, value, want, says string }{
		{"redis_version", "6.0.16", "version fail", "too old"},
		{"redis_version", "6.2.0", "version ok", "WAITAOF"},
		{"redis_version", "7.2.0", "version ok", "Redis 7.2.0"},
		{"redis_version", "10.0.1", "version ok", "Redis 10.0.1"},
		{"redis_version", "7.2.4\r\nserver_name:valkey\r\nvalkey_version:8.1.0", "version ok", "Valkey 8.1.0"},
		{"redis_version", "unstable", "version unknown", "version"},
		{"aof_last_write_status", "err", "aof-write fail", "is err"},
		{"aof_last_bgrewrite_status", "err", "aof-rewrite warn", "is err"},
		{"rdb_last_bgsave_status", "err", "snapshot fail", "is err"},
		{"aof_enabled", "0", "appendonly fail", "appendonly is no, should be yes"},
		{"maxmemory_policy", "volatile-ttl", "maxmemory-policy fail", "volatile-ttl"},
		{"total_system_memory", "1000000", "memory fail", "no limit set"},
		{"total_system_memory", "0", "memory ok", "no limit set"},
		{"connected_slaves", "1\r\nslave0:ip=10.0.0.2,port=6379,state=online,offset=1,lag=1", "replication ok", "replicas: 1"},
		{"connected_slaves", "1\r\nslave0:ip=10.0.0.2,port=6379,state=online,offset=1,lag=60", "replication warn", "10.0.0.2:6379"},
		{"connected_slaves", "1\r\nslave0:ip=10.0.0.2,port=6379,state=wait_bgsave,offset=1,lag=0", "replication warn", "wait_bgsave"},
	} {
		var lines []string
		for line := range strings.SplitSeq(told, "\r\n") {
			if strings.HasPrefix(line, c.name+":") {
				line = c.name + ":" + c.value
			}
			lines = append(lines, line)
		}
		if say = strings.Join(lines, "\r\n"); say == told {
			t.Fatalf("no line %s", c.name)
		}
		if f := w.finds(c.want, -1); !strings.Contains(f.What.En, c.says) {
			t.Errorf("%s %s: %+v", c.name, c.value, f)
		}
	}
}

// TestExamineClock sees this machine's clock go wrong.
func TestExamineClock(t *testing.T) {
	t.Parallel()
	w := realWorld(t).timely()
	for ahead, want := range map[time.Duration]string{
		0: "clock ok", 15 * time.Second: "clock warn", -15 * time.Second: "clock warn", time.Minute: "clock fail", -time.Minute: "clock fail",
	} {
		w.timely()
		w.clock.add(ahead)
		f := w.finds(want, -1)
		if ahead > 0 && !strings.Contains(f.What.En, " ahead of ") || ahead < 0 && !strings.Contains(f.What.En, " behind ") {
			t.Errorf("%v: %+v", ahead, f)
		}
	}
}

// TestServers pins what is read of asynq's servers: who they are, what they serve, and
// their clocks.
func TestServers(t *testing.T) {
	t.Parallel()
	w := realWorld(t).timely()
	_, err := w.client.Enqueue(w.ctx, message(testApp, "").Payload, tasks.ID("a"))
	w.ok(err)
	if f := w.finds("workers shop fail", -1); !strings.Contains(f.What.En, "tasks that wait: 1") {
		t.Errorf("%+v", f)
	}
	_, err = w.client.Enqueue(w.ctx, message("later", "").Payload, tasks.App("later"), tasks.In(time.Hour))
	w.ok(err)
	w.finds("workers later warn", -1)
	w.finds("workers unused ok", -1, "unused")

	// One that serves the app, and takes nothing.
	queues := map[string]int{}
	for _, name := range tasks.QueueNames(testApp) {
		queues[name] = 1
	}
	w.ok(w.store.Pause(w.ctx, messageQueue, Actor{}))
	srv := asynq.NewServerFromRedisClient(w.rdb, asynq.Config{Queues: queues, LogLevel: asynq.FatalLevel})
	w.ok(srv.Start(asynq.HandlerFunc(func(context.Context, *asynq.Task) error { return errors.New("not now") })))
	defer srv.Shutdown()
	f := w.eventuallyFinds("workers shop ok")
	if host, _ := os.Hostname(); !strings.Contains(f.What.En, fmt.Sprintf("%s:%d", host, os.Getpid())) {
		t.Errorf("%+v", f)
	}
	w.finds("worker-clock ok", -1)
	w.finds("workers later warn", -1)

	// Its clock is seen to be wrong: the score is by its clock.
	before := w.rdb.ZRangeWithScores(w.ctx, serversKey, 0, -1).Val()
	if len(before) != 1 {
		t.Fatalf("servers: %v", before)
	}
	for off, want := range map[float64]string{-12: "worker-clock warn", 12: "worker-clock warn", -60: "worker-clock fail", 60: "worker-clock fail"} {
		w.eventually(func() bool { // its heartbeat may come between
			w.ok(w.rdb.ZAdd(w.ctx, serversKey, redis.Z{Score: float64(time.Now().Unix()+10) + off, Member: before[0].Member}).Err())
			w.ok(w.rdb.Expire(w.ctx, before[0].Member.(string), 10*time.Second).Err())
			all, _ := w.findings(-1)
			return slices.Contains(all, want)
		})
	}
	// One that died left its key to end by itself.
	w.ok(w.rdb.ZAdd(w.ctx, serversKey, redis.Z{Score: float64(time.Now().Unix() + 100), Member: "asynq:servers:{gone:1:x}"}).Err())
	list, err := w.store.servers(w.ctx)
	w.ok(err)
	if len(list) != 1 {
		t.Errorf("servers: %+v", list)
	}
}

// eventually waits until cond holds.
func (w *world) eventually(cond func() bool) {
	w.t.Helper()
	for end := time.Now().Add(time.Minute); !cond(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			w.t.Fatal("never")
		}
	}
}

// TestExamineQueues sees queues that lost their register, tasks that are stuck in each
// way, and a backlog.
func TestExamineQueues(t *testing.T) {
	t.Parallel()
	w := realWorld(t).timely()
	for _, id := range []string{"a", "b", "c"} {
		_, err := w.client.Enqueue(w.ctx, message(testApp, "").Payload, tasks.ID(id))
		w.ok(err)
	}
	for _, want := range []string{"queues shop ok", "backlog shop ok", "stuck shop ok"} {
		w.finds(want, -1)
	}
	w.clock.add(10 * time.Minute)
	if f := w.finds("backlog shop warn", -1); !strings.Contains(f.What.En, "3, the oldest for 10m") {
		t.Errorf("%+v", f)
	}
	w.ok(w.store.Pause(w.ctx, messageQueue, Actor{}))
	if f := w.finds("backlog shop warn", -1); !strings.Contains(f.Mend.En, "emq queue resume "+messageQueue) {
		t.Errorf("%+v", f)
	}
	w.timely()

	// As asynq leaves it when it takes a task, the lease then lost, or ended.
	w.ok(w.rdb.LMove(w.ctx, queueKey(messageQueue, "pending"), queueKey(messageQueue, "active"), "RIGHT", "LEFT").Err())
	if f := w.finds("stuck shop fail", -1); !strings.Contains(f.What.En, "no worker has a lease on: 1 ("+messageQueue+" a)") {
		t.Errorf("%+v", f)
	}
	lease := func(end time.Time) {
		w.ok(w.rdb.ZAdd(w.ctx, queueKey(messageQueue, "lease"), redis.Z{Score: float64(end.Unix()), Member: "a"}).Err())
	}
	lease(time.Now().Add(-time.Minute))
	w.finds("stuck shop ok", -1)
	lease(time.Now().Add(-3 * time.Minute))
	if f := w.finds("stuck shop fail", -1); !strings.Contains(f.What.En, "lease ended more than 2m0s ago: 1 (") {
		t.Errorf("%+v", f)
	}
	lease(time.Now().Add(30 * time.Second))
	w.finds("stuck shop ok", -1)
	w.ok(w.rdb.Del(w.ctx, tasks.TaskKey(messageQueue, "c")).Err())
	if f := w.finds("stuck shop fail", -1); !strings.Contains(f.What.En, "content is gone: 1 ("+messageQueue+" c)") {
		t.Errorf("%+v", f)
	}

	w.ok(w.rdb.Del(w.ctx, registerKey).Err())
	if f := w.finds("queues shop fail", -1); !strings.Contains(f.Mend.En, "SADD asynq:queues "+messageQueue) {
		t.Errorf("%+v", f)
	}
	w.ok(w.rdb.SAdd(w.ctx, registerKey, messageQueue).Err())
	w.ok(w.rdb.Del(w.ctx, tasks.AppsKey).Err())
	if all, _ := w.findings(-1); slices.ContainsFunc(all, func(f string) bool { return strings.Contains(f, testApp) }) {
		t.Errorf("an app that nobody knows: %q", all)
	}
	if f := w.finds("queues shop fail", -1, testApp); !strings.Contains(f.Mend.En, "SADD emq:apps shop") {
		t.Errorf("%+v", f)
	}
}

// TestExamineUnreachable says of each way in which Redis can't be used how to mend it.
func TestExamineUnreachable(t *testing.T) {
	t.Parallel()
	locked := realWorld(t)
	locked.ok(locked.rdb.Do(locked.ctx, "ACL", "SETUSER", "default", "resetpass", ">hunter2").Err())
	addr := locked.rdb.(*redis.Client).Options().Addr
	for password, want := range map[string]string{"": "Give the password", "wrong": "Correct user and password"} {
		rdb := redis.NewClient(&redis.Options{Addr: addr, Password: password, ContextTimeoutEnabled: true})
		w := newWorld(t, rdb)
		if f := w.finds("redis fail", -1); !strings.HasPrefix(f.Mend.En, want) || strings.Contains(fmt.Sprint(f), "hunter2") {
			t.Errorf("%+v", f)
		}
		w.ok(rdb.Close())
	}
	if f := unreachable(errors.New("LOADING Redis is loading the dataset in memory")); !strings.HasPrefix(f.Mend.En, "Wait until") {
		t.Errorf("%+v", f)
	}
	if f := reached(time.Second); f.Level != LevelWarn {
		t.Errorf("slow: %+v", f)
	}
}

// TestTooManyCauses: descriptions that differ each time must not fill Redis with causes.
func TestTooManyCauses(t *testing.T) {
	t.Parallel()
	w := realWorld(t)
	v := forbidden
	for i := range CausesMax + 50 {
		v.Description = lettered(i)
		w.die("t"+lettered(i)[6:], v)
	}
	causes, err := w.store.Causes(w.ctx, Filter{})
	w.ok(err)
	if len(causes) != CausesMax+1 {
		t.Errorf("%d causes, want %d", len(causes), CausesMax+1)
	}
	if c := causes[0]; c.Counts[StateDead] != 50 || c.Description != "" || c.Error != "" {
		t.Errorf("the last ones: %+v", c)
	}
	w.finds("causes shop warn", -1)
	w.checkIndex()
}

// TestExamineMoving: a task that ends while it is looked at is not stuck.
func TestExamineMoving(t *testing.T) {
	t.Parallel()
	w := realWorld(t).timely()
	for _, id := range []string{"a", "b"} {
		_, err := w.client.Enqueue(w.ctx, message(testApp, "").Payload, tasks.ID(id))
		w.ok(err)
	}
	pending, active, lease := queueKey(messageQueue, "pending"), queueKey(messageQueue, "active"), queueKey(messageQueue, "lease")
	w.ok(w.rdb.LMove(w.ctx, pending, active, "RIGHT", "LEFT").Err())
	w.ok(w.rdb.ZAdd(w.ctx, lease, redis.Z{Score: float64(time.Now().Unix() + 30), Member: "a"}).Err())
	rdb := redis.NewClient(&redis.Options{Addr: w.rdb.(*redis.Client).Options().Addr})
	defer func() { _ = rdb.Close() }()
	moved := false
	rdb.AddHook(afterPipeline(func(commands []redis.Cmder) {
		if moved || !slices.ContainsFunc(commands, func(c redis.Cmder) bool { return c.Name() == "lrange" && c.Args()[1] == active }) {
			return
		}
		moved = true
		w.ok(w.rdb.LRem(w.ctx, active, 1, "a").Err())
		w.ok(w.rdb.ZRem(w.ctx, lease, "a").Err())
		w.ok(w.rdb.RPop(w.ctx, pending).Err())
		w.ok(w.rdb.Del(w.ctx, tasks.TaskKey(messageQueue, "a"), tasks.TaskKey(messageQueue, "b")).Err())
	}))
	_, w.store = w.open(rdb)
	w.finds("stuck shop ok", -1)
	if !moved {
		t.Error("nothing moved")
	}
}

// afterPipeline is a hook of a client that is told of each pipeline after it ran.
type afterPipeline func([]redis.Cmder)

func (afterPipeline) DialHook(next redis.DialHook) redis.DialHook          { return next }
func (afterPipeline) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

func (after afterPipeline) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, commands []redis.Cmder) error {
		err := next(ctx, commands)
		after(commands)
		return err
	}
}
