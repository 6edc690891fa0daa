package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/imqueue/emq/dlq"
)

// completeTimeout bounds what a shell waits for completions.
const completeTimeout = time.Second

func newQueueCmd(e *env) *cobra.Command {
	return group(&cobra.Command{
		Use:   "queue",
		Short: "Look at queues, pause and resume them",
		Long: `Queues are named APP:ENDPOINT:PRIORITY. Each endpoint, such as messages.users or
groups.add_members, has its own rate limit and its own queues, one a priority (high,
default, low); a queue is there once a task was put into it.`,
		Example: `  emq queue list
  emq queue pause default:messages.users:low`,
	},
		newQueueListCmd(e),
		newQueueSwitchCmd(e, "pause", "Stop a queue: no task of it is taken until it is resumed", "paused", (*dlq.Store).Pause),
		newQueueSwitchCmd(e, "resume", "Let a paused queue run again", "resumed", (*dlq.Store).Resume),
	)
}

// queueLine is one line of `emq queue list --json`.
type queueLine struct {
	dlq.Queue
	LatencyMS int64 `json:"latency_ms"`
}

func newQueueListCmd(e *env) *cobra.Command {
	var (
		app    string
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List queues with their tasks by state, and who paused them",
		Example: `  emq queue list
  emq queue list --app shop --json`,
		Args: takesNone,
		RunE: func(cmd *cobra.Command, _ []string) error {
			b, err := e.backend(cmd)
			if err != nil {
				return err
			}
			queues, err := b.store.Queues(cmd.Context(), someApps(app)...)
			if err != nil {
				return asUsage(err)
			}
			l := e.newList(asJSON, "queue", "pending", "active", "scheduled", "retry", "archived", "latency", "paused_by")
			for _, q := range queues {
				pausedBy := q.PausedBy
				if q.Paused && pausedBy == "" {
					pausedBy = "unknown"
				}
				l.row(queueLine{q, q.Latency.Milliseconds()},
					q.Name, q.Pending, q.Active, q.Scheduled, q.Retry, q.Archived, q.Latency, pausedBy)
			}
			return e.endList(l, "queues: nothing was ever enqueued")
		},
	}
	cmd.Flags().StringVar(&app, "app", "", "only the queues of this app")
	jsonFlag(cmd, &asJSON)
	return cmd
}

// someApps is the app asked for; none means all.
func someApps(app string) []string {
	if app == "" {
		return nil
	}
	return []string{app}
}

// queueSwitch is (*dlq.Store).Pause or Resume.
type queueSwitch func(s *dlq.Store, ctx context.Context, queue string, by dlq.Actor) error

// newQueueSwitchCmd is `emq queue pause` and `emq queue resume`.
func newQueueSwitchCmd(e *env, verb, short, done string, do queueSwitch) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use:               verb + " QUEUE...",
		Short:             short,
		Example:           "  emq queue " + verb + " default:messages.users:low",
		Args:              takes(1, anyNumber, "QUEUE"),
		ValidArgsFunction: e.completeQueues,
		RunE: func(cmd *cobra.Command, queues []string) error {
			b, err := e.backend(cmd)
			if err != nil {
				return err
			}
			for _, queue := range queues {
				if err := do(b.store, cmd.Context(), queue, e.actor(reason)); err != nil {
					return err
				}
				if _, err := fmt.Fprintln(e.out, done, queue); err != nil {
					return err
				}
			}
			return nil
		},
	}
	if verb == "pause" {
		cmd.Flags().StringVar(&reason, "reason", "", "why, shown by emq queue list --json")
	}
	return cmd
}

// completeQueues offers the queues that are there; none when Redis can't be asked.
func (e *env) completeQueues(cmd *cobra.Command, given []string, _ string) ([]string, cobra.ShellCompDirective) {
	ctx, cancel := context.WithTimeout(cmd.Context(), completeTimeout)
	defer cancel()
	b, err := e.open(cmd)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	queues, err := b.store.Queues(ctx)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	for _, q := range queues {
		if !slices.Contains(given, q.Name) {
			names = append(names, q.Name)
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
