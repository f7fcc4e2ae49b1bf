package main

import (
	"fmt"
	"log"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"bed/netns"
)

type forwarder struct {
	listener net.Listener
	mu       sync.Mutex
	from     string   // namespace to dial from
	members  []string // address:port
	next     atomic.Uint32
}

func (f *forwarder) dial() (net.Conn, error) {
	f.mu.Lock()
	from, members := f.from, f.members
	f.mu.Unlock()
	err := fmt.Errorf("no members")
	first := int(f.next.Add(1))
	for i := range members { // a dead member is skipped, as with a health monitor
		var c net.Conn
		if c, err = netns.Dial(from, members[(first+i)%len(members)]); err == nil {
			return c, nil
		}
	}
	return nil, err
}

// target is where a forwarder leads: addresses, dialled from inside a namespace.
type target struct {
	from    string
	members []string
}

// networkNamespace is the name of a Neutron network's namespace.
func networkNamespace(id string) string { return "bn-" + id[:8] }

// floatingAddresses maps ports to the floating addresses that they have.
func floatingAddresses(s *snapshot) map[string]string {
	floating := map[string]string{}
	for _, f := range s.FloatingIPs {
		if f.Port != "" {
			floating[f.Port] = f.Address
		}
	}
	return floating
}

// targets tells what listens where ("namespace address:port"): every TCP listener on
// its load balancer's address, and what a floating address leads to.
func targets(s *snapshot) map[string]target {
	want, floating := map[string]target{}, floatingAddresses(s)
	for _, lb := range s.LoadBalancers {
		if lb.Network == "" || lb.VIP == "" {
			continue
		}
		name := networkNamespace(lb.Network)
		for _, l := range s.Listeners {
			if len(l.LoadBalancers) == 0 || l.LoadBalancers[0].ID != lb.ID || l.Protocol == "UDP" {
				continue
			}
			t := target{ns(name), s.members[l.Pool]}
			want[fmt.Sprintf("%s %s:%d", name, lb.VIP, l.Port)] = t
			if f := floating[lb.Port]; f != "" {
				want[fmt.Sprintf("%s %s:%d", world, f, l.Port)] = t
			}
		}
	}
	for _, p := range s.Ports {
		if f := floating[p.ID]; f != "" && strings.HasPrefix(p.Owner, "compute:") && len(p.FixedIPs) > 0 {
			for _, port := range []int{22, 80, 443, 6443} {
				want[fmt.Sprintf("%s %s:%d", world, f, port)] = target{ns(networkNamespace(p.Network)), []string{p.FixedIPs[0].IP + ":" + strconv.Itoa(port)}}
			}
		}
	}
	return want
}

// forward makes the forwarders be what the cloud's load balancers and floating
// addresses ask for.
func (h *harness) forward(s *snapshot) {
	for _, address := range floatingAddresses(s) {
		h.address(world, address+"/32", "lo")
	}
	for _, lb := range s.LoadBalancers {
		if lb.Network == "" || lb.VIP == "" {
			continue
		}
		if err := h.network(s, lb.Network); err != nil {
			log.Print(err)
			continue
		}
		h.address(networkNamespace(lb.Network), lb.VIP+"/32", "br0")
	}
	want := targets(s)
	for key, t := range want {
		f := h.forwarders[key]
		if f == nil {
			name, address, _ := strings.Cut(key, " ")
			l, err := netns.Listen(ns(name), address)
			if err != nil {
				log.Print(key, ": ", err)
				continue
			}
			f = &forwarder{listener: l}
			h.forwarders[key] = f
			go netns.Forward(l, f.dial)
			log.Printf("forward %s -> %v", key, t.members)
		}
		f.mu.Lock()
		if !slices.Equal(f.members, t.members) {
			log.Printf("members of %s: %v", key, t.members)
		}
		f.from, f.members = t.from, t.members
		f.mu.Unlock()
	}
	for key, f := range h.forwarders {
		if _, ok := want[key]; !ok {
			f.listener.Close()
			delete(h.forwarders, key)
			log.Print("forward ended: ", key)
		}
	}
}
