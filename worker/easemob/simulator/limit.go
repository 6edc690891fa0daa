package simulator

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// PoolAccounts is the count that calls about user accounts and their push
// settings share (docs): registering, reading and deleting users, password,
// nickname, status, ban, forced logout.
const PoolAccounts = "accounts"

// day is the one span that does not slide: the vendor's days begin at 00:00 UTC
// (docs).
const day = 24 * time.Hour

// Rate is how many may pass in any interval of that length, wherever it starts;
// with Per of 24 hours, on any day (UTC).
type Rate struct {
	Count int
	Per   time.Duration // 1 s to 24 h
}

// Rates hold together. As text, and so in JSON: "100/s", "10/m,1/s", "1/30m",
// "3/d".
type Rates []Rate

// UnmarshalText reads rates; the empty text is none.
func (rs *Rates) UnmarshalText(text []byte) error {
	*rs = nil
	if len(text) == 0 {
		return nil
	}
	for part := range strings.SplitSeq(string(text), ",") {
		count, per, _ := strings.Cut(part, "/")
		if per != "" && (per[0] < '0' || per[0] > '9') {
			per = "1" + per
		}
		if per == "1d" {
			per = "24h"
		}
		n, err := strconv.Atoi(count)
		span, bad := time.ParseDuration(per)
		if err != nil || bad != nil {
			return fmt.Errorf("rate %q: must be like 100/s, 10/m,1/s or 3/d", part)
		}
		*rs = append(*rs, Rate{n, span})
	}
	return nil
}

// MarshalText writes what UnmarshalText reads.
func (rs Rates) MarshalText() ([]byte, error) {
	parts := make([]string, len(rs))
	for i, r := range rs {
		parts[i] = strconv.Itoa(r.Count) + "/" + r.Per.String()
	}
	return []byte(strings.Join(parts, ",")), nil
}

// Limit bounds one endpoint or pool of an app. No rate is no bound. What is
// refused does not count.
type Limit struct {
	// Calls counts calls. Above it 429 reach_limit; a broadcast above its number
	// a day, 403 forbidden_op.
	Calls Rates `json:"calls,omitempty"`
	// Messages counts targets of sends, 600 recipients being 600 messages. A call
	// is let through whole or not at all (not documented). Above it 403
	// message_send_error "message send reach limit".
	Messages Rates `json:"messages,omitempty"`
	// OldText words that refusal as older docs do: "Forbidden for url: [...]".
	OldText bool `json:"old_text,omitempty"`
}

// Limits are rate limits by endpoint, as [Counts] names it ("POST
// /messages/users"), or by pool: [PoolAccounts].
type Limits map[string]Limit

// DocumentedLimits returns the vendor's default numbers for every endpoint (docs:
// 100 calls a second where nothing else is said).
func DocumentedLimits() Limits {
	usual := Rates{{100, time.Second}}
	half := Limit{Calls: Rates{{50, time.Second}}}
	directed := Limit{Messages: Rates{{100, time.Second}}}
	ls := make(Limits)
	for _, pool := range pools() {
		ls[pool] = Limit{Calls: usual}
	}
	maps.Copy(ls, Limits{
		"POST /token":                        {Calls: Rates{{300, time.Second}}},
		"POST /messages/users":               {Calls: usual, Messages: Rates{{6000, time.Minute}}},
		"POST /messages/chatgroups":          {Calls: Rates{{20, time.Second}}, Messages: Rates{{20, time.Second}}},
		"POST /messages/chatrooms":           {Calls: usual, Messages: Rates{{100, time.Second}}},
		"POST /messages/chatgroups/users":    directed,
		"POST /messages/chatrooms/users":     directed,
		"POST /messages/broadcast":           {Calls: Rates{{1, 30 * time.Minute}, {3, day}}},
		"POST /messages/users/broadcast":     {Calls: Rates{{1, time.Minute}, {50, day}}},
		"POST /messages/chatrooms/broadcast": {Calls: Rates{{10, time.Minute}, {1, time.Second}, {100, day}}},

		"DELETE /users":                               {Calls: Rates{{30, time.Second}}}, // besides what it takes of the accounts' pool
		"GET /users/{user}/joined_chatrooms":          half,
		"GET /chatgroups/user/{user}":                 half,
		"GET /chatrooms":                              half,
		"POST /chatrooms":                             half,
		"GET /users/{user}/blocks/users":              half,
		"POST /users/{user}/blocks/users":             half,
		"DELETE /users/{user}/blocks/users/{blocked}": half,
	})
	return ls
}

// pools are all that can have a limit.
func pools() []string {
	var all []string
	for _, rt := range routes() {
		all = append(all, rt.pools...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func checkPool(pool string) error {
	if !slices.Contains(pools(), pool) {
		return fmt.Errorf("simulator: limit of %q: must be of an endpoint, such as \"POST /chatgroups/{id}/users\", or of %q", pool, PoolAccounts)
	}
	return nil
}

func (ls Limits) validate() error {
	for pool, l := range ls {
		if err := checkPool(pool); err != nil {
			return err
		}
		for _, r := range slices.Concat(l.Calls, l.Messages) {
			if r.Count < 1 || r.Per < time.Second || r.Per > day {
				return fmt.Errorf("simulator: limit of %q: %d in %v: must be at least 1 in 1s to 24h", pool, r.Count, r.Per)
			}
		}
	}
	return nil
}

// SetLimits replaces all rate limits, and starts counting anew. It returns an
// error that names endpoint, value and bound when ls is not valid.
func (s *Simulator) SetLimits(ls Limits) error {
	if err := ls.validate(); err != nil {
		return err
	}
	l := &s.limits
	l.mu.Lock()
	defer l.mu.Unlock()
	l.limits, l.windows = maps.Clone(ls), make(map[windowKey]*window)
	l.some.Store(len(ls) > 0)
	return nil
}

// SetOthers says how many calls a second others make, by endpoint or pool: the
// clients' SDKs, whose calls the vendor counts against the same limits (docs: of
// all endpoints but those for servers alone, such as sends). They take their part
// of every limit on calls, evenly, and are in no record. It replaces what was
// said before, and leaves the counts as they are.
func (s *Simulator) SetOthers(perSecond map[string]int) error {
	for pool, n := range perSecond {
		if err := checkPool(pool); err != nil {
			return err
		}
		if n < 0 {
			return fmt.Errorf("simulator: others at %q: %d: must be at least 0", pool, n)
		}
	}
	l := &s.limits
	l.mu.Lock()
	defer l.mu.Unlock()
	l.others = maps.Clone(perSecond)
	return nil
}

// limiter counts what was let through.
type limiter struct {
	some atomic.Bool // a cheap look before taking the lock

	mu      sync.Mutex
	limits  Limits
	others  map[string]int // calls a second
	windows map[windowKey]*window
}

type windowKey struct {
	app, pool string
	messages  bool
	rate      Rate
}

// allowCall takes the call out of the calls of its endpoint and pools.
func (s *Simulator) allowCall(c *call) *refusal {
	over := s.limits.take(c, 1, false)
	switch {
	case over == nil:
		return nil
	case over.span == day && c.route.family == familyBroadcast:
		text := "broadcast limit exceeded" // text by analogy
		if strings.Contains(c.path, "chatrooms") {
			text = "chatroom broadcast limit exceeded"
		}
		return refuse(http.StatusForbidden, "forbidden_op", text)
	}
	return errReachLimit
}

// allowMessages takes n messages out of what the endpoint may send.
func (s *Simulator) allowMessages(c *call, n int) *refusal {
	c.messages = n
	over := s.limits.take(c, n, true)
	switch {
	case over == nil:
		return nil
	case over.oldText:
		return refuse(http.StatusForbidden, "message_send_error", "Forbidden for url: ["+"http://"+c.r.Host+"/"+c.orgApp+c.path+"]")
	}
	return refuse(http.StatusForbidden, "message_send_error", "message send reach limit")
}

// take counts n calls or messages, or returns the window that they don't fit in
// and counts nothing.
func (l *limiter) take(c *call, n int, messages bool) *window {
	if !l.some.Load() {
		return nil
	}
	var room [8]*window
	all := room[:0]
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, pool := range c.route.pools {
		limit, others := l.limits[pool], l.others[pool]
		rates := limit.Calls
		if messages {
			rates, others = limit.Messages, 0
		}
		for _, rate := range rates {
			key := windowKey{c.orgApp, pool, messages, rate}
			w := l.windows[key]
			if w == nil {
				w = &window{span: rate.Per, limit: rate.Count, oldText: limit.OldText}
				l.windows[key] = w
			}
			if !w.fits(c.start, n+others*int(rate.Per/time.Second)) {
				c.overLimit = pool
				return w
			}
			all = append(all, w)
		}
	}
	for _, w := range all {
		w.take(c.start, n)
	}
	return nil
}

// window lets at most limit units through in its span, by remembering what it
// let through in the last one.
type window struct {
	span    time.Duration
	limit   int
	oldText bool
	taken   []taken // in order; at most limit of them
	sum     int
}

type taken struct {
	at time.Time
	n  int
}

// fits reports whether n more units may pass at a time.
func (w *window) fits(at time.Time, n int) bool {
	old := 0
	for old < len(w.taken) && w.over(w.taken[old].at, at) {
		w.sum -= w.taken[old].n
		old++
	}
	w.taken = w.taken[old:]
	return w.sum+n <= w.limit
}

// over reports whether what passed at a time counts no more.
func (w *window) over(passed, now time.Time) bool {
	if w.span == day {
		return passed.Before(now.UTC().Truncate(day))
	}
	return now.Sub(passed) >= w.span
}

func (w *window) take(at time.Time, n int) {
	w.taken = append(w.taken, taken{at, n})
	w.sum += n
}
