package easemob

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

const canaryToken = "YWMt-canary-token/with+odd=chars"

// formats returns v in every way in which it may come to be printed.
func formats(v any) string {
	var b bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d", "%T"} {
		_, _ = fmt.Fprintf(&b, verb+"\n", v)
	}
	slog.New(slog.NewTextHandler(&b, nil)).Info("x", "v", v)
	slog.New(slog.NewJSONHandler(&b, nil)).Info("x", "v", v)
	_ = json.NewEncoder(&b).Encode(v)
	return b.String()
}

// wantNoSecret fails the test if anything of the secrets is in text, also as the
// bytes that %v, %x and %#v of a body show.
func wantNoSecret(t *testing.T, what, text string) {
	t.Helper()
	for _, secret := range []string{testSecret, canaryToken, "canary"} {
		for _, form := range []string{
			secret,
			url.QueryEscape(secret),
			fmt.Sprintf("%x", secret),
			strings.Trim(fmt.Sprintf("%d", []byte(secret)), "[]"),
			strings.TrimSuffix(strings.TrimPrefix(fmt.Sprintf("%#v", []byte(secret)), "[]byte{"), "}"),
		} {
			if strings.Contains(text, form) {
				t.Fatalf("%s shows a secret: %.2000s", what, text)
			}
		}
	}
}

func TestConfigHidesSecret(t *testing.T) {
	t.Parallel()
	cfg := validConfig()
	holder := struct{ Apps map[string]Config }{map[string]Config{"a": cfg}}
	for _, v := range []any{cfg, &cfg, holder, []Config{cfg}, cfg.LogValue()} {
		text := formats(v)
		wantNoSecret(t, fmt.Sprintf("%T", v), text)
		if !strings.Contains(text, hidden) || !strings.Contains(text, testID) {
			t.Errorf("%T: %s", v, text)
		}
	}
	if text := formats(Config{URL: "http://canary:canary@h/canary?canary"}); strings.Contains(text, "canary") || strings.Contains(text, hidden) {
		t.Errorf("unvalidated: %s", text)
	}
}

// TestNothingShowsSecrets drives the client through every way of ending a call,
// against servers that say back all that they were told.
func TestNothingShowsSecrets(t *testing.T) {
	t.Parallel()

	// echo answers with the request's own headers and body, in several spellings.
	echo := func(r *http.Request) string {
		body, _ := io.ReadAll(r.Body)
		bearer := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		slashes := strings.ReplaceAll(testSecret, "/", `\/`)
		return fmt.Sprintf(`{"error":"x","body":%s,"text":%q,"header":%q,"access_token":"%s","a":"%s","b":"%s","c":"%s%s"}`,
			body, body, r.Header, bearer, url.QueryEscape(testSecret), slashes, testSecret, testSecret)
	}
	issue := fmt.Sprintf(`{"access_token":%q,"expires_in":0}`, canaryToken)
	http1 := func(body string) string {
		return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	}
	type pair struct{ token, call func(*http.Request) string } // whole answers; "" cuts the connection
	good := func(*http.Request) string { return http1(issue) }
	for name, p := range map[string]pair{
		"echoed call":   {good, func(r *http.Request) string { return http1(echo(r)) }},
		"rejected call": {good, func(r *http.Request) string { return strings.Replace(http1(echo(r)), "200 OK", "401 X", 1) }},
		"call answered with the secret at the cut": {good, func(*http.Request) string {
			return http1(strings.Repeat(" ", AnswerBodyMax-20) + canaryToken + testSecret)
		}},
		"call answered with half a header": {good, func(r *http.Request) string {
			return "HTTP/1.1 200 OK\r\n" + r.Header.Get("Authorization") + "\r\n\r\n"
		}},
		"call answered without HTTP": {good, func(r *http.Request) string { return r.Header.Get("Authorization") + "\r\n\r\n" }},
		"call cut in its body": {good, func(r *http.Request) string {
			return "HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n" + echo(r)
		}},
		"call cut": {good, func(*http.Request) string { return "" }},
		"token refused": {func(r *http.Request) string {
			return strings.Replace(http1(echo(r)), "200 OK", "400 X", 1)
		}, nil},
		"token refused at length": {func(*http.Request) string {
			return strings.Replace(http1(strings.Repeat(" ", errorBodyMax-20)+testSecret), "200 OK", "400 X", 1)
		}, nil},
		"token in a wrong answer": {func(*http.Request) string {
			return strings.Replace(http1(issue), "200 OK", "201 X", 1)
		}, nil},
		"token unusable": {func(*http.Request) string {
			return http1(strings.Replace(issue, `"expires_in":0`, `"expires_in":"`+testSecret+`"`, 1))
		}, nil},
		"token with line ends": {func(*http.Request) string {
			return http1(strings.Replace(issue, canaryToken, canaryToken+`\r\n`, 1))
		}, nil},
		"token not closed": {func(*http.Request) string { return http1(`{"access_token": "` + canaryToken) }, nil},
		"token in a header": {func(*http.Request) string {
			return "HTTP/1.1 200 OK\r\n" + testSecret + "\r\n\r\n"
		}, nil},
		"token endpoint cut": {func(*http.Request) string { return "" }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address := listen(t, func(c *net.TCPConn, _ int) {
				for r := bufio.NewReader(c); ; {
					req, err := http.ReadRequest(r)
					if err != nil {
						return
					}
					answer := p.call
					if strings.HasSuffix(req.URL.Path, "/token") {
						answer = p.token
					}
					text := answer(req)
					_, _ = io.Copy(io.Discard, req.Body)
					_, _ = io.WriteString(c, text)
					if !strings.Contains(text, "Content-Length") || strings.Contains(text, "9999") {
						return
					}
				}
			})
			c := newClient(t, address)
			for _, req := range []Request{post, {Method: "GET", Path: "/users"}} {
				answer, err := c.Do(context.Background(), req)
				if p.call == nil && err == nil {
					t.Fatalf("answer %d, want an error", answer.Status)
				}
				// The end of a long body is where the cut may have gone wrong.
				answer.Body = answer.Body[max(0, len(answer.Body)-errorBodyMax/64):]
				wantNoSecret(t, "answer", formats(answer)+string(answer.Body))
				wantNoSecret(t, "client", formats(c)+formats(*c)+formats(struct{ C *Client }{c}))
				if err == nil {
					continue
				}
				failure := err.(*Error) //nolint:errorlint // Do promises the type itself
				wantNoSecret(t, "error", formats(err)+formats(*failure)+formats(fmt.Errorf("x: %w", err))+string(failure.Body))
				for inner := error(failure); inner != nil; inner = errors.Unwrap(inner) {
					wantNoSecret(t, "inner error", formats(inner))
				}
			}
		})
	}
}

func TestScrub(t *testing.T) {
	t.Parallel()
	long := "0123456789abcdef"
	for _, row := range []struct{ secret, token, text, want string }{
		{"other-secret-of-length", "", "nothing here", "nothing here"},
		{long, "", "x" + long + "y", "x[hidden]y"},
		{long, "", long + long, "[hidden][hidden]"},
		{"secret", "", "client_secret does not match", "client_secret does not match"},
		{"secret", "", `{"client_secret":"secret"}`, `{"client_secret":"[hidden]"}`},
		{"secret", "", "client_secret=secret&x", "client_secret=[hidden]&x"},
		{"secret", "", "secret", "[hidden]"},
		{"secret", "", `"\u003csecret\u003e %3Csecret \nsecret"`, `"\u003c[hidden]\u003e %3C[hidden] \n[hidden]"`},
		{"secret", "tok", "Bearer tok, token", "Bearer [hidden], token"},
		{`a"b\c`, "", `"a\"b\\c"`, `"[hidden]"`},
		{"a<b", "", `a\u003cb a<b a%3Cb`, "[hidden] [hidden] [hidden]"},
		{"x", "", `{"access_token" : "a\"b","expires_in":1}`, `{"access_token" : "[hidden]","expires_in":1}`},
	} {
		text := []byte(row.text)
		got := newScrubber(row.secret).body(text, row.token)
		if string(got) != row.want {
			t.Errorf("secret %q: %q became %q, want %q", row.secret, row.text, got, row.want)
		}
		if string(text) != row.text {
			t.Errorf("secret %q: the text itself was changed", row.secret)
		}
	}
	plain := errors.New("plain")
	if got := newScrubber("s").err(plain, ""); got != plain { //nolint:errorlint // the very same
		t.Errorf("got %v", got)
	}
}
