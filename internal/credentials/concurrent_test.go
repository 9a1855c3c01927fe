package credentials_test

import (
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/socialvibes/vibemesh/internal/credentials"
)

// TestMadeAtOnce: of several that make credentials in one directory at once, one does, and
// what is there is of that one alone.
func TestMadeAtOnce(t *testing.T) {
	for range 20 {
		dir := t.TempDir()
		errs := make([]error, 4)
		var all sync.WaitGroup
		for i := range errs {
			all.Go(func() { _, errs[i] = credentials.Make(dir, logOf(t, "sv", 1), 0, time.Now()) })
		}
		all.Wait()
		made := 0
		for _, err := range errs {
			if err == nil {
				made++
			}
		}
		if made != 1 {
			t.Fatalf("%d of them succeeded: %v", made, errs)
		}
		f, err := credentials.AddUser(filepath.Join(dir, credentials.KeysDir), "edge", "more", t.TempDir(), 0, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if u := user(t, f.Path); u.IssuerAccount != account(t, dir).Subject {
			t.Fatal("the keys are not those of accounts.conf")
		}
		left, err := filepath.Glob(filepath.Join(dir, ".*"))
		if err != nil || len(left) > 0 {
			t.Fatalf("left behind: %v, %v", left, err)
		}
	}
}
