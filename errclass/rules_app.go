package errclass

import (
	"slices"
	"strings"
)

// credentialRules: the app key, the client's credentials, the token, a ban.
// Nearly all of them hit every call of the app. Rows that hold an app ask for
// Easemob's own JSON, so that no stranger's page on the way can do it.
func credentialRules() []Rule {
	return []Rule{
		{
			// A placeholder left in the path reads like a wrong app key, but is one task's mistake.
			ID: "path-not-filled", Body: BodyObject, Contains: []string{"could not find application for*{*}", "could not find application for*%7b"},
			Class: ClassPermanent, Scope: ScopeJob,
			Why: Text{"The path of the call still holds a placeholder in braces.", "请求路径中留有未替换的花括号占位符。"},
			Advice: Text{
				"Fill in the path with `emq dlq edit`, and mend the code that enqueues it.",
				"请用 `emq dlq edit` 补全路径，并修正入队的代码。",
			},
		},
		{
			ID: "app-not-found", Statuses: []int{family4xx, 500}, Body: BodyObject, Contains: []string{
				"^organization_application_not_found:", "^application_not_found:", "^organization_not_found:", "^app_not_found:", "^auth_no_application:",
				"could not find application", "cannot find application", "application not found", "app not found", "appkey not found",
				"application not exist", "application does not exist", "app not exist", "app does not exist", "appkey not exist",
				"appkey does not exist", "appkey is not exist", "organization not found", "organization does not exist", "not served by", "is served by", "^wrong_data_center", "^wrong_cluster", "belong*cluster", "belong*data cent", "wrong cluster", "wrong data cent", "not in this cluster", "集群错误", "数据中心", "应用不存在", "appkey不存在", "appkey 不存在",
			},
			Class: ClassNeedsHuman, Scope: ScopeApp,
			Why: Text{"Easemob knows no such app on this host: the App Key is wrong, or the app lives in another data centre.", "该域名下没有此应用：App Key 有误，或应用属于其他数据中心。"},
			Advice: Text{
				"Compare the App Key (org#app) and the REST API domain with the Easemob console, correct the configuration, then run `emq hold clear`.",
				"请在环信控制台核对 App Key（org#app）和 REST API 域名，改正配置后执行 `emq hold clear`。",
			},
		},
		{
			ID: "login-refused", Contains: []string{
				"username or password", "^invalid_grant:*user*not", "password is wrong", "password is incorrect", "wrong password", "password error",
				"^auth_invalid_username_or_password:", "用户名或密码", "密码错误",
			},
			Class: ClassPermanent, Scope: ScopeJob,
			Why: Text{"A user token was asked for with an unknown user or a wrong password.", "获取用户 token 时用户不存在或密码错误。"},
			Advice: Text{
				"Correct user and password with `emq dlq edit`, or drop the call with `emq dlq discard`.",
				"请用 `emq dlq edit` 更正用户 ID 和密码，或用 `emq dlq discard` 丢弃。",
			},
		},
		{
			ID: "credentials-refused", Statuses: []int{family4xx}, Body: BodyObject, Contains: []string{
				"^invalid_grant:", "^invalid_client:", "^unauthorized_client:", "^auth_missing_credentials:",
				"client_id*not match", "client_secret*not match", "client_id must be provided", "client_secret must be provided",
				"client_id is", "client_secret is", "client_id cannot", "client_secret cannot", "client id*not match", "client secret*not match",
				"invalid client", "client authentication failed", "client credential",
			},
			Class: ClassNeedsHuman, Scope: ScopeApp,
			Why: Text{"Easemob does not accept the Client ID or Client Secret, so no token can be had.", "环信不接受 Client ID 或 Client Secret，无法获取 token。"},
			Advice: Text{
				"Copy Client ID and Client Secret anew from the app's details in the Easemob console, restart the workers with them, then run `emq hold clear`.",
				"请从环信控制台的应用详情中重新复制 Client ID 和 Client Secret，更新配置并重启 worker，然后执行 `emq hold clear`。",
			},
		},
		{
			// Before the allow lists of groups, whose texts also speak of a whitelist.
			ID: "address-refused", Statuses: []int{family4xx}, Body: BodyObject, Contains: []string{
				": *ip *whitelist", "address*whitelist", "address*blacklist", ": *ip *blacklist", "ip is blocked", "ip has been blocked", "ip黑名单", "ip address*not", "client ip", "remote ip", "source ip", "your ip", "request ip", "ip not allowed",
				"ip is not allowed", "ip whitelist", "ip白名单", "ip不在", "ip 不在", "ip地址",
			},
			Class: ClassNeedsHuman, Scope: ScopeApp,
			Why: Text{"Easemob takes no calls of this app from the workers' address.", "环信不接受来自 worker 所在 IP 的请求。"},
			Advice: Text{
				"Add the workers' outgoing address to the IP allow list in the Easemob console, then run `emq hold clear`.",
				"请在环信控制台的 IP 白名单中加入 worker 的出口 IP，然后执行 `emq hold clear`。",
			},
		},
		{
			ID: "banned", Statuses: []int{family4xx, family5xx}, Body: BodyObject, Contains: slices.Concat(
				[]string{"^forbidden_service_operation:", "^org_frozen:", "^org_disabled:", "^org_banned:", "^app_suspended:", "^app_banned:", "^app_blocked:", "^app_disabled:", "^app_frozen:", "^app_forbidden:", "^account_blocked:", "^account_suspended:", "^account_disabled:", "^account_frozen:", "fetch*token*frequent", "account has been blocked", "service operation not allowed", "service operation is not allowed", "应用已被封", "应用已被禁", "应用被封", "应用被禁", "应用已冻结", "appkey已被", "appkey被"},
				said([]string{": app", "the app", "this app", "app status", "appkey", "application", "organization", "tenant"}, []string{"", "is", "was", "has been", "have been"},
					[]string{"banned", "blocked", "closed", "deactivated", "disabled", "forbidden", "frozen", "locked", "shut down", "suspended", "terminated"}),
			),
			Class: ClassNeedsHuman, Scope: ScopeApp,
			Why: Text{"Easemob has banned the app, or the user the call is about.", "该应用或调用所涉及的用户已被环信封禁。"},
			Advice: Text{
				"See in the Easemob console whether the app is banned and have Easemob lift it; if it is only the user, activate that user. Then run `emq hold clear`.",
				"请在环信控制台查看应用是否被封禁，并联系环信解除；若只是用户被封禁，请解禁该用户。然后执行 `emq hold clear`。",
			},
		},
		{
			// The vendor's page gives a missing admin token as the cause.
			ID: "admin-token-missing", Statuses: []int{family4xx}, Body: BodyObject, Contains: []string{"oldpassword is required"},
			Class: ClassNeedsHuman, Scope: ScopeApp,
			Why: Text{"Easemob wants the old password, because the token is not this app's admin token.", "环信要求提供旧密码，说明所用 token 不是该应用的 App Token（管理员 token）。"},
			Advice: Text{
				"Check that Client ID and Client Secret are those of this very app in the Easemob console, then run `emq hold clear`.",
				"请在环信控制台确认 Client ID 和 Client Secret 属于该应用，然后执行 `emq hold clear`。",
			},
		},
		{
			ID: "above-rank", Statuses: []int{family4xx}, Body: BodyObject, Contains: []string{
				"subject does not have permission", "access authorized", "need admin token", "admin token is required", "app token is required",
			},
			Class: ClassPermanent, Scope: ScopeJob,
			Why: Text{"The call asks for more than an app's token may do.", "该调用超出了应用 token 的权限。"},
			Advice: Text{
				"Correct the path with `emq dlq edit`. Calls on an organization, or for another app, can't go through emq: `emq dlq discard`.",
				"请用 `emq dlq edit` 更正路径。组织级接口或其他应用的接口不能通过 emq 调用，请用 `emq dlq discard` 丢弃。",
			},
		},
	}
}

// said are all sentences of one of the subjects, a verb and a state.
func said(subjects, verbs, states []string) []string {
	var all []string
	for _, subject := range subjects {
		for _, verb := range verbs {
			for _, state := range states {
				all = append(all, strings.Join(strings.Fields(subject+" "+verb+" "+state), " "))
			}
		}
	}
	return all
}

// tokenRules: what a fresh token cures, and what is no better with one. Rows that
// go by words stand before features and goals; rows that go by the status alone,
// after everything that a text can say.
func tokenRules() []Rule {
	// Texts that mean the token under any error word.
	texts := []string{
		"unable to authenticate", "token is illegal", "token is blank", "corrupt access token",
		"expired access token", "access token*expired", "access token*invalid", "invalid access token", "illegal access token", "access_token",
		"token expired", "token has expired", "token is expired", "token invalid", "token失效", "token过期", "token已过期", "token 已过期", "token无效",
		"registration does not allow", "registration is not open", "registration not open", ": unauthorized$",
		"^auth_*token:",
	}
	with401 := []string{
		"token", "authenticat", "unauthorized:*login", "jwt", "bearer", "credential", "not logged in", "未授权", "未认证", "鉴权", "认证失败", "未登录",
	}
	return []Rule{
		// "token is blank!" is a text of the group service, whose other 401s are no permission.
		refusedAgain("token-refused-again", Rule{Statuses: []int{400, 401, 403}, Contains: texts}),
		refusedToken("token-refused", Rule{Statuses: []int{400, 401, 403}, Contains: texts}),
		{
			// These services give 401 when the token is not the user's of whom they are asked.
			ID: "token-of-another", Statuses: []int{401}, Body: BodyObject, Contains: []string{"^metadata_error:*token", "^metadata:*token", "^message_rewrite_error:*token"},
			Class: ClassPermanent, Scope: ScopeJob,
			Why:    Text{"The service wants the token of the user that the call is about.", "该服务要求使用调用所涉及用户的 token。"},
			Advice: readAndEdit(),
		},
		refusedAgain("token-doubted-again", Rule{Statuses: []int{401}, Contains: with401}),
		refusedToken("token-doubted", Rule{Statuses: []int{401}, Contains: with401}),
	}
}

// unauthorizedRules: a 401 that says no more than that.
func unauthorizedRules() []Rule {
	words := []string{"unauthorized", "auth_bad_access_token", "invalid_token", "expired_token", "token_expired", "authentication_failed", "unauthenticated"}
	return []Rule{
		refusedAgain("unauthorized-again", Rule{Statuses: []int{401}, Errors: words}),
		refusedToken("unauthorized", Rule{Statuses: []int{401}, Errors: words}),
		// Without an error word the token gets the benefit of the doubt once. After
		// that, only what says nothing else holds the app: a refusal with a text of
		// its own is this call's.
		refusedAgain("unauthorized-wordless-again", Rule{Statuses: []int{401}, Contains: []string{"^:$", "authorization required", "unauthorized"}}),
		{
			ID: "refused-for-another-reason", Statuses: []int{401}, Errors: []string{""}, FreshToken: true,
			Class: ClassPermanent, Scope: ScopeJob,
			Why:    Text{"Easemob refuses this call with a fresh token too, for a reason of its own.", "换用新 token 后环信仍拒绝该调用，原因另有所述。"},
			Advice: readAndEdit(),
		},
		refusedToken("unauthorized-wordless", Rule{Statuses: []int{401}, Errors: []string{""}}),
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
			Advice: refreshedByItself(),
		},
	}
}

func refusedToken(id string, r Rule) Rule {
	r.ID, r.Class, r.Scope, r.Delay = id, ClassRetryable, ScopeJob, DelayToken
	r.Why = Text{"Easemob does not accept the access token.", "环信不接受当前的访问 token。"}
	r.Advice = refreshedByItself()
	return r
}

func refusedAgain(id string, r Rule) Rule {
	r.ID, r.FreshToken, r.Class, r.Scope = id, true, ClassNeedsHuman, ScopeApp
	r.Why = Text{"Easemob refuses even a token that was fetched a moment ago.", "刚换取的新 token 仍被环信拒绝。"}
	r.Advice = Text{
		"Compare App Key, Client ID, Client Secret and host of this app with the Easemob console (they must belong to the same app and data centre), then run `emq hold clear`.",
		"请在环信控制台核对该应用的 App Key、Client ID、Client Secret 和域名（须属于同一应用和同一数据中心），然后执行 `emq hold clear`。",
	}
	return r
}

func refreshedByItself() Text {
	return Text{
		"emq fetches a fresh token and repeats the call at once. Only when several fresh tokens were refused in a row is the app held.",
		"emq 会立即换取新的 token 并重试；只有连续多个新 token 都被拒绝时，才会暂停（hold）该应用。",
	}
}

// permissionRules: a refusal for who acts, not for what is asked.
func permissionRules() []Rule {
	return []Rule{
		{
			ID: "feature-denied", Statuses: []int{family4xx}, Body: BodyObject, Contains: []string{
				"app has no permission", "appkey has no permission", "application has no permission", "app not allowed to use", "appkey not allowed to use", "应用没有权限", "应用无权",
			},
			Class: ClassNeedsHuman, Scope: ScopeJob,
			Why: Text{"The app may not use the feature that this call needs.", "该应用无权使用此调用所需的功能。"},
			Advice: Text{
				"Switch the feature on in the Easemob console, or have Easemob's sales do it, then run `emq dlq resend`.",
				"请在环信控制台开通该功能，或联系环信商务开通，然后执行 `emq dlq resend`。",
			},
		},
		{
			ID: "no-permission", Statuses: []int{400, 401, 403}, Body: BodyObject, Contains: []string{
				"no permission", "permission is required", "permission denied", "permission required", "not have permission", "have no right", "not have*permission", "without permission",
				"insufficient permission", "insufficient privilege", "insufficient scope", "not authorized to", "not permitted", "no authority", ": auth error",
				"not allowed to", "access is denied", "access denied", "neither*owner", "neither*admin", "is not owner", "not the owner", "not group owner", "not a group owner", "only*owner", "only*admin", "没有权限", "无权限", "权限不足", "无权",
			},
			Class: ClassPermanent, Scope: ScopeJob,
			Why: Text{"Easemob refuses the operation to whoever it is made for; the token is not the reason.", "操作者无权执行该操作，与 token 无关。"},
			Advice: Text{
				"Correct the acting user or the target with `emq dlq edit`, or drop the call with `emq dlq discard`.",
				"请用 `emq dlq edit` 更正操作者或目标，或用 `emq dlq discard` 丢弃。",
			},
		},
		{
			// Before goals and bans, whose words a refusal to mute or block an owner repeats.
			ID: "owner-protected", Statuses: []int{family4xx, 500}, Body: BodyObject, Mend: MendLeaveOut, Contains: []string{
				"operation on group owner", "operation on chatroom owner", "operation on owner", "operation on room owner", "owner cannot be", "owner cannot*mute", "owner cannot*block", "owner cannot*remove",
				"cannot remove*owner", "cannot kick*owner", "cannot mute*owner", "cannot block*owner", "is owner of", "is the owner", "is group owner", "不能*群主", "群主不能", "群主*不能", "是群主",
			},
			Class: ClassPermanent, Scope: ScopeJob,
			Why: Text{"The owner of a group or room can't be muted, blocked or removed.", "不能对群主或聊天室所有者禁言、拉黑或移出。"},
			Advice: Text{
				"Take the owner's name out with `emq dlq edit`, or transfer ownership first and run `emq dlq resend`.",
				"请用 `emq dlq edit` 去掉所有者，或先转让群组再执行 `emq dlq resend`。",
			},
		},
	}
}

// featureRules: what Easemob must switch on first. Scope job: other kinds go on.
func featureRules() []Rule {
	return []Rule{
		{
			ID: "feature-off", Statuses: []int{400, 402, 403, 404, 405, 406, 409, 422}, Body: BodyObject, Contains: []string{
				"^service_open:", "^service_not_open:", "^feature_not", "^service_not_enabled:", "unopen", "not open", "not opened", "not be opened", "not been opened", "not enable",
				"not been enabled", "^not_enabled:", "not activated", "not been activated", "not provisioned", "not been provisioned", "not been purchased", "not been subscribed", "not been authorized", "not yet been",
				"feature switch", "plan only", "edition only", "only available in", "only available for", "only available to", "available in*plan", "available in*edition", "^plan_", "service not allow", "service is not allow", "not allow$", "not been turned on", "not turned on",
				"is disabled", "service disabled", "feature disabled", "has been disabled for", "service is closed", "feature is closed", "turned off", "not available for", "not subscribed", "not purchased", "not support this feature",
				"switched off", "not switched on", "off for this app", "turn it on", "turn them on", "part of the*plan", "part of your*plan", "not configured", "not been configured", "not yet configured", "certificate*not", "certificate*expired", "certificate*invalid", "no push certificate", "real-name", "real name", "^certification", "not certified", "identity verification", "实名", "no certificate", "未配置", "没有配置", "未设置",
				"feature*not support", "not supported in", "not supported by your", "not included in", "feature is not available", "function is not",
				"未开通", "未启用", "没有开通", "未开启", "未打开", "未购买", "^forbidden_op:$",
			},
			Class: ClassNeedsHuman, Scope: ScopeJob,
			Why: Text{"The feature this call needs is not switched on for the app.", "该应用未开通此调用所需的功能。"},
			Advice: Text{
				"Switch the feature on in the Easemob console, or have Easemob's sales do it, then run `emq dlq resend`.",
				"请在环信控制台开通该功能，或联系环信商务开通，然后执行 `emq dlq resend`。",
			},
		},
		{
			ID: "feature-off-behind", Statuses: []int{family5xx}, Body: BodyObject, Contains: []string{
				"^service_open:", "unopen", "is not open", "service not open", "app not open", "appkey not open", "is not enabled", "service not allow", "未开通",
			},
			Class: ClassNeedsHuman, Scope: ScopeJob,
			Why: Text{"The feature this call needs is not switched on for the app (reported as a server error).", "该应用未开通此调用所需的功能（以 5xx 返回）。"},
			Advice: Text{
				"Switch the feature on in the Easemob console, or have Easemob's sales do it, then run `emq dlq resend`.",
				"请在环信控制台开通该功能，或联系环信商务开通，然后执行 `emq dlq resend`。",
			},
		},
	}
}
