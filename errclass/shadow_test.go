package errclass

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestNothingIsShadowed(t *testing.T) {
	t.Parallel()
	if shadows := Default().Shadowed(); len(shadows) > 0 {
		t.Errorf("rows that can never match: %+v", shadows)
	}
}

func TestShadowed(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		first, later Rule
		hidden       bool
	}{
		"same":                  {Rule{Statuses: []int{418}}, Rule{Statuses: []int{418}}, true},
		"narrower status":       {Rule{Statuses: []int{4}}, Rule{Statuses: []int{404, 418}}, true},
		"wider status":          {Rule{Statuses: []int{404}}, Rule{Statuses: []int{4}}, false},
		"one status more":       {Rule{Statuses: []int{404}}, Rule{Statuses: []int{404, 405}}, false},
		"more columns":          {Rule{Statuses: []int{418}}, Rule{Statuses: []int{418}, Kinds: []string{"user.delete"}, Body: BodyObject, FreshToken: true}, true},
		"fewer columns":         {Rule{Statuses: []int{418}, Kinds: []string{"user.delete"}}, Rule{Statuses: []int{418}}, false},
		"kind of a family":      {Rule{Kinds: []string{"user.*"}}, Rule{Kinds: []string{"user.delete", "user.*"}}, true},
		"family of a kind":      {Rule{Kinds: []string{"user.delete"}}, Rule{Kinds: []string{"user.*"}}, false},
		"longer fragment":       {Rule{Contains: []string{"tea"}}, Rule{Contains: []string{"Hot  TEA", "^tea*cold$"}}, true},
		"shorter fragment":      {Rule{Contains: []string{"hot tea"}}, Rule{Contains: []string{"tea"}}, false},
		"anchored":              {Rule{Contains: []string{"^tea"}}, Rule{Contains: []string{"tea"}}, false},
		"unanchored":            {Rule{Contains: []string{"tea"}}, Rule{Contains: []string{"^tea$"}}, true},
		"gap":                   {Rule{Contains: []string{"a*c"}}, Rule{Contains: []string{"ab*bc"}}, true},
		"another gap":           {Rule{Contains: []string{"abbc"}}, Rule{Contains: []string{"ab*bc"}}, false},
		"word by word":          {Rule{Errors: []string{"Bad Request"}}, Rule{Errors: []string{"java.lang.BadRequestException"}}, true},
		"word by fragment":      {Rule{Contains: []string{"^teapot:"}}, Rule{Errors: []string{"TEAPOT"}, Contains: []string{"cold"}}, true},
		"fragment by word":      {Rule{Errors: []string{"teapot"}}, Rule{Contains: []string{"^teapot: cold"}}, true},
		"fragment of any word":  {Rule{Errors: []string{"teapot"}}, Rule{Contains: []string{"teapot: cold"}}, false},
		"body of a word":        {Rule{Body: BodyObject, Errors: []string{"teapot"}}, Rule{Errors: []string{"teapot"}}, true},
		"body":                  {Rule{Body: BodyObject, Statuses: []int{418}}, Rule{Statuses: []int{418}}, false},
		"fresh token":           {Rule{Statuses: []int{401}, FreshToken: true}, Rule{Statuses: []int{401}}, false},
		"transport":             {Rule{Transports: []Transport{TransportDNS, TransportTLS}}, Rule{Transports: []Transport{TransportTLS}}, true},
		"answer, not transport": {Rule{Kinds: []string{"user.*"}}, Rule{Transports: []Transport{TransportDNS}, Kinds: []string{"user.delete"}}, false},
		"transport, not answer": {Rule{Transports: []Transport{TransportDNS}}, Rule{Statuses: []int{418}}, false},
	} {
		table := newTable([]Rule{c.first, c.later})
		table.rows[0].ID, table.rows[1].ID = "first", "later"
		shadows := table.Shadowed()
		if got := len(shadows) == 1 && shadows[0] == (Shadow{Rule: "later", By: "first"}); got != c.hidden || len(shadows) > 1 {
			t.Errorf("%s: %+v, want hidden %v", name, shadows, c.hidden)
		}
	}

	// Several rows together.
	table := newTable([]Rule{{ID: "a", Statuses: []int{400}}, {ID: "b", Statuses: []int{404}}, {ID: "c", Statuses: []int{404, 400}, Errors: []string{"x", "y"}}})
	if shadows := table.Shadowed(); !slices.Equal(shadows, []Shadow{{"c", "b, a"}}) {
		t.Errorf("together: %+v", shadows)
	}

	// An operator's row in front of the builtin ones.
	why := Text{En: "Because."}
	mine := []Rule{
		{ID: "mine", Statuses: []int{409}, Class: ClassPermanent, Why: why, Advice: why},
		{ID: "mine-too", Statuses: []int{409}, Kinds: []string{"group.*"}, Class: ClassPermanent, Why: why, Advice: why},
	}
	extended, err := Default().Extend(mine)
	if err != nil {
		t.Fatal(err)
	}
	if shadows := extended.Shadowed(); !slices.Equal(shadows, []Shadow{{"mine-too", "mine"}, {"conflict", "mine"}}) {
		t.Errorf("extended: %+v", shadows)
	}
}

// TestShadowedIsCertain: no case of the corpus is judged by a row that the table,
// with any one row moved to the front, calls unreachable.
func TestShadowedIsCertain(t *testing.T) {
	t.Parallel()
	rules := builtinRules()
	cases := goldenCases(t)
	for i := range rules {
		if rules[i].ID == RuleUnknown {
			continue
		}
		moved := slices.Concat([]Rule{rules[i]}, rules[:i], rules[i+1:])
		table := newTable(moved)
		unreachable := map[string]bool{}
		for _, s := range table.Shadowed() {
			unreachable[s.Rule] = true
		}
		if len(unreachable) == 0 {
			continue
		}
		for _, c := range cases {
			if c.Status/100 == family2xx || strings.HasPrefix(c.file, "varied") {
				continue // judged without a status; or would take long, and add little
			}
			if v := table.Classify(c.evidence()); unreachable[v.Rule] {
				t.Fatalf("%s: %s matches, though it is called unreachable behind %s", c.where, v.Rule, rules[i].ID)
			}
		}
	}
}

// TestRuleErrors: a caller can name the row and its field.
func TestRuleErrors(t *testing.T) {
	t.Parallel()
	why := Text{En: "Because."}
	_, err := Default().Extend([]Rule{
		{ID: "good", Statuses: []int{418}, Class: ClassPermanent, Why: why, Advice: why},
		{ID: "Bad", Statuses: []int{6}, Class: ClassPermanent, Why: why, Advice: why},
		{ID: "all", Class: ClassPermanent, Why: why, Advice: why},
	})
	list, ok := err.(interface{ Unwrap() []error })
	if !ok {
		t.Fatalf("%T is no list", err)
	}
	var got []string
	for _, e := range list.Unwrap() {
		var r *RuleError
		if !errors.As(e, &r) || r.Unwrap() == nil {
			t.Fatalf("%T: %v", e, e)
		}
		got = append(got, strings.Join([]string{string(rune('0' + r.Index)), r.ID, r.Field}, " "))
	}
	if !slices.Equal(got, []string{"1 Bad id", "1 Bad statuses", "2 all "}) {
		t.Errorf("errors: %q", got)
	}
	if want := `rule 2 ("Bad"): statuses: 6 is neither a status`; !strings.Contains(err.Error(), want) {
		t.Errorf("%v, want %q in it", err, want)
	}
}

// TestFragmentsThatCanNotMatch are refused with a hint.
func TestFragmentsThatCanNotMatch(t *testing.T) {
	t.Parallel()
	why := Text{En: "Because."}
	for fragment, want := range map[string]string{
		"users [u1] are not": `write "[]"`,
		"^Bad Request: x":    `write "^bad_request:"`,
		"^IllegalArgument:":  `write "^illegal_argument:"`,
	} {
		_, err := Default().Extend([]Rule{{ID: "mine", Contains: []string{fragment}, Class: ClassPermanent, Why: why, Advice: why}})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", fragment, err, want)
		}
	}
	for _, fragment := range []string{"users [] are not", "^bad_request: x", "^:$", "Tea", "^a*: b", "[Source"} {
		if _, err := Default().Extend([]Rule{{ID: "mine", Contains: []string{fragment}, Class: ClassPermanent, Why: why, Advice: why}}); err != nil {
			t.Errorf("%q: %v", fragment, err)
		}
	}
}
