package diff_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/ai-film/ai-film/charttest/diff"
)

// bases are objects that the API server takes.
var bases = map[string]string{
	"StatefulSet": `{apiVersion: apps/v1, kind: StatefulSet, metadata: {name: x}, spec: {serviceName: db, replicas: 1,
  selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {containers: [{name: c, image: i}]}},
  volumeClaimTemplates: [{metadata: {name: data}, spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}},
    {metadata: {name: log}, spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}}]}}`,
	"Deployment": `{apiVersion: apps/v1, kind: Deployment, metadata: {name: x}, spec: {replicas: 1,
  selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b, c: d}}, spec: {containers: [{name: c, image: i}]}}}}`,
	"ReplicaSet": `{apiVersion: apps/v1, kind: ReplicaSet, metadata: {name: x}, spec: {replicas: 1,
  selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b, c: d}}, spec: {containers: [{name: c, image: i}]}}}}`,
	"DaemonSet": `{apiVersion: apps/v1, kind: DaemonSet, metadata: {name: x}, spec: {
  selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b, c: d}}, spec: {containers: [{name: c, image: i}]}}}}`,
	"ControllerRevision": `{apiVersion: apps/v1, kind: ControllerRevision, metadata: {name: x}, revision: 1, data: {a: b}}`,
	"Job": `{apiVersion: batch/v1, kind: Job, metadata: {name: x}, spec: {template: {metadata: {labels: {a: b}}, spec: {
  restartPolicy: Never, containers: [{name: c, image: "i:1", ports: [{containerPort: 80}], env: [{name: E, value: e}],
    livenessProbe: {httpGet: {port: 80}}, resources: {requests: {cpu: 100m}}}], volumes: [{name: v, configMap: {name: m}}]}}}}`,
	"CronJob": `{apiVersion: batch/v1, kind: CronJob, metadata: {name: x}, spec: {schedule: "* * * * *", jobTemplate: {spec: {template: {
  spec: {restartPolicy: Never, containers: [{name: c, image: i}]}}}}}}`,
	"Pod": `{apiVersion: v1, kind: Pod, metadata: {name: x}, spec: {tolerations: [{key: a, operator: Exists}],
  automountServiceAccountToken: false, containers: [{name: c, image: i, resources: {limits: {cpu: 100m}}}]}}`,
	"PersistentVolumeClaim": `{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: x}, spec: {storageClassName: fast,
  accessModes: [ReadWriteOnce], resources: {requests: {storage: 2Gi}}}}`,
	"PersistentVolume": `{apiVersion: v1, kind: PersistentVolume, metadata: {name: x}, spec: {storageClassName: fast, accessModes: [ReadWriteOnce],
  capacity: {storage: 1Gi}, local: {path: /a}, nodeAffinity: {required: {nodeSelectorTerms: [{matchExpressions: [{key: a, operator: Exists}]}]}}}}`,
	"Service":               `{apiVersion: v1, kind: Service, metadata: {name: x}, spec: {selector: {a: b}, ports: [{port: 80}]}}`,
	"ConfigMap":             `{apiVersion: v1, kind: ConfigMap, metadata: {name: x}, immutable: true, data: {a: b}, binaryData: {c: AAAA}}`,
	"Secret":                `{apiVersion: v1, kind: Secret, metadata: {name: x}, data: {a: YQ==}}`,
	"ResourceQuota":         `{apiVersion: v1, kind: ResourceQuota, metadata: {name: x}, spec: {hard: {pods: 2}, scopes: [BestEffort, NotTerminating]}}`,
	"RoleBinding":           `{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: x}, roleRef: {kind: ClusterRole, name: view}, subjects: [{kind: ServiceAccount, name: a, namespace: b}]}`,
	"ClusterRoleBinding":    `{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: {name: x}, roleRef: {kind: ClusterRole, name: view}, subjects: [{kind: ServiceAccount, name: a, namespace: b}]}`,
	"StorageClass":          `{apiVersion: storage.k8s.io/v1, kind: StorageClass, metadata: {name: x}, provisioner: example.com/p, parameters: {a: b}}`,
	"CSIDriver":             `{apiVersion: storage.k8s.io/v1, kind: CSIDriver, metadata: {name: example.com}, spec: {podInfoOnMount: true}}`,
	"CSIStorageCapacity":    `{apiVersion: storage.k8s.io/v1, kind: CSIStorageCapacity, metadata: {name: x}, storageClassName: a, capacity: 1Gi}`,
	"PriorityClass":         `{apiVersion: scheduling.k8s.io/v1, kind: PriorityClass, metadata: {name: x}, value: 10}`,
	"IngressClass":          `{apiVersion: networking.k8s.io/v1, kind: IngressClass, metadata: {name: x}, spec: {controller: example.com/a}}`,
	"RuntimeClass":          `{apiVersion: node.k8s.io/v1, kind: RuntimeClass, metadata: {name: x}, handler: runc}`,
	"EndpointSlice":         `{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: x}, addressType: IPv4, endpoints: []}`,
	"ResourceClaim":         `{apiVersion: resource.k8s.io/v1, kind: ResourceClaim, metadata: {name: x}, spec: {devices: {requests: [{name: a, exactly: {deviceClassName: gpu}}]}}}`,
	"ResourceClaimTemplate": `{apiVersion: resource.k8s.io/v1, kind: ResourceClaimTemplate, metadata: {name: x}, spec: {spec: {devices: {requests: [{name: a, exactly: {deviceClassName: gpu}}]}}}}`,
	"VolumeAttributesClass": `{apiVersion: storage.k8s.io/v1, kind: VolumeAttributesClass, metadata: {name: x}, driverName: example.com, parameters: {a: b}}`,
	"CustomResourceDefinition": `{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: films.example.com}, spec: {group: example.com,
  scope: Namespaced, names: {kind: Film, plural: films, singular: film}, versions: [{name: v1, served: true, storage: true,
    schema: {openAPIV3Schema: {type: object}}}]}}`,
	"HorizontalPodAutoscaler": `{apiVersion: autoscaling/v2, kind: HorizontalPodAutoscaler, metadata: {name: x}, spec: {minReplicas: 1, maxReplicas: 2,
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: a}}}`,
}

// update is one change of an object, tried on the API server as well (see
// TestAPIServerAgrees).
type change struct {
	kind   string
	before string // merged into the base, as YAML; null takes a field out
	after  string // merged into that
	want   string // the paths refused, separated by spaces; "" if it is allowed
}

var changes = []change{
	{"StatefulSet", ``, `{spec: {replicas: 3, minReadySeconds: 5, revisionHistoryLimit: 3, ordinals: {start: 1}, updateStrategy: {rollingUpdate: {partition: 1}}, persistentVolumeClaimRetentionPolicy: {whenScaled: Delete}}}`, ``},
	{"StatefulSet", ``, `{spec: {template: {spec: {containers: [{name: other, image: j}]}}}}`, ``},
	{"StatefulSet", ``, `{metadata: {labels: {a: c}, annotations: {d: e}}}`, ``},
	{"StatefulSet", ``, `{spec: {serviceName: other}}`, `spec.serviceName`},
	{"StatefulSet", ``, `{spec: {serviceName: null}}`, `spec.serviceName`},
	{"StatefulSet", ``, `{spec: {podManagementPolicy: Parallel}}`, `spec.podManagementPolicy`},
	{"StatefulSet", ``, `{spec: {podManagementPolicy: OrderedReady}}`, ``},
	{"StatefulSet", `{spec: {podManagementPolicy: Parallel}}`, `{spec: {podManagementPolicy: null}}`, `spec.podManagementPolicy`},
	{"StatefulSet", ``, `{spec: {selector: {matchLabels: {a: c}}, template: {metadata: {labels: {a: c}}}}}`, `spec.selector.matchLabels.a`},
	{"StatefulSet", ``, `{spec: {selector: {matchLabels: {x: z}}, template: {metadata: {labels: {x: z}}}}}`, `spec.selector.matchLabels.x`},
	{"StatefulSet", ``, `{spec: {volumeClaimTemplates: [{metadata: {name: data}, spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 2Gi}}}}, {metadata: {name: log}, spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}}]}}`, `spec.volumeClaimTemplates[name=data].spec.resources.requests.storage`},
	{"StatefulSet", ``, `{spec: {volumeClaimTemplates: [{metadata: {name: data, labels: {helm.sh/chart: a-2}}, spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}}, {metadata: {name: log}, spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}}]}}`, `spec.volumeClaimTemplates[name=data].metadata.labels.helm.sh/chart`},
	{"StatefulSet", ``, `{spec: {volumeClaimTemplates: [{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: data}, spec: {volumeMode: Filesystem, accessModes: [ReadWriteOnce], resources: {requests: {storage: 1024Mi}}}}, {metadata: {name: log}, spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}, status: {}}]}}`, ``},
	{"StatefulSet", ``, `{spec: {volumeClaimTemplates: [{metadata: {name: log}, spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}}, {metadata: {name: data}, spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}}]}}`, `spec.volumeClaimTemplates`},
	{"StatefulSet", ``, `{spec: {volumeClaimTemplates: [{metadata: {name: data}, spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}}]}}`, `spec.volumeClaimTemplates[name=log]`},
	{"StatefulSet", ``, `{spec: {volumeClaimTemplates: null}}`, `spec.volumeClaimTemplates`},

	{"Deployment", ``, `{spec: {replicas: 2, strategy: {type: Recreate}, template: {metadata: {labels: {c: e}}}}}`, ``},
	{"Deployment", ``, `{spec: {selector: {matchLabels: {c: d}}}}`, `spec.selector.matchLabels.c`},
	{"Deployment", `{spec: {selector: {matchLabels: {c: d}}}}`, `{spec: {selector: {matchLabels: {c: null}}}}`, `spec.selector.matchLabels.c`},
	{"Deployment", `{spec: {selector: {matchExpressions: [{key: a, operator: Exists}]}}}`, `{spec: {selector: {matchExpressions: [{key: a, operator: In, values: [b]}]}}}`, `spec.selector.matchExpressions[0].operator spec.selector.matchExpressions[0].values`},
	{"Deployment", `{spec: {selector: {matchExpressions: [{key: a, operator: Exists}, {key: c, operator: Exists}]}}}`, `{spec: {selector: {matchExpressions: [{key: c, operator: Exists}, {key: a, operator: Exists}]}}}`, `spec.selector.matchExpressions[0] spec.selector.matchExpressions[1]`},
	{"ReplicaSet", ``, `{spec: {selector: {matchLabels: {c: d}}}}`, `spec.selector.matchLabels.c`},
	{"ReplicaSet", ``, `{spec: {replicas: 0}}`, ``},
	{"DaemonSet", ``, `{spec: {selector: {matchLabels: {c: d}}}}`, `spec.selector.matchLabels.c`},
	{"DaemonSet", ``, `{spec: {updateStrategy: {type: OnDelete}, template: {spec: {hostNetwork: true}}}}`, ``},
	{"ControllerRevision", ``, `{revision: 2}`, ``},
	{"ControllerRevision", ``, `{data: {a: c}}`, `data.a`},

	{"Job", ``, `{spec: {parallelism: 2, backoffLimit: 1, activeDeadlineSeconds: 9, ttlSecondsAfterFinished: 3, suspend: true}}`, ``},
	{"Job", ``, `{spec: {completions: 1}}`, ``},
	{"Job", ``, `{spec: {completions: 2}}`, `spec.completions`},
	{"Job", `{spec: {completions: 1}}`, `{spec: {completions: null}}`, `spec.completions`},
	{"Job", `{spec: {parallelism: 2}}`, `{spec: {parallelism: null}}`, `spec.completions`},
	{"Job", `{spec: {parallelism: 2}}`, `{spec: {completions: 1}}`, `spec.completions`},
	{"Job", `{spec: {completions: 3}}`, `{spec: {parallelism: 2, backoffLimit: 1, activeDeadlineSeconds: 9, ttlSecondsAfterFinished: 3, suspend: true, podReplacementPolicy: Failed}}`, ``},
	{"Job", ``, `{spec: {template: {spec: {containers: [{name: c, image: "i:2", ports: [{containerPort: 80}], env: [{name: E, value: e}], livenessProbe: {httpGet: {port: 80}}, resources: {requests: {cpu: 100m}}}]}}}}`, `spec.template.spec.containers[name=c].image`},
	{"Job", ``, `{spec: {template: {metadata: {labels: {a: c}}}}}`, `spec.template.metadata.labels.a`},
	{"Job", ``, `{spec: {template: {metadata: {annotations: {checksum/config: "1"}}}}}`, `spec.template.metadata.annotations.checksum/config`},
	{"Job", ``, `{spec: {template: {spec: {dnsPolicy: ClusterFirst, hostNetwork: false, schedulerName: default-scheduler, securityContext: {}, terminationGracePeriodSeconds: 30, containers: [{name: c, image: "i:1", imagePullPolicy: IfNotPresent, terminationMessagePath: /dev/termination-log, terminationMessagePolicy: File, ports: [{containerPort: 80, protocol: TCP}], env: [{name: E, value: e}], livenessProbe: {httpGet: {port: 80, path: /, scheme: HTTP}, periodSeconds: 10, timeoutSeconds: 1, successThreshold: 1, failureThreshold: 3}, resources: {requests: {cpu: 0.1}}}], volumes: [{name: v, configMap: {name: m, defaultMode: 420}}]}}, completions: 1, parallelism: 1, completionMode: NonIndexed}}`, ``},
	{"Job", `{spec: {template: {spec: {dnsPolicy: ClusterFirst, terminationGracePeriodSeconds: 30}}, completions: 1, parallelism: 1}}`, `{spec: {template: {spec: {dnsPolicy: null, terminationGracePeriodSeconds: null}}, completions: null, parallelism: null}}`, ``},
	{"Job", `{spec: {template: {spec: {serviceAccountName: robot}}}}`, `{spec: {template: {spec: {serviceAccount: robot}}}}`, ``},
	{"Job", ``, `{spec: {template: {spec: {enableServiceLinks: true}}}}`, `spec.template.spec.enableServiceLinks`},
	{"Job", ``, `{spec: {template: {spec: {nodeSelector: {a: b}}}}}`, `spec.template.spec.nodeSelector.a`},
	{"Job", `{spec: {suspend: true}}`, `{spec: {template: {spec: {nodeSelector: {a: b}, tolerations: [{key: a, operator: Exists}], affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchExpressions: [{key: a, operator: Exists}]}]}}}}, metadata: {annotations: {a: b}}}}}`, ``},
	{"Job", `{spec: {suspend: true}}`, `{spec: {template: {spec: {priorityClassName: system-cluster-critical}}}}`, `spec.template.spec.priorityClassName`},
	{"Job", `{spec: {completions: 1, parallelism: 1}}`, `{spec: {completions: 2}}`, `spec.completions`},
	{"Job", `{spec: {completionMode: Indexed, completions: 2, parallelism: 2}}`, `{spec: {completions: 3, parallelism: 3}}`, ``},
	{"Job", `{spec: {completionMode: Indexed, completions: 2, parallelism: 2}}`, `{spec: {completions: 3}}`, `spec.completions`},
	{"Job", `{spec: {completions: 2, parallelism: 2}}`, `{spec: {completionMode: Indexed}}`, `spec.completionMode`},
	{"Job", `{spec: {completionMode: Indexed, completions: 2}}`, `{spec: {backoffLimitPerIndex: 1}}`, `spec.backoffLimitPerIndex`},
	{"Job", `{spec: {completionMode: Indexed, completions: 2}}`, `{spec: {successPolicy: {rules: [{succeededCount: 1}]}}}`, `spec.successPolicy`},
	{"Job", ``, `{spec: {podFailurePolicy: {rules: [{action: Ignore, onPodConditions: [{type: DisruptionTarget}]}]}}}`, `spec.podFailurePolicy`},
	{"Job", `{spec: {podFailurePolicy: {rules: [{action: Ignore, onPodConditions: [{type: DisruptionTarget}]}]}}}`, `{spec: {podFailurePolicy: {rules: [{action: Ignore, onPodConditions: [{type: DisruptionTarget, status: "True"}]}]}}}`, ``},
	{"Job", ``, `{spec: {managedBy: example.com/other}}`, `spec.managedBy`},
	{"Job", ``, `{spec: {selector: {matchLabels: {a: b}}, manualSelector: true}}`, `spec.selector`},
	{"CronJob", ``, `{spec: {schedule: "0 * * * *", concurrencyPolicy: Forbid, jobTemplate: {spec: {completions: 2, template: {spec: {containers: [{name: d, image: e}]}}}}}}`, ``},

	{"Pod", ``, `{spec: {containers: [{name: c, image: j, resources: {limits: {cpu: 100m}}}], activeDeadlineSeconds: 5, tolerations: [{key: a, operator: Exists}, {key: b, operator: Exists}]}}`, ``},
	{"Pod", ``, `{spec: {containers: [{name: c, image: i, resources: {limits: {cpu: 100m}, requests: {cpu: 0.1}}, terminationMessagePath: /dev/termination-log}], enableServiceLinks: true, restartPolicy: Always}}`, ``},
	{"Pod", ``, `{spec: {containers: [{name: c, image: "j:1", resources: {limits: {cpu: 100m}}}]}}`, ``},
	{"Pod", ``, `{spec: {containers: [{name: c, image: "j:1", imagePullPolicy: Always, resources: {limits: {cpu: 100m}}}]}}`, ``},
	{"Pod", ``, `{spec: {containers: [{name: c, image: i, imagePullPolicy: IfNotPresent, resources: {limits: {cpu: 100m}}}]}}`, `spec.containers[name=c].imagePullPolicy`},
	{"Pod", `{spec: {activeDeadlineSeconds: 5}}`, `{spec: {activeDeadlineSeconds: 3}}`, ``},
	{"Pod", `{spec: {activeDeadlineSeconds: 5}}`, `{spec: {activeDeadlineSeconds: 7}}`, `spec.activeDeadlineSeconds`},
	{"Pod", ``, `{spec: {containers: [{name: c, image: i, command: [a], resources: {limits: {cpu: 100m}}}]}}`, `spec.containers[name=c].command`},
	{"Pod", ``, `{spec: {hostNetwork: true}}`, `spec.hostNetwork`},
	{"Pod", ``, `{spec: {restartPolicy: Never}}`, `spec.restartPolicy`},
	{"Pod", ``, `{spec: {tolerations: [{key: b, operator: Exists}]}}`, `spec.tolerations[0].key`},

	{"PersistentVolumeClaim", ``, `{spec: {resources: {requests: {storage: 3Gi}}}}`, ``},
	{"PersistentVolumeClaim", ``, `{spec: {resources: {requests: {storage: 2048Mi}}, volumeMode: Filesystem}}`, ``},
	{"PersistentVolumeClaim", ``, `{spec: {resources: {requests: {storage: 1Gi}}}}`, `spec.resources.requests.storage`},
	{"PersistentVolumeClaim", ``, `{spec: {storageClassName: slow}}`, `spec.storageClassName`},
	{"PersistentVolumeClaim", ``, `{spec: {storageClassName: null}}`, `spec.storageClassName`},
	{"PersistentVolumeClaim", `{spec: {storageClassName: null}}`, `{spec: {storageClassName: fast}}`, ``},
	{"PersistentVolumeClaim", ``, `{spec: {accessModes: [ReadWriteMany]}}`, `spec.accessModes[0]`},
	{"PersistentVolumeClaim", ``, `{spec: {volumeMode: Block}}`, `spec.volumeMode`},
	{"PersistentVolumeClaim", ``, `{spec: {selector: {matchLabels: {a: b}}}}`, `spec.selector`},
	{"PersistentVolumeClaim", ``, `{spec: {volumeAttributesClassName: gold}}`, ``},
	{"PersistentVolumeClaim", ``, `{spec: {resources: {limits: {storage: 9Gi}}}}`, `spec.resources.limits.storage`},
	{"PersistentVolumeClaim", ``, `{spec: {dataSource: {kind: PersistentVolumeClaim, name: other}}}`, `spec.dataSource spec.dataSourceRef`},
	{"PersistentVolumeClaim", `{spec: {dataSource: {kind: PersistentVolumeClaim, name: other}}}`, `{spec: {dataSource: null, dataSourceRef: {kind: PersistentVolumeClaim, name: other}}}`, ``},
	{"PersistentVolumeClaim", ``, `{metadata: {annotations: {helm.sh/resource-policy: keep}}}`, ``},
	{"PersistentVolumeClaim", `{spec: {storageClassName: null}, metadata: {annotations: {volume.beta.kubernetes.io/storage-class: fast}}}`, `{metadata: {annotations: {volume.beta.kubernetes.io/storage-class: slow}}}`, `metadata.annotations.volume.beta.kubernetes.io/storage-class`},
	{"PersistentVolumeClaim", `{spec: {storageClassName: null}, metadata: {annotations: {volume.beta.kubernetes.io/storage-class: fast}}}`, `{spec: {storageClassName: fast}}`, ``},

	{"PersistentVolume", ``, `{spec: {capacity: {storage: 2Gi}, accessModes: [ReadWriteMany], persistentVolumeReclaimPolicy: Delete, storageClassName: slow, mountOptions: [ro]}}`, ``},
	{"PersistentVolume", ``, `{spec: {local: {path: /b}}}`, `spec.local.path`},
	{"PersistentVolume", ``, `{spec: {local: null, hostPath: {path: /a}}}`, `spec.hostPath spec.local`},
	{"PersistentVolume", ``, `{spec: {volumeMode: Block}}`, `spec.volumeMode`},
	{"PersistentVolume", ``, `{spec: {nodeAffinity: {required: {nodeSelectorTerms: [{matchExpressions: [{key: b, operator: Exists}]}]}}}}`, `spec.nodeAffinity.required.nodeSelectorTerms[0].matchExpressions[0].key`},

	{"Service", ``, `{spec: {type: NodePort, selector: {a: c}, ports: [{port: 81}], sessionAffinity: ClientIP}}`, ``},
	{"Service", ``, `{spec: {clusterIP: 10.0.0.77}}`, `spec.clusterIP`},
	{"Service", ``, `{spec: {clusterIP: None}}`, `spec.clusterIP`},
	{"Service", `{spec: {clusterIP: None}}`, `{spec: {clusterIP: null}}`, ``},
	{"Service", `{spec: {clusterIP: None}}`, `{spec: {clusterIP: 10.0.0.77}}`, `spec.clusterIP`},
	{"Service", `{spec: {clusterIP: 10.0.0.78}}`, `{spec: {clusterIP: null}}`, ``},
	{"Service", `{spec: {clusterIP: 10.0.0.79}}`, `{spec: {clusterIP: 10.0.0.80}}`, `spec.clusterIP`},
	{"Service", `{spec: {clusterIP: 10.0.0.81}}`, `{spec: {clusterIPs: [10.0.0.81]}}`, ``},
	{"Service", ``, `{spec: {type: ExternalName, externalName: example.com}}`, ``},
	{"Service", `{spec: {type: ExternalName, externalName: example.com, ports: null}}`, `{spec: {type: ClusterIP, externalName: null, clusterIP: None, ports: [{port: 80}]}}`, ``},
	{"Service", `{spec: {ipFamilies: [IPv4]}}`, `{spec: {ipFamilies: [IPv6]}}`, `spec.ipFamilies[0]`},
	{"Service", `{spec: {type: LoadBalancer}}`, `{spec: {loadBalancerClass: example.com/a}}`, `spec.loadBalancerClass`},
	{"Service", `{spec: {type: LoadBalancer, loadBalancerClass: example.com/a}}`, `{spec: {type: ClusterIP, loadBalancerClass: null}}`, ``},
	{"Service", `{spec: {type: LoadBalancer, externalTrafficPolicy: Local, healthCheckNodePort: 30001}}`, `{spec: {healthCheckNodePort: 30002}}`, `spec.healthCheckNodePort`},

	{"ConfigMap", ``, `{metadata: {labels: {a: b}}}`, ``},
	{"ConfigMap", ``, `{data: {a: c}}`, `data.a`},
	{"ConfigMap", ``, `{data: {new: c}}`, `data.new`},
	{"ConfigMap", ``, `{data: null}`, `data.a`},
	{"ConfigMap", ``, `{binaryData: {c: AAAB}}`, `binaryData.c`},
	{"ConfigMap", ``, `{immutable: false}`, `immutable`},
	{"ConfigMap", ``, `{immutable: null}`, `immutable`},
	{"ConfigMap", `{immutable: null}`, `{data: {a: c}, immutable: true}`, ``},
	{"Secret", ``, `{data: {a: Yg==}}`, ``},
	{"Secret", ``, `{type: Opaque}`, ``},
	{"Secret", ``, `{type: example.com/other}`, `type`},
	{"Secret", `{type: example.com/other}`, `{type: null}`, `type`},
	{"Secret", `{immutable: true}`, `{data: {a: Yg==}}`, `data.a`},
	{"Secret", `{immutable: true}`, `{data: null, stringData: {a: a}}`, ``},
	{"Secret", `{immutable: true}`, `{data: null, stringData: {a: b}}`, `data.a`},
	{"ResourceQuota", ``, `{spec: {hard: {pods: 3}}}`, ``},
	{"ResourceQuota", ``, `{spec: {scopes: [NotTerminating, BestEffort]}}`, ``},
	{"ResourceQuota", ``, `{spec: {scopes: [BestEffort]}}`, `spec.scopes[1]`},
	{"RoleBinding", ``, `{subjects: [{kind: User, name: c}], roleRef: {apiGroup: rbac.authorization.k8s.io}}`, ``},
	{"RoleBinding", ``, `{roleRef: {name: edit}}`, `roleRef.name`},
	{"RoleBinding", ``, `{roleRef: {kind: Role}}`, `roleRef.kind`},
	{"ClusterRoleBinding", ``, `{roleRef: {name: edit}}`, `roleRef.name`},
	{"ClusterRoleBinding", ``, `{subjects: null}`, ``},
	{"StorageClass", ``, `{allowVolumeExpansion: true, mountOptions: [ro], reclaimPolicy: Delete, volumeBindingMode: Immediate, allowedTopologies: [{matchLabelExpressions: [{key: a, values: [b]}]}]}`, ``},
	{"StorageClass", ``, `{provisioner: example.com/q}`, `provisioner`},
	{"StorageClass", ``, `{parameters: {a: c}}`, `parameters.a`},
	{"StorageClass", ``, `{parameters: null}`, `parameters.a`},
	{"StorageClass", ``, `{reclaimPolicy: Retain}`, `reclaimPolicy`},
	{"StorageClass", ``, `{volumeBindingMode: WaitForFirstConsumer}`, `volumeBindingMode`},
	{"VolumeAttributesClass", ``, `{parameters: {a: c}}`, `parameters.a`},
	{"VolumeAttributesClass", ``, `{driverName: example.org}`, `driverName`},
	{"CSIDriver", ``, `{spec: {podInfoOnMount: false, attachRequired: true, volumeLifecycleModes: [Persistent]}}`, ``},
	{"CSIDriver", ``, `{spec: {attachRequired: false}}`, `spec.attachRequired`},
	{"CSIDriver", ``, `{spec: {volumeLifecycleModes: [Ephemeral]}}`, `spec.volumeLifecycleModes[0]`},
	{"CSIStorageCapacity", ``, `{capacity: 2Gi}`, ``},
	{"CSIStorageCapacity", ``, `{storageClassName: b}`, `storageClassName`},
	{"CSIStorageCapacity", ``, `{nodeTopology: {matchLabels: {a: b}}}`, `nodeTopology`},
	{"PriorityClass", ``, `{globalDefault: false, description: x, preemptionPolicy: PreemptLowerPriority}`, ``},
	{"PriorityClass", ``, `{value: 11}`, `value`},
	{"PriorityClass", ``, `{preemptionPolicy: Never}`, `preemptionPolicy`},
	{"IngressClass", ``, `{spec: {controller: example.com/b}}`, `spec.controller`},
	{"IngressClass", ``, `{spec: {parameters: {kind: X, name: z}}}`, ``},
	{"RuntimeClass", ``, `{handler: nvidia}`, `handler`},
	{"RuntimeClass", ``, `{scheduling: {nodeSelector: {a: b}}}`, ``},
	{"EndpointSlice", ``, `{addressType: IPv6}`, `addressType`},
	{"ResourceClaim", ``, `{spec: {devices: {requests: [{name: a, exactly: {deviceClassName: other}}]}}}`, `spec.devices.requests[name=a].exactly.deviceClassName`},
	{"ResourceClaimTemplate", ``, `{spec: {spec: {devices: {requests: [{name: a, exactly: {deviceClassName: other}}]}}}}`, `spec.spec.devices.requests[name=a].exactly.deviceClassName`},
	{"CustomResourceDefinition", ``, `{spec: {scope: Cluster}}`, `spec.scope`},
	{"CustomResourceDefinition", ``, `{spec: {names: {kind: Movie}}}`, `spec.names.kind`},
	{"CustomResourceDefinition", ``, `{spec: {names: {shortNames: [f]}}}`, ``},
	{"HorizontalPodAutoscaler", ``, `{spec: {maxReplicas: 5, scaleTargetRef: {name: b}}}`, ``},
}

func (c change) String() string {
	return strings.TrimSuffix(fmt.Sprintf("%s %s→ %s", c.kind, strings.TrimSpace(c.before+" "), c.after), " ")
}

// objects are before and after.
func (c change) objects(t testing.TB) (before, after *unstructured.Unstructured) {
	t.Helper()
	parse := func(text string) (m map[string]any) {
		require.NoError(t, yaml.Unmarshal([]byte(text), &m), text)
		return m
	}
	before = &unstructured.Unstructured{Object: merge(parse(bases[c.kind]), parse(c.before))}
	after = &unstructured.Unstructured{Object: merge(parse(bases[c.kind]), parse(c.before))}
	after.Object = merge(after.Object, parse(c.after))
	return before, after
}

// merge lays one map over another; null takes a field out.
func merge(m, over map[string]any) map[string]any {
	for key, value := range over {
		below, isMap := value.(map[string]any)
		under, wasMap := m[key].(map[string]any)
		switch {
		case value == nil:
			delete(m, key)
		case isMap && wasMap:
			m[key] = merge(under, below)
		default:
			m[key] = value
		}
	}
	return m
}

func TestRefused(t *testing.T) {
	for _, c := range changes {
		t.Run(c.String(), func(t *testing.T) {
			before, after := c.objects(t)
			require.NotEqual(t, before, after)
			var paths []string
			for _, r := range diff.Refused(before, after) {
				paths = append(paths, r.Field.Path)
				require.NotEmpty(t, r.Reason)
				require.NotContains(t, r.Remedy, "NAME")
			}
			require.Equal(t, c.want, strings.Join(paths, " "))
			require.Empty(t, diff.Refused(before, before))
			require.Empty(t, diff.Refused(after, after))
		})
	}
}

func TestEveryRuleIsTried(t *testing.T) {
	refused, allowed := map[string]bool{}, map[string]bool{}
	for _, c := range changes {
		(map[bool]map[string]bool{true: allowed, false: refused})[c.want == ""][c.kind] = true
	}
	for kind := range bases {
		require.True(t, refused[kind] || kind == "CronJob" || kind == "HorizontalPodAutoscaler", kind)
	}
}

func TestRefusedIsSilentWhereItIsNoUpdate(t *testing.T) {
	before, after := change{kind: "StatefulSet", after: `{spec: {serviceName: other}}`}.objects(t)
	require.Len(t, diff.Refused(before, after), 1)
	for name, edit := range map[string]string{
		"another name": `{metadata: {name: y}}`, "another kind": `{kind: Deployment}`, "another group": `{apiVersion: example.com/v1}`,
		"another version": `{apiVersion: apps/v1beta1}`, "not decodable": `{spec: {replicas: many}}`,
	} {
		t.Run(name, func(t *testing.T) {
			var m map[string]any
			require.NoError(t, yaml.Unmarshal([]byte(edit), &m))
			require.Empty(t, diff.Refused(before, &unstructured.Unstructured{Object: merge(after.DeepCopy().Object, m)}))
		})
	}
	require.Empty(t, diff.Refused(before, &unstructured.Unstructured{}))
	typed := func(service string) *appsv1.StatefulSet {
		return &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Name: "x"}, Spec: appsv1.StatefulSetSpec{ServiceName: service}}
	}
	require.Len(t, diff.Refused(typed("a"), typed("b")), 1, "typed objects rarely say their kind")
}

func TestHooksAreNotRefused(t *testing.T) {
	before, after := change{"Job", `{metadata: {annotations: {helm.sh/hook: pre-upgrade}}}`, `{spec: {managedBy: example.com/a}}`, ""}.objects(t)
	d := diff.Objects([]*unstructured.Unstructured{before}, []*unstructured.Unstructured{after})
	require.Len(t, d.Objects, 1)
	require.Empty(t, d.Refused())
}

func TestSecretsAreNotTold(t *testing.T) {
	before, after := change{"Secret", `{immutable: true}`, `{data: null, stringData: {a: hunter2}}`, ""}.objects(t)
	refusals := diff.Refused(before, after)
	require.Len(t, refusals, 1)
	require.NotContains(t, refusals[0].String(), "hunter2")
	require.NotContains(t, refusals[0].String(), "aHVudGVyMg")
	require.Equal(t, "stringData.a", refusals[0].Field.At)
}
