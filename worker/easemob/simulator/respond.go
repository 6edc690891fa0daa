package simulator

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode"
)

// call is one request on its way through the simulator.
type call struct {
	sim       *Simulator
	app       *app // nil: the app key is not known
	orgApp    string
	r         *http.Request
	path      string // below /org/app
	route     *route // nil: no such endpoint
	pathKnown bool   // the path exists, with another method
	args      []string
	body      []byte
	start     time.Time
	decoded   bool     // the body was read as JSON
	badToken  bool     // hand out a token that will be refused
	failing   []string // targets that a fault makes fail
	messages  int      // that the call asks to send
	overLimit string   // what limit refused it
}

// fails reports whether a fault makes the call fail for a target.
func (c *call) fails(target string) bool { return slices.Contains(c.failing, target) }

// spare returns targets without those that a fault makes fail.
func (c *call) spare(targets []string) []string {
	if c.failing == nil {
		return targets
	}
	return slices.DeleteFunc(slices.Clone(targets), c.fails)
}

// newCall finds the app and the endpoint of a request.
func (s *Simulator) newCall(r *http.Request) *call {
	c := &call{sim: s, r: r, start: s.cfg.Now()}
	rest := strings.TrimPrefix(r.URL.Path, "/")
	org, rest, _ := strings.Cut(rest, "/")
	name, rest, _ := strings.Cut(rest, "/")
	c.orgApp = org + "/" + name
	c.path = "/" + strings.TrimSuffix(rest, "/")
	c.app = s.apps[c.orgApp]
	c.route, c.args, c.pathKnown = s.routes.find(r.Method, c.path)
	return c
}

// endpointUnknown stands for every call that has no endpoint, so that wrong
// paths don't grow the counts.
const endpointUnknown = "unknown"

// endpoint names the call in counts: "POST /chatgroups/{id}/users".
func (c *call) endpoint() string {
	if c.app == nil || c.route == nil {
		return endpointUnknown
	}
	return c.route.endpoint
}

// arg returns the nth wildcard of the path.
func (c *call) arg(n int) string { return c.args[n] }

// user returns the nth wildcard as a user id; case does not matter in those
// (docs: ids are stored and answered in lower case).
func (c *call) user(n int) string { return strings.ToLower(c.args[n]) }

// checkContentType refuses a body that says it is something else than JSON.
// recorded: many endpoints work without a Content-Type, and the user-attribute
// service, which takes forms (docs), answers 415 with an empty body.
func (c *call) checkContentType() *refusal {
	if len(c.body) == 0 {
		return nil
	}
	ct := strings.ToLower(c.r.Header.Get("Content-Type"))
	if c.route.family == familyAttributes {
		if !strings.HasPrefix(ct, formType) {
			return &refusal{status: http.StatusUnsupportedMediaType, empty: true}
		}
		return nil
	}
	if ct == "" || strings.HasPrefix(ct, "application/json") || strings.HasSuffix(ct, "+json") {
		return nil
	}
	return errMediaType
}

const (
	jsonType = "application/json;charset=UTF-8"
	formType = "application/x-www-form-urlencoded"
)

// result is what a successful operation answers.
type result struct {
	action   string // default: the method in lower case
	path     string // omitted when empty
	entities any    // omitted when nil
	data     any    // omitted when nil
	count    *int
	cursor   string
	status   string  // omitted when empty
	bare     bool    // the attribute service's shape: timestamp, data, duration
	plain    any     // the whole body, in place of the envelope
	done     *change // nil: nothing was changed
}

// change is what a successful operation leaves in the record.
type change struct {
	targets []string
	emqID   string
	ids     []string
}

// changed makes a result that is recorded as having changed targets.
func changed(data any, targets ...string) *result {
	res := &result{data: data, entities: noEntities}
	if len(targets) > 0 {
		res.done = &change{targets: targets}
	}
	return res
}

// noEntities is the empty list that newer services answer beside data.
var noEntities = []any{}

// refusal is an answer of the API that says no.
type refusal struct {
	status int
	code   string // the "error" word
	text   string // the "error_description"
	number int    // "error_code" of newer message bodies
	empty  bool   // no body at all
	bare   bool   // the attribute service's shape: timestamp, desc, duration
}

// Refusals of the vendor's page that belong to no single operation.
var (
	errNoToken    = refuse(http.StatusUnauthorized, "unauthorized", "Unable to authenticate (OAuth)")
	errTooLarge   = refuse(http.StatusRequestEntityTooLarge, "Request Entity Too Large", "Request Entity Too Large")
	errMediaType  = refuse(http.StatusUnsupportedMediaType, "web_application", "Unsupported Media Type")
	errReachLimit = refuse(http.StatusTooManyRequests, "reach_limit", "This request has reached api limit")
	errNoMethod   = refuse(http.StatusInternalServerError, "unsupported_service_operation", "Service operation not supported")
	errNoEndpoint = refuse(http.StatusInternalServerError, "web_application", "javax.ws.rs.WebApplicationException")
)

func refuse(status int, code, text string) *refusal {
	return &refusal{status: status, code: code, text: text}
}

func refusef(status int, code, format string, args ...any) *refusal {
	return refuse(status, code, fmt.Sprintf(format, args...))
}

// answer is what goes over the wire.
type answer struct {
	status      int
	contentType string
	body        []byte
}

// successBody is the vendor's envelope; which optional fields are present
// differs by service.
type successBody struct {
	Action          string `json:"action,omitempty"`
	Application     string `json:"application,omitempty"`
	Path            string `json:"path,omitempty"`
	URI             string `json:"uri,omitempty"`
	Entities        any    `json:"entities,omitempty"`
	Data            any    `json:"data,omitempty"`
	Status          string `json:"status,omitempty"`
	Timestamp       int64  `json:"timestamp"`
	Duration        int64  `json:"duration"`
	Organization    string `json:"organization,omitempty"`
	ApplicationName string `json:"applicationName,omitempty"`
	Count           *int   `json:"count,omitempty"`
	Cursor          string `json:"cursor,omitempty"`
}

type errorBody struct {
	Error       string `json:"error"`
	Exception   string `json:"exception"`
	Timestamp   int64  `json:"timestamp"`
	Duration    int64  `json:"duration"`
	Description string `json:"error_description"`
	Number      int    `json:"error_code,omitempty"`

	Properties *struct{} `json:"properties,omitempty"` // of groups and rooms (recorded)
}

// succeeded encodes a result.
func (c *call) succeeded(res *result) answer {
	if res.plain != nil {
		return encoded(http.StatusOK, res.plain)
	}
	b := successBody{Data: res.data, Status: res.status, Count: res.count, Cursor: res.cursor}
	b.Timestamp, b.Duration = c.times()
	if !res.bare {
		b.Action = res.action
		if b.Action == "" {
			b.Action = strings.ToLower(c.r.Method)
		}
		b.Application, b.Organization, b.ApplicationName = c.app.uuid, c.app.org, c.app.name
		b.Path, b.Entities = res.path, res.entities
		b.URI = "http://" + c.r.Host + "/" + c.orgApp + c.path
	}
	return encoded(http.StatusOK, b)
}

// refused encodes a refusal.
func (c *call) refused(no *refusal) answer {
	if no.empty {
		return answer{status: no.status}
	}
	timestamp, duration := c.times()
	if no.bare {
		return encoded(no.status, map[string]any{"timestamp": timestamp, "desc": no.text, "duration": duration})
	}
	b := errorBody{
		Error: no.code, Exception: exceptionOf(no.code), Description: no.text, Number: no.number,
		Timestamp: timestamp, Duration: duration,
	}
	if c.route != nil && (c.route.family == familyGroups || c.route.family == familyRooms) {
		b.Properties = &struct{}{}
	}
	return encoded(no.status, b)
}

// times returns the timestamp and the duration of an answer, both in
// milliseconds.
func (c *call) times() (timestamp, duration int64) {
	now := c.sim.cfg.Now()
	return now.UnixMilli(), max(0, now.Sub(c.start).Milliseconds())
}

func encoded(status int, body any) answer {
	b, err := json.Marshal(body)
	if err != nil { // every body is made of plain values here
		return answer{status: http.StatusInternalServerError}
	}
	return answer{status: status, contentType: jsonType, body: b}
}

// exceptionOf invents the exception's name, which differs by service and over
// time at the vendor's; nobody may classify on it.
func exceptionOf(code string) string {
	switch code {
	case "unauthorized":
		return "EasemobSecurityException"
	case "auth_bad_access_token":
		return "org.apache.usergrid.rest.exceptions.SecurityException"
	case "forbidden_op":
		return "com.easemob.group.exception.ForbiddenOpException"
	case "invalid_parameter":
		return "com.easemob.group.exception.InvalidParameterException"
	case "resource_not_found":
		return "com.easemob.group.exception.ResourceNotFoundException"
	case "illegal_argument":
		return "java.lang.IllegalArgumentException"
	}
	var b strings.Builder
	b.WriteString("com.easemob.im.exceptions.")
	up := true
	for _, r := range code {
		if r == '_' || r == ' ' {
			up = true
			continue
		}
		if up {
			r = unicode.ToUpper(r)
		}
		up = false
		b.WriteRune(r)
	}
	b.WriteString("Exception")
	return b.String()
}

// decode reads the body as JSON into v. bad is the refusal for a body that is
// no JSON; nil takes the usual one. A value of the wrong type, which the vendor
// documents nowhere but for messages, is an invalid request.
func (c *call) decode(v any, bad *refusal) *refusal {
	err := json.Unmarshal(c.body, v)
	if err == nil {
		c.decoded = true
		return nil
	}
	if bad != nil {
		return bad
	}
	if syntax, ok := err.(*json.SyntaxError); ok { //nolint:errorlint // Unmarshal returns it bare
		return refuse(http.StatusBadRequest, "json_parse", jsonComplaint(c.body, syntax.Offset))
	}
	return refuse(http.StatusBadRequest, "illegal_argument", "this is an invalid request.")
}

// jsonComplaint words a syntax error as the vendor's JSON parser does.
func jsonComplaint(body []byte, offset int64) string {
	if offset < 1 || offset > int64(len(body)) || len(body) == 0 {
		return "Unexpected end-of-input: expected close marker\n at [Source: java.io.BufferedInputStream@170e3f35; line: 1, column: 1]"
	}
	ch := body[offset-1]
	return fmt.Sprintf("Unexpected character ('%c' (code %d)): was expecting a colon to separate field name and value\n at [Source: java.io.BufferedInputStream@170e3f35; line: 1, column: %d]", ch, ch, offset)
}

// uuidOf makes an id of the vendor's form that is the same in every run.
func uuidOf(kind, name string) string {
	h := sha256.Sum256([]byte(kind + "\x00" + name))
	return fmt.Sprintf("%x-%x-%x-%x-%x", h[0:4], h[4:6], h[6:8], h[8:10], h[10:16])
}
