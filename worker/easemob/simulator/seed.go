package simulator

import (
	"errors"
	"fmt"
	"maps"
	"strings"
)

// Errors of seeding.
var (
	ErrNoApp      = errors.New("no such app key")
	ErrBadUser    = errors.New("user id must be 1 to 64 letters, digits, _, - or dots")
	ErrUserExists = errors.New("user exists")
	ErrChatExists = errors.New("group or room exists")
)

// User is a copy of a user's state.
type User struct {
	Name, Password, Nickname string
	Deactivated              bool
	Contacts, Blocked        []string // in order of name
	Attributes               map[string]string
}

// Group is a copy of the state of a group or a chat room. Lists are in order of
// name.
type Group struct {
	ID, Name, Description, Owner string
	Members                      []string // without the owner
	Admins                       []string
	Muted                        []string
	Blocked                      []string // no longer members
	Allowed                      []string
	Announcement                 string
	MaxUsers                     int // default: the vendor's, 200 for groups and 1,000 for rooms
	Public                       bool
	MuteAll                      bool
	Disabled                     bool
}

// appOf finds an app by key; "" is the first of the configuration.
func (s *Simulator) appOf(key string) (*app, error) {
	if key == "" {
		key = s.cfg.Apps[0].Key
	}
	a := s.apps[strings.Replace(key, "#", "/", 1)]
	if a == nil {
		return nil, fmt.Errorf("simulator: app %q: %w", key, ErrNoApp)
	}
	return a, nil
}

// CreateUsers registers users of an app ("" is the first), without a trace in
// record or counts. It returns an error that wraps [ErrNoApp], [ErrBadUser] or
// [ErrUserExists], and then has registered none.
func (s *Simulator) CreateUsers(app string, users ...string) error {
	a, err := s.appOf(app)
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	lower := distinct(users, true)
	for _, u := range lower {
		if len(u) > usernameMax || !legalName(u) {
			return fmt.Errorf("simulator: user %q: %w", u, ErrBadUser)
		}
		if a.users[u] != nil {
			return fmt.Errorf("simulator: user %q: %w", u, ErrUserExists)
		}
	}
	for _, u := range lower {
		a.addUser(u, "", "", s.cfg.Now().UnixMilli())
	}
	return nil
}

// CreateGroup makes a group of an app ("" is the first) with the owner, members,
// admins, blocked and allowed users of g, registering those who are not yet
// users, without a trace in record or counts. Muted users are muted for ever.
// An empty g.ID takes the next id. It returns the id, or an error that wraps
// [ErrNoApp], [ErrBadUser] or [ErrChatExists].
func (s *Simulator) CreateGroup(app string, g Group) (id string, err error) {
	return s.createChat(app, g, false)
}

// CreateRoom is [Simulator.CreateGroup] for a chat room.
func (s *Simulator) CreateRoom(app string, g Group) (id string, err error) {
	return s.createChat(app, g, true)
}

func (s *Simulator) createChat(app string, g Group, room bool) (string, error) {
	a, err := s.appOf(app)
	if err != nil {
		return "", err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if g.ID != "" && a.chats[g.ID] != nil {
		return "", fmt.Errorf("simulator: %q: %w", g.ID, ErrChatExists)
	}
	var all []string
	for _, list := range [][]string{{g.Owner}, g.Members, g.Admins, g.Muted, g.Blocked, g.Allowed} {
		all = append(all, list...)
	}
	all = distinct(all, true)
	for _, u := range all {
		if len(u) > usernameMax || !legalName(u) {
			return "", fmt.Errorf("simulator: user %q: %w", u, ErrBadUser)
		}
	}
	now := s.cfg.Now().UnixMilli()
	for _, u := range all {
		if a.users[u] == nil {
			a.addUser(u, "", "", now)
		}
	}
	ch := &chat{
		room: room, id: g.ID, owner: strings.ToLower(g.Owner), name: g.Name, description: g.Description,
		public: g.Public, askInvite: true, maxUsers: g.MaxUsers, announcement: g.Announcement,
		muteAll: g.MuteAll, disabled: g.Disabled, members: make(names),
	}
	if ch.maxUsers == 0 {
		ch.maxUsers = groupUsersDefault
		if room {
			ch.maxUsers = roomUsersDefault
		}
	}
	s.addChat(a, ch, now)
	put := func(to names, list []string) {
		for _, u := range distinct(list, true) {
			to[u] = struct{}{}
		}
	}
	for _, list := range [][]string{g.Members, g.Admins, g.Muted, g.Allowed} {
		put(ch.members, list)
	}
	delete(ch.members, ch.owner)
	put(ch.admins, g.Admins)
	put(ch.blocked, g.Blocked)
	put(ch.allowed, g.Allowed)
	for _, u := range distinct(g.Muted, true) {
		ch.muted[u] = -1
	}
	return ch.id, nil
}

// User returns a copy of a user's state; false when there is no such user or
// app.
func (s *Simulator) User(app, name string) (User, bool) {
	a, err := s.appOf(app)
	if err != nil {
		return User{}, false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	u := a.users[strings.ToLower(name)]
	if u == nil {
		return User{}, false
	}
	return User{
		Name: u.name, Password: u.password, Nickname: u.nickname, Deactivated: u.deactivated,
		Contacts: u.contacts.sorted(), Blocked: u.blocked.sorted(), Attributes: maps.Clone(u.attributes),
	}, true
}

// Group returns a copy of a group's state; false when there is no such group or
// app.
func (s *Simulator) Group(app, id string) (Group, bool) { return s.chat(app, id, false) }

// Room is [Simulator.Group] for a chat room.
func (s *Simulator) Room(app, id string) (Group, bool) { return s.chat(app, id, true) }

func (s *Simulator) chat(app, id string, room bool) (Group, bool) {
	a, err := s.appOf(app)
	if err != nil {
		return Group{}, false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	ch := a.chats[id]
	if ch == nil || ch.room != room {
		return Group{}, false
	}
	return Group{
		ID: ch.id, Name: ch.name, Description: ch.description, Owner: ch.owner, Announcement: ch.announcement,
		Members: ch.members.sorted(), Admins: ch.admins.sorted(), Blocked: ch.blocked.sorted(), Allowed: ch.allowed.sorted(),
		Muted: ch.mutedNow(s.cfg.Now().UnixMilli()), MaxUsers: ch.maxUsers, Public: ch.public, MuteAll: ch.muteAll, Disabled: ch.disabled,
	}, true
}
