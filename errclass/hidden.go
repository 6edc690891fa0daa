package errclass

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Error words that no server sends: what a 2xx hides is judged by the same table,
// with these words where the answer has none of its own.
const (
	// wordRefused stands before a reason that no row knows.
	wordRefused = "refused_in_answer"
	// wordNoReason: refused without a reason.
	wordNoReason = "refused_without_reason"
	// wordNoReasonAmong: the same, while other targets of the call succeeded.
	wordNoReasonAmong = "refused_among_others"
	// wordUnanswered: a send that names no message for this target.
	wordUnanswered = "target_unanswered"
)

// A refusal is one target that an answer says it has not served.
type refusal struct {
	target string
	word   string // an error word; "" when the reason is the server's text
	reason string
}

// uncover reads what a success hides. v is the verdict on the call as a whole.
func (t *Table) uncover(e *Evidence, a answer, v Verdict) Verdict {
	refusals := hidden(e, a)
	var failed []Failure
	for _, r := range refusals {
		if f := t.failure(e, r); f.Class != ClassSuccess {
			failed = append(failed, f)
		}
	}
	if len(failed) == 0 {
		return v
	}
	top := slices.MaxFunc(failed, func(a, b Failure) int { return cmp.Compare(a.Gravity(), b.Gravity()) })
	v = top.Verdict
	v.Description = clip(summary(failed, top), DescriptionMax)
	v.Failed = failed
	return v
}

// failure judges one refusal by its words alone: the status is a success, and
// says nothing.
func (t *Table) failure(e *Evidence, r refusal) Failure {
	alone := Evidence{Kind: e.Kind, Attempt: e.Attempt, Written: true}
	a := answer{form: BodyObject, err: r.word, description: clip(redact(r.reason), DescriptionMax)}
	if a.err == "" && !strings.Contains(a.description, " ") {
		a.err = clip(a.description, ErrorMax) // a reason may be an error word
	}
	v := t.judge(&alone, a)
	if v.Rule == RuleUnknown && r.word != wordRefused {
		a.err = wordRefused
		v = t.judge(&alone, a)
	}
	v.Status, v.Error = e.Status, ""
	if v.Delay == DelayToken { // the call as a whole was let in
		v.Delay = DelayBackoff
	}
	for _, target := range e.Targets {
		if strings.EqualFold(target, r.target) {
			r.target = target
			break
		}
	}
	return Failure{Target: clip(r.target, ErrorMax), Reason: a.description, Verdict: v}
}

// Gravity orders verdicts by how much they ask of a person: 0 for a success, more
// for each class, most for a fault of the whole app.
func (v Verdict) Gravity() int {
	switch {
	case v.Scope == ScopeApp:
		return 4
	case v.Class == ClassNeedsHuman:
		return 3
	case v.Class == ClassPermanent:
		return 2
	case v.Class == ClassRetryable:
		return 1
	}
	return 0
}

// namesShown is how many targets a summary names.
const namesShown = 5

// summary is made to be grouped by Normalise: names stand in brackets.
func summary(failed []Failure, top Failure) string {
	reason := cmp.Or(top.Reason, "no reason given")
	var shown []string
	for _, f := range failed {
		if f.Target != "" && len(shown) < namesShown {
			shown = append(shown, f.Target)
		}
	}
	if len(shown) == 0 {
		return "refused inside a success: " + reason
	}
	more := ""
	if len(failed) > len(shown) {
		more = ", …"
	}
	return fmt.Sprintf("%d refused inside a success [%s%s]: %s", len(failed), strings.Join(shown, ", "), more, reason)
}

// hidden reads the refusals inside a 2xx by the shapes that Easemob documents or
// was seen to send. Everything else in data is left alone: most answers of a
// success carry booleans and texts that are no verdicts (is_joined, mute,
// disabled, public), and taking one of them for a failure would repeat a call
// that was carried out.
//
//	data[] and data         {user, result: false, reason?}; "success" alike; admins' "result" is a text
//	data[]                  {username, registerUserFailReason}
//	data                    lists named ...Failed: {success, NotExistFailed, maxLimitFailed, UnKnowFailed}, "updateMetadataFailed:"
//	data                    {successKeys, errorKeys: {key: reason}}
//	data                    {field: false} for an update of a group or room and a transfer of its owner
//	data, data[], deeper    recalled: text
//	data[]                  "group id doesn't exist" among groups
//	data                    {target: message id}, when the targets of a send are known
//
// Two answers are not read because they say nothing of the kind: newmembers of an
// addition leaves out those who were members already, and users' attributes have
// whatever keys the app gave them.
func hidden(e *Evidence, a answer) []refusal {
	data := bytes.TrimSpace(a.data)
	if len(data) == 0 || data[0] != '{' && data[0] != '[' {
		return nil
	}
	if e.Kind == "message.send" {
		return unanswered(data, e.Targets)
	}
	if e.Kind == "user.set_attributes" || !suspicious(data) {
		return nil
	}
	uri, action := strings.ToLower(textOf(a.uri)), strings.ToLower(textOf(a.action))
	if strings.Contains(uri, "/metadata/user/") {
		return nil
	}
	h := reading{kind: e.Kind, targets: e.Targets}
	known := e.Kind != "" && e.Kind != "call.raw"
	h.read = !known && action == "get"
	h.attributes = strings.Contains(uri, "/metadata/")
	h.recall = e.Kind == "message.recall" || !known && (uri == "" || strings.Contains(uri, "recall"))
	// The answer to a raw call is one to an update only when it says so itself:
	// a PUT on the very group or room, with nothing but booleans.
	h.fields = strings.HasSuffix(e.Kind, ".update") || strings.HasSuffix(e.Kind, ".transfer_owner") ||
		!known && action == "put" && groupItself(uri) && onlyBools(data)
	if data[0] == '[' {
		h.list(data)
	} else {
		h.object(data)
	}
	for i, r := range h.refusals {
		if r.word == wordNoReason && h.served {
			h.refusals[i].word = wordNoReasonAmong
		}
	}
	return h.refusals
}

// suspicious spares the decoding of nearly all answers.
func suspicious(data []byte) bool {
	for _, mark := range []string{"false", "ail", "ecalled", "rrorKeys", `"error`, "id doesn", "result", "success"} {
		if bytes.Contains(data, []byte(mark)) {
			return true
		}
	}
	return false
}

// A reading collects the refusals of one answer.
type reading struct {
	kind    string
	targets []string

	read       bool // the answer to a GET: result is what was asked for, no outcome
	attributes bool // keys are an app's own
	recall     bool
	fields     bool

	refusals []refusal
	served   bool // a target was served
}

func (h *reading) refuse(target, word, reason string) {
	h.refusals = append(h.refusals, refusal{target, word, strings.TrimSpace(reason)})
}

// outcome notes what is said of one target.
func (h *reading) outcome(target string, raw json.RawMessage, reason string) {
	served, text := verdictOf(raw)
	switch {
	case served:
		h.served = true
	case reason != "":
		h.refuse(target, "", reason)
	case text != "":
		h.refuse(target, "", text)
	default:
		h.refuse(target, wordNoReason, "")
	}
}

func (h *reading) list(data []byte) {
	var items []json.RawMessage
	if json.Unmarshal(data, &items) != nil {
		return
	}
	for _, item := range items {
		switch item[0] {
		case '{':
			h.entry(item, "")
		case '"':
			if text := textOf(item); groupUnknown(text) {
				h.refuse("", "", text)
			}
		}
	}
}

// entry reads an object that speaks of one target; name is what the answer calls
// it by when the object itself does not.
func (h *reading) entry(item []byte, name string) {
	var result, recalled json.RawMessage
	var reason, failure string
	for _, m := range membersOf(item) {
		switch m.word {
		case "user", "username", "user_name", "member", "newadmin", "oldadmin", "msg_id", "groupid", "group_id", "id", "chatroomid":
			// The first that is given: users stand before the group in each answer,
			// but a group or room only counts when there is no user.
			if text := textOf(m.value); name == "" || nameRank(m.word) > 0 && !slices.Contains(h.targets, name) {
				name = cmp.Or(text, name)
			}
		case "register_user_fail_reason":
			failure = textOf(m.value)
		case "reason", "fail_reason", "error_description", "desc", "message", "msg":
			reason = cmp.Or(reason, textOf(m.value))
		case "error":
			reason = cmp.Or(reason, textOf(m.value))
			if result == nil && reason != "" {
				failure = reason
			}
		case "result", "success":
			if result == nil && (m.value[0] == '"' || m.value[0] == 't' || m.value[0] == 'f') {
				result = m.value
			}
		case "recalled":
			recalled = m.value
		}
	}
	switch {
	case h.attributes:
	case recalled != nil && h.recall:
		h.outcome(name, recalled, "")
	case result != nil && !h.read:
		h.outcome(name, result, reason)
	case failure != "":
		h.refuse(name, "", failure)
	}
}

func nameRank(word string) int {
	switch word {
	case "groupid", "group_id", "id", "chatroomid":
		return 0
	}
	return 1
}

// object reads a data that is one object: about one target, or lists of targets
// by outcome.
func (h *reading) object(data []byte) {
	members := membersOf(data)
	single := true
	for _, m := range members {
		kind := m.value[0]
		word := strings.TrimRight(m.word, "_")
		switch {
		case word == "error_keys" && kind == '{':
			single = false
			for _, k := range membersOf(m.value) {
				h.listed(k.key, "", k.value)
			}
		case word == "success_keys" || word == "update_metadata_succeeded":
			h.served = h.served || len(m.value) > len("[]")
		case (strings.HasSuffix(word, "_failed") || strings.HasSuffix(word, "_fail")) && (kind == '{' || kind == '['):
			single = false
			h.failed(word, m.value)
		case h.recall && kind == '{':
			h.entry(m.value, m.key)
		case h.recall && kind == '[':
			h.list(m.value)
		case h.fields && (kind == 't' || kind == 'f') && word != "result" && word != "success":
			if len(h.targets) == 0 || containsFold(h.targets, m.key) {
				h.outcome(m.key, m.value, "")
			}
		}
	}
	if single {
		h.entry(data, "")
	}
	if strings.HasSuffix(h.kind, ".transfer_owner") {
		for i := range h.refusals {
			h.refusals[i].target = "" // newowner is not a target of several, but the call
		}
	}
}

// failed reads a list of those that were refused for the reason that the list's
// name gives: names, objects, or a map of names to reasons.
func (h *reading) failed(word string, raw json.RawMessage) {
	if raw[0] == '{' {
		for _, m := range membersOf(raw) {
			h.listed(m.key, word, m.value)
		}
		return
	}
	var items []json.RawMessage
	if json.Unmarshal(raw, &items) != nil {
		return
	}
	for _, item := range items {
		if item[0] != '{' {
			h.refuse(textOf(item), word, "")
			continue
		}
		var name, reason string
		for _, m := range membersOf(item) {
			switch {
			case m.word == "reason" || m.word == "error" || m.word == "desc" || m.word == "message":
				reason = textOf(m.value)
			case name == "":
				name = textOf(m.value)
			}
		}
		h.refuse(name, word, reason)
	}
}

// listed notes a name with its reason; word is the list's.
func (h *reading) listed(name, word string, value json.RawMessage) {
	reason := textOf(value)
	switch {
	case reason != "":
		h.refuse(name, "", reason)
	case word != "":
		h.refuse(name, word, "")
	default:
		h.refuse(name, wordNoReason, "")
	}
}

// unanswered finds targets of a send that the answer gives no message ID for.
// The docs promise one entry for each. When none of the targets is there, the
// answer is keyed by something else, and nothing can be said.
func unanswered(data []byte, targets []string) []refusal {
	if len(targets) == 0 || data[0] != '{' {
		return nil
	}
	var ids map[string]json.RawMessage
	if json.Unmarshal(data, &ids) != nil {
		return nil
	}
	byName := make(map[string]json.RawMessage, len(ids))
	for name, id := range ids {
		byName[strings.ToLower(name)] = id
	}
	var refusals []refusal
	found := false
	for _, target := range targets {
		id, ok := byName[strings.ToLower(target)]
		found = found || ok
		switch text := strings.TrimSpace(textOf(id)); {
		case ok && (id[0] == '{' || id[0] == '['): // newer forms may tell more than the ID
		case text == "" || isNo(text):
			refusals = append(refusals, refusal{target, wordUnanswered, ""})
		case strings.ContainsAny(text, " \t"):
			refusals = append(refusals, refusal{target, "", text})
		}
	}
	if !found {
		return nil
	}
	return refusals
}

// A member is one member of a JSON object, in the order of the text.
type member struct {
	key, word string // as sent, and in canonical form
	value     json.RawMessage
}

func membersOf(object []byte) []member {
	dec := json.NewDecoder(bytes.NewReader(object))
	if _, err := dec.Token(); err != nil {
		return nil
	}
	var members []member
	for dec.More() {
		key, err := dec.Token()
		name, ok := key.(string)
		if err != nil || !ok {
			break
		}
		m := member{key: name, word: canonical(name)}
		if dec.Decode(&m.value) != nil || len(m.value) == 0 {
			break
		}
		members = append(members, m)
	}
	return members
}

// textOf is the text of a string, number or boolean; nothing for the rest.
func textOf(raw json.RawMessage) string {
	if len(raw) == 0 || raw[0] == '{' || raw[0] == '[' {
		return ""
	}
	var t looseText
	_ = t.UnmarshalJSON(raw) // never fails
	return string(t)
}

// verdictOf reads what stands for an outcome: a boolean, or a text. A text that
// is a sentence is a reason; a word that is not known to mean no means yes.
func verdictOf(raw json.RawMessage) (served bool, reason string) {
	text := strings.TrimSpace(textOf(raw))
	switch {
	case isNo(text):
		return false, ""
	case strings.ContainsAny(text, " _"):
		return false, text
	}
	return true, ""
}

func isNo(text string) bool {
	switch strings.ToLower(text) {
	case "false", "no", "fail", "failed", "failure", "error":
		return true
	}
	return false
}

func groupUnknown(text string) bool {
	text = fold(text)
	return strings.Contains(text, "group id") && strings.Contains(text, "exist")
}

// groupItself reports whether a URI ends in one group or room.
func groupItself(uri string) bool {
	uri, _, _ = strings.Cut(uri, "?")
	parts := strings.Split(strings.TrimRight(uri, "/"), "/")
	n := len(parts)
	return n >= 2 && parts[n-1] != "" && (parts[n-2] == "chatgroups" || parts[n-2] == "chatrooms")
}

func onlyBools(data []byte) bool {
	for _, m := range membersOf(data) {
		if m.value[0] != 't' && m.value[0] != 'f' {
			return false
		}
	}
	return true
}

func containsFold(list []string, s string) bool {
	return slices.ContainsFunc(list, func(have string) bool { return strings.EqualFold(have, s) })
}
