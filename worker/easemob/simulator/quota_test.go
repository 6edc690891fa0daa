package simulator_test

import (
	"testing"

	"github.com/imqueue/emq/worker/easemob/simulator"
)

func TestQuotas(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Config{Quotas: simulator.Quotas{
		Users: 4, Groups: 2, Rooms: 1, GroupMembers: 3, UserGroups: 2, UserRooms: 1, Contacts: 1,
	}})
	const (
		post  = "POST"
		group = "/chatgroups"
		room  = "/chatrooms"
	)
	refusedWith := func(path, body string, status int, code, text string) step {
		return step{method: post, path: path, body: body, status: status, code: code, text: text}
	}
	community := "You have exceeded the limit of the community edition,Please upgrade to the enterprise edition"
	user := func(names ...string) string {
		out := ""
		for _, n := range names {
			out += `,{"username":"` + n + `","password":"p"}`
		}
		return "[" + out[1:] + "]"
	}
	w.run([]step{
		{method: post, path: "/users", body: user("u1", "u2", "u3")},
		refusedWith("/users", user("u4", "u5"), 429, "resource_limited", community),
		{method: post, path: "/users", body: user("u1", "u4"), data: `[{"registerUserFailReason":"the u1 already exists","username":"u1"}]`},
		refusedWith("/users", `{"username":"u5","password":"p"}`, 429, "resource_limited", community),

		{method: post, path: group, body: `{"public":true,"owner":"u1","members":["u2"]}`, data: `{"groupid":"40659491815425"}`},
		refusedWith(group, `{"public":true,"owner":"u1","maxusers":4}`, 403, "exceed_limit", "maxUsers cannot exceed 3"),
		{method: post, path: group, body: `{"public":true,"owner":"u1"}`},
		refusedWith(group, `{"public":true,"owner":"u2"}`, 403, "exceed_limit", "appKey:demo#emq has create too many groups!"),
		{method: post, path: room, body: `{"name":"n","description":"d","owner":"u1"}`},
		refusedWith(room, `{"name":"n","description":"d","owner":"u2"}`, 403, "exceed_limit", "appKey:demo#emq has create too many chatrooms!"),
		{method: post, path: group + "/40659491815426/users/u2"},
		{method: "DELETE", path: group + "/40659491815426"},
		{method: post, path: group, body: `{"public":true,"owner":"u3","members":["u4"]}`, data: `{"groupid":"40659491815428"}`},
		{method: post, path: group + "/40659491815428/users/u2"},
		{method: "DELETE", path: group + "/40659491815425/users/u2"},
		{method: post, path: group + "/40659491815425/users", body: `{"usernames":["u3","u4"]}`},
		refusedWith(group+"/40659491815425/users/u2", "", 403, "exceed_limit", "members size is greater than max user size !"),

		{method: post, path: "/users/u1/contacts/users/u2"},
		refusedWith("/users/u1/contacts/users/u3", "", 403, "exceed_limit", "user contact number exceed limit"),
		refusedWith("/users/u3/contacts/users/u2", "", 403, "exceed_limit", "user contact number exceed limit"),
		{method: post, path: "/users/u1/contacts/import", body: `{"usernames":["U2","u3","ghost","u1"]}`,
			data: `{"NotExistFailed":["ghost","u1"],"UnKnowFailed":[],"maxLimitFailed":["u3"],"success":["u2"]}`},
	})

	// A larger plan, and a smaller one.
	if err := w.SetQuotas(simulator.Quotas{UserGroups: 1, UserRooms: 1}); err != nil {
		t.Fatal(err)
	}
	many := "can not join this group, reason:user u3 has joined too many groups/chatroom!\n"
	w.run([]step{
		{method: post, path: "/users", body: `{"username":"u5","password":"p"}`},
		{method: post, path: "/users/u1/contacts/users/u3"},
		{method: post, path: group, body: `{"public":true,"owner":"u5","maxusers":3000}`},
		refusedWith(group, `{"public":true,"owner":"u3"}`, 403, "exceed_limit", many),
		refusedWith(group+"/40659491815429/users/u3", "", 403, "exceed_limit", many),
		refusedWith(group+"/40659491815429/users", `{"usernames":["u2","u3"]}`, 403, "exceed_limit", "can not join this group, reason:user u2 has joined too many groups/chatroom!\n"),
		{method: post, path: room + "/40659491815427/users/u3"},
		refusedWith(room, `{"name":"n","description":"d","owner":"u3"}`, 403, "exceed_limit", many),
	})
}

func TestImportContacts(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Config{})
	if err := w.CreateUsers("", "u1", "u2"); err != nil {
		t.Fatal(err)
	}
	w.run([]step{
		{method: "POST", path: "/users/ghost/contacts/import", body: `{"usernames":["u1"]}`, status: 404, code: "service_resource_not_found", text: "Service resource not found"},
		{method: "POST", path: "/users/u1/contacts/import", body: `{"usernames":` + list(11) + `}`, status: 400, code: "illegal_argument", text: "request body exceeds maximum limit, maximum limit is 10"},
		{method: "POST", path: "/users/u1/contacts/import", body: `{}`, status: 400, code: "invalid_parameter", text: "usernames is null or empty!"},
		{method: "POST", path: "/users/u1/contacts/import", body: `{"usernames":["ghost"]}`, data: `{"NotExistFailed":["ghost"],"UnKnowFailed":[],"maxLimitFailed":[],"success":[]}`},
		{method: "POST", path: "/users/u1/contacts/import", body: `{"usernames":["u2"]}`},
		{method: "GET", path: "/users/u2/contacts/users", data: `["u1"]`},
	})
	w.wantTargets(0, "POST u2")
}
