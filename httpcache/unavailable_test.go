package httpcache

import (
	"net/http"
	"testing"

	"github.com/corralcache/corral"
)

func TestAProcessThatMayNotAnswerSaysThatItIsUnavailable(t *testing.T) {
	for _, err := range []error{
		&corral.LoadError{Err: corral.ErrUnavailable},
		&corral.LoadError{Err: corral.DecodeError(corral.EncodeError(corral.ErrUnavailable))},
	} {
		if code, detail, _ := explain(err); code != http.StatusServiceUnavailable || detail != "unavailable" {
			t.Errorf("%v is told as %d %s, want 503 unavailable", err, code, detail)
		}
	}
}
