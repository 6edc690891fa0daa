package tasks

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write testdata/requests.txt anew")

func TestKindTable(t *testing.T) {
	t.Parallel()
	seen := map[Kind]bool{}
	for _, info := range Kinds() {
		if seen[info.Kind] {
			t.Errorf("%s stands twice", info.Kind)
		}
		seen[info.Kind] = true
		if info.Summary == "" || info.Why == "" || len(info.Fields) == 0 || !strings.HasPrefix(info.Source, docs) {
			t.Errorf("incomplete: %+v", info)
		}
		if _, known := info.Endpoint.Info(); !known && info.Endpoint != "" {
			t.Errorf("%s goes to %s, which is no endpoint", info.Kind, info.Endpoint)
		}
		if got, ok := info.Kind.Info(); !ok || got.Summary != info.Summary {
			t.Errorf("Info of %s: %+v, %v", info.Kind, got, ok)
		}
	}
	Kinds()[0].Kind = "changed"
	if Kinds()[0].Kind == "changed" {
		t.Error("Kinds hands out its own table")
	}
	long := Kind(strings.Repeat("é", 1000))
	if _, err := DecodePayload(long, nil); !errors.Is(err, ErrUnknownKind) || len(err.Error()) > 300 {
		t.Errorf("unknown kind: %v", err)
	}
}

// payloadFields are the JSON fields of a payload's type. Payloads that have a
// JSON of their own name the type that stands for it.
func payloadFields(p Payload) map[string]reflect.StructField {
	types := []reflect.Type{reflect.TypeOf(p)}
	switch p.(type) {
	case Message:
		types = []reflect.Type{reflect.TypeFor[messageJSON]()}
	case Broadcast:
		types = []reflect.Type{reflect.TypeFor[broadcastJSON]()}
	case UserRegister: // several users, or one
		types = append(types, reflect.TypeFor[NewUser]())
	}
	fields := map[string]reflect.StructField{}
	for _, typ := range types {
		for f := range typ.Fields() {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			fields[name] = f
		}
	}
	return fields
}

// jsonType is the word of FieldInfo.Type for a Go type.
func jsonType(typ reflect.Type) string {
	if typ == reflect.TypeFor[json.RawMessage]() {
		return "" // could be any
	}
	switch typ.Kind() {
	case reflect.Pointer:
		return jsonType(typ.Elem())
	case reflect.String:
		return "string"
	case reflect.Bool:
		return "boolean"
	case reflect.Int, reflect.Int64:
		return "number"
	case reflect.Slice:
		return "array"
	case reflect.Map:
		return "object"
	}
	return typ.String()
}

// TestKindFields holds that the table names each field of a payload, with its
// type, and no other.
func TestKindFields(t *testing.T) {
	t.Parallel()
	for _, info := range Kinds() {
		t.Run(string(info.Kind), func(t *testing.T) {
			t.Parallel()
			fields := payloadFields(samples()[info.Kind])
			for _, f := range info.Fields {
				field, ok := fields[f.Name]
				if !ok {
					t.Errorf("the payload has no %s", f.Name)
					continue
				}
				delete(fields, f.Name)
				if want := jsonType(field.Type); want != "" && want != f.Type {
					t.Errorf("%s is said to be %s and is %s", f.Name, f.Type, want)
				}
				if f.Bound == "" {
					t.Errorf("%s has no bound", f.Name)
				}
			}
			for name := range fields {
				t.Errorf("the table lacks %s", name)
			}
		})
	}
}

// TestKindExamples holds that the example of each kind is good, that it needs
// each field said to be required, and that a misspelt field is refused.
func TestKindExamples(t *testing.T) {
	t.Parallel()
	for _, info := range Kinds() {
		t.Run(string(info.Kind), func(t *testing.T) {
			t.Parallel()
			task, err := ParseEnvelope([]byte(info.Example))
			if err != nil {
				t.Fatal(err)
			}
			if err := task.Validate(); err != nil {
				t.Fatal(err)
			}
			if task.Kind() != info.Kind || info.Endpoint != "" && task.Endpoint() != info.Endpoint {
				t.Errorf("is of %s and goes to %s", task.Kind(), task.Endpoint())
			}
			if _, known := task.Endpoint().Info(); !known {
				t.Errorf("goes to %q, which is no endpoint", task.Endpoint())
			}
			complete := task.withDefaults(AppDefault, goldenTask(nil).EnqueuedAt)
			complete.ID = "id-1"
			raw, err := Encode(complete)
			if err != nil {
				t.Fatal(err)
			}
			again, err := Decode(raw)
			if err != nil {
				t.Fatal(err)
			}
			equal(t, "decoded", again, complete)

			with := func(change func(payload map[string]any)) error {
				var e map[string]any
				if err := decodeStrict([]byte(info.Example), &e); err != nil {
					t.Fatal(err)
				}
				change(e["payload"].(map[string]any))
				changed, err := json.Marshal(e)
				if err != nil {
					t.Fatal(err)
				}
				task, err := ParseEnvelope(changed)
				if err != nil {
					return err
				}
				return task.Validate()
			}
			for _, f := range info.Fields {
				err := with(func(payload map[string]any) { delete(payload, f.Name) })
				if _, refused := errors.AsType[*FieldError](err); refused != f.Required && !emptyAllowed(info.Kind, f.Name) {
					t.Errorf("without %s: %v", f.Name, err)
				}
			}
			err = with(func(payload map[string]any) { payload["surprise"] = 1 })
			if fe, ok := errors.AsType[*FieldError](err); !ok || fe.Field != "payload.surprise" {
				t.Errorf("with an unknown field: %v", err)
			}
		})
	}
}

// emptyAllowed says where leaving a field out is the same as its empty value,
// which is good, or where one of several fields is required.
func emptyAllowed(kind Kind, name string) bool {
	return name == "announcement" || kind == KindUserRegister && name == "users"
}

// TestRequestsOfTheExamples keeps the call of each kind's example, for a reader
// to hold against Easemob's documentation.
func TestRequestsOfTheExamples(t *testing.T) {
	t.Parallel()
	const golden = "testdata/requests.txt"
	var out bytes.Buffer
	for _, info := range Kinds() {
		task, err := ParseEnvelope([]byte(info.Example))
		if err != nil {
			t.Fatal(err)
		}
		req, err := task.Payload.Request("id-1")
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&out, "# %s -> %s\n%s %s\n", info.Kind, task.Endpoint(), req.Method, req.Path)
		if req.Form {
			out.WriteString("Content-Type: application/x-www-form-urlencoded\n")
		}
		if req.Body != nil {
			fmt.Fprintf(&out, "%s\n", req.Body)
		}
		out.WriteString("\n")
	}
	if *update {
		if err := os.WriteFile(golden, out.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got := out.String(); got != string(want) {
		t.Errorf("differs from %s (-update writes it anew):\n%s", golden, got)
	}
}

// TestRawCallWaitsWithItsLike makes each kind's call as a raw one.
func TestRawCallWaitsWithItsLike(t *testing.T) {
	t.Parallel()
	for kind, p := range samples() {
		req, err := p.Request("id-1")
		if err != nil {
			t.Fatal(err)
		}
		if req.Form {
			req.Body = nil
		}
		typed, raw := Task{Payload: p}, Task{Payload: RawCall{Method: req.Method, Path: req.Path, Body: req.Body}}
		if raw.Endpoint() != typed.Endpoint() || raw.Messages() != typed.Messages() {
			t.Errorf("%s: %s with %d messages, as a raw call %s with %d", kind, typed.Endpoint(), typed.Messages(), raw.Endpoint(), raw.Messages())
		}
		if list, ok := p.(splittable); ok && len(list.Targets()) > 1 {
			equal(t, string(kind)+": targets as a raw call", Targets(raw.Payload), list.Targets())
		}
	}
}
