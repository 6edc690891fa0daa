package admin

import (
	"encoding/json"
	"net/http"
	"reflect"
	"regexp"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/imqueue/emq/tasks"
)

// limitText is a limit as JSON has it.
type limitText struct {
	Calls    string `json:"calls,omitempty"`
	Messages string `json:"messages,omitempty"`
}

var pathParameter = regexp.MustCompile(`\{([a-z]+)(\.\.\.)?\}`)

// document describes the routes in OpenAPI 3.1, made from the table and from the types
// that they take and answer.
func (s *Server) document() *huma.OpenAPI {
	types := huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer)
	types.RegisterTypeAlias(reflect.TypeFor[json.RawMessage](), reflect.TypeFor[any]())
	types.RegisterTypeAlias(reflect.TypeFor[tasks.Limit](), reflect.TypeFor[limitText]())
	doc := &huma.OpenAPI{
		OpenAPI: "3.1.0",
		Info:    &huma.Info{Title: "emq", Version: s.cfg.Version, Description: "What operators see and do; see docs/api.md."},
		Components: &huma.Components{
			Schemas: types,
			SecuritySchemes: map[string]*huma.SecurityScheme{
				"token":   {Type: "http", Scheme: "bearer"},
				"session": {Type: "apiKey", In: "cookie", Name: cookieName},
			},
		},
	}
	content := func(kind string, t reflect.Type) map[string]*huma.MediaType {
		return map[string]*huma.MediaType{kind: {Schema: huma.SchemaFromType(types, t)}}
	}
	text := &huma.Schema{Type: huma.TypeString}
	for _, route := range s.routes() {
		op := &huma.Operation{
			Method: route.method, Path: apiBase + openPath(route.path), Summary: route.about,
			OperationID: strings.ToLower(route.method) + strings.NewReplacer("/", "-", "{", "", "}", "", "...", "", ".", "-").Replace(route.path),
			Responses: map[string]*huma.Response{
				"default": {Description: "an error", Content: content("application/problem+json", reflect.TypeFor[problem]())},
			},
		}
		for _, m := range pathParameter.FindAllStringSubmatch(route.path, -1) {
			op.Parameters = append(op.Parameters, &huma.Param{Name: m[1], In: "path", Required: true, Schema: text})
		}
		for _, name := range route.query {
			op.Parameters = append(op.Parameters, &huma.Param{Name: name, In: "query", Schema: text})
		}
		if route.role != "" {
			op.Description = "Needs the role " + string(route.role) + "."
			op.Security = []map[string][]string{{"token": {}}, {"session": {}}}
		}
		if route.act.in != nil {
			op.RequestBody = &huma.RequestBody{Content: content("application/json", route.act.in)}
		}
		if route.role != "" && route.method != http.MethodGet {
			op.Parameters = append(op.Parameters, &huma.Param{Name: "X-CSRF-Token", In: "header", Schema: text, Description: "with the cookie: the session's"})
			if route.stream == nil {
				op.Parameters = append(op.Parameters, &huma.Param{Name: "Idempotency-Key", In: "header", Schema: text, Description: "a repeat with the same key within a day gets the first answer"})
			}
		}
		lines := map[string]*huma.MediaType{jsonLines: {Schema: text}}
		if route.stream != nil && op.RequestBody == nil {
			op.RequestBody = &huma.RequestBody{Content: lines}
		}
		switch {
		case route.out != nil:
			op.Responses["200"] = &huma.Response{Description: "as asked", Content: content("application/json", route.out)}
		case route.stream != nil:
			op.Responses["200"] = &huma.Response{Description: "a dead letter a line", Content: lines}
		case route.path == "/events":
			op.Responses["200"] = &huma.Response{Description: "a stream", Content: map[string]*huma.MediaType{"text/event-stream": {Schema: text}}}
		case route.method == http.MethodGet:
			op.Responses["200"] = &huma.Response{Description: "this document", Content: map[string]*huma.MediaType{"application/json": {Schema: &huma.Schema{Type: huma.TypeObject}}}}
		default:
			op.Responses["204"] = &huma.Response{Description: "done"}
		}
		doc.AddOperation(op)
	}
	return doc
}

func (s *Server) openAPI(w http.ResponseWriter, r *http.Request) {
	s.write(w, r, http.StatusOK, "application/json", s.document())
}
