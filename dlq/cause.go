package dlq

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash/fnv"
	"io"
	"maps"
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
	Trend     Trend         `json:"trend"`
	Sample    string        `json:"sample"` // ID of the newest entry, a dead one when there is one
	Triage    Triage        `json:"triage"`
	Why       errclass.Text `json:"why"`
	Advice    errclass.Text `json:"advice"`

	statuses []int         // of its entries' last answers, all there ever were
	total    map[State]int // of its entries in each state
}

// A Trend says how a cause's entries came in: how many failed last within the hour
// and the day before now, and within the hour and the day before those.
type Trend struct {
	LastHour   int `json:"last_hour"`
	HourBefore int `json:"hour_before"`
	LastDay    int `json:"last_day"`
	DayBefore  int `json:"day_before"`
}

// A TriageState says what persons make of a cause.
type TriageState string

const (
	// TriageOpen is where a cause begins, and where it is again when it comes back.
	TriageOpen TriageState = "open"
	// TriageAcknowledged says that a person knows of it. It ends when the cause is
	// resolved.
	TriageAcknowledged TriageState = "acknowledged"
	// TriageIgnored says that a person does not want to hear of it again. It ends
	// only when a person reopens the cause.
	TriageIgnored TriageState = "ignored"
	// TriageResolved says that none of its entries is dead or being resent.
	TriageResolved TriageState = "resolved"
)

// TriageStates lists the states.
func TriageStates() []TriageState {
	return []TriageState{TriageOpen, TriageAcknowledged, TriageIgnored, TriageResolved}
}

// A Triage is what persons make of a cause, and who said so.
type Triage struct {
	State TriageState `json:"state"`
	By    string      `json:"by,omitempty"`
	Note  string      `json:"note,omitempty"`
	At    time.Time   `json:"at,omitzero"`
	// OpenedAt is when the cause came up, the last time that it did after there had
	// been nothing of it.
	OpenedAt time.Time `json:"opened_at"`
}

// CausesMax bounds the causes of one app. A fault whose description differs each
// time in a way that is not known must not fill Redis with causes: from there on,
// a death that is of none of them falls in one that leaves error and description out.
const CausesMax = 500

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
	return c.identified()
}

// identified is the cause with the ID that follows from it.
func (c Cause) identified() Cause {
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

// coarse is the cause where there are too many of them: what is left of it has few
// values, so there is no bound to these.
func (c Cause) coarse() Cause {
	c.Description, c.Error = "", ""
	return c.identified()
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

// fields are what Redis keeps of the cause, but for what its entries change.
func (c Cause) fields() []any {
	return []any{
		"kind", string(c.Kind), "class", string(c.Class), "scope", string(c.Scope), "rule", c.Rule,
		"error", c.Error, "description", c.Description, "reason", string(c.Reason),
		"why_en", c.Why.En, "why_zh", c.Why.Zh, "advice_en", c.Advice.En, "advice_zh", c.Advice.Zh,
	}
}

// print tells whether what Redis keeps of the cause is what a newer version of the
// rules would write.
func (c Cause) print() string {
	h := fnv.New64a()
	for _, field := range c.fields() {
		text, _ := field.(string)
		_, _ = io.WriteString(h, text)
		_, _ = h.Write([]byte{0})
	}
	return strconv.FormatUint(h.Sum64(), 36)
}

// readCause reads the fields of a cause. One that is gone is described by its
// ID alone.
func readCause(app, id string, f map[string]string) Cause {
	c := Cause{
		ID: id, App: app, Kind: tasks.Kind(f["kind"]), Class: errclass.Class(f["class"]), Scope: errclass.Scope(f["scope"]),
		Rule: f["rule"], Error: f["error"], Description: f["description"], Reason: Reason(f["reason"]),
		FirstSeen: readMS(f["first"]), LastSeen: readMS(f["last"]),
		Why: errclass.Text{En: f["why_en"], Zh: f["why_zh"]}, Advice: errclass.Text{En: f["advice_en"], Zh: f["advice_zh"]},
		total: map[State]int{},
	}
	for _, text := range strings.Fields(f["statuses"]) {
		if status, err := strconv.Atoi(text); err == nil {
			c.statuses = append(c.statuses, status)
		}
	}
	for _, state := range States() {
		if n, err := strconv.Atoi(f[string(state)]); err == nil && n > 0 {
			c.total[state] = n
		}
	}
	c.Triage = Triage{
		State: TriageState(f["triage"]), By: f["triage_by"], Note: f["triage_note"], At: readMS(f["triage_at"]), OpenedAt: readMS(f["opened"]),
	}
	switch {
	case c.Triage.State == TriageIgnored:
	case c.total[StateDead]+c.total[StateResending] == 0:
		c.Triage.State = TriageResolved
	case c.Triage.State == "":
		c.Triage.State = TriageOpen
	}
	return c
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
// unless the filter names a target or a text.
func (s *Store) Causes(ctx context.Context, f Filter) ([]Cause, error) {
	if err := f.validate(); err != nil {
		return nil, err
	}
	apps, err := s.appsOf(ctx, f)
	if err != nil {
		return nil, err
	}
	read := make([][]Cause, len(apps))
	err = forEach(len(apps), func(i int) (err error) {
		if read[i], err = s.causesOf(ctx, apps[i], f); err != nil {
			return err
		}
		return s.count(ctx, apps[i], f, read[i])
	})
	if err != nil {
		return nil, err
	}
	var matching []Cause
	for _, causes := range read {
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

// GetCause reads one cause, with the counts of all its entries. Its error wraps
// ErrNotFound when there is none.
func (s *Store) GetCause(ctx context.Context, app, id string) (Cause, error) {
	if err := tasks.CheckApp(app); err != nil {
		return Cause{}, err
	}
	causes, err := s.readCauses(ctx, app, []string{id})
	if err != nil {
		return Cause{}, err
	}
	if causes[0].Class == "" {
		return Cause{}, fmt.Errorf("cause %s of app %s: %w", id, app, ErrNotFound)
	}
	return causes[0], s.count(ctx, app, Filter{}, causes)
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

// selectors are the fields of a cause that say which entries it has, without the
// texts, which are most of it.
var selectors = append([]string{"kind", "class", "error", "reason", "statuses"}, words(States())...)

// selectCauses reads what selects the causes of an app, for those that the filter
// selects.
func (s *Store) selectCauses(ctx context.Context, app string, f Filter) ([]Cause, error) {
	ids, err := s.redis.SMembers(ctx, causesKey(app)).Result()
	if err != nil {
		return nil, fmt.Errorf("list causes of %s: %w", app, err)
	}
	ids = slices.DeleteFunc(ids, func(id string) bool { return !strings.HasPrefix(id, f.Cause) })
	if len(ids) == 0 {
		return nil, nil
	}
	pipe := s.redis.Pipeline()
	read := make([]*redis.SliceCmd, len(ids))
	for i, id := range ids {
		read[i] = pipe.HMGet(ctx, causeKey(app, id), selectors...)
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, fmt.Errorf("read causes of %s: %w", app, err)
	}
	var causes []Cause
	for i, id := range ids {
		fields := map[string]string{}
		for j, value := range read[i].Val() {
			if text, ok := value.(string); ok {
				fields[selectors[j]] = text
			}
		}
		if c := readCause(app, id, fields); f.selects(c) {
			causes = append(causes, c)
		}
	}
	return causes, nil
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

// sets are the sorted sets that together hold the entries of a cause in a state
// that the filter may select.
func (c Cause) sets(f Filter, state State) []string {
	if c.total[state] == 0 {
		return nil
	}
	var keys []string
	for _, status := range c.statuses {
		if f.Status == 0 || f.Status == status {
			keys = append(keys, causeSetKey(c.App, state, c.ID, status))
		}
	}
	return keys
}

// count fills in the counts, the trend and the sample of the causes of an app.
func (s *Store) count(ctx context.Context, app string, f Filter, causes []Cause) error {
	if f.free() {
		return s.countEntries(ctx, f, causes)
	}
	if len(causes) == 0 {
		return nil
	}
	low, high := f.scores()
	whole := f.Status == 0 && f.Since.IsZero() && f.Until.IsZero()
	// Times that part the trend; each count is of what is later.
	now := s.now()
	var trend [4]string
	for i, ago := range []time.Duration{time.Hour, 2 * time.Hour, 24 * time.Hour, 48 * time.Hour} {
		trend[i] = strconv.FormatInt(now.Add(-ago).UnixMilli(), 10)
	}
	type piece struct {
		state  State
		count  *redis.IntCmd
		newest *redis.ZSliceCmd
		since  [len(trend)]*redis.IntCmd
	}
	pieces := make([][]piece, len(causes))
	pipe := s.redis.Pipeline() // no transaction: it would block Redis for all causes at once
	for i, c := range causes {
		for _, state := range States() {
			for _, key := range c.sets(f, state) {
				p := piece{state: state}
				if !whole {
					p.count = pipe.ZCount(ctx, key, low, high)
				}
				p.newest = pipe.ZRevRangeByScoreWithScores(ctx, key, &redis.ZRangeBy{Min: low, Max: high, Count: 1})
				for j, from := range trend {
					p.since[j] = pipe.ZCount(ctx, key, from, "+inf")
				}
				pieces[i] = append(pieces[i], p)
			}
		}
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return fmt.Errorf("count entries of %s: %w", app, err)
	}
	for i := range causes {
		c := &causes[i]
		c.Counts = map[State]int{}
		if whole {
			c.Counts = maps.Clone(c.total)
		}
		var sampled piece
		var since [len(trend)]int
		at := 0.0
		for _, p := range pieces[i] {
			if p.count != nil && p.count.Val() > 0 {
				c.Counts[p.state] += int(p.count.Val())
			}
			if z := p.newest.Val(); len(z) == 1 && (c.Sample == "" || p.state == sampled.state && z[0].Score > at) {
				c.Sample, _ = z[0].Member.(string)
				sampled, at = p, z[0].Score
			}
			for j := range since {
				since[j] += int(p.since[j].Val())
			}
		}
		c.Trend = Trend{LastHour: since[0], HourBefore: since[1] - since[0], LastDay: since[2], DayBefore: since[3] - since[2]}
	}
	return nil
}

// countEntries counts by reading entries.
func (s *Store) countEntries(ctx context.Context, f Filter, causes []Cause) error {
	f.State = "" // the counts are of all states
	for i := range causes {
		c := &causes[i]
		c.Counts = map[State]int{}
	}
	if len(causes) == 0 {
		return nil
	}
	byID := map[string]*Cause{}
	for i := range causes {
		byID[causes[i].ID] = &causes[i]
	}
	f.App = causes[0].App
	sampled := map[string]State{}
	return s.Each(ctx, f, func(e Entry) error {
		c := byID[e.Cause]
		if c == nil { // it came up meanwhile
			return nil
		}
		c.Counts[e.State]++
		if c.Sample == "" || e.State == StateDead && sampled[c.ID] != StateDead {
			c.Sample, sampled[c.ID] = e.ID, e.State
		}
		return nil
	})
}

// Acknowledge notes that a person knows of a cause.
func (s *Store) Acknowledge(ctx context.Context, app, cause string, by Actor) error {
	return s.triage(ctx, app, cause, TriageAcknowledged, ActionAcknowledge, by)
}

// Ignore notes that a person does not want to hear of a cause again.
func (s *Store) Ignore(ctx context.Context, app, cause string, by Actor) error {
	return s.triage(ctx, app, cause, TriageIgnored, ActionIgnore, by)
}

// Reopen takes Acknowledge or Ignore back.
func (s *Store) Reopen(ctx context.Context, app, cause string, by Actor) error {
	return s.triage(ctx, app, cause, TriageOpen, ActionReopen, by)
}

// triage notes what a person makes of a cause. Its error wraps ErrNotFound when
// there is no such cause, and is a *tasks.FieldError for a bad app.
func (s *Store) triage(ctx context.Context, app, cause string, state TriageState, action string, by Actor) error {
	c, err := s.GetCause(ctx, app, cause)
	if err != nil {
		return err
	}
	pipe := s.redis.TxPipeline()
	pipe.HSet(ctx, causeKey(app, cause), "triage", string(state), "triage_by", tasks.Printable(by.Name, wordMax),
		"triage_note", tasks.Printable(by.Note, noteMax), "triage_at", s.now().UnixMilli())
	count := 0
	for _, n := range c.total {
		count += n
	}
	s.audited(ctx, pipe, action, app, cause, count, by)
	if _, err := pipe.Exec(ctx); err != nil {
		return fmt.Errorf("%s cause %s: %w", action, cause, err)
	}
	return nil
}
