package check_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ai-film/ai-film/charttest"
	"github.com/ai-film/ai-film/charttest/check"
	"github.com/ai-film/ai-film/charttest/dryrun"
	"github.com/ai-film/ai-film/charttest/internal/envtest"
)

// An API server refuses what the general rules have findings for, in the object
// that they name.
func TestTheServerRefusesThemToo(t *testing.T) {
	server, err := dryrun.Connect(t.Context(), envtest.Start(t))
	require.NoError(t, err)
	asked := 0
	for _, d := range slices.Concat(defects, invalid, refused) {
		if d.check != "field-valid" && (d.check != "metadata" || strings.Contains(d.says, "no more than")) { // that is a controller's limit
			continue
		}
		asked++
		t.Run(d.at, func(t *testing.T) {
			dir, _ := broken(t, d)
			r := charttest.MustLoad(t, dir).MustRender(t, append([]charttest.Option{server.Profile()}, circumstances...)...)
			ours := check.Run(r, d.cluster)
			rehearsal, err := server.Rehearse(t.Context(), r, d.cluster)
			require.NoError(t, err)
			require.True(t, slices.ContainsFunc(rehearsal.Findings, func(f check.Finding) bool { return f.Object == ours[0].Object }), "%v\n%v", ours, rehearsal.Findings)
		})
	}
	require.Greater(t, asked, 200)
}

// refused are more defects that the API server refuses, several of each kind.
var refused = slices.Concat(
	invalidIn("web.yaml", "      enableServiceLinks: false\n", "      ", [][2]string{
		{"restartPolicy: always", `supported values: "Always"`},
		{"shareProcessNamespace: true\n      hostPID: true", "ShareProcessNamespace and HostPID cannot both be enabled"},
		{"nodeName: Node_1", "a lowercase RFC 1123 subdomain must consist of lower case"},
		{"initContainers: [{name: web, image: a}]", `"web"`},
		{"initContainers: [{name: a, image: a, livenessProbe: {tcpSocket: {port: 1}}}]", "may not be set for init containers without"},
		{"affinity: {nodeAffinity: {preferredDuringSchedulingIgnoredDuringExecution: [{weight: 101, preference: {matchExpressions: [{key: a, operator: Exists}]}}]}}", "must be between 1 and 100, inclusive"},
		{"affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchFields: [{key: metadata.label, operator: In, values: [x]}]}]}}}", "not a valid field selector key"},
		{"affinity: {podAffinity: {requiredDuringSchedulingIgnoredDuringExecution: [{topologyKey: zone, namespaces: [A_B]}]}}", "a lowercase RFC 1123 label must consist of lower case"},
		{"topologySpreadConstraints: [{maxSkew: 1, topologyKey: zone, whenUnsatisfiable: DoNotSchedule}, {maxSkew: 2, topologyKey: zone, whenUnsatisfiable: DoNotSchedule}]", `"{zone, DoNotSchedule}"`},
		{"topologySpreadConstraints: [{maxSkew: 1, whenUnsatisfiable: DoNotSchedule}]", "can not be empty"},
		{"topologySpreadConstraints: [{maxSkew: 1, topologyKey: zone, whenUnsatisfiable: DoNotSchedule, nodeAffinityPolicy: honor}]", `supported values: "Ignore"`},
		{`tolerations: [{key: a, operator: Equal, effect: NoExecute, value: "b c"}]`, "a valid label must be an empty string or consist of"},
		{"hostAliases: [{ip: 10.0.0.1, hostnames: [A_b]}]", "a lowercase RFC 1123 subdomain must consist of lower case"},
		{`dnsConfig: {searches: ["a b"]}`, "a lowercase RFC 1123 subdomain must consist of lower case"},
		{"dnsConfig: {options: [{value: a}]}", "must not be empty"},
		{"dnsConfig: {nameservers: [1.1.1.1, 1.1.1.2, 1.1.1.3, 1.1.1.4]}", "must not have more than 3 nameservers"},
		{"securityContext: {sysctls: [{name: a, value: b}, {name: a, value: c}]}", `"a"`},
		{"securityContext: {seccompProfile: {type: localhost}}", `supported values: "Unconfined"`},
		{"securityContext: {appArmorProfile: {type: Localhost}}", "must be set when AppArmor type is Localhost"},
		{"securityContext: {supplementalGroupsPolicy: strict}", `supported values: "Merge"`},
		{"securityContext: {seLinuxChangePolicy: Never}", `supported values: "Recursive"`},
		{"overhead: {cpu: -1}", "must be greater than or equal to 0"},
		{"resources: {limits: {cpu: 1}, requests: {cpu: 2}}", "must be less than or equal to cpu limit of 1"},
		{"hostname: a.b", "must not contain dots"},
	}),
	invalidIn("web.yaml", "          command: [\"serve\"", "          ", [][2]string{
		{"imagePullPolicy: always", `supported values: "Always"`},
		{"lifecycle: {postStart: {tcpSocket: {port: 70000}}}", "must be between 1 and 65535, inclusive"},
		{"lifecycle: {preStop: {sleep: {seconds: -1}}}", "must be non-negative and less than"},
		{"startupProbe: {grpc: {port: 0}}", "must be between 1 and 65535, inclusive"},
		{"startupProbe: {exec: {command: []}}", "Required value"},
		{"startupProbe: {tcpSocket: {port: 8080}, timeoutSeconds: -1}", "must be greater than or equal to 0"},
		{"startupProbe: {tcpSocket: {port: 8080}, terminationGracePeriodSeconds: 0}", "must be greater than or equal to 1"},
		{"resizePolicy: [{resourceName: cpu, restartPolicy: Never}]", `supported values: "NotRequired"`},
	}),
	invalidIn("web.yaml", "            - name: PASSWORD\n", "            ", [][2]string{
		{`- {name: "A=B", value: c}`, "a valid environment variable name must consist only of"},
		{`- {name: "", value: c}`, "Required value"},
	}),
	invalidIn("web.yaml", "            - name: media\n              mountPath", "            ", [][2]string{
		{"- {name: media, mountPath: /m, subPath: ../x}", "must not contain '..'"},
		{"- {name: media, mountPath: /m, subPathExpr: $(A), subPath: x}", "subPathExpr and subPath are mutually exclusive"},
		{"- {name: media, mountPath: /m, mountPropagation: bidirectional}", `supported values: "None"`},
		{"- {name: media, mountPath: /m, mountPropagation: Bidirectional}", "Bidirectional mount propagation is available only to"},
		{"- {name: media, mountPath: /m, recursiveReadOnly: Enabled}", "may only be specified when readOnly is true"},
		{`- {name: media, mountPath: ""}`, "Required value"},
		{"- {name: media}", "Required value"},
	}),
	invalidIn("web.yaml", "        - name: media\n          persistent", "        ", [][2]string{
		{"- {name: x, emptyDir: {sizeLimit: -1Gi}}", "SizeLimit field must be a valid resource quantity"},
		{"- {name: x, hostPath: {path: /a/../b}}", "must not contain '..'"},
		{"- {name: x, hostPath: {path: /a, type: folder}}", `supported values: ""`},
		{`- {name: x, hostPath: {path: ""}}`, "Required value"},
		{"- {name: x, secret: {secretName: a, defaultMode: 1000, optional: true}}", "must be a number between 0 and 0777 (octal), both inclusive"},
		{"- {name: x, configMap: {name: a, optional: true, items: [{key: a, path: /b}]}}", "must be a relative path"},
		{"- {name: x, configMap: {name: a, optional: true, items: [{key: a, path: ../b}]}}", "must not contain '..'"},
		{"- {name: x, projected: {sources: [{serviceAccountToken: {path: a, expirationSeconds: 60}}]}}", "may not specify a duration less than 10 minutes or larger"},
		{"- {name: x, downwardAPI: {items: [{path: a, fieldRef: {fieldPath: spec.nodeName}}]}}", `supported values: "metadata.annotations"`},
		{"- {name: x, downwardAPI: {items: [{path: a}]}}", "one of fieldRef and resourceFieldRef is required"},
		{"- {name: x, nfs: {server: a, path: b}}", "must be an absolute path"},
		{`- {name: x, csi: {driver: ""}}`, "Required value"},
		{"- {name: x, csi: {driver: a_b}}", "a lowercase RFC 1123 subdomain must consist of lower case"},
		{"- {name: x, ephemeral: {}}", "Required value"},
		{"- {name: x, ephemeral: {volumeClaimTemplate: {spec: {accessModes: [ReadWriteOnce]}}}}", "Required value"},
		{`- {name: x, persistentVolumeClaim: {claimName: ""}}`, "Required value"},
		{"- {name: x, image: {reference: a, pullPolicy: always}}", `supported values: "Always"`},
		{"- {name: x, secret: {}}", "Required value"},
		{"- {name: X}", "a lowercase RFC 1123 label must consist of lower case"},
		{"- {name: x, configMap: {name: a, optional: true, defaultMode: 0888}}", "must be a number between 0 and 0777 (octal), both inclusive"},
	}),
	invalidIn("web.yaml", "  selector:\n    matchLabels:\n", "  ", [][2]string{
		{"minReadySeconds: -1", "must be greater than or equal to 0"},
		{"progressDeadlineSeconds: 0", "must be greater than minReadySeconds"},
		{"revisionHistoryLimit: -1", "must be greater than or equal to 0"},
		{"strategy: {type: Rolling}", `supported values: "Recreate"`},
		{"strategy: {rollingUpdate: {maxSurge: 0, maxUnavailable: 0}}", "may not be 0 when `maxSurge` is 0"},
		{"strategy: {rollingUpdate: {maxUnavailable: 101%}}", "must not be greater than 100%"},
		{"strategy: {rollingUpdate: {maxSurge: -1}}", "must be greater than or equal to 0"},
		{`strategy: {rollingUpdate: {maxSurge: "5"}}`, "a valid percent string must be a numeric string followed by"},
		{"strategy: {rollingUpdate: {maxUnavailable: 1.5%}}", "a valid percent string must be a numeric string followed by"},
		{"strategy: {type: recreate}", `supported values: "Recreate"`},
	}),
	invalidIn("web.yaml", "  ports:\n    - name: http\n      port: 80", "  ", [][2]string{
		{"clusterIP: 10.0.0", "must be a valid IP address, (e.g. 10.9.8.7 or"},
		{"clusterIP: none", "must be a valid IP address, (e.g. 10.9.8.7 or"},
		{"ipFamilies: [IPv4, IPv4]", `"IPv4"`},
		{"externalIPs: [127.0.0.1]", "may not be unspecified, loopback or link-local"},
		{"allocateLoadBalancerNodePorts: false", "may only be used when `type` is 'LoadBalancer'"},
		{"trafficDistribution: preferclose", `supported values: "PreferClose"`},
		{"internalTrafficPolicy: Any", `supported values: "Cluster"`},
		{"externalTrafficPolicy: Cluster", "may only be set for externally-accessible services"},
	}),
	invalidIn("web.yaml", "    - name: metrics\n      port: 9090\n", "    ", [][2]string{
		{"- {name: a, port: 0}", "must be between 1 and 65535, inclusive"},
		{"- {name: A, port: 81}", "a lowercase RFC 1123 label must consist of lower case"},
		{"- {name: a, port: 81, nodePort: 80}", "may not be used when `type` is 'ClusterIP'"},
		{"- {name: a, port: 81, nodePort: 30080}", "may not be used when `type` is 'ClusterIP'"},
		{`- {name: a, port: 81, appProtocol: "a b"}`, "name part must consist of alphanumeric characters, '-', '_'"},
		{"- {name: a, port: 81, protocol: udp}", `supported values: "TCP"`},
		{"- {name: a, port: 80}", `"80/TCP"`},
		{"- {name: a, port: 81, targetPort: 70000}", "must be between 1 and 65535, inclusive"},
	}),
	invalidIn("scaling.yaml", "  minReplicas: 2\n", "  ", [][2]string{
		{"behavior: {scaleUp: {policies: []}}", "must specify at least one Policy"},
		{"behavior: {scaleUp: {policies: [{type: pods, value: 1, periodSeconds: 60}]}}", `supported values: "Percent"`},
		{"behavior: {scaleUp: {policies: [{type: Pods, value: 1, periodSeconds: 3600}]}}", "must be greater than zero, and at most 1800"},
		{"behavior: {scaleUp: {tolerance: -1}}", "must be greater than or equal to 0"},
	}),
	invalidIn("scaling.yaml", "    - type: Resource\n", "    ", [][2]string{
		{"- {type: resource}", `supported values: "ContainerResource"`},
		{"- {type: Pods}", "must populate information for the given metric source"},
		{"- {type: Resource, resource: {name: cpu, target: {type: Utilization}}}", "must set either a target raw value or a target utilization"},
		{"- {type: Resource, resource: {name: cpu, target: {type: AverageValue, averageValue: 0}}}", "must be positive"},
		{`- {type: External, external: {metric: {name: ""}, target: {type: Value, value: 1}}}`, "Required value"},
		{"- {type: ContainerResource, containerResource: {name: cpu, target: {type: Utilization, averageUtilization: 50}}}", "Required value"},
		{"- {type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 0}}}", "must be greater than 0"},
		{"- {type: Object, object: {describedObject: {kind: Service}, metric: {name: a}, target: {type: Value, value: 1}}}", "Required value"},
		{"- {type: Resource, resource: {name: cpu, target: {type: Average, averageUtilization: 50}}}", "must be either Utilization, Value, or AverageValue"},
	}),
	invalidIn("scaling.yaml", "  selector:\n    matchLabels:\n      tier: store", "  ", [][2]string{
		{"unhealthyPodEvictionPolicy: Always", `supported values: "IfHealthyBudget"`},
	}),
	invalidIn("data.yaml", "  schedule: \"0 4 * * *\"\n", "  ", [][2]string{
		{"failedJobsHistoryLimit: -1", "must be greater than or equal to 0"},
		{`timeZone: ""`, "timeZone must be nil or non-empty string"},
		{"timeZone: Local", "timeZone must be an explicit time zone as defined in"},
	}),
	invalidIn("data.yaml", "      template:\n        metadata", "      ", [][2]string{
		{"parallelism: -1", "must be greater than or equal to 0"},
		{"completions: -1", "must be greater than or equal to 0"},
		{"backoffLimit: -1", "must be greater than or equal to 0"},
		{"activeDeadlineSeconds: -1", "must be greater than or equal to 0"},
		{"ttlSecondsAfterFinished: -1", "must be greater than or equal to 0"},
		{"completionMode: indexed", `supported values: "NonIndexed"`},
		{"podReplacementPolicy: Always", `supported values: "TerminatingOrFailed"`},
		{"podFailurePolicy: {rules: [{action: Ignore}]}", "specifying one of OnExitCodes and OnPodConditions is"},
		{"backoffLimitPerIndex: 1", "requires indexed completion mode"},
		{"manualSelector: true", `supported values: "nil"`},
		{"successPolicy: {rules: [{succeededCount: 1}]}", "requires indexed completion mode"},
		{"selector: {matchLabels: {a: b}}", "`selector` will be auto-generated"},
		{"podFailurePolicy: {rules: [{action: failJob, onExitCodes: {operator: In, values: [1]}}]}", `supported values: "FailJob"`},
		{"managedBy: a b", `must be a domain-prefixed path (such as "acme.io/foo")`},
	}),
	invalidIn("data.yaml", "  accessModes: [ReadWriteMany]\n", "  ", [][2]string{
		{`dataSourceRef: {kind: PersistentVolumeClaim, name: ""}`, "Required value"},
		{"volumeAttributesClassName: A_b", "a lowercase RFC 1123 subdomain must consist of lower case"},
		{`selector: {matchLabels: {a: "b c"}}`, "a valid label must be an empty string or consist of"},
		{`storageClassName: "a b"`, "a lowercase RFC 1123 subdomain must consist of lower case"},
	}),
	invalidIn("store.yaml", "  replicas: 2\n", "  ", [][2]string{
		{"updateStrategy: {type: OnDelete, rollingUpdate: {partition: 1}}", "only allowed for updateStrategy 'RollingUpdate'"},
		{"updateStrategy: {rollingUpdate: {partition: -1}}", "must be greater than or equal to 0"},
		{"persistentVolumeClaimRetentionPolicy: {whenScaled: Keep}", `supported values: "Retain"`},
		{"updateStrategy: {type: rollingUpdate}", `supported values: "RollingUpdate"`},
	}),
	invalidIn("access.yaml", "  ingress:\n    - ports:\n", "  ", [][2]string{
		{"policyTypes: [Ingres]", `supported values: "Ingress"`},
		{"egress: [{to: [{ipBlock: {cidr: 10.0.0.0}}]}]", "must be a valid CIDR value, (e.g. 10.9.8.0/24 or"},
		{"egress: [{to: [{ipBlock: {cidr: 10.0.0.0/8, except: [11.0.0.0/8]}}]}]", "must be a strict subset of `cidr`"},
		{"egress: [{to: [{}]}]", "must specify a peer"},
		{"egress: [{ports: [{port: 90000}]}]", "must be between 1 and 65535, inclusive"},
		{"egress: [{ports: [{port: 80, endPort: 70}]}]", "must be greater than or equal to `port`"},
		{"egress: [{ports: [{port: http, endPort: 90}]}]", "may not be specified when `port` is non-numeric"},
		{"egress: [{ports: [{protocol: tcp}]}]", `supported values: "TCP"`},
		{"egress: [{to: [{ipBlock: {cidr: 10.0.0.0/8}, podSelector: {}}]}]", "may not specify both ipBlock and another peer"},
		{"policyTypes: [Ingress, Egress, Ingress]", "may not specify more than two policyTypes"},
		{"egress: [{ports: [{endPort: 90}]}]", "may not be specified when `port` is not specified"},
		{"egress: [{to: [{ipBlock: {cidr: 10.0.0.1/8}}]}]", "must not have bits set beyond the prefix length"},
	}),
	invalidIn("access.yaml", "  rules:\n    - host: shop", "  ", [][2]string{
		{"ingressClassName: A_b", "a lowercase RFC 1123 subdomain must consist of lower case"},
		{`tls: [{hosts: ["a b"]}]`, "a lowercase RFC 1123 subdomain must consist of lower case"},
		{`tls: [{hosts: ["*.*.example.com"]}]`, "a wildcard DNS-1123 subdomain must start with '*.',"},
		{"defaultBackend: {}", "Required value"},
	}),
	invalidIn("access.yaml", "    - host: shop.example.com\n", "    ", [][2]string{
		{"- host: Shop.example.com", "a lowercase RFC 1123 subdomain must consist of lower case"},
		{"- host: 10.0.0.1", "must be a DNS name, not an IP address"},
		{`- host: "*"`, "a wildcard DNS-1123 subdomain must start with '*.',"},
		{"- {host: a.example.com, http: {paths: []}}", "Required value"},
	}),
	invalidIn("access.yaml", "          - path: /\n", "          ", [][2]string{
		{"- {path: a, pathType: Prefix, backend: {service: {name: demo-shop-web, port: {number: 80}}}}", "must be an absolute path"},
		{"- {path: /a, pathType: prefix, backend: {service: {name: demo-shop-web, port: {number: 80}}}}", `supported values: "Exact"`},
		{"- {path: /a//b, pathType: Exact, backend: {service: {name: demo-shop-web, port: {number: 80}}}}", "must not contain '//'"},
		{"- {path: /a, pathType: Prefix, backend: {service: {name: demo-shop-web, port: {number: 80, name: http}}}}", "cannot set both port name & port number"},
		{"- {path: /a, pathType: Prefix, backend: {service: {name: demo-shop-web}}}", "port name or number is required"},
	}),
	invalidIn("access.yaml", "  - apiGroups: [\"\"]\n", "  ", [][2]string{
		{`- {apiGroups: [""], resources: [pods], verbs: []}`, "verbs must contain at least one value"},
		{"- {nonResourceURLs: [/a], verbs: [get]}", "namespaced rules cannot apply to non-resource URLs"},
		{"- {resources: [pods], verbs: [get]}", "resource rules must supply at least one api group"},
		{`- {apiGroups: [""], verbs: [get]}`, "resource rules must supply at least one resource"},
	}),
	invalidIn("access.yaml", "  - kind: ServiceAccount\n", "  ", [][2]string{
		{"- {kind: serviceaccount, name: a}", `supported values: "ServiceAccount"`},
		{`- {kind: User, name: ""}`, "Required value"},
		{"- {kind: User, name: a, apiGroup: rbac}", `supported values: "rbac.authorization.k8s.io"`},
		{"- {kind: ServiceAccount, name: A_b, namespace: x}", "a lowercase RFC 1123 subdomain must consist of lower case"},
	}),
	[]defect{ // of what isn't there, the object's first line
		{check: "field-valid", file: "data.yaml", new: "\n---\napiVersion: v1\nkind: Secret\nmetadata: {name: x}\ntype: kubernetes.io/ssh-auth\n", at: "apiVersion: v1\nkind: Secret\nmetadata: {name: x}", says: "ssh-privatekey: Required value"},
		{check: "field-valid", file: "data.yaml", new: "\n---\napiVersion: storage.k8s.io/v1\nkind: StorageClass\nmetadata: {name: x}\n", at: "apiVersion: storage.k8s.io/v1", says: "provisioner: Required value"},
	},
	invalidObjects("field-valid", [][2]string{
		{"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndata: {\"a b\": c}", "a valid config key must consist of alphanumeric characters,"},
		{"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\nbinaryData: {a: Yg==}\ndata: {a: b}", "duplicate of key present in binaryData"},
		{"apiVersion: v1\nkind: Secret\nmetadata: {name: x}\ntype: kubernetes.io/tls\nstringData: {tls.crt: a}", "Required value"},
		{"apiVersion: v1\nkind: Secret\nmetadata: {name: x}\ntype: kubernetes.io/dockerconfigjson\nstringData: {.dockerconfigjson: a}", "is no JSON"},
		{"apiVersion: v1\nkind: Secret\nmetadata: {name: x}\ntype: kubernetes.io/basic-auth\nstringData: {user: a}", "Required value"},
		{"apiVersion: v1\nkind: LimitRange\nmetadata: {name: x}\nspec: {limits: [{type: Container, default: {cpu: 1}, max: {cpu: 500m}}]}", "default value is greater than max value 500m"},
		{"apiVersion: v1\nkind: LimitRange\nmetadata: {name: x}\nspec: {limits: [{type: container}]}", "must be a standard limit type or fully qualified"},
		{"apiVersion: v1\nkind: ResourceQuota\nmetadata: {name: x}\nspec: {hard: {pods: 1.5}}", "must be an integer"},
		{"apiVersion: v1\nkind: ResourceQuota\nmetadata: {name: x}\nspec: {hard: {pods: 1}, scopes: [Best]}", `supported values: "Terminating"`},
		{"apiVersion: scheduling.k8s.io/v1\nkind: PriorityClass\nmetadata: {name: x}\nvalue: 2000000001", "maximum allowed value of a user defined priority is"},
		{"apiVersion: storage.k8s.io/v1\nkind: StorageClass\nmetadata: {name: x}\nprovisioner: a\nreclaimPolicy: retain", `supported values: "Recycle"`},
		{"apiVersion: storage.k8s.io/v1\nkind: StorageClass\nmetadata: {name: x}\nprovisioner: a\nvolumeBindingMode: Wait", `supported values: "Immediate"`},
		{"apiVersion: v1\nkind: PersistentVolume\nmetadata: {name: x}\nspec: {accessModes: [ReadWriteOnce], capacity: {storage: 1Gi}}", "must specify a volume type"},
		{"apiVersion: v1\nkind: PersistentVolume\nmetadata: {name: x}\nspec: {accessModes: [], capacity: {storage: 1Gi}, hostPath: {path: /a}}", "Required value"},
		{"apiVersion: v1\nkind: PersistentVolume\nmetadata: {name: x}\nspec: {accessModes: [ReadWriteOnce], capacity: {storage: 1Gi}, hostPath: {path: /a}, persistentVolumeReclaimPolicy: delete}", `supported values: "Recycle"`},
		{"apiVersion: v1\nkind: PersistentVolume\nmetadata: {name: x}\nspec: {accessModes: [ReadWriteOnce], capacity: {storage: 1Gi}, local: {path: /a}}", "Local volume requires node affinity"},
		{"apiVersion: networking.k8s.io/v1\nkind: IngressClass\nmetadata: {name: x}\nspec: {controller: nginx}", `must be a domain-prefixed path (such as "acme.io/foo")`},
		{"apiVersion: networking.k8s.io/v1\nkind: IngressClass\nmetadata: {name: x}\nspec: {controller: a.b/c, parameters: {kind: A, name: b, scope: cluster}}", `supported values: "Cluster"`},
		{"apiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingWebhookConfiguration\nmetadata: {name: x}\nwebhooks: [{name: a, sideEffects: None, admissionReviewVersions: [v1], clientConfig: {url: \"https://a\"}}]", "should be a domain with at least three segments separated"},
		{"apiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingWebhookConfiguration\nmetadata: {name: x}\nwebhooks: [{name: a.b.c, admissionReviewVersions: [v1], clientConfig: {url: \"https://a\"}}]", "must specify one of None, NoneOnDryRun"},
		{"apiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingWebhookConfiguration\nmetadata: {name: x}\nwebhooks: [{name: a.b.c, sideEffects: None, admissionReviewVersions: [v1beta3], clientConfig: {url: \"https://a\"}}]", "must include at least one of v1, v1beta1"},
		{"apiVersion: admissionregistration.k8s.io/v1\nkind: MutatingWebhookConfiguration\nmetadata: {name: x}\nwebhooks: [{name: a.b.c, sideEffects: None, admissionReviewVersions: [v1], clientConfig: {url: \"http://a\"}}]", "https://host[/path]"},
		{"apiVersion: node.k8s.io/v1\nkind: RuntimeClass\nmetadata: {name: x}\nhandler: A_b", "a lowercase RFC 1123 label must consist of lower case"},
		{"apiVersion: batch/v1\nkind: Job\nmetadata: {name: x}\nspec: {template: {spec: {containers: [{name: a, image: b}]}}}", `"OnFailure", "Never"`},
		{"apiVersion: apps/v1\nkind: DaemonSet\nmetadata: {name: x}\nspec: {selector: {matchLabels: {a: x}}, updateStrategy: {type: Recreate}, template: {metadata: {labels: {a: x}}, spec: {containers: [{name: a, image: b}]}}}", `supported values: "RollingUpdate"`},
		{"apiVersion: apps/v1\nkind: DaemonSet\nmetadata: {name: x}\nspec: {selector: {matchLabels: {a: x}}, template: {metadata: {labels: {a: x}}, spec: {restartPolicy: OnFailure, containers: [{name: a, image: b}]}}}", `supported values: "Always"`},
		{"apiVersion: apps/v1\nkind: DaemonSet\nmetadata: {name: x}\nspec: {selector: {matchLabels: {a: x}}, updateStrategy: {rollingUpdate: {maxUnavailable: 0}}, template: {metadata: {labels: {a: x}}, spec: {containers: [{name: a, image: b}]}}}", "cannot be 0 when maxSurge is 0"},
		{"apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec: {containers: []}", "Required value"},
		{"apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec: {containers: [{name: a}]}", "Required value"},
		{"apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec: {containers: [{name: a, image: b, ports: [{containerPort: 80, hostPort: 80}, {containerPort: 81, hostPort: 80}]}]}", `"TCP//80"`},
	}),
	invalidObjects("metadata", [][2]string{
		{"apiVersion: v1\nkind: Secret\ntype: kubernetes.io/service-account-token\nmetadata: {name: x}", "Required value"},
		{"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x, annotations: {\"a/b/c\": d}}", "a valid label key must consist of alphanumeric characters,"},
		{"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x, finalizers: [a]}", "name is neither a standard finalizer name nor is it fully"},
		{"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x, labels: {a: -b}}", "a valid label must be an empty string or consist of"},
		{"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: X}", "a lowercase RFC 1123 subdomain must consist of lower case"},
		{"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x, ownerReferences: [{apiVersion: v1, kind: Pod, name: a}]}", "must not be empty"},
		{"apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: a_b}", "a lowercase RFC 1123 subdomain must consist of lower case"},
		{"apiVersion: scheduling.k8s.io/v1\nkind: PriorityClass\nvalue: 1\nmetadata: {name: system-x}", "priority class names with 'system-' prefix are reserved for"},
		{"apiVersion: v1\nkind: Namespace\nmetadata: {name: a.b}", "must not contain dots"},
	}),
)

// invalidObjects are objects of their own, the last line of each to blame.
func invalidObjects(name string, objects [][2]string) (all []defect) {
	for _, o := range objects {
		all = append(all, defect{check: name, file: "data.yaml", new: "\n---\n" + o[0] + "\n", at: o[0][strings.LastIndexByte(o[0], '\n')+1:], says: o[1]})
	}
	return all
}
