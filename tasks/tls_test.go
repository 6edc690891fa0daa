package tasks

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/imqueue/emq/tasks/redisserver"
	"github.com/imqueue/emq/tasks/redisserver/redistest"
)

// authority signs certificates, as the one of a company does.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t}
	var err error
	a.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	raw := a.sign(&x509.Certificate{Subject: pkix.Name{CommonName: "test authority"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}, nil, &a.key.PublicKey)
	a.cert, err = x509.ParseCertificate(raw)
	must(t, err)
	a.file = a.write("ca.pem", "CERTIFICATE", raw)
	return a
}

func (a *authority) sign(c, parent *x509.Certificate, key *ecdsa.PublicKey) []byte {
	a.t.Helper()
	c.SerialNumber, c.NotBefore, c.NotAfter = big.NewInt(time.Now().UnixNano()), time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	if parent == nil {
		parent = c
	}
	raw, err := x509.CreateCertificate(rand.Reader, c, parent, key, a.key)
	must(a.t, err)
	return raw
}

func (a *authority) write(name, kind string, raw []byte) string {
	a.t.Helper()
	path := filepath.Join(a.t.TempDir(), name)
	must(a.t, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: raw}), 0o600))
	return path
}

// issue makes the certificate of a server at 127.0.0.1 or of a client.
func (a *authority) issue(name string) (cert, key string) {
	a.t.Helper()
	own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(a.t, err)
	raw := a.sign(&x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, a.cert, &own.PublicKey)
	der, err := x509.MarshalECPrivateKey(own)
	must(a.t, err)
	return a.write(name+".pem", "CERTIFICATE", raw), a.write(name+".key", "EC PRIVATE KEY", der)
}

// TestTLS has a Redis with a password and a certificate of a company's own authority,
// which asks its clients for one, too.
func TestTLS(t *testing.T) {
	t.Parallel()
	ours, others := newAuthority(t), newAuthority(t)
	cert, key := ours.issue("redis")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	port := l.Addr().(*net.TCPAddr).Port
	must(t, l.Close())
	server := redistest.Start(t, redisserver.Options{Args: []string{
		fmt.Sprintf("tls-port %d", port), "tls-cert-file " + cert, "tls-key-file " + key, "tls-ca-cert-file " + ours.file, "tls-auth-clients yes",
	}})
	must(t, redistest.Client(t, server).ConfigSet(context.Background(), "requirepass", "s3cret").Err())
	mine, mineKey := ours.issue("emq")
	foreign, foreignKey := others.issue("emq")
	base := fmt.Sprintf("rediss://:s3cret@127.0.0.1:%d?max_retries=-1", port)

	for name, c := range map[string]struct{ url, says string }{
		"all as it should be": {base + "&ca_file=" + ours.file + "&cert_file=" + mine + "&key_file=" + mineKey, ""},
		"system authorities":  {base + "&cert_file=" + mine + "&key_file=" + mineKey, "unknown authority"},
		"another authority":   {base + "&ca_file=" + others.file + "&cert_file=" + mine + "&key_file=" + mineKey, "unknown authority"},
		"no certificate":      {base + "&ca_file=" + ours.file, "certificate"},
		"a foreign one":       {base + "&ca_file=" + ours.file + "&cert_file=" + foreign + "&key_file=" + foreignKey, "certificate|unknown|EOF|reset"},
		"without TLS":         {fmt.Sprintf("redis://:s3cret@127.0.0.1:%d?max_retries=-1", port), "EOF|reset|answered in time"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rdb, err := OpenRedis(c.url)
			must(t, err)
			t.Cleanup(func() { _ = rdb.Close() })
			client, err := NewClient(ClientConfig{Redis: rdb, Timeout: 5 * time.Second})
			must(t, err)
			_, err = client.Enqueue(context.Background(), text("u1"))
			if c.says == "" {
				must(t, err)
				return
			}
			told := false
			for _, one := range strings.Split(c.says, "|") {
				told = told || err != nil && strings.Contains(err.Error(), one)
			}
			if !told || strings.Contains(err.Error(), "s3cret") {
				t.Errorf("error %v, want one that says %q", err, c.says)
			}
		})
	}
}

func TestTLSFiles(t *testing.T) {
	t.Parallel()
	ours := newAuthority(t)
	cert, key := ours.issue("emq")
	for url, says := range map[string]string{
		"redis://h?ca_file=" + ours.file:                                  "goes with rediss:// alone",
		"rediss://h?ca_file=":                                             "must be the path of a file",
		"rediss://h?ca_file=/nowhere":                                     "ca_file=/nowhere",
		"rediss://h?ca_file=" + key:                                       "has no certificate in PEM",
		"rediss://h?cert_file=" + cert:                                    "go together",
		"rediss://h?cert_file=" + cert + "&key_file=" + cert:              "can't be used",
		"rediss://h?cluster=true&ca_file=/nowhere":                        "can't be read",
		"rediss://h?master_name=m&cert_file=/nowhere&key_file=" + key:     "can't be used",
		"rediss://:s3cret@h?cert_file=/nowhere&key_file=/nowhere&db=none": "can't be used",
	} {
		_, err := OpenRedis(url)
		var refused *FieldError
		if !errors.As(err, &refused) || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v, want a FieldError that says %q", url, err, says)
		}
	}
	for _, url := range []string{
		"rediss://h?ca_file=" + ours.file,
		"rediss://h?cluster=true&ca_file=" + ours.file + "&cert_file=" + cert + "&key_file=" + key,
		"rediss://h?master_name=m&ca_file=" + ours.file,
	} {
		rdb, err := OpenRedis(url)
		if err != nil {
			t.Errorf("%s: %v", url, err)
			continue
		}
		_ = rdb.Close()
	}
}
