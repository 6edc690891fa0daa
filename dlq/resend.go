package dlq

import (
	"context"
	"errors"
	"fmt"

	"github.com/imqueue/emq/tasks"
)

// errNoClient is returned where a store without a client is asked to queue.
var errNoClient = errors.New("this store has no client to queue tasks with")

// Resend puts a dead letter to work again, as a new generation of its task with
// a fresh budget of attempts and time. However many call it for one entry, one
// succeeds.
//
// Errors wrap ErrNotFound; ErrResendInProgress; ErrState, as a *StateError, for
// an entry that is resolved or discarded; or, for a task that this version
// can't read or does not take any more, what [tasks.Decode] or
// [tasks.Client.Requeue] said, and then the entry stays dead. Any other error is
// a failure of Redis: when the resend was marked before it, the error says so,
// and Sweep finishes the resend.
func (s *Store) Resend(ctx context.Context, app, id string, by Actor) error {
	if s.client == nil {
		return fmt.Errorf("resend %s: %w", id, errNoClient)
	}
	r, t, err := s.mark(ctx, app, id, by)
	if err != nil {
		return err
	}
	return s.queue(ctx, r, t)
}

// mark makes the entry resending: the first step of a resend, and the one that
// decides who does it. What is to be queued, and where, is fixed from here on.
func (s *Store) mark(ctx context.Context, app, id string, by Actor) (r *record, t tasks.Task, err error) {
	err = s.change(ctx, change{op: "resend", app: app, id: id, by: by, edit: func(old *record) (*record, error) {
		if old != nil && old.state == StateResending {
			return nil, ErrResendInProgress
		}
		if err := old.mustBe(app, id, StateDead); err != nil {
			return nil, err
		}
		var err error
		r, t, err = s.resending(old, "", by)
		return r, err
	}})
	return r, t, err
}

// resending is the record as it is while its next generation is at work, and that
// task. priority, unless empty, is in the place of the task's own.
func (s *Store) resending(old *record, priority tasks.Priority, by Actor) (*record, tasks.Task, error) {
	t, err := old.task()
	if err != nil {
		return nil, t, err
	}
	if priority != "" {
		t.Priority = priority
	}
	r := old.next(StateResending, s.now(), ActionResend, by)
	r.generation++
	r.op = by.op
	r.body.Queue = t.Queue()
	return r, t, nil
}

// queue does the other two steps of a marked resend: it queues the task and
// confirms. It may be repeated.
func (s *Store) queue(ctx context.Context, r *record, t tasks.Task) error {
	err := s.client.Requeue(ctx, t, r.generation)
	switch {
	case err == nil:
		s.confirm(ctx, r)
		return nil
	case refusedForGood(err):
		// Nothing was queued, and nothing would be the next time.
		if back := s.putBack(ctx, r, err); back != nil {
			return errors.Join(fmt.Errorf("resend %s: %w", r.id, err), back)
		}
		return fmt.Errorf("resend %s: refused, it stays dead: %w", r.id, err)
	default:
		return fmt.Errorf("resend %s: marked, but perhaps not queued yet; the next sweep of a worker finishes it: %w", r.id, err)
	}
}

// refusedForGood says whether a task was not queued and never will be as it is.
func refusedForGood(err error) bool {
	var refused *tasks.FieldError
	return errors.As(err, &refused) || errors.Is(err, tasks.ErrUnknownKind)
}

// confirm notes that the resend is queued. When that fails, the sweeper queues
// the task once more, which does nothing, and confirms.
func (s *Store) confirm(ctx context.Context, r *record) {
	s.redis.ZRem(ctx, unconfirmedKey(r.app), r.queueID())
}

// putBack makes a resend that could not be queued dead again. The generation
// stays used up.
func (s *Store) putBack(ctx context.Context, r *record, why error) error {
	return s.change(ctx, change{op: "put back", app: r.app, id: r.id, edit: func(old *record) (*record, error) {
		if old == nil || !old.waitsFor(r.generation) {
			return nil, nil
		}
		return old.next(StateDead, s.now(), ActionDeadAgain, Actor{Note: "not queued: " + why.Error()}), nil
	}})
}

// Discard gives a dead letter up. It is kept for Config.Keep, and Restore brings
// it back until then. Errors wrap ErrNotFound or, as a *StateError, ErrState;
// any other is a failure of Redis.
func (s *Store) Discard(ctx context.Context, app, id string, by Actor) error {
	return s.move(ctx, "discard", app, id, StateDead, StateDiscarded, ActionDiscard, by)
}

// Restore makes a discarded entry dead again. Errors are as those of Discard.
func (s *Store) Restore(ctx context.Context, app, id string, by Actor) error {
	return s.move(ctx, "restore", app, id, StateDiscarded, StateDead, ActionRestore, by)
}

func (s *Store) move(ctx context.Context, op, app, id string, from, to State, action string, by Actor) error {
	return s.change(ctx, change{op: op, app: app, id: id, by: by, edit: func(old *record) (*record, error) {
		if err := old.mustBe(app, id, from); err != nil {
			return nil, err
		}
		return old.next(to, s.now(), action, by), nil
	}})
}
