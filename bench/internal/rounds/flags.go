package rounds

import (
	"flag"
	"fmt"
)

// Options are what every command that measures rows can be told.
type Options struct {
	Runs  int  // rounds of each row
	Quick bool // a smoke run, of one round
	Alone bool // without rivals
}

// Parse reads the arguments of a command, those that it has registered itself
// among them, and chooses rows. Whoever asks for help is given it, and the error
// is flag.ErrHelp.
func Parse[B any](flags *flag.FlagSet, rows []Row[B], args []string) (chosen []Row[B], o Options, err error) {
	only := flags.String("rows", "", "measure these `rows` only, separated by commas: "+Names(rows))
	flags.IntVar(&o.Runs, "runs", 7, "`rounds` of each row")
	flags.BoolVar(&o.Quick, "quick", false, "a smoke run with few callers and one round: its figures mean nothing, its assertions hold")
	flags.BoolVar(&o.Alone, "alone", false, "measure Corral without its rivals, as for a profile")
	if err := flags.Parse(args); err != nil {
		return nil, o, err
	}
	if o.Runs < 1 {
		return nil, o, fmt.Errorf("-runs %d: measure one round or more", o.Runs)
	}
	if o.Quick {
		o.Runs = 1
	}
	chosen, err = Choose(rows, *only)
	return chosen, o, err
}
