package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"reflect"
	"strconv"

	"github.com/imqueue/emq/dlq"
	"github.com/imqueue/emq/errclass"
	"github.com/imqueue/emq/tasks"
)

// bodyMax bounds the body of a request: payloads are at most 64 KiB or so.
const bodyMax = 1 << 20

// nothing is the body or the answer of what needs none.
type nothing struct{}

// act is a handler that takes a body of JSON and acts for whoever asks.
func act[In any](do func(s *Server, r *http.Request, by func(note string) dlq.Actor, in In) (any, error)) action {
	return action{
		in: reflect.TypeFor[In](),
		do: func(s *Server, r *http.Request, who Identity, body []byte) (any, error) {
			var in In
			if err := readBody(body, &in); err != nil {
				return nil, err
			}
			value, err := do(s, r, func(note string) dlq.Actor { return dlq.Actor{Name: who.Name, Note: note} }, in)
			var field *tasks.FieldError
			if errors.As(err, &field) {
				err = &apiError{status: http.StatusUnprocessableEntity, field: field.Field, value: field.Value, detail: field.Error()}
			}
			return value, err
		},
	}
}

// An action is what changes something.
type action struct {
	in reflect.Type
	do func(s *Server, r *http.Request, who Identity, body []byte) (any, error)
}

// takeBody reads a body that must be JSON, or nothing.
func takeBody(r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(r.Body, bodyMax+1))
	if err != nil {
		return nil, &apiError{status: http.StatusBadRequest, detail: "the body broke off"}
	}
	if len(body) > bodyMax {
		return nil, &apiError{status: http.StatusRequestEntityTooLarge, detail: "the body is larger than 1 MiB"}
	}
	if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); len(body) > 0 && kind != "application/json" {
		return nil, &apiError{status: http.StatusUnsupportedMediaType, detail: "the body must be application/json"}
	}
	return body, nil
}

// readBody reads a body strictly: a misspelt field would otherwise be none.
func readBody(body []byte, into any) error {
	if len(bytes.TrimSpace(body)) == 0 {
		body = []byte("{}")
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields()
	err := dec.Decode(into)
	if err == nil && dec.More() {
		err = errors.New("more than one value")
	}
	var wrong *json.UnmarshalTypeError
	var field *tasks.FieldError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &wrong):
		return &apiError{status: http.StatusUnprocessableEntity, field: wrong.Field, detail: wrong.Field + ": must be " + wrong.Type.String()}
	case errors.As(err, &field):
		return &apiError{status: http.StatusUnprocessableEntity, field: field.Field, value: field.Value, detail: field.Error()}
	}
	return &apiError{status: http.StatusBadRequest, detail: "the body can't be read: " + tasks.Printable(err.Error(), 200)}
}

// needReason refuses what nobody will be able to explain later.
func needReason(reason string) error {
	if len(bytes.TrimSpace([]byte(reason))) == 0 {
		return &tasks.FieldError{Field: "reason", Bound: "must be given"}
	}
	return nil
}

type reasonBody struct {
	Reason string `json:"reason"`
}

type noteBody struct {
	Note string `json:"note,omitempty"`
}

type maybeReason struct {
	Reason string `json:"reason,omitempty"`
}

// changed is an action on one dead letter, whose answer is the entry as it is then.
func changed(do func(s *dlq.Store, ctx context.Context, app, id string, by dlq.Actor) error) action {
	return act(func(s *Server, r *http.Request, by func(string) dlq.Actor, in maybeReason) (any, error) {
		app, id := r.PathValue("app"), r.PathValue("id")
		if err := do(s.store, r.Context(), app, id, by(in.Reason)); err != nil {
			return nil, err
		}
		return s.entry(r, app, id)
	})
}

func (s *Server) entry(r *http.Request, app, id string) (any, error) {
	entry, err := s.store.Get(r.Context(), app, id)
	if err != nil {
		return nil, err
	}
	return entry.Redacted(), nil
}

type resolveBody struct {
	Outcome string `json:"outcome" enum:"sent,not_sent"`
	Reason  string `json:"reason"`
}

func resolve(s *Server, r *http.Request, by func(string) dlq.Actor, in resolveBody) (any, error) {
	app, id := r.PathValue("app"), r.PathValue("id")
	if err := needReason(in.Reason); err != nil {
		return nil, err
	}
	var err error
	switch in.Outcome {
	case "sent":
		_, err = s.store.Settle(r.Context(), app, id, by(in.Reason))
	case "not_sent":
		err = s.store.Resend(r.Context(), app, id, by(in.Reason))
	default:
		err = &tasks.FieldError{Field: "outcome", Value: tasks.Printable(in.Outcome, 32), Bound: "must be sent or not_sent"}
	}
	if err != nil {
		return nil, err
	}
	return s.entry(r, app, id)
}

type editBody struct {
	Payload json.RawMessage `json:"payload"`
	Resend  bool            `json:"resend,omitempty"`
	Reason  string          `json:"reason,omitempty"`
}

func edit(s *Server, r *http.Request, by func(string) dlq.Actor, in editBody) (any, error) {
	app, id := r.PathValue("app"), r.PathValue("id")
	entry, err := s.store.Get(r.Context(), app, id)
	if err != nil {
		return nil, err
	}
	payload, err := unhide(in.Payload, entry.Payload)
	if err != nil {
		return nil, err
	}
	if err := s.store.Edit(r.Context(), app, id, payload, by(in.Reason)); err != nil {
		return nil, err
	}
	if in.Resend {
		if err := s.store.Resend(r.Context(), app, id, by(in.Reason)); err != nil {
			return nil, err
		}
	}
	return s.entry(r, app, id)
}

type operationBody struct {
	Action         string            `json:"action" enum:"resend,discard,restore"`
	Filter         map[string]string `json:"filter"`
	IncludeUnknown bool              `json:"include_unknown,omitempty"`
	Rate           float64           `json:"rate,omitempty"`
	Max            int               `json:"max,omitempty"`
	Priority       tasks.Priority    `json:"priority,omitempty"`
	Reason         string            `json:"reason,omitempty"`
}

type previewAnswer struct {
	Count int `json:"count"`
	// LeftOutUnknown are those whose outcome is unknown, unless they were asked for.
	LeftOutUnknown int `json:"left_out_unknown"`
}

func (b operationBody) bulk(by func(string) dlq.Actor) (dlq.Bulk, error) {
	filter, err := filterOf(b.Filter)
	return dlq.Bulk{
		Action: b.Action, Filter: filter, IncludeUnknown: b.IncludeUnknown, Max: b.Max, Priority: b.Priority, Rate: b.Rate, By: by(b.Reason),
	}, err
}

// preview counts what an operation would be made of.
func preview(s *Server, r *http.Request, by func(string) dlq.Actor, in operationBody) (any, error) {
	bulk, err := in.bulk(by)
	if err != nil {
		return nil, err
	}
	p, err := s.store.Preview(r.Context(), bulk, nil)
	return previewAnswer{p.Count, p.Unknown}, err
}

// operate freezes what a filter selects into operations, one for each app, and starts them.
func operate(s *Server, r *http.Request, by func(string) dlq.Actor, in operationBody) (any, error) {
	bulk, err := in.bulk(by)
	if err != nil {
		return nil, err
	}
	if err := needReason(in.Reason); err != nil {
		return nil, err
	}
	ops, err := s.store.Freeze(r.Context(), bulk, nil)
	if err != nil {
		return nil, err
	}
	for i, op := range ops {
		if err := s.store.Start(r.Context(), op.App, op.ID, bulk.By); err != nil {
			return nil, err
		}
		if ops[i], err = s.store.GetOperation(r.Context(), op.App, op.ID); err != nil {
			return nil, err
		}
	}
	return listOf(ops, ""), nil
}

type rateBody struct {
	Rate float64 `json:"rate"`
}

type holdBody struct {
	App    string       `json:"app"`
	Family tasks.Family `json:"family,omitempty"`
	Reason string       `json:"reason"`
}

func hold(s *Server, r *http.Request, by func(string) dlq.Actor, in holdBody) (any, error) {
	if err := needReason(in.Reason); err != nil {
		return nil, err
	}
	created, err := s.store.SetHold(r.Context(), dlq.Hold{
		App: in.App, Family: in.Family, Rule: "operator", Description: in.Reason, By: by("").Name,
		Why:    errclass.Text{En: "Set by hand: " + in.Reason, Zh: "人工暂停：" + in.Reason},
		Advice: errclass.Text{En: "Clear the hold when the reason is gone.", Zh: "原因消除后解除暂停。"},
	})
	if err == nil && !created {
		err = &apiError{status: http.StatusConflict, detail: "it is held already"}
	}
	return nothing{}, err
}

type limitBody struct {
	Limit  tasks.Limit `json:"limit"`
	Reason string      `json:"reason"`
}

type silenceBody struct {
	App        string `json:"app"`
	Cause      string `json:"cause,omitempty"`
	ForSeconds int    `json:"for_seconds"`
	Reason     string `json:"reason"`
}

type explainBody struct {
	Status      int                `json:"status,omitempty"`
	Body        string             `json:"body,omitempty"`
	Error       string             `json:"error,omitempty"`
	Description string             `json:"description,omitempty"`
	Kind        string             `json:"kind,omitempty"`
	Transport   errclass.Transport `json:"transport,omitempty"`
}

type verdictAnswer struct {
	Class          errclass.Class `json:"class"`
	Scope          errclass.Scope `json:"scope"`
	Rule           string         `json:"rule"`
	Status         int            `json:"status,omitempty"`
	Error          string         `json:"error,omitempty"`
	Description    string         `json:"description,omitempty"`
	Delay          errclass.Delay `json:"delay,omitempty"`
	OutcomeUnknown bool           `json:"outcome_unknown,omitempty"`
	Unknown        bool           `json:"unknown,omitempty"`
	Why            errclass.Text  `json:"why"`
	Advice         errclass.Text  `json:"advice"`
}

// verdict judges an answer by a table.
func (b explainBody) verdict(table *errclass.Table) (*verdictAnswer, error) {
	switch {
	case b.Status == 0 && b.Body == "" && b.Error == "" && b.Description == "" && b.Transport == "":
		return nil, &tasks.FieldError{Field: "status", Bound: "give status, body, error, description or transport"}
	case b.Status != 0 && (b.Status < 100 || b.Status > 599):
		return nil, &tasks.FieldError{Field: "status", Value: strconv.Itoa(b.Status), Bound: "must be 100 to 599"}
	case !b.Transport.Valid():
		return nil, &tasks.FieldError{Field: "transport", Value: tasks.Printable(string(b.Transport), 32), Bound: "must be a way in which a call fails, such as timeout"}
	}
	e := errclass.Evidence{Kind: b.Kind, Attempt: 1, Status: b.Status, Body: []byte(b.Body), Transport: b.Transport, Written: b.Transport.MayBeWritten()}
	if b.Body == "" && (b.Error != "" || b.Description != "") {
		e.Body, _ = json.Marshal(map[string]string{"error": b.Error, "error_description": b.Description})
	}
	v := table.Classify(e)
	return &verdictAnswer{v.Class, v.Scope, v.Rule, v.Status, v.Error, v.Description, v.Delay, v.OutcomeUnknown, v.Unknown, v.Why, v.Advice}, nil
}

// explain judges an answer as a worker with the same rules would.
func explain(s *Server, _ *http.Request, _ func(string) dlq.Actor, in explainBody) (any, error) {
	return in.verdict(s.cfg.Rules)
}

// A RulesCheck is what is to be said of a file of rules.
type RulesCheck struct {
	Rules int `json:"rules"`
	Tests int `json:"tests"`
	// Faults make the file of no use. Each begins with its line.
	Faults   []string `json:"faults"`
	Warnings []string `json:"warnings"`
	// Failed are the tests in the file that fail.
	Failed []string `json:"failed"`
}

type rulesBody struct {
	Text   string       `json:"text"`
	Answer *explainBody `json:"answer,omitempty"`
}

type rulesAnswer struct {
	RulesCheck
	// Verdict is that of the file on the answer; none where the file has faults.
	Verdict *verdictAnswer `json:"verdict,omitempty"`
}

// checkRules checks and tests a file of rules, and judges an answer by it. Nothing is
// changed: a worker's rules are in its own file.
func checkRules(s *Server, _ *http.Request, _ func(string) dlq.Actor, in rulesBody) (any, error) {
	if s.cfg.CheckRules == nil {
		return nil, &apiError{status: http.StatusNotImplemented, detail: "this server can't read rules"}
	}
	check, table := s.cfg.CheckRules([]byte(in.Text))
	answer := rulesAnswer{RulesCheck: check}
	var err error
	if in.Answer != nil && table != nil {
		answer.Verdict, err = in.Answer.verdict(table)
	}
	return answer, err
}
