package rehearse

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"github.com/ai-film/ai-film/charttest/internal/controlplane"
)

// canaries is the namespace of what only shows that the control plane works.
const canaries = "rehearsal-canary"

// watcher follows what happens in a cluster.
type watcher struct {
	client  kubernetes.Interface
	factory informers.SharedInformerFactory
	tell    func() // after a change; may be nil

	mu      sync.Mutex
	changes int
	changed chan struct{} // closed at the next change
	tracks  *Timeline
}

// newWatcher watches a cluster until the context ends, and calls on with every
// change of a claim or a volume.
func newWatcher(ctx context.Context, client kubernetes.Interface, on func(any)) (*watcher, error) {
	w := &watcher{client: client, factory: informers.NewSharedInformerFactory(client, 0), changed: make(chan struct{}), tracks: newTimeline()}
	core, apps := w.factory.Core().V1(), w.factory.Apps().V1()
	all := map[cache.SharedIndexInformer]func(any){
		core.Pods().Informer(): nil, core.Nodes().Informer(): nil, apps.Deployments().Informer(): nil, apps.ReplicaSets().Informer(): nil,
		apps.StatefulSets().Informer(): nil, apps.DaemonSets().Informer(): nil, w.factory.Batch().V1().Jobs().Informer(): nil,
		w.factory.Autoscaling().V2().HorizontalPodAutoscalers().Informer(): nil,
		core.PersistentVolumeClaims().Informer():                           on, core.PersistentVolumes().Informer(): on,
	}
	var synced []cache.InformerSynced
	for informer, on := range all {
		_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc: func(o any) { w.saw(o, false, on) },
			UpdateFunc: func(was, is any) {
				if was.(metav1.Object).GetResourceVersion() != is.(metav1.Object).GetResourceVersion() {
					w.saw(is, false, on)
				}
			},
			DeleteFunc: func(o any) {
				if gone, ok := o.(cache.DeletedFinalStateUnknown); ok {
					o = gone.Obj
				}
				w.saw(o, true, nil)
			},
		})
		if err != nil {
			return nil, err
		}
		synced = append(synced, informer.HasSynced)
	}
	w.factory.Start(ctx.Done())
	if !cache.WaitForCacheSync(ctx.Done(), synced...) {
		return nil, context.Cause(ctx)
	}
	return w, nil
}

func (w *watcher) saw(o any, gone bool, on func(any)) {
	object, ok := o.(metav1.Object)
	if !ok || object.GetNamespace() == canaries {
		return
	}
	w.mu.Lock()
	w.tracks.record(o, gone)
	w.changes++
	close(w.changed)
	w.changed = make(chan struct{})
	tell := w.tell
	w.mu.Unlock()
	if on != nil {
		on(o)
	}
	if tell != nil {
		tell()
	}
}

// since is how many changes there were, and a channel that is closed at the next.
func (w *watcher) since() (int, <-chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.changes, w.changed
}

// errStalled says that what is waited for doesn't come: nothing happens any more.
var errStalled = errors.New("nothing happens any more")

// settle waits until something holds. It gives up, with errStalled, when nothing
// has changed for as long as the control plane needs to do a few new things, for
// then it has no more to do: on a slow machine that is long, on a quick one short.
func (w *watcher) settle(ctx context.Context, holds func() bool) error {
	for {
		before, changed := w.since()
		if holds() {
			return nil
		}
		select {
		case <-changed: // what comes in bursts needs no question
			continue
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(calm):
		}
		quiet, stop := context.WithCancel(ctx)
		still := make(chan error, 1)
		go func() { still <- w.idle(quiet) }()
		select {
		case <-changed:
			stop()
			<-still
		case err := <-still:
			stop()
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if err != nil {
				return err
			}
			if after, _ := w.since(); after == before {
				if holds() {
					return nil
				}
				return errStalled
			}
		case <-ctx.Done():
			stop()
			<-still
			return context.Cause(ctx)
		}
	}
}

const (
	rounds   = 4               // of new work that the control plane gets done
	longer   = 3 * time.Second // than what it does by the clock: the scheduler's and the autoscalers' next try
	calm     = 500 * time.Millisecond
	pausing  = 200 * time.Millisecond
	canary   = "canary"
	nobody   = "charttest.dev/nobody"
	backAway = 50 * time.Millisecond
)

// idle returns when the control plane has done a few rounds of new work: a
// ReplicaSet's pod, made by the controller manager and looked at by the
// scheduler, and a pod of a simulated node, played by kwok.
func (w *watcher) idle(ctx context.Context) error {
	start := time.Now()
	for i := 0; i < rounds || time.Since(start) < longer; i++ {
		if err := w.round(ctx); err != nil {
			return err
		}
		if err := pause(ctx, pausing); err != nil {
			return err
		}
	}
	return nil
}

func (w *watcher) round(ctx context.Context) error {
	zero := int64(0)
	spec := corev1.PodSpec{NodeSelector: map[string]string{nobody: "true"}, TerminationGracePeriodSeconds: &zero,
		Containers: []corev1.Container{{Name: canary, Image: canary}}}
	one := int32(1)
	sets := w.client.AppsV1().ReplicaSets(canaries)
	made, err := sets.Create(ctx, &appsv1.ReplicaSet{
		ObjectMeta: metav1.ObjectMeta{GenerateName: canary + "-"},
		Spec: appsv1.ReplicaSetSpec{Replicas: &one, Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": canary}},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": canary}}, Spec: spec}},
	}, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	defer func() {
		background := metav1.DeletePropagationBackground
		_ = sets.Delete(context.WithoutCancel(ctx), made.Name, metav1.DeleteOptions{PropagationPolicy: &background})
	}()
	if err := w.poll(ctx, func(p *corev1.Pod) bool {
		return strings.HasPrefix(p.Name, made.Name) && slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool { return c.Type == corev1.PodScheduled })
	}); err != nil {
		return err
	}
	nodes := slices.DeleteFunc(w.nodes(), func(n *corev1.Node) bool {
		return n.Labels[controlplane.Simulated] != "true" || !ready(n) || n.DeletionTimestamp != nil
	})
	if len(nodes) == 0 {
		return nil
	}
	spec.NodeName, spec.NodeSelector = nodes[0].Name, nil
	spec.Tolerations = []corev1.Toleration{{Operator: corev1.TolerationOpExists}}
	pod, err := w.client.CoreV1().Pods(canaries).Create(ctx, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{GenerateName: canary + "-played-",
		Annotations: map[string]string{"cluster-autoscaler.kubernetes.io/safe-to-evict": "true"}}, Spec: spec}, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	defer func() {
		_ = w.client.CoreV1().Pods(canaries).Delete(context.WithoutCancel(ctx), pod.Name, metav1.DeleteOptions{GracePeriodSeconds: &zero})
	}()
	err = w.poll(ctx, func(p *corev1.Pod) bool { return p.Name == pod.Name && p.Status.Phase == corev1.PodRunning })
	if apierrors.IsNotFound(err) { // with its node
		return nil
	}
	return err
}

// poll waits for a pod among the canaries.
func (w *watcher) poll(ctx context.Context, is func(*corev1.Pod) bool) error {
	for {
		if slices.ContainsFunc(w.podsOf(canaries), is) {
			return nil
		}
		if err := pause(ctx, backAway); err != nil {
			return err
		}
	}
}

func (w *watcher) podsOf(namespace string) []*corev1.Pod {
	pods, _ := w.factory.Core().V1().Pods().Lister().Pods(namespace).List(labels.Everything())
	return pods
}

// pods are those of the chart, by name.
func (w *watcher) pods() []*corev1.Pod {
	all, _ := w.factory.Core().V1().Pods().Lister().List(labels.Everything())
	return byName(slices.DeleteFunc(slices.Clone(all), func(p *corev1.Pod) bool { return p.Namespace == canaries }))
}

func (w *watcher) nodes() []*corev1.Node {
	all, _ := w.factory.Core().V1().Nodes().Lister().List(labels.Everything())
	return byName(slices.Clone(all))
}

func (w *watcher) claims() []*corev1.PersistentVolumeClaim {
	all, _ := w.factory.Core().V1().PersistentVolumeClaims().Lister().List(labels.Everything())
	return byName(slices.Clone(all))
}

func (w *watcher) volume(name string) *corev1.PersistentVolume {
	v, _ := w.factory.Core().V1().PersistentVolumes().Lister().Get(name)
	return v
}

func (w *watcher) autoscalers() []*autoscalingv2.HorizontalPodAutoscaler {
	all, _ := w.factory.Autoscaling().V2().HorizontalPodAutoscalers().Lister().List(labels.Everything())
	return byName(slices.Clone(all))
}

func (w *watcher) jobs() []*batchv1.Job {
	all, _ := w.factory.Batch().V1().Jobs().Lister().List(labels.Everything())
	return byName(slices.Clone(all))
}

func byName[T metav1.Object](all []T) []T {
	slices.SortFunc(all, func(a, b T) int {
		return cmp.Or(strings.Compare(a.GetNamespace(), b.GetNamespace()), strings.Compare(a.GetName(), b.GetName()))
	})
	return all
}

// workload is a controller of pods, and how far it is.
type workload struct {
	object  metav1.Object
	kind    string
	wanted  int32
	ready   int32 // and of the newest template
	exist   int32 // of any template
	settled bool  // its controller has seen its latest specification
}

func (l workload) String() string { return l.kind + "/" + l.object.GetName() }

func (l workload) done() bool { return l.settled && l.ready == l.wanted && l.exist == l.wanted }

// workloads are all controllers of pods, ReplicaSets of Deployments and
// finished Jobs aside.
func (w *watcher) workloads() []workload {
	var all []workload
	value := func(n *int32) int32 {
		if n == nil {
			return 1
		}
		return *n
	}
	apps := w.factory.Apps().V1()
	deployments, _ := apps.Deployments().Lister().List(labels.Everything())
	for _, d := range byName(slices.Clone(deployments)) {
		all = append(all, workload{d, "Deployment", value(d.Spec.Replicas), min(d.Status.ReadyReplicas, d.Status.UpdatedReplicas), d.Status.Replicas, d.Status.ObservedGeneration >= d.Generation})
	}
	sets, _ := apps.StatefulSets().Lister().List(labels.Everything())
	for _, s := range byName(slices.Clone(sets)) {
		ready := s.Status.ReadyReplicas
		if s.Status.UpdateRevision != s.Status.CurrentRevision && s.Spec.UpdateStrategy.Type != appsv1.OnDeleteStatefulSetStrategyType {
			ready = min(ready, s.Status.UpdatedReplicas)
		}
		all = append(all, workload{s, "StatefulSet", value(s.Spec.Replicas), ready, s.Status.Replicas, s.Status.ObservedGeneration >= s.Generation})
	}
	daemons, _ := apps.DaemonSets().Lister().List(labels.Everything())
	for _, d := range byName(slices.Clone(daemons)) {
		all = append(all, workload{d, "DaemonSet", d.Status.DesiredNumberScheduled, d.Status.NumberReady, d.Status.CurrentNumberScheduled, d.Status.ObservedGeneration >= d.Generation})
	}
	replicas, _ := apps.ReplicaSets().Lister().List(labels.Everything())
	for _, r := range byName(slices.Clone(replicas)) {
		if r.Namespace != canaries && metav1.GetControllerOf(r) == nil {
			all = append(all, workload{r, "ReplicaSet", value(r.Spec.Replicas), r.Status.ReadyReplicas, r.Status.Replicas, r.Status.ObservedGeneration >= r.Generation})
		}
	}
	for _, j := range w.jobs() {
		if j.Spec.Suspend != nil && *j.Spec.Suspend {
			continue
		}
		ended := int32(0)
		if finished(j) {
			ended = 1
		}
		all = append(all, workload{j, "Job", 1, ended, 1, true})
	}
	return all
}

func finished(j *batchv1.Job) bool {
	return slices.ContainsFunc(j.Status.Conditions, func(c batchv1.JobCondition) bool {
		return c.Status == corev1.ConditionTrue && (c.Type == batchv1.JobComplete || c.Type == batchv1.JobFailed)
	})
}

// running says whether everything that is wanted runs, and nothing else.
func (w *watcher) running() bool {
	up := map[string]int32{} // what controllers say of their pods may be older than the pods
	for _, p := range w.pods() {
		if kind, name := w.owner(p, "Pod"); podReady(p) && p.DeletionTimestamp == nil {
			up[p.Namespace+"/"+kind+"/"+name]++
		}
	}
	for _, l := range w.workloads() {
		if !l.done() || l.kind != "Job" && metav1.GetControllerOf(l.object) == nil && up[l.object.GetNamespace()+"/"+l.String()] != l.wanted {
			return false
		}
	}
	for _, p := range w.pods() {
		if p.DeletionTimestamp != nil || p.Status.Phase == corev1.PodPending || p.Status.Phase == corev1.PodRunning && !podReady(p) {
			return false
		}
	}
	return true
}

// counts are the pods that run or have done their work, and all.
func (w *watcher) counts() (running, all int) {
	for _, p := range w.pods() {
		all++
		if podReady(p) || p.Status.Phase == corev1.PodSucceeded {
			running++
		}
	}
	return running, all
}

func podReady(p *corev1.Pod) bool {
	return slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

func ready(n *corev1.Node) bool {
	return slices.ContainsFunc(n.Status.Conditions, func(c corev1.NodeCondition) bool {
		return c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue
	})
}

// owner is the object behind a pod, such as "Deployment" and "web": the one
// that no other controls.
func (w *watcher) owner(o metav1.Object, kind string) (string, string) {
	for {
		c := metav1.GetControllerOf(o)
		if c == nil {
			return kind, o.GetName()
		}
		var up runtime.Object
		var err error
		switch c.Kind {
		case "ReplicaSet":
			up, err = w.factory.Apps().V1().ReplicaSets().Lister().ReplicaSets(o.GetNamespace()).Get(c.Name)
		case "Job":
			up, err = w.factory.Batch().V1().Jobs().Lister().Jobs(o.GetNamespace()).Get(c.Name)
		default:
			return c.Kind, c.Name
		}
		if err != nil {
			return c.Kind, c.Name
		}
		o, kind = up.(metav1.Object), c.Kind
	}
}
