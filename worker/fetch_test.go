package worker

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/imqueue/emq/tasks"
	"github.com/imqueue/emq/tasks/redisserver"
	"github.com/imqueue/emq/tasks/redisserver/redistest"
	"github.com/imqueue/emq/worker/easemob/simulator"
)

// countCommands counts the commands that reach Redis, by name.
type countCommands struct {
	mu sync.Mutex
	n  map[string]int
}

func (c *countCommands) DialHook(next redis.DialHook) redis.DialHook { return next }
func (c *countCommands) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		c.add(cmd)
		return next(ctx, cmd)
	}
}

func (c *countCommands) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		c.add(cmds...)
		return next(ctx, cmds)
	}
}

// add also counts scripts by the last part of their first key.
func (c *countCommands) add(cmds ...redis.Cmder) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, cmd := range cmds {
		c.n[cmd.Name()]++
		c.n["all"]++
		if args := cmd.Args(); len(args) > 3 && strings.HasPrefix(cmd.Name(), "eval") {
			if key, ok := args[3].(string); ok {
				if name, part := splitQueueKey(key); part != "" {
					c.n[part]++
					c.n[name+" "+part]++
				}
			}
		}
	}
}

func (c *countCommands) count(name string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n[name]
}

// usersQueue is a queue of messages.users of the default app.
func usersQueue(p tasks.Priority) string {
	return tasks.QueueName(tasks.AppDefault, tasks.EndpointMessagesUsers, p)
}

// order is what the simulator executed, by task ID.
func (w *world) order() (ids []string) {
	for _, e := range w.sim.Executed() {
		ids = append(ids, e.EmqID)
	}
	return ids
}

// limited sets limits for the app of a worker's configuration.
func limited(limits map[tasks.Endpoint]tasks.Limit) func(*Config) {
	return func(c *Config) { c.Apps[0].Limits = limits }
}

// TestClosedEndpointKeepsItsTasks gives an endpoint one call in half an hour.
func TestClosedEndpointKeepsItsTasks(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Config{})
	ctx := context.Background()
	var ids []string
	for i := range 20 {
		ids = append(ids, w.enqueue(text("u1"), tasks.ID(fmt.Sprintf("m%d", i))))
	}
	worker, err := New(func() Config {
		c := w.config()
		limited(map[tasks.Endpoint]tasks.Limit{tasks.EndpointMessagesUsers: limit(t, "1/30m", "")})(&c)
		return c
	}())
	must(t, err)
	counted := &countCommands{n: map[string]int{}}
	worker.servers.AddHook(counted)
	w.run(worker)
	w.eventually("the first call", func() bool { return len(w.order()) == 1 })

	// Another endpoint of the family is not held up, and goes on meanwhile.
	room := tasks.Message{Target: tasks.Rooms, To: []string{"r1"}, From: "admin", Body: tasks.Text{Msg: "hi"}}
	for i := range 30 {
		room.To = []string{fmt.Sprint("r", i)}
		w.enqueue(room, tasks.WithPriority(tasks.Low))
	}
	w.eventually("the other endpoint's calls", func() bool {
		n, err := w.rdb.LLen(ctx, queueKey(tasks.QueueName(tasks.AppDefault, tasks.EndpointMessagesRooms, tasks.Low), keyPending)).Result()
		must(t, err)
		return n == 0
	})
	waiting, err := w.rdb.LRange(ctx, queueKey(usersQueue(tasks.Default), keyPending), 0, -1).Result()
	must(t, err)
	slices.Reverse(waiting) // asynq pops from the right
	if !slices.Equal(waiting, ids[1:]) {
		t.Errorf("waiting: %q, want all but the first in their order", waiting)
	}
	if n := counted.count(usersQueue(tasks.Default) + " " + keyPending); n > 2 { // and once more when Redis does not know the script
		t.Errorf("%d fetches from a closed endpoint's queue", n)
	}
}

type atomicDuration struct {
	mu sync.Mutex
	d  time.Duration
}

func (a *atomicDuration) get() time.Duration { a.mu.Lock(); defer a.mu.Unlock(); return a.d }
func (a *atomicDuration) set(d time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.d = d
}

// TestFetchWhenRedisForgetsScripts makes Redis answer NOSCRIPT now and then.
func TestFetchWhenRedisForgetsScripts(t *testing.T) {
	t.Parallel()
	w := newWorldOnRedis(t)
	w.start()
	for i := range 60 {
		w.enqueue(text("u1"), tasks.ID(fmt.Sprint("m", i)))
		if i%10 == 0 {
			must(t, w.rdb.ScriptFlush(context.Background()).Err())
		}
	}
	w.idle()
	w.noDeadLetters()
	for i := range 60 {
		if n := w.executed(fmt.Sprint("m", i)); n != 1 {
			t.Errorf("m%d executed %d times", i, n)
		}
	}
}

func newWorldOnRedis(t *testing.T) *world {
	t.Helper()
	server := redistest.Start(t, redisserver.Options{})
	return newWorldOn(t, server.URL(), redistest.Client(t, server), simulator.Config{})
}

// TestFetchOnCluster fetches from queues in several slots.
func TestFetchOnCluster(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redisserver.Options{Args: []string{"cluster-enabled yes", "cluster-require-full-coverage no"}})
	ctx := context.Background()
	must(t, redistest.Client(t, server).Do(ctx, "CLUSTER", "ADDSLOTSRANGE", 0, 16383).Err())
	url := server.URL() + "?cluster=true"
	rdb, err := tasks.OpenRedis(url)
	must(t, err)
	t.Cleanup(func() { _ = rdb.Close() })
	w := newWorldOn(t, url, rdb, simulator.Config{})
	w.eventually("the cluster", func() bool { return strings.Contains(rdb.ClusterInfo(ctx).Val(), "cluster_state:ok") })
	w.start()
	for i := range 30 {
		w.enqueue(text("u1"), tasks.ID(fmt.Sprint("m", i)), tasks.WithPriority(tasks.Priorities()[i%3]))
	}
	w.idle()
	w.noDeadLetters()
	for i := range 30 {
		if n := w.executed(fmt.Sprint("m", i)); n != 1 {
			t.Errorf("m%d executed %d times", i, n)
		}
	}
}

// TestIdleCost shows what an idle worker with all queues in use costs Redis.
func TestIdleCost(t *testing.T) {
	t.Parallel()
	w := newWorldOnRedis(t)
	ctx := context.Background()
	for _, name := range tasks.QueueNames(tasks.AppDefault) {
		must(t, w.rdb.SAdd(ctx, registerKey, name).Err())
	}
	cfg := w.config()
	cfg.Concurrency = ConcurrencyDefault
	worker, err := New(cfg)
	must(t, err)
	counted := &countCommands{n: map[string]int{}}
	worker.servers.AddHook(counted)
	worker.redis.AddHook(counted)
	w.run(worker)
	time.Sleep(500 * time.Millisecond)
	before, began := counted.count("all"), time.Now()
	time.Sleep(2 * time.Second)
	perSecond := float64(counted.count("all")-before) / time.Since(began).Seconds()
	t.Logf("%d queues, %d lanes: %.0f commands a second", len(tasks.QueueNames(tasks.AppDefault)), laneCount, perSecond)
	if n := counted.count(keyPending); n != 0 {
		t.Errorf("%d fetches from empty queues", n)
	}
}
