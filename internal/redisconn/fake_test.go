package redisconn

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// fake is a server that says what it is told to.
type fake struct {
	listener net.Listener
	hello    string // an answer to HELLO, in place of that of Redis 7
	version  string // of INFO
	other    string // the answer to what is no part of a handshake
	all      sync.WaitGroup
}

// serve lets a fake answer until the test ends.
func (f *fake) serve(t *testing.T) string {
	t.Helper()
	var err error
	if f.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var open []net.Conn
	f.all.Go(func() {
		for {
			conn, err := f.listener.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open = append(open, conn)
			mu.Unlock()
			f.all.Go(func() { f.answer(conn) })
		}
	})
	t.Cleanup(func() {
		f.listener.Close()
		mu.Lock()
		for _, conn := range open {
			conn.Close()
		}
		mu.Unlock()
		f.all.Wait()
	})
	return f.listener.Addr().String()
}

func (f *fake) answer(conn net.Conn) {
	defer conn.Close()
	for r := bufio.NewReader(conn); ; {
		command, err := readCommand(r)
		if err != nil {
			return
		}
		if _, err := io.WriteString(conn, f.to(command)); err != nil {
			return
		}
	}
}

func (f *fake) to(command string) string {
	name, _, _ := strings.Cut(strings.ToUpper(command), " ")
	switch {
	case name == "HELLO" && f.hello != "":
		return f.hello
	case name == "HELLO":
		return "%2\r\n+version\r\n+7.0.0\r\n+proto\r\n:3\r\n"
	case name == "CLIENT" || name == "PING" || name == "AUTH":
		return "+OK\r\n"
	case name == "CLUSTER":
		return "-ERR This instance has cluster support disabled\r\n"
	case name == "INFO":
		text := "# Server\r\nredis_version:" + f.version + "\r\n"
		return fmt.Sprintf("$%d\r\n%s\r\n", len(text), text)
	}
	return f.other
}

func readCommand(r *bufio.Reader) (string, error) {
	line, err := r.ReadString('\n')
	if err != nil {
		return "", err
	}
	n, _ := strconv.Atoi(strings.TrimSpace(line[1:]))
	words := make([]string, n)
	for i := range words {
		if line, err = r.ReadString('\n'); err != nil {
			return "", err
		}
		size, _ := strconv.Atoi(strings.TrimSpace(line[1:]))
		word := make([]byte, size+2)
		if _, err := io.ReadFull(r, word); err != nil {
			return "", err
		}
		words[i] = string(word[:size])
	}
	return strings.Join(words, " "), nil
}
