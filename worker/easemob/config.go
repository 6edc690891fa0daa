package easemob

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Defaults and bounds of [Config].
const (
	TimeoutDefault = 15 * time.Second
	TimeoutMin     = 100 * time.Millisecond
	TimeoutMax     = 5 * time.Minute

	MaxConnsDefault = 64
	MaxConnsMax     = 10_000

	appKeyPartMaxBytes = 128
	credentialMaxBytes = 512
)

const hidden = "[hidden]"

// Config says which app a [Client] calls for, and where.
type Config struct {
	// URL is the scheme and host of the app's data centre, such as
	// "https://a1.easemob.com" or "http://127.0.0.1:8080", without a path. The
	// client adds /org/app. Required.
	URL string

	// AppKey is "org#app", as the vendor's console shows it. Required.
	AppKey string

	// ClientID and ClientSecret are exchanged for the app's token. Required,
	// at most 512 bytes each.
	ClientID, ClientSecret string

	// Timeout bounds one call, from asking for a connection to the last byte of
	// the answer; a token fetch, and the wait for one, are bounded by as much
	// again. Zero means TimeoutDefault; else TimeoutMin to TimeoutMax.
	Timeout time.Duration

	// MaxConns is the number of connections for calls, and so of calls under way
	// at a time: further ones wait within their Timeout. Token fetches don't
	// count, so that they never queue behind calls. Zero means MaxConnsDefault;
	// else 1 to MaxConnsMax.
	MaxConns int

	// TokenRejected says whether an answer to a call means that its token is no
	// good, so that the call is repeated with a fresh one. It must be safe for
	// concurrent use and must not keep or change the body. Nil means: any answer
	// with status 401. Several services answer 401 to what no token cures (docs:
	// "user is not in chatroom", "you have no permission to do this"), at the
	// price of a token fetch each time, so a caller who can tell should.
	TokenRejected func(status int, body []byte) bool

	// TokenFetched is told of each token fetch, whether it brought a token. It must be
	// safe for concurrent use. Nil means that nobody is told.
	TokenFetched func(ok bool)
}

// withDefaults returns a copy in which what was left out is filled in.
func (c Config) withDefaults() Config {
	c.URL = strings.TrimSuffix(c.URL, "/")
	if c.Timeout == 0 {
		c.Timeout = TimeoutDefault
	}
	if c.MaxConns == 0 {
		c.MaxConns = MaxConnsDefault
	}
	if c.TokenRejected == nil {
		c.TokenRejected = func(status int, _ []byte) bool { return status == http.StatusUnauthorized }
	}
	return c
}

// validate reports every field that is out of bounds. Values that may hold a
// secret, the URL among them, are not shown.
func (c Config) validate() error {
	return errors.Join(
		c.validateURL(),
		c.validateAppKey(),
		validateCredential("ClientID", c.ClientID),
		validateCredential("ClientSecret", c.ClientSecret),
		validateRange("Timeout", c.Timeout, TimeoutMin, TimeoutMax),
		validateRange("MaxConns", c.MaxConns, 1, MaxConnsMax),
	)
}

func (c Config) validateURL() error {
	u, err := url.Parse(c.URL)
	switch {
	case c.URL == "":
		return errors.New("easemob: URL is required")
	case err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Opaque != "" || u.Hostname() == "" || !portOK(u):
		return errors.New("easemob: URL must be http://host[:port] or https://host[:port]")
	case u.User != nil:
		return errors.New("easemob: URL must not hold a user name or password")
	case u.Path != "":
		return errors.New("easemob: URL must not hold a path: org and app belong in AppKey")
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || strings.HasSuffix(c.URL, "#"):
		return errors.New("easemob: URL must not hold a query or fragment")
	}
	return nil
}

// portOK reports whether the port is left out or a usable number.
func portOK(u *url.URL) bool {
	if u.Port() == "" {
		return !strings.HasSuffix(u.Host, ":")
	}
	n, err := strconv.Atoi(u.Port())
	return err == nil && 1 <= n && n <= 65535
}

func (c Config) validateAppKey() error {
	org, app, found := strings.Cut(c.AppKey, "#")
	if !found || !appKeyPartOK(org) || !appKeyPartOK(app) {
		return fmt.Errorf("easemob: AppKey is %q, must be org#app, both parts 1 to %d letters, digits, '-', '_' or '.'",
			c.AppKey, appKeyPartMaxBytes)
	}
	return nil
}

// appKeyPartOK reports whether s can stand in a path as it is.
func appKeyPartOK(s string) bool {
	if s == "" || s == "." || s == ".." || len(s) > appKeyPartMaxBytes {
		return false
	}
	for i := range len(s) {
		if !wordByte(s[i]) && s[i] != '-' && s[i] != '.' {
			return false
		}
	}
	return true
}

func validateCredential(field, value string) error {
	switch {
	case value == "":
		return fmt.Errorf("easemob: %s is required", field)
	case len(value) > credentialMaxBytes:
		return fmt.Errorf("easemob: %s has %d bytes, at most %d are allowed", field, len(value), credentialMaxBytes)
	case !graphic(value):
		// Most often the line end of the file that it was read from.
		return fmt.Errorf("easemob: %s must be ASCII without white space or control characters", field)
	}
	return nil
}

// graphic reports whether s is of visible ASCII characters alone.
func graphic(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f })
}

func validateRange[T int | time.Duration](field string, value, least, most T) error {
	if value < least || value > most {
		return fmt.Errorf("easemob: %s is %v, must be %v to %v", field, value, least, most)
	}
	return nil
}

// String shows the settings with the client secret hidden.
func (c Config) String() string {
	return fmt.Sprintf("{URL:%s AppKey:%s ClientID:%s ClientSecret:%s Timeout:%v MaxConns:%d}",
		c.shownURL(), c.AppKey, c.ClientID, c.shownSecret(), c.Timeout, c.MaxConns)
}

// Format prints as String does under every verb, so that none shows the secret.
func (c Config) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, c.String()) }

// LogValue shows the settings with the client secret hidden.
func (c Config) LogValue() slog.Value {
	return slog.GroupValue(
		slog.String("url", c.shownURL()),
		slog.String("app_key", c.AppKey),
		slog.String("client_id", c.ClientID),
		slog.String("client_secret", c.shownSecret()),
		slog.Duration("timeout", c.Timeout),
		slog.Int("max_conns", c.MaxConns),
	)
}

// shownURL leaves out what a valid URL doesn't have anyway: a Config may be
// printed before it is validated, and a password may stand in any of it.
func (c Config) shownURL() string {
	u, err := url.Parse(c.URL)
	if err != nil || u.Host == "" {
		return ""
	}
	return u.Scheme + "://" + u.Host
}

// shownSecret tells an empty secret from a set one and nothing more.
func (c Config) shownSecret() string {
	if c.ClientSecret == "" {
		return ""
	}
	return hidden
}
