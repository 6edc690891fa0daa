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
// block and allow lists, announcements; attributes of rooms; [Limits] and plan
// [Quotas]. Not simulated: user tokens, media, message edit, import and history,
// threads, presence, reactions, push, attributes of group members, and any effect
// of a deactivated user or of a mute or ban in a group on sending (not
// documented). A fault can answer for all of these.
//
// # Limits
//
// [Limits] go by endpoint, as the vendor's table has them; [DocumentedLimits] is
// that table. None is in place unless given. They are strict: no interval of the
// length named lets more through, wherever it starts. Clients' own calls, which
// share most limits, are played by [Simulator.SetOthers].
//
// # Faults
//
// A [Fault] says which requests it meets and what happens to them: a status and
// body, a delay, a cut connection before or after the request was executed, a
// gateway's HTML page, a token refused, a batch that fails for some. Faults are
// given in [Config.Faults], by [Simulator.AddFault], in a file ([LoadFaults]) or
// over the control endpoint. The first fault in order of addition that matches and
// is not used up applies; one request meets at most one fault. Some that are often
// wanted:
//
//	{"status":503}                                outage: a gateway's page
//	{"latency":"1h","cut":"before"}               hang until the caller gives up
//	{"cut":"before"} and {"cut":"after"}          reset, before or after executing
//	{"path":"/token","cut":"before"}              token endpoint out of reach
//	{"path":"/token","status":403}                token endpoint blocked (not documented)
//	{"path":"/chatgroups/**","fail":["u1"]}       partial failure
//
// A refused connection is a listener that is closed. What befalls credentials has
// methods of its own: [Simulator.RevokeTokens], [Simulator.ExpireTokens] and
// [Simulator.SetSecret].
//
// # The record
//
// Every request that changed something is an [Execution] in the record, also
// when its answer was lost on purpose; a request refused or cut before
// executing is not. A message's ext.emq_id is taken down with it, so that a test
// can count losses and duplicates. Beside it every request, refused or not, is a
// [Call] with its time of arrival. Records and state live in memory and grow with
// use, by some 100 bytes a call and the body of what was executed:
// [Simulator.Reset] empties them, [Config.NoRecord] keeps the counts alone.
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
//	GET    /_control/calls          all calls as JSON Lines; ?since=N (after the first N)
//	GET    /_control/counts         executed, distinct ids, duplicates, calls by endpoint and status, over limit, tokens
//	POST   /_control/revoke-tokens  refuse every token given out so far
//	POST   /_control/expire-tokens  the same in the spelling of an expired token
//	POST   /_control/secret         change an app's secret: {"app":"demo#emq","client_secret":"new"}
//	POST   /_control/limits         replace the rate limits: {"POST /messages/users":{"calls":"100/s","messages":"6000/m"}}
//	POST   /_control/others         what clients' calls take of limits, a second: {"POST /chatgroups/{id}/users":40}
//	POST   /_control/quotas         replace the plan's quotas: {"users":100,"groups":100}
//	POST   /_control/reset          forget record, counts and state; faults, limits, quotas and secrets as configured
//
// A body there is at most [ControlBodyMax] bytes. An error is answered as
// {"error":"..."} with status 400, 404, 405 or 413.
package simulator
