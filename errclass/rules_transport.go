package errclass

// transportRules: no answer, or none that could be read to its end. All are
// retryable. A failed TLS handshake is too, though a bad certificate needs a
// person: one handshake can't tell a bad certificate from a cut connection or a
// node being replaced, and holding an app for a glitch costs more than the few
// attempts it takes a breaker to open, which then spends none.
func transportRules() []Rule {
	rule := func(id string, t Transport, why, advice Text) Rule {
		return Rule{
			ID: id, Transports: []Transport{t},
			Class: ClassRetryable, Scope: ScopeJob, Delay: DelayBackoff, OutcomeUnknown: true,
			Why: why, Advice: advice,
		}
	}
	return []Rule{
		rule("timeout", TransportTimeout,
			Text{"Easemob did not answer in time.", "环信未在规定时间内应答。"},
			Text{
				"emq retries with backoff. If it keeps happening, check the network from the workers to the REST host; a message that may have been sent can be settled with `emq dlq resolve`.",
				"emq 会按退避间隔自动重试。若持续出现，请检查 worker 到 REST 域名的网络；可能已发出的消息可用 `emq dlq resolve` 定论。",
			}),
		rule("connection-refused", TransportConnectionRefused,
			Text{"The REST host refused the connection.", "REST 服务器拒绝连接。"},
			Text{
				"emq retries with backoff. If all calls fail this way, check host and port in the configuration, and any proxy or firewall on the way.",
				"emq 会按退避间隔自动重试。若所有调用都如此，请检查配置中的域名和端口，以及途中的代理或防火墙。",
			}),
		rule("connection-reset", TransportConnectionReset,
			Text{"The connection broke before an answer was read.", "读到应答之前连接中断。"},
			Text{
				"emq retries with backoff. A message that may have been sent can be settled with `emq dlq resolve`.",
				"emq 会按退避间隔自动重试。可能已发出的消息可用 `emq dlq resolve` 定论。",
			}),
		rule("dns-failure", TransportDNS,
			Text{"The name of the REST host could not be resolved.", "REST 域名解析失败。"},
			Text{
				"emq retries with backoff. If it keeps happening, compare the host in the configuration with the REST API domain in the Easemob console, and check this machine's DNS.",
				"emq 会按退避间隔自动重试。若持续出现，请核对配置中的域名与环信控制台显示的 REST API 域名，并检查本机 DNS。",
			}),
		rule("tls-failure", TransportTLS,
			Text{"No trusted TLS connection to the REST host could be made.", "无法与 REST 服务器建立可信的 TLS 连接。"},
			Text{
				"emq retries with backoff. If it keeps happening, check the host in the configuration, this machine's clock and root certificates, and any proxy that replaces certificates.",
				"emq 会按退避间隔自动重试。若持续出现，请检查配置中的域名、本机时钟与根证书，以及途中是否有替换证书的代理。",
			}),
		rule("call-canceled", TransportCanceled,
			Text{"emq itself broke the call off, in a shutdown or because the task was handed to another worker.", "emq 停机或任务转交其他 worker 时主动中断了调用。"},
			Text{"Nothing to do: the task goes on in another worker.", "无需处理：任务会在其他 worker 中继续。"}),
		rule("transport-failure", TransportOther,
			Text{"The call failed before an answer was read.", "读到应答之前调用失败。"},
			Text{
				"emq retries with backoff. If it keeps happening, look at the attempt's error with `emq dlq show` and at the worker's log.",
				"emq 会按退避间隔自动重试。若持续出现，请用 `emq dlq show` 查看该次尝试的错误，并查看 worker 日志。",
			}),
	}
}

// answeredRules: success, and answers that look like it.
func answeredRules() []Rule {
	return []Rule{
		{
			ID: "ok", Statuses: []int{family2xx}, Errors: []string{""}, Body: BodyObject,
			Class: ClassSuccess, Scope: ScopeJob,
			Why:    Text{"Easemob carried out the call.", "环信已执行该调用。"},
			Advice: nothingToDo(),
		},
		{
			ID: "ok-no-content", Statuses: []int{204, 205}, Body: BodyEmpty,
			Class: ClassSuccess, Scope: ScopeJob,
			Why:    Text{"Easemob carried out the call and had nothing to return.", "环信已执行该调用，无返回内容。"},
			Advice: nothingToDo(),
		},
		{
			// Nobody documents such an answer. Calling it a success could lose a call in silence.
			ID: "ok-but-error", Statuses: []int{family2xx}, Body: BodyObject,
			Class: ClassNeedsHuman, Scope: ScopeJob, OutcomeUnknown: true,
			Why: Text{"The status says success, but the body carries an error.", "状态码表示成功，但响应体带有错误。"},
			Advice: Text{
				"Check in the Easemob console whether the call took effect, then settle it with `emq dlq resolve ID --sent` or `--not-sent`.",
				"请在环信控制台确认调用是否生效，再用 `emq dlq resolve ID --sent` 或 `--not-sent` 定论。",
			},
		},
		{
			ID: "unreadable-success", Statuses: []int{family2xx},
			Class: ClassRetryable, Scope: ScopeJob, Delay: DelayBackoff, OutcomeUnknown: true,
			Why: Text{"The status says success, but the body is not the JSON that Easemob sends.", "状态码表示成功，但响应体不是环信返回的 JSON。"},
			Advice: Text{
				"emq retries with backoff. If it keeps happening, look for a proxy or captive portal between emq and the REST host; a message that may have been sent can be settled with `emq dlq resolve`.",
				"emq 会按退避间隔自动重试。若持续出现，请检查 emq 与 REST 服务器之间的代理或认证网关；可能已发出的消息可用 `emq dlq resolve` 定论。",
			},
		},
		{
			ID: "redirect", Statuses: []int{family3xx},
			Class: ClassNeedsHuman, Scope: ScopeApp,
			Why: Text{"The host redirects elsewhere, so it is not the REST host of this app.", "该域名返回重定向，说明它不是此应用的 REST 域名。"},
			Advice: Text{
				"Set the app's host to the REST API domain shown in the Easemob console (with https), then run `emq hold clear`.",
				"请将应用的 host 改为环信控制台显示的 REST API 域名（使用 https），然后执行 `emq hold clear`。",
			},
		},
	}
}
