// Local brings a real Kubernetes cluster up on a machine that has none, builds the studio's images and installs the
// chart. It is glue: kwokctl, the kubelet, containerd, Buildah and Helm do the work.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	command, err := newCommand()
	if err == nil {
		err = command.ExecuteContext(ctx)
	}
	if ctx.Err() != nil {
		fmt.Fprintln(os.Stderr, "\nInterrupted. The same command continues where this ended; `make down` takes away what has been started.")
		os.Exit(130)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "\nError:", err)
		os.Exit(1)
	}
}
