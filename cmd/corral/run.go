package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/alecthomas/kong"

	"github.com/corralcache/corral/server"
)

// Exit codes.
const (
	exitOK     = 0 // did what was asked
	exitFailed = 1 // the configuration is wrong, a port is in use, or something failed later
	exitUsage  = 2 // the command line could not be understood
	exitCutOff = 3 // stopped as asked, but requests had to be cut off
)

const description = `A stampede-proof cache in front of any HTTP origin: however many ask for a key, the origin is asked once.

Every setting of "serve" can be given as a flag, in the environment (the name after $) or in a YAML file under the flag's name; the first of these three wins.

Exit codes: 0 done; 1 the configuration is wrong or something failed; 2 the command line is wrong; 3 stopped, but requests were cut off.`

// commands is the grammar of the command line, one field a subcommand.
type commands struct {
	Serve  serve `cmd:"" help:"Serve as a caching reverse proxy before an origin."`
	Config struct {
		Check check `cmd:"" help:"Check a configuration and name everything that is wrong with it."`
		Show  show  `cmd:"" help:"Print the configuration that is in force, and where each value comes from."`
	} `cmd:"" help:"Look at a configuration."`
	Cluster clusterCommands `cmd:"" help:"Look at a cluster, through the admin listener of one of its nodes."`
	Store   storeCommands   `cmd:"" help:"Look into a store: of a running serve, in a directory, or in a Redis."`
	Version versionCommand  `cmd:"" help:"Print the version."`
}

// A session is what a subcommand is given beside its flags.
type session struct {
	ctx       context.Context
	out, errs io.Writer
	given     map[string]string // settings on the command line, by name
}

// exited carries an exit code out of kong, which ends the process after --help.
type exited int

// run is the program. It returns its exit code.
func run(ctx context.Context, args []string, out, errs io.Writer) (code int) {
	defer func() {
		if r := recover(); r != nil {
			e, ok := r.(exited)
			if !ok {
				panic(r)
			}
			code = int(e)
		}
	}()
	s := &session{ctx: ctx, out: out, errs: errs, given: map[string]string{}}
	var c commands
	options := []kong.Option{
		kong.Name("corral"),
		kong.Description(description),
		kong.Writers(out, errs),
		kong.Exit(func(code int) { panic(exited(code)) }),
		kong.ValueFormatter(helpOf),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: true}),
	}
	for _, config := range []*server.Config{&c.Serve.Config, &c.Config.Check.Config, &c.Config.Show.Config} {
		options = append(options, s.mappers(config)...)
	}
	parser := kong.Must(&c, options...)
	command, err := parser.Parse(args)
	if err != nil {
		fmt.Fprintf(errs, "corral: %v\nTry: corral --help\n", err)
		return exitUsage
	}
	return s.exitCode(command.Run(s))
}

func (s *session) exitCode(err error) int {
	if err == nil {
		return exitOK
	}
	fmt.Fprintln(s.errs, err)
	if errors.Is(err, server.ErrCutOff) {
		return exitCutOff
	}
	return exitFailed
}

// helpOf is the help of a flag with its default and its name in the environment.
func helpOf(value *kong.Value) string {
	if value.Flag == nil || value.Name == "help" {
		return value.Help
	}
	help := value.Help
	if value.Tag.Has("flagonly") {
		return help
	}
	if value.Flag.PlaceHolder != "" && value.Default != "" {
		help += " Default: " + value.Default + "." // kong shows one of the two
	}
	return fmt.Sprintf("%s ($%s)", help, server.EnvName(value.Name))
}
