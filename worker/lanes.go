package worker

import (
	"sync"
	"time"

	"github.com/hibiken/asynq"

	"github.com/imqueue/emq/tasks"
)

const (
	// perLane is how many calls in flight one serial fetch keeps busy.
	perLane = 8
	// idlePause is asynq's wait after a fetch that found nothing. The board has
	// waited already.
	idlePause = time.Millisecond
)

// lanes makes the asynq servers: for each family of each app as many as its
// concurrency is worth, because one server takes tasks one after the other.
func (w *Worker) lanes() []*asynq.Server {
	var lanes []*asynq.Server
	for _, app := range w.cfg.Apps {
		for _, family := range tasks.Families() {
			queues, first := laneQueues(app.Alias, family)
			count := (w.cfg.Concurrency + perLane - 1) / perLane
			for i := range count {
				share := w.cfg.Concurrency / count
				if i < w.cfg.Concurrency%count {
					share++
				}
				client := detach{front{&lane{
					UniversalClient: w.servers, board: w.board, app: app.Alias, family: family, first: first, background: i == 0,
				}}}
				lanes = append(lanes, asynq.NewServerFromRedisClient(client, asynq.Config{
					Concurrency:              share,
					Queues:                   queues,
					StrictPriority:           true,
					TaskCheckInterval:        idlePause,
					DelayedTaskCheckInterval: forwardEvery,
					ShutdownTimeout:          w.cfg.DrainTimeout + settleTime,
					IsFailure:                isFailure,
					RetryDelayFunc:           retryDelay,
					Logger:                   asynqLog{w.log},
					LogLevel:                 asynq.WarnLevel,
				}))
			}
		}
	}
	return lanes
}

// laneQueues are the queues of a family as asynq wants them, and the one that
// it asks first: of strict priorities the highest, which no other has. The
// board keeps the true priorities.
func laneQueues(app string, family tasks.Family) (queues map[string]int, first string) {
	queues = map[string]int{}
	for _, info := range tasks.Endpoints() {
		if info.Endpoint.Family() != family {
			continue
		}
		for _, priority := range tasks.Priorities() {
			name := tasks.QueueName(app, info.Endpoint, priority)
			queues[name] = int(rankOf(priority))
			if first == "" {
				first = name
			}
		}
	}
	queues[first]++
	return queues, first
}

// shutdown stops all lanes at once and waits for them.
func shutdown(lanes []*asynq.Server) {
	var wg sync.WaitGroup
	for _, lane := range lanes {
		wg.Go(lane.Shutdown)
	}
	wg.Wait()
}
