package errclass

import (
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"unicode"
)

func TestBuiltinRules(t *testing.T) {
	t.Parallel()
	id := regexp.MustCompile(`^[a-z][a-z0-9]*(-[a-z0-9]+)*$`)
	command := regexp.MustCompile("`(emq [^`]*)`")
	commands := map[string]bool{
		"emq dlq edit": true, "emq dlq resend": true, "emq dlq discard": true, "emq dlq show": true, "emq dlq resolve": true,
		"emq dlq resolve ID --sent": true, "emq hold clear": true,
		"emq limit set APP/ENDPOINT --calls 200/s --reason TEXT": true, "emq limit list": true,
		"emq rules unknown": true, "emq rules list": true, "emq kinds": true,
	}
	rules := Default().Rules()
	seen := map[string]bool{}
	for i, r := range rules {
		r.validate(func(field, format string, args ...any) {
			t.Errorf("rule %q: %s: %s", r.ID, field, fmt.Sprintf(format, args...))
		})
		if !id.MatchString(r.ID) || seen[r.ID] {
			t.Errorf("ID %q is not kebab-case or given twice", r.ID)
		}
		seen[r.ID] = true
		if (r.ID == RuleUnknown) != (i == len(rules)-1) {
			t.Errorf("rule %q stands at %d of %d", r.ID, i+1, len(rules))
		}
		if (r.Class == ClassRetryable) != (r.Delay != DelayNone) {
			t.Errorf("rule %q: class %s with delay %q", r.ID, r.Class, r.Delay)
		}
		if r.Scope == ScopeApp && !strings.Contains(r.Advice.En, "`emq hold clear`") {
			t.Errorf("rule %q holds the app and does not say how to go on", r.ID)
		}
		// A task that ends as done must not do so on a status alone, or on no JSON.
		if r.Class == ClassSuccess && r.ID != "ok-no-content" && (r.Body != BodyObject || r.ID != "ok" && (len(r.Kinds) == 0 || len(r.Contains) == 0)) {
			t.Errorf("rule %q calls too much a success", r.ID)
		}
		for name, text := range map[string]Text{"why": r.Why, "advice": r.Advice} {
			if text.En == "" || text.Zh == "" {
				t.Errorf("rule %q: %s is missing in a language", r.ID, name)
			}
			if strings.IndexFunc(text.En, func(r rune) bool { return unicode.Is(unicode.Han, r) }) >= 0 ||
				strings.IndexFunc(text.Zh, func(r rune) bool { return unicode.Is(unicode.Han, r) }) < 0 {
				t.Errorf("rule %q: %s: languages are mixed up", r.ID, name)
			}
			if !strings.HasSuffix(text.En, ".") || !strings.HasSuffix(text.Zh, "。") || !unicode.IsUpper(rune(text.En[0])) && !strings.HasPrefix(text.En, "emq") {
				t.Errorf("rule %q: %s is no sentence", r.ID, name)
			}
			var en, zh []string
			for _, m := range command.FindAllStringSubmatch(text.En, -1) {
				en = append(en, m[1])
				if !commands[m[1]] {
					t.Errorf("rule %q: no command %q", r.ID, m[1])
				}
			}
			for _, m := range command.FindAllStringSubmatch(text.Zh, -1) {
				zh = append(zh, m[1])
			}
			if !sameSet(en, zh) {
				t.Errorf("rule %q: %s names %q in English, %q in Chinese", r.ID, name, en, zh)
			}
		}
	}
}

func sameSet(a, b []string) bool {
	set := func(list []string) map[string]bool {
		m := map[string]bool{}
		for _, s := range list {
			m[s] = true
		}
		return m
	}
	return reflect.DeepEqual(set(a), set(b))
}

func TestRulesAreCopies(t *testing.T) {
	t.Parallel()
	table := newTable(builtinRules())
	rules := table.Rules()
	for i := range rules {
		rules[i].Class, rules[i].ID = ClassPermanent, "x"
		for j := range rules[i].Statuses {
			rules[i].Statuses[j] = 0
		}
		for _, list := range [][]string{rules[i].Errors, rules[i].Contains, rules[i].Kinds} {
			for j := range list {
				list[j] = "x"
			}
		}
		for j := range rules[i].Transports {
			rules[i].Transports[j] = "x"
		}
	}
	if !reflect.DeepEqual(table.Rules(), Default().Rules()) {
		t.Error("a caller's change reached the table")
	}
}

func TestRulesAreData(t *testing.T) {
	t.Parallel()
	raw, err := json.Marshal(Default().Rules())
	if err != nil {
		t.Fatal(err)
	}
	var rules []Rule
	if err := json.Unmarshal(raw, &rules); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(newTable(rules).Rules(), Default().Rules()) {
		t.Error("rules change on their way through JSON")
	}
}

func TestExtend(t *testing.T) {
	t.Parallel()
	why, advice := Text{En: "Because."}, Text{Zh: "处理。"}
	own := []Rule{
		{ID: "our-proxy", Statuses: []int{418}, Class: ClassRetryable, Why: why, Advice: advice},
		{ID: "our-word", Errors: []string{"com.acme.TeapotException"}, Kinds: []string{"user.*"}, Class: ClassPermanent, Why: why, Advice: advice},
		{ID: "our-text", Contains: []string{"Tea * Is Cold$"}, Class: ClassNeedsHuman, Scope: ScopeApp, Why: why, Advice: advice},
		{ID: "rate-limit", Statuses: []int{429}, Class: ClassRetryable, Delay: DelayMinute, Why: why, Advice: advice},
		{ID: RuleUnknown, Class: ClassPermanent, Why: why, Advice: advice},
	}
	table, err := Default().Extend(own)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		e    Evidence
		rule string
	}{
		{Evidence{Status: 418}, "our-proxy"},
		{Evidence{Status: 400, Kind: "user.delete", Body: errorBody("teapot", "short", "")}, "our-word"},
		{Evidence{Status: 400, Kind: "group.delete", Body: errorBody("teapot", "short", "")}, "bad-request"},
		{Evidence{Status: 500, Body: errorBody("", "the tea [green] is  COLD", "")}, "our-text"},
		{Evidence{Status: 429}, "rate-limit"},
		{Evidence{Status: 429, Body: errorBody("resource_limited", "", "")}, "plan-quota"}, // the replaced row keeps its place
		{Evidence{Status: 0}, RuleUnknown},
		{Evidence{Transport: TransportDNS}, "dns-failure"},
	} {
		if v := table.Classify(c.e); v.Rule != c.rule {
			t.Errorf("%+v: %s, want %s", c.e, v.Rule, c.rule)
		}
	}
	v := table.Classify(Evidence{Status: 418})
	if v.Scope != ScopeJob || v.Delay != DelayBackoff || v.Advice.In("en") != "处理。" {
		t.Errorf("defaults: %+v", v)
	}
	if n := len(table.Rules()) - len(Default().Rules()); n != 3 {
		t.Errorf("%d rows more, want 3", n)
	}
	if Default().Classify(Evidence{Status: 418}).Rule != "client-error" || own[0].Scope != "" {
		t.Error("Extend changed the table or its argument")
	}
	if again, err := table.Extend(nil); err != nil || !reflect.DeepEqual(again.Rules(), table.Rules()) {
		t.Errorf("extended by nothing: %v", err)
	}
}

// TestExtendRefuses breaks one field of a good row each.
// An operator's own rule may be about a name, which the builtin ones do not see.
func TestOwnRulesSeeNames(t *testing.T) {
	t.Parallel()
	own := Rule{ID: "desk", Contains: []string{"desk-7"}, Class: ClassPermanent, Why: Text{En: "x"}, Advice: Text{En: "y"}}
	table, err := Default().Extend([]Rule{own})
	if err != nil {
		t.Fatal(err)
	}
	another, err := table.Extend([]Rule{{ID: "other", Contains: []string{"sofa"}, Class: ClassPermanent, Why: Text{En: "x"}, Advice: Text{En: "y"}}})
	if err != nil {
		t.Fatal(err)
	}
	e := Evidence{Kind: "call.raw", Status: 500, Body: errorBody("internal", "desk-7 is out", "")}
	for _, table := range []*Table{table, another} {
		if v := table.Classify(e); v.Rule != "desk" {
			t.Errorf("judged by %s", v.Rule)
		}
	}
}

func TestExtendRefuses(t *testing.T) {
	t.Parallel()
	good := Rule{ID: "good", Statuses: []int{418}, Class: ClassPermanent, Why: Text{En: "W."}, Advice: Text{En: "A."}}
	for name, c := range map[string]struct {
		spoil func(*Rule)
		want  string
	}{
		"no id":             {func(r *Rule) { r.ID = "" }, "kebab-case"},
		"id":                {func(r *Rule) { r.ID = "Good_Rule" }, "kebab-case"},
		"long id":           {func(r *Rule) { r.ID = strings.Repeat("a", 65) }, "at most 64"},
		"status":            {func(r *Rule) { r.Statuses = []int{6} }, "statuses: 6"},
		"high status":       {func(r *Rule) { r.Statuses = []int{600} }, "statuses: 600"},
		"empty fragment":    {func(r *Rule) { r.Contains = []string{" * "} }, "no text"},
		"only an anchor":    {func(r *Rule) { r.Contains = []string{"^"} }, "no text"},
		"part of a word":    {func(r *Rule) { r.Errors = []string{"forbidden_*"} }, `errors: "forbidden_*" is a whole error word: use contains for parts`},
		"word of nothing":   {func(r *Rule) { r.Errors, r.Body = []string{"forbidden_op", "x"}, BodyEmpty }, "errors: can't match: a body that is \"empty\" has no error word"},
		"word of no object": {func(r *Rule) { r.Errors, r.Body = []string{"forbidden_op"}, BodyOther }, "errors: can't match: a body that is \"other\" has no error word"},
		"text of nothing":   {func(r *Rule) { r.Contains, r.Body = []string{"short", "^a:$"}, BodyEmpty }, "contains: can't match: a body that is \"empty\" has no text"},
		"success by halves": {func(r *Rule) { r.Class, r.Mend = ClassSuccess, MendSplit }, `mend: "split" does not go with class "success"`},
		"kind":              {func(r *Rule) { r.Kinds = []string{"*"} }, "kinds"},
		"half a kind":       {func(r *Rule) { r.Kinds = []string{"group.add_*"} }, "kinds"},
		"transport":         {func(r *Rule) { r.Transports = []Transport{"pigeon"} }, "pigeon"},
		"empty transport":   {func(r *Rule) { r.Transports = []Transport{""} }, "transports"},
		"body":              {func(r *Rule) { r.Body = "html" }, "body"},
		"no class":          {func(r *Rule) { r.Class = "" }, "class"},
		"class":             {func(r *Rule) { r.Class = "fatal" }, "fatal"},
		"scope":             {func(r *Rule) { r.Scope = "world" }, "world"},
		"app without cause": {func(r *Rule) { r.Scope = ScopeApp }, "needs-human"},
		"delay":             {func(r *Rule) { r.Class, r.Delay = ClassRetryable, "later" }, "later"},
		"needless delay":    {func(r *Rule) { r.Delay = DelayRate }, "retryable"},
		"unknown success":   {func(r *Rule) { r.Class, r.OutcomeUnknown = ClassSuccess, true }, "outcome_unknown"},
		"no why":            {func(r *Rule) { r.Why = Text{} }, "why"},
		"no advice":         {func(r *Rule) { r.Advice = Text{} }, "advice"},
		"matches all":       {func(r *Rule) { r.Statuses = nil }, "hide all others"},
		"narrow last row":   {func(r *Rule) { r.ID = RuleUnknown }, "last row"},
	} {
		r := good
		c.spoil(&r)
		if table, err := Default().Extend([]Rule{r}); err == nil || table != nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one with %q", name, err, c.want)
		}
	}
	if _, err := Default().Extend([]Rule{good, good}); err == nil || !strings.Contains(err.Error(), "given twice") {
		t.Errorf("twice the same ID: %v", err)
	}
	bad := Rule{ID: "X", Class: "x"}
	if _, err := Default().Extend([]Rule{bad, good, bad}); err == nil || strings.Count(err.Error(), "kebab-case") != 2 || !strings.Contains(err.Error(), "rule 3") {
		t.Errorf("not all faults are told: %v", err)
	}
	if _, err := Default().Extend([]Rule{good}); err != nil {
		t.Errorf("the good row: %v", err)
	}
}

// TestExtendTakesWhatCanMatch: rows that ask for nothing where there is nothing.
func TestExtendTakesWhatCanMatch(t *testing.T) {
	t.Parallel()
	for _, r := range []Rule{
		{Errors: []string{"forbidden_op", ""}, Body: BodyEmpty},
		{Errors: []string{""}, Body: BodyOther},
		{Errors: []string{"forbidden_op"}, Body: BodyObject},
		{Contains: []string{"short", "^:$"}, Body: BodyEmpty},
		{Contains: []string{"short"}, Body: BodyOther},
		{Statuses: []int{418}, Kinds: []string{"group.add_members"}, Mend: MendSplit},
	} {
		r.ID, r.Class, r.Why, r.Advice = "own", ClassPermanent, Text{En: "W."}, Text{En: "A."}
		if _, err := Default().Extend([]Rule{r}); err != nil {
			t.Errorf("%+v: %v", r, err)
		}
	}
	own := Rule{ID: "own", Statuses: []int{418}, Contains: []string{"^:$"}, Body: BodyEmpty, Class: ClassPermanent, Why: Text{En: "W."}, Advice: Text{En: "A."}}
	table, err := Default().Extend([]Rule{own})
	if err != nil {
		t.Fatal(err)
	}
	if v := table.Classify(Evidence{Status: 418}); v.Rule != "own" {
		t.Errorf("judged by %s", v.Rule)
	}
}

func TestZeroTable(t *testing.T) {
	t.Parallel()
	var table Table
	if v := table.Classify(Evidence{Status: 200, Body: []byte("{}")}); v.Class != ClassRetryable || v.Rule != RuleUnknown {
		t.Errorf("%+v", v)
	}
}
