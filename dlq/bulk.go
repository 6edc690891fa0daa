package dlq

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/imqueue/emq/tasks"
)

// BulkMax bounds the members that Work takes up at once.
const BulkMax = 500

// ActiveOperations lists the operations of an app that have work left, the oldest
// first.
func (s *Store) ActiveOperations(ctx context.Context, app string) ([]Operation, error) {
	ids, err := s.redis.SMembers(ctx, activeOpsKey(app)).Result()
	if err != nil {
		return nil, fmt.Errorf("list active operations of %s: %w", app, err)
	}
	ops, err := s.readOperations(ctx, app, ids)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(ops, func(a, b Operation) int { return a.MadeAt.Compare(b.MadeAt) })
	return ops, nil
}

// Work takes up the next members of a running operation, most of them at most, those
// with the oldest last failure first, and returns the operation as it is then and how
// many they were. With none left, the operation waits for what it has resent, or is
// done. worker is who works.
//
// A member is changed once, whoever works on it, however often, and wherever a worker
// dies: its entry must be as it was when it was frozen, and remembers the operation.
// Errors are failures of Redis; Work may then be called again.
func (s *Store) Work(ctx context.Context, op Operation, most int, worker string) (Operation, int, error) {
	op, err := s.GetOperation(ctx, op.App, op.ID)
	if err != nil {
		return op, 0, err
	}
	if op.State != OpRunning || op.Worked >= op.Members {
		op, err = s.finish(ctx, op)
		return op, 0, err
	}
	if most <= 0 {
		return op, 0, nil
	}
	members, err := s.members(ctx, op, min(most, BulkMax))
	if err != nil {
		return op, 0, err
	}
	if len(members) == 0 {
		// Another worker has ended it meanwhile.
		now, err := s.GetOperation(ctx, op.App, op.ID)
		if err == nil && now.State == OpRunning && now.Worked == op.Worked {
			err = fmt.Errorf("operation %s: %d of its %d members are gone: %w", op.ID, op.Members-op.Worked, op.Members, errDamaged)
		}
		return now, 0, err
	}
	refused, refusal, err := s.workOn(ctx, op, members)
	if err != nil {
		return op, 0, fmt.Errorf("operation %s: %w", op.ID, err)
	}
	err = advanceScript.Run(ctx, s.redis, []string{opKey(op.App, op.ID)}, op.Worked, len(members), refused, worker, refusal).Err()
	if err != nil {
		return op, 0, fmt.Errorf("operation %s: %w", op.ID, err)
	}
	op, err = s.GetOperation(ctx, op.App, op.ID)
	return op, len(members), err
}

// finish ends an operation whose members were all worked on.
func (s *Store) finish(ctx context.Context, op Operation) (Operation, error) {
	to := OpDone
	switch {
	case op.State != OpRunning && op.State != OpWaiting:
		return op, nil
	case op.AtWork() > 0 && op.State == OpWaiting:
		return op, nil
	case op.AtWork() > 0:
		to = OpWaiting
	}
	err := s.turn(ctx, op, "finish", Actor{}, to, op.State)
	if errors.Is(err, ErrState) {
		err = nil // another worker did
	}
	if err != nil {
		return op, err
	}
	return s.GetOperation(ctx, op.App, op.ID)
}

// members are the next members of an operation.
func (s *Store) members(ctx context.Context, op Operation, most int) ([]position, error) {
	end := int64(-op.Worked - 1)
	texts, err := s.redis.LRange(ctx, opMembersKey(op.App, op.ID), end-int64(most)+1, end).Result()
	if err != nil {
		return nil, fmt.Errorf("read the members of operation %s: %w", op.ID, err)
	}
	members := make([]position, len(texts))
	for i, text := range texts {
		id, at, _ := strings.Cut(text, " ")
		ms, err := strconv.ParseInt(at, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("operation %s: member %q: %w", op.ID, text, errDamaged)
		}
		members[len(texts)-1-i] = position{app: op.App, id: id, at: ms}
	}
	return members, nil
}

// errSkip says that a member has changed since the operation was frozen.
var errSkip = errors.New("changed since")

// A bulkMember is a member on its way through an operation.
type bulkMember struct {
	at   position
	old  *record
	new  *record
	task tasks.Task // to be queued
	err  error
}

// workOn changes members, and says how many can't be changed, and why one of them.
func (s *Store) workOn(ctx context.Context, op Operation, at []position) (refused int, refusal string, err error) {
	records, errs, err := s.loadMany(ctx, at)
	if err != nil {
		return 0, "", err
	}
	members := make([]bulkMember, len(at))
	for i := range members {
		m := &members[i]
		m.at, m.old = at[i], records[i]
		if m.err = errs[i]; m.err == nil {
			m.new, m.task, m.err = s.bulkChange(op, at[i], records[i])
		}
	}
	if err := s.swapMany(ctx, op, members); err != nil {
		return 0, "", err
	}
	if op.Action == ActionResend {
		if err := s.queueMany(ctx, op, members); err != nil {
			return 0, "", err
		}
	}
	for _, m := range members {
		if m.err != nil && !errors.Is(m.err, errSkip) {
			refused++
			refusal = tasks.Printable(m.at.id+": "+m.err.Error(), noteMax)
		}
	}
	return refused, refusal, nil
}

// bulkChange is what becomes of a member, nil when it has become so already. Its
// error is errSkip, or says why a task can't be resent.
func (s *Store) bulkChange(op Operation, at position, old *record) (r *record, t tasks.Task, err error) {
	by := Actor{Name: op.By, Note: op.Reason, op: op.ID}
	if old == nil {
		return nil, t, errSkip
	}
	if op.Action == ActionResend && old.state == StateResending && old.op == op.ID {
		t, err = old.task() // by a worker that died before it was queued, perhaps
		return nil, t, err
	}
	if old.state != (Bulk{Action: op.Action}).from() || old.last.UnixMilli() != at.at {
		return nil, t, errSkip
	}
	switch op.Action {
	case ActionDiscard:
		return old.next(StateDiscarded, s.now(), ActionDiscard, by), t, nil
	case ActionRestore:
		return old.next(StateDead, s.now(), ActionRestore, by), t, nil
	}
	return s.resending(old, op.Priority, by)
}

// swapMany writes what becomes of the members, in one round trip but for those that
// somebody else changes at the same time.
func (s *Store) swapMany(ctx context.Context, op Operation, members []bulkMember) error {
	pipe := s.redis.Pipeline()
	answers := make([]*redis.Cmd, len(members))
	for i, m := range members {
		if m.new == nil {
			continue
		}
		command, err := s.compose(m.old, m.new, change{by: Actor{Name: op.By, op: op.ID}})
		if err != nil {
			return err
		}
		answers[i] = changeScript.EvalSha(ctx, pipe, command.keys, command.args...)
	}
	if pipe.Len() == 0 {
		return nil
	}
	if _, err := pipe.Exec(ctx); err != nil && !redis.HasErrorPrefix(err, "NOSCRIPT") {
		return err
	}
	for i := range members {
		if answers[i] == nil {
			continue
		}
		if made, err := answers[i].Bool(); err == nil && made {
			continue
		} else if err != nil && !redis.HasErrorPrefix(err, "NOSCRIPT") {
			return err
		}
		m := &members[i]
		err := s.change(ctx, change{op: op.Action, app: op.App, id: m.at.id, by: Actor{Name: op.By, op: op.ID}, edit: func(old *record) (*record, error) {
			m.new, m.task, m.err = s.bulkChange(op, m.at, old)
			return m.new, nil // an error of its own is the member's
		}})
		if err != nil {
			return err
		}
	}
	return nil
}

// queueMany queues the resent members and confirms them.
func (s *Store) queueMany(ctx context.Context, op Operation, members []bulkMember) error {
	var (
		list []tasks.Task
		of   []*bulkMember
	)
	for i := range members {
		if m := &members[i]; m.err == nil {
			if m.new == nil {
				m.new = m.old
			}
			m.task.Generation = m.new.generation
			list, of = append(list, m.task), append(of, m)
		}
	}
	if len(list) == 0 {
		return nil
	}
	var queued []any
	var failed error
	for i, err := range s.client.RequeueMany(ctx, list) {
		m := of[i]
		switch {
		case err == nil:
			queued = append(queued, m.new.queueID())
		case refusedForGood(err):
			if back := s.putBack(ctx, m.new, err); back != nil {
				failed = errors.Join(failed, back)
			}
		default:
			failed = errors.Join(failed, fmt.Errorf("queue %s: %w", m.at.id, err))
		}
	}
	if failed != nil {
		return failed
	}
	if len(queued) > 0 {
		s.redis.ZRem(ctx, unconfirmedKey(op.App), queued...) // else the sweeper does; see confirm
	}
	return nil
}

// sweepOperations forgets operations that nobody started, and those that ended long
// enough ago.
func (s *Store) sweepOperations(ctx context.Context, app string, report *SweepReport) error {
	ids, err := s.redis.ZRangeByScore(ctx, opsKey(app), &redis.ZRangeBy{
		Min: "-inf", Max: strconv.FormatInt(s.now().Add(-opFrozenFor).UnixMilli(), 10), Count: sweepBatch,
	}).Result()
	if err != nil {
		return fmt.Errorf("list operations: %w", err)
	}
	ops, err := s.readOperations(ctx, app, ids)
	if err != nil {
		return err
	}
	known := map[string]bool{}
	for _, op := range ops {
		known[op.ID] = true
		ended := op.State == OpDone || op.State == OpCancelled
		if op.State != OpFrozen && !(ended && op.EndedAt.Before(s.now().Add(-s.keep))) {
			continue
		}
		if err := s.forgetOperation(ctx, app, op.ID); err != nil {
			return err
		}
		report.Operations++
	}
	for _, id := range ids {
		if !known[id] {
			if err := s.forgetOperation(ctx, app, id); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *Store) forgetOperation(ctx context.Context, app, id string) error {
	pipe := s.redis.TxPipeline()
	pipe.Unlink(ctx, opKey(app, id), opMembersKey(app, id))
	pipe.ZRem(ctx, opsKey(app), id)
	pipe.SRem(ctx, activeOpsKey(app), id)
	if _, err := pipe.Exec(ctx); err != nil {
		return fmt.Errorf("forget operation %s: %w", id, err)
	}
	return nil
}

// Drop forgets a frozen operation that nobody wants to start after all. It does
// nothing to one that was started. Errors are failures of Redis.
func (s *Store) Drop(ctx context.Context, app, id string) error {
	op, err := s.GetOperation(ctx, app, id)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	// Cancelled first, so that a start at the same moment either comes before, and
	// this does nothing, or fails.
	switch err := s.turn(ctx, op, ActionCancel, Actor{}, OpCancelled, OpFrozen); {
	case errors.Is(err, ErrState), errors.Is(err, ErrNotFound):
		return nil
	case err != nil:
		return err
	}
	return s.forgetOperation(ctx, app, id)
}

// leaseFor is how long a worker has some work of an app to itself before it must say so
// again.
const leaseFor = 15 * time.Second

// Work that one worker does for all of an app's.
const (
	WorkOperations = "ops"
	WorkAlerts     = "alerts"
)

// Lease says whether the worker has this work of an app to itself for the next 15 s, so
// that two do not compete for it. It is a courtesy: what they do must be safe without.
func (s *Store) Lease(ctx context.Context, app, work, worker string) (bool, error) {
	got, err := leaseScript.Run(ctx, s.redis, []string{leaseKey(app, work)}, worker, leaseFor.Milliseconds()).Bool()
	if err != nil {
		return false, fmt.Errorf("lease the %s of %s: %w", work, app, err)
	}
	return got, nil
}
