package simulator

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"
)

// tokens are the app tokens given out for one app. An older token stays valid
// when a newer one is issued (not documented either way).
type tokens struct {
	mu   sync.RWMutex
	byID map[string]tokenState
}

type tokenState struct {
	expires time.Time // zero: never
	revoked bool
}

func (t *tokens) add(id string, expires time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.byID == nil {
		t.byID = make(map[string]tokenState)
	}
	t.byID[id] = tokenState{expires: expires}
}

func (t *tokens) get(id string) (tokenState, bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	st, ok := t.byID[id]
	return st, ok
}

// end puts every token given out so far into a state.
func (t *tokens) end(st tokenState) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for id := range t.byID {
		t.byID[id] = st
	}
}

// RevokeTokens makes every token given out so far, for all apps, answer 401
// "Unable to authenticate (OAuth)".
func (s *Simulator) RevokeTokens() {
	for _, a := range s.apps {
		a.tokens.end(tokenState{revoked: true})
	}
}

// ExpireTokens is [Simulator.RevokeTokens] in the other spelling: "Unable to
// authenticate due to expired access token".
func (s *Simulator) ExpireTokens() {
	for _, a := range s.apps {
		a.tokens.end(tokenState{expires: s.cfg.Now()})
	}
}

// SetSecret changes the client secret of an app ("" is the first), as a person
// does in the vendor's console. Tokens given out stay valid (not documented). The
// error wraps [ErrNoApp].
func (s *Simulator) SetSecret(app, secret string) error {
	a, err := s.appOf(app)
	if err != nil {
		return err
	}
	if secret == "" {
		return errors.New("simulator: secret: must not be empty")
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ClientSecret = secret
	return nil
}

func (a *app) secret() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.ClientSecret
}

// Tokens start like the vendor's; length and alphabet tell a corrupt token from
// one that is merely not known.
const (
	tokenPrefix = "YWMt"
	tokenBytes  = 48
)

func newToken() string {
	b := make([]byte, tokenBytes)
	_, _ = rand.Read(b) // never fails
	return tokenPrefix + base64.RawURLEncoding.EncodeToString(b)
}

func wellFormed(token string) bool {
	rest, ok := strings.CutPrefix(token, tokenPrefix)
	if !ok {
		return false
	}
	b, err := base64.RawURLEncoding.DecodeString(rest)
	return err == nil && len(b) == tokenBytes
}

// issueToken answers POST /token with an app token. User tokens (grant types
// password and inherit) are not simulated.
func issueToken(c *call) (*result, *refusal) {
	var in struct {
		GrantType    string `json:"grant_type"`
		ClientID     string `json:"client_id"`
		ClientSecret string `json:"client_secret"`
		TTL          *int64 `json:"ttl"`
	}
	if no := c.decode(&in, nil); no != nil {
		return nil, no
	}
	switch {
	case in.GrantType == "":
		return nil, refuse(http.StatusBadRequest, "illegal_argument", "grant_type must be provided.") // text not documented
	case in.GrantType != "client_credentials":
		return nil, refuse(http.StatusBadRequest, "illegal_argument", "grant_type is not supported.") // text not documented
	case in.ClientID == "":
		return nil, refuse(http.StatusBadRequest, "illegal_argument", "client_id must be provided.")
	case in.ClientSecret == "":
		return nil, refuse(http.StatusBadRequest, "illegal_argument", "client_secret must be provided.")
	case in.ClientID != c.app.ClientID:
		return nil, refuse(http.StatusBadRequest, "invalid_grant", "client_id does not match")
	case in.ClientSecret != c.app.secret():
		return nil, refuse(http.StatusBadRequest, "invalid_grant", "client_secret does not match")
	case in.TTL != nil && *in.TTL < 0:
		return nil, refuse(http.StatusBadRequest, "illegal_argument", "ttl must not be negative.") // text not documented
	}

	ttl := int64(c.sim.cfg.TokenTTL / time.Second)
	if in.TTL != nil {
		ttl = min(*in.TTL, int64(maxTokenTTL/time.Second))
	}
	var expires time.Time
	if ttl > 0 { // docs: 0 never expires
		expires = c.start.Add(time.Duration(ttl) * time.Second)
	}
	token := newToken()
	if !c.badToken {
		c.app.tokens.add(token, expires)
	}
	c.sim.record.tokenIssued()
	// docs: not wrapped in data, and without the envelope of other answers.
	return &result{plain: tokenBody{AccessToken: token, ExpiresIn: ttl, Application: c.app.uuid}}, nil
}

type tokenBody struct {
	AccessToken string `json:"access_token"`
	ExpiresIn   int64  `json:"expires_in"` // seconds
	Application string `json:"application"`
}

// maxTokenTTL keeps a wild ttl within what a time can hold.
const maxTokenTTL = 100 * 365 * 24 * time.Hour

// authenticate checks the bearer token of a call. The vendor spells one
// condition in many ways; each way it goes wrong has its own here.
func (s *Simulator) authenticate(c *call) *refusal {
	no := s.checkToken(c)
	if no != nil && c.route != nil && c.route.family == familyAttributes {
		return &refusal{status: http.StatusUnauthorized, text: "unauthorized", bare: true}
	}
	return no
}

func (s *Simulator) checkToken(c *call) *refusal {
	scheme, token, _ := strings.Cut(c.r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		return errNoToken
	}
	st, ok := c.app.tokens.get(token)
	switch {
	case ok && st.revoked:
		return errNoToken
	case ok && !st.expires.IsZero() && !c.start.Before(st.expires):
		return refuse(http.StatusUnauthorized, "unauthorized", "Unable to authenticate due to expired access token")
	case ok:
		return nil
	case !wellFormed(token):
		return refuse(http.StatusUnauthorized, "auth_bad_access_token", "Unable to authenticate due to corrupt access token")
	}
	for _, other := range s.apps {
		if _, ok := other.tokens.get(token); ok {
			return refuse(http.StatusUnauthorized, "unauthorized", "token is illegal.")
		}
	}
	return refuse(http.StatusUnauthorized, "auth_bad_access_token", "Unable to authenticate")
}
