package worker

import (
	"context"
	"encoding/json"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/imqueue/emq/dlq"
	"github.com/imqueue/emq/tasks"
	"github.com/imqueue/emq/tasks/redisserver"
	"github.com/imqueue/emq/tasks/redisserver/redistest"
	"github.com/imqueue/emq/worker/easemob/simulator"
)

// aclLines are the users that docs/redis.md tells people to make.
func aclLines(t *testing.T) (lines []string) {
	t.Helper()
	page, err := os.ReadFile("../docs/redis.md")
	must(t, err)
	_, after, _ := strings.Cut(string(page), "<!-- acl: begin -->")
	between, _, ok := strings.Cut(after, "<!-- acl: end -->")
	if !ok {
		t.Fatal("docs/redis.md has no marks around its users")
	}
	for line := range strings.Lines(between) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "user ") {
			lines = append(lines, line)
		}
	}
	return lines
}

// TestACL has producer, worker and operator do their work with just the rights that
// docs/redis.md gives them.
func TestACL(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	server := redistest.Start(t, redisserver.Options{})
	admin := redistest.Client(t, server)
	for _, line := range aclLines(t) {
		var args []any
		for _, word := range strings.Fields(strings.Replace(line, ">PASSWORD", ">s3cret", 1))[1:] {
			args = append(args, word)
		}
		must(t, admin.Do(ctx, append([]any{"ACL", "SETUSER"}, args...)...).Err())
	}
	as := func(user string) (string, redis.UniversalClient) {
		t.Helper()
		address := url.URL{Scheme: "redis", User: url.UserPassword(user, "s3cret"), Host: server.Addr()}
		rdb, err := tasks.OpenRedis(address.String())
		must(t, err)
		t.Cleanup(func() { _ = rdb.Close() })
		return address.String(), rdb
	}
	_, producer := as("emq-producer")
	workers, _ := as("emq-worker")
	_, operator := as("emq-operator")

	w := newWorldOn(t, workers, operator, simulator.Config{})
	var err error
	w.client, err = tasks.NewClient(tasks.ClientConfig{Redis: producer})
	must(t, err)
	operators, err := tasks.NewClient(tasks.ClientConfig{Redis: operator})
	must(t, err)
	w.store, err = dlq.New(dlq.Config{Redis: operator, Client: operators})
	must(t, err)
	group := w.group("boss")
	w.start()

	good := w.enqueue(text("u1"), tasks.ID("good"))
	_, err = w.client.Enqueue(ctx, text("u1"), tasks.ID("good"))
	if !strings.Contains(err.Error(), tasks.ErrDuplicate.Error()) {
		t.Errorf("once more: %v", err)
	}
	list := make([]tasks.Task, 300)
	for i := range list {
		list[i] = tasks.Task{Payload: text("u1")}
	}
	list[0].ProcessAt = time.Now().Add(2 * time.Second)
	receipts, err := w.client.EnqueueMany(ctx, list)
	must(t, err)
	for _, r := range receipts {
		must(t, r.Err)
	}
	bad := w.enqueue(tasks.GroupAddMembers{GroupID: group, Usernames: []string{"nobody"}}, tasks.ID("bad"))
	retried := w.enqueue(text("u3"), tasks.ID("retried"))
	w.fault(simulator.Fault{Path: "/messages/*", BodyContains: "u3", Status: 503, Times: 1})
	w.dead(bad)
	w.user("nobody")
	by := dlq.Actor{Name: "operator"}
	must(t, w.store.Resend(ctx, tasks.AppDefault, bad, by))
	w.idle()
	entry, err := w.store.Get(ctx, tasks.AppDefault, bad)
	if err != nil || entry.State != dlq.StateResolved {
		t.Errorf("resent: %+v, %v", entry.State, err)
	}
	for _, id := range []string{good, retried} {
		if n := w.executed(id); n < 1 {
			t.Errorf("%s was not delivered", id)
		}
	}
	second := w.enqueue(tasks.GroupAddMembers{GroupID: group, Usernames: []string{"other"}}, tasks.ID("second"))
	w.enqueue(tasks.GroupAddMembers{GroupID: group, Usernames: []string{"third"}}, tasks.ID("third"))
	entry = w.dead(second)
	w.dead("third")
	app, queue, all := tasks.AppDefault, usersQueue(tasks.Low), dlq.Filter{App: tasks.AppDefault}
	messages := limit(t, "90/s", "")
	var started []dlq.Operation
	for _, step := range []struct {
		what string
		do   func() error
	}{
		{"causes", func() error { _, err := w.store.Causes(ctx, all); return err }},
		{"cause", func() error { _, err := w.store.GetCause(ctx, app, entry.Cause); return err }},
		{"acknowledge", func() error { return w.store.Acknowledge(ctx, app, entry.Cause, by) }},
		{"ignore", func() error { return w.store.Ignore(ctx, app, entry.Cause, by) }},
		{"reopen", func() error { return w.store.Reopen(ctx, app, entry.Cause, by) }},
		{"list", func() error { _, err := w.store.List(ctx, all, "", 1); return err }},
		{"list by text", func() error { _, err := w.store.List(ctx, dlq.Filter{App: app, Text: "other"}, "", 10); return err }},
		{"each", func() error { return w.store.Each(ctx, all, func(dlq.Entry) error { return nil }) }},
		{"count", func() error { _, err := w.store.Count(ctx, all); return err }},
		{"find", func() error { _, err := w.store.Find(ctx, second); return err }},
		{"edit", func() error {
			return w.store.Edit(ctx, app, second, json.RawMessage(`{"group_id":"`+group+`","usernames":["another"]}`), by)
		}},
		{"discard", func() error { return w.store.Discard(ctx, app, second, by) }},
		{"restore", func() error { return w.store.Restore(ctx, app, second, by) }},
		{"export and import", func() error {
			entry, err := w.store.Get(ctx, app, second)
			must(t, err)
			line, err := entry.Export()
			must(t, err)
			_, err = w.store.Import(ctx, line, by, false)
			return err
		}},
		{"preview", func() error {
			_, err := w.store.Preview(ctx, dlq.Bulk{Action: dlq.ActionResend, Filter: all, By: by}, nil)
			return err
		}},
		{"freeze", func() (err error) {
			started, err = w.store.Freeze(ctx, dlq.Bulk{Action: dlq.ActionDiscard, Filter: all, By: by}, nil)
			return err
		}},
		{"set rate", func() error { return w.store.SetRate(ctx, app, started[0].ID, 100, by) }},
		{"start", func() error { return w.store.Start(ctx, app, started[0].ID, by) }},
		{"operations", func() error { _, err := w.store.Operations(ctx, app); return err }},
		{"pause", func() error { return w.store.Pause(ctx, queue, by) }},
		{"resume", func() error { return w.store.Resume(ctx, queue, by) }},
		{"hold", func() error {
			_, err := w.store.SetHold(ctx, dlq.Hold{App: app, Rule: "test", Since: time.Now(), By: "operator"})
			return err
		}},
		{"holds", func() error { _, err := w.store.Holds(ctx); return err }},
		{"clear hold", func() error { return w.store.ClearHold(ctx, app, "", by) }},
		{"set limit", func() error {
			return w.store.SetLimit(ctx, dlq.Limit{App: app, Endpoint: tasks.EndpointMessagesUsers, Limit: messages, Reason: "test", By: "operator"})
		}},
		{"limits", func() error { _, err := w.store.Limits(ctx); return err }},
		{"clear limit", func() error { return w.store.ClearLimit(ctx, app, tasks.EndpointMessagesUsers, by) }},
		{"queues", func() error { _, err := w.store.Queues(ctx, app); return err }},
		{"usage", func() error { _, err := w.store.Usage(ctx); return err }},
		{"unknown answers", func() error { _, err := w.store.Unknowns(ctx); return err }},
		{"forget unknown answers", func() error { _, err := w.store.ForgetUnknowns(ctx, app); return err }},
		{"sweep", func() error { _, err := w.store.Sweep(ctx, nil); return err }},
		{"audit", func() error { _, _, err := w.store.Audit(ctx, dlq.AuditFilter{}, "", 10); return err }},
	} {
		if err := step.do(); err != nil {
			t.Errorf("operator, %s: %v", step.what, err)
		}
	}
	w.eventually("the operation", func() bool {
		op, err := w.store.GetOperation(ctx, app, started[0].ID)
		return err == nil && op.State == dlq.OpDone
	})
	for _, f := range w.store.Examine(ctx, 10) {
		if f.Level == dlq.LevelUnknown {
			t.Errorf("doctor can't see: %s: %s", f.Check, f.What.En)
		}
	}
	denied, err := admin.Do(ctx, "ACL", "LOG").Slice()
	must(t, err)
	for _, one := range denied {
		t.Errorf("refused: %v", one)
	}

	for name, do := range map[string]func(redis.UniversalClient) error{
		"flush":     func(rdb redis.UniversalClient) error { return rdb.FlushAll(ctx).Err() },
		"settings":  func(rdb redis.UniversalClient) error { return rdb.ConfigSet(ctx, "maxmemory", "0").Err() },
		"shutdown":  func(rdb redis.UniversalClient) error { return rdb.Do(ctx, "SHUTDOWN", "NOSAVE").Err() },
		"keys":      func(rdb redis.UniversalClient) error { return rdb.Keys(ctx, "*").Err() },
		"other key": func(rdb redis.UniversalClient) error { return rdb.Set(ctx, "session:1", "x", 0).Err() },
	} {
		for user, rdb := range map[string]redis.UniversalClient{"producer": producer, "operator": operator} {
			if err := do(rdb); !redis.HasErrorPrefix(err, "NOPERM") {
				t.Errorf("%s, %s: %v, want NOPERM", user, name, err)
			}
		}
	}
	for name, do := range map[string]func() error{
		"list tasks":   func() error { return producer.LRange(ctx, "asynq:{q}:pending", 0, -1).Err() },
		"delete tasks": func() error { return producer.Del(ctx, "asynq:{q}:pending").Err() },
		"scan":         func() error { return producer.Scan(ctx, 0, "*", 10).Err() },
	} {
		if err := do(); !redis.HasErrorPrefix(err, "NOPERM") {
			t.Errorf("producer, %s: %v, want NOPERM", name, err)
		}
	}
}
