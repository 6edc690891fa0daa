package errclass

// credentialRules: the app key, the client's credentials, the token, a ban.
// Nearly all of them hit every call of the app. Rows that hold an app ask for
// Easemob's own JSON, so that no stranger's page on the way can do it.
func credentialRules() []Rule {
	// Texts that mean the token under any error word.
	tokenTexts := []string{
		"unable to authenticate", "token is illegal", "token is blank", "corrupt access token",
		"expired access token", "access token expired", "token has expired", "token is expired",
		"registration doesn't allow", "registration is not open", ": unauthorized$",
	}
	// Error words that mean the token with any text, or none.
	tokenErrors := []string{"", "unauthorized", "auth_bad_access_token", "invalid_token", "expired_token", "token_expired"}
	tokenStatuses := []int{400, 401, 403}
	refused := Text{"Easemob does not accept the access token.", "环信不接受当前的访问 token。"}
	refreshed := Text{
		"emq fetches a fresh token and repeats the call at once. Only if that is refused as well is the app held.",
		"emq 会立即换取新的 token 并重试；若新 token 仍被拒绝，才会暂停（hold）该应用。",
	}
	refusedAgain := Text{"Easemob refuses even a token that was fetched a moment ago.", "刚换取的新 token 仍被环信拒绝。"}
	checkCredentials := Text{
		"Compare App Key, Client ID, Client Secret and host of this app with the Easemob console (they must belong to the same app and data centre), then run `emq hold clear`.",
		"请在环信控制台核对该应用的 App Key、Client ID、Client Secret 和域名（须属于同一应用和同一数据中心），然后执行 `emq hold clear`。",
	}
	return []Rule{
		{
			// A placeholder left in the path reads like a wrong app key, but is one task's mistake.
			ID: "path-not-filled", Body: BodyObject, Contains: []string{"could not find application for*{*}"},
			Class: ClassPermanent, Scope: ScopeJob,
			Why: Text{"The path of the call still holds a placeholder in braces.", "请求路径中留有未替换的花括号占位符。"},
			Advice: Text{
				"Fill in the path with `emq dlq edit`, and mend the code that enqueues it.",
				"请用 `emq dlq edit` 补全路径，并修正入队的代码。",
			},
		},
		{
			ID: "app-not-found", Body: BodyObject, Contains: []string{"^organization_application_not_found:", "could not find application for"},
			Class: ClassNeedsHuman, Scope: ScopeApp,
			Why: Text{"Easemob knows no such app on this host: the App Key is wrong, or the app lives in another data centre.", "该域名下没有此应用：App Key 有误，或应用属于其他数据中心。"},
			Advice: Text{
				"Compare the App Key (org#app) and the REST API domain with the Easemob console, correct the configuration, then run `emq hold clear`.",
				"请在环信控制台核对 App Key（org#app）和 REST API 域名，改正配置后执行 `emq hold clear`。",
			},
		},
		{
			ID: "login-refused", Contains: []string{"invalid username or password", "^invalid_grant:*user*not found"},
			Class: ClassPermanent, Scope: ScopeJob,
			Why: Text{"A user token was asked for with an unknown user or a wrong password.", "获取用户 token 时用户不存在或密码错误。"},
			Advice: Text{
				"Correct user and password with `emq dlq edit`, or drop the call with `emq dlq discard`.",
				"请用 `emq dlq edit` 更正用户 ID 和密码，或用 `emq dlq discard` 丢弃。",
			},
		},
		{
			ID: "credentials-refused", Body: BodyObject, Contains: []string{
				"^invalid_grant:", "^invalid_client:", "client_id does not match", "client_secret does not match",
				"client_id must be provided", "client_secret must be provided",
			},
			Class: ClassNeedsHuman, Scope: ScopeApp,
			Why: Text{"Easemob does not accept the Client ID or Client Secret, so no token can be had.", "环信不接受 Client ID 或 Client Secret，无法获取 token。"},
			Advice: Text{
				"Copy Client ID and Client Secret anew from the app's details in the Easemob console, restart the workers with them, then run `emq hold clear`.",
				"请从环信控制台的应用详情中重新复制 Client ID 和 Client Secret，更新配置并重启 worker，然后执行 `emq hold clear`。",
			},
		},
		{
			ID: "banned", Body: BodyObject, Contains: []string{"^forbidden_service_operation:", "service operation not allowed"},
			Class: ClassNeedsHuman, Scope: ScopeApp,
			Why: Text{"Easemob has banned the app, or the user the call is about.", "该应用或调用所涉及的用户已被环信封禁。"},
			Advice: Text{
				"See in the Easemob console whether the app is banned and have Easemob lift it; if it is only the user, activate that user. Then run `emq hold clear`.",
				"请在环信控制台查看应用是否被封禁，并联系环信解除；若只是用户被封禁，请解禁该用户。然后执行 `emq hold clear`。",
			},
		},
		{
			// "oldPassword is required": the vendor's page gives a missing admin token as the cause.
			ID: "token-rank", Body: BodyObject, Contains: []string{"subject does not have permission", "access authorized", "oldpassword is required"},
			Class: ClassNeedsHuman, Scope: ScopeApp,
			Why: Text{"The token is valid but ranks too low for this call; it is not this app's admin token.", "token 有效但权限不足：它不是该应用的 App Token（管理员 token）。"},
			Advice: Text{
				"Check that Client ID and Client Secret are those of this very app in the Easemob console, then run `emq hold clear`. Calls above the app's own rank can't go through emq: `emq dlq discard`.",
				"请在环信控制台确认 Client ID 和 Client Secret 属于该应用，然后执行 `emq hold clear`。需要更高权限的调用不能通过 emq 发送，请用 `emq dlq discard` 丢弃。",
			},
		},
		{
			ID: "no-permission", Statuses: []int{401, 403}, Body: BodyObject, Contains: []string{
				"no permission", "permission is required", "permission denied", "not authorized to", ": auth error",
			},
			Class: ClassPermanent, Scope: ScopeJob,
			Why: Text{"Easemob refuses the operation to whoever it is made for; the token is not the reason.", "操作者无权执行该操作，与 token 无关。"},
			Advice: Text{
				"Correct the acting user or the target with `emq dlq edit`, or drop the call with `emq dlq discard`.",
				"请用 `emq dlq edit` 更正操作者或目标，或用 `emq dlq discard` 丢弃。",
			},
		},
		{
			ID: "token-refused-again", Statuses: tokenStatuses, Contains: tokenTexts, FreshToken: true,
			Class: ClassNeedsHuman, Scope: ScopeApp,
			Why: refusedAgain, Advice: checkCredentials,
		},
		{
			ID: "token-refused", Statuses: tokenStatuses, Contains: tokenTexts,
			Class: ClassRetryable, Scope: ScopeJob, Delay: DelayToken,
			Why: refused, Advice: refreshed,
		},
		{
			ID: "unauthorized-again", Statuses: []int{401}, Errors: tokenErrors, FreshToken: true,
			Class: ClassNeedsHuman, Scope: ScopeApp,
			Why: refusedAgain, Advice: checkCredentials,
		},
		{
			ID: "unauthorized", Statuses: []int{401}, Errors: tokenErrors,
			Class: ClassRetryable, Scope: ScopeJob, Delay: DelayToken,
			Why: refused, Advice: refreshed,
		},
		{
			// Seen live: the attribute service answers a missing token with 400 and no body.
			ID: "attributes-refused-again", Statuses: []int{400}, Kinds: []string{"user.set_attributes"}, Body: BodyEmpty, FreshToken: true,
			Class: ClassPermanent, Scope: ScopeJob,
			Why: Text{"The attribute service refused the call without a word, with a fresh token too.", "用户属性服务拒绝了请求且未说明原因，换用新 token 后依旧。"},
			Advice: Text{
				"Check user ID and attributes (at most 2 KB a user) with `emq dlq edit`, or drop the call with `emq dlq discard`.",
				"请用 `emq dlq edit` 检查用户 ID 和属性（每个用户不超过 2 KB），或用 `emq dlq discard` 丢弃。",
			},
		},
		{
			ID: "attributes-refused", Statuses: []int{400}, Kinds: []string{"user.set_attributes"}, Body: BodyEmpty,
			Class: ClassRetryable, Scope: ScopeJob, Delay: DelayToken,
			Why:    Text{"The attribute service refused the call without a word, which is how it answers to a missing token.", "用户属性服务拒绝了请求且未说明原因；token 无效时它即如此应答。"},
			Advice: refreshed,
		},
	}
}

// limitRules: limits that time cures, and quotas that it does not.
func limitRules() []Rule {
	return []Rule{
		{
			ID: "plan-quota", Body: BodyObject, Contains: []string{"^resource_limited:", "exceeded the limit of the*edition", "upgrade to*edition"},
			Class: ClassNeedsHuman, Scope: ScopeApp,
			Why: Text{"A quota of the app's plan is used up; waiting does not help.", "应用套餐包的额度已用完，等待无济于事。"},
			Advice: Text{
				"Upgrade the plan in the Easemob console or talk to Easemob's sales, then run `emq hold clear`.",
				"请在环信控制台升级套餐包或联系环信商务，然后执行 `emq hold clear`。",
			},
		},
		{
			// Broadcasts are limited per minute or half hour; a retry each second would be refused for long.
			ID: "broadcast-rate", Contains: []string{"^reach_limit:", "reached api limit"}, Kinds: []string{"message.broadcast"},
			Class: ClassRetryable, Scope: ScopeJob, Delay: DelayMinute,
			Why: Text{"Broadcasts are sent too close together.", "广播消息发送过于频繁。"},
			Advice: Text{
				"emq waits and repeats without spending an attempt. Space broadcasts out (one in 30 minutes to all users, one a minute to online users) when you enqueue them.",
				"emq 会等待后重试，不消耗尝试次数。请拉开广播间隔（全员广播 30 分钟 1 次，在线用户广播每分钟 1 次），入队时即错开。",
			},
		},
		{
			ID: "rate-limit", Contains: []string{"^reach_limit:", "reached api limit"},
			Class: ClassRetryable, Scope: ScopeJob, Delay: DelayRate,
			Why: Text{"The app made more calls in a second than this endpoint allows.", "该接口每秒的调用次数超过了上限。"},
			Advice: Text{
				"emq waits a second or two and repeats without spending an attempt. If it is frequent, enqueue more slowly, or have Easemob raise the limit.",
				"emq 会等待一两秒后重试，不消耗尝试次数。若频繁出现，请放慢入队速度，或联系环信商务上调限额。",
			},
		},
		{
			// Groups and rooms count per second, users per minute; neither kind nor body
			// tells which, and a minute is right for both.
			ID: "message-rate", Statuses: []int{403, 429}, Contains: []string{
				"message send reach*limit", "^message_send_error:*reach*limit", "^message_send_error: forbidden for url",
			},
			Class: ClassRetryable, Scope: ScopeJob, Delay: DelayMinute,
			Why: Text{"The app sent more messages than its limit allows; each recipient counts as one.", "消息发送条数超过频率上限；每个接收方计一条。"},
			Advice: Text{
				"emq waits up to a minute and repeats without spending an attempt. If it is frequent, enqueue more slowly, or have Easemob raise the limit.",
				"emq 最多等待一分钟后重试，不消耗尝试次数。若频繁出现，请放慢入队速度，或联系环信商务上调限额。",
			},
		},
		{
			// The quota is the day's. Holding a broadcast for hours and then sending it
			// unasked is worse than asking a person.
			ID: "broadcast-quota", Statuses: []int{403, 429}, Contains: []string{"broadcast*limit"},
			Class: ClassNeedsHuman, Scope: ScopeJob,
			Why: Text{"The day's quota of broadcasts is used up; it starts anew at 00:00 UTC (08:00 in Beijing).", "当天的广播次数已用完，UTC 零点（北京时间 8 点）重新计数。"},
			Advice: Text{
				"Run `emq dlq resend` after that hour if the broadcast is still wanted, or have Easemob raise the quota; else `emq dlq discard`.",
				"若仍需广播，请在此时刻之后执行 `emq dlq resend`，或联系环信商务上调额度；否则用 `emq dlq discard` 丢弃。",
			},
		},
		{
			ID: "concurrent-operation", Statuses: []int{family4xx, family5xx}, Body: BodyObject, Contains: []string{
				"^concurrent_operation", "concurrent operation", "concurrency", "concurrent modif",
			},
			Class: ClassRetryable, Scope: ScopeJob, Delay: DelayBackoff,
			Why:    Text{"Another call changed the same thing at the same moment.", "另一个调用正在同时修改同一对象。"},
			Advice: retriedByItself(),
		},
	}
}

// featureRules: what Easemob must switch on first. Scope job: other kinds go on.
func featureRules() []Rule {
	return []Rule{
		{
			ID: "feature-off", Statuses: []int{400, 403}, Body: BodyObject, Contains: []string{
				"^service_open:", "unopened", "not open", "not opened", "not enabled", "not activated", "service not allow",
				" is disabled", "^forbidden_op:$",
			},
			Class: ClassNeedsHuman, Scope: ScopeJob,
			Why: Text{"The feature this call needs is not switched on for the app.", "该应用未开通此调用所需的功能。"},
			Advice: Text{
				"Switch the feature on in the Easemob console, or have Easemob's sales do it, then run `emq dlq resend`.",
				"请在环信控制台开通该功能，或联系环信商务开通，然后执行 `emq dlq resend`。",
			},
		},
	}
}
