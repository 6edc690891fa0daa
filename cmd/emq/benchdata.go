package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/imqueue/emq/dlq"
	"github.com/imqueue/emq/errclass"
	"github.com/imqueue/emq/tasks"
)

// benchLetters makes dead letters as a bad night leaves them: of several kinds, sizes
// and causes, no text like the next, so that nothing looks cheaper than it is. The same
// seed and number make the same dead letter.
type benchLetters struct {
	apps   []string
	causes []benchCause
	since  time.Time
	span   time.Duration
	count  int
}

// A benchCause is a fault: an answer to calls of one kind.
type benchCause struct {
	app     string
	kind    tasks.Kind
	verdict errclass.Verdict
	pattern string // of the description; %s is an ID
	reason  dlq.Reason
}

// benchFaults are answers of Easemob's, in the forms of its error page; %s is an ID.
// How they are classed, the rules say.
var benchFaults = []struct {
	status  int
	error   string
	pattern string
	reason  dlq.Reason
}{
	{403, "forbidden_op", "users [%s] are not members of this group!", dlq.ReasonVerdict},
	{404, "resource_not_found", "grpID %s does not exist!", dlq.ReasonVerdict},
	{404, "service_resource_not_found", "Service resource not found: user %s", dlq.ReasonVerdict},
	{400, "illegal_argument", "from user %s not exist", dlq.ReasonVerdict},
	{503, "service_unavailable", "node %s is not available, try again later", dlq.ReasonExhausted},
	{403, "exceed_limit", "user %s has joined too many groups!", dlq.ReasonVerdict},
	{0, "", "", dlq.ReasonExhausted},
	{500, "internal_server_error", "an unexpected error happened, request %s", dlq.ReasonExhausted},
	{400, "group_error", "group %s has been disabled", dlq.ReasonVerdict},
	{403, "forbidden_op", "user %s is muted", dlq.ReasonVerdict},
}

// benchKinds are the kinds of the calls, the most frequent first.
var benchKinds = []tasks.Kind{
	tasks.KindMessageSend, tasks.KindGroupAddMembers, tasks.KindMessageSend, tasks.KindRoomMuteMembers, tasks.KindMessageSend,
	tasks.KindUserSetNickname, tasks.KindMessageSend, tasks.KindGroupRemoveMembers,
}

const benchSeed = 20260301

// newBenchLetters makes count dead letters of so many causes, spread over the apps and
// over the day before now.
func newBenchLetters(apps []string, causes, count int, now time.Time) *benchLetters {
	b := &benchLetters{apps: apps, since: now.Add(-24 * time.Hour), span: 24 * time.Hour, count: count}
	for i := range causes {
		f := benchFaults[i%len(benchFaults)]
		if f.pattern == "" && i > len(benchFaults)*len(apps) {
			f = benchFaults[0] // a timeout has no words to keep causes apart
		}
		c := benchCause{app: apps[i%len(apps)], kind: benchKinds[i%len(benchKinds)], reason: f.reason}
		if f.pattern != "" {
			// The words of a place keep causes apart that are else the same.
			c.pattern = f.pattern + " in " + benchWords[i/len(benchFaults)%len(benchWords)]
		}
		evidence := errclass.Evidence{Kind: string(c.kind), Attempt: 1, Status: f.status, Written: true, Body: benchBody(f.error, c.pattern, now, 0)}
		if f.status == 0 {
			evidence.Transport, evidence.Body = errclass.TransportTimeout, nil
		}
		c.verdict = errclass.Classify(evidence)
		c.verdict.Scope = errclass.ScopeJob
		b.causes = append(b.causes, c)
	}
	return b
}

// death is the n-th dead letter. It is safe for concurrent use.
func (b *benchLetters) death(n int) dlq.Death {
	r := rand.New(rand.NewPCG(benchSeed, uint64(n)))
	// A few causes have most of the dead letters.
	share := r.Float64()
	c := b.causes[int(share*share*share*float64(len(b.causes)))]
	at := b.since.Add(time.Duration(float64(b.span) * float64(n) / float64(b.count)))
	v := c.verdict
	if c.pattern != "" {
		v.Description = strings.Replace(c.pattern, "%s", benchID(r), 1)
	}
	if v.Status == 503 && r.IntN(200) == 0 {
		v.Status = 504 // a rare status
	}
	t := tasks.Task{
		ID: benchTaskID(r, n), App: c.app, Payload: benchPayload(r, c.kind), Priority: tasks.Default, OnUnknown: tasks.Retry,
		MaxAttempts: tasks.MaxAttemptsDefault, MaxAge: tasks.MaxAgeDefault, EnqueuedAt: at.Add(-time.Minute),
	}
	tries := 1 + r.IntN(3)
	if c.reason == dlq.ReasonExhausted && r.IntN(10) == 0 {
		tries = 20
	}
	return dlq.Death{Task: t, Reason: c.reason, Verdict: v, Attempts: benchAttempts(r, v, at, tries), At: at}
}

func benchAttempts(r *rand.Rand, v errclass.Verdict, at time.Time, n int) []dlq.Attempt {
	list := make([]dlq.Attempt, n)
	for i := range list {
		a := dlq.Attempt{
			Number: i + 1, At: at.Add(time.Duration(i-n) * time.Second), LatencyMS: int64(5 + r.IntN(400)), Status: v.Status, Class: v.Class,
			Rule: v.Rule, Error: v.Error, Description: v.Description, Counted: true, Worker: fmt.Sprintf("worker-%d", r.IntN(8)),
		}
		if v.Status == 0 {
			a.Transport = string(errclass.TransportTimeout)
		} else {
			a.Body = string(benchBody(v.Error, v.Description, a.At, r.IntN(50)))
		}
		list[i] = a
	}
	return list
}

// benchBody is an answer in the form that most of Easemob's have.
func benchBody(word, description string, at time.Time, took int) []byte {
	return fmt.Appendf(nil, `{"error":%q,"exception":"com.easemob.exception.ServiceException","timestamp":%d,"duration":%d,"error_description":%q}`,
		word, at.UnixMilli(), took, description)
}

// benchTaskID is an ID that a caller gave, or one that was made up.
func benchTaskID(r *rand.Rand, n int) string {
	if n%3 == 0 {
		return fmt.Sprintf("order-%08d-%s", n, []string{"shipped", "paid", "refund"}[r.IntN(3)])
	}
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
	id := make([]byte, 18, 26)
	for i := range id {
		id[i] = letters[r.IntN(len(letters))]
	}
	return string(fmt.Appendf(id, "%08d", n))
}

func benchID(r *rand.Rand) string { return fmt.Sprintf("user%07d", r.IntN(2_000_000)) }

func benchGroup(r *rand.Rand) string { return fmt.Sprintf("2%014d", r.IntN(300_000)) }

// benchNames are so many users, each once.
func benchNames(r *rand.Rand, n int) []string {
	names := make([]string, n)
	first, step := r.IntN(1_000_000), 1+r.IntN(3_000)
	for i := range names {
		names[i] = fmt.Sprintf("user%07d", first+i*step)
	}
	return names
}

// benchCrowd is how many users a call is about: mostly one, sometimes tens, rarely as
// many as a call can take.
func benchCrowd(r *rand.Rand, most int) int {
	switch p := r.IntN(1000); {
	case p == 0:
		return most
	case p < 50:
		return 2 + r.IntN(min(most, 40))
	default:
		return 1
	}
}

func benchPayload(r *rand.Rand, kind tasks.Kind) tasks.Payload {
	switch kind {
	case tasks.KindGroupAddMembers:
		return tasks.GroupAddMembers{GroupID: benchGroup(r), Usernames: benchNames(r, benchCrowd(r, 60))}
	case tasks.KindGroupRemoveMembers:
		return tasks.GroupRemoveMembers{GroupID: benchGroup(r), Usernames: benchNames(r, benchCrowd(r, 60))}
	case tasks.KindRoomMuteMembers:
		return tasks.RoomMuteMembers{RoomID: benchGroup(r), Usernames: benchNames(r, benchCrowd(r, 60)), MuteDuration: int64(60_000 * (1 + r.IntN(60)))}
	case tasks.KindUserSetNickname:
		return tasks.UserSetNickname{Username: benchID(r), Nickname: benchText(r, 1+r.IntN(3))}
	}
	m := tasks.Message{
		Target: tasks.Users, To: benchNames(r, benchCrowd(r, 300)), From: []string{"admin", "service", benchID(r)}[r.IntN(3)],
		Body: tasks.Text{Msg: benchText(r, 4+r.IntN(40))},
		Ext:  map[string]any{"order": r.IntN(100_000_000), "trace": benchUUID(r), "scene": benchWords[r.IntN(len(benchWords))]},
	}
	if r.IntN(4) == 0 {
		m.Target, m.To = tasks.Groups, []string{benchGroup(r)}
	}
	if r.IntN(8) == 0 {
		raw, _ := json.Marshal(map[string]any{"card": benchUUID(r), "title": benchText(r, 3), "price": r.IntN(100000)})
		m.Body = tasks.Text{Msg: string(raw)}
	}
	return m
}

func benchUUID(r *rand.Rand) string {
	return fmt.Sprintf("%08x-%04x-4%03x-%04x-%012x", r.Uint32(), r.IntN(1<<16), r.IntN(1<<12), r.IntN(1<<16), r.Int64N(1<<48))
}

// benchText is a text of so many words, in English or in Chinese.
func benchText(r *rand.Rand, n int) string {
	list, gap := benchWords, " "
	if r.IntN(2) == 0 {
		list, gap = benchWordsZh, ""
	}
	words := make([]string, n)
	for i := range words {
		words[i] = list[r.IntN(len(list))]
		if r.IntN(6) == 0 {
			words[i] += fmt.Sprint(r.IntN(10000))
		}
	}
	return strings.Join(words, gap)
}

var benchWords = strings.Fields(`your order parcel was shipped delayed returned refund courier arrives tomorrow morning evening please confirm
address phone code coupon expires balance account teacher lesson begins homework meeting room joined left invited friend photo voice gift
level season match ticket doctor visit reminder payment received failed retry invoice discount member points upgrade weekend summer winter
station gate flight boarding hotel booking guest key driver waiting minutes thanks support agent reply question answer review stars`)

var benchWordsZh = strings.Fields(`您的 订单 包裹 已发货 延迟 退回 退款 快递员 明天 上午 晚上 请 确认 地址 电话 验证码 优惠券 到期 余额 账户 老师 课程 开始 作业
会议 房间 加入 离开 邀请 好友 照片 语音 礼物 等级 赛季 比赛 门票 医生 就诊 提醒 支付 成功 失败 重试 发票 折扣 会员 积分 升级 周末 夏天 冬天 车站 登机口 航班 酒店
预订 客人 钥匙 司机 等候 分钟 感谢 客服 回复 问题 答案 评价 星`)
