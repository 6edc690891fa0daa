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

// An attempt is one try at a task: one call, or several when the targets of one
// have to be called apart.
type attempt struct {
	task    tasks.Task // narrowed to the targets that are not done
	raw     []byte     // the task as it was queued
	queue   string
	started time.Time
	// number is 1 for the first attempt of a generation, and grows with every
	// attempt that counts and every crash.
	number int
	// owner is the name by which the task is this worker's, and deaths how many workers
	// may have died of it.
	owner  string
	deaths int
	batch  *batch // of a task with several targets; else nil
	trace  attemptTrace

	// Of the last call:
	evidence errclass.Evidence
	noToken  bool  // the evidence is about the token: the call was not made
	refusal  error // emq's own: the request can't be sent, and the evidence is empty
	latency  time.Duration
	verdict  errclass.Verdict
	away     bool // Easemob is down, or was a moment ago

	// end is the verdict on the task, when the last call's is not.
	end *errclass.Verdict
}

// ending is the verdict on the task.
func (a *attempt) ending() errclass.Verdict {
	if a.end != nil {
		return *a.end
	}
	return a.verdict
}

// limited says whether the last call met its endpoint's limit. The token's
// endpoint is another one.
func (a *attempt) limited() bool {
	d := a.verdict.Delay
	return !a.noToken && (d == errclass.DelayRate || d == errclass.DelayMinute)
}

// redelivered says whether an earlier attempt ended without success or did not
// end at all, so that there may be a history to look at.
func (a *attempt) redelivered() bool { return a.number > 1 }

// process is the life of one attempt. What it returns, asynq acts upon: nil
// and RevokeTask end the task, an *outcome sends it back to its queue.
func (w *Worker) process(ctx context.Context, queued *asynq.Task, f *flight) (err error) {
	a := &attempt{raw: queued.Payload(), started: time.Now()}
	if f != nil {
		a.owner, a.deaths = f.owner, f.deaths
	}
	a.trace = newAttemptTrace(queued.Headers(), f)
	defer a.trace.close()
	defer func() {
		if reason := recover(); reason != nil {
			w.log.Error("panic in an attempt", "task_id", a.task.ID, "panic", fmt.Sprint(reason), "stack", string(debug.Stack()))
			a.verdict, a.end = verdictPanic(reason), nil
			err = w.settle(ctx, a)
		}
	}()

	if ok, err := w.decode(ctx, a); !ok {
		return err
	}
	if ok, err := w.admit(ctx, a); !ok {
		return err
	}
	if a.batch != nil && len(a.batch.next) == 0 { // all ended before a crash
		a.end = a.batch.end()
		return w.settle(ctx, a)
	}
	leave, err := w.alone(ctx, a)
	if err != nil {
		w.notCalled(a)
		return err
	}
	defer leave()
	for {
		if ok, err := w.try(ctx, a); !ok {
			return err
		}
		if again, err := w.mend(ctx, a); err != nil {
			return err
		} else if !again {
			return w.settle(ctx, a)
		}
	}
}

// decode reads the task. One that can't be read becomes a dead letter: its
// bytes are kept, and a newer emq may be able to read them.
func (w *Worker) decode(ctx context.Context, a *attempt) (ok bool, _ error) {
	a.queue, _ = asynq.GetQueueName(ctx)
	retried, _ := asynq.GetRetryCount(ctx)
	a.number = retried + 1 + a.deaths
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
	if ok, err := w.due(ctx, a); !ok {
		w.notCalled(a)
		return false, err
	}
	return w.permit(ctx, a, 0, a.messages()-1) // the fetch took leave for one message
}

// notCalled gives the leave back that was taken for a call.
func (w *Worker) notCalled(a *attempt) {
	w.limits.giveBack(a.task.App, a.task.Endpoint(), a.task.Priority, 1)
}

// due says whether the task still needs the call, and its app may be called.
func (w *Worker) due(ctx context.Context, a *attempt) (ok bool, _ error) {
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
	if err := w.resume(ctx, a); errors.Is(err, errBatchState) {
		return false, w.bury(ctx, a, dlq.ReasonUndecodable, verdictUndecodable(err))
	} else if err != nil {
		return false, w.back(a, backRedis, "can't look up what is done of the task: "+err.Error())
	}
	now := time.Now()
	if a.redelivered() {
		crashes, called, err := w.crashes(ctx, a)
		if err != nil {
			return false, w.back(a, backRedis, "can't look up the task's history: "+err.Error())
		}
		if onlyOnce(*t) && a.batch == nil && crashes > 0 && called {
			return false, w.bury(ctx, a, dlq.ReasonUnknownOutcome, verdictUnknownOutcome(verdictWorkerDied()))
		}
		if onlyOnce(*t) && a.batch != nil && crashes > a.batch.Crashes && called {
			a.batch.crashed(crashes)
			a.narrow()
			if err := w.saveBatch(ctx, a); err != nil {
				return false, w.back(a, backRedis, "can't note what is done of the task: "+err.Error())
			}
		}
		if crashes >= crashLimit {
			return false, w.bury(ctx, a, dlq.ReasonCrashLoop, verdictCrashLoop(crashes))
		}
	}
	if !t.ExpiresAt.IsZero() && now.After(t.ExpiresAt) {
		return false, w.bury(ctx, a, dlq.ReasonExpired, verdictExpired(t.ExpiresAt))
	}
	if now.After(t.Deadline()) {
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

// permit takes leave for further calls and messages of the task, and waits for
// it a little. When that is not enough, the error is what asynq shall do with the
// task.
func (w *Worker) permit(ctx context.Context, a *attempt, calls, messages int) (ok bool, _ error) {
	if calls <= 0 && messages <= 0 {
		return true, nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(w.draining, cancel)()
	ok, err := w.limits.wait(ctx, a.task, calls, messages)
	switch {
	case ctx.Err() != nil:
		return false, w.back(a, frontDelay, "cut short while it waited for a limit")
	case err != nil:
		return false, w.back(a, backRedis, "can't take leave from the rate limit: "+err.Error())
	case !ok:
		return false, w.back(a, frontDelay, "rate limit")
	}
	return true, nil
}

// try makes one call, unless Easemob is known to be down, and judges its answer.
func (w *Worker) try(ctx context.Context, a *attempt) (ok bool, _ error) {
	if w.holds.covers(a.task.App, a.queue) {
		w.notCalled(a)
		return false, w.back(a, backHold, "held")
	}
	word := errNoWord
	if b := w.breakers[a.task.App]; b != nil {
		done, ok := b.enter()
		if !ok {
			w.notCalled(a)
			return false, w.back(a, frontDelay, "breaker is open")
		}
		defer func() {
			done(word)
			a.away = b.away()
		}()
	}
	w.call(ctx, a)
	a.verdict = w.classify(a)
	a.hideSecrets()
	word = wordOf(a)
	w.metrics.call(a, w.rules.Load())
	if a.limited() {
		w.limits.slow(ctx, a.task.App, a.task.Endpoint(), a.verdict.Delay, a.latency)
	}
	if a.verdict.Unknown {
		w.noteUnknown(ctx, a)
	}
	return true, nil
}

// hideSecrets takes the passwords that a call set out of what is kept of its answer. The
// rules have read it as it was.
func (a *attempt) hideSecrets() {
	v := &a.verdict
	if v.Class == errclass.ClassSuccess && !v.Unknown && len(v.Failed) == 0 && v.Mend == errclass.MendNone {
		return // nothing is kept
	}
	for _, secret := range tasks.Secrets(a.raw) {
		a.evidence.Body = []byte(easemob.Hide(string(a.evidence.Body), secret))
		v.Error, v.Description = easemob.Hide(v.Error, secret), easemob.Hide(v.Description, secret)
		for i := range v.Failed {
			f := &v.Failed[i]
			f.Error, f.Description = easemob.Hide(f.Error, secret), easemob.Hide(f.Description, secret)
		}
	}
}

// noteUnknown keeps an answer that no rule knew, for whoever writes the rule. The
// attempt's log line has it too, so a failure is no reason to stop.
func (w *Worker) noteUnknown(ctx context.Context, a *attempt) {
	v := a.verdict
	err := w.store.NoteUnknown(ctx, dlq.Unknown{
		App: a.task.App, Kind: a.task.Kind(), Status: v.Status, Error: v.Error, Description: v.Description,
		Body: tasks.Printable(string(a.evidence.Body), bodyExcerpt), Task: a.task.ID,
	})
	if err != nil {
		w.log.Warn("could not note an unknown answer", "task_id", a.task.ID, "app", a.task.App, "error", err)
	}
}

// call makes the call and notes what is known of it.
func (w *Worker) call(ctx context.Context, a *attempt) {
	payload := a.payload()
	a.evidence = errclass.Evidence{Kind: string(payload.Kind()), Attempt: a.number, Targets: tasks.Targets(payload)}
	a.noToken, a.refusal, a.latency = false, nil, 0
	request, err := payload.Request(a.task.ID)
	if err != nil {
		a.refusal = err // at enqueue, too, so only a task of an older version comes here
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

	inFlight := w.metrics.inFlight.WithLabelValues(a.task.App) // of the settings, or there were no client
	inFlight.Inc()
	defer inFlight.Dec()
	defer w.traceCall(a, request.Method)()
	began := time.Now()
	answer, err := client.Do(ctx, easemob.Request{Method: request.Method, Path: request.Path, Body: request.Body, Form: request.Form})
	a.latency = time.Since(began)
	if err == nil {
		a.evidence.Status, a.evidence.Body = answer.Status, answer.Body
		a.evidence.Written, a.evidence.FreshToken = true, answer.FreshToken
		return
	}
	if errors.Is(err, easemob.ErrInvalidRequest) {
		a.refusal = err
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
	if a.refusal != nil {
		return verdictUnsendable(a.refusal)
	}
	v := w.rules.Load().Classify(a.evidence)
	if a.noToken {
		v.OutcomeUnknown = false
		if v.Class != errclass.ClassRetryable {
			v.Class, v.Scope, v.Delay = errclass.ClassNeedsHuman, errclass.ScopeApp, errclass.DelayNone
		}
	}
	return v
}
