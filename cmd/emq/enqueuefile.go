package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/imqueue/emq/tasks"
)

const (
	// fileBatch is how many tasks are queued at a time.
	fileBatch = 500
	// lineBytes bounds a line. The largest payload takes 256 KB.
	lineBytes = 1 << 20
	// badShown is how many bad lines are reported before the file is given up.
	badShown = 100
	// progressBytes is the size from which an input is long enough for a progress bar.
	progressBytes = 1 << 20
)

// fileRun is one run of `emq enqueue -f`.
type fileRun struct {
	*env
	backend   *backend
	keepGoing bool
	json      *json.Encoder // nil unless asked for
	bar       *bar
	warned    map[string]bool // apps that the settings don't describe

	queued, duplicates, bad, failed int
}

func (e *env) enqueueFile(cmd *cobra.Command, f *enqueueFlags) error {
	in, err := e.openInput(cmd.Context(), f.file)
	if err != nil {
		return &usageError{err}
	}
	defer func() { in.close() }()
	b, err := e.producer(cmd, f)
	if err != nil {
		return err
	}
	run := &fileRun{env: e, backend: b, keepGoing: f.keepGoing, warned: map[string]bool{}}
	if f.json {
		run.json = newJSONEncoder(e.out)
	}
	ctx := cmd.Context()
	if !f.keepGoing {
		// All or nothing: the whole input is checked before any of it is queued.
		if in.rewind == nil {
			if in, err = in.spool(); err != nil {
				return err
			}
		}
		if err := run.check(ctx, in); err != nil {
			return err
		}
		if err := in.rewind(); err != nil {
			return fmt.Errorf("read %s again: %w", f.file, err)
		}
	}
	err = run.queue(ctx, in)
	return errors.Join(err, run.summary(err))
}

// An input is what `emq enqueue -f` reads.
type input struct {
	io.Reader
	size   int64        // -1 when not known
	rewind func() error // nil when it can be read only once
	close  func()
}

// openInput opens the file, or standard input for "-".
func (e *env) openInput(ctx context.Context, name string) (input, error) {
	if name == "-" {
		in := input{Reader: &reader{ctx: ctx, from: e.in}, size: -1, close: func() {}}
		if file, ok := e.in.(*os.File); ok {
			return in.ofFile(file)
		}
		return in, nil
	}
	file, err := openFile(ctx, name)
	if err != nil {
		return input{}, err
	}
	return input{Reader: &reader{ctx: ctx, from: file}, size: -1, close: func() { _ = file.Close() }}.ofFile(file)
}

// ofFile adds what is known of a regular file.
func (in input) ofFile(file *os.File) (input, error) {
	info, err := file.Stat()
	if err == nil && info.IsDir() {
		err = fmt.Errorf("%s is a directory", file.Name())
	}
	if err != nil {
		in.close()
		return input{}, err
	}
	if start, err := file.Seek(0, io.SeekCurrent); err == nil && info.Mode().IsRegular() {
		in.size = info.Size() - start
		in.rewind = func() error {
			_, err := file.Seek(start, io.SeekStart)
			return err
		}
	}
	return in, nil
}

// spool copies the input to a temporary file, so that it can be read twice
// without being kept in memory.
func (in input) spool() (input, error) {
	// It may hold passwords: the file is readable by its owner alone, and has no
	// name any more where the system allows that, so that it never stays behind.
	file, err := os.CreateTemp("", "emq-enqueue-*.jsonl")
	if err != nil {
		return in, fmt.Errorf("keep the input: %w", err)
	}
	named := os.Remove(file.Name()) != nil
	spooled := input{Reader: file, rewind: func() error {
		_, err := file.Seek(0, io.SeekStart)
		return err
	}, close: func() {
		_ = file.Close()
		if named {
			_ = os.Remove(file.Name())
		}
		in.close()
	}}
	if spooled.size, err = io.Copy(file, in); err == nil {
		err = spooled.rewind()
	}
	if err != nil {
		return spooled, fmt.Errorf("keep the input: %w", err)
	}
	return spooled, nil
}

// progress begins a progress bar for an input that is long or endless.
func (r *fileRun) progress(size int64, what string) {
	r.bar = r.newBar(size < 0 || size >= progressBytes, size, what, true)
}

// check reads the whole input and reports its bad lines.
func (r *fileRun) check(ctx context.Context, in input) error {
	r.progress(in.size, "checking")
	defer r.bar.clear()
	err := r.each(ctx, in, func(tasks.Task, int) error { return nil }, func(int) error {
		if r.bad >= badShown {
			return usagef("stopped after %d bad lines: nothing was queued", r.bad)
		}
		return nil
	})
	if err == nil && r.bad > 0 {
		return usagef("%s: nothing was queued (--keep-going queues the rest)", plural(r.bad, "bad line"))
	}
	return err
}

// queue queues the input in batches.
func (r *fileRun) queue(ctx context.Context, in input) error {
	r.progress(in.size, "queuing")
	defer r.bar.clear()
	lines, batch := make([]int, 0, fileBatch), make([]tasks.Task, 0, fileBatch)
	flush := func() error {
		err := r.queueBatch(ctx, lines, batch)
		lines, batch = lines[:0], batch[:0]
		return err
	}
	err := r.each(ctx, in, func(t tasks.Task, line int) error {
		lines, batch = append(lines, line), append(batch, t)
		if len(batch) < fileBatch {
			return nil
		}
		return flush()
	}, func(line int) error {
		if r.keepGoing {
			return nil
		}
		return fmt.Errorf("line %d changed since it was checked", line)
	})
	if err != nil || len(batch) == 0 {
		return err
	}
	return flush()
}

func (r *fileRun) queueBatch(ctx context.Context, lines []int, batch []tasks.Task) error {
	receipts, err := r.backend.client.EnqueueMany(ctx, batch)
	if err != nil {
		return fmt.Errorf("lines %d to %d: %w", lines[0], lines[len(lines)-1], err)
	}
	var failure error
	for i, whole := range receipts {
		for _, receipt := range queuedAs(whole) {
			out := newResult(lines[i], receipt)
			switch out.Result {
			case resultQueued:
				r.queued++
			case resultDuplicate:
				r.duplicates++
			default:
				r.failed++
				failure = fmt.Errorf("line %d: %w", lines[i], receipt.Err)
			}
			if err := r.report(out); err != nil {
				return err
			}
		}
	}
	return failure // of Redis, which fails for the rest as well
}

// each calls good for every task of the input, and bad for every line that
// holds none, after it was reported.
func (r *fileRun) each(ctx context.Context, in input, good func(t tasks.Task, line int) error, bad func(line int) error) error {
	lines := bufio.NewReaderSize(in, 64<<10)
	for line := 1; ; line++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		raw, size, readErr := readLine(lines)
		if readErr != nil && !errors.Is(readErr, io.EOF) {
			return fmt.Errorf("read the input: %w", readErr)
		}
		if line == 1 {
			raw = bytes.TrimPrefix(raw, []byte(byteOrderMark))
		}
		if raw = bytes.TrimSpace(raw); len(raw) > 0 {
			t, err := parseTask(raw, size)
			if err == nil {
				r.warnApp(t.App)
				err = good(t, line)
			} else if err = r.reportBad(line, err); err == nil {
				err = bad(line)
			}
			if err != nil {
				return err
			}
		}
		r.bar.advance(size)
		if readErr != nil {
			return nil // the end
		}
	}
}

// readLine reads a line of any length, and keeps no more than lineBytes+1 of it.
func readLine(in *bufio.Reader) (line []byte, size int, err error) {
	for {
		part, err := in.ReadSlice('\n')
		size += len(part)
		if room := lineBytes + 1 - len(line); room > 0 {
			line = append(line, part[:min(room, len(part))]...)
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, size, err
		}
	}
}

// parseTask reads and checks one envelope.
func parseTask(raw []byte, size int) (tasks.Task, error) {
	if size > lineBytes+1 {
		return tasks.Task{}, fmt.Errorf("the line has %d bytes, at most %d are allowed", size, lineBytes)
	}
	t, err := tasks.ParseEnvelope(raw)
	if err != nil {
		return t, err
	}
	return t, t.Validate()
}

// warnApp warns once of each app that the settings don't describe.
func (r *fileRun) warnApp(alias string) {
	if alias == "" {
		alias = r.backend.cfg.appOrDefault()
	}
	if !r.warned[alias] {
		r.warned[alias] = true
		r.warnUnknownApp(r.backend.cfg, alias)
	}
}

// reportBad reports a bad line.
func (r *fileRun) reportBad(line int, reason error) error {
	r.bad++
	r.bar.clear()
	r.say("line %d: %s", line, oneLine(reason.Error(), maxErrorBytes))
	return r.report(enqueueResult{Line: line, Result: resultBad, Error: reason.Error()})
}

// report prints the result of one task for a program.
func (r *fileRun) report(out enqueueResult) error {
	if r.json == nil {
		return nil
	}
	return r.json.Encode(out)
}

// summary says what became of the file. failure is why the run ended early.
func (r *fileRun) summary(failure error) error {
	to := r.out
	if r.json != nil {
		to = r.err // standard output is the program's
	}
	text := fmt.Sprintf("%s queued, %s", plural(r.queued, "new task"), plural(r.duplicates, "duplicate"))
	if r.keepGoing {
		text += ", " + plural(r.bad, "bad line")
	}
	if r.failed > 0 {
		text += fmt.Sprintf(", %d failed", r.failed)
	}
	if failure != nil {
		text += "; the rest was not queued (enqueuing the file again is safe for lines with an ID)"
	}
	if _, err := fmt.Fprintln(to, text); err != nil {
		return err
	}
	if failure == nil && r.bad > 0 {
		return errReported
	}
	return nil
}
