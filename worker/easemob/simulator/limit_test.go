package simulator_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/imqueue/emq/worker/easemob/simulator"
)

func TestLimitCalls(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Config{Apps: []simulator.App{
		{Key: "demo#emq", ClientID: simulator.ClientIDDefault, ClientSecret: simulator.ClientSecretDefault},
		{Key: "b#b", ClientID: simulator.ClientIDDefault, ClientSecret: simulator.ClientSecretDefault},
	}})
	if err := w.SetLimits(simulator.Limits{
		simulator.ClassGroups: {CallsPerSecond: 2},
		simulator.ClassUsers:  {CallsPerSecond: 2},
	}); err != nil {
		t.Fatal(err)
	}
	status := func(method, path string) int { return w.api(method, path, "{}").status }
	list := func() int { return status("GET", "/chatgroups") }

	for range 2 {
		if list() != 200 {
			t.Fatal("refused within the limit")
		}
	}
	got := w.api("GET", "/chatgroups", "")
	if code, text := got.refused(t); got.status != 429 || code != "reach_limit" || text != "This request has reached api limit" {
		t.Errorf("over the limit: got %v", got)
	}
	if got.header.Get("Retry-After") != "" {
		t.Error("the vendor sends no Retry-After")
	}
	if status("GET", "/chatgroups/1") == 429 {
		t.Error("another endpoint of groups shares the count")
	}
	if status("GET", "/users/u1") != 404 || status("PUT", "/users/u1/password") == 429 || status("DELETE", "/users/u1") != 429 {
		t.Error("the endpoints of users do not share one count")
	}

	// Sliding: the two calls above leave the window a second after themselves,
	// and the refused one never was in it.
	w.clock.add(500 * time.Millisecond)
	if list() != 429 {
		t.Error("allowed a third call within a second")
	}
	w.clock.add(500 * time.Millisecond)
	if list() != 200 {
		t.Error("refused after a second")
	}
	w.clock.add(900 * time.Millisecond)
	if list() != 200 || list() != 429 {
		t.Error("the window is not one second, wherever it starts")
	}

	// Another app has its own count.
	var tk struct {
		AccessToken string `json:"access_token"`
	}
	_ = json.Unmarshal(serve(w.Simulator, request("POST", "/b/b/token", credentials, "")).body, &tk)
	if got := serve(w.Simulator, request("GET", "/b/b/chatgroups", "", tk.AccessToken)); got.status != 200 {
		t.Errorf("the other app: got %v", got)
	}
	if err := w.SetLimits(nil); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		if list() != 200 {
			t.Error("refused without a limit")
		}
	}
}

func TestLimitMessages(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Config{Limits: simulator.DocumentedLimits()})
	groups := step{method: "POST", path: "/messages/chatgroups", body: `{"to":["1","2","3"],"type":"txt","body":{"msg":"x"}}`}
	over := func(st step) step {
		st.status, st.code, st.text = 403, "message_send_error", "message send reach limit"
		return st
	}
	for range 6 { // 18 of 20 messages
		w.run([]step{groups})
	}
	w.run([]step{over(groups)}) // all three or none
	two := groups
	two.body = `{"to":["1","2"],"type":"txt","body":{"msg":"x"}}`
	w.run([]step{two, over(two)})
	w.clock.add(time.Second)
	w.run([]step{groups})

	full := step{name: "600 users", method: "POST", path: "/messages/users", body: `{"to":` + list(600) + `,"type":"txt","body":{"msg":"x"}}`}
	for range 10 {
		w.run([]step{full})
	}
	w.clock.add(59 * time.Second)
	w.run([]step{over(full)})
	w.clock.add(time.Second)
	w.run([]step{full})

	// Sends that were refused did not take from the messages.
	if n := w.Counts(); n.Executed != 19 || n.Calls["POST /messages/users"][403] != 1 {
		t.Errorf("counts %+v", n)
	}

	directed := step{name: "directed", method: "POST", path: "/messages/chatgroups/users", body: `{"to":["1"],"users":` + list(20) + `,"type":"txt","body":{"msg":"x"}}`}
	for range 5 { // 20 users are 20 messages
		w.run([]step{directed})
	}
	w.run([]step{over(directed)})
}
