package tasks

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/imqueue/emq/tasks/redisserver/redistest"
)

// runServer runs asynq's server on the queue of text messages until the test
// ends. A task that fails waits an hour for its retry.
func runServer(t *testing.T, rdb redis.UniversalClient, handle func(context.Context, *asynq.Task) error) {
	t.Helper()
	server := asynq.NewServerFromRedisClient(rdb, asynq.Config{
		Concurrency: 4, Queues: map[string]int{"default:messages.users:default": 1},
		TaskCheckInterval: 10 * time.Millisecond, LogLevel: asynq.FatalLevel,
		RetryDelayFunc: func(int, error, *asynq.Task) time.Duration { return time.Hour },
	})
	if err := server.Start(asynq.HandlerFunc(handle)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Shutdown)
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never happened: %s", what)
		}
	}
}

// TestIDStaysTaken brings a task into each of its states, and tries its ID
// again from every side.
func TestIDStaysTaken(t *testing.T) {
	t.Parallel()
	const queue = "default:messages.users:default"
	inState := func(t *testing.T, rdb redis.UniversalClient, state asynq.TaskState) {
		t.Helper()
		inspector := asynq.NewInspectorFromRedisClient(rdb)
		eventually(t, state.String(), func() bool {
			info, err := inspector.GetTaskInfo(queue, "a")
			return err == nil && info.State == state
		})
	}
	states := map[string]func(t *testing.T, rdb redis.UniversalClient, c *Client){
		"pending": func(t *testing.T, _ redis.UniversalClient, c *Client) {
			if _, err := c.Enqueue(t.Context(), text("x"), ID("a")); err != nil {
				t.Fatal(err)
			}
		},
		"scheduled": func(t *testing.T, rdb redis.UniversalClient, c *Client) {
			if _, err := c.Enqueue(t.Context(), text("x"), ID("a"), In(time.Hour)); err != nil {
				t.Fatal(err)
			}
			inState(t, rdb, asynq.TaskStateScheduled)
		},
		"retry": func(t *testing.T, rdb redis.UniversalClient, c *Client) {
			runServer(t, rdb, func(context.Context, *asynq.Task) error { return errors.New("not yet") })
			if _, err := c.Enqueue(t.Context(), text("x"), ID("a")); err != nil {
				t.Fatal(err)
			}
			inState(t, rdb, asynq.TaskStateRetry)
		},
		"active": func(t *testing.T, rdb redis.UniversalClient, c *Client) {
			release := make(chan struct{})
			runServer(t, rdb, func(context.Context, *asynq.Task) error { <-release; return nil })
			t.Cleanup(func() { close(release) }) // before the server shuts down
			if _, err := c.Enqueue(t.Context(), text("x"), ID("a")); err != nil {
				t.Fatal(err)
			}
			inState(t, rdb, asynq.TaskStateActive)
		},
		"delivered": func(t *testing.T, rdb redis.UniversalClient, c *Client) {
			runServer(t, rdb, func(ctx context.Context, task *asynq.Task) error {
				decoded, err := Decode(task.Payload())
				if err != nil {
					return err
				}
				return MarkDelivered(ctx, rdb, decoded, time.Hour)
			})
			if _, err := c.Enqueue(t.Context(), text("x"), ID("a")); err != nil {
				t.Fatal(err)
			}
			eventually(t, "delivered", func() bool { return len(taskKeys(t, rdb, "a")) == 0 })
		},
		"dead": func(t *testing.T, rdb redis.UniversalClient, c *Client) {
			if _, err := c.Enqueue(t.Context(), text("x"), ID("a")); err != nil {
				t.Fatal(err)
			}
			rdb.HSet(t.Context(), EntryKey("default", "a"), "state", "dead")
			if err := asynq.NewInspectorFromRedisClient(rdb).DeleteTask(queue, "a"); err != nil {
				t.Fatal(err)
			}
		},
		"dead, its claim expired": func(t *testing.T, rdb redis.UniversalClient, _ *Client) {
			rdb.HSet(t.Context(), EntryKey("default", "a"), "state", "dead")
		},
	}
	for name, bring := range states {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			forEachRedis(t, func(t *testing.T, rdb redis.UniversalClient) {
				bring(t, rdb, newClient(t, rdb))
				before := len(taskKeys(t, rdb, "*"))
				for what, again := range map[string]Task{
					"same":           {Payload: text("x")},
					"other text":     {Payload: text("y")},
					"other priority": {Payload: text("x"), Priority: High},
					"other kind":     {Payload: GroupCreate{Owner: "u"}},
					"planned":        {Payload: text("x"), ProcessAt: time.Now().Add(time.Minute)},
				} {
					again.ID = "a"
					receipts, err := newClient(t, rdb).EnqueueMany(t.Context(), []Task{again})
					if err != nil {
						t.Fatal(err)
					}
					if !errors.Is(receipts[0].Err, ErrDuplicate) {
						t.Errorf("%s: %v, want ErrDuplicate", what, receipts[0].Err)
					}
				}
				if after := len(taskKeys(t, rdb, "*")); after != before {
					t.Errorf("%d tasks before, %d after", before, after)
				}
				// Another app has IDs of its own.
				if _, err := newClient(t, rdb).Enqueue(t.Context(), text("x"), ID("a"), App("other")); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestSameIDTwiceInOneCall(t *testing.T) {
	t.Parallel()
	forEachRedis(t, func(t *testing.T, rdb redis.UniversalClient) {
		receipts, err := newClient(t, rdb).EnqueueMany(t.Context(), []Task{
			{ID: "a", Payload: text("first")}, {ID: "a", Payload: text("first")}, {ID: "a", Payload: text("third"), Priority: High},
			{ID: "a", Payload: text("x"), App: "other"},
		})
		if err != nil {
			t.Fatal(err)
		}
		for i, want := range []bool{true, false, false, true} {
			if err := receipts[i].Err; want && err != nil || !want && !errors.Is(err, ErrDuplicate) {
				t.Errorf("receipt %d: %v", i, err)
			}
		}
		equal(t, "asynq's keys", slices.Sorted(slices.Values(taskKeys(t, rdb, "a"))), []string{
			TaskKey("default:messages.users:default", "a"), TaskKey("other:messages.users:default", "a"),
		})
	})
}

// TestAbandonedClaimIsTakenOver plays a producer that died between its claim
// and the queue: its ID must not be lost for good.
func TestAbandonedClaimIsTakenOver(t *testing.T) {
	t.Parallel()
	forEachRedis(t, func(t *testing.T, rdb redis.UniversalClient) {
		c := newClient(t, rdb)
		const theirs = "default:messages.users:low"
		if err := rdb.Set(t.Context(), ClaimKey("default", "a"), "NONCE "+theirs, time.Hour).Err(); err != nil {
			t.Fatal(err)
		}
		receipt, err := c.Enqueue(t.Context(), text("x"), ID("a"), WithPriority(High))
		if err != nil {
			t.Fatal(err)
		}
		// In their queue, so that they, alive after all, would find it there.
		if receipt.Queue != theirs {
			t.Errorf("receipt %+v, want queue %s", receipt, theirs)
		}
		if info, _ := queued(t, rdb, "a"); info.Queue != theirs {
			t.Errorf("in queue %s, want %s", info.Queue, theirs)
		}
		if _, err := c.Enqueue(t.Context(), text("x"), ID("a")); !errors.Is(err, ErrDuplicate) {
			t.Errorf("again: %v, want ErrDuplicate", err)
		}
		// A claim that nobody can read belongs to somebody.
		for _, claim := range []string{"garbage", "NONCE queue"} {
			rdb.Set(t.Context(), ClaimKey("default", "b"), claim, time.Hour)
			if _, err := c.Enqueue(t.Context(), text("x"), ID("b")); !errors.Is(err, ErrDuplicate) {
				t.Errorf("claim %q: %v", claim, err)
			}
		}
	})
}

// overtaken is a Redis client on which, at a chosen moment, the world changes.
type overtaken struct {
	redis.UniversalClient
	moment string
	change func()
	asked  int
}

func (o *overtaken) Exists(ctx context.Context, keys ...string) *redis.IntCmd {
	o.asked++
	defer o.happens(fmt.Sprintf("after exists %d", o.asked))
	return o.UniversalClient.Exists(ctx, keys...)
}

func (o *overtaken) Get(ctx context.Context, key string) *redis.StringCmd {
	o.happens("before get")
	return o.UniversalClient.Get(ctx, key)
}

func (o *overtaken) happens(moment string) {
	if change := o.change; change != nil && moment == o.moment {
		o.change = nil
		change()
	}
}

// TestTakeOverSeesAnEndInBetween has the claim's owner queue the task, and a
// worker end it, after the question whether it is queued.
func TestTakeOverSeesAnEndInBetween(t *testing.T) {
	t.Parallel()
	const queue = "default:messages.users:default"
	ends := map[string]func(rdb redis.UniversalClient){
		"delivered": func(rdb redis.UniversalClient) {
			rdb.Set(context.Background(), ClaimKey("default", "a"), claimDone, time.Hour)
		},
		"dead": func(rdb redis.UniversalClient) {
			rdb.HSet(context.Background(), EntryKey("default", "a"), "state", "dead")
		},
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, rdb := redistest.Mini(t)
			rdb.Set(t.Context(), ClaimKey("default", "a"), "NONCE "+queue, time.Hour)
			c := newClient(t, &overtaken{UniversalClient: rdb, moment: "after exists 1", change: func() { end(rdb) }})
			if _, err := c.Enqueue(t.Context(), text("x"), ID("a")); !errors.Is(err, ErrDuplicate) {
				t.Errorf("error %v, want ErrDuplicate", err)
			}
			if keys := taskKeys(t, rdb, "a"); len(keys) != 0 {
				t.Errorf("queued a second time: %v", keys)
			}
		})
	}
}

// TestNoTakeOverOfATaskThatLived has the task live when it is asked for, and
// end right after the last question.
func TestNoTakeOverOfATaskThatLived(t *testing.T) {
	t.Parallel()
	_, rdb := redistest.Mini(t)
	if _, err := newClient(t, rdb).Enqueue(t.Context(), text("x"), ID("a")); err != nil {
		t.Fatal(err)
	}
	c := newClient(t, &overtaken{UniversalClient: rdb, moment: "after exists 2", change: func() {
		rdb.Set(context.Background(), ClaimKey("default", "a"), claimDone, time.Hour)
		rdb.Del(context.Background(), TaskKey("default:messages.users:default", "a"))
	}})
	if _, err := c.Enqueue(t.Context(), text("x"), ID("a")); !errors.Is(err, ErrDuplicate) {
		t.Errorf("error %v, want ErrDuplicate", err)
	}
}

// TestTakeOverThatComesSecond has the claim's owner queue the task while
// another takes over: one of them wins.
func TestTakeOverThatComesSecond(t *testing.T) {
	t.Parallel()
	_, rdb := redistest.Mini(t)
	owner := newClient(t, rdb)
	rdb.Set(t.Context(), ClaimKey("default", "a"), "NONCE default:messages.users:low", time.Hour)
	c := newClient(t, &overtaken{UniversalClient: rdb, moment: "before get", change: func() {
		if _, err := owner.Enqueue(context.Background(), text("theirs"), ID("a")); err != nil {
			t.Error(err)
		}
	}})
	if _, err := c.Enqueue(t.Context(), text("mine"), ID("a"), WithPriority(High)); !errors.Is(err, ErrDuplicate) {
		t.Errorf("error %v, want ErrDuplicate", err)
	}
	if _, task := queued(t, rdb, "a"); task.Payload.(Message).Body != (Text{Msg: "theirs"}) {
		t.Errorf("queued %+v", task.Payload)
	}
}

// beforeHGet is a go-redis hook that changes the world before a pipeline of HGET.
type beforeHGet struct{ change func() }

func (beforeHGet) DialHook(next redis.DialHook) redis.DialHook          { return next }
func (beforeHGet) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

func (b beforeHGet) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if cmds[0].Name() == "hget" {
			b.change()
		}
		return next(ctx, cmds)
	}
}

// TestTakeOverOfATaskThatEnds goes one step further: the owner's task was in
// the way, and is done when the other looks whose it was.
func TestTakeOverOfATaskThatEnds(t *testing.T) {
	t.Parallel()
	m, plain := redistest.Mini(t)
	rdb := redis.NewClient(&redis.Options{Addr: m.Addr()})
	t.Cleanup(func() { _ = rdb.Close() })
	const queue = "default:messages.users:default"
	ended := false
	rdb.AddHook(beforeHGet{func() {
		if err := asynq.NewInspectorFromRedisClient(plain).DeleteTask(queue, "a"); err != nil {
			t.Error(err)
		}
		ended = true
	}})
	plain.Set(t.Context(), ClaimKey("default", "a"), "NONCE "+queue, time.Hour)
	c := newClient(t, &overtaken{UniversalClient: rdb, moment: "before get", change: func() {
		if _, err := newClient(t, plain).Enqueue(context.Background(), text("theirs"), ID("a")); err != nil {
			t.Error(err)
		}
	}})
	if _, err := c.Enqueue(t.Context(), text("mine"), ID("a")); !errors.Is(err, ErrDuplicate) || !ended {
		t.Errorf("error %v (ended: %v), want ErrDuplicate: what was done is not this call's", err, ended)
	}
}

// TestClaimScript holds the contract in the script's header.
func TestClaimScript(t *testing.T) {
	t.Parallel()
	forEachRedis(t, func(t *testing.T, rdb redis.UniversalClient) {
		keys := []string{ClaimKey("default", "a"), EntryKey("default", "a")}
		claim := func(value string) string {
			t.Helper()
			answer, err := claimScript.Run(t.Context(), rdb, keys, value, time.Hour.Milliseconds()).Text()
			if err != nil {
				t.Fatal(err)
			}
			return answer
		}
		equal(t, "new", claim("mine q"), "")
		rdb.Persist(t.Context(), keys[0])
		equal(t, "mine again", claim("mine q"), "")
		if ttl := rdb.PTTL(t.Context(), keys[0]).Val(); ttl <= 0 || ttl > time.Hour {
			t.Errorf("kept for %v, want an hour", ttl)
		}
		equal(t, "another's", claim("other q"), "mine q")
		rdb.HSet(t.Context(), keys[1], "state", "dead")
		equal(t, "dead", claim("mine q"), "dead")
		equal(t, "claim in Redis", rdb.Get(t.Context(), keys[0]).Val(), "mine q")
	})
}

func TestMarkDeliveredAndEnded(t *testing.T) {
	t.Parallel()
	m, rdb := redistest.Mini(t)
	c := newClient(t, rdb)
	given := Task{ID: "a", App: "default", given: true}
	madeUp := Task{ID: "b", App: "default"}
	for _, task := range []Task{given, madeUp} {
		if done, err := Ended(t.Context(), rdb, task); done || err != nil {
			t.Errorf("%s: %v, %v before", task.ID, done, err)
		}
		if err := MarkDelivered(t.Context(), rdb, task, time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	if done, err := Ended(t.Context(), rdb, given); !done || err != nil {
		t.Errorf("given ID: %v, %v", done, err)
	}
	if done, err := Ended(t.Context(), rdb, madeUp); done || err != nil || m.Exists(ClaimKey("default", "b")) {
		t.Errorf("made-up ID: %v, %v: it is not remembered", done, err)
	}
	// A dead letter ends either.
	rdb.HSet(t.Context(), EntryKey("default", "b"), "state", "dead")
	if done, err := Ended(t.Context(), rdb, madeUp); !done || err != nil {
		t.Errorf("dead: %v, %v", done, err)
	}
	// A claim that stands is no end.
	rdb.Set(t.Context(), ClaimKey("default", "c"), "NONCE default:messages.users:default", time.Hour)
	if done, err := Ended(t.Context(), rdb, Task{ID: "c", App: "default", given: true}); done || err != nil {
		t.Errorf("queued: %v, %v", done, err)
	}
	if _, err := c.Enqueue(t.Context(), text("x"), ID("a")); !errors.Is(err, ErrDuplicate) {
		t.Errorf("within the hour: %v, want ErrDuplicate", err)
	}
	// A dead letter is an end too, whoever chose the ID.
	buried := Task{ID: "c", App: "default"}
	rdb.Set(t.Context(), EntryKey("default", "c"), "dead", 0)
	if ended, err := Ended(t.Context(), rdb, buried); !ended || err != nil {
		t.Errorf("dead letter: %v, %v", ended, err)
	}
	m.FastForward(time.Hour + time.Second)
	if _, err := c.Enqueue(t.Context(), text("x"), ID("a")); err != nil {
		t.Errorf("after the hour: %v", err)
	}
	// Remembered for no time at all: the ID is free with the task's end.
	if err := asynq.NewInspectorFromRedisClient(rdb).DeleteTask("default:messages.users:default", "a"); err != nil {
		t.Fatal(err)
	}
	if err := MarkDelivered(t.Context(), rdb, given, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Enqueue(t.Context(), text("x"), ID("a")); err != nil {
		t.Errorf("with nothing kept: %v", err)
	}
	m.SetError("LOADING")
	if err := MarkDelivered(t.Context(), rdb, given, time.Hour); err == nil {
		t.Error("no error without Redis")
	}
	if done, err := Ended(t.Context(), rdb, given); done || err == nil {
		t.Errorf("without Redis: %v, %v", done, err)
	}
	m.SetError("")
}

// TestClaimOutlivesItsTask holds that the claim of a planned task is there when
// the task is due, and that none stays for ever.
func TestClaimOutlivesItsTask(t *testing.T) {
	t.Parallel()
	m, rdb := redistest.Mini(t)
	c := newClient(t, rdb)
	for id, ahead := range map[string]time.Duration{"now": 0, "planned": 300 * 24 * time.Hour} {
		if _, err := c.Enqueue(t.Context(), text("x"), ID(id), In(ahead)); err != nil {
			t.Fatal(err)
		}
		if ttl := m.TTL(ClaimKey("default", id)); ttl < ahead+MaxAgeMax || ttl > ahead+claimSpare {
			t.Errorf("%s: claim kept for %v", id, ttl)
		}
	}
}
