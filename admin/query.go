package admin

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/imqueue/emq/dlq"
	"github.com/imqueue/emq/errclass"
	"github.com/imqueue/emq/tasks"
)

// textMaxBytes bounds a parameter that is free text.
const textMaxBytes = 512

// filterNames are the parameters that select dead letters.
func filterNames() []string {
	return []string{"app", "kind", "class", "error", "status", "cause", "state", "since", "until"}
}

// query holds the parameters of a request, each known and given once. Its
// methods read one parameter each; the first error stays, and err returns it.
type query struct {
	values url.Values
	first  error
}

// newQuery reads the parameters of r, of which the route knows the ones named.
func newQuery(r *http.Request, known ...string) *query {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return &query{first: badParameter("", "the query can't be read: "+err.Error())}
	}
	q := &query{values: values}
	for _, name := range sortedKeys(values) {
		switch {
		case !slices.Contains(known, name):
			bound := "this path takes no parameters"
			if len(known) > 0 {
				bound = "known are " + strings.Join(known, ", ")
			}
			q.fail(name, "unknown parameter: "+bound)
		case len(values[name]) > 1:
			q.fail(name, "given more than once")
		}
	}
	return q
}

func sortedKeys(values url.Values) []string {
	names := make([]string, 0, len(values))
	for name := range values {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// badParameter is the error about the parameter field.
func badParameter(field, bound string) error {
	detail := bound
	if field != "" {
		detail = tasks.Printable(field, 64) + ": " + bound
	}
	return &apiError{status: http.StatusBadRequest, field: tasks.Printable(field, 64), detail: detail}
}

func (q *query) fail(field, bound string) {
	if q.first == nil {
		q.first = badParameter(field, bound)
	}
}

// refuse fails for a value out of its bound.
func (q *query) refuse(field, value, bound string) {
	q.fail(field, fmt.Sprintf("%q: %s", tasks.Printable(value, 80), bound))
}

func (q *query) err() error { return q.first }

// text is a parameter of at most textMaxBytes; empty when absent.
func (q *query) text(name string) string {
	value := q.values.Get(name)
	if len(value) > textMaxBytes {
		q.refuse(name, value, fmt.Sprintf("at most %d bytes", textMaxBytes))
		return ""
	}
	return value
}

// app is the alias of an app; empty when absent.
func (q *query) app() string {
	app := q.values.Get("app")
	if app != "" {
		if err := tasks.CheckApp(app); err != nil && q.first == nil {
			q.first = err
		}
	}
	return app
}

// number is a parameter within bounds; absent when it is not given.
func (q *query) number(name string, least, most, absent int) int {
	value := q.values.Get(name)
	if value == "" {
		return absent
	}
	n, err := strconv.Atoi(value)
	if err != nil || n < least || n > most {
		q.refuse(name, value, fmt.Sprintf("must be a number from %d to %d", least, most))
		return absent
	}
	return n
}

// oneOf is a parameter that has one of the given values; empty when absent.
func oneOf[T ~string](q *query, name string, allowed ...T) T {
	value := T(q.values.Get(name))
	if value != "" && !slices.Contains(allowed, value) {
		words := make([]string, len(allowed))
		for i, a := range allowed {
			words[i] = string(a)
		}
		q.refuse(name, string(value), "must be one of "+strings.Join(words, ", "))
	}
	return value
}

// moment is a time in RFC 3339, or so long before now; zero when absent.
func (q *query) moment(name string, now time.Time) time.Time {
	value := q.values.Get(name)
	if value == "" {
		return time.Time{}
	}
	if at, err := time.Parse(time.RFC3339, value); err == nil {
		return at
	}
	if ago, err := time.ParseDuration(value); err == nil && ago >= 0 {
		return now.Add(-ago)
	}
	q.refuse(name, value, "must be a time such as 2026-01-31T08:00:00Z, or a duration such as 90m for so long ago")
	return time.Time{}
}

// filter reads the parameters of filterNames, and checks what the store does not.
func (q *query) filter() dlq.Filter {
	now := time.Now()
	f := dlq.Filter{
		App:    q.app(),
		Kind:   oneOf(q, "kind", kinds()...),
		Class:  oneOf(q, "class", errclass.ClassRetryable, errclass.ClassPermanent, errclass.ClassNeedsHuman),
		Error:  q.text("error"),
		Status: q.number("status", 100, 599, 0),
		Cause:  q.text("cause"),
		State:  dlq.State(q.text("state")),
		Since:  q.moment("since", now),
		Until:  q.moment("until", now),
	}
	if !f.Since.IsZero() && !f.Until.IsZero() && !f.Since.Before(f.Until) {
		q.refuse("until", q.values.Get("until"), "must be after since")
	}
	return f
}

func kinds() []tasks.Kind {
	var names []tasks.Kind
	for _, info := range tasks.Kinds() {
		names = append(names, info.Kind)
	}
	return names
}
