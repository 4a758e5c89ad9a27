package unit

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/ai-film/ai-film/charttest"
)

// table is the table of SECURITY.md that begins with these columns.
func table(t testing.TB, columns ...string) [][]string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, "SECURITY.md"))
	require.NoError(t, err)
	_, rest, found := strings.Cut(string(data), "| "+strings.Join(columns, " | ")+" |\n")
	require.True(t, found, "SECURITY.md has a table of %v", columns)
	var rows [][]string
	for line := range strings.Lines(rest) {
		if !strings.HasPrefix(line, "|") {
			break
		}
		if strings.HasPrefix(line, "|---") {
			continue
		}
		var row []string
		for cell := range strings.SplitSeq(strings.Trim(line, "|\n"), "|") {
			row = append(row, strings.TrimSpace(cell))
		}
		rows = append(rows, row)
	}
	require.NotEmpty(t, rows)
	return rows
}

// somebody is a pod, or whoever else sends and is sent to.
type somebody struct {
	name      string
	namespace string // "" outside the cluster
	labels    map[string]string
	ports     []int32
}

// everybody are the studio's pods, and others.
func everybody(t testing.TB, r *charttest.Render) []somebody {
	t.Helper()
	all := []somebody{
		{name: "page", namespace: "ingress"},
		{name: "metrics", namespace: "monitoring"},
		{name: "neighbour", namespace: "ai-film", labels: map[string]string{"app": "other"}, ports: []int32{80}},
		{name: "stranger", namespace: "elsewhere", labels: map[string]string{"app.kubernetes.io/name": "flask", "app.kubernetes.io/instance": "ai-film"}, ports: []int32{80}},
		{name: "dns", namespace: "kube-system", ports: []int32{53}},
		{name: "apiserver", ports: []int32{443}},
		{name: "world", ports: []int32{80, 443, 10250}},
	}
	for name, w := range workloads(r) {
		pod := somebody{name: name, namespace: "ai-film", labels: w.template.Labels}
		for _, c := range w.template.Spec.Containers {
			for _, p := range c.Ports {
				pod.ports = append(pod.ports, p.ContainerPort)
			}
		}
		all = append(all, pod)
	}
	for _, j := range charttest.All[*batchv1.Job](r) {
		all = append(all, somebody{name: j.Spec.Template.Spec.ServiceAccountName, namespace: "ai-film", labels: j.Spec.Template.Labels})
	}
	for _, c := range charttest.All[*batchv1.CronJob](r) {
		template := c.Spec.JobTemplate.Spec.Template
		all = append(all, somebody{name: template.Spec.ServiceAccountName, namespace: "ai-film", labels: template.Labels})
	}
	run := dagster(t, r).RunLauncher.Config.RunK8sConfig.PodMetadata.Labels
	all = append(all, somebody{name: "dagster-run", namespace: "ai-film", labels: run},
		somebody{name: "ai-film-test", namespace: "ai-film", labels: charttest.Get[*corev1.Pod](t, r, "ai-film-test").Labels})
	return all
}

// open says whether the policies let one send to a port of another, as Kubernetes defines it: both sides must agree, and a side
// that no policy selects agrees to everything.
func open(t testing.TB, policies []*networkingv1.NetworkPolicy, from, to somebody, port int32) bool {
	t.Helper()
	agrees := func(one, other somebody, direction networkingv1.PolicyType) bool {
		selected := false
		for _, p := range policies {
			if p.Namespace != one.namespace || !slices.Contains(p.Spec.PolicyTypes, direction) || !selects(t, &p.Spec.PodSelector, one.labels) {
				continue
			}
			selected = true
			if direction == networkingv1.PolicyTypeIngress {
				for _, rule := range p.Spec.Ingress {
					if among(t, rule.From, p.Namespace, other) && covers(rule.Ports, port) {
						return true
					}
				}
				continue
			}
			for _, rule := range p.Spec.Egress {
				if among(t, rule.To, p.Namespace, other) && covers(rule.Ports, port) {
					return true
				}
			}
		}
		return !selected
	}
	return agrees(from, to, networkingv1.PolicyTypeEgress) && agrees(to, from, networkingv1.PolicyTypeIngress)
}

func selects(t testing.TB, selector *metav1.LabelSelector, set map[string]string) bool {
	t.Helper()
	s, err := metav1.LabelSelectorAsSelector(selector)
	require.NoError(t, err)
	return s.Matches(labels.Set(set))
}

// among: no peers are all. Blocks of addresses are those outside the cluster, as plugins differ in whether pods are in them;
// the widest are all.
func among(t testing.TB, peers []networkingv1.NetworkPolicyPeer, namespace string, one somebody) bool {
	t.Helper()
	if len(peers) == 0 {
		return true
	}
	for _, peer := range peers {
		switch {
		case peer.IPBlock != nil:
			if peer.IPBlock.CIDR == "0.0.0.0/0" || peer.IPBlock.CIDR == "::/0" {
				return true
			}
		case one.namespace == "":
		case peer.NamespaceSelector != nil:
			at := map[string]string{"kubernetes.io/metadata.name": one.namespace}
			if selects(t, peer.NamespaceSelector, at) && (peer.PodSelector == nil || selects(t, peer.PodSelector, one.labels)) {
				return true
			}
		case one.namespace == namespace && selects(t, peer.PodSelector, one.labels):
			return true
		}
	}
	return false
}

func covers(ports []networkingv1.NetworkPolicyPort, port int32) bool {
	return len(ports) == 0 || slices.ContainsFunc(ports, func(p networkingv1.NetworkPolicyPort) bool {
		return *p.Protocol == corev1.ProtocolTCP && p.Port.IntVal == port
	})
}

// Every pod to every pod on every port: what SECURITY.md draws is open, all else is closed, as the chart is and with all that is
// off at first.
func TestNetworkIsClosedButForTheDrawnEdges(t *testing.T) {
	closedBut := func(t *testing.T, r *charttest.Render, rows [][]string) {
		drawn := map[string]bool{}
		for _, row := range rows {
			port := row[2]
			if row[1] == "apiserver" {
				port = "443"
			}
			edge := fmt.Sprintf("%s → %s:%s", row[0], row[1], port)
			assert.False(t, drawn[edge], "%s stands twice", edge)
			drawn[edge] = true
		}
		policies := charttest.All[*networkingv1.NetworkPolicy](r)
		others := []string{"page", "metrics", "neighbour", "stranger", "dns", "apiserver", "world"}
		calls := map[string]bool{} // who calls somebody, and so has to resolve a name
		for edge := range drawn {
			calls[strings.Fields(edge)[0]] = true
		}
		seen, pairs := map[string]bool{}, 0
		all := everybody(t, r)
		ports := []int32{80}
		for _, one := range all {
			ports = append(ports, one.ports...)
		}
		slices.Sort(ports)
		ports = slices.Compact(ports)
		for _, from := range all {
			for _, to := range all {
				if from.name == to.name || slices.Contains(others, from.name) && slices.Contains(others, to.name) {
					continue
				}
				for _, port := range ports {
					pairs++
					edge := fmt.Sprintf("%s → %s:%d", from.name, to.name, port)
					elsewhere := fmt.Sprintf("%s → elsewhere:%d", from.name, port)
					want := drawn[edge]
					switch {
					case from.name != "page" && slices.Contains(others, from.name) && drawn[fmt.Sprintf("page → %s:%d", to.name, port)]:
						want = true // a page has a login, and nobody is named in networkPolicy.ingressFrom
					case to.name == "dns" && port == 53:
						want = calls[from.name]
					case slices.Contains(others, to.name):
						// The addresses of the API server and of what is elsewhere are unknown to the chart.
						public := fmt.Sprintf("%s → public:%d", from.name, port)
						want = drawn[elsewhere] || port == 443 && drawn[from.name+" → apiserver:443"] || drawn[public] && to.namespace == ""
						seen[elsewhere], seen[public] = seen[elsewhere] || want, seen[public] || want
					}
					assert.Equal(t, want, open(t, policies, from, to, port), edge)
					if drawn[edge] {
						seen[edge] = true
					}
				}
			}
		}
		assert.Greater(t, pairs, 3000)
		for edge := range drawn {
			assert.True(t, seen[edge], "%s is drawn, but there is no such pod", edge)
		}
	}
	collected := charttest.Set("networkPolicy.metricsNamespaces={monitoring}")
	always := table(t, "from", "to", "port", "what the caller shows")
	t.Run("as it is", func(t *testing.T) { closedBut(t, render(t, collected), always) })
	t.Run("with pages but no login before them", func(t *testing.T) {
		rows := append(slices.Clone(always), []string{"page", "dagster", "3000"}, []string{"page", "comfyui-relay", "8188"})
		closedBut(t, render(t, collected, charttest.Set("ingress.dagster.enabled=true", "ingress.comfyui.enabled=true")), rows)
	})
	t.Run("with all options", func(t *testing.T) {
		rows := slices.DeleteFunc(slices.Clone(always), func(row []string) bool { return row[0] == "page" }) // who signs in first
		for _, row := range table(t, "with", "from", "to", "port", "what the caller shows") {
			rows = append(rows, row[1:])
		}
		closedBut(t, render(t, collected, optional), rows)
	})
}

// Named controllers alone reach the page, and on GKE the load balancers' health checks.
func TestPageIsOpenedToWhomTheOperatorNames(t *testing.T) {
	peers := charttest.Values(map[string]any{"networkPolicy": map[string]any{"ingressFrom": []any{
		map[string]any{"namespaceSelector": map[string]any{"matchLabels": map[string]any{"kubernetes.io/metadata.name": "ingress"}}},
	}}})
	r := render(t, peers)
	policies := charttest.All[*networkingv1.NetworkPolicy](r)
	reaches := map[string]bool{}
	all := everybody(t, r)
	flask := all[slices.IndexFunc(all, func(s somebody) bool { return s.name == "flask" })]
	for _, one := range all {
		reaches[one.name] = one.name != "flask" && open(t, policies, one, flask, 5000)
	}
	for name, does := range reaches {
		assert.Equal(t, name == "page" || name == "ai-film-test", does, name)
	}
	var ranges []string
	for _, peer := range charttest.Get[*networkingv1.NetworkPolicy](t, profile(t, "gke-autoscaling", peers), "flask").Spec.Ingress[0].From {
		if peer.IPBlock != nil {
			ranges = append(ranges, peer.IPBlock.CIDR)
		}
	}
	assert.Equal(t, []string{"35.191.0.0/16", "130.211.0.0/22"}, ranges)
}

// What the callers show: who is said to show the service token has it, and so has who asks for it.
func TestCallersHaveWhatTheyShow(t *testing.T) {
	r := render(t)
	env := map[string]map[string]string{"dagster-run": environment(runPod(t, r).Containers[0]), "ai-film-test": environment(charttest.Get[*corev1.Pod](t, r, "ai-film-test").Spec.Containers[0])}
	for name, w := range workloads(r) {
		env[name] = environment(w.container())
	}
	for _, row := range table(t, "from", "to", "port", "what the caller shows") {
		from, to, shows := row[0], row[1], row[3]
		switch {
		case shows == "service token":
			assert.Equal(t, "secret ai-film/service-token", env[from]["SERVICE_TOKEN"], from)
			assert.Equal(t, "secret ai-film/service-token", env[to]["SERVICE_TOKEN"], to)
		case shows == "password":
			found := false
			for _, value := range env[from] {
				found = found || strings.HasPrefix(value, "secret ai-film/") && strings.HasSuffix(value, "-password")
			}
			assert.True(t, found, "%s has a password", from)
		case shows == "name and password":
			assert.Equal(t, "secret ai-film/admin-password", env[from]["ADMIN_PASSWORD"], from)
		case to == "apiserver":
			assert.Contains(t, []string{"dagster-daemon", "dagster-code"}, from)
		case strings.HasPrefix(shows, "nothing"):
			assert.True(t, from == "metrics" || to == "dagster-code" || to == "comfyui", "%s shows %s nothing", from, to)
		default:
			assert.Equal(t, "page", from, shows)
		}
		if port, err := strconv.Atoi(row[2]); err == nil && from != "metrics" && from != "page" {
			assert.NotEqual(t, 8081, port, "%s goes to %s's management port", from, to)
		}
	}
	preview := workloads(profile(t, "dev"))["comfyui"].container()
	assert.Equal(t, "secret ai-film/service-token", environment(preview)["SERVICE_TOKEN"])
}

// What accounts may do is what SECURITY.md says, in the namespace and nowhere else; each workload has an account of its own.
func TestAccountsMayWhatIsWritten(t *testing.T) {
	always := table(t, "account", "resource", "verbs")
	with := slices.Clone(always)
	for _, row := range table(t, "with", "account", "resource", "verbs") {
		with = append(with, row[1:])
	}
	for _, p := range profiles(t) {
		accountsMay(t, p.Name, studio(t).MustRender(t, p), always)
	}
	accountsMay(t, "all options", render(t, optional), with)
}

func accountsMay(t *testing.T, name string, r *charttest.Render, rows [][]string) {
	written, may := map[string][]string{}, map[string]bool{}
	for _, row := range rows {
		written[row[0]+" "+row[1]], may[row[0]] = strings.Split(row[2], ", "), true
	}
	roles := map[string]*rbacv1.Role{}
	for _, role := range charttest.All[*rbacv1.Role](r) {
		roles[role.Name] = role
	}
	got := map[string][]string{}
	for _, binding := range charttest.All[*rbacv1.ClusterRoleBinding](r) {
		require.Equal(t, "ClusterRole "+binding.Name, binding.RoleRef.Kind+" "+binding.RoleRef.Name)
		require.Len(t, binding.Subjects, 1)
		role := charttest.Get[*rbacv1.ClusterRole](t, r, binding.RoleRef.Name)
		require.Len(t, role.Rules, 1)
		require.Len(t, role.Rules[0].Resources, 1)
		got[binding.Subjects[0].Name+" "+role.Rules[0].Resources[0]+" of the cluster"] = role.Rules[0].Verbs
	}
	assert.Len(t, charttest.All[*rbacv1.ClusterRole](r), len(charttest.All[*rbacv1.ClusterRoleBinding](r)))
	for _, binding := range charttest.All[*rbacv1.RoleBinding](r) {
		require.Equal(t, "Role", binding.RoleRef.Kind)
		for _, subject := range binding.Subjects {
			require.Equal(t, "ServiceAccount ai-film", subject.Kind+" "+subject.Namespace)
			for _, rule := range roles[binding.RoleRef.Name].Rules {
				for _, group := range rule.APIGroups {
					for _, resource := range rule.Resources {
						for _, one := range rule.ResourceNames {
							resource += " " + one
						}
						got[subject.Name+" "+strings.TrimPrefix(group+"/"+resource, "/")] = rule.Verbs
					}
				}
			}
		}
	}
	assert.Equal(t, written, got, name)

	accounts := map[string]bool{}
	for _, account := range charttest.All[*corev1.ServiceAccount](r) {
		accounts[account.Name] = true
		assert.False(t, *account.AutomountServiceAccountToken, account.Name)
	}
	for name, w := range workloads(r) {
		assert.Equal(t, name, w.template.Spec.ServiceAccountName)
		assert.True(t, accounts[name], "%s: an account of its own", name)
		assert.Equal(t, may[name], *w.template.Spec.AutomountServiceAccountToken, "%s: a token for who may do something", name)
	}
	assert.True(t, accounts[dagster(t, r).RunLauncher.Config.ServiceAccountName])
	assert.False(t, *runPod(t, r).AutomountServiceAccountToken)
}
