package redisserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// startTimeout bounds the time until the child answers; loading a large
	// append-only file may take longer and is bounded by the context alone.
	startTimeout = 15 * time.Second
	// stopTimeout is how long Stop waits before it kills.
	stopTimeout = 10 * time.Second
	// portTries is how often a free port is chosen again when somebody else
	// took it between the choice and the child's start.
	portTries = 10
	pollEvery = 5 * time.Millisecond
	lockFile  = "redis-server.lock"
)

var (
	// ErrNotInstalled is wrapped by Start's error when PATH holds no server.
	ErrNotInstalled = errors.New("neither redis-server nor valkey-server is in PATH")

	errPortTaken = errors.New("the port is taken")
)

// Options say how the server runs. The zero value is a server on a free port
// that keeps nothing.
type Options struct {
	// Dir holds the server's files and is made when absent. One server at a
	// time may use it. Empty: a temporary directory that Stop removes.
	Dir string
	// AppendFsync turns the append-only file on: "always", "everysec" or "no",
	// as in Redis' configuration. Empty: no persistence.
	AppendFsync string
	// Port on 127.0.0.1; 0 takes a free one.
	Port int
	// Args are further lines of configuration, such as "maxmemory 10mb". They
	// come last and so win over the package's own. They must not set a port, an
	// address or a password: Start would not reach the server.
	Args []string
}

func (o Options) validate() error {
	switch o.AppendFsync {
	case "", "no", "everysec", "always":
	default:
		return fmt.Errorf("appendfsync: %q: must be no, everysec or always, or empty for no persistence", o.AppendFsync)
	}
	if o.Port < 0 || o.Port > 65535 {
		return fmt.Errorf("port: %d: must be 0 to 65535", o.Port)
	}
	return nil
}

// A Server is a redis-server child process. It is safe for concurrent use.
type Server struct {
	binary  string
	options Options
	temp    bool // the directory is ours to remove

	mu    sync.Mutex
	port  int
	child *child
}

// Start starts a server and waits until it answers. ctx bounds the start alone:
// the server runs until Stop or Kill.
//
// It returns an error that wraps ErrNotInstalled when there is no server to
// start, and otherwise one that carries the last lines the server wrote.
func Start(ctx context.Context, o Options) (*Server, error) {
	if err := o.validate(); err != nil {
		return nil, fmt.Errorf("start redis-server: %w", err)
	}
	binary, err := find()
	if err != nil {
		return nil, fmt.Errorf("start redis-server: %w", err)
	}
	s := &Server{binary: binary, options: o, temp: o.Dir == ""}
	if s.temp {
		if s.options.Dir, err = os.MkdirTemp("", "emq-redis-"); err != nil {
			return nil, fmt.Errorf("start redis-server: %w", err)
		}
	}
	if err := s.startOnPort(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("start redis-server: %w", err), s.cleanUp())
	}
	return s, nil
}

// find looks for a server, the original first.
func find() (string, error) {
	for _, name := range []string{"redis-server", "valkey-server"} {
		if path, err := exec.LookPath(name); err == nil {
			return filepath.Abs(path)
		}
	}
	return "", ErrNotInstalled
}

// startOnPort starts the child on the port asked for, or on a free one.
func (s *Server) startOnPort(ctx context.Context) error {
	if s.options.Port != 0 {
		s.port = s.options.Port
		return s.start(ctx)
	}
	for try := 1; ; try++ {
		var err error
		if s.port, err = freePort(ctx); err != nil {
			return err
		}
		if err = s.start(ctx); !errors.Is(err, errPortTaken) || try == portTries {
			return err
		}
	}
}

func freePort(ctx context.Context) (int, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	port := l.Addr().(*net.TCPAddr).Port
	return port, l.Close()
}

// Addr is the server's address, "127.0.0.1:port".
func (s *Server) Addr() string { return "127.0.0.1:" + strconv.Itoa(s.port) }

// URL is the server's address as a redis:// URL.
func (s *Server) URL() string { return "redis://" + s.Addr() }

// Pid is the process id of the child that was started last.
func (s *Server) Pid() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.child.cmd.Process.Pid
}

// Stop asks the server to shut down, waits for it, and kills it when it has
// not ended after 10 s. It removes a temporary directory. Once the server is
// stopped, Stop does nothing.
func (s *Server) Stop() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.child.end(syscall.SIGTERM); err != nil {
		return fmt.Errorf("stop redis-server: %w", err)
	}
	return s.cleanUp()
}

// Kill ends the server with SIGKILL and waits until it is gone. Its files
// stay, for Restart, until Stop.
func (s *Server) Kill() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.child.end(syscall.SIGKILL); err != nil {
		return fmt.Errorf("kill redis-server: %w", err)
	}
	return nil
}

// Restart starts the server again after Kill or Stop, on the same port and in
// the same directory. (A temporary one is empty after Stop.) It does nothing
// while the server runs.
func (s *Server) Restart(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.child.ended() {
		return nil
	}
	if err := s.start(ctx); err != nil {
		return fmt.Errorf("restart redis-server: %w", err)
	}
	return nil
}

func (s *Server) cleanUp() error {
	if !s.temp {
		return nil
	}
	if err := os.RemoveAll(s.options.Dir); err != nil {
		return fmt.Errorf("remove redis-server's directory: %w", err)
	}
	return nil
}

// start starts a child on s.port and waits until it answers.
func (s *Server) start(ctx context.Context) error {
	if err := os.MkdirAll(s.options.Dir, 0o700); err != nil {
		return err
	}
	held, err := lockDir(ctx, s.options.Dir)
	if err != nil {
		return err
	}
	// The child inherits the lock, and keeps it until it ends.
	defer func() { _ = held.Close() }()
	child, err := startChild(s.binary, s.options.Dir, s.config(), held)
	if err != nil {
		return err
	}
	if err := s.awaitReady(ctx, child); err != nil {
		return errors.Join(err, child.end(syscall.SIGKILL))
	}
	s.child = child
	return nil
}

// lockDir keeps two servers from writing to the same files, which Redis itself
// does not. It waits a moment for the child of a killed server: a rewrite of
// the append-only file outlives it.
func lockDir(ctx context.Context, dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	deadline := time.Now().Add(2 * time.Second)
	for err = lock(f); err != nil; err = lock(f) {
		if ctx.Err() != nil || time.Now().After(deadline) {
			_ = f.Close()
			return nil, fmt.Errorf("directory %s is in use by another redis-server: %w", dir, err)
		}
		time.Sleep(pollEvery)
	}
	return f, nil
}

// config is the child's configuration file.
func (s *Server) config() string {
	lines := []string{
		"port " + strconv.Itoa(s.port),
		"bind 127.0.0.1",
		"daemonize no",
		`save ""`,
		"maxmemory-policy noeviction",
	}
	if s.options.AppendFsync != "" {
		lines = append(lines, "appendonly yes", "appendfsync "+s.options.AppendFsync)
	}
	return strings.Join(append(lines, s.options.Args...), "\n") + "\n"
}

// awaitReady waits until the child answers a PING. That somebody answers on the
// port is not enough: it may be the server that took the port first.
func (s *Server) awaitReady(ctx context.Context, c *child) error {
	rdb := redis.NewClient(&redis.Options{Addr: s.Addr(), MaxRetries: -1, ContextTimeoutEnabled: true, PoolSize: 1})
	defer func() { _ = rdb.Close() }()
	ownID := fmt.Sprintf("process_id:%d\r\n", c.cmd.Process.Pid)
	deadline := time.Now().Add(startTimeout)
	for {
		callCtx, cancel := context.WithTimeout(ctx, time.Second)
		info, err := rdb.Info(callCtx, "server").Result()
		own := strings.Contains(info, ownID)
		if err == nil && own {
			err = rdb.Ping(callCtx).Err()
		}
		cancel()
		switch {
		case err == nil && own:
			return nil
		case redis.HasErrorPrefix(err, "LOADING"):
			deadline = time.Now().Add(startTimeout)
		case time.Now().After(deadline):
			return fmt.Errorf("no answer after %v: %s", startTimeout, c.log)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-c.done:
			err := fmt.Errorf("it ended at once: %s", c.log)
			if c.log.contains("Address already in use") {
				return fmt.Errorf("%w: %w", errPortTaken, err)
			}
			return err
		case <-time.After(pollEvery):
		}
	}
}
