package easemob

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// TestRedirectsAreAnswers: neither TLS given up, nor a name or a port of the same
// host, nor the very same address is a reason to follow.
func TestRedirectsAreAnswers(t *testing.T) {
	t.Parallel()
	var leaked atomic.Int64
	plain := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { leaked.Add(1) }))
	t.Cleanup(plain.Close)
	for _, status := range []int{301, 302, 303, 307, 308} {
		for name, to := range map[string]string{
			"https to http": plain.URL + "/org/app/messages/users",
			"a loop":        "/org/app/messages/users",
			"no host":       "//" + strings.TrimPrefix(plain.URL, "http://") + "/org/app",
			"no URL":        "::::",
			"none":          "",
		} {
			s := httptest.NewUnstartedServer(nil)
			inner := &server{Server: s, expires: "0", onCall: func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Location", to)
				w.WriteHeader(status)
			}}
			s.Config.Handler = http.HandlerFunc(inner.handle)
			s.StartTLS()
			t.Cleanup(s.Close)
			answer := mustDo(t, trust(newClient(t, s.URL), inner), post)
			if calls := inner.calls.Load(); answer.Status != status || calls != 1 {
				t.Errorf("%d %s: status %d after %d requests, want %d after 1", status, name, answer.Status, calls, status)
			}
		}
	}
	if n := leaked.Load(); n != 0 {
		t.Errorf("%d requests left TLS", n)
	}
}

// TestUntrustedServerLearnsNothing: a server whose certificate nobody vouches for
// is refused before the client secret is sent.
func TestUntrustedServerLearnsNothing(t *testing.T) {
	t.Parallel()
	s := newTLSServer(t, 0)
	failure := mustFail(t, context.Background(), newClient(t, s.URL), post)
	if failure.Op != OpToken || failure.Transport != TransportTLS || failure.Written {
		t.Errorf("%+v, want a failed handshake", failure)
	}
	if n := s.fetches.Load() + s.calls.Load(); n != 0 {
		t.Errorf("%d requests reached it", n)
	}
	// The control: it does answer those who trust it.
	mustDo(t, trust(newClient(t, s.URL), s), post)
}

// TestAnswersWithoutEnd: an answer that never ends costs a bounded time and a
// bounded number of bytes, of a call and of a token fetch.
func TestAnswersWithoutEnd(t *testing.T) {
	t.Parallel()
	// drip is slow and steady: each byte comes well within any idle time.
	drip := func(c net.Conn, text string) {
		for {
			if _, err := io.WriteString(c, text); err != nil {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
	// pour is as fast as the client reads.
	pour := func(c net.Conn, text string) {
		for text := strings.Repeat(text, 1000); ; {
			if _, err := io.WriteString(c, text); err != nil {
				return
			}
		}
	}
	const head = "HTTP/1.1 200 OK\r\n"
	for name, tc := range map[string]struct {
		start string
		more  func(net.Conn, string)
		text  string
		// how the exchange ends; empty: with an answer, truncated
		call, token Transport
	}{
		"body poured":          {head + "\r\n", pour, "yyyyyyyy", "", ""},
		"body dripping":        {head + "\r\n", drip, "y", TransportTimeout, TransportTimeout},
		"chunks poured":        {head + "Transfer-Encoding: chunked\r\n\r\n", pour, "4\r\nyyyy\r\n", "", ""},
		"body announced":       {head + "Content-Length: 99999999999999\r\n\r\n", pour, "yyyyyyyy", "", ""},
		"headers poured":       {head, pour, "X-Y: yyyyyyyyyyyyyyyy\r\n", TransportOther, TransportOther},
		"headers dripping":     {head, drip, "X: y\r\n", TransportTimeout, TransportTimeout},
		"header without end":   {head + "X: ", pour, "yyyyyyyy", TransportOther, TransportOther},
		"status without end":   {"HTTP/1.1 200 ", pour, "yyyyyyyy", TransportOther, TransportOther},
		"interim answers":      {"", drip, "HTTP/1.1 102 Processing\r\n\r\n", TransportTimeout, TransportTimeout},
		"interim with headers": {"", pour, "HTTP/1.1 103 Early Hints\r\nLink: yyyyyyyyyyyyyyyyyyyyyyyyy\r\n\r\n", TransportOther, TransportOther},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address := listen(t, func(c *net.TCPConn, _ int) {
				if readRequest(bufio.NewReader(c)) {
					_, _ = io.WriteString(c, tc.start)
					tc.more(c, tc.text)
				}
			})
			timeout := 30 * time.Second // those that are cut by their size don't wait for it
			if tc.call == TransportTimeout {
				timeout = TimeoutMin
			}
			answer, err := withToken(newClient(t, address, within(timeout))).Do(context.Background(), post)
			check(t, "call", answer, err, tc.call)
			failure := mustFail(t, context.Background(), newClient(t, address, within(timeout)), post)
			if failure.Op != OpToken || failure.Transport != tc.token || len(failure.Body) > AnswerBodyMax {
				t.Errorf("token: %v: transport %q, want %q", failure, failure.Transport, tc.token)
			}
		})
	}
}

func check(t *testing.T, what string, answer Answer, err error, transport Transport) {
	t.Helper()
	if transport == "" {
		if err != nil || !answer.Truncated || len(answer.Body) != AnswerBodyMax {
			t.Errorf("%s: %d bytes, truncated %v, %v; want %d, cut", what, len(answer.Body), answer.Truncated, err, AnswerBodyMax)
		}
		return
	}
	if failure, ok := err.(*Error); !ok || failure.Transport != transport { //nolint:errorlint // Do promises the type itself
		t.Errorf("%s: %s, want %q", what, fmt.Sprint(err), transport)
	}
}
