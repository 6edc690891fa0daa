package dlq_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/imqueue/emq/dlq"
	"github.com/imqueue/emq/errclass"
	"github.com/imqueue/emq/tasks"
)

// What went wrong, grouped by cause; and everything of one cause put to work again.
func Example() {
	server, err := miniredis.Run()
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()
	rdb, err := tasks.OpenRedis("redis://" + server.Addr())
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = rdb.Close() }()
	client, err := tasks.NewClient(tasks.ClientConfig{Redis: rdb})
	if err != nil {
		log.Fatal(err)
	}
	store, err := dlq.New(dlq.Config{Redis: rdb, Client: client})
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	for _, id := range []string{"order-1", "order-2", "order-3"} {
		buryOne(ctx, store, id)
	}

	causes, err := store.Causes(ctx, dlq.Filter{State: dlq.StateDead})
	if err != nil {
		log.Fatal(err)
	}
	for _, c := range causes {
		fmt.Printf("%d × %s: %s\n", c.Counts[dlq.StateDead], c.Rule, c.Advice.En)
	}

	by := dlq.Actor{Name: "ann", Note: "u1 is registered now"}
	err = store.Each(ctx, dlq.Filter{State: dlq.StateDead, Cause: causes[0].ID}, func(e dlq.Entry) error {
		return store.Resend(ctx, e.App, e.ID, by)
	})
	if err != nil {
		log.Fatal(err)
	}
	resending, err := store.Count(ctx, dlq.Filter{State: dlq.StateResending})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("resending:", resending)
	// Output:
	// 3 × unknown-user: Register the user, then resend.
	// resending: 3
}

// buryOne is what a worker does with a task that failed for good.
func buryOne(ctx context.Context, store *dlq.Store, id string) {
	t, err := tasks.ParseEnvelope([]byte(`{"id":"` + id + `","app":"default","kind":"message.send","priority":"default",
		"on_unknown":"retry","max_attempts":20,"max_age":"24h",
		"payload":{"target":"users","to":["u1"],"type":"txt","body":{"msg":"shipped"}}}`))
	if err != nil {
		log.Fatal(err)
	}
	t.EnqueuedAt = time.Now()
	err = store.Put(ctx, dlq.Death{Task: t, Verdict: errclass.Verdict{
		Class: errclass.ClassPermanent, Scope: errclass.ScopeJob, Rule: "unknown-user", Status: 404,
		Error: "service_resource_not_found", Description: "user u1 does not exist",
		Advice: errclass.Text{En: "Register the user, then resend.", Zh: "注册该用户后重新发送。"},
	}})
	if err != nil {
		log.Fatal(err)
	}
}
