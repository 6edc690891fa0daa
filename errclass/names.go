package errclass

import (
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// dropNames takes the names out of a folded text, and the lists that dropBrackets
// has emptied: a user called "token_3", a group called "full" or a host with
// "limit" in its name must not decide what an answer means. A name is known by its
// letters and digits ("u7", "order-8812"), by quotes around it, or by standing where
// sentences name somebody ("username NAME does not exist", "reason:user: NAME").
// "reason:user: u7 already in group: 12" becomes "reason:user already in group".
func dropNames(s string) string {
	var b strings.Builder
	b.Grow(len(s))
	var before string // the word before
	rest := strings.ReplaceAll(s, "[]", "''")
	for range 2 { // a phrase may begin with what ends the one before
		rest = quoted.ReplaceAllString(rest, "$1''$2")
	}
	for rest != "" {
		start := strings.IndexFunc(rest, tokenRune)
		if start < 0 {
			start = len(rest)
		}
		between := rest[:start]
		rest = rest[start:]
		end := strings.IndexFunc(rest, func(r rune) bool { return !tokenRune(r) })
		if end < 0 {
			end = len(rest)
		}
		token := rest[:end]
		if word := strings.TrimRight(token, "."); word != "" {
			token = word // a full stop ends the sentence
		}
		rest = rest[len(token):]
		if len(token) < len(s) && isName(token, before, between, rest) {
			b.WriteString(strings.TrimRight(between, " :'\""))
			rest = strings.TrimLeft(rest, "'\"")
			continue
		}
		b.WriteString(strings.ReplaceAll(between, "''", ""))
		b.WriteString(token)
		before = token
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

// quoted finds a phrase in quotes inside a sentence. One after a colon, or with
// one in it, is what another service has said.
var quoted = regexp.MustCompile(`([^\s:'"] ?)(?:'[^':]{1,80}'|"[^":]{1,80}")([\s,.;!)]|\p{Han}|$)`)

func tokenRune(r rune) bool { return nameRune(r) || r == '@' || r == '#' }

func isName(token, before, between, rest string) bool {
	if mixed(token) {
		return true
	}
	next := rest
	if quote := lastByte(between); (quote == '\'' || quote == '"') && strings.HasPrefix(rest, string(quote)) {
		return before != "" // a text that is nothing but a quoted word is the message
	}
	next = strings.TrimLeft(next, "'\" ")
	if first, _ := utf8.DecodeRuneInString(next); unicode.Is(unicode.Han, first) && !partOfWhom[token] {
		between = strings.TrimRight(between, "'\" :")
		return slices.ContainsFunc(namesWhomZh, func(word string) bool { return strings.HasSuffix(between, word) })
	}
	if end := strings.IndexFunc(next, func(r rune) bool { return !unicode.IsLetter(r) }); end >= 0 {
		next = next[:end]
	}
	switch strings.TrimLeft(between, " ") {
	case ":", ": ":
		return namesWhom[before] && !sentenceGoesOn[token] && (next == "" && !stateWord[token] || sentenceGoesOn[next])
	case "":
		if before == "of" { // "value of NAME exists", not "number of edits has"
			return (next == "exists" || next == "already") && !partOfWhom[token]
		}
		return namesWhom[before] && sentenceGoesOn[next] && !sentenceGoesOn[token] && !partOfWhom[token]
	}
	return false
}

// mixed reports whether a word has letters as well as digits, other than a number
// with its unit ("5kb") and a class name; or is an app key.
func mixed(token string) bool {
	if strings.Contains(strings.Trim(token, "#"), "#") {
		return true
	}
	digit := strings.IndexFunc(token, unicode.IsDigit)
	if digit < 0 || strings.HasSuffix(token, "exception") || strings.HasSuffix(token, "error") {
		return false
	}
	unit := strings.TrimLeftFunc(token, unicode.IsDigit)
	isUnit := digit == 0 && strings.IndexFunc(unit, func(r rune) bool { return !unicode.IsLetter(r) }) < 0
	return !isUnit && strings.ContainsFunc(token, unicode.IsLetter)
}

func lastByte(s string) byte {
	if s == "" {
		return 0
	}
	return s[len(s)-1]
}

func wordSet(words string) map[string]bool {
	set := map[string]bool{}
	for _, word := range strings.Fields(words) {
		set[word] = true
	}
	return set
}

var (
	// namesWhom are the words after which sentences name somebody or something.
	namesWhom   = wordSet("organization org application user users username usernames member owner operator sender receiver group groupid grpid chatroom room appkey")
	namesWhomZh = []string{"用户", "成员", "好友", "账号", "帐号", "群", "群组", "聊天室", "应用"}
	// sentenceGoesOn are the words that follow a name, and are none.
	sentenceGoesOn = wordSet("already also and are be been can cannot could do does did dose exist exists had has have in is join joined must no not of or should to was were will would")
	// stateWord are words that end a sentence about somebody: "user: banned".
	stateWord = wordSet("banned blocked deactivated deleted disabled expired frozen full inactive locked missing muted offline suspended")
	// partOfWhom are nouns that make one idea with the word before: "user account is".
	partOfWhom = wordSet("a account accounts admin admins an app attribute attributes avatar blacklist chat chatroom contact contacts count data feature friend friends group groups id ids info " +
		"level limit list member members message messages metadata name names nickname number operation owner password permission push quota role room rooms service size status tag tags that the this token type user users whitelist")
)
