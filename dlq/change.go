package dlq

import (
	"context"
	_ "embed"
	"errors"
	"fmt"

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
	//go:embed lua/unknown.lua
	unknownSource string

	changeScript  = redis.NewScript(changeSource)
	purgeScript   = redis.NewScript(purgeSource)
	dropScript    = redis.NewScript(dropSource)
	pageScript    = redis.NewScript(pageSource)
	releaseScript = redis.NewScript(releaseSource)
	unknownScript = redis.NewScript(unknownSource)
)

// changeTries bounds how often a change starts over because somebody else's
// came first. Each time, that other change was made.
const changeTries = 20

var errBusy = errors.New("changed by others all the time")

// change is the one way in which an entry changes: it reads the record, lets
// edit say what it becomes, and writes that if the entry is still as it was
// read; otherwise it starts over. edit gets nil when there is no entry, and
// returns nil to leave it as it is. cause is given when the change leads to a
// cause that may be new.
func (s *Store) change(ctx context.Context, op, app, id string, cause *Cause, edit func(old *record) (*record, error)) error {
	for range changeTries {
		old, err := s.load(ctx, app, id)
		if err != nil {
			return fmt.Errorf("%s %s: %w", op, id, err)
		}
		r, err := edit(old)
		if err != nil {
			return fmt.Errorf("%s %s: %w", op, id, err)
		}
		if r == nil {
			return nil
		}
		made, err := s.swap(ctx, old, r, cause)
		if err != nil {
			return fmt.Errorf("%s %s: %w", op, id, err)
		}
		if made {
			return nil
		}
	}
	return fmt.Errorf("%s %s: %w", op, id, errBusy)
}

// swap writes r in the place of old, which is nil for a new entry. It says
// whether old was still there.
func (s *Store) swap(ctx context.Context, old, r *record, cause *Cause) (bool, error) {
	body, err := r.encode()
	if err != nil {
		return false, err
	}
	if old == nil {
		// Before the entry, so that no entry is ever out of Find's sight.
		if err := s.redis.SAdd(ctx, tasks.AppsKey, r.app).Err(); err != nil {
			return false, err
		}
	}
	from, oldHead := r, ""
	if old != nil {
		from, oldHead = old, old.head()
	}
	ends, begins, ended := "", "", ""
	if old != nil && old.state == StateResending {
		ends = old.queueID()
	}
	switch r.state {
	case StateResending:
		begins = r.queueID()
	case StateResolved, StateDiscarded:
		ended = "1"
	}
	keys := []string{
		tasks.EntryKey(r.app, r.id),
		appKey(r.app, from.state), causeSetKey(r.app, from.state, from.cause),
		appKey(r.app, r.state), causeSetKey(r.app, r.state, r.cause),
		unconfirmedKey(r.app), endedKey(r.app), causesKey(r.app), causeKey(r.app, r.cause),
	}
	args := []any{
		r.id, oldHead, r.head(), body, r.last.UnixMilli(), r.changed.UnixMilli(), ends, begins, ended, r.cause,
	}
	if cause != nil {
		args = append(args, cause.fields()...)
	}
	made, err := changeScript.Run(ctx, s.redis, keys, args...).Bool()
	return made, err
}
