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

// deadLetters warns when the apps have more dead letters than a limit. Nothing is ever dropped because of it.
type deadLetters struct {
	store *dlq.Store
	apps  []string
	warn  int // from how many on; negative: never
	log   *slog.Logger
	now   func() time.Time

	purged prometheus.Counter
	warned map[string]time.Time // app -> the last warning, while it is above
}

func newDeadLetters(store *dlq.Store, cfg Config, registry *prometheus.Registry) *deadLetters {
	d := &deadLetters{
		store: store, warn: cfg.DeadLettersWarn, log: cfg.Logger, now: time.Now, warned: map[string]time.Time{},
		purged: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "emq_dead_letters_purged_total", Help: "Resolved and discarded dead letters that this worker removed after their time.",
		}),
	}
	registry.MustRegister(d.purged)
	for _, app := range cfg.Apps {
		d.apps = append(d.apps, app.Alias)
	}
	return d
}

// look reads how many there are, and warns.
func (d *deadLetters) look(ctx context.Context) error {
	list, err := d.store.Usage(ctx, d.apps...)
	if err != nil {
		return err
	}
	for _, u := range list {
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
