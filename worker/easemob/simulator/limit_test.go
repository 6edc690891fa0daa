package simulator_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/imqueue/emq/worker/easemob/simulator"
)

func perSecond(n int) simulator.Limit {
	return simulator.Limit{Calls: simulator.Rates{{Count: n, Per: time.Second}}}
}

func TestLimitCalls(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Config{Apps: []simulator.App{
		{Key: "demo#emq", ClientID: simulator.ClientIDDefault, ClientSecret: simulator.ClientSecretDefault},
		{Key: "b#b", ClientID: simulator.ClientIDDefault, ClientSecret: simulator.ClientSecretDefault},
	}})
	if err := w.SetLimits(simulator.Limits{"GET /chatgroups": perSecond(2), simulator.PoolAccounts: perSecond(3), "DELETE /users": perSecond(1)}); err != nil {
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
	if status("GET", "/users/u1") != 404 || status("PUT", "/users/u1/password") == 429 || status("POST", "/users/u1/deactivate") == 429 || status("DELETE", "/users/u1") != 429 {
		t.Error("the calls about accounts do not share one count")
	}
	if status("POST", "/users/u1/contacts/users/u2") == 429 || status("POST", "/mutes") == 429 || status("DELETE", "/metadata/user/u1") == 429 {
		t.Error("contacts, mutes and attributes share the count of accounts")
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
	// One endpoint is in two counts.
	if status("DELETE", "/users?limit=1") != 200 || status("DELETE", "/users?limit=1") != 429 || status("GET", "/users") != 200 || status("GET", "/users") != 200 || status("GET", "/users") != 429 {
		t.Error("deleting users in a batch is not counted by itself and among accounts")
	}
	if got, want := w.Counts().OverLimit, map[string]int64{"GET /chatgroups": 3, "accounts": 2, "DELETE /users": 1}; !reflect.DeepEqual(got, want) {
		t.Errorf("over limit %v, want %v", got, want)
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
	if n := w.Counts(); n.Executed != 19 || n.Calls["POST /messages/users"][403] != 1 || n.OverLimit["POST /messages/chatgroups"] != 2 {
		t.Errorf("counts %+v", n)
	}

	directed := step{name: "directed", method: "POST", path: "/messages/chatgroups/users", body: `{"to":["1"],"users":` + list(20) + `,"type":"txt","body":{"msg":"x"}}`}
	for range 5 { // 20 users are 20 messages
		w.run([]step{directed})
	}
	rooms := directed
	rooms.path = "/messages/chatrooms/users"
	w.run([]step{over(directed), rooms})

	old := over(directed)
	old.text = "Forbidden for url: [http://example.com/demo/emq/messages/chatgroups/users]"
	if err := w.SetLimits(simulator.Limits{"POST /messages/chatgroups/users": {Messages: simulator.Rates{{Count: 20, Per: time.Minute}}, OldText: true}}); err != nil {
		t.Fatal(err)
	}
	w.run([]step{directed, old})
}

// docs: so many calls in a time, and so many a day, which begins at 00:00 UTC.
func TestLimitBroadcasts(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Config{Limits: simulator.DocumentedLimits()}) // it is noon
	const body = `{"msg":{"type":"txt","msg":"x"}}`
	send := func(path string) step { return step{name: path, method: "POST", path: path, body: body} }
	often := func(path string) step {
		st := send(path)
		st.status, st.code, st.text = 429, "reach_limit", "This request has reached api limit"
		return st
	}
	all, rooms := "/messages/broadcast", "/messages/chatrooms/broadcast"
	for range 3 {
		w.token = w.newToken()
		w.run([]step{send(all), often(all)})
		w.clock.add(30 * time.Minute)
	}
	used := send(all)
	used.status, used.code, used.text = 403, "forbidden_op", "broadcast limit exceeded"
	w.run([]step{used})
	w.clock.add(10*time.Hour + 30*time.Minute) // to midnight
	w.run([]step{send(all)})

	w.run([]step{send(rooms), often(rooms)})
	for range 9 {
		w.clock.add(time.Second)
		w.run([]step{send(rooms)})
	}
	w.clock.add(time.Second)
	w.run([]step{often(rooms)}) // ten in a minute
	w.clock.add(time.Minute)
	for range 9 {
		for range 10 {
			w.clock.add(6 * time.Second)
			w.run([]step{send(rooms)})
		}
	}
	w.clock.add(time.Minute)
	used = send(rooms)
	used.status, used.code, used.text = 403, "forbidden_op", "chatroom broadcast limit exceeded"
	w.run([]step{used})
}

func TestLimitDocumented(t *testing.T) {
	t.Parallel()
	text, err := json.Marshal(simulator.DocumentedLimits())
	if err != nil {
		t.Fatal(err)
	}
	var back simulator.Limits
	if err := json.Unmarshal(text, &back); err != nil || !reflect.DeepEqual(back, simulator.DocumentedLimits()) {
		t.Errorf("read back %v, %v", back, err)
	}
	var got map[string]struct{ Calls, Messages string }
	_ = json.Unmarshal(text, &got)
	for name, want := range map[string]string{
		"POST /token": "300/1s", "POST /messages/users": "100/1s 6000/1m0s", "POST /messages/chatgroups": "20/1s 20/1s", "POST /messages/chatrooms": "100/1s 100/1s",
		"POST /messages/chatgroups/users": " 100/1s", "POST /messages/chatrooms/users": " 100/1s", "POST /messages/broadcast": "1/30m0s,3/24h0m0s",
		"accounts": "100/1s", "POST /chatrooms": "50/1s", "POST /users/{user}/blocks/users": "50/1s", "POST /chatgroups": "100/1s", "POST /messages/msg_recall": "100/1s",
	} {
		if l := got[name]; strings.TrimRight(l.Calls+" "+l.Messages, " ") != want {
			t.Errorf("%s: %q %q, want %q", name, l.Calls, l.Messages, want)
		}
	}
	if _, ok := got["GET /users/{user}"]; ok {
		t.Error("a call about accounts has a limit of its own")
	}
}

// The clients' own calls take their part of a limit, and of that alone.
func TestLimitOthers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Config{Limits: simulator.Limits{"GET /chatgroups": perSecond(5)}})
	let := func() (n int) {
		w.clock.add(time.Second)
		for w.api("GET", "/chatgroups", "").status == 200 {
			n++
		}
		return n
	}
	set := func(n int) {
		if err := w.SetOthers(map[string]int{"GET /chatgroups": n, "GET /chatrooms": 1}); err != nil {
			t.Fatal(err)
		}
	}
	for others, want := range map[int]int{0: 5, 3: 2, 5: 0, 9: 0} {
		set(others)
		if got := let(); got != want {
			t.Errorf("with %d calls of others %d passed, want %d", others, got, want)
		}
	}
	if w.api("GET", "/chatrooms", "").status != 200 {
		t.Error("others at an endpoint without a limit cost calls")
	}
	set(0)
	w.clock.add(time.Second)
	w.api("GET", "/chatgroups", "")
	set(3) // counts stay
	if a, b := w.api("GET", "/chatgroups", "").status, w.api("GET", "/chatgroups", "").status; a != 200 || b != 429 {
		t.Errorf("one call before others came: then %d and %d, want 200 and 429", a, b)
	}
}

func TestReceived(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Config{Limits: simulator.Limits{"POST /messages/users": perSecond(1)}})
	began := w.clock.Now()
	w.api("POST", "/messages/users", message)
	w.clock.add(300 * time.Millisecond)
	w.api("POST", "/messages/users", strings.Replace(message, `["u1"]`, `["u1","u2"]`, 1))
	id := must[string](t)(w.AddFault(simulator.Fault{Status: 503}))
	w.do("GET", "/no/app/x", "")
	const send = "POST /messages/users"
	want := []simulator.Call{
		{Time: began, App: "demo#emq", Endpoint: "POST /token", Status: 200},
		{Time: began, App: "demo#emq", Endpoint: send, Status: 200, Messages: 1},
		{Time: began.Add(300 * time.Millisecond), App: "demo#emq", Endpoint: send, Status: 429, OverLimit: send},
		{Time: began.Add(300 * time.Millisecond), Endpoint: "unknown", Status: 503, Fault: id},
	}
	if got := w.Received(0); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := w.Received(3); !reflect.DeepEqual(got, want[3:]) {
		t.Errorf("after three: %+v", got)
	}
	lines := strings.Split(strings.TrimSpace(string(w.control("GET", "/calls?since=2", "").body)), "\n")
	if len(lines) != 2 || canonical(t, []byte(lines[0])) !=
		`{"app":"demo#emq","endpoint":"POST /messages/users","over_limit":"POST /messages/users","status":429,"time":"2026-03-01T12:00:00.3Z"}` {
		t.Errorf("lines %q", lines)
	}
}
