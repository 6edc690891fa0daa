package dlq

import "github.com/imqueue/emq/tasks"

// The keys of the store. Those of an app share the hash tag {app}. The entry
// itself (a string, see record) is at tasks.EntryKey. No other key begins with
// "dl:" after the tag, because what follows there is an ID that a caller chose.

// appKey lists the entries of an app in one state (a sorted set: ID by the time
// of the last failure, in milliseconds).
func appKey(app string, state State) string { return tasks.AppKey(app, "dls:"+string(state)) }

// causeSetKey lists the entries of a cause in one state (a sorted set, as that
// of appKey).
func causeSetKey(app string, state State, cause string) string {
	return tasks.AppKey(app, "dls:"+string(state)+":"+cause)
}

// unconfirmedKey lists the resends that are marked but not known to be queued
// (a sorted set: the ID in the queue by the time of the mark, in milliseconds).
func unconfirmedKey(app string) string { return tasks.AppKey(app, "dls:unconfirmed") }

// endedKey lists the resolved and discarded entries (a sorted set: ID by the
// time when they became so, in milliseconds), for the purge.
func endedKey(app string) string { return tasks.AppKey(app, "dls:ended") }

// causesKey lists the causes of an app (a set of cause IDs).
func causesKey(app string) string { return tasks.AppKey(app, "causes") }

// causeKey describes a cause (a hash).
func causeKey(app, cause string) string { return tasks.AppKey(app, "cause:"+cause) }

// holdsKey lists the holds of an app (a hash: family, or "" for the whole app,
// to the hold in JSON).
func holdsKey(app string) string { return tasks.AppKey(app, "holds") }

// pausedKey lists the queues that an operator paused (a hash: queue to the
// event in JSON).
func pausedKey(app string) string { return tasks.AppKey(app, "paused") }

// resumingKey lists the queues that lost a reason to be paused and may not run
// again yet (a set), so that a crash in between can be made good.
func resumingKey(app string) string { return tasks.AppKey(app, "resuming") }

// limitsKey lists the limits that a person set for an app (a hash: endpoint to
// the limit in JSON).
func limitsKey(app string) string { return tasks.AppKey(app, "limits") }

// unknownsKey lists the groups of answers that no rule knew (a hash, see
// lua/unknown.lua).
func unknownsKey(app string) string { return tasks.AppKey(app, "unknowns") }

// unknownsSeenKey orders those groups (a sorted set: group by the time when it
// was last seen, in milliseconds).
func unknownsSeenKey(app string) string { return tasks.AppKey(app, "unknowns:seen") }

// registerKey is asynq's register of the queues that were ever used (a set).
const registerKey = "asynq:queues"

// queueKey is one of asynq's keys of a queue: pending and active (lists),
// scheduled, retry and archived (sorted sets), paused (a string).
func queueKey(queue, part string) string { return "asynq:{" + queue + "}:" + part }
