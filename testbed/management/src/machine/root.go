package main

import (
	"fmt"
	"log"
	"os"
	"path"
	"path/filepath"

	"golang.org/x/sys/unix"
)

func buildRoot() error {
	check(unix.Sethostname([]byte(d.Name)))
	check(unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
	root := dir + "/root"
	for _, p := range []string{"usr", "etc", "opt/bed/bin", "opt/bed/sbin", "opt/bed/kubelet.conf.d", "proc", "sys", "dev", "run", "tmp", "root", "home", "mnt", "srv", "old", "var/lib/bed", "var/lib/kubelet", "var/log/pods", "var/tmp", "run/netns"} {
		check(os.MkdirAll(filepath.Join(root, p), 0o755))
	}
	for _, p := range []string{dir + "/etc-upper", dir + "/etc-work"} {
		check(os.MkdirAll(p, 0o755))
	}
	for _, p := range []string{"bin", "sbin", "lib", "lib64"} {
		os.Symlink("usr/"+p, filepath.Join(root, p))
	}
	os.Symlink("../run", root+"/var/run")
	os.Chmod(root+"/tmp", 0o1777)
	mount := func(source, target, kind string, flags uintptr, data string) {
		if err := unix.Mount(source, filepath.Join(root, target), kind, flags, data); err != nil {
			log.Fatalf("mount %s on %s: %v", source, target, err)
		}
	}
	mount(root, "", "", unix.MS_BIND|unix.MS_REC, "")
	mount("/usr", "usr", "", unix.MS_BIND|unix.MS_REC, "")
	mount("", "usr", "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, "")
	mount("overlay", "etc", "overlay", 0, fmt.Sprintf("lowerdir=/etc,upperdir=%s/etc-upper,workdir=%s/etc-work", dir, dir))
	mount(d.Bin, "opt/bed/bin", "", unix.MS_BIND, "")
	mount("proc", "proc", "proc", 0, "")
	mount("/sys", "sys", "", unix.MS_BIND|unix.MS_REC, "")
	mount("/dev", "dev", "", unix.MS_BIND|unix.MS_REC, "")
	mount("tmpfs", "run", "tmpfs", 0, "mode=755")
	os.MkdirAll(root+"/run/netns", 0o755)
	os.WriteFile(root+"/opt/bed/outside", nil, 0o644)
	mount(d.Outside, "opt/bed/outside", "", unix.MS_BIND, "")
	// Kernel settings that the kubelet and kube-proxy want to change for the whole
	// host: show them files that already have the wanted value.
	for name, value := range map[string]string{"vm/overcommit_memory": "1", "vm/panic_on_oom": "0", "kernel/panic": "10", "kernel/panic_on_oops": "1",
		"kernel/keys/root_maxkeys": "1000000", "kernel/keys/root_maxbytes": "25000000", "net/netfilter/nf_conntrack_max": "1048576"} {
		target := "proc/sys/" + name
		if _, err := os.Stat(filepath.Join(root, target)); err != nil {
			continue
		}
		file := dir + "/sysctl." + path.Base(name)
		os.WriteFile(file, []byte(value+"\n"), 0o644)
		if err := unix.Mount(file, filepath.Join(root, target), "", unix.MS_BIND, ""); err != nil {
			log.Print(name, ": ", err)
		}
	}
	files := map[string]string{
		// Enough systemd for kubeadm and for cloud-init commands.
		"sbin/systemctl": `#!/bin/sh
for last; do :; done
case "$1:$last" in
  stop:kubelet*) touch /run/kubelet.stopped; pkill -x kubelet; true;;
  start:kubelet*|restart:kubelet*|enable:kubelet*) rm -f /run/kubelet.stopped; [ "$1" != restart ] || pkill -x kubelet; true;;
  is-active:kubelet*|status:kubelet*) pgrep -x kubelet >/dev/null && echo "Active: active (running)" || { echo inactive; exit 3; };;
  is-enabled:*) echo enabled;;
esac
exit 0
`,
		// Kernel modules, cgroup and swap checks make no sense in here.
		"sbin/kubeadm": `#!/bin/sh
case "$1" in init|join) exec /opt/bed/bin/kubernetes/` + d.Version + `/kubeadm "$@" --ignore-preflight-errors=all;; esac
exec /opt/bed/bin/kubernetes/` + d.Version + `/kubeadm "$@"
`,
		"sbin/modprobe":    "#!/bin/sh\nexit 0\n",
		"sbin/swapoff":     "#!/bin/sh\nexit 0\n",
		"sbin/hostnamectl": "#!/bin/sh\nexit 0\n",
		"kubelet.conf.d/10-bed.conf": `apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
failCgroupV1: false
cgroupDriver: cgroupfs
cgroupsPerQOS: false
enforceNodeAllocatable: []
failSwapOn: false
localStorageCapacityIsolation: false
evictionHard: {memory.available: "0%", nodefs.available: "0%", nodefs.inodesFree: "0%", imagefs.available: "0%"}
registryPullQPS: 0
nodeStatusUpdateFrequency: 5s
syncFrequency: 10s
`,
	}
	for name, text := range files {
		check(os.WriteFile(filepath.Join(root, "opt/bed", name), []byte(text), 0o755))
	}
	check(unix.PivotRoot(root, root+"/old"))
	check(os.Chdir("/"))
	check(unix.Unmount("/old", unix.MNT_DETACH))
	os.WriteFile("/etc/hostname", []byte(d.Name+"\n"), 0o644)
	os.WriteFile("/etc/hosts", []byte("127.0.0.1 localhost\n"+d.IP+" "+d.Name+"\n"), 0o644)
	os.WriteFile("/etc/resolv.conf", []byte("nameserver 127.0.0.53\n"), 0o644)
	return nil
}
