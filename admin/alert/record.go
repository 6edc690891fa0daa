package alert

import "time"

// When something is told again.
const (
	// changedAfter is the least time between two notices about one thing while it lasts.
	// With it, ten minutes of whatever happens to it are at most three notices.
	changedAfter = 5 * time.Minute
	// changedTimes is how much more of it is worth telling.
	changedTimes = 10
	// paceEvery is how long the pace of a cause is measured.
	paceEvery = time.Minute
	// overAfter is how long it must be gone to be over: what goes up and down is one thing.
	overAfter = time.Minute
)

// A record is what was told of one thing. Redis keeps it until the thing is over.
type record struct {
	Notice Notice    `json:"notice"`          // as last seen
	Told   time.Time `json:"told,omitzero"`   // last
	Count  int       `json:"count,omitempty"` // when last told
	Gone   time.Time `json:"gone,omitzero"`   // since when it is not there any more

	Paced    time.Time `json:"paced,omitzero"` // when the pace was last measured
	PacedAt  int       `json:"paced_at,omitempty"`
	Fast     bool      `json:"fast,omitempty"`
	FastTold bool      `json:"fast_told,omitempty"`
}

// see takes note of what there is of the thing now, n; nil when there is nothing. It
// returns why it is to be told of; "" for not at all.
func (r *record) see(n *Notice, acknowledged bool, t thresholds, now time.Time) Event {
	if n == nil {
		if r.Gone.IsZero() {
			r.Gone = now
		}
		if now.Sub(r.Gone) < overAfter {
			return ""
		}
		return EventResolved
	}
	r.Gone, r.Notice = time.Time{}, *n
	if age := now.Sub(r.Paced); age >= paceEvery {
		r.Fast = !r.Paced.IsZero() && n.Subject == SubjectCause && t.pace > 0 && float64(n.Count-r.PacedAt) >= t.pace*age.Minutes()
		r.Paced, r.PacedAt = now, n.Count
	}
	since := now.Sub(r.Told)
	switch {
	case r.Told.IsZero():
		return EventNew
	case since >= changedAfter && (n.Count >= changedTimes*max(1, r.Count) || r.Fast && !r.FastTold):
		return EventChanged
	case since >= t.remind && !acknowledged:
		return EventReminder
	}
	return ""
}

// told notes that it is told of now.
func (r *record) told(now time.Time) {
	r.Told, r.Count, r.FastTold = now, r.Notice.Count, r.Fast
}

// thresholds are what an operator may set about when to be told.
type thresholds struct {
	pace   float64 // dead letters a minute of one cause; 0: never mind
	remind time.Duration
}
