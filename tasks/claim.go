package tasks

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"strconv"
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
// "<nonce> <queue>" while the task lives, "done" for a while after its delivery;
// "list <digest> <parts>" for a list that was split, whose parts have claims of
// their own.
func ClaimKey(app, id string) string { return AppKey(app, "id:"+id) }

const (
	claimDone = "done"
	claimList = "list "
	// claimSpare is how long a claim outlives the moment when its task was due.
	// It only matters for a task that vanished without an end.
	claimSpare = 90 * 24 * time.Hour
	// listSettles is how long a list's parts may take to be queued once its ID is
	// claimed: a younger claim stands, whatever is there of the parts, and so does
	// that of a single task against a list. (A claim looks young until its planned
	// time, which only matters for one that was left behind.)
	listSettles = time.Hour
)

//go:embed lua/claim.lua
var claimSource string

var claimScript = redis.NewScript(claimSource)

// claim takes the given IDs of a batch. Items whose ID is taken are failed with
// ErrDuplicate. An ID made up by emq, and a resend, need no claim: the one is
// random, the other is guarded by its dead letter.
func (c *Client) claim(ctx context.Context, batch []*enqueueItem) {
	pipe := c.redis.Pipeline()
	answers := make([]*redis.Cmd, len(batch)) // in order: of two with one ID, the first wins
	for i := range batch {
		if t := batch[i].task; t.given && t.Generation == 0 && !batch[i].done {
			answers[i] = batch[i].claimBy(ctx, pipe, claimScript.EvalSha, "")
		}
	}
	if pipe.Len() == 0 {
		return
	}
	_, _ = pipe.Exec(ctx)
	for i, cmd := range answers {
		if cmd != nil && redis.HasErrorPrefix(cmd.Err(), "NOSCRIPT") {
			answers[i] = batch[i].claimBy(ctx, pipe, claimScript.Eval, "")
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
		if err == nil {
			err = c.judgeClaim(ctx, batch[i], answer)
		}
		switch {
		case errors.Is(err, ErrDuplicate):
			batch[i].fail(err)
		case err != nil:
			batch[i].fail(notQueued(err)) // its ID may be claimed, which stands in nobody's way
		}
	}
}

// claimBy runs the claim script for the item, which may replace a claim that was
// left behind.
func (i *enqueueItem) claimBy(ctx context.Context, rdb redis.Scripter,
	run func(context.Context, redis.Scripter, []string, ...any) *redis.Cmd, leftBehind string,
) *redis.Cmd {
	t := i.task
	claim := i.listClaim
	if claim == "" {
		claim = t.nonce + " " + i.queue
	}
	keep := claimSpare + max(0, t.ProcessAt.Sub(t.EnqueuedAt))
	return run(ctx, rdb, []string{ClaimKey(t.App, t.ID), EntryKey(t.App, t.ID)}, claim, keep.Milliseconds(), leftBehind)
}

// claimLists takes the given IDs of the lists that items are parts of. The same
// list has the same claim, so that it may be enqueued again; parts of another one
// are failed with ErrDuplicate, before any of them is queued.
func (c *Client) claimLists(ctx context.Context, items []*enqueueItem) {
	var lists []*enqueueItem
	for _, item := range items {
		if list := item.partOf; list != nil && !slices.Contains(lists[max(0, len(lists)-1):], list) {
			lists = append(lists, list)
		}
	}
	c.claim(ctx, lists)
	for _, item := range items {
		if list := item.partOf; list != nil && list.err != nil {
			item.done, item.err = true, list.err
		}
	}
}

// claimOfList is the claim of a list that is split into so many parts.
func claimOfList(t Task, parts int) (string, error) {
	raw, err := encodeJSON(t.Payload)
	if err != nil {
		return "", within("payload", unwritable(err))
	}
	digest := sha256.Sum256(append([]byte(t.Kind()+" "), raw...))
	return fmt.Sprintf("%s%x %d", claimList, digest[:8], parts), nil
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
	if list, is := strings.CutPrefix(answer, claimList); is {
		if err := c.listStands(ctx, item.task, list); err != nil {
			return err
		}
		return c.replaceClaim(ctx, item, answer)
	}
	queue, err := c.stands(ctx, item.task.App, item.task.ID, answer)
	switch {
	case err != nil:
		return err
	case item.listClaim != "":
		if err := c.settled(ctx, item.task); err != nil {
			return err
		}
		return c.replaceClaim(ctx, item, answer)
	}
	item.queue, item.tookOver = queue, true // so that two who take over meet in one queue, where one wins
	return nil
}

// stands returns an ErrDuplicate when the task of a claim lives or has ended not
// long ago. Otherwise its producer died between claim and queue, and another
// enqueue takes over, or the task would be lost for good.
func (c *Client) stands(ctx context.Context, app, id, claim string) (queue string, _ error) {
	_, queue, ok := strings.Cut(claim, " ")
	if _, _, _, known := ParseQueueName(queue); !ok || !known {
		return "", fmt.Errorf("unreadable claim on ID: %w", ErrDuplicate)
	}
	lives, err := c.redis.Exists(ctx, TaskKey(queue, id)).Result()
	if err != nil {
		return "", err
	}
	if lives == 1 {
		return "", fmt.Errorf("already queued: %w", ErrDuplicate)
	}
	// A worker writes the dead letter, or the claim's "done", before the task
	// leaves its queue: if neither is there now, the task never was.
	now, err := c.redis.Get(ctx, ClaimKey(app, id)).Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		return "", err
	}
	dead, err := c.redis.Exists(ctx, EntryKey(app, id)).Result()
	if err != nil {
		return "", err
	}
	if now == claimDone || dead == 1 {
		return "", fmt.Errorf("ended not long ago: %w", ErrDuplicate)
	}
	return queue, nil
}

// listStands returns an ErrDuplicate when another list under the ID of t was
// enqueued just now, or a part of it lives or has ended not long ago. claim is that
// of the list, without its mark.
func (c *Client) listStands(ctx context.Context, t Task, claim string) error {
	if err := c.settled(ctx, t); err != nil {
		return err
	}
	_, count, _ := strings.Cut(claim, " ")
	parts, err := strconv.Atoi(count)
	if err != nil {
		return fmt.Errorf("unreadable claim on ID: %w", ErrDuplicate)
	}
	for n := range parts {
		id := partID(t.ID, n+1)
		claim, err := c.redis.Get(ctx, ClaimKey(t.App, id)).Result()
		if err == nil && claim != claimDone {
			_, err = c.stands(ctx, t.App, id, claim)
		} else if err == nil {
			err = ErrDuplicate
		} else if errors.Is(err, redis.Nil) {
			var dead int64
			if dead, err = c.redis.Exists(ctx, EntryKey(t.App, id)).Result(); dead == 1 {
				err = ErrDuplicate
			}
		}
		if errors.Is(err, ErrDuplicate) {
			return fmt.Errorf("this ID is a list's that was split, and %s of it waits or ended not long ago: %w", id, ErrDuplicate)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// settled returns an ErrDuplicate when the claim on the ID of t is so young that
// what it is for may still be on its way.
func (c *Client) settled(ctx context.Context, t Task) error {
	left, err := c.redis.PTTL(ctx, ClaimKey(t.App, t.ID)).Result()
	if err == nil && left > claimSpare-listSettles {
		err = fmt.Errorf("another call or list under this ID is being queued: %w", ErrDuplicate)
	}
	return err
}

// replaceClaim puts the item's claim in the place of one that was left behind.
func (c *Client) replaceClaim(ctx context.Context, item *enqueueItem, leftBehind string) error {
	answer, err := item.claimBy(ctx, c.redis, claimScript.Run, leftBehind).Text()
	if err == nil && answer != "" {
		err = fmt.Errorf("claimed by another at the same time: %w", ErrDuplicate)
	}
	return err
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
