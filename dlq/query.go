package dlq

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/imqueue/emq/errclass"
	"github.com/imqueue/emq/tasks"
)

// FilterFields are the names of a filter's fields, as flags and parameters carry them.
func FilterFields() []string {
	return []string{"app", "kind", "class", "error", "status", "cause", "state", "target", "text", "since", "until"}
}

// Classes are the classes that a dead letter may have.
func Classes() []errclass.Class {
	return slices.DeleteFunc(errclass.Classes(), func(c errclass.Class) bool { return c == errclass.ClassSuccess })
}

// ParseFilter reads a filter from texts, one for each of FilterFields; get returns ""
// for what is not given. A time is in RFC 3339, a date in local time, or how long
// before now: 90m, 2h, 7d. Its error is a *tasks.FieldError that names the field.
func ParseFilter(get func(field string) string, now time.Time) (Filter, error) {
	f := Filter{
		App: get("app"), Kind: tasks.Kind(get("kind")), Class: errclass.Class(get("class")), Error: get("error"), Cause: get("cause"),
		State: State(get("state")), Target: get("target"), Text: get("text"),
	}
	var err error
	if text := get("status"); text != "" {
		if f.Status, err = strconv.Atoi(text); err != nil || f.Status == 0 {
			return f, badField("status", text, boundStatus)
		}
	}
	if f.Since, err = ParseTime("since", get("since"), now); err != nil {
		return f, err
	}
	if f.Until, err = ParseTime("until", get("until"), now); err != nil {
		return f, err
	}
	if !f.Since.IsZero() && !f.Until.IsZero() && !f.Since.Before(f.Until) {
		return f, badField("until", get("until"), "must be after since")
	}
	return f, f.validate()
}

// ParseTime reads a time as ParseFilter does; "" is the zero time. Its error is a
// *tasks.FieldError that names the field.
func ParseTime(field, text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return at, nil
	}
	if day, err := time.ParseInLocation(time.DateOnly, text, time.Local); err == nil {
		return day, nil
	}
	if days, ok := strings.CutSuffix(text, "d"); ok {
		if n, err := strconv.ParseUint(days, 10, 16); err == nil {
			return now.AddDate(0, 0, -int(n)), nil
		}
	}
	if ago, err := time.ParseDuration(text); err == nil && ago >= 0 {
		return now.Add(-ago), nil
	}
	return time.Time{}, badField(field, text, "must be a time such as 2026-01-31T09:00:00Z, a date, or how long ago such as 90m, 2h or 7d")
}

// Bounds of a filter.
const (
	targetMaxBytes = 255
	textMaxBytes   = 256
	boundStatus    = "must be 100 to 599"
)

// badField refuses the value of a field.
func badField(field, value, bound string) error {
	return &tasks.FieldError{Field: field, Value: strconv.Quote(tasks.Printable(value, wordMax)), Bound: bound}
}

// validate returns a *tasks.FieldError.
func (f Filter) validate() error {
	if f.App != "" {
		if err := tasks.CheckApp(f.App); err != nil {
			return err
		}
	}
	if f.Kind != "" {
		if _, known := f.Kind.Info(); !known {
			return badField("kind", string(f.Kind), "must be one of "+kindNames())
		}
	}
	if f.Class != "" && !slices.Contains(Classes(), f.Class) {
		return badField("class", string(f.Class), "must be one of "+strings.Join(words(Classes()), ", "))
	}
	if f.Status != 0 && (f.Status < 100 || f.Status > 599) {
		return &tasks.FieldError{Field: "status", Value: strconv.Itoa(f.Status), Bound: boundStatus}
	}
	if f.Cause != "" && len(f.Cause) < causePrefixMin {
		return badField("cause", f.Cause, fmt.Sprintf("at least %d characters of a cause's ID", causePrefixMin))
	}
	if f.State != "" && !slices.Contains(States(), f.State) {
		return badField("state", string(f.State), "must be one of "+strings.Join(words(States()), ", "))
	}
	for _, free := range []struct {
		field, value string
		most         int
	}{{"error", f.Error, textMaxBytes}, {"cause", f.Cause, textMaxBytes}, {"target", f.Target, targetMaxBytes}, {"text", f.Text, textMaxBytes}} {
		if len(free.value) > free.most {
			return badField(free.field, free.value, fmt.Sprintf("must have at most %d bytes", free.most))
		}
		if !utf8.ValidString(free.value) || strings.ContainsFunc(free.value, unicode.IsControl) {
			return badField(free.field, free.value, "must be text without control characters")
		}
	}
	return nil
}

func kindNames() string {
	names := make([]string, 0, len(tasks.Kinds()))
	for _, info := range tasks.Kinds() {
		names = append(names, string(info.Kind))
	}
	return strings.Join(names, ", ")
}
