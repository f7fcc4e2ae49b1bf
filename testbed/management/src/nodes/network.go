package main

import (
	"fmt"
	"log"
	"net"
	"os"
	"slices"
	"strings"

	"bed/netns"
)

// network makes the namespace of a Neutron network: a bridge with the gateway
// addresses and, if a router leads to the external network, an uplink.
func (h *harness) network(s *snapshot, id string) error {
	name := networkNamespace(id)
	if !exists(ns(name)) {
		if err := sh("ip netns add "+name, "ip -n "+name+" link set lo up", "ip -n "+name+" link add br0 type bridge", "ip -n "+name+" link set br0 up"); err != nil {
			return err
		}
	}
	h.networks[name] = true
	h.metadata.serve(name)
	for _, subnet := range s.Subnets {
		if subnet.Network == id && subnet.Gateway != "" {
			_, cidr, _ := net.ParseCIDR(subnet.CIDR)
			ones, _ := cidr.Mask.Size()
			h.address(name, fmt.Sprintf("%s/%d", subnet.Gateway, ones), "br0")
		}
	}
	for _, p := range s.Ports {
		if p.Network != id || !strings.HasPrefix(p.Owner, "network:router_interface") {
			continue
		}
		for _, r := range s.Routers {
			if r.ID == p.Device && len(r.External.FixedIPs) > 0 && h.uplinks[name] == "" {
				ip := r.External.FixedIPs[0].IP
				up := "u" + id[:8]
				netns.Run("ip -n %s link del %s", world, up)
				if err := sh(
					fmt.Sprintf("ip -n %s link add %s type veth peer name up0 netns %s", world, up, name),
					fmt.Sprintf("ip -n %s link set %s master %s up", world, up, bridge),
					fmt.Sprintf("ip -n %s addr add %s/24 dev up0", name, ip),
					fmt.Sprintf("ip -n %s link set up0 up", name),
					fmt.Sprintf("nsenter --net=%s iptables -t nat -A POSTROUTING -o up0 -j MASQUERADE", ns(name)),
					fmt.Sprintf("nsenter --net=%s sysctl -qw net.ipv4.ip_forward=1", ns(name))); err != nil {
					return err
				}
				h.uplinks[name] = ip
			}
		}
	}
	return nil
}

// address gives a device of a namespace an address ("10.0.0.1/24"), once.
func (h *harness) address(name, ip, device string) {
	key := name + " " + ip + " " + device
	h.wanted[key] = true
	if !h.addresses[key] {
		netns.Run("ip -n %s addr replace %s dev %s", name, ip, device)
		h.addresses[key] = true
	}
}

// dropAddresses takes away the addresses of load balancers and floating IPs that are
// gone: the cloud may give them to something else, whose packets nobody would answer.
func (h *harness) dropAddresses() {
	for _, key := range unwanted(h.addresses, h.wanted) {
		var name, ip, device string
		fmt.Sscan(key, &name, &ip, &device)
		netns.Run("ip -n %s addr del %s dev %s", name, ip, device)
		delete(h.addresses, key)
	}
	clear(h.wanted)
}

// unwanted lists the addresses of single hosts that nobody asked for in this round.
func unwanted(have, wanted map[string]bool) (keys []string) {
	for key := range have {
		if strings.Contains(key, "/32 ") && !wanted[key] {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

// layRoutes makes pods of one node reachable from the other nodes of its network.
func (h *harness) layRoutes() {
	for _, m := range h.machines {
		data, err := os.ReadFile(m.dir() + "/root/var/lib/bed/pod-cidr")
		if err != nil {
			continue
		}
		cidr := strings.TrimSpace(string(data))
		targets := []string{m.Network}
		for _, other := range h.machines {
			if other.Network == m.Network && other.ID != m.ID && other.pid() != 0 {
				targets = append(targets, other.netns())
			}
		}
		for _, t := range targets {
			if key := t + " " + cidr; h.routes[key] != m.IP {
				if netns.Run("ip -n %s route replace %s via %s", t, cidr, m.IP) == nil {
					h.routes[key] = m.IP
				}
			}
		}
	}
}

// dropNetworks removes namespaces of networks that are gone.
func (h *harness) dropNetworks(s *snapshot) {
	alive := map[string]bool{}
	for _, subnet := range s.Subnets {
		alive[networkNamespace(subnet.Network)] = true
	}
	for name := range h.networks {
		if alive[name] {
			continue
		}
		h.metadata.drop(name)
		netns.Run("ip netns del %s", name)
		delete(h.networks, name)
		delete(h.uplinks, name)
		for key := range h.routes {
			if strings.HasPrefix(key, name+" ") {
				delete(h.routes, key)
			}
		}
		for key := range h.addresses {
			if strings.HasPrefix(key, name+" ") {
				delete(h.addresses, key)
			}
		}
		log.Print("network removed: ", name)
	}
}
