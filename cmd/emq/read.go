package main

import (
	"context"
	"fmt"
	"io"
	"os"
)

// byteOrderMark is what some editors put in front of a text in UTF-8.
const byteOrderMark = "\xef\xbb\xbf"

// interruptible returns what do returns, or the context's error once ctx ends.
// do is left behind then: nothing else ends a read of a terminal or a pipe that
// gives nothing, or the opening of a FIFO that nobody writes to.
func interruptible[T any](ctx context.Context, do func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	var none T
	if err := ctx.Err(); err != nil {
		return none, err
	}
	done := make(chan result, 1)
	go func() {
		value, err := do()
		done <- result{value, err}
	}()
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
		return none, ctx.Err()
	}
}

// A reader reads until its context ends.
type reader struct {
	ctx  context.Context
	from io.Reader
	buf  []byte // its own: a read that is left behind may still fill it
}

// Read reads as from does.
func (r *reader) Read(p []byte) (int, error) {
	if len(r.buf) < len(p) {
		r.buf = make([]byte, len(p))
	}
	buf := r.buf[:len(p)]
	n, err := interruptible(r.ctx, func() (int, error) { return r.from.Read(buf) })
	return copy(p, buf[:n]), err
}

// openFile opens a file for reading.
func openFile(ctx context.Context, name string) (*os.File, error) {
	return interruptible(ctx, func() (*os.File, error) { return os.Open(name) })
}

// readFile reads a file of at most most bytes.
func readFile(ctx context.Context, name string, most int) ([]byte, error) {
	file, err := openFile(ctx, name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	raw, err := io.ReadAll(io.LimitReader(&reader{ctx: ctx, from: file}, int64(most)+1))
	if err == nil && len(raw) > most {
		err = fmt.Errorf("%s is too large: at most %d bytes are allowed", name, most)
	}
	return raw, err
}
