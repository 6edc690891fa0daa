package dlq

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/imqueue/emq/tasks"
)

const (
	// TallyEvery is how long one Tally is.
	TallyEvery = 5 * time.Minute
	// tallyKeep is how long they are kept: a day, and a little over.
	tallyKeep = 25 * time.Hour
	tallyMost = int(24 * time.Hour / TallyEvery)
)

// A Tally is how many attempts at an app's tasks ended how within five minutes, for people
// to look at: what a worker counted in its last seconds before it died is missing.
type Tally struct {
	At        time.Time `json:"at"` // when it begins
	Delivered int       `json:"delivered"`
	Failed    int       `json:"failed"` // to be tried again
	Dead      int       `json:"dead"`   // became dead letters
}

// tallyKey is one Tally (a hash); number counts them since 1970.
func tallyKey(app string, number int64) string {
	return tasks.AppKey(app, "tally:"+strconv.FormatInt(number, 10))
}

func tallyNumber(at time.Time) int64 { return at.UnixMilli() / TallyEvery.Milliseconds() }

// AddTally adds to the present Tally of an app; At is not looked at.
func (s *Store) AddTally(ctx context.Context, app string, t Tally) error {
	if t.Delivered+t.Failed+t.Dead == 0 {
		return nil
	}
	key := tallyKey(app, tallyNumber(s.now()))
	pipe := s.redis.Pipeline()
	for field, n := range map[string]int{"delivered": t.Delivered, "failed": t.Failed, "dead": t.Dead} {
		if n > 0 {
			pipe.HIncrBy(ctx, key, field, int64(n))
		}
	}
	pipe.Expire(ctx, key, tallyKeep)
	if _, err := pipe.Exec(ctx); err != nil {
		return fmt.Errorf("count attempts of %s: %w", app, err)
	}
	return nil
}

// Tallies are those of an app over the last day, the oldest first, each five minutes of
// it, also those without an attempt. Errors: a *tasks.FieldError for a bad app, or a
// failure of Redis.
func (s *Store) Tallies(ctx context.Context, app string) ([]Tally, error) {
	if err := tasks.CheckApp(app); err != nil {
		return nil, err
	}
	last := tallyNumber(s.now())
	pipe := s.redis.Pipeline()
	read := make([]*redis.MapStringStringCmd, tallyMost)
	for i := range read {
		read[i] = pipe.HGetAll(ctx, tallyKey(app, last-int64(tallyMost-1-i)))
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, fmt.Errorf("read what became of the attempts of %s: %w", app, err)
	}
	list := make([]Tally, tallyMost)
	for i, cmd := range read {
		number := func(field string) int {
			n, _ := strconv.Atoi(cmd.Val()[field]) // an absent one is 0
			return n
		}
		list[i] = Tally{
			At:        time.UnixMilli((last - int64(tallyMost-1-i)) * TallyEvery.Milliseconds()).UTC(),
			Delivered: number("delivered"), Failed: number("failed"), Dead: number("dead"),
		}
	}
	return list, nil
}
