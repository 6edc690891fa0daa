package errclass

import (
	"bytes"
	"encoding/json"
	"html"
	"slices"
	"strconv"
	"strings"
)

// Evidence is what is known of one attempt.
type Evidence struct {
	Kind    string // what the call does, e.g. "group.add_members"; "" when not known
	Attempt int    // 1 is the first; no builtin rule looks at it
	Status  int    // HTTP status; 0 when no answer came, or when it is not known
	Body    []byte // the answer's body, whatever it is
	// Transport is how the call failed, or TransportNone when an answer was
	// read. A value that is none of Transports counts as TransportOther.
	Transport  Transport
	Written    bool // the request had been written, at least in part
	FreshToken bool // a 401 to the latest token, after several fresh ones were refused in this attempt
	// Targets are those that the call was for, each done or not by itself: user
	// IDs, groups or rooms of a message, fields of an update. Empty when they are
	// not known or the call is about one thing only. Classify does not change them.
	Targets []string
}

// Bounds of what a verdict carries and of what is looked at.
const (
	ErrorMax       = 128     // bytes of Verdict.Error
	DescriptionMax = 1 << 10 // bytes of Verdict.Description

	bodyMax = 256 << 10 // a longer body is judged by its first byte and not decoded
	textMax = 4 << 10   // so much of a body that is no JSON is read as text
)

// An answer is the body of a response, read as far as rules care.
type answer struct {
	form        BodyForm
	err         string // the error word
	description string // the text beside it
	complains   bool   // there is no error word, and yet it is the body of an error

	// For reading a success. uri is the path where there is none.
	data, action, uri json.RawMessage
}

// read never fails: what can't be read as an object is BodyOther with its text
// as description.
func read(body []byte) answer {
	body = bytes.TrimSpace(bytes.TrimPrefix(body, []byte("\xEF\xBB\xBF")))
	if len(body) == 0 {
		return answer{form: BodyEmpty}
	}
	if body[0] == '{' {
		if len(body) > bodyMax {
			return answer{form: BodyObject}
		}
		var w wireBody
		if json.Unmarshal(body, &w) == nil {
			return w.answer()
		}
	}
	return answer{form: BodyOther, description: clip(redact(plain(body)), DescriptionMax)}
}

// readCut reads an error whose JSON ends too early, as far as it goes: a proxy or a
// gateway cut it. A success is not read so, because what is missing may tell of a
// failure.
func readCut(body []byte) (a answer, ok bool) {
	body = bytes.TrimSpace(body)
	if len(body) == 0 || len(body) > bodyMax || body[0] != '{' {
		return answer{}, false
	}
	for _, whole := range [][]byte{
		slices.Concat(body, []byte(`"}`)), // cut in a text
		slices.Concat(body[:max(0, bytes.LastIndexByte(body, ','))], []byte("}")),
	} {
		var w wireBody
		if json.Unmarshal(whole, &w) == nil && w.Error != "" {
			return w.answer(), true
		}
	}
	return answer{}, false
}

// wireBody holds the places where Easemob's services, and what stands in front of
// them, put error word and text. Most send error and error_description; the
// user-attribute service sends desc alone; gateways and newer services send
// message or msg, with the word in code; newer message bodies add a number in
// error_code.
type wireBody struct {
	Error       looseText `json:"error"`
	ErrorCode   looseText `json:"error_code"`
	ErrorCode2  looseText `json:"errorCode"`
	Code        looseText `json:"code"`
	Status      looseText `json:"status"`
	Description looseText `json:"error_description"`
	Desc        looseText `json:"desc"`
	Message     looseText `json:"message"`
	Msg         looseText `json:"msg"`
	ErrorMsg    looseText `json:"error_msg"`
	ErrorMsg2   looseText `json:"errorMsg"`
	ErrMsg      looseText `json:"errmsg"`
	Detail      looseText `json:"detail"`
	Reason      looseText `json:"reason"`
	Title       looseText `json:"title"`

	Success  json.RawMessage `json:"success"`
	Data     json.RawMessage `json:"data"`
	Entities json.RawMessage `json:"entities"`
	Msgs     json.RawMessage `json:"msgs"` // in place of data, in old answers to a recall of several messages
	Action   json.RawMessage `json:"action"`
	URI      json.RawMessage `json:"uri"`
	Path     json.RawMessage `json:"path"`
}

func (w wireBody) answer() answer {
	// {"error": {"code": ..., "message": ...}}
	if inner := string(w.Error); strings.HasPrefix(inner, "{") && w.Description == "" {
		var nested wireBody
		if json.Unmarshal([]byte(inner), &nested) == nil {
			if a := nested.answer(); a.err != "" || a.description != "" {
				a.data, a.complains = w.Data, a.complains || a.err == ""
				return a
			}
		}
	}
	a := answer{form: BodyObject, err: clip(string(w.Error), ErrorMax)}
	if a.err == "-" || a.err == "0" || isYes(a.err) && a.err != "true" || a.err == "false" {
		a.err = ""
	}
	texts := []looseText{w.Description, w.Desc, w.Message, w.Msg, w.ErrorMsg, w.ErrorMsg2, w.ErrMsg, w.Detail, w.Reason, w.Title}
	for _, text := range texts {
		if d := clip(redact(string(text)), DescriptionMax); d != "" {
			a.description = d
			break
		}
	}
	for _, code := range []looseText{w.ErrorCode, w.ErrorCode2} {
		if a.err == "" && code != "0" {
			a.err = clip(string(code), ErrorMax)
		}
	}
	served := len(w.Data) > 0 || len(w.Entities) > 0
	failing := failingCode(w.Code) || failingCode(w.Status) || string(w.Success) == "false"
	if a.err == "" && failing {
		a.err = clip(word(w.Code), ErrorMax)
	}
	a.complains = w.Description != "" && !isYes(string(w.Description)) || !served && a.description != "" && (w.Desc != "" && !isYes(string(w.Desc)) || failing)
	a.data, a.action, a.uri = w.Data, w.Action, w.URI
	if a.data == nil {
		a.data = w.Msgs
	}
	if a.uri == nil {
		a.uri = w.Path
	}
	return a
}

// failingCode: a number from 400 on, or a word that does not say that all is well.
func failingCode(code looseText) bool {
	n, err := strconv.Atoi(string(code))
	if err != nil {
		return code != "" && !isYes(string(code))
	}
	return n >= 400
}

// word is a code that is a word, and no status.
func word(code looseText) string {
	if _, err := strconv.Atoi(string(code)); err == nil {
		return ""
	}
	return string(code)
}

func isYes(text string) bool {
	switch strings.ToLower(strings.TrimSpace(text)) {
	case "ok", "success", "succeed", "succeeded", "successful", "true", "yes":
		return true
	}
	return false
}

// looseText takes any JSON value as text, so that a number or an object where a
// string is usual does not make the rest of the body unreadable.
type looseText string

// UnmarshalJSON never returns an error.
func (t *looseText) UnmarshalJSON(raw []byte) error {
	var s string
	switch {
	case string(raw) == "null":
	case raw[0] == '"' && json.Unmarshal(raw, &s) == nil:
		*t = looseText(s)
	default:
		*t = looseText(raw)
	}
	return nil
}

// plain is the readable text of a body that is no JSON object: the start of it,
// without markup.
func plain(body []byte) string {
	if len(body) > textMax {
		body = body[:textMax]
	}
	s := strings.ToValidUTF8(string(body), "")
	if !strings.HasPrefix(s, "<") {
		return s
	}
	var b strings.Builder
	for s != "" {
		open := strings.IndexByte(s, '<')
		if open < 0 {
			b.WriteString(s)
			break
		}
		b.WriteString(s[:open])
		b.WriteByte(' ')
		s = s[open:]
		skip := ">"
		switch {
		case hasPrefixFold(s, "<script"):
			skip = "</script>"
		case hasPrefixFold(s, "<style"):
			skip = "</style>"
		case strings.HasPrefix(s, "<!--"):
			skip = "-->"
		}
		end := strings.Index(s, skip)
		if end < 0 {
			break
		}
		s = s[end+len(skip):]
	}
	return strings.Join(strings.Fields(html.UnescapeString(b.String())), " ")
}

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}

// redact cuts secrets that a server repeats: two of Easemob's texts are known to
// carry them. A batch registration that names a user twice is answered with both
// passwords, and a JSON parser's complaint may quote the request.
func redact(s string) string {
	const hidden = "[hidden]"
	s = cutAfter(s, "passwords are", hidden)
	s = cutAfter(s, "[Source: (String)", hidden+"]")
	return s
}

func cutAfter(s, mark, instead string) string {
	for i := 0; i+len(mark) <= len(s); i++ {
		if s[i]|0x20 != mark[0]|0x20 || !strings.EqualFold(s[i:i+len(mark)], mark) {
			continue
		}
		return s[:i+len(mark)] + " " + instead
	}
	return s
}

// haystack is what fragments are matched against: "error: description", both in
// plain form. An answer without an error word starts with ":", one without a
// description ends with it. An error that is a sentence of its own, in words or
// in snake case, is also the description when there is none. The builtin rows
// are asked with names taken out of the sentences, too (anonymous); an operator's
// own fragment may be about a name or a code.
func (a answer) haystack(anonymous bool) string {
	word := canonical(a.err)
	description := a.description
	switch {
	case description == "" && strings.Contains(a.err, " "):
		description = a.err
	case description == "" && strings.Count(word, "_") > 1:
		description = word
	}
	if description == "" {
		return word + ":"
	}
	text := phrase(dropBrackets(fold(description)))
	if anonymous {
		text = dropNames(text)
	}
	return word + ": " + text
}
