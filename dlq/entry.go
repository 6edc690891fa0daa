package dlq

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/imqueue/emq/errclass"
	"github.com/imqueue/emq/tasks"
)

var (
	// ErrNotFound is wrapped by errors about an entry, hold or queue that does not exist.
	ErrNotFound = errors.New("not found")
	// ErrResendInProgress is wrapped by the error for resending what is being resent.
	ErrResendInProgress = errors.New("resend in progress")
	// ErrState is wrapped by a *StateError.
	ErrState = errors.New("wrong state")
	// ErrRest is wrapped by the error for settling what was not called.
	ErrRest = errors.New("only what was not called is left: resend or discard it")
	// ErrHeld is wrapped by the error for resuming a queue under a hold.
	ErrHeld = errors.New("under a hold")
)

// A StateError refuses a change that the entry's state does not allow.
type StateError struct {
	ID     string
	State  State // the entry's state
	Wanted State // the state that the change starts from
}

func (e *StateError) Error() string {
	return fmt.Sprintf("dead letter %s is %s, not %s", e.ID, e.State, e.Wanted)
}

// Unwrap returns ErrState.
func (e *StateError) Unwrap() error { return ErrState }

// A State says where an entry is in its life.
type State string

const (
	// StateDead says that the task ended without success and waits for a person. Entered
	// by a task's end, by a failed resend and by Restore; left by Resend, Discard
	// and Settle; kept for ever.
	StateDead State = "dead"
	// StateResending says that a new generation of the task is at work, or about to be.
	// Left when that generation ends: resolved or dead.
	StateResending State = "resending"
	// StateResolved says that a resend succeeded, or that a person found the call
	// executed. Kept for Config.Keep, then purged.
	StateResolved State = "resolved"
	// StateDiscarded says that a person gave it up. Kept for Config.Keep, then purged;
	// Restore makes it dead again until then.
	StateDiscarded State = "discarded"
)

// States lists the states in the order of an entry's life.
func States() []State {
	return []State{StateDead, StateResending, StateResolved, StateDiscarded}
}

// A Reason says why a task was ended.
type Reason string

// The reasons.
const (
	ReasonVerdict        Reason = "verdict"         // the last attempt's verdict allows no further one
	ReasonExhausted      Reason = "exhausted"       // the attempt budget or the age limit is spent
	ReasonExpired        Reason = "expired"         // expires_at passed before the call
	ReasonCrashLoop      Reason = "crash-loop"      // it kept killing its workers
	ReasonUnknownOutcome Reason = "unknown-outcome" // perhaps executed, and the task forbids to try again
	ReasonRest           Reason = "rest"            // a part of it was settled as served, and this was not called
	ReasonUndecodable    Reason = "undecodable"     // no worker of this version can read it
	ReasonAdopted        Reason = "adopted"         // asynq archived it without asking
)

// An Attempt is one failed attempt of a task.
type Attempt struct {
	Generation  int            `json:"generation"` // 0: the task's first life; n: its n-th resend
	Number      int            `json:"number"`     // within the generation, from 1
	At          time.Time      `json:"at"`
	LatencyMS   int64          `json:"latency_ms"`
	Status      int            `json:"status,omitempty"`    // of the HTTP answer; 0: there was none
	Transport   string         `json:"transport,omitempty"` // the failure, when there was no answer
	Class       errclass.Class `json:"class"`
	Rule        string         `json:"rule"`
	Error       string         `json:"error,omitempty"`
	Description string         `json:"description,omitempty"` // kept to 1024 bytes
	Body        string         `json:"body,omitempty"`        // excerpt of the answer, kept to 512 bytes
	Counted     bool           `json:"counted"`               // it spent one of the task's attempts
	Worker      string         `json:"worker,omitempty"`
	Targets     int            `json:"targets,omitempty"` // how many this call was about; 0: not known
	Failed      int            `json:"failed,omitempty"`  // how many of them were refused or failed
	Mended      errclass.Mend  `json:"mended,omitempty"`  // what emq did by itself: it called halves, or left targets out
}

// The bounds of what one entry keeps.
const (
	// AttemptsMax bounds the attempts of an entry, over all generations, and
	// its events likewise: of more, the first 20 and the last 180 stay.
	AttemptsMax    = 200
	attemptsHead   = 20
	bodyMax        = 512
	descriptionMax = 1024
	wordMax        = 128 // an error code, a rule, a worker's or an actor's name
	noteMax        = 1024
)

// A Death is the end of one generation of a task without success.
type Death struct {
	// Task as far as it could be decoded; ID, App and Generation are always set.
	Task tasks.Task
	// Raw is the task's wire encoding as it was queued. Empty: Task is encoded.
	// Where Task has another payload, because part of its targets are done, the
	// entry keeps that one: it is what is left to be done.
	Raw      []byte
	Queue    string // where it ended
	Reason   Reason // empty means ReasonVerdict
	Verdict  errclass.Verdict
	Attempts []Attempt // failed attempts of this generation, oldest first
	// Unknown are those of the task's targets of which it is not known whether they
	// were served; none when that goes for all or for none.
	Unknown []string
	// Trace is the traceparent of the first attempt, or of the enqueue; empty without one.
	Trace string
	At    time.Time // zero means now

	encoded bool // Raw was made of Task
}

// What Event.Action says.
const (
	ActionDead      = "dead"       // the task ended without success
	ActionAdopted   = "adopted"    // the same, found in asynq's archive
	ActionResend    = "resend"     // put to work again
	ActionDeadAgain = "dead-again" // the resend ended without success, or was refused
	ActionResolved  = "resolved"   // the resend succeeded
	ActionDiscard   = "discard"
	ActionRestore   = "restore"
	ActionEdit      = "edit"    // a person replaced the payload
	ActionSettled   = "settled" // a person found that the call had been executed
)

// An Event is one line of an entry's history.
type Event struct {
	At     time.Time `json:"at"`
	Action string    `json:"action"`
	By     string    `json:"by,omitempty"`   // the person; empty for emq itself
	Note   string    `json:"note,omitempty"` // why
	Op     string    `json:"op,omitempty"`   // the operation that it was a part of; see Operation
	// Before is the payload that an edit replaced, secrets included.
	Before json.RawMessage `json:"before,omitempty"`
}

// An Actor is who changes something, and why. It is kept in the entry's events
// and, when it has a name, in the audit.
type Actor struct {
	Name string // empty for emq itself
	Note string

	op string // the operation that it acts in; its audit is the operation's
}

// An Entry is a dead letter. Times are to the millisecond, in UTC.
type Entry struct {
	ID     string     `json:"id"`
	App    string     `json:"app"`
	Kind   tasks.Kind `json:"kind"` // empty when it could not be decoded
	Queue  string     `json:"queue"`
	State  State      `json:"state"`
	Reason Reason     `json:"reason"`
	// Generation is 0 until the first resend and grows by one with each.
	Generation int `json:"generation"`

	// The last verdict. Class to Error, and the texts, are those of the cause.
	Class       errclass.Class `json:"class"`
	Scope       errclass.Scope `json:"scope"`
	Rule        string         `json:"rule"`
	Error       string         `json:"error"`
	Status      int            `json:"status"`
	Description string         `json:"description"`
	Cause       string         `json:"cause"` // ID of the cause
	Why         errclass.Text  `json:"why"`
	Advice      errclass.Text  `json:"advice"`

	EnqueuedAt    time.Time `json:"enqueued_at,omitzero"` // zero when it could not be decoded
	FirstFailedAt time.Time `json:"first_failed_at"`
	LastFailedAt  time.Time `json:"last_failed_at"` // the last generation's end
	ChangedAt     time.Time `json:"changed_at"`     // when it entered its state

	// Attempts of all generations and Events, oldest first, each at most
	// AttemptsMax; the counts say how many were left out of the middle.
	Attempts        []Attempt `json:"attempts"`
	AttemptsLeftOut int       `json:"attempts_left_out,omitempty"`
	Events          []Event   `json:"events"`
	EventsLeftOut   int       `json:"events_left_out,omitempty"`

	// Payload is what is left of the task's payload to be done, secrets included:
	// see Redacted. When the task could not be decoded it is the task as it was
	// queued, or null when that is no JSON.
	Payload json.RawMessage `json:"payload"`
	// Unknown are the targets in Payload of which it is not known whether they were
	// served; the others were not. Empty when the reason is for all of them.
	Unknown []string `json:"unknown,omitempty"`
	// Trace is the W3C traceparent of the first attempt at the task, or of its enqueue.
	// Empty when nobody traced it.
	Trace string `json:"trace,omitempty"`
	// Raw is the wire encoding of the task with that payload, secrets included.
	Raw []byte `json:"-"`

	subjects         []string // the users, groups and rooms that the payload is about
	causeDescription string   // the normalised one
}

// Redacted returns the entry with the secrets of its payload hidden and without
// Raw: what may be shown.
func (e Entry) Redacted() Entry {
	e.Payload = tasks.Redact(e.Payload)
	e.Events = slices.Clone(e.Events)
	for i := range e.Events {
		e.Events[i].Before = tasks.Redact(e.Events[i].Before)
	}
	e.Raw = nil
	return e
}

// words turns typed words into plain ones.
func words[T ~string](typed []T) []string {
	plain := make([]string, len(typed))
	for i, w := range typed {
		plain[i] = string(w)
	}
	return plain
}
