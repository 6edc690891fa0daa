package simulator_test

import (
	"encoding/json"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/imqueue/emq/worker/easemob/simulator"
)

// list returns a JSON list of n names.
func list(n int) string {
	out := make([]string, n)
	for i := range out {
		out[i] = "n" + strconv.Itoa(i)
	}
	b, _ := json.Marshal(out)
	return string(b)
}

func TestSendRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Config{})
	const text = `"type":"txt","body":{"msg":"x"}`
	sends := []struct{ path, to string }{
		{"/messages/users", "601"}, {"/messages/chatgroups", "4"}, {"/messages/chatrooms", "11"},
		{"/messages/chatgroups/users", "2"}, {"/messages/chatrooms/users", "2"},
	}
	for _, s := range sends {
		over, _ := strconv.Atoi(s.to)
		bad := func(body, text string) {
			t.Helper()
			w.run([]step{{method: "POST", path: s.path, body: body, status: 400, code: "message_send_error", text: text}})
		}
		users := ""
		if strings.Count(s.path, "/") == 3 { // directed
			bad(`{"to":["1"],`+text+`}`, "param users can't be empty")
			bad(`{"to":["1"],`+text+`,"users":`+list(21)+`}`, "params users's size can't exceed limit 20")
			users = `,"users":["u1","u2"]`
		}
		bad(`{"from":"","to":["1"],`+text+users+`}`, "param from can't be empty")
		bad(`{`+text+users+`}`, "param to can't be empty")
		bad(`{"to":[],`+text+users+`}`, "param to can't be empty")
		bad(`{"to":`+list(over)+`,`+text+users+`}`, "params to's size can't exceed limit "+strconv.Itoa(over-1))
		bad(`{"to":["1"],"body":{"msg":"x"}`+users+`}`, "param type can't be empty")
		bad(`{"to":["1"],"type":""`+users+`}`, "param type can't be empty")
		for _, empty := range []string{``, `,"body":null`, `,"body":{}`, `,"body":{ }`} {
			bad(`{"to":["1"],"type":"txt"`+empty+users+`}`, "param body can't be empty")
		}
		bad(`{"to":["1"],`+text+`,"ext":null`+users+`}`, "param ext must be JSONObject")
		bad(`{"to":["1"],`+text+`,"ext":"x"`+users+`}`, "param ext must be JSONObject")
		if s.path != "/messages/users" {
			bad(`{"to":["1"],`+text+`,"roam_ignore_users":`+list(21)+users+`}`, "params roam_ignore_users's size can't exceed limit 20")
		}
		for _, body := range []string{``, `{`, `[]`, `{"to":"u1",` + text + `}`, `{"to":["u1"],"type":"txt","body":"x"` + users + `}`} {
			w.run([]step{{method: "POST", path: s.path, body: body, status: 400, code: "invalid_request_body", text: "Request body is invalid. Please check body is correct."}})
		}
		w.run([]step{{name: s.path + " at its limit", method: "POST", path: s.path, body: `{"to":` + list(over-1) + `,` + text + users + `}`}})
	}
	if n := w.Counts().Executed; n != int64(len(sends)) {
		t.Errorf("executed %d, want %d: refused sends are not executed", n, len(sends))
	}
}

func TestSendSize(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Config{})
	message := func(size int) string { // of body and ext together
		ext := `{"a":1}`
		body := `{"msg":"` + strings.Repeat("x", size-len(ext)-len(`{"msg":""}`)) + `"}`
		return `{"to":["u1"],"type":"txt","body":` + body + `,"ext":` + ext + `}`
	}
	if got := w.api("POST", "/messages/users", message(5<<10)); got.status != 200 {
		t.Errorf("5 KB: got %v", got)
	}
	got := w.api("POST", "/messages/users", message(5<<10+1))
	var body struct {
		Code int `json:"error_code"`
	}
	_ = json.Unmarshal(got.body, &body)
	if code, text := got.refused(t); got.status != 400 || code != "message_send_error" || text != "message is too large" || body.Code != 14007 {
		t.Errorf("over 5 KB: got %v", got)
	}
}

func TestSendAnswersAndRecord(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Config{})
	// Nobody exists here, and all is well all the same.
	got := w.api("POST", "/messages/users", `{"from":"ghost","to":["Nobody","u2","u2"],"type":"txt","body":{"msg":"x"},"ext":{"emq_id":"t1","order":9007199254740993}}`)
	var body struct{ Data map[string]string }
	if err := json.Unmarshal(got.body, &body); err != nil || got.status != 200 {
		t.Fatalf("%v: %v", err, got)
	}
	if len(body.Data) != 2 || body.Data["nobody"] == "" || body.Data["u2"] == "" {
		t.Fatalf("data %v, want one id for each target in lower case", body.Data)
	}
	for target, id := range body.Data {
		n, err := strconv.ParseInt(id, 10, 64)
		if err != nil || n <= 1<<53 || strings.Trim(id, "0123456789") != "" {
			t.Errorf("id of %s is %q, want digits above 2^53", target, id)
		}
	}
	w.clock.add(time.Second)
	w.run([]step{
		{method: "POST", path: "/messages/chatgroups", body: `{"to":["G7"],"type":"custom","body":{"customEvent":"e"},"ext":{"emq_id":"t1"}}`},
		{method: "POST", path: "/messages/chatrooms/users", body: `{"to":["7"],"users":["u1"],"type":"cmd","body":{"action":"a"},"ext":{"emq_id":7}}`},
	})

	all := w.Executed()
	if len(all) != 3 {
		t.Fatalf("recorded %d, want 3", len(all))
	}
	e := all[0]
	e.Body = nil
	want := simulator.Execution{
		Seq: 1, Time: w.clock.Now().Add(-time.Second), App: "demo#emq", Method: "POST", Path: "/messages/users", EmqID: "t1",
		Targets: []string{"nobody", "u2"}, IDs: []string{body.Data["nobody"], body.Data["u2"]},
	}
	if !reflect.DeepEqual(e, want) {
		t.Errorf("recorded %+v, want %+v", e, want)
	}
	if !strings.Contains(string(all[0].Body), "9007199254740993") {
		t.Errorf("recorded body %s", all[0].Body)
	}
	if all[1].Targets[0] != "G7" || all[1].Seq != 2 || all[2].EmqID != "" {
		t.Errorf("recorded %+v and %+v", all[1], all[2])
	}
	if got := w.EmqIDs(); !reflect.DeepEqual(got, map[string]int{"t1": 2}) {
		t.Errorf("emq ids %v", got)
	}
	if n := w.Counts(); n.Executed != 3 || n.DistinctEmqIDs != 1 || n.Duplicates != 1 || n.Calls["POST /messages/users"][200] != 1 {
		t.Errorf("counts %+v", n)
	}
	if since := w.ExecutedSince(2); len(since) != 1 || since[0].Seq != 3 {
		t.Errorf("since 2: %+v", since)
	}
	if since := w.ExecutedSince(99); len(since) != 0 {
		t.Errorf("since 99: %+v", since)
	}
}

func TestSendLegacy(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Config{})
	const msg = `"msg":{"type":"txt","msg":"x"}`
	w.run([]step{
		{method: "POST", path: "/messages", body: `{"target_type":"users","target":["U1","u2"],` + msg + `,"from":"a","ext":{"emq_id":"t"}}`, data: `{"u1":"success","u2":"success"}`},
		{method: "POST", path: "/messages", body: `{"target_type":"rooms","target":["1"],` + msg + `}`, status: 400, code: "illegal_argument", text: "target_type can only be 'users' or 'chatgroups' or 'chatrooms'"},
		{method: "POST", path: "/messages", body: `{"target_type":"chatrooms","target":["1"],` + msg + `,"from":""}`, status: 400, code: "illegal_argument", text: "from can't be empty"},
		{method: "POST", path: "/messages", body: `{"target_type":"chatgroups","target":[],` + msg + `}`, status: 400, code: "illegal_argument", text: "this is an invalid request."},
		{name: "too large", method: "POST", path: "/messages", body: `{"target_type":"users","target":["1"],"msg":{"msg":"` + strings.Repeat("x", 5<<10) + `"}}`, status: 413, code: "Request Entity Too Large", text: "Request Entity Too Large"},
	})
	if ids := w.EmqIDs(); ids["t"] != 1 {
		t.Errorf("emq ids %v", ids)
	}
}

func TestBroadcast(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Config{})
	for _, path := range []string{"/messages/broadcast", "/messages/users/broadcast", "/messages/chatrooms/broadcast"} {
		got := w.api("POST", path, `{"msg":{"type":"txt","msg":"x"},"ext":{"emq_id":"`+path+`"}}`)
		var body struct {
			Data struct {
				ID int64 `json:"id"` // a number, not a text
			} `json:"data"`
		}
		if err := json.Unmarshal(got.body, &body); err != nil || got.status != 200 || body.Data.ID <= 1<<53 {
			t.Errorf("%s: %v: %v", path, err, got)
		}
		w.run([]step{
			{method: "POST", path: path, body: `{"from":"","msg":{"type":"txt"}}`, status: 400, code: "illegal_argument", text: "from can't be empty"},
			{method: "POST", path: path, body: `{"msg":{"type":"txt"},"ext":null}`, status: 400, code: "illegal_argument", text: "ext must be JSONObject"},
			{method: "POST", path: path, body: `{}`, status: 400, code: "invalid_request_body", text: "Request body is invalid. Please check body is correct."},
			{method: "POST", path: path, body: `{`, status: 400, code: "invalid_request_body", text: "Request body is invalid. Please check body is correct."},
		})
	}
	if n := w.Counts(); n.DistinctEmqIDs != 3 || n.Duplicates != 0 {
		t.Errorf("counts %+v", n)
	}
}

func TestRecall(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Config{RecallWindow: time.Minute})
	sent := func() string {
		w.api("POST", "/messages/users", `{"to":["u1"],"type":"txt","body":{"msg":"x"}}`)
		all := w.Executed()
		return all[len(all)-1].IDs[0]
	}
	recall := func(fields string) step { return step{method: "POST", path: "/messages/msg_recall", body: fields} }
	no := func(fields string, status int, text string) step {
		st := recall(fields)
		st.status, st.code, st.text = status, "message_recall_error", text
		return st
	}
	id := sent()
	good := `{"msg_id":"` + id + `","to":"U1","chat_type":"chat","force":false}`
	ok := recall(good)
	ok.data = `{"chattype":"chat","from":"admin","msg_id":"` + id + `","recalled":"yes","to":"u1"}`
	w.run([]step{
		no(`{}`, 400, "param msg_id can't be empty"),
		no(`{"msg_id":"1"}`, 400, "param to can't be empty"),
		no(`{"msg_id":"1","to":"u1"}`, 400, "param chat_type can't be empty"),
		no(`{"msg_id":"1","to":"u1","chat_type":"chat"}`, 400, "param force can't be empty"),
		no(`{"msg_id":"1","to":"u1","chat_type":"chat","force":true}`, 403, "not_found msg"),
		no(`{"msg_id":"x","to":"u1","chat_type":"chat","force":true}`, 403, "not_found msg"),
		no(strings.Replace(good, `"chat"`, `"groupchat"`, 1), 403, "not_found msg"),
		no(strings.Replace(good, `"U1"`, `"u2"`, 1), 400, "can’t find msg to"),
		ok,
		no(good, 403, "not_found msg"), // a second time
	})

	old := sent()
	w.clock.add(time.Minute + time.Millisecond)
	late := `{"msg_id":"` + old + `","to":"u1","chat_type":"chat","force":false}`
	w.run([]step{
		no(late, 403, "exceed recall time limit"),
		recall(strings.Replace(late, "false", "true", 1)),
	})
	w.wantTargets(0, "POST u1", "POST u1", "POST u1", "POST u1")
}

// The record and the sent messages are kept in pieces; no seam may show.
func TestLongRecord(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Config{})
	const n = 2100
	for range n {
		w.api("POST", "/messages/users", `{"to":["u1"],"type":"txt","body":{"msg":"x"}}`)
	}
	for _, since := range []int64{-1, 0, 1, 1023, 1024, 1025, 2048, n - 1, n, n + 1} {
		got := w.ExecutedSince(since)
		first := max(since, 0) + 1
		if want := max(n-first+1, 0); int64(len(got)) != want {
			t.Errorf("since %d: %d executions, want %d", since, len(got), want)
		}
		for i, e := range got {
			if e.Seq != first+int64(i) {
				t.Fatalf("since %d: the %dth has seq %d", since, i, e.Seq)
			}
		}
	}
	for _, i := range []int{0, 1023, 1024, n - 1} {
		id := w.Executed()[i].IDs[0]
		w.run([]step{{method: "POST", path: "/messages/msg_recall", body: `{"msg_id":"` + id + `","to":"u1","chat_type":"chat","force":false}`}})
	}
}
