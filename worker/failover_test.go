package worker

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/imqueue/emq/tasks"
	"github.com/imqueue/emq/tasks/redisserver"
	"github.com/imqueue/emq/tasks/redisserver/redistest"
	"github.com/imqueue/emq/worker/easemob/simulator"
)

// TestFailover kills the master that has the queue, under load, so that its replica takes
// over. Replication lags behind what is acknowledged: some of it may be lost, unless the
// client waits for a replica.
func TestFailover(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(t *testing.T) (master *redisserver.Server, url string){
		"Sentinel": func(t *testing.T) (*redisserver.Server, string) {
			master, _, url := redistest.Sentinel(t, redisserver.Options{})
			return master, url
		},
		"Cluster": func(t *testing.T) (*redisserver.Server, string) {
			servers := redistest.Cluster(t, 3)
			master := owner(t, servers, slotOf(t, servers, usersKey))
			redistest.ClusterReplica(t, servers, master)
			return master, redistest.ClusterURL(servers)
		},
	} {
		for _, durable := range []bool{false, true} {
			t.Run(name+map[bool]string{false: ", as it is", true: ", durable"}[durable], func(t *testing.T) {
				t.Parallel()
				master, url := start(t)
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
				lost := made.lost(w)
				t.Logf("%s, durable %v: %d acknowledged, %d lost; %d enqueues met an error", name, durable, len(made.acked), lost, made.failed)
				if durable && lost > 0 {
					t.Errorf("%d tasks are lost that a replica had", lost)
				}
			})
		}
	}
}

// TestSlotMoves moves the slots of a queue and of the app's dead letters from master to
// master, under load. While one moves, some of its keys are here and some there, and
// Redis refuses what needs several of them.
func TestSlotMoves(t *testing.T) {
	t.Parallel()
	servers := redistest.Cluster(t, 3)
	url := redistest.ClusterURL(servers)
	w := newWorldOn(t, url, redistest.ClusterClient(t, servers), simulator.Config{})
	w.fault(simulator.Fault{Path: "/messages/*", Probability: 0.1, Status: 503})
	w.fault(simulator.Fault{Path: "/messages/*", Probability: 0.1, Status: 400, Body: map[string]any{"error": "invalid_request", "error_description": "odd"}})
	w.start()
	made := &maker{t: t, url: url}
	stop := made.start()
	for range 2 {
		for _, key := range []string{usersKey, tasks.AppKey(tasks.AppDefault, "causes")} {
			slot := slotOf(t, servers, key)
			from := owner(t, servers, slot)
			to := servers[(slices.Index(servers, from)+1)%len(servers)]
			before := len(w.sim.Executed())
			redistest.MoveSlot(t, servers, slot, from, to, 20*time.Millisecond)
			w.eventually("work after a slot moved", func() bool { return len(w.sim.Executed()) > before+20 })
		}
	}
	stop()
	lost := made.lost(w)
	t.Logf("Cluster, slots that move: %d acknowledged, %d lost; %d enqueues met an error", len(made.acked), lost, made.failed)
	if lost > 0 {
		t.Errorf("%d of %d acknowledged tasks are lost", lost, len(made.acked))
	}
}

// usersKey lies in the slot of the queue of a maker's messages.
var usersKey = tasks.TaskKey(usersQueue(tasks.Default), "any")

func slotOf(t *testing.T, servers []*redisserver.Server, key string) int64 {
	t.Helper()
	slot, err := redistest.Client(t, servers[0]).ClusterKeySlot(context.Background(), key).Result()
	must(t, err)
	return slot
}

// owner is the master that has a slot.
func owner(t *testing.T, servers []*redisserver.Server, slot int64) *redisserver.Server {
	t.Helper()
	ranges, err := redistest.Client(t, servers[0]).ClusterSlots(context.Background()).Result()
	must(t, err)
	for _, r := range ranges {
		if int64(r.Start) > slot || slot > int64(r.End) {
			continue
		}
		for _, server := range servers {
			if server.Addr() == r.Nodes[0].Addr {
				return server
			}
		}
	}
	t.Fatalf("nobody has slot %d", slot)
	return nil
}
