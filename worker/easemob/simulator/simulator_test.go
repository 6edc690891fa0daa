package simulator_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/imqueue/emq/worker/easemob/simulator"
)

func TestConfig(t *testing.T) {
	t.Parallel()
	app := simulator.App{Key: "a#b", ClientID: "id", ClientSecret: "secret-word"}
	for name, tc := range map[string]struct {
		spoil func(*simulator.Config)
		want  string
	}{
		"key without #":    {func(c *simulator.Config) { c.Apps[0].Key = "ab" }, `Apps[0].Key "ab": must be org#app`},
		"key twice":        {func(c *simulator.Config) { c.Apps = append(c.Apps, app) }, `Apps[1].Key "a#b": given twice`},
		"no id":            {func(c *simulator.Config) { c.Apps[0].ClientID = "" }, "Apps[0].ClientID: must not be empty"},
		"no secret":        {func(c *simulator.Config) { c.Apps[0].ClientSecret = "" }, "Apps[0].ClientSecret: must not be empty"},
		"ttl":              {func(c *simulator.Config) { c.TokenTTL = time.Millisecond }, "TokenTTL 1ms: must be at least 1s"},
		"recall window":    {func(c *simulator.Config) { c.RecallWindow = 200 * time.Hour }, "RecallWindow 200h0m0s: must be between 0 and 168h0m0s"},
		"limit of nothing": {func(c *simulator.Config) { c.Limits = simulator.Limits{"x": {}} }, `limit of "x": must be of an endpoint`},
		"negative limit": {func(c *simulator.Config) {
			c.Limits = simulator.Limits{"accounts": {Calls: simulator.Rates{{Count: -1, Per: time.Second}}}}
		}, `limit of "accounts": -1 in 1s: must be at least 1 in 1s to 24h`},
		"negative quota":    {func(c *simulator.Config) { c.Quotas.Groups = -1 }, "Quotas.Groups -1: must be at least 0"},
		"a fault of config": {func(c *simulator.Config) { c.Faults = []simulator.Fault{{ID: "f", Status: 99}} }, `simulator: fault "f": status 99: must be between 200 and 599`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := simulator.Config{Apps: []simulator.App{app}}
			if _, err := simulator.New(cfg); err != nil {
				t.Fatalf("valid config: %v", err)
			}
			cfg.Apps = []simulator.App{app}
			tc.spoil(&cfg)
			_, err := simulator.New(cfg)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("got %v, want %q", err, tc.want)
			}
			if strings.Contains(err.Error(), "secret-word") {
				t.Errorf("the secret is in %v", err)
			}
		})
	}
}

func TestToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Config{TokenTTL: time.Hour})
	w.token = ""

	for name, tc := range map[string]struct {
		body       string
		status     int
		code, text string
	}{
		"not json":       {`{"grant_type"=1}`, 400, "json_parse", "Unexpected character ('=' (code 61)): was expecting a colon to separate field name and value\n at [Source: java.io.BufferedInputStream@170e3f35; line: 1, column: 14]"},
		"empty":          {"", 400, "json_parse", "Unexpected end-of-input: expected close marker\n at [Source: java.io.BufferedInputStream@170e3f35; line: 1, column: 1]"},
		"wrong types":    {`{"grant_type":1}`, 400, "illegal_argument", "this is an invalid request."},
		"no grant":       {`{}`, 400, "illegal_argument", "grant_type must be provided."},
		"user token":     {`{"grant_type":"password"}`, 400, "illegal_argument", "grant_type is not supported."},
		"no id":          {`{"grant_type":"client_credentials"}`, 400, "illegal_argument", "client_id must be provided."},
		"no secret":      {`{"grant_type":"client_credentials","client_id":"x"}`, 400, "illegal_argument", "client_secret must be provided."},
		"wrong id":       {strings.Replace(credentials, simulator.ClientIDDefault, "x", 1), 400, "invalid_grant", "client_id does not match"},
		"wrong secret":   {strings.Replace(credentials, simulator.ClientSecretDefault, "x", 1), 400, "invalid_grant", "client_secret does not match"},
		"negative ttl":   {strings.Replace(credentials, "{", `{"ttl":-1,`, 1), 400, "illegal_argument", "ttl must not be negative."},
		"another method": {"GET", 401, "unauthorized", "Unable to authenticate (OAuth)"},
	} {
		method, body := "POST", tc.body
		if body == "GET" {
			method, body = "GET", ""
		}
		got := w.api(method, "/token", body)
		if code, text := got.refused(t); got.status != tc.status || code != tc.code || text != tc.text {
			t.Errorf("%s: got %d %q %q, want %d %q %q", name, got.status, code, text, tc.status, tc.code, tc.text)
		}
	}

	got := w.api("POST", "/token", credentials)
	var body map[string]any
	if err := json.Unmarshal(got.body, &body); err != nil {
		t.Fatal(err)
	}
	if len(body) != 3 || body["expires_in"] != 3600.0 || body["application"] == "" {
		t.Errorf("a token is answered without the envelope, got %s", got.body)
	}
	if n := w.Counts().TokensIssued; n != 2 {
		t.Errorf("issued %d tokens, want 2", n)
	}
}

func TestTokenRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Config{TokenTTL: time.Hour, Apps: []simulator.App{
		{Key: "demo#emq", ClientID: simulator.ClientIDDefault, ClientSecret: simulator.ClientSecretDefault},
		{Key: "other#app", ClientID: "a", ClientSecret: "b"},
	}})
	good := w.token
	check := func(name, token, code, text string) {
		t.Helper()
		got := serve(w.Simulator, request("GET", "/demo/emq/users", "", token))
		if c, x := got.refused(t); got.status != 401 || c != code || x != text {
			t.Errorf("%s: got %v", name, got)
		}
	}
	ok := func(name, token string) {
		t.Helper()
		if got := serve(w.Simulator, request("GET", "/demo/emq/users", "", token)); got.status != 200 {
			t.Errorf("%s: got %v", name, got)
		}
	}
	ok("a good one", good)
	check("none", "", "unauthorized", "Unable to authenticate (OAuth)")
	check("corrupt", good[:20], "auth_bad_access_token", "Unable to authenticate due to corrupt access token")
	check("unknown", good[:len(good)-4]+"AAAA", "auth_bad_access_token", "Unable to authenticate")
	if got := serve(w.Simulator, request("GET", "/other/app/users", "", good)); got.status != 401 || !bytes.Contains(got.body, []byte("token is illegal.")) {
		t.Errorf("of another app: got %v", got)
	}

	w.clock.add(time.Hour - time.Millisecond)
	ok("a moment before it expires", good)
	w.clock.add(time.Millisecond)
	check("expired", good, "unauthorized", "Unable to authenticate due to expired access token")

	fresh := w.newToken()
	ok("fresh", fresh)
	w.RevokeTokens()
	check("revoked", fresh, "unauthorized", "Unable to authenticate (OAuth)")
	ok("issued after the revocation", w.newToken())

	// ttl of the request: 0 never expires, other values are seconds.
	eternal := serve(w.Simulator, request("POST", "/demo/emq/token", strings.Replace(credentials, "{", `{"ttl":0,`, 1), ""))
	short := serve(w.Simulator, request("POST", "/demo/emq/token", strings.Replace(credentials, "{", `{"ttl":5,`, 1), ""))
	var tk [2]struct {
		AccessToken string `json:"access_token"`
	}
	_ = json.Unmarshal(eternal.body, &tk[0])
	_ = json.Unmarshal(short.body, &tk[1])
	w.clock.add(5 * time.Second)
	check("five seconds old", tk[1].AccessToken, "unauthorized", "Unable to authenticate due to expired access token")
	w.clock.add(10000 * time.Hour)
	ok("eternal", tk[0].AccessToken)
}

func TestUnknown(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Config{})
	got := w.do("POST", "/hx/hxdeo2/token", credentials)
	if code, text := got.refused(t); got.status != 404 || code != "organization_application_not_found" ||
		text != "Could not find application for hx/hxdeo2 from URI: hx/hxdeo2/token" {
		t.Errorf("unknown app: got %v", got)
	}
	for _, path := range []string{"/", "/demo", "/DEMO/emq/users", "//emq/users"} {
		if got := w.do("GET", path, ""); got.status != 404 {
			t.Errorf("%s: got %v", path, got)
		}
	}
	w.run([]step{
		{method: "PATCH", path: "/users", status: 500, code: "unsupported_service_operation", text: "Service operation not supported"},
		{method: "PUT", path: "/messages/users", status: 500, code: "unsupported_service_operation", text: "Service operation not supported"},
		{method: "PUT", path: "/chatgroups/1/users", status: 500, code: "unsupported_service_operation", text: "Service operation not supported"},
		{method: "GET", path: "/nothing", status: 500, code: "web_application", text: "javax.ws.rs.WebApplicationException"},
		{method: "GET", path: "/users/u1//x", status: 500, code: "web_application", text: "javax.ws.rs.WebApplicationException"},
		{method: "GET", path: "", status: 500, code: "web_application", text: "javax.ws.rs.WebApplicationException"},
		{name: "a slash at the end", method: "GET", path: "/users/"},
	})
	if n := w.Counts().Calls["unknown"]; n[404] != 5 || n[500] != 6 {
		t.Errorf("counted %v", n)
	}
}

func TestRequestBody(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Config{})
	big := w.api("POST", "/messages/users", strings.Repeat("x", simulator.BodyMax+1))
	if code, _ := big.refused(t); big.status != 413 || code != "Request Entity Too Large" {
		t.Errorf("too large: got %v", big)
	}
	send := func(path, contentType, body string) answer {
		r := request("POST", "/demo/emq"+path, body, w.token)
		if path == "/metadata/user/u1" {
			r.Method = "PUT"
		}
		r.Header.Set("Content-Type", contentType)
		if contentType == "" {
			r.Header.Del("Content-Type")
		}
		return serve(w.Simulator, r)
	}
	message := `{"to":["u1"],"type":"txt","body":{"msg":"x"}}`
	if got := send("/messages/users", "text/plain", message); got.status != 415 || !bytes.Contains(got.body, []byte("Unsupported Media Type")) {
		t.Errorf("text/plain: got %v", got)
	}
	for _, ct := range []string{"", "application/json", "application/json; charset=utf-8"} {
		if got := send("/messages/users", ct, message); got.status != 200 {
			t.Errorf("Content-Type %q: got %v", ct, got)
		}
	}
	if got := send("/metadata/user/u1", "", "a=b"); got.status != 415 || len(got.body) != 0 {
		t.Errorf("attributes without Content-Type: got %v, want 415 without a body", got)
	}
}

func TestSuccessShape(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Config{})
	got := w.api("POST", "/messages/users", `{"to":["u1"],"type":"txt","body":{"msg":"x"}}`)
	var body map[string]any
	if err := json.Unmarshal(got.body, &body); err != nil {
		t.Fatal(err)
	}
	for field, want := range map[string]any{
		"action": "post", "path": "/messages/users", "uri": "http://example.com/demo/emq/messages/users",
		"organization": "demo", "applicationName": "emq", "duration": 0.0,
		"timestamp": float64(w.clock.Now().UnixMilli()),
	} {
		if body[field] != want {
			t.Errorf("%s is %v, want %v", field, body[field], want)
		}
	}
	if got.header.Get("Content-Type") != "application/json;charset=UTF-8" {
		t.Errorf("Content-Type %q", got.header.Get("Content-Type"))
	}
}

func TestResetAndNoRecord(t *testing.T) {
	t.Parallel()
	message := `{"to":["u1"],"type":"txt","body":{"msg":"x"},"ext":{"emq_id":"t1"}}`
	w := newWorld(t, simulator.Config{Faults: []simulator.Fault{{ID: "mine", Path: "/token", Skip: 1, Status: 500}}})
	if err := w.CreateUsers("", "u1"); err != nil {
		t.Fatal(err)
	}
	before := w.api("POST", "/messages/users", message).data(t)
	must[string](t)(w.AddFault(simulator.Fault{Status: 500}))
	if err := w.SetLimits(simulator.Limits{"accounts": {Calls: simulator.Rates{{Count: 1, Per: time.Second}}}}); err != nil {
		t.Fatal(err)
	}
	w.Reset()
	if n := w.Counts(); n.Executed != 0 || n.DistinctEmqIDs != 0 || len(n.Calls) != 0 || n.TokensIssued != 0 {
		t.Errorf("after a reset %+v", n)
	}
	if fs := w.Faults(); len(fs) != 1 || fs[0].Fault.ID != "mine" || fs[0].Matched != 0 {
		t.Errorf("faults after a reset %+v, want those of the configuration, fresh", fs)
	}
	if _, ok := w.User("", "u1"); ok {
		t.Error("the user outlived the reset")
	}
	w.run([]step{{method: "GET", path: "/users"}, {method: "GET", path: "/users"}}) // token valid, no limit
	if after := w.api("POST", "/messages/users", message).data(t); after == before {
		t.Errorf("a message id came back after the reset: %s", after)
	}
	if e := w.Executed(); len(e) != 1 || e[0].Seq != 1 {
		t.Errorf("record after the reset %+v", e)
	}

	w = newWorld(t, simulator.Config{NoRecord: true})
	first, second := w.api("POST", "/messages/users", message).data(t), w.api("POST", "/messages/users", message).data(t)
	if first == second {
		t.Error("one id for two messages")
	}
	if n := w.Counts(); n.Executed != 2 || len(w.Executed()) != 0 || n.DistinctEmqIDs != 0 {
		t.Errorf("without a record %+v and %d executions", n, len(w.Executed()))
	}
}

func TestServe(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	s, err := simulator.New(simulator.Config{Logger: slog.New(slog.NewJSONHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx, l) }()

	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Post("http://"+l.Addr().String()+"/demo/emq/token", "application/json", strings.NewReader(credentials))
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("token over the network: %d", resp.StatusCode)
	}
	cancel()
	if err := <-served; err != nil {
		t.Errorf("Serve returned %v", err)
	}
	if line := log.String(); !strings.Contains(line, `"path":"/token"`) || !strings.Contains(line, `"status":200`) || strings.Contains(line, simulator.ClientSecretDefault) {
		t.Errorf("log line %q", line)
	}

	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = closed.Close()
	if err := s.Serve(t.Context(), closed); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Serve on a closed listener returned %v", err)
	}
}
