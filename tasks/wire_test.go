package tasks

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// goldenTask is the task whose encoding testdata/wire-v1.jsonl holds, a line a kind.
func goldenTask(p Payload) Task {
	at := time.UnixMilli(1_700_000_000_123).UTC()
	return Task{
		ID: "order-8812", App: "shop", Payload: p, Priority: High,
		ProcessAt: at.Add(time.Minute), ExpiresAt: at.Add(time.Hour), OnUnknown: Hold,
		MaxAttempts: 7, MaxAge: 90 * time.Minute, EnqueuedAt: at, Generation: 2,
		nonce: "ABCDEFGH", given: true,
	}
}

// TestWireVersion1 pins the encoding: tasks that wait in a Redis must be read
// by every later emq. A line never changes; a new kind adds one, a new version
// gets a file of its own.
func TestWireVersion1(t *testing.T) {
	t.Parallel()
	golden, err := os.ReadFile("testdata/wire-v1.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	read := map[Kind]bool{}
	for line := range bytes.Lines(golden) {
		line = bytes.TrimSpace(line)
		task, err := Decode(line)
		if err != nil {
			t.Errorf("%v\n%s", err, line)
			continue
		}
		read[task.Kind()] = true
		want := goldenTask(samples()[task.Kind()])
		equal(t, "decoded", task, want)
		raw, err := Encode(want)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(raw, line) {
			t.Errorf("encoded\n got %s\nwant %s", raw, line)
		}
	}
	for kind := range samples() {
		if !read[kind] {
			raw, err := Encode(goldenTask(samples()[kind]))
			t.Errorf("no line of %s; add (%v)\n%s", kind, err, raw)
		}
	}
}

// minimalWire is what every version 1 writer sets.
const minimalWire = `{"v":1,"id":"a","app":"default","kind":"group.transfer_owner","p":{"group_id":"1","newowner":"u"},"pri":"default","enq":1700000000000,"unk":"retry","att":20,"age":86400000}`

func TestDecodeMinimal(t *testing.T) {
	t.Parallel()
	got, err := Decode([]byte(minimalWire))
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "task", got, Task{
		ID: "a", App: "default", Payload: GroupTransferOwner{GroupID: "1", NewOwner: "u"}, Priority: Default,
		OnUnknown: Retry, MaxAttempts: 20, MaxAge: 24 * time.Hour, EnqueuedAt: time.UnixMilli(1_700_000_000_000).UTC(),
	})
}

func TestDecodeRefuses(t *testing.T) {
	t.Parallel()
	with := func(old, changed string) string {
		if !strings.Contains(minimalWire, old) {
			t.Fatalf("no %s to change", old)
		}
		return strings.Replace(minimalWire, old, changed, 1)
	}
	for name, tc := range map[string]struct{ raw, text string }{
		"nothing":            {"", "not valid JSON"},
		"binary":             {"\x00\xff", "not valid JSON"},
		"an array":           {"[1]", "must be a JSON object"},
		"no version":         {`{"id":"a"}`, "v: 0: 1 to 1"},
		"negative version":   {with(`"v":1`, `"v":-1`), "v: -1: 1 to 1"},
		"unknown field":      {with(`"v":1`, `"v":1,"x":2`), "x: no such field"},
		"something after":    {minimalWire + "{}", "after top-level value"},
		"bad ID":             {with(`"id":"a"`, `"id":"a~1"`), `id: "a~1"`},
		"no ID":              {with(`"id":"a"`, `"id":""`), `id: ""`},
		"bad app":            {with(`"app":"default"`, `"app":"A"`), `app: "A"`},
		"no payload":         {with(`"p":{"group_id":"1","newowner":"u"},`, ""), "payload"},
		"bad payload":        {with(`"newowner":"u"`, `"newowner":"?"`), `payload.newowner: "?"`},
		"bad priority":       {with(`"pri":"default"`, `"pri":""`), `priority: ""`},
		"bad on_unknown":     {with(`"unk":"retry"`, `"unk":"x"`), `on_unknown: "x"`},
		"no attempts":        {with(`"att":20`, `"att":0`), "max_attempts: 0"},
		"no age":             {with(`"age":86400000`, `"age":0`), "max_age: 0s"},
		"huge age":           {with(`"age":86400000`, `"age":9223372036854775807`), "age: 9223372036854775807: too large"},
		"hugely negative":    {with(`"age":86400000`, `"age":-9223372036854775807`), "max_age"},
		"not enqueued":       {with(`"enq":1700000000000`, `"enq":0`), "gen or enq"},
		"negative resend":    {with(`"v":1`, `"v":1,"gen":-1`), "gen or enq"},
		"planned too far":    {with(`"v":1`, `"v":1,"at":1800000000000`), "process_at"},
		"a time without end": {with(`"v":1`, `"v":1,"at":9223372036854775807`), "process_at"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Decode([]byte(tc.raw))
			if _, ok := errors.AsType[*FieldError](err); !ok || !strings.Contains(err.Error(), tc.text) {
				t.Errorf("error %v, want a *FieldError with %q", err, tc.text)
			}
		})
	}
}

// TestDecodeNamesWhatItCannotRead holds that a dead letter of an unreadable
// task still has an ID and an app.
func TestDecodeNamesWhatItCannotRead(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		raw  string
		want error
	}{
		"a newer emq":  {`{"v":2,"id":"a","app":"shop","new":{"field":1}}`, ErrWireVersion},
		"unknown kind": {strings.Replace(minimalWire, "group.transfer_owner", "group.explode", 1), ErrUnknownKind},
		"bad payload":  {strings.Replace(minimalWire, `"newowner"`, `"owner"`, 1), nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			task, err := Decode([]byte(tc.raw))
			if err == nil || tc.want != nil && !errors.Is(err, tc.want) {
				t.Errorf("error %v, want %v", err, tc.want)
			}
			if task.ID != "a" || task.App == "" {
				t.Errorf("task %+v, want ID and app", task)
			}
		})
	}
}

func TestDecodeTakesTasksWhoseTimesHavePassed(t *testing.T) {
	t.Parallel()
	task := goldenTask(text("x"))
	task.ExpiresAt = task.EnqueuedAt.Add(-time.Hour)
	raw, err := Encode(task)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Decode(raw)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "task", got, task)
}

func TestEncodeRefusesWhatIsNoJSON(t *testing.T) {
	t.Parallel()
	task := goldenTask(Message{Body: Text{Msg: "x"}, Ext: map[string]any{"f": math.NaN()}})
	if raw, err := Encode(task); err == nil {
		t.Errorf("encoded to %s", raw)
	}
}

func TestWireRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		task := drawTask(t)
		if err := task.validateFields(); err != nil {
			t.Fatalf("the test drew a bad task: %v", err)
		}
		raw, err := Encode(task)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Decode(raw)
		if err != nil {
			t.Fatalf("%v\n%s", err, raw)
		}
		equal(t, "task", got, task)
	})
}

// drawTask draws a valid task.
func drawTask(t *rapid.T) Task {
	minute := rapid.Int64Range(1, 60*24*365)
	task := Task{
		ID:          rapid.StringMatching(`[A-Za-z0-9][A-Za-z0-9._:@/#+=,-]{0,127}`).Draw(t, "id"),
		App:         rapid.StringMatching(`[a-z0-9][a-z0-9_-]{0,31}`).Draw(t, "app"),
		Payload:     drawPayload(t),
		Priority:    rapid.SampledFrom(Priorities()).Draw(t, "priority"),
		OnUnknown:   rapid.SampledFrom([]OnUnknown{Retry, Hold}).Draw(t, "on unknown"),
		MaxAttempts: rapid.IntRange(1, MaxAttemptsMax).Draw(t, "attempts"),
		MaxAge:      time.Duration(rapid.Int64Range(1000, MaxAgeMax.Milliseconds()).Draw(t, "age")) * time.Millisecond,
		EnqueuedAt:  time.UnixMilli(rapid.Int64Range(1, 4e12).Draw(t, "enqueued")).UTC(),
		Generation:  rapid.IntRange(0, 1000).Draw(t, "generation"),
		nonce:       rapid.StringMatching(`[A-Z2-7]{0,16}`).Draw(t, "nonce"),
		given:       rapid.Bool().Draw(t, "given"),
	}
	if rapid.Bool().Draw(t, "planned") {
		task.ProcessAt = task.EnqueuedAt.Add(time.Duration(minute.Draw(t, "ahead")) * time.Minute)
	}
	if rapid.Bool().Draw(t, "expires") {
		task.ExpiresAt = task.EnqueuedAt.Add(time.Duration(minute.Draw(t, "expiry"))*time.Minute + 365*24*time.Hour)
	}
	return task
}

func drawPayload(t *rapid.T) Payload {
	userID := rapid.StringMatching(`[a-z0-9_-][a-z0-9_.-]{0,63}`)
	users := rapid.SliceOfNDistinct(userID, 1, 60, rapid.ID[string])
	groupID := rapid.StringMatching(`[0-9A-Za-z_-]{1,64}`)
	// Any text but invalid UTF-8, which JSON can't hold.
	words := rapid.Map(rapid.String(), func(s string) string { return strings.ToValidUTF8(s, "?") })
	kind := rapid.SampledFrom(kindNames()).Draw(t, "kind")
	switch kind {
	case KindMessageSend:
		m := Message{Target: Users, To: users.Draw(t, "to"), Body: Text{Msg: "m" + words.Draw(t, "msg")}, OmitTaskID: rapid.Bool().Draw(t, "omit")}
		if rapid.Bool().Draw(t, "to groups") {
			m.Target, m.To = Groups, []string{groupID.Draw(t, "group")}
			m.Body = Custom{Event: "e", Exts: map[string]string{words.Draw(t, "key"): words.Draw(t, "value")}}
			m.NeedGroupAck = true
		}
		if rapid.Bool().Draw(t, "ext") {
			m.Ext = map[string]any{
				"k" + words.Draw(t, "key"): words.Draw(t, "value"),
				"number":                   json.Number(rapid.StringMatching(`-?[1-9][0-9]{0,30}(\.[0-9]{1,9})?`).Draw(t, "number")),
				"list":                     []any{nil, true, map[string]any{}},
			}
		}
		return m
	case KindMessageBroadcast:
		return Broadcast{
			Target: rapid.SampledFrom([]Target{Users, Online, Rooms}).Draw(t, "target"), From: userID.Draw(t, "from"),
			Body: rapid.SampledFrom([]Body{Text{Msg: "m" + words.Draw(t, "msg")}, Command{Action: "a"}, Custom{Exts: map[string]string{"k": "v"}}}).Draw(t, "body"),
			Ext:  map[string]any{"k" + words.Draw(t, "key"): words.Draw(t, "value")},
		}
	case KindMessageRecall:
		return Recall{MsgID: rapid.StringMatching(`[0-9]{1,32}`).Draw(t, "message"), To: userID.Draw(t, "to"), ChatType: "chat", Force: rapid.Bool().Draw(t, "force")}
	case KindUserRegister:
		var list []NewUser
		for _, name := range users.Draw(t, "users") {
			list = append(list, NewUser{Username: name, Password: rapid.StringN(1, 64, -1).Draw(t, "password")})
		}
		return UserRegister{Users: list}
	case KindCallRaw:
		body, err := encodeJSON(map[string]any{words.Draw(t, "key"): words.Draw(t, "value")})
		if err != nil {
			t.Fatal(err)
		}
		return RawCall{Method: "PUT", Path: "/" + rapid.StringMatching(`[a-su-z]{1,20}(/[a-z0-9]{1,20}){0,5}(\?[a-z=&%2F]{1,20})?`).Draw(t, "path"), Body: body}
	}
	return drawFields(t, samples()[kind], userID, users, groupID)
}

func kindNames() []Kind {
	var names []Kind
	for _, info := range Kinds() {
		names = append(names, info.Kind)
	}
	return names
}

// drawFields draws the fields of a payload that is a plain struct, by their names.
func drawFields(t *rapid.T, p Payload, userID *rapid.Generator[string], users *rapid.Generator[[]string], groupID *rapid.Generator[string]) Payload {
	texts := map[string]int{"name": 128, "groupname": 128, "description": 512, "announcement": 512, "nickname": 100, "newpassword": 64, "custom": 512, "avatar": 1024}
	drawn := reflect.New(reflect.TypeOf(p)).Elem()
	for f, value := range drawn.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Type.Kind() == reflect.Pointer {
			value.Set(reflect.New(f.Type.Elem()))
			value = value.Elem()
		}
		switch value.Interface().(type) {
		case string:
			switch most, isText := texts[name]; {
			case isText:
				value.SetString(rapid.StringN(1, most, -1).Draw(t, name))
			case name == "group_id" || name == "chatroom_id":
				value.SetString(groupID.Draw(t, name))
			default:
				value.SetString(userID.Draw(t, name))
			}
		case []string:
			value.Set(reflect.ValueOf(users.Draw(t, name)))
		case bool:
			value.SetBool(rapid.Bool().Draw(t, name))
		case int, int64:
			value.SetInt(rapid.Int64Range(1, RoomUsersMax).Draw(t, name))
			if name == "maxusers" && (p.Kind() == KindRoomCreate || p.Kind() == KindGroupCreate) {
				value.SetInt(RoomUsersMax) // not fewer than the members
			}
		case map[string]string:
			value.Set(reflect.ValueOf(rapid.MapOfN(userID, rapid.StringN(0, 100, -1), 1, 3).Draw(t, name)))
		default:
			t.Fatalf("no generator for %s of %T", name, p)
		}
	}
	return drawn.Interface().(Payload)
}

func FuzzDecode(f *testing.F) {
	golden, err := os.ReadFile("testdata/wire-v1.jsonl")
	if err != nil {
		f.Fatal(err)
	}
	for line := range bytes.Lines(golden) {
		f.Add(bytes.TrimSpace(line))
	}
	f.Add([]byte(minimalWire))
	f.Add([]byte(`{"v":2,"id":"a","app":"b"}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		task, err := Decode(raw)
		if err != nil {
			return
		}
		checkEncoding(t, task)
	})
}

func FuzzParseEnvelope(f *testing.F) {
	for kind, p := range samples() {
		payload, err := encodeJSON(p)
		if err != nil {
			f.Fatal(err)
		}
		f.Add([]byte(`{"id":"a","kind":"` + string(kind) + `","payload":` + string(payload) + `}`))
	}
	f.Add([]byte(`{"kind":"call.raw","payload":{"method":"GET","path":"/a"},"process_at":"2099-01-01T00:00:00Z","max_age":"1h","max_attempts":1}`))
	f.Add([]byte(`{"kind":"user.register","payload":[{"username":"u","password":"p"}]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		task, err := ParseEnvelope(raw)
		if err != nil || task.Validate() != nil || checkCall(task.Payload, len(raw)) != nil {
			return // a list that the client would split has no encoding
		}
		task = task.withDefaults(AppDefault, ms(time.Now()))
		if task.ID == "" {
			task.ID = "made-up"
		}
		checkEncoding(t, task)
	})
}

// checkEncoding holds that a task which passed the checks survives the wire:
// what comes back is the same task, in the same bytes.
func checkEncoding(t *testing.T, task Task) {
	t.Helper()
	raw, err := Encode(task)
	if err != nil {
		t.Fatalf("encode %+v: %v", task, err)
	}
	again, err := Decode(raw)
	if err != nil {
		t.Fatalf("decode: %v\n%s", err, raw)
	}
	raw2, err := Encode(again)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(raw, raw2) {
		t.Fatalf("changed on the wire\nfrom %s\n  to %s", raw, raw2)
	}
	if again.Queue() != task.Queue() || again.QueueID() != task.QueueID() {
		t.Fatalf("moved from %s %s to %s %s", task.Queue(), task.QueueID(), again.Queue(), again.QueueID())
	}
	if _, _, _, ok := ParseQueueName(task.Queue()); !ok {
		t.Fatalf("queue %q is none of emq's", task.Queue())
	}
	id, generation := SplitQueueID(task.QueueID())
	if id != task.ID || generation != task.Generation {
		t.Fatalf("%s splits into %s and %d", task.QueueID(), id, generation)
	}
}
