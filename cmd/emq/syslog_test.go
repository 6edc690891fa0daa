//go:build !windows && !plan9

package main

import (
	"log/slog"
	"log/syslog"
	"net"
	"strings"
	"testing"
	"time"
)

// TestSyslog receives what the handler sends, as a system log would, and checks
// the severity, which RFC 5424 puts in the lowest three bits of the priority.
func TestSyslog(t *testing.T) {
	t.Parallel()
	receiver, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = receiver.Close() })
	w, err := syslog.Dial("udp", receiver.LocalAddr().String(), syslog.LOG_DAEMON, "emq")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Close() })
	log := slog.New(newLevelHandler(&slog.HandlerOptions{Level: slog.LevelDebug}, syslogWriter(w)))
	for level, priority := range map[slog.Level]string{
		slog.LevelDebug: "<31>", slog.LevelInfo: "<30>", slog.LevelWarn: "<28>", slog.LevelError: "<27>",
	} {
		log.Log(t.Context(), level, "attempt", "task_id", "t1")
		packet := make([]byte, 1024)
		if err := receiver.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		n, _, err := receiver.ReadFrom(packet)
		if err != nil {
			t.Fatal(err)
		}
		got := string(packet[:n])
		if !strings.HasPrefix(got, priority) || !strings.Contains(got, "emq[") || !strings.Contains(got, "msg=attempt task_id=t1") {
			t.Errorf("%v: %q, want priority %s", level, got, priority)
		}
	}
}
