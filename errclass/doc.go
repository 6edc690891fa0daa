// Package errclass says what one attempt at an Easemob REST call means.
//
// The evidence of an attempt (kind of call, status, body, transport failure)
// goes in, a verdict comes out: is the task done, may it be tried again, is it
// wrong, or must a person act first; why, and what to do about it, in English
// and Chinese. Classify is pure: no clock, no network, no state.
//
// The judgement is data. A Table is a list of Rule rows, the first that matches
// wins, specific rows stand before general ones, and the last row catches what
// no other knows. Status alone misleads with Easemob (429 can be a used-up plan,
// 403 a rate limit, 500 a client's mistake, 401 something else than the token),
// so rows match status, error word and stable fragments of the text together.
// What is a name in a text is taken out of it before the builtin rows are asked.
// The field "exception" differs between services and over time for one and the
// same condition; it is never looked at.
//
// A success is read target by target, because it can hide failures inside data:
// Verdict.Failed holds them, each with a verdict of its own. Such a reason is
// judged by the same table, by its words alone, as is the body of an error that
// comes with a 2xx, or whose status is not known: columns of statuses count for
// nothing there, and rows that have nothing else match nothing.
//
// When a call with several targets is refused because of some of them, or for
// their number, Verdict.Mend says what may be done about it without a person.
//
// Normalise, for grouping dead letters by cause, and the delay policies with
// their backoff live here as well, because they are the other half of a verdict.
package errclass
