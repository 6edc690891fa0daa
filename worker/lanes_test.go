package worker

import (
	"context"
	"encoding/json"
	"errors"
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
	"github.com/imqueue/emq/tasks/redisserver/redistest"
	"github.com/imqueue/emq/worker/easemob/simulator"
)

// scripts notes the scripts that an asynq server runs.
type scripts struct {
	redis.UniversalClient
	mu     sync.Mutex
	calls  []script
	leases []string // "KEY ID" of each that was prolonged
}

func (s *scripts) ZAddXX(ctx context.Context, key string, members ...redis.Z) *redis.IntCmd {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, z := range members {
		s.leases = append(s.leases, fmt.Sprint(key, " ", z.Member))
	}
	return s.UniversalClient.ZAddXX(ctx, key, members...)
}

func (s *scripts) prolonged() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.leases)
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

// run runs a plain asynq server for a while.
func (s *scripts) run(t *testing.T, queues map[string]int, handle func(*asynq.Task) error) {
	t.Helper()
	server := asynq.NewServerFromRedisClient(s, asynq.Config{
		Concurrency: 1, Queues: queues, StrictPriority: true, LogLevel: asynq.FatalLevel,
		TaskCheckInterval: time.Millisecond, DelayedTaskCheckInterval: 10 * time.Millisecond, JanitorInterval: 10 * time.Millisecond,
	})
	must(t, server.Start(asynq.HandlerFunc(func(_ context.Context, task *asynq.Task) error { return handle(task) })))
	time.Sleep(200 * time.Millisecond)
	server.Shutdown()
}

// TestLaneKnowsAsynq pins what lane and front take for granted of asynq. When it
// fails after an upgrade, look at how asynq fetches, ends and sends back tasks, and
// at what it does in the background.
func TestLaneKnowsAsynq(t *testing.T) {
	t.Parallel()
	_, rdb := redistest.Mini(t)
	noted := &scripts{UniversalClient: rdb}
	const first, second = "shop:messages.users:high", "shop:messages.users:low"
	queues := map[string]int{first: 2, second: 1}
	noted.run(t, queues, func(*asynq.Task) error { return nil })

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
			if left := time.Until(time.Unix(until, 0)); len(call.args) != 2 || !isUnix || call.args[1] != tasks.TaskKey(name, "") ||
				left > taskLease || left < taskLease/2 {
				t.Fatalf("arguments of a fetch: %v, want the end of a lease of %v, and the tasks' prefix", call.args, taskLease)
			}
		} else if _, is := backgroundScript(part, len(call.keys)); !is {
			t.Errorf("an idle server runs a script that the lane does not know: %q", call.keys)
		}
		if seen[part] == nil {
			seen[part] = map[string]bool{}
		}
		seen[part][name] = true
	}
	if len(asked) < 4 {
		t.Fatalf("%d fetches, want two rounds of two queues", len(asked))
	}
	for i := 0; i+2 <= len(asked); i += 2 {
		if asked[i] != first {
			t.Errorf("round %d begins with %s, want %s", i/2, asked[i], first)
		}
	}
	for _, part := range []string{keyScheduled, keyRetry, keyCompleted, keyLease, keyGroups} {
		if len(seen[part]) != len(queues) {
			t.Errorf("script on %s: seen for %d of %d queues", part, len(seen[part]), len(queues))
		}
	}

	// One task that is done and one that is sent back.
	client := asynq.NewClientFromRedisClient(rdb)
	for id, fail := range map[string]string{"good": "", "bad": "x"} {
		_, err := client.Enqueue(asynq.NewTask("t", []byte(fail)), asynq.TaskID(id), asynq.Queue(second))
		must(t, err)
	}
	noted = &scripts{UniversalClient: rdb}
	noted.run(t, queues, func(task *asynq.Task) error {
		if len(task.Payload()) > 0 {
			return errors.New("failed")
		}
		return nil
	})
	ended, back := 0, 0
	for _, call := range noted.calls {
		name, part := splitQueueKey(call.keys[0])
		if end, is := endingOf(name, part, call.keys, call.args); is {
			ended++
			if end.queue != second || end.id != "good" || !strings.HasPrefix(end.today, queueKey(second, "processed:")) || end.ever != queueKey(second, "processed") {
				t.Errorf("a task that is done: %+v", end)
			}
		}
		if one, is := wayBackOf(call.keys, call.args); is {
			back++
			if one.queue != second || one.id != "bad" || time.Until(one.due) < time.Second {
				t.Errorf("a task that is sent back: %+v", one)
			}
		}
	}
	if ended != 1 || back != 1 {
		t.Errorf("%d ends and %d ways back seen, want one each", ended, back)
	}

	// One that is still at work when its worker must stop, and whose lease is prolonged.
	_, err := client.Enqueue(asynq.NewTask("t", nil), asynq.TaskID("slow"), asynq.Queue(second))
	must(t, err)
	noted = &scripts{UniversalClient: rdb}
	server := asynq.NewServerFromRedisClient(noted, asynq.Config{
		Concurrency: 1, Queues: queues, LogLevel: asynq.FatalLevel, TaskCheckInterval: time.Millisecond, ShutdownTimeout: time.Millisecond,
	})
	began := make(chan struct{})
	must(t, server.Start(asynq.HandlerFunc(func(ctx context.Context, _ *asynq.Task) error {
		close(began)
		<-ctx.Done()
		return ctx.Err()
	})))
	<-began
	for deadline := time.Now().Add(time.Minute); len(noted.prolonged()) == 0 && time.Now().Before(deadline); {
		time.Sleep(10 * time.Millisecond)
	}
	if got := noted.prolonged(); len(got) == 0 || got[0] != queueKey(second, keyLease)+" slow" {
		t.Errorf("leases prolonged: %q", got)
	}
	server.Shutdown()
	back = 0
	for _, call := range noted.calls {
		if one, is := wayBackOf(call.keys, call.args); is {
			back++
			if one.queue != second || one.id != "slow" || !one.aborted || call.keys[3] != tasks.TaskKey(second, "slow") {
				t.Errorf("a task that is put back: %+v, %q", one, call.keys)
			}
		}
	}
	if back != 1 {
		t.Errorf("%d tasks put back, want one", back)
	}
}

// TestLanes has a worker's lanes run on a Redis where only one queue is in use.
func TestLanes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Config{})
	noted := &scripts{UniversalClient: w.rdb}
	var logs logBuffer
	cfg := w.config()
	cfg.Logger = slog.New(slog.NewTextHandler(&logs, nil))
	worker, err := New(cfg)
	must(t, err)
	plain := worker.servers
	worker.servers = noted
	t.Cleanup(func() { _ = plain.Close() })
	used := usersQueue(tasks.Low)
	must(t, w.rdb.SAdd(context.Background(), registerKey, used).Err())
	ctx, stop := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer stop()
	must(t, worker.Run(ctx))
	parts := map[string]int{}
	for _, call := range noted.calls {
		if name, part := splitQueueKey(call.keys[0]); part != "" {
			parts[part]++
			if name != used {
				t.Errorf("a script on %s, which nobody uses", call.keys[0])
			}
		}
	}
	if len(parts) != 0 {
		t.Errorf("idle lanes run scripts on %v, want none", parts)
	}
	if s := logs.String(); strings.Contains(s, "WARN") || strings.Contains(s, "ERROR") {
		t.Errorf("asynq does not like the answers:\n%s", s)
	}
}

// TestStateIsAsynqs compares what emq leaves of a task, while it is active and once
// it is done, with what asynq would.
func TestStateIsAsynqs(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Config{})
	_, other := redistest.Mini(t)
	ctx := context.Background()
	id := w.enqueue(text("u1"), tasks.WithPriority(tasks.Low))
	queue := usersQueue(tasks.Low)
	info := w.asTask(queue, id)
	_, err := asynq.NewClientFromRedisClient(other).Enqueue(asynq.NewTask(info.Type, info.Payload),
		asynq.TaskID(id), asynq.Queue(queue), asynq.MaxRetry(info.MaxRetry), asynq.Timeout(info.Timeout))
	must(t, err)

	state := func(rdb redis.UniversalClient) map[string]any {
		keys, err := rdb.Keys(ctx, "asynq:{"+queue+"}:*").Result()
		must(t, err)
		all := map[string]any{}
		for _, key := range keys {
			_, part := splitQueueKey(key)
			switch kind := rdb.Type(ctx, key).Val(); kind {
			case "hash":
				fields := rdb.HGetAll(ctx, key).Val()
				maps.DeleteFunc(fields, func(name, _ string) bool { return strings.HasPrefix(name, "emq_") })
				all[part] = fields
			case "list":
				all[part] = rdb.LRange(ctx, key, 0, -1).Val()
			case "zset":
				z := rdb.ZRangeWithScores(ctx, key, 0, -1).Val()
				if left := time.Until(time.Unix(int64(z[0].Score), 0)); len(z) != 1 || left < taskLease/2 || left > taskLease {
					t.Errorf("%s: %v", part, z)
				}
				all[part] = z[0].Member
			default:
				if !strings.HasPrefix(part, "fetched:") && !strings.HasPrefix(part, "pushed:") && part != "news" { // emq's own notes
					all[part] = rdb.Get(ctx, key).Val()
				}
			}
		}
		return all
	}
	var active [2]map[string]any
	w.fault(simulator.Fault{Path: "/messages/*", Latency: 300 * time.Millisecond})
	stop := w.start()
	w.eventually("the call", func() bool { return len(list(t, w.rdb, queue, keyActive)) == 1 })
	active[0] = state(w.rdb)
	w.idle()
	stop()
	(&scripts{UniversalClient: other}).run(t, map[string]int{queue: 1}, func(*asynq.Task) error {
		active[1] = state(other)
		return nil
	})
	equal := func(what string, ours, asynqs map[string]any) {
		t.Helper()
		for part := range maps.Keys(asynqs) {
			if a, b := ours[part], asynqs[part]; !equalJSON(a, b) {
				t.Errorf("%s, %s: %v, asynq has %v", what, part, a, b)
			}
		}
		if len(ours) != len(asynqs) {
			t.Errorf("%s: keys %v, asynq has %v", what, slices.Sorted(maps.Keys(ours)), slices.Sorted(maps.Keys(asynqs)))
		}
	}
	equal("while it is active", active[0], active[1])
	equal("once it is done", state(w.rdb), state(other))
}

// equalJSON compares what Redis holds of two keys.
func equalJSON(a, b any) bool {
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && string(x) == string(y)
}
