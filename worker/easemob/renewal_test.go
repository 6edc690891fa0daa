package easemob

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/imqueue/emq/worker/easemob/simulator"
)

// simulated starts a simulator and a client of its default app.
func simulated(t *testing.T) (*simulator.Simulator, *Client) {
	t.Helper()
	sim, err := simulator.New(simulator.Config{})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(sim)
	t.Cleanup(server.Close)
	return sim, newClient(t, server.URL, func(cfg *Config) {
		cfg.AppKey, cfg.ClientID, cfg.ClientSecret = simulator.AppKeyDefault, simulator.ClientIDDefault, simulator.ClientSecretDefault
		cfg.Timeout = time.Minute // nothing here is about time
	})
}

var send = Request{Method: "POST", Path: "/messages/users", Body: []byte(`{"to":["u1"],"type":"txt","body":{"msg":"x"}}`)}

// crowd makes calls until stopped, and counts how many each caller has made.
type crowd struct {
	made []atomic.Int64
	stop atomic.Bool
	wg   sync.WaitGroup
}

func newCrowd(size int, call func()) *crowd {
	c := &crowd{made: make([]atomic.Int64, size)}
	for i := range c.made {
		c.wg.Go(func() {
			for !c.stop.Load() {
				call()
				c.made[i].Add(1)
			}
		})
	}
	return c
}

// again waits until every caller has made a call that began after now.
func (c *crowd) again() {
	want := make([]int64, len(c.made))
	for i := range c.made {
		want[i] = c.made[i].Load() + 2
	}
	for i := range c.made {
		for c.made[i].Load() < want[i] {
			time.Sleep(time.Millisecond)
		}
	}
}

func (c *crowd) end() {
	c.stop.Store(true)
	c.wg.Wait()
}

// TestDoUnderRevocations: 64 callers, and 30 revocations at random moments, in
// bursts of as many as a call puts up with. Each comes when the token of the one
// before has been given out, be that on its way, unused or in use. A burst begins
// when all callers have recovered from the last, so that no call meets two.
//
// Each revocation is noticed, so it costs exactly one fetch, and the first token
// costs one. (Two revocations without a fetch between them would cost one
// together.) No caller sees a 401.
func TestDoUnderRevocations(t *testing.T) {
	t.Parallel()
	sim, c := simulated(t)
	callers := newCrowd(64, func() {
		if answer, err := c.Do(context.Background(), send); err != nil || answer.Status != 200 {
			t.Errorf("status %d %s, %v", answer.Status, answer.Body, err)
		}
	})
	const bursts = 10
	revoked := int64(0)
	draw := rand.New(rand.NewPCG(1, 2))
	for range bursts {
		callers.again()
		for range RenewalsMax {
			for sim.Counts().TokensIssued <= revoked {
				time.Sleep(100 * time.Microsecond)
			}
			time.Sleep(time.Duration(draw.IntN(10_000)) * time.Microsecond)
			if revoked++; draw.IntN(2) == 0 {
				sim.RevokeTokens()
			} else {
				sim.ExpireTokens()
			}
		}
	}
	callers.again()
	callers.end()

	n := sim.Counts()
	if fetches := n.Calls["POST /token"][200]; fetches != revoked+1 || n.TokensIssued != fetches || len(n.Calls["POST /token"]) != 1 {
		t.Errorf("fetches %v after %d revocations, want one each and the first", n.Calls["POST /token"], revoked)
	}
	if n.Calls["POST /messages/users"][401] < revoked {
		t.Errorf("%d rejections of %d revocations: the test tests nothing", n.Calls["POST /messages/users"][401], revoked)
	}
	made := int64(0)
	for i := range callers.made {
		made += callers.made[i].Load()
	}
	if n.Executed != made {
		t.Errorf("executed %d of %d calls: each once", n.Executed, made)
	}
}

// TestDoUnderWrongSecret: when the secret is changed and the tokens revoked, the
// pause after the one failed fetch is free of fetches and of calls. All callers
// are told why, and once the pause has passed the next one tries again.
func TestDoUnderWrongSecret(t *testing.T) {
	t.Parallel()
	sim, c := simulated(t)
	mustDo(t, c, send)
	if err := sim.SetSecret("", "changed"); err != nil {
		t.Fatal(err)
	}
	c.tokens.mu.Lock()
	c.tokens.floor, c.tokens.floorMax, c.tokens.last = time.Hour, time.Hour, time.Time{} // the last fetch was long ago
	c.tokens.mu.Unlock()
	sim.RevokeTokens()
	var callers sync.WaitGroup
	for range 64 {
		callers.Go(func() {
			for range 50 {
				answer, err := c.Do(context.Background(), send)
				var failure *Error
				if !errors.As(err, &failure) || failure.Op != OpToken || failure.Status != 400 || failure.Written ||
					!bytes.Contains(failure.Body, []byte("client_secret does not match")) {
					t.Errorf("status %d, %+v", answer.Status, err)
				}
			}
		})
	}
	callers.Wait()
	n := sim.Counts()
	if n.Calls["POST /token"][400] != 1 || n.Calls["POST /token"][200] != 1 {
		t.Errorf("fetches %v, want one that failed", n.Calls["POST /token"])
	}
	// Every caller found out at most once that the token was refused.
	if refused := n.Calls["POST /messages/users"][401]; refused < 1 || refused > 64 {
		t.Errorf("%d calls with the revoked token", refused)
	}

	if err := sim.SetSecret("", simulator.ClientSecretDefault); err != nil {
		t.Fatal(err)
	}
	c.tokens.mu.Lock()
	c.tokens.last = time.Time{}
	c.tokens.mu.Unlock()
	if answer := mustDo(t, c, send); answer.Status != 200 || sim.Counts().Calls["POST /token"][200] != 2 {
		t.Errorf("with the right secret again: %+v", answer)
	}
}
