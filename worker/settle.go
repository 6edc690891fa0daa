package worker

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/hibiken/asynq"

	"github.com/imqueue/emq/dlq"
	"github.com/imqueue/emq/errclass"
	"github.com/imqueue/emq/tasks"
)

const (
	// crashLimit is how many workers a task may take down before it becomes a
	// dead letter instead of being called again.
	crashLimit = 3
	// Waits of a task that goes back without having been called.
	backHold  = 5 * time.Second
	backRedis = 2 * time.Second
	// crashDelay is the wait of a task whose worker died.
	crashDelay = time.Second
	// frontTries is how often a task that met a limit keeps its place. One that
	// always meets it must not stand before the others for ever.
	frontTries = 5
	// persistFor bounds the tries to write a task's end while Redis is away. It
	// is shorter than asynq's lease, after which another worker takes the task.
	persistFor   = 20 * time.Second
	persistEvery = 500 * time.Millisecond
)

// An outcome is the error by which a task goes back to its queue.
type outcome struct {
	wait    time.Duration // frontDelay: to the head of its queue
	counted bool          // the attempt counts against the budget
	text    string
}

func (o *outcome) Error() string { return o.text }

// settle decides what becomes of the task: done, another attempt, a hold, or a
// dead letter. Nothing else does.
func (w *Worker) settle(ctx context.Context, a *attempt) error {
	v := a.ending()
	cutShort := a.evidence.Transport == errclass.TransportCanceled
	unknown := v.OutcomeUnknown && !repeatable(a.task)

	switch {
	case v.Class == errclass.ClassSuccess:
		return w.done(ctx, a)

	case v.OutcomeUnknown && onlyOnce(a.task):
		w.remember(ctx, a, false) // see bury: should it fail, this must look like a crash
		return w.bury(ctx, a, dlq.ReasonUnknownOutcome, verdictUnknownOutcome(v))

	case cutShort:
		// This worker stops, or lost its lease: no fault of the call.
		w.remember(ctx, a, false)
		w.line(a, endRetry, nextIn(0))
		return w.back(a, frontDelay, "cut short")

	case v.Class == errclass.ClassNeedsHuman && v.Scope == errclass.ScopeApp:
		return w.hold(ctx, a)

	case v.Class != errclass.ClassRetryable:
		w.remember(ctx, a, true)
		return w.bury(ctx, a, dlq.ReasonVerdict, v)
	}

	wait := v.Delay.Wait(a.number, rand.Float64)
	// While Easemob is down it is no fault of the task's. An answer 500 counts even
	// so, because it may be; and so does a call that may have been carried out, or
	// else the number of its copies would have no bound.
	counted := v.Delay.SpendsAttempt() && (!a.away || a.evidence.Status == http.StatusInternalServerError || unknown)
	failures := w.remember(ctx, a, counted)
	if failures == 0 {
		// asynq must not count what the history doesn't, or the difference would
		// pass for a crash.
		counted = false
	}
	if (counted && a.number >= a.task.MaxAttempts) || time.Now().Add(wait).After(a.task.Deadline()) {
		return w.bury(ctx, a, dlq.ReasonExhausted, verdictExhausted(v))
	}
	if a.limited() && 0 < failures && failures <= frontTries {
		wait = frontDelay // its endpoint is closed for all until it may be called again
	}
	w.line(a, endRetry, nextIn(max(0, wait)))
	return &outcome{wait: wait, counted: counted, text: v.Rule}
}

// done ends a task that succeeded. Both notes are written before asynq drops
// the task, so that after a crash in between the call is not repeated: the one
// that a dead letter waits for comes first, because alone it is enough.
func (w *Worker) done(ctx context.Context, a *attempt) error {
	err := w.persist(ctx, func(ctx context.Context) error {
		if a.task.Generation > 0 {
			history, err := w.history(ctx, a)
			if err != nil {
				return err
			}
			if err := w.store.Resolve(ctx, a.task, history); err != nil {
				return err
			}
		}
		return tasks.MarkDelivered(ctx, w.redis, a.task, w.cfg.IDRetention)
	})
	if err != nil {
		w.log.Error("delivered, but could not note it", "task_id", a.task.ID, "app", a.task.App, "error", err)
	}
	w.line(a, endDone)
	return nil
}

// hold stops the app, because its fault would hit every call, and sends the
// task back to its queue.
func (w *Worker) hold(ctx context.Context, a *attempt) error {
	v := a.ending()
	v.Advice = forApp(v.Advice, a.task.App)
	w.remember(ctx, a, false)
	hold := dlq.Hold{
		App: a.task.App, Rule: v.Rule, Error: v.Error, Description: v.Description, Status: v.Status,
		Why: v.Why, Advice: v.Advice, Since: time.Now(), Task: a.task.ID, By: w.cfg.Name,
	}
	created, err := w.store.SetHold(ctx, hold)
	if err != nil {
		w.log.Error("could not set a hold", "app", a.task.App, "error", err)
		return w.back(a, backRedis, v.Rule)
	}
	w.holds.set(hold)
	if created {
		w.log.Error("app is held: a person must act", "app", a.task.App, "rule", v.Rule, "status", v.Status,
			"why", v.Why.En, "advice", v.Advice.En, "clear", "emq hold clear "+a.task.App)
	}
	w.line(a, endHold, nextIn(backHold))
	return &outcome{wait: backHold, text: v.Rule}
}

// back sends a task back to its queue without counting an attempt.
func (w *Worker) back(a *attempt, wait time.Duration, text string) error {
	w.log.Debug("task goes back", "task_id", a.task.ID, "app", a.task.App, "reason", text, "wait_ms", wait.Milliseconds())
	return &outcome{wait: wait, text: text}
}

// bury writes the dead letter and then ends the task. A crash between the two
// is met by admit, which finds the dead letter.
func (w *Worker) bury(ctx context.Context, a *attempt, reason dlq.Reason, v errclass.Verdict) error {
	death := dlq.Death{Task: a.task, Raw: a.raw, Queue: a.queue, Reason: reason, Verdict: v, Trace: w.traceparent(a), At: time.Now()}
	if u := a.batch.unknown(); u != nil && onlyOnce(a.task) {
		// Whatever ended the others, nobody may resend these unasked.
		u.Verdict.Description = u.describe()
		death.Reason, death.Verdict, death.Unknown = dlq.ReasonUnknownOutcome, verdictUnknownOutcome(u.Verdict), u.Targets
	}
	a.end = &death.Verdict
	mine := true
	err := w.persist(ctx, func(ctx context.Context) (err error) {
		if mine, err = w.owns(ctx, a); err != nil || !mine {
			return err
		}
		if death.Attempts, err = w.history(ctx, a); err != nil {
			return err
		}
		return w.store.Put(ctx, death)
	})
	if !mine {
		return w.back(a, frontDelay, "another worker has the task by now: this one was stopped for too long")
	}
	if err != nil {
		if a.batch != nil {
			err = errors.Join(err, w.saveBatch(ctx, a)) // what the last call did is known
		}
		w.log.Error("could not write a dead letter", "task_id", a.task.ID, "app", a.task.App, "error", err)
		// Counted beyond the history, so that it comes back as after a crash: the
		// dead letter is looked for, and an unknown outcome is not called again.
		return &outcome{wait: backRedis, counted: true, text: "dead letter not written"}
	}
	w.line(a, endDead, slog.String("reason", string(death.Reason)), slog.String("why", death.Verdict.Why.En))
	return asynq.RevokeTask
}

// exhaust buries a task whose age limit ran out before this attempt, with the
// verdict of the last attempt if there was one.
func (w *Worker) exhaust(ctx context.Context, a *attempt) error {
	v := verdictTooOld(a.task)
	history, err := w.history(ctx, a)
	if err != nil {
		return w.back(a, backRedis, "can't look up the task's history: "+err.Error())
	}
	if n := len(history); n > 0 {
		last := history[n-1]
		v.Rule, v.Status, v.Error, v.Description = last.Rule, last.Status, last.Error, last.Description
	}
	return w.bury(ctx, a, dlq.ReasonExhausted, v)
}

// buryUndecodable keeps what this version can't read.
func (w *Worker) buryUndecodable(ctx context.Context, a *attempt, queueID string, cause error) error {
	app, _, _, ok := tasks.ParseQueueName(a.queue)
	if !ok {
		return w.back(a, backRedis, "queue is not emq's")
	}
	// asynq knows the ID and the generation for certain; the bytes may not.
	a.task.App = app
	a.task.ID, a.task.Generation = tasks.SplitQueueID(queueID)
	return w.bury(ctx, a, dlq.ReasonUndecodable, verdictUndecodable(cause))
}

// persist repeats a write until it succeeds, the lease is lost, its time is up,
// or it is refused for good.
func (w *Worker) persist(ctx context.Context, write func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, persistFor)
	defer cancel()
	for {
		err := write(ctx)
		var refused *tasks.FieldError
		if err == nil || errors.As(err, &refused) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(persistEvery):
		}
	}
}

// onlyOnce says whether a call whose outcome is unknown is left to a person.
func onlyOnce(t tasks.Task) bool { return t.OnUnknown == tasks.Hold && !repeatable(t) }

// repeatable says whether making the call twice does no harm.
func repeatable(t tasks.Task) bool {
	info, ok := t.Kind().Info()
	return ok && info.Repeatable
}

// isFailure tells asynq whether an attempt counts. A lost lease means that a
// worker died; it counts, so that a task that kills its workers comes to an end.
func isFailure(err error) bool {
	var o *outcome
	if errors.As(err, &o) {
		return o.counted
	}
	return true
}

// retryDelay tells asynq how long a task waits. asynq cuts times to the second,
// so waits are rounded up; zero and frontDelay stay.
func retryDelay(_ int, err error, _ *asynq.Task) time.Duration {
	var o *outcome
	switch {
	case !errors.As(err, &o):
		return crashDelay
	case o.wait <= 0:
		return o.wait
	default:
		return o.wait + time.Second - time.Nanosecond
	}
}
