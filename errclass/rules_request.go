package errclass

// boundRules: something is over a bound. A bound on the request itself is the
// request's fault; one on what the app, a group or a user may hold is a quota,
// which a person can raise. Where a text could mean either, 400 speaks of the
// request, and 403 and 429 of a quota.
func boundRules() []Rule {
	client := []int{family4xx}
	memberSize := []string{"greater than max user size", "larger than max user size", "more than max user size", "exceed*max user size"}
	tooLong := func(id string, r Rule) Rule {
		r.ID, r.Class, r.Scope = id, ClassPermanent, ScopeJob
		r.Why = Text{"A field of the request is over its bound.", "请求中某个字段超过上限。"}
		r.Advice = Text{
			"Shorten or lower the field that the description names, with `emq dlq edit`.",
			"请用 `emq dlq edit` 缩短或调低错误描述中指出的字段。",
		}
		return r
	}
	return []Rule{
		{
			// One bad entry refuses a batch registration as a whole.
			ID: "registration-refused", Statuses: []int{400, 403, 422}, Body: BodyObject, Kinds: []string{"user.register"}, Contains: []string{
				"requires a property named", "must provided", "username*legal", "username*illegal", "username*invalid", "username*too long", "username*empty", "username*blank",
				"username*null", "username*length", "username*format", "password*legal", "password*invalid", "password*too long", "password*too short", "password*empty", "password*blank", "password*null", "password*length", "password*required", "password*provided",
				"nickname*too long", "nickname*length", "nickname*exceed", "nickname*legal", "nickname*invalid", "用户名*非法", "用户名*不合法", "用户名*为空", "密码*为空", "昵称*长",
			},
			Class: ClassPermanent, Scope: ScopeJob, Mend: MendLeaveOut,
			Why: Text{"A user ID, password or nickname of the registration breaks the rules (ID at most 64 bytes of a-z 0-9 _ - .; password 64; nickname 100).", "注册请求中的用户 ID、密码或昵称不符合规则（ID 不超过 64 字节，仅限 a-z 0-9 _ - .；密码 64；昵称 100）。"},
			Advice: Text{
				"Correct the entry with `emq dlq edit`, and mend the code that enqueues it.",
				"请用 `emq dlq edit` 更正该用户，并修正入队的代码。",
			},
		},
		{
			// Of a group that is yet to be made, the maximum is in the call.
			ID: "members-over-own-maximum", Statuses: []int{family4xx}, Kinds: both("create"), Contains: memberSize,
			Class: ClassPermanent, Scope: ScopeJob,
			Why:    Text{"The call names more members than its maxusers allows.", "请求中的成员数超过其 maxusers。"},
			Advice: Text{"Raise maxusers or cut the list of members with `emq dlq edit`.", "请用 `emq dlq edit` 调大 maxusers 或缩短成员名单。"},
		},
		{
			ID: "members-over-maximum", Statuses: []int{family4xx}, Mend: MendSplit, Contains: memberSize,
			Class: ClassNeedsHuman, Scope: ScopeJob,
			Why: Text{"The group or room would have more members than it may.", "群组或聊天室的人数将超过上限。"},
			Advice: Text{
				"Raise the group's maxusers, or remove members, and run `emq dlq resend`; or cut the list with `emq dlq edit`.",
				"请调大群组的 maxusers 或先移除成员，再执行 `emq dlq resend`；或用 `emq dlq edit` 缩短名单。",
			},
		},
		manyTargets("too-many-targets", Rule{Statuses: []int{family4xx, 500}, Contains: []string{
			"more than max", "more than the max", "size is more than", "size more than", "list size", "size is too large", "size cannot exceed", "to exceed limit", "param*exceed*limit", "cannot exceed limit", "exceed allowed", "exceeds allowed",
			"exceed allowed batch size", "batch put users limit", "over flow limit", "size must be between", "number must be between", "count must be between",
			"greater than the upper range", "upper range value", "maximum quantity", "maximum number limit", "max number of", "maximum number of names", "maximum number of users per",
			"param reaches limit", "body reaches limit", "request body exceeds maximum limit", "too many users in", "too many usernames", "too many names", "too many ids", "too many items", "too many recipients", "too many targets",
			"批量*上限", "批量*超", "单次*上限", "单次*超", "一次最多", "数量不能超过", "个数不能超过",
		}}),
		quota("attribute-quota", Rule{Statuses: client, Contains: []string{"metadata for this app", "metadata of this app"}}),
		{
			ID: "too-large", Statuses: []int{family4xx, 500}, Contains: []string{
				"message is too large", "message too large", "msg is too large", "msg too large", "ext is too", "ext too large", "body is too big", "message is too big", "message size", "msg size", "message length", "msg length", "message body too", "message content too",
				"exceeding maximum limit", "total length exceeds", "metadata for this single user", "file is too large", "file too large", "file size", "upload size", "value is too large",
				"^14007:", "^14032:", "消息过大", "消息体过大", "消息过长", "消息内容过长", "文件过大", "消息*过大", "消息*超过",
			},
			Class: ClassPermanent, Scope: ScopeJob,
			Why: Text{"What the call carries is too large (a message's body and ext together: 5 KB).", "请求内容过大（消息 body 与 ext 合计不超过 5 KB）。"},
			Advice: Text{
				"Shorten it with `emq dlq edit`: send a link or upload a file instead of putting the content into the message.",
				"请用 `emq dlq edit` 缩短内容：改为发送链接或上传文件，不要把内容直接放入消息。",
			},
		},
		tooLong("column-too-short", Rule{Statuses: []int{500}, Body: BodyObject, Contains: []string{"data truncation", "data too long"}}),
		tooLong("field-too-long", Rule{Statuses: client, Contains: []string{
			"too long", "length exceed", "length is too", "length must", "length should", "length cannot", "length limit", "length of*exceed", "max length", "maximum length", "longer than", "over length", "overlength", "characters",
			"cannot exceed", "single key limit", "single value limit", "cannot be greater than", "cannot be larger than", "cannot be more than", "cannot be longer", "must be less than", "must be no more", "must not exceed", "should not exceed", "should be less than",
			"cannot greater than", "out of range", "value too", "过长", "太长", "超长", "长度",
		}}),
		requestTooLarge("request-too-large", Rule{Statuses: client, Contains: []string{
			"too large", "too big", "request entity", "exceeds the maximum size", "exceeds maximum size", "exceeds the size", "larger than*bytes", "larger than*kb", "exceeds*bytes", "exceed*bytes", "exceed*kb", "exceeded*bytes", "过大", "太大",
		}}),
		requestTooLarge("payload-too-large", Rule{Statuses: []int{413, 414}}),
		{
			ID: "maxusers-too-low", Statuses: client, Contains: []string{"user count is larger than the maxusers", "larger than the maxusers", "less than current", "smaller than the current"},
			Class: ClassPermanent, Scope: ScopeJob,
			Why: Text{"The group or room has more members now than the new maximum.", "群组或聊天室的现有人数超过了要设置的最大人数。"},
			Advice: Text{
				"Raise maxusers with `emq dlq edit`, or remove members first and run `emq dlq resend`.",
				"请用 `emq dlq edit` 调大 maxusers，或先移除成员再执行 `emq dlq resend`。",
			},
		},
		{
			ID: "edit-limit", Statuses: client, Contains: []string{"edit limit", "edit times", "edit count", "modified too many", "edited too many", "rewrite*limit", "rewrite*times",
				"number of modifications", "modification*limit", "modification count", "modification times", "number of edits", "maximum edits", "修改次数", "编辑次数"},
			Class: ClassPermanent, Scope: ScopeJob,
			Why:    Text{"The message has been edited as often as is allowed (10 times).", "该消息的编辑次数已达上限（10 次）。"},
			Advice: Text{"Drop the call with `emq dlq discard`, or send a new message.", "请用 `emq dlq discard` 丢弃，或改为发送新消息。"},
		},
		quota("user-quota", Rule{Statuses: client, Mend: MendLeaveOut, Contains: []string{"user*joined too many", "user*join too many", "^max_limit_failed:"}}),
		quota("quota-used-up", Rule{Statuses: []int{family4xx, 500}, Contains: []string{
			"^exceed_limit:", "^exceeded_limit:", "^exceeds_limit:", "^limit_exceed", "^quota_exceeded:", "^quota", "^exceed_quota", "^over_quota", "joined too many", "join too many",
			"create too many", "created too many", "too many groups", "too many chatrooms", "too many members", "too many contacts", "too many friends", "too many groups/chatroom",
			"contact number exceed", "contact max count", "greater than max user size", "group is full", "chatroom is full", "room is full", "members is full", "member is full", "is full",
			"quota", "maximum number of groups", "maximum number of chatrooms", "maximum number of members", "maximum number of contacts", "maximum number of friends", "maximum number of registered",
			"members count exceed", "member count exceed", "member number exceed", "members number exceed", "group number exceed", "group count exceed", "chatroom number exceed", "chatroom count exceed", "user number exceed", "user count exceed", "users exceed",
			"blacklist*exceed", "blacklist*limit", "blacklist is full", "whitelist*limit", "admin*exceed", "admin*limit", "reached the maximum", "reached maximum", "reached the upper", "reached the max", "reach the maximum", "reach max",
			"已达上限", "达到上限", "已满", "人数*上限", "数量*上限", "额度", "配额", "好友*上限", "群组*上限",
		}}),
	}
}

// countRules: texts that speak of some bound, and no row before knows which.
func countRules() []Rule {
	return []Rule{
		{
			// Whatever it is, the service says who can mend it.
			ID: "ask-the-vendor", Statuses: []int{family4xx}, Body: BodyObject, Contains: []string{
				"contact support", "contact us", "contact customer", "contact your", "contact*easemob", "contact*sales", "contact*business", "in the console", "on the console", "in console",
				"account manager", "ask your", "apply for", "purchase", "please subscribe", "not bought", "value-added", "free plan", "pro plan", "flagship", "联系客服", "联系商务", "联系环信", "联系销售", "联系技术支持", "控制台", "工单",
			},
			Class: ClassNeedsHuman, Scope: ScopeJob,
			Why: Text{"Easemob wants something done in its console, or to be asked.", "需要在环信控制台操作，或联系环信处理。"},
			Advice: Text{
				"Do what the description says, then run `emq dlq resend`.",
				"请按错误描述处理，然后执行 `emq dlq resend`。",
			},
		},
		// 403 and 429 that count something nobody has named so far.
		quota("quota-likely", Rule{Statuses: []int{403, 429}, Body: BodyObject, Contains: []string{
			"exceed", "maximum", "upper limit", "reach*limit", "limit reached", "limit*reached", "over limit", "too many", "上限", "超过", "超出", "contact*sales", "contact*business", "商务",
		}}),
		manyTargets("too-many", Rule{Statuses: []int{family4xx}, Contains: []string{
			"too many", "exceed", "more than", "max limit", "max size", "max count", "max number", "maximum", "limit*reached", "at most", "reaches limit", "over limit", "over the limit", "beyond", "超过", "超出", "上限", "最多",
		}}),
	}
}

func manyTargets(id string, r Rule) Rule {
	r.ID, r.Class, r.Scope, r.Mend = id, ClassPermanent, ScopeJob, MendSplit
	r.Why = Text{"The call names more targets than one call may.", "单次请求的数量超过上限。"}
	r.Advice = Text{
		"Cut the list with `emq dlq edit` and enqueue the rest as a task of its own; `emq kinds` lists the limits.",
		"请用 `emq dlq edit` 缩短列表，其余部分作为另一个任务入队；`emq kinds` 列出各项上限。",
	}
	return r
}

func requestTooLarge(id string, r Rule) Rule {
	r.ID, r.Class, r.Scope, r.Mend = id, ClassPermanent, ScopeJob, MendSplit
	r.Why = Text{"The request is too large for the server (messages: 5 KB, files: 10 MB).", "请求体超过服务器上限（消息 5 KB，文件 10 MB）。"}
	r.Advice = Text{
		"Shorten it with `emq dlq edit`, or split it into several calls.",
		"请用 `emq dlq edit` 缩短内容，或拆分为多个请求。",
	}
	return r
}

func quota(id string, r Rule) Rule {
	r.ID, r.Class, r.Scope = id, ClassNeedsHuman, ScopeJob
	r.Why = Text{"A quota is used up: groups or rooms of the app, members of a group, or groups or contacts of a user.", "额度已用完：应用的群组或聊天室数、群成员数，或用户加入的群组数、好友数。"}
	r.Advice = Text{
		"Remove what is no longer needed, or raise the quota in the Easemob console or with Easemob's sales; then run `emq dlq resend`.",
		"请清理不再使用的群组、聊天室或好友，或在环信控制台（或联系环信商务）上调额度，然后执行 `emq dlq resend`。",
	}
	return r
}

// stateRules: the request is well formed, and the state of things, or what may be
// said, is against it.
func stateRules() []Rule {
	client := []int{family4xx}
	wrong := func(r Rule, why, advice Text) Rule {
		r.Class, r.Scope, r.Why, r.Advice = ClassPermanent, ScopeJob, why, advice
		return r
	}
	return []Rule{
		wrong(Rule{ID: "content-refused", Statuses: []int{family4xx, 500}, Contains: []string{
			"is violation", "violat", "sensitive", "illegal content", "content is illegal", "content*illegal", "forbidden word", "moderation", "antispam", "content security", "content*audit",
			"敏感", "违规", "违禁", "不合规", "审核",
		}}, contentRefused(), changeWording()),
		wrong(Rule{ID: "group-exists", Statuses: []int{family4xx, 500}, Contains: []string{"group id*already exist", "group*already exist", "room*already exist", "群组*已存在", "聊天室*已存在"}},
			Text{"The group ID is taken.", "群组 ID 已被占用。"},
			Text{
				"If an earlier attempt made the group, settle it with `emq dlq resolve ID --sent`; else choose another ID with `emq dlq edit`.",
				"若群组是之前的尝试创建的，请用 `emq dlq resolve ID --sent` 定论；否则用 `emq dlq edit` 换一个 ID。",
			}),
		wrong(Rule{ID: "blocked-member", Statuses: client, Body: BodyObject, Mend: MendLeaveOut, Contains: []string{"in blacklist", "in the blacklist", "in group blacklist", "in*blacklist", "blacklisted", "been blocked", "is blocked", "黑名单", "被拉黑"}},
			Text{"The user is on the block list of the group or room and can't join.", "该用户在群组或聊天室的黑名单中，无法加入。"},
			Text{"Unblock the user first and run `emq dlq resend`, or take the name out with `emq dlq edit`.", "请先将该用户移出黑名单再执行 `emq dlq resend`，或用 `emq dlq edit` 去掉该用户。"}),
		wrong(Rule{ID: "recall-too-late", Statuses: client, Contains: []string{"recall time limit", "recall time", "recall*expire", "recall*timeout", "recall*too late", "recall*too old", "撤回*超", "超*撤回", "超时*撤回"}},
			Text{"The message is older than the time in which it may be recalled (2 minutes, if not set otherwise).", "消息已超过可撤回时限（默认 2 分钟）。"},
			Text{
				"Set force to true with `emq dlq edit`, have the window widened in the Easemob console, or drop the call with `emq dlq discard`.",
				"请用 `emq dlq edit` 将 force 设为 true，或在环信控制台延长撤回时限，或用 `emq dlq discard` 丢弃。",
			}),
		wrong(Rule{ID: "already-there", Statuses: []int{family4xx, 500}, Body: BodyObject, Contains: []string{"already exist", "duplicate entry", "duplicate key", "已存在", "已经存在"}},
			Text{"What the call would make exists already.", "要创建的对象已存在。"}, readAndEdit()),
	}
}

// requestRules: the request is wrong in itself. Error words are asked under 5xx
// too, because Easemob reports some of a client's mistakes as 500.
func requestRules() []Rule {
	client := []int{family4xx}
	reported := []int{family4xx, family5xx}
	wrong := func(r Rule, why, advice Text) Rule {
		r.Class, r.Scope, r.Why, r.Advice = ClassPermanent, ScopeJob, why, advice
		return r
	}
	editField := Text{
		"Correct the field that the description names with `emq dlq edit`, and mend the code that enqueues it.",
		"请用 `emq dlq edit` 更正错误描述中指出的字段，并修正入队的代码。",
	}
	editCall := Text{
		"Correct method and path with `emq dlq edit`, comparing them with Easemob's REST documentation.",
		"请对照环信 REST 文档，用 `emq dlq edit` 更正方法和路径。",
	}
	return []Rule{
		wrong(Rule{ID: "unsupported-media-type", Statuses: []int{415}},
			Text{"Easemob does not take this type of body here.", "该接口不支持此类请求体。"},
			Text{"Send a JSON object as the body, with `emq dlq edit`; calls by emq carry Content-Type: application/json themselves.", "请用 `emq dlq edit` 将请求体改为 JSON；emq 发出的请求自带 Content-Type: application/json。"}),
		wrong(Rule{ID: "body-malformed", Statuses: reported, Body: BodyObject, Contains: []string{
			"^json_parse:", "^json_", "^invalid_request_body:", "^http_message_not_readable:", "^invalid_json", "request body is invalid", "unexpected character", "unexpected end", "unexpected token", "unrecognized token", "unrecognized field",
			"was expecting", "empty request body", "required request body", "request body is missing", "request body is empty", "body is missing", "json parse", "malformed", "invalid json", "not valid json", "not a valid json", "json format",
			"cannot deserialize", "cannot construct instance", "httpmessagenotreadable", "jsonparseexception", "json格式", "解析失败", "请求体格式",
		}},
			Text{"Easemob could not read the request's body as the JSON it expects.", "环信无法按预期的 JSON 解析请求体。"},
			Text{"Correct the payload (syntax and types of fields) with `emq dlq edit`.", "请用 `emq dlq edit` 更正请求内容（语法和字段类型）。"}),
		wrong(Rule{ID: "fields-unknown", Statuses: client, Mend: MendLeaveOut, Contains: []string{"not valid fields", "not a valid field", "invalid field", "unknown field", "not supported field"}},
			Text{"The call names fields that cannot be set here.", "请求中含有此接口不支持的字段。"}, editField),
		wrong(Rule{ID: "field-missing", Statuses: client, Contains: []string{
			"cannot be empty", "must be provided", "must provided", "must provide", "is required", "are required", "must not be empty", "must not be null", "must not be blank", "should not be", "cannot empty", "cannot null",
			"cannot be null", "cannot be blank", "not allow empty", "not be empty", "is null", "is empty", "is blank", "is missing", "missing", "not be null", "not present", "not provided", "not specified",
			"must contain", "null or empty", "requires a property named", "^14001:", "^14002:", "^14005:", "不能为空", "为空", "必填", "缺少", "未填写",
		}},
			Text{"A field that the call needs is missing or empty.", "缺少必填字段，或字段为空。"}, editField),
		wrong(Rule{ID: "field-invalid", Statuses: client, Contains: []string{
			": *legal", ": *invalid", "not valid", "should be", "can only", "must be", "must either", "not support", "unsupported", "type mismatch", "wrong type", "wrong format", "bad format", "format error", "incorrect", "unknown type", "cannot be",
			"^14030:", "非法", "不合法", "无效", "格式错误", "格式不正确", "参数错误", "参数有误", "不支持", "类型错误",
		}},
			Text{"A field holds a value that Easemob does not allow.", "某个字段的值不符合环信的要求。"}, editField),
		wrong(Rule{ID: "value-not-read", Statuses: []int{500}, Body: BodyObject, Contains: []string{
			"cannot be cast to", "for input string", "incorrect string value", "numberformatexception", "no enum constant", "argument type mismatch", "failed to convert value", "illegalargumentexception", "methodargumentnotvalid", "constraintviolation",
			"missing request header", "missing*parameter", "required*parameter", "must not be null", "must not be empty", "must not be blank", "cannot be empty", "cannot be null", "cannot be blank", "must be provided", "is not legal", "参数错误", "参数不合法", "不能为空",
		}},
			Text{"Easemob stumbled over a value in the request (it reports this as 500).", "请求中某个值导致环信处理出错（以 500 返回）。"}, editField),

		wrong(Rule{ID: "unsupported-call", Statuses: reported, Body: BodyObject, Contains: []string{
			"^unsupported_service_operation:", "^web_application:", "^no_full_text_index:", "^method_not_allowed:", "^http_request_method_not_supported:", "^http_media_type_not_supported:",
			"service operation not supported", "webapplicationexception", "not full text indexed", "request method*not supported", "method not allowed", "content type*not supported", "unsupported media type", "no handler found",
		}},
			Text{"Easemob has no such call: the path, the method or the query is wrong (it reports this as 500).", "环信没有此接口：路径、方法或查询条件有误（以 500 返回）。"}, editCall),
		{
			// Late, because "check it and try again" is said of mistakes, too.
			ID: "try-again", Statuses: client, Contains: []string{"try again", "is creating", "请重试", "再试"},
			Class: ClassRetryable, Scope: ScopeJob, Delay: DelayBackoff,
			Why:    Text{"The service asks to try again.", "服务端要求重试。"},
			Advice: retriedByItself(),
		},
		// Not under 5xx, where these words only say which service failed.
		wrong(Rule{ID: "message-refused", Statuses: []int{400, 401, 403, 404, 422}, Errors: []string{"message_send_error", "message_recall_error", "message_rewrite_error"}},
			Text{"The message service refuses the request as it is.", "消息服务不接受该请求。"}, readAndEdit()),
		wrong(Rule{ID: "bad-argument", Statuses: reported, Errors: []string{
			"illegal_argument", "invalid_parameter", "invalid_param", "invalid_argument", "invalid_request", "param_illegal", "param_error", "parameter_error", "bad_request", "required_property_not_found",
			"duplicate_unique_property_exists", "method_argument_not_valid", "missing_servlet_request_parameter", "constraint_violation", "validation_error", "param_invalid", "illegal_param", "illegal_parameter",
		}},
			Text{"Easemob finds fault with an argument of the request.", "请求参数有误。"}, readAndEdit()),
	}
}
