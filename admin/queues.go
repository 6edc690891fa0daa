package admin

import (
	"net/http"

	"github.com/imqueue/emq/dlq"
)

// queue is a queue in JSON, its latency included.
type queue struct {
	dlq.Queue
	LatencyMS int64 `json:"latency_ms"`
}

func (s *Server) listQueues(r *http.Request) (any, error) {
	apps, err := appsOf(r)
	if err != nil {
		return nil, err
	}
	queues, err := s.store.Queues(r.Context(), apps...)
	if err != nil {
		return nil, err
	}
	items := make([]queue, len(queues))
	for i, q := range queues {
		items[i] = queue{q, q.Latency.Milliseconds()}
	}
	return listOf(items, ""), nil
}

func (s *Server) listHolds(r *http.Request) (any, error) {
	apps, err := appsOf(r)
	if err != nil {
		return nil, err
	}
	holds, err := s.store.Holds(r.Context(), apps...)
	if err != nil {
		return nil, err
	}
	return listOf(holds, ""), nil
}

// appsOf is the app that the request names; none means all.
func appsOf(r *http.Request) ([]string, error) {
	q := newQuery(r, "app")
	app := q.app()
	if err := q.err(); err != nil || app == "" {
		return nil, err
	}
	return []string{app}, nil
}
