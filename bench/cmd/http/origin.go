package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// An originServer answers orders and counts the calls of each URL. Its control
// handler, on a listener of its own, is for the harness alone.
type originServer struct {
	mu     sync.Mutex
	calls  map[string]int
	healed chan struct{} // closed when what hangs does no more
}

func newOriginServer() *originServer {
	return &originServer{calls: map[string]int{}, healed: make(chan struct{})}
}

func (s *originServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	o, err := orderOf(r.URL)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	s.calls[r.URL.RequestURI()]++
	call, healed := s.calls[r.URL.RequestURI()], s.healed
	s.mu.Unlock()

	if o.fault == hangs && !isClosed(healed) {
		<-r.Context().Done()
		return
	}
	time.Sleep(o.wait)
	if o.fault == fails && call == 1 {
		http.Error(w, "the first call fails", http.StatusInternalServerError)
		return
	}
	body := o.body()
	w.Header()["Content-Type"] = []string{"application/octet-stream"}
	if o.private {
		w.Header()["Cache-Control"] = []string{"private"}
		copy(body, fmt.Sprintf("%08d", call))
	} else {
		w.Header()["Cache-Control"] = []string{"max-age=3600"}
	}
	if !o.unsized {
		w.Header()["Content-Length"] = []string{strconv.Itoa(len(body))}
	}
	if o.fault == cuts && call == 1 {
		w.Write(body[:len(body)/2])
		http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
	send(w, body, o)
}

// send writes a body, in pieces where it takes its time or its length is not
// told.
func send(w http.ResponseWriter, body []byte, o order) {
	if o.over == 0 && !o.unsized {
		w.Write(body)
		return
	}
	controller := http.NewResponseController(w)
	for i := range pieces {
		if i > 0 {
			time.Sleep(o.over / (pieces - 1))
		}
		w.Write(body[len(body)*i/pieces : len(body)*(i+1)/pieces])
		controller.Flush()
	}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// control is what the harness asks an origin.
func (s *originServer) control() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /calls", func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		fmt.Fprint(w, s.calls[r.FormValue("of")])
	})
	mux.HandleFunc("POST /healed/{yes}", func(_ http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.healed = make(chan struct{})
		if r.PathValue("yes") == "true" {
			close(s.healed)
		}
	})
	return mux
}

// addresses is what a child that serves tells its parent.
type addresses struct{ Front, Control string }

// serveOrigin is the origin's process.
func serveOrigin(out io.Writer) error {
	front, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	control, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	if err := json.NewEncoder(out).Encode(addresses{front.Addr().String(), control.Addr().String()}); err != nil {
		return err
	}
	s := newOriginServer()
	go http.Serve(control, s.control())
	return http.Serve(front, s)
}
