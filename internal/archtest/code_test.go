package archtest

import (
	"fmt"
	"go/ast"
	"strings"
	"testing"
)

// maxLines is the length of a file that still is about one thing.
const maxLines = 500

// wrongEnds are the calls of a file that end the process, or the goroutine, of
// whoever called it. An error goes up to main; only main's own function exits.
func wrongEnds(f *file) (wrong []string) {
	if f.test {
		return nil
	}
	names := map[string]string{} // name in this file → import path
	for imported, name := range f.imports {
		names[name] = imported
	}
	for _, decl := range f.ast.Decls {
		fn, ok := decl.(*ast.FuncDecl)
		inMain := ok && f.pkg == "main" && fn.Name.Name == "main" && fn.Recv == nil
		ast.Inspect(decl, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			what := ending(call, names)
			if what != "" && (!inMain || what == "panic") {
				wrong = append(wrong, fmt.Sprintf("%s calls %s: return an error instead; only func main ends the process", f.at(call), what))
			}
			return true
		})
	}
	return wrong
}

// ending names a call that ends the process or panics, or is empty.
func ending(call *ast.CallExpr, names map[string]string) string {
	switch fun := call.Fun.(type) {
	case *ast.Ident:
		if fun.Name == "panic" && !abortsHandler(call, names) {
			return "panic"
		}
	case *ast.SelectorExpr:
		pkg, ok := fun.X.(*ast.Ident)
		if !ok {
			return ""
		}
		switch imported, name := names[pkg.Name], fun.Sel.Name; {
		case imported == "os" && name == "Exit", imported == "syscall" && name == "Exit",
			imported == "log" && (strings.HasPrefix(name, "Fatal") || strings.HasPrefix(name, "Panic")):
			return imported + "." + name
		}
	}
	return ""
}

// abortsHandler: panic(http.ErrAbortHandler) is how net/http's handlers are told
// to cut an answer short; its server recovers it.
func abortsHandler(call *ast.CallExpr, names map[string]string) bool {
	if len(call.Args) != 1 {
		return false
	}
	arg, ok := call.Args[0].(*ast.SelectorExpr)
	if !ok {
		return false
	}
	pkg, ok := arg.X.(*ast.Ident)
	return ok && names[pkg.Name] == "net/http" && arg.Sel.Name == "ErrAbortHandler"
}

func TestNothingBelowMainEndsTheProcess(t *testing.T) {
	for _, f := range sources(t) {
		for _, w := range wrongEnds(f) {
			t.Error(w)
		}
	}
}

func TestFilesAreShort(t *testing.T) {
	for _, f := range sources(t) {
		if f.lines > maxLines && !ast.IsGenerated(f.ast) {
			t.Errorf("%s has %d lines: split it by what it is about; %d are enough for one thing", f.path, f.lines, maxLines)
		}
	}
}

// The checks find what they are for.
func TestCodeChecksBite(t *testing.T) {
	for name, c := range map[string]struct{ path, source, want string }{
		"panic":                  {"internal/x/x.go", `package x; func f() { panic("no") }`, "x.go:1 calls panic"},
		"panic in a closure":     {"internal/x/x.go", `package x; var f = func() { panic("no") }`, "calls panic"},
		"panic in main":          {"cmd/x/x.go", `package main; func main() { panic("no") }`, "calls panic"},
		"exit":                   {"internal/x/x.go", `package x; import "os"; func f() { os.Exit(1) }`, "calls os.Exit"},
		"exit, renamed":          {"internal/x/x.go", `package x; import sys "os"; func f() { sys.Exit(1) }`, "calls os.Exit"},
		"exit below main":        {"cmd/x/x.go", `package main; import "os"; func run() { os.Exit(1) }`, "calls os.Exit"},
		"exit in a method":       {"cmd/x/x.go", `package main; import "os"; type a int; func (a) main() { os.Exit(1) }`, "calls os.Exit"},
		"fatal":                  {"internal/x/x.go", `package x; import "log"; func f() { log.Fatalf("no") }`, "calls log.Fatalf"},
		"log panic":              {"internal/x/x.go", `package x; import "log"; func f() { log.Panicln("no") }`, "calls log.Panicln"},
		"allowed: main":          {"cmd/x/x.go", `package main; import "os"; func main() { os.Exit(1) }`, ""},
		"allowed: a test":        {"internal/x/x_test.go", `package x; func f() { panic("no") }`, ""},
		"allowed: abort":         {"internal/x/x.go", `package x; import "net/http"; func f() { panic(http.ErrAbortHandler) }`, ""},
		"allowed: another's":     {"internal/x/x.go", `package x; func f(os exiter, log logger) { os.Exit(1); log.Fatal() }`, ""},
		"allowed: only a string": {"internal/x/x.go", `package x; const s = "panic(1) os.Exit(1)"`, ""},
	} {
		f, err := parse(c.path, []byte(c.source))
		if err != nil {
			t.Fatal(err)
		}
		got := strings.Join(wrongEnds(f), "\n")
		if c.want == "" && got != "" || !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
