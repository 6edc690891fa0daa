// Package simulator is an Easemob IM REST API that runs here: in the process
// of a test, behind [net/http/httptest], or on a listener of its own by
// [Simulator.Serve]. It keeps the state that answers depend on (tokens, users,
// contacts, groups, rooms, sent messages), answers with the bodies that the
// vendor documents, right and wrong, and plays faults on demand.
//
// # The API
//
// Every call goes to /{org}/{app}/..., for an app key "org#app" of
// [Config.Apps], and passes the same stages: app key, fault, token, endpoint,
// rate limit, the operation itself. What the vendor documents is answered as
// documented, an oddity included: one condition with several spellings, 403
// for groups where rooms have 400, failures inside a 200, message ids above
// 2^53, a 200 for a message to a user that does not exist. Where the
// documentation is silent the code says so in a comment; a test must not lean
// on such an answer.
//
// Simulated: app tokens; messages to users, groups, rooms and directed ones,
// broadcasts, recall, the legacy send; users with contacts, block lists,
// attributes and global mutes; groups and rooms with members, admins, mute,
// block and allow lists, announcements. Not simulated: user tokens, media,
// message edit, import and history, threads, presence, reactions, push, group
// and room attributes, plan quotas, and any effect of a mute or a ban on
// sending (not documented). A fault can answer for all of these.
//
// # Faults
//
// A [Fault] says which requests it meets and what happens to them: a status and
// body, a delay, a cut connection before or after the request was executed, a
// gateway's HTML page, a token refused. Faults are given in [Config.Faults], by
// [Simulator.AddFault], in a file ([LoadFaults]) or over the control endpoint.
// The first fault in order of addition that matches and is not used up applies;
// one request meets at most one fault.
//
// # The record
//
// Every request that changed something is an [Execution] in the record, also
// when its answer was lost on purpose; a request refused or cut before
// executing is not. A message's ext.emq_id is taken down with it, so that a test
// can count losses and duplicates. The record and the state live in memory and
// grow with use: [Simulator.Reset] empties them, [Config.NoRecord] keeps the
// counts alone.
//
// # Control endpoint
//
// Below /_control/, without a token, so never on an address that others reach:
//
//	GET    /_control/health         {"status":"ok"}
//	GET    /_control/faults         the faults with their hit counts, a JSON array
//	POST   /_control/faults         add one fault or an array of them: {"ids":[...]}
//	GET    /_control/faults/{id}    one fault
//	DELETE /_control/faults         remove all
//	DELETE /_control/faults/{id}    remove one
//	GET    /_control/executed       the record as JSON Lines; ?emq_id=X, ?since=SEQ (after SEQ)
//	GET    /_control/counts         executed, distinct ids, duplicates, calls by endpoint and status, tokens
//	POST   /_control/revoke-tokens  refuse every token given out so far
//	POST   /_control/limits         replace the rate limits: {"messages/users":{"calls_per_second":100}}
//	POST   /_control/reset          forget record, counts and state; faults and limits as configured
//
// A body there is at most [ControlBodyMax] bytes. An error is answered as
// {"error":"..."} with status 400, 404, 405 or 413.
package simulator
