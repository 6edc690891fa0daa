package tasks

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/imqueue/emq/tasks/redisserver"
	"github.com/imqueue/emq/tasks/redisserver/redistest"
)

// cutter is a TCP proxy before Redis that cuts connections in the middle of
// writes: requests that run a script.
type cutter struct {
	listener net.Listener
	redis    string
	wg       sync.WaitGroup

	mu     sync.Mutex
	conns  map[net.Conn]struct{}
	writes int  // writes seen
	from   int  // the first write that is cut, from 1; 0 for none
	times  int  // how many are cut
	lose   bool // the request is lost, not the reply
}

func newCutter(t *testing.T, addr string) *cutter {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cutter{listener: l, redis: addr, conns: map[net.Conn]struct{}{}}
	c.wg.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			c.wg.Go(func() { c.serve(client) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		c.mu.Lock()
		for conn := range c.conns {
			_ = conn.Close()
		}
		c.mu.Unlock()
		c.wg.Wait()
	})
	return c
}

// arm cuts the next writes: times of them, beginning with the from-th.
func (c *cutter) arm(from, times int, lose bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.writes, c.from, c.times, c.lose = 0, from, times, lose
}

// cut counts a write and says whether it is one to cut.
func (c *cutter) cut() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.writes++
	return c.from > 0 && c.writes >= c.from && c.writes < c.from+c.times
}

func (c *cutter) track(conn net.Conn) func() {
	c.mu.Lock()
	c.conns[conn] = struct{}{}
	c.mu.Unlock()
	return func() {
		c.mu.Lock()
		delete(c.conns, conn)
		c.mu.Unlock()
		_ = conn.Close()
	}
}

// serve hands one request at a time to Redis and its reply back. go-redis
// writes a pipeline at once and reads all of its replies before the next.
func (c *cutter) serve(client net.Conn) {
	defer c.track(client)()
	server, err := net.Dial("tcp", c.redis)
	if err != nil {
		return
	}
	defer c.track(server)()
	buf := make([]byte, 1<<20)
	replies := make(chan []byte)
	go func() {
		defer close(replies)
		answer := make([]byte, 1<<20)
		for {
			n, err := server.Read(answer)
			if err != nil {
				return
			}
			replies <- bytes.Clone(answer[:n])
		}
	}()
	defer func() {
		_ = server.Close()
		for range replies { // let the reader end
		}
	}()
	requests := make(chan []byte)
	ended := make(chan struct{})
	defer close(ended)
	go func() {
		defer close(requests)
		for {
			n, err := client.Read(buf)
			if err != nil {
				return
			}
			select {
			case requests <- bytes.Clone(buf[:n]):
			case <-ended:
				return
			}
		}
	}()
	for {
		select {
		case request, ok := <-requests:
			if !ok {
				return
			}
			write := bytes.Contains(bytes.ToLower(request), []byte("\r\neval"))
			cut := write && c.cut()
			if cut && c.lose {
				return
			}
			if _, err := server.Write(request); err != nil {
				return
			}
			if cut {
				<-replies // executed; nobody hears of it
				return
			}
		case reply, ok := <-replies:
			if !ok {
				return
			}
			if _, err := io.Copy(client, bytes.NewReader(reply)); err != nil {
				return
			}
		}
	}
}

// TestLostReplies cuts the connection at each write of an enqueue, before and
// after Redis executed it, once (go-redis repeats) and for as long as go-redis
// repeats (the caller does).
func TestLostReplies(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, redisserver.Options{})
	direct := redistest.Client(t, s)
	const retries = 2 // go-redis' own repetitions
	n := 0
	for _, given := range []bool{true, false} {
		for _, lose := range []bool{false, true} {
			for from := 1; from <= 3; from++ {
				for _, times := range []int{1, retries + 1} {
					name := fmt.Sprintf("given %v, lost request %v, write %d, %d times", given, lose, from, times)
					app := fmt.Sprintf("app%d", n) // keeps the cases apart in one Redis
					n++
					t.Run(name, func(t *testing.T) {
						t.Parallel()
						proxy := newCutter(t, s.Addr())
						rdb := redis.NewClient(&redis.Options{
							Addr: proxy.listener.Addr().String(), MaxRetries: retries, PoolSize: 1,
							MinRetryBackoff: time.Millisecond, MaxRetryBackoff: time.Millisecond,
						})
						t.Cleanup(func() { _ = rdb.Close() })
						c, err := NewClient(ClientConfig{Redis: rdb, App: app})
						if err != nil {
							t.Fatal(err)
						}
						if _, err := c.Enqueue(t.Context(), text("scripts loaded"), ID("warm-up")); err != nil {
							t.Fatal(err)
						}
						var opts []Option
						if given {
							opts = []Option{ID("a")}
						}
						proxy.arm(from, times, lose)
						_, err = c.Enqueue(t.Context(), text("x"), opts...)
						writes := 1 // the queue; before it, for a given ID, the claim
						if given {
							writes = 2
						}
						failed := times > retries && from <= writes
						if failed != (err != nil) || errors.Is(err, ErrDuplicate) {
							t.Fatalf("error %v, want a failure: %v", err, failed)
						}
						proxy.arm(0, 0, false)
						inQueue := func() int {
							t.Helper()
							keys, err := direct.LRange(t.Context(), "asynq:{"+QueueName(app, EndpointMessagesUsers, Default)+"}:pending", 0, -1).Result()
							if err != nil {
								t.Fatal(err)
							}
							return len(keys) - 1 // without the warm-up
						}
						if err == nil && inQueue() != 1 {
							t.Fatalf("%d tasks queued after success, want 1", inQueue())
						}
						if !given {
							if n := inQueue(); n > 1 {
								t.Errorf("%d tasks queued", n)
							}
							return
						}
						// The caller repeats under the same ID, and learns the truth.
						before := inQueue()
						_, err = c.Enqueue(t.Context(), text("x"), opts...)
						if before == 1 && !errors.Is(err, ErrDuplicate) || before == 0 && err != nil {
							t.Errorf("repeated with %d queued: %v", before, err)
						}
						if got := inQueue(); got != 1 {
							t.Errorf("%d tasks queued, want 1", got)
						}
					})
				}
			}
		}
	}
}

// TestLostRepliesOfManyTasks cuts a whole batch off, while its claims and while
// its tasks are written.
func TestLostRepliesOfManyTasks(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, redisserver.Options{})
	for from := 1; from <= 6; from++ {
		t.Run(fmt.Sprintf("write %d", from), func(t *testing.T) {
			t.Parallel()
			app := fmt.Sprintf("many%d", from)
			proxy := newCutter(t, s.Addr())
			rdb := redis.NewClient(&redis.Options{Addr: proxy.listener.Addr().String(), PoolSize: 1, MinRetryBackoff: time.Millisecond})
			t.Cleanup(func() { _ = rdb.Close() })
			c, err := NewClient(ClientConfig{Redis: rdb, App: app})
			if err != nil {
				t.Fatal(err)
			}
			list := make([]Task, 1200)
			for i := range list {
				list[i].Payload = text(fmt.Sprint(i))
				if i%2 == 0 {
					list[i].ID = fmt.Sprintf("t%d", i)
				}
			}
			proxy.arm(from, 1, false)
			receipts, err := c.EnqueueMany(context.Background(), list)
			if err != nil {
				t.Fatal(err)
			}
			for i, r := range receipts {
				if r.Err != nil {
					t.Fatalf("task %d: %v: go-redis repeats, and the task's own commands are no duplicates", i, r.Err)
				}
			}
			direct := redistest.Client(t, s)
			if n := direct.LLen(t.Context(), "asynq:{"+QueueName(app, EndpointMessagesUsers, Default)+"}:pending").Val(); n != int64(len(list)) {
				t.Errorf("%d tasks queued, want %d", n, len(list))
			}
		})
	}
}
