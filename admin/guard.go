package admin

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/redis/go-redis/v9"
)

// Every request to the API goes through here, in this order: who asks, whether their role
// may, whether the request is the page's own, whether anything may be changed at all, and
// whether it was made before.

// crossOrigin refuses what a browser sends for another page. Clients that are no browsers
// say nothing of an origin, and pass.
var crossOrigin = http.NewCrossOriginProtection()

// guard makes the handler of a route.
func (s *Server) guard(route route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who, csrf, err := s.gate.who(r)
		if err == nil || route.role == "" {
			err = s.may(r, route, who, csrf, err)
		}
		if err != nil {
			s.refuse(w, r, err)
			return
		}
		if route.stream != nil {
			route.stream(w, r, who)
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), answerTimeout)
		defer cancel()
		r = r.WithContext(ctx)
		if route.read != nil {
			value, err := route.read(r)
			if err != nil {
				s.refuse(w, r, err)
				return
			}
			s.write(w, r, http.StatusOK, "application/json", s.masked(who, value))
			return
		}
		s.perform(w, r, route, who)
	})
}

// may says why who asks may not use a route. Whether they are known at all is told by
// unknown.
func (s *Server) may(r *http.Request, route route, who Identity, csrf string, unknown error) error {
	if err := crossOrigin.Check(r); err != nil {
		return &apiError{status: http.StatusForbidden, detail: "a page of another origin may not do this"}
	}
	if route.role == "" {
		return nil
	}
	if unknown != nil {
		return unknown
	}
	if !who.Role.atLeast(route.role) {
		return &apiError{status: http.StatusForbidden, detail: "this needs the role " + string(route.role) + "; " + who.Name + " is " + string(who.Role)}
	}
	if r.Method == http.MethodGet {
		return nil
	}
	if csrf != "" && subtle.ConstantTimeCompare([]byte(r.Header.Get("X-CSRF-Token")), []byte(csrf)) == 0 {
		return &apiError{status: http.StatusForbidden, detail: "X-CSRF-Token is missing or not this session's"}
	}
	if s.cfg.ReadOnly && route.role != RoleViewer {
		return &apiError{status: http.StatusForbidden, detail: "this server is read-only"}
	}
	return nil
}

const (
	idempotencyKeep = 24 * time.Hour
	// idempotencyHold is how long a request may be under way before its repeat is made.
	idempotencyHold = time.Minute
	idempotencyMax  = 128 // bytes of a key
)

// A kept answer is what a request with a key got.
type kept struct {
	Body   string          `json:"body"` // hash of the request's
	Status int             `json:"status,omitempty"`
	Type   string          `json:"type,omitempty"`
	Answer json.RawMessage `json:"answer,omitempty"`
}

// perform makes a change once: with an Idempotency-Key, a repeat gets the first answer.
func (s *Server) perform(w http.ResponseWriter, r *http.Request, route route, who Identity) {
	body, err := takeBody(r)
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	key := r.Header.Get("Idempotency-Key")
	if key == "" || s.cfg.Redis == nil {
		status, kind, answer := s.outcome(r, route, who, body)
		s.send(w, r, status, kind, answer)
		return
	}
	if len(key) > idempotencyMax {
		s.refuse(w, r, &apiError{status: http.StatusBadRequest, detail: "Idempotency-Key: at most 128 bytes"})
		return
	}
	place := "emq:admin:once:" + hashed(who.Name, r.Method, r.URL.EscapedPath(), key)
	mine := kept{Body: hashed(string(body))}
	raw, _ := json.Marshal(mine) // texts
	begun, err := s.cfg.Redis.SetNX(r.Context(), place, raw, idempotencyHold).Result()
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	if !begun {
		s.repeat(w, r, place, mine)
		return
	}
	mine.Status, mine.Type, mine.Answer = s.outcome(r, route, who, body)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), time.Second)
	defer cancel()
	if mine.Status >= http.StatusInternalServerError {
		s.cfg.Redis.Del(ctx, place) // it may be tried again; should this fail, in a minute
	} else if raw, err := json.Marshal(mine); err == nil {
		s.cfg.Redis.Set(ctx, place, raw, idempotencyKeep)
	}
	s.send(w, r, mine.Status, mine.Type, mine.Answer)
}

// repeat answers a request whose key was there.
func (s *Server) repeat(w http.ResponseWriter, r *http.Request, place string, mine kept) {
	raw, err := s.cfg.Redis.Get(r.Context(), place).Bytes()
	var first kept
	switch {
	case errors.Is(err, redis.Nil):
		err = &apiError{status: http.StatusConflict, detail: "the first request with this Idempotency-Key is under way"}
	case err == nil:
		err = json.Unmarshal(raw, &first)
	}
	switch {
	case err != nil:
	case first.Body != mine.Body:
		err = &apiError{status: http.StatusUnprocessableEntity, detail: "this Idempotency-Key was used for another request"}
	case first.Status == 0:
		err = &apiError{status: http.StatusConflict, detail: "the first request with this Idempotency-Key is under way"}
	}
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	w.Header().Set("Idempotent-Replayed", "true")
	s.send(w, r, first.Status, first.Type, first.Answer)
}

// outcome does what a route does.
func (s *Server) outcome(r *http.Request, route route, who Identity, body []byte) (status int, kind string, answer json.RawMessage) {
	value, err := route.act.do(s, r, who, body)
	status, kind = http.StatusOK, "application/json"
	if value == (nothing{}) {
		status, value = http.StatusNoContent, nil
	}
	if err == nil && value != nil {
		answer, err = json.Marshal(s.masked(who, value))
	}
	if err != nil {
		p := s.told(r, err)
		status, kind = p.Status, "application/problem+json"
		answer, _ = json.Marshal(p) // texts and numbers
	}
	return status, kind, answer
}

func (s *Server) send(w http.ResponseWriter, r *http.Request, status int, kind string, answer json.RawMessage) {
	if status == http.StatusNoContent {
		w.WriteHeader(status)
		return
	}
	s.write(w, r, status, kind, answer)
}

func hashed(parts ...string) string {
	h := sha256.New()
	for _, part := range parts {
		_, _ = h.Write([]byte(part))
		_, _ = h.Write([]byte{0})
	}
	return hex.EncodeToString(h.Sum(nil))
}
