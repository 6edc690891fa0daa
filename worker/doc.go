// Package worker takes tasks from their queues and makes the calls.
//
// process.go is the place to begin: it reads as the life of one attempt, from
// the task as asynq hands it over to its end. settle.go is the only place that
// decides whether a task is done, goes back, or becomes a dead letter.
//
// asynq schedules and dispatches; emq decides. A task's MaxRetry in asynq is
// out of reach, so that asynq never ends one: the attempt budget, the age limit
// and the dead letter are emq's own. An error that process returns to asynq is
// always an *outcome, which says how long the task waits and whether the
// attempt counts.
//
// Each family of an app's calls has its own asynq servers (lanes), so that one
// family's backlog or limit never keeps another's calls waiting.
package worker
