package dlq

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/imqueue/emq/errclass"
	"github.com/imqueue/emq/tasks"
)

// A Cause is the group that dead letters with one fault fall in: those of one
// app, kind, class, error, rule, reason and description, the ids and numbers of
// the description taken out.
type Cause struct {
	ID          string         `json:"id"` // what went wrong and a hash, e.g. "user-not-found-1f0a9c3e"
	App         string         `json:"app"`
	Kind        tasks.Kind     `json:"kind"`
	Class       errclass.Class `json:"class"`
	Scope       errclass.Scope `json:"scope"`
	Rule        string         `json:"rule"`
	Error       string         `json:"error"`
	Description string         `json:"description"` // normalised
	Reason      Reason         `json:"reason"`
	// Counts of its entries in each state, within the filter's time and status.
	// A state without entries is absent.
	Counts    map[State]int `json:"counts"`
	FirstSeen time.Time     `json:"first_seen"` // the first entry's last failure, of all there ever were
	LastSeen  time.Time     `json:"last_seen"`
	Sample    string        `json:"sample"` // ID of the newest entry, a dead one when there is one
	Why       errclass.Text `json:"why"`
	Advice    errclass.Text `json:"advice"`
}

const (
	causePrefixMin = 4 // of a cause ID in a filter
	causeLabelMax  = 40
)

// newCause is the cause of a death.
func newCause(d Death) Cause {
	v := d.Verdict
	c := Cause{
		App: d.Task.App, Kind: d.Task.Kind(), Class: v.Class, Scope: v.Scope, Rule: tasks.Printable(v.Rule, wordMax),
		Error:       tasks.Printable(v.Error, wordMax),
		Description: tasks.Printable(errclass.Normalise(v.Description), descriptionMax),
		Reason:      d.Reason, Why: v.Why, Advice: v.Advice,
	}
	sum := sha256.Sum256([]byte(strings.Join([]string{
		c.App, string(c.Kind), string(c.Class), c.Error, c.Rule, string(c.Reason), c.Description,
	}, "\x00")))
	label := string(c.Reason)
	if c.Reason == ReasonVerdict {
		label = c.Rule
	}
	c.ID = causeLabel(label) + "-" + hex.EncodeToString(sum[:4])
	return c
}

// causeLabel keeps of a label what may stand in a key and in a command line.
func causeLabel(label string) string {
	label = strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z', '0' <= r && r <= '9', r == '-', r == '_', r == '.':
			return r
		case 'A' <= r && r <= 'Z':
			return r + 'a' - 'A'
		default:
			return '-'
		}
	}, label)
	if len(label) > causeLabelMax {
		label = label[:causeLabelMax]
	}
	if label == "" {
		return "unknown"
	}
	return label
}

// fields are what Redis keeps of the cause, but for the times.
func (c Cause) fields() []any {
	return []any{
		"kind", string(c.Kind), "class", string(c.Class), "scope", string(c.Scope), "rule", c.Rule,
		"error", c.Error, "description", c.Description, "reason", string(c.Reason),
		"why_en", c.Why.En, "why_zh", c.Why.Zh, "advice_en", c.Advice.En, "advice_zh", c.Advice.Zh,
	}
}

// readCause reads the fields of a cause. One that is gone is described by its
// ID alone.
func readCause(app, id string, f map[string]string) Cause {
	return Cause{
		ID: id, App: app, Kind: tasks.Kind(f["kind"]), Class: errclass.Class(f["class"]), Scope: errclass.Scope(f["scope"]),
		Rule: f["rule"], Error: f["error"], Description: f["description"], Reason: Reason(f["reason"]),
		FirstSeen: readMS(f["first"]), LastSeen: readMS(f["last"]),
		Why: errclass.Text{En: f["why_en"], Zh: f["why_zh"]}, Advice: errclass.Text{En: f["advice_en"], Zh: f["advice_zh"]},
	}
}

func readMS(s string) time.Time {
	ms, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// Causes lists the causes that have an entry the filter matches, those with the
// most dead entries first, and of equals the one seen last. It reads no entries,
// unless the filter names a status.
func (s *Store) Causes(ctx context.Context, f Filter) ([]Cause, error) {
	if err := f.validate(); err != nil {
		return nil, err
	}
	apps, err := s.appsOf(ctx, f)
	if err != nil {
		return nil, err
	}
	var matching []Cause
	for _, app := range apps {
		causes, err := s.causesOf(ctx, app, f)
		if err != nil {
			return nil, err
		}
		if err := s.count(ctx, app, f, causes); err != nil {
			return nil, err
		}
		for _, c := range causes {
			if f.State == "" && len(c.Counts) > 0 || c.Counts[f.State] > 0 {
				matching = append(matching, c)
			}
		}
	}
	slices.SortFunc(matching, func(a, b Cause) int {
		return cmp.Or(
			cmp.Compare(b.Counts[StateDead], a.Counts[StateDead]),
			b.LastSeen.Compare(a.LastSeen),
			cmp.Compare(a.ID, b.ID),
			cmp.Compare(a.App, b.App),
		)
	})
	return matching, nil
}

// causesOf reads the causes of an app that the filter selects, in the order of
// their IDs.
func (s *Store) causesOf(ctx context.Context, app string, f Filter) ([]Cause, error) {
	ids, err := s.redis.SMembers(ctx, causesKey(app)).Result()
	if err != nil {
		return nil, fmt.Errorf("list causes of %s: %w", app, err)
	}
	ids = slices.DeleteFunc(ids, func(id string) bool { return !strings.HasPrefix(id, f.Cause) })
	slices.Sort(ids)
	all, err := s.readCauses(ctx, app, ids)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(c Cause) bool { return !f.selects(c) }), nil
}

// readCauses reads the causes with these IDs, in order.
func (s *Store) readCauses(ctx context.Context, app string, ids []string) ([]Cause, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	pipe := s.redis.Pipeline()
	read := make([]*redis.MapStringStringCmd, len(ids))
	for i, id := range ids {
		read[i] = pipe.HGetAll(ctx, causeKey(app, id))
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, fmt.Errorf("read causes of %s: %w", app, err)
	}
	causes := make([]Cause, len(ids))
	for i, id := range ids {
		causes[i] = readCause(app, id, read[i].Val())
	}
	return causes, nil
}

// count fills in the counts and the sample of the causes.
func (s *Store) count(ctx context.Context, app string, f Filter, causes []Cause) error {
	if f.Status != 0 {
		return s.countByStatus(ctx, f, causes)
	}
	if len(causes) == 0 {
		return nil
	}
	low, high := f.scores()
	pipe := s.redis.TxPipeline() // one app, one slot; an entry is counted in one state only
	counts := make([]*redis.IntCmd, 0, len(causes)*len(States()))
	newest := make([]*redis.StringSliceCmd, 0, cap(counts))
	for _, c := range causes {
		for _, state := range States() {
			key := causeSetKey(app, state, c.ID)
			counts = append(counts, pipe.ZCount(ctx, key, low, high))
			newest = append(newest, pipe.ZRevRangeByScore(ctx, key, &redis.ZRangeBy{Min: low, Max: high, Count: 1}))
		}
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return fmt.Errorf("count entries of %s: %w", app, err)
	}
	for i := range causes {
		causes[i].Counts = map[State]int{}
		for j, state := range States() {
			n := int(counts[i*len(States())+j].Val())
			if n == 0 {
				continue
			}
			causes[i].Counts[state] = n
			if causes[i].Sample == "" {
				causes[i].Sample = newest[i*len(States())+j].Val()[0]
			}
		}
	}
	return nil
}

// countByStatus counts by reading entries: the status is not the cause's.
func (s *Store) countByStatus(ctx context.Context, f Filter, causes []Cause) error {
	f.State = "" // the counts are of all states
	for i := range causes {
		c := &causes[i]
		c.Counts = map[State]int{}
		f.App, f.Cause = c.App, c.ID
		dead := false
		err := s.Each(ctx, f, func(e Entry) error {
			c.Counts[e.State]++
			if c.Sample == "" || e.State == StateDead && !dead {
				c.Sample, dead = e.ID, e.State == StateDead
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
