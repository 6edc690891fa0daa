//go:build darwin || dragonfly || freebsd || netbsd || openbsd

package redisserver

import (
	"os"
	"syscall"
)

// attributes puts the child in a process group of its own, so that a Ctrl-C in
// the terminal reaches the parent alone, which then stops the child in order.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// lock takes the exclusive lock of an open file, or fails at once. The lock
// lasts until every process that inherited the file has closed it.
func lock(f *os.File) error {
	return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
}
