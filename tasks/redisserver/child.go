package redisserver

import (
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

// child is one run of the server.
type child struct {
	cmd  *exec.Cmd
	log  *tail
	done chan struct{} // closed when the process is gone and reaped
}

// startChild starts the binary in dir with the configuration on its standard
// input. The process inherits held.
func startChild(binary, dir, config string, held *os.File) (*child, error) {
	c := &child{cmd: exec.Command(binary, "-"), log: &tail{}, done: make(chan struct{})}
	c.cmd.Dir = dir
	c.cmd.Stdin = strings.NewReader(config)
	c.cmd.Stdout, c.cmd.Stderr = c.log, c.log
	c.cmd.ExtraFiles = []*os.File{held}
	c.cmd.SysProcAttr = attributes()
	started := make(chan error)
	go func() {
		// Linux sends the parent-death signal when the thread that started the
		// child ends, so the thread is kept for as long as the child lives.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := c.cmd.Start()
		started <- err
		if err == nil {
			_ = c.cmd.Wait() // how it ended shows in its log
			close(c.done)
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return c, nil
}

func (c *child) ended() bool {
	select {
	case <-c.done:
		return true
	default:
		return false
	}
}

// end sends the signal and waits until the process is gone; after stopTimeout
// it kills.
func (c *child) end(signal syscall.Signal) error {
	if c.ended() {
		return nil
	}
	if signal != syscall.SIGKILL && c.cmd.Process.Signal(signal) == nil {
		select {
		case <-c.done:
			return nil
		case <-time.After(stopTimeout):
		}
	}
	if err := c.cmd.Process.Kill(); err != nil && !c.ended() {
		return err
	}
	<-c.done
	return nil
}

// tailMax is how much of the server's log is kept.
const tailMax = 4096

// tail keeps the end of what is written to it.
type tail struct {
	mu   sync.Mutex
	text []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, p...)
	if extra := len(t.text) - tailMax; extra > 0 {
		t.text = append(t.text[:0], t.text[extra:]...)
	}
	return len(p), nil
}

func (t *tail) contains(s string) bool { return strings.Contains(t.whole(), s) }

func (t *tail) whole() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.text)
}

// String is the last lines of the log, on one line.
func (t *tail) String() string {
	lines := strings.Split(strings.TrimSpace(t.whole()), "\n")
	return strings.Join(lines[max(0, len(lines)-4):], "; ")
}
