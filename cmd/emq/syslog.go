//go:build !windows && !plan9

package main

import (
	"log/slog"
	"log/syslog"
)

// openSyslog connects to the system log of this machine.
func openSyslog() (write func(slog.Level, string) error, closeLog func() error, err error) {
	w, err := syslog.New(syslog.LOG_DAEMON|syslog.LOG_INFO, "emq")
	if err != nil {
		return nil, nil, err
	}
	return syslogWriter(w), w.Close, nil
}

func syslogWriter(w *syslog.Writer) func(slog.Level, string) error {
	return func(level slog.Level, line string) error {
		switch {
		case level >= slog.LevelError:
			return w.Err(line)
		case level >= slog.LevelWarn:
			return w.Warning(line)
		case level >= slog.LevelInfo:
			return w.Info(line)
		default:
			return w.Debug(line)
		}
	}
}
