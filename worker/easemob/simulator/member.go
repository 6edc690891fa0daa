package simulator

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// docs: names a call.
const membersMax = 60

// usernames reads the list of a batch call, in lower case and without
// repetition.
func (c *call) usernames() ([]string, *refusal) {
	var in struct {
		Usernames []string `json:"usernames"`
	}
	if no := c.decode(&in, nil); no != nil {
		return nil, no
	}
	return someNames(in.Usernames)
}

func someNames(given []string) ([]string, *refusal) {
	if len(given) == 0 {
		return nil, invalid("usernames is null or empty!")
	}
	return distinct(given, true), nil
}

// pathNames reads the names that a batch call carries in its path: "u1,u2".
// single tells one name from a list, which are answered in different shapes.
func (c *call) pathNames(n int) (users []string, single bool) {
	given := strings.Split(c.arg(n), ",")
	return distinct(given, true), len(given) == 1
}

// tooMany refuses a list over the bound, in the words of each operation.
func tooMany(users []string, text string) *refusal {
	if len(users) > membersMax {
		return invalid(text + " : " + strconv.Itoa(membersMax))
	}
	return nil
}

// notMembers refuses users who are in no place for the operation; the text is
// the same for groups and rooms.
func (ch *chat) notMembers(users ...string) *refusal {
	return ch.forbidden(notMembersText(users))
}

func notMembersText(users []string) string {
	return "users [" + strings.Join(users, ", ") + "] are not members of this group!"
}

// errOwner refuses what can't be done to an owner; 403 for rooms too.
var errOwner = refuse(http.StatusForbidden, "forbidden_op", "forbidden operation on group owner!")

// outcome is one name's part in the answer of a batch.
type outcome map[string]any

// each applies a batch to the names that it is possible for. All fail: refuse
// the call. Some fail: their failures stand inside the 200 (docs).
func (ch *chat) each(c *call, users []string, possible func(string) bool, apply func(string), entry func(user string, ok bool) outcome) (*result, *refusal) {
	if slices.Contains(users, ch.owner) {
		return nil, errOwner
	}
	if !slices.ContainsFunc(users, possible) {
		return nil, ch.notMembers(users...)
	}
	var done []string
	data := make([]outcome, 0, len(users))
	for _, u := range users {
		o := entry(u, possible(u))
		switch {
		case c.fails(u):
			o = entry(u, true)
			o["result"] = false
		case possible(u):
			apply(u)
			done = append(done, u)
		}
		data = append(data, o)
	}
	return changed(data, done...), nil
}

// one is each for a single name: an object instead of a list.
func one(res *result, no *refusal) (*result, *refusal) {
	if no == nil {
		res.data = res.data.([]outcome)[0]
	}
	return res, no
}

// listMembers answers a page of members; pages start at 1.
func listMembers(c *call, ch *chat) (*result, *refusal) {
	all := ch.affiliations()
	size := c.limit("pagesize", membersPageMax, membersPageMax)
	page, _ := strconv.Atoi(c.r.URL.Query().Get("pagenum"))
	from := min(max(page-1, 0)*size, len(all))
	data := all[from:min(from+size, len(all))]
	n := len(data)
	return &result{entities: noEntities, data: data, count: &n}, nil
}

// alreadyMember words the refusal of a member who joins again; the line break
// is the vendor's, and so is the lost letter of the batch's text.
func (ch *chat) alreadyMember(user string, batch bool) *refusal {
	text := "can not join this group, reason:user: " + user + " already in group: " + ch.id + "\n"
	if batch && !ch.room {
		text = text[1:]
	}
	return ch.forbidden(text)
}

// admit checks that users may come in, and returns those who are not in yet.
func (ch *chat) admit(c *call, users []string) ([]string, *refusal) {
	fresh := []string{}
	for _, u := range users {
		switch {
		case c.app.users[u] == nil: // docs: one unknown user fails the call
			return nil, noSuchUser(u)
		case ch.isMember(u) || c.fails(u):
			continue
		case ch.blocked.has(u): // docs: unblock first; text not documented
			return nil, ch.forbidden("can not join this group, reason:user: " + u + " is in the blacklist of group: " + ch.id + "\n")
		}
		if no := c.inTooMany(ch.room, u); no != nil {
			return nil, no
		}
		fresh = append(fresh, u)
	}
	if ch.size()+len(fresh) > ch.maxUsers {
		return nil, errTooManyMembers
	}
	return fresh, nil
}

func addMember(c *call, ch *chat) (*result, *refusal) {
	u := c.user(1)
	fresh, no := ch.admit(c, []string{u})
	if no != nil {
		return nil, no
	}
	if ch.isMember(u) {
		return nil, ch.alreadyMember(u, false)
	}
	for _, u := range fresh {
		ch.members[u] = struct{}{}
	}
	return changed(outcome{"result": len(fresh) > 0, "action": "add_member", "user": u, ch.idField(): ch.id}, fresh...), nil
}

func addMembers(c *call, ch *chat) (*result, *refusal) {
	users, no := c.usernames()
	if no != nil {
		return nil, no
	}
	if len(users) > membersMax {
		if ch.room {
			return nil, tooMany(users, "addMembers: addMembers number more than maxSize")
		}
		return nil, errTooManyMembers
	}
	fresh, no := ch.admit(c, users)
	if no != nil {
		return nil, no
	}
	if !slices.ContainsFunc(users, func(u string) bool { return !ch.isMember(u) }) {
		return nil, ch.alreadyMember(users[0], true)
	}
	for _, u := range fresh {
		ch.members[u] = struct{}{}
	}
	return changed(outcome{"newmembers": fresh, "action": "add_member", ch.idField(): ch.id}, fresh...), nil
}

// removeMembers answers both removals: one name, or several in the path.
func removeMembers(c *call, ch *chat) (*result, *refusal) {
	users, single := c.pathNames(1)
	if no := tooMany(users, "kickMember: kickMembers number more than maxSize"); no != nil {
		return nil, no
	}
	if single && ch.room && c.app.users[users[0]] == nil { // docs: rooms alone
		return nil, noSuchUser(users[0])
	}
	res, no := ch.each(c, users, ch.members.has, ch.leave, func(u string, ok bool) outcome {
		o := outcome{"result": ok, "action": "remove_member", "user": u, ch.idField(): ch.id}
		switch {
		case ok:
		case c.app.users[u] == nil:
			o["reason"] = "user " + u + " doesn't exist."
		default:
			o["reason"] = "user: " + u + " doesn't exist in group: " + ch.id
		}
		return o
	})
	if single {
		return one(res, no)
	}
	return res, no
}
