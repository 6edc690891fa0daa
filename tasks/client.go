package tasks

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"go.opentelemetry.io/otel/trace"
)

const (
	// EnqueueTimeoutDefault bounds an enqueue whose context has no deadline.
	EnqueueTimeoutDefault = 10 * time.Second
	// callTimeout is the asynq timeout of a task. It only guards against a hung
	// worker: every HTTP call has a much shorter bound of its own.
	callTimeout = 10 * time.Minute
	// enqueueBatch is how many tasks one pipeline carries.
	enqueueBatch = 500
	// registerEvery is how often a client writes a queue's name into the
	// register again, so that a register lost with a flushed or failed-over
	// Redis comes back by itself.
	registerEvery    = 10 * time.Second
	generatedIDBytes = 26
)

// ErrDuplicate is wrapped by the error for a task whose ID is taken: by a task
// that waits or runs, by a dead letter, or by one delivered not long ago.
var ErrDuplicate = errors.New("duplicate task ID")

// ClientConfig configures a Client.
type ClientConfig struct {
	// Redis is used by the client and stays the caller's to close. See OpenRedis.
	Redis redis.UniversalClient
	// App is the alias for tasks that name none; empty means AppDefault.
	App string
	// Timeout bounds an enqueue whose context has no deadline; 0 means
	// EnqueueTimeoutDefault. EnqueueMany has as much for every 500 tasks.
	Timeout time.Duration
	// Durable has an enqueue wait until the task is on Redis' disk or, where Redis can't
	// tell that, on a replica; the receipt says which. It costs a round trip to the disk
	// or the replica for each batch. Redis 7.2 and later are asked for their disk
	// (WAITAOF); older ones for a replica (WAIT), unless their setting is appendfsync
	// always, with which nothing is acknowledged before.
	Durable bool
	// TracerProvider makes the span of each enqueue; nil means otel.GetTracerProvider().
	// A task carries the trace context of its enqueue to its calls, if there is one.
	TracerProvider trace.TracerProvider
}

// A Client enqueues tasks. It is safe for concurrent use.
type Client struct {
	redis   redis.UniversalClient
	app     string
	timeout time.Duration
	asynq   *asynq.Client
	record  *recorder
	tracer  trace.Tracer

	senders    sync.Map // queue -> *sender
	durable    bool
	mu         sync.Mutex
	registered map[string]time.Time // queue -> when its name was last written
	ways       map[redis.UniversalClient]knownWay
}

// NewClient makes a client; it does not connect. It returns a *FieldError for
// a bad configuration.
func NewClient(cfg ClientConfig) (*Client, error) {
	if cfg.Redis == nil {
		return nil, &FieldError{Field: "ClientConfig.Redis", Bound: "must be given"}
	}
	if cfg.App == "" {
		cfg.App = AppDefault
	}
	if err := CheckApp(cfg.App); err != nil {
		return nil, err
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = EnqueueTimeoutDefault
	}
	if cfg.Timeout < 0 {
		return nil, &FieldError{Field: "ClientConfig.Timeout", Value: cfg.Timeout.String(), Bound: "must not be negative"}
	}
	record := &recorder{UniversalClient: cfg.Redis}
	return &Client{
		redis: cfg.Redis, app: cfg.App, timeout: cfg.Timeout,
		record: record, asynq: asynq.NewClientFromRedisClient(record), tracer: newTracer(cfg.TracerProvider),
		registered: map[string]time.Time{}, durable: cfg.Durable, ways: map[redis.UniversalClient]knownWay{},
	}, nil
}

// A Receipt says what became of one task.
type Receipt struct {
	ID    string // the task's ID, made up when none was given
	App   string
	Queue string
	// Durability is what is known of a task that was queued by a client whose
	// ClientConfig.Durable is set; else empty.
	Durability Durability
	// Err is nil when the task was queued. It may wrap ErrDuplicate, ErrMaybeQueued or
	// ErrNotDurable, or say why the task could not be queued. For a task that was split it joins the errors
	// of its parts, and wraps ErrDuplicate only when every part is queued or
	// taken: while a part failed otherwise, it holds the failures alone.
	Err error
	// Parts has a receipt for each of the tasks that a list too long for one
	// call was split into, in the order of the list; nil for a task that was
	// queued as it is. Each part succeeds or fails by itself.
	Parts []Receipt
}

// join sums up the parts of a task that was split.
func (r *Receipt) join() {
	var failed, taken []error
	for _, part := range r.Parts {
		if errors.Is(part.Err, ErrDuplicate) {
			taken = append(taken, part.Err)
		} else {
			failed = append(failed, part.Err)
		}
	}
	if r.Err = errors.Join(failed...); r.Err == nil {
		r.Err = errors.Join(taken...)
	}
}

// Enqueue queues one call. When it returns nil, the task is in Redis and will
// be made at least once or end as a dead letter; what "in Redis" outlives is up
// to Redis' persistence.
//
// A list of targets too long for one call, by their number or by the size of the
// request, becomes several tasks, the receipt's Parts. Each is queued, called
// and settled by itself. The same list under the same ID gives the same parts,
// so that to enqueue it again queues only those that are missing; another list or
// call under that ID is a duplicate, and nothing of it is queued.
//
// Errors: a *FieldError or one that wraps ErrUnknownKind, and nothing was
// queued; one that wraps ErrDuplicate, and the ID, or that of a part, was taken
// already; one that wraps ErrMaybeQueued, and the task, or a part, may be queued;
// one that wraps ErrNotDurable, and it is queued; anything else is a failure of Redis
// before the task was on its way. To repeat the call under an ID of the caller's own is
// safe in every case. It returns within ClientConfig.Timeout, or when ctx ends.
func (c *Client) Enqueue(ctx context.Context, p Payload, opts ...Option) (Receipt, error) {
	t := Task{Payload: p}
	for _, opt := range opts {
		opt(&t)
	}
	receipts, err := c.EnqueueMany(ctx, []Task{t})
	if refused, ok := errors.AsType[*TaskError](err); ok {
		err = refused.Err
	}
	if err != nil {
		return Receipt{}, err
	}
	return receipts[0], receipts[0].Err
}

// EnqueueMany queues many tasks in few round trips, far faster than Enqueue in
// a loop. All tasks are checked first: if one is refused, nothing is queued and
// the error is a *TaskError with its index. Otherwise there is one receipt for
// each task, in order, with its own error; a task that was split has one, too.
func (c *Client) EnqueueMany(ctx context.Context, list []Task) ([]Receipt, error) {
	ctx, span := c.span(ctx)
	defer span.End()
	now := time.Now()
	receipts := make([]Receipt, len(list))
	items, err := c.prepareAll(list, receipts, now)
	if err != nil {
		span.refused()
		return nil, err
	}
	span.about(items)
	headers := traceHeaders(ctx, "")
	for _, item := range items {
		item.headers = headers
	}
	c.enqueue(ctx, items)
	for i := range receipts {
		if r := &receipts[i]; r.Parts != nil {
			r.join()
		}
	}
	span.queued(receipts)
	return receipts, nil
}

// prepareShare is how many tasks are worth a goroutine that prepares them.
const prepareShare = 256

// prepareAll checks and encodes tasks, on all processors when they are many. Their
// receipts will be filled in where they stand. The error is a *TaskError.
func (c *Client) prepareAll(list []Task, receipts []Receipt, now time.Time) ([]*enqueueItem, error) {
	share := max(prepareShare, (len(list)+runtime.GOMAXPROCS(0)-1)/runtime.GOMAXPROCS(0))
	if len(list) <= share {
		return c.prepare(list, receipts, 0, now)
	}
	type prepared struct {
		items []*enqueueItem
		err   error
	}
	shares := make([]prepared, (len(list)+share-1)/share)
	var wg sync.WaitGroup
	for i := range shares {
		from, to := i*share, min((i+1)*share, len(list))
		wg.Go(func() { shares[i].items, shares[i].err = c.prepare(list[from:to], receipts[from:to], from, now) })
	}
	wg.Wait()
	items := make([]*enqueueItem, 0, len(list))
	for _, one := range shares {
		if one.err != nil {
			return nil, one.err
		}
		items = append(items, one.items...)
	}
	return items, nil
}

// prepare checks and encodes tasks, of which the first has an index.
func (c *Client) prepare(list []Task, receipts []Receipt, index int, now time.Time) ([]*enqueueItem, error) {
	items := make([]*enqueueItem, 0, len(list))
	for i, t := range list {
		t = t.withDefaults(c.app, now)
		t.Generation, t.given, t.nonce = 0, t.ID != "", rand.Text()[:16]
		if !t.given {
			t.ID = rand.Text()
		}
		var err error
		if items, err = t.prepare(items, &receipts[i]); err != nil {
			return nil, &TaskError{Index: index + i, Err: err}
		}
	}
	return items, nil
}

// prepare appends the task, or its parts, to the items to be queued.
func (t Task) prepare(items []*enqueueItem, r *Receipt) ([]*enqueueItem, error) {
	parts, payload, err := t.split()
	if err == nil && t.given && isPartID(t.ID) {
		err = fieldErr("id", t.ID, "must not end in .part and a number, which names the parts of a list that was split")
	}
	if err != nil {
		return nil, err
	}
	if parts == nil {
		item := &enqueueItem{task: t, receipt: r}
		item.payload, err = t.encode(payload)
		return append(items, item), err
	}
	*r = Receipt{ID: t.ID, App: t.App, Queue: t.Queue(), Parts: make([]Receipt, len(parts))}
	list := &enqueueItem{task: t}
	if list.listClaim, err = claimOfList(t, len(parts)); err != nil {
		return nil, err
	}
	for j, part := range parts {
		item := &enqueueItem{task: part, receipt: &r.Parts[j], partOf: list}
		if item.payload, err = Encode(part); err != nil {
			return nil, err
		}
		items = append(items, item)
	}
	return items, nil
}

// A TaskError says which task of a list was refused.
type TaskError struct {
	Index int // in the list, from 0
	Err   error
}

func (e *TaskError) Error() string { return fmt.Sprintf("task %d: %v", e.Index, e.Err) }

// Unwrap returns the reason.
func (e *TaskError) Unwrap() error { return e.Err }

// Requeue queues t as a further generation of its task, with a fresh budget:
// the resend of a dead letter. The caller has made sure that this generation is due. To
// repeat it is safe: the second call finds the generation queued and returns
// nil. Errors are as those of Enqueue, never ErrDuplicate; a list too long for
// one call is refused with a *FieldError, never split.
func (c *Client) Requeue(ctx context.Context, t Task, generation int) error {
	t.Generation = generation
	return c.RequeueMany(ctx, []Task{t})[0]
}

// RequeueMany is Requeue for many tasks at once, each as the generation that it
// names. It returns one error for each, nil for one that is queued.
func (c *Client) RequeueMany(ctx context.Context, list []Task) []error {
	ctx, span := c.span(ctx)
	defer span.End()
	now := time.Now()
	errs := make([]error, len(list))
	receipts := make([]Receipt, len(list))
	items := make([]*enqueueItem, 0, len(list))
	for i, t := range list {
		t = t.withDefaults(c.app, now)
		t.ProcessAt = time.Time{}
		if t.ExpiresAt.Before(t.EnqueuedAt) {
			t.ExpiresAt = time.Time{} // whoever resends an expired task wants it made
		}
		var payload []byte
		if payload, errs[i] = t.requeued(); errs[i] == nil {
			items = append(items, &enqueueItem{task: t, receipt: &receipts[i], payload: payload, headers: traceHeaders(ctx, t.TraceLink)})
		}
	}
	span.about(items)
	c.enqueue(ctx, items)
	span.queued(receipts)
	for i, r := range receipts {
		if r.Err != nil && !errors.Is(r.Err, ErrDuplicate) {
			errs[i] = r.Err
		}
	}
	return errs
}

// requeued is the wire encoding of a further generation. Its error refuses what
// can't be queued as one.
func (t Task) requeued() ([]byte, error) {
	if err := checkID(t.ID); err != nil {
		return nil, err
	}
	if t.Generation < 1 {
		return nil, &FieldError{Field: "generation", Value: fmt.Sprint(t.Generation), Bound: "at least 1"}
	}
	if err := t.validateFields(); err != nil {
		return nil, err
	}
	if _, err := t.Payload.Request(t.ID); err != nil {
		return nil, within("payload", err)
	}
	return Encode(t)
}

// enqueueItem is one task on its way through enqueue.
type enqueueItem struct {
	task    Task
	receipt *Receipt          // filled in at the end
	queue   string            // where it goes; another producer's choice when taking over its claim
	payload []byte            // the task, encoded
	headers map[string]string // of its trace; most often none
	command recorded
	// tookOver says that the claim on the ID is another enqueue's.
	tookOver bool
	// partOf is the list that the task is a part of, or nil. The list itself is
	// not queued: it only claims its ID, with a listClaim.
	partOf    *enqueueItem
	listClaim string
	done      bool
	err       error
	durable   Durability
}

// enqueue claims the given IDs, queues the tasks, batch by batch, and fills in
// their receipts.
func (c *Client) enqueue(ctx context.Context, items []*enqueueItem) {
	if _, bounded := ctx.Deadline(); !bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.timeout*time.Duration(1+len(items)/enqueueBatch))
		defer cancel()
	}
	for i := range items {
		items[i].queue = items[i].task.Queue()
	}
	switch err := ctx.Err(); {
	case err != nil: // a sender, which doesn't know this context, could still be quicker
		for _, item := range items {
			item.fail(notQueued(err))
		}
	case len(items) == 1:
		c.claimLists(ctx, items)
		items[0] = c.together(ctx, items[0])
	default:
		c.claimLists(ctx, items)
		c.enqueueBatches(ctx, items)
	}
	for _, item := range items {
		*item.receipt = Receipt{ID: item.task.ID, App: item.task.App, Queue: item.queue, Durability: item.durable, Err: item.err}
	}
}

// enqueueBatches queues tasks in their order, a batch with each command. While one is
// on its way, the next is composed.
func (c *Client) enqueueBatches(ctx context.Context, items []*enqueueItem) {
	composed := make(chan []*enqueueItem, 1)
	go func() {
		defer close(composed)
		for batch := range slices.Chunk(items, enqueueBatch) {
			c.claim(ctx, batch)
			c.compose(ctx, batch)
			composed <- batch
		}
	}()
	for batch := range composed {
		c.deliver(ctx, batch)
	}
}

// deliver queues composed tasks and settles what became of them.
func (c *Client) deliver(ctx context.Context, batch []*enqueueItem) {
	if !c.durable {
		c.settleConflicts(ctx, batch, c.send(ctx, batch))
		return
	}
	c.settleConflicts(ctx, batch, c.sendDurably(ctx, batch))
	for _, item := range batch {
		item.checkDurable()
	}
}

func (i *enqueueItem) fail(err error) {
	i.done, i.err = true, fmt.Errorf("enqueue %s: %w", i.task.ID, err)
}

// compose makes the commands that queue the tasks of a batch.
func (c *Client) compose(ctx context.Context, batch []*enqueueItem) {
	for i := range batch {
		c.composeOne(ctx, batch[i])
	}
}

func (c *Client) composeOne(ctx context.Context, item *enqueueItem) {
	if item.done || item.command.source != "" {
		return
	}
	var err error
	if item.command, err = c.command(ctx, item); err != nil {
		item.fail(err)
	}
}

// command lets asynq build the command that queues the task, without sending
// it: asynq stays the one that knows its own format, and emq sends many at once.
func (c *Client) command(ctx context.Context, item *enqueueItem) (recorded, error) {
	t := item.task
	opts := []asynq.Option{
		asynq.TaskID(t.QueueID()), asynq.Queue(item.queue),
		// emq ends tasks itself; asynq must never do so by its own count.
		asynq.MaxRetry(math.MaxInt32),
		asynq.Timeout(callTimeout),
	}
	if t.ProcessAt.After(t.EnqueuedAt) {
		// asynq cuts times to the second; round up so that no call comes early.
		opts = append(opts, asynq.ProcessAt(t.ProcessAt.Add(time.Second-time.Nanosecond).Truncate(time.Second)))
	}
	return c.record.capture(ctx, func(ctx context.Context) error {
		_, err := c.asynq.EnqueueContext(ctx, asynq.NewTaskWithHeaders(string(t.Kind()), item.payload, item.headers), opts...)
		return err
	})
}
