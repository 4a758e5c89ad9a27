// Command backup backs a studio up to a restic repository and restores it from there.
//
//	backup run             makes a backup, lets old ones go, checks the repository
//	backup restore         puts a backup in place of what the studio has; broken off, it goes on when it is called again
//	backup list            shows the backups in the repository
//
// Environment: RESTIC_REPOSITORY, RESTIC_PASSWORD and what restic takes for its storage; STUDIO (NAMESPACE/RELEASE), VERSION,
// STUDIO_DATABASE_URL, LANGGRAPH_DATABASE_URL, DAGSTER_DATABASE_URL, DATA_DIR (/data), SECRET_DIR (the Secret's keys as files;
// none), TMPDIR (room for the databases' dumps), LOG_LEVEL.
// run: KEEP_LAST (0), KEEP_DAILY (7), KEEP_WEEKLY (4), KEEP_MONTHLY (6), CHECK_PERCENT (5).
// restore: SNAPSHOT (latest), OVERWRITE (false), SECRET (the name of the Secret that takes the page's password; none) and DEPLOYMENTS
// (those that use the databases, separated by commas, which start anew; none).
package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/ai-film/ai-film/services/backup/snapshots"
	"github.com/ai-film/ai-film/services/internal/serving"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "backup:", err)
		os.WriteFile("/dev/termination-log", []byte(err.Error()), 0o644) // what kubectl describe shows
		os.Exit(1)
	}
}

func run() error {
	if len(os.Args) != 2 {
		return fmt.Errorf("usage: backup run|restore|list")
	}
	log, err := serving.NewLog(os.Stdout, "backup", os.Getenv("LOG_LEVEL"))
	if err != nil {
		return err
	}
	slog.SetDefault(log)
	for _, name := range []string{"RESTIC_REPOSITORY", "RESTIC_PASSWORD"} {
		if os.Getenv(name) == "" {
			return fmt.Errorf("%s is not set", name)
		}
	}
	syscall.Umask(0o007)
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer cancel()
	if os.Args[1] == "list" {
		return list(ctx)
	}
	studio := snapshots.Studio{Name: os.Getenv("STUDIO"), Version: os.Getenv("VERSION"), DataDir: serving.Env("DATA_DIR", "/data"), SecretDir: os.Getenv("SECRET_DIR"), Log: log}
	for _, name := range []string{"studio", "langgraph", "dagster"} {
		variable := strings.ToUpper(name) + "_DATABASE_URL"
		url := os.Getenv(variable)
		if url == "" {
			return fmt.Errorf("%s is not set", variable)
		}
		studio.Databases = append(studio.Databases, snapshots.Database{Name: name, URL: url})
	}
	if err := studio.Await(ctx, 10*time.Minute); err != nil {
		return err
	}
	switch os.Args[1] {
	case "run":
		return backup(ctx, studio)
	case "restore":
		return restore(ctx, studio)
	}
	return fmt.Errorf("there is no %q: run, restore or list", os.Args[1])
}

func backup(ctx context.Context, studio snapshots.Studio) error {
	var keep snapshots.Keep
	var percent int
	for _, v := range []struct {
		name     string
		fallback int
		most     int
		to       *int
	}{
		{"KEEP_LAST", 0, 10000, &keep.Last}, {"KEEP_DAILY", 7, 10000, &keep.Daily}, {"KEEP_WEEKLY", 4, 10000, &keep.Weekly},
		{"KEEP_MONTHLY", 6, 10000, &keep.Monthly}, {"CHECK_PERCENT", 5, 100, &percent},
	} {
		var err error
		if *v.to, err = serving.EnvInt(v.name, v.fallback, 0, v.most); err != nil {
			return err
		}
	}
	if studio.Name == "" {
		return fmt.Errorf("STUDIO is not set: NAMESPACE/RELEASE")
	}
	_, err := studio.Backup(ctx, keep, max(percent, 1))
	return err
}

func restore(ctx context.Context, studio snapshots.Studio) error {
	overwrite, err := strconv.ParseBool(serving.Env("OVERWRITE", "false"))
	if err != nil {
		return fmt.Errorf("OVERWRITE=%q: want true or false", os.Getenv("OVERWRITE"))
	}
	r := snapshots.Restore{Snapshot: serving.Env("SNAPSHOT", "latest"), Overwrite: overwrite}
	namespace, _, _ := strings.Cut(studio.Name, "/")
	cluster := snapshots.Cluster{
		Server:    "https://" + net.JoinHostPort(os.Getenv("KUBERNETES_SERVICE_HOST"), os.Getenv("KUBERNETES_SERVICE_PORT")),
		Account:   "/var/run/secrets/kubernetes.io/serviceaccount",
		Namespace: namespace,
	}
	if secret := os.Getenv("SECRET"); secret != "" {
		r.Secret = func(ctx context.Context, keys map[string][]byte) error { return cluster.PutSecret(ctx, secret, keys) }
	}
	if deployments := os.Getenv("DEPLOYMENTS"); deployments != "" {
		r.Restart = func(ctx context.Context) error {
			for deployment := range strings.SplitSeq(deployments, ",") {
				if err := cluster.Restart(ctx, deployment); err != nil {
					return err
				}
			}
			return nil
		}
	}
	return studio.Restore(ctx, r)
}

func list(ctx context.Context) error {
	all, err := snapshots.Snapshots(ctx)
	for _, one := range all {
		fmt.Printf("%s  %s  %s\n", one.Short(), one.Time.UTC().Format(time.RFC3339), one.Host)
	}
	return err
}
