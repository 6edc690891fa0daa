package dlq

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/imqueue/emq/tasks"
)

// An Operation does one thing to many entries of an app. Its members are frozen
// when it is made; workers do the work, whoever made it, and any of them goes on
// where another one stopped.
type Operation struct {
	ID     string         `json:"id"`
	App    string         `json:"app"`
	Action string         `json:"action"` // ActionResend, ActionDiscard or ActionRestore
	State  OperationState `json:"state"`
	Filter string         `json:"filter"` // what selected the members, in words
	By     string         `json:"by"`
	Reason string         `json:"reason,omitempty"`
	// Priority of the tasks that a resend queues.
	Priority tasks.Priority `json:"priority,omitempty"`
	// Rate is how many members are worked on in a second at most; 0: no limit but
	// the app's own.
	Rate float64 `json:"rate,omitempty"`

	MadeAt  time.Time `json:"made_at"`
	EndedAt time.Time `json:"ended_at,omitzero"`
	Worker  string    `json:"worker,omitempty"` // that works on it, or did so last

	// The account. Members are the total; of them so many were worked on, and of
	// these so many were changed (resent, discarded, restored), refused (the task
	// can't be resent as it is) or skipped (they had changed since).
	Members int `json:"members"`
	Worked  int `json:"worked"`
	Changed int `json:"changed"`
	Refused int `json:"refused"`
	Skipped int `json:"skipped"`
	// Refusal says of one of the refused why it is; empty without one.
	Refusal string `json:"refusal,omitempty"`
	// What became of the resent ones. The others are still at work.
	Delivered int `json:"delivered"`
	DeadAgain int `json:"dead_again"`
}

// AtWork is how many of the resent tasks have not ended yet.
func (o Operation) AtWork() int {
	if o.Action != ActionResend {
		return 0
	}
	return max(0, o.Changed-o.Delivered-o.DeadAgain)
}

// An OperationState says where an operation is in its life.
type OperationState string

const (
	// OpFrozen says that its members are known, and that nobody has started it. It
	// is forgotten after an hour.
	OpFrozen OperationState = "frozen"
	// OpRunning says that workers work on its members.
	OpRunning OperationState = "running"
	// OpWaiting says that all members were worked on, and some of the resent tasks
	// have not ended.
	OpWaiting OperationState = "waiting"
	// OpDone says that all members were worked on, and all that was resent has ended.
	OpDone OperationState = "done"
	// OpCancelled says that a person stopped it. What it had resent goes on.
	OpCancelled OperationState = "cancelled"
)

// OperationStates lists the states in the order of an operation's life.
func OperationStates() []OperationState {
	return []OperationState{OpFrozen, OpRunning, OpWaiting, OpDone, OpCancelled}
}

// Bounds of operations.
const (
	// OpRateMax bounds the rate of an operation, members a second.
	OpRateMax = 1_000_000
	// OpRateMin is one member an hour.
	OpRateMin = 1.0 / 3600
	// opFrozenFor is how long an operation that nobody starts is kept.
	opFrozenFor = time.Hour
	// dropWait bounds how long forgetting what could not be frozen may take.
	dropWait = time.Second
	// opFreezePage is how many members are frozen in one step.
	opFreezePage = PageMax / 2
)

// Fields of an operation that changes of its members count.
const (
	opChanged   = "changed"
	opDelivered = "delivered"
	opDeadAgain = "dead_again"
)

// A Bulk says what an operation is to do.
type Bulk struct {
	Action string // ActionResend, ActionDiscard or ActionRestore
	// Filter selects the members; its State is that from which the action starts.
	Filter Filter
	// IncludeUnknown resends also those of unknown outcome, whose calls may have
	// been carried out.
	IncludeUnknown bool
	// Max bounds the members of all apps together, the newest last failures first;
	// 0: no bound.
	Max      int
	Priority tasks.Priority // of resent tasks; empty means tasks.Low
	Rate     float64        // see Operation; for each app
	By       Actor
}

func (b Bulk) validate() error {
	if b.from() == "" {
		return &tasks.FieldError{Field: "action", Value: strconv.Quote(b.Action), Bound: "must be resend, discard or restore"}
	}
	if b.Max < 0 {
		return &tasks.FieldError{Field: "max", Value: strconv.Itoa(b.Max), Bound: "must not be negative"}
	}
	if b.Priority != "" && !slices.Contains(tasks.Priorities(), b.Priority) {
		return &tasks.FieldError{Field: "priority", Value: strconv.Quote(string(b.Priority)), Bound: "must be high, default or low"}
	}
	if err := checkRate(b.Rate); err != nil {
		return err
	}
	return b.Filter.validate()
}

func checkRate(rate float64) error {
	if rate != 0 && !(rate >= OpRateMin && rate <= OpRateMax) {
		return &tasks.FieldError{
			Field: "rate", Value: strconv.FormatFloat(rate, 'g', -1, 64) + "/s", Bound: "1 an hour to 1000000 a second, or 0 for no limit",
		}
	}
	return nil
}

// from is the state from which the action starts.
func (b Bulk) from() State {
	switch b.Action {
	case ActionResend, ActionDiscard:
		return StateDead
	case ActionRestore:
		return StateDiscarded
	default:
		return ""
	}
}

// filter selects the members.
func (b Bulk) filter() Filter {
	f := b.Filter
	f.State = b.from()
	f.known = b.Action == ActionResend && !b.IncludeUnknown
	return f
}

// Freeze makes an operation for each app that has entries the filter selects, in the
// order of the apps. Its members are those that there are when it is made: what dies later
// is none.
// Nothing is done to them until Start. progress, unless nil, is called with the number
// of entries that were looked at.
//
// Errors: a *tasks.FieldError for a bad Bulk, otherwise a failure of Redis. With an error
// no operation is left, unless Redis is away.
func (s *Store) Freeze(ctx context.Context, b Bulk, progress func(read int)) (ops []Operation, err error) {
	if err := b.validate(); err != nil {
		return nil, err
	}
	if b.Action == ActionResend && s.client == nil {
		return nil, fmt.Errorf("%s: %w", b.Action, errNoClient)
	}
	if b.Priority == "" {
		b.Priority = tasks.Low
	}
	f := b.filter()
	apps, err := s.appsOf(ctx, f)
	if err != nil {
		return nil, err
	}
	frozen := map[string]*Operation{}
	defer func() {
		if err != nil {
			s.dropAll(ctx, frozen)
		}
	}()
	left := b.Max
	visit := func(list []position, read int) error {
		if b.Max > 0 {
			list = list[:min(len(list), left)]
			left -= len(list)
		}
		members := map[string][]any{}
		for _, p := range list {
			members[p.app] = append(members[p.app], p.id+" "+strconv.FormatInt(p.at, 10))
		}
		for app, texts := range members {
			if frozen[app] == nil {
				op, err := s.makeOperation(ctx, app, b)
				if err != nil {
					return err
				}
				frozen[app] = &op
			}
			if err := s.addMembers(ctx, frozen[app], texts); err != nil {
				return err
			}
		}
		if progress != nil {
			progress(read)
		}
		if b.Max > 0 && left == 0 {
			return errStop
		}
		return nil
	}
	if b.Max > 0 {
		err = s.freeze(ctx, f, visit)
	} else {
		// App by app: in the order of them all, a piece of each is read and most of it
		// is dropped.
		for i := 0; i < len(apps) && err == nil; i++ {
			f.App = apps[i]
			err = s.freeze(ctx, f, visit)
		}
	}
	if err != nil && !errors.Is(err, errStop) {
		return nil, err
	}
	err = nil
	for _, app := range apps {
		if op := frozen[app]; op != nil {
			ops = append(ops, *op)
		}
	}
	return ops, nil
}

// dropAll forgets operations that could not be frozen as a whole, even when ctx has
// ended. Those that it can't are forgotten in an hour.
func (s *Store) dropAll(ctx context.Context, ops map[string]*Operation) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), dropWait)
	defer cancel()
	for app, op := range ops {
		_ = s.Drop(ctx, app, op.ID)
	}
}

// addMembers adds to the members of an operation.
func (s *Store) addMembers(ctx context.Context, op *Operation, texts []any) error {
	keys := []string{opMembersKey(op.App, op.ID), opKey(op.App, op.ID)}
	n, err := freezeScript.Run(ctx, s.redis, keys, append([]any{op.Members}, texts...)...).Int()
	if err == nil && n != op.Members+len(texts) {
		err = fmt.Errorf("%d members, want %d: %w", n, op.Members+len(texts), errDamaged)
	}
	if err != nil {
		return fmt.Errorf("freeze the members of operation %s: %w", op.ID, err)
	}
	op.Members = n
	return nil
}

// A Preview says what an operation would be about.
type Preview struct {
	Count   int     // members that it would have
	Sample  []Entry // some of them, the newest last failures
	Unknown int     // left out because their outcome is unknown
}

// sampleSize is how many entries a preview shows.
const sampleSize = 10

// Preview says what Freeze would make members of, and changes nothing. progress and
// errors are as those of Freeze.
func (s *Store) Preview(ctx context.Context, b Bulk, progress func(read int)) (Preview, error) {
	if err := b.validate(); err != nil {
		return Preview{}, err
	}
	var p Preview
	var err error
	if f := b.filter(); f.free() {
		err = s.previewRead(ctx, b, &p, progress)
	} else {
		err = s.previewCounted(ctx, b, &p, progress)
	}
	if err != nil {
		return Preview{}, err
	}
	p.Unknown, err = s.LeftOut(ctx, b)
	return p, err
}

// previewCounted is Preview for what sets of entries tell: it reads no more than the sample.
func (s *Store) previewCounted(ctx context.Context, b Bulk, p *Preview, progress func(read int)) error {
	f := b.filter()
	n, err := s.candidates(ctx, f)
	if err != nil {
		return err
	}
	size := sampleSize
	if b.Max > 0 {
		n, size = min(n, b.Max), min(size, b.Max)
	}
	page, err := s.List(ctx, f, "", size)
	if err != nil {
		return err
	}
	p.Count, p.Sample = n, page.Entries
	if progress != nil {
		progress(page.Read)
	}
	return nil
}

// previewRead is Preview for what only the entries tell.
func (s *Store) previewRead(ctx context.Context, b Bulk, p *Preview, progress func(read int)) error {
	var first []position
	err := s.freeze(ctx, b.filter(), func(list []position, read int) error {
		if b.Max > 0 {
			list = list[:min(len(list), b.Max-p.Count)]
		}
		p.Count += len(list)
		first = append(first, list[:min(len(list), sampleSize-len(first))]...)
		if progress != nil {
			progress(read)
		}
		if b.Max > 0 && p.Count == b.Max {
			return errStop
		}
		return nil
	})
	if err != nil && !errors.Is(err, errStop) {
		return err
	}
	entries, err := s.read(ctx, first)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e != nil {
			p.Sample = append(p.Sample, *e)
		}
	}
	return nil
}

// LeftOut counts what the filter selects and the operation leaves out, because its
// outcome is unknown. Errors are as those of Freeze.
func (s *Store) LeftOut(ctx context.Context, b Bulk) (int, error) {
	f := b.filter()
	if !f.known {
		return 0, b.validate()
	}
	f.known, f.unknown = false, true
	return s.Count(ctx, f)
}

// freeze visits the places of the entries that the filter selects. Unless it names a
// target or a text, no entry is read.
func (s *Store) freeze(ctx context.Context, f Filter, visit func(list []position, read int) error) error {
	if f.free() {
		return s.walk(ctx, f, position{}, PageMax/2, func(piece []seen, _ bool) error {
			var list []position
			for _, x := range piece {
				if x.entry != nil {
					list = append(list, x.at)
				}
			}
			return visit(list, len(piece))
		})
	}
	sets, err := s.sets(ctx, f)
	if err != nil {
		return err
	}
	low, _ := f.scores()
	after := f.begin(position{})
	for {
		found, more, err := s.page(ctx, sets, after, low, opFreezePage)
		if err != nil {
			return err
		}
		if err := visit(found, len(found)); err != nil {
			return err
		}
		if !more {
			return nil
		}
		after = found[len(found)-1]
	}
}

// makeOperation makes an operation without members.
func (s *Store) makeOperation(ctx context.Context, app string, b Bulk) (Operation, error) {
	op := Operation{
		ID: strings.ToLower(rand.Text()[:10]), App: app, Action: b.Action, State: OpFrozen, Filter: b.Filter.String(),
		By: tasks.Printable(b.By.Name, wordMax), Reason: tasks.Printable(b.By.Note, noteMax), Rate: b.Rate,
		MadeAt: s.now().UTC().Truncate(time.Millisecond),
	}
	if b.Action == ActionResend {
		op.Priority = b.Priority
	}
	pipe := s.redis.TxPipeline()
	pipe.HSet(ctx, opKey(app, op.ID), "action", op.Action, "state", string(op.State), "filter", op.Filter, "by", op.By, "reason", op.Reason,
		"rate", strconv.FormatFloat(op.Rate, 'g', -1, 64), "priority", string(op.Priority), "made", op.MadeAt.UnixMilli())
	pipe.ZAdd(ctx, opsKey(app), redis.Z{Score: float64(op.MadeAt.UnixMilli()), Member: op.ID})
	if _, err := pipe.Exec(ctx); err != nil {
		return Operation{}, fmt.Errorf("make an operation: %w", err)
	}
	return op, nil
}

// readOperation reads the fields of an operation.
func readOperation(app, id string, f map[string]string) Operation {
	count := func(field string) int {
		n, _ := strconv.Atoi(f[field])
		return n
	}
	op := Operation{
		ID: id, App: app, Action: f["action"], State: OperationState(f["state"]), Filter: f["filter"], By: f["by"], Reason: f["reason"],
		Priority: tasks.Priority(f["priority"]), MadeAt: readMS(f["made"]), EndedAt: readMS(f["ended"]), Worker: f["worker"], Refusal: f["refusal"],
		Members: count("members"), Worked: count("worked"), Changed: count(opChanged), Refused: count("refused"),
		Delivered: count(opDelivered), DeadAgain: count(opDeadAgain),
	}
	op.Rate, _ = strconv.ParseFloat(f["rate"], 64)
	op.Skipped = max(0, op.Worked-op.Changed-op.Refused)
	return op
}

// GetOperation reads an operation. Its error wraps ErrNotFound when there is none.
func (s *Store) GetOperation(ctx context.Context, app, id string) (Operation, error) {
	if err := tasks.CheckApp(app); err != nil {
		return Operation{}, err
	}
	fields, err := s.redis.HGetAll(ctx, opKey(app, id)).Result()
	if err != nil {
		return Operation{}, fmt.Errorf("get operation %s: %w", id, err)
	}
	if fields["state"] == "" {
		return Operation{}, fmt.Errorf("operation %s of app %s: %w", id, app, ErrNotFound)
	}
	return readOperation(app, id, fields), nil
}

// FindOperation reads the operation with this ID, whichever app's it is. Its error
// wraps ErrNotFound when there is none.
func (s *Store) FindOperation(ctx context.Context, id string) (Operation, error) {
	apps, err := s.Apps(ctx)
	if err != nil {
		return Operation{}, err
	}
	for _, app := range apps {
		op, err := s.GetOperation(ctx, app, id)
		if !errors.Is(err, ErrNotFound) {
			return op, err
		}
	}
	return Operation{}, fmt.Errorf("operation %s: %w", tasks.Printable(id, wordMax), ErrNotFound)
}

// Operations lists the operations of these apps, or of all, the newest first. Ended
// ones are kept as long as ended entries.
func (s *Store) Operations(ctx context.Context, apps ...string) ([]Operation, error) {
	apps, err := s.someApps(ctx, apps)
	if err != nil {
		return nil, err
	}
	var ops []Operation
	for _, app := range apps {
		ids, err := s.redis.ZRevRange(ctx, opsKey(app), 0, -1).Result()
		if err != nil {
			return nil, fmt.Errorf("list operations of %s: %w", app, err)
		}
		list, err := s.readOperations(ctx, app, ids)
		if err != nil {
			return nil, err
		}
		ops = append(ops, list...)
	}
	slices.SortStableFunc(ops, func(a, b Operation) int { return b.MadeAt.Compare(a.MadeAt) })
	return ops, nil
}

func (s *Store) readOperations(ctx context.Context, app string, ids []string) ([]Operation, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	pipe := s.redis.Pipeline()
	read := make([]*redis.MapStringStringCmd, len(ids))
	for i, id := range ids {
		read[i] = pipe.HGetAll(ctx, opKey(app, id))
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, fmt.Errorf("read operations of %s: %w", app, err)
	}
	var ops []Operation
	for i, id := range ids {
		if fields := read[i].Val(); fields["state"] != "" {
			ops = append(ops, readOperation(app, id, fields))
		}
	}
	return ops, nil
}

// Start lets workers work on a frozen operation. Errors wrap ErrNotFound, or
// ErrState for one that was started or has ended.
func (s *Store) Start(ctx context.Context, app, id string, by Actor) error {
	op, err := s.GetOperation(ctx, app, id)
	if err != nil {
		return err
	}
	return s.turn(ctx, op, ActionStart, by, OpRunning, OpFrozen)
}

// Cancel stops an operation: no further member is worked on. Errors are as those
// of Start.
func (s *Store) Cancel(ctx context.Context, app, id string, by Actor) error {
	op, err := s.GetOperation(ctx, app, id)
	if err != nil {
		return err
	}
	return s.turn(ctx, op, ActionCancel, by, OpCancelled, OpFrozen, OpRunning)
}

// turn puts an operation into another state, if it is in one of some.
func (s *Store) turn(ctx context.Context, op Operation, action string, by Actor, to OperationState, from ...OperationState) error {
	what := fmt.Sprintf("%s: %s %s", op.ID, op.Action, op.Filter)
	line := s.auditLine(action, op.App, what, op.Members, by)
	args := []any{op.ID, string(to), s.now().UnixMilli(), line, auditMax}
	for _, state := range from {
		args = append(args, string(state))
	}
	keys := []string{opKey(op.App, op.ID), activeOpsKey(op.App), opMembersKey(op.App, op.ID), auditKey(op.App)}
	was, err := turnScript.Run(ctx, s.redis, keys, args...).Text()
	switch {
	case err != nil:
		return fmt.Errorf("%s operation %s: %w", action, op.ID, err)
	case was == "":
		return fmt.Errorf("operation %s of app %s: %w", op.ID, op.App, ErrNotFound)
	case !slices.Contains(from, OperationState(was)):
		return fmt.Errorf("%s operation %s: it is %s: %w", action, op.ID, was, ErrState)
	}
	return nil
}

// SetRate changes the rate of an operation that has not ended. Errors: a
// *tasks.FieldError for a bad rate, otherwise as those of Start.
func (s *Store) SetRate(ctx context.Context, app, id string, rate float64, by Actor) error {
	if err := checkRate(rate); err != nil {
		return err
	}
	op, err := s.GetOperation(ctx, app, id)
	if err != nil {
		return err
	}
	if op.State != OpFrozen && op.State != OpRunning {
		return fmt.Errorf("rate of operation %s: it is %s: %w", id, op.State, ErrState)
	}
	pipe := s.redis.TxPipeline()
	pipe.HSet(ctx, opKey(app, id), "rate", strconv.FormatFloat(rate, 'g', -1, 64))
	s.audited(ctx, pipe, ActionRate, app, fmt.Sprintf("%s: %s", id, FormatRate(rate)), op.Members, by)
	if _, err := pipe.Exec(ctx); err != nil {
		return fmt.Errorf("rate of operation %s: %w", id, err)
	}
	return nil
}

// FormatRate is a rate as persons write it: "20/s", "30/m", "none".
func FormatRate(rate float64) string {
	for _, unit := range []struct {
		name    string
		seconds float64
	}{{"s", 1}, {"m", 60}, {"h", 3600}} {
		if rate*unit.seconds >= 1 {
			return strconv.FormatFloat(rate*unit.seconds, 'g', 6, 64) + "/" + unit.name
		}
	}
	return "none"
}

// ParseRate reads a rate: a number and "/s", "/m" or "/h", or "none". Its error is a
// *tasks.FieldError.
func ParseRate(text string) (float64, error) {
	if text == "none" {
		return 0, nil
	}
	number, unit, _ := strings.Cut(text, "/")
	n, err := strconv.ParseFloat(number, 64)
	seconds := map[string]float64{"s": 1, "m": 60, "h": 3600}[unit]
	if err != nil || seconds == 0 || n <= 0 {
		return 0, &tasks.FieldError{Field: "rate", Value: strconv.Quote(tasks.Printable(text, wordMax)), Bound: "must be such as 20/s, 30/m or 100/h, or none"}
	}
	return n / seconds, checkRate(n / seconds)
}
