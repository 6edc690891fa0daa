package dlq

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/imqueue/emq/errclass"
	"github.com/imqueue/emq/tasks"
)

// What the store keeps in Redis is read by every later emq, and, while an
// upgrade goes on, by the one before it. The tests of this file pin it. When one
// of them fails, the format has changed:
//
//   - a field that is added, and left out when empty, is fine: both read what the
//     other writes. Add a line to the golden file, leave the lines that are there;
//   - a field renamed, removed or of another meaning is not: read the old one for
//     as long as entries with it may exist, that is for ever;
//   - dictionary.txt can't change at all: see there.

// goldenRecord is the entry of testdata/record-v1.hex, with every field set.
func goldenRecord() *record {
	at := time.UnixMilli(1_700_000_000_123).UTC()
	return &record{
		app: testApp, id: "order-8812", state: StateResending, generation: 2, version: "ABCDEFGH",
		last: at, changed: at.Add(time.Minute), status: 403, op: "op-1", cause: "forbidden-1f0a9c3e",
		body: recordBody{
			Queue: "shop:messages.users:default", Description: "users [u1] are not members of this group!",
			Attempts: []recordAttempt{
				{Number: 1, AtMS: at.UnixMilli(), Class: errclass.ClassRetryable, Rule: "timeout", Transport: "timeout"},
				{
					Generation: 1, Number: 2, AtMS: at.UnixMilli() + 1500, LatencyMS: 12, Status: 403, Class: errclass.ClassPermanent,
					Rule: "forbidden", Error: "forbidden_op", Description: "users [u1] are not members", Body: `{"error":"forbidden_op"}`,
					Uncounted: true, Worker: "w1", Targets: 3, Failed: 2, Mended: "split",
				},
			},
			AttemptsOut: 3,
			Events: []recordEvent{
				{AtMS: at.UnixMilli(), Action: ActionDead, Note: "exhausted"},
				{AtMS: at.UnixMilli() + 60_000, Action: ActionEdit, By: "ann", Note: "why", Op: "op-1", Before: json.RawMessage(`{"a":1}`)},
			},
			EventsOut: 4, Unknown: []string{"u2"}, Buckets: []int{1, 7},
		},
		// As queued, byte for byte, whoever wrote it.
		raw: []byte(`{"v":9,"id":"order-8812","app":"shop","new":{"field":"` + "\xff" + `"}}` + "\n"),
	}
}

// goldenLine is the body of goldenRecord as it is before it is compressed.
const goldenLine = `{"q":"shop:messages.users:default","d":"users [u1] are not members of this group!",` +
	`"a":[{"n":1,"t":1700000000123,"x":"timeout","c":"retryable","r":"timeout"},` +
	`{"g":1,"n":2,"t":1500,"l":12,"s":403,"c":"permanent","r":"forbidden","e":"forbidden_op","d":"users [u1] are not members","b":"{\"error\":\"forbidden_op\"}","u":true,"w":"w1","k":3,"f":2,"m":"split"}],` +
	`"ao":3,"e":[{"t":1700000000123,"a":"dead","n":"exhausted"},{"t":1700000060123,"a":"edit","b":"ann","n":"why","o":"op-1","p":{"a":1}}],"eo":4,"u":["u2"],"i":[1,7]}` + "\n"

const goldenHead = "resending 2 ABCDEFGH loyw3v5n loyw55gb 403 op-1 forbidden-1f0a9c3e"

// TestRecordVersion1 pins an entry as Redis keeps it: written as it always was, and
// what was written long ago is read. The compressed bytes are only read: another
// release of the compressor may write others.
func TestRecordVersion1(t *testing.T) {
	t.Parallel()
	c, err := newCodec()
	if err != nil {
		t.Fatal(err)
	}
	want := goldenRecord()
	if head := want.head(); head != goldenHead {
		t.Errorf("head\n got %s\nwant %s", head, goldenHead)
	}
	packed, err := want.encode(c)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := c.expand(packed)
	if err != nil {
		t.Fatal(err)
	}
	if wantPlain := goldenLine + string(want.raw); string(plain) != wantPlain {
		t.Errorf("body\n got %s\nwant %s", plain, wantPlain)
	}
	text, err := os.ReadFile("testdata/record-v1.hex")
	if err != nil {
		t.Fatalf("%v; it should hold\n%x", err, packed)
	}
	kept, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	for name, body := range map[string][]byte{"compressed": kept, "plain": plain} {
		got, err := decodeRecord(c, testApp, want.id, goldenHead+"\n"+string(body))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s:\n got %+v\nwant %+v", name, got, want)
		}
		if !bytes.Equal(got.raw, want.raw) {
			t.Errorf("%s: the task's bytes have changed: %q", name, got.raw)
		}
	}
}

// TestRecordTrace pins the field that was added for traces: left out when empty, as the
// test above shows, and passed over by an emq that does not know it, as this one passes
// over another.
func TestRecordTrace(t *testing.T) {
	t.Parallel()
	c, err := newCodec()
	if err != nil {
		t.Fatal(err)
	}
	r := goldenRecord()
	r.body.Trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	packed, err := r.encode(c)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := c.expand(packed)
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Replace(goldenLine, `,"i":[1,7]`, `,"tp":"`+r.body.Trace+`","i":[1,7]`, 1)
	if line, _, _ := bytes.Cut(plain, []byte("\n")); string(line)+"\n" != want {
		t.Errorf("body\n got %s\nwant %s", line, want)
	}
	newer := strings.Replace(want, `"i":`, `"zz":{"new":1},"i":`, 1)
	got, err := decodeRecord(c, testApp, r.id, goldenHead+"\n"+newer+string(r.raw))
	if err != nil || !reflect.DeepEqual(got, r) {
		t.Errorf("got  %+v (%v)\nwant %+v", got, err, r)
	}
}

// TestStoredJSONVersion1 pins what the store keeps as JSON of its own types.
func TestStoredJSONVersion1(t *testing.T) {
	t.Parallel()
	at := time.UnixMilli(1_700_000_000_123).UTC()
	text := errclass.Text{En: "en", Zh: "中"}
	for name, tc := range map[string]struct {
		value any
		want  string
	}{
		"hold": {
			Hold{App: "shop", Family: tasks.FamilyMessages, Rule: "r", Error: "e", Description: "d", Status: 401, Why: text, Advice: text, Since: at, Task: "t", By: "w1"},
			`{"app":"shop","family":"messages","rule":"r","error":"e","description":"d","status":401,"why":{"en":"en","zh":"中"},"advice":{"en":"en","zh":"中"},"since":"2023-11-14T22:13:20.123Z","task":"t","by":"w1"}`,
		},
		"audit": {
			AuditLine{At: at, By: "ann", Action: ActionResend, App: "shop", What: "order-8812", Count: 1, Why: "why"},
			`{"at":"2023-11-14T22:13:20.123Z","by":"ann","action":"resend","app":"shop","what":"order-8812","count":1,"why":"why"}`,
		},
	} {
		raw, err := marshalJSON(tc.value)
		if err != nil {
			t.Fatal(err)
		}
		if string(raw) != tc.want {
			t.Errorf("%s\n got %s\nwant %s", name, raw, tc.want)
		}
		back := reflect.New(reflect.TypeOf(tc.value))
		if err := json.Unmarshal([]byte(tc.want), back.Interface()); err != nil || !reflect.DeepEqual(back.Elem().Interface(), tc.value) {
			t.Errorf("%s: read as %+v (%v)", name, back.Elem(), err)
		}
	}
}

// TestUndecodableKeepsItsBytes: a task that this version can't read is kept byte
// for byte through all that can be tried on its dead letter, each of which says why
// it is refused.
func TestUndecodableKeepsItsBytes(t *testing.T) {
	t.Parallel()
	w := miniWorld(t)
	for id, raw := range map[string]string{
		"newer":   `{"v":2,"id":"newer","app":"` + testApp + `","new":{"field":"x"}} `,
		"kind":    `{"v":1,"id":"kind","app":"` + testApp + `","kind":"hologram.send","p":{"to":"u1"},"pri":"default","enq":1700000000000,"unk":"retry","att":20,"age":86400000}`,
		"field":   `{"v":1,"field":true,"id":"field","app":"` + testApp + `"}`,
		"garbage": "\xff\x00not json\n\n",
	} {
		w.ok(w.store.Put(w.ctx, Death{
			Task: tasks.Task{ID: id, App: testApp}, Raw: []byte(raw), Queue: messageQueue,
			Reason: ReasonUndecodable, Verdict: errclass.Verdict{Class: errclass.ClassNeedsHuman, Rule: "undecodable"},
		}))
		if err := w.store.Resend(w.ctx, testApp, id, Actor{}); err == nil || !strings.Contains(err.Error(), "this version can't read the task") {
			t.Errorf("%s: resend: %v", id, err)
		} else if id == "newer" && !errors.Is(err, tasks.ErrWireVersion) {
			t.Errorf("resend: %v, want ErrWireVersion", err)
		}
		if err := w.store.Edit(w.ctx, testApp, id, json.RawMessage(`{"to":["u1"]}`), Actor{}); err == nil {
			t.Errorf("%s: edited", id)
		}
		w.ok(w.store.Discard(w.ctx, testApp, id, Actor{}))
		w.ok(w.store.Restore(w.ctx, testApp, id, Actor{}))
		entry, err := w.store.Get(w.ctx, testApp, id)
		w.ok(err)
		if string(entry.Raw) != raw || entry.State != StateDead || entry.Generation != 0 {
			t.Errorf("%s: %s, generation %d, bytes %q", id, entry.State, entry.Generation, entry.Raw)
		}
	}
}
