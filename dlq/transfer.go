package dlq

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/imqueue/emq/tasks"
)

// A transfer is an entry on its way from one store to another, or to a tool and
// back: what Get shows of it, with its secrets, and what it takes to make it again.
type transfer struct {
	Entry
	// CauseDescription is the normalised description of its cause.
	CauseDescription string `json:"cause_description"`
	// Raw is the task as it was queued. RawBytes is in its place when it is not UTF-8.
	Raw      string `json:"raw,omitempty"`
	RawBytes []byte `json:"raw_base64,omitempty"`
}

// Export is the entry as a line of JSON without its end, for Import. It holds the
// secrets of the payload.
func (e Entry) Export() ([]byte, error) {
	t := transfer{Entry: e, CauseDescription: e.causeDescription}
	if utf8.Valid(e.Raw) {
		t.Raw = string(e.Raw)
	} else {
		t.RawBytes = e.Raw
	}
	return marshalJSON(t)
}

// ExportTo writes the entries that the filter selects to w, as lines of JSON, and notes in
// the audit who took them, because they hold the secrets of payloads; so it does also for
// what was written before a failure. done, unless it is nil, is called after each.
func (s *Store) ExportTo(ctx context.Context, w io.Writer, f Filter, by Actor, done func()) error {
	counts := map[string]int{} // app -> written
	err := s.Each(ctx, f, func(e Entry) error {
		line, err := e.Export()
		if err != nil {
			return err
		}
		counts[e.App]++
		if _, err := w.Write(append(line, '\n')); err != nil {
			return err
		}
		if done != nil {
			done()
		}
		return nil
	})
	for app, n := range counts {
		err = errors.Join(err, s.NoteAudit(context.WithoutCancel(ctx), ActionExport, app, f.String(), n, by))
	}
	return err
}

// ImportFrom imports each line of r as Import does, and notes it in the audit. told is
// called for each line that is not empty, counted from 1, with its length and with what
// became of it or a refusal, which is a *tasks.FieldError or wraps tasks.ErrUnknownKind. Any
// other error ends the import and names the line; so does a line that is longer than
// ImportMaxBytes.
func (s *Store) ImportFrom(ctx context.Context, r io.Reader, by Actor, dry bool, told func(line, bytes int, got Imported, refusal error)) (err error) {
	changed := map[string]int{} // app -> added or edited
	defer func() {
		for app, n := range changed {
			if !dry {
				err = errors.Join(err, s.NoteAudit(context.WithoutCancel(ctx), ActionImport, app, "", n, by))
			}
		}
	}()
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, ImportMaxBytes+1)
	n := 1
	for ; lines.Scan(); n++ {
		line := bytes.TrimSpace(lines.Bytes())
		if len(line) == 0 {
			continue
		}
		got, err := s.Import(ctx, line, by, dry)
		if err != nil && !errors.As(err, new(*tasks.FieldError)) && !errors.Is(err, tasks.ErrUnknownKind) {
			return fmt.Errorf("line %d: %w", n, err)
		}
		if got.Result == ImportAdded || got.Result == ImportEdited {
			changed[got.App]++
		}
		told(n, len(lines.Bytes())+1, got, err)
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("line %d: %w", n, err)
	}
	return nil
}

// An ImportResult says what became of an imported entry.
type ImportResult string

const (
	// ImportAdded says that it was not there.
	ImportAdded ImportResult = "added"
	// ImportEdited says that it was there, dead, and has the line's payload now.
	ImportEdited ImportResult = "edited"
	// ImportUnchanged says that it was there as the line has it.
	ImportUnchanged ImportResult = "unchanged"
	// ImportSkipped says that it was there with another history, or is not dead any
	// more; it was left alone.
	ImportSkipped ImportResult = "skipped"
)

// ImportResults lists the results.
func ImportResults() []ImportResult {
	return []ImportResult{ImportAdded, ImportEdited, ImportUnchanged, ImportSkipped}
}

// Imported is an entry that was imported, and what became of it.
type Imported struct {
	App, ID string
	Result  ImportResult
}

// ImportMaxBytes bounds a line that Import reads.
const ImportMaxBytes = 8 << 20

// Import puts an exported entry into the store, with its whole history. It may be
// repeated. Where the line's payload is not that of its task, somebody has corrected
// it: it is checked as by Edit, and the old one is kept in the history. An entry that
// was being resent when it was exported is dead here, and its history says so: whether
// that resend succeeded is known where it came from.
//
// With dry set, nothing is changed. Errors: a *tasks.FieldError for a line that is no
// entry or has a payload that can't be, otherwise a failure of Redis.
func (s *Store) Import(ctx context.Context, line []byte, by Actor, dry bool) (Imported, error) {
	t, err := parseTransfer(line)
	if err != nil {
		return Imported{}, err
	}
	r, err := s.imported(t, by)
	if err != nil {
		return Imported{}, err
	}
	cause := t.cause()
	var result ImportResult
	err = s.change(ctx, change{op: "import", app: r.app, id: r.id, cause: &cause, edit: func(old *record) (*record, error) {
		switch {
		case old == nil:
			result = ImportAdded
		case old.generation != r.generation || !old.last.Equal(r.last):
			result = ImportSkipped
		case samePayload(old.raw, r.raw):
			result = ImportUnchanged
		case old.state != StateDead || old.cause != r.cause:
			result = ImportSkipped
		default:
			result = ImportEdited
		}
		if dry || result == ImportSkipped || result == ImportUnchanged {
			return nil, nil
		}
		if old == nil {
			return r, nil
		}
		n := old.next(StateDead, s.now(), ActionEdit, by)
		n.raw, n.body.Buckets, n.body.Unknown = r.raw, r.body.Buckets, nil
		n.body.Events[len(n.body.Events)-1].Before = payloadOf(old.raw)
		return n, nil
	}})
	return Imported{App: r.app, ID: r.id, Result: result}, err
}

// parseTransfer reads a line and checks what the store relies on.
func parseTransfer(line []byte) (transfer, error) {
	var t transfer
	if len(line) > ImportMaxBytes {
		return t, &tasks.FieldError{Field: "line", Bound: fmt.Sprintf("at most %d bytes", ImportMaxBytes)}
	}
	dec := json.NewDecoder(bytes.NewReader(line))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&t); err != nil {
		return t, &tasks.FieldError{Field: "line", Bound: "must be a dead letter as emq dlq export writes it: " + tasks.Printable(err.Error(), wordMax)}
	}
	if dec.More() {
		return t, &tasks.FieldError{Field: "line", Bound: "must hold one dead letter"}
	}
	if err := tasks.CheckApp(t.App); err != nil {
		return t, err
	}
	if t.ID == "" || len(t.ID) > 2*tasks.IDMaxBytes || strings.ContainsAny(t.ID, " \n") {
		return t, badField("id", t.ID, "must be the ID of a task")
	}
	if !slices.Contains(States(), t.State) {
		return t, badField("state", string(t.State), "must be one of "+strings.Join(words(States()), ", "))
	}
	if t.Generation < 0 {
		return t, &tasks.FieldError{Field: "generation", Value: fmt.Sprint(t.Generation), Bound: "must not be negative"}
	}
	if !slices.Contains(Classes(), t.Class) {
		return t, badField("class", string(t.Class), "must be one of "+strings.Join(words(Classes()), ", "))
	}
	if t.LastFailedAt.IsZero() || t.ChangedAt.IsZero() || len(t.Events) == 0 {
		return t, &tasks.FieldError{Field: "last_failed_at, changed_at or events", Bound: "must be given"}
	}
	if label, hash, found := cutLast(t.Cause, "-"); !found || causeLabel(label) != label || len(hash) != 8 {
		return t, badField("cause", t.Cause, "must be the ID of a cause")
	}
	return t, nil
}

// cutLast cuts a text around the last separator.
func cutLast(text, separator string) (before, after string, found bool) {
	i := strings.LastIndex(text, separator)
	if i < 0 {
		return text, "", false
	}
	return text[:i], text[i+len(separator):], true
}

func (t transfer) cause() Cause {
	return Cause{
		ID: t.Cause, App: t.App, Kind: t.Kind, Class: t.Class, Scope: t.Scope, Rule: tasks.Printable(t.Rule, wordMax),
		Error: tasks.Printable(t.Error, wordMax), Description: tasks.Printable(t.CauseDescription, descriptionMax), Reason: t.Reason,
		Why: t.Why, Advice: t.Advice,
	}
}

// imported is the record of a line.
func (s *Store) imported(t transfer, by Actor) (*record, error) {
	r := &record{
		app: t.App, id: t.ID, generation: t.Generation, last: t.LastFailedAt, status: t.Status, cause: t.Cause, raw: t.RawBytes,
		body: recordBody{Queue: t.Queue, Description: tasks.Printable(t.Description, descriptionMax), Unknown: t.Unknown, Trace: traceparent(t.Trace)},
	}
	if t.Raw != "" {
		r.raw = []byte(t.Raw)
	}
	for _, a := range t.Attempts {
		r.addAttempts(a.Generation, []Attempt{a})
	}
	r.body.AttemptsOut += t.AttemptsLeftOut
	for _, e := range t.Events {
		r.enter(t.State, e.At, e.Action, Actor{Name: e.By, Note: e.Note, op: e.Op})
		r.body.Events[len(r.body.Events)-1].Before = e.Before
	}
	r.body.EventsOut += t.EventsLeftOut
	r.changed = t.ChangedAt
	if t.State == StateResending {
		r.enter(StateDead, s.now(), ActionImport, Actor{Name: by.Name, Note: "it was being resent when it was exported; look there whether that succeeded"})
	}
	if err := s.corrected(r, t, by); err != nil {
		return nil, err
	}
	if task, err := tasks.Decode(r.raw); err == nil {
		r.about(task.Payload)
	}
	return r, nil
}

// corrected gives the record the payload of the line, if somebody has changed it.
func (s *Store) corrected(r *record, t transfer, by Actor) error {
	task, err := tasks.Decode(r.raw)
	if err != nil {
		return nil //nolint:nilerr // it is kept as it is, byte for byte
	}
	if task.ID != t.ID || task.App != t.App {
		return badField("raw", task.ID, "must be the task of this dead letter")
	}
	payload, err := tasks.DecodePayload(task.Kind(), t.Payload)
	if err != nil {
		return within("payload", err)
	}
	before, err := marshalJSON(task.Payload)
	if err != nil {
		return err
	}
	after, err := marshalJSON(payload)
	if err != nil || bytes.Equal(before, after) {
		return err
	}
	if r.state != StateDead {
		return badField("payload", string(t.State), "can only be corrected while the dead letter is dead")
	}
	if err := replacePayload(r, task, payload); err != nil {
		return within("payload", err)
	}
	r.enter(StateDead, s.now(), ActionEdit, by)
	r.body.Events[len(r.body.Events)-1].Before = before
	return nil
}

// within names the field that an error about a part of it is about.
func within(field string, err error) error {
	var inner *tasks.FieldError
	if !errors.As(err, &inner) {
		return err
	}
	return &tasks.FieldError{Field: field + "." + inner.Field, Value: inner.Value, Bound: inner.Bound}
}

// payloadOf is the payload of a task in its wire encoding; nil when it can't be read.
func payloadOf(raw []byte) json.RawMessage {
	t, err := tasks.Decode(raw)
	if err != nil {
		return nil
	}
	payload, err := marshalJSON(t.Payload)
	if err != nil {
		return nil
	}
	return payload
}

// samePayload says whether two tasks in their wire encoding have the same payload.
func samePayload(a, b []byte) bool {
	return bytes.Equal(a, b) || payloadOf(a) != nil && bytes.Equal(payloadOf(a), payloadOf(b))
}
