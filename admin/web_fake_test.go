package admin

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/imqueue/emq/dlq"
	"github.com/imqueue/emq/errclass"
	"github.com/imqueue/emq/tasks"
)

// webCSP is the policy under which the page has to work.
const webCSP = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"

// fakeMany is how many dead letters the fake has.
const fakeMany = 1_000_000

// fakeAPI answers as the HTTP API does, with data that looks real, so that the page
// can be tried by itself. Its dead letters are made when they are asked for.
type fakeAPI struct {
	t   *testing.T
	url string

	mu       sync.Mutex
	signedIn bool
	role     string
	readOnly bool
	masked   bool
	empty    bool
	hostile  bool
	now      time.Time
	triage   map[string]dlq.Triage
	state    map[string]dlq.State       // of letters that were changed, by app/id
	payload  map[string]json.RawMessage // of letters that were edited
	held     map[string]bool
	ops      []*dlq.Operation
	fail     int // status of the next unsafe request, once
	asked    []fakeRequest
	pushed   chan string
}

type fakeRequest struct {
	method, path, query, key, csrf string
	body                           map[string]any
	raw                            string
}

// fakeCause is a cause and the answer that it came of.
type fakeCause struct {
	dlq.Cause
	status  int
	payload string
	dead    int
}

func newFakeAPI(t *testing.T, set ...func(*fakeAPI)) *fakeAPI {
	t.Helper()
	f := &fakeAPI{
		t: t, signedIn: true, role: "operator", now: time.Now().UTC().Truncate(time.Second),
		triage: map[string]dlq.Triage{}, state: map[string]dlq.State{}, payload: map[string]json.RawMessage{},
		held: map[string]bool{"support": true}, pushed: make(chan string, 16),
	}
	for _, s := range set {
		s(f)
	}
	server := httptest.NewServer(f.routes())
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	f.url = server.URL
	return f
}

// webFiles serves the page: its files, and the page itself for every other path.
func webFiles(files fs.FS) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", webCSP)
		w.Header().Set("X-Content-Type-Options", "nosniff")
		name := strings.TrimPrefix(path.Clean(r.URL.Path), "/")
		if info, err := fs.Stat(files, name); err != nil || info.IsDir() {
			name = "index.html"
		}
		http.ServeFileFS(w, r, files, name)
	})
}

func (f *fakeAPI) routes() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", webFiles(os.DirFS("web")))
	handle := func(pattern string, h func(r *http.Request) any) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { f.serve(w, r, h) })
	}
	const v1 = "/api/v1"
	handle("GET "+v1+"/session", func(*http.Request) any {
		apps := []string{"shop", "support", "live"}
		if f.empty {
			apps = []string{}
		}
		name := "ann"
		if f.hostile {
			name = hostileTexts()[0]
		}
		return map[string]any{"name": name, "role": f.role, "csrf": "token-of-csrf", "read_only": f.readOnly, "masked": f.masked, "version": "v1.4.0", "apps": apps}
	})
	handle("POST "+v1+"/session", func(r *http.Request) any {
		if body(r)["token"] != "good-token" {
			return fakeProblem{Status: 401, Title: "Unauthorized", Detail: "unknown token"}
		}
		f.signedIn = true
		return map[string]any{}
	})
	handle("DELETE "+v1+"/session", func(*http.Request) any { f.signedIn = false; return nil })
	handle("GET "+v1+"/overview", f.overview)
	handle("GET "+v1+"/queues", f.queues)
	handle("GET "+v1+"/holds", func(*http.Request) any { return listOf(f.holds(), "") })
	handle("GET "+v1+"/limits", func(*http.Request) any {
		return listOf([]map[string]any{
			{"app": "shop", "endpoint": "messages.users", "limit": map[string]any{"calls": "200/s", "messages": "12000/m"}, "from": "set", "reason": f.text("new plan"), "by": "ann", "since": f.ago(50 * time.Hour)},
			{"app": "live", "endpoint": "rooms.add_members", "limit": map[string]any{"calls": "20/s"}, "reason": "another program shares it", "from": "set", "by": "bo", "since": f.ago(9 * time.Minute)},
		}, "")
	})
	handle("GET "+v1+"/unknowns", func(*http.Request) any {
		return listOf([]map[string]any{{"app": "shop", "kind": "message.send", "status": 418, "error": f.text("teapot"), "description": f.text("no coffee for 12 users"), "body": f.text(`{"error":"teapot","error_description":"no coffee for 12 users"}`), "task": "order-77", "count": 41, "first": f.ago(7 * time.Hour), "last": f.ago(4 * time.Minute)}}, "")
	})
	handle("GET "+v1+"/causes", func(r *http.Request) any {
		causes := []dlq.Cause{}
		for _, c := range f.causes() {
			if f.selects(r, c) {
				causes = append(causes, c.Cause)
			}
		}
		return listOf(causes, "")
	})
	handle("GET "+v1+"/causes/{app}/{id}", func(r *http.Request) any {
		for _, c := range f.causes() {
			if c.App == r.PathValue("app") && c.ID == r.PathValue("id") {
				return c.Cause
			}
		}
		return fakeProblem{Status: 404, Title: "Not Found", Detail: "no such cause"}
	})
	handle("POST "+v1+"/causes/{app}/{id}/{action}", func(r *http.Request) any {
		states := map[string]dlq.TriageState{"ack": dlq.TriageAcknowledged, "ignore": dlq.TriageIgnored, "reopen": dlq.TriageOpen}
		note, _ := body(r)["note"].(string)
		f.triage[r.PathValue("app")+"/"+r.PathValue("id")] = dlq.Triage{State: states[r.PathValue("action")], By: "ann", Note: note, At: f.now}
		return map[string]any{}
	})
	handle("GET "+v1+"/dead-letters", f.letters)
	handle("GET "+v1+"/dead-letters/{app}/{id}", func(r *http.Request) any {
		app, id := r.PathValue("app"), r.PathValue("id")
		for _, c := range f.causes() {
			if c.App == app {
				if i, ok := letterNumber(c.Cause, id); ok && i < c.dead {
					return f.letter(c, i, true)
				}
			}
		}
		return fakeProblem{Status: 404, Title: "Not Found", Detail: "dead letter " + id + " of " + app + ": not found"}
	})
	handle("POST "+v1+"/dead-letters/{app}/{id}/{action}", f.change)
	handle("GET "+v1+"/operations", func(*http.Request) any {
		all := make([]dlq.Operation, 0, len(f.ops)+2)
		for _, o := range f.ops {
			all = append(all, *o)
		}
		if !f.empty {
			all = append(all,
				dlq.Operation{ID: "op-1", App: "shop", Action: "resend", State: dlq.OpDone, Filter: "--app shop --cause user-missing-1f0a9c3e", By: "bo", Reason: f.text("accounts are back"), Priority: "low", Rate: 50, MadeAt: f.ago(26 * time.Hour), EndedAt: f.ago(25 * time.Hour), Members: 3120, Worked: 3120, Changed: 3101, Skipped: 19, Delivered: 3090, DeadAgain: 11},
				dlq.Operation{ID: "op-0", App: "live", Action: "discard", State: dlq.OpCancelled, Filter: "--app live --until 2026-02-01T00:00:00Z", By: "ann", Reason: "old", MadeAt: f.ago(72 * time.Hour), EndedAt: f.ago(71 * time.Hour), Members: 900, Worked: 400, Changed: 400})
		}
		return listOf(all, "")
	})
	handle("POST "+v1+"/operations", f.bulk)
	handle("POST "+v1+"/operations/preview", f.bulk)
	handle("GET "+v1+"/operations/{app}/{id}", func(r *http.Request) any {
		for _, o := range f.ops {
			if o.ID == r.PathValue("id") {
				if o.State == dlq.OpRunning {
					o.Worked = min(o.Members, o.Worked+o.Members/8+1)
					o.Changed, o.Delivered = o.Worked, o.Worked*9/10
					if o.Worked == o.Members {
						o.State, o.EndedAt = dlq.OpDone, f.now
						o.DeadAgain = o.Worked - o.Delivered
					}
				}
				return *o
			}
		}
		return fakeProblem{Status: 404, Title: "Not Found", Detail: "no such operation"}
	})
	handle("POST "+v1+"/operations/{app}/{id}/cancel", func(r *http.Request) any {
		for _, o := range f.ops {
			if o.ID == r.PathValue("id") {
				o.State, o.EndedAt = dlq.OpCancelled, f.now
			}
		}
		return map[string]any{}
	})
	handle("PATCH "+v1+"/operations/{app}/{id}", func(r *http.Request) any {
		for _, o := range f.ops {
			if o.ID == r.PathValue("id") {
				o.Rate, _ = body(r)["rate"].(float64)
			}
		}
		return map[string]any{}
	})
	handle("POST "+v1+"/holds", func(r *http.Request) any {
		app, _ := body(r)["app"].(string)
		f.held[app] = true
		return map[string]any{}
	})
	handle("DELETE "+v1+"/holds/{app}", func(r *http.Request) any { delete(f.held, r.PathValue("app")); return nil })
	handle("PUT "+v1+"/limits/{app}/{endpoint}", func(r *http.Request) any {
		limit, _ := body(r)["limit"].(map[string]any)
		if calls, _ := limit["calls"].(string); calls != "" {
			if _, err := tasks.ParseRates(calls); err != nil {
				return fakeProblem{Status: 422, Title: "Unprocessable", Detail: err.Error(), Errors: []map[string]any{{"location": "limit.calls", "message": err.Error(), "value": calls}}}
			}
		}
		return map[string]any{}
	})
	for _, pattern := range []string{"DELETE " + v1 + "/limits/{app}/{endpoint}", "POST " + v1 + "/queues/{queue}/{action}", "POST " + v1 + "/silences", "DELETE " + v1 + "/silences/{app}/{id}"} {
		handle(pattern, func(*http.Request) any { return map[string]any{} })
	}
	handle("GET "+v1+"/rules", func(*http.Request) any { return listOf(errclass.Default().Rules(), "") })
	handle("POST "+v1+"/explain", func(r *http.Request) any {
		b := body(r)
		text := func(name string) string { s, _ := b[name].(string); return s }
		status, _ := b["status"].(float64)
		raw := text("body")
		if raw == "" {
			out, _ := json.Marshal(map[string]string{"error": text("error"), "error_description": text("description")})
			raw = string(out)
		}
		v := errclass.Classify(errclass.Evidence{Kind: text("kind"), Attempt: 1, Status: int(status), Body: []byte(raw), Transport: errclass.Transport(text("transport")), Written: true})
		return map[string]any{"class": v.Class, "scope": v.Scope, "rule": v.Rule, "status": v.Status, "error": v.Error, "description": v.Description, "why": v.Why, "advice": v.Advice, "delay": v.Delay, "outcome_unknown": v.OutcomeUnknown}
	})
	handle("GET "+v1+"/alerts", func(*http.Request) any {
		if f.empty {
			return listOf([]any{}, "")
		}
		c := f.causes()[0]
		return listOf([]map[string]any{
			{"id": "n1", "fingerprint": "a", "event": "reminder", "severity": "critical", "subject": "hold", "app": "support", "title": errclass.Text{En: "support is held: " + f.text("the token was refused"), Zh: "support 已暂停（hold）：token 被拒绝"}, "facts": []map[string]any{{"name": errclass.Text{En: "waiting", Zh: "等待"}, "value": errclass.Text{En: "8,214"}}}, "advice": c.Advice, "command": "emq hold list --app support", "since": f.ago(3 * time.Hour), "at": f.ago(20 * time.Minute)},
			{"id": "n2", "fingerprint": "b", "event": "new", "severity": "warning", "subject": "cause", "app": "shop", "cause": c.ID, "title": errclass.Text{En: "New dead letters of shop: service_resource_not_found", Zh: "shop 出现新原因的死信"}, "count": c.dead, "advice": c.Advice, "command": "emq dlq show", "since": f.ago(50 * time.Minute), "at": f.ago(50 * time.Minute)},
		}, "")
	})
	handle("GET "+v1+"/silences", func(*http.Request) any {
		if f.empty {
			return listOf([]any{}, "")
		}
		return listOf([]dlq.Silence{{ID: "s1", App: "live", Until: f.now.Add(2 * time.Hour), By: f.text("bo"), Reason: f.text("load test"), Since: f.ago(time.Hour)}}, "")
	})
	handle("GET "+v1+"/audit", func(r *http.Request) any {
		lines := []dlq.AuditLine{}
		start, _ := strconv.Atoi(r.URL.Query().Get("cursor"))
		actions := []string{"resend", "ack", "start", "hold", "clear", "edit", "discard", "settled", "pause", "limit", "export"}
		for i := start; i < start+50 && i < 240 && !f.empty; i++ {
			what := []string{"order-8812-shipped", f.causes()[0].ID, "op-1", "shop", "shop", "order-9", "order-77", "order-12", "shop:messages.users:low", "shop/messages.users", "--app shop"}[i%11]
			lines = append(lines, dlq.AuditLine{At: f.ago(time.Duration(i*i) * time.Minute), By: []string{"ann", "bo", "chen"}[i%3], Action: actions[i%11], App: "shop", What: what, Count: 1 + (i*37)%5*(i%2)*400, Why: f.text([]string{"accounts are back", "", "客户确认未收到", "secret renewed"}[i%4])})
		}
		next := ""
		if start+50 < 240 && !f.empty {
			next = strconv.Itoa(start + 50)
		}
		return listOf(lines, next)
	})
	mux.HandleFunc("GET "+v1+"/events", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		f.mu.Lock()
		apps := []map[string]any{{"app": "shop", "dead": f.total("shop"), "pending": 12}, {"app": "support", "dead": 3, "held": f.held["support"]}, {"app": "live", "dead": f.total("live")}}
		if f.empty {
			apps = nil
		}
		f.mu.Unlock()
		raw, _ := json.Marshal(map[string]any{"apps": apps})
		_, _ = fmt.Fprintf(w, "event: counts\ndata: %s\n\n", raw)
		w.(http.Flusher).Flush()
		for {
			select {
			case <-r.Context().Done():
				return
			case text := <-f.pushed:
				_, _ = io.WriteString(w, text)
				w.(http.Flusher).Flush()
			}
		}
	})
	return mux
}

// fakeProblem is an answer that refuses.
type fakeProblem struct {
	Type   string           `json:"type"`
	Title  string           `json:"title"`
	Status int              `json:"status"`
	Detail string           `json:"detail"`
	Errors []map[string]any `json:"errors,omitempty"`
}

type bodyKey struct{}

func body(r *http.Request) map[string]any {
	b, _ := r.Context().Value(bodyKey{}).(map[string]any)
	return b
}

func (f *fakeAPI) serve(w http.ResponseWriter, r *http.Request, h func(*http.Request) any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	raw, _ := io.ReadAll(r.Body)
	q := fakeRequest{method: r.Method, path: r.URL.EscapedPath(), query: r.URL.RawQuery, key: r.Header.Get("Idempotency-Key"), csrf: r.Header.Get("X-CSRF-Token"), raw: string(raw)}
	_ = json.Unmarshal(raw, &q.body)
	f.asked = append(f.asked, q)
	var answer any
	login := strings.HasSuffix(r.URL.Path, "/session") && r.Method == http.MethodPost
	switch {
	case !f.signedIn && !login:
		answer = fakeProblem{Status: http.StatusUnauthorized, Title: "Unauthorized", Detail: "no session"}
	case r.Method != http.MethodGet && !login && (q.csrf != "token-of-csrf" || len(q.key) != 36):
		answer = fakeProblem{Status: http.StatusForbidden, Title: "Forbidden", Detail: "no CSRF token or no key"}
	case r.Method != http.MethodGet && f.fail != 0:
		answer = fakeProblem{Status: f.fail, Title: http.StatusText(f.fail), Detail: "as the test has it"}
		f.fail = 0
	default:
		answer = h(r.WithContext(contextWith(r, q.body)))
	}
	w.Header().Set("Cache-Control", "no-store")
	if p, refused := answer.(fakeProblem); refused {
		p.Type = "about:blank"
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(p.Status)
		answer = p
	} else if answer == nil {
		w.WriteHeader(http.StatusNoContent)
		return
	} else {
		w.Header().Set("Content-Type", "application/json")
	}
	_ = json.NewEncoder(w).Encode(answer) // the browser may have left
}

// sent are the unsafe requests so far whose path ends so.
func (f *fakeAPI) sent(suffix string) []fakeRequest {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(f.asked), func(q fakeRequest) bool {
		return q.method == http.MethodGet || !strings.HasSuffix(q.path, suffix)
	})
}

func (f *fakeAPI) with(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

func (f *fakeAPI) ago(d time.Duration) time.Time { return f.now.Add(-d) }

// text is a text of the data; in the hostile world it is one of those instead.
func (f *fakeAPI) text(plain string) string {
	if !f.hostile {
		return plain
	}
	texts := hostileTexts()
	return texts[len(plain)%len(texts)]
}

// hostileTexts try to run, to break out of their place, or to mislead.
func hostileTexts() []string {
	return []string{
		`<script>window.pwned=1</script>`,
		`<img src=x onerror="window.pwned=1">`,
		`"><svg onload=window.pwned=1><a href="javascript:window.pwned=1">x</a>`,
		"pay \u202egpj.exe\u202c \u2066now\u2069 \u200b\u0000\u0007",
		`{{constructor.constructor('window.pwned=1')()}}${window.pwned=1}`,
		strings.Repeat("😀👨‍👩‍👧🏳️‍🌈", 160),
		`</textarea></pre></bdi><iframe srcdoc="<script>parent.pwned=1</script>"></iframe>`,
		"\u0627\u0644\u0639\u0631\u0628\u064a\u0629 \u202b(\u05e2\u05d1\u05e8\u05d9\u05ea",
	}
}

// causes are those of the fake, judged by the real rules.
func (f *fakeAPI) causes() []fakeCause {
	if f.empty {
		return nil
	}
	make1 := func(app string, kind tasks.Kind, status int, code, description, payload string, dead, hour, before, day int, reason dlq.Reason, first time.Duration) fakeCause {
		raw, _ := json.Marshal(map[string]string{"error": code, "error_description": description})
		v := errclass.Classify(errclass.Evidence{Kind: string(kind), Attempt: 1, Status: status, Body: raw, Written: true})
		id := strings.ReplaceAll(v.Rule, "_", "-") + "-" + fmt.Sprintf("%08x", uint32(len(description)*2654435761+dead))
		c := dlq.Cause{
			ID: id, App: app, Kind: kind, Class: v.Class, Scope: v.Scope, Rule: v.Rule, Error: f.text(code), Description: f.text(errclass.Normalise(description)), Reason: reason,
			Counts: map[dlq.State]int{dlq.StateDead: dead, dlq.StateResending: dead / 400, dlq.StateResolved: dead / 3}, FirstSeen: f.ago(first), LastSeen: f.ago(first / 40),
			Trend: dlq.Trend{LastHour: hour, HourBefore: before, LastDay: day, DayBefore: day / 3}, Why: v.Why, Advice: v.Advice,
			Triage: dlq.Triage{State: dlq.TriageOpen, OpenedAt: f.ago(first)},
		}
		c.Sample = letterID(c, 0)
		if triage, ok := f.triage[app+"/"+id]; ok {
			c.Triage = triage
		}
		if dead == 0 {
			c.Triage.State = dlq.TriageResolved
		}
		return fakeCause{Cause: c, status: status, payload: payload, dead: dead}
	}
	return []fakeCause{
		make1("shop", "message.send", 404, "service_resource_not_found", "users [u1, u2] do not exist", `{"target":"users","to":["u1","buyer-20931"],"from":"admin","type":"txt","body":{"msg":"您的订单已发货，预计明天送达。Your order has been shipped."},"ext":{"order":8812345678901234567,"priority":1.0}}`, fakeMany-9000, 5400, 1210, 310221, dlq.ReasonVerdict, 20*time.Hour),
		make1("shop", "message.send", 504, "gateway_timeout", "no answer in time", `{"target":"users","to":["vip-88"],"from":"billing","type":"txt","body":{"msg":"Payment of ¥1,299.00 received."}}`, 214, 3, 30, 214, dlq.ReasonUnknownOutcome, 11*time.Hour),
		make1("shop", "group.add_members", 403, "exceed_limit", "group 4065 members exceed limit", `{"group_id":"4065","usernames":["u1","u2","u3","u4"]}`, 6104, 0, 77, 800, dlq.ReasonVerdict, 60*time.Hour),
		make1("live", "chatroom.mute_members", 400, "illegal_argument", "username [x] is not in room", `{"chatroom_id":"2210","usernames":["troll-7"],"mute_duration":86400000}`, 2600, 41, 41, 990, dlq.ReasonVerdict, 300*time.Hour),
		make1("live", "user.register", 400, "illegal_argument", "username is not legal", `{"users":[{"username":"New User!","password":"[hidden]"}]}`, 82, 2, 0, 6, dlq.ReasonVerdict, 500*time.Hour),
		make1("support", "call.raw", 500, "internal_server_error", "something went wrong", `{"method":"POST","path":"/users/u1/deactivate","body":{}}`, 3, 0, 0, 1, dlq.ReasonExhausted, 90*time.Hour),
		make1("live", "message.recall", 404, "message_missing", "message not found", `{"msg_id":"1094","to":"u1","chat_type":"chat","force":false}`, 0, 0, 0, 0, dlq.ReasonVerdict, 900*time.Hour),
	}
}

func (f *fakeAPI) total(app string) int {
	n := 0
	for _, c := range f.causes() {
		if c.App == app {
			n += c.dead
		}
	}
	return n
}

func letterID(c dlq.Cause, i int) string {
	return fmt.Sprintf("%s-%d-%s", strings.ReplaceAll(string(c.Kind), ".", "/"), i, c.ID[len(c.ID)-4:])
}

func letterNumber(c dlq.Cause, id string) (int, bool) {
	rest, ok := strings.CutPrefix(id, strings.ReplaceAll(string(c.Kind), ".", "/")+"-")
	n, tail, _ := strings.Cut(rest, "-")
	i, err := strconv.Atoi(n)
	return i, ok && err == nil && tail == c.ID[len(c.ID)-4:]
}

func (f *fakeAPI) selects(r *http.Request, c fakeCause) bool {
	q := r.URL.Query()
	is := func(name, value string) bool { return q.Get(name) == "" || q.Get(name) == value }
	return is("app", c.App) && is("kind", string(c.Kind)) && is("class", string(c.Class)) && is("error", c.Error) && is("status", strconv.Itoa(c.status)) && strings.HasPrefix(c.ID, q.Get("cause"))
}

func (f *fakeAPI) letter(c fakeCause, i int, whole bool) map[string]any {
	id := letterID(c.Cause, i)
	key := c.App + "/" + id
	state, changed := f.state[key]
	if !changed {
		state = dlq.StateDead
	}
	failed := c.LastSeen.Add(-time.Duration(i) * 7 * time.Second)
	payload, edited := f.payload[key]
	if !edited {
		payload = json.RawMessage(c.payload)
		if f.hostile {
			texts := hostileTexts()
			payload, _ = json.Marshal(map[string]any{"target": "users", "to": []string{texts[i%len(texts)], "u2", "u3"}, "from": texts[(i+1)%len(texts)], "type": "txt", "body": map[string]any{"msg": texts[i%len(texts)]}, "ext": map[string]any{texts[(i+2)%len(texts)]: texts[(i+3)%len(texts)]}})
		}
	}
	if f.masked {
		payload = json.RawMessage(`{"target":"users","to":["u1"],"from":"admin","type":"txt","body":"[masked]"}`)
	}
	e := map[string]any{
		"id": id, "app": c.App, "kind": c.Kind, "queue": c.App + ":messages.users:default", "state": state, "reason": c.Reason, "generation": 0,
		"class": c.Class, "scope": c.Scope, "rule": c.Rule, "error": c.Error, "status": c.status, "description": f.text(strings.ReplaceAll(c.Description, "?", "1")), "cause": c.ID,
		"why": c.Why, "advice": c.Advice, "enqueued_at": failed.Add(-3 * time.Hour), "first_failed_at": failed.Add(-2 * time.Hour), "last_failed_at": failed, "changed_at": failed, "payload": payload,
		"attempts": []dlq.Attempt{}, "events": []dlq.Event{},
	}
	attempts := []dlq.Attempt{}
	for n := 1; n <= 6; n++ {
		a := dlq.Attempt{Number: n, At: failed.Add(time.Duration(n*n)*time.Minute - 2*time.Hour), LatencyMS: int64(80 + 31*n), Status: 503, Class: errclass.ClassRetryable, Rule: "service-unavailable", Error: "service_unavailable", Description: f.text("the service is too busy"), Counted: true, Worker: "worker-2"}
		if n == 2 {
			a.Status, a.Transport, a.Rule, a.Error, a.Description, a.LatencyMS = 0, "timeout", "transport-timeout", "", "", 10000
		}
		attempts = append(attempts, a)
	}
	events := []dlq.Event{{At: failed.Add(-80 * time.Minute), Action: dlq.ActionDead}, {At: failed.Add(-40 * time.Minute), Action: dlq.ActionEdit, By: "bo", Note: f.text("typo in the name"), Before: payload}, {At: failed.Add(-39 * time.Minute), Action: dlq.ActionResend, By: f.text("bo"), Note: f.text("service is back"), Op: "op-1"}}
	attempts = append(attempts, dlq.Attempt{Generation: 1, Number: 1, At: failed, LatencyMS: 96, Status: c.status, Class: c.Class, Rule: c.Rule, Error: c.Error, Description: c.Description, Body: f.text(`{"error":"` + c.Error + `","error_description":"` + c.Description + `"}`), Counted: true, Worker: "worker-1", Targets: 2, Failed: 1})
	events = append(events, dlq.Event{At: failed.Add(time.Millisecond), Action: dlq.ActionDeadAgain})
	e["generation"] = 1
	if whole {
		e["attempts"], e["events"] = attempts, events
	} else {
		e["attempts"] = attempts
	}
	if c.Reason == dlq.ReasonUnknownOutcome {
		e["unknown"] = []string{"vip-88"}
	}
	return e
}

func (f *fakeAPI) letters(r *http.Request) any {
	q := r.URL.Query()
	limit, _ := strconv.Atoi(q.Get("limit"))
	if limit == 0 {
		limit = 50
	}
	start, _ := strconv.Atoi(q.Get("cursor"))
	free := q.Get("text") != "" || q.Get("target") != ""
	items := []any{}
	var causes []fakeCause
	for _, c := range f.causes() {
		if f.selects(r, c) {
			causes = append(causes, c)
		}
	}
	looked := 0
	i, more := start, false
	for ; ; i++ {
		alive := slices.DeleteFunc(slices.Clone(causes), func(c fakeCause) bool { return i >= c.dead })
		if len(alive) == 0 {
			break
		}
		if len(items) >= limit || looked >= 30 {
			more = true
			break
		}
		looked++
		for _, c := range alive {
			e := f.letter(c, i, false)
			if state := q.Get("state"); state != "" && state != fmt.Sprint(e["state"]) {
				continue
			}
			if raw, _ := json.Marshal(e); free && !strings.Contains(string(raw), q.Get("text")+q.Get("target")) {
				continue
			}
			items = append(items, e)
		}
	}
	next := ""
	if more {
		next = strconv.Itoa(i)
	}
	return listOf(items, next)
}

func (f *fakeAPI) change(r *http.Request) any {
	app, id, action := r.PathValue("app"), r.PathValue("id"), r.PathValue("action")
	key := app + "/" + id
	switch action {
	case "resend":
		f.state[key] = dlq.StateResending
	case "discard":
		f.state[key] = dlq.StateDiscarded
	case "restore":
		f.state[key] = dlq.StateDead
	case "resolve":
		if body(r)["outcome"] == "sent" {
			f.state[key] = dlq.StateResolved
		} else {
			f.state[key] = dlq.StateResending
		}
	case "edit":
		var b struct {
			Payload json.RawMessage `json:"payload"`
			Resend  bool            `json:"resend"`
		}
		raw, _ := json.Marshal(body(r)) // its numbers are not looked at
		_ = json.Unmarshal(raw, &b)
		kind := tasks.Kind(strings.Join(strings.SplitN(id, "/", 2)[:1], "") + "." + strings.SplitN(strings.SplitN(id, "/", 2)[1], "-", 2)[0])
		p, err := tasks.DecodePayload(kind, b.Payload)
		if err == nil {
			err = tasks.Task{ID: "x", App: app, Payload: p}.Validate()
		}
		var fe *tasks.FieldError
		if errors.As(err, &fe) {
			return fakeProblem{Status: 422, Title: "Unprocessable Entity", Detail: err.Error(), Errors: []map[string]any{{"location": "payload." + strings.TrimPrefix(fe.Field, "payload."), "message": fe.Bound, "value": fe.Value}}}
		}
		f.payload[key] = b.Payload
		if b.Resend {
			f.state[key] = dlq.StateResending
		}
	}
	return map[string]any{"state": f.state[key]}
}

func (f *fakeAPI) bulk(r *http.Request) any {
	b := body(r)
	filter, _ := b["filter"].(map[string]any)
	n, unknown := 0, 0
	all, _ := b["include_unknown"].(bool)
	for _, c := range f.causes() {
		q := r.Clone(r.Context())
		values := q.URL.Query()
		for k, v := range filter {
			values.Set(k, fmt.Sprint(v))
		}
		q.URL.RawQuery = values.Encode()
		switch {
		case !f.selects(q, c):
		case c.Reason == dlq.ReasonUnknownOutcome && b["action"] == "resend" && !all:
			unknown += c.dead
		default:
			n += c.dead
		}
	}
	if most, ok := b["max"].(float64); ok {
		n = min(n, int(most))
	}
	if strings.HasSuffix(r.URL.Path, "/preview") {
		return map[string]any{"count": n, "left_out_unknown": unknown}
	}
	app, _ := filter["app"].(string)
	reason, _ := b["reason"].(string)
	action, _ := b["action"].(string)
	rate, _ := b["rate"].(float64)
	o := &dlq.Operation{ID: fmt.Sprintf("op-%d", len(f.ops)+2), App: app, Action: action, State: dlq.OpRunning, Filter: "--app " + app, By: "ann", Reason: reason, Priority: "low", Rate: rate, MadeAt: f.now, Worker: "worker-1", Members: n}
	if cause, ok := filter["cause"].(string); ok {
		o.Filter += " --cause " + cause
	}
	f.ops = append(f.ops, o)
	return listOf([]dlq.Operation{*o}, "")
}

func (f *fakeAPI) holds() []map[string]any {
	items := []map[string]any{}
	if f.empty {
		return items
	}
	v := errclass.Classify(errclass.Evidence{Status: 401, Body: []byte(`{"error":"unauthorized","error_description":"Unable to authenticate due to expired access token"}`), FreshToken: true, Written: true})
	for _, app := range []string{"live", "shop", "support"} {
		if f.held[app] {
			items = append(items, map[string]any{"app": app, "rule": v.Rule, "error": f.text(v.Error), "description": f.text(v.Description), "status": 401, "why": v.Why, "advice": v.Advice, "since": f.ago(3 * time.Hour), "task": "ticket-1", "by": "worker-1"})
		}
	}
	return items
}

func (f *fakeAPI) overview(*http.Request) any {
	if f.empty {
		return listOf([]any{}, "")
	}
	wave := func(base, step int) []int {
		s := make([]int, 24)
		for i := range s {
			s[i] = max(0, base+step*((i*7)%11-5)+step*i/6)
		}
		return s
	}
	sum := func(s []int) (n int) {
		for _, v := range s {
			n += v
		}
		return n
	}
	number := func(base, step int) map[string]any {
		s := wave(base, step)
		return map[string]any{"total": sum(s), "series": s}
	}
	app := func(name string, scale int) map[string]any {
		held := slices.DeleteFunc(f.holds(), func(x map[string]any) bool { return x["app"] != name })
		causes := 0
		for _, c := range f.causes() {
			if c.App == name && c.dead > 0 {
				causes++
			}
		}
		a := map[string]any{
			"app": name, "holds": held, "queues": map[string]any{"pending": 12 * scale, "active": scale, "scheduled": 40, "retry": 3 * scale, "oldest_seconds": 14 * scale},
			"dead": f.total(name), "causes": causes,
			"last_hour": map[string]any{"delivered": number(900*scale, 60*scale), "failed": number(4*scale, 2*scale), "dead": sum(wave(scale, scale))},
			"last_day":  map[string]any{"delivered": number(20000*scale, 2600*scale), "failed": number(90*scale, 40*scale), "dead": sum(wave(9*scale, 6*scale))},
			"series":    map[string]any{"hour": wave(scale, scale)[:12], "day": wave(9*scale, 6*scale)},
			"limits":    []map[string]any{{"endpoint": "messages.users", "limit": map[string]any{"calls": "200/s", "messages": "12000/m"}, "from": "set"}, {"endpoint": "groups.add_members", "limit": map[string]any{"calls": "100/s"}, "from": "default"}},
		}
		if name == "support" {
			a["last_hour"], a["last_day"] = map[string]any{"delivered": nil, "failed": nil, "dead": 0}, map[string]any{"delivered": nil, "failed": nil, "dead": 1}
		}
		return a
	}
	return listOf([]any{app("shop", 9), app("support", 1), app("live", 3)}, "")
}

func (f *fakeAPI) queues(r *http.Request) any {
	items := []map[string]any{}
	if f.empty {
		return listOf(items, "")
	}
	for _, app := range []string{"shop", "support", "live"} {
		if only := r.URL.Query().Get("app"); only != "" && only != app {
			continue
		}
		for i, e := range []string{"messages.users", "messages.groups", "groups.add_members", "rooms.mute_members", "users.account"} {
			q := map[string]any{"name": app + ":" + e + ":default", "app": app, "endpoint": e, "priority": "default", "pending": (i * 811) % 1700, "active": i % 3, "scheduled": i * 4, "retry": (i * 13) % 20, "archived": 0, "paused": app == "support", "latency_ms": i * 4210}
			if app == "support" {
				q["paused_by"] = "hold"
			}
			if app == "live" && i == 1 {
				q["paused"], q["paused_by"], q["pause"] = true, "operator", dlq.Event{At: f.ago(time.Hour), Action: "pause", By: "bo", Note: f.text("moderation at work")}
			}
			items = append(items, q)
		}
	}
	return listOf(items, "")
}
