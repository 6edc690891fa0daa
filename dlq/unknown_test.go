package dlq

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/imqueue/emq/tasks"
)

func testUnknowns(t *testing.T, w *world) {
	w.ok(w.rdb.SAdd(w.ctx, tasks.AppsKey, testApp, "bar").Err())
	if unknowns, err := w.store.Unknowns(w.ctx); err != nil || len(unknowns) != 0 {
		t.Errorf("before anything: %+v, %v", unknowns, err)
	}
	note := func(u Unknown) {
		t.Helper()
		w.clock.add(time.Second)
		w.ok(w.store.NoteUnknown(w.ctx, u))
	}
	teapot := Unknown{App: testApp, Kind: tasks.KindMessageSend, Status: 418, Error: "teapot", Description: "user u1 is 7 cups short", Body: "{\x00}", Task: "a"}
	note(teapot)
	again := teapot // differs in what is taken out, and in what makes no group
	again.Description, again.Body, again.Task = "user u2 is 8 cups short", "{2}", "b"
	note(again)

	plain := Unknown{App: testApp, Kind: tasks.KindMessageSend, Status: 418, Error: "teapot", Body: "<html>pot 1</html>", Task: "c"}
	note(plain)
	note(plain)
	note(plain)
	changed := []func(*Unknown){
		func(u *Unknown) { u.App = "bar" },
		func(u *Unknown) { u.Kind = tasks.KindUserRegister },
		func(u *Unknown) { u.Status = 419 },
		func(u *Unknown) { u.Error = "kettle" },
		func(u *Unknown) { u.Description = "no cups at all" },
	}
	want := []Unknown{}
	for _, change := range changed {
		u := teapot
		change(&u)
		note(u)
		u.Body, u.Count, u.First, u.Last = "{}", 1, w.clock.now(), w.clock.now()
		want = append([]Unknown{u}, want...)
	}
	again.Count, again.First, again.Last = 2, epoch.Add(time.Second), epoch.Add(2*time.Second)
	plain.Count, plain.First, plain.Last = 3, epoch.Add(3*time.Second), epoch.Add(5*time.Second)
	want = append([]Unknown{plain, again}, want...)
	got, err := w.store.Unknowns(w.ctx)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v, %v\nwant %+v", got, err, want)
	}

	if n, err := w.store.ForgetUnknowns(w.ctx, testApp); err != nil || n != len(want)-1 {
		t.Errorf("forgot %d, %v", n, err)
	}
	if got, err := w.store.Unknowns(w.ctx, testApp, "bar"); err != nil || len(got) != 1 || got[0].App != "bar" {
		t.Errorf("left %+v, %v", got, err)
	}
	if n, err := w.store.ForgetUnknowns(w.ctx, testApp); err != nil || n != 0 {
		t.Errorf("forgot again %d, %v", n, err)
	}
	if keys, err := w.rdb.Keys(w.ctx, tasks.AppKey(testApp, "*")).Result(); err != nil || len(keys) != 0 {
		t.Errorf("left behind %q, %v", keys, err)
	}

	var refused *tasks.FieldError
	if err := w.store.NoteUnknown(w.ctx, Unknown{App: "No App"}); !errors.As(err, &refused) {
		t.Errorf("note of a bad app: %v", err)
	}
	if _, err := w.store.Unknowns(w.ctx, "No App"); !errors.As(err, &refused) {
		t.Errorf("list of a bad app: %v", err)
	}
	if _, err := w.store.ForgetUnknowns(w.ctx, "No App"); !errors.As(err, &refused) {
		t.Errorf("forget of a bad app: %v", err)
	}
}

// lettered makes texts that Normalise tells apart.
func lettered(i int) string {
	return "cause " + string(rune('a'+i/676)) + string(rune('a'+i/26%26)) + string(rune('a'+i%26))
}

// testUnknownsBound: of too many groups, those go that were not seen for
// longest, and what is kept of each is bounded too.
func testUnknownsBound(t *testing.T, w *world) {
	long := strings.Repeat("ü", 2000)
	note := func(i int) {
		t.Helper()
		w.clock.add(time.Millisecond)
		w.ok(w.store.NoteUnknown(w.ctx, Unknown{App: testApp, Status: 418, Error: lettered(i) + long, Description: lettered(i) + long, Body: long}))
	}
	for i := range UnknownsMax {
		note(i)
	}
	note(0)
	note(UnknownsMax) // takes the place of 1
	for i := range 4 {
		note(UnknownsMax + 1 + i)
	}
	got, err := w.store.Unknowns(w.ctx, testApp)
	w.ok(err)
	if len(got) != UnknownsMax {
		t.Fatalf("%d groups", len(got))
	}
	var kept []string
	for _, u := range got {
		kept = append(kept, u.Description[:len(lettered(0))])
		if len(u.Error) > wordMax || len(u.Description) > descriptionMax || len(u.Body) > bodyMax || len(u.Body) < bodyMax-1 {
			t.Fatalf("kept %d, %d and %d bytes", len(u.Error), len(u.Description), len(u.Body))
		}
	}
	if kept[0] != lettered(0) || got[0].Count != 2 || kept[1] != lettered(UnknownsMax+4) {
		t.Errorf("first %s with %d, then %s", kept[0], got[0].Count, kept[1])
	}
	for i := 1; i <= 5; i++ {
		if slices.Contains(kept, lettered(i)) {
			t.Errorf("%s was not forgotten", lettered(i))
		}
	}
	if n := w.rdb.HLen(w.ctx, unknownsKey(testApp)).Val(); n != UnknownsMax {
		t.Errorf("%d samples", n)
	}
	if n := w.rdb.ZCard(w.ctx, unknownsSeenKey(testApp)).Val(); n != UnknownsMax {
		t.Errorf("%d times", n)
	}
}

func testUnknownsByMany(t *testing.T, w *world) {
	const many, each = 8, 25
	var wg sync.WaitGroup
	for i := range many {
		_, store := w.open(w.rdb)
		wg.Go(func() {
			for j := range each {
				u := Unknown{App: testApp, Status: 418, Description: "the same", Task: fmt.Sprint(i, j)}
				if err := store.NoteUnknown(w.ctx, u); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if got, err := w.store.Unknowns(w.ctx, testApp); err != nil || len(got) != 1 || got[0].Count != many*each {
		t.Errorf("got %+v, %v", got, err)
	}
}

// TestUnknownClocks: a worker whose clock is behind takes nothing back, and a
// damaged group begins anew.
func TestUnknownClocks(t *testing.T) {
	t.Parallel()
	w := miniWorld(t)
	u := Unknown{App: testApp, Status: 418, Description: "the same"}
	w.ok(w.store.NoteUnknown(w.ctx, u))
	w.clock.add(-time.Hour)
	w.ok(w.store.NoteUnknown(w.ctx, u))
	got, err := w.store.Unknowns(w.ctx, testApp)
	if err != nil || len(got) != 1 || got[0].Count != 2 || !got[0].Last.Equal(epoch) {
		t.Errorf("got %+v, %v", got, err)
	}
	w.ok(w.rdb.HSet(w.ctx, unknownsKey(testApp), u.group(), "damaged").Err())
	if got, err := w.store.Unknowns(w.ctx, testApp); err != nil || len(got) != 0 {
		t.Errorf("got %+v, %v", got, err)
	}
	w.ok(w.store.NoteUnknown(w.ctx, u))
	if got, err := w.store.Unknowns(w.ctx, testApp); err != nil || len(got) != 1 || got[0].Count != 1 {
		t.Errorf("got %+v, %v", got, err)
	}
}
