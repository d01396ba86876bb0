package identity

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// A Problem is what is wrong with one of the files.
type Problem struct {
	Field  string // of Files: Cert, Key or CA
	File   string
	Remedy string // what is wrong, and what to do about it
}

func (p *Problem) Error() string { return fmt.Sprintf("%s %q: %s", p.Field, p.File, p.Remedy) }

// contents are what is in the files.
type contents struct{ cert, key, ca []byte }

func (c contents) equal(d contents) bool {
	return bytes.Equal(c.cert, d.cert) && bytes.Equal(c.key, d.key) && bytes.Equal(c.ca, d.ca)
}

// A state is contents that fit together: I1. It does not change.
type state struct {
	contents
	pair        tls.Certificate
	authorities *x509.CertPool
	ends        time.Time // when no chain to an authority is valid any more
}

// parse reads contents, of which it keeps nothing that is of no use at a time.
func (f Files) parse(c contents, now time.Time, hosts []string) (*state, *Problem) {
	pair, err := tls.X509KeyPair(c.cert, c.key)
	if err != nil {
		return nil, &Problem{"Cert", f.Cert, fmt.Sprintf("%v: give PEM files of a certificate, its own before those of its chain, and of its key", err)}
	}
	authorities, problem := f.authorities(c.ca)
	if problem != nil {
		return nil, problem
	}
	s := &state{contents: c, pair: pair, authorities: authorities}
	if s.ends, err = validUntil(pair, authorities, now); err != nil {
		return nil, &Problem{"Cert", f.Cert, f.remedy(err, pair.Leaf)}
	}
	for _, host := range hosts {
		if pair.Leaf.VerifyHostname(host) != nil {
			return nil, &Problem{"Cert", f.Cert, fmt.Sprintf("it is for %s, and other nodes call this one at %s: have it issued for that too", namesOf(pair.Leaf), host)}
		}
	}
	return s, nil
}

// authorities reads the certificates of authorities.
func (f Files) authorities(text []byte) (*x509.CertPool, *Problem) {
	pool, found := x509.NewCertPool(), 0
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		authority, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, &Problem{"CA", f.CA, fmt.Sprintf("certificate %d in it is none: %v: give a PEM file of the authorities' certificates", found+1, err)}
		}
		pool.AddCert(authority)
		found++
	}
	if found == 0 {
		return nil, &Problem{"CA", f.CA, "there is no certificate in it: give a PEM file of the authorities' certificates"}
	}
	return pool, nil
}

// validUntil is when the last chain ends from a certificate to an authority that
// is of use at both ends of a connection.
func validUntil(pair tls.Certificate, authorities *x509.CertPool, now time.Time) (ends time.Time, err error) {
	intermediates := x509.NewCertPool()
	for _, raw := range pair.Certificate[1:] {
		if c, err := x509.ParseCertificate(raw); err == nil {
			intermediates.AddCert(c)
		}
	}
	for _, usage := range []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth} {
		chains, err := pair.Leaf.Verify(x509.VerifyOptions{
			Roots: authorities, Intermediates: intermediates, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{usage},
		})
		if err != nil {
			return time.Time{}, err
		}
		last := time.Time{}
		for _, chain := range chains {
			last = later(last, firstEnd(chain))
		}
		if ends.IsZero() || last.Before(ends) {
			ends = last
		}
	}
	return ends, nil
}

func firstEnd(chain []*x509.Certificate) time.Time {
	return slices.MinFunc(chain, func(a, b *x509.Certificate) int { return a.NotAfter.Compare(b.NotAfter) }).NotAfter
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// remedy says why a node's own certificate is of no use, and what to do.
func (f Files) remedy(err error, leaf *x509.Certificate) string {
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired && invalid.Cert != nil && !invalid.Cert.Equal(leaf):
		return fmt.Sprintf("its authority %q is valid from %s to %s: have a new one issued by another", invalid.Cert.Subject.String(), day(invalid.Cert.NotBefore), day(invalid.Cert.NotAfter))
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return fmt.Sprintf("it is valid from %s to %s: put a new one there, or set this machine's clock right", day(leaf.NotBefore), day(leaf.NotAfter))
	case errors.As(err, &invalid) && invalid.Reason == x509.IncompatibleUsage:
		return "it is not for both ends of a connection: have it issued for server and for client authentication"
	case errors.As(err, new(x509.UnknownAuthorityError)):
		return fmt.Sprintf("it is of none of the authorities in %s, but of %q: name the authority there that has issued it", f.CA, leaf.Issuer.String())
	}
	return fmt.Sprintf("%v: have another issued", err)
}

func day(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// namesOf are the hosts that a certificate is for.
func namesOf(c *x509.Certificate) string {
	names := slices.Clone(c.DNSNames)
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	if len(names) == 0 {
		return "no host"
	}
	return strings.Join(names, ", ")
}
