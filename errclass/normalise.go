package errclass

import (
	"strings"
	"unicode"
)

// NormalisedMax bounds what Normalise returns, in bytes.
const NormalisedMax = 256

// normaliseMax bounds what Normalise reads of a description.
const normaliseMax = 2 * DescriptionMax

// hole stands for what differs between two occurrences of one fault.
const hole = "*"

// Normalise takes out of a description what differs from one occurrence of a
// fault to the next: ids, names, numbers, quoted texts, lists in brackets, URLs,
// app keys. The rest, in lower case with single spaces, is the same for all of
// them, so dead letters can be grouped by it:
//
//	users [u1, u2] are not members of this group!  ->  users * are not members of this group
//	user: u1 already in group: 4065                ->  user: * already in group: *
//
// Names are told from words by where they stand, so the grouping is a good guess
// and no more. Normalise is idempotent; its result is valid UTF-8 of at most
// NormalisedMax bytes, and empty only when nothing but punctuation was given.
func Normalise(description string) string {
	if len(description) > normaliseMax {
		description = description[:normaliseMax]
	}
	s := unquote(fold(description))
	s = blankSpans(s)
	return join(blankWords(split(s)))
}

// unquote takes off quotes that enclose the whole text, as copied from a page.
func unquote(s string) string {
	for len(s) >= 2 && s[0] == '"' && s[len(s)-1] == '"' && !strings.Contains(s[1:len(s)-1], `"`) {
		s = strings.TrimSpace(s[1 : len(s)-1])
	}
	return s
}

// blankSpans replaces what is enclosed: [..], {..}, <..>, "..", '..'. An opening
// sign without its partner becomes a space, but a bracket's list goes to the end
// (the description was cut).
func blankSpans(s string) string {
	if !strings.ContainsAny(s, `[]{}<>"'`) {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	for i := 0; i < len(s); {
		c := s[i]
		end := -1 // of the span, including its closing sign
		switch c {
		case '[', '{':
			end = len(s)
			if at := strings.IndexByte(s[i:], c+2); at > 0 { // ']' and '}' stand two places on
				end = i + at + 1
			}
		case '<':
			if at := strings.IndexByte(s[i:], '>'); at > 0 {
				end = i + at + 1
			}
		case '"':
			if at := strings.IndexByte(s[i+1:], '"'); at >= 0 {
				end = i + 1 + at + 1
			}
		case '\'':
			end = closingQuote(s, i)
			if end < 0 && insideWord(s, i) {
				b.WriteByte(c) // an apostrophe
				i++
				continue
			}
		case ']', '}', '>':
		default:
			b.WriteByte(c)
			i++
			continue
		}
		if end < 0 {
			b.WriteByte(' ')
			i++
			continue
		}
		b.WriteString(" " + hole + " ")
		i = end
	}
	return b.String()
}

// closingQuote finds the end of a span in single quotes that opens at i, or -1.
// An apostrophe inside a word neither opens nor closes one.
func closingQuote(s string, i int) int {
	if i > 0 && wordByte(s[i-1]) {
		return -1
	}
	for j := i + 1; j < len(s); j++ {
		if s[j] == '\'' && (j+1 == len(s) || !wordByte(s[j+1])) {
			return j + 1
		}
	}
	return -1
}

func insideWord(s string, i int) bool {
	return i > 0 && i+1 < len(s) && wordByte(s[i-1]) && wordByte(s[i+1])
}

func wordByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '_' || c >= 0x80
}

// marks are the signs that end a word and are words of their own.
const marks = ",:;!?="

func isMark(word string) bool {
	return len(word) == 1 && strings.IndexByte(marks+".", word[0]) >= 0
}

// split cuts a text into words and marks. A colon stays inside a URL, and a
// full stop is a mark only at the end of a word.
func split(s string) []string {
	var words []string
	parenthesis := func(r rune) bool { return unicode.IsSpace(r) || r == '(' || r == ')' }
	for _, field := range strings.FieldsFunc(s, parenthesis) {
		if strings.Contains(field, "://") {
			words = append(words, hole)
			continue
		}
		for field != "" {
			at := strings.IndexAny(field, marks)
			if at == 0 {
				words = append(words, field[:1])
				field = field[1:]
				continue
			}
			word := field
			if at > 0 {
				word = field[:at]
			}
			field = field[len(word):]
			if bare := strings.TrimRight(word, "."); bare != "" {
				words = append(words, bare)
			}
			if strings.HasSuffix(word, ".") {
				words = append(words, ".")
			}
		}
	}
	return words
}

// blankWords replaces ids, names and numbers, going by the word itself and by
// the words around it.
func blankWords(words []string) []string {
	// A group's name may be any text: "<name> is violation, please change it".
	for i := 1; i+1 < len(words); i++ {
		if words[i] == "is" && words[i+1] == "violation" && words[i-1] != "announcement" {
			words = append([]string{hole}, words[i:]...)
			break
		}
	}
	out := make([]string, 0, len(words))
	for i, word := range words {
		next := ""
		if i+1 < len(words) {
			next = words[i+1]
		}
		if variable(word) || named(out, word, next) {
			word = hole
		}
		n := len(out)
		switch {
		case isMark(word) && n > 0 && out[n-1] == word:
			continue
		case word != hole:
		case n > 0 && out[n-1] == hole:
			continue
		case n > 1 && out[n-1] == "," && out[n-2] == hole:
			out = out[:n-1] // a list of names is one hole
			continue
		}
		out = append(out, word)
	}
	return out
}

// variable tells an id or number by its letters alone.
func variable(word string) bool {
	return strings.Contains(word, hole) ||
		strings.ContainsAny(word, "@#") && len(word) > 1 ||
		strings.HasPrefix(word, "/") || strings.Count(word, "/") > 1 ||
		strings.ContainsFunc(word, unicode.IsDigit)
}

// named tells a name by the words before and after it.
func named(before []string, word, next string) bool {
	if isMark(word) || common(word) {
		return false
	}
	last := func(n int) string {
		if len(before) < n {
			return ""
		}
		return before[len(before)-n]
	}
	switch last(1) {
	case ":": // "user: zhang", "group:abc"
		switch last(2) {
		case "user", "users", "username", "member", "owner", "group", "grpid", "chatroom", "appkey", "uri", "url", "time", "applicant":
			return true
		}
	case "grpid": // "grpID abc does not exist"
		return true
	case "for": // "could not find application for acme/shop"
		return strings.Contains(word, "/")
	case "of": // "value of zhang exists"
		return last(2) == "value"
	case "user", "users", "username", "member", "group", "chatroom", "room", "owner", "id", "application", "the":
		return follows(next) // "user zhang has joined", but not "user contact number"
	}
	return false
}

// follows: the verbs and joints that come after a name.
func follows(word string) bool {
	switch word {
	case "has", "have", "is", "are", "was", "not", "doesn't", "does", "don't", "already", "exist", "exists", "entity", "in":
		return true
	}
	return false
}

// common: words that stand where a name could and are none.
func common(word string) bool {
	switch word {
	case "a", "an", "and", "at", "by", "can", "can't", "cannot", "for", "from", "must", "need", "needs", "of", "on", "or", "should", "the", "this", "to", "with",
		"announcement", "app", "application", "appkey", "body", "chatroom", "count", "field", "file", "group", "grpid", "id", "ids", "member", "members",
		"message", "msg", "name", "number", "operation", "owner", "param", "request", "room", "size", "tag", "thread", "token", "user", "username", "usernames", "users":
		return true
	}
	return follows(word)
}

// join writes words with single spaces and marks close to what they follow,
// within NormalisedMax and without punctuation at the end.
func join(words []string) string {
	var b strings.Builder
	for _, word := range words {
		space := b.Len() > 0 && (!isMark(word) || word == "=")
		size := len(word)
		if space {
			size++
		}
		if b.Len()+size > NormalisedMax {
			break
		}
		if space {
			b.WriteByte(' ')
		}
		b.WriteString(word)
	}
	return strings.TrimRight(b.String(), " "+marks+".")
}
