package tasks

import (
	"testing"
	"time"

	"github.com/imqueue/emq/tasks/redisserver/redistest"
)

func BenchmarkEncode(b *testing.B) {
	task := goldenTask(samples()[KindMessageSend])
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Encode(task); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	raw, err := Encode(goldenTask(samples()[KindMessageSend]))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Decode(raw); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkPrepare checks and encodes a task and makes the command that queues it: all
// that Enqueue does on its own side. `emq bench enqueue` measures the whole.
func BenchmarkPrepare(b *testing.B) {
	_, rdb := redistest.Mini(b)
	c := newClient(b, rdb)
	list := []Task{{Payload: samples()[KindMessageSend]}}
	b.ReportAllocs()
	for b.Loop() {
		items, err := c.prepareAll(list, make([]Receipt, 1), time.Now())
		if err != nil {
			b.Fatal(err)
		}
		items[0].queue = items[0].task.Queue()
		if c.compose(b.Context(), items); items[0].err != nil {
			b.Fatal(items[0].err)
		}
	}
}
