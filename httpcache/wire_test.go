package httpcache

import (
	"net/http"
	"reflect"
	"testing"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/httpsem"
)

// responses are some of every kind.
func responses() map[string]*response {
	header := http.Header{"Content-Type": {"text/html"}, "Link": {"</a>", "</b>"}, "Empty": {""}}
	vary := httpsem.Vary{Fields: []string{"accept", "accept-language"}}
	sent := http.Header{"Accept": {"text/html"}}
	return map[string]*response{
		"plain":     newResponse(200, &httpsem.Policy{}, header, nil, 12),
		"no fields": newResponse(204, &httpsem.Policy{}, http.Header{}, nil, -1),
		"aged":      newResponse(404, &httpsem.Policy{Age: time.Hour, StaleFor: corral.Forever, MustRevalidate: true}, header, nil, 0),
		"shared":    newResponse(200, &httpsem.Policy{Reason: httpsem.ReasonTooLarge}, header, nil, 1<<40),
		"varying":   newResponse(200, &httpsem.Policy{Vary: vary}, header, sent, -1),
	}
}

func TestAResponseIsInAnotherProcessWhatItIsHere(t *testing.T) {
	for name, v := range responses() {
		v.confirmed = name == "aged"
		data, err := wire{}.Encode(v)
		if err != nil {
			t.Fatal(err)
		}
		got, err := wire{}.Decode(data)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if v.varying != nil {
			if got.varying == nil || got.varying.variants == nil {
				t.Fatalf("%s: it has no variants", name)
			}
			got.varying.variants = v.varying.variants // a process's own
		}
		if !reflect.DeepEqual(got.fields.header(), v.fields.header()) {
			t.Errorf("%s: fields %v, want %v", name, got.fields.header(), v.fields.header())
		}
		got.fields, v.fields = fields{}, fields{}
		if !reflect.DeepEqual(got, v) {
			t.Errorf("%s: got %+v, want %+v", name, got, v)
		}
	}
}

func TestWhatIsNoResponseIsRefused(t *testing.T) {
	for name, v := range responses() {
		data, _ := wire{}.Encode(v)
		for end := range data {
			if _, err := (wire{}).Decode(data[:end]); err != errWire {
				t.Errorf("%s cut at %d of %d bytes: %v, want %v", name, end, len(data), err, errWire)
			}
		}
		if _, err := (wire{}).Decode(append(data, 0)); err != errWire {
			t.Errorf("%s with a byte too many: %v", name, err)
		}
		data[0]++
		if _, err := (wire{}).Decode(data); err != errWire {
			t.Errorf("%s of another version: %v", name, err)
		}
	}
}

func FuzzResponsesFromElsewhere(f *testing.F) {
	for _, v := range responses() {
		data, _ := wire{}.Encode(v)
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := wire{}.Decode(data)
		if err != nil {
			return
		}
		again, err := wire{}.Encode(v)
		if err != nil {
			t.Fatal(err)
		}
		twice, err := wire{}.Decode(again)
		if err != nil || !reflect.DeepEqual(twice.fields.header(), v.fields.header()) || twice.status != v.status || twice.selecting() != v.selecting() {
			t.Fatalf("%q becomes %+v and then %+v, %v", data, v, twice, err)
		}
	})
}

// A failure of the origin's is told in the same words by a process that did not
// ask it.
func TestAFailureIsToldAlikeByEveryProcess(t *testing.T) {
	for _, err := range []error{
		&originError{500}, &originError{429}, outage(errNoAnswer), outage(fault(http.ErrHandlerTimeout)),
		outage(errUnreachable), fault(busy{}), corral.ErrLoadTimeout, corral.ErrOverloaded,
	} {
		code, detail, text := explain(&corral.LoadError{Err: err})
		there := &corral.LoadError{Err: corral.DecodeError(corral.EncodeError(corral.RetryAfter(err, time.Second)))}
		if code2, detail2, text2 := explain(there); code2 != code || detail2 != detail || text2 != text {
			t.Errorf("%v is told as %d %s %q there, and as %d %s %q here", err, code2, detail2, text2, code, detail, text)
		}
		if originAnswered(err) != originAnswered(there) {
			t.Errorf("%v: that the origin answered is %v there", err, originAnswered(there))
		}
	}
	if code, _, _ := explain(&originFault{number: 700}); code != http.StatusInternalServerError {
		t.Errorf("a number that is no status of a failure is told as %d", code)
	}
}

type busy struct{}

func (busy) Error() string { return "no turn" }
func (busy) Busy() bool    { return true }
