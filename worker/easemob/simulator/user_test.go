package simulator_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/imqueue/emq/worker/easemob/simulator"
)

// entities returns the usernames of an answer.
func (a answer) entities(t *testing.T) []string {
	t.Helper()
	var body struct {
		Entities []struct {
			Username  string `json:"username"`
			UUID      string `json:"uuid"`
			Type      string `json:"type"`
			Activated *bool  `json:"activated"`
		} `json:"entities"`
	}
	if err := json.Unmarshal(a.body, &body); err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range body.Entities {
		if e.UUID == "" || e.Type != "user" || e.Activated == nil {
			t.Errorf("not a user: %s", a.body)
		}
		out = append(out, e.Username)
	}
	return out
}

func TestRegister(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Config{})
	illegal := func(body, text string) step {
		return step{method: "POST", path: "/users", body: body, status: 400, code: "illegal_argument", text: text}
	}
	taken := func(name string) step {
		return step{
			method: "POST", path: "/users", body: `{"username":"` + name + `","password":"p"}`, status: 400, code: "duplicate_unique_property_exists",
			text: "Application null Entity user requires that property named username be unique, value of u1 exists",
		}
	}
	if got := w.api("POST", "/users", `{"username":"U1","password":"p","nickname":"Ann"}`); got.status != 200 || !reflect.DeepEqual(got.entities(t), []string{"u1"}) {
		t.Errorf("register: got %v", got)
	}
	w.run([]step{
		taken("u1"), taken("U1"),
		illegal(`{"password":"p"}`, "Entity user requires a property named username"),
		illegal(`{"username":"`+strings.Repeat("x", 65)+`","password":"p"}`, "USERNAME_TOO_LONG"),
		illegal(`{"username":"a b","password":"p"}`, "username [a b] is not legal"),
		illegal(`{"username":"u@x.com","password":"p"}`, "username [u@x.com] is not legal"),
		illegal(`{"username":"x"}`, "password or pin must provided"),
		illegal(`{"username":"x","password":"p","nickname":"`+strings.Repeat("n", 101)+`"}`, "NICKNAME_TOO_LONG"),
		illegal(`[]`, "this is an invalid request."),
		illegal(`[{"username":"ok","password":"p"},{"username":"a b","password":"p"}]`, "username [a b] is not legal"),
		{name: "no json", method: "POST", path: "/users", body: `{x`, status: 400, code: "json_parse", text: "Unexpected character ('x' (code 120)): was expecting a colon to separate field name and value\n at [Source: java.io.BufferedInputStream@170e3f35; line: 1, column: 2]"},
		{name: "64 bytes", method: "POST", path: "/users", body: `{"username":"` + strings.Repeat("x", 64) + `","password":"p"}`},
	})
	many := "[" + strings.TrimSuffix(strings.Repeat(`{"username":"x","password":"p"},`, 61), ",") + "]"
	w.run([]step{illegal(many, "Request body array size[61] had almost reached or been greater than the upper range value[60]")})

	got := w.api("POST", "/users", `[{"username":"u1","password":"p"},{"username":"u2","password":"p"},{"username":"u3","password":"p"},{"username":"U3","password":"p"}]`)
	if want := `[{"registerUserFailReason":"the u1 already exists","username":"u1"},{"registerUserFailReason":"the u3 already exists","username":"u3"}]`; got.status != 200 || got.data(t) != want {
		t.Errorf("many: got %v", got)
	}
	if !reflect.DeepEqual(got.entities(t), []string{"u2", "u3"}) {
		t.Errorf("many: registered %v", got.entities(t))
	}
	n := w.Counts().Executed
	w.run([]step{{method: "POST", path: "/users", body: `[{"username":"u1","password":"p"}]`, data: `[{"registerUserFailReason":"the u1 already exists","username":"u1"}]`}})
	if w.Counts().Executed != n {
		t.Error("a call that registered nobody was recorded as executed")
	}
	all := w.Executed()
	if last := all[len(all)-1]; !reflect.DeepEqual(last.Targets, []string{"u2", "u3"}) || last.Body != nil {
		t.Errorf("recorded %+v, want the new users and no passwords", last)
	}
	if got := w.api("GET", "/users/U1", "").entities(t); !reflect.DeepEqual(got, []string{"u1"}) {
		t.Errorf("one user: got %v", got)
	}
	if u, ok := w.User("", "u1"); !ok || u.Password != "p" || u.Nickname != "Ann" {
		t.Errorf("user %+v", u)
	}
}

func TestUserOperations(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Config{})
	if err := w.CreateUsers("", "u1", "u2", "u3"); err != nil {
		t.Fatal(err)
	}
	unknown := func(method, path, body string) step {
		return step{method: method, path: path, body: body, status: 404, code: "service_resource_not_found", text: "Service resource not found"}
	}
	w.run([]step{
		unknown("GET", "/users/x", ""), unknown("DELETE", "/users/x", ""), unknown("PUT", "/users/x", `{"nickname":"n"}`),
		unknown("POST", "/users/x/deactivate", ""), unknown("POST", "/users/x/activate", ""), unknown("GET", "/users/x/disconnect", ""),
		unknown("GET", "/users/x/status", ""),
		{method: "PUT", path: "/users/x/password", body: `{"newpassword":"n"}`, status: 404, code: "entity_not_found", text: "User null not found"},
		{method: "PUT", path: "/users/u1/password", body: `{}`, status: 400, code: "illegal_argument", text: "newpassword is required"},
		{method: "PUT", path: "/users/u1/password", body: `{"newpassword":"n"}`},
		{method: "PUT", path: "/users/U1", body: `{"nickname":"Nick"}`},
		{method: "PUT", path: "/users/u1", body: `{}`, status: 400, code: "illegal_argument", text: "this is an invalid request."},
		{method: "PUT", path: "/users/u1", body: `{"nickname":"` + strings.Repeat("n", 101) + `"}`, status: 400, code: "illegal_argument", text: "NICKNAME_TOO_LONG"},
		{method: "POST", path: "/users/u1/deactivate", body: `{}`},
		{method: "GET", path: "/users/u1/disconnect", data: `{"result":true}`},
		{method: "DELETE", path: "/users/u1/disconnect/phone", data: `{"result":true}`},
		{method: "GET", path: "/users/u1/status", data: `{"u1":"offline"}`},
		{method: "POST", path: "/users/batch/status", body: `{"usernames":["u1","ghost"]}`, data: `[{"u1":"offline"},{"ghost":"offline"}]`},
		{name: "101 of status", method: "POST", path: "/users/batch/status", body: `{"usernames":` + list(101) + `}`, status: 400, code: "illegal_argument", text: "request body exceeds maximum limit, maximum limit is 100"},
	})
	if u, _ := w.User("", "U1"); u.Password != "n" || u.Nickname != "Nick" || !u.Deactivated {
		t.Errorf("user %+v", u)
	}
	w.wantTargets(0, "PUT u1", "PUT u1", "POST u1", "GET u1", "DELETE u1")
	w.run([]step{{method: "POST", path: "/users/u1/activate"}})
	if u, _ := w.User("", "u1"); u.Deactivated {
		t.Error("still deactivated")
	}

	// Listing and deleting by age.
	got := w.api("GET", "/users?limit=2", "")
	var page struct{ Cursor string }
	_ = json.Unmarshal(got.body, &page)
	if !reflect.DeepEqual(got.entities(t), []string{"u1", "u2"}) || page.Cursor == "" {
		t.Errorf("first page %v", got)
	}
	if next := w.api("GET", "/users?limit=2&cursor="+page.Cursor, "").entities(t); !reflect.DeepEqual(next, []string{"u3"}) {
		t.Errorf("second page %v", next)
	}
	if gone := w.api("DELETE", "/users?limit=2", "").entities(t); !reflect.DeepEqual(gone, []string{"u1", "u2"}) {
		t.Errorf("deleted %v, want the oldest", gone)
	}
	if left := w.api("GET", "/users", "").entities(t); !reflect.DeepEqual(left, []string{"u3"}) {
		t.Errorf("left %v", left)
	}
}

func TestDeleteUserLeavesGroups(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Config{})
	own := must[string](t)(w.CreateGroup("", simulator.Group{Owner: "u1", Members: []string{"u2"}}))
	other := must[string](t)(w.CreateGroup("", simulator.Group{Owner: "u2", Members: []string{"u1", "u3"}, Admins: []string{"u1"}}))
	w.run([]step{{method: "POST", path: "/users/u2/contacts/users/u1"}, {method: "DELETE", path: "/users/u1"}})
	if _, ok := w.Group("", own); ok {
		t.Error("the group of the deleted owner is still there")
	}
	if g, _ := w.Group("", other); !reflect.DeepEqual(g.Members, []string{"u3"}) || len(g.Admins) != 0 {
		t.Errorf("group %+v", g)
	}
	if u, _ := w.User("", "u2"); len(u.Contacts) != 0 {
		t.Errorf("contacts %v", u.Contacts)
	}
}

func TestRelations(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Config{})
	if err := w.CreateUsers("", "u1", "u2", "u3"); err != nil {
		t.Fatal(err)
	}
	unknown := func(method, path, body string) step {
		return step{method: method, path: path, body: body, status: 404, code: "service_resource_not_found", text: "Service resource not found"}
	}
	w.run([]step{
		{method: "POST", path: "/users/u1/contacts/users/U2"},
		{method: "POST", path: "/users/u1/contacts/users/u2"}, // again
		{method: "POST", path: "/users/u1/contacts/users/u3"},
		unknown("POST", "/users/u1/contacts/users/x", ""), unknown("POST", "/users/x/contacts/users/u1", ""),
		{method: "GET", path: "/users/u1/contacts/users", data: `["u2","u3"]`},
		{method: "GET", path: "/users/u2/contacts/users", data: `["u1"]`},
		{method: "DELETE", path: "/users/u1/contacts/users/u2"},
		unknown("DELETE", "/users/u1/contacts/users/x", ""),
		{method: "GET", path: "/users/u2/contacts/users", data: `[]`},

		{method: "POST", path: "/users/u1/blocks/users", body: `{"usernames":["U2","u3"]}`, data: `["u2","u3"]`},
		unknown("POST", "/users/u1/blocks/users", `{"usernames":["x"]}`),
		{method: "POST", path: "/users/u1/blocks/users", body: `{}`, status: 400, code: "invalid_parameter", text: "usernames is null or empty!"},
		{method: "DELETE", path: "/users/u1/blocks/users/u2"},
		unknown("DELETE", "/users/u1/blocks/users/x", ""),
		{method: "GET", path: "/users/u1/blocks/users", data: `["u3"]`},

		{method: "POST", path: "/mutes", body: `{"username":"u1","chat":60,"groupchat":-1}`, data: `{"result":"ok"}`},
		{method: "POST", path: "/mutes", body: `{"username":"x","chat":60}`, status: 400, code: "required_property_not_found", text: "Entity user requires a property named username"},
	})
	w.clock.add(20 * time.Second)
	w.run([]step{
		{method: "GET", path: "/mutes/u1", data: `{"chat":40,"chatroom":0,"groupchat":-1,"unixtime":1772366420,"userid":"demo#emq_u1"}`},
		{method: "POST", path: "/mutes", body: `{"username":"u1","groupchat":0}`},
		{method: "GET", path: "/mutes/u1", data: `{"chat":40,"chatroom":0,"groupchat":0,"unixtime":1772366420,"userid":"demo#emq_u1"}`},
	})
}

func TestAttributes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Config{})
	if err := w.CreateUsers("", "u1"); err != nil {
		t.Fatal(err)
	}
	put := func(contentType, body string) answer {
		r := request("PUT", "/demo/emq/metadata/user/u1", body, w.token)
		r.Header.Set("Content-Type", contentType)
		return serve(w.Simulator, r)
	}
	const form = "application/x-www-form-urlencoded"
	if got := put(form, "nickname=Ann+B&ext=%7B"); got.status != 200 || got.data(t) != `{"ext":"{","nickname":"Ann B"}` {
		t.Errorf("form: got %v", got)
	}
	for _, ct := range []string{"application/json", "text/plain", ""} {
		if got := put(ct, `{"ext":"e"}`); got.status != 415 || len(got.body) != 0 {
			t.Errorf("%s: got %v, want 415 without a body", ct, got)
		}
	}
	var body map[string]any
	_ = json.Unmarshal(w.api("GET", "/metadata/user/u1", "").body, &body)
	if len(body) != 3 || body["timestamp"] == nil || body["duration"] == nil {
		t.Errorf("shape of the attribute service: %v", body)
	}
	for _, bad := range []string{"", `{"a":1}`, "%"} {
		if got := put(form, bad); got.status != 400 || len(got.body) != 0 {
			t.Errorf("%q: got %v, want 400 without a body", bad, got)
		}
	}
	if got := put(form, "x="+strings.Repeat("v", 2048)); got.status != 403 {
		t.Errorf("over 2 KB: got %v", got)
	}
	if u, _ := w.User("", "u1"); !reflect.DeepEqual(u.Attributes, map[string]string{"nickname": "Ann B", "ext": "{"}) {
		t.Errorf("attributes %v", u.Attributes)
	}
	w.RevokeTokens()
	got := put(form, "a=b")
	body = nil
	_ = json.Unmarshal(got.body, &body)
	if got.status != 401 || len(body) != 3 || body["desc"] != "unauthorized" {
		t.Errorf("without a valid token: got %v", got)
	}
	w.token = w.newToken()
	w.run([]step{{method: "DELETE", path: "/metadata/user/u1", data: "true"}, {method: "GET", path: "/metadata/user/u1", data: "{}"}})
}

func TestSeeding(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Config{})
	if err := w.CreateUsers("", "U1", "u2"); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		err  error
		want error
	}{
		"no app":     {w.CreateUsers("x#y", "u"), simulator.ErrNoApp},
		"bad user":   {w.CreateUsers("", "a b"), simulator.ErrBadUser},
		"user there": {w.CreateUsers("", "u3", "u1"), simulator.ErrUserExists},
	} {
		if !errors.Is(tc.err, tc.want) {
			t.Errorf("%s: got %v", name, tc.err)
		}
	}
	if _, ok := w.User("", "u3"); ok {
		t.Error("a failed CreateUsers left a user")
	}
	id := must[string](t)(w.CreateRoom("demo#emq", simulator.Group{ID: "77", Owner: "boss", Members: []string{"Boss", "u1"}, Muted: []string{"u4"}, Blocked: []string{"u5"}}))
	if _, err := w.CreateGroup("", simulator.Group{ID: "77", Owner: "boss"}); !errors.Is(err, simulator.ErrChatExists) {
		t.Errorf("an id taken: %v", err)
	}
	if _, err := w.CreateGroup("", simulator.Group{}); !errors.Is(err, simulator.ErrBadUser) {
		t.Errorf("no owner: %v", err)
	}
	if _, ok := w.Group("", id); ok {
		t.Error("a room read as a group")
	}
	g, ok := w.Room("", id)
	if want := (simulator.Group{
		ID: "77", Owner: "boss", Members: []string{"u1", "u4"}, Admins: []string{}, Muted: []string{"u4"}, Blocked: []string{"u5"}, Allowed: []string{}, MaxUsers: 1000,
	}); !ok || !reflect.DeepEqual(g, want) {
		t.Errorf("room %+v, want %+v", g, want)
	}
	if n := w.Counts(); n.Executed != 0 {
		t.Errorf("seeding was recorded: %+v", n)
	}
}
