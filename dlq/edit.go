package dlq

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/imqueue/emq/errclass"
	"github.com/imqueue/emq/tasks"
)

// Edit replaces the payload of a dead letter, which stays dead: Resend then
// puts the new one to work. The payload is checked as at enqueue; the kind
// can't change. The old one is kept in the entry's events.
//
// Errors wrap ErrNotFound or, as a *StateError, ErrState; a *tasks.FieldError
// refuses the payload; for a task that this version can't read they are those
// of [tasks.Decode]; any other is a failure of Redis.
func (s *Store) Edit(ctx context.Context, app, id string, payload json.RawMessage, by Actor) error {
	return s.change(ctx, change{op: "edit", app: app, id: id, by: by, edit: func(old *record) (*record, error) {
		if err := old.mustBe(app, id, StateDead); err != nil {
			return nil, err
		}
		t, err := old.task()
		if err != nil {
			return nil, err
		}
		before, err := marshalJSON(t.Payload)
		if err != nil {
			return nil, err
		}
		after, err := tasks.DecodePayload(t.Kind(), payload)
		if err != nil {
			return nil, err
		}
		r := old.next(StateDead, s.now(), ActionEdit, by)
		r.body.Events[len(r.body.Events)-1].Before = before
		return r, replacePayload(r, t, after)
	}})
}

// replacePayload gives the record's task another payload, checked as at enqueue.
func replacePayload(r *record, t tasks.Task, payload tasks.Payload) error {
	t.Payload = payload
	edited := t
	edited.ExpiresAt = time.Time{} // what has expired may be edited all the same
	if err := edited.Validate(); err != nil {
		return err
	}
	raw, err := tasks.Encode(t)
	if err != nil {
		return err
	}
	r.raw, r.body.Unknown = raw, nil // what is unknown was about the old payload
	r.about(payload)
	return nil
}

// Settle ends a dead letter whose call was executed, as a person has found
// out: it becomes resolved. One whose call was not executed is resent instead.
//
// When only some of its targets were of unknown outcome, it is those that were
// served. The entry then stays dead with the others, left of them, for the reason
// ReasonRest; it can't be settled once more. Errors wrap ErrRest then; otherwise they
// are as those of Discard.
func (s *Store) Settle(ctx context.Context, app, id string, by Actor) (left int, err error) {
	// What it leads to must be known before: a cause can't be made up in a change.
	first, err := s.load(ctx, app, id)
	if err != nil {
		return 0, fmt.Errorf("settle %s: %w", id, err)
	}
	rest, err := first.others()
	if err != nil {
		return 0, fmt.Errorf("settle %s: %w", id, err)
	}
	if rest == nil {
		return 0, s.change(ctx, change{op: "settle", app: app, id: id, by: by, edit: func(old *record) (*record, error) {
			if err := old.mustBe(app, id, StateDead); err != nil {
				return nil, err
			}
			if strings.HasPrefix(old.cause, string(ReasonRest)+"-") {
				return nil, ErrRest
			}
			return old.next(StateResolved, s.now(), ActionSettled, by), nil
		}})
	}
	cause := newCause(Death{Task: tasks.Task{App: app, Payload: rest}, Reason: ReasonRest, Verdict: verdictRest()})
	err = s.change(ctx, change{op: "settle", app: app, id: id, cause: &cause, by: by, edit: func(old *record) (*record, error) {
		if err := old.mustBe(app, id, StateDead); err != nil {
			return nil, err
		}
		if old.version != first.version {
			return nil, errBusy // by another settlement, most likely
		}
		r := old.next(StateDead, s.now(), ActionSettled, by)
		r.cause, r.body.Unknown, r.body.Description = cause.ID, nil, ""
		r.about(rest)
		return r, r.narrow(rest)
	}})
	return len(tasks.Targets(rest)), err
}

// verdictRest is that of what is left when a part was settled.
func verdictRest() errclass.Verdict {
	return errclass.Verdict{
		Class: errclass.ClassRetryable, Scope: errclass.ScopeJob, Rule: "rest",
		Why: errclass.Text{
			En: "A person settled the targets of unknown outcome as served; these were not called, or refused.",
			Zh: "结果未知的对象已由人工定论为已执行；其余对象未被调用，或被拒绝。",
		},
		Advice: errclass.Text{
			En: "Run `emq dlq resend`, or drop them with `emq dlq discard`.",
			Zh: "请执行 `emq dlq resend` 重发，或用 `emq dlq discard` 丢弃。",
		},
	}
}

// others is the record's payload without the targets of unknown outcome; nil when
// that leaves none, or is not known.
func (r *record) others() (tasks.Payload, error) {
	if r == nil || len(r.body.Unknown) == 0 {
		return nil, nil
	}
	t, err := r.task()
	if err != nil {
		return nil, err
	}
	batch, ok := t.Payload.(tasks.Batch)
	if !ok {
		return nil, nil
	}
	rest := slices.DeleteFunc(batch.Targets(), func(target string) bool { return slices.Contains(r.body.Unknown, target) })
	if len(rest) == 0 {
		return nil, nil
	}
	return batch.Only(rest), nil
}

// mustBe refuses an entry that does not exist or is in another state.
func (r *record) mustBe(app, id string, state State) error {
	switch {
	case r == nil:
		return fmt.Errorf("dead letter of app %s: %w", app, ErrNotFound)
	case r.state != state:
		return &StateError{ID: id, State: r.state, Wanted: state}
	}
	return nil
}
