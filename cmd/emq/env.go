package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/imqueue/emq/dlq"
	"github.com/imqueue/emq/tasks"
)

// reachTimeout bounds the first round trip to Redis.
const reachTimeout = 5 * time.Second

// env is what commands reach the world through. Tests make their own.
type env struct {
	in                    io.Reader
	out, err              io.Writer
	inTTY, outTTY, errTTY bool
	environ               []string // NAME=value
	now                   func() time.Time

	closers []func() error
}

// systemEnv is the environment of this process.
func systemEnv() *env {
	return &env{
		in: os.Stdin, out: os.Stdout, err: os.Stderr,
		inTTY: isTerminal(os.Stdin), outTTY: isTerminal(os.Stdout), errTTY: isTerminal(os.Stderr),
		environ: os.Environ(),
		now:     time.Now,
	}
}

func isTerminal(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }

// say writes a line about what happens to standard error.
func (e *env) say(format string, args ...any) { _, _ = fmt.Fprintf(e.err, format+"\n", args...) }

// close closes what commands opened, the latest first.
func (e *env) close() {
	for i := len(e.closers) - 1; i >= 0; i-- {
		_ = e.closers[i]()
	}
	e.closers = nil
}

// config reads the settings for a command.
func (e *env) config(cmd *cobra.Command) (*config, error) {
	cfg, err := loadConfig(cmd.Context(), cmd.Flags(), e.environ)
	if err != nil {
		return nil, &usageError{err}
	}
	return cfg, nil
}

// backend is what a command that looks into the queues works with.
type backend struct {
	cfg    *config
	redis  redis.UniversalClient
	client *tasks.Client
	store  *dlq.Store
}

// backend connects to Redis and makes sure that it answers. The connection
// lasts until e is closed.
func (e *env) backend(cmd *cobra.Command) (*backend, error) {
	b, err := e.open(cmd)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), reachTimeout)
	defer cancel()
	if err := b.redis.Ping(ctx).Err(); err != nil {
		return nil, fmt.Errorf("reach Redis at %s: %w", redactURL(b.cfg.RedisURL), err)
	}
	return b, nil
}

// open makes what a command works with, without connecting yet: for a server,
// which starts and says so while Redis is away.
func (e *env) open(cmd *cobra.Command) (*backend, error) {
	cfg, err := e.config(cmd)
	if err != nil {
		return nil, err
	}
	b := &backend{cfg: cfg}
	if b.redis, err = tasks.OpenRedis(cfg.RedisURL); err != nil {
		return nil, &usageError{err}
	}
	e.closers = append(e.closers, b.redis.Close)
	if b.client, err = tasks.NewClient(tasks.ClientConfig{Redis: b.redis, App: cfg.appOrDefault()}); err != nil {
		return nil, err
	}
	if b.store, err = dlq.New(dlq.Config{Redis: b.redis, Client: b.client, Now: e.now}); err != nil {
		return nil, err
	}
	return b, nil
}

// actor is who runs the command, for the history of what it changes.
func (e *env) actor(reason string) dlq.Actor {
	name := "unknown"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	return dlq.Actor{Name: name, Note: reason}
}

// asUsage marks the error for a value that the command line gave.
func asUsage(err error) error {
	var field *tasks.FieldError
	if errors.As(err, &field) {
		return &usageError{err}
	}
	return err
}
