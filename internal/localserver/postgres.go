package localserver

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// A PostgresServer is a PostgreSQL of this machine.
type PostgresServer struct {
	port int
	*process
}

// StartPostgres makes a database cluster in a new directory below dir and
// starts its server, with settings such as
// "shared_preload_libraries=pg_stat_statements". PostgreSQL does not run as
// root: for root it runs as the user postgres, or nobody, whom the directories
// above its own are opened to where they are below the temporary directory.
// It does not sync what it writes: its data is for as long as it runs.
func StartPostgres(ctx context.Context, dir string, settings ...string) (*PostgresServer, error) {
	initdb, err := program("initdb")
	if err != nil {
		return nil, err
	}
	path, err := program("postgres")
	if err != nil {
		return nil, err
	}
	sub, err := subdirectory(dir, "postgres-*")
	if err != nil {
		return nil, err
	}
	attr, err := unprivileged(sub)
	if err != nil {
		return nil, err
	}
	data := filepath.Join(sub, "data")
	cmd := exec.CommandContext(ctx, initdb, "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
	cmd.SysProcAttr, cmd.Dir = attr, sub
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("localserver: initdb: %w; it wrote: %s", err, out)
	}
	p := &PostgresServer{}
	err = onFreePort(func(port int) (err error) {
		p.port = port
		cmd := postgresCommand(path, data, port, settings)
		if attr != nil {
			own := *attr
			cmd.SysProcAttr = &own
		}
		// At SIGQUIT it takes its children with it, at SIGKILL they notice later.
		p.process, err = launch(ctx, cmd, "database system is ready to accept connections", syscall.SIGQUIT)
		return err
	})
	if err != nil {
		return nil, err
	}
	return p, nil
}

func postgresCommand(path, data string, port int, settings []string) *exec.Cmd {
	args := []string{"-D", data, "-p", strconv.Itoa(port)}
	for _, setting := range append([]string{
		"listen_addresses=" + host, "unix_socket_directories=",
		"fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_connections=200",
	}, settings...) {
		args = append(args, "-c", setting)
	}
	cmd := exec.Command(path, args...)
	cmd.Dir = filepath.Dir(data)
	return cmd
}

// unprivileged gives dir to a user that PostgreSQL agrees to run as, and lets
// that user reach it. It is nil where that user is this process's own.
func unprivileged(dir string) (*syscall.SysProcAttr, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	who, err := user.Lookup("postgres")
	if err != nil {
		if who, err = user.Lookup("nobody"); err != nil {
			return nil, fmt.Errorf("localserver: PostgreSQL does not run as root, and there is neither a user postgres nor nobody: %w", err)
		}
	}
	uid, err := strconv.ParseUint(who.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(who.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	if err := os.Chown(dir, int(uid), int(gid)); err != nil {
		return nil, err
	}
	if err := openAbove(dir); err != nil {
		return nil, err
	}
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}, nil
}

// openAbove lets everybody pass through the directories above dir, as far as
// they are below the temporary directory.
func openAbove(dir string) error {
	top := filepath.Clean(os.TempDir()) + string(filepath.Separator)
	for above := filepath.Dir(dir); strings.HasPrefix(above, top); above = filepath.Dir(above) {
		info, err := os.Stat(above)
		if err != nil {
			return err
		}
		const pass = 0o011
		if err := os.Chmod(above, info.Mode().Perm()|pass); err != nil {
			return err
		}
	}
	return nil
}

// DSN is where a client connects, as superuser and without a password.
func (p *PostgresServer) DSN() string {
	return fmt.Sprintf("postgres://postgres@%s/postgres?sslmode=disable", address(p.port))
}

// Stop ends the server, with the connections that it has.
func (p *PostgresServer) Stop() error { return p.stop(syscall.SIGINT) }
