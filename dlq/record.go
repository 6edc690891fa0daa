package dlq

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/imqueue/emq/errclass"
	"github.com/imqueue/emq/tasks"
)

// A record is an entry as Redis keeps it, in one string: a hash of few fields
// would take some 150 bytes more. Its head is one line of text that changes with
// every change of the entry, so that scripts compare and set without
// understanding it. The body is one line of JSON, and after it the task as it
// was queued, byte for byte, until its payload is narrowed or edited; the body
// is compressed where that pays. What entries have in common is with their cause.
type record struct {
	app, id string

	state      State
	generation int
	version    string // random, new with every change
	last       time.Time
	changed    time.Time
	status     int    // HTTP status of the last answer; 0: there was none
	op         string // the operation that resent it, while it is resending; else ""
	cause      string

	body recordBody
	raw  []byte
}

// recordBody has short names because every entry carries them. Times are in
// milliseconds; those of attempts count from the attempt before.
type recordBody struct {
	Queue       string          `json:"q,omitempty"`
	Description string          `json:"d,omitempty"`
	Attempts    []recordAttempt `json:"a,omitempty"`
	AttemptsOut int             `json:"ao,omitempty"`
	Events      []recordEvent   `json:"e"`
	EventsOut   int             `json:"eo,omitempty"`
	Unknown     []string        `json:"u,omitempty"`
	Trace       string          `json:"tp,omitempty"` // traceparent
	// Buckets of the index of subjects that list the entry, in order. They are kept
	// here because a later version may find other subjects in a payload.
	Buckets []int `json:"i,omitempty"`
}

type recordAttempt struct {
	Generation  int            `json:"g,omitempty"`
	Number      int            `json:"n"`
	AtMS        int64          `json:"t"`
	LatencyMS   int64          `json:"l,omitempty"`
	Status      int            `json:"s,omitempty"`
	Transport   string         `json:"x,omitempty"`
	Class       errclass.Class `json:"c"`
	Rule        string         `json:"r"`
	Error       string         `json:"e,omitempty"`
	Description string         `json:"d,omitempty"`
	Body        string         `json:"b,omitempty"`
	Uncounted   bool           `json:"u,omitempty"`
	Worker      string         `json:"w,omitempty"`
	Targets     int            `json:"k,omitempty"`
	Failed      int            `json:"f,omitempty"`
	Mended      errclass.Mend  `json:"m,omitempty"`
}

type recordEvent struct {
	AtMS   int64           `json:"t"`
	Action string          `json:"a"`
	By     string          `json:"b,omitempty"`
	Note   string          `json:"n,omitempty"`
	Op     string          `json:"o,omitempty"`
	Before json.RawMessage `json:"p,omitempty"`
}

// headMax is more than a head has, in bytes. The scripts know it too.
const headMax = 256

// headBase is that of the times in a head, in milliseconds.
const headBase = 36

// noOp stands in a head where there is no operation.
const noOp = "-"

var errDamaged = errors.New("damaged entry")

// head is the record's head. No part of it holds a space.
func (r *record) head() string {
	op := r.op
	if op == "" {
		op = noOp
	}
	return fmt.Sprintf("%s %d %s %s %s %d %s %s", r.state, r.generation, r.version,
		strconv.FormatInt(r.last.UnixMilli(), headBase), strconv.FormatInt(r.changed.UnixMilli(), headBase), r.status, op, r.cause)
}

// readHead reads a head, or the beginning of an entry.
func (r *record) readHead(text string) error {
	head, _, _ := strings.Cut(text, "\n")
	f := strings.Split(head, " ")
	if len(f) != 8 || !slices.Contains(States(), State(f[0])) {
		return fmt.Errorf("%s: head: %w", r.id, errDamaged)
	}
	generation, err1 := strconv.Atoi(f[1])
	last, err2 := strconv.ParseInt(f[3], headBase, 64)
	changed, err3 := strconv.ParseInt(f[4], headBase, 64)
	status, err4 := strconv.Atoi(f[5])
	if err1 != nil || err2 != nil || err3 != nil || err4 != nil {
		return fmt.Errorf("%s: head: %w", r.id, errDamaged)
	}
	r.state, r.generation, r.version, r.status, r.cause = State(f[0]), generation, f[2], status, f[7]
	if r.op = f[6]; r.op == noOp {
		r.op = ""
	}
	r.last, r.changed = time.UnixMilli(last).UTC(), time.UnixMilli(changed).UTC()
	return nil
}

// encode is the body as Redis keeps it.
func (r *record) encode(c *codec) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf) // ends the line
	enc.SetEscapeHTML(false)
	body := r.body
	body.Attempts = slices.Clone(body.Attempts)
	for i := len(body.Attempts) - 1; i > 0; i-- {
		body.Attempts[i].AtMS -= body.Attempts[i-1].AtMS
	}
	if err := enc.Encode(body); err != nil {
		return nil, err
	}
	buf.Write(r.raw)
	return c.compress(buf.Bytes()), nil
}

// decodeRecord reads an entry.
func decodeRecord(c *codec, app, id, value string) (*record, error) {
	r := &record{app: app, id: id}
	if err := r.readHead(value); err != nil {
		return nil, err
	}
	_, body, _ := strings.Cut(value, "\n")
	plain, err := c.expand([]byte(body))
	if err != nil {
		return nil, fmt.Errorf("%s: body: %w", id, errDamaged)
	}
	line, raw, _ := bytes.Cut(plain, []byte("\n"))
	if err := json.Unmarshal(line, &r.body); err != nil {
		return nil, fmt.Errorf("%s: body: %w", id, errDamaged)
	}
	for i := 1; i < len(r.body.Attempts); i++ {
		r.body.Attempts[i].AtMS += r.body.Attempts[i-1].AtMS
	}
	r.raw = raw
	return r, nil
}

// next is a copy of the record in another state, with the event that led there.
func (r *record) next(state State, now time.Time, action string, by Actor) *record {
	n := *r
	n.body.Attempts = slices.Clone(r.body.Attempts)
	n.body.Events = slices.Clone(r.body.Events)
	n.enter(state, now, action, by)
	return &n
}

// enter puts the record into a state.
func (r *record) enter(state State, now time.Time, action string, by Actor) {
	r.state, r.changed, r.version, r.op = state, now, rand.Text()[:8], ""
	var out int
	r.body.Events, out = shorten(append(r.body.Events, recordEvent{
		AtMS: now.UnixMilli(), Action: action,
		By: tasks.Printable(by.Name, wordMax), Note: tasks.Printable(by.Note, noteMax), Op: by.op,
	}))
	r.body.EventsOut += out
}

// addAttempts appends the attempts of one generation.
func (r *record) addAttempts(generation int, list []Attempt) {
	for _, a := range list {
		r.body.Attempts = append(r.body.Attempts, recordAttempt{
			Generation: generation, Number: a.Number, AtMS: a.At.UnixMilli(), LatencyMS: a.LatencyMS,
			Status: a.Status, Transport: tasks.Printable(a.Transport, wordMax),
			Class: a.Class, Rule: tasks.Printable(a.Rule, wordMax), Error: tasks.Printable(a.Error, wordMax),
			Description: tasks.Printable(a.Description, descriptionMax), Body: tasks.Printable(a.Body, bodyMax),
			Uncounted: !a.Counted, Worker: tasks.Printable(a.Worker, wordMax),
			Targets: a.Targets, Failed: a.Failed, Mended: a.Mended,
		})
	}
	var out int
	r.body.Attempts, out = shorten(r.body.Attempts)
	r.body.AttemptsOut += out
}

// shorten drops from the middle what is over AttemptsMax, and says how much.
func shorten[T any](list []T) ([]T, int) {
	out := len(list) - AttemptsMax
	if out <= 0 {
		return list, 0
	}
	return slices.Delete(list, attemptsHead, attemptsHead+out), out
}

// queueID is the ID under which the queue holds the record's generation.
func (r *record) queueID() string {
	return tasks.Task{ID: r.id, Generation: r.generation}.QueueID()
}

// task decodes the task, to be put to work again.
func (r *record) task() (tasks.Task, error) {
	t, err := tasks.Decode(r.raw)
	if err != nil {
		return t, fmt.Errorf("this version can't read the task, so it can't be resent: %w", err)
	}
	if r.state == StateResending {
		// A resend may have another priority than the task.
		if _, _, priority, ok := tasks.ParseQueueName(r.body.Queue); ok {
			t.Priority = priority
		}
	}
	t.TraceLink = r.body.Trace
	if t.ID != r.id || t.App != r.app {
		return t, fmt.Errorf("the task is that of another entry (%s of app %s): %w", t.ID, t.App, errDamaged)
	}
	return t, nil
}

// narrow makes left the payload of the record's task, when it is another one:
// what is left to be done after part of the targets are done. What this version
// can't read stays as it is, byte for byte.
func (r *record) narrow(left tasks.Payload) error {
	if payload, err := marshalJSON(left); err == nil && bytes.Contains(r.raw, payload) {
		return nil // most often: it is in there as it is
	}
	t, err := tasks.Decode(r.raw)
	if err != nil || left == nil || reflect.DeepEqual(t.Payload, left) {
		return nil
	}
	t.Payload = left
	r.raw, err = tasks.Encode(t)
	return err
}

// entry is the record as callers see it; c is its cause.
func (r *record) entry(c Cause) Entry {
	e := Entry{
		ID: r.id, App: r.app, Kind: c.Kind, Queue: r.body.Queue, State: r.state, Reason: c.Reason, Generation: r.generation,
		Class: c.Class, Scope: c.Scope, Rule: c.Rule, Error: c.Error, Status: r.status, Description: r.body.Description,
		Cause: r.cause, Why: c.Why, Advice: c.Advice,
		FirstFailedAt: r.last, LastFailedAt: r.last, ChangedAt: r.changed,
		Attempts: make([]Attempt, len(r.body.Attempts)), AttemptsLeftOut: r.body.AttemptsOut,
		Events: make([]Event, len(r.body.Events)), EventsLeftOut: r.body.EventsOut,
		Unknown: r.body.Unknown, Trace: r.body.Trace, Raw: r.raw, causeDescription: c.Description,
	}
	for i, a := range r.body.Attempts {
		e.Attempts[i] = Attempt{
			Generation: a.Generation, Number: a.Number, At: time.UnixMilli(a.AtMS).UTC(), LatencyMS: a.LatencyMS,
			Status: a.Status, Transport: a.Transport, Class: a.Class, Rule: a.Rule, Error: a.Error,
			Description: a.Description, Body: a.Body, Counted: !a.Uncounted, Worker: a.Worker,
			Targets: a.Targets, Failed: a.Failed, Mended: a.Mended,
		}
	}
	for i, v := range r.body.Events {
		e.Events[i] = Event{At: time.UnixMilli(v.AtMS).UTC(), Action: v.Action, By: v.By, Note: v.Note, Op: v.Op, Before: v.Before}
	}
	// The first of each is never left out.
	if len(e.Events) > 0 && e.Events[0].At.Before(e.FirstFailedAt) {
		e.FirstFailedAt = e.Events[0].At
	}
	if len(e.Attempts) > 0 && e.Attempts[0].At.Before(e.FirstFailedAt) {
		e.FirstFailedAt = e.Attempts[0].At
	}
	t, err := tasks.Decode(r.raw)
	switch {
	case err == nil:
		e.EnqueuedAt = t.EnqueuedAt
		e.Payload, _ = marshalJSON(t.Payload)
		e.subjects = tasks.Subjects(t.Payload)
	case json.Valid(r.raw):
		e.Payload = json.RawMessage(r.raw)
	}
	return e
}

// marshalJSON is json.Marshal without HTML escaping: what is shown is what was
// written.
func marshalJSON(v any) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n")), nil
}
