package main

import (
	"fmt"
	"go/ast"
	"go/build"
	goconst "go/constant"
	"go/parser"
	gotoken "go/token"
	"path/filepath"
	"strings"
)

// A constSource evaluates constants from the source of one toolchain's standard library.
type constSource struct {
	context  build.Context
	packages map[string]map[string]constDecl
}

// A constDecl is the expression of one declared constant, with the value of iota there.
type constDecl struct {
	expr ast.Expr
	iota int64
}

// newConstSource returns a source that reads goroot as a build for linux on machine would.
func newConstSource(goroot, machine string, minor int) *constSource {
	context := build.Default
	context.GOROOT, context.GOOS, context.GOARCH = goroot, "linux", machine
	context.CgoEnabled, context.Compiler, context.BuildTags = false, "gc", nil
	context.ReleaseTags = nil
	for i := 1; i <= minor; i++ {
		context.ReleaseTags = append(context.ReleaseTags, fmt.Sprintf("go1.%d", i))
	}
	return &constSource{context, map[string]map[string]constDecl{}}
}

// load collects the constants of the package at that import path.
func (c *constSource) load(path string) (map[string]constDecl, error) {
	if decls, ok := c.packages[path]; ok {
		return decls, nil
	}
	decls := map[string]constDecl{}
	dir := filepath.Join(c.context.GOROOT, "src", filepath.FromSlash(path))
	names, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		match, err := c.context.MatchFile(dir, filepath.Base(name))
		if err != nil {
			return nil, err
		}
		if !match {
			continue
		}
		// A file of a newer Go may hold syntax that our parser does not know; what it read counts.
		file, err := parser.ParseFile(gotoken.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if file == nil {
			return nil, err
		}
		collect(file, decls)
	}
	c.packages[path] = decls
	return decls, nil
}

// collect adds the package-level constants of file to decls.
func collect(file *ast.File, decls map[string]constDecl) {
	for _, d := range file.Decls {
		general, ok := d.(*ast.GenDecl)
		if !ok || general.Tok != gotoken.CONST {
			continue
		}
		var values []ast.Expr
		for i, s := range general.Specs {
			spec := s.(*ast.ValueSpec)
			if len(spec.Values) > 0 {
				values = spec.Values
			}
			for j, name := range spec.Names {
				if name.Name != "_" && j < len(values) {
					decls[name.Name] = constDecl{values[j], int64(i)}
				}
			}
		}
	}
}

// value returns the integer constant "package.Name"; ok is false when the package has none.
func (c *constSource) value(qualified string) (value int64, ok bool, err error) {
	dot := strings.LastIndex(qualified, ".")
	if dot < 0 {
		return 0, false, fmt.Errorf("%s names no package", qualified)
	}
	path, name := qualified[:dot], qualified[dot+1:]
	decls, err := c.load(path)
	if err != nil {
		return 0, false, err
	}
	if _, ok := decls[name]; !ok {
		return 0, false, nil
	}
	v, err := c.eval(decls, decls[name], 0)
	if err != nil {
		return 0, false, fmt.Errorf("%s: %v", qualified, err)
	}
	value, exact := goconst.Int64Val(goconst.ToInt(v))
	if !exact {
		return 0, false, fmt.Errorf("%s is no integer", qualified)
	}
	return value, true, nil
}

// eval evaluates the expression of d; names are looked up in decls.
func (c *constSource) eval(decls map[string]constDecl, d constDecl, depth int) (goconst.Value, error) {
	if depth > 100 {
		return nil, fmt.Errorf("constants refer to each other")
	}
	sub := func(e ast.Expr) (goconst.Value, error) { return c.eval(decls, constDecl{e, d.iota}, depth+1) }
	switch e := d.expr.(type) {
	case *ast.BasicLit:
		return goconst.MakeFromLiteral(e.Value, e.Kind, 0), nil
	case *ast.ParenExpr:
		return sub(e.X)
	case *ast.Ident:
		if e.Name == "iota" {
			return goconst.MakeInt64(d.iota), nil
		}
		if other, ok := decls[e.Name]; ok {
			return c.eval(decls, other, depth+1)
		}
	case *ast.CallExpr: // a conversion; a function call fails at its name
		if len(e.Args) == 1 {
			return sub(e.Args[0])
		}
	case *ast.UnaryExpr:
		x, err := sub(e.X)
		if err != nil {
			return nil, err
		}
		return goconst.UnaryOp(e.Op, x, 0), nil
	case *ast.BinaryExpr:
		x, err := sub(e.X)
		if err != nil {
			return nil, err
		}
		y, err := sub(e.Y)
		if err != nil {
			return nil, err
		}
		if e.Op == gotoken.SHL || e.Op == gotoken.SHR {
			count, _ := goconst.Uint64Val(y)
			return goconst.Shift(x, e.Op, uint(count)), nil
		}
		return goconst.BinaryOp(x, e.Op, y), nil
	}
	return nil, fmt.Errorf("cannot evaluate a %T", d.expr)
}
