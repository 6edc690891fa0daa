package worker

import (
	"context"
	"errors"
	"math"
	"time"

	xrate "golang.org/x/time/rate"

	"github.com/imqueue/emq/dlq"
)

// operationsEvery is how often a worker looks for operations to work on.
const operationsEvery = time.Second

// operations works on the operations of one app, those that persons started to
// resend or discard many dead letters. One worker does so for all.
type operations struct {
	store *dlq.Store
	app   string
	name  string
	paces map[string]*xrate.Limiter // by operation
}

func newOperations(store *dlq.Store, app, name string) *operations {
	return &operations{store: store, app: app, name: name, paces: map[string]*xrate.Limiter{}}
}

// work takes up pieces of all active operations in turn until they have nothing
// left to do for now.
func (o *operations) work(ctx context.Context) error {
	active, err := o.store.ActiveOperations(ctx, o.app)
	if err != nil {
		return err
	}
	o.forget(active)
	var errs []error
	for len(active) > 0 && ctx.Err() == nil {
		if mine, err := o.store.Lease(ctx, o.app, dlq.WorkOperations, o.name); err != nil || !mine {
			return errors.Join(append(errs, err)...)
		}
		var busy []dlq.Operation
		for _, op := range active {
			after, n, err := o.store.Work(ctx, op, o.piece(op), o.name)
			if err != nil {
				errs = append(errs, err)
				continue
			}
			if n > 0 {
				o.spend(after, n)
				busy = append(busy, after)
			}
		}
		active = busy
	}
	return errors.Join(errs...)
}

// piece is how many members of an operation may be worked on now.
func (o *operations) piece(op dlq.Operation) int {
	if op.Rate == 0 {
		delete(o.paces, op.ID)
		return dlq.BulkMax
	}
	pace := o.paces[op.ID]
	if pace == nil || pace.Limit() != xrate.Limit(op.Rate) {
		// What falls due from one look to the next, and a little over, so that a late
		// look loses nothing.
		burst := max(1, int(math.Ceil(op.Rate*2*operationsEvery.Seconds())))
		pace = xrate.NewLimiter(xrate.Limit(op.Rate), burst)
		pace.ReserveN(time.Now(), burst-1)
		o.paces[op.ID] = pace
	}
	return min(int(pace.Tokens()), dlq.BulkMax)
}

// spend notes that so many members were worked on.
func (o *operations) spend(op dlq.Operation, n int) {
	if pace := o.paces[op.ID]; pace != nil {
		pace.ReserveN(time.Now(), n)
	}
}

// forget drops the paces of operations that have ended.
func (o *operations) forget(active []dlq.Operation) {
	paces := map[string]*xrate.Limiter{}
	for _, op := range active {
		if pace := o.paces[op.ID]; pace != nil {
			paces[op.ID] = pace
		}
	}
	o.paces = paces
}
