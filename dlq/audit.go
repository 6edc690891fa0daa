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
	ActionStart       = "start"   // an operation
	ActionCancel      = "cancel"  // an operation
	ActionRate        = "rate"    // of an operation
	ActionAcknowledge = "ack"     // a cause
	ActionIgnore      = "ignore"  // a cause
	ActionReopen      = "reopen"  // a cause
	ActionHold        = "hold"    // an app or a family
	ActionClear       = "clear"   // a hold or a limit
	ActionPause       = "pause"   // a queue
	ActionResume      = "resume"  // a queue
	ActionLimit       = "limit"   // an endpoint
	ActionSilence     = "silence" // alerts
	ActionImport      = "import"  // dead letters
	ActionExport      = "export"  // dead letters, with the secrets of their payloads
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

// auditLine is a line about what a person did, as scripts take it; "" when it was none.
func (s *Store) auditLine(action, app, what string, count int, by Actor) string {
	if by.Name == "" {
		return ""
	}
	return AuditLine{At: s.now(), By: by.Name, Action: action, App: app, What: what, Count: count, Why: by.Note}.encode()
}

// audited adds a line about what a person did to a pipeline: the change itself
// and its line are made together.
func (s *Store) audited(ctx context.Context, pipe redis.Cmdable, action, app, what string, count int, by Actor) {
	if line := s.auditLine(action, app, what, count, by); line != "" {
		pipe.XAdd(ctx, &redis.XAddArgs{Stream: auditKey(app), MaxLen: auditMax, Approx: true, Values: []any{"line", line}})
	}
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
	after, err := readAuditPosition(cursor)
	if err != nil {
		return nil, "", err
	}
	type found struct {
		auditPosition
		line AuditLine
	}
	var all []found
	var end auditPosition // what is older was not read of every app
	for _, app := range apps {
		messages, err := s.redis.XRevRangeN(ctx, auditKey(app), f.newest(app, after), f.oldest(), auditPage).Result()
		if err != nil {
			return nil, "", fmt.Errorf("read the audit of %s: %w", app, err)
		}
		for _, m := range messages {
			var l AuditLine
			text, _ := m.Values["line"].(string)
			if json.Unmarshal([]byte(text), &l) == nil {
				all = append(all, found{auditPosition{m.ID, app}, l})
			}
		}
		if len(messages) == auditPage {
			if last := (auditPosition{messages[auditPage-1].ID, app}); end.id == "" || last.compare(end) < 0 {
				end = last
			}
		}
	}
	slices.SortFunc(all, func(a, b found) int { return a.compare(b.auditPosition) })
	for i, x := range all {
		if end.id != "" && x.compare(end) > 0 {
			break
		}
		if !f.matches(x.line) {
			continue
		}
		if lines = append(lines, x.line); len(lines) == limit && (end.id != "" || i < len(all)-1) {
			return lines, x.cursor(), nil
		}
	}
	return lines, end.cursor(), nil
}

// newest and oldest are where the lines of an app are looked for.
func (f AuditFilter) newest(app string, after auditPosition) string {
	switch {
	case after.id != "" && app < after.app:
		return after.id // the same ID comes after, in this app
	case after.id != "":
		return "(" + after.id
	case !f.Until.IsZero():
		return strconv.FormatInt(f.Until.Add(auditSlack).UnixMilli(), 10)
	default:
		return "+"
	}
}

func (f AuditFilter) oldest() string {
	if f.Since.IsZero() {
		return "-"
	}
	return strconv.FormatInt(f.Since.Add(-auditSlack).UnixMilli(), 10)
}

// An auditPosition is the place of a line in the order of all: by its ID in the stream
// of its app, "MS-SEQUENCE", and the app, both descending.
type auditPosition struct{ id, app string }

// compare orders positions as pages do: what comes first is smaller.
func (p auditPosition) compare(q auditPosition) int {
	pms, pn := streamID(p.id)
	qms, qn := streamID(q.id)
	return cmp.Or(cmp.Compare(qms, pms), cmp.Compare(qn, pn), cmp.Compare(q.app, p.app))
}

func streamID(id string) (ms, n uint64) {
	first, second, _ := strings.Cut(id, "-")
	ms, _ = strconv.ParseUint(first, 10, 64)
	n, _ = strconv.ParseUint(second, 10, 64)
	return ms, n
}

// cursor is the position as callers carry it; "" for the zero one.
func (p auditPosition) cursor() string {
	if p.id == "" {
		return ""
	}
	return p.id + "." + p.app
}

func readAuditPosition(cursor string) (auditPosition, error) {
	if cursor == "" {
		return auditPosition{}, nil
	}
	id, app, _ := strings.Cut(cursor, ".")
	first, second, _ := strings.Cut(id, "-")
	_, err1 := strconv.ParseUint(first, 10, 64)
	_, err2 := strconv.ParseUint(second, 10, 64)
	if err1 != nil || err2 != nil || tasks.CheckApp(app) != nil {
		return auditPosition{}, badCursor()
	}
	return auditPosition{id, app}, nil
}

// trimAudit drops the lines that were kept for long enough.
func (s *Store) trimAudit(ctx context.Context, app string, _ *SweepReport) error {
	before := strconv.FormatInt(s.now().Add(-s.auditKeep).UnixMilli(), 10)
	return s.redis.XTrimMinIDApprox(ctx, auditKey(app), before, auditPage).Err()
}
