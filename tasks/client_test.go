package tasks

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/imqueue/emq/tasks/redisserver"
	"github.com/imqueue/emq/tasks/redisserver/redistest"
)

func TestNewClientRefuses(t *testing.T) {
	t.Parallel()
	_, rdb := redistest.Mini(t)
	for field, cfg := range map[string]ClientConfig{
		"ClientConfig.Redis":   {},
		"app":                  {Redis: rdb, App: "A"},
		"ClientConfig.Timeout": {Redis: rdb, Timeout: -time.Second},
	} {
		_, err := NewClient(cfg)
		if fe, ok := errors.AsType[*FieldError](err); !ok || fe.Field != field {
			t.Errorf("error %v, want one of %s", err, field)
		}
	}
}

// TestEnqueue holds, for each kind, what asynq then has.
func TestEnqueue(t *testing.T) {
	t.Parallel()
	forEachRedis(t, func(t *testing.T, rdb redis.UniversalClient) {
		c, err := NewClient(ClientConfig{Redis: rdb, App: "shop"})
		if err != nil {
			t.Fatal(err)
		}
		for kind, payload := range samples() {
			before := ms(time.Now())
			receipt, err := c.Enqueue(t.Context(), payload)
			if err != nil {
				t.Fatalf("%s: %v", kind, err)
			}
			info, task := queued(t, rdb, receipt.ID)
			if info.Type != string(kind) || info.MaxRetry != math.MaxInt32 || info.State != asynq.TaskStatePending ||
				info.Queue != receipt.Queue || info.ID != receipt.ID || info.Timeout != callTimeout || info.Retention != 0 {
				t.Errorf("%s: asynq has %+v", kind, info)
			}
			if len(receipt.ID) != generatedIDBytes || receipt.App != "shop" || receipt.Err != nil || receipt.Queue != task.Queue() {
				t.Errorf("%s: receipt %+v", kind, receipt)
			}
			if task.EnqueuedAt.Before(before) || task.IDGiven() || task.nonce == "" {
				t.Errorf("%s: task %+v", kind, task)
			}
			want := Task{
				ID: receipt.ID, App: "shop", Payload: payload, Priority: Default, OnUnknown: Retry,
				MaxAttempts: MaxAttemptsDefault, MaxAge: MaxAgeDefault, EnqueuedAt: task.EnqueuedAt, nonce: task.nonce,
			}
			equal(t, string(kind), task, want)
		}
	})
}

func TestEnqueueOptions(t *testing.T) {
	t.Parallel()
	_, rdb := redistest.Mini(t)
	due, expires := time.Now().Add(time.Hour), time.Now().Add(2*time.Hour)
	receipt, err := newClient(t, rdb).Enqueue(t.Context(), text("x"), ID("a"), App("other"), At(due), ExpiresAt(expires),
		WithPriority(High), OnUnknownOutcome(Hold), MaxAttempts(3), MaxAge(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "receipt", receipt, Receipt{ID: "a", App: "other", Queue: "other:messages.users:high"})
	_, task := queued(t, rdb, "a")
	equal(t, "task", task, Task{
		ID: "a", App: "other", Payload: text("x"), Priority: High, ProcessAt: ms(due), ExpiresAt: ms(expires), OnUnknown: Hold,
		MaxAttempts: 3, MaxAge: time.Minute, EnqueuedAt: task.EnqueuedAt, nonce: task.nonce, given: true,
	})
	for name, option := range map[string]Option{
		"max_attempts": MaxAttempts(0), "max_age": MaxAge(0), "id": ID("?"), "app": App("?"),
		"priority": WithPriority("?"), "on_unknown": OnUnknownOutcome("?"), "expires_at": ExpiresAt(time.Now()),
		"process_at": In(366 * 24 * time.Hour),
	} {
		_, err := newClient(t, rdb).Enqueue(t.Context(), text("x"), option)
		if fe, ok := errors.AsType[*FieldError](err); !ok || fe.Field != name {
			t.Errorf("%s: error %v", name, err)
		}
	}
	// What the option leaves zero is a default, not a bad value.
	if _, err := newClient(t, rdb).Enqueue(t.Context(), text("x"), ID(""), App(""), WithPriority("")); err != nil {
		t.Error(err)
	}
}

// TestPlannedTaskIsNeverEarly holds the rounding to asynq's whole seconds.
func TestPlannedTaskIsNeverEarly(t *testing.T) {
	t.Parallel()
	forEachRedis(t, func(t *testing.T, rdb redis.UniversalClient) {
		c := newClient(t, rdb)
		base := time.Now().Truncate(time.Second).Add(time.Hour)
		for _, off := range []time.Duration{0, 1, time.Millisecond, 500 * time.Millisecond, time.Second - 1} {
			due := base.Add(off)
			receipt, err := c.Enqueue(t.Context(), text("x"), At(due))
			if err != nil {
				t.Fatal(err)
			}
			info, _ := queued(t, rdb, receipt.ID)
			if info.State != asynq.TaskStateScheduled || info.NextProcessAt.Before(due) || info.NextProcessAt.Sub(due) >= time.Second {
				t.Errorf("due %v: %v at %v", due, info.State, info.NextProcessAt)
			}
		}
		receipt, err := c.Enqueue(t.Context(), text("x"), In(-time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		if info, _ := queued(t, rdb, receipt.ID); info.State != asynq.TaskStatePending {
			t.Errorf("due in the past: %v, want pending", info.State)
		}
	})
}

func TestEnqueueManyKeepsOrderAndFindsDuplicates(t *testing.T) {
	t.Parallel()
	test := func(t *testing.T, rdb redis.UniversalClient, total, distinct int) {
		list := make([]Task, total)
		for i := range list {
			list[i] = Task{ID: fmt.Sprintf("t%d", i%distinct), Payload: text(fmt.Sprint(i))}
			if i%2 == 1 {
				list[i].Priority = Low // a second one of another priority is a duplicate as well
			}
		}
		receipts, err := newClient(t, rdb).EnqueueMany(t.Context(), list)
		if err != nil {
			t.Fatal(err)
		}
		if len(receipts) != total {
			t.Fatalf("%d receipts", len(receipts))
		}
		for i, r := range receipts {
			if r.ID != list[i].ID {
				t.Fatalf("receipt %d is of %s", i, r.ID)
			}
			if i < distinct && r.Err != nil || i >= distinct && !errors.Is(r.Err, ErrDuplicate) {
				t.Fatalf("receipt %d: %v", i, r.Err)
			}
		}
		if n := len(taskKeys(t, rdb, "*")); n != distinct {
			t.Errorf("%d tasks in Redis, want %d", n, distinct)
		}
		for _, i := range []int{0, total - distinct - 1, total - distinct, distinct - 1} {
			if _, task := queued(t, rdb, list[i].ID); task.Payload.(Message).Body != (Text{Msg: fmt.Sprint(i)}) {
				t.Errorf("task %d carries %v", i, task.Payload)
			}
		}
		// A whole list again, after a failure that may have been none.
		receipts, err = newClient(t, rdb).EnqueueMany(t.Context(), list[:distinct])
		if err != nil {
			t.Fatal(err)
		}
		for i, r := range receipts {
			if !errors.Is(r.Err, ErrDuplicate) {
				t.Fatalf("second time, receipt %d: %v", i, r.Err)
			}
		}
	}
	t.Run("miniredis", func(t *testing.T) { // slow at scripts
		t.Parallel()
		_, rdb := redistest.Mini(t)
		test(t, rdb, 600, 400)
	})
	t.Run("redis", func(t *testing.T) {
		t.Parallel()
		test(t, redistest.Client(t, redistest.Start(t, redisserver.Options{})), 2000, 1300)
	})
}

func TestEnqueueManyIsAllOrNothingAboutBadTasks(t *testing.T) {
	t.Parallel()
	_, rdb := redistest.Mini(t)
	c := newClient(t, rdb)
	list := []Task{{Payload: text("x")}, {ID: "a", Payload: text("x")}, {ID: "b", Payload: text("")}}
	for want, list := range map[int][]Task{2: list, 0: list[2:]} {
		receipts, err := c.EnqueueMany(t.Context(), list)
		te, ok := errors.AsType[*TaskError](err)
		if !ok || te.Index != want || receipts != nil {
			t.Fatalf("receipts %v, error %v", receipts, err)
		}
		if fe, ok := errors.AsType[*FieldError](err); !ok || fe.Field != "payload.body.msg" {
			t.Errorf("reason %v", te.Err)
		}
	}
	if keys := rdb.Keys(t.Context(), "*").Val(); len(keys) != 0 {
		t.Errorf("queued all the same: %v", keys)
	}
	if receipts, err := c.EnqueueMany(t.Context(), nil); err != nil || len(receipts) != 0 {
		t.Errorf("nothing to do: %v, %v", receipts, err)
	}
	// A single call has no index to name.
	if _, err := c.Enqueue(t.Context(), text("")); err == nil || strings.Contains(err.Error(), "task 0") {
		t.Errorf("error %v", err)
	}
}

// TestEnqueueManyIgnoresWhatOnlyEmqSets holds that a task which was decoded,
// changed and enqueued again is a new one.
func TestEnqueueManyIgnoresWhatOnlyEmqSets(t *testing.T) {
	t.Parallel()
	_, rdb := redistest.Mini(t)
	task := goldenTask(text("x"))
	task.ProcessAt, task.ExpiresAt = time.Time{}, time.Time{}
	receipts, err := newClient(t, rdb).EnqueueMany(t.Context(), []Task{task})
	if err != nil || receipts[0].Err != nil {
		t.Fatal(err, receipts)
	}
	_, got := queued(t, rdb, task.ID)
	if got.Generation != 0 || got.nonce == task.nonce || got.EnqueuedAt.Equal(task.EnqueuedAt) {
		t.Errorf("queued %+v", got)
	}
}

func TestScriptsComeBackAfterFlush(t *testing.T) {
	t.Parallel()
	forEachRedis(t, func(t *testing.T, rdb redis.UniversalClient) {
		c := newClient(t, rdb)
		for round := range 3 {
			if err := rdb.ScriptFlush(t.Context()).Err(); err != nil {
				t.Fatal(err)
			}
			if _, err := c.Enqueue(t.Context(), text("x"), ID(fmt.Sprintf("now%d", round))); err != nil {
				t.Fatal(err)
			}
			if err := rdb.ScriptFlush(t.Context()).Err(); err != nil {
				t.Fatal(err)
			}
			list := make([]Task, 20)
			for i := range list {
				list[i] = Task{ID: fmt.Sprintf("r%d-%d", round, i), Payload: text("x")}
				if i%2 == 1 {
					list[i].ProcessAt = time.Now().Add(time.Hour)
				}
			}
			receipts, err := c.EnqueueMany(t.Context(), list)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range receipts {
				if r.Err != nil {
					t.Fatal(r.Err)
				}
			}
		}
		if n := len(taskKeys(t, rdb, "*")); n != 3*21 {
			t.Errorf("%d tasks, want %d", n, 3*21)
		}
	})
}

// outdate makes a client write its queues' names again.
func outdate(c *Client) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for queue := range c.registered {
		c.registered[queue] = time.Now().Add(-registerEvery)
	}
}

func TestRegisterComesBack(t *testing.T) {
	t.Parallel()
	forEachRedis(t, func(t *testing.T, rdb redis.UniversalClient) {
		c := newClient(t, rdb)
		registered := func() bool {
			return rdb.SIsMember(t.Context(), queuesKey, "default:messages.users:default").Val() && rdb.SIsMember(t.Context(), AppsKey, "default").Val()
		}
		enqueue := func() {
			t.Helper()
			if _, err := c.Enqueue(t.Context(), text("x")); err != nil {
				t.Fatal(err)
			}
		}
		enqueue()
		if !registered() {
			t.Fatal("not registered")
		}
		if err := rdb.FlushAll(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		outdate(c)
		enqueue()
		if !registered() {
			t.Error("a register that was lost did not come back")
		}
		// A name that could not be written is written by the next enqueue.
		if err := rdb.Del(t.Context(), queuesKey, AppsKey).Err(); err != nil {
			t.Fatal(err)
		}
		if err := rdb.Set(t.Context(), AppsKey, "in the way", 0).Err(); err != nil {
			t.Fatal(err)
		}
		outdate(c)
		enqueue()
		if err := rdb.Del(t.Context(), queuesKey, AppsKey).Err(); err != nil {
			t.Fatal(err)
		}
		enqueue()
		if !registered() {
			t.Error("the client took a failed registration for done")
		}
	})
}

func TestRequeue(t *testing.T) {
	t.Parallel()
	forEachRedis(t, func(t *testing.T, rdb redis.UniversalClient) {
		c := newClient(t, rdb)
		now := time.Now()
		first := goldenTask(text("x"))
		first.Generation = 0
		first.ExpiresAt = now.Add(time.Hour).Truncate(time.Millisecond).UTC()
		// Its own dead letter and its own claim don't stand in the way.
		rdb.HSet(t.Context(), EntryKey(first.App, first.ID), "state", "resending")
		rdb.Set(t.Context(), ClaimKey(first.App, first.ID), "x "+first.Queue(), 0)
		for range 3 {
			if err := c.Requeue(t.Context(), first, 1); err != nil {
				t.Fatal(err)
			}
		}
		info, got := queued(t, rdb, first.ID+"~1")
		if info.State != asynq.TaskStatePending || info.Queue != first.Queue() {
			t.Errorf("asynq has %+v", info)
		}
		if got.EnqueuedAt.Before(ms(now)) {
			t.Errorf("enqueued at %v: the age limit must begin again", got.EnqueuedAt)
		}
		want := first
		want.Generation, want.ProcessAt, want.EnqueuedAt = 1, time.Time{}, got.EnqueuedAt
		equal(t, "task", got, want)

		expired := got
		expired.ExpiresAt = now.Add(-time.Hour)
		if err := c.Requeue(t.Context(), expired, 2); err != nil {
			t.Fatal(err)
		}
		if _, got := queued(t, rdb, first.ID+"~2"); !got.ExpiresAt.IsZero() || got.Generation != 2 {
			t.Errorf("queued %+v: who resends an expired task wants it made", got)
		}
		if n := len(taskKeys(t, rdb, "*")); n != 2 {
			t.Errorf("%d tasks, want 2", n)
		}

		for field, bad := range map[string]struct {
			change     func(*Task)
			generation int
		}{
			"generation":       {func(*Task) {}, 0},
			"id":               {func(t *Task) { t.ID = "" }, 1},
			"payload.body.msg": {func(t *Task) { t.Payload = text("") }, 1},
		} {
			task := first
			bad.change(&task)
			err := c.Requeue(t.Context(), task, bad.generation)
			if fe, ok := errors.AsType[*FieldError](err); !ok || fe.Field != field {
				t.Errorf("%s: error %v", field, err)
			}
		}
	})
}

func TestConcurrentClientsKeepIDsApart(t *testing.T) {
	t.Parallel()
	forEachRedis(t, func(t *testing.T, rdb redis.UniversalClient) {
		payloads := []Payload{text("x"), GroupCreate{Owner: "u"}, RawCall{Method: "GET", Path: "/chatrooms"}}
		clients := []*Client{newClient(t, rdb), newClient(t, rdb), newClient(t, rdb)}
		for round := range 5 {
			id := fmt.Sprintf("same%d", round)
			errs := make([]error, 64)
			start := make(chan struct{})
			var wg sync.WaitGroup
			for i := range errs {
				wg.Go(func() {
					<-start
					_, errs[i] = clients[i%3].Enqueue(context.Background(), payloads[i%3], ID(id), WithPriority(Priorities()[i/3%3]))
				})
			}
			close(start)
			wg.Wait()
			won := 0
			for _, err := range errs {
				switch {
				case err == nil:
					won++
				case !errors.Is(err, ErrDuplicate):
					t.Error(err)
				}
			}
			if won != 1 {
				t.Errorf("%d enqueues won, want 1", won)
			}
			queued(t, rdb, id)
		}
	})
}

func TestEnqueueWithoutRedisReturnsAnError(t *testing.T) {
	t.Parallel()
	check := func(t *testing.T, c *Client, ctx context.Context) {
		t.Helper()
		for _, opts := range [][]Option{nil, {ID("a")}} {
			_, err := c.Enqueue(ctx, text(secretText), opts...)
			if err == nil || errors.Is(err, ErrDuplicate) {
				t.Errorf("error %v, want a failure of Redis", err)
			} else if strings.Contains(err.Error(), secretText) {
				t.Errorf("error shows the message: %v", err)
			}
		}
		receipts, err := c.EnqueueMany(ctx, []Task{{Payload: text("x")}, {ID: "b", Payload: text("x")}})
		if err != nil || len(receipts) != 2 || receipts[0].Err == nil || receipts[1].Err == nil {
			t.Errorf("receipts %+v, %v: each wants its error", receipts, err)
		}
	}
	client := func(t *testing.T, addr string) *Client {
		t.Helper()
		rdb, err := OpenRedis("redis://" + addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = rdb.Close() })
		c, err := NewClient(ClientConfig{Redis: rdb, Timeout: 100 * time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	t.Run("cancelled", func(t *testing.T) {
		t.Parallel()
		m, _ := redistest.Mini(t)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		check(t, client(t, m.Addr()), ctx)
	})
	t.Run("gone", func(t *testing.T) {
		t.Parallel()
		s := redistest.Start(t, redisserver.Options{})
		c := client(t, s.Addr())
		if _, err := c.Enqueue(t.Context(), text("x")); err != nil {
			t.Fatal(err)
		}
		if err := s.Kill(); err != nil {
			t.Fatal(err)
		}
		check(t, c, context.Background())
		if err := s.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Enqueue(t.Context(), text("x"), ID("a")); err != nil {
			t.Errorf("after Redis came back: %v", err)
		}
	})
	t.Run("silent", func(t *testing.T) {
		t.Parallel()
		l, err := net.Listen("tcp", "127.0.0.1:0") // takes connections and never answers
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = l.Close() }()
		c := client(t, l.Addr().String())
		check(t, c, context.Background())
		// The client's own bound ends it, not go-redis'.
		if _, err := c.Enqueue(context.Background(), text("x")); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v, want DeadlineExceeded", err)
		}
	})
	t.Run("refuses writes", func(t *testing.T) {
		t.Parallel()
		s := redistest.Start(t, redisserver.Options{Args: []string{"maxmemory 1"}})
		check(t, client(t, s.Addr()), context.Background())
	})
}

func TestRequeueNeverSplits(t *testing.T) {
	t.Parallel()
	_, rdb := redistest.Mini(t)
	c := newClient(t, rdb)
	err := c.Requeue(t.Context(), Task{ID: "list", Payload: memberList(61)}, 1)
	if fe, ok := errors.AsType[*FieldError](err); !ok || fe.Field != "payload.usernames" || fe.Bound != "at most 60 in one call" {
		t.Errorf("error %v", err)
	}
	if keys := rdb.Keys(t.Context(), "*").Val(); len(keys) != 0 {
		t.Errorf("queued all the same: %v", keys)
	}
	// The size bounds how lists are split; what is in the queue already was called before.
	names := GroupRemoveMembers{GroupID: "1", Usernames: idsOf(60, UserIDMaxBytes)}
	if err := c.Requeue(t.Context(), Task{ID: "long", Payload: names}, 1); err != nil {
		t.Error(err)
	}
}
