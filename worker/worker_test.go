package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/hibiken/asynq"

	"github.com/imqueue/emq/dlq"
	"github.com/imqueue/emq/errclass"
	"github.com/imqueue/emq/tasks"
	"github.com/imqueue/emq/worker/easemob/simulator"
)

var messages = tasks.QueueName(tasks.AppDefault, tasks.EndpointMessagesUsers, tasks.Default)

func TestDelivers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Config{})
	w.start()
	id := w.enqueue(text("u1"), tasks.ID("order-1"))
	w.eventually("delivery", func() bool { return w.executed(id) == 1 })
	w.idle()
	w.noDeadLetters()

	lines := w.logs.attempts(id)
	if len(lines) != 1 {
		t.Fatalf("attempt lines: %q, want one", lines)
	}
	for _, want := range []string{"app=default", "kind=message.send", "attempt=1", "class=success", "status=200", "end=done", "duration_ms="} {
		if !strings.Contains(lines[0], want) {
			t.Errorf("attempt line lacks %s: %s", want, lines[0])
		}
	}
	// The given ID stays taken for a while after delivery.
	if _, err := w.client.Enqueue(context.Background(), text("u1"), tasks.ID("order-1")); !errors.Is(err, tasks.ErrDuplicate) {
		t.Errorf("enqueue after delivery: %v, want ErrDuplicate", err)
	}
}

func TestRetriesUntilDelivered(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Config{})
	w.fault(simulator.Fault{Path: "/messages/*", Times: 2, Status: 503, BodyText: "busy"})
	w.start()
	id := w.enqueue(text("u1"))
	w.eventually("delivery", func() bool { return w.executed(id) == 1 })
	w.idle()
	w.noDeadLetters()
	if lines := w.logs.attempts(id); len(lines) != 3 || !strings.Contains(lines[0], "end=retry") || !strings.Contains(lines[0], "next_in_ms=") {
		t.Errorf("attempt lines: %q, want two retries and the delivery", lines)
	}
}

func TestPermanentBecomesDeadLetterAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Config{})
	group := w.group("boss")
	w.start()
	id := w.enqueue(tasks.GroupAddMembers{GroupID: group, Usernames: []string{"nobody"}}, tasks.ID("add-1"))
	entry := w.dead(id)
	if entry.Class != errclass.ClassPermanent || entry.Reason != dlq.ReasonVerdict || entry.Status != 404 || entry.Rule == "" {
		t.Errorf("dead letter: %+v", entry)
	}
	if len(entry.Attempts) != 1 || entry.Attempts[0].Status != 404 || entry.Attempts[0].Body == "" {
		t.Errorf("attempts: %+v, want the one with its answer", entry.Attempts)
	}
	if _, err := w.client.Enqueue(context.Background(), text("u1"), tasks.ID("add-1")); !errors.Is(err, tasks.ErrDuplicate) {
		t.Errorf("enqueue while a dead letter: %v, want ErrDuplicate", err)
	}
}

func TestAlreadyDoneIsSuccess(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Config{})
	group := w.group("boss", "u1")
	w.start()
	w.enqueue(tasks.GroupAddMembers{GroupID: group, Usernames: []string{"u1"}})
	w.enqueue(tasks.GroupTransferOwner{GroupID: group, NewOwner: "boss"})
	w.idle()
	w.noDeadLetters()
}

func TestTokenTrouble(t *testing.T) {
	t.Parallel()
	// Whatever the token endpoint answers, no call was made: that is never a
	// success, never an unknown outcome, and never the task's own fault.
	for name, tc := range map[string]struct {
		fault simulator.Fault
		held  bool
	}{
		"200 without a token":  {simulator.Fault{Status: 200, Body: map[string]any{"msg": "maintenance"}}, false},
		"204":                  {simulator.Fault{Status: 204}, false},
		"500":                  {simulator.Fault{Status: 500, Body: map[string]any{"error": "internal"}}, false},
		"502 page":             {simulator.Fault{NotJSON: true}, false},
		"no answer":            {simulator.Fault{Cut: simulator.CutAfter}, false},
		"401 without a reason": {simulator.Fault{Status: 401, BodyText: ""}, true},
		"403 page":             {simulator.Fault{Status: 403, BodyText: "<html>blocked</html>"}, true},
		"400":                  {simulator.Fault{Status: 400, Body: map[string]any{"error": "invalid_request"}}, true},
		"redirect":             {simulator.Fault{Status: 302}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, simulator.Config{})
			tc.fault.Path = "/token"
			w.fault(tc.fault)
			w.start()
			id := w.enqueue(text("u1"), tasks.OnUnknownOutcome(tasks.Hold))
			w.eventually("attempt", func() bool { return len(w.logs.attempts(id)) > 0 })
			held, err := w.store.Holds(context.Background())
			must(t, err)
			if (len(held) > 0) != tc.held {
				t.Errorf("holds: %+v, want one: %v", held, tc.held)
			}
			w.noDeadLetters()
			w.sim.ClearFaults()
			if tc.held {
				must(t, w.store.ClearHold(context.Background(), tasks.AppDefault, "", dlq.Actor{Name: "test"}))
			}
			w.eventually("delivery", func() bool { return w.executed(id) == 1 })
			w.idle()
			w.noDeadLetters()
		})
	}
}

func TestTaskQueuedTwiceUnderAGivenIDIsCalledOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Config{})
	id := w.enqueue(text("u1"), tasks.ID("given"))
	queued := w.asTask(messages, id).Payload
	w.start()
	w.eventually("delivery", func() bool { return w.executed(id) == 1 })
	w.idle()
	// The Redis client repeats an enqueue whose answer was lost, after the task
	// is done.
	_, err := asynq.NewClientFromRedisClient(w.rdb).Enqueue(asynq.NewTask("message.send", queued), asynq.TaskID(id), asynq.Queue(messages))
	must(t, err)
	w.idle()
	if n := w.executed(id); n != 1 {
		t.Errorf("executed %d times, want once", n)
	}
}

func TestUndecodableResendIsReported(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Config{})
	id := w.enqueue(text("u1"), tasks.ID("old"), tasks.ExpiresAt(time.Now().Add(30*time.Millisecond)))
	time.Sleep(40 * time.Millisecond)
	stop := w.start()
	w.dead(id)
	stop()
	must(t, w.store.Resend(context.Background(), tasks.AppDefault, id, dlq.Actor{Name: "op"}))
	// As if a newer emq had resent it.
	must(t, w.rdb.Del(context.Background(), tasks.TaskKey(messages, "old~1"), "asynq:{"+messages+"}:pending").Err())
	_, err := asynq.NewClientFromRedisClient(w.rdb).Enqueue(asynq.NewTask("message.send", []byte(`{"v":99,"id":"old","app":"default"}`)),
		asynq.TaskID("old~1"), asynq.Queue(messages))
	must(t, err)
	w.start()
	if entry := w.dead(id); entry.Generation != 1 || entry.Reason != dlq.ReasonUndecodable {
		t.Errorf("generation %d, reason %s; want the resend's end in the entry", entry.Generation, entry.Reason)
	}
}

func TestAttemptBudget(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Config{})
	w.fault(simulator.Fault{Path: "/messages/*", Status: 500, Body: map[string]any{"error": "internal"}})
	w.start()
	entry := w.dead(w.enqueue(text("u1"), tasks.MaxAttempts(2)))
	if entry.Reason != dlq.ReasonExhausted || entry.Class != errclass.ClassRetryable || !strings.HasPrefix(entry.Cause, "exhausted") {
		t.Errorf("dead letter: reason %s, class %s, cause %s", entry.Reason, entry.Class, entry.Cause)
	}
	if len(entry.Attempts) != 2 || entry.Attempts[0].Number != 1 || entry.Attempts[1].Number != 2 {
		t.Errorf("attempts: %+v, want both", entry.Attempts)
	}
	if !strings.Contains(entry.Advice.En, "once the cause has passed") || !strings.Contains(entry.Why.En, "spent") {
		t.Errorf("why %q, advice %q: want what to do now that it has ended", entry.Why.En, entry.Advice.En)
	}
}

func TestAgeLimit(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Config{})
	w.fault(simulator.Fault{Path: "/messages/*", Status: 503})
	w.start()
	entry := w.dead(w.enqueue(text("u1"), tasks.MaxAge(time.Second)))
	if entry.Reason != dlq.ReasonExhausted || len(entry.Attempts) == 0 {
		t.Errorf("dead letter: reason %s with %d attempts", entry.Reason, len(entry.Attempts))
	}
}

func TestRateLimitSpendsNoAttempt(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Config{})
	w.fault(simulator.Fault{
		Path: "/messages/*", Times: 2, Status: 429,
		Body: map[string]any{"error": "reach_limit", "error_description": "This request has reached api limit"},
	})
	w.start()
	id := w.enqueue(text("u1"), tasks.MaxAttempts(1))
	w.eventually("delivery", func() bool { return w.executed(id) == 1 })
	w.idle()
	w.noDeadLetters()
}

func TestExpiredIsNotCalled(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Config{})
	id := w.enqueue(text("u1"), tasks.ExpiresAt(time.Now().Add(50*time.Millisecond)))
	time.Sleep(60 * time.Millisecond)
	w.start()
	entry := w.dead(id)
	if entry.Reason != dlq.ReasonExpired || entry.Rule != "expired" || w.executed(id) != 0 {
		t.Errorf("reason %s, rule %s, executed %d times", entry.Reason, entry.Rule, w.executed(id))
	}
}

func TestUnknownOutcome(t *testing.T) {
	t.Parallel()
	cutAfter := simulator.Fault{Times: 1, Cut: "after"}
	t.Run("retry makes the call again", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, simulator.Config{})
		f := cutAfter
		f.Path = "/messages/*"
		w.fault(f)
		w.start()
		id := w.enqueue(text("u1"))
		w.eventually("second execution", func() bool { return w.executed(id) == 2 })
		w.idle()
		w.noDeadLetters()
	})
	t.Run("hold leaves it to a person", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, simulator.Config{})
		f := cutAfter
		f.Path = "/messages/*"
		w.fault(f)
		w.start()
		id := w.enqueue(text("u1"), tasks.OnUnknownOutcome(tasks.Hold))
		entry := w.dead(id)
		if entry.Reason != dlq.ReasonUnknownOutcome || entry.Class != errclass.ClassNeedsHuman || entry.Scope != errclass.ScopeJob {
			t.Errorf("dead letter: reason %s, class %s, scope %s", entry.Reason, entry.Class, entry.Scope)
		}
		if len(entry.Attempts) != 1 || entry.Attempts[0].Transport != "connection_reset" {
			t.Errorf("attempts: %+v, want the one that was cut", entry.Attempts)
		}
		if n := w.executed(id); n != 1 {
			t.Errorf("executed %d times, want once", n)
		}
	})
	t.Run("a repeatable kind is called again all the same", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, simulator.Config{})
		group := w.group("boss")
		w.user("u1")
		f := cutAfter
		f.Path = "/chatgroups/*/users"
		w.fault(f)
		w.start()
		w.enqueue(tasks.GroupAddMembers{GroupID: group, Usernames: []string{"u1"}}, tasks.OnUnknownOutcome(tasks.Hold))
		w.idle()
		w.noDeadLetters()
	})
}

func TestFaultOfTheAppHoldsIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Config{})
	w.fault(simulator.Fault{Path: "/messages/*", Status: 429, Body: map[string]any{
		"error": "resource_limited", "error_description": "You have exceeded the limit of the community edition,Please upgrade to the enterprise edition",
	}})
	w.start()
	var ids []string
	for range 20 {
		ids = append(ids, w.enqueue(text("u1"), tasks.MaxAttempts(1)))
	}
	ctx := context.Background()
	var held []dlq.Hold
	w.eventually("hold", func() bool {
		var err error
		held, err = w.store.Holds(ctx)
		must(t, err)
		return len(held) == 1
	})
	if held[0].App != tasks.AppDefault || held[0].Rule == "" || !strings.Contains(held[0].Advice.Zh, "`emq hold clear default`") {
		t.Errorf("hold: %+v", held[0])
	}
	// Calls in flight may still hold it anew.
	w.eventually("queues paused and no call in flight", func() bool {
		queues, err := w.store.Queues(ctx, tasks.AppDefault)
		must(t, err)
		for _, q := range queues {
			if !q.Paused || q.Active > 0 {
				return false
			}
		}
		return true
	})
	w.noDeadLetters()
	if n := w.waiting(); n != len(ids) {
		t.Errorf("%d tasks wait, want all %d", n, len(ids))
	}
	refused := len(w.sim.Executed())

	w.sim.ClearFaults()
	must(t, w.store.ClearHold(ctx, tasks.AppDefault, "", dlq.Actor{Name: "test"}))
	w.idle()
	w.noDeadLetters()
	for _, id := range ids {
		if n := w.executed(id); n != 1 {
			t.Errorf("%s executed %d times, want once (%d before the hold was cleared)", id, n, refused)
		}
	}
}

func TestWrongSecretHoldsWithoutFloodingTheTokenEndpoint(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Config{})
	w.start(func(c *Config) { c.Apps[0].ClientSecret = "canary-wrong-secret" })
	for range 20 {
		w.enqueue(text("u1"))
	}
	w.eventually("hold", func() bool {
		held, err := w.store.Holds(context.Background())
		must(t, err)
		return len(held) == 1
	})
	w.noDeadLetters()
	var fetches int64
	for _, n := range w.sim.Counts().Calls["POST /token"] {
		fetches += n
	}
	if fetches < 1 || fetches > 2 {
		t.Errorf("%d token fetches, want 1 or 2", fetches)
	}
	if strings.Contains(w.logs.String(), "canary-wrong-secret") {
		t.Error("the secret is in the log")
	}
}

func TestRevokedTokenSpendsNoAttempt(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Config{})
	w.start()
	for i := range 3 {
		for range 10 {
			w.enqueue(text("u1"), tasks.MaxAttempts(1))
		}
		w.idle()
		if got := len(w.sim.Executed()); got != 10*(i+1) {
			t.Fatalf("round %d: %d executed, want %d", i, got, 10*(i+1))
		}
		w.sim.RevokeTokens()
	}
	w.noDeadLetters()
}

func TestShutdown(t *testing.T) {
	t.Parallel()
	t.Run("a call in flight may end", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, simulator.Config{})
		w.fault(simulator.Fault{Path: "/messages/*", Latency: 700 * time.Millisecond})
		stop := w.start()
		id := w.enqueue(text("u1"))
		w.eventually("call", func() bool { return w.active() == 1 })
		stop()
		if w.executed(id) != 1 || w.waiting() != 0 {
			t.Errorf("executed %d times, %d tasks wait; want it delivered", w.executed(id), w.waiting())
		}
	})
	t.Run("a call that takes too long goes back and spends no attempt", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, simulator.Config{})
		w.fault(simulator.Fault{Path: "/messages/*", Times: 1, Latency: time.Minute, Status: 504})
		stop := w.start(func(c *Config) { c.DrainTimeout, c.CallTimeout = time.Second, time.Minute })
		id := w.enqueue(text("u1"), tasks.MaxAttempts(1))
		w.eventually("call", func() bool { return w.active() == 1 })
		stop()
		if info := w.asTask(messages, id); info.Retried != 0 {
			t.Errorf("retried %d times, want 0", info.Retried)
		}
		w.start()
		w.eventually("delivery", func() bool { return w.executed(id) == 1 })
		w.idle()
		w.noDeadLetters()
	})
	t.Run("a call that is cut and must not be made twice waits for a person", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, simulator.Config{})
		w.fault(simulator.Fault{Path: "/messages/*", Times: 1, Latency: time.Minute, Status: 504})
		stop := w.start(func(c *Config) { c.DrainTimeout, c.CallTimeout = time.Second, time.Minute })
		id := w.enqueue(text("u1"), tasks.OnUnknownOutcome(tasks.Hold))
		w.eventually("call", func() bool { return w.active() == 1 })
		stop()
		if entry := w.dead(id); entry.Reason != dlq.ReasonUnknownOutcome {
			t.Errorf("dead letter: reason %s", entry.Reason)
		}
	})
}

func TestUndecodableBecomesDeadLetter(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Config{})
	client := asynq.NewClientFromRedisClient(w.rdb)
	for id, payload := range map[string]string{
		"garbage": "\xff\x00not json",
		"newer":   `{"v":99,"id":"newer","app":"default","something":"else"}`,
	} {
		_, err := client.Enqueue(asynq.NewTask("message.send", []byte(payload)), asynq.TaskID(id), asynq.Queue(messages))
		must(t, err)
	}
	w.start()
	for _, id := range []string{"garbage", "newer"} {
		if entry := w.dead(id); entry.Reason != dlq.ReasonUndecodable || entry.Description == "" {
			t.Errorf("%s: reason %s, description %q", id, entry.Reason, entry.Description)
		}
	}
}

// crash makes the queue's tasks look as if their worker had died n times: each
// death counts as one more retry in asynq, without an attempt of emq's.
func (w *world) crash(n int) {
	w.t.Helper()
	runs := make(chan struct{}, n)
	server := asynq.NewServerFromRedisClient(w.rdb, asynq.Config{
		Concurrency: 1, Queues: map[string]int{messages: 1}, LogLevel: asynq.FatalLevel,
		TaskCheckInterval: 10 * time.Millisecond, DelayedTaskCheckInterval: 50 * time.Millisecond,
		RetryDelayFunc: func(count int, _ error, _ *asynq.Task) time.Duration {
			if count+1 >= n {
				return 2 * time.Second // leaves the rest to the worker under test
			}
			return 0
		},
	})
	must(w.t, server.Start(asynq.HandlerFunc(func(context.Context, *asynq.Task) error {
		runs <- struct{}{}
		return errors.New("as if the worker had died")
	})))
	for range n {
		<-runs
	}
	server.Shutdown()
}

func TestCrashLoop(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Config{})
	id := w.enqueue(text("u1"))
	w.crash(crashLimit)
	w.start()
	entry := w.dead(id)
	if entry.Reason != dlq.ReasonCrashLoop || !strings.HasPrefix(entry.Cause, "crash-loop") || entry.Class != errclass.ClassNeedsHuman {
		t.Errorf("dead letter: reason %s, cause %s, class %s", entry.Reason, entry.Cause, entry.Class)
	}
	if n := w.executed(id); n != 0 {
		t.Errorf("executed %d times, want 0: it is dead-lettered before its next call", n)
	}
}

func TestOneCrashIsNoLoop(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Config{})
	retried := w.enqueue(text("u1"))
	held := w.enqueue(text("u2"), tasks.OnUnknownOutcome(tasks.Hold))
	w.crash(1)
	w.crash(1) // the other task's turn
	w.start()
	w.eventually("delivery", func() bool { return w.executed(retried) == 1 })
	// The dead worker may have made the call: a task that asked for it is held.
	if entry := w.dead(held); entry.Reason != dlq.ReasonUnknownOutcome || w.executed(held) != 0 {
		t.Errorf("reason %s, executed %d times", entry.Reason, w.executed(held))
	}
}

func TestRedeliveryOfWhatHasEndedIsNotCalled(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Config{})
	ctx := context.Background()
	buried := w.enqueue(text("u1"))
	info := w.asTask(messages, buried)
	task, err := tasks.Decode(info.Payload)
	must(t, err)
	// The dead letter was written, and then the worker died.
	must(t, w.store.Put(ctx, dlq.Death{
		Task: task, Raw: info.Payload, Queue: messages, Reason: dlq.ReasonVerdict, At: time.Now(),
		Verdict: errclass.Verdict{Class: errclass.ClassPermanent, Scope: errclass.ScopeJob, Rule: "x"},
	}))
	w.crash(1)
	// The delivery was noted, and then the worker died.
	delivered := w.enqueue(text("u2"), tasks.ID("given"))
	task, err = tasks.Decode(w.asTask(messages, delivered).Payload)
	must(t, err)
	must(t, tasks.MarkDelivered(ctx, w.rdb, task, time.Hour))
	w.crash(1)
	w.start()
	w.idle()
	if w.executed(buried) != 0 || w.executed(delivered) != 0 {
		t.Errorf("executed %d and %d times, want 0", w.executed(buried), w.executed(delivered))
	}
}

func TestResend(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Config{})
	group := w.group("boss")
	w.start()
	ctx := context.Background()
	id := w.enqueue(tasks.GroupAddMembers{GroupID: group, Usernames: []string{"late"}})
	w.dead(id)
	by := dlq.Actor{Name: "op", Note: "try again"}
	must(t, w.store.Resend(ctx, tasks.AppDefault, id, by))
	var entry dlq.Entry
	w.eventually("death of the first resend", func() bool {
		var err error
		entry, err = w.store.Get(ctx, tasks.AppDefault, id)
		must(t, err)
		return entry.Generation == 1 && entry.State == dlq.StateDead
	})
	if len(entry.Attempts) != 2 || entry.Attempts[1].Generation != 1 || entry.Attempts[1].Number != 1 {
		t.Errorf("attempts after the resend: %+v", entry.Attempts)
	}
	w.user("late")
	must(t, w.store.Resend(ctx, tasks.AppDefault, id, by))
	w.eventually("resolution", func() bool {
		var err error
		entry, err = w.store.Get(ctx, tasks.AppDefault, id)
		must(t, err)
		return entry.State == dlq.StateResolved
	})
	w.idle()
	if entry.Generation != 2 {
		t.Errorf("generation %d, want 2", entry.Generation)
	}
}

func TestPanicIsAnAttempt(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Config{})
	worker, err := New(w.config())
	must(t, err)
	worker.rules.Store(nil) // any use panics
	w.run(worker)
	entry := w.dead(w.enqueue(text("u1"), tasks.MaxAttempts(1)))
	if entry.Rule != "panic" || entry.Reason != dlq.ReasonExhausted || strings.Contains(entry.Description, "goroutine") {
		t.Errorf("rule %s, reason %s, description %q", entry.Rule, entry.Reason, entry.Description)
	}
	if !strings.Contains(w.logs.String(), "stack=") {
		t.Error("no stack in the log")
	}
}

func TestHealth(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Config{})
	worker, err := New(w.config())
	must(t, err)
	get := func(path string) int {
		rec := httptest.NewRecorder()
		worker.Handler().ServeHTTP(rec, httptest.NewRequest(http.MethodGet, path, nil))
		return rec.Code
	}
	if got := get("/healthz"); got != 200 {
		t.Errorf("healthz before the start: %d", got)
	}
	if got := get("/readyz"); got != 503 {
		t.Errorf("readyz before the start: %d, want 503", got)
	}
	stop := w.run(worker)
	w.eventually("ready", func() bool { return get("/readyz") == 200 })
	stop()
	if got := get("/readyz"); got != 503 {
		t.Errorf("readyz after the stop: %d, want 503", got)
	}
}

func TestConfigRefusals(t *testing.T) {
	t.Parallel()
	good := Config{RedisURL: "redis://127.0.0.1:6379", Apps: []App{{
		Alias: "shop", Key: "o#a", URL: "http://127.0.0.1:1", ClientID: "id", ClientSecret: "canary-secret",
	}}}
	worker, err := New(good)
	if err != nil {
		t.Fatalf("good config refused: %v", err)
	}
	worker.close()
	for name, breakIt := range map[string]func(*Config){
		"Redis URL":     func(c *Config) { c.RedisURL = "" },
		"apps":          func(c *Config) { c.Apps = nil },
		"app":           func(c *Config) { c.Apps[0].Alias = "Shop!" },
		"AppKey":        func(c *Config) { c.Apps[0].Key = "no-hash" },
		"URL":           func(c *Config) { c.Apps[0].URL = "ftp://x" },
		"ClientSecret":  func(c *Config) { c.Apps[0].ClientSecret = "" },
		"concurrency":   func(c *Config) { c.Concurrency = ConcurrencyMax + 1 },
		"drain timeout": func(c *Config) { c.DrainTimeout = time.Millisecond },
		"ID retention":  func(c *Config) { c.IDRetention = -time.Second },
		"Timeout":       func(c *Config) { c.CallTimeout = time.Nanosecond },
		"redis URL":     func(c *Config) { c.RedisURL = "http://user:canary-secret@x" },
	} {
		cfg := good
		cfg.Apps = append([]App(nil), good.Apps...)
		breakIt(&cfg)
		_, err := New(cfg)
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: error %v does not name it", name, err)
		}
		if err != nil && strings.Contains(err.Error(), "canary-secret") {
			t.Errorf("%s: a secret in the error: %v", name, err)
		}
	}
}

func TestAppShowsNoSecret(t *testing.T) {
	t.Parallel()
	apps := []App{{Alias: "shop", Key: "o#a", URL: "http://x", ClientID: "canary-id", ClientSecret: "canary-secret"}}
	var out strings.Builder
	for _, handler := range []slog.Handler{slog.NewJSONHandler(&out, nil), slog.NewTextHandler(&out, nil)} {
		slog.New(handler).Info("apps", "one", apps[0], "all", apps)
	}
	fmt.Fprintf(&out, "%v %+v %#v %s", apps, apps, apps, apps)
	if strings.Contains(out.String(), "canary") {
		t.Errorf("credentials are shown: %s", &out)
	}
}

func (w *world) active() int {
	w.t.Helper()
	queues, err := w.store.Queues(context.Background(), tasks.AppDefault)
	must(w.t, err)
	n := 0
	for _, q := range queues {
		n += q.Active
	}
	return n
}
