package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/imqueue/emq/dlq"
)

func newOpsCmd(e *env) *cobra.Command {
	return group(&cobra.Command{
		Use:   "ops",
		Short: "Watch, slow and cancel operations on many dead letters",
		Long: `An operation is a resend, discard or restore of many dead letters, made by
"emq dlq resend" and its like with a filter. Its members are frozen when it is made,
and the workers of the app do it. At its end stands an account: how many of the
members were resent, delivered, dead again, skipped (somebody else had changed them)
or refused (they can't be resent as they are).`,
		Example: `  emq ops list
  emq ops watch 3kd8s0wq1z
  emq ops rate 3kd8s0wq1z 20/s`,
	}, newOpsListCmd(e), newOpsShowCmd(e), newOpsWatchCmd(e), newOpsRateCmd(e), newOpsCancelCmd(e))
}

func newOpsListCmd(e *env) *cobra.Command {
	var app string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List operations, the newest first",
		Long:  `list prints the operations that are under way, and those that ended in the last 30 days.`,
		Example: `  emq ops list
  emq ops list --app shop --json`,
		Args: takesNone,
		RunE: func(cmd *cobra.Command, _ []string) error {
			b, err := e.backend(cmd)
			if err != nil {
				return err
			}
			var apps []string
			if app != "" {
				apps = []string{app}
			}
			ops, err := b.store.Operations(cmd.Context(), apps...)
			if err != nil {
				return asFlag(err)
			}
			l := e.newList(asJSON, "id", "app", "action", "state", "members", "worked", "changed", "delivered", "dead_again", "skipped", "refused", "rate", "by", "made_at", "filter:", "reason:")
			for _, op := range ops {
				l.row(op, op.ID, op.App, op.Action, op.State, op.Members, op.Worked, op.Changed, op.Delivered, op.DeadAgain, op.Skipped, op.Refused,
					dlq.FormatRate(op.Rate), op.By, op.MadeAt, op.Filter, op.Reason)
			}
			return e.endList(l, "operations")
		},
	}
	cmd.Flags().StringVar(&app, "app", "", "alias of the app")
	jsonFlag(cmd, &asJSON)
	return cmd
}

func newOpsShowCmd(e *env) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "show ID",
		Short:   "Show an operation and its account",
		Example: `  emq ops show 3kd8s0wq1z`,
		Args:    takes(1, 1, "ID"),
		RunE: func(cmd *cobra.Command, ids []string) error {
			b, err := e.backend(cmd)
			if err != nil {
				return err
			}
			op, err := b.store.FindOperation(cmd.Context(), ids[0])
			if err != nil {
				return err
			}
			return e.showOperation(op, asJSON)
		},
	}
	jsonFlag(cmd, &asJSON)
	return cmd
}

func (e *env) showOperation(op dlq.Operation, asJSON bool) error {
	if asJSON {
		return newJSONEncoder(e.out).Encode(op)
	}
	p := e.newFields()
	p.field("operation", op.ID)
	p.field("app", op.App)
	p.field("action", op.Action)
	p.field("filter", op.Filter)
	p.field("state", string(op.State))
	p.field("by", op.By)
	p.field("reason", op.Reason)
	p.field("priority", string(op.Priority))
	p.field("rate", dlq.FormatRate(op.Rate))
	p.field("made at", op.MadeAt.Format(time.RFC3339))
	if !op.EndedAt.IsZero() {
		p.field("ended at", op.EndedAt.Format(time.RFC3339))
	}
	p.field("worker", op.Worker)
	p.field("members", fmt.Sprint(op.Members))
	p.field("worked on", fmt.Sprint(op.Worked))
	p.field(didOf(op.Action), fmt.Sprint(op.Changed))
	if op.Action == dlq.ActionResend {
		p.field("delivered", fmt.Sprint(op.Delivered))
		p.field("dead again", fmt.Sprint(op.DeadAgain))
		p.field("at work", fmt.Sprint(op.AtWork()))
	}
	p.field("skipped", fmt.Sprint(op.Skipped))
	p.field("refused", fmt.Sprint(op.Refused))
	p.field("refusal", op.Refusal)
	return p.err
}

// didOf is what an action has done.
func didOf(action string) string {
	return map[string]string{dlq.ActionResend: "resent", dlq.ActionDiscard: "discarded", dlq.ActionRestore: "restored"}[action]
}

func newOpsWatchCmd(e *env) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "watch ID...",
		Short: "Follow operations until they have ended",
		Long: `watch follows operations until all that they resent has ended, and prints their
accounts. It exits 0 when every member was changed or skipped and every resent one
delivered, else 1. Ctrl-C ends the watching, not the operation.`,
		Example: `  emq ops watch 3kd8s0wq1z`,
		Args:    takes(1, anyNumber, "ID"),
		RunE: func(cmd *cobra.Command, ids []string) error {
			b, err := e.backend(cmd)
			if err != nil {
				return err
			}
			var ops []dlq.Operation
			for _, id := range ids {
				op, err := b.store.FindOperation(cmd.Context(), id)
				if err != nil {
					return err
				}
				if op.State == dlq.OpFrozen {
					return fmt.Errorf("operation %s was not started: %w", id, dlq.ErrState)
				}
				ops = append(ops, op)
			}
			return e.watch(cmd.Context(), b, ops, asJSON)
		},
	}
	jsonFlag(cmd, &asJSON)
	return cmd
}

const (
	// watchEvery is how often operations are looked at.
	watchEvery = 300 * time.Millisecond
	// idleAfter is how long an operation may be without a worker before whoever
	// watches it is told.
	idleAfter = 10 * time.Second
)

// watch follows operations until they have ended, and prints their accounts.
func (e *env) watch(ctx context.Context, b *backend, ops []dlq.Operation, asJSON bool) error {
	total := 0
	for _, op := range ops {
		total += 2 * op.Members // each is worked on, and ends
	}
	bar := e.newBar(true, int64(total), ops[0].Action, false)
	at, said, began := 0, false, time.Now()
	for {
		progress, busy, taken := 0, false, false
		for i := range ops {
			op, err := b.store.GetOperation(ctx, ops[i].App, ops[i].ID)
			if ctx.Err() != nil {
				bar.clear()
				e.say("operation %s goes on: emq ops watch %[1]s, emq ops cancel %[1]s", ops[i].ID)
				return ctx.Err()
			}
			if err != nil {
				bar.clear()
				return err
			}
			ops[i] = op
			progress += 2*op.Worked - op.AtWork()
			busy = busy || op.State == dlq.OpRunning || op.State == dlq.OpWaiting
			taken = taken || op.Worker != ""
		}
		bar.advance(progress - at)
		at = progress
		if !busy {
			break
		}
		if !taken && !said && time.Since(began) > idleAfter {
			said = true
			bar.clear()
			e.say("no worker has taken it up yet: is one running for the app?")
		}
		select {
		case <-ctx.Done():
		case <-time.After(watchEvery):
		}
	}
	bar.clear()
	var failed error
	for _, op := range ops {
		if asJSON {
			if err := newJSONEncoder(e.out).Encode(op); err != nil {
				return err
			}
		} else if err := e.account(op); err != nil {
			return err
		}
		if op.State != dlq.OpDone || op.DeadAgain > 0 || op.Refused > 0 {
			failed = errReported
		}
	}
	return failed
}

// account prints what became of the members of an operation.
func (e *env) account(op dlq.Operation) error {
	text := fmt.Sprintf("operation %s %s: %s %d", op.ID, op.State, didOf(op.Action), op.Changed)
	if op.Action == dlq.ActionResend {
		text += fmt.Sprintf(", delivered %d, dead again %d", op.Delivered, op.DeadAgain)
	}
	text += fmt.Sprintf(", skipped %d, refused %d, of %d", op.Skipped, op.Refused, op.Members)
	if op.Refusal != "" {
		text += "\nrefused " + oneLine(op.Refusal, maxErrorBytes)
	}
	_, err := fmt.Fprintln(e.out, text)
	return err
}

func newOpsRateCmd(e *env) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use:   "rate ID RATE",
		Short: "Slow an operation down, or let it go faster",
		Long:  `rate sets how many members of an operation are worked on: 20/s, 100/m, 10/h, or none for no limit but the app's own.`,
		Example: `  emq ops rate 3kd8s0wq1z 20/s
  emq ops rate 3kd8s0wq1z none`,
		Args: takes(2, 2, "ID RATE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			rate, err := dlq.ParseRate(args[1])
			if err != nil {
				return asUsage(err)
			}
			b, err := e.backend(cmd)
			if err != nil {
				return err
			}
			op, err := b.store.FindOperation(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if err := b.store.SetRate(cmd.Context(), op.App, op.ID, rate, e.actor(reason)); err != nil {
				return err
			}
			_, err = fmt.Fprintln(e.out, "rate of", op.ID, "is", dlq.FormatRate(rate))
			return err
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, kept in the audit")
	return cmd
}

func newOpsCancelCmd(e *env) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use:     "cancel ID...",
		Short:   "Cancel operations: what they have resent goes on, nothing more is",
		Example: `  emq ops cancel 3kd8s0wq1z --reason 'wrong filter'`,
		Args:    takes(1, anyNumber, "ID"),
		RunE: func(cmd *cobra.Command, ids []string) error {
			b, err := e.backend(cmd)
			if err != nil {
				return err
			}
			var errs []error
			for _, id := range ids {
				op, err := b.store.FindOperation(cmd.Context(), id)
				if err == nil {
					err = b.store.Cancel(cmd.Context(), op.App, op.ID, e.actor(reason))
				}
				if err != nil {
					errs = append(errs, err)
					continue
				}
				_, _ = fmt.Fprintln(e.out, "cancelled", id)
			}
			return errors.Join(errs...)
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, kept in the audit")
	return cmd
}
