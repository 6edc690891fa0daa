// Package dlq holds emq's dead letters: the tasks that ended without success,
// each with its whole history, until a person has dealt with them.
//
// # Life of a dead letter
//
//	             Put                    Resend                   Resolve
//	task ends ───────► dead ─────────────────────► resending ───────────► resolved ──┐
//	without success    │  ▲ ◄───────────────────── (generation g)                    │ after Keep
//	                   │  │         Put(g)                                            ├───────────► purged
//	           Discard │  │ Restore                                                   │
//	                   ▼  │                                                           │
//	                 discarded ──────────────────────────────────────────────────────┘
//
// A person who finds out that the call was executed after all makes a dead
// letter resolved with [Store.Settle], and mends one with [Store.Edit].
//
// Nothing expires while it is dead or resending. Every change of state is one
// script that compares the entry with what its author read, so of any number of
// operators and workers exactly one makes it.
//
// # A resend happens once
//
// [Store.Resend] marks the entry, queues the task under the ID of its new
// generation, and confirms. Each step may be repeated: the mark is compare-and-
// set, the queue refuses an ID it holds, and a worker asks [Store.Admit] before
// the call, which only lets the generation through that the entry waits for.
// What a crash between two steps leaves behind, [Store.Sweep] finishes.
//
// # Operations
//
// What is to be done to many entries is an [Operation]: [Store.Freeze] makes the
// entries that match its members, [Store.Start] lets workers take them up with
// [Store.Work], whoever made it, and any worker goes on where another one died. A
// member is changed if it is as it was when it was frozen, and remembers the operation,
// so that each is counted once: when it is resent, and when that resend ends.
//
// # Keys
//
// All keys of an app share the hash tag {app}, so that the store works on Redis
// Cluster. The entry itself is one string, compressed with a dictionary of what
// entries have in common. Sorted sets, one for each cause, state and status, hold the
// order by the time of the last failure. Every filter but two selects causes, and a page
// merges their sets, reading a bounded piece, so it costs the same in a small store and
// in a large one. A filter by target has an index of its own, and one by text reads
// entries. What entries have in common (class, rule, advice) is kept once, with their
// cause, which also counts them.
//
// # Audit
//
// What a person did is one line of the audit, written by the script that makes the
// change. Of what an operation does to its members, the line about its start speaks.
//
// # Holds and pauses
//
// A [Hold] stops an app, or one family of its calls, because of a fault that is
// not the tasks' own. It pauses queues, and so does an operator with
// [Store.Pause]; a queue runs again when neither wants it paused. A queue may be
// paused before it is first used, so a hold pauses all queues that it covers.
//
// # Limits and unknown answers
//
// The store also keeps what workers and persons tell each other beside dead
// letters: the limits that a person set for endpoints ([Store.SetLimit]), and
// the answers that no rule knew ([Store.NoteUnknown]), for the next rule.
package dlq
