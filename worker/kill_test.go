package worker

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/imqueue/emq/dlq"
	"github.com/imqueue/emq/tasks"
	"github.com/imqueue/emq/tasks/redisserver"
	"github.com/imqueue/emq/tasks/redisserver/redistest"
	"github.com/imqueue/emq/worker/easemob/simulator"
)

// Variables by which a test starts this binary again as a worker process.
const (
	childEasemob = "EMQ_TEST_CHILD_EASEMOB" // URL of the simulator; set in a child only
	childRedis   = "EMQ_TEST_CHILD_REDIS"
	childKill    = "EMQ_TEST_CHILD_KILL" // a family: the child kills itself before it acknowledges one of its tasks
)

func TestMain(m *testing.M) {
	if url := os.Getenv(childEasemob); url != "" {
		os.Exit(runChild(url))
	}
	goleak.VerifyTestMain(m)
}

// runChild is a worker process, stopped by SIGTERM.
func runChild(easemobURL string) int {
	worker, err := New(Config{
		RedisURL: os.Getenv(childRedis), Concurrency: 16, CallTimeout: 5 * time.Second, DrainTimeout: 10 * time.Second,
		Logger: slog.New(slog.NewTextHandler(os.Stderr, nil)),
		Apps: []App{{
			Alias: tasks.AppDefault, Key: simulator.AppKeyDefault, URL: easemobURL,
			ClientID: simulator.ClientIDDefault, ClientSecret: simulator.ClientSecretDefault,
		}},
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if family := os.Getenv(childKill); family != "" {
		worker.servers.AddHook(killer{family, new(atomic.Int32)})
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if err := worker.Run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// killer is a Redis hook that kills its own process just before the 20th task of a
// family is acknowledged: the call was made, or the dead letter written, and the
// queue does not know it yet.
type killer struct {
	family string
	acks   *atomic.Int32
}

func (killer) DialHook(next redis.DialHook) redis.DialHook          { return next }
func (killer) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

func (k killer) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		for _, cmd := range cmds {
			queue, ids := acknowledged(cmd)
			if !strings.Contains(queue, ":"+k.family+".") {
				continue
			}
			if n := k.acks.Add(int32(len(ids))); n >= 20 {
				_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
				select {}
			}
		}
		return next(ctx, cmds)
	}
}

// acknowledged are the tasks that a command takes out of a queue, if it is the script
// that does: evalsha <hash> 4 <active list> … <prefix> <time>, and the IDs, each with its
// owner.
func acknowledged(cmd redis.Cmder) (queue string, ids []any) {
	const before = 9
	args := cmd.Args()
	if len(args) <= before || !strings.HasPrefix(cmd.Name(), "eval") || args[2] != 4 {
		return "", nil
	}
	key, _ := args[3].(string)
	queue, part := splitQueueKey(key)
	if part != keyActive {
		return "", nil
	}
	for i := before; i < len(args); i += 2 { // each with its owner
		ids = append(ids, args[i])
	}
	return queue, ids
}

// child starts a worker process. kill names the family that brings it down.
func (w *world) child(kill tasks.Family) *exec.Cmd {
	w.t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), childEasemob+"="+w.easemob, childRedis+"="+w.url, childKill+"="+string(kill))
	cmd.Stderr = w.logs
	must(w.t, cmd.Start())
	w.t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	return cmd
}

// expireLeases makes the leases of dead workers look two minutes old, so that
// the test need not wait for asynq to notice.
func (w *world) expireLeases() {
	w.t.Helper()
	ctx := context.Background()
	for _, queue := range tasks.QueueNames(tasks.AppDefault) {
		key := "asynq:{" + queue + "}:lease"
		ids, err := w.rdb.ZRange(ctx, key, 0, -1).Result()
		must(w.t, err)
		for _, id := range ids {
			must(w.t, w.rdb.ZAdd(ctx, key, redis.Z{Score: float64(time.Now().Add(-2 * time.Minute).Unix()), Member: id}).Err())
		}
	}
}

func TestKilledWorkersLoseNothing(t *testing.T) {
	server := redistest.Start(t, redisserver.Options{AppendFsync: "always"})
	w := newWorldOn(t, server.URL(), redistest.Client(t, server), simulator.Config{})
	group := w.group("boss")

	const good, bad, kills = 400, 200, 8
	var delivered, buried []string
	for i := range good {
		var opts []tasks.Option
		if i%2 == 0 { // a given ID is known as delivered even if its worker dies before the queue knows
			opts = append(opts, tasks.ID(fmt.Sprintf("good-%d", i)))
		}
		delivered = append(delivered, w.enqueue(text(fmt.Sprintf("u%d", i)), opts...))
	}
	for i := range bad {
		buried = append(buried, w.enqueue(tasks.GroupAddMembers{GroupID: group, Usernames: []string{fmt.Sprintf("nobody%d", i)}},
			tasks.ID(fmt.Sprintf("bad-%d", i))))
	}

	suicides := 0
	for i := range kills {
		family := tasks.FamilyMessages // between the call and its acknowledgement
		if i%2 == 1 {
			family = tasks.FamilyGroups // between dead letter and revoke
		}
		child := w.child(family)
		dead := make(chan error, 1)
		go func() { dead <- child.Wait() }()
		w.eventually("death of the worker, or nothing left for it to do", func() bool {
			select {
			case <-dead:
				return true
			default:
				return w.waiting() == 0
			}
		})
		if child.ProcessState == nil {
			_ = child.Process.Kill()
			<-dead
		} else {
			suicides++
		}
		w.expireLeases()
	}
	child := w.child("")
	w.idle()
	must(t, child.Process.Signal(syscall.SIGTERM))
	_ = child.Wait()

	if suicides < kills/2 {
		t.Errorf("only %d of %d workers died in the middle of their work: the test shows nothing", suicides, kills)
	}
	repeated, crashLoops := 0, 0
	for _, id := range delivered {
		entry, err := w.store.Get(context.Background(), tasks.AppDefault, id)
		switch n := w.executed(id); {
		case n >= 1:
			repeated += n - 1
		case err == nil && entry.Reason == dlq.ReasonCrashLoop:
			crashLoops++
		default:
			t.Errorf("%s is lost: never executed, no dead letter (%v)", id, err)
		}
	}
	for _, id := range buried {
		if entry, err := w.store.Get(context.Background(), tasks.AppDefault, id); err != nil || entry.State != dlq.StateDead {
			t.Errorf("%s is lost: no dead letter (%v)", id, err)
		}
	}
	t.Logf("%d messages, %d calls that can't succeed, %d kills: 0 lost, %d sent again, %d dead-lettered as crash-loop",
		good, bad, suicides, repeated, crashLoops)
}

func TestSIGTERMUnderLoadSpendsNoAttempt(t *testing.T) {
	server := redistest.Start(t, redisserver.Options{})
	w := newWorldOn(t, server.URL(), redistest.Client(t, server), simulator.Config{})
	w.fault(simulator.Fault{Path: "/messages/*", Latency: 30 * time.Millisecond})
	var ids []string
	for range 400 {
		ids = append(ids, w.enqueue(text("u1"), tasks.MaxAttempts(1)))
	}
	for range 3 {
		before := len(w.sim.Executed())
		child := w.child("")
		w.eventually("some work", func() bool { return len(w.sim.Executed()) > before+20 })
		must(t, child.Process.Signal(syscall.SIGTERM))
		if err := child.Wait(); err != nil {
			t.Fatalf("worker after SIGTERM: %v\n%s", err, w.logs)
		}
		if n := w.active(); n != 0 {
			t.Errorf("%d tasks still active after the worker has stopped", n)
		}
	}
	w.sim.ClearFaults()
	w.start()
	w.idle()
	w.noDeadLetters() // one spent attempt would have made one
	for _, id := range ids {
		if n := w.executed(id); n != 1 {
			t.Errorf("%s executed %d times, want once", id, n)
		}
	}
}
