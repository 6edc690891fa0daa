package tasks

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
)

// A Target says what the ids in a message's To are.
type Target string

// The targets of a message, spelt as in Easemob's endpoints.
const (
	Users  Target = "users"
	Groups Target = "chatgroups"
	Rooms  Target = "chatrooms"
)

// ExtTaskID is the key under ext in which a message carries the ID of its
// task, so that a receiver can drop a second copy of the same message.
const ExtTaskID = "emq_id"

// Message is the payload of message.send: POST /messages/{target}.
//
// Easemob does not check its recipients: an unknown user, group or room is
// answered with 200 and a message id.
type Message struct {
	Target Target
	// To holds at most 600 user ids, 3 group ids or 10 room ids (docs, send
	// endpoints). Each counts as one message against the app's limits.
	To []string
	// From is the sender's user id; empty leaves it out, and Easemob sends as
	// "admin". A JSON payload must not give it as the empty string, which
	// Easemob refuses.
	From string
	// Body is one of Text, Image, Audio, Video, File, Location, Command, Custom.
	Body Body
	// Ext is handed to the receiver as it is. With Body it may take 5 KB.
	Ext map[string]any
	// RouteType "ROUTE_ONLINE" sends to receivers who are online only.
	RouteType string
	// RoamIgnoreUsers, at most 20, don't get a group's or room's message from
	// the roaming store.
	RoamIgnoreUsers []string
	SyncDevice      bool // users: also to the sender's own devices
	NeedGroupAck    bool // groups: ask for read receipts
	// ChatroomMsgLevel is "high", "normal" or "low"; under load Easemob drops
	// room messages, low level first.
	ChatroomMsgLevel string
	// OmitTaskID leaves ext.emq_id out of the message.
	OmitTaskID bool
}

// messageJSON is Message on the wire, in Easemob's field names. From and Ext
// are raw, because absent, null and empty differ there.
type messageJSON struct {
	Target           Target          `json:"target,omitempty"`
	To               []string        `json:"to"`
	From             *string         `json:"from,omitempty"`
	Type             string          `json:"type"`
	Body             json.RawMessage `json:"body"`
	Ext              json.RawMessage `json:"ext,omitempty"`
	RouteType        string          `json:"routetype,omitempty"`
	RoamIgnoreUsers  []string        `json:"roam_ignore_users,omitempty"`
	SyncDevice       bool            `json:"sync_device,omitempty"`
	NeedGroupAck     bool            `json:"need_group_ack,omitempty"`
	ChatroomMsgLevel string          `json:"chatroom_msg_level,omitempty"`
	OmitTaskID       bool            `json:"omit_emq_id,omitempty"`
}

// MarshalJSON writes the message in Easemob's field names.
func (m Message) MarshalJSON() ([]byte, error) {
	out, err := m.json()
	if err != nil {
		return nil, err
	}
	return encodeJSON(out)
}

func (m Message) json() (messageJSON, error) {
	out := messageJSON{
		Target: m.Target, To: m.To, RouteType: m.RouteType, RoamIgnoreUsers: m.RoamIgnoreUsers,
		SyncDevice: m.SyncDevice, NeedGroupAck: m.NeedGroupAck, ChatroomMsgLevel: m.ChatroomMsgLevel,
		OmitTaskID: m.OmitTaskID,
	}
	if m.From != "" {
		out.From = &m.From
	}
	var err error
	if m.Body != nil {
		out.Type = m.Body.messageType()
		if out.Body, err = encodeJSON(m.Body); err != nil {
			return out, err
		}
	}
	if len(m.Ext) > 0 {
		out.Ext, err = encodeJSON(m.Ext)
	}
	return out, err
}

// UnmarshalJSON reads a message in Easemob's field names; unknown fields are errors.
func (m *Message) UnmarshalJSON(raw []byte) error {
	var in messageJSON
	if err := decodeStrict(raw, &in); err != nil {
		return err
	}
	if in.From != nil && *in.From == "" {
		return &FieldError{Field: "from", Value: `""`, Bound: "must not be empty; leave it out to send as admin"}
	}
	body, err := decodeBody(in.Type, in.Body)
	if err != nil {
		return err
	}
	*m = Message{
		Target: in.Target, To: in.To, Body: body, RouteType: in.RouteType, RoamIgnoreUsers: in.RoamIgnoreUsers,
		SyncDevice: in.SyncDevice, NeedGroupAck: in.NeedGroupAck, ChatroomMsgLevel: in.ChatroomMsgLevel,
		OmitTaskID: in.OmitTaskID,
	}
	if in.From != nil {
		m.From = *in.From
	}
	if in.Ext != nil {
		if bytes.Equal(in.Ext, []byte("null")) {
			return &FieldError{Field: "ext", Value: "null", Bound: "must be a JSON object, or left out"}
		}
		if err := decodeStrict(in.Ext, &m.Ext); err != nil {
			return &FieldError{Field: "ext", Bound: "must be a JSON object"}
		}
	}
	return nil
}

// Kind returns KindMessageSend.
func (Message) Kind() Kind { return KindMessageSend }

// Validate checks the message against the documented bounds of the send endpoints.
func (m Message) Validate() error {
	most := map[Target]int{Users: RecipientsUsers, Groups: RecipientsGroups, Rooms: RecipientsRooms}[m.Target]
	if most == 0 {
		return fieldErr("target", string(m.Target), "must be users, chatgroups or chatrooms")
	}
	check := checkTargetID
	if m.Target == Users {
		check = checkUserID
	}
	if err := checkNames("to", m.To, most, check); err != nil {
		return err
	}
	if m.From != "" {
		if err := checkUserID("from", m.From); err != nil {
			return err
		}
	}
	if isNil(m.Body) {
		return &FieldError{Field: "body", Bound: "must be given"}
	}
	if err := m.Body.validate(); err != nil {
		return within("body", err)
	}
	if m.RouteType != "" && (m.RouteType != "ROUTE_ONLINE" || m.Target == Rooms) {
		return fieldErr("routetype", m.RouteType, "must be ROUTE_ONLINE or left out; not for chatrooms")
	}
	if len(m.RoamIgnoreUsers) > 0 {
		if m.Target == Users {
			return &FieldError{Field: "roam_ignore_users", Bound: "only for chatgroups and chatrooms"}
		}
		if err := checkNames("roam_ignore_users", m.RoamIgnoreUsers, RoamIgnoreMax, checkUserID); err != nil {
			return err
		}
	}
	if m.SyncDevice && m.Target != Users {
		return &FieldError{Field: "sync_device", Value: "true", Bound: "only for users"}
	}
	if m.NeedGroupAck && m.Target != Groups {
		return &FieldError{Field: "need_group_ack", Value: "true", Bound: "only for chatgroups"}
	}
	switch m.ChatroomMsgLevel {
	case "":
	case "high", "normal", "low":
		if m.Target != Rooms {
			return fieldErr("chatroom_msg_level", m.ChatroomMsgLevel, "only for chatrooms")
		}
	default:
		return fieldErr("chatroom_msg_level", m.ChatroomMsgLevel, "must be high, normal or low")
	}
	if _, taken := m.Ext[ExtTaskID]; taken && !m.OmitTaskID {
		return &FieldError{Field: "ext." + ExtTaskID, Bound: "is emq's own; set omit_emq_id to send your own value"}
	}
	return nil
}

// Request builds the send call. It returns a *FieldError when body and ext,
// with the task's ID in it, take more than 5 KB.
func (m Message) Request(id string) (Request, error) {
	if !m.OmitTaskID {
		ext := make(map[string]any, len(m.Ext)+1)
		maps.Copy(ext, m.Ext)
		ext[ExtTaskID] = id
		m.Ext = ext
	}
	path := "/messages/" + string(m.Target)
	m.Target, m.OmitTaskID = "", false // emq's own fields, not part of the body
	out, err := m.json()
	if err != nil {
		return Request{}, &FieldError{Field: "ext", Bound: "can't be written as JSON: " + err.Error()}
	}
	if n := len(out.Body) + len(out.Ext); n > MessageMaxBytes {
		return Request{}, &FieldError{
			Field: "body and ext",
			Value: fmt.Sprintf("%d bytes of JSON", n),
			Bound: fmt.Sprintf("at most %d together (ext.%s included)", MessageMaxBytes, ExtTaskID),
		}
	}
	return jsonRequest("POST", path, out)
}

// Recall is the payload of message.recall: POST /messages/msg_recall. Recall
// must be switched on for the app; its window is 2 minutes unless set longer.
type Recall struct {
	MsgID    string `json:"msg_id"`
	To       string `json:"to"`        // user, group or room id that the message went to
	ChatType string `json:"chat_type"` // "chat", "groupchat" or "chatroom"
	From     string `json:"from,omitempty"`
	// Force recalls a message beyond the window too. The endpoint requires the
	// field, so it is always sent.
	Force      bool `json:"force"`
	SyncDevice bool `json:"sync_device,omitempty"`
}

// Kind returns KindMessageRecall.
func (Recall) Kind() Kind { return KindMessageRecall }

// Validate checks the fields of the recall.
func (r Recall) Validate() error {
	if r.MsgID == "" || len(r.MsgID) > messageIDMaxDigits || strings.Trim(r.MsgID, "0123456789") != "" {
		return fieldErr("msg_id", r.MsgID, "a message id has 1 to 32 digits")
	}
	check := checkTargetID
	switch r.ChatType {
	case "chat":
		check = checkUserID
	case "groupchat", "chatroom":
	default:
		return fieldErr("chat_type", r.ChatType, "must be chat, groupchat or chatroom")
	}
	if err := check("to", r.To); err != nil {
		return err
	}
	if r.From != "" {
		return checkUserID("from", r.From)
	}
	return nil
}

// Request builds the recall call.
func (r Recall) Request(string) (Request, error) {
	return jsonRequest("POST", "/messages/msg_recall", r)
}

func jsonRequest(method, path string, body any) (Request, error) {
	raw, err := encodeJSON(body)
	if err != nil {
		return Request{}, fmt.Errorf("build %s %s: %w", method, path, err)
	}
	return Request{Method: method, Path: path, Body: raw}, nil
}
