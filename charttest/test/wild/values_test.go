package wild

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ai-film/ai-film/charttest"
)

// What is said of the values of charts in the wild, each looked at by hand: all
// of it is so.
var values = map[string]struct {
	dead, undeclared []string
	holes            int
}{
	// The template reads additionalAnnotations from the root of the values.
	"metrics-server": {dead: []string{"tls.certManager.annotations", "tls.certManager.labels"}, undeclared: []string{"additionalAnnotations"}},
	"sealed-secrets": {undeclared: []string{"metrics.service.labels", "service.labels"}},
	"trust-manager":  {holes: 2},                                                 // a number or a string, and the schema says neither
	"cert-manager":   {dead: []string{"acmesolver.image.pullPolicy"}, holes: 16}, // the schema leaves the probes open
	// A service's template reads metrics.service.annotations. The CRDs, and the
	// dependency bitwarden-sdk-server, come with the packaged chart only.
	"external-secrets": {dead: []string{"bitwarden-sdk-server.enabled", "bitwarden-sdk-server.namespaceOverride", "certController.metrics.service.annotations",
		"crds.annotations", "crds.conversion.enabled", "crds.createClusterExternalSecret", "crds.createClusterGenerator", "crds.createClusterPushSecret",
		"crds.createPushSecret", "crds.createSecretStore", "crds.unsafeServeV1Beta1"}},
	// Of each, templates read securityContext.enabled and hand on another.
	"minio": {dead: []string{"customCommandJob.securityContext.runAsGroup", "customCommandJob.securityContext.runAsUser",
		"makeBucketJob.securityContext.runAsGroup", "makeBucketJob.securityContext.runAsUser",
		"makePolicyJob.securityContext.runAsGroup", "makePolicyJob.securityContext.runAsUser",
		"makeServiceAccountJob.securityContext.runAsGroup", "makeServiceAccountJob.securityContext.runAsUser",
		"makeUserJob.securityContext.runAsGroup", "makeUserJob.securityContext.runAsUser"}},
	"metallb": {dead: []string{"frr-k8s.frrk8s.frr.metricsBindAddress", "frr-k8s.frrk8s.frr.metricsPort", "frr-k8s.frrk8s.podAnnotations"},
		undeclared: []string{"frr-k8s.imagePullSecrets", "speaker.wanConfig"}, holes: 25}, // a schema of some of the values
	"gatekeeper": {dead: []string{"audit.extraRules"},
		undeclared: []string{"additionalMutatingWebhookConfigsToRotateCerts", "additionalValidatingWebhookConfigsToRotateCerts", "audit.extraEnvs",
			"audit.logFile", "audit.logLevel", "commonLabels", "controllerManager.exemptNamespaceSuffixes", "controllerManager.extraEnvs",
			"controllerManager.logFile", "controllerManager.logLevel", "enableViolationExport", "extraEnvs", "postInstall.resources"}},
	"dapr": {dead: []string{"dapr_operator.ports.protocol", "dapr_placement.ports.protocol", "dapr_scheduler.ha", "dapr_scheduler.ports.protocol",
		"dapr_sentry.ports.protocol", "dapr_sentry.tls.trustDomain"}, undeclared: []string{"global.daprControlPlaneArch"}},
	"ingress-nginx": {dead: []string{"controller.admissionWebhooks.service.servicePort"}},
	// What the group policies installs moved to another chart.
	"kyverno": {dead: []string{"config.annotations", "crds.groups.policies.deletingpolicies", "crds.groups.policies.generatingpolicies",
		"crds.groups.policies.imagevalidatingpolicies", "crds.groups.policies.mutatingpolicies", "crds.groups.policies.namespaceddeletingpolicies",
		"crds.groups.policies.namespacedgeneratingpolicies", "crds.groups.policies.namespacedimagevalidatingpolicies",
		"crds.groups.policies.namespacedmutatingpolicies", "crds.groups.policies.namespacedvalidatingpolicies", "crds.groups.policies.policyexceptions",
		"crds.groups.policies.validatingpolicies", "crds.templating.debug", "crds.templating.enabled", "crds.templating.version", "test.sleep"},
		undeclared: []string{"config.webhooks.namespaceSelector.matchLabels", "unittest"}},
	// Templates read slack.proxyUrl.
	"flagger": {dead: []string{"slack.proxy"}, undeclared: []string{"includeLabelPrefix", "msteams.proxyUrl", "slack.proxyUrl", "threadiness"}},
}

func TestValuesOfTheWildAreJudgedRightly(t *testing.T) {
	for name, dir := range charts(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			chart := charttest.MustLoad(t, dir)
			var renders []*charttest.Render
			for _, p := range chart.Profiles() {
				p.KubeVersion, p.Lax = "1.36", true
				r, err := chart.Render(t.Context(), p)
				require.NoError(t, err)
				renders = append(renders, r)
			}
			report, err := chart.ExamineValues(t.Context(), renders...)
			require.NoError(t, err)
			paths := func(list []charttest.ValueUse) (all []string) {
				for _, v := range list {
					require.NotZero(t, v.Place.Line, "%s", v)
					all = append(all, v.Path)
				}
				slices.Sort(all)
				return all
			}
			want := values[name]
			require.Equal(t, want.dead, paths(report.Dead), "dead")
			require.Equal(t, want.undeclared, paths(report.Undeclared), "undeclared")
			require.Len(t, paths(report.Holes), want.holes)
		})
	}
}
