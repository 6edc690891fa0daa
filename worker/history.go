package worker

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/imqueue/emq/dlq"
	"github.com/imqueue/emq/tasks"
)

// A task's failed attempts are kept in its own asynq hash, in fields that asynq
// knows nothing of. They live and vanish with the task: a delivered task
// leaves nothing behind, and there is nothing to clean up. The field emq_trace is
// written by remember.lua and read by fetch.lua; see attemptTrace.
const (
	historyField = "emq_history" // JSON Lines of dlq.Attempt
	countedField = "emq_counted" // how many of the attempts counted
	batchField   = "emq_batch"   // the batchState of a task with several targets
	begunField   = "emq_begun"   // the owner for whom the call began; see alone
	historyMax   = 64 << 10      // bytes; beyond, the middle is dropped
	bodyExcerpt  = 512           // bytes of an answer kept for each attempt
)

//go:embed lua/save.lua
var saveSource string

var saveScript = redis.NewScript(saveSource)

// saveBatch writes what is left of a task with several targets, if it changed.
func (w *Worker) saveBatch(ctx context.Context, a *attempt) error {
	raw, err := json.Marshal(a.batch.batchState)
	if err != nil || string(raw) == a.batch.saved {
		return err
	}
	if err := saveScript.Run(ctx, w.redis, []string{tasks.TaskKey(a.queue, a.task.QueueID())}, batchField, raw).Err(); err != nil {
		return err
	}
	a.batch.saved = string(raw)
	return nil
}

//go:embed lua/remember.lua
var rememberSource string

var rememberScript = redis.NewScript(rememberSource)

// remember adds a failed attempt to the task's history and says how many it
// holds; 0: it could not be written, which is no reason to stop, because the
// attempt's log line has it too.
func (w *Worker) remember(ctx context.Context, a *attempt, counted bool) (attempts int) {
	record := dlq.Attempt{
		Generation: a.task.Generation, Number: a.number, At: a.started, LatencyMS: a.latency.Milliseconds(),
		Status: a.verdict.Status, Transport: string(a.evidence.Transport), Class: a.verdict.Class, Rule: a.verdict.Rule,
		Error: a.verdict.Error, Description: a.verdict.Description, Body: tasks.Printable(string(a.evidence.Body), bodyExcerpt),
		Targets: len(a.evidence.Targets), Failed: len(a.verdict.Failed), Mended: a.verdict.Mend,
		Counted: counted, Worker: w.cfg.Name,
	}
	line, err := json.Marshal(record)
	if err == nil {
		one := 0
		if counted {
			one = 1
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), persistEvery*4)
		defer cancel()
		attempts, err = rememberScript.Run(ctx, w.redis, []string{tasks.TaskKey(a.queue, a.task.QueueID())},
			string(line), one, historyMax, a.trace.leave()).Int()
	}
	if err != nil {
		w.log.Warn("could not keep an attempt's history", "task_id", a.task.ID, "app", a.task.App, "error", err)
	}
	return attempts
}

// history reads the failed attempts of this generation.
func (w *Worker) history(ctx context.Context, a *attempt) ([]dlq.Attempt, error) {
	lines, err := w.redis.HGet(ctx, tasks.TaskKey(a.queue, a.task.QueueID()), historyField).Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		return nil, fmt.Errorf("read history of %s: %w", a.task.ID, err)
	}
	var list []dlq.Attempt
	for line := range strings.Lines(lines) {
		var one dlq.Attempt
		if json.Unmarshal([]byte(line), &one) == nil {
			list = append(list, one)
		}
	}
	return list, nil
}

// crashes is how often a worker died over this generation of the task, and whether it
// may have been called then: emq counts those whose lease ended, and asynq, on top of
// the attempts that emq counted, those whose end could not be written.
func (w *Worker) crashes(ctx context.Context, a *attempt) (crashes int, called bool, _ error) {
	fields, err := w.redis.HMGet(ctx, tasks.TaskKey(a.queue, a.task.QueueID()), countedField, begunField).Result()
	if err != nil {
		return 0, false, fmt.Errorf("read history of %s: %w", a.task.ID, err)
	}
	text, _ := fields[0].(string)
	counted, _ := strconv.Atoi(text)
	crashes = a.number - 1 - counted
	return crashes, fields[1] != nil || crashes > a.deaths, nil
}
