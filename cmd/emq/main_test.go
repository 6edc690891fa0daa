package main

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"
)

// TestMain also makes the test binary serve as the programs of scripts.
func TestMain(m *testing.M) {
	testscript.Main(leakChecked{m}, map[string]func(){"emq": main, "http": httpMain})
}

// leakChecked fails a run of tests that leaves goroutines behind.
type leakChecked struct{ m *testing.M }

func (c leakChecked) Run() int {
	code := c.m.Run()
	if code != 0 {
		return code
	}
	if err := goleak.Find(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// testEnv is an environment with buffers for streams and a clock that stands.
type testEnv struct {
	*env
	stdout, stderr *bytes.Buffer
}

func newTestEnv(t *testing.T, stdin string, environ ...string) testEnv {
	t.Helper()
	e := testEnv{stdout: &bytes.Buffer{}, stderr: &bytes.Buffer{}}
	now := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	e.env = &env{
		in: strings.NewReader(stdin), out: e.stdout, err: e.stderr,
		environ: environ,
		now:     func() time.Time { return now },
	}
	t.Cleanup(e.close)
	return e
}

// run executes a command line and checks its exit code.
func (e testEnv) run(t *testing.T, want int, args ...string) {
	t.Helper()
	if code := run(e.env, args); code != want {
		t.Fatalf("emq %s: exit code %d, want %d\nstdout: %s\nstderr: %s", strings.Join(args, " "), code, want, e.stdout, e.stderr)
	}
}
