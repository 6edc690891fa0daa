package errclass

import "slices"

// goalRules: refusals that say how things already stand. Where that is what the
// call wanted, the goal holds and the task is done; for every other kind, an
// unknown kind and call.raw among them, the same text means that the request is
// wrong, which loses nothing: a person sees it. Only Easemob's own JSON counts:
// a stranger's 404 page must never end a task as done.
func goalRules() []Rule {
	var (
		member = []string{
			"already in group", "already in the group", "already in this group", "already in chatroom", "already in the chatroom",
			"already in this chatroom", "already in room", "already in the room", "already a member", "already member", "already the member", "already been a member",
			"already group member", "already joined", "already join", "already exist in group", "already exists in group", "already exist in chatroom", "already exists in chatroom",
			"in the group already", "in group already", "in this group already", "in the chatroom already", "in chatroom already", "in this chatroom already", "in the room already",
			"members already", "member already", "already part of", "already belong", "already been added",
			"has joined the group", "has joined this group", "has joined the chatroom", "has joined this chatroom", "are already in", "is already in group", "is member of group already",
			"已在群", "已经在群", "已是群成员", "已经是群成员", "已是聊天室成员", "已经是聊天室成员", "已是成员", "已经是成员", "已加入", "已经加入", "已在聊天室", "已经在聊天室",
		}
		notMember = []string{
			"not members of", "not member of", "not a member", "not the member", "not group member", "not a group member", "not chatroom member", "not members",
			"not exist in group", "not exist in the group", "not exist in this group", "not exist in chatroom", "not exist in the chatroom", "not exist in this chatroom",
			"not in group", "not in the group", "not in this group", "not in chatroom", "not in the chatroom", "not in this chatroom", "not in room", "not in the room",
			"not found in group", "not found in the group", "not found in chatroom", "not belong to group", "not belong to this group", "not belong to the group", "not belong to the chatroom", "not belong to this chatroom",
			"not joined", "no longer in", "no longer member", "no longer a member", "no longer belong", "not part of group", "not part of the group", "not part of this group", "not part of the chatroom", "not part of this chatroom", "not a part of", "not participant", "not a participant", "not the participant", "not participating", "没有在*群", "没在*群", "没有在*聊天室", "left the", "left this", "^not_in_group:", "^not_in_room:", "^not_in_chatroom:", "^not_member:", "has left", "have left", "already left", "has quit", "already quit", "already been removed from", "already removed from",
			"不在群", "不在该群", "不是群成员", "不是该群", "不在聊天室", "不在该聊天室", "不是聊天室成员", "非群成员", "未加入",
		}
		admin     = []string{"already admin", "already an admin", "already a admin", "already the admin", "already is admin", "admin already", "already in admin", "had been admin", "has been admin", "been administrator", "been an admin", "already administrator", "already an administrator", "already in *admin list", "已是*管理员", "已经是*管理员", "已经是管理员"}
		notAdmin  = []string{"is not admin", "not an admin", "not admin of", "not the admin", "not a admin", "not administrator", "not an administrator", "are not admin", "not in *admin list", "no admin named", "no administrator named", "no such admin", "never promoted", "never been admin", "never an admin", "^admin_not_found", "^admin_not_exist", "^no_such_admin", "不是*管理员", "管理员*中无", "管理员*中没有", "管理员*不存在", "非管理员"}
		sameOwner = []string{
			"new owner and old owner", "old owner and new owner", "already owner", "already the owner", "already is owner", "is owner already", "same owner", "owner is the same",
			"已是群主", "已经是群主", "新旧群主", "所有者已经是", "所有者已是",
		}
		friends    = []string{"already friend", "already a friend", "already contact", "already a contact", "already in contact", "already in roster", "already your friend", "already your contact", "friends already", "contacts already", "already in *friend list", "already in *contact list", "already in *roster", "已在*好友", "已经在*好友", "已为*好友", "已是*好友", "已经是*好友"}
		notFriends = []string{"not friend", "not a friend", "not contact", "not a contact", "not in contact", "not in roster", "not in *contact list", "not in *friend list", "not friends", "not contacts", "no roster item", "no contact between", "no contact relation", "no friend relation", "friendship*not exist", "contact*not exist", "不在*好友", "不是好友", "非好友"}
		recalled   = []string{
			"not_found msg", "not found msg", "already recalled", "already been recalled", "has been recalled", "msg not found", "message not found",
			"msg not exist", "msg does not exist", "message not exist", "message does not exist", "^message_recall_error:*not_found", "已撤回", "已经撤回", "已被撤回", "消息不存在",
		}
		taken = []string{
			"^duplicate_unique_property_exists:", "property named username be unique", ": *username*already exist", ": *user*already exist", "already registered", "been registered",
			"already been taken", "already taken", "is taken", "already in use", "^user_already_exist", "^username_already_exist", "^username_exist", "^user_exist", "用户已存在", "用户名已存在", "用户已经存在", "已被注册", "已注册", "已经注册",
		}
		noUser = append(userMissing(), "^service_resource_not_found:", "service resource not found")
		// The page lists the deletion of an unknown user as a 404 without a word.
		noUserWordless = []string{"^:$"}
		noGroup        = append(groupMissing(), "^rest_group_feign:", "^service_resource_not_found:", "service resource not found", "^resource_not_found:$", "^resource_not_found: resource not found$")
	)

	// Not 401: whoever is not let in learns nothing of how things stand.
	done := func(id string, contains, kinds []string, why Text) Rule {
		return Rule{
			ID: id, Statuses: []int{400, 403, 404, 409, 410}, Body: BodyObject, Contains: contains, Unless: notSo(), Kinds: kinds,
			Class: ClassSuccess, Scope: ScopeJob, Why: why, Advice: nothingToDo(),
		}
	}
	// The same of one among several, who alone is done.
	doneForNamed := func(id string, contains, kinds []string, why Text) Rule {
		r := done(id, contains, kinds, why)
		r.Mend = MendLeaveOut
		return r
	}
	wrong := func(id string, contains []string, why, advice Text) Rule {
		return Rule{
			ID: id, Statuses: []int{family4xx, 500}, Body: BodyObject, Contains: contains,
			Class: ClassPermanent, Scope: ScopeJob, Mend: MendLeaveOut, Why: why, Advice: advice,
		}
	}

	return []Rule{
		// Before the members, whose "are already in" is said of lists, too.
		doneForNamed("already-blocked", []string{
			"already in *blacklist", "already on *blacklist", "exists in *blacklist", "in *blacklist already", "in the blacklist already", "on the blacklist already", "was put on*blacklist", "been put on*blacklist", "been in *blacklist",
			"already blocked", "blocked already", "already been blocked", "already blacklisted", "已在*黑名单", "已经在*黑名单", "黑名单*已存在", "拉黑*已存在", "已被拉黑", "已拉黑",
		},
			append(both("block_members"), "user.block"),
			Text{"The user is on the block list already.", "该用户已在黑名单中。"}),
		doneForNamed("already-not-blocked", []string{
			"not in *blacklist", "not on *blacklist", "not exist in *blacklist", "not found in *blacklist", "blacklist*not contain", "no block record", "no blacklist record", "no blacklist entry", "has no item", "no such item",
			"not blocked", "not been blocked", "not blacklisted", "黑名单里没有", "黑名单中没有", "黑名单*无该", "黑名单*无此", "不在*黑名单", "未被拉黑", "未拉黑",
		},
			append(both("unblock_members"), "user.unblock"),
			Text{"The user is not on the block list.", "该用户本就不在黑名单中。"}),
		doneForNamed("already-allowed", []string{
			"already in *whitelist", "already on *whitelist", "exists in *whitelist", "in *whitelist already", "in the whitelist already", "on the whitelist already", "was put on*whitelist", "been put on*whitelist", "been in *whitelist",
			"already whitelisted", "whitelisted already", "已在*白名单", "已经在*白名单", "白名单*已存在",
		}, both("allow_members"),
			Text{"The user is on the allow list already.", "该用户已在白名单中。"}),
		doneForNamed("already-not-allowed", []string{
			"not in *whitelist", "not on *whitelist", "not exist in *whitelist", "not found in *whitelist", "whitelist*not contain", "whitelist member not found", "whitelist user not found", "whitelist has no such", "not whitelisted",
			"白名单里没有", "白名单中没有", "不在*白名单",
		}, both("disallow_members"),
			Text{"The user is not on the allow list.", "该用户本就不在白名单中。"}),
		doneForNamed("already-muted", append(said([]string{"user", "users", "member", "members", "group", "chatroom", "room"}, []string{"is", "are", "was", "has been", "have been"}, []string{"muted"}),
			"already muted", "already been muted", "already mute", "muted already", "already in mute", "already in the mute", "already in *muted", "muted as a whole",
			"已被禁言", "已禁言", "已经被禁言", "已处于*禁言", "已全员禁言", "全员禁言已开启", "已开启全员禁言", "已经开启全员禁言", "禁言已生效"),
			append(both("mute_members", "mute_all"), "user.mute"),
			Text{"Whom the call is to mute is muted already.", "禁言已经生效。"}),
		doneForNamed("already-not-muted", []string{
			"not muted", "not been muted", "not mute", "not in mute", "not in the mute", "not in *mute", "already unmuted", "already been unmuted", "unmuted already", "no active mute",
			"mute is not in effect", "mute was not turned on", "mute is not turned on", "mute is not on", "全员禁言未开启", "not on *mute", "^not_muted:", "未被禁言", "未禁言", "没有被禁言", "不在*禁言", "未开启全员禁言", "未处于*禁言",
		},
			both("unmute_members", "unmute_all"),
			Text{"Whom the call is to unmute is not muted.", "该用户或群组本就未被禁言。"}),

		doneForNamed("already-member", member, both("add_members"),
			Text{"Everyone to be added is in the group or room already.", "要添加的用户都已在群组或聊天室中。"}),
		wrong("member-exists", member,
			Text{"The user is already in the group or room.", "该用户已在群组或聊天室中。"},
			Text{
				"If that is all the call was for, drop it with `emq dlq discard`; else correct it with `emq dlq edit`.",
				"若目的仅在于此，请用 `emq dlq discard` 丢弃；否则用 `emq dlq edit` 更正。",
			}),

		doneForNamed("already-not-member", notMember, both("remove_members", "unmute_members", "unblock_members", "disallow_members", "remove_admin"),
			Text{"None of the users is in the group or room, so there is nothing to take away from them.", "这些用户都不在群组或聊天室中，目标状态已经成立。"}),
		wrong("not-member", notMember,
			Text{"The user is not in the group or room (a room drops members two minutes after they go offline).", "该用户不在群组或聊天室中（聊天室成员离线两分钟后会自动退出）。"},
			Text{
				"Add the user first and run `emq dlq resend`, take the name out with `emq dlq edit`, or drop the call with `emq dlq discard`.",
				"请先添加该用户再执行 `emq dlq resend`，或用 `emq dlq edit` 去掉该用户，或用 `emq dlq discard` 丢弃。",
			}),

		done("already-admin", admin, both("add_admin"),
			Text{"The user is an admin of the group or room already.", "该用户已是群组或聊天室的管理员。"}),
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

		// The API calls the muting of a whole group a ban.
		done("already-banned", []string{"already in*ban", "already banned", "ban is already on"}, both("mute_all"),
			Text{"The group or room is muted already.", "该群组或聊天室已全员禁言。"}),
		done("already-not-banned", []string{"not in ban", "not in*ban status", "not banned", "already off"}, both("unmute_all"),
			Text{"The group or room is not muted.", "该群组或聊天室未开启全员禁言。"}),
		doneForNamed("no-need", []string{
			"no need to add", "no need to remove", "no need to set", "no need to mute", "no need to unmute", "no need to block", "no need to unblock", "no need to activate", "no need to deactivate",
			"no need to do it", "not need add", "not need to add", "not need to remove", "不用移除", "不用添加", "无需移除", "无需添加", "无需重复", "不需要重复",
		}, append(both("add_members", "remove_members", "add_admin", "remove_admin", "mute_members", "unmute_members", "mute_all", "unmute_all",
			"block_members", "unblock_members", "allow_members", "disallow_members", "transfer_owner"),
			"user.deactivate", "user.activate", "user.add_contact", "user.remove_contact", "user.block", "user.unblock", "user.mute"),
			Text{"The service says that there is nothing to do.", "服务端称无需执行此操作。"}),

		done("already-contact", friends, []string{"user.add_contact"},
			Text{"The two users are contacts already.", "两个用户已是好友。"}),
		done("already-not-contact", notFriends, []string{"user.remove_contact"},
			Text{"The two users are no contacts.", "两个用户本就不是好友。"}),
		wrong("not-contact", notFriends,
			Text{"The two users are no contacts.", "两个用户不是好友。"},
			Text{"Make them contacts first and run `emq dlq resend`, or drop the call with `emq dlq discard`.", "请先添加好友再执行 `emq dlq resend`，或用 `emq dlq discard` 丢弃。"}),

		done("already-deactivated", []string{"already deactivated", "already been deactivated", "has been deactivated", "is deactivated", "already disabled", "already banned", "already inactive", "already in *deactivated", "用户已*封禁", "账号已*封禁", "用户已*禁用", "账号已*禁用", "已处于*封禁", "in deactivated state", "not activated", "已被封禁", "已封禁", "已经被封禁", "已被禁用"},
			[]string{"user.deactivate"},
			Text{"The user is deactivated already.", "该用户已被封禁。"}),
		done("already-activated", []string{"already activated", "already active", "already been activated", "already enabled", "already in*active", "activated already", "in activated state", "in active state", "is activated", "is active now", "not deactivated", "not banned", "not disabled", "未被封禁", "未封禁"},
			[]string{"user.activate"},
			Text{"The user is active already.", "该用户本就未被封禁。"}),
		done("already-offline", []string{"not online", "user is offline", "offline already", "users are offline", "device is offline", "user offline", "already offline", "no active session", "^user_not_online", "已下线", "not login", "not logged in", "no online", "不在线", "未登录", "已离线"}, []string{"user.force_offline"},
			Text{"The user is not online.", "该用户不在线。"}),

		done("already-recalled", recalled, []string{"message.recall"},
			Text{"The message is gone from the server: recalled before, or expired.", "消息已不在服务器上：此前已撤回或已过期。"}),
		// Only the addition of a reaction gives this text, so that it proves what the call was.
		done("already-reacted", []string{"already operat*this message"}, []string{"call.raw"},
			Text{"The user has added this reaction already.", "该用户已添加过此表情回复。"}),

		{
			ID: "password-conflict", Contains: []string{"has a different password"},
			Class: ClassPermanent, Scope: ScopeJob, Mend: MendLeaveOut,
			Why: Text{"The call names one user twice, with different passwords.", "同一请求中有同名用户但密码不同。"},
			Advice: Text{
				"Leave each user in once with `emq dlq edit`, then run `emq dlq resend`.",
				"请用 `emq dlq edit` 使每个用户只出现一次，然后执行 `emq dlq resend`。",
			},
		},
		{
			ID: "already-registered", Statuses: []int{400, 403, 409}, Body: BodyObject, Contains: append(slices.Clone(taken), "already exist", "已存在", "已经存在"), Kinds: []string{"user.register"},
			Unless: notSo(),
			Class:  ClassSuccess, Scope: ScopeJob, Mend: MendLeaveOut,
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
		{
			ID: "user-already-gone-wordless", Statuses: []int{404}, Body: BodyObject, Contains: noUserWordless, Kinds: []string{"user.delete"},
			Class: ClassSuccess, Scope: ScopeJob,
			Why:    Text{"There is no such user (any more): Easemob answers so without a word.", "该用户不存在（或已被删除）：环信以无描述的 404 应答。"},
			Advice: nothingToDo(),
		},
		{
			ID: "unchanged", Statuses: []int{400, 403, 409}, Body: BodyObject, Contains: []string{
				"is unchanged", "are unchanged", "state unchanged", "unchanged:", "same as before", "same as the old", "same as the current", "same as the previous", "same as the existing", "identical to the old", "identical to the current",
				"nothing to modify", "nothing to change", "nothing changed", "no changes made", "no change made", "nickname is already", "equal the stored", "没有变化", "未变化", "与原*相同", "与当前*相同", "与旧*相同",
			},
			Kinds:  append(both("update", "set_announcement"), "user.reset_password", "user.set_nickname", "user.set_attributes"),
			Unless: notSo(),
			Class:  ClassSuccess, Scope: ScopeJob,
			Why:    Text{"What the call would change is so already.", "要修改的内容与现状相同。"},
			Advice: nothingToDo(),
		},
		done("group-already-gone", noGroup, both("delete"),
			Text{"There is no such group or room (any more).", "该群组或聊天室不存在（或已被解散）。"}),
	}
}

// notSo are words of refusals that speak of a goal all the same: a list that is
// full already, a request that is pending, an operator who is no member.
func notSo() []string {
	return []string{
		"exceeds", "exceeded", "exceed the", "exceed limit", "exceed max", "reach*limit", "reach*maximum", "the limit", "its limit", "limit reached", "over limit", "^exceed", "^limit", "is full", "already full", "maximum", "too many", "quota used", "license", "上限", "已满", "超过", "超出",
		"been refused", "has refused", "is refused", "been rejected", "been declined", "pending", "running", "being handled", "being processed", "submitted", "waiting", "invitation", "confirm", "approval", "等待", "审核", "邀请", "申请",
		"not allowed", "operator", "no permission", "permission for", "permission to", "admin permission", "contact permission", "admin token", "feature", "not supported", "for this app", "权限", "功能", "不支持", "应用",
		"another account", "another user", "phone", "email", "server is", "api version",
	}
}

// userMissing are the texts for a user that does not exist. One that merely is
// not in a group has other texts, which are asked before.
func userMissing() []string {
	return []string{
		": *user*not exist", ": *user*not found", ": *user*unexist", ": *user*inexist", "no such user", "unknown user", "not exist in app", "not find user", "not find the user",
		": *user*been deleted", ": *account*not exist", "adding new block", "^required_property_not_found:", "^user_not_found", "^user_not_exist", "^no_such_user",
		"user id*invalid", "用户不存在", "用户*不存在", "账号不存在", "帐号不存在", "用户未找到", "找不到用户",
	}
}

// groupMissing are the texts for a group that does not exist; rooms use the same.
func groupMissing() []string {
	return []string{
		"grpid*not exist", "grpid*not found", "grpid*been d", "grpid*is d", "not find this group", "not find this chatroom", "not find group", "not find the group", "not find chatroom", "not find the chatroom",
		": *group*not exist", ": *group*not found", ": *room*not exist", ": *room*not found", "no such group", "no such chatroom", "unknown group",
		": *group*been deleted", ": *group*been destroyed", ": *group*been dismissed", ": *group*been disbanded", ": *room*been deleted", ": *room*been destroyed", ": *room*been dismissed",
		"was dismissed", "was destroyed", "was disbanded", "already dismissed", "already destroyed", "already disbanded", "已被销毁", "已销毁", "已被解散", "已解散", ": *group*is deleted", ": *group*is destroyed", ": *room*is destroyed",
		"^group_not_found", "^group_not_exist", "^chatroom_not_found", "^chatroom_not_exist",
		"群组不存在", "群组*不存在", "群不存在", "聊天室不存在", "聊天室*不存在", "群组已解散", "群已解散", "聊天室已解散", "群组已被解散",
	}
}

// bannedRules: what the call is about is there, but barred from use, or from this.
func bannedRules() []Rule {
	return []Rule{
		{
			ID: "target-banned", Statuses: []int{family4xx}, Body: BodyObject, Contains: slices.Concat(
				said([]string{"user", "sender", "account", "member", "receiver", "recipient", "group", "chatroom", "room"}, []string{"", "is", "was", "has been", "have been"},
					[]string{"banned", "deactivated", "disabled", "forbidden", "frozen", "globally muted", "inactive", "locked", "muted", "not activated", "not active", "suspended"}),
				[]string{
					": *user*banned", ": *account*banned", ": *user*deactivated", "in the mute list", "in mute list", "in muted list", "globally muted", "global mute", "you are muted", "you have been muted",
					"^user_banned", "^user_disabled", "^group_disabled", "^group_banned", "用户*封禁", "用户*禁用", "账号*封禁", "账号*禁用", "群*封禁", "封停", "群*禁用", "聊天室*封禁", "被禁言", "已禁言", "禁言中", "处于禁言", "处于*禁言", "全员禁言",
				},
			),
			Class: ClassNeedsHuman, Scope: ScopeJob,
			Why: Text{"The user, group or room that the call is about is banned, disabled or muted.", "调用所涉及的用户、群组或聊天室已被封禁、停用或禁言。"},
			Advice: Text{
				"Lift the ban (user.activate, unmute, or in the Easemob console), then run `emq dlq resend`; else drop the call with `emq dlq discard`.",
				"请先解除限制（user.activate、解除禁言，或在环信控制台操作），再执行 `emq dlq resend`；否则用 `emq dlq discard` 丢弃。",
			},
		},
	}
}

// missingRules: what the call is about does not exist.
func missingRules() []Rule {
	gone := func(id string, r Rule, why, advice Text) Rule {
		r.ID, r.Statuses, r.Body = id, []int{family4xx, 500}, BodyObject
		r.Class, r.Scope, r.Why, r.Advice = ClassPermanent, ScopeJob, why, advice
		return r
	}
	return []Rule{
		gone("history-missing", Rule{Contains: []string{"^storage_object_not_found:", "chat message history"}},
			Text{"There is no message history for that hour: not written yet, expired, or nothing was sent.", "该时段没有历史消息：尚未生成、已过期，或没有消息。"},
			Text{"Check the hour (YYYYMMDDHH) with `emq dlq edit`, or drop the call with `emq dlq discard`.", "请用 `emq dlq edit` 检查时间（格式 YYYYMMDDHH），或用 `emq dlq discard` 丢弃。"}),
		gone("user-missing", Rule{Contains: append(userMissing(), ": *member*not exist", ": *owner*not exist", ": *owner*not found", ": *member*not found", "^not_exist_failed:"), Mend: MendLeaveOut},
			Text{"A user named in the call does not exist.", "请求中的某个用户不存在。"},
			Text{
				"Register the user and run `emq dlq resend`, or correct or remove the name with `emq dlq edit`. With several names, one unknown user refuses the whole call.",
				"请先注册该用户再执行 `emq dlq resend`，或用 `emq dlq edit` 更正或去掉该用户。批量请求中有一个用户不存在，整个请求都会失败。",
			}),
		gone("group-missing", Rule{Contains: groupMissing()},
			Text{"The group or room does not exist (Easemob says group for rooms as well).", "群组或聊天室不存在（聊天室的错误信息同样写作 group）。"},
			Text{"Correct the ID with `emq dlq edit`, or drop the call with `emq dlq discard`.", "请用 `emq dlq edit` 更正群组或聊天室 ID，或用 `emq dlq discard` 丢弃。"}),
		{
			// Only the answer of a group that is not there is passed on under this word with 404.
			ID: "group-missing-behind", Statuses: []int{404}, Body: BodyObject, Errors: []string{"rest_group_feign"},
			Class: ClassPermanent, Scope: ScopeJob,
			Why:    Text{"The group or room does not exist, says the service behind the one that was called.", "后端服务返回：群组或聊天室不存在。"},
			Advice: Text{"Correct the ID with `emq dlq edit`, or drop the call with `emq dlq discard`.", "请用 `emq dlq edit` 更正群组或聊天室 ID，或用 `emq dlq discard` 丢弃。"},
		},
		gone("message-missing", Rule{Contains: append([]string{
			"message is unavailable or has expired", "find msg", "find message", "find stream message", "message*expired",
		}, "not_found msg", "not found msg", "msg not found", "message not found", "msg not exist", "message not exist", "message does not exist", "消息不存在", "消息已过期", "消息已撤回")},
			Text{"The message is unknown to the server: recalled, expired, or sent to someone else.", "服务器上没有这条消息：已撤回、已过期，或接收方不符。"},
			Text{"Correct message ID and receiver with `emq dlq edit`, or drop the call with `emq dlq discard`.", "请用 `emq dlq edit` 更正消息 ID 和接收方，或用 `emq dlq discard` 丢弃。"}),
		gone("resource-missing-among", Rule{Errors: []string{"service_resource_not_found", "resource_not_found", "entity_not_found"}, Kinds: []string{"user.block"}, Mend: MendLeaveOut},
			Text{"The user, or one of those to be blocked, does not exist.", "该用户或要拉黑的某个用户不存在。"},
			Text{"Correct the names with `emq dlq edit`, or drop the call with `emq dlq discard`.", "请用 `emq dlq edit` 更正用户 ID，或用 `emq dlq discard` 丢弃。"}),
		gone("resource-missing", Rule{Errors: []string{"service_resource_not_found", "resource_not_found", "entity_not_found"}},
			Text{"The user, group, room or other thing in the path does not exist.", "请求路径中的用户、群组、聊天室或其他资源不存在。"},
			Text{"Create it and run `emq dlq resend`, correct the ID with `emq dlq edit`, or drop the call with `emq dlq discard`.", "请先创建再执行 `emq dlq resend`，或用 `emq dlq edit` 更正 ID，或用 `emq dlq discard` 丢弃。"}),
	}
}
