package easemob

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// listen serves raw connections: script is given each one, and its number from
// 0, and the connection is closed when it returns. It returns the server's URL.
func listen(t *testing.T, script func(c *net.TCPConn, n int)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for n := 0; ; n++ {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer func() { _ = c.Close() }()
				script(c.(*net.TCPConn), n)
			})
		}
	})
	t.Cleanup(func() { _ = l.Close(); wg.Wait() })
	return "http://" + l.Addr().String()
}

// readRequest reads one whole request, and reports whether there was one.
func readRequest(r *bufio.Reader) bool {
	req, err := http.ReadRequest(r)
	if err != nil {
		return false
	}
	_, err = io.Copy(io.Discard, req.Body)
	return err == nil
}

// stall holds the connection open until the client drops it.
func stall(c net.Conn) { _, _ = io.Copy(io.Discard, c) }

func TestBrokenExchanges(t *testing.T) {
	t.Parallel()
	// Long enough for a request to be written and headers to be read first.
	const patience = 500 * time.Millisecond
	for _, row := range []struct {
		name    string
		script  func(c *net.TCPConn, r *bufio.Reader)
		timeout time.Duration
		want    Transport
		status  int
		unsure  bool // whether it was written depends on who is faster
	}{
		{
			name:   "cut before the request is read",
			script: func(c *net.TCPConn, _ *bufio.Reader) { _ = c.SetLinger(0) },
			want:   TransportReset, unsure: true,
		},
		{
			name:   "closed after the request is read",
			script: func(_ *net.TCPConn, r *bufio.Reader) { readRequest(r) },
			want:   TransportReset,
		},
		{
			name:   "reset after the request is read",
			script: func(c *net.TCPConn, r *bufio.Reader) { readRequest(r); _ = c.SetLinger(0) },
			want:   TransportReset,
		},
		{
			name: "cut between two headers",
			script: func(c *net.TCPConn, r *bufio.Reader) {
				readRequest(r)
				_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n")
			},
			want: TransportReset,
		},
		{
			// net/http takes it for a header without a colon.
			name: "cut within a header",
			script: func(c *net.TCPConn, r *bufio.Reader) {
				readRequest(r)
				_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Le")
			},
			want: TransportOther,
		},
		{
			name: "cut within the body",
			script: func(c *net.TCPConn, r *bufio.Reader) {
				readRequest(r)
				_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"data\":")
			},
			want: TransportReset, status: 200,
		},
		{
			name: "cut before the body",
			script: func(c *net.TCPConn, r *bufio.Reader) {
				readRequest(r)
				_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
			},
			want: TransportReset, status: 200,
		},
		{
			name: "cut within a long body",
			script: func(c *net.TCPConn, r *bufio.Reader) {
				readRequest(r)
				_, _ = io.WriteString(c, "HTTP/1.1 500 X\r\nContent-Length: 100000\r\n\r\n{\"error\":")
			},
			want: TransportReset, status: 500,
		},
		{
			name: "cut within a chunk",
			script: func(c *net.TCPConn, r *bufio.Reader) {
				readRequest(r)
				_, _ = io.WriteString(c, "HTTP/1.1 503 X\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n{\"error\":")
			},
			want: TransportReset, status: 503,
		},
		{
			name: "broken chunks",
			script: func(c *net.TCPConn, r *bufio.Reader) {
				readRequest(r)
				_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nno chunk\r\n")
			},
			want: TransportOther, status: 200,
		},
		{
			name:    "no headers in time",
			script:  func(c *net.TCPConn, r *bufio.Reader) { readRequest(r); stall(c) },
			timeout: patience,
			want:    TransportTimeout,
		},
		{
			name: "headers drop by drop",
			script: func(c *net.TCPConn, r *bufio.Reader) {
				readRequest(r)
				for {
					if _, err := io.WriteString(c, "H"); err != nil {
						return
					}
					time.Sleep(patience / 5)
				}
			},
			timeout: patience,
			want:    TransportTimeout,
		},
		{
			name: "body stalls",
			script: func(c *net.TCPConn, r *bufio.Reader) {
				readRequest(r)
				_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"data\":")
				stall(c)
			},
			timeout: patience,
			want:    TransportTimeout, status: 200,
		},
		{
			name: "body drop by drop",
			script: func(c *net.TCPConn, r *bufio.Reader) {
				readRequest(r)
				_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
				for {
					if _, err := io.WriteString(c, "1\r\nx\r\n"); err != nil {
						return
					}
					time.Sleep(patience / 50)
				}
			},
			timeout: patience,
			want:    TransportTimeout, status: 200,
		},
		{
			name: "not HTTP",
			script: func(c *net.TCPConn, r *bufio.Reader) {
				readRequest(r)
				_, _ = io.WriteString(c, "220 mail.example ESMTP\r\n")
				stall(c)
			},
			want: TransportOther,
		},
		{
			name: "headers without end",
			script: func(c *net.TCPConn, r *bufio.Reader) {
				readRequest(r)
				_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nX: "+strings.Repeat("x", 4*headerMaxBytes)+"\r\n\r\n")
				stall(c)
			},
			want: TransportOther,
		},
		{
			name: "small headers without end",
			script: func(c *net.TCPConn, r *bufio.Reader) {
				readRequest(r)
				for text := "HTTP/1.1 200 OK\r\n"; ; text = strings.Repeat("X: x\r\n", 1000) {
					if _, err := io.WriteString(c, text); err != nil {
						return
					}
				}
			},
			want: TransportOther,
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			var requests atomic.Int64
			url := listen(t, func(c *net.TCPConn, _ int) {
				requests.Add(1)
				row.script(c, bufio.NewReader(c))
			})
			timeout := row.timeout
			if timeout == 0 {
				timeout = 10 * time.Second
			}
			for _, req := range []Request{post, {Method: "GET", Path: "/users/u1/disconnect"}, {Method: "DELETE", Path: "/users/u1"}} {
				before := requests.Load()
				c := withToken(newClient(t, url, within(timeout)))
				failure := mustFail(t, context.Background(), c, req)
				if failure.Op != OpCall || failure.Transport != row.want || failure.Status != row.status || failure.Body != nil ||
					failure.Err == nil || failure.Latency <= 0 {
					t.Errorf("%s: %+v", req.Method, failure)
				}
				if !failure.Written && !row.unsure {
					t.Errorf("%s: the request was written: %v", req.Method, failure)
				}
				if n := requests.Load() - before; n != 1 {
					t.Errorf("%s: sent %d times", req.Method, n)
				}
			}

			// The same from the token endpoint: the call, at least, wasn't written.
			failure := mustFail(t, context.Background(), newClient(t, url, within(timeout)), post)
			if failure.Op != OpToken || failure.Written || failure.Transport != row.want {
				t.Errorf("token: %+v", failure)
			}
		})
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	c := newClient(t, "http://"+l.Addr().String())
	if failure := mustFail(t, context.Background(), c, post); failure.Op != OpToken ||
		failure.Transport != TransportRefused || failure.Written {
		t.Errorf("token: %+v", failure)
	}
	if failure := mustFail(t, context.Background(), withToken(c), post); failure.Op != OpCall ||
		failure.Transport != TransportRefused || failure.Written || !errors.Is(failure, syscall.ECONNREFUSED) {
		t.Errorf("call: %+v", failure)
	}
}

// A kept connection that dies under a request is where net/http repeats one by
// itself. A written request must not be.
func TestWrittenIsNotRepeated(t *testing.T) {
	t.Parallel()
	for _, reset := range []bool{false, true} {
		for _, req := range []Request{
			{Method: "GET", Path: "/users/u1/disconnect"},
			{Method: "GET", Path: "/users/u1/disconnect", Body: []byte(`{}`)},
			{Method: "DELETE", Path: "/users/u1"},
			{Method: "PUT", Path: "/users/u1", Body: []byte(`{}`)},
			{Method: "POST", Path: "/users/u1/deactivate"},
			post,
		} {
			t.Run(fmt.Sprintf("%s, %d bytes, reset %v", req.Method, len(req.Body), reset), func(t *testing.T) {
				t.Parallel()
				var requests atomic.Int64
				url := listen(t, func(c *net.TCPConn, _ int) {
					r := bufio.NewReader(c)
					for first := true; readRequest(r); first = false {
						requests.Add(1)
						if !first {
							if reset {
								_ = c.SetLinger(0)
							}
							return
						}
						_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
					}
				})
				c := withToken(newClient(t, url))
				mustDo(t, c, req)
				failure := mustFail(t, context.Background(), c, req)
				if failure.Transport != TransportReset || !failure.Written {
					t.Errorf("got %+v", failure)
				}
				if n := requests.Load(); n != 2 {
					t.Errorf("the server saw %d requests, want 2", n)
				}
			})
		}
	}
}

// deadConn is a connection whose writes fail from the second on, as if it had
// died without the client noticing.
type deadConn struct {
	net.Conn
	writes atomic.Int64
}

func (c *deadConn) Write(b []byte) (int, error) {
	if c.writes.Add(1) > 1 {
		return 0, &net.OpError{Op: "write", Net: "tcp", Err: os.NewSyscallError("write", syscall.EPIPE)}
	}
	return c.Conn.Write(b)
}

// What was not written is sent on another connection, and if there is none then
// the call counts as not written.
func TestUnwrittenGoesToAnotherConnection(t *testing.T) {
	t.Parallel()
	for _, refused := range []bool{false, true} {
		s := newServer(t)
		s.valid = someToken
		c := withToken(newClient(t, s.URL))
		var dials atomic.Int64
		c.calls.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			n := dials.Add(1)
			if n > 1 && refused {
				return nil, &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
			}
			raw, err := c.dial(ctx, network, address)
			if n > 1 || err != nil {
				return raw, err
			}
			return &deadConn{Conn: raw}, nil
		}
		mustDo(t, c, post)
		if !refused {
			if answer := mustDo(t, c, post); answer.Status != 200 {
				t.Errorf("status %d", answer.Status)
			}
		} else if failure := mustFail(t, context.Background(), c, post); failure.Transport != TransportRefused || failure.Written {
			t.Errorf("got %+v", failure)
		}
		if n := dials.Load(); n != 2 {
			t.Errorf("%d dials, want 2", n)
		}
	}
}

// closeSeen is a connection that tells when its client closes it.
type closeSeen struct {
	net.Conn
	once   sync.Once
	closed chan struct{}
}

func (c *closeSeen) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

// A server may close a kept connection just when it was chosen for a request.
// net/http then sends the request elsewhere, or fails with an error that only
// its text tells from others.
func TestClosedWhenChosen(t *testing.T) {
	t.Parallel()
	var failed int
	for range 50 {
		hangUp := make(chan struct{})
		url := listen(t, func(c *net.TCPConn, n int) {
			for r := bufio.NewReader(c); ; {
				if n == 0 {
					go func() { <-hangUp; _ = c.Close() }()
				}
				if !readRequest(r) {
					return
				}
				_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
			}
		})
		c := withToken(newClient(t, url))
		gone := make(chan struct{})
		var dials atomic.Int64
		c.calls.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			raw, err := c.dial(ctx, network, address)
			if err != nil || dials.Add(1) > 1 {
				return raw, err
			}
			return &closeSeen{Conn: raw, closed: gone}, nil
		}
		mustDo(t, c, post)
		chosen := &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) {
			if info.Reused && dials.Load() == 1 {
				close(hangUp)
				<-gone
			}
		}}
		_, err := c.Do(httptrace.WithClientTrace(context.Background(), chosen), post)
		if failure := (*Error)(nil); errors.As(err, &failure) {
			failed++
			if failure.Transport != TransportReset {
				t.Fatalf("got %+v", failure)
			}
		}
		c.Close()
	}
	t.Logf("%d of 50 calls failed, the others went over another connection", failed)
}

// An answer may come before the request is written whole.
func TestEarlyAnswerThatBreaksIsWritten(t *testing.T) {
	t.Parallel()
	done := make(chan struct{})
	url := listen(t, func(c *net.TCPConn, _ int) {
		_, _ = io.ReadFull(c, make([]byte, 1))
		_, _ = io.WriteString(c, "HTTP/1.1 413 X\r\nTransfer-Encoding: chunked\r\n\r\nno chunk\r\n")
		<-done
	})
	defer close(done)
	c := withToken(newClient(t, url))
	failure := mustFail(t, context.Background(), c, Request{Method: "POST", Path: "/x", Body: make([]byte, 32<<20)})
	if failure.Transport != TransportOther || failure.Status != 413 || !failure.Written {
		t.Errorf("got %+v", failure)
	}
}

// newTLSServer returns a server that keeps failed handshakes to itself.
func newTLSServer(t *testing.T, version uint16) *server {
	s := &server{expires: "0"}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(s.handle))
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	s.TLS = &tls.Config{MaxVersion: version, MinVersion: tls.VersionTLS10}
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

func trust(c *Client, s *server) *Client {
	roots := s.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	c.calls.TLSClientConfig.RootCAs = roots
	c.fetches.TLSClientConfig.RootCAs = roots
	return c
}

func TestTLS(t *testing.T) {
	t.Parallel()
	modern := newTLSServer(t, tls.VersionTLS13)
	old := newTLSServer(t, tls.VersionTLS11)
	plain := newServer(t)
	cut := listen(t, func(c *net.TCPConn, _ int) { _, _ = c.Read(make([]byte, 1)) })

	c := trust(newClient(t, modern.URL), modern)
	if answer := mustDo(t, c, post); answer.Status != 200 {
		t.Errorf("trusted: status %d", answer.Status)
	}

	for _, row := range []struct {
		name   string
		client *Client
		want   Transport
	}{
		{"unknown authority", newClient(t, modern.URL), TransportTLS},
		{"other host", trust(newClient(t, strings.Replace(modern.URL, "127.0.0.1", "localhost", 1)), modern), TransportTLS},
		{"old version", trust(newClient(t, old.URL), old), TransportTLS},
		{"no TLS at all", newClient(t, strings.Replace(plain.URL, "http:", "https:", 1)), TransportTLS},
		{"cut within the handshake", newClient(t, strings.Replace(cut, "http:", "https:", 1)), TransportReset},
	} {
		failure := mustFail(t, context.Background(), row.client, post)
		if failure.Op != OpToken || failure.Transport != row.want || failure.Written {
			t.Errorf("%s, token: %+v", row.name, failure)
		}
		failure = mustFail(t, context.Background(), withToken(row.client), post)
		if failure.Op != OpCall || failure.Transport != row.want || failure.Written {
			t.Errorf("%s, call: %+v", row.name, failure)
		}
	}
	if n := modern.fetches.Load() + old.fetches.Load() + plain.fetches.Load(); n != 1 {
		t.Errorf("%d fetches reached a server, want 1", n)
	}
}

func TestTransportOf(t *testing.T) {
	t.Parallel()
	op := func(err error) error {
		return fmt.Errorf("wrapped: %w", &net.OpError{Op: "dial", Net: "tcp", Err: err})
	}
	for _, row := range []struct {
		err  error
		want Transport
	}{
		{op(&net.DNSError{Err: "no such host", Name: "a1.invalid", IsNotFound: true}), TransportDNS},
		{op(&net.DNSError{Err: "server misbehaving", Name: "a1.invalid", IsTemporary: true}), TransportDNS},
		{op(&net.DNSError{Err: "i/o timeout", Name: "a1.invalid", IsTimeout: true}), TransportDNS},
		{op(os.NewSyscallError("connect", syscall.ECONNREFUSED)), TransportRefused},
		{op(os.NewSyscallError("read", syscall.ECONNRESET)), TransportReset},
		{op(os.NewSyscallError("write", syscall.EPIPE)), TransportReset},
		{op(net.ErrClosed), TransportReset},
		{fmt.Errorf("x: %w", io.EOF), TransportReset},
		{io.ErrUnexpectedEOF, TransportReset},
		{op(os.NewSyscallError("connect", syscall.ETIMEDOUT)), TransportTimeout},
		{op(os.ErrDeadlineExceeded), TransportTimeout},
		{op(tls.AlertError(70)), TransportTLS},
		{op(os.NewSyscallError("connect", syscall.EHOSTUNREACH)), TransportOther},
		{errors.New("malformed HTTP response"), TransportOther},
	} {
		if got := transportOf(row.err); got != row.want {
			t.Errorf("%v: %s, want %s", row.err, got, row.want)
		}
	}
}
