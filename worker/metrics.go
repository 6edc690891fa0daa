package worker

import (
	"context"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/redis/go-redis/v9"

	"github.com/imqueue/emq/errclass"
	"github.com/imqueue/emq/tasks"
)

// metrics counts what a worker does. Its labels have few values each: apps of the
// settings, words of emq's and IDs of rules. IDs of tasks and texts are never among them.
// docs/metrics.md lists them all.
type metrics struct {
	registry  *prometheus.Registry
	attempts  *prometheus.CounterVec
	calls     *prometheus.CounterVec
	unknown   *prometheus.CounterVec
	latency   *prometheus.HistogramVec
	delivery  *prometheus.HistogramVec
	inFlight  *prometheus.GaugeVec
	waits     *prometheus.CounterVec
	tokens    *prometheus.CounterVec
	resends   *prometheus.CounterVec
	recovered prometheus.Counter
	redis     prometheus.Histogram

	apps  map[string]bool // of the settings
	kinds sync.Map        // [2]string{app, kind} that was called
}

// ruleOK is the rule of a plain success.
const ruleOK = "ok"

func newMetrics(apps []App) *metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	histogram := func(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}, labels)
	}
	m := &metrics{
		registry: prometheus.NewRegistry(), apps: map[string]bool{},
		attempts: counter("emq_attempts_total", "Attempts that ended, by the class and rule of the verdict on the task.", "app", "kind", "class", "rule"),
		calls:    counter("emq_calls_total", "Calls made, by the class that their answer was given.", "app", "kind", "class"),
		unknown:  counter("emq_unknown_answers_total", "Answers whose words no rule knew. `emq rules unknown` lists them.", "app", "kind"),
		latency: histogram("emq_call_duration_seconds", "Time of a call, from asking for a connection to the end of its answer.",
			[]float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}, "app", "endpoint"),
		delivery: histogram("emq_delivery_duration_seconds", "Time from the enqueue of a task, or when it was planned for, to its success.",
			[]float64{.01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 3600, 21600}, "app", "family", "priority"),
		inFlight: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "emq_in_flight", Help: "Calls under way."}, []string{"app"}),
		waits:    counter("emq_limit_waits_total", "Times that a task that was due had to wait for the rate limit of its endpoint.", "app", "endpoint"),
		tokens:   counter("emq_token_fetches_total", "Fetches of an app's token, by whether they brought one.", "app", "result"),
		resends:  counter("emq_resends_total", "Resent tasks that ended: resolved, or dead again.", "app", "end"),
		recovered: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "emq_recovered_tasks_total", Help: "Tasks put back into their queues because their worker was gone or had stopped for too long.",
		}),
		redis: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "emq_redis_duration_seconds", Help: "Time of a command, or of a pipeline of them, to Redis and back.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 3},
		}),
	}
	m.registry.MustRegister(m.attempts, m.calls, m.unknown, m.latency, m.delivery, m.inFlight, m.waits, m.tokens, m.resends, m.recovered, m.redis,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	for _, app := range apps {
		m.apps[app.Alias] = true
		m.begin(app.Alias)
	}
	return m
}

// begin makes the series of an app, so that what is counted for the first time is seen to
// have grown. Of attempts only those are made that need no call, or are plain success: the others
// would be too many, and come with the first call of a kind.
func (m *metrics) begin(app string) {
	for _, kind := range tasks.Kinds() {
		m.attempts.WithLabelValues(app, string(kind.Kind), string(errclass.ClassSuccess), ruleOK)
		for _, v := range ownVerdicts() {
			m.attempts.WithLabelValues(app, string(kind.Kind), string(v.Class), v.Rule)
		}
		m.unknown.WithLabelValues(app, string(kind.Kind))
		for _, class := range errclass.Classes() {
			m.calls.WithLabelValues(app, string(kind.Kind), string(class))
		}
	}
	for _, info := range tasks.Endpoints() {
		m.latency.WithLabelValues(app, string(info.Endpoint))
		m.waits.WithLabelValues(app, string(info.Endpoint))
	}
	for _, family := range tasks.Families() {
		for _, priority := range tasks.Priorities() {
			m.delivery.WithLabelValues(app, string(family), string(priority))
		}
	}
	m.inFlight.WithLabelValues(app)
	for _, result := range []string{tokenOK, tokenFailed} {
		m.tokens.WithLabelValues(app, result)
	}
	for _, end := range []string{endResolved, endDead} {
		m.resends.WithLabelValues(app, end)
	}
}

const (
	tokenOK     = "ok"
	tokenFailed = "failed"
	endResolved = "resolved"
)

// other is the label of what a task says and no setting or list knows.
const other = "other"

// labels are the app and the kind of a task, as labels.
func (m *metrics) labels(t tasks.Task) (app, kind string) {
	app, kind = t.App, other
	if !m.apps[app] {
		app = other
	}
	if t.Payload != nil {
		kind = string(t.Kind())
	}
	return app, kind
}

// call counts the last call of an attempt, judged by these rules. From a kind's first call
// on, all that its attempts may come to is there.
func (m *metrics) call(a *attempt, rules *errclass.Table) {
	app, kind := m.labels(a.task)
	if _, begun := m.kinds.LoadOrStore([2]string{app, kind}, true); !begun {
		for _, rule := range rules.Rules() {
			m.attempts.WithLabelValues(app, kind, string(rule.Class), rule.ID)
		}
	}
	m.calls.WithLabelValues(app, kind, string(a.verdict.Class)).Inc()
	if a.verdict.Unknown {
		m.unknown.WithLabelValues(app, kind).Inc()
	}
	if !a.noToken && a.refusal == nil {
		m.latency.WithLabelValues(app, string(a.task.Endpoint())).Observe(a.latency.Seconds())
	}
}

// end counts an attempt that ended so.
func (m *metrics) end(a *attempt, end string) {
	v := a.ending()
	app, kind := m.labels(a.task)
	m.attempts.WithLabelValues(app, kind, string(v.Class), v.Rule).Inc()
	switch {
	case end == endDone:
		due := a.task.EnqueuedAt
		if a.task.ProcessAt.After(due) {
			due = a.task.ProcessAt
		}
		endpoint := a.task.Endpoint()
		m.delivery.WithLabelValues(app, string(endpoint.Family()), string(a.task.Priority)).Observe(max(0, time.Since(due)).Seconds())
		if a.task.Generation > 0 {
			m.resends.WithLabelValues(app, endResolved).Inc()
		}
	case end == endDead && a.task.Generation > 0:
		m.resends.WithLabelValues(app, endDead).Inc()
	}
}

// tokenFetched counts an app's token fetches.
func (m *metrics) tokenFetched(app string) func(ok bool) {
	return func(ok bool) {
		result := tokenFailed
		if ok {
			result = tokenOK
		}
		m.tokens.WithLabelValues(app, result).Inc()
	}
}

// breakers shows which breakers keep calls back.
func (m *metrics) breakers(all breakers) {
	for app, b := range all {
		m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "emq_breaker_open", Help: "1 while this worker makes no calls of the app, or single ones that probe, because Easemob is down.",
			ConstLabels: prometheus.Labels{"app": app},
		}, b.openness))
	}
}

// time has a Redis client's commands timed.
func (m *metrics) time(rdb redis.UniversalClient) { rdb.AddHook(redisTimer{m.redis}) }

// redisTimer is a hook that times commands. What listens is none.
type redisTimer struct{ to prometheus.Histogram }

// DialHook leaves dialling as it is.
func (redisTimer) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

// ProcessHook times a command.
func (r redisTimer) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		began := time.Now()
		defer func() { r.to.Observe(time.Since(began).Seconds()) }()
		return next(ctx, cmd)
	}
}

// ProcessPipelineHook times a pipeline as one.
func (r redisTimer) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		began := time.Now()
		defer func() { r.to.Observe(time.Since(began).Seconds()) }()
		return next(ctx, cmds)
	}
}

func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError})
}
