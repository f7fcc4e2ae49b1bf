package main

import (
	"encoding/json"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"bed/netns"
)

type machine struct {
	ID, Name, IP, MAC, Gateway, Version, UserData string
	Prefix                                        int
	Network                                       string // namespace with the bridge
	Bridge                                        string
	PodCIDR, Zone                                 string
	on                                            bool
}

func (m *machine) dir() string   { return filepath.Join(state, "machines", m.ID) }
func (m *machine) netns() string { return "bs-" + m.ID[:8] }

// pid returns the host's process ID of a running machine, or 0. The start time
// guards against a recycled ID.
func (m *machine) pid() int {
	data, err := os.ReadFile(m.dir() + "/pid")
	if err != nil {
		return 0
	}
	var pid int
	var start string
	fmt.Sscan(string(data), &pid, &start)
	if pid > 0 && startTime(pid) == start {
		return pid
	}
	return 0
}

func startTime(pid int) string {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	return parseStat(string(data))
}

// parseStat returns the start time of a line of /proc/PID/stat, "" of a zombie. The
// program's name in it may hold blanks and parentheses.
func parseStat(line string) string {
	fields := strings.Fields(line[strings.LastIndex(line, ")")+1:])
	if len(fields) < 20 || fields[0] == "Z" {
		return ""
	}
	return fields[19]
}

func (m *machine) start() error {
	dir := m.dir()
	name := m.netns()
	if !exists(ns(name)) {
		mac := ""
		if m.MAC != "" {
			mac = " address " + m.MAC
		}
		if err := sh(
			"ip netns add "+name,
			"ip -n "+name+" link set lo up",
			fmt.Sprintf("ip -n %s link add s%s type veth peer name eth0 netns %s", m.Network, m.ID[:8], name),
			fmt.Sprintf("ip -n %s link set s%s master %s up", m.Network, m.ID[:8], m.Bridge),
			"ip -n "+name+" link set eth0"+mac+" up",
			fmt.Sprintf("ip -n %s addr add %s/%d dev eth0", name, m.IP, m.Prefix)); err != nil {
			return err
		}
		if m.Gateway != "" {
			if err := sh(fmt.Sprintf("ip -n %s route add default via %s", name, m.Gateway)); err != nil {
				return err
			}
		}
	}
	first := !exists(dir + "/booted")
	os.MkdirAll(dir+"/root/var/lib/bed", 0o755)
	if first {
		os.WriteFile(dir+"/root/var/lib/bed/user-data", []byte(m.UserData), 0o600)
		os.WriteFile(dir+"/booted", nil, 0o644)
	}
	description, _ := json.MarshalIndent(map[string]any{"Name": m.Name, "InstanceID": m.ID, "IP": m.IP, "Version": m.Version,
		"Bin": state + "/bin", "Outside": ns("outside"), "CloudPorts": cloudPorts, "PodCIDR": m.PodCIDR, "FirstBoot": first}, "", " ")
	os.WriteFile(dir+"/machine.json", description, 0o644)
	console, err := os.OpenFile(dir+"/console.log", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer console.Close()
	cmd := exec.Command("nsenter", "--net="+ns(name), state+"/bin/machine", dir)
	cmd.Stdout, cmd.Stderr = console, console
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS | syscall.CLONE_NEWUTS}
	if err := cmd.Start(); err != nil {
		return err
	}
	go cmd.Wait()
	log.Printf("machine %s %s (%s, Kubernetes %s) started, pid %d", m.ID[:8], m.Name, m.IP, m.Version, cmd.Process.Pid)
	return os.WriteFile(dir+"/pid", []byte(fmt.Sprintf("%d %s\n", cmd.Process.Pid, startTime(cmd.Process.Pid))), 0o644)
}

func (m *machine) stop() {
	if pid := m.pid(); pid != 0 {
		syscall.Kill(pid, syscall.SIGKILL)
		for i := 0; i < 100 && m.pid() != 0; i++ {
			time.Sleep(50 * time.Millisecond)
		}
		log.Printf("machine %s %s stopped", m.ID[:8], m.Name)
	}
}

func (m *machine) remove() {
	m.stop()
	netns.Run("ip -n %s link del s%s", m.Network, m.ID[:8])
	netns.Run("ip netns del %s", m.netns())
	for i := 0; i < 40; i++ {
		if os.RemoveAll(m.dir()) == nil {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	log.Printf("machine %s %s removed", m.ID[:8], m.Name)
}
