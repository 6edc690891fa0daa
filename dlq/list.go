package dlq

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/redis/go-redis/v9"

	"github.com/imqueue/emq/tasks"
)

// Bounds and default of a page.
const (
	PageDefault = 50
	PageMax     = 1000
)

// List reads a page of the entries that the filter selects, the newest last
// failure first. next is the cursor of the next page, "" when there is none.
// limit is 1 to PageMax; 0 means PageDefault.
//
// From page to page no entry is repeated or left out, whatever comes in at the
// head meanwhile. An entry that dies again meanwhile moves to the head.
//
// Errors: a *tasks.FieldError for a bad filter, cursor or limit, otherwise a
// failure of Redis.
func (s *Store) List(ctx context.Context, f Filter, cursor string, limit int) (entries []Entry, next string, err error) {
	if limit == 0 {
		limit = PageDefault
	}
	if limit < 0 || limit > PageMax {
		return nil, "", &tasks.FieldError{Field: "limit", Value: strconv.Itoa(limit), Bound: fmt.Sprintf("1 to %d", PageMax)}
	}
	if err := f.validate(); err != nil {
		return nil, "", err
	}
	after, err := readCursor(cursor)
	if err != nil {
		return nil, "", err
	}
	err = s.walk(ctx, f, after, limit, func(p position, e Entry, more bool) error {
		entries = append(entries, e)
		if len(entries) < limit {
			return nil
		}
		if more {
			next = p.cursor()
		}
		return errStop
	})
	if err != nil && !errors.Is(err, errStop) {
		return nil, "", err
	}
	return entries, next, nil
}

// Each calls fn for every entry that the filter selects, newest last failure
// first, and stops at fn's first error, which it returns. fn may change the
// entries' states. What dies meanwhile is not visited.
func (s *Store) Each(ctx context.Context, f Filter, fn func(Entry) error) error {
	if err := f.validate(); err != nil {
		return err
	}
	return s.walk(ctx, f, position{}, PageMax/2, func(_ position, e Entry, _ bool) error { return fn(e) })
}

// Count counts the entries that the filter selects.
func (s *Store) Count(ctx context.Context, f Filter) (int, error) {
	if err := f.validate(); err != nil {
		return 0, err
	}
	count := 0
	if f.Status != 0 {
		err := s.Each(ctx, f, func(Entry) error { count++; return nil })
		return count, err
	}
	sets, err := s.sets(ctx, f)
	if err != nil {
		return 0, err
	}
	low, high := f.scores()
	for app, keys := range sets {
		pipe := s.redis.TxPipeline()
		counts := make([]*redis.IntCmd, len(keys))
		for i, key := range keys {
			counts[i] = pipe.ZCount(ctx, key, low, high)
		}
		if _, err := pipe.Exec(ctx); err != nil {
			return 0, fmt.Errorf("count entries of %s: %w", app, err)
		}
		for _, n := range counts {
			count += int(n.Val())
		}
	}
	return count, nil
}

// errStop ends a walk.
var errStop = errors.New("stop")

// walk visits the selected entries after a position in order, from the head for
// the zero position, reading size at a time. visit also learns whether there may
// be more.
func (s *Store) walk(ctx context.Context, f Filter, after position, size int, visit func(p position, e Entry, more bool) error) error {
	if f.Status != 0 {
		size = PageMax // most of what is read may not be what is looked for
	}
	sets, err := s.sets(ctx, f)
	if err != nil {
		return err
	}
	low, _ := f.scores()
	after = f.begin(after)
	for {
		found, more, err := s.page(ctx, sets, after, low, size)
		if err != nil {
			return err
		}
		entries, err := s.read(ctx, found)
		if err != nil {
			return fmt.Errorf("read entries: %w", err)
		}
		for i, e := range entries {
			// One that went, or moved to the head, or changed its state between
			// the two reads is as if it had done so before the first.
			if e == nil || !e.unreadable() && (e.LastFailedAt.UnixMilli() != found[i].at ||
				f.State != "" && e.State != f.State || f.Status != 0 && e.Status != f.Status) {
				continue
			}
			if err := visit(found[i], *e, more || i < len(entries)-1); err != nil {
				return err
			}
		}
		if !more {
			return nil
		}
		after = found[len(found)-1]
	}
}

// sets are the sorted sets that together hold the selected entries, by app.
func (s *Store) sets(ctx context.Context, f Filter) (map[string][]string, error) {
	apps, err := s.appsOf(ctx, f)
	if err != nil {
		return nil, err
	}
	sets := map[string][]string{}
	for _, app := range apps {
		if !f.byCause() {
			for _, state := range f.states() {
				sets[app] = append(sets[app], appKey(app, state))
			}
			continue
		}
		causes, err := s.causesOf(ctx, app, f)
		if err != nil {
			return nil, err
		}
		for _, c := range causes {
			for _, state := range f.states() {
				sets[app] = append(sets[app], causeSetKey(app, state, c.ID))
			}
		}
	}
	return sets, nil
}

// appsOf lists the apps that the filter selects.
func (s *Store) appsOf(ctx context.Context, f Filter) ([]string, error) {
	if f.App != "" {
		return []string{f.App}, nil
	}
	return s.Apps(ctx)
}

// page reads the next positions of the sets, merged, and whether there are more
// after them. The sets of one app are read at one moment, so that an entry that
// moves from one to another is met once.
func (s *Store) page(ctx context.Context, sets map[string][]string, after position, low string, limit int) ([]position, bool, error) {
	var found []position
	more := false
	for app, keys := range sets {
		itself := ""
		if app < after.app {
			itself = "1" // the same ID at the same time comes after, in this app
		}
		pieces, err := pageScript.Run(ctx, s.redis, keys, after.at, after.id, itself, low, limit).Slice()
		if err != nil {
			return nil, false, fmt.Errorf("list entries of %s: %w", app, err)
		}
		for _, piece := range pieces {
			list, _ := piece.([]any)
			for i := 2; i < len(list); i += 2 {
				id, _ := list[i-1].(string)
				score, _ := list[i].(string)
				at, err := strconv.ParseFloat(score, 64)
				if err != nil {
					return nil, false, fmt.Errorf("list entries of %s: time of %s: %w", app, id, errDamaged)
				}
				found = append(found, position{at: int64(at), id: id, app: app})
			}
			more = more || len(list) > 0 && list[0] == "1"
		}
	}
	slices.SortFunc(found, position.compare)
	if len(found) > limit {
		found, more = found[:limit], true
	}
	return found, more, nil
}
