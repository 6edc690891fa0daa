package dlq

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/imqueue/emq/errclass"
	"github.com/imqueue/emq/tasks/redisserver"
	"github.com/imqueue/emq/tasks/redisserver/redistest"
)

// benchWorld is a world on a real Redis with n dead letters of 30 causes.
func benchWorld(b *testing.B, n int) *world {
	b.Helper()
	server := redistest.Start(b, redisserver.Options{})
	w := newWorld(b, redistest.Client(b, server))
	w.fill(n)
	return w
}

func (w *world) fill(n int) {
	w.t.Helper()
	var next atomic.Int64
	var fillers sync.WaitGroup
	for range 16 {
		fillers.Go(func() {
			for i := int(next.Add(1)); i <= n; i = int(next.Add(1)) {
				if err := w.store.Put(w.ctx, benchDeath(i)); err != nil {
					w.t.Error(err)
					return
				}
			}
		})
	}
	fillers.Wait()
	if w.t.Failed() {
		w.t.FailNow()
	}
}

func benchDeath(i int) Death {
	v := []errclass.Verdict{forbidden, banned, overloaded}[i%3]
	v.Error += strconv.Itoa(i / 3 % 10)
	at := epoch.Add(time.Duration(i) * time.Millisecond)
	return Death{Task: message(testApp, fmt.Sprintf("order-%020d", i)), Verdict: v, Attempts: attempts(v, at, 1), At: at}
}

func BenchmarkPut(b *testing.B) {
	w := benchWorld(b, 0)
	var next atomic.Int64
	b.ResetTimer()
	b.SetParallelism(1)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := w.store.Put(w.ctx, benchDeath(int(next.Add(1)))); err != nil {
				b.Error(err)
			}
		}
	})
	b.StopTimer()
	b.ReportMetric(w.memoryPerEntry(b), "redisB/entry")
}

// memoryPerEntry is what one entry takes in Redis, the payload included.
func (w *world) memoryPerEntry(b *testing.B) float64 {
	b.Helper()
	info, err := w.rdb.InfoMap(w.ctx, "memory").Result()
	w.ok(err)
	n, err := w.store.Count(w.ctx, Filter{})
	w.ok(err)
	memory := info["Memory"]
	used, err := strconv.Atoi(strings.TrimSpace(memory["used_memory_dataset"]))
	w.ok(err)
	overhead, err := strconv.Atoi(strings.TrimSpace(memory["used_memory_overhead"]))
	w.ok(err)
	startup, err := strconv.Atoi(strings.TrimSpace(memory["used_memory_startup"]))
	w.ok(err)
	return float64(used+overhead-startup) / float64(n)
}

func BenchmarkResend(b *testing.B) {
	w := benchWorld(b, 0)
	w.fill(b.N)
	var next atomic.Int64
	b.ResetTimer()
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := w.store.Resend(w.ctx, testApp, benchDeath(int(next.Add(1))).Task.ID, Actor{}); err != nil {
				b.Error(err)
			}
		}
	})
}

// BenchmarkRead shows that a page costs the same in a small store and in a
// large one.
func BenchmarkRead(b *testing.B) {
	for _, n := range []int{1_000, 50_000} {
		w := benchWorld(b, n)
		read := map[string]func() error{
			"page": func() error { _, err := w.store.List(w.ctx, Filter{}, "", 50); return err },
			"filtered": func() error {
				_, err := w.store.List(w.ctx, Filter{Class: errclass.ClassPermanent}, "", 50)
				return err
			},
			"causes": func() error { _, err := w.store.Causes(w.ctx, Filter{}); return err },
		}
		for _, name := range []string{"page", "filtered", "causes"} {
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				for b.Loop() {
					if err := read[name](); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
