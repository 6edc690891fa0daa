package simulator

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/goccy/go-yaml"
)

// faultFields is a fault as JSON and YAML have it.
type faultFields struct {
	ID           string            `json:"id,omitempty"`
	App          string            `json:"app,omitempty"`
	Method       string            `json:"method,omitempty"`
	Path         string            `json:"path,omitempty"`
	BodyContains string            `json:"body_contains,omitempty"`
	Skip         int               `json:"skip,omitempty"`
	Times        int               `json:"times,omitempty"`
	Probability  float64           `json:"probability,omitempty"`
	Status       int               `json:"status,omitempty"`
	Body         any               `json:"body,omitempty"`
	BodyText     string            `json:"body_text,omitempty"`
	Header       map[string]string `json:"header,omitempty"`
	Latency      string            `json:"latency,omitempty"` // "200ms"
	Cut          string            `json:"cut,omitempty"`
	Execute      bool              `json:"execute,omitempty"`
	NotJSON      bool              `json:"not_json,omitempty"`
	WrongToken   bool              `json:"wrong_token,omitempty"`
	Fail         []string          `json:"fail,omitempty"`
}

// MarshalJSON writes the fields that are set, in snake case, and the latency as
// text: {"path":"/messages/*","status":502,"latency":"200ms"}.
func (f Fault) MarshalJSON() ([]byte, error) {
	out := faultFields{
		ID: f.ID, App: f.App, Method: f.Method, Path: f.Path, BodyContains: f.BodyContains, Skip: f.Skip, Times: f.Times,
		Probability: f.Probability, Status: f.Status, Body: f.Body, BodyText: f.BodyText, Header: f.Header, Cut: f.Cut,
		Execute: f.Execute, NotJSON: f.NotJSON, WrongToken: f.WrongToken, Fail: f.Fail,
	}
	if f.Latency != 0 {
		out.Latency = f.Latency.String()
	}
	return json.Marshal(out)
}

// UnmarshalJSON reads what [Fault.MarshalJSON] writes. A field that a fault does
// not have is an error that names it.
func (f *Fault) UnmarshalJSON(data []byte) error {
	var in faultFields
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	dec.UseNumber() // ids above 2^53 in a body
	if err := dec.Decode(&in); err != nil {
		return err
	}
	*f = Fault{
		ID: in.ID, App: in.App, Method: in.Method, Path: in.Path, BodyContains: in.BodyContains, Skip: in.Skip, Times: in.Times,
		Probability: in.Probability, Status: in.Status, Body: in.Body, BodyText: in.BodyText, Header: in.Header, Cut: in.Cut,
		Execute: in.Execute, NotJSON: in.NotJSON, WrongToken: in.WrongToken, Fail: in.Fail,
	}
	if in.Latency == "" {
		return nil
	}
	d, err := time.ParseDuration(in.Latency)
	if err != nil {
		return fmt.Errorf("latency %q: must be a duration like 200ms", in.Latency)
	}
	f.Latency = d
	return nil
}

// LoadFaults reads a file that holds a list of faults, in YAML or JSON. It
// checks that every field is known; whether the values make sense is for
// [New] and [Simulator.AddFault] to say.
func LoadFaults(path string) ([]Fault, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("simulator: faults: %w", err)
	}
	list, err := parseFaults(data)
	if err != nil {
		return nil, fmt.Errorf("simulator: faults of %s: %w", path, err)
	}
	return list, nil
}

func parseFaults(data []byte) ([]Fault, error) {
	if t := bytes.TrimSpace(data); bytes.HasPrefix(t, []byte("[")) && json.Valid(t) {
		return decodeFaults(t) // YAML takes JSON too, but refuses its tabs
	}
	var items []any
	if err := yaml.Unmarshal(data, &items); err != nil {
		return nil, err
	}
	asJSON, err := json.Marshal(items)
	if err != nil {
		return nil, err
	}
	return decodeFaults(asJSON)
}

// decodeFaults reads a JSON array of faults, or a single one.
func decodeFaults(data []byte) ([]Fault, error) {
	if bytes.HasPrefix(bytes.TrimSpace(data), []byte("{")) {
		var f Fault
		err := decodeOne(data, &f)
		return []Fault{f}, err
	}
	var raw []json.RawMessage
	if err := decodeOne(data, &raw); err != nil {
		return nil, err
	}
	list := make([]Fault, len(raw))
	for i, r := range raw {
		if err := decodeOne(r, &list[i]); err != nil {
			return nil, fmt.Errorf("[%d]: %w", i, err)
		}
	}
	return list, nil
}

// decodeOne reads exactly one JSON value, without fields that v does not have.
func decodeOne(data []byte, v any) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		if errors.Is(err, io.EOF) {
			return errors.New("empty")
		}
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("more than one JSON value")
	}
	return nil
}
