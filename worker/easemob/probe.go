package easemob

import (
	"context"
	"net/http"
	"slices"
	"time"
)

// probeTries is how many requests Probe measures.
const probeTries = 3

// A Probe says how the app's host was reached.
type Probe struct {
	// Latency is the median of three requests, from writing to the last byte of the
	// answer, on a connection that is there already where the host keeps it.
	Latency time.Duration

	// CertificateEnds is the end of the certificate that the host showed, the first to
	// end of its chain; zero without TLS.
	CertificateEnds time.Time
}

// Probe reaches for the app's host with plain requests for "/", without a token. Any
// answer will do, whatever its status. Its error is an *Error: there was no answer.
func (c *Client) Probe(ctx context.Context) (Probe, error) {
	var p Probe
	took := make([]time.Duration, 0, probeTries)
	for range probeTries + 1 { // the first connects
		answer, failure := c.exchange(ctx, c.calls, exchange{
			op: OpCall, method: http.MethodGet, target: c.host + "/", header: header(jsonType),
		})
		if failure != nil {
			return Probe{}, failure
		}
		took, p.CertificateEnds = append(took, answer.Latency), answer.certificateEnds
	}
	took = took[1:]
	slices.Sort(took)
	p.Latency = took[len(took)/2]
	return p, nil
}

// CheckToken finds out whether the app's credentials bring a token, and for how long it
// will do: zero for ever. It fetches one unless the client has it already. Its error is
// an *Error with OpToken.
func (c *Client) CheckToken(ctx context.Context) (life time.Duration, _ error) {
	t, failure := c.tokens.get(ctx)
	if failure != nil {
		return 0, failure
	}
	if t.end.IsZero() {
		return 0, nil
	}
	return time.Until(t.end), nil
}
