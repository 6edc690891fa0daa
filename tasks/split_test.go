package tasks

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// lists has, for every list that can be split, a function that makes a payload
// with such a list: the example of its kind with other targets.
func lists(t *testing.T) map[string]func(names []string) Payload {
	t.Helper()
	makers := map[string]func(names []string) Payload{
		"message.send to chatgroups": func(names []string) Payload { return Message{Target: Groups, To: names, Body: Text{Msg: "x"}} },
		"message.send to chatrooms":  func(names []string) Payload { return Message{Target: Rooms, To: names, Body: Text{Msg: "x"}} },
		"message.send to members": func(names []string) Payload {
			return Message{Target: Groups, To: []string{"4065"}, Users: names, Body: Text{Msg: "x"}}
		},
		"message.send, large": func(names []string) Payload {
			return Message{Target: Users, To: names, From: strings.Repeat("f", UserIDMaxBytes), Body: Text{Msg: strings.Repeat("x", 5000)}}
		},
	}
	for _, info := range Kinds() {
		example, err := ParseEnvelope([]byte(info.Example))
		if err != nil {
			t.Fatal(err)
		}
		field, most := perCall(example.Payload)
		if most == 0 {
			continue
		}
		var fields map[string]any
		raw, err := encodeJSON(example.Payload)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(raw, &fields); err != nil {
			t.Fatal(err)
		}
		makers[string(info.Kind)] = func(names []string) Payload {
			whole := map[string]any{}
			for name, value := range fields {
				whole[name] = value
			}
			whole[field] = names
			if info.Kind == KindUserRegister {
				users := make([]NewUser, len(names))
				for i, name := range names {
					users[i] = NewUser{Username: name, Password: name, Nickname: name}
				}
				whole[field] = users
			}
			raw, err := encodeJSON(whole)
			if err != nil {
				panic(err)
			}
			p, err := DecodePayload(info.Kind, raw)
			if err != nil {
				panic(err)
			}
			return p
		}
	}
	return makers
}

// idsOf makes n different ids of some length.
func idsOf(n, length int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf("%0*d", max(length, 5), i)
	}
	return list
}

// mustSplit splits what must pass.
func mustSplit(t rapid.TB, task Task) []Task {
	t.Helper()
	parts, _, err := complete(task).split()
	if err != nil {
		t.Fatal(err)
	}
	return parts
}

// complete sets what the client sets.
func complete(t Task) Task { return t.withDefaults(AppDefault, goldenTask(nil).EnqueuedAt) }

func TestSplitProperties(t *testing.T) {
	t.Parallel()
	makers := lists(t)
	kinds := make([]string, 0, len(makers))
	for name := range makers {
		kinds = append(kinds, name)
	}
	slices.Sort(kinds)
	rapid.Check(t, func(t *rapid.T) {
		maker := makers[rapid.SampledFrom(kinds).Draw(t, "kind")]
		most := func() int { _, most := perCall(maker([]string{"x"})); return most }()
		count := rapid.IntRange(1, 4*most+2).Draw(t, "count")
		targets := make([]string, count)
		for i := range targets {
			targets[i] = fmt.Sprintf("%0*d", rapid.IntRange(5, UserIDMaxBytes).Draw(t, "length"), i)
		}
		whole := complete(Task{ID: "list", Payload: maker(targets)})
		parts := mustSplit(t, whole)
		if again := mustSplit(t, complete(Task{ID: "list", Payload: maker(targets)})); !reflect.DeepEqual(again, parts) {
			t.Fatal("split in another way the second time")
		}
		if parts == nil {
			parts = []Task{whole}
		} else if len(parts) == 1 {
			t.Fatal("split into one part")
		}
		var together []string
		for i, part := range parts {
			if len(parts) > 1 && part.ID != fmt.Sprintf("list.part%d", i+1) {
				t.Fatalf("part %d is %s", i+1, part.ID)
			}
			list := Targets(part.Payload)
			together = append(together, list...)
			req, err := part.Payload.Request(part.ID)
			if err != nil {
				t.Fatal(err)
			}
			bodyMax := 5 * 1024
			if part.Kind() == KindMessageSend {
				bodyMax = 40 * 1024
			}
			if len(list) == 0 || len(list) > most || len(req.Body) > bodyMax || len(req.Path) > 2*1024 {
				t.Fatalf("%s has %d targets of %d, a body of %d bytes, a path of %d", part.ID, len(list), most, len(req.Body), len(req.Path))
			}
			if !reflect.DeepEqual(part.Payload, maker(list)) {
				t.Fatalf("%s is another call: %#v", part.ID, part.Payload)
			}
			part.ID, part.Payload = whole.ID, whole.Payload
			if !reflect.DeepEqual(part, whole) {
				t.Fatalf("part %d has other options: %+v", i+1, part)
			}
		}
		if !slices.Equal(together, targets) {
			t.Fatalf("the parts have %q, want %q", together, targets)
		}
	})
}

// TestSplitSizes holds how full the parts are.
func TestSplitSizes(t *testing.T) {
	t.Parallel()
	makers := lists(t)
	for _, test := range []struct {
		list          string
		count, length int
		want          []int // targets of each part; nil: not split
	}{
		{"group.add_members", 60, 5, nil},
		{"group.add_members", 61, 5, []int{60, 1}},
		{"group.add_members", 240, 5, []int{60, 60, 60, 60}},
		{"group.add_members", 250, 5, []int{60, 60, 60, 60, 10}},
		{"group.add_members", 60, 64, nil}, // 4 KB
		{"chatroom.mute_members", 61, 64, []int{60, 1}},
		{"message.send", 600, 5, nil},
		{"message.send", 600, 64, nil}, // a small message: 40 KB hold it
		{"message.send", 601, 5, []int{600, 1}},
		{"message.send, large", 600, 5, nil},
		{"message.send, large", 600, 64, []int{534, 66}}, // 5,174 bytes and 67 each in 40,960
		{"message.send to chatgroups", 7, 5, []int{3, 3, 1}},
		{"message.send to chatrooms", 20, 5, []int{10, 10}},
		{"message.send to members", 41, 5, []int{20, 20, 1}},
		{"group.remove_members", 60, 5, nil},
		{"group.remove_members", 60, 64, []int{31, 29}},     // /chatgroups/4065/users/ and 65 each in 2,048
		{"group.remove_members", 90, 64, []int{31, 29, 30}}, // the count cuts first
		{"user.register", 60, 5, nil},                       // 59 bytes each
		{"user.register", 60, 64, []int{21, 21, 18}},        // 236 bytes each in 5,120
		{"user.register", 120, 64, []int{21, 21, 18, 21, 21, 18}},
	} {
		t.Run(fmt.Sprintf("%d of %d bytes, %s", test.count, test.length, test.list), func(t *testing.T) {
			t.Parallel()
			maker := makers[test.list]
			if maker == nil {
				t.Fatal("no such list")
			}
			var got []int
			for _, part := range mustSplit(t, Task{ID: "l", Payload: maker(idsOf(test.count, test.length))}) {
				got = append(got, len(Targets(part.Payload)))
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("parts of %v, want %v", got, test.want)
			}
		})
	}
}

// heavy is a list of which each target alone is over the size of a request.
type heavy struct{ GroupAddMembers }

func (h heavy) Only(targets []string) Payload {
	return heavy{h.GroupAddMembers.Only(targets).(GroupAddMembers)}
}

func (h heavy) Request(string) (Request, error) {
	return Request{Method: "POST", Path: "/x", Body: make([]byte, (ListBodyMaxBytes+1)*len(h.Usernames))}, nil
}

func TestSplitLeavesASingleTarget(t *testing.T) {
	t.Parallel()
	if parts := mustSplit(t, Task{ID: "l", Payload: heavy{GroupAddMembers{GroupID: "1", Usernames: idsOf(1, 5)}}}); parts != nil {
		t.Errorf("one target was split into %d parts", len(parts))
	}
	if parts := mustSplit(t, Task{ID: "l", Payload: heavy{GroupAddMembers{GroupID: "1", Usernames: idsOf(61, 5)}}}); len(parts) != 61 {
		t.Errorf("61 large targets were split into %d parts", len(parts))
	}
}

// TestSplitTakesPointers holds that a pointer to a payload is split like the payload.
func TestSplitTakesPointers(t *testing.T) {
	t.Parallel()
	p := GroupAddMembers{GroupID: "1", Usernames: idsOf(61, 5)}
	equal(t, "parts", mustSplit(t, Task{ID: "l", Payload: &p}), mustSplit(t, Task{ID: "l", Payload: p}))
}

func TestSplitRefuses(t *testing.T) {
	t.Parallel()
	members := func(n int) Payload { return GroupAddMembers{GroupID: "1", Usernames: idsOf(n, 5)} }
	// With the ID of the list body and ext take 5 KB, with that of a part more.
	full := Message{Target: Groups, To: idsOf(4, 5), Body: Text{}}
	full.Body = Text{Msg: strings.Repeat("x", MessageMaxBytes-len(`{"msg":""}{"emq_id":"l"}`))}
	for name, test := range map[string]struct {
		task Task
		want *FieldError // without its value
	}{
		"too many targets":  {Task{ID: "l", Payload: members(TargetsMax + 1)}, &FieldError{Field: "payload.usernames", Bound: "at most 10000"}},
		"no room for .part": {Task{ID: strings.Repeat("l", 123), Payload: members(61)}, &FieldError{Field: "id", Bound: "such as .part1,"}},
		"no room for 10":    {Task{ID: strings.Repeat("l", 122), Payload: members(60*9 + 1)}, &FieldError{Field: "id", Bound: "such as .part10,"}},
		"no room in ext":    {Task{ID: "l", Payload: full}, &FieldError{Field: "payload.body and ext", Bound: "at most 5120"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := test.task.Validate()
			fe, ok := errors.AsType[*FieldError](err)
			if !ok || fe.Field != test.want.Field || !strings.Contains(fe.Bound, test.want.Bound) {
				t.Errorf("error %v, want one of %s: … %s …", err, test.want.Field, test.want.Bound)
			}
		})
	}
	for name, task := range map[string]Task{
		"as many targets as may be": {ID: "l", Payload: members(TargetsMax)},
		"made-up ID":                {Payload: members(TargetsMax)},
		"room for .part9":           {ID: strings.Repeat("l", 122), Payload: members(60 * 9)},
		"no part, no ending":        {ID: strings.Repeat("l", IDMaxBytes), Payload: members(60)},
	} {
		if err := task.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestWireTakesNoListOfSeveralCalls holds that a list over the limit of one call
// gets neither into the wire encoding nor out of it.
func TestWireTakesNoListOfSeveralCalls(t *testing.T) {
	t.Parallel()
	for name, maker := range lists(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			field, most := perCall(maker([]string{"x"}))
			refused := func(err error) {
				t.Helper()
				if fe, ok := errors.AsType[*FieldError](err); !ok || fe.Field != "payload."+field ||
					fe.Bound != fmt.Sprintf("at most %d in one call", most) {
					t.Errorf("error %v", err)
				}
			}
			raw, err := Encode(goldenTask(maker(idsOf(most, 5))))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := Decode(raw); err != nil {
				t.Error(err)
			}
			over := maker(idsOf(most+1, 5))
			_, err = Encode(goldenTask(over))
			refused(err)

			var w map[string]any
			if err := json.Unmarshal(raw, &w); err != nil {
				t.Fatal(err)
			}
			w["p"] = over
			if raw, err = encodeJSON(w); err != nil {
				t.Fatal(err)
			}
			_, err = Decode(raw)
			refused(err)
		})
	}
}
