package simulator

import (
	"context"
	"net"
	"net/http"
	"testing"
	"time"
)

// TestStopDuringADelay: a call that is kept waiting when the simulator stops
// gets no answer, least of all the 200 that net/http writes by itself.
func TestStopDuringADelay(t *testing.T) {
	t.Parallel()
	s, err := New(Config{Faults: []Fault{{Latency: time.Minute, Status: 504}}})
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx, listener) }()
	time.AfterFunc(200*time.Millisecond, stop)
	resp, err := http.Get("http://" + listener.Addr().String() + "/demo/emq/users")
	if err == nil {
		_ = resp.Body.Close()
		t.Errorf("answer %d, want none", resp.StatusCode)
	}
	if err := <-served; err != nil {
		t.Errorf("Serve: %v", err)
	}
}
