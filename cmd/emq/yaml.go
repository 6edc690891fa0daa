package main

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// A yamlFile is a YAML file while it is read. Its syntax tree is walked instead
// of decoded into structs, so that every complaint names its line and none quotes
// a value that may be a secret.
type yamlFile struct{ name, dir string }

// parse returns the file's document, nil when it is empty. A byte order mark in
// front, as some editors write it, is none of the text.
func (f yamlFile) parse(raw []byte) (ast.Node, error) {
	raw = bytes.TrimPrefix(raw, []byte(byteOrderMark))
	tree, err := parser.ParseBytes(raw, 0)
	if err != nil {
		var syntax yaml.Error
		if errors.As(err, &syntax) && syntax.GetToken() != nil {
			line := syntax.GetToken().Position.Line
			if tabbed(raw, line) {
				return nil, f.errorAt(line, "a tab: indent with spaces")
			}
			return nil, f.errorAt(line, "not valid YAML: %s", syntax.GetMessage())
		}
		return nil, fmt.Errorf("%s: not valid YAML", f.name)
	}
	switch len(tree.Docs) {
	case 0:
		return nil, nil
	case 1:
		return tree.Docs[0].Body, nil
	default:
		return nil, fmt.Errorf("%s: must be one YAML document", f.name)
	}
}

// tabbed says whether a line, counted from 1, has a tab in its indentation.
func tabbed(raw []byte, line int) bool {
	lines := bytes.Split(raw, []byte("\n"))
	return line >= 1 && line <= len(lines) && bytes.HasPrefix(bytes.TrimLeft(lines[line-1], " -"), []byte("\t"))
}

func (f yamlFile) errorAt(line int, format string, args ...any) error {
	return fmt.Errorf("%s:%d: %s", f.name, line, fmt.Sprintf(format, args...))
}

func (f yamlFile) errorf(at ast.Node, format string, args ...any) error {
	return f.errorAt(lineOf(at), format, args...)
}

func lineOf(at ast.Node) int { return at.GetToken().Position.Line }

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

// scalar is the text of one value; empty when node is none.
func scalar(node ast.Node) string {
	switch value := node.(type) {
	case *ast.StringNode:
		return value.Value
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return value.GetToken().Value
	case *ast.LiteralNode:
		return strings.TrimSpace(value.Value.Value)
	default:
		return ""
	}
}

// plain is the value of node as encoding/json would decode it; ok is false when
// it holds what JSON has not, such as an alias or a tag.
func plain(node ast.Node) (value any, ok bool) {
	switch node := node.(type) {
	case *ast.NullNode:
		return nil, true
	case *ast.StringNode:
		return node.Value, true
	case *ast.LiteralNode:
		return node.Value.Value, true
	case *ast.IntegerNode:
		return node.Value, true
	case *ast.FloatNode:
		return node.Value, true
	case *ast.BoolNode:
		return node.Value, true
	case *ast.SequenceNode:
		list := make([]any, len(node.Values))
		for i, item := range node.Values {
			if list[i], ok = plain(item); !ok {
				return nil, false
			}
		}
		return list, true
	case *ast.MappingNode:
		mapping := make(map[string]any, len(node.Values))
		for _, at := range node.Values {
			if mapping[at.Key.GetToken().Value], ok = plain(at.Value); !ok {
				return nil, false
			}
		}
		return mapping, true
	default:
		return nil, false
	}
}
