package dlq

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/imqueue/emq/errclass"
	"github.com/imqueue/emq/tasks"
)

// A Hold stops an app, or one family of its calls, because of a fault that is
// not the tasks' own: its queues are paused until a person clears it.
type Hold struct {
	App         string        `json:"app"`
	Family      tasks.Family  `json:"family,omitempty"` // empty: the whole app
	Rule        string        `json:"rule"`
	Error       string        `json:"error,omitempty"`
	Description string        `json:"description,omitempty"`
	Status      int           `json:"status,omitempty"`
	Why         errclass.Text `json:"why"`
	Advice      errclass.Text `json:"advice"`
	Since       time.Time     `json:"since"`
	Task        string        `json:"task,omitempty"` // ID of the task whose answer set it
	By          string        `json:"by,omitempty"`   // the worker, or the person
}

// target is the hold as people name it: APP or APP/FAMILY.
func (h Hold) target() string {
	if h.Family == "" {
		return h.App
	}
	return h.App + "/" + string(h.Family)
}

// Covers says whether the hold stops a queue of its app.
func (h Hold) Covers(queue string) bool {
	_, endpoint, _, ok := tasks.ParseQueueName(queue)
	return ok && (h.Family == "" || h.Family == endpoint.Family())
}

// SetHold sets a hold and pauses its queues. When there is one for the same app
// and family, that one stays, and created is false. To repeat the call is safe;
// a crash between its steps is made good by that or by Sweep. Errors: a
// *tasks.FieldError for an app or family that can't be, or a failure of Redis.
func (s *Store) SetHold(ctx context.Context, h Hold) (created bool, err error) {
	if err := checkTarget(h.App, h.Family); err != nil {
		return false, err
	}
	if h.Since.IsZero() {
		h.Since = s.now()
	}
	h.Rule, h.Error = tasks.Printable(h.Rule, wordMax), tasks.Printable(h.Error, wordMax)
	h.Description, h.By = tasks.Printable(h.Description, descriptionMax), tasks.Printable(h.By, wordMax)
	h.Since = h.Since.UTC()
	value, err := marshalJSON(h)
	if err != nil {
		return false, fmt.Errorf("set hold on %s: %w", h.target(), err)
	}
	if err := s.redis.SAdd(ctx, tasks.AppsKey, h.App).Err(); err != nil {
		return false, fmt.Errorf("set hold on %s: %w", h.target(), err)
	}
	line := ""
	if h.Task == "" { // no task met a fault: a person sets it
		line = s.auditLine(ActionHold, h.App, h.target(), 1, Actor{Name: h.By, Note: h.Description})
	}
	keys := []string{holdsKey(h.App), auditKey(h.App)}
	if created, err = onceScript.Run(ctx, s.redis, keys, string(h.Family), value, line, auditMax).Bool(); err != nil {
		return false, fmt.Errorf("set hold on %s: %w", h.target(), err)
	}
	if _, err := s.settle(ctx, h.App, heldQueues(h.App, h.Family)); err != nil {
		return created, fmt.Errorf("set hold on %s: %w", h.target(), err)
	}
	return created, nil
}

// ClearHold takes a hold away and lets its queues run again, but for those that
// an operator paused or another hold covers. With an empty family it clears the
// hold on the whole app alone, not those on its families. A crash between its
// steps is made good by Sweep. Errors: one that wraps ErrNotFound when there
// is no such hold, a *tasks.FieldError, or a failure of Redis.
func (s *Store) ClearHold(ctx context.Context, app string, family tasks.Family, by Actor) error {
	if err := checkTarget(app, family); err != nil {
		return err
	}
	target := Hold{App: app, Family: family}.target()
	cleared, err := s.release(ctx, app, holdsKey(app), string(family), heldQueues(app, family), s.auditLine(ActionClear, app, "hold on "+target, 1, by))
	if err != nil {
		return fmt.Errorf("clear hold on %s: %w", target, err)
	}
	if !cleared {
		return fmt.Errorf("hold on %s: %w", target, ErrNotFound)
	}
	return nil
}

// Holds lists the holds of the apps, or of all that were ever used when none is
// given, by app and family.
func (s *Store) Holds(ctx context.Context, apps ...string) ([]Hold, error) {
	apps, err := s.someApps(ctx, apps)
	if err != nil {
		return nil, err
	}
	var holds []Hold
	for _, app := range apps {
		reasons, err := s.reasons(ctx, app)
		if err != nil {
			return nil, fmt.Errorf("list holds of %s: %w", app, err)
		}
		holds = append(holds, reasons.holds...)
	}
	return holds, nil
}

// heldQueues are the queues that a hold covers, also those that were never used:
// their first task must not slip through.
func heldQueues(app string, family tasks.Family) []string {
	h := Hold{App: app, Family: family}
	return slices.DeleteFunc(tasks.QueueNames(app), func(queue string) bool { return !h.Covers(queue) })
}

func checkTarget(app string, family tasks.Family) error {
	if err := tasks.CheckApp(app); err != nil {
		return err
	}
	if family != "" && !slices.Contains(tasks.Families(), family) {
		return &tasks.FieldError{Field: "family", Value: tasks.Printable(string(family), wordMax), Bound: "must be messages, groups, rooms or users, or empty for the whole app"}
	}
	return nil
}

// reasons are why the queues of one app shall be paused.
type reasons struct {
	holds     []Hold           // by family, the app's first
	operators map[string]Event // queue -> who paused it
}

// hold is the hold that covers a queue.
func (r reasons) hold(queue string) (Hold, bool) {
	i := slices.IndexFunc(r.holds, func(h Hold) bool { return h.Covers(queue) })
	if i < 0 {
		return Hold{}, false
	}
	return r.holds[i], true
}

// pause says whether a queue shall be paused.
func (r reasons) pause(queue string) bool {
	_, held := r.hold(queue)
	_, paused := r.operators[queue]
	return held || paused
}

// reasons reads both kinds at one moment.
func (s *Store) reasons(ctx context.Context, app string) (reasons, error) {
	pipe := s.redis.TxPipeline()
	holds := pipe.HGetAll(ctx, holdsKey(app))
	paused := pipe.HGetAll(ctx, pausedKey(app))
	if _, err := pipe.Exec(ctx); err != nil {
		return reasons{}, err
	}
	r := reasons{operators: map[string]Event{}}
	for family, value := range holds.Val() {
		h := Hold{}
		// A hold that can't be read still holds.
		_ = json.Unmarshal([]byte(value), &h)
		h.App, h.Family = app, tasks.Family(family)
		r.holds = append(r.holds, h)
	}
	slices.SortFunc(r.holds, func(a, b Hold) int { return strings.Compare(string(a.Family), string(b.Family)) })
	for queue, value := range paused.Val() {
		e := Event{}
		_ = json.Unmarshal([]byte(value), &e)
		r.operators[queue] = e
	}
	return r, nil
}
