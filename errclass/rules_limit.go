package errclass

// limitRules: quotas that time does not cure soon enough, limits that it does,
// and faults of the moment that services report under a client's status.
func limitRules() []Rule {
	failing := []int{family4xx, family5xx}
	waits := Text{
		"emq waits a second or two and repeats without spending an attempt. If it is frequent, enqueue more slowly, or have Easemob raise the limit and tell emq with `emq limit set APP/ENDPOINT --calls 200/s --reason TEXT`.",
		"emq 会等待一两秒后重试，不消耗尝试次数。若频繁出现，请放慢入队速度，或联系环信商务上调限额后执行 `emq limit set APP/ENDPOINT --calls 200/s --reason TEXT`。",
	}
	callRate := []string{
		"^reach_limit:", "^rate_limit", "^too_many_request", "^request_limit", "^throttl", "^flow_control", "^over_limit:",
		"api limit", "too many request", "too many call", "rate limit", "ratelimit", "rate exceeded", "request rate", "call rate", "request limit", "limit request", "requests limit", "api call",
		"per second", "per-second", "per minute", "per-minute", "req/s", "requests/s", "calls/s", "/s limit", "qps", "frequency", "frequent", "too fast", "flow control", "flow limiting", "flowexception", "throttl", "slow down",
		"sentinel", "频繁", "频率", "限流", "流控", "请求过多", "请求过快", "太快",
	}
	return []Rule{
		{
			// First, because such an answer may quote the very text that it refuses.
			ID: "content-violation", Statuses: []int{family4xx, 500}, Body: BodyObject, Contains: []string{
				"_violation:", "violation_content:", "moderation_blocked:", "moderation_refused:", "moderation_rejected:", "sensitive_word:", "sensitive_words:", "sensitive_content:",
				"content_blocked:", "content_illegal:", "illegal_content:", "content_refused:", "content_rejected:", "content_audit_failed:",
			},
			Class: ClassPermanent, Scope: ScopeJob, Why: contentRefused(), Advice: changeWording(),
		},
		{
			ID: "plan-quota", Statuses: failing, Body: BodyObject, Contains: []string{
				"^resource_limit", "exceeded the limit of*edition", "exceeded the limit of*plan", "exceeded the limit of*version", "exceeded the limit of*package", "upgrade to", "upgrade your", "community edition", "free edition", "trial edition",
				"edition limit", "plan limit", "package limit", "plan quota", "quota of your", "旗舰版", "专业版", "企业版", "dau limit", "mau limit", "daily active", "monthly active",
				"limit of your plan", "limit of your package", "package*used up", "plan*used up", "套餐", "请升级", "社区版", "免费版",
			},
			Class: ClassNeedsHuman, Scope: ScopeApp,
			Why: Text{"A quota of the app's plan is used up; waiting does not help.", "应用套餐包的额度已用完，等待无济于事。"},
			Advice: Text{
				"Upgrade the plan in the Easemob console or talk to Easemob's sales, then run `emq hold clear`.",
				"请在环信控制台升级套餐包或联系环信商务，然后执行 `emq hold clear`。",
			},
		},
		{
			ID: "unpaid", Statuses: failing, Body: BodyObject, Contains: []string{
				"arrears", "overdue", "insufficient balance", "balance is insufficient", "balance not enough", "payment required",
				"service has expired", "service is expired", "service expired", "app is expired", "app has expired", "appkey is expired", "appkey has expired",
				"trial has expired", "trial period", "license*expired", "licence*expired", "^license", "^licence", "^subscription_", "subscription*ended", "^trial_", "试用期", "停止服务", "subscription expired", "subscription has expired", "subscription is expired", "欠费", "余额不足", "续费", "停服", "服务已到期",
			},
			Class: ClassNeedsHuman, Scope: ScopeApp,
			Why: Text{"The app's service with Easemob has run out or is not paid.", "该应用的环信服务已到期或欠费。"},
			Advice: Text{
				"Renew the service in the Easemob console, then run `emq hold clear`.",
				"请在环信控制台续费，然后执行 `emq hold clear`。",
			},
		},
		{
			// Broadcasts are limited per minute or half hour; a retry each second would be refused for long.
			ID: "broadcast-rate", Statuses: failing, Contains: callRate, Kinds: []string{"message.broadcast"},
			Class: ClassRetryable, Scope: ScopeJob, Delay: DelayMinute,
			Why: Text{"Broadcasts are sent too close together.", "广播消息发送过于频繁。"},
			Advice: Text{
				"emq waits and repeats without spending an attempt. Space broadcasts out (one in 30 minutes to all users, one a minute to online users) when you enqueue them.",
				"emq 会等待后重试，不消耗尝试次数。请拉开广播间隔（全员广播 30 分钟 1 次，在线用户广播每分钟 1 次），入队时即错开。",
			},
		},
		{
			ID: "monthly-quota", Statuses: []int{403, 429}, Contains: []string{"per month", "monthly", "a month", "this month", "当月", "本月", "每月"},
			Class: ClassNeedsHuman, Scope: ScopeJob,
			Why: Text{"A quota of the month is used up.", "当月的额度已用完。"},
			Advice: Text{
				"Have Easemob raise the quota, or wait for the next month, then run `emq dlq resend`; else `emq dlq discard`.",
				"请联系环信商务上调额度，或待下月额度重新计数后执行 `emq dlq resend`；否则用 `emq dlq discard` 丢弃。",
			},
		},
		{
			// The day's: three broadcasts to all users, say. emq's own limit of the
			// endpoint lets a fourth wait for the next day too; what has lost its point
			// by then carries expires_at.
			ID: "daily-quota", Statuses: []int{403, 429}, Contains: []string{
				"broadcast*limit", "broadcast*exceed", "broadcast*quota", "广播*上限", "广播*超",
				"per day", "daily", "a day", "one day", "today", "24 hours", "tomorrow", "当天", "当日", "今日", "今天", "每日", "每天", "明天", "明日",
			},
			Class: ClassRetryable, Scope: ScopeJob, Delay: DelayMinute,
			Why: Text{"A quota of the day is used up; it starts anew at 00:00 UTC (08:00 in Beijing).", "当日的额度已用完；UTC 零点（北京时间 8 点）重新计数。"},
			Advice: Text{
				"emq tries again now and then, without spending an attempt, until the task's age limit. Have Easemob raise the quota if it is used up often.",
				"emq 会不时重试，不消耗尝试次数，直至任务的最长时限。若经常用完，请联系环信商务上调额度。",
			},
		},
		{
			// Groups and rooms count per second, users per minute; neither kind nor body
			// tells which, and a minute is right for both.
			ID: "message-rate", Statuses: []int{family4xx}, Contains: []string{
				"send reach*limit", "^message_send_error:*reach*limit", "^message_send_error:*rate", "^message_send_error:*frequen", "^message_send_error:*forbidden for url",
				"send message*too fast", "send messages too", "messages per", "number of messages", "send*too frequent", "message*frequency", "message rate", "消息发送*频", "发送过快", "发送*频繁",
			},
			Class: ClassRetryable, Scope: ScopeJob, Delay: DelayMinute,
			Why: Text{"The app sent more messages than its limit allows; each recipient counts as one.", "消息发送条数超过频率上限；每个接收方计一条。"},
			Advice: Text{
				"emq waits up to a minute and repeats without spending an attempt. If it is frequent, enqueue more slowly, or have Easemob raise the limit.",
				"emq 最多等待一分钟后重试，不消耗尝试次数。若频繁出现，请放慢入队速度，或联系环信商务上调限额。",
			},
		},
		{
			// The older text, under whatever word.
			ID: "message-rate-older", Statuses: []int{403}, Contains: []string{"forbidden for url"}, Kinds: []string{"message.*"},
			Class: ClassRetryable, Scope: ScopeJob, Delay: DelayMinute,
			Why: Text{"The app sent more messages than its limit allows; each recipient counts as one.", "消息发送条数超过频率上限；每个接收方计一条。"},
			Advice: Text{
				"emq waits up to a minute and repeats without spending an attempt. If it is frequent, enqueue more slowly, or have Easemob raise the limit.",
				"emq 最多等待一分钟后重试，不消耗尝试次数。若频繁出现，请放慢入队速度，或联系环信商务上调限额。",
			},
		},
		{
			ID: "rate-limit", Statuses: failing, Contains: callRate,
			Class: ClassRetryable, Scope: ScopeJob, Delay: DelayRate,
			Why:    Text{"The app made more calls in a second than this endpoint allows.", "该接口每秒的调用次数超过了上限。"},
			Advice: waits,
		},
		{
			ID: "package-exhausted", Statuses: []int{400, 402, 403, 429}, Body: BodyObject, Contains: []string{
				"package*exhausted", "quota*exhausted", "balance*exhausted", "credit*exhausted", "used up", "recharge", "top up", "充值", "耗尽", "用尽", "用完",
			},
			Class: ClassNeedsHuman, Scope: ScopeJob,
			Why: Text{"What was bought of this feature is used up.", "该功能的额度已用完。"},
			Advice: Text{
				"Buy more in the Easemob console or from Easemob's sales, then run `emq dlq resend`; else `emq dlq discard`.",
				"请在环信控制台或联系环信商务购买，然后执行 `emq dlq resend`；否则用 `emq dlq discard` 丢弃。",
			},
		},
		{
			ID: "concurrent-operation", Statuses: failing, Body: BodyObject, Contains: []string{
				"concurren", "optimistic lock", "optimisticlock", "lock fail", "lock failed", "failed to lock", "get lock", "acquire*lock", "obtain*lock", "lock timeout", "lock conflict", "lock wait", "being processed", "in progress", "in processing", "deadlock",
				"并发", "正在处理", "处理中",
			},
			Class: ClassRetryable, Scope: ScopeJob, Delay: DelayBackoff,
			Why:    Text{"Another call changed the same thing at the same moment.", "另一个调用正在同时修改同一对象。"},
			Advice: retriedByItself(),
		},
		{
			ID: "try-later", Statuses: failing, Contains: []string{
				"again later", "try later", "retry later", "later retry", "in a few", "in a moment", "in a while", "temporarily", "temporary", "is busy", "server busy", "system busy", "service busy", "overload", "over capacity", "at capacity",
				"稍后", "稍候", "繁忙",
			},
			Class: ClassRetryable, Scope: ScopeJob, Delay: DelayBackoff, OutcomeUnknown: true,
			Why:    Text{"The service asks to try again later.", "服务端要求稍后重试。"},
			Advice: retriedByItself(),
		},
		{
			// Gateways and services pass a fault of what stands behind them on under 4xx.
			ID: "fault-behind", Statuses: []int{family4xx}, Contains: []string{
				"^internal_server_error:", "^internal_error:", "^server_error:", "^system_error:", "^service_unavailable:", "^bad_gateway:", "^gateway_timeout:", "^timeout:",
				"read timed out", "connect timed out", "connection timed out", "request timed out", "timed out executing", "timeoutexception", "request timeout", "rpc timeout", "invoke timeout",
				"service timeout", "connection refused", "connection reset", "broken pipe", "no route to host", "unknownhostexception", "service unavailable", "internal server error",
				"internal error", "server error", "system error", "system exception", "unknown error occurred", "upstream", "no healthy", "no available server", "no instance", "not contain an instance",
				"系统错误", "系统异常", "服务异常", "服务器错误", "服务器内部", "内部错误", "网络异常", "请求超时", "调用超时", "连接超时", "服务超时",
			},
			Class: ClassRetryable, Scope: ScopeJob, Delay: DelayBackoff, OutcomeUnknown: true,
			Why:    Text{"A service behind the one that answered failed or was too slow.", "应答方背后的服务出错或超时。"},
			Advice: retriedByItself(),
		},
	}
}

func contentRefused() Text {
	return Text{"Easemob's content rules refuse a name or text in the request.", "名称或文本内容不合规，被环信拒绝。"}
}

func changeWording() Text {
	return Text{"Change the wording with `emq dlq edit`, or drop the call with `emq dlq discard`.", "请用 `emq dlq edit` 修改文字，或用 `emq dlq discard` 丢弃。"}
}
