package main

import (
	"fmt"
	"go/ast"
	"go/constant"
	"go/parser"
	"go/token"
	"go/types"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
)

// source is what the Go files of the contract declare: this program reads them as text,
// so that it can be run when they do not compile.
type source struct {
	structs map[string]*ast.StructType
	docs    map[string]string // of structs
	consts  map[string]constant.Value
	order   []string // names of consts as they are declared
}

func readSource() (*source, error) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		return nil, err
	}
	s := &source{structs: map[string]*ast.StructType{}, docs: map[string]string{}, consts: map[string]constant.Value{}}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") || file == goFile {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		for _, decl := range f.Decls {
			if d, ok := decl.(*ast.GenDecl); ok {
				s.declare(d)
			}
		}
	}
	return s, nil
}

func (s *source) declare(d *ast.GenDecl) {
	for _, spec := range d.Specs {
		switch spec := spec.(type) {
		case *ast.TypeSpec:
			if t, ok := spec.Type.(*ast.StructType); ok {
				s.structs[spec.Name.Name] = t
				s.docs[spec.Name.Name] = oneLine(d.Doc)
			}
		case *ast.ValueSpec:
			for i, name := range spec.Names {
				if d.Tok != token.CONST || i >= len(spec.Values) {
					continue
				}
				// Those that are made of other constants are of no interest here.
				v, err := types.Eval(token.NewFileSet(), nil, token.NoPos, types.ExprString(spec.Values[i]))
				if err == nil && v.Value != nil {
					s.consts[name.Name] = v.Value
					s.order = append(s.order, name.Name)
				}
			}
		}
	}
}

// number is a constant of the contract.
func (s *source) number(name string) (int64, error) {
	if v := s.consts[name]; v != nil && v.Kind() == constant.Int {
		n, _ := constant.Int64Val(v)
		return n, nil
	}
	return 0, fmt.Errorf("no constant %s is a number", name)
}

// texts are the values of all constants whose names begin with a word and a capital.
func (s *source) texts(prefix string) (all []string) {
	for _, name := range s.order {
		rest, ok := strings.CutPrefix(name, prefix)
		if ok && rest != "" && rest[0] >= 'A' && rest[0] <= 'Z' && s.consts[name].Kind() == constant.String {
			all = append(all, constant.StringVal(s.consts[name]))
		}
	}
	return all
}

// text is a constant of the contract.
func (s *source) text(name string) (string, error) {
	if v := s.consts[name]; v != nil && v.Kind() == constant.String {
		return constant.StringVal(v), nil
	}
	return "", fmt.Errorf("no constant %s is a text", name)
}

// field is a field of a struct, as JSON has it.
type field struct {
	name     string
	typ      string
	doc      string
	optional bool
}

func (s *source) fields(name string) ([]field, error) {
	t := s.structs[name]
	if t == nil {
		return nil, fmt.Errorf("no struct is called %s", name)
	}
	var all []field
	for _, f := range t.Fields.List {
		if f.Tag == nil {
			continue
		}
		tag, options, _ := strings.Cut(reflect.StructTag(strings.Trim(f.Tag.Value, "`")).Get("json"), ",")
		doc := oneLine(f.Doc)
		if doc == "" {
			doc = oneLine(f.Comment)
		}
		all = append(all, field{tag, types.ExprString(f.Type), doc, slices.Contains(strings.Split(options, ","), "omitempty")})
	}
	return all, nil
}

// oneLine is a comment as a sentence.
func oneLine(c *ast.CommentGroup) string {
	text := strings.Join(strings.Fields(c.Text()), " ")
	if text == "" {
		return ""
	}
	return strings.ToUpper(text[:1]) + strings.TrimSuffix(text[1:], ".") + "."
}
