package admin

import "net/http"

// getSession says who asks.
func (s *Server) getSession(w http.ResponseWriter, r *http.Request) {
	who, csrf, err := s.gate.who(r)
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	apps, err := s.store.Apps(r.Context())
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	s.write(w, r, http.StatusOK, "application/json", sessionAnswer{
		Name: who.Name, Role: who.Role, CSRF: csrf, ReadOnly: s.cfg.ReadOnly, Masked: s.cfg.MaskPayloads && who.Role == RoleViewer,
		Version: s.cfg.Version, Apps: append([]string{}, apps...),
	})
}

// login begins a session.
func (s *Server) login(w http.ResponseWriter, r *http.Request) {
	var in loginBody
	body, err := takeBody(r)
	if err == nil {
		err = readBody(body, &in)
	}
	if err == nil && crossOrigin.Check(r) != nil {
		err = &apiError{status: http.StatusForbidden, detail: "a page of another origin may not do this"}
	}
	if err == nil {
		var cookie *http.Cookie
		if cookie, err = s.gate.login(r, in.Token); err == nil {
			http.SetCookie(w, cookie)
			w.WriteHeader(http.StatusNoContent)
			return
		}
	}
	s.refuse(w, r, err)
}

// logout ends the session. Whoever has its cookie may; nothing else is changed.
func (s *Server) logout(w http.ResponseWriter, r *http.Request) {
	if crossOrigin.Check(r) != nil {
		s.refuse(w, r, &apiError{status: http.StatusForbidden, detail: "a page of another origin may not do this"})
		return
	}
	http.SetCookie(w, s.gate.logout(r))
	w.WriteHeader(http.StatusNoContent)
}
