package main

import (
	"strings"
	"testing"

	"github.com/imqueue/emq/tasks"
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
		{"limit set", exitUsage, "", "give APP/ENDPOINT"},
	} {
		e = e.again("")
		e.run(t, test.code, strings.Fields(test.args)...)
		if !strings.Contains(e.stdout.String(), test.stdout) || !strings.Contains(e.stderr.String(), test.stderr) {
			t.Errorf("emq %s:\nstdout %s\nstderr %s\nwant %q, %q", test.args, e.stdout, e.stderr, test.stdout, test.stderr)
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
