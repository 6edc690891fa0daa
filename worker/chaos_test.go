package worker

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"text/tabwriter"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"github.com/imqueue/emq/dlq"
	"github.com/imqueue/emq/tasks"
	"github.com/imqueue/emq/tasks/redisserver"
	"github.com/imqueue/emq/tasks/redisserver/redistest"
	"github.com/imqueue/emq/worker/easemob/simulator"
)

const (
	chaosShort   = 20 * time.Second // in every run of the tests; EMQ_CHAOS is another one
	chaosWorkers = 3
	chaosMakers  = 4
	chaosHeal    = 4 * time.Minute // for what is left, once all is well again
)

// TestChaos breaks everything that can break while messages flow, at random, and
// then accounts for every task whose enqueue was acknowledged. EMQ_CHAOS is how long,
// such as 10m; EMQ_CHAOS_SEED has the same done in the same order again. `make chaos`
// sets them.
func TestChaos(t *testing.T) {
	seed := rand.Uint64()
	if s := os.Getenv("EMQ_CHAOS_SEED"); s != "" {
		var err error
		seed, err = strconv.ParseUint(s, 10, 64)
		must(t, err)
	}
	runChaos(t, seed)
}

// TestChaosWorst repeats the beginning of the schedule whose ten minutes once sent 18 tasks
// again without a reason: the answer to their enqueue was lost.
func TestChaosWorst(t *testing.T) {
	runChaos(t, 20261126)
}

func runChaos(t *testing.T, seed uint64) {
	t.Helper()
	length := chaosShort
	if s := os.Getenv("EMQ_CHAOS"); s != "" {
		var err error
		length, err = time.ParseDuration(s)
		must(t, err)
	}
	t.Logf("chaos for %v with seed %d; again: make chaos CHAOS=%v SEED=%d", length, seed, length, seed)
	c := newChaos(t, seed, length)
	c.run()
	c.account()
}

type chaos struct {
	t      *testing.T
	random *rand.Rand // of the schedule
	deck   []int      // events to come
	length time.Duration
	server *redisserver.Server
	rdb    redis.UniversalClient // straight to Redis
	sim    *simulator.Simulator
	store  *dlq.Store

	workers, makers       *toxiproxy.Proxy // the ways to Redis
	workersURL, makersURL string
	easemob               string
	log                   *os.File // of all workers
	group                 string

	mu       sync.Mutex
	children [chaosWorkers]*exec.Cmd
	stopped  map[int]bool // by pid: SIGSTOP was sent
	events   map[string]int
	acked    map[string]tasks.OnUnknown
	refused  int // errors that producers met
	busiest  int // commands a second while Redis was full
}

func newChaos(t *testing.T, seed uint64, length time.Duration) *chaos {
	t.Helper()
	c := &chaos{
		t: t, random: rand.New(rand.NewPCG(seed, 1)), length: length, stopped: map[int]bool{},
		events: map[string]int{}, acked: map[string]tasks.OnUnknown{},
	}
	c.server = redistest.Start(t, redisserver.Options{Dir: t.TempDir(), AppendFsync: "always"})
	c.rdb = redistest.Client(t, c.server)
	var err error
	c.sim, err = simulator.New(simulator.Config{})
	must(t, err)
	easemob := httptest.NewServer(c.sim)
	t.Cleanup(easemob.Close)
	c.easemob = easemob.URL
	c.group, err = c.sim.CreateGroup("", simulator.Group{Owner: "boss"})
	must(t, err)
	api := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	c.workers, c.makers = c.way(api, "workers"), c.way(api, "makers")
	c.workersURL, c.makersURL = "redis://"+c.workers.Listen, "redis://"+c.makers.Listen
	client, err := tasks.NewClient(tasks.ClientConfig{Redis: c.rdb})
	must(t, err)
	c.store, err = dlq.New(dlq.Config{Redis: c.rdb, Client: client})
	must(t, err)
	c.log, err = os.Create(filepath.Join(t.TempDir(), "workers.log"))
	must(t, err)
	t.Cleanup(func() { _ = c.log.Close() })
	for _, f := range []simulator.Fault{
		{Path: "/messages/*", Probability: 0.02, Cut: simulator.CutAfter},
		{Path: "/messages/*", Probability: 0.02, Cut: simulator.CutBefore},
		{Path: "/messages/*", Probability: 0.02, Status: 502, Execute: true},
		{Path: "/messages/*", Probability: 0.03, Status: 503},
		{Path: "/messages/*", Probability: 0.02, Status: 429},
		{Path: "/messages/*", Probability: 0.02, Status: 400, Body: map[string]any{"error": "invalid_request", "error_description": "chaos"}},
		{Path: "/messages/*", Probability: 0.1, Latency: 300 * time.Millisecond},
	} {
		_, err := c.sim.AddFault(f)
		must(t, err)
	}
	return c
}

// way is a proxy before Redis.
func (c *chaos) way(api *toxiproxy.ApiServer, name string) *toxiproxy.Proxy {
	c.t.Helper()
	proxy := toxiproxy.NewProxy(api, name, "127.0.0.1:0", c.server.Addr())
	must(c.t, proxy.Start())
	c.t.Cleanup(proxy.Stop)
	return proxy
}

func (c *chaos) run() {
	var loops sync.WaitGroup
	live, end := context.WithCancel(context.Background()) // workers
	making, enough := context.WithCancel(context.Background())
	defer end()
	defer enough()
	var workers sync.WaitGroup
	for i := range chaosWorkers {
		workers.Go(func() { c.supervise(live, i) })
	}
	for i := range chaosMakers {
		loops.Go(func() { c.produce(making, i) })
	}
	loops.Go(func() { c.operate(making) })

	for until := time.Now().Add(c.length); time.Now().Before(until); {
		c.event()
		time.Sleep(time.Duration(c.random.IntN(1500)) * time.Millisecond)
	}
	c.sim.ClearFaults()
	enough() // each producer gets its last tasks through first
	loops.Wait()

	var waiting int
	deadline := time.Now().Add(chaosHeal)
	for time.Now().Before(deadline) {
		if waiting = c.waiting(); waiting == 0 {
			break
		}
		time.Sleep(200 * time.Millisecond)
	}
	if waiting > 0 {
		c.t.Errorf("%d tasks still wait %v after all was well again", waiting, chaosHeal)
	}
	end()
	c.mu.Lock()
	for _, child := range c.children {
		_ = child.Process.Signal(syscall.SIGTERM)
	}
	c.mu.Unlock()
	workers.Wait()
}

func (c *chaos) waiting() int {
	queues, err := c.store.Queues(context.Background(), tasks.AppDefault)
	if err != nil {
		return -1
	}
	n := 0
	for _, q := range queues {
		n += q.Pending + q.Active + q.Scheduled + q.Retry + q.Archived
	}
	return n
}

// supervise keeps a worker process running.
func (c *chaos) supervise(ctx context.Context, i int) {
	for ctx.Err() == nil {
		cmd := exec.Command(os.Args[0], "-test.run=^$")
		cmd.Env = append(os.Environ(), childEasemob+"="+c.easemob, childRedis+"="+c.workersURL)
		cmd.Stderr = c.log
		if err := cmd.Start(); err != nil {
			c.t.Error(err)
			return
		}
		c.mu.Lock()
		c.children[i] = cmd
		c.mu.Unlock()
		_ = cmd.Wait()
		time.Sleep(300 * time.Millisecond)
	}
}

// produce enqueues through a client of its own, and repeats what failed under the same ID.
func (c *chaos) produce(ctx context.Context, i int) {
	rdb, err := tasks.OpenRedis(c.makersURL)
	if err != nil {
		c.t.Error(err)
		return
	}
	defer func() { _ = rdb.Close() }()
	client, err := tasks.NewClient(tasks.ClientConfig{Redis: rdb, Timeout: 2 * time.Second})
	if err != nil {
		c.t.Error(err)
		return
	}
	random := rand.New(rand.NewPCG(uint64(i), 2))
	for n := 0; ctx.Err() == nil; n++ {
		task := tasks.Task{ID: fmt.Sprintf("p%d-%d", i, n), Payload: text(fmt.Sprintf("u%d", n%50)), OnUnknown: tasks.Retry, MaxAttempts: 10}
		switch random.IntN(10) {
		case 0:
			task.Payload = tasks.GroupAddMembers{GroupID: c.group, Usernames: []string{fmt.Sprintf("nobody%d-%d", i, n)}}
		case 1, 2:
			task.OnUnknown = tasks.Hold
		case 3, 4: // no ID: what is not acknowledged is not asked for
			list := slices.Repeat([]tasks.Task{{Payload: task.Payload, OnUnknown: tasks.Retry, MaxAttempts: 10}}, 5)
			receipts, err := client.EnqueueMany(context.Background(), list)
			if err != nil {
				c.t.Errorf("enqueue many: %v", err)
			}
			for _, r := range receipts {
				c.acknowledged(r.ID, tasks.Retry, r.Err)
			}
			time.Sleep(c.pause(random))
			continue
		}
		for start := time.Now(); ; {
			receipts, err := client.EnqueueMany(context.Background(), []tasks.Task{task})
			if err != nil {
				c.t.Errorf("enqueue %s: %v", task.ID, err)
				return
			}
			err = receipts[0].Err
			if errors.Is(err, tasks.ErrDuplicate) {
				err = nil
			}
			c.acknowledged(task.ID, task.OnUnknown, err)
			if err == nil {
				break
			}
			if time.Since(start) > chaosHeal {
				c.t.Errorf("enqueue %s still fails: %v", task.ID, err)
				return
			}
			time.Sleep(100 * time.Millisecond)
		}
		time.Sleep(c.pause(random))
	}
}

// pause is how long a producer waits for its next task: all together stay below the
// limits of the app, so that the end needs no time for a backlog.
func (c *chaos) pause(random *rand.Rand) time.Duration {
	return time.Duration(random.IntN(300)) * time.Millisecond
}

func (c *chaos) acknowledged(id string, onUnknown tasks.OnUnknown, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil {
		c.acked[id] = onUnknown
	} else {
		c.refused++
	}
}

// operate resends dead letters now and then, but not those of which nobody knows whether
// they were sent.
func (c *chaos) operate(ctx context.Context) {
	for ctx.Err() == nil {
		page, err := c.store.List(context.Background(), dlq.Filter{App: tasks.AppDefault, State: dlq.StateDead}, "", 50)
		if err == nil {
			for i, entry := range page.Entries {
				if i%2 == 0 && entry.Reason != dlq.ReasonUnknownOutcome && entry.Generation < 3 {
					if c.store.Resend(context.Background(), tasks.AppDefault, entry.ID, dlq.Actor{Name: "chaos"}) == nil {
						c.count("resend")
					}
				}
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
}

func (c *chaos) count(what string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.events[what]++
}

// event breaks one thing, and mends it where nothing else does. Of 20 in a row none
// comes more often than it should.
func (c *chaos) event() {
	if len(c.deck) == 0 {
		c.deck = c.random.Perm(20)
	}
	card := c.deck[0]
	c.deck = c.deck[1:]
	some := func(least, most int) time.Duration { // seconds
		return time.Duration(least)*time.Second + time.Duration(c.random.IntN((most-least)*1000))*time.Millisecond
	}
	one := c.random.IntN(chaosWorkers)
	proxy := []*toxiproxy.Proxy{c.workers, c.makers}[c.random.IntN(2)]
	switch what := card; {
	case what < 4:
		c.signal("kill a worker", one, syscall.SIGKILL)
	case what < 6:
		c.signal("SIGTERM to a worker", one, syscall.SIGTERM)
	case what < 8:
		pause, name := some(1, 5), "stop a worker"
		if c.length > 2*time.Minute && what == 7 {
			pause, name = some(33, 50), "stop a worker for longer than its leases"
		}
		if pid := c.signal(name, one, syscall.SIGSTOP); pid != 0 {
			time.AfterFunc(pause, func() { _ = syscall.Kill(pid, syscall.SIGCONT) })
			c.t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGCONT) })
		}
	case what < 11:
		c.count("kill Redis")
		if err := c.server.Kill(); err != nil {
			c.t.Error(err)
		}
		time.Sleep(some(0, 3))
		if err := c.server.Restart(context.Background()); err != nil {
			c.t.Error(err)
		}
	case what < 14:
		c.count("cut connections")
		proxy.Stop()
		time.Sleep(some(0, 1))
		for proxy.Start() != nil { // a connection may have taken the port
			time.Sleep(10 * time.Millisecond)
		}
	case what < 16:
		c.toxic("slow connections", proxy, `{"type":"latency","attributes":{"latency":150,"jitter":150}}`, some(1, 4))
	case what < 17:
		c.toxic("cut answers in the middle", proxy, fmt.Sprintf(`{"type":"limit_data","attributes":{"bytes":%d}}`, 100+c.random.IntN(5000)), some(1, 3))
	case what < 18:
		c.toxic("swallow answers", proxy, `{"type":"timeout","attributes":{"timeout":0}}`, some(1, 4))
	default:
		c.full(some(1, 4))
	}
}

func (c *chaos) signal(what string, i int, signal syscall.Signal) (pid int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.children[i] == nil || c.children[i].Process.Signal(signal) != nil {
		return 0
	}
	c.events[what]++
	return c.children[i].Process.Pid
}

func (c *chaos) toxic(what string, proxy *toxiproxy.Proxy, toxic string, length time.Duration) {
	c.count(what)
	added, err := proxy.Toxics.AddToxicJson(strings.NewReader(toxic))
	if err != nil {
		c.t.Error(err)
		return
	}
	time.Sleep(length)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := proxy.Toxics.RemoveToxic(ctx, added.Name); err != nil {
		c.t.Error(err)
	}
}

// full has Redis refuse writes for want of memory.
func (c *chaos) full(length time.Duration) {
	ctx := context.Background()
	c.count("fill Redis")
	if err := c.rdb.ConfigSet(ctx, "maxmemory", "100kb").Err(); err != nil {
		c.t.Error(err)
		return
	}
	before := c.commands()
	time.Sleep(length)
	c.busiest = max(c.busiest, int(float64(c.commands()-before)/length.Seconds()))
	if err := c.rdb.ConfigSet(ctx, "maxmemory", "0").Err(); err != nil {
		c.t.Error(err)
	}
}

func (c *chaos) commands() int {
	text, _ := c.rdb.Info(context.Background(), "stats").Result()
	for line := range strings.Lines(text) {
		if n, is := strings.CutPrefix(strings.TrimSpace(line), "total_commands_processed:"); is {
			count, _ := strconv.Atoi(n)
			return count
		}
	}
	return 0
}

var chaosLine = regexp.MustCompile(`msg=attempt task_id=(\S+) .*`)

// reasons are, for each task, how often its outcome was unknown, and how many of its
// attempts did not end because their lease did, by the log of the workers.
func (c *chaos) reasons() (unknown, deaths map[string]int) {
	unknown, deaths = map[string]int{}, map[string]int{}
	_, err := c.log.Seek(0, 0)
	must(c.t, err)
	lines := bufio.NewScanner(c.log)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		found := chaosLine.FindStringSubmatch(lines.Text())
		if found == nil {
			continue
		}
		id := found[1]
		if strings.Contains(found[0], " outcome_unknown=true") {
			unknown[id]++
		}
		if _, after, is := strings.Cut(found[0], " deaths="); is {
			n, _ := strconv.Atoi(strings.Fields(after)[0])
			deaths[id] = max(deaths[id], n)
		}
	}
	must(c.t, lines.Err())
	return unknown, deaths
}

// queued are the tasks that are in Redis.
func (c *chaos) queued() map[string]bool {
	all := map[string]bool{}
	keys := c.rdb.Scan(context.Background(), 0, "asynq:*:t:*", 1000).Iterator()
	for keys.Next(context.Background()) {
		_, id, _ := strings.Cut(keys.Val(), "}:t:")
		id, _ = tasks.SplitQueueID(id)
		all[id] = true
	}
	must(c.t, keys.Err())
	return all
}

// account says what became of every task whose enqueue was acknowledged.
func (c *chaos) account() {
	executed := c.sim.EmqIDs()
	unknown, deaths := c.reasons()
	queued := c.queued()
	var delivered, dead, waiting, lost, twice, byUnknown, byLease, unexplained, broken int
	for id, onUnknown := range c.acked {
		n := executed[id]
		entry, err := c.store.Get(context.Background(), tasks.AppDefault, id)
		switch {
		case n > 0:
			delivered++
		case err == nil && entry.State == dlq.StateDead:
			dead++
		case queued[id]:
			waiting++
		default:
			lost++
			c.t.Errorf("%s is lost: not executed, no dead letter (%v)", id, err)
		}
		if n <= 1 {
			continue
		}
		twice += n - 1
		byUnknown += min(n-1, unknown[id])
		byLease += max(0, min(n-1-unknown[id], deaths[id]))
		if rest := n - 1 - unknown[id] - deaths[id]; rest > 0 {
			unexplained += rest
			c.t.Errorf("%s was sent %d times; %d unknown outcomes and %d leases that ended do not explain that", id, n, unknown[id], deaths[id])
		}
		if onUnknown == tasks.Hold {
			broken++
			c.t.Errorf("%s was sent %d times, although it may be only once", id, n)
		}
	}
	var out strings.Builder
	table := tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)
	row := func(what string, n int) { _, _ = fmt.Fprintf(table, "%s\t%d\n", what, n) }
	for _, what := range slices.Sorted(maps.Keys(c.events)) {
		row(what, c.events[what])
	}
	row("errors that producers met", c.refused)
	row("commands a second while full", c.busiest)
	row("acknowledged tasks", len(c.acked))
	row("  delivered", delivered)
	row("  dead letters", dead)
	row("  still queued", waiting)
	row("  lost", lost)
	row("sent more than once", twice)
	row("  after an unknown outcome", byUnknown)
	row("  after a lease that ended", byLease)
	row("  not explained", unexplained)
	row("sent twice against on_unknown: hold", broken)
	_ = table.Flush()
	c.t.Logf("the account:\n%s", &out)
	if len(c.acked) == 0 || delivered == 0 || dead == 0 {
		c.t.Error("nothing was shown: there must be tasks that are delivered, and some that are dead letters")
	}
	if c.busiest > 10_000 {
		c.t.Errorf("%d commands a second while Redis was full: somebody spins", c.busiest)
	}
}
