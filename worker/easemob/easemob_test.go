package easemob

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	testSecret = "YXA6-canary-secret/with+odd=chars&<>"
	testID     = "YXA6-client-id"
)

// server is an Easemob that knows one app: it gives out tokens and lets calls
// in that carry the newest.
type server struct {
	*httptest.Server
	fetches, calls atomic.Int64

	mu      sync.Mutex
	valid   string                                   // the token that calls are let in with
	expires string                                   // JSON of expires_in
	onToken func(http.ResponseWriter) bool           // answers a fetch; false: the usual answer
	onCall  func(http.ResponseWriter, *http.Request) // answers a call let in
}

func newServer(t testing.TB) *server {
	s := &server{expires: "0"}
	s.Server = httptest.NewServer(http.HandlerFunc(s.handle))
	t.Cleanup(s.Close)
	return s
}

func (s *server) handle(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/org/app/token" {
		s.token(w, r)
		return
	}
	s.calls.Add(1)
	s.mu.Lock()
	valid, onCall := s.valid, s.onCall
	s.mu.Unlock()
	if valid == "" || r.Header.Get("Authorization") != "Bearer "+valid {
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = fmt.Fprint(w, `{"error":"unauthorized","error_description":"Unable to authenticate (OAuth)"}`)
		return
	}
	if onCall != nil {
		onCall(w, r)
		return
	}
	_, _ = fmt.Fprint(w, `{"data":{"u1":"1"}}`)
}

func (s *server) token(w http.ResponseWriter, r *http.Request) {
	n := s.fetches.Add(1)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.onToken != nil && s.onToken(w) {
		return
	}
	var asked map[string]string
	if err := json.NewDecoder(r.Body).Decode(&asked); err != nil || r.Method != http.MethodPost ||
		asked["grant_type"] != "client_credentials" || asked["client_id"] != testID || asked["client_secret"] != testSecret {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = fmt.Fprint(w, `{"error":"invalid_grant","error_description":"client_secret does not match"}`)
		return
	}
	s.valid = fmt.Sprintf("token-of-fetch-number-%d", n)
	_, _ = fmt.Fprintf(w, `{"access_token":%q,"expires_in":%s,"application":"x"}`, s.valid, s.expires)
}

// set changes the server under its lock.
func (s *server) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

func (s *server) revoke() { s.set(func() { s.valid = "" }) }

// newClient returns a client whose pause between fetches is too short to wait
// for; tests of the pause itself run on a fake clock.
func newClient(t testing.TB, url string, change ...func(*Config)) *Client {
	t.Helper()
	cfg := Config{URL: url, AppKey: "org#app", ClientID: testID, ClientSecret: testSecret, Timeout: 10 * time.Second}
	for _, f := range change {
		f(&cfg)
	}
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	c.tokens.floor = time.Millisecond
	t.Cleanup(c.Close)
	return c
}

// someToken is a token that no fetch brought.
const someToken = "some-token"

// withToken spares c the first fetch.
func withToken(c *Client) *Client {
	c.tokens.current = newToken(someToken, time.Now(), 0)
	return c
}

var post = Request{Method: "POST", Path: "/messages/users", Body: []byte(`{"to":["u1"]}`)}

func within(d time.Duration) func(*Config) { return func(c *Config) { c.Timeout = d } }

// mustDo makes a call that has to be answered.
func mustDo(t testing.TB, c *Client, req Request) Answer {
	t.Helper()
	answer, err := c.Do(context.Background(), req)
	if err != nil {
		t.Fatalf("Do: %v", err)
	}
	return answer
}

// mustFail makes a call that has to fail.
func mustFail(t testing.TB, ctx context.Context, c *Client, req Request) *Error { //nolint:revive // t comes first
	t.Helper()
	answer, err := c.Do(ctx, req)
	if err == nil {
		t.Fatalf("Do: answer with status %d, want an error", answer.Status)
	}
	failure, ok := err.(*Error) //nolint:errorlint // Do promises the type itself
	if !ok {
		t.Fatalf("Do: %T, want *Error", err)
	}
	if !strings.HasPrefix(failure.Error(), "easemob: "+failure.Op) {
		t.Errorf("text %q doesn't begin with the operation", failure)
	}
	return failure
}
