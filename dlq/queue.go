package dlq

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/imqueue/emq/tasks"
)

// A Queue is the state of one queue.
type Queue struct {
	Name      string         `json:"name"`
	App       string         `json:"app"`
	Endpoint  tasks.Endpoint `json:"endpoint"`
	Priority  tasks.Priority `json:"priority"`
	Pending   int            `json:"pending"`   // due, waiting for a worker
	Active    int            `json:"active"`    // at work
	Scheduled int            `json:"scheduled"` // planned for later
	Retry     int            `json:"retry"`     // waiting for their next attempt
	Archived  int            `json:"archived"`  // given up by asynq, to be adopted by the next sweep
	Paused    bool           `json:"paused"`
	// PausedBy is "operator", "hold" (and no operator), or empty: not paused, or
	// by somebody else's tool.
	PausedBy string `json:"paused_by,omitempty"`
	Pause    *Event `json:"pause,omitempty"` // the operator's, when there is one
	// Latency is how long the oldest pending task has been due.
	Latency time.Duration `json:"-"`
}

// What Queue.PausedBy says.
const (
	PausedByOperator = "operator"
	PausedByHold     = "hold"
)

const actionPause = "pause"

// Queues describes the queues of the apps, or of all apps that were ever used
// when none is given: those that were ever used, and those that an operator
// paused before. Its cost does not grow with what the queues hold.
func (s *Store) Queues(ctx context.Context, apps ...string) ([]Queue, error) {
	apps, err := s.someApps(ctx, apps)
	if err != nil {
		return nil, err
	}
	used, err := s.usedQueues(ctx)
	if err != nil {
		return nil, fmt.Errorf("list queues: %w", err)
	}
	var queues []Queue
	for _, app := range apps {
		reasons, err := s.reasons(ctx, app)
		if err != nil {
			return nil, fmt.Errorf("list queues of %s: %w", app, err)
		}
		names := slices.DeleteFunc(tasks.QueueNames(app), func(queue string) bool {
			_, isUsed := used[queue]
			_, paused := reasons.operators[queue]
			return !isUsed && !paused
		})
		sizes, err := s.sizes(ctx, names)
		if err != nil {
			return nil, fmt.Errorf("list queues of %s: %w", app, err)
		}
		for i, q := range sizes {
			q.Name = names[i]
			q.App, q.Endpoint, q.Priority, _ = tasks.ParseQueueName(q.Name)
			_, held := reasons.hold(q.Name)
			event, byOperator := reasons.operators[q.Name]
			switch {
			case byOperator:
				q.PausedBy, q.Pause = PausedByOperator, &event
			case held:
				q.PausedBy = PausedByHold
			}
			queues = append(queues, q)
		}
	}
	return queues, nil
}

// usedQueues are the queues that ever held a task, of all apps and of other users
// of asynq. An app may have many more, which nobody should have to ask about.
func (s *Store) usedQueues(ctx context.Context) (map[string]struct{}, error) {
	return s.redis.SMembersMap(ctx, registerKey).Result()
}

// sizes asks asynq's keys rather than its Inspector, which measures memory as
// well and fails for a queue whose archive is broken.
func (s *Store) sizes(ctx context.Context, names []string) ([]Queue, error) {
	type answer struct {
		pending, active, scheduled, retry, archived, paused *redis.IntCmd
		oldest                                              *redis.StringCmd
	}
	answers := make([]answer, len(names))
	pipe := s.redis.Pipeline()
	for i, name := range names {
		answers[i] = answer{
			pending:   pipe.LLen(ctx, queueKey(name, "pending")),
			active:    pipe.LLen(ctx, queueKey(name, "active")),
			scheduled: pipe.ZCard(ctx, queueKey(name, "scheduled")),
			retry:     pipe.ZCard(ctx, queueKey(name, "retry")),
			archived:  pipe.ZCard(ctx, queueKey(name, "archived")),
			paused:    pipe.Exists(ctx, queueKey(name, "paused")),
			oldest:    pipe.LIndex(ctx, queueKey(name, "pending"), -1),
		}
	}
	if err := execute(ctx, pipe); err != nil {
		return nil, err
	}
	since := make([]*redis.StringCmd, len(names))
	pipe = s.redis.Pipeline()
	for i, name := range names {
		if id := answers[i].oldest.Val(); id != "" {
			since[i] = pipe.HGet(ctx, tasks.TaskKey(name, id), "pending_since")
		}
	}
	if err := execute(ctx, pipe); err != nil {
		return nil, err
	}
	queues := make([]Queue, len(names))
	for i, a := range answers {
		queues[i] = Queue{
			Pending: int(a.pending.Val()), Active: int(a.active.Val()), Scheduled: int(a.scheduled.Val()),
			Retry: int(a.retry.Val()), Archived: int(a.archived.Val()), Paused: a.paused.Val() == 1,
		}
		if since[i] == nil {
			continue
		}
		if ns, err := strconv.ParseInt(since[i].Val(), 10, 64); err == nil && ns > 0 {
			queues[i].Latency = max(0, s.now().Sub(time.Unix(0, ns)))
		}
	}
	return queues, nil
}

// Pause stops a queue until Resume: no task of it is taken any more, those at
// work go on. It may be repeated; the first call's actor is kept. Errors: one
// that wraps ErrNotFound for a queue that is not emq's or whose app was never
// used, or a failure of Redis.
func (s *Store) Pause(ctx context.Context, queue string, by Actor) error {
	app, err := s.knownQueue(ctx, queue)
	if err != nil {
		return fmt.Errorf("pause %s: %w", queue, err)
	}
	value, err := marshalJSON(Event{
		At: s.now().UTC().Truncate(time.Millisecond), Action: actionPause,
		By: tasks.Printable(by.Name, wordMax), Note: tasks.Printable(by.Note, noteMax),
	})
	if err != nil {
		return fmt.Errorf("pause %s: %w", queue, err)
	}
	line := s.auditLine(ActionPause, app, queue, 1, by)
	if err := onceScript.Run(ctx, s.redis, []string{pausedKey(app), auditKey(app)}, queue, value, line, auditMax).Err(); err != nil {
		return fmt.Errorf("pause %s: %w", queue, err)
	}
	if _, err := s.settle(ctx, app, []string{queue}); err != nil {
		return fmt.Errorf("pause %s: %w", queue, err)
	}
	return nil
}

// Resume lets a queue run again, whoever paused it; one that runs stays so. Errors:
// as those of Pause, and one that wraps
// ErrHeld and names the hold when one covers the queue.
func (s *Store) Resume(ctx context.Context, queue string, by Actor) error {
	app, err := s.knownQueue(ctx, queue)
	if err != nil {
		return fmt.Errorf("resume %s: %w", queue, err)
	}
	reasons, err := s.reasons(ctx, app)
	if err != nil {
		return fmt.Errorf("resume %s: %w", queue, err)
	}
	if h, held := reasons.hold(queue); held {
		return fmt.Errorf("resume %s: %s is held since %s because of %s: clear that hold first: %w",
			queue, h.target(), h.Since.UTC().Format(time.RFC3339), h.Rule, ErrHeld)
	}
	released, err := s.release(ctx, app, pausedKey(app), queue, []string{queue}, s.auditLine(ActionResume, app, queue, 1, by))
	if err == nil && !released {
		_, err = s.settle(ctx, app, []string{queue}) // paused by another tool, or not at all
	}
	if err != nil {
		return fmt.Errorf("resume %s: %w", queue, err)
	}
	return nil
}

// knownQueue is the app of a queue, or an error that wraps ErrNotFound.
func (s *Store) knownQueue(ctx context.Context, queue string) (string, error) {
	app, _, _, ok := tasks.ParseQueueName(queue)
	if !ok {
		return "", fmt.Errorf("not a queue of emq's (they are named app:endpoint:priority): %w", ErrNotFound)
	}
	known, err := s.redis.SIsMember(ctx, tasks.AppsKey, app).Result()
	if err != nil {
		return "", err
	}
	if !known {
		return "", fmt.Errorf("app %s was never used: %w", app, ErrNotFound)
	}
	return app, nil
}

// release takes one reason away and lets its queues run where no other reason
// stands. It says whether there was that reason. line is one of the audit, or "".
func (s *Store) release(ctx context.Context, app, key, field string, queues []string, line string) (bool, error) {
	args := []any{field, line, auditMax}
	for _, queue := range queues {
		args = append(args, queue)
	}
	released, err := releaseScript.Run(ctx, s.redis, []string{key, resumingKey(app), auditKey(app)}, args...).Bool()
	if err != nil {
		return false, err
	}
	if released {
		_, err = s.resume(ctx, app, queues)
	} else {
		_, err = s.resumeReleased(ctx, app) // what an earlier call may have left
	}
	return released, err
}

// resumeReleased lets the queues run that lost a reason to be paused and have
// no other, and says how many were paused still. It leaves those alone whose
// endpoint this version does not know, because it can't tell what covers them.
func (s *Store) resumeReleased(ctx context.Context, app string) (int, error) {
	queues, err := s.redis.SMembers(ctx, resumingKey(app)).Result()
	if err != nil {
		return 0, err
	}
	queues = slices.DeleteFunc(queues, func(queue string) bool {
		_, _, _, known := tasks.ParseQueueName(queue)
		return !known
	})
	if len(queues) == 0 {
		return 0, nil
	}
	return s.resume(ctx, app, queues)
}

// resume lets queues run that have no reason to be paused, and takes them off
// the list of those to look at. It looks once more after that: somebody may
// have released them for another reason in between, whose place on the list
// was taken away here.
func (s *Store) resume(ctx context.Context, app string, queues []string) (int, error) {
	changed, err := s.settle(ctx, app, queues)
	if err != nil {
		return changed, err
	}
	members := make([]any, len(queues))
	for i, queue := range queues {
		members[i] = queue
	}
	if err := s.redis.SRem(ctx, resumingKey(app), members...).Err(); err != nil {
		return changed, err
	}
	more, err := s.settle(ctx, app, queues)
	return changed + more, err
}

// settle pauses those of the queues that have a reason to be paused, and lets
// the others run. It looks at the reasons again after it has acted, and acts
// again if they changed: so of two who set and clear reasons at the same time,
// the last to look leaves the queues as the reasons want them. It says how many
// queues it changed.
func (s *Store) settle(ctx context.Context, app string, queues []string) (changed int, err error) {
	now, err := s.reasons(ctx, app)
	if err != nil {
		return 0, err
	}
	for range changeTries {
		before := now
		n, err := s.apply(ctx, before.pause, queues)
		changed += n
		if err != nil {
			return changed, err
		}
		if now, err = s.reasons(ctx, app); err != nil {
			return changed, err
		}
		if !slices.ContainsFunc(queues, func(q string) bool { return before.pause(q) != now.pause(q) }) {
			return changed, nil
		}
	}
	return changed, errBusy
}

// apply pauses and resumes queues in one round trip, and says how many it
// changed. It writes asynq's key itself, as asynq does: its Inspector takes a
// round trip for each of the many queues that an app may have.
func (s *Store) apply(ctx context.Context, pause func(queue string) bool, queues []string) (int, error) {
	pipe := s.redis.Pipeline()
	made := make([]func() bool, len(queues))
	for i, queue := range queues {
		key := queueKey(queue, "paused")
		if pause(queue) {
			made[i] = pipe.SetNX(ctx, key, s.now().Unix(), 0).Val
		} else {
			deleted := pipe.Del(ctx, key)
			made[i] = func() bool { return deleted.Val() == 1 }
		}
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return 0, err
	}
	changed := 0
	for _, made := range made {
		if made() {
			changed++
		}
	}
	return changed, nil
}

// sweepPauses pauses the queues that have a reason to be paused and run all the
// same, and lets those run that a crash left paused.
func (s *Store) sweepPauses(ctx context.Context, app string, report *SweepReport) error {
	reasons, err := s.reasons(ctx, app)
	if err != nil {
		return fmt.Errorf("read holds: %w", err)
	}
	wanted := slices.DeleteFunc(tasks.QueueNames(app), func(queue string) bool { return !reasons.pause(queue) })
	if len(wanted) > 0 {
		held, err := s.settle(ctx, app, wanted)
		report.Held += held
		if err != nil {
			return fmt.Errorf("pause queues: %w", err)
		}
	}
	resumed, err := s.resumeReleased(ctx, app)
	report.Repaired += resumed
	if err != nil {
		return fmt.Errorf("resume queues: %w", err)
	}
	return nil
}
