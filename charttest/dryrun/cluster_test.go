package dryrun_test

import (
	"bytes"
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"github.com/ai-film/ai-film/charttest"
	"github.com/ai-film/ai-film/charttest/check"
	"github.com/ai-film/ai-film/charttest/dryrun"
	"github.com/ai-film/ai-film/charttest/internal/envtest"
	"github.com/ai-film/ai-film/charttest/internal/testfiles"
	"github.com/ai-film/ai-film/charttest/verify"
)

// chartOf makes a chart of one template.
func chartOf(t *testing.T, template string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "toy")
	testfiles.Write(t, dir, map[string]string{"Chart.yaml": "apiVersion: v2\nname: toy\nversion: 1.0.0\n", "templates/toy.yaml": template})
	return dir
}

const deployment = `apiVersion: apps/v1
kind: Deployment
metadata: {name: toy}
spec:
  selector: {matchLabels: {app: toy}}
  template:
    metadata: {labels: {app: toy}}
    spec: {containers: [{name: app, image: "app:1"}]}
`

func TestWhatAKilledRehearsalLeftIsDeletedByALaterOne(t *testing.T) {
	s := connect(t)
	r := charttest.MustLoad(t, chartOf(t, deployment)).MustRender(t)
	apply(t, "apiVersion: v1\nkind: Namespace\nmetadata: {name: rehearsal-killed, labels: {ai-film.dev/rehearsal: \"true\"}}")
	_, err := s.Rehearse(t.Context(), r, check.Cluster{})
	require.NoError(t, err)
	require.Equal(t, []string{"rehearsal-killed"}, open(t), "one that may still be under way is left alone")
	time.Sleep(2 * time.Second) // times of creation are whole seconds
	defer dryrun.Abandon(500 * time.Millisecond)()
	_, err = s.Rehearse(t.Context(), r, check.Cluster{})
	require.NoError(t, err)
	require.Empty(t, open(t))
}

func TestManyRehearsalsAtOnceDoNotDisturbEachOther(t *testing.T) {
	s := connect(t)
	r := charttest.MustLoad(t, chartOf(t, deployment)).MustRender(t)
	failed := make(chan error, 8)
	for range cap(failed) {
		go func() {
			h, err := s.Rehearse(t.Context(), r, check.Cluster{})
			if err == nil && len(h.Findings) > 0 {
				t.Error(h.Findings)
			}
			failed <- err
		}()
	}
	for range cap(failed) {
		assert.NoError(t, <-failed)
	}
	require.Empty(t, open(t))
}

func TestAWebhookThatIsDownIsNoFaultOfTheChart(t *testing.T) {
	s := connect(t)
	apply(t, `apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: down}
webhooks:
  - name: down.example.org
    clientConfig: {url: "https://127.0.0.1:1/"}
    objectSelector: {matchLabels: {asks: webhook}}
    rules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [configmaps]}]
    sideEffects: None
    admissionReviewVersions: [v1]
    timeoutSeconds: 1`)
	r := charttest.MustLoad(t, chartOf(t, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: toy, labels: {asks: webhook}}\n")).MustRender(t)
	var err error
	require.Eventually(t, func() bool { // until the server has taken notice
		_, err = s.Rehearse(t.Context(), r, check.Cluster{})
		return err != nil
	}, time.Minute, 100*time.Millisecond)
	var trouble *dryrun.Error
	require.ErrorAs(t, err, &trouble)
	require.ErrorContains(t, err, "down.example.org")
	require.ErrorContains(t, err, "mend the webhook's service")
	require.Empty(t, open(t))
}

// A user without an administrator's rights can't bind a role that isn't there
// yet, which is no fault of the chart's.
func TestAUserOfFewRights(t *testing.T) {
	needServer(t)
	apply(t, `apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: few}
rules:
  - {apiGroups: [""], resources: [namespaces, serviceaccounts], verbs: [create, delete]}
  - {apiGroups: [""], resources: [configmaps], verbs: [get]}
  - {apiGroups: [rbac.authorization.k8s.io], resources: [roles, rolebindings], verbs: [create]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: few}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: few}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: nobody}]`)
	r := charttest.MustLoad(t, chartOf(t, `apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reader}
rules: [{apiGroups: [""], resources: [configmaps], verbs: [get]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: reader}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}
subjects: [{kind: ServiceAccount, name: default, namespace: default}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: writer}
rules: [{apiGroups: [""], resources: [secrets], verbs: [create]}]
`)).MustRender(t)
	var h *dryrun.Rehearsal
	require.Eventually(t, func() bool { // until the rights have got about
		s, err := dryrun.Connect(t.Context(), api.As(envtest.Nobody))
		require.NoError(t, err)
		h, err = s.Rehearse(t.Context(), r, check.Cluster{})
		return err == nil
	}, time.Minute, 100*time.Millisecond)
	require.Len(t, h.Unrehearsed, 1)
	require.Equal(t, "RoleBinding/reader", h.Unrehearsed[0].Object.String())
	require.Contains(t, h.Unrehearsed[0].Reason, "needs Role/reader")
	require.Len(t, h.Findings, 1)
	require.Equal(t, "Role/writer", h.Findings[0].Object)
	require.Contains(t, h.Findings[0].Message, "attempting to grant RBAC permissions not currently held")
}

func TestVerifyReportsWhatTheServerSays(t *testing.T) {
	needServer(t)
	dir := chartOf(t, strings.Replace(deployment, "spec: {containers", "spec: {tolerationz: [], runtimeClassName: turbo, containers", 1))
	config := verify.Config{Server: api.Config, Suppress: []verify.Suppression{{Check: "server", Object: "Deployment/other", Reason: "old"}}}
	var heard []int
	config.Progress = func(done, total int, of string) {
		if of == "objects rehearsed" {
			heard = append(heard, done, total)
		}
	}
	result, err := verify.Run(t.Context(), dir, config)
	require.NoError(t, err)
	checks := map[string]check.Finding{}
	for _, f := range result.Findings {
		checks[f.Check] = f
	}
	require.Len(t, result.Findings, 3, "%+v", result.Findings)
	require.Contains(t, checks["strict"].Message, "tolerationz", "which the server says too, and isn't told twice")
	require.Contains(t, checks["suppression"].Message, "matches no finding")
	f := checks["server"]
	require.Equal(t, "Deployment/toy", f.Object)
	require.Equal(t, "spec.template.spec.runtimeClassName", f.Field)
	require.Equal(t, filepath.Join(dir, "templates", "toy.yaml"), f.File)
	require.Equal(t, 8, f.Line)
	require.Contains(t, f.Remedy, "external: [RuntimeClass/turbo]")
	require.Equal(t, []string{"default"}, f.Profiles)
	require.Equal(t, []int{1, 1}, heard)
	for format, want := range map[string]string{"table": "1 objects and 1 pods", "junit": "turbo", "sarif": "turbo", "json": `"rehearsals"`, "github": "title=server"} {
		var b bytes.Buffer
		require.NoError(t, verify.Formats[format](&b, result))
		require.Contains(t, b.String(), want, format)
	}
	result, err = verify.Run(t.Context(), dir, verify.Config{Server: api.Config, KubeVersions: []string{"1.30"}})
	require.NoError(t, err)
	var b bytes.Buffer
	require.NoError(t, verify.JUnit(&b, result))
	require.Contains(t, b.String(), "turbo", "also if the server's version is none of those asked for")

	without, err := verify.Run(t.Context(), dir, verify.Config{Suppress: config.Suppress})
	require.NoError(t, err)
	require.Len(t, without.Findings, 1, "a suppression of server is no finding if no server was asked: %+v", without.Findings)
	_, err = verify.Run(t.Context(), dir, verify.Config{Server: api.As(envtest.Nobody)})
	var trouble *dryrun.Error
	require.ErrorAs(t, err, &trouble)
}

// What one of our checks says, at the template's line and with its remedy, the
// server needn't say again; also where its version is none of those verified for.
func TestVerifyTellsNothingTwice(t *testing.T) {
	needServer(t)
	dir := chartOf(t, strings.Replace(deployment, "spec: {containers", "spec: {runtimeClassName: turbo, containers", 1)+`
---
apiVersion: v1
kind: Service
metadata: {name: toy}
spec:
  selector: {app: toy}
  sessionAffinity: Always
  ports: [{port: 80, protocol: HTTP}]
---
apiVersion: batch/v1
kind: Job
metadata: {name: once}
spec: {template: {spec: {restartPolicy: Sometimes, containers: [{name: once, image: "once:1", volumeMounts: [{name: none, mountPath: /none}]}]}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: beside}
spec:
  strategy: {type: Rolling}
  selector: {matchLabels: {app: beside}}
  template:
    metadata: {labels: {app: beside}}
    spec:
      resources: {requests: {cpu: 2}, limits: {cpu: 1}}
      volumes: [{name: x, emptyDir: {}}]
      containers: [{name: other, image: "other:1", volumeMounts: [{name: x, mountPath: /x, mountPropagation: none}]}]
`)
	for _, versions := range [][]string{nil, {"1.30"}} {
		result, err := verify.Run(t.Context(), dir, verify.Config{Server: api.Config, KubeVersions: versions})
		require.NoError(t, err)
		var have []string
		for _, f := range result.Findings {
			have = append(have, f.Check+" "+f.Object+" "+f.Field)
		}
		require.ElementsMatch(t, []string{
			"field-valid Job/once spec.template.spec.restartPolicy",
			"field-valid Job/once spec.template.spec.containers[0].volumeMounts[0].name",
			"server Deployment/toy spec.template.spec.runtimeClassName",
			// The server says spec.strategy, volumeMounts without an index, and resources.requests.
			"field-valid Deployment/beside spec.strategy.type",
			"field-valid Deployment/beside spec.template.spec.containers[0].volumeMounts[0].mountPropagation",
			"field-valid Deployment/beside spec.template.spec.resources.requests.cpu",
			"field-valid Service/toy spec.sessionAffinity",
			"field-valid Service/toy spec.ports[0].protocol",
		}, have, "%v", versions)
	}
}

func TestAHundredWorkloadsAreRehearsedInSeconds(t *testing.T) {
	s := connect(t)
	r := charttest.MustLoad(t, chartOf(t, "{{ range until 100 }}\n---\n"+strings.Replace(deployment, "name: toy", "name: toy-{{ . }}", 1)+"{{ end }}")).MustRender(t)
	h, err := s.Rehearse(t.Context(), r, check.Cluster{})
	require.NoError(t, err)
	require.Empty(t, h.Findings)
	require.Equal(t, 100, h.Objects)
	require.Equal(t, 100, h.Pods)
}

// What is written for real is the namespace, and what admission looks up.
func TestOnlyAccountsAndLimitsAreMade(t *testing.T) {
	s := connect(t)
	config := rest.CopyConfig(api.Config)
	config.QPS = -1
	client, err := dynamic.NewForConfig(config)
	require.NoError(t, err)
	chart := charttest.MustLoad(t, "../../charts/ai-film")
	seen := map[string]bool{}
	s.Each = func(*charttest.Object) {
		for _, kind := range []string{"deployments.apps", "statefulsets.apps", "pods", "secrets", "persistentvolumeclaims", "services", "serviceaccounts"} {
			name, group, _ := strings.Cut(kind, ".")
			gvr := namespaces
			gvr.Group, gvr.Resource = group, name
			list, err := client.Resource(gvr).List(context.Background(), metav1.ListOptions{})
			if err != nil {
				t.Error(err)
				return
			}
			for _, o := range list.Items {
				if strings.HasPrefix(o.GetNamespace(), "rehearsal-") {
					seen[kind] = true
				}
			}
		}
	}
	_, err = s.Rehearse(t.Context(), chart.MustRender(t, s.Profile(), seeded), restricted)
	require.NoError(t, err)
	require.Equal(t, map[string]bool{"serviceaccounts": true}, seen)
}

// Objects out of shape are refused at their place, and break nothing.
func TestObjectsOutOfShape(t *testing.T) {
	s := connect(t)
	for name, c := range map[string]struct{ template, field, message string }{
		"no name":             {"apiVersion: v1\nkind: ConfigMap\n", "metadata.name", "Required value"},
		"name is a number":    {"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: 3}\n", "", "cannot unmarshal number"},
		"spec is a list":      {"apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\nspec: []\n", "", "cannot unmarshal array"},
		"template is text":    {"apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\nspec: {template: x}\n", "spec.template", "cannot unmarshal string"},
		"no template":         {"apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: a}\nspec: {selector: {matchLabels: {a: b}}}\n", "spec.template.spec.containers", "Required value"},
		"claims are text":     {"apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: a}\nspec: {volumeClaimTemplates: [x]}\n", "", ""},
		"no apiVersion":       {"kind: ConfigMap\nmetadata: {name: a}\n", "", "no valid apiVersion"},
		"unknown group":       {"apiVersion: a/b/c\nkind: ConfigMap\nmetadata: {name: a}\n", "", "no valid apiVersion"},
		"name in other words": {"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: фильм}\n", "metadata.name", "Invalid value"},
		"too long":            {"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {a: {{ repeat 1100000 \"a\" }}}\n", "", "Too long"},
		"namespace is bad":    {"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: \"No Namespace/\"}\n", "metadata.namespace", "lowercase"},
		"CRD without names":   {"apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: a}\nspec: 3\n", "", "cannot unmarshal number"},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := charttest.MustLoad(t, chartOf(t, c.template)).Render(t.Context(), charttest.Profile{Lax: true})
			require.NoError(t, err)
			h, err := s.Rehearse(t.Context(), r, check.Cluster{})
			require.NoError(t, err)
			require.NotEmpty(t, len(h.Findings)+len(h.Unrehearsed))
			if len(h.Findings) == 0 {
				require.Contains(t, h.Unrehearsed[0].Reason, c.message)
				return
			}
			var heard []string
			for _, f := range h.Findings {
				require.NotZero(t, f.Place().Line)
				heard = append(heard, f.Field+"|"+f.Message)
			}
			found := false
			for _, line := range heard {
				field, message, _ := strings.Cut(line, "|")
				found = found || (c.field == "" || field == c.field) && strings.Contains(message, c.message)
			}
			require.True(t, found, "%q at %s is not among %s", c.message, c.field, strings.Join(heard, "\n"))
		})
	}
	_, err := s.Rehearse(t.Context(), good(t), check.Cluster{PodSecurity: "strict"})
	require.ErrorContains(t, err, `must be one of`)
}
