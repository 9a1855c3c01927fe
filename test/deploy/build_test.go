package deploy_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/buildkit/frontend/dockerfile/shell"
	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
)

const dockerfile = "deploy/Dockerfile"

// image is what `docker build` makes of the Dockerfile: a folder with the files of its
// last stage, and what it says of how to start it.
type image struct {
	root       string
	user       string
	env        []string
	labels     map[string]string
	entrypoint []string
	health     []string
	ports      []string
}

// buildArgs are those of `docker build` and of BuildKit itself.
func buildArgs(arch string) map[string]string {
	return map[string]string{
		"TARGETOS": "linux", "TARGETARCH": arch, "VERSION": "1.2.3", "REVISION": "0123abc",
	}
}

// parseDockerfile gives the stages, and an error for what BuildKit's linter warns of.
func parseDockerfile() ([]instructions.Stage, error) {
	text, err := os.ReadFile(filepath.Join(repository, dockerfile))
	if err != nil {
		return nil, err
	}
	parsed, err := parser.Parse(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	var warnings error
	lint := linter.New(&linter.Config{Warn: func(rule, _, _, message string, _ []parser.Range) {
		warnings = errors.Join(warnings, fmt.Errorf("%s: %s: %s", dockerfile, rule, message))
	}})
	stages, _, err := instructions.Parse(parsed.AST, lint)
	for _, w := range parsed.Warnings {
		warnings = errors.Join(warnings, fmt.Errorf("%s: %s", dockerfile, w.Short))
	}
	return stages, errors.Join(err, warnings)
}

// buildImage runs the build stage in a clean checkout, and puts the last stage together.
func buildImage(arch string) (*image, error) {
	stages, err := parseDockerfile()
	if err != nil {
		return nil, err
	}
	if len(stages) != 2 || stages[1].BaseName != "scratch" {
		return nil, fmt.Errorf("%s: two stages are expected, the last one from scratch", dockerfile)
	}
	b := &build{arch: arch, dir: filepath.Join(work, "build-"+arch), args: buildArgs(arch)}
	if err := b.run(stages[0]); err != nil {
		return nil, fmt.Errorf("stage %s: %w", stages[0].Name, err)
	}
	return b.assemble(stages[1], filepath.Join(work, "image-"+arch))
}

// build is a build stage, whose WORKDIR is a folder of this machine. Its base image is this
// machine, too.
type build struct {
	arch, dir, workdir string
	args               map[string]string
}

func (b *build) run(stage instructions.Stage) error {
	env := append(os.Environ(), "GOTOOLCHAIN=local") // as the image golang has it
	for _, command := range stage.Commands {
		switch c := command.(type) {
		case *instructions.WorkdirCommand:
			b.workdir = c.Path
		case *instructions.ArgCommand:
			for _, a := range c.Args {
				env = append(env, a.Key+"="+b.arg(a))
			}
		case *instructions.CopyCommand:
			if c.From != "" || strings.Join(c.SourcePaths, " ")+" "+c.DestPath != ". ." {
				return fmt.Errorf("only COPY . . is known here, not %s", c)
			}
			if err := checkout(b.dir); err != nil {
				return err
			}
		case *instructions.RunCommand:
			if !c.PrependShell {
				return fmt.Errorf("not a line for the shell: %s", c)
			}
			cmd := exec.Command("/bin/sh", "-c", strings.Join(c.CmdLine, " "))
			cmd.Dir, cmd.Env = b.dir, env
			if out, err := cmd.CombinedOutput(); err != nil {
				return fmt.Errorf("%s: %w\n%s", c, err, out)
			}
		default:
			return fmt.Errorf("%s is not known here", command.Name())
		}
	}
	return nil
}

func (b *build) arg(a instructions.KeyValuePairOptional) string {
	if given, ok := b.args[a.Key]; ok {
		return given
	}
	return a.ValueString()
}

// assemble makes the last stage of what COPY --from takes of the build.
func (b *build) assemble(stage instructions.Stage, root string) (*image, error) {
	if err := os.MkdirAll(root, 0o755); err != nil {
		return nil, err
	}
	i := &image{root: root, labels: map[string]string{}}
	var args []string
	expand := func(word string) (string, error) {
		text, _, err := shell.NewLex('\\').ProcessWord(word, shell.EnvsFromSlice(args))
		return text, err
	}
	for _, command := range stage.Commands {
		if e, ok := command.(instructions.SupportsSingleWordExpansion); ok {
			if err := e.Expand(expand); err != nil {
				return nil, err
			}
		}
		switch c := command.(type) {
		case *instructions.ArgCommand:
			for _, a := range c.Args {
				args = append(args, a.Key+"="+b.arg(a))
			}
		case *instructions.LabelCommand:
			for _, l := range c.Labels {
				i.labels[l.Key] = l.Value
			}
		case *instructions.EnvCommand:
			for _, e := range c.Env {
				i.env = append(i.env, e.Key+"="+e.Value)
			}
		case *instructions.CopyCommand:
			if err := b.copyFrom(c, root); err != nil {
				return nil, fmt.Errorf("%s: %w", c, err)
			}
		case *instructions.UserCommand:
			i.user = c.User
		case *instructions.ExposeCommand:
			i.ports = c.Ports
		case *instructions.HealthCheckCommand:
			i.health = c.Health.Test
		case *instructions.EntrypointCommand:
			if c.PrependShell {
				return nil, errors.New("the entrypoint needs a shell, and there is none")
			}
			i.entrypoint = c.CmdLine
		default:
			return nil, fmt.Errorf("%s is not known here", command.Name())
		}
	}
	return i, nil
}

func (b *build) copyFrom(c *instructions.CopyCommand, root string) error {
	for _, source := range c.SourcePaths {
		from := source // of the base image: of this machine
		if rest, ok := strings.CutPrefix(source, b.workdir+"/"); ok {
			from = filepath.Join(b.dir, rest)
		}
		to := filepath.Join(root, c.DestPath)
		info, err := os.Stat(from)
		if err != nil {
			return err
		}
		if info.IsDir() { // its content is copied: here there is none
			err = os.MkdirAll(to, 0o755)
		} else {
			if strings.HasSuffix(c.DestPath, "/") {
				to = filepath.Join(to, path.Base(source))
			}
			err = copyFile(from, to, info.Mode())
		}
		if err == nil && c.Chown != "" && asRoot {
			err = chown(to, c.Chown)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func chown(path, user string) error {
	uid, gid, _ := strings.Cut(user, ":")
	u, err := strconv.Atoi(uid)
	if err != nil {
		return err
	}
	g, err := strconv.Atoi(gid)
	if err != nil {
		return err
	}
	return os.Chown(path, u, g)
}

// checkout copies what git knows or would add, and .dockerignore lets through.
func checkout(dir string) error {
	ignored, err := dockerignore()
	if err != nil {
		return err
	}
	list := exec.Command("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	list.Dir = repository
	out, err := list.Output()
	if err != nil {
		return fmt.Errorf("%s: %w", list, err)
	}
	for name := range strings.SplitSeq(strings.TrimRight(string(out), "\x00"), "\x00") {
		if skip, err := ignored.MatchesOrParentMatches(name); skip || err != nil {
			if err != nil {
				return err
			}
			continue
		}
		info, err := os.Stat(filepath.Join(repository, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed, and not yet from the index
		}
		if err != nil {
			return err
		}
		if err := copyFile(filepath.Join(repository, name), filepath.Join(dir, name), info.Mode()); err != nil {
			return err
		}
	}
	return nil
}

func dockerignore() (*patternmatcher.PatternMatcher, error) {
	f, err := os.Open(filepath.Join(repository, dockerfile+".dockerignore"))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	patterns, err := ignorefile.ReadAll(f)
	if err != nil {
		return nil, err
	}
	return patternmatcher.New(patterns)
}

func copyFile(from, to string, mode fs.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	text, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if err := os.WriteFile(to, text, mode.Perm()); err != nil {
		return err
	}
	return os.Chmod(to, mode.Perm())
}
