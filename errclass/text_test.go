package errclass

import (
	"bytes"
	"encoding/json"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestCanonical(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"":                                   "",
		"-":                                  "",
		"forbidden_op":                       "forbidden_op",
		"Bad Request":                        "bad_request",
		"BAD_REQUEST":                        "bad_request",
		" bad-request. ":                     "bad_request",
		"service open exception":             "service_open",
		"IllegalArgumentException":           "illegal_argument",
		"java.lang.IllegalArgumentException": "illegal_argument",
		"RestGroupFeignException":            "rest_group_feign",
		"JSONParse":                          "json_parse",
		"json_parse":                         "json_parse",
		"OAuth2Problem":                      "o_auth2_problem",
		"14007":                              "14007",
		"exception":                          "exception",
		"Not Found.":                         "not_found",
		"not allowed. Ask v1.2":              "not_allowed_ask_v1_2",
	} {
		if got := canonical(in); got != want {
			t.Errorf("canonical(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestPattern(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		fragment, text string
		want           bool
	}{
		{"b", "abc", true},
		{"B", "abc", true},
		{"a*c", "abc", true},
		{"c*a", "abc", false},
		{"a*a", "a", false},
		{"^a", "abc", true},
		{"^b", "abc", false},
		{"c$", "abc", true},
		{"b$", "abc", false},
		{"^abc$", "abc", true},
		{"^ab$", "abc", false},
		{"^:", ": no word", true},
		{"^:", "word: text", false},
		{"forbidden_op:$", "forbidden_op:", true},
		{"forbidden_op:$", "forbidden_op: text", false},
		{"^a*c$", "abcc", true},
		{"^a*b*c$", "ac", false},
		{"x  ’s", "x 's", true},
		{"ab*ba", "aba", false},
	} {
		if got := compile(c.fragment).match(c.text); got != c.want {
			t.Errorf("%q in %q: %v", c.fragment, c.text, got)
		}
	}
}

func TestDropBrackets(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"users [a,b] are [c]!": "users [] are []!",
		"[a":                   "[a",
		"a] [b]":               "a] []",
		"none":                 "none",
	} {
		if got := dropBrackets(in); got != want {
			t.Errorf("dropBrackets(%q) = %q, want %q", in, got, want)
		}
	}
	// A name can't pose as a message.
	v := Classify(Evidence{Kind: "user.register", Status: 400, Body: errorBody("illegal_argument", "username [value requires that property named username be unique] is not legal", "")})
	if v.Class != ClassPermanent {
		t.Errorf("a name decided: %s", v.Rule)
	}
}

func TestDropNames(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"can not join this group, reason:user: u1 already in group: 4065": "can not join this group, reason:user already in group",
		"users [] are not members of this group!":                         "users are not members of this group!",
		"username muted does not exist!":                                  "username does not exist!",
		"username unmuted.1 does not exist.":                              "username does not exist.",
		"reason:user: token_3 does not exist in group: full":              "reason:user does not exist in group: full",
		"user 'limit' is not in the group":                                "user is not in the group",
		"value of order-8812 exists":                                      "value of exists",
		"forbidden for url: https://a1.easemob.com/acme/shop":             "forbidden for url: https:///acme/shop",
		"value of reach_limit exists":                                     "value of exists",
		// Words that only look like names.
		"number of modifications has been reached":          "number of modifications has been reached",
		"user account is disabled":                          "user account is disabled",
		"user: not found":                                   "user: not found",
		"username already exists":                           "username already exists",
		"group owner cannot be muted":                       "group owner cannot be muted",
		"request is over 5kb":                               "request is over 5kb",
		"java.lang.x509exception: expired":                  "java.lang.x509exception: expired",
		"unauthorized":                                      "unauthorized",
		"'unauthorized'":                                    "'unauthorized'",
		"member list is full":                               "member list is full",
		"message send reach limit, wait 60 s... try later.": "message send reach limit, wait 60 s... try later.",
		"": "",
	} {
		if got := dropNames(text); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
	for _, r := range builtinRules() {
		for _, f := range r.Contains {
			if plain := strings.Trim(f, "^$"); !strings.Contains(plain, "*") && dropNames(plain) != plain && dropNames("is "+plain+" is") != "is "+plain+" is" {
				t.Errorf("rule %s looks for %q, which dropNames takes for a name", r.ID, f)
			}
		}
	}
}

func TestWhereTheTextIs(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ body, err, description string }{
		"usual":             {`{"error":"e","error_description":" d\n"}`, "e", "d"},
		"description first": {`{"error":"e","error_description":"d","desc":"x","message":"y","msg":"z"}`, "e", "d"},
		"desc":              {`{"desc":"d","message":"y"}`, "", "d"},
		"message":           {`{"error":"e","error_description":"","message":"d"}`, "e", "d"},
		"msg":               {`{"msg":"d"}`, "", "d"},
		"nulls":             {`{"error":null,"error_description":null,"desc":"d"}`, "", "d"},
		"numbers":           {`{"error":7,"error_description":1.5}`, "7", "1.5"},
		"object":            {`{"error":{"a":1}}`, `{"a":1}`, ""},
		"code":              {`{"error_code":14007}`, "14007", ""},
		"code beside error": {`{"error":"e","error_code":14007}`, "e", ""},
		"code zero":         {`{"error_code":0}`, "", ""},
		"dash":              {`{"error":"-","error_description":"d"}`, "", "d"},
		"other case":        {`{"Error":"e","Error_Description":"d"}`, "e", "d"},
		"twice":             {`{"error":"a","error":"e"}`, "e", ""},
		"byte order mark":   {"\xEF\xBB\xBF{\"error\":\"e\"}", "e", ""},
		"bad UTF-8":         {"{\"error\":\"e\xff\"}", "e\uFFFD", ""},
		"control":           {`{"error":"e\u001b[31m","error_description":"a\u0000b\nc"}`, "e [31m", "a b c"},
		"html":              {"<html><head><style>p{}</style><title>502 &amp; more</title></head><!-- x --><SCRIPT>1</script><body>bad\n gateway", "", "502 & more bad gateway"},
		"open tag":          {"<html", "", ""},
		"plain text":        {"bad gateway", "", "bad gateway"},
		"empty":             {" \n", "", ""},
		"array":             {`["x"]`, "", `["x"]`},
	} {
		v := Classify(Evidence{Status: 400, Body: []byte(c.body)})
		if v.Error != c.err || v.Description != c.description {
			t.Errorf("%s: error %q description %q, want %q and %q", name, v.Error, v.Description, c.err, c.description)
		}
	}
}

func TestSecretsAreCut(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"the same user u7 has a different password, the passwords are hunter2,hunter3",
		"The Passwords ARE hunter2",
		`Unexpected character at [Source: (String)"{"newpassword":"hunter2"}"; line: 1, column: 2]`,
	} {
		for _, body := range [][]byte{errorBody("illegal_argument", text, ""), []byte(text)} {
			v := Classify(Evidence{Status: 400, Body: body})
			if strings.Contains(v.Description, "hunter") || !strings.Contains(v.Description, "[hidden]") {
				t.Errorf("description %q", v.Description)
			}
		}
	}
}

func TestBounds(t *testing.T) {
	t.Parallel()
	for _, filler := range []string{"x", "环", "\u00a0", "\x00", "[", "'", "<", "* "} {
		long := strings.Repeat(filler, 100_000)
		for _, body := range [][]byte{errorBody(long, long, ""), []byte(long), []byte("<" + long)} {
			v := Classify(Evidence{Status: 403, Body: body})
			if len(v.Error) > ErrorMax || len(v.Description) > DescriptionMax || !utf8.ValidString(v.Error) || !utf8.ValidString(v.Description) {
				t.Errorf("%q: error of %d, description of %d bytes", filler, len(v.Error), len(v.Description))
			}
		}
		if n := Normalise(long); len(n) > NormalisedMax || !utf8.ValidString(n) {
			t.Errorf("%q: normalised to %d bytes", filler, len(n))
		}
	}
	// A big answer is an answer still; it is not decoded.
	big := []byte(`{"entities":["` + strings.Repeat("x", 1<<20) + `"],"error":"forbidden_op"}`)
	if v := Classify(Evidence{Status: 200, Body: big}); v.Rule != "ok" {
		t.Errorf("big body: %s", v.Rule)
	}
	deep := []byte(strings.Repeat(`{"error":`, 20_000))
	if v := Classify(Evidence{Status: 400, Body: deep}); v.Rule != "bad-request" {
		t.Errorf("deep body: %s", v.Rule)
	}
}

func TestTextIn(t *testing.T) {
	t.Parallel()
	both := Text{En: "e", Zh: "z"}
	for lang, want := range map[string]string{"": "e", "en": "e", "de": "e", "zh": "z", "ZH": "z", "zh-CN": "z", "zh_CN.UTF-8": "z", "zhx": "e", "C": "e"} {
		if got := both.In(lang); got != want {
			t.Errorf("In(%q) = %q", lang, got)
		}
	}
	if (Text{En: "e"}).In("zh") != "e" || (Text{Zh: "z"}).In("en") != "z" || (Text{}).In("zh") != "" {
		t.Error("a missing language is not replaced")
	}
}

func TestValid(t *testing.T) {
	t.Parallel()
	for _, v := range Transports() {
		if v == TransportNone || !v.Valid() {
			t.Errorf("transport %q", v)
		}
	}
	if !TransportNone.Valid() || Transport("x").Valid() || Class("").Valid() || Scope("").Valid() || Delay("x").Valid() || BodyForm("x").Valid() {
		t.Error("validity")
	}
}

func TestDelays(t *testing.T) {
	t.Parallel()
	type bounds struct {
		low, high time.Duration
		spends    bool
	}
	for d, want := range map[Delay]bounds{
		DelayNone:    {0, 0, false},
		DelayToken:   {0, 0, false},
		DelayRate:    {time.Second, 2 * time.Second, false},
		DelayMinute:  {10 * time.Second, time.Minute, false},
		DelayBackoff: {0, 8 * time.Second, true},
		Delay("odd"): {0, 8 * time.Second, true},
	} {
		const third = 3
		if got := d.Wait(third, func() float64 { return 0 }); got != want.low {
			t.Errorf("%q at least %s, want %s", d, got, want.low)
		}
		if got := d.Wait(third, func() float64 { return 1 }); got != want.high {
			t.Errorf("%q at most %s, want %s", d, got, want.high)
		}
		if d.SpendsAttempt() != want.spends {
			t.Errorf("%q spends an attempt: %v", d, d.SpendsAttempt())
		}
	}
}

func TestBackoff(t *testing.T) {
	t.Parallel()
	most := func() float64 { return 1 }
	for attempt, want := range map[int]time.Duration{
		math.MinInt: 2 * time.Second, 0: 2 * time.Second, 1: 2 * time.Second, 2: 4 * time.Second, 5: 32 * time.Second,
		9: 512 * time.Second, 10: 10 * time.Minute, 11: 10 * time.Minute, 100: 10 * time.Minute, math.MaxInt: 10 * time.Minute,
	} {
		if got := Backoff(attempt, BackoffBase, BackoffMax, most); got != want {
			t.Errorf("attempt %d: %s, want %s", attempt, got, want)
		}
		if got := Backoff(attempt, BackoffBase, BackoffMax, nil); got != want {
			t.Errorf("attempt %d without jitter: %s, want %s", attempt, got, want)
		}
		if got := Backoff(attempt, BackoffBase, BackoffMax, func() float64 { return 0.5 }); got != want/2 {
			t.Errorf("attempt %d: half is %s", attempt, got)
		}
	}
	odd := []float64{-1, 0, 0.5, math.Nextafter(1, 0), 1, 2, math.Inf(1), math.Inf(-1), math.NaN()}
	spans := []time.Duration{math.MinInt64, -1, 0, 1, 3, time.Second, math.MaxInt64/2 + 1, math.MaxInt64}
	for _, r := range odd {
		for _, base := range spans {
			for _, limit := range spans {
				for _, attempt := range []int{math.MinInt, 1, 63, 64, 65, math.MaxInt} {
					got := Backoff(attempt, base, limit, func() float64 { return r })
					if got < 0 || got > max(limit, 0) {
						t.Fatalf("attempt %d base %d limit %d rnd %v: %d", attempt, base, limit, r, got)
					}
				}
			}
		}
	}
	// Full jitter: the whole span is used.
	rng := rand.New(rand.NewPCG(1, 2))
	var low, high int
	for range 1000 {
		switch d := Backoff(3, time.Second, time.Minute, rng.Float64); {
		case d < time.Second:
			low++
		case d > 3*time.Second:
			high++
		}
	}
	if low < 150 || high < 150 {
		t.Errorf("of 1000 waits %d are short and %d long", low, high)
	}
}

func FuzzClassify(f *testing.F) {
	for _, c := range goldenCases(f) {
		e := c.evidence()
		f.Add(e.Kind, e.Status, e.Body, "", e.Written, e.FreshToken, strings.Join(c.Targets, ","))
	}
	f.Add("message.send", 200, []byte(`{"data":`), "timeout", true, false, "u1,u2")
	f.Add("", 0, []byte("\xEF\xBB\xBF<!--"), "pigeon", false, true, "")
	f.Fuzz(func(t *testing.T, kind string, status int, body []byte, transport string, written, fresh bool, targets string) {
		e := Evidence{Kind: kind, Status: status, Body: body, Transport: Transport(transport), Written: written, FreshToken: fresh}
		if targets != "" {
			e.Targets = strings.Split(targets, ",")
		}
		v := Classify(e)
		if !reflect.DeepEqual(v, Classify(e)) {
			t.Fatal("two verdicts for one evidence")
		}
		if !v.Class.Valid() || !v.Scope.Valid() || !v.Delay.Valid() || v.Rule == "" || v.Why.In("en") == "" || v.Advice.In("zh") == "" {
			t.Fatalf("no full verdict: %+v", v)
		}
		if (v.Class == ClassRetryable) != (v.Delay != DelayNone) || v.Scope == ScopeApp && v.Class != ClassNeedsHuman {
			t.Fatalf("verdict in conflict with itself: %+v", v)
		}
		if v.Mend != MendNone && (len(e.Targets) < 2 || v.OutcomeUnknown) || v.Named != nil && v.Mend != MendLeaveOut || len(v.Failed) > 0 && v.Mend != MendNone {
			t.Fatalf("mend: %+v", v)
		}
		for _, name := range v.Named {
			if !slices.Contains(e.Targets, name) {
				t.Fatalf("%q is no target: %+v", name, v)
			}
		}
		for _, f := range v.Failed {
			if f.Class == ClassSuccess || f.Gravity() > v.Gravity() || f.Verdict.Failed != nil || status/100 != 2 || !utf8.ValidString(f.Target+f.Reason) {
				t.Fatalf("failure %+v in %+v", f, v)
			}
		}
		if v.OutcomeUnknown && !written && status == 0 {
			t.Fatalf("nothing was written: %+v", v)
		}
		if len(v.Error) > ErrorMax || len(v.Description) > DescriptionMax || !utf8.ValidString(v.Error) || !utf8.ValidString(v.Description) || strings.ContainsAny(v.Error+v.Description, "\n\r\x00\x1b") {
			t.Fatalf("error %q description %q", v.Error, v.Description)
		}
		if v.Class == ClassSuccess && v.Rule != "ok-no-content" && (!json.Valid(trimmed(body)) && !bytes.HasSuffix(trimmed(body), []byte("}")) && len(body) <= bodyMax || e.Transport != "") {
			t.Fatalf("success without proof: %+v", v)
		}
	})
}

func trimmed(body []byte) []byte {
	return []byte(strings.TrimSpace(strings.TrimPrefix(string(body), "\xEF\xBB\xBF")))
}

func BenchmarkClassify(b *testing.B) {
	for name, e := range map[string]Evidence{
		"ok":        {Kind: "message.send", Status: 200, Body: []byte(`{"path":"/messages/users","uri":"https://a1.easemob.com/acme/shop/messages/users","timestamp":1657529588473,"organization":"acme","application":"09ebbf8b","action":"post","data":{"u1":"1028442084794698104"},"duration":8,"applicationName":"shop"}`)},
		"member":    {Kind: "group.remove_members", Status: 403, Body: errorBody("forbidden_op", "users [u1, u2] are not members of this group!", "x")},
		"last":      {Kind: "message.send", Status: 599, Body: errorBody("odd", "nothing that anyone knows", "x")},
		"html":      {Kind: "message.send", Status: 502, Body: []byte("<html><head><title>502 Bad Gateway</title></head><body><center><h1>502 Bad Gateway</h1></center></body></html>")},
		"transport": {Kind: "message.send", Transport: TransportTimeout},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Classify(e)
			}
		})
	}
}
