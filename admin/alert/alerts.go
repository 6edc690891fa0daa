package alert

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/imqueue/emq/dlq"
	"github.com/imqueue/emq/errclass"
	"github.com/imqueue/emq/tasks"
)

// Defaults of Config.
const (
	BacklogDefault = 10 * time.Minute
	PaceDefault    = 60
	RemindDefault  = 4 * time.Hour
	RemindMin      = 10 * time.Minute
)

const (
	lookEvery    = 5 * time.Second
	examineEvery = 5 * time.Minute
	// newEvery is how often new causes of an app are told, so that many of them, one
	// after the other, are few notices. It leaves time to send within half a minute.
	newEvery = 20 * time.Second
	// digestAbove is how many notices of one kind at once become one about them all.
	digestAbove = 3
	digestShown = 5
	// refreshEvery is how often those channels hear what still lasts that want to.
	refreshEvery = time.Minute
	// redisAfter is how long Redis must be out of reach to be told of.
	redisAfter = 20 * time.Second
)

// Config configures Alerts. Zero values mean the defaults.
type Config struct {
	Store *dlq.Store
	Redis redis.UniversalClient
	// Apps are those that are looked after, at least one.
	Apps []string
	// Channels are told, besides the log.
	Channels []*Channel
	// Link is the address of emq's web page, for links in alerts; empty for none.
	Link string
	// Backlog is how long a due task may wait before that is told; 10 min by default.
	Backlog time.Duration
	// Pace is from how many dead letters a minute on a cause that is known is told of
	// again; 60 by default, negative for never.
	Pace int
	// Remind is how often what lasts is told of again; 4 h by default, at least 10 min.
	Remind time.Duration
	// Logger gets a line for each alert; nil means slog.Default.
	Logger *slog.Logger
	// Name tells this process from the others.
	Name string
}

// Alerts tells operators what a person must look at.
type Alerts struct {
	cfg     Config
	limits  thresholds
	log     *slog.Logger
	metrics *metrics
	now     func() time.Time
	sendFor time.Duration

	sending  sync.WaitGroup
	sendable context.Context // ends when what is being sent must end
	mu       sync.Mutex
	sent     map[string]time.Time // IDs of notices that are not to be sent, until when
	failing  map[string]bool      // channels by name, whose failure was told

	// Of the goroutine that looks:
	mine      map[string]bool // apps that were this process's when Redis last answered
	examined  time.Time
	findings  []Notice
	refreshed time.Time
	lost      time.Time // since when Redis is out of reach
	lostTold  *record
}

// New makes Alerts; it connects to nothing. It returns a *tasks.FieldError for a bad
// setting.
func New(cfg Config) (*Alerts, error) {
	if cfg.Backlog == 0 {
		cfg.Backlog = BacklogDefault
	}
	if cfg.Pace == 0 {
		cfg.Pace = PaceDefault
	}
	if cfg.Remind == 0 {
		cfg.Remind = RemindDefault
	}
	if cfg.Remind < RemindMin {
		return nil, &tasks.FieldError{Field: "alert_remind", Value: cfg.Remind.String(), Bound: "at least " + RemindMin.String()}
	}
	if cfg.Backlog < time.Second {
		return nil, &tasks.FieldError{Field: "alert_backlog", Value: cfg.Backlog.String(), Bound: "at least 1s"}
	}
	if cfg.Link != "" {
		if u, err := url.Parse(cfg.Link); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil {
			return nil, &tasks.FieldError{Field: "alert_link", Bound: "must be the address of a page, such as https://emq.example.com"}
		}
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	return &Alerts{
		cfg: cfg, limits: thresholds{pace: float64(max(0, cfg.Pace)), remind: cfg.Remind}, log: cfg.Logger, metrics: newMetrics(cfg.Channels),
		now: time.Now, sent: map[string]time.Time{}, sendFor: sendFor, failing: map[string]bool{}, mine: map[string]bool{},
	}, nil
}

// Run looks and tells until ctx ends. What is being sent then may take a few seconds
// more; what is not sent is sent by the process that goes on.
func (a *Alerts) Run(ctx context.Context) {
	sendable, cancel := context.WithCancel(context.WithoutCancel(ctx))
	a.sendable = sendable
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	defer func() {
		timer := time.AfterFunc(lookEvery, cancel)
		a.sending.Wait()
		timer.Stop()
		cancel()
	}()
	for {
		a.turn(ctx)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// turn looks once at all apps that are this process's to look after.
func (a *Alerts) turn(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 3*lookEvery) // as long as a lease
	defer cancel()
	var lasting []Notice
	for i, app := range a.cfg.Apps {
		mine, err := a.cfg.Store.Lease(ctx, app, dlq.WorkAlerts, a.cfg.Name)
		if err != nil {
			a.redisAway(ctx, err)
			return
		}
		a.mine[app] = mine
		if !mine {
			continue
		}
		open, err := a.tell(ctx, app, i == 0)
		if err != nil && ctx.Err() == nil {
			a.log.Warn("could not look for what to alert of", "app", app, "error", err)
		}
		lasting = append(lasting, open...)
	}
	a.redisBack(ctx)
	if now := a.now(); now.Sub(a.refreshed) >= refreshEvery {
		a.refreshed = now
		a.refresh(ctx, lasting)
	}
}

// tell looks at an app, decides what to tell, and has it sent. It returns what lasts.
func (a *Alerts) tell(ctx context.Context, app string, withFindings bool) (lasting []Notice, _ error) {
	seen, err := a.look(ctx, app)
	if err != nil {
		return nil, err
	}
	if withFindings {
		if now := a.now(); now.Sub(a.examined) >= examineEvery {
			a.examined, a.findings = now, a.examine(ctx)
		}
		seen.notices = append(seen.notices, a.findings...)
	}
	b, err := readBook(ctx, a.cfg.Redis, app)
	if err != nil {
		return nil, err
	}
	now := a.now()
	due := map[Event][]*record{}
	there := map[string]bool{}
	for _, n := range seen.notices {
		there[n.Fingerprint] = true
		quiet, r := seen.quiet(n), b.records[n.Fingerprint]
		if r == nil {
			if quiet != "" || n.Subject == SubjectCause && now.Sub(b.newTold) < newEvery {
				continue // it is as new the next time
			}
			r = &record{}
			b.records[n.Fingerprint] = r
		}
		event := r.see(&n, seen.triage[n.Cause] == dlq.TriageAcknowledged, a.limits, now)
		if quiet != "" {
			continue
		}
		if event != "" {
			due[event] = append(due[event], r)
		}
		lasting = append(lasting, n)
	}
	for fingerprint, r := range b.records {
		if there[fingerprint] {
			continue
		}
		if event := r.see(nil, false, a.limits, now); event != "" {
			due[event] = append(due[event], r)
			delete(b.records, fingerprint)
		}
	}
	for event, records := range due {
		for _, n := range a.worded(app, event, records) {
			n.At, n.ID = now, fmt.Sprintf("%s:%s:%d", n.Fingerprint, event, now.UnixMilli())
			b.unsent[n.ID] = n
			a.say(ctx, n)
		}
		for _, r := range records {
			r.told(now)
			if event == EventNew && r.Notice.Subject == SubjectCause {
				b.newTold = now
			}
		}
	}
	// Noted before it is sent: who takes over sends it.
	if err := b.write(ctx, a.cfg.Redis); err != nil {
		return nil, err
	}
	for _, n := range b.unsent {
		a.send(app, n)
	}
	return lasting, nil
}

// worded are the notices about things that are told of for the same reason: those of many
// causes are one.
func (a *Alerts) worded(app string, event Event, records []*record) []Notice {
	var notices, causes []Notice
	for _, r := range records {
		n := r.Notice
		n.Event = event
		if n.Subject == SubjectCause {
			causes = append(causes, n)
		} else {
			notices = append(notices, n)
		}
	}
	if len(causes) > digestAbove {
		causes = []Notice{a.digest(app, event, causes)}
	}
	return append(notices, causes...)
}

func (a *Alerts) digest(app string, event Event, causes []Notice) Notice {
	slices.SortFunc(causes, func(a, b Notice) int { return b.Count - a.Count })
	n := Notice{
		Fingerprint: "causes:" + app, Event: event, Severity: SeverityWarning, Subject: SubjectCause, App: app,
		Command: "emq dlq causes --app " + app, Link: a.link("causes", app, ""), Since: causes[0].Since,
		Advice: errclass.Text{En: "Look at the causes one by one; each has its advice.", Zh: "请逐个查看原因，每个原因都附有处理建议。"},
	}
	for i, c := range causes {
		n.Count += c.Count
		if c.Since.Before(n.Since) {
			n.Since = c.Since
		}
		if c.Severity == SeverityCritical {
			n.Severity = SeverityCritical
		}
		if i < digestShown {
			n.Facts = append(n.Facts, Fact{errclass.Text{En: c.Cause}, c.Title})
		}
	}
	n.Title = errclass.Text{
		En: fmt.Sprintf("%d causes, %s", len(causes), deadLetters(n.Count)),
		Zh: fmt.Sprintf("%d 个原因，共 %d 条死信", len(causes), n.Count),
	}
	return n
}

// say writes the notice's line to the log, which may be the system's.
func (a *Alerts) say(ctx context.Context, n Notice) {
	a.metrics.told.WithLabelValues(string(n.Subject), string(n.Event)).Inc()
	level := slog.LevelWarn
	switch {
	case n.Over():
		level = slog.LevelInfo
	case n.Severity == SeverityCritical:
		level = slog.LevelError
	}
	a.log.LogAttrs(ctx, level, "alert", slog.String("event", string(n.Event)), slog.String("subject", string(n.Subject)),
		slog.String("app", n.App), slog.String("cause", n.Cause), slog.Int("count", n.Count), slog.String("title", n.Title.In("en")),
		slog.String("advice", n.Advice.In("en")), slog.String("look", n.Command))
}

// send has a notice of an app's book sent to all channels, unless that was or is being
// done.
func (a *Alerts) send(app string, n Notice) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.now()
	maps.DeleteFunc(a.sent, func(_ string, until time.Time) bool { return !now.Before(until) })
	if _, ok := a.sent[n.ID]; ok {
		return
	}
	a.sent[n.ID] = now.Add(2 * giveUpAfter)
	a.sending.Go(func() {
		if !a.deliver(a.sendable, n) && a.now().Sub(n.At) < giveUpAfter {
			a.mu.Lock()
			defer a.mu.Unlock()
			a.sent[n.ID] = a.now().Add(sendAgainAfter)
			return
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(a.sendable), lookEvery)
		defer cancel()
		if err := forget(ctx, a.cfg.Redis, app, n); err != nil {
			a.log.Warn("an alert that was sent may be sent again", "alert", n.ID, "error", err)
		}
	})
}

// redisAway tells that Redis is out of reach, where this process was the one to tell
// when it still was in reach: with no Redis nobody can agree on another.
func (a *Alerts) redisAway(ctx context.Context, err error) {
	now := a.now()
	if a.lost.IsZero() {
		a.lost = now
	}
	if now.Sub(a.lost) < redisAfter || !a.isMine() {
		return
	}
	if a.lostTold == nil {
		a.lostTold = &record{}
	}
	n := Notice{
		Fingerprint: "redis", Severity: SeverityCritical, Subject: SubjectRedis, Since: a.lost, Command: "emq doctor",
		Title:  errclass.Text{En: "Redis is out of reach: nothing is called, and enqueues fail", Zh: "无法连接 Redis：调用已停止，入队会失败"},
		Advice: errclass.Text{En: "Bring Redis back. Tasks that it had on disk go on by themselves.", Zh: "请恢复 Redis；已落盘的任务会自动继续。"},
	}
	if event := a.lostTold.see(&n, false, a.limits, now); event != "" {
		a.lostTold.told(now)
		a.tellDirectly(ctx, n, event)
	}
	a.log.Warn("could not look for what to alert of", "error", err)
}

// redisBack tells that Redis is in reach again, where that it was not was told.
func (a *Alerts) redisBack(ctx context.Context) {
	a.lost = time.Time{}
	if a.lostTold != nil {
		a.tellDirectly(ctx, a.lostTold.Notice, EventResolved)
		a.lostTold = nil
	}
}

func (a *Alerts) isMine() bool {
	for _, mine := range a.mine {
		if mine {
			return true
		}
	}
	return false
}

// tellDirectly tells what is not noted in Redis.
func (a *Alerts) tellDirectly(ctx context.Context, n Notice, event Event) {
	n.Event, n.At = event, a.now()
	n.ID = fmt.Sprintf("%s:%s:%s:%d", n.Fingerprint, a.cfg.Name, event, n.At.UnixMilli())
	a.say(ctx, n)
	a.sending.Go(func() { a.deliver(a.sendable, n) })
}
