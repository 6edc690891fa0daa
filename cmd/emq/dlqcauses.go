package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/imqueue/emq/dlq"
)

func newDLQCausesCmd(e *env) *cobra.Command {
	var (
		filters filterFlags
		triage  string
		asJSON  bool
	)
	cmd := &cobra.Command{
		Use:   "causes",
		Short: "List what went wrong, grouped by cause, the most frequent first",
		Long: `causes groups dead letters by what went wrong: app, kind, class, error and the
description with its ids, names and numbers taken out. 1h and 24h are how many failed
last within the hour and the day, and whether that is more (↑) or fewer (↓) than
within the hour and the day before.

Work down the list: "emq dlq ack" says that you know of a cause, "emq dlq ignore" that
it need not be looked at, "emq dlq reopen" takes that back. A cause is resolved when
none of its dead letters is left; one that comes back is open again, unless ignored.`,
		Example: `  emq dlq causes
  emq dlq causes --app shop --since 24h --triage open
  emq dlq causes --state all --json`,
		Args: takesNone,
		RunE: func(cmd *cobra.Command, _ []string) error {
			filter, err := filters.filter(e.now())
			if err != nil {
				return err
			}
			if triage != "" && !slices.Contains(words(dlq.TriageStates()), triage) {
				return usagef("--triage %q: must be one of %s", triage, strings.Join(words(dlq.TriageStates()), ", "))
			}
			b, err := e.backend(cmd)
			if err != nil {
				return err
			}
			causes, err := b.store.Causes(cmd.Context(), filter)
			if err != nil {
				return asFlag(err)
			}
			l := e.newList(asJSON, "cause", "count", "states", "1h", "24h", "triage", "app", "kind", "class", "reason", "error",
				"first_seen", "last_seen", "sample", "description:", "note:", "advice:")
			for _, c := range causes {
				if triage != "" && string(c.Triage.State) != triage {
					continue
				}
				l.row(c, c.ID, countOf(c, filter.State), statesOf(c), rising(c.Trend.LastHour, c.Trend.HourBefore), rising(c.Trend.LastDay, c.Trend.DayBefore),
					c.Triage.State, c.App, c.Kind, c.Class, c.Reason, c.Error, c.FirstSeen, c.LastSeen, c.Sample, c.Description,
					strings.TrimSpace(c.Triage.Note+suffix(" — ", c.Triage.By)), c.Advice.In(b.cfg.Lang))
			}
			return e.endList(l, "causes match")
		},
	}
	filters.add(cmd)
	filters.addState(cmd)
	cmd.Flags().StringVar(&triage, "triage", "", "what persons make of it: "+strings.Join(words(dlq.TriageStates()), ", "))
	oneOf(cmd, "triage", words(dlq.TriageStates())...)
	settingFlags(cmd.Flags(), "lang")
	jsonFlag(cmd, &asJSON)
	oneOf(cmd, "lang", "en", "zh")
	return cmd
}

// countOf is how many entries of a state a cause has; of all states for "".
func countOf(c dlq.Cause, state dlq.State) int {
	if state != "" {
		return c.Counts[state]
	}
	sum := 0
	for _, n := range c.Counts {
		sum += n
	}
	return sum
}

// statesOf is how many entries a cause has in each state.
func statesOf(c dlq.Cause) string {
	var parts []string
	for _, state := range dlq.States() {
		if n := c.Counts[state]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, state))
		}
	}
	return strings.Join(parts, ", ")
}

// rising is a number with the direction that it came from.
func rising(now, before int) string {
	switch {
	case now > before:
		return fmt.Sprintf("%d ↑", now)
	case now < before:
		return fmt.Sprintf("%d ↓", now)
	default:
		return fmt.Sprint(now)
	}
}

// A triage is what `emq dlq ack`, `ignore` and `reopen` do.
type triage struct {
	verb, did, short string
	do               func(s *dlq.Store, ctx context.Context, app, cause string, by dlq.Actor) error
}

var (
	triageAck    = triage{"ack", "acknowledged", "Say that you know of a cause", (*dlq.Store).Acknowledge}
	triageIgnore = triage{"ignore", "ignored", "Say that a cause need not be looked at, also when it comes back", (*dlq.Store).Ignore}
	triageReopen = triage{"reopen", "reopened", "Take an ack or ignore back", (*dlq.Store).Reopen}
)

func newTriageCmd(e *env, t triage) *cobra.Command {
	var app, reason string
	cmd := &cobra.Command{
		Use:     t.verb + " CAUSE...",
		Short:   t.short,
		Example: fmt.Sprintf(`  emq dlq %s user-not-found-1f0a9c3e --reason 'being mended, see the ticket'`, t.verb),
		Args:    takes(1, anyNumber, "CAUSE"),
		RunE: func(cmd *cobra.Command, ids []string) error {
			b, err := e.backend(cmd)
			if err != nil {
				return err
			}
			for _, id := range ids {
				cause, err := e.findCause(cmd.Context(), b, app, id)
				if err != nil {
					return err
				}
				if err := t.do(b.store, cmd.Context(), cause.App, cause.ID, e.actor(reason)); err != nil {
					return err
				}
				if _, err := fmt.Fprintln(e.out, t.did, cause.ID, "of app", cause.App); err != nil {
					return err
				}
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&app, "app", "", "alias of the app, when several have such a cause")
	cmd.Flags().StringVar(&reason, "reason", "", "why, shown with the cause and kept in the audit")
	return cmd
}

// findCause reads the one cause that an ID, or its beginning, means.
func (e *env) findCause(ctx context.Context, b *backend, app, id string) (dlq.Cause, error) {
	causes, err := b.store.Causes(ctx, dlq.Filter{App: app, Cause: id})
	if err != nil {
		return dlq.Cause{}, asFlag(err)
	}
	var names []string
	for _, c := range causes {
		if c.ID == id && len(causes) > 1 && app != "" {
			return c, nil
		}
		names = append(names, c.ID+" of app "+c.App)
	}
	switch len(causes) {
	case 0:
		return dlq.Cause{}, fmt.Errorf("cause %s: %w", id, dlq.ErrNotFound)
	case 1:
		return causes[0], nil
	default:
		return dlq.Cause{}, usagef("cause %s: may be %s: give more of it, or --app", id, strings.Join(names, ", "))
	}
}
