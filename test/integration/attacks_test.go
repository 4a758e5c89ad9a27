package integration

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gruntwork-io/terratest/modules/k8s"
	"github.com/gruntwork-io/terratest/modules/logger"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// strangers is a namespace of another team.
const strangers = "ai-film-strangers"

// stranger starts a pod of another team, with Python in it, and returns what runs a program there.
func stranger(t *testing.T) func(program string, args ...string) (string, error) {
	t.Helper()
	options := k8s.NewKubectlOptions("", "", strangers)
	options.Logger = logger.Discard
	flask := pods(t)["flask"]
	require.NotEmpty(t, flask, "no pod of flask, whose image the stranger borrows")
	pod := fmt.Sprintf(`
apiVersion: v1
kind: Namespace
metadata:
  name: %s
---
apiVersion: v1
kind: Pod
metadata:
  name: stranger
  namespace: %[1]s
spec:
  automountServiceAccountToken: false
  terminationGracePeriodSeconds: 0
  containers:
    - name: stranger
      image: %s
      imagePullPolicy: IfNotPresent
      command: [python3, -c, "import time; time.sleep(3600)"]
`, strangers, flask[0].Spec.Containers[0].Image)
	k8s.KubectlApplyFromStringContext(t, t.Context(), options, pod)
	t.Cleanup(func() { k8s.KubectlDeleteFromString(t, options, pod) })
	k8s.WaitUntilPodAvailableContext(t, t.Context(), options, "stranger", 120, time.Second)
	return func(program string, args ...string) (string, error) {
		return k8s.ExecPodContextE(t, t.Context(), options, "stranger", "stranger", append([]string{"python3", "-c", program}, args...)...)
	}
}

// token is what the studio's services know each other by.
func token(t *testing.T) string {
	t.Helper()
	name := installed(t).Global.ExistingSecret
	if name == "" {
		name = "ai-film"
	}
	return string(k8s.GetSecretContext(t, t.Context(), cluster(), name).Data["service-token"])
}

// ask is a program that sends a request and prints its status and body: METHOD URL BODY HEADER…, or 0 where nobody answers.
const ask = `
import sys, urllib.error, urllib.request
method, url, body, *headers = sys.argv[1:]
request = urllib.request.Request(url, body.encode() or None, dict(h.split(": ", 1) for h in headers), method=method)
try:
    with urllib.request.urlopen(request, timeout=20) as answer:
        print(answer.status, answer.read().decode()[:2000])
except urllib.error.HTTPError as error:
    print(error.code, error.read().decode()[:2000])
except OSError as error:
    print(0, error)`

// orders are requests by which work is ordered or the studio's things are read, by service.
var orders = map[string][2]string{
	"langgraph": {"POST", ":8080/v1/plans"}, "comfyui": {"POST", ":8188/prompt"}, "blender": {"POST", ":9876/v1/title"},
	"opencv": {"POST", ":8000/v1/finish"}, "ffmpeg": {"POST", ":8080/v1/encode"},
}

// listing is what lies on the volumes of films: paths and times.
func listing(t *testing.T) string {
	t.Helper()
	out, err := inFlask(t, `
import os
for root in ("/data/images", "/data/videos"):
    for directory, _, files in sorted(os.walk(root)):
        for name in sorted(files):
            path = os.path.join(directory, name)
            print(path, os.stat(path).st_mtime_ns)`)
	require.NoError(t, err)
	return out
}

// Whoever has no token orders nothing, whether or not a network policy lets them come so far.
func TestStrangersOrderNothing(t *testing.T) {
	run := stranger(t)
	before := listing(t)
	for name, order := range orders {
		for _, header := range []string{"X-Film-Id: f", "Authorization: Bearer ", "Authorization: Bearer guess-guess-guess-guess", "Authorization: Basic YWRtaW46YWRtaW4="} {
			out, err := run(ask, order[0], "http://"+name+"."+namespace+order[1], "{}", "Content-Type: application/json", header)
			require.NoError(t, err, out)
			assert.Regexp(t, `^(401|0) `, out, "%s with %q", name, header)
			assert.NotContains(t, out, token(t))
		}
	}
	for _, address := range []string{"flask:5000/api/films", "dagster:3000/graphql"} {
		out, err := run(ask, "GET", "http://"+strings.Replace(address, ":", "."+namespace+":", 1), "")
		require.NoError(t, err, out)
		assert.Regexp(t, `^(401|400|0) `, out, address)
	}
	assert.Equal(t, before, listing(t))
}

// A service writes below the film that the request names, and nothing of what another made is replaced.
func TestOutputsStayInTheirFilm(t *testing.T) {
	made := makeFilm(t, map[string]any{"width": 160, "height": 96, "seconds": 5, "seed": 4})
	shot := made.Plan.Scenes[0].Shots[0].ID
	before := listing(t)
	header := []string{"Content-Type: application/json", "Authorization: Bearer " + token(t)}
	title := `{"text":"x","subtitle":"","output":"%s","width":64,"height":64,"fps":12,"frames":1,"seed":1}`
	for _, attack := range []struct{ film, output, status string }{
		{made.ID, "images/films", "422"},
		{made.ID, "images/films/" + made.ID, "422"},
		{made.ID, "images/films/" + made.ID + "/" + shot, "422"},
		{made.ID, "images/films/" + made.ID + "/" + shot + "/still.png", "409"},
		{made.ID, "images/films/" + made.ID + "/" + shot + "/../../../../videos/films/" + made.ID + "/x", "422"},
		{made.ID, "images/films/another/" + shot + "/move", "422"},
		{"another", "images/films/" + made.ID + "/" + shot + "/move", "422"},
		{"..", "images/films/../" + shot + "/move", "422"},
		{made.ID, "images/../../etc/passwd", "422"},
		{made.ID, "/data/images/films/" + made.ID + "/" + shot + "/move", "422"},
		{made.ID, "videos/films/" + made.ID + "/film.mp4", "422"},
	} {
		out, err := inFlask(t, ask, append([]string{"POST", "http://blender:9876/v1/title", fmt.Sprintf(title, attack.output), "X-Film-Id: " + attack.film}, header...)...)
		require.NoError(t, err, out)
		assert.True(t, strings.HasPrefix(out, attack.status+" "), "%+v: %s", attack, out)
	}
	out, err := inFlask(t, ask, append([]string{"POST", "http://blender:9876/v1/title", fmt.Sprintf(title, "images/films/x/x/move")}, header...)...)
	require.NoError(t, err, out)
	assert.True(t, strings.HasPrefix(out, "422 ") && strings.Contains(out, "X-Film-Id"), out)
	assert.Equal(t, before, listing(t), "something changed")
}

// The page of Dagster shows and orders nothing, and no account but the daemon's may make pods.
func TestNobodyMakesPods(t *testing.T) {
	out, err := inFlask(t, ask, "POST", "http://dagster:3000/graphql", `{"query":"mutation { launchRun(executionParams: {selector: {repositoryLocationName: \"studio\", repositoryName: \"__repository__\", jobName: \"film\"}, runConfigData: {}, executionMetadata: {tags: [{key: \"dagster-k8s/config\", value: \"{}\"}]}}) { __typename ... on PythonError { message } } }"}`,
		"Content-Type: application/json")
	require.NoError(t, err, out)
	assert.Regexp(t, `^200 .*(UnauthorizedError|permission)|^0 `, out)

	accounts, err := k8s.RunKubectlAndGetOutputContextE(t, t.Context(), cluster(), "get", "serviceaccounts", "--output", "jsonpath={.items[*].metadata.name}")
	require.NoError(t, err, accounts)
	for _, account := range strings.Fields(accounts) {
		for _, what := range []string{"create pods", "create pods --subresource=exec", "create jobs.batch", "get secrets", "patch deployments.apps",
			"create roles.rbac.authorization.k8s.io", "create serviceaccounts --subresource=token"} {
			command := append([]string{"auth", "can-i", "--as", "system:serviceaccount:" + namespace + ":" + account}, strings.Fields(what)...)
			can, err := k8s.RunKubectlAndGetOutputContextE(t, t.Context(), cluster(), command...)
			if can != "yes" && can != "no" {
				require.NoError(t, err, can)
			}
			if can == "yes" && (account != "dagster-daemon" || what != "create jobs.batch") {
				t.Errorf("the account %s may %s", account, what)
			}
		}
	}
}

// Health and metrics are on a port of their own that no ingress reaches.
func TestManagementIsNotPublic(t *testing.T) {
	for _, path := range []string{"/metrics", "/readyz", "/metrics/", "//metrics", "/%6detrics", "/READYZ"} {
		response, body, err := request(t.Context(), installed(t).Ingress.Host, "", "GET", path, nil)
		require.NoError(t, err)
		assert.NotContains(t, string(body), "aifilm_", path)
		assert.NotContains(t, string(body), "postgresql", path)
		assert.True(t, response.StatusCode == 404 || strings.Contains(string(body), "<form"), "%s: %d %s", path, response.StatusCode, body)
	}
}

// Guesses are slowed down, whatever address they claim to come from, and the owner gets in all the same.
func TestGuessing(t *testing.T) {
	host := installed(t).Ingress.Host
	refused := 0
	for i := range 300 {
		r, err := http.NewRequestWithContext(t.Context(), "GET", ingress+"/api/films", nil)
		require.NoError(t, err)
		r.Host = host
		r.Header.Set("X-Forwarded-For", fmt.Sprintf("203.0.113.%d", i%250))
		r.SetBasicAuth("admin", fmt.Sprintf("guess %d", i))
		answer, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		answer.Body.Close()
		if answer.StatusCode == 429 {
			refused++
			assert.NotEmpty(t, answer.Header.Get("Retry-After"))
		} else {
			assert.Equal(t, 401, answer.StatusCode)
		}
	}
	assert.Greater(t, refused, 250, "of 300 guesses")
	// The owner, behind the same address, waits what Retry-After says and no longer.
	for tries := 0; ; tries++ {
		response, body, err := request(t.Context(), host, password(t), "GET", "/api/films", nil)
		require.NoError(t, err)
		if response.StatusCode == 200 {
			break
		}
		require.Equal(t, 429, response.StatusCode, "%s", body)
		require.Less(t, tries, 10, "the owner is locked out")
		var seconds int
		_, err = fmt.Sscan(response.Header.Get("Retry-After"), &seconds)
		require.NoError(t, err)
		require.LessOrEqual(t, seconds, 60)
		time.Sleep(time.Duration(seconds) * time.Second)
	}
}

var tokenField = regexp.MustCompile(`name="token" value="([^"]+)"`)

// A cookie that somebody copied is worth nothing after its owner has logged out.
func TestLogoutEndsTheSession(t *testing.T) {
	host := installed(t).Ingress.Host
	browser := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	cookies := map[string]string{}
	do := func(method, path string, form url.Values) (int, string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, ingress+path, strings.NewReader(form.Encode()))
		require.NoError(t, err)
		r.Host = host
		if form != nil {
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		for name, value := range cookies {
			r.AddCookie(&http.Cookie{Name: name, Value: value})
		}
		answer, err := browser.Do(r)
		require.NoError(t, err)
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		require.NoError(t, err)
		for _, c := range answer.Cookies() {
			assert.True(t, c.HttpOnly, c.Name)
			assert.NotContains(t, c.Value, password(t))
			cookies[c.Name] = c.Value
		}
		return answer.StatusCode, string(body)
	}
	field := func(page string) string {
		t.Helper()
		found := tokenField.FindStringSubmatch(page)
		require.NotNil(t, found, "no token in %s", page)
		return found[1]
	}
	_, page := do("GET", "/login", nil)
	status, body := do("POST", "/login", url.Values{"user": {"admin"}, "password": {password(t)}, "token": {field(page)}})
	require.Less(t, status, 400, body)
	status, page = do("GET", "/", nil)
	require.Equal(t, 200, status)
	status, body = do("GET", "/api/films", nil)
	require.Equal(t, 200, status, body)
	copied := maps.Clone(cookies)

	status, body = do("POST", "/logout", url.Values{"token": {field(page)}})
	require.Less(t, status, 400, body)
	cookies = copied
	status, body = do("GET", "/api/films", nil)
	assert.Equal(t, 401, status, body)
}

// Slow callers hold a socket and nothing else: the page answers others meanwhile and no pod is restarted.
func TestSlowCallers(t *testing.T) {
	restarts := func() (n int32) {
		for _, all := range pods(t) {
			for _, pod := range all {
				for _, c := range pod.Status.ContainerStatuses {
					n += c.RestartCount
				}
			}
		}
		return n
	}
	before := restarts()
	out, err := inFlask(t, `
import socket, sys, time, urllib.request
targets = [a.split(":") for a in sys.argv[1:]]
held = []
for host, port in targets:
    for _ in range(96):
        c = socket.create_connection((host, int(port)), 10)
        c.sendall(b"POST /login HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 100000\r\n\r\nx")
        held.append(c)
slowest = 0
for _ in range(15):
    for c in held:
        try:
            c.send(b"x")
        except OSError:
            pass  # it was shown the door
    for host, port in targets:
        began = time.monotonic()
        assert urllib.request.urlopen(f"http://{host}:{port}/healthz", timeout=30).status == 200
        slowest = max(slowest, time.monotonic() - began)
    time.sleep(1)
print(f"slowest answer {slowest:.2f} s")`, "flask:5000", "langgraph:8080", "opencv:8000", "blender:9876", "ffmpeg:8080", "comfyui:8188")
	require.NoError(t, err, out)
	t.Log(out)
	assert.Equal(t, before, restarts())
}
