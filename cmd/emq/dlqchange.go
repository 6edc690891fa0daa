package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"github.com/imqueue/emq/dlq"
	"github.com/imqueue/emq/tasks"
)

const (
	// changesAtOnce is how many entries of a bulk change are under way at a time.
	changesAtOnce = 16
	// sampleSize is how many of the matching dead letters a dry run shows.
	sampleSize = 10
)

// A change is what `emq dlq resend`, `discard` and `restore` do.
type change struct {
	verb, did   string
	short, long string
	from        dlq.State // of the entries that a filter selects
	do          func(s *dlq.Store, ctx context.Context, app, id string, by dlq.Actor) error
	note        string // what the history says of it before the given reason; most often nothing
}

// changeFlags are the flags of a change.
type changeFlags struct {
	filters                         filterFlags
	all, dryRun, yes, unknown, json bool
	reason                          string
}

func newChangeCmd(e *env, c change) *cobra.Command {
	f := &changeFlags{}
	cmd := &cobra.Command{
		Use:   c.verb + " {ID... | filters | --all}",
		Short: c.short,
		Long: c.long + `

By filter, it prints how many dead letters match and asks, unless --yes is given.
Without a filter it needs --all. --dry-run shows what would be done.`,
		Example: strings.ReplaceAll(`  emq dlq VERB order-8812-shipped
  emq dlq VERB --cause user-not-found-1f0a9c3e --dry-run
  emq dlq VERB --app shop --since 2h --reason 'token was wrong' --yes`, "VERB", c.verb),
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, ids []string) error { return e.runChange(cmd, c, f, ids) },
	}
	f.filters.add(cmd)
	flags := cmd.Flags()
	flags.BoolVar(&f.all, "all", false, "every dead letter of all apps")
	flags.BoolVar(&f.dryRun, "dry-run", false, "change nothing: print how many match, and a sample")
	flags.BoolVarP(&f.yes, "yes", "y", false, "do not ask")
	flags.StringVar(&f.reason, "reason", "", "why, kept in the history of each dead letter")
	jsonFlag(cmd, &f.json)
	if c.verb == "resend" {
		flags.BoolVar(&f.unknown, "include-unknown", false, "by filter: also those with the reason unknown-outcome")
	}
	return cmd
}

// target is one dead letter to change.
type target struct {
	app, id, cause string
}

func (e *env) runChange(cmd *cobra.Command, c change, f *changeFlags, ids []string) error {
	filter, err := f.filters.filter(e.now())
	if err != nil {
		return err
	}
	withoutApp := filter
	withoutApp.App = ""
	switch {
	case len(ids) > 0 && (f.all || !withoutApp.Empty()):
		return usagef("give either IDs or a filter; with IDs only --app goes")
	case f.all && !filter.Empty():
		return usagef("give either a filter or --all")
	case len(ids) == 0 && !f.all && filter.Empty():
		return usagef("refusing to %s everything: give IDs, a filter, or --all", c.verb)
	case len(ids) == 0 && !f.dryRun && !f.yes && !e.inTTY:
		return usagef("nobody to ask: give --yes to %s by filter without a terminal", c.verb)
	}
	b, err := e.backend(cmd)
	if err != nil {
		return err
	}
	by := e.actor(f.reason)
	if c.note != "" {
		by.Note = c.note + suffix(": ", f.reason)
	}
	run := &changeRun{env: e, change: c, store: b.store, by: by, counts: map[string]int{}}
	if f.json {
		run.json = newJSONEncoder(e.out)
	}
	if len(ids) > 0 {
		return run.byID(cmd, b, f, ids)
	}
	filter.State = c.from
	return run.byFilter(cmd.Context(), f, filter)
}

// changeRun is one run of a change.
type changeRun struct {
	*env
	change change
	store  *dlq.Store
	by     dlq.Actor
	json   *json.Encoder // nil unless asked for
	named  bool          // the entries were named one by one

	mu      sync.Mutex
	counts  map[string]int // outcome -> how many
	failure error          // of Redis or of the output: ends the run
}

func (r *changeRun) byID(cmd *cobra.Command, b *backend, f *changeFlags, ids []string) error {
	r.named = true
	var targets []target
	for _, id := range ids {
		d, err := r.find(cmd, b, f.filters.app, id)
		switch {
		case errors.Is(err, dlq.ErrNotFound):
			r.note(target{app: f.filters.app, id: id}, err)
		case err != nil:
			return err
		default:
			targets = append(targets, target{d.App, d.ID, d.Cause})
		}
	}
	if f.dryRun {
		return errors.Join(r.dryRun(targets, 0), r.result())
	}
	for _, t := range targets {
		r.apply(cmd.Context(), t)
	}
	return r.result()
}

func (r *changeRun) byFilter(ctx context.Context, f *changeFlags, filter dlq.Filter) error {
	// What is changed is what was counted: later arrivals stay as they are.
	var targets []target
	unknown := 0
	err := r.store.Each(ctx, filter, func(d dlq.Entry) error {
		if r.change.verb == "resend" && d.Reason == dlq.ReasonUnknownOutcome && !f.unknown {
			unknown++
			return nil
		}
		targets = append(targets, target{d.App, d.ID, d.Cause})
		return nil
	})
	if err != nil {
		return asUsage(err)
	}
	if f.dryRun {
		return r.dryRun(targets, unknown)
	}
	if unknown > 0 {
		r.say("leaving out %s of unknown outcome (see --include-unknown)", plural(unknown, "dead letter"))
	}
	if len(targets) == 0 {
		r.say("no dead letters match")
		return nil
	}
	if !f.yes {
		if err := r.confirm(ctx, len(targets)); err != nil {
			return err
		}
	}
	r.applyAll(ctx, targets)
	return errors.Join(r.result(), ctx.Err())
}

// dryRun prints what would be done.
func (r *changeRun) dryRun(targets []target, unknown int) error {
	sample := targets[:min(len(targets), sampleSize)]
	if r.json != nil {
		out := struct {
			Count   int      `json:"count"`
			Sample  []string `json:"sample"`
			Unknown int      `json:"left_out_unknown,omitempty"`
		}{len(targets), []string{}, unknown}
		for _, t := range sample {
			out.Sample = append(out.Sample, t.id)
		}
		return r.json.Encode(out)
	}
	r.say("would %s %s", r.change.verb, plural(len(targets), "dead letter"))
	if unknown > 0 {
		r.say("would leave out %s of unknown outcome", plural(unknown, "dead letter"))
	}
	l := r.newList(false, "id", "app", "cause")
	for _, t := range sample {
		l.row(nil, t.id, t.app, t.cause)
	}
	return l.end()
}

// confirm asks the person at the terminal.
func (r *changeRun) confirm(ctx context.Context, n int) error {
	_, _ = fmt.Fprintf(r.err, "%s %s? [y/N] ", r.change.verb, plural(n, "dead letter"))
	answer, err := bufio.NewReader(&reader{ctx: ctx, from: r.in}).ReadString('\n')
	if answer = strings.ToLower(strings.TrimSpace(answer)); answer == "y" || answer == "yes" {
		return nil
	}
	if err != nil {
		r.say("")
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return errors.New("nothing was changed")
}

// applyAll changes the targets, several at a time, until Redis fails.
func (r *changeRun) applyAll(ctx context.Context, targets []target) {
	bar := r.newBar(len(targets) >= progressItems, int64(len(targets)), r.change.verb, false)
	queue := make(chan target)
	var workers sync.WaitGroup
	for range min(changesAtOnce, len(targets)) {
		workers.Go(func() {
			for t := range queue {
				r.apply(ctx, t)
				bar.advance(1)
			}
		})
	}
	for _, t := range targets {
		if ctx.Err() != nil || r.failed() {
			break
		}
		queue <- t
	}
	close(queue)
	workers.Wait()
	bar.clear()
}

func (r *changeRun) failed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.failure != nil
}

// apply changes one dead letter.
func (r *changeRun) apply(ctx context.Context, t target) {
	r.note(t, r.change.do(r.store, ctx, t.app, t.id, r.by))
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
	r.mu.Lock()
	defer r.mu.Unlock()
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
	case err == nil && r.named:
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

// result sums up. Named dead letters that were not changed make it an error; of
// those that a filter found, somebody else may have changed some meanwhile.
func (r *changeRun) result() error {
	c := r.counts
	if !r.named {
		var parts []string
		for _, outcome := range []string{r.change.did, changeSkipped, changeNotFound, changeRefused, changeFailed} {
			if c[outcome] > 0 || outcome == r.change.did {
				parts = append(parts, fmt.Sprintf("%s %d", outcome, c[outcome]))
			}
		}
		to := r.out
		if r.json != nil {
			to = r.err
		}
		_, _ = fmt.Fprintln(to, strings.Join(parts, ", "))
	}
	switch {
	case r.failure != nil:
		return r.failure
	case c[changeRefused] > 0, r.named && c[changeSkipped] > 0:
		return errReported
	case r.named && c[changeNotFound] > 0:
		return errors.Join(errReported, dlq.ErrNotFound)
	}
	return nil
}
