package simulator_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/imqueue/emq/worker/easemob/simulator"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// clock is a clock that tests move by hand.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// world is a simulator with a token, called without a network.
type world struct {
	*simulator.Simulator
	t     *testing.T
	clock *clock
	token string
}

func newWorld(t *testing.T, cfg simulator.Config) *world {
	t.Helper()
	w := &world{t: t, clock: newClock()}
	if cfg.Now == nil {
		cfg.Now = w.clock.Now
	}
	s, err := simulator.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	w.Simulator = s
	w.token = w.newToken()
	return w
}

func (w *world) newToken() string {
	w.t.Helper()
	var body struct {
		AccessToken string `json:"access_token"`
	}
	got := w.do("POST", "/demo/emq/token", credentials)
	if err := json.Unmarshal(got.body, &body); err != nil || body.AccessToken == "" {
		w.t.Fatalf("no token in %d %s", got.status, got.body)
	}
	return body.AccessToken
}

const credentials = `{"grant_type":"client_credentials","client_id":"` + simulator.ClientIDDefault +
	`","client_secret":"` + simulator.ClientSecretDefault + `"}`

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   []byte
}

func (a answer) String() string { return fmt.Sprintf("%d %s", a.status, a.body) }

// data returns the data field, re-encoded with sorted keys.
func (a answer) data(t *testing.T) string {
	t.Helper()
	var body map[string]json.RawMessage
	if err := json.Unmarshal(a.body, &body); err != nil {
		t.Fatalf("%v: %s", err, a.body)
	}
	return canonical(t, body["data"])
}

func canonical(t *testing.T, raw []byte) string {
	t.Helper()
	if len(raw) == 0 {
		return ""
	}
	var v any
	dec := json.NewDecoder(strings.NewReader(string(raw)))
	dec.UseNumber()
	if err := dec.Decode(&v); err != nil {
		t.Fatalf("%v: %s", err, raw)
	}
	out, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// refused returns the words that errors are told apart by.
func (a answer) refused(t *testing.T) (code, text string) {
	t.Helper()
	var body struct {
		Error       *string `json:"error"`
		Exception   *string `json:"exception"`
		Description *string `json:"error_description"`
		Timestamp   *int64  `json:"timestamp"`
		Duration    *int64  `json:"duration"`
	}
	if err := json.Unmarshal(a.body, &body); err != nil {
		t.Fatalf("%v: %s", err, a.body)
	}
	if body.Error == nil || body.Exception == nil || body.Description == nil || body.Timestamp == nil || body.Duration == nil {
		t.Fatalf("not the shape of an error: %s", a.body)
	}
	return *body.Error, *body.Description
}

func request(method, path, body, token string) *http.Request {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	return r
}

func serve(h http.Handler, r *http.Request) answer {
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, r)
	return answer{rec.Code, rec.Header(), rec.Body.Bytes()}
}

// do calls the simulator with the world's token.
func (w *world) do(method, path, body string) answer {
	return serve(w.Simulator, request(method, path, body, w.token))
}

// api calls an endpoint of the first app.
func (w *world) api(method, path, body string) answer { return w.do(method, "/demo/emq"+path, body) }

// step is one call of a table and what must come back; empty fields are not
// looked at.
type step struct {
	name         string
	method, path string
	body         string
	status       int
	code, text   string // of a refusal; text exactly
	data         string // canonical JSON of data
}

func (w *world) run(steps []step) {
	w.t.Helper()
	for _, st := range steps {
		got := w.api(st.method, st.path, st.body)
		name := st.name
		if name == "" {
			name = st.method + " " + st.path + " " + st.body
		}
		if st.status == 0 {
			st.status = 200
		}
		if got.status != st.status {
			w.t.Errorf("%s: got %v, want %d", name, got, st.status)
			continue
		}
		if st.code != "" {
			if code, text := got.refused(w.t); code != st.code || text != st.text {
				w.t.Errorf("%s: got %q %q, want %q %q", name, code, text, st.code, st.text)
			}
		}
		if st.data != "" {
			if data := got.data(w.t); data != st.data {
				w.t.Errorf("%s: data %s, want %s", name, data, st.data)
			}
		}
	}
}

// wantTargets compares what the record says since its nth execution.
func (w *world) wantTargets(since int64, want ...string) {
	w.t.Helper()
	var got []string
	for _, e := range w.ExecutedSince(since) {
		got = append(got, e.Method+" "+strings.Join(e.Targets, ","))
	}
	if !reflect.DeepEqual(got, want) {
		w.t.Errorf("executed %q, want %q", got, want)
	}
}

func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}
