package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"go.opentelemetry.io/otel/trace"

	"github.com/imqueue/emq/dlq"
	"github.com/imqueue/emq/errclass"
	"github.com/imqueue/emq/tasks"
	"github.com/imqueue/emq/worker/easemob"
)

const (
	// settleTime is how long after the end of the drain the tasks whose calls
	// were cut may take to go back by emq's decision. asynq would put them back
	// without a trace.
	settleTime = 5 * time.Second
	// sweepEvery is how often one of an app's workers sweeps its dead letters.
	sweepEvery   = 15 * time.Second
	healthyAfter = 2 * time.Second // bound of a health check's ping
	// stackIdle is how long a goroutine waits for the next attempt.
	stackIdle = 10 * time.Second
)

// A Worker takes tasks from their queues and makes the calls.
type Worker struct {
	cfg      Config
	log      *slog.Logger
	rules    atomic.Pointer[errclass.Table]
	redis    redis.UniversalClient // for everything but asynq's servers
	servers  redis.UniversalClient // for asynq's servers only
	store    *dlq.Store
	clients  map[string]*easemob.Client // by app alias
	holds    *holds
	breakers breakers
	limits   *limits
	board    *board
	endings  *endings
	suspects chan struct{} // has room for one: the task called alone, see alone
	stacks   chan job      // to goroutines that wait for the next attempt
	over     chan struct{} // closed when the last attempt has ended
	letters  *deadLetters
	metrics  *metrics
	tally    *tally
	tracer   trace.Tracer      // nil when nobody traces
	hosts    map[string]string // Easemob's, by app alias; for spans
	draining context.Context   // ends when no task is taken any more
	cut      context.Context   // ends when calls in flight must end
	cutNow   context.CancelFunc
	running  atomic.Bool
}

// New makes a worker; it does not connect. It returns a *tasks.FieldError for a
// bad setting, or the HTTP client's error about an app's.
func New(cfg Config) (_ *Worker, err error) {
	if cfg, err = cfg.withDefaults(); err != nil {
		return nil, err
	}
	w := &Worker{
		cfg: cfg, log: cfg.Logger, clients: map[string]*easemob.Client{}, holds: &holds{},
		breakers: newBreakers(cfg.Apps, cfg.Logger, openFor), metrics: newMetrics(cfg.Apps),
	}
	for _, c := range cfg.Collectors {
		if err := w.metrics.registry.Register(c); err != nil {
			return nil, fmt.Errorf("metrics: %w", err)
		}
	}
	w.traceBy(cfg.TracerProvider)
	w.SetRules(cfg.Rules)
	w.draining = context.Background()
	w.cut, w.cutNow = context.WithCancel(context.Background())
	defer func() {
		if err != nil {
			w.close()
		}
	}()
	for _, app := range cfg.Apps {
		client, err := w.connect(app)
		if err != nil {
			return nil, err
		}
		w.clients[app.Alias] = client
	}
	if w.redis, err = tasks.OpenRedis(cfg.RedisURL); err != nil {
		return nil, err
	}
	producer, err := tasks.NewClient(tasks.ClientConfig{Redis: w.redis, App: cfg.Apps[0].Alias, TracerProvider: w.provider()})
	if err != nil {
		return nil, err
	}
	if w.store, err = dlq.New(dlq.Config{Redis: w.redis, Client: producer, Keep: cfg.DeadLettersKeep, AuditKeep: cfg.AuditKeep}); err != nil {
		return nil, err
	}
	if w.servers, err = tasks.OpenRedis(cfg.RedisURL); err != nil {
		return nil, err
	}
	for _, rdb := range []redis.UniversalClient{w.redis, w.servers} {
		w.metrics.time(rdb)
	}
	w.metrics.breakers(w.breakers)
	w.tally = newTally(w.store)
	w.letters = newDeadLetters(w.store, cfg, w.metrics.registry)
	w.limits = newLimits(w.redis, w.store, cfg.Logger, cfg.Apps)
	w.metrics.registry.MustRegister(w.store.Metrics(w.limits.apps...))
	w.limits.waited = func(app string, e tasks.Endpoint) { w.metrics.waits.WithLabelValues(app, string(e)).Inc() }
	w.board = newBoard(w.redis, w.servers, w.limits, w.breakers.ready, cfg.Logger, cfg.Apps, cfg.Concurrency)
	w.board.recovered = func(n int) { w.metrics.recovered.Add(float64(n)) }
	w.endings = newEndings(w.servers)
	w.suspects = make(chan struct{}, 1)
	w.stacks, w.over = make(chan job), make(chan struct{})
	return w, nil
}

// SetRules judges by these rules from the next answer on; calls in flight go on.
func (w *Worker) SetRules(rules *errclass.Table) { w.rules.Store(rules) }

// connect makes the HTTP client of an app.
func (w *Worker) connect(app App) (*easemob.Client, error) {
	client, err := easemob.New(easemob.Config{
		URL: app.URL, AppKey: app.Key, ClientID: app.ClientID, ClientSecret: app.ClientSecret,
		Timeout: w.cfg.CallTimeout, MaxConns: w.cfg.Concurrency,
		TokenFetched: w.metrics.tokenFetched(app.Alias),
		// Which answers mean the token is a matter of the rules, not of the client.
		TokenRejected: func(status int, body []byte) bool {
			return status >= http.StatusMultipleChoices && w.rules.Load().Classify(errclass.Evidence{Status: status, Body: body}).Delay == errclass.DelayToken
		},
	})
	if err != nil {
		return nil, fmt.Errorf("app %s: %w", app.Alias, err)
	}
	return client, nil
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
	if err := w.limits.refresh(ctx); err != nil {
		if ctx.Err() != nil || w.redis.Ping(ctx).Err() != nil {
			return err
		}
		w.log.Warn("some limits can't be read", "error", err)
	}
	if err := w.board.register(ctx); err != nil {
		return fmt.Errorf("list queues: %w", err)
	}
	background, stop := context.WithCancel(ctx)
	defer stop()
	w.draining = background
	var loops sync.WaitGroup
	loops.Go(func() { w.board.run(background) })
	loops.Go(func() { w.endings.run(w.over) })
	lanes := w.lanes()
	for i, lane := range lanes {
		if err := lane.Start(asynq.HandlerFunc(w.handle)); err != nil {
			stop()
			shutdown(lanes[:i])
			close(w.over)
			loops.Wait()
			return fmt.Errorf("start lane: %w", err)
		}
	}
	loops.Go(func() { w.every(background, limitsEvery, "refresh limits", w.limits.refresh) })
	loops.Go(func() { w.every(background, recoverEvery, "recover", w.board.recover) })
	loops.Go(func() { w.every(background, holdsEvery, "refresh holds", w.refreshHolds) })
	loops.Go(func() {
		w.every(background, sweepEvery, "sweep", func(ctx context.Context) error {
			return errors.Join(w.sweep(ctx), w.letters.look(ctx))
		})
	})
	loops.Go(func() { w.every(background, tallyEvery, "count attempts", w.tally.flush) })
	for _, app := range w.cfg.Apps {
		work := newOperations(w.store, app.Alias, w.cfg.Name).work
		loops.Go(func() { w.every(background, operationsEvery, "operations", work) })
	}
	w.running.Store(true)
	w.log.Info("worker started", "name", w.cfg.Name, "apps", len(w.cfg.Apps), "lanes", len(lanes))

	<-ctx.Done()
	w.running.Store(false)
	w.log.Info("worker drains", "name", w.cfg.Name, "timeout_ms", w.cfg.DrainTimeout.Milliseconds())
	stop()
	timer := time.AfterFunc(w.cfg.DrainTimeout, w.cutNow)
	shutdown(lanes)
	timer.Stop()
	close(w.over)
	loops.Wait()
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), healthyAfter)
	defer cancel()
	if err := w.tally.flush(last); err != nil {
		w.log.Warn("some attempts are not counted", "error", err)
	}
	w.log.Info("worker stopped", "name", w.cfg.Name)
	return nil
}

// handle has an attempt made at a task that a lane was handed. asynq starts a
// goroutine for each task, whose stack has to grow while JSON and HTTP use it; those
// of w.stacks are grown, and wait for the next one.
func (w *Worker) handle(ctx context.Context, queued *asynq.Task) error {
	one := job{ctx: ctx, task: queued, result: make(chan error, 1)}
	select {
	case w.stacks <- one:
	default:
		go w.attempts(one)
	}
	return <-one.result
}

// A job is an attempt to be made.
type job struct {
	ctx    context.Context
	task   *asynq.Task
	result chan error
}

// attempts makes an attempt, and then others, until none comes for a while.
func (w *Worker) attempts(one job) {
	idle := time.NewTimer(stackIdle)
	defer idle.Stop()
	for {
		one.result <- w.attempt(one.ctx, one.task)
		idle.Reset(stackIdle)
		select {
		case one = <-w.stacks:
		case <-idle.C:
			return
		case <-w.over:
			return
		}
	}
}

// attempt makes one attempt and keeps account of it.
func (w *Worker) attempt(ctx context.Context, queued *asynq.Task) (err error) {
	var key flightKey
	key.queue, _ = asynq.GetQueueName(ctx)
	key.id, _ = asynq.GetTaskID(ctx)
	flight := w.board.hands.begin(key)
	defer func() {
		if reason := recover(); reason != nil { // process itself has recovered once
			w.log.Error("panic while a panic was settled", "task_id", key.id, "panic", fmt.Sprint(reason), "stack", string(debug.Stack()))
			err = errors.New("panic") // which asynq counts, as it would a crash
		}
		var due time.Time
		if o, ok := errors.AsType[*outcome](err); ok && o.wait > 0 {
			due = time.Now().Add(o.wait)
		}
		w.board.hands.end(flight, due)
	}()
	return w.process(ctx, queued, flight)
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
	w.letters.purged.Add(float64(report.Purged))
	if report != (dlq.SweepReport{}) {
		w.log.Info("swept", "resent", report.Resent, "lost", report.Lost, "adopted", report.Adopted,
			"purged", report.Purged, "operations", report.Operations, "held", report.Held, "repaired", report.Repaired)
	}
	return err
}

// Handler serves the worker's health and numbers: GET /healthz answers 200 while
// the process lives, GET /readyz while it takes tasks and reaches Redis, and GET
// /metrics in the format of Prometheus.
func (w *Worker) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(rw http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprintln(rw, "ok") })
	mux.Handle("GET /metrics", w.metrics.handler())
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
