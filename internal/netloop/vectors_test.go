package netloop

import (
	"runtime"
	"testing"
	"time"
)

// TestVectorsLetGo: what was written must not be kept in memory by who wrote it.
func TestVectorsLetGo(t *testing.T) {
	var v Vectors
	freed := make(chan struct{})
	func() {
		b := make([]byte, 1<<20)
		runtime.AddCleanup(&b[0], func(c chan struct{}) { close(c) }, freed)
		v.Add(b)
		v.Reset()
	}()
	for range 50 {
		runtime.GC()
		select {
		case <-freed:
			runtime.KeepAlive(&v)
			return
		case <-time.After(20 * time.Millisecond): // cleanups run behind the collector
		}
	}
	t.Error("Reset keeps the slice alive")
	runtime.KeepAlive(&v)
}
