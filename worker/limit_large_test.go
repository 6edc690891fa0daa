package worker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/imqueue/emq/dlq"
	"github.com/imqueue/emq/errclass"
	"github.com/imqueue/emq/tasks"
	"github.com/imqueue/emq/tasks/redisserver/redistest"
	"github.com/imqueue/emq/worker/easemob/simulator"
)

// A limit that stays reached, whatever emq does: the calls become few.
func TestALimitThatStaysReachedIsNotHammered(t *testing.T) {
	t.Parallel()
	for d, most := range map[errclass.Delay]int{errclass.DelayMinute: 20, errclass.DelayRate: 700} {
		t.Run(string(d), func(t *testing.T) {
			t.Parallel()
			c, rdb := newClock(t)
			l := newTestLimits(t, rdb, limit(t, "100/s", "6000/m"))
			calls, began := 0, c.now
			for c.now.Sub(began) < 10*time.Minute {
				taken, wait := l.users().asked(t, middle, 1, 1)
				if taken == 0 {
					c.advance(max(wait, time.Millisecond))
					continue
				}
				calls++
				c.advance(30 * time.Millisecond) // the call
				l.slow(context.Background(), shop, tasks.EndpointMessagesUsers, d, 30*time.Millisecond)
			}
			if calls > most {
				t.Errorf("%d refused calls in 10 minutes, want at most %d", calls, most)
			}
		})
	}
}

// One that needs a tenth of a limit an hour, beside small ones that use it up.
func TestALargeOneIsServedBesideSmallOnes(t *testing.T) {
	t.Parallel()
	c, rdb := newClock(t)
	g := newTestLimits(t, rdb, limit(t, "", "1000/h")).users()
	small, served := 0, false
	arrived := c.now.Add(70 * time.Minute)
	next := arrived
	for end := c.now.Add(24 * time.Hour); c.now.Before(end) && !served; c.advance(3 * time.Second) {
		// It is at the head of its queue: whenever something may be fetched, it is
		// fetched first.
		if !c.now.Before(next) {
			if taken, wait := g.asked(t, middle, 1, 1); taken == 0 {
				next = c.now.Add(wait)
				continue
			}
			taken, wait, err := g.ask(context.Background(), g.rates.Load(), middle, 0, 99, 1, "large", waitMax)
			must(t, err)
			if served = taken > 0; !served {
				g.giveBack(middle, 1)
				next = c.now.Add(min(wait, closedMax))
			}
			continue
		}
		if taken, _ := g.asked(t, middle, 1, 1); taken > 0 {
			small++
		}
	}
	if took := c.now.Sub(arrived); !served || took > time.Hour {
		t.Errorf("served %v after %v, small ones served: %d", served, took, small)
	}
}

func TestARaisedLimitIsInForceAtOnce(t *testing.T) {
	t.Parallel()
	c, rdb := newClock(t)
	g := newTestLimits(t, rdb, limit(t, "", "60/m")).users()
	if taken, _ := g.asked(t, middle, 1, 600); taken != 1 {
		t.Fatal("first")
	}
	c.advance(2 * time.Minute) // the guard's log is empty; the pace is owed 8 minutes more
	g.change(limit(t, "", "6000/m"))
	if taken, wait := g.asked(t, middle, 1, 1); taken == 0 && wait > 6*time.Second {
		t.Errorf("closed for %v after the limit was raised a hundredfold", wait)
	}
}

// Tasks that need more than their limit has left keep their place, and take no
// slot from calls of other endpoints.
func TestTasksThatWaitLongKeepTheirPlace(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Config{})
	sixty := tasks.Message{Target: tasks.Users, To: names("u", 60), Body: tasks.Text{Msg: "hello"}}
	var ids []string
	for i := range 20 {
		ids = append(ids, w.enqueue(sixty, tasks.ID(fmt.Sprintf("m%d", i)), tasks.WithPriority(tasks.Low)))
	}
	w.start(limited(map[tasks.Endpoint]tasks.Limit{tasks.EndpointMessagesUsers: limit(t, "", "100/h")}), func(c *Config) { c.Concurrency = 1 })
	w.eventually("the first", func() bool { return w.executed(ids[0]) == 1 })
	w.eventually("the second was fetched", func() bool { return strings.Contains(w.logs.String(), `reason="rate limit"`) })
	room := tasks.Message{Target: tasks.Rooms, To: []string{"r1"}, From: "admin", Body: tasks.Text{Msg: "hi"}}
	began := time.Now()
	id := w.enqueue(room, tasks.WithPriority(tasks.High))
	w.eventually("an urgent message to a room", func() bool { return w.executed(id) == 1 })
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("an urgent message to a room waited %v for the limit of messages to users", took)
	}
	queue := queueKey(usersQueue(tasks.Low), keyPending)
	w.eventually("all are back", func() bool { return w.rdb.LLen(t.Context(), queue).Val() == 19 })
	if next := w.rdb.LIndex(t.Context(), queue, -1).Val(); next != ids[1] {
		t.Errorf("the next to be fetched is %s, want %s", next, ids[1])
	}
	if n := strings.Count(w.logs.String(), `reason="rate limit"`); n > 3 {
		t.Errorf("%d tasks were taken and put back", n)
	}
}

// Expired tasks need no leave, and what their fetch took is given back.
func TestExpiredTasksTakeNoLeave(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Config{})
	const expired = 20
	for range expired {
		w.enqueue(tasks.Message{Target: tasks.Users, To: names("u", 60), Body: tasks.Text{Msg: "hello"}}, tasks.ExpiresAt(time.Now().Add(1200*time.Millisecond)))
	}
	time.Sleep(1300 * time.Millisecond)
	live := w.enqueue(text("u1"))
	w.start(limited(map[tasks.Endpoint]tasks.Limit{tasks.EndpointMessagesUsers: limit(t, "", "10/h")}))
	w.eventually("the one that has not expired", func() bool { return w.executed(live) == 1 })
	w.eventually("dead letters", func() bool {
		n, err := w.store.Count(context.Background(), dlq.Filter{App: tasks.AppDefault})
		return err == nil && n == expired
	})
}

// farRedis is a Redis some way off.
type farRedis struct{ away time.Duration }

func (f farRedis) DialHook(next redis.DialHook) redis.DialHook { return next }

func (f farRedis) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		time.Sleep(f.away)
		return next(ctx, cmd)
	}
}

func (f farRedis) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		time.Sleep(f.away)
		return next(ctx, cmds)
	}
}

// A limit that a person has set is in force before the first call.
func TestLimitsAreKnownBeforeTheFirstCall(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Config{})
	must(t, w.store.SetLimit(t.Context(), dlq.Limit{App: tasks.AppDefault, Endpoint: tasks.EndpointMessagesUsers, Limit: limit(t, "1/m", ""), Reason: "x"}))
	for range 20 {
		w.enqueue(text("u1"))
	}
	cfg := w.config()
	for i := range 20 {
		app := cfg.Apps[0]
		app.Alias = fmt.Sprint("app", i)
		cfg.Apps = append([]App{app}, cfg.Apps...)
	}
	worker, err := New(cfg)
	must(t, err)
	worker.redis.AddHook(farRedis{2 * time.Millisecond})
	worker.servers.AddHook(farRedis{2 * time.Millisecond})
	w.run(worker)
	w.eventually("the first call", func() bool { return len(w.sim.Executed()) > 0 })
	time.Sleep(2 * time.Second)
	if n := len(w.sim.Executed()); n > 1 {
		t.Errorf("%d calls, the limit set is one a minute", n)
	}
}

func TestWait(t *testing.T) {
	t.Parallel()
	_, rdb := redistest.Mini(t)
	ctx := context.Background()
	l := newTestLimits(t, rdb, limit(t, "", "40/s"))
	task := tasks.Task{ID: "t1", App: shop, Payload: text("u1"), Priority: tasks.Low}
	if ok, err := l.wait(ctx, task, 0, 30); !ok || err != nil {
		t.Fatalf("the first 30 of 40: %v, %v", ok, err)
	}
	// 30 more come when the first have left the window, and nothing of the same
	// priority overtakes them, in no process.
	done := make(chan error, 1)
	go func() {
		_, err := l.wait(ctx, task, 0, 30)
		done <- err
	}()
	for l.opens(shop, tasks.EndpointMessagesUsers, tasks.Low) == 0 {
		time.Sleep(time.Millisecond)
	}
	for rdb.HGet(ctx, l.users().key, "waiter").Val() == "" {
		time.Sleep(time.Millisecond)
	}
	if l.opens(shop, tasks.EndpointMessagesUsers, tasks.High) > 0 {
		t.Error("a waiter closes the gate for a higher priority")
	}
	other := newTestLimits(t, rdb, limit(t, "", "40/s"))
	if other.take(ctx, shop, tasks.EndpointMessagesUsers, tasks.Low) {
		t.Error("another worker overtakes a waiter of the same priority")
	}
	if !other.take(ctx, shop, tasks.EndpointMessagesUsers, tasks.High) {
		t.Error("a waiter stops a higher priority")
	}
	must(t, <-done)

	// What takes long is not waited for.
	day := newTestLimits(t, rdb, limit(t, "", "3/d"))
	take := func() bool { return day.take(ctx, shop, tasks.EndpointMessagesUsers, tasks.Low) }
	if got := []bool{take(), take()}; !slices.Equal(got, []bool{true, true}) {
		t.Fatalf("two of three a day: %v", got)
	}
	if ok, err := day.wait(ctx, task, 0, 2); ok || err != nil {
		t.Fatalf("two more than what is left of three a day: %v, %v", ok, err)
	}
	if sum := rdb.HGet(ctx, day.users().key, "m86400:sum").Val(); sum != "1" {
		t.Errorf("what the fetch took is not given back: %s of three a day are taken", sum)
	}
	if wait := day.opens(shop, tasks.EndpointMessagesUsers, tasks.Low); take() || wait < closedMax/2 || wait > closedMax {
		t.Errorf("the next look at what takes a day is in %v", wait)
	}
	if !day.take(ctx, shop, tasks.EndpointMessagesUsers, tasks.High) {
		t.Error("one that waits in its queue stops a higher priority")
	}
	if ok, err := day.wait(ctx, task, 3, 0); !ok || err != nil {
		t.Errorf("calls without a limit: %v, %v", ok, err)
	}
	// The wait ends with its context.
	ended, cancel := context.WithCancel(ctx)
	go func() {
		for rdb.HGet(ctx, l.users().key, "waiter").Val() == "" {
			time.Sleep(time.Millisecond)
		}
		cancel()
	}()
	if _, err := l.wait(ended, task, 0, 40); !errors.Is(err, context.Canceled) {
		t.Errorf("wait whose context ended: %v", err)
	}
}

// TestWaiterIsNotStarved lets small permits come free of the pace and the guard
// just before a large one asks again for what it waits for.
func TestWaiterIsNotStarved(t *testing.T) {
	t.Parallel()
	c, rdb := newClock(t)
	l := limit(t, "", "40/s")
	one, two := newTestLimits(t, rdb, l).users(), newTestLimits(t, rdb, l).users()
	large := func() (taken int, wait time.Duration) {
		taken, wait, err := one.ask(context.Background(), one.rates.Load(), middle, 0, 30, 1, "large", time.Minute)
		must(t, err)
		return taken, wait
	}
	if taken, _ := two.asked(t, high, 0, 40); taken != 1 {
		t.Fatal("the whole limit is not free")
	}
	taken, wait := large()
	if taken != 0 {
		t.Fatal("30 more of a limit that is used up")
	}
	c.advance(wait)
	for name, r := range map[string]rank{"of the same priority": middle, "of a lower one": low} {
		if taken, _ := two.asked(t, r, 0, 1); taken != 0 {
			t.Errorf("a message %s takes what a waiter of another worker has claimed", name)
		}
	}
	if taken, wait := two.asked(t, high, 0, 1); taken != 1 {
		t.Errorf("a message of a higher priority waits %v for the waiter", wait)
	}
	if taken, wait := large(); taken != 1 {
		t.Fatalf("the waiter is told to wait %v more", wait)
	}
	// Served, it claims nothing any more; nor does one whose process has died.
	c.advance(800 * time.Millisecond) // the pace is open again, the claim would be there still
	if taken, wait := two.asked(t, low, 0, 1); taken != 1 {
		t.Errorf("after the waiter was served: wait %v", wait)
	}
	c.advance(2 * time.Second)
	if taken, _ := two.asked(t, high, 0, 40); taken != 1 {
		t.Fatal("the whole limit is not free again")
	}
	if taken, wait = large(); taken != 0 {
		t.Fatal("30 more of a limit that is used up")
	}
	c.advance(wait + 1001*time.Millisecond)
	if taken, wait := two.asked(t, low, 0, 1); taken != 1 {
		t.Errorf("a claim outlives its waiter: wait %v", wait)
	}
}
