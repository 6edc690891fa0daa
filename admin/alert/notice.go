package alert

import (
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/imqueue/emq/errclass"
)

// An Event is why something is told.
type Event string

// The events.
const (
	EventNew      Event = "new"
	EventChanged  Event = "changed"  // much more of it, or much faster
	EventReminder Event = "reminder" // it still lasts
	EventResolved Event = "resolved"
	EventTest     Event = "test"
)

// A Severity says how soon somebody should look.
type Severity string

// The severities.
const (
	SeverityCritical Severity = "critical" // calls are not made now
	SeverityWarning  Severity = "warning"
)

// A Subject is what kind of thing is told of.
type Subject string

// The subjects.
const (
	SubjectCause   Subject = "cause"   // dead letters of one cause, or of several new ones
	SubjectHold    Subject = "hold"    // an app, or a family of its calls, is held
	SubjectBacklog Subject = "backlog" // due tasks that nobody takes
	SubjectDoctor  Subject = "doctor"  // what dlq.Examine fails
	SubjectRedis   Subject = "redis"   // Redis is out of reach
	SubjectChannel Subject = "channel" // another channel failed
	SubjectTest    Subject = "test"
)

// A Notice is one alert. It is made of words that emq knows, numbers, names of apps and
// the error words of answers: it has no place for a message or a payload.
type Notice struct {
	// ID is the same for each try to send it.
	ID string `json:"id"`
	// Fingerprint is the same for all notices about one thing.
	Fingerprint string        `json:"fingerprint"`
	Event       Event         `json:"event"`
	Severity    Severity      `json:"severity"`
	Subject     Subject       `json:"subject"`
	App         string        `json:"app,omitempty"`
	Cause       string        `json:"cause,omitempty"` // ID of a cause
	Title       errclass.Text `json:"title"`
	Count       int           `json:"count,omitempty"` // dead letters, or tasks that wait
	Facts       []Fact        `json:"facts,omitempty"`
	Advice      errclass.Text `json:"advice,omitzero"`
	Command     string        `json:"command,omitempty"` // to look
	Link        string        `json:"link,omitempty"`    // to the page
	Since       time.Time     `json:"since"`
	At          time.Time     `json:"at"`
}

// A Fact is one line of a notice.
type Fact struct {
	Name  errclass.Text `json:"name"`
	Value errclass.Text `json:"value"`
}

// fact is a fact whose value is no matter of language.
func fact(en, zh, value string) Fact {
	return Fact{errclass.Text{En: en, Zh: zh}, errclass.Text{En: value}}
}

// Over says whether what the notice is about has ended.
func (n Notice) Over() bool { return n.Event == EventResolved }

var eventWords = map[Event]errclass.Text{
	EventNew:      {En: "NEW", Zh: "新告警"},
	EventChanged:  {En: "WORSE", Zh: "加剧"},
	EventReminder: {En: "STILL", Zh: "仍未解决"},
	EventResolved: {En: "RESOLVED", Zh: "已解决"},
	EventTest:     {En: "TEST", Zh: "测试"},
}

// Heading is the notice in one line, in "en" or "zh".
func (n Notice) Heading(lang string) string {
	heading := fmt.Sprintf("[emq] %s", eventWords[n.Event].In(lang))
	if n.App != "" {
		heading += " · " + n.App
	}
	return inert(heading + " · " + n.Title.In(lang))
}

// inert is a text on one line, without the characters that turn or hide others: an
// answer's word must not look like something else.
func inert(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n', r == '\t':
			return ' '
		case unicode.Is(unicode.Cc, r), unicode.Is(unicode.Cf, r):
			return -1
		}
		return r
	}, text)
}

// Details is what else the notice says, a line each, in "en" or "zh".
func (n Notice) Details(lang string) []string {
	words := func(en, zh string) string { return errclass.Text{En: en, Zh: zh}.In(lang) }
	var lines []string
	for _, f := range n.Facts {
		lines = append(lines, inert(f.Name.In(lang)+words(": ", "：")+f.Value.In(lang)))
	}
	lines = append(lines, words("since: ", "开始于：")+n.Since.UTC().Format(time.RFC3339))
	if advice := n.Advice.In(lang); advice != "" && !n.Over() {
		lines = append(lines, words("what to do: ", "处理建议：")+advice)
	}
	if n.Command != "" {
		lines = append(lines, words("look: ", "查看：")+n.Command)
	}
	if n.Link != "" {
		lines = append(lines, n.Link)
	}
	return lines
}

// Text is the whole notice as plain text of at most so many bytes, in "en" or "zh".
func (n Notice) Text(lang string, most int) string {
	return clip(n.Heading(lang)+"\n"+strings.Join(n.Details(lang), "\n"), most)
}

// clip cuts text to so many bytes, between characters.
func clip(text string, most int) string {
	const more = "…"
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most-len(more)], "") + more
}
