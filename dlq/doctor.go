package dlq

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/imqueue/emq/errclass"
	"github.com/imqueue/emq/tasks"
)

// A Level says how bad a finding is.
type Level string

// The levels.
const (
	LevelOK      Level = "ok"
	LevelUnknown Level = "unknown" // it could not be looked at
	LevelWarn    Level = "warn"    // it can cost something one day
	LevelFail    Level = "fail"    // it costs something now
)

// A Finding is what Examine says about one thing.
type Finding struct {
	Check string        `json:"check"`
	App   string        `json:"app,omitempty"`
	Level Level         `json:"level"`
	What  errclass.Text `json:"what"`
	Cost  errclass.Text `json:"cost,omitzero"` // what it can cost; empty when nothing
	Mend  errclass.Text `json:"mend,omitzero"` // how to mend it; empty when there is nothing to mend
}

// causesShare is how much of CausesMax may be used before that is worth a warning.
const causesShare = 0.8

// Examine looks at Redis and at what emq keeps in it: how Redis is set and how full it
// is, on Cluster each master of it, its clock and that of the workers, the queues and
// who serves them, how many dead letters there are against warn (negative: no limit),
// what is held. It looks at all apps that were ever used, and at these besides. It
// changes nothing; that scripts may write is tried with a key that goes at once.
//
// What can't be looked at is a finding too: Redis out of reach is the only one then.
func (s *Store) Examine(ctx context.Context, warn int, apps ...string) []Finding {
	reached, err := s.examineReach(ctx)
	if err != nil {
		return []Finding{unreachable(err)}
	}
	findings := append([]Finding{reached}, s.examineNodes(ctx)...)
	findings = append(findings, s.examineScripts(ctx))
	servers, err := s.servers(ctx)
	asked := err == nil
	if err != nil {
		findings = append(findings, unseen("workers", "", err))
	} else {
		findings = append(findings, examineWorkerClocks(servers)...)
	}
	known, err := s.Apps(ctx)
	if err != nil {
		return append(findings, unseen("apps", "", err))
	}
	used, err := s.usedQueues(ctx)
	if err != nil {
		return append(findings, unseen("queues", "", err))
	}
	all := slices.Concat(known, apps)
	slices.Sort(all)
	for _, app := range slices.Compact(all) {
		look := appLook{app: app, enrolled: slices.Contains(known, app), used: used, asked: asked, servers: servers}
		findings = append(findings, s.examineApp(ctx, look, warn)...)
	}
	holds, err := s.Holds(ctx)
	if err != nil {
		return append(findings, unseen("hold", "", err))
	}
	for _, h := range holds {
		findings = append(findings, held(h))
	}
	return findings
}

// unseen says that something could not be looked at.
func unseen(check, app string, err error) Finding {
	why := tasks.Printable(err.Error(), descriptionMax)
	return Finding{
		Check: check, App: app, Level: LevelUnknown,
		What: errclass.Text{En: "could not be checked: " + why, Zh: "无法检查：" + why},
		Mend: errclass.Text{En: "Mend that first, then run it again.", Zh: "请先解决该问题，再重新检查。"},
	}
}

func held(h Hold) Finding {
	since := h.Since.UTC().Format(time.RFC3339)
	return Finding{
		Check: "hold", App: h.App, Level: LevelFail,
		What: errclass.Text{
			En: fmt.Sprintf("%s is held since %s because of %s", h.target(), since, h.Rule),
			Zh: fmt.Sprintf("%s 自 %s 起因 %s 暂停", h.target(), since, h.Rule),
		},
		Cost: errclass.Text{En: "None of its calls is made; tasks end as dead letters when their age limit is spent.", Zh: "其调用全部停止；任务超过时限后成为死信。"},
		Mend: errclass.Text{En: withClear(h.Advice.En, "Then run", h), Zh: withClear(h.Advice.Zh, "然后执行", h)},
	}
}

// withClear is an advice that ends with how to clear the hold, if it does not say so.
func withClear(advice, then string, h Hold) string {
	if command := "emq hold clear " + h.target(); !strings.Contains(advice, command) {
		return strings.TrimSpace(advice + " " + then + " `" + command + "`.")
	}
	return advice
}

func examineUsage(u Usage, warn int, now time.Time) []Finding {
	dead := u.Counts[StateDead]
	f := Finding{Check: "dead-letters", App: u.App, Level: LevelOK, What: errclass.Text{
		En: fmt.Sprintf("dead letters: %d, causes: %d", dead, u.Causes), Zh: fmt.Sprintf("%d 条死信，%d 个原因", dead, u.Causes),
	}}
	if !u.OldestDead.IsZero() {
		age := brief(now.Sub(u.OldestDead))
		f.What.En += fmt.Sprintf(", the oldest from %s ago", age)
		f.What.Zh += fmt.Sprintf("，最早的在 %s 前", age)
	}
	if warn >= 0 && dead >= warn {
		f.Level = LevelWarn
		f.What.En += fmt.Sprintf("; the limit is %d", warn)
		f.What.Zh += fmt.Sprintf("；警戒线为 %d", warn)
		f.Cost = errclass.Text{En: "None is dropped, but they fill Redis, and people wait for what they should have got.", Zh: "不会丢弃，但会占满 Redis，且用户还在等待这些消息。"}
		f.Mend = errclass.Text{
			En: "See what they have in common with `emq dlq causes --app " + u.App + "`, mend that, then resend or discard them.",
			Zh: "用 `emq dlq causes --app " + u.App + "` 查看共同原因，修复后重发或丢弃。",
		}
	}
	if u.Causes < causesShare*CausesMax {
		return []Finding{f}
	}
	return []Finding{f, {
		Check: "causes", App: u.App, Level: LevelWarn,
		What: errclass.Text{En: fmt.Sprintf("%d causes; at most %d are told apart", u.Causes, CausesMax), Zh: fmt.Sprintf("%d 个原因，最多可区分 %d 个", u.Causes, CausesMax)},
		Cost: errclass.Text{En: "From there on, new faults fall in causes that leave their error and description out.", Zh: "达到上限后，新的故障会归入不含错误码与描述的原因。"},
		Mend: errclass.Text{En: "Resend or discard old causes; report a description whose ids are not taken out.", Zh: "请处理旧的原因；若描述中的 ID 未被去除，请反馈。"},
	}}
}

// brief is a duration to the second, or to the minute from an hour on.
func brief(d time.Duration) string {
	if d = d.Round(time.Second); d >= time.Hour {
		return strings.TrimSuffix(d.Round(time.Minute).String(), "0s")
	}
	return d.String()
}

// some lists the first few of names.
func some(names []string) string {
	const shown = 3
	if len(names) <= shown {
		return strings.Join(names, ", ")
	}
	return strings.Join(names[:shown], ", ") + ", …"
}
