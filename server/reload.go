package server

import (
	"crypto/tls"
	"errors"
	"fmt"
)

// Reload puts the settings in force that Options.Load gives: all of them, or,
// when anything is wrong, none. Its error joins a *Problem for each thing that
// is. It also reads certificates and the token anew. The log says what came of
// it.
func (s *Server) Reload() error {
	s.reloading.Lock()
	defer s.reloading.Unlock()
	err := s.reload()
	if err != nil {
		s.log.Warn("not reloaded; what was in force stays", "error", err)
		return err
	}
	s.log.Info("reloaded")
	return nil
}

func (s *Server) reload() error {
	if s.load == nil {
		return errors.New("server: there is nothing to reload from")
	}
	config, err := s.load()
	if err != nil {
		return err
	}
	if problems := append(config.Validate(), config.frozenSince(s.config.Load())...); len(problems) > 0 {
		return join(problems)
	}
	files, err := config.readFiles()
	if err != nil {
		return err
	}
	if err := s.handler.Reload(config); err != nil {
		return err
	}
	s.config.Store(&config)
	s.use(files)
	if s.level != nil {
		s.level.Set(config.Level.Level())
	}
	return nil
}

// frozenSince names the settings that differ from those in force and cannot
// change while the server runs.
func (c *Config) frozenSince(inForce *Config) (problems []*Problem) {
	before := inForce.Settings()
	for i, s := range c.Settings() {
		if was := before[i].String(); s.frozen && s.String() != was {
			problems = append(problems, c.problem(s.Name, s.String(), fmt.Sprintf("it is %q since the start and needs a restart to change: restart, or put it back", was)))
		}
	}
	return problems
}

// files are what settings name and the server itself uses, read.
type files struct {
	front, admin               []tls.Certificate
	frontContent, adminContent content
	token                      *token
}

// readFiles reads the files of a valid Config.
func (c *Config) readFiles() (*files, error) {
	f := new(files)
	var problems, more []*Problem
	f.front, f.frontContent, problems = c.frontPairs()
	f.admin, f.adminContent, more = c.adminPairs()
	problems = append(problems, more...)
	if c.AdminToken != "" {
		var remedy string
		if f.token, remedy = readToken(c.AdminToken); remedy != "" {
			problems = append(problems, c.problem("admin.token-file", c.AdminToken, remedy))
		}
	}
	if len(problems) > 0 {
		return nil, join(problems)
	}
	return f, nil
}

// use puts files in force.
func (s *Server) use(f *files) {
	if s.shown != nil {
		s.shown.set(f.front, f.frontContent)
	}
	if s.adminShown != nil {
		s.adminShown.set(f.admin, f.adminContent)
	}
	s.token.Store(f.token)
}

// read reads the files for the first time.
func (s *Server) read(config *Config) error {
	f, err := config.readFiles()
	if err != nil {
		return err
	}
	if !config.TLSListen.off() {
		s.shown = &certificates{log: s.log, read: func() ([]tls.Certificate, content, []*Problem) { return s.config.Load().frontPairs() }}
	}
	if config.AdminCert != "" {
		s.adminShown = &certificates{log: s.log, read: func() ([]tls.Certificate, content, []*Problem) { return s.config.Load().adminPairs() }}
	}
	s.use(f)
	return nil
}
