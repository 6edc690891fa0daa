package admin

import (
	"context"
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

// ofApps lists what the store has of the request's app, or of all.
func ofApps[T any](list func(context.Context, ...string) ([]T, error)) handler {
	return func(r *http.Request) (any, error) {
		apps, err := appsOf(r)
		if err != nil {
			return nil, err
		}
		items, err := list(r.Context(), apps...)
		if err != nil {
			return nil, err
		}
		return listOf(items, ""), nil
	}
}

func (s *Server) listLimits(r *http.Request) (any, error) {
	q := newQuery(r, "app", "all")
	app, all := q.app(), q.flag("all")
	if err := q.err(); err != nil {
		return nil, err
	}
	var apps []string
	if app != "" {
		apps = []string{app}
	}
	limits, err := s.store.LimitsInForce(r.Context(), s.cfg.Limits, all, apps...)
	if err != nil {
		return nil, err
	}
	return listOf(limits, ""), nil
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
