package main

import (
	"context"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
)

// TestInterruptedInput: a signal ends a command whose input gives nothing, and
// no copy of the input stays behind.
func TestInterruptedInput(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	rules := rulesOf(t, ruleText)
	for _, args := range []string{
		"enqueue -f -",
		"enqueue -f - --keep-going",
		"explain -",
		"rules test " + rules + " -f -",
		"dlq edit d0 --payload -",
		"dlq resend --since 1h", // asks
	} {
		t.Run(args, func(t *testing.T) {
			e, _ := withDead(t, 1)
			e.inTTY = true
			ctx, signal := context.WithCancel(t.Context())
			nothing, end := io.Pipe()
			defer func() { _ = end.Close() }()
			var once sync.Once
			e.in = readerFunc(func(p []byte) (int, error) {
				once.Do(signal)
				return nothing.Read(p)
			})
			if code := runUntil(ctx, e.env, strings.Fields(args)); code != exitFailed {
				t.Errorf("exit code %d, want %d", code, exitFailed)
			}
			if !strings.HasSuffix(e.stderr.String(), "emq: interrupted\n") {
				t.Errorf("stderr %q", e.stderr)
			}
			if files, err := os.ReadDir(dir); err != nil || len(files) > 0 {
				t.Errorf("left behind: %v, %v", files, err)
			}
		})
	}
}

// TestReaderKeepsItsBuffer: a read that was left behind does not write into what
// its caller has back.
func TestReaderKeepsItsBuffer(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	begun, late := make(chan struct{}), make(chan struct{})
	var behind sync.WaitGroup
	behind.Add(1)
	r := &reader{ctx: ctx, from: readerFunc(func(p []byte) (int, error) {
		defer behind.Done()
		close(begun)
		<-late
		return copy(p, "late"), nil
	})}
	go func() {
		<-begun
		cancel()
	}()
	p := []byte("same")
	if n, err := r.Read(p); n != 0 || err == nil {
		t.Errorf("read %d, %v", n, err)
	}
	close(late)
	behind.Wait()
	if n, err := r.Read(p); n != 0 || err == nil || string(p) != "same" {
		t.Errorf("read %d, %v: %q", n, err, p)
	}
}
