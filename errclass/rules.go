package errclass

import "slices"

// builtinRules assembles the table. The order is part of the meaning: faults of
// the whole app before those of a call, texts before error words, error words
// before bare statuses.
func builtinRules() []Rule {
	return slices.Concat(
		transportRules(),
		answeredRules(),
		credentialRules(),
		tokenRules(),
		limitRules(),
		permissionRules(),
		goalRules(),
		bannedRules(),
		featureRules(),
		missingRules(),
		unauthorizedRules(),
		boundRules(),
		stateRules(),
		countRules(),
		requestRules(),
		refusedRules(),
		statusRules(),
	)
}

// A status family, see Rule.Statuses.
const (
	family2xx = 2
	family3xx = 3
	family4xx = 4
	family5xx = 5
)

// both names a call on groups and its twin on rooms.
func both(verbs ...string) []string {
	var kinds []string
	for _, verb := range verbs {
		kinds = append(kinds, "group."+verb, "chatroom."+verb)
	}
	return kinds
}

func nothingToDo() Text {
	return Text{"Nothing to do.", "无需处理。"}
}

func retriedByItself() Text {
	return Text{
		"emq retries with backoff; if it ends as a dead letter all the same, run `emq dlq resend` once the cause has passed.",
		"emq 会按退避间隔自动重试；若最终仍进入死信，待故障消除后执行 `emq dlq resend` 重发。",
	}
}

func readAndEdit() Text {
	return Text{
		"Read the description with `emq dlq show`, correct the payload with `emq dlq edit`, or drop the call with `emq dlq discard`.",
		"请用 `emq dlq show` 查看错误描述，用 `emq dlq edit` 更正内容，或用 `emq dlq discard` 丢弃。",
	}
}
