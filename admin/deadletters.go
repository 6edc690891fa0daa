package admin

import (
	"net/http"

	"github.com/imqueue/emq/dlq"
	"github.com/imqueue/emq/tasks"
)

func (s *Server) listDeadLetters(r *http.Request) (any, error) {
	q := newQuery(r, append(dlq.FilterFields(), "limit", "cursor")...)
	filter := q.filter()
	limit := q.number("limit", 1, dlq.PageMax, dlq.PageDefault)
	cursor := q.text("cursor")
	if err := q.err(); err != nil {
		return nil, err
	}
	page, err := s.store.List(r.Context(), filter, cursor, limit)
	if err != nil {
		return nil, err
	}
	for i := range page.Entries {
		page.Entries[i] = page.Entries[i].Redacted()
	}
	return listOf(page.Entries, page.Next), nil
}

func (s *Server) getDeadLetter(r *http.Request) (any, error) {
	if err := newQuery(r).err(); err != nil {
		return nil, err
	}
	app, id := r.PathValue("app"), r.PathValue("id")
	if err := tasks.CheckApp(app); err != nil {
		return nil, err
	}
	entry, err := s.store.Get(r.Context(), app, id)
	if err != nil {
		return nil, err
	}
	return entry.Redacted(), nil
}

func (s *Server) listCauses(r *http.Request) (any, error) {
	q := newQuery(r, dlq.FilterFields()...)
	filter := q.filter()
	if err := q.err(); err != nil {
		return nil, err
	}
	causes, err := s.store.Causes(r.Context(), filter)
	if err != nil {
		return nil, err
	}
	return listOf(causes, ""), nil
}
