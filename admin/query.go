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
	"github.com/imqueue/emq/tasks"
)

// textMaxBytes bounds a parameter that is free text.
const textMaxBytes = 512

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

// flag is a parameter that is true or false; false when absent.
func (q *query) flag(name string) bool {
	switch value := q.values.Get(name); value {
	case "true":
		return true
	case "", "false":
	default:
		q.refuse(name, value, "must be true or false")
	}
	return false
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

// moment is a time as dlq.ParseTime reads it; zero when absent.
func (q *query) moment(name string, now time.Time) time.Time {
	at, err := dlq.ParseTime(name, q.values.Get(name), now)
	if err != nil && q.first == nil {
		q.first = err
	}
	return at
}

// filter reads the parameters of dlq.FilterFields.
func (q *query) filter() dlq.Filter {
	f, err := dlq.ParseFilter(q.values.Get, time.Now())
	if err != nil && q.first == nil {
		q.first = err
	}
	return f
}
