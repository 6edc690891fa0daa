package errclass

import (
	"bytes"
	"encoding/json"
	"html"
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
	FreshToken bool // the answer is to a token fetched after an earlier 401 in this attempt
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

// wireBody holds the places where Easemob's services put error word and text.
// Most send error and error_description; the user-attribute service sends desc
// alone; gateways in front of newer services send error and message; newer
// message bodies add a number in error_code.
type wireBody struct {
	Error       looseText `json:"error"`
	ErrorCode   looseText `json:"error_code"`
	Description looseText `json:"error_description"`
	Desc        looseText `json:"desc"`
	Message     looseText `json:"message"`
	Msg         looseText `json:"msg"`
}

func (w wireBody) answer() answer {
	a := answer{form: BodyObject, err: clip(string(w.Error), ErrorMax)}
	if a.err == "-" {
		a.err = ""
	}
	if a.err == "" && w.ErrorCode != "0" {
		a.err = clip(string(w.ErrorCode), ErrorMax)
	}
	for _, text := range []looseText{w.Description, w.Desc, w.Message, w.Msg} {
		if d := clip(redact(string(text)), DescriptionMax); d != "" {
			a.description = d
			break
		}
	}
	return a
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
// description ends with it. An error that is a sentence of its own is also the
// description when there is none.
func (a answer) haystack() string {
	word := canonical(a.err)
	description := a.description
	if description == "" && strings.Contains(a.err, " ") {
		description = a.err
	}
	if description == "" {
		return word + ":"
	}
	return word + ": " + dropBrackets(fold(description))
}
