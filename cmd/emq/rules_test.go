package main

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/imqueue/emq/dlq"
	"github.com/imqueue/emq/errclass"
	"github.com/imqueue/emq/tasks"
)

// ruleText is a sound file of rules, with one test that passes and one that fails.
const ruleText = `# own rules
rules:
  - id: coupon-used
    statuses: [409]
    contains: ["coupon * was used"]
    kinds: [call.raw]
    class: success
    why: The coupon is used already.
    advice: {en: Nothing to do., zh: 无需处理。}
  - id: bad-request
    statuses: [400]
    class: needs-human
    why: Our gateway is in the way.
    advice: Ask the network team.
tests:
  - name: coupon
    status: 409
    body: {error: conflict, error_description: coupon 12 was used}
    kind: call.raw
    expect: {class: success, rule: coupon-used}
  - name: gateway
    status: 400
    body: '<html>'
    expect: {class: permanent, rule: bad-request}
`

func rulesOf(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "rules.yaml")
	writeFile(t, path, text)
	return path
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// jsonNames are the JSON names of a struct's exported fields.
func jsonNames(of any) []string {
	var names []string
	for _, f := range reflect.VisibleFields(reflect.TypeOf(of)) {
		if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// TestRuleFieldsFollowErrclass: every column of a rule can be given in a file.
func TestRuleFieldsFollowErrclass(t *testing.T) {
	t.Parallel()
	if got, want := slices.Sorted(maps.Keys(ruleFields())), jsonNames(errclass.Rule{}); !slices.Equal(got, want) {
		t.Errorf("a rule's fields are %v, want %v", got, want)
	}
	if got, want := slices.Sorted(maps.Keys(testFields())), jsonNames(ruleTest{}); !slices.Equal(got, want) {
		t.Errorf("a test's fields are %v, want %v", got, want)
	}
}

// TestRulesFileCarriesAllColumns reads a rule that has every column.
func TestRulesFileCarriesAllColumns(t *testing.T) {
	t.Parallel()
	file, err := parseRules("rules.yaml", []byte(`
rules:
  - id: every-column
    statuses: [403, 5]
    errors: [forbidden_op, ""]
    contains:
      - one
      - |
        two
    kinds: ["group.*"]
    body: object
    fresh_token: true
    class: retryable
    scope: job
    delay: rate
    mend: split
    why: {en: why, zh: 为何}
    advice: advice
  - {id: lost, transports: [dns, tls], class: retryable, outcome_unknown: true, why: w, advice: a}
`))
	if err != nil {
		t.Fatal(err)
	}
	want := []errclass.Rule{{
		ID: "every-column", Statuses: []int{403, 5}, Errors: []string{"forbidden_op", ""}, Contains: []string{"one", "two\n"},
		Kinds: []string{"group.*"}, Body: errclass.BodyObject, FreshToken: true,
		Class: errclass.ClassRetryable, Scope: errclass.ScopeJob, Delay: errclass.DelayRate, Mend: errclass.MendSplit,
		Why: errclass.Text{En: "why", Zh: "为何"}, Advice: errclass.Text{En: "advice"},
	}, {
		ID: "lost", Transports: []errclass.Transport{errclass.TransportDNS, errclass.TransportTLS},
		Class: errclass.ClassRetryable, Scope: errclass.ScopeJob, Delay: errclass.DelayBackoff, OutcomeUnknown: true,
		Why: errclass.Text{En: "w"}, Advice: errclass.Text{En: "a"},
	}}
	if got := file.table.Rules()[:2]; !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestRulesFileFaults(t *testing.T) {
	t.Parallel()
	const tail = "\n    class: permanent\n    why: w\n    advice: a\n"
	for _, test := range []struct {
		name, text string
		want       []string // all lines, each by its beginning
	}{
		{"unknown keys", "rule: []\nrules:\n  - id: a\n    statuses: [400]\n    clss: permanent\n    why: w\n    advice: a\n", []string{
			`rules.yaml:1: "rule": a file of rules has rules and tests (did you mean rules?)`,
			`rules.yaml:5: rule 1: no field "clss" (did you mean class?)`,
		}},
		{"wrong types", "rules:\n  - 5\n  - id: a\n    statuses: 400\n    kinds: [[a]]\n    errors: [~]\n    fresh_token: yes please\n    delay:\n    advice: {fr: a}\n    why: *x\n", []string{
			`rules.yaml:2: rule 1: must be a list of "name: value"`,
			"rules.yaml:4: rule 2: statuses: must be a list of numbers",
			"rules.yaml:5: rule 2: kinds: must be a list of texts",
			"rules.yaml:6: rule 2: errors: must be a list of texts",
			"rules.yaml:7: rule 2: fresh_token: must be true or false",
			"rules.yaml:8: rule 2: delay: must be a text",
			"rules.yaml:9: rule 2: advice: must be a text, or {en: TEXT, zh: TEXT}",
			"rules.yaml:10: rule 2: why: must be a text, or {en: TEXT, zh: TEXT}",
		}},
		{"bad values", "rules:\n  - id: Big\n    statuses:\n      - 400\n      - 7\n    class: maybe\n    why: w\n  - statuses: [400]\n    contains: ['*']" + tail, []string{
			`rules.yaml:2: rule "Big": id: must be kebab-case`,
			`rules.yaml:2: rule "Big": no advice: must be given`,
			`rules.yaml:3: rule "Big": statuses: 7 is neither a status`,
			`rules.yaml:6: rule "Big": class: "maybe" must be one of`,
			"rules.yaml:8: rule 2: no id: must be kebab-case",
			`rules.yaml:9: rule 2: contains: "*" has no text to look for`,
		}},
		{"nothing to match, and an ID twice", "rules:\n  - id: a" + tail + "  - id: a\n    statuses: [400]" + tail, []string{
			`rules.yaml:2: rule "a": give at least one column to match`,
			`rules.yaml:6: rule "a": id: given twice`,
		}},
		{"a rule that can't match", "rules:\n  - id: a\n    statuses: [4]" + tail + "  - id: b\n    statuses: [404, 409]" + tail, []string{
			`rules.yaml:7: rule "b" can never match: rules before it always do: a`,
		}},
		{"tests", "rules: []\ntests:\n  - status: 9\n    expect: {class: success}\n  - expect: {class: success}\n  - status: 400\n  - status: 400\n    expect: {colour: red}\n  - status: 400\n    transport: dns\n    expect: {rule: a}\n  - status: 400\n    body: x\n    error: y\n    expect: {rule: a}\n  - transport: pigeon\n    expect: {rule: a}\n", []string{
			"rules.yaml:3: test 1: status 9: must be 100 to 599",
			"rules.yaml:5: test 2: give status, error, description, body or transport",
			"rules.yaml:6: test 3: expect: must say what is expected",
			"rules.yaml:8: test 4: expect: must be {class: TEXT",
			"rules.yaml:9: test 5: transport does not go with status",
			"rules.yaml:12: test 6: body does not go with error",
			`rules.yaml:16: test 7: transport "pigeon": must be one of`,
		}},
		{"expectations", "rules:\n  - id: own\n    statuses: [499]" + tail + "tests:\n  - status: 499\n    expect: {class: maybe}\n  - status: 499\n    expect:\n      scope: world\n  - status: 499\n    expect: {delay: later}\n", []string{
			`rules.yaml:9: test 1: expect: class "maybe": must be one of success, retryable, permanent, needs-human`,
			`rules.yaml:11: test 2: expect: scope "world": must be job or app`,
			`rules.yaml:14: test 3: expect: delay "later": must be one of backoff, rate, minute, token`,
		}},
		{"expected rules", "rules:\n  - id: own\n    statuses: [499]" + tail + "tests:\n  - status: 499\n    expect: {rule: owm}\n  - status: 400\n    expect: {rule: bad-request}\n  - status: 499\n    expect: {rule: own}\n  - status: 499\n    expect:\n      class: permanent\n      rule: nobody-has-it\n", []string{
			`rules.yaml:9: test 1: expect: rule "owm": no such rule (did you mean own?)`,
			`rules.yaml:15: test 4: expect: rule "nobody-has-it": no such rule`,
		}},
		{"what can't match", "rules:\n  - id: a\n    body: empty\n    contains: [short]" + tail + "  - id: b\n    body: other\n    errors: [forbidden_op]" + tail + "  - id: c\n    errors: ['forbidden_*']" + tail + "  - id: d\n    statuses: [499]\n    mend: split\n    class: success\n    why: w\n    advice: a\n", []string{
			`rules.yaml:4: rule "a": contains: can't match: a body that is "empty" has no text`,
			`rules.yaml:10: rule "b": errors: can't match: a body that is "other" has no error word`,
			`rules.yaml:15: rule "c": errors: "forbidden_*" is a whole error word: use contains for parts`,
			`rules.yaml:21: rule "d": mend: "split" does not go with class "success"`,
		}},
		{"a tab", "rules:\n  - id: a\n\tstatuses: [400]\n", []string{"rules.yaml:3: a tab: indent with spaces"}},
		{"a tab after a dash", "rules:\n  -\tid: a\n", []string{"rules.yaml:2: a tab: indent with spaces"}},
		{"a tab where one may be", "rules:\n  - id: a\n    why: |\n      x\n      \ty\n    advice: [\n", []string{"rules.yaml:6: not valid YAML: "}},
		{"no list", "rules: {id: a}\n", []string{"rules.yaml:1: rules: must be a list"}},
		{"no mapping", "- id: a\n", []string{"rules.yaml:1: the file: must be"}},
		{"no YAML", "rules: [\n", []string{"rules.yaml:1: not valid YAML: "}},
		{"a key twice", "rules:\n  - id: a\n    id: b\n", []string{"rules.yaml:3: not valid YAML: "}},
		{"nothing", "# rules\n", []string{`rules.yaml: has no rules; write "rules: []" if none are meant`}},
		{"two documents", "rules: []\n---\nrules: []\n", []string{"rules.yaml: must be one YAML document"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := parseRules("rules.yaml", []byte(test.text))
			if err == nil {
				t.Fatal("no error")
			}
			got := strings.Split(err.Error(), "\n")
			for i := range max(len(got), len(test.want)) {
				if i >= len(got) || i >= len(test.want) || !strings.HasPrefix(got[i], test.want[i]) {
					t.Fatalf("got\n%s\nwant\n%s", err, strings.Join(test.want, "\n"))
				}
			}
		})
	}
}

func TestRulesFileWarnings(t *testing.T) {
	t.Parallel()
	const tail = "\n    class: permanent\n    why: w\n    advice: a\n"
	for _, test := range []struct{ text, want string }{
		{"rules:\n  - id: a\n    statuses: [402]" + tail, `rules.yaml:2: warning: 1 builtin rule can no longer match, because rules before always do (a): payment-required`},
		{"rules:\n  - id: a\n    statuses: [4]" + tail, " and "},
		{"rules:\n  - id: a\n    statuses: [499]\n    kinds: [group.add_member]" + tail,
			`rules.yaml:4: warning: rule "a": this version of emq has no kind "group.add_member" (did you mean group.add_members?)`},
		{"rules:\n  - id: a\n    statuses: [499]\n    kinds: ['group.*', call.raw]" + tail, ""},
		{"rules:\n  - id: a\n    statuses: [499]\n    kinds: ['grp.*']" + tail,
			`rules.yaml:4: warning: rule "a": this version of emq has no kind "grp.*" (did you mean group.*?)`},
		{"rules:\n  - id: a\n    statuses: [499]\n    contains: ['user \\d+ is gone']" + tail,
			`rules.yaml:4: warning: rule "a": contains: "user \\d+ is gone": only *, ^ and $ are special; this is looked for as it is`},
		{"rules:\n  - id: a\n    statuses: [499]\n    contains: ['^user * is [] gone (really?)$']" + tail, ""},
		{"\ufeffrules:\n  - id: a\n    statuses: [499]" + tail, ""},
	} {
		file, err := parseRules("rules.yaml", []byte(test.text))
		if err != nil {
			t.Errorf("%s: %v", test.text, err)
			continue
		}
		if got := strings.Join(file.warnings, "\n"); !strings.Contains(got, test.want) || test.want == "" && got != "" {
			t.Errorf("%s: warnings %q, want %q", test.text, got, test.want)
		}
	}
}

func TestLooksLikeRegexp(t *testing.T) {
	t.Parallel()
	for fragment, want := range map[string]bool{
		`user \d+ is gone`: true, `\w`: true, `a\sb`: true, `v1\.2`: true, "user .* is gone": true, "a.+b": true, "one|two": true,
		"(?i)x": true, "user [a-": true, "[0-9": true,
		"^user * is [] gone (really?)$": false, "no such user. *": false, "1 + 1": false, "[]": false,
	} {
		if got := looksLikeRegexp(fragment); got != want {
			t.Errorf("%q: %v, want %v", fragment, got, want)
		}
	}
}

// TestRulesHelpIsSound checks and runs the example that the help shows.
func TestRulesHelpIsSound(t *testing.T) {
	t.Parallel()
	long := newRulesCmd(&env{}).Long
	begin, end := strings.Index(long, "  rules:\n"), strings.Index(long, "\nRules of the file")
	file, err := parseRules("help", []byte(long[begin:end]))
	if err != nil {
		t.Fatal(err)
	}
	if len(file.rules) == 0 || len(file.tests) == 0 || len(file.warnings) > 0 {
		t.Errorf("%d rules, %d tests, warnings %q", len(file.rules), len(file.tests), file.warnings)
	}
	for _, test := range file.tests {
		if failure := test.failure(file.table); failure != "" {
			t.Error(failure)
		}
	}
}

func TestRulesCommands(t *testing.T) {
	t.Parallel()
	sound := rulesOf(t, ruleText)
	faulty := rulesOf(t, "rules:\n  - id: a\n")
	broken := rulesOf(t, strings.Replace(ruleText, "was used\"]", "was used\", '^$']", 1))
	answers := filepath.Join(t.TempDir(), "answers.jsonl")
	writeFile(t, answers, `{"id":1,"status":400,"body_text":"<html>"}
{"id":"b","status":500}

{"id":3,"kind":"call.raw","status":409,"body":{"error":"x","error_description":"coupon 1 was used"}}
`)
	unread := filepath.Join(t.TempDir(), "unread.jsonl")
	writeFile(t, unread, `{"id":5,"stat":3}`+"\n"+`{"id":6,"kind":"call.raw"}`+"\n")
	for _, test := range []struct {
		args           string
		code           int
		stdout, stderr string
	}{
		{"rules check " + sound, exitDone, "ok: 2 rules\n", ""},
		{"rules check " + faulty, exitUsage, "", `:2: rule "a": give at least one column to match`},
		{"rules check " + faulty, exitUsage, "", "4 errors"},
		{"rules check " + broken, exitUsage, "", ":5: rule \"coupon-used\": contains: "},
		{"rules check /absent.yaml", exitUsage, "", "emq: rules file: open /absent.yaml: no such file"},
		{"rules check " + t.TempDir(), exitUsage, "", "is a directory"},
		{"rules check", exitUsage, "", "give a file of rules, or set one with EMQ_RULES"},
		{"rules check a b", exitUsage, "", "unexpected argument \"b\": only one FILE is taken"},
		{"rules chek", exitUsage, "", "did you mean check?"},
		{"rules test " + sound, exitFailed, "", ":21: gateway: want class permanent; got class needs-human, scope job, rule bad-request\nemq: 1 of 2 tests failed\n"},
		{"rules test " + rulesOf(t, strings.Replace(ruleText, "permanent, rule", "needs-human, rule", 1)), exitDone, "ok: 2 tests\n", ""},
		{"rules test " + rulesOf(t, "rules: []"), exitDone, "ok: 0 tests\n", "has no tests"},
		{"rules test " + sound + " --status 400", exitDone, "builtin\tclass permanent, scope job, rule bad-request\nfile\tclass needs-human, scope job, rule bad-request\n", ""},
		{"rules test " + sound + " --kind call.raw", exitUsage, "", "give --status"},
		{"rules test " + sound + " -f x --status 400", exitUsage, "", "either from flags or from --file"},
		{"rules test " + sound + " --json", exitUsage, "", "--json goes with --file"},
		{"rules test " + sound + " -f /absent.jsonl", exitUsage, "", "/absent.jsonl: no such file"},
		{"rules test " + sound + " -f " + answers, exitDone, "line\tid\tbuiltin\tfile\n1\t1\tclass permanent", "3 answers, 2 judged differently\n"},
		{"rules test " + sound + " --json -f " + answers, exitDone, `{"id":3,"line":4,"builtin":{"class":"retryable","scope":"job","rule":"conflict","delay":"backoff"},"file":{"class":"success","scope":"job","rule":"coupon-used"}}`, ""},
		{"rules test " + sound + " -f -", exitFailed, "1\t\"in\"", "line 2: not a JSON object"},
		{"rules test " + sound + " -f " + unread, exitFailed, "", "line 1: stat: no such field here"},
		{"rules test " + sound + " -f " + unread, exitFailed, "", "line 2: give status, body, body_text or transport\n0 answers,"},
		{"rules list", exitDone, "payment-required\tbuiltin\tneeds-human\tjob\t\tstatus 402\t", ""},
		{"rules list", exitDone, "\nunknown\tbuiltin\tretryable\tjob\tbackoff\teverything\t", ""},
		{"rules list --lang zh", exitDone, "没有规则能识别该应答", ""},
		{"rules list --rules " + sound, exitDone, "why\ncoupon-used\tfile\tsuccess\tjob\t\tstatus 409; text \"coupon * was used\"; kind call.raw\tThe coupon", ""},
		{"rules list --rules " + sound, exitDone, "\nbad-request\tfile\tneeds-human\t", ""},
		{"rules list --json --rules " + sound, exitDone, `{"from":"file","id":"coupon-used","statuses":[409],"contains":`, ""},
		{"rules list --rules " + faulty, exitUsage, "", "no class: "},
		{"explain --status 400 --body x --rules " + sound, exitDone, "class\tneeds-human\n", ""},
		{"explain --status 400 --body x --rules " + faulty, exitUsage, "", "no class: "},
		{"dev --rules " + faulty, exitUsage, "", "no class: "},
		{"worker --rules " + faulty, exitUsage, "", "no class: "}, // before it looks for its app, or Redis
	} {
		e := newTestEnv(t, "{\"id\":\"in\",\"status\":400}\nbroken\n")
		e.run(t, test.code, strings.Fields(test.args)...)
		if !strings.Contains(e.stdout.String(), test.stdout) || !strings.Contains(e.stderr.String(), test.stderr) {
			t.Errorf("emq %s:\nstdout %s\nstderr %s\nwant %q, %q", test.args, e.stdout, e.stderr, test.stdout, test.stderr)
		}
	}
}

// TestExplainLinesByOwnRules: standard input is judged by the same table.
func TestExplainLinesByOwnRules(t *testing.T) {
	t.Parallel()
	e := newTestEnv(t, `{"id":1,"status":400}`, "EMQ_RULES="+rulesOf(t, ruleText))
	e.run(t, exitDone, "explain", "-")
	if !strings.Contains(e.stdout.String(), `{"id":1,"class":"needs-human"`) {
		t.Error(e.stdout)
	}
}

// TestRulesUnknownHelpIsSound holds what it says of answers that no rule knows
// against the rules.
func TestRulesUnknownHelpIsSound(t *testing.T) {
	t.Parallel()
	if long := newRulesUnknownCmd(&env{}).Long; !strings.Contains(long, "after a 503 the task is tried again, after a 451 it is a dead\nletter at once") {
		t.Fatal(long)
	}
	for status, want := range map[int]errclass.Class{503: errclass.ClassRetryable, 451: errclass.ClassPermanent} {
		v := errclass.Classify(errclass.Evidence{Status: status, Body: []byte(`{"error":"nobody_knows"}`)})
		if !v.Unknown || v.Class != want {
			t.Errorf("%d: %+v", status, v)
		}
	}
}

// TestFollowRules sends signals to the loop that a worker runs: a sound file is
// taken over, a faulty one is not.
func TestFollowRules(t *testing.T) {
	t.Parallel()
	path := rulesOf(t, ruleText)
	signals, tables, log := make(chan os.Signal), make(chan *errclass.Table, 1), make(logLines, 1)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		followRules(ctx, signals, path, func(t *errclass.Table) { tables <- t }, slog.New(slog.NewTextHandler(log, nil)))
	}()
	for _, step := range []struct{ text, rule, log string }{
		{ruleText, "bad-request", `msg="rules read again" file=` + path + " rules=2"},
		{"rules:\n  - {id: a, class: success, why: w, advice: a}\n", "", `msg="rules are not changed" error="` + path + `:2: rule \"a\": give at least one column`},
		{"", "", "has no rules"},
		{"rules:\n  - {id: a, statuses: [400], class: success, why: w, advice: a}\n", "a", `msg="rules read again" file=` + path + " rules=1"},
	} {
		writeFile(t, path, step.text)
		signals <- syscall.SIGHUP
		if step.rule != "" {
			if v := (<-tables).Classify(errclass.Evidence{Status: 400}); v.Rule != step.rule {
				t.Errorf("judged by %s, want %s", v.Rule, step.rule)
			}
		}
		line := <-log
		for strings.Contains(line, "level=WARN") { // builtin rules that are hidden
			line = <-log
		}
		if !strings.Contains(line, step.log) {
			t.Errorf("logged %s, want %s", line, step.log)
		}
	}
	cancel()
	<-done
	if len(tables) > 0 {
		t.Error("a faulty file was taken over")
	}
}

// logLines receives what a logger writes, line by line.
type logLines chan string

func (l logLines) Write(line []byte) (int, error) {
	l <- string(line)
	return len(line), nil
}

func TestRulesUnknown(t *testing.T) {
	t.Parallel()
	e := onRedis(t, "")
	note(t, e, dlq.Unknown{App: "shop", Kind: "group.create", Status: 418, Error: "teapot", Description: "pot 5 is short", Task: "t1"})
	for i := range 3 {
		note(t, e, dlq.Unknown{App: "default", Kind: "call.raw", Status: 499, Error: "odd", Description: fmt.Sprintf("door [%d] is stout", i), Task: fmt.Sprint("d", i)})
	}
	for _, test := range []struct {
		args   string
		code   int
		stdout string
	}{
		{"rules unknown", exitDone, "3\t"},
		{"rules unknown", exitDone, "\tdefault\tcall.raw\t499\todd\td2\tdoor [2] is stout\n1\t"},
		{"rules unknown --app shop", exitDone, "\tshop\tgroup.create\t418\tteapot\tt1\tpot 5 is short\n"},
		{"rules unknown --json", exitDone, `{"app":"default","kind":"call.raw","status":499,"error":"odd","description":"door [2] is stout"`},
		{"rules unknown --app Shop", exitUsage, ""},
		{"rules unknown --json --forget", exitUsage, ""},
		{"rules unknown --app shop --forget", exitDone, "forgot 1 group of shop\n"},
		{"rules unknown --forget", exitDone, "forgot 1 group of default\n"},
		{"rules unknown --forget", exitDone, "forgot 0 groups of default\n"},
		{"rules unknown --json", exitDone, ""},
	} {
		e = e.again("")
		e.run(t, test.code, strings.Fields(test.args)...)
		if !strings.Contains(e.stdout.String(), test.stdout) {
			t.Errorf("emq %s: %s, want %q", test.args, e.stdout, test.stdout)
		}
	}
}

// TestDraftMatches: the rule that `emq rules unknown` proposes is sound and
// matches what it was made from.
func TestDraftMatches(t *testing.T) {
	t.Parallel()
	for _, u := range []dlq.Unknown{
		{Kind: "call.raw", Status: 499, Error: "odd", Description: "door [1,2] of house 5 is stout"},
		{Kind: "call.raw", Status: 499, Error: `quo"ted: # word`, Description: "users [a, b] aren't \"here\"\nnor there"},
		{Kind: "call.raw", Status: 499, Error: "odd"},
		{Status: 499, Description: "*"},
		{Status: 499},
	} {
		file, err := parseRules("draft", []byte(draft(u)))
		if err != nil {
			t.Errorf("%s\n%v", draft(u), err)
			continue
		}
		a := answer{status: u.Status, hasStatus: true, err: u.Error, description: u.Description, hasError: true, kind: string(u.Kind)}
		evidence, err := a.evidence("")
		if err != nil {
			t.Fatal(err)
		}
		if v := file.table.Classify(evidence); v.Rule != "my-rule" {
			t.Errorf("judged by %s, not by\n%s", v.Rule, draft(u))
		}
	}
}

// TestDraftIsShownToPeople: it does not get into a pipe.
func TestDraftIsShownToPeople(t *testing.T) {
	t.Parallel()
	e := onRedis(t, "")
	note(t, e, dlq.Unknown{App: "default", Kind: "call.raw", Status: 499, Error: "odd", Description: "door 5 is stout", Task: "t"})
	for _, tty := range []bool{false, true} {
		e = e.again("")
		e.outTTY = tty
		e.run(t, exitDone, "rules", "unknown")
		if strings.Contains(e.stderr.String(), "contains: [\"door * is stout\"]") != tty {
			t.Errorf("terminal %v: %s", tty, e.stderr)
		}
	}
}

// note notes an unknown answer, as a worker would.
func note(t *testing.T, e testEnv, u dlq.Unknown) {
	t.Helper()
	cmd := newQueueListCmd(e.env)
	cmd.SetContext(t.Context())
	b, err := e.open(cmd)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.redis.SAdd(t.Context(), tasks.AppsKey, u.App).Err(); err != nil { // as the enqueue did
		t.Fatal(err)
	}
	if err := b.store.NoteUnknown(t.Context(), u); err != nil {
		t.Fatal(err)
	}
}

// FuzzRules: whatever a file holds, it is read or refused with a reason; a worker
// that reads it again must not end by it.
func FuzzRules(f *testing.F) {
	f.Add([]byte(ruleText))
	f.Add([]byte("rules:\n  - {id: a, statuses: [404], class: permanent, why: w, advice: {en: a}}\n  - &x [*x]\n"))
	f.Add([]byte("rules: [!!str 5, |\n  a\n]\n---\ntests:\n- ? a\n  : b"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if file, err := parseRules("rules.yaml", raw); err != nil && err.Error() == "" || err == nil && file.table == nil {
			t.Errorf("file %+v, error %v", file, err)
		}
	})
}

// TestCheckRules: what the page says of a file of rules is what the commands say.
func TestCheckRules(t *testing.T) {
	t.Parallel()
	sound := "rules:\n  - id: x\n    statuses: [499]\n    class: success\n    why: a\n    advice: b\n"
	check, table := checkRules([]byte(sound + "tests:\n  - {name: odd, status: 499, expect: {class: permanent}}\n"))
	if table == nil || check.Rules != 1 || check.Tests != 1 || len(check.Faults) != 0 || len(check.Failed) != 1 ||
		check.Failed[0] != "rules:8: odd: want class permanent; got class success, scope job, rule x" {
		t.Errorf("%+v", check)
	}
	check, table = checkRules([]byte(sound + "    scoop: job\n"))
	if table != nil || len(check.Faults) != 1 || !strings.HasPrefix(check.Faults[0], "rules:7: ") {
		t.Errorf("%+v", check)
	}
}
