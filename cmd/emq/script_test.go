package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/imqueue/emq/dlq"
	"github.com/imqueue/emq/tasks"
	"github.com/imqueue/emq/tasks/redisserver"
	"github.com/imqueue/emq/tasks/redisserver/redistest"
)

const (
	// scriptsMax is how many scripts there may be: each has a Redis database of its own.
	scriptsMax = 64
	// eventuallyMax is how long a script waits for what must come.
	eventuallyMax = time.Minute
)

// TestScripts runs the journeys of testdata/script: the command as people and
// programs use it, in processes of its own, on a real Redis. Beside testscript's
// commands there are:
//
//	exits CODE PROGRAM ARGS...             the program ends with this exit code
//	[!] eventually [-stdout RE] PROGRAM ARGS...  the program is run until it succeeds and prints RE (or does not)
//	freeport NAME...                       sets the variables to ports that nobody uses
//	messages N FILE                        writes a file of N messages for emq enqueue
//	hup SUBCOMMAND                         sends SIGHUP to each emq SUBCOMMAND in the background
//	deadletters N                          puts the dead letters d0 to d<N-1> into the store
//
// and the program http METHOD URL [BODY], which prints the answer of a request
// and fails if its status is not 2xx.
func TestScripts(t *testing.T) {
	server := redistest.Start(t, redisserver.Options{Args: []string{fmt.Sprint("databases ", scriptsMax)}})
	var database atomic.Int32
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			n := database.Add(1) - 1
			if n >= scriptsMax {
				return errors.New("too many scripts: raise scriptsMax")
			}
			env.Setenv("EMQ_REDIS_URL", fmt.Sprintf("%s/%d", server.URL(), n))
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": scriptExits, "eventually": scriptEventually, "freeport": scriptFreePort, "deadletters": scriptDeadLetters,
			"messages": scriptMessages, "hup": scriptHup, "operations": scriptOperations,
		},
	})
}

func scriptExits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM ARGS...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

func scriptEventually(ts *testscript.TestScript, neg bool, args []string) {
	want := regexp.MustCompile("")
	if len(args) > 1 && args[0] == "-stdout" {
		var err error
		want, err = regexp.Compile("(?m)" + args[1])
		ts.Check(err)
		args = args[2:]
	}
	if len(args) == 0 {
		ts.Fatalf("usage: [!] eventually [-stdout RE] PROGRAM ARGS...")
	}
	for end := time.Now().Add(eventuallyMax); ; time.Sleep(20 * time.Millisecond) {
		err := ts.Exec(args[0], args[1:]...)
		if (err == nil && want.MatchString(ts.ReadFile("stdout"))) != neg {
			return
		}
		if time.Now().After(end) {
			ts.Fatalf("not within %v: %v, stdout:\n%s", eventuallyMax, err, ts.ReadFile("stdout"))
		}
	}
}

func scriptFreePort(ts *testscript.TestScript, _ bool, names []string) {
	for _, name := range names {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		ts.Check(err)
		ts.Setenv(name, strconv.Itoa(l.Addr().(*net.TCPAddr).Port))
		ts.Check(l.Close())
	}
}

// httpMain is the program http of scripts.
func httpMain() {
	if err := request(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func request(args []string) error {
	if len(args) < 2 {
		return errors.New("usage: http METHOD URL [BODY]")
	}
	ctx, cancel := context.WithTimeout(context.Background(), eventuallyMax)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, args[0], args[1], strings.NewReader(strings.Join(args[2:], "")))
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if _, err := io.Copy(os.Stdout, resp.Body); err != nil {
		return err
	}
	if resp.StatusCode/100 != 2 {
		return errors.New(resp.Status)
	}
	return nil
}

func scriptMessages(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: messages N FILE")
	}
	n, err := strconv.Atoi(args[0])
	ts.Check(err)
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `{"id":"m%d","kind":"message.send","payload":{"target":"users","to":["u1"],"type":"txt","body":{"msg":"hi"}}}`+"\n", i)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(b.String()), 0o600))
}

func scriptHup(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: hup SUBCOMMAND")
	}
	found := false
	for _, cmd := range ts.BackgroundCmds() {
		if cmd.ProcessState == nil && len(cmd.Args) > 1 && cmd.Args[1] == args[0] {
			found = true
			ts.Check(cmd.Process.Signal(syscall.SIGHUP))
		}
	}
	if !found {
		ts.Fatalf("no emq %s in the background", args[0])
	}
}

func scriptDeadLetters(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 || len(args) > 2 {
		ts.Fatalf("usage: deadletters N [PREFIX]")
	}
	prefix := "d"
	if len(args) == 2 {
		prefix = args[1]
	}
	n, err := strconv.Atoi(args[0])
	ts.Check(err)
	options, err := redis.ParseURL(ts.Getenv("EMQ_REDIS_URL"))
	ts.Check(err)
	rdb := redis.NewClient(options)
	defer func() { _ = rdb.Close() }()
	store, err := dlq.New(dlq.Config{Redis: rdb})
	ts.Check(err)
	for i := range n {
		d := deathOf("default", prefix+strconv.Itoa(i), time.Now().Add(-time.Duration(i)*time.Minute))
		ts.Check(store.Put(context.Background(), d))
	}
}

// scriptOperations works on the operations of the app default, as a worker does.
func scriptOperations(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 0 {
		ts.Fatalf("usage: operations")
	}
	rdb, err := tasks.OpenRedis(ts.Getenv("EMQ_REDIS_URL"))
	ts.Check(err)
	defer func() { _ = rdb.Close() }()
	client, err := tasks.NewClient(tasks.ClientConfig{Redis: rdb})
	ts.Check(err)
	store, err := dlq.New(dlq.Config{Redis: rdb, Client: client})
	ts.Check(err)
	ctx := context.Background()
	ops, err := store.ActiveOperations(ctx, tasks.AppDefault)
	ts.Check(err)
	for _, op := range ops {
		for n := 1; n > 0; {
			_, n, err = store.Work(ctx, op, dlq.BulkMax, "script")
			ts.Check(err)
		}
	}
}
