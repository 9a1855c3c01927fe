package nats_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"
	"github.com/socialvibes/vibemesh/internal/credentials"
)

// TestUsersComeAndGo: servers need not be told of a new user, and let one that is revoked
// go when they read accounts.conf again; nobody else notices.
func TestUsersComeAndGo(t *testing.T) {
	dir := install(t, 1)
	withoutTLS(t, dir)
	env := environment(t)
	opts, err := read(t, filepath.Join(dir, "server.conf"), env)
	if err != nil {
		t.Fatal(err)
	}
	s, _ := run(t, opts)
	url, keys := s.ClientURL(), filepath.Join(dir, "keys")
	shop, err := credentials.AddUser(keys, "backend", "shop", dir, 0, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	closed := make(chan struct{})
	as(t, dir, url, "shop", nats.CustomInboxPrefix("_INBOX_backend"), nats.ClosedHandler(func(*nats.Conn) { close(closed) }))
	stays, provision := as(t, dir, url, "backend"), as(t, dir, url, "provision")
	if _, err := credentials.Renew(keys, dir, logOf(1), []string{shop.Path}, time.Now()); err != nil {
		t.Fatal(err)
	}
	if err := s.Reload(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-closed:
	case <-time.After(20 * time.Second):
		t.Fatal("who was revoked is still connected")
	}
	if nc, err := nats.Connect(url, nats.UserCredentials(shop.Path)); err == nil {
		nc.Close()
		t.Error("who was revoked comes back")
	}
	if !stays.IsConnected() || stays.FlushTimeout(5*time.Second) != nil {
		t.Errorf("another user was disconnected: %v", stays.LastError())
	}

	// Another number of partitions: permissions and mapping change with it.
	if !denied(t, provision, func() error { return provision.Publish("$JS.API.STREAM.CREATE.SV_LOG_3", nil) }) {
		t.Error("a log of 4 partitions may be made before it is allowed")
	}
	if _, err := credentials.Renew(keys, dir, logOf(4), nil, time.Now()); err != nil {
		t.Fatal(err)
	}
	if err := s.Reload(); err != nil {
		t.Fatal(err)
	}
	start(t, dir, url, "provision", "--ws-partitions=4")
	js, err := jetstream.New(as(t, dir, url, "backend"))
	if err != nil {
		t.Fatal(err)
	}
	if ack, err := js.Publish(t.Context(), "sv.ws.broadcast", envelope("mapped")); err != nil || ack.Stream != "SV_LOG_0" {
		t.Errorf("%+v, %v", ack, err)
	}
	if nc, err := nats.Connect(url, nats.UserCredentials(shop.Path)); err == nil {
		nc.Close()
		t.Error("who was revoked comes back after another change")
	}
}

// TestSystemUserIsRevoked: whoever has sys.creds can stop servers, so they can be taken back.
func TestSystemUserIsRevoked(t *testing.T) {
	dir := install(t, 1)
	withoutTLS(t, dir)
	opts, err := read(t, filepath.Join(dir, "server.conf"), environment(t))
	if err != nil {
		t.Fatal(err)
	}
	s, _ := run(t, opts)
	url, keys := s.ClientURL(), filepath.Join(dir, "keys")
	more, err := credentials.AddUser(keys, "sys", "more", dir, 0, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	closed := make(chan struct{})
	as(t, dir, url, "sys", nats.ClosedHandler(func(*nats.Conn) { close(closed) }))
	if _, err := credentials.Renew(keys, dir, logOf(1), []string{filepath.Join(dir, "sys.creds")}, time.Now()); err != nil {
		t.Fatal(err)
	}
	if err := s.Reload(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-closed:
	case <-time.After(20 * time.Second):
		t.Error("who was revoked is still connected")
	}
	if nc, err := nats.Connect(url, nats.UserCredentials(filepath.Join(dir, "sys.creds"))); err == nil {
		nc.Close()
		t.Error("who was revoked comes back")
	}
	nc, err := nats.Connect(url, nats.UserCredentials(more.Path))
	if err != nil {
		t.Fatalf("another user of the system account: %v", err)
	}
	nc.Close()
}

// TestUsersExpire: after their time nobody comes in, and who is in is disconnected.
func TestUsersExpire(t *testing.T) {
	dir, url, _ := single(t, 1)
	keys := filepath.Join(dir, "keys")
	if _, err := credentials.AddUser(keys, "backend", "past", dir, time.Minute, time.Now().Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	if nc, err := nats.Connect(url, nats.UserCredentials(filepath.Join(dir, "past.creds"))); err == nil {
		nc.Close()
		t.Error("whose time is over comes in")
	}
	if _, err := credentials.AddUser(keys, "backend", "soon", dir, 3*time.Second, time.Now()); err != nil {
		t.Fatal(err)
	}
	closed := make(chan struct{})
	as(t, dir, url, "soon", nats.ClosedHandler(func(*nats.Conn) { close(closed) }))
	select {
	case <-closed:
	case <-time.After(20 * time.Second):
		t.Error("whose time is over is still connected")
	}
}

// TestStrangersAreRefused: no name, no password, no user of other keys.
func TestStrangersAreRefused(t *testing.T) {
	dir, url, _ := single(t, 1)
	other := install(t, 1)
	for what, opt := range map[string]nats.Option{
		"nobody":          func(*nats.Options) error { return nil },
		"a password":      nats.UserInfo("edge", "edge"),
		"others' keys":    nats.UserCredentials(filepath.Join(other, "edge.creds")),
		"another's token": nats.UserCredentials(filepath.Join(dir, "edge.creds"), filepath.Join(dir, "api.creds")),
	} {
		if nc, err := nats.Connect(url, opt); !errors.Is(err, nats.ErrAuthorization) {
			if err == nil {
				nc.Close()
			}
			t.Errorf("%s: %v", what, err)
		}
	}
	if nc := as(t, dir, url, "sys"); nc.FlushTimeout(5*time.Second) != nil {
		t.Error("the system account's user is refused")
	}
}

// TestSeedsOfRolesMakeNoMore: whoever has the seed of a role makes its users, and none that
// say of themselves what they may do, or that are of another account.
func TestSeedsOfRolesMakeNoMore(t *testing.T) {
	dir, url, _ := single(t, 1)
	text, err := os.ReadFile(filepath.Join(dir, "keys", "backend.nk"))
	if err != nil {
		t.Fatal(err)
	}
	role, err := nkeys.FromSeed(bytes.TrimSpace(text))
	if err != nil {
		t.Fatal(err)
	}
	backends, log := claimsOf(t, filepath.Join(dir, "backend.creds")).IssuerAccount, claimsOf(t, filepath.Join(dir, "edge.creds")).IssuerAccount
	for what, more := range map[string]func(*jwt.UserClaims){
		"":                func(*jwt.UserClaims) {},
		"permissions":     func(c *jwt.UserClaims) { c.SetScoped(false); c.Pub.Allow.Add(">"); c.Sub.Allow.Add(">") },
		"no scope":        func(c *jwt.UserClaims) { c.SetScoped(false) },
		"limits":          func(c *jwt.UserClaims) { c.Limits.Subs = 1000 },
		"a bearer":        func(c *jwt.UserClaims) { c.BearerToken = true },
		"another account": func(c *jwt.UserClaims) { c.IssuerAccount = log },
	} {
		pair, err := nkeys.CreateUser()
		if err != nil {
			t.Fatal(err)
		}
		public, err := pair.PublicKey()
		if err != nil {
			t.Fatal(err)
		}
		claims := jwt.NewUserClaims(public)
		claims.IssuerAccount = backends
		claims.SetScoped(true)
		more(claims)
		token, err := claims.Encode(role)
		if err != nil {
			t.Fatal(err)
		}
		nc, err := nats.Connect(url, nats.UserJWT(func() (string, error) { return token, nil }, pair.Sign))
		if err == nil {
			nc.Close()
		}
		if refused := errors.Is(err, nats.ErrAuthorization); refused != (what != "") {
			t.Errorf("with %q of its own: %v", what, err)
		}
	}
}
