package easemob

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// looseBytes is the length from which on a secret is blotted out wherever it
// stands. A shorter one, as used with a simulator, is a secret only where it
// stands alone: blotting the secret "secret" out of "client_secret does not
// match" would hide the very words that explain the failure.
const looseBytes = 16

// scrubber blots secrets out of what servers and errors say: the client secret
// in the spellings in which an echo would carry it, a call's token, and whatever
// a body calls an access token.
type scrubber struct {
	secrets     []string
	accessToken *regexp.Regexp
}

func newScrubber(secret string) *scrubber {
	return &scrubber{
		secrets: spellings(secret),
		// Closed or not: the text may have been cut within the token.
		accessToken: regexp.MustCompile(`("access_token"\s*:\s*")(?:[^"\\]|\\.)*`),
	}
}

// spellings are how an echo would carry a secret, the longest first: one may hold
// another.
func spellings(secret string) []string {
	list := []string{secret, url.QueryEscape(secret), url.PathEscape(secret)}
	for _, html := range []bool{true, false} {
		once := jsonEscape(secret, html)
		// Twice is how JSON quoted within JSON shows it.
		list = append(list, once, strings.ReplaceAll(once, "/", `\/`), jsonEscape(once, html))
	}
	slices.Sort(list)
	list = slices.Compact(list)
	slices.SortFunc(list, func(a, b string) int { return len(b) - len(a) })
	return list
}

// Hide blots a secret of the caller's out of a text, such as a password out of the answer
// to the call that set it. One of less than 16 bytes is hidden only where it stands alone.
func Hide(text, secret string) string {
	clean := []byte(text)
	for _, spelling := range spellings(secret) {
		clean = blot(clean, spelling)
	}
	return string(clean)
}

// jsonEscape returns s as it stands between the quotes of a JSON string.
func jsonEscape(s string, html bool) string {
	var quoted bytes.Buffer
	enc := json.NewEncoder(&quoted)
	enc.SetEscapeHTML(html)
	_ = enc.Encode(s) // a string can't fail
	return strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(quoted.String()), `"`), `"`)
}

// body returns text without secrets; it is text itself when there are none.
func (s *scrubber) body(text []byte, token string) []byte {
	if token != "" {
		text = blot(text, token)
	}
	for _, secret := range s.secrets {
		text = blot(text, secret)
	}
	if bytes.Contains(text, []byte("access_token")) {
		text = s.accessToken.ReplaceAll(text, []byte("${1}"+hidden))
	}
	return text
}

// err returns err, or an error of the scrubbed text alone if err's held a
// secret: net/http quotes lines of an answer that it can't parse.
func (s *scrubber) err(err error, token string) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	if clean := string(s.body([]byte(text), token)); clean != text {
		return errors.New(clean)
	}
	return err
}

// blot replaces secret in text, copying text only if it is there.
func blot(text []byte, secret string) []byte {
	at := find(text, secret)
	if at < 0 {
		return text
	}
	clean := make([]byte, 0, len(text)+len(hidden))
	for ; at >= 0; at = find(text, secret) {
		clean = append(append(clean, text[:at]...), hidden...)
		text = text[at+len(secret):]
	}
	return append(clean, text...)
}

// find returns where in text secret stands, or -1.
func find(text []byte, secret string) int {
	for from := 0; ; {
		i := bytes.Index(text[from:], []byte(secret))
		if i < 0 {
			return -1
		}
		at, end := from+i, from+i+len(secret)
		if len(secret) >= looseBytes || !wordBefore(text[:at]) && (end == len(text) || !wordByte(text[end])) {
			return at
		}
		from = at + 1
	}
}

// wordBefore says whether text ends within a word. An escape of JSON's or of a URL's is
// not part of one, though it may end with a letter.
func wordBefore(text []byte) bool {
	n := len(text)
	if n == 0 || !wordByte(text[n-1]) {
		return false
	}
	escaped := n > 1 && text[n-2] == '\\' || n > 2 && text[n-3] == '%' || n > 5 && text[n-6] == '\\' && text[n-5] == 'u'
	return !escaped
}

func wordByte(b byte) bool {
	return 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z' || '0' <= b && b <= '9' || b == '_'
}
