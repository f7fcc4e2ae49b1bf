package main

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"path"
	"regexp"
	"strconv"
	"strings"

	"sigs.k8s.io/yaml"
)

// cloudConfig is the part of cloud-init's user data that bootstrap providers use.
type cloudConfig struct {
	WriteFiles []writeFile `json:"write_files"`
	RunCmd     []any       `json:"runcmd"`
	BootCmd    []any       `json:"bootcmd"`
}

type writeFile struct {
	Path, Content, Encoding, Permissions, Owner string
	Append                                      bool
}

var jinja = regexp.MustCompile(`\{\{\s*([a-zA-Z0-9_.]+|'[^']*')\s*\}\}`)

// parseUserData unpacks the user data of a server, fills in what its template asks
// for, and reads it.
func parseUserData(data []byte, d description) (cloudConfig, error) {
	data, err := gunzip(data)
	if err != nil {
		return cloudConfig{}, err
	}
	text := string(data)
	if strings.HasPrefix(text, "## template: jinja") {
		text = jinja.ReplaceAllStringFunc(text, func(s string) string {
			key := jinja.FindStringSubmatch(s)[1]
			switch key[strings.LastIndex(key, ".")+1:] {
			case "instance_id":
				return d.InstanceID
			case "local_hostname", "hostname", "name":
				return d.Name
			case "local_ipv4", "local_ip":
				return d.IP
			}
			return strings.Trim(key, "'")
		})
	}
	var config cloudConfig
	return config, yaml.Unmarshal([]byte(text), &config)
}

// gunzip unpacks what is packed and returns everything else as it is.
func gunzip(data []byte) ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return data, nil
	}
	return io.ReadAll(r)
}

// bytes decodes the content as its encoding says.
func (f writeFile) bytes() ([]byte, error) {
	content := []byte(f.Content)
	if strings.Contains(f.Encoding, "b64") || strings.Contains(f.Encoding, "base64") {
		var err error
		if content, err = base64.StdEncoding.DecodeString(f.Content); err != nil {
			return nil, err
		}
	}
	if strings.HasPrefix(f.Encoding, "gz") {
		return gunzip(content)
	}
	return content, nil
}

func (f writeFile) mode() os.FileMode {
	if m, err := strconv.ParseUint(f.Permissions, 8, 32); err == nil {
		return os.FileMode(m)
	}
	return 0o644
}

func (f writeFile) write() error {
	content, err := f.bytes()
	if err != nil {
		return fmt.Errorf("%s: %w", f.Path, err)
	}
	if err := os.MkdirAll(path.Dir(f.Path), 0o755); err != nil {
		return err
	}
	flags := os.O_CREATE | os.O_WRONLY | os.O_TRUNC
	if f.Append {
		flags = os.O_CREATE | os.O_WRONLY | os.O_APPEND
	}
	file, err := os.OpenFile(f.Path, flags, f.mode())
	if err != nil {
		return err
	}
	defer file.Close()
	if _, err := file.Write(content); err != nil {
		return err
	}
	return file.Chmod(f.mode())
}

// script is what bootcmd and runcmd become: a line is a shell command, a list is a
// command with its arguments.
func (c cloudConfig) script() string {
	var script strings.Builder
	script.WriteString("#!/bin/sh\n")
	for _, c := range append(append([]any{}, c.BootCmd...), c.RunCmd...) {
		switch c := c.(type) {
		case string:
			script.WriteString(c + "\n")
		case []any:
			for _, word := range c {
				script.WriteString("'" + strings.ReplaceAll(fmt.Sprint(word), "'", `'\''`) + "' ")
			}
			script.WriteString("\n")
		}
	}
	return script.String()
}

// cloudInit does at the first boot what cloud-init would do.
func cloudInit() {
	data, err := os.ReadFile("/var/lib/bed/user-data")
	if err != nil {
		return
	}
	config, err := parseUserData(data, d)
	if err != nil {
		log.Print("cloud-init: ", err)
		return
	}
	for _, f := range config.WriteFiles {
		if err := f.write(); err != nil {
			log.Print("cloud-init: ", err)
		}
	}
	const scripts = "/var/lib/cloud/instance/scripts"
	check(os.MkdirAll(scripts, 0o755))
	check(os.WriteFile(scripts+"/runcmd", []byte(config.script()), 0o700))
	out, err := os.Create("/var/log/cloud-init-output.log")
	check(err)
	cmd := exec.Command("/bin/sh", scripts+"/runcmd")
	cmd.Stdout, cmd.Stderr = out, out
	code, err := run(cmd)
	log.Printf("cloud-init: runcmd ended: %d %v", code, err)
	check(os.WriteFile("/var/lib/bed/cloud-init.done", []byte(strconv.Itoa(code)), 0o644))
}
