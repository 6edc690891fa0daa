package worker

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// metrics counts what a worker does. Its labels have few values each: IDs and
// texts are never among them.
type metrics struct {
	registry *prometheus.Registry
	calls    *prometheus.CounterVec
	unknown  *prometheus.CounterVec
}

func newMetrics() *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "emq_calls_total",
			Help: "Calls made, by the class that their answer was given.",
		}, []string{"app", "kind", "class"}),
		unknown: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "emq_unknown_answers_total",
			Help: "Answers whose words no rule knew. `emq rules unknown` lists them.",
		}, []string{"app", "kind"}),
	}
	m.registry.MustRegister(m.calls, m.unknown)
	return m
}

// call counts the last call of an attempt.
func (m *metrics) call(a *attempt) {
	m.calls.WithLabelValues(a.task.App, string(a.task.Kind()), string(a.verdict.Class)).Inc()
	if a.verdict.Unknown {
		m.unknown.WithLabelValues(a.task.App, string(a.task.Kind())).Inc()
	}
}

func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}
