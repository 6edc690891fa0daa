package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/imqueue/emq/admin/alert"
	"github.com/imqueue/emq/dlq"
	"github.com/imqueue/emq/errclass"
	"github.com/imqueue/emq/tasks"
	"github.com/imqueue/emq/worker"
)

// alerts makes what tells operators, with a connection of its own.
func (e *env) alerts(cfg *config, apps []worker.App, log *slog.Logger) (*alert.Alerts, error) {
	channels, err := cfg.channels()
	if err != nil {
		return nil, err
	}
	rdb, err := tasks.OpenRedis(cfg.RedisURL)
	if err != nil {
		return nil, err
	}
	e.closers = append(e.closers, rdb.Close)
	client, err := tasks.NewClient(tasks.ClientConfig{Redis: rdb})
	if err != nil {
		return nil, err
	}
	store, err := dlq.New(dlq.Config{Redis: rdb, Client: client})
	if err != nil {
		return nil, err
	}
	var aliases []string
	for _, app := range apps {
		aliases = append(aliases, app.Alias)
	}
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return alert.New(alert.Config{
		Store: store, Redis: rdb, Apps: aliases, Channels: channels, Link: cfg.AlertLink, Backlog: cfg.AlertBacklog,
		Pace: cfg.AlertPace, Remind: cfg.AlertRemind, Logger: log, Name: host + ":" + strconv.Itoa(os.Getpid()),
	})
}

func newAlertCmd(e *env) *cobra.Command {
	return group(&cobra.Command{
		Use:   "alert",
		Short: "Look at alerts, test where they go, keep them quiet for a time",
		Long: `Workers alert operators of new causes of dead letters, holds, backlogs and what doctor
finds: in their log, and in the channels that emq.yaml names under alerts. One cause is
one alert, however many dead letters it has.`,
		Example: `  emq alert list
  emq alert test
  emq alert silence shop --for 2h --reason 'plan is being raised'`,
	}, newAlertListCmd(e), newAlertTestCmd(e), newAlertSilenceCmd(e), newAlertSilencesCmd(e), newAlertUnsilenceCmd(e))
}

func newAlertListCmd(e *env) *cobra.Command {
	var (
		app    string
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List what workers have alerted of and is not over",
		Example: `  emq alert list
  emq alert list --app shop --json`,
		Args: takesNone,
		RunE: func(cmd *cobra.Command, _ []string) error {
			b, err := e.backend(cmd)
			if err != nil {
				return err
			}
			apps := someApps(app)
			if len(apps) == 0 {
				if apps, err = b.store.Apps(cmd.Context()); err != nil {
					return err
				}
			}
			l := e.newList(asJSON, "app", "since", "severity", "subject", "count", "title:", "advice:", "look:")
			for _, app := range apps {
				open, err := alert.Open(cmd.Context(), b.redis, app)
				if err != nil {
					return asUsage(err)
				}
				for _, n := range open {
					l.row(n, n.App, n.Since, string(n.Severity), string(n.Subject), number(n.Count), n.Title.In(b.cfg.Lang), n.Advice.In(b.cfg.Lang), n.Command)
				}
			}
			return e.endList(l, "alerts")
		},
	}
	cmd.Flags().StringVar(&app, "app", "", "only the alerts of this app")
	settingFlags(cmd.Flags(), "lang")
	jsonFlag(cmd, &asJSON)
	oneOf(cmd, "lang", "en", "zh")
	return cmd
}

func newAlertTestCmd(e *env) *cobra.Command {
	return &cobra.Command{
		Use:   "test [CHANNEL...]",
		Short: "Send a test alert to the channels, or to these",
		Long: `test sends one alert to each channel of emq.yaml, or to those named, once, and says what
each answered. It exits 1 when one of them did not take it.`,
		Example: `  emq alert test
  emq alert test ops pager`,
		Args: takes(0, anyNumber, "CHANNEL"),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := e.config(cmd)
			if err != nil {
				return err
			}
			channels, err := cfg.channels()
			if err != nil {
				return &usageError{err}
			}
			if len(channels) == 0 {
				return usagef("no channel is configured: name some under alerts in %s. Alerts go to the workers' log alone", configFile)
			}
			for _, name := range args {
				if !slices.ContainsFunc(channels, func(c *alert.Channel) bool { return c.Name() == name }) {
					return usagef("no channel is called %s; there are: %s", tasks.Printable(name, 64), channels)
				}
			}
			return e.testChannels(cmd.Context(), channels, args)
		},
	}
}

func (e *env) testChannels(ctx context.Context, channels []*alert.Channel, names []string) error {
	now := e.now()
	n := alert.Notice{
		ID: fmt.Sprintf("test:%d", now.UnixMilli()), Fingerprint: "test", Event: alert.EventTest, Severity: alert.SeverityWarning, Subject: alert.SubjectTest,
		Title:   errclass.Text{En: "a test of this channel: nothing is wrong", Zh: "告警渠道测试：一切正常"},
		Advice:  errclass.Text{En: "Nothing is to be done.", Zh: "无需处理。"},
		Command: "emq alert list", Since: now, At: now,
	}
	var failed []error
	for _, c := range channels {
		if len(names) > 0 && !slices.Contains(names, c.Name()) {
			continue
		}
		if err := c.Send(ctx, n); err != nil {
			failed = append(failed, err)
			continue
		}
		if _, err := fmt.Fprintln(e.out, "taken by", c); err != nil {
			return err
		}
	}
	return errors.Join(failed...)
}

func newAlertSilenceCmd(e *env) *cobra.Command {
	var (
		cause, reason string
		lasts         time.Duration
	)
	cmd := &cobra.Command{
		Use:   "silence APP --for DURATION --reason TEXT",
		Short: "Send no alerts about an app, or one of its causes, for a time",
		Long: `silence keeps the alerts about an app, or about one of its causes, from being sent until
its time is over: at most 720h. That something is over is still told, and what then lasts
is told when the silence ends.`,
		Example: `  emq alert silence shop --for 2h --reason 'plan is being raised'
  emq alert silence shop --cause user-not-found-1f0a9c3e --for 24h --reason 'test users'`,
		Args: takes(1, 1, "APP"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkReason(cmd.Flags(), reason); err != nil {
				return err
			}
			if lasts <= 0 {
				return usagef("--for: must be given, such as 2h")
			}
			b, err := e.backend(cmd)
			if err != nil {
				return err
			}
			s, err := b.store.SetSilence(cmd.Context(), dlq.Silence{App: args[0], Cause: cause, Until: e.now().Add(lasts), By: e.actor("").Name, Reason: reason})
			if err != nil {
				return asUsage(err)
			}
			e.warnUnknownApp(b.cfg, args[0])
			_, err = fmt.Fprintf(e.out, "silence %s until %s\n", s.ID, s.Until.Format(time.RFC3339))
			return err
		},
	}
	cmd.Flags().StringVar(&cause, "cause", "", "only alerts about this cause: its ID, or how it begins")
	cmd.Flags().DurationVar(&lasts, "for", 0, "how long, such as 2h")
	cmd.Flags().StringVar(&reason, "reason", "", "why, shown to whoever looks at the silences")
	return cmd
}

func newAlertSilencesCmd(e *env) *cobra.Command {
	var (
		app    string
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:     "silences",
		Short:   "List the silences",
		Example: "  emq alert silences --json",
		Args:    takesNone,
		RunE: func(cmd *cobra.Command, _ []string) error {
			b, err := e.backend(cmd)
			if err != nil {
				return err
			}
			silences, err := b.store.Silences(cmd.Context(), someApps(app)...)
			if err != nil {
				return asUsage(err)
			}
			l := e.newList(asJSON, "id", "app", "cause", "until", "by", "reason:")
			for _, s := range silences {
				l.row(s, s.ID, s.App, s.Cause, s.Until, s.By, s.Reason)
			}
			return e.endList(l, "silences")
		},
	}
	cmd.Flags().StringVar(&app, "app", "", "only the silences of this app")
	jsonFlag(cmd, &asJSON)
	return cmd
}

func newAlertUnsilenceCmd(e *env) *cobra.Command {
	return &cobra.Command{
		Use:     "unsilence APP ID",
		Short:   "End a silence before its time",
		Example: "  emq alert unsilence shop k3jd82ls",
		Args:    takes(2, 2, "APP ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			b, err := e.backend(cmd)
			if err != nil {
				return err
			}
			if err := b.store.EndSilence(cmd.Context(), args[0], strings.ToLower(args[1]), e.actor("")); err != nil {
				return asUsage(err)
			}
			_, err = fmt.Fprintln(e.out, "ended", args[1])
			return err
		},
	}
}
