package errclass

// statusRules: what is left when neither word nor text is known.
func statusRules() []Rule {
	row := func(r Rule, why, advice Text) Rule {
		r.Scope, r.Why, r.Advice = ScopeJob, why, advice
		return r
	}
	mayHaveRun := Text{
		"emq retries with backoff. The call may have been carried out: a message can be settled with `emq dlq resolve`.",
		"emq 会按退避间隔自动重试。该调用可能已执行：消息可用 `emq dlq resolve` 定论。",
	}
	return []Rule{
		{
			ID: "not-https", Statuses: []int{400, 495, 496, 497}, Body: BodyOther, Contains: []string{"sent to https port", "http request to an https", "http request to https", "ssl certificate", "client certificate"},
			Class: ClassNeedsHuman, Scope: ScopeJob,
			Why: Text{"The host is called without TLS, or wants a client certificate; it is not configured as this app's REST host.", "未以 HTTPS 访问该域名，或其要求客户端证书：配置的 REST 域名有误。"},
			Advice: Text{
				"Set the app's easemob_url to the REST API domain shown in the Easemob console, with https, then run `emq dlq resend`.",
				"请将该应用的 easemob_url 设为环信控制台显示的 REST API 域名（使用 https），然后执行 `emq dlq resend`。",
			},
		},
		row(Rule{ID: "bad-request", Statuses: []int{400}, Class: ClassPermanent},
			Text{"Easemob does not accept the request as it is.", "环信不接受该请求。"}, readAndEdit()),
		row(Rule{ID: "unauthorized-operation", Statuses: []int{401}, Class: ClassPermanent},
			Text{"Easemob refuses this operation, though not because of the token.", "环信拒绝了该操作，但原因不是 token。"}, readAndEdit()),
		{
			// Easemob answers in JSON; a page of HTML comes from something on the way to it.
			ID: "blocked-on-the-way", Statuses: []int{403}, Body: BodyOther,
			Class: ClassNeedsHuman, Scope: ScopeJob,
			Why: Text{"The refusal is no answer of Easemob's API; a proxy, firewall or gateway on the way gave it.", "该拒绝并非来自环信 API，而是途中的代理、防火墙或网关。"},
			Advice: Text{
				"Check proxy, firewall and the IP allow list in the Easemob console, then run `emq dlq resend`.",
				"请检查代理、防火墙以及环信控制台的 IP 白名单，然后执行 `emq dlq resend`。",
			},
		},
		{
			ID: "blocked-by-firewall", Statuses: []int{400, 404, 405, 406, 418, 451}, Body: BodyOther, Contains: []string{
				"blocked", "firewall", "waf", "access denied", "security policy", "captcha", "attention required", "denied by", "potential threat", "拦截", "阻断", "安全策略", "安全威胁",
			},
			Class: ClassNeedsHuman, Scope: ScopeJob,
			Why: Text{"A firewall on the way to Easemob's API blocked the call.", "途中的防火墙拦截了该请求。"},
			Advice: Text{
				"Check proxy, firewall and the IP allow list in the Easemob console, then run `emq dlq resend`.",
				"请检查代理、防火墙以及环信控制台的 IP 白名单，然后执行 `emq dlq resend`。",
			},
		},
		{
			// The paths of all kinds but raw calls are Easemob's own, and it answers in JSON.
			ID: "host-of-another", Statuses: []int{404, 405}, Body: BodyOther, Kinds: []string{"message.*", "group.*", "chatroom.*", "user.*"},
			Class: ClassNeedsHuman, Scope: ScopeJob,
			Why: Text{"Whoever answers does not know Easemob's API: the host is another's, or a gateway on the way leads elsewhere.", "应答方不认识环信 API：配置的域名有误，或途中的网关转发有误。"},
			Advice: Text{
				"Compare the app's easemob_url with the REST API domain shown in the Easemob console, then run `emq dlq resend`.",
				"请将该应用的 easemob_url 与环信控制台显示的 REST API 域名核对，然后执行 `emq dlq resend`。",
			},
		},
		{
			ID: "payment-required", Statuses: []int{402},
			Class: ClassNeedsHuman, Scope: ScopeJob,
			Why: Text{"The call must be paid for first.", "该调用需先付费。"},
			Advice: Text{
				"Look into the app's plan and payments in the Easemob console, then run `emq dlq resend`.",
				"请在环信控制台检查应用的套餐和费用，然后执行 `emq dlq resend`。",
			},
		},
		row(Rule{ID: "forbidden", Statuses: []int{403}, Class: ClassPermanent},
			Text{"Easemob refuses the operation in the present state of users, group or room.", "以用户、群组或聊天室的当前状态，环信拒绝该操作。"}, readAndEdit()),
		row(Rule{ID: "not-found", Statuses: []int{404}, Class: ClassPermanent},
			Text{"What the path names does not exist on this host.", "请求路径所指的资源或接口不存在。"},
			Text{
				"Correct ID or path with `emq dlq edit`. If many calls fail this way, check the app's host in the configuration.",
				"请用 `emq dlq edit` 更正 ID 或路径。若大量调用如此，请检查配置中的 REST 域名。",
			}),
		row(Rule{ID: "method-not-allowed", Statuses: []int{405}, Class: ClassPermanent},
			Text{"The path does not take this method.", "该接口不支持此请求方法。"},
			Text{"Correct the method with `emq dlq edit`, comparing it with Easemob's REST documentation.", "请对照环信 REST 文档，用 `emq dlq edit` 更正请求方法。"}),
		{
			ID: "proxy-refused", Statuses: []int{407, 511},
			Class: ClassNeedsHuman, Scope: ScopeApp,
			Why: Text{"A proxy between emq and Easemob wants a login.", "emq 与环信之间的代理要求认证。"},
			Advice: Text{
				"Give the workers working proxy settings or a direct way out, then run `emq hold clear`.",
				"请为 worker 配置可用的代理或直连出口，然后执行 `emq hold clear`。",
			},
		},
		row(Rule{ID: "request-timeout", Statuses: []int{408}, Class: ClassRetryable, Delay: DelayBackoff},
			Text{"The server gave up waiting for the request.", "服务器等候请求超时。"}, retriedByItself()),
		// 421 to 425 and 449 are refusals of the moment; 460 and 499 say that the
		// gateway saw the connection end before the service had answered.
		row(Rule{ID: "not-now", Statuses: []int{421, 423, 424, 425, 449}, Class: ClassRetryable, Delay: DelayBackoff},
			Text{"The server can't take the call at this moment.", "服务器暂时无法处理该请求。"}, retriedByItself()),
		row(Rule{ID: "closed-early", Statuses: []int{460, 499}, Class: ClassRetryable, Delay: DelayBackoff, OutcomeUnknown: true},
			Text{"The connection ended before the service behind the gateway had answered.", "网关后的服务应答之前连接已关闭。"}, mayHaveRun),
		row(Rule{ID: "conflict", Statuses: []int{409}, Class: ClassRetryable, Delay: DelayBackoff},
			Text{"The call collided with another one on the same thing.", "该调用与另一个针对同一对象的调用冲突。"}, retriedByItself()),
		row(Rule{ID: "too-many-requests", Statuses: []int{429}, Class: ClassRetryable, Delay: DelayRate},
			Text{"Easemob asks for fewer calls.", "调用过于频繁，被环信限流。"},
			Text{
				"emq waits a second or two and repeats without spending an attempt. If it is frequent, enqueue more slowly, or have Easemob raise the limit.",
				"emq 会等待一两秒后重试，不消耗尝试次数。若频繁出现，请放慢入队速度，或联系环信商务上调限额。",
			}),
		row(Rule{ID: "client-error", Statuses: []int{family4xx}, Class: ClassPermanent},
			Text{"Easemob does not accept the request as it is.", "环信不接受该请求。"}, readAndEdit()),

		row(Rule{ID: "server-error", Statuses: []int{500}, Class: ClassRetryable, Delay: DelayBackoff, OutcomeUnknown: true},
			Text{"Easemob met an internal fault and does not say what became of the call.", "环信服务器内部错误，未说明调用是否已执行。"}, mayHaveRun),
		row(Rule{ID: "not-implemented", Statuses: []int{501}, Class: ClassPermanent},
			Text{"The server does not know this method.", "服务器不具备该请求方法的功能。"},
			Text{"Correct method and path with `emq dlq edit`.", "请用 `emq dlq edit` 更正方法和路径。"}),
		row(Rule{ID: "bad-gateway", Statuses: []int{502}, Class: ClassRetryable, Delay: DelayBackoff, OutcomeUnknown: true},
			Text{"Easemob's gateway got no usable answer from the service behind it.", "环信网关未从后端服务得到有效应答。"}, mayHaveRun),
		row(Rule{ID: "service-cut-off", Statuses: []int{503}, Contains: []string{
			"upstream connect error", "disconnect/reset", "connection termination", "reset before headers", "upstream reset", "timeout", "timed out", "time-out", "backend fetch failed", "backend read error", "guru meditation",
		}, Class: ClassRetryable, Delay: DelayBackoff, OutcomeUnknown: true},
			Text{"A gateway lost the service behind it, maybe while it was at work.", "网关与后端服务的连接中断，后端可能已在处理。"}, mayHaveRun),
		row(Rule{ID: "service-unavailable", Statuses: []int{503}, Class: ClassRetryable, Delay: DelayBackoff},
			Text{"The service is overloaded or down for the moment.", "服务暂时过载或不可用。"}, retriedByItself()),
		row(Rule{ID: "gateway-timeout", Statuses: []int{504}, Class: ClassRetryable, Delay: DelayBackoff, OutcomeUnknown: true},
			Text{"Easemob's gateway waited in vain for the service behind it.", "环信网关等候后端服务超时。"}, mayHaveRun),
		row(Rule{ID: "server-error-other", Statuses: []int{family5xx}, Class: ClassRetryable, Delay: DelayBackoff, OutcomeUnknown: true},
			Text{"A server or gateway failed and does not say what became of the call.", "服务器或网关出错，未说明调用是否已执行。"}, mayHaveRun),

		row(Rule{ID: RuleUnknown, Class: ClassRetryable, Delay: DelayBackoff, OutcomeUnknown: true},
			Text{"No rule knows this answer.", "没有规则能识别该应答。"},
			Text{
				"emq retries with backoff, then makes it a dead letter. Look at it with `emq dlq show`, and report it if it comes back, so that a rule can be added.",
				"emq 会按退避间隔重试，之后转为死信。请用 `emq dlq show` 查看；若反复出现，请反馈以便补充规则。",
			}),
	}
}
