package dlq

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/imqueue/emq/errclass"
	"github.com/imqueue/emq/tasks"
)

const (
	// overdueAfter is how long a lease may have ended before nobody can be said to see
	// to it any more.
	overdueAfter = 2 * time.Minute
	// oldBacklog is how long a task may wait for a worker before that is worth a warning.
	oldBacklog = 5 * time.Minute
	// stuckLook is how many tasks at work are looked at in a queue, and endsLook how many
	// pending ones at each end of it.
	stuckLook = 1000
	endsLook  = 50
)

// appLook is what Examine knows of an app before it looks at its queues.
type appLook struct {
	app      string
	enrolled bool                // in emq's register of apps
	used     map[string]struct{} // asynq's register of queues
	asked    bool                // whether it is known who serves it
	servers  []server            // all of them, of any app
}

// examineApp looks at the queues of an app, who serves them, and its dead letters.
func (s *Store) examineApp(ctx context.Context, a appLook, warn int) []Finding {
	names := tasks.QueueNames(a.app)
	sizes, err := s.sizes(ctx, names)
	if err != nil {
		return []Finding{unseen("queues", a.app, err)}
	}
	var busy []Queue
	for i, q := range sizes {
		if q.Name = names[i]; q.Pending+q.Active+q.Scheduled+q.Retry+q.Archived > 0 {
			busy = append(busy, q)
		}
	}
	findings := []Finding{examineRegister(a, busy), examineBacklog(a.app, busy)}
	if a.asked {
		findings = append(findings, examineServed(a, busy))
	}
	stuck, err := s.examineStuck(ctx, a.app, names)
	if err != nil {
		stuck = []Finding{unseen("stuck", a.app, err)}
	}
	findings = append(findings, stuck...)
	usage, err := s.usage(ctx, a.app)
	if err != nil {
		return append(findings, unseen("dead-letters", a.app, err))
	}
	return append(findings, examineUsage(usage, warn, s.now())...)
}

// examineRegister looks for queues with tasks that workers can't know of.
func examineRegister(a appLook, busy []Queue) Finding {
	var lost []string
	for _, q := range busy {
		if _, registered := a.used[q.Name]; !registered {
			lost = append(lost, q.Name)
		}
	}
	f := Finding{Check: "queues", App: a.app, Level: LevelOK, What: errclass.Text{
		En: fmt.Sprintf("queues with tasks: %d, all of them registered", len(busy)), Zh: fmt.Sprintf("%d 个队列有任务，均已登记", len(busy)),
	}}
	switch {
	case len(busy) == 0:
		f.What = errclass.Text{En: "no queue has tasks", Zh: "没有队列有任务"}
	case len(lost) > 0:
		f.Level = LevelFail
		f.What = errclass.Text{
			En: fmt.Sprintf("queues with tasks that are not in asynq's register: %d (%s)", len(lost), some(lost)),
			Zh: fmt.Sprintf("%d 个有任务的队列不在 asynq 的登记中（%s）", len(lost), some(lost)),
		}
		f.Cost = errclass.Text{En: "A worker that did not know them before never looks there: their tasks wait for ever.", Zh: "此前不知道这些队列的 worker 不会查看：其中的任务会一直等待。"}
		f.Mend = errclass.Text{
			En: "Redis lost data: flushed, or failed over. A client's next enqueue to a queue registers it again, and a worker that knew it does so at once. For the others run `redis-cli SADD asynq:queues " + lost[0] + "`.",
			Zh: "Redis 丢失过数据（被清空或故障转移）。客户端下次向该队列入队时会重新登记，此前知道该队列的 worker 会立即登记；其余请执行 `redis-cli SADD asynq:queues " + lost[0] + "`。",
		}
	case !a.enrolled:
		f.Level = LevelFail
		f.What = errclass.Text{En: "it has tasks, and is not in emq's register of apps", Zh: "有任务，但不在 emq 的 app 登记中"}
		f.Cost = errclass.Text{En: "Commands that look at all apps miss it.", Zh: "查看所有 app 的命令会遗漏它。"}
		f.Mend = errclass.Text{
			En: "Start a worker for it, which registers it; or run `redis-cli SADD " + tasks.AppsKey + " " + a.app + "`.",
			Zh: "启动该 app 的 worker 会重新登记；或执行 `redis-cli SADD " + tasks.AppsKey + " " + a.app + "`。",
		}
	}
	return f
}

// examineBacklog looks at how long tasks have waited.
func examineBacklog(app string, busy []Queue) Finding {
	pending := 0
	var oldest Queue
	for _, q := range busy {
		pending += q.Pending
		if q.Latency > oldest.Latency {
			oldest = q
		}
	}
	f := Finding{Check: "backlog", App: app, Level: LevelOK, What: errclass.Text{En: "nothing waits for a worker", Zh: "没有等待 worker 的任务"}}
	if pending > 0 {
		f.What = errclass.Text{
			En: fmt.Sprintf("tasks that wait for a worker: %d, the oldest for %s", pending, brief(oldest.Latency)),
			Zh: fmt.Sprintf("%d 个任务在等待 worker，最早的已等 %s", pending, brief(oldest.Latency)),
		}
	}
	if oldest.Latency < oldBacklog {
		return f
	}
	f.Level = LevelWarn
	f.What.En += " in " + oldest.Name
	f.What.Zh += "（" + oldest.Name + "）"
	f.Cost = errclass.Text{En: "People wait; a task that waits beyond its age limit ends as a dead letter.", Zh: "用户在等待；等待超过时限的任务会成为死信。"}
	f.Mend = errclass.Text{
		En: "If more comes in than goes out, raise concurrency, run more workers, or have the plan's limit raised (`emq limit list`, `emq queue list`).",
		Zh: "若入队快于投递，请提高 concurrency、增加 worker，或提升套餐限额（`emq limit list`、`emq queue list`）。",
	}
	if oldest.Paused {
		f.What.En += ", which is paused"
		f.What.Zh += "，该队列已暂停"
		f.Mend = errclass.Text{
			En: "See who paused it and why with `emq queue list`, then run `emq queue resume " + oldest.Name + "`, or clear the hold.",
			Zh: "用 `emq queue list` 查看谁因何暂停，然后执行 `emq queue resume " + oldest.Name + "` 或解除暂停（hold）。",
		}
	}
	return f
}

// examineServed looks at whether an app's tasks have a worker.
func examineServed(a appLook, busy []Queue) Finding {
	var names []string
	for _, one := range a.servers {
		if one.apps[a.app] {
			names = append(names, one.name)
		}
	}
	f := Finding{Check: "workers", App: a.app, Level: LevelOK, What: errclass.Text{
		En: fmt.Sprintf("workers that serve it: %d (%s)", len(names), some(names)), Zh: fmt.Sprintf("%d 个 worker 为其服务（%s）", len(names), some(names)),
	}}
	if len(names) > 0 {
		return f
	}
	now, later := 0, 0
	for _, q := range busy {
		now += q.Pending + q.Active + q.Retry
		later += q.Scheduled
	}
	switch {
	case now+later == 0:
		f.What = errclass.Text{En: "no worker serves it, and it has no tasks", Zh: "没有 worker 为其服务，也没有任务"}
		return f
	case now == 0:
		f.Level = LevelWarn
	default:
		f.Level = LevelFail
	}
	f.What = errclass.Text{
		En: fmt.Sprintf("no worker serves it; tasks that wait: %d, planned for later: %d", now, later),
		Zh: fmt.Sprintf("没有 worker 为其服务；等待中的任务：%d，计划稍后执行：%d", now, later),
	}
	f.Cost = errclass.Text{En: "Nothing of it is delivered; tasks end as dead letters when their age limit is spent.", Zh: "其任务不会投递；超过时限后成为死信。"}
	f.Mend = errclass.Text{
		En: "Start `emq worker` with this app in its settings. If one runs, look at its log: it may have lost Redis, or its settings name the app otherwise.",
		Zh: "请启动配置了该 app 的 `emq worker`。若已在运行，请查看其日志：可能连不上 Redis，或配置中的 app 名称不同。",
	}
	return f
}

// stuckness are the tasks of a queue that nobody works on and nobody will: "queue ID".
type stuckness struct{ unleased, overdue, bodyless []string }

// examineStuck looks for stuck tasks, twice: what comes and goes while it is read looks
// stuck once.
func (s *Store) examineStuck(ctx context.Context, app string, names []string) ([]Finding, error) {
	first, err := s.stuck(ctx, names)
	if err != nil {
		return nil, err
	}
	again, err := s.stuck(ctx, names)
	if err != nil {
		return nil, err
	}
	both := func(a, b []string) []string {
		return slices.DeleteFunc(a, func(one string) bool { return !slices.Contains(b, one) })
	}
	var findings []Finding
	add := func(list []string, what, cost, mend errclass.Text) {
		if len(list) > 0 {
			findings = append(findings, Finding{
				Check: "stuck", App: app, Level: LevelFail,
				What: errclass.Text{En: fmt.Sprintf("%s: %d (%s)", what.En, len(list), some(list)), Zh: fmt.Sprintf("%s：%d（%s）", what.Zh, len(list), some(list))},
				Cost: cost, Mend: mend,
			})
		}
	}
	waiting := errclass.Text{En: "They are neither called nor do they become dead letters.", Zh: "这些任务既不会被调用，也不会成为死信。"}
	add(both(first.unleased, again.unleased), errclass.Text{En: "tasks at work that no worker has a lease on", Zh: "处理中但没有租约的任务"}, waiting, errclass.Text{
		En: "A worker of the app puts them back within seconds: start one. If one runs, look at its log.",
		Zh: "该 app 的 worker 会在数秒内将其放回队列：请启动一个 worker。若已有 worker，请查看其日志。",
	})
	add(both(first.overdue, again.overdue), errclass.Text{En: "tasks whose lease ended more than " + brief(overdueAfter) + " ago", Zh: "租约已结束超过 " + brief(overdueAfter) + " 的任务"}, waiting, errclass.Text{
		En: "Their worker died, and none is there to take over. Start a worker for the app: it does so within seconds. If one runs, look at its log.",
		Zh: "其 worker 已退出，且没有其他 worker 接管。请启动该 app 的 worker，数秒内会接管。若已有 worker，请查看其日志。",
	})
	add(both(first.bodyless, again.bodyless), errclass.Text{En: "tasks in a queue whose content is gone", Zh: "内容已丢失的排队任务"}, errclass.Text{
		En: "These calls can't be made any more: what they were is lost.", Zh: "这些调用已无法执行：其内容已丢失。",
	}, errclass.Text{
		En: "Redis lost data: look at its eviction policy and persistence above, and for a flush or failover. Enqueue these calls again under their IDs from where they came. Workers drop the empty IDs, and log how many.",
		Zh: "Redis 丢失过数据：请检查上面的淘汰策略与持久化，以及是否清空或故障转移。请从来源处以相同 ID 重新入队。worker 会移除空 ID 并记录数量。",
	})
	if len(findings) == 0 {
		findings = []Finding{{Check: "stuck", App: app, Level: LevelOK, What: errclass.Text{En: "no task is stuck", Zh: "没有卡住的任务"}}}
	}
	return findings, nil
}

// stuck looks once.
func (s *Store) stuck(ctx context.Context, names []string) (stuckness, error) {
	type look struct {
		active, overdue, front, back *redis.StringSliceCmd
		leases                       *redis.FloatSliceCmd
	}
	looks := make([]look, len(names))
	pipe := s.redis.Pipeline()
	ended := strconv.FormatInt(s.now().Add(-overdueAfter).Unix(), 10)
	for i, name := range names {
		looks[i] = look{
			active:  pipe.LRange(ctx, queueKey(name, "active"), 0, stuckLook-1),
			overdue: pipe.ZRangeByScore(ctx, queueKey(name, "lease"), &redis.ZRangeBy{Min: "-inf", Max: ended, Count: stuckLook}),
			front:   pipe.LRange(ctx, queueKey(name, "pending"), 0, endsLook-1),
			back:    pipe.LRange(ctx, queueKey(name, "pending"), -endsLook, -1),
		}
	}
	if err := execute(ctx, pipe); err != nil {
		return stuckness{}, err
	}
	type body struct {
		id     string
		exists *redis.IntCmd
	}
	var bodies []body
	pipe = s.redis.Pipeline()
	for i, name := range names {
		l := &looks[i]
		if active := l.active.Val(); len(active) > 0 {
			l.leases = pipe.ZMScore(ctx, queueKey(name, "lease"), active...)
		}
		ids := slices.Concat(l.front.Val(), l.back.Val())
		slices.Sort(ids)
		for _, id := range slices.Compact(ids) {
			bodies = append(bodies, body{name + " " + id, pipe.Exists(ctx, tasks.TaskKey(name, id))})
		}
	}
	if err := execute(ctx, pipe); err != nil {
		return stuckness{}, err
	}
	var found stuckness
	for i, name := range names {
		for _, id := range looks[i].overdue.Val() {
			found.overdue = append(found.overdue, name+" "+id)
		}
		if looks[i].leases == nil {
			continue
		}
		for j, end := range looks[i].leases.Val() { // 0: none
			if end == 0 {
				found.unleased = append(found.unleased, name+" "+looks[i].active.Val()[j])
			}
		}
	}
	for _, b := range bodies {
		if b.exists.Val() == 0 {
			found.bodyless = append(found.bodyless, b.id)
		}
	}
	return found, nil
}

const serversKey = "asynq:servers" // asynq's servers (a sorted set: key of the server by when it goes stale)

// A server is a worker process, as its asynq servers describe it in Redis.
type server struct {
	name  string // host:pid
	apps  map[string]bool
	ahead time.Duration // its clock, before that of Redis; to the second
}

// servers are the workers that live. It reads what asynq.Inspector.Servers does, which
// drops those that look dead by this machine's clock, and does not tell of clocks.
func (s *Store) servers(ctx context.Context) ([]server, error) {
	listed, err := s.redis.ZRangeWithScores(ctx, serversKey, 0, -1).Result()
	if err != nil {
		return nil, err
	}
	pipe := s.redis.Pipeline()
	now := pipe.Time(ctx)
	infos, lives := make([]*redis.StringCmd, len(listed)), make([]*redis.DurationCmd, len(listed))
	for i, z := range listed {
		key, _ := z.Member.(string)
		infos[i], lives[i] = pipe.Get(ctx, key), pipe.PTTL(ctx, key)
	}
	if err := execute(ctx, pipe); err != nil {
		return nil, err
	}
	found := map[string]server{}
	for i, z := range listed {
		if lives[i].Val() <= 0 {
			continue // died without a word
		}
		name, queues := readServer([]byte(infos[i].Val()))
		one, known := found[name]
		if !known {
			one = server{name: name, apps: map[string]bool{}}
		}
		for _, queue := range queues {
			if app, _, _, ok := tasks.ParseQueueName(queue); ok {
				one.apps[app] = true
			}
		}
		// The score, by its clock, and the end of the key, by that of Redis, are the same
		// moment. The score has no fraction.
		one.ahead = time.Unix(int64(z.Score), 5e8).Sub(now.Val().Add(lives[i].Val()))
		found[name] = one
	}
	return slices.SortedFunc(maps.Values(found), func(a, b server) int { return strings.Compare(a.name, b.name) }), nil
}

// readServer reads asynq's description of a server (a ServerInfo in Protocol Buffers):
// host, process and queues. TestServers pins it.
func readServer(info []byte) (name string, queues []string) {
	const fieldHost, fieldPid, fieldQueues, fieldKey = 1, 2, 5, 1
	var host string
	var pid uint64
	fields(info, func(field protowire.Number, text []byte, number uint64) {
		switch field {
		case fieldHost:
			host = string(text)
		case fieldPid:
			pid = number
		case fieldQueues:
			fields(text, func(field protowire.Number, text []byte, _ uint64) {
				if field == fieldKey {
					queues = append(queues, string(text))
				}
			})
		}
	})
	return fmt.Sprintf("%s:%d", tasks.Printable(host, wordMax), pid), queues
}

// fields calls see with each field of a message that is a text or a number.
func fields(message []byte, see func(field protowire.Number, text []byte, number uint64)) {
	for len(message) > 0 {
		field, kind, n := protowire.ConsumeTag(message)
		if n < 0 {
			return
		}
		message = message[n:]
		switch kind {
		case protowire.BytesType:
			text, n := protowire.ConsumeBytes(message)
			if n < 0 {
				return
			}
			see(field, text, 0)
		case protowire.VarintType:
			number, n := protowire.ConsumeVarint(message)
			if n < 0 {
				return
			}
			see(field, nil, number)
		}
		if n = protowire.ConsumeFieldValue(field, kind, message); n < 0 {
			return
		}
		message = message[n:]
	}
}

// examineWorkerClocks looks at the clocks of workers.
func examineWorkerClocks(servers []server) []Finding {
	var findings []Finding
	for _, one := range servers {
		f := skewed("worker-clock", one.ahead, errclass.Text{En: "the clock of worker " + one.name, Zh: "worker " + one.name + " 的时钟"})
		if f.Level != LevelOK {
			findings = append(findings, f)
		}
	}
	if len(findings) == 0 && len(servers) > 0 {
		findings = []Finding{{Check: "worker-clock", Level: LevelOK, What: errclass.Text{
			En: fmt.Sprintf("workers whose clocks agree with Redis': %d", len(servers)), Zh: fmt.Sprintf("%d 个 worker 的时钟与 Redis 一致", len(servers)),
		}}}
	}
	return findings
}
