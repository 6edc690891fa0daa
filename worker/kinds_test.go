package worker

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/imqueue/emq/tasks"
	"github.com/imqueue/emq/worker/easemob/simulator"
)

// The example of every kind, as `emq kinds KIND` shows it, goes through the
// client, the queue, a worker and the simulator, and leaves the state behind
// that it is for. Repeating it does what its kind says about repeating.
func TestEveryKindEndToEnd(t *testing.T) {
	t.Parallel()
	const (
		groupID = "4065"
		roomID  = "66213271"
	)
	// before is the state of the group and of the room that an example finds.
	before := simulator.Group{
		Owner: "boss", Members: []string{"u1", "u2"}, Name: "old name",
	}
	with := func(change func(*simulator.Group)) simulator.Group {
		g := before
		change(&g)
		return g
	}
	members := func(g *simulator.Group) { g.Members = nil }
	type chat struct {
		before simulator.Group
		after  func(g simulator.Group, there bool) bool
	}
	chats := map[string]chat{}
	for verb, tc := range map[string]chat{
		"update":           {before, func(g simulator.Group, _ bool) bool { return g.Name == "new name" && g.MaxUsers == 300 }},
		"delete":           {before, func(_ simulator.Group, there bool) bool { return !there }},
		"transfer_owner":   {before, func(g simulator.Group, _ bool) bool { return g.Owner == "u2" }},
		"add_members":      {with(members), func(g simulator.Group, _ bool) bool { return has(g.Members, "u1", "u2") }},
		"remove_members":   {before, func(g simulator.Group, _ bool) bool { return len(g.Members) == 0 }},
		"add_admin":        {before, func(g simulator.Group, _ bool) bool { return has(g.Admins, "u2") }},
		"remove_admin":     {with(func(g *simulator.Group) { g.Admins = []string{"u2"} }), func(g simulator.Group, _ bool) bool { return len(g.Admins) == 0 && has(g.Members, "u2") }},
		"mute_members":     {before, func(g simulator.Group, _ bool) bool { return has(g.Muted, "u1", "u2") }},
		"unmute_members":   {with(func(g *simulator.Group) { g.Muted = []string{"u1", "u2"} }), func(g simulator.Group, _ bool) bool { return len(g.Muted) == 0 }},
		"mute_all":         {before, func(g simulator.Group, _ bool) bool { return g.MuteAll }},
		"unmute_all":       {with(func(g *simulator.Group) { g.MuteAll = true }), func(g simulator.Group, _ bool) bool { return !g.MuteAll }},
		"block_members":    {before, func(g simulator.Group, _ bool) bool { return has(g.Blocked, "u1", "u2") }},
		"unblock_members":  {with(func(g *simulator.Group) { g.Members, g.Blocked = nil, []string{"u1", "u2"} }), func(g simulator.Group, _ bool) bool { return len(g.Blocked) == 0 }},
		"allow_members":    {before, func(g simulator.Group, _ bool) bool { return has(g.Allowed, "u1", "u2") }},
		"disallow_members": {with(func(g *simulator.Group) { g.Allowed = []string{"u1", "u2"} }), func(g simulator.Group, _ bool) bool { return len(g.Allowed) == 0 }},
		"set_announcement": {before, func(g simulator.Group, _ bool) bool { return g.Announcement == "closed on Friday" }},
	} {
		chats["group."+verb] = tc
		chats["chatroom."+verb] = tc
	}
	user := func(name string, is func(simulator.User) bool) func(*world) bool {
		return func(w *world) bool {
			u, ok := w.sim.User("", name)
			return ok && is(u)
		}
	}
	sent := func(path string) func(*world) bool {
		return func(w *world) bool {
			last := w.sim.Executed()[len(w.sim.Executed())-1]
			return strings.HasSuffix(last.Path, path)
		}
	}
	others := map[tasks.Kind]struct {
		first []tasks.Payload // to be called before
		after func(*world) bool
	}{
		tasks.KindMessageSend:   {nil, func(w *world) bool { return w.executed("order-8812-shipped") == 1 }},
		tasks.KindMessageRecall: {nil, func(*world) bool { return true }}, // executed, or it is no success
		"message.broadcast":     {nil, sent("/messages/users/broadcast")},
		tasks.KindGroupCreate:   {nil, sent("/chatgroups")},
		"chatroom.create":       {nil, sent("/chatrooms")},
		tasks.KindUserRegister:  {nil, func(w *world) bool { return w.isUser("u1") && w.isUser("u2") }},
		"user.delete":           {nil, func(w *world) bool { return !w.isUser("u1") }},
		"user.reset_password":   {nil, user("u1", func(u simulator.User) bool { return u.Password == "secret" })},
		"user.set_nickname":     {nil, user("u1", func(u simulator.User) bool { return u.Nickname == "Ann" })},
		"user.deactivate":       {nil, user("u1", func(u simulator.User) bool { return u.Deactivated })},
		"user.activate":         {[]tasks.Payload{tasks.UserDeactivate{Username: "u1"}}, user("u1", func(u simulator.User) bool { return !u.Deactivated })},
		"user.force_offline":    {nil, sent("/users/u1/disconnect")},
		"user.add_contact":      {nil, user("u1", func(u simulator.User) bool { return has(u.Contacts, "u2") })},
		"user.remove_contact":   {[]tasks.Payload{tasks.UserAddContact{OwnerUsername: "u1", FriendUsername: "u2"}}, user("u1", func(u simulator.User) bool { return len(u.Contacts) == 0 })},
		"user.block":            {nil, user("u1", func(u simulator.User) bool { return has(u.Blocked, "u2", "u3") })},
		"user.unblock":          {[]tasks.Payload{tasks.UserBlock{OwnerUsername: "u1", Usernames: []string{"u2"}}}, user("u1", func(u simulator.User) bool { return len(u.Blocked) == 0 })},
		"user.mute":             {nil, sent("/mutes")},
		"user.set_attributes":   {nil, user("u1", func(u simulator.User) bool { return u.Attributes["nickname"] == "Ann" && len(u.Attributes) == 2 })},
		tasks.KindCallRaw:       {nil, user("u1", func(u simulator.User) bool { return u.Deactivated })},
	}
	for _, info := range tasks.Kinds() {
		t.Run(string(info.Kind), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, simulator.Config{})
			for _, name := range []string{"boss", "u1", "u2", "u3"} {
				if info.Kind != tasks.KindUserRegister {
					w.user(name)
				}
			}
			w.start()
			var check func() bool
			if c, ok := chats[string(info.Kind)]; ok {
				group, room := c.before, c.before
				group.ID, room.ID = groupID, roomID
				_, err := w.sim.CreateGroup("", group)
				must(t, err)
				_, err = w.sim.CreateRoom("", room)
				must(t, err)
				check = func() bool {
					if strings.HasPrefix(string(info.Kind), "group.") {
						return c.after(w.sim.Group("", groupID))
					}
					return c.after(w.sim.Room("", roomID))
				}
			} else {
				c, ok := others[info.Kind]
				if !ok {
					t.Fatal("no check for this kind")
				}
				for _, p := range c.first {
					w.enqueue(p)
					w.idle()
				}
				check = func() bool { return c.after(w) }
			}
			example := info.Example
			if info.Kind == tasks.KindMessageRecall {
				w.enqueue(text("u1"))
				w.idle()
				example = strings.Replace(example, "1028442084794698104", w.sim.Executed()[0].IDs[0], 1)
			}
			task, err := tasks.ParseEnvelope([]byte(example))
			must(t, err)
			already := len(w.sim.Executed())
			w.send(task)
			w.idle()
			w.noDeadLetters()
			if n := len(w.sim.Executed()) - already; n < 1 {
				t.Fatalf("the simulator executed nothing\nlog:\n%s", w.logs)
			}
			if !check() {
				t.Errorf("the state is not what %s is for: %+v", info.Kind, w.sim.Executed())
			}
			if !info.Repeatable {
				return
			}
			task.ID = ""
			w.send(task)
			w.idle()
			if !strings.HasSuffix(string(info.Kind), ".block_members") { // who is blocked is no member any more, and is refused
				w.noDeadLetters()
			}
			if !check() {
				t.Errorf("repeated, %s leaves another state behind", info.Kind)
			}
		})
	}
}

func (w *world) send(task tasks.Task) {
	w.t.Helper()
	receipts, err := w.client.EnqueueMany(context.Background(), []tasks.Task{task})
	must(w.t, err)
	must(w.t, receipts[0].Err)
}

func has(list []string, names ...string) bool {
	for _, name := range names {
		if !slices.Contains(list, name) {
			return false
		}
	}
	return true
}

// The answer to a message for some members of a group names the group, not the
// members: that is no unanswered target.
func TestMessageForSomeMembers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Config{})
	group := w.group("boss", "u1", "u2", "u3")
	w.start()
	id := w.enqueue(tasks.Message{Target: tasks.Groups, To: []string{group}, Users: []string{"u1", "u2"}, Body: tasks.Text{Msg: "hello"}})
	w.idle()
	w.noDeadLetters()
	if n := w.executed(id); n != 1 {
		t.Errorf("executed %d times", n)
	}
}
