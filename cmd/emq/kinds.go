package main

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/imqueue/emq/tasks"
)

// byPayload stands for the endpoint of a kind whose payload decides.
const byPayload = "by payload"

// kindLine is one line of `emq kinds --json`.
type kindLine struct {
	Kind       tasks.Kind      `json:"kind"`
	Endpoint   tasks.Endpoint  `json:"endpoint,omitempty"` // absent when the payload decides
	Limit      *tasks.Limit    `json:"limit,omitempty"`    // Easemob's default
	Repeatable bool            `json:"repeatable"`
	Why        string          `json:"why"`
	Summary    string          `json:"summary"`
	Fields     []kindField     `json:"fields"`
	Source     string          `json:"source"`
	Example    json.RawMessage `json:"example"`
}

type kindField struct {
	Name     string `json:"name"`
	Type     string `json:"type"`
	Required bool   `json:"required"`
	Bound    string `json:"bound"`
}

func newKindLine(info tasks.KindInfo) kindLine {
	line := kindLine{
		Kind: info.Kind, Endpoint: info.Endpoint, Repeatable: info.Repeatable, Why: info.Why, Summary: info.Summary,
		Fields: []kindField{}, Source: info.Source, Example: json.RawMessage(info.Example),
	}
	if endpoint, ok := info.Endpoint.Info(); ok {
		line.Limit = &endpoint.Limit
	}
	for _, f := range info.Fields {
		line.Fields = append(line.Fields, kindField{Name: f.Name, Type: f.Type, Required: f.Required, Bound: f.Bound})
	}
	return line
}

// fields are the payload's fields with their bounds in one line, for people; *
// marks the required ones.
func (k kindLine) fields() string {
	all := make([]string, len(k.Fields))
	for i, f := range k.Fields {
		mark := ""
		if f.Required {
			mark = "*"
		}
		all[i] = f.Name + mark + " (" + f.Bound + ")"
	}
	return strings.Join(all, ", ")
}

// where is the endpoint and its default limit, for people.
func (k kindLine) where() (endpoint, limit string) {
	if k.Limit == nil {
		return byPayload, ""
	}
	return string(k.Endpoint), k.Limit.String()
}

func newKindsCmd(e *env) *cobra.Command {
	var asJSON, example bool
	cmd := &cobra.Command{
		Use:   "kinds [KIND]",
		Short: "List the kinds of call, or describe one with its fields",
		Long: `kinds lists what tasks can do: each kind with the endpoint that it calls and that
endpoint's default limit, whether making the call twice does no harm, and the fields
of its payload with their bounds (* marks the required ones). With a KIND it also says
why, where Easemob describes the call, and ends with an example; --example prints
that alone, as "emq enqueue -f -" takes it.`,
		Example: `  emq kinds
  emq kinds group.add_members
  emq kinds group.add_members --example | emq enqueue -f -`,
		Args:              takes(0, 1, "KIND"),
		ValidArgsFunction: completeKinds,
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				if example {
					return usagef("--example goes with a KIND")
				}
				return e.listKinds(asJSON)
			}
			info, ok := tasks.Kind(args[0]).Info()
			if !ok {
				known := map[string]bool{}
				for _, name := range kindNames() {
					known[name] = true
				}
				return usagef("no kind %q%s; `emq kinds` lists all", args[0], didYouMean(args[0], known))
			}
			switch {
			case example:
				_, err := fmt.Fprintln(e.out, info.Example)
				return err
			case asJSON:
				return newJSONEncoder(e.out).Encode(newKindLine(info))
			}
			return e.showKind(newKindLine(info))
		},
	}
	jsonFlag(cmd, &asJSON)
	cmd.Flags().BoolVar(&example, "example", false, "print nothing but the example")
	cmd.MarkFlagsMutuallyExclusive("json", "example")
	return cmd
}

func completeKinds(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return kindNames(), cobra.ShellCompDirectiveNoFileComp
}

func (e *env) listKinds(asJSON bool) error {
	l := e.newList(asJSON, "kind", "endpoint", "limit", "repeatable", "summary:", "fields:")
	for _, info := range tasks.Kinds() {
		line := newKindLine(info)
		endpoint, limit := line.where()
		l.row(line, string(line.Kind), endpoint, limit, yesNo(line.Repeatable), line.Summary, line.fields())
	}
	return l.end()
}

func (e *env) showKind(k kindLine) error {
	endpoint, limit := k.where()
	p := e.newFields()
	p.field("kind", string(k.Kind))
	p.field("summary", k.Summary)
	p.field("endpoint", endpoint)
	p.field("limit", limit)
	p.field("repeatable", yesNo(k.Repeatable)+": "+k.Why)
	p.field("source", k.Source)
	p.print("\n")
	if p.err != nil {
		return p.err
	}
	l := e.newList(false, "field", "type", "required", "bound")
	for _, f := range k.Fields {
		l.row(f, f.Name, f.Type, yesNo(f.Required), f.Bound)
	}
	if err := l.end(); err != nil {
		return err
	}
	p.print("\n%s\n", k.Example)
	return p.err
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
