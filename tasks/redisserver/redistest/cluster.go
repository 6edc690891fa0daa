package redistest

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/imqueue/emq/tasks/redisserver"
)

// slots is how many hash slots a Cluster has.
const slots = 16384

// Cluster runs a Redis Cluster of so many masters until the test ends, and returns
// their addresses. Where no redis-server is installed it does as Start does.
func Cluster(t testing.TB, masters int) []string {
	t.Helper()
	addrs := make([]string, masters)
	nodes := make([]redis.UniversalClient, masters)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for i := range masters {
		// By default the nodes' own port is that of the clients and 10000, which may be
		// none.
		server := Start(t, redisserver.Options{Args: []string{
			"cluster-enabled yes", "cluster-config-file nodes.conf", fmt.Sprintf("cluster-port %d", freePort(t)),
		}})
		addrs[i], nodes[i] = server.Addr(), Client(t, server)
		if err := nodes[i].ClusterAddSlotsRange(ctx, i*slots/masters, (i+1)*slots/masters-1).Err(); err != nil {
			t.Fatal(err)
		}
		// Else they may begin with the same epoch, and take time to agree.
		if err := nodes[i].Do(ctx, "CLUSTER", "SET-CONFIG-EPOCH", i+1).Err(); err != nil {
			t.Fatal(err)
		}
	}
	for i := 1; i < masters; i++ {
		host, port, _ := net.SplitHostPort(addrs[0])
		if err := nodes[i].Do(ctx, "CLUSTER", "MEET", host, port, busPort(ctx, t, nodes[0])).Err(); err != nil {
			t.Fatal(err)
		}
	}
	for i, node := range nodes {
		for {
			info, err := node.ClusterInfo(ctx).Result()
			if err == nil && strings.Contains(info, "cluster_state:ok") && strings.Contains(info, fmt.Sprintf("cluster_known_nodes:%d", masters)) {
				break
			}
			if ctx.Err() != nil {
				t.Fatalf("node %d of the cluster did not come up: %s %v", i, info, err)
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	return addrs
}

// busPort is the port by which the nodes of a cluster talk to a node.
func busPort(ctx context.Context, t testing.TB, node redis.UniversalClient) string {
	t.Helper()
	values, err := node.ConfigGet(ctx, "cluster-port").Result()
	if err != nil {
		t.Fatal(err)
	}
	return values["cluster-port"]
}

func freePort(t testing.TB) int {
	t.Helper()
	var lc net.ListenConfig
	l, err := lc.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port
}

// ClusterClient connects to the cluster at these addresses, until the test ends. It
// hears of moved slots as soon as emq's own clients do.
func ClusterClient(t testing.TB, addrs []string) redis.UniversalClient {
	t.Helper()
	rdb := redis.NewClusterClient(&redis.ClusterOptions{Addrs: addrs, ContextTimeoutEnabled: true, ClusterStateReloadInterval: time.Second})
	t.Cleanup(func() { _ = rdb.Close() })
	return rdb
}
