package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/imqueue/emq/tasks/redisserver/redistest"
	"github.com/imqueue/emq/worker/easemob/simulator"
)

// TestAlertsOfAWorker has a worker, as its settings say it, alert a DingTalk robot of a
// dead letter, and a person look at that and keep it quiet.
func TestAlertsOfAWorker(t *testing.T) {
	t.Parallel()
	mini, _ := redistest.Mini(t)
	sim, err := simulator.New(simulator.Config{Faults: []simulator.Fault{{
		Path: "/messages/users", Status: 400, Body: map[string]any{"error": "odd_request", "error_description": "so odd"},
	}}})
	must(t, err)
	easemob := httptest.NewServer(sim)
	defer easemob.Close()
	var mu sync.Mutex
	var got []string
	robot := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		got = append(got, r.URL.RawQuery+" "+string(body))
		_, _ = io.WriteString(rw, `{"errcode":0,"errmsg":"ok"}`)
	}))
	defer robot.Close()
	told := func() string {
		mu.Lock()
		defer mu.Unlock()
		return strings.Join(got, "\n")
	}
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		must(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	file("robot", robot.URL+"/robot/send?access_token=canary-token-of-the-robot\n")
	settings := file("emq.yaml", fmt.Sprintf(`redis_url: redis://%s
health: "off"
log_format: json
alert_link: https://emq.example.com
apps:
  default:
    app_key: %s
    easemob_url: %s
    client_id: %s
    client_secret: %s
alerts:
  ops:
    type: dingtalk
    url_file: robot
    secret: canary-signing-secret
    lang: zh
`, mini.Addr(), simulator.AppKeyDefault, easemob.URL, simulator.ClientIDDefault, simulator.ClientSecretDefault))
	emq := func(want int, args ...string) string {
		t.Helper()
		e := newTestEnv(t, "", "LANG=en")
		e.now = time.Now
		e.run(t, want, append(args, "--config", settings)...)
		return e.stdout.String() + e.stderr.String()
	}
	if out := emq(0, "alert", "test"); out != "taken by ops (dingtalk)\n" || !strings.Contains(told(), "测试") || !strings.Contains(told(), "sign=") {
		t.Errorf("%s%s", out, told())
	}
	if out := emq(2, "alert", "test", "pager"); !strings.Contains(out, "no channel is called pager") {
		t.Error(out)
	}

	worker := newTestEnv(t, "", "LANG=en")
	var log syncBuffer
	worker.env.err, worker.now = &log, time.Now
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan int, 1)
	go func() { done <- runUntil(ctx, worker.env, []string{"worker", "--config", settings}) }()
	emq(0, "enqueue", "--to", "u1", "--text", "canary-text", "--id", "a")
	for deadline := time.Now().Add(time.Minute); !strings.Contains(told(), "emq dlq list --app default --cause "); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("no alert: %s\n%s", told(), log.String())
		}
	}
	if out := emq(0, "alert", "list"); !strings.Contains(out, "1 dead letter of one cause") {
		t.Error(out)
	}
	if out := emq(0, "alert", "list", "--app", "default", "--json"); !strings.Contains(out, `"subject":"cause"`) {
		t.Error(out)
	}
	id := strings.Fields(emq(0, "alert", "silence", "default", "--for", "2h", "--reason", "known"))[1]
	if out := emq(0, "alert", "silences"); !strings.Contains(out, id) || !strings.Contains(out, "known") {
		t.Error(out)
	}
	emq(0, "alert", "unsilence", "default", id)
	if out := emq(3, "alert", "unsilence", "default", id); !strings.Contains(out, "not found") {
		t.Error(out)
	}
	stop()
	if code := <-done; code != 0 {
		t.Errorf("exit code %d\n%s", code, log.String())
	}
	if !strings.Contains(log.String(), `"msg":"alert","event":"new","subject":"cause"`) {
		t.Errorf("the log has no alert: %s", log.String())
	}
	for what, text := range map[string]string{"the alerts": strings.ReplaceAll(told(), "access_token=canary-token", ""), "the log": log.String()} {
		if strings.Contains(text, "canary") {
			t.Errorf("%s show a secret or a message: %s", what, text)
		}
	}
}

// TestAlertCommandsRefuse reads what is wrong aloud.
func TestAlertCommandsRefuse(t *testing.T) {
	t.Parallel()
	mini, _ := redistest.Mini(t)
	for want, args := range map[string][]string{
		"no channel is configured":            {"alert", "test"},
		"give --reason TEXT":                  {"alert", "silence", "shop", "--for", "1h"},
		"--for: must be given, such as 2h":    {"alert", "silence", "shop", "--reason", "x"},
		"must be ahead, by at most 30 days":   {"alert", "silence", "shop", "--reason", "x", "--for", "10000h"},
		"alert_remind":                        {"worker", "--alert-remind", "1m", "--app-key", "a#b", "--easemob-url", "https://a1.easemob.com", "--client-id", "i"},
		"must be a number from 1 to 1000000":  {"worker", "--alert-pace", "many"},
		"alerts.ops.type":                     {"alert", "test", "--config", "bad-type"},
		"alerts.ops.adresse is not a setting": {"alert", "test", "--config", "bad-key"},
		"only one of them may be given":       {"alert", "test", "--config", "both"},
		"alerts.ops.url: must be https":       {"alert", "test", "--config", "http"},
	} {
		dir := t.TempDir()
		for i, arg := range args {
			if text, ok := map[string]string{
				"bad-type": "alerts: {ops: {type: pager, url: 'https://h/'}}",
				"bad-key":  "alerts: {ops: {adresse: x}}",
				"both":     "alerts: {ops: {url: 'https://h/', url_file: f}}",
				"http":     "alerts: {ops: {type: slack, url: 'http://hooks.slack.com/services/canary'}}",
			}[arg]; ok {
				args[i] = filepath.Join(dir, "emq.yaml")
				must(t, os.WriteFile(args[i], []byte(text), 0o600))
			}
		}
		e := newTestEnv(t, "", "EMQ_REDIS_URL=redis://"+mini.Addr(), "EMQ_CLIENT_SECRET=s", "EMQ_HEALTH=off")
		e.now = time.Now
		e.run(t, 2, args...)
		if out := e.stderr.String(); !strings.Contains(out, want) || strings.Contains(out, "canary") {
			t.Errorf("%v: %s; want %s", args, out, want)
		}
	}
}
