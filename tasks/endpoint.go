package tasks

import (
	"slices"
	"strings"
)

// A Family is a group of calls that people speak of as one: a hold stops an app
// or one of its families.
type Family string

// The families.
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

// An Endpoint is a set of calls that Easemob counts against one rate limit:
// "<family>.<name>". Each has queues of its own in every app, so that one at its
// limit never delays another's calls. The names stand in the names of queues
// and never change.
type Endpoint string

// The endpoints that other packages name; [Endpoints] lists all.
const (
	EndpointMessagesUsers  Endpoint = "messages.users"
	EndpointMessagesGroups Endpoint = "messages.groups"
	EndpointMessagesRooms  Endpoint = "messages.rooms"
	EndpointMessagesRecall Endpoint = "messages.recall"
	EndpointGroupsCreate   Endpoint = "groups.create"
	EndpointRoomsOther     Endpoint = "rooms.other"
	EndpointUsersAccount   Endpoint = "users.account"
	EndpointUsersOther     Endpoint = "users.other"
)

// EndpointInfo describes an endpoint.
type EndpointInfo struct {
	Endpoint Endpoint
	Summary  string
	// Limit is what Easemob allows an app by default (docs, "limitationapi").
	// Paid plans have other numbers. Easemob counts a day from 00:00 UTC; a
	// [Rate] of a day is any 24 hours, which is stricter.
	Limit Limit
}

// endpoints is the table of endpoints; nothing changes it.
var endpoints = []EndpointInfo{
	{EndpointMessagesUsers, "messages to users", mustLimit("100/s", "6000/m")},
	{EndpointMessagesGroups, "messages to groups", mustLimit("20/s", "20/s")},
	{EndpointMessagesRooms, "messages to chat rooms", mustLimit("100/s", "100/s")},
	{"messages.group_members", "messages to some members of a group", mustLimit("100/s", "100/s")},
	{"messages.room_members", "messages to some members of a chat room", mustLimit("100/s", "100/s")},
	{EndpointMessagesRecall, "recalls", mustLimit("100/s", "")},
	{"messages.broadcast_users", "messages to all users of the app", mustLimit("1/30m,3/d", "")},
	{"messages.broadcast_online", "messages to all users who are online", mustLimit("1/m,50/d", "")},
	{"messages.broadcast_rooms", "messages to all active chat rooms", mustLimit("10/m,1/s,100/d", "")},
	{"messages.other", "other calls about messages", mustLimit("100/s", "")},

	{EndpointGroupsCreate, "creating groups", mustLimit("100/s", "")},
	{"groups.update", "changing groups, also their owner: one call does both", mustLimit("100/s", "")},
	{"groups.delete", "deleting groups", mustLimit("100/s", "")},
	{"groups.add_members", "adding members to groups", mustLimit("100/s", "")},
	{"groups.remove_members", "removing members from groups", mustLimit("100/s", "")},
	{"groups.add_admin", "making members of groups admins", mustLimit("100/s", "")},
	{"groups.remove_admin", "taking the admin role in groups back", mustLimit("100/s", "")},
	{"groups.mute_members", "muting members of groups", mustLimit("100/s", "")},
	{"groups.unmute_members", "letting muted members of groups speak again", mustLimit("100/s", "")},
	{"groups.mute_all", "muting whole groups", mustLimit("100/s", "")},
	{"groups.unmute_all", "letting muted groups speak again", mustLimit("100/s", "")},
	{"groups.block_members", "putting users on groups' block lists", mustLimit("100/s", "")},
	{"groups.unblock_members", "taking users off groups' block lists", mustLimit("100/s", "")},
	{"groups.allow_members", "putting members on groups' allow lists", mustLimit("100/s", "")},
	{"groups.disallow_members", "taking members off groups' allow lists", mustLimit("100/s", "")},
	{"groups.set_announcement", "announcements of groups", mustLimit("100/s", "")},
	{"groups.other", "other calls about groups", mustLimit("100/s", "")},

	{"rooms.create", "creating chat rooms", mustLimit("50/s", "")},
	{"rooms.update", "changing chat rooms, also their owner: one call does both", mustLimit("100/s", "")},
	{"rooms.delete", "deleting chat rooms", mustLimit("100/s", "")},
	{"rooms.add_members", "adding members to chat rooms", mustLimit("100/s", "")},
	{"rooms.remove_members", "removing members from chat rooms", mustLimit("100/s", "")},
	{"rooms.add_admin", "making members of chat rooms admins", mustLimit("100/s", "")},
	{"rooms.remove_admin", "taking the admin role in chat rooms back", mustLimit("100/s", "")},
	{"rooms.mute_members", "muting members of chat rooms", mustLimit("100/s", "")},
	{"rooms.unmute_members", "letting muted members of chat rooms speak again", mustLimit("100/s", "")},
	{"rooms.mute_all", "muting whole chat rooms", mustLimit("100/s", "")},
	{"rooms.unmute_all", "letting muted chat rooms speak again", mustLimit("100/s", "")},
	{"rooms.block_members", "putting users on chat rooms' block lists", mustLimit("100/s", "")},
	{"rooms.unblock_members", "taking users off chat rooms' block lists", mustLimit("100/s", "")},
	{"rooms.allow_members", "putting members on chat rooms' allow lists", mustLimit("100/s", "")},
	{"rooms.disallow_members", "taking members off chat rooms' allow lists", mustLimit("100/s", "")},
	{"rooms.set_announcement", "announcements of chat rooms", mustLimit("100/s", "")},
	{EndpointRoomsOther, "other calls about chat rooms", mustLimit("100/s", "")},

	{EndpointUsersAccount, "user accounts: registration, deletion, password and the like share one limit", mustLimit("100/s", "")},
	{"users.add_contact", "adding contacts", mustLimit("100/s", "")},
	{"users.remove_contact", "removing contacts", mustLimit("100/s", "")},
	{"users.block", "putting users on other users' block lists", mustLimit("50/s", "")},
	{"users.unblock", "taking users off other users' block lists", mustLimit("50/s", "")},
	{"users.mute", "muting users in the whole app", mustLimit("100/s", "")},
	{"users.set_attributes", "attributes of users", mustLimit("100/s", "")},
	{EndpointUsersOther, "other calls about users", mustLimit("100/s", "")},
}

// endpointsByName finds the rows of endpoints.
var endpointsByName = func() map[Endpoint]EndpointInfo {
	byName := make(map[Endpoint]EndpointInfo, len(endpoints))
	for _, info := range endpoints {
		byName[info.Endpoint] = info
	}
	return byName
}()

// Endpoints lists all endpoints, by family.
func Endpoints() []EndpointInfo { return slices.Clone(endpoints) }

// Info describes e; ok is false when this version does not know it.
func (e Endpoint) Info() (info EndpointInfo, ok bool) {
	info, ok = endpointsByName[e]
	return info, ok
}

// Family is the family that e belongs to.
func (e Endpoint) Family() Family {
	family, _, _ := strings.Cut(string(e), ".")
	return Family(family)
}
