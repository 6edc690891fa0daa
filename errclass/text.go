package errclass

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// fold brings a text into the form that rules are matched against: lower case,
// straight quotes, half-width forms, single spaces, no control or zero-width
// characters, valid UTF-8, trimmed. Folding twice changes nothing.
func fold(s string) string {
	var b strings.Builder
	b.Grow(len(s))
	space := false
	for _, r := range s {
		r = plainRune(r)
		switch {
		case r == utf8.RuneError || unicode.Is(unicode.Cf, r):
			continue
		case unicode.IsSpace(r) || unicode.IsControl(r):
			space = b.Len() > 0
			continue
		}
		if space {
			b.WriteByte(' ')
			space = false
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

// plainRune maps typographic and full-width characters to their ASCII kin: the
// vendor's pages print curly quotes and full-width colons where the servers may
// send plain ones.
func plainRune(r rune) rune {
	switch {
	case r < 0x80:
		return r
	case r >= 0xFF01 && r <= 0xFF5E:
		return r - 0xFEE0
	}
	switch r {
	case '‘', '’', '‚', '‛', '′', '´':
		return '\''
	case '“', '”', '„', '‟', '″', '«', '»':
		return '"'
	case '–', '—', '−':
		return '-'
	case '。':
		return '.'
	case '、':
		return ','
	case '【':
		return '['
	case '】':
		return ']'
	}
	return r
}

// dropBrackets empties every [list] of a folded text: lists hold names, and a
// name must not be able to pose as a fragment of a message.
func dropBrackets(s string) string {
	if !strings.Contains(s, "[") {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	for {
		open := strings.IndexByte(s, '[')
		if open < 0 {
			break
		}
		end := strings.IndexByte(s[open:], ']')
		if end < 0 {
			break
		}
		b.WriteString(s[:open])
		b.WriteString("[]")
		s = s[open+end+1:]
	}
	b.WriteString(s)
	return b.String()
}

// phrase brings a folded text, or a fragment, to one spelling where services differ
// in nothing else. A description that is one word in snake case becomes words.
func phrase(s string) string {
	if strings.Contains(s, "_") && !strings.Contains(s, " ") && !strings.Contains(s, ":") {
		s = strings.ReplaceAll(s, "_", " ")
	}
	return oneSpelling.Replace(s)
}

// oneSpelling also mends slips that stand in real answers ("dose not").
var oneSpelling = strings.NewReplacer(
	"can not", "cannot", "can't", "cannot", "couldn't", "could not",
	"doesn't", "does not", "doesnt", "does not", "dose not", "does not", "don't", "do not", "didn't", "did not",
	"isn't", "is not", "aren't", "are not", "wasn't", "was not", "hasn't", "has not", "haven't", "have not",
	"white list", "whitelist", "white-list", "whitelist", "allow list", "whitelist", "allow-list", "whitelist", "allowlist", "whitelist",
	"black list", "blacklist", "black-list", "blacklist", "block list", "blacklist", "block-list", "blacklist", "blocklist", "blacklist",
	"chat room", "chatroom", "user name", "username", "rate-limit", "rate limit",
	"non-existent", "not exist", "nonexistent", "not exist", "non existent", "not exist", "no longer exist", "not exist",
	"not be found", "not found", "already is ", "is already ", "already are ", "are already ",
)

// canonical brings an error word into snake case without package path and
// "exception" at its end, because one condition is spelled differently by
// different services: "BAD_REQUEST", "Bad Request" and
// "java.lang.BadRequestException" are all "bad_request".
func canonical(word string) string {
	word = strings.TrimFunc(word, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	if dot := strings.LastIndexByte(word, '.'); dot >= 0 && !strings.ContainsFunc(word, unicode.IsSpace) {
		word = word[dot+1:]
	}
	var b strings.Builder
	b.Grow(len(word) + 8)
	var before rune // the rune before r; 0 after a separator and at the start
	for i, r := range word {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			before = 0
			continue
		}
		if b.Len() > 0 && (before == 0 || unicode.IsUpper(r) && (!unicode.IsUpper(before) || lowerAt(word, i+utf8.RuneLen(r)))) {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(r))
		before = r
	}
	return strings.TrimSuffix(b.String(), "_exception")
}

func lowerAt(s string, i int) bool {
	if i >= len(s) {
		return false
	}
	r, _ := utf8.DecodeRuneInString(s[i:])
	return unicode.IsLower(r)
}

// clip makes one line of valid UTF-8 of at most limit bytes, trimmed. Control
// characters become spaces, so that nothing a server sends can move a cursor or
// break a log line.
func clip(s string, limit int) string {
	if len(s) > 4*limit {
		s = s[:4*limit]
	}
	s = strings.ToValidUTF8(s, "\uFFFD")
	s = strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, s))
	if len(s) <= limit {
		return s
	}
	cut := limit
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return strings.TrimSpace(s[:cut])
}

// A pattern is a compiled fragment: parts that must follow each other in a
// text, with anything between them, tied to its start or end when anchored.
type pattern struct {
	parts      []string
	start, end bool
}

// compile reads a fragment: "*" stands for any text, "^" at the front for the
// start, "$" at the end for the end.
func compile(fragment string) pattern {
	var p pattern
	fragment = strings.Join(strings.Fields(strings.Map(plainRune, strings.ToLower(fragment))), " ")
	fragment = oneSpelling.Replace(fragment)
	fragment, p.start = strings.CutPrefix(fragment, "^")
	fragment, p.end = strings.CutSuffix(fragment, "$")
	p.parts = strings.Split(fragment, "*")
	return p
}

func (p pattern) match(s string) bool {
	last := len(p.parts) - 1
	for i, part := range p.parts {
		if i == 0 && p.start {
			if !strings.HasPrefix(s, part) {
				return false
			}
			s = s[len(part):]
			if i == last && p.end {
				return s == ""
			}
			continue
		}
		if i == last && p.end {
			return strings.HasSuffix(s, part)
		}
		at := strings.Index(s, part)
		if at < 0 {
			return false
		}
		s = s[at+len(part):]
	}
	return true
}
