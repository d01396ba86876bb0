package peer

import (
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral/coordinator/cluster/core"
)

func TestTwoNodesHaveOneSessionAndMessagesArriveInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		a, b := n.node("a", 1), n.node("b", 7)
		acquaint(a, b)
		hears(t, a, "opened b/7")
		hears(t, b, "opened a/1")
		var want []core.Message
		for ask := range uint64(1000) {
			want = append(want, core.Leave{Ask: ask + 1})
			if !a.say(b, core.Leave{Ask: ask + 1}) || !b.say(a, core.Leave{Ask: ask + 1}) {
				t.Fatal("Send refused a message")
			}
		}
		synctest.Wait()
		if got := b.gets(); !reflect.DeepEqual(got, want) {
			t.Errorf("b got %d messages, %v ...", len(got), got[:min(3, len(got))])
		}
		if got := a.gets(); !reflect.DeepEqual(got, want) {
			t.Errorf("a got %d messages, %v ...", len(got), got[:min(3, len(got))])
		}
		time.Sleep(time.Minute)
		hears(t, a, "")
		hears(t, b, "")
	})
}
