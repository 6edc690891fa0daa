package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/imqueue/emq/dlq"
	"github.com/imqueue/emq/tasks"
)

// A change is what `emq dlq resend`, `discard` and `restore` do.
type change struct {
	verb, did   string
	short, long string
	action      string // of the operation that a filter makes; empty: by ID only
	do          func(s *dlq.Store, ctx context.Context, app, id string, by dlq.Actor) error
	note        string // what the history says of it before the given reason; most often nothing
}

// changeFlags are the flags of a change.
type changeFlags struct {
	filters                               filterFlags
	all, dryRun, yes, unknown, wait, json bool
	reason, rate, priority                string
	max                                   int
}

func newChangeCmd(e *env, c change) *cobra.Command {
	f := &changeFlags{}
	cmd := &cobra.Command{
		Use:   c.verb + " {ID... | filters | --all}",
		Short: c.short,
		Long: c.long + `

With IDs, it is done at once. By filter, it makes an operation: what matches now is
frozen, counted and, unless --yes is given, asked about; then the workers do it, also
when this terminal is closed. "emq ops" watches it, slows it and cancels it; --wait
stays until it has ended. Without a filter it needs --all. --dry-run shows what would
be done.`,
		Example: strings.ReplaceAll(`  emq dlq VERB order-8812-shipped
  emq dlq VERB --cause user-not-found-1f0a9c3e --dry-run
  emq dlq VERB --app shop --since 2h --reason 'token was wrong' --yes --wait`, "VERB", c.verb),
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, ids []string) error { return e.runChange(cmd, c, f, ids) },
	}
	f.filters.add(cmd)
	flags := cmd.Flags()
	flags.BoolVar(&f.all, "all", false, "every dead letter of all apps")
	flags.BoolVar(&f.dryRun, "dry-run", false, "change nothing: print how many match, and a sample")
	flags.BoolVarP(&f.yes, "yes", "y", false, "do not ask")
	flags.BoolVar(&f.wait, "wait", false, "by filter: stay until the operation has ended, and print its account")
	flags.StringVar(&f.reason, "reason", "", "why, kept in the history of each dead letter and in the audit")
	flags.StringVar(&f.rate, "rate", "none", "by filter: how many at most, such as 20/s or 100/m")
	flags.IntVar(&f.max, "max", 0, "by filter: no more than so many, the newest failures; 0 for all")
	jsonFlag(cmd, &f.json)
	if c.action == dlq.ActionResend {
		flags.BoolVar(&f.unknown, "include-unknown", false, "by filter: also those with the reason unknown-outcome")
		flags.StringVar(&f.priority, "priority", string(tasks.Low), "by filter: priority of the resent tasks: "+strings.Join(words(tasks.Priorities()), ", "))
		oneOf(cmd, "priority", words(tasks.Priorities())...)
	}
	return cmd
}

func (e *env) runChange(cmd *cobra.Command, c change, f *changeFlags, ids []string) error {
	filter, err := f.filters.filter(e.now())
	if err != nil {
		return err
	}
	rate, err := dlq.ParseRate(f.rate)
	if err != nil {
		return asFlag(err)
	}
	bulk := dlq.Bulk{
		Action: c.action, Filter: filter, IncludeUnknown: f.unknown, Max: f.max, Priority: tasks.Priority(f.priority), Rate: rate, By: e.actor(f.reason),
	}
	withoutApp := filter
	withoutApp.App = ""
	switch {
	case len(ids) > 0 && (f.all || !withoutApp.Empty()):
		return usagef("give either IDs or a filter; with IDs only --app goes")
	case len(ids) > 0 && (f.wait || f.max != 0 || cmd.Flags().Changed("rate") || cmd.Flags().Changed("priority")):
		return usagef("--wait, --max, --rate and --priority are for a filter, not for IDs")
	case f.all && !filter.Empty():
		return usagef("give either a filter or --all")
	case len(ids) == 0 && !f.all && filter.Empty():
		return usagef("refusing to %s everything: give IDs, a filter, or --all", c.verb)
	case len(ids) == 0 && !f.dryRun && !f.yes && !e.inTTY:
		return usagef("nobody to ask: give --yes to %s by filter without a terminal", c.verb)
	case f.max < 0:
		return usagef("--max %d: must not be negative", f.max)
	}
	b, err := e.backend(cmd)
	if err != nil {
		return err
	}
	if len(ids) == 0 {
		return e.runBulk(cmd.Context(), b, f, bulk)
	}
	by := bulk.By
	if c.note != "" {
		by.Note = c.note + suffix(": ", f.reason)
	}
	run := &changeRun{env: e, change: c, store: b.store, by: by, counts: map[string]int{}}
	if f.json {
		run.json = newJSONEncoder(e.out)
	}
	return run.byID(cmd, b, f, ids)
}

// runBulk makes an operation of what a filter selects.
func (e *env) runBulk(ctx context.Context, b *backend, f *changeFlags, bulk dlq.Bulk) error {
	total, err := b.store.Candidates(ctx, bulk.Filter)
	if err != nil {
		return asFlag(err)
	}
	bar := e.newBar(total >= progressItems, int64(total), "look", false)
	if f.dryRun {
		p, err := b.store.Preview(ctx, bulk, bar.advance)
		bar.clear()
		if err != nil {
			return asFlag(err)
		}
		return e.dryRun(f, bulk.Action, p)
	}
	ops, err := b.store.Freeze(ctx, bulk, bar.advance)
	bar.clear()
	if err != nil {
		return asFlag(err)
	}
	if left, err := b.store.LeftOut(ctx, bulk); err != nil {
		return err
	} else if left > 0 {
		e.say("leaving out %s of unknown outcome (see --include-unknown)", plural(left, "dead letter"))
	}
	members := 0
	for _, op := range ops {
		members += op.Members
	}
	if members == 0 {
		e.say("no dead letters match")
		return nil
	}
	if !f.yes {
		if err := e.confirm(ctx, bulk.Action, members); err != nil {
			// They were never started, so they are forgotten in an hour anyway.
			for _, op := range ops {
				_ = b.store.Drop(context.WithoutCancel(ctx), op.App, op.ID)
			}
			return err
		}
	}
	for _, op := range ops {
		if err := b.store.Start(ctx, op.App, op.ID, bulk.By); err != nil {
			return err
		}
	}
	if !f.wait {
		return e.started(f, ops)
	}
	return e.watch(ctx, b, ops, f.json)
}

// started says which operations the workers have to do now.
func (e *env) started(f *changeFlags, ops []dlq.Operation) error {
	out := newJSONEncoder(e.out)
	for _, op := range ops {
		op.State = dlq.OpRunning
		if f.json {
			if err := out.Encode(op); err != nil {
				return err
			}
			continue
		}
		_, err := fmt.Fprintf(e.out, "started operation %s: %s %s of app %s; emq ops watch %[1]s\n", op.ID, op.Action, plural(op.Members, "dead letter"), op.App)
		if err != nil {
			return err
		}
	}
	return nil
}

// target is one dead letter to change.
type target struct {
	app, id, cause string
}

// changeRun changes named dead letters.
type changeRun struct {
	*env
	change  change
	store   *dlq.Store
	by      dlq.Actor
	json    *json.Encoder  // nil unless asked for
	counts  map[string]int // outcome -> how many
	failure error          // of Redis or of the output: ends the run
}

func (r *changeRun) byID(cmd *cobra.Command, b *backend, f *changeFlags, ids []string) error {
	app := f.filters.get("app")
	var preview dlq.Preview
	var targets []target
	for _, id := range ids {
		d, err := r.find(cmd, b, app, id)
		switch {
		case errors.Is(err, dlq.ErrNotFound):
			r.note(target{app: app, id: id}, err)
		case err != nil:
			return err
		default:
			targets = append(targets, target{d.App, d.ID, d.Cause})
			preview.Count++
			preview.Sample = append(preview.Sample, d)
		}
	}
	if f.dryRun {
		return errors.Join(r.dryRun(f, r.change.verb, preview), r.result())
	}
	for _, t := range targets {
		if cmd.Context().Err() != nil {
			return cmd.Context().Err()
		}
		r.note(t, r.change.do(r.store, cmd.Context(), t.app, t.id, r.by))
	}
	return r.result()
}

// dryRun prints what would be done.
func (e *env) dryRun(f *changeFlags, verb string, p dlq.Preview) error {
	if f.json {
		out := struct {
			Count   int      `json:"count"`
			Sample  []string `json:"sample"`
			Unknown int      `json:"left_out_unknown,omitempty"`
		}{p.Count, []string{}, p.Unknown}
		for _, d := range p.Sample {
			out.Sample = append(out.Sample, d.ID)
		}
		return newJSONEncoder(e.out).Encode(out)
	}
	e.say("would %s %s", verb, plural(p.Count, "dead letter"))
	if p.Unknown > 0 {
		e.say("would leave out %s of unknown outcome", plural(p.Unknown, "dead letter"))
	}
	l := e.newList(false, "id", "app", "cause", "last_failed_at")
	for _, d := range p.Sample {
		l.row(nil, d.ID, d.App, d.Cause, d.LastFailedAt)
	}
	return l.end()
}

// confirm asks the person at the terminal.
func (e *env) confirm(ctx context.Context, verb string, n int) error {
	_, _ = fmt.Fprintf(e.err, "%s %s? [y/N] ", verb, plural(n, "dead letter"))
	answer, err := bufio.NewReader(&reader{ctx: ctx, from: e.in}).ReadString('\n')
	if answer = strings.ToLower(strings.TrimSpace(answer)); answer == "y" || answer == "yes" {
		return nil
	}
	if err != nil {
		e.say("")
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return errors.New("nothing was changed")
}

// What became of one dead letter.
const (
	changeSkipped  = "skipped"
	changeNotFound = "not found"
	changeRefused  = "refused"
	changeFailed   = "failed"
)

// note counts and reports the outcome of one dead letter.
func (r *changeRun) note(t target, err error) {
	outcome, why := r.change.did, ""
	if err != nil {
		outcome, why = changeOutcome(err)
		if outcome == changeFailed && r.failure == nil {
			r.failure = err
		}
	}
	r.counts[outcome]++
	switch {
	case r.json != nil:
		line := struct {
			ID     string `json:"id"`
			App    string `json:"app,omitempty"`
			Result string `json:"result"`
			Error  string `json:"error,omitempty"`
		}{t.id, t.app, outcome, why}
		if err := r.json.Encode(line); err != nil && r.failure == nil {
			r.failure = err
		}
	case outcome == changeSkipped:
		r.say("%s: skipped: %s", t.id, oneLine(why, cellBytes))
	case err != nil && outcome != changeFailed:
		r.say("%s: %s", t.id, oneLine(why, cellBytes))
	case err == nil:
		_, _ = fmt.Fprintln(r.out, r.change.did, t.id)
	}
}

// changeOutcome sorts a change's error, and words it.
func changeOutcome(err error) (outcome, why string) {
	var (
		state *dlq.StateError
		field *tasks.FieldError
	)
	switch {
	case errors.Is(err, dlq.ErrNotFound):
		return changeNotFound, "no such dead letter"
	case errors.Is(err, dlq.ErrResendInProgress):
		return changeSkipped, "it is being resent"
	case errors.As(err, &state):
		return changeSkipped, fmt.Sprintf("it is %s, not %s", state.State, state.Wanted)
	case errors.As(err, &field), errors.Is(err, dlq.ErrRest), errors.Is(err, tasks.ErrUnknownKind), errors.Is(err, tasks.ErrWireVersion):
		return changeRefused, err.Error()
	default:
		return changeFailed, err.Error()
	}
}

// result is an error when some dead letters were not changed.
func (r *changeRun) result() error {
	switch c := r.counts; {
	case r.failure != nil:
		return r.failure
	case c[changeRefused] > 0, c[changeSkipped] > 0:
		return errReported
	case c[changeNotFound] > 0:
		return errors.Join(errReported, dlq.ErrNotFound)
	}
	return nil
}
