package dlq

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/imqueue/emq/tasks/redisserver"
	"github.com/imqueue/emq/tasks/redisserver/redistest"
)

// findings are what Examine says, as "check app level".
func (w *world) findings(warn int) (all []string, list []Finding) {
	w.t.Helper()
	list, err := w.store.Examine(w.ctx, warn)
	w.ok(err)
	for _, f := range list {
		all = append(all, strings.Join(strings.Fields(f.Check+" "+f.App+" "+string(f.Level)), " "))
		if f.What.En == "" || f.What.Zh == "" || f.Level != LevelOK && (f.Mend.En == "" || f.Mend.Zh == "") ||
			(f.Level == LevelWarn || f.Level == LevelFail) && (f.Cost.En == "" || f.Cost.Zh == "") {
			w.t.Errorf("%s says too little: %+v", f.Check, f)
		}
	}
	return all, list
}

// TestExamine provokes each finding on a real Redis.
func TestExamine(t *testing.T) {
	t.Parallel()
	good := newWorld(t, redistest.Client(t, redistest.Start(t, redisserver.Options{AppendFsync: "everysec"})))
	good.die("a", forbidden)
	all, list := good.findings(2)
	if want := []string{"redis ok", "memory ok", "maxmemory-policy ok", "appendonly ok", "dead-letters shop ok"}; !slices.Equal(all, want) {
		t.Errorf("got %q, want %q", all, want)
	}
	if got := list[4].What.En; got != "dead letters: 1, causes: 1, the oldest from 0s ago" {
		t.Errorf("dead letters: %s", got)
	}

	bad := newWorld(t, redistest.Client(t, redistest.Start(t, redisserver.Options{Args: []string{"maxmemory 2mb", "maxmemory-policy allkeys-lru"}})))
	bad.die("a", forbidden)
	bad.clock.add(time.Hour)
	bad.die("b", banned)
	_, err := bad.store.SetHold(bad.ctx, badSecret)
	bad.ok(err)
	all, _ = bad.findings(2)
	if want := []string{"redis ok", "memory ok", "maxmemory-policy fail", "appendonly fail", "dead-letters shop warn", "hold shop fail"}; !slices.Equal(all, want) {
		t.Errorf("got %q, want %q", all, want)
	}
	bad.ok(bad.rdb.ConfigSet(bad.ctx, "maxmemory-policy", "noeviction").Err()) // or the dead letters go, too
	used, _ := bad.store.memory(bad.ctx)
	bad.ok(bad.rdb.ConfigSet(bad.ctx, "maxmemory", strconv.FormatInt(used+used/10, 10)).Err())
	if all, _ = bad.findings(-1); all[1] != "memory warn" || all[4] != "dead-letters shop ok" {
		t.Errorf("full: %q", all)
	}
	bad.ok(bad.rdb.Do(bad.ctx, "ACL", "SETUSER", "default", "-config", "-info").Err())
	if all, _ = bad.findings(-1); all[1] != "memory unknown" || all[2] != "maxmemory-policy unknown" {
		t.Errorf("without leave: %q", all)
	}
	mini := miniWorld(t)
	if f := tooManyCauses(Usage{App: testApp, Causes: CausesMax}); f.Level != LevelWarn {
		t.Errorf("causes: %+v", f)
	}
	mini.ok(mini.rdb.Close())
	if _, err := mini.store.Examine(mini.ctx, 1); err == nil {
		t.Error("reached a Redis that is gone")
	}
	if f := reached(time.Second); f.Level != LevelWarn {
		t.Errorf("slow: %+v", f)
	}
}

// TestTooManyCauses: descriptions that differ each time must not fill Redis with causes.
func TestTooManyCauses(t *testing.T) {
	t.Parallel()
	w := realWorld(t)
	v := forbidden
	for i := range CausesMax + 50 {
		v.Description = lettered(i)
		w.die("t"+lettered(i)[6:], v)
	}
	causes, err := w.store.Causes(w.ctx, Filter{})
	w.ok(err)
	if len(causes) != CausesMax+1 {
		t.Errorf("%d causes, want %d", len(causes), CausesMax+1)
	}
	if c := causes[0]; c.Counts[StateDead] != 50 || c.Description != "" || c.Error != "" {
		t.Errorf("the last ones: %+v", c)
	}
	all, _ := w.findings(-1)
	if !slices.Contains(all, "causes shop warn") {
		t.Errorf("found %q", all)
	}
	w.checkIndex()
}
