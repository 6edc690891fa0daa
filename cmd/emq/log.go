package main

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// logger makes the logger that the settings ask for. Its lines go to standard
// error or to the system log.
func (e *env) logger(cfg *config) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(cfg.LogLevel)); err != nil {
		return nil, fmt.Errorf("log level: %w", err)
	}
	options := &slog.HandlerOptions{Level: level}
	switch cfg.LogFormat {
	case "json":
		return slog.New(slog.NewJSONHandler(e.err, options)), nil
	case "syslog":
		write, closeLog, err := openSyslog()
		if err != nil {
			return nil, fmt.Errorf("open the system log: %w", err)
		}
		e.closers = append(e.closers, closeLog)
		return slog.New(newLevelHandler(options, write)), nil
	default:
		return slog.New(slog.NewTextHandler(e.err, options)), nil
	}
}

// levelHandler hands each record, written as text, to a writer that wants its
// level apart. The time is left to the receiver.
type levelHandler struct {
	slog.Handler // writes into line
	line         *levelLine
}

type levelLine struct {
	mu    sync.Mutex
	text  bytes.Buffer
	write func(slog.Level, string) error
}

func newLevelHandler(options *slog.HandlerOptions, write func(slog.Level, string) error) levelHandler {
	line := &levelLine{write: write}
	return levelHandler{slog.NewTextHandler(&line.text, options), line}
}

// Handle writes one record.
func (h levelHandler) Handle(ctx context.Context, r slog.Record) error {
	h.line.mu.Lock()
	defer h.line.mu.Unlock()
	h.line.text.Reset()
	r.Time = time.Time{} // which leaves it out
	if err := h.Handler.Handle(ctx, r); err != nil {
		return err
	}
	return h.line.write(r.Level, string(bytes.TrimSpace(h.line.text.Bytes())))
}

// WithAttrs returns a handler that adds attrs to each record.
func (h levelHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return levelHandler{h.Handler.WithAttrs(attrs), h.line}
}

// WithGroup returns a handler that puts the attributes of each record in a group.
func (h levelHandler) WithGroup(name string) slog.Handler {
	return levelHandler{h.Handler.WithGroup(name), h.line}
}
