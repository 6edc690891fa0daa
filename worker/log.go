package worker

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/imqueue/emq/errclass"
)

// What became of a task at the end of an attempt, as the log says it.
const (
	endDone  = "done"
	endRetry = "retry"
	endHold  = "hold"
	endDead  = "dead"
	endPart  = "part" // a call of an attempt that goes on with another one
)

// line writes the one log line of an attempt, and counts it.
func (w *Worker) line(a *attempt, end string, more ...slog.Attr) {
	if end != endPart {
		w.metrics.end(a, end)
		if w.metrics.apps[a.task.App] { // the task may name any other
			w.tally.end(a.task.App, end)
		}
	}
	w.traceEnd(a, end)
	v, level := a.ending(), slog.LevelInfo
	if v.Class != errclass.ClassSuccess {
		level = slog.LevelWarn
	}
	if !w.log.Enabled(context.Background(), level) {
		return
	}
	attrs := make([]slog.Attr, 0, 16)
	attrs = append(attrs,
		slog.String("task_id", a.task.ID), slog.String("app", a.task.App), slog.String("kind", string(a.task.Kind())),
		slog.Int("attempt", a.number), slog.String("class", string(v.Class)), slog.String("rule", v.Rule),
		slog.Int("status", v.Status), slog.Int64("duration_ms", a.latency.Milliseconds()), slog.String("end", end))
	if a.task.Generation > 0 {
		attrs = append(attrs, slog.Int("generation", a.task.Generation))
	}
	if a.deaths > 0 {
		attrs = append(attrs, slog.Int("deaths", a.deaths))
	}
	if a.verdict.OutcomeUnknown {
		attrs = append(attrs, slog.Bool("outcome_unknown", true))
	}
	if a.evidence.Transport != "" {
		attrs = append(attrs, slog.String("transport", string(a.evidence.Transport)))
	}
	w.log.LogAttrs(context.Background(), level, "attempt", append(attrs, more...)...)
}

func nextIn(wait time.Duration) slog.Attr { return slog.Int64("next_in_ms", wait.Milliseconds()) }

// asynqLog hands asynq's own messages to slog. Its warnings about single tasks
// ("revoke task", "will retry syncing") are part of emq's normal working or
// repaired by it.
type asynqLog struct{ log *slog.Logger }

func (l asynqLog) Debug(args ...any) { l.log.Debug(fmt.Sprint(args...), "from", "asynq") }
func (l asynqLog) Info(args ...any)  { l.log.Debug(fmt.Sprint(args...), "from", "asynq") }
func (l asynqLog) Warn(args ...any)  { l.log.Debug(fmt.Sprint(args...), "from", "asynq") }
func (l asynqLog) Error(args ...any) { l.log.Warn(fmt.Sprint(args...), "from", "asynq") }
func (l asynqLog) Fatal(args ...any) { l.log.Error(fmt.Sprint(args...), "from", "asynq") }
