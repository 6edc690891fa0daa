package tasks

import (
	"strings"
	"testing"
)

func TestEndpointTable(t *testing.T) {
	t.Parallel()
	seen, others := map[Endpoint]bool{}, map[Family]bool{}
	for _, info := range Endpoints() {
		family, name, ok := strings.Cut(string(info.Endpoint), ".")
		if !ok || name == "" || seen[info.Endpoint] || Family(family) != info.Endpoint.Family() {
			t.Errorf("%s: bad name, or stands twice", info.Endpoint)
		}
		seen[info.Endpoint] = true
		if name == "other" {
			others[info.Endpoint.Family()] = true
		}
		if info.Summary == "" || len(info.Limit.Calls) == 0 {
			t.Errorf("incomplete: %+v", info)
		}
		if got, known := info.Endpoint.Info(); !known || got.Summary != info.Summary {
			t.Errorf("Info of %s: %+v, %v", info.Endpoint, got, known)
		}
	}
	for _, family := range Families() {
		if !others[family] {
			t.Errorf("no endpoint for the other calls of %s", family)
		}
	}
	if len(others) != len(Families()) {
		t.Errorf("families %v, want %v", others, Families())
	}
	if _, known := Endpoint("messages.none").Info(); known {
		t.Error("an endpoint that is not in the table is known")
	}
	Endpoints()[0].Summary = "changed"
	if Endpoints()[0].Summary == "changed" {
		t.Error("Endpoints hands out its own table")
	}
}

// TestDefaultLimits holds the numbers of Easemob's documentation that are not
// a hundred calls a second.
func TestDefaultLimits(t *testing.T) {
	t.Parallel()
	want := map[Endpoint]string{
		"messages.users": "100/s, messages 6000/m", "messages.groups": "20/s, messages 20/s", "messages.rooms": "100/s, messages 100/s",
		"messages.group_members": "100/s, messages 100/s", "messages.room_members": "100/s, messages 100/s",
		"messages.broadcast_users": "1/30m,3/d", "messages.broadcast_online": "1/m,50/d", "messages.broadcast_rooms": "10/m,1/s,100/d",
		"rooms.create": "50/s", "users.block": "50/s", "users.unblock": "50/s",
	}
	for _, info := range Endpoints() {
		limit, special := want[info.Endpoint]
		if !special {
			limit = "100/s"
		}
		if got := info.Limit.String(); got != limit {
			t.Errorf("%s: %s, want %s", info.Endpoint, got, limit)
		}
		delete(want, info.Endpoint)
	}
	for endpoint := range want {
		t.Errorf("no endpoint %s", endpoint)
	}
}

func TestEndpointAndMessages(t *testing.T) {
	t.Parallel()
	raw := func(method, path, body string) Payload {
		return RawCall{Method: method, Path: path, Body: []byte(body)}
	}
	get := func(path string) Payload { return RawCall{Method: "GET", Path: path} }
	for _, tc := range []struct {
		payload  Payload
		want     Endpoint
		messages int
	}{
		{Message{Target: Users, To: names(600)}, "messages.users", 600},
		{&Message{Target: Users, To: names(2)}, "messages.users", 2}, // a pointer is no other call
		{Message{Target: Groups, To: names(3)}, "messages.groups", 3},
		{Message{Target: Rooms, To: names(10)}, "messages.rooms", 10},
		{Message{Target: Groups, To: names(1), Users: names(20)}, "messages.group_members", 20},
		{Message{Target: Rooms, To: names(1), Users: names(7)}, "messages.room_members", 7},
		{Broadcast{Target: Users}, "messages.broadcast_users", 1},
		{Broadcast{Target: Online}, "messages.broadcast_online", 1},
		{Broadcast{Target: Rooms}, "messages.broadcast_rooms", 1},
		{Recall{}, "messages.recall", 0},
		{GroupCreate{}, "groups.create", 0},
		{GroupUpdate{}, "groups.update", 0},
		{GroupTransferOwner{}, "groups.update", 0},
		{RoomUpdate{}, "rooms.update", 0},
		{RoomTransferOwner{}, "rooms.update", 0},
		{UserRegister{}, "users.account", 0},
		{UserForceOffline{}, "users.account", 0},
		{&UserBlock{}, "users.block", 0},

		{raw("POST", "/messages/users", `{"to":["a","b","c"]}`), "messages.users", 3},
		{raw("POST", "/messages/users?x=1", `{"to":"a"}`), "messages.users", 1},
		{raw("POST", "/messages/users/", ``), "messages.users", 1},
		{raw("POST", "/messages/%75sers", `{}`), "messages.users", 1},
		{raw("POST", "/messages/chatgroups/users", `{"to":["g"],"users":["a","b"]}`), "messages.group_members", 2},
		{raw("POST", "/messages/users/broadcast", `{"msg":{}}`), "messages.broadcast_online", 1},
		{raw("POST", "/messages", `{"target_type":"chatgroups","target":["a","b"]}`), "messages.groups", 2},
		{raw("POST", "/messages", `{"target_type":"broadcast","target":["a"]}`), "messages.other", 0},
		{raw("POST", "/messages", `nonsense`), "messages.other", 0},
		{raw("POST", "/messages/batch_recall", `{"msgs":[]}`), "messages.other", 0},
		{raw("POST", "/messages/recall", `{}`), "messages.recall", 0},
		{get("/messages/users"), "messages.other", 0},
		{raw("POST", "/stream_message/users", `{"to":["a"]}`), "messages.other", 0},
		{get("/chatmessages/2023010101"), "messages.other", 0},

		{get("/chatgroups?limit=1"), "groups.other", 0},
		{raw("POST", "/chatgroups", `{}`), "groups.create", 0},
		{raw("POST", "/chatgroups/1/users/u1", ``), "groups.other", 0}, // counted apart from adding several
		{raw("DELETE", "/chatgroups/1/users/u1", ``), "groups.remove_members", 0},
		{raw("DELETE", "/chatgroups/1/users/u1,u2?need_notify=true", ``), "groups.remove_members", 0},
		{raw("POST", "/chatgroups/1/disable", ``), "groups.other", 0},
		{raw("PUT", "/metadata/chatgroup/1/user/u1", `{"metaData":{}}`), "groups.other", 0},
		{get("/thread"), "groups.other", 0},

		{&RawCall{Method: "GET", Path: "/chatrooms"}, "rooms.other", 0},
		{raw("POST", "/chatrooms", `{}`), "rooms.create", 0},
		{raw("POST", "/chatrooms/super_admin", `{}`), "rooms.other", 0},
		{raw("POST", "/chatrooms/1/users", `{"usernames":["a","b"]}`), "rooms.add_members", 0},
		{raw("PUT", "/metadata/chatroom/1/user/u1", `{"metaData":{}}`), "rooms.other", 0},

		{raw("POST", "/users/u1/deactivate", ``), "users.account", 0},
		{raw("DELETE", "/users?limit=30", ``), "users.account", 0},
		{raw("POST", "/users/batch/status", `{"usernames":["a"]}`), "users.account", 0},
		{raw("DELETE", "/users/u1/disconnect/ios_1", ``), "users.account", 0},
		{raw("POST", "/users/u1/contacts/import", `{"usernames":["a"]}`), "users.other", 0},
		{get("/users/u1/blocks/users"), "users.other", 0},
		{raw("PUT", "/metadata/user/u1", ``), "users.set_attributes", 0},
		{get("/metadata/user/u1"), "users.other", 0},
		{get("/mutes"), "users.other", 0},
		{get("/anything/else"), "users.other", 0},
	} {
		task := Task{App: "shop", Priority: Low, Payload: tc.payload}
		if task.Endpoint() != tc.want || task.Messages() != tc.messages {
			t.Errorf("%T %+v goes to %s with %d messages, want %s with %d",
				tc.payload, tc.payload, task.Endpoint(), task.Messages(), tc.want, tc.messages)
		}
		if want := "shop:" + string(tc.want) + ":low"; task.Queue() != want {
			t.Errorf("%T waits in %s, want %s", tc.payload, task.Queue(), want)
		}
	}
}
