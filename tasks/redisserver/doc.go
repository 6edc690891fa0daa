// Package redisserver runs a redis-server as a child of this process: for
// `emq dev`, for benchmarks, and for tests that need more than an in-memory
// Redis. It is no way to run Redis in production.
//
// The child listens on 127.0.0.1 only, never evicts, keeps nothing on disk
// unless asked to, and where the system can do it (Linux) goes down with its
// parent however the parent ends.
package redisserver
