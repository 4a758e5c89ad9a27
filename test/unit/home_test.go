package unit

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/ai-film/ai-film/charttest"
)

func class(name, provisioner string, isDefault bool) *storagev1.StorageClass {
	c := &storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: name}, Provisioner: provisioner}
	if isDefault {
		c.Annotations = map[string]string{"storageclass.kubernetes.io/is-default-class": "true"}
	}
	return c
}

func node(name, gpus string) *corev1.Node {
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}, Status: corev1.NodeStatus{Allocatable: corev1.ResourceList{"cpu": resource.MustParse("8")}}}
	if gpus != "" {
		n.Status.Allocatable["nvidia.com/gpu"] = resource.MustParse(gpus)
	}
	return n
}

// A home that can't hold the studio is refused by name, with the profile to take, and the profile is taken.
func TestPlainInstallOnAHomeThatCannotServeIt(t *testing.T) {
	rules := rulesOf(t, "ai-film.preflight")
	k3s := []runtime.Object{class("local-path", "rancher.io/local-path", true), node("box", "1")}
	laptop := []runtime.Object{class("standard", "k8s.io/minikube-hostpath", true), node("minikube", "")}
	for name, home := range map[string]struct {
		cluster []runtime.Object
		profile string
		set     []string
		says    []string
		mended  []charttest.Option
	}{
		"k3s": {
			cluster: k3s, says: []string{"the StorageClass local-path (rancher.io/local-path) makes volumes for one node only", "-f values/k3s-single-gpu.yaml"},
			mended: []charttest.Option{studio(t).Profile("k3s-single-gpu")},
		},
		"k3s without a GPU": {
			cluster: []runtime.Object{k3s[0], node("box", "0")}, says: []string{"-f values/dev.yaml"},
			mended: []charttest.Option{studio(t).Profile("dev")},
		},
		"minikube": {
			cluster: laptop, says: []string{"no node of this cluster offers nvidia.com/gpu", "-f values/dev.yaml", "device plugin"},
			mended: []charttest.Option{studio(t).Profile("dev")},
		},
		"GKE": {
			cluster: []runtime.Object{class("standard-rwo", "pd.csi.storage.gke.io", true), class("standard-rwx", "filestore.csi.storage.gke.io", false), node("pool-1", "")},
			says:    []string{"standard-rwo (pd.csi.storage.gke.io)", "-f values/gke-autoscaling.yaml"},
			mended:  []charttest.Option{studio(t).Profile("gke-autoscaling")},
		},
		"a class that isn't there": {
			cluster: k3s, profile: "gke-autoscaling", says: []string{"storage.images.storageClass is standard-rwx", "no such StorageClass", "It has local-path"},
			mended: []charttest.Option{studio(t).Profile("k3s-single-gpu")},
		},
		"no default class": {
			cluster: []runtime.Object{class("nfs", "nfs.csi.k8s.io", false), node("box", "1")}, says: []string{"has no default StorageClass", "Name one of nfs"},
			mended: []charttest.Option{charttest.Set("storage.images.storageClass=nfs", "storage.videos.storageClass=nfs", "storage.models.storageClass=nfs",
				"storage.dagster.storageClass=nfs", "storage.postgres.storageClass=nfs")},
		},
		"one node of several has the GPU": {
			cluster: []runtime.Object{k3s[0], node("plain", ""), node("box", "1")}, profile: "k3s-single-gpu",
			says:   []string{"only box of this cluster's 2 nodes has nvidia.com/gpu", `--set global.nodeSelector.kubernetes\.io/hostname=box`},
			mended: []charttest.Option{charttest.Set(`global.nodeSelector.kubernetes\.io/hostname=box`)},
		},
		"GPUs under another name": {
			cluster: []runtime.Object{class("nfs", "nfs.csi.k8s.io", true), node("box", "1")}, set: []string{"processing.comfyui.gpu.resourceName=nvidia.com/mig-1g.10gb"},
			says:   []string{"no node of this cluster offers nvidia.com/mig-1g.10gb", "gpu.resourceName"},
			mended: []charttest.Option{charttest.Set("processing.comfyui.gpu.resourceName=nvidia.com/gpu")},
		},
	} {
		t.Run(name, func(t *testing.T) {
			options := []charttest.Option{installed, charttest.Set(home.set...)}
			if home.profile != "" {
				options = append(options, studio(t).Profile(home.profile))
			}
			options = append(options, charttest.Release("ai-film", "ai-film"), charttest.Lookup(home.cluster...))
			_, err := studio(t).Render(t.Context(), options...)
			var failure *charttest.Failure
			require.ErrorAs(t, err, &failure)
			rules.try(t, err)
			for _, text := range home.says {
				assert.Contains(t, err.Error(), text)
			}
			_, err = studio(t).Render(t.Context(), append([]charttest.Option{charttest.Set("preflight.enabled=false")}, options...)...)
			assert.NoError(t, err, "who may not read nodes and classes")
			_, err = studio(t).Render(t.Context(), append(options, charttest.Upgrade())...)
			assert.NoError(t, err, "what runs is not judged anew")
			mended := append([]charttest.Option{installed, charttest.Set(home.set...)}, home.mended...)
			if home.profile != "" && len(home.mended) == 1 && name == "one node of several has the GPU" {
				mended = append([]charttest.Option{installed, studio(t).Profile(home.profile)}, home.mended...)
			}
			_, err = studio(t).Render(t.Context(), append(mended, installed, charttest.Lookup(home.cluster...))...)
			assert.NoError(t, err, "the remedy")
		})
	}
	_, err := studio(t).Render(t.Context(), installed, charttest.Lookup(class("nfs", "nfs.csi.k8s.io", true), node("plain", ""), node("box", "1")))
	assert.NoError(t, err, "a home that serves the reference architecture")
	rules.none(t)
}

// On a single node there is nowhere for pods to go: a budget would keep kubectl drain waiting for ever.
func TestNoBudgetsOnOneNode(t *testing.T) {
	assert.NotEmpty(t, charttest.All[*policyv1.PodDisruptionBudget](render(t)))
	assert.Empty(t, charttest.All[*policyv1.PodDisruptionBudget](profile(t, "k3s-single-gpu")))
	assert.Empty(t, charttest.All[*policyv1.PodDisruptionBudget](profile(t, "dev")))
}

// Shared and partitioned GPUs, other vendors' and claimed devices.
func TestGPUsByOtherNames(t *testing.T) {
	for _, name := range []corev1.ResourceName{"nvidia.com/gpu.shared", "nvidia.com/mig-1g.10gb", "amd.com/gpu"} {
		r := render(t, charttest.Set("processing.comfyui.gpu.resourceName="+string(name), "processing.comfyui.gpu.count=2"))
		resources := workloads(r)["comfyui"].container().Resources
		limit, request := resources.Limits[name], resources.Requests[name]
		assert.EqualValues(t, 2, limit.Value(), name)
		assert.EqualValues(t, 2, request.Value(), name)
		assert.NotContains(t, resources.Limits, corev1.ResourceName("nvidia.com/gpu"))
		assert.Contains(t, resources.Limits, corev1.ResourceMemory)
	}
	r := render(t, charttest.Set("processing.comfyui.gpu.deviceClass=gpu.nvidia.com", "processing.comfyui.gpu.count=2"), charttest.KubeVersion("1.34.0"))
	template := r.Object("ResourceClaimTemplate", "comfyui-gpu")
	require.NotNil(t, template)
	pod := workloads(r)["comfyui"].template.Spec
	require.Len(t, pod.ResourceClaims, 1)
	assert.Equal(t, "comfyui-gpu", *pod.ResourceClaims[0].ResourceClaimTemplateName)
	assert.Equal(t, []corev1.ResourceClaim{{Name: "gpu"}}, pod.Containers[0].Resources.Claims)
	assert.NotContains(t, pod.Containers[0].Resources.Limits, corev1.ResourceName("nvidia.com/gpu"))
	_, err := studio(t).Render(t.Context(), installed, charttest.Set("processing.comfyui.gpu.deviceClass=gpu.nvidia.com"), charttest.KubeVersion("1.33.0"))
	assert.ErrorContains(t, err, "from Kubernetes 1.34 on")
}

// ComfyUI's own database is where it may write.
func TestComfyUIWritesOnlyWhereItMay(t *testing.T) {
	for _, mode := range []string{"gpu", "cpu"} {
		c := workloads(render(t, charttest.Set("processing.comfyui.mode="+mode)))["comfyui"].container()
		assert.Contains(t, c.Command, "--database-url")
		assert.Contains(t, c.Command, "sqlite:////data/comfyui.db")
		at := map[string]string{}
		for _, m := range c.VolumeMounts {
			at[m.MountPath] = m.Name
		}
		assert.Equal(t, "work", at["/data"])
	}
}

// Nothing on the node's disk grows without an end.
func TestScratchHasAnEnd(t *testing.T) {
	for _, p := range profiles(t) {
		r := studio(t).MustRender(t, p)
		pods := map[string]corev1.PodSpec{"run": runPod(t, r)}
		for name, w := range workloads(r) {
			pods[name] = w.template.Spec
		}
		for name, pod := range pods {
			for _, v := range pod.Volumes {
				if v.EmptyDir != nil {
					if assert.NotNil(t, v.EmptyDir.SizeLimit, "%s: %s", name, v.Name) {
						assert.Positive(t, v.EmptyDir.SizeLimit.Value(), "%s: %s", name, v.Name)
					}
				}
			}
		}
	}
	r := render(t, charttest.Set("data.ffmpeg.scratch=5Gi", "processing.comfyui.server.work=20Gi"))
	assert.Equal(t, "5Gi", workloads(r)["ffmpeg"].template.Spec.Volumes[0].EmptyDir.SizeLimit.String())
}

// OpenShift gives each namespace ids of its own, and refuses pods that name others.
func TestUserIDsCanBeTheClusters(t *testing.T) {
	r := render(t, charttest.Set("global.userIDs=false"))
	pods := map[string]corev1.PodSpec{"run": runPod(t, r), "test": charttest.Get[*corev1.Pod](t, r, "ai-film-test").Spec}
	for name, w := range workloads(r) {
		pods[name] = w.template.Spec
	}
	for name, pod := range pods {
		s := pod.SecurityContext
		assert.True(t, *s.RunAsNonRoot, name)
		assert.Nil(t, s.RunAsUser, name)
		assert.Nil(t, s.RunAsGroup, name)
		assert.Nil(t, s.FSGroup, name)
	}
	s := workloads(render(t, charttest.Set("data.ffmpeg.podSecurityContext.runAsUser=20001", "data.ffmpeg.podSecurityContext.fsGroup=null")))["ffmpeg"].template.Spec.SecurityContext
	assert.EqualValues(t, 20001, *s.RunAsUser)
	assert.EqualValues(t, 10001, *s.RunAsGroup)
	assert.Nil(t, s.FSGroup)
}

// With IPv6 every server listens on it, and Services can have both families.
func TestIPv6(t *testing.T) {
	r := render(t, charttest.Set("global.ipv6=true", "global.ipFamilyPolicy=PreferDualStack"))
	for name, w := range workloads(r) {
		c := w.container()
		switch {
		case name == "postgresql" || name == "redis" || name == "dagster-daemon": // listen on all, or on nothing
		case name == "dagster" || name == "dagster-code":
			assert.Contains(t, c.Command, "::", name)
		case name == "comfyui":
			assert.Contains(t, c.Command, "0.0.0.0,::", name)
		default:
			assert.Equal(t, "::", environment(c)["HOST"], name)
		}
	}
	for _, s := range charttest.All[*corev1.Service](r) {
		require.NotNil(t, s.Spec.IPFamilyPolicy, s.Name)
		assert.Equal(t, corev1.IPFamilyPolicyPreferDualStack, *s.Spec.IPFamilyPolicy, s.Name)
	}
	for name, w := range workloads(render(t)) {
		assert.NotContains(t, environment(w.container()), "HOST", name)
	}
}

// Redis is disposable and has a name of its own all the same.
func TestRedisIsAStatefulSet(t *testing.T) {
	redis := charttest.Get[*appsv1.StatefulSet](t, render(t), "redis")
	assert.Equal(t, "redis", redis.Spec.ServiceName)
	assert.Empty(t, redis.Spec.VolumeClaimTemplates)
}
