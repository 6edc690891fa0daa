package dlq

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/imqueue/emq/errclass"
	"github.com/imqueue/emq/tasks"
)

const (
	// metricsFor is how long numbers that were read are shown, so that no scraper loads
	// Redis; metricsWait is how long a reading may take.
	metricsFor  = 5 * time.Second
	metricsWait = 3 * time.Second
	// metricsApps bounds the apps that are shown where none is named.
	metricsApps = 500
)

// familyAll is the label of a hold on a whole app.
const familyAll = "all"

// Metrics are numbers about the queues, dead letters and holds in Redis, for Prometheus.
// They are the same whoever shows them. They are read when they are asked for, at most
// every 5 s, at a cost that does not grow with what there is of tasks and dead letters;
// while Redis is away the last ones are shown, and emq_redis_up is 0.
type Metrics struct {
	store *Store
	named bool // the apps are given, else they are read as well
	now   func() time.Time

	mu     sync.Mutex
	at     time.Time
	up     bool
	apps   []string
	queues []Queue
	usage  []Usage
	holds  []Hold
}

var (
	redisUp = prometheus.NewDesc("emq_redis_up", "Whether Redis answered the last time that these numbers were read.", nil, nil)

	queueTasks   = prometheus.NewDesc("emq_queue_tasks", "Tasks in a queue, by asynq's state.", []string{"app", "queue", "state"}, nil)
	queueOldest  = prometheus.NewDesc("emq_queue_oldest_seconds", "How long the oldest due task of a queue has waited.", []string{"app", "queue"}, nil)
	queuePaused  = prometheus.NewDesc("emq_queue_paused", "1 while nothing is taken from a queue: it is held, or an operator paused it.", []string{"app", "queue"}, nil)
	deadLetters  = prometheus.NewDesc("emq_dead_letters", "Dead letters, by the class of their cause and their state.", []string{"app", "class", "state"}, nil)
	deadCauses   = prometheus.NewDesc("emq_dead_letter_causes", "Causes that the dead letters fall in.", []string{"app"}, nil)
	holdsInForce = prometheus.NewDesc("emq_holds", "1 where an app, or a family of its calls, is held.", []string{"app", "family"}, nil)
)

// Metrics returns the numbers of these apps, or of all that were ever used.
func (s *Store) Metrics(apps ...string) *Metrics {
	return &Metrics{store: s, apps: apps, named: len(apps) > 0, now: time.Now}
}

// Describe is prometheus.Collector's.
func (m *Metrics) Describe(to chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{redisUp, queueTasks, queueOldest, queuePaused, deadLetters, deadCauses, holdsInForce} {
		to <- desc
	}
}

// Collect is prometheus.Collector's.
func (m *Metrics) Collect(to chan<- prometheus.Metric) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if now := m.now(); m.at.IsZero() || now.Sub(m.at) >= metricsFor {
		m.at, m.up = now, m.read() == nil
	}
	gauge := func(desc *prometheus.Desc, value float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, labels...)
	}
	up := 0.0
	if m.up {
		up = 1
	}
	gauge(redisUp, up)
	for _, app := range m.apps {
		m.collectQueues(gauge, app)
		m.collectApp(gauge, app)
	}
}

// read reads the numbers; those that were read stay when one of them can't be.
func (m *Metrics) read() error {
	ctx, cancel := context.WithTimeout(context.Background(), metricsWait)
	defer cancel()
	apps := m.apps
	if !m.named {
		var err error
		if apps, err = m.store.Apps(ctx); err != nil {
			return err
		}
		apps = apps[:min(len(apps), metricsApps)]
	}
	queues, err := m.store.Queues(ctx, apps...)
	if err != nil {
		return err
	}
	usage, err := m.store.Usage(ctx, apps...)
	if err != nil {
		return err
	}
	holds, err := m.store.Holds(ctx, apps...)
	if err != nil {
		return err
	}
	m.apps, m.queues, m.usage, m.holds = apps, queues, usage, holds
	return nil
}

// collectQueues shows all queues that an app may have, also those that were never used;
// only those that were, where apps are not named and may be many.
func (m *Metrics) collectQueues(gauge func(*prometheus.Desc, float64, ...string), app string) {
	known := map[string]Queue{}
	for _, q := range m.queues {
		known[q.Name] = q
	}
	for _, name := range tasks.QueueNames(app) {
		q, used := known[name]
		if !used && !m.named {
			continue
		}
		for state, n := range map[string]int{"pending": q.Pending, "active": q.Active, "scheduled": q.Scheduled, "retry": q.Retry, "archived": q.Archived} {
			gauge(queueTasks, float64(n), app, name, state)
		}
		gauge(queueOldest, q.Latency.Seconds(), app, name)
		paused := 0.0
		if q.Paused {
			paused = 1
		}
		gauge(queuePaused, paused, app, name)
	}
}

func (m *Metrics) collectApp(gauge func(*prometheus.Desc, float64, ...string), app string) {
	usage := Usage{}
	if i := slices.IndexFunc(m.usage, func(u Usage) bool { return u.App == app }); i >= 0 {
		usage = m.usage[i]
	}
	for _, class := range errclass.Classes() {
		if class == errclass.ClassSuccess {
			continue
		}
		for _, state := range States() {
			gauge(deadLetters, float64(usage.byClass[class][state]), app, string(class), string(state))
		}
	}
	gauge(deadCauses, float64(usage.Causes), app)
	held := map[string]float64{familyAll: 0}
	for _, family := range tasks.Families() {
		held[string(family)] = 0
	}
	for _, h := range m.holds {
		if h.App != app {
			continue
		}
		family := string(h.Family)
		if family == "" {
			family = familyAll
		}
		held[family] = 1
	}
	for _, family := range slices.Sorted(maps.Keys(held)) {
		gauge(holdsInForce, held[family], app, family)
	}
}
