package tasks

import (
	"context"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/imqueue/emq/tasks/redisserver"
	"github.com/imqueue/emq/tasks/redisserver/redistest"
)

// TestRecorder pins what the recorder relies on in asynq. When it fails after
// an update of asynq, record.go must follow.
func TestRecorder(t *testing.T) {
	t.Parallel()
	due := time.Now().Add(time.Hour).Truncate(time.Second)
	for name, tc := range map[string]struct {
		opts []asynq.Option
		list string // where the ID is then
	}{
		"pending":   {nil, "pending"},
		"scheduled": {[]asynq.Option{asynq.ProcessAt(due)}, "scheduled"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const queue, id = "default:messages.users:default", "order-8812"
			opts := append([]asynq.Option{
				asynq.TaskID(id), asynq.Queue(queue), asynq.MaxRetry(math.MaxInt32), asynq.Timeout(callTimeout),
			}, tc.opts...)
			newTask := func() *asynq.Task { return asynq.NewTask("message.send", []byte("the payload \x00\xff")) }

			// What asynq's own client leaves behind.
			plain := redistest.Client(t, redistest.Start(t, redisserver.Options{}))
			if _, err := asynq.NewClientFromRedisClient(plain).Enqueue(newTask(), opts...); err != nil {
				t.Fatal(err)
			}

			// The recorder has no Redis at all: any call but those it knows would panic.
			record := &recorder{}
			client := asynq.NewClientFromRedisClient(record)
			capture := func() recorded {
				t.Helper()
				rec, err := record.capture(t.Context(), func(ctx context.Context) error {
					_, err := client.EnqueueContext(ctx, newTask(), opts...)
					return err
				})
				if err != nil {
					t.Fatal(err)
				}
				return rec
			}
			capture()        // the first call shows the source
			rec := capture() // the second comes by its hash
			if rec.hash != redis.NewScript(rec.source).Hash() {
				t.Errorf("hash %s is not the source's", rec.hash)
			}
			if immediate := tc.list == "pending"; rec.immediate() != immediate {
				t.Errorf("immediate: %v, for the script %s; asynq has another one now", rec.immediate(), rec.source)
			}
			equal(t, "keys", rec.keys, []string{TaskKey(queue, id), "asynq:{" + queue + "}:" + tc.list})
			for _, key := range rec.keys {
				if !strings.Contains(key, "{"+queue+"}") {
					t.Errorf("%s is not in the slot of its queue", key)
				}
			}

			// Run, the recorded call leaves the same behind.
			ours := redistest.Client(t, redistest.Start(t, redisserver.Options{}))
			pipe := ours.Pipeline()
			pipe.SAdd(t.Context(), queuesKey, queue)
			first := rec.eval(t.Context(), pipe)
			second := rec.evalSHA(t.Context(), pipe)
			if _, err := pipe.Exec(t.Context()); err != nil {
				t.Fatal(err)
			}
			if a, _ := first.Int64(); a != 1 {
				t.Errorf("answer %v, want 1 for queued", first)
			}
			if a, err := second.Int64(); a != 0 || err != nil {
				t.Errorf("answer %v, want 0 for an ID that exists", second)
			}
			equal(t, "everything in Redis", dump(t, ours), dump(t, plain))
		})
	}
}

// dump reads all of a Redis, but for the time of the enqueue.
func dump(t *testing.T, rdb redis.UniversalClient) map[string]any {
	t.Helper()
	all := map[string]any{}
	keys, err := rdb.Keys(t.Context(), "*").Result()
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range keys {
		switch kind := rdb.Type(t.Context(), key).Val(); kind {
		case "hash":
			fields := rdb.HGetAll(t.Context(), key).Val()
			if fields["pending_since"] != "" {
				fields["pending_since"] = "some time"
			}
			all[key] = fields
		case "list":
			all[key] = rdb.LRange(t.Context(), key, 0, -1).Val()
		case "zset":
			all[key] = rdb.ZRangeWithScores(t.Context(), key, 0, -1).Val()
		case "set":
			members := rdb.SMembers(t.Context(), key).Val()
			slices.Sort(members)
			all[key] = members
		default:
			t.Fatalf("%s is a %s", key, kind)
		}
		if ttl := rdb.TTL(t.Context(), key).Val(); ttl > 0 {
			t.Errorf("%s expires in %v", key, ttl)
		}
	}
	return all
}

func TestRecorderRefusesAWayItDoesNotKnow(t *testing.T) {
	t.Parallel()
	if _, err := (&recorder{}).capture(t.Context(), func(context.Context) error { return nil }); err == nil {
		t.Error("no call was recorded, yet no error")
	}
}

// TestClientStoresWhatAsynqWould compares a whole enqueue with asynq's own.
func TestClientStoresWhatAsynqWould(t *testing.T) {
	t.Parallel()
	ours := redistest.Client(t, redistest.Start(t, redisserver.Options{}))
	plain := redistest.Client(t, redistest.Start(t, redisserver.Options{}))
	receipt, err := newClient(t, ours).Enqueue(t.Context(), text("x"))
	if err != nil {
		t.Fatal(err)
	}
	info, _ := queued(t, ours, receipt.ID)
	_, err = asynq.NewClientFromRedisClient(plain).Enqueue(asynq.NewTask(info.Type, info.Payload),
		asynq.TaskID(receipt.ID), asynq.Queue(receipt.Queue), asynq.MaxRetry(math.MaxInt32), asynq.Timeout(callTimeout))
	if err != nil {
		t.Fatal(err)
	}
	want := dump(t, plain)
	want[AppsKey] = []string{"default"}
	must(t, ours.Del(t.Context(), append(ours.Keys(t.Context(), "asynq:*:pushed:*").Val(), newsKey(receipt.Queue))...).Err()) // emq's own notes
	equal(t, "everything in Redis", dump(t, ours), want)
}
