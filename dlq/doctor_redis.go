package dlq

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/imqueue/emq/errclass"
	"github.com/imqueue/emq/tasks"
)

const (
	// reachFor bounds the wait for Redis' first answer.
	reachFor = 5 * time.Second
	// slowRedis is a round trip that makes workers wait more than they work.
	slowRedis = 50 * time.Millisecond
	// fullShare is how much of its memory Redis may use before that is worth a
	// warning, and spentShare before nothing but luck keeps it from refusing writes.
	fullShare  = 0.8
	spentShare = 0.95
	// lagMost is how long a replica may be silent: Redis' own ping is each 10 s.
	lagMost = 15 * time.Second
	// A lease lasts 30 s by the clock of the worker that took it, and others end it by
	// theirs.
	skewWarn = 5 * time.Second
	skewFail = 25 * time.Second
)

// examineReach measures the round trip to Redis.
func (s *Store) examineReach(ctx context.Context) (Finding, error) {
	first, cancel := context.WithTimeout(ctx, reachFor)
	defer cancel()
	if err := s.ping(first); err != nil {
		return Finding{}, err
	}
	var trips [3]time.Duration
	for i := range trips {
		began := time.Now()
		if err := s.ping(ctx); err != nil {
			return Finding{}, err
		}
		trips[i] = time.Since(began)
	}
	slices.Sort(trips[:])
	return reached(trips[1]), nil
}

// ping asks for an answer. A Redis that can't write to its disk refuses even PING; it
// still tells why.
func (s *Store) ping(ctx context.Context) error {
	err := s.redis.Ping(ctx).Err()
	if err != nil && strings.HasPrefix(err.Error(), "MISCONF") {
		return nil
	}
	return err
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

// refusals are answers of a Redis that is there, by how they begin, with how to mend
// what they say. The last row is for no answer.
var refusals = []struct {
	prefix string
	mend   errclass.Text
}{
	{"NOAUTH", errclass.Text{En: "Give the password in redis_url.", Zh: "请在 redis_url 中提供密码。"}},
	{"WRONGPASS", errclass.Text{En: "Correct user and password in redis_url.", Zh: "请更正 redis_url 中的用户名和密码。"}},
	{"NOPERM", errclass.Text{En: "Give the ACL user that emq connects as the commands and keys that emq needs.", Zh: "请为 emq 所用的 ACL 用户授予所需的命令和键。"}},
	{"LOADING", errclass.Text{En: "Wait until Redis has loaded its data; clients and workers do so by themselves.", Zh: "请等待 Redis 加载完数据；客户端和 worker 会自行等待。"}},
	{"MASTERDOWN", errclass.Text{En: "This is a replica that lost its master: start that, or fail over, and point redis_url at the master.", Zh: "这是失去主节点的副本：请恢复主节点或故障转移，并让 redis_url 指向主节点。"}},
	{"ERR max number of clients", errclass.Text{En: "Raise maxclients of Redis, or find out who holds so many connections (`CLIENT LIST`).", Zh: "请调大 Redis 的 maxclients，或用 `CLIENT LIST` 查明占用连接的一方。"}},
	{"", errclass.Text{En: "Start Redis, or correct redis_url; look at the network and at firewalls between.", Zh: "请启动 Redis 或更正 redis_url，并检查网络和防火墙。"}},
}

func unreachable(err error) Finding {
	why := tasks.Printable(err.Error(), descriptionMax)
	f := Finding{
		Check: "redis", Level: LevelFail,
		What: errclass.Text{En: "Redis can't be used: " + why, Zh: "无法使用 Redis：" + why},
		Cost: errclass.Text{En: "Nothing can be enqueued and nothing is delivered. What was acknowledged waits in Redis.", Zh: "无法入队，也无法投递。已确认的任务仍保存在 Redis 中。"},
	}
	for _, r := range refusals {
		if strings.HasPrefix(why, r.prefix) {
			f.Mend = r.mend
			break
		}
	}
	return f
}

// examineNodes looks at how each Redis is that holds a part of the data.
func (s *Store) examineNodes(ctx context.Context) []Finding {
	cluster, is := s.redis.(*redis.ClusterClient)
	if !is {
		return s.examineNode(ctx, s.redis)
	}
	var mu sync.Mutex
	nodes := map[string][]Finding{}
	err := cluster.ForEachMaster(ctx, func(ctx context.Context, node *redis.Client) error {
		found := s.examineNode(ctx, node)
		mu.Lock()
		defer mu.Unlock()
		nodes[node.Options().Addr] = found
		return nil
	})
	if err != nil {
		return []Finding{unseen("nodes", "", err)}
	}
	var findings []Finding
	for _, addr := range slices.Sorted(maps.Keys(nodes)) {
		for _, f := range nodes[addr] {
			f.What.En, f.What.Zh = addr+": "+f.What.En, addr+"："+f.What.Zh
			findings = append(findings, f)
		}
	}
	return findings
}

// examineNode looks at one Redis.
func (s *Store) examineNode(ctx context.Context, node redis.UniversalClient) []Finding {
	facts, clock := readFacts(ctx, node), s.examineClock(ctx, node)
	if facts.none() {
		return []Finding{clock, silent()}
	}
	findings := []Finding{facts.version(), clock, facts.memory()}
	for _, row := range settings {
		if row.needs == "" || facts.value([]string{row.needs}) != "no" {
			findings = append(findings, facts.judge(row))
		}
	}
	return append(findings, facts.replication())
}

// facts are what a Redis tells of itself: the lines of INFO, and those settings that
// INFO does not have, under their own names.
type facts map[string]string

// readFacts asks for what can be had: managed Redis often refuses CONFIG, and an ACL may
// refuse INFO. What is refused is missing.
func readFacts(ctx context.Context, node redis.UniversalClient) facts {
	found := facts{}
	for line := range strings.Lines(node.Info(ctx).Val()) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			found[name] = value
		}
	}
	for _, name := range []string{"maxmemory-policy", "appendonly", "appendfsync"} {
		for name, value := range node.ConfigGet(ctx, name).Val() {
			found[name] = value
		}
	}
	return found
}

// none says whether Redis told nothing that is looked at.
func (f facts) none() bool {
	return f["redis_version"]+f["role"]+f["used_memory"]+f["maxmemory-policy"]+f["appendonly"] == ""
}

// silent is about a Redis that tells nothing of itself.
func silent() Finding {
	return Finding{
		Check: "info", Level: LevelUnknown,
		What: errclass.Text{
			En: "Redis lets neither INFO nor CONFIG GET be used: its version, memory, eviction, persistence and replication could not be checked",
			Zh: "Redis 不允许使用 INFO 和 CONFIG GET：无法检查版本、内存、淘汰策略、持久化与复制",
		},
		Mend: errclass.Text{
			En: "Let the user that emq connects as use INFO and CONFIG GET. The in-memory Redis of `emq dev` has neither, and keeps nothing.",
			Zh: "请允许 emq 所用的用户执行 INFO 和 CONFIG GET。`emq dev` 的内存 Redis 不支持这两个命令，也不保存任何数据。",
		},
	}
}

// value is what Redis tells under the first of the names that it knows.
func (f facts) value(names []string) string {
	for _, name := range names {
		switch value := f[name]; {
		case value == "":
		case name == "aof_enabled":
			return map[string]string{"0": "no", "1": "yes"}[value]
		default:
			return value
		}
	}
	return ""
}

// number is a fact that is a number; negative when Redis does not tell it.
func (f facts) number(name string) int64 {
	n, err := strconv.ParseInt(f[name], 10, 64)
	if err != nil {
		return -1
	}
	return n
}

// A setting is a row of what a Redis should say of itself.
type setting struct {
	check string
	shown string   // its name, as Redis' documentation has it
	facts []string // where Redis tells it; the first that is told counts
	needs string   // left out where this fact is "no"
	good  string
	bad   map[string]grade // by value
	other grade            // any other value
	mend  errclass.Text
}

type grade struct {
	level Level
	cost  errclass.Text
}

// settings are the rows, in the order in which they are shown.
var settings = []setting{
	{
		check: "maxmemory-policy", shown: "maxmemory-policy", facts: []string{"maxmemory_policy", "maxmemory-policy"}, good: "noeviction",
		other: grade{LevelFail, errclass.Text{
			En: "Redis evicts keys when its memory is full: queued tasks and dead letters would vanish without a trace.",
			Zh: "内存不足时 Redis 会淘汰键：排队的任务和死信会无声消失。",
		}},
		mend: errclass.Text{
			En: "Run `redis-cli CONFIG SET maxmemory-policy noeviction` and set the same in redis.conf, or in the provider's console.",
			Zh: "请执行 `redis-cli CONFIG SET maxmemory-policy noeviction`，并在 redis.conf 或云控制台中做同样设置。",
		},
	},
	{
		check: "appendonly", shown: "appendonly", facts: []string{"aof_enabled", "appendonly"}, good: "yes",
		other: grade{LevelFail, errclass.Text{
			En: "Without an append-only file, what was enqueued since the last snapshot is lost when Redis restarts.",
			Zh: "没有 AOF 时，Redis 重启会丢失上次快照之后入队的任务。",
		}},
		mend: errclass.Text{
			En: "Run `redis-cli CONFIG SET appendonly yes` (a restart that only changes redis.conf would load an empty file), then set it in redis.conf.",
			Zh: "请先执行 `redis-cli CONFIG SET appendonly yes`（只改 redis.conf 后重启会加载空文件），再写入 redis.conf。",
		},
	},
	{
		check: "appendfsync", shown: "appendfsync", facts: []string{"appendfsync"}, needs: "appendonly", good: "always",
		bad: map[string]grade{
			"everysec": {LevelWarn, errclass.Text{
				En: "When the machine of Redis fails, about the last second of acknowledged tasks is lost.",
				Zh: "Redis 所在主机故障时，会丢失约最后一秒内已确认的任务。",
			}},
		},
		other: grade{LevelFail, errclass.Text{
			En: "The system decides when tasks get on disk: when the machine of Redis fails, half a minute of acknowledged tasks can be lost.",
			Zh: "由操作系统决定何时落盘：Redis 所在主机故障时，可能丢失约半分钟内已确认的任务。",
		}},
		mend: errclass.Text{
			En: "Run `redis-cli CONFIG SET appendfsync always` and set the same in redis.conf, if you can't afford that loss; it costs throughput.",
			Zh: "若不能接受该损失，请执行 `redis-cli CONFIG SET appendfsync always` 并写入 redis.conf；吞吐量会降低。",
		},
	},
	{
		check: "aof-write", shown: "aof_last_write_status", facts: []string{"aof_last_write_status"}, needs: "appendonly", good: "ok",
		other: grade{LevelFail, errclass.Text{
			En: "Redis can't write its append-only file and refuses every write: nothing can be enqueued or settled.",
			Zh: "Redis 无法写 AOF 并拒绝所有写入：无法入队，也无法完结任务。",
		}},
		mend: errclass.Text{En: "Make room on the disk of Redis (`df`), and look at its log for why it can't write.", Zh: "请清理 Redis 所在磁盘（`df`），并在其日志中查看写入失败的原因。"},
	},
	{
		check: "aof-rewrite", shown: "aof_last_bgrewrite_status", facts: []string{"aof_last_bgrewrite_status"}, needs: "appendonly", good: "ok",
		other: grade{LevelWarn, errclass.Text{
			En: "The append-only file is not made smaller: it grows until the disk is full, and a restart takes ever longer.",
			Zh: "AOF 无法重写：文件会一直增长直至磁盘写满，重启也越来越慢。",
		}},
		mend: errclass.Text{
			En: "Look at Redis' log: most often memory for the fork (vm.overcommit_memory=1) or room on the disk is missing. Then run `redis-cli BGREWRITEAOF`.",
			Zh: "请查看 Redis 日志：通常是 fork 内存不足（vm.overcommit_memory=1）或磁盘空间不足。然后执行 `redis-cli BGREWRITEAOF`。",
		},
	},
	{
		check: "snapshot", shown: "rdb_last_bgsave_status", facts: []string{"rdb_last_bgsave_status"}, good: "ok",
		other: grade{LevelFail, errclass.Text{
			En: "The last snapshot failed. With `save` and stop-writes-on-bgsave-error set, as is the default, Redis now refuses every write.",
			Zh: "最近一次快照失败。在设置了 `save` 与 stop-writes-on-bgsave-error（默认）时，Redis 会拒绝所有写入。",
		}},
		mend: errclass.Text{
			En: "Look at Redis' log: most often room on the disk or memory for the fork is missing. Then run `redis-cli BGSAVE`.",
			Zh: "请查看 Redis 日志：通常是磁盘空间或 fork 内存不足。然后执行 `redis-cli BGSAVE`。",
		},
	},
}

// judge says what a row makes of the facts.
func (f facts) judge(row setting) Finding {
	got := f.value(row.facts)
	if got == "" {
		return Finding{
			Check: row.check, Level: LevelUnknown,
			What: errclass.Text{En: "could not be checked: Redis does not tell " + row.shown, Zh: "无法检查：Redis 未给出 " + row.shown},
			Mend: errclass.Text{
				En: "Make sure that it is " + row.good + "; or let the user that emq connects as use INFO and CONFIG GET.",
				Zh: "请确认其值为 " + row.good + "；或允许 emq 所用的用户执行 INFO 和 CONFIG GET。",
			},
		}
	}
	if got == row.good {
		return Finding{Check: row.check, Level: LevelOK, What: errclass.Text{En: row.shown + " is " + got, Zh: row.shown + " 为 " + got}}
	}
	g, ok := row.bad[got]
	if !ok {
		g = row.other
	}
	return Finding{
		Check: row.check, Level: g.level,
		What: errclass.Text{
			En: fmt.Sprintf("%s is %s, should be %s", row.shown, got, row.good), Zh: fmt.Sprintf("%s 为 %s，应为 %s", row.shown, got, row.good),
		},
		Cost: g.cost, Mend: row.mend,
	}
}

// infoRefused is how to mend that INFO says nothing.
var infoRefused = errclass.Text{En: "Let the user that emq connects as use INFO.", Zh: "请允许 emq 所用的 Redis 用户执行 INFO。"}

// version looks at which Redis it is. A Valkey says the version of the Redis that it is
// like, beside its own.
func (f facts) version() Finding {
	like, shown := f["redis_version"], "Redis "+f["redis_version"]
	if own := f["valkey_version"]; own != "" {
		shown = "Valkey " + own
	}
	var major, minor int
	if _, err := fmt.Sscanf(like, "%d.%d", &major, &minor); err != nil {
		return Finding{
			Check: "version", Level: LevelUnknown,
			What: errclass.Text{En: "could not be checked: INFO does not tell the version", Zh: "无法检查：INFO 未给出版本"},
			Mend: errclass.Text{En: "Make sure that it is Redis 6.2 or later, or Valkey. " + infoRefused.En, Zh: "请确认是 Redis 6.2 及以上版本或 Valkey。" + infoRefused.Zh},
		}
	}
	since := func(wantMajor, wantMinor int) bool {
		return major > wantMajor || major == wantMajor && minor >= wantMinor
	}
	switch {
	case !since(6, 2):
		return Finding{
			Check: "version", Level: LevelFail,
			What: errclass.Text{En: shown + " is too old: emq needs 6.2", Zh: shown + " 过旧：emq 需要 6.2"},
			Cost: errclass.Text{En: "Commands that emq and asynq use are missing: tasks fail to be taken or settled.", Zh: "缺少 emq 与 asynq 使用的命令：任务无法被取出或完结。"},
			Mend: errclass.Text{En: "Upgrade to Redis 7.2 or later, or to Valkey.", Zh: "请升级到 Redis 7.2 及以上版本或 Valkey。"},
		}
	case !since(7, 2):
		return Finding{Check: "version", Level: LevelOK, What: errclass.Text{
			En: shown + "; it has no WAITAOF (7.2), so that a client can wait for a replica, not for the disk", Zh: shown + "；没有 WAITAOF（7.2 起），客户端只能等待副本，不能等待落盘",
		}}
	}
	return Finding{Check: "version", Level: LevelOK, What: errclass.Text{En: shown, Zh: shown}}
}

// memory looks at how much of its memory Redis uses: of its limit, or without one of
// the machine's.
func (f facts) memory() Finding {
	used, limit, machine := f.number("used_memory"), f.number("maxmemory"), f.number("total_system_memory")
	if used < 0 {
		return Finding{
			Check: "memory", Level: LevelUnknown,
			What: errclass.Text{En: "could not be checked: INFO does not tell it", Zh: "无法检查：INFO 没有结果"},
			Mend: infoRefused,
		}
	}
	most, limited := limit, limit > 0
	if !limited {
		most = max(machine, 0)
	}
	share := float64(used) / float64(max(1, most))
	found := Finding{Check: "memory", Level: LevelOK}
	switch {
	case most == 0:
		found.What = errclass.Text{En: megabytes(used) + " used, no limit set", Zh: "已用 " + megabytes(used) + "，未设上限"}
		return found
	case limited:
		found.What = errclass.Text{
			En: fmt.Sprintf("%s of %s used (%.0f %%)", megabytes(used), megabytes(most), 100*share),
			Zh: fmt.Sprintf("已用 %s，上限 %s（%.0f %%）", megabytes(used), megabytes(most), 100*share),
		}
		found.Cost = errclass.Text{
			En: "When it is full, nothing can be enqueued until there is room; what is queued stays.", Zh: "用满之后将无法入队，直到腾出空间；已排队的任务不受影响。",
		}
		found.Mend = errclass.Text{
			En: "Raise maxmemory; find out what waits (`emq queue list`), and resend or discard dead letters.", Zh: "请调大 maxmemory；用 `emq queue list` 查看积压，并重发或丢弃死信。",
		}
	default:
		found.What = errclass.Text{
			En: fmt.Sprintf("%s of the machine's %s used (%.0f %%), no limit set", megabytes(used), megabytes(most), 100*share),
			Zh: fmt.Sprintf("已用 %s，主机共 %s（%.0f %%），未设上限", megabytes(used), megabytes(most), 100*share),
		}
		found.Cost = errclass.Text{
			En: "When the machine has no memory left, the system kills Redis.", Zh: "主机内存耗尽时，系统会杀死 Redis。",
		}
		found.Mend = errclass.Text{
			En: "Set maxmemory well below the machine's memory, so that Redis refuses writes rather than dies; give it more memory.", Zh: "请将 maxmemory 设为明显低于主机内存，使 Redis 拒绝写入而不是被杀死；或增加内存。",
		}
	}
	switch {
	case share >= spentShare:
		found.Level = LevelFail
	case share >= fullShare:
		found.Level = LevelWarn
	default:
		found.Cost, found.Mend = errclass.Text{}, errclass.Text{}
	}
	return found
}

func megabytes(n int64) string { return fmt.Sprintf("%d MB", (n+1<<19)>>20) }

// replication looks at whether this is the master, and at its replicas.
func (f facts) replication() Finding {
	switch f["role"] {
	case "":
		return Finding{
			Check: "replication", Level: LevelUnknown,
			What: errclass.Text{En: "could not be checked: INFO does not tell the role", Zh: "无法检查：INFO 未给出角色"},
			Mend: infoRefused,
		}
	case "master":
	default:
		what := errclass.Text{En: "this Redis is a replica", Zh: "当前 Redis 是副本"}
		if host := f["master_host"]; host != "" {
			link := f["master_link_status"]
			what.En += fmt.Sprintf(" of %s:%s, to which its link is %s", host, f["master_port"], link)
			what.Zh += fmt.Sprintf("，主节点为 %s:%s，连接状态 %s", host, f["master_port"], link)
		}
		return Finding{
			Check: "replication", Level: LevelFail, What: what,
			Cost: errclass.Text{En: "It refuses writes: nothing can be enqueued or settled. One that took them would lose them.", Zh: "副本拒绝写入：无法入队，也无法完结任务；若允许写入，数据会丢失。"},
			Mend: errclass.Text{
				En: "Point redis_url at the master, or at Sentinel (`?master_name=NAME`), which knows the master.", Zh: "请让 redis_url 指向主节点，或指向 Sentinel（`?master_name=NAME`）。",
			},
		}
	}
	count := max(0, f.number("connected_slaves"))
	found := Finding{Check: "replication", Level: LevelOK, What: errclass.Text{
		En: fmt.Sprintf("this is the master, with replicas: %d", count), Zh: fmt.Sprintf("当前为主节点，副本数：%d", count),
	}}
	var late []string
	for i := range count {
		replica := map[string]string{}
		for field := range strings.SplitSeq(f[fmt.Sprint("slave", i)], ",") {
			name, value, _ := strings.Cut(field, "=")
			replica[name] = value
		}
		lag, err := strconv.Atoi(replica["lag"])
		if replica["state"] != "online" || err != nil || time.Duration(lag)*time.Second > lagMost {
			late = append(late, fmt.Sprintf("%s:%s (%s, silent for %s s)", replica["ip"], replica["port"], replica["state"], replica["lag"]))
		}
	}
	if len(late) > 0 {
		found.Level = LevelWarn
		found.What.En += "; not up to date: " + some(late)
		found.What.Zh += "；未同步：" + some(late)
		found.Cost = errclass.Text{En: "If the master fails now and this replica takes over, what it has not got is lost.", Zh: "若此时主节点故障并由该副本接替，尚未同步的数据会丢失。"}
		found.Mend = errclass.Text{En: "Look at the replica's log and the network between; while it loads a first copy, wait.", Zh: "请检查副本日志与网络；若正在首次同步，请等待。"}
	}
	return found
}

// examineClock compares the clock of Redis with this machine's.
func (s *Store) examineClock(ctx context.Context, node redis.UniversalClient) Finding {
	before := s.now()
	at, err := node.Time(ctx).Result()
	if err != nil {
		return unseen("clock", "", err)
	}
	here := before.Add(s.now().Sub(before) / 2)
	skew := here.Sub(at)
	return skewed("clock", skew, errclass.Text{En: "this machine's clock", Zh: "本机时钟"})
}

// skewed says how far a clock is from that of Redis.
func skewed(check string, ahead time.Duration, whose errclass.Text) Finding {
	off := ahead.Abs()
	f := Finding{Check: check, Level: LevelOK, What: errclass.Text{
		En: whose.En + " agrees with Redis' to within a second", Zh: whose.Zh + "与 Redis 相差不到一秒",
	}}
	if off >= time.Second {
		en, zh := "ahead of", "快"
		if ahead < 0 {
			en, zh = "behind", "慢"
		}
		f.What = errclass.Text{
			En: fmt.Sprintf("%s is %s %s Redis'", whose.En, brief(off), en), Zh: fmt.Sprintf("%s比 Redis %s %s", whose.Zh, zh, brief(off)),
		}
	}
	switch {
	case off > skewFail:
		f.Level = LevelFail
	case off > skewWarn:
		f.Level = LevelWarn
	default:
		return f
	}
	f.Cost = errclass.Text{
		En: "Tasks are leased for 30 s by the clocks of workers: apart by about that much, they take each other's tasks over and calls are made twice. Limits, retries and plans come early or late.",
		Zh: "任务租约为 30 秒，按 worker 的时钟计算：相差接近该值时，worker 会互相接管任务，造成重复调用；限流、重试与定时也会提前或推迟。",
	}
	f.Mend = errclass.Text{En: "Let chrony or systemd-timesyncd set the clocks of all machines (`timedatectl`).", Zh: "请在所有主机上启用 chrony 或 systemd-timesyncd 校时（`timedatectl`）。"}
	return f
}

// tryScript writes a key and takes it away. The key's time to live is for a Redis that
// is stopped between.
var tryScript = redis.NewScript(`redis.call("SET", KEYS[1], "x", "EX", 10) return redis.call("DEL", KEYS[1])`)

// examineScripts tries whether a script may write.
func (s *Store) examineScripts(ctx context.Context) Finding {
	err := tryScript.Run(ctx, s.redis, []string{tasks.AppKey("doctor", "try")}).Err()
	if err == nil {
		return Finding{Check: "scripts", Level: LevelOK, What: errclass.Text{En: "scripts run and may write", Zh: "脚本可执行且可写入"}}
	}
	why := tasks.Printable(err.Error(), descriptionMax)
	return Finding{
		Check: "scripts", Level: LevelFail,
		What: errclass.Text{En: "a script that writes fails: " + why, Zh: "写入脚本执行失败：" + why},
		Cost: errclass.Text{En: "Every change that emq and asynq make is a script: nothing can be enqueued, taken or settled.", Zh: "emq 与 asynq 的每次变更都是脚本：无法入队、取出或完结任务。"},
		Mend: errclass.Text{
			En: "Mend what the error says: OOM is full memory, MISCONF a full disk, READONLY a replica; for NOPERM give the user EVAL, EVALSHA and keys that begin with emq: and asynq:.",
			Zh: "请按错误处理：OOM 为内存已满，MISCONF 为磁盘已满，READONLY 为副本；NOPERM 请为用户授予 EVAL、EVALSHA 以及 emq:、asynq: 开头的键。",
		},
	}
}
