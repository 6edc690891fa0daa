package admin

import (
	"net/http"
	"time"

	"github.com/imqueue/emq/dlq"
)

func (s *Server) getOperation(r *http.Request) (any, error) {
	if err := newQuery(r).err(); err != nil {
		return nil, err
	}
	return s.store.GetOperation(r.Context(), r.PathValue("app"), r.PathValue("id"))
}

func (s *Server) listAudit(r *http.Request) (any, error) {
	q := newQuery(r, "app", "by", "action", "since", "until", "limit", "cursor")
	now := time.Now()
	f := dlq.AuditFilter{App: q.app(), By: q.text("by"), Action: q.text("action"), Since: q.moment("since", now), Until: q.moment("until", now)}
	limit := q.number("limit", 1, dlq.PageMax, dlq.PageDefault)
	cursor := q.text("cursor")
	if err := q.err(); err != nil {
		return nil, err
	}
	lines, next, err := s.store.Audit(r.Context(), f, cursor, limit)
	if err != nil {
		return nil, err
	}
	return listOf(lines, next), nil
}
