package tasks

import "time"

// An Option sets one option of the task that [Client.Enqueue] queues. Bad
// values come back from Enqueue as a *FieldError.
type Option func(*Task)

// ID names the task, so that enqueuing it again is refused with ErrDuplicate.
func ID(id string) Option { return func(t *Task) { t.ID = id } }

// App names the Easemob app by its alias.
func App(alias string) Option { return func(t *Task) { t.App = alias } }

// In delays the call by d.
func In(d time.Duration) Option { return func(t *Task) { t.ProcessAt = time.Now().Add(d) } }

// At delays the call until at.
func At(at time.Time) Option { return func(t *Task) { t.ProcessAt = at } }

// ExpiresAt is when the call has lost its point: after it the task becomes a
// dead letter without being called.
func ExpiresAt(at time.Time) Option { return func(t *Task) { t.ExpiresAt = at } }

// WithPriority sets the priority.
func WithPriority(p Priority) Option { return func(t *Task) { t.Priority = p } }

// MaxAttempts bounds the attempts that count.
func MaxAttempts(n int) Option {
	return func(t *Task) {
		if n == 0 {
			n = -1 // zero would mean the default, which is not what was asked for
		}
		t.MaxAttempts = n
	}
}

// MaxAge bounds the time until the last attempt.
func MaxAge(d time.Duration) Option {
	return func(t *Task) {
		if d == 0 {
			d = -1
		}
		t.MaxAge = d
	}
}

// OnUnknownOutcome says what follows when it is not known whether the call was executed.
func OnUnknownOutcome(do OnUnknown) Option { return func(t *Task) { t.OnUnknown = do } }
