package tasks

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

// TestRequest holds what goes over the line for each kind, to the byte.
func TestRequest(t *testing.T) {
	t.Parallel()
	no := false
	for name, tc := range map[string]struct {
		payload            Payload
		method, path, body string
	}{
		"message to users": {
			Message{Target: Users, To: []string{"u1", "u2"}, From: "admin", Body: Text{Msg: "<b>&"}, SyncDevice: true, RouteType: "ROUTE_ONLINE"},
			"POST", "/messages/users",
			`{"to":["u1","u2"],"from":"admin","type":"txt","body":{"msg":"<b>&"},"ext":{"emq_id":"id-1"},"routetype":"ROUTE_ONLINE","sync_device":true}`,
		},
		"message to groups": {
			Message{Target: Groups, To: []string{"1"}, Body: Command{Action: "a"}, Ext: map[string]any{"order": 8812}, NeedGroupAck: true, RoamIgnoreUsers: []string{"u"}},
			"POST", "/messages/chatgroups",
			`{"to":["1"],"type":"cmd","body":{"action":"a"},"ext":{"emq_id":"id-1","order":8812},"roam_ignore_users":["u"],"need_group_ack":true}`,
		},
		"message to rooms": {
			Message{Target: Rooms, To: []string{"1"}, Body: Custom{Event: "e"}, ChatroomMsgLevel: "low"},
			"POST", "/messages/chatrooms",
			`{"to":["1"],"type":"custom","body":{"customEvent":"e"},"ext":{"emq_id":"id-1"},"chatroom_msg_level":"low"}`,
		},
		"message without emq_id": {
			Message{Target: Users, To: []string{"u1"}, Body: Text{Msg: "x"}, OmitTaskID: true},
			"POST", "/messages/users", `{"to":["u1"],"type":"txt","body":{"msg":"x"}}`,
		},
		"message with an emq_id of its own": {
			Message{Target: Users, To: []string{"u1"}, Body: Text{Msg: "x"}, Ext: map[string]any{"emq_id": "mine"}, OmitTaskID: true},
			"POST", "/messages/users", `{"to":["u1"],"type":"txt","body":{"msg":"x"},"ext":{"emq_id":"mine"}}`,
		},
		"message to some members of a group": {
			Message{Target: Groups, To: []string{"1"}, Users: []string{"u1", "u2"}, Body: Text{Msg: "x"}, Env: "dev"},
			"POST", "/messages/chatgroups/users",
			`{"to":["1"],"users":["u1","u2"],"type":"txt","body":{"msg":"x"},"ext":{"emq_id":"id-1"},"env":"dev"}`,
		},
		"message to some members of a room": {
			Message{Target: Rooms, To: []string{"1"}, Users: []string{"u1"}, Body: Command{Action: "a"}, OmitTaskID: true},
			"POST", "/messages/chatrooms/users", `{"to":["1"],"users":["u1"],"type":"cmd","body":{"action":"a"}}`,
		},
		"broadcast to all": {
			Broadcast{Target: Users, From: "admin", Body: Text{Msg: "<b>"}, Ext: map[string]any{"a": 1}},
			"POST", "/messages/broadcast", `{"from":"admin","msg":{"type":"txt","msg":"<b>"},"ext":{"a":1,"emq_id":"id-1"}}`,
		},
		"broadcast to those online": {
			Broadcast{Target: Online, Body: Command{Action: "a"}},
			"POST", "/messages/users/broadcast", `{"msg":{"type":"cmd","action":"a"},"ext":{"emq_id":"id-1"}}`,
		},
		"broadcast to rooms": {
			Broadcast{Target: Rooms, Body: Command{Action: "a"}, ChatroomMsgLevel: "low", OmitTaskID: true},
			"POST", "/messages/chatrooms/broadcast", `{"msg":{"type":"cmd","action":"a"},"chatroom_msg_level":"low"}`,
		},
		"recall": {
			Recall{MsgID: "12", To: "u1", ChatType: "chat"},
			"POST", "/messages/msg_recall", `{"msg_id":"12","to":"u1","chat_type":"chat","force":false}`,
		},
		"recall, all fields": {
			Recall{MsgID: "12", To: "9", ChatType: "groupchat", From: "u", Force: true, SyncDevice: new(true)},
			"POST", "/messages/msg_recall", `{"msg_id":"12","to":"9","chat_type":"groupchat","from":"u","force":true,"sync_device":true}`,
		},
		"create a group": {
			GroupCreate{Owner: "u1"}, "POST", "/chatgroups", `{"public":false,"owner":"u1"}`,
		},
		"create a group, all fields": {
			GroupCreate{
				Name: "n", Avatar: "a", Description: "d", Public: true, MaxUsers: 300, Owner: "u1", Members: []string{"u2"},
				AllowInvites: true, MembersOnly: true, InviteNeedConfirm: &no, Custom: "c",
			},
			"POST", "/chatgroups",
			`{"groupname":"n","avatar":"a","description":"d","public":true,"maxusers":300,"owner":"u1","members":["u2"],"allowinvites":true,"membersonly":true,"invite_need_confirm":false,"custom":"c"}`,
		},
		"add members": {
			GroupAddMembers{GroupID: "4065", Usernames: []string{"u1", "u2"}},
			"POST", "/chatgroups/4065/users", `{"usernames":["u1","u2"]}`,
		},
		"add members and say so": {
			GroupAddMembers{GroupID: "4065", Usernames: []string{"u1"}, NeedNotify: new(true)},
			"POST", "/chatgroups/4065/users?need_notify=true", `{"usernames":["u1"]}`,
		},
		"add members and don't say so": {
			GroupAddMembers{GroupID: "4065", Usernames: []string{"u1"}, NeedNotify: new(false)},
			"POST", "/chatgroups/4065/users?need_notify=false", `{"usernames":["u1"]}`,
		},
		"recall here alone": {
			Recall{MsgID: "12", To: "u1", ChatType: "chat", SyncDevice: new(false)},
			"POST", "/messages/msg_recall", `{"msg_id":"12","to":"u1","chat_type":"chat","force":false,"sync_device":false}`,
		},
		"a raw call without a body": {
			RawCall{Method: "GET", Path: "/users/u1", Body: json.RawMessage("null")}, "GET", "/users/u1", "",
		},
		"remove members": {
			GroupRemoveMembers{GroupID: "4065", Usernames: []string{"u.1", "U_2"}},
			"DELETE", "/chatgroups/4065/users/u.1,U_2", "",
		},
		"transfer": {
			GroupTransferOwner{GroupID: "4065", NewOwner: "u2"}, "PUT", "/chatgroups/4065", `{"newowner":"u2"}`,
		},
		"register one": {
			UserRegister{Users: []NewUser{{Username: "u1", Password: "p<&"}}}, "POST", "/users", `{"username":"u1","password":"p<&"}`,
		},
		"register two": {
			UserRegister{Users: []NewUser{{Username: "u1", Password: "p", Nickname: "n"}, {Username: "u2", Password: "q"}}},
			"POST", "/users", `[{"username":"u1","password":"p","nickname":"n"},{"username":"u2","password":"q"}]`,
		},
		"change a group, all fields": {
			GroupUpdate{
				GroupID: "4065", Name: new("n"), Avatar: new("a"), Description: new(""), MaxUsers: new(9), MembersOnly: new(false),
				AllowInvites: new(true), InviteNeedConfirm: new(false), Public: new(true), Custom: new("c"),
			},
			"PUT", "/chatgroups/4065",
			`{"groupname":"n","avatar":"a","description":"","maxusers":9,"membersonly":false,"allowinvites":true,"invite_need_confirm":false,"public":true,"custom":"c"}`,
		},
		"change a room, all fields": {
			RoomUpdate{RoomID: "662", Name: new("n"), Description: new("d"), MaxUsers: new(9)},
			"PUT", "/chatrooms/662", `{"name":"n","description":"d","maxusers":9}`,
		},
		"lift a user's mute": {
			UserMute{Username: "u1", Chat: new(0), ChatRoom: new(MuteForever)}, "POST", "/mutes", `{"username":"u1","chat":0,"chatroom":-1}`,
		},
		"attributes": {
			UserSetAttributes{Username: "u1", MetaData: map[string]string{"sign": "a b&c=ü", "ext": ""}},
			"PUT", "/metadata/user/u1", `ext=&sign=a+b%26c%3D%C3%BC`,
		},
		"raw": {
			RawCall{Method: "PUT", Path: "/users/u1?x=%20", Body: json.RawMessage(`{"nickname": "n" }`)},
			"PUT", "/users/u1?x=%20", `{"nickname": "n" }`,
		},
		"raw without body": {
			RawCall{Method: "DELETE", Path: "/users/u1"}, "DELETE", "/users/u1", "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := (Task{Payload: tc.payload}).Validate(); err != nil {
				t.Fatal(err)
			}
			got, err := tc.payload.Request("id-1")
			if err != nil {
				t.Fatal(err)
			}
			if got.Method != tc.method || got.Path != tc.path || string(got.Body) != tc.body {
				t.Errorf("\n got %s %s %s\nwant %s %s %s", got.Method, got.Path, got.Body, tc.method, tc.path, tc.body)
			}
			if (got.Body == nil) != (tc.body == "") {
				t.Errorf("Body = %#v, want nil exactly when there is none", got.Body)
			}
		})
	}
}

func TestRequestLeavesTheMessageAsItIs(t *testing.T) {
	t.Parallel()
	ext := map[string]any{"order": 1}
	m := Message{Target: Users, To: []string{"u1"}, Body: Text{Msg: "x"}, Ext: ext}
	if _, err := m.Request("id-1"); err != nil {
		t.Fatal(err)
	}
	if len(ext) != 1 || m.Target != Users {
		t.Errorf("changed to %+v", m)
	}
}

// TestMessageSizeBound holds the 5 KB to the byte, with the ID that counts in it.
func TestMessageSizeBound(t *testing.T) {
	t.Parallel()
	const around = len(`{"msg":""}`) + len(`{"emq_id":"id-1"}`)
	for name, tc := range map[string]struct {
		unit string
		size int // bytes of the unit in JSON
	}{
		"one byte":     {"x", 1},
		"not escaped":  {"<", 1}, // what json.Marshal would write in six bytes
		"two escaped":  {"\n", 2},
		"Chinese text": {"信", 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := (MessageMaxBytes - around) / tc.size
			fill := strings.Repeat("x", (MessageMaxBytes-around)%tc.size)
			m := text(strings.Repeat(tc.unit, n) + fill)
			if err := (Task{ID: "id-1", Payload: m}).Validate(); err != nil {
				t.Errorf("exactly 5 KB: %v", err)
			}
			m = text(strings.Repeat(tc.unit, n) + fill + "x")
			fe, ok := errors.AsType[*FieldError]((Task{ID: "id-1", Payload: m}).Validate())
			if !ok || fe.Value != "5121 bytes of JSON" {
				t.Errorf("one byte over: %v", fe)
			}
			m.OmitTaskID = true
			if err := (Task{ID: "id-1", Payload: m}).Validate(); err != nil {
				t.Errorf("without the ID it fits: %v", err)
			}
		})
	}
	// An ID that is made up later is counted before.
	room := MessageMaxBytes - len(`{"msg":""}`) - len(`{"emq_id":""}`) - generatedIDBytes
	if err := (Task{Payload: text(strings.Repeat("x", room))}).Validate(); err != nil {
		t.Error(err)
	}
	if err := (Task{Payload: text(strings.Repeat("x", room+1))}).Validate(); err == nil {
		t.Error("no room for the made-up ID, yet accepted")
	}
}
