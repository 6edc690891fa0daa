package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/imqueue/emq/dlq"
	"github.com/imqueue/emq/tasks"
	"github.com/imqueue/emq/tasks/redisserver"
	"github.com/imqueue/emq/tasks/redisserver/redistest"
	"github.com/imqueue/emq/worker"
	"github.com/imqueue/emq/worker/easemob/simulator"
)

// canaries are secrets that can be told anywhere.
type canaries struct {
	mu     sync.Mutex
	values map[string]string // value -> what it is
}

func (c *canaries) add(what, value string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.values[value] = what
}

// in says which canaries are in a text, as they are or as something that carries them may
// have written them.
func (c *canaries) in(text string) (found []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for value, what := range c.values {
		forms := []string{value, url.QueryEscape(value), url.PathEscape(value), hex.EncodeToString([]byte(value))}
		for skip := range 3 { // base64, whatever stands before it
			for _, enc := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding} {
				whole := enc.EncodeToString([]byte(strings.Repeat("x", skip) + value))
				forms = append(forms, whole[4:len(whole)-4]) // without what depends on its neighbours
			}
		}
		for _, form := range forms {
			if strings.Contains(text, form) {
				found = append(found, what)
				break
			}
		}
	}
	return found
}

// TestNoSecretIsShown puts canaries in the place of all secrets, has an Easemob echo them
// in its answers, runs all that prints, logs or stores, and looks for them.
func TestNoSecretIsShown(t *testing.T) {
	const clientSecret, password, app = "canary-client-secret/with+odd=chars", "canary-redis-password", "demo#emq"
	secrets := &canaries{values: map[string]string{}}
	secrets.add("client secret", clientSecret)
	secrets.add("Redis password", password)

	sim, err := simulator.New(simulator.Config{Apps: []simulator.App{{Key: app, ClientID: "id", ClientSecret: clientSecret}}})
	must(t, err)
	actual := httptest.NewServer(sim)
	defer actual.Close()
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("a redirect was followed, with %q", r.Header.Get("Authorization"))
	}))
	defer elsewhere.Close()
	target, err := url.Parse(actual.URL)
	must(t, err)
	forward := httputil.NewSingleHostReverseProxy(target)
	hostile := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		if token != "" {
			secrets.add("token", token)
		}
		echo := fmt.Sprintf("token %s, Authorization: %s, secret %s", token, r.Header.Get("Authorization"), clientSecret)
		for who, answer := range map[string]func(){
			"echo-400": func() { http.Error(rw, jsonError("invalid_parameter", echo), http.StatusBadRequest) },
			"echo-403": func() { http.Error(rw, jsonError("forbidden_op", echo), http.StatusForbidden) },
			"echo-500": func() { http.Error(rw, jsonError("internal", echo), http.StatusInternalServerError) },
			"echo-odd": func() { http.Error(rw, "<html>"+echo+"</html>", http.StatusTeapot) },
			"moved": func() {
				http.Redirect(rw, r, elsewhere.URL+"/?access_token="+url.QueryEscape(token), http.StatusTemporaryRedirect)
			},
		} {
			if strings.Contains(string(body), who) {
				answer()
				return
			}
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		forward.ServeHTTP(rw, r)
	}))
	defer hostile.Close()

	server := redistest.Start(t, redisserver.Options{})
	open := redistest.Client(t, server)
	ctx := context.Background()
	must(t, open.ConfigSet(ctx, "requirepass", password).Err())
	redisURL := "redis://:" + password + "@" + server.Addr()
	rdb, err := tasks.OpenRedis(redisURL)
	must(t, err)
	t.Cleanup(func() { _ = rdb.Close() })

	var log syncBuffer
	w, err := worker.New(worker.Config{
		RedisURL: redisURL, Logger: slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})), CallTimeout: 2 * time.Second,
		Apps: []worker.App{{Alias: tasks.AppDefault, Key: app, URL: hostile.URL, ClientID: "id", ClientSecret: clientSecret}},
	})
	must(t, err)
	running, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- w.Run(running) }()
	pages := httptest.NewServer(w.Handler())
	defer pages.Close()

	var all strings.Builder
	environ := []string{
		"EMQ_REDIS_URL=" + redisURL, "EMQ_APP_KEY=" + app, "EMQ_EASEMOB_URL=" + hostile.URL, "EMQ_CLIENT_ID=id", "EMQ_CLIENT_SECRET=" + clientSecret,
	}
	emq := func(args ...string) {
		e := newTestEnv(t, "", environ...)
		e.now = time.Now
		code := run(e.env, args)
		_, _ = fmt.Fprintf(&all, "emq %s … (%d):\n%s%s", args[0], code, e.stdout, e.stderr)
	}
	ids := []string{"u1", "echo-400", "echo-403", "echo-500", "echo-odd"}
	for _, id := range ids {
		emq("enqueue", "--to", id, "--text", "hello", "--id", id)
	}
	client, err := tasks.NewClient(tasks.ClientConfig{Redis: rdb})
	must(t, err)
	store, err := dlq.New(dlq.Config{Redis: rdb, Client: client})
	must(t, err)
	await := func(what string, met func() bool) {
		t.Helper()
		for deadline := time.Now().Add(time.Minute); !met(); time.Sleep(20 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("never: %s\n%s", what, log.String())
			}
		}
	}
	await("dead letters, and a retry", func() bool {
		n, err := store.Count(ctx, dlq.Filter{App: tasks.AppDefault})
		return err == nil && n >= 3 && strings.Contains(log.String(), `"task_id":"echo-500"`)
	})
	sim.RevokeTokens()
	emq("enqueue", "--to", "u2", "--text", "hello", "--id", "after-401")
	await("a delivery with a further token", func() bool { return sim.EmqIDs()["after-401"] > 0 })
	emq("enqueue", "--to", "moved", "--text", "hello", "--id", "moved") // holds the app
	await("the hold", func() bool { return strings.Contains(log.String(), "app is held") })

	for _, args := range [][]string{
		{"dlq", "list"}, {"dlq", "list", "--json"}, {"dlq", "causes"}, {"dlq", "causes", "--json"}, {"dlq", "export"},
		{"dlq", "show", "echo-400"}, {"dlq", "show", "echo-400", "--json"}, {"dlq", "show", "echo-odd"}, {"dlq", "show", "moved"}, {"dlq", "show", "echo-403", "--json"},
		{"dlq", "resend", "echo-400"}, {"audit"}, {"audit", "--json"}, {"hold", "list"}, {"limit", "list"}, {"queue", "list"}, {"ops", "list"},
		{"rules", "unknown"}, {"rules", "unknown", "--json"}, {"rules", "list"}, {"doctor"}, {"doctor", "--json"}, {"version"},
		{"enqueue", "--nonsense"}, {"enqueue", "--to", "u1"}, {"dlq", "show", "nobody"}, {"worker", "--concurrency", "many"},
		{"dlq", "list", "--redis-url", "redis://:" + password + "@127.0.0.1:1"}, {"doctor", "--redis-only", "--redis-url", "redis://:" + password + "@127.0.0.1:1"},
		{"dlq", "list", "--redis-url", "redis://:" + password + "@%zz"}, {"dlq", "list", "--redis-url", "http://:" + password + "@host"},
		{"worker", "--easemob-url", "http://id:" + clientSecret + "@host"},
	} {
		emq(args...)
	}
	for _, path := range []string{"/metrics", "/healthz", "/readyz", "/nowhere"} {
		answer, err := http.Get(pages.URL + path)
		must(t, err)
		text, _ := io.ReadAll(answer.Body)
		_ = answer.Body.Close()
		_, _ = all.Write(text)
	}
	stop()
	must(t, <-ended)

	for what, text := range map[string]string{"outputs": all.String(), "the worker's log": log.String(), "Redis": dump(t, rdb)} {
		if found := secrets.in(text); len(found) > 0 {
			t.Errorf("in %s: %v", what, found)
			for line := range strings.Lines(text) {
				if len(secrets.in(line)) > 0 {
					t.Logf("%s: %.600s", what, line)
				}
			}
		}
	}
	if err := store.Each(ctx, dlq.Filter{App: tasks.AppDefault}, func(entry dlq.Entry) error { // as it is once unpacked
		line, err := json.Marshal(entry)
		if found := secrets.in(string(line)); len(found) > 0 {
			t.Errorf("in the dead letter %s: %v", entry.ID, found)
		}
		return err
	}); err != nil {
		t.Error(err)
	}

	// The search finds what is there.
	if len(secrets.values) < 4 {
		t.Errorf("%d canaries: the client secret, the password and two tokens should have been out", len(secrets.values))
	}
	must(t, rdb.HSet(ctx, "emq:{default}:planted", "field", base64.StdEncoding.EncodeToString([]byte("id:"+clientSecret))).Err())
	if found := secrets.in(dump(t, rdb)); len(found) != 1 {
		t.Errorf("a planted secret: found %v", found)
	}
	if !strings.Contains(all.String(), "echo-400") || !strings.Contains(log.String(), "echo-odd") {
		t.Error("the outputs say nothing of the tasks: nothing is shown")
	}
}

func jsonError(name, description string) string {
	raw, _ := json.Marshal(map[string]string{"error": name, "error_description": description})
	return string(raw)
}

// dump is every key of a Redis with its value.
func dump(t *testing.T, rdb redis.UniversalClient) string {
	t.Helper()
	ctx := context.Background()
	var all strings.Builder
	keys := rdb.Scan(ctx, 0, "*", 1000).Iterator()
	for keys.Next(ctx) {
		key := keys.Val()
		var value any
		switch kind := rdb.Type(ctx, key).Val(); kind {
		case "hash":
			value = rdb.HGetAll(ctx, key).Val()
		case "list":
			value = rdb.LRange(ctx, key, 0, -1).Val()
		case "set":
			value = rdb.SMembers(ctx, key).Val()
		case "zset":
			value = rdb.ZRange(ctx, key, 0, -1).Val()
		case "stream":
			value = rdb.XRange(ctx, key, "-", "+").Val()
		case "string":
			value = rdb.Get(ctx, key).Val()
		default:
			t.Errorf("%s is a %s", key, kind)
		}
		_, _ = fmt.Fprintf(&all, "%s %v\n", key, value)
	}
	must(t, keys.Err())
	return all.String()
}

// syncBuffer is a buffer that several goroutines write to.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
