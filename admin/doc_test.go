package admin

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/imqueue/emq/dlq"
)

var update = flag.Bool("update", false, "write the table of docs/api.md instead of checking it")

const apiDoc = "../docs/api.md"

// TestAPIDoc: docs/api.md has the routes that there are.
func TestAPIDoc(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile(apiDoc)
	if err != nil {
		t.Fatal(err)
	}
	var table strings.Builder
	table.WriteString("| route | role | what it does | parameters |\n|---|---|---|---|\n")
	for _, route := range newWorld(t).server.routes() {
		parameters := strings.Join(route.query, ", ")
		if strings.HasPrefix(parameters, strings.Join(dlq.FilterFields(), ", ")) {
			parameters = strings.Replace(parameters, strings.Join(dlq.FilterFields(), ", "), "the filters", 1)
		}
		role := string(route.role)
		if role == "" {
			role = "–"
		}
		fmt.Fprintf(&table, "| `%s %s` | %s | %s | %s |\n", route.method, strings.ReplaceAll(route.path, "...", ""), role, route.about, parameters)
	}
	fmt.Fprintf(&table, "\nThe filters: %s.\n", strings.Join(dlq.FilterFields(), ", "))
	section := regexp.MustCompile(`(?s)(<!-- routes: [^\n]*-->\n)(.*)(<!-- /routes -->)`)
	if *update {
		written := section.ReplaceAllLiteralString(string(raw), section.FindStringSubmatch(string(raw))[1]+table.String()+"<!-- /routes -->")
		if err := os.WriteFile(apiDoc, []byte(written), 0o644); err != nil { //nolint:gosec // a public document
			t.Fatal(err)
		}
	} else if m := section.FindStringSubmatch(string(raw)); m == nil || m[2] != table.String() {
		t.Error("docs/api.md does not have the routes; run: go test ./admin -run APIDoc -update")
	}
}

// TestAPIDocExamples runs the commands of docs/api.md.
func TestAPIDocExamples(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("curl"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("curl is missing")
		}
		t.Skip("curl is missing")
	}
	raw, err := os.ReadFile(apiDoc)
	if err != nil {
		t.Fatal(err)
	}
	script := regexp.MustCompile("(?s)```sh\n(.*?)```").FindStringSubmatch(string(raw))
	if script == nil {
		t.Fatal("docs/api.md has no commands")
	}
	g := newGuarded(t)
	g.die("shop", "order-1", message(), verdict(400, "odd"), 0)
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), "sh", "-e", "-c", script[1])
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "EMQ="+g.http.URL, "TOKEN="+g.tokens[RoleAdmin])
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{`"items":[{"id":"test-odd`, `"reason":"the token was wrong"`, `"unchanged":1`} {
		if !strings.Contains(string(out), want) {
			t.Errorf("lacks %s:\n%s", want, out)
		}
	}
	exported, err := os.ReadFile(filepath.Join(dir, "dead-letters.jsonl"))
	if err != nil || strings.Count(string(exported), "\n") != 1 {
		t.Errorf("%q, %v", exported, err)
	}
}
