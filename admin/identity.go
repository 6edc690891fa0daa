package admin

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/imqueue/emq/tasks"
)

// A Role says what an identity may do. Each may do what the one before may.
type Role string

// The roles.
const (
	RoleViewer   Role = "viewer"   // looks
	RoleOperator Role = "operator" // and acts on dead letters, causes, operations, holds, queues, silences
	RoleAdmin    Role = "admin"    // and sets limits, exports and imports
)

// Roles lists them, the least first.
func Roles() []Role { return []Role{RoleViewer, RoleOperator, RoleAdmin} }

func (r Role) atLeast(least Role) bool {
	return slices.Index(Roles(), r) >= slices.Index(Roles(), least)
}

// An Identity is who may use the API, by a token of which only the hash is kept. Tokens
// are random and long, so that a plain SHA-256 of one tells nothing.
type Identity struct {
	Name string
	Role Role
	hash [sha256.Size]byte
}

const (
	tokenPrefix     = "emq_"
	identityNameMax = 64
	credentialsMax  = 1000 // identities in a file
)

// NewToken makes a token for a name, and the line of the credentials file that lets it
// in. It returns a *tasks.FieldError for a bad name or role.
func NewToken(name string, role Role) (token, line string, _ error) {
	token = tokenPrefix + strings.ToLower(rand.Text()+rand.Text()) // 260 bits
	hash := sha256.Sum256([]byte(token))
	line = fmt.Sprintf("%s %s %s", name, role, hex.EncodeToString(hash[:]))
	_, err := parseIdentity(line)
	return token, line, err
}

// ParseCredentials reads a file of identities: NAME ROLE SHA256 a line, as NewToken makes
// them; empty lines and those that begin with # are passed over. Its errors name the line,
// and show no hash.
func ParseCredentials(raw []byte) ([]Identity, error) {
	var list []Identity
	lines := bufio.NewScanner(bytes.NewReader(raw))
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		one, err := parseIdentity(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		if slices.ContainsFunc(list, func(other Identity) bool { return other.Name == one.Name || other.hash == one.hash }) {
			return nil, fmt.Errorf("line %d: %s or its token is there twice", n, one.Name)
		}
		if list = append(list, one); len(list) > credentialsMax {
			return nil, fmt.Errorf("more than %d identities", credentialsMax)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, &tasks.FieldError{Field: "credentials", Bound: "the file has no identity; `emq admin token NAME --role ROLE` makes one"}
	}
	return list, nil
}

func parseIdentity(line string) (Identity, error) {
	fields := strings.Fields(line)
	if len(fields) != 3 {
		return Identity{}, &tasks.FieldError{Field: "credentials", Bound: "a line is NAME ROLE SHA256, and a name has no space"}
	}
	one := Identity{Name: fields[0], Role: Role(fields[1])}
	if len(one.Name) > identityNameMax || tasks.Printable(one.Name, identityNameMax) != one.Name {
		return Identity{}, &tasks.FieldError{Field: "name", Value: tasks.Printable(one.Name, identityNameMax), Bound: fmt.Sprintf("1 to %d printable bytes, without a space", identityNameMax)}
	}
	if !slices.Contains(Roles(), one.Role) {
		return Identity{}, &tasks.FieldError{Field: "role", Value: tasks.Printable(fields[1], 32), Bound: "must be viewer, operator or admin"}
	}
	hash, err := hex.DecodeString(fields[2])
	if err != nil || len(hash) != sha256.Size {
		return Identity{}, &tasks.FieldError{Field: "credentials", Bound: "the third word is the SHA-256 of a token, in hex"}
	}
	copy(one.hash[:], hash)
	return one, nil
}

const (
	cookieName  = "emq_session"
	sessionLife = 12 * time.Hour
	sessionsMax = 10_000
	// A login may fail so often at once, and then every so often, from one address.
	loginBurst = 10
	loginEvery = 6 * time.Second
)

// A session is a browser that has logged in.
type session struct {
	who  Identity
	csrf string
	ends time.Time
}

// A gate knows who may come in. Without identities whoever reaches the address is in, as
// the local admin: it is a loopback address then.
type gate struct {
	identities []Identity
	now        func() time.Time

	mu       sync.Mutex
	sessions map[[sha256.Size]byte]session // by the hash of their cookie
	failures map[string]*rate.Limiter      // by address
}

func newGate(identities []Identity) *gate {
	return &gate{identities: identities, now: time.Now, sessions: map[[sha256.Size]byte]session{}, failures: map[string]*rate.Limiter{}}
}

// local is who asks where there are no identities.
var local = Identity{Name: "local", Role: RoleAdmin}

// errNobody is the answer to who is not known.
var errNobody = &apiError{status: http.StatusUnauthorized, detail: "log in, or send Authorization: Bearer TOKEN"}

// who says who makes a request. csrf is set for a session of a browser's, which must send
// it with what it changes.
func (g *gate) who(r *http.Request) (_ Identity, csrf string, _ error) {
	if len(g.identities) == 0 {
		return local, "", nil
	}
	if header := r.Header.Get("Authorization"); header != "" {
		token, ok := strings.CutPrefix(header, "Bearer ")
		if !ok {
			return Identity{}, "", errNobody
		}
		one, err := g.identify(r, token)
		return one, "", err
	}
	cookie, err := r.Cookie(cookieName)
	if err != nil {
		return Identity{}, "", errNobody
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	s, ok := g.sessions[sha256.Sum256([]byte(cookie.Value))]
	if !ok || g.now().After(s.ends) {
		return Identity{}, "", errNobody
	}
	return s.who, s.csrf, nil
}

// identify finds whose token it is. Who tries too many wrong ones has to wait; a right one
// passes all the same, because behind a proxy all come from one address, and tokens are too
// long to be guessed.
func (g *gate) identify(r *http.Request, token string) (Identity, error) {
	address, _, _ := net.SplitHostPort(r.RemoteAddr)
	g.mu.Lock()
	limit := g.failures[address]
	if limit == nil {
		if len(g.failures) >= sessionsMax { // of addresses that nobody types in
			clear(g.failures)
		}
		limit = rate.NewLimiter(rate.Every(loginEvery), loginBurst)
		g.failures[address] = limit
	}
	g.mu.Unlock()
	hash := sha256.Sum256([]byte(token))
	found := Identity{}
	for _, one := range g.identities { // all of them, so that the time tells nothing
		if subtle.ConstantTimeCompare(hash[:], one.hash[:]) == 1 {
			found = one
		}
	}
	if found.Name == "" {
		if !limit.AllowN(g.now(), 1) {
			return Identity{}, &apiError{status: http.StatusTooManyRequests, detail: "too many wrong tokens from this address", retryAfter: loginEvery}
		}
		return Identity{}, &apiError{status: http.StatusUnauthorized, detail: "no identity has this token"}
	}
	return found, nil
}

// login begins a session for a token.
func (g *gate) login(r *http.Request, token string) (*http.Cookie, error) {
	one, err := g.identify(r, token)
	if err != nil {
		return nil, err
	}
	value := rand.Text() + rand.Text()
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.now()
	for hash, s := range g.sessions {
		if now.After(s.ends) || len(g.sessions) >= sessionsMax {
			delete(g.sessions, hash)
		}
	}
	g.sessions[sha256.Sum256([]byte(value))] = session{who: one, csrf: rand.Text(), ends: now.Add(sessionLife)}
	return sessionCookie(r, value, int(sessionLife.Seconds())), nil
}

// logout ends the session of a request.
func (g *gate) logout(r *http.Request) *http.Cookie {
	if cookie, err := r.Cookie(cookieName); err == nil {
		g.mu.Lock()
		defer g.mu.Unlock()
		delete(g.sessions, sha256.Sum256([]byte(cookie.Value)))
	}
	return sessionCookie(r, "", -1)
}

// sessionCookie is sent over TLS alone, but for a page on this machine.
func sessionCookie(r *http.Request, value string, age int) *http.Cookie {
	return &http.Cookie{
		Name: cookieName, Value: value, Path: "/", MaxAge: age, HttpOnly: true, SameSite: http.SameSiteStrictMode,
		Secure: r.TLS != nil || !loopback(hostName(r.Host)),
	}
}
