package dlq

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/imqueue/emq/errclass"
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

// slowRedis is a round trip that makes workers wait more than they work.
const slowRedis = 50 * time.Millisecond

// fullShare is how much of its memory limit Redis may use before that is worth a warning.
const fullShare = 0.8

// Examine looks at Redis and at the store: what it is set to, how full it is, how many
// dead letters there are against warn (negative: no limit), what is held. What can't be
// looked at is a finding too. Its error says that Redis can't be reached.
func (s *Store) Examine(ctx context.Context, warn int) ([]Finding, error) {
	began := s.now()
	if err := s.redis.Ping(ctx).Err(); err != nil {
		return nil, fmt.Errorf("reach Redis: %w", err)
	}
	findings := []Finding{reached(s.now().Sub(began))}
	findings = append(findings, s.examineMemory(ctx)...)
	findings = append(findings, s.examineSetting(ctx, "maxmemory-policy", "noeviction", errclass.Text{
		En: "Redis evicts keys when its memory is full: queued tasks and dead letters would vanish without a trace.",
		Zh: "内存不足时 Redis 会淘汰键：排队的任务和死信会无声消失。",
	}))
	findings = append(findings, s.examineSetting(ctx, "appendonly", "yes", errclass.Text{
		En: "Without an append-only file, what was enqueued since the last snapshot is lost when Redis restarts.",
		Zh: "没有 AOF 时，Redis 重启会丢失上次快照之后入队的任务。",
	}))
	usage, err := s.Usage(ctx)
	if err != nil {
		return findings, err
	}
	for _, u := range usage {
		findings = append(findings, examineUsage(u, warn, s.now()))
		if u.Causes >= CausesMax {
			findings = append(findings, tooManyCauses(u))
		}
	}
	holds, err := s.Holds(ctx)
	if err != nil {
		return findings, err
	}
	for _, h := range holds {
		findings = append(findings, Finding{
			Check: "hold", App: h.App, Level: LevelFail,
			What: errclass.Text{
				En: fmt.Sprintf("%s is held since %s because of %s", h.target(), h.Since.UTC().Format(time.RFC3339), h.Rule),
				Zh: fmt.Sprintf("%s 自 %s 起因 %s 暂停", h.target(), h.Since.UTC().Format(time.RFC3339), h.Rule),
			},
			Cost: errclass.Text{En: "None of its calls is made; tasks end as dead letters when their age limit is spent.", Zh: "其调用全部停止；任务超过时限后成为死信。"},
			Mend: errclass.Text{En: withClear(h.Advice.En, "Then run", h), Zh: withClear(h.Advice.Zh, "然后执行", h)},
		})
	}
	return findings, nil
}

// withClear is an advice that ends with how to clear the hold, if it does not say so.
func withClear(advice, then string, h Hold) string {
	if command := "emq hold clear " + h.target(); !strings.Contains(advice, command) {
		return strings.TrimSpace(advice + " " + then + " `" + command + "`.")
	}
	return advice
}

func reached(took time.Duration) Finding {
	f := Finding{Check: "redis", Level: LevelOK, What: errclass.Text{
		En: "Redis answers in " + took.Round(10*time.Microsecond).String(), Zh: "Redis 应答耗时 " + took.Round(10*time.Microsecond).String(),
	}}
	if took > slowRedis {
		f.Level = LevelWarn
		f.Cost = errclass.Text{En: "Each task waits for Redis several times.", Zh: "每个任务都要多次等待 Redis。"}
		f.Mend = errclass.Text{En: "Bring Redis and the workers closer together.", Zh: "请把 Redis 与 worker 部署得更近。"}
	}
	return f
}

// examineSetting looks at one setting of Redis.
func (s *Store) examineSetting(ctx context.Context, name, want string, cost errclass.Text) Finding {
	f := Finding{Check: name}
	values, err := s.redis.ConfigGet(ctx, name).Result()
	got := values[name]
	switch {
	case err != nil || got == "":
		f.Level = LevelUnknown
		f.What = errclass.Text{En: "could not be checked: Redis does not let CONFIG GET be used", Zh: "无法检查：Redis 不允许使用 CONFIG GET"}
		f.Mend = errclass.Text{En: "Make sure that it is " + want + ".", Zh: "请确认其值为 " + want + "。"}
	case got == want:
		f.Level, f.What = LevelOK, errclass.Text{En: name + " is " + got, Zh: name + " 为 " + got}
	default:
		f.Level, f.Cost = LevelFail, cost
		f.What = errclass.Text{En: fmt.Sprintf("%s is %s, should be %s", name, got, want), Zh: fmt.Sprintf("%s 为 %s，应为 %s", name, got, want)}
		f.Mend = errclass.Text{En: fmt.Sprintf("Set `%s %s` in redis.conf.", name, want), Zh: fmt.Sprintf("请在 redis.conf 中设置 `%s %s`。", name, want)}
	}
	return f
}

// examineMemory looks at how much of its memory Redis uses.
func (s *Store) examineMemory(ctx context.Context) []Finding {
	f := Finding{Check: "memory"}
	used, most := s.memory(ctx)
	switch share := float64(used) / float64(max(1, most)); {
	case used < 0:
		f.Level, f.What = LevelUnknown, errclass.Text{En: "could not be checked: INFO memory says nothing", Zh: "无法检查：INFO memory 没有结果"}
		f.Mend = errclass.Text{En: "Let the user that emq connects as use INFO.", Zh: "请允许 emq 所用的 Redis 用户执行 INFO。"}
	case most == 0:
		f.Level = LevelOK
		f.What = errclass.Text{En: fmt.Sprintf("%d MB used, no limit set", used>>20), Zh: fmt.Sprintf("已用 %d MB，未设上限", used>>20)}
	default:
		f.Level = LevelOK
		f.What = errclass.Text{
			En: fmt.Sprintf("%d MB of %d MB used (%.0f %%)", used>>20, most>>20, 100*share),
			Zh: fmt.Sprintf("已用 %d MB，上限 %d MB（%.0f %%）", used>>20, most>>20, 100*share),
		}
		if share >= fullShare {
			f.Level = LevelWarn
			f.Cost = errclass.Text{En: "When it is full, nothing can be enqueued.", Zh: "用满之后将无法入队。"}
			f.Mend = errclass.Text{En: "Raise maxmemory, or resend and discard dead letters.", Zh: "请调大 maxmemory，或重发、丢弃死信。"}
		}
	}
	return []Finding{f}
}

// memory is what Redis uses, and its limit, 0 for none; -1 when it does not tell.
func (s *Store) memory(ctx context.Context) (used, most int64) {
	text, err := s.redis.Info(ctx, "memory").Result()
	if err != nil {
		return -1, 0
	}
	used = -1
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		n, err := strconv.ParseInt(value, 10, 64)
		switch {
		case err != nil:
		case name == "used_memory":
			used = n
		case name == "maxmemory":
			most = n
		}
	}
	return used, most
}

func examineUsage(u Usage, warn int, now time.Time) Finding {
	dead := u.Counts[StateDead]
	f := Finding{Check: "dead-letters", App: u.App, Level: LevelOK, What: errclass.Text{
		En: fmt.Sprintf("dead letters: %d, causes: %d", dead, u.Causes), Zh: fmt.Sprintf("%d 条死信，%d 个原因", dead, u.Causes),
	}}
	if !u.OldestDead.IsZero() {
		age := now.Sub(u.OldestDead).Round(time.Minute)
		f.What.En += fmt.Sprintf(", the oldest from %s ago", age)
		f.What.Zh += fmt.Sprintf("，最早的在 %s 前", age)
	}
	if warn >= 0 && dead >= warn {
		f.Level = LevelWarn
		f.What.En += fmt.Sprintf("; the limit is %d", warn)
		f.What.Zh += fmt.Sprintf("；警戒线为 %d", warn)
		f.Cost = errclass.Text{En: "None is dropped, but they fill Redis, and people wait for what they should have got.", Zh: "不会丢弃，但会占满 Redis，且用户还在等待这些消息。"}
		f.Mend = errclass.Text{En: "emq dlq causes --app " + u.App, Zh: "emq dlq causes --app " + u.App}
	}
	return f
}

func tooManyCauses(u Usage) Finding {
	return Finding{
		Check: "causes", App: u.App, Level: LevelWarn,
		What: errclass.Text{En: fmt.Sprintf("%d causes, which is the most that are told apart", u.Causes), Zh: fmt.Sprintf("%d 个原因，已达可区分的上限", u.Causes)},
		Cost: errclass.Text{En: "New faults fall in causes that leave their error and description out.", Zh: "新的故障会归入不含错误码与描述的原因。"},
		Mend: errclass.Text{En: "Resend or discard old causes; report a description whose ids are not taken out.", Zh: "请处理旧的原因；若描述中的 ID 未被去除，请反馈。"},
	}
}
