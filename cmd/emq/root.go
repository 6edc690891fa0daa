package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/redis/go-redis/v9/logging"
	"github.com/spf13/cobra"

	"github.com/imqueue/emq/dlq"
	"github.com/imqueue/emq/tasks"
)

// Exit codes.
const (
	exitDone     = 0
	exitFailed   = 1
	exitUsage    = 2
	exitNotFound = 3
)

// errReported ends a command that has already said what went wrong.
var errReported = errors.New("failed; the reasons are printed above")

// usageError marks an error of whoever typed the command or wrote its settings
// or its input.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error { return &usageError{fmt.Errorf(format, args...)} }

// exitCode maps what a command returned onto the exit code. An error from
// before the command began to run is about the command line.
func exitCode(err error, began bool) int {
	var usage *usageError
	switch {
	case err == nil:
		return exitDone
	case errors.Is(err, context.Canceled):
		return exitFailed // by a signal, whatever it was about
	case !began, errors.As(err, &usage):
		return exitUsage
	case errors.Is(err, dlq.ErrNotFound):
		return exitNotFound
	default:
		return exitFailed
	}
}

// run executes one command line. The first SIGINT or SIGTERM asks the command
// to end, the second ends the process.
func run(e *env, args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	return runUntil(ctx, e, args)
}

// runUntil executes one command line, which is to end when ctx does.
func runUntil(ctx context.Context, e *env, args []string) int {
	defer e.close()
	// A connection that fails shows in the command's own error.
	logging.Disable()

	began := false
	root := newRoot(e, &began)
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	code := exitCode(err, began)
	switch {
	case err == nil, errors.Is(err, errReported):
	case errors.Is(err, context.Canceled) && ctx.Err() != nil:
		e.say("emq: interrupted")
	default:
		e.say("emq: %s", strings.TrimSpace(tasks.Printable(err.Error(), maxErrorBytes)))
		if code == exitUsage {
			e.say("see '%s --help'", cmd.CommandPath())
		}
	}
	return code
}

// maxErrorBytes bounds an error on its way to the terminal.
const maxErrorBytes = 4096

// newRoot builds the command tree. began is set when a command starts to run.
func newRoot(e *env, began *bool) *cobra.Command {
	root := group(&cobra.Command{
		Use:   "emq",
		Short: "A queue for calls to Easemob's IM REST API, with dead letters that explain themselves",
		Long: `emq takes calls to Easemob's IM REST API, keeps each one in Redis, makes it from
worker processes, and loses none in silence: a call ends delivered, or as a dead
letter that you can find, understand and resend.

Settings come from flags, then EMQ_* variables, then emq.yaml.
Exit codes: 0 done, 1 failed, 2 wrong usage or input, 3 not found.`,
		Example: `  emq dev                           try everything, with nothing to install
  emq worker                        make the calls that are queued
  emq enqueue --to u1 --text hello  queue a message
  emq dlq causes                    what went wrong, by cause
  emq dlq show ID                   one dead letter, explained
  emq dlq resend ID                 put it to work again`,
		SilenceErrors: true,
		SilenceUsage:  true,
	},
		newDevCmd(e), newWorkerCmd(e), newHealthCmd(e), newAdminCmd(e), newBenchCmd(e), newSimulatorCmd(e),
		newEnqueueCmd(e), newDLQCmd(e), newOpsCmd(e), newAuditCmd(e), newDoctorCmd(e), newQueueCmd(e), newHoldCmd(e), newLimitCmd(e), newAlertCmd(e), newKindsCmd(e), newExplainCmd(e), newRulesCmd(e), newVersionCmd(e),
	)
	root.SetIn(e.in)
	root.SetOut(e.out)
	root.SetErr(e.err)
	settingFlags(root.PersistentFlags(), "config", "redis_url")
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	finish(root, began)
	return root
}

// group makes cmd a command that only holds others.
func group(cmd *cobra.Command, children ...*cobra.Command) *cobra.Command {
	cmd.AddCommand(children...)
	cmd.DisableFlagsInUseLine = true
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		known := map[string]string{}
		for _, child := range cmd.Commands() {
			known[child.Name()] = child.Name()
		}
		return fmt.Errorf("unknown command %q for %q%s", args[0], cmd.CommandPath(), didYouMean(args[0], known))
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	return cmd
}

// finish makes every command below cmd tell when it starts to run, and keeps
// shells from offering files where none is taken.
func finish(cmd *cobra.Command, began *bool) {
	if cmd.ValidArgsFunction == nil {
		cmd.ValidArgsFunction = cobra.NoFileCompletions
	}
	if run := cmd.RunE; run != nil {
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			*began = true
			return run(cmd, args)
		}
	}
	for _, child := range cmd.Commands() {
		finish(child, began)
	}
}
