package admin

import (
	"bytes"
	"encoding/json"
	"reflect"

	"github.com/imqueue/emq/tasks"
)

// hidden is what a secret reads where a payload is shown; see tasks.Redact.
const hidden = "[hidden]"

// unhide puts secrets back where an edited payload has them hidden, as they were shown: a
// password that reads "[hidden]" would be set in earnest. One that can't be told to be
// which of the old payload's is refused, with a *tasks.FieldError.
func unhide(edited, old json.RawMessage) (json.RawMessage, error) {
	if !bytes.Contains(edited, []byte(hidden)) {
		return edited, nil
	}
	var now, before any
	if decodeNumbers(edited, &now) != nil || decodeNumbers(old, &before) != nil {
		return edited, nil // to edit says what is wrong with it
	}
	if field := restore(now, before); field != "" {
		return nil, &tasks.FieldError{Field: "payload." + field, Bound: "is hidden, and it can't be told which one it was: write it out"}
	}
	return json.Marshal(now)
}

// restore puts back what is hidden in edited, and returns the name of what can't be; ""
// when all is.
func restore(edited, old any) (field string) {
	switch edited := edited.(type) {
	case map[string]any:
		before, _ := old.(map[string]any)
		for key, value := range edited {
			if value != hidden {
				if field := restore(value, before[key]); field != "" {
					return field
				}
				continue
			}
			secret, ok := before[key].(string)
			if !ok {
				return key
			}
			edited[key] = secret
		}
	case []any:
		before, _ := old.([]any)
		for _, value := range edited {
			if field := restore(value, sameItem(value, before)); field != "" {
				return field
			}
		}
	}
	return ""
}

// sameItem finds the item that was shown like this one: items may have been moved, or taken
// out.
func sameItem(shown any, before []any) any {
	for _, candidate := range before {
		raw, err := json.Marshal(candidate)
		var like any
		if err == nil && decodeNumbers(tasks.Redact(raw), &like) == nil && reflect.DeepEqual(like, shown) {
			return candidate
		}
	}
	return nil
}

// decodeNumbers keeps numbers as they are written.
func decodeNumbers(raw json.RawMessage, into any) error {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	return dec.Decode(into)
}
