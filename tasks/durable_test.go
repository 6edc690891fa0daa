package tasks

import (
	"context"
	"errors"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/imqueue/emq/tasks/redisserver"
	"github.com/imqueue/emq/tasks/redisserver/redistest"
)

func durableClient(t *testing.T, url string) *Client {
	t.Helper()
	rdb, err := OpenRedis(url)
	must(t, err)
	t.Cleanup(func() { _ = rdb.Close() })
	client, err := NewClient(ClientConfig{Redis: rdb, Durable: true})
	must(t, err)
	return client
}

// replicaOf starts a replica and waits until it follows.
func replicaOf(t *testing.T, master *redisserver.Server) *redisserver.Server {
	t.Helper()
	replica := redistest.Start(t, redisserver.Options{})
	rdb := redistest.Client(t, replica)
	host, port, _ := net.SplitHostPort(master.Addr())
	must(t, rdb.Do(context.Background(), "REPLICAOF", host, port).Err())
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		if info, _ := rdb.Info(context.Background(), "replication").Result(); strings.Contains(info, "master_link_status:up") {
			return replica
		}
		if time.Now().After(deadline) {
			t.Fatal("the replica does not follow")
		}
	}
}

func TestDurableWithAReplica(t *testing.T) {
	t.Parallel()
	master := redistest.Start(t, redisserver.Options{})
	replica := replicaOf(t, master)
	client, ctx := durableClient(t, master.URL()), context.Background()
	r, err := client.Enqueue(ctx, text("u1"), ID("a"))
	if err != nil || r.Durability == "" {
		t.Fatalf("durability %q, %v", r.Durability, err)
	}
	if n := redistest.Client(t, replica).Exists(ctx, TaskKey(r.Queue, "a")).Val(); r.Durability == DurabilityReplica && n != 1 {
		t.Error("the replica has not got it")
	}
	receipts, err := client.EnqueueMany(ctx, []Task{{Payload: text("u1")}, {Payload: GroupDelete{GroupID: "1"}, ProcessAt: time.Now().Add(time.Hour)}})
	must(t, err)
	for _, r := range receipts {
		if r.Err != nil || r.Durability == "" {
			t.Errorf("one of many: %+v", r)
		}
	}

	// A replica that is stopped takes nothing.
	pid := replica.Pid()
	must(t, syscall.Kill(pid, syscall.SIGSTOP))
	defer func() { _ = syscall.Kill(pid, syscall.SIGCONT) }()
	r, err = client.Enqueue(ctx, text("u1"), ID("b"))
	if r.Durability == DurabilityDisk {
		t.Skip("this Redis tells of its disk")
	}
	if !errors.Is(err, ErrNotDurable) || errors.Is(err, ErrMaybeQueued) || r.Durability != "" {
		t.Errorf("with the replica stopped: %q, %v", r.Durability, err)
	}
	if n := redistest.Client(t, master).Exists(ctx, TaskKey(r.Queue, "b")).Val(); n != 1 {
		t.Error("the error says that it is queued, and it is not")
	}
}

func TestDurableOnDisk(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redisserver.Options{Dir: t.TempDir(), AppendFsync: "always"})
	client, ctx := durableClient(t, server.URL()), context.Background()
	r, err := client.Enqueue(ctx, text("u1"), ID("a"))
	if err != nil || r.Durability != DurabilityDisk {
		t.Fatalf("durability %q, %v", r.Durability, err)
	}
	must(t, server.Kill())
	must(t, server.Restart(ctx))
	if n := redistest.Client(t, server).Exists(ctx, TaskKey(r.Queue, "a")).Val(); n != 1 {
		t.Error("it was said to be on disk, and is gone after a kill")
	}
}

func TestNotDurable(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redisserver.Options{}) // nothing on disk, no replica
	r, err := durableClient(t, server.URL()).Enqueue(context.Background(), text("u1"))
	if !errors.Is(err, ErrNotDurable) || r.Durability != "" || r.ID == "" {
		t.Errorf("durability %q, %v", r.Durability, err)
	}
}

func TestDurableOnCluster(t *testing.T) {
	t.Parallel()
	servers := redistest.Cluster(t, 3)
	client, ctx := durableClient(t, redistest.ClusterURL(servers)), context.Background()
	receipts, err := client.EnqueueMany(ctx, []Task{{Payload: text("u1")}, {Payload: GroupDelete{GroupID: "1"}}, {Payload: UserDelete{Username: "u1"}}})
	must(t, err)
	cluster := redistest.ClusterClient(t, servers)
	for _, r := range receipts {
		if !errors.Is(r.Err, ErrNotDurable) { // its masters have neither replicas nor files
			t.Errorf("%s: %v", r.Queue, r.Err)
		}
		if n := cluster.Exists(ctx, TaskKey(r.Queue, r.ID)).Val(); n != 1 {
			t.Errorf("%s: not queued", r.Queue)
		}
	}
}

// newer is a Redis that knows WAITAOF, which the one that is installed may not.
type newer struct {
	redis.Hook
	local int64
}

func (newer) DialHook(next redis.DialHook) redis.DialHook { return next }
func (n newer) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if n.answer(cmd) {
			return nil
		}
		return next(ctx, cmd)
	}
}

func (n newer) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		var rest []redis.Cmder
		for _, cmd := range cmds {
			if !n.answer(cmd) {
				rest = append(rest, cmd)
			}
		}
		return next(ctx, rest)
	}
}

func (n newer) answer(cmd redis.Cmder) bool {
	if !strings.EqualFold(cmd.Name(), "waitaof") {
		return false
	}
	cmd.SetErr(nil)
	cmd.(*redis.Cmd).SetVal([]any{n.local, int64(0)})
	return true
}

func TestWaitsForTheDiskWhereItCan(t *testing.T) {
	t.Parallel()
	for local, want := range map[int64]Durability{1: DurabilityDisk, 0: ""} {
		_, rdb := redistest.Mini(t)
		rdb.AddHook(newer{local: local})
		client, err := NewClient(ClientConfig{Redis: rdb, Durable: true})
		must(t, err)
		r, err := client.Enqueue(context.Background(), text("u1"))
		if r.Durability != want || (err == nil) != (want != "") {
			t.Errorf("WAITAOF says %d: durability %q, %v", local, r.Durability, err)
		}
	}
}
