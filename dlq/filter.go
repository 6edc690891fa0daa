package dlq

import (
	"encoding/base64"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/imqueue/emq/errclass"
	"github.com/imqueue/emq/tasks"
)

// A Filter selects entries. A zero field selects any.
type Filter struct {
	App    string
	Kind   tasks.Kind
	Class  errclass.Class
	Error  string
	Cause  string // ID of a cause, or at least the first 4 characters of one
	State  State
	Status int       // of the last answer
	Since  time.Time // last failed then or later
	Until  time.Time // last failed before
	// Target is a user, group or room that the call is about.
	Target string
	// Text stands anywhere in the entry.
	Text string

	// known leaves out what is of unknown outcome, and unknown all the rest.
	known, unknown bool
}

// Empty says whether the filter selects everything.
func (f Filter) Empty() bool {
	return f.App == "" && f.Kind == "" && f.Class == "" && f.Error == "" && f.Cause == "" && f.State == "" &&
		f.Status == 0 && f.Since.IsZero() && f.Until.IsZero() && f.Target == "" && f.Text == ""
}

// String is the filter as the flags of a command line.
func (f Filter) String() string {
	var b strings.Builder
	add := func(name, value string) {
		if value == "" {
			return
		}
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		if strings.ContainsAny(value, " \t\n'\"$`\\") {
			value = "'" + strings.ReplaceAll(value, "'", `'\''`) + "'"
		}
		b.WriteString("--" + name + " " + value)
	}
	at := func(t time.Time) string {
		if t.IsZero() {
			return ""
		}
		return t.UTC().Format(time.RFC3339)
	}
	status := ""
	if f.Status != 0 {
		status = strconv.Itoa(f.Status)
	}
	add("app", f.App)
	add("kind", string(f.Kind))
	add("class", string(f.Class))
	add("error", f.Error)
	add("status", status)
	add("cause", f.Cause)
	add("target", f.Target)
	add("text", f.Text)
	add("since", at(f.Since))
	add("until", at(f.Until))
	if b.Len() == 0 {
		return "--all"
	}
	return b.String()
}

// free says whether entries must be read to know which ones it selects.
func (f Filter) free() bool { return f.Target != "" || f.Text != "" }

// selects says whether the filter selects entries of c.
func (f Filter) selects(c Cause) bool {
	return (f.Kind == "" || f.Kind == c.Kind) && (f.Class == "" || f.Class == c.Class) &&
		(f.Error == "" || f.Error == c.Error) && strings.HasPrefix(c.ID, f.Cause) &&
		(!f.known || c.Reason != ReasonUnknownOutcome) && (!f.unknown || c.Reason == ReasonUnknownOutcome)
}

// matches says whether the filter selects the entry, as far as the entry alone
// and its cause tell, but for its text.
func (f Filter) matches(e *Entry) bool {
	return (f.App == "" || f.App == e.App) && (f.Kind == "" || f.Kind == e.Kind) && (f.Class == "" || f.Class == e.Class) &&
		(f.Error == "" || f.Error == e.Error) && strings.HasPrefix(e.Cause, f.Cause) &&
		(f.State == "" || f.State == e.State) && (f.Status == 0 || f.Status == e.Status) &&
		(f.Since.IsZero() || e.LastFailedAt.UnixMilli() >= ceilMS(f.Since)) &&
		(f.Until.IsZero() || e.LastFailedAt.UnixMilli() < ceilMS(f.Until)) &&
		(!f.known || e.Reason != ReasonUnknownOutcome) && (!f.unknown || e.Reason == ReasonUnknownOutcome) &&
		(f.Target == "" || slices.ContainsFunc(e.subjects, func(subject string) bool { return strings.EqualFold(subject, f.Target) }))
}

// states lists the states that the filter selects.
func (f Filter) states() []State {
	if f.State != "" {
		return []State{f.State}
	}
	return States()
}

// scores are the bounds of the last failure, both inclusive, as Redis takes them.
func (f Filter) scores() (low, high string) {
	low, high = "-inf", "+inf"
	if !f.Since.IsZero() {
		low = strconv.FormatInt(ceilMS(f.Since), 10)
	}
	if !f.Until.IsZero() {
		high = strconv.FormatInt(ceilMS(f.Until)-1, 10)
	}
	return low, high
}

// ceilMS is the first millisecond that is not before t.
func ceilMS(t time.Time) int64 {
	return t.Add(time.Millisecond - time.Nanosecond).UnixMilli()
}

// A position is the place of an entry in the order of all entries: by the time
// of the last failure, the ID and the app, all descending.
type position struct {
	at  int64 // ms
	id  string
	app string
}

// headMS is a time after those of all entries, and one that a score holds exactly.
const headMS = 1 << 53

// compare orders positions as pages do: what comes first is smaller.
func (p position) compare(q position) int {
	switch {
	case p.at != q.at:
		if p.at > q.at {
			return -1
		}
		return 1
	case p.id != q.id:
		return strings.Compare(q.id, p.id)
	default:
		return strings.Compare(q.app, p.app)
	}
}

// begin is where the walk over the selected entries begins: after the position,
// or at the head for the zero position, and not before Until.
func (f Filter) begin(after position) position {
	if after == (position{}) {
		after.at = headMS
	}
	if until := (position{at: ceilMS(f.Until)}); !f.Until.IsZero() && until.compare(after) > 0 {
		return until
	}
	return after
}

// cursor is the position as callers carry it.
func (p position) cursor() string {
	return base64.RawURLEncoding.EncodeToString([]byte(strconv.FormatInt(p.at, 10) + " " + p.app + " " + p.id))
}

func badCursor() error {
	return &tasks.FieldError{Field: "cursor", Bound: "must be the one that an earlier page gave, unchanged"}
}

// readCursor reads a cursor; "" is the zero position, before all entries.
func readCursor(cursor string) (position, error) {
	if cursor == "" {
		return position{}, nil
	}
	bad := badCursor()
	text, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil {
		return position{}, bad
	}
	at, rest, _ := strings.Cut(string(text), " ")
	app, id, _ := strings.Cut(rest, " ")
	ms, err := strconv.ParseInt(at, 10, 64)
	if err != nil || id == "" || tasks.CheckApp(app) != nil {
		return position{}, bad
	}
	return position{at: ms, id: id, app: app}, nil
}
