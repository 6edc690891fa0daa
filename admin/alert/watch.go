package alert

import (
	"context"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/imqueue/emq/dlq"
	"github.com/imqueue/emq/errclass"
)

// A sight is what is the matter with an app now.
type sight struct {
	notices  []Notice // without an event
	held     bool
	silences []dlq.Silence
	triage   map[string]dlq.TriageState // of causes
}

// look reads what is the matter with an app. Its cost does not grow with the number of
// dead letters or tasks.
func (a *Alerts) look(ctx context.Context, app string) (sight, error) {
	s := sight{triage: map[string]dlq.TriageState{}}
	causes, err := a.cfg.Store.Causes(ctx, dlq.Filter{App: app, State: dlq.StateDead})
	if err != nil {
		return s, err
	}
	holds, err := a.cfg.Store.Holds(ctx, app)
	if err != nil {
		return s, err
	}
	queues, err := a.cfg.Store.Queues(ctx, app)
	if err != nil {
		return s, err
	}
	if s.silences, err = a.cfg.Store.Silences(ctx, app); err != nil {
		return s, err
	}
	s.held = len(holds) > 0
	for _, c := range causes {
		s.triage[c.ID] = c.Triage.State
		s.notices = append(s.notices, a.ofCause(c))
	}
	for _, h := range holds {
		s.notices = append(s.notices, a.ofHold(h, queues))
	}
	if n, late := a.ofBacklog(app, queues); late {
		s.notices = append(s.notices, n)
	}
	return s, nil
}

// quiet says why nothing is told of a notice for now; "" when it is to be told.
func (s sight) quiet(n Notice) string {
	if s.held && (n.Subject == SubjectCause || n.Subject == SubjectBacklog) {
		return "hold" // which is told itself, and is what to mend first
	}
	if s.triage[n.Cause] == dlq.TriageIgnored {
		return "ignored"
	}
	for _, silence := range s.silences {
		if silence.Covers(n.Cause) {
			return "silence " + silence.ID
		}
	}
	return ""
}

func (a *Alerts) ofCause(c dlq.Cause) Notice {
	n := Notice{
		Fingerprint: "cause:" + c.App + ":" + c.ID, Severity: SeverityWarning, Subject: SubjectCause, App: c.App, Cause: c.ID,
		Count: c.Counts[dlq.StateDead], Advice: c.Advice, Command: "emq dlq list --app " + c.App + " --cause " + c.ID,
		Link: a.link("causes", c.App, c.ID), Since: c.Triage.OpenedAt,
		Facts: []Fact{fact("cause", "原因", c.ID), fact("kind", "类型", string(c.Kind)), fact("class", "分类", string(c.Class)), fact("rule", "规则", c.Rule)},
	}
	if c.Class == errclass.ClassNeedsHuman {
		n.Severity = SeverityCritical
	}
	if c.Error != "" {
		n.Facts = append(n.Facts, fact("error", "错误", clip(c.Error, wordMax)))
	}
	n.Title = errclass.Text{
		En: fmt.Sprintf("%s of one cause: %s", deadLetters(n.Count), c.Why.In("en")),
		Zh: fmt.Sprintf("同一原因的死信 %d 条：%s", n.Count, c.Why.In("zh")),
	}
	return n
}

// wordMax bounds the words of an answer in a notice, in bytes.
const wordMax = 128

func deadLetters(n int) string {
	if n == 1 {
		return "1 dead letter"
	}
	return fmt.Sprintf("%d dead letters", n)
}

func (a *Alerts) ofHold(h dlq.Hold, queues []dlq.Queue) Notice {
	waiting := 0
	for _, q := range queues {
		if h.Covers(q.Name) {
			waiting += q.Pending + q.Retry
		}
	}
	target := h.App
	if h.Family != "" {
		target += "/" + string(h.Family)
	}
	n := Notice{
		Fingerprint: "hold:" + target, Severity: SeverityCritical, Subject: SubjectHold, App: h.App, Count: waiting,
		Advice: h.Advice, Command: "emq hold list --app " + h.App, Link: a.link("holds", h.App, ""), Since: h.Since,
		Title: errclass.Text{
			En: fmt.Sprintf("%s is held, %d tasks wait: %s", target, waiting, h.Why.In("en")),
			Zh: fmt.Sprintf("%s 已暂停，%d 个任务等待：%s", target, waiting, h.Why.In("zh")),
		},
		Facts: []Fact{fact("rule", "规则", h.Rule)},
	}
	if h.Status != 0 {
		n.Facts = append(n.Facts, fact("status", "状态码", strconv.Itoa(h.Status)))
	}
	if h.Error != "" {
		n.Facts = append(n.Facts, fact("error", "错误", clip(h.Error, wordMax)))
	}
	return n
}

// ofBacklog tells of due tasks that wait for too long in queues that nobody paused.
func (a *Alerts) ofBacklog(app string, queues []dlq.Queue) (n Notice, late bool) {
	n = Notice{
		Fingerprint: "backlog:" + app, Severity: SeverityWarning, Subject: SubjectBacklog, App: app,
		Command: "emq queue list --app " + app, Link: a.link("queues", app, ""),
		Advice: errclass.Text{
			En: "Look whether workers run and reach Redis (`emq doctor`), whether a limit is too low for what is enqueued (`emq limit list`), or start more workers.",
			Zh: "检查 worker 是否运行并能连接 Redis（`emq doctor`）、限速是否低于入队速度（`emq limit list`），或增加 worker。",
		},
	}
	oldest := time.Duration(0)
	for _, q := range queues {
		if q.Paused || q.Latency < a.cfg.Backlog {
			continue
		}
		n.Count += q.Pending
		oldest = max(oldest, q.Latency)
		n.Facts = append(n.Facts, fact("queue", "队列", fmt.Sprintf("%s: %d, %s", q.Name, q.Pending, q.Latency.Round(time.Second))))
	}
	n.Since = a.now().Add(-oldest)
	n.Title = errclass.Text{
		En: fmt.Sprintf("%d due tasks wait, the oldest for %s", n.Count, oldest.Round(time.Second)),
		Zh: fmt.Sprintf("%d 个到期任务在等待，最久 %s", n.Count, oldest.Round(time.Second)),
	}
	return n, len(n.Facts) > 0
}

// examine tells what doctor fails, but for what is told anyway. It is asked about all
// apps at once, so that only one worker does.
func (a *Alerts) examine(ctx context.Context) []Notice {
	var notices []Notice
	for _, f := range a.cfg.Store.Examine(ctx, -1, a.cfg.Apps...) {
		if f.Level != dlq.LevelFail || f.Check == "hold" {
			continue
		}
		notices = append(notices, Notice{
			Fingerprint: "doctor:" + f.Check + ":" + f.App, Severity: SeverityCritical, Subject: SubjectDoctor, App: f.App,
			Title:  errclass.Text{En: f.Check + ": " + f.What.In("en"), Zh: f.Check + "：" + f.What.In("zh")},
			Facts:  []Fact{{errclass.Text{En: "cost", Zh: "影响"}, f.Cost}},
			Advice: f.Mend, Command: "emq doctor", Link: a.link("", "", ""), Since: a.now(),
		})
	}
	return notices
}

// link is the address of a page of the web UI; "" when no one said where it is.
func (a *Alerts) link(page, app, id string) string {
	if a.cfg.Link == "" {
		return ""
	}
	link := strings.TrimSuffix(a.cfg.Link, "/") + "/" + page
	if id != "" {
		link += "/" + url.PathEscape(app) + "/" + url.PathEscape(id)
	} else if app != "" {
		link += "?app=" + url.QueryEscape(app)
	}
	return link
}
