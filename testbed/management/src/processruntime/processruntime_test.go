package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

func TestPool(t *testing.T) {
	p, err := parsePool("10.244.1.0/24")
	if err != nil {
		t.Fatal(err)
	}
	if got := p.address(1); got != "10.244.1.1" {
		t.Errorf("gateway %s", got)
	}
	used := map[string]bool{}
	for range 253 {
		ip, err := p.free(used)
		if err != nil {
			t.Fatal(err)
		}
		used[ip] = true
	}
	for _, reserved := range []string{"10.244.1.0", "10.244.1.1", "10.244.1.255"} {
		if used[reserved] {
			t.Errorf("%s was given away", reserved)
		}
	}
	if ip, err := p.free(used); err == nil {
		t.Errorf("a full range gave %s", ip)
	}
}

func TestPoolCrossesBytes(t *testing.T) {
	p, err := parsePool("10.244.4.0/22")
	if err != nil {
		t.Fatal(err)
	}
	if got := p.address(256 + 7); got != "10.244.5.7" {
		t.Errorf("got %s", got)
	}
	for _, wrong := range []string{"", "10.0.0.0", "fd00::/64"} {
		if _, err := parsePool(wrong); err == nil {
			t.Errorf("%q was taken", wrong)
		}
	}
}

func TestProgram(t *testing.T) {
	bin := t.TempDir()
	for _, name := range []string{"etcd", "pretend", "kube-proxy-v2", "kubernetes/v1.36.2/kube-apiserver", "kubernetes/v1.36.3/kube-apiserver", "manager"} {
		file := filepath.Join(bin, name)
		os.MkdirAll(filepath.Dir(file), 0o755)
		if err := os.WriteFile(file, nil, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	s := &runtimeServer{bin: bin, version: "v1.36.3", extra: map[string][]string{"etcd": {"--unsafe-no-fsync"}}}
	for _, c := range []struct {
		name, image   string
		command, args []string
		want          string
		wantArgs      []string
	}{
		{"by image", "registry.example/etcd:3.6", []string{"etcd", "--name=a"}, nil, "etcd", []string{"--name=a", "--unsafe-no-fsync"}},
		{"by image and tag", "registry.example/kube-proxy:v2", nil, []string{"-v"}, "kube-proxy-v2", []string{"-v"}},
		{"the tag's release", "registry.example/kube-apiserver:v1.36.2", []string{"kube-apiserver"}, nil, "kubernetes/v1.36.2/kube-apiserver", nil},
		{"the machine's release", "registry.example/kube-apiserver@sha256:00", []string{"kube-apiserver"}, nil, "kubernetes/v1.36.3/kube-apiserver", nil},
		{"by command", "registry.example/some/thing:v1", []string{"/usr/bin/manager"}, []string{"--leader-elect"}, "manager", []string{"--leader-elect"}},
		{"image without entry point", "registry.example/thing:v1", nil, []string{"/bin/manager", "-v=2"}, "manager", []string{"-v=2"}},
		{"unknown", "registry.example/coredns:1.12", nil, []string{"-conf", "/etc/coredns"}, "pretend", nil},
	} {
		program, args := s.program(&container{config: &cri.ContainerConfig{Image: &cri.ImageSpec{Image: c.image}, Command: c.command, Args: c.args}})
		if program != filepath.Join(bin, c.want) || !slices.Equal(args, c.wantArgs) {
			t.Errorf("%s: %s %q, want %s %q", c.name, program, args, c.want, c.wantArgs)
		}
	}
}

func TestSelects(t *testing.T) {
	labels := map[string]string{"app": "web", "tier": "front"}
	for _, c := range []struct {
		selector map[string]string
		want     bool
	}{
		{nil, true}, {map[string]string{"app": "web"}, true}, {map[string]string{"app": "db"}, false}, {map[string]string{"app": "web", "zone": "a"}, false},
	} {
		if got := selects(c.selector, labels); got != c.want {
			t.Errorf("%v: %v", c.selector, got)
		}
	}
}

func TestLogsAreInTheCRIFormat(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 600, time.FixedZone("", 3600))
	if got := logLine(at, "stderr", "broken\n"); got != "2026-01-02T02:04:05.0000006Z stderr F broken\n" {
		t.Errorf("%q", got)
	}
	w := &logWriter{path: filepath.Join(t.TempDir(), "deep/0.log")}
	w.reopen()
	r, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	out.WriteString("one\ntwo") // the last line has no end
	out.Close()
	w.copy("stdout", r)
	data, err := os.ReadFile(w.path)
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.Split(bytes.TrimSpace(data), []byte("\n"))
	if len(lines) != 2 || !strings.HasSuffix(string(lines[0]), " stdout F one") || !strings.HasSuffix(string(lines[1]), " stdout F two") {
		t.Errorf("%q", data)
	}
}

func TestImagesExistOncePulled(t *testing.T) {
	s := &runtimeServer{images: map[string]bool{}}
	spec := &cri.ImageSpec{Image: "registry.example/web:1"}
	if r, _ := s.ImageStatus(t.Context(), &cri.ImageStatusRequest{Image: spec}); r.Image != nil {
		t.Error("an image is there that nobody pulled")
	}
	s.PullImage(t.Context(), &cri.PullImageRequest{Image: spec})
	r, _ := s.ImageStatus(t.Context(), &cri.ImageStatusRequest{Image: spec})
	if r.Image.GetId() != spec.Image || r.Image.GetUid() == nil { // runAsNonRoot needs the user
		t.Errorf("%v", r.Image)
	}
}
