package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/imqueue/emq/errclass"
)

// evidenceLine is one line that `emq explain -` reads. Fields it does not know
// are none of its business.
type evidenceLine struct {
	ID        json.RawMessage `json:"id"`
	Kind      json.RawMessage `json:"kind"`
	Status    json.RawMessage `json:"status"`
	Body      json.RawMessage `json:"body"`
	BodyText  json.RawMessage `json:"body_text"`
	Transport json.RawMessage `json:"transport"`
}

// explained answers a line.
type explained struct {
	ID json.RawMessage `json:"id"`
	explanation
}

// unexplained answers a line that can't be read.
type unexplained struct {
	ID    json.RawMessage `json:"id"` // null when even that can't be read
	Line  int             `json:"line"`
	Error string          `json:"error"`
}

// explainLines answers standard input line by line.
func (e *env) explainLines(ctx context.Context, x explainer) error {
	in, out := bufio.NewReaderSize(&reader{ctx: ctx, from: e.in}, 64<<10), bufio.NewWriterSize(e.out, 64<<10)
	enc := newJSONEncoder(out)
	bad := 0
	for number := 1; ctx.Err() == nil; number++ {
		raw, size, readErr := readLine(in)
		if readErr != nil && !errors.Is(readErr, io.EOF) {
			return fmt.Errorf("read standard input: %w", readErr)
		}
		if raw = bytes.TrimSpace(raw); len(raw) > 0 {
			id, evidence, err := readEvidence(raw, size)
			var answer any
			if err != nil {
				bad++
				answer = unexplained{id, number, err.Error()}
			} else {
				answer = explained{id, x.explain(evidence)}
			}
			if err := enc.Encode(answer); err != nil {
				return err
			}
		}
		// Who writes one line and waits for its answer gets it.
		if in.Buffered() == 0 || readErr != nil {
			if err := out.Flush(); err != nil {
				return err
			}
		}
		if readErr != nil {
			break
		}
	}
	if bad > 0 {
		e.say("emq: %s could not be read", plural(bad, "line"))
		return errReported
	}
	return ctx.Err()
}

// readEvidence reads a line, of which size bytes were there; the ID is returned
// beside an error if it can be read.
func readEvidence(raw []byte, size int) (json.RawMessage, errclass.Evidence, error) {
	if size > lineBytes+1 {
		return nil, errclass.Evidence{}, fmt.Errorf("the line has %d bytes, at most %d are allowed", size, lineBytes)
	}
	var line evidenceLine
	if err := json.Unmarshal(raw, &line); err != nil {
		return nil, errclass.Evidence{}, fmt.Errorf("not a JSON object: %w", err)
	}
	var (
		kind, transport string
		status          int
	)
	if err := errors.Join(
		line.read("kind", line.Kind, &kind, "a string"),
		line.read("status", line.Status, &status, "a number"),
		line.read("transport", line.Transport, &transport, "a string"),
	); err != nil {
		return line.ID, errclass.Evidence{}, err
	}
	body, err := line.body()
	if err != nil {
		return line.ID, errclass.Evidence{}, err
	}
	evidence, err := evidenceOf(kind, status, body, transport)
	return line.ID, evidence, err
}

// read takes over one field, which may be absent or null.
func (evidenceLine) read(name string, raw json.RawMessage, to any, want string) error {
	if raw == nil || json.Unmarshal(raw, to) == nil {
		return nil
	}
	return fmt.Errorf("%s: must be %s", name, want)
}

// body is the answer's body: the content of a string, any other JSON as it is.
func (l evidenceLine) body() ([]byte, error) {
	isNull := func(raw json.RawMessage) bool { return raw == nil || string(raw) == "null" }
	if !isNull(l.Body) && !isNull(l.BodyText) {
		return nil, errors.New("body and body_text: only one of them may be given")
	}
	var text string
	switch {
	case !isNull(l.BodyText):
		err := l.read("body_text", l.BodyText, &text, "a string")
		return []byte(text), err
	case isNull(l.Body):
		return nil, nil
	case json.Unmarshal(l.Body, &text) == nil:
		return []byte(text), nil
	default:
		return l.Body, nil
	}
}
