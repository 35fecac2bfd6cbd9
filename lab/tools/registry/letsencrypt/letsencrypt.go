// Package letsencrypt stands in for rsc.io/letsencrypt, whose dependencies are gone. The lab
// brings its own certificates; asking for one from Let's Encrypt is refused.
package letsencrypt

import (
	"crypto/tls"
	"errors"
)

// Manager refuses everything.
type Manager struct{}

var errRefused = errors.New("this build has no Let's Encrypt support; configure http.tls.certificate")

// CacheFile refuses.
func (*Manager) CacheFile(string) error { return errRefused }

// Register refuses.
func (*Manager) Register(string, func(string) bool) error { return errRefused }

// Registered says no.
func (*Manager) Registered() bool { return false }

// GetCertificate refuses.
func (*Manager) GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	return nil, errRefused
}

// SetHosts does nothing.
func (*Manager) SetHosts([]string) {}
