package edge

import (
	"bytes"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsflate"
	"github.com/socialvibes/vibemesh/internal/netloop"
	"github.com/socialvibes/vibemesh/internal/wire"
)

// simClient is a client of a simulation, which knows what it is owed.
type simClient struct {
	w    *world
	name string // of the person
	id   string // of this device of theirs
	fd   int    // -1: not connected
	edge int
	in   []byte // read, and not yet understood
	open bool   // the upgrade was answered
	code int    // of the close frame that ended its last connection

	asked  string    // the cursor of its last request
	fresh  time.Time // the loop that takes it in has looked at the clock since
	cursor string    // of the last frame that had one; empty: it has seen nothing
	place  wire.Cursor
	since  wire.Vector            // nothing that comes now may be at or before it
	topics map[string]wire.Vector // from where on each is owed
	asking bool                   // it has sent subscribe or unsubscribe, and waits for the answer
	leaves string                 // the topic of the unsubscribe
	calm   bool                   // it has been connected since the faults ended
	events int
	gaps   int
}

// ask is how a client connects.
type ask struct {
	edge, loop int
	forget     bool // it has lost its cursor
	replay     int
	deflate    bool
	lasts      time.Duration // of the token; 0: for long
	buffer     int           // bytes that its socket takes, about
}

func (c *simClient) connect(a ask) error {
	c.hangUp()
	if a.forget {
		c.cursor, c.place = "", nil
	}
	token := c.name
	if a.lasts > 0 {
		token += "@" + a.lasts.String()
	}
	query := url.Values{"token": {token}}
	if c.cursor != "" {
		query.Set("cursor", c.cursor)
	}
	if a.replay > 0 {
		query.Set("replay", fmt.Sprint(a.replay))
	}
	var topics []string
	for t := range c.topics {
		topics = append(topics, t)
	}
	if slices.Sort(topics); len(topics) > 0 {
		query.Set("topics", strings.Join(topics, ","))
	}
	request := "GET /api/v1/ws?" + query.Encode() + " HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
	if a.deflate {
		request += "Sec-WebSocket-Extensions: permessage-deflate\r\n"
	}
	server, mine, err := netloop.Pair(a.buffer)
	if err != nil {
		return err
	}
	c.fd, c.edge, c.open, c.in, c.code = mine, a.edge, false, nil, 0
	c.asking, c.leaves = false, ""
	loops := c.w.edges[a.edge].loops
	l := loops[a.loop%len(loops)]
	c.asked, c.fresh = c.cursor, l.now
	l.post(message{kind: msgConn, conn: arrival{fd: server, passed: true}})
	c.write([]byte(request + "\r\n"))
	return nil
}

func (c *simClient) hangUp() {
	if c.fd >= 0 {
		netloop.CloseFD(c.fd)
		c.fd = -1
	}
}

// write sends what the socket takes; a client whose bytes are cut hangs up.
func (c *simClient) write(data []byte) {
	if n, err := netloop.Write(c.fd, data); err != nil || n < len(data) {
		c.hangUp()
	}
}

func (c *simClient) say(op ws.OpCode, text string) {
	if c.fd >= 0 && c.open {
		c.write([]byte(client(0x80|byte(op), text)))
	}
}

// read takes up to n bytes and looks at the frames they end.
func (c *simClient) read(n int) error {
	var buf [4 << 10]byte
	for n > 0 && c.fd >= 0 {
		got, err := netloop.Read(c.fd, buf[:min(n, len(buf))])
		if errors.Is(err, netloop.ErrAgain) {
			return nil
		}
		if err != nil || got == 0 {
			c.w.note("%s ends", c.id)
			c.hangUp()
			return nil
		}
		n -= got
		c.w.read += got
		c.in = append(c.in, buf[:got]...)
		if err := c.understand(); err != nil {
			return fmt.Errorf("%s, who has seen %v: %w", c.id, c.place, err)
		}
	}
	return nil
}

// understand takes whole frames out of what was read.
func (c *simClient) understand() error {
	if !c.open {
		answer, rest, found := bytes.Cut(c.in, endOfHeader)
		if !found {
			return nil
		}
		if c.in = rest; !bytes.HasPrefix(answer, []byte("HTTP/1.1 101 ")) {
			c.w.note("%s is answered %.12s", c.id, answer)
			c.hangUp()
			return nil
		}
		c.open = true
	}
	for c.fd >= 0 {
		r := bytes.NewReader(c.in)
		h, err := ws.ReadHeader(r)
		if err != nil || int64(r.Len()) < h.Length {
			return nil // the rest is to come
		}
		f := ws.Frame{Header: h, Payload: make([]byte, h.Length)}
		if _, err := io.ReadFull(r, f.Payload); err != nil {
			return err
		}
		c.in = c.in[len(c.in)-r.Len():]
		if err := c.frame(f); err != nil {
			return fmt.Errorf("%.180s: %w", f.Payload, err)
		}
	}
	return nil
}

func fnv32(data []byte) uint32 {
	h := fnv.New32a()
	h.Write(data) //nolint:errcheck // it cannot fail
	return h.Sum32()
}

func (c *simClient) frame(f ws.Frame) error {
	switch f.Header.OpCode {
	case ws.OpPing:
		c.w.note("%s is pinged", c.id)
		c.say(ws.OpPong, "")
		return nil
	case ws.OpClose:
		code, reason := ws.ParseCloseFrameData(f.Payload)
		c.code = int(code)
		c.w.note("%s is closed: %d %s", c.id, code, reason)
		c.hangUp()
		return nil
	}
	if packed, err := wsflate.IsCompressed(f.Header); err != nil {
		return err
	} else if packed {
		if f, err = wsflate.DecompressFrame(f); err != nil {
			return err
		}
	}
	c.w.note("%s gets %.180s %d %x", c.id, f.Payload, len(f.Payload), fnv32(f.Payload))
	frame, err := wire.ParseServerFrame(f.Payload)
	if err != nil {
		return err
	}
	return c.take(frame)
}

// take checks a frame against what the client is owed.
func (c *simClient) take(frame wire.ServerFrame) error {
	switch f := frame.(type) {
	case wire.Hello:
		return c.greeted(f)
	case wire.Event:
		id, err := wire.ParseEventID(f.ID)
		if err != nil {
			return err
		}
		return c.entry(id, f.Cursor, &f)
	case wire.Read:
		if len(f.Read) != 1 {
			return errors.New("a read state of one event has another number of them")
		}
		return c.entry(c.w.reads[f.Read[0]], f.Cursor, nil)
	case wire.Gap:
		return c.gap(f)
	case wire.Pong:
		return c.moved(f.Cursor, nothing)
	case wire.Subscribed:
		return c.subscribed(f)
	case wire.Error:
		if f.Code == wire.FrameErrUnsupported {
			return errors.New("what it said was not understood")
		}
	}
	return nil
}

func (c *simClient) greeted(f wire.Hello) error {
	if c.place == nil { // it begins here
		place, err := wire.ParseCursor(f.Cursor)
		if err != nil {
			return err
		}
		c.cursor, c.place, c.since = f.Cursor, place, place.Seqs()
		for t := range c.topics {
			c.topics[t] = place.Seqs()
		}
		return nil
	}
	if c.asked != "" {
		if f.Cursor != c.asked {
			return fmt.Errorf("is greeted at another place than it asked for, %s", c.asked)
		}
		c.asked = ""
		return nil
	}
	return c.moved(f.Cursor, nothing) // the answer to a new token
}

// topic subscribes to a topic, or leaves it.
func (c *simClient) topic(name string) {
	if c.asking || c.fd < 0 || !c.open || c.place == nil {
		return
	}
	c.asking = true
	if c.topics[name] == nil {
		c.say(ws.OpText, `{"type":"subscribe","topic":"`+name+`"}`)
		return
	}
	delete(c.topics, name)
	c.leaves = name
	c.say(ws.OpText, `{"type":"unsubscribe","topic":"`+name+`"}`)
}

func (c *simClient) subscribed(f wire.Subscribed) error {
	if err := c.moved(f.Cursor, nothing); err != nil {
		return err
	}
	c.asking, c.leaves = false, ""
	for _, t := range f.Topics {
		if c.topics[t] == nil {
			c.topics[t] = c.place.Seqs()
		}
	}
	if len(f.Topics) != len(c.topics) {
		return errors.New("it has other topics")
	}
	return nil
}
