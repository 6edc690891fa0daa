package tasks

import (
	"bytes"
	"encoding/json"
)

// Broadcast is the payload of message.broadcast: POST /messages/broadcast,
// /messages/users/broadcast or /messages/chatrooms/broadcast. Each must be
// switched on for the app, and few a day are allowed (docs).
type Broadcast struct {
	// Target is Users for all users of the app, Online for those who are online,
	// Rooms for all active chat rooms.
	Target Target
	// From is the sender's user id; empty leaves it out, and Easemob sends as
	// "admin".
	From string
	// Body is one of Text, Image, Audio, Video, File, Location, Command, Custom.
	Body Body
	// Ext is handed to the receivers as it is. With Body it may take 5 KB.
	Ext map[string]any
	// ChatroomMsgLevel is "high", "normal" or "low", for Rooms only.
	ChatroomMsgLevel string
	// OmitTaskID leaves ext.emq_id out of the message.
	OmitTaskID bool
}

// broadcastJSON is Broadcast on the wire. Msg holds the body's fields and their
// type in one object.
type broadcastJSON struct {
	Target           Target          `json:"target,omitempty"`
	From             *string         `json:"from,omitempty"`
	Msg              json.RawMessage `json:"msg,omitempty"`
	Ext              json.RawMessage `json:"ext,omitempty"`
	ChatroomMsgLevel string          `json:"chatroom_msg_level,omitempty"`
	OmitTaskID       bool            `json:"omit_emq_id,omitempty"`
}

// MarshalJSON writes the broadcast in Easemob's field names.
func (b Broadcast) MarshalJSON() ([]byte, error) {
	out, err := b.json()
	if err != nil {
		return nil, err
	}
	return encodeJSON(out)
}

func (b Broadcast) json() (broadcastJSON, error) {
	out := broadcastJSON{Target: b.Target, ChatroomMsgLevel: b.ChatroomMsgLevel, OmitTaskID: b.OmitTaskID}
	if b.From != "" {
		out.From = &b.From
	}
	if len(b.Ext) > 0 {
		var err error
		if out.Ext, err = encodeJSON(b.Ext); err != nil {
			return out, err
		}
	}
	if b.Body == nil {
		return out, nil
	}
	fields, err := encodeJSON(b.Body)
	if err != nil {
		return out, err
	}
	out.Msg = []byte(`{"type":"` + b.Body.messageType() + `"`)
	if rest := bytes.TrimPrefix(fields, []byte("{")); len(rest) > 1 { // more than the closing brace
		out.Msg = append(append(out.Msg, ','), rest...)
	} else {
		out.Msg = append(out.Msg, '}')
	}
	return out, nil
}

// UnmarshalJSON reads a broadcast in Easemob's field names; unknown fields are errors.
func (b *Broadcast) UnmarshalJSON(raw []byte) error {
	var in broadcastJSON
	if err := decodeStrict(raw, &in); err != nil {
		return err
	}
	from, err := decodeFrom(in.From)
	if err != nil {
		return err
	}
	body, err := decodeMsg(in.Msg)
	if err != nil {
		return err
	}
	*b = Broadcast{Target: in.Target, From: from, Body: body, ChatroomMsgLevel: in.ChatroomMsgLevel, OmitTaskID: in.OmitTaskID}
	b.Ext, err = decodeExt(in.Ext)
	return err
}

// decodeMsg takes the type out of a broadcast's msg; the rest is the body.
func decodeMsg(raw json.RawMessage) (Body, error) {
	if len(raw) == 0 || string(raw) == "null" {
		return nil, &FieldError{Field: "msg", Bound: "must be given"}
	}
	var fields map[string]json.RawMessage
	if err := decodeStrict(raw, &fields); err != nil {
		return nil, &FieldError{Field: "msg", Bound: "must be a JSON object"}
	}
	var messageType string
	if written, ok := fields["type"]; ok {
		if err := decodeStrict(written, &messageType); err != nil {
			return nil, &FieldError{Field: "msg.type", Bound: "must be a JSON string"}
		}
	}
	delete(fields, "type")
	rest, err := encodeJSON(fields)
	if err != nil {
		return nil, &FieldError{Field: "msg", Bound: err.Error()}
	}
	decode, err := bodyType(messageType)
	if err != nil {
		return nil, within("msg", err)
	}
	body, err := decode(rest)
	if err != nil {
		return nil, within("msg", err)
	}
	return body, nil
}

// Kind returns KindMessageBroadcast.
func (Broadcast) Kind() Kind { return KindMessageBroadcast }

// Validate checks the fields of the broadcast.
func (b Broadcast) Validate() error {
	switch b.Target {
	case Users, Online, Rooms:
	default:
		return fieldErr("target", string(b.Target), "must be users, online or chatrooms")
	}
	if err := checkSending(b.From, b.Body, "msg", b.Ext, b.OmitTaskID); err != nil {
		return err
	}
	return checkLevel(b.ChatroomMsgLevel, b.Target)
}

func (b Broadcast) endpoint() Endpoint {
	switch b.Target {
	case Online:
		return "messages.broadcast_online"
	case Rooms:
		return "messages.broadcast_rooms"
	default:
		return "messages.broadcast_users"
	}
}

// messages is one: Easemob bounds the calls, not the receivers.
func (b Broadcast) messages() int { return 1 }

// Request builds the call. It returns a *FieldError when msg and ext, with the
// task's ID in it, take more than 5 KB.
func (b Broadcast) Request(id string) (Request, error) {
	path := map[Target]string{
		Users: "/messages/broadcast", Online: "/messages/users/broadcast", Rooms: "/messages/chatrooms/broadcast",
	}[b.Target]
	b.Ext = withTaskID(b.Ext, id, b.OmitTaskID)
	b.Target, b.OmitTaskID = "", false // emq's own fields, not part of the body
	out, err := b.json()
	if err != nil {
		return Request{}, unwritable(err)
	}
	if err := checkMessageSize("msg and ext", len(out.Msg)+len(out.Ext)); err != nil {
		return Request{}, err
	}
	return jsonRequest("POST", path, out)
}
