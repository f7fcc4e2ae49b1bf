package main

import (
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestImageVersion(t *testing.T) {
	for name, want := range map[string]string{
		"ubuntu-2404-kube-v1.36.3":  "v1.36.3",
		"ubuntu-capi-image-1.35.10": "v1.35.10",
		"Ubuntu 24.04":              "",
		"":                          "",
	} {
		if got := imageVersion(name); got != want {
			t.Errorf("%q: got %q, want %q", name, got, want)
		}
	}
}

func TestChoose(t *testing.T) {
	releases := []string{"v1.36.3", "v1.36.2"}
	built := func(v string) bool { return v == "v1.36.3" || v == "v1.36.2" }
	for _, c := range []struct{ name, image, userData, want string }{
		{"the image knows", "v1.36.2", "kubernetesVersion: v1.36.3", "v1.36.2"},
		{"the image does not know", "", "x: y\nkubernetesVersion: v1.36.2\n", "v1.36.2"},
		{"an image that was not built", "v1.35.0", "", "v1.36.3"},
		{"user data that were not built", "", "kubernetesVersion: v1.35.0", "v1.36.3"},
	} {
		if got := choose(c.image, c.userData, releases, built); got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
	}
}

func TestParseStat(t *testing.T) {
	rest := " 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4711 20"
	for line, want := range map[string]string{
		"12 (machine) S" + rest:    "4711",
		"12 (a ) Z (odd) S" + rest: "4711",
		"12 (machine) Z" + rest:    "", // a zombie is not alive
		"12 (machine) S 1 2 3":     "",
		"":                         "",
	} {
		if got := parseStat(line); got != want {
			t.Errorf("%q: got %q, want %q", line, got, want)
		}
	}
}

// The answers of the services, as they come over the wire.
const answers = `{
 "FloatingIPs": [{"floating_ip_address": "198.51.100.20", "port_id": "vip"}, {"floating_ip_address": "198.51.100.21", "port_id": "eth0"}, {"floating_ip_address": "198.51.100.22", "port_id": null}],
 "LoadBalancers": [{"id": "lb", "vip_address": "10.6.0.9", "vip_port_id": "vip", "vip_network_id": "0123456789"}, {"id": "new", "vip_address": "10.6.0.8"}],
 "Listeners": [
  {"id": "a", "protocol": "TCP", "protocol_port": 6443, "default_pool_id": "pool", "loadbalancers": [{"id": "lb"}]},
  {"id": "b", "protocol": "UDP", "protocol_port": 53, "default_pool_id": "pool", "loadbalancers": [{"id": "lb"}]},
  {"id": "c", "protocol": "TCP", "protocol_port": 80, "default_pool_id": "pool", "loadbalancers": [{"id": "other"}]}],
 "Ports": [
  {"id": "eth0", "device_id": "server", "device_owner": "compute:nova", "network_id": "0123456789", "fixed_ips": [{"ip_address": "10.6.0.7"}]},
  {"id": "vip", "device_id": "lb", "device_owner": "Octavia", "network_id": "0123456789", "fixed_ips": [{"ip_address": "10.6.0.9"}]}]}`

func TestTargets(t *testing.T) {
	s := &snapshot{}
	if err := json.Unmarshal([]byte(answers), s); err != nil {
		t.Fatal(err)
	}
	s.members = map[string][]string{"pool": {"10.6.0.7:6443"}}
	inside := "/run/netns/bn-01234567"
	api := target{inside, []string{"10.6.0.7:6443"}}
	want := map[string]target{
		"bn-01234567 10.6.0.9:6443": api,
		"bed 198.51.100.20:6443":    api,
		"bed 198.51.100.21:22":      {inside, []string{"10.6.0.7:22"}},
		"bed 198.51.100.21:80":      {inside, []string{"10.6.0.7:80"}},
		"bed 198.51.100.21:443":     {inside, []string{"10.6.0.7:443"}},
		"bed 198.51.100.21:6443":    {inside, []string{"10.6.0.7:6443"}},
	}
	if got := targets(s); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v\nwant %v", got, want)
	}
}

func TestDialSkipsDeadMembers(t *testing.T) {
	alive, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer alive.Close()
	dead, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dead.Close()
	f := &forwarder{members: []string{dead.Addr().String(), alive.Addr().String()}}
	for range 4 { // whoever is next in turn
		c, err := f.dial()
		if err != nil {
			t.Fatal(err)
		}
		if c.RemoteAddr().String() != alive.Addr().String() {
			t.Errorf("reached %s", c.RemoteAddr())
		}
		c.Close()
	}
	if _, err := (&forwarder{}).dial(); err == nil {
		t.Error("a forwarder without members reached somebody")
	}
}

func TestAddressesThatAreGoneAreTakenAway(t *testing.T) {
	have := map[string]bool{"bed 198.51.100.20/32 lo": true, "bed 198.51.100.21/32 lo": true, "bn-01234567 10.6.0.9/32 br0": true, "bn-01234567 10.6.0.1/24 br0": true}
	wanted := map[string]bool{"bed 198.51.100.21/32 lo": true}
	got := unwanted(have, wanted)
	if want := []string{"bed 198.51.100.20/32 lo", "bn-01234567 10.6.0.9/32 br0"}; !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

func TestMetadata(t *testing.T) {
	m := &machine{ID: "id", Name: "web-1", IP: "10.6.0.7", Zone: "nova", UserData: "#cloud-config\n"}
	for path, want := range map[string]string{
		"latest/meta-data/instance-id":                 "id",
		"latest/meta-data/local-ipv4":                  "10.6.0.7",
		"latest/meta-data/placement/availability-zone": "nova",
		"openstack/latest/user_data":                   "#cloud-config\n",
	} {
		if got, ok := m.metadata(path); !ok || string(got) != want {
			t.Errorf("%s: got %q %v, want %q", path, got, ok, want)
		}
	}
	got, _ := m.metadata("openstack/latest/meta_data.json")
	if !strings.Contains(string(got), `"uuid":"id"`) {
		t.Errorf("meta_data.json: %s", got)
	}
	if got, ok := m.metadata("latest/meta-data/public-keys"); ok {
		t.Errorf("an unknown key was answered with %q", got)
	}
}

// A cloud that forgets the token once: the harness logs in again.
func TestGetLogsInAgain(t *testing.T) {
	logins := 0
	var server *httptest.Server
	server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/auth/tokens":
			logins++
			w.Header().Set("X-Subject-Token", map[int]string{1: "old", 2: "new"}[logins])
			w.WriteHeader(http.StatusCreated)
			w.Write([]byte(`{"token": {"catalog": [{"type": "network", "endpoints": [{"interface": "public", "url": "` + server.URL + `/"}]}]}}`))
		case r.Header.Get("X-Auth-Token") == "new":
			w.Write([]byte(`{"routers": [{"id": "r"}]}`))
		default:
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	defer server.Close()
	c := cloud{authURL: server.URL}
	s := &snapshot{}
	if err := c.get("network", "/v2.0/routers", s); err != nil {
		t.Fatal(err)
	}
	if logins != 2 || len(s.Routers) != 1 || s.Routers[0].ID != "r" {
		t.Errorf("%d logins, routers %v", logins, s.Routers)
	}
}
