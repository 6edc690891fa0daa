package simulator

import "strings"

// Classes of endpoints, the keys of [Limits].
const (
	ClassToken        = "token"
	ClassSendUsers    = "messages/users"
	ClassSendGroups   = "messages/chatgroups"
	ClassSendRooms    = "messages/chatrooms"
	ClassSendDirected = "messages/directed"
	ClassBroadcast    = "messages/broadcast"
	ClassRecall       = "messages/recall"
	ClassSendLegacy   = "messages"
	ClassGroups       = "chatgroups"
	ClassRooms        = "chatrooms"
	ClassUsers        = "users"
)

// wildcard starts a path segment that stands for any value.
const wildcard = "{"

// route is one endpoint.
type route struct {
	endpoint string // "METHOD /path/{wildcard}", as counts name it
	class    string
	handle   func(*call) (*result, *refusal)
	segments []string // of a path with wildcards
}

// routes is the whole API, in one table. Where two patterns fit a path the first
// wins.
func routes() []route {
	get, post, put, del := "GET ", "POST ", "PUT ", "DELETE "
	rs := []route{
		{endpoint: post + "/token", class: ClassToken, handle: issueToken},

		{endpoint: post + "/messages/users", class: ClassSendUsers, handle: sendTo(usersTarget)},
		{endpoint: post + "/messages/chatgroups", class: ClassSendGroups, handle: sendTo(groupsTarget)},
		{endpoint: post + "/messages/chatrooms", class: ClassSendRooms, handle: sendTo(roomsTarget)},
		{endpoint: post + "/messages/chatgroups/users", class: ClassSendDirected, handle: sendTo(groupMembersTarget)},
		{endpoint: post + "/messages/chatrooms/users", class: ClassSendDirected, handle: sendTo(roomMembersTarget)},
		{endpoint: post + "/messages/broadcast", class: ClassBroadcast, handle: broadcast},
		{endpoint: post + "/messages/users/broadcast", class: ClassBroadcast, handle: broadcast},
		{endpoint: post + "/messages/chatrooms/broadcast", class: ClassBroadcast, handle: broadcast},
		{endpoint: post + "/messages/msg_recall", class: ClassRecall, handle: recallMessage},
		{endpoint: post + "/messages", class: ClassSendLegacy, handle: sendLegacy},

		{endpoint: post + "/users", class: ClassUsers, handle: registerUsers},
		{endpoint: get + "/users", class: ClassUsers, handle: listUsers},
		{endpoint: del + "/users", class: ClassUsers, handle: deleteOldestUsers},
		{endpoint: post + "/users/batch/status", class: ClassUsers, handle: statusOfUsers},
		{endpoint: get + "/users/{user}", class: ClassUsers, handle: getUser},
		{endpoint: put + "/users/{user}", class: ClassUsers, handle: setNickname},
		{endpoint: del + "/users/{user}", class: ClassUsers, handle: deleteUser},
		{endpoint: put + "/users/{user}/password", class: ClassUsers, handle: setPassword},
		{endpoint: get + "/users/{user}/status", class: ClassUsers, handle: statusOfUser},
		{endpoint: post + "/users/{user}/deactivate", class: ClassUsers, handle: deactivateUser},
		{endpoint: post + "/users/{user}/activate", class: ClassUsers, handle: activateUser},
		{endpoint: get + "/users/{user}/disconnect", class: ClassUsers, handle: disconnectUser},
		{endpoint: del + "/users/{user}/disconnect/{resource}", class: ClassUsers, handle: disconnectUser},
		{endpoint: get + "/users/{user}/contacts/users", class: ClassUsers, handle: listContacts},
		{endpoint: post + "/users/{user}/contacts/users/{friend}", class: ClassUsers, handle: addContact},
		{endpoint: del + "/users/{user}/contacts/users/{friend}", class: ClassUsers, handle: removeContact},
		{endpoint: get + "/users/{user}/blocks/users", class: ClassUsers, handle: listBlocked},
		{endpoint: post + "/users/{user}/blocks/users", class: ClassUsers, handle: blockUsers},
		{endpoint: del + "/users/{user}/blocks/users/{blocked}", class: ClassUsers, handle: unblockUser},
		{endpoint: post + "/mutes", class: ClassUsers, handle: muteUser},
		{endpoint: get + "/mutes/{user}", class: ClassUsers, handle: mutesOfUser},
		{endpoint: put + "/metadata/user/{user}", class: ClassUsers, handle: setAttributes},
		{endpoint: get + "/metadata/user/{user}", class: ClassUsers, handle: getAttributes},
		{endpoint: del + "/metadata/user/{user}", class: ClassUsers, handle: deleteAttributes},
		{endpoint: get + "/users/{user}/joined_chatgroups", class: ClassGroups, handle: joinedGroups},
		{endpoint: get + "/users/{user}/joined_chatrooms", class: ClassRooms, handle: joinedRooms},

		{endpoint: post + "/chatgroups", class: ClassGroups, handle: createGroup},
		{endpoint: get + "/chatgroups", class: ClassGroups, handle: listChats},
		{endpoint: get + "/chatgroups/{ids}", class: ClassGroups, handle: groupDetails},
		{endpoint: put + "/chatgroups/{id}", class: ClassGroups, handle: oneChat(modifyChat)},
		{endpoint: del + "/chatgroups/{id}", class: ClassGroups, handle: oneChat(deleteChat)},
		{endpoint: post + "/chatgroups/{id}/disable", class: ClassGroups, handle: oneChat(disableGroup)},
		{endpoint: post + "/chatgroups/{id}/enable", class: ClassGroups, handle: oneChat(enableGroup)},
		{endpoint: get + "/chatgroups/user/{user}", class: ClassGroups, handle: groupsOfUser},
		{endpoint: get + "/chatgroups/{id}/user/{user}/is_joined", class: ClassGroups, handle: oneChat(isJoined)},

		{endpoint: post + "/chatrooms", class: ClassRooms, handle: createRoom},
		{endpoint: get + "/chatrooms", class: ClassRooms, handle: listChats},
		{endpoint: get + "/chatrooms/{id}", class: ClassRooms, handle: oneChat(roomDetail)},
		{endpoint: put + "/chatrooms/{id}", class: ClassRooms, handle: oneChat(modifyChat)},
		{endpoint: del + "/chatrooms/{id}", class: ClassRooms, handle: oneChat(deleteChat)},
	}
	for _, class := range []string{ClassGroups, ClassRooms} { // alike for both
		id := "/" + class + "/{id}"
		for _, rt := range []struct {
			endpoint string
			handle   func(*call, *chat) (*result, *refusal)
		}{
			{get + id + "/users", listMembers},
			{post + id + "/users", addMembers},
			{post + id + "/users/{user}", addMember},
			{del + id + "/users/{users}", removeMembers},
			{get + id + "/admin", listAdmins},
			{post + id + "/admin", addAdmin},
			{del + id + "/admin/{user}", removeAdmin},
			{get + id + "/mute", listMuted},
			{post + id + "/mute", muteMembers},
			{del + id + "/mute/{users}", unmuteMembers},
			{post + id + "/ban", muteAll},
			{del + id + "/ban", unmuteAll},
			{get + id + "/blocks/users", listBlockedMembers},
			{post + id + "/blocks/users", blockMembers},
			{post + id + "/blocks/users/{user}", blockMember},
			{del + id + "/blocks/users/{users}", unblockMembers},
			{get + id + "/white/users", listAllowed},
			{post + id + "/white/users", allowMembers},
			{post + id + "/white/users/{user}", allowMember},
			{del + id + "/white/users/{users}", disallowMembers},
			{get + id + "/announcement", getAnnouncement},
			{post + id + "/announcement", setAnnouncement},
		} {
			rs = append(rs, route{endpoint: rt.endpoint, class: class, handle: oneChat(rt.handle)})
		}
	}
	return rs
}

// router finds the endpoint of a method and a path. Paths without wildcards
// are found first and fast; they are the sends.
type router struct {
	static map[string]map[string]*route // path, method
	bySize map[int][]*route             // with wildcards, by number of segments
}

func newRouter(rs []route) router {
	t := router{static: make(map[string]map[string]*route), bySize: make(map[int][]*route)}
	for i := range rs {
		rt := &rs[i]
		method, path, _ := strings.Cut(rt.endpoint, " ")
		if !strings.Contains(path, wildcard) {
			if t.static[path] == nil {
				t.static[path] = make(map[string]*route)
			}
			t.static[path][method] = rt
			continue
		}
		rt.segments = strings.Split(path, "/")
		n := len(rt.segments)
		t.bySize[n] = append(t.bySize[n], rt)
	}
	return t
}

// find returns the endpoint and the values of its wildcards. known tells a path
// that exists with another method from one that does not exist.
func (t *router) find(method, path string) (rt *route, args []string, known bool) {
	if methods, ok := t.static[path]; ok {
		if rt := methods[method]; rt != nil {
			return rt, nil, true
		}
		known = true
	}
	segments := strings.Split(path, "/")
	for _, rt := range t.bySize[len(segments)] {
		args, ok := match(rt.segments, segments)
		if !ok {
			continue
		}
		known = true
		if m, _, _ := strings.Cut(rt.endpoint, " "); m == method {
			return rt, args, true
		}
	}
	return nil, nil, known
}

// match compares a path with a pattern of as many segments. A wildcard takes
// no empty segment.
func match(pattern, path []string) (args []string, ok bool) {
	for i, p := range pattern {
		switch {
		case strings.HasPrefix(p, wildcard):
			if path[i] == "" {
				return nil, false
			}
		case p != path[i]:
			return nil, false
		}
	}
	for i, p := range pattern {
		if strings.HasPrefix(p, wildcard) {
			args = append(args, path[i])
		}
	}
	return args, true
}

// room reports whether the call is about chat rooms; groups otherwise.
func (c *call) room() bool { return c.route.class == ClassRooms }
