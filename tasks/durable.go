package tasks

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"
)

// A Durability is what is known to outlive the moment when Redis acknowledged a task.
type Durability string

// The durabilities, of a client whose ClientConfig.Durable is set.
const (
	DurabilityDisk    Durability = "disk"    // Redis has it on disk (fsync)
	DurabilityReplica Durability = "replica" // a replica has it, in memory at least
)

// ErrNotDurable is wrapped by the error for a task that is queued, but is not known to be
// on disk or on a replica: there is neither, or it took too long.
var ErrNotDurable = errors.New("queued, but not known to be on disk or on a replica")

const (
	// durableWait is how long Redis may take to bring tasks to disk or to a replica. It is
	// shorter than go-redis waits for an answer.
	durableWait = 2 * time.Second
	// durableMark is how long the mark lasts whose writing is waited for.
	durableMark = time.Second
	// wayKnown is how long a client takes for granted what Redis has told of itself.
	wayKnown = time.Minute
)

// sendDurably queues the composed tasks and waits until they are safe, a group of pushes
// for each master that has some.
func (c *Client) sendDurably(ctx context.Context, batch []*enqueueItem) []int64 {
	answers := make([]int64, len(batch))
	calls := pushes(batch)
	nodes := map[redis.UniversalClient][]*push{}
	var order []redis.UniversalClient
	for _, call := range calls {
		node, err := c.master(ctx, call.keys[0])
		if err != nil {
			call.fail(batch, notQueued(err))
			continue
		}
		if nodes[node] == nil {
			order = append(order, node)
		}
		nodes[node] = append(nodes[node], call)
	}
	pipe := c.redis.Pipeline()
	fresh := c.register(ctx, pipe, batch)
	if len(fresh) > 0 {
		_, _ = pipe.Exec(ctx)
		c.markRegistered(fresh)
	}
	for _, node := range order {
		c.sendTo(ctx, node, nodes[node], batch, answers)
	}
	return answers
}

// master is the server that has a key.
func (c *Client) master(ctx context.Context, key string) (redis.UniversalClient, error) {
	cluster, is := c.redis.(*redis.ClusterClient)
	if !is {
		return c.redis, nil
	}
	return cluster.MasterForKey(ctx, key)
}

// sendTo queues the pushes of one server with one pipeline, which ends with a write and
// the wait for it. All that was written before it, over whatever connection, is safe
// when it is: Redis writes in one order.
func (c *Client) sendTo(ctx context.Context, node redis.UniversalClient, calls []*push, batch []*enqueueItem, answers []int64) {
	mark := "asynq:{" + batch[calls[0].items[0]].queue + "}:durable"
	way := c.wayToWait(ctx, node)
	run := func(calls []*push, send func(*push, redis.Pipeliner) *redis.Cmd) (cmds []*redis.Cmd, got func() Durability) {
		pipe := node.Pipeline()
		for _, call := range calls {
			cmd := send(call, pipe)
			call.log.sentAs(cmd)
			cmds = append(cmds, cmd)
		}
		limit := durableWait
		if deadline, bounded := ctx.Deadline(); bounded {
			limit = max(time.Millisecond, min(limit, time.Until(deadline)*3/4))
		}
		var waited *redis.Cmd
		switch way {
		case waitForDisk:
			pipe.Set(ctx, mark, 1, durableMark)
			waited = pipe.Do(ctx, "WAITAOF", 1, 0, limit.Milliseconds())
		case waitForReplica:
			pipe.Set(ctx, mark, 1, durableMark)
			waited = pipe.Do(ctx, "WAIT", 1, limit.Milliseconds())
		}
		_, _ = pipe.Exec(ctx) // each command is looked at by itself
		return cmds, func() Durability {
			if way == waitForNone {
				return DurabilityDisk
			}
			if n, err := waited.Slice(); err == nil && len(n) > 0 && n[0] == int64(1) {
				return DurabilityDisk
			}
			if n, err := waited.Int(); err == nil && n > 0 {
				return DurabilityReplica
			}
			return ""
		}
	}
	cmds, got := run(calls, func(p *push, pipe redis.Pipeliner) *redis.Cmd { return p.evalSHA(ctx, pipe) })
	if slices.ContainsFunc(cmds, func(cmd *redis.Cmd) bool { return redis.HasErrorPrefix(cmd.Err(), "NOSCRIPT") }) {
		// What was queued is queued once more, which changes nothing.
		cmds, got = run(calls, func(p *push, pipe redis.Pipeliner) *redis.Cmd { return p.eval(ctx, pipe) })
	}
	for i, call := range calls {
		list, err := call.answers(cmds[i])
		if err != nil {
			call.fail(batch, call.log.failure(err))
			continue
		}
		for j, at := range call.items {
			answers[at], batch[at].durable = list[j], got()
		}
	}
}

// fail fails all tasks of a push.
func (p *push) fail(batch []*enqueueItem, err error) {
	for _, at := range p.items {
		batch[at].fail(err)
	}
}

// A wayToWait is how to wait until a server has made what it took safe.
type wayToWait int

const (
	waitForReplica wayToWait = iota
	waitForDisk
	waitForNone // what it acknowledges is on disk
)

// wayToWait finds out how to wait for a server. One that tells nothing of itself is
// waited for by its replicas.
func (c *Client) wayToWait(ctx context.Context, node redis.UniversalClient) wayToWait {
	c.mu.Lock()
	known, ok := c.ways[node]
	c.mu.Unlock()
	if ok && time.Since(known.at) < wayKnown {
		return known.way
	}
	way := waitForReplica
	// Redis before 7.2 does not know it; one without an append-only file refuses it.
	_, err := node.Do(ctx, "WAITAOF", 1, 0, 1).Slice()
	if err == nil {
		way = waitForDisk
	} else {
		if _, refused := errors.AsType[redis.Error](err); !refused {
			return way // no answer
		}
		values, err := node.ConfigGet(ctx, "append*").Result()
		if err == nil && values["appendonly"] == "yes" && values["appendfsync"] == "always" {
			way = waitForNone
		}
	}
	c.mu.Lock()
	c.ways[node] = knownWay{way: way, at: time.Now()}
	c.mu.Unlock()
	return way
}

type knownWay struct {
	way wayToWait
	at  time.Time
}

// checkDurable fails a task that is queued and not known to be safe.
func (i *enqueueItem) checkDurable() {
	if !i.done && i.durable == "" {
		i.fail(fmt.Errorf("%w: check Redis' persistence and replicas", ErrNotDurable))
	}
}
