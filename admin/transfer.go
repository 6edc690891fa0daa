package admin

import (
	"bufio"
	"errors"
	"io"
	"mime"
	"net/http"
	"slices"
	"time"

	"github.com/imqueue/emq/dlq"
	"github.com/imqueue/emq/tasks"
)

// Dead letters leave and come as JSON Lines, as with emq dlq export and import, and take
// longer than an answer may: each piece of them has answerTimeout.

const (
	jsonLines = "application/jsonl"
	// importMax bounds the body of an import. More goes by emq dlq import.
	importMax = 256 << 20
	// importTold bounds the lines of which the answer to an import tells one by one.
	importTold = 1000
)

// A slow is a request or an answer whose every piece has answerTimeout.
type slow struct {
	io.Reader
	io.Writer
	control *http.ResponseController
}

// errBroken is a body that ended before it was whole, or stood still for too long.
var errBroken = errors.New("the body broke off")

func (s slow) Read(p []byte) (int, error) {
	_ = s.control.SetReadDeadline(time.Now().Add(answerTimeout)) // what has none needs none
	n, err := s.Reader.Read(p)
	if err != nil && !errors.Is(err, io.EOF) && !errors.As(err, new(*http.MaxBytesError)) {
		err = errBroken // not a failure of Redis, whatever the network said
	}
	return n, err
}

func (s slow) Write(p []byte) (int, error) {
	_ = s.control.SetWriteDeadline(time.Now().Add(answerTimeout))
	return s.Writer.Write(p)
}

type exportBody struct {
	Filter map[string]string `json:"filter,omitempty"`
}

// filterOf is the filter of a body.
func filterOf(fields map[string]string) (dlq.Filter, error) {
	for name := range fields {
		if !slices.Contains(dlq.FilterFields(), name) {
			return dlq.Filter{}, &tasks.FieldError{Field: "filter." + tasks.Printable(name, 32), Bound: "is no filter"}
		}
	}
	return dlq.ParseFilter(func(name string) string { return fields[name] }, time.Now())
}

// export writes what a filter selects, secrets and all: not for whoever is on the machine.
func (s *Server) export(w http.ResponseWriter, r *http.Request, who Identity) {
	if len(s.cfg.Identities) == 0 {
		s.refuse(w, r, &apiError{status: http.StatusForbidden, detail: "an export shows passwords, and this server does not ask who you are: start it with --credentials, or use emq dlq export"})
		return
	}
	var in exportBody
	body, err := takeBody(r)
	if err == nil {
		err = readBody(body, &in)
	}
	var filter dlq.Filter
	if err == nil {
		filter, err = filterOf(in.Filter)
	}
	if err == nil {
		_, err = s.store.Candidates(r.Context(), filter) // what it finds wrong can still be told
	}
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	w.Header().Set("Content-Type", jsonLines)
	w.Header().Set("Content-Disposition", `attachment; filename="dead-letters.jsonl"`)
	out := bufio.NewWriterSize(slow{Writer: w, control: http.NewResponseController(w)}, 64<<10)
	err = s.store.ExportTo(r.Context(), out, filter, dlq.Actor{Name: who.Name}, nil)
	if err = errors.Join(err, out.Flush()); err != nil {
		s.log.Error("export broke off", "by", who.Name, "error", err)
		panic(http.ErrAbortHandler) // a client takes what just ended for whole
	}
}

// An importLine is a line that changed nothing.
type importLine struct {
	Line   int    `json:"line"`
	App    string `json:"app,omitempty"`
	ID     string `json:"id,omitempty"`
	Detail string `json:"detail"`
}

// importAnswer is what became of an import; with an error, of its first lines.
type importAnswer struct {
	Added     int `json:"added"`
	Edited    int `json:"edited"`
	Unchanged int `json:"unchanged"`
	Skipped   int `json:"skipped"`
	Refused   int `json:"refused"`
	// Lines are the first 1000 that were skipped or refused.
	Lines []importLine `json:"lines"`
}

// importLines imports the lines of a body.
func (s *Server) importLines(w http.ResponseWriter, r *http.Request, who Identity) {
	q := newQuery(r, "dry_run", "reason")
	dry, reason := q.flag("dry_run"), q.text("reason")
	err := q.err()
	if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); err == nil && kind != jsonLines && kind != "application/x-ndjson" {
		err = &apiError{status: http.StatusUnsupportedMediaType, detail: "the body must be " + jsonLines + ", as an export is"}
	}
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	control := http.NewResponseController(w)
	body := slow{Reader: http.MaxBytesReader(w, r.Body, importMax), control: control}
	answer := importAnswer{Lines: []importLine{}}
	tell := func(line int, got dlq.Imported, detail string) {
		if len(answer.Lines) < importTold {
			answer.Lines = append(answer.Lines, importLine{line, got.App, got.ID, detail})
		}
	}
	err = s.store.ImportFrom(r.Context(), body, dlq.Actor{Name: who.Name, Note: reason}, dry, func(line, _ int, got dlq.Imported, refusal error) {
		switch {
		case refusal != nil:
			answer.Refused++
			tell(line, got, tasks.Printable(refusal.Error(), textMaxBytes))
		case got.Result == dlq.ImportAdded:
			answer.Added++
		case got.Result == dlq.ImportEdited:
			answer.Edited++
		case got.Result == dlq.ImportUnchanged:
			answer.Unchanged++
		default:
			answer.Skipped++
			tell(line, got, "it has moved on here")
		}
	})
	_ = control.SetWriteDeadline(time.Now().Add(answerTimeout))
	const before = "; the lines before count, and may be sent again"
	switch {
	case errors.Is(err, errBroken):
		err = &apiError{status: http.StatusBadRequest, detail: err.Error() + before}
	case errors.As(err, new(*http.MaxBytesError)):
		err = &apiError{status: http.StatusRequestEntityTooLarge, detail: "the body is larger than 256 MiB" + before}
	case errors.Is(err, bufio.ErrTooLong):
		err = &apiError{status: http.StatusRequestEntityTooLarge, detail: tasks.Printable(err.Error(), textMaxBytes) + before}
	}
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	s.write(w, r, http.StatusOK, "application/json", answer)
}
