package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/imqueue/emq/dlq"
	"github.com/imqueue/emq/tasks"
)

func newDLQCmd(e *env) *cobra.Command {
	return group(&cobra.Command{
		Use:   "dlq",
		Short: "Find, understand, resend and discard dead letters",
		Long: `A dead letter is a task that ended without success. It stays until a person
resends or discards it. Dead letters with one fault in common form a cause.

Filters are the same everywhere: --app --kind --class --error --status --cause
--target --text --since --until. A time is RFC 3339, a date, or how long ago (90m, 2h, 7d).`,
		Example: `  emq dlq causes
  emq dlq list --class permanent --since 24h
  emq dlq show order-8812-shipped
  emq dlq resend --cause user-not-found-1f0a9c3e`,
	},
		newDLQListCmd(e), newDLQShowCmd(e), newDLQCausesCmd(e), newTriageCmd(e, triageAck), newTriageCmd(e, triageIgnore), newTriageCmd(e, triageReopen),
		newChangeCmd(e, change{
			verb: "resend", did: "resent", action: dlq.ActionResend, do: (*dlq.Store).Resend,
			short: "Put dead letters to work again, with a fresh budget",
			long: `resend puts dead letters to work again, under their IDs, with a fresh budget of
attempts and time. However many people resend one, it is done once.

Those that were held because their outcome is unknown (reason unknown-outcome) are
left out of a resend by filter unless --include-unknown is given: their calls may
have been carried out. So may the call of one that was retried and gave up; that one
is not left out. "emq dlq show ID" tells the reason and the attempts of each.`,
		}),
		newChangeCmd(e, change{
			verb: "discard", did: "discarded", action: dlq.ActionDiscard, do: (*dlq.Store).Discard,
			short: "Give dead letters up",
			long: `discard gives dead letters up. They are kept for 30 days, and emq dlq restore
brings them back until then.`,
		}),
		newChangeCmd(e, change{
			verb: "restore", did: "restored", action: dlq.ActionRestore, do: (*dlq.Store).Restore,
			short: "Take discarded dead letters back",
			long:  `restore makes discarded dead letters dead again.`,
		}),
		newDLQEditCmd(e), newDLQResolveCmd(e), newDLQExportCmd(e), newDLQImportCmd(e),
	)
}

// stateAll is what --state takes for any state.
const stateAll = "all"

// filterFlags are the filters that select dead letters: the flags of a command that
// are named as a filter's fields.
type filterFlags struct {
	set *pflag.FlagSet
}

func (f *filterFlags) add(cmd *cobra.Command) {
	f.set = cmd.Flags()
	for name, usage := range map[string]string{
		"app":    "alias of the app",
		"kind":   "kind of call, such as message.send",
		"class":  "class of the last verdict: " + strings.Join(words(dlq.Classes()), ", "),
		"error":  "error word of the last answer",
		"status": "HTTP status of the last answer",
		"cause":  "ID of a cause, or its beginning",
		"target": "user, group or room that the call is about",
		"text":   "text that stands anywhere in the dead letter",
		"since":  "last failed then or later",
		"until":  "last failed before",
	} {
		f.set.String(name, "", usage)
	}
	oneOf(cmd, "kind", kindNames()...)
	oneOf(cmd, "class", words(dlq.Classes())...)
}

// addState adds --state, for the commands that look at all states.
func (f *filterFlags) addState(cmd *cobra.Command) {
	states := append(words(dlq.States()), stateAll)
	cmd.Flags().String("state", string(dlq.StateDead), "state: "+strings.Join(states, ", "))
	oneOf(cmd, "state", states...)
}

// get is the value of a flag; "" where the command does not have it.
func (f *filterFlags) get(name string) string {
	flag := f.set.Lookup(name)
	if flag == nil || name == "state" && flag.Value.String() == stateAll {
		return ""
	}
	return flag.Value.String()
}

// filter reads the flags; its errors are usage errors that name the flag.
func (f *filterFlags) filter(now time.Time) (dlq.Filter, error) {
	out, err := dlq.ParseFilter(f.get, now)
	return out, asFlag(err)
}

// asFlag is a usage error that names the flag of the field that it is about.
func asFlag(err error) error {
	var field *tasks.FieldError
	if !errors.As(err, &field) {
		return err
	}
	if field.Value == "" {
		return usagef("--%s: %s", field.Field, field.Bound)
	}
	bound := field.Bound
	switch field.Field {
	case "state":
		bound += ", " + stateAll
	case "until":
		bound = strings.Replace(bound, "after since", "after --since", 1)
	}
	return usagef("--%s %s: %s", field.Field, field.Value, bound)
}

func newDLQListCmd(e *env) *cobra.Command {
	var (
		filters filterFlags
		cursor  string
		limit   int
		asJSON  bool
	)
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List dead letters, the newest failure first",
		Long: `list prints the dead letters that match, the newest failure first. When there are
more than --limit, it says on standard error with which --cursor the list goes on.`,
		Example: `  emq dlq list
  emq dlq list --kind message.send --error reach_limit --since 2h
  emq dlq list --state all --limit 0 --json > all.jsonl`,
		Args: takesNone,
		RunE: func(cmd *cobra.Command, _ []string) error {
			filter, err := filters.filter(e.now())
			if err != nil {
				return err
			}
			if limit < 0 {
				return usagef("--limit %d: must not be negative", limit)
			}
			b, err := e.backend(cmd)
			if err != nil {
				return err
			}
			bar, err := e.searchBar(cmd.Context(), b, filter)
			if err != nil {
				return asFlag(err)
			}
			l := e.newList(asJSON, "id", "app", "kind", "class", "rule", "status", "error", "state", "generation", "attempts", "last_failed_at", "cause")
			for limit == 0 || l.rows < limit {
				size := dlq.PageMax
				if limit > 0 {
					size = min(limit-l.rows, dlq.PageMax)
				}
				page, err := b.store.List(cmd.Context(), filter, cursor, size)
				if err != nil {
					bar.clear()
					return asFlag(err)
				}
				cursor = page.Next
				bar.advance(page.Read)
				if len(page.Entries) > 0 {
					bar.clear()
				}
				for _, d := range page.Entries {
					l.row(d.Redacted(), d.ID, d.App, d.Kind, d.Class, d.Rule, number(d.Status), d.Error, d.State,
						d.Generation, len(d.Attempts)+d.AttemptsLeftOut, d.LastFailedAt, d.Cause)
				}
				if cursor == "" {
					break
				}
			}
			bar.clear()
			if err := e.endList(l, "dead letters match"); err != nil {
				return err
			}
			if cursor != "" {
				e.say("there are more: --cursor %s", cursor)
			}
			return nil
		},
	}
	filters.add(cmd)
	filters.addState(cmd)
	cmd.Flags().IntVar(&limit, "limit", dlq.PageDefault, "how many to print; 0 for all")
	cmd.Flags().StringVar(&cursor, "cursor", "", "where an earlier list ended")
	jsonFlag(cmd, &asJSON)
	return cmd
}

// searchBar begins a progress bar where entries must be read to find those that match.
func (e *env) searchBar(ctx context.Context, b *backend, f dlq.Filter) (*bar, error) {
	if f.Target == "" && f.Text == "" {
		return nil, nil
	}
	total, err := b.store.Candidates(ctx, f)
	if err != nil {
		return nil, err
	}
	return e.newBar(total >= progressItems, int64(total), "search", false), nil
}

// find reads the dead letter with an ID. Several apps may have one of that ID.
func (e *env) find(cmd *cobra.Command, b *backend, app, id string) (dlq.Entry, error) {
	if app != "" {
		entry, err := b.store.Get(cmd.Context(), app, id)
		return entry, asUsage(err)
	}
	entries, err := b.store.Find(cmd.Context(), id)
	switch {
	case errors.Is(err, dlq.ErrNotFound):
		return dlq.Entry{}, fmt.Errorf("dead letter %s: %w", id, dlq.ErrNotFound)
	case err != nil:
		return dlq.Entry{}, err
	case len(entries) > 1:
		apps := make([]string, len(entries))
		for i, entry := range entries {
			apps[i] = entry.App
		}
		return dlq.Entry{}, usagef("dead letter %s: the apps %s have one each: say which with --app", id, strings.Join(apps, ", "))
	}
	return entries[0], nil
}
