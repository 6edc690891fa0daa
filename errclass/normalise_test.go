package errclass

import (
	"strings"
	"testing"
	"unicode/utf8"
)

// TestNormalise: all texts of a row are the same fault, and give the text in front.
func TestNormalise(t *testing.T) {
	t.Parallel()
	rows := map[string][]string{
		"":  {"", " \n", "!?.", "()"},
		"*": {"12", "8be024f0-e978-11e8-b697-5d598d5f8402", "acme#shop", "https://a1.easemob.com/x", "[u1]", "a@b.c", "u1, u2,u3"},
		"users * are not members of this group": {
			"users [a,b] are not members of this group!", "users [x] are not members of this group!", "users [] are not members of this group",
			"USERS [A]  ARE NOT MEMBERS OF THIS GROUP!\n", "users u1,u2 are not members of this group!", "users zhang are not members of this group !",
		},
		"user: * already in group: *": {
			"user: u1 already in group: 4065", "user: zhang already in group: 4065\n", "user:zhang.san already in group:4065", "user： li already in group： 281475", "user: 7 already in group: abc",
		},
		"can not join this group, reason: user: * already in group: *": {
			"can not join this group, reason:user: hxtest1 already in group: 40659491815425\n", "can not join this group, reason:user:li already in group:1",
		},
		"can not join this group, reason: user * has joined too many groups/chatroom": {
			"can not join this group, reason：user zhang has joined too many groups/chatroom!", "can not join this group, reason:user u1 has joined too many groups/chatroom!",
		},
		"grpid * does not exist":            {"grpID 123 does not exist!", "grpID imautotest-51 does not exist!", "grpID abc does not exist!,"},
		"username * doesn't exist":          {"username zhang3 doesn't exist!", "username zhang doesn’t exist!", "username ZHANG doesn't exist", "username [zhang] doesn't exist!"},
		"user * not found":                  {"User null not found", "user u1 not found", "User zhang not found."},
		"user not found":                    {"user not found", "User not found."},
		"user not in group":                 {"user not in group", "user not in group."},
		"do not find this group: *":         {"do not find this group:4065", "do not find this group: abc"},
		"user: * is not admin of group: *":  {"user:bob is not admin of group:4065", "user:imautotest-05 is not admin of group:82423556669441"},
		"user: * doesn't exist in group: *": {"user: zhang doesn't exist in group: 4065", "user: u2 doesn’t exist in group: 66"},
		"group member * doesn't exist":      {"group member username1 doesn’t exist", "group member zhang doesn't exist"},
		"attempt to adding new block * for user *, but user * not found": {
			"attempt to adding new block[user20] for user[user1],but user[user20] not found.", "attempt to adding new block[a] for user[b],but user[a] not found.",
		},
		"application * entity user requires that property named username be unique, value of * exists": {
			"Application null Entity user requires that property named username be unique, value of hxtest1 exists",
			"Application 8be024f0-e978-11e8-b697-5d598d5f8402 Entity user requires that property named username be unique, value of zhang exists",
		},
		"could not find application for * from uri: *": {
			"Could not find application for hx/hxdeo2 from URI: hx/hxdeo2/token", "Could not find application for acme/shop from URI: acme/shop/users/u1", "Could not find application for acme/{app_name} from URI: acme/{app_name}/users",
		},
		"subject does not have permission *": {
			"Subject does not have permission [applications:get:0c6def40-6b14-11e9-a989-2f26c9bbeefa:/users]", "Subject does not have permission [applications:post:x:/users/y]",
		},
		"appkey: * has create too many groups":              {"appKey:XX#XX has create too many groups!", "appKey:acme#shop has create too many groups!"},
		"* is violation, please change it":                  {"XX is violation, please change it.", "My Dear Friends is violation, please change it."},
		"group announcement is violation, please change it": {"group announcement is violation, please change it."},
		"removemute member size more than max limit: *":     {"removeMute member size more than max limit :  60", "removeMute member size more than max limit : 100"},
		"the * already exists":                              {"the user3 already exists", "the zhang already exists"},
		"illegal arguments: appkey: *, time: *, maybe chat message history is expired or unstored": {
			"illegal arguments: appkey: easemob-demo#chatdemoui, time: 2018020918, maybe chat message history is expired or unstored",
		},
		// What says which fault it is stays.
		"client_id does not match":                                     {"client_id does not match", "“client_id does not match”", `"client_id does not match"`},
		"client_secret does not match":                                 {"“client_secret does not match”"},
		"param from can't be empty":                                    {"param from can't be empty", "param from can’t be empty"},
		"param to can't be empty":                                      {"param to can't be empty"},
		"owner must be provided":                                       {"owner must be provided"},
		"unable to authenticate oauth":                                 {"Unable to authenticate (OAuth)"},
		"user contact number exceed limit":                             {"user contact number exceed limit"},
		"target_type can only be * or * or *":                          {"target_type can only be 'users' or 'chatgroups' or 'chatrooms'"},
		"open registration doesn't allow, so register user need token": {"Open registration doesn't allow, so register user need token", "Open registration doesn't allow, so register user need token,"},
	}
	for want, texts := range rows {
		for _, text := range texts {
			got := Normalise(text)
			if got != want {
				t.Errorf("Normalise(%q)\n got %q\nwant %q", text, got, want)
			}
			if again := Normalise(got); again != got {
				t.Errorf("Normalise(%q) = %q, again %q", text, got, again)
			}
		}
	}
}

// TestNormaliseGroups: ids of any shape don't split a cause.
func TestNormaliseGroups(t *testing.T) {
	t.Parallel()
	names := []string{"u1", "zhang", "zhang_san", "li-si", "wang.wu", "42", "a1b2-c3", "already", "not", "user", "exists"}
	for _, form := range []string{
		"users [%] are not members of this group!",
		"grpID 1% does not exist!",
		"username [%] is not legal",
		"properties key '%' is exceeding maximum limit 128",
	} {
		want := Normalise(strings.ReplaceAll(form, "%", "someone"))
		for _, name := range names {
			if got := Normalise(strings.ReplaceAll(form, "%", name)); got != want {
				t.Errorf("%q with %q: %q, want %q", form, name, got, want)
			}
		}
	}
	// Different faults stay apart.
	seen := map[string]string{}
	for _, text := range []string{
		"user not in group", "group not found", "user not found", "message is too large", "param body can't be empty", "param to can't be empty",
		"thread not open.", "thread not found.", "thread not nested.", "Id cannot be null.", "Type cannot be null.",
		"users [a] are not members of this group!", "user: a doesn't exist in group: 1", "grpID 1 does not exist!", "username a doesn't exist!",
	} {
		n := Normalise(text)
		if other, ok := seen[n]; ok {
			t.Errorf("%q and %q are one cause: %q", text, other, n)
		}
		seen[n] = text
	}
}

func FuzzNormalise(f *testing.F) {
	for _, c := range goldenCases(f) {
		f.Add(c.Description)
	}
	for _, s := range []string{"a [b {c <d \"e 'f", "]}>\"'", "it's 'it's' 's", "x is violation is violation", "user: user: user: a has", "* , * , *", "....", "user: user.\xce\x17.: ueY: a has", "a.:.b", "\"\"a\"\"", "İstanbul ẞ", "a\u200bb", "：：", strings.Repeat("user a has ", 60), "user " + strings.Repeat("x", 300)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n := Normalise(s)
		if len(n) > NormalisedMax || !utf8.ValidString(n) {
			t.Fatalf("Normalise(%q) = %q", s, n)
		}
		if again := Normalise(n); again != n {
			t.Fatalf("Normalise(%q) = %q, again %q", s, n, again)
		}
		if strings.ContainsAny(n, "[]{}\"\n") || strings.Contains(n, "  ") || strings.TrimSpace(n) != n {
			t.Fatalf("Normalise(%q) = %q", s, n)
		}
	})
}

func BenchmarkNormalise(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		Normalise("can not join this group, reason:user: hxtest1 already in group: 40659491815425\n")
	}
}
