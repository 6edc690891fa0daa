package worker

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/imqueue/emq/errclass"
	"github.com/imqueue/emq/tasks"
	"github.com/imqueue/emq/worker/easemob/simulator"
)

// fails and succeeds report n calls each.
func (b *breaker) fails(t *testing.T, n int) {
	t.Helper()
	for range n {
		done, ok := b.enter()
		if !ok {
			t.Fatal("the breaker refuses a call")
		}
		done(errAway)
	}
}

func (b *breaker) succeeds(t *testing.T) {
	t.Helper()
	done, ok := b.enter()
	if !ok {
		t.Fatal("the breaker refuses a call")
	}
	done(nil)
}

func TestBreakerOpensProbesAndRamps(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker("shop", slog.New(slog.DiscardHandler), openFor)
		b.fails(t, tripAfter-1)
		if b.ready() != 0 || b.away() {
			t.Fatal("open before its time")
		}
		b.fails(t, 1)
		if wait := b.ready(); wait <= openFor-time.Second || wait > openFor || !b.away() {
			t.Fatalf("after %d failures in a row: wait %v, away %v", tripAfter, wait, b.away())
		}
		if _, ok := b.enter(); ok {
			t.Fatal("an open breaker lets a call pass")
		}

		// A probe that fails: as long again. One that tells nothing: another probe.
		time.Sleep(openFor + time.Millisecond)
		if b.ready() != 0 {
			t.Fatal("no probe when its time is over")
		}
		if b.ready() == 0 {
			t.Fatal("two probes at once")
		}
		b.fails(t, 1)
		if b.ready() <= openFor-time.Second {
			t.Fatal("a failed probe did not open it again")
		}
		time.Sleep(openFor + time.Millisecond)
		done, _ := b.enter()
		if b.ready() == 0 {
			t.Fatal("a task is fetched while the probe is under way")
		}
		done(errNoWord)
		if wait := b.ready(); wait > rampStart {
			t.Fatalf("a call cut short counts as a failed probe: wait %v", wait)
		}

		// A probe that succeeds: the calls come back gradually.
		b.succeeds(t)
		var gaps []time.Duration
		for began := time.Now(); b.away(); {
			wait := b.ready()
			if wait == 0 {
				b.succeeds(t)
				gaps = append(gaps, time.Since(began))
				began = time.Now()
				continue
			}
			time.Sleep(wait)
		}
		if len(gaps) < rampCalls/2 || gaps[1] > rampStart || gaps[len(gaps)-1] >= gaps[1] {
			t.Errorf("gaps between the calls after an outage: %v", gaps)
		}
		if b.ready() != 0 {
			t.Error("not at full speed after the ramp")
		}
	})
}

// An app of few calls does not stay "away" until it has made the ramp's.
func TestRampEndsByTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker("shop", slog.New(slog.DiscardHandler), openFor)
		b.fails(t, tripAfter)
		time.Sleep(openFor + time.Millisecond)
		if b.ready() != 0 {
			t.Fatal("no probe")
		}
		b.succeeds(t)
		if !b.away() {
			t.Error("back after a single call")
		}
		time.Sleep(rampFor + time.Second)
		if b.away() || b.ready() != 0 {
			t.Error("still away a minute after Easemob was back")
		}
	})
}

// Easemob carries calls out, but its answers are lost: a task is not called more
// often than its attempts allow, because each may have been a copy.
func TestLostAnswersSpendAttempts(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Config{})
	worker, err := New(w.config())
	must(t, err)
	worker.breakers = newBreakers(worker.cfg.Apps, worker.log, 200*time.Millisecond)
	w.fault(simulator.Fault{Path: "/messages/*", Cut: simulator.CutAfter})
	var ids []string
	for i := range 12 {
		ids = append(ids, w.enqueue(text("u1"), tasks.ID(fmt.Sprintf("m%d", i)), tasks.MaxAttempts(2)))
	}
	w.run(worker)
	w.idle()
	twice := 0
	for _, id := range ids {
		// A connection that broke before the call was carried out spends an attempt as well.
		n := w.executed(id)
		twice += n / 2
		if n < 1 || n > 2 {
			t.Errorf("%s, of two attempts, was executed %d times", id, n)
		}
	}
	if twice < len(ids)/2 {
		t.Errorf("%d of %d tasks were executed twice: the attempts are not used", twice, len(ids))
	}
}

func TestBreakerOpensWhenHalfOfTheCallsFail(t *testing.T) {
	t.Parallel()
	b := newBreaker("shop", slog.New(slog.DiscardHandler), openFor)
	for range tripSample {
		if b.ready() != 0 {
			break
		}
		b.succeeds(t)
		b.fails(t, 1)
	}
	if b.ready() == 0 {
		t.Error("closed though half of the calls fail")
	}
}

func TestWhatTellsThatEasemobIsAway(t *testing.T) {
	t.Parallel()
	answer := func(status int, body string) *attempt {
		e := errclass.Evidence{Kind: "message.send", Status: status, Body: []byte(body), Written: true}
		return &attempt{evidence: e, verdict: errclass.Classify(e)}
	}
	broken := func(transport errclass.Transport) *attempt {
		e := errclass.Evidence{Kind: "message.send", Transport: transport}
		return &attempt{evidence: e, verdict: errclass.Classify(e)}
	}
	for _, tc := range []struct {
		name string
		a    *attempt
		want error
	}{
		{"delivered", answer(200, `{"data":{"u1":"1"}}`), nil},
		{"refused", answer(404, `{"error":"resource_not_found","error_description":"grpID 1 does not exist!"}`), nil},
		{"too fast", answer(429, `{"error":"reach_limit","error_description":"This request has reached api limit"}`), nil},
		{"a gateway's page", answer(502, "<html>Bad Gateway</html>"), errAway},
		{"unavailable", answer(503, ""), errAway},
		{"internal", answer(500, `{"error":"internal"}`), errAway},
		{"timeout", broken(errclass.TransportTimeout), errAway},
		{"refused connection", broken(errclass.TransportConnectionRefused), errAway},
		{"cut short", broken(errclass.TransportCanceled), errNoWord},
	} {
		if got := wordOf(tc.a); !errors.Is(got, tc.want) {
			t.Errorf("%s: %v, want %v (verdict %+v)", tc.name, got, tc.want, tc.a.verdict)
		}
	}
}

// An outage in short: the breaker waits 300 ms instead of 5 s, and the outage
// lasts some seconds instead of minutes. Every task would have spent its few
// attempts many times over if the calls had gone on.
func TestOutageCostsNoTask(t *testing.T) {
	t.Parallel()
	const backlog = 300
	w := newWorld(t, simulator.Config{})
	worker, err := New(w.config())
	must(t, err)
	worker.breakers = newBreakers(worker.cfg.Apps, worker.log, 300*time.Millisecond)
	w.fault(simulator.Fault{Path: "/messages/*", Status: 503, BodyText: "<html>503 Service Unavailable</html>"})
	ids := make([]string, backlog)
	for i := range ids {
		ids[i] = w.enqueue(text("u1"), tasks.ID(fmt.Sprintf("m%d", i)), tasks.MaxAttempts(4))
	}
	w.run(worker)
	w.eventually("the breaker opens", func() bool { return strings.Contains(w.logs.String(), "state=open") })
	time.Sleep(4 * time.Second) // the outage
	during := strings.Count(w.logs.String(), "msg=attempt")
	w.sim.ClearFaults()
	w.eventually("delivery", func() bool {
		done := map[string]bool{}
		for _, e := range w.sim.Executed() {
			done[e.EmqID] = true
		}
		return len(done) == backlog
	})
	w.idle()
	w.noDeadLetters()
	for _, id := range ids {
		if n := w.executed(id); n != 1 {
			t.Errorf("%s was executed %d times", id, n)
		}
	}
	// Those in flight when it opened, and the probes.
	if most := tripAfter + 4*w.config().Concurrency + 40; during > most {
		t.Errorf("%d calls during the outage, want at most %d", during, most)
	}
	t.Logf("%d calls during the outage for a backlog of %d", during, backlog)
}
