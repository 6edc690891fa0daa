package tasks

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// A Target says what the ids in a message's To are.
type Target string

// The targets of a message, spelt as in Easemob's endpoints. A broadcast goes to
// all Users, to the users who are Online, or to all active Rooms.
const (
	Users  Target = "users"
	Groups Target = "chatgroups"
	Rooms  Target = "chatrooms"
	Online Target = "online" // of a broadcast only
)

// ExtTaskID is the key under ext in which a message carries the ID of its
// task, so that a receiver can drop a second copy of the same message.
const ExtTaskID = "emq_id"

// Message is the payload of message.send: POST /messages/{target}, or
// /messages/{target}/users for a message to some members of a group or room.
//
// Easemob does not check its recipients: an unknown user, group or room is
// answered with 200 and a message id (docs).
type Message struct {
	Target Target
	// To are the recipients. One call takes 600 user ids, 3 group ids or 10 room
	// ids (docs, send endpoints); more are split into several tasks. Each counts
	// as one message against the app's limits.
	To []string
	// Users makes the message one to just these members of the one group or room
	// in To. One call takes 20 (docs); more are split into several tasks. Each
	// counts as one message. Only they see it; it is neither in the conversation
	// list nor counted as unread (docs). Nil means everybody in the group or room;
	// a list that is empty is refused, so that it never means that.
	Users []string
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
	// RoamIgnoreUsers don't get the message from the roaming store: of a group or
	// room at most 20 (docs), of users as many as one call has recipients.
	RoamIgnoreUsers []string
	SyncDevice      bool // users and groups: also to the sender's own devices
	NeedGroupAck    bool // groups: ask for read receipts
	// ChatroomMsgLevel is "high", "normal" or "low"; under load Easemob drops
	// room messages, low level first.
	ChatroomMsgLevel string
	// Env chooses among the app's callback routes: 1 to 8 letters and digits (docs).
	Env string
	// OmitTaskID leaves ext.emq_id out of the message.
	OmitTaskID bool
}

// messageJSON is Message as it is read, in Easemob's field names. From and Ext
// are raw, because absent, null and empty differ there.
type messageJSON struct {
	Target           Target          `json:"target"`
	To               []string        `json:"to"`
	Users            members         `json:"users"`
	From             *string         `json:"from"`
	Type             string          `json:"type"`
	Body             json.RawMessage `json:"body"`
	Ext              json.RawMessage `json:"ext"`
	RouteType        string          `json:"routetype"`
	RoamIgnoreUsers  []string        `json:"roam_ignore_users"`
	SyncDevice       bool            `json:"sync_device"`
	NeedGroupAck     bool            `json:"need_group_ack"`
	ChatroomMsgLevel string          `json:"chatroom_msg_level"`
	Env              string          `json:"env"`
	OmitTaskID       bool            `json:"omit_emq_id"`
}

// members are the users of a message to some members of a group or room. Null is
// refused, because it would pass for everybody.
type members []string

// UnmarshalJSON reads a list of names.
func (m *members) UnmarshalJSON(raw []byte) error {
	if string(raw) == "null" {
		return &FieldError{Field: "users", Value: "null", Bound: "must be a list of user ids; leave it out to send to everybody in the group or room"}
	}
	return decodeStrict(raw, (*[]string)(m))
}

// MarshalJSON writes the message in Easemob's field names.
func (m Message) MarshalJSON() ([]byte, error) {
	raw, _, err := m.encode()
	return raw, err
}

// encode writes the message, and says how much of it body and ext take. It goes field
// by field, because most tasks are messages, and encoding/json would read body and
// ext several times.
func (m Message) encode() (raw []byte, size int, _ error) {
	var body, ext []byte
	var err error
	if m.Body != nil {
		if body, err = encodeJSON(m.Body); err != nil {
			return nil, 0, err
		}
	}
	if len(m.Ext) > 0 {
		if ext, err = encodeJSON(m.Ext); err != nil {
			return nil, 0, err
		}
	}
	w := newFieldWriter(len(body) + len(ext) + 32*len(m.To) + 128)
	w.textUnlessEmpty("target", string(m.Target))
	w.texts("to", m.To)
	if m.Users != nil {
		w.texts("users", m.Users)
	}
	w.textUnlessEmpty("from", m.From)
	if m.Body == nil {
		w.text("type", "")
		w.raw("body", []byte("null"))
	} else {
		w.text("type", m.Body.messageType())
		w.raw("body", body)
	}
	if ext != nil {
		w.raw("ext", ext)
	}
	w.textUnlessEmpty("routetype", m.RouteType)
	if len(m.RoamIgnoreUsers) > 0 {
		w.texts("roam_ignore_users", m.RoamIgnoreUsers)
	}
	w.flag("sync_device", m.SyncDevice)
	w.flag("need_group_ack", m.NeedGroupAck)
	w.textUnlessEmpty("chatroom_msg_level", m.ChatroomMsgLevel)
	w.textUnlessEmpty("env", m.Env)
	w.flag("omit_emq_id", m.OmitTaskID)
	return w.end(), len(body) + len(ext), nil
}

// UnmarshalJSON reads a message in Easemob's field names; unknown fields are errors.
func (m *Message) UnmarshalJSON(raw []byte) error {
	var in messageJSON
	if err := decodeStrict(raw, &in); err != nil {
		return err
	}
	from, err := decodeFrom(in.From)
	if err != nil {
		return err
	}
	body, err := decodeBody(in.Type, in.Body)
	if err != nil {
		return err
	}
	*m = Message{
		Target: in.Target, To: in.To, Users: in.Users, Body: body, RouteType: in.RouteType, RoamIgnoreUsers: in.RoamIgnoreUsers,
		SyncDevice: in.SyncDevice, NeedGroupAck: in.NeedGroupAck, ChatroomMsgLevel: in.ChatroomMsgLevel,
		Env: in.Env, OmitTaskID: in.OmitTaskID,
	}
	m.From = from
	m.Ext, err = decodeExt(in.Ext)
	return err
}

// decodeFrom refuses the empty string, which Easemob does not take (docs).
func decodeFrom(from *string) (string, error) {
	if from != nil && *from == "" {
		return "", &FieldError{Field: "from", Value: `""`, Bound: "must not be empty; leave it out to send as admin"}
	}
	return deref(from), nil
}

func decodeExt(raw json.RawMessage) (ext map[string]any, err error) {
	if raw == nil {
		return nil, nil
	}
	if bytes.Equal(raw, []byte("null")) {
		return nil, &FieldError{Field: "ext", Value: "null", Bound: "must be a JSON object, or left out"}
	}
	if err := decodeStrict(raw, &ext); err != nil {
		return nil, &FieldError{Field: "ext", Bound: "must be a JSON object"}
	}
	return ext, nil
}

// Kind returns KindMessageSend.
func (Message) Kind() Kind { return KindMessageSend }

// Validate checks the message against the documented bounds of the send
// endpoints, but for the number of recipients, over which a message is split.
func (m Message) Validate() error {
	check := checkTargetID
	switch m.Target {
	case Users:
		check = checkUserID
	case Groups, Rooms:
	default:
		return fieldErr("target", string(m.Target), "must be users, chatgroups or chatrooms")
	}
	if err := checkNames("to", m.To, TargetsMax, check); err != nil {
		return err
	}
	if m.Users != nil {
		if m.Target == Users || len(m.To) != 1 {
			return &FieldError{Field: "users", Bound: "names members of one group or room: target must be chatgroups or chatrooms, and to one id"}
		}
		if err := checkNames("users", m.Users, TargetsMax, checkUserID); err != nil {
			return err
		}
	}
	if err := checkSending(m.From, m.Body, "body", m.Ext, m.OmitTaskID); err != nil {
		return err
	}
	if m.RouteType != "" && (m.RouteType != "ROUTE_ONLINE" || m.Target == Rooms) {
		return fieldErr("routetype", m.RouteType, "must be ROUTE_ONLINE or left out; not for chatrooms")
	}
	if len(m.RoamIgnoreUsers) > 0 {
		most := RoamIgnoreMax
		if m.Target == Users {
			most = RecipientsUsers
		}
		if err := checkNames("roam_ignore_users", m.RoamIgnoreUsers, most, checkUserID); err != nil {
			return err
		}
	}
	if m.SyncDevice && m.Target == Rooms {
		return &FieldError{Field: "sync_device", Value: "true", Bound: "only for users and chatgroups"}
	}
	if m.NeedGroupAck && m.Target != Groups {
		return &FieldError{Field: "need_group_ack", Value: "true", Bound: "only for chatgroups"}
	}
	if m.Env != "" && (len(m.Env) > EnvMaxChars || strings.IndexFunc(m.Env, func(r rune) bool { return r > 127 || !isAlnum(byte(r)) }) >= 0) {
		return fieldErr("env", m.Env, fmt.Sprintf("1 to %d letters and digits", EnvMaxChars))
	}
	return checkLevel(m.ChatroomMsgLevel, m.Target)
}

// checkSending checks what all messages have: a sender, a body in a field, and ext.
func checkSending(from string, body Body, field string, ext map[string]any, omitTaskID bool) error {
	if from != "" {
		if err := checkUserID("from", from); err != nil {
			return err
		}
	}
	if isNil(body) {
		return &FieldError{Field: field, Bound: "must be given"}
	}
	if err := body.validate(); err != nil {
		return within(field, err)
	}
	if _, taken := ext[ExtTaskID]; taken && !omitTaskID {
		return &FieldError{Field: "ext." + ExtTaskID, Bound: "is emq's own; set omit_emq_id to send your own value"}
	}
	return nil
}

func checkLevel(level string, target Target) error {
	switch level {
	case "":
	case "high", "normal", "low":
		if target != Rooms {
			return fieldErr("chatroom_msg_level", level, "only for chatrooms")
		}
	default:
		return fieldErr("chatroom_msg_level", level, "must be high, normal or low")
	}
	return nil
}

func (m Message) endpoint() Endpoint {
	switch {
	case m.Target == Groups && m.Users != nil:
		return "messages.group_members"
	case m.Target == Groups:
		return EndpointMessagesGroups
	case m.Target == Rooms && m.Users != nil:
		return "messages.room_members"
	case m.Target == Rooms:
		return EndpointMessagesRooms
	default:
		return EndpointMessagesUsers
	}
}

func (m Message) messages() int { return len(*m.recipients()) }

// recipients is the list that Targets and Only are about.
func (m *Message) recipients() *[]string {
	if m.Users != nil {
		return &m.Users
	}
	return &m.To
}

// Targets are the recipients: the members when the message is to some of a
// group or room, else the ids in To.
func (m Message) Targets() []string { return slices.Clone(*m.recipients()) }

// Only sends to just those recipients that are among targets.
func (m Message) Only(targets []string) Payload {
	list := m.recipients()
	*list = onlyNames(*list, targets)
	if m.Target == Users && len(m.RoamIgnoreUsers) > 0 {
		m.RoamIgnoreUsers = onlyNames(m.RoamIgnoreUsers, targets)
	}
	return m
}

func (m Message) perCall() (string, int) {
	switch {
	case m.Users != nil:
		return "users", RecipientsMembers
	case m.Target == Groups:
		return "to", RecipientsGroups
	case m.Target == Rooms:
		return "to", RecipientsRooms
	default:
		return "to", RecipientsUsers
	}
}

// Request builds the send call. It returns a *FieldError when body and ext,
// with the task's ID in it, take more than 5 KB.
func (m Message) Request(id string) (Request, error) {
	m.Ext = withTaskID(m.Ext, id, m.OmitTaskID)
	path := "/messages/" + string(m.Target)
	if m.Users != nil {
		path += "/users"
	}
	m.Target, m.OmitTaskID = "", false // emq's own fields, not part of the body
	raw, size, err := m.encode()
	if err != nil {
		return Request{}, unwritable(err)
	}
	if err := checkMessageSize("body and ext", size); err != nil {
		return Request{}, err
	}
	return Request{Method: "POST", Path: path, Body: raw}, nil
}

// withTaskID is ext with the task's ID in it.
func withTaskID(ext map[string]any, id string, omit bool) map[string]any {
	if omit {
		return ext
	}
	with := make(map[string]any, len(ext)+1)
	maps.Copy(with, ext)
	with[ExtTaskID] = id
	return with
}

func unwritable(err error) error {
	return &FieldError{Field: "ext", Bound: "can't be written as JSON: " + err.Error()}
}

func checkMessageSize(field string, n int) error {
	if n > MessageMaxBytes {
		return &FieldError{
			Field: field,
			Value: fmt.Sprintf("%d bytes of JSON", n),
			Bound: fmt.Sprintf("at most %d together (ext.%s included)", MessageMaxBytes, ExtTaskID),
		}
	}
	return nil
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
	Force bool `json:"force"`
	// SyncDevice recalls it on the sender's own devices too; nil: Easemob's
	// default, true (docs).
	SyncDevice *bool `json:"sync_device,omitempty"`
	// ExtensionInfo is handed to those who are told of the recall.
	ExtensionInfo string `json:"recallMessageExtensionInfo,omitempty"`
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
