package worker

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hibiken/asynq"

	"github.com/imqueue/emq/dlq"
	"github.com/imqueue/emq/errclass"
	"github.com/imqueue/emq/tasks"
	"github.com/imqueue/emq/worker/easemob/simulator"
)

// plant queues bytes as another version's client would.
func (w *world) plant(queue, id, raw string) {
	w.t.Helper()
	_, err := asynq.NewClientFromRedisClient(w.rdb).Enqueue(asynq.NewTask("task", []byte(raw)), asynq.TaskID(id), asynq.Queue(queue))
	must(w.t, err)
}

// A task that a newer emq queued is not dropped by an older worker, whatever is new
// about it: it is a dead letter that says which version is missing, with every byte
// of the task, and no call was made. The other tasks go on.
func TestNewerTaskMeetsOlderWorker(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Config{})
	rest := `"p":{"to":"u1"},"pri":"default","enq":1700000000000,"unk":"retry","att":20,"age":86400000}`
	newer := map[string]struct{ raw, says string }{
		"version": {`{"v":2,"id":"version","app":"default","shape":{"is":"new"}}`, "task version 2, this emq reads up to 1"},
		"kind":    {`{"v":1,"id":"kind","app":"default","kind":"hologram.send",` + rest, "hologram.send"},
		"field":   {`{"v":1,"id":"field","app":"default","urgency":9,"kind":"message.recall",` + rest, "urgency"},
	}
	for id, n := range newer {
		w.plant(messages, id, n.raw)
	}
	// A queue of an endpoint that this version does not know is nobody's to serve:
	// the task waits there for a worker that does.
	const unknown = "default:holograms:default"
	w.plant(unknown, "waits", newer["kind"].raw)
	id := w.enqueue(text("u1"))
	w.start()
	w.eventually("the known one is delivered", func() bool { return w.executed(id) == 1 })
	for id, n := range newer {
		var entry dlq.Entry
		w.eventually("dead letter of "+id, func() (ok bool) {
			var err error
			entry, err = w.store.Get(context.Background(), tasks.AppDefault, id)
			return err == nil
		})
		if entry.Reason != dlq.ReasonUndecodable || entry.Class != errclass.ClassNeedsHuman || string(entry.Raw) != n.raw {
			t.Errorf("%s: reason %s, class %s, bytes %q", id, entry.Reason, entry.Class, entry.Raw)
		}
		if !strings.Contains(entry.Description, n.says) || !strings.Contains(entry.Advice.En, "upgrade") || !strings.Contains(entry.Advice.Zh, "升级") {
			t.Errorf("%s: description %q, advice %q", id, entry.Description, entry.Advice.En)
		}
		// It is not dropped by a person's resend either.
		err := w.store.Resend(context.Background(), tasks.AppDefault, id, dlq.Actor{Name: "op"})
		if err == nil || id == "version" && !errors.Is(err, tasks.ErrWireVersion) {
			t.Errorf("%s: resent: %v", id, err)
		}
	}
	if n := len(w.sim.Executed()); n != 1 {
		t.Errorf("%d calls were executed, want 1", n)
	}
	if info := w.asTask(unknown, "waits"); info.State != asynq.TaskStatePending || string(info.Payload) != newer["kind"].raw {
		t.Errorf("in the unknown queue: %s, %q", info.State, info.Payload)
	}
}

// What an older emq could not read is resent once the workers are upgraded: the
// bytes that it kept are the task.
func TestUpgradeMakesUndecodableResendable(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Config{})
	raw := fmt.Sprintf(`{"v":1,"id":"m1","app":"default","kind":"message.send","p":{"target":"users","to":["u1"],"type":"txt","body":{"msg":"hello"}},"pri":"default","enq":%d,"unk":"retry","att":20,"age":86400000}`,
		time.Now().Add(-48*time.Hour).UnixMilli()) // older than its age limit: the upgrade took a while
	// As a version that knew no such kind left it: of the task it had the ID alone.
	must(t, w.store.Put(context.Background(), dlq.Death{
		Task: tasks.Task{ID: "m1", App: tasks.AppDefault}, Raw: []byte(raw), Queue: messages,
		Reason: dlq.ReasonUndecodable, Verdict: verdictUndecodable(tasks.ErrUnknownKind),
	}))
	must(t, w.store.Resend(context.Background(), tasks.AppDefault, "m1", dlq.Actor{Name: "op"}))
	w.start()
	w.eventually("it is resolved", func() bool {
		entry, err := w.store.Get(context.Background(), tasks.AppDefault, "m1")
		return err == nil && entry.State == dlq.StateResolved
	})
	if n := w.executed("m1"); n != 1 {
		t.Errorf("executed %d times", n)
	}
}
