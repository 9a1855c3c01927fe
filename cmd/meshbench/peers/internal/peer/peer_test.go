//go:build linux

package peer

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// serving starts Serve and connects to its control connection.
func serving(t *testing.T, broadcast func([]byte) error) (control net.Conn, stdin io.Closer, ended chan error) {
	t.Helper()
	in, stdin := io.Pipe()
	said, out := io.Pipe()
	ended = make(chan error, 1)
	go func() { ended <- Serve("127.0.0.1:1", in, out, broadcast) }()
	line, err := bufio.NewReader(said).ReadBytes('\n')
	if err != nil {
		t.Fatal(err)
	}
	var ready Ready
	if err := json.Unmarshal(line, &ready); err != nil || ready.Addr != "127.0.0.1:1" || ready.PID == 0 {
		t.Fatalf("%s: %+v, %v", line, ready, err)
	}
	if control, err = net.Dial("tcp", ready.Control); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { control.Close(); stdin.Close() })
	return control, stdin, ended
}

func end(t *testing.T, ended chan error) error {
	t.Helper()
	select {
	case err := <-ended:
		return err
	case <-time.After(10 * time.Second):
		t.Fatal("it does not end")
		return nil
	}
}

func TestTextsComeInOrder(t *testing.T) {
	var got []string
	control, stdin, ended := serving(t, func(text []byte) error { got = append(got, string(text)); return nil })
	for _, part := range []string{"\x00\x00", "\x00\x01a\x00\x00\x00\x00\x00\x00\x00\x03b", "cd"} { // torn
		if _, err := io.WriteString(control, part); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := io.ReadFull(control, make([]byte, 3)); err != nil {
		t.Fatal(err)
	}
	stdin.Close()
	if err := end(t, ended); err != nil {
		t.Error(err)
	}
	if s := strings.Join(got, "|"); s != "a||bcd" {
		t.Errorf("got %q", s)
	}
}

func TestFailuresEndIt(t *testing.T) {
	for _, tc := range []struct{ name, send, want string }{
		{"broadcast", "\x00\x00\x00\x01a", "no more"},
		{"too long", "\x00\x02\x00\x01", "131073 bytes; 131072 are allowed"},
		{"torn", "\x00\x00\x00\x09a", "unexpected EOF"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			control, _, ended := serving(t, func([]byte) error { return errors.New("no more") })
			if _, err := io.WriteString(control, tc.send); err != nil {
				t.Fatal(err)
			}
			if tc.name == "torn" {
				control.Close()
			}
			if err := end(t, ended); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}
