package alert

import (
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
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/imqueue/emq/tasks"
)

const (
	sendTimeout = 10 * time.Second
	answerMax   = 64 << 10 // bytes of an answer that are read
	nameMax     = 64       // bytes of a channel's name
	// hiddenMin is from how many bytes on a part of a channel's address is hidden where an
	// answer repeats it: shorter ones are words.
	hiddenMin = 12
)

// A ChannelConfig is where alerts go.
type ChannelConfig struct {
	Name string // as people call it; unique
	Type string // one of Types
	// URL is the address that the vendor gave for the robot or hook, which is a secret, or
	// Alertmanager's. It is https, or leads to a loopback address; Alertmanager may be
	// reached by http anywhere.
	URL string
	// Secret signs what is sent, where the vendor gave one; see Types.
	Secret string
	Lang   string // "en" (default) or "zh"
}

// String shows neither address nor secret.
func (c ChannelConfig) String() string { return c.Name + " (" + c.Type + ")" }

// GoString shows neither address nor secret.
func (c ChannelConfig) GoString() string { return c.String() }

// LogValue shows neither address nor secret.
func (c ChannelConfig) LogValue() slog.Value { return slog.StringValue(c.String()) }

// A Channel sends alerts to one place.
type Channel struct {
	cfg    ChannelConfig
	kind   channelType
	url    *url.URL
	client *http.Client
	now    func() time.Time
}

// Types lists the types of channel.
func Types() []string {
	var names []string
	for name := range channelTypes {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// NewChannel makes a channel; it connects to nothing. It returns a *tasks.FieldError,
// which shows neither address nor secret.
func NewChannel(cfg ChannelConfig) (*Channel, error) {
	field := func(name string) string { return "alerts." + tasks.Printable(cfg.Name, nameMax) + "." + name }
	odd := func(r rune) bool { return !unicode.IsGraphic(r) || unicode.IsSpace(r) }
	if cfg.Name == "" || len(cfg.Name) > nameMax || strings.ContainsFunc(cfg.Name, odd) {
		return nil, &tasks.FieldError{Field: "alerts", Value: tasks.Printable(cfg.Name, nameMax), Bound: fmt.Sprintf("a channel's name has 1 to %d bytes, and no space", nameMax)}
	}
	kind, ok := channelTypes[cfg.Type]
	if !ok {
		return nil, &tasks.FieldError{Field: field("type"), Value: tasks.Printable(cfg.Type, nameMax), Bound: "must be " + strings.Join(Types(), ", ")}
	}
	if cfg.Lang == "" {
		cfg.Lang = "en"
	}
	if cfg.Lang != "en" && cfg.Lang != "zh" {
		return nil, &tasks.FieldError{Field: field("lang"), Value: tasks.Printable(cfg.Lang, nameMax), Bound: "must be en or zh"}
	}
	if cfg.Secret != "" && !kind.signed {
		return nil, &tasks.FieldError{Field: field("secret"), Bound: "a channel of type " + cfg.Type + " takes none"}
	}
	if _, err := webhookKey(cfg.Secret); cfg.Type == "webhook" && err != nil {
		return nil, &tasks.FieldError{Field: field("secret"), Bound: "must be base64 after whsec_"}
	}
	u, err := url.Parse(cfg.URL)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		return nil, &tasks.FieldError{Field: field("url"), Bound: "must be an address such as https://host/path"}
	case u.Scheme == "http" && !kind.plain && !loopback(u.Hostname()):
		return nil, &tasks.FieldError{Field: field("url"), Bound: "must be https: it carries a secret"}
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.DisableKeepAlives = true // alerts are few
	return &Channel{
		cfg: cfg, kind: kind, url: u, now: time.Now,
		client: &http.Client{
			Timeout: sendTimeout, Transport: transport,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

// Name is what people call the channel.
func (c *Channel) Name() string { return c.cfg.Name }

// String shows neither address nor secret.
func (c *Channel) String() string { return c.cfg.String() }

// GoString shows neither address nor secret.
func (c *Channel) GoString() string { return c.String() }

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// A SendError says why a channel did not take an alert. It shows neither the channel's
// address nor its secret.
type SendError struct {
	Channel string
	Status  int    // of HTTP; 0: there was no answer
	Code    string // the vendor's, if any
	Text    string
	// Again says that it may pass later, After when at the earliest.
	Again bool
	After time.Duration
}

func (e *SendError) Error() string {
	text := "channel " + e.Channel + ": "
	if e.Status != 0 {
		text += "status " + strconv.Itoa(e.Status) + ", "
	}
	if e.Code != "" {
		text += "code " + e.Code + ", "
	}
	return text + e.Text
}

// Send makes one request with the notice. It returns a *SendError.
func (c *Channel) Send(ctx context.Context, n Notice) error {
	return c.post(ctx, c.kind.build(c, n))
}

// A message is a request to a channel: what it adds to the address, its header, and its
// body in JSON.
type message struct {
	path   string
	query  url.Values
	header http.Header
	body   []byte
}

func (c *Channel) post(ctx context.Context, m message) error {
	if m.body == nil {
		return nil // not for this channel
	}
	to := *c.url
	to.Path = strings.TrimSuffix(to.Path, "/") + m.path
	query := to.Query()
	for name, values := range m.query {
		query[name] = values
	}
	to.RawQuery = query.Encode()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, to.String(), bytes.NewReader(m.body))
	if err != nil {
		return c.failed(0, "", "the request can't be made")
	}
	r.Header.Set("Content-Type", "application/json; charset=utf-8")
	r.Header.Set("User-Agent", "emq")
	for name, values := range m.header {
		r.Header[name] = values
	}
	answer, err := c.client.Do(r)
	if err != nil {
		if outer, ok := errors.AsType[*url.Error](err); ok {
			err = outer.Err // it quotes the address
		}
		e := c.failed(0, "", err.Error())
		e.Again = true
		return e
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(answer.Body, answerMax))
	if err != nil {
		e := c.failed(answer.StatusCode, "", "the answer broke off")
		e.Again = true
		return e
	}
	return c.judge(answer, body)
}

// judge reads an answer: by its status, and by the code that most vendors put into a 200.
func (c *Channel) judge(answer *http.Response, body []byte) error {
	status := answer.StatusCode
	if status < 200 || status > 299 {
		e := c.failed(status, "", string(body))
		e.Again = status == http.StatusRequestTimeout || status == http.StatusTooManyRequests || status >= 500
		if seconds, err := strconv.Atoi(answer.Header.Get("Retry-After")); err == nil && seconds > 0 {
			e.After = min(time.Duration(seconds)*time.Second, sendFor/2)
		}
		return e
	}
	if c.kind.word != "" && strings.TrimSpace(string(body)) != c.kind.word {
		return c.failed(status, "", "the answer is not the vendor's: "+string(body))
	}
	if c.kind.code == "" {
		return nil
	}
	var said map[string]any
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	if dec.Decode(&said) != nil {
		return c.failed(status, "", "the answer is not the vendor's: "+string(body))
	}
	code := fmt.Sprint(said[c.kind.code])
	if code == "0" {
		return nil
	}
	e := c.failed(status, code, fmt.Sprint(said[c.kind.text]))
	e.After, e.Again = c.kind.again[code]
	return e
}

func (c *Channel) failed(status int, code, text string) *SendError {
	return &SendError{Channel: c.cfg.Name, Status: status, Code: tasks.Printable(code, nameMax), Text: tasks.Printable(c.hide(tasks.Printable(text, answerMax)), 256)}
}

// hide blots the channel's secrets out of what somebody answered.
func (c *Channel) hide(text string) string {
	parts := []string{c.cfg.URL, c.cfg.Secret}
	for _, values := range c.url.Query() {
		parts = append(parts, values...)
	}
	for part := range strings.SplitSeq(c.url.Path, "/") {
		if len(part) >= hiddenMin {
			parts = append(parts, part)
		}
	}
	if password, ok := c.url.User.Password(); ok {
		parts = append(parts, password)
	}
	for _, part := range parts {
		if part != "" {
			text = strings.ReplaceAll(text, part, "[hidden]")
		}
	}
	return text
}
