package easemob

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// AnswerBodyMax is how much of an answer's body is read, in bytes.
const AnswerBodyMax = 1 << 20

// RenewalsMax is how often [Client.Do] makes a call again with another token.
const RenewalsMax = 3

// Client makes the calls of one app. It is safe for concurrent use.
type Client struct {
	host          string // URL
	base          string // URL/org/app
	timeout       time.Duration
	tokenRejected func(status int, body []byte) bool
	scrub         *scrubber
	tokens        *tokens

	// Fetches have connections of their own, so that one never waits for a call
	// to give up its connection.
	calls, fetches *http.Transport

	// life ends with Close, and with it every connection and fetch.
	life context.Context // the client's own lifetime, not a request's
	end  context.CancelFunc
}

// Request is a call below /org/app.
type Request struct {
	// Method is GET, POST, PUT, PATCH or DELETE.
	Method string

	// Path begins with "/" and may carry a query. Its segments are escaped
	// already; "." and ".." are refused, as they could leave the app.
	Path string

	// Body is sent as it is, with any method; empty means none. It must not be
	// changed before Do has returned.
	Body []byte

	// Form announces the body as a form (application/x-www-form-urlencoded), which
	// is what the user-attribute service takes (docs). Else it is JSON.
	Form bool
}

// Answer is what the server said, whatever that was.
type Answer struct {
	// Status is the HTTP status.
	Status int

	// Body is the body, JSON or not, at most its first AnswerBodyMax bytes,
	// secrets blotted out.
	Body []byte

	// Truncated reports that the body went on beyond AnswerBodyMax.
	Truncated bool

	// Latency is the time from asking for a connection to the last byte of this
	// answer, without the wait for a token.
	Latency time.Duration

	// FreshToken reports that an earlier answer of the same Do rejected the token,
	// and that this is the answer to another one, fetched since. If it rejects the
	// token again, then RenewalsMax fetched tokens in a row were refused, and no other
	// call has found out about the last of them yet: no further token will help, the
	// app's credentials or rights need a person. A rejection without FreshToken is no
	// such evidence: try again later.
	FreshToken bool

	// RetryAfter is the server's wish of that name, zero if it has none. (The docs
	// never mention the header.)
	RetryAfter time.Duration

	certificateEnds time.Time // see Probe
}

// New checks cfg and returns a client for it. It opens no connection. The error
// names every field that is out of bounds.
func New(cfg Config) (*Client, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	org, app, _ := strings.Cut(cfg.AppKey, "#")
	c := &Client{
		host:          cfg.URL,
		base:          cfg.URL + "/" + org + "/" + app,
		timeout:       cfg.Timeout,
		tokenRejected: cfg.TokenRejected,
		scrub:         newScrubber(cfg.ClientSecret),
	}
	c.life, c.end = context.WithCancel(context.Background())
	c.calls = c.newTransport(cfg.MaxConns)
	c.fetches = c.newTransport(0)
	c.fetches.DisableKeepAlives = true
	c.tokens = &tokens{
		fetch:    c.tokenFetch(cfg.ClientID, cfg.ClientSecret, cfg.TokenFetched),
		patience: cfg.Timeout,
		floor:    TokenFloor,
		floorMax: TokenFloorMax,
		life:     c.life,
	}
	return c, nil
}

// Do makes the call, with a token, and returns the server's answer. Without an
// answer it fails with an [*Error].
//
// A call whose answer rejects the token ([Config.TokenRejected]) was not carried
// out. It is made again with another token, up to RenewalsMax times: a token may
// be revoked once more while the repeat is on its way.
//
// Do takes at most 2 × (RenewalsMax + 1) times Config.Timeout: each try may wait
// for a token and then for the answer. A call has its time to itself, so that a
// slow token can't leave it with too little and its outcome unknown.
func (c *Client) Do(ctx context.Context, req Request) (Answer, error) {
	if err := req.validate(); err != nil {
		return Answer{}, &Error{Op: OpCall, Transport: TransportOther, Err: err}
	}
	for renewals := 0; ; renewals++ {
		answer, rejected, failure := c.try(ctx, req)
		switch {
		case failure != nil:
			return Answer{}, failure
		case rejected == nil:
			answer.FreshToken = renewals > 0
			return answer, nil
		case renewals == RenewalsMax:
			// The last token stays in place: the next call finds out whether it
			// holds, and the one that drops it replaces it.
			answer.FreshToken = c.tokens.is(rejected)
			return answer, nil
		}
		c.tokens.reject(rejected)
	}
}

// try makes the call once, with the token of the moment, and returns that token
// if the answer rejects it.
func (c *Client) try(ctx context.Context, req Request) (_ Answer, rejected *token, _ *Error) {
	tok, failure := c.tokens.get(ctx)
	if failure != nil {
		return Answer{}, nil, failure
	}
	header := tok.header
	if req.Form {
		header = tok.form
	}
	answer, failure := c.exchange(ctx, c.calls, exchange{
		op: OpCall, method: req.Method, target: c.base + req.Path, header: header, body: req.Body, token: tok.value,
	})
	if failure != nil {
		return Answer{}, nil, failure
	}
	answer = c.clean(answer, tok.value)
	if c.tokenRejected(answer.Status, answer.Body) {
		return answer, tok, nil
	}
	if answer.Status < http.StatusInternalServerError {
		// A gateway's error says nothing about the token.
		c.tokens.accept(tok)
	}
	return answer, nil, nil
}

// clean blots secrets out of the body and cuts it to the size that is kept. It
// is cut last, so that no part of a secret stands at the end.
func (c *Client) clean(answer Answer, token string) Answer {
	answer.Body = c.scrub.body(answer.Body, token)
	answer.Body = answer.Body[:min(len(answer.Body), AnswerBodyMax)]
	return answer
}

// Close ends the client: calls and waits still under way fail as cancelled,
// connections are closed, and a token fetch is waited for. Let calls end first.
// A closed client makes no more calls.
func (c *Client) Close() {
	c.tokens.close(c.end)
	c.calls.CloseIdleConnections()
	c.fetches.CloseIdleConnections()
}

// Format prints what the client calls, and nothing of its insides: some verbs
// make fmt follow pointers, to the secrets. The receiver is a value so that a
// dereferenced client is covered too.
func (c Client) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, "easemob client of "+c.base) }

// validate refuses what net/http would mangle and what would leave the app.
func (r Request) validate() error {
	switch r.Method {
	case http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete:
	default:
		return fmt.Errorf("%w: method %.16q must be GET, POST, PUT, PATCH or DELETE", ErrInvalidRequest, r.Method)
	}
	if !strings.HasPrefix(r.Path, "/") {
		return fmt.Errorf("%w: path must begin with \"/\"", ErrInvalidRequest)
	}
	if strings.ContainsFunc(r.Path, func(c rune) bool { return c <= ' ' || c == 0x7f || c == '#' || c == '\\' }) {
		return fmt.Errorf("%w: path must not hold white space, control characters, '#' or '\\'", ErrInvalidRequest)
	}
	raw, _, _ := strings.Cut(r.Path, "?")
	path, err := url.PathUnescape(raw)
	if err != nil {
		return fmt.Errorf("%w: path has a broken %%-escape", ErrInvalidRequest)
	}
	for segment := range strings.SplitSeq(path, "/") {
		if segment == "." || segment == ".." {
			return fmt.Errorf("%w: path must not hold %q", ErrInvalidRequest, segment)
		}
	}
	return nil
}
