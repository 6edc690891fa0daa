package tasks

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"

	"github.com/redis/go-redis/v9"
)

// ErrMaybeQueued is wrapped by the error for a task that was handed to Redis without an
// answer, so that it may be queued all the same. To repeat the enqueue under an ID of the
// caller's own is safe: it queues what is missing, or finds the task and returns
// [ErrDuplicate]. (A made-up ID is only known as taken while its task waits or is dead.)
// An error that wraps neither it nor [ErrNotDurable] means that this call queued nothing.
var ErrMaybeQueued = errors.New("may be queued all the same")

// notQueued and maybeQueued say in plain words what kept a task from being queued.
func notQueued(err error) error { return fmt.Errorf("not queued: %s: %w", plainly(err), err) }

func maybeQueued(err error) error {
	return fmt.Errorf("%w: %s: %w", ErrMaybeQueued, plainly(err), err)
}

// refusals are the error replies that an enqueue meets, by how they begin.
var refusals = []struct{ prefix, text string }{
	{"OOM", "Redis is full (maxmemory)"},
	{"READONLY", "this Redis is a replica, perhaps after a failover"},
	{"LOADING", "Redis is still loading its data"},
	{"MASTERDOWN", "this replica has lost its master"},
	{"CLUSTERDOWN", "the Redis Cluster is down"},
	{"TRYAGAIN", "a slot of the Redis Cluster is being moved"},
	{"ASK", "a slot of the Redis Cluster is being moved"},
	{"MOVED", "a slot of the Redis Cluster has moved"},
	{"MISCONF", "Redis can't write its data to disk"},
	{"NOREPLICAS", "Redis has too few replicas"},
	{"NOPERM", "the Redis user lacks a permission"},
	{"NOAUTH", "Redis wants a password"},
	{"WRONGPASS", "Redis refuses the user or password"},
}

func plainly(err error) string {
	for _, refusal := range refusals {
		if redis.HasErrorPrefix(err, refusal.prefix) {
			return refusal.text
		}
	}
	var dial *net.OpError
	switch {
	case refused(err):
		return "Redis refused the command"
	case errors.As(err, &dial) && dial.Op == "dial":
		return "Redis can't be reached"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return "Redis could not be reached or did not answer in time"
	case errors.Is(err, context.Canceled):
		return "given up by the caller"
	}
	return "the connection to Redis failed"
}

// refused says whether Redis answered with an error, and so did not run the command.
func refused(err error) bool {
	var reply redis.Error
	return errors.As(err, &reply) && !errors.Is(err, redis.Nil)
}

// A writeLog is an argument of a command that notes when go-redis writes the command,
// which it may do several times before it returns: that the last time Redis could not be
// reached, or refused, says nothing of the times before.
type writeLog struct {
	arg     any // a string or []byte
	cmd     *redis.Cmd
	written bool
	lost    bool // written before, without having been refused
}

// MarshalBinary is called each time that the argument is written.
func (w *writeLog) MarshalBinary() ([]byte, error) {
	if w.written && !refused(w.cmd.Err()) {
		w.lost = true
	}
	w.written = true
	if text, ok := w.arg.(string); ok {
		return []byte(text), nil
	}
	raw, ok := w.arg.([]byte)
	if !ok {
		return nil, fmt.Errorf("argument of type %T", w.arg)
	}
	return raw, nil
}

// sentAs notes that the next time it is sent, Redis will answer with cmd.
func (w *writeLog) sentAs(cmd *redis.Cmd) {
	if w.written && !refused(w.cmd.Err()) {
		w.lost = true
	}
	w.written, w.cmd = false, cmd
}

// failure says what became of a command that failed with err.
func (w *writeLog) failure(err error) error {
	if w.lost || w.written && !refused(err) {
		return maybeQueued(err)
	}
	return notQueued(err)
}
