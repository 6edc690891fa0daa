package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/imqueue/emq/errclass"
	"github.com/imqueue/emq/tasks"
)

var update = flag.Bool("update", false, "write the tables of the READMEs instead of checking them")

// rulesTable is the table of rules in Markdown.
func rulesTable(lang, summary, heads string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "<details><summary>%s</summary>\n\n%s\n|---|---|---|---|---|\n", summary, heads)
	cell := strings.NewReplacer("|", "\\|", "<", "&lt;")
	for _, r := range errclass.Default().Rules() {
		fmt.Fprintf(&b, "| `%s` | `%s` | %s | %s | %s |\n", r.ID, r.Class, r.Scope, cell.Replace(r.Why.In(lang)), cell.Replace(r.Advice.In(lang)))
	}
	b.WriteString("\n</details>\n")
	return b.String()
}

// kindsTable is the table of kinds in Markdown. What a kind does stands in
// summaries, where given.
func kindsTable(heads, yes, no, varies string, summaries map[tasks.Kind]string) string {
	var b strings.Builder
	b.WriteString(heads + "\n" + strings.Repeat("|---", strings.Count(heads, "|")-1) + "|\n")
	for _, info := range tasks.Kinds() {
		endpoint, repeatable := varies, no
		if info.Endpoint != "" {
			endpoint = "`" + string(info.Endpoint) + "`"
		}
		if info.Repeatable {
			repeatable = yes
		}
		summary := info.Summary
		if summaries != nil {
			summary = summaries[info.Kind]
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", info.Kind, endpoint, repeatable, summary)
	}
	return b.String()
}

// limitsTable is the table of default limits in Markdown. What an endpoint
// covers stands in summaries, where given.
func limitsTable(heads string, summaries map[tasks.Endpoint]string) string {
	var b strings.Builder
	b.WriteString(heads + "\n" + strings.Repeat("|---", strings.Count(heads, "|")-1) + "|\n")
	for _, info := range tasks.Endpoints() {
		summary := info.Summary
		if summaries != nil {
			summary = summaries[info.Endpoint]
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", info.Endpoint, rates(info.Limit.Calls), rates(info.Limit.Messages), summary)
	}
	return b.String()
}

// between finds what stands between the markers of a section, and replaces it.
func between(t *testing.T, doc, section, want string) (got, replaced string) {
	t.Helper()
	begin := regexp.MustCompile(`<!-- ` + section + `: [^\n]*-->\n`).FindStringIndex(doc)
	end := strings.Index(doc, "<!-- /"+section+" -->")
	if begin == nil || end < begin[1] {
		t.Fatalf("no section %q", section)
	}
	return doc[begin[1]:end], doc[:begin[1]] + want + doc[end:]
}

func TestREADMETablesFollowTheCode(t *testing.T) {
	english := rulesTable("en", "All rules, in the order in which they are tried", "| rule | class | scope | what it means | what to do |")
	chinese := rulesTable("zh", "全部规则，按匹配顺序", "| 规则 | 分类 | 范围 | 含义 | 处理建议 |")
	for _, c := range []struct{ file, section, want string }{
		{"README.md", "settings", settingsTable()},
		{"README.zh-CN.md", "settings", settingsTableOf("| 参数 | 环境变量 | `emq.yaml` 中 | 默认值 | 含义 |", " 或 ", chineseSettings())},
		{"README.md", "rules", english},
		{"README.md", "kinds", kindsTable("| kind | endpoint | may be repeated | what it does |", "yes", "no", "as the payload says", nil)},
		{"README.zh-CN.md", "kinds", kindsTable("| 种类 | endpoint | 可重复 | 作用 |", "是", "否", "由 payload 决定", kindsZh)},
		{"README.md", "limits", limitsTable("| endpoint | calls | messages | what it covers |", nil)},
		{"README.zh-CN.md", "limits", limitsTable("| endpoint | 调用 | 消息 | 适用范围 |", endpointsZh)},
		{"README.zh-CN.md", "rules", chinese},
		{"docs/metrics.md", "metrics", metricsTable(t)},
	} {
		path := filepath.Join("..", "..", c.file)
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		got, replaced := between(t, string(raw), c.section, c.want)
		if *update {
			if err := os.WriteFile(path, []byte(replaced), 0o644); err != nil { //nolint:gosec // a public document
				t.Fatal(err)
			}
		} else if got != c.want {
			t.Errorf("%s: the table of %s does not follow the code; run: go test ./cmd/emq -run README -update", c.file, c.section)
		}
	}
}

// codeBlocks returns the fenced blocks of README.md in one language.
func codeBlocks(t *testing.T, lang string) []string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	var blocks []string
	for _, m := range regexp.MustCompile("(?s)```"+lang+"\n(.*?)```").FindAllStringSubmatch(string(raw), -1) {
		blocks = append(blocks, m[1])
	}
	if len(blocks) == 0 {
		t.Fatalf("README.md has no %s block", lang)
	}
	return blocks
}

// TestREADMEProgramCompiles builds the program of the README as app code would.
func TestREADMEProgramCompiles(t *testing.T) {
	t.Parallel()
	for i, program := range codeBlocks(t, "go") {
		source := filepath.Join(t.TempDir(), "main.go")
		if err := os.WriteFile(source, []byte(program), 0o600); err != nil {
			t.Fatal(err)
		}
		// The file appears inside the module without being written there.
		dir, err := filepath.Abs(fmt.Sprintf("readme%d", i))
		if err != nil {
			t.Fatal(err)
		}
		overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{filepath.Join(dir, "main.go"): source}})
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), "overlay.json")
		if err := os.WriteFile(file, overlay, 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command("go", "build", "-overlay", file, "-o", os.DevNull, dir).CombinedOutput()
		if err != nil {
			t.Errorf("block %d: %v\n%s", i, err, out)
		}
	}
}

func TestREADMEEnvelopesAreAccepted(t *testing.T) {
	t.Parallel()
	for _, block := range codeBlocks(t, "json") {
		for line := range strings.Lines(block) {
			task, err := tasks.ParseEnvelope([]byte(line))
			if err == nil {
				err = task.Validate()
			}
			if err != nil {
				t.Errorf("%s: %v", line, err)
			}
		}
	}
}

// TestREADMECommandsExist checks the verbs, flags and arguments of the commands
// shown, those in the rules' advice included.
func TestREADMECommandsExist(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"README.md", "README.zh-CN.md"} {
		raw, err := os.ReadFile(filepath.Join("..", "..", name))
		if err != nil {
			t.Fatal(err)
		}
		found := 0
		shown := regexp.MustCompile("`emq ([a-z][^`\n]*)`").FindAllStringSubmatch(string(raw), -1)
		for _, block := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(string(raw), -1) {
			shown = append(shown, regexp.MustCompile("(?m)^emq ([a-z].*)$").FindAllStringSubmatch(block[1], -1)...)
		}
		for _, m := range shown {
			began := false
			root := newRoot(&env{}, &began)
			words := strings.Fields(m[1])
			cmd, rest, err := root.Find(words)
			if err != nil || cmd == root {
				t.Errorf("%s: emq %s: no such command (%v)", name, m[1], err)
				continue
			}
			found++
			for _, word := range rest {
				flag, _, _ := strings.Cut(strings.TrimPrefix(word, "--"), "=")
				if strings.HasPrefix(word, "--") && cmd.Flags().Lookup(flag) == nil && cmd.InheritedFlags().Lookup(flag) == nil {
					t.Errorf("%s: emq %s: no flag --%s", name, m[1], flag)
				}
			}
			if strings.ContainsAny(m[1], "'{…|>") || cmd.ParseFlags(rest) != nil {
				continue // words of a shell's, or a form
			}
			if args := cmd.Flags().Args(); len(args) > 0 && cmd.Args != nil {
				if err := cmd.Args(cmd, args); err != nil {
					t.Errorf("%s: emq %s: %v", name, m[1], err)
				}
			}
		}
		if found < 5 {
			t.Errorf("%s: only %d commands found", name, found)
		}
	}
}

// TestREADMEYAMLIsSound reads the settings and the rules of the README, and runs
// the tests of the rules.
func TestREADMEYAMLIsSound(t *testing.T) {
	t.Parallel()
	settings, rules := 0, 0
	for _, block := range codeBlocks(t, "yaml") {
		if !strings.HasPrefix(block, "rules:\n") {
			settings++
			if c, err := parseConfigFile("README", []byte(block)); err != nil || len(c.apps["shop"].limits) == 0 {
				t.Errorf("%v, %v in\n%s", c.apps, err, block)
			}
			continue
		}
		rules++
		file, err := parseRules("README", []byte(block))
		if err != nil {
			t.Errorf("%v in\n%s", err, block)
			continue
		}
		if len(file.tests) == 0 || len(file.warnings) > 0 {
			t.Errorf("%d tests, warnings %q", len(file.tests), file.warnings)
		}
		for _, test := range file.tests {
			if failure := test.failure(file.table); failure != "" {
				t.Errorf("%s: %s", test.Name, failure)
			}
		}
	}
	if settings == 0 || rules == 0 {
		t.Errorf("%d blocks of settings, %d of rules", settings, rules)
	}
}

// TestREADMEReceiverDropsCopies runs the receiver of the README, where a
// JavaScript engine is installed.
func TestREADMEReceiverDropsCopies(t *testing.T) {
	t.Parallel()
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("no node here: the README's JavaScript is not run")
	}
	id := tasks.ExtTaskID
	program := strings.Join(codeBlocks(t, "js"), "") + `
const shown = [];
const receive = once((message) => shown.push(message.n));
[{n: 1, ext: {` + id + `: "a"}}, {n: 2, ext: {` + id + `: "b"}}, {n: 3, ext: {` + id + `: "a"}}, {n: 4}, {n: 5}, {n: 6, ext: {}}].forEach(receive);
console.log(shown.join());
`
	out, err := exec.Command(node, "-e", program).CombinedOutput()
	if err != nil || string(out) != "1,2,4,5,6\n" {
		t.Errorf("%v: %s", err, out)
	}
}
