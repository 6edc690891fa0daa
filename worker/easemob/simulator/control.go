package simulator

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
)

const controlPrefix = "/_control/"

// ControlBodyMax bounds a body sent to the control endpoint, in bytes.
const ControlBodyMax = 1 << 20

// controlHandler makes the control endpoint; doc.go lists its routes.
func (s *Simulator) controlHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /_control/health", func(w http.ResponseWriter, _ *http.Request) {
		controlJSON(w, http.StatusOK, map[string]string{"status": "ok"})
	})

	mux.HandleFunc("GET /_control/faults", func(w http.ResponseWriter, _ *http.Request) {
		controlJSON(w, http.StatusOK, s.Faults())
	})
	mux.HandleFunc("POST /_control/faults", func(w http.ResponseWriter, r *http.Request) {
		body, ok := controlBody(w, r)
		if !ok {
			return
		}
		list, err := decodeFaults(body)
		if err != nil {
			controlError(w, http.StatusBadRequest, err)
			return
		}
		ids, err := s.addFaults(list)
		if err != nil {
			controlError(w, http.StatusBadRequest, err)
			return
		}
		controlJSON(w, http.StatusOK, map[string][]string{"ids": ids})
	})
	mux.HandleFunc("DELETE /_control/faults", func(w http.ResponseWriter, _ *http.Request) {
		s.ClearFaults()
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("GET /_control/faults/{id}", func(w http.ResponseWriter, r *http.Request) {
		for _, f := range s.Faults() {
			if f.Fault.ID == r.PathValue("id") {
				controlJSON(w, http.StatusOK, f)
				return
			}
		}
		controlError(w, http.StatusNotFound, errNoFault)
	})
	mux.HandleFunc("DELETE /_control/faults/{id}", func(w http.ResponseWriter, r *http.Request) {
		if !s.RemoveFault(r.PathValue("id")) {
			controlError(w, http.StatusNotFound, errNoFault)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})

	mux.HandleFunc("GET /_control/executed", s.controlExecuted)
	mux.HandleFunc("GET /_control/counts", func(w http.ResponseWriter, _ *http.Request) {
		controlJSON(w, http.StatusOK, s.Counts())
	})
	mux.HandleFunc("POST /_control/revoke-tokens", func(w http.ResponseWriter, _ *http.Request) {
		s.RevokeTokens()
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("POST /_control/limits", func(w http.ResponseWriter, r *http.Request) {
		body, ok := controlBody(w, r)
		if !ok {
			return
		}
		var ls Limits
		err := decodeOne(body, &ls)
		if err == nil {
			err = s.SetLimits(ls)
		}
		if err != nil {
			controlError(w, http.StatusBadRequest, err)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("POST /_control/reset", func(w http.ResponseWriter, _ *http.Request) {
		s.Reset()
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc(controlPrefix, func(w http.ResponseWriter, _ *http.Request) {
		controlError(w, http.StatusNotFound, errors.New("no such control endpoint or method"))
	})
	return mux
}

var errNoFault = errors.New("no fault has this id")

// controlExecuted writes the record as JSON Lines.
func (s *Simulator) controlExecuted(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	since := int64(0)
	if v := q.Get("since"); v != "" {
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil || n < 0 {
			controlError(w, http.StatusBadRequest, errors.New("since "+strconv.Quote(v)+": must be a number of at least 0"))
			return
		}
		since = n
	}
	id := q.Get("emq_id")
	w.Header().Set("Content-Type", "application/x-ndjson")
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	for _, e := range s.ExecutedSince(since) {
		if q.Has("emq_id") && e.EmqID != id {
			continue
		}
		if enc.Encode(e) != nil {
			return // the caller left
		}
	}
}

// controlBody reads a request's body, or answers why it can't.
func controlBody(w http.ResponseWriter, r *http.Request) ([]byte, bool) {
	var buf bytes.Buffer
	_, err := io.Copy(&buf, http.MaxBytesReader(w, r.Body, ControlBodyMax))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		controlError(w, http.StatusRequestEntityTooLarge, errors.New("body: must be at most "+strconv.Itoa(ControlBodyMax)+" bytes"))
		return nil, false
	case err != nil:
		controlError(w, http.StatusBadRequest, errors.New("body: could not be read"))
		return nil, false
	}
	return buf.Bytes(), true
}

func controlJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

func controlError(w http.ResponseWriter, status int, err error) {
	controlJSON(w, status, map[string]string{"error": err.Error()})
}
