package check

import (
	"encoding/json"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ai-film/ai-film/charttest"
)

// monitor is what matters here of a ServiceMonitor or PodMonitor
// (monitoring.coreos.com/v1).
type monitor struct {
	Spec struct {
		Selector          metav1.LabelSelector `json:"selector"`
		NamespaceSelector struct {
			Any        bool     `json:"any"`
			MatchNames []string `json:"matchNames"`
		} `json:"namespaceSelector"`
		Endpoints           []endpoint `json:"endpoints"`
		PodMetricsEndpoints []endpoint `json:"podMetricsEndpoints"`
	} `json:"spec"`
}

type endpoint struct {
	Port string `json:"port"`
}

var serviceMonitorTarget = &Check{
	Name:   "service-monitor-target",
	Why:    "A ServiceMonitor or PodMonitor that selects nothing, or a port that isn't there, collects no metrics, and nothing says so.",
	Remedy: "Make spec.selector match the labels of the Service (or pods) and name one of its ports.",
	Run: func(p *Pass) {
		for _, o := range p.Render.Objects {
			if o.Kind != "ServiceMonitor" && o.Kind != "PodMonitor" {
				continue
			}
			var m monitor
			if data, err := json.Marshal(o.Content()); err != nil || json.Unmarshal(data, &m) != nil {
				continue
			}
			// A monitor of other namespaces watches what others installed.
			names := m.Spec.NamespaceSelector.MatchNames
			if m.Spec.NamespaceSelector.Any || len(names) > 1 || len(names) == 1 && names[0] != p.namespace(o) {
				continue
			}
			if o.Kind == "ServiceMonitor" {
				p.serviceMonitor(o, m)
			} else {
				p.podMonitor(o, m)
			}
		}
	},
}

func (p *Pass) serviceMonitor(o *charttest.Object, m monitor) {
	ports, services, selected := map[string]bool{}, 0, 0
	for _, so := range p.Render.Objects {
		svc, ok := so.Typed.(*corev1.Service)
		if !ok {
			continue
		}
		services++
		if selects(&m.Spec.Selector, svc.Labels) {
			selected++
			for _, port := range svc.Spec.Ports {
				ports[port.Name] = true
			}
		}
	}
	if services > 0 && selected == 0 && !p.servicesOfOthers(&m.Spec.Selector) {
		p.Report(o, "spec.selector", "selects no Service of this chart: %s", metav1.FormatLabelSelector(&m.Spec.Selector))
	}
	if selected > 0 {
		for i, e := range m.Spec.Endpoints {
			if e.Port != "" && !ports[e.Port] {
				p.Report(o, join(elem("spec.endpoints", i), "port"), "no selected Service has a port named %q", e.Port)
			}
		}
	}
}

func (p *Pass) podMonitor(o *charttest.Object, m monitor) {
	pods := p.matched(&m.Spec.Selector)
	if len(pods) == 0 {
		if !p.podsOfOthers(o, &m.Spec.Selector) {
			p.Report(o, "spec.selector", "selects no pod of this chart: %s", metav1.FormatLabelSelector(&m.Spec.Selector))
		}
		return
	}
	ports := map[string]bool{}
	for _, w := range pods {
		for _, c := range w.containers() {
			for _, port := range c.Ports {
				ports[port.Name] = true
			}
		}
	}
	for i, e := range m.Spec.PodMetricsEndpoints {
		if e.Port != "" && !ports[e.Port] {
			p.Report(o, join(elem("spec.podMetricsEndpoints", i), "port"), "no selected container has a port named %q", e.Port)
		}
	}
}
