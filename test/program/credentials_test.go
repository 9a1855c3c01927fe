package program_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// credentials runs `vibemesh credentials`. With cut, the first file of more than 512 bytes
// ends it in the middle of writing, as a full disk or a signal would.
func credentials(t *testing.T, cut bool, args ...string) error {
	t.Helper()
	cmd := exec.Command(filepath.Join(bin, "vibemesh"), append([]string{"credentials"}, args...)...)
	if cut {
		cmd = exec.Command("sh", append([]string{"-c", `ulimit -f 1; exec "$@"`, "sh"}, cmd.Args...)...)
	}
	out, err := cmd.CombinedOutput()
	if err != nil && !cut {
		t.Logf("%v: %s", args, out)
	}
	return err
}

// TestCredentialsCutShort: what a start that was ended in the middle has left does not keep
// the next one from making all of it.
func TestCredentialsCutShort(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made")
	if credentials(t, true, "--keep", "--out", dir) == nil {
		t.Fatal("it was not cut short")
	}
	if err := credentials(t, false, "--keep", "--out", dir); err != nil {
		t.Fatal("the keys were half made:", err)
	}
	one := []string{"--keys", filepath.Join(dir, "keys"), "--role", "backend", "--name", "shop", "--out", dir}
	if credentials(t, true, one...) == nil {
		t.Fatal("it was not cut short")
	}
	if err := credentials(t, false, one...); err != nil {
		t.Fatal("the user was half made:", err)
	}
	for _, name := range []string{"accounts.conf", "edge.creds", "shop.creds", "keys/layout.json", "keys/sys.nk"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Size() == 0 || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %+v, %v", name, info, err)
		}
	}
	if left, err := filepath.Glob(filepath.Join(dir, ".*")); len(left) > 1 || err != nil {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
