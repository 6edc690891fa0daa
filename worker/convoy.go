package worker

import (
	"context"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// convoysMax is how many pipelines of a convoy are on their way at once.
	convoysMax = 2
	// tripsMax bounds the trips of one pipeline.
	tripsMax    = 64
	tripTimeout = 5 * time.Second
)

// A convoy runs the scripts that goroutines want to run at about the same time in one
// pipeline, as the tasks of many apps have it: a system call costs both ends more than
// most scripts do. It works while there is something to run. What it runs must bear
// being run twice, since a Redis client repeats what got no answer.
//
// On Cluster everyone runs for himself: a pipeline would wait for the slowest node.
type convoy struct {
	redis redis.UniversalClient

	mu      sync.Mutex
	waiting []*trip
	working int
}

// A trip is some calls of a script on their way.
type trip struct {
	script  *redis.Script
	calls   []scriptCall
	answers []*redis.Cmd
	done    chan struct{}
}

func newConvoy(rdb redis.UniversalClient) *convoy { return &convoy{redis: rdb} }

// run runs a script's calls. When ctx ends first, all answers say so, and the calls may
// be run all the same.
func (c *convoy) run(ctx context.Context, script *redis.Script, calls ...scriptCall) []*redis.Cmd {
	if _, cluster := c.redis.(*redis.ClusterClient); cluster {
		return runAll(ctx, c.redis, script, calls)
	}
	t := &trip{script: script, calls: calls, done: make(chan struct{})}
	c.mu.Lock()
	c.waiting = append(c.waiting, t)
	start := c.working < convoysMax
	if start {
		c.working++
	}
	c.mu.Unlock()
	if start {
		go c.work()
	}
	select {
	case <-t.done:
		return t.answers
	case <-ctx.Done():
	}
	answers := make([]*redis.Cmd, len(calls))
	for i := range answers {
		answers[i] = redis.NewCmd(ctx)
		answers[i].SetErr(ctx.Err())
	}
	return answers
}

// work runs what waits, until nothing does.
func (c *convoy) work() {
	for {
		c.mu.Lock()
		n := min(len(c.waiting), tripsMax)
		trips := c.waiting[:n:n]
		c.waiting = c.waiting[n:]
		if n == 0 {
			c.waiting = nil
			c.working--
		}
		c.mu.Unlock()
		if n == 0 {
			return
		}
		c.drive(trips)
	}
}

func (c *convoy) drive(trips []*trip) {
	ctx, cancel := context.WithTimeout(context.Background(), tripTimeout)
	defer cancel()
	pipe := c.redis.Pipeline()
	for _, t := range trips {
		t.answers = make([]*redis.Cmd, len(t.calls))
		for i, call := range t.calls {
			t.answers[i] = t.script.EvalSha(ctx, pipe, call.keys, call.args...)
		}
	}
	_, _ = pipe.Exec(ctx) // each answer is looked at by itself
	for _, t := range trips {
		for i, cmd := range t.answers {
			if redis.HasErrorPrefix(cmd.Err(), "NOSCRIPT") {
				t.answers[i] = t.script.Eval(ctx, pipe, t.calls[i].keys, t.calls[i].args...)
			}
		}
	}
	if pipe.Len() > 0 {
		_, _ = pipe.Exec(ctx)
	}
	for _, t := range trips {
		close(t.done)
	}
}
