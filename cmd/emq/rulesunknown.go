package main

import (
	"bytes"
	"cmp"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/imqueue/emq/dlq"
	"github.com/imqueue/emq/errclass"
)

func newRulesUnknownCmd(e *env) *cobra.Command {
	var (
		app            string
		asJSON, forget bool
	)
	cmd := &cobra.Command{
		Use:   "unknown",
		Short: "List the answers that no rule knows, the most frequent first",
		Long: `unknown lists the answers that workers met and no rule knew, grouped by app, kind,
status, error and description without its ids and numbers. Such an answer is judged
by its status alone: after a 503 the task is tried again, after a 451 it is a dead
letter at once. A rule of your own says better; for a person, the list ends with one
to begin with.

With --forget the groups of an app are forgotten, as after their rules were written.`,
		Example: `  emq rules unknown
  emq rules unknown --app shop --json
  emq rules unknown --app shop --forget`,
		Args: takesNone,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if forget && asJSON {
				return usagef("--forget does not go with --json")
			}
			b, err := e.backend(cmd)
			if err != nil {
				return err
			}
			if forget {
				app = cmp.Or(app, b.cfg.appOrDefault())
				n, err := b.store.ForgetUnknowns(cmd.Context(), app)
				if err != nil {
					return asUsage(err)
				}
				_, err = fmt.Fprintf(e.out, "forgot %s of %s\n", plural(n, "group"), app)
				return err
			}
			unknowns, err := b.store.Unknowns(cmd.Context(), someApps(app)...)
			if err != nil {
				return asUsage(err)
			}
			l := e.newList(asJSON, "count", "last", "app", "kind", "status", "error", "task", "answer:")
			for _, u := range unknowns {
				l.row(u, u.Count, u.Last, u.App, string(u.Kind), u.Status, u.Error, u.Task, cmp.Or(u.Description, u.Body))
			}
			if err := e.endList(l, "answers that no rule knows"); err != nil {
				return err
			}
			if l.person && len(unknowns) > 0 {
				e.say("\nA rule for the first, to be completed and put into a file of rules (see `emq rules --help`):\n\n%s", draft(unknowns[0]))
				e.say("Then run `emq rules check FILE`, and send the workers SIGHUP.")
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&app, "app", "", "only those of this app")
	cmd.Flags().BoolVar(&forget, "forget", false, "forget those of the app (default: the app of the settings)")
	jsonFlag(cmd, &asJSON)
	return cmd
}

// draft is the beginning of a rule that matches an unknown answer: what follows
// from it is the operator's to say.
func draft(u dlq.Unknown) string {
	var b strings.Builder
	b.WriteString("rules:\n  - id: my-rule\n")
	if u.Status != 0 {
		fmt.Fprintf(&b, "    statuses: [%d]\n", u.Status)
	}
	if u.Error != "" {
		fmt.Fprintf(&b, "    errors: [%s]\n", yamlText(u.Error))
	}
	if fragment := fragmentOf(u); fragment != "" {
		fmt.Fprintf(&b, "    contains: [%s]\n", yamlText(fragment))
	}
	if u.Kind != "" {
		fmt.Fprintf(&b, "    kinds: [%s]\n", yamlText(string(u.Kind)))
	}
	b.WriteString("    class: permanent     # success, retryable, permanent or needs-human\n    why: what it means\n    advice: what to do about it\n")
	return b.String()
}

// fragmentOf is a fragment that matches the answer whatever its ids and numbers
// are; empty when there is none.
func fragmentOf(u dlq.Unknown) string {
	fragment := errclass.Normalise(u.Description)
	probe := errclass.Rule{
		ID: "probe", Contains: []string{fragment},
		Class: errclass.ClassPermanent, Why: errclass.Text{En: "-"}, Advice: errclass.Text{En: "-"},
	}
	table, err := errclass.Default().Extend([]errclass.Rule{probe})
	if err != nil {
		return ""
	}
	evidence, err := answer{err: u.Error, description: u.Description, hasError: true, kind: string(u.Kind), status: u.Status}.evidence("")
	if err != nil || table.Classify(evidence).Rule != probe.ID {
		return ""
	}
	return fragment
}

// yamlText writes a text as YAML reads it: as JSON.
func yamlText(text string) string {
	var b bytes.Buffer
	if err := newJSONEncoder(&b).Encode(text); err != nil {
		return `""`
	}
	return strings.TrimSpace(b.String())
}
