package httpcache

import "net/http"

// StoredResponse gives status and header of a response from the bytes that a
// Store keeps of it, for a look into a store. The body is the record's Body. The
// header is as it was stored: what is told with an answer (Age, Cache-Status) is
// not in it. The error is that the bytes are no response of this version.
func StoredResponse(value []byte) (status int, header http.Header, err error) {
	v, err := wire{}.Decode(value)
	if err != nil {
		return 0, nil, err
	}
	return v.status, v.fields.header(), nil
}

// KeyOf is the key under which the answer to a GET for an address is kept where
// no Rule concerns it. Proxy.Key knows the rules.
func KeyOf(address string) (string, error) {
	key, err := addressOf("URL", address)
	if err != nil {
		return "", err
	}
	return key.String(), nil
}
