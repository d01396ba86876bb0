// Package authority makes certificates for trying things out: an authority, and
// certificates of it for nodes of a cluster.
//
// Its keys lie in files that nobody guards, so it is not for clusters whose
// network is not trusted: there certificates come from an authority that somebody
// runs. All keys are ECDSA on P-256.
package authority

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"time"
)

// skew is how far clocks may differ: certificates are valid from so much before
// they are made.
const skew = 5 * time.Minute

// An Authority issues certificates.
type Authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// New makes an authority that is valid from now on.
func New(name string, validity time.Duration) (*Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-skew), NotAfter: time.Now().Add(validity),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	cert, err := sign(template, template, key, key)
	if err != nil {
		return nil, err
	}
	return &Authority{cert, key}, nil
}

// Parse reads an authority from the PEM texts that it was written to.
func Parse(cert, key []byte) (*Authority, error) {
	certBlock, _ := pem.Decode(cert)
	keyBlock, _ := pem.Decode(key)
	if certBlock == nil || keyBlock == nil {
		return nil, errors.New("there is no PEM block of a certificate and of a key")
	}
	parsed, err := x509.ParseCertificate(certBlock.Bytes)
	if err != nil {
		return nil, err
	}
	private, err := x509.ParsePKCS8PrivateKey(keyBlock.Bytes)
	if err != nil {
		return nil, err
	}
	mine, isECDSA := private.(*ecdsa.PrivateKey)
	switch {
	case !isECDSA || !mine.PublicKey.Equal(parsed.PublicKey):
		return nil, errors.New("the key is not that of the certificate")
	case !parsed.IsCA:
		return nil, errors.New("the certificate is not of an authority")
	}
	return &Authority{parsed, mine}, nil
}

// Cert is the authority's certificate, as PEM.
func (a *Authority) Cert() []byte { return encode("CERTIFICATE", a.cert.Raw) }

// Key is its key, as PEM.
func (a *Authority) Key() ([]byte, error) { return encodeKey(a.key) }

// Ends is until when the authority's certificate is valid.
func (a *Authority) Ends() time.Time { return a.cert.NotAfter }

// A Request says what a certificate is to be for.
type Request struct {
	Name     string   // of the node
	Hosts    []string // names and IP addresses by which it is called
	Validity time.Duration

	// Change is called with the certificate before it is signed, unless it is nil.
	Change func(*x509.Certificate)
}

// Issue makes a key, and a certificate for both ends of a connection. It ends with
// the authority's at the latest.
func (a *Authority) Issue(r Request) (cert, key []byte, err error) {
	own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: r.Name},
		NotBefore: time.Now().Add(-skew), NotAfter: time.Now().Add(r.Validity),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if template.NotAfter.After(a.cert.NotAfter) {
		template.NotAfter = a.cert.NotAfter
	}
	for _, host := range r.Hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	if r.Change != nil {
		r.Change(template)
	}
	signed, err := sign(template, a.cert, own, a.key)
	if err != nil {
		return nil, nil, fmt.Errorf("certificate for %q: %w", r.Name, err)
	}
	key, err = encodeKey(own)
	return encode("CERTIFICATE", signed.Raw), key, err
}

func sign(template, parent *x509.Certificate, key, signer *ecdsa.PrivateKey) (*x509.Certificate, error) {
	raw, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(raw)
}

// serial is a positive number of 127 bits, as RFC 5280, section 4.1.2.2, wants.
func serial() *big.Int {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // which never fails
	b[0] = b[0]&0x7f | 0x40
	return new(big.Int).SetBytes(b)
}

func encode(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func encodeKey(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return encode("PRIVATE KEY", der), nil
}
