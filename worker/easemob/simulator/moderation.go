package simulator

import (
	"net/http"
	"strings"
)

// docs: admins of one group.
const adminsMax = 99

func listAdmins(_ *call, ch *chat) (*result, *refusal) { return listing(ch.admins.sorted()), nil }

// addAdmin makes a member an admin. Making one again is not documented; it
// succeeds here.
func addAdmin(c *call, ch *chat) (*result, *refusal) {
	var in struct {
		NewAdmin string `json:"newadmin"`
	}
	if no := c.decode(&in, nil); no != nil {
		return nil, no
	}
	u := strings.ToLower(in.NewAdmin)
	switch {
	case u == "":
		return nil, invalid("newadmin must be provided")
	case u == ch.owner:
		return nil, errOwner
	case ch.room && c.app.users[u] == nil:
		return nil, noSuchUser(u)
	case !ch.members.has(u): // 404 here, where other operations have 403
		return nil, refuse(http.StatusNotFound, "resource_not_found", "user: "+u+" doesn't exist in group: "+ch.id)
	case !ch.admins.has(u) && len(ch.admins) >= adminsMax:
		return nil, exceeds("admin size is greater than max admin size !") // text by analogy
	}
	ch.admins[u] = struct{}{}
	return changed(map[string]string{"result": "success", "newadmin": u}, u), nil
}

func removeAdmin(c *call, ch *chat) (*result, *refusal) {
	u := c.user(1)
	switch {
	case ch.room && c.app.users[u] == nil:
		return nil, noSuchUser(u)
	case !ch.admins.has(u):
		return nil, ch.forbidden("user:" + u + " is not admin of group:" + ch.id)
	}
	delete(ch.admins, u)
	return changed(map[string]string{"result": "success", "oldadmin": u}, u), nil
}

func listMuted(c *call, ch *chat) (*result, *refusal) {
	type muted struct {
		Expire int64  `json:"expire"`
		User   string `json:"user"`
	}
	data := []muted{}
	for _, u := range ch.mutedNow(c.start.UnixMilli()) {
		data = append(data, muted{ch.muted[u], u})
	}
	return &result{entities: noEntities, data: data}, nil
}

// mutedNow returns who is muted at a time, in ms.
func (ch *chat) mutedNow(now int64) []string {
	still := make(names)
	for u, until := range ch.muted {
		if until < 0 || until > now {
			still[u] = struct{}{}
		}
	}
	return still.sorted()
}

func muteMembers(c *call, ch *chat) (*result, *refusal) {
	var in struct {
		Duration  *int64   `json:"mute_duration"` // ms, -1 for ever
		Usernames []string `json:"usernames"`
	}
	if no := c.decode(&in, nil); no != nil {
		return nil, no
	}
	if in.Duration == nil {
		return nil, invalid("mute_duration must be provided")
	}
	users, no := someNames(in.Usernames)
	if no != nil {
		return nil, no
	}
	if no := tooMany(users, "userNames size is more than max limit"); no != nil {
		return nil, no
	}
	until := int64(-1)
	if *in.Duration >= 0 {
		until = c.start.UnixMilli() + *in.Duration
	}
	res, no := ch.each(c, users, ch.members.has, func(u string) { ch.muted[u] = until }, func(u string, ok bool) outcome {
		if !ok {
			return outcome{"result": false, "user": u, "reason": "user: " + u + " doesn't exist in group: " + ch.id}
		}
		return outcome{"result": true, "expire": until, "user": u}
	})
	if no != nil && no != errOwner { // recorded: another status and word than any other operation's
		return nil, invalid(no.text)
	}
	return res, no
}

// unmuteMembers always answers with a list. Unmuting somebody who is not muted
// is not documented; it succeeds here.
func unmuteMembers(c *call, ch *chat) (*result, *refusal) {
	users, _ := c.pathNames(1)
	if no := tooMany(users, "removeMute member size more than max limit"); no != nil {
		return nil, no
	}
	data := make([]outcome, len(users))
	for i, u := range users {
		if !c.fails(u) {
			delete(ch.muted, u)
		}
		data[i] = outcome{"result": !c.fails(u), "user": u}
	}
	return changed(data, c.spare(users)...), nil
}

func muteAll(_ *call, ch *chat) (*result, *refusal) {
	ch.muteAll = true
	return changed(map[string]bool{"mute": true}, ch.id), nil
}

func unmuteAll(_ *call, ch *chat) (*result, *refusal) {
	ch.muteAll = false
	return changed(map[string]bool{"mute": false}, ch.id), nil
}

func listBlockedMembers(_ *call, ch *chat) (*result, *refusal) {
	return listing(ch.blocked.sorted()), nil
}

func blockMember(c *call, ch *chat) (*result, *refusal) { return one(ch.block(c, []string{c.user(1)})) }

func blockMembers(c *call, ch *chat) (*result, *refusal) {
	users, no := c.usernames()
	if no == nil {
		no = tooMany(users, "userNames is more than max limit")
	}
	if no != nil {
		return nil, no
	}
	return ch.block(c, users)
}

// block puts members out and on the block list.
func (ch *chat) block(c *call, users []string) (*result, *refusal) {
	return ch.each(c, users, ch.members.has, func(u string) {
		ch.leave(u)
		ch.blocked[u] = struct{}{}
	}, func(u string, ok bool) outcome {
		o := outcome{"result": ok, "action": "add_blocks", "user": u, ch.listIDField(): ch.id}
		if !ok && ch.room { // recorded for groups: a failure without its reason
			o["reason"] = "user: " + u + " doesn't exist in chatroom: " + ch.id
		}
		return o
	})
}

// unblockMembers answers both unblockings; nobody comes back in by them.
func unblockMembers(c *call, ch *chat) (*result, *refusal) {
	users, single := c.pathNames(1)
	if no := tooMany(users, "removeBlacklist: list size more than max limit"); no != nil {
		return nil, no
	}
	res, no := ch.each(c, users, ch.blocked.has, func(u string) { delete(ch.blocked, u) }, ch.listEntry("remove_blocks"))
	if single {
		return one(res, no)
	}
	return res, no
}

// listEntry words one name's part in a change of the block or allow list.
func (ch *chat) listEntry(action string) func(string, bool) outcome {
	return func(u string, ok bool) outcome {
		o := outcome{"result": ok, "action": action, "user": u, ch.listIDField(): ch.id}
		if !ok {
			o["reason"] = "user: " + u + " doesn't exist in group: " + ch.id
		}
		return o
	}
}

func listAllowed(_ *call, ch *chat) (*result, *refusal) { return listing(ch.allowed.sorted()), nil }

func allowMember(c *call, ch *chat) (*result, *refusal) { return one(ch.allow(c, []string{c.user(1)})) }

func allowMembers(c *call, ch *chat) (*result, *refusal) {
	users, no := c.usernames()
	if no == nil {
		no = tooMany(users, "usernames size is more than max limit")
	}
	if no != nil {
		return nil, no
	}
	return ch.allow(c, users)
}

func (ch *chat) allow(c *call, users []string) (*result, *refusal) {
	return ch.each(c, users, ch.members.has, func(u string) { ch.allowed[u] = struct{}{} }, ch.listEntry("add_user_whitelist"))
}

// disallowMembers takes members off the allow list; one who was not on it is no
// failure here (not documented).
func disallowMembers(c *call, ch *chat) (*result, *refusal) {
	users, single := c.pathNames(1)
	if no := tooMany(users, "removeWhitelist size is more than max limit"); no != nil {
		return nil, no
	}
	res, no := ch.each(c, users, ch.members.has, func(u string) { delete(ch.allowed, u) }, ch.listEntry("remove_user_whitelist"))
	if single {
		return one(res, no)
	}
	return res, no
}
