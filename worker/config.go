package worker

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"

	"github.com/imqueue/emq/dlq"
	"github.com/imqueue/emq/errclass"
	"github.com/imqueue/emq/tasks"
)

// Defaults and bounds of Config.
const (
	ConcurrencyDefault  = 64
	ConcurrencyMax      = 1024
	CallTimeoutDefault  = 15 * time.Second
	DrainTimeoutDefault = 20 * time.Second
	DrainTimeoutMin     = time.Second
	DrainTimeoutMax     = 10 * time.Minute
	IDRetentionDefault  = time.Hour
	IDRetentionMax      = 30 * 24 * time.Hour
)

// An App is one Easemob app whose calls a worker makes.
type App struct {
	Alias        string // the name that tasks use
	Key          string // "org#app"
	URL          string // "https://host[:port]"; emq adds /org/app
	ClientID     string
	ClientSecret string
	// Limits are the rate limits of the app's plan, by endpoint. An endpoint that
	// is missing has the one of [tasks.Endpoints]; a limit without rates is none.
	Limits map[tasks.Endpoint]tasks.Limit
}

// LogValue keeps credentials out of logs.
func (a App) LogValue() slog.Value {
	return slog.GroupValue(slog.String("alias", a.Alias), slog.String("key", a.Key), slog.String("url", a.URL))
}

// String keeps credentials out of formatted output.
func (a App) String() string { return a.Alias + " (" + a.Key + " at " + a.URL + ")" }

// MarshalJSON keeps credentials out of JSON, such as a log's about a list of apps.
func (a App) MarshalJSON() ([]byte, error) { return json.Marshal(a.String()) }

// GoString keeps credentials out of %#v.
func (a App) GoString() string { return a.String() }

// checkLimits returns a *tasks.FieldError.
func (a App) checkLimits() error {
	for endpoint, limit := range a.Limits {
		field := "apps." + a.Alias + ".limits." + tasks.Printable(string(endpoint), 64)
		if _, known := endpoint.Info(); !known {
			return &tasks.FieldError{Field: field, Bound: "is no endpoint that emq knows"}
		}
		text, err := limit.MarshalJSON()
		if err == nil {
			err = new(tasks.Limit).UnmarshalJSON(text) // what can't be read again is out of its bounds
		}
		if err != nil {
			return &tasks.FieldError{Field: field, Value: limit.String(), Bound: err.Error()}
		}
	}
	return nil
}

// Config configures a Worker. Zero values mean the defaults.
type Config struct {
	// RedisURL is the Redis that holds the queues; see tasks.OpenRedis. The
	// worker opens clients of its own for its asynq servers and for the rest.
	RedisURL string
	Apps     []App // at least one; aliases are unique
	// Concurrency bounds the calls in flight for each family of each app:
	// 1 to 1024, 64 by default.
	Concurrency int
	// CallTimeout bounds one call, its answer read included: 15 s by default.
	CallTimeout time.Duration
	// DrainTimeout is how long calls in flight may take to end once Run's
	// context has ended: 1 s to 10 min, 20 s by default. Calls that take longer
	// are cut, and their tasks go back to their queues; Run returns at most 5 s
	// later.
	DrainTimeout time.Duration
	// IDRetention is how long a given task ID stays taken after delivery: up to
	// 30 days, an hour by default. Each such ID costs Redis about 100 bytes.
	IDRetention time.Duration
	// DeadLettersKeep is how long resolved and discarded dead letters are kept;
	// dlq.KeepDefault by default. Those that are dead are kept for ever.
	DeadLettersKeep time.Duration
	// DeadLettersWarn is from how many dead letters of an app on a warning is logged;
	// dlq.WarnDefault by default, negative for never.
	DeadLettersWarn int
	// AuditKeep is how long lines of the audit are kept; dlq.AuditKeepDefault by
	// default.
	AuditKeep time.Duration
	// Rules judges answers; nil means errclass.Default.
	Rules *errclass.Table
	// Logger gets one line for each attempt; nil means slog.Default.
	Logger *slog.Logger
	// Collectors are numbers of the process that /metrics shows with the worker's.
	Collectors []prometheus.Collector
	// Name tells this worker from others in attempt histories; empty means
	// host name and process ID.
	Name string
	// TracerProvider makes the spans of what the worker does with tasks; nil means none.
	TracerProvider trace.TracerProvider
}

// withDefaults returns a copy with defaults filled, or a *tasks.FieldError for
// the first setting that is out of bounds.
func (c Config) withDefaults() (Config, error) {
	if c.RedisURL == "" {
		return c, &tasks.FieldError{Field: "Redis URL", Bound: "must be given"}
	}
	if len(c.Apps) == 0 {
		return c, &tasks.FieldError{Field: "apps", Bound: "at least one must be configured"}
	}
	seen := map[string]bool{}
	for _, app := range c.Apps {
		if err := tasks.CheckApp(app.Alias); err != nil {
			return c, err
		}
		if seen[app.Alias] {
			return c, &tasks.FieldError{Field: "apps", Value: app.Alias, Bound: "configured twice"}
		}
		seen[app.Alias] = true
		if err := app.checkLimits(); err != nil {
			return c, err
		}
	}
	if c.Concurrency == 0 {
		c.Concurrency = ConcurrencyDefault
	}
	if c.Concurrency < 1 || c.Concurrency > ConcurrencyMax {
		return c, &tasks.FieldError{Field: "concurrency", Value: fmt.Sprint(c.Concurrency), Bound: fmt.Sprintf("1 to %d", ConcurrencyMax)}
	}
	if c.CallTimeout == 0 {
		c.CallTimeout = CallTimeoutDefault // its bounds are the HTTP client's to check
	}
	if c.DrainTimeout == 0 {
		c.DrainTimeout = DrainTimeoutDefault
	}
	if c.DrainTimeout < DrainTimeoutMin || c.DrainTimeout > DrainTimeoutMax {
		return c, &tasks.FieldError{Field: "drain timeout", Value: c.DrainTimeout.String(), Bound: fmt.Sprintf("%v to %v", DrainTimeoutMin, DrainTimeoutMax)}
	}
	if c.DeadLettersWarn == 0 {
		c.DeadLettersWarn = dlq.WarnDefault
	}
	if c.IDRetention == 0 {
		c.IDRetention = IDRetentionDefault
	}
	if c.IDRetention < 0 || c.IDRetention > IDRetentionMax {
		return c, &tasks.FieldError{Field: "ID retention", Value: c.IDRetention.String(), Bound: fmt.Sprintf("up to %v", IDRetentionMax)}
	}
	if c.Rules == nil {
		c.Rules = errclass.Default()
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Name == "" {
		host, err := os.Hostname()
		if err != nil {
			host = "worker"
		}
		c.Name = fmt.Sprintf("%s-%d", host, os.Getpid())
	}
	return c, nil
}
