package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"

	"github.com/spf13/cobra"

	"github.com/imqueue/emq/dlq"
)

// payloadMaxBytes bounds a payload that is read from a file, a pipe or an editor.
const payloadMaxBytes = 1 << 20

func newDLQEditCmd(e *env) *cobra.Command {
	var app, file, reason string
	var keep bool
	cmd := &cobra.Command{
		Use:   "edit ID",
		Short: "Correct the payload of a dead letter and resend it",
		Long: `edit opens the payload of a dead letter in $VISUAL or $EDITOR, or takes it from a
file, checks it as at enqueue, and resends it. The old payload is kept in the
history of the dead letter. The kind of a call can't be changed.`,
		Example: `  emq dlq edit order-8812-shipped
  emq dlq edit order-8812-shipped --payload fixed.json --reason 'wrong group'
  emq dlq edit order-8812-shipped --payload - --no-resend < fixed.json`,
		Args: takes(1, 1, "ID"),
		RunE: func(cmd *cobra.Command, ids []string) error {
			b, err := e.backend(cmd)
			if err != nil {
				return err
			}
			d, err := e.find(cmd, b, app, ids[0])
			if err != nil {
				return err
			}
			payload, err := e.newPayload(cmd.Context(), d, file)
			if err != nil {
				return err
			}
			ctx, by := cmd.Context(), e.actor(reason)
			if err := b.store.Edit(ctx, d.App, d.ID, payload, by); err != nil {
				return asUsage(err)
			}
			if keep {
				_, _ = fmt.Fprintln(e.out, "edited", d.ID)
				return nil
			}
			if err := b.store.Resend(ctx, d.App, d.ID, by); err != nil {
				return err
			}
			_, _ = fmt.Fprintln(e.out, "edited and resent", d.ID)
			return nil
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&app, "app", "", "alias of the app, when several have a dead letter of this ID")
	flags.StringVar(&file, "payload", "", "file with the new payload; - for standard input")
	flags.StringVar(&reason, "reason", "", "why, kept in the history of the dead letter")
	flags.BoolVar(&keep, "no-resend", false, "only replace the payload")
	return cmd
}

// newPayload gets the new payload of a dead letter: from a file, or from the
// person at the terminal.
func (e *env) newPayload(ctx context.Context, d dlq.Entry, file string) (json.RawMessage, error) {
	switch {
	case file == "-":
		return readPayload(&reader{ctx: ctx, from: e.in})
	case file != "":
		f, err := openFile(ctx, file)
		if err != nil {
			return nil, &usageError{err}
		}
		defer func() { _ = f.Close() }()
		return readPayload(&reader{ctx: ctx, from: f})
	case !e.inTTY || !e.outTTY:
		return nil, usagef("no terminal to edit on: give the new payload with --payload FILE")
	case d.State != dlq.StateDead:
		return nil, &dlq.StateError{ID: d.ID, State: d.State, Wanted: dlq.StateDead}
	default:
		return e.editPayload(ctx, d.Payload)
	}
}

func readPayload(from io.Reader) (json.RawMessage, error) {
	raw, err := io.ReadAll(io.LimitReader(from, payloadMaxBytes+1))
	switch {
	case err != nil:
		return nil, err
	case len(raw) > payloadMaxBytes:
		return nil, usagef("the payload is larger than %d bytes", payloadMaxBytes)
	}
	return bytes.TrimSpace(raw), nil
}

// editPayload opens the payload in the person's editor. The file is theirs
// alone, because a payload may hold a password, and gone afterwards.
func (e *env) editPayload(ctx context.Context, payload json.RawMessage) (json.RawMessage, error) {
	editor := e.variable("VISUAL")
	if editor == "" {
		editor = e.variable("EDITOR")
	}
	if editor == "" {
		return nil, usagef("neither VISUAL nor EDITOR is set: set one, or give the new payload with --payload FILE")
	}
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, payload, "", "  "); err != nil {
		return nil, fmt.Errorf("the payload is not JSON: %w", err)
	}
	f, err := os.CreateTemp("", "emq-payload-*.json") // made with mode 0600
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.Remove(f.Name()) }()
	_, err = f.Write(append(pretty.Bytes(), '\n'))
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	// EDITOR may carry arguments, as in "code --wait".
	words := append(strings.Fields(editor), f.Name())
	run := exec.CommandContext(ctx, words[0], words[1:]...)
	run.Stdin, run.Stdout, run.Stderr = e.in, e.out, e.err
	if err := run.Run(); err != nil {
		return nil, fmt.Errorf("editor %s: %w; nothing was changed", words[0], err)
	}
	edited, err := os.ReadFile(f.Name())
	if err != nil {
		return nil, err
	}
	if bytes.Equal(bytes.TrimSpace(edited), bytes.TrimSpace(pretty.Bytes())) {
		return nil, errors.New("the payload was not changed; nothing was done")
	}
	return readPayload(bytes.NewReader(edited))
}

// variable is the value of an environment variable.
func (e *env) variable(name string) string {
	for _, pair := range e.environ {
		if value, ok := strings.CutPrefix(pair, name+"="); ok {
			return value
		}
	}
	return ""
}

func newDLQResolveCmd(e *env) *cobra.Command {
	f := &changeFlags{}
	var sent, notSent bool
	cmd := &cobra.Command{
		Use:   "resolve ID... {--sent | --not-sent}",
		Short: "Settle dead letters whose outcome was unknown",
		Long: `resolve settles calls that were perhaps executed, once you have found out: with
--sent they are resolved and never made again, with --not-sent they are resent.

Of a call in several parts, the outcome may be unknown for some of its targets only
("emq dlq show" names them). --sent is then about those; the others stay in the dead
letter, and "emq dlq resend ID" puts them to work.`,
		Example: `  emq dlq resolve order-8812-shipped --sent --reason 'the receiver has it'
  emq dlq resolve order-8812-shipped --not-sent`,
		Args: takes(1, anyNumber, "ID"),
		RunE: func(cmd *cobra.Command, ids []string) error {
			if sent == notSent {
				return usagef("say which: --sent or --not-sent")
			}
			c := change{verb: "resolve", did: "resolved", from: dlq.StateDead, do: e.settle}
			if notSent {
				c.did, c.do = "resent", (*dlq.Store).Resend
			}
			return e.runChange(cmd, c, f, ids)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.filters.app, "app", "", "alias of the app, when several have a dead letter of this ID")
	flags.BoolVar(&sent, "sent", false, "the call was executed: never make it again")
	flags.BoolVar(&notSent, "not-sent", false, "the call was not executed: make it")
	flags.StringVar(&f.reason, "reason", "", "why, kept in the history of each dead letter")
	jsonFlag(cmd, &f.json)
	return cmd
}

// settle is what `emq dlq resolve --sent` does with one dead letter.
func (e *env) settle(s *dlq.Store, ctx context.Context, app, id string, by dlq.Actor) error {
	left, err := s.Settle(ctx, app, id, by)
	if err == nil && left > 0 {
		e.say("%s: %s of it were not called and stay: emq dlq resend %s", id, plural(left, "target"), id)
	}
	return err
}
