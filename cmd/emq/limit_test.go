package main

import (
	"strings"
	"testing"

	"github.com/imqueue/emq/tasks"
	"github.com/imqueue/emq/tasks/redisserver/redistest"
)

func TestLimits(t *testing.T) {
	t.Parallel()
	settings := t.TempDir() + "/emq.yaml"
	writeFile(t, settings, "apps: {shop: {limits: {groups.create: 7/s}}, other: {}}\n")
	e := onRedis(t, "", "EMQ_CONFIG="+settings, "EMQ_APP=shop")
	e.run(t, exitDone, "enqueue", "--to", "u1", "--text", "hi", "--app", "shop")
	users, _ := tasks.EndpointMessagesUsers.Info()
	messages := rates(users.Limit.Messages)
	for _, test := range []struct {
		args           string
		code           int
		stdout, stderr string
	}{
		// What is in use, and what differs from the default.
		{"limit list", exitDone, "endpoint\tcalls\tmessages\tfrom\tby\tsince\twhy\n" +
			"shop/messages.users\t" + rates(users.Limit.Calls) + "\t" + messages + "\tdefault\t\t\t\nshop/groups.create\t7/s\t\tsettings\t\t\t\n", ""},
		{"limit list --app other", exitDone, "why\n", ""},
		{"limit list --app other --all", exitDone, "other/messages.users\t", ""},
		{"limit list --app Shop", exitUsage, "", "alias"},
		{"limit list --json", exitDone, `{"app":"shop","endpoint":"groups.create","limit":{"calls":"7/s"},"from":"settings"}`, ""},

		// What is not given stays as it is.
		{"limit set shop/messages.users --calls 200/s --reason plan", exitDone, "limit of shop/messages.users: 200/s, messages " + messages + "\n", ""},
		{"limit set shop/messages.users --messages 10/m,1/s --reason plan2", exitDone, "limit of shop/messages.users: 200/s, messages 10/m,1/s\n", ""},
		{"limit list", exitDone, "shop/messages.users\t200/s\t10/m,1/s\tset\t", ""},
		{"limit list --json", exitDone, `"reason":"plan2","since":"2026-05-04T12:00:00Z"}`, ""},
		{"limit set shop/groups.create --calls 1/30m --reason x", exitDone, "limit of shop/groups.create: 1/30m\n", ""},
		{"limit clear shop/groups.create", exitDone, "cleared shop/groups.create\n", ""},
		{"limit list", exitDone, "shop/groups.create\t7/s\t\tsettings\t\t\t\n", ""},
		{"limit clear shop/groups.create", exitNotFound, "", "limit on groups.create of shop: not found"},

		// The mistakes that a hand makes.
		{"limit set shop/messages.user --calls 1/s --reason x", exitUsage, "", `no endpoint "messages.user" (did you mean messages.users?)`},
		{"limit set shop/messages --calls 1/s --reason x", exitUsage, "", `no endpoint "messages"`},
		{"limit set shop --calls 1/s --reason x", exitUsage, "", "name an endpoint, such as shop/messages.users"},
		{"limit set Shop/messages.users --calls 1/s --reason x", exitUsage, "", "alias"},
		{"limit set shop/messages.users --calls fast --reason x", exitUsage, "", `--calls: "fast": must be COUNT/TIME`},
		{"limit set shop/messages.users --messages 0/s --reason x", exitUsage, "", `--messages: "0/s": must be COUNT/TIME`},
		{"limit set shop/messages.users --reason x", exitUsage, "", "give --calls, --messages or both"},
		{"limit set shop/messages.users --calls 1/s", exitUsage, "", "give --reason TEXT"},
		{"limit set shpo/messages.users --calls 1/s --reason x", exitDone, "limit of shpo/", `warning: app "shpo" is not configured here`},
		{"limit clear nix/messages.users", exitNotFound, "", "not found"},
		{"limit clear shop", exitUsage, "", "name an endpoint"},
		{"limit set shop/ --calls 1/s --reason x", exitUsage, "", `"shop/": name an endpoint, such as shop/messages.users`},
		{"limit set messages.users --calls 1/s --reason x", exitUsage, "", `"messages.users": name the app as well, such as shop/messages.users` + "\n"},
		{"limit clear messages.users", exitUsage, "", `"messages.users": name the app as well, such as shop/messages.users` + "\n"},
		{"limit clear shop/nope", exitUsage, "", "no endpoint \"nope\"; `emq limit list --all` shows all"},
		{"limit clear shop/messages.user", exitUsage, "", `no endpoint "messages.user" (did you mean messages.users?)`},
		{"limit clear shop/rooms.create", exitNotFound, "", "limit on rooms.create of shop: not found"},
		{"limit set shop/groups.create --messages 5/s --reason x", exitUsage, "", "--messages 5/s: calls to groups.create send no messages"},
		{"limit set shop/groups.create --messages none --calls 5/s --reason x", exitDone, "limit of shop/groups.create: 5/s\n", ""},
		{"limit set shop/messages.broadcast_users --messages 5/d --reason x", exitDone, "messages 5/d\n", ""},
		{"limit set", exitUsage, "", "give APP/ENDPOINT"},
	} {
		e = e.again("")
		e.run(t, test.code, strings.Fields(test.args)...)
		if !strings.Contains(e.stdout.String(), test.stdout) || !strings.Contains(e.stderr.String(), test.stderr) {
			t.Errorf("emq %s:\nstdout %s\nstderr %s\nwant %q, %q", test.args, e.stdout, e.stderr, test.stdout, test.stderr)
		}
	}
}

// TestLimitOfAnotherVersion: what is stored can be cleared, though this version
// does not know its endpoint.
func TestLimitOfAnotherVersion(t *testing.T) {
	t.Parallel()
	m, rdb := redistest.Mini(t)
	e := newTestEnv(t, "", "EMQ_REDIS_URL=redis://"+m.Addr())
	e.run(t, exitDone, "limit", "set", "default/groups.create", "--calls", "1/s", "--reason", "x")
	keys, err := rdb.Keys(t.Context(), "*limits*").Result()
	if err != nil || len(keys) != 1 {
		t.Fatalf("keys %q, %v", keys, err)
	}
	limits, err := rdb.HGetAll(t.Context(), keys[0]).Result()
	if err != nil {
		t.Fatal(err)
	}
	if err := rdb.HSet(t.Context(), keys[0], "groups.newer", limits["groups.create"]).Err(); err != nil {
		t.Fatal(err)
	}
	e = e.again("")
	e.run(t, exitDone, "limit", "clear", "default/groups.newer")
	e = e.again("")
	e.run(t, exitUsage, "limit", "clear", "default/groups.newer")
}

// TestSendsMessages holds each kind's example against the endpoint it goes to.
func TestSendsMessages(t *testing.T) {
	t.Parallel()
	for _, info := range tasks.Kinds() {
		task, err := tasks.ParseEnvelope([]byte(info.Example))
		if err != nil {
			t.Fatal(err)
		}
		if got := sendsMessages(task.Endpoint()); got != (task.Messages() > 0) {
			t.Errorf("%s: %v for %s, and a call counts for %d", info.Kind, got, task.Endpoint(), task.Messages())
		}
	}
	for _, info := range tasks.Endpoints() {
		if len(info.Limit.Messages) > 0 && !sendsMessages(info.Endpoint) {
			t.Errorf("%s has a limit of messages by default", info.Endpoint)
		}
	}
}

// TestLimitListShowsAllEndpoints: --all leaves none out.
func TestLimitListShowsAllEndpoints(t *testing.T) {
	t.Parallel()
	e := onRedis(t, "")
	e.run(t, exitDone, "limit", "list", "--all")
	for _, info := range tasks.Endpoints() {
		if want := "default/" + string(info.Endpoint) + "\t" + rates(info.Limit.Calls) + "\t" + rates(info.Limit.Messages) + "\tdefault\t"; !strings.Contains(e.stdout.String(), want) {
			t.Errorf("no %q in\n%s", want, e.stdout)
		}
	}
}
