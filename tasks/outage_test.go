package tasks

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"github.com/imqueue/emq/tasks/redisserver"
	"github.com/imqueue/emq/tasks/redisserver/redistest"
)

// outage is a way in which Redis does not do what it should.
type outage struct {
	name string
	// url makes a Redis in that state.
	url func(t *testing.T) string
	// says is in every error. When it is empty, nothing came back that could be told.
	says string
}

func outages() []outage {
	running := func(t *testing.T, o redisserver.Options, do func(context.Context, *redisserver.Server, redis.UniversalClient)) string {
		server := redistest.Start(t, o)
		do(context.Background(), server, redistest.Client(t, server))
		return server.URL()
	}
	return []outage{
		{"refuses connections", func(t *testing.T) string {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			must(t, err)
			defer func() { _ = l.Close() }()
			return "redis://" + l.Addr().String()
		}, "could not be reached"},
		{"accepts and never answers", func(t *testing.T) string {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			must(t, err)
			t.Cleanup(func() { _ = l.Close() })
			return "redis://" + l.Addr().String()
		}, ""},
		{"is stopped", func(t *testing.T) string {
			return running(t, redisserver.Options{}, func(_ context.Context, s *redisserver.Server, _ redis.UniversalClient) {
				pid := s.Pid()
				must(t, syscall.Kill(pid, syscall.SIGSTOP))
				t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGCONT) }) // before Stop
			})
		}, ""},
		{"is full", func(t *testing.T) string {
			return running(t, redisserver.Options{}, func(ctx context.Context, _ *redisserver.Server, rdb redis.UniversalClient) {
				must(t, rdb.ConfigSet(ctx, "maxmemory", "100kb").Err())
			})
		}, "OOM"},
		{"is a replica", func(t *testing.T) string {
			master := redistest.Start(t, redisserver.Options{})
			return running(t, redisserver.Options{}, func(ctx context.Context, _ *redisserver.Server, rdb redis.UniversalClient) {
				host, port, _ := net.SplitHostPort(master.Addr())
				must(t, rdb.Do(ctx, "REPLICAOF", host, port).Err())
			})
		}, "READONLY"},
		{"can't persist", func(t *testing.T) string {
			return running(t, redisserver.Options{}, func(ctx context.Context, _ *redisserver.Server, rdb redis.UniversalClient) {
				must(t, rdb.ConfigSet(ctx, "min-replicas-to-write", "1").Err())
			})
		}, "NOREPLICAS"},
	}
}

// TestOutages: whatever is wrong with Redis, an enqueue ends soon, and says what is and
// whether the task may be queued.
func TestOutages(t *testing.T) {
	t.Parallel()
	for _, o := range outages() {
		t.Run(o.name, func(t *testing.T) {
			t.Parallel()
			rdb, err := OpenRedis(o.url(t))
			must(t, err)
			t.Cleanup(func() { _ = rdb.Close() })
			client, err := NewClient(ClientConfig{Redis: rdb, Timeout: 2 * time.Second})
			must(t, err)
			many := make([]Task, 700)
			for i := range many {
				many[i] = Task{Payload: text("u1")}
			}
			type result struct {
				what string
				err  error
			}
			results := make(chan result)
			go func() {
				_, err := client.Enqueue(context.Background(), text("u1"), ID("given"))
				results <- result{"given ID", err}
				_, err = client.Enqueue(context.Background(), text("u1"))
				results <- result{"made-up ID", err}
				receipts, err := client.EnqueueMany(context.Background(), many)
				if err == nil {
					err = receipts[len(receipts)-1].Err
				}
				results <- result{"many", err}
			}()
			for range 3 {
				select {
				case r := <-results:
					if r.err == nil || !strings.Contains(r.err.Error(), o.says) {
						t.Errorf("%s: %v, want an error that says %q", r.what, r.err, o.says)
					}
					maybe, not := errors.Is(r.err, ErrMaybeQueued), r.err != nil && strings.Contains(r.err.Error(), "not queued")
					if maybe == not {
						t.Errorf("%s: %v does not say whether it may be queued", r.what, r.err)
					}
					if maybe && o.says != "" {
						t.Errorf("%s: %v, but Redis has refused it", r.what, r.err)
					}
				case <-time.After(time.Minute):
					t.Fatal("an enqueue does not end")
				}
			}
		})
	}
}

// TestCutConnections has 64 goroutines enqueue 100,000 tasks through a proxy that
// cuts connections at random. Each is repeated until it is acknowledged, and is there
// exactly once, whether or not an acknowledgement of it was lost.
func TestCutConnections(t *testing.T) {
	t.Parallel()
	const makers, each = 64, 1563
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	server := redistest.Start(t, redisserver.Options{})
	proxy := toxiproxy.NewProxy(toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop()), "redis", "127.0.0.1:0", server.Addr())
	must(t, proxy.Start())
	t.Cleanup(proxy.Stop)
	rdb, err := OpenRedis("redis://" + proxy.Listen + "?max_retries=-1") // or go-redis would hide most
	must(t, err)
	t.Cleanup(func() { _ = rdb.Close() })
	client, err := NewClient(ClientConfig{Redis: rdb, Timeout: 5 * time.Second})
	must(t, err)

	var maybe, not, repeated, lost atomic.Int64
	var enqueues sync.WaitGroup
	for m := range makers {
		enqueues.Go(func() {
			for n := range each {
				id := fmt.Sprintf("t%d-%d", m, n)
				unsure := false
				for try := 0; ; try++ {
					_, err := client.Enqueue(context.Background(), text("u1"), ID(id))
					if errors.Is(err, ErrDuplicate) {
						if !unsure {
							t.Errorf("%s: %v, but nothing was said of it being queued", id, err)
						}
						lost.Add(1)
						err = nil
					}
					if err == nil {
						break
					}
					if errors.Is(err, ErrMaybeQueued) {
						unsure = true
						maybe.Add(1)
					} else {
						not.Add(1)
					}
					repeated.Add(1)
					if try > 200 {
						t.Errorf("%s: %v", id, err)
						return
					}
					time.Sleep(5 * time.Millisecond)
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { enqueues.Wait(); close(done) }()
	cuts := 0
	for running := true; running; {
		select {
		case <-done:
			running = false
		case <-time.After(time.Duration(20+random.IntN(100)) * time.Millisecond):
			proxy.Stop()               // cuts all connections, in the middle of whatever is on the way
			for proxy.Start() != nil { // a connection may have taken the port
				time.Sleep(time.Millisecond)
			}
			cuts++
		}
	}
	ctx, direct := context.Background(), redistest.Client(t, server)
	queue := Task{App: AppDefault, Payload: text("u1"), Priority: Default}.Queue()
	ids, err := direct.LRange(ctx, "asynq:{"+queue+"}:pending", 0, -1).Result()
	must(t, err)
	times := map[string]int{}
	for _, id := range ids {
		times[id]++
	}
	for m := range makers {
		for n := range each {
			if id := fmt.Sprintf("t%d-%d", m, n); times[id] != 1 {
				t.Errorf("%s is queued %d times", id, times[id])
			}
		}
	}
	if len(ids) != makers*each {
		t.Errorf("%d tasks queued, want %d", len(ids), makers*each)
	}
	if lost.Load() == 0 {
		t.Error("no acknowledgement was lost: nothing is shown")
	}
	t.Logf("seed %d: %d tasks, %d cuts; %d enqueues repeated (%d not queued, %d maybe queued), %d of them had lost their acknowledgement; each is there once",
		seed, len(ids), cuts, repeated.Load(), not.Load(), maybe.Load(), lost.Load())
}
