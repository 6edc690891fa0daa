package errclass

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// RuleUnknown is the ID of the last row, which matches what no other row does.
const RuleUnknown = "unknown"

// A Rule is one row of a table: what it matches, and what follows. It is plain
// data, so that an operator's own rows may be read from a file.
//
// Every column that is given must match; within a column one value is enough.
type Rule struct {
	// ID names the row in verdicts, metrics and dead letters: kebab-case, stable.
	ID string `json:"id"`

	// Statuses are HTTP statuses; 1 to 5 stand for a whole family (4 is every 4xx).
	Statuses []int `json:"statuses,omitempty"`
	// Errors are error words. Case, separators, a Java package in front and
	// "Exception" behind don't matter. "" is an answer without an error word.
	Errors []string `json:"errors,omitempty"`
	// Contains are fragments of the text "error: description", in any case.
	// "*" stands for anything between; "^" in front ties a fragment to the start,
	// "$" behind ties it to the end. Lists in brackets are emptied before: a rule
	// sees "users [] are not members of this group!".
	Contains []string `json:"contains,omitempty"`
	// Unless are fragments as in Contains: a text with one of them does not match.
	Unless []string `json:"unless,omitempty"`
	// Kinds are kinds of call, exact or as "group.*".
	Kinds []string `json:"kinds,omitempty"`
	// Transports are failures without an answer. A row without this column
	// matches answers only.
	Transports []Transport `json:"transports,omitempty"`
	// Body is the form the body must have.
	Body BodyForm `json:"body,omitempty"`
	// FreshToken: only a 401 after several fresh tokens were refused in the same attempt.
	FreshToken bool `json:"fresh_token,omitempty"`

	Class Class `json:"class"`
	Scope Scope `json:"scope"`
	// Delay is given for ClassRetryable and for no other class.
	Delay Delay `json:"delay,omitempty"`
	// OutcomeUnknown: the answer does not tell whether the call was executed.
	// It reaches the verdict only when the request had been written.
	OutcomeUnknown bool `json:"outcome_unknown,omitempty"`
	// Mend is what may be done without a person when the call had several targets.
	Mend Mend `json:"mend,omitempty"`

	Why    Text `json:"why"`    // what the answer means, one sentence
	Advice Text `json:"advice"` // what to do about it
}

// matchesAll reports whether the row has no match column at all.
func (r Rule) matchesAll() bool {
	return len(r.Statuses)+len(r.Errors)+len(r.Contains)+len(r.Kinds)+len(r.Transports) == 0 &&
		r.Body == BodyAny && !r.FreshToken
}

func (r Rule) clone() Rule {
	r.Statuses = slices.Clone(r.Statuses)
	r.Errors = slices.Clone(r.Errors)
	r.Contains = slices.Clone(r.Contains)
	r.Unless = slices.Clone(r.Unless)
	r.Kinds = slices.Clone(r.Kinds)
	r.Transports = slices.Clone(r.Transports)
	return r
}

// A Table is an ordered list of rules. It does not change; it is safe for
// concurrent use.
type Table struct {
	rows []row
}

// A row is a rule made ready for matching.
type row struct {
	Rule
	errors   []string // canonical
	contains []pattern
	unless   []pattern
	all      bool // no column: matches everything
	own      bool // the operator's: sees names, too
}

func newTable(rules []Rule) *Table {
	t := &Table{rows: make([]row, len(rules))}
	for i, r := range rules {
		c := row{Rule: r.clone(), all: r.matchesAll()}
		for _, e := range r.Errors {
			c.errors = append(c.errors, canonical(e))
		}
		for _, f := range r.Contains {
			c.contains = append(c.contains, compile(f))
		}
		for _, f := range r.Unless {
			c.unless = append(c.unless, compile(f))
		}
		t.rows[i] = c
	}
	return t
}

// Rules returns a copy of the rows in order.
func (t *Table) Rules() []Rule {
	rules := make([]Rule, len(t.rows))
	for i, r := range t.rows {
		rules[i] = r.clone()
	}
	return rules
}

// A RuleError is one thing that is wrong with one row given to Extend.
type RuleError struct {
	Index int    // of the row in Extend's argument, from 0
	ID    string // of the row, at most ErrorMax bytes
	Field string // the row's JSON field; empty when several together are wrong
	Err   error
}

// Error counts rows from 1.
func (e *RuleError) Error() string {
	field := e.Field
	if field != "" {
		field += ": "
	}
	return fmt.Sprintf("rule %d (%q): %s%v", e.Index+1, e.ID, field, e.Err)
}

// Unwrap returns Err.
func (e *RuleError) Unwrap() error { return e.Err }

// Extend returns a table with an operator's rows. A row whose ID is in the table
// replaces that row in its place; all others are asked first, in their order. An
// empty Scope is ScopeJob, an empty Delay of a retryable row DelayBackoff.
//
// The error joins one *RuleError for each thing that is wrong with the rows;
// its method Unwrap() []error lists them. t is not changed.
func (t *Table) Extend(rules []Rule) (*Table, error) {
	var (
		problems []error
		first    []Rule
		rows     = t.Rules()
		seen     = map[string]bool{}
		own      = map[string]bool{}
	)
	for i, r := range rules {
		r = r.clone()
		if r.Scope == "" {
			r.Scope = ScopeJob
		}
		if r.Class == ClassRetryable && r.Delay == DelayNone {
			r.Delay = DelayBackoff
		}
		bad := func(field, format string, args ...any) {
			problems = append(problems, &RuleError{Index: i, ID: clip(r.ID, ErrorMax), Field: field, Err: fmt.Errorf(format, args...)})
		}
		r.validate(bad)
		if seen[r.ID] {
			bad("id", "given twice")
		}
		seen[r.ID] = true
		if at := slices.IndexFunc(rows, func(old Rule) bool { return old.ID == r.ID }); at >= 0 {
			// One with new words for the same texts sees no more than before.
			own[r.ID] = !slices.Equal(rows[at].Contains, r.Contains)
			rows[at] = r
		} else {
			own[r.ID] = true
			first = append(first, r)
		}
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	for _, r := range t.rows {
		own[r.ID] = own[r.ID] || r.own
	}
	extended := newTable(append(first, rows...))
	for i := range extended.rows {
		extended.rows[i].own = own[extended.rows[i].ID]
	}
	return extended, nil
}

const ruleIDMax = 64

// validate tells each thing that is wrong with the row to bad.
func (r Rule) validate(bad func(field, format string, args ...any)) {
	if !kebab(r.ID) {
		bad("id", "must be kebab-case (a-z, 0-9, -) of at most %d bytes", ruleIDMax)
	}
	for _, s := range r.Statuses {
		if (s < 1 || s > 5) && (s < 100 || s > 599) {
			bad("statuses", "%d is neither a status (100 to 599) nor a family (1 to 5)", s)
		}
	}
	for _, e := range r.Errors {
		if strings.Contains(e, "*") {
			bad("errors", "%q is a whole error word: use contains for parts", e)
		}
	}
	for _, c := range []struct {
		field     string
		fragments []string
	}{{"contains", r.Contains}, {"unless", r.Unless}} {
		for _, f := range c.fragments {
			if reason := fragmentFault(f); reason != "" {
				bad(c.field, "%q %s", f, reason)
			}
		}
	}
	for _, k := range r.Kinds {
		if family, verb, ok := strings.Cut(k, "."); !ok || family == "" || verb == "" || strings.Contains(family, "*") || strings.Contains(verb, "*") && verb != "*" {
			bad("kinds", `%q must be a kind such as "group.add_members", or "group.*"`, k)
		}
	}
	for _, f := range r.Transports {
		if f == TransportNone || !f.Valid() {
			bad("transports", "%q must be one of %v", f, Transports())
		}
	}
	if !r.Body.Valid() {
		bad("body", "%q must be one of %q, %q, %q", r.Body, BodyObject, BodyEmpty, BodyOther)
	}
	if len(r.Errors) > 0 && (r.Body == BodyEmpty || r.Body == BodyOther) && !slices.ContainsFunc(r.Errors, func(e string) bool { return canonical(e) == "" }) {
		bad("errors", "can't match: a body that is %q has no error word", r.Body)
	}
	if len(r.Contains) > 0 && r.Body == BodyEmpty && !slices.ContainsFunc(r.Contains, matchesEmpty) {
		bad("contains", "can't match: a body that is %q has no text", r.Body)
	}
	if !r.Class.Valid() {
		bad("class", "%q must be one of %v", r.Class, Classes())
	}
	if !r.Scope.Valid() {
		bad("scope", "%q must be %q or %q", r.Scope, ScopeJob, ScopeApp)
	}
	if r.Scope == ScopeApp && r.Class != ClassNeedsHuman {
		bad("scope", "%q goes with class %q only", ScopeApp, ClassNeedsHuman)
	}
	switch {
	case !r.Delay.Valid():
		bad("delay", "%q must be one of %q, %q, %q, %q", r.Delay, DelayBackoff, DelayRate, DelayMinute, DelayToken)
	case r.Delay != DelayNone && r.Class != ClassRetryable:
		bad("delay", "goes with class %q only", ClassRetryable)
	}
	if r.OutcomeUnknown && r.Class == ClassSuccess {
		bad("outcome_unknown", "does not go with class %q", ClassSuccess)
	}
	if !r.Mend.Valid() {
		bad("mend", "%q must be %q or %q", r.Mend, MendSplit, MendLeaveOut)
	}
	if r.Mend != MendNone && (r.OutcomeUnknown || r.Scope == ScopeApp) {
		bad("mend", "goes with scope %q and a known outcome only", ScopeJob)
	}
	if r.Mend == MendSplit && r.Class == ClassSuccess {
		bad("mend", "%q does not go with class %q", MendSplit, ClassSuccess)
	}
	if r.Why.In("") == "" {
		bad("why", "must be given in English or Chinese")
	}
	if r.Advice.In("") == "" {
		bad("advice", "must be given in English or Chinese")
	}
	if r.ID == RuleUnknown && !r.matchesAll() {
		bad("id", "%q is the last row, which has no match columns", RuleUnknown)
	}
	if r.ID != RuleUnknown && r.matchesAll() {
		bad("", "give at least one column to match; a row that matches everything would hide all others")
	}
}

// matchesEmpty reports whether a fragment matches the text of an empty body.
func matchesEmpty(fragment string) bool { return compile(fragment).match(answer{}.haystack(false)) }

// fragmentFault says why a fragment can match nothing, or would match everything.
func fragmentFault(fragment string) string {
	if strings.Trim(fragment, "^$* \t\n") == "" && strings.TrimSpace(fragment) != "^:$" {
		return "has no text to look for"
	}
	p := compile(fragment)
	for _, part := range p.parts {
		if dropBrackets(part) != part {
			return `can't match: lists in brackets are emptied before, write "[]"`
		}
	}
	if !p.start {
		return ""
	}
	word, _, ok := strings.Cut(strings.TrimPrefix(strings.TrimSpace(fragment), "^"), ":")
	if ok && !strings.Contains(word, "*") && canonical(word) != word {
		return fmt.Sprintf("can't match: a text begins with the error word in plain form, write %q", "^"+canonical(word)+":")
	}
	return ""
}

func kebab(id string) bool {
	if id == "" || len(id) > ruleIDMax || strings.HasPrefix(id, "-") || strings.HasSuffix(id, "-") || strings.Contains(id, "--") {
		return false
	}
	return strings.Trim(id, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}
