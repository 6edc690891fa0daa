package worker

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/imqueue/emq/dlq"
	"github.com/imqueue/emq/tasks"
	"github.com/imqueue/emq/tasks/redisserver"
	"github.com/imqueue/emq/tasks/redisserver/redistest"
	"github.com/imqueue/emq/worker/easemob/simulator"
)

// TestRecover has a board find whatever the crash of a worker, or of Redis, can leave.
func TestRecover(t *testing.T) {
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
			b := newTestBoard(t, rdb, nil, unlimited(), 4)
			q := tasks.QueueName(shop, tasks.EndpointMessagesUsers, tasks.Low)
			must(t, rdb.SAdd(ctx, registerKey, q).Err())
			must(t, b.register(ctx))
			active := func(id string, lease time.Duration, fields ...any) {
				t.Helper()
				must(t, rdb.LPush(ctx, queueKey(q, keyActive), id).Err())
				if lease != 0 {
					must(t, rdb.ZAdd(ctx, queueKey(q, keyLease), redis.Z{Score: float64(time.Now().Add(lease).Unix()), Member: id}).Err())
				}
				if len(fields) > 0 {
					must(t, rdb.HSet(ctx, tasks.TaskKey(q, id), fields...).Err())
				}
			}
			field := func(id, name string) string { return rdb.HGet(ctx, tasks.TaskKey(q, id), name).Val() }
			active("alive", 20*time.Second, "msg", "x", "state", "active", "emq_owner", "w-1")
			active("dead", -20*time.Second, "msg", "x", "state", "active", "emq_owner", "w-1")
			active("noLease", 0, "msg", "x", "state", "active", "emq_owner", "w-1")
			active("suspect", -20*time.Second, "msg", "x", "state", "active", "emq_owner", "w-2", "emq_deaths", 1, "emq_begun", "w-2")
			active("beside", -20*time.Second, "msg", "x", "state", "active", "emq_owner", "w-2", "emq_deaths", 1, "emq_begun", "w-1")
			active("gone", -20*time.Second)
			active("phantom", 0, "state", "active")
			push(t, rdb, q, "waits") // a lease was left behind
			must(t, rdb.HSet(ctx, tasks.TaskKey(q, "waits"), "state", "pending").Err())
			must(t, rdb.ZAdd(ctx, queueKey(q, keyLease), redis.Z{Score: 1, Member: "waits"}).Err())

			for range 2 { // the second time there is nothing to do
				must(t, b.recover(ctx))
			}
			waiting := list(t, rdb, q, keyPending)
			slices.Sort(waiting)
			if want := []string{"beside", "dead", "noLease", "suspect", "waits"}; !slices.Equal(waiting, want) {
				t.Errorf("waiting: %q, want %q", waiting, want)
			}
			if got := list(t, rdb, q, keyActive); !slices.Equal(got, []string{"alive"}) {
				t.Errorf("active: %q, want the one that lives", got)
			}
			if got := rdb.ZRange(ctx, queueKey(q, keyLease), 0, -1).Val(); !slices.Equal(got, []string{"alive"}) {
				t.Errorf("leases: %q, want the one that lives", got)
			}
			for id, deaths := range map[string]string{"alive": "", "dead": "1", "noLease": "1", "suspect": "2", "beside": "1", "waits": ""} {
				if got := field(id, "emq_deaths"); got != deaths {
					t.Errorf("%s: %q deaths, want %q", id, got, deaths)
				}
				if got := field(id, "emq_owner"); (got != "") != (id == "alive") {
					t.Errorf("%s: owner %q", id, got)
				}
			}
			if rdb.Exists(ctx, tasks.TaskKey(q, "phantom")).Val() != 0 {
				t.Error("what is left of a task blocks its ID")
			}
		})
	}
}

// TestOwners: a worker that was only slow can change nothing of a task that another one
// has by now, nor can a late copy of its command.
func TestOwners(t *testing.T) {
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
			key, prefix := tasks.TaskKey(q, "a"), tasks.TaskKey(q, "")
			pending, active, lease, retry := queueKey(q, keyPending), queueKey(q, keyActive), queueKey(q, keyLease), queueKey(q, keyRetry)
			counters := []string{"asynq:{" + q + "}:c5", "asynq:{" + q + "}:c6", "asynq:{" + q + "}:c7", "asynq:{" + q + "}:c8"}
			until := time.Now().Add(time.Hour).Unix()
			commands := map[string]func(owner string) *redis.Cmd{
				"done": func(owner string) *redis.Cmd {
					return doneScript.Run(ctx, rdb, []string{active, lease, counters[0], counters[1]}, prefix, until, "a", owner)
				},
				"front": func(owner string) *redis.Cmd {
					return frontScript.Run(ctx, rdb, []string{key, active, lease, pending}, "a", owner, "new", 1)
				},
				"later": func(owner string) *redis.Cmd {
					return laterScript.Run(ctx, rdb, append([]string{key, active, lease, retry}, counters...), "a", owner, "new", "1.5", until, 1)
				},
				"put back": func(owner string) *redis.Cmd {
					return putBackScript.Run(ctx, rdb, []string{pending, active, lease}, prefix, 1, owner, "a")
				},
				"extend": func(owner string) *redis.Cmd {
					return extendScript.Run(ctx, rdb, []string{lease}, prefix, 30, "a", owner)
				},
			}
			state := func() string {
				return fmt.Sprint(rdb.HGetAll(ctx, key).Val(), list(t, rdb, q, keyPending), list(t, rdb, q, keyActive),
					rdb.ZRangeWithScores(ctx, lease, 0, -1).Val(), rdb.ZRange(ctx, retry, 0, -1).Val(), rdb.MGet(ctx, counters...).Val())
			}
			for what, run := range commands {
				must(t, rdb.Del(ctx, append(counters, key, pending, active, lease, retry)...).Err())
				push(t, rdb, q, "a")
				must(t, fetchScript.Run(ctx, rdb, []string{pending, queueKey(q, keyPaused), active, lease, queueKey(q, "fetched:"+what)},
					30, prefix, 1, 1, 600, "mine").Err())
				before := state()
				for _, owner := range []string{"another", ""} {
					if err := run(owner).Err(); err != nil && err != redis.Nil { //nolint:errorlint // as go-redis returns it
						t.Errorf("%s: %v", what, err)
					}
					if after := state(); after != before {
						t.Errorf("%s by %q: %s, was %s", what, owner, after, before)
					}
				}
				_ = run("mine")
				after := state()
				if what != "extend" && after == before {
					t.Errorf("%s by the owner changes nothing", what)
				}
				_ = run("mine") // a late copy
				if again := state(); again != after && what != "extend" {
					t.Errorf("%s once more: %s, was %s", what, again, after)
				}
			}
		})
	}
}

// TestPoison has a message kill each worker that calls it, among many that are well.
func TestPoison(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redisserver.Options{AppendFsync: "always"})
	w := newWorldOn(t, server.URL(), redistest.Client(t, server), simulator.Config{})
	actual, err := url.Parse(w.easemob)
	must(t, err)
	var child atomic.Pointer[os.Process]
	forward := httputil.NewSingleHostReverseProxy(actual)
	forward.ErrorLog = nil
	deadly := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if strings.Contains(string(body), "poison") {
			_ = child.Load().Kill()
			<-r.Context().Done()
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		forward.ServeHTTP(rw, r)
	}))
	defer deadly.Close()
	w.easemob = deadly.URL
	w.fault(simulator.Fault{Path: "/messages/*", Latency: 20 * time.Millisecond})

	const good = 300
	var ids []string
	poison := ""
	for i := range good {
		if i == good/3 {
			poison = w.enqueue(text("poison"))
		}
		ids = append(ids, w.enqueue(text(fmt.Sprintf("u%d", i))))
	}
	died := 0
	for {
		cmd := w.child("")
		child.Store(cmd.Process)
		dead := make(chan error, 1)
		go func() { dead <- cmd.Wait() }()
		killed := false
		w.eventually("death of the worker, or nothing left for it to do", func() bool {
			select {
			case <-dead:
				killed = true
			default:
			}
			return killed || w.waiting() == 0
		})
		if !killed {
			must(t, cmd.Process.Signal(syscall.SIGTERM))
			<-dead
			break
		}
		died++
		w.expireLeases()
	}
	if died != crashLimit {
		t.Errorf("%d workers died, want %d", died, crashLimit)
	}
	entry, err := w.store.Get(context.Background(), tasks.AppDefault, poison)
	must(t, err)
	if entry.Reason != dlq.ReasonCrashLoop || !strings.Contains(entry.Description, "3 workers died") {
		t.Errorf("dead letter: reason %s, %q", entry.Reason, entry.Description)
	}
	again := 0
	for _, id := range ids {
		n := w.executed(id)
		if n == 0 {
			_, err := w.store.Get(context.Background(), tasks.AppDefault, id)
			t.Errorf("%s, which only was beside it, was not delivered (dead letter: %v)", id, err == nil)
		}
		again += n - 1
	}
	t.Logf("%d workers died of one message; %d others delivered, %d of them again", died, good, again)
}

// TestStoppedWorker stops a worker for longer than its leases (SIGSTOP), so that
// another one takes its tasks, and lets it go on: each task is settled once.
func TestStoppedWorker(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redisserver.Options{})
	w := newWorldOn(t, server.URL(), redistest.Client(t, server), simulator.Config{})
	group := w.group("boss")
	w.fault(simulator.Fault{Path: "/*/*/**", Latency: 50 * time.Millisecond})
	var good, bad []string
	for i := range 100 {
		good = append(good, w.enqueue(text(fmt.Sprintf("u%d", i)), tasks.MaxAttempts(1)))
		bad = append(bad, w.enqueue(tasks.GroupAddMembers{GroupID: group, Usernames: []string{fmt.Sprintf("nobody%d", i)}}))
	}
	slow := w.child("")
	w.eventually("some work", func() bool { return len(w.sim.Executed()) > 20 })
	must(t, slow.Process.Signal(syscall.SIGSTOP))
	w.eventually("tasks in the stopped worker", func() bool { return w.active() > 0 })
	held := w.active()
	w.expireLeases()
	w.start()
	w.eventually("the other worker to have all", func() bool { return w.waiting() == 0 })
	must(t, slow.Process.Signal(syscall.SIGCONT))
	for i := range 50 { // more work for both
		good = append(good, w.enqueue(text(fmt.Sprintf("later%d", i)), tasks.MaxAttempts(1)))
	}
	w.idle()
	must(t, slow.Process.Signal(syscall.SIGTERM))
	must(t, slow.Wait())
	again := 0
	for _, id := range good {
		n := w.executed(id)
		again += max(0, n-1)
		if _, err := w.store.Get(context.Background(), tasks.AppDefault, id); n == 0 || err == nil {
			t.Errorf("%s: executed %d times, dead letter: %v", id, n, err == nil)
		}
	}
	if again > held {
		t.Errorf("%d sent again, but the stopped worker held %d", again, held)
	}
	for _, id := range bad {
		entry, err := w.store.Get(context.Background(), tasks.AppDefault, id)
		if err != nil || entry.State != dlq.StateDead || entry.Generation != 0 {
			t.Errorf("%s: %+v, %v", id, entry, err)
		}
	}
	for _, queue := range tasks.QueueNames(tasks.AppDefault) {
		if n := w.rdb.ZCard(context.Background(), queueKey(queue, keyLease)).Val() + w.rdb.LLen(context.Background(), queueKey(queue, keyActive)).Val(); n != 0 {
			t.Errorf("%s: %d active or leased at the end", queue, n)
		}
	}
	t.Logf("%d tasks were in the stopped worker; %d messages sent again", held, again)
}

// TestRecoveryTime measures how long a killed worker's tasks take to run again.
// EMQ_EVIDENCE=1 makes it 20 kills instead of two.
func TestRecoveryTime(t *testing.T) {
	t.Parallel()
	kills := 2
	if os.Getenv("EMQ_EVIDENCE") != "" {
		kills = 20
	}
	took := make(chan time.Duration, kills)
	t.Run("kills", func(t *testing.T) {
		for i := range kills {
			t.Run(fmt.Sprint(i), func(t *testing.T) {
				t.Parallel()
				server := redistest.Start(t, redisserver.Options{})
				w := newWorldOn(t, server.URL(), redistest.Client(t, server), simulator.Config{})
				w.fault(simulator.Fault{Path: "/messages/*", Latency: 4 * time.Second, Times: 2})
				id := w.enqueue(text("u1"))
				child := w.child("")
				w.eventually("the task in the worker", func() bool { return w.active() == 1 })
				time.Sleep(time.Duration(i) * 3500 * time.Millisecond / time.Duration(kills)) // at any moment of the heartbeat
				must(t, child.Process.Kill())
				killed := time.Now()
				_ = child.Wait()
				w.sim.ClearFaults()
				before := w.executed(id)
				w.start()
				for deadline := killed.Add(3 * time.Minute); w.executed(id) == before; time.Sleep(20 * time.Millisecond) {
					if time.Now().After(deadline) {
						t.Fatal("the task does not run again")
					}
				}
				took <- time.Since(killed)
			})
		}
	})
	close(took)
	var all []time.Duration
	for d := range took {
		all = append(all, d)
	}
	slices.Sort(all)
	t.Logf("%d kills: tasks run again after %v (median), %v (worst)", len(all), all[len(all)/2].Round(100*time.Millisecond), all[len(all)-1].Round(100*time.Millisecond))
}
