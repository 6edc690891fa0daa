package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/spf13/pflag"

	"github.com/imqueue/emq/tasks"
)

// settingFlag is a flag that sets a setting. Its text is judged with the other
// layers', so that a bad value reads the same wherever it stands.
type settingFlag struct {
	key, unit, text string
	set             bool
}

func (f *settingFlag) String() string { return f.text }
func (f *settingFlag) Type() string   { return f.unit }
func (f *settingFlag) Set(text string) error {
	f.text, f.set = text, true
	return nil
}

// settingFlags adds the flags of the settings with these keys.
func settingFlags(flags *pflag.FlagSet, keys ...string) {
	for _, s := range settings() {
		for _, key := range keys {
			if s.key != key {
				continue
			}
			usage := strings.ReplaceAll(s.meaning, "`", "") // pflag would take the quoted word for the unit
			if def := s.def + s.shown; def != "" {
				usage += " (default: " + strings.ReplaceAll(def, "`", "") + ")"
			}
			f, name := &settingFlag{key: s.key, unit: s.unit}, s.flag()
			if s.secret {
				f, name, usage = &settingFlag{key: s.key + fileSuffix, unit: "FILE"}, name+"-file", "file that holds "+usage
			}
			flags.Var(f, name, usage)
		}
	}
}

// flagLayer is what the command line sets. An empty value of --health is "off";
// any other is as good as none.
func flagLayer(flags *pflag.FlagSet) layer {
	l := layer{}
	flags.VisitAll(func(f *pflag.Flag) {
		v, ok := f.Value.(*settingFlag)
		if !ok || !v.set {
			return
		}
		text := v.text
		if text == "" && v.key == "health" {
			text = "off"
		}
		if text != "" {
			l[v.key] = given{text, "--" + f.Name}
		}
	})
	return l
}

// variableLayer is what EMQ_* variables set. Empty ones count as absent; those
// for tests and for development are none of its business.
func variableLayer(environ []string) (layer, error) {
	known := map[string]string{}
	for _, s := range settings() {
		known[s.variable()] = s.key
		if s.fromFile {
			known[s.variable()+strings.ToUpper(fileSuffix)] = s.key + fileSuffix
		}
	}
	l := layer{}
	for _, pair := range environ {
		name, text, _ := strings.Cut(pair, "=")
		if !strings.HasPrefix(name, varPrefix) || strings.HasPrefix(name, "EMQ_TEST_") || strings.HasPrefix(name, "EMQ_DEV_") {
			continue
		}
		key, ok := known[name]
		if !ok {
			return nil, fmt.Errorf("environment variable %s is not a setting of emq%s", name, didYouMean(name, known))
		}
		if text != "" {
			l[key] = given{text, name}
		}
	}
	return l, nil
}

// readConfigFile reads emq.yaml: its settings, and those of each app.
func readConfigFile(flags, vars layer) (layer, map[string]layer, error) {
	path, named, err := setting{key: "config"}.pick(flags, vars)
	if err != nil {
		return nil, nil, err
	}
	if !named {
		path.text = configFile
	}
	raw, err := os.ReadFile(path.text)
	switch {
	case errors.Is(err, fs.ErrNotExist) && !named:
		return layer{}, map[string]layer{}, nil
	case err != nil:
		return nil, nil, fmt.Errorf("settings file: %w", err)
	}
	return parseConfigFile(path.text, raw)
}

// parseConfigFile walks the file's syntax tree instead of decoding into a
// struct, so that every complaint names its line and none quotes a value that
// may be a secret.
func parseConfigFile(path string, raw []byte) (layer, map[string]layer, error) {
	f := yamlFile{name: path, dir: filepath.Dir(path)}
	tree, err := parser.ParseBytes(raw, 0)
	if err != nil {
		var syntax yaml.Error
		if errors.As(err, &syntax) && syntax.GetToken() != nil {
			return nil, nil, fmt.Errorf("%s:%d: not valid YAML: %s", path, syntax.GetToken().Position.Line, syntax.GetMessage())
		}
		return nil, nil, fmt.Errorf("%s: not valid YAML", path)
	}
	top, apps := map[string]string{}, map[string]string{}
	for _, s := range settings() {
		known := top
		if s.app != nil {
			known = apps
		}
		if s.noYAML {
			continue
		}
		known[s.key] = s.key
		if s.fromFile {
			known[s.key+fileSuffix] = s.key + fileSuffix
		}
	}
	top["apps"] = "apps"
	l, appsNode := layer{}, ast.Node(nil)
	if len(tree.Docs) > 1 {
		return nil, nil, fmt.Errorf("%s: must be one YAML document", path)
	}
	for _, doc := range tree.Docs {
		err := f.each(doc.Body, "the file", func(key string, at *ast.MappingValueNode) error {
			if key == "apps" && appsNode == nil {
				appsNode = at.Value
				return nil
			}
			return f.put(l, top, "", key, at)
		})
		if err != nil {
			return nil, nil, err
		}
	}
	byAlias := map[string]layer{}
	err = f.each(appsNode, "apps", func(alias string, at *ast.MappingValueNode) error {
		if err := tasks.CheckApp(alias); err != nil {
			return f.errorf(at, "apps: %v", err)
		}
		app := layer{}
		byAlias[alias] = app
		return f.each(at.Value, "apps."+alias, func(key string, at *ast.MappingValueNode) error {
			return f.put(app, apps, "apps."+alias+".", key, at)
		})
	})
	return l, byAlias, err
}

// yamlFile is emq.yaml while it is read.
type yamlFile struct{ name, dir string }

func (f yamlFile) errorf(at ast.Node, format string, args ...any) error {
	return fmt.Errorf("%s:%d: %s", f.name, at.GetToken().Position.Line, fmt.Sprintf(format, args...))
}

// each calls do for every key of a mapping; a mapping without any may be left empty.
func (f yamlFile) each(node ast.Node, what string, do func(key string, at *ast.MappingValueNode) error) error {
	switch node := node.(type) {
	case nil, *ast.NullNode:
		return nil
	case *ast.MappingNode:
		for _, at := range node.Values {
			if _, merge := at.Key.(*ast.MergeKeyNode); merge {
				return f.errorf(at, "%s: merge keys are not supported", what)
			}
			if err := do(at.Key.GetToken().Value, at); err != nil {
				return err
			}
		}
		return nil
	case *ast.CommentGroupNode:
		return nil
	default:
		return f.errorf(node, "%s: must be a list of \"name: value\"", what)
	}
}

// put takes over one "key: value".
func (f yamlFile) put(l layer, known map[string]string, prefix, key string, at *ast.MappingValueNode) error {
	if _, ok := known[key]; !ok {
		return f.errorf(at, "%s%s is not a setting of emq%s", prefix, key, didYouMean(key, known))
	}
	var text string
	switch value := at.Value.(type) {
	case *ast.StringNode:
		text = value.Value
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		text = value.GetToken().Value
	case *ast.LiteralNode:
		text = strings.TrimSpace(value.Value.Value)
	}
	if text == "" {
		return f.errorf(at, "%s%s: must be one value; take the line out to leave it unset", prefix, key)
	}
	if strings.HasSuffix(key, fileSuffix) {
		text = inDir(f.dir, text)
	}
	l[key] = given{text, fmt.Sprintf("%s:%d: %s%s", f.name, at.GetToken().Position.Line, prefix, key)}
	return nil
}

// didYouMean suggests the known name that is at most two letters off.
func didYouMean(name string, known map[string]string) string {
	best, least := "", 3
	for candidate := range known {
		if d := editDistance(name, candidate); d < least || d == least && candidate < best {
			best, least = candidate, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf(" (did you mean %s?)", best)
}

// editDistance counts the letters to insert, delete, replace, or swap with
// their neighbour, that turn a into b.
func editDistance(a, b string) int {
	before, last := []int(nil), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range len(a) {
		row := make([]int, len(b)+1)
		row[0] = i + 1
		for j := range len(b) {
			replace := last[j]
			if a[i] != b[j] {
				replace++
			}
			row[j+1] = min(replace, last[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}
