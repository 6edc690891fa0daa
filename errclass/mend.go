package errclass

import (
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// Mend is what may be done about a refused call without a person, when the call
// had several targets.
type Mend string

// The ways to mend.
const (
	// MendNone: the verdict is that of the whole call.
	MendNone Mend = ""
	// MendSplit: too much in one call. The same call for each half of the targets may be taken.
	MendSplit Mend = "split"
	// MendLeaveOut: nothing was done because of some of the targets, those in
	// Verdict.Named. The verdict is theirs; the call may be repeated without
	// them. When none is named, halves of the targets lead to them.
	MendLeaveOut Mend = "leave-out"
)

// Valid reports whether m is one of the ways, MendNone included.
func (m Mend) Valid() bool { return m == MendNone || m == MendSplit || m == MendLeaveOut }

// namesIn returns those of the targets that a description names, spelled as in
// targets and in their order. A target that is also a word of the server's
// sentences ("group", "user") counts only where a name stands: in a list, in
// quotes, or after a word such as "user".
func namesIn(description string, targets []string) []string {
	text := fold(description)
	var found []string
	for _, target := range targets {
		if name := fold(target); name != "" && names(text, name) {
			found = append(found, target)
		}
	}
	return found
}

func names(text, name string) bool {
	plain := !sentenceWords()[name]
	for at := 0; ; {
		i := strings.Index(text[at:], name)
		if i < 0 {
			return false
		}
		i += at
		end := i + len(name)
		if bounded(text, i, end) && (plain || standsAsName(text[:i])) {
			return true
		}
		at = i + 1
	}
}

// bounded reports whether text[i:end] is a whole name. User IDs may hold dots,
// but one that ends a sentence is no part of the name before it.
func bounded(text string, i, end int) bool {
	before, _ := utf8.DecodeLastRuneInString(text[:i])
	if i > 0 && nameRune(before) {
		return false
	}
	rest := strings.TrimLeft(text[end:], ".")
	after, _ := utf8.DecodeRuneInString(rest)
	return rest == "" || !nameRune(after)
}

func nameRune(r rune) bool {
	return r == '_' || r == '-' || r == '.' || unicode.IsDigit(r) || unicode.IsLetter(r) && !unicode.Is(unicode.Han, r)
}

func standsAsName(before string) bool {
	if strings.LastIndexByte(before, '[') > strings.LastIndexByte(before, ']') {
		return true
	}
	before = strings.TrimRight(before, " :")
	for _, sign := range []string{"user", "users", "username", "usernames", "member", "owner", "applicant", "value of", "'", `"`} {
		if strings.HasSuffix(before, sign) {
			return true
		}
	}
	return false
}

// sentenceWords are the words that rules look for.
var sentenceWords = sync.OnceValue(func() map[string]bool {
	words := map[string]bool{}
	for _, r := range builtinRules() {
		for _, fragment := range r.Contains {
			for _, word := range strings.FieldsFunc(fold(fragment), func(r rune) bool { return !nameRune(r) && r != '\'' }) {
				words[strings.Trim(word, ".")] = true
			}
		}
	}
	for _, word := range strings.Fields("a an and are as be been by can com easemob error exception for from has have http https id in it java " +
		"join new of on or owner please reason so that the there these this those to was we were with you your") {
		words[word] = true
	}
	return words
})
