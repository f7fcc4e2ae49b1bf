package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"sort"

	"golang.org/x/sys/unix"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// containerSpec is handed to the child that sets up the container and becomes it.
type containerSpec struct {
	Root, Netns, Path, Dir string
	Args, Env              []string
	Mounts                 []*cri.Mount
}

// containerMain runs in the child: enter the pod's network, build a root
// directory, become the program.
func containerMain(file string) {
	fail := func(err error) {
		fmt.Fprintln(os.Stderr, "container setup:", err)
		os.Exit(128)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		fail(err)
	}
	var spec containerSpec
	if err := json.Unmarshal(data, &spec); err != nil {
		fail(err)
	}
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		done <- enter(spec)
	}()
	fail(<-done)
}

func enter(spec containerSpec) error {
	if spec.Netns != "" {
		fd, err := unix.Open(spec.Netns, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		if err := unix.Setns(fd, unix.CLONE_NEWNET); err != nil {
			return err
		}
	}
	// A thread cannot change its root alone unless it stops sharing it.
	if err := unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS); err != nil {
		return err
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, ""); err != nil {
		return err
	}
	root := spec.Root
	bind := func(from, to string, readonly bool) error {
		info, err := os.Stat(from)
		if err != nil {
			return err
		}
		to = filepath.Join(root, to)
		if _, err := os.Lstat(to); err != nil {
			if info.IsDir() {
				os.MkdirAll(to, 0o755)
			} else {
				os.MkdirAll(path.Dir(to), 0o755)
				os.WriteFile(to, nil, 0o644)
			}
		}
		if err := unix.Mount(from, to, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
			return fmt.Errorf("bind %s on %s: %w", from, to, err)
		}
		if readonly {
			unix.Mount("", to, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, "")
		}
		return nil
	}
	for _, dir := range []string{"/usr", "/proc", "/sys", "/dev", "/opt/bed"} {
		if err := bind(dir, dir, false); err != nil {
			return err
		}
	}
	for _, dir := range []string{"tmp", "run", "var", "root", "etc", "home"} {
		os.MkdirAll(filepath.Join(root, dir), 0o755)
	}
	os.Chmod(root+"/tmp", 0o1777)
	os.Symlink("../run", root+"/var/run")
	for _, dir := range []string{"bin", "sbin", "lib", "lib64"} {
		os.Symlink("usr/"+dir, filepath.Join(root, dir))
	}
	for _, f := range []string{"passwd", "group", "nsswitch.conf", "resolv.conf", "hosts", "protocols", "services", "ethertypes"} {
		if data, err := os.ReadFile("/etc/" + f); err == nil {
			os.WriteFile(root+"/etc/"+f, data, 0o644)
		}
	}
	if err := bind("/etc/ssl", "/etc/ssl", false); err != nil {
		return err
	}
	if err := bind("/etc/alternatives", "/etc/alternatives", false); err != nil {
		return err
	}
	sort.SliceStable(spec.Mounts, func(i, j int) bool { return len(spec.Mounts[i].ContainerPath) < len(spec.Mounts[j].ContainerPath) })
	for _, m := range spec.Mounts {
		if err := bind(m.HostPath, m.ContainerPath, m.Readonly); err != nil {
			fmt.Fprintln(os.Stderr, "container setup:", err)
		}
	}
	if err := unix.Chroot(root); err != nil {
		return err
	}
	dir := spec.Dir
	if dir == "" || unix.Chdir(dir) != nil {
		unix.Chdir("/")
	}
	return unix.Exec(spec.Path, spec.Args, spec.Env)
}
