package worker

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/imqueue/emq/errclass"
	"github.com/imqueue/emq/tasks"
)

// The verdicts of this file are emq's own: no answer of Easemob's led to them.

func verdictExpired(at time.Time) errclass.Verdict {
	return errclass.Verdict{
		Class: errclass.ClassPermanent, Scope: errclass.ScopeJob, Rule: "expired",
		Description: "expired at " + at.UTC().Format(time.RFC3339),
		Why: errclass.Text{
			En: "The task's expires_at had passed before the call could be made.",
			Zh: "在发起调用之前，任务的 expires_at 已过期。",
		},
		Advice: errclass.Text{
			En: "Discard it; or resend it if the call still has a point, which then ignores the expiry. If this happens often, look at `emq queue list` and `emq hold list` for what keeps tasks waiting.",
			Zh: "丢弃即可；如果该调用仍有意义，可重发（重发时不再受过期时间限制）。若频繁出现，请用 `emq queue list` 和 `emq hold list` 查看任务为何长时间等待。",
		},
	}
}

func verdictTooOld(t tasks.Task) errclass.Verdict {
	return errclass.Verdict{
		Class: errclass.ClassRetryable, Scope: errclass.ScopeJob, Rule: "age-limit",
		Description: fmt.Sprintf("older than its age limit of %v", t.MaxAge),
		Why: errclass.Text{
			En: "The task's age limit ran out while it waited: for a retry, a limit or a hold.",
			Zh: "任务在等待重试、限流或暂停解除期间超过了最长存活时间。",
		},
		Advice: errclass.Text{
			En: "Find out what kept it waiting (`emq hold list`, `emq queue list`), then resend it with `emq dlq resend`.",
			Zh: "先用 `emq hold list`、`emq queue list` 查明等待原因，再用 `emq dlq resend` 重发。",
		},
	}
}

// verdictExhausted is what remains of v, the verdict of the last attempt, when
// there is to be no further one.
func verdictExhausted(v errclass.Verdict) errclass.Verdict {
	v.Why = errclass.Text{
		En: "It was tried until its attempts or its time were spent. The last time: " + v.Why.En,
		Zh: "已重试至次数或时限用尽。最后一次：" + v.Why.Zh,
	}
	if v.Rule == rulePanic {
		return v // resending won't help
	}
	v.Advice = errclass.Text{
		En: "Run `emq dlq resend` once the cause has passed; a call that may have been carried out can be settled with `emq dlq resolve`.",
		Zh: "待故障消除后执行 `emq dlq resend` 重发；可能已执行的调用可用 `emq dlq resolve` 定论。",
	}
	return v
}

// forApp names the app in an advice about clearing its hold.
func forApp(advice errclass.Text, app string) errclass.Text {
	const verb = "`emq hold clear"
	named := func(text string) string { return strings.ReplaceAll(text, verb+"`", verb+" "+app+"`") }
	return errclass.Text{En: named(advice.En), Zh: named(advice.Zh)}
}

func verdictCrashLoop(crashes int) errclass.Verdict {
	return errclass.Verdict{
		Class: errclass.ClassNeedsHuman, Scope: errclass.ScopeJob, Rule: "crash-loop",
		Description: fmt.Sprintf("%d workers died while they worked on this task", crashes),
		Why: errclass.Text{
			En: "Several workers died while they worked on this task, so it was not called again.",
			Zh: "多个 worker 在处理该任务时异常退出，因此不再继续调用。",
		},
		Advice: errclass.Text{
			En: "Look in the workers' logs and the host's (out of memory, killed) at the times of its attempts. If other tasks died at the same time, the workers were at fault: resend it. Otherwise report it with the payload.",
			Zh: "请查看各次尝试时间点的 worker 日志与主机日志（内存不足、被杀等）。若同一时间还有其他任务受影响，说明是 worker 的问题，可重发；否则请附上 payload 反馈该问题。",
		},
	}
}

func verdictUndecodable(cause error) errclass.Verdict {
	return errclass.Verdict{
		Class: errclass.ClassNeedsHuman, Scope: errclass.ScopeJob, Rule: "undecodable",
		Description: tasks.Printable(cause.Error(), 512),
		Why: errclass.Text{
			En: "This worker can't read the task: a newer emq wrote it, or something else did.",
			Zh: "当前 worker 无法解析该任务：可能由更新版本的 emq 写入，或由其他程序写入。",
		},
		Advice: errclass.Text{
			En: "If producers run a newer emq, upgrade the workers and then resend it. Otherwise find out what writes into emq's queues, and discard it.",
			Zh: "如果生产者使用了更新的 emq，请先升级 worker 再重发；否则请查明是什么程序写入了 emq 的队列，然后丢弃。",
		},
	}
}

func verdictUnsendable(refusal error) errclass.Verdict {
	return errclass.Verdict{
		Class: errclass.ClassPermanent, Scope: errclass.ScopeJob, Rule: "not-sendable",
		Description: tasks.Printable(refusal.Error(), 512),
		Why: errclass.Text{
			En: "The task makes no request that emq could send, so nothing was called.",
			Zh: "该任务无法构成可发送的请求，因此没有发起调用。",
		},
		Advice: errclass.Text{
			En: "Correct the payload with `emq dlq edit`, or drop it with `emq dlq discard`.",
			Zh: "请用 `emq dlq edit` 更正内容，或用 `emq dlq discard` 丢弃。",
		},
	}
}

const rulePanic = "panic"

func verdictPanic(reason any) errclass.Verdict {
	return errclass.Verdict{
		Class: errclass.ClassRetryable, Scope: errclass.ScopeJob, Rule: rulePanic, Delay: errclass.DelayBackoff,
		Description: tasks.Printable(fmt.Sprint(reason), 512),
		// The call may have been made before the panic.
		OutcomeUnknown: true,
		Why: errclass.Text{
			En: "emq itself failed while it worked on this task; the worker's log has the stack.",
			Zh: "emq 在处理该任务时自身出错，堆栈见 worker 日志。",
		},
		Advice: errclass.Text{
			En: "This is a bug in emq: report it with the stack from the worker's log. Resend the task after an upgrade.",
			Zh: "这是 emq 的缺陷，请附上 worker 日志中的堆栈反馈；升级后再重发。",
		},
	}
}

func verdictWorkerDied() errclass.Verdict {
	return errclass.Verdict{
		Class: errclass.ClassRetryable, Scope: errclass.ScopeJob, Rule: "worker-died", Delay: errclass.DelayBackoff,
		Description: "the worker died during the attempt", OutcomeUnknown: true,
		Why: errclass.Text{En: "The worker died during the attempt.", Zh: "worker 在本次尝试过程中异常退出。"},
	}
}

// verdictUnknownOutcome is what remains of v when the task asked not to be
// repeated while its outcome is unknown.
func verdictUnknownOutcome(v errclass.Verdict) errclass.Verdict {
	v.Class, v.Scope, v.Delay = errclass.ClassNeedsHuman, errclass.ScopeJob, errclass.DelayNone
	v.Why = errclass.Text{
		En: "The request was sent and no usable answer came, so it is not known whether Easemob executed it; the task asked not to be repeated in this case. " + v.Why.En,
		Zh: "请求已发出但没有收到可用的应答，无法确定环信是否已执行；该任务要求在此情况下不自动重试。" + v.Why.Zh,
	}
	v.Advice = errclass.Text{
		En: "Find out whether it was executed (message history, group members, the receiver), then settle it with `emq dlq resolve ID --sent` or `--not-sent`.",
		Zh: "请核实是否已执行（消息记录、群成员、接收方），再用 `emq dlq resolve ID --sent` 或 `--not-sent` 定论。",
	}
	return v
}

// errorBody is the body that Easemob would have sent for a fault that emq found first.
func errorBody(code string, err error) []byte {
	raw, _ := json.Marshal(map[string]string{"error": code, "error_description": err.Error()})
	return raw
}

// ownVerdicts are those that no rule for answers gives.
func ownVerdicts() []errclass.Verdict {
	return []errclass.Verdict{
		verdictExpired(time.Time{}), verdictTooOld(tasks.Task{}), verdictCrashLoop(crashLimit), verdictUndecodable(errBatchState),
		verdictUnsendable(errBatchState), verdictPanic(""), verdictWorkerDied(),
	}
}
