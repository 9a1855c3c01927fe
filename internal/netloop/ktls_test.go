package netloop_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"io"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/socialvibes/vibemesh/internal/netloop"
	"golang.org/x/sys/unix"
)

// ends are two TCP sockets that are connected to each other.
func ends(t *testing.T) (a, b int) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	dialled, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer dialled.Close()
	accepted, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer accepted.Close()
	a, errA := netloop.Take(dialled)
	b, errB := netloop.Take(accepted)
	if err := errors.Join(errA, errB); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		netloop.CloseFD(a)
		netloop.CloseFD(b)
	})
	return a, b
}

// await waits until something can be read.
func await(t *testing.T, fd int) {
	t.Helper()
	n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 10_000)
	if n != 1 || err != nil {
		t.Fatalf("nothing to be read: %d, %v", n, err)
	}
}

func keyOf(c netloop.Cipher, seed byte) netloop.RecordKey {
	k := netloop.RecordKey{Cipher: c, Key: bytes.Repeat([]byte{seed}, 32), IV: [12]byte{seed, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}}
	if c == netloop.AES128GCM {
		k.Key = k.Key[:16]
	}
	return k
}

func TestKernelTLS(t *testing.T) {
	ciphers := netloop.KernelCiphers()
	if len(ciphers) == 0 {
		a, b := ends(t)
		if err := netloop.StartKernelTLS(a, keyOf(netloop.AES128GCM, 1), keyOf(netloop.AES128GCM, 2)); !errors.Is(err, netloop.ErrNoKernelTLS) {
			t.Fatalf("%v, want ErrNoKernelTLS", err)
		}
		if n, err := netloop.Write(a, []byte("plain")); n != 5 || err != nil { // as it was
			t.Fatal(n, err)
		}
		await(t, b)
		buf := make([]byte, 8)
		if n, err := netloop.Read(b, buf); string(buf[:n]) != "plain" || err != nil {
			t.Fatalf("%q, %v", buf[:n], err)
		}
		t.Skip("this kernel has no TLS (module tls): a kernel that has it must run the rest of this test")
	}
	for _, c := range ciphers {
		a, b := ends(t)
		ab, ba := keyOf(c, 1), keyOf(c, 2)
		if err := errors.Join(netloop.StartKernelTLS(a, ab, ba), netloop.StartKernelTLS(b, ba, ab)); err != nil {
			t.Fatalf("cipher %d: %v", c, err)
		}
		buf := make([]byte, 16)
		for range 3 { // records are numbered
			for _, way := range [][2]int{{a, b}, {b, a}} {
				if n, err := netloop.Write(way[0], []byte("secret")); n != 6 || err != nil {
					t.Fatal(n, err)
				}
				await(t, way[1])
				if n, err := netloop.Read(way[1], buf); string(buf[:n]) != "secret" || err != nil {
					t.Fatalf("cipher %d: %q, %v", c, buf[:n], err)
				}
			}
		}
		if err := netloop.CloseNotify(a); err != nil {
			t.Fatal(err)
		}
		await(t, b)
		for range 2 {
			if n, err := netloop.Read(b, buf); !errors.Is(err, unix.EIO) {
				t.Errorf("read %d behind close_notify, %v; want EIO", n, err)
			}
		}
	}
}

// A cipher that is not one leaves the socket as it was.
func TestKernelTLSOfNoCipher(t *testing.T) {
	a, _ := ends(t)
	k := netloop.RecordKey{Cipher: 9999, Key: make([]byte, 16)}
	if err := netloop.StartKernelTLS(a, k, k); !errors.Is(err, netloop.ErrNoKernelTLS) {
		t.Errorf("%v, want ErrNoKernelTLS", err)
	}
}

// Without kernel TLS a close_notify would be two bytes of data.
func TestCloseNotifyElsewhere(t *testing.T) {
	a, b := ends(t)
	p, q, err := netloop.Pair(1 << 10)
	if err != nil {
		t.Fatal(err)
	}
	defer netloop.CloseFD(p)
	defer netloop.CloseFD(q)
	for _, s := range [][2]int{{a, b}, {p, q}} {
		if err := netloop.CloseNotify(s[0]); err != nil {
			t.Error(err)
		}
		netloop.ShutdownWrite(s[0])
		await(t, s[1])
		if n, err := netloop.Read(s[1], make([]byte, 8)); n != 0 || err != nil {
			t.Errorf("read %d, %v; want the end alone", n, err)
		}
	}
}

func TestPair(t *testing.T) {
	a, b, err := netloop.Pair(32 << 10)
	if err != nil {
		t.Fatal(err)
	}
	chunk := make([]byte, 4<<10)
	total := 0
	for {
		n, err := netloop.Write(a, chunk)
		total += n
		if errors.Is(err, netloop.ErrAgain) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if total < 16<<10 || total > 128<<10 {
		t.Errorf("a pair of 32 KiB takes %d bytes that nobody reads", total)
	}
	if netloop.HungUp(b) {
		t.Error("hung up, while the other is open")
	}
	netloop.ShutdownWrite(a)
	if netloop.HungUp(b) {
		t.Error("hung up, while the other is only shut for writing")
	}
	netloop.CloseFD(a)
	if !netloop.HungUp(b) {
		t.Error("not hung up, though the other is closed")
	}
	conn, err := netloop.Conn(b)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, conn); n != int64(total) || err != nil {
		t.Errorf("%d of %d bytes, %v", n, total, err)
	}
}

// What the kernel sends is what RFC 8446, 5.2, says, for every length of key. (For
// the third cipher the standard library has nothing to open a record with.)
func TestKernelTLSOnTheWire(t *testing.T) {
	ciphers := netloop.KernelCiphers()
	if len(ciphers) == 0 {
		t.Skip("this kernel has no TLS (module tls): a kernel that has it must run this test")
	}
	for _, c := range []netloop.Cipher{netloop.AES128GCM, netloop.AES256GCM} {
		if !slices.Contains(ciphers, c) {
			t.Errorf("the kernel has TLS, and not cipher %d", c)
			continue
		}
		a, b := ends(t)
		key := keyOf(c, 7)
		if err := netloop.StartKernelTLS(a, key, keyOf(c, 8)); err != nil {
			t.Fatal(err)
		}
		block, err := aes.NewCipher(key.Key)
		if err != nil {
			t.Fatal(err)
		}
		aead, err := cipher.NewGCM(block)
		if err != nil {
			t.Fatal(err)
		}
		for seq := range byte(3) {
			if n, err := netloop.Write(a, []byte("secret")); n != 6 || err != nil {
				t.Fatal(n, err)
			}
			await(t, b)
			record := make([]byte, 64)
			n, err := netloop.Read(b, record)
			if err != nil || n < 5 {
				t.Fatal(n, err)
			}
			nonce := key.IV
			nonce[11] ^= seq
			got, err := aead.Open(nil, nonce[:], record[5:n], record[:5])
			if err != nil || string(got) != "secret\x17" {
				t.Errorf("cipher %d, record %d: %q, %v", c, seq, got, err)
			}
		}
	}
}
