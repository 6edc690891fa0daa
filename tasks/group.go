package tasks

import (
	"strconv"
	"strings"
)

// GroupCreate is the payload of group.create: POST /chatgroups. All users
// named must exist, or Easemob answers 404 for the whole call.
type GroupCreate struct {
	Name        string   `json:"groupname,omitempty"`   // at most 128 characters
	Avatar      string   `json:"avatar,omitempty"`      // at most 1024 characters
	Description string   `json:"description,omitempty"` // at most 512 characters
	Public      bool     `json:"public"`
	MaxUsers    int      `json:"maxusers,omitempty"` // 0: Easemob's default, 200
	Owner       string   `json:"owner"`
	Members     []string `json:"members,omitempty"` // at most 60 in one call
	// AllowInvites lets members invite others.
	AllowInvites bool `json:"allowinvites,omitempty"`
	// MembersOnly asks the owner's or an admin's consent to join.
	MembersOnly bool `json:"membersonly,omitempty"`
	// InviteNeedConfirm asks an invited user's consent; nil: Easemob's default, true.
	InviteNeedConfirm *bool  `json:"invite_need_confirm,omitempty"`
	Custom            string `json:"custom,omitempty"` // at most 8 KB
}

// Kind returns KindGroupCreate.
func (GroupCreate) Kind() Kind { return KindGroupCreate }

// Validate checks the fields of the creation.
func (g GroupCreate) Validate() error {
	for _, f := range []struct {
		name, value string
		most        int
	}{
		{"groupname", g.Name, GroupNameMaxChars},
		{"avatar", g.Avatar, GroupAvatarMax},
		{"description", g.Description, GroupDescMaxChars},
	} {
		if err := checkChars(f.name, f.value, f.most); err != nil {
			return err
		}
	}
	if err := checkBytes("custom", len(g.Custom), GroupCustomMax); err != nil {
		return err
	}
	if g.MaxUsers < 0 {
		return &FieldError{Field: "maxusers", Value: strconv.Itoa(g.MaxUsers), Bound: "must not be negative"}
	}
	if err := checkUserID("owner", g.Owner); err != nil {
		return err
	}
	if len(g.Members) == 0 {
		return nil
	}
	return checkNames("members", g.Members, MembersPerCall, checkUserID)
}

// Request builds the creation call.
func (g GroupCreate) Request(string) (Request, error) { return jsonRequest("POST", "/chatgroups", g) }

// GroupAddMembers is the payload of group.add_members: POST
// /chatgroups/{id}/users. One unknown user makes Easemob answer 404 for the
// whole call; members who are in the group already are left as they are.
type GroupAddMembers struct {
	GroupID   string   `json:"group_id"`
	Usernames []string `json:"usernames"` // 1 to 60
	// NeedNotify tells the group about the new members.
	NeedNotify bool `json:"need_notify,omitempty"`
}

// Kind returns KindGroupAddMembers.
func (GroupAddMembers) Kind() Kind { return KindGroupAddMembers }

// Validate checks the group id and the names.
func (g GroupAddMembers) Validate() error {
	if err := checkTargetID("group_id", g.GroupID); err != nil {
		return err
	}
	return checkNames("usernames", g.Usernames, MembersPerCall, checkUserID)
}

// Request builds the call.
func (g GroupAddMembers) Request(string) (Request, error) {
	path := "/chatgroups/" + g.GroupID + "/users"
	if g.NeedNotify {
		path += "?need_notify=true"
	}
	return jsonRequest("POST", path, map[string]any{"usernames": g.Usernames})
}

// GroupRemoveMembers is the payload of group.remove_members: DELETE
// /chatgroups/{id}/users/{names}.
type GroupRemoveMembers struct {
	GroupID   string   `json:"group_id"`
	Usernames []string `json:"usernames"` // 1 to 60
}

// Kind returns KindGroupRemoveMembers.
func (GroupRemoveMembers) Kind() Kind { return KindGroupRemoveMembers }

// Validate checks the group id and the names.
func (g GroupRemoveMembers) Validate() error {
	if err := checkTargetID("group_id", g.GroupID); err != nil {
		return err
	}
	return checkNames("usernames", g.Usernames, MembersPerCall, checkUserID)
}

// Request builds the call; the names stand in the path, where the user-id
// grammar makes escaping needless.
func (g GroupRemoveMembers) Request(string) (Request, error) {
	return Request{Method: "DELETE", Path: "/chatgroups/" + g.GroupID + "/users/" + strings.Join(g.Usernames, ",")}, nil
}

// GroupTransferOwner is the payload of group.transfer_owner: PUT
// /chatgroups/{id}. The new owner must be a member.
type GroupTransferOwner struct {
	GroupID  string `json:"group_id"`
	NewOwner string `json:"newowner"`
}

// Kind returns KindGroupTransferOwner.
func (GroupTransferOwner) Kind() Kind { return KindGroupTransferOwner }

// Validate checks the ids.
func (g GroupTransferOwner) Validate() error {
	if err := checkTargetID("group_id", g.GroupID); err != nil {
		return err
	}
	return checkUserID("newowner", g.NewOwner)
}

// Request builds the call.
func (g GroupTransferOwner) Request(string) (Request, error) {
	return jsonRequest("PUT", "/chatgroups/"+g.GroupID, map[string]any{"newowner": g.NewOwner})
}
