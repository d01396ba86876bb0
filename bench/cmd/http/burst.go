package main

import (
	"io"
	"syscall"
	"time"
)

// A burst is many requests for one order, each on a connection of its own.
type burst struct {
	order  order
	over   time.Duration // from the first request to the last; 0: all at once
	giveUp time.Duration // after which clients do, from when the last was due
}

// want is the body that everybody should get, if it is known.
func (b burst) want() []byte {
	if b.order.private {
		return nil
	}
	return b.order.body()
}

// alone is a burst of one, at once.
func (b burst) alone(c *client) answer {
	var answers [1]answer
	b.run([]*client{c}, answers[:], time.Now())
	return answers[0]
}

// preparing is how long before a burst its first request is announced, so that
// sender and reader wait for it.
const preparing = 5 * time.Millisecond

// fire sends the burst and returns the answers, in the order of the clients. A
// request is due when its turn in the burst comes, and that is where its time
// begins, whether or not it could be sent by then.
func (b burst) fire(clients []*client) []answer {
	answers := make([]answer, len(clients))
	b.run(clients, answers, time.Now().Add(preparing))
	return answers
}

func (b burst) run(clients []*client, answers []answer, begin time.Time) {
	request, want := requestFor(b.order.uri()), b.want()
	due := func(i int) time.Time { return begin.Add(b.over * time.Duration(i) / time.Duration(len(clients))) }
	readings := make([]reading, len(clients))
	for i := range readings {
		at := due(i)
		readings[i] = reading{want: want, since: func() time.Duration { return time.Since(at) }}
	}
	sent := make(chan struct{})
	send := func() {
		defer close(sent)
		for i, c := range clients {
			sleepUntil(due(i))
			if c.send(request) != nil {
				syscall.Shutdown(int(c.fd.Load()), syscall.SHUT_RDWR) // which the reader sees
			}
		}
	}
	if len(clients) == 1 {
		begin = time.Now()
		send()
	} else {
		go send()
	}
	listen(clients, readings, begin.Add(b.over+b.giveUp))
	<-sent
	for i := range readings {
		answers[i] = readings[i].answer
	}
}

// sleepUntil is exact to some 50 µs. Timers of the runtime wake an idle process
// on whole milliseconds.
func sleepUntil(t time.Time) {
	for d := time.Until(t); d > 0; d = time.Until(t) {
		left := syscall.NsecToTimespec(int64(d))
		syscall.Nanosleep(&left, nil) // ends early on a signal
	}
}

// readable are the events that let a client read: data, and its end.
const readable = syscall.EPOLLIN | syscall.EPOLLRDHUP

// listen reads for all clients until each has its answer, or until a limit.
func listen(clients []*client, readings []reading, limit time.Time) {
	ready, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		giveUp(readings, err)
		return
	}
	defer syscall.Close(ready)
	open := len(clients)
	for i, c := range clients {
		event := syscall.EpollEvent{Events: readable, Fd: int32(i)} // what is told back is the client's place
		if err := syscall.EpollCtl(ready, syscall.EPOLL_CTL_ADD, int(c.fd.Load()), &event); err != nil {
			readings[i].end(err)
			open--
		}
	}
	events := make([]syscall.EpollEvent, min(len(clients), 128))
	buffer := make([]byte, min(16<<10*len(clients), 256<<10))
	for open > 0 {
		left := time.Until(limit)
		if left <= 0 {
			giveUp(readings, syscall.ETIMEDOUT)
			return
		}
		n, err := syscall.EpollWait(ready, events, int(left/time.Millisecond)+1)
		if err != nil && err != syscall.EINTR {
			giveUp(readings, err)
			return
		}
		for _, event := range events[:max(n, 0)] {
			i := int(event.Fd)
			fd := int(clients[i].fd.Load())
			if hear(fd, &readings[i], buffer) {
				syscall.EpollCtl(ready, syscall.EPOLL_CTL_DEL, fd, nil) // or its end would be told again and again
				open--
			}
		}
	}
}

// hear reads once and reports whether the answer is settled.
func hear(fd int, r *reading, buffer []byte) bool {
	n, err := syscall.Read(fd, buffer)
	switch {
	case err == syscall.EAGAIN || err == syscall.EINTR:
		return false
	case err == nil && n == 0:
		err = io.EOF
	}
	if err != nil {
		r.end(err)
		return true
	}
	return r.feed(buffer[:n])
}

// giveUp settles what is not.
func giveUp(readings []reading, err error) {
	for i := range readings {
		if readings[i].state != ended {
			readings[i].end(err)
		}
	}
}
