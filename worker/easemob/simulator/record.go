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
	// Targets are the users, groups or rooms that were changed or sent to; of a
	// batch that failed in part, those that succeeded.
	Targets []string `json:"targets,omitempty"`
	// EmqID is the ext.emq_id of a message.
	EmqID string `json:"emq_id,omitempty"`
	// IDs are the message ids given, one for each target in order, or the id of
	// the group or room created.
	IDs []string `json:"ids,omitempty"`
	// Body is the request's body, if it has one. Calls of [ClassUsers] are recorded without,
	// since they carry passwords.
	Body json.RawMessage `json:"body,omitempty"`
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
	// TokensIssued counts the tokens given out.
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
		Time: c.start, App: c.app.Key, Method: c.r.Method, Path: c.path,
		Targets: done.targets, EmqID: done.emqID, IDs: done.ids,
	}
	if c.decoded && c.route.class != ClassUsers {
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

func (r *record) count(endpoint string, status int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls[callKey{endpoint, status}]++
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
		TokensIssued: r.tokens, Calls: make(map[string]map[int]int64, len(r.calls)),
	}
	for k, v := range r.calls {
		if n.Calls[k.endpoint] == nil {
			n.Calls[k.endpoint] = make(map[int]int64)
		}
		n.Calls[k.endpoint][k.status] = v
	}
	return n
}
