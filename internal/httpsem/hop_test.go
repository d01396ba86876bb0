package httpsem

import "testing"

func TestRFC9110Section761HopByHopFields(t *testing.T) {
	h := header("Connection: close, X-Hop ,\nConnection: \"x\", x-other\nX-Hop: 1\nX-Other: 1\nX-End: 1\nTE: trailers\nUpgrade: x\nProxy-Authorization: x\nTransfer-Encoding: chunked")
	RemoveHopByHop(h)
	is(t, "what is left", h, header("X-End: 1"))
}

func TestConnectionCannotNameAwayWhatDecidesWhoMayHaveAResponse(t *testing.T) {
	const fields = "Cache-Control: private\nSet-Cookie: a=b\nVary: *\nAuthorization: x\nCookie: a=b\nAge: 5\nDate: x\nExpires: 0"
	h := header("Connection: cache-control, set-cookie, vary, authorization, cookie, age, date, expires\n" + fields)
	RemoveHopByHop(h)
	is(t, "what is left", h, header(fields))
}

func TestRFC9110Section763Via(t *testing.T) {
	h := header("Via: 1.0 fred")
	AppendVia(h, 1, 1, "corral")
	AppendVia(h, 2, 0, "corral")
	is(t, "Via", h["Via"], []string{"1.0 fred", "1.1 corral", "2 corral"})
}

func TestWhatIsNotInTheKeyDoesNotReachTheOrigin(t *testing.T) {
	h := header("X-Forwarded-For: 1\nX-Forwarded-Host: 1\nx-forwarded-anything: 1\nForwarded: 1\nX-Original-URL: 1\nX-Rewrite-URL: 1\n" +
		"X-HTTP-Method-Override: 1\nX-HTTP-Method: 1\nX-Method-Override: 1\nX-Real-IP: 1\nX-Host: 1\nTrue-Client-IP: 1\n" +
		"X_Forwarded_Host: 1\nX-Forwarded_For: 1\nX_HTTP_Method_Override: 1\nAccept: 1\nUser-Agent: 1\nX-Forward: 1")
	RemoveUnkeyed(h)
	is(t, "what is left", h, header("Accept: 1\nUser-Agent: 1\nX-Forward: 1"))
}
