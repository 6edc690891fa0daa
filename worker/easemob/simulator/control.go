package simulator

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
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
	mux.HandleFunc("GET /_control/calls", s.controlCalls)
	mux.HandleFunc("GET /_control/counts", func(w http.ResponseWriter, _ *http.Request) {
		controlJSON(w, http.StatusOK, s.Counts())
	})
	mux.HandleFunc("POST /_control/revoke-tokens", func(w http.ResponseWriter, _ *http.Request) {
		s.RevokeTokens()
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("POST /_control/expire-tokens", func(w http.ResponseWriter, _ *http.Request) {
		s.ExpireTokens()
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("POST /_control/limits", controlSet(s.SetLimits))
	mux.HandleFunc("POST /_control/others", controlSet(s.SetOthers))
	mux.HandleFunc("POST /_control/quotas", controlSet(s.SetQuotas))
	mux.HandleFunc("POST /_control/secret", controlSet(func(in struct {
		App          string `json:"app"`
		ClientSecret string `json:"client_secret"`
	}) error {
		return s.SetSecret(in.App, in.ClientSecret)
	}))
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

// controlSet makes an endpoint that replaces a setting by the body's.
func controlSet[T any](set func(T) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, ok := controlBody(w, r)
		if !ok {
			return
		}
		var v T
		err := decodeOne(body, &v)
		if err == nil {
			err = set(v)
		}
		if err != nil {
			controlError(w, http.StatusBadRequest, err)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	}
}

// controlExecuted writes the record of what was executed.
func (s *Simulator) controlExecuted(w http.ResponseWriter, r *http.Request) {
	since, ok := controlSince(w, r)
	if !ok {
		return
	}
	list := s.ExecutedSince(since)
	if q := r.URL.Query(); q.Has("emq_id") {
		list = slices.DeleteFunc(list, func(e Execution) bool { return e.EmqID != q.Get("emq_id") })
	}
	controlLines(w, list)
}

// controlCalls writes the record of calls.
func (s *Simulator) controlCalls(w http.ResponseWriter, r *http.Request) {
	if since, ok := controlSince(w, r); ok {
		controlLines(w, s.Received(int(since)))
	}
}

// controlSince reads how much of a record to leave out, or answers what is wrong
// with it.
func controlSince(w http.ResponseWriter, r *http.Request) (since int64, ok bool) {
	v := r.URL.Query().Get("since")
	if v == "" {
		return 0, true
	}
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil || n < 0 {
		controlError(w, http.StatusBadRequest, errors.New("since "+strconv.Quote(v)+": must be a number of at least 0"))
		return 0, false
	}
	return n, true
}

// controlLines writes a list as JSON Lines.
func controlLines[T any](w http.ResponseWriter, list []T) {
	w.Header().Set("Content-Type", "application/x-ndjson")
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	for _, v := range list {
		if enc.Encode(v) != nil {
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
