package worker

import (
	"context"
	"testing"

	"github.com/imqueue/emq/dlq"
	"github.com/imqueue/emq/tasks"
	"github.com/imqueue/emq/worker/easemob/simulator"
)

// A connection cut after the call was carried out, as often as one call in four.
// Messages that may be repeated come twice for each such cut and for nothing
// else; those that may not come once, and wait for a person.
func TestEveryDuplicateIsExplained(t *testing.T) {
	t.Parallel()
	for _, onUnknown := range []tasks.OnUnknown{tasks.Retry, tasks.Hold} {
		t.Run(string(onUnknown), func(t *testing.T) {
			t.Parallel()
			const backlog = 80
			w := newWorld(t, simulator.Config{})
			w.fault(simulator.Fault{Path: "/messages/users", Probability: 0.25, Cut: simulator.CutAfter})
			list := make([]tasks.Task, backlog)
			for i := range list {
				list[i] = tasks.Task{Payload: text("u1"), OnUnknown: onUnknown}
			}
			receipts, err := w.client.EnqueueMany(context.Background(), list)
			must(t, err)
			w.start()
			w.idle()

			lost := w.sim.Faults()[0].Hits
			executed := w.sim.EmqIDs()
			duplicates := 0
			for _, r := range receipts {
				if executed[r.ID] == 0 {
					t.Errorf("%s was never executed", r.ID)
				}
				duplicates += executed[r.ID] - 1
			}
			dead, err := w.store.Count(context.Background(), dlq.Filter{App: tasks.AppDefault})
			must(t, err)
			t.Logf("on_unknown %s: %d tasks, %d lost answers, %d duplicates, %d dead letters", onUnknown, backlog, lost, duplicates, dead)
			switch {
			case lost == 0:
				t.Error("no answer was lost: nothing is shown")
			case onUnknown == tasks.Retry && (duplicates != lost || dead != 0):
				t.Errorf("%d duplicates and %d dead letters, want one duplicate for each of the %d lost answers", duplicates, dead, lost)
			case onUnknown == tasks.Hold && (duplicates != 0 || dead != lost):
				t.Errorf("%d duplicates and %d dead letters, want one dead letter for each of the %d lost answers", duplicates, dead, lost)
			}
		})
	}
}
