package tasks

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"pgregory.net/rapid"

	"github.com/imqueue/emq/tasks/redisserver"
	"github.com/imqueue/emq/tasks/redisserver/redistest"
)

// TestPushStoresWhatAsynqWould compares a list that is queued by one script with
// asynq's own client in a loop.
func TestPushStoresWhatAsynqWould(t *testing.T) {
	t.Parallel()
	ours := redistest.Client(t, redistest.Start(t, redisserver.Options{}))
	plain := redistest.Client(t, redistest.Start(t, redisserver.Options{}))
	list := make([]Task, 250)
	for i := range list {
		list[i] = Task{Payload: text(fmt.Sprint("x", i))}
	}
	receipts, err := newClient(t, ours).EnqueueMany(t.Context(), list)
	if err != nil {
		t.Fatal(err)
	}
	client := asynq.NewClientFromRedisClient(plain)
	for _, r := range receipts {
		if r.Err != nil {
			t.Fatal(r.Err)
		}
		info, _ := queued(t, ours, r.ID)
		if _, err = client.Enqueue(asynq.NewTask(info.Type, info.Payload),
			asynq.TaskID(r.ID), asynq.Queue(r.Queue), asynq.MaxRetry(math.MaxInt32), asynq.Timeout(callTimeout)); err != nil {
			t.Fatal(err)
		}
	}
	want := dump(t, plain)
	want[AppsKey] = []string{"default"}
	must(t, ours.Del(t.Context(), append(ours.Keys(t.Context(), "asynq:*:pushed:*").Val(), newsKey(receipts[0].Queue))...).Err()) // emq's own notes
	equal(t, "everything in Redis", dump(t, ours), want)
}

// TestNews: there is news when a task comes to an empty queue, not again at once, and
// who may not publish queues all the same.
func TestNews(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redisserver.Options{})
	rdb := redistest.Client(t, server)
	c := newClient(t, rdb)
	heard := rdb.Subscribe(t.Context(), NewsChannel(AppDefault))
	t.Cleanup(func() { _ = heard.Close() })
	if _, err := heard.Receive(t.Context()); err != nil {
		t.Fatal(err)
	}
	enqueue := func(c *Client) string {
		t.Helper()
		r, err := c.Enqueue(t.Context(), text("x"))
		if err != nil {
			t.Fatal(err)
		}
		return r.Queue
	}
	queue := enqueue(c)
	enqueue(c) // not empty
	rdb.Del(t.Context(), "asynq:{"+queue+"}:pending")
	enqueue(c) // empty, but there was news just now
	rdb.Del(t.Context(), newsKey(queue))
	enqueue(c) // not empty
	for {
		n, err := rdb.Exists(t.Context(), newsKey(queue)).Result()
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			break
		}
	}
	rdb.Del(t.Context(), "asynq:{"+queue+"}:pending")
	enqueue(c)
	for range 2 {
		m, err := heard.ReceiveMessage(t.Context())
		if err != nil || m.Payload != queue {
			t.Errorf("news %v, %v, want of %s", m, err, queue)
		}
	}
	if m, err := heard.ReceiveTimeout(t.Context(), 50*time.Millisecond); err == nil {
		t.Errorf("more news: %v", m)
	}

	if err := rdb.Do(t.Context(), "ACL", "SETUSER", "mute", "on", ">pw", "~*", "+@all", "resetchannels").Err(); err != nil {
		t.Fatal(err)
	}
	mute, err := OpenRedis(strings.Replace(server.URL(), "redis://", "redis://mute:pw@", 1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = mute.Close() })
	rdb.Del(t.Context(), "asynq:{"+queue+"}:pending", newsKey(queue))
	enqueue(newClient(t, mute))
	if n := rdb.LLen(t.Context(), "asynq:{"+queue+"}:pending").Val(); n != 1 {
		t.Errorf("%d tasks queued by who may not publish", n)
	}
}

func TestPushesAreBounded(t *testing.T) {
	t.Parallel()
	rec := recorded{hash: enqueueHash, keys: []string{"task", "pending"}, args: []any{"task", "id", 1}}
	planned := recorded{hash: "other", keys: []string{"task", "scheduled"}, args: []any{"task", "id", 1}}
	var batch []*enqueueItem
	for i := range 230 {
		item := &enqueueItem{task: Task{ID: fmt.Sprint(i)}, queue: fmt.Sprint("q", i%2), command: rec, payload: make([]byte, 10)}
		switch {
		case i == 7:
			item.done = true
		case i == 8:
			item.command = planned
		case i < 4:
			item.payload = make([]byte, pushBytes)
		}
		batch = append(batch, item)
	}
	var seen []int
	for _, p := range pushes(batch) {
		queues := map[string]bool{}
		for _, i := range p.items {
			queues[batch[i].queue] = true
		}
		if len(p.items) > pushMost || len(queues) != 1 || p.bytes > 2*pushBytes || !slices.IsSorted(p.items) {
			t.Errorf("a push of %d tasks of %d queues, %d bytes", len(p.items), len(queues), p.bytes)
		}
		seen = append(seen, p.items...)
	}
	slices.Sort(seen)
	if len(seen) != 229 || slices.Contains(seen, 7) {
		t.Errorf("%d tasks pushed, want all but the one that is done", len(seen))
	}
}

// stall is a Redis hook that holds pipelines back until it is released, and counts them.
type stall struct {
	release chan struct{}
	n       atomic.Int32
}

func (*stall) DialHook(next redis.DialHook) redis.DialHook          { return next }
func (*stall) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }
func (s *stall) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		s.n.Add(1)
		<-s.release
		return next(ctx, cmds)
	}
}

// TestCallersGoTogether has many goroutines enqueue while Redis does not answer.
func TestCallersGoTogether(t *testing.T) {
	t.Parallel()
	_, rdb := redistest.Mini(t)
	hook := &stall{release: make(chan struct{})}
	rdb.AddHook(hook)
	c := newClient(t, rdb)

	// Some that give up on their way, and one that gives up before.
	first := make(chan error, sendersMax)
	ctx, cancel := context.WithCancel(context.Background())
	for i := range sendersMax {
		go func() {
			r, err := c.Enqueue(ctx, text("x"))
			if r.ID == "" {
				err = errors.New("no ID to repeat it under")
			}
			first <- err
		}()
		for deadline := time.Now().Add(10 * time.Second); hook.n.Load() <= int32(i); time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%d pipelines on their way, want %d", hook.n.Load(), i+1)
			}
		}
	}
	cancel()
	for range sendersMax {
		if err := <-first; !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "may be queued") {
			t.Errorf("given up on the way: %v", err)
		}
	}
	ctx, cancel = context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	if r, err := c.Enqueue(ctx, text("never"), ID("never")); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "not queued") || r.ID != "never" {
		t.Errorf("given up before: %v", err)
	}

	const callers = 300
	var wg sync.WaitGroup
	var dup atomic.Int32
	for i := range callers {
		wg.Go(func() {
			_, err := c.Enqueue(t.Context(), text("x"), ID(fmt.Sprint("t", i/3))) // three for each ID
			if errors.Is(err, ErrDuplicate) {
				dup.Add(1)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
	time.Sleep(100 * time.Millisecond)
	close(hook.release)
	wg.Wait()
	if n := dup.Load(); n != callers*2/3 {
		t.Errorf("%d duplicates of %d, want two of three", n, callers)
	}
	if n, _ := rdb.LLen(t.Context(), "asynq:{default:messages.users:default}:pending").Result(); n != callers/3+sendersMax {
		t.Errorf("%d tasks queued", n)
	}
	if n := hook.n.Load(); n > callers/4 {
		t.Errorf("%d pipelines for %d callers", n, callers)
	}
	if n := rdb.Exists(t.Context(), ClaimKey(AppDefault, "never")).Val(); n != 0 {
		t.Error("what was not queued has claimed its ID")
	}
}

// TestEncodeWritesWhatEncodingJSONWould compares the task written by hand with its
// struct.
func TestEncodeWritesWhatEncodingJSONWould(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		task := Task{
			ID: rapid.String().Draw(t, "id"), App: rapid.String().Draw(t, "app"), Payload: UserDelete{Username: "u1"},
			Priority: Low, OnUnknown: Hold, MaxAttempts: rapid.Int().Draw(t, "attempts"), MaxAge: time.Duration(rapid.Int64().Draw(t, "age")),
			EnqueuedAt: fromUnixMS(rapid.Int64Range(0, 1<<45).Draw(t, "enqueued")), ProcessAt: fromUnixMS(rapid.Int64Range(0, 1).Draw(t, "process")),
			ExpiresAt: fromUnixMS(rapid.Int64Range(0, 1).Draw(t, "expires")), Generation: rapid.IntRange(0, 2).Draw(t, "generation"),
			nonce: rapid.StringN(0, 3, -1).Draw(t, "nonce"), given: rapid.Bool().Draw(t, "given"),
		}
		got, err := Encode(task)
		if err != nil {
			t.Fatal(err)
		}
		payload, _ := encodeJSON(task.Payload)
		want, err := encodeJSON(wire{
			Version: WireVersion, ID: task.ID, App: task.App, Kind: task.Kind(), Payload: payload, Priority: task.Priority,
			EnqueuedMS: unixMS(task.EnqueuedAt), ProcessMS: unixMS(task.ProcessAt), ExpiresMS: unixMS(task.ExpiresAt),
			OnUnknown: task.OnUnknown, MaxAttempts: task.MaxAttempts, MaxAgeMS: task.MaxAge.Milliseconds(),
			Generation: task.Generation, Nonce: task.nonce, Given: task.given,
		})
		if err != nil {
			t.Fatal(err)
		}
		plain := strings.NewReplacer(`\u2028`, "\u2028", `\u2029`, "\u2029", `\u007f`, "\u007f").Replace(string(want))
		if string(got) != plain {
			t.Fatalf("wrote %s\nwant  %s", got, plain)
		}
	})
}

// TestPushIsNotRepeated: a Redis client repeats a push whose answer was lost, when a
// worker may have ended the tasks already.
func TestPushIsNotRepeated(t *testing.T) {
	t.Parallel()
	_, rdb := redistest.Mini(t)
	ctx := t.Context()
	var repeat repeater
	rdb.AddHook(&repeat)
	c, err := NewClient(ClientConfig{Redis: rdb})
	must(t, err)
	_, err = c.Enqueue(ctx, text("warm-up")) // loads the script
	must(t, err)
	repeat.between = func() { // a worker is that quick
		for _, key := range rdb.Keys(ctx, "asynq:*:t:*").Val() {
			rdb.Del(ctx, key)
		}
		rdb.Del(ctx, rdb.Keys(ctx, "asynq:*:pending").Val()...)
	}
	receipts, err := c.EnqueueMany(ctx, []Task{{Payload: text("a")}, {Payload: text("b")}, {Payload: text("c"), ID: "given"}})
	must(t, err)
	for _, r := range receipts {
		must(t, r.Err)
	}
	if !repeat.done {
		t.Fatal("no push was repeated: nothing is shown")
	}
	if left := rdb.Keys(ctx, "asynq:*:t:*").Val(); len(left) != 0 {
		t.Errorf("queued once more: %q", left)
	}
}

// repeater runs the first push after between is set twice.
type repeater struct {
	between func()
	done    bool
}

func (*repeater) DialHook(next redis.DialHook) redis.DialHook          { return next }
func (*repeater) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }
func (r *repeater) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		err := next(ctx, cmds)
		if r.between == nil || r.done || !slices.ContainsFunc(cmds, func(cmd redis.Cmder) bool { return cmd.Name() == "evalsha" && cmd.Args()[1] == pushScript.Hash() }) {
			return err
		}
		r.done = true
		r.between()
		return next(ctx, cmds)
	}
}
