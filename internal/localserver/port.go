package localserver

import (
	"net"
	"strconv"
)

const host = "127.0.0.1"

// freePort asks the kernel for a port that nobody listens at. Between this and
// the server's own bind somebody may take it: whoever starts a server tries
// another port then.
func freePort() (int, error) {
	listener, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		return 0, err
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port, nil
}

func address(port int) string { return net.JoinHostPort(host, strconv.Itoa(port)) }

// onFreePort starts something at a port of the kernel's, and at another one
// when that was lost to somebody else in between.
func onFreePort(start func(port int) error) error {
	const races = 10 // lost in a row: not by chance
	for lost := 0; ; lost++ {
		port, err := freePort()
		if err != nil {
			return err
		}
		if err = start(port); err == nil || !isTaken(err) || lost == races {
			return err
		}
	}
}
