package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/imqueue/emq/dlq"
	"github.com/imqueue/emq/errclass"
	"github.com/imqueue/emq/tasks"
	"github.com/imqueue/emq/tasks/redisserver/redistest"
)

// deathOf is the end of a task that registers a user.
func deathOf(app, id string, at time.Time) dlq.Death {
	evidence := errclass.Evidence{
		Kind: string(tasks.KindUserRegister), Status: 400, Written: true,
		Body: []byte(`{"error":"illegal_argument","error_description":"username [` + id + `] is not legal"}`),
	}
	return dlq.Death{
		Task: tasks.Task{
			ID: id, App: app, Payload: tasks.UserRegister{Users: []tasks.NewUser{{Username: "u1", Password: "topsecret"}}},
			Priority: tasks.Default, OnUnknown: tasks.Retry, MaxAttempts: tasks.MaxAttemptsDefault, MaxAge: tasks.MaxAgeDefault,
			EnqueuedAt: at.Add(-time.Minute),
		},
		Verdict:  errclass.Classify(evidence),
		Attempts: []dlq.Attempt{{Number: 1, At: at, LatencyMS: 12, Status: 400, Class: errclass.ClassPermanent, Rule: "some-rule", Error: "illegal_argument", Counted: true}},
		At:       at,
	}
}

func putDead(t *testing.T, rdb redis.UniversalClient, deaths ...dlq.Death) {
	t.Helper()
	store, err := dlq.New(dlq.Config{Redis: rdb})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range deaths {
		if err := store.Put(context.Background(), d); err != nil {
			t.Fatal(err)
		}
	}
}

// withDead is an environment on a Redis in memory with dead letters d0 to
// d<n-1> of the app default, d0 the newest.
func withDead(t *testing.T, n int) (testEnv, redis.UniversalClient) {
	t.Helper()
	m, rdb := redistest.Mini(t)
	e := newTestEnv(t, "", "EMQ_REDIS_URL=redis://"+m.Addr())
	for i := range n {
		putDead(t, rdb, deathOf("default", fmt.Sprintf("d%d", i), e.now().Add(-time.Duration(i)*time.Minute)))
	}
	return e, rdb
}

// ids lists the dead letters in a state.
func (e testEnv) ids(t *testing.T, state string) string {
	t.Helper()
	e = e.again("")
	e.run(t, exitDone, "dlq", "list", "--state", state, "--limit", "0", "--json")
	var ids []string
	for dec := json.NewDecoder(e.stdout); ; {
		var d struct{ ID string }
		if err := dec.Decode(&d); errors.Is(err, io.EOF) {
			return strings.Join(ids, " ")
		} else if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, d.ID)
	}
}

func TestListPages(t *testing.T) {
	t.Parallel()
	e, _ := withDead(t, 5)
	var seen []string
	cursor := ""
	for range 3 {
		e = e.again("")
		e.run(t, exitDone, "dlq", "list", "--limit", "2", "--cursor", cursor)
		for _, line := range strings.Split(strings.TrimSpace(e.stdout.String()), "\n")[1:] {
			id, _, _ := strings.Cut(line, "\t")
			seen = append(seen, id)
		}
		_, cursor, _ = strings.Cut(strings.TrimSpace(e.stderr.String()), "there are more: --cursor ")
	}
	if got := strings.Join(seen, " "); got != "d0 d1 d2 d3 d4" || cursor != "" {
		t.Errorf("pages hold %s, then cursor %q", got, cursor)
	}
	e = e.again("")
	e.run(t, exitUsage, "dlq", "list", "--cursor", "nonsense")
}

// TestListBeyondOnePage: the store's pages are not the command's.
func TestListBeyondOnePage(t *testing.T) {
	t.Parallel()
	e, rdb := withDead(t, 0)
	var deaths []dlq.Death
	for i := range dlq.PageMax + 20 {
		deaths = append(deaths, deathOf("default", fmt.Sprintf("d%d", i), e.now().Add(-time.Duration(i)*time.Second)))
	}
	putDead(t, rdb, deaths...)
	for limit, want := range map[string]int{"0": dlq.PageMax + 20, "1010": dlq.PageMax + 10, "7": 7} {
		e = e.again("")
		e.run(t, exitDone, "dlq", "list", "--limit", limit, "--json")
		if got := strings.Count(e.stdout.String(), "\n"); got != want {
			t.Errorf("limit %s: %d lines, want %d", limit, got, want)
		}
	}
}

func TestListFilters(t *testing.T) {
	t.Parallel()
	e, rdb := withDead(t, 3)
	putDead(t, rdb, deathOf("shop", "s0", e.now().Add(-72*time.Hour)))
	for args, want := range map[string]string{
		"":                                "d0 d1 d2 s0",
		"--app shop":                      "s0",
		"--kind user.register --app shop": "s0",
		"--kind message.send":             "",
		"--error illegal_argument":        "d0 d1 d2 s0",
		"--error other":                   "",
		"--status 400":                    "d0 d1 d2 s0",
		"--status 404":                    "",
		"--since 90s":                     "d0 d1",
		"--since 1d":                      "d0 d1 d2",
		"--until 1d":                      "s0",
		"--since 2026-05-04T11:59:00Z":    "d0 d1",
		"--until 2026-05-03":              "s0",
		"--state all":                     "d0 d1 d2 s0",
		"--state resolved":                "",
		"--class retryable":               "",
	} {
		e = e.again("")
		e.run(t, exitDone, append([]string{"dlq", "list", "--json"}, strings.Fields(args)...)...)
		var got []string
		for _, line := range strings.Split(strings.TrimSpace(e.stdout.String()), "\n") {
			if id, ok := strings.CutPrefix(line, `{"id":"`); ok {
				got = append(got, id[:2])
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %v, want %s", args, got, want)
		}
	}
}

// TestListJSON: the fields that are promised are there, and the password is not.
func TestListJSON(t *testing.T) {
	t.Parallel()
	e, _ := withDead(t, 1)
	e.run(t, exitDone, "dlq", "list", "--json")
	var got map[string]any
	if err := json.Unmarshal(e.stdout.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	for _, field := range strings.Fields("id app kind class scope rule error status cause state generation attempts first_failed_at last_failed_at payload") {
		if _, ok := got[field]; !ok {
			t.Errorf("no field %s in %s", field, e.stdout)
		}
	}
	if strings.Contains(e.stdout.String(), "topsecret") {
		t.Errorf("the password shows: %s", e.stdout)
	}
}

func TestShow(t *testing.T) {
	t.Parallel()
	e, _ := withDead(t, 1)
	for _, test := range []struct {
		lang string
		tty  bool
		want []string
	}{
		{"en", false, []string{"id\td0\n", "state\tdead since 2026-05-04T12:00:00Z\n", "answer\t400 illegal_argument: username [d0] is not legal\n",
			"why\t", "advice\t", "\npayload\n", `"username": "u1"`, "0\t1\t2026-05-04T12:00:00Z\t400 illegal_argument\tsome-rule\tpermanent\t12ms\ttrue\t", "\nhistory\n"}},
		{"en", true, []string{"id            d0\n", "(now)", "GENERATION  NUMBER"}},
		{"zh", false, []string{"why\t"}},
	} {
		e = e.again("")
		e.outTTY = test.tty
		e.run(t, exitDone, "dlq", "show", "d0", "--lang", test.lang)
		got := e.stdout.String()
		for _, want := range test.want {
			if !strings.Contains(got, want) {
				t.Errorf("%s, terminal %v: no %q in\n%s", test.lang, test.tty, want, got)
			}
		}
		if strings.Contains(got, "topsecret") {
			t.Errorf("the password shows:\n%s", got)
		}
		verdict := deathOf("", "d0", e.now()).Verdict
		if !strings.Contains(got, verdict.Why.In(test.lang)) || !strings.Contains(got, verdict.Advice.In(test.lang)) {
			t.Errorf("%s: no explanation in\n%s", test.lang, got)
		}
	}
	e = e.again("")
	e.run(t, exitNotFound, "dlq", "show", "nix")
	if got := e.stderr.String(); got != "emq: dead letter nix: not found\n" {
		t.Errorf("stderr %q", got)
	}
}

// TestShowGoesOn: an ID that is not found does not keep the others from being shown.
func TestShowGoesOn(t *testing.T) {
	t.Parallel()
	e, _ := withDead(t, 2)
	e.run(t, exitNotFound, "dlq", "show", "nope", "d0", "nix", "d1", "--json")
	if lines := strings.Split(e.stdout.String(), "\n"); len(lines) != 3 || !strings.HasPrefix(lines[0], `{"id":"d0"`) || !strings.HasPrefix(lines[1], `{"id":"d1"`) {
		t.Errorf("stdout %q", e.stdout)
	}
	if got := e.stderr.String(); got != "emq: dead letter nope: not found\nemq: dead letter nix: not found\n" {
		t.Errorf("stderr %q", got)
	}
	e = e.again("")
	e.run(t, exitNotFound, "dlq", "show", "nope", "d0", "--app", "default")
	if got := e.stdout.String(); !strings.HasPrefix(got, "id\td0\n") { // without an empty line before
		t.Errorf("stdout %q", got)
	}
}

func TestShowOfTwoApps(t *testing.T) {
	t.Parallel()
	e, rdb := withDead(t, 1)
	putDead(t, rdb, deathOf("shop", "d0", e.now()))
	e.run(t, exitUsage, "dlq", "show", "d0")
	if !strings.Contains(e.stderr.String(), "the apps default, shop have one each: say which with --app") {
		t.Errorf("stderr %q", e.stderr)
	}
	e = e.again("")
	e.run(t, exitDone, "dlq", "show", "d0", "--app", "shop")
	if !strings.Contains(e.stdout.String(), "app\tshop\n") {
		t.Errorf("stdout %q", e.stdout)
	}
}

func TestCauses(t *testing.T) {
	t.Parallel()
	e, rdb := withDead(t, 3)
	defer e.works(t, rdb)()
	e.run(t, exitDone, "dlq", "causes")
	lines := strings.Split(strings.TrimSpace(e.stdout.String()), "\n")
	if len(lines) != 2 || !strings.Contains(lines[1], "\t3\t3 dead\t3 ↑\t3 ↑\topen\tdefault\tuser.register\t") {
		t.Fatalf("causes: %q", e.stdout)
	}
	cause, _, _ := strings.Cut(lines[1], "\t")
	e = e.again("")
	e.run(t, exitDone, "dlq", "discard", "--cause", cause, "--yes", "--wait")
	if got := e.ids(t, "discarded"); got != "d0 d1 d2" {
		t.Errorf("discarded %s", got)
	}
	e = e.again("")
	e.run(t, exitDone, "dlq", "causes", "--json")
	if e.stdout.Len() > 0 {
		t.Errorf("causes of what is discarded: %s", e.stdout)
	}
	e = e.again("")
	e.run(t, exitDone, "dlq", "causes", "--state", "all", "--json")
	if !strings.Contains(e.stdout.String(), `"counts":{"discarded":3}`) {
		t.Errorf("causes of all states: %s", e.stdout)
	}
}

func TestChangeByID(t *testing.T) {
	t.Parallel()
	e, _ := withDead(t, 3)
	for _, test := range []struct {
		args     string
		code     int
		out, err string
	}{
		{"discard d0 d1", exitDone, "discarded d0\ndiscarded d1\n", ""},
		{"discard d0 d2", exitFailed, "discarded d2\n", "d0: skipped: it is discarded, not dead\n"},
		{"restore d0 nix", exitNotFound, "restored d0\n", "nix: no such dead letter\n"},
		{"restore d0 nix", exitFailed, "", "nix: no such dead letter\nd0: skipped: it is dead, not discarded\n"},
		{"resend d0 --app default", exitDone, "resent d0\n", ""},
		{"resend d0", exitFailed, "", "d0: skipped: it is being resent\n"},
		{"resend d0 --app shop", exitNotFound, "", "d0: no such dead letter\n"},
		{"resend d1 --json", exitFailed, `{"id":"d1","app":"default","result":"skipped","error":"it is discarded, not dead"}` + "\n", ""},
		{"restore d1 --json", exitDone, `{"id":"d1","app":"default","result":"restored"}` + "\n", ""},
		{"discard d1 --dry-run", exitDone, "id\tapp\tcause\tlast_failed_at\n", "would discard 1 dead letter\n"},
	} {
		e = e.again("")
		e.run(t, test.code, append([]string{"dlq"}, strings.Fields(test.args)...)...)
		out := e.stdout.String()
		if strings.Contains(test.args, "--dry-run") {
			out, _, _ = strings.Cut(out, "d1\tdefault\t")
		}
		if out != test.out || e.stderr.String() != test.err {
			t.Errorf("%s: stdout %q, stderr %q; want %q, %q", test.args, e.stdout, e.stderr, test.out, test.err)
		}
	}
}

// TestChangeAsks: a bulk change says how many, and does nothing without a yes.
func TestChangeAsks(t *testing.T) {
	t.Parallel()
	e, rdb := withDead(t, 3)
	defer e.works(t, rdb)()
	e.inTTY = true
	for _, test := range []struct {
		answer  string
		code    int
		changed string
	}{
		{"", exitFailed, ""}, {"\n", exitFailed, ""}, {"n\n", exitFailed, ""}, {"yess\n", exitFailed, ""}, {" Yes \n", exitDone, "d0 d1"},
	} {
		e = e.again(test.answer)
		e.run(t, test.code, "dlq", "discard", "--since", "90s", "--wait")
		if !strings.HasPrefix(e.stderr.String(), "discard 2 dead letters? [y/N] ") {
			t.Errorf("question %q", e.stderr)
		}
		if got := e.ids(t, "discarded"); got != test.changed {
			t.Errorf("answer %q changed %q, want %q", test.answer, got, test.changed)
		}
	}
}

func TestChangeByFilter(t *testing.T) {
	t.Parallel()
	e, rdb := withDead(t, 40)
	unknown := deathOf("default", "unknown", e.now())
	unknown.Reason = dlq.ReasonUnknownOutcome
	putDead(t, rdb, unknown)

	e.run(t, exitDone, "dlq", "resend", "--all", "--dry-run")
	if got := e.stderr.String(); got != "would resend 40 dead letters\nwould leave out 1 dead letter of unknown outcome\n" {
		t.Errorf("dry run says %q", got)
	}
	if got := strings.Count(e.stdout.String(), "\n"); got != 1+10 {
		t.Errorf("dry run shows %d lines", got)
	}
	e = e.again("")
	e.run(t, exitDone, "dlq", "resend", "--all", "--dry-run", "--json")
	if got := e.stdout.String(); !strings.HasPrefix(got, `{"count":40,"sample":["d0",`) || !strings.Contains(got, `"left_out_unknown":1`) {
		t.Errorf("dry run in JSON: %s", got)
	}
	if got := e.ids(t, "resending"); got != "" {
		t.Errorf("a dry run resent %s", got)
	}

	e = e.again("")
	e.run(t, exitDone, "dlq", "resend", "--all", "--yes", "--reason", "mended", "--rate", "100/s", "--max", "30")
	id, _, _ := strings.Cut(strings.TrimPrefix(e.stdout.String(), "started operation "), ":")
	if got := e.stdout.String(); got != fmt.Sprintf("started operation %s: resend 30 dead letters of app default; emq ops watch %[1]s\n", id) {
		t.Errorf("stdout %q", got)
	}
	if got := e.ids(t, "resending"); got != "" {
		t.Errorf("this terminal resent %s", got)
	}
	stop := e.works(t, rdb)
	e = e.again("")
	e.run(t, exitDone, "ops", "watch", id)
	if got := e.stdout.String(); got != fmt.Sprintf("operation %s done: resent 30, delivered 30, dead again 0, skipped 0, refused 0, of 30\n", id) {
		t.Errorf("stdout %q", got)
	}
	e = e.again("")
	e.run(t, exitDone, "dlq", "resend", "--all", "--yes", "--wait", "--priority", "high", "--reason", "mended")
	if got := e.stdout.String(); !strings.Contains(got, " done: resent 10, delivered 10, dead again 0, ") {
		t.Errorf("stdout %q", got)
	}
	stop()
	if got := e.ids(t, "dead"); got != "unknown" {
		t.Errorf("still dead: %s", got)
	}
	e = e.again("")
	e.run(t, exitDone, "dlq", "resend", "--all", "--yes")
	if got := e.stderr.String(); got != "leaving out 1 dead letter of unknown outcome (see --include-unknown)\nno dead letters match\n" {
		t.Errorf("stderr %q", got)
	}
	e = e.again("")
	e.run(t, exitDone, "dlq", "resend", "--all", "--yes", "--include-unknown", "--json")
	var op dlq.Operation
	if err := json.Unmarshal(e.stdout.Bytes(), &op); err != nil || op.State != dlq.OpRunning || op.Members != 1 || op.Priority != tasks.Low {
		t.Errorf("stdout %q, %v", e.stdout, err)
	}
	e = e.again("")
	e.run(t, exitDone, "ops", "cancel", op.ID, "--reason", "not yet")
	if got := e.ids(t, "dead"); got != "unknown" {
		t.Errorf("still dead: %s", got)
	}
	e = e.again("")
	e.run(t, exitDone, "dlq", "show", "d0")
	if got := e.stdout.String(); !strings.Contains(got, "\tmended\t") {
		t.Errorf("the reason is not in the history:\n%s", got)
	}
}

// TestResolveNotSent: the resend's event says why it was made.
func TestResolveNotSent(t *testing.T) {
	t.Parallel()
	for reason, want := range map[string]string{"": "settled as not sent", "looked it up": "settled as not sent: looked it up"} {
		e, rdb := withDead(t, 0)
		unknown := deathOf("default", "u", e.now())
		unknown.Reason = dlq.ReasonUnknownOutcome
		putDead(t, rdb, unknown)
		e.run(t, exitDone, "dlq", "resolve", "u", "--not-sent", "--reason", reason)
		if got := e.stdout.String(); got != "resent u\n" {
			t.Errorf("stdout %q", got)
		}
		e = e.again("")
		e.run(t, exitDone, "dlq", "show", "u")
		if got := e.stdout.String(); !strings.Contains(got, "\tresend\t") || !strings.Contains(got, "\t"+want+"\t") {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}

// TestRefusedResend: a task that this version does not take stays dead, and
// that is said.
func TestRefusedResend(t *testing.T) {
	t.Parallel()
	e, rdb := withDead(t, 1)
	newer := deathOf("default", "newer", e.now())
	newer.Raw = []byte(`{"v":99,"id":"newer","app":"default"}`)
	putDead(t, rdb, newer)
	e.run(t, exitFailed, "dlq", "resend", "newer")
	if got := e.stderr.String(); !strings.HasPrefix(got, "newer: ") || !strings.Contains(got, tasks.ErrWireVersion.Error()) {
		t.Errorf("stderr %q", got)
	}
	e = e.again("")
	stop := e.works(t, rdb)
	e.run(t, exitFailed, "dlq", "resend", "--all", "--yes", "--wait")
	stop()
	if got := e.stdout.String(); !strings.Contains(got, ": resent 1, delivered 1, dead again 0, skipped 0, refused 1, of 2\nrefused newer: ") || !strings.Contains(got, tasks.ErrWireVersion.Error()) {
		t.Errorf("stdout %q", got)
	}
	if got := e.ids(t, "dead"); got != "newer" {
		t.Errorf("dead: %s", got)
	}
}

// works does what a worker does for operations, until stop is called: it works on them,
// and delivers what they resend.
func (e testEnv) works(t *testing.T, rdb redis.UniversalClient) (stop func()) {
	t.Helper()
	client, err := tasks.NewClient(tasks.ClientConfig{Redis: rdb})
	if err != nil {
		t.Fatal(err)
	}
	store, err := dlq.New(dlq.Config{Redis: rdb, Client: client, Now: e.now})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	work := func() error {
		apps, err := store.Apps(ctx)
		if err != nil {
			return err
		}
		for _, app := range apps {
			ops, err := store.ActiveOperations(ctx, app)
			if err != nil {
				return err
			}
			for _, op := range ops {
				if _, _, err := store.Work(ctx, op, 7, "w1"); err != nil {
					return err
				}
			}
		}
		return store.Each(ctx, dlq.Filter{State: dlq.StateResending}, func(d dlq.Entry) error {
			task, err := tasks.Decode(d.Raw)
			task.Generation = d.Generation
			return errors.Join(err, store.Resolve(ctx, task, nil))
		})
	}
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			if err := work(); err != nil && ctx.Err() == nil {
				t.Error(err)
				return
			}
			time.Sleep(time.Millisecond)
		}
	}()
	return func() { cancel(); <-done }
}

// TestHostileTextNeverReachesTheTerminal: what a server sent is shown without
// its control characters.
func TestHostileTextNeverReachesTheTerminal(t *testing.T) {
	t.Parallel()
	e, rdb := withDead(t, 0)
	d := deathOf("default", "d0", e.now())
	d.Verdict.Error, d.Verdict.Description = "a\x1b[2Jb", "line\r\n\x1b]0;title\x07"
	d.Attempts[0].Description = "\x1b[31m"
	putDead(t, rdb, d)
	for _, args := range []string{"dlq list", "dlq causes", "dlq show d0"} {
		for _, tty := range []bool{false, true} {
			e = e.again("")
			e.outTTY = tty
			e.run(t, exitDone, strings.Fields(args)...)
			if strings.ContainsAny(e.stdout.String(), "\x1b\x07\r") {
				t.Errorf("%s, terminal %v: %q", args, tty, e.stdout)
			}
		}
	}
}

// TestEditInAnEditor: the edited file stays when its payload is refused, and only then.
func TestEditInAnEditor(t *testing.T) {
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skip("no sh here: the editors are scripts of it")
	}
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	for _, test := range []struct {
		name, editor string
		code         int
		says         string
		kept         string // what the file holds that stays
	}{
		{"sound", `printf '{"username":"carol","password":"x"}' >"$1"`, exitDone, "", ""},
		{"not changed", "true", exitFailed, "emq: the payload was not changed; nothing was done\n", ""},
		{"given up", "exit 1", exitFailed, "emq: editor sh: exit status 1; nothing was changed\n", ""},
		{"no JSON", `printf '{"username":' >"$1"`, exitUsage, "emq: edit d0: json: ends too early; your payload is kept in ", `{"username":`},
		{"refused field", `printf '{"username":"c!"}' >"$1"`, exitUsage, "payload.users[0]: \"c!\": a user id has", `{"username":"c!"}`},
		{"changed and given up", `printf '{}' >"$1"; exit 1`, exitFailed, "exit status 1; nothing was changed; your payload is kept in ", "{}"},
		{"removed", `rm "$1"`, exitFailed, "no such file", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			script := filepath.Join(t.TempDir(), "editor")
			writeFile(t, script, test.editor)
			e, _ := withDead(t, 1)
			e.environ = append(e.environ, "EDITOR=sh "+script)
			e.inTTY, e.outTTY = true, true
			e.run(t, test.code, "dlq", "edit", "d0")
			said, _, _ := strings.Cut(e.stderr.String(), "see 'emq dlq edit --help'")
			if !strings.Contains(said, test.says) || test.says == "" && said != "" {
				t.Errorf("stderr %q, want %q", said, test.says)
			}
			files, err := filepath.Glob(filepath.Join(dir, "emq-payload-*"))
			if err != nil {
				t.Fatal(err)
			}
			if test.kept == "" {
				if len(files) > 0 {
					t.Errorf("left behind: %v", files)
				}
				return
			}
			if len(files) != 1 {
				t.Fatalf("files %v, want one", files)
			}
			if text, err := os.ReadFile(files[0]); err != nil || string(text) != test.kept {
				t.Errorf("%q, %v is kept, want %q", text, err, test.kept)
			}
			want := fmt.Sprintf("your payload is kept in %[1]s: correct it there and run emq dlq edit d0 --payload %[1]s\n", files[0])
			if !strings.HasSuffix(said, want) {
				t.Errorf("stderr %q, want %q", said, want)
			}
			writeFile(t, files[0], `{"username":"carol","password":"x"}`)
			e = e.again("")
			e.run(t, exitDone, "dlq", "edit", "d0", "--payload", files[0]) // as was said
			if err := os.Remove(files[0]); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestHolds(t *testing.T) {
	t.Parallel()
	e := onRedis(t, `{"app":"shop","priority":"low","kind":"message.send","payload":{"target":"users","to":["u1"],"type":"txt","body":{"msg":"hi"}}}
{"app":"shop","priority":"low","kind":"group.add_members","payload":{"group_id":"4065","usernames":["u1"]}}
`)
	e.run(t, exitDone, "enqueue", "-f", "-")
	for _, test := range []struct {
		args     string
		code     int
		out, err string
	}{
		{"hold set shop --reason busy", exitDone, "held shop\n", ""},
		{"hold set shop --reason again", exitFailed, "", "shop is held already"},
		{"hold set shop/messages --reason x", exitDone, "held shop/messages\n", `warning: app "shop" is not configured here; make sure that a worker serves it`},
		{"hold set shop/pigeons --reason x", exitUsage, "", "family: pigeons: must be"},
		{"hold set shop/messages.users --reason x", exitUsage, "", "messages.users is an endpoint: hold its family shop/messages"},
		{"hold set Shop --reason x", exitUsage, "", `app: "Shop"`},
		{"hold list --app shop", exitDone, "shop\t2026-05-04T12:00:00Z\toperator\t", ""},
		{"hold list --lang zh", exitDone, "人工暂停：busy", ""},
		{"hold list --json", exitDone, `{"app":"shop","family":"messages","rule":"operator"`, ""},
		{"queue list --app shop", exitDone, "shop:groups.add_members:low\t1\t0\t0\t0\t0\t0s\thold\n", ""},
		{"queue resume shop:groups.add_members:low", exitFailed, "", "clear that hold first"},
		{"hold clear shop/users", exitNotFound, "", "hold on shop/users: not found"},
		{"hold clear shop", exitDone, "cleared shop\n", ""},
		{"hold clear shop", exitNotFound, "", "hold on shop: not found"},
		{"queue list --app shop", exitDone, "shop:groups.add_members:low\t1\t0\t0\t0\t0\t0s\t\n", ""},
		{"queue list --app shop", exitDone, "shop:messages.users:low\t1\t0\t0\t0\t0\t0s\thold\n", ""},
		{"queue pause shop:users.account:low --reason x", exitDone, "paused shop:users.account:low\n", ""},
		{"queue list --json", exitDone, `"name":"shop:users.account:low","app":"shop","endpoint":"users.account","priority":"low"`, ""},
		{"queue list", exitDone, "shop:users.account:low\t0\t0\t0\t0\t0\t0s\toperator\n", ""},
		{"queue resume shop:users.account:low", exitDone, "resumed shop:users.account:low\n", ""},
		{"queue pause nix:users:low", exitNotFound, "", "not found"},
		{"queue pause nonsense", exitNotFound, "", "not found"},
	} {
		e = e.again("")
		e.run(t, test.code, strings.Fields(test.args)...)
		if !strings.Contains(e.stdout.String(), test.out) || !strings.Contains(e.stderr.String(), test.err) {
			t.Errorf("%s: stdout %q, stderr %q; want %q, %q", test.args, e.stdout, e.stderr, test.out, test.err)
		}
	}
}

// TestResolveAPart: of a list, only some are of unknown outcome.
func TestResolveAPart(t *testing.T) {
	t.Parallel()
	e, rdb := withDead(t, 0)
	death := deathOf("default", "list", e.now())
	death.Task.Payload = tasks.Message{Target: tasks.Users, To: []string{"u1", "u2", "u3"}, Body: tasks.Text{Msg: "hello"}}
	death.Reason, death.Unknown = dlq.ReasonUnknownOutcome, []string{"u2"}
	putDead(t, rdb, death)
	e.run(t, exitDone, "dlq", "show", "list")
	if got := e.stdout.String(); !strings.Contains(got, "unknown for\tu2 (the others were not called, or refused)\n") {
		t.Errorf("shown:\n%s", got)
	}
	e = e.again("")
	e.run(t, exitDone, "dlq", "resolve", "list", "--sent")
	if got := e.stderr.String(); !strings.Contains(got, "list: 2 targets of it were not called and stay: emq dlq resend list") {
		t.Errorf("stderr %q", got)
	}
	e = e.again("")
	e.run(t, exitFailed, "dlq", "resolve", "list", "--sent")
	if got := e.stderr.String(); !strings.Contains(got, "resend or discard it") {
		t.Errorf("stderr %q", got)
	}
	if got := e.ids(t, "dead"); got != "list" {
		t.Errorf("dead: %s", got)
	}
}
