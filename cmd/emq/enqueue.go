package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/imqueue/emq/tasks"
)

// enqueueFlags are the flags of `emq enqueue` for a single message.
type enqueueFlags struct {
	id, from, target, text, ext string
	to                          []string
	priority, onUnknown         string
	in                          time.Duration
	at, expiresAt               string
	maxAttempts                 int
	maxAge                      time.Duration

	file      string
	keepGoing bool
	json      bool
	durable   bool
}

func newEnqueueCmd(e *env) *cobra.Command {
	f := &enqueueFlags{}
	cmd := &cobra.Command{
		Use:   "enqueue {--to IDS --text TEXT | -f FILE}",
		Short: "Queue a text message, or tasks from a file",
		Long: `enqueue queues calls. A text message is described by flags; tasks of every kind
come from a file of JSON Lines, one envelope a line ("-" is standard input):

  {"id"?, "app"?, "kind", "payload": {...}, "priority"?, "process_at"?, "expires_at"?,
   "on_unknown"?, "max_attempts"?, "max_age"?}

A task is checked before it is queued. When a line of a file is bad, nothing of
the file is queued and the exit code is 2; with --keep-going the good lines are
queued, the bad ones skipped, and the exit code is 1.

An ID is queued once: a file enqueued again adds only what was not queued before,
and says how many that were. Lines without an ID are new each time.

A list too long for one call is split into several tasks, ID.part1, ID.part2 and
so on, which are reported one by one.`,
		Example: `  emq enqueue --to u1,u2 --from admin --text 'shipped' --id order-8812-shipped
  emq enqueue --target chatgroups --to 4065 --text 'moved to Friday' --in 10m --on-unknown hold
  emq enqueue -f tasks.jsonl
  make-tasks | emq enqueue -f - --keep-going --json`,
		Args: takesNone,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.check(cmd.Flags()); err != nil {
				return err
			}
			if f.file != "" {
				return e.enqueueFile(cmd, f)
			}
			return e.enqueueOne(cmd, f)
		},
	}
	flags := cmd.Flags()
	flags.StringSliceVar(&f.to, "to", nil, "receivers: user, group or room ids, separated by commas")
	flags.StringVar(&f.text, "text", "", "text of the message")
	flags.StringVar(&f.target, "target", string(tasks.Users), "what the receivers are: users, chatgroups or chatrooms")
	flags.StringVar(&f.from, "from", "", "sender's user id (default: Easemob's admin)")
	flags.StringVar(&f.ext, "ext", "", "JSON object handed to the receiver's app")
	flags.StringVar(&f.id, "id", "", "the task's ID, queued once (default: made up)")
	flags.StringVar(&f.priority, "priority", string(tasks.Default), "high, default or low")
	flags.DurationVar(&f.in, "in", 0, "call not before this time has passed")
	flags.StringVar(&f.at, "at", "", "call not before this time (RFC 3339)")
	flags.StringVar(&f.expiresAt, "expires-at", "", "make no call after this time (RFC 3339, or a duration from now)")
	flags.StringVar(&f.onUnknown, "on-unknown", string(tasks.Retry), "when a call's outcome is not known: retry (may send twice) or hold")
	flags.IntVar(&f.maxAttempts, "max-attempts", tasks.MaxAttemptsDefault, "attempts until the task is a dead letter")
	flags.DurationVar(&f.maxAge, "max-age", tasks.MaxAgeDefault, "time until the last attempt")
	flags.StringVarP(&f.file, "file", "f", "", `file of tasks, one JSON envelope a line; "-" for standard input`)
	flags.BoolVar(&f.keepGoing, "keep-going", false, "with -f: queue the good lines although there are bad ones")
	flags.BoolVar(&f.durable, "durable", false, "wait until each task is on Redis' disk or on a replica, and fail otherwise")
	settingFlags(flags, "app", "otlp_endpoint", "otlp_headers", "trace_ratio")
	jsonFlag(cmd, &f.json)
	_ = cmd.MarkFlagFilename("file", "jsonl") // fails for an unknown flag only
	oneOf(cmd, "target", string(tasks.Users), string(tasks.Groups), string(tasks.Rooms))
	oneOf(cmd, "priority", words(tasks.Priorities())...)
	oneOf(cmd, "on-unknown", string(tasks.Retry), string(tasks.Hold))
	return cmd
}

// check refuses flags that don't go together.
func (f *enqueueFlags) check(flags *pflag.FlagSet) error {
	given := flags.Changed
	if given("file") {
		for _, flag := range []string{
			"to", "text", "target", "from", "ext", "id", "priority", "in", "at", "expires-at", "on-unknown", "max-attempts", "max-age",
		} {
			if given(flag) {
				return usagef("--%s describes a single message and does not go with --file", flag)
			}
		}
		return nil
	}
	switch {
	case !given("to") || !given("text"):
		return usagef("give --to and --text, or --file")
	case given("in") && given("at"):
		return usagef("give either --in or --at")
	case given("keep-going"):
		return usagef("--keep-going goes with --file")
	case given("id") && f.id == "":
		return usagef("--id: must not be empty; leave it out to have one made up")
	}
	return nil
}

// task builds the message that the flags describe.
func (f *enqueueFlags) task(now time.Time) (tasks.Task, error) {
	m := tasks.Message{Target: tasks.Target(f.target), To: f.to, From: f.from, Body: tasks.Text{Msg: f.text}}
	if f.ext != "" {
		dec := json.NewDecoder(strings.NewReader(f.ext))
		dec.UseNumber() // message ids are above what a float64 holds
		if err := dec.Decode(&m.Ext); err != nil || m.Ext == nil || dec.More() {
			return tasks.Task{}, errors.New("--ext: must be a JSON object")
		}
	}
	if f.in < 0 {
		return tasks.Task{}, fmt.Errorf("--in %v: must not be negative", f.in)
	}
	t := tasks.Task{
		ID: f.id, Payload: m, Priority: tasks.Priority(f.priority), OnUnknown: tasks.OnUnknown(f.onUnknown),
		MaxAttempts: f.maxAttempts, MaxAge: f.maxAge,
	}
	if f.maxAttempts < 1 {
		return t, fmt.Errorf("--max-attempts %d: must be 1 to %d", f.maxAttempts, tasks.MaxAttemptsMax)
	}
	if f.maxAge <= 0 {
		return t, fmt.Errorf("--max-age %v: must be %v to %v", f.maxAge, tasks.MaxAgeMin, tasks.MaxAgeMax)
	}
	if f.in > 0 {
		t.ProcessAt = now.Add(f.in)
	}
	var err error
	if f.at != "" {
		if t.ProcessAt, err = time.Parse(time.RFC3339, f.at); err != nil {
			return t, fmt.Errorf("--at %q: must be a time such as 2026-01-31T09:00:00+08:00", f.at)
		}
	}
	if f.expiresAt != "" {
		if after, derr := time.ParseDuration(f.expiresAt); derr == nil {
			t.ExpiresAt = now.Add(after)
		} else if t.ExpiresAt, err = time.Parse(time.RFC3339, f.expiresAt); err != nil {
			return t, fmt.Errorf("--expires-at %q: must be a time such as 2026-01-31T09:00:00+08:00, or a duration such as 2h", f.expiresAt)
		}
	}
	return t, t.Validate()
}

func (e *env) enqueueOne(cmd *cobra.Command, f *enqueueFlags) error {
	t, err := f.task(e.now())
	if err != nil {
		return &usageError{err}
	}
	b, err := e.producer(cmd, f)
	if err != nil {
		return err
	}
	e.warnUnknownApp(b.cfg, b.cfg.appOrDefault())
	receipts, err := b.client.EnqueueMany(cmd.Context(), []tasks.Task{t})
	if err != nil {
		return err
	}
	failed := false
	for _, r := range queuedAs(receipts[0]) {
		out := newResult(0, r)
		if out.Result == resultFailed {
			failed = true
			continue
		}
		if err := e.printResult(out, f.json); err != nil {
			return err
		}
	}
	if failed {
		return receipts[0].Err
	}
	return nil
}

// producer connects to Redis for the tasks that the flags describe.
func (e *env) producer(cmd *cobra.Command, f *enqueueFlags) (*backend, error) {
	b, err := e.backend(cmd)
	if err != nil {
		return nil, err
	}
	provider, stop, err := startTracing(cmd.Context(), b.cfg, func(text string) { e.say("emq: warning: traces are lost: %s", text) })
	if err != nil {
		return nil, err
	}
	e.closers = append(e.closers, func() error { stop(); return nil })
	b.client, err = tasks.NewClient(tasks.ClientConfig{Redis: b.redis, App: b.cfg.appOrDefault(), Durable: f.durable, TracerProvider: provider})
	return b, err
}

// queuedAs has a receipt for each task that one was queued as: itself, or the
// parts that its list was split into.
func queuedAs(r tasks.Receipt) []tasks.Receipt {
	if r.Parts == nil {
		return []tasks.Receipt{r}
	}
	return r.Parts
}

// printResult says that a task was queued or is a duplicate.
func (e *env) printResult(out enqueueResult, asJSON bool) (err error) {
	switch {
	case asJSON:
		err = newJSONEncoder(e.out).Encode(out)
	case out.Result == resultDuplicate:
		_, err = fmt.Fprintf(e.out, "duplicate %s: %s; nothing queued\n", out.ID, out.Error)
	default:
		_, err = fmt.Fprintf(e.out, "queued %s in %s\n", out.ID, out.Queue)
	}
	return err
}

// warnUnknownApp says that a task's app is not among the configured ones: a
// misspelt alias would else wait for a worker that nobody runs.
func (e *env) warnUnknownApp(cfg *config, alias string) {
	if !cfg.knowsApp(alias) {
		e.say("emq: warning: app %q is not configured here; make sure that a worker serves it", alias)
	}
}

// What became of one task.
const (
	resultQueued    = "queued"
	resultDuplicate = "duplicate"
	resultBad       = "bad"
	resultFailed    = "failed"
)

// enqueueResult is one line of `emq enqueue --json`.
type enqueueResult struct {
	Line   int    `json:"line,omitempty"` // of the file, from 1
	ID     string `json:"id,omitempty"`
	App    string `json:"app,omitempty"`
	Queue  string `json:"queue,omitempty"`
	Result string `json:"result"`
	// With --durable: where it is known to be.
	Durability tasks.Durability `json:"durability,omitempty"`
	Error      string           `json:"error,omitempty"`
}

func newResult(line int, r tasks.Receipt) enqueueResult {
	out := enqueueResult{Line: line, ID: r.ID, App: r.App, Queue: r.Queue, Result: resultQueued, Durability: r.Durability}
	if r.Err != nil {
		out.Result, out.Error = resultFailed, r.Err.Error()
		if errors.Is(r.Err, tasks.ErrDuplicate) {
			out.Result, out.Queue = resultDuplicate, ""
			// Only what kind of duplicate it is remains to be said.
			out.Error = strings.TrimSuffix(strings.TrimPrefix(out.Error, "enqueue "+r.ID+": "), ": "+tasks.ErrDuplicate.Error())
		}
	}
	return out
}
