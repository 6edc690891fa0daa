// Package tasks holds emq's vocabulary and the small client that enqueues.
//
// A task is one outbound call to Easemob's IM REST API: an ID, an app, a kind
// and a payload. App code builds a payload, hands it to [Client.Enqueue], and
// is done: from the moment Enqueue returns nil, the call is made at least once
// or ends as a dead letter that a person can find, understand, mend and resend.
//
//	rdb, err := tasks.OpenRedis("redis://127.0.0.1:6379")
//	client, err := tasks.NewClient(tasks.ClientConfig{Redis: rdb})
//	receipt, err := client.Enqueue(ctx, tasks.Message{
//		Target: tasks.Users,
//		To:     []string{"u1"},
//		Body:   tasks.Text{Msg: "shipped"},
//	}, tasks.ID("order-8812-shipped"))
//
// # Life of a task
//
// Enqueue checks everything that can be known wrong before the call, and
// refuses it with a [*FieldError] before anything is queued. A task that passes
// waits in the queue of its app, endpoint and priority ([QueueName]). An
// [Endpoint] is what Easemob counts against one rate limit, so that calls at
// their limit never delay others. A worker takes the task, makes the call, and
// judges the answer: the task is done, is tried again later, or becomes a dead
// letter.
//
// # Kinds
//
// [Kinds] describes each kind: its fields with their bounds, an example, the page
// of Easemob's documentation, and whether the call may be repeated. Payloads
// carry Easemob's own field names. What no kind covers is a [RawCall].
//
// # Long lists
//
// A list that is too long for one call, by its count or its size, becomes several
// tasks: [Receipt].Parts. Up to [TargetsMax] targets are taken. The parts have
// the IDs ID.part1, ID.part2 and so on, and follow from the list alone, so that
// the same list under the same ID gives the same parts. Each part is a task by
// itself: they may run in any order, and what becomes of one says nothing about
// the others.
//
// # IDs
//
// An ID given with [ID] is unique over all queues of its app. It stays taken
// while the task waits or runs, for a while after its delivery (the worker's
// setting, an hour by default), and for as long as there is a dead letter under
// it, which is kept for 30 days after it was resolved or discarded. Enqueuing it again gives
// [ErrDuplicate] and queues nothing, so that a caller who is not sure whether an
// enqueue came through repeats it under the same ID. An ID that emq makes up is
// random, and is not remembered after delivery.
//
// The package imports neither worker, admin nor any command-line library.
package tasks
