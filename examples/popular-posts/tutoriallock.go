package main

import (
	"context"
	"crypto/rand"
	"time"

	"github.com/redis/rueidis"
)

const (
	lockTTL   = 10 * time.Second       // a query that takes longer runs twice; a holder that dies is waited for so long
	lockPause = 100 * time.Millisecond // between two looks at what the holder is doing
)

// unlock deletes the lock if it is still this caller's.
var unlock = rueidis.NewLuaScript(`if redis.call("GET", KEYS[1]) == ARGV[1] then return redis.call("DEL", KEYS[1]) end return 0`)

// tutorialLock lets one caller ask the database, and all others sleep and look
// again. They look often, which Redis pays for, or seldom, which they pay for
// themselves: on average they sleep half a pause longer than they have to.
func (s *service) tutorialLock(ctx context.Context) (List, error) {
	token := rand.Text()
	for {
		var list List
		if found, err := s.get(ctx, &list); found || err != nil {
			return list, err
		}
		err := s.redis.Do(ctx, s.redis.B().Set().Key(key+":lock").Value(token).Nx().Px(lockTTL).Build()).Error()
		if err == nil {
			return s.locked(ctx, token)
		}
		if !rueidis.IsRedisNil(err) {
			return List{}, err
		}
		select {
		case <-time.After(lockPause):
		case <-ctx.Done():
			return List{}, ctx.Err()
		}
	}
}

// locked is what the holder of the lock does: look once more, since another may
// have written before the lock was free, and ask the database.
func (s *service) locked(ctx context.Context, token string) (List, error) {
	defer unlock.Exec(context.WithoutCancel(ctx), s.redis, []string{key + ":lock"}, []string{token})
	return s.cacheAside(ctx)
}
