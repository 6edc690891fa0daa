package easemob

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

const (
	// Connecting has limits of its own: a call that runs into them was certainly
	// not written, which one that runs into its whole Timeout can't say.
	dialTimeout      = 5 * time.Second
	handshakeTimeout = 5 * time.Second

	// idleTimeout is shorter than the keep-alive time of common servers and
	// gateways (20 s and more), so that it is the client who closes an idle
	// connection: a request written just when the server closes it has an unknown
	// outcome.
	idleTimeout = 15 * time.Second

	// writeBuffer holds a request of the usual size whole: one write, one packet
	// train, and nothing on the wire before all of it is there.
	writeBuffer = 16 << 10

	headerMaxBytes = 64 << 10

	// slack is read beyond what is kept of a body, so that a secret that lies
	// across the cut is seen whole and blotted out. It is longer than any token
	// or spelling of a secret that the client accepts.
	slack = 8 << 10
)

// exchange is one HTTP request on its way out.
type exchange struct {
	op             string
	method, target string
	header         http.Header // shared between requests: not to be changed
	body           []byte
	token          string // to be kept out of errors
}

// newTransport returns a transport with at most conns connections, 0 for any
// number.
func (c *Client) newTransport(conns int) *http.Transport {
	t := &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            c.dial,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    handshakeTimeout,
		MaxConnsPerHost:        conns,
		MaxIdleConnsPerHost:    conns,
		IdleConnTimeout:        idleTimeout,
		MaxResponseHeaderBytes: headerMaxBytes,
		WriteBufferSize:        writeBuffer,
		// Answers are small, and a broken compression would be one more way to
		// lose one.
		DisableCompression: true,
		// HTTP/1 alone: see the package's comment on repeats.
		Protocols: new(http.Protocols),
	}
	t.Protocols.SetHTTP1(true)
	return t
}

// dial connects within the client's life, which closes the connection when it
// ends: net/http lets a dial outlive the request that it was for.
func (c *Client) dial(ctx context.Context, network, address string) (net.Conn, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(c.life, cancel)()
	raw, err := (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return &conn{Conn: raw, release: context.AfterFunc(c.life, func() { _ = raw.Close() })}, nil
}

// conn is a connection that is closed with its client.
type conn struct {
	net.Conn
	release func() bool
}

func (c *conn) Close() error {
	c.release()
	return c.Conn.Close()
}

// exchange sends x and reads the answer, whatever it is. The body returned has
// yet to be cleaned. The transport is used without an http.Client, which would
// follow redirects.
func (c *Client) exchange(ctx context.Context, via *http.Transport, x exchange) (Answer, *Error) {
	began := time.Now()
	own, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	var seen progress
	fail := func(status int, err error) *Error {
		how := transportOf(err)
		switch {
		case c.life.Err() != nil:
			how = TransportCanceled
		case ctx.Err() != nil:
			how = ended(ctx)
		case own.Err() != nil:
			how = TransportTimeout
		case how == TransportOther && seen.handshakeFailed.Load():
			how = TransportTLS
		}
		return &Error{
			Op:        x.op,
			Transport: how,
			Written:   x.op == OpCall && (seen.written.Load() || status != 0),
			Status:    status,
			Err:       c.scrub.err(err, x.token),
			Latency:   time.Since(began),
		}
	}

	if c.life.Err() != nil {
		return Answer{}, fail(0, errClosed)
	}
	req, err := x.request(httptrace.WithClientTrace(own, seen.trace()))
	if err != nil {
		return Answer{}, fail(0, err)
	}
	resp, err := via.RoundTrip(req)
	if err != nil {
		return Answer{}, fail(0, err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := readBody(resp)
	if err != nil {
		return Answer{}, fail(resp.StatusCode, err)
	}
	return Answer{
		Status:     resp.StatusCode,
		Body:       body,
		Truncated:  len(body) > AnswerBodyMax,
		Latency:    time.Since(began),
		RetryAfter: retryAfter(resp.Header.Get("Retry-After")),

		certificateEnds: certificateEnds(resp.TLS),
	}, nil
}

// certificateEnds is the end of the first certificate of the chain to end; zero without
// TLS.
func certificateEnds(state *tls.ConnectionState) (ends time.Time) {
	if state == nil {
		return ends
	}
	for _, c := range state.PeerCertificates {
		if ends.IsZero() || c.NotAfter.Before(ends) {
			ends = c.NotAfter
		}
	}
	return ends
}

// request builds the request such that net/http never repeats it once written.
func (x exchange) request(ctx context.Context) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, x.method, x.target, bytes.NewReader(x.body))
	if err != nil {
		return nil, err
	}
	req.Header = x.header
	if x.method == http.MethodGet {
		// A GET is repeatable for net/http unless it has a body that can't be
		// rewound. An empty one will do, if it isn't the known http.NoBody; it is
		// probed before the headers are sent, which then announce no body.
		req.Body = io.NopCloser(bytes.NewReader(x.body))
		req.GetBody = nil
	}
	return req, nil
}

// progress is how far a request has come. Its fields are set by net/http's
// goroutines.
type progress struct {
	written         atomic.Bool
	handshakeFailed atomic.Bool
}

// trace returns the hooks that keep p. WroteRequest is called once net/http has
// tried to write, successfully or not, and always before RoundTrip returns an
// error: that waits for the writer to end. GetConn is called a second time only
// when nothing was written on the first connection, requests being such that
// net/http repeats them in no other case.
func (p *progress) trace() *httptrace.ClientTrace {
	return &httptrace.ClientTrace{
		GetConn:      func(string) { p.written.Store(false) },
		WroteRequest: func(httptrace.WroteRequestInfo) { p.written.Store(true) },
		TLSHandshakeDone: func(_ tls.ConnectionState, err error) {
			if err != nil {
				p.handshakeFailed.Store(true)
			}
		},
	}
}

// readBody reads the body to its end, or to slack beyond what is kept.
func readBody(resp *http.Response) ([]byte, error) {
	if n := resp.ContentLength; 0 <= n && n <= writeBuffer {
		body := make([]byte, n)
		_, err := io.ReadFull(resp.Body, body)
		return body, err
	}
	return io.ReadAll(io.LimitReader(resp.Body, AnswerBodyMax+slack))
}

// retryAfter reads the header of that name, a number of seconds or a date. What
// it can't read, and the past, are zero.
func retryAfter(value string) time.Duration {
	const most = 24 * time.Hour
	value = strings.TrimSpace(value)
	if value == "" {
		return 0
	}
	if seconds, err := strconv.ParseUint(value, 10, 32); err == nil {
		return min(time.Duration(seconds)*time.Second, most)
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	return max(0, min(time.Until(at), most))
}
