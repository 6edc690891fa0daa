package admin

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/imqueue/emq/dlq"
	"github.com/imqueue/emq/errclass"
)

// TestTransfer takes dead letters out, corrects one, and brings them back.
func TestTransfer(t *testing.T) {
	t.Parallel()
	g := newGuarded(t)
	g.die("shop", "a", message(), verdict(400, "odd"), 0)
	g.die("shop", "b", message(), verdict(400, "odd"), 0)
	g.die("live", "c", message(), verdict(400, "odd"), 0)

	out := g.wants(g.ask(RoleAdmin, "POST", "/export", `{"filter":{"app":"shop"}}`), http.StatusOK)
	lines := strings.SplitAfter(string(out.body), "\n")
	if out.Header.Get("Content-Type") != "application/jsonl" || len(lines) != 3 || strings.Count(string(out.body), `"app":"shop"`) != 2 {
		t.Fatalf("%v\n%s", out.Header, out.body)
	}
	g.wants(g.ask(RoleAdmin, "POST", "/export", `{"filter":{"ap":"shop"}}`), http.StatusBadRequest)
	g.wants(g.ask(RoleAdmin, "POST", "/export", `{"filter":{"cause":"nope-00000000","app":"No"}}`), http.StatusBadRequest)

	const jsonl = "Content-Type: application/jsonl"
	corrected := strings.Replace(lines[0], "shipped", "on its way", 2) + lines[1] + "\n{\"no\":1}\n"
	if corrected[:len(lines[0])] == lines[0] {
		t.Fatalf("nothing is corrected in %s", lines[0])
	}
	bring := func(path string) importAnswer {
		t.Helper()
		var got importAnswer
		g.ask(RoleAdmin, "POST", path, corrected, jsonl).into(t, http.StatusOK, &got)
		return got
	}
	want := importAnswer{Edited: 1, Unchanged: 1, Refused: 1}
	for _, path := range []string{"/import?dry_run=true", "/import?reason=typo"} {
		got := bring(path)
		if len(got.Lines) != 1 || got.Lines[0].Line != 4 || !strings.Contains(got.Lines[0].Detail, "emq dlq export") {
			t.Errorf("lines %+v", got.Lines)
		}
		got.Lines = nil
		if got.Edited != want.Edited || got.Unchanged != want.Unchanged || got.Refused != want.Refused || got.Added+got.Skipped != 0 {
			t.Errorf("%s: %+v, want %+v", path, got, want)
		}
	}
	if got := bring("/import"); got.Edited != 0 || got.Unchanged+got.Skipped != 2 {
		t.Errorf("repeated: %+v", got)
	}
	g.wants(g.ask(RoleAdmin, "POST", "/import", corrected), http.StatusUnsupportedMediaType)
	g.wants(g.ask(RoleAdmin, "POST", "/import?dry_run=yes", corrected, jsonl), http.StatusBadRequest)
	g.wants(g.ask(RoleOperator, "POST", "/import", corrected, jsonl), http.StatusForbidden)
	long := g.wants(g.ask(RoleAdmin, "POST", "/import", lines[0]+strings.Repeat("x", dlq.ImportMaxBytes+2), jsonl), http.StatusRequestEntityTooLarge)
	if !strings.Contains(string(long.body), "line 2") {
		t.Errorf("%s", long.body)
	}

	var audit page
	g.ask(RoleViewer, "GET", "/audit", "").into(t, http.StatusOK, &audit)
	if done := audit.all("action"); !slices.Contains(done, "export") || !slices.Contains(done, "import") {
		t.Errorf("audit %v", audit.Items)
	}
}

// TestImportThatBreaksOff: the client is told that it was its body, not Redis.
func TestImportThatBreaksOff(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := httptest.NewRequest(http.MethodPost, "/api/v1/import", io.MultiReader(strings.NewReader("{\"no\":1}\n"), iotest.ErrReader(os.ErrDeadlineExceeded)))
	r.Host = "127.0.0.1:8610"
	r.Header.Set("Content-Type", "application/jsonl")
	rec := httptest.NewRecorder()
	w.server.Handler().ServeHTTP(rec, r)
	if rec.Code != http.StatusBadRequest || !strings.Contains(rec.Body.String(), "line 2: the body broke off") {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
}

// TestExportWithoutRedis: no empty export, but an error.
func TestExportWithoutRedis(t *testing.T) {
	t.Parallel()
	g := newGuarded(t)
	g.die("shop", "a", message(), verdict(400, "odd"), 0)
	g.wants(g.ask(RoleAdmin, "POST", "/export", ""), http.StatusOK)
	if err := g.redis.Close(); err != nil {
		t.Fatal(err)
	}
	if a := g.ask(RoleAdmin, "POST", "/export", ""); a.StatusCode < http.StatusInternalServerError {
		t.Errorf("status %d: %s", a.StatusCode, a.body)
	}
}

// TestExportNeedsCredentials: other users of the machine have no claim on passwords.
func TestExportNeedsCredentials(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.die("shop", "a", registration("canary-password"), verdict(400, "odd"), 0)
	r := httptest.NewRequest(http.MethodPost, "/api/v1/export", nil)
	r.Host = "127.0.0.1:8610"
	rec := httptest.NewRecorder()
	w.server.Handler().ServeHTTP(rec, r)
	if rec.Code != http.StatusForbidden || !strings.Contains(rec.Body.String(), "--credentials") || strings.Contains(rec.Body.String(), "canary") {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
}

// TestCheckRulesRoute: the server asks its own reader of rules, and judges by the table
// that it makes.
func TestCheckRulesRoute(t *testing.T) {
	t.Parallel()
	g := newGuarded(t, func(c *Config) {
		c.CheckRules = func(text []byte) (RulesCheck, *errclass.Table) {
			if string(text) != "sound" {
				return RulesCheck{Faults: []string{"rules:1: no"}}, nil
			}
			return RulesCheck{Rules: 1}, errclass.Default()
		}
	})
	for _, c := range []struct {
		body   string
		status int
		want   string
	}{
		{`{"text":"sound","answer":{"status":401,"error":"auth_bad_access_token"}}`, 200, `"verdict":{"class":"retryable"`},
		{`{"text":"sound"}`, 200, `"rules":1`},
		{`{"text":"odd","answer":{"status":401}}`, 200, `"rules:1: no"`},
		{`{"text":"sound","answer":{"status":4}}`, 422, `"location":"status"`},
		{`{"text":"sound","answer":{}}`, 422, `"location":"status"`},
		{`{"text":"sound","answer":{"transport":"pigeon"}}`, 422, `"location":"transport"`},
	} {
		if a := g.wants(g.ask(RoleOperator, "POST", "/rules/check", c.body), c.status); !strings.Contains(string(a.body), c.want) {
			t.Errorf("%s: lacks %s: %s", c.body, c.want, a.body)
		}
	}
}
