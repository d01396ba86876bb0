package httpsem

// OriginFailure reports whether a status code is an error in the sense of
// stale-if-error (RFC 5861, section 4): a stored response may cover it, and
// those who wait are given one error of the cache's own. The origin's own error
// page goes to nobody but the request that caused it.
func OriginFailure(status int) bool {
	switch status {
	case 500, 502, 503, 504:
		return true
	}
	return false
}
