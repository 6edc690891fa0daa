package simulator_test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/imqueue/emq/worker/easemob/simulator"
)

// Attributes of a room fail one by one, inside a 200 even when all do (docs).
func TestRoomAttributes(t *testing.T) {
	t.Parallel()
	w, _, _ := chatWorld(t, true)
	const room = "/metadata/chatroom/77"
	set := func(user, metaData, data string) step {
		return step{method: "PUT", path: room + "/user/" + user, body: `{"metaData":{` + metaData + `},"autoDelete":"NO_DELETE"}`, data: data}
	}
	long := strings.Repeat("k", 129)
	tooLong := `"` + long + `":"properties key '` + long + `' is exceeding maximum limit 128"`
	many := make([]string, 11)
	for i := range many {
		many[i] = `"k` + strconv.Itoa(i) + `":"v"`
	}
	w.run([]step{
		set("U2", `"a":"1","`+long+`":"x"`, `{"errorKeys":{`+tooLong+`},"successKeys":["a"]}`),
		set("u2", `"`+long+`":"x"`, `{"errorKeys":{`+tooLong+`},"successKeys":[]}`),
		set("u3", `"a":"2","b":"3"`, `{"errorKeys":{"a":"others are not allowed to be set"},"successKeys":["b"]}`),
		set("u3/forced", `"a":"2"`, `{"errorKeys":{},"successKeys":["a"]}`),
		set("u3", `"v":"`+strings.Repeat("v", 4097)+`"`, `{"errorKeys":{"v":"properties value of key 'v' is exceeding maximum limit 4096"},"successKeys":[]}`),
		{method: "PUT", path: room + "/user/u2", body: `{"metaData":{` + strings.Join(many, ",") + `}}`, status: 400, text: "exceed allowed batch size 10"},
		{method: "PUT", path: room + "/user/u4", body: `{"metaData":{"a":"1"}}`, status: 401, code: "MetadataException", text: "user is not in chatroom"},
		{method: "PUT", path: "/metadata/chatroom/9/user/u2", body: `{"metaData":{"a":"1"}}`, status: 404, code: "metadata_error", text: "chatroom not exists"},
		{method: "POST", path: room, body: `{"keys":[]}`, data: `{"a":"2","b":"3"}`},
		{method: "POST", path: room, body: `{"keys":["b","none"]}`, data: `{"b":"3"}`},
		{method: "DELETE", path: room + "/user/u2", body: `{"keys":["a","none"]}`, data: `{"errorKeys":{"a":"others are not allowed to be set"},"successKeys":["none"]}`},
		{method: "DELETE", path: room + "/user/u2/forced", body: `{"keys":["a"]}`, data: `{"errorKeys":{},"successKeys":["a"]}`},
		{method: "POST", path: room, body: `{"keys":["a"]}`, data: `{}`},
	})
	if code, text := w.api("PUT", room+"/user/u2", `{"metaData":{`+strings.Join(many, ",")+`}}`).refused(t); code != "" || text != "exceed allowed batch size 10" {
		t.Errorf("eleven keys: %q %q", code, text)
	}
	w.wantTargets(0, "PUT a", "PUT b", "PUT a", "DELETE none", "DELETE a")
	for i := range 10 {
		var keys []string
		for j := range 10 {
			keys = append(keys, `"`+strconv.Itoa(10*i+j)+`":"v"`)
		}
		w.api("PUT", room+"/user/u2", `{"metaData":{`+strings.Join(keys, ",")+`}}`)
	}
	w.run([]step{set("u2", `"z":"1"`, `{"errorKeys":{"z":"properties are exceeding maximum limit 100"},"successKeys":[]}`)})
}

// A global mute applies to REST sends, to each kind of chat by itself, until it
// expires.
func TestMutedSender(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Config{})
	if err := w.CreateUsers("", "u1", "admin"); err != nil {
		t.Fatal(err)
	}
	send := func(target, from string, status int) step {
		return step{method: "POST", path: "/messages/" + target, body: `{` + from + `"to":["1"],"type":"txt","body":{"msg":"x"}}`, status: status}
	}
	w.run([]step{
		{method: "POST", path: "/mutes", body: `{"username":"u1","chat":60,"chatroom":-1}`},
		send("users", `"from":"U1",`, 403), send("chatgroups", `"from":"u1",`, 200), send("chatrooms", `"from":"u1",`, 403),
		send("users", ``, 200), send("users", `"from":"u2",`, 200),
		{method: "POST", path: "/mutes", body: `{"username":"admin","chat":60}`},
		send("users", ``, 403),
	})
	w.clock.add(60e9)
	w.run([]step{
		send("users", `"from":"u1",`, 200), send("chatrooms", `"from":"u1",`, 403),
		{method: "POST", path: "/mutes", body: `{"username":"u1","chatroom":0}`},
		send("chatrooms", `"from":"u1",`, 200),
	})
}

// Bodies of refusals by the services of groups and rooms carry one field more.
func TestRefusalShapes(t *testing.T) {
	t.Parallel()
	w, group, _ := chatWorld(t, false)
	for path, want := range map[string]bool{group + "/users/u2": true, "/chatrooms/9/users/u2": true, "/users/ghost/deactivate": false, "/messages/users": false} {
		got := w.api("POST", path, "{}")
		if has := strings.Contains(string(got.body), `"properties":{}`); has != want || got.status < 400 {
			t.Errorf("%s: got %v", path, got)
		}
	}
}

// One target of each kind of call fails by a fault, and stands in the answer as
// the operation reports failures; the others are served.
func TestFaultFail(t *testing.T) {
	t.Parallel()
	for _, room := range []bool{false, true} {
		w, base, _ := chatWorld(t, room)
		id, listID := `"groupid":"77"`, `"groupid":"77"`
		if room {
			id, listID = `"id":"77"`, `"chatroomid":"77"`
		}
		must[string](t)(w.AddFault(simulator.Fault{Fail: []string{"u3", "u5", "description"}}))
		entry := func(action, id, user, ok string) string {
			return `{"action":"` + action + `",` + id + `,"result":` + ok + `,"user":"` + user + `"}`
		}
		both := func(action, id string) string {
			return `[` + entry(action, id, "u2", "true") + `,` + entry(action, id, "u3", "false") + `]`
		}
		usernames := `{"usernames":["u2","u3"]}`
		name := "groupname"
		if room {
			name = "name"
		}
		w.run([]step{
			{method: "PUT", path: base, body: `{"` + name + `":"n","description":"d"}`, data: `{"description":false,"groupname":true}`},
			{method: "POST", path: base + "/users", body: `{"usernames":["u4","u5"]}`, data: `{"action":"add_member",` + id + `,"newmembers":["u4"]}`},
			{method: "POST", path: base + "/users", body: `{"usernames":["u5"]}`, data: `{"action":"add_member",` + id + `,"newmembers":[]}`},
			{method: "POST", path: base + "/users/u5", data: entry("add_member", id, "u5", "false")},
			{method: "POST", path: base + "/mute", body: `{"mute_duration":-1,"usernames":["u2","u3"]}`, data: `[{"expire":-1,"result":true,"user":"u2"},{"expire":-1,"result":false,"user":"u3"}]`},
			{method: "DELETE", path: base + "/mute/u2,u3", data: `[{"result":true,"user":"u2"},{"result":false,"user":"u3"}]`},
			{method: "POST", path: base + "/white/users", body: usernames, data: both("add_user_whitelist", listID)},
			{method: "POST", path: base + "/blocks/users/u3", data: entry("add_blocks", listID, "u3", "false")},
			{method: "POST", path: base + "/blocks/users", body: usernames, data: both("add_blocks", listID)},
			{method: "DELETE", path: base + "/users/u4,u3", data: `[` + entry("remove_member", id, "u4", "true") + `,` + entry("remove_member", id, "u3", "false") + `]`},
			{method: "GET", path: base + "/users", data: `[{"member":"u3"},{"owner":"u1"}]`},
		})
		w.wantTargets(0, "PUT 77", "POST u4", "POST u2", "DELETE u2", "POST u2", "POST u2", "DELETE u4")
	}
	w := newWorld(t, simulator.Config{Faults: []simulator.Fault{{Fail: []string{"u2"}, Path: "/messages/*", Times: 1}, {Fail: []string{"u2", "k2"}}}})
	w.run([]step{
		{method: "POST", path: "/users", body: `[{"username":"u1","password":"p"},{"username":"U2","password":"p"}]`, data: `[{"registerUserFailReason":"internal error","username":"u2"}]`},
	})
	if got := w.api("POST", "/messages/users", `{"to":["u1","U2"],"type":"txt","body":{"msg":"x"}}`).data(t); !strings.HasPrefix(got, `{"u1":`) || strings.Contains(got, "u2") {
		t.Errorf("send: %s", got)
	}
	if err := w.CreateUsers("", "u2", "u3"); err != nil {
		t.Fatal(err)
	}
	must[string](t)(w.CreateRoom("", simulator.Group{ID: "78", Owner: "u1"}))
	w.run([]step{
		{method: "POST", path: "/users/u1/blocks/users", body: `{"usernames":["u2","u3"]}`, data: `["u3"]`},
		{method: "POST", path: "/users/u1/contacts/import", body: `{"usernames":["u2","u3"]}`, data: `{"NotExistFailed":[],"UnKnowFailed":["u2"],"maxLimitFailed":[],"success":["u3"]}`},
		{method: "PUT", path: "/metadata/chatroom/78/user/u1", body: `{"metaData":{"k1":"v","k2":"v"}}`, data: `{"errorKeys":{"k2":"internal error"},"successKeys":["k1"]}`},
	})
	w.wantTargets(0, "POST u1", "POST u1", "POST u1,u3", "POST u3", "PUT k1")
}
