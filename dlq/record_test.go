package dlq

import (
	"bytes"
	"testing"
	"time"
)

// FuzzDecodeRecord: whatever is in Redis, reading it does not panic, and what
// can be read is written and read again unchanged.
func FuzzDecodeRecord(f *testing.F) {
	c, err := newCodec()
	if err != nil {
		f.Fatal(err)
	}
	r := &record{app: testApp, id: "a", cause: "forbidden-00000000", last: epoch, raw: []byte("{\"v\":1}\n\xff")}
	r.enter(StateDead, epoch, ActionDead, Actor{})
	r.addAttempts(0, attempts(forbidden, epoch, 2))
	body, err := r.encode(c)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(r.head() + "\n" + string(body))
	f.Add(r.head())
	f.Add("dead 0 v 1 1 403 - c\n{}\n")
	f.Add("dead 0 v 1 1 403 - c\n{\"i\":[1]}\n")
	f.Add("")
	f.Fuzz(func(t *testing.T, value string) {
		r, err := decodeRecord(c, testApp, "a", value)
		if err != nil {
			return
		}
		_ = r.entry(Cause{})
		body, err := r.encode(c)
		if err != nil {
			t.Fatal(err)
		}
		again, err := decodeRecord(c, testApp, "a", r.head()+"\n"+string(body))
		if err != nil {
			t.Fatal(err)
		}
		// Compared as written: whether an absent list is nil or empty is no matter.
		written, err := again.encode(c)
		if err != nil || again.head() != r.head() || !bytes.Equal(written, body) {
			t.Errorf("got  %s %s (%v)\nwant %s %s", again.head(), written, err, r.head(), body)
		}
	})
}

func FuzzReadCursor(f *testing.F) {
	f.Add(position{at: epoch.UnixMilli(), id: "a b", app: testApp}.cursor())
	f.Add("")
	f.Add("%%%")
	f.Fuzz(func(t *testing.T, cursor string) {
		p, err := readCursor(cursor)
		if err != nil || p == (position{}) {
			return
		}
		if again, err := readCursor(p.cursor()); err != nil || again != p {
			t.Errorf("got %+v (%v), want %+v", again, err, p)
		}
	})
}

// TestHeadFits: the scripts read no more of an entry than headMax to find its head.
func TestHeadFits(t *testing.T) {
	t.Parallel()
	d := Death{Reason: ReasonVerdict}
	for range 100 {
		d.Verdict.Rule += "rule"
	}
	r := &record{generation: 1 << 31, status: 1 << 31, op: "0123456789", last: time.UnixMilli(headMS), cause: newCause(d).ID}
	r.enter(StateResending, time.UnixMilli(headMS), ActionResend, Actor{})
	if n := len(r.head()); n >= headMax {
		t.Errorf("a head of %d bytes", n)
	}
}
