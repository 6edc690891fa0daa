package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/imqueue/emq/dlq"
)

func newDLQExportCmd(e *env) *cobra.Command {
	var filters filterFlags
	cmd := &cobra.Command{
		Use:   "export [filters]",
		Short: "Write dead letters as JSON Lines, with everything that is known of them",
		Long: `export writes the dead letters that match to standard output, one a line, with their
whole history and with the secrets of their payloads: keep the output as you keep
those. "emq dlq import" puts them into another Redis, or back here with payloads that
a tool has corrected. To move a whole store, give --state all.`,
		Example: `  emq dlq export --cause group-full-1f0a9c3e > full.jsonl
  jq -c '.payload.from = "service"' full.jsonl | emq dlq import -
  emq dlq export --state all > all.jsonl`,
		Args: takesNone,
		RunE: func(cmd *cobra.Command, _ []string) error {
			filter, err := filters.filter(e.now())
			if err != nil {
				return err
			}
			b, err := e.backend(cmd)
			if err != nil {
				return err
			}
			ctx := cmd.Context()
			total, err := b.store.Candidates(ctx, filter)
			if err != nil {
				return asFlag(err)
			}
			bar := e.newBar(!e.outTTY && total >= progressItems, int64(total), "export", false)
			out := bufio.NewWriter(e.out)
			err = errors.Join(b.store.ExportTo(ctx, out, filter, e.actor(""), func() { bar.advance(1) }), out.Flush())
			bar.clear()
			return err
		},
	}
	filters.add(cmd)
	filters.addState(cmd)
	return cmd
}

func newDLQImportCmd(e *env) *cobra.Command {
	var dry bool
	var reason string
	cmd := &cobra.Command{
		Use:   "import FILE",
		Short: "Put exported dead letters into this Redis, or take corrected payloads back",
		Long: `import reads what "emq dlq export" wrote, from a file or, for -, from standard input. A
dead letter that is not here is added with its whole history. One that is here and has
another payload in the file gets that payload, checked as at enqueue, and keeps the old
one in its history; nothing is resent. One that has moved on meanwhile is skipped. So
an import may be repeated.

What was being resent when it was exported arrives dead: whether that resend succeeded
is known only where it came from.

It exits 1 when a line was skipped or refused; the others are imported all the same.`,
		Example: `  emq dlq import all.jsonl
  emq dlq import --dry-run fixed.jsonl
  jq -c '.payload.from = "service"' full.jsonl | emq dlq import -`,
		Args: takes(1, 1, "FILE"),
		RunE: func(cmd *cobra.Command, files []string) error {
			in, err := e.openInput(cmd.Context(), files[0])
			if err != nil {
				return &usageError{err}
			}
			defer in.close()
			b, err := e.backend(cmd)
			if err != nil {
				return err
			}
			return e.importLines(cmd.Context(), b, in, e.actor(reason), dry)
		},
	}
	cmd.Flags().BoolVar(&dry, "dry-run", false, "change nothing: say what would be done")
	cmd.Flags().StringVar(&reason, "reason", "", "why, kept in the history of what is corrected and in the audit")
	return cmd
}

// importLines imports line by line, and says what became of them.
func (e *env) importLines(ctx context.Context, b *backend, in input, by dlq.Actor, dry bool) error {
	bar := e.newBar(in.size < 0 || in.size >= progressBytes, in.size, "import", true)
	results := map[dlq.ImportResult]int{}
	refused := 0
	err := b.store.ImportFrom(ctx, in, by, dry, func(line, bytes int, got dlq.Imported, refusal error) {
		bar.advance(bytes)
		switch {
		case refusal != nil:
			refused++
			bar.clear()
			e.say("line %d: %s", line, oneLine(refusal.Error(), maxErrorBytes))
			return
		case got.Result == dlq.ImportSkipped:
			bar.clear()
			e.say("line %d: %s of app %s: skipped: it has moved on here", line, got.ID, got.App)
		}
		results[got.Result]++
	})
	bar.clear()
	if err != nil {
		return err
	}
	var parts []string
	for _, result := range dlq.ImportResults() {
		parts = append(parts, fmt.Sprintf("%s %d", result, results[result]))
	}
	would := ""
	if dry {
		would = "would be: "
	}
	if _, err := fmt.Fprintf(e.out, "%s%s, refused %d\n", would, strings.Join(parts, ", "), refused); err != nil {
		return err
	}
	if refused > 0 || results[dlq.ImportSkipped] > 0 {
		return errReported
	}
	return nil
}
