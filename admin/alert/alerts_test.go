package alert

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/imqueue/emq/dlq"
	"github.com/imqueue/emq/errclass"
	"github.com/imqueue/emq/tasks"
	"github.com/imqueue/emq/tasks/redisserver"
	"github.com/imqueue/emq/tasks/redisserver/redistest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// clock is the time of a test.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// box is a webhook that keeps what it gets, and answers with a status.
type box struct {
	*httptest.Server
	mu     sync.Mutex
	status int
	got    []Notice
	bodies []string
}

func newBox(t *testing.T) *box {
	t.Helper()
	b := &box{status: http.StatusOK}
	b.Server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		b.mu.Lock()
		defer b.mu.Unlock()
		rw.WriteHeader(b.status)
		if b.status != http.StatusOK {
			return
		}
		var event struct{ Data Notice }
		if err := json.Unmarshal(body, &event); err != nil {
			t.Errorf("%v: %s", err, body)
		}
		b.got, b.bodies = append(b.got, event.Data), append(b.bodies, string(body))
	}))
	t.Cleanup(b.Close)
	return b
}

func (b *box) answer(status int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.status = status
}

// told is what came, and forgets it.
func (b *box) told() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var told []string
	for _, n := range b.got {
		told = append(told, fmt.Sprintf("%s %s %d", n.Event, n.Fingerprint, n.Count))
	}
	b.got = nil
	slices.Sort(told)
	return told
}

func (b *box) channel(t *testing.T, name string) *Channel {
	t.Helper()
	c, err := NewChannel(ChannelConfig{Name: name, Type: "webhook", URL: b.URL})
	must(t, err)
	return c
}

// world is a store with Alerts on it, in a time of its own.
type world struct {
	t     *testing.T
	rdb   redis.UniversalClient
	store *dlq.Store
	clock *clock
	box   *box
	n     int // of dead letters
}

func newWorld(t *testing.T, rdb redis.UniversalClient) *world {
	t.Helper()
	w := &world{t: t, rdb: rdb, clock: &clock{at: time.Now().Truncate(time.Second)}, box: newBox(t)}
	client, err := tasks.NewClient(tasks.ClientConfig{Redis: rdb})
	must(t, err)
	w.store, err = dlq.New(dlq.Config{Redis: rdb, Client: client, Now: w.clock.now})
	must(t, err)
	must(t, rdb.SAdd(t.Context(), tasks.AppsKey, "shop").Err())
	return w
}

func miniWorld(t *testing.T) *world {
	t.Helper()
	_, rdb := redistest.Mini(t)
	return newWorld(t, rdb)
}

func (w *world) alerts(name string, change ...func(*Config)) *Alerts {
	w.t.Helper()
	cfg := Config{
		Store: w.store, Redis: w.rdb, Apps: []string{"shop"}, Channels: []*Channel{w.box.channel(w.t, "ops")}, Name: name,
		Link: "https://emq.example.com", Logger: slog.New(slog.DiscardHandler),
	}
	for _, c := range change {
		c(&cfg)
	}
	a, err := New(cfg)
	must(w.t, err)
	a.now, a.sendable, a.sendFor = w.clock.now, context.Background(), 10*time.Millisecond
	a.examined = w.clock.now().Add(1000 * time.Hour) // doctor has a test of its own
	w.t.Cleanup(a.sending.Wait)
	return a
}

// die makes so many dead letters of one cause.
func (w *world) die(word string, count int) {
	w.t.Helper()
	var puts sync.WaitGroup
	first := w.n
	w.n += count
	for part := range 16 {
		puts.Go(func() {
			for i := part; i < count; i += 16 {
				must(w.t, w.store.Put(w.t.Context(), dlq.Death{
					Task: tasks.Task{
						ID: fmt.Sprint("t", first+i), App: "shop", Payload: tasks.Message{Target: tasks.Users, To: []string{"u1"}, From: "a", Body: tasks.Text{Msg: "canary-text"}},
						Priority: tasks.Default, OnUnknown: tasks.Retry, MaxAttempts: 20, MaxAge: time.Hour, EnqueuedAt: w.clock.now(),
					},
					Verdict: errclass.Verdict{
						Class: errclass.ClassPermanent, Scope: errclass.ScopeJob, Rule: "rule-" + word, Status: 400, Error: word,
						Why: errclass.Text{En: "because of " + word, Zh: "因为 " + word}, Advice: errclass.Text{En: "mend " + word, Zh: "修复 " + word},
					},
					At: w.clock.now(),
				}))
			}
		})
	}
	puts.Wait()
}

func (w *world) cause(word string) string {
	w.t.Helper()
	causes, err := w.store.Causes(w.t.Context(), dlq.Filter{App: "shop"})
	must(w.t, err)
	for _, c := range causes {
		if c.Error == word {
			return c.ID
		}
	}
	w.t.Fatalf("no cause %s", word)
	return ""
}

// pass lets time pass in turns of a, and returns what was told. Of a long time not every
// turn is taken.
func (w *world) pass(a *Alerts, d time.Duration) []string {
	w.t.Helper()
	step := lookEvery
	if d > 15*time.Minute {
		step = 30 * time.Second
	}
	for ; d > 0; d -= step {
		w.clock.add(step)
		a.turn(w.t.Context())
	}
	a.sending.Wait()
	return w.box.told()
}

func (w *world) wants(got []string, want ...string) {
	w.t.Helper()
	if !slices.Equal(got, want) {
		w.t.Errorf("told %q, want %q", got, want)
	}
}

func TestOneCauseFromBeginningToEnd(t *testing.T) {
	t.Parallel()
	w := miniWorld(t)
	a := w.alerts("one")
	w.wants(w.pass(a, time.Minute))
	w.die("odd", 1)
	id := w.cause("odd")
	thing := "cause:shop:" + id
	w.wants(w.pass(a, lookEvery), "new "+thing+" 1")
	w.die("odd", 5)
	w.wants(w.pass(a, 10*time.Minute)) // more of it, but not much more
	w.die("odd", 6)
	w.wants(w.pass(a, time.Minute), "changed "+thing+" 12")
	w.wants(w.pass(a, 3*time.Hour+58*time.Minute))
	w.wants(w.pass(a, 2*time.Minute), "reminder "+thing+" 12")

	must(t, w.store.Acknowledge(t.Context(), "shop", id, dlq.Actor{Name: "ann"}))
	w.wants(w.pass(a, 5*time.Hour))
	for i := range 12 {
		must(t, w.store.Discard(t.Context(), "shop", fmt.Sprint("t", i), dlq.Actor{Name: "ann", Note: "old"}))
	}
	w.wants(w.pass(a, overAfter))
	w.wants(w.pass(a, overAfter), "resolved "+thing+" 12")
	w.wants(w.pass(a, 5*time.Hour))
	w.die("odd", 2)
	w.wants(w.pass(a, lookEvery), "new "+thing+" 2")

	for _, body := range w.box.bodies {
		if strings.Contains(body, "canary-text") {
			t.Errorf("an alert carries a message: %s", body)
		}
	}
	first := w.box.bodies[0]
	for _, part := range []string{"1 dead letter of one cause: because of odd", "mend odd", "修复 odd", "emq dlq list --app shop --cause " + id, "https://emq.example.com/causes/shop/" + id} {
		if !strings.Contains(first, part) {
			t.Errorf("the first alert lacks %q: %s", part, first)
		}
	}
}

// TestOutage has many messages die of one cause within ten minutes; with EMQ_EVIDENCE,
// 100,000.
func TestOutage(t *testing.T) {
	t.Parallel()
	letters := 12_000
	if os.Getenv("EMQ_EVIDENCE") != "" {
		letters = 100_000
	}
	w := newWorld(t, redistest.Client(t, redistest.Start(t, redisserver.Options{})))
	a := w.alerts("one")
	var told []string
	for range 60 {
		w.die("down", letters/60)
		told = append(told, w.pass(a, 10*time.Second)...)
	}
	t.Logf("%d dead letters in ten minutes: %q", w.n, told)
	if len(told) == 0 || len(told) > 3 || !strings.HasPrefix(told[0], "new cause:shop:") {
		t.Errorf("told %d times: %q", len(told), told)
	}
}

func TestFastGrowthIsToldOnce(t *testing.T) {
	t.Parallel()
	w := miniWorld(t)
	a := w.alerts("one", func(c *Config) { c.Pace = 30 })
	w.die("odd", 100)
	w.pass(a, 10*time.Minute)
	for range 5 { // some, but slowly
		w.die("odd", 20)
		w.wants(w.pass(a, time.Minute))
	}
	told := []string{}
	for range 15 {
		w.die("odd", 40)
		told = append(told, w.pass(a, time.Minute)...)
	}
	if len(told) != 1 || !strings.HasPrefix(told[0], "changed ") {
		t.Errorf("told %q", told)
	}
}

func TestHoldMutesDeadLetters(t *testing.T) {
	t.Parallel()
	w := miniWorld(t)
	a := w.alerts("one")
	_, err := w.store.SetHold(t.Context(), dlq.Hold{App: "shop", Rule: "bad-secret", Error: "invalid_grant", Status: 400, Why: errclass.Text{En: "the secret is wrong"}, Task: "t"})
	must(t, err)
	w.die("odd", 3)
	w.wants(w.pass(a, 10*time.Minute), "new hold:shop 0")
	must(t, w.store.ClearHold(t.Context(), "shop", "", dlq.Actor{Name: "ann"}))
	thing := "cause:shop:" + w.cause("odd")
	w.wants(w.pass(a, lookEvery), "new "+thing+" 3") // now it is what is left
	w.wants(w.pass(a, 2*overAfter), "resolved hold:shop 0")
}

func TestQuietCauses(t *testing.T) {
	t.Parallel()
	w := miniWorld(t)
	a := w.alerts("one")
	w.die("silenced", 1)
	w.die("ignored", 1)
	_, err := w.store.SetSilence(t.Context(), dlq.Silence{App: "shop", Cause: w.cause("silenced"), Until: w.clock.now().Add(time.Hour), By: "ann", Reason: "known"})
	must(t, err)
	must(t, w.store.Ignore(t.Context(), "shop", w.cause("ignored"), dlq.Actor{Name: "ann"}))
	w.wants(w.pass(a, 59*time.Minute))
	w.wants(w.pass(a, 2*time.Minute), "new cause:shop:"+w.cause("silenced")+" 1")
	must(t, w.store.Reopen(t.Context(), "shop", w.cause("ignored"), dlq.Actor{Name: "ann"}))
	w.wants(w.pass(a, time.Minute), "new cause:shop:"+w.cause("ignored")+" 1")
}

func TestManyCausesAreOneNotice(t *testing.T) {
	t.Parallel()
	w := miniWorld(t)
	a := w.alerts("one")
	for i := range 40 {
		w.die("odd-"+string(rune('a'+i%26))+strings.Repeat("x", i/26), i+1)
	}
	w.wants(w.pass(a, time.Minute), "new causes:shop 820")
	told := []string{}
	for i := range 60 { // a further one each 5 s
		w.die("more-"+string(rune('a'+i%26))+strings.Repeat("y", i/26), 1)
		told = append(told, w.pass(a, lookEvery)...)
	}
	if len(told) > 5*60/20 {
		t.Errorf("%d alerts in five minutes: %q", len(told), told)
	}
}

func TestBacklog(t *testing.T) {
	t.Parallel()
	w := miniWorld(t)
	a := w.alerts("one")
	client, err := tasks.NewClient(tasks.ClientConfig{Redis: w.rdb, App: "shop"})
	must(t, err)
	for range 3 {
		_, err := client.Enqueue(t.Context(), tasks.Message{Target: tasks.Users, To: []string{"u1"}, Body: tasks.Text{Msg: "x"}})
		must(t, err)
	}
	w.wants(w.pass(a, 9*time.Minute))
	w.wants(w.pass(a, 2*time.Minute), "new backlog:shop 3")
	queue := tasks.QueueNames("shop")
	for _, name := range queue {
		w.rdb.Del(t.Context(), "asynq:{"+name+"}:pending")
	}
	w.wants(w.pass(a, 2*overAfter), "resolved backlog:shop 3")
}

func TestDoctorsFindings(t *testing.T) {
	t.Parallel()
	w := newWorld(t, redistest.Client(t, redistest.Start(t, redisserver.Options{})))
	a := w.alerts("one")
	a.examined = time.Time{}
	must(t, w.rdb.ConfigSet(t.Context(), "maxmemory-policy", "allkeys-lru").Err())
	told := w.pass(a, lookEvery)
	if !slices.Contains(told, "new doctor:maxmemory-policy: 0") {
		t.Errorf("told %q", told)
	}
	must(t, w.rdb.ConfigSet(t.Context(), "maxmemory-policy", "noeviction").Err())
	if told := w.pass(a, examineEvery+2*overAfter); !slices.Contains(told, "resolved doctor:maxmemory-policy: 0") {
		t.Errorf("told %q", told)
	}
}

// TestOneTells has three processes look after an app: one of them tells, and when it is
// gone another one, which goes on where that one was.
func TestOneTells(t *testing.T) {
	t.Parallel()
	mini, rdb := redistest.Mini(t)
	w := newWorld(t, rdb)
	all := []*Alerts{w.alerts("one"), w.alerts("two"), w.alerts("three")}
	turn := func(alerts ...*Alerts) []string {
		w.clock.add(lookEvery)
		for _, a := range alerts {
			a.turn(t.Context())
			a.sending.Wait()
		}
		return w.box.told()
	}
	w.die("odd", 1)
	w.wants(turn(all...), "new cause:shop:"+w.cause("odd")+" 1")
	w.wants(turn(all...))
	w.die("more", 1)
	w.clock.add(newEvery)
	w.wants(turn(all[1:]...)) // the first has not been away for long enough
	mini.FastForward(time.Minute)
	w.wants(turn(all[1:]...), "new cause:shop:"+w.cause("more")+" 1")
}

// TestCrashBeforeSending: what was decided and not sent is sent by who takes over.
func TestCrashBeforeSending(t *testing.T) {
	t.Parallel()
	mini, rdb := redistest.Mini(t)
	w := newWorld(t, rdb)
	w.box.answer(http.StatusServiceUnavailable)
	w.die("odd", 1)
	w.wants(w.pass(w.alerts("one"), lookEvery))
	w.box.answer(http.StatusOK)
	mini.FastForward(time.Minute)
	next := w.alerts("two")
	w.wants(w.pass(next, lookEvery), "new cause:shop:"+w.cause("odd")+" 1")
	w.wants(w.pass(next, time.Minute))
	if open, err := Open(t.Context(), rdb, "shop"); err != nil || len(open) != 1 {
		t.Errorf("open alerts %+v, %v", open, err)
	}
}

func TestBrokenChannelIsToldByAnother(t *testing.T) {
	t.Parallel()
	w := miniWorld(t)
	broken := newBox(t)
	broken.answer(http.StatusForbidden)
	a := w.alerts("one", func(c *Config) { c.Channels = append(c.Channels, broken.channel(t, "pager")) })
	w.die("odd", 1)
	w.wants(w.pass(a, lookEvery), "new cause:shop:"+w.cause("odd")+" 1", "new channel:pager 0")
	w.die("more", 1)
	w.wants(w.pass(a, time.Minute), "new cause:shop:"+w.cause("more")+" 1") // that it fails is known
	broken.answer(http.StatusOK)
	w.die("third", 1)
	w.pass(a, time.Minute)
	w.wants(broken.told(), "new cause:shop:"+w.cause("third")+" 1")
}

func TestRedisOutOfReach(t *testing.T) {
	t.Parallel()
	mini, rdb := redistest.Mini(t)
	w := newWorld(t, rdb)
	mine, other := w.alerts("one"), w.alerts("two")
	mine.turn(t.Context())
	other.turn(t.Context())
	mini.SetError("LOADING it is away")
	w.wants(w.pass(other, time.Minute)) // it was not the one to tell
	w.wants(w.pass(mine, time.Minute), "new redis 0")
	mini.SetError("")
	w.wants(w.pass(mine, lookEvery), "resolved redis 0")
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for field, spoil := range map[string]func(*Config){
		"alert_remind":  func(c *Config) { c.Remind = time.Minute },
		"alert_backlog": func(c *Config) { c.Backlog = -time.Minute },
		"alert_link":    func(c *Config) { c.Link = "https://ann:pass@host" },
	} {
		cfg := Config{Apps: []string{"shop"}}
		spoil(&cfg)
		_, err := New(cfg)
		var refused *tasks.FieldError
		if !errors.As(err, &refused) || refused.Field != field || strings.Contains(err.Error(), "pass@") {
			t.Errorf("%s: %v", field, err)
		}
	}
}
