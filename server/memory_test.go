package server

import (
	"math"
	"testing"
)

func TestTheCollectorIsSetFromMaxBytesUnlessTheEnvironmentSetsIt(t *testing.T) {
	const mib = 1 << 20
	for _, test := range []struct {
		maxBytes Bytes
		env      map[string]string
		want     collection
	}{
		{1000 * mib, nil, collection{limit: 1130*mib + baseline + maxBallast, percent: 100, ballast: maxBallast}},
		{100 * mib, nil, collection{limit: 113*mib + baseline + 25*mib/2, percent: 100, ballast: 25 * mib / 2}},
		{1, nil, collection{limit: baseline + 1, percent: 100}},
		{math.MaxInt64, nil, collection{limit: math.MaxInt64, percent: 100, ballast: maxBallast}},
		{80 * mib, map[string]string{"GOMEMLIMIT": "1GiB"}, collection{percent: 100, ballast: 10 * mib}},
		{100 * mib, map[string]string{"GOGC": "off"}, collection{limit: 113*mib + baseline}},
		{100 * mib, map[string]string{"GOGC": "50", "GOMEMLIMIT": "off"}, collection{}},
	} {
		got := collectionFor(test.maxBytes, func(name string) string { return test.env[name] })
		if got != test.want {
			t.Errorf("collectionFor(%v, %v) = %+v, want %+v", test.maxBytes, test.env, got, test.want)
		}
	}
}
