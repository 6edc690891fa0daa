package dlq

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/imqueue/emq/tasks"
)

// A Limit is one that a person set for an endpoint of an app. It takes the
// place of the one in the settings and in the table of endpoints, calls and
// messages together, until it is cleared. Workers pick it up within seconds.
type Limit struct {
	App      string         `json:"app"`
	Endpoint tasks.Endpoint `json:"endpoint"`
	Limit    tasks.Limit    `json:"limit"`
	Reason   string         `json:"reason"` // why, kept to 1024 bytes
	By       string         `json:"by,omitempty"`
	At       time.Time      `json:"at"` // to the millisecond, in UTC; zero in SetLimit means now
}

// SetLimit sets a limit, in the place of one that is there. Errors: a
// *tasks.FieldError for an app or endpoint that can't be, for a limit without
// rates or with a rate out of its bounds, and for a reason that is missing or
// too long; otherwise a failure of Redis.
func (s *Store) SetLimit(ctx context.Context, l Limit) error {
	if err := l.validate(); err != nil {
		return err
	}
	if l.At.IsZero() {
		l.At = s.now()
	}
	l.At = l.At.UTC().Truncate(time.Millisecond)
	l.Reason, l.By = tasks.Printable(l.Reason, noteMax), tasks.Printable(l.By, wordMax)
	value, err := marshalJSON(l)
	if err != nil {
		return fmt.Errorf("set limit on %s of %s: %w", l.Endpoint, l.App, err)
	}
	if err := s.redis.SAdd(ctx, tasks.AppsKey, l.App).Err(); err != nil {
		return fmt.Errorf("set limit on %s of %s: %w", l.Endpoint, l.App, err)
	}
	pipe := s.redis.TxPipeline()
	pipe.HSet(ctx, limitsKey(l.App), string(l.Endpoint), value)
	s.audited(ctx, pipe, ActionLimit, l.App, fmt.Sprintf("%s: %s", l.Endpoint, l.Limit), 1, Actor{Name: l.By, Note: l.Reason})
	if _, err := pipe.Exec(ctx); err != nil {
		return fmt.Errorf("set limit on %s of %s: %w", l.Endpoint, l.App, err)
	}
	return nil
}

// ClearLimit takes a limit away, also one of an endpoint that this version does
// not know. Errors: one that wraps ErrNotFound when there is no such limit, a
// *tasks.FieldError for an app that can't be, or a failure of Redis.
func (s *Store) ClearLimit(ctx context.Context, app string, e tasks.Endpoint, by Actor) error {
	if err := tasks.CheckApp(app); err != nil {
		return err
	}
	name := tasks.Printable(string(e), wordMax)
	keys := []string{limitsKey(app), resumingKey(app), auditKey(app)}
	cleared, err := releaseScript.Run(ctx, s.redis, keys, string(e), s.auditLine(ActionClear, app, "limit on "+name, 1, by), auditMax).Bool()
	if err != nil {
		return fmt.Errorf("clear limit on %s of %s: %w", name, app, err)
	}
	if !cleared {
		return fmt.Errorf("limit on %s of %s: %w", name, app, ErrNotFound)
	}
	return nil
}

// Limits lists the limits that were set for the apps, or for all that were ever
// used when none is given, by app and endpoint. Those that can't be read are
// named by the error, which then comes beside the others, if only an empty list.
// Other errors: a
// *tasks.FieldError for an app that can't be, or a failure of Redis.
func (s *Store) Limits(ctx context.Context, apps ...string) ([]Limit, error) {
	apps, err := s.someApps(ctx, apps)
	if err != nil {
		return nil, err
	}
	limits := []Limit{} // nil only beside a failure
	var damaged []error
	for _, app := range apps {
		values, err := s.redis.HGetAll(ctx, limitsKey(app)).Result()
		if err != nil {
			return nil, fmt.Errorf("list limits of %s: %w", app, err)
		}
		for endpoint, value := range values {
			var l Limit
			if err := json.Unmarshal([]byte(value), &l); err != nil {
				damaged = append(damaged, fmt.Errorf("limit on %s of %s can't be read: clear it or set it again: %w",
					tasks.Printable(endpoint, wordMax), app, err))
				continue
			}
			l.App, l.Endpoint = app, tasks.Endpoint(endpoint)
			limits = append(limits, l)
		}
	}
	slices.SortFunc(limits, func(a, b Limit) int {
		return strings.Compare(a.App+" "+string(a.Endpoint), b.App+" "+string(b.Endpoint))
	})
	return limits, errors.Join(damaged...)
}

// A LimitSource says where a limit in force comes from.
type LimitSource string

// Where limits come from.
const (
	FromDefault  LimitSource = "default"  // of the table of endpoints: Easemob's documentation
	FromSettings LimitSource = "settings" // of emq.yaml, as the one who asks reads it
	FromSet      LimitSource = "set"      // SetLimit
)

// LimitSettings are the limits that settings give, by app and endpoint. An app that is
// configured has an entry, if only an empty one.
type LimitSettings map[string]map[tasks.Endpoint]tasks.Limit

// InForce is the limit of an endpoint as far as the settings say.
func (s LimitSettings) InForce(app string, info tasks.EndpointInfo) LimitInForce {
	in := LimitInForce{App: app, Endpoint: info.Endpoint, Limit: info.Limit, From: FromDefault}
	if l, ok := s[app][info.Endpoint]; ok {
		in.Limit, in.From = l, FromSettings
	}
	return in
}

// A LimitInForce is what calls to an endpoint of an app keep to, and why.
type LimitInForce struct {
	App      string         `json:"app"`
	Endpoint tasks.Endpoint `json:"endpoint"`
	Limit    tasks.Limit    `json:"limit"`
	From     LimitSource    `json:"from" enum:"default,settings,set"`
	By       string         `json:"by,omitempty"`
	Reason   string         `json:"reason,omitempty"`
	Since    time.Time      `json:"since,omitzero"` // when it was set
}

// LimitsInForce lists the limits of the apps, or when none is given of those that were ever
// used or are configured, by app and endpoint: with all set, of every endpoint, otherwise of
// those that are in use or whose limit is not the default. Errors are those of Limits, also beside a list.
func (s *Store) LimitsInForce(ctx context.Context, settings LimitSettings, all bool, apps ...string) ([]LimitInForce, error) {
	set, damaged := s.Limits(ctx, apps...)
	if set == nil {
		return nil, damaged
	}
	queues, err := s.Queues(ctx, apps...)
	if err != nil {
		return nil, err
	}
	if len(apps) == 0 {
		if apps, err = s.Apps(ctx); err != nil {
			return nil, err
		}
		apps = slices.AppendSeq(apps, maps.Keys(settings))
	}
	type target struct {
		app      string
		endpoint tasks.Endpoint
	}
	inUse, bySet := map[target]bool{}, map[target]Limit{}
	for _, q := range queues {
		inUse[target{q.App, q.Endpoint}] = true
	}
	for _, l := range set {
		bySet[target{l.App, l.Endpoint}] = l
	}
	slices.Sort(apps)
	limits := []LimitInForce{}
	for _, app := range slices.Compact(apps) {
		for _, info := range tasks.Endpoints() {
			in, of := settings.InForce(app, info), target{app, info.Endpoint}
			if l, ok := bySet[of]; ok {
				delete(bySet, of)
				in = l.inForce()
			}
			if all || inUse[of] || in.From != FromDefault {
				limits = append(limits, in)
			}
		}
	}
	for _, l := range set { // of endpoints that this version does not know
		if _, left := bySet[target{l.App, l.Endpoint}]; left {
			limits = append(limits, l.inForce())
		}
	}
	return limits, damaged
}

func (l Limit) inForce() LimitInForce {
	return LimitInForce{App: l.App, Endpoint: l.Endpoint, Limit: l.Limit, From: FromSet, By: l.By, Reason: l.Reason, Since: l.At}
}

// validate returns a *tasks.FieldError.
func (l Limit) validate() error {
	if err := tasks.CheckApp(l.App); err != nil {
		return err
	}
	if err := checkEndpoint(l.Endpoint); err != nil {
		return err
	}
	if len(l.Limit.Calls) == 0 && len(l.Limit.Messages) == 0 {
		return &tasks.FieldError{Field: "limit", Bound: "must bound calls, messages or both, such as 100/s; clear the limit to go back to the default"}
	}
	text, err := l.Limit.MarshalJSON()
	if err != nil {
		return err
	}
	if err := new(tasks.Limit).UnmarshalJSON(text); err != nil { // what can't be read again is out of its bounds
		return err
	}
	if strings.TrimSpace(l.Reason) == "" {
		return &tasks.FieldError{Field: "reason", Bound: "must be given: who meets the limit wants to know why it is there"}
	}
	if len(l.Reason) > noteMax {
		return &tasks.FieldError{Field: "reason", Value: fmt.Sprintf("%d bytes", len(l.Reason)), Bound: fmt.Sprintf("at most %d bytes", noteMax)}
	}
	return nil
}

// checkEndpoint refuses an endpoint that this version does not know, and names
// those that may have been meant.
func checkEndpoint(e tasks.Endpoint) error {
	if _, known := e.Info(); known {
		return nil
	}
	var family, families []string
	for _, info := range tasks.Endpoints() {
		if info.Endpoint.Family() == e.Family() {
			family = append(family, string(info.Endpoint))
		}
	}
	for _, f := range tasks.Families() {
		families = append(families, string(f))
	}
	bound := "must be FAMILY.NAME, with one of the families " + strings.Join(families, ", ")
	if len(family) > 0 {
		bound = "must be one of " + strings.Join(family, ", ")
	}
	return &tasks.FieldError{Field: "endpoint", Value: tasks.Printable(string(e), wordMax), Bound: bound}
}
