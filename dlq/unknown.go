package dlq

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/imqueue/emq/errclass"
	"github.com/imqueue/emq/tasks"
)

// An Unknown is a group of answers that no rule knew: those of one app, kind,
// status and error whose description (the body, where there is none) is the
// same but for ids, names and numbers. It is what a new rule is written from.
type Unknown struct {
	App    string     `json:"app"`
	Kind   tasks.Kind `json:"kind"`
	Status int        `json:"status"` // of the HTTP answer
	Error  string     `json:"error"`
	// Description to Task are those of the answer that was noted last.
	Description string    `json:"description"` // kept to 1024 bytes
	Body        string    `json:"body"`        // excerpt, kept to 512 bytes
	Task        string    `json:"task"`        // ID
	Count       int       `json:"count"`       // from 1
	First       time.Time `json:"first"`       // to the millisecond, in UTC
	Last        time.Time `json:"last"`
}

// UnknownsMax bounds the groups of an app: of more, those that were not seen
// for longest are forgotten.
const UnknownsMax = 500

// NoteUnknown counts an answer that no rule knew, in one round trip. Count,
// First and Last of u are not read: it is one answer, given now. Its texts are
// kept as they are but for control characters, so secrets must be gone from
// them. Errors: a *tasks.FieldError for an app that can't be, or a failure of
// Redis, after which the answer may have been counted.
func (s *Store) NoteUnknown(ctx context.Context, u Unknown) error {
	if err := tasks.CheckApp(u.App); err != nil {
		return err
	}
	u.Error = tasks.Printable(u.Error, wordMax)
	u.Description = tasks.Printable(u.Description, descriptionMax)
	u.Body = tasks.Printable(u.Body, bodyMax)
	sample, err := marshalJSON(unknownSample{u.Kind, u.Status, u.Error, u.Description, u.Body, u.Task})
	if err != nil {
		return fmt.Errorf("note an unknown answer: %w", err)
	}
	keys := []string{unknownsKey(u.App), unknownsSeenKey(u.App)}
	if err := unknownScript.Run(ctx, s.redis, keys, u.group(), s.now().UnixMilli(), sample, UnknownsMax).Err(); err != nil {
		return fmt.Errorf("note an unknown answer to %s: %w", u.Task, err)
	}
	return nil
}

// unknownSample is what Redis keeps of a group beside its count and times. Its
// names are short for the reason that recordBody has.
type unknownSample struct {
	Kind        tasks.Kind `json:"k,omitempty"`
	Status      int        `json:"s,omitempty"`
	Error       string     `json:"e,omitempty"`
	Description string     `json:"d,omitempty"`
	Body        string     `json:"b,omitempty"`
	Task        string     `json:"t,omitempty"`
}

// group names the group that u falls in, among those of its app.
func (u Unknown) group() string {
	text := cmp.Or(u.Description, u.Body)
	sum := sha256.Sum256([]byte(strings.Join([]string{
		string(u.Kind), strconv.Itoa(u.Status), u.Error, errclass.Normalise(text),
	}, "\x00")))
	return hex.EncodeToString(sum[:8])
}

// Unknowns lists the groups of the apps, or of all apps that were ever used when
// none is given, the most frequent first, and of equals the one seen last.
// Errors: a *tasks.FieldError for an app that can't be, or a failure of Redis.
func (s *Store) Unknowns(ctx context.Context, apps ...string) ([]Unknown, error) {
	apps, err := s.someApps(ctx, apps)
	if err != nil {
		return nil, err
	}
	var unknowns []Unknown
	for _, app := range apps {
		values, err := s.redis.HVals(ctx, unknownsKey(app)).Result()
		if err != nil {
			return nil, fmt.Errorf("list unknown answers of %s: %w", app, err)
		}
		for _, value := range values {
			if u, ok := readUnknown(app, value); ok {
				unknowns = append(unknowns, u)
			}
		}
	}
	slices.SortFunc(unknowns, func(a, b Unknown) int {
		return cmp.Or(
			cmp.Compare(b.Count, a.Count), b.Last.Compare(a.Last),
			cmp.Compare(a.App, b.App), cmp.Compare(a.group(), b.group()),
		)
	})
	return unknowns, nil
}

// readUnknown reads a group as the script writes it; not ok for one that is
// damaged, which the next answer of its group makes good.
func readUnknown(app, value string) (u Unknown, ok bool) {
	head, body, _ := strings.Cut(value, "\n")
	var first, last int64
	var sample unknownSample
	if n, _ := fmt.Sscanf(head, "%d %d %d", &u.Count, &first, &last); n != 3 || json.Unmarshal([]byte(body), &sample) != nil {
		return Unknown{}, false
	}
	return Unknown{
		App: app, Kind: sample.Kind, Status: sample.Status, Error: sample.Error, Description: sample.Description,
		Body: sample.Body, Task: sample.Task, Count: u.Count,
		First: time.UnixMilli(first).UTC(), Last: time.UnixMilli(last).UTC(),
	}, true
}

// ForgetUnknowns forgets the groups of an app, as after their rules were
// written, and says how many there were. Errors: a *tasks.FieldError for an app
// that can't be, or a failure of Redis.
func (s *Store) ForgetUnknowns(ctx context.Context, app string) (int, error) {
	if err := tasks.CheckApp(app); err != nil {
		return 0, err
	}
	var groups *redis.IntCmd
	_, err := s.redis.TxPipelined(ctx, func(pipe redis.Pipeliner) error {
		groups = pipe.HLen(ctx, unknownsKey(app))
		pipe.Del(ctx, unknownsKey(app), unknownsSeenKey(app))
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("forget unknown answers of %s: %w", app, err)
	}
	return int(groups.Val()), nil
}
