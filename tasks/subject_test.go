package tasks

import (
	"slices"
	"strings"
	"testing"
)

// TestSubjects: every kind's example says whom it is about.
func TestSubjects(t *testing.T) {
	t.Parallel()
	about := map[Kind]string{ // kind -> subjects of its example
		"message.send":              "u1",
		"message.recall":            "u1",
		"group.create":              "u1 u2",
		"group.update":              "4065",
		"group.delete":              "4065",
		"group.transfer_owner":      "4065 u2",
		"group.add_members":         "4065 u1 u2",
		"group.remove_members":      "4065 u1 u2",
		"group.add_admin":           "4065 u2",
		"group.remove_admin":        "4065 u2",
		"group.mute_members":        "4065 u1 u2",
		"group.unmute_members":      "4065 u1 u2",
		"group.mute_all":            "4065",
		"group.unmute_all":          "4065",
		"group.block_members":       "4065 u1 u2",
		"group.unblock_members":     "4065 u1 u2",
		"group.allow_members":       "4065 u1 u2",
		"group.disallow_members":    "4065 u1 u2",
		"group.set_announcement":    "4065",
		"chatroom.create":           "u1 u2",
		"chatroom.update":           "66213271",
		"chatroom.delete":           "66213271",
		"chatroom.transfer_owner":   "66213271 u2",
		"chatroom.add_members":      "66213271 u1 u2",
		"chatroom.remove_members":   "66213271 u1 u2",
		"chatroom.add_admin":        "66213271 u2",
		"chatroom.remove_admin":     "66213271 u2",
		"chatroom.mute_members":     "66213271 u1 u2",
		"chatroom.unmute_members":   "66213271 u1 u2",
		"chatroom.mute_all":         "66213271",
		"chatroom.unmute_all":       "66213271",
		"chatroom.block_members":    "66213271 u1 u2",
		"chatroom.unblock_members":  "66213271 u1 u2",
		"chatroom.allow_members":    "66213271 u1 u2",
		"chatroom.disallow_members": "66213271 u1 u2",
		"chatroom.set_announcement": "66213271",
		"user.register":             "u1 u2",
		"user.delete":               "u1",
		"user.reset_password":       "u1",
		"user.set_nickname":         "u1",
		"user.deactivate":           "u1",
		"user.activate":             "u1",
		"user.force_offline":        "u1",
		"user.add_contact":          "u1 u2",
		"user.remove_contact":       "u1 u2",
		"user.block":                "u1 u2 u3",
		"user.unblock":              "u1 u2",
		"user.mute":                 "u1",
		"user.set_attributes":       "u1",
		"call.raw":                  "u1",
		"message.broadcast":         "",
	}
	for _, info := range Kinds() {
		task, err := ParseEnvelope([]byte(info.Example))
		if err != nil {
			t.Fatal(err)
		}
		want, known := about[info.Kind]
		if !known {
			t.Errorf("%s: not in this test", info.Kind)
		}
		if got := Subjects(task.Payload); !slices.Equal(got, strings.Fields(want)) {
			t.Errorf("%q: %q,", info.Kind, strings.Join(got, " "))
		}
	}
}

func TestSubjectsOf(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		payload Payload
		want    string
	}{
		"nothing":             {nil, ""},
		"a nil pointer":       {(*Message)(nil), ""},
		"a pointer":           {&Recall{To: "u1"}, "u1"},
		"members only":        {Message{Target: Groups, To: []string{"4065"}, Users: []string{"u1", "u2"}}, "4065 u1 u2"},
		"twice":               {Message{Target: Users, To: []string{"u1", "u1"}}, "u1"},
		"raw, one user":       {RawCall{Path: "/users/u1/deactivate"}, "u1"},
		"raw, a contact":      {RawCall{Path: "/users/u1/contacts/users/u2"}, "u1 u2"},
		"raw, members":        {RawCall{Path: "/chatgroups/4065/users/u1,u2?x=/users/u9"}, "4065 u1 u2"},
		"raw, escaped":        {RawCall{Path: "/chatrooms/40%2C65/users/a%40b"}, "40 65 a@b"},
		"raw, badly escaped":  {RawCall{Path: "/users/%zz"}, "%zz"},
		"raw, nobody":         {RawCall{Path: "/messages"}, ""},
		"raw, nothing behind": {RawCall{Path: "/users/"}, ""},
	} {
		if got := Subjects(tc.payload); !slices.Equal(got, strings.Fields(tc.want)) {
			t.Errorf("%s: got %q, want %q", name, got, tc.want)
		}
	}
}
