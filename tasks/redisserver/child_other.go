//go:build !linux && !darwin && !dragonfly && !freebsd && !netbsd && !openbsd

package redisserver

import (
	"os"
	"syscall"
)

func attributes() *syscall.SysProcAttr { return nil }

// lock does nothing: these systems have no lock that a child inherits.
func lock(*os.File) error { return nil }
