package simulator_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/imqueue/emq/worker/easemob/simulator"
)

// chatWorld is a world with users u1 to u5 and a group or room of owner u1 with
// members u2 and u3.
func chatWorld(t *testing.T, room bool) (w *world, path, id string) {
	t.Helper()
	w = newWorld(t, simulator.Config{})
	if err := w.CreateUsers("", "u1", "u2", "u3", "u4", "u5"); err != nil {
		t.Fatal(err)
	}
	g := simulator.Group{ID: "77", Owner: "u1", Members: []string{"u2", "u3"}}
	if room {
		return w, "/chatrooms/77", must[string](t)(w.CreateRoom("", g))
	}
	return w, "/chatgroups/77", must[string](t)(w.CreateGroup("", g))
}

func TestUnknownChat(t *testing.T) {
	t.Parallel()
	w, _, _ := chatWorld(t, false)
	for _, base := range []string{"/chatgroups/9", "/chatrooms/9", "/chatrooms/77"} { // 77 is a group
		id := base[strings.LastIndex(base, "/")+1:]
		read := func(path string) step {
			return step{method: "GET", path: base + path, status: 404, code: "service_resource_not_found", text: "do not find this group:" + id}
		}
		write := func(method, path string) step {
			return step{method: method, path: base + path, body: "{}", status: 404, code: "resource_not_found", text: "grpID " + id + " does not exist!"}
		}
		w.run([]step{
			read(""), read("/users"), read("/admin"), read("/mute"), read("/blocks/users"), read("/white/users"), read("/announcement"),
			write("PUT", ""), write("DELETE", ""), write("POST", "/users"), write("POST", "/users/u1"), write("DELETE", "/users/u1,u2"),
			write("POST", "/admin"), write("DELETE", "/admin/u1"), write("POST", "/mute"), write("DELETE", "/mute/u1"), write("POST", "/ban"),
			write("DELETE", "/ban"), write("POST", "/blocks/users"), write("POST", "/blocks/users/u1"), write("DELETE", "/blocks/users/u1"),
			write("POST", "/white/users"), write("POST", "/white/users/u1"), write("DELETE", "/white/users/u1"), write("POST", "/announcement"),
		})
	}
	if n := w.Counts().Executed; n != 0 {
		t.Errorf("executed %d", n)
	}
}

func TestCreateGroup(t *testing.T) {
	t.Parallel()
	w, _, _ := chatWorld(t, false)
	no := func(body string, status int, code, text string) step {
		return step{method: "POST", path: "/chatgroups", body: body, status: status, code: code, text: text}
	}
	long := func(n int) string { return strings.Repeat("x", n) }
	w.run([]step{
		no(`{"owner":"u1"}`, 400, "invalid_parameter", "group must contain public field!"),
		no(`{"public":true}`, 400, "invalid_parameter", "owner must be provided"),
		no(`{"public":true,"owner":"ghost"}`, 404, "resource_not_found", "username ghost doesn't exist!"),
		no(`{"public":true,"owner":"u1","members":["u2","ghost"]}`, 404, "resource_not_found", "username ghost doesn't exist!"),
		no(`{"public":true,"owner":"u1","members":["u2","u3"],"maxusers":2}`, 403, "exceed_limit", "members size is greater than max user size !"),
		no(`{"public":true,"owner":"u1","groupname":"`+long(129)+`"}`, 403, "exceed_limit", "title cannot exceed to 128"),
		no(`{"public":true,"owner":"u1","description":"`+long(513)+`"}`, 403, "exceed_limit", "desc cannot exceed to 512"),
		no(`{"public":true,"owner":"u1","avatar":"`+long(1025)+`"}`, 400, "invalid_parameter", "avatar length is too big"),
		no(`{"public":true,"owner":"u1","custom":"`+long(8193)+`"}`, 400, "invalid_parameter", "custom length is too big"),
		no(`{"public":"yes","owner":"u1"}`, 400, "illegal_argument", "this is an invalid request."),
	})
	if n := w.Counts().Executed; n != 0 {
		t.Fatalf("executed %d", n)
	}
	got := w.api("POST", "/chatgroups", `{"public":true,"owner":"U1","members":["U2","u2","u1"],"groupname":"n","maxusers":2}`)
	var body struct {
		Data struct {
			GroupID string `json:"groupid"`
		}
	}
	_ = json.Unmarshal(got.body, &body)
	id := body.Data.GroupID
	g, ok := w.Group("", id)
	if !ok || g.Owner != "u1" || !reflect.DeepEqual(g.Members, []string{"u2"}) || g.Name != "n" || g.MaxUsers != 2 || !g.Public {
		t.Errorf("group %+v after %v", g, got)
	}
	if e := w.Executed(); len(e) != 1 || !reflect.DeepEqual(e[0].IDs, []string{id}) {
		t.Errorf("recorded %+v", e)
	}
}

func TestCreateRoom(t *testing.T) {
	t.Parallel()
	w, _, _ := chatWorld(t, false)
	no := func(body string, status int, code, text string) step {
		return step{method: "POST", path: "/chatrooms", body: body, status: status, code: code, text: text}
	}
	w.run([]step{
		no(`{"description":"d","owner":"u1"}`, 400, "invalid_parameter", "chatroom must contain title/name field!"),
		no(`{"name":"n","owner":"u1"}`, 400, "invalid_parameter", "description must be provided"),
		no(`{"name":"n","description":"d"}`, 400, "invalid_parameter", "owner must be provided"),
		no(`{"name":"n","description":"d","owner":"u1","members":[]}`, 400, "invalid_parameter", "members must be provided"),
		no(`{"name":"n","description":"d","owner":"ghost"}`, 404, "resource_not_found", "username ghost doesn't exist!"),
		no(`{"name":"n","description":"d","owner":"u1","maxusers":10001}`, 403, "exceed_limit", "maxUsers cannot exceed 10000"),
		no(`{"name":"n","description":"d","owner":"u1","maxusers":0}`, 400, "invalid_parameter", "maxusers must be greater than 0"),
	})
	got := w.api("POST", "/chatrooms", `{"name":"n","description":"d","owner":"u1","members":["u2"]}`)
	var body struct{ Data struct{ ID string } }
	_ = json.Unmarshal(got.body, &body)
	if r, ok := w.Room("", body.Data.ID); !ok || r.Name != "n" || r.MaxUsers != 1000 || !reflect.DeepEqual(r.Members, []string{"u2"}) {
		t.Errorf("room %+v after %v", r, got)
	}
}

func TestModifyTransferDelete(t *testing.T) {
	t.Parallel()
	w, g, _ := chatWorld(t, false)
	w.run([]step{
		{method: "PUT", path: g, body: `{"groupname":"new","maxusers":5,"public":true}`, data: `{"groupname":true,"maxusers":true,"public":true}`},
		{method: "PUT", path: g, body: `{"groupname":"x","groupid":"1","a":2}`, status: 400, code: "invalid_parameter", text: "some of [a, groupid] are not valid fields"},
		{method: "PUT", path: g, body: `{}`, status: 400, code: "illegal_argument", text: "this is an invalid request."},
		{method: "PUT", path: g, body: `{"newowner":"u4"}`, status: 403, code: "forbidden_op", text: "user: u4 doesn't exist in group: 77"},
		{method: "PUT", path: g, body: `{"newowner":"u1"}`, status: 403, code: "forbidden_op", text: "new owner and old owner are the same"},
		{method: "PUT", path: g, body: `{"newowner":""}`, status: 400, code: "invalid_parameter", text: "newowner must be provided"},
		{method: "PUT", path: g, body: `{"newowner":"U2"}`, data: `{"newowner":true}`},
		{method: "POST", path: g + "/disable", data: `{"disabled":true}`},
	})
	got, _ := w.Group("", "77")
	if got.Name != "new" || got.MaxUsers != 5 || got.Owner != "u2" || !reflect.DeepEqual(got.Members, []string{"u1", "u3"}) || !got.Disabled {
		t.Errorf("group %+v", got)
	}
	w.run([]step{
		{method: "POST", path: g + "/enable", data: `{"disabled":false}`},
		{method: "DELETE", path: g, data: `{"groupid":"77","success":true}`},
		{method: "DELETE", path: g, status: 404, code: "resource_not_found", text: "grpID 77 does not exist!"},
	})
	w.wantTargets(0, "PUT 77", "PUT 77", "POST 77", "POST 77", "DELETE 77")

	w, r, _ := chatWorld(t, true)
	w.run([]step{
		{method: "PUT", path: r, body: `{"name":"new","maxusers":5}`, data: `{"groupname":true,"maxusers":true}`},
		{method: "PUT", path: r, body: `{"groupname":"new"}`, status: 400, code: "invalid_parameter", text: "some of [groupname] are not valid fields"},
		{method: "PUT", path: r, body: `{"newowner":"ghost"}`, status: 404, code: "resource_not_found", text: "username ghost doesn't exist!"},
		{method: "PUT", path: r, body: `{"newowner":"u4"}`, status: 400, code: "forbidden_op", text: "user: u4 doesn't exist in group: 77"},
		{method: "PUT", path: r, body: `{"newowner":"u1"}`, status: 403, code: "forbidden_op", text: "new owner and old owner are the same"},
		{method: "PUT", path: r, body: `{"newowner":"u2"}`, data: `{"newowner":true}`},
		{method: "DELETE", path: r, data: `{"id":"77","success":true}`},
	})
}

func TestReadChats(t *testing.T) {
	t.Parallel()
	w, g, _ := chatWorld(t, false)
	must[string](t)(w.CreateGroup("", simulator.Group{ID: "78", Name: "second", Owner: "u2"}))
	must[string](t)(w.CreateRoom("", simulator.Group{ID: "79", Name: "room", Owner: "u2"}))
	var detail struct {
		Data []struct {
			ID           string
			Owner        string
			Count        int `json:"affiliations_count"`
			Affiliations []map[string]string
			Error        string
		}
	}
	_ = json.Unmarshal(w.api("GET", g, "").body, &detail)
	if d := detail.Data[0]; d.ID != "77" || d.Owner != "u1" || d.Count != 3 || len(d.Affiliations) != 3 || d.Affiliations[2]["owner"] != "u1" {
		t.Errorf("detail %+v", detail)
	}
	detail.Data = nil
	_ = json.Unmarshal(w.api("GET", "/chatrooms/79", "").body, &detail)
	if len(detail.Data) != 1 || detail.Data[0].ID != "79" || detail.Data[0].Owner != "u2" {
		t.Errorf("room detail %+v", detail)
	}
	_ = json.Unmarshal(w.api("GET", "/chatgroups/77,9,79", "").body, &detail)
	if d := detail.Data; len(d) != 3 || d[0].Error != "" || d[1].Error != "group id doesn't exist" || d[2].Error == "" {
		t.Errorf("several details %+v", detail)
	}
	got := w.api("GET", "/chatgroups?limit=1", "")
	var page struct {
		Cursor string
		Data   []struct{ GroupID, GroupName string }
	}
	_ = json.Unmarshal(got.body, &page)
	if len(page.Data) != 1 || page.Data[0].GroupID != "77" || page.Cursor == "" {
		t.Errorf("first page %v", got)
	}
	page.Data = nil
	next := w.api("GET", "/chatgroups?limit=5&cursor="+page.Cursor, "")
	page.Cursor = ""
	_ = json.Unmarshal(next.body, &page)
	if len(page.Data) != 1 || page.Data[0].GroupID != "78" || page.Cursor != "" {
		t.Errorf("second page %v", next)
	}
	w.run([]step{
		{method: "GET", path: "/chatrooms", data: `[{"affiliations_count":1,"id":"79","name":"room","owner":"u2"}]`},
		{method: "GET", path: "/users/u2/joined_chatgroups", data: `[{"groupid":"77","groupname":""},{"groupid":"78","groupname":"second"}]`},
		{method: "GET", path: "/users/u2/joined_chatgroups?pagesize=1&pagenum=1", data: `[{"groupid":"78","groupname":"second"}]`},
		{method: "GET", path: "/chatgroups/user/u2?pagesize=1", data: `[{"groupId":"77","name":""}]`},
		{method: "GET", path: "/users/u2/joined_chatrooms", data: `[{"id":"79","name":"room"}]`},
		{method: "GET", path: "/users/ghost/joined_chatrooms", status: 404, code: "service_resource_not_found", text: "Service resource not found"},
		{method: "GET", path: g + "/user/u2/is_joined", data: "true"},
		{method: "GET", path: g + "/user/u4/is_joined", data: "false"},
		{method: "GET", path: g + "/users?pagesize=2", data: `[{"member":"u2"},{"member":"u3"}]`},
		{method: "GET", path: g + "/users?pagesize=2&pagenum=2", data: `[{"owner":"u1"}]`},
		{method: "GET", path: g + "/users?pagenum=9", data: `[]`},
	})
}

func TestMembers(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		room   bool
		idKey  string
		status int // of what members' state forbids
		typo   string
		over   step
	}{
		{false, "groupid", 403, "an", step{status: 403, code: "exceed_limit", text: "members size is greater than max user size !"}},
		{true, "id", 400, "can", step{status: 400, code: "invalid_parameter", text: "addMembers: addMembers number more than maxSize : 60"}},
	} {
		w, base, _ := chatWorld(t, tc.room)
		users := base + "/users"
		forbidden := func(method, path, body, text string) step {
			return step{method: method, path: path, body: body, status: tc.status, code: "forbidden_op", text: text}
		}
		over := tc.over
		over.name, over.method, over.path, over.body = "61 names", "POST", users, `{"usernames":`+list(61)+`}`
		names60 := strings.Join(strings.Split(strings.Trim(list(61), `[]`), ","), ",")
		names60 = strings.ReplaceAll(names60, `"`, "")
		w.run([]step{
			// add one
			{method: "POST", path: users + "/U4", data: `{"action":"add_member","` + tc.idKey + `":"77","result":true,"user":"u4"}`},
			forbidden("POST", users+"/u4", "", "can not join this group, reason:user: u4 already in group: 77\n"),
			forbidden("POST", users+"/u1", "", "can not join this group, reason:user: u1 already in group: 77\n"),
			{method: "POST", path: users + "/ghost", status: 404, code: "resource_not_found", text: "username ghost doesn't exist!"},
			// add many
			{method: "POST", path: users, body: `{"usernames":["u4","U5","u5"]}`, data: `{"action":"add_member","` + tc.idKey + `":"77","newmembers":["u5"]}`},
			forbidden("POST", users, `{"usernames":["u5","u4"]}`, tc.typo+" not join this group, reason:user: u5 already in group: 77\n"),
			{method: "POST", path: users, body: `{"usernames":["u5","ghost"]}`, status: 404, code: "resource_not_found", text: "username ghost doesn't exist!"},
			{method: "POST", path: users, body: `{"usernames":[]}`, status: 400, code: "invalid_parameter", text: "usernames is null or empty!"},
			over,
			// remove one
			{method: "DELETE", path: users + "/u5", data: `{"action":"remove_member","` + tc.idKey + `":"77","result":true,"user":"u5"}`},
			forbidden("DELETE", users+"/u5", "", "users [u5] are not members of this group!"),
			{method: "DELETE", path: users + "/u1", status: 403, code: "forbidden_op", text: "forbidden operation on group owner!"},
			// remove many
			forbidden("DELETE", users+"/u5,ghost", "", "users [u5, ghost] are not members of this group!"),
			{method: "DELETE", path: users + "/u4,u1", status: 403, code: "forbidden_op", text: "forbidden operation on group owner!"},
			{method: "DELETE", path: users + "/" + names60, status: 400, code: "invalid_parameter", text: "kickMember: kickMembers number more than maxSize : 60"},
			{method: "DELETE", path: users + "/u4%2CU5,ghost", data: `[{"action":"remove_member","` + tc.idKey + `":"77","result":true,"user":"u4"},` +
				`{"action":"remove_member","` + tc.idKey + `":"77","reason":"user: u5 doesn't exist in group: 77","result":false,"user":"u5"},` +
				`{"action":"remove_member","` + tc.idKey + `":"77","reason":"user ghost doesn't exist.","result":false,"user":"ghost"}]`},
		})
		if tc.room {
			w.run([]step{{method: "DELETE", path: users + "/ghost", status: 404, code: "resource_not_found", text: "username ghost doesn't exist!"}})
		}
		w.wantTargets(0, "POST u4", "POST u5", "DELETE u5", "DELETE u4")
	}
}

func TestMembersFull(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Config{})
	must[string](t)(w.CreateGroup("", simulator.Group{ID: "1", Owner: "u1", Members: []string{"u2"}, MaxUsers: 3}))
	if err := w.CreateUsers("", "u3", "u4"); err != nil {
		t.Fatal(err)
	}
	w.run([]step{
		{method: "POST", path: "/chatgroups/1/users", body: `{"usernames":["u3","u4"]}`, status: 403, code: "exceed_limit", text: "members size is greater than max user size !"},
		{method: "POST", path: "/chatgroups/1/users/u3"},
		{method: "POST", path: "/chatgroups/1/users/u4", status: 403, code: "exceed_limit", text: "members size is greater than max user size !"},
	})
}

func TestModeration(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		room   bool
		idKey  string
		status int
		reason string // of a failed block
	}{
		{false, "groupid", 403, ``},
		{true, "chatroomid", 400, `,"reason":"user: u4 doesn't exist in chatroom: 77"`},
	} {
		w, base, _ := chatWorld(t, tc.room)
		forbidden := func(method, path, body, text string) step {
			return step{method: method, path: base + path, body: body, status: tc.status, code: "forbidden_op", text: text}
		}
		owner := func(method, path, body string) step {
			return step{method: method, path: base + path, body: body, status: 403, code: "forbidden_op", text: "forbidden operation on group owner!"}
		}
		over := func(method, path, body, text string) step {
			return step{name: text, method: method, path: base + path, body: body, status: 400, code: "invalid_parameter", text: text + " : 60"}
		}
		many := strings.ReplaceAll(strings.Trim(list(61), "[]"), `"`, "")
		manyBody := `{"mute_duration":1,"usernames":` + list(61) + `}`
		entry := func(action, user string) string {
			return `{"action":"` + action + `","` + tc.idKey + `":"77","result":true,"user":"` + user + `"}`
		}
		failed := func(action, user string) string {
			return `{"action":"` + action + `","` + tc.idKey + `":"77","reason":"user: ` + user + ` doesn't exist in group: 77","result":false,"user":"` + user + `"}`
		}
		expire := "1772366460000"
		w.run([]step{
			// admins
			{method: "POST", path: base + "/admin", body: `{"newadmin":"U2"}`, data: `{"newadmin":"u2","result":"success"}`},
			{method: "POST", path: base + "/admin", body: `{"newadmin":"u4"}`, status: 404, code: "resource_not_found", text: "user: u4 doesn't exist in group: 77"},
			{method: "POST", path: base + "/admin", body: `{}`, status: 400, code: "invalid_parameter", text: "newadmin must be provided"},
			owner("POST", "/admin", `{"newadmin":"u1"}`),
			{method: "GET", path: base + "/admin", data: `["u2"]`},
			{method: "DELETE", path: base + "/admin/u2", data: `{"oldadmin":"u2","result":"success"}`},
			forbidden("DELETE", "/admin/u2", "", "user:u2 is not admin of group:77"),
			// mute
			{method: "POST", path: base + "/mute", body: `{"mute_duration":60000,"usernames":["U2"]}`, data: `[{"expire":` + expire + `,"result":true,"user":"u2"}]`},
			{method: "POST", path: base + "/mute", body: `{"mute_duration":-1,"usernames":["u3","u4"]}`, data: `[{"expire":-1,"result":true,"user":"u3"},{"reason":"user: u4 doesn't exist in group: 77","result":false,"user":"u4"}]`},
			{method: "POST", path: base + "/mute", body: `{"mute_duration":1,"usernames":["u4"]}`, status: 400, code: "invalid_parameter", text: "users [u4] are not members of this group!"},
			{method: "POST", path: base + "/mute", body: `{"usernames":["u2"]}`, status: 400, code: "invalid_parameter", text: "mute_duration must be provided"},
			owner("POST", "/mute", `{"mute_duration":1,"usernames":["u1"]}`),
			over("POST", "/mute", manyBody, "userNames size is more than max limit"),
			{method: "GET", path: base + "/mute", data: `[{"expire":` + expire + `,"user":"u2"},{"expire":-1,"user":"u3"}]`},
			{method: "DELETE", path: base + "/mute/u3", data: `[{"result":true,"user":"u3"}]`},
			over("DELETE", "/mute/"+many, "", "removeMute member size more than max limit"),
			{method: "POST", path: base + "/ban", data: `{"mute":true}`},
			{method: "DELETE", path: base + "/ban", data: `{"mute":false}`},
			// allow list
			{method: "POST", path: base + "/white/users/u2", data: entry("add_user_whitelist", "u2")},
			{method: "POST", path: base + "/white/users", body: `{"usernames":["u3","u4"]}`, data: `[` + entry("add_user_whitelist", "u3") + `,` + failed("add_user_whitelist", "u4") + `]`},
			forbidden("POST", "/white/users", `{"usernames":["u4","u5"]}`, "users [u4, u5] are not members of this group!"),
			over("POST", "/white/users", manyBody, "usernames size is more than max limit"),
			{method: "GET", path: base + "/white/users", data: `["u2","u3"]`},
			{method: "DELETE", path: base + "/white/users/u2", data: entry("remove_user_whitelist", "u2")},
			{method: "DELETE", path: base + "/white/users/u3,u4", data: `[` + entry("remove_user_whitelist", "u3") + `,` + failed("remove_user_whitelist", "u4") + `]`},
			over("DELETE", "/white/users/"+many, "", "removeWhitelist size is more than max limit"),
			// block
			{method: "POST", path: base + "/blocks/users/u2", data: entry("add_blocks", "u2")},
			forbidden("POST", "/blocks/users/u2", "", "users [u2] are not members of this group!"),
			owner("POST", "/blocks/users/u1", ""),
			{method: "POST", path: base + "/blocks/users", body: `{"usernames":["u3","u4"]}`, data: `[` + entry("add_blocks", "u3") + `,{"action":"add_blocks","` + tc.idKey + `":"77"` + tc.reason + `,"result":false,"user":"u4"}]`},
			over("POST", "/blocks/users", manyBody, "userNames is more than max limit"),
			{method: "GET", path: base + "/blocks/users", data: `["u2","u3"]`},
			{method: "GET", path: base + "/users", data: `[{"owner":"u1"}]`},
			forbidden("POST", "/users/u2", "", "can not join this group, reason:user: u2 is in the blacklist of group: 77\n"),
			{method: "DELETE", path: base + "/blocks/users/u2", data: entry("remove_blocks", "u2")},
			forbidden("DELETE", "/blocks/users/u2", "", "users [u2] are not members of this group!"),
			{method: "DELETE", path: base + "/blocks/users/u2,u3", data: `[` + failed("remove_blocks", "u2") + `,` + entry("remove_blocks", "u3") + `]`},
			over("DELETE", "/blocks/users/"+many, "", "removeBlacklist: list size more than max limit"),
			{method: "POST", path: base + "/users/u2"},
			// announcement
			{method: "POST", path: base + "/announcement", body: `{"announcement":"hi"}`, data: `{"id":"77","result":true}`},
			{method: "GET", path: base + "/announcement", data: `{"announcement":"hi"}`},
			{method: "POST", path: base + "/announcement", body: `{}`, status: 400, code: "invalid_parameter", text: "announcement must be provided"},
			{method: "POST", path: base + "/announcement", body: `{"announcement":"` + strings.Repeat("x", 513) + `"}`, status: 403, code: "forbidden_op", text: "announce info length exceeds limit!"},
		})
		if tc.room {
			w.run([]step{
				{method: "POST", path: base + "/admin", body: `{"newadmin":"ghost"}`, status: 404, code: "resource_not_found", text: "username ghost doesn't exist!"},
				{method: "DELETE", path: base + "/admin/ghost", status: 404, code: "resource_not_found", text: "username ghost doesn't exist!"},
			})
		}
	}
}

func TestMuteExpires(t *testing.T) {
	t.Parallel()
	w, base, id := chatWorld(t, false)
	w.run([]step{{method: "POST", path: base + "/mute", body: `{"mute_duration":60000,"usernames":["u2"]}`}})
	if g, _ := w.Group("", id); !reflect.DeepEqual(g.Muted, []string{"u2"}) {
		t.Errorf("muted %v", g.Muted)
	}
	w.clock.add(time.Minute)
	w.run([]step{{method: "GET", path: base + "/mute", data: `[]`}})
	if g, _ := w.Group("", id); len(g.Muted) != 0 {
		t.Errorf("muted after a minute %v", g.Muted)
	}
}
