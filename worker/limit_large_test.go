package worker

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/imqueue/emq/dlq"
	"github.com/imqueue/emq/errclass"
	"github.com/imqueue/emq/tasks"
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
				g.giveBack(middle)
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
