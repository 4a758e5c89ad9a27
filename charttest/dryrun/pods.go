package dryrun

import (
	"context"
	"fmt"
	"regexp"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

var (
	pods   = kind{schema.GroupVersionResource{Version: "v1", Resource: "pods"}, true}
	claims = kind{schema.GroupVersionResource{Version: "v1", Resource: "persistentvolumeclaims"}, true}
)

// templateOf is the path of the pod template in objects of a kind, or "".
func templateOf(apiVersion, kind string) string {
	switch group, _, _ := strings.Cut(apiVersion, "/"); {
	case group == "apps" && (kind == "Deployment" || kind == "StatefulSet" || kind == "DaemonSet" || kind == "ReplicaSet"),
		group == "batch" && kind == "Job":
		return "spec.template"
	case group == "batch" && kind == "CronJob":
		return "spec.jobTemplate.spec.template"
	}
	return ""
}

// rehearsePods asks the server about a pod of the object's template, and about
// the claims of a StatefulSet, as controllers would.
func (r *rehearsal) rehearsePods(ctx context.Context, i int, namespace string, content *unstructured.Unstructured) error {
	at := templateOf(content.GetAPIVersion(), content.GetKind())
	if at == "" {
		return nil
	}
	template, ok, _ := unstructured.NestedMap(content.Object, strings.Split(at, ".")...)
	if !ok {
		return nil
	}
	if err := r.rehearseClaims(ctx, i, namespace, content); err != nil {
		return err
	}
	pod := podOf(content, template)
	pod.SetNamespace(namespace)
	a := &r.said[i]
	a.pods++
	// The template was decoded strictly with its workload.
	stored, _, err := r.ask(ctx, i, request{kind: pods, namespace: namespace, content: pod,
		validation: metav1.FieldValidationIgnore, at: at, what: "its pods"})
	a.pod = stored
	return err
}

// podOf is the pod that a controller would make of a template.
func podOf(owner *unstructured.Unstructured, template map[string]any) *unstructured.Unstructured {
	metadata := map[string]any{"generateName": owner.GetName() + "-"}
	if owner.GetKind() == "StatefulSet" {
		metadata = map[string]any{"name": owner.GetName() + "-0"}
	}
	if of, ok := template["metadata"].(map[string]any); ok {
		for _, field := range []string{"labels", "annotations"} {
			if v, ok := of[field]; ok {
				metadata[field] = v
			}
		}
	}
	pod := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}}
	for _, claim := range templatesOfClaims(owner) {
		name := claim.GetName()
		volumes, _, _ := unstructured.NestedSlice(pod.Object, "spec", "volumes")
		kept := []any{}
		for _, v := range volumes { // of two of a name, the claim's wins
			if m, ok := v.(map[string]any); !ok || m["name"] != name {
				kept = append(kept, v)
			}
		}
		kept = append(kept, map[string]any{"name": name, "persistentVolumeClaim": map[string]any{"claimName": name + "-" + owner.GetName() + "-0"}})
		_ = unstructured.SetNestedSlice(pod.Object, kept, "spec", "volumes")
	}
	return pod
}

func templatesOfClaims(owner *unstructured.Unstructured) []*unstructured.Unstructured {
	if owner.GetKind() != "StatefulSet" {
		return nil
	}
	list, _, _ := unstructured.NestedSlice(owner.Object, "spec", "volumeClaimTemplates")
	var all []*unstructured.Unstructured
	for _, item := range list {
		if m, ok := item.(map[string]any); ok {
			all = append(all, &unstructured.Unstructured{Object: m})
		}
	}
	return all
}

func (r *rehearsal) rehearseClaims(ctx context.Context, i int, namespace string, owner *unstructured.Unstructured) error {
	for j, claim := range templatesOfClaims(owner) {
		claim.SetAPIVersion("v1")
		claim.SetKind("PersistentVolumeClaim")
		claim.SetNamespace(namespace)
		claim.SetName(claim.GetName() + "-" + owner.GetName() + "-0")
		_, _, err := r.ask(ctx, i, request{kind: claims, namespace: namespace, content: claim,
			validation: metav1.FieldValidationIgnore, at: fmt.Sprintf("spec.volumeClaimTemplates[%d]", j), what: "its claims"})
		if err != nil {
			return err
		}
	}
	return nil
}

// expected says whether a class ("RuntimeClass/nvidia") is where the chart is
// installed, though not here.
func (r *rehearsal) expected(class string) bool {
	kind, name, _ := strings.Cut(class, "/")
	return r.render.Object(kind, name) != nil || r.cluster.Declares(kind, name)
}

// offence is the field of a pod that admission names, if not as a field; and
// the object that isn't there, if that is what it takes offence at.
func offence(pod *unstructured.Unstructured, err error) (field, absent string) {
	if err == nil {
		return "", ""
	}
	message := err.Error()
	if m := noRuntimeClass.FindStringSubmatch(message); m != nil {
		return "spec.runtimeClassName", "RuntimeClass/" + m[1]
	}
	if m := noPriorityClass.FindStringSubmatch(message); m != nil {
		return "spec.priorityClassName", "PriorityClass/" + m[1]
	}
	if m := noAccount.FindStringSubmatch(message); m != nil {
		return "spec.serviceAccountName", "ServiceAccount/" + m[1]
	}
	if strings.Contains(message, "violates PodSecurity") {
		return insecure(pod, message), ""
	}
	return "", ""
}

var (
	noRuntimeClass  = regexp.MustCompile(`RuntimeClass "([^"]+)" not found`)
	noPriorityClass = regexp.MustCompile(`no PriorityClass with name (\S+) was found`)
	noAccount       = regexp.MustCompile(`serviceaccount "([^"]+)" not found`)

	namesContainers = regexp.MustCompile(`containers? ("[^)]*?") must`)
	namesVolumes    = regexp.MustCompile(`volumes? ("[^)]*?") uses?`)
	namesHost       = regexp.MustCompile(`\b(hostNetwork|hostPID|hostIPC)=true`)
	inQuotes        = regexp.MustCompile(`"([^"]+)"`)
)

// insecure is the field of a pod at which Pod Security takes offence: it names
// containers and volumes, but no fields.
func insecure(pod *unstructured.Unstructured, message string) string {
	lookup := func(names string, of string, lists ...string) string {
		m := inQuotes.FindStringSubmatch(names)
		if m == nil {
			return ""
		}
		for _, list := range lists {
			items, _, _ := unstructured.NestedSlice(pod.Object, "spec", list)
			for i, item := range items {
				if c, ok := item.(map[string]any); ok && c["name"] == m[1] {
					return fmt.Sprintf("spec.%s[%d]%s", list, i, of)
				}
			}
		}
		return ""
	}
	if m := namesHost.FindStringSubmatch(message); m != nil {
		return "spec." + m[1]
	}
	if m := namesContainers.FindStringSubmatch(message); m != nil {
		return lookup(m[1], ".securityContext", "containers", "initContainers")
	}
	if m := namesVolumes.FindStringSubmatch(message); m != nil {
		return lookup(m[1], "", "volumes")
	}
	return "spec"
}
