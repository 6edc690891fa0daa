package alert

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/imqueue/emq/errclass"
	"github.com/imqueue/emq/tasks"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestFeishuSignature is the vendor's algorithm on values that are known from elsewhere.
func TestFeishuSignature(t *testing.T) {
	t.Parallel()
	if got := sign("1599360473\ndemo", ""); got != "l1N0gAcBjdwBvGm1xMjOF0XSyaLRpR7tuO5dHfhAYc8=" {
		t.Error(got)
	}
}

var sampleTime = time.Date(2026, 11, 27, 8, 0, 0, 0, time.UTC)

func sampleNotice() Notice {
	return Notice{
		ID: "cause:shop:user-not-found-1f0a9c3e:new:1795766400000", Fingerprint: "cause:shop:user-not-found-1f0a9c3e", Event: EventNew,
		Severity: SeverityWarning, Subject: SubjectCause, App: "shop", Cause: "user-not-found-1f0a9c3e", Count: 1203,
		Title:  errclass.Text{En: "1203 dead letters of one cause: the user does not exist", Zh: "同一原因的死信 1203 条：用户不存在"},
		Facts:  []Fact{fact("cause", "原因", "user-not-found-1f0a9c3e"), fact("kind", "类型", "message.send")},
		Advice: errclass.Text{En: "Register the user, then resend.", Zh: "注册该用户后重发。"}, Command: "emq dlq list --app shop --cause user-not-found-1f0a9c3e",
		Link: "https://emq.example.com/causes/shop/user-not-found-1f0a9c3e", Since: sampleTime.Add(-time.Minute), At: sampleTime,
	}
}

const (
	canarySecret = "SECcanary-signing-secret"
	canaryKey    = "canary-key-of-the-hook-693a91f6"
)

// hmacOf is computed apart from the code under test.
func hmacOf(key, text string) string {
	mac := hmac.New(sha256.New, []byte(key))
	_, _ = io.WriteString(mac, text)
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// vendors says for each type of channel what its address looks like, how the vendor checks
// a request, what it answers when all is well, and other answers of its: whether a request
// that got one may be made again.
var vendors = map[string]struct {
	path   string
	secret string
	check  func(t *testing.T, r *http.Request, body []byte)
	ok     string
	bad    []answer
}{
	"dingtalk": {
		path: "/robot/send?access_token=" + canaryKey, secret: canarySecret, ok: `{"errcode":0,"errmsg":"ok"}`,
		check: func(t *testing.T, r *http.Request, body []byte) {
			q := r.URL.Query()
			if q.Get("access_token") != canaryKey || q.Get("timestamp") != fmt.Sprint(sampleTime.UnixMilli()) {
				t.Errorf("query %v", q)
			}
			if want := hmacOf(canarySecret, q.Get("timestamp")+"\n"+canarySecret); q.Get("sign") != want {
				t.Errorf("sign %s, want %s", q.Get("sign"), want)
			}
			var m struct {
				MsgType string `json:"msgtype"`
				Text    struct {
					Content string `json:"content"`
				} `json:"text"`
				At struct {
					IsAtAll bool `json:"isAtAll"`
				} `json:"at"`
			}
			strict(t, body, &m)
			if m.MsgType != "text" || m.At.IsAtAll {
				t.Errorf("message %+v", m)
			}
		},
		bad: []answer{{200, `{"errcode":310000,"errmsg":"sign not match"}`, false}, {200, `{"errcode":130101,"errmsg":"send too fast"}`, true}, {200, `{"errcode":-1,"errmsg":"system busy"}`, true}, {200, "<html>", false}, {502, "", true}},
	},
	"feishu": {
		path: "/open-apis/bot/v2/hook/" + canaryKey, secret: canarySecret, ok: `{"code":0,"msg":"success","data":{}}`,
		check: func(t *testing.T, _ *http.Request, body []byte) {
			type text struct {
				Tag     string `json:"tag"`
				Content string `json:"content"`
			}
			var m struct {
				Timestamp string `json:"timestamp"`
				Sign      string `json:"sign"`
				MsgType   string `json:"msg_type"`
				Card      struct {
					Header struct {
						Title    text   `json:"title"`
						Template string `json:"template"`
					} `json:"header"`
					Elements []struct {
						Tag  string `json:"tag"`
						Text text   `json:"text"`
					} `json:"elements"`
				} `json:"card"`
			}
			strict(t, body, &m)
			if want := hmacOf(m.Timestamp+"\n"+canarySecret, ""); m.Sign != want || m.Timestamp != fmt.Sprint(sampleTime.Unix()) {
				t.Errorf("sign %s at %s, want %s", m.Sign, m.Timestamp, want)
			}
			if m.MsgType != "interactive" || m.Card.Header.Title.Tag != "plain_text" || len(m.Card.Elements) != 1 || m.Card.Elements[0].Text.Tag != "plain_text" {
				t.Errorf("message %+v", m)
			}
			if len(body) > 20_000 {
				t.Errorf("%d bytes", len(body))
			}
		},
		bad: []answer{{200, `{"code":19021,"msg":"sign match fail or timestamp is not within one hour from current time"}`, false}, {200, `{"code":11232,"msg":"frequency limited"}`, true}, {400, `{"code":9499,"msg":"Bad Request"}`, false}},
	},
	"wecom": {
		path: "/cgi-bin/webhook/send?key=" + canaryKey, ok: `{"errcode":0,"errmsg":"ok"}`,
		check: func(t *testing.T, r *http.Request, body []byte) {
			var m struct {
				MsgType string `json:"msgtype"`
				Text    struct {
					Content string `json:"content"`
				} `json:"text"`
			}
			strict(t, body, &m)
			if r.URL.Query().Get("key") != canaryKey || m.MsgType != "text" || len(m.Text.Content) > 2048 || strings.Contains(m.Text.Content, "<@") || bytes.Contains(body, []byte(`\u`)) {
				t.Errorf("message %+v", m)
			}
		},
		bad: []answer{{200, `{"errcode":93000,"errmsg":"invalid webhook url"}`, false}, {200, `{"errcode":45009,"errmsg":"api freq out of limit"}`, true}},
	},
	"slack": {
		path: "/services/T00000000/B00000000/" + canaryKey, ok: "ok",
		check: func(t *testing.T, _ *http.Request, body []byte) {
			type text struct {
				Type  string `json:"type"`
				Text  string `json:"text"`
				Emoji bool   `json:"emoji"`
			}
			var m struct {
				Text   string `json:"text"`
				Blocks []struct {
					Type string `json:"type"`
					Text text   `json:"text"`
				} `json:"blocks"`
			}
			strict(t, body, &m)
			if len(m.Blocks) != 2 || m.Blocks[0].Type != "header" || m.Blocks[1].Type != "section" {
				t.Fatalf("message %+v", m)
			}
			for i, most := range []int{150, 3000} {
				if b := m.Blocks[i].Text; b.Type != "plain_text" || b.Text == "" || len([]rune(b.Text)) > most {
					t.Errorf("block %+v", b)
				}
			}
			if strings.ContainsAny(m.Text, "<>") {
				t.Errorf("markup in %q", m.Text)
			}
		},
		bad: []answer{{403, "action_prohibited", false}, {404, "no_service", false}, {410, "channel_is_archived", false}, {429, "", true}, {500, "rollup_error", true}, {200, "<html>log in</html>", false}},
	},
	"webhook": {
		path: "/hook/" + canaryKey, secret: "whsec_" + base64.StdEncoding.EncodeToString([]byte(canarySecret)), ok: "",
		check: func(t *testing.T, r *http.Request, body []byte) {
			id, at := r.Header.Get("webhook-id"), r.Header.Get("webhook-timestamp")
			if want := "v1," + hmacOf(canarySecret, id+"."+at+"."+string(body)); r.Header.Get("webhook-signature") != want {
				t.Errorf("signature %s, want %s", r.Header.Get("webhook-signature"), want)
			}
			var m struct {
				Type      string    `json:"type"`
				Timestamp time.Time `json:"timestamp"`
				Data      Notice    `json:"data"`
			}
			strict(t, body, &m)
			if m.Type != "emq.alert.new" || m.Data.ID != id || id == "" || m.Data.Title.Zh == "" {
				t.Errorf("event %+v", m)
			}
		},
		bad: []answer{{400, "no", false}, {401, "", false}, {408, "", true}, {302, "", false}},
	},
	"alertmanager": {
		path: "", ok: "",
		check: func(t *testing.T, r *http.Request, body []byte) {
			var list []struct {
				Labels       map[string]string `json:"labels"`
				Annotations  map[string]string `json:"annotations"`
				StartsAt     time.Time         `json:"startsAt"`
				EndsAt       time.Time         `json:"endsAt"`
				GeneratorURL string            `json:"generatorURL"`
			}
			strict(t, body, &list)
			if r.URL.Path != "/api/v2/alerts" || len(list) != 1 {
				t.Fatalf("%s: %s", r.URL.Path, body)
			}
			a := list[0]
			if a.Labels["alertname"] != "emq_cause" || a.Labels["app"] != "shop" || a.Annotations["summary"] == "" || !a.EndsAt.After(a.StartsAt) || !a.EndsAt.After(sampleTime) {
				t.Errorf("alert %+v", a)
			}
		},
		bad: []answer{{400, `"bad label"`, false}, {503, "", true}},
	},
}

type answer struct {
	status int
	body   string
	again  bool
}

func strict(t *testing.T, body []byte, to any) {
	t.Helper()
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(to); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
}

func vendorChannel(t *testing.T, kind, lang, base string) *Channel {
	t.Helper()
	c, err := NewChannel(ChannelConfig{Name: "ops", Type: kind, URL: base + vendors[kind].path, Secret: vendors[kind].secret, Lang: lang})
	must(t, err)
	c.now = func() time.Time { return sampleTime }
	return c
}

// TestRequests has each vendor check what it gets, in both languages, and holds it beside
// testdata.
func TestRequests(t *testing.T) {
	t.Parallel()
	for _, kind := range Types() {
		for _, lang := range []string{"en", "zh"} {
			t.Run(kind+" "+lang, func(t *testing.T) {
				t.Parallel()
				vendor := vendors[kind]
				var said string
				server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
					body, _ := io.ReadAll(r.Body)
					if r.Method != http.MethodPost || !strings.HasPrefix(r.Header.Get("Content-Type"), "application/json") {
						t.Errorf("%s, %s", r.Method, r.Header.Get("Content-Type"))
					}
					vendor.check(t, r, body)
					said = said + r.URL.RequestURI() + "\n"
					for _, name := range []string{"Webhook-Id", "Webhook-Timestamp", "Webhook-Signature"} {
						if value := r.Header.Get(name); value != "" {
							said += name + ": " + value + "\n"
						}
					}
					var indented bytes.Buffer
					_ = json.Indent(&indented, body, "", "  ")
					said += indented.String() + "\n"
					_, _ = io.WriteString(rw, vendor.ok)
				}))
				defer server.Close()
				must(t, vendorChannel(t, kind, lang, server.URL).Send(t.Context(), sampleNotice()))
				golden := filepath.Join("testdata", kind+"."+lang+".txt")
				if *update {
					must(t, os.WriteFile(golden, []byte(said), 0o644))
				}
				want, err := os.ReadFile(golden)
				must(t, err)
				if said != string(want) {
					t.Errorf("%s differs; if that is right: go test ./admin/alert -run TestRequests -update\n%s", golden, said)
				}
			})
		}
	}
}

// TestAnswers has each vendor refuse, echo its secrets, break off, redirect and be away.
func TestAnswers(t *testing.T) {
	t.Parallel()
	for _, kind := range Types() {
		for _, said := range vendors[kind].bad {
			t.Run(fmt.Sprintf("%s %d %s", kind, said.status, said.body), func(t *testing.T) {
				t.Parallel()
				server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
					rw.Header().Set("Location", "http://127.0.0.1:1/elsewhere")
					rw.Header().Set("Retry-After", "7")
					rw.WriteHeader(said.status)
					_, _ = io.WriteString(rw, said.body)
				}))
				defer server.Close()
				failure, ok := errors.AsType[*SendError](vendorChannel(t, kind, "en", server.URL).Send(t.Context(), sampleNotice()))
				if !ok || failure.Again != said.again {
					t.Errorf("%+v, want again %v", failure, said.again)
				}
				if said.status == 429 && failure.After != 7*time.Second {
					t.Errorf("again after %v, want what Retry-After says", failure.After)
				}
			})
		}
		t.Run(kind+" echoes", func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				rw.WriteHeader(http.StatusBadRequest)
				_, _ = fmt.Fprint(rw, r.URL.RequestURI(), " ", vendors[kind].secret)
			}))
			defer server.Close()
			c := vendorChannel(t, kind, "en", server.URL)
			shows(t, c.Send(t.Context(), sampleNotice()), c)
		})
		t.Run(kind+" away", func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(http.NotFoundHandler())
			server.Close()
			c := vendorChannel(t, kind, "en", server.URL)
			err := c.Send(t.Context(), sampleNotice())
			shows(t, err, c)
			if failure, ok := errors.AsType[*SendError](err); !ok || !failure.Again {
				t.Errorf("%v", err)
			}
		})
	}
}

// shows fails when an error, or the channel itself, shows a secret.
func shows(t *testing.T, err error, c *Channel) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	for _, text := range []string{err.Error(), fmt.Sprintf("%v %+v %#v %s", err, err, err, c), fmt.Sprintf("%v %+v %#v %v %+v %#v", c, c, c, c.cfg, c.cfg, c.cfg)} {
		for _, secret := range []string{canaryKey, canarySecret, url.QueryEscape(canarySecret), base64.StdEncoding.EncodeToString([]byte(canarySecret))} {
			if strings.Contains(text, secret) {
				t.Errorf("shows %s: %s", secret, text)
			}
		}
	}
}

// TestHostileText has words of an answer's try to act in each channel.
func TestHostileText(t *testing.T) {
	t.Parallel()
	n := sampleNotice()
	hostile := "@all @everyone <!channel> <at user_id=\"all\"></at> <@all> [click](https://evil.example) **bold** \u202egnp.exe\n# heading" + strings.Repeat("😀", 5000)
	n.Facts = append(n.Facts, fact("error", "错误", hostile))
	n.Title.En = hostile
	for _, kind := range Types() {
		server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			vendors[kind].check(t, r, body) // shapes and bounds hold
			_, _ = io.WriteString(rw, vendors[kind].ok)
		}))
		must(t, vendorChannel(t, kind, "en", server.URL).Send(t.Context(), n))
		server.Close()
	}
	if text := n.Text("en", 1<<20); strings.Contains(text, "\u202e") || strings.Contains(text, "\n# heading") {
		t.Errorf("characters that turn or break lines are left: %q", text[:300])
	}
}

func TestNewChannelRefuses(t *testing.T) {
	t.Parallel()
	good := ChannelConfig{Name: "ops", Type: "dingtalk", URL: "https://oapi.dingtalk.com/robot/send?access_token=" + canaryKey, Secret: canarySecret, Lang: "zh"}
	if _, err := NewChannel(good); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		field string
		spoil func(*ChannelConfig)
	}{
		"no name":             {"alerts", func(c *ChannelConfig) { c.Name = "" }},
		"a name of two lines": {"alerts", func(c *ChannelConfig) { c.Name = "a\nb" }},
		"no type":             {"alerts.ops.type", func(c *ChannelConfig) { c.Type = "pager" }},
		"no address":          {"alerts.ops.url", func(c *ChannelConfig) { c.URL = canaryKey }},
		"no URL":              {"alerts.ops.url", func(c *ChannelConfig) { c.URL = "https://%zz" + canaryKey }},
		"http":                {"alerts.ops.url", func(c *ChannelConfig) { c.URL = "http://oapi.dingtalk.com/?access_token=" + canaryKey }},
		"another language":    {"alerts.ops.lang", func(c *ChannelConfig) { c.Lang = "fr" }},
		"a broken secret":     {"alerts.ops.secret", func(c *ChannelConfig) { c.Type, c.Secret = "webhook", "whsec_"+canarySecret+"!" }},
		"a secret for nobody": {"alerts.ops.secret", func(c *ChannelConfig) { c.Type = "wecom" }},
	} {
		bad := good
		c.spoil(&bad)
		_, err := NewChannel(bad)
		var refused *tasks.FieldError
		if !errors.As(err, &refused) || refused.Field != c.field {
			t.Errorf("%s: %v", name, err)
		} else if strings.Contains(err.Error(), canaryKey) || strings.Contains(err.Error(), canarySecret) {
			t.Errorf("%s: shows a secret: %v", name, err)
		}
	}
	if _, err := NewChannel(ChannelConfig{Name: "am", Type: "alertmanager", URL: "http://alertmanager:9093"}); err != nil {
		t.Error(err)
	}
}
