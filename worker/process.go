package worker

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/hibiken/asynq"

	"github.com/imqueue/emq/dlq"
	"github.com/imqueue/emq/errclass"
	"github.com/imqueue/emq/tasks"
	"github.com/imqueue/emq/worker/easemob"
)

// An attempt is one try at a task's call.
type attempt struct {
	task    tasks.Task
	raw     []byte // the task as it was queued
	queue   string
	started time.Time
	// number is 1 for the first attempt of a generation, and grows with every
	// attempt that counts and every crash.
	number   int
	evidence errclass.Evidence
	noToken  bool          // the evidence is about the token: the call was not made
	latency  time.Duration // of the call
	verdict  errclass.Verdict
}

// redelivered says whether an earlier attempt ended without success or did not
// end at all, so that there may be a history to look at.
func (a *attempt) redelivered() bool { return a.number > 1 }

// process is the life of one attempt. What it returns, asynq acts upon: nil
// and RevokeTask end the task, an *outcome sends it back to its queue.
func (w *Worker) process(ctx context.Context, queued *asynq.Task) (err error) {
	a := &attempt{raw: queued.Payload(), started: time.Now()}
	defer func() {
		if reason := recover(); reason != nil {
			w.log.Error("panic in an attempt", "task_id", a.task.ID, "panic", fmt.Sprint(reason), "stack", string(debug.Stack()))
			a.verdict = verdictPanic(reason)
			err = w.settle(ctx, a)
		}
	}()

	if ok, err := w.decode(ctx, a); !ok {
		return err
	}
	if ok, err := w.admit(ctx, a); !ok {
		return err
	}
	w.call(ctx, a)
	a.verdict = w.classify(a)
	return w.settle(ctx, a)
}

// decode reads the task. One that can't be read becomes a dead letter: its
// bytes are kept, and a newer emq may be able to read them.
func (w *Worker) decode(ctx context.Context, a *attempt) (ok bool, _ error) {
	a.queue, _ = asynq.GetQueueName(ctx)
	retried, _ := asynq.GetRetryCount(ctx)
	a.number = retried + 1
	var err error
	if a.task, err = tasks.Decode(a.raw); err != nil {
		id, _ := asynq.GetTaskID(ctx)
		return false, w.buryUndecodable(ctx, a, id, err)
	}
	return true, nil
}

// admit says whether the call may be made now. When it may not, the error is
// what asynq shall do with the task.
func (w *Worker) admit(ctx context.Context, a *attempt) (ok bool, _ error) {
	t := &a.task
	// A resend is made only while its dead letter waits for it. A task that was
	// taken up before may have ended just before its worker died; one with a
	// given ID may have been queued twice, by an enqueue whose answer was lost.
	if t.Generation > 0 || t.IDGiven() || a.redelivered() {
		ended, err := w.ended(ctx, a)
		if err != nil {
			return false, w.back(a, backRedis, "can't look up the task's history: "+err.Error())
		}
		if ended {
			w.log.Info("task had ended already", "task_id", t.ID, "app", t.App, "generation", t.Generation)
			return false, asynq.RevokeTask
		}
	}
	if w.holds.covers(t.App, a.queue) {
		return false, w.back(a, backHold, "held")
	}
	if !t.ExpiresAt.IsZero() && a.started.After(t.ExpiresAt) {
		return false, w.bury(ctx, a, dlq.ReasonExpired, verdictExpired(t.ExpiresAt))
	}
	if a.redelivered() {
		crashes, err := w.crashes(ctx, a)
		if err != nil {
			return false, w.back(a, backRedis, "can't look up the task's history: "+err.Error())
		}
		if crashes >= crashLimit {
			return false, w.bury(ctx, a, dlq.ReasonCrashLoop, verdictCrashLoop(crashes))
		}
		if crashes > 0 && t.OnUnknown == tasks.Hold && !repeatable(*t) {
			return false, w.bury(ctx, a, dlq.ReasonUnknownOutcome, verdictUnknownOutcome(verdictWorkerDied()))
		}
	}
	if a.started.After(t.Deadline()) {
		return false, w.exhaust(ctx, a)
	}
	return true, nil
}

// ended says whether the task needs no call any more.
func (w *Worker) ended(ctx context.Context, a *attempt) (bool, error) {
	if a.task.Generation == 0 {
		return tasks.Ended(ctx, w.redis, a.task)
	}
	due, err := w.store.Admit(ctx, a.task)
	return !due, err
}

// call makes the call and notes what is known of it.
func (w *Worker) call(ctx context.Context, a *attempt) {
	a.evidence = errclass.Evidence{Kind: kindForRules(a.task), Attempt: a.number}
	request, err := a.task.Payload.Request(a.task.ID)
	if err != nil {
		// Refused at enqueue, so only a task of an older version comes here.
		a.evidence.Status, a.evidence.Body = 400, errorBody("invalid_parameter", err)
		return
	}
	client, ok := w.clients[a.task.App]
	if !ok {
		// Queues are served for configured apps only; the task names another.
		a.evidence.Status, a.evidence.Body = 404, errorBody("organization_application_not_found", fmt.Errorf("app %q is not configured in this worker", a.task.App))
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(w.cut, cancel)()

	answer, err := client.Do(ctx, easemob.Request{Method: request.Method, Path: request.Path, Body: request.Body})
	a.latency = time.Since(a.started)
	if err == nil {
		a.evidence.Status, a.evidence.Body = answer.Status, answer.Body
		a.evidence.Written, a.evidence.FreshToken = true, answer.FreshToken
		return
	}
	if errors.Is(err, easemob.ErrInvalidRequest) {
		a.evidence.Status, a.evidence.Body = 400, errorBody("illegal_argument", err)
		return
	}
	var failed *easemob.Error
	if !errors.As(err, &failed) {
		a.evidence.Transport = errclass.TransportOther
		return
	}
	a.evidence.Status, a.evidence.Body = failed.Status, failed.Body
	a.evidence.Transport, a.evidence.Written = errclass.Transport(failed.Transport), failed.Written
	if failed.Op != easemob.OpToken {
		return
	}
	a.noToken = true
	switch {
	case failed.Status >= 200 && failed.Status < 300:
		// An answer without a usable token says nothing; least of all "done".
		a.evidence.Status, a.evidence.Body, a.evidence.Transport = 0, nil, errclass.TransportOther
	case failed.Status == 401 || failed.Status == 403:
		a.evidence.FreshToken = true // there is no token to renew
	}
}

// classify judges the evidence. Without a token no call was made, so nothing
// is unknown; and whatever keeps emq from getting one, but time, is a fault of
// the app's, not of the task that happened to need a token.
func (w *Worker) classify(a *attempt) errclass.Verdict {
	v := w.rules.Classify(a.evidence)
	if a.noToken {
		v.OutcomeUnknown = false
		if v.Class != errclass.ClassRetryable {
			v.Class, v.Scope, v.Delay = errclass.ClassNeedsHuman, errclass.ScopeApp, errclass.DelayNone
		}
	}
	return v
}

// kindForRules is the kind by which an answer is judged. A name that is taken
// is fine when it was the only one to register. With several, older servers
// refuse the whole call for it, so that the others would not exist: that must
// not pass for done, and is judged as of no kind in particular.
func kindForRules(t tasks.Task) string {
	if register, ok := t.Payload.(tasks.UserRegister); ok && len(register.Users) > 1 {
		return ""
	}
	return string(t.Kind())
}
