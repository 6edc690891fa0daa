package worker

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/imqueue/emq/tasks"
	"github.com/imqueue/emq/worker/easemob/simulator"
)

// tokenFetches counts the calls of the token endpoint.
func (w *world) tokenFetches() int {
	n := 0
	for _, count := range w.sim.Counts().Calls["POST /token"] {
		n += int(count)
	}
	return n
}

// The token is revoked again and again, at random moments, while 64 calls are in
// flight: each revocation costs one fetch and no task an attempt, so that tasks
// with a single one are all delivered, once.
func TestRevokedTokensCostNoAttempt(t *testing.T) {
	t.Parallel()
	const revocations = 10
	w := newWorld(t, simulator.Config{})
	w.fault(simulator.Fault{Path: "/messages/users", Latency: 50 * time.Millisecond}) // so that 64 are in flight
	w.start(func(c *Config) {
		c.Concurrency = 64
		c.Apps[0].Limits = map[tasks.Endpoint]tasks.Limit{tasks.EndpointMessagesUsers: {}}
	})
	var ids []string
	enough := make(chan struct{})
	var producing sync.WaitGroup
	producing.Go(func() {
		for {
			list := make([]tasks.Task, 100)
			for i := range list {
				list[i] = tasks.Task{Payload: text("u1"), MaxAttempts: 1}
			}
			receipts, err := w.client.EnqueueMany(context.Background(), list)
			if err != nil {
				t.Error(err)
				return
			}
			for _, r := range receipts {
				ids = append(ids, r.ID)
			}
			select {
			case <-enough:
				return
			case <-time.After(100 * time.Millisecond):
			}
		}
	})
	for revoked := range revocations {
		w.eventually("one token fetch a revocation", func() bool { return w.tokenFetches() == revoked+1 })
		seen := len(w.sim.Executed())
		w.eventually("calls with the new token", func() bool { return len(w.sim.Executed()) > seen+64 })
		time.Sleep(time.Duration(rand.IntN(300)) * time.Millisecond)
		if revoked%2 == 0 {
			w.sim.RevokeTokens()
		} else {
			w.sim.ExpireTokens()
		}
	}
	w.eventually("the last fetch", func() bool { return w.tokenFetches() == revocations+1 })
	close(enough)
	producing.Wait()
	w.idle()
	w.noDeadLetters()
	executed := w.sim.EmqIDs()
	for _, id := range ids {
		if executed[id] != 1 {
			t.Errorf("%s was executed %d times", id, executed[id])
		}
	}
	if n := w.tokenFetches(); n != revocations+1 {
		t.Errorf("%d token fetches for %d revocations", n, revocations)
	}
	t.Logf("%d tasks, %d revocations, %d token fetches", len(ids), revocations, w.tokenFetches())
}

// A secret that turned wrong: one further fetch, then the app is held, and
// nobody asks for tokens any more.
func TestWrongSecretHoldsTheApp(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Config{})
	w.start(func(c *Config) { c.Concurrency = 64 })
	w.enqueue(text("u1"))
	w.idle()
	must(t, w.sim.SetSecret("", "another"))
	w.sim.RevokeTokens()
	before := w.tokenFetches()
	list := make([]tasks.Task, 300)
	for i := range list {
		list[i] = tasks.Task{Payload: text("u1"), MaxAttempts: 1}
	}
	_, err := w.client.EnqueueMany(context.Background(), list)
	must(t, err)
	w.eventually("hold", func() bool {
		holds, err := w.store.Holds(context.Background(), tasks.AppDefault)
		return err == nil && len(holds) == 1
	})
	time.Sleep(2 * time.Second) // a hot loop would show
	if n := w.tokenFetches() - before; n > 1 {
		t.Errorf("%d further token fetches, want 1", n)
	}
	w.noDeadLetters()
	if n := w.waiting(); n != len(list) {
		t.Errorf("%d tasks wait, want all %d", n, len(list))
	}
}
