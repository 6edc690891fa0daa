package errclass

// goalRules: refusals that say how things already stand. Where that is what the
// call wanted, the goal holds and the task is done; for every other kind, an
// unknown kind and call.raw among them, the same text means that the request is
// wrong, which loses nothing: a person sees it. Only Easemob's own JSON counts:
// a stranger's 404 page must never end a task as done.
func goalRules() []Rule {
	member := []string{
		"already in group", "already in the group", "already in this group", "already in chatroom",
		"already in the chatroom", "already in this chatroom", "already a member",
	}
	notMember := []string{
		"not members of", "not a member of", "not member of", "doesn't exist in group", "does not exist in group",
		"doesn't exist in chatroom", "does not exist in chatroom",
		"not in group", "not in the group", "not in this group", "not in chatroom", "not in the chatroom", "not in this chatroom",
	}
	notAdmin := []string{"is not admin", "not an admin", "not admin of"}
	sameOwner := []string{"new owner and old owner are the same"}
	notFriends := []string{"not friends"}
	recalled := []string{"not_found msg", "not found msg"}
	taken := []string{"^duplicate_unique_property_exists:", "requires that property named username be unique"}
	noUser := append(userMissing(), "^service_resource_not_found:")
	noGroup := append(groupMissing(), "^service_resource_not_found:", "^resource_not_found:$")

	done := func(id string, contains, kinds []string, why Text) Rule {
		return Rule{
			ID: id, Statuses: []int{family4xx}, Body: BodyObject, Contains: contains, Kinds: kinds,
			Class: ClassSuccess, Scope: ScopeJob, Why: why, Advice: nothingToDo(),
		}
	}
	wrong := func(id string, contains []string, why, advice Text) Rule {
		return Rule{
			ID: id, Statuses: []int{family4xx}, Body: BodyObject, Contains: contains,
			Class: ClassPermanent, Scope: ScopeJob, Why: why, Advice: advice,
		}
	}

	return []Rule{
		done("already-member", member, both("add_members"),
			Text{"Everyone to be added is in the group or room already.", "要添加的用户都已在群组或聊天室中。"}),
		wrong("member-exists", member,
			Text{"The user is already in the group or room.", "该用户已在群组或聊天室中。"},
			Text{
				"If that is all the call was for, drop it with `emq dlq discard`; else correct it with `emq dlq edit`.",
				"若目的仅在于此，请用 `emq dlq discard` 丢弃；否则用 `emq dlq edit` 更正。",
			}),

		done("already-not-member", notMember, both("remove_members", "unmute_members", "unblock_members", "disallow_members", "remove_admin"),
			Text{"None of the users is in the group or room, so there is nothing to take away from them.", "这些用户都不在群组或聊天室中，目标状态已经成立。"}),
		wrong("not-member", notMember,
			Text{"The user is not in the group or room (a room drops members two minutes after they go offline).", "该用户不在群组或聊天室中（聊天室成员离线两分钟后会自动退出）。"},
			Text{
				"Add the user first and run `emq dlq resend`, take the name out with `emq dlq edit`, or drop the call with `emq dlq discard`.",
				"请先添加该用户再执行 `emq dlq resend`，或用 `emq dlq edit` 去掉该用户，或用 `emq dlq discard` 丢弃。",
			}),

		done("already-not-admin", notAdmin, both("remove_admin"),
			Text{"The user is no admin of the group or room.", "该用户本就不是群组或聊天室的管理员。"}),
		wrong("not-admin", notAdmin,
			Text{"The user is no admin of the group or room.", "该用户不是群组或聊天室的管理员。"},
			Text{
				"Make the user an admin first and run `emq dlq resend`, or correct the name with `emq dlq edit`.",
				"请先将该用户设为管理员再执行 `emq dlq resend`，或用 `emq dlq edit` 更正用户 ID。",
			}),

		done("already-owner", sameOwner, both("transfer_owner"),
			Text{"The user owns the group or room already.", "该用户已是群主或聊天室所有者。"}),
		wrong("same-owner", sameOwner,
			Text{"The new owner and the old one are the same user.", "新旧所有者是同一用户。"},
			Text{"Correct the new owner with `emq dlq edit`, or drop the call with `emq dlq discard`.", "请用 `emq dlq edit` 更正新的所有者，或用 `emq dlq discard` 丢弃。"}),

		done("already-not-contact", notFriends, []string{"user.remove_contact"},
			Text{"The two users are no contacts.", "两个用户本就不是好友。"}),
		wrong("not-contact", notFriends,
			Text{"The two users are no contacts.", "两个用户不是好友。"},
			Text{"Make them contacts first and run `emq dlq resend`, or drop the call with `emq dlq discard`.", "请先添加好友再执行 `emq dlq resend`，或用 `emq dlq discard` 丢弃。"}),

		done("already-recalled", recalled, []string{"message.recall"},
			Text{"The message is gone from the server: recalled before, or expired.", "消息已不在服务器上：此前已撤回或已过期。"}),

		{
			ID: "password-conflict", Contains: []string{"has a different password"},
			Class: ClassPermanent, Scope: ScopeJob,
			Why: Text{"The call names one user twice, with different passwords.", "同一请求中有同名用户但密码不同。"},
			Advice: Text{
				"Leave each user in once with `emq dlq edit`, then run `emq dlq resend`.",
				"请用 `emq dlq edit` 使每个用户只出现一次，然后执行 `emq dlq resend`。",
			},
		},
		{
			ID: "already-registered", Statuses: []int{family4xx}, Body: BodyObject, Contains: taken, Kinds: []string{"user.register"},
			Class: ClassSuccess, Scope: ScopeJob,
			Why: Text{"The user exists already.", "该用户已存在。"},
			Advice: Text{
				"Nothing to do, unless the password must be the one in this call: then enqueue user.reset_password.",
				"通常无需处理；若密码必须与本次请求一致，请再入队一个 user.reset_password。",
			},
		},
		wrong("user-exists", taken,
			Text{"The user ID is taken.", "用户 ID 已被占用。"},
			Text{"Choose another user ID with `emq dlq edit`, or drop the call with `emq dlq discard`.", "请用 `emq dlq edit` 换一个用户 ID，或用 `emq dlq discard` 丢弃。"}),

		done("user-already-gone", noUser, []string{"user.delete"},
			Text{"There is no such user (any more).", "该用户不存在（或已被删除）。"}),
		done("group-already-gone", noGroup, both("delete"),
			Text{"There is no such group or room (any more).", "该群组或聊天室不存在（或已被解散）。"}),
	}
}

// userMissing are the texts for a user that does not exist. One that merely is
// not in a group has other texts, which are asked before.
func userMissing() []string {
	return []string{
		"username*doesn't exist", "username*does not exist", "username*not exist",
		"group member*doesn't exist", "group member*does not exist",
		"user with id*not exist", "user*not found", "user not exist", "user doesn't exist", "user does not exist",
		"does not exist in app", "^required_property_not_found:",
	}
}

// groupMissing are the texts for a group that does not exist; rooms use the same.
func groupMissing() []string {
	return []string{
		"grpid*not exist", "grpid*doesn't exist", "not find this group", "not find this chatroom",
		"group not exist", "group not found", "group id doesn't exist", "group id does not exist",
		"group doesn't exist", "group does not exist",
		"chatroom not exist", "chatroom not found", "chatroom doesn't exist", "chatroom does not exist",
		"^rest_group_feign:",
	}
}

// missingRules: what the call is about does not exist.
func missingRules() []Rule {
	gone := func(id string, r Rule, why, advice Text) Rule {
		r.ID, r.Statuses, r.Body = id, []int{family4xx}, BodyObject
		r.Class, r.Scope, r.Why, r.Advice = ClassPermanent, ScopeJob, why, advice
		return r
	}
	return []Rule{
		gone("history-missing", Rule{Contains: []string{"^storage_object_not_found:", "chat message history"}},
			Text{"There is no message history for that hour: not written yet, expired, or nothing was sent.", "该时段没有历史消息：尚未生成、已过期，或没有消息。"},
			Text{"Check the hour (YYYYMMDDHH) with `emq dlq edit`, or drop the call with `emq dlq discard`.", "请用 `emq dlq edit` 检查时间（格式 YYYYMMDDHH），或用 `emq dlq discard` 丢弃。"}),
		gone("user-missing", Rule{Contains: userMissing()},
			Text{"A user named in the call does not exist.", "请求中的某个用户不存在。"},
			Text{
				"Register the user and run `emq dlq resend`, or correct or remove the name with `emq dlq edit`. With several names, one unknown user refuses the whole call.",
				"请先注册该用户再执行 `emq dlq resend`，或用 `emq dlq edit` 更正或去掉该用户。批量请求中有一个用户不存在，整个请求都会失败。",
			}),
		gone("group-missing", Rule{Contains: groupMissing()},
			Text{"The group or room does not exist (Easemob says group for rooms as well).", "群组或聊天室不存在（聊天室的错误信息同样写作 group）。"},
			Text{"Correct the ID with `emq dlq edit`, or drop the call with `emq dlq discard`.", "请用 `emq dlq edit` 更正群组或聊天室 ID，或用 `emq dlq discard` 丢弃。"}),
		gone("message-missing", Rule{Contains: []string{
			"not_found msg", "not found msg", "message is unavailable or has expired", "find msg to", "find stream message",
		}},
			Text{"The message is unknown to the server: recalled, expired, or sent to someone else.", "服务器上没有这条消息：已撤回、已过期，或接收方不符。"},
			Text{"Correct message ID and receiver with `emq dlq edit`, or drop the call with `emq dlq discard`.", "请用 `emq dlq edit` 更正消息 ID 和接收方，或用 `emq dlq discard` 丢弃。"}),
		gone("resource-missing", Rule{Errors: []string{"service_resource_not_found", "resource_not_found", "entity_not_found"}},
			Text{"The user, group, room or other thing in the path does not exist.", "请求路径中的用户、群组、聊天室或其他资源不存在。"},
			Text{"Create it and run `emq dlq resend`, correct the ID with `emq dlq edit`, or drop the call with `emq dlq discard`.", "请先创建再执行 `emq dlq resend`，或用 `emq dlq edit` 更正 ID，或用 `emq dlq discard` 丢弃。"}),
	}
}
