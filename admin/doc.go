// Package admin is emq's HTTP server for operators: the web page, the API that it uses,
// health and metrics.
//
// api.go has the table of routes: who may use each, what it takes, answers and does. The
// mux, the guard (guard.go) and the OpenAPI document (openapi.go) follow from it.
// respond.go turns values and errors into answers, once for all. The page is in web, as
// it stands.
//
// # API
//
// GET /api/v1/openapi.json describes the routes below /api/v1, from this very code.
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
// A POST, PUT, PATCH or DELETE with an Idempotency-Key is done once: its repeat within a
// day gets the first answer.
//
// # Who may ask
//
// Without identities, whoever reaches the address may do everything. So it is a loopback
// address then, only requests that name one as their host are answered, which keeps a web
// page from reaching it by a DNS name of its own (DNS rebinding), and none that a browser
// sends for another origin.
//
// With identities, a bearer token says who asks, or the cookie of a session, which goes
// with a token of its own in X-CSRF-Token for whatever changes something. Wrong tokens are
// throttled by address. No answer allows another origin to read it. Everything that is
// done is in the audit under the identity's name.
package admin
