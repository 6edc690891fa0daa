package errclass

import (
	"math"
	"time"
)

// Delay is the policy by which a retryable task waits.
type Delay string

// The delay policies.
const (
	// DelayNone: not tried again.
	DelayNone Delay = ""
	// DelayBackoff: exponential with full jitter; spends an attempt.
	DelayBackoff Delay = "backoff"
	// DelayRate: a limit per second; one to two seconds, spends no attempt.
	DelayRate Delay = "rate"
	// DelayMinute: a limit per minute; up to a minute, spends no attempt.
	DelayMinute Delay = "minute"
	// DelayToken: at once with a fresh token; spends no attempt.
	DelayToken Delay = "token"
)

// The numbers behind the policies. Easemob sends no Retry-After, so the waits
// come from the windows of its limits (docs: calls are counted per second,
// messages to users per minute).
const (
	BackoffBase = 2 * time.Second
	BackoffMax  = 10 * time.Minute
	RateMin     = 1 * time.Second
	RateMax     = 2 * time.Second
	MinuteMin   = 10 * time.Second
	MinuteMax   = 60 * time.Second
)

// Valid reports whether d is one of the policies.
func (d Delay) Valid() bool {
	switch d {
	case DelayNone, DelayBackoff, DelayRate, DelayMinute, DelayToken:
		return true
	}
	return false
}

// SpendsAttempt reports whether a retry under this policy counts against the
// attempt budget. Limits and token refreshes don't: they say nothing about the
// task. (Its age limit still counts.)
func (d Delay) SpendsAttempt() bool {
	switch d {
	case DelayNone, DelayRate, DelayMinute, DelayToken:
		return false
	}
	return true
}

// Wait returns how long to wait before the next try, given the number of the
// attempt that just failed (1 is the first) and a source of random numbers in
// [0,1). It is 0 for DelayNone and DelayToken, and never negative. An unknown
// policy waits as DelayBackoff does.
func (d Delay) Wait(attempt int, rnd func() float64) time.Duration {
	switch d {
	case DelayNone, DelayToken:
		return 0
	case DelayRate:
		return RateMin + spread(RateMax-RateMin, rnd)
	case DelayMinute:
		return MinuteMin + spread(MinuteMax-MinuteMin, rnd)
	}
	return Backoff(attempt, BackoffBase, BackoffMax, rnd)
}

// Backoff returns a wait drawn evenly from [0, ceiling], where the ceiling is
// base after the first attempt, doubles with each further one and stops at
// limit (full jitter: tasks that failed together don't come back together).
// Attempts under 1 count as 1. A negative base or limit counts as 0, a base
// over the limit as the limit. Without rnd the ceiling itself is returned.
func Backoff(attempt int, base, limit time.Duration, rnd func() float64) time.Duration {
	if base <= 0 || limit <= 0 {
		return 0
	}
	ceiling := min(base, limit)
	for ; attempt > 1 && ceiling < limit; attempt-- {
		if ceiling > limit/2 { // doubling would pass the limit, or overflow
			ceiling = limit
			break
		}
		ceiling *= 2
	}
	return spread(ceiling, rnd)
}

// spread draws from [0, width]. A source that leaves [0,1] is pulled back into it.
func spread(width time.Duration, rnd func() float64) time.Duration {
	if rnd == nil {
		return width
	}
	r := rnd()
	switch {
	case math.IsNaN(r) || r < 0:
		r = 0
	case r >= 1:
		return width
	}
	return min(time.Duration(r*float64(width)), width)
}
