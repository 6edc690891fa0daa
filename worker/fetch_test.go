package worker

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/imqueue/emq/tasks"
	"github.com/imqueue/emq/tasks/redisserver/redistest"
)

// countCommands counts the commands that reach Redis, by name.
type countCommands struct {
	mu sync.Mutex
	n  map[string]int
}

func (c *countCommands) DialHook(next redis.DialHook) redis.DialHook { return next }
func (c *countCommands) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		c.add(cmd)
		return next(ctx, cmd)
	}
}

func (c *countCommands) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		c.add(cmds...)
		return next(ctx, cmds)
	}
}

func (c *countCommands) add(cmds ...redis.Cmder) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, cmd := range cmds {
		c.n[cmd.Name()]++
	}
}

func (c *countCommands) count(name string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n[name]
}

func TestFetches(t *testing.T) {
	t.Parallel()
	mini, rdb := redistest.Mini(t)
	ctx := context.Background()
	counted := &countCommands{n: map[string]int{}}
	rdb.AddHook(counted)
	f := &fetches{UniversalClient: rdb, empty: map[string]time.Time{}}
	script := redis.NewScript(`return redis.call("LPOP", KEYS[1])`) // stands for asynq's
	key := func(p tasks.Priority) string {
		return "asynq:{" + tasks.QueueName("shop", tasks.FamilyMessages, p) + "}" + pendingSuffix
	}
	fetch := func(p tasks.Priority) error {
		return script.Run(ctx, f, []string{key(p), "b", "c", "d"}).Err()
	}
	if err := fetch(tasks.High); !errors.Is(err, redis.Nil) { // loads the script, too
		t.Fatalf("fetch from an empty queue: %v", err)
	}

	// An idle family costs one look at all its queues for each time they are
	// looked at anew, and no script.
	before := counted.count("evalsha")
	for range 1000 {
		for _, p := range tasks.Priorities() {
			_ = fetch(p)
		}
	}
	if n := counted.count("evalsha") - before; n > 3 { // each queue's first
		t.Errorf("%d scripts for an idle family, want 3 at most", n)
	}

	// What arrives is found once the queue is looked at anew, and then fetched
	// without a look before each.
	time.Sleep(emptyFor)
	for range 10 {
		_, err := mini.Lpush(key(tasks.Low), "x")
		must(t, err)
	}
	looks := counted.count("llen")
	for i := range 10 {
		if err := fetch(tasks.Low); err != nil {
			t.Fatalf("fetch %d: %v", i, err)
		}
	}
	if n := counted.count("llen") - looks; n != 3 {
		t.Errorf("%d lengths asked for while there was work, want 3: once for each queue", n)
	}

	// A failure reaches asynq, and is not taken for an empty queue.
	time.Sleep(emptyFor)
	mini.SetError("OOM command not allowed")
	if err := fetch(tasks.Low); err == nil || errors.Is(err, redis.Nil) {
		t.Errorf("fetch from a broken Redis: %v, want its error", err)
	}
	mini.SetError("")
	// Scripts that fetch nothing pass.
	if got, err := redis.NewScript(`return 7`).Run(ctx, f, []string{"a", "b"}).Int(); err != nil || got != 7 {
		t.Errorf("another script: %d, %v", got, err)
	}
}
