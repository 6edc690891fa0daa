package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/imqueue/emq/dlq"
	"github.com/imqueue/emq/tasks"
)

func newLimitCmd(e *env) *cobra.Command {
	return group(&cobra.Command{
		Use:   "limit",
		Short: "Look at the rate limits of endpoints, and change them",
		Long: `Easemob limits the calls of an app, endpoint by endpoint, and workers keep to that
together. The defaults are those of Easemob's documentation; a paid plan has others.
They can be set for each app: in emq.yaml (apps.ALIAS.limits), or here, which wins
and reaches all workers within seconds.

A rate is COUNT/TIME such as 100/s, 6000/m or 1/30m; several, as in "10/m,1/s", hold
at once. Messages are counted apart from calls: one call to 600 receivers is one
call and 600 messages.`,
		Example: `  emq limit list --app shop
  emq limit set shop/messages.users --calls 200/s --messages 12000/m --reason 'new plan'
  emq limit clear shop/messages.users`,
	}, newLimitListCmd(e), newLimitSetCmd(e), newLimitClearCmd(e))
}

func newLimitListCmd(e *env) *cobra.Command {
	var (
		app         string
		all, asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the limits in force, and where they come from",
		Long: `list shows the limit of each endpoint that is in use or whose limit is not Easemob's
default; with --all, of every endpoint. What emq.yaml says is shown as this command
reads it: a worker elsewhere may have another file.`,
		Example: `  emq limit list
  emq limit list --app shop --all --json`,
		Args: takesNone,
		RunE: func(cmd *cobra.Command, _ []string) error {
			b, err := e.backend(cmd)
			if err != nil {
				return err
			}
			lines, err := b.limits(cmd.Context(), app, all)
			if err != nil {
				return asUsage(err)
			}
			l := e.newList(asJSON, "endpoint", "calls", "messages", "from", "by", "since", "why:")
			for _, line := range lines {
				l.row(line, limitTarget(line.App, line.Endpoint), rates(line.Limit.Calls), rates(line.Limit.Messages),
					line.From, line.By, line.Since, line.Reason)
			}
			return e.endList(l, "limits but the defaults, and no endpoint is in use; --all shows every endpoint")
		},
	}
	cmd.Flags().StringVar(&app, "app", "", "only the limits of this app")
	cmd.Flags().BoolVar(&all, "all", false, "also endpoints that are not in use")
	jsonFlag(cmd, &asJSON)
	return cmd
}

func rates(rates []tasks.Rate) string {
	texts := make([]string, len(rates))
	for i, r := range rates {
		texts[i] = r.String()
	}
	return strings.Join(texts, ",")
}

// limits lists the limits in force of the app, or of all apps when it is empty.
func (b *backend) limits(ctx context.Context, app string, all bool) ([]dlq.LimitInForce, error) {
	named := someApps(app)
	if app == "" && len(b.cfg.Apps) == 0 {
		used, err := b.store.Apps(ctx)
		if err != nil {
			return nil, err
		}
		if len(used) == 0 {
			named = []string{b.cfg.appOrDefault()}
		}
	}
	return b.store.LimitsInForce(ctx, b.cfg.limits(), all, named...)
}

// limits are those of the settings.
func (c *config) limits() dlq.LimitSettings {
	limits := dlq.LimitSettings{}
	for _, a := range c.Apps {
		limits[a.Alias] = a.Limits
	}
	return limits
}

func newLimitSetCmd(e *env) *cobra.Command {
	var calls, messages, reason string
	cmd := &cobra.Command{
		Use:   "set APP/ENDPOINT [--calls RATES] [--messages RATES] --reason TEXT",
		Short: "Set the limit of an endpoint of an app",
		Long: `set limits the calls to an endpoint, or the messages that they send, or both; the one
that is not given stays as it is. All workers keep to it within seconds, and until
it is cleared.`,
		Example: `  emq limit set shop/messages.users --calls 200/s --messages 12000/m --reason 'new plan'
  emq limit set shop/groups.create --calls 10/s --reason 'kind to the database'`,
		Args:              takes(1, 1, "APP/ENDPOINT"),
		ValidArgsFunction: e.completeEndpoints,
		RunE: func(cmd *cobra.Command, args []string) error {
			app, info, err := e.knownEndpoint(cmd, args[0])
			if err != nil {
				return err
			}
			if calls == "" && messages == "" {
				return usagef("give --calls, --messages or both, such as --calls 200/s")
			}
			if err := checkReason(cmd.Flags(), reason); err != nil {
				return err
			}
			b, err := e.backend(cmd)
			if err != nil {
				return err
			}
			limit, err := b.inForce(cmd.Context(), app, info)
			if err != nil {
				return err
			}
			for _, change := range []struct {
				flag, text string
				to         *[]tasks.Rate
			}{{"--calls", calls, &limit.Calls}, {"--messages", messages, &limit.Messages}} {
				if change.text == "" {
					continue
				}
				if *change.to, err = tasks.ParseRates(change.text); err != nil {
					return usagef("%s: %s", change.flag, bound(err))
				}
			}
			if messages != "" && len(limit.Messages) > 0 && !sendsMessages(info.Endpoint) {
				return usagef("--messages %s: calls to %s send no messages", messages, info.Endpoint)
			}
			by := e.actor(reason)
			err = b.store.SetLimit(cmd.Context(), dlq.Limit{App: app, Endpoint: info.Endpoint, Limit: limit, Reason: reason, By: by.Name})
			if err != nil {
				return asUsage(err)
			}
			e.warnUnknownApp(b.cfg, app)
			_, err = fmt.Fprintf(e.out, "limit of %s: %s\n", limitTarget(app, info.Endpoint), limit)
			return err
		},
	}
	cmd.DisableFlagsInUseLine = true
	cmd.Flags().StringVar(&calls, "calls", "", "calls, such as 200/s")
	cmd.Flags().StringVar(&messages, "messages", "", "messages, such as 12000/m")
	cmd.Flags().StringVar(&reason, "reason", "", "why, shown to whoever looks at the limit")
	return cmd
}

// inForce is the limit that is in force as far as settings and store know.
func (b *backend) inForce(ctx context.Context, app string, info tasks.EndpointInfo) (tasks.Limit, error) {
	if err := tasks.CheckApp(app); err != nil {
		return tasks.Limit{}, &usageError{err}
	}
	set, err := b.store.Limits(ctx, app)
	for _, l := range set {
		if l.Endpoint == info.Endpoint {
			return l.Limit, nil
		}
	}
	return b.cfg.limits().InForce(app, info).Limit, err
}

func newLimitClearCmd(e *env) *cobra.Command {
	return &cobra.Command{
		Use:               "clear APP/ENDPOINT",
		Short:             "Take back a limit that was set",
		Long:              `clear takes back what "emq limit set" did: the limit of the settings, or else the default, is in force again.`,
		Example:           "  emq limit clear shop/messages.users",
		Args:              takes(1, 1, "APP/ENDPOINT"),
		ValidArgsFunction: e.completeEndpoints,
		RunE: func(cmd *cobra.Command, args []string) error {
			app, endpoint, err := e.endpointOf(cmd, args[0])
			if err != nil {
				return err
			}
			b, err := e.backend(cmd)
			if err != nil {
				return err
			}
			err = b.store.ClearLimit(cmd.Context(), app, endpoint, e.actor(""))
			if _, known := endpoint.Info(); !known && errors.Is(err, dlq.ErrNotFound) {
				return noEndpoint(endpoint) // a limit of an endpoint of another version can be cleared
			}
			if err != nil {
				return asUsage(err)
			}
			_, err = fmt.Fprintln(e.out, "cleared", limitTarget(app, endpoint))
			return err
		},
	}
}

func limitTarget(app string, endpoint tasks.Endpoint) string { return app + "/" + string(endpoint) }

// endpointOf reads APP/ENDPOINT.
func (e *env) endpointOf(cmd *cobra.Command, target string) (string, tasks.Endpoint, error) {
	app, endpoint, _ := strings.Cut(target, "/")
	switch {
	case endpoint != "":
		return app, tasks.Endpoint(endpoint), nil
	case !strings.Contains(app, "."): // which no alias has
		return "", "", usagef("%q: name an endpoint, such as %s/messages.users; `emq limit list --all` shows all", target, app)
	}
	cfg, err := e.config(cmd)
	if err != nil {
		return "", "", err
	}
	return "", "", usagef("%q: name the app as well, such as %s/%s", target, cfg.appOrDefault(), app)
}

func noEndpoint(endpoint tasks.Endpoint) error {
	known := map[string]bool{}
	for _, info := range tasks.Endpoints() {
		known[string(info.Endpoint)] = true
	}
	return usagef("no endpoint %q%s; `emq limit list --all` shows all", endpoint, didYouMean(string(endpoint), known))
}

// knownEndpoint reads APP/ENDPOINT of an endpoint that this version knows.
func (e *env) knownEndpoint(cmd *cobra.Command, target string) (string, tasks.EndpointInfo, error) {
	app, endpoint, err := e.endpointOf(cmd, target)
	if err != nil {
		return "", tasks.EndpointInfo{}, err
	}
	info, ok := endpoint.Info()
	if !ok {
		return "", info, noEndpoint(endpoint)
	}
	return app, info, nil
}

// sendsMessages says whether calls to an endpoint send messages, which a limit
// can count.
func sendsMessages(e tasks.Endpoint) bool {
	return e.Family() == tasks.FamilyMessages && e != tasks.EndpointMessagesRecall && e != "messages.other"
}

// completeEndpoints offers the endpoints of the configured apps.
func (e *env) completeEndpoints(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	cfg, err := e.config(cmd)
	if err != nil || len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	apps := []string{cfg.appOrDefault()}
	for _, app := range cfg.Apps {
		apps = append(apps, app.Alias)
	}
	slices.Sort(apps)
	var targets []string
	for _, app := range slices.Compact(apps) {
		for _, info := range tasks.Endpoints() {
			targets = append(targets, limitTarget(app, info.Endpoint))
		}
	}
	return targets, cobra.ShellCompDirectiveNoFileComp
}
