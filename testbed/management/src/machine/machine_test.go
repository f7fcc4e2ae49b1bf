package main

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var web = description{Name: "web-1", InstanceID: "4711", IP: "10.6.0.7"}

func packed(t *testing.T, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	w.Write([]byte(text))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// The shape that the kubeadm bootstrap provider writes.
const userData = `## template: jinja
#cloud-config

write_files:
-   path: /run/kubeadm/kubeadm.yaml
    permissions: '0640'
    content: |
      name: '{{ ds.meta_data.local_hostname }}'
      provider-id: "openstack:///'{{ instance_id }}'"
      advertise: {{ ds.meta_data.local_ipv4 }}
      dollar: {{ '$' }}HOME
runcmd:
  - 'kubeadm init --config /run/kubeadm/kubeadm.yaml && echo ok'
  - [echo, "it's", 5]
bootcmd:
  - mkdir -p /data
`

func TestUserData(t *testing.T) {
	for name, data := range map[string][]byte{"plain": []byte(userData), "packed": packed(t, userData)} {
		config, err := parseUserData(data, web)
		if err != nil {
			t.Fatal(name, ": ", err)
		}
		if len(config.WriteFiles) != 1 || config.WriteFiles[0].mode() != 0o640 {
			t.Fatalf("%s: %+v", name, config.WriteFiles)
		}
		want := "name: 'web-1'\nprovider-id: \"openstack:///'4711'\"\nadvertise: 10.6.0.7\ndollar: $HOME\n"
		if got := config.WriteFiles[0].Content; got != want {
			t.Errorf("%s: %s", name, got)
		}
		want = "#!/bin/sh\nmkdir -p /data\nkubeadm init --config /run/kubeadm/kubeadm.yaml && echo ok\n'echo' 'it'\\''s' '5' \n"
		if got := config.script(); got != want {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func TestWithoutTheTemplateHeaderNothingIsFilledIn(t *testing.T) {
	config, err := parseUserData([]byte("#cloud-config\nwrite_files: [{path: /a, content: '{{ instance_id }}'}]\n"), web)
	if err != nil || config.WriteFiles[0].Content != "{{ instance_id }}" {
		t.Errorf("%+v %v", config, err)
	}
}

func TestBrokenUserData(t *testing.T) {
	if _, err := parseUserData([]byte("runcmd: ["), web); err == nil {
		t.Error("broken YAML was taken")
	}
}

func TestWriteFile(t *testing.T) {
	encoded := base64.StdEncoding.EncodeToString
	for _, c := range []struct{ encoding, content string }{
		{"", "text"}, {"b64", encoded([]byte("text"))}, {"base64", encoded([]byte("text"))}, {"gz+b64", encoded(packed(t, "text"))}, {"gzip+base64", encoded(packed(t, "text"))},
	} {
		file := filepath.Join(t.TempDir(), "deep/file")
		f := writeFile{Path: file, Content: c.content, Encoding: c.encoding, Permissions: "0600"}
		if err := f.write(); err != nil {
			t.Fatal(c.encoding, ": ", err)
		}
		f.Append = true
		if err := f.write(); err != nil {
			t.Fatal(c.encoding, ": ", err)
		}
		data, _ := os.ReadFile(file)
		info, _ := os.Stat(file)
		if string(data) != "texttext" || info.Mode() != 0o600 {
			t.Errorf("%q: %q %v", c.encoding, data, info.Mode())
		}
	}
	err := writeFile{Path: filepath.Join(t.TempDir(), "a"), Content: "%", Encoding: "b64"}.write()
	if err == nil || !strings.Contains(err.Error(), "/a: ") {
		t.Errorf("%v", err)
	}
}

func TestModeFallsBack(t *testing.T) {
	for permissions, want := range map[string]os.FileMode{"0755": 0o755, "": 0o644, "rw": 0o644} {
		if got := (writeFile{Permissions: permissions}).mode(); got != want {
			t.Errorf("%q: %v", permissions, got)
		}
	}
}

func TestKubeadmFlags(t *testing.T) {
	got := kubeadmFlags(`KUBELET_KUBEADM_ARGS="--cloud-provider=external --provider-id=openstack:///'4711' --v=2"` + "\n")
	if want := []string{"--cloud-provider=external", "--provider-id=openstack:///4711", "--v=2"}; !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	if got := kubeadmFlags(""); len(got) != 0 {
		t.Errorf("%q", got)
	}
}
