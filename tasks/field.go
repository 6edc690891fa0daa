package tasks

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"reflect"
	"strconv"
	"strings"

	json2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// A FieldError refuses a task before anything is queued: it names the field,
// the value as far as it may be shown, and the bound that the value broke.
type FieldError struct {
	Field string // path in the envelope or payload, e.g. "to[3]" or "body.msg"
	Value string // what was given; empty when absent or not to be shown
	Bound string // what is allowed
}

func (e *FieldError) Error() string {
	if e.Value == "" {
		return e.Field + ": " + e.Bound
	}
	return e.Field + ": " + e.Value + ": " + e.Bound
}

// fieldErr builds a FieldError that shows value quoted and shortened.
func fieldErr(field, value, bound string) error {
	const shown = 80
	if len(value) > shown {
		value = value[:shown] + "…"
	}
	return &FieldError{Field: field, Value: strconv.QuoteToASCII(value), Bound: bound}
}

// within prefixes the field of a FieldError in err with the field that holds it.
func within(parent string, err error) error {
	var fe *FieldError
	if errors.As(err, &fe) {
		inner := *fe
		inner.Field = parent + "." + fe.Field
		if fe.Field == wholeJSON {
			inner.Field = parent
		}
		return &inner
	}
	return err
}

// Limits of Easemob's IM REST API that are checked at enqueue.
const (
	UserIDMaxBytes       = 64         // docs, user registration
	PasswordMaxChars     = 64         // docs, user registration
	NicknameMaxChars     = 100        // docs, user registration
	MembersPerCall       = 60         // docs: members added or removed, users registered by one call
	MessageMaxBytes      = 5 * 1024   // docs: body and ext of one message together (error_code 14007)
	RecipientsUsers      = 600        // docs: user ids of one send
	RecipientsGroups     = 3          // docs: group ids of one send
	RecipientsRooms      = 10         // docs: room ids of one send
	RecipientsMembers    = 20         // docs: members of a group or room that one directed send names
	RoamIgnoreMax        = 20         // docs: roam_ignore_users of groups and rooms
	GroupNameMaxChars    = 128        // docs, group creation
	GroupAvatarMax       = 1024       // docs, group creation
	GroupDescMaxChars    = 512        // docs, group creation
	GroupCustomMax       = 8 * 1024   // docs, group creation
	GroupUsersDefault    = 200        // docs: members of a group that is created without maxusers
	RoomUsersDefault     = 1000       // docs: members of a chat room that is created without maxusers
	RoomUsersMax         = 10_000     // docs: maxusers of a chat room
	AnnouncementMaxChars = 512        // docs: announcement of a group or chat room
	AttributesMaxBytes   = 2 * 1024   // docs: attributes of one user together
	BlockListMax         = 500        // docs: block list of one user
	MuteForever          = -1         // docs: instead of a duration
	MuteMaxSeconds       = 1<<31 - 1  // docs: mute of a user in the whole app
	CustomEventMax       = 32         // docs: customEvent of a custom message
	CustomExtsMax        = 16         // docs: entries of customExts
	EnvMaxChars          = 8          // docs: env of a message
	TargetsMax           = 10_000     // emq's own: targets of one task before it is split
	PathMaxBytes         = 2048       // emq's own, as Easemob documents none: path of a call
	ListBodyMaxBytes     = 5 * 1024   // docs: requests above it were refused with 413; now kept for lists of names and users
	RawBodyMaxBytes      = 256 * 1024 // emq's own
	targetIDMaxBytes     = 64
	mediaURLMaxBytes     = 2048
	messageIDMaxDigits   = 32
)

// checkUserID holds value against Easemob's user-id grammar: at most 64 bytes
// of letters, digits, '_', '-' and '.'. Case does not matter to Easemob, so
// upper case passes here and comes back in lower case in answers. "." and ".."
// can't stand in a path.
func checkUserID(field, value string) error {
	const bound = "a user id has 1 to 64 bytes of letters, digits, '_', '-' and '.', and more than dots"
	if strings.Trim(value, ".") == "" || len(value) > UserIDMaxBytes {
		return fieldErr(field, value, bound)
	}
	for i := range len(value) {
		if c := value[i]; !isAlnum(c) && c != '_' && c != '-' && c != '.' {
			return fieldErr(field, value, bound)
		}
	}
	return nil
}

// checkTargetID checks the id of a group or a room. Easemob's own are digit
// strings; letters pass because creation seems to accept chosen ids.
func checkTargetID(field, value string) error {
	const bound = "a group or room id has 1 to 64 letters, digits, '_' and '-'"
	if value == "" || len(value) > targetIDMaxBytes {
		return fieldErr(field, value, bound)
	}
	for i := range len(value) {
		if c := value[i]; !isAlnum(c) && c != '_' && c != '-' {
			return fieldErr(field, value, bound)
		}
	}
	return nil
}

// checkNames checks a list of ids: its length, each id, and that none is
// given twice. Ids are compared in lower case, as Easemob does.
func checkNames(field string, names []string, most int, check func(field, value string) error) error {
	if len(names) == 0 {
		return &FieldError{Field: field, Bound: "must hold at least one id"}
	}
	if len(names) > most {
		return &FieldError{Field: field, Value: fmt.Sprintf("%d ids", len(names)), Bound: fmt.Sprintf("at most %d", most)}
	}
	seen := make(map[string]int, len(names))
	for i, name := range names {
		at := field + "[" + strconv.Itoa(i) + "]"
		if err := check(at, name); err != nil {
			return err
		}
		lower := strings.ToLower(name)
		if first, twice := seen[lower]; twice {
			return fieldErr(at, name, fmt.Sprintf("given twice (also %s[%d])", field, first))
		}
		seen[lower] = i
	}
	return nil
}

// checkChars bounds the characters of a text; it does not show the text.
func checkChars(field, value string, most int) error {
	if n := len([]rune(value)); n > most {
		return &FieldError{Field: field, Value: fmt.Sprintf("%d characters", n), Bound: fmt.Sprintf("at most %d", most)}
	}
	return nil
}

func checkBytes(field string, n, most int) error {
	if n > most {
		return &FieldError{Field: field, Value: fmt.Sprintf("%d bytes", n), Bound: fmt.Sprintf("at most %d", most)}
	}
	return nil
}

func checkURL(field, value string) error {
	if value == "" {
		return &FieldError{Field: field, Bound: "must be given"}
	}
	if err := checkBytes(field, len(value), mediaURLMaxBytes); err != nil {
		return err
	}
	u, err := url.Parse(value)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return fieldErr(field, value, "must be an http or https URL, as the upload of the file answered it")
	}
	return nil
}

// isNil says whether an interface holds nothing, or a nil pointer, whose
// methods would panic.
func isNil(v any) bool {
	p := reflect.ValueOf(v)
	return !p.IsValid() || p.Kind() == reflect.Pointer && p.IsNil()
}

// deref is the value of a field that may be left out.
func deref[T any](p *T) T {
	if p == nil {
		return *new(T)
	}
	return *p
}

func isAlnum(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

// wholeJSON is the Field of an error about a JSON value as a whole.
const wholeJSON = "json"

// decodeStrict reads exactly one JSON value into v. Unknown fields are errors,
// because a misspelt field would otherwise be dropped in silence. Numbers in
// free-form values stay as written. Every error is a FieldError without the
// value's text, which may be a message.
func decodeStrict[T any](raw []byte, v *T) error {
	// What is well-formed is read by the fast decoder. It is stricter than
	// encoding/json, which reads the rest, names in another case among it, and says
	// what is wrong.
	var fast T
	if json2.Unmarshal(raw, &fast, fastOptions) == nil {
		*v = fast
		return nil
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	dec.UseNumber()
	if err := dec.Decode(v); err != nil {
		return jsonFieldError(err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return &FieldError{Field: wholeJSON, Bound: "must be one JSON object with nothing after it"}
	}
	return nil
}

var fastOptions = json2.JoinOptions(
	json2.RejectUnknownMembers(true),
	json2.WithUnmarshalers(json2.UnmarshalFromFunc(func(dec *jsontext.Decoder, v *any) error {
		if dec.PeekKind() != '0' {
			return errors.ErrUnsupported // leave it to the decoder
		}
		number, err := dec.ReadValue()
		*v = json.Number(number)
		return err
	})),
)

// refuseTwice returns a *FieldError for a field that a JSON object gives twice, in
// whatever case: the one that stands later would win in silence.
func refuseTwice(object []byte) error {
	dec := json.NewDecoder(bytes.NewReader(object))
	if start, err := dec.Token(); err != nil || start != json.Delim('{') {
		return nil // whoever decodes it says what is wrong
	}
	seen := map[string]bool{}
	for dec.More() {
		key, err := dec.Token()
		name, ok := key.(string)
		if err != nil || !ok {
			return nil
		}
		if seen[strings.ToLower(name)] {
			return &FieldError{Field: shorten(Printable(name, 80), 40), Bound: "given twice"}
		}
		seen[strings.ToLower(name)] = true
		var value json.RawMessage
		if dec.Decode(&value) != nil {
			return nil
		}
	}
	return nil
}

func jsonFieldError(err error) error {
	var fe *FieldError
	var te *json.UnmarshalTypeError
	var se *json.SyntaxError
	switch {
	case errors.As(err, &fe):
		return err
	case errors.As(err, &te):
		field := te.Field
		if field == "" {
			field = wholeJSON
		}
		return &FieldError{Field: field, Value: "a JSON " + te.Value, Bound: "must be " + jsonName(te)}
	case errors.As(err, &se):
		return &FieldError{Field: wholeJSON, Bound: fmt.Sprintf("not valid JSON at byte %d: %v", se.Offset, se)}
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return &FieldError{Field: wholeJSON, Bound: "ends too early"}
	}
	if name, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		if unquoted, uerr := strconv.Unquote(name); uerr == nil {
			name = unquoted
		}
		return &FieldError{Field: shorten(Printable(name, 80), 40), Bound: "no such field here (check the spelling)"}
	}
	return &FieldError{Field: wholeJSON, Bound: err.Error()}
}

func jsonName(te *json.UnmarshalTypeError) string {
	switch te.Type.Kind().String() {
	case "string":
		return "a JSON string"
	case "bool":
		return "true or false"
	case "slice":
		return "a JSON array"
	case "struct", "map":
		return "a JSON object"
	case "float64":
		return "a JSON number"
	default:
		return "a whole number"
	}
}

// encodeJSON is json.Marshal without HTML escaping: what Easemob receives and
// what its size limits count are then the bytes that the caller wrote.
func encodeJSON(v any) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n")), nil
}

// encodePayload is encodeJSON without a second look at what a payload's own method
// has written.
func encodePayload(p Payload) ([]byte, error) {
	if own, ok := p.(json.Marshaler); ok {
		return own.MarshalJSON()
	}
	return encodeJSON(p)
}
