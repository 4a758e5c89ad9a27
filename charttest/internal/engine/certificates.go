package engine

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"reflect"
	"strings"
	"text/template"
	"time"
)

// certificate is what templates see of a certificate, as sprig has it.
type certificate struct {
	Cert string
	Key  string
}

// addCertificates binds the functions that make keys and certificates. With a
// seed they are real ones, but always the same: the keys are derived from the
// seed, the dates from the render's present. RSA keys have 2048 bits then,
// where sprig's genPrivateKey takes 4096, since making those takes seconds.
func (w *worker) addCertificates(f template.FuncMap) {
	key := real[func(string) string]("genPrivateKey")
	f["genPrivateKey"] = func(kind string) string {
		if w.render.random == nil {
			return key(kind)
		}
		return w.render.random.privateKey(kind)
	}
	f["genCA"] = func(cn string, days int) (any, error) {
		return w.issue("genCA", request{cn: cn, days: days, ca: true}, cn, days)
	}
	f["genCAWithKey"] = func(cn string, days int, key string) (any, error) {
		return w.issue("genCAWithKey", request{cn: cn, days: days, ca: true, key: key}, cn, days, key)
	}
	f["genSelfSignedCert"] = func(cn string, ips, dns []any, days int) (any, error) {
		return w.issue("genSelfSignedCert", request{cn: cn, ips: ips, dns: dns, days: days}, cn, ips, dns, days)
	}
	f["genSelfSignedCertWithKey"] = func(cn string, ips, dns []any, days int, key string) (any, error) {
		return w.issue("genSelfSignedCertWithKey", request{cn: cn, ips: ips, dns: dns, days: days, key: key}, cn, ips, dns, days, key)
	}
	f["genSignedCert"] = func(cn string, ips, dns []any, days int, ca any) (any, error) {
		return w.issue("genSignedCert", request{cn: cn, ips: ips, dns: dns, days: days, signer: ca}, cn, ips, dns, days, ca)
	}
	f["genSignedCertWithKey"] = func(cn string, ips, dns []any, days int, ca any, key string) (any, error) {
		return w.issue("genSignedCertWithKey", request{cn: cn, ips: ips, dns: dns, days: days, signer: ca, key: key}, cn, ips, dns, days, ca, key)
	}
}

// request is what a certificate is to say.
type request struct {
	cn       string
	ips, dns []any
	days     int
	ca       bool
	key      string // PEM; empty: make one
	signer   any    // nil: itself
}

// issue calls sprig's function of that name without a seed.
func (w *worker) issue(name string, req request, args ...any) (any, error) {
	if w.render.random != nil {
		return w.render.random.issue(req)
	}
	in := make([]reflect.Value, len(args))
	for i, a := range args {
		in[i] = reflect.ValueOf(a)
	}
	out := reflect.ValueOf(functions()[name]).Call(in)
	err, _ := out[1].Interface().(error)
	return out[0].Interface(), err
}

func (r *random) issue(req request) (certificate, error) {
	var cert certificate
	var key crypto.Signer
	if req.key == "" {
		key = r.rsaKey()
	} else {
		parsed, err := parseKey(req.key)
		if err != nil {
			return cert, fmt.Errorf("parsing private key: %s", err)
		}
		key = parsed
	}
	tmpl, err := r.template(req)
	if err != nil {
		return cert, err
	}
	parent, signer := tmpl, key
	if req.signer != nil {
		if parent, signer, err = parseSigner(req.signer); err != nil {
			return cert, err
		}
	}
	// Without a source of randomness signatures are deterministic (RFC 6979).
	der, err := x509.CreateCertificate(nil, tmpl, parent, key.Public(), signer)
	if err != nil {
		return cert, fmt.Errorf("error creating certificate: %s", err)
	}
	cert.Cert = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	cert.Key = encodeKey(key)
	return cert, nil
}

func (r *random) template(req request) (*x509.Certificate, error) {
	t := &x509.Certificate{
		SerialNumber:          new(big.Int).SetBytes(r.bytes(16)),
		Subject:               pkix.Name{CommonName: req.cn},
		NotBefore:             r.now,
		NotAfter:              r.now.Add(24 * time.Hour * time.Duration(req.days)),
		KeyUsage:              x509.KeyUsageKeyEncipherment | x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true,
		IsCA:                  req.ca,
	}
	if req.ca {
		t.KeyUsage |= x509.KeyUsageCertSign
	}
	for _, ip := range req.ips {
		s, ok := ip.(string)
		if !ok {
			return nil, fmt.Errorf("error parsing ip: %v is not a string", ip)
		}
		parsed := net.ParseIP(s)
		if parsed == nil {
			return nil, fmt.Errorf("error parsing ip: %s", s)
		}
		t.IPAddresses = append(t.IPAddresses, parsed)
	}
	for _, name := range req.dns {
		s, ok := name.(string)
		if !ok {
			return nil, fmt.Errorf("error processing alternate dns name: %v is not a string", name)
		}
		t.DNSNames = append(t.DNSNames, s)
	}
	return t, nil
}

// parseSigner reads a certificate made by genCA, ours or buildCustomCert's.
func parseSigner(ca any) (*x509.Certificate, crypto.Signer, error) {
	v := reflect.ValueOf(ca)
	if v.Kind() != reflect.Struct || !v.FieldByName("Cert").IsValid() || !v.FieldByName("Key").IsValid() {
		return nil, nil, fmt.Errorf("not a certificate: %T", ca)
	}
	block, _ := pem.Decode([]byte(v.FieldByName("Cert").String()))
	if block == nil {
		return nil, nil, errors.New("unable to decode certificate")
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, nil, fmt.Errorf("error parsing certificate: decodedSignerCert.Bytes: %s", err)
	}
	key, err := parseKey(v.FieldByName("Key").String())
	if err != nil {
		return nil, nil, fmt.Errorf("error parsing private key: %s", err)
	}
	return cert, key, nil
}

func parseKey(text string) (crypto.Signer, error) {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil, errors.New("no PEM data in input")
	}
	var key any
	var err error
	switch block.Type {
	case "PRIVATE KEY":
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(block.Bytes)
	default:
		err = fmt.Errorf("invalid private key type %s", strings.TrimSuffix(block.Type, " PRIVATE KEY"))
	}
	if err != nil {
		return nil, err
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("unable to get public key for type %T", key)
	}
	return signer, nil
}

func (r *random) privateKey(kind string) string {
	switch kind {
	case "", "rsa":
		return encodeKey(r.rsaKey())
	case "dsa":
		return r.dsaKey()
	case "ecdsa":
		curve := elliptic.P256()
		d := new(big.Int).SetBytes(r.bytes(32))
		d.Mod(d, new(big.Int).Sub(curve.Params().N, big.NewInt(1))).Add(d, big.NewInt(1))
		key, err := ecdsa.ParseRawPrivateKey(curve, d.FillBytes(make([]byte, 32)))
		if err != nil {
			return fmt.Sprintf("failed to generate private key: %s", err)
		}
		return encodeKey(key)
	case "ed25519":
		return encodeKey(ed25519.NewKeyFromSeed(r.bytes(ed25519.SeedSize)))
	}
	return "Unknown type " + kind
}
