package simulator_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/imqueue/emq/worker/easemob/simulator"
)

const message = `{"to":["u1"],"type":"txt","body":{"msg":"x"},"ext":{"emq_id":"t1"}}`

func TestFaultAnswers(t *testing.T) {
	t.Parallel()
	page := func(title string) string { return "<title>" + title + "</title>" }
	for name, tc := range map[string]struct {
		fault    simulator.Fault
		status   int
		body     string // contained
		header   string // Content-Type, contained
		executed int64
	}{
		"body":               {simulator.Fault{Status: 403, Body: map[string]any{"error": "forbidden_op"}}, 403, `{"error":"forbidden_op"}`, "application/json", 0},
		"text":               {simulator.Fault{Status: 200, BodyText: `{"data":`}, 200, `{"data":`, "text/plain", 0},
		"text, its own type": {simulator.Fault{Status: 400, BodyText: `{}`, Header: map[string]string{"Content-Type": "application/json"}}, 400, `{}`, "application/json", 0},
		"429":                {simulator.Fault{Status: 429}, 429, `"error":"reach_limit"`, "application/json", 0},
		"400":                {simulator.Fault{Status: 400}, 400, `"error":"illegal_argument"`, "application/json", 0},
		"401":                {simulator.Fault{Status: 401}, 401, `Unable to authenticate (OAuth)`, "application/json", 0},
		"404":                {simulator.Fault{Status: 404}, 404, `"error":"service_resource_not_found"`, "application/json", 0},
		"413":                {simulator.Fault{Status: 413}, 413, `"error":"Request Entity Too Large"`, "application/json", 0},
		"415":                {simulator.Fault{Status: 415}, 415, `Unsupported Media Type`, "application/json", 0},
		"500":                {simulator.Fault{Status: 500}, 500, `"error":"internal_server_error"`, "application/json", 0},
		"502":                {simulator.Fault{Status: 502}, 502, page("502 Bad Gateway"), "text/html", 0},
		"503":                {simulator.Fault{Status: 503}, 503, page("503 Service Unavailable"), "text/html", 0},
		"504, executed":      {simulator.Fault{Status: 504, Execute: true}, 504, page("504 Gateway Timeout"), "text/html", 1},
		"500, executed":      {simulator.Fault{Status: 500, Execute: true}, 500, "internal_server_error", "application/json", 1},
		"not json":           {simulator.Fault{NotJSON: true}, 502, page("502 Bad Gateway"), "text/html", 0},
		"not json, 200":      {simulator.Fault{NotJSON: true, Status: 200, Execute: true}, 200, page("200 OK"), "text/html", 1},
		"200 without a body": {simulator.Fault{Status: 200}, 200, "", "", 0},
		"wrong token":        {simulator.Fault{WrongToken: true}, 401, `Unable to authenticate (OAuth)`, "application/json", 0},
		"header alone":       {simulator.Fault{Header: map[string]string{"Retry-After": "7"}}, 200, `"u1":`, "application/json", 1},
		"latency alone":      {simulator.Fault{Latency: time.Millisecond}, 200, `"u1":`, "application/json", 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, simulator.Config{})
			id := must[string](t)(w.AddFault(tc.fault))
			got := w.api("POST", "/messages/users", message)
			if got.status != tc.status || !strings.Contains(string(got.body), tc.body) || !strings.Contains(got.header.Get("Content-Type"), tc.header) {
				t.Errorf("got %v with %v, want %d %s %s", got, got.header, tc.status, tc.body, tc.header)
			}
			for k, v := range tc.fault.Header {
				if got.header.Get(k) != v {
					t.Errorf("header %s is %q, want %q", k, got.header.Get(k), v)
				}
			}
			if n := w.Counts(); n.Executed != tc.executed || n.Calls["POST /messages/users"][tc.status] != 1 {
				t.Errorf("counts %+v, want %d executed", n, tc.executed)
			}
			if fs := w.Faults(); len(fs) != 1 || fs[0].Hits != 1 || fs[0].Fault.ID != id {
				t.Errorf("faults %+v", fs)
			}
		})
	}
}

func TestFaultWrongTokenIssued(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Config{})
	must[string](t)(w.AddFault(simulator.Fault{Path: "/token", WrongToken: true, Times: 1}))
	w.token = w.newToken()
	if got := w.api("GET", "/users", ""); got.status != 401 || !bytes.Contains(got.body, []byte("Unable to authenticate")) {
		t.Errorf("with the wrong token: got %v", got)
	}
	w.token = w.newToken()
	if got := w.api("GET", "/users", ""); got.status != 200 {
		t.Errorf("with the next one: got %v", got)
	}
}

func TestFaultMatching(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		fault simulator.Fault
		met   []string // "METHOD path body" that must be met
		not   []string
	}{
		"all":    {simulator.Fault{}, []string{"GET /users", "POST /token", "GET /nothing"}, nil},
		"method": {simulator.Fault{Method: "PUT"}, []string{"PUT /users/u1"}, []string{"POST /users"}},
		"path":   {simulator.Fault{Path: "/messages/users"}, []string{"POST /messages/users"}, []string{"POST /messages/chatgroups", "POST /messages/users/broadcast", "POST /messages"}},
		"star":   {simulator.Fault{Path: "/messages/*"}, []string{"POST /messages/users", "POST /messages/chatgroups"}, []string{"POST /messages", "POST /messages/users/broadcast", "GET /users/u1"}},
		"inner star": {
			simulator.Fault{Path: "/chatgroups/*/users"},
			[]string{"GET /chatgroups/1/users"},
			[]string{"GET /chatgroups/1/admin", "POST /chatgroups/1/users/u1"},
		},
		"below": {
			simulator.Fault{Path: "/chatgroups/*/**"},
			[]string{"GET /chatgroups/1/users", "POST /chatgroups/1/users/u1"},
			[]string{"GET /chatgroups/1", "GET /chatgroups", "GET /chatrooms/1/users"},
		},
		"all below":     {simulator.Fault{Path: "/messages/**"}, []string{"POST /messages/users", "POST /messages/users/broadcast"}, []string{"POST /messages", "GET /messagesx/y"}},
		"body":          {simulator.Fault{BodyContains: `"t7"`}, []string{`POST /messages/users {"ext":{"emq_id":"t7"}}`}, []string{`POST /messages/users {"ext":{"emq_id":"t77"}}`}},
		"app":           {simulator.Fault{App: "demo#emq"}, []string{"GET /users"}, nil},
		"app, another":  {simulator.Fault{App: "b#b"}, nil, []string{"GET /users"}},
		"all of it":     {simulator.Fault{App: "demo#emq", Method: "POST", Path: "/users", BodyContains: "x"}, []string{"POST /users x"}, []string{"POST /users y", "PUT /users x"}},
		"slash at last": {simulator.Fault{Path: "/users"}, []string{"GET /users/"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, simulator.Config{Apps: []simulator.App{
				{Key: "demo#emq", ClientID: simulator.ClientIDDefault, ClientSecret: simulator.ClientSecretDefault},
				{Key: "b#b", ClientID: "x", ClientSecret: "y"},
			}})
			tc.fault.Status = 418
			must[string](t)(w.AddFault(tc.fault))
			call := func(s string) int {
				parts := append(strings.SplitN(s, " ", 3), "")
				return w.api(parts[0], parts[1], parts[2]).status
			}
			for _, s := range tc.met {
				if call(s) != 418 {
					t.Errorf("%s was not met", s)
				}
			}
			for _, s := range tc.not {
				if call(s) == 418 {
					t.Errorf("%s was met", s)
				}
			}
		})
	}
}

func TestFaultOrderSkipTimes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Config{})
	must[string](t)(w.AddFault(simulator.Fault{ID: "a", Skip: 1, Times: 2, Status: 500}))
	must[string](t)(w.AddFault(simulator.Fault{Times: 1, Status: 429}))
	must[string](t)(w.AddFault(simulator.Fault{Method: "PUT", Status: 418}))
	var got []int
	for range 5 {
		got = append(got, w.api("GET", "/users", "").status)
	}
	if want := []int{429, 500, 500, 200, 200}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	fs := w.Faults()
	if len(fs) != 3 || fs[0].Fault.ID != "a" || fs[0].Matched != 5 || fs[0].Hits != 2 || fs[1].Fault.ID != "f1" || fs[1].Hits != 1 || fs[2].Matched != 0 {
		t.Errorf("faults %+v", fs)
	}
	if _, err := w.AddFault(simulator.Fault{ID: "f1", Status: 500}); !errors.Is(err, simulator.ErrFaultExists) {
		t.Errorf("an id twice: %v", err)
	}
	if !w.RemoveFault("f1") || w.RemoveFault("f1") {
		t.Error("removing f1 twice")
	}
	w.ClearFaults()
	if len(w.Faults()) != 0 || w.api("PUT", "/users/x", `{"nickname":"n"}`).status != 404 {
		t.Error("faults outlived ClearFaults")
	}
}

func TestFaultProbability(t *testing.T) {
	t.Parallel()
	draw := func(seed uint64) (hits int, pattern string) {
		w := newWorld(t, simulator.Config{Seed: seed})
		must[string](t)(w.AddFault(simulator.Fault{Path: "/users", Probability: 0.3, Status: 500}))
		for range 400 {
			if w.api("GET", "/users", "").status == 500 {
				hits, pattern = hits+1, pattern+"x"
			} else {
				pattern += "."
			}
		}
		return hits, pattern
	}
	hits, first := draw(1)
	if hits < 70 || hits > 170 { // 120 expected; five standard deviations
		t.Errorf("%d of 400 at 0.3", hits)
	}
	if _, again := draw(1); again != first {
		t.Error("the same seed drew differently")
	}
	if _, other := draw(2); other == first {
		t.Error("another seed drew the same")
	}
}

func TestFaultInvalid(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Config{})
	for name, tc := range map[string]struct {
		fault simulator.Fault
		want  string
	}{
		"nothing":         {simulator.Fault{Path: "/users"}, "nothing to do"},
		"status low":      {simulator.Fault{Status: 100}, "status 100: must be between 200 and 599"},
		"status high":     {simulator.Fault{Status: 600}, "status 600: must be between 200 and 599"},
		"times":           {simulator.Fault{Status: 500, Times: -1}, "times -1: must be at least 0"},
		"skip":            {simulator.Fault{Status: 500, Skip: -1}, "skip -1: must be at least 0"},
		"probability":     {simulator.Fault{Status: 500, Probability: 1.5}, "probability 1.5: must be between 0 and 1"},
		"probability NaN": {simulator.Fault{Status: 500, Probability: math.NaN()}, "probability NaN: must be between 0 and 1"},
		"latency":         {simulator.Fault{Latency: 2 * time.Hour}, "latency 2h0m0s: must be between 0 and 1h0m0s"},
		"cut":             {simulator.Fault{Cut: "midway"}, `cut "midway": must be "before" or "after"`},
		"method":          {simulator.Fault{Status: 500, Method: "get"}, `method "get": must be an HTTP method in capitals`},
		"path":            {simulator.Fault{Status: 500, Path: "users"}, `path "users": must start with /`},
		"pattern":         {simulator.Fault{Status: 500, Path: "/[x"}, `path "/[x": syntax error in pattern`},
		"app":             {simulator.Fault{Status: 500, App: "x#y"}, `app "x#y": no such app key`},
		"two bodies":      {simulator.Fault{Status: 500, Body: 1, BodyText: "1"}, "body and body_text: give one"},
		"body alone":      {simulator.Fault{Body: 1}, "body: needs a status"},
		"body, not json":  {simulator.Fault{Status: 500, BodyText: "x", NotJSON: true}, "body and not_json: give one"},
		"bad body":        {simulator.Fault{Status: 500, Body: func() {}}, "body: json: unsupported type"},
		"execute alone":   {simulator.Fault{Execute: true}, "execute: needs a status"},
		"cut and status":  {simulator.Fault{Cut: "after", Status: 500}, "cut: goes with latency alone"},
		"fail and status": {simulator.Fault{Fail: []string{"u"}, Status: 500}, "fail: goes with latency, header and cut after alone"},
		"token, status":   {simulator.Fault{WrongToken: true, Status: 500}, "wrong_token: goes with latency and header alone"},
	} {
		if _, err := w.AddFault(tc.fault); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: got %v, want %q", name, err, tc.want)
		}
	}
	if len(w.Faults()) != 0 {
		t.Errorf("faults in place: %+v", w.Faults())
	}
}

func TestFaultJSON(t *testing.T) {
	t.Parallel()
	full := simulator.Fault{
		ID: "i", App: "demo#emq", Method: "POST", Path: "/messages/*", BodyContains: "b", Skip: 1, Times: 2, Probability: 0.5,
		Status: 502, Body: map[string]any{"id": json.Number("9007199254740993")}, Header: map[string]string{"A": "b"},
		Latency: 1500 * time.Millisecond, Execute: true,
	}
	text, err := json.Marshal(full)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), `"latency":"1.5s"`) || !strings.Contains(string(text), `"body_contains":"b"`) {
		t.Errorf("encoded %s", text)
	}
	var back simulator.Fault
	if err := json.Unmarshal(text, &back); err != nil || !reflect.DeepEqual(back, full) {
		t.Errorf("read back %+v, %v", back, err)
	}
	rest := simulator.Fault{BodyText: "t", Cut: "after", NotJSON: true, WrongToken: true, Fail: []string{"u1"}}
	text, _ = json.Marshal(rest)
	if err := json.Unmarshal(text, &back); err != nil || !reflect.DeepEqual(back, rest) {
		t.Errorf("read back %+v, %v", back, err)
	}
	for body, want := range map[string]string{
		`{"stauts":500}`:    `unknown field "stauts"`,
		`{"latency":"2"}`:   `latency "2": must be a duration`,
		`{"latency":200}`:   "latency",
		`{"status":"5xx"}`:  "status",
		`{"cut":"after"`:    "unexpected end",
		`{"times":1.5}`:     "times",
		`{"Latency ": "x"}`: `unknown field "Latency "`,
	} {
		if err := json.Unmarshal([]byte(body), &back); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", body, err, want)
		}
	}
}

func TestLoadFaults(t *testing.T) {
	t.Parallel()
	file := func(text string) string {
		t.Helper()
		name := filepath.Join(t.TempDir(), "faults")
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	want := []simulator.Fault{
		{Path: "/messages/*", Times: 3, Status: 429, Body: map[string]any{"error": "reach_limit", "id": json.Number("9007199254740993")}},
		{Path: "/token", Cut: "before", Latency: 200 * time.Millisecond},
	}
	for name, text := range map[string]string{
		"yaml": "# faults\n- path: /messages/*\n  times: 3\n  status: 429\n  body: {error: reach_limit, id: 9007199254740993}\n- path: /token\n  cut: before\n  latency: 200ms\n",
		"json": "[\n\t{\"path\":\"/messages/*\",\"times\":3,\"status\":429,\"body\":{\"error\":\"reach_limit\",\"id\":9007199254740993}},\n\t{\"path\":\"/token\",\"cut\":\"before\",\"latency\":\"200ms\"}]",
	} {
		if got, err := simulator.LoadFaults(file(text)); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v, %v", name, got, err)
		}
	}
	if got, err := simulator.LoadFaults(file("[]")); err != nil || len(got) != 0 {
		t.Errorf("an empty list: %v, %v", got, err)
	}
	for text, want := range map[string]string{
		"- status: 500\n- stauts: 500\n": `[1]: json: unknown field "stauts"`,
		"status: 500\n":                  "sequence",
		"- [1]\n":                        "[0]",
		"- status: 500\n  status: 501\n": "status",
		`[{"latency":"x"}]`:              `[0]: latency "x"`,
		"- a: [\n":                       "",
	} {
		if got, err := simulator.LoadFaults(file(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, %v, want %q", text, got, err, want)
		}
	}
	if _, err := simulator.LoadFaults(filepath.Join(t.TempDir(), "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}

// network is a world behind a real listener.
func network(t *testing.T, cfg simulator.Config) (w *world, post func(body string) (status int, err error)) {
	t.Helper()
	w = newWorld(t, cfg)
	srv := httptest.NewServer(w)
	transport := &http.Transport{}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		srv.Close()
	})
	client := &http.Client{Transport: transport}
	return w, func(body string) (int, error) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, srv.URL+"/demo/emq/messages/users", strings.NewReader(body))
		if err != nil {
			return 0, err
		}
		r.Header.Set("Authorization", "Bearer "+w.token)
		resp, err := client.Do(r)
		if err != nil {
			return 0, err
		}
		defer func() { _ = resp.Body.Close() }()
		_, err = io.Copy(io.Discard, resp.Body)
		return resp.StatusCode, err
	}
}

func TestFaultCut(t *testing.T) {
	t.Parallel()
	for cut, executed := range map[string]int64{simulator.CutBefore: 0, simulator.CutAfter: 1} {
		w, post := network(t, simulator.Config{Faults: []simulator.Fault{{Path: "/messages/*", Times: 1, Cut: cut}}})
		if status, err := post(message); err == nil {
			t.Errorf("cut %s: got status %d", cut, status)
		}
		n := w.Counts()
		if n.Executed != executed || n.Calls["POST /messages/users"][0] != 1 {
			t.Errorf("cut %s: counts %+v, want %d executed", cut, n, executed)
		}
		if status, err := post(message); err != nil || status != 200 {
			t.Errorf("cut %s: the next call: %v", cut, err)
		}
		if n := w.Counts(); n.Duplicates != executed || w.EmqIDs()["t1"] != int(executed)+1 {
			t.Errorf("cut %s: counts %+v, %v", cut, n, w.EmqIDs())
		}
	}
}

func TestFaultCutWithoutConnection(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Config{})
	must[string](t)(w.AddFault(simulator.Fault{Cut: simulator.CutAfter}))
	defer func() {
		if err, ok := recover().(error); !ok || !errors.Is(err, http.ErrAbortHandler) {
			t.Errorf("recovered %v, want http.ErrAbortHandler", err)
		}
		if w.Counts().Executed != 1 {
			t.Error("not executed")
		}
	}()
	w.api("POST", "/messages/users", message)
}

// A caller that gives up during the latency has been served, unless the fault
// says that it has not.
func TestFaultLatencyOutlastsCaller(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		fault    simulator.Fault
		executed int64
	}{
		"slow answer":   {simulator.Fault{Latency: time.Hour}, 1},
		"slow refusal":  {simulator.Fault{Latency: time.Hour, Status: 500}, 0},
		"never served":  {simulator.Fault{Latency: time.Hour, Cut: simulator.CutBefore}, 0},
		"served, mute":  {simulator.Fault{Latency: time.Hour, Cut: simulator.CutAfter}, 1},
		"wrong, served": {simulator.Fault{Latency: time.Hour, Status: 504, Execute: true}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, simulator.Config{Faults: []simulator.Fault{{Path: "/messages/*", Latency: tc.fault.Latency, Status: tc.fault.Status, Cut: tc.fault.Cut, Execute: tc.fault.Execute}}})
			srv := httptest.NewServer(w)
			defer srv.Close()
			ctx, leave := context.WithCancel(t.Context())
			defer leave()
			left := make(chan error, 1)
			go func() {
				r, err := http.NewRequestWithContext(ctx, http.MethodPost, srv.URL+"/demo/emq/messages/users", strings.NewReader(message))
				if err == nil {
					r.Header.Set("Authorization", "Bearer "+w.token)
					var resp *http.Response
					if resp, err = srv.Client().Do(r); err == nil {
						_ = resp.Body.Close()
					}
				}
				left <- err
			}()
			for w.Faults()[0].Hits == 0 { // the call has arrived
				select {
				case err := <-left:
					t.Fatalf("the caller was answered: %v", err)
				case <-time.After(time.Millisecond):
				}
			}
			leave()
			if err := <-left; !errors.Is(err, context.Canceled) {
				t.Errorf("the caller got %v", err)
			}
			srv.Close() // waits for the handler, which the caller's leaving ends
			if n := w.Counts(); n.Executed != tc.executed || n.Calls["POST /messages/users"][0] != 1 {
				t.Errorf("counts %+v, want %d executed", n, tc.executed)
			}
		})
	}
}

// Whatever is cut, refused or answered wrong, the record is exact.
func TestRecordExactUnderFaults(t *testing.T) {
	t.Parallel()
	w, post := network(t, simulator.Config{Seed: 7, Faults: []simulator.Fault{
		{ID: "after", Path: "/messages/*", Probability: 0.1, Cut: simulator.CutAfter},
		{ID: "before", Path: "/messages/*", Probability: 0.1, Cut: simulator.CutBefore},
		{ID: "gateway", Path: "/messages/*", Probability: 0.1, Status: 502, Execute: true},
		{ID: "refused", Path: "/messages/*", Probability: 0.1, Status: 503},
	}})
	const callers, each = 8, 100
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for range each {
				_, _ = post(message)
			}
		})
	}
	wg.Wait()

	hits := make(map[string]int)
	for _, f := range w.Faults() {
		if f.Hits == 0 {
			t.Errorf("%s never applied", f.Fault.ID)
		}
		hits[f.Fault.ID] = f.Hits
	}
	n := w.Counts()
	calls := n.Calls["POST /messages/users"]
	if got := calls[0] + calls[200] + calls[502] + calls[503]; got != callers*each {
		t.Errorf("counted %d calls of %d: %v", got, callers*each, calls)
	}
	if want := int64(callers*each - hits["before"] - hits["refused"]); n.Executed != want || int64(len(w.Executed())) != want || int64(w.EmqIDs()["t1"]) != want || n.Duplicates != want-1 {
		t.Errorf("executed %d, recorded %d, of one id %d, duplicates %d, want %d", n.Executed, len(w.Executed()), w.EmqIDs()["t1"], n.Duplicates, want)
	}
	if calls[0] != int64(hits["before"]+hits["after"]) || calls[200] != n.Executed-int64(hits["after"]+hits["gateway"]) {
		t.Errorf("calls %v with hits %v", calls, hits)
	}
	ids := make(map[string]bool)
	for i, e := range w.Executed() {
		if e.Seq != int64(i)+1 || ids[e.IDs[0]] {
			t.Fatalf("execution %d is %+v", i, e)
		}
		ids[e.IDs[0]] = true
	}
}
