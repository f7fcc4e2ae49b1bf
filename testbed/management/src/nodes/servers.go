package main

import (
	"encoding/base64"
	"log"
	"net"
	"slices"
)

func (h *harness) servers(s *snapshot, want map[string]*machine) {
	for _, server := range s.Servers {
		if server.UserData == "" || !slices.Contains([]string{"ACTIVE", "SHUTOFF"}, server.Status) {
			if old := h.machines[server.ID]; old != nil {
				want[server.ID] = old
			}
			continue
		}
		for _, p := range s.Ports {
			if p.Device != server.ID || len(p.FixedIPs) == 0 {
				continue
			}
			m := &machine{ID: server.ID, Name: server.Name, IP: p.FixedIPs[0].IP, MAC: p.MAC, Network: networkNamespace(p.Network), Bridge: "br0", Zone: server.Zone, on: server.Status == "ACTIVE"}
			if err := h.network(s, p.Network); err != nil {
				log.Print(err)
				break
			}
			for _, subnet := range s.Subnets {
				if subnet.ID == p.FixedIPs[0].Subnet {
					_, cidr, _ := net.ParseCIDR(subnet.CIDR)
					m.Prefix, _ = cidr.Mask.Size()
					m.Gateway = subnet.Gateway
				}
			}
			data, _ := base64.StdEncoding.DecodeString(server.UserData)
			m.UserData = string(data)
			m.Version = h.version(server.Image, m.UserData)
			want[m.ID] = m
			break
		}
	}
}

// version tells which Kubernetes is "installed in the image": the image's name says
// so, else the user data, else it is the first release of the bed.
func (h *harness) version(image any, userData string) string {
	id := ""
	if i, ok := image.(map[string]any); ok {
		id, _ = i["id"].(string)
	}
	if _, known := h.images[id]; id != "" && !known {
		var answer struct{ Name string }
		if err := h.cloud.get("image", "/v2/images/"+id, &answer); err == nil {
			h.images[id] = imageVersion(answer.Name)
		}
	}
	return choose(h.images[id], userData, releases, func(v string) bool { return exists(state + "/bin/kubernetes/" + v) })
}

// imageVersion finds the Kubernetes version in an image's name, "" without one.
func imageVersion(name string) string {
	if v := versionRE.FindStringSubmatch(name); v != nil {
		return "v" + v[1]
	}
	return ""
}

// choose takes the first version that was built: the image's, the one that the user
// data ask for, the first release of the bed.
func choose(image, userData string, releases []string, built func(string) bool) string {
	if image != "" && built(image) {
		return image
	}
	if v := kubernetesVersionRE.FindStringSubmatch(userData); v != nil && built("v"+v[1]) {
		return "v" + v[1]
	}
	return releases[0]
}
