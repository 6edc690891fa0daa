package tasks

import (
	"errors"
	"fmt"
	"slices"
)

// A Kind says what the call of a task does.
type Kind string

// The kinds that this version knows.
const (
	KindMessageSend        Kind = "message.send"
	KindMessageRecall      Kind = "message.recall"
	KindGroupCreate        Kind = "group.create"
	KindGroupAddMembers    Kind = "group.add_members"
	KindGroupRemoveMembers Kind = "group.remove_members"
	KindGroupTransferOwner Kind = "group.transfer_owner"
	KindUserRegister       Kind = "user.register"
	KindCallRaw            Kind = "call.raw"
)

// ErrUnknownKind is wrapped by errors about a kind that this version does not know.
var ErrUnknownKind = errors.New("unknown kind")

// A Family is a group of calls that share queues, so that a limit on one
// family never blocks another.
type Family string

// The families, one set of queues each.
const (
	FamilyMessages Family = "messages"
	FamilyGroups   Family = "groups"
	FamilyRooms    Family = "rooms"
	FamilyUsers    Family = "users"
)

// Families lists all families.
func Families() []Family {
	return []Family{FamilyMessages, FamilyGroups, FamilyRooms, FamilyUsers}
}

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
	Body   []byte // JSON; nil for none
}

// KindInfo describes a kind.
type KindInfo struct {
	Kind    Kind
	Family  Family // empty for call.raw, whose path decides
	Summary string
	// Repeatable says whether making the call a second time, after the first
	// was executed, leaves the same state behind. When it does not, a lost
	// answer is an unknown outcome, and OnUnknown decides.
	Repeatable bool
	// Why gives the reason for Repeatable.
	Why string

	decode func([]byte) (Payload, error)
}

// kinds is the table of kinds; nothing changes it.
var kinds = []KindInfo{
	{KindMessageSend, FamilyMessages, "send a message to users, groups or chat rooms", false,
		"the send endpoints take no idempotency key: a repeated send is a second message", decodeAs[Message]},
	{KindMessageRecall, FamilyMessages, "recall a message", true,
		"a second recall answers \"not_found msg\", which counts as done", decodeAs[Recall]},
	{KindGroupCreate, FamilyGroups, "create a group", false,
		"a repeated creation makes a second group", decodeAs[GroupCreate]},
	{KindGroupAddMembers, FamilyGroups, "add members to a group", true,
		"adding a member who is one changes nothing", decodeAs[GroupAddMembers]},
	{KindGroupRemoveMembers, FamilyGroups, "remove members from a group", true,
		"removing a user who is no member changes nothing", decodeAs[GroupRemoveMembers]},
	{KindGroupTransferOwner, FamilyGroups, "make a member the owner of a group", true,
		"a transfer to the present owner changes nothing", decodeAs[GroupTransferOwner]},
	{KindUserRegister, FamilyUsers, "register users", true,
		"a name that is taken stays as it is", decodeAs[UserRegister]},
	{KindCallRaw, "", "any call: method, path and JSON body", false,
		"emq can't know what a raw call does", decodeAs[RawCall]},
}

// Kinds lists the kinds in the order of the documentation.
func Kinds() []KindInfo { return slices.Clone(kinds) }

// Info describes k; ok is false when this version does not know it.
func (k Kind) Info() (info KindInfo, ok bool) {
	for _, info := range kinds {
		if info.Kind == k {
			return info, true
		}
	}
	return KindInfo{}, false
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
	if err := decodeStrict(raw, &p); err != nil {
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
