package admin

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/imqueue/emq/dlq"
	"github.com/imqueue/emq/tasks"
)

// A handler answers a request with a value for JSON, or with an error.
type handler func(*http.Request) (any, error)

// list is the answer of every route that lists.
type list[T any] struct {
	Items      []T    `json:"items"` // never null
	NextCursor string `json:"next_cursor,omitempty"`
}

func listOf[T any](items []T, next string) list[T] {
	if items == nil {
		items = []T{}
	}
	return list[T]{Items: items, NextCursor: next}
}

// apiError is an error whose words are meant for the client.
type apiError struct {
	status int
	field  string // parameter at fault, if any
	value  string // of it, if that may be shown
	detail string

	retryAfter time.Duration
}

func (e *apiError) Error() string { return e.detail }

// problem is the one shape of an error (RFC 9457).
type problem struct {
	Type   string  `json:"type"`
	Title  string  `json:"title"`
	Status int     `json:"status"`
	Detail string  `json:"detail,omitempty"`
	Field  string  `json:"field,omitempty"`
	Errors []fault `json:"errors,omitempty"`
}

// A fault is what is wrong with one field of a body.
type fault struct {
	Location string `json:"location"`
	Message  string `json:"message"`
	Value    string `json:"value,omitempty"`
}

// answer makes an HTTP handler of h.
func (s *Server) answer(h handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), answerTimeout)
		defer cancel()
		value, err := h(r.WithContext(ctx))
		if err != nil {
			s.refuse(w, r, err)
			return
		}
		s.write(w, r, http.StatusOK, "application/json", value)
	})
}

// refuse answers err.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, err error) {
	if errors.Is(r.Context().Err(), context.Canceled) {
		return // the client has left
	}
	if known, ok := errors.AsType[*apiError](err); ok {
		if known.retryAfter > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(int(known.retryAfter.Seconds())))
		}
		if known.status == http.StatusUnauthorized {
			w.Header().Set("WWW-Authenticate", "Bearer")
		}
	}
	p := s.told(r, err)
	s.write(w, r, p.Status, "application/problem+json", p)
}

// told is err as the client is told it. What is not the client's fault is logged here, and
// told without its particulars.
func (s *Server) told(r *http.Request, err error) problem {
	if errors.Is(err, context.DeadlineExceeded) && s.redisAnswers(r) {
		s.log.Warn("request took too long", "method", r.Method, "path", r.URL.Path, "error", err)
		err = &apiError{status: http.StatusGatewayTimeout, detail: "given up after " + answerTimeout.String() + ": there is too much to look through"}
	}
	p := problemOf(err)
	if p.Status >= http.StatusInternalServerError && !errors.As(err, new(*apiError)) {
		s.log.Error("request failed", "method", r.Method, "path", r.URL.Path, "status", p.Status, "error", err)
	}
	return p
}

// redisAnswers tells a Redis that is away from one that had too much to do for an answer.
func (s *Server) redisAnswers(r *http.Request) bool {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), time.Second)
	defer cancel()
	_, err := s.store.Apps(ctx)
	return err == nil
}

// problemOf is the only place that maps errors to HTTP.
func problemOf(err error) problem {
	p := problem{Type: "about:blank", Status: http.StatusInternalServerError, Detail: "an error of emq's own; its log has more"}
	var api *apiError
	var field *tasks.FieldError
	var network net.Error
	switch {
	case errors.As(err, &api):
		p.Status, p.Field, p.Detail = api.status, api.field, api.detail
		if api.field != "" && api.status == http.StatusUnprocessableEntity {
			p.Errors = []fault{{Location: api.field, Message: api.detail, Value: api.value}}
		}
	case errors.As(err, &field):
		p.Status, p.Field, p.Detail = http.StatusBadRequest, field.Field, field.Error()
	case errors.Is(err, dlq.ErrNotFound):
		p.Status, p.Detail = http.StatusNotFound, err.Error()
	case errors.Is(err, dlq.ErrState), errors.Is(err, dlq.ErrResendInProgress):
		p.Status, p.Detail = http.StatusConflict, err.Error()
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, io.EOF), errors.As(err, &network):
		p.Status, p.Detail = http.StatusServiceUnavailable, "Redis does not answer"
	}
	p.Title = http.StatusText(p.Status)
	return p
}

// write sends value as JSON, whole or not at all.
func (s *Server) write(w http.ResponseWriter, r *http.Request, status int, contentType string, value any) {
	body, err := json.Marshal(value)
	if err != nil {
		s.log.Error("answer is no JSON", "method", r.Method, "path", r.URL.Path, "error", err)
		p := problemOf(err)
		status, contentType = p.Status, "application/problem+json"
		body, _ = json.Marshal(p) // texts and a number
	}
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(status)
	if _, err := w.Write(append(body, '\n')); err != nil && s.log.Enabled(r.Context(), slog.LevelDebug) {
		s.log.Debug("client left", "path", r.URL.Path, "error", err)
	}
}

// unrouted answers what no route takes. h is the mux's own handler for it: it
// redirects to the clean form of a path, or says whether the path or the method
// is unknown.
func (s *Server) unrouted(w http.ResponseWriter, r *http.Request, h http.Handler) {
	probe := &headersOnly{header: w.Header()}
	h.ServeHTTP(probe, r)
	switch probe.status {
	case http.StatusNotFound:
		s.refuse(w, r, &apiError{status: probe.status, detail: "no such path"})
	case http.StatusMethodNotAllowed:
		s.refuse(w, r, &apiError{status: probe.status, detail: "this path takes only " + w.Header().Get("Allow")})
	default:
		w.WriteHeader(probe.status)
	}
}

// headersOnly takes an answer's status and headers, and drops its body.
type headersOnly struct {
	header http.Header
	status int
}

func (h *headersOnly) Header() http.Header         { return h.header }
func (h *headersOnly) WriteHeader(status int)      { h.status = status }
func (h *headersOnly) Write(p []byte) (int, error) { return len(p), nil }
