package simulator

import "strings"

// Families of endpoints, which differ in how they are answered and recorded.
const (
	familyToken      = "token"
	familyMessages   = "messages"
	familyBroadcast  = "broadcast"
	familyGroups     = "chatgroups"
	familyRooms      = "chatrooms"
	familyAccounts   = "accounts"
	familyUsers      = "users"
	familyAttributes = "metadata"
)

// wildcard starts a path segment that stands for any value.
const wildcard = "{"

// route is one endpoint.
type route struct {
	endpoint string // "METHOD /path/{wildcard}", as counts name it
	family   string
	handle   func(*call) (*result, *refusal)
	pools    []string // what its limits go by
	segments []string // of a path with wildcards
}

// routes is the whole API, in one table. Where two patterns fit a path the first
// wins.
func routes() []route {
	get, post, put, del := "GET ", "POST ", "PUT ", "DELETE "
	rs := []route{
		{endpoint: post + "/token", family: familyToken, handle: issueToken},

		{endpoint: post + "/messages/users", family: familyMessages, handle: sendTo(usersTarget)},
		{endpoint: post + "/messages/chatgroups", family: familyMessages, handle: sendTo(groupsTarget)},
		{endpoint: post + "/messages/chatrooms", family: familyMessages, handle: sendTo(roomsTarget)},
		{endpoint: post + "/messages/chatgroups/users", family: familyMessages, handle: sendTo(groupMembersTarget)},
		{endpoint: post + "/messages/chatrooms/users", family: familyMessages, handle: sendTo(roomMembersTarget)},
		{endpoint: post + "/messages/broadcast", family: familyBroadcast, handle: broadcast},
		{endpoint: post + "/messages/users/broadcast", family: familyBroadcast, handle: broadcast},
		{endpoint: post + "/messages/chatrooms/broadcast", family: familyBroadcast, handle: broadcast},
		{endpoint: post + "/messages/msg_recall", family: familyMessages, handle: recallMessage},
		{endpoint: post + "/messages", family: familyMessages, handle: sendLegacy},

		{endpoint: post + "/users", family: familyAccounts, handle: registerUsers},
		{endpoint: get + "/users", family: familyAccounts, handle: listUsers},
		{endpoint: del + "/users", family: familyAccounts, handle: deleteOldestUsers},
		{endpoint: post + "/users/batch/status", family: familyAccounts, handle: statusOfUsers},
		{endpoint: get + "/users/{user}", family: familyAccounts, handle: getUser},
		{endpoint: put + "/users/{user}", family: familyAccounts, handle: setNickname},
		{endpoint: del + "/users/{user}", family: familyAccounts, handle: deleteUser},
		{endpoint: put + "/users/{user}/password", family: familyAccounts, handle: setPassword},
		{endpoint: get + "/users/{user}/status", family: familyAccounts, handle: statusOfUser},
		{endpoint: post + "/users/{user}/deactivate", family: familyAccounts, handle: deactivateUser},
		{endpoint: post + "/users/{user}/activate", family: familyAccounts, handle: activateUser},
		{endpoint: get + "/users/{user}/disconnect", family: familyAccounts, handle: disconnectUser},
		{endpoint: del + "/users/{user}/disconnect/{resource}", family: familyAccounts, handle: disconnectUser},
		{endpoint: get + "/users/{user}/contacts/users", family: familyUsers, handle: listContacts},
		{endpoint: post + "/users/{user}/contacts/users/{friend}", family: familyUsers, handle: addContact},
		{endpoint: del + "/users/{user}/contacts/users/{friend}", family: familyUsers, handle: removeContact},
		{endpoint: get + "/users/{user}/blocks/users", family: familyUsers, handle: listBlocked},
		{endpoint: post + "/users/{user}/blocks/users", family: familyUsers, handle: blockUsers},
		{endpoint: del + "/users/{user}/blocks/users/{blocked}", family: familyUsers, handle: unblockUser},
		{endpoint: post + "/mutes", family: familyUsers, handle: muteUser},
		{endpoint: get + "/mutes/{user}", family: familyUsers, handle: mutesOfUser},
		{endpoint: post + "/users/{user}/contacts/import", family: familyUsers, handle: importContacts},
		{endpoint: put + "/metadata/user/{user}", family: familyAttributes, handle: setAttributes},
		{endpoint: get + "/metadata/user/{user}", family: familyAttributes, handle: getAttributes},
		{endpoint: del + "/metadata/user/{user}", family: familyAttributes, handle: deleteAttributes},
		{endpoint: put + "/metadata/chatroom/{id}/user/{user}", family: familyRooms, handle: setRoomAttributes},
		{endpoint: put + "/metadata/chatroom/{id}/user/{user}/forced", family: familyRooms, handle: setRoomAttributes},
		{endpoint: del + "/metadata/chatroom/{id}/user/{user}", family: familyRooms, handle: deleteRoomAttributes},
		{endpoint: del + "/metadata/chatroom/{id}/user/{user}/forced", family: familyRooms, handle: deleteRoomAttributes},
		{endpoint: post + "/metadata/chatroom/{id}", family: familyRooms, handle: getRoomAttributes},
		{endpoint: get + "/users/{user}/joined_chatgroups", family: familyUsers, handle: joinedGroups},
		{endpoint: get + "/users/{user}/joined_chatrooms", family: familyUsers, handle: joinedRooms},

		{endpoint: post + "/chatgroups", family: familyGroups, handle: createGroup},
		{endpoint: get + "/chatgroups", family: familyGroups, handle: listChats},
		{endpoint: get + "/chatgroups/{ids}", family: familyGroups, handle: groupDetails},
		{endpoint: put + "/chatgroups/{id}", family: familyGroups, handle: oneChat(modifyChat)},
		{endpoint: del + "/chatgroups/{id}", family: familyGroups, handle: oneChat(deleteChat)},
		{endpoint: post + "/chatgroups/{id}/disable", family: familyGroups, handle: oneChat(disableGroup)},
		{endpoint: post + "/chatgroups/{id}/enable", family: familyGroups, handle: oneChat(enableGroup)},
		{endpoint: get + "/chatgroups/user/{user}", family: familyGroups, handle: groupsOfUser},
		{endpoint: get + "/chatgroups/{id}/user/{user}/is_joined", family: familyGroups, handle: oneChat(isJoined)},

		{endpoint: post + "/chatrooms", family: familyRooms, handle: createRoom},
		{endpoint: get + "/chatrooms", family: familyRooms, handle: listChats},
		{endpoint: get + "/chatrooms/{id}", family: familyRooms, handle: oneChat(roomDetail)},
		{endpoint: put + "/chatrooms/{id}", family: familyRooms, handle: oneChat(modifyChat)},
		{endpoint: del + "/chatrooms/{id}", family: familyRooms, handle: oneChat(deleteChat)},
	}
	for _, family := range []string{familyGroups, familyRooms} { // alike for both
		id := "/" + family + "/{id}"
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
			rs = append(rs, route{endpoint: rt.endpoint, family: family, handle: oneChat(rt.handle)})
		}
	}
	for i := range rs {
		rt := &rs[i]
		switch {
		case rt.endpoint == del+"/users": // counted by itself besides (docs)
			rt.pools = []string{PoolAccounts, rt.endpoint}
		case rt.family == familyAccounts:
			rt.pools = []string{PoolAccounts}
		default:
			rt.pools = []string{rt.endpoint}
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
func (c *call) room() bool { return c.route.family == familyRooms }
