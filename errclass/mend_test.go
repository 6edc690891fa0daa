package errclass

import (
	"slices"
	"testing"
)

func TestNamesIn(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		description string
		targets     []string
		want        []string
	}{
		{"username bob doesn't exist!", []string{"alice", "bob", "bobby"}, []string{"bob"}},
		{"username BOB doesn't exist!", []string{"Bob"}, []string{"Bob"}},
		{"users [a.b, c-d] are not members", []string{"a", "a.b", "b", "c", "c-d", "d"}, []string{"a.b", "c-d"}},
		{"no such user: a.b.", []string{"a.b", "a"}, []string{"a.b"}},
		{"user: group already in group: 66", []string{"group", "already", "in", "66"}, []string{"group", "66"}},
		{"users [user, not] are not members of this group!", []string{"user", "not", "members", "this"}, []string{"user", "not"}},
		{"'members' is odd", []string{"members"}, []string{"members"}},
		{"value of u_1 exists", []string{"u", "u_1", "1"}, []string{"u_1"}},
		{"some of [foo] are not valid fields", []string{"foo", "fields"}, []string{"foo"}},
		{"nobody is named", []string{"u1", ""}, nil},
		{"用户zhang3不存在", []string{"zhang3"}, []string{"zhang3"}},
	} {
		if got := namesIn(c.description, c.targets); !slices.Equal(got, c.want) {
			t.Errorf("%q for %q: %q, want %q", c.description, c.targets, got, c.want)
		}
	}
}

// TestMend: mending is for calls with several targets only.
func TestMend(t *testing.T) {
	t.Parallel()
	unknown := errorBody("resource_not_found", "username bob doesn't exist!", "")
	for _, c := range []struct {
		name    string
		e       Evidence
		mend    Mend
		named   []string
		class   Class
		without Class // with one target or none
	}{
		{"unknown user", Evidence{Kind: "group.add_members", Status: 404, Body: unknown}, MendLeaveOut, []string{"bob"}, ClassPermanent, ClassPermanent},
		{"taken name", Evidence{Kind: "user.register", Status: 400, Body: errorBody("duplicate_unique_property_exists", "property named username be unique, value of bob exists", "")}, MendLeaveOut, []string{"bob"}, ClassSuccess, ClassSuccess},
		{"taken, nobody named", Evidence{Kind: "user.register", Status: 400, Body: errorBody("duplicate_unique_property_exists", "", "")}, MendLeaveOut, nil, ClassSuccess, ClassSuccess},
		{"member", Evidence{Kind: "group.add_members", Status: 403, Body: errorBody("forbidden_op", "user: bob already in group: 6", "")}, MendLeaveOut, []string{"bob"}, ClassSuccess, ClassSuccess},
		{"too large", Evidence{Kind: "group.add_members", Status: 413}, MendSplit, nil, ClassPermanent, ClassPermanent},
		{"too many", Evidence{Kind: "group.add_members", Status: 400, Body: errorBody("invalid_parameter", "usernames size is more than max limit : 60", "")}, MendSplit, nil, ClassPermanent, ClassPermanent},
		{"content too large", Evidence{Kind: "message.send", Status: 400, Body: errorBody("message_send_error", "message is too large", "")}, MendNone, nil, ClassPermanent, ClassPermanent},
		{"rate", Evidence{Kind: "message.send", Status: 429}, MendNone, nil, ClassRetryable, ClassRetryable},
		{"server", Evidence{Kind: "message.send", Status: 500}, MendNone, nil, ClassRetryable, ClassRetryable},
		{"no group", Evidence{Kind: "group.add_members", Status: 404, Body: errorBody("resource_not_found", "grpID 6 does not exist!", "")}, MendNone, nil, ClassPermanent, ClassPermanent},
	} {
		for _, targets := range [][]string{nil, {"bob"}} {
			c.e.Targets = targets
			if v := Classify(c.e); v.Mend != MendNone || v.Named != nil || v.Class != c.without {
				t.Errorf("%s for %v: %+v", c.name, targets, v)
			}
		}
		c.e.Targets = []string{"alice", "bob"}
		if v := Classify(c.e); v.Mend != c.mend || !slices.Equal(v.Named, c.named) || v.Class != c.class {
			t.Errorf("%s: mend %q %v class %s, want %q %v %s", c.name, v.Mend, v.Named, v.Class, c.mend, c.named, c.class)
		}
	}
}

// TestMendIsSafe: what may be repeated by itself must be known not to have been done.
func TestMendIsSafe(t *testing.T) {
	t.Parallel()
	for _, r := range Default().Rules() {
		if r.Mend != MendNone && (r.OutcomeUnknown || r.Class == ClassRetryable || r.Scope == ScopeApp) {
			t.Errorf("rule %q may be mended, and is %s/%s, outcome unknown %v", r.ID, r.Class, r.Scope, r.OutcomeUnknown)
		}
	}
}
