package simulator

import (
	"net/http"
	"strings"
)

// docs: bounds of a user's lists.
const (
	contactsDefault = 3000
	blockedMax      = 500
	importMax       = 10 // contacts in one call
)

func listContacts(c *call) (*result, *refusal) {
	return c.withUser(0, func(u *user) (*result, *refusal) { return listing(u.contacts.sorted()), nil })
}

// listing answers with a list of names.
func listing(list []string) *result {
	n := len(list)
	return &result{entities: noEntities, data: list, count: &n}
}

// addContact makes two users each other's contacts. Adding one again is not
// documented; it succeeds here.
func addContact(c *call) (*result, *refusal) {
	return c.withUser(0, func(u *user) (*result, *refusal) {
		f := c.app.users[c.user(1)]
		if f == nil {
			return nil, errNoUser
		}
		if f == u {
			return nil, refuse(http.StatusBadRequest, "illegal_argument", "this is an invalid request.") // not documented
		}
		if !u.contacts.has(f.name) && c.contactsFull(u, f) {
			return nil, refuse(http.StatusForbidden, "exceed_limit", "user contact number exceed limit")
		}
		u.contacts[f.name], f.contacts[u.name] = struct{}{}, struct{}{}
		res := changedUsers(c.app, "/users/"+u.name+"/contacts", f)
		res.done.targets = []string{u.name, f.name}
		return res, nil
	})
}

// contactsFull reports whether either of two users has no room for the other.
func (c *call) contactsFull(u, f *user) bool {
	return max(len(u.contacts), len(f.contacts)) >= c.sim.quotas.Load().Contacts
}

// importContacts answers POST /users/{user}/contacts/import: four lists, in a 200
// whatever fails (docs).
func importContacts(c *call) (*result, *refusal) {
	users, no := c.usernames()
	switch {
	case no != nil:
		return nil, no
	case len(users) > importMax: // text by analogy
		return nil, refusef(http.StatusBadRequest, "illegal_argument", "request body exceeds maximum limit, maximum limit is %d", importMax)
	}
	return c.withUser(0, func(u *user) (*result, *refusal) {
		done, unknown, full, failed := []string{}, []string{}, []string{}, []string{}
		for _, name := range users {
			f := c.app.users[name]
			switch {
			case c.fails(name):
				failed = append(failed, name)
			case f == nil || f == u:
				unknown = append(unknown, name)
			case !u.contacts.has(name) && c.contactsFull(u, f):
				full = append(full, name)
			default:
				u.contacts[name], f.contacts[u.name] = struct{}{}, struct{}{}
				done = append(done, name)
			}
		}
		res := changed(map[string][]string{"success": done, "NotExistFailed": unknown, "maxLimitFailed": full, "UnKnowFailed": failed}, done...)
		res.status = "ok"
		return res, nil
	})
}

// removeContact succeeds for a user who is no contact (not documented).
func removeContact(c *call) (*result, *refusal) {
	return c.withUser(0, func(u *user) (*result, *refusal) {
		f := c.app.users[c.user(1)]
		if f == nil {
			return nil, errNoUser
		}
		delete(u.contacts, f.name)
		delete(f.contacts, u.name)
		res := changedUsers(c.app, "/users/"+u.name+"/contacts", f)
		res.done.targets = []string{u.name, f.name}
		return res, nil
	})
}

func listBlocked(c *call) (*result, *refusal) {
	return c.withUser(0, func(u *user) (*result, *refusal) { return listing(u.blocked.sorted()), nil })
}

func blockUsers(c *call) (*result, *refusal) {
	users, no := c.usernames()
	if no != nil {
		return nil, no
	}
	return c.withUser(0, func(u *user) (*result, *refusal) {
		added := 0
		for _, name := range users {
			if c.app.users[name] == nil {
				return nil, errNoUser
			}
			if !u.blocked.has(name) {
				added++
			}
		}
		if len(u.blocked)+added > blockedMax {
			return nil, refuse(http.StatusForbidden, "exceed_limit", "user block number exceed limit") // text by analogy
		}
		done := c.spare(users)
		for _, name := range done {
			u.blocked[name] = struct{}{}
		}
		return changed(done, append([]string{u.name}, done...)...), nil
	})
}

func unblockUser(c *call) (*result, *refusal) {
	return c.withUser(0, func(u *user) (*result, *refusal) {
		b := c.app.users[c.user(1)]
		if b == nil {
			return nil, errNoUser
		}
		delete(u.blocked, b.name)
		res := changedUsers(c.app, "/users/"+u.name+"/blocks", b)
		res.done.targets = []string{u.name, b.name}
		return res, nil
	})
}

// mute says until when each kind of message of a user is refused, in Unix
// seconds; -1 for ever, 0 not at all.
type mute struct{ chat, groupchat, chatroom int64 }

// globallyMuted refuses the send of a user who is muted for its kind of chat.
// docs: a global mute applies to REST sends too; how it is refused is not
// documented.
func (c *call) globallyMuted(from *string, chatType string) *refusal {
	name := "admin"
	if from != nil {
		name = strings.ToLower(*from)
	}
	c.app.mu.Lock()
	m := c.app.mutes[name]
	c.app.mu.Unlock()
	until := map[string]int64{"chat": m.chat, "groupchat": m.groupchat, "chatroom": m.chatroom}[chatType]
	if until < 0 || until > c.start.Unix() {
		return refuse(http.StatusForbidden, "forbidden_op", "user: "+name+" is muted")
	}
	return nil
}

var errNoMuteUser = refuse(http.StatusBadRequest, "required_property_not_found", "Entity user requires a property named username")

// muteUser answers POST /mutes. A kind that is absent keeps its mute.
func muteUser(c *call) (*result, *refusal) {
	var in struct {
		Username  string `json:"username"`
		Chat      *int64 `json:"chat"` // seconds; -1 for ever, 0 ends it
		Groupchat *int64 `json:"groupchat"`
		Chatroom  *int64 `json:"chatroom"`
	}
	if no := c.decode(&in, nil); no != nil {
		return nil, no
	}
	name := strings.ToLower(in.Username)
	a := c.app
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.users[name] == nil {
		return nil, errNoMuteUser
	}
	now := c.start.Unix()
	until := func(old int64, seconds *int64) int64 {
		switch {
		case seconds == nil:
			return old
		case *seconds <= 0:
			return *seconds
		}
		return now + *seconds
	}
	m := a.mutes[name]
	a.mutes[name] = mute{until(m.chat, in.Chat), until(m.groupchat, in.Groupchat), until(m.chatroom, in.Chatroom)}
	return &result{path: "/mutes", data: map[string]string{"result": "ok"}, done: &change{targets: []string{name}}}, nil
}

func mutesOfUser(c *call) (*result, *refusal) {
	a := c.app
	a.mu.Lock()
	defer a.mu.Unlock()
	name := c.user(0)
	if a.users[name] == nil {
		return nil, errNoMuteUser
	}
	now := c.start.Unix()
	left := func(until int64) int64 {
		if until < 0 {
			return -1
		}
		return max(0, until-now)
	}
	m := a.mutes[name]
	return &result{path: "/mutes", data: map[string]any{
		"userid": a.Key + "_" + name, "unixtime": now,
		"chat": left(m.chat), "groupchat": left(m.groupchat), "chatroom": left(m.chatroom),
	}}, nil
}
