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
// board.go and fetch.go choose the tasks: a fetcher for each app takes them from
// Redis, many with one command, as slots of their family, limits, breaker and holds
// allow, so that one family's backlog or limit never keeps another's calls waiting.
// lanes.go hands them to asynq's servers, and endings.go takes the finished ones out
// of Redis, many with one command.
package worker
