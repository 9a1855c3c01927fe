package chaos

import (
	"errors"
	"net"
	"sync"
	"time"
)

// Link is the way from one process to another: it forwards every connection made
// to its address. When it is cut it forwards nothing more and closes nothing, in
// either direction, as a network does that loses all packets; what was sent
// meanwhile arrives when it is mended, as TCP would send it again.
type Link struct {
	listener net.Listener
	target   string

	mu     sync.Mutex
	whole  chan struct{} // closed while the link is whole
	closed chan struct{}
	conns  map[net.Conn]struct{}
	wg     sync.WaitGroup
}

// NewLink listens on a port of its own and forwards to target.
func NewLink(target string) (*Link, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	l := &Link{listener: ln, target: target, whole: make(chan struct{}), closed: make(chan struct{}), conns: map[net.Conn]struct{}{}}
	close(l.whole)
	l.wg.Go(l.accept)
	return l, nil
}

// Addr is where the link takes connections.
func (l *Link) Addr() string { return l.listener.Addr().String() }

// Cut stops forwarding.
func (l *Link) Cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-l.whole:
		l.whole = make(chan struct{})
	default:
	}
}

// Mend forwards again.
func (l *Link) Mend() {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-l.whole:
	default:
		close(l.whole)
	}
}

// Close ends the link and its connections.
func (l *Link) Close() {
	close(l.closed)
	l.listener.Close()
	l.mu.Lock()
	for c := range l.conns {
		c.Close()
	}
	l.mu.Unlock()
	l.wg.Wait()
}

func (l *Link) accept() {
	for {
		c, err := l.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // such as too many open files
			time.Sleep(10 * time.Millisecond)
			continue
		}
		l.wg.Go(func() { l.forward(c) })
	}
}

// forward runs one connection.
func (l *Link) forward(from net.Conn) {
	if !l.keep(from) {
		return
	}
	defer l.drop(from)
	if !l.pass() {
		return
	}
	to, err := net.DialTimeout("tcp", l.target, 5*time.Second)
	if err != nil || !l.keep(to) {
		return
	}
	defer l.drop(to)
	done := make(chan struct{}, 2)
	l.wg.Go(func() { l.copy(to, from); done <- struct{}{} })
	l.wg.Go(func() { l.copy(from, to); done <- struct{}{} })
	<-done
}

// copy forwards one direction. Its end, too, is told only over a link that is whole.
func (l *Link) copy(to, from net.Conn) {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if !l.pass() {
			return
		}
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// pass waits until the link is whole. It is false when the link has ended.
func (l *Link) pass() bool {
	for {
		l.mu.Lock()
		whole := l.whole
		l.mu.Unlock()
		select {
		case <-whole:
		case <-l.closed:
			return false
		}
		l.mu.Lock()
		same := whole == l.whole
		l.mu.Unlock()
		if same {
			return true
		}
	}
}

func (l *Link) keep(c net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-l.closed:
		c.Close()
		return false
	default:
	}
	l.conns[c] = struct{}{}
	return true
}

func (l *Link) drop(c net.Conn) {
	c.Close()
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.conns, c)
}
