package redislock

import (
	"context"
	"crypto/sha1"
	_ "embed"
	"encoding/hex"
	"errors"

	"github.com/redis/rueidis"

	"github.com/corralcache/corral/internal/redisconn"
)

// A script is one step of the protocol: Redis runs it as a whole, and nothing
// comes between.
type script struct {
	text, sha string
}

func newScript(parts ...string) script {
	text := ""
	for _, part := range parts {
		text += part
	}
	sum := sha1.Sum([]byte(text))
	return script{text, hex.EncodeToString(sum[:])}
}

//go:embed lua/prelude.lua
var prelude string

//go:embed lua/join.lua
var joinText string

//go:embed lua/finish.lua
var finishText string

//go:embed lua/extend.lua
var extendText string

//go:embed lua/leave.lua
var leaveText string

//go:embed lua/quit.lua
var quitText string

//go:embed lua/touch.lua
var touchText string

//go:embed lua/history.lua
var history string

//go:embed lua/sync.lua
var syncText string

//go:embed lua/beat.lua
var beatText string

//go:embed lua/invalidate.lua
var invalidateText string

//go:embed lua/live.lua
var liveText string

var (
	joinScript       = newScript(prelude, joinText)
	finishScript     = newScript(prelude, finishText)
	extendScript     = newScript(prelude, extendText)
	leaveScript      = newScript(prelude, leaveText)
	quitScript       = newScript(prelude, quitText)
	touchScript      = newScript(prelude, touchText)
	syncScript       = newScript(history, syncText)
	beatScript       = newScript(history, beatText)
	invalidateScript = newScript(history, invalidateText)
	liveScript       = newScript(history, liveText)
)

// on runs a script by its digest, and sends it whole to a server that does not
// know it: one that has just begun, or after SCRIPT FLUSH.
func (s script) on(ctx context.Context, to rueidis.CoreClient, keys []string, args ...string) rueidis.RedisResult {
	result := to.Do(ctx, to.B().Evalsha().Sha1(s.sha).Numkeys(int64(len(keys))).Key(keys...).Arg(args...).Build())
	if !errors.Is(redisconn.Explain(result.Error()), redisconn.ErrNoScript) {
		return result
	}
	return to.Do(ctx, to.B().Eval().Script(s.text).Numkeys(int64(len(keys))).Key(keys...).Arg(args...).Build())
}
