package authority

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// In a directory of an authority are its certificate and key, and those of each
// node by its name.
const (
	CertFile = "ca.pem"
	KeyFile  = "ca-key.pem"
)

// Open is the authority in a directory, which is made, with the directory, if
// there is none.
func Open(dir string, validity time.Duration) (a *Authority, made bool, err error) {
	cert, certErr := os.ReadFile(filepath.Join(dir, CertFile))
	key, keyErr := os.ReadFile(filepath.Join(dir, KeyFile))
	switch {
	case errors.Is(certErr, os.ErrNotExist) && errors.Is(keyErr, os.ErrNotExist):
		a, err = begin(dir, validity)
		return a, true, err
	case errors.Is(certErr, os.ErrNotExist) || errors.Is(keyErr, os.ErrNotExist):
		return nil, false, fmt.Errorf("authority in %s: %w: %s and %s go together: put the missing one back, or name another directory", dir, errors.Join(certErr, keyErr), CertFile, KeyFile)
	case certErr != nil || keyErr != nil:
		return nil, false, fmt.Errorf("authority in %s: %w", dir, errors.Join(certErr, keyErr))
	}
	if a, err = Parse(cert, key); err != nil {
		return nil, false, fmt.Errorf("authority in %s: %w: name the directory of an authority that was made here, or an empty one", dir, err)
	}
	if time.Now().After(a.Ends()) {
		return nil, false, fmt.Errorf("authority in %s: it has ended at %s: name an empty directory, for another", dir, a.Ends().UTC().Format(time.RFC3339))
	}
	return a, false, nil
}

func begin(dir string, validity time.Duration) (*Authority, error) {
	a, err := New("Corral test authority "+time.Now().UTC().Format(time.DateOnly), validity)
	if err != nil {
		return nil, err
	}
	key, err := a.Key()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	return a, WritePair(filepath.Join(dir, CertFile), filepath.Join(dir, KeyFile), a.Cert(), key)
}

// WritePair writes two files that nobody else may read, and never over any that
// are there. If it cannot write both it leaves neither.
func WritePair(certPath, keyPath string, cert, key []byte) error {
	if err := writeNew(keyPath, key); err != nil {
		return err
	}
	if err := writeNew(certPath, cert); err != nil {
		return errors.Join(err, os.Remove(keyPath))
	}
	return nil
}

func writeNew(path string, text []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}
