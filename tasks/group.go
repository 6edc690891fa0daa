package tasks

import (
	"slices"
	"strconv"
)

// GroupCreate is the payload of group.create: POST /chatgroups. All users
// named must exist, or Easemob answers 404 for the whole call (docs).
type GroupCreate struct {
	Name        string   `json:"groupname,omitempty"`   // at most 128 characters
	Avatar      string   `json:"avatar,omitempty"`      // at most 1024 characters
	Description string   `json:"description,omitempty"` // at most 512 characters
	Public      bool     `json:"public"`
	MaxUsers    int      `json:"maxusers,omitempty"` // 0: Easemob's default, 200
	Owner       string   `json:"owner"`
	Members     []string `json:"members,omitempty"` // at most maxusers (docs)
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
	err := checkGroupTexts(g.Name, g.Avatar, g.Description, g.Custom)
	if err != nil {
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
	most := GroupUsersDefault
	if g.MaxUsers > 0 {
		most = min(g.MaxUsers, TargetsMax)
	}
	return checkNames("members", g.Members, most, checkUserID)
}

// Request builds the call.
func (g GroupCreate) Request(string) (Request, error) { return jsonRequest("POST", "/chatgroups", g) }

// checkGroupTexts checks the texts of a creation or an update.
func checkGroupTexts(name, avatar, description, custom string) error {
	for _, f := range []struct {
		name, value string
		most        int
	}{
		{"groupname", name, GroupNameMaxChars},
		{"avatar", avatar, GroupAvatarMax},
		{"description", description, GroupDescMaxChars},
	} {
		if err := checkChars(f.name, f.value, f.most); err != nil {
			return err
		}
	}
	return checkBytes("custom", len(custom), GroupCustomMax)
}

// GroupUpdate is the payload of group.update: PUT /chatgroups/{id}. Fields that
// are nil stay as they are. Easemob answers for each field whether it was
// changed, so the fields are the call's targets (docs).
type GroupUpdate struct {
	GroupID           string  `json:"group_id,omitempty"`
	Name              *string `json:"groupname,omitempty"`   // at most 128 characters
	Avatar            *string `json:"avatar,omitempty"`      // at most 1024 characters
	Description       *string `json:"description,omitempty"` // at most 512 characters
	MaxUsers          *int    `json:"maxusers,omitempty"`    // at least 1
	MembersOnly       *bool   `json:"membersonly,omitempty"`
	AllowInvites      *bool   `json:"allowinvites,omitempty"`
	InviteNeedConfirm *bool   `json:"invite_need_confirm,omitempty"`
	Public            *bool   `json:"public,omitempty"`
	Custom            *string `json:"custom,omitempty"` // at most 8 KB
}

// Kind returns KindGroupUpdate.
func (GroupUpdate) Kind() Kind { return KindGroupUpdate }

// Validate checks the fields of the update, of which there must be one.
func (g GroupUpdate) Validate() error {
	if err := group(g.GroupID).check(); err != nil {
		return err
	}
	if len(g.Targets()) == 0 {
		return &FieldError{Field: "groupname", Bound: "give at least one field to change"}
	}
	if g.MaxUsers != nil && *g.MaxUsers < 1 {
		return &FieldError{Field: "maxusers", Value: strconv.Itoa(*g.MaxUsers), Bound: "at least 1"}
	}
	return checkGroupTexts(deref(g.Name), deref(g.Avatar), deref(g.Description), deref(g.Custom))
}

// Request builds the call.
func (g GroupUpdate) Request(string) (Request, error) {
	path := group(g.GroupID).path("")
	g.GroupID = "" // stands in the path
	return jsonRequest("PUT", path, g)
}

// Targets are the names of the fields to change.
func (g GroupUpdate) Targets() []string {
	return given(
		field{"groupname", g.Name != nil}, field{"avatar", g.Avatar != nil}, field{"description", g.Description != nil},
		field{"maxusers", g.MaxUsers != nil}, field{"membersonly", g.MembersOnly != nil},
		field{"allowinvites", g.AllowInvites != nil}, field{"invite_need_confirm", g.InviteNeedConfirm != nil},
		field{"public", g.Public != nil}, field{"custom", g.Custom != nil},
	)
}

// Only changes just the fields among targets.
func (g GroupUpdate) Only(targets []string) Payload {
	return GroupUpdate{
		GroupID:           g.GroupID,
		Name:              onlyField(g.Name, "groupname", targets),
		Avatar:            onlyField(g.Avatar, "avatar", targets),
		Description:       onlyField(g.Description, "description", targets),
		MaxUsers:          onlyField(g.MaxUsers, "maxusers", targets),
		MembersOnly:       onlyField(g.MembersOnly, "membersonly", targets),
		AllowInvites:      onlyField(g.AllowInvites, "allowinvites", targets),
		InviteNeedConfirm: onlyField(g.InviteNeedConfirm, "invite_need_confirm", targets),
		Public:            onlyField(g.Public, "public", targets),
		Custom:            onlyField(g.Custom, "custom", targets),
	}
}

// GroupDelete is the payload of group.delete: DELETE /chatgroups/{id}.
// Easemob deletes the group's threads with it (docs).
type GroupDelete struct {
	GroupID string `json:"group_id"`
}

// Kind returns KindGroupDelete.
func (GroupDelete) Kind() Kind { return KindGroupDelete }

// Validate checks the group id.
func (g GroupDelete) Validate() error { return group(g.GroupID).check() }

// Request builds the call.
func (g GroupDelete) Request(string) (Request, error) { return group(g.GroupID).remove("") }

// GroupTransferOwner is the payload of group.transfer_owner: PUT
// /chatgroups/{id}. The new owner must be a member (docs).
type GroupTransferOwner struct {
	GroupID  string `json:"group_id"`
	NewOwner string `json:"newowner"`
}

// Kind returns KindGroupTransferOwner.
func (GroupTransferOwner) Kind() Kind { return KindGroupTransferOwner }

// Validate checks the ids.
func (g GroupTransferOwner) Validate() error {
	return group(g.GroupID).checkMember("newowner", g.NewOwner)
}

// Request builds the call.
func (g GroupTransferOwner) Request(string) (Request, error) {
	return jsonRequest("PUT", group(g.GroupID).path(""), map[string]any{"newowner": g.NewOwner})
}

// GroupAddMembers is the payload of group.add_members: POST
// /chatgroups/{id}/users. One unknown user makes Easemob answer 404 for the
// whole call; members who are in the group already are left as they are (docs).
type GroupAddMembers struct {
	GroupID   string   `json:"group_id"`
	Usernames []string `json:"usernames"` // more than 60 are split into several tasks
	// NeedNotify tells the members of the group about the new ones; nil: Easemob's
	// default, true (docs).
	NeedNotify *bool `json:"need_notify,omitempty"`
}

// Kind returns KindGroupAddMembers.
func (GroupAddMembers) Kind() Kind { return KindGroupAddMembers }

// Validate checks the group id and the names.
func (g GroupAddMembers) Validate() error { return group(g.GroupID).checkMembers(g.Usernames) }

// Request builds the call.
func (g GroupAddMembers) Request(string) (Request, error) {
	rest := "/users"
	if g.NeedNotify != nil {
		rest += "?need_notify=" + strconv.FormatBool(*g.NeedNotify)
	}
	return group(g.GroupID).postMembers(rest, g.Usernames)
}

// Targets are the usernames.
func (g GroupAddMembers) Targets() []string { return slices.Clone(g.Usernames) }

// Only keeps just the usernames among targets.
func (g GroupAddMembers) Only(targets []string) Payload {
	g.Usernames = onlyNames(g.Usernames, targets)
	return g
}

func (GroupAddMembers) perCall() (string, int) { return "usernames", MembersPerCall }

// GroupRemoveMembers is the payload of group.remove_members: DELETE
// /chatgroups/{id}/users/{names}. The owner can't be removed (docs).
type GroupRemoveMembers struct {
	GroupID   string   `json:"group_id"`
	Usernames []string `json:"usernames"` // more than 60 are split into several tasks
}

// Kind returns KindGroupRemoveMembers.
func (GroupRemoveMembers) Kind() Kind { return KindGroupRemoveMembers }

// Validate checks the group id and the names.
func (g GroupRemoveMembers) Validate() error { return group(g.GroupID).checkMembers(g.Usernames) }

// Request builds the call.
func (g GroupRemoveMembers) Request(string) (Request, error) {
	return group(g.GroupID).remove("/users/", g.Usernames...)
}

// Targets are the usernames.
func (g GroupRemoveMembers) Targets() []string { return slices.Clone(g.Usernames) }

// Only keeps just the usernames among targets.
func (g GroupRemoveMembers) Only(targets []string) Payload {
	g.Usernames = onlyNames(g.Usernames, targets)
	return g
}

func (GroupRemoveMembers) perCall() (string, int) { return "usernames", MembersPerCall }

// GroupAddAdmin is the payload of group.add_admin: POST
// /chatgroups/{id}/admin. The new admin must be a member; a group has at most 99 (docs).
type GroupAddAdmin struct {
	GroupID  string `json:"group_id"`
	NewAdmin string `json:"newadmin"`
}

// Kind returns KindGroupAddAdmin.
func (GroupAddAdmin) Kind() Kind { return KindGroupAddAdmin }

// Validate checks the ids.
func (g GroupAddAdmin) Validate() error { return group(g.GroupID).checkMember("newadmin", g.NewAdmin) }

// Request builds the call.
func (g GroupAddAdmin) Request(string) (Request, error) {
	return group(g.GroupID).post("/admin", map[string]any{"newadmin": g.NewAdmin})
}

// GroupRemoveAdmin is the payload of group.remove_admin: DELETE
// /chatgroups/{id}/admin/{oldadmin}. The admin stays a member.
type GroupRemoveAdmin struct {
	GroupID  string `json:"group_id"`
	OldAdmin string `json:"oldadmin"`
}

// Kind returns KindGroupRemoveAdmin.
func (GroupRemoveAdmin) Kind() Kind { return KindGroupRemoveAdmin }

// Validate checks the ids.
func (g GroupRemoveAdmin) Validate() error {
	return group(g.GroupID).checkMember("oldadmin", g.OldAdmin)
}

// Request builds the call.
func (g GroupRemoveAdmin) Request(string) (Request, error) {
	return group(g.GroupID).remove("/admin/", g.OldAdmin)
}

// GroupMuteMembers is the payload of group.mute_members: POST
// /chatgroups/{id}/mute. A muted member can read but not write.
type GroupMuteMembers struct {
	GroupID   string   `json:"group_id"`
	Usernames []string `json:"usernames"` // more than 60 are split into several tasks
	// MuteDuration is how long, in milliseconds: 1 to MuteMaxSeconds * 1000, or MuteForever.
	MuteDuration int64 `json:"mute_duration"`
}

// Kind returns KindGroupMuteMembers.
func (GroupMuteMembers) Kind() Kind { return KindGroupMuteMembers }

// Validate checks the group id, the names and the duration.
func (g GroupMuteMembers) Validate() error {
	return group(g.GroupID).checkMute(g.Usernames, g.MuteDuration)
}

// Request builds the call.
func (g GroupMuteMembers) Request(string) (Request, error) {
	return group(g.GroupID).postMute(g.Usernames, g.MuteDuration)
}

// Targets are the usernames.
func (g GroupMuteMembers) Targets() []string { return slices.Clone(g.Usernames) }

// Only keeps just the usernames among targets.
func (g GroupMuteMembers) Only(targets []string) Payload {
	g.Usernames = onlyNames(g.Usernames, targets)
	return g
}

func (GroupMuteMembers) perCall() (string, int) { return "usernames", MembersPerCall }

// GroupUnmuteMembers is the payload of group.unmute_members: DELETE
// /chatgroups/{id}/mute/{names}.
type GroupUnmuteMembers struct {
	GroupID   string   `json:"group_id"`
	Usernames []string `json:"usernames"` // more than 60 are split into several tasks
}

// Kind returns KindGroupUnmuteMembers.
func (GroupUnmuteMembers) Kind() Kind { return KindGroupUnmuteMembers }

// Validate checks the group id and the names.
func (g GroupUnmuteMembers) Validate() error { return group(g.GroupID).checkMembers(g.Usernames) }

// Request builds the call.
func (g GroupUnmuteMembers) Request(string) (Request, error) {
	return group(g.GroupID).remove("/mute/", g.Usernames...)
}

// Targets are the usernames.
func (g GroupUnmuteMembers) Targets() []string { return slices.Clone(g.Usernames) }

// Only keeps just the usernames among targets.
func (g GroupUnmuteMembers) Only(targets []string) Payload {
	g.Usernames = onlyNames(g.Usernames, targets)
	return g
}

func (GroupUnmuteMembers) perCall() (string, int) { return "usernames", MembersPerCall }

// GroupMuteAll is the payload of group.mute_all: POST /chatgroups/{id}/ban. Those
// on the allow list may still write (docs).
type GroupMuteAll struct {
	GroupID string `json:"group_id"`
}

// Kind returns KindGroupMuteAll.
func (GroupMuteAll) Kind() Kind { return KindGroupMuteAll }

// Validate checks the group id.
func (g GroupMuteAll) Validate() error { return group(g.GroupID).check() }

// Request builds the call.
func (g GroupMuteAll) Request(string) (Request, error) {
	return group(g.GroupID).postNothing("/ban")
}

// GroupUnmuteAll is the payload of group.unmute_all: DELETE /chatgroups/{id}/ban.
// Members muted by name stay muted (docs).
type GroupUnmuteAll struct {
	GroupID string `json:"group_id"`
}

// Kind returns KindGroupUnmuteAll.
func (GroupUnmuteAll) Kind() Kind { return KindGroupUnmuteAll }

// Validate checks the group id.
func (g GroupUnmuteAll) Validate() error { return group(g.GroupID).check() }

// Request builds the call.
func (g GroupUnmuteAll) Request(string) (Request, error) { return group(g.GroupID).remove("/ban") }

// GroupBlockMembers is the payload of group.block_members: POST
// /chatgroups/{id}/blocks/users. Only members can be blocked, and not the owner;
// who is blocked is out of the group and can't come back until unblocked (docs).
type GroupBlockMembers struct {
	GroupID   string   `json:"group_id"`
	Usernames []string `json:"usernames"` // more than 60 are split into several tasks
}

// Kind returns KindGroupBlockMembers.
func (GroupBlockMembers) Kind() Kind { return KindGroupBlockMembers }

// Validate checks the group id and the names.
func (g GroupBlockMembers) Validate() error { return group(g.GroupID).checkMembers(g.Usernames) }

// Request builds the call.
func (g GroupBlockMembers) Request(string) (Request, error) {
	return group(g.GroupID).postMembers("/blocks/users", g.Usernames)
}

// Targets are the usernames.
func (g GroupBlockMembers) Targets() []string { return slices.Clone(g.Usernames) }

// Only keeps just the usernames among targets.
func (g GroupBlockMembers) Only(targets []string) Payload {
	g.Usernames = onlyNames(g.Usernames, targets)
	return g
}

func (GroupBlockMembers) perCall() (string, int) { return "usernames", MembersPerCall }

// GroupUnblockMembers is the payload of group.unblock_members: DELETE
// /chatgroups/{id}/blocks/users/{names}. It makes nobody a member again.
type GroupUnblockMembers struct {
	GroupID   string   `json:"group_id"`
	Usernames []string `json:"usernames"` // more than 60 are split into several tasks
}

// Kind returns KindGroupUnblockMembers.
func (GroupUnblockMembers) Kind() Kind { return KindGroupUnblockMembers }

// Validate checks the group id and the names.
func (g GroupUnblockMembers) Validate() error { return group(g.GroupID).checkMembers(g.Usernames) }

// Request builds the call.
func (g GroupUnblockMembers) Request(string) (Request, error) {
	return group(g.GroupID).remove("/blocks/users/", g.Usernames...)
}

// Targets are the usernames.
func (g GroupUnblockMembers) Targets() []string { return slices.Clone(g.Usernames) }

// Only keeps just the usernames among targets.
func (g GroupUnblockMembers) Only(targets []string) Payload {
	g.Usernames = onlyNames(g.Usernames, targets)
	return g
}

func (GroupUnblockMembers) perCall() (string, int) { return "usernames", MembersPerCall }

// GroupAllowMembers is the payload of group.allow_members: POST
// /chatgroups/{id}/white/users. Who is on the allow list may write while all are
// muted (docs).
type GroupAllowMembers struct {
	GroupID   string   `json:"group_id"`
	Usernames []string `json:"usernames"` // more than 60 are split into several tasks
}

// Kind returns KindGroupAllowMembers.
func (GroupAllowMembers) Kind() Kind { return KindGroupAllowMembers }

// Validate checks the group id and the names.
func (g GroupAllowMembers) Validate() error { return group(g.GroupID).checkMembers(g.Usernames) }

// Request builds the call.
func (g GroupAllowMembers) Request(string) (Request, error) {
	return group(g.GroupID).postMembers("/white/users", g.Usernames)
}

// Targets are the usernames.
func (g GroupAllowMembers) Targets() []string { return slices.Clone(g.Usernames) }

// Only keeps just the usernames among targets.
func (g GroupAllowMembers) Only(targets []string) Payload {
	g.Usernames = onlyNames(g.Usernames, targets)
	return g
}

func (GroupAllowMembers) perCall() (string, int) { return "usernames", MembersPerCall }

// GroupDisallowMembers is the payload of group.disallow_members: DELETE
// /chatgroups/{id}/white/users/{names}.
type GroupDisallowMembers struct {
	GroupID   string   `json:"group_id"`
	Usernames []string `json:"usernames"` // more than 60 are split into several tasks
}

// Kind returns KindGroupDisallowMembers.
func (GroupDisallowMembers) Kind() Kind { return KindGroupDisallowMembers }

// Validate checks the group id and the names.
func (g GroupDisallowMembers) Validate() error { return group(g.GroupID).checkMembers(g.Usernames) }

// Request builds the call.
func (g GroupDisallowMembers) Request(string) (Request, error) {
	return group(g.GroupID).remove("/white/users/", g.Usernames...)
}

// Targets are the usernames.
func (g GroupDisallowMembers) Targets() []string { return slices.Clone(g.Usernames) }

// Only keeps just the usernames among targets.
func (g GroupDisallowMembers) Only(targets []string) Payload {
	g.Usernames = onlyNames(g.Usernames, targets)
	return g
}

func (GroupDisallowMembers) perCall() (string, int) { return "usernames", MembersPerCall }

// GroupSetAnnouncement is the payload of group.set_announcement: POST
// /chatgroups/{id}/announcement.
type GroupSetAnnouncement struct {
	GroupID      string `json:"group_id"`
	Announcement string `json:"announcement"` // at most 512 characters; empty takes it away
}

// Kind returns KindGroupSetAnnouncement.
func (GroupSetAnnouncement) Kind() Kind { return KindGroupSetAnnouncement }

// Validate checks the group id and the text.
func (g GroupSetAnnouncement) Validate() error {
	return group(g.GroupID).checkAnnouncement(g.Announcement)
}

// Request builds the call.
func (g GroupSetAnnouncement) Request(string) (Request, error) {
	return group(g.GroupID).post("/announcement", map[string]any{"announcement": g.Announcement})
}
