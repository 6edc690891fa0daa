package errclass

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A goldenCase is one line of testdata/*.jsonl: an answer and the judgement that
// it must get, with the reason. Either the fields of the usual error body are
// given, or a raw body. Which row gives the judgement stands in verdicts.golden.
type goldenCase struct {
	Status      int      `json:"status"`
	Error       string   `json:"error"`
	Description string   `json:"description"`
	Body        *string  `json:"body"`
	Kind        string   `json:"kind"`
	Targets     []string `json:"targets"`
	FreshToken  bool     `json:"fresh_token"`
	Want        struct {
		Class          Class            `json:"class"`
		Scope          Scope            `json:"scope"`
		Delay          Delay            `json:"delay"`
		OutcomeUnknown bool             `json:"outcome_unknown"`
		Mend           Mend             `json:"mend"`
		Named          []string         `json:"named"`
		Failed         map[string]Class `json:"failed"`
	} `json:"want"`
	Because string `json:"because"`

	file  string
	where string // file and line
}

func (c goldenCase) evidence() Evidence {
	e := Evidence{Kind: c.Kind, Attempt: 1, Status: c.Status, Written: true, FreshToken: c.FreshToken, Targets: c.Targets}
	if c.Body != nil {
		e.Body = []byte(*c.Body)
	} else {
		e.Body = errorBody(c.Error, c.Description, "java.lang.Exception")
	}
	return e
}

// errorBody is the body that most services send.
func errorBody(word, description, exception string) []byte {
	body, err := json.Marshal(map[string]any{
		"error": word, "exception": exception, "error_description": description,
		"timestamp": 1557402657886, "duration": 0,
	})
	if err != nil {
		panic(err)
	}
	return body
}

// goldenCases reads all files of testdata.
func goldenCases(t testing.TB) []goldenCase {
	t.Helper()
	files, err := filepath.Glob("testdata/*.jsonl")
	if err != nil || len(files) < 4 {
		t.Fatalf("golden files: %v, %v", files, err)
	}
	var cases []goldenCase
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(bytes.NewReader(raw))
		for n := 1; lines.Scan(); n++ {
			c := goldenCase{file: filepath.Base(file), where: fmt.Sprintf("%s:%d", filepath.Base(file), n)}
			dec := json.NewDecoder(bytes.NewReader(lines.Bytes()))
			dec.DisallowUnknownFields()
			if err := dec.Decode(&c); err != nil {
				t.Fatalf("%s: %v", c.where, err)
			}
			if c.Because == "" {
				t.Errorf("%s: no reason given", c.where)
			}
			cases = append(cases, c)
		}
	}
	return cases
}

// check compares a verdict with the one wanted. A file that says nothing of scope
// and delay (varied.jsonl) is held to the class.
func (c goldenCase) check(t *testing.T, what string, v Verdict) {
	t.Helper()
	w := c.Want
	ok := v.Class == w.Class
	if w.Scope != "" {
		ok = ok && v.Scope == w.Scope && v.Delay == w.Delay && v.OutcomeUnknown == w.OutcomeUnknown
	}
	if len(c.Targets) > 0 {
		ok = ok && v.Mend == w.Mend && slices.Equal(v.Named, w.Named)
	}
	failed := map[string]Class{}
	for _, f := range v.Failed {
		failed[f.Target] = f.Class
	}
	if w.Failed != nil {
		ok = ok && maps.Equal(failed, w.Failed)
	}
	if !ok {
		t.Errorf("%s%s: %d %q %q kind %q\n got %s/%s %s delay %q unknown %v mend %q %v failed %v\nwant %+v\nbecause %s",
			c.where, what, c.Status, v.Error, v.Description, c.Kind,
			v.Class, v.Scope, v.Rule, v.Delay, v.OutcomeUnknown, v.Mend, v.Named, failed, w, c.Because)
	}
}

func TestGolden(t *testing.T) {
	t.Parallel()
	for _, c := range goldenCases(t) {
		v := Classify(c.evidence())
		c.check(t, "", v)
		if v.Status != c.Status {
			t.Errorf("%s: status %d became %d", c.where, c.Status, v.Status)
		}
	}
}

var update = flag.Bool("update", false, "write testdata/verdicts.golden anew")

// TestVerdicts holds every verdict against testdata/verdicts.golden, one line an
// answer, so that the diff of a change to the rules shows what it changes. It is
// written anew with
//
//	go test ./errclass -run TestVerdicts -update
//
// which never touches the judgements in *.jsonl.
func TestVerdicts(t *testing.T) {
	t.Parallel()
	const golden = "testdata/verdicts.golden"
	var b strings.Builder
	file := ""
	for _, c := range goldenCases(t) {
		if c.file != file {
			file = c.file
			fmt.Fprintf(&b, "# %s\n", file)
		}
		fmt.Fprintln(&b, c.line())
	}
	if *update {
		if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	raw, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	got, want := strings.Split(b.String(), "\n"), strings.Split(string(raw), "\n")
	for _, line := range minus(want, got) {
		t.Errorf("- %s", line)
	}
	for _, line := range minus(got, want) {
		t.Errorf("+ %s", line)
	}
}

// line is what verdicts.golden says of a case.
func (c goldenCase) line() string {
	v := Classify(c.evidence())
	text := strconv.Quote(c.Description)
	if c.Body != nil {
		text = strconv.Quote(clip(strings.Join(strings.Fields(*c.Body), " "), 160))
	}
	line := fmt.Sprintf("%d %s %s %s", c.Status, cmp.Or(c.Error, "-"), text, cmp.Or(c.Kind, "-"))
	if c.FreshToken {
		line += " fresh-token"
	}
	if len(c.Targets) > 0 {
		line += fmt.Sprintf(" for %d", len(c.Targets))
	}
	line += fmt.Sprintf(" => %s %s %s", v.Class, v.Scope, v.Rule)
	if v.Delay != DelayNone {
		line += " delay=" + string(v.Delay)
	}
	if v.OutcomeUnknown {
		line += " unknown"
	}
	if v.Mend != MendNone {
		line += fmt.Sprintf(" mend=%s%q", v.Mend, v.Named)
	}
	for _, f := range v.Failed {
		line += fmt.Sprintf(" [%s: %s %s]", f.Target, f.Class, f.Rule)
	}
	return line
}

// minus returns the lines of a that b does not have.
func minus(a, b []string) []string {
	count := map[string]int{}
	for _, line := range b {
		count[line]++
	}
	var rest []string
	for _, line := range a {
		if count[line]--; count[line] < 0 {
			rest = append(rest, line)
		}
	}
	return rest
}

// TestEveryRuleIsReached proves that no row is shadowed by one before it.
func TestEveryRuleIsReached(t *testing.T) {
	t.Parallel()
	reached := map[string]bool{}
	for _, c := range goldenCases(t) {
		reached[Classify(c.evidence()).Rule] = true
	}
	for _, failure := range Transports() {
		reached[Classify(Evidence{Transport: failure}).Rule] = true
	}
	reached[Classify(Evidence{}).Rule] = true
	for _, r := range Default().Rules() {
		if !reached[r.ID] {
			t.Errorf("no case reaches rule %q", r.ID)
		}
	}
}

// TestVariations changes what must not matter: the verdict stays.
func TestVariations(t *testing.T) {
	t.Parallel()
	variations := map[string]func(word, description string) (string, string){
		"upper case":       func(w, d string) (string, string) { return strings.ToUpper(w), strings.ToUpper(d) },
		"trailing newline": func(w, d string) (string, string) { return w, d + "\n" },
		"trailing comma":   func(w, d string) (string, string) { return w + " ", d + " ," },
		"more space":       func(w, d string) (string, string) { return " " + w, "\t" + strings.ReplaceAll(d, " ", "  \n ") },
		"no-break space":   func(w, d string) (string, string) { return w, strings.ReplaceAll(d, " ", "\u00a0") },
		"curly quotes":     func(w, d string) (string, string) { return w, strings.ReplaceAll(d, "'", "’") },
		"straight quotes": func(w, d string) (string, string) {
			return w, strings.NewReplacer("’", "'", "‘", "'", "“", `"`, "”", `"`).Replace(d)
		},
		"full-width marks": func(w, d string) (string, string) {
			return w, strings.NewReplacer(":", "：", ",", "，", "!", "！").Replace(d)
		},
		"other ids": func(w, d string) (string, string) {
			return w, strings.NewReplacer("u7", "a.b_c-9", "4065", "281475", "hxtest1", "already", "zhang", "not_found").Replace(d)
		},
		"dashes in the word": func(w, d string) (string, string) { return strings.ReplaceAll(w, "_", "-"), d },
		"exception's name": func(w, d string) (string, string) {
			if w == "" || strings.Contains(w, " ") {
				return w, d
			}
			var camel strings.Builder
			camel.WriteString("com.easemob.exceptions.")
			for _, part := range strings.Split(strings.ToLower(strings.TrimSuffix(w, "Exception")), "_") {
				if part != "" {
					camel.WriteString(strings.ToUpper(part[:1]) + part[1:])
				}
			}
			return camel.String() + "Exception", d
		},
	}
	for name, vary := range variations {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := 0
			for _, c := range goldenCases(t) {
				if c.Body != nil || c.Error == "-" || c.Description == "" {
					continue
				}
				if camel := !strings.EqualFold(canonical(c.Error), c.Error) && !strings.ContainsAny(c.Error, " -"); camel && name == "upper case" || name == "exception's name" && strings.ToLower(c.Error) != c.Error {
					continue // the words of such a name can't be told apart any more, or it is one already
				}
				e := c.evidence()
				word, description := vary(c.Error, c.Description)
				e.Body = errorBody(word, description, "org.apache.usergrid.rest.exceptions.SecurityException")
				c.check(t, " "+name, Classify(e))
				n++
			}
			if n < 200 {
				t.Errorf("only %d cases were varied", n)
			}
		})
	}
}

// TestExceptionIsIgnored swaps the exception for the one of another fault.
func TestExceptionIsIgnored(t *testing.T) {
	t.Parallel()
	for _, exception := range []string{"", "reach_limit", "resource_limited", "users [u] are not members of this group!", "already in group"} {
		v := Classify(Evidence{Kind: "group.add_members", Status: 403, Body: errorBody("group_name_violation", "x is violation", exception)})
		if v.Rule != "content-violation" {
			t.Errorf("exception %q: rule %s", exception, v.Rule)
		}
	}
}

// TestTransports covers every failure, for calls that were written and not.
func TestTransports(t *testing.T) {
	t.Parallel()
	rules := map[string]bool{}
	for _, failure := range append(Transports(), "something_new") {
		for _, written := range []bool{false, true} {
			for _, kind := range []string{"", "message.send", "group.delete"} {
				v := Classify(Evidence{Kind: kind, Transport: failure, Written: written})
				if v.Class != ClassRetryable || v.Scope != ScopeJob || v.Delay != DelayBackoff || v.OutcomeUnknown != written {
					t.Errorf("%s written %v: %+v", failure, written, v)
				}
				rules[v.Rule] = true
			}
		}
	}
	if len(rules) != len(Transports()) {
		t.Errorf("%d failures are told apart by %d rules", len(Transports()), len(rules))
	}
	// The connection broke while the answer was read: its status must not count.
	v := Classify(Evidence{Kind: "message.send", Status: 200, Body: []byte(`{"data":`), Transport: TransportConnectionReset})
	if v.Rule != "connection-reset" || !v.OutcomeUnknown || v.Status != 200 {
		t.Errorf("broken answer: %+v", v)
	}
}

func TestUnknownEvidence(t *testing.T) {
	t.Parallel()
	for _, status := range []int{4, 99, 100, 101, 600, 999, -1, 40000} {
		v := Classify(Evidence{Status: status, Kind: "group.add_members", Body: errorBody("forbidden_op", "already in group", "")})
		if v.Rule != RuleUnknown || v.Class != ClassRetryable || v.Delay != DelayBackoff || v.Status != status {
			t.Errorf("status %d: %+v", status, v)
		}
	}
	for body, rule := range map[string]string{
		`{}`: RuleUnknown, `{"data":{}}`: RuleUnknown, `{"error":"odd"}`: RuleUnknown, `<html>`: RuleUnknown, ``: RuleUnknown,
		`{"error":"forbidden_op","error_description":"user: u already in group: 1"}`: "already-member",
		`{"error":"reach_limit"}`:  "rate-limit",
		`{"error":"unauthorized"}`: "unauthorized",
		`{"error":"message_send_error","error_description":"stream message chunk interval timeout"}`: "message-refused",
	} {
		if v := Classify(Evidence{Kind: "group.add_members", Body: []byte(body)}); v.Rule != rule {
			t.Errorf("%s without a status: %s, want %s", body, v.Rule, rule)
		}
	}
	if v := Classify(Evidence{}); v.OutcomeUnknown {
		t.Error("nothing was written, yet the outcome is unknown")
	}
	if v := Classify(Evidence{Written: true}); !v.OutcomeUnknown {
		t.Error("written and not answered, yet the outcome is known")
	}
}

// TestSuccessNeedsProof: for unknown kinds and raw calls no refusal is a success.
func TestSuccessNeedsProof(t *testing.T) {
	t.Parallel()
	for _, c := range goldenCases(t) {
		if c.Status/100 == 2 {
			continue
		}
		for _, kind := range []string{"", "call.raw", "group.", "group", "GROUP.ADD_MEMBERS", "user.delete2", "x.delete"} {
			e := c.evidence()
			e.Kind = kind
			if v := Classify(e); v.Class == ClassSuccess && v.Rule != "already-reacted" { // its text proves the call
				t.Errorf("%s as kind %q: %s", c.where, kind, v.Rule)
			}
		}
		// And for every kind, only what is Easemob's own JSON.
		e := c.evidence()
		e.Body = append([]byte("<p>"), e.Body...)
		if v := Classify(e); v.Class == ClassSuccess || v.Class == ClassNeedsHuman && v.Scope == ScopeApp && v.Rule != "proxy-refused" && v.Rule != "redirect" && !strings.HasSuffix(v.Rule, "-again") {
			t.Errorf("%s as HTML: %s", c.where, v.Rule)
		}
	}
}

func TestClassifyIsPure(t *testing.T) {
	t.Parallel()
	anew := newTable(builtinRules())
	for _, c := range goldenCases(t) {
		e := c.evidence()
		body := bytes.Clone(e.Body)
		first := Classify(e)
		for _, attempt := range []int{0, 1, 2, 1 << 30, -1} {
			e.Attempt = attempt
			if again := Classify(e); !reflect.DeepEqual(again, first) {
				t.Fatalf("%s: attempt %d: %+v, before %+v", c.where, attempt, again, first)
			}
		}
		if !bytes.Equal(body, e.Body) {
			t.Fatalf("%s: the body was changed", c.where)
		}
		if fresh := anew.Classify(c.evidence()); !reflect.DeepEqual(fresh, first) {
			t.Fatalf("%s: a table built anew judges otherwise: %+v", c.where, fresh)
		}
	}
}

// TestKinds: rows that name kinds must name ones that exist.
func TestKinds(t *testing.T) {
	t.Parallel()
	var known []string
	for _, verb := range strings.Fields("create update delete transfer_owner add_members remove_members add_admin remove_admin mute_members unmute_members mute_all unmute_all block_members unblock_members allow_members disallow_members set_announcement") {
		known = append(known, both(verb)...)
	}
	known = append(known, strings.Fields(`message.send message.recall message.broadcast call.raw
		user.register user.delete user.reset_password user.set_nickname user.deactivate user.activate user.force_offline
		user.add_contact user.remove_contact user.block user.unblock user.mute user.set_attributes`)...)
	for _, r := range Default().Rules() {
		for _, kind := range r.Kinds {
			found := slices.ContainsFunc(known, func(k string) bool { return kindMatches(kind, k) })
			if !found {
				t.Errorf("rule %q: kind %q does not exist", r.ID, kind)
			}
		}
	}
}
