package tasks

import (
	"net/url"
	"slices"
	"strings"
)

// Subjects are the users, groups and rooms that a call is about, spelled as the
// payload spells them, each once: a group or room before its members. Not the
// sender of a message. They are what a person looks for who wants to know what
// became of the calls about somebody.
func Subjects(p Payload) []string {
	about, ok := p.(interface{ subjects() []string })
	if !ok || isNil(p) {
		return nil
	}
	var once []string
	seen := map[string]bool{}
	for _, subject := range about.subjects() {
		if subject != "" && !seen[subject] {
			seen[subject] = true
			once = append(once, subject)
		}
	}
	return once
}

func (m Message) subjects() []string { return append(slices.Clone(m.To), m.Users...) }
func (r Recall) subjects() []string  { return []string{r.To} }

// subjects are none: everybody is meant.
func (Broadcast) subjects() []string { return nil }

func (u UserRegister) subjects() []string {
	names := make([]string, len(u.Users))
	for i, user := range u.Users {
		names[i] = user.Username
	}
	return names
}

func (u UserBlock) subjects() []string { return append([]string{u.OwnerUsername}, u.Usernames...) }

// subjects are what stands in the path behind the word for users, groups or rooms.
func (r RawCall) subjects() []string {
	path, _, _ := strings.Cut(r.Path, "?")
	steps := strings.Split(path, "/")
	var names []string
	for i := 1; i < len(steps); i++ {
		switch steps[i-1] {
		case "users", "chatgroups", "chatrooms":
			name, err := url.PathUnescape(steps[i])
			if err != nil {
				name = steps[i]
			}
			names = append(names, strings.Split(name, ",")...)
		}
	}
	return names
}

func (g GroupCreate) subjects() []string          { return append([]string{g.Owner}, g.Members...) }
func (g GroupUpdate) subjects() []string          { return []string{g.GroupID} }
func (g GroupDelete) subjects() []string          { return []string{g.GroupID} }
func (g GroupTransferOwner) subjects() []string   { return []string{g.GroupID, g.NewOwner} }
func (g GroupAddMembers) subjects() []string      { return append([]string{g.GroupID}, g.Usernames...) }
func (g GroupRemoveMembers) subjects() []string   { return append([]string{g.GroupID}, g.Usernames...) }
func (g GroupAddAdmin) subjects() []string        { return []string{g.GroupID, g.NewAdmin} }
func (g GroupRemoveAdmin) subjects() []string     { return []string{g.GroupID, g.OldAdmin} }
func (g GroupMuteMembers) subjects() []string     { return append([]string{g.GroupID}, g.Usernames...) }
func (g GroupUnmuteMembers) subjects() []string   { return append([]string{g.GroupID}, g.Usernames...) }
func (g GroupMuteAll) subjects() []string         { return []string{g.GroupID} }
func (g GroupUnmuteAll) subjects() []string       { return []string{g.GroupID} }
func (g GroupBlockMembers) subjects() []string    { return append([]string{g.GroupID}, g.Usernames...) }
func (g GroupUnblockMembers) subjects() []string  { return append([]string{g.GroupID}, g.Usernames...) }
func (g GroupAllowMembers) subjects() []string    { return append([]string{g.GroupID}, g.Usernames...) }
func (g GroupDisallowMembers) subjects() []string { return append([]string{g.GroupID}, g.Usernames...) }
func (g GroupSetAnnouncement) subjects() []string { return []string{g.GroupID} }
func (r RoomCreate) subjects() []string           { return append([]string{r.Owner}, r.Members...) }
func (r RoomUpdate) subjects() []string           { return []string{r.RoomID} }
func (r RoomDelete) subjects() []string           { return []string{r.RoomID} }
func (r RoomTransferOwner) subjects() []string    { return []string{r.RoomID, r.NewOwner} }
func (r RoomAddMembers) subjects() []string       { return append([]string{r.RoomID}, r.Usernames...) }
func (r RoomRemoveMembers) subjects() []string    { return append([]string{r.RoomID}, r.Usernames...) }
func (r RoomAddAdmin) subjects() []string         { return []string{r.RoomID, r.NewAdmin} }
func (r RoomRemoveAdmin) subjects() []string      { return []string{r.RoomID, r.OldAdmin} }
func (r RoomMuteMembers) subjects() []string      { return append([]string{r.RoomID}, r.Usernames...) }
func (r RoomUnmuteMembers) subjects() []string    { return append([]string{r.RoomID}, r.Usernames...) }
func (r RoomMuteAll) subjects() []string          { return []string{r.RoomID} }
func (r RoomUnmuteAll) subjects() []string        { return []string{r.RoomID} }
func (r RoomBlockMembers) subjects() []string     { return append([]string{r.RoomID}, r.Usernames...) }
func (r RoomUnblockMembers) subjects() []string   { return append([]string{r.RoomID}, r.Usernames...) }
func (r RoomAllowMembers) subjects() []string     { return append([]string{r.RoomID}, r.Usernames...) }
func (r RoomDisallowMembers) subjects() []string  { return append([]string{r.RoomID}, r.Usernames...) }
func (r RoomSetAnnouncement) subjects() []string  { return []string{r.RoomID} }
func (u UserDelete) subjects() []string           { return []string{u.Username} }
func (u UserResetPassword) subjects() []string    { return []string{u.Username} }
func (u UserSetNickname) subjects() []string      { return []string{u.Username} }
func (u UserDeactivate) subjects() []string       { return []string{u.Username} }
func (u UserActivate) subjects() []string         { return []string{u.Username} }
func (u UserForceOffline) subjects() []string     { return []string{u.Username} }
func (u UserAddContact) subjects() []string       { return []string{u.OwnerUsername, u.FriendUsername} }
func (u UserRemoveContact) subjects() []string    { return []string{u.OwnerUsername, u.FriendUsername} }
func (u UserUnblock) subjects() []string          { return []string{u.OwnerUsername, u.BlockedUsername} }
func (u UserMute) subjects() []string             { return []string{u.Username} }
func (u UserSetAttributes) subjects() []string    { return []string{u.Username} }
