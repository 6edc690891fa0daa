package main

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"github.com/imqueue/emq/tasks"
	"github.com/imqueue/emq/worker"
)

// load reads settings from flags, variables, and a file of the given text.
func load(t *testing.T, yaml string, flags []string, environ ...string) (*config, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), configFile)
	if err := os.WriteFile(path, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	set := pflag.NewFlagSet("test", pflag.ContinueOnError)
	for _, s := range settings() {
		settingFlags(set, s.key)
	}
	if err := set.Parse(flags); err != nil {
		t.Fatal(err)
	}
	return loadConfig(t.Context(), set, append(environ, "EMQ_CONFIG="+path))
}

func mustLoad(t *testing.T, yaml string, flags []string, environ ...string) *config {
	t.Helper()
	c, err := load(t, yaml, flags, environ...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// secretFile writes a file with a secret and returns its path.
func secretFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestPrecedence sets every setting in every place, one after the other: a flag
// beats a variable, that beats emq.yaml, that beats the default.
func TestPrecedence(t *testing.T) {
	t.Parallel()
	for _, s := range settings() {
		if s.key == "config" {
			continue // says where to look for the others
		}
		t.Run(s.key, func(t *testing.T) {
			t.Parallel()
			get, values := sample(t, s)
			inFlag, inVar, inYAML := values[0], values[1], values[2]
			yaml := s.key + ": " + inYAML
			if s.app != nil {
				yaml = "apps: {default: {" + s.key + ": '" + inYAML + "'}}"
			}
			flag := []string{"--" + s.flag(), inFlag}
			if s.secret {
				flag = []string{"--" + s.flag() + "-file", secretFile(t, inFlag+"\n")}
			}
			variable := s.variable() + "=" + inVar
			for _, test := range []struct {
				name string
				got  *config
				want string
			}{
				{"flag", mustLoad(t, yaml, flag, variable), inFlag},
				{"variable", mustLoad(t, yaml, nil, variable), inVar},
				{"emq.yaml", mustLoad(t, yaml, nil), inYAML},
				{"an empty variable is none", mustLoad(t, yaml, nil, s.variable()+"="), inYAML},
			} {
				if got := get(test.got); got != test.want {
					t.Errorf("%s: %q, want %q", test.name, got, test.want)
				}
			}
			if s.app == nil && s.shown == "" {
				if got := get(mustLoad(t, "", nil)); got != s.def {
					t.Errorf("default: %q, want %q", got, s.def)
				}
			}
		})
	}
}

// sample returns how to read a setting, and three values for it.
func sample(t *testing.T, s setting) (get func(*config) string, values []string) {
	t.Helper()
	if s.app != nil {
		return func(c *config) string { return *s.app(&c.Apps[0]) }, []string{"a", "b", "c"}
	}
	durations := []string{"1s", "2s", "3s"}
	short := func(d time.Duration) string { return shortDuration(d) }
	switch s.key {
	case "redis_url":
		return func(c *config) string { return c.RedisURL }, []string{"redis://a", "redis://b", "redis://c"}
	case "app":
		return func(c *config) string { return c.App }, []string{"a", "b", "c"}
	case "concurrency":
		return func(c *config) string { return fmt.Sprint(c.Concurrency) }, []string{"1", "2", "3"}
	case "call_timeout":
		return func(c *config) string { return short(c.CallTimeout) }, durations
	case "drain_timeout":
		return func(c *config) string { return short(c.DrainTimeout) }, durations
	case "id_retention":
		return func(c *config) string { return short(c.IDRetention) }, durations
	case "dead_letters_keep":
		return func(c *config) string { return formatDays(c.DeadLettersKeep) }, []string{"1d", "36h", "90d"}
	case "dead_letters_warn":
		return func(c *config) string { return fmt.Sprint(c.DeadLettersWarn) }, []string{"1", "20", "300"}
	case "audit_keep":
		return func(c *config) string { return formatDays(c.AuditKeep) }, []string{"1d", "30d", "1000d"}
	case "alert_link":
		return func(c *config) string { return c.AlertLink }, []string{"https://a", "https://b", "https://c"}
	case "alert_backlog":
		return func(c *config) string { return short(c.AlertBacklog) }, durations
	case "alert_pace":
		return func(c *config) string { return fmt.Sprint(c.AlertPace) }, []string{"1", "20", "300"}
	case "alert_remind":
		return func(c *config) string { return short(c.AlertRemind) }, durations
	case "health":
		return func(c *config) string { return c.Health }, []string{"a:1", "b:1", "c:1"}
	case "log_format":
		return func(c *config) string { return c.LogFormat }, []string{"text", "json", "syslog"}
	case "log_level":
		return func(c *config) string { return c.LogLevel }, []string{"debug", "info", "warn"}
	case "rules":
		return func(c *config) string { return c.Rules }, []string{"/a.yaml", "/b.yaml", "/c.yaml"}
	case "otlp_endpoint":
		return func(c *config) string { return c.OTLPEndpoint }, []string{"http://a/v1/traces", "http://b/v1/traces", "http://c/v1/traces"}
	case "otlp_headers":
		return func(c *config) string {
			if len(c.OTLPHeaders) == 0 {
				return ""
			}
			return "name=" + c.OTLPHeaders["Name"]
		}, []string{"name=a", "name=b", "name=c"}
	case "trace_ratio":
		return func(c *config) string { return fmt.Sprint(c.TraceRatio) }, []string{"0", "0.5", "0.25"}
	case "lang":
		return func(c *config) string { return c.Lang }, []string{"en", "zh", "en"}
	}
	t.Fatalf("no sample for the setting %s", s.key)
	return nil, nil
}

func TestConfigErrors(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		yaml    string
		flags   []string
		environ []string
		want    string
	}{
		{name: "unknown key", yaml: "# settings\nredis_ulr: redis://a\n", want: "emq.yaml:2: redis_ulr is not a setting of emq (did you mean redis_url?)"},
		{name: "unknown key, nothing like it", yaml: "colour: red", want: "emq.yaml:1: colour is not a setting of emq"},
		{name: "unknown key of an app", yaml: "apps:\n  shop:\n    app_kye: a#b\n", want: "emq.yaml:3: apps.shop.app_kye is not a setting of emq (did you mean app_key?)"},
		{name: "an app's key at the top", yaml: "app_key: a#b", want: "emq.yaml:1: app_key is not a setting"},
		{name: "a key that is a flag only", yaml: "config: other.yaml", want: "emq.yaml:1: config is not a setting"},
		{name: "bad alias", yaml: "apps:\n  Shop: {}\n", want: `emq.yaml:2: apps: app: "Shop": an app's alias has`},
		{name: "apps is no mapping", yaml: "apps: [shop]", want: "emq.yaml:1: apps: must be a list of \"name: value\""},
		{name: "an app is no mapping", yaml: "apps:\n  shop: 5", want: "emq.yaml:2: apps.shop: must be"},
		{name: "the file is no mapping", yaml: "- a", want: "emq.yaml:1: the file: must be"},
		{name: "value is a list", yaml: "redis_url: [a]", want: "emq.yaml:1: redis_url: must be one value"},
		{name: "value is empty", yaml: "\nredis_url:\n", want: "emq.yaml:2: redis_url: must be one value"},
		{name: "a tab", yaml: "apps:\n  shop:\n\tapp_key: a#b\n", want: "emq.yaml:3: a tab: indent with spaces"},
		{name: "a tab for all", yaml: "apps:\n\tshop:\n\t\tapp_key: a#b\n", want: "emq.yaml:2: a tab: indent with spaces"},
		{name: "a byte order mark before an unknown key", yaml: "\ufeffcolour: red", want: "emq.yaml:1: colour is not a setting of emq"},
		{name: "key given twice", yaml: "lang: en\nlang: zh\n", want: "emq.yaml:2: not valid YAML: "},
		{name: "two documents", yaml: "lang: en\n---\nlang: zh\n", want: "must be one YAML document"},
		{name: "merge key", yaml: "apps:\n  b:\n    <<: {app_key: x}\n", want: "emq.yaml:3: apps.b: merge keys are not supported"},
		{name: "bad value in the file", yaml: "\n\nconcurrency: many", want: `emq.yaml:3: concurrency: "many": must be a number from 1 to`},
		{name: "bad value in a variable", environ: []string{"EMQ_CONCURRENCY=0"}, want: `EMQ_CONCURRENCY: "0": must be a number from 1 to`},
		{name: "bad value in a flag", flags: []string{"--call-timeout=-1s"}, want: `--call-timeout: "-1s": must be a duration above 0, such as`},
		{name: "unknown word", environ: []string{"EMQ_LOG_FORMAT=xml"}, want: `EMQ_LOG_FORMAT: "xml": must be text, json, syslog`},
		{name: "bad alias in a variable", environ: []string{"EMQ_APP=Shop"}, want: `EMQ_APP: app: "Shop": an app's alias has`},
		{name: "unknown variable", environ: []string{"EMQ_REDIS_ULR=redis://a"}, want: "environment variable EMQ_REDIS_ULR is not a setting of emq (did you mean EMQ_REDIS_URL?)"},
		{name: "limit of an unknown endpoint", yaml: "apps:\n  shop:\n    limits:\n      messages.user: 1/s\n",
			want: "emq.yaml:4: apps.shop.limits.messages.user is not an endpoint of emq (did you mean messages.users?)"},
		{name: "limit with a bad rate", yaml: "apps:\n  shop:\n    limits:\n      messages.users: fast\n",
			want: `emq.yaml:4: apps.shop.limits.messages.users: "fast": must be COUNT/TIME such as`},
		{name: "limit with a bad rate of messages", yaml: "apps: {shop: {limits: {messages.users: {calls: 1/s, messages: 0/s}}}}",
			want: `apps.shop.limits.messages.users.messages: "0/s": must be COUNT/TIME such as`},
		{name: "limit of what is none", yaml: "apps: {shop: {limits: {messages.users: {call: 1/s}}}}",
			want: "apps.shop.limits.messages.users.call: a limit has calls and messages"},
		{name: "limit of messages where none are sent", yaml: "apps:\n  shop:\n    limits:\n      groups.create: {calls: 1/s, messages: 5/s}\n",
			want: "emq.yaml:4: apps.shop.limits.groups.create.messages: calls to groups.create send no messages"},
		{name: "limit without a rate", yaml: "apps: {shop: {limits: {messages.users: [1/s]}}}",
			want: "apps.shop.limits.messages.users: must be a rate such as 100/s"},
		{name: "limits is no mapping", yaml: "apps: {shop: {limits: 5}}", want: "apps.shop.limits: must be a list of"},
		{name: "no file variant", environ: []string{"EMQ_LANG_FILE=x"}, want: "environment variable EMQ_LANG_FILE is not a setting"},
		{name: "value and file", environ: []string{"EMQ_CLIENT_SECRET=a", "EMQ_CLIENT_SECRET_FILE=b"}, want: "EMQ_CLIENT_SECRET and EMQ_CLIENT_SECRET_FILE: only one of them may be given"},
		{name: "absent file", environ: []string{"EMQ_CLIENT_ID_FILE=/absent/id"}, want: "EMQ_CLIENT_ID_FILE: open /absent/id: no such file"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := load(t, test.yaml, test.flags, test.environ...)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want one with %q", err, test.want)
			}
		})
	}
}

func TestOtherVariablesAreLeftAlone(t *testing.T) {
	t.Parallel()
	mustLoad(t, "", nil, "EMQ_TEST_REDIS=x", "EMQ_DEV_SEED=1", "HOME=/", "EMQTHING=1")
}

func TestLimitsOfTheFile(t *testing.T) {
	t.Parallel()
	c := mustLoad(t, "apps: {shop: {limits: {messages.users: 200/s, messages.groups: {messages: 10/s}, groups.create: {calls: '10/m,1/s'}}}, other: {}}", nil)
	defaults := func(e tasks.Endpoint) tasks.Limit {
		info, _ := e.Info()
		return info.Limit
	}
	for e, want := range map[tasks.Endpoint]string{
		tasks.EndpointMessagesUsers:  "200/s, messages " + rates(defaults(tasks.EndpointMessagesUsers).Messages),
		tasks.EndpointMessagesGroups: rates(defaults(tasks.EndpointMessagesGroups).Calls) + ", messages 10/s",
		tasks.EndpointGroupsCreate:   "10/m,1/s",
	} {
		if got := c.Apps[1].Limits[e].String(); got != want {
			t.Errorf("%s: %s, want %s", e, got, want)
		}
	}
	if len(c.Apps[1].Limits) != 3 || len(c.Apps[0].Limits) != 0 {
		t.Errorf("limits %v", c.Apps)
	}
}

// TestRulesStandBesideTheSettings: a path in emq.yaml is relative to it, any
// other to the working directory.
func TestRulesStandBesideTheSettings(t *testing.T) {
	t.Parallel()
	if c := mustLoad(t, "rules: rules.yaml", nil); !filepath.IsAbs(c.Rules) || filepath.Base(c.Rules) != "rules.yaml" {
		t.Errorf("rules %q", c.Rules)
	}
	if c := mustLoad(t, "", nil, "EMQ_RULES=rules.yaml"); c.Rules != "rules.yaml" {
		t.Errorf("rules %q", c.Rules)
	}
}

func TestConfigFileIsOptional(t *testing.T) {
	t.Parallel()
	for _, yaml := range []string{"", "# nothing\n", "apps:\n", "---\n"} {
		if c := mustLoad(t, yaml, nil); len(c.Apps) > 0 || c.appOrDefault() != "default" {
			t.Errorf("%q: %v", yaml, c)
		}
	}
}

func TestByteOrderMarkIsSkipped(t *testing.T) {
	t.Parallel()
	if c := mustLoad(t, byteOrderMark+"lang: zh\n", nil); c.Lang != "zh" {
		t.Errorf("language %q", c.Lang)
	}
}

func TestSecretFiles(t *testing.T) {
	t.Parallel()
	c := mustLoad(t, "", nil, "EMQ_APP_KEY=o#a",
		"EMQ_CLIENT_SECRET_FILE="+secretFile(t, "s3cret\n"), "EMQ_CLIENT_ID_FILE="+secretFile(t, "  the-id\r\n"),
		"EMQ_REDIS_URL_FILE="+secretFile(t, "redis://:pw@host:1"))
	if app := c.Apps[0]; app.ClientSecret != "s3cret" || app.ClientID != "the-id" || c.RedisURL != "redis://:pw@host:1" {
		t.Errorf("read %q, %q, %q", app.ClientSecret, app.ClientID, c.RedisURL)
	}
	if _, err := load(t, "", nil, "EMQ_CLIENT_SECRET_FILE="+secretFile(t, " \n")); err == nil || !strings.Contains(err.Error(), "is empty") {
		t.Errorf("empty file: error %v", err)
	}
	large := secretFile(t, strings.Repeat("x", secretFileBytes+1))
	if _, err := load(t, "", nil, "EMQ_CLIENT_SECRET_FILE="+large); err == nil || !strings.Contains(err.Error(), "at most") {
		t.Errorf("large file: error %v", err)
	}
}

func TestSecretFileIsRelativeToTheConfigFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("shop.secret", "from the file\n")
	write("emq.yaml", "apps: {shop: {client_secret_file: shop.secret}}")
	c, err := loadConfig(t.Context(), pflag.NewFlagSet("", pflag.ContinueOnError), []string{"EMQ_CONFIG=" + filepath.Join(dir, "emq.yaml")})
	if err != nil || c.Apps[0].ClientSecret != "from the file" {
		t.Errorf("%v, %v", c, err)
	}
}

func TestApps(t *testing.T) {
	t.Parallel()
	two := `
apps:
  support: {app_key: acme#support, easemob_url: https://b, client_id: i2, client_secret: s2}
  shop:
    app_key: 1101#shop # a number, a hash sign, and a comment
    easemob_url: "https://a"
    client_id: i1
    client_secret: |
      s1
`
	shop := worker.App{Alias: "shop", Key: "1101#shop", URL: "https://a", ClientID: "i1", ClientSecret: "s1"}
	support := worker.App{Alias: "support", Key: "acme#support", URL: "https://b", ClientID: "i2", ClientSecret: "s2"}
	for _, test := range []struct {
		name    string
		yaml    string
		environ []string
		app     string
		want    []worker.App
	}{
		{name: "two in the file", yaml: two, app: "default", want: []worker.App{shop, support}},
		{name: "from variables alone", environ: []string{"EMQ_APP_KEY=o#a", "EMQ_CLIENT_ID=i"}, app: "default",
			want: []worker.App{{Alias: "default", Key: "o#a", ClientID: "i"}}},
		{name: "from variables, named", environ: []string{"EMQ_APP=eu", "EMQ_APP_KEY=o#a"}, app: "eu",
			want: []worker.App{{Alias: "eu", Key: "o#a"}}},
		{name: "a variable completes one of the file", yaml: two, environ: []string{"EMQ_APP=shop", "EMQ_CLIENT_SECRET=new"}, app: "shop",
			want: []worker.App{{Alias: "shop", Key: "1101#shop", URL: "https://a", ClientID: "i1", ClientSecret: "new"}, support}},
		{name: "the only app is the default", yaml: "apps: {eu: {app_key: o#a}}", environ: []string{"EMQ_CLIENT_ID=i"}, app: "eu",
			want: []worker.App{{Alias: "eu", Key: "o#a", ClientID: "i"}}},
		{name: "the file says which", yaml: "app: support\n" + two, app: "support", want: []worker.App{shop, support}},
		{name: "variables add one", yaml: two, environ: []string{"EMQ_APP_KEY=o#a"}, app: "default",
			want: []worker.App{{Alias: "default", Key: "o#a"}, shop, support}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := mustLoad(t, test.yaml, nil, test.environ...)
			if c.appOrDefault() != test.app {
				t.Errorf("app %q, want %q", c.appOrDefault(), test.app)
			}
			if !reflect.DeepEqual(c.Apps, test.want) {
				t.Errorf("apps %v, want %v", c.Apps, test.want)
			}
		})
	}
}

func TestServedAppsNamesWhatIsMissing(t *testing.T) {
	t.Parallel()
	c := mustLoad(t, "apps: {shop: {app_key: o#a, easemob_url: https://a, client_id: i}}", nil)
	_, err := c.servedApps()
	want := "app shop: client_secret is missing: set EMQ_CLIENT_SECRET, or apps.shop.client_secret in emq.yaml"
	if err == nil || err.Error() != want {
		t.Errorf("error %v, want %q", err, want)
	}
}

func TestHealthOff(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]*config{
		"flag off":     mustLoad(t, "", []string{"--health", "off"}),
		"flag empty":   mustLoad(t, "", []string{"--health", ""}),
		"variable off": mustLoad(t, "", nil, "EMQ_HEALTH=off"),
	} {
		if c.Health != "" {
			t.Errorf("%s: health at %q", name, c.Health)
		}
	}
}

func TestLanguageFollowsTheLocale(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		environ []string
		want    string
	}{
		{nil, "en"},
		{[]string{"LANG=zh_CN.UTF-8"}, "zh"},
		{[]string{"LANG=zh_CN.UTF-8", "LC_ALL=C"}, "en"},
		{[]string{"LANG=de_DE", "LC_MESSAGES=zh_TW"}, "zh"},
		{[]string{"LC_ALL=", "LANG=zh_CN"}, "zh"},
		{[]string{"LANG=zh_CN", "EMQ_LANG=en"}, "en"},
	} {
		if got := mustLoad(t, "", nil, test.environ...).Lang; got != test.want {
			t.Errorf("%v: %q, want %q", test.environ, got, test.want)
		}
	}
}

// TestSecretsAreNeverShown puts secrets everywhere and looks for them in all
// that the settings print, right or wrong.
func TestSecretsAreNeverShown(t *testing.T) {
	t.Parallel()
	const secret = "topsecret"
	environ := []string{
		"EMQ_REDIS_URL=redis://user:" + secret + "@host:1/0?sentinel_password=" + secret,
		"EMQ_APP_KEY=o#a", "EMQ_CLIENT_ID=" + secret, "EMQ_CLIENT_SECRET=" + secret, "EMQ_OTLP_HEADERS=authorization=" + secret,
	}
	c := mustLoad(t, "", nil, environ...)
	var logged bytes.Buffer
	for _, h := range []slog.Handler{
		slog.NewTextHandler(&logged, nil), slog.NewJSONHandler(&logged, nil),
	} {
		slog.New(h).Info("settings", "pointer", c, "value", *c, "app", c.Apps[0])
	}
	shown := map[string]string{
		"%v": fmt.Sprintf("%v %v %v", c, *c, c.Apps), "%+v": fmt.Sprintf("%+v %+v %+v", c, *c, c.Apps),
		"%#v": fmt.Sprintf("%#v %#v %#v", c, *c, c.Apps), "%s": fmt.Sprintf("%s %s", c, *c), "log": logged.String(),
	}
	for name, bad := range map[string]struct {
		yaml    string
		environ []string
	}{
		"URL in a variable":         {"", []string{"EMQ_REDIS_URL=redis://:" + secret + "@ho st"}},
		"URL in the file":           {"redis_url: 'redis://:" + secret + "@ho st'", nil},
		"collector's URL":           {"", []string{"EMQ_OTLP_ENDPOINT=https://user:" + secret + "@host"}},
		"collector's query":         {"otlp_endpoint: 'https://host/?key=" + secret + "'", nil},
		"headers":                   {"otlp_headers: 'a=b," + secret + "'", nil},
		"headers, escaped badly":    {"", []string{"EMQ_OTLP_HEADERS=a=%zz" + secret}},
		"YAML that can't be parsed": {"redis_url: redis://:" + secret + "@host\n  - {", nil},
		"secret that is a list":     {"apps: {a: {client_secret: [" + secret + "]}}", nil},
		"unknown key":               {"redis_urll: redis://:" + secret + "@host", nil},
		"unknown variable":          {"", []string{"EMQ_CLIENT_SECRETT=" + secret}},
	} {
		_, err := load(t, bad.yaml, nil, bad.environ...)
		if err == nil {
			t.Errorf("%s: no error", name)
			continue
		}
		shown[name] = err.Error()
	}
	for name, text := range shown {
		if strings.Contains(text, secret) {
			t.Errorf("%s shows the secret: %s", name, text)
		}
	}
}

// TestSettingsTable: the table of the README has a row for each setting, in
// Markdown that renders.
func TestSettingsTable(t *testing.T) {
	t.Parallel()
	lines := strings.Split(strings.TrimSuffix(settingsTable(), "\n"), "\n")
	if len(lines) != len(settings())+2 {
		t.Fatalf("%d lines for %d settings", len(lines), len(settings()))
	}
	for _, line := range lines {
		if strings.Count(line, "|") != 6 {
			t.Errorf("not five columns: %s", line)
		}
	}
	for i, s := range settings() {
		if row := lines[i+2]; !strings.Contains(row, "`"+s.variable()+"`") || !strings.Contains(row, s.meaning) {
			t.Errorf("row of %s: %s", s.key, row)
		}
	}
	want := "| `--client-secret-file` | `EMQ_CLIENT_SECRET` or `EMQ_CLIENT_SECRET_FILE` | `apps.ALIAS.client_secret` or `…_file` |  | the app's client secret |"
	if !slices.Contains(lines, want) {
		t.Errorf("no line %s in\n%s", want, strings.Join(lines, "\n"))
	}
}
