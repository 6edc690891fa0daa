package worker

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/imqueue/emq/dlq"
)

// warnEvery is how often operators are reminded of too many dead letters.
const warnEvery = time.Hour

// deadLetters watches how many dead letters the apps have: as numbers, and as a
// warning above a limit. Nothing is ever dropped because of it.
type deadLetters struct {
	store *dlq.Store
	apps  []string
	warn  int // from how many on; negative: never
	log   *slog.Logger
	now   func() time.Time

	count  *prometheus.GaugeVec
	causes *prometheus.GaugeVec
	purged prometheus.Counter
	warned map[string]time.Time // app -> the last warning, while it is above
}

func newDeadLetters(store *dlq.Store, cfg Config, registry *prometheus.Registry) *deadLetters {
	d := &deadLetters{
		store: store, warn: cfg.DeadLettersWarn, log: cfg.Logger, now: time.Now, warned: map[string]time.Time{},
		count: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "emq_dead_letters", Help: "Dead letters, by their state.",
		}, []string{"app", "state"}),
		causes: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "emq_dead_letter_causes", Help: "Causes that the dead letters fall in.",
		}, []string{"app"}),
		purged: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "emq_dead_letters_purged_total", Help: "Resolved and discarded dead letters that this worker removed after their time.",
		}),
	}
	registry.MustRegister(d.count, d.causes, d.purged)
	for _, app := range cfg.Apps {
		d.apps = append(d.apps, app.Alias)
		d.set(dlq.Usage{App: app.Alias})
	}
	return d
}

func (d *deadLetters) set(u dlq.Usage) {
	for _, state := range dlq.States() {
		d.count.WithLabelValues(u.App, string(state)).Set(float64(u.Counts[state]))
	}
	d.causes.WithLabelValues(u.App).Set(float64(u.Causes))
}

// look reads how many there are, and warns.
func (d *deadLetters) look(ctx context.Context) error {
	list, err := d.store.Usage(ctx, d.apps...)
	if err != nil {
		return err
	}
	for _, u := range list {
		d.set(u)
		dead := u.Counts[dlq.StateDead]
		last, above := d.warned[u.App]
		switch {
		case d.warn < 0 || dead < d.warn:
			if above {
				delete(d.warned, u.App)
				d.log.Info("dead letters are below the limit again", "app", u.App, "dead", dead, "limit", d.warn)
			}
		case !above || d.now().Sub(last) >= warnEvery:
			d.warned[u.App] = d.now()
			d.log.Warn("many dead letters wait for a person; none is dropped, but they fill Redis", "app", u.App, "dead", dead,
				"limit", d.warn, "causes", u.Causes, "oldest", u.OldestDead.Format(time.RFC3339), "look", "emq dlq causes --app "+u.App)
		}
	}
	return nil
}
