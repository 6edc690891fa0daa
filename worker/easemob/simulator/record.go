package simulator

import (
	"encoding/json"
	"maps"
	"sync"
	"time"
)

// Execution is one request that changed something.
type Execution struct {
	// Seq counts executions from 1, without gaps, from the start or last reset.
	Seq  int64     `json:"seq"`
	Time time.Time `json:"time"`
	// App is the app key, "org#app".
	App    string `json:"app"`
	Method string `json:"method"`
	// Path is below /org/app, with escapes undone.
	Path string `json:"path"`
	// Query is what follows a "?", as it was sent.
	Query string `json:"query,omitempty"`
	// Targets are the users, groups or rooms that were changed or sent to; of a
	// batch that failed in part, those that succeeded.
	Targets []string `json:"targets,omitempty"`
	// EmqID is the ext.emq_id of a message.
	EmqID string `json:"emq_id,omitempty"`
	// IDs are the message ids given, one for each target in order, or the id of
	// the group or room created.
	IDs []string `json:"ids,omitempty"`
	// Body is the request's body, if that is JSON. Calls about accounts are recorded
	// without, since they carry passwords.
	Body json.RawMessage `json:"body,omitempty"`
}

// Call is one call received, answered or not.
type Call struct {
	// Time is when it arrived.
	Time time.Time `json:"time"`
	// App is the app key, "org#app"; empty for an unknown one.
	App string `json:"app,omitempty"`
	// Endpoint is as in [Counts].
	Endpoint string `json:"endpoint"`
	// Status is the answer's; 0 is none, cut on purpose or left by the caller.
	Status int `json:"status"`
	// Messages is how many messages it asked to send; 0 if it was refused before
	// they were counted.
	Messages int `json:"messages,omitempty"`
	// OverLimit is the endpoint or pool whose limit refused it.
	OverLimit string `json:"over_limit,omitempty"`
	// Fault is the ID of the fault that it met.
	Fault string `json:"fault,omitempty"`
}

// Counts sums up what a simulator received and executed since its start or last
// reset.
type Counts struct {
	// Executed is the number of executions.
	Executed int64 `json:"executed"`
	// DistinctEmqIDs is how many different ext.emq_id values they carried, and
	// Duplicates how many executions carried one that had been executed before.
	DistinctEmqIDs int   `json:"distinct_emq_ids"`
	Duplicates     int64 `json:"duplicates"`
	// Calls counts every call received, by endpoint ("POST /messages/users",
	// "unknown" for none) and status answered; status 0 is a call that got no
	// answer, cut on purpose or left by the caller.
	Calls map[string]map[int]int64 `json:"calls"`
	// OverLimit counts the calls that a limit refused, by endpoint or pool.
	OverLimit map[string]int64 `json:"over_limit"`
	// TokensIssued counts the tokens given out. (Requests for one are in Calls.)
	TokensIssued int64 `json:"tokens_issued"`
}

// record is what a simulator remembers of its calls.
type record struct {
	mu         sync.Mutex
	executed   int64
	list       journal[Execution] // in order; the nth has Seq n+1
	byEmqID    map[string]int
	duplicates int64
	calls      map[callKey]int64
	received   journal[Call] // in order of their answers
	overLimit  map[string]int64
	tokens     int64
}

type callKey struct {
	endpoint string
	status   int
}

func (r *record) clear() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.executed, r.duplicates, r.tokens = 0, 0, 0
	r.list = journal[Execution]{}
	r.byEmqID = make(map[string]int)
	r.calls = make(map[callKey]int64)
	r.received = journal[Call]{}
	r.overLimit = make(map[string]int64)
}

// add takes down what a call has changed.
func (r *record) add(s *Simulator, c *call, done *change) {
	if s.cfg.NoRecord {
		r.mu.Lock()
		r.executed++
		r.mu.Unlock()
		return
	}
	e := Execution{
		Time: c.start, App: c.app.Key, Method: c.r.Method, Path: c.path, Query: c.r.URL.RawQuery,
		Targets: done.targets, EmqID: done.emqID, IDs: done.ids,
	}
	if c.decoded && c.route.family != familyAccounts {
		e.Body = c.body
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.executed++
	e.Seq = r.executed
	r.list.add(e)
	if e.EmqID != "" {
		n := r.byEmqID[e.EmqID] + 1
		r.byEmqID[e.EmqID] = n
		if n > 1 {
			r.duplicates++
		}
	}
}

// count takes down a call received.
func (r *record) count(c *call, status int, fault string) {
	in := Call{Time: c.start, Endpoint: c.endpoint(), Status: status, Messages: c.messages, OverLimit: c.overLimit, Fault: fault}
	if c.app != nil {
		in.App = c.app.Key
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls[callKey{in.Endpoint, status}]++
	if in.OverLimit != "" {
		r.overLimit[in.OverLimit]++
	}
	if !c.sim.cfg.NoRecord {
		r.received.add(in)
	}
}

func (r *record) tokenIssued() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tokens++
}

// Executed returns a copy of the record, in order of execution.
func (s *Simulator) Executed() []Execution { return s.ExecutedSince(0) }

// ExecutedSince returns a copy of the record after the execution numbered seq.
func (s *Simulator) ExecutedSince(seq int64) []Execution {
	r := &s.record
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.list.from(int(min(seq, r.executed)))
}

// Received returns a copy of the record of all calls after the first n, in order
// of their answers.
func (s *Simulator) Received(n int) []Call {
	s.record.mu.Lock()
	defer s.record.mu.Unlock()
	return s.record.received.from(n)
}

// EmqIDs returns how often each ext.emq_id was executed.
func (s *Simulator) EmqIDs() map[string]int {
	s.record.mu.Lock()
	defer s.record.mu.Unlock()
	return maps.Clone(s.record.byEmqID)
}

// Counts returns the sums, cheap at any size of the record.
func (s *Simulator) Counts() Counts {
	r := &s.record
	r.mu.Lock()
	defer r.mu.Unlock()
	n := Counts{
		Executed: r.executed, DistinctEmqIDs: len(r.byEmqID), Duplicates: r.duplicates,
		TokensIssued: r.tokens, OverLimit: maps.Clone(r.overLimit), Calls: make(map[string]map[int]int64, len(r.calls)),
	}
	for k, v := range r.calls {
		if n.Calls[k.endpoint] == nil {
			n.Calls[k.endpoint] = make(map[int]int64)
		}
		n.Calls[k.endpoint][k.status] = v
	}
	return n
}
