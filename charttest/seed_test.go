package charttest_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/bcrypt"
	"golang.org/x/tools/txtar"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ai-film/ai-film/charttest"
)

const randomTemplate = `
apiVersion: v1
kind: ConfigMap
metadata: {name: random}
data:
  {{- $ca := genCA "studio ca" 30 }}
  {{- $signed := genSignedCert "studio" (list "10.0.0.1") (list "studio.local") 30 $ca }}
  {{- $self := genSelfSignedCert "self" nil (list "self.local") 30 }}
  {{- $key := genPrivateKey "ecdsa" }}
  {{- $withKey := genSelfSignedCertWithKey "keyed" nil nil 30 $key }}
  alphanum: {{ randAlphaNum 20 | quote }}
  alpha: {{ randAlpha 20 | quote }}
  numeric: {{ randNumeric 20 | quote }}
  ascii: {{ randAscii 20 | quote }}
  bytes: {{ randBytes 12 | quote }}
  int: {{ randInt 10 20 | quote }}
  shuffle: {{ shuffle "abcdefghijkl" | quote }}
  uuid: {{ uuidv4 | quote }}
  ca: {{ $ca.Cert | b64enc }}
  cert: {{ $signed.Cert | b64enc }}
  key: {{ $signed.Key | b64enc }}
  self: {{ $self.Cert | b64enc }}
  selfKey: {{ $self.Key | b64enc }}
  keyed: {{ $withKey.Cert | b64enc }}
  rsa: {{ genPrivateKey "rsa" | b64enc }}
  dsa: {{ genPrivateKey "dsa" | b64enc }}
  ed25519: {{ genPrivateKey "ed25519" | b64enc }}
  bcrypt: {{ bcrypt "cut!" | quote }}
  htpasswd: {{ htpasswd "user" "cut!" | quote }}
  aes: {{ encryptAES "k" "plain text" | quote }}
  decrypted: {{ encryptAES "k" "plain text" | decryptAES "k" | quote }}
  now: {{ now | date "2006-01-02T15:04:05Z07:00" }}
  nothing: {{ date "2006" nil | quote }}
  ago: {{ ago (now | dateModify "-90m") }}
  unix: {{ now | unixEpoch | quote }}
`

// randomChart has a template that calls every function that answers
// differently every time.
func randomChart(t testing.TB) *charttest.Chart {
	return charttest.MustLoad(t, unpack(t, "cinema", txtar.File{Name: "templates/random.yaml", Data: []byte(randomTemplate)}))
}

func TestSeedFixesEveryRandomFunction(t *testing.T) {
	chart := randomChart(t)
	data := func(options ...charttest.Option) map[string]string {
		return charttest.Get[*corev1.ConfigMap](t, chart.MustRender(t, options...), "random").Data
	}
	first := data()
	require.Equal(t, first, data(), "two renders")
	require.Equal(t, first, charttest.Get[*corev1.ConfigMap](t, randomChart(t).MustRender(t), "random").Data, "two charts")

	fixed := map[string]bool{"decrypted": true, "now": true, "nothing": true, "ago": true, "unix": true}
	other := data(charttest.Seed(2))
	real1, real2 := data(charttest.Profile{Random: true}), data(charttest.Profile{Random: true})
	for k := range first {
		if !fixed[k] {
			if k != "int" {
				require.NotEqual(t, first[k], other[k], "%s with another seed", k)
				require.NotEqual(t, real1[k], real2[k], "%s without a seed", k)
			}
			require.Equal(t, len(real1[k]) > 0, len(first[k]) > 0, k)
		}
	}
	require.Equal(t, "2025-01-01T00:00:00Z", first["now"])
	require.Equal(t, "2025", first["nothing"])
	require.Equal(t, "1h30m0s", first["ago"])
	require.Equal(t, "plain text", first["decrypted"])
	premiere := time.Date(1922, 3, 4, 20, 0, 0, 0, time.UTC)
	require.Equal(t, "1922-03-04T20:00:00Z", data(charttest.Profile{Now: premiere})["now"])
}

func TestSeededSecretsAreReal(t *testing.T) {
	data := charttest.Get[*corev1.ConfigMap](t, randomChart(t).MustRender(t), "random").Data
	text := func(key string) []byte {
		b, err := base64.StdEncoding.DecodeString(data[key])
		require.NoError(t, err, key)
		return b
	}
	roots := x509.NewCertPool()
	require.True(t, roots.AppendCertsFromPEM(text("ca")))
	pair, err := tls.X509KeyPair(text("cert"), text("key"))
	require.NoError(t, err)
	leaf, err := x509.ParseCertificate(pair.Certificate[0])
	require.NoError(t, err)
	_, err = leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: "studio.local",
		CurrentTime: time.Date(2025, 1, 15, 0, 0, 0, 0, time.UTC)})
	require.NoError(t, err)
	_, err = tls.X509KeyPair(text("self"), text("selfKey"))
	require.NoError(t, err)
	for _, key := range []string{"rsa", "dsa", "ed25519", "keyed"} {
		block, rest := pem.Decode(text(key))
		require.NotNil(t, block, key)
		require.Empty(t, rest)
	}
	require.NoError(t, bcrypt.CompareHashAndPassword([]byte(data["bcrypt"]), []byte("cut!")))
	_, hash, _ := strings.Cut(data["htpasswd"], ":")
	require.NoError(t, bcrypt.CompareHashAndPassword([]byte(hash), []byte("cut!")))
}

func TestLookupAnswersFromGivenObjects(t *testing.T) {
	chart := charttest.MustLoad(t, unpack(t, "cinema", txtar.File{Name: "templates/lookup.yaml", Data: []byte(`
apiVersion: v1
kind: ConfigMap
metadata: {name: lookup}
data:
  found: {{ (lookup "v1" "Secret" "film" "old").data | toJson | quote }}
  other: {{ lookup "v1" "Secret" "elsewhere" "old" | toJson | quote }}
  count: {{ (lookup "v1" "Secret" "" "").items | len | quote }}
`)}))
	data := func(options ...charttest.Option) map[string]string {
		return charttest.Get[*corev1.ConfigMap](t, chart.MustRender(t, options...), "lookup").Data
	}
	require.Equal(t, map[string]string{"found": "null", "other": "{}", "count": "0"}, data(charttest.Lookup()))
	old := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "old", Namespace: "film"}, Data: map[string][]byte{"k": []byte("v")}}
	require.Equal(t, map[string]string{"found": `{"k":"dg=="}`, "other": "{}", "count": "1"}, data(charttest.Lookup(old)))
}
