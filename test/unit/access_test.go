package unit

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/ai-film/ai-film/charttest"
)

// With nginx the Ingress bears what streams, downloads and uploads need, and the operator's word goes before; others need none.
func TestIngressOfNginxStreams(t *testing.T) {
	annotations := func(options ...charttest.Option) map[string]string {
		return charttest.Get[*networkingv1.Ingress](t, render(t, options...), "ai-film").Annotations
	}
	got := annotations(at("ingress", map[string]any{"className": "nginx", "annotations": map[string]any{"nginx.ingress.kubernetes.io/proxy-read-timeout": "60"}}))
	for name, want := range map[string]string{"proxy-read-timeout": "60", "proxy-send-timeout": "3600", "proxy-buffering": "off", "proxy-request-buffering": "off", "proxy-body-size": "101m"} {
		assert.Equal(t, want, got["nginx.ingress.kubernetes.io/"+name], name)
	}
	assert.Empty(t, annotations(charttest.Set("ingress.className=traefik")))
	assert.Empty(t, annotations())
}

// route is what a test reads of an HTTPRoute.
type route struct{ gateway, section, host, service, port, timeout string }

func routes(t testing.TB, r *charttest.Render) map[string]route {
	t.Helper()
	all := map[string]route{}
	for _, o := range r.Objects {
		if o.Kind != "HTTPRoute" {
			continue
		}
		text := func(fields ...any) string {
			at := any(o.Unstructured().Object["spec"])
			for _, field := range fields {
				switch f := field.(type) {
				case string:
					m, _ := at.(map[string]any)
					at = m[f]
				case int:
					l, _ := at.([]any)
					if len(l) <= f {
						return ""
					}
					at = l[f]
				}
			}
			if at == nil {
				return ""
			}
			return fmt.Sprint(at)
		}
		all[o.Name] = route{text("parentRefs", 0, "name"), text("parentRefs", 0, "sectionName"), text("hostnames", 0),
			text("rules", 0, "backendRefs", 0, "name"), text("rules", 0, "backendRefs", 0, "port"), text("rules", 0, "timeouts", "request")}
	}
	return all
}

// The Gateway API in place of an Ingress: for the same hosts, with TLS from the same places.
func TestGateway(t *testing.T) {
	pages := charttest.Set("ingress.gateway.enabled=true", "ingress.dagster.enabled=true", "ingress.comfyui.enabled=true")
	r := render(t, pages, charttest.Values(map[string]any{"ingress": map[string]any{"tls": map[string]any{"elsewhere": true},
		"gateway": map[string]any{"parentRefs": []any{map[string]any{"name": "shared", "namespace": "infra", "sectionName": "https"}}}}}))
	assert.Empty(t, charttest.All[*networkingv1.Ingress](r))
	assert.Nil(t, r.Object("Gateway", "ai-film"))
	assert.Equal(t, map[string]route{
		"ai-film-flask":   {"shared", "https", "ai-film.local", "flask", "5000", "0s"},
		"ai-film-dagster": {"shared", "https", "dagster.ai-film.local", "dagster", "3000", "0s"},
		"ai-film-comfyui": {"shared", "https", "comfyui.ai-film.local", "comfyui", "8188", "0s"},
	}, routes(t, r))

	r = render(t, pages, charttest.Set("ingress.gateway.className=traefik", "ingress.tls.issuer=letsencrypt"))
	gateway := r.Object("Gateway", "ai-film").Unstructured()
	assert.Equal(t, "letsencrypt", gateway.GetAnnotations()["cert-manager.io/cluster-issuer"])
	listeners, _, _ := unstructured.NestedSlice(gateway.Object, "spec", "listeners")
	require.Len(t, listeners, 4)
	certificates, _, _ := unstructured.NestedSlice(listeners[1].(map[string]any), "tls", "certificateRefs")
	assert.Equal(t, []any{map[string]any{"name": "ai-film-tls"}}, certificates)
	all := routes(t, r)
	assert.Equal(t, route{"ai-film", "https-flask", "ai-film.local", "flask", "5000", "0s"}, all["ai-film-flask"])
	assert.Equal(t, "http", all["ai-film-https"].section, "plain HTTP is redirected")
	assert.Empty(t, all["ai-film-https"].service)

	r = render(t, charttest.Set("ingress.gateway.enabled=true", "ingress.gateway.className=traefik"))
	assert.Equal(t, map[string]route{"ai-film-flask": {"ai-film", "http", "ai-film.local", "flask", "5000", "0s"}}, routes(t, r))
}

// GKE's load balancers are told how long and where to look by policies of their own; its Ingress' BackendConfig says them nothing.
func TestGatewayOfGKE(t *testing.T) {
	r := profile(t, "gke-autoscaling", charttest.Set("ingress.gateway.enabled=true", "ingress.gateway.gke=true", "ingress.gateway.className=gke-l7-global-external-managed",
		`ingress.gateway.annotations.networking\.gke\.io/certmap=films`, "ingress.host=film.example.com", "ingress.comfyui.enabled=true", "application.flask.gkeBackendTimeout=7200"))
	assert.Nil(t, r.Object("BackendConfig", "flask"))
	for service, want := range map[string][]any{"flask": {int64(5000), "/healthz"}, "comfyui": {int64(8188), "/healthz"}} {
		backend, health := r.Object("GCPBackendPolicy", "ai-film-"+service).Unstructured().Object, r.Object("HealthCheckPolicy", "ai-film-"+service).Unstructured().Object
		for _, policy := range []map[string]any{backend, health} {
			name, _, _ := unstructured.NestedString(policy, "spec", "targetRef", "name")
			assert.Equal(t, service, name)
		}
		seconds, _, _ := unstructured.NestedFieldNoCopy(backend, "spec", "default", "timeoutSec")
		assert.EqualValues(t, 7200, seconds)
		check, _, _ := unstructured.NestedMap(health, "spec", "default", "config", "httpHealthCheck")
		assert.EqualValues(t, want[0], check["port"])
		assert.Equal(t, want[1], check["requestPath"])
	}
	for name, one := range routes(t, r) {
		assert.Empty(t, one.timeout, "%s: GKE knows no time limit of routes", name)
	}
	listeners, _, _ := unstructured.NestedSlice(r.Object("Gateway", "ai-film").Unstructured().Object, "spec", "listeners")
	assert.NotContains(t, listeners[1], "tls", "the certificate map has it")
	assert.Contains(t, r.Notes, "https://film.example.com")
	assert.Equal(t, "true", environment(workloads(r)["flask"].container())["COOKIE_SECURE"])
}

// One login before all pages: nothing leads past it, each page has its own callback, and only ComfyUI's is shown the token.
func TestLoginBeforeAllPages(t *testing.T) {
	r := render(t, optional, charttest.Set("ingress.oidc.groups={films,ops}", "ingress.oidc.replicas=2"))
	hosts := map[string]string{}
	for _, rule := range charttest.Get[*networkingv1.Ingress](t, r, "ai-film").Spec.Rules {
		backend := rule.HTTP.Paths[0].Backend.Service
		hosts[rule.Host] = backend.Name
		port := 4180
		if backend.Name == "comfyui-bridge" { // machines come there, and show a signature
			port = 8190
		}
		assert.EqualValues(t, port, backend.Port.Number)
	}
	assert.Equal(t, map[string]string{"bridge.ai-film.local": "comfyui-bridge", "ai-film.local": "oauth2-proxy-flask", "dagster.ai-film.local": "oauth2-proxy-dagster", "comfyui.ai-film.local": "oauth2-proxy-comfyui"}, hosts)
	for page, want := range map[string][]string{"flask": {"http://flask:5000/", "https://ai-film.local/oauth2/callback"},
		"dagster": {"http://dagster:3000/", "https://dagster.ai-film.local/oauth2/callback"}, "comfyui": {"http://comfyui:8188/", "https://comfyui.ai-film.local/oauth2/callback"}} {
		d := charttest.Get[*appsv1.Deployment](t, r, "oauth2-proxy-"+page)
		assert.EqualValues(t, 2, *d.Spec.Replicas)
		c := d.Spec.Template.Spec.Containers[0]
		assert.Equal(t, "quay.io/oauth2-proxy/oauth2-proxy:v7.15.6", c.Image)
		env := environment(c)
		assert.Equal(t, want, []string{env["OAUTH2_PROXY_UPSTREAMS"], env["OAUTH2_PROXY_REDIRECT_URL"]})
		assert.Equal(t, "secret login/client-secret", env["OAUTH2_PROXY_CLIENT_SECRET"])
		assert.Equal(t, "example.com", env["OAUTH2_PROXY_EMAIL_DOMAINS"])
		assert.Equal(t, "films,ops", env["OAUTH2_PROXY_ALLOWED_GROUPS"])
		assert.Equal(t, "true", env["OAUTH2_PROXY_COOKIE_SECURE"])
		_, token := env["OAUTH2_PROXY_BASIC_AUTH_PASSWORD"]
		assert.Equal(t, page == "comfyui", token, page)
		assert.NotContains(t, env, "SERVICE_TOKEN")
	}
	assert.NotContains(t, render(t, optional).Notes, "has no login")
	groups := render(t, optional, charttest.Set("ingress.oidc.groups={films}", "ingress.oidc.emailDomains=null"))
	assert.Equal(t, "*", environment(workloads(groups)["oauth2-proxy-flask"].container())["OAUTH2_PROXY_EMAIL_DOMAINS"], "the groups decide")
	onGateway := render(t, optional, charttest.Set("ingress.gateway.enabled=true", "ingress.gateway.className=traefik"))
	assert.Equal(t, "oauth2-proxy-dagster", routes(t, onGateway)["ai-film-dagster"].service)
}
