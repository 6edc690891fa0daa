package tasks

import (
	"context"
	"slices"
	"sync"
)

// sendersMax is how many batches of a queue are on their way at once: while Redis works
// on one, others are made.
const sendersMax = 4

// A sender queues tasks that several goroutines enqueue one by one: those that come
// while others are on their way go together. It works while there is something to send.
//
// go-redis has an automatic pipeline that does the like, and is not used: it is
// experimental, sends what its caller has given up, and leaves a goroutine to be stopped.
type sender struct {
	client *Client

	mu      sync.Mutex
	waiting []*single
	working int
}

// A single is one task on its way through a sender.
type single struct {
	item *enqueueItem
	done chan struct{}
}

// together queues one task, and returns it with what became of it. When ctx ends
// first, its error says whether it may be queued all the same, because it was on its
// way already.
func (c *Client) together(ctx context.Context, item *enqueueItem) *enqueueItem {
	found, ok := c.senders.Load(item.queue)
	if !ok {
		found, _ = c.senders.LoadOrStore(item.queue, &sender{client: c})
	}
	s := found.(*sender)
	if !item.task.given { // a claim may move one with a given ID to another queue
		if c.composeOne(ctx, item); item.done {
			return item
		}
	}
	given := &enqueueItem{task: item.task, receipt: item.receipt, queue: item.queue}
	one := &single{item: item, done: make(chan struct{})}
	s.mu.Lock()
	s.waiting = append(s.waiting, one)
	start := s.working < sendersMax
	if start {
		s.working++
	}
	s.mu.Unlock()
	if start {
		go s.work()
	}
	select {
	case <-one.done:
		return item
	case <-ctx.Done():
	}
	s.mu.Lock()
	at := slices.Index(s.waiting, one)
	if at >= 0 {
		s.waiting = slices.Delete(s.waiting, at, at+1)
	}
	s.mu.Unlock()
	if at >= 0 {
		given.fail(notQueued(ctx.Err()))
	} else {
		given.fail(maybeQueued(ctx.Err()))
	}
	return given
}

// work queues what waits, until nothing does.
func (s *sender) work() {
	for {
		s.mu.Lock()
		n := min(len(s.waiting), enqueueBatch)
		some := slices.Clone(s.waiting[:n])
		s.waiting = slices.Delete(s.waiting, 0, n)
		if n == 0 {
			s.working--
		}
		s.mu.Unlock()
		if n == 0 {
			return
		}
		s.send(some)
	}
}

func (s *sender) send(some []*single) {
	// Each caller waits as long as its own context lets it; what is on its way goes on.
	// A little less than a caller without a deadline waits, who so hears what happened.
	ctx, cancel := context.WithTimeout(context.Background(), s.client.timeout-s.client.timeout/10)
	defer cancel()
	batch := make([]*enqueueItem, len(some))
	for i, one := range some {
		batch[i] = one.item
	}
	s.client.claim(ctx, batch)
	s.client.compose(ctx, batch)
	s.client.deliver(ctx, batch)
	for _, one := range some {
		close(one.done)
	}
}
