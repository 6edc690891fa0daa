package dlq

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/redis/go-redis/v9"

	"github.com/imqueue/emq/tasks"
)

var (
	//go:embed lua/change.lua
	changeSource string
	//go:embed lua/purge.lua
	purgeSource string
	//go:embed lua/drop.lua
	dropSource string
	//go:embed lua/page.lua
	pageSource string
	//go:embed lua/release.lua
	releaseSource string
	//go:embed lua/once.lua
	onceSource string
	//go:embed lua/unknown.lua
	unknownSource string
	//go:embed lua/freeze.lua
	freezeSource string
	//go:embed lua/turn.lua
	turnSource string
	//go:embed lua/advance.lua
	advanceSource string
	//go:embed lua/lease.lua
	leaseSource string

	changeScript  = redis.NewScript(changeSource)
	purgeScript   = redis.NewScript(purgeSource)
	dropScript    = redis.NewScript(dropSource)
	pageScript    = redis.NewScript(pageSource)
	releaseScript = redis.NewScript(releaseSource)
	onceScript    = redis.NewScript(onceSource)
	unknownScript = redis.NewScript(unknownSource)
	freezeScript  = redis.NewScript(freezeSource)
	turnScript    = redis.NewScript(turnSource)
	advanceScript = redis.NewScript(advanceSource)
	leaseScript   = redis.NewScript(leaseSource)
)

// changeTries bounds how often a change starts over because somebody else's
// came first. Each time, that other change was made.
const changeTries = 20

var (
	errBusy = errors.New("changed by others all the time")
	// errNewCause says that Redis must be told what the cause of the change is.
	errNewCause = errors.New("the cause is new")
	// errTooManyCauses says that the app has CausesMax causes.
	errTooManyCauses = errors.New("too many causes")
)

// A change is what happens to an entry.
type change struct {
	op    string // for errors
	app   string
	id    string
	cause *Cause // that it leads to, when it may be a new one
	by    Actor
	// fresh says that there is most likely no entry yet, so that none is looked for
	// at first.
	fresh bool
	// edit says what the entry becomes. It gets nil when there is no entry, and
	// returns nil to leave it as it is.
	edit func(old *record) (*record, error)
}

// change is the one way in which an entry changes: it reads the record, lets
// edit say what it becomes, and writes that if the entry is still as it was
// read; otherwise it starts over.
func (s *Store) change(ctx context.Context, c change) error {
	fail := func(err error) error { return fmt.Errorf("%s %s: %w", c.op, c.id, err) }
	for try := range changeTries {
		var old *record
		if !c.fresh || try > 0 {
			var err error
			if old, err = s.load(ctx, c.app, c.id); err != nil {
				return fail(err)
			}
		}
		r, err := c.edit(old)
		if err != nil {
			return fail(err)
		}
		if r == nil {
			return nil
		}
		made, err := s.swap(ctx, old, r, c)
		if err != nil {
			return fail(err)
		}
		if made {
			return nil
		}
	}
	return fail(errBusy)
}

// swap writes r in the place of old, which is nil for a new entry. It says
// whether old was still there.
func (s *Store) swap(ctx context.Context, old, r *record, c change) (bool, error) {
	if old == nil {
		// Before the entry, so that no entry is ever out of Find's sight.
		if err := s.enrollOnce(ctx, r.app); err != nil {
			return false, err
		}
	}
	command, err := s.compose(old, r, c)
	if err != nil {
		return false, err
	}
	made, err := command.answer(changeScript.Run(ctx, s.redis, command.keys, command.args...))
	if errors.Is(err, errNewCause) {
		command.args = append(command.args, c.cause.fields()...)
		made, err = command.answer(changeScript.Run(ctx, s.redis, command.keys, command.args...))
	}
	return made, err
}

// A changeCommand is one call of the script that changes entries.
type changeCommand struct {
	keys []string
	args []any
}

// compose is the call that writes r in the place of old.
func (s *Store) compose(old, r *record, c change) (changeCommand, error) {
	body, err := r.encode(s.codec)
	if err != nil {
		return changeCommand{}, err
	}
	from, oldHead, oldState := r, "", State("")
	if old != nil {
		from, oldHead, oldState = old, old.head(), old.state
	}
	ends, begins, ended, counted := "", "", "", ""
	countedBy := noOp
	if old != nil && old.state == StateResending {
		ends = old.queueID()
		if old.op != "" && r.state == StateResolved {
			counted, countedBy = opDelivered, old.op
		} else if old.op != "" {
			counted, countedBy = opDeadAgain, old.op
		}
	}
	if c.by.op != "" {
		counted, countedBy = opChanged, c.by.op
	}
	switch r.state {
	case StateResending:
		begins = r.queueID()
	case StateResolved, StateDiscarded:
		ended = "1"
	}
	line := ""
	if c.by.op == "" { // else the operation's own line speaks of it
		line = s.auditLine(r.body.Events[len(r.body.Events)-1].Action, r.app, r.id, 1, c.by)
	}
	keys := []string{
		tasks.EntryKey(r.app, r.id),
		causeSetKey(r.app, from.state, from.cause, from.status), causeSetKey(r.app, r.state, r.cause, r.status),
		unconfirmedKey(r.app), endedKey(r.app), causesKey(r.app),
		causeKey(r.app, from.cause), causeKey(r.app, r.cause),
		opKey(r.app, countedBy), auditKey(r.app),
	}
	listed := 0
	if old == nil || !old.last.Equal(r.last) || !slices.Equal(old.body.Buckets, r.body.Buckets) {
		listed = len(r.body.Buckets)
		keys = append(keys, bucketKeys(r.app, r.body.Buckets)...)
		if old != nil {
			keys = append(keys, bucketKeys(r.app, slices.DeleteFunc(slices.Clone(old.body.Buckets), func(bucket int) bool {
				return slices.Contains(r.body.Buckets, bucket)
			}))...)
		}
	}
	causePrint, most := "", CausesMax
	if c.cause != nil {
		if causePrint = c.cause.print(); c.cause.Description == "" && c.cause.Error == "" {
			most = math.MaxInt32 // see coarse
		}
	}
	return changeCommand{keys, []any{
		r.id, oldHead, r.head(), body, r.last.UnixMilli(), r.changed.UnixMilli(), ends, begins, ended,
		string(oldState), string(r.state), counted, line, auditMax, r.cause, causePrint, r.status, listed, most,
	}}, nil
}

// answer reads what the script returned: whether the change was made.
func (changeCommand) answer(cmd *redis.Cmd) (bool, error) {
	switch n, err := cmd.Int(); {
	case err != nil:
		return false, err
	case n == -1:
		return false, errNewCause
	case n == -2:
		return false, errTooManyCauses
	default:
		return n == 1, nil
	}
}
