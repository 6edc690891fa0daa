package dlq

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/imqueue/emq/tasks"
)

// steps are the events that may follow a state, and the states that they lead to.
var steps = map[State]map[string]State{
	"":             {ActionDead: StateDead},
	StateDead:      {ActionResend: StateResending, ActionDiscard: StateDiscarded, ActionEdit: StateDead, ActionSettled: StateResolved},
	StateResending: {ActionResolved: StateResolved, ActionDeadAgain: StateDead},
	StateDiscarded: {ActionRestore: StateDead},
}

// testStorm lets workers, operators, operations and sweepers do anything to a few
// entries at the same time. However that goes, each entry's history is one that it may
// have, every success that somebody was told of is in it once, and nothing else is.
func testStorm(t *testing.T, w *world) {
	const persons, acts, letters = 8, 120, 10
	w.store.now, w.clock = time.Now, &clock{} // each change has its own time
	type told struct {
		id, event string
	}
	var mu sync.Mutex
	successes := map[told]int{}
	tell := func(id, event string, err error) {
		mu.Lock()
		defer mu.Unlock()
		switch {
		case err == nil:
			successes[told{id, event}]++
		case !errors.Is(err, ErrState) && !errors.Is(err, ErrNotFound) && !errors.Is(err, ErrResendInProgress) && !errors.Is(err, errBusy):
			t.Error(event, err)
		}
	}
	by := Actor{Name: "ada"}
	var crowd sync.WaitGroup
	for p := range persons {
		crowd.Go(func() {
			r := rand.New(rand.NewPCG(1, uint64(p)))
			for range acts {
				id := fmt.Sprint("f", r.IntN(letters))
				switch r.IntN(9) {
				case 0:
					if err := w.store.Put(w.ctx, Death{Task: message(testApp, id), Verdict: forbidden}); err != nil {
						t.Error(err)
					}
				case 1, 2:
					tell(id, ActionResend, w.store.Resend(w.ctx, testApp, id, by))
				case 3:
					tell(id, ActionDiscard, w.store.Discard(w.ctx, testApp, id, by))
				case 4:
					tell(id, ActionRestore, w.store.Restore(w.ctx, testApp, id, by))
				case 5:
					tell(id, ActionEdit, w.store.Edit(w.ctx, testApp, id, []byte(`{"target":"users","to":["u2"],"from":"admin","type":"txt","body":{"msg":"x"}}`), by))
				case 6, 7: // a worker ends what is at work
					e, err := w.store.Get(w.ctx, testApp, id)
					if err != nil || e.State != StateResending {
						continue
					}
					task := message(testApp, id)
					task.Generation = e.Generation
					if r.IntN(2) == 0 {
						err = w.store.Resolve(w.ctx, task, nil)
					} else {
						err = w.store.Put(w.ctx, Death{Task: task, Verdict: banned})
					}
					if err != nil && !errors.Is(err, errBusy) {
						t.Error(err)
					}
				case 8:
					action := []string{ActionResend, ActionDiscard, ActionRestore}[r.IntN(3)]
					ops, err := w.store.Freeze(w.ctx, Bulk{Action: action, By: by}, nil)
					if err != nil {
						t.Error(err)
						continue
					}
					for _, op := range ops {
						err := w.store.Start(w.ctx, op.App, op.ID, by)
						for n := 1; n > 0 && err == nil; {
							_, n, err = w.store.Work(w.ctx, op, 3, "w1")
						}
						if err != nil {
							t.Error(err)
						}
					}
				}
			}
		})
	}
	crowd.Wait()

	ops, err := w.store.Operations(w.ctx)
	w.ok(err)
	changed := map[string]int{} // operation -> its events
	for i := range letters {
		id := fmt.Sprint("f", i)
		e, err := w.store.Get(w.ctx, testApp, id)
		if errors.Is(err, ErrNotFound) {
			continue
		}
		w.ok(err)
		state, resends := State(""), 0
		alone := map[told]int{}
		for _, event := range e.Events {
			next, legal := steps[state][event.Action]
			if !legal {
				t.Fatalf("%s: %s after %s in %+v", id, event.Action, state, e.Events)
			}
			if state = next; event.Action == ActionResend {
				resends++
			}
			if event.Op != "" {
				changed[event.Op]++
			} else if event.By != "" {
				alone[told{id, event.Action}]++
			}
		}
		if state != e.State || resends != e.Generation || e.EventsLeftOut > 0 {
			t.Errorf("%s is %s of generation %d after %+v", id, e.State, e.Generation, e.Events)
		}
		for _, action := range []string{ActionResend, ActionDiscard, ActionRestore, ActionEdit} {
			if key := (told{id, action}); successes[key] != alone[key] {
				t.Errorf("%s: %d were told of a %s, %d are in its history", id, successes[key], action, alone[key])
			}
		}
	}
	for _, op := range ops {
		if op.Changed != changed[op.ID] || op.Worked != op.Members {
			t.Errorf("operation %+v has changed %d", op, changed[op.ID])
		}
	}
	w.checkIndex()
	// Each generation was queued once.
	queued := w.queued()
	if once := slices.Compact(slices.Sorted(slices.Values(queued))); len(once) != len(queued) {
		t.Errorf("queued twice: %v", queued)
	}
	for _, queueID := range queued {
		if id, generation := tasks.SplitQueueID(queueID); generation > w.get(id).Generation {
			t.Errorf("%s is queued, %s is of generation %d", queueID, id, w.get(id).Generation)
		}
	}
}
