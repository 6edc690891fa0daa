package tasks

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// Bounds and defaults of a task's options.
const (
	IDMaxBytes         = 128
	MaxAttemptsDefault = 20
	MaxAttemptsMax     = 1000
	MaxAgeDefault      = 24 * time.Hour
	MaxAgeMin          = time.Second
	MaxAgeMax          = 30 * 24 * time.Hour
	ProcessAtMax       = 365 * 24 * time.Hour // how far ahead a task may be planned
	AppDefault         = "default"            // alias of the app when none is named
	appMaxBytes        = 32
)

// A Priority orders the tasks of one app and endpoint: a worker takes a lower
// one only when no higher one is due.
type Priority string

// The priorities.
const (
	High    Priority = "high"
	Default Priority = "default"
	Low     Priority = "low"
)

// Priorities lists the priorities, highest first.
func Priorities() []Priority { return []Priority{High, Default, Low} }

// OnUnknown says what follows when the request was written, no usable answer
// came, and the kind is not repeatable.
type OnUnknown string

const (
	// Retry makes the call again: at least once, perhaps twice. The default.
	Retry OnUnknown = "retry"
	// Hold makes the task a dead letter that a person settles: at most once.
	Hold OnUnknown = "hold"
)

// A Task is one outbound call to be made. Zero options mean their defaults.
type Task struct {
	// ID names the task in its app: 1 to 128 letters, digits and ._:@/#+=,-
	// and begins with a letter or digit. Empty: emq makes one up. The tasks that
	// a long list is split into are named ID.part1, ID.part2, and so on.
	ID string
	// App is the alias of the Easemob app; empty means the client's.
	App     string
	Payload Payload

	Priority  Priority
	ProcessAt time.Time // not called before; zero: at once
	// ExpiresAt is when the call has lost its point: after it, the task becomes
	// a dead letter without being called. Zero: never.
	ExpiresAt time.Time
	OnUnknown OnUnknown
	// MaxAttempts bounds the attempts that count: 1 to 1000. Waiting for a rate
	// limit, a hold or a shutdown counts as none.
	MaxAttempts int
	// MaxAge bounds the time from the enqueue (or from ProcessAt, when later)
	// to the last attempt: 1 s to 30 days.
	MaxAge time.Duration

	// EnqueuedAt and Generation are set by emq. Generation is 0 for the first
	// life of a task and grows by one with each resend.
	EnqueuedAt time.Time
	Generation int
	// TraceLink, of a resend, is the traceparent of the first attempt at the task. It is
	// set by emq, and not a part of the encoding.
	TraceLink string

	// nonce tells this enqueue from another one under the same ID; given says
	// that the ID was the caller's choice. The client sets both.
	nonce string
	given bool
}

// Kind is the kind of the payload, empty without one.
func (t Task) Kind() Kind {
	if t.Payload == nil {
		return ""
	}
	return t.Payload.Kind()
}

// IDGiven says whether the ID was chosen by the caller. Such an ID stays taken
// for a while after delivery.
func (t Task) IDGiven() bool { return t.given }

// Deadline is the end of the task's age limit.
func (t Task) Deadline() time.Time {
	from := t.EnqueuedAt
	if t.ProcessAt.After(from) {
		from = t.ProcessAt
	}
	return from.Add(t.MaxAge)
}

// QueueID is the ID under which asynq holds this generation of the task.
func (t Task) QueueID() string {
	if t.Generation == 0 {
		return t.ID
	}
	return fmt.Sprintf("%s~%d", t.ID, t.Generation)
}

// Queue is the name of the queue that the task waits in.
func (t Task) Queue() string { return QueueName(t.App, t.Endpoint(), t.Priority) }

// Endpoint is where the task's call goes.
func (t Task) Endpoint() Endpoint {
	if own, ok := t.Payload.(interface{ endpoint() Endpoint }); ok { // a payload or a pointer to one
		return own.endpoint()
	}
	info, _ := t.Kind().Info()
	return info.Endpoint
}

// Messages is how many messages the call counts for: one for each recipient of
// a send, 0 for what sends none.
func (t Task) Messages() int {
	if own, ok := t.Payload.(interface{ messages() int }); ok {
		return own.messages()
	}
	return 0
}

// withDefaults fills the options that were left zero.
func (t Task) withDefaults(app string, now time.Time) Task {
	if t.App == "" {
		t.App = app
	}
	if t.Priority == "" {
		t.Priority = Default
	}
	if t.OnUnknown == "" {
		t.OnUnknown = Retry
	}
	if t.MaxAttempts == 0 {
		t.MaxAttempts = MaxAttemptsDefault
	}
	if t.MaxAge == 0 {
		t.MaxAge = MaxAgeDefault
	}
	t.EnqueuedAt = now
	return t
}

// Validate checks the task as Enqueue would and returns the first *FieldError,
// or an error that wraps ErrUnknownKind. Zero options pass, and so does a list
// that Enqueue would split.
func (t Task) Validate() error {
	t = t.withDefaults(AppDefault, time.Now())
	if t.ID == "" {
		t.ID = strings.Repeat("x", generatedIDBytes)
	}
	_, _, err := t.split()
	return err
}

func (t Task) validateFields() error {
	if t.ID != "" {
		if err := checkID(t.ID); err != nil {
			return err
		}
	}
	if err := CheckApp(t.App); err != nil {
		return err
	}
	if isNil(t.Payload) {
		return &FieldError{Field: "payload", Bound: "must be given"}
	}
	if _, known := t.Kind().Info(); !known {
		return unknownKind(t.Kind())
	}
	if err := t.Payload.Validate(); err != nil {
		return within("payload", err)
	}
	switch t.Priority {
	case High, Default, Low:
	default:
		return fieldErr("priority", string(t.Priority), "must be high, default or low")
	}
	switch t.OnUnknown {
	case Retry, Hold:
	default:
		return fieldErr("on_unknown", string(t.OnUnknown), "must be retry or hold")
	}
	if t.MaxAttempts < 1 || t.MaxAttempts > MaxAttemptsMax {
		return &FieldError{Field: "max_attempts", Value: fmt.Sprint(t.MaxAttempts), Bound: fmt.Sprintf("1 to %d", MaxAttemptsMax)}
	}
	if t.MaxAge < MaxAgeMin || t.MaxAge > MaxAgeMax {
		return &FieldError{Field: "max_age", Value: t.MaxAge.String(), Bound: fmt.Sprintf("%v to %v", MaxAgeMin, MaxAgeMax)}
	}
	if ahead := t.ProcessAt.Sub(t.EnqueuedAt); ahead > ProcessAtMax {
		return &FieldError{Field: "process_at", Value: t.ProcessAt.Format(time.RFC3339), Bound: "at most 365 days ahead"}
	}
	if !t.ExpiresAt.IsZero() && (!t.ExpiresAt.After(t.EnqueuedAt) || !t.ExpiresAt.After(t.ProcessAt)) {
		return &FieldError{Field: "expires_at", Value: t.ExpiresAt.Format(time.RFC3339), Bound: "must be in the future and after process_at"}
	}
	return nil
}

func checkID(id string) error {
	const bound = "an ID has 1 to 128 letters, digits and ._:@/#+=,- and begins with a letter or digit"
	if id == "" || len(id) > IDMaxBytes || !isAlnum(id[0]) {
		return fieldErr("id", id, bound)
	}
	for i := range len(id) {
		if c := id[i]; !isAlnum(c) && !strings.ContainsRune("._:@/#+=,-", rune(c)) {
			return fieldErr("id", id, bound)
		}
	}
	return nil
}

// CheckApp checks the alias of an app: 1 to 32 lower-case letters, digits, '_'
// and '-', beginning with a letter or digit. It returns a *FieldError.
func CheckApp(app string) error {
	const bound = "an app's alias has 1 to 32 lower-case letters, digits, '_' and '-', and begins with a letter or digit"
	ok := app != "" && len(app) <= appMaxBytes && app[0] != '_' && app[0] != '-'
	for i := range len(app) {
		c := app[i]
		ok = ok && ('a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '_' || c == '-')
	}
	if !ok {
		return fieldErr("app", app, bound)
	}
	return nil
}

// envelope is a task as people write it: one line of `emq enqueue -f`.
type envelope struct {
	ID          *string         `json:"id,omitempty"`
	App         string          `json:"app,omitempty"`
	Kind        Kind            `json:"kind"`
	Payload     json.RawMessage `json:"payload"`
	Priority    Priority        `json:"priority,omitempty"`
	ProcessAt   *string         `json:"process_at,omitempty"` // RFC 3339
	ExpiresAt   *string         `json:"expires_at,omitempty"`
	OnUnknown   OnUnknown       `json:"on_unknown,omitempty"`
	MaxAttempts *int            `json:"max_attempts,omitempty"`
	MaxAge      string          `json:"max_age,omitempty"` // a Go duration: "90m", "24h"
}

// ParseEnvelope reads one task from its JSON envelope. Unknown fields are
// errors. It does not validate; [Task.Validate] and Enqueue do. Errors: a
// *FieldError, or one that wraps ErrUnknownKind.
func ParseEnvelope(raw []byte) (Task, error) {
	var e envelope
	if err := decodeStrict(raw, &e); err != nil {
		return Task{}, err
	}
	if err := refuseTwice(raw); err != nil {
		return Task{}, err
	}
	if err := refuseTwice(e.Payload); err != nil {
		return Task{}, within("payload", err)
	}
	if e.ID != nil && *e.ID == "" {
		return Task{}, &FieldError{Field: "id", Value: `""`, Bound: "must not be empty; leave it out to have one made up"}
	}
	if e.Kind == "" {
		return Task{}, &FieldError{Field: "kind", Bound: "must be given"}
	}
	if len(e.Payload) == 0 {
		return Task{}, &FieldError{Field: "payload", Bound: "must be given"}
	}
	t := Task{ID: deref(e.ID), App: e.App, Priority: e.Priority, OnUnknown: e.OnUnknown}
	var err error
	if t.Payload, err = DecodePayload(e.Kind, e.Payload); err != nil {
		return Task{}, within("payload", err)
	}
	for _, f := range []struct {
		name  string
		given *string
		time  *time.Time
	}{{"process_at", e.ProcessAt, &t.ProcessAt}, {"expires_at", e.ExpiresAt, &t.ExpiresAt}} {
		if f.given == nil {
			continue
		}
		if *f.time, err = time.Parse(time.RFC3339, *f.given); err != nil {
			return Task{}, fieldErr(f.name, *f.given, "must be a time such as 2026-01-31T18:00:00+08:00")
		}
	}
	if e.MaxAttempts != nil {
		if *e.MaxAttempts < 1 {
			return Task{}, &FieldError{Field: "max_attempts", Value: fmt.Sprint(*e.MaxAttempts), Bound: fmt.Sprintf("1 to %d", MaxAttemptsMax)}
		}
		t.MaxAttempts = *e.MaxAttempts
	}
	if e.MaxAge != "" {
		if t.MaxAge, err = time.ParseDuration(e.MaxAge); err != nil || t.MaxAge <= 0 {
			return Task{}, fieldErr("max_age", e.MaxAge, "must be a duration such as 90m or 24h")
		}
	}
	return t, nil
}

// WireVersion is the version of the encoding that Encode writes and the newest
// that Decode reads.
const WireVersion = 1

// ErrWireVersion is wrapped by Decode's error about a task that a newer emq wrote.
var ErrWireVersion = errors.New("written by a newer emq")

// wire is a task inside Redis. Names are short because every task carries them.
type wire struct {
	Version     int             `json:"v"`
	ID          string          `json:"id"`
	App         string          `json:"app"`
	Kind        Kind            `json:"kind"`
	Payload     json.RawMessage `json:"p"`
	Priority    Priority        `json:"pri"`
	EnqueuedMS  int64           `json:"enq"`
	ProcessMS   int64           `json:"at,omitempty"`
	ExpiresMS   int64           `json:"exp,omitempty"`
	OnUnknown   OnUnknown       `json:"unk"`
	MaxAttempts int             `json:"att"`
	MaxAgeMS    int64           `json:"age"`
	Generation  int             `json:"gen,omitempty"`
	Nonce       string          `json:"n,omitempty"`
	Given       bool            `json:"own,omitempty"`
}

// Encode writes a complete task (every option set) in the wire encoding. It
// returns a *FieldError for a list that only Enqueue would have split.
func Encode(t Task) ([]byte, error) {
	payload, err := encodePayload(t.Payload)
	if err != nil {
		return nil, fmt.Errorf("encode task: %w", err)
	}
	return t.encode(payload)
}

// encode is Encode for a task whose payload is in JSON already.
func (t Task) encode(payload []byte) ([]byte, error) {
	if err := checkCall(t.Payload, len(payload)); err != nil {
		return nil, err
	}
	// By hand, and as encoding/json would: it would read the payload once more, byte
	// by byte.
	w := newFieldWriter(len(payload) + 320)
	w.number("v", WireVersion)
	w.text("id", t.ID)
	w.text("app", t.App)
	w.text("kind", string(t.Kind()))
	w.raw("p", payload)
	w.text("pri", string(t.Priority))
	w.number("enq", unixMS(t.EnqueuedAt))
	w.numberUnlessZero("at", unixMS(t.ProcessAt))
	w.numberUnlessZero("exp", unixMS(t.ExpiresAt))
	w.text("unk", string(t.OnUnknown))
	w.number("att", int64(t.MaxAttempts))
	w.number("age", t.MaxAge.Milliseconds())
	w.numberUnlessZero("gen", int64(t.Generation))
	w.textUnlessEmpty("n", t.nonce)
	w.flag("own", t.given)
	return w.end(), nil
}

// Decode reads the wire encoding and checks what it read as Enqueue would,
// except for times that have passed since; a list must fit in one call here. It
// never panics. Errors: one that
// wraps ErrWireVersion or ErrUnknownKind, or a *FieldError. Whatever could be
// read is returned beside the error, so that a dead letter can name the task.
func Decode(raw []byte) (Task, error) {
	var w wire
	if err := decodeStrict(raw, &w); err != nil || w.Version < 1 || w.Version > WireVersion {
		return decodeVersion(raw, err)
	}
	t := Task{
		ID: w.ID, App: w.App, Priority: w.Priority, OnUnknown: w.OnUnknown, MaxAttempts: w.MaxAttempts,
		EnqueuedAt: fromUnixMS(w.EnqueuedMS), ProcessAt: fromUnixMS(w.ProcessMS), ExpiresAt: fromUnixMS(w.ExpiresMS),
		Generation: w.Generation, nonce: w.Nonce, given: w.Given,
	}
	if w.MaxAgeMS > math.MaxInt64/int64(time.Millisecond) {
		return t, &FieldError{Field: "age", Value: fmt.Sprint(w.MaxAgeMS), Bound: "too large"}
	}
	t.MaxAge = time.Duration(w.MaxAgeMS) * time.Millisecond
	var err error
	if t.Payload, err = DecodePayload(w.Kind, w.Payload); err != nil {
		return t, within("payload", err)
	}
	if err := checkID(t.ID); err != nil {
		return t, err
	}
	if t.Generation < 0 || t.EnqueuedAt.IsZero() {
		return t, &FieldError{Field: "gen or enq", Bound: "missing or negative"}
	}
	checked := t
	checked.ExpiresAt = time.Time{} // may have passed while the task waited
	if err := checked.validateFields(); err != nil {
		return t, err
	}
	return t, checkCall(t.Payload, len(w.Payload))
}

// decodeVersion says why a task is not of this version: err, unless it is of
// another one.
func decodeVersion(raw []byte, err error) (Task, error) {
	var w struct {
		Version int    `json:"v"`
		ID      string `json:"id"`
		App     string `json:"app"`
	}
	if broken := json.Unmarshal(raw, &w); broken != nil {
		return Task{}, jsonFieldError(broken)
	}
	t := Task{ID: w.ID, App: w.App}
	switch {
	case w.Version > WireVersion:
		return t, fmt.Errorf("task version %d, this emq reads up to %d: %w", w.Version, WireVersion, ErrWireVersion)
	case w.Version < 1:
		return t, &FieldError{Field: "v", Value: fmt.Sprint(w.Version), Bound: fmt.Sprintf("1 to %d", WireVersion)}
	}
	return t, err
}

func unixMS(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func fromUnixMS(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// SplitQueueID takes a QueueID apart: the task's ID and its generation.
func SplitQueueID(queueID string) (id string, generation int) {
	id, suffix, found := strings.Cut(queueID, "~")
	if !found {
		return queueID, 0
	}
	generation, err := strconv.Atoi(suffix)
	if err != nil || generation < 1 {
		return queueID, 0
	}
	return id, generation
}

// Printable makes any bytes fit to be kept and shown: valid UTF-8, no control
// characters but line breaks and tabs, at most most bytes.
func Printable(s string, most int) string {
	if len(s) > most {
		s = s[:most]
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, ""))
}
