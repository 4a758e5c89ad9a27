package dryrun_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/tools/txtar"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"github.com/ai-film/ai-film/charttest"
	"github.com/ai-film/ai-film/charttest/check"
	"github.com/ai-film/ai-film/charttest/dryrun"
	"github.com/ai-film/ai-film/charttest/internal/envtest"
	"github.com/ai-film/ai-film/charttest/internal/testfiles"
)

// unpack writes an archive's files into a folder, and returns them too.
func unpack(t *testing.T, file string) (dir string, files map[string]string) {
	t.Helper()
	archive, err := txtar.ParseFile(file)
	require.NoError(t, err)
	dir, files = t.TempDir(), map[string]string{}
	testfiles.Unpack(t, dir, archive.Files)
	for _, f := range archive.Files {
		files[f.Name] = string(f.Data)
	}
	return dir, files
}

// rows are the lines of a table, cut at «|».
func rows(table string) (all [][]string) {
	for _, line := range strings.Split(strings.TrimSpace(table), "\n") {
		var row []string
		for _, cell := range strings.Split(line, " | ") {
			row = append(row, strings.TrimSpace(cell))
		}
		all = append(all, row)
	}
	return all
}

var restricted = check.Cluster{PodSecurity: "restricted", External: []string{"RuntimeClass/nvidia"}}

func TestEveryDefectIsFoundAtItsPlaceAndNothingIsKept(t *testing.T) {
	needServer(t)
	dir, files := unpack(t, "testdata/defects.txtar")
	apply(t, files["cluster.yaml"])
	chart := charttest.MustLoad(t, dir)
	var rehearsal *dryrun.Rehearsal
	var before map[string]string
	require.Eventually(t, func() bool { // until the server has taken notice of the definition and the policy
		s := connect(t)
		before = inventory(t)
		r, err := chart.Render(t.Context(), s.Profile(), charttest.APIVersions("declared.example.org/v1"), charttest.Profile{Lax: true})
		require.NoError(t, err)
		rehearsal, err = s.Rehearse(t.Context(), r, restricted)
		require.NoError(t, err)
		heard := fmt.Sprint(rehearsal.Findings)
		return strings.Contains(heard, "two-takes") && strings.Contains(heard, "longer than its film")
	}, time.Minute, 200*time.Millisecond)
	assert.Equal(t, before, inventory(t))

	var have []string
	for _, f := range rehearsal.Findings {
		have = append(have, fmt.Sprintf("%s | %s | %s:%d | %s", f.Object, f.Field, filepath.Base(f.Place().File), f.Place().Line, f.Message))
	}
	want := rows(files["want.txt"])
	for _, row := range want {
		found := false
		for _, line := range have {
			cells := strings.SplitN(line, " | ", 4)
			found = found || cells[0] == row[0] && cells[1] == row[1] && cells[2] == row[2] && strings.Contains(cells[3], row[3])
		}
		assert.True(t, found, "%s is not among\n%s", strings.Join(row, " | "), strings.Join(have, "\n"))
	}
	assert.Len(t, have, len(want), "\n%s", strings.Join(have, "\n"))

	omitted := rows(files["unrehearsed.txt"])
	assert.Len(t, rehearsal.Unrehearsed, len(omitted), "%v", rehearsal.Unrehearsed)
	for _, row := range omitted {
		found := false
		for _, u := range rehearsal.Unrehearsed {
			found = found || u.Object.String() == row[0] && strings.Contains(u.Reason, row[1])
		}
		assert.True(t, found, "%v is not among %v", row, rehearsal.Unrehearsed)
	}

	deployment, err := dryrun.Defaulted[*appsv1.Deployment](rehearsal, "good")
	require.NoError(t, err)
	assert.Equal(t, int32(1), *deployment.Spec.Replicas)
	assert.Equal(t, appsv1.RollingUpdateDeploymentStrategyType, deployment.Spec.Strategy.Type)
	assert.Empty(t, deployment.Namespace)
	pod, err := dryrun.Pod(rehearsal, "Deployment/good")
	require.NoError(t, err)
	assert.Equal(t, []corev1.LocalObjectReference{{Name: "pull"}}, pod.Spec.ImagePullSecrets, "of its account")
	assert.Empty(t, pod.Spec.Volumes, "its account mounts no token")
	assert.Equal(t, "64Mi", pod.Spec.Containers[0].Resources.Limits.Memory().String(), "of the LimitRange")
	_, err = dryrun.Pod(rehearsal, "Deployment/insecure")
	assert.ErrorContains(t, err, "refused")
	_, err = dryrun.Defaulted[*appsv1.Deployment](rehearsal, "nobody")
	var none *charttest.MissingError
	assert.ErrorAs(t, err, &none)
	film, err := dryrun.Defaulted[*unstructured.Unstructured](rehearsal, "ConfigMap/home")
	require.NoError(t, err)
	assert.Equal(t, "kube-system", film.GetNamespace())
}

// seeded are the passwords of a studio whose templates can't read the cluster that they are for, as Argo CD's can't.
var seeded = charttest.Set("global.secretSeed=a text of at least thirty-two characters")

func TestOurChartIsAcceptedInEveryProfile(t *testing.T) {
	s := connect(t)
	chart := charttest.MustLoad(t, "../../charts/ai-film")
	for _, p := range chart.Profiles() {
		t.Run(p.Name, func(t *testing.T) {
			r := chart.MustRender(t, p, s.Profile(), seeded, charttest.APIVersions("cloud.google.com/v1", "monitoring.googleapis.com/v1"))
			rehearsal, err := s.Rehearse(t.Context(), r, restricted)
			require.NoError(t, err)
			for _, f := range rehearsal.Findings {
				if !strings.Contains(f.Message, "kubernetes.io/ingress.class") { // GKE reads nothing else
					t.Error(f)
				}
			}
			require.Greater(t, rehearsal.Objects, 30)
			require.GreaterOrEqual(t, rehearsal.Pods, 9)
		})
	}
}

func TestWhatKeepsARehearsalFromTakingPlaceIsSaidWithARemedy(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0") // accepts and never answers
	require.NoError(t, err)
	t.Cleanup(func() { silent.Close() }) // after the parallel subtests
	for name, c := range map[string]struct {
		config *rest.Config
		want   []string
	}{
		"nobody listens": {&rest.Config{Host: "https://127.0.0.1:1"}, []string{"not in reach", "start it"}},
		"nobody answers": {&rest.Config{Host: "https://" + silent.Addr().String()}, []string{"doesn't answer within 10s", "start it"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := dryrun.Connect(t.Context(), c.config)
			var refused *dryrun.Error
			require.ErrorAs(t, err, &refused)
			for _, part := range c.want {
				require.ErrorContains(t, err, part)
			}
		})
	}
	t.Run("cancelled", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := dryrun.Connect(ctx, &rest.Config{Host: "https://" + silent.Addr().String()})
		require.ErrorIs(t, err, context.Canceled)
	})
	t.Run("no kubeconfig", func(t *testing.T) {
		t.Setenv("KUBECONFIG", filepath.Join(t.TempDir(), "none"))
		t.Setenv("HOME", t.TempDir())
		t.Setenv("KUBERNETES_SERVICE_HOST", "")
		_, err := dryrun.Config("", "")
		require.ErrorContains(t, err, "no kubeconfig was found")
		_, err = dryrun.Config("/nowhere", "")
		require.ErrorContains(t, err, "/nowhere")
		_, err = dryrun.Config("", "nowhere")
		require.ErrorContains(t, err, "nowhere")
	})
	t.Run("wrong token", func(t *testing.T) {
		needServer(t)
		config := rest.CopyConfig(api.Config)
		config.BearerToken = "wrong"
		_, err := dryrun.Connect(t.Context(), config)
		require.ErrorContains(t, err, "doesn't know who asks")
	})
	t.Run("no rights", func(t *testing.T) {
		needServer(t)
		s, err := dryrun.Connect(t.Context(), api.As(envtest.Nobody))
		require.NoError(t, err)
		_, err = s.Rehearse(t.Context(), good(t), check.Cluster{})
		require.ErrorContains(t, err, `user "nobody"`)
		require.ErrorContains(t, err, "may not create namespaces at the cluster scope")
	})
	t.Run("too few rights", func(t *testing.T) {
		needServer(t)
		apply(t, `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: nobody}
rules: [{apiGroups: [""], resources: [namespaces], verbs: [create, delete]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: nobody}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: nobody}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: nobody}]`)
		s, err := dryrun.Connect(t.Context(), api.As(envtest.Nobody))
		require.NoError(t, err)
		require.Eventually(t, func() bool { // until the right has got about
			_, err = s.Rehearse(t.Context(), good(t), check.Cluster{})
			return err != nil && !strings.Contains(err.Error(), "create namespaces")
		}, time.Minute, 100*time.Millisecond)
		require.ErrorContains(t, err, "create deployments.apps in the throw-away namespace")
		require.ErrorContains(t, err, "create pods in the throw-away namespace")
		require.ErrorContains(t, err, "create serviceaccounts in the throw-away namespace")
	})
}

// good is a render that has nothing to complain of.
func good(t *testing.T) *charttest.Render {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "templates"), 0o755))
	for name, content := range map[string]string{
		"Chart.yaml": "apiVersion: v2\nname: good\nversion: 1.0.0\n",
		"templates/app.yaml": "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: good}\nspec:\n  selector: {matchLabels: {a: b}}\n" +
			"  template:\n    metadata: {labels: {a: b}}\n    spec: {containers: [{name: app, image: 'app:1'}]}\n",
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644))
	}
	return charttest.MustLoad(t, dir).MustRender(t)
}

// open are the throw-away namespaces that nobody has deleted.
func open(t *testing.T) (names []string) {
	t.Helper()
	client, err := dynamic.NewForConfig(api.Config)
	require.NoError(t, err)
	list, err := client.Resource(namespaces).List(context.Background(), metav1.ListOptions{LabelSelector: dryrun.Label})
	require.NoError(t, err)
	for _, n := range list.Items {
		if n.GetDeletionTimestamp() == nil {
			names = append(names, n.GetName())
		}
	}
	return names
}

var namespaces = schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}

func TestACancelledRehearsalLeavesNothing(t *testing.T) {
	s := connect(t)
	chart := charttest.MustLoad(t, "../../charts/ai-film")
	r := chart.MustRender(t, s.Profile(), seeded)
	for _, after := range []int{1, 3, 20} {
		ctx, cancel := context.WithCancel(t.Context())
		heard := 0
		s.Each = func(*charttest.Object) {
			if heard++; heard == after {
				cancel()
			}
		}
		_, err := s.Rehearse(ctx, r, restricted)
		require.True(t, errors.Is(err, context.Canceled), "%v", err)
		require.Empty(t, open(t))
	}
}
