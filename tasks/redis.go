package tasks

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"os"
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
// With rediss, the server's certificate is always verified: by the system's
// authorities or, with ca_file=PATH, by those of a PEM file alone. cert_file=PATH and
// key_file=PATH are this client's own certificate.
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
	trust, err := tlsFiles(u.Scheme, query)
	if err != nil {
		return nil, err
	}
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
		trust(opt.TLSConfig)
		return redis.NewFailoverClient(opt), nil
	case cluster:
		opt, err := redis.ParseClusterURL(u.String())
		if err != nil {
			return nil, refuse(err)
		}
		opt.ContextTimeoutEnabled, opt.MaintNotificationsConfig = true, quiet
		opt.ClusterStateReloadInterval = clusterReload
		trust(opt.TLSConfig)
		return redis.NewClusterClient(opt), nil
	default:
		opt, err := redis.ParseURL(u.String())
		if err != nil {
			return nil, refuse(err)
		}
		opt.ContextTimeoutEnabled, opt.MaintNotificationsConfig = true, quiet
		trust(opt.TLSConfig)
		return redis.NewClient(opt), nil
	}
}

// tlsFiles takes the files out of a URL's parameters that say whom to trust and who this
// client is, and returns what puts them into a configuration; nil is one without TLS.
func tlsFiles(scheme string, query url.Values) (trust func(*tls.Config), _ error) {
	files := map[string]string{}
	for _, name := range []string{"ca_file", "cert_file", "key_file"} {
		path := query.Get(name)
		if !query.Has(name) {
			continue
		}
		query.Del(name)
		if scheme != "rediss" {
			return nil, fieldErr("redis URL", name+"="+path, "goes with rediss:// alone")
		}
		if path == "" {
			return nil, fieldErr("redis URL", name+"=", "must be the path of a file")
		}
		files[name] = path
	}
	var authorities *x509.CertPool
	if path := files["ca_file"]; path != "" {
		pem, err := os.ReadFile(path)
		if err != nil {
			return nil, fieldErr("redis URL", "ca_file="+path, "can't be read: "+unreadable(err))
		}
		authorities = x509.NewCertPool()
		if !authorities.AppendCertsFromPEM(pem) {
			return nil, fieldErr("redis URL", "ca_file="+path, "has no certificate in PEM")
		}
	}
	var own []tls.Certificate
	if cert, key := files["cert_file"], files["key_file"]; cert != "" || key != "" {
		if cert == "" || key == "" {
			return nil, fieldErr("redis URL", "cert_file="+cert+"&key_file="+key, "go together")
		}
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			return nil, fieldErr("redis URL", "cert_file="+cert+"&key_file="+key, "can't be used: "+unreadable(err))
		}
		own = append(own, pair)
	}
	return func(cfg *tls.Config) {
		if cfg != nil {
			cfg.RootCAs, cfg.Certificates, cfg.MinVersion = authorities, own, tls.VersionTLS12
		}
	}, nil
}

// unreadable is why a file can't be used, without its path, which is told already.
func unreadable(err error) string {
	if file, is := errors.AsType[*os.PathError](err); is {
		return file.Err.Error()
	}
	return err.Error()
}
