package dlq

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hibiken/asynq"

	"github.com/imqueue/emq/errclass"
	"github.com/imqueue/emq/tasks"
)

// archive puts a task with these bytes into asynq's archive.
func (w *world) archive(queue, id string, payload []byte) {
	w.t.Helper()
	client := asynq.NewClientFromRedisClient(w.rdb)
	_, err := client.EnqueueContext(context.Background(), asynq.NewTask("message.send", payload), asynq.Queue(queue), asynq.TaskID(id))
	w.ok(err)
	w.ok(w.inspect.ArchiveTask(queue, id))
}

func testAdopt(t *testing.T, w *world) {
	good, err := tasks.Encode(message(testApp, "good"))
	w.ok(err)
	foreign, err := tasks.Encode(message("bar", "foreign"))
	w.ok(err)
	rooms := tasks.QueueName(testApp, tasks.EndpointRoomsOther, tasks.Low)
	w.archive(messageQueue, "good", good)
	w.archive(rooms, "bytes~2", []byte("\xff no task"))
	w.archive(rooms, "foreign", foreign)
	w.archive("bar:rooms.other:low", "not-ours", good)

	report := w.sweep()
	if report != (SweepReport{Adopted: 3}) {
		t.Errorf("swept %+v", report)
	}
	e := w.get("good")
	if e.State != StateDead || e.Reason != ReasonAdopted || e.Rule != RuleAdopted || e.Class != errclass.ClassNeedsHuman || e.Queue != messageQueue ||
		e.Kind != tasks.KindMessageSend || e.Advice.En == "" || e.Advice.Zh == "" || e.Why.En == "" || e.Why.Zh == "" ||
		!strings.HasPrefix(e.Cause, "adopted-") || e.Events[0].Action != ActionAdopted || string(e.Raw) != string(good) {
		t.Errorf("adopted %+v", e)
	}
	if e := w.get("bytes"); e.Generation != 2 || e.Queue != rooms || string(e.Raw) != "\xff no task" {
		t.Errorf("undecodable: %+v", e)
	}
	if e := w.get("foreign"); e.App != testApp {
		t.Errorf("foreign: %+v", e)
	}
	for queue, want := range map[string]int64{messageQueue: 0, rooms: 0, "bar:rooms.other:low": 1} {
		if n := w.rdb.ZCard(w.ctx, queueKey(queue, "archived")).Val(); n != want {
			t.Errorf("%d left in the archive of %s, want %d", n, queue, want)
		}
	}
	if report := w.sweep(); report != (SweepReport{}) {
		t.Errorf("again: %+v", report)
	}
	w.ok(w.store.Resend(w.ctx, testApp, "good", Actor{}))
	w.take("good~1")
	w.checkIndex()
}

// testAdoptMany also meets what can't be taken, which must not hide the rest.
func testAdoptMany(t *testing.T, w *world) {
	const total = 2*adoptBatch + 30
	for i := range total {
		w.archive(messageQueue, fmt.Sprint("t", i), nil)
	}
	for i := range adoptBatch + 1 {
		key := tasks.TaskKey(messageQueue, fmt.Sprint("t", i))
		w.ok(w.rdb.HSet(w.ctx, key, "state", "active").Err()) // asynq then refuses to delete it
	}
	w.ok(w.rdb.Del(w.ctx, tasks.TaskKey(messageQueue, "t200")).Err())
	w.ok(w.rdb.Set(w.ctx, tasks.EntryKey(testApp, "t201"), "damaged", 0).Err()) // can't be put

	report, err := w.store.Sweep(w.ctx, []string{testApp})
	if err == nil || !strings.Contains(err.Error(), "whose data is gone") {
		t.Errorf("error %v", err)
	}
	if want := total - (adoptBatch + 1) - 2; report.Adopted != want {
		t.Errorf("adopted %d, want %d", report.Adopted, want)
	}
	w.ok(w.rdb.Del(w.ctx, tasks.EntryKey(testApp, "t201")).Err())
	if n, err := w.store.Count(w.ctx, Filter{}); err != nil || n != total-2 {
		t.Errorf("%d entries, %v", n, err)
	}
}

func testAdoptResend(t *testing.T, w *world) {
	w.die("a", forbidden)
	w.ok(w.store.Resend(w.ctx, testApp, "a", Actor{}))
	w.ok(w.inspect.ArchiveTask(messageQueue, "a~1"))
	w.clock.add(resendGrace + time.Second)
	if report := w.sweep(); report != (SweepReport{Adopted: 1}) {
		t.Errorf("swept %+v", report)
	}
	e := w.get("a")
	if e.State != StateDead || e.Generation != 1 || e.Reason != ReasonAdopted || e.Events[2].Action != ActionDeadAgain {
		t.Errorf("entry %+v", e)
	}
	if report := w.sweep(); report != (SweepReport{}) {
		t.Errorf("again: %+v", report)
	}
	w.checkIndex()
}
