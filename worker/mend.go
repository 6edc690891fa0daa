package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/imqueue/emq/errclass"
	"github.com/imqueue/emq/tasks"
)

// A batch is a task whose call has several targets, each done or not by itself.
// What is done is not called again; what is refused for good waits here until
// the rest has ended, and is then the dead letter.
type batch struct {
	whole tasks.Batch // as queued
	batchState

	next  []string  // of Rest, still to be called in this attempt
	later []refusal // of Rest, failed in this attempt and to be called in another one
	saved string    // the state as it was last read or written
}

// batchState is what must outlive the attempt. It is kept in the task's asynq
// hash, beside its history.
type batchState struct {
	Rest    []string  `json:"rest"` // not done, and not refused
	Refused []refusal `json:"refused,omitempty"`
	// Size is how many targets one call may have; 0: all.
	Size int `json:"size,omitempty"`
	// Split is the rule that found a call too large; empty: Size is small only to
	// find out whom a call was refused for.
	Split string `json:"split,omitempty"`
	// Crashes is how many deaths of workers are accounted for in Refused.
	Crashes int `json:"crashes,omitempty"`
}

// errBatchState is wrapped by the error about a state that this version can't read.
var errBatchState = errors.New("what is done of the task can't be read")

// longAttempt is when an attempt of many calls goes back to its queue, to go on
// from there: well before asynq's timeout, which would count as a failure.
const longAttempt = 5 * time.Minute

// A refusal is one verdict on some of the targets.
type refusal struct {
	Targets []string         `json:"targets"`
	Verdict errclass.Verdict `json:"verdict"`
}

// part is what the next call is about.
func (b *batch) part() []string {
	if b.Size > 0 && b.Size < len(b.next) {
		return b.next[:b.Size]
	}
	return b.next
}

// left are the targets that are not done, in the order of the task.
func (b *batch) left() []string {
	open := slices.Clone(b.Rest)
	for _, r := range b.Refused {
		open = append(open, r.Targets...)
	}
	return slices.DeleteFunc(b.whole.Targets(), func(target string) bool { return !slices.Contains(open, target) })
}

// sort puts targets where a verdict says, none of them being called any more in
// this attempt.
func (b *batch) sort(v errclass.Verdict, targets []string) {
	targets = slices.Clone(targets)
	b.next = without(b.next, targets)
	switch {
	case v.Class == errclass.ClassSuccess:
		b.Rest = without(b.Rest, targets)
	case v.Class == errclass.ClassRetryable, v.Scope == errclass.ScopeApp:
		b.Rest = append(without(b.Rest, targets), targets...) // part() of Rest is the next call's
		b.later = note(b.later, v, targets)
	default:
		b.Rest = without(b.Rest, targets)
		b.Refused = note(b.Refused, v, targets)
	}
}

func without(list, targets []string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(target string) bool { return slices.Contains(targets, target) })
}

// note adds targets to those with the same verdict.
func note(list []refusal, v errclass.Verdict, targets []string) []refusal {
	v.Failed, v.Named, v.Mend = nil, nil, errclass.MendNone
	for i := range list {
		if old := list[i].Verdict; old.Rule == v.Rule && old.Status == v.Status && old.Error == v.Error {
			list[i].Targets = append(list[i].Targets, targets...)
			return list
		}
	}
	return append(list, refusal{Targets: targets, Verdict: v})
}

// payload is what the next call is about.
func (a *attempt) payload() tasks.Payload {
	if a.batch == nil {
		return a.task.Payload
	}
	return a.batch.whole.Only(a.batch.part())
}

// messages is how many messages the next call counts for.
func (a *attempt) messages() int {
	return tasks.Task{Payload: a.payload()}.Messages()
}

// resume takes a task with several targets up where its last attempt left it.
func (w *Worker) resume(ctx context.Context, a *attempt) error {
	whole, ok := a.task.Payload.(tasks.Batch)
	if !ok || len(whole.Targets()) < 2 {
		return nil
	}
	b := &batch{whole: whole, batchState: batchState{Rest: whole.Targets()}}
	saved, err := w.redis.HGet(ctx, tasks.TaskKey(a.queue, a.task.QueueID()), batchField).Result()
	switch {
	case errors.Is(err, redis.Nil):
	case err != nil:
		return err
	default:
		if err := json.Unmarshal([]byte(saved), &b.batchState); err != nil {
			return fmt.Errorf("%w: %w", errBatchState, err)
		}
	}
	b.next, b.saved = b.Rest, saved
	a.batch = b
	a.narrow()
	return nil
}

// narrow leaves in the task only what is not done.
func (a *attempt) narrow() {
	if left := a.batch.left(); len(left) > 0 {
		a.task.Payload = a.batch.whole.Only(left)
	}
}

// mend reads the answer target by target. When there is more to call in this
// attempt, it saves what is done, takes leave for the call, and says again. When
// there isn't, a.ending() is the verdict on the task.
func (w *Worker) mend(ctx context.Context, a *attempt) (again bool, _ error) {
	b := a.batch
	if b == nil {
		return false, nil
	}
	once := onlyOnce(a.task)
	stopped := b.read(a.verdict, once)
	a.narrow()
	again = !stopped && len(b.next) > 0
	if !again {
		if !stopped {
			a.end = b.end()
		}
		if class := a.ending().Class; class == errclass.ClassSuccess || class == errclass.ClassPermanent {
			return false, nil // the task ends here
		}
	}
	// What is done must be known before the next call, or it would be repeated
	// after a crash.
	if err := w.persist(ctx, func(ctx context.Context) error { return w.saveBatch(ctx, a) }); err != nil {
		w.log.Error("could not note what is done of a task", "task_id", a.task.ID, "app", a.task.App, "error", err)
		// As after a crash, see bury: what this call was about is not called again,
		// if the task asks for that.
		return false, &outcome{wait: backRedis, counted: once, text: "what is done was not noted"}
	}
	if !again {
		return false, nil
	}
	if time.Since(a.started) > longAttempt {
		return false, w.back(a, frontDelay, "long attempt")
	}
	if v := a.verdict; v.Class != errclass.ClassSuccess || v.Mend != errclass.MendNone {
		w.remember(ctx, a, false)
	}
	w.line(a, endPart)
	return w.permit(ctx, a, 1, a.messages())
}

// read sorts the targets of the last call by its verdict. It says whether the
// attempt stops, because the fault is neither the targets' nor their number's.
// With once, targets whose outcome is unknown are not called again.
func (b *batch) read(v errclass.Verdict, once bool) (stop bool) {
	part := b.part()
	half := (len(part) + 1) / 2
	switch {
	case v.Mend == errclass.MendSplit:
		b.Size, b.Split = half, v.Rule
	case v.Mend == errclass.MendLeaveOut && len(v.Named) > 0:
		b.sort(v, v.Named)
	case v.Mend == errclass.MendLeaveOut:
		b.Size = half
	case len(v.Failed) > 0:
		b.readFailed(v, part, once)
	case v.Class == errclass.ClassSuccess:
		b.sort(v, part)
		if b.Split == "" {
			b.Size *= 2
		}
	case v.OutcomeUnknown && once:
		b.leave(v, part)
	case v.Class == errclass.ClassRetryable, v.Scope == errclass.ScopeApp:
		return true
	case len(part) == 1 && v.Rule != b.Split:
		b.sort(v, part)
	default:
		b.sort(v, b.next) // the others would meet the same
	}
	return false
}

// leave puts targets of unknown outcome aside, for a person. The others still may
// be called.
func (b *batch) leave(v errclass.Verdict, targets []string) {
	targets = slices.Clone(targets)
	b.next, b.Rest, b.Refused = without(b.next, targets), without(b.Rest, targets), note(b.Refused, v, targets)
}

// crashed accounts for the deaths of workers: whether the part that the last of
// them may have called was served is not known. The others were not called.
func (b *batch) crashed(crashes int) {
	if part := b.part(); len(part) > 0 {
		b.leave(verdictWorkerDied(), part)
	}
	b.Crashes = crashes
}

// unknown are the targets of which a person must find out whether they were
// served; nil when there are none.
func (b *batch) unknown() *refusal {
	if b == nil {
		return nil
	}
	i := slices.IndexFunc(b.Refused, func(r refusal) bool { return r.Verdict.OutcomeUnknown })
	if i < 0 {
		return nil
	}
	all := refusal{Verdict: b.Refused[i].Verdict}
	for _, r := range b.Refused {
		if r.Verdict.OutcomeUnknown {
			all.Targets = append(all.Targets, r.Targets...)
		}
	}
	return &all
}

// readFailed reads an answer that refuses some of the call's targets.
func (b *batch) readFailed(v errclass.Verdict, part []string, once bool) {
	done := part
	for _, f := range v.Failed {
		if !slices.Contains(part, f.Target) {
			b.sort(v, part) // it doesn't tell whom it refuses
			return
		}
		done = without(done, []string{f.Target})
	}
	for _, f := range v.Failed {
		if f.OutcomeUnknown && once {
			b.leave(f.Verdict, []string{f.Target})
		} else {
			b.sort(f.Verdict, []string{f.Target})
		}
	}
	b.sort(errclass.Verdict{Class: errclass.ClassSuccess}, done)
}

// end is the verdict on the task once nothing more is to be called in this
// attempt: that of the targets to be called again, else that of the refused, an
// unknown outcome before all; nil when all are done.
func (b *batch) end() *errclass.Verdict {
	list := b.later
	if len(list) == 0 {
		list = b.Refused
	}
	if len(list) == 0 {
		return nil
	}
	top := slices.MaxFunc(list, func(a, b refusal) int { return a.Verdict.Gravity() - b.Verdict.Gravity() })
	if u := b.unknown(); u != nil && len(b.later) == 0 {
		top = *u
	}
	v := top.Verdict
	if len(top.Targets) < len(b.whole.Targets()) {
		v.Description = top.describe()
	}
	return &v
}

// namesShown is how many targets a description names.
const namesShown = 5

// describe says who was refused, and why. Names stand in brackets, which
// errclass.Normalise takes out.
func (r refusal) describe() string {
	shown, more := r.Targets, ""
	if len(shown) > namesShown {
		shown, more = shown[:namesShown], ", …"
	}
	what := "refused"
	if r.Verdict.OutcomeUnknown {
		what = "of unknown outcome"
	}
	return fmt.Sprintf("%d of the targets %s [%s%s]: %s", len(r.Targets), what, strings.Join(shown, ", "), more, r.Verdict.Description)
}
