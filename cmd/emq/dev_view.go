package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/imqueue/emq/admin/alert"
)

// devView is a log handler that shows attempts as they end, a short line each,
// and counts how they ended.
type devView struct {
	out   io.Writer
	start time.Time

	mu   sync.Mutex
	ends map[string]map[string]int // how an attempt ended -> task ID -> how often
}

// count returns how many tasks had an attempt that ended so.
func (v *devView) count(end string) int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return len(v.ends[end])
}

func (v *devView) printf(format string, args ...any) {
	v.mu.Lock()
	defer v.mu.Unlock()
	_, _ = fmt.Fprintf(v.out, format, args...)
}

// Enabled leaves debug messages out.
func (v *devView) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelInfo }

// WithAttrs and WithGroup are not used by the worker's logger.
func (v *devView) WithAttrs([]slog.Attr) slog.Handler { return v }

// WithGroup returns the handler as it is.
func (v *devView) WithGroup(string) slog.Handler { return v }

// Handle shows one record.
func (v *devView) Handle(_ context.Context, r slog.Record) error {
	at := map[string]string{}
	r.Attrs(func(a slog.Attr) bool {
		at[a.Key] = a.Value.String()
		return true
	})
	since := fmt.Sprintf("%6.1fs", r.Time.Sub(v.start).Seconds())
	if r.Message == "alert" {
		if at["subject"] != string(alert.SubjectDoctor) { // that nothing here lasts is on purpose
			v.printf("%s  ⚑  alert (%s): %s Look: %s\n", since, at["event"], at["title"], at["look"])
		}
		return nil
	}
	if r.Message != "attempt" {
		if r.Level >= slog.LevelWarn {
			v.printf("%s  !  %s %s%s\n", since, r.Message, at["app"], suffix(": ", at["error"]+at["why"]))
		}
		return nil
	}
	end := at["end"]
	v.mu.Lock()
	if v.ends[end] == nil {
		v.ends[end] = map[string]int{}
	}
	v.ends[end][at["task_id"]]++
	v.mu.Unlock()

	said := at["status"] + suffix(" ", at["transport"])
	switch end {
	case "done":
		said = "delivered" + suffix(" (", at["rule"]) + ")"
	case "retry":
		said = fmt.Sprintf("try %s failed (%s), again ", at["attempt"], at["rule"])
		if wait := at["next_in_ms"]; wait == "0" {
			said += "as soon as it may"
		} else {
			said += "in " + wait + " ms"
		}
	case "hold":
		said = "app held, back to the queue (" + at["rule"] + ")"
	case "dead":
		said = fmt.Sprintf("dead letter (%s, %s)", at["rule"], at["class"])
	}
	mark := map[string]string{"done": "✓", "retry": "↻", "hold": "⏸", "dead": "✗"}[end]
	v.printf("%s  %s  %-20s %-36s %s\n", since, mark, at["kind"], at["task_id"], said)
	return nil
}

// suffix returns s behind a separator, or nothing.
func suffix(separator, s string) string {
	if s == "" {
		return ""
	}
	return separator + s
}
