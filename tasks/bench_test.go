package tasks

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"testing"

	"github.com/hibiken/asynq"

	"github.com/imqueue/emq/tasks/redisserver"
	"github.com/imqueue/emq/tasks/redisserver/redistest"
)

func BenchmarkEncode(b *testing.B) {
	task := goldenTask(samples()[KindMessageSend])
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
	for b.Loop() {
		if _, err := Decode(raw); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkEnqueue compares emq's client with a plain asynq client in a loop,
// on a real Redis without persistence. An operation is one task.
func BenchmarkEnqueue(b *testing.B) {
	ctx := context.Background()
	payload := samples()[KindMessageSend]
	perSecond := func(b *testing.B) { b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "tasks/s") }

	b.Run("asynq", func(b *testing.B) {
		client := asynq.NewClientFromRedisClient(redistest.Client(b, redistest.Start(b, redisserver.Options{})))
		raw, err := Encode(goldenTask(payload))
		if err != nil {
			b.Fatal(err)
		}
		b.ResetTimer()
		for i := range b.N {
			_, err := client.EnqueueContext(ctx, asynq.NewTask(string(KindMessageSend), raw),
				asynq.TaskID(fmt.Sprint(i)), asynq.Queue("default:messages.users:default"), asynq.MaxRetry(math.MaxInt32))
			if err != nil {
				b.Fatal(err)
			}
		}
		perSecond(b)
	})
	const callers = 64
	b.Run("asynq, 64 callers", func(b *testing.B) {
		client := asynq.NewClientFromRedisClient(redistest.Client(b, redistest.Start(b, redisserver.Options{})))
		raw, err := Encode(goldenTask(payload))
		if err != nil {
			b.Fatal(err)
		}
		b.SetParallelism(callers / runtime.GOMAXPROCS(0))
		b.ResetTimer()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				_, err := client.EnqueueContext(ctx, asynq.NewTask(string(KindMessageSend), raw),
					asynq.Queue("default:messages.users:default"), asynq.MaxRetry(math.MaxInt32))
				if err != nil {
					b.Error(err)
				}
			}
		})
		perSecond(b)
	})
	b.Run("emq, 64 callers", func(b *testing.B) {
		c := newClient(b, redistest.Client(b, redistest.Start(b, redisserver.Options{})))
		b.SetParallelism(callers / runtime.GOMAXPROCS(0))
		b.ResetTimer()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if _, err := c.Enqueue(ctx, payload); err != nil {
					b.Error(err)
				}
			}
		})
		perSecond(b)
	})
	for name, opts := range map[string]func(i int) []Option{
		"emq":         func(int) []Option { return nil },
		"emq with ID": func(i int) []Option { return []Option{ID(fmt.Sprint(i))} },
	} {
		b.Run(name, func(b *testing.B) {
			c := newClient(b, redistest.Client(b, redistest.Start(b, redisserver.Options{})))
			b.ResetTimer()
			for i := range b.N {
				if _, err := c.Enqueue(ctx, payload, opts(i)...); err != nil {
					b.Fatal(err)
				}
			}
			perSecond(b)
		})
	}
	for name, id := range map[string]func(i int) string{
		"emq, many":         func(int) string { return "" },
		"emq, many with ID": func(i int) string { return fmt.Sprint(i) },
	} {
		b.Run(name, func(b *testing.B) {
			c := newClient(b, redistest.Client(b, redistest.Start(b, redisserver.Options{})))
			const most = 2000
			b.ResetTimer()
			for done := 0; done < b.N; {
				list := make([]Task, min(most, b.N-done))
				for i := range list {
					list[i] = Task{ID: id(done + i), Payload: payload}
				}
				receipts, err := c.EnqueueMany(ctx, list)
				if err != nil {
					b.Fatal(err)
				}
				for _, r := range receipts {
					if r.Err != nil {
						b.Fatal(r.Err)
					}
				}
				done += len(list)
			}
			perSecond(b)
		})
	}
}
