package unit

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/ai-film/ai-film/charttest"
)

func claim(name, class string, mode corev1.PersistentVolumeAccessMode) *corev1.PersistentVolumeClaim {
	return &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "ai-film"},
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{mode}, StorageClassName: &class,
			Resources: corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{"storage": resource.MustParse("10Gi")}},
		},
	}
}

func passwords(change map[string]string) *corev1.Secret {
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "mine", Namespace: "ai-film"}, Data: map[string][]byte{}}
	for _, key := range passwordKeys {
		secret.Data[key] = []byte("fromTheVaultWithCare")
	}
	for key, value := range change {
		if value == "" {
			delete(secret.Data, key)
		} else {
			secret.Data[key] = []byte(value)
		}
	}
	return secret
}

// of makes an object that Helm installed for a release.
func of(release string, object metav1.Object) runtime.Object {
	object.SetAnnotations(map[string]string{"meta.helm.sh/release-name": release})
	return object.(runtime.Object)
}

// ruleLine is where a refusal comes from.
var ruleLine = regexp.MustCompile(`templates/_validation\.tpl:(\d+):`)

// untried are the lines of a definition of templates/_validation.tpl that refuse, and of which a test then takes away what it tries.
// What asks which APIs a live cluster has is left out: a render without one has Helm's own list.
type untried map[int]string

func rulesOf(t testing.TB, definition string) untried {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, "charts/ai-film/templates/_validation.tpl"))
	require.NoError(t, err)
	all, inside, before := untried{}, false, ""
	for i, line := range strings.Split(string(data), "\n") {
		if strings.Contains(line, "define ") {
			inside = strings.Contains(line, fmt.Sprintf("%q", definition))
		}
		if inside && strings.Contains(line, "fail ") && !(strings.Contains(before, "offline") && strings.Contains(before, "not (.Capabilities.APIVersions.Has")) {
			all[i+1] = line
		}
		before = line
	}
	require.NotEmpty(t, all)
	return all
}

// try says that a refusal was tried.
func (u untried) try(t testing.TB, err error) {
	t.Helper()
	at := ruleLine.FindStringSubmatch(err.Error())
	require.NotNil(t, at, err.Error())
	line, _ := strconv.Atoi(at[1])
	delete(u, line)
}

func (u untried) none(t testing.TB) {
	t.Helper()
	for line, rule := range u {
		t.Errorf("_validation.tpl:%d is tried by nothing here: %.160s", line, rule)
	}
}

// Each rule of templates/_validation.tpl: what it refuses, what it says, and that its remedy is one.
func TestValidation(t *testing.T) {
	rules := rulesOf(t, "ai-film.validate")
	for name, rule := range map[string]struct {
		set    []string
		lookup []runtime.Object
		prefix string // a release name
		on     charttest.Option
		says   []string
		mended []string // added to set, or with lookup alone replacing it
	}{
		"long release name with prefix": {
			prefix: strings.Repeat("f", 41), set: []string{"global.releasePrefix=true"},
			says:   []string{"41 characters", "at most 40"},
			mended: []string{"global.releasePrefix=false"},
		},
		"shared volume on one node, pods on several": {
			set:    []string{"storage.images.accessMode=ReadWriteOnce"},
			says:   []string{"storage.images.accessMode is ReadWriteOnce", "global.singleNode=true"},
			mended: []string{"global.singleNode=true"},
		},
		"the same for dagster's": {
			set:    []string{"storage.dagster.accessMode=ReadWriteOnce"},
			says:   []string{"storage.dagster.accessMode", "ReadWriteMany"},
			mended: []string{"storage.dagster.accessMode=ReadWriteMany"},
		},
		"autoscaling on one node": {
			set:    []string{"global.singleNode=true", "application.flask.autoscaling.enabled=true"},
			says:   []string{"application.flask.autoscaling.enabled", "global.singleNode"},
			mended: []string{"application.flask.autoscaling.enabled=false"},
		},
		"autoscaler's minimum above its maximum": {
			set:    []string{"data.ffmpeg.autoscaling.enabled=true", "data.ffmpeg.replicas=12"},
			says:   []string{"data.ffmpeg", "replicas (12)", "maxReplicas (10)"},
			mended: []string{"data.ffmpeg.autoscaling.maxReplicas=12"},
		},
		"autoscaling by CPU without a request": {
			set:    []string{"processing.opencv.autoscaling.enabled=true", "processing.opencv.resources.requests.cpu=null"},
			says:   []string{"processing.opencv.autoscaling", "resources.requests.cpu"},
			mended: []string{"processing.opencv.resources.requests.cpu=100m"},
		},
		"autoscaling from nothing": {
			set:    []string{"processing.blender.replicas=0", "processing.blender.autoscaling.enabled=true"},
			says:   []string{"processing.blender: replicas is 0", "at least 1"},
			mended: []string{"processing.blender.replicas=1"},
		},
		"a variable that is the chart's own": {
			set:    []string{"data.ffmpeg.extraEnv[0].name=PORT", "data.ffmpeg.extraEnv[0].value=x"},
			says:   []string{"data.ffmpeg.env: PORT is the chart's own", "Remove it"},
			mended: []string{"data.ffmpeg.extraEnv[0].name=NOT_PORT"},
		},
		"a variable without a name": {
			set:    []string{"data.ffmpeg.extraEnv[0].value=x"},
			says:   []string{"every entry needs a name"},
			mended: []string{"data.ffmpeg.extraEnv[0].name=A"},
		},
		"a global nobody reads": {
			set:  []string{"global.singelNode=true"},
			says: []string{"global.singelNode: this chart has no such value", "singleNode"},
		},
		"a release name that begins no Service's, with prefix": {
			prefix: "2024film", set: []string{"global.releasePrefix=true"},
			says:   []string{`"2024film" cannot begin the name of a Service`, "Choose another"},
			mended: []string{"global.releasePrefix=false"},
		},
		"a release name with a dot, with prefix": {
			prefix: "film.v1", set: []string{"global.releasePrefix=true"},
			says:   []string{`"film.v1" cannot begin the name of a Service`},
			mended: []string{"global.releasePrefix=false"},
		},
		"an older release's values, a whole group": {
			set:  []string{"networkPolicy=null"},
			says: []string{"networkPolicy.enabled is missing", "not with --reuse-values"},
		},
		"TLS to the chart's own PostgreSQL": {
			set:    []string{"global.postgresql.sslMode=require"},
			says:   []string{"global.postgresql has sslMode", "data.postgresql.enabled=false"},
			mended: []string{"global.postgresql.host=db.example.com", "data.postgresql.enabled=false"},
		},
		"an authority that is not named": {
			set:    []string{"global.postgresql.sslMode=verify-full", "global.postgresql.host=db.example.com", "data.postgresql.enabled=false"},
			says:   []string{"sslMode is verify-full", "global.postgresql.caSecret"},
			mended: []string{"global.postgresql.caSecret=ca"},
		},
		"TLS to the chart's own Redis": {
			set:    []string{"global.redis.tls=true"},
			says:   []string{"global.redis has tls", "data.redis.enabled=false"},
			mended: []string{"global.redis.host=cache.example.com", "data.redis.enabled=false"},
		},
		"a PostgreSQL elsewhere beside the chart's": {
			set:    []string{"global.postgresql.host=db.example.com"},
			says:   []string{"global.postgresql.host names a server elsewhere", "data.postgresql.enabled=false"},
			mended: []string{"data.postgresql.enabled=false"},
		},
		"KEDA without a Prometheus": {
			set:    []string{"metrics.queues=keda"},
			says:   []string{"metrics.prometheusURL names none"},
			mended: []string{"metrics.prometheusURL=http://prometheus:9090"},
		},
		"queues that nothing collects": {
			set:    []string{"metrics.queues=gke"},
			says:   []string{"metrics.collector is not", "metrics.collector=gke"},
			mended: []string{"metrics.collector=gke"},
		},
		"two that collect": {
			set:    []string{"monitoring.enabled=true", "monitoring.mode=own", "metrics.collector=prometheus-operator"},
			says:   []string{"monitoring.mode is own, and metrics.collector is prometheus-operator", "metrics.collector=none"},
			mended: []string{"metrics.collector=none"},
		},
		"a receiver without its secret": {
			set:    []string{"monitoring.enabled=true", "monitoring.mode=own", "monitoring.alertmanager.slack.channel=#films"},
			says:   []string{"existingSecret names no Secret", "slack-url"},
			mended: []string{"monitoring.alertmanager.existingSecret=told"},
		},
		"a mail that nobody carries": {
			set:    []string{"monitoring.enabled=true", "monitoring.mode=own", "monitoring.alertmanager.email.to=a@example.com"},
			says:   []string{"nobody would carry the mail", "mail.example.com:587"},
			mended: []string{"monitoring.alertmanager.email.from=b@example.com", "monitoring.alertmanager.email.smartHost=mail.example.com:25"},
		},
		"GKE's public load balancer without TLS": {
			set:    []string{`ingress.annotations.kubernetes\.io/ingress\.class=gce`, "ingress.host=film.example.com"},
			says:   []string{"public address", "plain HTTP", "managedCertificate=true", "gce-internal"},
			mended: []string{"ingress.tls.managedCertificate=true"},
		},
		"a certificate for no public name": {
			set:    []string{"ingress.tls.managedCertificate=true"},
			says:   []string{`public names only, and "ai-film.local" is none`},
			mended: []string{"ingress.host=film.example.com"},
		},
		"two certificates": {
			set:    []string{"ingress.tls.managedCertificate=true", "ingress.host=film.example.com", "ingress.tlsSecret=mine"},
			says:   []string{"exclude each other", "Keep one"},
			mended: []string{"ingress.tlsSecret="},
		},
		"two sources of passwords": {
			set:    []string{"global.existingSecret=mine", "global.secretSeed=a text of at least thirty-two characters"},
			says:   []string{"global.existingSecret and global.secretSeed exclude each other"},
			mended: []string{"global.existingSecret="},
		},
		"own Secret with a short token": {
			set: []string{"global.existingSecret=mine"}, lookup: []runtime.Object{passwords(map[string]string{"service-token": "short"})},
			says: []string{"service-token in the Secret mine has fewer than 16 characters"},
		},
		"a smaller volume": {
			set: []string{"storage.videos.size=9Gi"}, lookup: []runtime.Object{claim("videos-pvc", "nfs", corev1.ReadWriteMany)},
			says:   []string{"storage.videos.size is 9Gi", "videos-pvc in the cluster has 10Gi", "cannot shrink"},
			mended: []string{"storage.videos.size=10240Mi"},
		},
		"a larger volume of a class that can't": {
			lookup: []runtime.Object{claim("videos-pvc", "local-path", corev1.ReadWriteMany), class("local-path", "rancher.io/local-path", true)},
			says:   []string{"storage.videos.size is 100Gi", "has 10Gi", "class local-path cannot grow", "back up", "--set storage.videos.size=10Gi"},
			mended: []string{"storage.videos.size=10Gi"},
		},
		"two PostgreSQL servers": {
			set:    []string{"data.postgresql.replicas=2"},
			says:   []string{"data.postgresql.replicas is 2", "exactly one", "global.postgresql.host"},
			mended: []string{"data.postgresql.enabled=false", "global.postgresql.host=db.example.com"},
		},
		"two Redis servers": {
			set:    []string{"data.redis.replicas=2"},
			says:   []string{"data.redis.replicas is 2", "global.redis.host"},
			mended: []string{"data.redis.replicas=1"},
		},
		"no PostgreSQL": {
			set:    []string{"data.postgresql.enabled=false"},
			says:   []string{"data.postgresql is disabled", "global.postgresql.host"},
			mended: []string{"global.postgresql.host=db.example.com"},
		},
		"no data layer": {
			set:    []string{"data.enabled=false", "global.postgresql.host=db"},
			says:   []string{"data.redis is disabled", "global.redis.host"},
			mended: []string{"global.redis.host=cache"},
		},
		"servers elsewhere that nobody uses": {
			set:    []string{"processing.comfyui.remote.urls={https://comfyui.example.com}"},
			says:   []string{"processing.comfyui.remote.urls is set", "in mode gpu", "processing.comfyui.remote.enabled=true"},
			mended: []string{"processing.comfyui.mode=remote"},
		},
		"a bridge to nowhere": {
			set:    []string{"processing.comfyui.bridge.enabled=true"},
			says:   []string{"processing.comfyui.bridge.enabled is set", "in mode gpu"},
			mended: []string{"processing.comfyui.remote.enabled=true"},
		},
		"a fall-back from servers that are here": {
			set:    []string{"processing.comfyui.remote.fallbackAfter=10m"},
			says:   []string{"processing.comfyui.remote.fallbackAfter", "in mode gpu"},
			mended: []string{"processing.comfyui.mode=remote"},
		},
		"a page of no bridge": {
			set:    []string{"ingress.bridge.enabled=true", "processing.comfyui.mode=remote"},
			says:   []string{"ingress.bridge.enabled", "processing.comfyui.bridge.enabled=true"},
			mended: []string{"processing.comfyui.bridge.enabled=true"},
		},
		"models that nothing reads": {
			set:    []string{"processing.comfyui.mode=preview", "processing.comfyui.models.files.a.url=https://h/a", "processing.comfyui.models.files.a.path=loras/a"},
			says:   []string{"in mode preview nothing here reads any", "gpu or cpu"},
			mended: []string{"processing.comfyui.mode=cpu"},
		},
		"a model without a place": {
			set:    []string{"processing.comfyui.models.files.a.url=https://h/a"},
			says:   []string{"processing.comfyui.models.files.a needs url", "path"},
			mended: []string{"processing.comfyui.models.files.a.path=loras/a"},
		},
		"a model by plain HTTP": {
			set:    []string{"processing.comfyui.models.files.a.url=http://h/a", "processing.comfyui.models.files.a.path=loras/a"},
			says:   []string{"files.a.url is plain HTTP", "allowHTTP=true"},
			mended: []string{"processing.comfyui.models.allowHTTP=true"},
		},
		"a model's password in its URL": {
			set:    []string{"processing.comfyui.models.files.a.url=https://me:secret@h/a", "processing.comfyui.models.files.a.path=loras/a"},
			says:   []string{"files.a.url has a user or a password in it", "files.a.tokenSecret"},
			mended: []string{"processing.comfyui.models.files.a.url=https://h/a@b"},
		},
		"two models at one place": {
			set: []string{"processing.comfyui.models.files.a.url=https://h/a", "processing.comfyui.models.files.a.path=loras/X",
				"processing.comfyui.models.files.b.url=https://h/b", "processing.comfyui.models.files.b.path=loras/x"},
			says:   []string{"a and b would have the same place", "a path of its own"},
			mended: []string{"processing.comfyui.models.files.b.path=loras/y"},
		},
		"a model inside another": {
			set: []string{"processing.comfyui.models.files.a.url=https://h/a", "processing.comfyui.models.files.a.path=loras/x/y",
				"processing.comfyui.models.files.b.url=https://h/b", "processing.comfyui.models.files.b.path=loras/x"},
			says:   []string{"a and b would have the same place"},
			mended: []string{"processing.comfyui.models.files.b=null"},
		},
		"more models than the volume holds": {
			set:    []string{"processing.comfyui.models.files.a.url=https://h/a", "processing.comfyui.models.files.a.path=loras/a", "processing.comfyui.models.files.a.size=60Gi"},
			says:   []string{"storage.models.size is 50Gi", "take 60 GiB", "--set storage.models.size=75Gi"},
			mended: []string{"storage.models.size=75Gi"},
		},
		"backups without a password": {
			set:    []string{"backup.enabled=true", "backup.claim=backups"},
			says:   []string{"backup.enabled needs backup.existingSecret", "openssl rand", "keep a copy"},
			mended: []string{"backup.existingSecret=backup"},
		},
		"backups to nowhere": {
			set:    []string{"backup.enabled=true", "backup.existingSecret=backup"},
			says:   []string{"backup.claim", "backup.s3.url"},
			mended: []string{"backup.s3.url=https://s3.example.com/backups"},
		},
		"backups to two places": {
			set:    []string{"backup.enabled=true", "backup.existingSecret=backup", "backup.claim=backups", "backup.s3.url=https://s3.example.com/backups"},
			says:   []string{"needs one place"},
			mended: []string{"backup.claim="},
		},
		"backups on what they are of": {
			set:    []string{"backup.enabled=true", "backup.existingSecret=backup", "backup.claim=videos-pvc"},
			says:   []string{"backup.claim is videos-pvc, one of the volumes to be backed up"},
			mended: []string{"backup.claim=backups"},
		},
		"backups that delete themselves": {
			set:    []string{"backup.enabled=true", "backup.existingSecret=backup", "backup.claim=backups", "backup.keep.daily=0", "backup.keep.weekly=0", "backup.keep.monthly=0"},
			says:   []string{"backup.keep names no backup that stays"},
			mended: []string{"backup.keep.last=1"},
		},
		"a restore from nowhere": {
			set:    []string{"backup.restore.snapshot=latest"},
			says:   []string{"backup.enabled is false"},
			mended: []string{"backup.enabled=true", "backup.existingSecret=backup", "backup.claim=backups"},
		},
		"films lost for whichever backup": {
			set:    []string{"backup.enabled=true", "backup.existingSecret=backup", "backup.claim=backups", "backup.restore.snapshot=latest", "backup.restore.overwrite=true"},
			says:   []string{"backup.restore.overwrite", "to an id"},
			mended: []string{"backup.restore.snapshot=0123456789"},
		},
		"a Gateway of nobody's": {
			set:    []string{"ingress.gateway.enabled=true"},
			says:   []string{"ingress.gateway.parentRefs", "ingress.gateway.className"},
			mended: []string{"ingress.gateway.className=traefik"},
		},
		"an Ingress' class with a Gateway": {
			set:    []string{"ingress.gateway.enabled=true", "ingress.gateway.className=traefik", "ingress.className=nginx"},
			says:   []string{"ingress.className is nginx", "there is no Ingress"},
			mended: []string{"ingress.className="},
		},
		"an Ingress' certificate with a Gateway": {
			set:    []string{"ingress.gateway.enabled=true", "ingress.gateway.className=gke-l7-rilb", "ingress.tls.managedCertificate=true", "ingress.host=film.example.com"},
			says:   []string{"managedCertificate is of GKE's Ingress", "certmap"},
			mended: []string{"ingress.tls.managedCertificate=false"},
		},
		"a certificate for somebody's Gateway": {
			set:    []string{"ingress.gateway.enabled=true", "ingress.gateway.parentRefs[0].name=shared", "ingress.tls.issuer=letsencrypt"},
			says:   []string{"encryption ends at that Gateway", "ingress.tls.elsewhere=true"},
			mended: []string{"ingress.tls.issuer=", "ingress.tls.elsewhere=true"},
		},
		"GKE's public Gateway without TLS": {
			set:    []string{"ingress.gateway.enabled=true", "ingress.gateway.className=gke-l7-global-external-managed"},
			says:   []string{"public address", "plain HTTP", "certmap"},
			mended: []string{`ingress.gateway.annotations.networking\.gke\.io/certmap=films`},
		},
		"a Gateway without an ingress": {
			set:    []string{"ingress.enabled=false", "ingress.gateway.enabled=true", "ingress.gateway.className=traefik"},
			says:   []string{"ingress.enabled is false"},
			mended: []string{"ingress.enabled=true"},
		},
		"a login without an issuer": {
			set:    []string{"ingress.oidc.enabled=true", "ingress.tls.elsewhere=true", "ingress.oidc.clientID=a", "ingress.oidc.existingSecret=login", "ingress.oidc.groups={a}"},
			says:   []string{"needs ingress.oidc.issuerURL"},
			mended: []string{"ingress.oidc.issuerURL=https://id.example.com"},
		},
		"a login for everybody": {
			set:    []string{"ingress.oidc.enabled=true", "ingress.tls.elsewhere=true", "ingress.oidc.clientID=a", "ingress.oidc.existingSecret=login", "ingress.oidc.issuerURL=https://id.example.com"},
			says:   []string{"nobody says who may come in", "emailDomains={*}"},
			mended: []string{"ingress.oidc.emailDomains={*}"},
		},
		"a login on plain HTTP": {
			set:    []string{"ingress.oidc.enabled=true", "ingress.oidc.clientID=a", "ingress.oidc.existingSecret=login", "ingress.oidc.issuerURL=https://id.example.com", "ingress.oidc.groups={a}"},
			says:   []string{"plain HTTP", "ingress.tls.elsewhere=true"},
			mended: []string{"ingress.tlsSecret=mine"},
		},
		"a login that nobody serves": {
			set: []string{"ingress.oidc.enabled=true", "ingress.oidc.clientID=a", "ingress.oidc.existingSecret=login", "ingress.oidc.issuerURL=https://id.example.com", "ingress.oidc.groups={a}",
				"ingress.tlsSecret=mine", "ingress.oidc.replicas=0"},
			says:   []string{"ingress.oidc.replicas is 0"},
			mended: []string{"ingress.oidc.replicas=2"},
		},
		"claimed devices before they are stable": {
			set: []string{"processing.comfyui.gpu.deviceClass=gpu.nvidia.com"}, on: charttest.KubeVersion("1.33.0"),
			says:   []string{"deviceClass", "from Kubernetes 1.34 on"},
			mended: []string{"processing.comfyui.gpu.deviceClass="},
		},
		"passwords that Argo CD would make anew": {
			on:     charttest.APIVersions("apiregistration.k8s.io/v1"),
			says:   []string{"as Argo CD does", "global.existingSecret", "global.secretSeed"},
			mended: []string{"global.secretSeed=a text of at least thirty-two characters"},
		},
		"GPU among the resources": {
			set:    []string{`processing.comfyui.resources.limits.nvidia\.com/gpu=2`},
			says:   []string{"resources.limits names nvidia.com/gpu", "processing.comfyui.gpu.count"},
			mended: []string{`processing.comfyui.resources.limits.nvidia\.com/gpu=null`},
		},
		"ingress to a disabled service": {
			set:    []string{"application.flask.enabled=false"},
			says:   []string{"ingress leads to flask", "ingress.enabled=false"},
			mended: []string{"ingress.enabled=false"},
		},
		"ingress to a disabled layer": {
			set:    []string{"processing.enabled=false", "ingress.comfyui.enabled=true"},
			says:   []string{"ingress leads to comfyui", "ingress.comfyui.enabled=false"},
			mended: []string{"ingress.comfyui.enabled=false"},
		},
		"two pages on one host": {
			set:    []string{"ingress.dagster.enabled=true", "ingress.dagster.host=ai-film.local"},
			says:   []string{`the same host "ai-film.local"`, "a host of its own"},
			mended: []string{"ingress.dagster.host=dagster.example.com"},
		},
		"two ways to name the ingress class": {
			set:    []string{"ingress.className=traefik", `ingress.annotations.kubernetes\.io/ingress\.class=nginx`},
			says:   []string{"exclude each other"},
			mended: []string{"ingress.className="},
		},
		"own Secret without a key": {
			set: []string{"global.existingSecret=mine"}, lookup: []runtime.Object{passwords(map[string]string{"redis-password": ""})},
			says: []string{"the Secret mine has no key redis-password", "Add it"},
		},
		"own Secret with a password that breaks URLs": {
			set: []string{"global.existingSecret=mine"}, lookup: []runtime.Object{passwords(map[string]string{"studio-password": "a/b@c"})},
			says: []string{"studio-password in the Secret mine", "letters, digits"},
		},
		"Secret of another release": {
			lookup: []runtime.Object{of("first", &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "ai-film", Namespace: "ai-film"}})},
			says:   []string{"the Secret ai-film belongs to the release first", "global.releasePrefix=true"},
			mended: []string{"global.existingSecret=ai-film"},
		},
		"claim of another release": {
			lookup: []runtime.Object{of("first", claim("videos-pvc", "nfs", corev1.ReadWriteMany))},
			says:   []string{"the claim videos-pvc belongs to the release first", "storage.videos.create=false"},
			mended: []string{"storage.videos.create=false"},
		},
		"claim with another access mode": {
			lookup: []runtime.Object{claim("images-pvc", "nfs", corev1.ReadWriteOnce)},
			says:   []string{"storage.images.accessMode is ReadWriteMany", "images-pvc in the cluster is ReadWriteOnce", "back up", "restore"},
			mended: []string{"storage.images.accessMode=ReadWriteOnce", "global.singleNode=true"},
		},
		"claim of another class": {
			set: []string{"storage.postgres.storageClass=fast"}, lookup: []runtime.Object{claim("postgres-pvc", "slow", corev1.ReadWriteOnce)},
			says:   []string{"storage.postgres.storageClass is fast", "is of class slow", "back up", "--set storage.postgres.storageClass=slow"},
			mended: []string{"storage.postgres.storageClass=slow"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			options := []charttest.Option{installed, charttest.Set(rule.set...)}
			if rule.lookup != nil {
				options = append(options, charttest.Lookup(rule.lookup...), charttest.Upgrade())
			}
			if rule.on != nil {
				options = append(options, rule.on)
			}
			if rule.prefix != "" {
				options = append(options, charttest.Release(rule.prefix, "ai-film"))
			}
			_, err := studio(t).Render(t.Context(), options...)
			var failure *charttest.Failure
			require.ErrorAs(t, err, &failure)
			rules.try(t, err)
			for _, text := range rule.says {
				assert.Contains(t, err.Error(), text)
			}
			if rule.mended != nil {
				_, err = studio(t).Render(t.Context(), append(options, charttest.Set(rule.mended...))...)
				assert.NoError(t, err, "the remedy")
			}
		})
	}
	rules.none(t)
}

// What is right is let through: the operator's own complete Secret, and claims as they are.
func TestValidationLetsThrough(t *testing.T) {
	_, err := studio(t).Render(t.Context(), installed, charttest.Upgrade(), charttest.Set("global.existingSecret=mine"), charttest.Lookup(
		passwords(map[string]string{"secret-key": "any + thing / at = all"}),
		of("ai-film", claim("images-pvc", "nfs", corev1.ReadWriteMany)), claim("postgres-pvc", "slow", corev1.ReadWriteOnce),
	))
	assert.NoError(t, err)
}

// --reuse-values puts an older release's values in the place of this chart's: what is new in it is not there at all.
func TestValuesOfAnOlderRelease(t *testing.T) {
	for line, path := range map[string]string{
		"    maxmemory: 256mb\n": "data.redis.maxmemory", "    port: 5432\n": "global.postgresql.port", "  userIDs: true\n": "global.userIDs",
	} {
		older := changed(t, func(file, text string) string {
			if file == "values.yaml" {
				require.Contains(t, text, line)
				text = strings.Replace(text, line, "", 1)
			}
			return text
		})
		_, err := older.Render(t.Context(), installed, charttest.Upgrade())
		var failure *charttest.Failure
		require.ErrorAs(t, err, &failure)
		assert.Contains(t, err.Error(), "the value "+path+" is missing")
		assert.Contains(t, err.Error(), "--reset-then-reuse-values")
	}
}
