package simulator

import (
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"
)

// Limit bounds one class of endpoints. Zero is no bound. No interval of the
// length named lets more through, wherever it starts; what is refused does not
// count.
type Limit struct {
	// CallsPerSecond counts calls of each endpoint and app key; all endpoints of
	// [ClassUsers] share one count (docs: one pool). Above it 429 reach_limit.
	CallsPerSecond int `json:"calls_per_second,omitempty"`
	// MessagesPerSecond and MessagesPerMinute count targets of sends, 600
	// recipients being 600 messages. Above them 403 message_send_error "message
	// send reach limit".
	MessagesPerSecond int `json:"messages_per_second,omitempty"`
	MessagesPerMinute int `json:"messages_per_minute,omitempty"`
}

// Limits are rate limits by class of endpoint: the Class constants.
type Limits map[string]Limit

// DocumentedLimits returns the vendor's default numbers (docs: 100 calls/s an
// endpoint, token 300/s, sends by kind of target). Daily quotas and the limits
// of broadcasts are not among them.
func DocumentedLimits() Limits {
	const calls = 100
	return Limits{
		ClassToken:        {CallsPerSecond: 300},
		ClassSendUsers:    {CallsPerSecond: calls, MessagesPerMinute: 6000},
		ClassSendGroups:   {CallsPerSecond: 20, MessagesPerSecond: 20},
		ClassSendRooms:    {CallsPerSecond: calls, MessagesPerSecond: 100},
		ClassSendDirected: {CallsPerSecond: calls, MessagesPerSecond: 100},
		ClassRecall:       {CallsPerSecond: calls},
		ClassSendLegacy:   {CallsPerSecond: calls},
		ClassGroups:       {CallsPerSecond: calls},
		ClassRooms:        {CallsPerSecond: calls},
		ClassUsers:        {CallsPerSecond: calls},
	}
}

func (ls Limits) validate() error {
	classes := []string{
		ClassToken, ClassSendUsers, ClassSendGroups, ClassSendRooms, ClassSendDirected, ClassBroadcast,
		ClassRecall, ClassSendLegacy, ClassGroups, ClassRooms, ClassUsers,
	}
	for class, l := range ls {
		if !slices.Contains(classes, class) {
			return fmt.Errorf("simulator: Limits[%q]: no such class; the classes are %q", class, classes)
		}
		for name, n := range map[string]int{
			"CallsPerSecond": l.CallsPerSecond, "MessagesPerSecond": l.MessagesPerSecond, "MessagesPerMinute": l.MessagesPerMinute,
		} {
			if n < 0 {
				return fmt.Errorf("simulator: Limits[%q].%s %d: must be at least 0", class, name, n)
			}
		}
	}
	return nil
}

// SetLimits replaces all rate limits, and starts counting anew. It returns an
// error that names class, field and bound when ls is not valid.
func (s *Simulator) SetLimits(ls Limits) error {
	if err := ls.validate(); err != nil {
		return err
	}
	if len(ls) == 0 {
		s.limits.Store(nil)
		return nil
	}
	l := &limiter{limits: make(Limits, len(ls)), windows: make(map[windowKey]*window)}
	for class, limit := range ls {
		l.limits[class] = limit
	}
	s.limits.Store(l)
	return nil
}

// allowCall takes a call out of its endpoint's calls a second.
func (s *Simulator) allowCall(c *call) bool {
	l := s.limits.Load()
	if l == nil {
		return true
	}
	pool := c.route.endpoint
	if c.route.class == ClassUsers {
		pool = ClassUsers
	}
	n := l.limits[c.route.class].CallsPerSecond
	if n == 0 {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	w := l.window(windowKey{c.orgApp, pool, "calls"}, time.Second, n)
	if !w.fits(c.start, 1) {
		return false
	}
	w.take(c.start, 1)
	return true
}

// allowMessages takes n messages out of what the class may send. All or
// nothing: whether the vendor sends a part is not documented.
func (s *Simulator) allowMessages(c *call, n int) *refusal {
	l := s.limits.Load()
	if l == nil {
		return nil
	}
	class := c.route.class
	limit := l.limits[class]
	l.mu.Lock()
	defer l.mu.Unlock()
	var ws []*window
	if limit.MessagesPerSecond > 0 {
		ws = append(ws, l.window(windowKey{c.orgApp, class, "second"}, time.Second, limit.MessagesPerSecond))
	}
	if limit.MessagesPerMinute > 0 {
		ws = append(ws, l.window(windowKey{c.orgApp, class, "minute"}, time.Minute, limit.MessagesPerMinute))
	}
	for _, w := range ws {
		if !w.fits(c.start, n) {
			return refuse(http.StatusForbidden, "message_send_error", "message send reach limit")
		}
	}
	for _, w := range ws {
		w.take(c.start, n)
	}
	return nil
}

// limiter counts against one set of limits.
type limiter struct {
	limits Limits // not changed after SetLimits

	mu      sync.Mutex
	windows map[windowKey]*window
}

type windowKey struct{ app, pool, what string }

// window returns the window of a key; the caller holds the lock.
func (l *limiter) window(k windowKey, span time.Duration, limit int) *window {
	w := l.windows[k]
	if w == nil {
		w = &window{span: span, limit: limit}
		l.windows[k] = w
	}
	return w
}

// window lets at most limit units through in any interval of length span, by
// remembering what it let through in the last one.
type window struct {
	span  time.Duration
	limit int
	taken []taken // in order; at most limit of them
	sum   int
}

type taken struct {
	at time.Time
	n  int
}

// fits reports whether n more units may pass at a time.
func (w *window) fits(at time.Time, n int) bool {
	old := 0
	for old < len(w.taken) && at.Sub(w.taken[old].at) >= w.span {
		w.sum -= w.taken[old].n
		old++
	}
	w.taken = w.taken[old:]
	return w.sum+n <= w.limit
}

func (w *window) take(at time.Time, n int) {
	w.taken = append(w.taken, taken{at, n})
	w.sum += n
}
