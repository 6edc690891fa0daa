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
	s := &scrubber{
		secrets: []string{secret, url.QueryEscape(secret), url.PathEscape(secret)},
		// Closed or not: the text may have been cut within the token.
		accessToken: regexp.MustCompile(`("access_token"\s*:\s*")(?:[^"\\]|\\.)*`),
	}
	for _, html := range []bool{true, false} {
		once := jsonEscape(secret, html)
		// Twice is how JSON quoted within JSON shows it.
		s.secrets = append(s.secrets, once, strings.ReplaceAll(once, "/", `\/`), jsonEscape(once, html))
	}
	slices.Sort(s.secrets)
	s.secrets = slices.Compact(s.secrets)
	// The longest first: one spelling may hold another.
	slices.SortFunc(s.secrets, func(a, b string) int { return len(b) - len(a) })
	return s
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
		if len(secret) >= looseBytes ||
			(at == 0 || !wordByte(text[at-1])) && (end == len(text) || !wordByte(text[end])) {
			return at
		}
		from = at + 1
	}
}

func wordByte(b byte) bool {
	return 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z' || '0' <= b && b <= '9' || b == '_'
}
