// Command emq is the one binary of emq: it enqueues calls, runs the workers that
// make them, and lets people look at dead letters, understand and resend them.
//
// The package wires and holds no business rules: main.go and root.go start a
// command and turn its error into an exit code, env.go holds what commands reach
// the world through, config.go the settings, output.go how data is printed, and
// each other file one noun with its verbs.
//
// Data goes to standard output, everything said about it to standard error.
package main
