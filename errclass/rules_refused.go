package errclass

// refusedRules: targets that a success refuses, see hidden. Their error words are
// emq's own.
func refusedRules() []Rule {
	return []Rule{
		{
			// A send that names no message for one of its receivers: most likely it
			// was not sent to them, but nothing says so.
			ID: "target-unanswered", Body: BodyObject, Errors: []string{wordUnanswered},
			Class: ClassRetryable, Scope: ScopeJob, Delay: DelayBackoff, OutcomeUnknown: true,
			Why: Text{"Easemob took the call, but its answer holds no message ID for this receiver.", "环信已受理请求，但应答中没有该接收方的消息 ID。"},
			Advice: Text{
				"emq sends to this receiver alone again, or holds the task if it asks for that; settle it with `emq dlq resolve`.",
				"emq 会仅对该接收方重发，或按任务设置暂缓；可用 `emq dlq resolve` 定论。",
			},
		},
		{
			// Contact import, for what it can't explain itself.
			ID: "failed-for-unknown-cause", Body: BodyObject, Contains: []string{"^un_know_failed:", "^unknow_failed:", "^unknown_failed:"},
			Class: ClassRetryable, Scope: ScopeJob, Delay: DelayBackoff,
			Why:    Text{"Easemob failed for this target and says itself that it does not know why.", "环信对该对象处理失败，且自称原因未知。"},
			Advice: retriedByItself(),
		},
		{
			// For whom something is taken away, the commonest cause is that they don't
			// have it. Asked for alone, Easemob says so with a 403, which is a success.
			// That ends after one more call: alone, the next row decides.
			ID: "refused-among-others", Body: BodyObject, Errors: []string{wordNoReasonAmong},
			Kinds: append(both("remove_members", "unmute_members", "unblock_members", "disallow_members"), "user.unblock"),
			Class: ClassRetryable, Scope: ScopeJob, Delay: DelayBackoff,
			Why: Text{"Easemob served others of the call but not this target, and gives no reason.", "环信处理了请求中的其他对象，但未处理该对象，且未说明原因。"},
			Advice: Text{
				"emq asks for this target alone, to which Easemob answers with the reason.",
				"emq 会单独对该对象重试，届时环信会给出原因。",
			},
		},
		{
			// Adding, muting, blocking, allowing and fields of an update: the one cause
			// on record is a user who is no member, and time does not make one of him.
			// The same for what was asked for alone: no other answer is to be had.
			ID: "refused-without-reason", Body: BodyObject, Errors: []string{wordNoReasonAmong, wordNoReason},
			Class: ClassPermanent, Scope: ScopeJob,
			Why: Text{"Easemob answers with success but marks this target as not done, and gives no reason.", "环信返回成功，但标明该对象未处理，且未说明原因。"},
			Advice: Text{
				"See whether the user exists and is a member (not the owner, not blocked), correct the payload with `emq dlq edit` or run `emq dlq resend`; else `emq dlq discard`.",
				"请检查该用户是否存在、是否为成员（且不是群主、未被拉黑），用 `emq dlq edit` 更正或执行 `emq dlq resend`；否则用 `emq dlq discard` 丢弃。",
			},
		},
		{
			// A service that names a target and a reason has understood the request.
			ID: "refused-in-answer", Body: BodyObject, Errors: []string{wordRefused},
			Class: ClassPermanent, Scope: ScopeJob,
			Why:    Text{"Easemob answers with success but refuses this target, for the reason given.", "环信返回成功，但以所述原因拒绝了该对象。"},
			Advice: readAndEdit(),
		},
	}
}
