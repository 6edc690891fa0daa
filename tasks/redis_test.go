package tasks

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/imqueue/emq/tasks/redisserver"
	"github.com/imqueue/emq/tasks/redisserver/redistest"
)

func TestOpenRedis(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, redisserver.Options{})
	if err := redistest.Client(t, s).ConfigSet(t.Context(), "requirepass", "s3cret").Err(); err != nil {
		t.Fatal(err)
	}
	rdb, err := OpenRedis("redis://:s3cret@" + s.Addr() + "/3")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rdb.Close() }()
	if err := rdb.Ping(t.Context()).Err(); err != nil {
		t.Error(err)
	}
	wrong, err := OpenRedis("redis://:wr0ng@" + s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = wrong.Close() }()
	if err := wrong.Ping(t.Context()).Err(); err == nil || strings.Contains(err.Error(), "wr0ng") {
		t.Errorf("wrong password: %v", err)
	}
}

func TestOpenRedisForms(t *testing.T) {
	t.Parallel()
	open := func(url string) redis.UniversalClient {
		t.Helper()
		rdb, err := OpenRedis(url)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = rdb.Close() })
		return rdb
	}
	for url, tls := range map[string]bool{
		"redis://user:pw@h1:6380/2":                true,
		"rediss://user:pw@h1:6380/2":               false,
		"redis://user:pw@h1:6380/2?cluster=false":  true,
		"redis://user:pw@h1:6380?db=2&pool_size=7": true,
	} {
		opt := open(url).(*redis.Client).Options()
		if opt.Addr != "h1:6380" || opt.DB != 2 || opt.Username != "user" || opt.Password != "pw" ||
			!opt.ContextTimeoutEnabled || (opt.TLSConfig == nil) != tls {
			t.Errorf("%s: %+v", url, opt)
		}
	}
	cluster := open("redis://user:pw@h1:7000?cluster=true&addr=h2:7001&addr=h3:7002").(*redis.ClusterClient).Options()
	if len(cluster.Addrs) != 3 || !cluster.ContextTimeoutEnabled || cluster.ClusterStateReloadInterval != time.Second || cluster.Password != "pw" {
		t.Errorf("cluster: %+v", cluster)
	}
	failover := open("redis://h1:26379?master_name=mymaster&addr=h2:26379").(*redis.Client).Options()
	if !failover.ContextTimeoutEnabled || failover.Addr != "FailoverClient" {
		t.Errorf("sentinel: %+v", failover)
	}
}

func TestOpenRedisRefusesWithoutShowingPasswords(t *testing.T) {
	t.Parallel()
	for url, text := range map[string]string{
		"":                                      "redis URL",
		"127.0.0.1:6379":                        "redis://host:port",
		"http://u:s3cret@h1":                    "http://h1",
		"u:s3cret@h1:6379":                      "scheme",
		"redis://u:s3cret@h1:6379/x":            "redis://h1:6379",
		"redis://u:s3cret@h1:port":              "redis://host:port",
		"redis://u:s3cret%zz@h1":                "redis://host:port",
		"redis://u:s3cret@h1?nonsense=1":        "nonsense",
		"redis://u:s3cret@h1?cluster=1":         "must be true or false",
		"redis://u:s3cret@h1?read_timeout=soon": "read_timeout",
		"redis://h1?master_name=m&password=s3cret&pool_size=many":       "pool_size",
		"redis://u:s3cret@h1:7000?cluster=true&addr=no-port&bad=s3cret": "addr",
	} {
		rdb, err := OpenRedis(url)
		if err == nil {
			_ = rdb.Close()
			t.Errorf("%s: opened", url)
			continue
		}
		if _, ok := errors.AsType[*FieldError](err); !ok || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: %v, want a *FieldError with %q", url, err, text)
		}
		if strings.Contains(err.Error(), "s3cret") {
			t.Errorf("error shows the password: %v", err)
		}
	}
}
