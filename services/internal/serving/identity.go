package serving

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strings"
)

// tokens are at least 16 characters, or they can be guessed, of those that a header holds unchanged.
var tokens = regexp.MustCompile(`^[\x21-\x7e][\x20-\x7e]{14,}[\x21-\x7e]$`)

// Token is SERVICE_TOKEN, by which the studio's services know each other. The error says what to do where it is missing.
func Token() (string, error) {
	token := os.Getenv("SERVICE_TOKEN")
	if !tokens.MatchString(token) {
		why := "is not set"
		if token != "" {
			why = "is shorter than 16 characters or not printable ASCII"
		}
		return "", fmt.Errorf("SERVICE_TOKEN %s: give the key service-token of the Secret ai-film, the same to every service", why)
	}
	return token, nil
}

// authorized tells whether a request bears the token: as a bearer (RFC 6750) or, where people come too, as the password of
// HTTP Basic. The comparison takes the same time for every guess.
func (s *Service) authorized(r *http.Request) bool {
	if s.Token == "" {
		return true
	}
	header := r.Header.Get("Authorization")
	if scheme, token, ok := strings.Cut(header, " "); ok && strings.EqualFold(scheme, "Bearer") {
		return same(strings.TrimSpace(token), s.Token)
	}
	if _, password, ok := r.BasicAuth(); ok && s.People {
		return same(password, s.Token)
	}
	return false
}

func same(a, b string) bool {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b)) // of one length
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}

// refuse answers a request without the token.
func (s *Service) refuse(w http.ResponseWriter) {
	w.Header().Add("WWW-Authenticate", "Bearer")
	if s.People {
		w.Header().Add("WWW-Authenticate", `Basic realm="ai-film", charset="UTF-8"`)
	}
	WriteProblem(w, NewProblem(http.StatusUnauthorized, "not authorized", "the request bears no valid service token",
		"send Authorization: Bearer with the studio's service token"))
}
