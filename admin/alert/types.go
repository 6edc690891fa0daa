package alert

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// A channelType is how one vendor wants to be told. All but the machine-read ones are sent
// plain text, so that nothing acts that an answer's word brings along: no markup, no link
// but an address as such, no mention.
type channelType struct {
	build  func(c *Channel, n Notice) message
	signed bool // takes a secret
	plain  bool // may be reached by http beyond the machine itself
	// code and text are the fields of a 200 that say how it went; code 0 is well. Empty
	// where the status alone counts.
	code, text string
	// word is what a 200 says when all is well; empty where it may say anything.
	word string
	// again are the codes that may pass later, with the least wait.
	again map[string]time.Duration
	// refresh is for a channel that takes for over what it does not hear of for liveFor.
	refresh func(c *Channel, lasting []Notice) message
}

// liveFor is how long an alert lasts in Alertmanager unless it is sent again.
const liveFor = 5 * refreshEvery

var channelTypes = map[string]channelType{
	// open.dingtalk.com, "Custom robot access": 20 messages a minute, else 130101 and ten
	// minutes of silence; -1 is the system being busy; 310000 a wrong signature or keyword.
	"dingtalk": {build: dingTalk, signed: true, code: "errcode", text: "errmsg", again: map[string]time.Duration{"-1": 0, "130101": 10 * time.Minute}},
	// open.feishu.cn, "Custom bot usage guide": 100 messages a minute and 5 a second, else
	// 11232; 19021 a wrong signature, 19024 a missing keyword, 9499 a bad request.
	"feishu": {build: feishu, signed: true, code: "code", text: "msg", again: map[string]time.Duration{"11232": 15 * time.Second}},
	// developer.work.weixin.qq.com, document 91770: 20 messages a minute, else 45009; 93000
	// is an address that is wrong.
	"wecom": {build: weCom, code: "errcode", text: "errmsg", again: map[string]time.Duration{"-1": 0, "45009": time.Minute}},
	// api.slack.com, "Sending messages using incoming webhooks": 200 and "ok", else a status
	// and a word; 429 with Retry-After.
	"slack": {build: slack, word: "ok"},
	// standardwebhooks.com, symmetric signatures.
	"webhook": {build: webhook, signed: true},
	// prometheus.io, Alertmanager's API v2, POST /alerts.
	"alertmanager": {build: alertmanager, plain: true, refresh: alertmanagerAll},
}

// Bounds of texts, in bytes, as the vendors give them, with room for what is around.
const (
	dingTalkMax = 18_000 // of 20,000 for the whole message
	feishuMax   = 18_000 // of 20 KB for the whole request
	weComMax    = 2048   // of a text
	slackTitle  = 150    // characters of a header
	slackMax    = 3000   // characters of a section
)

// encode writes <, > and & as they are: WeCom refuses some escapes.
func encode(body any) []byte {
	var raw bytes.Buffer
	enc := json.NewEncoder(&raw)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(body) // of strings, numbers and times: it can't fail
	return bytes.TrimSpace(raw.Bytes())
}

// sign is base64(HMAC-SHA256).
func sign(key, text string) string {
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(text))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

func dingTalk(c *Channel, n Notice) message {
	m := message{body: encode(map[string]any{
		"msgtype": "text",
		"text":    map[string]string{"content": n.Text(c.cfg.Lang, dingTalkMax)},
		"at":      map[string]bool{"isAtAll": false},
	})}
	if c.cfg.Secret != "" {
		ms := strconv.FormatInt(c.now().UnixMilli(), 10)
		m.query = url.Values{"timestamp": {ms}, "sign": {sign(c.cfg.Secret, ms+"\n"+c.cfg.Secret)}}
	}
	return m
}

var feishuColors = map[Severity]string{SeverityCritical: "red", SeverityWarning: "orange"}

func feishu(c *Channel, n Notice) message {
	color := feishuColors[n.Severity]
	if n.Over() {
		color = "green"
	}
	plain := func(text string) map[string]string { return map[string]string{"tag": "plain_text", "content": text} }
	body := map[string]any{
		"msg_type": "interactive",
		"card": map[string]any{
			"header": map[string]any{"title": plain(clip(n.Heading(c.cfg.Lang), feishuMax/2)), "template": color},
			"elements": []any{
				map[string]any{"tag": "div", "text": plain(clip(strings.Join(n.Details(c.cfg.Lang), "\n"), feishuMax/2))},
			},
		},
	}
	if c.cfg.Secret != "" {
		// What is signed is nothing, and the key is what other vendors sign.
		seconds := strconv.FormatInt(c.now().Unix(), 10)
		body["timestamp"], body["sign"] = seconds, sign(seconds+"\n"+c.cfg.Secret, "")
	}
	return message{body: encode(body)}
}

// weComEscape keeps <@NAME> from mentioning somebody, which it does in plain text too.
var weComEscape = strings.NewReplacer("<@", "< @")

func weCom(c *Channel, n Notice) message {
	text := clip(weComEscape.Replace(n.Text(c.cfg.Lang, weComMax)), weComMax)
	return message{body: encode(map[string]any{"msgtype": "text", "text": map[string]string{"content": text}})}
}

// slackEscape is for the text that notifications show, which Slack reads as markup.
var slackEscape = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

func slack(c *Channel, n Notice) message {
	plain := func(text string, most int) map[string]any {
		return map[string]any{"type": "plain_text", "text": clip(text, most), "emoji": false}
	}
	return message{body: encode(map[string]any{
		"text": slackEscape.Replace(clip(n.Heading(c.cfg.Lang), slackMax)),
		"blocks": []any{
			map[string]any{"type": "header", "text": plain(n.Heading(c.cfg.Lang), slackTitle)},
			map[string]any{"type": "section", "text": plain(strings.Join(n.Details(c.cfg.Lang), "\n"), slackMax)},
		},
	})}
}

// webhook is an event of type emq.alert.EVENT with the notice as data.
func webhook(c *Channel, n Notice) message {
	m := message{body: encode(map[string]any{"type": "emq.alert." + string(n.Event), "timestamp": n.At.UTC(), "data": n})}
	seconds := strconv.FormatInt(c.now().Unix(), 10)
	m.header = http.Header{"Webhook-Id": {n.ID}, "Webhook-Timestamp": {seconds}}
	if c.cfg.Secret != "" {
		key, _ := webhookKey(c.cfg.Secret) // NewChannel has tried
		m.header.Set("Webhook-Signature", "v1,"+sign(key, n.ID+"."+seconds+"."+string(m.body)))
	}
	return m
}

// webhookKey is the key in a secret: in base64 after whsec_, else as it stands.
func webhookKey(secret string) (string, error) {
	encoded, ok := strings.CutPrefix(secret, "whsec_")
	if !ok {
		return secret, nil
	}
	raw, err := base64.StdEncoding.DecodeString(encoded)
	return string(raw), err
}

func alertmanager(c *Channel, n Notice) message { return alertmanagerAll(c, []Notice{n}) }

// alertmanagerAll leaves out what is about several causes: each of them is sent by itself
// while it lasts.
func alertmanagerAll(c *Channel, notices []Notice) message {
	var alerts []any
	for _, n := range notices {
		if n.Subject == SubjectCause && n.Cause == "" {
			continue
		}
		labels := map[string]string{"alertname": "emq_" + string(n.Subject), "severity": string(n.Severity), "thing": n.Fingerprint}
		for name, value := range map[string]string{"app": n.App, "cause": n.Cause} {
			if value != "" {
				labels[name] = value
			}
		}
		alert := map[string]any{
			"labels":   labels,
			"startsAt": n.Since.UTC(),
			"endsAt":   c.now().Add(liveFor).UTC(),
			"annotations": map[string]string{
				"summary": n.Title.In(c.cfg.Lang), "description": strings.Join(n.Details(c.cfg.Lang), "\n"),
				"advice": n.Advice.In(c.cfg.Lang), "command": n.Command, "count": strconv.Itoa(n.Count),
			},
		}
		if n.Over() || n.Event == EventTest {
			alert["endsAt"] = c.now().UTC()
		}
		if n.Link != "" {
			alert["generatorURL"] = n.Link
		}
		alerts = append(alerts, alert)
	}
	if len(alerts) == 0 {
		return message{}
	}
	return message{path: "/api/v2/alerts", body: encode(alerts)}
}
