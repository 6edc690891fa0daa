// Package redistest gives tests a Redis: a real one of their own, or one in
// memory.
package redistest

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/imqueue/emq/tasks/redisserver"
)

// Start runs a redis-server until the test ends. Where none is installed, the
// test is skipped, or fails when the environment has CI=true.
func Start(t testing.TB, o redisserver.Options) *redisserver.Server {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	s, err := redisserver.Start(ctx, o)
	switch {
	case errors.Is(err, redisserver.ErrNotInstalled) && os.Getenv("CI") != "true":
		t.Skipf("SKIPPED, NOT TESTED: this test needs a real Redis: %v", err)
	case err != nil:
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// Client connects to a server that Start returned, until the test ends.
func Client(t testing.TB, s *redisserver.Server) redis.UniversalClient {
	t.Helper()
	return client(t, s.Addr())
}

// Mini runs a Redis in memory, with a client, until the test ends.
func Mini(t testing.TB) (*miniredis.Miniredis, redis.UniversalClient) {
	t.Helper()
	m := miniredis.RunT(t)
	return m, client(t, m.Addr())
}

func client(t testing.TB, addr string) redis.UniversalClient {
	t.Helper()
	rdb := redis.NewClient(&redis.Options{Addr: addr, ContextTimeoutEnabled: true})
	t.Cleanup(func() { _ = rdb.Close() })
	return rdb
}
