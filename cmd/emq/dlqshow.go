package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/imqueue/emq/dlq"
	"github.com/imqueue/emq/errclass"
	"github.com/imqueue/emq/tasks"
)

// payloadBytes bounds a payload on the screen. The largest takes 256 KB.
const payloadBytes = 1 << 20

func newDLQShowCmd(e *env) *cobra.Command {
	var (
		app    string
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "show ID...",
		Short: "Show a dead letter: what was to be done, every attempt, why it failed, what to do",
		Long: `show prints a dead letter with its history. Passwords in its payload are hidden. An
ID that is not found is said, and the exit code is then 3.`,
		Example: `  emq dlq show order-8812-shipped
  emq dlq show order-8812-shipped --lang zh
  emq dlq show order-8812-shipped --json | jq .attempts`,
		Args: takes(1, anyNumber, "ID"),
		RunE: func(cmd *cobra.Command, ids []string) error {
			b, err := e.backend(cmd)
			if err != nil {
				return err
			}
			shown := 0
			for _, id := range ids {
				entry, err := e.find(cmd, b, app, id)
				if errors.Is(err, dlq.ErrNotFound) {
					e.say("emq: %s", oneLine(err.Error(), maxErrorBytes))
					continue
				}
				if err != nil {
					return err
				}
				entry = entry.Redacted()
				if asJSON {
					err = newJSONEncoder(e.out).Encode(entry)
				} else {
					err = e.showEntry(entry, b.cfg.Lang, shown > 0)
				}
				if err != nil {
					return err
				}
				shown++
			}
			if shown < len(ids) {
				return errors.Join(errReported, dlq.ErrNotFound)
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&app, "app", "", "the app, when several have this ID")
	settingFlags(cmd.Flags(), "lang")
	jsonFlag(cmd, &asJSON)
	oneOf(cmd, "lang", "en", "zh")
	return cmd
}

// showEntry prints a dead letter for reading.
func (e *env) showEntry(d dlq.Entry, lang string, another bool) error {
	p := e.newFields()
	if another {
		p.print("\n")
	}
	p.field("id", d.ID)
	p.field("app", d.App)
	p.field("kind", string(d.Kind))
	p.field("queue", d.Queue)
	p.field("state", fmt.Sprintf("%s since %s", d.State, e.when(d.ChangedAt)))
	if d.Generation > 0 {
		p.field("resends", strconv.Itoa(d.Generation))
	}
	p.field("class", fmt.Sprintf("%s (scope %s)", d.Class, d.Scope))
	p.field("cause", d.Cause)
	p.field("reason", string(d.Reason))
	if len(d.Unknown) > 0 {
		p.field("unknown for", strings.Join(d.Unknown, ", ")+" (the others were not called, or refused)")
	}
	p.field("rule", d.Rule)
	p.field("answer", answerText(d.Status, d.Error, d.Description))
	p.field("why", d.Why.In(lang))
	p.field("advice", d.Advice.In(lang))
	p.field("enqueued", e.when(d.EnqueuedAt))
	p.field("first failed", e.when(d.FirstFailedAt))
	p.field("last failed", e.when(d.LastFailedAt))
	p.field("trace", d.Trace)
	e.showPayload(p, d.Payload)
	e.showAttempts(p, d)
	e.showEvents(p, d)
	if next := nextCommands(d); len(next) > 0 {
		p.print("\nnext\n  %s\n", strings.Join(next, "\n  "))
	}
	return p.err
}

// nextCommands are what may be done with a dead letter now.
func nextCommands(d dlq.Entry) []string {
	command := func(verb string) string { return fmt.Sprintf("emq dlq %s %s --app %s", verb, d.ID, d.App) }
	switch {
	case d.State == dlq.StateDead && d.Reason == dlq.ReasonUnknownOutcome:
		return []string{command("resolve") + " --sent", command("resolve") + " --not-sent"}
	case d.State == dlq.StateDead && d.Class == errclass.ClassPermanent: // as it is, it can't succeed
		return []string{command("edit"), command("resend"), command("discard")}
	case d.State == dlq.StateDead:
		return []string{command("resend"), command("edit"), command("discard")}
	case d.State == dlq.StateDiscarded:
		return []string{command("restore")}
	default:
		return nil
	}
}

// when is a time, and for a person how long ago that is.
func (e *env) when(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	if !e.outTTY {
		return t.UTC().Format(time.RFC3339)
	}
	return t.Local().Format(time.DateTime) + " (" + relative(e.now(), t) + ")"
}

// answerText is the answer in one line: "404 some_error: its description".
func answerText(status int, word, description string) string {
	parts := []string{}
	if status != 0 {
		parts = append(parts, strconv.Itoa(status))
	}
	if word != "" && description != "" {
		word += ":"
	}
	return strings.TrimSpace(strings.Join(append(parts, word, description), " "))
}

func (e *env) showPayload(p *fields, payload json.RawMessage) {
	var indented bytes.Buffer
	if len(payload) == 0 || json.Indent(&indented, payload, "  ", "  ") != nil {
		return
	}
	p.print("\npayload\n  %s\n", tasks.Printable(indented.String(), payloadBytes))
}

func (e *env) showAttempts(p *fields, d dlq.Entry) {
	if len(d.Attempts) == 0 || p.err != nil {
		return
	}
	p.print("\nattempts\n")
	l := e.newList(false, "generation", "number", "at", "answer", "rule", "class", "took", "counted", "worker", "body:")
	for _, a := range d.Attempts {
		answer := strings.TrimSpace(a.Transport + " " + answerText(a.Status, a.Error, a.Description))
		l.row(nil, a.Generation, a.Number, a.At, answer, a.Rule, a.Class,
			time.Duration(a.LatencyMS)*time.Millisecond, a.Counted, a.Worker, a.Body)
	}
	p.err = cmp.Or(p.err, l.end())
	if d.AttemptsLeftOut > 0 {
		p.print("(%s of the middle left out)\n", plural(d.AttemptsLeftOut, "attempt"))
	}
}

func (e *env) showEvents(p *fields, d dlq.Entry) {
	if len(d.Events) == 0 || p.err != nil {
		return
	}
	p.print("\nhistory\n")
	l := e.newList(false, "at", "action", "by", "note", "operation", "before:")
	for _, event := range d.Events {
		l.row(nil, event.At, event.Action, event.By, event.Note, event.Op, sentence(event.Before))
	}
	p.err = cmp.Or(p.err, l.end())
	if d.EventsLeftOut > 0 {
		p.print("(%s of the middle left out)\n", plural(d.EventsLeftOut, "event"))
	}
}
