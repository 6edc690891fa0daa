package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/imqueue/emq/errclass"
)

// rulesFileBytes bounds a file of rules: many thousands of them.
const rulesFileBytes = 1 << 20

// A rulesFile is an operator's file of rules, ready for use.
type rulesFile struct {
	name     string
	table    *errclass.Table // the builtin one with the file's rules
	rules    []fileRule
	tests    []ruleTest
	warnings []string // what is allowed, and most likely not meant
}

// A fileRule is a rule, and the lines where it and its fields begin.
type fileRule struct {
	errclass.Rule
	line  int
	lines map[string]int
}

// A ruleTest is an answer, and what is expected of its verdict. The texts that
// are not given are not looked at.
type ruleTest struct {
	Name        string          `json:"name"`
	Status      int             `json:"status"`
	Error       string          `json:"error"`
	Description string          `json:"description"`
	Body        json.RawMessage `json:"body"` // JSON; of a string, its content
	Kind        string          `json:"kind"`
	Transport   string          `json:"transport"`
	FreshToken  bool            `json:"fresh_token"`
	Expect      expectation     `json:"expect"`

	line       int
	expectLine int
	evidence   errclass.Evidence
}

// An expectation is the part of a verdict that a test looks at.
type expectation struct {
	Class errclass.Class `json:"class,omitempty"`
	Scope errclass.Scope `json:"scope,omitempty"`
	Rule  string         `json:"rule,omitempty"`
	Delay errclass.Delay `json:"delay,omitempty"`
}

// check refuses what no verdict has.
func (x expectation) check() error {
	switch {
	case x == expectation{}:
		return errors.New("must say what is expected: class, scope, rule or delay")
	case x.Class != "" && !x.Class.Valid():
		return fmt.Errorf("class %q: must be one of %s", x.Class, strings.Join(words(errclass.Classes()), ", "))
	case x.Scope != "" && !x.Scope.Valid():
		return fmt.Errorf("scope %q: must be %s or %s", x.Scope, errclass.ScopeJob, errclass.ScopeApp)
	case !x.Delay.Valid():
		return fmt.Errorf("delay %q: must be one of %s, %s, %s, %s", x.Delay, errclass.DelayBackoff, errclass.DelayRate, errclass.DelayMinute, errclass.DelayToken)
	}
	return nil
}

// What the fields of a file of rules hold.
const (
	aText    = "must be a text"
	aNumber  = "must be a number"
	aSwitch  = "must be true or false"
	texts    = "must be a list of texts, such as [one, two]"
	bothLang = "must be a text, or {en: TEXT, zh: TEXT}"
)

// ruleFields are the fields of a rule: the JSON names of errclass.Rule.
func ruleFields() map[string]string {
	return map[string]string{
		"id": aText, "statuses": "must be a list of numbers, such as [403, 429]", "errors": texts, "contains": texts, "unless": texts, "kinds": texts,
		"transports": texts, "body": aText, "fresh_token": aSwitch, "class": aText, "scope": aText, "delay": aText,
		"outcome_unknown": aSwitch, "mend": aText, "why": bothLang, "advice": bothLang,
	}
}

// testFields are the fields of a test: the JSON names of ruleTest.
func testFields() map[string]string {
	return map[string]string{
		"name": aText, "status": aNumber, "error": aText, "description": aText, "body": "must be JSON or a text", "kind": aText,
		"transport": aText, "fresh_token": aSwitch, "expect": "must be {class: TEXT, scope: TEXT, rule: TEXT, delay: TEXT}, or some of these",
	}
}

// readRules reads a file of rules. The error joins all that is wrong with it,
// each as "FILE:LINE: reason".
func readRules(ctx context.Context, path string) (*rulesFile, error) {
	raw, err := readFile(ctx, path, rulesFileBytes)
	if err != nil {
		return nil, fmt.Errorf("rules file: %w", err)
	}
	return parseRules(path, raw)
}

func parseRules(path string, raw []byte) (*rulesFile, error) {
	f := yamlFile{name: path, dir: filepath.Dir(path)}
	doc, err := f.parse(raw)
	if err != nil {
		return nil, err
	}
	r := &rulesFile{name: path}
	var problems []error
	parts := map[string]func(i int, item ast.Node){
		"rules": func(i int, item ast.Node) {
			rule := fileRule{line: lineOf(item)}
			var faults []error
			rule.lines, faults = f.fields(item, fmt.Sprintf("rule %d", i+1), ruleFields(), &rule.Rule)
			r.rules, problems = append(r.rules, rule), append(problems, faults...)
		},
		"tests": func(i int, item ast.Node) {
			test, faults := f.test(i, item)
			r.tests, problems = append(r.tests, test), append(problems, faults...)
		},
	}
	hasRules := false
	err = f.each(doc, "the file", func(key string, at *ast.MappingValueNode) error {
		hasRules = hasRules || key == "rules"
		part, ok := parts[key]
		if !ok {
			problems = append(problems, f.errorf(at, "%q: a file of rules has rules and tests%s", key, didYouMean(key, parts)))
			return nil
		}
		switch list := at.Value.(type) {
		case *ast.SequenceNode:
			for i, item := range list.Values {
				part(i, item)
			}
		case *ast.NullNode:
		default:
			problems = append(problems, f.errorf(at, "%s: must be a list", key))
		}
		return nil
	})
	if err == nil && !hasRules { // perhaps read while it is being written
		err = fmt.Errorf(`%s: has no rules; write "rules: []" if none are meant`, f.name)
	}
	if problems = append(problems, err); errors.Join(problems...) != nil {
		return nil, errors.Join(problems...) // a rule that was read in part would only bring follow-up errors
	}
	return r, r.check(f)
}

// fields reads a mapping into a struct whose JSON names are the keys of known,
// and returns the lines of the fields and all that is wrong.
func (f yamlFile) fields(node ast.Node, what string, known map[string]string, to any) (lines map[string]int, problems []error) {
	lines = map[string]int{}
	mapping, ok := node.(*ast.MappingNode)
	if !ok || len(mapping.Values) == 0 {
		return lines, []error{f.errorf(node, "%s: must be a list of \"name: value\"", what)}
	}
	err := f.each(mapping, what, func(key string, at *ast.MappingValueNode) error {
		lines[key] = lineOf(at)
		want, ok := known[key]
		if !ok {
			problems = append(problems, f.errorf(at, "%s: no field %q%s", what, key, didYouMean(key, known)))
		} else if value, ok := plain(at.Value); !ok || !fill(to, key, value) {
			problems = append(problems, f.errorf(at, "%s: %s: %s", what, key, want))
		}
		return nil
	})
	if err != nil {
		problems = append(problems, err)
	}
	return lines, problems
}

// fill sets the field of a struct that has this JSON name.
func fill(to any, name string, value any) bool {
	if list, ok := value.([]any); value == nil || ok && slices.Contains(list, nil) {
		return false // JSON would take null for "leave it as it is"
	}
	if text, ok := value.(string); ok && (name == "why" || name == "advice") {
		value = errclass.Text{En: text}
	}
	raw, err := json.Marshal(map[string]any{name: value})
	if err != nil {
		return false // not a number
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	return dec.Decode(to) == nil
}

// test reads one test.
func (f yamlFile) test(i int, item ast.Node) (ruleTest, []error) {
	what := fmt.Sprintf("test %d", i+1)
	test := ruleTest{line: lineOf(item)}
	given, problems := f.fields(item, what, testFields(), &test)
	if len(problems) > 0 {
		return test, problems
	}
	has := func(field string) bool { return given[field] > 0 }
	a := answer{
		status: test.Status, hasStatus: has("status"), err: test.Error, description: test.Description,
		hasError: has("error") || has("description"), body: string(test.Body), hasBody: has("body"),
		kind: test.Kind, transport: test.Transport,
	}
	var text string
	if json.Unmarshal(test.Body, &text) == nil {
		a.body = text
	}
	var err error
	switch test.evidence, err = a.evidence(""); {
	case err != nil:
	case a.hasBody && a.hasError:
		err = errors.New("body does not go with error and description, which make one")
	case a.transport != "" && a.hasStatus:
		err = errors.New("transport does not go with status: no answer came")
	}
	if err != nil {
		return test, []error{f.errorAt(test.line, "%s: %v", what, err)}
	}
	test.expectLine = cmp.Or(given["expect"], test.line)
	if err := test.Expect.check(); err != nil {
		return test, []error{f.errorAt(test.expectLine, "%s: expect: %v", what, err)}
	}
	test.evidence.FreshToken = test.FreshToken
	return test, nil
}

// check makes the table, and looks for rows that can't match.
func (r *rulesFile) check(f yamlFile) error {
	rules := make([]errclass.Rule, len(r.rules))
	for i, rule := range r.rules {
		rules[i] = rule.Rule
	}
	var err error
	if r.table, err = errclass.Default().Extend(rules); err != nil {
		return errors.Join(r.placed(f, err)...)
	}
	at := func(id string) int {
		return slices.IndexFunc(r.rules, func(rule fileRule) bool { return rule.ID == id })
	}
	var dead []error
	var order []string
	hidden := map[string][]string{} // builtin rules by what stands before them
	for _, s := range r.table.Shadowed() {
		if i := at(s.Rule); i >= 0 {
			dead = append(dead, f.errorAt(r.rules[i].line, "rule %q can never match: rules before it always do: %s", s.Rule, s.By))
		} else if !slices.Contains(errclass.Default().Shadowed(), s) {
			if hidden[s.By] == nil {
				order = append(order, s.By)
			}
			hidden[s.By] = append(hidden[s.By], s.Rule)
		}
	}
	warn := func(line int, format string, args ...any) {
		r.warnings = append(r.warnings, f.errorAt(line, "warning: "+format, args...).Error())
	}
	for _, by := range order {
		ids := strings.Split(by, ", ")
		first := slices.IndexFunc(r.rules, func(rule fileRule) bool { return slices.Contains(ids, rule.ID) })
		warn(r.rules[max(first, 0)].line, "%s can no longer match, because rules before always do (%s): %s",
			plural(len(hidden[by]), "builtin rule"), by, someOf(hidden[by]))
	}
	known := map[string]bool{}
	for _, name := range kindNames() {
		family, _, _ := strings.Cut(name, ".")
		known[name], known[family+".*"] = true, true
	}
	for _, rule := range r.rules {
		for _, kind := range rule.Kinds {
			if !known[kind] {
				warn(rule.lines["kinds"], "rule %q: this version of emq has no kind %q%s", rule.ID, kind, didYouMean(kind, known))
			}
		}
		for _, fragment := range rule.Contains {
			if looksLikeRegexp(fragment) {
				warn(rule.lines["contains"], "rule %q: contains: %q: only *, ^ and $ are special; this is looked for as it is", rule.ID, fragment)
			}
		}
	}
	return errors.Join(append(dead, r.checkExpected(f)...)...)
}

// looksLikeRegexp says whether a fragment has signs of a regular expression, for
// which it may be taken.
func looksLikeRegexp(fragment string) bool {
	return slices.ContainsFunc([]string{`\d`, `\w`, `\s`, `\.`, ".*", ".+", "|", "(?", "[a-", "[A-", "[0-"}, func(sign string) bool {
		return strings.Contains(fragment, sign)
	})
}

// checkExpected looks for tests that expect a rule which no table has.
func (r *rulesFile) checkExpected(f yamlFile) []error {
	known := map[string]bool{}
	for _, rule := range r.table.Rules() {
		known[rule.ID] = true
	}
	var problems []error
	for i, test := range r.tests {
		if rule := test.Expect.Rule; rule != "" && !known[rule] {
			problems = append(problems, f.errorAt(test.expectLine, "test %d: expect: rule %q: no such rule%s", i+1, rule, didYouMean(rule, known)))
		}
	}
	return problems
}

// someOf names the first few.
func someOf(names []string) string {
	const most = 5
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}

// placed puts the lines of the file to the errors of Extend.
func (r *rulesFile) placed(f yamlFile, err error) []error {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{fmt.Errorf("%s: %w", f.name, err)}
	}
	byLine := map[int][]error{}
	for _, err := range joined.Unwrap() {
		var fault *errclass.RuleError
		if !errors.As(err, &fault) {
			byLine[0] = append(byLine[0], fmt.Errorf("%s: %w", f.name, err))
			continue
		}
		rule := r.rules[fault.Index]
		what, reason := fmt.Sprintf("rule %d", fault.Index+1), fault.Err.Error()
		if fault.ID != "" {
			what = fmt.Sprintf("rule %q", fault.ID)
		}
		if fault.Field != "" {
			reason = fault.Field + ": " + reason
			if rule.lines[fault.Field] == 0 {
				reason = "no " + reason
			}
		}
		line := cmp.Or(rule.lines[fault.Field], rule.line)
		byLine[line] = append(byLine[line], f.errorAt(line, "%s: %s", what, reason))
	}
	var problems []error
	for _, line := range slices.Sorted(maps.Keys(byLine)) {
		problems = append(problems, byLine[line]...)
	}
	return problems
}

// failure says how the verdict differs from what the test expects; empty when it
// does not.
func (t ruleTest) failure(table *errclass.Table) string {
	v := table.Classify(t.evidence)
	var want []string
	miss := func(name, expected, got string) {
		if expected != "" && expected != got {
			want = append(want, name+" "+expected)
		}
	}
	miss("class", string(t.Expect.Class), string(v.Class))
	miss("scope", string(t.Expect.Scope), string(v.Scope))
	miss("rule", t.Expect.Rule, v.Rule)
	miss("delay", string(t.Expect.Delay), string(v.Delay))
	if len(want) == 0 {
		return ""
	}
	return "want " + strings.Join(want, ", ") + "; got " + judged(v)
}

// judged is a verdict in a few words.
func judged(v errclass.Verdict) string {
	text := fmt.Sprintf("class %s, scope %s, rule %s", v.Class, v.Scope, v.Rule)
	if v.Delay != errclass.DelayNone {
		text += ", delay " + string(v.Delay)
	}
	return text
}
