package tasks

import (
	"slices"
	"strconv"
)

// RoomCreate is the payload of chatroom.create: POST /chatrooms. All users
// named must exist, or Easemob answers 404 for the whole call (docs).
type RoomCreate struct {
	Name        string   `json:"name"`               // 1 to 128 characters
	Description string   `json:"description"`        // 1 to 512 characters
	MaxUsers    int      `json:"maxusers,omitempty"` // 1 to 10,000; 0: Easemob's default, 1000
	Owner       string   `json:"owner"`
	Members     []string `json:"members,omitempty"` // without the owner; at most maxusers
	Custom      string   `json:"custom,omitempty"`  // at most 8 KB (docs; before 2025 they said 1024 characters)
}

// Kind returns KindRoomCreate.
func (RoomCreate) Kind() Kind { return KindRoomCreate }

// Validate checks the fields of the creation.
func (r RoomCreate) Validate() error {
	if err := checkRoomTexts(&r.Name, &r.Description); err != nil {
		return err
	}
	if err := checkBytes("custom", len(r.Custom), GroupCustomMax); err != nil {
		return err
	}
	most := RoomUsersDefault
	if r.MaxUsers != 0 {
		if err := checkRoomUsers(r.MaxUsers); err != nil {
			return err
		}
		most = r.MaxUsers
	}
	if err := checkUserID("owner", r.Owner); err != nil {
		return err
	}
	if len(r.Members) == 0 {
		return nil
	}
	return checkNames("members", r.Members, most, checkUserID)
}

// Request builds the call.
func (r RoomCreate) Request(string) (Request, error) { return jsonRequest("POST", "/chatrooms", r) }

// checkRoomTexts checks the texts of a creation or an update, as far as they are given.
func checkRoomTexts(name, description *string) error {
	for _, f := range []struct {
		name  string
		value *string
		most  int
	}{{"name", name, GroupNameMaxChars}, {"description", description, GroupDescMaxChars}} {
		if f.value == nil {
			continue
		}
		if *f.value == "" {
			return &FieldError{Field: f.name, Bound: "must not be empty"}
		}
		if err := checkChars(f.name, *f.value, f.most); err != nil {
			return err
		}
	}
	return nil
}

func checkRoomUsers(n int) error {
	if n < 1 || n > RoomUsersMax {
		return &FieldError{Field: "maxusers", Value: strconv.Itoa(n), Bound: "1 to " + strconv.Itoa(RoomUsersMax)}
	}
	return nil
}

// RoomUpdate is the payload of chatroom.update: PUT /chatrooms/{id}. Fields that
// are nil stay as they are. Easemob answers for each field whether it was
// changed, so the fields are the call's targets (docs).
type RoomUpdate struct {
	RoomID      string  `json:"chatroom_id,omitempty"`
	Name        *string `json:"name,omitempty"`        // 1 to 128 characters
	Description *string `json:"description,omitempty"` // 1 to 512 characters
	MaxUsers    *int    `json:"maxusers,omitempty"`    // 1 to 10,000
}

// Kind returns KindRoomUpdate.
func (RoomUpdate) Kind() Kind { return KindRoomUpdate }

// Validate checks the fields of the update, of which there must be one.
func (r RoomUpdate) Validate() error {
	if err := room(r.RoomID).check(); err != nil {
		return err
	}
	if len(r.Targets()) == 0 {
		return &FieldError{Field: "name", Bound: "give at least one field to change"}
	}
	if r.MaxUsers != nil {
		if err := checkRoomUsers(*r.MaxUsers); err != nil {
			return err
		}
	}
	return checkRoomTexts(r.Name, r.Description)
}

// Request builds the call.
func (r RoomUpdate) Request(string) (Request, error) {
	path := room(r.RoomID).path("")
	r.RoomID = "" // stands in the path
	return jsonRequest("PUT", path, r)
}

// Targets are the names of the fields to change, as the answer spells them:
// there a room's name is "groupname" (docs).
func (r RoomUpdate) Targets() []string {
	return given(field{"groupname", r.Name != nil}, field{"description", r.Description != nil}, field{"maxusers", r.MaxUsers != nil})
}

// Only changes just the fields among targets.
func (r RoomUpdate) Only(targets []string) Payload {
	return RoomUpdate{
		RoomID:      r.RoomID,
		Name:        onlyField(r.Name, "groupname", targets),
		Description: onlyField(r.Description, "description", targets),
		MaxUsers:    onlyField(r.MaxUsers, "maxusers", targets),
	}
}

// RoomDelete is the payload of chatroom.delete: DELETE /chatrooms/{id}.
type RoomDelete struct {
	RoomID string `json:"chatroom_id"`
}

// Kind returns KindRoomDelete.
func (RoomDelete) Kind() Kind { return KindRoomDelete }

// Validate checks the room id.
func (r RoomDelete) Validate() error { return room(r.RoomID).check() }

// Request builds the call.
func (r RoomDelete) Request(string) (Request, error) { return room(r.RoomID).remove("") }

// RoomTransferOwner is the payload of chatroom.transfer_owner: PUT
// /chatrooms/{id}. The new owner must be a member (docs).
type RoomTransferOwner struct {
	RoomID   string `json:"chatroom_id"`
	NewOwner string `json:"newowner"`
}

// Kind returns KindRoomTransferOwner.
func (RoomTransferOwner) Kind() Kind { return KindRoomTransferOwner }

// Validate checks the ids.
func (r RoomTransferOwner) Validate() error {
	return room(r.RoomID).checkMember("newowner", r.NewOwner)
}

// Request builds the call.
func (r RoomTransferOwner) Request(string) (Request, error) {
	return jsonRequest("PUT", room(r.RoomID).path(""), map[string]any{"newowner": r.NewOwner})
}

// RoomAddMembers is the payload of chatroom.add_members: POST
// /chatrooms/{id}/users. A member who is offline for two minutes leaves the
// room by itself, unless it is on the allow list (docs).
type RoomAddMembers struct {
	RoomID    string   `json:"chatroom_id"`
	Usernames []string `json:"usernames"` // more than 60 are split into several tasks
}

// Kind returns KindRoomAddMembers.
func (RoomAddMembers) Kind() Kind { return KindRoomAddMembers }

// Validate checks the room id and the names.
func (r RoomAddMembers) Validate() error { return room(r.RoomID).checkMembers(r.Usernames) }

// Request builds the call.
func (r RoomAddMembers) Request(string) (Request, error) {
	return room(r.RoomID).postMembers("/users", r.Usernames)
}

// Targets are the usernames.
func (r RoomAddMembers) Targets() []string { return slices.Clone(r.Usernames) }

// Only keeps just the usernames among targets.
func (r RoomAddMembers) Only(targets []string) Payload {
	r.Usernames = onlyNames(r.Usernames, targets)
	return r
}

func (RoomAddMembers) perCall() (string, int) { return "usernames", MembersPerCall }

// RoomRemoveMembers is the payload of chatroom.remove_members: DELETE
// /chatrooms/{id}/users/{names}. The owner can't be removed (docs).
type RoomRemoveMembers struct {
	RoomID    string   `json:"chatroom_id"`
	Usernames []string `json:"usernames"` // more than 60 are split into several tasks
}

// Kind returns KindRoomRemoveMembers.
func (RoomRemoveMembers) Kind() Kind { return KindRoomRemoveMembers }

// Validate checks the room id and the names.
func (r RoomRemoveMembers) Validate() error { return room(r.RoomID).checkMembers(r.Usernames) }

// Request builds the call.
func (r RoomRemoveMembers) Request(string) (Request, error) {
	return room(r.RoomID).remove("/users/", r.Usernames...)
}

// Targets are the usernames.
func (r RoomRemoveMembers) Targets() []string { return slices.Clone(r.Usernames) }

// Only keeps just the usernames among targets.
func (r RoomRemoveMembers) Only(targets []string) Payload {
	r.Usernames = onlyNames(r.Usernames, targets)
	return r
}

func (RoomRemoveMembers) perCall() (string, int) { return "usernames", MembersPerCall }

// RoomAddAdmin is the payload of chatroom.add_admin: POST
// /chatrooms/{id}/admin. The new admin must be a member; a chat room has at most 99 (docs).
type RoomAddAdmin struct {
	RoomID   string `json:"chatroom_id"`
	NewAdmin string `json:"newadmin"`
}

// Kind returns KindRoomAddAdmin.
func (RoomAddAdmin) Kind() Kind { return KindRoomAddAdmin }

// Validate checks the ids.
func (r RoomAddAdmin) Validate() error { return room(r.RoomID).checkMember("newadmin", r.NewAdmin) }

// Request builds the call.
func (r RoomAddAdmin) Request(string) (Request, error) {
	return room(r.RoomID).post("/admin", map[string]any{"newadmin": r.NewAdmin})
}

// RoomRemoveAdmin is the payload of chatroom.remove_admin: DELETE
// /chatrooms/{id}/admin/{oldadmin}. The admin stays a member.
type RoomRemoveAdmin struct {
	RoomID   string `json:"chatroom_id"`
	OldAdmin string `json:"oldadmin"`
}

// Kind returns KindRoomRemoveAdmin.
func (RoomRemoveAdmin) Kind() Kind { return KindRoomRemoveAdmin }

// Validate checks the ids.
func (r RoomRemoveAdmin) Validate() error { return room(r.RoomID).checkMember("oldadmin", r.OldAdmin) }

// Request builds the call.
func (r RoomRemoveAdmin) Request(string) (Request, error) {
	return room(r.RoomID).remove("/admin/", r.OldAdmin)
}

// RoomMuteMembers is the payload of chatroom.mute_members: POST
// /chatrooms/{id}/mute. A muted member can read but not write.
type RoomMuteMembers struct {
	RoomID    string   `json:"chatroom_id"`
	Usernames []string `json:"usernames"` // more than 60 are split into several tasks
	// MuteDuration is how long, in milliseconds: 1 or more, or MuteForever.
	MuteDuration int64 `json:"mute_duration"`
}

// Kind returns KindRoomMuteMembers.
func (RoomMuteMembers) Kind() Kind { return KindRoomMuteMembers }

// Validate checks the room id, the names and the duration.
func (r RoomMuteMembers) Validate() error {
	return room(r.RoomID).checkMute(r.Usernames, r.MuteDuration)
}

// Request builds the call.
func (r RoomMuteMembers) Request(string) (Request, error) {
	return room(r.RoomID).postMute(r.Usernames, r.MuteDuration)
}

// Targets are the usernames.
func (r RoomMuteMembers) Targets() []string { return slices.Clone(r.Usernames) }

// Only keeps just the usernames among targets.
func (r RoomMuteMembers) Only(targets []string) Payload {
	r.Usernames = onlyNames(r.Usernames, targets)
	return r
}

func (RoomMuteMembers) perCall() (string, int) { return "usernames", MembersPerCall }

// RoomUnmuteMembers is the payload of chatroom.unmute_members: DELETE
// /chatrooms/{id}/mute/{names}.
type RoomUnmuteMembers struct {
	RoomID    string   `json:"chatroom_id"`
	Usernames []string `json:"usernames"` // more than 60 are split into several tasks
}

// Kind returns KindRoomUnmuteMembers.
func (RoomUnmuteMembers) Kind() Kind { return KindRoomUnmuteMembers }

// Validate checks the room id and the names.
func (r RoomUnmuteMembers) Validate() error { return room(r.RoomID).checkMembers(r.Usernames) }

// Request builds the call.
func (r RoomUnmuteMembers) Request(string) (Request, error) {
	return room(r.RoomID).remove("/mute/", r.Usernames...)
}

// Targets are the usernames.
func (r RoomUnmuteMembers) Targets() []string { return slices.Clone(r.Usernames) }

// Only keeps just the usernames among targets.
func (r RoomUnmuteMembers) Only(targets []string) Payload {
	r.Usernames = onlyNames(r.Usernames, targets)
	return r
}

func (RoomUnmuteMembers) perCall() (string, int) { return "usernames", MembersPerCall }

// RoomMuteAll is the payload of chatroom.mute_all: POST /chatrooms/{id}/ban. Those
// on the allow list may still write (docs).
type RoomMuteAll struct {
	RoomID string `json:"chatroom_id"`
}

// Kind returns KindRoomMuteAll.
func (RoomMuteAll) Kind() Kind { return KindRoomMuteAll }

// Validate checks the room id.
func (r RoomMuteAll) Validate() error { return room(r.RoomID).check() }

// Request builds the call.
func (r RoomMuteAll) Request(string) (Request, error) {
	return room(r.RoomID).postNothing("/ban")
}

// RoomUnmuteAll is the payload of chatroom.unmute_all: DELETE /chatrooms/{id}/ban.
// Members muted by name stay muted (docs).
type RoomUnmuteAll struct {
	RoomID string `json:"chatroom_id"`
}

// Kind returns KindRoomUnmuteAll.
func (RoomUnmuteAll) Kind() Kind { return KindRoomUnmuteAll }

// Validate checks the room id.
func (r RoomUnmuteAll) Validate() error { return room(r.RoomID).check() }

// Request builds the call.
func (r RoomUnmuteAll) Request(string) (Request, error) { return room(r.RoomID).remove("/ban") }

// RoomBlockMembers is the payload of chatroom.block_members: POST
// /chatrooms/{id}/blocks/users. Only members can be blocked, and not the owner;
// who is blocked is out of the room and can't come back until unblocked (docs).
type RoomBlockMembers struct {
	RoomID    string   `json:"chatroom_id"`
	Usernames []string `json:"usernames"` // more than 60 are split into several tasks
}

// Kind returns KindRoomBlockMembers.
func (RoomBlockMembers) Kind() Kind { return KindRoomBlockMembers }

// Validate checks the room id and the names.
func (r RoomBlockMembers) Validate() error { return room(r.RoomID).checkMembers(r.Usernames) }

// Request builds the call.
func (r RoomBlockMembers) Request(string) (Request, error) {
	return room(r.RoomID).postMembers("/blocks/users", r.Usernames)
}

// Targets are the usernames.
func (r RoomBlockMembers) Targets() []string { return slices.Clone(r.Usernames) }

// Only keeps just the usernames among targets.
func (r RoomBlockMembers) Only(targets []string) Payload {
	r.Usernames = onlyNames(r.Usernames, targets)
	return r
}

func (RoomBlockMembers) perCall() (string, int) { return "usernames", MembersPerCall }

// RoomUnblockMembers is the payload of chatroom.unblock_members: DELETE
// /chatrooms/{id}/blocks/users/{names}. It makes nobody a member again.
type RoomUnblockMembers struct {
	RoomID    string   `json:"chatroom_id"`
	Usernames []string `json:"usernames"` // more than 60 are split into several tasks
}

// Kind returns KindRoomUnblockMembers.
func (RoomUnblockMembers) Kind() Kind { return KindRoomUnblockMembers }

// Validate checks the room id and the names.
func (r RoomUnblockMembers) Validate() error { return room(r.RoomID).checkMembers(r.Usernames) }

// Request builds the call.
func (r RoomUnblockMembers) Request(string) (Request, error) {
	return room(r.RoomID).remove("/blocks/users/", r.Usernames...)
}

// Targets are the usernames.
func (r RoomUnblockMembers) Targets() []string { return slices.Clone(r.Usernames) }

// Only keeps just the usernames among targets.
func (r RoomUnblockMembers) Only(targets []string) Payload {
	r.Usernames = onlyNames(r.Usernames, targets)
	return r
}

func (RoomUnblockMembers) perCall() (string, int) { return "usernames", MembersPerCall }

// RoomAllowMembers is the payload of chatroom.allow_members: POST
// /chatrooms/{id}/white/users. Who is on the allow list may write while all are
// muted (docs).
type RoomAllowMembers struct {
	RoomID    string   `json:"chatroom_id"`
	Usernames []string `json:"usernames"` // more than 60 are split into several tasks
}

// Kind returns KindRoomAllowMembers.
func (RoomAllowMembers) Kind() Kind { return KindRoomAllowMembers }

// Validate checks the room id and the names.
func (r RoomAllowMembers) Validate() error { return room(r.RoomID).checkMembers(r.Usernames) }

// Request builds the call.
func (r RoomAllowMembers) Request(string) (Request, error) {
	return room(r.RoomID).postMembers("/white/users", r.Usernames)
}

// Targets are the usernames.
func (r RoomAllowMembers) Targets() []string { return slices.Clone(r.Usernames) }

// Only keeps just the usernames among targets.
func (r RoomAllowMembers) Only(targets []string) Payload {
	r.Usernames = onlyNames(r.Usernames, targets)
	return r
}

func (RoomAllowMembers) perCall() (string, int) { return "usernames", MembersPerCall }

// RoomDisallowMembers is the payload of chatroom.disallow_members: DELETE
// /chatrooms/{id}/white/users/{names}.
type RoomDisallowMembers struct {
	RoomID    string   `json:"chatroom_id"`
	Usernames []string `json:"usernames"` // more than 60 are split into several tasks
}

// Kind returns KindRoomDisallowMembers.
func (RoomDisallowMembers) Kind() Kind { return KindRoomDisallowMembers }

// Validate checks the room id and the names.
func (r RoomDisallowMembers) Validate() error { return room(r.RoomID).checkMembers(r.Usernames) }

// Request builds the call.
func (r RoomDisallowMembers) Request(string) (Request, error) {
	return room(r.RoomID).remove("/white/users/", r.Usernames...)
}

// Targets are the usernames.
func (r RoomDisallowMembers) Targets() []string { return slices.Clone(r.Usernames) }

// Only keeps just the usernames among targets.
func (r RoomDisallowMembers) Only(targets []string) Payload {
	r.Usernames = onlyNames(r.Usernames, targets)
	return r
}

func (RoomDisallowMembers) perCall() (string, int) { return "usernames", MembersPerCall }

// RoomSetAnnouncement is the payload of chatroom.set_announcement: POST
// /chatrooms/{id}/announcement.
type RoomSetAnnouncement struct {
	RoomID       string `json:"chatroom_id"`
	Announcement string `json:"announcement"` // at most 512 characters; empty takes it away
}

// Kind returns KindRoomSetAnnouncement.
func (RoomSetAnnouncement) Kind() Kind { return KindRoomSetAnnouncement }

// Validate checks the room id and the text.
func (r RoomSetAnnouncement) Validate() error {
	return room(r.RoomID).checkAnnouncement(r.Announcement)
}

// Request builds the call.
func (r RoomSetAnnouncement) Request(string) (Request, error) {
	return room(r.RoomID).post("/announcement", map[string]any{"announcement": r.Announcement})
}
