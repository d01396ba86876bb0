package faults_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A sky carries the packets between nodes' namespaces, over TUN devices and
// through this process, as badly as it is told. What is delayed by different
// times comes out of order.
type sky struct {
	network *network
	least   time.Duration // that a packet is delayed
	most    time.Duration
	loss    float64 // of packets, each way

	mu      sync.RWMutex
	devices map[netip.Addr]*os.File
}

// packetSize is more than the MTU of a TUN device.
const packetSize = 2048

// host makes a node's namespace.
func (s *sky) host(t testing.TB, name string) hosts {
	t.Helper()
	w := s.network
	h := namespace{network: w, name: w.prefix + name, ip: fmt.Sprintf("10.77.0.%d", name[0]-'a'+1)}
	w.add(name)
	device, err := tunIn("/run/netns/" + h.name)
	if err != nil {
		t.Fatal(err)
	}
	w.run("ip", "-n", h.name, "addr", "add", h.ip+"/24", "dev", "eth")
	w.run("ip", "-n", h.name, "link", "set", "eth", "up")
	s.mu.Lock()
	s.devices[netip.MustParseAddr(h.ip)] = device
	s.mu.Unlock()
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.carry(device)
	}()
	t.Cleanup(func() {
		device.Close()
		<-done
	})
	return h
}

// carry takes packets from a device until it is closed.
func (s *sky) carry(device *os.File) {
	for {
		packet := make([]byte, packetSize)
		n, err := device.Read(packet)
		if err != nil {
			return
		}
		packet = packet[:n]
		if n < 20 || packet[0]>>4 != 4 || rand.Float64() < s.loss {
			continue
		}
		s.mu.RLock()
		to := s.devices[netip.AddrFrom4([4]byte(packet[16:20]))]
		s.mu.RUnlock()
		if to != nil {
			time.AfterFunc(s.least+rand.N(s.most-s.least), func() { _, _ = to.Write(packet) }) // into a device that is gone, it is lost
		}
	}
}

// tunIn makes a TUN device "eth" in a namespace.
func tunIn(path string) (device *os.File, err error) {
	runtime.LockOSThread() // a namespace is the thread's
	home, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return nil, err
	}
	defer home.Close()
	there, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer there.Close()
	if err := unix.Setns(int(there.Fd()), unix.CLONE_NEWNET); err != nil {
		return nil, fmt.Errorf("enter %s: %w", path, err)
	}
	device, err = tun()
	if back := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); back != nil {
		return nil, errors.Join(err, back) // the thread stays locked, and ends with its goroutine
	}
	runtime.UnlockOSThread()
	return device, err
}

func tun() (*os.File, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	request, err := unix.NewIfreq("eth")
	if err != nil {
		return nil, err
	}
	request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, request); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("make a TUN device: %w", err)
	}
	return os.NewFile(uintptr(fd), "tun"), nil
}

// F7. A round trip takes 50 ms, give or take 20: what etcd's timers in a node are
// made for, whose election timeout is to be ten round trips.
func TestBadWeatherIsNobodysDeath(t *testing.T) {
	if _, err := os.Stat("/dev/net/tun"); err != nil {
		t.Skipf("no TUN devices: %v", err)
	}
	weather := &sky{network: newNetwork(t), least: 15 * time.Millisecond, most: 35 * time.Millisecond, loss: 0.05, devices: map[netip.Addr]*os.File{}}
	c := start(t, 5, weather.host)
	r := newReport(t, "F7")
	lasts := 12 * time.Second
	if soak {
		lasts = max(lasts, soakFor/6)
	}
	buried, lapses := c.failovers()
	for began := time.Now(); time.Since(began) < lasts; {
		var cold []string
		for _, n := range c.nodes {
			cold = append(cold, c.keysOf(n, 40)...)
		}
		cold = shuffled(cold)
		// Each key is asked for by two nodes.
		one, other := c.drive(c.nodes[:3], cold, 50*time.Millisecond, patience), c.drive(c.nodes[3:], cold, 50*time.Millisecond, patience)
		one.stopped.Wait()
		other.stopped.Wait()
		for _, trip := range append(one.end(), other.end()...) { // etcd may lose its leader, and a node its lease
			r.refusable(t, trip.key, 1, trip.answer)
			r.charge(c.origin.calls(trip.key), 1)
			r.took("a cold key", trip.answer.Slowest)
		}
	}
	nowBuried, nowLapsed := c.failovers()
	if nowBuried != buried {
		t.Errorf("%d times a living node was taken for dead", nowBuried-buried)
	}
	t.Logf("leases ran out %d times", nowLapsed-lapses)
	r.wantNoErrors()
}

// failovers are how often nodes were taken for dead, and leases ran out.
func (c *cluster) failovers() (buried, lapses uint64) {
	for _, n := range c.nodes {
		s := n.look()
		buried, lapses = buried+s.Buried, lapses+s.Lapses
	}
	return buried, lapses
}
