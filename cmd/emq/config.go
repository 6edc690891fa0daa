package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/imqueue/emq/admin/alert"
	"github.com/imqueue/emq/dlq"
	"github.com/imqueue/emq/tasks"
	"github.com/imqueue/emq/worker"
)

const (
	varPrefix  = "EMQ_"
	configFile = "emq.yaml"
	// configFileBytes bounds it: thousands of apps.
	configFileBytes = 4 << 20
	// fileSuffix turns a setting into the one that names a file with its value.
	fileSuffix      = "_file"
	secretFileBytes = 64 << 10
)

// A setting is one thing that can be set. Flag, variable and line of emq.yaml
// carry the same name, each in its own spelling.
type setting struct {
	key     string // as in emq.yaml; below apps.ALIAS when app is set
	unit    string // what a value is, for --help
	def     string // taken when nothing is given
	shown   string // says what happens by default, where def can't
	meaning string

	noYAML   bool // not in emq.yaml
	path     bool // names a file; in emq.yaml, relative to it
	fromFile bool // the value may also stand in a file of its own
	secret   bool // is not taken from a flag, which every user of the machine can read

	put func(*config, string) error
	app func(*worker.App) *string
}

func (s setting) flag() string     { return strings.ReplaceAll(s.key, "_", "-") }
func (s setting) variable() string { return varPrefix + strings.ToUpper(s.key) }

// settings is the table of all settings: flags, variables, emq.yaml, the help
// and the README follow from it.
func settings() []setting {
	return []setting{
		{key: "config", unit: "FILE", shown: "./" + configFile + " if there", noYAML: true,
			meaning: "the settings file",
			put:     func(*config, string) error { return nil }}, // read before all others
		{key: "redis_url", unit: "URL", def: "redis://127.0.0.1:6379", fromFile: true,
			meaning: "Redis that holds queues and dead letters; with `?cluster=true` a Cluster, with `?master_name=NAME` a Sentinel",
			put:     putURL},
		{key: "app", unit: "ALIAS", shown: "the only app of " + configFile + ", else `" + tasks.AppDefault + "`",
			meaning: "alias of the app that tasks belong to when they name none, and that the four settings below describe",
			put: func(c *config, text string) error {
				c.App = text
				return tasks.CheckApp(text)
			}},
		{key: "app_key", unit: "ORG#APP",
			meaning: "the app's key, as Easemob's console shows it",
			app:     func(a *worker.App) *string { return &a.Key }},
		{key: "easemob_url", unit: "URL",
			meaning: "scheme and host of the app's data centre, such as `https://a1.easemob.com`; emq adds `/org/app/…`",
			app:     func(a *worker.App) *string { return &a.URL }},
		{key: "client_id", unit: "ID", fromFile: true,
			meaning: "the app's client ID",
			app:     func(a *worker.App) *string { return &a.ClientID }},
		{key: "client_secret", unit: "SECRET", fromFile: true, secret: true,
			meaning: "the app's client secret",
			app:     func(a *worker.App) *string { return &a.ClientSecret }},
		{key: "concurrency", unit: "N", def: strconv.Itoa(worker.ConcurrencyDefault),
			meaning: fmt.Sprintf("calls in flight for each family of each app, 1 to %d", worker.ConcurrencyMax),
			put:     putCount(func(c *config) *int { return &c.Concurrency }, worker.ConcurrencyMax)},
		{key: "call_timeout", unit: "DURATION", def: worker.CallTimeoutDefault.String(),
			meaning: "bound of one call, its answer read included",
			put:     putDuration(func(c *config) *time.Duration { return &c.CallTimeout })},
		{key: "drain_timeout", unit: "DURATION", def: worker.DrainTimeoutDefault.String(),
			meaning: "how long calls in flight may take to end when a worker is stopped",
			put:     putDuration(func(c *config) *time.Duration { return &c.DrainTimeout })},
		{key: "id_retention", unit: "DURATION", def: shortDuration(worker.IDRetentionDefault),
			meaning: "how long a task's given ID stays taken after delivery",
			put:     putDuration(func(c *config) *time.Duration { return &c.IDRetention })},
		{key: "dead_letters_keep", unit: "DURATION", def: formatDays(dlq.KeepDefault),
			meaning: "how long resolved and discarded dead letters are kept; the others stay until a person has dealt with them",
			put:     putDays(func(c *config) *time.Duration { return &c.DeadLettersKeep }, time.Hour)},
		{key: "dead_letters_warn", unit: "N", def: strconv.Itoa(dlq.WarnDefault),
			meaning: "from how many dead letters of an app on workers and `emq doctor` warn; `off` for never. None is dropped",
			put:     putWarn},
		{key: "audit_keep", unit: "DURATION", def: formatDays(dlq.AuditKeepDefault),
			meaning: "how long `emq audit` remembers what persons did",
			put:     putDays(func(c *config) *time.Duration { return &c.AuditKeep }, 24*time.Hour)},
		{key: "alert_link", unit: "URL",
			meaning: "address of emq's web page, for links in alerts",
			put:     func(c *config, text string) error { c.AlertLink = text; return nil }},
		{key: "alert_backlog", unit: "DURATION", def: shortDuration(alert.BacklogDefault),
			meaning: "alert when a due task has waited for so long",
			put:     putDuration(func(c *config) *time.Duration { return &c.AlertBacklog })},
		{key: "alert_pace", unit: "N", def: strconv.Itoa(alert.PaceDefault),
			meaning: "alert again when a known cause makes so many dead letters a minute; `off` for never",
			put:     putPace},
		{key: "alert_remind", unit: "DURATION", def: shortDuration(alert.RemindDefault),
			meaning: "how often to alert again of what lasts, at least " + shortDuration(alert.RemindMin),
			put:     putDuration(func(c *config) *time.Duration { return &c.AlertRemind })},
		{key: "health", unit: "ADDR", def: "127.0.0.1:8611",
			meaning: "where a worker answers /healthz and /readyz; `off` for nowhere",
			put:     putHealth},
		{key: "log_format", unit: "FORMAT", def: "text",
			meaning: "`text`, `json`, or `syslog` for the system log",
			put:     putWord(func(c *config) *string { return &c.LogFormat }, "text", "json", "syslog")},
		{key: "log_level", unit: "LEVEL", def: "info",
			meaning: "`debug`, `info`, `warn` or `error`",
			put:     putWord(func(c *config) *string { return &c.LogLevel }, "debug", "info", "warn", "error")},
		{key: "rules", unit: "FILE", path: true,
			meaning: "a file of your own rules for answers, asked before the builtin ones; `emq rules check` checks it",
			put:     func(c *config, text string) error { c.Rules = text; return nil }},
		{key: "otlp_endpoint", unit: "URL", shown: "`off`",
			meaning: "where workers and `emq enqueue` send traces by OTLP over HTTP, such as `http://127.0.0.1:4318`; `/v1/traces` is added to a URL without a path",
			put:     putOTLPEndpoint},
		{key: "otlp_headers", unit: "HEADERS", fromFile: true, secret: true,
			meaning: "headers of these requests, such as those of a login: `name=value,name=value`, values percent-encoded",
			put: func(c *config, text string) (err error) {
				c.OTLPHeaders, err = parseHeaders(text)
				return err
			}},
		{key: "trace_ratio", unit: "RATIO", def: "1",
			meaning: "the share of traces that are kept, 0 to 1, of those that begin in emq; what a request brings along decides for itself",
			put:     putRatio},
		{key: "lang", unit: "LANG", shown: "the locale's, else `en`",
			meaning: "language of explanations: `en` or `zh`",
			put:     putWord(func(c *config) *string { return &c.Lang }, "en", "zh")},
	}
}

// config is what the settings say.
type config struct {
	RedisURL        string
	App             string // empty when not set and not evident
	Apps            []worker.App
	borrowed        string // an alias that only --app gives to what variables describe; most often empty
	Concurrency     int
	CallTimeout     time.Duration
	DrainTimeout    time.Duration
	IDRetention     time.Duration
	DeadLettersKeep time.Duration
	DeadLettersWarn int // negative: off
	AuditKeep       time.Duration
	AlertLink       string // empty: none
	AlertBacklog    time.Duration
	AlertPace       int // negative: off
	AlertRemind     time.Duration
	Channels        []alert.ChannelConfig
	Health          string // empty: off
	LogFormat       string
	LogLevel        string
	Rules           string // path; empty: the builtin rules alone
	OTLPEndpoint    string // empty: off
	OTLPHeaders     map[string]string
	TraceRatio      float64
	Lang            string
}

// given is a value with the place where it was set.
type given struct{ text, source string }

// A layer is one place where settings are made: key -> value.
type layer map[string]given

// loadConfig reads the settings: what a flag says wins over a variable, and
// that over emq.yaml. Unknown variables and keys are errors. No error shows a secret.
func loadConfig(ctx context.Context, flags *pflag.FlagSet, environ []string) (*config, error) {
	fromFlags := flagLayer(flags)
	vars, err := variableLayer(environ)
	if err != nil {
		return nil, err
	}
	file, err := readConfigFile(ctx, fromFlags, vars)
	if err != nil {
		return nil, err
	}
	c := &config{}
	for _, s := range settings() {
		if s.app != nil {
			continue
		}
		v, ok, err := s.pick(ctx, fromFlags, vars, file.layer)
		if err != nil {
			return nil, err
		}
		if !ok {
			v = given{s.def, "default"}
		}
		if v.text == "" {
			continue
		}
		if err := s.put(c, v.text); err != nil {
			return nil, fmt.Errorf("%s: %w", v.source, err)
		}
	}
	if err := c.putApps(ctx, fromFlags, vars, file.layer, file.apps); err != nil {
		return nil, err
	}
	if err := c.putChannels(ctx, file.alerts); err != nil {
		return nil, err
	}
	if c.Lang == "" {
		c.Lang = localeLang(environ)
	}
	return c, nil
}

// pick returns the setting's value from the first layer that has one.
func (s setting) pick(ctx context.Context, layers ...layer) (given, bool, error) {
	for _, l := range layers {
		value, ok := l[s.key]
		path, inFile := l[s.key+fileSuffix]
		switch {
		case ok && inFile:
			return given{}, false, fmt.Errorf("%s and %s: only one of them may be given", value.source, path.source)
		case ok:
			return value, true, nil
		case inFile:
			text, err := readSecret(ctx, path.text)
			if err != nil {
				return given{}, false, fmt.Errorf("%s: %w", path.source, err)
			}
			return given{text, path.source}, true, nil
		}
	}
	return given{}, false, nil
}

// in says whether the layer has the setting.
func (s setting) in(l layer) bool { return l[s.key].text != "" || l[s.key+fileSuffix].text != "" }

// readSecret reads a file that holds one value.
func readSecret(ctx context.Context, path string) (string, error) {
	raw, err := readFile(ctx, path, secretFileBytes)
	if err != nil {
		return "", err
	}
	text := strings.TrimSpace(string(raw))
	if text == "" {
		return "", fmt.Errorf("%s is empty", path)
	}
	return text, nil
}

// putApps gathers the apps of emq.yaml, and the one that flags and variables
// describe or complete.
func (c *config) putApps(ctx context.Context, flags, vars, file layer, apps map[string]fileApp) error {
	if c.App == "" && len(apps) == 1 {
		for alias := range apps {
			c.App = alias
		}
	}
	direct := false
	for _, s := range settings() {
		direct = direct || s.app != nil && (s.in(flags) || s.in(vars))
	}
	if alias := c.appOrDefault(); direct && apps[alias].layer == nil {
		apps[alias] = fileApp{layer: layer{}}
		if alias != cmp.Or(vars["app"].text, file["app"].text, tasks.AppDefault) {
			c.borrowed = alias
		}
	}
	for alias, inFile := range apps {
		layers := []layer{inFile.layer}
		if direct && alias == c.appOrDefault() {
			layers = []layer{flags, vars, inFile.layer}
		}
		app := worker.App{Alias: alias, Limits: inFile.limits}
		for _, s := range settings() {
			if s.app == nil {
				continue
			}
			v, _, err := s.pick(ctx, layers...)
			if err != nil {
				return err
			}
			*s.app(&app) = v.text
		}
		c.Apps = append(c.Apps, app)
	}
	slices.SortFunc(c.Apps, func(a, b worker.App) int { return strings.Compare(a.Alias, b.Alias) })
	return nil
}

// channelSettings are what emq.yaml says of a channel of alerts.
func channelSettings(c *alert.ChannelConfig) map[string]struct {
	fromFile bool
	value    *string
} {
	return map[string]struct {
		fromFile bool
		value    *string
	}{
		"type": {false, &c.Type}, "url": {true, &c.URL}, "secret": {true, &c.Secret}, "lang": {false, &c.Lang},
	}
}

// putChannels gathers the channels of emq.yaml.
func (c *config) putChannels(ctx context.Context, alerts map[string]layer) error {
	for name, l := range alerts {
		channel := alert.ChannelConfig{Name: name, Lang: c.Lang}
		for key, s := range channelSettings(&channel) {
			v, ok, err := setting{key: key}.pick(ctx, l)
			if err != nil {
				return err
			}
			if ok {
				*s.value = v.text
			}
		}
		c.Channels = append(c.Channels, channel)
	}
	slices.SortFunc(c.Channels, func(a, b alert.ChannelConfig) int { return strings.Compare(a.Name, b.Name) })
	return nil
}

// channels makes the channels, or says what is wrong with one.
func (c *config) channels() ([]*alert.Channel, error) {
	var channels []*alert.Channel
	for _, cfg := range c.Channels {
		channel, err := alert.NewChannel(cfg)
		if err != nil {
			return nil, err
		}
		channels = append(channels, channel)
	}
	return channels, nil
}

// appOrDefault is the alias for tasks that name none.
func (c config) appOrDefault() string { return cmp.Or(c.App, tasks.AppDefault) }

// knowsApp says whether the settings describe the app. Where they describe none,
// the default one passes: it is what a worker with nothing but credentials serves.
// What variables describe has the alias that they give it, not that of one
// command's --app, of which no worker may know.
func (c *config) knowsApp(alias string) bool {
	if len(c.Apps) == 0 {
		return alias == tasks.AppDefault
	}
	return alias != c.borrowed && slices.ContainsFunc(c.Apps, func(a worker.App) bool { return a.Alias == alias })
}

// servedApps returns the apps for a worker, or says what one of them lacks.
func (c *config) servedApps() ([]worker.App, error) {
	if len(c.Apps) == 0 {
		return nil, fmt.Errorf("no app is configured: set EMQ_APP_KEY, EMQ_EASEMOB_URL, EMQ_CLIENT_ID and EMQ_CLIENT_SECRET, or apps in %s", configFile)
	}
	for i := range c.Apps {
		for _, s := range settings() {
			if s.app != nil && *s.app(&c.Apps[i]) == "" {
				alias := c.Apps[i].Alias
				return nil, fmt.Errorf("app %s: %s is missing: set %s, or apps.%s.%s in %s", alias, s.key, s.variable(), alias, s.key, configFile)
			}
		}
	}
	return c.Apps, nil
}

// String lists the settings, secrets hidden.
func (c config) String() string {
	parts := []string{
		"redis_url=" + redactURL(c.RedisURL), "app=" + c.appOrDefault(),
		fmt.Sprintf("concurrency=%d", c.Concurrency), fmt.Sprintf("call_timeout=%v", c.CallTimeout),
		fmt.Sprintf("drain_timeout=%v", c.DrainTimeout), fmt.Sprintf("id_retention=%v", c.IDRetention),
		"dead_letters_keep=" + formatDays(c.DeadLettersKeep), fmt.Sprintf("dead_letters_warn=%d", c.DeadLettersWarn), "audit_keep=" + formatDays(c.AuditKeep),
		"alert_link=" + redactURL(c.AlertLink), fmt.Sprintf("alert_backlog=%v alert_pace=%d alert_remind=%v", c.AlertBacklog, c.AlertPace, c.AlertRemind),
		"health=" + c.Health, "log_format=" + c.LogFormat, "log_level=" + c.LogLevel, "rules=" + c.Rules, "lang=" + c.Lang,
		"otlp_endpoint=" + c.OTLPEndpoint, fmt.Sprintf("trace_ratio=%v", c.TraceRatio),
	}
	for _, app := range c.Apps {
		parts = append(parts, "app:"+app.String())
	}
	for _, channel := range c.Channels {
		parts = append(parts, "alerts:"+channel.String())
	}
	return strings.Join(parts, " ")
}

// GoString lists the settings, secrets hidden.
func (c config) GoString() string { return c.String() }

// LogValue lists the settings, secrets hidden.
func (c config) LogValue() slog.Value { return slog.StringValue(c.String()) }

// localeLang is the language that the locale variables ask for.
func localeLang(environ []string) string {
	for _, name := range []string{"LC_ALL", "LC_MESSAGES", "LANG"} {
		for _, pair := range environ {
			if value, ok := strings.CutPrefix(pair, name+"="); ok && value != "" {
				if strings.HasPrefix(strings.ToLower(value), "zh") {
					return "zh"
				}
				return "en"
			}
		}
	}
	return "en"
}

// redactURL hides the password, and the whole of what isn't a URL.
func redactURL(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return "[not a URL]"
	}
	query := u.Query()
	for name := range query {
		if strings.Contains(name, "password") {
			query.Set(name, "xxxxx")
			u.RawQuery = query.Encode()
		}
	}
	return u.Redacted()
}

func putURL(c *config, text string) error {
	if _, err := url.Parse(text); err != nil {
		return errors.New("must be a URL such as redis://host:port") // err would quote it, password included
	}
	c.RedisURL = text
	return nil
}

func putHealth(c *config, text string) error {
	if c.Health = text; text == "off" {
		c.Health = ""
	}
	return nil
}

func putWord(field func(*config) *string, words ...string) func(*config, string) error {
	return func(c *config, text string) error {
		*field(c) = text
		if !slices.Contains(words, text) {
			return fmt.Errorf("%q: must be %s", text, strings.Join(words, ", "))
		}
		return nil
	}
}

func putCount(field func(*config) *int, most int) func(*config, string) error {
	return func(c *config, text string) (err error) {
		if *field(c), err = strconv.Atoi(text); err != nil || *field(c) < 1 || *field(c) > most {
			return fmt.Errorf("%q: must be a number from 1 to %d", text, most)
		}
		return nil
	}
}

func putDuration(field func(*config) *time.Duration) func(*config, string) error {
	return func(c *config, text string) (err error) {
		if *field(c), err = time.ParseDuration(text); err != nil || *field(c) <= 0 {
			return fmt.Errorf("%q: must be a duration above 0, such as 500ms, 15s or 2h", text)
		}
		return nil
	}
}

// putDays reads a duration that may be given in days.
func putDays(field func(*config) *time.Duration, least time.Duration) func(*config, string) error {
	return func(c *config, text string) (err error) {
		if days, ok := strings.CutSuffix(text, "d"); ok {
			var n uint64
			n, err = strconv.ParseUint(days, 10, 16)
			*field(c) = time.Duration(n) * 24 * time.Hour
		} else {
			*field(c), err = time.ParseDuration(text)
		}
		if err != nil || *field(c) < least {
			return fmt.Errorf("%q: must be a duration of at least %s, such as 36h or 30d", text, shortDuration(least))
		}
		return nil
	}
}

// formatDays writes a duration in days where it is whole days.
func formatDays(d time.Duration) string {
	if d > 0 && d%(24*time.Hour) == 0 {
		return fmt.Sprintf("%dd", d/(24*time.Hour))
	}
	return shortDuration(d)
}

func putPace(c *config, text string) error {
	if text == "off" {
		c.AlertPace = -1
		return nil
	}
	return putCount(func(c *config) *int { return &c.AlertPace }, 1_000_000)(c, text)
}

func putWarn(c *config, text string) error {
	if text == "off" {
		c.DeadLettersWarn = -1
		return nil
	}
	n, err := strconv.Atoi(text)
	if c.DeadLettersWarn = n; err != nil || n < 1 {
		return fmt.Errorf("%q: must be a number above 0, or off", text)
	}
	return nil
}

// shortDuration writes 1h0m0s as 1h.
func shortDuration(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// settingsTable is the table of settings in Markdown, for the README.
func settingsTable() string {
	return settingsTableOf("| flag | variable | in `emq.yaml` | default | meaning |", " or ", settings())
}

func settingsTableOf(heads, or string, rows []setting) string {
	var b strings.Builder
	b.WriteString(heads + "\n|---|---|---|---|---|\n")
	for _, s := range rows {
		flag, variable, inYAML := "`--"+s.flag()+"`", "`"+s.variable()+"`", "`"+s.key+"`"
		if s.app != nil {
			inYAML = "`apps.ALIAS." + s.key + "`"
		}
		switch {
		case s.secret:
			flag = "`--" + s.flag() + "-file`"
			fallthrough
		case s.fromFile:
			variable += or + "`" + s.variable() + "_FILE`"
			inYAML += or + "`…" + fileSuffix + "`"
		}
		if s.noYAML {
			inYAML = ""
		}
		def := s.shown
		if s.def != "" {
			def = "`" + s.def + "`"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", flag, variable, inYAML, def, s.meaning)
	}
	return b.String()
}

// inDir makes a relative path relative to dir.
func inDir(dir, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}
