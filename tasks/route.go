package tasks

import (
	"encoding/json"
	"net/url"
	"slices"
	"strings"
)

const messagesOther Endpoint = "messages.other"

// A route leads calls of a method and a path to the name of their endpoint. "*"
// stands for one part of the path.
type route struct{ method, path, name string }

// placeRoutes are the calls about groups and chat rooms, below their root.
var placeRoutes = []route{
	{"POST", "", "create"},
	{"PUT", "*", "update"},
	{"DELETE", "*", "delete"},
	{"POST", "*/users", "add_members"},
	{"DELETE", "*/users/*", "remove_members"},
	{"POST", "*/admin", "add_admin"},
	{"DELETE", "*/admin/*", "remove_admin"},
	{"POST", "*/mute", "mute_members"},
	{"DELETE", "*/mute/*", "unmute_members"},
	{"POST", "*/ban", "mute_all"},
	{"DELETE", "*/ban", "unmute_all"},
	{"POST", "*/blocks/users", "block_members"},
	{"DELETE", "*/blocks/users/*", "unblock_members"},
	{"POST", "*/white/users", "allow_members"},
	{"DELETE", "*/white/users/*", "disallow_members"},
	{"POST", "*/announcement", "set_announcement"},
}

// messageRoutes are the calls about messages, below /messages.
var messageRoutes = []route{
	{"POST", "users", "users"},
	{"POST", "chatgroups", "groups"},
	{"POST", "chatrooms", "rooms"},
	{"POST", "chatgroups/users", "group_members"},
	{"POST", "chatrooms/users", "room_members"},
	{"POST", "msg_recall", "recall"},
	{"POST", "recall", "recall"},
	{"POST", "broadcast", "broadcast_users"},
	{"POST", "users/broadcast", "broadcast_online"},
	{"POST", "chatrooms/broadcast", "broadcast_rooms"},
}

// userRoutes are the calls about users, below /users. Those of the account share
// one limit (docs, "limitationapi").
var userRoutes = []route{
	{"POST", "", "account"},
	{"GET", "", "account"},
	{"DELETE", "", "account"},
	{"GET", "*", "account"},
	{"PUT", "*", "account"},
	{"DELETE", "*", "account"},
	{"PUT", "*/password", "account"},
	{"POST", "*/password", "account"},
	{"POST", "*/activate", "account"},
	{"POST", "*/deactivate", "account"},
	{"GET", "*/disconnect", "account"},
	{"DELETE", "*/disconnect/*", "account"},
	{"GET", "*/status", "account"},
	{"POST", "batch/status", "account"},
	{"GET", "*/resources", "account"},
	{"GET", "*/offline_msg_count", "account"},
	{"GET", "*/offline_msg_status/*", "account"},
	{"GET", "*/push/binding", "account"},
	{"PUT", "*/push/binding", "account"},
	{"POST", "*/contacts/users/*", "add_contact"},
	{"DELETE", "*/contacts/users/*", "remove_contact"},
	{"POST", "*/blocks/users", "block"},
	{"DELETE", "*/blocks/users/*", "unblock"},
}

// endpointOf is what Easemob counts a call against. A call that no route knows
// belongs to its family's "other".
func endpointOf(method, path string, body []byte) Endpoint {
	path, _, _ = strings.Cut(path, "?")
	parts := strings.Split(strings.Trim(path, "/"), "/")
	for i, part := range parts {
		if plain, err := url.PathUnescape(part); err == nil {
			parts[i] = plain
		}
	}
	root, rest := parts[0], parts[1:]
	switch root {
	case "messages":
		if method == "POST" && len(rest) == 0 {
			return oldSend(body)
		}
		return follow(messageRoutes, method, rest, FamilyMessages)
	case "stream_message", "chatmessages", "chatfiles", "reaction":
		return messagesOther
	case "chatgroups":
		return follow(placeRoutes, method, rest, FamilyGroups)
	case "thread", "threads":
		return "groups.other"
	case "chatrooms":
		return follow(placeRoutes, method, rest, FamilyRooms)
	case "users":
		return follow(userRoutes, method, rest, FamilyUsers)
	case "mutes":
		return follow([]route{{"POST", "", "mute"}}, method, rest, FamilyUsers)
	case "metadata":
		if len(rest) > 0 && rest[0] == "chatgroup" {
			return "groups.other"
		}
		if len(rest) > 0 && rest[0] == "chatroom" {
			return EndpointRoomsOther
		}
		return follow([]route{{"PUT", "user/*", "set_attributes"}}, method, rest, FamilyUsers)
	}
	return EndpointUsersOther
}

// oldSend is the endpoint of a send by POST /messages, which names its target's
// type in the body. It is not documented any more, nor is what it counts
// against: emq takes it for the endpoint that replaced it.
func oldSend(body []byte) Endpoint {
	var send struct {
		TargetType string `json:"target_type"`
	}
	_ = json.Unmarshal(body, &send) // without a target's type there is no telling
	switch Target(send.TargetType) {
	case Users:
		return EndpointMessagesUsers
	case Groups:
		return EndpointMessagesGroups
	case Rooms:
		return EndpointMessagesRooms
	}
	return messagesOther
}

func follow(routes []route, method string, parts []string, family Family) Endpoint {
	for _, r := range routes {
		if r.method == method && r.matches(parts) {
			return Endpoint(string(family) + "." + r.name)
		}
	}
	return Endpoint(string(family) + ".other")
}

func (r route) matches(parts []string) bool {
	var want []string
	if r.path != "" {
		want = strings.Split(r.path, "/")
	}
	return slices.EqualFunc(want, parts, func(want, part string) bool { return want == "*" || want == part })
}
