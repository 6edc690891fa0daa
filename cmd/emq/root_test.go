package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/imqueue/emq/dlq"
	"github.com/imqueue/emq/tasks"
)

func TestExitCode(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		err   error
		began bool
		want  int
	}{
		{"done", nil, true, exitDone},
		{"failed", errors.New("boom"), true, exitFailed},
		{"canceled", context.Canceled, true, exitFailed},
		{"before the command began", errors.New("unknown flag"), false, exitUsage},
		{"usage", fmt.Errorf("x: %w", usagef("bad")), true, exitUsage},
		{"field of the command line", asUsage(&tasks.FieldError{Field: "app"}), true, exitUsage},
		{"field of what is stored", &tasks.FieldError{Field: "app"}, true, exitFailed},
		{"not found", fmt.Errorf("x: %w", dlq.ErrNotFound), true, exitNotFound},
		{"reported and not found", errors.Join(errReported, dlq.ErrNotFound), true, exitNotFound},
	} {
		if got := exitCode(test.err, test.began); got != test.want {
			t.Errorf("%s: exit code %d, want %d", test.name, got, test.want)
		}
	}
}

// TestUsageErrors holds wrong command lines against the shape of their answer:
// one line that names the mistake, one that says where help is, nothing else.
func TestUsageErrors(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		args      string
		says, see string
	}{
		{"--nope", "unknown flag: --nope", "emq"},
		{"dql", `unknown command "dql" for "emq" (did you mean dlq?)`, "emq"},
		{"dlq lst", `unknown command "lst" for "emq dlq" (did you mean list?)`, "emq dlq"},
		{"dlq show", "give at least one ID", "emq dlq show"},
		{"dlq list extra", `unexpected argument "extra": none is taken`, "emq dlq list"},
		{"dlq list --limit x", `invalid argument "x" for "--limit"`, "emq dlq list"},
		{"dlq list --limit -1", "--limit -1: must not be negative", "emq dlq list"},
		{"dlq list --state gone", `--state "gone": must be one of dead, resending, resolved, discarded, all`, "emq dlq list"},
		{"dlq list --class success", `--class "success": must be one of retryable, permanent, needs-human`, "emq dlq list"},
		{"dlq list --kind nope", `--kind "nope": must be one of message.send,`, "emq dlq list"},
		{"dlq list --status 42", "--status 42: must be 100 to 599", "emq dlq list"},
		{"dlq list --since tomorrow", `--since "tomorrow": must be a time`, "emq dlq list"},
		{"dlq list --since 1h --until 2h", `--until "2h": must be after --since`, "emq dlq list"},
		{"dlq resend", "refusing to resend everything: give IDs, a filter, or --all", "emq dlq resend"},
		{"dlq discard --app a --all", "give either a filter or --all", "emq dlq discard"},
		{"dlq discard x --error y", "give either IDs or a filter", "emq dlq discard"},
		{"dlq resend --app a", "nobody to ask: give --yes", "emq dlq resend"},
		{"hold clear", "give APP[/FAMILY]", "emq hold clear"},
		{"hold clear a b", `unexpected argument "b": only one APP[/FAMILY] is taken`, "emq hold clear"},
		{"hold set a", "give --reason TEXT", "emq hold set"},
		{"hold set a --reason=", "--reason: must not be empty", "emq hold set"},
		{"limit set a/messages.users --calls 1/s", "give --reason TEXT", "emq limit set"},
		{"limit set a/messages.users --calls 1/s --reason=", "--reason: must not be empty", "emq limit set"},
		{"dlq edit", "give ID", "emq dlq edit"},
		{"dlq resolve --sent", "give at least one ID", "emq dlq resolve"},
		{"queue pause", "give at least one QUEUE", "emq queue pause"},
		{"enqueue hello", `unexpected argument "hello": none is taken`, "emq enqueue"},
		{"enqueue", "give --to and --text, or --file", "emq enqueue"},
		{"enqueue --to u1", "give --to and --text, or --file", "emq enqueue"},
		{"enqueue --to u1 --text x --id=", "--id: must not be empty; leave it out to have one made up", "emq enqueue"},
		{"enqueue -f x --id y", "--id describes a single message", "emq enqueue"},
		{"enqueue --to u1 --text x --in 1h --at 2026-01-01T00:00:00Z", "give either --in or --at", "emq enqueue"},
		{"enqueue --to u1 --text x --at noon", `--at "noon": must be a time`, "emq enqueue"},
		{"enqueue --to u1 --text x --in -1h", "--in -1h0m0s: must not be negative", "emq enqueue"},
		{"enqueue --to u1 --text x --max-attempts 0", "--max-attempts 0: must be 1 to", "emq enqueue"},
		{"enqueue --to u1 --text x --max-age 0s", "--max-age 0s: must be", "emq enqueue"},
		{"enqueue --to u1 --text x --ext [1]", "--ext: must be a JSON object", "emq enqueue"},
		{"enqueue --to u!1 --text x", `payload.to[0]: "u!1"`, "emq enqueue"},
		{"enqueue --to u1 --text x --target moon", `payload.target: "moon"`, "emq enqueue"},
		{"explain", "give --status, --error, --description, --body or --transport", "emq explain"},
		{"explain x", `unexpected argument "x"`, "emq explain"},
		{"explain --status 12", "--status 12: must be 100 to 599", "emq explain"},
		{"explain --transport pigeon", `transport "pigeon": must be one of timeout,`, "emq explain"},
		{"explain - --status 400", `with "-" the evidence comes from standard input`, "emq explain"},
		{"health --url nowhere", `--url "nowhere": must be http://HOST:PORT/PATH`, "emq health"},
		{"health --health off", "the worker's health endpoint is off: give --url", "emq health"},
		{"worker --concurrency 0", `--concurrency: "0": must be a number from 1 to`, "emq worker"},
		{"worker --call-timeout 5", `--call-timeout: "5": must be a duration`, "emq worker"},
		{"worker", "no app is configured: set EMQ_APP_KEY", "emq worker"},
		{"worker --app-key o#a", "app default: easemob_url is missing: set EMQ_EASEMOB_URL, or apps.default.easemob_url in emq.yaml", "emq worker"},
		{"worker --config absent.yaml", "settings file: open absent.yaml", "emq worker"},
		{"dev --redis-url redis://127.0.0.1:1", "--redis-url: dev runs a Redis of its own", "emq dev"},
		{"simulator --faults absent.yaml", "absent.yaml", "emq simulator"},
		{"simulator --token-ttl 1ms", "TokenTTL 1ms: must be at least 1s", "emq simulator"},
	} {
		t.Run(test.args, func(t *testing.T) {
			t.Parallel()
			e := newTestEnv(t, "")
			e.run(t, exitUsage, strings.Fields(test.args)...)
			if e.stdout.Len() > 0 {
				t.Errorf("standard output: %q, want none", e.stdout)
			}
			lines := strings.Split(strings.TrimSuffix(e.stderr.String(), "\n"), "\n")
			if len(lines) != 2 || !strings.HasPrefix(lines[0], "emq: ") || !strings.Contains(lines[0], test.says) {
				t.Errorf("standard error: %q, want one line with %q and the hint", e.stderr, test.says)
			}
			if want := "see '" + test.see + " --help'"; lines[len(lines)-1] != want {
				t.Errorf("hint %q, want %q", lines[len(lines)-1], want)
			}
		})
	}
}

// everyCommand calls do for each command of the tree that is emq's own.
func everyCommand(t *testing.T, do func(path string, cmd *cobra.Command)) {
	t.Helper()
	began := false
	var walk func(cmd *cobra.Command)
	walk = func(cmd *cobra.Command) {
		if cmd.Name() == "completion" || cmd.Name() == "help" {
			return
		}
		do(cmd.CommandPath(), cmd)
		for _, child := range cmd.Commands() {
			walk(child)
		}
	}
	walk(newRoot(newTestEnv(t, "").env, &began))
}

func TestEveryCommandExplainsItself(t *testing.T) {
	t.Parallel()
	everyCommand(t, func(path string, cmd *cobra.Command) {
		if cmd.Short == "" || strings.HasSuffix(cmd.Short, ".") {
			t.Errorf("%s: short description %q: must be given, without a full stop", path, cmd.Short)
		}
		if !strings.Contains(cmd.Example, path) {
			t.Errorf("%s: example %q does not show the command", path, cmd.Example)
		}
		if cmd.Args == nil {
			t.Errorf("%s: does not check its arguments", path)
		}
		e := newTestEnv(t, "")
		e.run(t, exitDone, append(strings.Fields(path)[1:], "--help")...)
		if !strings.Contains(e.stdout.String(), cmd.Short) && !strings.Contains(e.stdout.String(), cmd.Long) {
			t.Errorf("%s --help: %q", path, e.stdout)
		}
	})
}

// TestSettingFlags: every flag that sets a setting names one, and every setting
// that has a flag can be given to some command.
func TestSettingFlags(t *testing.T) {
	t.Parallel()
	keys := map[string]bool{} // key -> some command has a flag for it
	for _, s := range settings() {
		key := s.key
		if s.secret {
			key += fileSuffix
		}
		keys[key] = false
	}
	everyCommand(t, func(path string, cmd *cobra.Command) {
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			v, ok := f.Value.(*settingFlag)
			if !ok {
				return
			}
			if _, known := keys[v.key]; !known {
				t.Errorf("%s: --%s sets the unknown setting %s", path, f.Name, v.key)
			}
			keys[v.key] = true
		})
		cmd.PersistentFlags().VisitAll(func(f *pflag.Flag) {
			if v, ok := f.Value.(*settingFlag); ok {
				keys[v.key] = true
			}
		})
	})
	for key, used := range keys {
		if !used {
			t.Errorf("setting %s: no command has its flag", key)
		}
	}
}

func TestHelpGoesToStandardOutput(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{nil, {"dlq"}, {"help", "dlq", "list"}} {
		e := newTestEnv(t, "")
		e.run(t, exitDone, args...)
		if !strings.Contains(e.stdout.String(), "Examples:") || e.stderr.Len() > 0 {
			t.Errorf("emq %v: stdout %q, stderr %q", args, e.stdout, e.stderr)
		}
	}
}
