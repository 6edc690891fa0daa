package simulator_test

import (
	"encoding/json"
	"io"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/imqueue/emq/worker/easemob/simulator"
)

// control calls the control endpoint, without a token.
func (w *world) control(method, path, body string) answer {
	return serve(w.Simulator, request(method, "/_control"+path, body, ""))
}

func TestControlFaults(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Config{})
	got := w.control("POST", "/faults", `{"path":"/users","status":429,"latency":"1ms"}`)
	if got.status != 200 || canonical(t, got.body) != `{"ids":["f1"]}` {
		t.Fatalf("one fault: got %v", got)
	}
	got = w.control("POST", "/faults", `[{"id":"x","path":"/token","status":500},{"cut":"before","path":"/none"}]`)
	if got.status != 200 || canonical(t, got.body) != `{"ids":["x","f2"]}` {
		t.Fatalf("several: got %v", got)
	}
	if w.api("GET", "/users", "").status != 429 {
		t.Error("the fault does not apply")
	}
	got = w.control("GET", "/faults/f1", "")
	if want := `{"fault":{"id":"f1","latency":"1ms","path":"/users","status":429},"hits":1,"matched":1}`; canonical(t, got.body) != want {
		t.Errorf("got %v, want %s", got, want)
	}
	var all []simulator.FaultState
	if err := json.Unmarshal(w.control("GET", "/faults", "").body, &all); err != nil || !reflect.DeepEqual(all, w.Faults()) {
		t.Errorf("faults %+v, %v", all, err)
	}

	for body, want := range map[string]string{
		``:                               "empty",
		`{`:                              "unexpected EOF",
		`{"stauts":1}`:                   `unknown field \"stauts\"`,
		`{"status":99}`:                  "status 99: must be between 200 and 599",
		`{"id":"x","status":500}`:        "a fault has this id",
		`{"status":500}{"status":500}`:   "more than one JSON value",
		`[{"status":500}][]`:             "more than one JSON value",
		`[{"status":500},{"status":99}]`: "status 99",
		`[{"id":"y","status":500},{"id":"y","status":500}]`: "a fault has this id",
	} {
		if got := w.control("POST", "/faults", body); got.status != 400 || !strings.Contains(string(got.body), want) {
			t.Errorf("%s: got %v, want %s", body, got, want)
		}
	}
	if n := len(w.Faults()); n != 3 {
		t.Errorf("%d faults after refused ones, want 3: all or none", n)
	}
	if got := w.control("POST", "/faults", strings.Repeat(" ", simulator.ControlBodyMax+1)); got.status != 413 {
		t.Errorf("a large body: got %v", got)
	}

	if got := w.control("DELETE", "/faults/x", ""); got.status != 204 {
		t.Errorf("delete: got %v", got)
	}
	for _, method := range []string{"GET", "DELETE"} {
		if got := w.control(method, "/faults/x", ""); got.status != 404 {
			t.Errorf("%s of a fault that is gone: got %v", method, got)
		}
	}
	if got := w.control("DELETE", "/faults", ""); got.status != 204 || len(w.Faults()) != 0 {
		t.Errorf("delete all: got %v", got)
	}
}

func TestControlRecord(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Config{})
	for _, id := range []string{"a", "b", "a"} {
		w.api("POST", "/messages/users", strings.Replace(message, "t1", id, 1))
	}
	lines := func(query string) (seqs []int64) {
		t.Helper()
		got := w.control("GET", "/executed"+query, "")
		if got.status != 200 || got.header.Get("Content-Type") != "application/x-ndjson" {
			t.Fatalf("got %v", got)
		}
		for line := range strings.Lines(string(got.body)) {
			var e simulator.Execution
			if err := json.Unmarshal([]byte(line), &e); err != nil {
				t.Fatalf("%v: %s", err, line)
			}
			if e.Body == nil || len(e.IDs) != 1 || e.Path != "/messages/users" {
				t.Errorf("execution %s", line)
			}
			seqs = append(seqs, e.Seq)
		}
		return seqs
	}
	for query, want := range map[string][]int64{
		"": {1, 2, 3}, "?emq_id=a": {1, 3}, "?since=1": {2, 3}, "?emq_id=a&since=1": {3}, "?emq_id=none": nil, "?since=3": nil, "?emq_id=": nil,
	} {
		if got := lines(query); !reflect.DeepEqual(got, want) {
			t.Errorf("%q: got %v, want %v", query, got, want)
		}
	}
	for _, bad := range []string{"x", "-1"} {
		if got := w.control("GET", "/executed?since="+bad, ""); got.status != 400 || !strings.Contains(string(got.body), "since") {
			t.Errorf("since=%s: got %v", bad, got)
		}
	}
	want := `{"calls":{"POST /messages/users":{"200":3},"POST /token":{"200":1}},"distinct_emq_ids":2,"duplicates":1,"executed":3,"over_limit":{},"tokens_issued":1}`
	if got := w.control("GET", "/counts", ""); canonical(t, got.body) != want {
		t.Errorf("counts %v, want %s", got, want)
	}
}

func TestControlRest(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Config{})
	if got := w.control("GET", "/health", ""); got.status != 200 || canonical(t, got.body) != `{"status":"ok"}` {
		t.Errorf("health: got %v", got)
	}
	if got := w.control("POST", "/limits", `{"GET /chatgroups":{"calls":"1/s"}}`); got.status != 204 {
		t.Errorf("limits: got %v", got)
	}
	if a, b := w.api("GET", "/chatgroups", "").status, w.api("GET", "/chatgroups", "").status; a != 200 || b != 429 {
		t.Errorf("under the limit %d, over it %d", a, b)
	}
	for body, want := range map[string]string{
		`{"x":{}}`: `limit of \"x\": must be of an endpoint`, `{"accounts":{"call":"1/s"}}`: "unknown field", `{"accounts":{"calls":"-1/s"}}`: "at least 1",
		`{"accounts":{"messages":"1/25h"}}`: "1s to 24h", `{"accounts":{"calls":"1"}}`: `rate \"1\"`, `{"accounts":{"calls":"x/s"}}`: `rate \"x/s\"`, ``: "empty",
	} {
		if got := w.control("POST", "/limits", body); got.status != 400 || !strings.Contains(string(got.body), want) {
			t.Errorf("limits %s: got %v, want %s", body, got, want)
		}
	}
	if got := w.control("POST", "/limits", `{}`); got.status != 204 || w.api("GET", "/chatgroups", "").status != 200 {
		t.Errorf("no limits: got %v", got)
	}
	if got := w.control("POST", "/revoke-tokens", ""); got.status != 204 || w.api("GET", "/users", "").status != 401 {
		t.Errorf("revoke: got %v", got)
	}
	w.token = w.newToken()
	if got := w.control("POST", "/expire-tokens", ""); got.status != 204 || !strings.Contains(string(w.api("GET", "/users", "").body), "expired access token") {
		t.Errorf("expire: got %v", got)
	}
	if got := w.control("POST", "/secret", `{"client_secret":"other"}`); got.status != 204 || w.api("POST", "/token", credentials).status != 400 {
		t.Errorf("secret: got %v", got)
	}
	for path, bodies := range map[string]map[string]string{
		"/secret": {`{}`: "must not be empty", `{"app":"x#y","client_secret":"s"}`: "no such app key"},
		"/others": {`{"x":1}`: "must be of an endpoint", `{"accounts":-1}`: "at least 0", `[]`: "cannot unmarshal"},
		"/quotas": {`{"users":-1}`: "Quotas.Users -1: must be at least 0", `{"user":1}`: "unknown field"},
	} {
		for body, want := range bodies {
			if got := w.control("POST", path, body); got.status != 400 || !strings.Contains(string(got.body), want) {
				t.Errorf("%s %s: got %v, want %s", path, body, got, want)
			}
		}
	}
	if got := w.control("POST", "/quotas", `{"users":1}`); got.status != 204 {
		t.Errorf("quotas: got %v", got)
	}
	if got := w.control("POST", "/others", `{"accounts":1}`); got.status != 204 {
		t.Errorf("others: got %v", got)
	}
	if got := w.control("POST", "/reset", ""); got.status != 204 || len(w.Counts().Calls) != 0 {
		t.Errorf("reset: got %v", got)
	}
	if got := w.api("POST", "/token", credentials); got.status != 200 {
		t.Errorf("the secret after a reset: got %v", got)
	}
	w.Reset()
	for _, call := range []string{"GET /", "GET /nothing", "PUT /faults", "GET /reset"} {
		method, path, _ := strings.Cut(call, " ")
		if got := w.control(method, path, ""); got.status != 404 && got.status != 405 {
			t.Errorf("%s: got %v", call, got)
		}
	}
	if n := w.Counts(); len(n.Calls) != 0 {
		t.Errorf("control calls were counted: %v", n.Calls)
	}
}

// Everything at once, for the race detector; and what it leaves must add up.
func TestConcurrency(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Config{Now: time.Now, Limits: simulator.Limits{"GET /chatrooms": {Calls: simulator.Rates{{Count: 5, Per: time.Second}}}}})
	if err := w.CreateUsers("", "u1"); err != nil {
		t.Fatal(err)
	}
	const workers, each = 8, 60
	var wg sync.WaitGroup
	for i := range workers {
		name := string(rune('a' + i))
		wg.Go(func() {
			for range each {
				w.api("POST", "/messages/users", strings.Replace(message, "t1", name, 1))
				w.api("POST", "/users", `{"username":"`+name+`","password":"p"}`)
				w.api("POST", "/chatgroups", `{"public":true,"owner":"`+name+`","members":["u1"]}`)
				w.api("GET", "/chatgroups?limit=5", "")
				w.api("GET", "/chatrooms", "")
				w.api("POST", "/messages/msg_recall", `{"msg_id":"1","to":"u1","chat_type":"chat","force":true}`)
				w.api("DELETE", "/users/"+name, "")
			}
		})
	}
	wg.Go(func() {
		for range each {
			id, err := w.AddFault(simulator.Fault{Path: "/nothing", Status: 500})
			if err != nil {
				t.Error(err)
			}
			w.Counts()
			w.Faults()
			w.ExecutedSince(10)
			w.EmqIDs()
			w.User("", "u1")
			w.Group("", "1")
			_ = w.SetLimits(simulator.Limits{"GET /chatrooms": {Calls: simulator.Rates{{Count: 5, Per: time.Second}}}})
			w.RemoveFault(id)
		}
	})
	wg.Wait()
	n := w.Counts()
	if n.DistinctEmqIDs != workers || n.Duplicates != workers*(each-1) || n.Calls["POST /messages/users"][200] != workers*each {
		t.Errorf("counts %+v", n)
	}
	for i := range workers {
		if got := w.EmqIDs()[string(rune('a'+i))]; got != each {
			t.Errorf("id %c executed %d times, want %d", 'a'+i, got, each)
		}
	}
	if left := w.api("GET", "/chatgroups", "").data(t); left != "[]" {
		t.Errorf("groups of deleted owners: %s", left)
	}
}

func BenchmarkSend(b *testing.B) {
	for name, cfg := range map[string]simulator.Config{"record": {}, "norecord": {NoRecord: true}} {
		b.Run(name, func(b *testing.B) {
			s, err := simulator.New(cfg)
			if err != nil {
				b.Fatal(err)
			}
			var body struct {
				AccessToken string `json:"access_token"`
			}
			_ = json.Unmarshal(serve(s, request("POST", "/demo/emq/token", credentials, "")).body, &body)
			r := request("POST", "/demo/emq/messages/users", message, body.AccessToken)
			w := &nowhere{header: make(http.Header)}
			b.ReportAllocs()
			for b.Loop() {
				r.Body = io.NopCloser(strings.NewReader(message))
				s.ServeHTTP(w, r)
			}
			if n := s.Counts().Calls["POST /messages/users"]; len(n) != 1 || n[200] == 0 {
				b.Fatal(n)
			}
		})
	}
}

// nowhere is a response writer that keeps nothing.
type nowhere struct{ header http.Header }

func (n *nowhere) Header() http.Header         { return n.header }
func (n *nowhere) Write(b []byte) (int, error) { return len(b), nil }
func (n *nowhere) WriteHeader(int)             {}
