package localserver

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
)

// Do sends one command over a connection of its own and returns its answer as
// text: of an array, its elements one a line; of nothing, "". An answer that is
// an error is an error.
func (r *RedisServer) Do(ctx context.Context, args ...string) (string, error) {
	return do(ctx, r.Addr(), args...)
}

func do(ctx context.Context, address string, args ...string) (answer string, err error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	var request strings.Builder
	fmt.Fprintf(&request, "*%d\r\n", len(args))
	for _, a := range args {
		fmt.Fprintf(&request, "$%d\r\n%s\r\n", len(a), a)
	}
	if _, err := io.WriteString(conn, request.String()); err != nil {
		return "", err
	}
	answer, err = readAnswer(bufio.NewReader(conn))
	if ctx.Err() != nil {
		return "", context.Cause(ctx)
	}
	return answer, err
}

// readAnswer reads an answer of the protocol's second version (RESP2).
func readAnswer(r *bufio.Reader) (string, error) {
	line, err := r.ReadString('\n')
	if err != nil {
		return "", err
	}
	line = strings.TrimRight(line, "\r\n")
	if line == "" {
		return "", errors.New("localserver: an empty line for an answer")
	}
	switch rest := line[1:]; line[0] {
	case '+', ':':
		return rest, nil
	case '-':
		return "", fmt.Errorf("localserver: Redis: %s", rest)
	case '$':
		return readBulk(r, rest)
	case '*':
		n, err := strconv.Atoi(rest)
		if err != nil {
			return "", fmt.Errorf("localserver: length of an array: %w", err)
		}
		var lines []string
		for range n {
			element, err := readAnswer(r)
			if err != nil {
				return "", err
			}
			lines = append(lines, element)
		}
		return strings.Join(lines, "\n"), nil
	default:
		return "", fmt.Errorf("localserver: an answer of unknown kind: %q", line)
	}
}

func readBulk(r *bufio.Reader, length string) (string, error) {
	n, err := strconv.Atoi(length)
	if err != nil {
		return "", fmt.Errorf("localserver: length of a text: %w", err)
	}
	if n < 0 {
		return "", nil
	}
	text := make([]byte, n+len("\r\n"))
	if _, err := io.ReadFull(r, text); err != nil {
		return "", err
	}
	return string(text[:n]), nil
}
