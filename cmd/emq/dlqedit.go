package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"

	"github.com/spf13/cobra"
	"github.com/tidwall/gjson"
	"github.com/tidwall/sjson"

	"github.com/imqueue/emq/dlq"
	"github.com/imqueue/emq/tasks"
)

// payloadMaxBytes bounds a payload that is read from a file, a pipe or an editor.
const payloadMaxBytes = 1 << 20

func newDLQEditCmd(e *env) *cobra.Command {
	var app, file, reason string
	var keep, dry bool
	var set, unset []string
	cmd := &cobra.Command{
		Use:   "edit ID",
		Short: "Correct the payload of a dead letter and resend it",
		Long: `edit opens the payload of a dead letter in $VISUAL or $EDITOR, or takes it from a
file, or changes single fields, checks it as at enqueue, and resends it. The old
payload is kept in the history of the dead letter. The kind of a call can't be
changed. An edited payload that is refused is kept in a file, which the error names.

--set PATH=VALUE sets a field: body.msg, to.0, to.-1 to append; a dot in a name is
written \. . The value is JSON where it can be read as such, else a text. --unset
PATH removes a field. --dry-run prints the payload as it would be, secrets hidden.`,
		Example: `  emq dlq edit order-8812-shipped
  emq dlq edit order-8812-shipped --set to.0=u2 --set 'body.msg=on its way'
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
			ctx, by := cmd.Context(), e.actor(reason)
			save := func(payload json.RawMessage) error { return asUsage(b.store.Edit(ctx, d.App, d.ID, payload, by)) }
			if dry {
				save = func(payload json.RawMessage) error { return e.previewPayload(d, payload) }
			}
			if len(set)+len(unset) > 0 {
				var payload json.RawMessage
				if payload, err = setFields(d.Payload, set, unset); err == nil {
					err = save(payload)
				}
			} else {
				err = e.replacePayload(ctx, d, file, save)
			}
			if err != nil || dry {
				return err
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
	flags.StringArrayVar(&set, "set", nil, "set a field of the payload: PATH=VALUE")
	flags.StringArrayVar(&unset, "unset", nil, "remove a field of the payload: PATH")
	flags.StringVar(&reason, "reason", "", "why, kept in the history of the dead letter")
	flags.BoolVar(&keep, "no-resend", false, "only replace the payload")
	flags.BoolVar(&dry, "dry-run", false, "change nothing: print the payload as it would be")
	cmd.MarkFlagsMutuallyExclusive("payload", "set")
	cmd.MarkFlagsMutuallyExclusive("payload", "unset")
	return cmd
}

// setFields sets and removes fields of a payload.
func setFields(payload json.RawMessage, set, unset []string) (json.RawMessage, error) {
	var err error
	for _, assignment := range set {
		path, value, ok := strings.Cut(assignment, "=")
		if !ok || path == "" {
			return nil, usagef("--set %q: must be PATH=VALUE, such as body.msg=hello", assignment)
		}
		if json.Valid([]byte(value)) {
			payload, err = sjson.SetRawBytes(payload, path, []byte(value))
		} else {
			payload, err = sjson.SetBytes(payload, path, value)
		}
		if err != nil {
			return nil, usagef("--set %q: %w", assignment, err)
		}
	}
	for _, path := range unset {
		if !gjson.GetBytes(payload, path).Exists() {
			return nil, usagef("--unset %q: the payload has no such field", path)
		}
		if payload, err = sjson.DeleteBytes(payload, path); err != nil {
			return nil, usagef("--unset %q: %w", path, err)
		}
	}
	return payload, nil
}

// previewPayload prints what a payload would be, if it may be that.
func (e *env) previewPayload(d dlq.Entry, payload json.RawMessage) error {
	if d.State != dlq.StateDead {
		return &dlq.StateError{ID: d.ID, State: d.State, Wanted: dlq.StateDead}
	}
	checked, err := tasks.DecodePayload(d.Kind, payload)
	if err == nil {
		err = tasks.Task{ID: d.ID, App: d.App, Payload: checked}.Validate()
	}
	if err != nil {
		return asUsage(err)
	}
	var out bytes.Buffer
	if err := json.Indent(&out, tasks.Redact(payload), "", "  "); err != nil {
		return err
	}
	_, err = fmt.Fprintln(e.out, out.String())
	return err
}

// replacePayload gets the new payload of a dead letter, from a file or from the
// person at the terminal, and saves it.
func (e *env) replacePayload(ctx context.Context, d dlq.Entry, file string, save func(json.RawMessage) error) error {
	switch {
	case file != "":
		payload, err := e.payloadOf(ctx, file)
		if err != nil {
			return err
		}
		return save(payload)
	case !e.inTTY || !e.outTTY:
		return usagef("no terminal to edit on: give the new payload with --payload FILE")
	case d.State != dlq.StateDead:
		return &dlq.StateError{ID: d.ID, State: d.State, Wanted: dlq.StateDead}
	default:
		return e.editPayload(ctx, d, save)
	}
}

// payloadOf reads a payload from a file, or from standard input for "-".
func (e *env) payloadOf(ctx context.Context, file string) (json.RawMessage, error) {
	if file == "-" {
		return readPayload(&reader{ctx: ctx, from: e.in})
	}
	f, err := openFile(ctx, file)
	if err != nil {
		return nil, &usageError{err}
	}
	defer func() { _ = f.Close() }()
	return readPayload(&reader{ctx: ctx, from: f})
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

// editPayload opens the payload in the person's editor and saves what becomes of
// it. Its file is gone afterwards, unless it holds work that could not be saved.
func (e *env) editPayload(ctx context.Context, d dlq.Entry, save func(json.RawMessage) error) error {
	editor := cmp.Or(e.variable("VISUAL"), e.variable("EDITOR"))
	if editor == "" {
		return usagef("neither VISUAL nor EDITOR is set: set one, or give the new payload with --payload FILE")
	}
	var old bytes.Buffer
	if err := json.Indent(&old, d.Payload, "", "  "); err != nil {
		return fmt.Errorf("the payload is not JSON: %w", err)
	}
	file, err := writeTemp(old.Bytes())
	if err != nil {
		return err
	}
	err = e.runEditor(ctx, editor, file)
	edited, readErr := os.ReadFile(file)
	changed := !bytes.Equal(bytes.TrimSpace(edited), bytes.TrimSpace(old.Bytes()))
	switch {
	case err != nil:
	case readErr != nil:
		err = readErr
	case !changed:
		err = errors.New("the payload was not changed; nothing was done")
	default:
		err = saveEdited(edited, save)
	}
	if err == nil || readErr != nil || !changed {
		_ = os.Remove(file)
		return err
	}
	if ctx.Err() != nil {
		err = errors.New("interrupted") // said alone, it would hide where the file is
	}
	return fmt.Errorf("%w; your payload is kept in %[2]s: correct it there and run emq dlq edit %[3]s --payload %[2]s", err, file, d.ID)
}

// writeTemp writes a file that its owner alone can read: a payload may hold a password.
func writeTemp(text []byte) (name string, err error) {
	f, err := os.CreateTemp("", "emq-payload-*.json") // made with mode 0600
	if err != nil {
		return "", err
	}
	_, err = f.Write(append(text, '\n'))
	if err = errors.Join(err, f.Close()); err != nil {
		_ = os.Remove(f.Name())
	}
	return f.Name(), err
}

// runEditor opens a file in an editor, which may carry arguments, as in "code --wait".
func (e *env) runEditor(ctx context.Context, editor, file string) error {
	words := append(strings.Fields(editor), file)
	run := exec.CommandContext(ctx, words[0], words[1:]...)
	run.Stdin, run.Stdout, run.Stderr = e.in, e.out, e.err
	if err := run.Run(); err != nil {
		return fmt.Errorf("editor %s: %w; nothing was changed", words[0], err)
	}
	return nil
}

func saveEdited(edited []byte, save func(json.RawMessage) error) error {
	payload, err := readPayload(bytes.NewReader(edited))
	if err != nil {
		return err
	}
	return save(payload)
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
--sent they are resolved and never made again, with --not-sent they are resent, and
the history says so.

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
			c := change{verb: "resolve", did: "resolved", do: e.settle()}
			if notSent {
				c.did, c.do, c.note = "resent", (*dlq.Store).Resend, "settled as not sent"
			}
			return e.runChange(cmd, c, f, ids)
		},
	}
	flags := cmd.Flags()
	f.filters.set, f.rate = flags, "none"
	flags.String("app", "", "alias of the app, when several have a dead letter of this ID")
	flags.BoolVar(&sent, "sent", false, "the call was executed: never make it again")
	flags.BoolVar(&notSent, "not-sent", false, "the call was not executed: make it")
	flags.StringVar(&f.reason, "reason", "", "why, kept in the history of each dead letter")
	jsonFlag(cmd, &f.json)
	return cmd
}

// settle is what `emq dlq resolve --sent` does with one dead letter.
func (e *env) settle() func(s *dlq.Store, ctx context.Context, app, id string, by dlq.Actor) error {
	return func(s *dlq.Store, ctx context.Context, app, id string, by dlq.Actor) error {
		left, err := s.Settle(ctx, app, id, by)
		if err == nil && left > 0 {
			e.say("%s: %s of it were not called and stay: emq dlq resend %s", id, plural(left, "target"), id)
		}
		return err
	}
}
