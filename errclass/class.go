package errclass

import (
	"slices"
	"strings"
)

// Class is what follows from an attempt.
type Class string

// The classes.
const (
	// ClassSuccess: the goal state holds, because of this call or from before. The task is done.
	ClassSuccess Class = "success"
	// ClassRetryable: time alone can cure it; the same request may succeed later.
	ClassRetryable Class = "retryable"
	// ClassPermanent: the request is wrong for the present state; unchanged it can't succeed.
	ClassPermanent Class = "permanent"
	// ClassNeedsHuman: the request is right, but a person must first change something outside it.
	ClassNeedsHuman Class = "needs-human"
)

// Classes lists all classes.
func Classes() []Class {
	return []Class{ClassSuccess, ClassRetryable, ClassPermanent, ClassNeedsHuman}
}

// Valid reports whether c is one of the classes.
func (c Class) Valid() bool { return slices.Contains(Classes(), c) }

// Scope is how far a fault reaches.
type Scope string

// The scopes.
const (
	// ScopeJob: the fault is this task's, or at most this kind's; other tasks go on.
	ScopeJob Scope = "job"
	// ScopeApp: every call of the app would meet the same fault, so the app is held.
	ScopeApp Scope = "app"
)

// Valid reports whether s is one of the scopes.
func (s Scope) Valid() bool { return s == ScopeJob || s == ScopeApp }

// Transport says how a call failed before an answer was read. The empty value
// means that an answer came.
type Transport string

// The transport failures.
const (
	TransportNone              Transport = "" // an answer came
	TransportTimeout           Transport = "timeout"
	TransportConnectionRefused Transport = "connection_refused"
	TransportConnectionReset   Transport = "connection_reset"
	TransportDNS               Transport = "dns"
	TransportTLS               Transport = "tls"
	TransportCanceled          Transport = "canceled" // the caller gave up: shutdown or a lost lease
	TransportOther             Transport = "other"
)

// Transports lists the failures, without TransportNone.
func Transports() []Transport {
	return []Transport{
		TransportTimeout, TransportConnectionRefused, TransportConnectionReset,
		TransportDNS, TransportTLS, TransportCanceled, TransportOther,
	}
}

// Valid reports whether t is TransportNone or one of Transports.
func (t Transport) Valid() bool { return t == TransportNone || slices.Contains(Transports(), t) }

// MayBeWritten reports whether a call that failed so had a connection to be written to.
func (t Transport) MayBeWritten() bool {
	switch t {
	case TransportConnectionRefused, TransportDNS, TransportTLS:
		return false
	}
	return true
}

// BodyForm is the form of an answer's body, as far as rules care.
type BodyForm string

// The forms.
const (
	BodyAny    BodyForm = ""       // in a rule: whatever the body is
	BodyObject BodyForm = "object" // a JSON object, which is all that Easemob's own services answer with
	BodyEmpty  BodyForm = "empty"  // nothing but white space
	BodyOther  BodyForm = "other"  // HTML, plain text, cut-off JSON, JSON that is no object
)

// Valid reports whether b is one of the forms, BodyAny included.
func (b BodyForm) Valid() bool {
	return slices.Contains([]BodyForm{BodyAny, BodyObject, BodyEmpty, BodyOther}, b)
}

// Text is a sentence for a person, in both languages.
type Text struct {
	En string `json:"en"`
	Zh string `json:"zh"`
}

// In returns the text in a language given as a tag or locale ("zh", "zh-CN",
// "zh_CN.UTF-8", "en"). Everything that is not Chinese gets English; where one
// language is missing, the other is returned.
func (t Text) In(lang string) string {
	zh := len(lang) >= 2 && strings.EqualFold(lang[:2], "zh") && (len(lang) == 2 || strings.ContainsAny(lang[2:3], "-_."))
	if zh && t.Zh != "" || t.En == "" {
		return t.Zh
	}
	return t.En
}
