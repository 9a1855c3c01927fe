package deploy_test

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// container is a process that runs as in a container: with the files of an image and its
// volumes, as its user, without capabilities. Without an image its files are this machine's.
type container struct {
	name    string
	image   *image
	user    string // uid:gid
	argv    []string
	env     []string
	mounts  []mount
	added   []string // capabilities
	out     said     // all that it said
	printed said     // on stdout alone
	cmd     *exec.Cmd
	ended   chan struct{}
}

type mount struct {
	source, target string
	readOnly       bool
}

// enter makes a mount namespace in which the image and its mounts are read-only, or not, and
// starts a command in there: root user [ro|rw source target]... -- command... Every container
// has /proc and /dev.
const enter = `
root=$1 user=$2; shift 2
mount --bind "$root" "$root"
mount --bind /proc "$root/proc"
mount --bind /dev "$root/dev"
while [ "$1" != -- ]; do
  mount --bind "$2" "$root$3"
  if [ "$1" = ro ]; then mount -o remount,bind,ro "$root$3"; fi
  shift 3
done
shift
mount -o remount,bind,ro "$root"
exec setpriv --no-new-privs chroot --userspec="$user" "$root" "$@"`

// command is what starts argv in the container.
func (c *container) command(t *testing.T, argv []string) *exec.Cmd {
	t.Helper()
	var cmd *exec.Cmd
	switch {
	case asRoot && c.image != nil && !strings.HasPrefix(c.user, "0:"):
		args := []string{"--mount", "--propagation", "private", "sh", "-euc", enter, "enter", c.files(t), c.user}
		for _, m := range c.mounts {
			args = append(args, map[bool]string{true: "ro", false: "rw"}[m.readOnly], m.source, m.target)
		}
		cmd = exec.Command("unshare", append(append(args, "--"), argv...)...)
		cmd.Env = slices.Clone(c.env)
	default:
		cmd = exec.Command(c.outside(argv[0]), c.outsideAll(argv[1:])...)
		if asRoot {
			cmd = exec.Command("setpriv", append(c.privileges(), cmd.Args...)...)
		}
		cmd.Env = c.outsideAll(c.env)
	}
	cmd.Env = append(cmd.Env, "PATH="+os.Getenv("PATH"))
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // to end what it has started as well
	return cmd
}

// privileges are the arguments of setpriv for a user and the capabilities that are left.
func (c *container) privileges() []string {
	uid, gid, _ := strings.Cut(c.user, ":")
	left := "-all"
	for _, name := range c.added {
		left += ",+" + strings.ToLower(name)
	}
	return []string{"--no-new-privs", "--inh-caps=-all", "--bounding-set=" + left, "--reuid", uid, "--regid", gid, "--clear-groups"}
}

// files are a copy of the image, of links, with what volumes are mounted on.
func (c *container) files(t *testing.T) string {
	t.Helper()
	root := filepath.Join(work, "root-"+c.name)
	if _, err := os.Stat(root); errors.Is(err, os.ErrNotExist) {
		output(t, "cp", "-al", c.image.root, root)
	}
	for _, m := range append([]mount{{target: "/proc"}, {target: "/dev"}}, c.mounts...) {
		if err := os.MkdirAll(filepath.Join(root, m.target), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// outside is a text in which paths of the container are those of this machine.
func (c *container) outside(text string) string {
	for _, m := range c.mounts {
		path := regexp.MustCompile(`(^|[\s=])` + regexp.QuoteMeta(strings.TrimSuffix(m.target, "/")) + `(/|\s|$)`)
		text = path.ReplaceAllString(text, "${1}"+m.source+"${2}")
		text = path.ReplaceAllString(text, "${1}"+m.source+"${2}") // what stood directly behind the first
	}
	if c.image != nil && strings.HasPrefix(text, "/vibemesh") {
		text = filepath.Join(c.image.root, text)
	}
	return text
}

func (c *container) outsideAll(texts []string) []string {
	var out []string
	for _, text := range texts {
		out = append(out, c.outside(text))
	}
	return out
}

// start runs the container until the test ends, or it is stopped.
func (c *container) start(t *testing.T) {
	t.Helper()
	c.cmd, c.ended = c.command(t, c.argv), make(chan struct{})
	c.cmd.Stdout, c.cmd.Stderr = io.MultiWriter(&c.out, &c.printed), &c.out
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := c.ended
	go func(cmd *exec.Cmd) {
		_ = cmd.Wait() // how it ended is in its state
		close(ended)
	}(c.cmd)
	group := c.cmd.Process.Pid
	t.Cleanup(func() {
		_ = syscall.Kill(-group, syscall.SIGKILL) // it may have ended
		<-ended
		if t.Failed() {
			t.Logf("%s said:\n%s", c.name, c.out.String())
		}
	})
}

// wait is the exit status, once it has ended.
func (c *container) wait(t *testing.T, longest time.Duration) int {
	t.Helper()
	select {
	case <-c.ended:
	case <-time.After(longest):
		t.Fatalf("%s has not ended after %v:\n%s", c.name, longest, c.out.String())
	}
	return c.cmd.ProcessState.ExitCode()
}

// stop asks it to end, as `docker stop` does, and returns its exit status.
func (c *container) stop(t *testing.T, signal syscall.Signal, grace time.Duration) int {
	t.Helper()
	if err := c.cmd.Process.Signal(signal); err != nil {
		t.Fatal(err)
	}
	return c.wait(t, grace)
}

// healthy runs the image's own health check beside the process.
func (c *container) healthy(t *testing.T) (text string, ok bool) {
	t.Helper()
	out, err := c.command(t, c.image.health[1:]).CombinedOutput()
	return strings.TrimSpace(string(out)), err == nil
}
