package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/imqueue/emq/errclass"
)

// evidenceLine is one line that `emq explain -` reads, by field.
type evidenceLine map[string]json.RawMessage

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
	id := line["id"]
	var (
		kind, transport string
		status          int
	)
	if err := errors.Join(
		line.checkNames(),
		line.read("kind", &kind, "a string"),
		line.read("status", &status, "a number"),
		line.read("transport", &transport, "a string"),
	); err != nil {
		return id, errclass.Evidence{}, err
	}
	if status == 0 && transport == "" && !line.has("body") && !line.has("body_text") {
		return id, errclass.Evidence{}, errors.New("give status, body, body_text or transport")
	}
	body, err := line.body()
	if err != nil {
		return id, errclass.Evidence{}, err
	}
	evidence, err := evidenceOf(kind, status, body, transport)
	return id, evidence, err
}

// checkNames refuses a field that a line has not: a misspelt one would be missed
// in silence.
func (l evidenceLine) checkNames() error {
	known := map[string]bool{"id": true, "kind": true, "status": true, "body": true, "body_text": true, "transport": true}
	for _, name := range slices.Sorted(maps.Keys(l)) {
		if !known[name] {
			return fmt.Errorf("%s: no such field here%s", name, didYouMean(name, known))
		}
	}
	return nil
}

// has says whether a field is given; null is as good as absent.
func (l evidenceLine) has(name string) bool { return l[name] != nil && string(l[name]) != "null" }

// read takes over one field, which may be absent or null.
func (l evidenceLine) read(name string, to any, want string) error {
	if !l.has(name) || json.Unmarshal(l[name], to) == nil {
		return nil
	}
	return fmt.Errorf("%s: must be %s", name, want)
}

// body is the answer's body: the content of a string, any other JSON as it is.
func (l evidenceLine) body() ([]byte, error) {
	var text string
	switch {
	case l.has("body") && l.has("body_text"):
		return nil, errors.New("body and body_text: only one of them may be given")
	case l.has("body_text"):
		err := l.read("body_text", &text, "a string")
		return []byte(text), err
	case !l.has("body"):
		return nil, nil
	case json.Unmarshal(l["body"], &text) == nil:
		return []byte(text), nil
	default:
		return l["body"], nil
	}
}
