package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/spf13/pflag"

	"github.com/imqueue/emq/admin/alert"
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

// A fileConfig is what emq.yaml says.
type fileConfig struct {
	layer
	apps   map[string]fileApp
	alerts map[string]layer // channels by name
}

// readConfigFile reads emq.yaml, if there is one.
func readConfigFile(ctx context.Context, flags, vars layer) (fileConfig, error) {
	path, named, err := setting{key: "config"}.pick(ctx, flags, vars)
	if err != nil {
		return fileConfig{}, err
	}
	if !named {
		path.text = configFile
	}
	raw, err := readFile(ctx, path.text, configFileBytes)
	switch {
	case errors.Is(err, fs.ErrNotExist) && !named:
		return fileConfig{layer: layer{}, apps: map[string]fileApp{}}, nil
	case err != nil:
		return fileConfig{}, fmt.Errorf("settings file: %w", err)
	}
	return parseConfigFile(path.text, raw)
}

// A fileApp is what emq.yaml says of one app.
type fileApp struct {
	layer
	limits map[tasks.Endpoint]tasks.Limit
}

// parseConfigFile reads the text of emq.yaml.
func parseConfigFile(path string, raw []byte) (fileConfig, error) {
	f := yamlFile{name: path, dir: filepath.Dir(path)}
	doc, err := f.parse(raw)
	if err != nil {
		return fileConfig{}, err
	}
	top, apps := map[string]setting{"apps": {}, "alerts": {}}, map[string]setting{"limits": {}}
	for _, s := range settings() {
		known := top
		if s.app != nil {
			known = apps
		}
		if s.noYAML {
			continue
		}
		known[s.key] = s
		if s.fromFile {
			known[s.key+fileSuffix] = setting{key: s.key + fileSuffix, path: true}
		}
	}
	c := fileConfig{layer: layer{}, apps: map[string]fileApp{}, alerts: map[string]layer{}}
	var appsNode, alertsNode ast.Node
	err = f.each(doc, "the file", func(key string, at *ast.MappingValueNode) error {
		switch key {
		case "apps":
			appsNode = at.Value
		case "alerts":
			alertsNode = at.Value
		default:
			return f.put(c.layer, top, "", key, at)
		}
		return nil
	})
	if err != nil {
		return fileConfig{}, err
	}
	err = f.each(appsNode, "apps", func(alias string, at *ast.MappingValueNode) error {
		if err := tasks.CheckApp(alias); err != nil {
			return f.errorf(at, "apps: %v", err)
		}
		app := fileApp{layer: layer{}}
		err := f.each(at.Value, "apps."+alias, func(key string, at *ast.MappingValueNode) error {
			prefix := "apps." + alias + "."
			if key == "limits" {
				app.limits = map[tasks.Endpoint]tasks.Limit{}
				return f.limits(app.limits, prefix+key, at.Value)
			}
			return f.put(app.layer, apps, prefix, key, at)
		})
		c.apps[alias] = app
		return err
	})
	if err != nil {
		return fileConfig{}, err
	}
	return c, f.alerts(c.alerts, alertsNode)
}

// alerts reads the channels, by name.
func (f yamlFile) alerts(to map[string]layer, node ast.Node) error {
	known := map[string]setting{}
	for key, s := range channelSettings(&alert.ChannelConfig{}) {
		known[key] = setting{key: key}
		if s.fromFile {
			known[key+fileSuffix] = setting{key: key + fileSuffix, path: true}
		}
	}
	return f.each(node, "alerts", func(name string, at *ast.MappingValueNode) error {
		to[name] = layer{}
		return f.each(at.Value, "alerts."+name, func(key string, at *ast.MappingValueNode) error {
			return f.put(to[name], known, "alerts."+name+".", key, at)
		})
	})
}

// put takes over one "key: value".
func (f yamlFile) put(l layer, known map[string]setting, prefix, key string, at *ast.MappingValueNode) error {
	s, ok := known[key]
	if !ok {
		return f.errorf(at, "%s%s is not a setting of emq%s", prefix, key, didYouMean(key, known))
	}
	text := scalar(at.Value)
	if text == "" {
		return f.errorf(at, "%s%s: must be one value; take the line out to leave it unset", prefix, key)
	}
	if s.path {
		text = inDir(f.dir, text)
	}
	l[key] = given{text, fmt.Sprintf("%s:%d: %s%s", f.name, lineOf(at), prefix, key)}
	return nil
}

// limits reads "endpoint: rates" and "endpoint: {calls: rates, messages: rates}".
// A rate that is not given is Easemob's default.
func (f yamlFile) limits(to map[tasks.Endpoint]tasks.Limit, path string, node ast.Node) error {
	known := map[string]tasks.Limit{}
	for _, info := range tasks.Endpoints() {
		known[string(info.Endpoint)] = info.Limit
	}
	return f.each(node, path, func(endpoint string, at *ast.MappingValueNode) error {
		path := path + "." + endpoint
		limit, ok := known[endpoint]
		if !ok {
			return f.errorf(at, "%s is not an endpoint of emq%s; `emq limit list --all` shows all", path, didYouMean(endpoint, known))
		}
		var err error
		if _, mapping := at.Value.(*ast.MappingNode); mapping {
			err = f.each(at.Value, path, func(key string, at *ast.MappingValueNode) error {
				switch key {
				case "calls":
					return f.rates(&limit.Calls, path+"."+key, at)
				case "messages":
					err := f.rates(&limit.Messages, path+"."+key, at)
					if err == nil && len(limit.Messages) > 0 && !sendsMessages(tasks.Endpoint(endpoint)) {
						err = f.errorf(at, "%s.%s: calls to %s send no messages", path, key, endpoint)
					}
					return err
				}
				return f.errorf(at, "%s.%s: a limit has calls and messages", path, key)
			})
		} else {
			err = f.rates(&limit.Calls, path, at)
		}
		to[tasks.Endpoint(endpoint)] = limit
		return err
	})
}

func (f yamlFile) rates(to *[]tasks.Rate, path string, at *ast.MappingValueNode) error {
	text := scalar(at.Value)
	if text == "" {
		return f.errorf(at, "%s: must be a rate such as 100/s", path)
	}
	rates, err := tasks.ParseRates(text)
	if err != nil {
		return f.errorf(at, "%s: %s", path, bound(err))
	}
	*to = rates
	return nil
}

// bound is what a FieldError says but for the field, whose path the caller knows better.
func bound(err error) string {
	var field *tasks.FieldError
	if errors.As(err, &field) && field.Value != "" {
		return field.Value + ": " + field.Bound
	}
	return err.Error()
}

// didYouMean suggests the known name that is at most two letters off.
func didYouMean[T any](name string, known map[string]T) string {
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
