package relay_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	core "k8s.io/api/core/v1"
	rbac "k8s.io/api/rbac/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/ai-film/ai-film/services/comfyui/relay"
	"github.com/ai-film/ai-film/services/internal/apiservertest"
)

// TestConfigMap: a relay in its own process follows the ConfigMap of a real API server with no more rights than its Role gives,
// from before it is there, through changes of the URL and its deletion, and without a restart.
func TestConfigMap(t *testing.T) {
	server := apiservertest.Start(t)
	cluster, err := kubernetes.NewForConfig(server.Config(apiservertest.Admin))
	must(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	_, err = cluster.CoreV1().Namespaces().Create(ctx, &core.Namespace{ObjectMeta: meta.ObjectMeta{Name: "studio"}}, meta.CreateOptions{})
	must(t, err)
	maps := cluster.CoreV1().ConfigMaps("studio")
	r := newProcess(t, "comfyui-relay", "KUBECONFIG="+server.Kubeconfig(t, apiservertest.Pod), "POD_NAMESPACE=studio", "ENDPOINTS=comfyui-endpoint",
		"ALLOW_CIDRS=127.0.0.0/8", "LOST_AFTER=3s", "DATABASE_URL="+startPostgres(t))
	status := func() (s relay.Status) {
		must(t, r.JSON(ctx, "GET", "/v1/servers", nil, &s))
		return s
	}
	until(t, "it says that it may not read the ConfigMap", func() bool { return strings.Contains(status().Why, "forbidden") })
	_, err = cluster.RbacV1().Roles("studio").Create(ctx, &rbac.Role{ObjectMeta: meta.ObjectMeta{Name: "relay"}, Rules: []rbac.PolicyRule{
		{APIGroups: []string{""}, Resources: []string{"configmaps"}, ResourceNames: []string{"comfyui-endpoint"}, Verbs: []string{"list", "watch"}}}}, meta.CreateOptions{})
	must(t, err)
	_, err = cluster.RbacV1().RoleBindings("studio").Create(ctx, &rbac.RoleBinding{ObjectMeta: meta.ObjectMeta{Name: "relay"},
		RoleRef:  rbac.RoleRef{APIGroup: "rbac.authorization.k8s.io", Kind: "Role", Name: "relay"},
		Subjects: []rbac.Subject{{APIGroup: "rbac.authorization.k8s.io", Kind: "User", Name: "pod"}}}, meta.CreateOptions{})
	must(t, err)
	until(t, "it waits for a server", func() bool { return strings.Contains(status().Why, "ai-film remote register") })
	id := uuid.NewString()
	submitted := func() (out struct {
		ID string `json:"prompt_id"`
	}) {
		must(t, r.JSON(ctx, "POST", "/prompt", map[string]any{"prompt": take(t, 1), "prompt_id": id}, &out))
		return out
	}
	if submitted().ID != id {
		t.Error("the prompt was not taken")
	}
	r.restart(0) // what waits outlives the relay
	r.answers()

	first := newTunnel(t, newPod(t).url(), 10*time.Millisecond)
	_, err = maps.Create(ctx, &core.ConfigMap{ObjectMeta: meta.ObjectMeta{Name: "comfyui-endpoint"}, Data: map[string]string{"colab": first.url()}}, meta.CreateOptions{})
	must(t, err)
	until(t, "the server is used", func() bool { return status().State == "ready" })
	view(t, r.Client, wait(t, r.Client, id))
	second := newTunnel(t, newPod(t).url(), 0)
	patch, _ := json.Marshal(map[string]any{"data": map[string]string{"colab": second.url(), "wrong": "ftp://x"}})
	_, err = maps.Patch(ctx, "comfyui-endpoint", "application/merge-patch+json", patch, meta.PatchOptions{})
	must(t, err)
	until(t, "the other is used", func() bool {
		s := status()
		return len(s.Servers) == 1 && s.Servers[0].URL == second.url() && s.Servers[0].Ready && strings.Contains(s.Why, "wrong")
	})
	must(t, maps.Delete(ctx, "comfyui-endpoint", meta.DeleteOptions{}))
	until(t, "none is used", func() bool { s := status(); return s.State == "waiting" && len(s.Servers) == 0 })
}
