package redistest

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/imqueue/emq/tasks/redisserver"
)

// sentinels is how many watch a master: two of them decide.
const sentinels = 3

// Sentinel runs a master with a replica, and three sentinels that make the replica master
// when the master is down for half a second, until the test ends. It returns both
// servers and the URL by which a client asks the sentinels. Where no redis-server is
// installed it does as Start does.
func Sentinel(t testing.TB, o redisserver.Options) (master, replica *redisserver.Server, rawURL string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	master, replica = Start(t, o), Start(t, o)
	host, port, _ := net.SplitHostPort(master.Addr())
	follow(ctx, t, Client(t, replica), host, port)

	binary, err := exec.LookPath("redis-server")
	if err != nil {
		t.Skipf("SKIPPED, NOT TESTED: sentinels need a redis-server: %v", err)
	}
	var addrs []string
	for range sentinels {
		own := freePort(t)
		file := filepath.Join(t.TempDir(), "sentinel.conf")
		conf := fmt.Sprintf("port %d\nbind 127.0.0.1\ndir %s\nsentinel monitor main %s %s 2\n"+
			"sentinel down-after-milliseconds main 500\nsentinel failover-timeout main 3000\n", own, filepath.Dir(file), host, port)
		if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(binary, file, "--sentinel")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
		addrs = append(addrs, fmt.Sprintf("127.0.0.1:%d", own))
	}
	for _, addr := range addrs {
		sentinel := redis.NewSentinelClient(&redis.Options{Addr: addr})
		await(ctx, t, "the sentinels to know each other and the replica", func() bool {
			known, err := sentinel.Master(ctx, "main").Result()
			return err == nil && known["num-other-sentinels"] == fmt.Sprint(sentinels-1) && known["num-slaves"] == "1"
		})
		_ = sentinel.Close()
	}
	query := url.Values{"master_name": {"main"}, "addr": addrs[1:]}
	return master, replica, "redis://" + addrs[0] + "?" + query.Encode()
}

// follow makes a server the replica of another one, and waits until it follows.
func follow(ctx context.Context, t testing.TB, replica redis.UniversalClient, host, port string) {
	t.Helper()
	if err := replica.Do(ctx, "REPLICAOF", host, port).Err(); err != nil {
		t.Fatal(err)
	}
	await(ctx, t, "the replica to follow", func() bool {
		info, _ := replica.Info(ctx, "replication").Result()
		return strings.Contains(info, "master_link_status:up")
	})
}

func await(ctx context.Context, t testing.TB, what string, met func() bool) {
	t.Helper()
	for !met() {
		if ctx.Err() != nil {
			t.Fatalf("waited in vain for %s", what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
