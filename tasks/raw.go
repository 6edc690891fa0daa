package tasks

import (
	"encoding/json"
	"maps"
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
	if err := checkBytes("path", len(r.Path), PathMaxBytes); err != nil {
		return err
	}
	u, err := url.Parse(r.Path)
	if err != nil || !strings.HasPrefix(r.Path, "/") || strings.HasPrefix(r.Path, "//") ||
		u.Host != "" || strings.ContainsAny(r.Path, " \\#{}\t\r\n") ||
		path.Clean(u.Path) != strings.TrimSuffix(u.Path, "/") {
		return fieldErr("path", r.Path, "must be an absolute, escaped path below /{org}/{app} without placeholders, such as /users/u1/deactivate")
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
	if string(r.Body) == "null" {
		r.Body = nil
	}
	return Request{Method: r.Method, Path: r.Path, Body: r.Body}, nil
}

// endpoint is what Easemob counts the call against, so that a raw call waits
// with its like.
func (r RawCall) endpoint() Endpoint { return endpointOf(r.Method, r.Path, r.Body) }

// messages counts the recipients that the body names.
func (r RawCall) messages() int {
	switch e := r.endpoint(); {
	case e.Family() != FamilyMessages, e == EndpointMessagesRecall, e == messagesOther:
		return 0
	}
	names, _ := r.parts()
	return max(1, len(names))
}

// Targets are the names in the call: in the body's users, usernames, to, target
// or keys, the keys of its metaData, the usernames of an array of objects, or a
// list with commas at the end of a DELETE's path.
func (r RawCall) Targets() []string {
	names, _ := r.parts()
	seen := map[string]bool{}
	return slices.DeleteFunc(names, func(name string) bool {
		again := seen[strings.ToLower(name)]
		seen[strings.ToLower(name)] = true
		return again
	})
}

// Only is the same call with just those names that are among targets.
func (r RawCall) Only(targets []string) Payload {
	names, with := r.parts()
	var kept []int
	for i, name := range names {
		if slices.ContainsFunc(targets, func(target string) bool { return strings.EqualFold(target, name) }) {
			kept = append(kept, i)
		}
	}
	if len(kept) == len(names) {
		return r // as it was written
	}
	return with(kept)
}

// rawLists are the fields that name targets, the narrower ones first: a message
// to some members names the group in to and them in users.
var rawLists = []string{"users", "usernames", "to", "target", "keys"}

// parts finds the names in the call, and how to make it with just some of them.
func (r RawCall) parts() (names []string, with func(kept []int) RawCall) {
	var users []json.RawMessage
	if json.Unmarshal(r.Body, &users) == nil {
		return r.userParts(users)
	}
	var body map[string]json.RawMessage
	if json.Unmarshal(r.Body, &body) == nil {
		for _, field := range rawLists {
			var list []string
			if json.Unmarshal(body[field], &list) == nil && len(list) > 0 && !slices.Contains(list, "") {
				return list, func(kept []int) RawCall { return r.withField(body, field, pick(list, kept)) }
			}
		}
		var attributes map[string]json.RawMessage
		if json.Unmarshal(body["metaData"], &attributes) == nil && len(attributes) > 0 {
			names = slices.Sorted(maps.Keys(attributes))
			return names, func(kept []int) RawCall {
				some := make(map[string]json.RawMessage, len(kept))
				for _, name := range pick(names, kept) {
					some[name] = attributes[name]
				}
				return r.withField(body, "metaData", some)
			}
		}
	}
	return r.pathParts()
}

// userParts takes an array of objects that each have a username.
func (r RawCall) userParts(users []json.RawMessage) (names []string, with func(kept []int) RawCall) {
	for _, raw := range users {
		var user struct {
			Username string `json:"username"`
		}
		if json.Unmarshal(raw, &user) != nil || user.Username == "" {
			return nil, nil
		}
		names = append(names, user.Username)
	}
	return names, func(kept []int) RawCall {
		r.Body = mustJSON(pick(users, kept))
		return r
	}
}

// pathParts takes the list at the end of a DELETE's path.
func (r RawCall) pathParts() (names []string, with func(kept []int) RawCall) {
	const method = "DELETE" // not worth a dependency on net/http
	place, query, queried := strings.Cut(r.Path, "?")
	root, list := path.Split(place)
	names = strings.Split(strings.NewReplacer("%2C", ",", "%2c", ",").Replace(list), ",")
	if r.Method != method || len(names) < 2 {
		return nil, nil
	}
	return names, func(kept []int) RawCall {
		r.Path = root + strings.Join(pick(names, kept), ",")
		if queried {
			r.Path += "?" + query
		}
		return r
	}
}

// withField is the call with one field of its body changed.
func (r RawCall) withField(body map[string]json.RawMessage, field string, value any) RawCall {
	body = maps.Clone(body)
	body[field] = mustJSON(value)
	r.Body = mustJSON(body)
	return r
}

func pick[T any](list []T, kept []int) []T {
	picked := make([]T, len(kept))
	for i, at := range kept {
		picked[i] = list[at]
	}
	return picked
}

// mustJSON writes what was read as JSON a moment ago.
func mustJSON(v any) json.RawMessage {
	raw, err := encodeJSON(v)
	if err != nil {
		panic(err)
	}
	return raw
}
