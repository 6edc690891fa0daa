package dlq

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"

	"github.com/imqueue/emq/tasks"
)

// Bounds and default of a page.
const (
	PageDefault = 50
	PageMax     = 1000
)

// scanMax is how many entries a page reads at most to find those that a filter by
// target or text selects.
const scanMax = 5000

// A Page is a piece of a list of entries.
type Page struct {
	Entries []Entry
	Next    string // cursor of the next page; "" when there is none
	Read    int    // how many entries were looked at
}

// List reads a page of the entries that the filter selects, the newest last
// failure first. limit is 1 to PageMax; 0 means PageDefault. Under a filter by
// target or text, a page may hold fewer entries than limit, even none, and
// have a next one: it ends when enough entries were looked at.
//
// From page to page no entry is repeated or left out, whatever comes in at the
// head meanwhile. An entry that dies again meanwhile moves to the head.
//
// Errors: a *tasks.FieldError for a bad filter, cursor or limit, otherwise a
// failure of Redis.
func (s *Store) List(ctx context.Context, f Filter, cursor string, limit int) (Page, error) {
	limit, err := pageLimit(limit)
	if err != nil {
		return Page{}, err
	}
	if err := f.validate(); err != nil {
		return Page{}, err
	}
	after, err := readCursor(cursor)
	if err != nil {
		return Page{}, err
	}
	size := limit
	if f.free() {
		size = PageMax / 2
	}
	var page Page
	err = s.walk(ctx, f, after, size, func(seen []seen, more bool) error {
		for i, x := range seen {
			page.Read++
			if x.entry != nil {
				page.Entries = append(page.Entries, *x.entry)
			}
			if len(page.Entries) == limit || page.Read == scanMax {
				if more || i < len(seen)-1 {
					page.Next = x.at.cursor()
				}
				return errStop
			}
		}
		return nil
	})
	if err != nil && !errors.Is(err, errStop) {
		return Page{}, err
	}
	return page, nil
}

// pageLimit checks how many things a page is to hold.
func pageLimit(limit int) (int, error) {
	if limit == 0 {
		return PageDefault, nil
	}
	if limit < 0 || limit > PageMax {
		return 0, &tasks.FieldError{Field: "limit", Value: strconv.Itoa(limit), Bound: fmt.Sprintf("1 to %d", PageMax)}
	}
	return limit, nil
}

// Each calls fn for every entry that the filter selects, newest last failure
// first, and stops at fn's first error, which it returns. fn may change the
// entries' states. What dies meanwhile is not visited.
func (s *Store) Each(ctx context.Context, f Filter, fn func(Entry) error) error {
	if err := f.validate(); err != nil {
		return err
	}
	return s.walk(ctx, f, position{}, PageMax/2, func(seen []seen, _ bool) error {
		for _, x := range seen {
			if x.entry == nil {
				continue
			}
			if err := fn(*x.entry); err != nil {
				return err
			}
		}
		return nil
	})
}

// Count counts the entries that the filter selects. It reads no entries, unless
// the filter names a target or a text.
func (s *Store) Count(ctx context.Context, f Filter) (int, error) {
	if err := f.validate(); err != nil {
		return 0, err
	}
	if f.free() {
		count := 0
		err := s.Each(ctx, f, func(Entry) error { count++; return nil })
		return count, err
	}
	return s.candidates(ctx, f)
}

// Candidates is how many entries must be looked at to find all that the filter
// selects: with a filter by target or text more than there are.
func (s *Store) Candidates(ctx context.Context, f Filter) (int, error) {
	if err := f.validate(); err != nil {
		return 0, err
	}
	return s.candidates(ctx, f)
}

func (s *Store) candidates(ctx context.Context, f Filter) (int, error) {
	sets, err := s.sets(ctx, f)
	if err != nil {
		return 0, err
	}
	count := 0
	low, high := f.scores()
	for app, keys := range sets {
		pipe := s.redis.Pipeline()
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

// seen is a position that a walk came by, and the entry there if it is selected.
type seen struct {
	at    position
	entry *Entry
}

// walk visits the entries after a position in order, from the head for the zero
// position, reading size at a time: those that may be selected, with those that are.
// visit also learns whether there may be more.
func (s *Store) walk(ctx context.Context, f Filter, after position, size int, visit func(piece []seen, more bool) error) error {
	sets, err := s.sets(ctx, f)
	if err != nil {
		return err
	}
	low, _ := f.scores()
	after = f.begin(after)
	reader := s.newReader(f)
	for {
		found, more, err := s.page(ctx, sets, after, low, size)
		if err != nil {
			return err
		}
		entries, err := reader.read(ctx, found)
		if err != nil {
			return fmt.Errorf("read entries: %w", err)
		}
		piece := make([]seen, len(found))
		for i, e := range entries {
			piece[i].at = found[i]
			// One that went, or moved to the head, or changed its state between
			// the two reads is as if it had done so before the first.
			if e != nil && (e.unreadable() && !f.free() || e.LastFailedAt.UnixMilli() == found[i].at && f.matches(e)) {
				piece[i].entry = e
			}
		}
		if err := visit(piece, more); err != nil {
			return err
		}
		if !more {
			return nil
		}
		after = found[len(found)-1]
	}
}

// sets are the sorted sets that together hold the entries that may be selected, by
// app.
func (s *Store) sets(ctx context.Context, f Filter) (map[string][]string, error) {
	apps, err := s.appsOf(ctx, f)
	if err != nil {
		return nil, err
	}
	sets := map[string][]string{}
	if f.Target != "" {
		for _, app := range apps {
			sets[app] = bucketKeys(app, []int{bucketOf(f.Target), wideBucket})
		}
		return sets, nil
	}
	selected := make([][]Cause, len(apps))
	err = forEach(len(apps), func(i int) (err error) {
		selected[i], err = s.selectCauses(ctx, apps[i], f)
		return err
	})
	if err != nil {
		return nil, err
	}
	for i, app := range apps {
		for _, c := range selected[i] {
			for _, state := range f.states() {
				sets[app] = append(sets[app], c.sets(f, state)...)
			}
		}
		if len(sets[app]) == 0 {
			delete(sets, app)
		}
	}
	return sets, nil
}

// appsAtOnce is how many apps are asked at a time.
const appsAtOnce = 8

// forEach calls do for 0 to n-1, several at a time, and returns the first error.
func forEach(n int, do func(i int) error) error {
	if n == 1 {
		return do(0)
	}
	var group errgroup.Group
	group.SetLimit(appsAtOnce)
	for i := range n {
		group.Go(func() error { return do(i) })
	}
	return group.Wait()
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
	apps := slices.Collect(maps.Keys(sets))
	lists := make([][]string, len(apps))
	err := forEach(len(apps), func(i int) (err error) {
		itself := ""
		if apps[i] < after.app {
			itself = "1" // the same ID at the same time comes after, in this app
		}
		from := ""
		if after.at != headMS {
			from = strconv.FormatInt(after.at, 10)
		}
		lists[i], err = pageScript.Run(ctx, s.redis, sets[apps[i]], from, after.id, itself, low, limit).StringSlice()
		if err != nil {
			err = fmt.Errorf("list entries of %s: %w", apps[i], err)
		}
		return err
	})
	if err != nil {
		return nil, false, err
	}
	var found []position
	more := false
	for i, list := range lists {
		for j := 2; j < len(list); j += 2 {
			at, err := strconv.ParseFloat(list[j], 64)
			if err != nil {
				return nil, false, fmt.Errorf("list entries of %s: time of %s: %w", apps[i], list[j-1], errDamaged)
			}
			found = append(found, position{at: int64(at), id: list[j-1], app: apps[i]})
		}
		more = more || len(list) > 0 && list[0] == "1"
	}
	slices.SortFunc(found, position.compare)
	found = slices.Compact(found) // two buckets may list one entry
	if len(found) > limit {
		found, more = found[:limit], true
	}
	return found, more, nil
}
