// Package emq_test checks what no single package can: the arrows between the
// packages, and the files beside them.
package emq_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/imqueue/emq"

// arrows says, for each package of the module, which others of it its code may
// import. Tests may import helpers besides, under the same arrows otherwise.
var arrows = map[string]struct{ code, tests []string }{
	"cmd/emq": {
		code:  []string{"admin", "admin/alert", "worker", "worker/easemob", "worker/easemob/simulator", "dlq", "tasks", "tasks/redisserver", "errclass"},
		tests: []string{"tasks/redisserver/redistest"},
	},
	"admin":                       {code: []string{"admin/alert", "dlq", "tasks", "errclass"}, tests: []string{"tasks/redisserver", "tasks/redisserver/redistest"}},
	"admin/alert":                 {code: []string{"dlq", "tasks", "errclass"}, tests: []string{"tasks/redisserver", "tasks/redisserver/redistest"}},
	"worker":                      {code: []string{"worker/easemob", "dlq", "tasks", "errclass"}, tests: []string{"worker/easemob/simulator", "tasks/redisserver", "tasks/redisserver/redistest"}},
	"worker/easemob":              {tests: []string{"worker/easemob/simulator"}},
	"worker/easemob/simulator":    {},
	"dlq":                         {code: []string{"tasks", "errclass"}, tests: []string{"tasks/redisserver", "tasks/redisserver/redistest"}},
	"tasks":                       {tests: []string{"tasks/redisserver", "tasks/redisserver/redistest", "worker/easemob/simulator"}},
	"tasks/redisserver":           {tests: []string{"tasks/redisserver/redistest"}},
	"tasks/redisserver/redistest": {code: []string{"tasks/redisserver"}},
	"errclass":                    {},
}

// keptOut lists what app code must not get with tasks, and nobody with errclass.
var keptOut = []string{
	"github.com/spf13/cobra", "github.com/spf13/pflag", "github.com/knadh/koanf", "github.com/alicebob/miniredis",
	"github.com/schollz/progressbar", "github.com/goccy/go-yaml", "github.com/rogpeppe/go-internal", "testing",
	"go.opentelemetry.io/otel/sdk", "go.opentelemetry.io/otel/exporters", "go.opentelemetry.io/proto", "google.golang.org/grpc",
}

func TestArrows(t *testing.T) {
	t.Parallel()
	for _, p := range goList(t, "./...") {
		name, ours := within(p.ImportPath)
		if !ours || name == "" {
			continue // the tests of the root see everything
		}
		allowed, known := arrows[name]
		if !known {
			t.Errorf("package %s is new: give it its row in arrows", name)
			continue
		}
		check := func(what string, imports, allowed []string) {
			for _, path := range imports {
				if to, ours := within(path); ours && to != name && !slices.Contains(allowed, to) {
					t.Errorf("%s of %s import %s: against the arrows", what, name, to)
				}
			}
		}
		check("files", p.Imports, allowed.code)
		for _, path := range p.Imports {
			if name != "cmd/emq" && (strings.HasPrefix(path, "go.opentelemetry.io/otel/sdk") || strings.HasPrefix(path, "go.opentelemetry.io/otel/exporters")) {
				t.Errorf("files of %s import %s: OpenTelemetry's SDK is cmd/emq's", name, path)
			}
		}
		check("tests", slices.Concat(p.TestImports, p.XTestImports), slices.Concat(allowed.code, allowed.tests))
	}
}

func TestLeaves(t *testing.T) {
	t.Parallel()
	t.Run("tasks", func(t *testing.T) {
		t.Parallel()
		for _, p := range goList(t, "-deps", "./tasks") {
			if name, ours := within(p.ImportPath); ours && name != "tasks" {
				t.Errorf("tasks brings in %s", name)
			}
			for _, prefix := range keptOut {
				if p.ImportPath == prefix || strings.HasPrefix(p.ImportPath, prefix+"/") {
					t.Errorf("tasks brings in %s", p.ImportPath)
				}
			}
		}
	})
	t.Run("errclass", func(t *testing.T) {
		t.Parallel()
		for _, p := range goList(t, "-deps", "./errclass") {
			if !p.Standard && p.ImportPath != module+"/errclass" {
				t.Errorf("errclass brings in %s: it is standard library only", p.ImportPath)
			}
		}
	})
}

// within is the path of a package below the module; ours is false for others.
func within(path string) (name string, ours bool) {
	if path == module || path == module+"_test" {
		return "", true
	}
	return strings.CutPrefix(path, module+"/")
}

type goPackage struct {
	ImportPath                         string
	Standard                           bool
	Imports, TestImports, XTestImports []string
}

func goList(t *testing.T, args ...string) []goPackage {
	t.Helper()
	seeSources(t)
	args = append([]string{"list", "-json=ImportPath,Standard,Imports,TestImports,XTestImports"}, args...)
	var stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, stderr.String())
	}
	var packages []goPackage
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p goPackage
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		packages = append(packages, p)
	}
	if len(packages) == 0 {
		t.Fatalf("go %s listed nothing", strings.Join(args, " "))
	}
	return packages
}

// seeSources looks at every Go file: go test takes a result from its cache when no
// file that the test itself looked at has changed, and does not see go list's.
func seeSources(t *testing.T) {
	t.Helper()
	err := filepath.WalkDir(".", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") {
			return err
		}
		_, err = os.Stat(path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
