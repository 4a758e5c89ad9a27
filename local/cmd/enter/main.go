// Enter runs a program in the root file system of one of the studio's images, as the process that it was: same id, same
// working directory, same standard streams. Tests run what ships this way, and what the host has installed is out of sight.
//
//	enter IMAGE PROGRAM [ARGUMENT...]
//
// Called by the name of a program of internal/roots.Programs it runs that program in that image. AI_FILM_ROOTS names the
// directory that roots.Prepare wrote. Needs root.
package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"github.com/ai-film/ai-film/local/internal/roots"
)

func main() {
	if err := run(filepath.Base(os.Args[0]), os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "enter:", err)
		os.Exit(125) // as env and chroot do: the program itself was not run
	}
}

func run(name string, args []string) error {
	inside, known := roots.Programs[name]
	if known {
		args = append([]string{name}, args...)
	} else {
		if len(args) < 2 {
			return fmt.Errorf("usage: enter IMAGE PROGRAM [ARGUMENT...]")
		}
		inside, args = roots.Program{Image: args[0]}, args[1:]
	}
	dir := os.Getenv("AI_FILM_ROOTS")
	if dir == "" {
		dir = filepath.Dir(filepath.Dir(os.Args[0])) // a link in DIR/bin
	}
	root, err := roots.Read(dir, inside.Image)
	if err != nil {
		return err
	}
	work, err := os.Getwd()
	if err != nil {
		return err
	}
	// The namespace is the calling thread's, which execve(2) makes the process.
	runtime.LockOSThread()
	if err := syscall.Unshare(syscall.CLONE_NEWNS); err != nil {
		return fmt.Errorf("a mount namespace: %w (root is needed)", err)
	}
	mask := syscall.Umask(0o022) // a caller's stricter one would close the root to its users
	merged, err := mount(dir, root, work)
	if err != nil {
		return err
	}
	syscall.Umask(mask)
	// Not chroot: runc and others look through it.
	if err := syscall.PivotRoot(merged, filepath.Join(merged, ".host")); err != nil {
		return fmt.Errorf("pivot_root: %w", err)
	}
	if err := os.Chdir("/"); err != nil {
		return err
	}
	if err := syscall.Unmount("/.host", syscall.MNT_DETACH); err != nil {
		return fmt.Errorf("leave the host's file system: %w", err)
	}
	os.Remove("/.host")
	if err := os.Chdir(work); err != nil {
		return err
	}
	env := root.Environment(os.Environ(), filepath.Join(dir, "bin"))
	os.Setenv("PATH", env["PATH"])
	program, err := exec.LookPath(args[0])
	if err != nil {
		return fmt.Errorf("in the image %s: %w", inside.Image, err)
	}
	if err := become(inside.User); err != nil {
		return err
	}
	var list []string
	for name, value := range env {
		list = append(list, name+"="+value)
	}
	return fmt.Errorf("%s: %w", program, syscall.Exec(program, args, list))
}

// mount puts the image's layers together, with what is written on top of them in memory, and brings along what tests share
// with what they start: devices, processes, temporary files, the checkout, the roots themselves.
func mount(dir string, root roots.Root, work string) (string, error) {
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return "", fmt.Errorf("make mounts private: %w", err)
	}
	base := filepath.Join(dir, "mount")
	if err := syscall.Mount("tmpfs", base, "tmpfs", 0, "mode=0755"); err != nil {
		return "", fmt.Errorf("tmpfs on %s: %w", base, err)
	}
	merged := filepath.Join(base, "merged")
	for _, d := range []string{"upper", "work", "merged"} {
		if err := os.Mkdir(filepath.Join(base, d), 0o755); err != nil {
			return "", err
		}
	}
	options := fmt.Sprintf("lowerdir=%s,upperdir=%s/upper,workdir=%s/work", strings.Join(root.Layers, ":"), base, base)
	if err := syscall.Mount("overlay", merged, "overlay", 0, options); err != nil {
		return "", fmt.Errorf("overlay of %d layers: %w", len(root.Layers), err)
	}
	if err := os.Mkdir(filepath.Join(merged, ".host"), 0o700); err != nil {
		return "", err
	}
	shared := append([]string{"/proc", "/dev", "/sys", "/tmp", filepath.Dir(dir), work}, root.Shared...)
	for _, variable := range []string{"TMPDIR", "AI_FILM_REPO"} {
		if place := os.Getenv(variable); place != "" {
			shared = append(shared, place)
		}
	}
	for _, place := range shared {
		target := filepath.Join(merged, place)
		if err := os.MkdirAll(target, 0o755); err != nil {
			return "", err
		}
		if err := syscall.Mount(place, target, "", syscall.MS_BIND|syscall.MS_REC, ""); err != nil {
			return "", fmt.Errorf("bind %s: %w", place, err)
		}
	}
	// What the kubelet gives every pod, also one whose image is empty.
	if err := os.MkdirAll(filepath.Join(merged, "etc"), 0o755); err != nil {
		return "", err
	}
	for _, file := range []string{"/etc/hosts", "/etc/resolv.conf"} {
		content, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		if err := os.WriteFile(filepath.Join(merged, file), content, 0o644); err != nil {
			return "", err
		}
	}
	return merged, nil
}

// become drops root for a user of the image, found in its own /etc/passwd; "" stays.
func become(user string) error {
	if user == "" {
		return nil
	}
	accounts, err := os.ReadFile("/etc/passwd")
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(accounts)) {
		fields := strings.Split(line, ":")
		if len(fields) < 4 || fields[0] != user {
			continue
		}
		uid, err := strconv.Atoi(fields[2])
		if err != nil {
			return err
		}
		gid, err := strconv.Atoi(fields[3])
		if err != nil {
			return err
		}
		if err := syscall.Setgroups(nil); err != nil {
			return err
		}
		if err := syscall.Setgid(gid); err != nil {
			return err
		}
		return syscall.Setuid(uid)
	}
	return fmt.Errorf("the image has no user %s", user)
}
