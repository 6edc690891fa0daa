package admin

import (
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/imqueue/emq/dlq"
	"github.com/imqueue/emq/errclass"
	"github.com/imqueue/emq/tasks"
)

func TestQueuesAndHolds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, app := range []string{"shop", "support"} {
		client, err := tasks.NewClient(tasks.ClientConfig{Redis: w.redis, App: app})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := client.Enqueue(t.Context(), message()); err != nil {
			t.Fatal(err)
		}
	}
	created, err := w.store.SetHold(t.Context(), dlq.Hold{
		App: "shop", Rule: "secret-rejected", Status: 401, Error: "invalid_grant",
		Why: errclass.Text{En: "why", Zh: "为什么"}, Advice: errclass.Text{En: "advice", Zh: "建议"}, Task: "t1",
	})
	if err != nil || !created {
		t.Fatal(created, err)
	}

	var queues page
	w.get("/api/v1/queues").into(t, http.StatusOK, &queues)
	shop := tasks.QueueName("shop", tasks.EndpointMessagesUsers, tasks.Default)
	support := tasks.QueueName("support", tasks.EndpointMessagesUsers, tasks.Default)
	if want := []string{shop, support}; !equalSets(queues.all("name"), want) {
		t.Errorf("queues %q, want %q", queues.all("name"), want)
	}
	paused := tasks.QueueName("shop", tasks.EndpointRoomsOther, tasks.Low) // and never used
	if err := w.store.Pause(t.Context(), paused, dlq.Actor{Name: "ann"}); err != nil {
		t.Fatal(err)
	}
	w.get("/api/v1/queues?app=shop").into(t, http.StatusOK, &queues)
	if want := []string{shop, paused}; !equalSets(queues.all("name"), want) {
		t.Errorf("queues of shop %q, want %q", queues.all("name"), want)
	}
	for _, q := range queues.Items {
		pending, by, endpoint := 1.0, "hold", "messages.users"
		if q["name"] == paused {
			pending, by, endpoint = 0, "operator", "rooms.other"
		}
		if paused, _ := q["paused"].(bool); q["pending"] != pending || !paused || q["paused_by"] != by || q["endpoint"] != endpoint {
			t.Errorf("queue %v: want %v pending, paused by %s, endpoint %s", q, pending, by, endpoint)
		}
		if _, ok := q["latency_ms"].(float64); !ok {
			t.Errorf("queue %v has no latency_ms", q)
		}
	}

	var holds page
	w.get("/api/v1/holds").into(t, http.StatusOK, &holds)
	if len(holds.Items) != 1 || holds.Items[0]["app"] != "shop" || holds.Items[0]["rule"] != "secret-rejected" {
		t.Errorf("holds %v", holds.Items)
	}
	w.get("/api/v1/holds?app=support").into(t, http.StatusOK, &holds)
	if len(holds.Items) != 0 {
		t.Errorf("holds of support %v", holds.Items)
	}
}

func TestLimitsAndUnknowns(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	calls, err := tasks.ParseRates("5/s,100/m")
	if err != nil {
		t.Fatal(err)
	}
	if err := w.store.SetLimit(t.Context(), dlq.Limit{
		App: "shop", Endpoint: tasks.EndpointGroupsCreate, Limit: tasks.Limit{Calls: calls}, Reason: "another program", By: "ann", At: at,
	}); err != nil {
		t.Fatal(err)
	}
	for _, app := range []string{"shop", "support"} {
		w.die(app, "t1", message(), verdict(418, "teapot"), 0) // so that the app is known
		if err := w.store.NoteUnknown(t.Context(), dlq.Unknown{
			App: app, Kind: tasks.KindMessageSend, Status: 418, Error: "teapot", Description: "no coffee", Body: "<b>", Task: "t1",
		}); err != nil {
			t.Fatal(err)
		}
	}

	var limits page
	w.get("/api/v1/limits").into(t, http.StatusOK, &limits)
	want := map[string]any{
		"app": "shop", "endpoint": "groups.create", "limit": map[string]any{"calls": "5/s,100/m"},
		"reason": "another program", "by": "ann", "from": "set", "since": "2026-03-01T12:00:00Z",
	}
	if len(limits.Items) != 1 || !reflect.DeepEqual(limits.Items[0], want) {
		t.Errorf("limits %v, want %v", limits.Items, want)
	}
	w.get("/api/v1/limits?app=support").into(t, http.StatusOK, &limits)
	if len(limits.Items) != 0 {
		t.Errorf("limits of support %v", limits.Items)
	}

	var unknowns page
	w.get("/api/v1/unknowns").into(t, http.StatusOK, &unknowns)
	if !equalSets(unknowns.all("app"), []string{"shop", "support"}) {
		t.Errorf("unknowns %v", unknowns.Items)
	}
	w.get("/api/v1/unknowns?app=shop").into(t, http.StatusOK, &unknowns)
	if len(unknowns.Items) != 1 {
		t.Fatalf("unknowns of shop %v", unknowns.Items)
	}
	for field, want := range map[string]any{
		"app": "shop", "kind": "message.send", "status": 418.0, "error": "teapot", "description": "no coffee", "body": "<b>", "task": "t1", "count": 1.0,
	} {
		if got := unknowns.Items[0][field]; got != want {
			t.Errorf("%s is %v, want %v", field, got, want)
		}
	}
	for _, field := range []string{"first", "last"} {
		if _, err := time.Parse(time.RFC3339, fmt.Sprint(unknowns.Items[0][field])); err != nil {
			t.Error(field, err)
		}
	}
}

func equalSets(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

func TestEmptyListsAreArrays(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, path := range []string{"/api/v1/queues", "/api/v1/holds", "/api/v1/limits", "/api/v1/unknowns", "/api/v1/causes", "/api/v1/dead-letters", "/api/v1/operations", "/api/v1/audit"} {
		if got := strings.TrimSpace(string(w.get(path).body)); got != `{"items":[]}` {
			t.Errorf("%s: %s", path, got)
		}
	}
}

func TestHeadAsksAsGetDoes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if a := w.do(http.MethodHead, "/api/v1/queues", "localhost"); a.StatusCode != http.StatusOK {
		t.Errorf("status %d", a.StatusCode)
	}
	if a := w.do(http.MethodHead, "/api/v1/dead-letters/default/none", "localhost"); a.StatusCode != http.StatusNotFound {
		t.Errorf("status %d", a.StatusCode)
	}
}

// TestFilters lists and groups the same dead letters by every filter.
func TestFilters(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	human := verdict(403, "user_banned")
	human.Class = errclass.ClassNeedsHuman
	w.die("shop", "a", message(), verdict(404, "not_found"), 0)
	w.die("shop", "b", registration("x"), verdict(400, "illegal_argument"), 10)
	w.die("shop", "c", message(), human, 20)
	w.die("support", "d", message(), verdict(404, "not_found"), 30)
	if err := w.store.Discard(t.Context(), "shop", "c", dlq.Actor{}); err != nil {
		t.Fatal(err)
	}
	cause := func(app, id string) string {
		entry, err := w.store.Get(t.Context(), app, id)
		if err != nil {
			t.Fatal(err)
		}
		return entry.Cause
	}
	for query, want := range map[string]string{
		"":                                  "d c b a",
		"app=shop":                          "c b a",
		"app=nobody":                        "",
		"kind=message.send":                 "d c a",
		"kind=user.register":                "b",
		"class=permanent":                   "d b a",
		"class=needs-human":                 "c",
		"class=retryable":                   "",
		"error=not_found":                   "d a",
		"error=nothing":                     "",
		"status=404":                        "d a",
		"status=500":                        "",
		"state=dead":                        "d b a",
		"state=discarded":                   "c",
		"state=resending":                   "",
		"cause=" + cause("shop", "b"):       "b",
		"cause=test-user":                   "c",
		"since=2026-03-01T12:00:10Z":        "d c b",
		"since=2026-03-01T20:00:20%2B08:00": "d c",
		"until=2026-03-01T12:00:10Z":        "a",
		"since=2026-03-01T12:00:10Z&until=2026-03-01T12:00:20Z": "b",
		"until=1m": "d c b a",
		"app=shop&kind=message.send&class=permanent&error=not_found":  "a",
		"app=shop&kind=message.send&class=permanent&error=not_found&": "a",
		"kind=":                        "d c b a",
		"target=U1":                    "d c b a",
		"target=u2":                    "",
		"text=SHIPPED":                 "d c a",
		"text=shipped&state=discarded": "c",
		"target=u1&status=400":         "b",
		"status=404&class=permanent":   "d a",
		"since=2026-03-01":             "d c b a",
	} {
		var letters, causes page
		w.get("/api/v1/dead-letters?"+query).into(t, http.StatusOK, &letters)
		if got := strings.Join(letters.all("id"), " "); got != want {
			t.Errorf("%q lists %q, want %q", query, got, want)
		}
		w.get("/api/v1/causes?"+query).into(t, http.StatusOK, &causes)
		if got, want := causes.all("id"), unique(letters.all("cause")); !equalSets(got, want) {
			t.Errorf("%q has causes %q, want %q", query, got, want)
		}
	}
}

func unique(list []string) []string {
	return slices.Compact(slices.Sorted(slices.Values(list)))
}

func TestBadParameters(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	letters, causes, queues := "/api/v1/dead-letters", "/api/v1/causes", "/api/v1/queues"
	for _, test := range []struct{ path, query, field, detail string }{
		{letters, "staus=404", "staus", "known are app, kind, class, error, status, cause, state, target, text, since, until, limit, cursor"},
		{causes, "limit=5", "limit", "known are app, kind, class, error, status, cause, state, target, text, since, until"},
		{queues, "kind=message.send", "kind", "known are app"},
		{"/api/v1/holds", "x", "x", "known are app"},
		{"/api/v1/limits", "endpoint=a", "endpoint", "known are app"},
		{"/api/v1/unknowns", "app=Shop", "app", "lower-case"},
		{letters + "/shop/a", "app=shop", "app", "takes no parameters"},
		{letters, "app=a&app=b", "app", "more than once"},
		{letters, "app=%zz", "", "can't be read"},
		{letters, "a;b", "", "can't be read"},
		{letters, "app=Shop", "app", "lower-case"},
		{queues, "app=../x", "app", "lower-case"},
		{letters, "kind=message.sent", "kind", "message.send, message.recall"},
		{letters, "class=success", "class", "retryable, permanent, needs-human"},
		{letters, "class=Permanent", "class", "retryable, permanent, needs-human"},
		{letters, "status=99", "status", "100 to 599"},
		{letters, "status=600", "status", "100 to 599"},
		{letters, "status=4xx", "status", "100 to 599"},
		{letters, "state=gone", "state", "dead, resending, resolved, discarded"},
		{letters, "cause=abc", "cause", "at least 4"},
		{letters, "error=" + strings.Repeat("x", textMaxBytes+1), "error", "at most 256 bytes"},
		{letters, "target=" + strings.Repeat("x", 256), "target", "at most 255 bytes"},
		{causes, "text=a%00b", "text", "without control characters"},
		{letters, "since=yesterday", "since", "2026-01-31T09:00:00Z"},
		{letters, "until=-5m", "until", "2026-01-31T09:00:00Z"},
		{letters, "since=1m&until=2m", "until", "after since"},
		{letters, "limit=0", "limit", "1 to 1000"},
		{letters, "limit=1001", "limit", "1 to 1000"},
		{letters, "limit=-1", "limit", "1 to 1000"},
		{letters, "limit=99999999999999999999", "limit", "1 to 1000"},
		{letters, "cursor=nonsense", "cursor", "earlier page"},
		{letters, "cursor=" + strings.Repeat("A", textMaxBytes+1), "cursor", "at most 512 bytes"},
		{letters + "/SHOP/a", "", "app", "lower-case"},
	} {
		var p problem
		w.get(test.path+"?"+test.query).into(t, http.StatusBadRequest, &p)
		if p.Field != test.field || !strings.Contains(p.Detail, test.detail) {
			t.Errorf("%s?%.40s: field %q, detail %q; want %q and %q", test.path, test.query, p.Field, p.Detail, test.field, test.detail)
		}
	}
	if log := w.log.String(); log != "" {
		t.Errorf("mistakes of clients are logged: %s", log)
	}
}

func TestPaging(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const total = 60
	var want []string
	for i := range total {
		id := fmt.Sprintf("t%02d", i)
		w.die("shop", id, message(), verdict(404, "not_found"), i/3) // three at a time
		want = append(want, id)
	}
	slices.Reverse(want) // of the same time, the later ID comes first

	var first page
	w.get("/api/v1/dead-letters").into(t, http.StatusOK, &first)
	if len(first.Items) != dlq.PageDefault || first.NextCursor == "" {
		t.Errorf("a page without a limit has %d items and cursor %q", len(first.Items), first.NextCursor)
	}
	for _, limit := range []int{1, 7, total, dlq.PageMax} {
		var got []string
		pages, cursor := 0, ""
		for {
			var p page
			w.get(fmt.Sprintf("/api/v1/dead-letters?app=shop&limit=%d&cursor=%s", limit, url.QueryEscape(cursor))).into(t, http.StatusOK, &p)
			got = append(got, p.all("id")...)
			pages++
			if cursor = p.NextCursor; cursor == "" {
				break
			}
			if len(p.Items) != limit || pages > total {
				t.Fatalf("limit %d: page %d has %d items and a next one", limit, pages, len(p.Items))
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("limit %d lists %q, want %q", limit, got, want)
		}
	}
}

func TestDeadLetterByID(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, id := range []string{"plain", "order/8812/shipped", "a//b", "a/../b", "a/.", "x#1", "u@x=1,2+3"} {
		w.die("shop", id, message(), verdict(404, "not_found"), 0)
		var entry map[string]any
		w.get("/api/v1/dead-letters/shop/"+url.PathEscape(id)).into(t, http.StatusOK, &entry)
		if entry["id"] != id {
			t.Errorf("%q escaped gave %v", id, entry["id"])
		}
	}
	var entry map[string]any
	w.get("/api/v1/dead-letters/shop/order/8812/shipped").into(t, http.StatusOK, &entry)
	if entry["id"] != "order/8812/shipped" {
		t.Errorf("an ID with bare slashes gave %v", entry["id"])
	}
	for _, field := range []string{
		"id", "app", "kind", "class", "scope", "rule", "error", "status", "cause", "state", "generation", "attempts",
		"first_failed_at", "last_failed_at", "payload", "why", "advice", "events",
	} {
		if _, ok := entry[field]; !ok {
			t.Errorf("the dead letter has no %s: %v", field, entry)
		}
	}

	for _, path := range []string{"/api/v1/dead-letters/shop/none", "/api/v1/dead-letters/other/plain", "/api/v1/dead-letters/shop/", "/api/v1/dead-letters/shop/%00%ff"} {
		var p problem
		w.get(path).into(t, http.StatusNotFound, &p)
	}
}

// TestSecretsAreHidden looks for a password in every answer, also for a task
// that could not be decoded.
func TestSecretsAreHidden(t *testing.T) {
	t.Parallel()
	const secret = "correct-horse"
	w := newWorld(t)
	w.die("shop", "u1", registration(secret), verdict(400, "illegal_argument"), 0)
	err := w.store.Put(t.Context(), dlq.Death{
		Task: tasks.Task{ID: "u2", App: "shop"}, Reason: dlq.ReasonUndecodable, Verdict: verdict(0, "undecodable"), At: at,
		Raw: []byte(`{"v":99,"id":"u2","app":"shop","kind":"user.register","p":{"users":[{"username":"u2","password":"` + secret + `"}]}}`),
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{
		"/api/v1/dead-letters", "/api/v1/dead-letters/shop/u1", "/api/v1/dead-letters/shop/u2", "/api/v1/causes", "/api/v1/queues", "/api/v1/holds",
	} {
		a := w.get(path)
		if a.StatusCode != http.StatusOK {
			t.Fatalf("%s: %d: %s", path, a.StatusCode, a.body)
		}
		if strings.Contains(string(a.body), secret) {
			t.Errorf("%s shows the password: %s", path, a.body)
		}
	}
	if body := string(w.get("/api/v1/dead-letters/shop/u1").body); !strings.Contains(body, `"username":"u1"`) {
		t.Errorf("the rest of the payload is gone: %s", body)
	}
}

func TestOperationsAndAudit(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, id := range []string{"a", "b"} {
		w.die("shop", id, message(), verdict(404, "not_found"), 0)
	}
	by := dlq.Actor{Name: "ada", Note: "test data"}
	ops, err := w.store.Freeze(t.Context(), dlq.Bulk{Action: dlq.ActionDiscard, Filter: dlq.Filter{Status: 404}, By: by}, nil)
	if err != nil || len(ops) != 1 {
		t.Fatal(ops, err)
	}
	if err := w.store.Start(t.Context(), "shop", ops[0].ID, by); err != nil {
		t.Fatal(err)
	}
	if _, _, err := w.store.Work(t.Context(), ops[0], 1, "w1"); err != nil {
		t.Fatal(err)
	}
	var list page
	w.get("/api/v1/operations?app=shop").into(t, http.StatusOK, &list)
	var one map[string]any
	w.get("/api/v1/operations/shop/"+ops[0].ID).into(t, http.StatusOK, &one)
	if len(list.Items) != 1 || !reflect.DeepEqual(list.Items[0], one) {
		t.Errorf("listed %v, got %v", list.Items, one)
	}
	for field, want := range map[string]any{
		"action": "discard", "state": "running", "filter": "--status 404", "by": "ada", "reason": "test data", "members": 2.0, "worked": 1.0, "changed": 1.0,
	} {
		if one[field] != want {
			t.Errorf("%s is %v, want %v", field, one[field], want)
		}
	}
	var problem map[string]any
	w.get("/api/v1/operations/shop/none").into(t, http.StatusNotFound, &problem)

	if err := w.store.Discard(t.Context(), "shop", "b", dlq.Actor{Name: "bob"}); err != nil {
		t.Fatal(err)
	}
	var lines page
	w.get("/api/v1/audit?limit=1").into(t, http.StatusOK, &lines)
	if len(lines.Items) != 1 || lines.Items[0]["by"] != "bob" || lines.NextCursor == "" {
		t.Errorf("first page: %+v", lines)
	}
	next := lines.NextCursor
	lines = page{}
	w.get("/api/v1/audit?cursor="+url.QueryEscape(next)).into(t, http.StatusOK, &lines)
	if len(lines.Items) != 1 || lines.Items[0]["action"] != "start" || lines.Items[0]["count"] != 2.0 || lines.NextCursor != "" {
		t.Errorf("second page: %+v", lines)
	}
	lines = page{}
	w.get("/api/v1/audit?by=ada&app=shop&since=1h").into(t, http.StatusOK, &lines)
	if len(lines.Items) != 1 {
		t.Errorf("of ada: %+v", lines)
	}
	w.get("/api/v1/audit?since=soon").into(t, http.StatusBadRequest, &problem)
	if problem["field"] != "since" {
		t.Errorf("problem: %v", problem)
	}
}
