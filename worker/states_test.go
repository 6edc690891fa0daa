package worker

import (
	"context"
	"fmt"
	"net"
	"strconv"
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

// TestRedisStates has a worker and a client ride out what Redis can answer: each task
// that was acknowledged is delivered.
func TestRedisStates(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for name, trouble := range map[string]func(t *testing.T, server *redisserver.Server, rdb redis.UniversalClient){
		"NOSCRIPT": func(t *testing.T, _ *redisserver.Server, rdb redis.UniversalClient) {
			for range 5 {
				must(t, rdb.ScriptFlush(ctx).Err())
				time.Sleep(100 * time.Millisecond)
			}
		},
		"NOSCRIPT after a restart": func(t *testing.T, server *redisserver.Server, _ redis.UniversalClient) {
			must(t, server.Kill())
			must(t, server.Restart(ctx))
		},
		"READONLY": func(t *testing.T, _ *redisserver.Server, rdb redis.UniversalClient) {
			// A replica of nobody: it keeps its data, and refuses writes.
			l, err := net.Listen("tcp", "127.0.0.1:0")
			must(t, err)
			_, port, _ := net.SplitHostPort(l.Addr().String())
			must(t, l.Close())
			must(t, rdb.Do(ctx, "REPLICAOF", "127.0.0.1", port).Err())
			time.Sleep(time.Second)
			must(t, rdb.Do(ctx, "REPLICAOF", "NO", "ONE").Err())
		},
		"LOADING": func(t *testing.T, server *redisserver.Server, rdb redis.UniversalClient) {
			must(t, rdb.Do(ctx, "DEBUG", "POPULATE", 20000, "filler").Err())
			must(t, rdb.BgRewriteAOF(ctx).Err())
			time.Sleep(300 * time.Millisecond)
			must(t, server.Kill())
			must(t, server.Restart(ctx))
		},
		"OOM": func(t *testing.T, _ *redisserver.Server, rdb redis.UniversalClient) {
			must(t, rdb.ConfigSet(ctx, "maxmemory", "100kb").Err())
			before := commands(t, rdb)
			time.Sleep(2 * time.Second)
			if n := (commands(t, rdb) - before) / 2; n > 5000 {
				t.Errorf("%d commands a second while Redis is full: somebody spins", n)
			}
			must(t, rdb.ConfigSet(ctx, "maxmemory", "0").Err())
		},
		"flushed": func(t *testing.T, _ *redisserver.Server, rdb redis.UniversalClient) {
			must(t, rdb.FlushAll(ctx).Err())
		},
	} {
		t.Run(name, func(t *testing.T) {
			server := redistest.Start(t, redisserver.Options{Dir: t.TempDir(), AppendFsync: "always", Args: []string{
				"enable-debug-command yes", "key-load-delay 50", // microseconds: it loads for a second
			}})
			w := newWorldOn(t, server.URL(), redistest.Client(t, server), simulator.Config{})
			w.start(func(c *Config) { c.Concurrency = 16 })
			made := &maker{t: t, url: server.URL()}
			stop := made.start()
			w.eventually("some work", func() bool { return len(w.sim.Executed()) > 20 })
			trouble(t, server, w.rdb)
			after := len(w.sim.Executed())
			w.eventually("work after it", func() bool { return len(w.sim.Executed()) > after+20 })
			stop()
			lost := made.lost(w)
			t.Logf("%s: %d acknowledged, %d lost; %d enqueues met an error", name, len(made.acked), lost, made.failed)
			if lost > 0 && name != "flushed" {
				t.Errorf("%d of %d acknowledged tasks are lost", lost, len(made.acked))
			}
			// Also what was flushed is made good: the register of queues, and of apps.
			w.eventually("the registers", func() bool {
				return w.rdb.SIsMember(ctx, registerKey, usersQueue(tasks.Default)).Val() && w.rdb.SIsMember(ctx, tasks.AppsKey, tasks.AppDefault).Val()
			})
		})
	}
}

// commands is how many commands Redis has run.
func commands(t *testing.T, rdb redis.UniversalClient) int {
	t.Helper()
	text, err := rdb.Info(context.Background(), "stats").Result()
	must(t, err)
	_, after, _ := strings.Cut(text, "total_commands_processed:")
	n, err := strconv.Atoi(strings.TrimSpace(strings.SplitN(after, "\n", 2)[0]))
	must(t, err)
	return n
}

// A maker enqueues messages through a client of its own, and repeats each under its ID
// until it is acknowledged.
type maker struct {
	t      *testing.T
	url    string
	change func(*tasks.ClientConfig)

	mu     sync.Mutex
	acked  []string
	failed int
}

func (m *maker) start() (stop func()) {
	m.t.Helper()
	rdb, err := tasks.OpenRedis(m.url)
	must(m.t, err)
	cfg := tasks.ClientConfig{Redis: rdb, Timeout: 3 * time.Second}
	if m.change != nil {
		m.change(&cfg)
	}
	client, err := tasks.NewClient(cfg)
	must(m.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	var loops sync.WaitGroup
	for i := range 4 {
		loops.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				id := fmt.Sprintf("m%d-%d", i, n)
				for started := time.Now(); ; {
					_, err := client.Enqueue(context.Background(), text("u1"), tasks.ID(id))
					m.mu.Lock()
					if err == nil || strings.Contains(err.Error(), tasks.ErrDuplicate.Error()) {
						m.acked = append(m.acked, id)
						m.mu.Unlock()
						break
					}
					m.failed++
					m.mu.Unlock()
					if time.Since(started) > time.Minute {
						m.t.Errorf("%s: %v", id, err)
						return
					}
					time.Sleep(50 * time.Millisecond)
				}
				time.Sleep(60 * time.Millisecond)
			}
		})
	}
	stop = sync.OnceFunc(func() { cancel(); loops.Wait(); _ = rdb.Close() })
	m.t.Cleanup(stop)
	return stop
}

// lost waits until nothing waits any more, and counts the acknowledged tasks that were
// neither executed nor became a dead letter.
func (m *maker) lost(w *world) int {
	m.t.Helper()
	ctx := context.Background()
	w.eventually("an end of what waits", func() bool {
		queues, err := w.store.Queues(ctx, tasks.AppDefault)
		n := 0
		for _, q := range queues {
			n += q.Pending + q.Active + q.Scheduled + q.Retry
		}
		return err == nil && n == 0
	})
	executed := map[string]bool{}
	for _, e := range w.sim.Executed() {
		executed[e.EmqID] = true
	}
	lost := 0
	for _, id := range m.acked {
		if executed[id] {
			continue
		}
		if _, err := w.store.Get(ctx, tasks.AppDefault, id); err != nil {
			lost++
		}
	}
	return lost
}
