// Package easemob makes calls to Easemob's IM REST API and tells plainly how
// each one ended. It knows the API's address, its token and its transport, and
// nothing about tasks, verdicts or retries.
//
//	client, err := easemob.New(easemob.Config{
//		URL:          "https://a1.easemob.com",
//		AppKey:       "org#app",
//		ClientID:     id,
//		ClientSecret: secret,
//	})
//	answer, err := client.Do(ctx, easemob.Request{
//		Method: "POST",
//		Path:   "/messages/users",
//		Body:   body,
//	})
//
// # How a call ends
//
// [Client.Do] returns an [Answer] for everything that answers in HTTP, whatever
// the status and whether or not the body is JSON: what it means is the caller's
// to judge. It returns an [*Error] when there is no answer, and that says
// whether the request may have reached the server ([Error.Written]), which is
// what decides whether a call that must not happen twice may be made again.
//
// # A request goes out once
//
// No send endpoint takes an idempotency key, and forcing a user offline is a
// GET, so a repeat that nobody asked for does harm. net/http repeats a request
// on its own in two cases, both only on a kept connection that turns out to be
// dead. When not one byte of it was written: that is harmless, and welcome. And
// when it was written but its method is "safe" (GET and the like) and it has no
// body, or one that can be rewound: the client prevents this by giving every GET
// a body, if need be an empty one, that can't be rewound; nothing of it shows on
// the wire. HTTP/2, which has rules of its own for repeating, is off, and
// redirects are answers, never followed, so that the token goes nowhere but to
// the configured host.
//
// The repeats are Do's own: after an answer that rejects the token, with another
// one. Such an answer says that the call was not carried out.
//
// # Tokens
//
// All calls share one token, fetched when first needed. One fetch runs at a
// time, however many calls wait for it, and it outlives the call that started
// it. The token is renewed in the background while the old one still serves:
// from 90 % of its life on, or from five minutes before its end when that is
// later. Renewal is started by calls, so an idle client fetches nothing.
//
// A token that is revoked costs one fetch, however many calls it is refused to: the
// first of them drops it, and one that learns of it late finds another in its
// place and takes that, without a fetch. When that is refused too there are two
// explanations. It may have been revoked as well, while the repeat was on its way;
// then a further one will do. Or no token will ever do, as after a change of the
// app's rights. One refusal looks like the other, so a call tries [RenewalsMax]
// tokens before it says so ([Answer.FreshToken]), and not even then if the last of
// them has been replaced already.
//
// The vendor blocks accounts that fetch tokens too often, without saying how
// often that is. So between two fetches lies a pause of [TokenFloor], doubled up
// to [TokenFloorMax] for every further fetch in a row that failed or whose token
// no call ever got accepted. Calls that need a token in the pause after a failed
// fetch are given that failure at once; calls whose token was rejected wait the
// pause out, for which it widens to no more than half of Config.Timeout.
//
// # Secrets
//
// Neither client secret nor token appears in anything that the package prints
// or returns: errors, answers (a server's echo of them is blotted out), and
// every format of a [Config].
package easemob
