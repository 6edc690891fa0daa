package admin

import (
	"embed"
	"io/fs"
	"net/http"
	"path"
	"strings"
)

// web is the page: what a browser gets as it stands, without a build.
//
//go:embed web
var web embed.FS

// pagePolicy lets the page's own files act, and nothing else: no script or style within
// the page, nothing from elsewhere, and no other page around it.
const pagePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"form-action 'self'; frame-ancestors 'none'; base-uri 'none'"

// page serves the files of the page. Every other path is one of its views, and so the
// index. They are small, and are asked for anew each time, so that no old one acts on a
// new server.
func (s *Server) page(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		s.refuse(w, r, &apiError{status: http.StatusMethodNotAllowed, detail: "this path takes only GET"})
		return
	}
	name := strings.TrimPrefix(path.Clean("/"+r.URL.Path), "/")
	files, err := fs.Sub(web, "web")
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	if info, err := fs.Stat(files, name); err != nil || info.IsDir() {
		name = "index.html"
	}
	w.Header().Set("Content-Security-Policy", pagePolicy)
	http.ServeFileFS(w, r, files, name)
}
