package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/socialvibes/vibemesh"

// file is a Go file of the module.
type file struct {
	path    string // below the module's root
	pkg     string // as in its package clause
	test    bool
	lines   int
	imports map[string]string // path → name it is used by in the file
	ast     *ast.File
	set     *token.FileSet
}

// dir is the folder of the file's package, "." for the root.
func (f *file) dir() string { return path.Dir(f.path) }

func (f *file) at(n ast.Node) string {
	return f.path + ":" + strconv.Itoa(f.set.Position(n.Pos()).Line)
}

// parse reads one file.
func parse(name string, source []byte) (*file, error) {
	f := &file{
		path: name, test: strings.HasSuffix(name, "_test.go"), lines: strings.Count(string(source), "\n"),
		imports: map[string]string{}, set: token.NewFileSet(),
	}
	var err error
	if f.ast, err = parser.ParseFile(f.set, name, source, parser.ParseComments|parser.SkipObjectResolution); err != nil {
		return nil, err
	}
	f.pkg = f.ast.Name.Name
	for _, spec := range f.ast.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return nil, err
		}
		f.imports[imported] = path.Base(imported)
		if spec.Name != nil {
			f.imports[imported] = spec.Name.Name
		}
	}
	return f, nil
}

// sources are all Go files of the module, for every platform and build tag.
func sources(t *testing.T) []*file {
	t.Helper()
	root := filepath.Join("..", "..")
	if _, err := os.Stat(filepath.Join(root, "go.mod")); err != nil {
		t.Fatal(err)
	}
	var files []*file
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if base := d.Name(); d.IsDir() && name != root && (base == "bin" || base == "node_modules" || base == "testdata" || base == "vendor" || strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_")) {
			return filepath.SkipDir
		}
		if d.IsDir() || filepath.Ext(name) != ".go" {
			return nil
		}
		source, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		f, err := parse(filepath.ToSlash(rel), source)
		if err == nil {
			files = append(files, f)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 40 {
		t.Fatalf("only %d files found: the walk is broken", len(files))
	}
	return files
}

// below reports that name is path or in a folder below it.
func below(name, path string) bool { return name == path || strings.HasPrefix(name, path+"/") }

// standard reports that an import is of the standard library.
func standard(imported string) bool {
	first, _, _ := strings.Cut(imported, "/")
	return !strings.Contains(first, ".")
}
