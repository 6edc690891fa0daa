// Package admin is emq's HTTP server for operators. For now it reads only:
// health, and queues, holds, limits, unknown answers, causes, dead letters, operations
// and the audit as JSON.
//
// server.go has the table of routes. A handler takes a request and returns a
// value or an error; respond.go turns either into an answer, once for all.
//
// # API
//
//	GET /healthz                         the process lives
//	GET /readyz                          Redis answers too; 503 when not
//	GET /api/v1/queues                   ?app  those ever used or paused by hand
//	GET /api/v1/holds                    ?app
//	GET /api/v1/limits                   ?app  set by hand, in the place of the settings'
//	GET /api/v1/unknowns                 ?app  answers that no rule knew, in groups
//	GET /api/v1/causes                   ?filters
//	GET /api/v1/dead-letters             ?filters &limit &cursor
//	GET /api/v1/dead-letters/{app}/{id}
//	GET /api/v1/operations               ?app
//	GET /api/v1/operations/{app}/{id}
//	GET /api/v1/audit                    ?app &by &action &since &until &limit &cursor
//
// Filters, together, are those of [dlq.ParseFilter]: app, kind, class, error, status,
// cause (an ID or the beginning of one), state, target (a user, group or room), text,
// since and until (RFC 3339, a date, or how long ago, such as 90m or 7d). A parameter
// that a route does not know is an error, because a misspelt filter would otherwise
// select everything. Under target and text, a page may have fewer items than limit,
// even none, and a next one: an answer looks at a bounded number of dead letters.
//
// A list is {"items":[...]}, and {"items":[...],"next_cursor":"..."} where more
// follows. Passwords in payloads are hidden. An ID may hold slashes; it is best
// percent-encoded, and has to be when a segment of it is empty, "." or "..".
//
// An error is an application/problem+json document as in RFC 9457: type, title,
// status, detail, and field where a parameter is at fault.
//
// # Who may ask
//
// Whoever reaches the address: there are no accounts. So it listens on a
// loopback address only, and answers only requests that name one as their host,
// which keeps a web page from reaching it by a DNS name of its own (DNS
// rebinding). No answer allows another origin to read it.
package admin
