package node

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// grace is how long a container may take to end; the longest of the chart's own are cut off here, since every step of
// a film is idempotent.
const grace = 30 * time.Second

// Containers returns the ids of the containers that run, for instance to tell a pod's present state from the one its
// status kept over a restart.
func (n Node) Containers(ctx context.Context) (map[string]bool, error) {
	conn, err := dial(n.Places.Containerd())
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	list, err := cri.NewRuntimeServiceClient(conn).ListContainers(ctx, &cri.ListContainersRequest{Filter: running})
	if err != nil {
		return nil, err
	}
	ids := map[string]bool{}
	for _, c := range list.Containers {
		ids[c.Id] = true
	}
	return ids, nil
}

var running = &cri.ContainerFilter{State: &cri.ContainerStateValue{State: cri.ContainerState_CONTAINER_RUNNING}}

func dial(socket string) (*grpc.ClientConn, error) {
	return grpc.NewClient("unix://"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
}

// removePods stops all containers of the runtime at the socket, in parallel, and removes their pods with their network.
// The kubelet must have ended, or it would start them again.
func removePods(ctx context.Context, socket string) error {
	ctx, cancel := context.WithTimeout(ctx, grace+60*time.Second)
	defer cancel()
	conn, err := dial(socket)
	if err != nil {
		return err
	}
	defer conn.Close()
	runtime := cri.NewRuntimeServiceClient(conn)
	containers, err := runtime.ListContainers(ctx, &cri.ListContainersRequest{Filter: running})
	if err != nil {
		return err
	}
	err = each(containers.Containers, func(c *cri.Container) error {
		_, err := runtime.StopContainer(ctx, &cri.StopContainerRequest{ContainerId: c.Id, Timeout: int64(grace.Seconds())})
		return err
	})
	pods, listErr := runtime.ListPodSandbox(ctx, &cri.ListPodSandboxRequest{})
	if listErr != nil {
		return errors.Join(err, listErr)
	}
	return errors.Join(err, each(pods.Items, func(p *cri.PodSandbox) error {
		_, stopErr := runtime.StopPodSandbox(ctx, &cri.StopPodSandboxRequest{PodSandboxId: p.Id})
		_, removeErr := runtime.RemovePodSandbox(ctx, &cri.RemovePodSandboxRequest{PodSandboxId: p.Id})
		return errors.Join(stopErr, removeErr)
	}))
}

func each[T any](items []T, f func(T) error) error {
	errs := make([]error, len(items))
	var wg sync.WaitGroup
	for i, item := range items {
		wg.Go(func() { errs[i] = f(item) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// removeCgroups removes the kubelet's empty control groups (version 1 and 2). A group that still has processes is
// another kubelet's: the kernel refuses, and so do we.
func removeCgroups() error {
	roots, _ := filepath.Glob("/sys/fs/cgroup/*/kubepods")
	roots = append(roots, "/sys/fs/cgroup/kubepods")
	for _, root := range roots {
		var dirs []string
		_ = filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				dirs = append(dirs, path)
			}
			return nil
		})
		sort.Slice(dirs, func(i, j int) bool { return strings.Count(dirs[i], "/") > strings.Count(dirs[j], "/") })
		for _, dir := range dirs {
			if err := syscall.Rmdir(dir); err != nil && !errors.Is(err, syscall.EBUSY) && !errors.Is(err, syscall.ENOENT) && !errors.Is(err, syscall.ENOTEMPTY) {
				return err
			}
		}
	}
	return nil
}
