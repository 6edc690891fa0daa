package tasks

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// AppsKey is the register of the apps that were ever used on this Redis (a set of aliases).
const AppsKey = "emq:apps"

// AppKey is the key of something that belongs to an app. All keys of an app
// share a hash tag, so that one script may change several of them on Cluster.
func AppKey(app, name string) string { return "emq:{" + app + "}:" + name }

// EntryKey is the key of the dead letter for a task (a string; package dlq writes it).
func EntryKey(app, id string) string { return AppKey(app, "dl:"+id) }

// ClaimKey is the key of the claim on an ID that the caller chose (a string):
// "<nonce> <queue>" while the task lives, "done" for a while after its delivery.
func ClaimKey(app, id string) string { return AppKey(app, "id:"+id) }

const (
	claimDone = "done"
	// claimSpare is how long a claim outlives the moment when its task was due.
	// It only matters for a task that vanished without an end.
	claimSpare = 90 * 24 * time.Hour
)

//go:embed lua/claim.lua
var claimSource string

var claimScript = redis.NewScript(claimSource)

// claim takes the given IDs of a batch. Items whose ID is taken are failed with
// ErrDuplicate. An ID made up by emq, and a resend, need no claim: the one is
// random, the other is guarded by its dead letter.
func (c *Client) claim(ctx context.Context, batch []enqueueItem) {
	pipe := c.redis.Pipeline()
	answers := make([]*redis.Cmd, len(batch)) // in order: of two with one ID, the first wins
	add := func(i int, run func(ctx context.Context, c redis.Scripter, keys []string, args ...any) *redis.Cmd) {
		item := &batch[i]
		t := item.task
		keep := claimSpare + max(0, t.ProcessAt.Sub(t.EnqueuedAt))
		answers[i] = run(ctx, pipe, []string{ClaimKey(t.App, t.ID), EntryKey(t.App, t.ID)},
			t.nonce+" "+item.queue, keep.Milliseconds())
	}
	for i := range batch {
		if t := batch[i].task; t.given && t.Generation == 0 && !batch[i].done {
			add(i, claimScript.EvalSha)
		}
	}
	if pipe.Len() == 0 {
		return
	}
	_, _ = pipe.Exec(ctx)
	for i, cmd := range answers {
		if cmd != nil && redis.HasErrorPrefix(cmd.Err(), "NOSCRIPT") {
			add(i, claimScript.Eval)
		}
	}
	if pipe.Len() > 0 {
		_, _ = pipe.Exec(ctx)
	}
	for i, cmd := range answers {
		if cmd == nil {
			continue
		}
		answer, err := cmd.Text()
		if err != nil {
			batch[i].fail(err)
			continue
		}
		if err := c.judgeClaim(ctx, &batch[i], answer); err != nil {
			batch[i].fail(err)
		}
	}
}

// judgeClaim acts on the claim script's answer.
func (c *Client) judgeClaim(ctx context.Context, item *enqueueItem, answer string) error {
	switch answer {
	case "":
		return nil // ours: new, or our own claim again
	case "dead":
		return fmt.Errorf("there is a dead letter under this ID, perhaps a resolved or discarded one: %w", ErrDuplicate)
	case claimDone:
		return fmt.Errorf("delivered not long ago: %w", ErrDuplicate)
	}
	// Somebody else's claim. Either its task lives, or the producer died
	// between claim and queue; then this enqueue takes over, or the task would
	// be lost for good.
	_, queue, ok := strings.Cut(answer, " ")
	if _, _, _, known := ParseQueueName(queue); !ok || !known {
		return fmt.Errorf("unreadable claim on ID: %w", ErrDuplicate)
	}
	lives, err := c.redis.Exists(ctx, TaskKey(queue, item.task.ID)).Result()
	if err != nil {
		return err
	}
	if lives == 1 {
		return fmt.Errorf("already queued: %w", ErrDuplicate)
	}
	// A worker writes the dead letter, or the claim's "done", before the task
	// leaves its queue: if neither is there now, the task never was.
	claim, err := c.redis.Get(ctx, ClaimKey(item.task.App, item.task.ID)).Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		return err
	}
	dead, err := c.redis.Exists(ctx, EntryKey(item.task.App, item.task.ID)).Result()
	if err != nil {
		return err
	}
	if claim == claimDone || dead == 1 {
		return fmt.Errorf("ended not long ago: %w", ErrDuplicate)
	}
	item.queue, item.tookOver = queue, true // so that two who take over meet in one queue, where one wins
	return nil
}

// MarkDelivered notes that the task under a given ID was delivered, so that the
// ID stays taken for keep. Workers call it before the task leaves its queue.
func MarkDelivered(ctx context.Context, rdb redis.Cmdable, t Task, keep time.Duration) error {
	if !t.given || keep <= 0 {
		return nil
	}
	if err := rdb.Set(ctx, ClaimKey(t.App, t.ID), claimDone, keep).Err(); err != nil {
		return fmt.Errorf("mark %s delivered: %w", t.ID, err)
	}
	return nil
}

// Ended says whether a first generation has ended: delivered not long ago under
// a given ID, or a dead letter. A worker asks before it makes a call that may
// have been made already.
func Ended(ctx context.Context, rdb redis.Cmdable, t Task) (bool, error) {
	pipe := rdb.Pipeline()
	dead := pipe.Exists(ctx, EntryKey(t.App, t.ID))
	claim := pipe.Get(ctx, ClaimKey(t.App, t.ID))
	if _, err := pipe.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) {
		return false, fmt.Errorf("look up the end of %s: %w", t.ID, err)
	}
	return dead.Val() == 1 || t.given && claim.Val() == claimDone, nil
}
