package tasks

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// batches are the payloads with several targets: those among the samples, and
// what else a payload may be about.
func batches() []Batch {
	list := []Batch{
		Message{Target: Rooms, To: []string{"1", "2", "3"}, Body: Text{Msg: "x"}},
		Message{Target: Groups, To: []string{"1"}, Users: []string{"u1", "U2", "u3"}, Body: Text{Msg: "x"}},
		UserRegister{Users: []NewUser{{Username: "u1", Password: "p"}, {Username: "U2", Password: "q", Nickname: "n"}, {Username: "u3", Password: "r"}}},
		GroupUpdate{
			GroupID: "4065", Name: new("n"), Avatar: new("a"), Description: new("d"), MaxUsers: new(3), MembersOnly: new(true),
			AllowInvites: new(false), InviteNeedConfirm: new(true), Public: new(false), Custom: new("c"),
		},
		RoomUpdate{RoomID: "662", Name: new("n"), Description: new("d"), MaxUsers: new(3)},
		raw("POST", "/messages/users", `{"to":["u1","U2","u3"], "type":"txt"}`),
		raw("POST", "/messages/chatgroups/users", `{"to":["1"],"users":["u1","u2"]}`),
		raw("POST", "/messages", `{"target_type":"users","target":["u1","u2"]}`),
		raw("POST", "/chatgroups/1/users", `{"usernames":["u1","u2"]}`),
		raw("POST", "/users", `[ {"username":"u1","password":"p"},{"username":"u2","password":"q"}]`),
		raw("PUT", "/metadata/chatroom/1/user/u1", `{"metaData":{"b":"2","a":"1"},"autoDelete":"DELETE"}`),
		raw("DELETE", "/metadata/chatroom/1/user/u1", `{"keys":["a","b"]}`),
		raw("DELETE", "/chatgroups/1/users/u1,U2%2Cu3?need_notify=true", ``),
	}
	for _, info := range Kinds() { // in order, so that a failure can be repeated
		if b, ok := samples()[info.Kind].(Batch); ok && len(b.Targets()) > 0 {
			list = append(list, b)
		}
	}
	return list
}

func raw(method, path, body string) RawCall {
	r := RawCall{Method: method, Path: path}
	if body != "" {
		r.Body = []byte(body)
	}
	return r
}

// TestOnly holds that a batch can be cut in two anywhere: each part is valid,
// and together they are about each target once.
func TestOnly(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		b := rapid.SampledFrom(batches()).Draw(t, "batch")
		targets := b.Targets()
		equal(t, "with all targets", b.Only(targets), Payload(b))

		var some, others []string
		for _, target := range targets {
			if rapid.Bool().Draw(t, target) {
				some = append(some, target)
			} else {
				others = append(others, target)
			}
		}
		for _, part := range [][]string{some, others} {
			if len(part) == 0 {
				continue
			}
			// Answers name users in lower case, and in any order.
			named := slices.Clone(part)
			slices.Reverse(named)
			for i := range named {
				named[i] = strings.ToLower(named[i])
			}
			only := b.Only(append(named, "stranger"))
			if err := only.Validate(); err != nil {
				t.Fatalf("only %v: %v", part, err)
			}
			if call, isRaw := only.(RawCall); isRaw && call.Body == nil && len(part) == 1 {
				continue // a single name at the end of a path could as well be something else
			}
			equal(t, "targets of the part", Targets(only), part)
		}
		equal(t, "the batch afterwards", b.Targets(), targets)
	})
}

func TestTargets(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		payload Payload
		want    []string
	}{
		{nil, nil},
		{(*Message)(nil), nil},
		{Recall{}, nil},
		{UserSetAttributes{MetaData: map[string]string{"a": "b"}}, nil}, // done as a whole
		{&UserBlock{Usernames: []string{"a", "b"}}, []string{"a", "b"}},
		{RoomUpdate{Name: new("n"), MaxUsers: new(1)}, []string{"groupname", "maxusers"}}, // as the answer calls a room's name
		{raw("GET", "/users/a,b", ``), nil},
		{raw("DELETE", "/users/a", ``), nil},
		{raw("DELETE", "/chatgroups/1/users/a,b", ``), []string{"a", "b"}},
		{raw("POST", "/chatgroups/1/users", `{"usernames":[]}`), nil},
		{raw("POST", "/chatgroups/1/users", `{"usernames":["a","A","b"]}`), []string{"a", "b"}},
		{raw("POST", "/x", `{"usernames":["a",1]}`), nil},
		{raw("POST", "/x", `{"usernames":"a"}`), nil},
		{raw("POST", "/x", `{"usernames":["a",null]}`), nil},
		{raw("POST", "/messages/msg_recall", `{"to":"u1"}`), nil},
		{raw("POST", "/users", `[{"username":"a"},{"name":"b"}]`), nil},
		{raw("POST", "/users", `{"username":"a"}`), nil},
		{raw("PUT", "/x", `{"metaData":{"b":1,"a":2}}`), []string{"a", "b"}},
		{raw("PUT", "/x", `{"metaData":{}}`), nil},
		{raw("PUT", "/x", `"text"`), nil},
		{raw("PUT", "/x", `null`), nil},
		{raw("PUT", "/x", `[]`), nil},
	} {
		if got := Targets(tc.payload); len(got) != len(tc.want) || !slices.Equal(got, tc.want) {
			t.Errorf("%T %+v: targets %v, want %v", tc.payload, tc.payload, got, tc.want)
		}
	}
}

// TestOnlyOfARawCall holds what is left of the call.
func TestOnlyOfARawCall(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		call RawCall
		only []string
		want RawCall
	}{
		{raw("POST", "/x", `{"usernames": ["a","b","B"], "mute_duration": 12345678901234567890}`), []string{"b"}, raw("POST", "/x", `{"mute_duration":12345678901234567890,"usernames":["b","B"]}`)},
		{raw("POST", "/x", `{"to":["1"],"users":["a","b"]}`), []string{"a"}, raw("POST", "/x", `{"to":["1"],"users":["a"]}`)},
		{raw("POST", "/x", `[{"username":"a","password":"<"},{"username":"b"}]`), []string{"a"}, raw("POST", "/x", `[{"username":"a","password":"<"}]`)},
		{raw("PUT", "/x", `{"metaData":{"b":"2","a":"1"},"autoDelete":"DELETE"}`), []string{"b"}, raw("PUT", "/x", `{"autoDelete":"DELETE","metaData":{"b":"2"}}`)},
		{raw("DELETE", "/x/a,b,c?need_notify=true", ``), []string{"a", "c"}, raw("DELETE", "/x/a,c?need_notify=true", ``)},
		{raw("POST", "/x", `{"username": "a"}`), []string{"a"}, raw("POST", "/x", `{"username": "a"}`)},
	} {
		got := tc.call.Only(tc.only).(RawCall)
		if got.Method != tc.want.Method || got.Path != tc.want.Path || string(got.Body) != string(tc.want.Body) {
			t.Errorf("%s %s of %v:\n got %s %s\nwant %s %s", tc.call.Path, tc.call.Body, tc.only, got.Path, got.Body, tc.want.Path, tc.want.Body)
		}
	}
}
