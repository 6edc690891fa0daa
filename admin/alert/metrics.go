package alert

import (
	"github.com/prometheus/client_golang/prometheus"
)

// metrics counts what is told. Its labels are words of emq's and names of channels.
type metrics struct {
	told  *prometheus.CounterVec
	sends *prometheus.CounterVec
}

func newMetrics(channels []*Channel) *metrics {
	m := &metrics{
		told: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "emq_alerts_total", Help: "Alerts that this process decided to send, by what they are about and why.",
		}, []string{"subject", "event"}),
		sends: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "emq_alert_sends_total", Help: "Requests to a channel, by whether it took the alert.",
		}, []string{"channel", "result"}),
	}
	for _, subject := range []Subject{SubjectCause, SubjectHold, SubjectBacklog, SubjectDoctor, SubjectRedis, SubjectChannel} {
		for _, event := range []Event{EventNew, EventChanged, EventReminder, EventResolved} {
			m.told.WithLabelValues(string(subject), string(event))
		}
	}
	for _, c := range channels {
		for _, result := range []string{"taken", "failed"} {
			m.sends.WithLabelValues(c.Name(), result)
		}
	}
	return m
}

func (m *metrics) sent(c *Channel, err error) {
	result := "taken"
	if err != nil {
		result = "failed"
	}
	m.sends.WithLabelValues(c.Name(), result).Inc()
}

// Collectors are the numbers of what was told and sent.
func (a *Alerts) Collectors() []prometheus.Collector {
	return []prometheus.Collector{a.metrics.told, a.metrics.sends}
}
