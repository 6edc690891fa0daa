package tasks

import (
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
)

// fieldWriter writes a JSON object field by field, without a look at values that
// are in JSON already.
type fieldWriter struct{ buf []byte }

// newFieldWriter begins an object that will take about so many bytes.
func newFieldWriter(size int) *fieldWriter {
	return &fieldWriter{buf: append(make([]byte, 0, size), '{')}
}

func (w *fieldWriter) end() []byte { return append(w.buf, '}') }

func (w *fieldWriter) raw(name string, value []byte) {
	if len(w.buf) > 1 {
		w.buf = append(w.buf, ',')
	}
	w.buf = append(w.buf, '"')
	w.buf = append(w.buf, name...)
	w.buf = append(w.buf, '"', ':')
	w.buf = append(w.buf, value...)
}

func (w *fieldWriter) number(name string, value int64) {
	w.raw(name, nil)
	w.buf = strconv.AppendInt(w.buf, value, 10)
}

func (w *fieldWriter) numberUnlessZero(name string, value int64) {
	if value != 0 {
		w.number(name, value)
	}
}

// flag writes a field that is left out when it is false.
func (w *fieldWriter) flag(name string, value bool) {
	if value {
		w.raw(name, []byte("true"))
	}
}

func (w *fieldWriter) text(name, value string) {
	w.raw(name, nil)
	w.quote(value)
}

func (w *fieldWriter) textUnlessEmpty(name, value string) {
	if value != "" {
		w.text(name, value)
	}
}

// texts writes a list; a nil one is null, as encoding/json has it.
func (w *fieldWriter) texts(name string, values []string) {
	if values == nil {
		w.raw(name, []byte("null"))
		return
	}
	w.raw(name, []byte{'['})
	for i, value := range values {
		if i > 0 {
			w.buf = append(w.buf, ',')
		}
		w.quote(value)
	}
	w.buf = append(w.buf, ']')
}

func (w *fieldWriter) quote(value string) {
	if quoted, err := jsontext.AppendQuote(w.buf, value); err == nil {
		w.buf = quoted
		return
	}
	quoted, _ := encodeJSON(value) // not UTF-8: it becomes so
	w.buf = append(w.buf, quoted...)
}
