package worker

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/imqueue/emq/dlq"
)

// tallyEvery is how often what was counted is added to Redis.
const tallyEvery = 5 * time.Second

// tally counts how attempts end, for people to look at. It costs Redis the same whatever
// there is to count.
type tally struct {
	store *dlq.Store
	mu    sync.Mutex
	apps  map[string]dlq.Tally
}

func newTally(store *dlq.Store) *tally { return &tally{store: store, apps: map[string]dlq.Tally{}} }

func (t *tally) end(app, end string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.apps[app]
	switch end {
	case endDone:
		n.Delivered++
	case endRetry:
		n.Failed++
	case endDead:
		n.Dead++
	}
	t.apps[app] = n
}

// flush adds what was counted to Redis; what it can't add waits for the next time.
func (t *tally) flush(ctx context.Context) error {
	t.mu.Lock()
	counted := t.apps
	t.apps = map[string]dlq.Tally{}
	t.mu.Unlock()
	var errs []error
	for app, n := range counted {
		err := t.store.AddTally(ctx, app, n)
		if err == nil {
			continue
		}
		errs = append(errs, err)
		t.mu.Lock()
		now := t.apps[app]
		t.apps[app] = dlq.Tally{Delivered: now.Delivered + n.Delivered, Failed: now.Failed + n.Failed, Dead: now.Dead + n.Dead}
		t.mu.Unlock()
	}
	return errors.Join(errs...)
}
