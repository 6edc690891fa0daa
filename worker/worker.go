package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/imqueue/emq/dlq"
	"github.com/imqueue/emq/errclass"
	"github.com/imqueue/emq/tasks"
	"github.com/imqueue/emq/worker/easemob"
)

const (
	// pollEvery is how often the queues of one family are looked at while they
	// are empty, over all its lanes.
	pollEvery = 20 * time.Millisecond
	// forwardEvery is how often due retries and planned tasks are put into
	// their queues.
	forwardEvery = time.Second
	// settleTime is how long after the end of the drain the tasks whose calls
	// were cut may take to go back by emq's decision. asynq would put them back
	// without a trace.
	settleTime = 5 * time.Second
	// sweepEvery is how often one of an app's workers sweeps its dead letters.
	sweepEvery   = 15 * time.Second
	healthyAfter = 2 * time.Second // bound of a health check's ping
)

// A Worker takes tasks from their queues and makes the calls.
type Worker struct {
	cfg     Config
	log     *slog.Logger
	rules   *errclass.Table
	redis   redis.UniversalClient // for everything but asynq's servers
	servers redis.UniversalClient // for asynq's servers only
	store   *dlq.Store
	clients map[string]*easemob.Client // by app alias
	holds   *holds
	cut     context.Context // ends when calls in flight must end
	cutNow  context.CancelFunc
	running atomic.Bool
}

// New makes a worker; it does not connect. It returns a *tasks.FieldError for a
// bad setting, or the HTTP client's error about an app's.
func New(cfg Config) (_ *Worker, err error) {
	if cfg, err = cfg.withDefaults(); err != nil {
		return nil, err
	}
	w := &Worker{cfg: cfg, log: cfg.Logger, rules: cfg.Rules, clients: map[string]*easemob.Client{}, holds: &holds{}}
	w.cut, w.cutNow = context.WithCancel(context.Background())
	defer func() {
		if err != nil {
			w.close()
		}
	}()
	for _, app := range cfg.Apps {
		client, err := cfg.client(app)
		if err != nil {
			return nil, err
		}
		w.clients[app.Alias] = client
	}
	if w.redis, err = tasks.OpenRedis(cfg.RedisURL); err != nil {
		return nil, err
	}
	producer, err := tasks.NewClient(tasks.ClientConfig{Redis: w.redis, App: cfg.Apps[0].Alias})
	if err != nil {
		return nil, err
	}
	if w.store, err = dlq.New(dlq.Config{Redis: w.redis, Client: producer}); err != nil {
		return nil, err
	}
	plain, err := tasks.OpenRedis(cfg.RedisURL)
	if err != nil {
		return nil, err
	}
	w.servers = detach{&fetches{UniversalClient: plain, empty: map[string]time.Time{}}}
	return w, nil
}

// Run works until ctx ends, then drains: no task is taken any more, calls in
// flight may end within the drain timeout, what takes longer goes back to its
// queue, and no attempt is spent. A Worker runs once. The error is nil after an
// orderly stop; otherwise it says why the worker could not start.
func (w *Worker) Run(ctx context.Context) error {
	defer w.close()
	if err := w.redis.Ping(ctx).Err(); err != nil {
		return fmt.Errorf("reach Redis: %w", err)
	}
	if err := w.refreshHolds(ctx); err != nil {
		return err
	}
	lanes := w.lanes()
	for i, lane := range lanes {
		if err := lane.Start(asynq.HandlerFunc(w.process)); err != nil {
			shutdown(lanes[:i])
			return fmt.Errorf("start lane: %w", err)
		}
	}
	background, stop := context.WithCancel(ctx)
	var loops sync.WaitGroup
	loops.Go(func() { w.every(background, holdsEvery, "refresh holds", w.refreshHolds) })
	loops.Go(func() { w.every(background, sweepEvery, "sweep", w.sweep) })
	w.running.Store(true)
	w.log.Info("worker started", "name", w.cfg.Name, "apps", len(w.cfg.Apps), "lanes", len(lanes))

	<-ctx.Done()
	w.running.Store(false)
	w.log.Info("worker drains", "name", w.cfg.Name, "timeout_ms", w.cfg.DrainTimeout.Milliseconds())
	stop()
	timer := time.AfterFunc(w.cfg.DrainTimeout, w.cutNow)
	shutdown(lanes)
	timer.Stop()
	loops.Wait()
	w.log.Info("worker stopped", "name", w.cfg.Name)
	return nil
}

func (w *Worker) close() {
	w.cutNow()
	for _, client := range w.clients {
		client.Close()
	}
	for _, rdb := range []redis.UniversalClient{w.redis, w.servers} {
		if rdb != nil {
			_ = rdb.Close()
		}
	}
}

// lanes makes the asynq servers: for each family of each app as many as its
// concurrency is worth, because one server takes tasks one after the other.
func (w *Worker) lanes() []*asynq.Server {
	const perLane = 8 // calls in flight that one serial fetch keeps busy
	var lanes []*asynq.Server
	for _, app := range w.cfg.Apps {
		for _, family := range tasks.Families() {
			queues := map[string]int{}
			for rank, priority := range tasks.Priorities() {
				queues[tasks.QueueName(app.Alias, family, priority)] = len(tasks.Priorities()) - rank
			}
			count := (w.cfg.Concurrency + perLane - 1) / perLane
			for i := range count {
				share := w.cfg.Concurrency / count
				if i < w.cfg.Concurrency%count {
					share++
				}
				lanes = append(lanes, asynq.NewServerFromRedisClient(w.servers, asynq.Config{
					Concurrency:    share,
					Queues:         queues,
					StrictPriority: true,
					// The lanes of a family take turns, so that together they look
					// as often as one lane would.
					TaskCheckInterval:        pollEvery * time.Duration(count),
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

// shutdown stops all lanes at once and waits for them.
func shutdown(lanes []*asynq.Server) {
	var wg sync.WaitGroup
	for _, lane := range lanes {
		wg.Go(lane.Shutdown)
	}
	wg.Wait()
}

// every runs do now and then until ctx ends, and logs what goes wrong.
func (w *Worker) every(ctx context.Context, interval time.Duration, what string, do func(context.Context) error) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		if err := do(ctx); err != nil && ctx.Err() == nil {
			w.log.Warn("background work failed", "what", what, "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// sweep finishes what crashes left behind, one worker at a time for each app.
func (w *Worker) sweep(ctx context.Context) error {
	var mine []string
	for _, app := range w.cfg.Apps {
		won, err := w.redis.SetNX(ctx, tasks.AppKey(app.Alias, "sweep"), w.cfg.Name, sweepEvery-time.Second).Result()
		if err != nil {
			return err
		}
		if won {
			mine = append(mine, app.Alias)
		}
	}
	if len(mine) == 0 {
		return nil // with no app named, Sweep would take them all
	}
	report, err := w.store.Sweep(ctx, mine)
	if report != (dlq.SweepReport{}) {
		w.log.Info("swept", "resent", report.Resent, "lost", report.Lost, "adopted", report.Adopted,
			"purged", report.Purged, "held", report.Held, "repaired", report.Repaired)
	}
	return err
}

// Handler serves the worker's health: GET /healthz answers 200 while the
// process lives, GET /readyz while it takes tasks and reaches Redis.
func (w *Worker) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(rw http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprintln(rw, "ok") })
	mux.HandleFunc("GET /readyz", func(rw http.ResponseWriter, r *http.Request) {
		if err := w.ready(r.Context()); err != nil {
			http.Error(rw, err.Error(), http.StatusServiceUnavailable)
			return
		}
		_, _ = fmt.Fprintln(rw, "ready")
	})
	return mux
}

func (w *Worker) ready(ctx context.Context) error {
	if !w.running.Load() {
		return errors.New("starting or draining")
	}
	ctx, cancel := context.WithTimeout(ctx, healthyAfter)
	defer cancel()
	if err := w.redis.Ping(ctx).Err(); err != nil {
		return errors.New("Redis does not answer")
	}
	return nil
}
