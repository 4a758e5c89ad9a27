package check

import (
	"slices"
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ai-film/ai-film/charttest"
)

// controlled says whether a key is of a label that controllers give to pods,
// whatever the template says, and whether a workload's pods can get that value.
func (w workload) controlled(key, value string) (known, possible bool) {
	switch key {
	case "statefulset.kubernetes.io/pod-name":
		sts, ok := w.object.Typed.(*appsv1.StatefulSet)
		ordinal, named := strings.CutPrefix(value, w.object.Name+"-")
		return true, ok && named && ordinalOf(sts, ordinal)
	case "apps.kubernetes.io/pod-index":
		sts, ok := w.object.Typed.(*appsv1.StatefulSet)
		return true, ok && ordinalOf(sts, value)
	case "batch.kubernetes.io/job-completion-index":
		_, err := strconv.ParseUint(value, 10, 31)
		return true, w.ofJob() && err == nil
	case "job-name", "batch.kubernetes.io/job-name":
		if cron, ok := w.object.Typed.(*batchv1.CronJob); ok {
			return true, strings.HasPrefix(value, cron.Name+"-")
		}
		return true, w.ofJob() && value == w.object.Name
	case "controller-uid", "batch.kubernetes.io/controller-uid":
		return true, w.ofJob()
	case "pod-template-hash":
		return true, w.object.Kind == "Deployment"
	case "controller-revision-hash":
		return true, w.object.Kind == "StatefulSet" || w.object.Kind == "DaemonSet"
	case "pod-template-generation":
		return true, w.object.Kind == "DaemonSet"
	}
	return false, false
}

func (w workload) ofJob() bool { return w.object.Kind == "Job" || w.object.Kind == "CronJob" }

// ordinalOf says whether a StatefulSet can have a pod of that ordinal. How many
// there are may be up to an autoscaler, or to whoever scales.
func ordinalOf(sts *appsv1.StatefulSet, ordinal string) bool {
	n, err := strconv.ParseUint(ordinal, 10, 31)
	if err != nil || ordinal != strconv.FormatUint(n, 10) {
		return false
	}
	start := uint64(0)
	if sts.Spec.Ordinals != nil {
		start = uint64(sts.Spec.Ordinals.Start)
	}
	return n >= start
}

// controllers says whether a selector asks for a label that controllers give.
func controllers(s *metav1.LabelSelector) bool {
	nobody := workload{object: new(charttest.Object)}
	for key := range s.MatchLabels {
		if known, _ := nobody.controlled(key, ""); known {
			return true
		}
	}
	return slices.ContainsFunc(s.MatchExpressions, func(e metav1.LabelSelectorRequirement) bool {
		known, _ := nobody.controlled(e.Key, "")
		return known
	})
}

// has says whether a workload's pods can have the labels.
func (w workload) has(want map[string]string) bool {
	for key, value := range want {
		if have, ok := w.template.Labels[key]; ok && have == value {
			continue
		}
		if _, possible := w.controlled(key, value); !possible {
			return false
		}
	}
	return true
}

// selectedBy says whether a selector matches the labels that a workload's pods
// have or get. An invalid selector matches nothing; selectorMatches reports it.
func (w workload) selectedBy(s *metav1.LabelSelector) bool {
	if s == nil {
		return false
	}
	if !controllers(s) {
		return selects(s, w.template.Labels)
	}
	rest := s.DeepCopy()
	for key, value := range s.MatchLabels {
		if _, possible := w.controlled(key, value); possible {
			delete(rest.MatchLabels, key)
		}
	}
	rest.MatchExpressions = rest.MatchExpressions[:0]
	for _, e := range s.MatchExpressions {
		known, possible := false, e.Operator != metav1.LabelSelectorOpIn
		for _, value := range append([]string{""}, e.Values...) {
			k, p := w.controlled(e.Key, value)
			known, possible = known || k, possible || p
		}
		if !known || !possible {
			rest.MatchExpressions = append(rest.MatchExpressions, e)
		}
	}
	return selects(rest, w.template.Labels)
}
