package dlq

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/imqueue/emq/errclass"
)

// WarnDefault is from how many dead letters of an app on operators are warned.
const WarnDefault = 100_000

// A Usage says how much an app has in the store.
type Usage struct {
	App    string        `json:"app"`
	Counts map[State]int `json:"counts"` // entries in each state; one without entries is absent
	Causes int           `json:"causes"`
	// OldestDead is the last failure of the entry that has been dead for longest; zero
	// without one.
	OldestDead time.Time `json:"oldest_dead,omitzero"`

	byClass map[errclass.Class]map[State]int
}

// Usage reads how much these apps, or all, have in the store. It reads no entries.
func (s *Store) Usage(ctx context.Context, apps ...string) ([]Usage, error) {
	apps, err := s.someApps(ctx, apps)
	if err != nil {
		return nil, err
	}
	list := make([]Usage, len(apps))
	err = forEach(len(apps), func(i int) (err error) {
		list[i], err = s.usage(ctx, apps[i])
		return err
	})
	return list, err
}

func (s *Store) usage(ctx context.Context, app string) (Usage, error) {
	u := Usage{App: app, Counts: map[State]int{}, byClass: map[errclass.Class]map[State]int{}}
	causes, err := s.selectCauses(ctx, app, Filter{})
	if err != nil {
		return u, err
	}
	u.Causes = len(causes)
	pipe := s.redis.Pipeline()
	var oldest []*redis.ZSliceCmd
	for _, c := range causes {
		if u.byClass[c.Class] == nil {
			u.byClass[c.Class] = map[State]int{}
		}
		for state, n := range c.total {
			u.Counts[state] += n
			u.byClass[c.Class][state] += n
		}
		for _, key := range c.sets(Filter{}, StateDead) {
			oldest = append(oldest, pipe.ZRangeWithScores(ctx, key, 0, 0))
		}
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return u, fmt.Errorf("look for the oldest dead letter of %s: %w", app, err)
	}
	for _, cmd := range oldest {
		if z := cmd.Val(); len(z) == 1 {
			at := readMS(strconv.FormatInt(int64(z[0].Score), 10))
			if u.OldestDead.IsZero() || at.Before(u.OldestDead) {
				u.OldestDead = at
			}
		}
	}
	return u, nil
}
