package easemob

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// The pause between two token fetches. See the package's comment.
const (
	TokenFloor    = time.Second
	TokenFloorMax = 30 * time.Second
)

const (
	renewalLeadMax = 5 * time.Minute
	tokenMaxBytes  = 4 << 10
	errorBodyMax   = 64 << 10

	// foreverSeconds is a life so long that it need not be counted.
	foreverSeconds = 100 * 365 * 24 * 3600
)

// errClosed is what a wait for a token ends with when the client is closed.
var errClosed = errors.New("client closed")

// errNoTokenYet is what a caller is told that waited for as long as it may.
var errNoTokenYet = errors.New("no token in time")

// token is one fetched token. All of it but accepted is fixed.
type token struct {
	value        string
	header, form http.Header // the headers of every call made with it, by its body

	// renew and end are when a renewal is due and when the token is no longer
	// used; zero for one that never expires.
	renew, end time.Time

	// accepted is whether a call was ever let in with it.
	accepted atomic.Bool
}

func newToken(value string, fetched time.Time, life time.Duration) *token {
	t := &token{value: value, header: header(jsonType), form: header(formType)}
	for _, h := range []http.Header{t.header, t.form} {
		h.Set("Authorization", "Bearer "+value)
	}
	if life > 0 {
		t.end = fetched.Add(life)
		t.renew = t.end.Add(-min(life/10, renewalLeadMax))
	}
	return t
}

// The types of request bodies.
const (
	jsonType = "application/json"
	formType = "application/x-www-form-urlencoded"
)

// header returns the headers of every request, with or without a token.
func header(contentType string) http.Header {
	return http.Header{
		"Content-Type": {contentType},
		"Accept":       {"application/json"},
		"User-Agent":   {"emq"},
	}
}

func (t *token) good(now time.Time) bool { return t.end.IsZero() || now.Before(t.end) }
func (t *token) due(now time.Time) bool  { return !t.renew.IsZero() && !now.Before(t.renew) }

// tokens holds the app's token and sees to it that fetches are few. At most one
// runs at a time, and no two are closer than pause.
type tokens struct {
	fetch           func(context.Context) (*token, *Error)
	patience        time.Duration   // how long a caller waits for a token
	floor, floorMax time.Duration   // of pause
	life            context.Context // the client's own lifetime, not a request's

	mu      sync.Mutex
	current *token    // nil before the first fetch and after a rejection
	flight  *flight   // the fetch under way, or nil
	last    time.Time // when the last fetch ended, zero before the first
	failure *Error    // of the last fetch, nil if it brought a token
	strikes int       // fetches in a row that got no call through
	running sync.WaitGroup
}

// flight is a fetch under way. Its result may be read once done is closed.
type flight struct {
	done    chan struct{}
	token   *token
	failure *Error
}

// get returns the current token, or waits for one: within ctx, within patience.
func (s *tokens) get(ctx context.Context) (*token, *Error) {
	began := time.Now()
	s.mu.Lock()
	wait := s.last.Add(s.pause()).Sub(began)
	if t := s.current; t != nil && t.good(began) {
		if t.due(began) && wait <= 0 {
			s.start(0)
		}
		s.mu.Unlock()
		return t, nil
	}
	if s.flight == nil && s.failure != nil && wait > 0 {
		defer s.mu.Unlock()
		return nil, s.failure
	}
	// After a rejection the caller waits the pause out, which therefore doesn't
	// widen beyond what it has the patience for.
	f := s.start(min(wait, max(s.patience/2, s.floor)))
	s.mu.Unlock()

	failure := &Error{Op: OpToken}
	timer := time.NewTimer(s.patience)
	defer timer.Stop()
	select {
	case <-f.done:
		return f.token, f.failure
	case <-ctx.Done():
		failure.Transport, failure.Err = ended(ctx), ctx.Err()
	case <-timer.C:
		failure.Transport, failure.Err = TransportTimeout, errNoTokenYet
	}
	failure.Latency = time.Since(began)
	return nil, failure
}

// start returns the fetch under way, or begins one, to be made after wait. In a
// closed client it has failed already. The caller holds mu.
func (s *tokens) start(wait time.Duration) *flight {
	if s.flight != nil {
		return s.flight
	}
	f := &flight{done: make(chan struct{})}
	if s.life.Err() != nil {
		f.failure = closedFailure()
		close(f.done)
		return f
	}
	s.flight = f
	s.running.Go(func() { s.run(f, wait) })
	return f
}

func closedFailure() *Error {
	return &Error{Op: OpToken, Transport: TransportCanceled, Err: errClosed}
}

// run waits, fetches, and hands the result to all who wait for f.
func (s *tokens) run(f *flight, wait time.Duration) {
	defer close(f.done)
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		f.token, f.failure = s.fetch(s.life)
	case <-s.life.Done():
		f.failure = closedFailure()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.flight, s.last, s.failure = nil, time.Now(), f.failure
	if f.failure != nil {
		s.strikes++
		return
	}
	s.current = f.token
}

// pause is the time that must lie between two fetches. The caller holds mu.
func (s *tokens) pause() time.Duration {
	pause := s.floor
	for i := 1; i < s.strikes && pause < s.floorMax; i++ {
		pause *= 2
	}
	return min(pause, s.floorMax)
}

// reject drops t, unless another token has taken its place already.
func (s *tokens) reject(t *token) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current != t {
		return
	}
	s.current = nil
	if !t.accepted.Load() {
		s.strikes++
	}
}

// is reports whether t is still the token that calls are made with.
func (s *tokens) is(t *token) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.current == t
}

// accept notes that a call was let in with t.
func (s *tokens) accept(t *token) {
	if t.accepted.Load() || !t.accepted.CompareAndSwap(false, true) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current == t {
		s.strikes = 0
	}
}

// close ends life and waits for the fetch under way.
func (s *tokens) close(endLife func()) {
	// Under mu, so that no fetch starts after this.
	s.mu.Lock()
	endLife()
	s.mu.Unlock()
	s.running.Wait()
}

// tokenFetch returns the function that asks the token endpoint once. The
// credentials live in it alone.
func (c *Client) tokenFetch(id, secret string, fetched func(ok bool)) func(context.Context) (*token, *Error) {
	// Strings can't fail to marshal.
	body, _ := json.Marshal(map[string]string{
		"grant_type":    "client_credentials",
		"client_id":     id,
		"client_secret": secret,
	})
	ask := exchange{op: OpToken, method: http.MethodPost, target: c.base + "/token", header: header(jsonType), body: body}
	if fetched == nil {
		fetched = func(bool) {}
	}
	return func(ctx context.Context) (t *token, _ *Error) {
		defer func() { fetched(t != nil) }()
		began := time.Now()
		answer, failure := c.exchange(ctx, c.fetches, ask)
		if failure != nil {
			return nil, failure
		}
		failure = &Error{Op: OpToken, Status: answer.Status, Latency: answer.Latency}
		if answer.Status == http.StatusOK {
			value, life, err := parseToken(answer.Body)
			if err == nil {
				return newToken(value, began, life), nil
			}
			failure.Err = err
		}
		answer = c.clean(answer, "")
		failure.Body = answer.Body[:min(len(answer.Body), errorBodyMax)]
		return nil, failure
	}
}

// parseToken reads the token endpoint's answer: the token, and how long it lives,
// zero for ever. (docs: expires_in counts seconds, 0 means that it never ends.)
// Its errors quote nothing of the answer.
func parseToken(body []byte) (value string, life time.Duration, _ error) {
	var answer struct {
		AccessToken string      `json:"access_token"`
		ExpiresIn   json.Number `json:"expires_in"`
	}
	if json.Unmarshal(body, &answer) != nil {
		return "", 0, errors.New("no token: the answer isn't the JSON that was expected")
	}
	value = answer.AccessToken
	if value == "" || len(value) > tokenMaxBytes || !graphic(value) {
		return "", 0, errors.New("no token: access_token is missing, too long or not fit for a header")
	}
	if answer.ExpiresIn == "" {
		return value, 0, nil
	}
	seconds, err := answer.ExpiresIn.Float64()
	if err != nil || seconds < 0 {
		return "", 0, errors.New("no token: expires_in is not a number of seconds")
	}
	if seconds > foreverSeconds {
		seconds = 0
	}
	return value, time.Duration(seconds * float64(time.Second)), nil
}
