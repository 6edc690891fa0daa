package dlq

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/imqueue/emq/tasks"
)

const (
	// AuditKeepDefault is how long the audit keeps a line.
	AuditKeepDefault = 365 * 24 * time.Hour
	// auditMax bounds the lines of one app, so that no loop of somebody's fills
	// Redis: of more, the oldest go.
	auditMax = 100_000
	// auditSlack is how far the clocks of those who write lines may be apart from
	// the clock of Redis, which orders them.
	auditSlack = time.Minute
)

// Actions that the audit knows beside those of events.
const (
	ActionStart       = "start"  // an operation
	ActionCancel      = "cancel" // an operation
	ActionRate        = "rate"   // of an operation
	ActionAcknowledge = "ack"    // a cause
	ActionIgnore      = "ignore" // a cause
	ActionReopen      = "reopen" // a cause
	ActionHold        = "hold"   // an app or a family
	ActionClear       = "clear"  // a hold or a limit
	ActionPause       = "pause"  // a queue
	ActionResume      = "resume" // a queue
	ActionLimit       = "limit"  // an endpoint
	ActionImport      = "import" // dead letters
	ActionExport      = "export" // dead letters, with the secrets of their payloads
)

// An AuditLine says what a person did. Of what an operation does to each of its
// members, the operation's own line speaks.
type AuditLine struct {
	At     time.Time `json:"at"`
	By     string    `json:"by"`
	Action string    `json:"action"`
	App    string    `json:"app"`
	What   string    `json:"what"`  // an ID: of a dead letter, a cause, an operation, a queue; or a filter
	Count  int       `json:"count"` // how many dead letters, queues or other things it was about
	Why    string    `json:"why,omitempty"`
}

// encode is the line as Redis keeps it.
func (l AuditLine) encode() string {
	l.At = l.At.UTC().Truncate(time.Millisecond)
	l.By, l.What, l.Why = tasks.Printable(l.By, wordMax), tasks.Printable(l.What, noteMax), tasks.Printable(l.Why, noteMax)
	text, _ := marshalJSON(l) // of strings and numbers: it can't fail
	return string(text)
}

// audited adds a line about what a person did to a pipeline: the change itself
// and its line are made together.
func (s *Store) audited(ctx context.Context, pipe redis.Cmdable, action, app, what string, count int, by Actor) {
	if by.Name == "" {
		return
	}
	pipe.XAdd(ctx, &redis.XAddArgs{
		Stream: auditKey(app), MaxLen: auditMax, Approx: true,
		Values: []any{"line", AuditLine{At: s.now(), By: by.Name, Action: action, App: app, What: what, Count: count, Why: by.Note}.encode()},
	})
}

// NoteAudit adds a line about what a person did that changes nothing in the store.
// It returns a *tasks.FieldError for a bad app, otherwise a failure of Redis.
func (s *Store) NoteAudit(ctx context.Context, action, app, what string, count int, by Actor) error {
	if err := tasks.CheckApp(app); err != nil {
		return err
	}
	pipe := s.redis.Pipeline()
	s.audited(ctx, pipe, action, app, what, count, by)
	if _, err := pipe.Exec(ctx); err != nil {
		return fmt.Errorf("audit %s: %w", action, err)
	}
	return nil
}

// An AuditFilter selects lines. A zero field selects any.
type AuditFilter struct {
	App    string
	By     string
	Action string
	Since  time.Time
	Until  time.Time
}

func (f AuditFilter) matches(l AuditLine) bool {
	return (f.By == "" || f.By == l.By) && (f.Action == "" || f.Action == l.Action) &&
		(f.Since.IsZero() || !l.At.Before(f.Since)) && (f.Until.IsZero() || l.At.Before(f.Until))
}

// auditPage is how many lines are read at a time.
const auditPage = 1000

// Audit reads up to limit lines, the newest first. cursor is "" at first, then
// next of the call before, which is "" at the end. A call reads a bounded piece of
// the audit, so with a filter it may return fewer lines, even none, and a next.
// limit is 1 to PageMax; 0 means PageDefault. Errors: a *tasks.FieldError for a bad
// app, cursor or limit, otherwise a failure of Redis.
func (s *Store) Audit(ctx context.Context, f AuditFilter, cursor string, limit int) (lines []AuditLine, next string, err error) {
	if limit, err = pageLimit(limit); err != nil {
		return nil, "", err
	}
	var named []string
	if f.App != "" {
		named = []string{f.App}
	}
	apps, err := s.someApps(ctx, named)
	if err != nil {
		return nil, "", err
	}
	if !auditCursor(cursor) {
		return nil, "", badCursor()
	}
	type found struct {
		id   string
		line AuditLine
	}
	var all []found
	more := false
	end := ""
	for _, app := range apps {
		from := "+"
		switch {
		case cursor != "":
			from = "(" + cursor
		case !f.Until.IsZero():
			from = strconv.FormatInt(f.Until.Add(auditSlack).UnixMilli(), 10)
		}
		to := "-"
		if !f.Since.IsZero() {
			to = strconv.FormatInt(f.Since.Add(-auditSlack).UnixMilli(), 10)
		}
		messages, err := s.redis.XRevRangeN(ctx, auditKey(app), from, to, auditPage).Result()
		if err != nil {
			return nil, "", fmt.Errorf("read the audit of %s: %w", app, err)
		}
		for _, m := range messages {
			var l AuditLine
			text, _ := m.Values["line"].(string)
			if json.Unmarshal([]byte(text), &l) == nil {
				all = append(all, found{m.ID, l})
			}
		}
		if len(messages) == auditPage { // what follows in this app is older than its last one
			more = true
			if last := messages[auditPage-1].ID; end == "" || compareStreamIDs(last, end) > 0 {
				end = last
			}
		}
	}
	slices.SortStableFunc(all, func(a, b found) int { return compareStreamIDs(b.id, a.id) })
	for _, x := range all {
		if more && compareStreamIDs(x.id, end) < 0 {
			break
		}
		if !f.matches(x.line) {
			continue
		}
		if lines = append(lines, x.line); len(lines) == limit {
			return lines, x.id, nil
		}
	}
	return lines, end, nil
}

// compareStreamIDs compares two IDs of a stream, "MS-SEQUENCE".
func compareStreamIDs(a, b string) int {
	at, an := streamID(a)
	bt, bn := streamID(b)
	return cmp.Or(cmp.Compare(at, bt), cmp.Compare(an, bn))
}

func streamID(id string) (ms, n uint64) {
	first, second, _ := strings.Cut(id, "-")
	ms, _ = strconv.ParseUint(first, 10, 64)
	n, _ = strconv.ParseUint(second, 10, 64)
	return ms, n
}

// auditCursor says whether a cursor is one that Audit gave.
func auditCursor(cursor string) bool {
	if cursor == "" {
		return true
	}
	first, second, ok := strings.Cut(cursor, "-")
	_, err1 := strconv.ParseUint(first, 10, 64)
	_, err2 := strconv.ParseUint(second, 10, 64)
	return ok && err1 == nil && err2 == nil
}

// trimAudit drops the lines that were kept for long enough.
func (s *Store) trimAudit(ctx context.Context, app string, _ *SweepReport) error {
	before := strconv.FormatInt(s.now().Add(-s.auditKeep).UnixMilli(), 10)
	return s.redis.XTrimMinIDApprox(ctx, auditKey(app), before, auditPage).Err()
}
