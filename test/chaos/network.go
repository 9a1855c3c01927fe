package chaos

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os/exec"
	"strings"
)

// way is from one process ("publisher" for the run's own) to a port of a node.
type way struct{ from, to, port string }

// network is how processes reach each other, and how they are kept from it.
type network interface {
	// place makes room for a process: the address it listens on, and what is put
	// before its command.
	place(name string) (ip string, prefix []string, err error)
	// join makes a way to where a process listens: the address by which it is taken.
	join(w way, target string) (addr string, err error)
	// cut loses every packet on some ways until it is mended.
	cut(which func(way) bool) (mend func() error, err error)
	close()
}

// proxies is the network that works everywhere: each way is a [Link].
type proxies map[way]*Link

func (p proxies) place(string) (string, []string, error) { return "127.0.0.1", nil, nil }

func (p proxies) join(w way, target string) (string, error) {
	l, err := NewLink(target)
	if err != nil {
		return "", err
	}
	p[w] = l
	return l.Addr(), nil
}

func (p proxies) cut(which func(way) bool) (mend func() error, err error) {
	var links []*Link
	for w, l := range p {
		if which(w) {
			l.Cut()
			links = append(links, l)
		}
	}
	return func() error {
		for _, l := range links {
			l.Mend()
		}
		return nil
	}, nil
}

func (p proxies) close() {
	for _, l := range p {
		l.Close()
	}
}

// namespaces is a network of the kernel: each process has a namespace of its own, and
// all are on one bridge. Two are parted by telling each a hardware address of the
// other that nobody has, so that packets leave and arrive nowhere. It needs root.
type namespaces struct {
	id    string // of the bridge, and the beginning of all names
	net   string // the first three numbers of all addresses
	hosts map[string]string
	ways  []way
}

// host is the run itself, on the bridge.
const host = "publisher"

func newNamespaces() (*namespaces, error) {
	n := &namespaces{
		id: fmt.Sprintf("vmc%04x", rand.IntN(1<<16)), net: fmt.Sprintf("10.213.%d.", rand.IntN(256)), hosts: map[string]string{},
	}
	n.hosts[host] = n.net + "254"
	err := errors.Join(
		ip("link", "add", n.id, "type", "bridge"),
		ip("addr", "add", n.hosts[host]+"/24", "dev", n.id),
		ip("link", "set", n.id, "up"),
	)
	if err != nil {
		n.close()
		return nil, fmt.Errorf("a network of namespaces: %w", err)
	}
	return n, nil
}

// ip runs the command of iproute2.
func ip(args ...string) error {
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("ip %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return nil
}

func (n *namespaces) space(name string) string { return n.id + "-" + name }

func (n *namespaces) place(name string) (string, []string, error) {
	number := len(n.hosts)
	space, link, addr := n.space(name), fmt.Sprintf("%s-%d", n.id, number), fmt.Sprint(n.net, number)
	for _, args := range [][]string{
		{"netns", "add", space},
		{"link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", space},
		{"link", "set", link, "master", n.id, "up"},
		{"-n", space, "link", "set", "lo", "up"},
		{"-n", space, "addr", "add", addr + "/24", "dev", "eth0"},
		{"-n", space, "link", "set", "eth0", "up"},
	} {
		if err := ip(args...); err != nil {
			return "", nil, err
		}
	}
	n.hosts[name] = addr
	return addr, []string{"ip", "netns", "exec", space}, nil
}

func (n *namespaces) join(w way, target string) (string, error) {
	n.ways = append(n.ways, w)
	return target, nil
}

// nobody is a hardware address that is not there.
const nobody = "02:00:00:00:00:99"

func (n *namespaces) cut(which func(way) bool) (mend func() error, err error) {
	type side struct{ at, of string }
	parted := map[side]bool{}
	for _, w := range n.ways {
		if which(w) {
			parted[side{w.from, w.to}], parted[side{w.to, w.from}] = true, true
		}
	}
	neighbour := func(s side, action string, more ...string) error {
		args := append([]string{"neigh", action, n.hosts[s.of], "dev", "eth0"}, more...)
		if s.at == host {
			return nil // the other side, which does not answer, is enough
		}
		return ip(append([]string{"-n", n.space(s.at)}, args...)...)
	}
	mend = func() error {
		var errs []error
		for s := range parted {
			errs = append(errs, neighbour(s, "del"))
		}
		return errors.Join(errs...)
	}
	for s := range parted {
		err = errors.Join(err, neighbour(s, "replace", "lladdr", nobody, "nud", "permanent"))
	}
	if err != nil {
		return nil, errors.Join(err, mend())
	}
	return mend, nil
}

func (n *namespaces) close() {
	// What was never made is not there to be removed. A namespace may outlive its name for
	// as long as sockets of the ended processes do, so its link goes first.
	for number := range len(n.hosts) {
		_ = ip("link", "del", fmt.Sprintf("%s-%d", n.id, number))
	}
	for name := range n.hosts {
		_ = ip("netns", "del", n.space(name))
	}
	_ = ip("link", "del", n.id)
}

// freeAddr finds a port for a server that will be restarted on it: one below those
// that connections take as their own end.
func freeAddr(ip string) (string, error) {
	for range 200 {
		port := fmt.Sprint(15_000 + rand.IntN(15_000))
		if ip != "127.0.0.1" { // in a namespace of its own
			return net.JoinHostPort(ip, port), nil
		}
		if ln, err := net.Listen("tcp", net.JoinHostPort(ip, port)); err == nil {
			return ln.Addr().String(), ln.Close()
		}
	}
	return "", errors.New("no free port from 15000 to 30000")
}
