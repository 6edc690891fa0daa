package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/imqueue/emq/dlq"
	"github.com/imqueue/emq/errclass"
	"github.com/imqueue/emq/tasks"
)

func newDLQCmd(e *env) *cobra.Command {
	return group(&cobra.Command{
		Use:   "dlq",
		Short: "Find, understand, resend and discard dead letters",
		Long: `A dead letter is a task that ended without success. It stays until a person
resends or discards it. Dead letters with one fault in common form a cause.

Filters are the same everywhere: --app --kind --class --error --status --cause
--since --until. A time is RFC 3339, a date, or how long ago (90m, 2h, 7d).`,
		Example: `  emq dlq causes
  emq dlq list --class permanent --since 24h
  emq dlq show order-8812-shipped
  emq dlq resend --cause user-not-found-1f0a9c3e`,
	},
		newDLQListCmd(e), newDLQShowCmd(e), newDLQCausesCmd(e),
		newChangeCmd(e, change{
			verb: "resend", did: "resent", from: dlq.StateDead, do: (*dlq.Store).Resend,
			short: "Put dead letters to work again, with a fresh budget",
			long: `resend puts dead letters to work again, under their IDs, with a fresh budget of
attempts and time. However many people resend one, it is done once.

Those that were held because their outcome is unknown (reason unknown-outcome) are
left out of a resend by filter unless --include-unknown is given: their calls may
have been carried out. So may the call of one that was retried and gave up; that one
is not left out. "emq dlq show ID" tells the reason and the attempts of each.`,
		}),
		newChangeCmd(e, change{
			verb: "discard", did: "discarded", from: dlq.StateDead, do: (*dlq.Store).Discard,
			short: "Give dead letters up",
			long: `discard gives dead letters up. They are kept for 30 days, and emq dlq restore
brings them back until then.`,
		}),
		newChangeCmd(e, change{
			verb: "restore", did: "restored", from: dlq.StateDiscarded, do: (*dlq.Store).Restore,
			short: "Take discarded dead letters back",
			long:  `restore makes discarded dead letters dead again.`,
		}),
		newDLQEditCmd(e), newDLQResolveCmd(e),
	)
}

// stateAll is what --state takes for any state.
const stateAll = "all"

// filterFlags are the filters that select dead letters.
type filterFlags struct {
	app, kind, class, err, cause, state, since, until string
	status                                            int
}

func (f *filterFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.app, "app", "", "alias of the app")
	flags.StringVar(&f.kind, "kind", "", "kind of call, such as message.send")
	flags.StringVar(&f.class, "class", "", "class of the last verdict: "+strings.Join(deadClasses(), ", "))
	flags.StringVar(&f.err, "error", "", "error word of the last answer")
	flags.IntVar(&f.status, "status", 0, "HTTP status of the last answer")
	flags.StringVar(&f.cause, "cause", "", "ID of a cause, or its beginning")
	flags.StringVar(&f.since, "since", "", "last failed then or later")
	flags.StringVar(&f.until, "until", "", "last failed before")
	oneOf(cmd, "kind", kindNames()...)
	oneOf(cmd, "class", deadClasses()...)
}

// addState adds --state, for the commands that look at all states.
func (f *filterFlags) addState(cmd *cobra.Command) {
	states := append(words(dlq.States()), stateAll)
	cmd.Flags().StringVar(&f.state, "state", string(dlq.StateDead), "state: "+strings.Join(states, ", "))
	oneOf(cmd, "state", states...)
}

// deadClasses are the classes that a dead letter may have.
func deadClasses() []string {
	return words(slices.DeleteFunc(errclass.Classes(), func(c errclass.Class) bool { return c == errclass.ClassSuccess }))
}

// filter checks the flags; its errors are usage errors.
func (f *filterFlags) filter(now time.Time) (dlq.Filter, error) {
	out := dlq.Filter{
		App: f.app, Kind: tasks.Kind(f.kind), Class: errclass.Class(f.class), Error: f.err, Cause: f.cause, Status: f.status,
	}
	if f.state != stateAll {
		out.State = dlq.State(f.state)
	}
	if f.kind != "" && !slices.Contains(kindNames(), f.kind) {
		return out, usagef("--kind %q: must be one of %s", f.kind, strings.Join(kindNames(), ", "))
	}
	if f.class != "" && !slices.Contains(deadClasses(), f.class) {
		return out, usagef("--class %q: must be one of %s", f.class, strings.Join(deadClasses(), ", "))
	}
	if out.State != "" && !slices.Contains(dlq.States(), out.State) {
		return out, usagef("--state %q: must be one of %s, %s", f.state, strings.Join(words(dlq.States()), ", "), stateAll)
	}
	if f.status != 0 && (f.status < 100 || f.status > 599) {
		return out, usagef("--status %d: must be 100 to 599", f.status)
	}
	var err error
	if out.Since, err = moment("--since", f.since, now); err != nil {
		return out, err
	}
	if out.Until, err = moment("--until", f.until, now); err != nil {
		return out, err
	}
	if !out.Since.IsZero() && !out.Until.IsZero() && !out.Since.Before(out.Until) {
		return out, usagef("--until %q: must be after --since", f.until)
	}
	return out, nil
}

// moment reads a time in RFC 3339, a date in local time, or how long ago.
func moment(flag, text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return at, nil
	}
	if day, err := time.ParseInLocation(time.DateOnly, text, time.Local); err == nil {
		return day, nil
	}
	if days, ok := strings.CutSuffix(text, "d"); ok {
		if n, err := strconv.Atoi(days); err == nil && n >= 0 {
			return now.AddDate(0, 0, -n), nil
		}
	}
	if ago, err := time.ParseDuration(text); err == nil && ago >= 0 {
		return now.Add(-ago), nil
	}
	return time.Time{}, usagef("%s %q: must be a time such as 2026-01-31T09:00:00Z, a date, or how long ago such as 90m, 2h or 7d", flag, text)
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
			l := e.newList(asJSON, "id", "app", "kind", "class", "rule", "status", "error", "state", "generation", "attempts", "last_failed_at", "cause")
			for left := limit; limit == 0 || left > 0; left -= dlq.PageMax {
				size := dlq.PageMax
				if limit > 0 {
					size = min(left, dlq.PageMax)
				}
				page, err := b.store.List(cmd.Context(), filter, cursor, size)
				if err != nil {
					return asUsage(err)
				}
				cursor = page.Next
				for _, d := range page.Entries {
					l.row(d.Redacted(), d.ID, d.App, d.Kind, d.Class, d.Rule, number(d.Status), d.Error, d.State,
						d.Generation, len(d.Attempts)+d.AttemptsLeftOut, d.LastFailedAt, d.Cause)
				}
				if cursor == "" {
					break
				}
			}
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

func newDLQCausesCmd(e *env) *cobra.Command {
	var (
		filters filterFlags
		asJSON  bool
	)
	cmd := &cobra.Command{
		Use:   "causes",
		Short: "List what went wrong, grouped by cause, the most frequent first",
		Example: `  emq dlq causes
  emq dlq causes --app shop --since 24h
  emq dlq causes --state all --json`,
		Args: takesNone,
		RunE: func(cmd *cobra.Command, _ []string) error {
			filter, err := filters.filter(e.now())
			if err != nil {
				return err
			}
			b, err := e.backend(cmd)
			if err != nil {
				return err
			}
			causes, err := b.store.Causes(cmd.Context(), filter)
			if err != nil {
				return asUsage(err)
			}
			l := e.newList(asJSON, "cause", "count", "app", "kind", "class", "reason", "error", "last_seen", "sample", "description:", "advice:")
			for _, c := range causes {
				l.row(c, c.ID, countOf(c, filter.State), c.App, c.Kind, c.Class, c.Reason, c.Error,
					c.LastSeen, c.Sample, c.Description, c.Advice.In(b.cfg.Lang))
			}
			return e.endList(l, "causes match")
		},
	}
	filters.add(cmd)
	filters.addState(cmd)
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
