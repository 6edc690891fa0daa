package admin

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/imqueue/emq/dlq"
)

const (
	eventsEvery = 2 * time.Second
	eventsMost  = 64 // streams at a time
	eventWait   = 5 * time.Second
)

// count is how an app is, in an event.
type count struct {
	App     string `json:"app"`
	Pending int    `json:"pending"`
	Active  int    `json:"active"`
	Dead    int    `json:"dead"`
	Held    bool   `json:"held"`
}

// events streams counts, and the operations that are under way, until the client leaves or
// the server ends.
func (s *Server) events(w http.ResponseWriter, r *http.Request) {
	if _, _, err := s.gate.who(r); err != nil {
		s.refuse(w, r, err)
		return
	}
	select {
	case s.streams <- struct{}{}:
		defer func() { <-s.streams }()
	default:
		s.refuse(w, r, &apiError{status: http.StatusServiceUnavailable, detail: "too many streams"})
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	control := http.NewResponseController(w)
	tick := time.NewTicker(eventsEvery)
	defer tick.Stop()
	for {
		_ = control.SetWriteDeadline(time.Now().Add(eventWait))
		if s.tell(w, r) != nil || control.Flush() != nil {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-s.ending:
			return
		case <-tick.C:
		}
		if _, _, err := s.gate.who(r); err != nil {
			return // the session has ended
		}
	}
}

// tell writes one round of events. While Redis is away it is a comment, which keeps the
// connection.
func (s *Server) tell(w http.ResponseWriter, r *http.Request) error {
	counts, err := s.counts(r)
	if err != nil {
		_, err := fmt.Fprint(w, ": Redis does not answer\n\n")
		return err
	}
	if err := event(w, "counts", map[string]any{"apps": counts}); err != nil {
		return err
	}
	running := []dlq.Operation{}
	for _, c := range counts {
		ops, err := s.store.ActiveOperations(r.Context(), c.App)
		if err != nil {
			return nil //nolint:nilerr // the next round may tell
		}
		running = append(running, ops...)
	}
	return event(w, "operations", listOf(running, ""))
}

func event(w http.ResponseWriter, name string, data any) error {
	raw, err := json.Marshal(data)
	if err == nil {
		_, err = fmt.Fprintf(w, "event: %s\ndata: %s\n\n", name, raw)
	}
	return err
}

func (s *Server) counts(r *http.Request) ([]count, error) {
	usage, err := s.store.Usage(r.Context())
	if err != nil {
		return nil, err
	}
	queues, err := s.store.Queues(r.Context())
	if err != nil {
		return nil, err
	}
	holds, err := s.store.Holds(r.Context())
	if err != nil {
		return nil, err
	}
	list := make([]count, len(usage))
	for i, u := range usage {
		list[i] = count{App: u.App, Dead: u.Counts[dlq.StateDead]}
		for _, q := range queues {
			if q.App == u.App {
				list[i].Pending += q.Pending
				list[i].Active += q.Active
			}
		}
		for _, h := range holds {
			list[i].Held = list[i].Held || h.App == u.App
		}
	}
	return list, nil
}
