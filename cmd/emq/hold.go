package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/imqueue/emq/dlq"
	"github.com/imqueue/emq/errclass"
	"github.com/imqueue/emq/tasks"
)

// ruleOperator is the rule of a hold that a person set.
const ruleOperator = "operator"

func newHoldCmd(e *env) *cobra.Command {
	return group(&cobra.Command{
		Use:   "hold",
		Short: "Look at held apps, hold them and let them go on",
		Long: `A hold stops an app, or one family of its calls, because of a fault that is not the
tasks' own: a rejected secret, a plan used up, a ban. Its tasks wait in their
queues, and none of their attempts is spent. Mend the fault, then clear the hold.`,
		Example: `  emq hold list
  emq hold clear shop`,
	}, newHoldListCmd(e), newHoldSetCmd(e), newHoldClearCmd(e))
}

func newHoldListCmd(e *env) *cobra.Command {
	var (
		app    string
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the holds, why they stand and what to do",
		Example: `  emq hold list
  emq hold list --json | jq -r .app`,
		Args: takesNone,
		RunE: func(cmd *cobra.Command, _ []string) error {
			b, err := e.backend(cmd)
			if err != nil {
				return err
			}
			if app != "" {
				if err := tasks.CheckApp(app); err != nil {
					return asUsage(err)
				}
			}
			holds, err := b.store.Holds(cmd.Context(), someApps(app)...)
			if err != nil {
				return asUsage(err)
			}
			l := e.newList(asJSON, "hold", "since", "rule", "status", "error", "task", "by", "why:", "advice:")
			for _, h := range holds {
				l.row(h, holdTarget(h.App, h.Family), h.Since, h.Rule, number(h.Status), h.Error, h.Task, h.By,
					h.Why.In(b.cfg.Lang), h.Advice.In(b.cfg.Lang))
			}
			return e.endList(l, "holds")
		},
	}
	cmd.Flags().StringVar(&app, "app", "", "only the holds of this app")
	settingFlags(cmd.Flags(), "lang")
	jsonFlag(cmd, &asJSON)
	oneOf(cmd, "lang", "en", "zh")
	return cmd
}

func newHoldSetCmd(e *env) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use:   "set APP[/FAMILY] --reason TEXT",
		Short: "Hold an app, or one family of its calls, by hand",
		Example: `  emq hold set shop --reason 'plan is being changed'
  emq hold set shop/messages --reason 'wrong template'`,
		Args: takes(1, 1, "APP[/FAMILY]"),
		RunE: func(cmd *cobra.Command, args []string) error {
			app, family := cutTarget(args[0])
			if info, ok := tasks.Endpoint(family).Info(); ok {
				return usagef("%s is an endpoint: hold its family %s/%s, or stop its queues with `emq queue pause`", family, app, info.Endpoint.Family())
			}
			if err := checkReason(cmd.Flags(), reason); err != nil {
				return err
			}
			b, err := e.backend(cmd)
			if err != nil {
				return err
			}
			by := e.actor(reason)
			created, err := b.store.SetHold(cmd.Context(), dlq.Hold{
				App: app, Family: family, Rule: ruleOperator, Description: reason, By: by.Name,
				Why:    errclass.Text{En: "Set by hand: " + reason, Zh: "人工暂停：" + reason},
				Advice: errclass.Text{En: "Clear the hold when the reason is gone.", Zh: "原因消除后解除暂停。"},
			})
			if err != nil {
				return asUsage(err)
			}
			if !created {
				return fmt.Errorf("%s is held already; `emq hold list` says why", args[0])
			}
			e.warnUnknownApp(b.cfg, app)
			_, err = fmt.Fprintln(e.out, "held", args[0])
			return err
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, shown to whoever looks at the hold")
	return cmd
}

func newHoldClearCmd(e *env) *cobra.Command {
	return &cobra.Command{
		Use:   "clear APP[/FAMILY]",
		Short: "Let a held app, or one family of its calls, go on",
		Example: `  emq hold clear shop
  emq hold clear shop/messages`,
		Args: takes(1, 1, "APP[/FAMILY]"),
		RunE: func(cmd *cobra.Command, args []string) error {
			app, family := cutTarget(args[0])
			b, err := e.backend(cmd)
			if err != nil {
				return err
			}
			if err := b.store.ClearHold(cmd.Context(), app, family, e.actor("")); err != nil {
				return asUsage(err)
			}
			_, err = fmt.Fprintln(e.out, "cleared", args[0])
			return err
		},
	}
}

func cutTarget(target string) (string, tasks.Family) {
	app, family, _ := strings.Cut(target, "/")
	return app, tasks.Family(family)
}

func holdTarget(app string, family tasks.Family) string {
	if family == "" {
		return app
	}
	return app + "/" + string(family)
}
