package dlq

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/imqueue/emq/tasks"
)

// SilenceMax is how long a silence may last: what is silenced for longer is forgotten.
const SilenceMax = 30 * 24 * time.Hour

// A Silence keeps the alerts about an app, or about one of its causes, from being sent
// until it ends. What is over is still told.
type Silence struct {
	ID     string    `json:"id"`
	App    string    `json:"app"`
	Cause  string    `json:"cause,omitempty"` // ID of a cause, or how it begins; empty: all of the app
	Until  time.Time `json:"until"`
	By     string    `json:"by"`
	Reason string    `json:"reason"`
	Since  time.Time `json:"since"`
}

// Covers says whether the silence keeps alerts about a cause of its app from being sent;
// cause is "" for an alert about something else.
func (s Silence) Covers(cause string) bool {
	return s.Cause == "" || cause != "" && strings.HasPrefix(cause, s.Cause)
}

// SetSilence makes a silence and returns it with its ID. By and Reason must be given, and
// Until must be ahead, by at most SilenceMax. Errors: a *tasks.FieldError, or a failure
// of Redis.
func (s *Store) SetSilence(ctx context.Context, silence Silence) (Silence, error) {
	now := s.now()
	if err := tasks.CheckApp(silence.App); err != nil {
		return Silence{}, err
	}
	if n := len(silence.Cause); n > 0 && n < causePrefixMin {
		return Silence{}, &tasks.FieldError{Field: "cause", Value: tasks.Printable(silence.Cause, wordMax), Bound: fmt.Sprintf("at least %d characters of the cause's ID", causePrefixMin)}
	}
	if ahead := silence.Until.Sub(now); ahead <= 0 || ahead > SilenceMax {
		return Silence{}, &tasks.FieldError{Field: "until", Value: silence.Until.Format(time.RFC3339), Bound: "must be ahead, by at most 30 days"}
	}
	for field, text := range map[string]string{"by": silence.By, "reason": silence.Reason} {
		if strings.TrimSpace(text) == "" {
			return Silence{}, &tasks.FieldError{Field: field, Bound: "must be given"}
		}
	}
	silence.ID, silence.Since = strings.ToLower(rand.Text()[:8]), now.UTC().Truncate(time.Second)
	silence.Until = silence.Until.UTC().Truncate(time.Second)
	silence.Cause, silence.By, silence.Reason = tasks.Printable(silence.Cause, wordMax), tasks.Printable(silence.By, wordMax), tasks.Printable(silence.Reason, noteMax)
	value, err := marshalJSON(silence)
	if err != nil {
		return Silence{}, fmt.Errorf("silence %s: %w", silence.App, err)
	}
	if err := s.redis.SAdd(ctx, tasks.AppsKey, silence.App).Err(); err != nil {
		return Silence{}, fmt.Errorf("silence %s: %w", silence.App, err)
	}
	_, over, err := s.silences(ctx, silence.App)
	if err != nil {
		return Silence{}, fmt.Errorf("silence %s: %w", silence.App, err)
	}
	pipe := s.redis.TxPipeline()
	pipe.HSet(ctx, silencesKey(silence.App), silence.ID, value)
	if len(over) > 0 {
		pipe.HDel(ctx, silencesKey(silence.App), over...)
	}
	s.audited(ctx, pipe, ActionSilence, silence.App, silence.what()+" until "+silence.Until.Format(time.RFC3339), 1, Actor{Name: silence.By, Note: silence.Reason})
	if _, err := pipe.Exec(ctx); err != nil {
		return Silence{}, fmt.Errorf("silence %s: %w", silence.App, err)
	}
	return silence, nil
}

func (s Silence) what() string {
	if s.Cause == "" {
		return "all alerts"
	}
	return "alerts of " + s.Cause
}

// EndSilence ends a silence before its time. Its error wraps ErrNotFound when there is
// none; others are a *tasks.FieldError or a failure of Redis.
func (s *Store) EndSilence(ctx context.Context, app, id string, by Actor) error {
	if err := tasks.CheckApp(app); err != nil {
		return err
	}
	keys := []string{silencesKey(app), resumingKey(app), auditKey(app)}
	removed, err := releaseScript.Run(ctx, s.redis, keys, id, s.auditLine(ActionClear, app, "silence "+tasks.Printable(id, wordMax), 1, by), auditMax).Bool()
	if err != nil {
		return fmt.Errorf("end silence %s of %s: %w", tasks.Printable(id, wordMax), app, err)
	}
	if !removed {
		return fmt.Errorf("silence %s of app %s: %w", tasks.Printable(id, wordMax), app, ErrNotFound)
	}
	return nil
}

// Silences lists what is silenced now in the apps, or in all that were ever used when
// none is given, the one that ends first before the others.
func (s *Store) Silences(ctx context.Context, apps ...string) ([]Silence, error) {
	apps, err := s.someApps(ctx, apps)
	if err != nil {
		return nil, err
	}
	var list []Silence
	for _, app := range apps {
		now, _, err := s.silences(ctx, app)
		if err != nil {
			return nil, fmt.Errorf("list silences of %s: %w", app, err)
		}
		list = append(list, now...)
	}
	slices.SortFunc(list, func(a, b Silence) int { return a.Until.Compare(b.Until) })
	return list, nil
}

// silences reads those of one app, and the IDs of those that are over or can't be read.
func (s *Store) silences(ctx context.Context, app string) (now []Silence, over []string, _ error) {
	values, err := s.redis.HGetAll(ctx, silencesKey(app)).Result()
	for id, value := range values {
		var one Silence
		if json.Unmarshal([]byte(value), &one) != nil || !one.Until.After(s.now()) {
			over = append(over, id)
		} else {
			now = append(now, one)
		}
	}
	return now, over, err
}
