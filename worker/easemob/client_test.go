package easemob

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestDoSendsTheCall(t *testing.T) {
	t.Parallel()
	type sent struct {
		method, uri, body string
		header            http.Header
		length            int64
		chunked           []string
	}
	s := newServer(t)
	got := make(chan sent, 1)
	s.onCall = func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got <- sent{r.Method, r.RequestURI, string(body), r.Header, r.ContentLength, r.TransferEncoding}
		w.Header().Set("Retry-After", "7")
		_, _ = io.WriteString(w, `{"data":{}}`)
	}
	c := newClient(t, s.URL+"/") // the slash is tolerated
	for _, req := range []Request{
		post,
		{Method: "PUT", Path: "/chatgroups/1", Body: []byte(`{"groupname":"é"}`)},
		{Method: "PATCH", Path: "/x"},
		{Method: "DELETE", Path: "/chatgroups/1/users/u%2F1,u%C3%A9?a=b%20c&d"},
		{Method: "DELETE", Path: "/users/u1/user_channel", Body: []byte(`{"channel":"u2"}`)},
		{Method: "GET", Path: "/users/u1/disconnect"},
		{Method: "GET", Path: "/x?limit=10&cursor=abc", Body: []byte(`{"odd":true}`)},
		{Method: "POST", Path: "/users/u1/deactivate"},
		{Method: "POST", Path: "/messages/users", Body: bytes.Repeat([]byte("x"), 5*writeBuffer)},
		{Method: "PUT", Path: "/metadata/user/u1", Body: []byte("nickname=Ann+B&ext=%7B%7D"), Form: true},
	} {
		answer := mustDo(t, c, req)
		if answer.Status != 200 || string(answer.Body) != `{"data":{}}` || answer.Truncated || answer.FreshToken ||
			answer.RetryAfter != 7*time.Second || answer.Latency <= 0 {
			t.Errorf("%s %s: %+v", req.Method, req.Path, answer)
		}
		r := <-got
		if r.method != req.Method || r.uri != "/org/app"+req.Path || r.body != string(req.Body) ||
			r.length != int64(len(req.Body)) || r.chunked != nil {
			t.Errorf("%s %s: sent as %s %s, %d bytes, %v", req.Method, req.Path, r.method, r.uri, r.length, r.chunked)
		}
		contentType := "application/json"
		if req.Form {
			contentType = "application/x-www-form-urlencoded"
		}
		for name, want := range map[string]string{
			"Authorization": "Bearer token-of-fetch-number-1",
			"Content-Type":  contentType,
			"Accept":        "application/json",
			"User-Agent":    "emq",
		} {
			if r.header.Get(name) != want {
				t.Errorf("%s %s: %s is %q, want %q", req.Method, req.Path, name, r.header.Get(name), want)
			}
		}
		if _, ok := r.header["Accept-Encoding"]; ok {
			t.Error("a compressed answer was asked for")
		}
	}
	if n := s.fetches.Load(); n != 1 {
		t.Errorf("%d fetches, want 1", n)
	}
}

func TestDoReturnsEveryAnswer(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		status int
		body   string
	}{
		{"partial success", 200, `{"data":[{"result":false}]}`},
		{"empty", 200, ``},
		{"no content", 204, ``},
		{"not modified", 304, ``},
		{"bad request", 400, `{"error":"illegal_argument"}`},
		{"attribute service", 415, ``},
		{"limit", 429, `{"error":"reach_limit"}`},
		{"gateway", 502, `<html><h1>502 Bad Gateway</h1></html>`},
		{"not UTF-8", 504, "\xff\xfe\x00"},
		{"unknown status", 799, `?`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t)
			s.onCall = func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(c.status)
				_, _ = io.WriteString(w, c.body)
			}
			answer := mustDo(t, newClient(t, s.URL), post)
			if answer.Status != c.status || string(answer.Body) != c.body || answer.FreshToken {
				t.Errorf("got %d %q", answer.Status, answer.Body)
			}
			if n := s.calls.Load(); n != 1 {
				t.Errorf("%d calls, want 1", n)
			}
		})
	}
}

func TestDoCutsHugeBodies(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	c := newClient(t, s.URL)
	for _, row := range []struct {
		size      int
		announced bool
		truncated bool
	}{
		{writeBuffer, true, false},
		{writeBuffer + 1, true, false},
		{AnswerBodyMax, true, false},
		{AnswerBodyMax, false, false},
		{AnswerBodyMax + 1, true, true},
		{AnswerBodyMax + 1, false, true},
		{4 * AnswerBodyMax, true, true},
		{4 * AnswerBodyMax, false, true},
	} {
		body := bytes.Repeat([]byte("y"), row.size)
		s.set(func() {
			s.onCall = func(w http.ResponseWriter, _ *http.Request) {
				if row.announced {
					w.Header().Set("Content-Length", strconv.Itoa(row.size))
				} else {
					w.(http.Flusher).Flush()
				}
				_, _ = w.Write(body)
			}
		})
		answer := mustDo(t, c, post)
		if len(answer.Body) != min(row.size, AnswerBodyMax) || answer.Truncated != row.truncated {
			t.Errorf("%+v: %d bytes, truncated %v", row, len(answer.Body), answer.Truncated)
		}
	}
}

// TestDoCutsEndlessBodies: of a body that never ends no more is read than is kept, and
// the connection is given up.
func TestDoCutsEndlessBodies(t *testing.T) {
	t.Parallel()
	ended := make(chan struct{}, 1)
	s := newServer(t)
	s.onCall = func(w http.ResponseWriter, _ *http.Request) {
		part := bytes.Repeat([]byte("y"), 64<<10)
		for {
			if _, err := w.Write(part); err != nil {
				ended <- struct{}{}
				return
			}
		}
	}
	answer := mustDo(t, newClient(t, s.URL), post)
	if len(answer.Body) != AnswerBodyMax || !answer.Truncated {
		t.Errorf("%d bytes, truncated %v", len(answer.Body), answer.Truncated)
	}
	<-ended
}

func TestDoFollowsNoRedirect(t *testing.T) {
	t.Parallel()
	var leaked atomic.Int64
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { leaked.Add(1) }))
	t.Cleanup(elsewhere.Close)
	for _, status := range []int{301, 302, 303, 307, 308} {
		s := newServer(t)
		s.onCall = func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL+"/org/app/messages/users", status)
		}
		c := newClient(t, s.URL)
		for _, req := range []Request{post, {Method: "GET", Path: "/users/u1"}} {
			if answer := mustDo(t, c, req); answer.Status != status {
				t.Errorf("%s: status %d, want %d", req.Method, answer.Status, status)
			}
		}

		s = newServer(t)
		s.onToken = func(w http.ResponseWriter) bool {
			w.Header().Set("Location", elsewhere.URL+"/org/app/token")
			w.WriteHeader(status)
			return true
		}
		failure := mustFail(t, context.Background(), newClient(t, s.URL), post)
		if failure.Op != OpToken || failure.Status != status || failure.Transport != "" {
			t.Errorf("token: %v", failure)
		}
	}
	if n := leaked.Load(); n != 0 {
		t.Errorf("%d requests reached another host", n)
	}
}

func TestDoFirstCallersShareOneFetch(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	c := newClient(t, s.URL)
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			if answer, err := c.Do(context.Background(), post); err != nil || answer.Status != 200 || answer.FreshToken {
				t.Errorf("%+v, %v", answer, err)
			}
		})
	}
	wg.Wait()
	if n := s.fetches.Load(); n != 1 {
		t.Errorf("%d fetches, want 1", n)
	}
}

func TestDoRevokedTokenCostsOneFetch(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	c := newClient(t, s.URL)
	mustDo(t, c, post)
	s.revoke()
	var wg sync.WaitGroup
	var fresh atomic.Int64
	for range 64 {
		wg.Go(func() {
			answer, err := c.Do(context.Background(), post)
			if err != nil || answer.Status != 200 {
				t.Errorf("%+v, %v", answer, err)
			}
			if answer.FreshToken {
				fresh.Add(1)
			}
		})
	}
	wg.Wait()
	if n := s.fetches.Load(); n != 2 {
		t.Errorf("%d fetches, want 2", n)
	}
	if fresh.Load() == 0 {
		t.Error("no answer says that it came with a fresh token")
	}
	if calls, want := s.calls.Load(), 1+64+fresh.Load(); calls != want {
		t.Errorf("%d calls, want %d: one each, and one more for each fresh token", calls, want)
	}
}

func TestDoRepeatsWithinABound(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.onCall = func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = io.WriteString(w, `{"error":"unauthorized"}`)
	}
	c := newClient(t, s.URL)
	for n := int64(1); n <= 3; n++ {
		answer := mustDo(t, c, post)
		if answer.Status != 401 || !answer.FreshToken || string(answer.Body) != `{"error":"unauthorized"}` {
			t.Errorf("got %+v", answer)
		}
		if calls, fetches := s.calls.Load(), s.fetches.Load(); calls != n*(1+RenewalsMax) || fetches != 1+n*RenewalsMax {
			t.Errorf("%d calls and %d fetches, want %d and %d", calls, fetches, n*(1+RenewalsMax), 1+n*RenewalsMax)
		}
	}
}

// A last rejection that others have learned of already says nothing about the
// app's credentials.
func TestDoRejectionOfAReplacedTokenIsNoEvidence(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	c := newClient(t, s.URL)
	s.onCall = func(w http.ResponseWriter, _ *http.Request) {
		if s.calls.Load() == 1+RenewalsMax {
			c.tokens.mu.Lock()
			current := c.tokens.current
			c.tokens.mu.Unlock()
			c.tokens.reject(current)
		}
		w.WriteHeader(http.StatusUnauthorized)
	}
	if answer := mustDo(t, c, post); answer.Status != 401 || answer.FreshToken {
		t.Errorf("got %+v", answer)
	}
}

// The repeat is the same call: method, path, body and its type.
func TestDoRepeatsTheCallAsItWas(t *testing.T) {
	t.Parallel()
	for _, req := range []Request{
		post,
		{Method: "PUT", Path: "/metadata/user/u1", Body: []byte("nickname=Ann"), Form: true},
		{Method: "GET", Path: "/users/u1/disconnect"},
	} {
		s := newServer(t)
		var sent []string
		c := newClient(t, s.URL)
		s.onCall = func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			s.mu.Lock()
			sent = append(sent, r.Method+" "+r.RequestURI+" "+r.Header.Get("Content-Type")+" "+string(body))
			s.mu.Unlock()
			if s.calls.Load() == 1 {
				w.WriteHeader(http.StatusUnauthorized)
			}
		}
		if answer := mustDo(t, c, req); answer.Status != 200 || !answer.FreshToken {
			t.Errorf("%s: %+v", req.Path, answer)
		}
		contentType := "application/json"
		if req.Form {
			contentType = "application/x-www-form-urlencoded"
		}
		want := req.Method + " /org/app" + req.Path + " " + contentType + " " + string(req.Body)
		s.mu.Lock()
		if len(sent) != 2 || sent[0] != want || sent[1] != want {
			t.Errorf("sent %q, want twice %q", sent, want)
		}
		s.mu.Unlock()
	}
}

func TestDoAsksTokenRejected(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.onCall = func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = io.WriteString(w, `{"error":"MetadataException","error_description":"user is not in chatroom"}`)
	}
	c := newClient(t, s.URL, func(cfg *Config) {
		cfg.TokenRejected = func(status int, body []byte) bool {
			return status == 401 && bytes.Contains(body, []byte("OAuth"))
		}
	})
	if answer := mustDo(t, c, post); answer.Status != 401 || answer.FreshToken {
		t.Errorf("got %+v", answer)
	}
	if n := s.fetches.Load(); n != 1 {
		t.Errorf("%d fetches, want 1", n)
	}
	s.revoke()
	if answer := mustDo(t, c, post); answer.Status != 401 || !answer.FreshToken {
		t.Errorf("after the revocation: %+v", answer)
	}
}

func TestDoTokenEndpointFails(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		status int
		body   string
	}{
		{400, `{"error":"invalid_grant","error_description":"client_id does not match"}`},
		{404, `{"error":"organization_application_not_found"}`},
		{429, ``},
		{502, `<html>`},
		{201, `{"expires_in":1}`},
		{200, `{"expires_in":1}`},
		{200, `<html>welcome to the captive portal</html>`},
		{200, ``},
	} {
		s := newServer(t)
		s.onToken = func(w http.ResponseWriter) bool {
			w.WriteHeader(c.status)
			_, _ = io.WriteString(w, c.body)
			return true
		}
		client := newClient(t, s.URL)
		client.tokens.floor = time.Hour
		for range 3 {
			failure := mustFail(t, context.Background(), client, post)
			if failure.Op != OpToken || failure.Status != c.status || string(failure.Body) != c.body ||
				failure.Transport != "" || failure.Written {
				t.Errorf("%d %q: %+v", c.status, c.body, failure)
			}
		}
		if fetches, calls := s.fetches.Load(), s.calls.Load(); fetches != 1 || calls != 0 {
			t.Errorf("%d %q: %d fetches and %d calls, want 1 and 0", c.status, c.body, fetches, calls)
		}
	}
}

func TestDoNotesAnAcceptedToken(t *testing.T) {
	t.Parallel()
	for status, accepted := range map[int]bool{200: true, 302: true, 400: true, 403: true, 429: true, 401: false, 500: false, 502: false} {
		s := newServer(t)
		s.onCall = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }
		c := newClient(t, s.URL)
		mustDo(t, c, post)
		if got := c.tokens.current.accepted.Load(); got != accepted {
			t.Errorf("%d: accepted %v, want %v", status, got, accepted)
		}
	}
}

func TestDoFailedRefetchIsATokenError(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	c := newClient(t, s.URL)
	mustDo(t, c, post)
	s.set(func() {
		s.valid = ""
		s.onToken = func(w http.ResponseWriter) bool { w.WriteHeader(http.StatusServiceUnavailable); return true }
	})
	failure := mustFail(t, context.Background(), c, post)
	if failure.Op != OpToken || failure.Status != 503 || failure.Written {
		t.Errorf("got %+v", failure)
	}
}

func TestDoRefusesWhatCannotBeSent(t *testing.T) {
	t.Parallel()
	c := newClient(t, "http://127.0.0.1:1")
	for _, req := range []Request{
		{},
		{Method: "get", Path: "/x"},
		{Method: "TRACE", Path: "/x"},
		{Method: "CONNECT", Path: "/x"},
		{Method: "POST /x HTTP/1.1\r\n", Path: "/x"},
		{Method: "GET", Path: ""},
		{Method: "GET", Path: "users"},
		{Method: "GET", Path: "?x"},
		{Method: "GET", Path: "/a b"},
		{Method: "GET", Path: "/a?b c"},
		{Method: "GET", Path: "/a\r\nX: y"},
		{Method: "GET", Path: "/a#b"},
		{Method: "GET", Path: `/a\b`},
		{Method: "GET", Path: "/%zz"},
		{Method: "GET", Path: "/.."},
		{Method: "GET", Path: "/../other/users"},
		{Method: "GET", Path: "/users/%2e%2E/x"},
		{Method: "GET", Path: "/users/..%2f../x"},
		{Method: "GET", Path: "/./x"},
	} {
		failure := mustFail(t, context.Background(), c, req)
		if !errors.Is(failure, ErrInvalidRequest) || failure.Op != OpCall || failure.Transport != TransportOther || failure.Written {
			t.Errorf("%q %q: %v", req.Method, req.Path, failure)
		}
	}
}

func TestDoCancelled(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	entered, leave := make(chan struct{}, 2), make(chan struct{})
	s.onCall = func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		entered <- struct{}{}
		<-leave
	}
	defer close(leave)
	c := newClient(t, s.URL)

	ctx, cancel := context.WithCancel(context.Background())
	go func() { <-entered; cancel() }()
	failure := mustFail(t, ctx, c, post)
	if failure.Op != OpCall || failure.Transport != TransportCanceled || !failure.Written || !errors.Is(failure, context.Canceled) {
		t.Errorf("cancelled within the call: %+v", failure)
	}

	failure = mustFail(t, ctx, c, post)
	if failure.Op != OpCall || failure.Transport != TransportCanceled || failure.Written {
		t.Errorf("cancelled before the call: %+v", failure)
	}

	// A deadline of the caller's is a timeout.
	ctx, cancel = context.WithCancel(context.Background())
	defer cancel()
	deadline, stop := context.WithTimeout(ctx, 50*time.Millisecond)
	defer stop()
	failure = mustFail(t, deadline, c, post)
	if failure.Transport != TransportTimeout || !errors.Is(failure, context.DeadlineExceeded) {
		t.Errorf("deadline: %+v", failure)
	}
}

func TestDoWaitingForAConnectionIsNotWritten(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	entered, leave := make(chan struct{}, 1), make(chan struct{})
	s.onCall = func(http.ResponseWriter, *http.Request) { entered <- struct{}{}; <-leave }
	c := newClient(t, s.URL, func(cfg *Config) { cfg.MaxConns = 1 })
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := c.Do(context.Background(), post); err != nil {
			t.Error(err)
		}
	})
	<-entered
	ctx, stop := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer stop()
	failure := mustFail(t, ctx, c, post)
	if failure.Transport != TransportTimeout || failure.Written {
		t.Errorf("got %+v", failure)
	}
	// A fetch doesn't queue behind calls.
	if _, failure := c.tokens.fetch(context.Background()); failure != nil {
		t.Errorf("fetch with all connections busy: %v", failure)
	}
	close(leave)
	wg.Wait()
	if n := s.calls.Load(); n != 1 {
		t.Errorf("%d calls, want 1", n)
	}
}

// A dial goes on after the fetch that it was for has given up.
func TestDoStuckDialHoldsUpNoFetch(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	c := newClient(t, s.URL)
	var dials atomic.Int64
	c.fetches.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		if dials.Add(1) == 1 {
			<-c.life.Done()
			return nil, errClosed
		}
		return c.dial(ctx, network, address)
	}
	ctx, stop := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer stop()
	if _, failure := c.tokens.fetch(ctx); failure == nil || failure.Transport != TransportTimeout {
		t.Errorf("got %+v", failure)
	}
	mustDo(t, c, post)
}

func TestDoReusesConnections(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	var mu sync.Mutex
	from := map[string]bool{}
	s.onCall = func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		from[r.RemoteAddr] = true
		mu.Unlock()
		_, _ = fmt.Fprint(w, strings.Repeat("z", 2*writeBuffer))
	}
	c := newClient(t, s.URL)
	for range 20 {
		mustDo(t, c, post)
		mustDo(t, c, Request{Method: "GET", Path: "/users/u1"})
	}
	if len(from) != 1 {
		t.Errorf("%d connections for calls in a row, want 1", len(from))
	}
}

func TestClose(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	entered, leave := make(chan struct{}), make(chan struct{})
	s.onCall = func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		entered <- struct{}{}
		<-leave
	}
	defer close(leave)
	c := newClient(t, s.URL, within(TimeoutMax)) // it isn't the timeout that ends the call
	go func() { <-entered; c.Close() }()
	failure := mustFail(t, context.Background(), c, post)
	if failure.Transport != TransportCanceled || !failure.Written {
		t.Errorf("call under way: %+v", failure)
	}
	calls := s.calls.Load()
	failure = mustFail(t, context.Background(), c, post)
	if failure.Transport != TransportCanceled || failure.Written {
		t.Errorf("call afterwards: %+v", failure)
	}
	if s.calls.Load() != calls {
		t.Error("a closed client made a call")
	}
	c.Close() // once more does no harm
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]time.Duration{
		"":                              0,
		"0":                             0,
		"3":                             3 * time.Second,
		" 120 ":                         2 * time.Minute,
		"-1":                            0,
		"1.5":                           0,
		"soon":                          0,
		"4294967295":                    24 * time.Hour,
		"99999999999999999999":          0,
		"Mon, 02 Jan 2006 15:04:05 GMT": 0,
	} {
		if got := retryAfter(value); got != want {
			t.Errorf("%q: %v, want %v", value, got, want)
		}
	}
	at := time.Now().Add(time.Hour).UTC().Format(http.TimeFormat)
	if got := retryAfter(at); got < 58*time.Minute || got > time.Hour {
		t.Errorf("%q: %v, want about an hour", at, got)
	}
}

func BenchmarkDo(b *testing.B) {
	s := newServer(b)
	c := newClient(b, s.URL)
	mustDo(b, c, post)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if answer, err := c.Do(context.Background(), post); err != nil || answer.Status != 200 {
				b.Errorf("%d, %v", answer.Status, err)
			}
		}
	})
}
