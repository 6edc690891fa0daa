package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/imqueue/emq/admin"
	"github.com/imqueue/emq/errclass"
)

func newRulesCmd(e *env) *cobra.Command {
	return group(&cobra.Command{
		Use:   "rules",
		Short: "Look at the rules that judge answers, and check and test your own",
		Long: `Rules say what an answer means. The builtin ones can be extended, and replaced one
by one, with a YAML file that the setting "rules" names:

  rules:
    - id: coupon-used
      statuses: [409]
      contains: ["coupon * was used"]
      kinds: [call.raw]
      class: success            # or retryable, permanent, needs-human
      why: The coupon is used already, which is the goal.
      advice: Nothing to do.
  tests:
    - status: 409
      body: {error: conflict, error_description: coupon 12 was used}
      kind: call.raw
      expect: {class: success, rule: coupon-used}

Rules of the file are asked before the builtin ones, in their order; one with the ID
of a builtin rule takes its place. All columns that a rule gives must match: statuses,
errors, contains, unless, kinds, transports, body, fresh_token. A worker reads the file at
its start, and again at SIGHUP.`,
		Example: `  emq rules unknown            answers that no rule knows
  emq rules check rules.yaml
  emq rules test rules.yaml
  emq rules list --rules rules.yaml`,
	}, newRulesListCmd(e), newRulesCheckCmd(e), newRulesTestCmd(e), newRulesUnknownCmd(e))
}

// rules is the table that the settings ask for. What is wrong with its file is
// said line by line.
func (e *env) rules(ctx context.Context, cfg *config) (*errclass.Table, error) {
	if cfg.Rules == "" {
		return errclass.Default(), nil
	}
	file, err := e.rulesFile(ctx, cfg.Rules)
	if err != nil {
		return nil, err
	}
	return file.table, nil
}

func (e *env) rulesFile(ctx context.Context, path string) (*rulesFile, error) {
	file, err := readRules(ctx, path)
	if err == nil {
		return file, nil
	}
	var missing *fs.PathError
	if errors.As(err, &missing) || ctx.Err() != nil {
		return nil, &usageError{err}
	}
	faults := problems(err)
	for _, fault := range faults {
		e.say("%s", oneLine(fault.Error(), maxErrorBytes))
	}
	e.say("emq: %s: %s; `emq rules --help` shows an example", path, plural(len(faults), "error"))
	return nil, &usageError{errReported}
}

// problems takes apart what errors.Join joined.
func problems(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	return []error{err}
}

// namedRules is the file that a command is given, or the one of the settings.
func (e *env) namedRules(cmd *cobra.Command, args []string) (*rulesFile, *config, error) {
	cfg, err := e.config(cmd)
	if err != nil {
		return nil, nil, err
	}
	path := cfg.Rules
	if len(args) == 1 {
		path = args[0]
	}
	if path == "" {
		return nil, nil, usagef("give a file of rules, or set one with EMQ_RULES or in %s", configFile)
	}
	file, err := e.rulesFile(cmd.Context(), path)
	return file, cfg, err
}

// A ruleLine is one line of `emq rules list --json`.
type ruleLine struct {
	From string `json:"from"`
	errclass.Rule
}

func newRulesListCmd(e *env) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List all rules in the order in which they are asked",
		Long: `list shows the builtin rules and those of your file, in the order in which they are
asked: the first that matches judges. Without a file it shows the builtin ones.`,
		Example: `  emq rules list
  emq rules list --rules rules.yaml --json | jq 'select(.class == "needs-human")'`,
		Args: takesNone,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := e.config(cmd)
			if err != nil {
				return err
			}
			table, err := e.rules(cmd.Context(), cfg)
			if err != nil {
				return err
			}
			builtin := map[string]string{}
			for _, r := range errclass.Default().Rules() {
				text, err := json.Marshal(r)
				if err != nil {
					return err
				}
				builtin[r.ID] = string(text)
			}
			l := e.newList(asJSON, "rule", "from", "class", "scope", "delay", "matches:", "why:")
			for _, r := range table.Rules() {
				text, err := json.Marshal(r)
				if err != nil {
					return err
				}
				from := "builtin"
				if builtin[r.ID] != string(text) {
					from = "file"
				}
				l.row(ruleLine{from, r}, r.ID, from, r.Class, r.Scope, r.Delay, sentence(matches(r)), r.Why.In(cfg.Lang))
			}
			return l.end()
		},
	}
	settingFlags(cmd.Flags(), "rules", "lang")
	jsonFlag(cmd, &asJSON)
	_ = cmd.MarkFlagFilename("rules", "yaml", "yml") // fails for an unknown flag only
	oneOf(cmd, "lang", "en", "zh")
	return cmd
}

// matches says in one line what a rule matches.
func matches(r errclass.Rule) string {
	var parts []string
	add := func(name string, values ...string) {
		if len(values) > 0 {
			parts = append(parts, name+" "+strings.Join(values, ", "))
		}
	}
	statuses := make([]string, len(r.Statuses))
	for i, s := range r.Statuses {
		if statuses[i] = strconv.Itoa(s); s < 10 {
			statuses[i] += "xx"
		}
	}
	add("status", statuses...)
	add("error", quoted(r.Errors)...)
	add("text", quoted(r.Contains)...)
	add("kind", r.Kinds...)
	add("transport", words(r.Transports)...)
	if r.Body != errclass.BodyAny {
		add("body", string(r.Body))
	}
	if r.FreshToken {
		add("after", "a fresh token")
	}
	if len(parts) == 0 {
		return "everything"
	}
	return strings.Join(parts, "; ")
}

func quoted(texts []string) []string {
	marked := make([]string, len(texts))
	for i, text := range texts {
		marked[i] = strconv.Quote(text)
	}
	return marked
}

func newRulesCheckCmd(e *env) *cobra.Command {
	return &cobra.Command{
		Use:   "check [FILE]",
		Short: "Check a file of rules",
		Long: `check reads a file of rules as a worker would and prints each fault as
FILE:LINE: reason. A rule that can never match is a fault, and a test that expects
what no rule says. A builtin rule that can't match any more is a warning, a kind that
this version does not have, and a fragment that looks like a regular expression.
Without FILE it checks the one of the settings. Exit codes: 0 no faults, 2 faults.`,
		Example:           "  emq rules check rules.yaml",
		Args:              takes(0, 1, "FILE"),
		ValidArgsFunction: completeYAML,
		RunE: func(cmd *cobra.Command, args []string) error {
			file, _, err := e.namedRules(cmd, args)
			if err != nil {
				return err
			}
			for _, warning := range file.warnings {
				e.say("%s", warning)
			}
			_, err = fmt.Fprintf(e.out, "ok: %s\n", plural(len(file.rules), "rule"))
			return err
		},
	}
}

// completeYAML offers YAML files for the only argument.
func completeYAML(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return []string{"yaml", "yml"}, cobra.ShellCompDirectiveFilterFileExt
}

func newRulesTestCmd(e *env) *cobra.Command {
	var (
		given  answer
		path   string
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "test [FILE]",
		Short: "Run the tests of a file of rules, or show what it changes",
		Long: `test runs the tests that a file of rules carries: each is an answer (status, body or
error and description, kind, transport, fresh_token) and what is expected of it
(class, scope, rule, delay). It prints those that fail with what they got, and its
exit code is then 1.

With an answer in flags it shows how the file judges that one, and how the builtin
rules do. With -f it does so for every line of a file as "emq explain -" reads it
("-" is standard input), and lists the answers that the file judges differently.
Without FILE it takes the one of the settings.`,
		Example: `  emq rules test rules.yaml
  emq rules test rules.yaml --status 409 --body '{"error":"conflict","error_description":"coupon 12 was used"}' --kind call.raw
  emq rules test rules.yaml -f answers.jsonl`,
		Args:              takes(0, 1, "FILE"),
		ValidArgsFunction: completeYAML,
		RunE: func(cmd *cobra.Command, args []string) error {
			one := given.read(cmd.Flags())
			if one && path != "" {
				return usagef("an answer comes either from flags or from --file")
			}
			if asJSON && path == "" {
				return usagef("--json goes with --file")
			}
			file, cfg, err := e.namedRules(cmd, args)
			if err != nil {
				return err
			}
			switch {
			case path != "":
				return e.compareAnswers(cmd.Context(), file, path, asJSON)
			case one:
				evidence, err := given.evidence("--")
				if err != nil {
					return &usageError{err}
				}
				e.warnUnknownKind(evidence.Kind)
				p := e.newFields()
				p.field("builtin", judged(errclass.Classify(evidence)))
				p.field("file", judged(file.table.Classify(evidence)))
				x := explainer{file.table, cfg.Lang}.explain(evidence)
				p.field("why", x.Why)
				p.field("advice", x.Advice)
				p.field("next", x.Next)
				return p.err
			}
			return e.runRuleTests(file)
		},
	}
	given.flags(cmd)
	cmd.Flags().StringVarP(&path, "file", "f", "", `file of answers, one JSON object a line; "-" for standard input`)
	settingFlags(cmd.Flags(), "lang")
	jsonFlag(cmd, &asJSON)
	_ = cmd.MarkFlagFilename("file", "jsonl") // fails for an unknown flag only
	oneOf(cmd, "lang", "en", "zh")
	return cmd
}

// failures are the tests in the file that fail, each as "FILE:LINE: name: why".
func (r *rulesFile) failures() []string {
	failed := []string{}
	for i, test := range r.tests {
		if failure := test.failure(r.table); failure != "" {
			name := cmp.Or(test.Name, fmt.Sprintf("test %d", i+1))
			failed = append(failed, fmt.Sprintf("%s:%d: %s: %s", r.name, test.line, oneLine(name, cellBytes), failure))
		}
	}
	return failed
}

// checkRules reads the text of a file of rules for the page.
func checkRules(text []byte) (admin.RulesCheck, *errclass.Table) {
	check := admin.RulesCheck{Faults: []string{}, Warnings: []string{}, Failed: []string{}}
	file, err := parseRules("rules", text)
	if err != nil {
		for _, fault := range problems(err) {
			check.Faults = append(check.Faults, oneLine(fault.Error(), maxErrorBytes))
		}
		return check, nil
	}
	check.Rules, check.Tests, check.Failed = len(file.rules), len(file.tests), file.failures()
	check.Warnings = append(check.Warnings, file.warnings...)
	return check, file.table
}

func (e *env) runRuleTests(file *rulesFile) error {
	failed := file.failures()
	for _, failure := range failed {
		e.say("%s", failure)
	}
	switch {
	case len(failed) > 0:
		e.say("emq: %d of %s failed", len(failed), plural(len(file.tests), "test"))
		return errReported
	case len(file.tests) == 0:
		e.say("emq: %s has no tests; `emq rules --help` shows one", file.name)
	}
	_, err := fmt.Fprintf(e.out, "ok: %s\n", plural(len(file.tests), "test"))
	return err
}

// A comparison is one line of `emq rules test -f --json`: an answer that a file
// judges differently.
type comparison struct {
	ID      json.RawMessage `json:"id"`
	Line    int             `json:"line"`
	Builtin expectation     `json:"builtin"`
	File    expectation     `json:"file"`
}

// compareAnswers lists the answers of a file that a file of rules judges
// differently from the builtin rules.
func (e *env) compareAnswers(ctx context.Context, file *rulesFile, path string, asJSON bool) error {
	in, err := e.openInput(ctx, path)
	if err != nil {
		return &usageError{err}
	}
	defer in.close()
	reader := bufio.NewReaderSize(in, 64<<10)
	l := e.newList(asJSON, "line", "id", "builtin", "file")
	answers, bad := 0, 0
	for number := 1; ctx.Err() == nil; number++ {
		raw, size, readErr := readLine(reader)
		if readErr != nil && !errors.Is(readErr, io.EOF) {
			return fmt.Errorf("read %s: %w", path, readErr)
		}
		if raw = bytes.TrimSpace(raw); len(raw) > 0 {
			answers++
			id, evidence, err := readEvidence(raw, size)
			if err != nil {
				bad++
				e.say("line %d: %v", number, err)
			} else if old, now := errclass.Classify(evidence), file.table.Classify(evidence); outline(old) != outline(now) {
				l.row(comparison{id, number, outline(old), outline(now)}, number, string(id), judged(old), judged(now))
			}
		}
		if readErr != nil {
			break
		}
	}
	if err := l.end(); err != nil {
		return err
	}
	e.say("%s, %d judged differently", plural(answers-bad, "answer"), l.rows)
	if bad > 0 {
		e.say("emq: %s could not be read", plural(bad, "line"))
		return errReported
	}
	return ctx.Err()
}

// outline is the part of a verdict that decides what follows.
func outline(v errclass.Verdict) expectation {
	return expectation{Class: v.Class, Scope: v.Scope, Rule: v.Rule, Delay: v.Delay}
}

// followRules reads the file of rules again at each signal, and hands a table
// that is sound to set. What is wrong is logged, and the old rules stay.
func followRules(ctx context.Context, signals <-chan os.Signal, path string, set func(*errclass.Table), log *slog.Logger) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-signals:
		}
		if path == "" {
			log.Info("no file of rules is set; there is nothing to read again")
			continue
		}
		file, err := readRules(ctx, path)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			for _, fault := range problems(err) {
				log.Error("rules are not changed", "error", fault)
			}
			continue
		}
		for _, warning := range file.warnings {
			log.Warn("rules", "warning", warning)
		}
		set(file.table)
		log.Info("rules read again", "file", path, "rules", len(file.rules))
	}
}
