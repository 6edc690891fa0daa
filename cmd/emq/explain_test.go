package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/imqueue/emq/errclass"
	"github.com/imqueue/emq/tasks"
)

func TestExplainOne(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		args []string
		want []string
	}{
		{[]string{"--status", "403", "--error", "forbidden_op", "--description", "users [u1] are not members of this group!", "--kind", "group.remove_members"},
			[]string{"class\tsuccess\n", "scope\tjob\n", "rule\t", "why\t", "advice\t", "next\tThe task is done.\n"}},
		{[]string{"--status", "404", "--body", `{"error":"service_resource_not_found"}`},
			[]string{"class\tpermanent\n", "next\tA dead letter at once"}},
		{[]string{"--transport", "timeout", "--kind", "message.send"},
			[]string{"class\tretryable\n", "next\tNobody knows whether the call was executed."}},
		{[]string{"--transport", "timeout", "--kind", "group.add_members"}, // to repeat it does no harm
			[]string{"class\tretryable\n", "next\tTried again after a random wait"}},
		{[]string{"--transport", "connection_refused", "--kind", "message.send"}, // never written
			[]string{"next\tTried again after a random wait"}},
		{[]string{"--status", "502", "--body", "<html>bad gateway</html>", "--kind", "message.send", "--lang", "zh"},
			[]string{"class\tretryable\n", "next\t无法得知"}},
	} {
		t.Run(strings.Join(test.args, " "), func(t *testing.T) {
			t.Parallel()
			e := newTestEnv(t, "")
			e.run(t, exitDone, append([]string{"explain"}, test.args...)...)
			for _, want := range test.want {
				if !strings.Contains(e.stdout.String(), want) {
					t.Errorf("no %q in\n%s", want, e.stdout)
				}
			}
		})
	}
}

// TestExplainWarnsOfAnUnknownKind: the answer is explained all the same.
func TestExplainWarnsOfAnUnknownKind(t *testing.T) {
	t.Parallel()
	rules := rulesOf(t, ruleText)
	for _, command := range []string{"explain", "rules test " + rules} {
		for kind, want := range map[string]string{
			"ab":               "emq: warning: this version of emq has no kind \"ab\"; `emq kinds` lists all\n",
			"nope":             "emq: warning: this version of emq has no kind \"nope\"; `emq kinds` lists all\n",
			"group.add_member": "emq: warning: this version of emq has no kind \"group.add_member\" (did you mean group.add_members?); `emq kinds` lists all\n",
			"call.raw":         "",
			"":                 "",
		} {
			e := newTestEnv(t, "")
			e.run(t, exitDone, append(strings.Fields(command), "--status", "403", "--kind", kind)...)
			if e.stderr.String() != want || !strings.Contains(e.stdout.String(), "rule") {
				t.Errorf("%s, kind %q: %q, want %q; stdout %s", command, kind, e.stderr, want, e.stdout)
			}
		}
	}
}

func TestExplainJSON(t *testing.T) {
	t.Parallel()
	e := newTestEnv(t, "", "LANG=zh_CN.UTF-8")
	e.run(t, exitDone, "explain", "--status", "401", "--error", "unauthorized", "--json")
	var got explanation
	if err := json.Unmarshal(e.stdout.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	v := errclass.Classify(errclass.Evidence{Status: 401, Body: []byte(`{"error":"unauthorized"}`)})
	if got.Class != v.Class || got.Rule != v.Rule || got.Advice != v.Advice.Zh || got.Status != 401 || got.Error != "unauthorized" {
		t.Errorf("got %+v, verdict %+v", got, v)
	}
}

// TestNextIsSaidInBothLanguages walks all that can follow from a verdict.
func TestNextIsSaidInBothLanguages(t *testing.T) {
	t.Parallel()
	for _, rule := range errclass.Default().Rules() {
		for _, unknown := range []bool{false, true} {
			v := errclass.Verdict{Class: rule.Class, Scope: rule.Scope, Delay: rule.Delay, OutcomeUnknown: unknown}
			if text := next(v, tasks.KindMessageSend); text.En == "" || text.Zh == "" {
				t.Errorf("rule %s, unknown %v: %+v", rule.ID, unknown, text)
			}
		}
	}
}

func TestExplainLines(t *testing.T) {
	t.Parallel()
	long := `{"id":"long","body_text":"` + strings.Repeat("x", lineBytes) + `"}`
	input := []string{
		`{"id":1,"kind":"group.remove_members","status":403,"body":{"error":"forbidden_op","error_description":"users [u1] are not members of this group!"}}`,
		`{"id":{"a":[1]},"status":403,"body":"{\"error\":\"forbidden_op\",\"error_description\":\"users [u1] are not members of this group!\"}","kind":"group.remove_members"}`,
		`{"id":"text","status":403,"kind":"group.remove_members","body_text":"{\"error\":\"forbidden_op\",\"error_description\":\"users [u1] are not members of this group!\"}"}`,
		``,
		`not JSON`,
		`[1]`,
		`{"id":2,"status":"403"}`,
		`{"id":3,"kind":7,"status":400}`,
		`{"id":4,"transport":"pigeon"}`,
		`{"id":5,"status":500,"body":{},"body_text":"x"}`,
		long,
		`{"status":null,"transport":"dns","body":null}`,
		`{"id":6,"stat":3}`,
		`{"id":7,"status":400,"comment":"x","Kind":"call.raw"}`,
		`{"id":8,"kind":"call.raw"}`,
		`{"id":9,"status":0,"body":null,"transport":""}`,
		`null`,
		`{"id":null,"status":502,"body_text":"<html>"}`,
		`{"id":"last","status":200,"body":{}}`,
	}
	want := []string{
		`1 already-not-member`,
		`{"a":[1]} already-not-member`,
		`"text" already-not-member`,
		`null line 5: not a JSON object`,
		`null line 6: not a JSON object`,
		`2 line 7: status: must be a number`,
		`3 line 8: kind: must be a string`,
		`4 line 9: transport "pigeon": must be one of`,
		`5 line 10: body and body_text: only one`,
		`null line 11: the line has`,
		`null dns-failure`,
		`6 line 13: stat: no such field here`,
		`7 line 14: Kind: no such field here (did you mean kind?)`,
		`8 line 15: give status, body, body_text or transport`,
		`9 line 16: give status, body, body_text or transport`,
		`null line 17: give status, body, body_text or transport`,
		`null bad-gateway`,
		`"last" ok`,
	}
	e := newTestEnv(t, strings.Join(input, "\n")) // without a line break at the end
	e.run(t, exitFailed, "explain", "-")
	lines := strings.Split(strings.TrimSuffix(e.stdout.String(), "\n"), "\n")
	if len(lines) != len(want) {
		t.Fatalf("%d answers, want %d:\n%s", len(lines), len(want), e.stdout)
	}
	for i, line := range lines {
		var got struct {
			ID                         json.RawMessage
			Class, Scope, Rule, Advice string
			Line                       int
			Error                      string
		}
		if err := json.Unmarshal([]byte(line), &got); err != nil {
			t.Fatalf("answer %d: %v: %s", i, err, line)
		}
		text := fmt.Sprintf("%s %s", got.ID, got.Rule)
		if got.Rule == "" {
			text = fmt.Sprintf("%s line %d: %s", got.ID, got.Line, got.Error)
		} else if got.Class == "" || got.Scope == "" || got.Advice == "" {
			t.Errorf("answer %d lacks a field: %s", i, line)
		}
		if !strings.HasPrefix(text, want[i]) {
			t.Errorf("answer %d: %q, want %q", i, text, want[i])
		}
	}
	if got := e.stderr.String(); got != "emq: 12 lines could not be read\n" {
		t.Errorf("stderr: %q", got)
	}
}

// TestExplainLinesAnswersAtOnce talks line by line: each question is answered
// before the next one is asked.
func TestExplainLinesAnswersAtOnce(t *testing.T) {
	t.Parallel()
	questions, ask := io.Pipe()
	answer, answers := io.Pipe()
	e := newTestEnv(t, "")
	e.in, e.out = questions, answers
	done := make(chan int, 1)
	go func() { done <- run(e.env, []string{"explain", "-"}) }()
	lines := bufio.NewScanner(answer)
	for i := range 3 {
		if _, err := fmt.Fprintf(ask, `{"id":%d,"status":404}`+"\n", i); err != nil {
			t.Fatal(err)
		}
		if !lines.Scan() || !strings.HasPrefix(lines.Text(), fmt.Sprintf(`{"id":%d,`, i)) {
			t.Fatalf("answer %d: %q, %v", i, lines.Text(), lines.Err())
		}
	}
	_ = ask.Close()
	if code := <-done; code != exitDone {
		t.Errorf("exit code %d: %s", code, e.stderr)
	}
}

// TestExplainKeepsOrder answers as many lines as a log may have.
func TestExplainKeepsOrder(t *testing.T) {
	t.Parallel()
	const n = 5000
	var input strings.Builder
	for i := range n {
		fmt.Fprintf(&input, `{"id":%d,"status":%d,"body":{"error":"e%d"}}`+"\n", i, 400+i%200, i)
	}
	e := newTestEnv(t, input.String())
	e.run(t, exitDone, "explain", "-")
	lines := strings.Split(strings.TrimSuffix(e.stdout.String(), "\n"), "\n")
	if len(lines) != n {
		t.Fatalf("%d answers, want %d", len(lines), n)
	}
	for i, line := range lines {
		if !strings.HasPrefix(line, fmt.Sprintf(`{"id":%d,"class":`, i)) {
			t.Fatalf("answer %d: %s", i, line)
		}
	}
}
