package tasks

import (
	"encoding/json"
	"net/url"
	"path"
	"slices"
	"strings"
)

// RawCall is the payload of call.raw: any call below /{org}/{app}, for what
// the other kinds don't cover. emq can't know what it does, so an answer that
// another kind would take for "already done" counts as a failure here.
type RawCall struct {
	Method string          `json:"method"` // GET, POST, PUT, PATCH or DELETE
	Path   string          `json:"path"`   // begins with "/"; below /{org}/{app}; may carry a query
	Body   json.RawMessage `json:"body,omitempty"`
}

// Kind returns KindCallRaw.
func (RawCall) Kind() Kind { return KindCallRaw }

// Validate checks method, path and body. The token endpoint is refused: tokens
// are the worker's business, and a task must not carry credentials.
func (r RawCall) Validate() error {
	if !slices.Contains([]string{"GET", "POST", "PUT", "PATCH", "DELETE"}, r.Method) {
		return fieldErr("method", r.Method, "must be GET, POST, PUT, PATCH or DELETE")
	}
	if err := checkBytes("path", len(r.Path), RawPathMaxBytes); err != nil {
		return err
	}
	u, err := url.Parse(r.Path)
	if err != nil || !strings.HasPrefix(r.Path, "/") || strings.HasPrefix(r.Path, "//") ||
		u.Host != "" || u.Fragment != "" || strings.ContainsAny(r.Path, " \\\t\r\n") ||
		path.Clean(u.Path) != strings.TrimSuffix(u.Path, "/") {
		return fieldErr("path", r.Path, "must be an absolute, escaped path below /{org}/{app}, such as /users/u1/deactivate")
	}
	if first, _, _ := strings.Cut(strings.TrimPrefix(u.Path, "/"), "/"); strings.EqualFold(first, "token") {
		return fieldErr("path", r.Path, "tokens are fetched by the worker, not by tasks")
	}
	if len(r.Body) > 0 && !json.Valid(r.Body) {
		return &FieldError{Field: "body", Bound: "must be valid JSON, or left out"}
	}
	return checkBytes("body", len(r.Body), RawBodyMaxBytes)
}

// Request builds the call.
func (r RawCall) Request(string) (Request, error) {
	return Request{Method: r.Method, Path: r.Path, Body: r.Body}, nil
}

// family is the family that the path belongs to, so that a raw call waits with
// its like.
func (r RawCall) family() Family {
	first, _, _ := strings.Cut(strings.TrimPrefix(r.Path, "/"), "/")
	first, _, _ = strings.Cut(first, "?")
	switch first {
	case "messages", "stream_message", "chatmessages":
		return FamilyMessages
	case "chatgroups", "thread":
		return FamilyGroups
	case "chatrooms":
		return FamilyRooms
	default:
		return FamilyUsers
	}
}
