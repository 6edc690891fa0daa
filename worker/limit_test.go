package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"pgregory.net/rapid"

	"github.com/imqueue/emq/dlq"
	"github.com/imqueue/emq/errclass"
	"github.com/imqueue/emq/tasks"
	"github.com/imqueue/emq/tasks/redisserver"
	"github.com/imqueue/emq/tasks/redisserver/redistest"
)

const shop = "shop"

func limit(t testing.TB, calls, messages string) tasks.Limit {
	t.Helper()
	var l tasks.Limit
	var err error
	if l.Calls, err = tasks.ParseRates(calls); err == nil {
		l.Messages, err = tasks.ParseRates(messages)
	}
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// newTestLimits makes the limits of a worker whose endpoint messages.users has
// the limit given.
func newTestLimits(t testing.TB, rdb redis.UniversalClient, l tasks.Limit) *limits {
	t.Helper()
	store, err := dlq.New(dlq.Config{Redis: rdb})
	if err != nil {
		t.Fatal(err)
	}
	return newLimits(rdb, store, slog.New(slog.DiscardHandler),
		[]App{{Alias: shop, Limits: map[tasks.Endpoint]tasks.Limit{tasks.EndpointMessagesUsers: l}}})
}

// clock is a miniredis whose time stands still but for advance.
type clock struct {
	mini *miniredis.Miniredis
	now  time.Time
}

func newClock(t *testing.T) (*clock, redis.UniversalClient) {
	mini, rdb := redistest.Mini(t)
	c := &clock{mini, time.Date(2026, 1, 2, 3, 4, 5, 678_901_000, time.UTC)}
	mini.SetTime(c.now)
	return c, rdb
}

func (c *clock) advance(d time.Duration) {
	c.now = c.now.Add(d)
	c.mini.SetTime(c.now)
}

// users is the gate of messages.users, without what the process remembers.
func (l *limits) users() *gate { return l.gates[gateKey{shop, tasks.EndpointMessagesUsers}] }

const (
	low    rank = 1
	middle rank = 2
	high   rank = 3
)

// asked is a permit for one call with n messages, asked from Redis itself.
func (g *gate) asked(t testing.TB, r rank, calls, messages int) (taken int, wait time.Duration) {
	t.Helper()
	taken, wait, err := g.ask(context.Background(), g.rates.Load(), r, calls, messages, 1, "", 0)
	if err != nil {
		t.Fatal(err)
	}
	return taken, wait
}

// grants checks what was granted against the rates, the simple way.
type grants []struct {
	at              time.Time
	calls, messages int
}

func (gs *grants) add(at time.Time, calls, messages int) {
	*gs = append(*gs, struct {
		at              time.Time
		calls, messages int
	}{at, calls, messages})
}

// over names a span with more than a rate allows. A single grant that alone is
// over the rate may be there by itself.
func (gs grants) over(l tasks.Limit) string {
	for i, last := range gs {
		for _, of := range []struct {
			what  string
			rates []tasks.Rate
		}{{"calls", l.Calls}, {"messages", l.Messages}} {
			for _, r := range of.rates {
				sum, n := 0, 0
				for _, g := range gs[:i+1] {
					if cost := map[string]int{"calls": g.calls, "messages": g.messages}[of.what]; last.at.Sub(g.at) < r.Per {
						if cost > 0 {
							n++
						}
						sum += cost
					}
				}
				if sum > r.Count && n > 1 {
					return fmt.Sprintf("%d %s in the %v before %v, limit %v", sum, of.what, r.Per, last.at, r)
				}
			}
		}
	}
	return ""
}

// TestNeverMoreThanTheLimit asks at random times for permits of random size, as
// several workers would, and looks at every span.
func TestNeverMoreThanTheLimit(t *testing.T) {
	t.Parallel()
	c, rdb := newClock(t)
	rapid.Check(t, func(rt *rapid.T) {
		c.mini.FlushAll()
		rate := func(label string) tasks.Rate {
			return tasks.Rate{
				Count: rapid.IntRange(1, 600).Draw(rt, label),
				Per:   time.Duration(rapid.SampledFrom([]int{1, 10, 60, 1800}).Draw(rt, label+" per")) * time.Second,
			}
		}
		l := tasks.Limit{Calls: []tasks.Rate{rate("calls"), rate("more calls")}, Messages: []tasks.Rate{rate("messages")}}
		gates := []*gate{newTestLimits(t, rdb, l).users(), newTestLimits(t, rdb, l).users()}
		most := max(1, l.Messages[0].Count-1) // with the one that its fetch took, not over the limit
		var gs grants
		for i := range rapid.IntRange(1, 80).Draw(rt, "steps") {
			c.advance(time.Duration(rapid.SampledFrom([]int{0, 1, 10, 100, 1000, 20_000, 500_000, 5_000_000, 700_000_000}).Draw(rt, "µs")) * time.Microsecond)
			g := gates[i%2]
			r := rank(rapid.IntRange(1, 3).Draw(rt, "rank"))
			messages := min(rapid.SampledFrom([]int{1, 1, 1, 2, 3, 60}).Draw(rt, "messages"), most)
			batch := rapid.SampledFrom([]int{1, 1, 1, 40}).Draw(rt, "batch")
			taken, wait, err := g.ask(context.Background(), g.rates.Load(), r, 1, messages, batch, "", 0)
			if err != nil {
				rt.Fatal(err)
			}
			for range taken {
				gs.add(c.now, 1, messages)
			}
			if taken == 0 && wait <= 0 {
				rt.Fatalf("nothing taken, and no time to wait")
			}
			if taken > 1 && taken > batch {
				rt.Fatalf("%d taken, asked for %d", taken, batch)
			}
			if taken == 1 && messages == 1 && rapid.Bool().Draw(rt, "give back") {
				g.giveBack(r, 1)
				gs = gs[:len(gs)-1]
			}
			if taken == 0 { // the wait is the truth, too, when nobody else comes
				c.advance(wait)
				if n, again := g.asked(t, r, 1, messages); n != 1 && again > 0 {
					// A second look may find the next bound, never the same.
					c.advance(again)
					if n, last := g.asked(t, r, 1, messages); n != 1 {
						rt.Fatalf("told to wait %v, then %v, then %v", wait, again, last)
					}
				}
				gs.add(c.now, 1, messages)
			}
		}
		if over := gs.over(l); over != "" {
			rt.Fatal(over)
		}
	})
}

// TestPaceIsEven drains a backlog as fast as it is let.
func TestPaceIsEven(t *testing.T) {
	t.Parallel()
	c, rdb := newClock(t)
	l := limit(t, "100/s", "6000/m")
	g := newTestLimits(t, rdb, l).users()
	var gs grants
	for end := c.now.Add(30 * time.Second); c.now.Before(end); {
		taken, wait := g.asked(t, low, 1, 1)
		if taken == 1 {
			gs.add(c.now, 1, 1)
		}
		c.advance(wait + 700*time.Microsecond) // a poll is never quite in time
	}
	if over := gs.over(l); over != "" {
		t.Error(over)
	}
	if n := len(gs); n < 2910 {
		t.Errorf("%d permits in 30 s, want at least 2910", n)
	}
	var widest time.Duration
	for i, g := range gs[1:] {
		widest = max(widest, g.at.Sub(gs[i].at))
	}
	if widest > 60*time.Millisecond {
		t.Errorf("the backlog left a gap of %v: it went in bursts", widest)
	}
	// An urgent task finds leave at once or with the next permit, although the
	// backlog has used all of the pace.
	if taken, wait := g.asked(t, high, 1, 1); taken == 0 && wait > 30*time.Millisecond {
		t.Errorf("an urgent task waits %v", wait)
	}
}

func TestLargeSendDelaysNoUrgentOne(t *testing.T) {
	t.Parallel()
	_, rdb := newClock(t)
	g := newTestLimits(t, rdb, limit(t, "100/s", "6000/m")).users()
	for _, n := range []int{1, 599} {
		if taken, wait := g.asked(t, low, 0, n); taken == 0 {
			t.Fatalf("%d messages wait %v", n, wait)
		}
	}
	if taken, wait := g.asked(t, low, 1, 1); taken != 0 || wait > 7*time.Second {
		t.Errorf("after 600 messages: %d taken, wait %v; want the pace to wait for them", taken, wait)
	}
	if taken, wait := g.asked(t, high, 1, 1); taken != 1 {
		t.Errorf("an urgent task waits %v for a campaign that left room", wait)
	}
}

func TestMoreThanTheWholeLimit(t *testing.T) {
	t.Parallel()
	c, rdb := newClock(t)
	g := newTestLimits(t, rdb, limit(t, "", "20/s")).users()
	for range 2 {
		if taken, wait := g.asked(t, middle, 0, 1); taken == 0 {
			t.Fatalf("the first message waits %v", wait)
		}
		c.advance(100 * time.Millisecond)
	}
	_, wait := g.asked(t, middle, 0, 49)
	if wait <= 0 {
		t.Fatal("50 messages are let through beside another")
	}
	c.advance(wait)
	if taken, wait := g.asked(t, middle, 0, 49); taken == 0 {
		t.Fatalf("50 messages wait %v, although nothing else was sent", wait)
	}
	if taken, _ := g.asked(t, high, 0, 1); taken != 0 {
		t.Error("a message beside 50, of 20")
	}
	c.advance(1100 * time.Millisecond)
	if taken, wait := g.asked(t, high, 0, 1); taken == 0 {
		t.Errorf("the next one waits %v more", wait)
	}
}

func TestLongSpans(t *testing.T) {
	t.Parallel()
	c, rdb := newClock(t)
	l := limit(t, "1/30m,3/d", "")
	var gs grants
	for end := c.now.Add(49 * time.Hour); c.now.Before(end); {
		// A worker that starts anew knows what was used.
		g := newTestLimits(t, rdb, l).users()
		taken, wait := g.asked(t, low, 1, 0)
		if taken == 1 {
			gs.add(c.now, 1, 0)
		}
		c.advance(wait)
		c.mini.FastForward(wait)
	}
	if over := gs.over(l); over != "" {
		t.Error(over)
	}
	if len(gs) != 8 { // three on each of two days, and two within the hour after
		t.Errorf("%d broadcasts in 49 hours, want 8", len(gs))
	}
	if second := gs[1].at.Sub(gs[0].at); second > 31*time.Minute {
		t.Errorf("the second broadcast waited %v", second)
	}
	// The state goes away when it is of no use any more.
	c.mini.FastForward(25 * time.Hour)
	if keys := c.mini.Keys(); len(keys) != 0 {
		t.Errorf("keys left after a day: %q", keys)
	}
}

func TestLogStaysSmall(t *testing.T) {
	t.Parallel()
	c, rdb := newClock(t)
	g := newTestLimits(t, rdb, limit(t, "1000000/m", "")).users()
	for range 3000 {
		g.asked(t, low, 1, 0)
		c.advance(30 * time.Millisecond)
	}
	fields, err := rdb.HLen(context.Background(), g.key).Result()
	must(t, err)
	if fields > logMax+20 {
		t.Errorf("%d fields", fields)
	}
}

func TestClockSetBack(t *testing.T) {
	t.Parallel()
	c, rdb := newClock(t)
	g := newTestLimits(t, rdb, limit(t, "2/s", "")).users()
	for _, back := range []time.Duration{300 * time.Millisecond, time.Hour} {
		for range 8 {
			_, wait := g.asked(t, high, 1, 0)
			c.advance(wait)
		}
		c.advance(-back)
		if _, wait := g.asked(t, high, 1, 0); wait > 2*time.Second {
			t.Errorf("clock set back by %v: the next call waits %v", back, wait)
		}
	}
}

func TestTakeAndGiveBack(t *testing.T) {
	t.Parallel()
	_, rdb := newClock(t)
	l := newTestLimits(t, rdb, limit(t, "1/30m", ""))
	ctx := context.Background()
	take := func(l *limits) bool { return l.take(ctx, shop, tasks.EndpointMessagesUsers, tasks.Low) }
	if !take(l) {
		t.Fatal("the first permit is refused")
	}
	if take(l) {
		t.Fatal("a second permit")
	}
	if wait := l.opens(shop, tasks.EndpointMessagesUsers, tasks.Low); wait <= 0 || wait > closedMax {
		t.Errorf("opens in %v", wait)
	}
	l.giveBack(shop, tasks.EndpointMessagesUsers, tasks.Low, 1)
	if wait := l.opens(shop, tasks.EndpointMessagesUsers, tasks.Low); wait != 0 {
		t.Errorf("a permit was given back, opens in %v", wait)
	}
	other := newTestLimits(t, rdb, limit(t, "1/30m", ""))
	if !take(other) {
		t.Error("what one worker gives back, another can't take")
	}
	if take(l) {
		t.Error("two workers hold a permit of one")
	}
	// Other endpoints and apps have limits of their own.
	if !l.take(ctx, shop, tasks.EndpointMessagesRooms, tasks.Low) || !l.take(ctx, "unknown", tasks.EndpointMessagesUsers, tasks.Low) {
		t.Error("another endpoint is stopped")
	}
}

func TestClosedEndpointAsksNothing(t *testing.T) {
	t.Parallel()
	_, rdb := newClock(t)
	counted := &countCommands{n: map[string]int{}}
	rdb.AddHook(counted)
	ctx := context.Background()
	l := newTestLimits(t, rdb, limit(t, "1/30m", ""))
	for range 1000 {
		l.take(ctx, shop, tasks.EndpointMessagesUsers, tasks.Low)
	}
	if n := counted.count("evalsha"); n > 2 {
		t.Errorf("%d scripts for one permit", n)
	}
	// High rates cost one script for many permits, no rate costs none.
	fast := newTestLimits(t, rdb, limit(t, "1000000/s", "1000000/s"))
	free := newTestLimits(t, rdb, tasks.Limit{})
	fast.users().lapse = time.Now().Add(time.Hour)
	before, taken := counted.count("evalsha"), 0
	for range 1000 {
		if !free.take(ctx, shop, tasks.EndpointMessagesUsers, tasks.High) {
			t.Fatal("refused without a limit")
		}
		if fast.take(ctx, shop, tasks.EndpointMessagesUsers, tasks.High) {
			taken++
		}
	}
	if n := counted.count("evalsha") - before; taken < 400 || n > 1000/10 {
		t.Errorf("%d permits with %d scripts", taken, n)
	}
}

func TestSlow(t *testing.T) {
	t.Parallel()
	c, rdb := newClock(t)
	ctx := context.Background()
	l := limit(t, "100/s", "")
	one, two := newTestLimits(t, rdb, l), newTestLimits(t, rdb, l)
	slow := func(l *limits, d errclass.Delay) time.Duration {
		l.slow(ctx, shop, tasks.EndpointMessagesUsers, d, 0)
		_, wait := two.users().asked(t, high, 1, 0)
		return wait
	}
	near := func(what string, got, want time.Duration) {
		t.Helper()
		if got < want*9/10 || got > want*11/10 {
			t.Errorf("%s: %v, want about %v", what, got, want)
		}
	}
	near("a lone 429 stops all workers for", slow(one, errclass.DelayRate), slowFirst)
	for range 20 { // the answers of calls that were in flight with it
		c.advance(2 * time.Millisecond)
		one.slow(ctx, shop, tasks.EndpointMessagesUsers, errclass.DelayRate, 60*time.Millisecond)
	}
	_, wait := two.users().asked(t, high, 1, 0)
	near("20 at the same time", wait, slowFirst-40*time.Millisecond)
	c.advance(40 * time.Millisecond) // a slow one among them, when the pause is over
	one.slow(ctx, shop, tasks.EndpointMessagesUsers, errclass.DelayRate, 100*time.Millisecond)
	if taken, wait := two.users().asked(t, high, 1, 0); taken != 1 {
		t.Errorf("a late answer of the same time begins a pause of %v", wait)
	}

	c.advance(time.Minute)
	near("one that comes a minute later", slow(two, errclass.DelayRate), slowFirst)
	for _, want := range []time.Duration{100, 200, 400, 800, 1000, 1000} {
		c.advance(2100 * time.Millisecond)
		c.advance(-100 * time.Millisecond)
		near("repeated", slow(one, errclass.DelayRate), want*time.Millisecond)
	}
	// The pace is slower now, and comes back.
	count := func() (n int) {
		for end := c.now.Add(time.Second); c.now.Before(end); {
			taken, wait := one.users().asked(t, high, 1, 0)
			n += taken
			c.advance(max(wait, time.Microsecond))
		}
		return n
	}
	c.advance(time.Second)
	if n := count(); n < 10 || n > 70 {
		t.Errorf("%d calls in the second after six pauses", n)
	}
	c.advance(20 * time.Second)
	if n := count(); n < 90 {
		t.Errorf("%d calls a second after a quiet time", n)
	}

	c.advance(5 * time.Minute)
	near("first of a limit a minute", slow(one, errclass.DelayMinute), slowMinute)
	for range 10 {
		c.advance(2 * time.Minute)
		wait = slow(one, errclass.DelayMinute)
	}
	near("last of a limit a minute", wait, slowMinuteMax)

	// Nobody has set a limit, yet there is one.
	free := newTestLimits(t, rdb, tasks.Limit{})
	c.advance(time.Hour)
	another := newTestLimits(t, rdb, tasks.Limit{})
	free.slow(ctx, shop, tasks.EndpointMessagesUsers, errclass.DelayRate, 0)
	if free.take(ctx, shop, tasks.EndpointMessagesUsers, tasks.High) {
		t.Error("a call during a pause")
	}
	if !another.take(ctx, shop, tasks.EndpointMessagesUsers, tasks.High) {
		t.Error("an endpoint without rates costs Redis something")
	}
	rdb.HSet(ctx, another.users().key, "pause", time.Now().Add(time.Second).UnixMicro()) // by the worker's clock
	must(t, another.refresh(ctx))
	if another.take(ctx, shop, tasks.EndpointMessagesUsers, tasks.High) {
		t.Error("another worker goes on during the pause")
	}
}

func TestOverride(t *testing.T) {
	t.Parallel()
	_, rdb := newClock(t)
	ctx := context.Background()
	store, err := dlq.New(dlq.Config{Redis: rdb})
	must(t, err)
	l := newTestLimits(t, rdb, limit(t, "1/d", ""))
	take := func() bool { return l.take(ctx, shop, tasks.EndpointMessagesUsers, tasks.Default) }
	if !take() || take() {
		t.Fatal("want one permit from the settings")
	}
	must(t, store.SetLimit(ctx, dlq.Limit{App: shop, Endpoint: tasks.EndpointMessagesUsers, Limit: limit(t, "3/d", ""), Reason: "bought more"}))
	must(t, l.refresh(ctx))
	if got := []bool{take(), take(), take()}; !slices.Equal(got, []bool{true, true, false}) {
		t.Errorf("three more: %v, want two of three a day: what was used counts", got)
	}
	must(t, store.ClearLimit(ctx, shop, tasks.EndpointMessagesUsers, dlq.Actor{}))
	must(t, l.refresh(ctx))
	if take() {
		t.Error("a permit after the limit went back to one")
	}
}

func TestLimitsWithoutRedis(t *testing.T) {
	t.Parallel()
	mini, rdb := redistest.Mini(t)
	ctx := context.Background()
	l := newTestLimits(t, rdb, limit(t, "100/s", ""))
	mini.SetError("LOADING")
	if l.take(ctx, shop, tasks.EndpointMessagesUsers, tasks.High) {
		t.Error("leave without Redis")
	}
	if _, err := l.wait(ctx, tasks.Task{ID: "t1", App: shop, Payload: text("u1"), Priority: tasks.High}, 1, 0); err == nil {
		t.Error("leave without Redis")
	}
	l.slow(ctx, shop, tasks.EndpointMessagesUsers, errclass.DelayRate, 0)
	mini.SetError("")
	if wait := l.opens(shop, tasks.EndpointMessagesUsers, tasks.High); wait <= 0 {
		t.Error("a 429 during an outage pauses nobody")
	}
	time.Sleep(fetchErrorPause)
	if !l.take(ctx, shop, tasks.EndpointMessagesUsers, tasks.High) {
		t.Error("no leave after the outage")
	}
}

// TestTwoWorkersShareALimit has several goroutines in two workers take what they
// can from a real Redis, and judges by the times that Redis has logged.
func TestTwoWorkersShareALimit(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redisserver.Options{})
	rdb := redistest.Client(t, server)
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Second)
	defer cancel()
	l := limit(t, "100/s", "")
	var all sync.WaitGroup
	var taken atomic.Int64
	for range 2 {
		worker := newTestLimits(t, rdb, l)
		for range 4 {
			all.Go(func() {
				for ctx.Err() == nil {
					if worker.take(context.Background(), shop, tasks.EndpointMessagesUsers, tasks.Low) {
						taken.Add(1)
					} else {
						time.Sleep(worker.opens(shop, tasks.EndpointMessagesUsers, tasks.Low))
					}
				}
			})
		}
	}
	// An entry of the log stays for a second.
	times := map[string]time.Time{}
	key := newTestLimits(t, rdb, l).users().key
	for last := false; !last; time.Sleep(100 * time.Millisecond) {
		last = ctx.Err() != nil
		fields, err := rdb.HGetAll(context.Background(), key).Result()
		must(t, err)
		for field, entry := range fields {
			if strings.HasPrefix(field, "c1:#") {
				at, n, _ := strings.Cut(entry, " ")
				if micro, err := strconv.ParseInt(at, 10, 64); err != nil || n != "1" {
					t.Fatalf("log entry %q", entry)
				} else {
					times[field] = time.UnixMicro(micro)
				}
			}
		}
	}
	all.Wait()
	gs := slices.SortedFunc(maps.Values(times), time.Time.Compare)
	if n := int(taken.Load()); n > len(gs)+2 || n < len(gs)-2 { // one or two at the end may have come after the last look
		t.Fatalf("%d permits taken, %d in the log", n, len(gs))
	}
	for i := range gs {
		if i >= 100 && gs[i].Sub(gs[i-100]) < time.Second {
			t.Errorf("101 permits within %v", gs[i].Sub(gs[i-100]))
		}
	}
	span := gs[len(gs)-1].Sub(gs[0])
	share := float64(len(gs)-1) / (100 * span.Seconds())
	t.Logf("%d permits in %v: %.1f %% of the limit", len(gs), span, 100*share)
	if share < 0.5 {
		t.Error("less than half of the limit was used")
	}
}

func TestLimitSettings(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		endpoint tasks.Endpoint
		limit    tasks.Limit
		bad      string
	}{
		"fine":             {tasks.EndpointMessagesUsers, limit(t, "500/s", "20000/m"), ""},
		"none":             {tasks.EndpointMessagesUsers, tasks.Limit{}, ""},
		"unknown endpoint": {"messages.nowhere", limit(t, "1/s", ""), "messages.nowhere"},
		"no count":         {tasks.EndpointMessagesUsers, tasks.Limit{Calls: []tasks.Rate{{Count: 0, Per: time.Second}}}, "messages.users: 0/s"},
		"half a second":    {tasks.EndpointMessagesUsers, tasks.Limit{Messages: []tasks.Rate{{Count: 1, Per: 500 * time.Millisecond}}}, "messages"},
		"a week":           {tasks.EndpointMessagesUsers, tasks.Limit{Calls: []tasks.Rate{{Count: 1, Per: 7 * 24 * time.Hour}}}, "7d"},
	} {
		err := App{Alias: shop, Limits: map[tasks.Endpoint]tasks.Limit{tc.endpoint: tc.limit}}.checkLimits()
		var field *tasks.FieldError
		if tc.bad == "" && err != nil || tc.bad != "" && (!errors.As(err, &field) || !strings.Contains(err.Error(), tc.bad)) {
			t.Errorf("%s: %v, want an error about %q", name, err, tc.bad)
		}
	}
}
