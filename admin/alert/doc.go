// Package alert tells operators of what a person must look at: dead letters of a cause
// that is new or grows, holds, a backlog that nobody works off, what doctor finds.
//
// Each worker process runs it beside its worker, and one of them at a time tells for an
// app ([dlq.Store.Lease]). What was told is kept in Redis, so that the next one goes on
// from there. A fault is told when it comes up, when it has grown much, now and then
// while it lasts, and when it is over: by cause, never by dead letter.
//
// A [Channel] is where alerts go. An alert never carries a message or a secret: count,
// cause, advice, the command to look, and a link.
package alert
