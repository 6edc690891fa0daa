package dlq

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/imqueue/emq/errclass"
	"github.com/imqueue/emq/tasks"
)

// RuleAdopted is the rule of tasks that asynq archived by itself.
const RuleAdopted = "asynq-archived"

// adoptBatch is how many archived tasks are read in one step.
const adoptBatch = 100

// adopt takes over what asynq archived in the queues of an app: emq never asks
// it to, and its archive forgets. A task is in the store before it leaves the
// archive, so a crash in between only repeats a Put. Queues of an endpoint that
// this version does not know are left to one that does.
func (s *Store) adopt(ctx context.Context, app string, report *SweepReport) error {
	used, err := s.usedQueues(ctx)
	if err != nil {
		return fmt.Errorf("list queues: %w", err)
	}
	queues := slices.DeleteFunc(tasks.QueueNames(app), func(queue string) bool {
		_, isUsed := used[queue]
		return !isUsed
	})
	pipe := s.redis.Pipeline()
	archived := make([]*redis.IntCmd, len(queues))
	for i, queue := range queues {
		archived[i] = pipe.ZCard(ctx, queueKey(queue, "archived"))
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return fmt.Errorf("look for archived tasks: %w", err)
	}
	var errs []error
	for i, queue := range queues {
		if archived[i].Val() == 0 {
			continue
		}
		if err := s.adoptQueue(ctx, app, queue, report); err != nil {
			errs = append(errs, fmt.Errorf("adopt from %s: %w", queue, err))
		}
	}
	return errors.Join(errs...)
}

func (s *Store) adoptQueue(ctx context.Context, app, queue string, report *SweepReport) error {
	var errs []error
	for page := 1; ctx.Err() == nil; {
		list, err := s.queues.ListArchivedTasks(queue, asynq.PageSize(adoptBatch), asynq.Page(page))
		if errors.Is(err, asynq.ErrQueueNotFound) {
			return errors.Join(errs...) // its name is not registered; the next enqueue sees to that
		}
		if err != nil {
			return errors.Join(append(errs, err)...)
		}
		if len(list) == 0 {
			return errors.Join(errs...)
		}
		taken := 0
		for _, info := range list {
			if info.ID == "" {
				errs = append(errs, errors.New("the archive lists a task whose data is gone"))
				continue
			}
			if err := s.Put(ctx, adopted(app, queue, info)); err != nil {
				errs = append(errs, err)
				continue
			}
			if err := s.queues.DeleteTask(queue, info.ID); err != nil && !errors.Is(err, asynq.ErrTaskNotFound) {
				errs = append(errs, fmt.Errorf("delete %s: %w", info.ID, err))
				continue
			}
			taken++
		}
		report.Adopted += taken
		if taken == 0 {
			page++ // what can't be taken stays at the front
		}
	}
	return errors.Join(append(errs, ctx.Err())...)
}

// adopted is the death of a task in asynq's archive.
func adopted(app, queue string, info *asynq.TaskInfo) Death {
	t, err := tasks.Decode(info.Payload)
	if err != nil || t.App != app {
		t.App = app
		t.ID, t.Generation = tasks.SplitQueueID(info.ID)
	}
	return Death{
		Task: t, Raw: info.Payload, Queue: queue, Reason: ReasonAdopted, At: info.LastFailedAt,
		Trace: tasks.FormatTraceparent(tasks.TraceOf(info.Headers).Parent),
		Verdict: errclass.Verdict{
			Class: errclass.ClassNeedsHuman, Scope: errclass.ScopeJob, Rule: RuleAdopted,
			Description: info.LastErr,
			Why: errclass.Text{
				En: "asynq, the library below emq, gave this task up by itself, without asking emq. Whether its last call was executed is not known.",
				Zh: "emq 的底层队列库 asynq 未经 emq 判断就自行归档了该任务。最后一次调用是否已被执行无法确定。",
			},
			Advice: errclass.Text{
				En: "Check on Easemob's side whether the call took effect; if it did not, resend it. Make sure that no other asynq program works on emq's queues, and report this if it happens again.",
				Zh: "请先在环信侧确认该调用是否已生效；若未生效，可重发。请确认没有其他 asynq 程序在处理 emq 的队列；若再次出现，请反馈该问题。",
			},
		},
	}
}
