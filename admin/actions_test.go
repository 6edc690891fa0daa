package admin

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/imqueue/emq/dlq"
	"github.com/imqueue/emq/tasks"
)

// guarded is a world whose server knows three identities.
type guarded struct {
	*world
	tokens map[Role]string
	http   *httptest.Server
}

func newGuarded(t *testing.T, change ...func(*Config)) *guarded {
	t.Helper()
	return guard(t, newWorld(t), change...)
}

func guard(t *testing.T, w *world, change ...func(*Config)) *guarded {
	t.Helper()
	g := &guarded{world: w, tokens: map[Role]string{}}
	var file strings.Builder
	for _, role := range Roles() {
		token, line, err := NewToken("the-"+string(role), role)
		if err != nil {
			t.Fatal(err)
		}
		g.tokens[role] = token
		file.WriteString("# one\n\n" + line + "\n")
	}
	identities, err := ParseCredentials([]byte(file.String()))
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{Store: g.store, Redis: g.redis, Identities: identities, Listen: "0.0.0.0:0", Version: "test"}
	for _, c := range change {
		c(&cfg)
	}
	if g.server, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	g.http = httptest.NewServer(g.server.Handler())
	t.Cleanup(g.http.Close)
	return g
}

// ask makes a request with a body of JSON and headers "Name: value".
func (g *guarded) ask(role Role, method, path, body string, headers ...string) answer {
	g.t.Helper()
	r, err := http.NewRequestWithContext(g.t.Context(), method, g.http.URL+"/api/v1"+path, strings.NewReader(body))
	if err != nil {
		g.t.Fatal(err)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if role != "" {
		r.Header.Set("Authorization", "Bearer "+g.tokens[role])
	}
	for _, header := range headers {
		name, value, _ := strings.Cut(header, ": ")
		r.Header.Set(name, value)
	}
	response, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(r)
	if err != nil {
		g.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		g.t.Fatal(err)
	}
	return answer{response, raw}
}

func (g *guarded) wants(a answer, status int) answer {
	g.t.Helper()
	if a.StatusCode != status {
		g.t.Errorf("%s %s: status %d, want %d: %s", a.Request.Method, a.Request.URL.Path, a.StatusCode, status, a.body)
	}
	return a
}

// TestEveryRouteNeedsItsRole asks for each route of the table as everybody.
func TestEveryRouteNeedsItsRole(t *testing.T) {
	t.Parallel()
	g := newGuarded(t)
	for _, route := range g.server.routes() {
		if route.role == "" || route.path == "/events" {
			continue
		}
		path := regexp.MustCompile(`\{[^}]*\}`).ReplaceAllString(route.path, "x")
		g.wants(g.ask("", route.method, path, ""), http.StatusUnauthorized)
		g.wants(g.ask("", route.method, path, "", "Authorization: Bearer emq_wrong", "X-Forwarded-For: 1.2.3.4"), http.StatusUnauthorized)
		g.server.gate.failures = nil // the test itself is no attack
		g.server.gate.failures = newGate(nil).failures
		for _, role := range Roles() {
			status := g.ask(role, route.method, path, "{}").StatusCode
			if route.method == http.MethodGet {
				status = g.ask(role, route.method, path, "").StatusCode
			}
			if refused := status == http.StatusForbidden; refused == role.atLeast(route.role) {
				t.Errorf("%s %s as %s: status %d", route.method, route.path, role, status)
			}
		}
	}
	for _, path := range []string{"/metrics", "/api/v1/events", "/api/v1/session"} {
		r := httptest.NewRequest(http.MethodGet, path, nil)
		rec := httptest.NewRecorder()
		g.server.Handler().ServeHTTP(rec, r)
		if rec.Code != http.StatusUnauthorized {
			t.Errorf("%s without a token: %d", path, rec.Code)
		}
	}
}

// TestActions does each thing once, as an operator or admin, and finds it in the audit
// under the identity's name.
func TestActions(t *testing.T) {
	t.Parallel()
	g := newGuarded(t)
	for i, id := range []string{"a", "b", "c", "d/e", "f", "g"} {
		g.die("shop", id, message(), verdict(400, "odd"), i)
	}
	causes, err := g.store.Causes(t.Context(), dlq.Filter{})
	if err != nil {
		t.Fatal(err)
	}
	cause := causes[0].ID
	queue := tasks.QueueName("shop", tasks.EndpointMessagesUsers, tasks.Default)
	if _, err := g.store.Queues(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		method, path, body string
		status             int
		want               string
	}{
		{"POST", "/dead-letters/shop/a/resend", `{"reason":"mended"}`, 200, `"state":"resending"`},
		{"POST", "/dead-letters/shop/a/resend", `{}`, 409, "resend in progress"},
		{"POST", "/dead-letters/shop/b/discard", ``, 200, `"state":"discarded"`},
		{"POST", "/dead-letters/shop/b/restore", ``, 200, `"state":"dead"`},
		{"POST", "/dead-letters/shop/d%2Fe/discard", ``, 200, `"id":"d/e"`},
		{"POST", "/dead-letters/shop/nobody/discard", ``, 404, "not found"},
		{"POST", "/dead-letters/shop/c/edit", `{"payload":{"target":"users","to":["u2"],"from":"admin","type":"txt","body":{"msg":"new"}},"reason":"typo"}`, 200, `"u2"`},
		{"POST", "/dead-letters/shop/c/edit", `{"payload":{"target":"users","to":[],"from":"admin","type":"txt","body":{"msg":"new"}}}`, 422, `"errors":[{"location":"payload.to"`},
		{"POST", "/dead-letters/shop/c/edit", `{"payload":{"target":"users","to":["u2"],"from":"admin","type":"txt","body":{"msg":"x"}},"resend":true}`, 200, `"state":"resending"`},
		{"POST", "/dead-letters/shop/f/resolve", `{"outcome":"maybe","reason":"x"}`, 422, `"location":"outcome"`},
		{"POST", "/dead-letters/shop/f/resolve", `{"outcome":"sent"}`, 422, `"location":"reason"`},
		{"POST", "/dead-letters/shop/f/resolve", `{"outcome":"not_sent","reason":"asked"}`, 200, `"state":"resending"`},
		{"POST", "/dead-letters/shop/f/resend", `{"reson":"x"}`, 400, "unknown field"},
		{"POST", "/causes/shop/" + cause + "/ack", `{"note":"mine"}`, 200, `"state":"acknowledged"`},
		{"POST", "/causes/shop/" + cause + "/ignore", ``, 200, `"state":"ignored"`},
		{"POST", "/causes/shop/" + cause + "/reopen", ``, 200, `"state":"open"`},
		{"POST", "/operations/preview", `{"action":"resend","filter":{"state":"dead"}}`, 200, `{"count":2,"left_out_unknown":0}`},
		{"POST", "/operations", `{"action":"resend","filter":{"stat":"dead"}}`, 422, "filter.stat"},
		{"POST", "/operations", `{"action":"resend","filter":{}}`, 422, `"location":"reason"`},
		{"POST", "/operations", `{"action":"resend","filter":{"app":"shop"},"reason":"mended","rate":5}`, 200, `"members":2`},
		{"POST", "/holds", `{"app":"shop","family":"groups","reason":"a change"}`, 204, ""},
		{"POST", "/holds", `{"app":"shop","family":"groups","reason":"a change"}`, 409, "held already"},
		{"DELETE", "/holds/shop/groups", ``, 204, ""},
		{"DELETE", "/holds/shop", ``, 404, "not found"},
		{"POST", "/queues/" + queue + "/pause", `{"reason":"a look"}`, 204, ""},
		{"POST", "/queues/" + queue + "/resume", ``, 204, ""},
		{"PUT", "/limits/shop/messages.users", `{"limit":{"calls":"5/s"},"reason":"gently"}`, 204, ""},
		{"PUT", "/limits/shop/messages.users", `{"limit":{"calls":"fast"},"reason":"x"}`, 422, "calls"},
		{"DELETE", "/limits/shop/messages.users", ``, 204, ""},
		{"POST", "/silences", `{"app":"shop","for_seconds":3600,"reason":"known"}`, 200, `"by":"the-admin"`},
		{"POST", "/silences", `{"app":"shop","for_seconds":0,"reason":"known"}`, 422, `"location":"until"`},
		{"POST", "/explain", `{"status":401,"error":"auth_bad_access_token"}`, 200, `"class":`},
		{"POST", "/explain", `{"transport":"timeout","kind":"message.send"}`, 200, `"outcome_unknown":true`},
		{"POST", "/explain", `{"transport":"connection_refused","kind":"message.send"}`, 200, `"delay":"backoff","why"`},
		{"POST", "/explain", `{"status":"x"}`, 422, `"location":"status"`},
		{"POST", "/explain", `{} {}`, 400, "more than one"},
	} {
		a := g.wants(g.ask(RoleAdmin, c.method, c.path, c.body), c.status)
		if !strings.Contains(string(a.body), c.want) {
			t.Errorf("%s %s: lacks %s: %s", c.method, c.path, c.want, a.body)
		}
	}
	var ops page
	g.ask(RoleViewer, "GET", "/operations", "").into(t, http.StatusOK, &ops)
	op := fmt.Sprint(ops.Items[0]["id"])
	g.wants(g.ask(RoleOperator, "PATCH", "/operations/shop/"+op, `{"rate":7}`), http.StatusOK)
	g.wants(g.ask(RoleOperator, "POST", "/operations/shop/"+op+"/cancel", `{"reason":"no"}`), http.StatusOK)
	var silences page
	g.ask(RoleViewer, "GET", "/silences", "").into(t, http.StatusOK, &silences)
	g.wants(g.ask(RoleOperator, "DELETE", fmt.Sprint("/silences/shop/", silences.Items[0]["id"]), ""), http.StatusNoContent)

	var audit page
	g.ask(RoleViewer, "GET", "/audit", "").into(t, http.StatusOK, &audit)
	done := map[string]bool{}
	for _, line := range audit.Items {
		if by := fmt.Sprint(line["by"]); by != "the-admin" && by != "the-operator" {
			t.Errorf("line by %s: %v", by, line)
		}
		done[fmt.Sprint(line["action"])] = true
	}
	for _, action := range []string{"resend", "discard", "restore", "edit", "ack", "ignore", "reopen", "start", "cancel", "rate", "hold", "clear", "pause", "resume", "limit", "silence"} {
		if !done[action] {
			t.Errorf("the audit has no %s: %v", action, done)
		}
	}
}

func TestOverview(t *testing.T) {
	t.Parallel()
	g := newGuarded(t)
	g.die("shop", "a", message(), verdict(400, "odd"), 0)
	if err := g.store.AddTally(t.Context(), "shop", dlq.Tally{Delivered: 5, Failed: 2, Dead: 1}); err != nil {
		t.Fatal(err)
	}
	var got struct{ Items []overview }
	g.ask(RoleViewer, "GET", "/overview", "").into(t, http.StatusOK, &got)
	if len(got.Items) != 1 {
		t.Fatalf("%+v", got)
	}
	o := got.Items[0]
	if o.App != "shop" || o.Dead != 1 || o.Causes != 1 || o.Hour.Delivered != 5 || o.Day.Failed != 2 || len(o.Hour.Series["dead"]) != 12 || len(o.Day.Series["dead"]) != 24 || o.Day.Series["dead"][23] != 1 {
		t.Errorf("%+v", o)
	}
}

// TestSessions logs in as a browser does.
func TestSessions(t *testing.T) {
	t.Parallel()
	g := newGuarded(t)
	g.die("shop", "a", message(), verdict(400, "odd"), 0)
	login := g.wants(g.ask("", "POST", "/session", `{"token":"`+g.tokens[RoleOperator]+`"}`), http.StatusNoContent)
	cookie := login.Cookies()[0]
	if cookie.Name != "emq_session" || !cookie.HttpOnly || cookie.SameSite != http.SameSiteStrictMode || cookie.Path != "/" || strings.Contains(cookie.Value, g.tokens[RoleOperator]) {
		t.Errorf("cookie %v", cookie)
	}
	secure := httptest.NewRequest(http.MethodPost, "https://emq.example.com/", nil)
	if c := sessionCookie(secure, "x", 1); !c.Secure {
		t.Error("a cookie for another machine is not secure")
	}
	with := "Cookie: emq_session=" + cookie.Value
	var s sessionAnswer
	g.ask("", "GET", "/session", "", with).into(t, http.StatusOK, &s)
	if s.Name != "the-operator" || s.Role != RoleOperator || s.CSRF == "" || len(s.Apps) != 1 {
		t.Errorf("session %+v", s)
	}
	csrf := "X-CSRF-Token: " + s.CSRF
	g.wants(g.ask("", "POST", "/dead-letters/shop/a/discard", "", with), http.StatusForbidden)
	g.wants(g.ask("", "POST", "/dead-letters/shop/a/discard", "", with, "X-CSRF-Token: wrong"), http.StatusForbidden)
	g.wants(g.ask("", "POST", "/dead-letters/shop/a/discard", "", with, csrf, "Sec-Fetch-Site: cross-site"), http.StatusForbidden)
	g.wants(g.ask("", "POST", "/dead-letters/shop/a/discard", "", with, csrf, "Sec-Fetch-Site: same-origin"), http.StatusOK)
	g.wants(g.ask("", "DELETE", "/session", "", with), http.StatusNoContent)
	g.wants(g.ask("", "GET", "/causes", "", with), http.StatusUnauthorized)

	login = g.ask("", "POST", "/session", `{"token":"`+g.tokens[RoleViewer]+`"}`)
	with = "Cookie: emq_session=" + login.Cookies()[0].Value
	g.wants(g.ask("", "GET", "/causes", "", with), http.StatusOK)
	g.server.gate.now = func() time.Time { return time.Now().Add(sessionLife + time.Second) }
	g.wants(g.ask("", "GET", "/causes", "", with), http.StatusUnauthorized)
}

func TestLoginIsThrottled(t *testing.T) {
	t.Parallel()
	g := newGuarded(t)
	for range loginBurst {
		g.wants(g.ask("", "POST", "/session", `{"token":"emq_guess"}`), http.StatusUnauthorized)
	}
	a := g.wants(g.ask("", "POST", "/session", `{"token":"emq_guess"}`), http.StatusTooManyRequests)
	if a.Header.Get("Retry-After") != "6" {
		t.Errorf("Retry-After %q", a.Header.Get("Retry-After"))
	}
	g.wants(g.ask("", "GET", "/causes", "", "Authorization: Bearer emq_guess"), http.StatusTooManyRequests)
	g.wants(g.ask(RoleAdmin, "GET", "/causes", ""), http.StatusOK) // others come through the same proxy
	g.server.gate.now = func() time.Time { return time.Now().Add(2 * loginEvery) }
	g.wants(g.ask("", "GET", "/causes", "", "Authorization: Bearer emq_guess"), http.StatusUnauthorized)
}

// TestLocalWithoutCredentials: no other page may act through a browser on this machine.
func TestLocalWithoutCredentials(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.die("shop", "a", message(), verdict(400, "odd"), 0)
	post := func(headers map[string]string) int {
		r := httptest.NewRequest(http.MethodPost, "/api/v1/dead-letters/shop/a/discard", nil)
		r.Host = "127.0.0.1:8610"
		for name, value := range headers {
			r.Header.Set(name, value)
		}
		rec := httptest.NewRecorder()
		w.server.Handler().ServeHTTP(rec, r)
		return rec.Code
	}
	if code := post(map[string]string{"Origin": "https://evil.example"}); code != http.StatusForbidden {
		t.Errorf("from another origin: %d", code)
	}
	if code := post(map[string]string{"Sec-Fetch-Site": "cross-site"}); code != http.StatusForbidden {
		t.Errorf("from another site: %d", code)
	}
	if code := post(nil); code != http.StatusOK {
		t.Errorf("of a client on this machine: %d", code)
	}
}

func TestIdempotencyKey(t *testing.T) {
	t.Parallel()
	g := newGuarded(t)
	g.die("shop", "a", message(), verdict(400, "odd"), 0)
	const path, key = "/dead-letters/shop/a/discard", "Idempotency-Key: one"
	var crowd sync.WaitGroup
	codes := make(chan int, 20)
	for range 20 {
		crowd.Go(func() { codes <- g.ask(RoleOperator, "POST", path, `{"reason":"x"}`, key).StatusCode })
	}
	crowd.Wait()
	close(codes)
	for code := range codes {
		if code != http.StatusOK && code != http.StatusConflict {
			t.Errorf("status %d", code)
		}
	}
	first := g.wants(g.ask(RoleOperator, "POST", path, `{"reason":"x"}`, key), http.StatusOK)
	if first.Header.Get("Idempotent-Replayed") != "true" || !strings.Contains(string(first.body), `"state":"discarded"`) {
		t.Errorf("%v %s", first.Header, first.body)
	}
	g.wants(g.ask(RoleOperator, "POST", path, `{"reason":"y"}`, key), http.StatusUnprocessableEntity)
	g.wants(g.ask(RoleAdmin, "POST", path, `{"reason":"x"}`, key), http.StatusConflict) // another's key: the entry is discarded
	g.wants(g.ask(RoleOperator, "POST", path, "", "Idempotency-Key: "+strings.Repeat("x", 129)), http.StatusBadRequest)
	lines, _, err := g.store.Audit(t.Context(), dlq.AuditFilter{App: "shop", Action: "discard"}, "", 10)
	if err != nil || len(lines) != 1 {
		t.Errorf("discarded %d times, %v", len(lines), err)
	}
}

func TestReadOnlyAndMasked(t *testing.T) {
	t.Parallel()
	g := newGuarded(t, func(c *Config) { c.ReadOnly, c.MaskPayloads = true, true })
	g.die("shop", "a", message(), verdict(400, "odd"), 0)
	g.wants(g.ask(RoleAdmin, "POST", "/dead-letters/shop/a/discard", ""), http.StatusForbidden)
	g.wants(g.ask(RoleViewer, "POST", "/explain", `{"status":400}`), http.StatusOK)
	for _, path := range []string{"/dead-letters", "/dead-letters/shop/a"} {
		if body := g.ask(RoleViewer, "GET", path, "").body; strings.Contains(string(body), "shipped") || !strings.Contains(string(body), "masked") {
			t.Errorf("a viewer sees %s", body)
		}
		if body := g.ask(RoleOperator, "GET", path, "").body; !strings.Contains(string(body), "shipped") {
			t.Errorf("an operator sees %s", body)
		}
	}
}

func TestEvents(t *testing.T) {
	t.Parallel()
	g := newGuarded(t)
	g.die("shop", "a", message(), verdict(400, "odd"), 0)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, g.http.URL+"/api/v1/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+g.tokens[RoleViewer])
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	lines := bufio.NewScanner(response.Body)
	var got []string
	for lines.Scan() && len(got) < 5 {
		got = append(got, lines.Text())
	}
	if want := `data: {"apps":[{"app":"shop","pending":0,"active":0,"dead":1,"held":false}]}`; got[0] != "event: counts" || got[1] != want || got[3] != "event: operations" {
		t.Errorf("%q", got)
	}
	close(g.server.ending) // as the server's end does
	for lines.Scan() {
	}
}

// TestOpenAPI holds the document beside the routes, and every reference beside what is
// there.
func TestOpenAPI(t *testing.T) {
	t.Parallel()
	g := newGuarded(t)
	raw := g.ask("", "GET", "/openapi.json", "")
	var doc struct {
		OpenAPI    string
		Paths      map[string]map[string]struct{ Description, OperationID string }
		Components struct{ Schemas map[string]any }
	}
	raw.into(t, http.StatusOK, &doc)
	if !strings.HasPrefix(doc.OpenAPI, "3.1.") {
		t.Errorf("version %s", doc.OpenAPI)
	}
	ids := map[string]bool{}
	for _, route := range g.server.routes() {
		op, ok := doc.Paths[apiBase+openPath(route.path)][strings.ToLower(route.method)]
		if !ok || route.role != "" && !strings.Contains(op.Description, string(route.role)) || ids[op.OperationID] {
			t.Errorf("%s %s: %v %+v", route.method, route.path, ok, op)
		}
		ids[op.OperationID] = true
	}
	for _, m := range regexp.MustCompile(`"#/components/schemas/([^"]+)"`).FindAllStringSubmatch(string(raw.body), -1) {
		if doc.Components.Schemas[m[1]] == nil {
			t.Errorf("there is no schema %s", m[1])
		}
	}
	if !json.Valid(raw.body) || len(doc.Components.Schemas) < 20 {
		t.Errorf("%d schemas", len(doc.Components.Schemas))
	}
}

func TestCredentials(t *testing.T) {
	t.Parallel()
	_, good, err := NewToken("ann", RoleOperator)
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"":                             "no identity",
		"ann operator":                 "NAME ROLE SHA256",
		"ann boss " + good[13:]:        "must be viewer, operator or admin",
		"ann operator abc":             "SHA-256",
		good + "\n" + good:             "twice",
		"a\x01b operator " + good[13:]: "printable",
	} {
		if _, err := ParseCredentials([]byte(text)); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), good[13:]) {
			t.Errorf("%q: %v", text, err)
		}
	}
	if _, err := New(Config{Store: &dlq.Store{}, Listen: "0.0.0.0:8610"}); err == nil {
		t.Error("an open address without credentials")
	}
	if _, _, err := NewToken("a b", RoleAdmin); err == nil {
		t.Error("a name of two words")
	}
}

// TestPage serves the page's files, and its index for every view.
func TestPage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for path, kind := range map[string]string{"/": "text/html", "/causes/shop/x-1": "text/html", "/app.js": "text/javascript", "/style.css": "text/css"} {
		a := w.get(path)
		if a.StatusCode != http.StatusOK && a.StatusCode/100 != 3 || a.StatusCode == http.StatusOK && !strings.HasPrefix(a.Header.Get("Content-Type"), kind) {
			t.Errorf("%s: %d %s", path, a.StatusCode, a.Header.Get("Content-Type"))
		}
		if a.StatusCode == http.StatusOK && a.Header.Get("Content-Security-Policy") != pagePolicy {
			t.Errorf("%s: %q", path, a.Header.Get("Content-Security-Policy"))
		}
	}
}

// TestEditKeepsHiddenPasswords: a password that an operator did not see stays what it was,
// however its place has changed, and is never set to what it was shown as.
func TestEditKeepsHiddenPasswords(t *testing.T) {
	t.Parallel()
	g := newGuarded(t)
	g.die("shop", "r", tasks.UserRegister{Users: []tasks.NewUser{{Username: "u1", Password: "one"}, {Username: "u2", Password: "two"}}}, verdict(400, "odd"), 0)
	saved := func() string {
		t.Helper()
		entry, err := g.store.Get(t.Context(), "shop", "r")
		if err != nil {
			t.Fatal(err)
		}
		return string(entry.Payload)
	}
	edit := func(payload string) answer {
		return g.ask(RoleOperator, "POST", "/dead-letters/shop/r/edit", `{"payload":`+payload+`}`)
	}
	a := g.wants(edit(`{"users":[{"username":"u2","password":"[hidden]"},{"username":"u1","password":"[hidden]"}]}`), http.StatusOK)
	if got := saved(); !strings.Contains(got, `"username":"u2","password":"two"`) || !strings.Contains(got, `"username":"u1","password":"one"`) || strings.Contains(string(a.body), `"one"`) {
		t.Errorf("saved %s, answered %s", got, a.body)
	}
	g.wants(edit(`{"users":[{"username":"u3","password":"[hidden]"}]}`), http.StatusUnprocessableEntity)
	g.wants(edit(`{"users":[{"username":"u3","password":"three"}]}`), http.StatusOK)
	if got := saved(); !strings.Contains(got, `"password":"three"`) {
		t.Errorf("saved %s", got)
	}
}
