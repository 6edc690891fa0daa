package simulator

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"strings"
)

// docs: bounds of a user's lists and attributes. The contact bound is the
// paid plans'.
const (
	contactsMax   = 3000
	blockedMax    = 500
	attributesMax = 2 << 10 // bytes of keys and values
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
		if !u.contacts.has(f.name) && max(len(u.contacts), len(f.contacts)) >= contactsMax {
			return nil, refuse(http.StatusForbidden, "exceed_limit", "user contact number exceed limit")
		}
		u.contacts[f.name], f.contacts[u.name] = struct{}{}, struct{}{}
		res := changedUsers(c.app, "/users/"+u.name+"/contacts", f)
		res.done.targets = []string{u.name, f.name}
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
		for _, name := range users {
			u.blocked[name] = struct{}{}
		}
		return changed(users, append([]string{u.name}, users...)...), nil
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

// setAttributes answers PUT /metadata/user/{user}, sent as a form (docs) or, as
// a kindness, as a JSON object of texts.
func setAttributes(c *call) (*result, *refusal) {
	given := make(map[string]string)
	bad := &refusal{status: http.StatusBadRequest, empty: true} // recorded: 400 without a body
	if bytes.HasPrefix(bytes.TrimSpace(c.body), []byte("{")) {
		if json.Unmarshal(c.body, &given) != nil {
			return nil, bad
		}
	} else {
		form, err := url.ParseQuery(string(c.body))
		if err != nil || len(form) == 0 {
			return nil, bad
		}
		for k := range form {
			given[k] = form.Get(k)
		}
	}
	name := c.user(0)
	return c.withUser(0, func(u *user) (*result, *refusal) {
		after := maps.Clone(u.attributes)
		maps.Copy(after, given)
		size := 0
		for k, v := range after {
			size += len(k) + len(v)
		}
		if size > attributesMax {
			return nil, refuse(http.StatusForbidden, "FORBIDDEN",
				"size of metadata for this single user exceeds the user defined limit, 2048Bytes")
		}
		u.attributes = after
		return &result{bare: true, data: given, done: &change{targets: []string{name}}}, nil
	})
}

func getAttributes(c *call) (*result, *refusal) {
	return c.withUser(0, func(u *user) (*result, *refusal) {
		return &result{bare: true, data: maps.Clone(u.attributes)}, nil
	})
}

func deleteAttributes(c *call) (*result, *refusal) {
	return c.withUser(0, func(u *user) (*result, *refusal) {
		u.attributes = make(map[string]string)
		return &result{bare: true, data: true, done: &change{targets: []string{u.name}}}, nil
	})
}
