package edge

import (
	"testing"
	"unsafe"
)

// TestConnSize: every byte of conn is paid for by every idle session. Whoever
// adds a field decides whether it belongs to more.
func TestConnSize(t *testing.T) {
	if size := unsafe.Sizeof(conn{}); size > 80 {
		t.Errorf("a conn is %d bytes, want at most 80", size)
	}
}
