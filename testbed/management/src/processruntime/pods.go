package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"os"
	"path"
	"time"

	"bed/netns"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

func (s *runtimeServer) RunPodSandbox(_ context.Context, r *cri.RunPodSandboxRequest) (*cri.RunPodSandboxResponse, error) {
	b := &sandbox{id: newID(), config: r.GetConfig(), created: time.Now(), ready: true}
	host := b.config.GetLinux().GetSecurityContext().GetNamespaceOptions().GetNetwork() == cri.NamespaceMode_NODE
	if dir := b.config.GetLogDirectory(); dir != "" {
		os.MkdirAll(dir, 0o755)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !host {
		if err := s.connect(b); err != nil {
			s.disconnect(b)
			return nil, err
		}
	}
	s.sandboxes[b.id] = b
	return &cri.RunPodSandboxResponse{PodSandboxId: b.id}, nil
}

// pool is a node's range of pod addresses (IPv4).
type pool struct {
	first net.IP
	ones  int
}

func parsePool(cidr string) (pool, error) {
	ip, network, err := net.ParseCIDR(cidr)
	if err != nil {
		return pool{}, err
	}
	if ip.To4() == nil {
		return pool{}, fmt.Errorf("%s is not an IPv4 range", cidr)
	}
	ones, _ := network.Mask.Size()
	return pool{network.IP.To4(), ones}, nil
}

// address returns the nth address of the range.
func (p pool) address(n int) string {
	ip := append(net.IP{}, p.first...)
	low := int(ip[2])<<8 + int(ip[3]) + n
	ip[2], ip[3] = byte(low>>8), byte(low)
	return ip.String()
}

// free returns an address that is not used; the first is the gateway, the last is
// the broadcast address.
func (p pool) free(used map[string]bool) (string, error) {
	for n := 2; n < 1<<(32-p.ones)-1; n++ {
		if ip := p.address(n); !used[ip] {
			return ip, nil
		}
	}
	return "", errors.New("no free pod address")
}

// connect gives the pod a network namespace and an address of the node's pod CIDR.
func (s *runtimeServer) connect(b *sandbox) error {
	if s.podCIDR == "" {
		return errors.New("network not ready: the node has no pod CIDR yet")
	}
	pool, err := parsePool(s.podCIDR)
	if err != nil {
		return err
	}
	gateway, ones := pool.address(1), pool.ones
	if _, err := net.InterfaceByName("cni0"); err != nil {
		for _, line := range []string{
			"ip link add cni0 type bridge", "ip link set cni0 up", fmt.Sprintf("ip addr add %s/%d dev cni0", gateway, ones)} {
			if err := netns.Run("%s", line); err != nil {
				return err
			}
		}
		os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0o644)
	}
	if b.ip, err = pool.free(s.ips); err != nil {
		return err
	}
	s.ips[b.ip] = true
	name, veth := "pod-"+b.id[:12], "veth"+b.id[:8]
	b.netns = "/run/netns/" + name
	for _, line := range []string{
		"ip netns add " + name,
		fmt.Sprintf("ip link add %s type veth peer name eth0 netns %s", veth, name),
		fmt.Sprintf("ip link set %s master cni0 up", veth),
		fmt.Sprintf("ip -n %s link set lo up", name),
		fmt.Sprintf("ip -n %s addr add %s/%d dev eth0", name, b.ip, ones),
		fmt.Sprintf("ip -n %s link set eth0 up", name),
		fmt.Sprintf("ip -n %s route add default via %s", name, gateway),
	} {
		if err := netns.Run("%s", line); err != nil {
			return err
		}
	}
	b.listeners, err = netns.Loopback(b.netns, s.outside, s.cloudPorts)
	return err
}

func (s *runtimeServer) disconnect(b *sandbox) {
	for _, l := range b.listeners {
		l.Close()
	}
	b.listeners = nil
	if b.netns != "" {
		if err := netns.Run("ip netns del %s", path.Base(b.netns)); err != nil {
			log.Print(err)
		}
		delete(s.ips, b.ip)
		b.netns = ""
	}
}

func (s *runtimeServer) StopPodSandbox(ctx context.Context, r *cri.StopPodSandboxRequest) (*cri.StopPodSandboxResponse, error) {
	s.mu.Lock()
	b := s.sandboxes[r.PodSandboxId]
	var mine []*container
	for _, c := range s.containers {
		if c.sandbox == r.PodSandboxId {
			mine = append(mine, c)
		}
	}
	s.mu.Unlock()
	for _, c := range mine {
		s.stop(c, 0)
	}
	if b != nil {
		s.mu.Lock()
		b.ready = false
		s.disconnect(b)
		s.mu.Unlock()
	}
	return &cri.StopPodSandboxResponse{}, nil
}

func (s *runtimeServer) RemovePodSandbox(ctx context.Context, r *cri.RemovePodSandboxRequest) (*cri.RemovePodSandboxResponse, error) {
	s.StopPodSandbox(ctx, &cri.StopPodSandboxRequest{PodSandboxId: r.PodSandboxId})
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, c := range s.containers {
		if c.sandbox == r.PodSandboxId {
			delete(s.containers, id)
			os.RemoveAll(containerDir(id))
		}
	}
	delete(s.sandboxes, r.PodSandboxId)
	return &cri.RemovePodSandboxResponse{}, nil
}

func (b *sandbox) state() cri.PodSandboxState {
	if b.ready {
		return cri.PodSandboxState_SANDBOX_READY
	}
	return cri.PodSandboxState_SANDBOX_NOTREADY
}

func (s *runtimeServer) PodSandboxStatus(_ context.Context, r *cri.PodSandboxStatusRequest) (*cri.PodSandboxStatusResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.sandboxes[r.PodSandboxId]
	if b == nil {
		return nil, status.Error(codes.NotFound, "no such pod sandbox")
	}
	return &cri.PodSandboxStatusResponse{Status: &cri.PodSandboxStatus{
		Id: b.id, Metadata: b.config.Metadata, State: b.state(), CreatedAt: b.created.UnixNano(),
		Network: &cri.PodSandboxNetworkStatus{Ip: b.ip},
		Linux:   &cri.LinuxPodSandboxStatus{Namespaces: &cri.Namespace{Options: b.config.GetLinux().GetSecurityContext().GetNamespaceOptions()}},
		Labels:  b.config.Labels, Annotations: b.config.Annotations}}, nil
}

func selects(selector, labels map[string]string) bool {
	for k, v := range selector {
		if labels[k] != v {
			return false
		}
	}
	return true
}

func (s *runtimeServer) ListPodSandbox(_ context.Context, r *cri.ListPodSandboxRequest) (*cri.ListPodSandboxResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	out, f := &cri.ListPodSandboxResponse{}, r.GetFilter()
	for _, b := range s.sandboxes {
		if (f.GetId() != "" && f.GetId() != b.id) || (f.GetState() != nil && f.GetState().State != b.state()) || !selects(f.GetLabelSelector(), b.config.Labels) {
			continue
		}
		out.Items = append(out.Items, &cri.PodSandbox{Id: b.id, Metadata: b.config.Metadata, State: b.state(),
			CreatedAt: b.created.UnixNano(), Labels: b.config.Labels, Annotations: b.config.Annotations})
	}
	return out, nil
}
