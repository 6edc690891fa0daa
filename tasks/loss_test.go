package tasks

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/imqueue/emq/tasks/redisserver"
	"github.com/imqueue/emq/tasks/redisserver/redistest"
)

// TestKilledRedis kills Redis (SIGKILL) under load, starts it again, and counts which of
// the acknowledged tasks are gone, for each way to persist.
func TestKilledRedis(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]redisserver.Options{
		"no persistence":       {},
		"appendfsync everysec": {AppendFsync: "everysec"},
		"appendfsync always":   {AppendFsync: "always"},
	} {
		t.Run(name, func(t *testing.T) {
			o.Dir = t.TempDir()
			server := redistest.Start(t, o)
			rdb, err := OpenRedis(server.URL() + "?max_retries=-1")
			must(t, err)
			t.Cleanup(func() { _ = rdb.Close() })
			client, err := NewClient(ClientConfig{Redis: rdb, Timeout: time.Second})
			must(t, err)
			ctx, stop := context.WithCancel(context.Background())
			var (
				mu    sync.Mutex
				acked []Receipt
				loops sync.WaitGroup
			)
			for range 16 {
				loops.Go(func() {
					for ctx.Err() == nil {
						r, err := client.Enqueue(ctx, text("u1"))
						if err != nil {
							return
						}
						mu.Lock()
						acked = append(acked, r)
						mu.Unlock()
					}
				})
			}
			time.Sleep(1500 * time.Millisecond)
			must(t, server.Kill())
			stop()
			loops.Wait()
			must(t, server.Restart(context.Background()))
			direct := redistest.Client(t, server)
			pipe := direct.Pipeline()
			there := make([]*redis.IntCmd, len(acked))
			for i, r := range acked {
				there[i] = pipe.Exists(context.Background(), TaskKey(r.Queue, r.ID))
			}
			_, err = pipe.Exec(context.Background())
			must(t, err)
			lost := 0
			for _, cmd := range there {
				if cmd.Val() == 0 {
					lost++
				}
			}
			t.Logf("%s, SIGKILL: %d acknowledged, %d lost", name, len(acked), lost)
			if len(acked) == 0 {
				t.Error("nothing was acknowledged: nothing is shown")
			}
			if o.AppendFsync == "always" && lost > 0 {
				t.Errorf("%d of %d acknowledged tasks are lost", lost, len(acked))
			}
			if o.AppendFsync == "" && lost != len(acked) {
				t.Errorf("%d of %d lost without persistence: the count is wrong", lost, len(acked))
			}
		})
	}
}
