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

func (p UserRegister) subjects() []string {
	names := make([]string, len(p.Users))
	for i, user := range p.Users {
		names[i] = user.Username
	}
	return names
}

func (p UserBlock) subjects() []string { return append([]string{p.OwnerUsername}, p.Usernames...) }

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

func (p GroupCreate) subjects() []string          { return append([]string{p.Owner}, p.Members...) }
func (p GroupUpdate) subjects() []string          { return []string{p.GroupID} }
func (p GroupDelete) subjects() []string          { return []string{p.GroupID} }
func (p GroupTransferOwner) subjects() []string   { return []string{p.GroupID, p.NewOwner} }
func (p GroupAddMembers) subjects() []string      { return append([]string{p.GroupID}, p.Usernames...) }
func (p GroupRemoveMembers) subjects() []string   { return append([]string{p.GroupID}, p.Usernames...) }
func (p GroupAddAdmin) subjects() []string        { return []string{p.GroupID, p.NewAdmin} }
func (p GroupRemoveAdmin) subjects() []string     { return []string{p.GroupID, p.OldAdmin} }
func (p GroupMuteMembers) subjects() []string     { return append([]string{p.GroupID}, p.Usernames...) }
func (p GroupUnmuteMembers) subjects() []string   { return append([]string{p.GroupID}, p.Usernames...) }
func (p GroupMuteAll) subjects() []string         { return []string{p.GroupID} }
func (p GroupUnmuteAll) subjects() []string       { return []string{p.GroupID} }
func (p GroupBlockMembers) subjects() []string    { return append([]string{p.GroupID}, p.Usernames...) }
func (p GroupUnblockMembers) subjects() []string  { return append([]string{p.GroupID}, p.Usernames...) }
func (p GroupAllowMembers) subjects() []string    { return append([]string{p.GroupID}, p.Usernames...) }
func (p GroupDisallowMembers) subjects() []string { return append([]string{p.GroupID}, p.Usernames...) }
func (p GroupSetAnnouncement) subjects() []string { return []string{p.GroupID} }
func (p RoomCreate) subjects() []string           { return append([]string{p.Owner}, p.Members...) }
func (p RoomUpdate) subjects() []string           { return []string{p.RoomID} }
func (p RoomDelete) subjects() []string           { return []string{p.RoomID} }
func (p RoomTransferOwner) subjects() []string    { return []string{p.RoomID, p.NewOwner} }
func (p RoomAddMembers) subjects() []string       { return append([]string{p.RoomID}, p.Usernames...) }
func (p RoomRemoveMembers) subjects() []string    { return append([]string{p.RoomID}, p.Usernames...) }
func (p RoomAddAdmin) subjects() []string         { return []string{p.RoomID, p.NewAdmin} }
func (p RoomRemoveAdmin) subjects() []string      { return []string{p.RoomID, p.OldAdmin} }
func (p RoomMuteMembers) subjects() []string      { return append([]string{p.RoomID}, p.Usernames...) }
func (p RoomUnmuteMembers) subjects() []string    { return append([]string{p.RoomID}, p.Usernames...) }
func (p RoomMuteAll) subjects() []string          { return []string{p.RoomID} }
func (p RoomUnmuteAll) subjects() []string        { return []string{p.RoomID} }
func (p RoomBlockMembers) subjects() []string     { return append([]string{p.RoomID}, p.Usernames...) }
func (p RoomUnblockMembers) subjects() []string   { return append([]string{p.RoomID}, p.Usernames...) }
func (p RoomAllowMembers) subjects() []string     { return append([]string{p.RoomID}, p.Usernames...) }
func (p RoomDisallowMembers) subjects() []string  { return append([]string{p.RoomID}, p.Usernames...) }
func (p RoomSetAnnouncement) subjects() []string  { return []string{p.RoomID} }
func (p UserDelete) subjects() []string           { return []string{p.Username} }
func (p UserResetPassword) subjects() []string    { return []string{p.Username} }
func (p UserSetNickname) subjects() []string      { return []string{p.Username} }
func (p UserDeactivate) subjects() []string       { return []string{p.Username} }
func (p UserActivate) subjects() []string         { return []string{p.Username} }
func (p UserForceOffline) subjects() []string     { return []string{p.Username} }
func (p UserAddContact) subjects() []string       { return []string{p.OwnerUsername, p.FriendUsername} }
func (p UserRemoveContact) subjects() []string    { return []string{p.OwnerUsername, p.FriendUsername} }
func (p UserUnblock) subjects() []string          { return []string{p.OwnerUsername, p.BlockedUsername} }
func (p UserMute) subjects() []string             { return []string{p.Username} }
func (p UserSetAttributes) subjects() []string    { return []string{p.Username} }
