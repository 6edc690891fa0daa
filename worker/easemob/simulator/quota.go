package simulator

import (
	"fmt"
	"net/http"
	"strconv"
)

// Quotas are the bounds of an app's plan, for which waiting is no help (docs).
// Zero is none, unless something else is said.
type Quotas struct {
	// Users is how many users may be registered; above it 429 resource_limited.
	Users int `json:"users,omitempty"`
	// Groups and Rooms are how many of them the app may have; above it 403
	// exceed_limit, as for all that follow.
	Groups int `json:"groups,omitempty"`
	Rooms  int `json:"rooms,omitempty"`
	// GroupMembers is how large a group's maxusers may be. Rooms have 10,000 in
	// every plan.
	GroupMembers int `json:"group_members,omitempty"`
	// UserGroups and UserRooms are how many of them one user may be in.
	UserGroups int `json:"user_groups,omitempty"`
	UserRooms  int `json:"user_rooms,omitempty"`
	// Contacts is how many contacts one user may have; zero is the paid plans'
	// 3,000.
	Contacts int `json:"contacts,omitempty"`
}

// SetQuotas replaces all quotas; what is above them already stays. The error
// names field, value and bound.
func (s *Simulator) SetQuotas(q Quotas) error {
	for name, n := range map[string]int{
		"Users": q.Users, "Groups": q.Groups, "Rooms": q.Rooms, "GroupMembers": q.GroupMembers,
		"UserGroups": q.UserGroups, "UserRooms": q.UserRooms, "Contacts": q.Contacts,
	} {
		if n < 0 {
			return fmt.Errorf("simulator: Quotas.%s %d: must be at least 0", name, n)
		}
	}
	if q.Contacts == 0 {
		q.Contacts = contactsDefault
	}
	s.quotas.Store(&q)
	return nil
}

// The caller of what follows holds the app's lock.

// tooManyUsers refuses n more users; whether the vendor registers a part of a
// list is not documented.
func (c *call) tooManyUsers(n int) *refusal {
	if most := c.sim.quotas.Load().Users; most > 0 && len(c.app.users)+n > most {
		return refuse(http.StatusTooManyRequests, "resource_limited",
			"You have exceeded the limit of the community edition,Please upgrade to the enterprise edition")
	}
	return nil
}

// tooManyChats refuses one more group or room.
func (c *call) tooManyChats(room bool) *refusal {
	most, what := c.sim.quotas.Load().Groups, "groups"
	if room {
		most, what = c.sim.quotas.Load().Rooms, "chatrooms"
	}
	if most > 0 && len(c.app.selectChats(room, func(*chat) bool { return true })) >= most {
		return exceeds("appKey:" + c.app.Key + " has create too many " + what + "!")
	}
	return nil
}

// inTooMany refuses a user one more group or room. The text begins as that for a
// user who is in already.
func (c *call) inTooMany(room bool, user string) *refusal {
	most := c.sim.quotas.Load().UserGroups
	if room {
		most = c.sim.quotas.Load().UserRooms
	}
	if most > 0 && len(c.app.selectChats(room, func(ch *chat) bool { return ch.isMember(user) })) >= most {
		return exceeds("can not join this group, reason:user " + user + " has joined too many groups/chatroom!\n")
	}
	return nil
}

// tooLarge refuses a maxusers above what the plan, or a room, may have.
func (c *call) tooLarge(room bool, maxUsers int) *refusal {
	most := c.sim.quotas.Load().GroupMembers
	if room {
		most = roomUsersMax
	}
	if most > 0 && maxUsers > most {
		return exceeds("maxUsers cannot exceed " + strconv.Itoa(most)) // documented for rooms
	}
	return nil
}
