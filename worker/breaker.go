package worker

import (
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/sony/gobreaker/v2"

	"github.com/imqueue/emq/errclass"
)

const (
	// A breaker opens after tripAfter failures in a row, or when of at least
	// tripSample calls within tripWindow half failed.
	tripAfter  = 10
	tripSample = 20
	tripWindow = 10 * time.Second
	// openFor is how long an open breaker waits before a probe finds out
	// whether Easemob is back: one call for each worker process and app.
	openFor = 5 * time.Second
	// After a successful probe the calls come back gradually: the first one
	// rampStart after the probe, each success halving, thirding, ... the pause to
	// the next, until rampCalls have succeeded.
	rampStart = 200 * time.Millisecond
	rampCalls = 64
	// rampFor ends the ramp of an app with few calls.
	rampFor = time.Minute
	// breakerLook is how soon a closed gate is looked at again when the time
	// that it opens isn't known.
	breakerLook = 50 * time.Millisecond
)

// A breaker keeps the calls of one app back while Easemob is down, so that
// tasks wait in their queues instead of spending their attempts, and so that
// Easemob is not hammered. Each worker process judges by its own calls.
type breaker struct {
	two     *gobreaker.TwoStepCircuitBreaker[struct{}]
	openFor time.Duration

	mu       sync.Mutex
	state    gobreaker.State
	opened   time.Time
	inFlight int
	closed   time.Time
	ramped   int       // calls that succeeded since the probe; rampCalls: the ramp is over
	next     time.Time // no task is fetched before, while probing or ramping
}

// errAway is the breaker's word for a call that found Easemob down.
var errAway = errors.New("no answer from Easemob")

// errNoWord is its word for a call that tells nothing about Easemob.
var errNoWord = errors.New("cut short")

func newBreaker(app string, log *slog.Logger, openFor time.Duration) *breaker {
	b := &breaker{openFor: openFor, ramped: rampCalls}
	b.two = gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
		Name: app, Interval: tripWindow, BucketPeriod: tripWindow / 10, Timeout: openFor,
		ReadyToTrip: func(c gobreaker.Counts) bool {
			return c.ConsecutiveFailures >= tripAfter || c.Requests >= tripSample && 2*c.TotalFailures >= c.Requests
		},
		IsExcluded: func(err error) bool { return errors.Is(err, errNoWord) },
		OnStateChange: func(app string, _, to gobreaker.State) {
			b.change(to)
			log.Warn("breaker", "app", app, "state", to.String())
		},
	})
	return b
}

// change notes a change of state. gobreaker calls it under its own lock.
func (b *breaker) change(to gobreaker.State) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.state = to
	switch to {
	case gobreaker.StateOpen:
		b.opened = time.Now()
	case gobreaker.StateHalfOpen:
		b.ramped, b.next = 0, time.Time{}
	case gobreaker.StateClosed:
		b.closed = time.Now()
		b.next = b.closed.Add(rampStart)
	}
}

// ready says how long no task of the app may be fetched; 0: one may be now.
func (b *breaker) ready() time.Duration {
	b.two.State() // lets an open breaker whose time is over become half-open
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	switch {
	case b.state == gobreaker.StateOpen:
		return max(breakerLook, b.opened.Add(b.openFor).Sub(now))
	case b.state == gobreaker.StateClosed && b.rampIsOver():
		return 0
	case b.state == gobreaker.StateHalfOpen && b.inFlight > 0, b.inFlight > b.ramped:
		return breakerLook
	case now.Before(b.next):
		return b.next.Sub(now)
	}
	// One fetch; should it find nothing, the next may be made a little later.
	b.next = now.Add(rampStart / time.Duration(1+b.ramped))
	return 0
}

// openness is 1 while the breaker is not closed, else 0.
func (b *breaker) openness() float64 {
	if b.two.State() == gobreaker.StateClosed {
		return 0
	}
	return 1
}

// enter asks for leave to make a call. The call's end is told to done.
func (b *breaker) enter() (done func(error), ok bool) {
	report, err := b.two.Allow()
	if err != nil {
		return nil, false
	}
	b.mu.Lock()
	b.inFlight++
	b.mu.Unlock()
	return func(err error) {
		b.mu.Lock()
		b.inFlight--
		if err == nil && b.ramped < rampCalls {
			b.ramped++
		}
		b.mu.Unlock()
		report(err)
	}, true
}

// away says whether Easemob is known to be down, or not yet known to be back. A
// call that fails then spends no attempt.
func (b *breaker) away() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.state != gobreaker.StateClosed || !b.rampIsOver()
}

// rampIsOver goes by success and by time. The caller holds the lock.
func (b *breaker) rampIsOver() bool {
	if b.ramped < rampCalls && time.Since(b.closed) > rampFor {
		b.ramped = rampCalls
	}
	return b.ramped >= rampCalls
}

// wordOf is what an attempt tells about Easemob as a whole. Whatever answer it
// gives, but for those of a broken gateway or service, says that it is there.
func wordOf(a *attempt) error {
	switch {
	case a.evidence.Transport == errclass.TransportCanceled:
		return errNoWord
	case a.verdict.Class != errclass.ClassRetryable:
		return nil
	case a.evidence.Transport != errclass.TransportNone, a.evidence.Status >= 500, a.noToken:
		return errAway
	}
	return nil
}

// breakers are the breakers of all apps of a worker.
type breakers map[string]*breaker

func newBreakers(apps []App, log *slog.Logger, openFor time.Duration) breakers {
	all := breakers{}
	for _, app := range apps {
		all[app.Alias] = newBreaker(app.Alias, log, openFor)
	}
	return all
}

// ready says how long no task of an app may be fetched; 0: one may be now.
func (all breakers) ready(app string) time.Duration {
	if b := all[app]; b != nil {
		return b.ready()
	}
	return 0
}
