package dlq

import (
	"errors"
	"testing"
	"time"

	"github.com/imqueue/emq/tasks"
)

func testTallies(t *testing.T, w *world) {
	w.ok(w.store.AddTally(w.ctx, testApp, Tally{Delivered: 3, Failed: 2}))
	w.ok(w.store.AddTally(w.ctx, testApp, Tally{Delivered: 1, Dead: 1}))
	w.ok(w.store.AddTally(w.ctx, testApp, Tally{}))
	w.clock.add(time.Hour)
	w.ok(w.store.AddTally(w.ctx, testApp, Tally{Failed: 7}))
	list, err := w.store.Tallies(w.ctx, testApp)
	w.ok(err)
	if len(list) != 288 {
		t.Fatalf("%d tallies", len(list))
	}
	got := []Tally{list[287], list[287-12], list[0]}
	for i := range got {
		if got[i].At.Minute()%5 != 0 || got[i].At.After(w.clock.now()) {
			t.Errorf("tally %d begins at %v", i, got[i].At)
		}
		got[i].At = time.Time{}
	}
	if got[0] != (Tally{Failed: 7}) || got[1] != (Tally{Delivered: 4, Failed: 2, Dead: 1}) || got[2] != (Tally{}) {
		t.Errorf("tallies %+v", got)
	}
	if ttl := w.rdb.TTL(w.ctx, tallyKey(testApp, tallyNumber(w.clock.now()))).Val(); ttl <= 24*time.Hour || ttl > tallyKeep {
		t.Errorf("kept for %v", ttl)
	}
	var refused *tasks.FieldError
	if _, err := w.store.Tallies(w.ctx, "no app"); !errors.As(err, &refused) {
		t.Errorf("a bad app: %v", err)
	}
}
