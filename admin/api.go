package admin

import (
	"context"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"time"

	"github.com/imqueue/emq/admin/alert"
	"github.com/imqueue/emq/dlq"
	"github.com/imqueue/emq/errclass"
	"github.com/imqueue/emq/tasks"
)

// A route is one method of one path: who may use it, what it takes and answers, and what
// it does. The mux, the guard and the OpenAPI document follow from the table of them.
type route struct {
	method, path string
	role         Role // least that is needed; empty: anybody
	about        string
	query        []string     // parameters of a GET
	out          reflect.Type // of the answer; nil: none
	read         handler      // of a GET
	act          action       // of any other
	stream       streamer     // in their place, for what takes or answers JSON Lines
}

// A streamer serves a request that may take longer than an answer may.
type streamer func(w http.ResponseWriter, r *http.Request, who Identity)

func (r route) pattern() string { return r.method + " " + apiBase + r.path }

const apiBase = "/api/v1"

func answers[T any]() reflect.Type { return reflect.TypeFor[T]() }

// routes is the whole API below /api/v1.
func (s *Server) routes() []route {
	look := func(path, about string, out reflect.Type, read handler, query ...string) route {
		return route{method: http.MethodGet, path: path, role: RoleViewer, about: about, out: out, read: read, query: query}
	}
	change := func(method, path string, role Role, about string, out reflect.Type, a action) route {
		return route{method: method, path: path, role: role, about: about, out: out, act: a}
	}
	entry := answers[dlq.Entry]()
	page := append(dlq.FilterFields(), "limit", "cursor")
	return []route{
		{method: http.MethodGet, path: "/session", about: "Who asks, and what they may do", out: answers[sessionAnswer]()},
		{method: http.MethodPost, path: "/session", about: "Log in with a token: sets a cookie", act: action{in: answers[loginBody]()}},
		{method: http.MethodDelete, path: "/session", about: "Log out"},
		look("/overview", "How each app is", answers[list[overview]](), s.listOverview, "app"),
		look("/events", "Server-sent events: counts and operations", nil, nil),

		look("/queues", "Queues that were ever used or paused by hand", answers[list[queue]](), s.listQueues, "app"),
		change("POST", "/queues/{queue}/pause", RoleOperator, "Take no further task from a queue", nil, act(func(s *Server, r *http.Request, by func(string) dlq.Actor, in reasonBody) (any, error) {
			if err := needReason(in.Reason); err != nil {
				return nil, err
			}
			return nothing{}, s.store.Pause(r.Context(), r.PathValue("queue"), by(in.Reason))
		})),
		change("POST", "/queues/{queue}/resume", RoleOperator, "Let a paused queue go on", nil, act(func(s *Server, r *http.Request, by func(string) dlq.Actor, in maybeReason) (any, error) {
			return nothing{}, s.store.Resume(r.Context(), r.PathValue("queue"), by(in.Reason))
		})),

		look("/holds", "Holds, and why", answers[list[dlq.Hold]](), ofApps(s.store.Holds), "app"),
		change("POST", "/holds", RoleOperator, "Hold an app, or one family of its calls", nil, act(hold)),
		change("DELETE", "/holds/{app}", RoleOperator, "Clear the hold on an app", nil, act(clearHold)),
		change("DELETE", "/holds/{app}/{family}", RoleOperator, "Clear the hold on a family of an app's calls", nil, act(clearHold)),

		look("/limits", "Limits in force that are in use or not the default, and where they come from; with all=true, of every endpoint", answers[list[dlq.LimitInForce]](), s.listLimits, "app", "all"),
		change("PUT", "/limits/{app}/{endpoint}", RoleAdmin, "Set the limit of an endpoint", nil, act(func(s *Server, r *http.Request, by func(string) dlq.Actor, in limitBody) (any, error) {
			if err := needReason(in.Reason); err != nil {
				return nil, err
			}
			return nothing{}, s.store.SetLimit(r.Context(), dlq.Limit{App: r.PathValue("app"), Endpoint: tasks.Endpoint(r.PathValue("endpoint")), Limit: in.Limit, Reason: in.Reason, By: by("").Name})
		})),
		change("DELETE", "/limits/{app}/{endpoint}", RoleAdmin, "Go back to the limit of the settings", nil, act(func(s *Server, r *http.Request, by func(string) dlq.Actor, in maybeReason) (any, error) {
			return nothing{}, s.store.ClearLimit(r.Context(), r.PathValue("app"), tasks.Endpoint(r.PathValue("endpoint")), by(in.Reason))
		})),

		look("/causes", "What the dead letters fall in", answers[list[dlq.Cause]](), s.listCauses, dlq.FilterFields()...),
		look("/causes/{app}/{id}", "One cause", answers[dlq.Cause](), func(r *http.Request) (any, error) {
			return s.store.GetCause(r.Context(), r.PathValue("app"), r.PathValue("id"))
		}),
		change("POST", "/causes/{app}/{id}/ack", RoleOperator, "Say that you are on a cause", answers[dlq.Cause](), triage((*dlq.Store).Acknowledge)),
		change("POST", "/causes/{app}/{id}/ignore", RoleOperator, "Say that a cause is of no interest", answers[dlq.Cause](), triage((*dlq.Store).Ignore)),
		change("POST", "/causes/{app}/{id}/reopen", RoleOperator, "Take that back", answers[dlq.Cause](), triage((*dlq.Store).Reopen)),

		look("/dead-letters", "Dead letters, the newest last failures first", answers[list[dlq.Entry]](), s.listDeadLetters, page...),
		look("/dead-letters/{app}/{id...}", "One dead letter", entry, s.getDeadLetter),
		change("POST", "/dead-letters/{app}/{id}/resend", RoleOperator, "Make the call again", entry, changed((*dlq.Store).Resend)),
		change("POST", "/dead-letters/{app}/{id}/discard", RoleOperator, "Give up a dead letter; it can be restored for a time", entry, changed((*dlq.Store).Discard)),
		change("POST", "/dead-letters/{app}/{id}/restore", RoleOperator, "Take a discarded one back", entry, changed((*dlq.Store).Restore)),
		change("POST", "/dead-letters/{app}/{id}/resolve", RoleOperator, "Settle an unknown outcome", entry, act(resolve)),
		change("POST", "/dead-letters/{app}/{id}/edit", RoleOperator, "Correct the payload, and perhaps resend", entry, act(edit)),
		{method: http.MethodPost, path: "/export", role: RoleAdmin, about: "What a filter selects, with the secrets of payloads", act: action{in: answers[exportBody]()}, stream: s.export},
		{method: http.MethodPost, path: "/import", role: RoleAdmin, about: "Add exported dead letters, or take corrected payloads back", query: []string{"dry_run", "reason"}, out: answers[importAnswer](), stream: s.importLines},

		look("/operations", "Bulk operations, the newest first", answers[list[dlq.Operation]](), ofApps(s.store.Operations), "app"),
		look("/operations/{app}/{id}", "One operation and its account", answers[dlq.Operation](), s.getOperation),
		change("POST", "/operations", RoleOperator, "Resend, discard or restore what a filter selects: an operation for each app, which workers carry out", answers[list[dlq.Operation]](), act(operate)),
		change("POST", "/operations/preview", RoleOperator, "Count what an operation would be made of", answers[previewAnswer](), act(preview)),
		change("POST", "/operations/{app}/{id}/cancel", RoleOperator, "Stop an operation", answers[dlq.Operation](), act(func(s *Server, r *http.Request, by func(string) dlq.Actor, in maybeReason) (any, error) {
			app, id := r.PathValue("app"), r.PathValue("id")
			if err := s.store.Cancel(r.Context(), app, id, by(in.Reason)); err != nil {
				return nil, err
			}
			return s.store.GetOperation(r.Context(), app, id)
		})),
		change("PATCH", "/operations/{app}/{id}", RoleOperator, "Change an operation's rate", answers[dlq.Operation](), act(func(s *Server, r *http.Request, by func(string) dlq.Actor, in rateBody) (any, error) {
			app, id := r.PathValue("app"), r.PathValue("id")
			if err := s.store.SetRate(r.Context(), app, id, in.Rate, by("")); err != nil {
				return nil, err
			}
			return s.store.GetOperation(r.Context(), app, id)
		})),

		look("/rules", "The rules, in the order in which they are tried", answers[list[errclass.Rule]](), func(r *http.Request) (any, error) {
			return listOf(s.cfg.Rules.Rules(), ""), newQuery(r).err()
		}),
		change("POST", "/explain", RoleViewer, "How an answer of Easemob's would be judged", answers[verdictAnswer](), act(explain)),
		change("POST", "/rules/check", RoleOperator, "Check and test a file of rules, and how it would judge an answer; nothing is changed", answers[rulesAnswer](), act(checkRules)),
		look("/unknowns", "Answers that no rule knew, in groups", answers[list[dlq.Unknown]](), ofApps(s.store.Unknowns), "app"),
		look("/audit", "What persons did, the newest first", answers[list[dlq.AuditLine]](), s.listAudit, "app", "by", "action", "since", "until", "limit", "cursor"),

		look("/alerts", "What was alerted of and is not over", answers[list[alert.Notice]](), ofApps(s.openAlerts), "app"),
		look("/silences", "Silences", answers[list[dlq.Silence]](), ofApps(s.store.Silences), "app"),
		change("POST", "/silences", RoleOperator, "Send no alerts about an app or a cause for a time", answers[dlq.Silence](), act(func(s *Server, r *http.Request, by func(string) dlq.Actor, in silenceBody) (any, error) {
			return s.store.SetSilence(r.Context(), dlq.Silence{App: in.App, Cause: in.Cause, Until: s.now().Add(seconds(in.ForSeconds)), By: by("").Name, Reason: in.Reason})
		})),
		change("DELETE", "/silences/{app}/{id}", RoleOperator, "End a silence before its time", nil, act(func(s *Server, r *http.Request, by func(string) dlq.Actor, in maybeReason) (any, error) {
			return nothing{}, s.store.EndSilence(r.Context(), r.PathValue("app"), r.PathValue("id"), by(in.Reason))
		})),
		{method: http.MethodGet, path: "/openapi.json", about: "This document"},
	}
}

func clearHold(s *Server, r *http.Request, by func(string) dlq.Actor, in maybeReason) (any, error) {
	return nothing{}, s.store.ClearHold(r.Context(), r.PathValue("app"), tasks.Family(r.PathValue("family")), by(in.Reason))
}

// triage is an action on one cause, whose answer is the cause as it is then.
func triage(do func(s *dlq.Store, ctx context.Context, app, cause string, by dlq.Actor) error) action {
	return act(func(s *Server, r *http.Request, by func(string) dlq.Actor, in noteBody) (any, error) {
		app, id := r.PathValue("app"), r.PathValue("id")
		if err := do(s.store, r.Context(), app, id, by(in.Note)); err != nil {
			return nil, err
		}
		return s.store.GetCause(r.Context(), app, id)
	})
}

func (s *Server) openAlerts(ctx context.Context, apps ...string) ([]alert.Notice, error) {
	var err error
	if len(apps) == 0 {
		if apps, err = s.store.Apps(ctx); err != nil {
			return nil, err
		}
	}
	var open []alert.Notice
	for _, app := range apps {
		notices, err := alert.Open(ctx, s.cfg.Redis, app)
		if err != nil {
			return nil, err
		}
		open = append(open, notices...)
	}
	return open, nil
}

// sessionAnswer says who asks.
type sessionAnswer struct {
	Name     string   `json:"name"`
	Role     Role     `json:"role"`
	CSRF     string   `json:"csrf"` // to be sent as X-CSRF-Token by who has the cookie
	ReadOnly bool     `json:"read_only"`
	Masked   bool     `json:"masked"` // payloads are hidden from this role
	Version  string   `json:"version"`
	Apps     []string `json:"apps"`
}

type loginBody struct {
	Token string `json:"token"`
}

// period is what became of attempts within a time.
type period struct {
	Delivered int              `json:"delivered"`
	Failed    int              `json:"failed"`
	Dead      int              `json:"dead"`
	Series    map[string][]int `json:"series"`
}

// overview is how one app is.
type overview struct {
	App    string     `json:"app"`
	Holds  []dlq.Hold `json:"holds"`
	Queues struct {
		Pending       int     `json:"pending"`
		Active        int     `json:"active"`
		Scheduled     int     `json:"scheduled"`
		Retry         int     `json:"retry"`
		Paused        int     `json:"paused"` // queues that an operator paused
		OldestSeconds float64 `json:"oldest_seconds"`
	} `json:"queues"`
	Dead   int                `json:"dead"`
	Causes int                `json:"causes"`
	Hour   period             `json:"hour"` // a number each five minutes
	Day    period             `json:"day"`  // a number each hour
	Limits []dlq.LimitInForce `json:"limits"`
}

func (s *Server) listOverview(r *http.Request) (any, error) {
	apps, err := appsOf(r)
	if err != nil {
		return nil, err
	}
	if len(apps) == 0 {
		if apps, err = s.store.Apps(r.Context()); err != nil {
			return nil, err
		}
	}
	items := make([]overview, len(apps))
	errs := make([]error, len(apps))
	var reads sync.WaitGroup
	for i, app := range apps[:min(len(apps), overviewApps)] {
		reads.Go(func() { items[i], errs[i] = s.overview(r.Context(), app) })
	}
	reads.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return listOf(items, ""), nil
}

// overviewApps bounds the apps of one overview.
const overviewApps = 200

func (s *Server) overview(ctx context.Context, app string) (overview, error) {
	o := overview{App: app, Holds: []dlq.Hold{}}
	holds, err := s.store.Holds(ctx, app)
	if err != nil {
		return o, err
	}
	o.Holds = append(o.Holds, holds...)
	queues, err := s.store.Queues(ctx, app)
	if err != nil {
		return o, err
	}
	for _, q := range queues {
		o.Queues.Pending += q.Pending
		o.Queues.Active += q.Active
		o.Queues.Scheduled += q.Scheduled
		o.Queues.Retry += q.Retry
		if q.PausedBy == dlq.PausedByOperator {
			o.Queues.Paused++
		}
		if !q.Paused {
			o.Queues.OldestSeconds = max(o.Queues.OldestSeconds, q.Latency.Seconds())
		}
	}
	usage, err := s.store.Usage(ctx, app)
	if err != nil {
		return o, err
	}
	for _, u := range usage {
		o.Dead, o.Causes = u.Counts[dlq.StateDead], u.Causes
	}
	tallies, err := s.store.Tallies(ctx, app)
	if err != nil {
		return o, err
	}
	const hour = 12 // tallies
	o.Hour, o.Day = summed(tallies[len(tallies)-hour:], 1), summed(tallies, hour)
	if o.Limits, err = s.store.LimitsInForce(ctx, s.cfg.Limits, false, app); o.Limits == nil {
		return o, err
	}
	return o, nil // a limit that can't be read is told of at /limits
}

// summed adds tallies up, and puts so many together in the series.
func summed(list []dlq.Tally, together int) period {
	p := period{Series: map[string][]int{"delivered": {}, "failed": {}, "dead": {}}}
	for i, t := range list {
		p.Delivered, p.Failed, p.Dead = p.Delivered+t.Delivered, p.Failed+t.Failed, p.Dead+t.Dead
		for name, n := range map[string]int{"delivered": t.Delivered, "failed": t.Failed, "dead": t.Dead} {
			if i%together == 0 {
				p.Series[name] = append(p.Series[name], 0)
			}
			p.Series[name][i/together] += n
		}
	}
	return p
}

// masked hides what a message says from who may only look.
func (s *Server) masked(who Identity, value any) any {
	if !s.cfg.MaskPayloads || who.Role != RoleViewer {
		return value
	}
	switch v := value.(type) {
	case dlq.Entry:
		return maskEntry(v)
	case list[dlq.Entry]:
		for i := range v.Items {
			v.Items[i] = maskEntry(v.Items[i])
		}
		return v
	case list[dlq.Unknown]:
		for i := range v.Items {
			v.Items[i].Body = ""
		}
		return v
	}
	return value
}

func maskEntry(e dlq.Entry) dlq.Entry {
	e.Payload = []byte(`{"masked":true}`)
	for i := range e.Attempts {
		e.Attempts[i].Body = ""
	}
	for i := range e.Events {
		if e.Events[i].Before != nil {
			e.Events[i].Before = []byte(`{"masked":true}`)
		}
	}
	return e
}

// openPath is a path as OpenAPI writes it.
func openPath(path string) string { return strings.ReplaceAll(path, "...}", "}") }

func seconds(n int) time.Duration { return time.Duration(n) * time.Second }
