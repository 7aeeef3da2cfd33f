package rules_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"
)

// TestDocumentation checks that every exported name of every package, and
// every package, has a comment.
func TestDocumentation(t *testing.T) {
	packages := make(map[string]bool) // by folder: whether a package comment was seen
	names := 0
	eachGoFile(t, func(file string) {
		if strings.HasSuffix(file, "_test.go") {
			return
		}
		fset := token.NewFileSet()
		parsed, err := parser.ParseFile(fset, filepath.FromSlash("../../"+file), nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		folder := filepath.Dir(file)
		packages[folder] = packages[folder] || parsed.Doc != nil
		for _, declaration := range parsed.Decls {
			names += checkDeclaration(declaration, func(at token.Pos, name string) {
				t.Errorf("%s:%d: %s has no comment", file, fset.Position(at).Line, name)
			})
		}
	})
	for folder, documented := range packages {
		if !documented {
			t.Errorf("%s has no package comment", folder)
		}
	}
	if names < 100 {
		t.Errorf("only %d exported names found", names)
	}
}

// checkDeclaration reports each exported name without a comment to missing,
// and returns how many exported names it looked at.
func checkDeclaration(declaration ast.Decl, missing func(at token.Pos, name string)) int {
	switch d := declaration.(type) {
	case *ast.FuncDecl:
		if !d.Name.IsExported() || !exportedReceiver(d) {
			return 0
		}
		if d.Doc == nil {
			missing(d.Pos(), d.Name.Name)
		}
		return 1
	case *ast.GenDecl:
		return checkSpecs(d, missing)
	}
	return 0
}

// checkSpecs is checkDeclaration for types, constants and variables. A comment
// on the whole group will do for constants and variables.
func checkSpecs(d *ast.GenDecl, missing func(at token.Pos, name string)) int {
	names := 0
	for _, spec := range d.Specs {
		switch s := spec.(type) {
		case *ast.TypeSpec:
			if s.Name.IsExported() {
				names++
				if s.Doc == nil && d.Doc == nil {
					missing(s.Pos(), s.Name.Name)
				}
			}
		case *ast.ValueSpec:
			for _, name := range s.Names {
				if name.IsExported() {
					names++
					if s.Doc == nil && d.Doc == nil && s.Comment == nil {
						missing(name.Pos(), name.Name)
					}
				}
			}
		}
	}
	return names
}

// exportedReceiver reports whether a function has no receiver or one of an
// exported type.
func exportedReceiver(d *ast.FuncDecl) bool {
	if d.Recv == nil {
		return true
	}
	kind := d.Recv.List[0].Type
	if star, ok := kind.(*ast.StarExpr); ok {
		kind = star.X
	}
	name, ok := kind.(*ast.Ident)
	return ok && name.IsExported()
}
