-- Who is there.
return {int(now), redis.call('HGETALL', KEYS[2])}
