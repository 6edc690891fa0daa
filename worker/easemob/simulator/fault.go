package simulator

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"math/rand/v2"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Values of [Fault.Cut].
const (
	CutBefore = "before" // not executed
	CutAfter  = "after"  // executed
)

// LatencyMax bounds [Fault.Latency].
const LatencyMax = time.Hour

// Fault is a rule: which requests it meets, and what happens to them instead of
// the normal answer. It needs at least one of Status, Latency, Cut, Header,
// NotJSON, WrongToken and Fail.
type Fault struct {
	// ID names the fault; default "f1", "f2", … in order of addition.
	ID string

	// App is the app key ("org#app") it meets; empty means all.
	App string
	// Method is the HTTP method it meets; empty means all.
	Method string
	// Path is a pattern of [path.Match] for the path below /org/app, where *
	// stays within a segment: "/messages/*". Ending in "/**" it meets everything
	// below as well: "/chatgroups/**". Empty means all, the token endpoint
	// included.
	Path string
	// BodyContains is a text that the request's body must hold.
	BodyContains string
	// Skip lets the first matching requests pass; Times then bounds how many the
	// fault applies to, 0 being no bound.
	Skip, Times int
	// Probability is the chance that the fault applies to a matching request, in
	// (0, 1]; 0 means always. Requests it spares do not count for Times.
	Probability float64

	// Status is the status of the answer, 200 to 599. The request is not
	// executed, unless Execute is set. Without a body the answer has the one that
	// the vendor's page gives for the status, or for 502, 503 and 504 a gateway's
	// HTML page.
	Status int
	// Body is the answer's body, encoded as JSON.
	Body any
	// BodyText is the answer's body as it stands.
	BodyText string
	// Header is set on the answer, a normal one too.
	Header map[string]string
	// Latency is waited before the answer or the cut, and after the request was
	// executed, if it is; so a caller that gives up has been served. For a slow
	// call that is not executed, add Cut "before". At most [LatencyMax].
	Latency time.Duration
	// Cut closes the connection without an answer: [CutBefore] or [CutAfter]
	// executing the request.
	Cut string
	// Execute executes the request and then answers with Status all the same: a
	// gateway that lost the answer.
	Execute bool
	// NotJSON answers a gateway's HTML page, with Status (default 502).
	NotJSON bool
	// WrongToken refuses the token with 401; on the token endpoint, hands out a
	// token that will be refused.
	WrongToken bool
	// Fail are targets for which the call fails while it is executed for the
	// others: the failures stand inside the 200, without a reason, as each
	// operation reports them. They are users, or of a send its targets, or of an
	// update its fields, or keys of attributes.
	Fail []string
}

// FaultState is a fault and what it has met.
type FaultState struct {
	Fault Fault `json:"fault"`
	// Matched counts the requests that matched, Hits those it was applied to.
	Matched int `json:"matched"`
	Hits    int `json:"hits"`
}

func (f *Fault) validate() error {
	switch {
	case f.Method != strings.ToUpper(f.Method) || strings.ContainsAny(f.Method, " /"):
		return fmt.Errorf("method %q: must be an HTTP method in capitals", f.Method)
	case f.Path != "" && !strings.HasPrefix(f.Path, "/"):
		return fmt.Errorf("path %q: must start with /", f.Path)
	case f.Skip < 0:
		return fmt.Errorf("skip %d: must be at least 0", f.Skip)
	case f.Times < 0:
		return fmt.Errorf("times %d: must be at least 0", f.Times)
	case !(f.Probability >= 0 && f.Probability <= 1): // not NaN either
		return fmt.Errorf("probability %v: must be between 0 and 1", f.Probability)
	case f.Status != 0 && (f.Status < 200 || f.Status > 599):
		return fmt.Errorf("status %d: must be between 200 and 599", f.Status)
	case f.Latency < 0 || f.Latency > LatencyMax:
		return fmt.Errorf("latency %v: must be between 0 and %v", f.Latency, LatencyMax)
	case f.Cut != "" && f.Cut != CutBefore && f.Cut != CutAfter:
		return fmt.Errorf("cut %q: must be %q or %q", f.Cut, CutBefore, CutAfter)
	}
	if _, err := path.Match(f.Path, ""); err != nil {
		return fmt.Errorf("path %q: %w", f.Path, err)
	}
	for _, no := range []struct {
		both bool
		text string
	}{
		{f.Body != nil && f.BodyText != "", "body and body_text: give one"},
		{(f.Body != nil || f.BodyText != "") && f.Status == 0, "body: needs a status"},
		{(f.Body != nil || f.BodyText != "") && f.NotJSON, "body and not_json: give one"},
		{f.Execute && f.Status == 0 && !f.NotJSON, "execute: needs a status"},
		{f.Cut != "" && (f.Status != 0 || f.NotJSON || f.Execute || f.WrongToken || len(f.Header) > 0), "cut: goes with latency alone"},
		{f.WrongToken && (f.Status != 0 || f.NotJSON || f.Execute), "wrong_token: goes with latency and header alone"},
		{len(f.Fail) > 0 && (f.Status != 0 || f.NotJSON || f.WrongToken || f.Cut == CutBefore), "fail: goes with latency, header and cut after alone"},
		{f.Status == 0 && f.Latency == 0 && f.Cut == "" && len(f.Header) == 0 && !f.NotJSON && !f.WrongToken && len(f.Fail) == 0,
			"nothing to do: give status, latency, cut, header, not_json, wrong_token or fail"},
	} {
		if no.both {
			return errors.New(no.text)
		}
	}
	return nil
}

// ErrFaultExists is returned for a fault whose ID is in use.
var ErrFaultExists = errors.New("a fault has this id")

// faults are the rules in place, in order of addition.
type faults struct {
	some atomic.Bool // a cheap look before taking the lock
	mu   sync.Mutex
	list []*activeFault
	n    int // the last default ID given
}

type activeFault struct {
	Fault
	body          []byte // encoded Body
	draw          *rand.Rand
	matched, hits int
}

// AddFault puts a fault in place behind the ones there, and returns its ID. The
// error names the field, its value and its bound; it wraps [ErrFaultExists] when
// the ID is in use.
func (s *Simulator) AddFault(f Fault) (id string, err error) {
	ids, err := s.addFaults([]Fault{f})
	if err != nil {
		return "", fmt.Errorf("simulator: %w", err)
	}
	return ids[0], nil
}

// addFaults adds all or none.
func (s *Simulator) addFaults(list []Fault) (ids []string, err error) {
	fs := &s.faults
	fs.mu.Lock()
	defer fs.mu.Unlock()
	n := fs.n
	var added []*activeFault
	taken := make(map[string]bool, len(fs.list)+len(list))
	for _, f := range fs.list {
		taken[f.ID] = true
	}
	for i, f := range list {
		for f.ID == "" || list[i].ID == "" && taken[f.ID] {
			n++
			f.ID = "f" + strconv.Itoa(n)
		}
		a := &activeFault{Fault: f, draw: rand.New(rand.NewPCG(s.cfg.Seed, uint64(len(fs.list)+i)))}
		if err := s.check(a, taken); err != nil {
			return nil, fmt.Errorf("fault %q: %w", f.ID, err)
		}
		taken[f.ID] = true
		added = append(added, a)
		ids = append(ids, f.ID)
	}
	fs.n = n
	fs.list = append(fs.list, added...)
	fs.some.Store(len(fs.list) > 0)
	return ids, nil
}

// check validates a fault and encodes its body.
func (s *Simulator) check(f *activeFault, taken map[string]bool) error {
	if taken[f.ID] {
		return ErrFaultExists
	}
	if f.App != "" && s.apps[strings.Replace(f.App, "#", "/", 1)] == nil {
		return fmt.Errorf("app %q: no such app key", f.App)
	}
	if err := f.validate(); err != nil {
		return err
	}
	if f.Body == nil {
		return nil
	}
	body, err := json.Marshal(f.Body)
	if err != nil {
		return fmt.Errorf("body: %w", err)
	}
	f.body = body
	return nil
}

// ClearFaults removes all faults.
func (s *Simulator) ClearFaults() {
	fs := &s.faults
	fs.mu.Lock()
	defer fs.mu.Unlock()
	fs.list, fs.n = nil, 0
	fs.some.Store(false)
}

// RemoveFault removes one fault and reports whether it was there.
func (s *Simulator) RemoveFault(id string) bool {
	fs := &s.faults
	fs.mu.Lock()
	defer fs.mu.Unlock()
	for i, f := range fs.list {
		if f.ID == id {
			fs.list = append(fs.list[:i:i], fs.list[i+1:]...)
			fs.some.Store(len(fs.list) > 0)
			return true
		}
	}
	return false
}

// Faults returns the faults in place, used up ones included, in order.
func (s *Simulator) Faults() []FaultState {
	fs := &s.faults
	fs.mu.Lock()
	defer fs.mu.Unlock()
	out := make([]FaultState, len(fs.list))
	for i, f := range fs.list {
		out[i] = FaultState{Fault: f.Fault, Matched: f.matched, Hits: f.hits}
	}
	return out
}

// match returns the first fault that applies to a call and counts it, or nil.
func (fs *faults) match(c *call) *activeFault {
	if !fs.some.Load() {
		return nil
	}
	fs.mu.Lock()
	defer fs.mu.Unlock()
	for _, f := range fs.list {
		if !f.meets(c) {
			continue
		}
		f.matched++
		switch {
		case f.matched <= f.Skip:
		case f.Times > 0 && f.hits >= f.Times:
		case f.Probability > 0 && f.draw.Float64() >= f.Probability:
		default:
			f.hits++
			return f
		}
	}
	return nil
}

// meets reports whether the request is one the fault is about.
func (f *Fault) meets(c *call) bool {
	switch {
	case f.App != "" && strings.Replace(f.App, "#", "/", 1) != c.orgApp:
		return false
	case f.Method != "" && f.Method != c.r.Method:
		return false
	case f.Path != "" && !pathMatches(f.Path, c.path):
		return false
	case f.BodyContains != "" && !bytes.Contains(c.body, []byte(f.BodyContains)):
		return false
	}
	return true
}

func pathMatches(pattern, p string) bool {
	prefix, below := strings.CutSuffix(pattern, "/**")
	if !below {
		ok, _ := path.Match(pattern, p)
		return ok
	}
	// The pattern's part before ** against as many segments of the path.
	n := strings.Count(prefix, "/")
	segments := strings.Split(p, "/")
	if len(segments) <= n+1 {
		return false
	}
	ok, _ := path.Match(prefix, strings.Join(segments[:n+1], "/"))
	return ok
}

// underFault executes the call if the fault lets it, and returns the answer to
// give. The fields read here don't change once the fault is in place.
func (s *Simulator) underFault(c *call, f *activeFault) answer {
	switch {
	case f.Cut == CutBefore:
		return answer{}
	case f.WrongToken:
		if c.route != nil && c.route.family == familyToken {
			c.badToken = true
			return s.execute(c)
		}
		return c.refused(errNoToken)
	case f.Status == 0 && !f.NotJSON:
		c.failing = f.Fail
		return s.execute(c)
	}
	if f.Execute {
		s.execute(c)
	}
	switch {
	case f.NotJSON && f.Status == 0:
		return gatewayPage(http.StatusBadGateway)
	case f.NotJSON:
		return gatewayPage(f.Status)
	case f.body != nil:
		return answer{status: f.Status, contentType: jsonType, body: f.body}
	case f.BodyText != "":
		return answer{status: f.Status, contentType: "text/plain; charset=utf-8", body: []byte(f.BodyText)}
	}
	return c.standard(f.Status)
}

// standard is the answer that goes with a status when a fault names no body.
func (c *call) standard(status int) answer {
	switch status {
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return gatewayPage(status)
	case http.StatusBadRequest:
		return c.refused(refuse(status, "illegal_argument", "this is an invalid request."))
	case http.StatusUnauthorized:
		return c.refused(errNoToken)
	case http.StatusNotFound:
		return c.refused(errNoUser)
	case http.StatusRequestEntityTooLarge:
		return c.refused(errTooLarge)
	case http.StatusUnsupportedMediaType:
		return c.refused(errMediaType)
	case http.StatusTooManyRequests:
		return c.refused(errReachLimit)
	}
	if status < 300 {
		return answer{status: status}
	}
	text := http.StatusText(status)
	return c.refused(refuse(status, strings.ReplaceAll(strings.ToLower(text), " ", "_"), text))
}

// gatewayPage is an answer that no service of the vendor's made. What its
// gateways really send is not documented.
func gatewayPage(status int) answer {
	title := html.EscapeString(strconv.Itoa(status) + " " + http.StatusText(status))
	return answer{status: status, contentType: "text/html", body: []byte(
		"<html>\r\n<head><title>" + title + "</title></head>\r\n<body>\r\n<center><h1>" + title +
			"</h1></center>\r\n<hr><center>gateway</center>\r\n</body>\r\n</html>\r\n")}
}
