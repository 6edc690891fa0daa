package simulator

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// docs: bounds of a group's or room's fields, in characters unless said
// otherwise, and of lists.
const (
	chatNameMax        = 128
	chatDescriptionMax = 512
	avatarMax          = 1024
	groupCustomMax     = 8 << 10 // bytes
	roomCustomMax      = 1024    // bytes
	groupUsersDefault  = 200
	roomUsersDefault   = 1000
	roomUsersMax       = 10000
	chatsMax           = 1000
	detailsMax         = 100
	joinedPageMax      = 20
	membersPageMax     = 1000
)

// chat is a group or a chat room; the app's lock guards it.
type chat struct {
	room                                         bool
	id, owner                                    string
	seq, created                                 int64 // order of creation, ms
	name, description, avatar, custom            string
	public, membersOnly, allowInvites, askInvite bool
	maxUsers                                     int
	announcement                                 string

	members    names // without the owner
	admins     names
	blocked    names // out of the group, and kept out
	allowed    names
	muted      map[string]int64         // until, ms; -1 for ever
	attributes map[string]roomAttribute // rooms
	muteAll    bool
	disabled   bool
}

// idField is the word that answers use for the id.
func (ch *chat) idField() string {
	if ch.room {
		return "id"
	}
	return "groupid"
}

// listIDField is that word in answers about block and allow lists.
func (ch *chat) listIDField() string {
	if ch.room {
		return "chatroomid"
	}
	return "groupid"
}

// forbidden refuses an operation that members' state does not allow: 403 for
// groups, and 400 for rooms, as documented.
func (ch *chat) forbidden(text string) *refusal {
	if ch.room {
		return refuse(http.StatusBadRequest, "forbidden_op", text)
	}
	return refuse(http.StatusForbidden, "forbidden_op", text)
}

func (ch *chat) isMember(user string) bool { return user == ch.owner || ch.members.has(user) }

// leave takes a user out with every part the user had.
func (ch *chat) leave(user string) {
	delete(ch.members, user)
	delete(ch.admins, user)
	delete(ch.allowed, user)
	delete(ch.muted, user)
}

// size counts the owner too.
func (ch *chat) size() int { return len(ch.members) + 1 }

// affiliations is the member list as answers show it, members before the owner.
func (ch *chat) affiliations() []map[string]string {
	out := make([]map[string]string, 0, ch.size())
	for _, m := range ch.members.sorted() {
		out = append(out, map[string]string{"member": m})
	}
	return append(out, map[string]string{"owner": ch.owner})
}

// addChat makes a group or room known; the caller holds the lock. An empty id
// takes the next one.
func (s *Simulator) addChat(a *app, ch *chat, now int64) *chat {
	if ch.id == "" {
		ch.id = strconv.FormatInt(s.groupID.Add(1), 10)
	}
	a.chatSeq++
	ch.seq, ch.created = a.chatSeq, now
	ch.admins, ch.blocked, ch.allowed, ch.muted = make(names), make(names), make(names), make(map[string]int64)
	a.chats[ch.id] = ch
	return ch
}

// oneChat makes an endpoint of an operation on the group or room that the
// path's first wildcard names. It runs under the app's lock.
func oneChat(do func(*call, *chat) (*result, *refusal)) func(*call) (*result, *refusal) {
	return func(c *call) (*result, *refusal) {
		c.app.mu.Lock()
		defer c.app.mu.Unlock()
		id := c.arg(0)
		if ch := c.app.chats[id]; ch != nil && ch.room == c.room() {
			return do(c, ch)
		}
		if c.r.Method == http.MethodGet { // the texts say group for rooms too
			return nil, refuse(http.StatusNotFound, "service_resource_not_found", "do not find this group:"+id)
		}
		return nil, refuse(http.StatusNotFound, "resource_not_found", "grpID "+id+" does not exist!")
	}
}

func noSuchUser(name string) *refusal {
	return refuse(http.StatusNotFound, "resource_not_found", "username "+name+" doesn't exist!")
}

func invalid(text string) *refusal {
	return refuse(http.StatusBadRequest, "invalid_parameter", text)
}

func exceeds(text string) *refusal { return refuse(http.StatusForbidden, "exceed_limit", text) }

// chatFields are the fields of creating and modifying, for groups and rooms.
type chatFields struct {
	GroupName    *string  `json:"groupname"` // groups
	Name         *string  `json:"name"`      // rooms
	Description  *string  `json:"description"`
	Avatar       *string  `json:"avatar"`
	Custom       *string  `json:"custom"`
	Owner        string   `json:"owner"`
	Public       *bool    `json:"public"`
	MembersOnly  *bool    `json:"membersonly"`
	AllowInvites *bool    `json:"allowinvites"`
	AskInvite    *bool    `json:"invite_need_confirm"`
	MaxUsers     *int     `json:"maxusers"`
	Members      []string `json:"members"`
}

// apply checks the fields that are present and puts them into ch; nothing is
// changed when one is refused.
func (in *chatFields) apply(c *call, ch *chat) *refusal {
	name := in.GroupName
	customMax := groupCustomMax
	if ch.room {
		name, customMax = in.Name, roomCustomMax
	}
	runes := func(s *string) int {
		if s == nil {
			return 0
		}
		return utf8.RuneCountInString(*s)
	}
	switch {
	case runes(name) > chatNameMax:
		return exceeds("title cannot exceed to " + strconv.Itoa(chatNameMax))
	case runes(in.Description) > chatDescriptionMax:
		return exceeds("desc cannot exceed to " + strconv.Itoa(chatDescriptionMax))
	case runes(in.Avatar) > avatarMax:
		return invalid("avatar length is too big")
	case in.Custom != nil && len(*in.Custom) > customMax:
		return invalid("custom length is too big") // text by analogy
	case in.MaxUsers != nil && *in.MaxUsers < 1:
		return invalid("maxusers must be greater than 0") // text not documented
	}
	if in.MaxUsers != nil {
		if no := c.tooLarge(ch.room, *in.MaxUsers); no != nil {
			return no
		}
	}
	set(&ch.name, name)
	set(&ch.description, in.Description)
	set(&ch.avatar, in.Avatar)
	set(&ch.custom, in.Custom)
	set(&ch.public, in.Public)
	set(&ch.membersOnly, in.MembersOnly)
	set(&ch.allowInvites, in.AllowInvites)
	set(&ch.askInvite, in.AskInvite)
	set(&ch.maxUsers, in.MaxUsers)
	return nil
}

func set[T any](to *T, from *T) {
	if from != nil {
		*to = *from
	}
}

func createGroup(c *call) (*result, *refusal) {
	ch := &chat{maxUsers: groupUsersDefault, askInvite: true}
	if most := c.sim.quotas.Load().GroupMembers; most > 0 {
		ch.maxUsers = min(ch.maxUsers, most)
	}
	var in chatFields
	if no := c.decode(&in, nil); no != nil {
		return nil, no
	}
	if in.Public == nil {
		return nil, invalid("group must contain public field!")
	}
	return c.create(ch, &in)
}

func createRoom(c *call) (*result, *refusal) {
	ch := &chat{room: true, maxUsers: roomUsersDefault, public: true}
	var in chatFields
	if no := c.decode(&in, nil); no != nil {
		return nil, no
	}
	switch {
	case in.Name == nil || *in.Name == "":
		return nil, invalid("chatroom must contain title/name field!")
	case in.Description == nil:
		return nil, invalid("description must be provided")
	case in.Members != nil && len(in.Members) == 0: // docs: not empty if given; text by analogy
		return nil, invalid("members must be provided")
	}
	return c.create(ch, &in)
}

// create finishes both creations. docs: everybody named must exist.
func (c *call) create(ch *chat, in *chatFields) (*result, *refusal) {
	if in.Owner == "" {
		return nil, invalid("owner must be provided")
	}
	if no := in.apply(c, ch); no != nil {
		return nil, no
	}
	a := c.app
	a.mu.Lock()
	defer a.mu.Unlock()
	ch.owner = strings.ToLower(in.Owner)
	ch.members = make(names)
	if no := c.tooManyChats(ch.room); no != nil {
		return nil, no
	}
	all := append([]string{ch.owner}, distinct(in.Members, true)...)
	for _, m := range all {
		if a.users[m] == nil {
			return nil, noSuchUser(m)
		}
		if no := c.inTooMany(ch.room, m); no != nil {
			return nil, no
		}
		if m != ch.owner {
			ch.members[m] = struct{}{}
		}
	}
	if ch.size() > ch.maxUsers {
		return nil, errTooManyMembers
	}
	c.sim.addChat(a, ch, c.start.UnixMilli())
	res := changed(map[string]string{ch.idField(): ch.id}, ch.id)
	res.done.ids = []string{ch.id}
	return res, nil
}

var errTooManyMembers = exceeds("members size is greater than max user size !")

// modifyChat answers PUT on a group or room: new fields, or a new owner.
func modifyChat(c *call, ch *chat) (*result, *refusal) {
	var given map[string]json.RawMessage
	if no := c.decode(&given, nil); no != nil {
		return nil, no
	}
	if raw, ok := given["newowner"]; ok && len(given) == 1 {
		return transferChat(c, ch, raw)
	}
	known := []string{"groupname", "avatar", "description", "maxusers", "membersonly", "allowinvites", "invite_need_confirm", "public", "custom"}
	if ch.room {
		known = []string{"name", "description", "maxusers"}
	}
	var unknown []string
	data := make(map[string]bool, len(given))
	for field := range given {
		failing := c.fails(field)
		if failing {
			delete(given, field)
		}
		if !slices.Contains(known, field) {
			unknown = append(unknown, field)
		}
		if field == "name" { // docs: rooms answer with the word of groups
			field = "groupname"
		}
		data[field] = !failing
	}
	if len(unknown) > 0 {
		slices.Sort(unknown)
		return nil, invalid("some of [" + strings.Join(unknown, ", ") + "] are not valid fields")
	}
	if len(data) == 0 {
		return nil, refuse(http.StatusBadRequest, "illegal_argument", "this is an invalid request.")
	}
	left, _ := json.Marshal(given) // was JSON before
	var in chatFields
	if json.Unmarshal(left, &in) != nil {
		return nil, refuse(http.StatusBadRequest, "illegal_argument", "this is an invalid request.")
	}
	if no := in.apply(c, ch); no != nil {
		return nil, no
	}
	return changed(data, ch.id), nil
}

func transferChat(c *call, ch *chat, raw json.RawMessage) (*result, *refusal) {
	var owner string
	if json.Unmarshal(raw, &owner) != nil || owner == "" {
		return nil, invalid("newowner must be provided")
	}
	owner = strings.ToLower(owner)
	switch {
	case owner == ch.owner: // 403 for rooms too
		return nil, refuse(http.StatusForbidden, "forbidden_op", "new owner and old owner are the same")
	case ch.room && c.app.users[owner] == nil:
		return nil, noSuchUser(owner)
	case !ch.isMember(owner):
		return nil, ch.forbidden("user: " + owner + " doesn't exist in group: " + ch.id)
	}
	old := ch.owner
	ch.leave(owner) // an owner is neither admin nor muted
	ch.owner = owner
	ch.members[old] = struct{}{}
	return changed(map[string]bool{"newowner": true}, ch.id), nil
}

func deleteChat(c *call, ch *chat) (*result, *refusal) {
	delete(c.app.chats, ch.id)
	return changed(map[string]any{"success": true, ch.idField(): ch.id}, ch.id), nil
}

func disableGroup(_ *call, ch *chat) (*result, *refusal) {
	ch.disabled = true
	return changed(map[string]bool{"disabled": true}, ch.id), nil
}

func enableGroup(_ *call, ch *chat) (*result, *refusal) {
	ch.disabled = false
	return changed(map[string]bool{"disabled": false}, ch.id), nil
}

// detail is a group or room as its detail shows it.
func (ch *chat) detail() map[string]any {
	return map[string]any{
		"id": ch.id, "name": ch.name, "description": ch.description, "avatar": ch.avatar, "custom": ch.custom,
		"owner": ch.owner, "created": ch.created, "maxusers": ch.maxUsers, "public": ch.public,
		"membersonly": ch.membersOnly, "allowinvites": ch.allowInvites, "mute": ch.muteAll, "disabled": ch.disabled,
		"affiliations_count": ch.size(), "affiliations": ch.affiliations(),
	}
}

// groupDetails answers for one id or several; of several, unknown ones come
// back inside the 200.
func groupDetails(c *call) (*result, *refusal) {
	ids := strings.Split(c.arg(0), ",")
	if len(ids) == 1 {
		return oneChat(func(_ *call, ch *chat) (*result, *refusal) {
			one := 1
			return &result{data: []any{ch.detail()}, count: &one}, nil
		})(c)
	}
	if len(ids) > detailsMax {
		return nil, invalid("groupIds size is more than max limit : " + strconv.Itoa(detailsMax)) // text by analogy
	}
	c.app.mu.Lock()
	defer c.app.mu.Unlock()
	data := make([]map[string]any, len(ids))
	for i, id := range ids {
		if ch := c.app.chats[id]; ch != nil && !ch.room {
			data[i] = ch.detail()
		} else {
			data[i] = map[string]any{"id": id, "error": "group id doesn't exist"}
		}
	}
	n := len(data)
	return &result{data: data, count: &n}, nil
}

func roomDetail(_ *call, ch *chat) (*result, *refusal) {
	one := 1
	return &result{data: []any{ch.detail()}, count: &one}, nil
}

// selectChats returns the groups or rooms that keep accepts, in order of
// creation; the caller holds the lock.
func (a *app) selectChats(room bool, keep func(*chat) bool) []*chat {
	var out []*chat
	for _, ch := range a.chats {
		if ch.room == room && keep(ch) {
			out = append(out, ch)
		}
	}
	slices.SortFunc(out, func(x, y *chat) int { return int(x.seq - y.seq) })
	return out
}

// listChats answers the list of all groups or rooms; a limit too large is
// clipped without complaint.
func listChats(c *call) (*result, *refusal) {
	after, _ := strconv.ParseInt(c.r.URL.Query().Get("cursor"), 10, 64)
	limit := c.limit("limit", listDefault, chatsMax)
	c.app.mu.Lock()
	defer c.app.mu.Unlock()
	all := c.app.selectChats(c.room(), func(ch *chat) bool { return ch.seq > after })
	page := all[:min(limit, len(all))]
	data := make([]map[string]any, len(page))
	for i, ch := range page {
		if ch.room {
			data[i] = map[string]any{"id": ch.id, "name": ch.name, "owner": ch.owner, "affiliations_count": ch.size()}
			continue
		}
		data[i] = map[string]any{
			"groupid": ch.id, "groupname": ch.name, "owner": c.app.Key + "_" + ch.owner, "affiliations": ch.size(),
			"type": "group", "last_modified": strconv.FormatInt(ch.created, 10),
		}
	}
	n := len(page)
	res := &result{entities: noEntities, data: data, count: &n}
	if len(all) > len(page) {
		res.cursor = strconv.FormatInt(page[n-1].seq, 10)
	}
	return res, nil
}

// joined answers with the groups or rooms of the user of the path.
func (c *call) joined(room bool, idField, nameField string) (*result, *refusal) {
	return c.withUser(0, func(u *user) (*result, *refusal) {
		mine := c.app.selectChats(room, func(ch *chat) bool { return ch.isMember(u.name) })
		size := c.limit("pagesize", joinedPageMax, joinedPageMax)
		page, _ := strconv.Atoi(c.r.URL.Query().Get("pagenum")) // pages start at 0
		from := min(max(page, 0)*size, len(mine))
		mine = mine[from:min(from+size, len(mine))]
		data := make([]map[string]string, len(mine))
		for i, ch := range mine {
			data[i] = map[string]string{idField: ch.id, nameField: ch.name}
		}
		n := len(data)
		return &result{entities: noEntities, data: data, count: &n}, nil
	})
}

func joinedGroups(c *call) (*result, *refusal) { return c.joined(false, "groupid", "groupname") }
func groupsOfUser(c *call) (*result, *refusal) { return c.joined(false, "groupId", "name") }
func joinedRooms(c *call) (*result, *refusal)  { return c.joined(true, "id", "name") }

func isJoined(c *call, ch *chat) (*result, *refusal) {
	return &result{entities: noEntities, data: ch.isMember(c.user(1))}, nil
}

func getAnnouncement(_ *call, ch *chat) (*result, *refusal) {
	return &result{entities: noEntities, data: map[string]string{"announcement": ch.announcement}}, nil
}

func setAnnouncement(c *call, ch *chat) (*result, *refusal) {
	var in struct {
		Announcement *string `json:"announcement"`
	}
	if no := c.decode(&in, nil); no != nil {
		return nil, no
	}
	switch {
	case in.Announcement == nil:
		return nil, invalid("announcement must be provided")
	case utf8.RuneCountInString(*in.Announcement) > chatDescriptionMax:
		return nil, refuse(http.StatusForbidden, "forbidden_op", "announce info length exceeds limit!")
	}
	ch.announcement = *in.Announcement
	return changed(map[string]any{"id": ch.id, "result": true}, ch.id), nil
}
