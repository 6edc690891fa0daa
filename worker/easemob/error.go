package easemob

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"time"
)

// Transport says how an exchange broke that brought no whole answer.
type Transport string

// The ways in which an exchange breaks.
const (
	TransportTimeout  Transport = "timeout"            // Config.Timeout, the context's deadline, or a limit of the system's
	TransportRefused  Transport = "connection_refused" // nobody listens there
	TransportReset    Transport = "connection_reset"   // the connection was cut, at whatever point
	TransportDNS      Transport = "dns"                // the host's name wasn't resolved
	TransportTLS      Transport = "tls"                // no trust or no common ground: certificate, version, not TLS at all
	TransportCanceled Transport = "canceled"           // the caller's context was cancelled, or the client closed
	TransportOther    Transport = "other"              // none of the above; Error.Err tells more
)

// What an [Error] happened to.
const (
	OpToken = "token" // getting a token for the call
	OpCall  = "call"  // the call itself
)

// ErrInvalidRequest is wrapped by the error for a [Request] that can't be sent.
// Nothing was written, and no repeat will help.
var ErrInvalidRequest = errors.New("invalid request")

// Error is how [Client.Do] fails. Its text holds neither secrets nor bodies.
// Several callers may be given the same Error: don't change it.
type Error struct {
	// Op is OpToken or OpCall.
	Op string

	// Transport says how the exchange broke. It is empty when the token endpoint
	// did answer, but not with a token.
	Transport Transport

	// Written reports whether any byte of the call may have reached the server.
	// It is false only when that is certain: then the call was not carried out.
	// With OpToken it is always false.
	Written bool

	// Status is that of the token endpoint's answer, or of a call's answer whose
	// body broke off; else zero.
	Status int

	// Body is the token endpoint's answer, at most its first 64 KiB, secrets
	// blotted out. A body that broke off is not kept.
	Body []byte

	// Err is the cause, if there is more to tell.
	Err error

	// Latency is how long the exchange, or the wait for a token, took to fail.
	Latency time.Duration
}

// Error tells what broke, and whether the call had been written.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("easemob: ")
	b.WriteString(e.Op)
	if e.Transport != "" {
		b.WriteString(": ")
		b.WriteString(string(e.Transport))
	}
	if e.Status != 0 {
		fmt.Fprintf(&b, ": status %d", e.Status)
	}
	if e.Written {
		b.WriteString(" after the request was written")
	}
	if e.Err != nil {
		b.WriteString(": ")
		b.WriteString(e.Err.Error())
	}
	return b.String()
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// transportOf sorts an error of net/http's by what went wrong below it. Whether
// a context ended the exchange is for the caller to see to first.
func transportOf(err error) Transport {
	var dns *net.DNSError
	var netErr net.Error
	switch {
	case errors.As(err, &dns):
		return TransportDNS
	case errors.Is(err, syscall.ECONNREFUSED):
		return TransportRefused
	case isReset(err):
		return TransportReset
	case isTLS(err):
		return TransportTLS
	case errors.As(err, &netErr) && netErr.Timeout():
		return TransportTimeout
	}
	return TransportOther
}

// isReset reports whether the other side, or something between, cut the
// connection. net/http keeps the error for a kept connection that was cut
// before the first byte of an answer to itself: only its text tells it.
func isReset(err error) bool {
	for _, cut := range []error{io.EOF, io.ErrUnexpectedEOF, net.ErrClosed,
		syscall.ECONNRESET, syscall.ECONNABORTED, syscall.EPIPE} {
		if errors.Is(err, cut) {
			return true
		}
	}
	return strings.Contains(err.Error(), "server closed idle connection")
}

// isTLS reports whether err is one of TLS's typed errors; a handshake fails
// with untyped ones too, which the trace of the exchange catches.
func isTLS(err error) bool {
	var verification *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	var alert tls.AlertError
	var authority x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	return errors.As(err, &verification) || errors.As(err, &record) || errors.As(err, &alert) ||
		errors.As(err, &authority) || errors.As(err, &host) || errors.As(err, &invalid)
}

// ended says how a context that is over ended what ran under it.
func ended(ctx context.Context) Transport {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return TransportTimeout
	}
	return TransportCanceled
}
