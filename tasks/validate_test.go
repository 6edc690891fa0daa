package tasks

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"
)

// names makes n different user ids.
func names(n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf("u%d", i)
	}
	return list
}

// alien is a payload type that emq doesn't know.
type alien struct{ RawCall }

func (alien) Kind() Kind { return "alien.kind" }

// TestValidateRefuses breaks one field of a valid task in each row.
func TestValidateRefuses(t *testing.T) {
	t.Parallel()
	type row struct {
		name                string
		task                Task
		field, value, bound string // value and bound as parts of the whole
	}
	valid := samples()
	var rows []row
	add := func(name string, task Task, field, value, bound string) {
		rows = append(rows, row{name, task, field, value, bound})
	}
	option := func(name string, change func(*Task), field, value, bound string) {
		task := Task{Payload: valid[KindMessageSend]}
		change(&task)
		add(name, task, field, value, bound)
	}
	message := func(name string, change func(*Message), field, value, bound string) {
		m := valid[KindMessageSend].(Message)
		change(&m)
		add("message.send: "+name, Task{Payload: m}, "payload."+field, value, bound)
	}
	body := func(b Body, field, value, bound string) {
		message(fmt.Sprintf("%T %s", b, field), func(m *Message) { m.Body = b }, "body."+field, value, bound)
	}
	payload := func(name string, p Payload, field, value, bound string) {
		add(string(p.Kind())+": "+name, Task{Payload: p}, "payload."+field, value, bound)
	}
	now := time.Now()

	const idBound = "1 to 128 letters, digits"
	option("ID too long", func(t *Task) { t.ID = strings.Repeat("x", 129) }, "id", "xxx", idBound)
	option("ID begins badly", func(t *Task) { t.ID = "-x" }, "id", `"-x"`, idBound)
	option("ID with a space", func(t *Task) { t.ID = "a b" }, "id", `"a b"`, idBound)
	option("ID with the generation's mark", func(t *Task) { t.ID = "a~1" }, "id", `"a~1"`, idBound)
	option("ID with braces", func(t *Task) { t.ID = "a{b}" }, "id", `"a{b}"`, idBound)
	option("ID not ASCII", func(t *Task) { t.ID = "été" }, "id", `"\u00e9t\u00e9"`, idBound)
	const appBound = "1 to 32 lower-case letters"
	option("app in upper case", func(t *Task) { t.App = "Shop" }, "app", `"Shop"`, appBound)
	option("app too long", func(t *Task) { t.App = strings.Repeat("a", 33) }, "app", "aaa", appBound)
	option("app begins badly", func(t *Task) { t.App = "_a" }, "app", `"_a"`, appBound)
	option("app with a colon", func(t *Task) { t.App = "a:b" }, "app", `"a:b"`, appBound)
	option("app with braces", func(t *Task) { t.App = "a}b" }, "app", `"a}b"`, appBound)
	option("no payload", func(t *Task) { t.Payload = nil }, "payload", "", "must be given")
	option("nil payload", func(t *Task) { t.Payload = (*Message)(nil) }, "payload", "", "must be given")
	option("priority", func(t *Task) { t.Priority = "urgent" }, "priority", `"urgent"`, "high, default or low")
	option("on_unknown", func(t *Task) { t.OnUnknown = "drop" }, "on_unknown", `"drop"`, "retry or hold")
	option("attempts below", func(t *Task) { t.MaxAttempts = -1 }, "max_attempts", "-1", "1 to 1000")
	option("attempts above", func(t *Task) { t.MaxAttempts = 1001 }, "max_attempts", "1001", "1 to 1000")
	option("age below", func(t *Task) { t.MaxAge = 999 * time.Millisecond }, "max_age", "999ms", "1s to 720h0m0s")
	option("age negative", func(t *Task) { t.MaxAge = -1 }, "max_age", "-1ns", "1s to 720h0m0s")
	option("age above", func(t *Task) { t.MaxAge = 720*time.Hour + 1 }, "max_age", "720h0m0.000000001s", "1s to 720h0m0s")
	option("too far ahead", func(t *Task) { t.ProcessAt = now.Add(366 * 24 * time.Hour) },
		"process_at", now.Add(366*24*time.Hour).Format("2006-01-02"), "at most 365 days ahead")
	option("expired", func(t *Task) { t.ExpiresAt = now.Add(-time.Hour) },
		"expires_at", now.Add(-time.Hour).Format("2006-01-02T15"), "in the future and after process_at")
	option("expires before it is due", func(t *Task) { t.ProcessAt, t.ExpiresAt = now.Add(2*time.Hour), now.Add(time.Hour) },
		"expires_at", now.Add(time.Hour).Format("2006-01-02T15"), "in the future and after process_at")

	const userBound = "1 to 64 bytes of letters, digits, '_', '-' and '.'"
	const targetBound = "1 to 64 letters, digits, '_' and '-'"
	message("target", func(m *Message) { m.Target = "all" }, "target", `"all"`, "users, chatgroups or chatrooms")
	message("nobody", func(m *Message) { m.To = nil }, "to", "", "at least one")
	message("10,001 users", func(m *Message) { m.To = names(10_001) }, "to", "10001 ids", "at most 10000")
	message("10,001 members", func(m *Message) { m.Target, m.To, m.Users = Groups, names(1), names(10_001) }, "users", "10001 ids", "at most 10000")
	const membersBound = "names members of one group or room"
	message("members of users", func(m *Message) { m.Users = names(1) }, "users", "", membersBound)
	message("members of two groups", func(m *Message) { m.Target, m.To, m.Users = Groups, names(2), names(1) }, "users", "", membersBound)
	message("member's id", func(m *Message) { m.Target, m.To, m.Users = Rooms, names(1), []string{"u1", "?"} }, "users[1]", `"?"`, userBound)
	message("member twice", func(m *Message) { m.Target, m.To, m.Users = Rooms, names(1), []string{"u1", "U1"} }, "users[1]", `"U1"`, "given twice")
	message("env too long", func(m *Message) { m.Env = "ninechars" }, "env", `"ninechars"`, "1 to 8 letters and digits")
	message("env", func(m *Message) { m.Env = "a-b" }, "env", `"a-b"`, "1 to 8 letters and digits")
	message("user id", func(m *Message) { m.To = []string{"u1", "u 2"} }, "to[1]", `"u 2"`, userBound)
	message("user id too long", func(m *Message) { m.To = []string{strings.Repeat("u", 65)} }, "to[0]", "uuu", userBound)
	message("empty user id", func(m *Message) { m.To = []string{""} }, "to[0]", `""`, userBound)
	message("user id not ASCII", func(m *Message) { m.To = []string{"ü"} }, "to[0]", `"\u00fc"`, userBound)
	message("group id", func(m *Message) { m.Target, m.To = Groups, []string{"a.b"} }, "to[0]", `"a.b"`, targetBound)
	message("room id too long", func(m *Message) { m.Target, m.To = Rooms, []string{strings.Repeat("1", 65)} }, "to[0]", "111", targetBound)
	message("twice", func(m *Message) { m.To = []string{"u1", "u2", "U1"} }, "to[2]", `"U1"`, "given twice (also to[0])")
	message("from", func(m *Message) { m.From = "a/b" }, "from", `"a/b"`, userBound)
	message("no body", func(m *Message) { m.Body = nil }, "body", "", "must be given")
	message("nil body", func(m *Message) { m.Body = (*Text)(nil) }, "body", "", "must be given")
	message("routetype", func(m *Message) { m.RouteType = "ROUTE_ALL" }, "routetype", `"ROUTE_ALL"`, "must be ROUTE_ONLINE")
	message("routetype in rooms", func(m *Message) { m.Target, m.RouteType = Rooms, "ROUTE_ONLINE" },
		"routetype", `"ROUTE_ONLINE"`, "not for chatrooms")
	message("601 roam_ignore_users for users", func(m *Message) { m.RoamIgnoreUsers = names(601) }, "roam_ignore_users", "601 ids", "at most 600")
	message("members of nobody", func(m *Message) { m.Target, m.To, m.Users = Groups, []string{"1"}, []string{} },
		"users", "", "at least one id")
	message("21 roam_ignore_users", func(m *Message) { m.Target, m.RoamIgnoreUsers = Groups, names(21) },
		"roam_ignore_users", "21 ids", "at most 20")
	message("roam_ignore_users id", func(m *Message) { m.Target, m.RoamIgnoreUsers = Groups, []string{"?"} },
		"roam_ignore_users[0]", `"?"`, userBound)
	message("sync_device", func(m *Message) { m.Target, m.SyncDevice = Rooms, true }, "sync_device", "true", "only for users and chatgroups")
	message("need_group_ack", func(m *Message) { m.NeedGroupAck = true }, "need_group_ack", "true", "only for chatgroups")
	message("level", func(m *Message) { m.Target, m.ChatroomMsgLevel = Rooms, "top" }, "chatroom_msg_level", `"top"`, "high, normal or low")
	message("level for users", func(m *Message) { m.ChatroomMsgLevel = "high" }, "chatroom_msg_level", `"high"`, "only for chatrooms")
	message("emq's own ext", func(m *Message) { m.Ext = map[string]any{"emq_id": secretText} }, "ext.emq_id", "", "omit_emq_id")
	message("ext not JSON", func(m *Message) { m.Ext = map[string]any{"f": func() {}} }, "ext", "", "can't be written as JSON")
	message("too large", func(m *Message) { m.Body = Text{Msg: strings.Repeat(secretText, 300)} },
		"body and ext", "bytes of JSON", "at most 5120 together")

	const media = "https://a1.easemob.com/easemob-demo/testapp/chatfiles/55f12940-64af-11e4-8a5b-ff2336f03252"
	const urlBound = "must be an http or https URL"
	body(Text{}, "msg", "", "must not be empty")
	body(Image{}, "url", "", "must be given")
	body(Image{URL: "ftp://h/x"}, "url", `"ftp://h/x"`, urlBound)
	body(Image{URL: media, Size: &Size{Width: -1, Height: 2}}, "size", "-1 × 2", "not be negative")
	body(Audio{URL: "file"}, "url", `"file"`, urlBound)
	body(Audio{URL: media, Length: -3}, "length", "-3", "not be negative")
	body(Video{URL: "https:///x"}, "url", `"https:///x"`, urlBound)
	body(Video{URL: media, Thumb: "x"}, "thumb", `"x"`, urlBound)
	body(Video{URL: media, Length: -1}, "length", "-1", "not be negative")
	body(Video{URL: media, FileLength: -7}, "length", "file_length -7", "not be negative")
	body(File{URL: "https://h/" + strings.Repeat("x", 2039)}, "url", "2049 bytes", "at most 2048")
	body(Location{Lng: "1", Addr: "x"}, "lat", "", "must not be empty")
	body(Location{Lat: "1", Addr: "x"}, "lng", "", "must not be empty")
	body(Location{Lat: "1", Lng: "1"}, "addr", "", "must not be empty")
	body(Custom{Event: "a b"}, "customEvent", `"a b"`, "1 to 32 of letters")
	body(Custom{Event: "ä"}, "customEvent", `"\u00e4"`, "1 to 32 of letters")
	body(Custom{Event: strings.Repeat("e", 33)}, "customEvent", "eee", "1 to 32 of letters")
	body(Custom{Exts: seventeen()}, "customExts", "17 entries", "at most 16")

	recall := func(name string, change func(*Recall), field, value, bound string) {
		r := valid[KindMessageRecall].(Recall)
		change(&r)
		payload(name, r, field, value, bound)
	}
	recall("no id", func(r *Recall) { r.MsgID = "" }, "msg_id", `""`, "1 to 32 digits")
	recall("id not digits", func(r *Recall) { r.MsgID = "12a" }, "msg_id", `"12a"`, "1 to 32 digits")
	recall("id too long", func(r *Recall) { r.MsgID = strings.Repeat("1", 33) }, "msg_id", "111", "1 to 32 digits")
	recall("chat_type", func(r *Recall) { r.ChatType = "users" }, "chat_type", `"users"`, "chat, groupchat or chatroom")
	recall("user", func(r *Recall) { r.To = "u/1" }, "to", `"u/1"`, userBound)
	recall("group", func(r *Recall) { r.ChatType, r.To = "groupchat", "a.b" }, "to", `"a.b"`, targetBound)
	recall("from", func(r *Recall) { r.From = "a b" }, "from", `"a b"`, userBound)

	create := func(name string, change func(*GroupCreate), field, value, bound string) {
		g := valid[KindGroupCreate].(GroupCreate)
		change(&g)
		payload(name, g, field, value, bound)
	}
	create("groupname", func(g *GroupCreate) { g.Name = strings.Repeat("组", 129) }, "groupname", "129 characters", "at most 128")
	create("avatar", func(g *GroupCreate) { g.Avatar = strings.Repeat("x", 1025) }, "avatar", "1025 characters", "at most 1024")
	create("description", func(g *GroupCreate) { g.Description = strings.Repeat("x", 513) }, "description", "513 characters", "at most 512")
	create("custom", func(g *GroupCreate) { g.Custom = strings.Repeat("x", 8193) }, "custom", "8193 bytes", "at most 8192")
	create("maxusers", func(g *GroupCreate) { g.MaxUsers = -1 }, "maxusers", "-1", "not be negative")
	create("no owner", func(g *GroupCreate) { g.Owner = "" }, "owner", `""`, userBound)
	create("201 members", func(g *GroupCreate) { g.Members = names(201) }, "members", "201 ids", "at most 200")
	create("more members than maxusers", func(g *GroupCreate) { g.Members, g.MaxUsers = names(3), 2 }, "members", "3 ids", "at most 2")
	create("member twice", func(g *GroupCreate) { g.Members = []string{"a", "A"} }, "members[1]", `"A"`, "given twice")
	create("member id", func(g *GroupCreate) { g.Members = []string{"a", ""} }, "members[1]", `""`, userBound)

	// members breaks all kinds about some members of a group or room.
	members := func(group string, usernames []string, field, value, bound string) {
		for _, p := range []Payload{
			GroupAddMembers{GroupID: group, Usernames: usernames}, GroupRemoveMembers{GroupID: group, Usernames: usernames},
			GroupMuteMembers{GroupID: group, Usernames: usernames, MuteDuration: 1}, GroupUnmuteMembers{GroupID: group, Usernames: usernames},
			GroupBlockMembers{GroupID: group, Usernames: usernames}, GroupUnblockMembers{GroupID: group, Usernames: usernames},
			GroupAllowMembers{GroupID: group, Usernames: usernames}, GroupDisallowMembers{GroupID: group, Usernames: usernames},
		} {
			payload(field, p, field, value, bound)
		}
		for _, p := range []Payload{
			RoomAddMembers{RoomID: group, Usernames: usernames}, RoomRemoveMembers{RoomID: group, Usernames: usernames},
			RoomMuteMembers{RoomID: group, Usernames: usernames, MuteDuration: 1}, RoomUnmuteMembers{RoomID: group, Usernames: usernames},
			RoomBlockMembers{RoomID: group, Usernames: usernames}, RoomUnblockMembers{RoomID: group, Usernames: usernames},
			RoomAllowMembers{RoomID: group, Usernames: usernames}, RoomDisallowMembers{RoomID: group, Usernames: usernames},
		} {
			payload(field, p, strings.Replace(field, "group_id", "chatroom_id", 1), value, bound)
		}
	}
	members("", names(1), "group_id", `""`, targetBound)
	members("1/2", names(1), "group_id", `"1/2"`, targetBound)
	members("1", nil, "usernames", "", "at least one")
	members("1", names(10_001), "usernames", "10001 ids", "at most 10000")
	members("1", []string{"a", "b", "a"}, "usernames[2]", `"a"`, "given twice (also usernames[0])")
	members("1", []string{"../admin"}, "usernames[0]", `"../admin"`, userBound)
	for _, p := range []Payload{
		GroupUpdate{GroupID: "?", Public: new(true)}, GroupDelete{GroupID: "?"}, GroupTransferOwner{GroupID: "?", NewOwner: "a"},
		GroupAddAdmin{GroupID: "?", NewAdmin: "a"}, GroupRemoveAdmin{GroupID: "?", OldAdmin: "a"},
		GroupMuteAll{GroupID: "?"}, GroupUnmuteAll{GroupID: "?"}, GroupSetAnnouncement{GroupID: "?"},
	} {
		payload("group", p, "group_id", `"?"`, targetBound)
	}
	for _, p := range []Payload{
		RoomUpdate{RoomID: "?", Name: new("n")}, RoomDelete{RoomID: "?"}, RoomTransferOwner{RoomID: "?", NewOwner: "a"},
		RoomAddAdmin{RoomID: "?", NewAdmin: "a"}, RoomRemoveAdmin{RoomID: "?", OldAdmin: "a"},
		RoomMuteAll{RoomID: "?"}, RoomUnmuteAll{RoomID: "?"}, RoomSetAnnouncement{RoomID: "?"},
	} {
		payload("room", p, "chatroom_id", `"?"`, targetBound)
	}
	payload("owner", GroupTransferOwner{GroupID: "1", NewOwner: "?"}, "newowner", `"?"`, userBound)
	payload("owner", RoomTransferOwner{RoomID: "1", NewOwner: "?"}, "newowner", `"?"`, userBound)
	payload("admin", GroupAddAdmin{GroupID: "1", NewAdmin: "?"}, "newadmin", `"?"`, userBound)
	payload("admin", RoomAddAdmin{RoomID: "1", NewAdmin: "?"}, "newadmin", `"?"`, userBound)
	payload("admin", GroupRemoveAdmin{GroupID: "1", OldAdmin: "?"}, "oldadmin", `"?"`, userBound)
	payload("admin", RoomRemoveAdmin{RoomID: "1", OldAdmin: "?"}, "oldadmin", `"?"`, userBound)
	for _, duration := range []int64{0, -2, 2147483647001, math.MaxInt64} {
		const bound = "1 to 2147483647000 ms, or -1 for good"
		payload(fmt.Sprint(duration), GroupMuteMembers{GroupID: "1", Usernames: names(1), MuteDuration: duration}, "mute_duration", fmt.Sprint(duration), bound)
		payload(fmt.Sprint(duration), RoomMuteMembers{RoomID: "1", Usernames: names(1), MuteDuration: duration}, "mute_duration", fmt.Sprint(duration), bound)
	}
	announcement := strings.Repeat("公", 513)
	payload("text", GroupSetAnnouncement{GroupID: "1", Announcement: announcement}, "announcement", "513 characters", "at most 512")
	payload("text", RoomSetAnnouncement{RoomID: "1", Announcement: announcement}, "announcement", "513 characters", "at most 512")

	payload("nothing", GroupUpdate{GroupID: "1"}, "groupname", "", "at least one field")
	payload("groupname", GroupUpdate{GroupID: "1", Name: new(strings.Repeat("组", 129))}, "groupname", "129 characters", "at most 128")
	payload("avatar", GroupUpdate{GroupID: "1", Avatar: new(strings.Repeat("x", 1025))}, "avatar", "1025 characters", "at most 1024")
	payload("description", GroupUpdate{GroupID: "1", Description: new(strings.Repeat("x", 513))}, "description", "513 characters", "at most 512")
	payload("custom", GroupUpdate{GroupID: "1", Custom: new(strings.Repeat("x", 8193))}, "custom", "8193 bytes", "at most 8192")
	payload("maxusers", GroupUpdate{GroupID: "1", MaxUsers: new(0)}, "maxusers", "0", "at least 1")

	newRoom := func(name string, change func(*RoomCreate), field, value, bound string) {
		r := valid[KindRoomCreate].(RoomCreate)
		change(&r)
		payload(name, r, field, value, bound)
	}
	newRoom("no name", func(r *RoomCreate) { r.Name = "" }, "name", "", "not be empty")
	newRoom("name", func(r *RoomCreate) { r.Name = strings.Repeat("室", 129) }, "name", "129 characters", "at most 128")
	newRoom("no description", func(r *RoomCreate) { r.Description = "" }, "description", "", "not be empty")
	newRoom("description", func(r *RoomCreate) { r.Description = strings.Repeat("x", 513) }, "description", "513 characters", "at most 512")
	newRoom("maxusers", func(r *RoomCreate) { r.MaxUsers = 10_001 }, "maxusers", "10001", "1 to 10000")
	newRoom("maxusers negative", func(r *RoomCreate) { r.MaxUsers = -1 }, "maxusers", "-1", "1 to 10000")
	newRoom("no owner", func(r *RoomCreate) { r.Owner = "" }, "owner", `""`, userBound)
	newRoom("members over maxusers", func(r *RoomCreate) { r.MaxUsers, r.Members = 3, names(4) }, "members", "4 ids", "at most 3")
	newRoom("members over the default", func(r *RoomCreate) { r.MaxUsers, r.Members = 0, names(1001) }, "members", "1001 ids", "at most 1000")
	newRoom("member", func(r *RoomCreate) { r.Members = []string{"?"} }, "members[0]", `"?"`, userBound)
	newRoom("custom", func(r *RoomCreate) { r.Custom = strings.Repeat("x", 8193) }, "custom", "8193 bytes", "at most 8192")
	payload("nothing", RoomUpdate{RoomID: "1"}, "name", "", "at least one field")
	payload("empty name", RoomUpdate{RoomID: "1", Name: new("")}, "name", "", "not be empty")
	payload("name", RoomUpdate{RoomID: "1", Name: new(strings.Repeat("室", 129))}, "name", "129 characters", "at most 128")
	payload("description", RoomUpdate{RoomID: "1", Description: new(strings.Repeat("x", 513))}, "description", "513 characters", "at most 512")
	payload("maxusers", RoomUpdate{RoomID: "1", MaxUsers: new(10_001)}, "maxusers", "10001", "1 to 10000")

	broadcast := func(name string, change func(*Broadcast), field, value, bound string) {
		b := valid[KindMessageBroadcast].(Broadcast)
		change(&b)
		payload(name, b, field, value, bound)
	}
	broadcast("target", func(b *Broadcast) { b.Target = Groups }, "target", `"chatgroups"`, "users, online or chatrooms")
	broadcast("no target", func(b *Broadcast) { b.Target = "" }, "target", `""`, "users, online or chatrooms")
	broadcast("from", func(b *Broadcast) { b.From = "a/b" }, "from", `"a/b"`, userBound)
	broadcast("no msg", func(b *Broadcast) { b.Body = nil }, "msg", "", "must be given")
	broadcast("no text", func(b *Broadcast) { b.Body = Text{} }, "msg.msg", "", "must not be empty")
	broadcast("emq's own ext", func(b *Broadcast) { b.Ext = map[string]any{"emq_id": secretText} }, "ext.emq_id", "", "omit_emq_id")
	broadcast("level", func(b *Broadcast) { b.Target, b.ChatroomMsgLevel = Rooms, "top" }, "chatroom_msg_level", `"top"`, "high, normal or low")
	broadcast("level for users", func(b *Broadcast) { b.ChatroomMsgLevel = "low" }, "chatroom_msg_level", `"low"`, "only for chatrooms")
	broadcast("ext not JSON", func(b *Broadcast) { b.Ext = map[string]any{"f": func() {}} }, "ext", "", "can't be written as JSON")
	broadcast("too large", func(b *Broadcast) { b.Body = Text{Msg: strings.Repeat(secretText, 300)} },
		"msg and ext", "bytes of JSON", "at most 5120 together")

	for _, p := range []Payload{
		UserDelete{Username: "?"}, UserResetPassword{Username: "?", NewPassword: "p"}, UserSetNickname{Username: "?", Nickname: "n"},
		UserDeactivate{Username: "?"}, UserActivate{Username: "?"}, UserForceOffline{Username: "?"},
		UserMute{Username: "?", Chat: new(1)}, UserSetAttributes{Username: "?", MetaData: map[string]string{"a": "b"}},
	} {
		payload("name", p, "username", `"?"`, userBound)
	}
	for _, p := range []Payload{
		UserAddContact{OwnerUsername: "?", FriendUsername: "a"}, UserRemoveContact{OwnerUsername: "?", FriendUsername: "a"},
		UserBlock{OwnerUsername: "?", Usernames: names(1)}, UserUnblock{OwnerUsername: "?", BlockedUsername: "a"},
	} {
		payload("owner", p, "owner_username", `"?"`, userBound)
	}
	payload("friend", UserAddContact{OwnerUsername: "a", FriendUsername: "?"}, "friend_username", `"?"`, userBound)
	payload("friend", UserRemoveContact{OwnerUsername: "a", FriendUsername: "?"}, "friend_username", `"?"`, userBound)
	payload("name", UserBlock{OwnerUsername: "a", Usernames: []string{"?"}}, "usernames[0]", `"?"`, userBound)
	payload("nobody", UserBlock{OwnerUsername: "a"}, "usernames", "", "at least one")
	payload("501 users", UserBlock{OwnerUsername: "a", Usernames: names(501)}, "usernames", "501 ids", "at most 500")
	payload("name", UserUnblock{OwnerUsername: "a", BlockedUsername: "?"}, "blocked_username", `"?"`, userBound)
	payload("no password", UserResetPassword{Username: "a"}, "newpassword", "", "must not be empty")
	payload("password too long", UserResetPassword{Username: "a", NewPassword: secretPassword + strings.Repeat("p", 64)},
		"newpassword", "84 characters", "at most 64")
	payload("no nickname", UserSetNickname{Username: "a"}, "nickname", "", "must not be empty")
	payload("nickname", UserSetNickname{Username: "a", Nickname: strings.Repeat("n", 101)}, "nickname", "101 characters", "at most 100")
	const muteBound = "0 to 2147483647 seconds, or -1 for good"
	payload("nothing", UserMute{Username: "a"}, "chat", "", "give chat, groupchat or chatroom")
	payload("chat", UserMute{Username: "a", Chat: new(-2)}, "chat", "-2", muteBound)
	payload("groupchat", UserMute{Username: "a", Chat: new(1), GroupChat: new(1 << 31)}, "groupchat", "2147483648", muteBound)
	payload("chatroom", UserMute{Username: "a", ChatRoom: new(-3)}, "chatroom", "-3", muteBound)
	payload("nothing", UserSetAttributes{Username: "a"}, "metaData", "", "at least one attribute")
	payload("no name", UserSetAttributes{Username: "a", MetaData: map[string]string{"": "x"}}, "metaData", "", "must have a name")
	payload("too large", UserSetAttributes{Username: "a", MetaData: map[string]string{"ext": strings.Repeat("信", 682)}}, "metaData", "2049 bytes", "at most 2048")

	register := func(name string, user NewUser, field, value, bound string) {
		payload(name, UserRegister{Users: []NewUser{{Username: "first", Password: secretPassword}, user}}, field, value, bound)
	}
	payload("nobody", UserRegister{}, "users", "", "at least one")
	many := make([]NewUser, 10_001)
	for i, name := range names(10_001) {
		many[i] = NewUser{Username: name, Password: secretPassword}
	}
	payload("10,001 users", UserRegister{Users: many}, "users", "10001 ids", "at most 10000")
	register("name", NewUser{Username: "a b", Password: secretPassword}, "users[1]", `"a b"`, userBound)
	register("name twice", NewUser{Username: "FIRST", Password: secretPassword}, "users[1]", `"FIRST"`, "given twice")
	register("no password", NewUser{Username: "a"}, "users[1].password", "", "must not be empty")
	register("password too long", NewUser{Username: "a", Password: secretPassword + strings.Repeat("p", 64)},
		"users[1].password", "84 characters", "at most 64")
	register("nickname", NewUser{Username: "a", Password: secretPassword, Nickname: strings.Repeat("n", 101)},
		"users[1].nickname", "101 characters", "at most 100")

	raw := func(method, path, body string, field, value, bound string) {
		payload(method+" "+path[:min(len(path), 30)], RawCall{Method: method, Path: path, Body: []byte(body)}, field, value, bound)
	}
	const pathBound = "must be an absolute, escaped path below /{org}/{app}"
	raw("HEAD", "/users/u1", "", "method", `"HEAD"`, "GET, POST, PUT, PATCH or DELETE")
	raw("post", "/users/u1", "", "method", `"post"`, "GET, POST, PUT, PATCH or DELETE")
	for _, path := range []string{
		"", "/", "users/u1", "//evil.example/users", "https://evil.example/users", "/users/../../other-org/app/users",
		"/users/%2e%2e/%2E%2E/other", "/users//u1", "/users/./u1", "/users#frag", "/users/a b", "/users/a\r\nX: y", "/users\\u1", "/%zz",
	} {
		raw("GET", path, "", "path", "", pathBound)
	}
	raw("GET", "/"+strings.Repeat("x", 2048), "", "path", "2049 bytes", "at most 2048")
	for _, path := range []string{"/token", "/Token", "/token/x", "/token?grant_type=password", "/%74oken"} {
		raw("POST", path, "", "path", "oken", "tokens are fetched by the worker")
	}
	raw("POST", "/users", `{"password":"`+secretPassword+`"`, "body", "", "must be valid JSON")
	raw("POST", "/users", `"`+strings.Repeat("x", 256*1024-1)+`"`, "body", "262145 bytes", "at most 262144")

	for _, tc := range rows {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			err := tc.task.Validate()
			fe, ok := errors.AsType[*FieldError](err)
			if !ok {
				t.Fatalf("error %v, want a *FieldError", err)
			}
			if fe.Field != tc.field || !strings.Contains(fe.Value, tc.value) || !strings.Contains(fe.Bound, tc.bound) {
				t.Errorf("error %+v, want field %q, value with %q, bound with %q", fe, tc.field, tc.value, tc.bound)
			}
			for _, part := range []string{fe.Field, fe.Value, fe.Bound} {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("text %q does not name %q", err, part)
				}
			}
			for _, secret := range []string{secretText, secretPassword} {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("text %q gives %q away", err, secret)
				}
			}
		})
	}
}

func seventeen() map[string]string {
	m := map[string]string{}
	for _, name := range names(17) {
		m[name] = "x"
	}
	return m
}

func TestValidateRefusesUnknownKind(t *testing.T) {
	t.Parallel()
	if err := (Task{Payload: alien{samples()[KindCallRaw].(RawCall)}}).Validate(); !errors.Is(err, ErrUnknownKind) {
		t.Errorf("error %v, want ErrUnknownKind", err)
	}
}

// TestValidateAcceptsTheExtremes gives each bound the last value that it allows.
func TestValidateAcceptsTheExtremes(t *testing.T) {
	t.Parallel()
	now := time.Now()
	sixty := make([]NewUser, 60)
	for i, name := range names(60) {
		sixty[i] = NewUser{Username: name, Password: strings.Repeat("密", 64), Nickname: strings.Repeat("名", 100)}
	}
	sixteen := seventeen()
	delete(sixteen, "u0")
	message := func(target Target, to []string, body Body) Message {
		return Message{Target: target, To: to, Body: body}
	}
	for name, task := range map[string]Task{
		"ID of 128":         {ID: strings.Repeat("x", 128), Payload: text("x")},
		"ID of all kinds":   {ID: "0aZ._:@/#+=,-", Payload: text("x")},
		"app of 32":         {App: "0" + strings.Repeat("_", 15) + strings.Repeat("-", 16), Payload: text("x")},
		"1 attempt":         {MaxAttempts: 1, Payload: text("x")},
		"1000 attempts":     {MaxAttempts: 1000, Payload: text("x")},
		"1 s":               {MaxAge: time.Second, Payload: text("x")},
		"30 days":           {MaxAge: 720 * time.Hour, Payload: text("x")},
		"planned a year":    {ProcessAt: now.Add(365 * 24 * time.Hour), Payload: text("x")},
		"due in the past":   {ProcessAt: now.Add(-time.Hour), Payload: text("x")},
		"expires when due":  {ProcessAt: now.Add(time.Hour), ExpiresAt: now.Add(time.Hour + 1), Payload: text("x")},
		"pointers":          {Payload: &Message{Target: Users, To: names(1), Body: &Text{Msg: "x"}}},
		"600 users":         {Payload: message(Users, names(600), Text{Msg: "x"})},
		"3 groups":          {Payload: message(Groups, names(3), Text{Msg: "x"})},
		"10 rooms":          {Payload: message(Rooms, names(10), Text{Msg: "x"})},
		"user id of 64":     {Payload: message(Users, []string{strings.Repeat("u", 60) + "_-.9"}, Text{Msg: "x"})},
		"601 users, split":  {Payload: message(Users, names(601), Text{Msg: "x"})},
		"10,000 users":      {Payload: message(Users, names(10_000), Text{Msg: "x"})},
		"20 members":        {Payload: Message{Target: Rooms, To: names(1), Users: names(20), Body: Text{Msg: "x"}, ChatroomMsgLevel: "high", Env: "Dev12345"}},
		"synced in groups":  {Payload: Message{Target: Groups, To: names(1), Body: Text{Msg: "x"}, SyncDevice: true}},
		"id in upper case":  {Payload: message(Users, []string{"U1"}, Text{Msg: "x"})},
		"command":           {Payload: message(Users, names(1), Command{Action: "a"})},
		"custom":            {Payload: message(Users, names(1), Custom{Event: "aZ09-_/." + strings.Repeat("e", 24), Exts: sixteen})},
		"url of 2048":       {Payload: message(Users, names(1), File{URL: "https://h/" + strings.Repeat("x", 2038)})},
		"online, in groups": {Payload: Message{Target: Groups, To: names(1), Body: Text{Msg: "x"}, RouteType: "ROUTE_ONLINE", NeedGroupAck: true}},
		"room, low level":   {Payload: Message{Target: Rooms, To: names(1), Body: Text{Msg: "x"}, ChatroomMsgLevel: "low", RoamIgnoreUsers: names(20)}},
		"own emq_id":        {Payload: Message{Target: Users, To: names(1), Body: Text{Msg: "x"}, Ext: map[string]any{"emq_id": 1}, OmitTaskID: true}},
		"recall":            {Payload: Recall{MsgID: strings.Repeat("9", 32), To: "room-1", ChatType: "chatroom", From: "admin"}},
		"group": {Payload: GroupCreate{
			Name: strings.Repeat("组", 128), Avatar: strings.Repeat("x", 1024), Description: strings.Repeat("x", 512),
			Custom: strings.Repeat("x", 8192), Owner: "u", Members: names(60),
		}},
		"group, all fields": {Payload: GroupUpdate{
			GroupID: "1", Name: new(strings.Repeat("组", 128)), Avatar: new(strings.Repeat("x", 1024)), Description: new(strings.Repeat("x", 512)),
			MaxUsers: new(1), Custom: new(strings.Repeat("x", 8192)), MembersOnly: new(false),
		}},
		"group, texts taken away": {Payload: GroupUpdate{GroupID: "1", Name: new(""), Custom: new("")}},
		"room": {Payload: RoomCreate{
			Name: strings.Repeat("室", 128), Description: strings.Repeat("x", 512), Custom: strings.Repeat("x", 8192), Owner: "u", Members: names(1000),
		}},
		"room of 1":             {Payload: RoomCreate{Name: "n", Description: "d", MaxUsers: 1, Owner: "u", Members: names(1)}},
		"room for 10,000":       {Payload: RoomUpdate{RoomID: "1", MaxUsers: new(10_000)}},
		"announcement":          {Payload: GroupSetAnnouncement{GroupID: "1", Announcement: strings.Repeat("公", 512)}},
		"announcement, none":    {Payload: RoomSetAnnouncement{RoomID: "1"}},
		"mute for good":         {Payload: GroupMuteMembers{GroupID: "1", Usernames: names(60), MuteDuration: MuteForever}},
		"mute for 1 ms":         {Payload: RoomMuteMembers{RoomID: "1", Usernames: names(60), MuteDuration: 1}},
		"user's mute":           {Payload: UserMute{Username: "u", Chat: new(0), GroupChat: new(MuteForever), ChatRoom: new(MuteMaxSeconds)}},
		"block 500":             {Payload: UserBlock{OwnerUsername: "u", Usernames: names(500)}},
		"attributes of 2 KB":    {Payload: UserSetAttributes{Username: "u", MetaData: map[string]string{"extn": strings.Repeat("x", 2044)}}},
		"broadcast to rooms":    {Payload: Broadcast{Target: Rooms, Body: Command{Action: "a"}, ChatroomMsgLevel: "normal"}},
		"broadcast, own emq_id": {Payload: Broadcast{Target: Users, Body: Text{Msg: "x"}, Ext: map[string]any{"emq_id": 1}, OmitTaskID: true}},
		"60 added":              {Payload: GroupAddMembers{GroupID: strings.Repeat("1", 64), Usernames: names(60)}},
		"60 removed":            {Payload: GroupRemoveMembers{GroupID: "1", Usernames: names(60)}},
		"60 users":              {Payload: UserRegister{Users: sixty}},
		"path of 2048":          {Payload: RawCall{Method: "PATCH", Path: "/" + strings.Repeat("x", 2047)}},
		"path's query":          {Payload: RawCall{Method: "DELETE", Path: "/users/u%2F1/?limit=1&cursor=a%20b"}},
		"body of 256k":          {Payload: RawCall{Method: "PUT", Path: "/x", Body: []byte(`"` + strings.Repeat("x", 256*1024-2) + `"`)}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := task.Validate(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestFieldErrorShortensLongValues(t *testing.T) {
	t.Parallel()
	err := (Task{ID: strings.Repeat("x", 10_000), Payload: text("x")}).Validate()
	if n := len(err.Error()); n > 300 {
		t.Errorf("error of %d bytes", n)
	}
}
