package redistest

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/imqueue/emq/tasks/redisserver"
)

// slots is how many hash slots a Cluster has.
const slots = 16384

// Cluster runs a Redis Cluster of so many masters until the test ends. It makes a replica
// master when its master is away for a second. Where no redis-server is installed it does as
// Start does.
func Cluster(t testing.TB, masters int) []*redisserver.Server {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	servers := make([]*redisserver.Server, masters)
	for i := range masters {
		servers[i] = clusterNode(t)
		node := Client(t, servers[i])
		if err := node.ClusterAddSlotsRange(ctx, i*slots/masters, (i+1)*slots/masters-1).Err(); err != nil {
			t.Fatal(err)
		}
		// Else they may begin with the same epoch, and take time to agree.
		if err := node.Do(ctx, "CLUSTER", "SET-CONFIG-EPOCH", i+1).Err(); err != nil {
			t.Fatal(err)
		}
		if i > 0 {
			meet(ctx, t, servers[0], node)
		}
	}
	agree(ctx, t, servers)
	return servers
}

// ClusterReplica adds a replica of one of a Cluster's masters, until the test ends.
func ClusterReplica(t testing.TB, servers []*redisserver.Server, master *redisserver.Server) *redisserver.Server {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	replica := clusterNode(t)
	node := Client(t, replica)
	meet(ctx, t, servers[0], node)
	agree(ctx, t, append(slices.Clone(servers), replica))
	if err := node.ClusterReplicate(ctx, clusterID(ctx, t, master)).Err(); err != nil {
		t.Fatal(err)
	}
	await(ctx, t, "the replica to follow", func() bool {
		info, _ := node.Info(ctx, "replication").Result()
		return strings.Contains(info, "master_link_status:up")
	})
	return replica
}

// MoveSlot moves a hash slot from one master of a Cluster to another one, key by key, with
// a pause after each: meanwhile some of its keys are here and some there. It moves what is
// there when it begins, and what comes while it does.
func MoveSlot(t testing.TB, servers []*redisserver.Server, slot int64, from, to *redisserver.Server, pause time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	source, target := Client(t, from), Client(t, to)
	fromID, toID := clusterID(ctx, t, from), clusterID(ctx, t, to)
	host, port, _ := net.SplitHostPort(to.Addr())
	do := func(node redis.UniversalClient, args ...any) {
		t.Helper()
		if err := node.Do(ctx, args...).Err(); err != nil {
			t.Fatalf("%v: %v", args, err)
		}
	}
	do(target, "CLUSTER", "SETSLOT", slot, "IMPORTING", fromID)
	do(source, "CLUSTER", "SETSLOT", slot, "MIGRATING", toID)
	for {
		keys, err := source.ClusterGetKeysInSlot(ctx, int(slot), 1).Result()
		if err != nil {
			t.Fatal(err)
		}
		if len(keys) == 0 {
			break
		}
		do(source, "MIGRATE", host, port, keys[0], 0, 5000) // one that has gone meanwhile is no error
		time.Sleep(pause)
	}
	do(target, "CLUSTER", "SETSLOT", slot, "NODE", toID)
	do(source, "CLUSTER", "SETSLOT", slot, "NODE", toID)
	for _, other := range servers {
		if other != from && other != to {
			do(Client(t, other), "CLUSTER", "SETSLOT", slot, "NODE", toID)
		}
	}
}

// clusterNode starts a server that is a Cluster of its own.
func clusterNode(t testing.TB) *redisserver.Server {
	t.Helper()
	// By default the nodes' own port is that of the clients and 10000, which may be none.
	return Start(t, redisserver.Options{Args: []string{
		"cluster-enabled yes", "cluster-config-file nodes.conf", fmt.Sprintf("cluster-port %d", freePort(t)), "cluster-node-timeout 1000",
	}})
}

func meet(ctx context.Context, t testing.TB, known *redisserver.Server, node redis.UniversalClient) {
	t.Helper()
	host, port, _ := net.SplitHostPort(known.Addr())
	if err := node.Do(ctx, "CLUSTER", "MEET", host, port, busPort(ctx, t, Client(t, known))).Err(); err != nil {
		t.Fatal(err)
	}
}

// agree waits until each knows all the others.
func agree(ctx context.Context, t testing.TB, servers []*redisserver.Server) {
	t.Helper()
	for _, server := range servers {
		node := Client(t, server)
		await(ctx, t, "the nodes of the cluster to agree", func() bool {
			info, _ := node.ClusterInfo(ctx).Result()
			return strings.Contains(info, "cluster_state:ok") && strings.Contains(info, fmt.Sprintf("cluster_known_nodes:%d\r\n", len(servers)))
		})
	}
}

func clusterID(ctx context.Context, t testing.TB, server *redisserver.Server) string {
	t.Helper()
	id, err := Client(t, server).ClusterMyID(ctx).Result()
	if err != nil {
		t.Fatal(err)
	}
	return id
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

// ClusterURL is by which a client reaches the cluster.
func ClusterURL(servers []*redisserver.Server) string {
	query := url.Values{"cluster": {"true"}}
	for _, server := range servers[1:] {
		query.Add("addr", server.Addr())
	}
	return servers[0].URL() + "?" + query.Encode()
}

// ClusterClient connects to a cluster, until the test ends. It hears of moved slots as soon
// as emq's own clients do.
func ClusterClient(t testing.TB, servers []*redisserver.Server) redis.UniversalClient {
	t.Helper()
	opt, err := redis.ParseClusterURL(strings.Replace(ClusterURL(servers), "cluster=true", "", 1))
	if err != nil {
		t.Fatal(err)
	}
	opt.ContextTimeoutEnabled, opt.ClusterStateReloadInterval = true, time.Second
	rdb := redis.NewClusterClient(opt)
	t.Cleanup(func() { _ = rdb.Close() })
	return rdb
}
