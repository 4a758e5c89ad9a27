package bridge

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"
)

// Claims are what a registration says. On the wire they are a JSON Web Token, the compact form of RFC 7519 signed with
// HMAC-SHA256 (HS256 of RFC 7518), so that the same text can be posted, or lie anywhere where the bridge looks for it.
type Claims struct {
	Act    string  `json:"act"`              // "register", "release" or "status"
	Name   string  `json:"name,omitempty"`   // of the server, see package endpoint
	URL    string  `json:"url,omitempty"`    // register: its base URL; release: only if it is this one, "" for any
	Weight float64 `json:"weight,omitempty"` // register: see endpoint.Endpoint
	Issued float64 `json:"iat"`              // when it was signed, seconds since 1970, with fractions
	ID     string  `json:"jti"`              // 16 to 64 characters that no other one has
}

// MaxAge is how old a registration may be, or how much ahead its clock.
const MaxAge = 5 * time.Minute

// maxToken is the length of a registration, bytes.
const maxToken = 8 << 10

// header is the one that is taken: who signs chooses no algorithm.
const header = `{"alg":"HS256","typ":"JWT"}`

var encoding = base64.RawURLEncoding.Strict()

// Sign makes the text of a registration.
func Sign(secret []byte, c Claims) string {
	payload, _ := json.Marshal(c) // strings and numbers: can't fail
	text := encoding.EncodeToString([]byte(header)) + "." + encoding.EncodeToString(payload)
	return text + "." + encoding.EncodeToString(sum(secret, text))
}

func sum(secret []byte, text string) []byte {
	h := hmac.New(sha256.New, secret)
	h.Write([]byte(text))
	return h.Sum(nil)
}

// What a registration can be refused for, beside what it asks.
var (
	errSignature = errors.New("the signature is not right: was it made with the key bridge-secret of this studio's Secret?")
	errReplay    = errors.New("it was seen before, or a later one was: sign a new one for each try")
)

// Verify reads the text of a registration that was signed with the secret about now.
func Verify(secret []byte, text string, now time.Time) (c Claims, err error) {
	text = strings.TrimSpace(text)
	parts := strings.Split(text, ".")
	if len(text) > maxToken || len(parts) != 3 {
		return c, errSignature
	}
	signature, err := encoding.DecodeString(parts[2])
	if err != nil || !hmac.Equal(signature, sum(secret, parts[0]+"."+parts[1])) {
		return c, errSignature
	}
	var h struct {
		Algorithm string   `json:"alg"`
		Critical  []string `json:"crit"`
	}
	if raw, err := encoding.DecodeString(parts[0]); err != nil || json.Unmarshal(raw, &h) != nil || h.Algorithm != "HS256" || h.Critical != nil {
		return c, errSignature
	}
	raw, err := encoding.DecodeString(parts[1])
	if err == nil {
		err = json.Unmarshal(raw, &c)
	}
	if err != nil {
		return c, fmt.Errorf("the payload is not JSON as expected: %w", err)
	}
	if len(c.ID) < 16 || len(c.ID) > 64 {
		return c, errors.New("jti is not 16 to 64 characters")
	}
	if age := float64(now.UnixMicro())/1e6 - c.Issued; math.IsNaN(age) || math.Abs(age) > MaxAge.Seconds() {
		return c, fmt.Errorf("iat is %.0f s off this clock, and %.0f s are allowed: sign a new one, and set the clock of who signs", age, MaxAge.Seconds())
	}
	return c, nil
}
