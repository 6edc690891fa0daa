package tasks

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// A Body is what a message says: Text, Image, Audio, Video, File, Location,
// Command or Custom. Media is uploaded to Easemob first; url and secret come
// from the upload's answer.
type Body interface {
	messageType() string
	validate() error
}

// Text is a message of type txt.
type Text struct {
	Msg string `json:"msg"`
}

// Image is a message of type img.
type Image struct {
	URL      string `json:"url"`
	Filename string `json:"filename,omitempty"`
	Secret   string `json:"secret,omitempty"`
	Size     *Size  `json:"size,omitempty"`
}

// Size is the size of an image in pixels.
type Size struct {
	Width  int `json:"width"`
	Height int `json:"height"`
}

// Audio is a message of type audio.
type Audio struct {
	URL      string `json:"url"`
	Filename string `json:"filename,omitempty"`
	Secret   string `json:"secret,omitempty"`
	Length   int    `json:"length,omitempty"` // seconds
}

// Video is a message of type video.
type Video struct {
	URL         string `json:"url"`
	Filename    string `json:"filename,omitempty"`
	Secret      string `json:"secret,omitempty"`
	Length      int    `json:"length,omitempty"` // seconds
	FileLength  int64  `json:"file_length,omitempty"`
	Thumb       string `json:"thumb,omitempty"` // URL of the first frame
	ThumbSecret string `json:"thumb_secret,omitempty"`
}

// File is a message of type file.
type File struct {
	URL      string `json:"url"`
	Filename string `json:"filename,omitempty"`
	Secret   string `json:"secret,omitempty"`
}

// Location is a message of type loc. Easemob takes the coordinates as strings.
type Location struct {
	Lat  string `json:"lat"`
	Lng  string `json:"lng"`
	Addr string `json:"addr"`
}

// Command is a message of type cmd, which clients act on and don't show.
type Command struct {
	Action string `json:"action"` // not empty: Easemob refuses an empty body (docs)
}

// Custom is a message of type custom.
type Custom struct {
	// Event is 1 to 32 of letters, digits, '-', '_', '/' and '.'.
	Event string            `json:"customEvent,omitempty"`
	Exts  map[string]string `json:"customExts,omitempty"` // at most 16
}

func (Text) messageType() string     { return "txt" }
func (Image) messageType() string    { return "img" }
func (Audio) messageType() string    { return "audio" }
func (Video) messageType() string    { return "video" }
func (File) messageType() string     { return "file" }
func (Location) messageType() string { return "loc" }
func (Command) messageType() string  { return "cmd" }
func (Custom) messageType() string   { return "custom" }

// bodyTypes decodes a body by the message's type.
var bodyTypes = map[string]func([]byte) (Body, error){
	"txt":    bodyAs[Text],
	"img":    bodyAs[Image],
	"audio":  bodyAs[Audio],
	"video":  bodyAs[Video],
	"file":   bodyAs[File],
	"loc":    bodyAs[Location],
	"cmd":    bodyAs[Command],
	"custom": bodyAs[Custom],
}

func bodyAs[B Body](raw []byte) (Body, error) {
	var b B
	if err := decodeStrict(raw, &b); err != nil {
		return nil, err
	}
	return b, nil
}

// bodyType finds the decoder of a message's type.
func bodyType(messageType string) (func([]byte) (Body, error), error) {
	decode, ok := bodyTypes[messageType]
	if !ok {
		return nil, fieldErr("type", messageType, "must be txt, img, audio, video, file, loc, cmd or custom")
	}
	return decode, nil
}

func decodeBody(messageType string, raw json.RawMessage) (Body, error) {
	decode, err := bodyType(messageType)
	if err != nil {
		return nil, err
	}
	if len(raw) == 0 || string(raw) == "null" {
		return nil, &FieldError{Field: "body", Bound: "must be given"}
	}
	body, err := decode(raw)
	if err != nil {
		return nil, within("body", err)
	}
	return body, nil
}

func (b Text) validate() error {
	if b.Msg == "" {
		return &FieldError{Field: "msg", Bound: "must not be empty"}
	}
	return nil
}

func (b Image) validate() error {
	if b.Size != nil && (b.Size.Width < 0 || b.Size.Height < 0) {
		return &FieldError{Field: "size", Value: fmt.Sprintf("%d × %d", b.Size.Width, b.Size.Height), Bound: "must not be negative"}
	}
	return checkURL("url", b.URL)
}

func (b Audio) validate() error {
	if b.Length < 0 {
		return &FieldError{Field: "length", Value: fmt.Sprint(b.Length), Bound: "must not be negative"}
	}
	return checkURL("url", b.URL)
}

func (b Video) validate() error {
	if b.Length < 0 || b.FileLength < 0 {
		return &FieldError{Field: "length", Value: fmt.Sprintf("%d, file_length %d", b.Length, b.FileLength), Bound: "must not be negative"}
	}
	if b.Thumb != "" {
		if err := checkURL("thumb", b.Thumb); err != nil {
			return err
		}
	}
	return checkURL("url", b.URL)
}

func (b File) validate() error { return checkURL("url", b.URL) }

func (b Location) validate() error {
	for _, f := range []struct{ name, value string }{{"lat", b.Lat}, {"lng", b.Lng}, {"addr", b.Addr}} {
		if f.value == "" {
			return &FieldError{Field: f.name, Bound: "must not be empty"}
		}
	}
	return nil
}

func (b Command) validate() error {
	if b.Action == "" {
		return &FieldError{Field: "action", Bound: "must not be empty"}
	}
	return nil
}

func (b Custom) validate() error {
	if b.Event == "" && len(b.Exts) == 0 {
		return &FieldError{Field: "customEvent", Bound: "give customEvent or customExts: Easemob refuses an empty body"}
	}
	if b.Event != "" {
		legal := strings.IndexFunc(b.Event, func(r rune) bool {
			return r > 127 || !isAlnum(byte(r)) && !slices.Contains([]rune("-_/."), r)
		}) < 0
		if !legal || len(b.Event) > CustomEventMax {
			return fieldErr("customEvent", b.Event, "1 to 32 of letters, digits, '-', '_', '/' and '.'")
		}
	}
	if len(b.Exts) > CustomExtsMax {
		return &FieldError{Field: "customExts", Value: fmt.Sprintf("%d entries", len(b.Exts)), Bound: fmt.Sprintf("at most %d", CustomExtsMax)}
	}
	return nil
}
