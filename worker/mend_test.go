package worker

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/imqueue/emq/dlq"
	"github.com/imqueue/emq/errclass"
	"github.com/imqueue/emq/tasks"
	"github.com/imqueue/emq/worker/easemob/simulator"
)

// Of a removal, whoever can't be found is in Easemob's answer by name. The rest
// is done and is not called again.
func TestOneUnknownNameDoesNotStopTheOthers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Config{})
	for _, name := range []string{"u1", "u2", "u3"} {
		w.user(name)
	}
	group := w.group("boss")
	w.start()
	id := w.enqueue(tasks.GroupAddMembers{GroupID: group, Usernames: []string{"u1", "ghost", "u2", "u3"}})
	entry := w.dead(id)
	if got := entryNames(t, entry); !slices.Equal(got, []string{"ghost"}) {
		t.Errorf("dead letter is about %v, want the unknown name alone", got)
	}
	if entry.Class != errclass.ClassPermanent || entry.Status != 404 {
		t.Errorf("dead letter: %+v", entry)
	}
	for _, name := range []string{"u1", "u2", "u3"} {
		if !w.isMember(group, name) {
			t.Errorf("%s was not added", name)
		}
	}
	// What emq did by itself is in the history.
	if len(entry.Attempts) < 1 || entry.Attempts[0].Targets != 4 || entry.Attempts[0].Status != 404 {
		t.Errorf("history: %+v", entry.Attempts)
	}

	// Once the user is there, the dead letter can be resent as it is.
	w.user("ghost")
	err := w.store.Resend(context.Background(), tasks.AppDefault, id, dlq.Actor{Name: "test"})
	must(t, err)
	w.eventually("the resend", func() bool { return w.isMember(group, "ghost") })
}

// Servers that refuse a whole registration for one taken name: the others are
// registered all the same, and a taken name is what was wanted.
func TestTakenNamesDoNotStopARegistration(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Config{})
	w.user("taken")
	w.fault(simulator.Fault{Path: "/users", Times: 1, Status: 400, Body: map[string]any{
		"error":             "duplicate_unique_property_exists",
		"error_description": "Application 4d7e4ba0 Entity user requires that property named username be unique, value of taken exists",
	}})
	w.start()
	id := w.enqueue(tasks.UserRegister{Users: []tasks.NewUser{{Username: "n1", Password: "p"}, {Username: "taken", Password: "p"}, {Username: "n2", Password: "p"}}})
	w.eventually("registration", func() bool { return w.isUser("n1") && w.isUser("n2") })
	w.idle()
	w.noDeadLetters()
	if lines := w.logs.attempts(id); len(lines) != 2 || !strings.Contains(lines[0], "end="+endPart) || !strings.Contains(lines[1], "end="+endDone) {
		t.Errorf("attempt lines: %q", lines)
	}
}

// A send that is too large for its many recipients is made in halves, and no
// recipient gets it twice.
func TestTooLargeIsSplit(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Config{})
	w.fault(simulator.Fault{Path: "/messages/users", Times: 2, Status: 413, BodyText: "<html>413 Request Entity Too Large</html>"})
	w.start()
	to := names("u", 8)
	id := w.enqueue(tasks.Message{Target: tasks.Users, To: to, Body: tasks.Text{Msg: "hello"}})
	w.idle()
	w.noDeadLetters()
	got := w.received(id)
	for _, name := range to {
		if got[name] != 1 {
			t.Errorf("%s got it %d times", name, got[name])
		}
	}
	if n := w.executed(id); n != 4 {
		t.Errorf("%d sends, want 4 of 2 recipients", n)
	}
}

// Where it is the message that is too large, halving ends at the first single
// recipient: 10 calls for 600, not a thousand.
func TestSplittingEndsEarly(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Config{})
	w.fault(simulator.Fault{Path: "/messages/users", Status: 413, BodyText: "too large"})
	w.start()
	id := w.enqueue(tasks.Message{Target: tasks.Users, To: names("u", 100), Body: tasks.Text{Msg: "hello"}})
	entry := w.dead(id)
	if entry.Class != errclass.ClassPermanent || len(entry.Attempts) > 10 {
		t.Errorf("%d attempts, class %s; want halving to one and no more", len(entry.Attempts), entry.Class)
	}
	if n := len(entryNames(t, entry)); n != 100 {
		t.Errorf("dead letter is about %d recipients, want all", n)
	}
}

// What is done stays done when the attempt ends in the middle.
func TestDonePartsAreNotRepeated(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Config{})
	w.fault(simulator.Fault{Path: "/messages/users", Times: 1, Status: 413, BodyText: "too large"})
	w.fault(simulator.Fault{Path: "/messages/users", Skip: 2, Times: 1, Status: 503, BodyText: "busy"})
	w.start()
	id := w.enqueue(tasks.Message{Target: tasks.Users, To: names("u", 4), Body: tasks.Text{Msg: "hello"}})
	w.idle()
	w.noDeadLetters()
	for name, n := range w.received(id) {
		if n != 1 {
			t.Errorf("%s got it %d times", name, n)
		}
	}
	if n := len(w.received(id)); n != 4 {
		t.Errorf("%d recipients got it, want 4", n)
	}
}

// Of a send in parts that must not be repeated, the part whose answer was lost
// waits for a person; the others are made, and are not in the dead letter.
func TestUnknownPartAloneWaitsForAPerson(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Config{})
	w.fault(simulator.Fault{Path: "/messages/users", Times: 1, Status: 413, BodyText: "too large"})
	w.fault(simulator.Fault{Path: "/messages/users", Times: 1, Cut: simulator.CutAfter})
	w.start()
	id := w.enqueue(tasks.Message{Target: tasks.Users, To: names("u", 4), Body: tasks.Text{Msg: "hello"}}, tasks.OnUnknownOutcome(tasks.Hold))
	entry := w.dead(id)
	if got := entryNames(t, entry); entry.Reason != dlq.ReasonUnknownOutcome || !slices.Equal(got, []string{"u0", "u1"}) {
		t.Errorf("dead letter: reason %s, about %v; want the unknown outcome of u0 and u1", entry.Reason, got)
	}
	for name, n := range w.received(id) {
		if n != 1 {
			t.Errorf("%s got it %d times", name, n)
		}
	}
	if n := len(w.received(id)); n != 4 {
		t.Errorf("%d recipients got it, want 4", n)
	}
}

// Whatever a server refuses, and by whatever words, each target ends as it
// would alone, and in a bounded number of calls.
func TestEveryTargetEndsAsItWouldAlone(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		all := names("u", rapid.IntRange(2, 60).Draw(t, "targets"))
		bad := map[string]bool{}
		for _, name := range rapid.SliceOfDistinct(rapid.SampledFrom(all), rapid.ID[string]).Draw(t, "bad") {
			bad[name] = true
		}
		most := rapid.IntRange(1, 60).Draw(t, "most in a call")
		named := rapid.Bool().Draw(t, "the answer names them")
		inside := rapid.Bool().Draw(t, "in a success")
		b := &batch{whole: tasks.GroupRemoveMembers{GroupID: "1", Usernames: all}}
		b.Rest, b.next = all, all
		refused := errclass.Verdict{Class: errclass.ClassPermanent, Scope: errclass.ScopeJob, Rule: "bad"}
		calls := 0
		for len(b.next) > 0 {
			if calls++; calls > 8*len(all) {
				t.Fatalf("%d calls for %d targets", calls, len(all))
			}
			part := b.part()
			found := slices.DeleteFunc(slices.Clone(part), func(name string) bool { return !bad[name] })
			v := errclass.Verdict{Class: errclass.ClassSuccess}
			switch {
			case len(part) > most:
				v = errclass.Verdict{Class: errclass.ClassPermanent, Rule: "large", Mend: errclass.MendSplit}
			case len(found) > 0 && inside:
				v = refused
				for _, name := range found {
					v.Failed = append(v.Failed, errclass.Failure{Target: name, Verdict: refused})
				}
			case len(found) > 0:
				v = refused
				if len(part) > 1 {
					v.Mend = errclass.MendLeaveOut
					if named {
						v.Named = found[:1]
					}
				}
			}
			if b.read(v, false) {
				t.Fatal("stopped")
			}
		}
		left := b.left()
		for _, name := range all {
			if slices.Contains(left, name) != bad[name] {
				t.Fatalf("%s: left over %v, refused by the server %v", name, !bad[name], bad[name])
			}
		}
		if v := b.end(); (v == nil) != (len(bad) == 0) {
			t.Fatalf("verdict %+v for %d refused", v, len(bad))
		}
	})
}

func (w *world) isMember(group, name string) bool {
	w.t.Helper()
	g, ok := w.sim.Group("", group)
	return ok && slices.Contains(g.Members, name)
}

func (w *world) isUser(name string) bool {
	w.t.Helper()
	_, ok := w.sim.User("", name)
	return ok
}

// received counts how often each recipient got the message of a task.
func (w *world) received(id string) map[string]int {
	got := map[string]int{}
	for _, e := range w.sim.Executed() {
		if e.EmqID == id {
			for _, name := range e.Targets {
				got[name]++
			}
		}
	}
	return got
}

func names(prefix string, n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf("%s%d", prefix, i)
	}
	return list
}

// entryNames are the targets of a dead letter.
func entryNames(t *testing.T, entry dlq.Entry) []string {
	t.Helper()
	payload, err := tasks.DecodePayload(entry.Kind, entry.Payload)
	must(t, err)
	return tasks.Targets(payload)
}
