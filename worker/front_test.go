package worker

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/imqueue/emq/tasks"
	"github.com/imqueue/emq/worker/easemob/simulator"
)

// A task whose call met a limit is the next of its queue again, spends no
// attempt, and is not asked for while its endpoint is closed.
func TestALimitKeepsTheOrder(t *testing.T) {
	t.Parallel()
	for name, refusal := range map[string]simulator.Fault{
		"429": {Status: 429, Body: map[string]any{"error": "reach_limit", "error_description": "This request has reached api limit"}},
		"403": {Status: 403, Body: map[string]any{"error": "message_send_error", "error_description": "message send reach limit"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, simulator.Config{})
			refusal.Path, refusal.Times = "/messages/users", 2
			w.fault(refusal)
			var want []string
			for i := range 5 {
				want = append(want, w.enqueue(text("u1"), tasks.ID(fmt.Sprintf("m%d", i)), tasks.MaxAttempts(1)))
			}
			w.start(func(c *Config) { c.Concurrency = 1 })
			w.eventually("delivery", func() bool { return len(w.sim.Executed()) == 5 })
			w.idle()
			w.noDeadLetters()
			var got []string
			for _, e := range w.sim.Executed() {
				got = append(got, e.EmqID)
			}
			if !slices.Equal(got, want) {
				t.Errorf("order %v, want %v", got, want)
			}
		})
	}
}

// A call that meets a limit every time loses its place before long: the others
// of its queue must not wait for it.
func TestOneThatIsAlwaysLimitedLetsOthersPass(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Config{})
	w.fault(simulator.Fault{
		Path: "/messages/users", BodyContains: "never", Status: 429,
		Body: map[string]any{"error": "reach_limit", "error_description": "This request has reached api limit"},
	})
	w.enqueue(tasks.Message{Target: tasks.Users, To: []string{"u1"}, Body: tasks.Text{Msg: "never"}}, tasks.MaxAge(20*time.Second))
	id := w.enqueue(text("u1"))
	w.start(func(c *Config) { c.Concurrency = 1 })
	w.eventually("the other one", func() bool { return w.executed(id) == 1 })
}
