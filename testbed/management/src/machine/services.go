package main

import (
	"log"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

var (
	ours   = map[int]chan syscall.WaitStatus{}
	oursMu sync.Mutex
)

// reap collects every child: PID 1 inherits orphans.
func reap() {
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		if err == syscall.ECHILD {
			time.Sleep(100 * time.Millisecond)
			continue
		}
		if pid > 0 && (status.Exited() || status.Signaled()) {
			oursMu.Lock()
			if c := ours[pid]; c != nil {
				delete(ours, pid)
				c <- status
			}
			oursMu.Unlock()
		}
	}
}

// run starts a command and waits for it through reap.
func run(cmd *exec.Cmd) (int, error) {
	done := make(chan syscall.WaitStatus, 1)
	oursMu.Lock()
	err := cmd.Start()
	if err == nil {
		ours[cmd.Process.Pid] = done
	}
	oursMu.Unlock()
	if err != nil {
		return -1, err
	}
	status := <-done
	if status.Signaled() {
		return 128 + int(status.Signal()), nil
	}
	return status.ExitStatus(), nil
}

func service(name string, command func() *exec.Cmd) {
	for {
		if cmd := command(); cmd != nil {
			file, _ := os.OpenFile("/var/log/"+name+".log", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
			cmd.Stdout, cmd.Stderr = file, file
			code, err := run(cmd)
			log.Printf("%s ended: %d %v", name, code, err)
			file.Close()
		}
		time.Sleep(300 * time.Millisecond)
	}
}

// kubelet is what the kubelet's systemd unit and kubeadm's drop-in would run.
func kubelet() *exec.Cmd {
	if _, err := os.Stat("/run/kubelet.stopped"); err == nil {
		return nil
	}
	if _, err := os.Stat("/var/lib/kubelet/config.yaml"); err != nil {
		return nil
	}
	args := []string{"--bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf", "--kubeconfig=/etc/kubernetes/kubelet.conf",
		"--config=/var/lib/kubelet/config.yaml", "--config-dir=/opt/bed/kubelet.conf.d"}
	if data, err := os.ReadFile("/var/lib/kubelet/kubeadm-flags.env"); err == nil {
		args = append(args, kubeadmFlags(string(data))...)
	}
	return exec.Command("kubelet", args...)
}

// kubeadmFlags reads kubeadm-flags.env (KUBELET_KUBEADM_ARGS="..."). systemd removes
// quotes when it splits; one kind is enough here.
func kubeadmFlags(file string) []string {
	_, flags, _ := strings.Cut(strings.TrimSpace(file), "=")
	return strings.Fields(strings.ReplaceAll(strings.Trim(flags, `"`), "'", ""))
}
