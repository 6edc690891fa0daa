package worker

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/imqueue/emq/dlq"
)

// holdsEvery is how old a worker's view of the holds may be. The queues of a
// held app are paused in Redis; this view only turns back what was taken before.
const holdsEvery = time.Second

// holds is what a worker knows of the holds in force.
type holds struct {
	mu   sync.RWMutex
	list []dlq.Hold
}

// covers says whether a hold stops the queue of an app.
func (h *holds) covers(app, queue string) bool {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return slices.ContainsFunc(h.list, func(hold dlq.Hold) bool { return hold.App == app && hold.Covers(queue) })
}

// set adds a hold at once, before the next refresh.
func (h *holds) set(hold dlq.Hold) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.list = append(h.list, hold)
}

func (h *holds) replace(list []dlq.Hold) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.list = list
}

func (w *Worker) refreshHolds(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	aliases := make([]string, len(w.cfg.Apps))
	for i, app := range w.cfg.Apps {
		aliases[i] = app.Alias
	}
	list, err := w.store.Holds(ctx, aliases...)
	if err != nil {
		return err
	}
	w.holds.replace(list)
	return nil
}
