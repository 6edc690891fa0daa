package tasks

import (
	"bytes"
	"context"
	"crypto/rand"
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// pushMost and pushBytes bound the tasks that one script queues: Redis answers
	// nobody else meanwhile.
	pushMost  = 100
	pushBytes = 256 << 10
)

// answerKept is how long Redis remembers its answer to a push: longer than a Redis client
// repeats a command. pushKept is its place among the script's arguments.
const (
	answerKept = time.Minute
	pushKept   = 5
)

// newsFor is how long there is no further news of a queue: workers that had some look
// often for longer than that.
const newsFor = 500 * time.Millisecond

// NewsChannel is the channel on which clients publish the name of a queue of the app
// that was empty before they queued a task. It is a hint, to wake workers that look
// seldom while they have nothing to do, and may be lost.
func NewsChannel(app string) string { return AppKey(app, "news") }

// newsKey is the note that there was news of a queue.
func newsKey(queue string) string { return "asynq:{" + queue + "}:news" }

//go:embed lua/enqueue.lua
var pushSource string

var pushScript = redis.NewScript(pushSource)

// A push is one script call that queues tasks of a batch.
type push struct {
	recorded
	items []int // in the order of the answers
	bytes int
	log   *writeLog
}

// watch puts a log in the place of the first argument.
func (p *push) watch() {
	p.args = slices.Clone(p.args)
	p.log = &writeLog{arg: p.args[0]}
	p.args[0] = p.log
}

// pushes makes the script calls for the composed tasks of a batch. Those that asynq
// would queue at once go together, many of a queue in one call; planned ones by asynq's
// own script.
func pushes(batch []*enqueueItem) []*push {
	var all []*push
	open := map[string]*push{} // by queue
	for i := range batch {
		item := batch[i]
		if item.done {
			continue
		}
		if !item.command.immediate() {
			all = append(all, &push{recorded: item.command, items: []int{i}})
			continue
		}
		p := open[item.queue]
		if p == nil || len(p.items) == pushMost || p.bytes > pushBytes {
			p = &push{recorded: recorded{
				hash: pushScript.Hash(), source: pushSource,
				keys: []string{item.command.keys[1], newsKey(item.queue), "asynq:{" + item.queue + "}:pushed:" + rand.Text()[:16]},
				args: []any{TaskKey(item.queue, ""), item.command.args[2], NewsChannel(item.task.App), item.queue, newsFor.Milliseconds(), 0},
			}}
			open[item.queue] = p
			all = append(all, p)
		}
		if !item.task.given {
			// A given ID is known as taken when its task has ended; of another one only this
			// tells that the task was queued already.
			p.args[pushKept] = int(answerKept.Seconds())
		}
		p.args = append(p.args, item.task.QueueID(), item.command.args[0])
		p.items = append(p.items, i)
		p.bytes += len(item.payload)
	}
	for _, p := range all {
		p.watch()
	}
	return all
}

// answers are the script's, by task: 1 queued, 0 the ID exists in that queue.
func (p *push) answers(cmd *redis.Cmd) ([]int64, error) {
	if p.hash != pushScript.Hash() {
		n, err := cmd.Int64()
		return []int64{n}, err
	}
	list, err := cmd.Int64Slice()
	if err == nil && len(list) != len(p.items) {
		err = fmt.Errorf("%d answers for %d tasks", len(list), len(p.items))
	}
	return list, err
}

// send queues the composed tasks in one pipeline. It returns the answers by index.
func (c *Client) send(ctx context.Context, batch []*enqueueItem) []int64 {
	answers := make([]int64, len(batch))
	if err := ctx.Err(); err != nil {
		for _, item := range batch {
			if !item.done {
				item.fail(notQueued(err))
			}
		}
		return answers
	}
	calls := pushes(batch)
	cmds := make([]*redis.Cmd, len(calls))
	pipe := c.redis.Pipeline()
	fresh := c.register(ctx, pipe, batch)
	for i, call := range calls {
		cmds[i] = call.evalSHA(ctx, pipe)
		call.log.sentAs(cmds[i])
	}
	_, _ = pipe.Exec(ctx) // each command is looked at by itself
	c.reload(ctx, calls, cmds)
	for i, call := range calls {
		list, err := call.answers(cmds[i])
		for j, at := range call.items {
			if err != nil {
				batch[at].fail(call.log.failure(err))
			} else {
				answers[at] = list[j]
			}
		}
	}
	c.markRegistered(fresh)
	return answers
}

// reload sends those calls again, with the script's source, that met a Redis
// which had not loaded the script yet.
func (c *Client) reload(ctx context.Context, calls []*push, cmds []*redis.Cmd) {
	pipe := c.redis.Pipeline()
	for i, cmd := range cmds {
		if redis.HasErrorPrefix(cmd.Err(), "NOSCRIPT") {
			cmds[i] = calls[i].eval(ctx, pipe)
			calls[i].log.sentAs(cmds[i])
		}
	}
	if pipe.Len() > 0 {
		_, _ = pipe.Exec(ctx)
	}
}

// settleConflicts tells a true duplicate from the client's own command that was
// executed but whose answer was lost, so that the Redis client repeated it.
func (c *Client) settleConflicts(ctx context.Context, batch []*enqueueItem, answers []int64) {
	pipe := c.redis.Pipeline()
	queued := map[int]*redis.StringCmd{}
	for i := range batch {
		if !batch[i].done && answers[i] == 0 {
			queued[i] = pipe.HGet(ctx, TaskKey(batch[i].queue, batch[i].task.QueueID()), "msg")
		}
	}
	if len(queued) == 0 {
		return
	}
	_, _ = pipe.Exec(ctx)
	for i, cmd := range queued {
		msg, err := cmd.Bytes()
		switch {
		case errors.Is(err, redis.Nil):
			// It was there a moment ago and is done already. A random ID, or one
			// that this call has claimed, can only have been this call's.
			if batch[i].tookOver {
				batch[i].fail(fmt.Errorf("ended not long ago: %w", ErrDuplicate))
			}
		case err != nil:
			batch[i].fail(maybeQueued(err)) // something under this ID is, perhaps this
		case !bytes.Contains(msg, batch[i].payload):
			batch[i].fail(fmt.Errorf("already queued: %w", ErrDuplicate))
		}
	}
}

// register adds the names of queues and apps that were not written lately. It
// returns the commands by queue.
func (c *Client) register(ctx context.Context, pipe redis.Pipeliner, batch []*enqueueItem) map[string][2]*redis.IntCmd {
	c.mu.Lock()
	defer c.mu.Unlock()
	fresh := map[string][2]*redis.IntCmd{}
	for i := range batch {
		queue := batch[i].queue
		if _, added := fresh[queue]; added || batch[i].done || time.Since(c.registered[queue]) < registerEvery {
			continue
		}
		fresh[queue] = [2]*redis.IntCmd{pipe.SAdd(ctx, queuesKey, queue), pipe.SAdd(ctx, AppsKey, batch[i].task.App)}
	}
	return fresh
}

// markRegistered notes the queues whose names were written.
func (c *Client) markRegistered(fresh map[string][2]*redis.IntCmd) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for queue, added := range fresh {
		if added[0].Err() == nil && added[1].Err() == nil {
			c.registered[queue] = time.Now()
		}
	}
}
