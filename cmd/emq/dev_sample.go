package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/imqueue/emq/dlq"
	"github.com/imqueue/emq/tasks"
	"github.com/imqueue/emq/worker/easemob/simulator"
)

// devSample is the traffic that dev feeds: a bit of everything that happens.
type devSample struct {
	run      string   // begins every ID, so that a second run on the same data is new
	group    string   // a group of the simulator
	messages []string // IDs of messages that must be executed exactly once
	held     []string // those of them that wait behind the hold
	// exhausted and handOver are two of the dead letters.
	exhausted, handOver string
	dead                []string // IDs of what must become dead letters
}

func (s *devSample) id(name string) string { return s.run + "-" + name }

func devMessage(to, text string) tasks.Message {
	return tasks.Message{Target: tasks.Users, To: []string{to}, From: "shop", Body: tasks.Text{Msg: text}}
}

// feed prepares the simulator's state and faults and enqueues the sample.
func (d *dev) feed(ctx context.Context) error {
	s := &devSample{run: time.Now().UTC().Format("150405")}
	d.sample = s
	var err error
	if s.group, err = d.sim.CreateGroup("", simulator.Group{Owner: "boss", Members: []string{"ann", "bob"}}); err != nil {
		return err
	}
	for _, f := range []simulator.Fault{
		{Path: "/messages/*", BodyContains: "flash sale", Times: 3, Status: 429,
			Body: map[string]any{"error": "reach_limit", "error_description": "This request has reached api limit"}},
		// Not answered in time, and not executed.
		{Path: "/messages/*", BodyContains: "slow network", Times: 1, Latency: devCallTimeout + time.Second, Cut: simulator.CutBefore},
		{Path: "/messages/*", BodyContains: "gateway down", Status: 503},
		{App: devTrialKey, Path: "/messages/*", Status: 429, Body: map[string]any{
			"error":             "resource_limited",
			"error_description": "You have exceeded the limit of the community edition. Please upgrade to the enterprise edition.",
		}},
	} {
		if _, err := d.sim.AddFault(f); err != nil {
			return err
		}
	}

	var list []tasks.Task
	message := func(name, to, text string, change ...func(*tasks.Task)) {
		t := tasks.Task{ID: s.id(name), Payload: devMessage(to, text)}
		for _, c := range change {
			c(&t)
		}
		s.messages = append(s.messages, t.ID)
		list = append(list, t)
	}
	for i := range 8 {
		message(fmt.Sprintf("order-%d-shipped", 8801+i), fmt.Sprintf("u%d", i+1), "Your order has been shipped.")
	}
	for i := range 3 {
		message(fmt.Sprintf("flash-sale-%d", i+1), fmt.Sprintf("u%d", i+1), "The flash sale begins.")
	}
	message("slow-network", "u1", "Sent over a slow network.")
	message("gateway-down", "u1", "Sent while the gateway down.", func(t *tasks.Task) { t.MaxAttempts = 2 })
	s.exhausted = s.id("gateway-down")
	s.dead = append(s.dead, s.exhausted)
	for i := range 3 {
		message(fmt.Sprintf("trial-%d", i+1), "u1", "From an app whose plan is used up.", func(t *tasks.Task) { t.App = devTrialApp })
		s.held = append(s.held, s.id(fmt.Sprintf("trial-%d", i+1)))
	}
	for name, payload := range map[string]tasks.Payload{
		"add-ann-again":   tasks.GroupAddMembers{GroupID: s.group, Usernames: []string{"ann"}},
		"owner-is-boss":   tasks.GroupTransferOwner{GroupID: s.group, NewOwner: "boss"},
		"register-carol":  tasks.UserRegister{Users: []tasks.NewUser{{Username: "carol", Password: "s3cret"}}},
		"add-dave":        tasks.GroupAddMembers{GroupID: s.group, Usernames: []string{"dave"}}, // no such user
		"hand-over-group": tasks.GroupTransferOwner{GroupID: s.group, NewOwner: "eve"},          // not a member
	} {
		list = append(list, tasks.Task{ID: s.id(name), Payload: payload})
	}
	s.handOver = s.id("hand-over-group")
	s.dead = append(s.dead, s.id("add-dave"), s.handOver)

	receipts, err := d.client.EnqueueMany(ctx, list)
	if err != nil {
		return err
	}
	for _, r := range receipts {
		if r.Err != nil {
			return r.Err
		}
	}
	d.printf("%d tasks enqueued: messages that succeed, are rate limited, time out once or can't succeed;\n"+
		"group operations already done; an app whose plan is used up.\n\n", len(list))

	return d.await(ctx, "the sample to come to its end", func() (bool, error) {
		waiting, err := d.waiting(ctx, tasks.AppDefault)
		if err != nil || waiting > 0 {
			return false, err
		}
		holds, err := d.store.Holds(ctx, devTrialApp)
		return len(holds) > 0, err
	})
}

// proveSample shows the sample's end, mends the faults, resends, and checks.
func (d *dev) proveSample(ctx context.Context) error {
	s := d.sample
	dead, err := d.store.Count(ctx, dlq.Filter{State: dlq.StateDead})
	if err != nil {
		return err
	}
	waiting, err := d.waiting(ctx, devTrialApp)
	if err != nil {
		return err
	}
	d.printf("\nBefore the faults are mended\n  delivered       %d\n  retried         %d\n  dead letters    %d\n  held            %d (app %s)\n",
		d.view.count("done"), d.view.count("retry"), dead, waiting, devTrialApp)
	causes, err := d.store.Causes(ctx, dlq.Filter{})
	if err != nil {
		return err
	}
	for _, c := range causes {
		d.printf("  ✗ %d × %s: %s\n      what to do: %s\n", c.Counts[dlq.StateDead], c.ID, c.Why.En, c.Advice.En)
	}
	if dead != len(s.dead) || waiting != len(s.held) {
		return fmt.Errorf("%d dead letters and %d held tasks, want %d and %d", dead, waiting, len(s.dead), len(s.held))
	}

	d.printf("\nThe faults are mended: the gateway is back, dave exists, eve is a member, the plan is paid for.\n" +
		"The hold is cleared and every dead letter resent.\n\n")
	d.sim.ClearFaults()
	if err := d.mendGroup(ctx); err != nil {
		return err
	}
	by := dlq.Actor{Name: "emq dev", Note: "faults mended"}
	if err := d.store.ClearHold(ctx, devTrialApp, "", by); err != nil {
		return err
	}
	for _, id := range s.dead {
		if err := d.store.Resend(ctx, tasks.AppDefault, id, by); err != nil {
			return err
		}
	}
	err = d.await(ctx, "the resent tasks to end", func() (bool, error) {
		left := 0
		for _, app := range []string{tasks.AppDefault, devTrialApp} {
			n, err := d.waiting(ctx, app)
			if err != nil {
				return false, err
			}
			left += n
		}
		return left == 0, nil
	})
	if err != nil {
		return err
	}
	return d.check(ctx)
}

// mendGroup registers dave and adds eve to the group, as somebody would by
// hand: through emq.
func (d *dev) mendGroup(ctx context.Context) error {
	if err := d.sim.CreateUsers("", "dave", "eve"); err != nil {
		return err
	}
	_, err := d.client.Enqueue(ctx, tasks.GroupAddMembers{GroupID: d.sample.group, Usernames: []string{"eve"}}, tasks.ID(d.sample.id("add-eve")))
	if err != nil {
		return err
	}
	return d.await(ctx, "eve to join the group", func() (bool, error) {
		group, _ := d.sim.Group("", d.sample.group)
		return slices.Contains(group.Members, "eve"), nil
	})
}

// check compares what emq says with what the simulator recorded.
func (d *dev) check(ctx context.Context) error {
	s := d.sample
	var faults []error
	for _, id := range s.dead {
		entry, err := d.store.Get(ctx, tasks.AppDefault, id)
		if err != nil {
			return err
		}
		d.printf("  %-28s %s (generation %d, %d failed attempts)\n", id, entry.State, entry.Generation, len(entry.Attempts))
		if entry.State != dlq.StateResolved {
			faults = append(faults, fmt.Errorf("%s is %s, want it resolved", id, entry.State))
		}
	}
	executed := d.sim.EmqIDs()
	for _, id := range s.messages {
		switch n := executed[id]; {
		case n == 0:
			faults = append(faults, fmt.Errorf("%s is lost", id))
		case n > 1:
			faults = append(faults, fmt.Errorf("%s was sent %d times", id, n))
		}
	}
	group, _ := d.sim.Group("", s.group)
	if group.Owner != "eve" || !slices.Contains(group.Members, "dave") {
		faults = append(faults, fmt.Errorf("the group belongs to %s with members %v, want eve as owner and dave in it", group.Owner, group.Members))
	}
	if _, ok := d.sim.User("", "carol"); !ok {
		faults = append(faults, errors.New("carol was not registered"))
	}
	if err := errors.Join(faults...); err != nil {
		return err
	}
	d.printf("\nChecked by the simulator's record: %d messages, each executed once; group and users as ordered.\n"+
		"Nothing was lost, nothing was sent twice.\n", len(s.messages))
	return nil
}

// waiting counts an app's tasks that are in a queue, in any state.
func (d *dev) waiting(ctx context.Context, app string) (int, error) {
	queues, err := d.store.Queues(ctx, app)
	n := 0
	for _, q := range queues {
		n += q.Pending + q.Active + q.Scheduled + q.Retry + q.Archived
	}
	return n, err
}

// await asks until done says so.
func (d *dev) await(ctx context.Context, what string, done func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, devPatience)
	defer cancel()
	for {
		ok, err := done()
		if err != nil || ok {
			return err
		}
		select {
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.Canceled) {
				return ctx.Err()
			}
			return fmt.Errorf("waited %v in vain for %s", devPatience, what)
		case <-time.After(50 * time.Millisecond):
		}
	}
}
