package main

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/imqueue/emq/errclass"
	"github.com/imqueue/emq/tasks"
)

// explainFlags are the evidence that `emq explain` is given, and how it answers.
type explainFlags struct {
	answer
	json bool
}

// An answer is evidence of one attempt as a person gives it.
type answer struct {
	status                       int
	err, description, body       string
	kind, transport              string
	hasStatus, hasBody, hasError bool // given, perhaps as zero
}

func newExplainCmd(e *env) *cobra.Command {
	f := &explainFlags{}
	cmd := &cobra.Command{
		Use:   "explain [-]",
		Short: "Say what an answer of Easemob means and what to do about it",
		Long: `explain judges an answer, or the lack of one, as a worker would: its class and
scope, the rule that says so, why, what to do, and what emq does next. It asks
nobody: neither Redis nor Easemob.

With "-" it reads JSON Lines from standard input

  {"id", "kind"?, "status", "body" | "body_text", "transport"?}

and answers each, in order, with one line {"id", "class", "scope", "rule",
"advice", ...}. "body" is the answer's body as JSON (of a string, its content),
"body_text" is the body as text. At least one of status, body, body_text and transport
must be given. A line that can't be read, or has other fields, is answered with
{"id", "line", "error"}; the rest is answered all the same, and the exit code is 1.`,
		Example: `  emq explain --status 403 --error forbidden_op --description 'users [u1] are not members of this group!' --kind group.remove_members
  emq explain --transport timeout --kind message.send --lang zh
  emq explain --status 429 --body '{"error":"reach_limit"}' --json
  emq explain --rules rules.yaml - < answers.jsonl`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 || len(args) == 1 && args[0] != "-" {
				return fmt.Errorf(`unexpected argument %q: only "-" is taken`, args[len(args)-1])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := e.config(cmd)
			if err != nil {
				return err
			}
			rules, err := e.rules(cmd.Context(), cfg)
			if err != nil {
				return err
			}
			x := explainer{rules, cfg.Lang}
			given := f.read(cmd.Flags())
			if len(args) == 1 {
				if given {
					return usagef(`with "-" the evidence comes from standard input, not from flags`)
				}
				return e.explainLines(cmd.Context(), x)
			}
			evidence, err := f.evidence("--")
			if err != nil {
				return &usageError{err}
			}
			e.warnUnknownKind(evidence.Kind)
			return e.explainOne(x.explain(evidence), f.json)
		},
	}
	f.flags(cmd)
	flags := cmd.Flags()
	settingFlags(flags, "rules", "lang")
	jsonFlag(cmd, &f.json)
	_ = cmd.MarkFlagFilename("rules", "yaml", "yml") // fails for an unknown flag only
	oneOf(cmd, "lang", "en", "zh")
	return cmd
}

// flags adds the flags that describe an answer.
func (a *answer) flags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.IntVar(&a.status, "status", 0, "HTTP status")
	flags.StringVar(&a.err, "error", "", "the answer's error word")
	flags.StringVar(&a.description, "description", "", "the answer's error description")
	flags.StringVar(&a.body, "body", "", "the whole body instead, JSON or not")
	flags.StringVar(&a.transport, "transport", "", "how the call failed without an answer: "+strings.Join(words(errclass.Transports()), ", "))
	flags.StringVar(&a.kind, "kind", "", "what the call did, such as group.add_members")
	cmd.MarkFlagsMutuallyExclusive("body", "error")
	cmd.MarkFlagsMutuallyExclusive("body", "description")
	cmd.MarkFlagsMutuallyExclusive("transport", "status")
	oneOf(cmd, "transport", words(errclass.Transports())...)
	oneOf(cmd, "kind", kindNames()...)
}

// read notes which flags were given, and says whether any was.
func (a *answer) read(flags *pflag.FlagSet) bool {
	a.hasStatus, a.hasBody = flags.Changed("status"), flags.Changed("body")
	a.hasError = flags.Changed("error") || flags.Changed("description")
	return a.hasStatus || a.hasBody || a.hasError || flags.Changed("kind") || flags.Changed("transport")
}

// kindNames lists the kinds that this version enqueues.
func kindNames() []string {
	var names []string
	for _, info := range tasks.Kinds() {
		names = append(names, string(info.Kind))
	}
	return names
}

// warnUnknownKind warns of a kind that no task of this version has: a misspelt one
// would be judged by the rules for every kind. Rules may know it all the same.
func (e *env) warnUnknownKind(kind string) {
	known := map[string]bool{}
	for _, name := range kindNames() {
		known[name] = true
	}
	if kind != "" && !known[kind] {
		e.say("emq: warning: this version of emq has no kind %q%s; `emq kinds` lists all", kind, didYouMean(kind, known))
	}
}

// evidence is what the answer says; dashes go before the names of its parts in
// errors. Kinds that this version can't enqueue pass: rules may know them.
func (a answer) evidence(dashes string) (errclass.Evidence, error) {
	if !a.hasStatus && !a.hasBody && !a.hasError && a.transport == "" {
		return errclass.Evidence{}, fmt.Errorf("give %[1]sstatus, %[1]serror, %[1]sdescription, %[1]sbody or %[1]stransport", dashes)
	}
	if a.hasStatus && (a.status < 100 || a.status > 599) {
		return errclass.Evidence{}, fmt.Errorf("%sstatus %d: must be 100 to 599", dashes, a.status)
	}
	body := []byte(a.body)
	if a.hasError {
		answer := map[string]string{"error": a.err, "error_description": a.description}
		for name, text := range answer {
			if text == "" {
				delete(answer, name)
			}
		}
		var err error
		if body, err = json.Marshal(answer); err != nil {
			return errclass.Evidence{}, err
		}
	}
	return evidenceOf(a.kind, a.status, body, a.transport)
}

// evidenceOf completes what is known of one attempt.
func evidenceOf(kind string, status int, body []byte, transport string) (errclass.Evidence, error) {
	failure := errclass.Transport(transport)
	if !failure.Valid() {
		return errclass.Evidence{}, fmt.Errorf("transport %q: must be one of %s", transport, strings.Join(words(errclass.Transports()), ", "))
	}
	return errclass.Evidence{Kind: kind, Attempt: 1, Status: status, Body: body, Transport: failure, Written: failure.MayBeWritten()}, nil
}

// explanation is a verdict for a reader of one language.
type explanation struct {
	Class          errclass.Class `json:"class"`
	Scope          errclass.Scope `json:"scope"`
	Rule           string         `json:"rule"`
	Status         int            `json:"status,omitempty"`
	Error          string         `json:"error,omitempty"`
	Description    string         `json:"description,omitempty"`
	Why            string         `json:"why"`
	Advice         string         `json:"advice"`
	Delay          errclass.Delay `json:"delay,omitempty"`
	OutcomeUnknown bool           `json:"outcome_unknown,omitempty"`
	Next           string         `json:"next"`
}

// An explainer explains by a table, in a language.
type explainer struct {
	table *errclass.Table
	lang  string
}

func (x explainer) explain(e errclass.Evidence) explanation {
	v := x.table.Classify(e)
	return explanation{
		Class: v.Class, Scope: v.Scope, Rule: v.Rule, Status: v.Status, Error: v.Error, Description: v.Description,
		Why: v.Why.In(x.lang), Advice: v.Advice.In(x.lang), Delay: v.Delay, OutcomeUnknown: v.OutcomeUnknown,
		Next: next(v, tasks.Kind(e.Kind)).In(x.lang),
	}
}

func (e *env) explainOne(x explanation, asJSON bool) error {
	if asJSON {
		return newJSONEncoder(e.out).Encode(x)
	}
	p := e.newFields()
	p.field("class", string(x.Class))
	p.field("scope", string(x.Scope))
	p.field("rule", x.Rule)
	p.field("why", x.Why)
	p.field("advice", x.Advice)
	p.field("next", x.Next)
	return p.err
}

// next says what emq does after a verdict.
func next(v errclass.Verdict, kind tasks.Kind) errclass.Text {
	info, known := kind.Info()
	if v.OutcomeUnknown && v.Class == errclass.ClassRetryable && !(known && info.Repeatable) {
		return errclass.Text{
			En: "Nobody knows whether the call was executed. With on_unknown \"retry\" (the default) it is made again, perhaps a second time; with \"hold\" the task becomes a dead letter that a person settles.",
			Zh: "无法得知该调用是否已经执行。on_unknown 为 retry（默认）时会再次调用，可能重复；为 hold 时任务成为死信，由人工处理。",
		}
	}
	switch {
	case v.Class == errclass.ClassSuccess:
		return errclass.Text{En: "The task is done.", Zh: "任务完成。"}
	case v.Class == errclass.ClassPermanent:
		return errclass.Text{
			En: "A dead letter at once; unchanged, the call would fail again.",
			Zh: "立即成为死信；不作修改，再次调用仍会失败。",
		}
	case v.Class == errclass.ClassNeedsHuman && v.Scope == errclass.ScopeApp:
		return errclass.Text{
			En: "The app is held: its tasks wait in their queues, and no attempt is spent, until `emq hold clear`.",
			Zh: "应用被暂停：任务留在队列中等待，不消耗重试次数，直到执行 emq hold clear。",
		}
	case v.Class == errclass.ClassNeedsHuman:
		return errclass.Text{
			En: "A dead letter; once its cause is mended, resend it as it is.",
			Zh: "成为死信；原因排除后，原样重发即可。",
		}
	}
	return nextTry(v.Delay)
}

// nextTry says when a retryable task is tried again.
func nextTry(d errclass.Delay) errclass.Text {
	switch d {
	case errclass.DelayRate:
		return errclass.Text{
			En: fmt.Sprintf("Tried again after %v to %v; no attempt is spent.", errclass.RateMin, errclass.RateMax),
			Zh: fmt.Sprintf("%v 至 %v 后重试，不消耗重试次数。", errclass.RateMin, errclass.RateMax),
		}
	case errclass.DelayMinute:
		return errclass.Text{
			En: fmt.Sprintf("Tried again after %v to %v; no attempt is spent.", errclass.MinuteMin, shortDuration(errclass.MinuteMax)),
			Zh: fmt.Sprintf("%v 至 %v 后重试，不消耗重试次数。", errclass.MinuteMin, shortDuration(errclass.MinuteMax)),
		}
	case errclass.DelayToken:
		return errclass.Text{
			En: "Tried again at once with a fresh token; no attempt is spent.",
			Zh: "立即用新的 token 重试，不消耗重试次数。",
		}
	default:
		return errclass.Text{
			En: fmt.Sprintf("Tried again after a random wait that grows from at most %v to at most %v, until the attempts or the age limit are spent; then a dead letter.", errclass.BackoffBase, shortDuration(errclass.BackoffMax)),
			Zh: fmt.Sprintf("等待一段随机时间后重试（上限从 %v 逐次增加到 %v），直到次数或时限用尽，然后成为死信。", errclass.BackoffBase, shortDuration(errclass.BackoffMax)),
		}
	}
}
