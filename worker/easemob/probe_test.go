package easemob

import (
	"context"
	"crypto/tls"
	"errors"
	"strings"
	"testing"
	"time"
)

func TestProbe(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	p, err := newClient(t, s.URL).Probe(t.Context())
	if err != nil || p.Latency <= 0 || !p.CertificateEnds.IsZero() {
		t.Errorf("%+v, %v", p, err)
	}
	if s.fetches.Load() != 0 || s.calls.Load() == 0 {
		t.Errorf("%d fetches, %d requests", s.fetches.Load(), s.calls.Load())
	}

	secure := newTLSServer(t, tls.VersionTLS13)
	p, err = trust(newClient(t, secure.URL), secure).Probe(t.Context())
	if ends := secure.Certificate().NotAfter; err != nil || !p.CertificateEnds.Equal(ends) {
		t.Errorf("%+v, %v, want the certificate to end at %v", p, err, ends)
	}
	for url, want := range map[string]Transport{secure.URL: TransportTLS, "http://127.0.0.1:1": TransportRefused} {
		_, err := newClient(t, url).Probe(t.Context())
		if failed, ok := errors.AsType[*Error](err); !ok || failed.Transport != want {
			t.Errorf("%s: %v", url, err)
		}
	}
}

func TestCheckToken(t *testing.T) {
	t.Parallel()
	for expires, want := range map[string]time.Duration{"0": 0, "3600": time.Hour} {
		s := newServer(t)
		s.expires = expires
		c := newClient(t, s.URL)
		for range 2 {
			life, err := c.CheckToken(t.Context())
			if err != nil || life > want || life < want-time.Minute {
				t.Errorf("%s: %v, %v", expires, life, err)
			}
		}
		if n := s.fetches.Load(); n != 1 {
			t.Errorf("%d fetches", n)
		}
	}
	_, err := newClient(t, newServer(t).URL, func(c *Config) { c.ClientSecret = "other" }).CheckToken(t.Context())
	if failed, ok := errors.AsType[*Error](err); !ok || failed.Op != OpToken || failed.Status != 400 || !strings.Contains(string(failed.Body), "client_secret does not match") {
		t.Errorf("wrong secret: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = newClient(t, newServer(t).URL).CheckToken(ctx)
	if failed, ok := errors.AsType[*Error](err); !ok || failed.Transport != TransportCanceled {
		t.Errorf("cancelled: %v", err)
	}
}
