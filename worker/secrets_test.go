package worker

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/imqueue/emq/tasks"
	"github.com/imqueue/emq/worker/easemob/simulator"
)

// TestEchoedPasswordIsHidden has Easemob repeat the passwords that calls set, in answers
// that some rule knows and in others.
func TestEchoedPasswordIsHidden(t *testing.T) {
	t.Parallel()
	const long, short = `canary-pass"word/of a user`, "canary7"
	raw := json.RawMessage(`{"newpassword":"canary7"}`)
	for name, c := range map[string]struct {
		payload tasks.Payload
		status  int
		body    any
		counted bool // among the unknown answers
	}{
		"known":    {tasks.UserRegister{Users: []tasks.NewUser{{Username: "u1", Password: long}}}, 400, answers("illegal_argument", "password "+long+" is too odd"), false},
		"unknown":  {tasks.UserRegister{Users: []tasks.NewUser{{Username: "u1", Password: long}}}, 400, answers("odd_password", "what is "+long), true},
		"the word": {tasks.UserResetPassword{Username: "u1", NewPassword: short}, 400, answers("no, not "+short, "odd"), true},
		"no JSON":  {tasks.UserResetPassword{Username: "u1", NewPassword: short}, 418, "<p>" + short + "</p>", false},
		"a call":   {tasks.RawCall{Method: "PUT", Path: "/users/u1/password", Body: raw}, 400, answers("odd_password", "what is "+short), true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, simulator.Config{})
			w.fault(simulator.Fault{Path: "/users", Status: c.status, Body: c.body})
			w.fault(simulator.Fault{Path: "/users/*/password", Status: c.status, Body: c.body})
			w.start()
			entry := w.dead(w.enqueue(c.payload, tasks.MaxAttempts(1)))
			unknown, err := w.store.Unknowns(context.Background())
			must(t, err)
			if (len(unknown) > 0) != c.counted {
				t.Errorf("%d unknown answers", len(unknown))
			}
			if body := entry.Attempts[0].Body; !strings.Contains(body, "[hidden]") {
				t.Errorf("the excerpt does not show that something is hidden: %s", body)
			}
			entry.Payload = nil
			kept, err := json.Marshal(map[string]any{"entry": entry, "unknown": unknown, "log": w.logs.String()})
			must(t, err)
			if i := strings.Index(string(kept), "canary"); i >= 0 {
				t.Errorf("kept: …%s", kept[max(0, i-200):min(len(kept), i+100)])
			}
		})
	}
}

func answers(word, description string) map[string]any {
	return map[string]any{"error": word, "error_description": description}
}
