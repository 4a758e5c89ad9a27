package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// scriptedBridge answers each registration with the same lines, and remembers what it asked.
func scriptedBridge(t *testing.T, status int, answer string) (url string, asked func() map[string]any) {
	var last atomic.Value
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		text, _ := io.ReadAll(q.Body)
		parts := strings.Split(string(text), ".")
		if assert.Len(t, parts, 3) {
			payload, err := base64.RawURLEncoding.DecodeString(parts[1])
			assert.NoError(t, err)
			claims := map[string]any{}
			assert.NoError(t, json.Unmarshal(payload, &claims))
			last.Store(claims)
		}
		w.Header().Set("Content-Type", "application/x-ndjson")
		if status != 200 {
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(status)
		}
		io.WriteString(w, answer)
	}))
	t.Cleanup(server.Close)
	return server.URL, func() map[string]any { return last.Load().(map[string]any) }
}

func TestRemoteSaysWhatTheBridgeSays(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	require.NoError(t, os.WriteFile(secret, []byte("confidential, and long\n"), 0o600))
	relay := `{"state":"waiting","why":"no ComfyUI server is registered","waiting":2,"servers":[{"name":"colab","url":"https://a.example","ready":false,"weight":1,"error":"status 530"}]}`
	for name, c := range map[string]struct {
		args   string
		status int
		answer string
		code   int
		says   []string
		asks   map[string]any
	}{
		"registered": {"register https://a.example --name box --weight 2", 200, `{"state":"running","step":"has it draw"}` + "\n{\"state\":\"running\"}\n" +
			`{"state":"done","result":{"name":"box","url":"https://a.example","measured":{"gpu":"Tesla T4","vram_gib":14.7,"comfyui":"0.3.75","round_trip_ms":80.2,"first_seconds":31,"next_seconds":2.5}}}`,
			0, []string{"… has it draw", "box draws at https://a.example", "Tesla T4, 14.7 GiB, ComfyUI 0.3.75", "80 ms", "2.5 s"},
			map[string]any{"act": "register", "name": "box", "url": "https://a.example", "weight": 2.0}},
		"as before":         {"register https://a.example", 200, `{"state":"done","result":{"name":"colab","url":"https://a.example","unchanged":true}}`, 0, []string{"as before"}, nil},
		"not fit":           {"register https://a.example", 200, `{"state":"failed","problem":{"title":"not equipped","status":422,"detail":"it lacks the nodes KSampler","remedy":"install it"}}`, 1, []string{"not equipped: it lacks the nodes KSampler", "what helps: install it"}, nil},
		"no URL":            {"register ftp://x", 422, `{"title":"invalid request","status":422,"detail":"url: no"}`, 2, []string{"invalid request"}, nil},
		"another secret":    {"register https://a.example", 401, `{"title":"not authorized","status":401,"detail":"the signature is not right"}`, 5, []string{"not authorized"}, nil},
		"broken off":        {"register https://a.example", 200, `{"state":"running","step":"has it draw"}`, 5, []string{"broke off"}, nil},
		"not a bridge":      {"register https://a.example", 200, "<html>", 5, []string{"no bridge answers there"}, nil},
		"released":          {"release colab --url https://a.example", 200, `{"state":"done","result":{"name":"colab"}}`, 0, []string{"colab draws no more"}, map[string]any{"act": "release", "name": "colab", "url": "https://a.example"}},
		"was not there":     {"release colab", 200, `{"state":"done","result":{"name":"colab","unchanged":true}}`, 0, []string{"was not registered"}, nil},
		"status":            {"status", 200, `{"state":"done","result":{"relay":` + relay + `}}`, 0, []string{"waiting for a server; 2 prompts", "no ComfyUI server is registered", "colab", "away"}, map[string]any{"act": "status"}},
		"too few arguments": {"register", 200, "", 2, []string{"takes the URL"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			url, asked := scriptedBridge(t, c.status, c.answer)
			code, stdout, stderr := invoke(t.Context(), "", append(append([]string{"remote"}, strings.Fields(c.args)...), "--bridge", url, "--secret-file", secret)...)
			assert.Equal(t, c.code, code, stderr)
			for _, text := range c.says {
				assert.Contains(t, stdout+stderr, text)
			}
			assert.NotContains(t, stdout+stderr, "confidential")
			for key, value := range c.asks {
				assert.Equal(t, value, asked()[key], key)
			}
		})
	}
	t.Setenv("AI_FILM_BRIDGE_SECRET", "")
	code, _, stderr := invoke(t.Context(), "", "remote", "status", "--bridge", "https://a.example")
	assert.Equal(t, 2, code)
	assert.Contains(t, stderr, "kubectl -n ai-film get secret")
}

// What a trigger is told, and that its token goes nowhere else.
func TestRemoteTrigger(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, q *http.Request) { t.Error("a redirect was followed") }))
	defer elsewhere.Close()
	var got string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		body, _ := io.ReadAll(q.Body)
		got = fmt.Sprint(q.Method, " ", q.URL.Path, " ", q.Header.Get("Authorization"), " ", string(body))
		switch q.URL.Path {
		case "/away":
			http.Redirect(w, q, elsewhere.URL, http.StatusTemporaryRedirect)
		case "/no":
			http.Error(w, "no such trigger", 404)
		default:
			w.WriteHeader(204)
		}
	}))
	defer server.Close()
	t.Setenv("AI_FILM_TRIGGER_TOKEN", "confidential")
	t.Setenv("GITHUB_TOKEN", "confidential, too")
	t.Setenv("GITHUB_API_URL", server.URL)
	for args, want := range map[string]string{
		"webhook " + server.URL + "/start": `POST /start Bearer confidential {"event":"remote-gpu"}`,
		"github me/films":                  `POST /repos/me/films/dispatches Bearer confidential, too {"event_type":"remote-gpu"}`,
	} {
		code, _, stderr := invoke(t.Context(), "", append([]string{"remote", "trigger", "--wait", "0s"}, strings.Fields(args)...)...)
		assert.Zero(t, code, stderr)
		assert.Equal(t, want, got)
	}
	for args, want := range map[string]int{"webhook " + server.URL + "/away": 1, "webhook " + server.URL + "/no": 1, "github films": 2, "colab-enterprise x.ipynb": 2, "robot x": 2} {
		code, stdout, stderr := invoke(t.Context(), "", append([]string{"remote", "trigger", "--wait", "0s"}, strings.Fields(args)...)...)
		assert.Equal(t, want, code, "%s: %s", args, stderr)
		assert.NotContains(t, stdout+stderr, "confidential")
	}
}
