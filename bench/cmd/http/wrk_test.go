package main

import "testing"

const wrkPrinted = `Running 2s test @ http://127.0.0.1:1/
  2 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.52ms    1.90ms  41.50ms   90.10%
    Req/Sec    27.61k     2.12k   33.20k    72.50%
  Latency Distribution
     50%  843.00us
     75%    1.64ms
     90%    3.31ms
     99%    1.01s 
  109711 requests in 2.00s, 131.20MB read
Requests/sec:  54851.12
Transfer/sec:     65.60MB
`

func TestWhatWrkPrintsIsReadInMillisecondsAndRequests(t *testing.T) {
	s, requests, err := readWrk(wrkPrinted)
	if err != nil || requests != 109711 || s["rate"] != 54851.12 || s["p50"] != 0.843 || s["p99"] != 1010 {
		t.Errorf("readWrk = %v, %v, %v", s, requests, err)
	}
}

func TestFailuresThatWrkSawAreAnError(t *testing.T) {
	for _, more := range []string{"  Non-2xx or 3xx responses: 3\n", "  Socket errors: connect 0, read 2, write 0, timeout 0\n"} {
		if s, _, err := readWrk(wrkPrinted + more); err == nil {
			t.Errorf("readWrk with %q = %v, want an error", more, s)
		}
	}
	if s, _, err := readWrk("unable to connect"); err == nil {
		t.Errorf("readWrk of something else = %v, want an error", s)
	}
}
