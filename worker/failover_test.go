package worker

import (
	"context"
	"testing"

	"github.com/imqueue/emq/tasks"
	"github.com/imqueue/emq/tasks/redisserver"
	"github.com/imqueue/emq/tasks/redisserver/redistest"
	"github.com/imqueue/emq/worker/easemob/simulator"
)

// TestSentinelFailover kills the master under load. Replication lags behind what is
// acknowledged, so that some of it may be lost, unless the client waits for a replica.
func TestSentinelFailover(t *testing.T) {
	t.Parallel()
	for name, durable := range map[string]bool{"as it is": false, "durable": true} {
		t.Run(name, func(t *testing.T) {
			master, _, url := redistest.Sentinel(t, redisserver.Options{})
			rdb, err := tasks.OpenRedis(url)
			must(t, err)
			t.Cleanup(func() { _ = rdb.Close() })
			w := newWorldOn(t, url, rdb, simulator.Config{})
			w.start()
			made := &maker{t: t, url: url, change: func(c *tasks.ClientConfig) { c.Durable = durable }}
			stop := made.start()
			w.eventually("some work", func() bool { return len(w.sim.Executed()) > 50 })
			must(t, master.Kill())
			after := len(w.sim.Executed())
			w.eventually("work after the failover", func() bool { return len(w.sim.Executed()) > after+50 })
			// No replica is left that a client could wait for.
			must(t, master.Restart(context.Background()))
			stop()
			w.eventually("an end of what waits", func() bool {
				queues, err := w.store.Queues(context.Background(), tasks.AppDefault)
				n := 0
				for _, q := range queues {
					n += q.Pending + q.Active + q.Scheduled + q.Retry
				}
				return err == nil && n == 0
			})
			lost := 0
			for _, id := range made.acked {
				if w.executed(id) == 0 {
					lost++
				}
			}
			t.Logf("Sentinel, durable %v: %d acknowledged, %d lost; %d enqueues met an error", durable, len(made.acked), lost, made.failed)
			if durable && lost > 0 {
				t.Errorf("%d tasks are lost that a replica had", lost)
			}
		})
	}
}
