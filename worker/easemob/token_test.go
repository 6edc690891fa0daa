package easemob

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// source is a tokens whose fetches a test scripts, with the times at which they
// began, in a bubble with a fake clock.
type source struct {
	*tokens
	start   time.Time
	fetched []time.Duration // since start; guarded by tokens.mu being free of fetches: one at a time
}

// newSource returns a source whose fetch number n, from 1, is made by fetch.
func newSource(t *testing.T, fetch func(ctx context.Context, n int) (*token, *Error)) *source {
	life, end := context.WithCancel(context.Background())
	s := &source{start: time.Now()}
	s.tokens = &tokens{
		patience: 15 * time.Second,
		floor:    TokenFloor,
		floorMax: TokenFloorMax,
		life:     life,
		fetch: func(ctx context.Context) (*token, *Error) {
			s.fetched = append(s.fetched, time.Since(s.start))
			return fetch(ctx, len(s.fetched))
		},
	}
	t.Cleanup(func() { s.close(end) })
	return s
}

func tokenFor(life time.Duration) *token { return newToken("token", time.Now(), life) }

func (s *source) must(t *testing.T) *token {
	t.Helper()
	tok, failure := s.get(context.Background())
	if failure != nil {
		t.Fatalf("get: %v", failure)
	}
	return tok
}

func (s *source) wantFetches(t *testing.T, want ...time.Duration) {
	t.Helper()
	synctest.Wait()
	if len(s.fetched) != len(want) {
		t.Fatalf("fetches at %v, want %v", s.fetched, want)
	}
	for i := range want {
		if s.fetched[i] != want[i] {
			t.Fatalf("fetches at %v, want %v", s.fetched, want)
		}
	}
}

func TestTokenOneFetchForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSource(t, func(context.Context, int) (*token, *Error) {
			time.Sleep(3 * time.Second)
			return tokenFor(time.Hour), nil
		})
		var wg sync.WaitGroup
		for range 64 {
			wg.Go(func() { s.must(t) })
		}
		wg.Wait()
		s.wantFetches(t, 0)
		if took := time.Since(s.start); took != 3*time.Second {
			t.Errorf("callers waited %v, want the 3s of the fetch", took)
		}
	})
}

func TestTokenRenewedWhileOldOneServes(t *testing.T) {
	for name, c := range map[string]struct{ life, due time.Duration }{
		"long life: five minutes before its end": {life: 24 * time.Hour, due: 24*time.Hour - 5*time.Minute},
		"short life: at 90 % of it":              {life: 20 * time.Second, due: 18 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSource(t, func(_ context.Context, n int) (*token, *Error) {
					if n > 1 {
						time.Sleep(time.Second)
					}
					return tokenFor(c.life), nil
				})
				first := s.must(t)
				time.Sleep(c.due - time.Millisecond)
				if s.must(t) != first {
					t.Fatal("renewed too early")
				}
				s.wantFetches(t, 0)
				time.Sleep(time.Millisecond)
				began := time.Now()
				for range 10 {
					if s.must(t) != first {
						t.Fatal("the old token should serve while it is renewed")
					}
				}
				if waited := time.Since(began); waited != 0 {
					t.Errorf("callers waited %v for a renewal", waited)
				}
				s.wantFetches(t, 0, c.due)
				time.Sleep(time.Second + time.Millisecond)
				if s.must(t) == first {
					t.Error("the new token should be in use")
				}
				s.wantFetches(t, 0, c.due)
			})
		})
	}
}

func TestTokenNeverExpiring(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSource(t, func(context.Context, int) (*token, *Error) { return tokenFor(0), nil })
		s.must(t)
		time.Sleep(20 * 365 * 24 * time.Hour)
		s.must(t)
		s.wantFetches(t, 0)
	})
}

func TestTokenExpiredIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSource(t, func(context.Context, int) (*token, *Error) {
			time.Sleep(time.Second)
			return tokenFor(time.Minute), nil
		})
		first := s.must(t)
		time.Sleep(time.Hour)
		if s.must(t) == first {
			t.Error("an expired token was handed out")
		}
		s.wantFetches(t, 0, time.Hour+time.Second)
	})
}

func TestTokenFailedRenewalDisturbsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSource(t, func(_ context.Context, n int) (*token, *Error) {
			if n > 1 {
				return nil, &Error{Op: OpToken, Status: 503}
			}
			return tokenFor(time.Hour), nil
		})
		first := s.must(t)
		time.Sleep(55 * time.Minute)
		for range 300 - 1 {
			if s.must(t) != first {
				t.Fatal("want the old token until its end")
			}
			synctest.Wait()
			time.Sleep(time.Second)
		}
		// 1 s, 2, 4, 8, 16, then 30 s apart: in five minutes 14 tries, not 300.
		synctest.Wait()
		if n := len(s.fetched); n != 1+14 {
			t.Errorf("%d fetches, want 15: %v", n, s.fetched)
		}
		time.Sleep(time.Second)
		if _, failure := s.get(context.Background()); failure == nil || failure.Status != 503 {
			t.Errorf("after its end: %v, want the remembered 503", failure)
		}
	})
}

func TestTokenFailureIsRememberedAndPauseWidens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		down := true
		s := newSource(t, func(_ context.Context, n int) (*token, *Error) {
			if down {
				return nil, &Error{Op: OpToken, Status: 500 + n}
			}
			return tokenFor(0), nil
		})
		// Ten callers every 100 ms for five minutes.
		for range 3000 {
			for range 10 {
				if _, failure := s.get(context.Background()); failure == nil || failure.Status < 501 {
					t.Fatalf("got %v", failure)
				}
			}
			time.Sleep(100 * time.Millisecond)
		}
		if took := time.Since(s.start); took != 5*time.Minute {
			t.Errorf("callers waited: %v instead of 5m", took)
		}
		var want []time.Duration
		for at, pause := time.Duration(0), time.Second; at < 5*time.Minute; at, pause = at+pause, min(2*pause, 30*time.Second) {
			want = append(want, at)
		}
		s.wantFetches(t, want...)

		down = false
		time.Sleep(TokenFloorMax)
		s.accept(s.must(t))
		if s.strikes != 0 {
			t.Errorf("%d strikes after an accepted token", s.strikes)
		}
	})
}

func TestTokenRejectedSoonAfterItsFetchWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSource(t, func(context.Context, int) (*token, *Error) { return tokenFor(time.Hour), nil })
		first := s.must(t)
		s.accept(first)
		time.Sleep(300 * time.Millisecond)
		var wg sync.WaitGroup
		for range 64 {
			wg.Go(func() {
				s.reject(first)
				if s.must(t) == first {
					t.Error("a rejected token was handed out")
				}
			})
		}
		wg.Wait()
		s.wantFetches(t, 0, TokenFloor)
	})
}

func TestTokenRejectedLateCostsNoWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSource(t, func(context.Context, int) (*token, *Error) { return tokenFor(time.Hour), nil })
		first := s.must(t)
		time.Sleep(time.Minute)
		s.reject(first)
		second := s.must(t)
		s.wantFetches(t, 0, time.Minute)
		// A caller that was slow to learn of the first token's end.
		s.reject(first)
		if s.must(t) != second {
			t.Error("an old rejection cost the newer token")
		}
		s.wantFetches(t, 0, time.Minute)
	})
}

func TestTokenNeverAcceptedWidensPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSource(t, func(context.Context, int) (*token, *Error) { return tokenFor(0), nil })
		for range 5 {
			s.reject(s.must(t))
		}
		s.must(t)
		// The pause widens to half of a caller's patience, so that he gets a token
		// and can judge the call's answer.
		s.wantFetches(t, 0, 1*time.Second, 3*time.Second, 7*time.Second, 14500*time.Millisecond, 22*time.Second)
	})
}

func TestTokenWaitHonoursItsOwnContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var broken atomic.Bool
		s := newSource(t, func(ctx context.Context, _ int) (*token, *Error) {
			select {
			case <-time.After(5 * time.Second):
				return tokenFor(0), nil
			case <-ctx.Done():
				broken.Store(true)
				return nil, &Error{Op: OpToken, Transport: TransportCanceled}
			}
		})
		// The first caller starts the fetch, and goes.
		ctx, cancel := context.WithCancel(context.Background())
		time.AfterFunc(time.Second, cancel)
		var wg sync.WaitGroup
		wg.Go(func() {
			_, failure := s.get(ctx)
			if failure == nil || failure.Transport != TransportCanceled || !errors.Is(failure, context.Canceled) ||
				failure.Written || failure.Op != OpToken || failure.Latency != time.Second {
				t.Errorf("cancelled: %+v", failure)
			}
		})
		deadline, stop := context.WithTimeout(context.Background(), 2*time.Second)
		defer stop()
		wg.Go(func() {
			_, failure := s.get(deadline)
			if failure == nil || failure.Transport != TransportTimeout || !errors.Is(failure, context.DeadlineExceeded) {
				t.Errorf("deadline: %+v", failure)
			}
		})
		wg.Go(func() { s.must(t) })
		wg.Wait()
		s.wantFetches(t, 0)
		if broken.Load() {
			t.Error("a caller's context ended the fetch of all")
		}
	})
}

func TestTokenWaitEndsWithPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSource(t, func(context.Context, int) (*token, *Error) {
			time.Sleep(time.Minute)
			return tokenFor(0), nil
		})
		_, failure := s.get(context.Background())
		if failure == nil || failure.Transport != TransportTimeout || failure.Latency != 15*time.Second {
			t.Errorf("got %+v", failure)
		}
		time.Sleep(time.Minute)
	})
}

func TestTokenClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSource(t, func(context.Context, int) (*token, *Error) { return tokenFor(0), nil })
		s.reject(s.must(t))
		life, end := context.WithCancel(context.Background())
		s.life = life
		var wg sync.WaitGroup
		wg.Go(func() {
			_, failure := s.get(context.Background()) // waits for the pause to pass
			if failure == nil || failure.Transport != TransportCanceled {
				t.Errorf("under way at the close: %v", failure)
			}
		})
		synctest.Wait()
		s.close(end)
		wg.Wait()
		if _, failure := s.get(context.Background()); failure == nil || failure.Transport != TransportCanceled {
			t.Errorf("after the close: %v", failure)
		}
		s.wantFetches(t, 0)
	})
}

func TestParseToken(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		body  string
		value string
		life  time.Duration
	}{
		{`{"access_token":"abc","expires_in":5184000,"application":"x"}`, "abc", 60 * 24 * time.Hour},
		{`{"access_token":"abc","expires_in":0}`, "abc", 0},
		{`{"access_token":"abc"}`, "abc", 0},
		{`{"access_token":"abc","expires_in":null}`, "abc", 0},
		{`{"access_token":"abc","expires_in":"60"}`, "abc", time.Minute},
		{`{"access_token":"abc","expires_in":1.5}`, "abc", 1500 * time.Millisecond},
		{`{"access_token":"abc","expires_in":9223372036854775807}`, "abc", 0},
		{`{"access_token":"abc","expires_in":1e400}`, "", 0},
		{`{"access_token":"abc","expires_in":-1}`, "", 0},
		{`{"access_token":"abc","expires_in":"soon"}`, "", 0},
		{`{"access_token":"","expires_in":1}`, "", 0},
		{`{"access_token":7,"expires_in":1}`, "", 0},
		{`{"access_token":"a\r\nX-Evil: 1","expires_in":1}`, "", 0},
		{`{"access_token":"` + strings.Repeat("x", tokenMaxBytes+1) + `"}`, "", 0},
		{`{"expires_in":1}`, "", 0},
		{`[]`, "", 0},
		{``, "", 0},
		{`<html>`, "", 0},
	} {
		value, life, err := parseToken([]byte(c.body))
		if value != c.value || life != c.life || (err != nil) != (c.value == "") {
			t.Errorf("%.60s: %q, %v, %v; want %q, %v", c.body, value, life, err, c.value, c.life)
		}
	}
}
