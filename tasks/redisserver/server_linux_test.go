package redisserver_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/imqueue/emq/tasks/redisserver"
	"github.com/imqueue/emq/tasks/redisserver/redistest"
)

// parentVar makes the test binary a parent that starts a server, prints its
// process id and waits to be killed.
const parentVar = "EMQ_TEST_REDISSERVER_PARENT"

func TestMain(m *testing.M) {
	if os.Getenv(parentVar) != "" {
		s, err := redisserver.Start(context.Background(), redisserver.Options{Dir: os.Getenv(parentVar)})
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println(s.Pid())
		select {}
	}
	goleak.VerifyTestMain(m)
}

func TestStartedServerAnswersOnLoopbackAndKeepsNothing(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, redisserver.Options{Args: []string{"maxmemory 10mb"}})
	rdb := redistest.Client(t, s)
	if got := rdb.Ping(t.Context()).Val(); got != "PONG" {
		t.Fatalf("PING = %q", got)
	}
	if want := "redis://" + s.Addr(); s.URL() != want {
		t.Errorf("URL = %q, want %q", s.URL(), want)
	}
	for name, want := range map[string]string{
		"bind": "127.0.0.1", "save": "", "appendonly": "no", "maxmemory-policy": "noeviction", "maxmemory": "10485760",
	} {
		if got := rdb.ConfigGet(t.Context(), name).Val()[name]; got != want {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}
	info := rdb.Info(t.Context(), "server").Val()
	if want := fmt.Sprintf("process_id:%d\r\n", s.Pid()); !strings.Contains(info, want) {
		t.Errorf("Pid() = %d is not the server's", s.Pid())
	}
}

func TestStopIsIdempotentAndRemovesTheTemporaryDirectory(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, redisserver.Options{})
	dir := redistest.Client(t, s).ConfigGet(t.Context(), "dir").Val()["dir"]
	if _, err := os.Stat(dir); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := s.Stop(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("directory %s after Stop: %v", dir, err)
	}
	if err := syscall.Kill(s.Pid(), 0); err == nil {
		t.Errorf("process %d still there after Stop", s.Pid())
	}
}

func TestRestartKeepsPortAndData(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*redisserver.Server) error{
		"Kill": (*redisserver.Server).Kill,
		"Stop": (*redisserver.Server).Stop,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := redistest.Start(t, redisserver.Options{Dir: filepath.Join(t.TempDir(), "new dir"), AppendFsync: "always"})
			rdb := redistest.Client(t, s)
			if err := rdb.Set(t.Context(), "k", "v", 0).Err(); err != nil {
				t.Fatal(err)
			}
			addr, pid := s.Addr(), s.Pid()
			for range 2 {
				if err := end(s); err != nil {
					t.Fatal(err)
				}
			}
			if err := rdb.Ping(t.Context()).Err(); err == nil {
				t.Fatal("still answers")
			}
			for range 2 {
				if err := s.Restart(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if s.Addr() != addr || s.Pid() == pid {
				t.Errorf("addr %s -> %s, pid %d -> %d: want the same address, another process", addr, s.Addr(), pid, s.Pid())
			}
			if got := rdb.Get(t.Context(), "k").Val(); got != "v" {
				t.Errorf("k = %q after the restart, want v", got)
			}
		})
	}
}

func TestManyServersAtOnceGetPortsOfTheirOwn(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	seen := map[string]bool{}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			s, err := redisserver.Start(context.Background(), redisserver.Options{})
			if errors.Is(err, redisserver.ErrNotInstalled) {
				return
			}
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			if seen[s.Addr()] {
				t.Errorf("two servers on %s", s.Addr())
			}
			seen[s.Addr()] = true
			mu.Unlock()
			t.Cleanup(func() { _ = s.Stop() })
		})
	}
	wg.Wait()
}

func TestStartRefuses(t *testing.T) {
	t.Parallel()
	running := redistest.Start(t, redisserver.Options{Dir: t.TempDir()})
	_, portText, err := net.SplitHostPort(running.Addr())
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(portText)
	if err != nil {
		t.Fatal(err)
	}
	inUse := t.TempDir()
	redistest.Start(t, redisserver.Options{Dir: inUse})
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()

	for name, tc := range map[string]struct {
		ctx  context.Context
		o    redisserver.Options
		want string
	}{
		"port in use":      {t.Context(), redisserver.Options{Port: port}, "the port is taken"},
		"directory in use": {t.Context(), redisserver.Options{Dir: inUse}, "is in use by another redis-server"},
		"bad config line":  {t.Context(), redisserver.Options{Args: []string{"no-such-directive 1"}}, "no-such-directive"},
		"bad fsync":        {t.Context(), redisserver.Options{AppendFsync: "sometimes"}, `appendfsync: "sometimes": must be no, everysec or always`},
		"bad port":         {t.Context(), redisserver.Options{Port: 70000}, "port: 70000: must be 0 to 65535"},
		"cancelled":        {cancelled, redisserver.Options{}, "canceled"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := redisserver.Start(tc.ctx, tc.o)
			if err == nil {
				_ = s.Stop()
				t.Fatal("started")
			}
			if !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %q does not say %q", err, tc.want)
			}
		})
	}
}

func TestStartWithoutAServerInstalled(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	if _, err := redisserver.Start(t.Context(), redisserver.Options{}); !errors.Is(err, redisserver.ErrNotInstalled) {
		t.Errorf("error = %v, want ErrNotInstalled", err)
	}
}

func TestServerDiesWithItsParent(t *testing.T) {
	t.Parallel()
	probe := redistest.Start(t, redisserver.Options{}) // skips where none is installed
	_ = probe.Stop()
	dir := t.TempDir()
	parent := exec.Command(os.Args[0])
	parent.Env = append(os.Environ(), parentVar+"="+dir)
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	line, readErr := bufio.NewReader(out).ReadString('\n')
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait() // killed
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatalf("the parent said %q (%v), want a process id", line, readErr)
	}
	deadline := time.Now().Add(30 * time.Second)
	for alive(pid) {
		if time.Now().After(deadline) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
			t.Fatalf("redis-server %d outlives its parent", pid)
		}
		time.Sleep(10 * time.Millisecond)
	}
	// Its directory is free again.
	redistest.Start(t, redisserver.Options{Dir: dir})
}

// alive says whether the process runs; a zombie that nobody has reaped doesn't.
func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, after, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(after, "Z")
}

func TestStopEndsAServerThatIsBusy(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, redisserver.Options{})
	rdb := redistest.Client(t, s)
	blocked := make(chan error, 1)
	go func() { blocked <- rdb.BLPop(context.Background(), 0, "never").Err() }()
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := <-blocked; err == nil || errors.Is(err, redis.Nil) {
		t.Errorf("BLPOP ended with %v, want a broken connection", err)
	}
}
