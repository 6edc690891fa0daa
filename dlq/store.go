package dlq

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/imqueue/emq/errclass"
	"github.com/imqueue/emq/tasks"
)

// KeepDefault is how long resolved and discarded entries are kept.
const KeepDefault = 30 * 24 * time.Hour

// Config configures a Store.
type Config struct {
	// Redis is used by the store and stays the caller's to close.
	Redis redis.UniversalClient
	// Client queues resends. A store without one can do everything else.
	Client *tasks.Client
	// Keep is how long resolved and discarded entries are kept; 0 means
	// KeepDefault.
	Keep time.Duration
	// AuditKeep is how long lines of the audit are kept; 0 means AuditKeepDefault.
	AuditKeep time.Duration
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// A Store holds the dead letters of all apps of one Redis. It is safe for
// concurrent use, also by several processes.
type Store struct {
	redis     redis.UniversalClient
	client    *tasks.Client
	queues    *asynq.Inspector
	codec     *codec
	keep      time.Duration
	auditKeep time.Duration
	now       func() time.Time

	mu       sync.Mutex
	looks    map[string]position  // app -> where the search for vanished resends goes on
	enrolled map[string]time.Time // app -> when this process put it into the register
}

// New makes a store; it does not connect. It returns a *tasks.FieldError for a
// bad configuration.
func New(cfg Config) (*Store, error) {
	if cfg.Redis == nil {
		return nil, &tasks.FieldError{Field: "Config.Redis", Bound: "must be given"}
	}
	if cfg.Keep < 0 {
		return nil, &tasks.FieldError{Field: "Config.Keep", Value: cfg.Keep.String(), Bound: "must not be negative"}
	}
	if cfg.Keep == 0 {
		cfg.Keep = KeepDefault
	}
	if cfg.AuditKeep < 0 {
		return nil, &tasks.FieldError{Field: "Config.AuditKeep", Value: cfg.AuditKeep.String(), Bound: "must not be negative"}
	}
	if cfg.AuditKeep == 0 {
		cfg.AuditKeep = AuditKeepDefault
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	codec, err := newCodec()
	if err != nil {
		return nil, err
	}
	return &Store{
		redis: cfg.Redis, client: cfg.Client, codec: codec, keep: cfg.Keep, auditKeep: cfg.AuditKeep, now: cfg.Now,
		queues:   asynq.NewInspectorFromRedisClient(cfg.Redis),
		looks:    map[string]position{},
		enrolled: map[string]time.Time{},
	}, nil
}

// Put notes the end of one generation of a task without success. It may be
// repeated: only the first call changes anything.
//
// The first generation makes the entry, unless there is one. A further one
// makes the entry that waits for it dead again and adds to its history; it does
// nothing when the entry does not wait for it, and makes the entry when there
// is none, so that nothing is lost.
//
// Errors: a *tasks.FieldError for a death without ID or app, otherwise a
// failure of Redis.
func (s *Store) Put(ctx context.Context, d Death) error {
	if d.Task.ID == "" {
		return &tasks.FieldError{Field: "Death.Task.ID", Bound: "must be given"}
	}
	if err := tasks.CheckApp(d.Task.App); err != nil {
		return err
	}
	d = s.complete(d)
	if len(d.Raw) == 0 && d.Task.Payload != nil {
		raw, err := tasks.Encode(d.Task)
		if err != nil {
			return fmt.Errorf("put %s: %w", d.Task.ID, err)
		}
		d.Raw, d.encoded = raw, true
	}
	cause := newCause(d)
	err := s.put(ctx, d, cause)
	if errors.Is(err, errTooManyCauses) {
		return s.put(ctx, d, cause.coarse())
	}
	return err
}

func (s *Store) put(ctx context.Context, d Death, cause Cause) error {
	return s.change(ctx, change{
		op: "put", app: d.Task.App, id: d.Task.ID, cause: &cause, fresh: d.Task.Generation == 0,
		edit: func(old *record) (*record, error) {
			note := Actor{}
			if d.Reason != ReasonVerdict {
				note.Note = string(d.Reason)
			}
			var r *record
			switch {
			case old == nil:
				action := ActionDead
				if d.Reason == ReasonAdopted {
					action = ActionAdopted
				}
				r = &record{app: d.Task.App, id: d.Task.ID, generation: d.Task.Generation, raw: d.Raw}
				r.enter(StateDead, d.At, action, note)
			case old.waitsFor(d.Task.Generation):
				r = old.next(StateDead, d.At, ActionDeadAgain, note)
			default:
				return nil, nil
			}
			if !d.encoded || old != nil {
				if err := r.narrow(d.Task.Payload); err != nil {
					return nil, err
				}
			}
			r.about(d.Task.Payload)
			r.last, r.cause, r.status = d.At, cause.ID, d.Verdict.Status
			r.body.Queue = d.Queue
			r.body.Description = tasks.Printable(d.Verdict.Description, descriptionMax)
			if r.body.Trace == "" { // a resend's is another one, and goes back to the first
				r.body.Trace = traceparent(d.Trace)
			}
			r.body.Unknown = nil
			if len(d.Unknown) < len(tasks.Targets(d.Task.Payload)) {
				r.body.Unknown = d.Unknown
			}
			r.addAttempts(d.Task.Generation, d.Attempts)
			return r, nil
		},
	})
}

// traceparent is a W3C traceparent as it is kept; empty when it is none.
func traceparent(text string) string {
	return tasks.FormatTraceparent(tasks.ParseTraceparent(text))
}

// complete fills in what a death may leave out.
func (s *Store) complete(d Death) Death {
	if d.At.IsZero() {
		d.At = s.now()
	}
	d.At = d.At.Truncate(time.Millisecond)
	if d.Reason == "" {
		d.Reason = ReasonVerdict
	}
	if d.Verdict.Class == "" {
		d.Verdict.Class = errclass.ClassNeedsHuman
	}
	if d.Verdict.Scope == "" {
		d.Verdict.Scope = errclass.ScopeJob
	}
	if d.Queue == "" && d.Task.Payload != nil {
		d.Queue = d.Task.Queue()
	}
	d.Attempts = slices.Clone(d.Attempts)
	for i := range d.Attempts {
		if d.Attempts[i].At.IsZero() {
			d.Attempts[i].At = d.At
		}
	}
	return d
}

// waitsFor says whether the entry waits for the end of this generation, which is
// never the first one.
func (r *record) waitsFor(generation int) bool {
	return r.state == StateResending && r.generation == generation
}

// Resolve notes that a resend succeeded, and adds the failed attempts that it
// took. It does nothing for a first generation, and when the entry does not
// wait for this one; so it may be repeated. Workers call it before the task
// leaves its queue. Errors are failures of Redis.
func (s *Store) Resolve(ctx context.Context, t tasks.Task, attempts []Attempt) error {
	if t.Generation == 0 {
		return nil
	}
	return s.change(ctx, change{op: "resolve", app: t.App, id: t.ID, edit: func(old *record) (*record, error) {
		if old == nil || !old.waitsFor(t.Generation) {
			return nil, nil
		}
		r := old.next(StateResolved, s.now(), ActionResolved, Actor{})
		r.addAttempts(t.Generation, attempts)
		return r, nil
	}})
}

// Admit says whether a worker may make the task's call. A first generation may
// be made while there is no dead letter: there is one when its worker died
// between writing it and ending the task. A further generation may be made only
// while its entry waits for it. Errors are failures of Redis.
func (s *Store) Admit(ctx context.Context, t tasks.Task) (bool, error) {
	head, err := s.redis.GetRange(ctx, tasks.EntryKey(t.App, t.ID), 0, headMax-1).Result()
	if err != nil {
		return false, fmt.Errorf("admit %s: %w", t.ID, err)
	}
	if head == "" {
		return t.Generation == 0, nil
	}
	r := &record{app: t.App, id: t.ID}
	if err := r.readHead(head); err != nil {
		return false, fmt.Errorf("admit %s: %w", t.ID, err)
	}
	return r.waitsFor(t.Generation), nil
}

// Get reads one entry. Its error wraps ErrNotFound when there is none.
func (s *Store) Get(ctx context.Context, app, id string) (Entry, error) {
	entries, err := s.read(ctx, []position{{app: app, id: id}})
	if err != nil {
		return Entry{}, fmt.Errorf("get %s: %w", id, err)
	}
	switch e := entries[0]; {
	case e == nil:
		return Entry{}, fmt.Errorf("dead letter %s of app %s: %w", id, app, ErrNotFound)
	case e.unreadable():
		return Entry{}, fmt.Errorf("get %s: %w", id, errDamaged)
	default:
		return *e, nil
	}
}

// Find reads the entries with this ID in all apps that were ever used, in the
// order of their apps. Its error wraps ErrNotFound when there is none.
func (s *Store) Find(ctx context.Context, id string) ([]Entry, error) {
	apps, err := s.Apps(ctx)
	if err != nil {
		return nil, err
	}
	at := make([]position, len(apps))
	for i, app := range apps {
		at[i] = position{app: app, id: id}
	}
	read, err := s.read(ctx, at)
	if err != nil {
		return nil, fmt.Errorf("find %s: %w", id, err)
	}
	var found []Entry
	for _, e := range read {
		if e != nil {
			found = append(found, *e)
		}
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("dead letter %s: %w", id, ErrNotFound)
	}
	return found, nil
}

// Apps lists the apps that were ever used on this Redis, in order.
func (s *Store) Apps(ctx context.Context) ([]string, error) {
	apps, err := s.redis.SMembers(ctx, tasks.AppsKey).Result()
	if err != nil {
		return nil, fmt.Errorf("list apps: %w", err)
	}
	// Keys are built from these, whoever wrote the register.
	apps = slices.DeleteFunc(apps, func(app string) bool { return tasks.CheckApp(app) != nil })
	slices.Sort(apps)
	return apps, nil
}

// someApps are the apps that are asked about: all that were ever used when none
// is given. It returns a *tasks.FieldError for one that can't be.
func (s *Store) someApps(ctx context.Context, apps []string) ([]string, error) {
	if len(apps) == 0 {
		return s.Apps(ctx)
	}
	for _, app := range apps {
		if err := tasks.CheckApp(app); err != nil {
			return nil, err
		}
	}
	return apps, nil
}

// unreadable says that the entry is only named; see read.
func (e *Entry) unreadable() bool { return e.State == "" }

// load reads one record; nil when there is none.
func (s *Store) load(ctx context.Context, app, id string) (*record, error) {
	value, err := s.redis.Get(ctx, tasks.EntryKey(app, id)).Result()
	if errors.Is(err, redis.Nil) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return decodeRecord(s.codec, app, id, value)
}

// execute runs a pipeline. That a key is absent is no failure.
func execute(ctx context.Context, pipe redis.Pipeliner) error {
	commands, err := pipe.Exec(ctx)
	if !errors.Is(err, redis.Nil) {
		return err
	}
	for _, command := range commands {
		if err := command.Err(); err != nil && !errors.Is(err, redis.Nil) {
			return err
		}
	}
	return nil
}

// loadMany reads records; nil for one that does not exist. errs says which of
// them can't be read.
func (s *Store) loadMany(ctx context.Context, at []position) (records []*record, errs []error, err error) {
	values, err := s.values(ctx, at)
	if err != nil {
		return nil, nil, err
	}
	records, errs = make([]*record, len(at)), make([]error, len(at))
	for i, p := range at {
		if values[i] != "" {
			records[i], errs[i] = decodeRecord(s.codec, p.app, p.id, values[i])
		}
	}
	return records, errs, nil
}

// values reads entries as Redis keeps them; "" for one that does not exist.
func (s *Store) values(ctx context.Context, at []position) ([]string, error) {
	if len(at) == 0 {
		return nil, nil
	}
	pipe := s.redis.Pipeline()
	read := make([]*redis.StringCmd, len(at))
	for i, p := range at {
		read[i] = pipe.Get(ctx, tasks.EntryKey(p.app, p.id))
	}
	if err := execute(ctx, pipe); err != nil {
		return nil, err
	}
	values := make([]string, len(at))
	for i, cmd := range read {
		values[i] = cmd.Val()
	}
	return values, nil
}

// read reads entries with their causes; nil for one that does not exist. One
// that can't be read is still named, so that it does not hide the others.
func (s *Store) read(ctx context.Context, at []position) ([]*Entry, error) {
	return s.newReader(Filter{}).read(ctx, at)
}

// A reader reads entries, those in which what a filter looks for stands somewhere, and
// remembers their causes.
type reader struct {
	store  *Store
	text   [][]byte // spellings of Filter.Text in lower case; none for any
	target [][]byte // those of Filter.Target, likewise: it saves decoding most of the others
	causes map[[2]string]Cause
}

func (s *Store) newReader(f Filter) *reader {
	return &reader{store: s, text: spellings(f.Text), target: spellings(f.Target), causes: map[[2]string]Cause{}}
}

// spellings are how a text may stand in an entry, in lower case: most of an entry is
// JSON, in which some characters are spelled otherwise.
func spellings(text string) [][]byte {
	if text == "" {
		return nil
	}
	text = strings.ToLower(text)
	list := [][]byte{[]byte(text)}
	if quoted, err := marshalJSON(text); err == nil && string(quoted) != `"`+text+`"` {
		list = append(list, quoted[1:len(quoted)-1])
	}
	return list
}

// read reads entries, as Store.read does; nil also for one without the text.
func (r *reader) read(ctx context.Context, at []position) ([]*Entry, error) {
	values, err := r.store.values(ctx, at)
	if err != nil {
		return nil, err
	}
	if err := r.learn(ctx, at, values); err != nil {
		return nil, err
	}
	entries := make([]*Entry, len(at))
	for i, value := range values {
		if value == "" || !r.wants(at[i], value) {
			continue
		}
		record, err := decodeRecord(r.store.codec, at[i].app, at[i].id, value)
		if err != nil {
			entries[i] = &Entry{
				ID: at[i].id, App: at[i].app, Description: err.Error(), Attempts: []Attempt{}, Events: []Event{},
			}
			continue
		}
		e := record.entry(r.causes[[2]string{record.app, record.cause}])
		entries[i] = &e
	}
	return entries, nil
}

// learn reads the causes of entries that are not known yet.
func (r *reader) learn(ctx context.Context, at []position, values []string) error {
	wanted := map[string][]string{} // app -> causes
	for i, value := range values {
		head := &record{app: at[i].app, id: at[i].id}
		if value == "" || head.readHead(value) != nil {
			continue
		}
		key := [2]string{head.app, head.cause}
		if _, known := r.causes[key]; !known {
			wanted[head.app] = append(wanted[head.app], head.cause)
			r.causes[key] = Cause{}
		}
	}
	for app, ids := range wanted {
		causes, err := r.store.readCauses(ctx, app, ids)
		if err != nil {
			return err
		}
		for _, c := range causes {
			r.causes[[2]string{app, c.ID}] = c
		}
	}
	return nil
}

// wants says whether what is looked for stands in an entry, or in what its cause says
// of it.
func (r *reader) wants(at position, value string) bool {
	if len(r.text) == 0 && len(r.target) == 0 {
		return true
	}
	_, body, _ := strings.Cut(value, "\n")
	plain, err := r.store.codec.expand([]byte(body))
	if err != nil {
		return false
	}
	plain = bytes.ToLower(plain)
	in := func(text []byte) bool { return bytes.Contains(plain, text) }
	if len(r.target) > 0 && !slices.ContainsFunc(r.target, in) {
		return false
	}
	if len(r.text) == 0 || slices.ContainsFunc(r.text, in) {
		return true
	}
	head := &record{app: at.app, id: at.id}
	if head.readHead(value) != nil {
		return false
	}
	c := r.causes[[2]string{head.app, head.cause}]
	return strings.Contains(strings.ToLower(at.id+"\n"+c.Error+"\n"+c.Rule), string(r.text[0]))
}
