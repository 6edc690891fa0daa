package errclass

// boundRules: something is over a bound. A bound on the request itself is the
// request's fault; one on what the app, a group or a user may hold is a quota,
// which a person can raise.
func boundRules() []Rule {
	client := []int{family4xx}
	return []Rule{
		{
			ID: "too-many-targets", Statuses: client, Contains: []string{
				"more than max", "size is too large", "size can't exceed", "to exceed limit", "can't exceed limit",
				"exceed allowed batch size", "batch put users limit", "over flow limit", "size must be between",
				"greater than the upper range", "upper range value", "maximum quantity limit", "maximum number limit",
				"param reaches limit", "body reaches limit", "request body exceeds maximum limit", "^illegal_argument: too many",
				": too many queries",
			},
			Class: ClassPermanent, Scope: ScopeJob,
			Why: Text{"The call names more targets than one call may.", "单次请求的数量超过上限。"},
			Advice: Text{
				"Cut the list with `emq dlq edit` and enqueue the rest as a task of its own.",
				"请用 `emq dlq edit` 缩短列表，其余部分作为另一个任务入队。",
			},
		},
		{
			ID: "too-large", Statuses: client, Contains: []string{
				"too large", "too_large", "ext is too big", "body is too big", "message is too big", "exceeding maximum limit", "total length exceeds", "metadata for this single user", "^14007:",
			},
			Class: ClassPermanent, Scope: ScopeJob,
			Why: Text{"What the call carries is too large (a message's body and ext together: 5 KB).", "请求内容过大（消息 body 与 ext 合计不超过 5 KB）。"},
			Advice: Text{
				"Shorten it with `emq dlq edit`: send a link or upload a file instead of putting the content into the message.",
				"请用 `emq dlq edit` 缩短内容：改为发送链接或上传文件，不要把内容直接放入消息。",
			},
		},
		{
			ID: "payload-too-large", Statuses: []int{413},
			Class: ClassPermanent, Scope: ScopeJob,
			Why: Text{"The request is too large for the server (messages: 5 KB, files: 10 MB).", "请求体超过服务器上限（消息 5 KB，文件 10 MB）。"},
			Advice: Text{
				"Shorten it with `emq dlq edit`, or split it into several calls.",
				"请用 `emq dlq edit` 缩短内容，或拆分为多个请求。",
			},
		},
		{
			ID: "field-too-long", Statuses: client, Contains: []string{
				"too_long", "too long", "length exceed", "length is too", "cannot exceed", "can not exceed", "can't exceed",
				"single key limit", "single value limit",
			},
			Class: ClassPermanent, Scope: ScopeJob,
			Why: Text{"A field of the request is over its bound.", "请求中某个字段超过上限。"},
			Advice: Text{
				"Shorten or lower the field that the description names, with `emq dlq edit`.",
				"请用 `emq dlq edit` 缩短或调低错误描述中指出的字段。",
			},
		},
		{
			ID: "maxusers-too-low", Statuses: client, Contains: []string{"user count is larger than the maxusers"},
			Class: ClassPermanent, Scope: ScopeJob,
			Why: Text{"The group or room has more members now than the new maximum.", "群组或聊天室的现有人数超过了要设置的最大人数。"},
			Advice: Text{
				"Raise maxusers with `emq dlq edit`, or remove members first and run `emq dlq resend`.",
				"请用 `emq dlq edit` 调大 maxusers，或先移除成员再执行 `emq dlq resend`。",
			},
		},
		{
			ID: "quota-used-up", Statuses: client, Contains: []string{
				"^exceed_limit:", "^exceeded_limit:", "joined too many", "create too many", "created too many",
				"contact number exceed", "contact max count", "greater than max user size", "group is full",
				"metadata for this app",
			},
			Class: ClassNeedsHuman, Scope: ScopeJob,
			Why: Text{"A quota is used up: groups or rooms of the app, members of a group, or groups or contacts of a user.", "额度已用完：应用的群组或聊天室数、群成员数，或用户加入的群组数、好友数。"},
			Advice: Text{
				"Remove what is no longer needed, or raise the quota in the Easemob console or with Easemob's sales; then run `emq dlq resend`.",
				"请清理不再使用的群组、聊天室或好友，或在环信控制台（或联系环信商务）上调额度，然后执行 `emq dlq resend`。",
			},
		},
	}
}

// requestRules: the request is wrong in itself. Error words are asked under 5xx
// too, because Easemob reports some of a client's mistakes as 500.
func requestRules() []Rule {
	client := []int{family4xx}
	wrong := func(r Rule, why, advice Text) Rule {
		r.Class, r.Scope, r.Why, r.Advice = ClassPermanent, ScopeJob, why, advice
		return r
	}
	editField := Text{
		"Correct the field that the description names with `emq dlq edit`, and mend the code that enqueues it.",
		"请用 `emq dlq edit` 更正错误描述中指出的字段，并修正入队的代码。",
	}
	return []Rule{
		wrong(Rule{ID: "content-refused", Statuses: client, Contains: []string{"_violation:", "is violation", "sensitive word", "illegal content"}},
			Text{"Easemob's content rules refuse a name or text in the request.", "名称或文本内容不合规，被环信拒绝。"},
			Text{"Change the wording with `emq dlq edit`, or drop the call with `emq dlq discard`.", "请用 `emq dlq edit` 修改文字，或用 `emq dlq discard` 丢弃。"}),
		wrong(Rule{ID: "owner-protected", Statuses: client, Contains: []string{"operation on group owner", "operation on chatroom owner", "operation on owner"}},
			Text{"The owner of a group or room can't be muted, blocked or removed.", "不能对群主或聊天室所有者禁言、拉黑或移出。"},
			Text{"Take the owner's name out with `emq dlq edit`, or transfer ownership first and run `emq dlq resend`.", "请用 `emq dlq edit` 去掉所有者，或先转让群组再执行 `emq dlq resend`。"}),
		wrong(Rule{ID: "group-exists", Statuses: client, Contains: []string{"group id*already exist"}},
			Text{"The group ID is taken.", "群组 ID 已被占用。"},
			Text{
				"If an earlier attempt made the group, settle it with `emq dlq resolve ID --sent`; else choose another ID with `emq dlq edit`.",
				"若群组是之前的尝试创建的，请用 `emq dlq resolve ID --sent` 定论；否则用 `emq dlq edit` 换一个 ID。",
			}),
		wrong(Rule{ID: "blocked-member", Statuses: client, Contains: []string{"in blacklist", "in black list", "in the blacklist", "in blocklist", "in block list"}},
			Text{"The user is on the block list of the group or room and can't join.", "该用户在群组或聊天室的黑名单中，无法加入。"},
			Text{"Unblock the user first and run `emq dlq resend`, or take the name out with `emq dlq edit`.", "请先将该用户移出黑名单再执行 `emq dlq resend`，或用 `emq dlq edit` 去掉该用户。"}),
		wrong(Rule{ID: "recall-too-late", Statuses: client, Contains: []string{"recall time limit"}},
			Text{"The message is older than the time in which it may be recalled (2 minutes, if not set otherwise).", "消息已超过可撤回时限（默认 2 分钟）。"},
			Text{
				"Set force to true with `emq dlq edit`, have the window widened in the Easemob console, or drop the call with `emq dlq discard`.",
				"请用 `emq dlq edit` 将 force 设为 true，或在环信控制台延长撤回时限，或用 `emq dlq discard` 丢弃。",
			}),
		wrong(Rule{ID: "body-malformed", Statuses: []int{family4xx, family5xx}, Body: BodyObject, Contains: []string{
			"^json_parse:", "^invalid_request_body:", "request body is invalid", "unexpected character", "empty request body",
		}},
			Text{"Easemob could not read the request's body as the JSON it expects.", "环信无法按预期的 JSON 解析请求体。"},
			Text{"Correct the payload (syntax and types of fields) with `emq dlq edit`.", "请用 `emq dlq edit` 更正请求内容（语法和字段类型）。"}),
		wrong(Rule{ID: "field-missing", Statuses: client, Contains: []string{
			"can't be empty", "cannot be empty", "can not be empty", "must be provided", "must provided", "is required",
			"cannot be null", "can not be null", "can't be null", "cannot be blank", "not allow empty", "is null", "is empty",
			"must contain", "null or empty", "requires a property named",
		}},
			Text{"A field that the call needs is missing or empty.", "缺少必填字段，或字段为空。"}, editField),
		wrong(Rule{ID: "field-invalid", Statuses: client, Contains: []string{
			"not legal", "is illegal", "is invalid", "not valid fields", "not a valid", "should be", "can only be",
			"must be either", "must be jsonobject", "must be a ", "must be an ", "illegal arguments",
		}},
			Text{"A field holds a value that Easemob does not allow.", "某个字段的值不符合环信的要求。"}, editField),

		wrong(Rule{ID: "unsupported-media-type", Statuses: []int{415}},
			Text{"Easemob does not take this type of body here.", "该接口不支持此类请求体。"},
			Text{"Send a JSON object as the body, with `emq dlq edit`; calls by emq carry Content-Type: application/json themselves.", "请用 `emq dlq edit` 将请求体改为 JSON；emq 发出的请求自带 Content-Type: application/json。"}),
		wrong(Rule{ID: "unsupported-call", Statuses: []int{family4xx, family5xx}, Body: BodyObject, Contains: []string{
			"^unsupported_service_operation:", "^web_application:", "^no_full_text_index:",
			"service operation not supported", "webapplicationexception", "not full text indexed",
		}},
			Text{"Easemob has no such call: the path, the method or the query is wrong (it reports this as 500).", "环信没有此接口：路径、方法或查询条件有误（以 500 返回）。"},
			Text{"Correct method and path with `emq dlq edit`, comparing them with Easemob's REST documentation.", "请对照环信 REST 文档，用 `emq dlq edit` 更正方法和路径。"}),
		// Not under 5xx, where these words only say which service failed.
		wrong(Rule{ID: "message-refused", Statuses: []int{400, 401, 403, 404}, Errors: []string{"message_send_error", "message_recall_error", "message_rewrite_error"}},
			Text{"The message service refuses the request as it is.", "消息服务不接受该请求。"},
			Text{"Read the description with `emq dlq show`, correct the payload with `emq dlq edit`, or drop the call with `emq dlq discard`.", "请用 `emq dlq show` 查看错误描述，用 `emq dlq edit` 更正内容，或用 `emq dlq discard` 丢弃。"}),
		wrong(Rule{ID: "bad-argument", Statuses: []int{family4xx, family5xx}, Errors: []string{
			"illegal_argument", "invalid_parameter", "param_illegal", "bad_request",
		}},
			Text{"Easemob finds fault with an argument of the request.", "请求参数有误。"},
			Text{"Read the description with `emq dlq show`, correct the payload with `emq dlq edit`, or drop the call with `emq dlq discard`.", "请用 `emq dlq show` 查看错误描述，用 `emq dlq edit` 更正内容，或用 `emq dlq discard` 丢弃。"}),
	}
}
