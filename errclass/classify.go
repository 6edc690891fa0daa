package errclass

import (
	"bytes"
	"slices"
	"strings"
	"sync"
)

// A Verdict says what an attempt's evidence means.
type Verdict struct {
	Class Class
	Scope Scope
	Rule  string // the ID of the row that matched
	// Status is the evidence's; Error and Description are as read from the body:
	// one line each, valid UTF-8, at most ErrorMax and DescriptionMax bytes,
	// known secrets cut. For a body that is no JSON object, Description is the
	// start of its text without markup.
	Status             int
	Error, Description string
	Why, Advice        Text
	Delay              Delay
	// OutcomeUnknown: the request was written and nothing tells whether it was
	// executed. A call that is not idempotent may be repeated or held, as its
	// task says.
	OutcomeUnknown bool
	// Unknown: no row knows the words of this answer. It was judged by its status
	// alone, and its row is a guess.
	Unknown bool
	// Mend is set only when Evidence.Targets has several. The class is then not
	// that of the call but of the targets that Mend speaks of: with MendLeaveOut,
	// ClassSuccess says that Named are done, and nothing of the rest.
	Mend Mend
	// Named are those of Evidence.Targets that the description names; only with MendLeaveOut.
	Named []string
	// Failed are the targets that a 2xx refuses, in the order of the answer. All
	// others are done. The rest of the verdict is then that of the gravest
	// failure; its Description counts and names them. A failure that means that
	// the goal holds already is none.
	Failed []Failure
}

// A Failure is one target that a 2xx refuses.
type Failure struct {
	// Target is spelled as in Evidence.Targets where it is one of them. It is
	// empty when the answer names nobody: then the call as a whole failed.
	Target string
	// Reason is the server's, one line of at most DescriptionMax bytes; empty when it gave none.
	Reason string
	// Verdict is that of this target alone; it has no Failed, Mend or Named.
	Verdict
}

// builtin is built on first use and never changed.
var builtin = sync.OnceValue(func() *Table { return newTable(builtinRules()) })

// Default returns the builtin table.
func Default() *Table { return builtin() }

// Classify judges by the builtin table.
func Classify(e Evidence) Verdict { return builtin().Classify(e) }

// Classify returns the verdict of the first row that matches. It is pure and
// never panics, whatever the evidence is.
//
// A 2xx that its row calls a success is read target by target: see Verdict.Failed.
func (t *Table) Classify(e Evidence) Verdict {
	if !e.Transport.Valid() {
		e.Transport = TransportOther
	}
	a := read(e.Body)
	if a.form == BodyOther && e.Status/100 != family2xx {
		// Half an answer ends no task as done; one with a comma too many may.
		if cut, ok := readCut(e.Body); ok && (bytes.HasSuffix(bytes.TrimSpace(e.Body), []byte("}")) || t.judge(&e, cut).Class != ClassSuccess) {
			a = cut
		}
	}
	v := t.judge(&e, a)
	switch {
	case e.Status/100 != family2xx || a.form != BodyObject || e.Transport != TransportNone:
	case a.err != "" || a.complains:
		v = t.complaint(e, a, v)
	case v.Class == ClassSuccess:
		v = t.uncover(&e, a, v)
	}
	if v.Mend == MendLeaveOut {
		v.Named = namesIn(v.Description, e.Targets)
	}
	return v
}

// complaint judges a 2xx whose body is that of an error: by its words, as if the
// status were not known. Words that no row knows leave it to the rows for a 2xx
// with an error, which is not called a success for want of a word.
func (t *Table) complaint(e Evidence, a answer, v Verdict) Verdict {
	status := e.Status
	e.Status, e.Written = 0, true
	if known := t.judge(&e, a); known.Rule != RuleUnknown {
		known.Status = status
		return known
	}
	if a.err == "" {
		e.Status, a.err = status, wordRefused
		v = t.judge(&e, a)
		v.Error = ""
	}
	return v
}

// judge asks the rows in order.
func (t *Table) judge(e *Evidence, a answer) Verdict {
	full, text := a.haystack(false), a.haystack(true)
	word, _, _ := strings.Cut(text, ":")
	v := Verdict{Status: e.Status, Error: a.err, Description: a.description}
	for i := range t.rows {
		r := &t.rows[i]
		seen := text
		if r.own {
			seen = full
		}
		if !r.match(e, a.form, word, seen) {
			continue
		}
		v.Class, v.Scope, v.Rule = r.Class, r.Scope, r.ID
		v.Why, v.Advice, v.Delay = r.Why, r.Advice, r.Delay
		// An answer, even a broken one, proves that the request was written.
		v.OutcomeUnknown = r.OutcomeUnknown && (e.Written || e.Status != 0)
		if len(e.Targets) > 1 {
			v.Mend = r.Mend
		}
		v.Unknown = r.guesses(a)
		return v
	}
	// Only a zero Table comes here: the last row of all others matches everything.
	v.Class, v.Scope, v.Rule, v.Delay, v.Unknown = ClassRetryable, ScopeJob, RuleUnknown, DelayBackoff, true
	v.OutcomeUnknown = e.Written || e.Status != 0
	return v
}

// guesses says whether the row matched an answer for its status, while the answer
// has words. A gateway's page says no more than its status does.
func (r *row) guesses(a answer) bool {
	return a.form == BodyObject && (a.err != "" || a.description != "") && r.Class != ClassSuccess &&
		len(r.Errors) == 0 && len(r.Contains) == 0 && !r.FreshToken
}

// match asks the cheap columns first.
func (r *row) match(e *Evidence, form BodyForm, word, text string) bool {
	if r.all {
		return true
	}
	if len(r.Transports) == 0 {
		if e.Transport != TransportNone {
			return false
		}
	} else if !slices.Contains(r.Transports, e.Transport) {
		return false
	}
	if r.FreshToken && !e.FreshToken || r.Body != BodyAny && r.Body != form {
		return false
	}
	if !r.statusMatches(e.Status, form, word) {
		return false
	}
	if len(r.Kinds) > 0 && !slices.ContainsFunc(r.Kinds, func(k string) bool { return kindMatches(k, e.Kind) }) {
		return false
	}
	if len(r.errors) > 0 && !slices.Contains(r.errors, word) {
		return false
	}
	found := func(p pattern) bool { return p.match(text) }
	return (len(r.contains) == 0 || slices.ContainsFunc(r.contains, found)) && !slices.ContainsFunc(r.unless, found)
}

// statusMatches: a body whose status is not known (a person types in what a page
// prints) is judged by its words alone, so not by rows that go by the status.
func (r *row) statusMatches(status int, form BodyForm, word string) bool {
	switch {
	case len(r.Statuses) == 0:
		return true
	case status == 0:
		return form == BodyObject && (len(r.contains) > 0 || len(r.errors) > 0 && word != "")
	case status < 100 || status > 599:
		return false
	}
	return slices.Contains(r.Statuses, status) || slices.Contains(r.Statuses, status/100)
}

func kindMatches(want, kind string) bool {
	if family, ok := strings.CutSuffix(want, "*"); ok {
		return strings.HasPrefix(kind, family)
	}
	return want == kind
}
