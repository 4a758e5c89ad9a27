package engine

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"math/rand/v2"
	"sync"
)

// rsaKeys remembers the keys made of seeds, since renders ask for the same
// ones again and again and each takes a tenth of a second.
var rsaKeys = struct {
	sync.Mutex
	made map[[2]uint64]*rsa.PrivateKey
}{made: make(map[[2]uint64]*rsa.PrivateKey)}

// maxKeys bounds the keys remembered.
const maxKeys = 256

// rsaKey makes the render's next RSA key of 2048 bits. Go's own generator
// takes no randomness from outside any more, so the primes are found here.
// The keys are for tests: they are as predictable as the seed.
func (r *random) rsaKey() *rsa.PrivateKey {
	r.keys++
	id := [2]uint64{r.seed, uint64(r.keys)}
	rsaKeys.Lock()
	defer rsaKeys.Unlock()
	if key, ok := rsaKeys.made[id]; ok {
		return key
	}
	source := stream(id[0], id[1])
	one := big.NewInt(1)
	for {
		p, q := prime(source, 1024), prime(source, 1024)
		n := new(big.Int).Mul(p, q)
		p1, q1 := new(big.Int).Sub(p, one), new(big.Int).Sub(q, one)
		gcd := new(big.Int).GCD(nil, nil, p1, q1)
		lambda := new(big.Int).Div(new(big.Int).Mul(p1, q1), gcd)
		d := new(big.Int).ModInverse(big.NewInt(65537), lambda)
		if d == nil || n.BitLen() != 2048 || p.Cmp(q) == 0 {
			continue
		}
		key := &rsa.PrivateKey{PublicKey: rsa.PublicKey{N: n, E: 65537}, D: d, Primes: []*big.Int{p, q}}
		key.Precompute()
		if len(rsaKeys.made) >= maxKeys {
			clear(rsaKeys.made)
		}
		rsaKeys.made[id] = key
		return key
	}
}

// prime finds a prime of exactly that many bits, the two highest set.
func prime(source *rand.ChaCha8, bits int) *big.Int {
	b := make([]byte, bits/8)
	_, _ = source.Read(b)
	b[0] |= 0xc0
	b[len(b)-1] |= 1
	p := new(big.Int).SetBytes(b)
	for !p.ProbablyPrime(10) {
		p.Add(p, big.NewInt(2))
	}
	return p
}

// dsaKey makes a DSA key in the group of RFC 5114, section 2.3, since finding
// a group takes seconds.
func (r *random) dsaKey() string {
	num := func(s string) *big.Int { n, _ := new(big.Int).SetString(s, 16); return n }
	p, q, g := num(dsaP), num(dsaQ), num(dsaG)
	x := new(big.Int).SetBytes(r.bytes(32))
	x.Mod(x, new(big.Int).Sub(q, big.NewInt(1))).Add(x, big.NewInt(1))
	der, err := asn1.Marshal(struct {
		Version       int
		P, Q, G, Y, X *big.Int
	}{P: p, Q: q, G: g, Y: new(big.Int).Exp(g, x, p), X: x})
	if err != nil {
		return "failed to generate private key: " + err.Error()
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "DSA PRIVATE KEY", Bytes: der}))
}

const (
	dsaP = "87A8E61DB4B6663CFFBBD19C651959998CEEF608660DD0F25D2CEED4435E3B00E00DF8F1D61957D4FAF7DF4561B2AA3016C3D91134096FAA3BF4296D830E9A7C" +
		"209E0C6497517ABD5A8A9D306BCF67ED91F9E6725B4758C022E0B1EF4275BF7B6C5BFC11D45F9088B941F54EB1E59BB8BC39A0BF12307F5C4FDB70C581B23F76" +
		"B63ACAE1CAA6B7902D52526735488A0EF13C6D9A51BFA4AB3AD8347796524D8EF6A167B5A41825D967E144E5140564251CCACB83E6B486F6B3CA3F7971506026" +
		"C0B857F689962856DED4010ABD0BE621C3A3960A54E710C375F26375D7014103A4B54330C198AF126116D2276E11715F693877FAD7EF09CADB094AE91E1A1597"
	dsaG = "3FB32C9B73134D0B2E77506660EDBD484CA7B18F21EF205407F4793A1A0BA12510DBC15077BE463FFF4FED4AAC0BB555BE3A6C1B0C6B47B1BC3773BF7E8C6F62" +
		"901228F8C28CBB18A55AE31341000A650196F931C77A57F2DDF463E5E9EC144B777DE62AAAB8A8628AC376D282D6ED3864E67982428EBC831D14348F6F2F9193" +
		"B5045AF2767164E1DFC967C1FB3F2E55A4BD1BFFE83B9C80D052B985D182EA0ADB2A3B7313D3FE14C8484B1E052588B9B7D2BBD2DF016199ECD06E1557CD0915" +
		"B3353BBB64E0EC377FD028370DF92B52C7891428CDC67EB6184B523D1DB246C32F63078490F00EF8D647D148D47954515E2327CFEF98C582664B4C0F6CC41659"
	dsaQ = "8CF83642A709A097B447997640129DA299B1A47D1EB3750BA308B0FE64F5FBD3"
)

func encodeKey(key crypto.Signer) string {
	block := &pem.Block{Type: "PRIVATE KEY"}
	switch k := key.(type) {
	case *rsa.PrivateKey:
		block.Type, block.Bytes = "RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(k)
	case *ecdsa.PrivateKey:
		block.Type = "EC PRIVATE KEY"
		block.Bytes, _ = x509.MarshalECPrivateKey(k)
	default:
		block.Bytes, _ = x509.MarshalPKCS8PrivateKey(k)
	}
	return string(pem.EncodeToMemory(block))
}
