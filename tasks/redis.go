package tasks

import (
	"fmt"
	"net/url"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// clusterReload is how often a Cluster client reloads the topology. go-redis'
// own minute leaves a client on a dead master long after the failover.
const clusterReload = time.Second

// OpenRedis makes a Redis client from a URL. It does not connect.
//
//	redis://[user:password@]host:port[/db]           one server (rediss: TLS)
//	redis://host:port?master_name=NAME&addr=h2:p2    Sentinel
//	redis://host:port?cluster=true&addr=h2:p2        Cluster
//
// Every command is bounded by its context. Errors never show the password.
func OpenRedis(rawURL string) (redis.UniversalClient, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		// url.Parse quotes the whole URL, password included.
		return nil, &FieldError{Field: "redis URL", Bound: "is not a URL: want redis://host:port"}
	}
	query := u.Query()
	cluster := query.Get("cluster") == "true"
	if !cluster && query.Has("cluster") && query.Get("cluster") != "false" {
		return nil, fieldErr("redis URL", "cluster="+query.Get("cluster"), "must be true or false")
	}
	query.Del("cluster")
	u.RawQuery = query.Encode()

	// Announcements of a hosted Redis' maintenance cost goroutines and a command
	// that ACLs and older servers refuse; emq rides out a reconnect anyway.
	quiet := &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	refuse := func(err error) error {
		return &FieldError{Field: "redis URL", Value: u.Scheme + "://" + u.Host, Bound: fmt.Sprintf("can't be used: %v", err)}
	}
	switch {
	case query.Get("master_name") != "":
		opt, err := redis.ParseFailoverURL(u.String())
		if err != nil {
			return nil, refuse(err)
		}
		opt.ContextTimeoutEnabled = true
		return redis.NewFailoverClient(opt), nil
	case cluster:
		opt, err := redis.ParseClusterURL(u.String())
		if err != nil {
			return nil, refuse(err)
		}
		opt.ContextTimeoutEnabled, opt.MaintNotificationsConfig = true, quiet
		opt.ClusterStateReloadInterval = clusterReload
		return redis.NewClusterClient(opt), nil
	default:
		opt, err := redis.ParseURL(u.String())
		if err != nil {
			return nil, refuse(err)
		}
		opt.ContextTimeoutEnabled, opt.MaintNotificationsConfig = true, quiet
		return redis.NewClient(opt), nil
	}
}
