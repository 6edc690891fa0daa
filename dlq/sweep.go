package dlq

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/imqueue/emq/tasks"
)

const (
	// resendGrace is how long a marked resend is left to the one who marked it.
	resendGrace = 30 * time.Second
	sweepBatch  = 1000 // resends looked at in one step
	purgeBatch  = 500  // entries removed in one step
)

// A SweepReport says what a sweep found to do.
type SweepReport struct {
	Resent  int // resends finished that were marked but perhaps not queued
	Lost    int // resends whose task was gone from its queue, queued again
	Adopted int // tasks taken over from asynq's archive
	Purged  int // resolved and discarded entries removed
	// Operations that nobody started or that ended long ago, forgotten.
	Operations int
	Held       int // queues that ran despite a hold or a pause, paused again
	Repaired   int // queues that a crash left paused, and resends whose success was not noted
}

// Sweep finishes what crashes left undone in these apps, and does the store's
// housekeeping; without apps, in all that were ever used. Any number of
// processes may sweep, at any time. A step that fails does not keep the others
// from being tried; their errors are joined.
func (s *Store) Sweep(ctx context.Context, apps []string) (SweepReport, error) {
	var report SweepReport
	if len(apps) == 0 {
		var err error
		if apps, err = s.Apps(ctx); err != nil {
			return report, err
		}
	}
	var errs []error
	for _, app := range apps {
		if err := tasks.CheckApp(app); err != nil {
			errs = append(errs, err)
			continue
		}
		for _, step := range []func(context.Context, string, *SweepReport) error{
			s.enroll, s.sweepPauses, s.finishResends, s.findVanished, s.adopt, s.purge, s.dropCauses, s.sweepOperations, s.trimAudit,
		} {
			if err := step(ctx, app, &report); err != nil {
				errs = append(errs, fmt.Errorf("sweep %s: %w", app, err))
			}
			if ctx.Err() != nil {
				return report, errors.Join(errs...)
			}
		}
	}
	return report, errors.Join(errs...)
}

// enrollEvery is how often a process makes sure that an app is in the register.
const enrollEvery = time.Minute

// enrollOnce puts an app into the register, unless this process did so lately.
func (s *Store) enrollOnce(ctx context.Context, app string) error {
	s.mu.Lock()
	fresh := time.Since(s.enrolled[app]) < enrollEvery
	s.mu.Unlock()
	if fresh {
		return nil
	}
	if err := s.redis.SAdd(ctx, tasks.AppsKey, app).Err(); err != nil {
		return err
	}
	s.mu.Lock()
	s.enrolled[app] = time.Now()
	s.mu.Unlock()
	return nil
}

// enroll puts an app that is served into the register, so that its queues are
// known before its first task.
func (s *Store) enroll(ctx context.Context, app string, _ *SweepReport) error {
	return s.redis.SAdd(ctx, tasks.AppsKey, app).Err()
}

// finishResends queues what was marked and never confirmed.
func (s *Store) finishResends(ctx context.Context, app string, report *SweepReport) error {
	if s.client == nil {
		return nil
	}
	var errs []error
	for {
		members, err := s.redis.ZRangeByScore(ctx, unconfirmedKey(app), &redis.ZRangeBy{
			Min: "-inf", Max: strconv.FormatInt(s.now().Add(-resendGrace).UnixMilli(), 10),
			Offset: int64(len(errs)), Count: sweepBatch,
		}).Result()
		if err != nil {
			return errors.Join(append(errs, fmt.Errorf("list unconfirmed resends: %w", err))...)
		}
		for _, member := range members {
			queued, err := s.queueAgain(ctx, app, member)
			if err != nil {
				errs = append(errs, err)
				continue
			}
			if queued {
				report.Resent++
			}
		}
		if len(members) < sweepBatch || ctx.Err() != nil {
			return errors.Join(errs...)
		}
	}
}

// findVanished looks at resends in turn, a batch a call, and queues those whose
// task is gone from its queue.
func (s *Store) findVanished(ctx context.Context, app string, report *SweepReport) error {
	if s.client == nil {
		return nil
	}
	s.mu.Lock()
	after := s.looks[app]
	s.mu.Unlock()
	sets, err := s.sets(ctx, Filter{App: app, State: StateResending})
	if err != nil {
		return err
	}
	found, more, err := s.page(ctx, sets, Filter{}.begin(after), "-inf", sweepBatch)
	if err != nil {
		return err
	}
	var next position
	if more {
		next = found[len(found)-1]
	}
	s.mu.Lock()
	s.looks[app] = next
	s.mu.Unlock()

	records, _, err := s.loadMany(ctx, found)
	if err != nil {
		return fmt.Errorf("read resends: %w", err)
	}
	pipe := s.redis.Pipeline()
	exists := make([]*redis.IntCmd, len(records))
	for i, r := range records {
		if r != nil && r.state == StateResending && r.changed.Before(s.now().Add(-resendGrace)) {
			exists[i] = pipe.Exists(ctx, tasks.TaskKey(r.body.Queue, r.queueID()))
		}
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return fmt.Errorf("look for resent tasks: %w", err)
	}
	var errs []error
	for i, r := range records {
		if exists[i] == nil || exists[i].Val() == 1 {
			continue
		}
		// A worker notes the end of a task before the task leaves its queue. So
		// if the entry, read again now, still waits, the task never ended.
		queued, err := s.queueAgain(ctx, app, r.queueID())
		if err != nil {
			errs = append(errs, err)
		} else if queued {
			report.Lost++
		}
	}
	return errors.Join(errs...)
}

// queueAgain queues a resend that its entry still waits for, and says whether
// it did. queueID names the entry and the generation.
func (s *Store) queueAgain(ctx context.Context, app, queueID string) (bool, error) {
	id, generation := tasks.SplitQueueID(queueID)
	r, err := s.load(ctx, app, id)
	if err != nil {
		return false, fmt.Errorf("resend %s again: %w", id, err)
	}
	if r == nil || !r.waitsFor(generation) {
		return false, s.redis.ZRem(ctx, unconfirmedKey(app), queueID).Err()
	}
	t, err := r.task()
	if err != nil {
		return false, fmt.Errorf("resend %s again: %w", id, err)
	}
	if err := s.queue(ctx, r, t); err != nil {
		return false, err
	}
	return true, nil
}

// purge removes resolved and discarded entries that were kept for long enough.
func (s *Store) purge(ctx context.Context, app string, report *SweepReport) error {
	cutoff := strconv.FormatInt(s.now().Add(-s.keep).UnixMilli(), 10)
	for skip := 0; ctx.Err() == nil; {
		ids, err := s.redis.ZRangeByScore(ctx, endedKey(app), &redis.ZRangeBy{
			Min: "-inf", Max: cutoff, Offset: int64(skip), Count: purgeBatch,
		}).Result()
		if err != nil {
			return fmt.Errorf("list ended entries: %w", err)
		}
		if len(ids) == 0 {
			return nil
		}
		purged, err := s.purgeBatch(ctx, app, ids)
		if err != nil {
			return fmt.Errorf("purge: %w", err)
		}
		report.Purged += purged
		skip += len(ids) - purged // restored a moment ago, or damaged
	}
	return ctx.Err()
}

func (s *Store) purgeBatch(ctx context.Context, app string, ids []string) (int, error) {
	at := make([]position, len(ids))
	for i, id := range ids {
		at[i] = position{app: app, id: id}
	}
	records, _, err := s.loadMany(ctx, at)
	if err != nil {
		return 0, err
	}
	purged := 0
	for _, r := range records {
		if r == nil || r.state != StateResolved && r.state != StateDiscarded {
			continue
		}
		keys := append([]string{
			tasks.EntryKey(app, r.id), causeSetKey(app, r.state, r.cause, r.status),
			endedKey(app), tasks.ClaimKey(app, r.id), causeKey(app, r.cause),
		}, bucketKeys(app, r.body.Buckets)...)
		done, err := purgeScript.Run(ctx, s.redis, keys, r.id, r.head(), string(r.state)).Bool()
		if err != nil {
			return purged, err
		}
		if done {
			purged++
		}
	}
	return purged, nil
}

// dropCauses forgets the causes that have no entries left. What a person does not
// want to hear of is remembered for as long as the audit says who said so.
func (s *Store) dropCauses(ctx context.Context, app string, _ *SweepReport) error {
	causes, err := s.causesOf(ctx, app, Filter{})
	if err != nil {
		return err
	}
	for _, c := range causes {
		if len(c.total) > 0 || c.Triage.State == TriageIgnored && s.now().Sub(c.LastSeen) < s.auditKeep {
			continue
		}
		keys := []string{causesKey(app), causeKey(app, c.ID)}
		args := []any{c.ID}
		for _, state := range States() {
			args = append(args, string(state))
		}
		if err := dropScript.Run(ctx, s.redis, keys, args...).Err(); err != nil {
			return fmt.Errorf("drop cause %s: %w", c.ID, err)
		}
	}
	return nil
}
