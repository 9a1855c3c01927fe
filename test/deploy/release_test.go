package deploy_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"
)

// parse reads a YAML file, and refuses what is there twice.
func parse(t *testing.T, path string, into any) {
	t.Helper()
	if err := yaml.Unmarshal([]byte(read(t, path)), into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

// TestReleasePlatforms: what a release builds compiles for each of its platforms. That of
// Linux is compiled for the image already.
func TestReleasePlatforms(t *testing.T) {
	var release struct {
		Builds []struct {
			Main         string
			Goos, Goarch []string
			Env          []string
		}
		Archives []struct{ Files []string }
	}
	parse(t, ".goreleaser.yaml", &release)
	if len(release.Builds) != 2 {
		t.Fatalf("%d programs are built, want vibemesh and sv-cli", len(release.Builds))
	}
	for _, b := range release.Builds {
		for _, goos := range b.Goos {
			if goos == "linux" {
				continue
			}
			cmd := exec.CommandContext(t.Context(), "go", "build", "-o", filepath.Join(work, "other"), b.Main)
			cmd.Dir, cmd.Env = repository, append(append(os.Environ(), b.Env...), "GOOS="+goos, "GOARCH="+b.Goarch[len(b.Goarch)-1])
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%s for %s: %v\n%s", b.Main, goos, err, out)
			}
		}
	}
	for _, a := range release.Archives {
		for _, f := range a.Files {
			read(t, f) // fails if it is not there
		}
	}
}

// pinned is a step by its commit: whoever gets hold of its repository can move a tag. The
// comment behind it says which version that is.
var pinned = regexp.MustCompile(`(?m)^ +(?:- )?uses: [\w-]+/[\w-]+(?:/[\w-]+)?@[0-9a-f]{40} # v\d+\.\d+\.\d+$`)

// TestStepsArePinned: what the workflows use does not change by itself.
func TestStepsArePinned(t *testing.T) {
	for _, workflow := range []string{"ci.yml", "release.yml"} {
		text := read(t, ".github/workflows/"+workflow)
		if used, good := strings.Count(text, "uses: "), len(pinned.FindAllString(text, -1)); used == 0 || good != used {
			t.Errorf("%s: %d of %d steps are pinned to a commit, with their version behind it", workflow, good, used)
		}
	}
}

// TestReleaseWorkflow: nothing is published that was not tested, by whoever may do only
// that.
func TestReleaseWorkflow(t *testing.T) {
	var workflow struct {
		Permissions map[string]string
		Jobs        map[string]struct {
			Needs       any
			Permissions map[string]string
			Environment string
			Timeout     int `yaml:"timeout-minutes"`
			Steps       []struct{ Run string }
		}
	}
	parse(t, ".github/workflows/release.yml", &workflow)
	if workflow.Permissions == nil || len(workflow.Permissions) != 0 {
		t.Errorf("every job may %v", workflow.Permissions)
	}
	tested := false
	for name, job := range workflow.Jobs {
		needs, _ := yaml.Marshal(job.Needs)
		writes := false
		for _, may := range job.Permissions {
			writes = writes || may == "write"
		}
		if writes && (!regexp.MustCompile(`\btest\b`).Match(needs) || job.Environment != "release") {
			t.Errorf("%s writes: it needs the job test and the environment release", name)
		}
		if job.Timeout == 0 || len(job.Permissions) == 0 {
			t.Errorf("%s: %d minutes, permissions %v", name, job.Timeout, job.Permissions)
		}
		for _, s := range job.Steps {
			tested = tested || name == "test" && strings.Contains(s.Run, ".ci/run")
		}
	}
	if !tested {
		t.Error("the job test does not run .ci/run")
	}
}

// TestReleaseNotes are the section of the version, and there is no release without them.
func TestReleaseNotes(t *testing.T) {
	if notes := output(t, "scripts/release-notes", "Unreleased"); !strings.Contains(notes, "### Added") || strings.Contains(notes, "\n## ") {
		t.Errorf("notes: %.200q", notes)
	}
	missing := exec.CommandContext(t.Context(), "scripts/release-notes", "v0.0.0")
	missing.Dir = repository
	if out, err := missing.CombinedOutput(); err == nil || !strings.Contains(string(out), "no section") {
		t.Errorf("a version without a section: %v, %s", err, out)
	}
}
