package validation

import (
	"reflect"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	storagev1 "k8s.io/api/storage/v1"
)

// enums are the closed sets of values, by Go type. A value that isn't given has
// a default, unless a rule requires one. Those that only servers with an alpha
// feature know are left out.
var enums = map[reflect.Type][]string{
	reflect.TypeFor[corev1.PersistentVolumeReclaimPolicy]():            {"Recycle", "Delete", "Retain"},
	reflect.TypeFor[corev1.PersistentVolumeMode]():                     {"Block", "Filesystem"},
	reflect.TypeFor[corev1.PersistentVolumeAccessMode]():               {"ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany", "ReadWriteOncePod"},
	reflect.TypeFor[corev1.Protocol]():                                 {"TCP", "UDP", "SCTP"},
	reflect.TypeFor[corev1.AzureDataDiskCachingMode]():                 {"None", "ReadOnly", "ReadWrite"},
	reflect.TypeFor[corev1.AzureDataDiskKind]():                        {"Shared", "Dedicated", "Managed"},
	reflect.TypeFor[corev1.MountPropagationMode]():                     {"None", "HostToContainer", "Bidirectional"},
	reflect.TypeFor[corev1.URIScheme]():                                {"HTTP", "HTTPS"},
	reflect.TypeFor[corev1.PullPolicy]():                               {"Always", "Never", "IfNotPresent"},
	reflect.TypeFor[corev1.PreemptionPolicy]():                         {"PreemptLowerPriority", "Never"},
	reflect.TypeFor[corev1.TerminationMessagePolicy]():                 {"File", "FallbackToLogsOnError"},
	reflect.TypeFor[corev1.RestartPolicy]():                            {"Always", "OnFailure", "Never"},
	reflect.TypeFor[corev1.DNSPolicy]():                                {"ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"},
	reflect.TypeFor[corev1.TaintEffect]():                              {"NoSchedule", "PreferNoSchedule", "NoExecute"},
	reflect.TypeFor[corev1.TolerationOperator]():                       {"Exists", "Equal"},
	reflect.TypeFor[corev1.UnsatisfiableConstraintAction]():            {"DoNotSchedule", "ScheduleAnyway"},
	reflect.TypeFor[corev1.NodeInclusionPolicy]():                      {"Ignore", "Honor"},
	reflect.TypeFor[corev1.PodFSGroupChangePolicy]():                   {"OnRootMismatch", "Always"},
	reflect.TypeFor[corev1.SupplementalGroupsPolicy]():                 {"Merge", "Strict"},
	reflect.TypeFor[corev1.SeccompProfileType]():                       {"Unconfined", "RuntimeDefault", "Localhost"},
	reflect.TypeFor[corev1.AppArmorProfileType]():                      {"Unconfined", "RuntimeDefault", "Localhost"},
	reflect.TypeFor[corev1.ServiceAffinity]():                          {"ClientIP", "None"},
	reflect.TypeFor[corev1.ServiceType]():                              {"ClusterIP", "NodePort", "LoadBalancer", "ExternalName"},
	reflect.TypeFor[corev1.ServiceInternalTrafficPolicy]():             {"Cluster", "Local"},
	reflect.TypeFor[corev1.ServiceExternalTrafficPolicy]():             {"Cluster", "Local"},
	reflect.TypeFor[corev1.IPFamily]():                                 {"IPv4", "IPv6"},
	reflect.TypeFor[corev1.IPFamilyPolicy]():                           {"SingleStack", "PreferDualStack", "RequireDualStack"},
	reflect.TypeFor[corev1.ResourceQuotaScope]():                       {"Terminating", "NotTerminating", "BestEffort", "NotBestEffort", "PriorityClass", "CrossNamespacePodAffinity", "VolumeAttributesClass"},
	reflect.TypeFor[corev1.ScopeSelectorOperator]():                    {"In", "NotIn", "Exists", "DoesNotExist"},
	reflect.TypeFor[corev1.ProcMountType]():                            {"Default", "Unmasked"},
	reflect.TypeFor[corev1.ContainerRestartPolicy]():                   {"Always", "Never", "OnFailure"},
	reflect.TypeFor[corev1.ResourceResizeRestartPolicy]():              {"NotRequired", "RestartContainer"},
	reflect.TypeFor[corev1.ContainerRestartRuleAction]():               {"Restart", "RestartAllContainers"},
	reflect.TypeFor[corev1.ContainerRestartRuleOnExitCodesOperator]():  {"In", "NotIn"},
	reflect.TypeFor[corev1.RecursiveReadOnlyMode]():                    {"Disabled", "IfPossible", "Enabled"},
	reflect.TypeFor[corev1.PodSELinuxChangePolicy]():                   {"Recursive", "MountOption"},
	reflect.TypeFor[corev1.OSName]():                                   {"linux", "windows"},
	reflect.TypeFor[appsv1.PodManagementPolicyType]():                  {"OrderedReady", "Parallel"},
	reflect.TypeFor[appsv1.StatefulSetUpdateStrategyType]():            {"RollingUpdate", "OnDelete"},
	reflect.TypeFor[appsv1.DeploymentStrategyType]():                   {"Recreate", "RollingUpdate"},
	reflect.TypeFor[appsv1.DaemonSetUpdateStrategyType]():              {"RollingUpdate", "OnDelete"},
	reflect.TypeFor[appsv1.PersistentVolumeClaimRetentionPolicyType](): {"Retain", "Delete"},
	reflect.TypeFor[autoscalingv2.ScalingPolicySelect]():               {"Max", "Min", "Disabled"},
	reflect.TypeFor[batchv1.CompletionMode]():                          {"NonIndexed", "Indexed"},
	reflect.TypeFor[batchv1.PodFailurePolicyAction]():                  {"FailJob", "FailIndex", "Ignore", "Count"},
	reflect.TypeFor[batchv1.PodFailurePolicyOnExitCodesOperator]():     {"In", "NotIn"},
	reflect.TypeFor[batchv1.PodReplacementPolicy]():                    {"TerminatingOrFailed", "Failed"},
	reflect.TypeFor[batchv1.ConcurrencyPolicy]():                       {"Allow", "Forbid", "Replace"},
	reflect.TypeFor[networkingv1.PolicyType]():                         {"Ingress", "Egress"},
	reflect.TypeFor[networkingv1.PathType]():                           {"Exact", "Prefix", "ImplementationSpecific"},
	reflect.TypeFor[policyv1.UnhealthyPodEvictionPolicyType]():         {"IfHealthyBudget", "AlwaysAllow"},
	reflect.TypeFor[storagev1.VolumeBindingMode]():                     {"Immediate", "WaitForFirstConsumer"},
	reflect.TypeFor[admissionregistrationv1.ScopeType]():               {"Cluster", "Namespaced", "*"},
	reflect.TypeFor[admissionregistrationv1.FailurePolicyType]():       {"Ignore", "Fail"},
	reflect.TypeFor[admissionregistrationv1.MatchPolicyType]():         {"Exact", "Equivalent"},
	reflect.TypeFor[admissionregistrationv1.SideEffectClass]():         {"Unknown", "None", "Some", "NoneOnDryRun"},
	reflect.TypeFor[admissionregistrationv1.ValidationAction]():        {"Deny", "Warn", "Audit"},
	reflect.TypeFor[admissionregistrationv1.PatchType]():               {"ApplyConfiguration", "JSONPatch"},
	reflect.TypeFor[admissionregistrationv1.ReinvocationPolicyType]():  {"Never", "IfNeeded"},
	reflect.TypeFor[admissionregistrationv1.OperationType]():           {"*", "CREATE", "UPDATE", "DELETE", "CONNECT"},
	reflect.TypeFor[discoveryv1.AddressType]():                         {"IPv4", "IPv6", "FQDN"},
	reflect.TypeFor[certificatesv1.KeyUsage]():                         {"signing", "digital signature", "content commitment", "key encipherment", "key agreement", "data encipherment", "cert sign", "crl sign", "encipher only", "decipher only", "any", "server auth", "client auth", "code signing", "email protection", "s/mime", "ipsec end system", "ipsec tunnel", "ipsec user", "timestamping", "ocsp signing", "microsoft sgc", "netscape sgc"},
}
