package client

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gobwas/ws"

	"github.com/socialvibes/vibemesh/internal/wire"
)

// bubble is a server of net.Pipes, so that a whole Follow runs in fake time.
type bubble struct {
	t       *testing.T
	scripts []func(net.Conn) // the last one repeats
	at      []time.Duration  // when each connection was made
	uris    []string
	began   time.Time
}

func newBubble(t *testing.T, scripts ...func(net.Conn)) *bubble {
	return &bubble{t: t, scripts: scripts, began: time.Now()}
}

func (b *bubble) options() Options {
	return Options{URL: "http://bubble", netDial: func(context.Context, string, string) (net.Conn, error) {
		i := min(len(b.at), len(b.scripts)-1)
		b.at = append(b.at, time.Since(b.began))
		if b.scripts[i] == nil {
			return nil, errors.New("connection refused")
		}
		near, far := net.Pipe()
		go b.scripts[i](far)
		return near, nil
	}}
}

func (b *bubble) session(script func(*peer)) func(net.Conn) {
	return func(nc net.Conn) {
		answer(b.t, nc, func(p *peer) {
			b.uris = append(b.uris, p.req.RequestURI)
			script(p)
		})
	}
}

func refused(response string) func(net.Conn) {
	return func(nc net.Conn) { refuse(nc, response) }
}

// hours bounds a test in fake time, in which a loop that never ends would be busy.
func hours(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Hour)
	t.Cleanup(cancel)
	return ctx
}

var errEnough = errors.New("enough")

// until makes a handler that notes each frame and ends Follow at the event n.
func until(seen *[]string, n string) func(wire.ServerFrame) error {
	return func(f wire.ServerFrame) error {
		*seen = append(*seen, fmt.Sprintf("%T:%s", f, CursorOf(f)))
		if CursorOf(f) == n {
			return errEnough
		}
		return nil
	}
}

func TestFollowResumesWithoutLossOrRepetition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t)
		b.scripts = []func(net.Conn){
			b.session(func(p *peer) { p.hello("c0"); p.event("1"); p.event("2") }), // then the line is cut
			nil, // nobody there
			b.session(func(p *peer) { // replays one too many
				p.hello("c2")
				p.event("2")
				p.event("3")
				p.close(wire.CloseDrain, "")
			}),
			b.session(func(p *peer) { p.hello("c3"); p.event("4"); p.untilGone() }),
		}
		var seen []string
		var retries int
		opts := b.options()
		opts.OnRetry = func(error, time.Duration) { retries++ }
		err := Follow(hours(t), opts, StaticToken("t"), until(&seen, "c4"))
		if !errors.Is(err, errEnough) {
			t.Fatal(err)
		}
		want := []string{
			"wire.Hello:c0", "wire.Event:c1", "wire.Event:c2",
			"wire.Hello:c2", "wire.Event:c3", "wire.Hello:c3", "wire.Event:c4",
		}
		if !slices.Equal(seen, want) {
			t.Errorf("handled %v, want %v", seen, want)
		}
		if want := []string{"/api/v1/ws", "/api/v1/ws?cursor=c2", "/api/v1/ws?cursor=c3"}; !slices.Equal(b.uris, want) {
			t.Errorf("asked for %v, want %v", b.uris, want)
		}
		if retries != 3 {
			t.Errorf("OnRetry was called %d times, want 3", retries)
		}
	})
}

// TestBackoffHasItsBounds: against a dead server no wait leaves its limit, they
// grow, they differ, and they stop growing at MaxBackoff.
func TestBackoffHasItsBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, nil)
		var waits []time.Duration
		opts := b.options()
		ctx, cancel := context.WithCancelCause(hours(t))
		opts.OnRetry = func(_ error, wait time.Duration) {
			if waits = append(waits, wait); len(waits) == 60 {
				cancel(errEnough)
			}
		}
		err := Follow(ctx, opts, StaticToken("t"), func(wire.ServerFrame) error { return nil })
		if !errors.Is(err, errEnough) {
			t.Fatal(err)
		}
		for i, wait := range waits {
			if limit := min(MaxBackoff, MinBackoff<<min(i, 10)); wait < 0 || wait >= limit {
				t.Errorf("wait %d is %v, its limit %v", i, wait, limit)
			}
		}
		// 54 waits drawn evenly below 30 s: none above 15 s has a chance of 2^-54.
		if late := slices.Max(waits[6:]); late < MaxBackoff/2 {
			t.Errorf("the longest of the late waits is %v", late)
		}
		if slices.Sort(waits); len(slices.Compact(waits)) < 50 {
			t.Error("the waits have no jitter")
		}
	})
}

func TestLongSessionStartsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t)
		hold := b.session(func(p *peer) { p.hello("c"); time.Sleep(MaxBackoff) })
		b.scripts = []func(net.Conn){nil, nil, nil, nil, nil, nil, hold, hold, hold, hold, hold}
		opts := b.options()
		var waits []time.Duration
		ctx, cancel := context.WithCancel(hours(t))
		opts.OnRetry = func(_ error, wait time.Duration) {
			if waits = append(waits, wait); len(waits) == len(b.scripts) {
				cancel()
			}
		}
		if err := Follow(ctx, opts, StaticToken("t"), func(wire.ServerFrame) error { return nil }); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		if late := slices.Max(waits[6:]); late >= MinBackoff {
			t.Errorf("after sessions that held, a wait of %v", late)
		}
	})
}

func TestServersOwnWaits(t *testing.T) {
	for _, tc := range []struct {
		name     string
		first    func(b *bubble) func(net.Conn)
		min, max time.Duration // when the second connection may come
	}{
		{"Retry-After", func(*bubble) func(net.Conn) {
			return refused("HTTP/1.1 503 Busy\nRetry-After: 20\nContent-Length: 0\n\n")
		}, 20 * time.Second, 21 * time.Second},
		{"absurd Retry-After", func(*bubble) func(net.Conn) {
			return refused("HTTP/1.1 503 Busy\nRetry-After: 99999999\nContent-Length: 0\n\n")
		}, MaxServerWait, MaxServerWait + time.Second},
		{"429", func(*bubble) func(net.Conn) {
			return refused("HTTP/1.1 429 Slow\nRetry-After: 3\nContent-Length: 0\n\n")
		}, 3 * time.Second, 4 * time.Second},
		{"reconnect, closed at once", func(b *bubble) func(net.Conn) {
			return b.session(func(p *peer) {
				p.hello("c")
				p.send(wire.Reconnect{Type: wire.FrameReconnect, AfterMS: 4000})
				p.close(wire.CloseDrain, "")
			})
		}, 4 * time.Second, 4 * time.Second},
		{"reconnect, held open", func(b *bubble) func(net.Conn) {
			return b.session(func(p *peer) {
				p.hello("c")
				p.send(wire.Reconnect{Type: wire.FrameReconnect, AfterMS: 4000})
				p.untilGone()
			})
		}, 4 * time.Second, 4 * time.Second},
		{"reconnect, absurd", func(b *bubble) func(net.Conn) {
			return b.session(func(p *peer) {
				p.send(wire.Reconnect{Type: wire.FrameReconnect, AfterMS: 1 << 62})
				p.untilGone()
			})
		}, MaxServerWait, MaxServerWait},
		{"silence", func(b *bubble) func(net.Conn) {
			return b.session(func(p *peer) {
				p.send(wire.Hello{Type: wire.FrameHello, Cursor: "c", Ping: 60})
				p.untilGone()
			})
		}, 125 * time.Second, 126 * time.Second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBubble(t)
				b.scripts = []func(net.Conn){tc.first(b), b.session(func(p *peer) { p.event("9"); p.untilGone() })}
				var seen []string
				if err := Follow(hours(t), b.options(), StaticToken("t"), until(&seen, "c9")); !errors.Is(err, errEnough) {
					t.Fatal(err)
				}
				if at := b.at[1]; at < tc.min || at > tc.max {
					t.Errorf("came back after %v, want %v to %v", at, tc.min, tc.max)
				}
			})
		})
	}
}

// TestRepeatedMovesArePaced: a server that sends everybody on at once, always,
// is not stormed.
func TestRepeatedMovesArePaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t)
		b.scripts = []func(net.Conn){b.session(func(p *peer) { p.send(wire.Reconnect{Type: wire.FrameReconnect}); p.untilGone() })}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
		defer cancel()
		err := Follow(ctx, b.options(), StaticToken("t"), func(wire.ServerFrame) error { return nil })
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		if n := len(b.at); n < 10 || n > 200 {
			t.Errorf("%d connections in ten minutes", n)
		}
	})
}

func TestWhatEndsFollow(t *testing.T) {
	closing := func(code int) func(b *bubble) func(net.Conn) {
		return func(b *bubble) func(net.Conn) {
			return b.session(func(p *peer) { p.hello("c"); p.close(code, "because") })
		}
	}
	refusing := func(status string) func(*bubble) func(net.Conn) {
		return func(*bubble) func(net.Conn) {
			return refused("HTTP/1.1 " + status + " No\nContent-Length: 0\n\n")
		}
	}
	for _, tc := range []struct {
		name  string
		first func(*bubble) func(net.Conn)
		ends  bool
		dials int
	}{
		{"1000", closing(1000), true, 1},
		{"4400", closing(4400), true, 1},
		{"4403", closing(4403), true, 1},
		{"4401, same token", closing(4401), true, 1},
		{"4499", closing(4499), true, 1},
		{"400", refusing("400"), true, 1},
		{"403", refusing("403"), true, 1},
		{"404", refusing("404"), true, 1},
		{"301", refusing("301"), true, 1},
		{"502", refusing("502"), false, 2},
		{"1001", closing(1001), false, 2},
		{"1012", closing(1012), false, 2},
		{"4000", closing(4000), false, 2},
		{"4399", closing(4399), false, 2},
		{"4500", closing(4500), false, 2},
		{"unmasked nonsense", func(b *bubble) func(net.Conn) {
			return b.session(func(p *peer) { p.frame(ws.NewBinaryFrame(nil)); p.untilGone() })
		}, false, 2},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBubble(t)
				b.scripts = []func(net.Conn){tc.first(b), b.session(func(p *peer) { p.event("9"); p.untilGone() })}
				var seen []string
				err := Follow(hours(t), b.options(), StaticToken("t"), until(&seen, "c9"))
				if ended := !errors.Is(err, errEnough); ended != tc.ends || len(b.at) != tc.dials {
					t.Errorf("%v after %d connections; want %d", err, len(b.at), tc.dials)
				}
			})
		})
	}
}

func TestNewTokenAfter4401(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t)
		var tokens []string
		b.scripts = []func(net.Conn){
			b.session(func(p *peer) {
				tokens = append(tokens, p.req.Header.Get("Authorization"))
				if len(tokens) < 3 {
					p.close(wire.CloseToken, "expired")
					return
				}
				p.event("9")
				p.untilGone()
			}),
		}
		n := 0
		source := func(context.Context) (string, error) { n++; return "t" + strconv.Itoa(n), nil }
		var seen []string
		if err := Follow(hours(t), b.options(), source, until(&seen, "c9")); !errors.Is(err, errEnough) {
			t.Fatal(err)
		}
		if want := []string{"Bearer t1", "Bearer t2", "Bearer t3"}; !slices.Equal(tokens, want) {
			t.Errorf("tokens %v, want %v", tokens, want)
		}
	})
}

func TestTokenSourceFails(t *testing.T) {
	want := errors.New("signed out")
	err := Follow(hours(t), Options{URL: "http://127.0.0.1:1"},
		func(context.Context) (string, error) { return "", want }, nil)
	if !errors.Is(err, want) {
		t.Errorf("got %v", err)
	}
}

func TestRecentForgetsTheOldest(t *testing.T) {
	var r recent
	for i := range 3 * recentIDs {
		if r.add(strconv.Itoa(i)) {
			t.Fatalf("%d was not there before", i)
		}
	}
	if len(r.set) != recentIDs || len(r.ring) != recentIDs {
		t.Errorf("%d ids and %d slots are kept, want %d", len(r.set), len(r.ring), recentIDs)
	}
	if !r.add(strconv.Itoa(2*recentIDs)) || r.add(strconv.Itoa(2*recentIDs-1)) {
		t.Error("the oldest was kept, or one of the newest forgotten")
	}
}
