package dlq

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

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
	return s.change(ctx, "edit", app, id, nil, func(old *record) (*record, error) {
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
		if t.Payload, err = tasks.DecodePayload(t.Kind(), payload); err != nil {
			return nil, err
		}
		edited := t
		edited.ExpiresAt = time.Time{} // what has expired may be edited all the same
		if err := edited.Validate(); err != nil {
			return nil, err
		}
		r := old.next(StateDead, s.now(), ActionEdit, by)
		r.body.Events[len(r.body.Events)-1].Before = before
		if r.raw, err = tasks.Encode(t); err != nil {
			return nil, err
		}
		return r, nil
	})
}

// Settle ends a dead letter whose call was executed, as a person has found
// out: it becomes resolved. One whose call was not executed is resent instead.
// Errors are as those of Discard.
func (s *Store) Settle(ctx context.Context, app, id string, by Actor) error {
	return s.move(ctx, "settle", app, id, StateDead, StateResolved, ActionSettled, by)
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
