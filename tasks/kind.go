package tasks

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// A Kind says what the call of a task does.
type Kind string

// The kinds that this version knows.
const (
	KindMessageSend      Kind = "message.send"
	KindMessageRecall    Kind = "message.recall"
	KindMessageBroadcast Kind = "message.broadcast"

	KindGroupCreate          Kind = "group.create"
	KindGroupUpdate          Kind = "group.update"
	KindGroupDelete          Kind = "group.delete"
	KindGroupTransferOwner   Kind = "group.transfer_owner"
	KindGroupAddMembers      Kind = "group.add_members"
	KindGroupRemoveMembers   Kind = "group.remove_members"
	KindGroupAddAdmin        Kind = "group.add_admin"
	KindGroupRemoveAdmin     Kind = "group.remove_admin"
	KindGroupMuteMembers     Kind = "group.mute_members"
	KindGroupUnmuteMembers   Kind = "group.unmute_members"
	KindGroupMuteAll         Kind = "group.mute_all"
	KindGroupUnmuteAll       Kind = "group.unmute_all"
	KindGroupBlockMembers    Kind = "group.block_members"
	KindGroupUnblockMembers  Kind = "group.unblock_members"
	KindGroupAllowMembers    Kind = "group.allow_members"
	KindGroupDisallowMembers Kind = "group.disallow_members"
	KindGroupSetAnnouncement Kind = "group.set_announcement"

	KindRoomCreate          Kind = "chatroom.create"
	KindRoomUpdate          Kind = "chatroom.update"
	KindRoomDelete          Kind = "chatroom.delete"
	KindRoomTransferOwner   Kind = "chatroom.transfer_owner"
	KindRoomAddMembers      Kind = "chatroom.add_members"
	KindRoomRemoveMembers   Kind = "chatroom.remove_members"
	KindRoomAddAdmin        Kind = "chatroom.add_admin"
	KindRoomRemoveAdmin     Kind = "chatroom.remove_admin"
	KindRoomMuteMembers     Kind = "chatroom.mute_members"
	KindRoomUnmuteMembers   Kind = "chatroom.unmute_members"
	KindRoomMuteAll         Kind = "chatroom.mute_all"
	KindRoomUnmuteAll       Kind = "chatroom.unmute_all"
	KindRoomBlockMembers    Kind = "chatroom.block_members"
	KindRoomUnblockMembers  Kind = "chatroom.unblock_members"
	KindRoomAllowMembers    Kind = "chatroom.allow_members"
	KindRoomDisallowMembers Kind = "chatroom.disallow_members"
	KindRoomSetAnnouncement Kind = "chatroom.set_announcement"

	KindUserRegister      Kind = "user.register"
	KindUserDelete        Kind = "user.delete"
	KindUserResetPassword Kind = "user.reset_password"
	KindUserSetNickname   Kind = "user.set_nickname"
	KindUserDeactivate    Kind = "user.deactivate"
	KindUserActivate      Kind = "user.activate"
	KindUserForceOffline  Kind = "user.force_offline"
	KindUserAddContact    Kind = "user.add_contact"
	KindUserRemoveContact Kind = "user.remove_contact"
	KindUserBlock         Kind = "user.block"
	KindUserUnblock       Kind = "user.unblock"
	KindUserMute          Kind = "user.mute"
	KindUserSetAttributes Kind = "user.set_attributes"

	KindCallRaw Kind = "call.raw"
)

// ErrUnknownKind is wrapped by errors about a kind that this version does not know.
var ErrUnknownKind = errors.New("unknown kind")

// A Payload is what one kind of call needs: one of the payload types of this
// package. Its JSON fields carry Easemob's own names.
type Payload interface {
	// Kind is the kind that this payload belongs to.
	Kind() Kind
	// Validate returns a *FieldError for the first thing that is known wrong
	// before the call.
	Validate() error
	// Request is the HTTP call. The payload must have passed Validate. id is
	// the task's ID, which a message carries to its receivers.
	Request(id string) (Request, error)
}

// A Request is one HTTP call below /{org}/{app} of Easemob's REST API.
type Request struct {
	Method string
	Path   string // begins with "/", escaped, may carry a query
	Body   []byte // JSON, or a form; nil for none
	Form   bool   // Body is application/x-www-form-urlencoded
}

// KindInfo describes a kind.
type KindInfo struct {
	Kind Kind
	// Endpoint is where the call goes; empty when the payload decides.
	Endpoint Endpoint
	Summary  string
	// Repeatable says whether making the call a second time, after the first
	// was executed, leaves the same state behind. When it does not, a lost
	// answer is an unknown outcome, and OnUnknown decides.
	Repeatable bool
	// Why gives the reason for Repeatable.
	Why string
	// Fields are the fields of the payload.
	Fields []FieldInfo
	// Source is the page of Easemob's documentation.
	Source string
	// Example is an envelope in one line of JSON.
	Example string

	decode func([]byte) (Payload, error)
}

// FieldInfo describes a field of a payload.
type FieldInfo struct {
	Name string
	// Type is the JSON type: string, number, boolean, array or object.
	Type string
	// Bound says what the field may hold.
	Bound    string
	Required bool
}

// Kinds lists the kinds in the order of the documentation.
func Kinds() []KindInfo { return slices.Clone(kinds) }

// Info describes k; ok is false when this version does not know it.
func (k Kind) Info() (info KindInfo, ok bool) {
	info, ok = kindsByName[k]
	return info, ok
}

// DecodePayload reads the JSON payload of a kind, refusing unknown fields. It
// does not validate. Errors: one that wraps ErrUnknownKind, or a *FieldError.
func DecodePayload(kind Kind, raw []byte) (Payload, error) {
	info, ok := kind.Info()
	if !ok {
		return nil, unknownKind(kind)
	}
	return info.decode(raw)
}

func unknownKind(kind Kind) error {
	return fmt.Errorf("kind: %q: %w", shorten(string(kind), 40), ErrUnknownKind)
}

func decodeAs[P Payload](raw []byte) (Payload, error) {
	var p P
	var err error
	if own, ok := any(&p).(json.Unmarshaler); ok {
		err = own.UnmarshalJSON(raw) // which is as strict
	} else {
		err = decodeStrict(raw, &p)
	}
	if err != nil {
		return nil, err
	}
	return p, nil
}

func shorten(s string, most int) string {
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}
