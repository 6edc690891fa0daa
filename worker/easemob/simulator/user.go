package simulator

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// docs: bounds of a user's fields, names in bytes, and of lists in one call.
const (
	usernameMax = 64
	passwordMax = 64
	nicknameMax = 100
	registerMax = 60
	listMax     = 100
	listDefault = 10
)

// user is one registered user; the app's lock guards it.
type user struct {
	seq                      int64
	name, nickname, password string
	created, modified        int64 // ms
	deactivated              bool
	contacts, blocked        names
	attributes               map[string]string
}

// names is a set of user ids.
type names map[string]struct{}

func (n names) has(name string) bool { _, ok := n[name]; return ok }

// sorted returns the names in order; never nil, since answers want a list.
func (n names) sorted() []string {
	out := make([]string, 0, len(n))
	for name := range n {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

// entity is a user as answers show one.
type entity struct {
	UUID      string `json:"uuid"`
	Type      string `json:"type"`
	Created   int64  `json:"created"`
	Modified  int64  `json:"modified"`
	Username  string `json:"username"`
	Activated bool   `json:"activated"`
	Nickname  string `json:"nickname,omitempty"`
}

func (a *app) entity(u *user) entity {
	return entity{
		UUID: uuidOf(a.Key, u.name), Type: "user", Created: u.created, Modified: u.modified,
		Username: u.name, Activated: !u.deactivated, Nickname: u.nickname,
	}
}

// addUser registers a user; the caller holds the lock and knows the name is
// free.
func (a *app) addUser(name, password, nickname string, now int64) *user {
	a.userSeq++
	u := &user{
		seq: a.userSeq, name: name, password: password, nickname: nickname, created: now, modified: now,
		contacts: make(names), blocked: make(names), attributes: make(map[string]string),
	}
	a.users[name] = u
	return u
}

// legalName reports whether a user id, in lower case, keeps to a-z 0-9 _ - .
func legalName(name string) bool {
	for _, r := range name {
		if (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '_' && r != '-' && r != '.' {
			return false
		}
	}
	return name != ""
}

type registration struct {
	Username string `json:"username"`
	Password string `json:"password"`
	Nickname string `json:"nickname"`
}

// check lower-cases the name and refuses what can't be registered.
func (in *registration) check() *refusal {
	given := in.Username
	in.Username = strings.ToLower(given)
	text := ""
	switch {
	case given == "":
		text = "Entity user requires a property named username"
	case len(given) > usernameMax:
		text = "USERNAME_TOO_LONG"
	case !legalName(in.Username):
		text = "username [" + given + "] is not legal"
	case in.Password == "":
		text = "password or pin must provided"
	case utf8.RuneCountInString(in.Password) > passwordMax:
		text = "PASSWORD_TOO_LONG" // text by analogy
	case utf8.RuneCountInString(in.Nickname) > nicknameMax:
		text = "NICKNAME_TOO_LONG"
	default:
		return nil
	}
	return refuse(http.StatusBadRequest, "illegal_argument", text)
}

// registerUsers answers POST /users for one user or a list.
func registerUsers(c *call) (*result, *refusal) {
	var raw json.RawMessage
	if no := c.decode(&raw, nil); no != nil {
		return nil, no
	}
	if raw[0] == '[' {
		return registerMany(c)
	}
	var in registration
	if no := c.decode(&in, nil); no != nil {
		return nil, no
	}
	if no := in.check(); no != nil {
		return nil, no
	}
	a := c.app
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.users[in.Username] != nil {
		return nil, refusef(http.StatusBadRequest, "duplicate_unique_property_exists",
			"Application null Entity user requires that property named username be unique, value of %s exists", in.Username)
	}
	if no := c.tooManyUsers(1); no != nil {
		return nil, no
	}
	u := a.addUser(in.Username, in.Password, in.Nickname, c.start.UnixMilli())
	return changedUsers(a, "/users", u), nil
}

// registerMany registers the free names of a list and reports the taken ones
// inside its 200 (new docs; the old page says that the whole call fails).
func registerMany(c *call) (*result, *refusal) {
	var in []registration
	if no := c.decode(&in, nil); no != nil {
		return nil, no
	}
	switch {
	case len(in) == 0:
		return nil, refuse(http.StatusBadRequest, "illegal_argument", "this is an invalid request.")
	case len(in) > registerMax:
		return nil, refusef(http.StatusBadRequest, "illegal_argument",
			"Request body array size[%d] had almost reached or been greater than the upper range value[%d]", len(in), registerMax)
	}
	for i := range in {
		if no := in[i].check(); no != nil {
			return nil, no
		}
	}
	type failure struct {
		Username string `json:"username"`
		Reason   string `json:"registerUserFailReason"`
	}
	failed := []failure{}
	a := c.app
	a.mu.Lock()
	defer a.mu.Unlock()
	free := make(names)
	for _, r := range in {
		if a.users[r.Username] == nil {
			free[r.Username] = struct{}{}
		}
	}
	if no := c.tooManyUsers(len(free)); no != nil {
		return nil, no
	}
	var added []*user
	for _, r := range in {
		if c.fails(r.Username) {
			failed = append(failed, failure{r.Username, "internal error"}) // not documented
			continue
		}
		if a.users[r.Username] != nil {
			failed = append(failed, failure{r.Username, "the " + r.Username + " already exists"})
			continue
		}
		added = append(added, a.addUser(r.Username, r.Password, r.Nickname, c.start.UnixMilli()))
	}
	res := changedUsers(a, "/users", added...)
	res.data = failed
	if len(added) == 0 {
		res.done = nil
	}
	return res, nil
}

// changedUsers answers with the users that were changed.
func changedUsers(a *app, path string, us ...*user) *result {
	entities := make([]entity, len(us))
	targets := make([]string, len(us))
	for i, u := range us {
		entities[i], targets[i] = a.entity(u), u.name
	}
	return &result{path: path, entities: entities, done: &change{targets: targets}}
}

var errNoUser = refuse(http.StatusNotFound, "service_resource_not_found", "Service resource not found")

// withUser runs do on the user of the path's nth wildcard, under the lock.
func (c *call) withUser(n int, do func(*user) (*result, *refusal)) (*result, *refusal) {
	c.app.mu.Lock()
	defer c.app.mu.Unlock()
	u := c.app.users[c.user(n)]
	if u == nil {
		return nil, errNoUser
	}
	return do(u)
}

func getUser(c *call) (*result, *refusal) {
	return c.withUser(0, func(u *user) (*result, *refusal) {
		one := 1
		return &result{path: "/users", entities: []entity{c.app.entity(u)}, count: &one}, nil
	})
}

// oldest returns at most n users in order of registration, after a cursor.
func (a *app) oldest(n int, cursor string) []*user {
	after, _ := strconv.ParseInt(cursor, 10, 64)
	us := make([]*user, 0, len(a.users))
	for _, u := range a.users {
		if u.seq > after {
			us = append(us, u)
		}
	}
	slices.SortFunc(us, func(x, y *user) int { return int(x.seq - y.seq) })
	return us[:min(n, len(us))]
}

// limit reads the query's limit, clipped without complaint as the vendor does.
func (c *call) limit(name string, standard, most int) int {
	n, err := strconv.Atoi(c.r.URL.Query().Get(name))
	if err != nil || n < 1 {
		return standard
	}
	return min(n, most)
}

func listUsers(c *call) (*result, *refusal) {
	a := c.app
	a.mu.Lock()
	defer a.mu.Unlock()
	n := c.limit("limit", listDefault, listMax)
	us := a.oldest(n, c.r.URL.Query().Get("cursor"))
	res := changedUsers(a, "/users", us...)
	count := len(us)
	res.done, res.count = nil, &count
	if len(us) == n {
		res.cursor = strconv.FormatInt(us[n-1].seq, 10)
	}
	return res, nil
}

func deleteUser(c *call) (*result, *refusal) {
	return c.withUser(0, func(u *user) (*result, *refusal) {
		c.app.removeUser(u)
		return changedUsers(c.app, "/users", u), nil
	})
}

// deleteOldestUsers answers DELETE /users?limit=N, which takes no names but the
// N oldest users.
func deleteOldestUsers(c *call) (*result, *refusal) {
	a := c.app
	a.mu.Lock()
	defer a.mu.Unlock()
	us := a.oldest(c.limit("limit", listDefault, listMax), c.r.URL.Query().Get("cursor"))
	for _, u := range us {
		a.removeUser(u)
	}
	res := changedUsers(a, "/users", us...)
	if len(us) == 0 {
		res.done = nil
	}
	return res, nil
}

// removeUser forgets a user, the groups and rooms that the user owns (docs), and
// the user's places in other ones.
func (a *app) removeUser(u *user) {
	delete(a.users, u.name)
	delete(a.mutes, u.name)
	for _, other := range a.users {
		delete(other.contacts, u.name)
		delete(other.blocked, u.name)
	}
	for id, ch := range a.chats {
		if ch.owner == u.name {
			delete(a.chats, id)
			continue
		}
		ch.leave(u.name)
		delete(ch.blocked, u.name)
	}
}

func setPassword(c *call) (*result, *refusal) {
	var in struct {
		NewPassword string `json:"newpassword"`
	}
	if no := c.decode(&in, nil); no != nil {
		return nil, no
	}
	if in.NewPassword == "" {
		return nil, refuse(http.StatusBadRequest, "illegal_argument", "newpassword is required")
	}
	if utf8.RuneCountInString(in.NewPassword) > passwordMax {
		return nil, refuse(http.StatusBadRequest, "illegal_argument", "PASSWORD_TOO_LONG") // text by analogy
	}
	res, no := c.withUser(0, func(u *user) (*result, *refusal) {
		u.password, u.modified = in.NewPassword, c.start.UnixMilli()
		return &result{action: "set user password", done: &change{targets: []string{u.name}}}, nil
	})
	if no != nil { // the vendor words this one in its own way
		no = refuse(http.StatusNotFound, "entity_not_found", "User null not found")
	}
	return res, no
}

// setNickname answers PUT /users/{user}: the nickname of pushes.
func setNickname(c *call) (*result, *refusal) {
	var in struct {
		Nickname *string `json:"nickname"`
	}
	if no := c.decode(&in, nil); no != nil {
		return nil, no
	}
	switch {
	case in.Nickname == nil:
		return nil, refuse(http.StatusBadRequest, "illegal_argument", "this is an invalid request.")
	case utf8.RuneCountInString(*in.Nickname) > nicknameMax:
		return nil, refuse(http.StatusBadRequest, "illegal_argument", "NICKNAME_TOO_LONG")
	}
	return c.withUser(0, func(u *user) (*result, *refusal) {
		u.nickname, u.modified = *in.Nickname, c.start.UnixMilli()
		return changedUsers(c.app, "/users", u), nil
	})
}

func deactivateUser(c *call) (*result, *refusal) {
	return c.withUser(0, func(u *user) (*result, *refusal) {
		u.deactivated, u.modified = true, c.start.UnixMilli()
		res := changedUsers(c.app, "", u)
		res.action = "Deactivate user"
		return res, nil
	})
}

func activateUser(c *call) (*result, *refusal) {
	return c.withUser(0, func(u *user) (*result, *refusal) {
		u.deactivated, u.modified = false, c.start.UnixMilli()
		return &result{action: "activate user", done: &change{targets: []string{u.name}}}, nil
	})
}

// disconnectUser forces a user offline: a GET with a side effect.
func disconnectUser(c *call) (*result, *refusal) {
	return c.withUser(0, func(u *user) (*result, *refusal) {
		return changed(map[string]bool{"result": true}, u.name), nil
	})
}

// Nobody ever logs in here: every user is offline.
const offline = "offline"

func statusOfUser(c *call) (*result, *refusal) {
	return c.withUser(0, func(u *user) (*result, *refusal) {
		return &result{entities: noEntities, data: map[string]string{u.name: offline}}, nil
	})
}

func statusOfUsers(c *call) (*result, *refusal) {
	var in struct {
		Usernames []string `json:"usernames"`
	}
	if no := c.decode(&in, nil); no != nil {
		return nil, no
	}
	if len(in.Usernames) > listMax {
		return nil, refusef(http.StatusBadRequest, "illegal_argument", "request body exceeds maximum limit, maximum limit is %d", listMax)
	}
	data := []map[string]string{}
	for _, n := range distinct(in.Usernames, true) { // unknown users are offline too
		data = append(data, map[string]string{n: offline})
	}
	return &result{action: "get batch user status", data: data}, nil
}
