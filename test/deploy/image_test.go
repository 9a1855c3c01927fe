package deploy_test

import (
	"debug/buildinfo"
	"debug/elf"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// TestImage builds the image for both platforms and looks at what is in it.
func TestImage(t *testing.T) {
	for arch, machine := range map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64} {
		t.Run(arch, func(t *testing.T) {
			i := builtImage(t)
			if arch != runtime.GOARCH {
				var err error
				if i, err = buildImage(arch); err != nil {
					t.Fatal(err)
				}
			}
			for _, name := range []string{"vibemesh", "sv-cli"} {
				isStatic(t, filepath.Join(i.root, name), machine)
			}
			hasOnly(t, i)
		})
	}
}

func isStatic(t *testing.T, path string, machine elf.Machine) {
	t.Helper()
	f, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if f.Machine != machine {
		t.Errorf("%s is for %v, want %v", path, f.Machine, machine)
	}
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC {
			t.Errorf("%s has %v: it is not static", path, p.Type)
		}
	}
	info, err := buildinfo.ReadFile(path)
	if err != nil || len(info.Deps) == 0 {
		t.Errorf("%s does not tell a scanner what it is made of: %v", path, err)
	}
}

// hasOnly: nothing that somebody could use who gets in, and nothing of the source.
func hasOnly(t *testing.T, i *image) {
	t.Helper()
	var have []string
	err := filepath.WalkDir(i.root, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			have = append(have, strings.TrimPrefix(path, i.root))
		}
		return err
	})
	want := []string{"/LICENSE", "/etc/ssl/certs/ca-certificates.crt", "/sv-cli", "/vibemesh"}
	if err != nil || !slices.Equal(have, want) {
		t.Errorf("files: %v, %v; want %v", have, err, want)
	}
}

// TestImageSays what a registry, a scanner and Docker read of it.
func TestImageSays(t *testing.T) {
	i := builtImage(t)
	if i.user != "65532:65532" {
		t.Errorf("user %q", i.user)
	}
	if want := []string{"CMD", "/vibemesh", "healthcheck"}; !slices.Equal(i.health, want) {
		t.Errorf("health check %v, want %v", i.health, want)
	}
	if want := []string{"8080", "9090"}; !slices.Equal(i.ports, want) {
		t.Errorf("ports %v, want %v", i.ports, want)
	}
	for label, want := range map[string]string{
		"title": "Vibemesh", "source": "https://github.com/socialvibes/vibemesh", "licenses": "Apache-2.0", "version": "1.2.3", "revision": "0123abc",
	} {
		if got := i.labels["org.opencontainers.image."+label]; got != want {
			t.Errorf("label %s is %q, want %q", label, got, want)
		}
	}
	root, err := os.Stat(filepath.Join(i.root, "data"))
	if err != nil || !root.IsDir() {
		t.Errorf("/data, for the log of `vibemesh run`: %v", err)
	}
}

// TestBaseImages: the compiler is the one that the module wants or a later one of the same
// minor version, and runs on the builder's platform.
func TestBaseImages(t *testing.T) {
	stages, err := parseDockerfile()
	if err != nil {
		t.Fatal(err)
	}
	wanted := regexp.MustCompile(`(?m)^go (\d+\.\d+)\.(\d+)$`).FindStringSubmatch(read(t, "go.mod"))
	base := regexp.MustCompile(`^golang:(\d+\.\d+)\.(\d+)$`).FindStringSubmatch(stages[0].BaseName)
	if wanted == nil || base == nil || base[1] != wanted[1] || number(base[2]) < number(wanted[2]) {
		t.Errorf("built with %s; go.mod wants %v", stages[0].BaseName, wanted)
	}
	if stages[0].Platform != "$BUILDPLATFORM" {
		t.Errorf("the compiler runs on %q, emulated for another machine", stages[0].Platform)
	}
}

func number(digits string) (n int) {
	fmt.Sscan(digits, &n)
	return n
}
