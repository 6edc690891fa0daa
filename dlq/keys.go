package dlq

import (
	"strconv"

	"github.com/imqueue/emq/tasks"
)

// The keys of the store. Those of an app share the hash tag {app}. The entry
// itself (a string, see record) is at tasks.EntryKey. No other key begins with
// "dl:" after the tag, because what follows there is an ID that a caller chose.

// causeSetKey lists the entries of a cause in one state whose last answer had a
// status (a sorted set: ID by the time of the last failure, in milliseconds).
func causeSetKey(app string, state State, cause string, status int) string {
	return tasks.AppKey(app, "dls:"+string(state)+":"+cause+":"+strconv.Itoa(status))
}

// bucketKey lists the entries about some users, groups and rooms in any state (a
// sorted set, as that of causeSetKey).
func bucketKey(app string, bucket int) string { return tasks.AppKey(app, "dli:"+strconv.Itoa(bucket)) }

// unconfirmedKey lists the resends that are marked but not known to be queued
// (a sorted set: the ID in the queue by the time of the mark, in milliseconds).
func unconfirmedKey(app string) string { return tasks.AppKey(app, "dls:unconfirmed") }

// endedKey lists the resolved and discarded entries (a sorted set: ID by the
// time when they became so, in milliseconds), for the purge.
func endedKey(app string) string { return tasks.AppKey(app, "dls:ended") }

// causesKey lists the causes of an app (a set of cause IDs).
func causesKey(app string) string { return tasks.AppKey(app, "causes") }

// causeKey describes a cause and counts its entries by state (a hash).
func causeKey(app, cause string) string { return tasks.AppKey(app, "cause:"+cause) }

// opsKey lists the operations of an app (a sorted set: ID by the time when it was
// made, in milliseconds), and activeOpsKey those of them that have work left (a set).
func opsKey(app string) string       { return tasks.AppKey(app, "ops") }
func activeOpsKey(app string) string { return tasks.AppKey(app, "ops:active") }

// opKey is an operation (a hash, see operation.go), and opMembersKey lists its
// members (a list of "ID TIME", the newest last failure first).
func opKey(app, op string) string        { return tasks.AppKey(app, "op:"+op) }
func opMembersKey(app, op string) string { return tasks.AppKey(app, "op:"+op+":members") }

// leaseKey says which worker has some work of an app to itself (a string).
func leaseKey(app, work string) string { return tasks.AppKey(app, work+":lease") }

// auditKey is the audit of an app (a stream, one line in JSON each).
func auditKey(app string) string { return tasks.AppKey(app, "audit") }

// holdsKey lists the holds of an app (a hash: family, or "" for the whole app,
// to the hold in JSON).
func holdsKey(app string) string { return tasks.AppKey(app, "holds") }

// silencesKey lists the silences of an app (a hash: ID to the silence in JSON).
func silencesKey(app string) string { return tasks.AppKey(app, "silences") }

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
