package errclass

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"testing"
)

// failures brings Verdict.Failed into a form to compare: target -> class and rule.
func failures(v Verdict) map[string]string {
	m := map[string]string{}
	for _, f := range v.Failed {
		m[f.Target] = string(f.Class) + " " + f.Rule
	}
	return m
}

func TestHiddenFailures(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		kind    string
		targets []string
		body    string
		rule    string // of the verdict; "ok" for none failed
		failed  map[string]string
	}{
		"removal: a non-member is done": {"group.remove_members", []string{"u1", "u2"},
			`{"data":[{"result":true,"user":"u1"},{"result":false,"user":"u2","reason":"user: u2 doesn't exist in group: 66"}]}`, "ok", nil},
		"removal: the owner is not": {"group.remove_members", []string{"u1", "u2"},
			`{"data":[{"result":true,"user":"u1"},{"result":false,"user":"u2","reason":"forbidden operation on group owner!"}]}`,
			"owner-protected", map[string]string{"u2": "permanent owner-protected"}},
		"removal: no reason, others done": {"group.remove_members", []string{"u1", "u2"},
			`{"data":[{"result":true,"user":"u1"},{"result":false,"user":"u2"}]}`, "refused-among-others", map[string]string{"u2": "retryable refused-among-others"}},
		"removal: no reason, nobody done": {"group.remove_members", []string{"u1", "u2"},
			`{"data":[{"result":false,"user":"u1"},{"result":false,"user":"u2"}]}`, "refused-without-reason",
			map[string]string{"u1": "permanent refused-without-reason", "u2": "permanent refused-without-reason"}},
		"block: a non-member, as recorded": {"group.block_members", []string{"u1", "u2"},
			`{"data":[{"result":true,"user":"u1"},{"result":false,"user":"u2"}]}`, "refused-without-reason", map[string]string{"u2": "permanent refused-without-reason"}},
		"block: a non-member, with reason": {"chatroom.block_members", []string{"u1"},
			`{"data":{"result":false,"user":"u1","reason":"users [u1] are not members of this group!"}}`, "not-member", map[string]string{"u1": "permanent not-member"}},
		"names as the caller spells them": {"group.mute_members", []string{"Zhang", "Li"},
			`{"data":[{"result":true,"user":"li"},{"result":false,"user":"ZHANG","reason":"not in group"}]}`, "not-member", map[string]string{"Zhang": "permanent not-member"}},
		"nobody named":   {"group.set_announcement", nil, `{"data":{"id":"66","result":false}}`, "refused-without-reason", map[string]string{"66": "permanent refused-without-reason"}},
		"no name at all": {"user.force_offline", nil, `{"data":{"result":false}}`, "refused-without-reason", map[string]string{"": "permanent refused-without-reason"}},
		"addition: who was a member": {"group.add_members", []string{"u1", "u2"},
			`{"data":[{"result":true,"user":"u1"},{"result":false,"user":"u2","reason":"user: u2 already in group: 66"}]}`, "ok", nil},
		"addition: newmembers": {"group.add_members", []string{"u1", "u2"}, `{"data":{"newmembers":["u1"],"action":"add_member"}}`, "ok", nil},
		"registration": {"user.register", []string{"u1", "u2", "u3"},
			`{"entities":[{"username":"u1"}],"data":[{"username":"u2","registerUserFailReason":"the u2 already exists"},{"username":"u3","registerUserFailReason":"username u3 is not legal"}]}`,
			"registration-refused", map[string]string{"u3": "permanent registration-refused"}},
		"contact import": {"call.raw", nil, `{"data":{"success":["a"],"NotExistFailed":["b"],"maxLimitFailed":["c"],"UnKnowFailed":["d"]}}`,
			"user-quota", map[string]string{"b": "permanent user-missing", "c": "needs-human user-quota", "d": "retryable failed-for-unknown-cause"}},
		"attributes of a room": {"call.raw", nil, `{"uri":"https://h/o/a/metadata/chatroom/1/user/u","data":{"successKeys":[],"errorKeys":{"k1":"user is not in chatroom","k2":"odd"}}}`,
			"not-member", map[string]string{"k1": "permanent not-member", "k2": "permanent refused-in-answer"}},
		"attributes of members": {"call.raw", nil, `{"data":{"updateMetadataFailed:":[{"username":"u1","error":"user not in group"}],"updateMetadataSucceeded:":[]}}`,
			"not-member", map[string]string{"u1": "permanent not-member"}},
		"fields of an update": {"chatroom.update", nil, `{"data":{"groupname":true,"description":false,"maxusers":false}}`,
			"refused-without-reason", map[string]string{"description": "permanent refused-without-reason", "maxusers": "permanent refused-without-reason"}},
		"fields that nobody asked for": {"group.update", []string{"groupname"}, `{"data":{"groupname":true,"public":false}}`, "ok", nil},
		"transfer":                     {"group.transfer_owner", nil, `{"data":{"newowner":false}}`, "refused-without-reason", map[string]string{"": "permanent refused-without-reason"}},
		"old multi-recall": {"message.recall", nil, `{"data":{"msgs":[{"msg_id":"1","recalled":"yes"},{"msg_id":"2","recalled":"can't find msg to"},{"msg_id":"3","recalled":"not_found msg"}]}}`,
			"message-missing", map[string]string{"2": "permanent message-missing"}},
		"multi-recall by ID": {"message.recall", nil, `{"data":{"11":{"recalled":"yes"},"12":{"recalled":"exceed recall time limit"}}}`,
			"recall-too-late", map[string]string{"12": "permanent recall-too-late"}},
		"details of groups": {"call.raw", nil, `{"action":"get","data":[{"id":"1"},"group id doesn't exist"]}`, "group-missing", map[string]string{"": "permanent group-missing"}},
		"a send without one receiver": {"message.send", []string{"U1", "u2"}, `{"data":{"u1":"1028"}}`,
			"target-unanswered", map[string]string{"u2": "retryable target-unanswered"}},
		"a send with an empty ID": {"message.send", []string{"u1", "u2"}, `{"data":{"u1":"1028","u2":""}}`,
			"target-unanswered", map[string]string{"u2": "retryable target-unanswered"}},
		"a send with a reason": {"message.send", []string{"u1", "u2"}, `{"data":{"u1":"1028","u2":"user u2 is banned"}}`,
			"target-banned", map[string]string{"u2": "needs-human target-banned"}},
		"the app is banned": {"group.mute_members", []string{"u1", "u2"},
			`{"data":[{"result":false,"user":"u1","reason":"Service operation not allowed"},{"result":false,"user":"u2","reason":"not in group"}]}`,
			"banned", map[string]string{"u1": "needs-human banned", "u2": "permanent not-member"}},
		"a word for the token": {"group.mute_members", []string{"u1"}, `{"data":{"result":false,"user":"u1","reason":"access token expired"}}`,
			"token-refused", map[string]string{"u1": "retryable token-refused"}},
	} {
		v := Classify(Evidence{Kind: c.kind, Status: 200, Body: []byte(c.body), Written: true, Targets: c.targets})
		if got := failures(v); v.Rule != c.rule || !maps.Equal(got, c.failed) {
			t.Errorf("%s: %s %v, want %s %v", name, v.Rule, got, c.rule, c.failed)
		}
		if v.Status != 200 || v.Delay == DelayToken {
			t.Errorf("%s: %+v", name, v)
		}
		for _, f := range v.Failed {
			if f.Status != 200 || f.Verdict.Failed != nil || f.Mend != MendNone || f.Named != nil || f.Class == ClassSuccess || f.Description != f.Reason {
				t.Errorf("%s: failure %+v", name, f)
			}
			if (f.Rule == "target-unanswered") != f.OutcomeUnknown {
				t.Errorf("%s: outcome unknown: %v", name, f.OutcomeUnknown)
			}
		}
	}
}

// TestOrdinarySuccess: what looks like a no and is none.
func TestOrdinarySuccess(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ kind, body string }{
		{"call.raw", `{"action":"get","data":false}`},
		{"call.raw", `{"data":"success"}`},
		{"call.raw", `{"data":{"disabled":false}}`},
		{"call.raw", `{"action":"get","data":[{"id":"1","public":false,"membersonly":false,"name":"result"}]}`},
		{"call.raw", `{"action":"get","data":{"result":false}}`},
		{"call.raw", `{"action":"put","uri":"https://h/o/a/metadata/user/u","data":{"result":"fail","success":false,"errorKeys":"x"}}`},
		{"call.raw", `{"action":"put","uri":"https://h/o/a/metadata/chatgroup/1/user/u","data":{"result":"fail","success":"false"}}`},
		{"call.raw", `{"action":"post","uri":"https://h/o/a/chatgroups/1/enable","data":{"disabled":false}}`},
		{"call.raw", `{"action":"put","uri":"https://h/o/a/chatgroups/1","data":{"public":false,"name":"x"}}`},
		{"call.raw", `{"action":"post","uri":"https://h/o/a/messages/users","data":{"recalled":"1028442084794698104"}}`},
		{"call.raw", `{"data":["u1","group","id"]}`},
		{"group.unmute_all", `{"data":{"mute":false}}`},
		{"group.mute_all", `{"data":{"mute":true}}`},
		{"user.set_attributes", `{"data":{"result":"false","reason":"because","success":false}}`},
		{"group.add_admin", `{"data":{"result":"success","newadmin":"false"}}`},
		{"user.mute", `{"data":{"result":"ok"}}`},
		{"message.recall", `{"data":{"recalled":"yes","chattype":"chat"}}`},
		{"message.send", `{"data":{"result":"1028","success":"1029","recalled":"1030"}}`},
		{"message.broadcast", `{"data":{"id":409708882198790147}}`},
		{"user.add_contact", `{"entities":[{"username":"u2","activated":false}]}`},
		{"user.deactivate", `{"action":"Deactivate user","entities":[{"activated":false}]}`},
		{"group.create", `{"data":{"groupid":"66"}}`},
		{"group.create", `{"error":null,"error_description":"","data":{"groupid":"66"}}`},
		{"group.create", `{"code":200,"msg":"success","data":{"groupid":"66"}}`},
		{"user.register", `{"entities":[{"username":"error"}],"data":[]}`},
		{"call.raw", `{"status":"ok","data":{"successKeys":["errorKeys"],"errorKeys":{}}}`},
		{"", `{"data":null}`},
		{"group.update", `{"data":[]}`},
		{"group.update", `{"data":{}}`},
	} {
		if v := Classify(Evidence{Kind: c.kind, Status: 200, Body: []byte(c.body), Written: true}); v.Rule != "ok" || v.Failed != nil {
			t.Errorf("%s %s: %s %v", c.kind, c.body, v.Rule, failures(v))
		}
	}
	// A send is judged only when it is keyed by the targets that are known.
	for _, body := range []string{`{"data":{"66":"1028"}}`, `{"data":{}}`, `{"data":[]}`, `{"data":"success"}`, `{"data":{"U1":"1","u2":{"msg_id":"2"}}}`} {
		if v := Classify(Evidence{Kind: "message.send", Status: 200, Body: []byte(body), Targets: []string{"u1", "u2"}}); v.Rule != "ok" {
			t.Errorf("%s: %s", body, v.Rule)
		}
	}
}

func TestSummary(t *testing.T) {
	t.Parallel()
	body := func(names ...string) []byte {
		var data []map[string]any
		for _, name := range names {
			data = append(data, map[string]any{"user": name, "result": false, "reason": "user: " + name + " doesn't exist in group: 66"})
		}
		raw, err := json.Marshal(map[string]any{"data": data})
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	var many []string
	for i := range 60 {
		many = append(many, fmt.Sprintf("u%d", i))
	}
	two := Classify(Evidence{Kind: "group.mute_members", Status: 200, Body: body("u1", "u2")})
	if want := "2 refused inside a success [u1, u2]: user: u1 doesn't exist in group: 66"; two.Description != want {
		t.Errorf("description %q, want %q", two.Description, want)
	}
	sixty := Classify(Evidence{Kind: "group.mute_members", Status: 200, Body: body(many...)})
	if !strings.HasPrefix(sixty.Description, "60 refused inside a success [u0, u1, u2, u3, u4, …]: ") || len(sixty.Failed) != 60 {
		t.Errorf("description %q", sixty.Description)
	}
	if a, b := Normalise(two.Description), Normalise(sixty.Description); a != b {
		t.Errorf("two causes: %q and %q", a, b)
	}
}

// TestComplaintInSuccess: a 2xx with the body of an error is judged by its words.
func TestComplaintInSuccess(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		kind, body, rule string
	}{
		{"group.add_members", `{"error":"forbidden_op","error_description":"user: u already in group: 1"}`, "already-member"},
		{"", `{"error":"reach_limit"}`, "rate-limit"},
		{"", `{"error":"","error_description":"from can't be empty"}`, "field-missing"},
		{"", `{"timestamp":1,"desc":"user not in group","duration":0}`, "not-member"},
		{"", `{"code":500,"msg":"what nobody knows"}`, "ok-but-error"},
		{"", `{"success":false,"message":"what nobody knows"}`, "ok-but-error"},
		{"", `{"error":"odd"}`, "ok-but-error"},
		{"", `{"error_description":"odd"}`, "ok-but-error"},
		{"", `{"error":{"code":"odd","message":"odd"}}`, "ok-but-error"},
		{"", `{"data":{},"msg":"odd"}`, "ok"},
		{"", `{"message":"odd"}`, "ok"},
		{"", `{"error_description":"success","data":{}}`, "ok"},
	} {
		v := Classify(Evidence{Kind: c.kind, Status: 200, Body: []byte(c.body)})
		if v.Rule != c.rule || v.Status != 200 || strings.Contains(v.Error, wordRefused) {
			t.Errorf("%s: %+v, want %s", c.body, v, c.rule)
		}
		if c.rule == "ok-but-error" && !v.OutcomeUnknown {
			t.Errorf("%s: the outcome is known", c.body)
		}
	}
}

// TestHiddenIsBounded: no answer can make much of little, or take a verdict apart.
func TestHiddenIsBounded(t *testing.T) {
	t.Parallel()
	for _, body := range []string{
		`{"data":[{"result":false,"user":{"a":1},"reason":["x"]}]}`,
		`{"data":[null,1,"x",[false],{"result":false}]}`,
		`{"data":{"errorKeys":{"k":null},"successKeys":null}}`,
		`{"data":{"NotExistFailed":[null,[],{}]}}`,
		`{"data":{"xFailed":{"a":{"b":"c"}}}}`,
		`{"data":{"result":false,"result":true}}`,
		`{"data":[` + strings.Repeat(`{"result":false},`, 5000) + `{"result":false}]}`,
		`{"data":{"result":false,"reason":"` + strings.Repeat("x", 5000) + `"}}`,
		`{"data":{"result":false,"reason":"the passwords are hunter2"}}`,
	} {
		v := Classify(Evidence{Kind: "group.mute_members", Status: 200, Body: []byte(body), Targets: []string{"a", "b"}})
		if len(v.Description) > DescriptionMax || strings.Contains(fmt.Sprintf("%+v", v), "hunter") {
			t.Errorf("%.80s: %.200v", body, v)
		}
		for _, f := range v.Failed {
			if len(f.Target) > ErrorMax || len(f.Reason) > DescriptionMax || !f.Class.Valid() {
				t.Errorf("%.80s: %.200v", body, f)
			}
		}
	}
}
