package worker

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/imqueue/emq/tasks"
	"github.com/imqueue/emq/tasks/redisserver"
	"github.com/imqueue/emq/tasks/redisserver/redistest"
	"github.com/imqueue/emq/worker/easemob/simulator"
)

// TestOutageOfTenMinutes is an outage in real time, with the breaker's real waits,
// two worker processes and a backlog: gateways that say 503 and 502, calls cut
// before they are executed, and calls that hang until they time out.
//
//	EMQ_EVIDENCE=1 go test ./worker -run TestOutageOfTenMinutes -v -timeout 30m
//
// TestOutageCostsNoTask is the short form that always runs.
func TestOutageOfTenMinutes(t *testing.T) {
	if os.Getenv("EMQ_EVIDENCE") == "" {
		t.Skip("takes a quarter of an hour: set EMQ_EVIDENCE to run it")
	}
	const backlog, outage = 5000, 10 * time.Minute
	server := redistest.Start(t, redisserver.Options{})
	w := newWorldOn(t, server.URL(), redistest.Client(t, server), simulator.Config{})
	faults := []simulator.Fault{
		{Path: "/messages/*", Status: 503, BodyText: "<html>503 Service Unavailable</html>"},
		{Path: "/messages/*", Cut: simulator.CutBefore},
		{Path: "/messages/*", Status: 502, BodyText: "<html>502 Bad Gateway</html>"},
		{Path: "/messages/*", Latency: 6 * time.Second, Cut: simulator.CutBefore}, // a child's timeout is 5 s
	}
	w.fault(faults[0])
	list := make([]tasks.Task, backlog)
	for i := range list {
		list[i] = tasks.Task{ID: fmt.Sprintf("m%d", i), Payload: text("u1")}
	}
	_, err := w.client.EnqueueMany(context.Background(), list)
	must(t, err)
	for range 2 {
		w.child("")
	}
	for _, fault := range faults {
		w.sim.ClearFaults()
		w.fault(fault)
		time.Sleep(outage / time.Duration(len(faults)))
	}
	calls := 0
	for status, n := range w.sim.Counts().Calls["POST /messages/users"] {
		calls += int(n)
		t.Logf("status %d: %d calls during the outage", status, n)
	}
	w.sim.ClearFaults()
	back := time.Now()
	delivered := func() int { return len(w.sim.EmqIDs()) }
	for _, after := range []time.Duration{5 * time.Second, 10 * time.Second, 20 * time.Second, 40 * time.Second} {
		time.Sleep(time.Until(back.Add(after)))
		t.Logf("%v after the end of the outage: %d of %d delivered", after, delivered(), backlog)
	}
	for delivered() < backlog && time.Since(back) < 12*time.Minute {
		time.Sleep(time.Second)
	}
	w.noDeadLetters()
	duplicates := 0
	for id, n := range w.sim.EmqIDs() {
		if duplicates += n - 1; n > 1 {
			t.Logf("%s was executed %d times", id, n)
		}
	}
	if n := delivered(); n != backlog {
		t.Errorf("%d of %d delivered", n, backlog)
	}
	t.Logf("%d calls during the outage; all delivered %v after it; %d duplicates", calls, time.Since(back).Round(time.Second), duplicates)
}
