//go:build unix

package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestInterruptedFIFO: a signal ends a command that opens a FIFO to which nobody
// writes.
func TestInterruptedFIFO(t *testing.T) {
	t.Parallel()
	rules := rulesOf(t, ruleText)
	for _, args := range []string{
		"enqueue -f @",
		"enqueue -f @ --keep-going",
		"rules check @",
		"rules test " + rules + " -f @",
		"explain --status 400 --rules @",
		"dlq edit d0 --payload @",
		"dlq list --config @",
		"worker --client-secret-file @",
		"simulator --faults @",
	} {
		t.Run(args, func(t *testing.T) {
			t.Parallel()
			fifo := filepath.Join(t.TempDir(), "fifo")
			if err := syscall.Mkfifo(fifo, 0o600); err != nil {
				t.Fatal(err)
			}
			e, _ := withDead(t, 1)
			ctx, signal := context.WithCancel(t.Context())
			// By then it waits; before, it would be ended all the same.
			time.AfterFunc(50*time.Millisecond, signal)
			if code := runUntil(ctx, e.env, strings.Fields(strings.ReplaceAll(args, "@", fifo))); code != exitFailed {
				t.Errorf("exit code %d, want %d", code, exitFailed)
			}
			if got := e.stderr.String(); got != "emq: interrupted\n" {
				t.Errorf("stderr %q", got)
			}
			// What is left behind finds a writer that is gone again.
			writer, err := os.OpenFile(fifo, os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			_ = writer.Close()
		})
	}
}

// TestFirstSignalEnds sends a real signal to a real process.
func TestFirstSignalEnds(t *testing.T) {
	t.Parallel()
	cmd := exec.Command("emq", "explain", "-")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := in.Write([]byte(`{"id":1,"status":404}` + "\n")); err != nil {
		t.Fatal(err)
	}
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil { // it runs, and reads on
		t.Fatalf("no answer: %v; it ended with %v, stderr %q", err, cmd.Wait(), &stderr)
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != exitFailed || stderr.String() != "emq: interrupted\n" {
		t.Errorf("%v, stderr %q", err, &stderr)
	}
}
