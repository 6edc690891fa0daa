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
// # Keys
//
// All keys of an app share the hash tag {app}, so that the store works on Redis
// Cluster. Two sorted sets, both partitioned by state and scored by the time of
// the last failure, hold the order: the entries of the app, and the entries of
// each cause. A page reads a bounded piece of each set that it merges, so it
// costs the same in a small store and in a large one. What entries have in
// common (class, rule, advice) is kept once, with their cause.
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
