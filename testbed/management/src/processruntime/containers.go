package main

import (
	"context"
	"encoding/json"
	"log"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

func containerDir(id string) string { return stateDir + "/containers/" + id }

func (s *runtimeServer) CreateContainer(_ context.Context, r *cri.CreateContainerRequest) (*cri.CreateContainerResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := &container{id: newID(), sandbox: r.PodSandboxId, config: r.Config, created: time.Now(),
		state: cri.ContainerState_CONTAINER_CREATED, done: make(chan struct{})}
	if p := r.GetConfig().GetLogPath(); p != "" {
		c.logPath = filepath.Join(r.GetSandboxConfig().GetLogDirectory(), p)
	}
	s.containers[c.id] = c
	return &cri.CreateContainerResponse{ContainerId: c.id}, nil
}

// program finds what a container runs: the binary and its arguments.
func (s *runtimeServer) program(c *container) (string, []string) {
	image, tag := c.config.GetImage().GetImage(), ""
	image = strings.Split(image, "@")[0]
	name := path.Base(image)
	if i := strings.LastIndex(name, ":"); i >= 0 {
		name, tag = name[:i], name[i+1:]
	}
	args := c.config.Args
	command := ""
	if len(c.config.Command) > 0 {
		command = path.Base(c.config.Command[0])
		args = append(append([]string{}, c.config.Command[1:]...), args...)
	}
	if command == "" && len(args) > 0 && strings.HasPrefix(args[0], "/") { // image without entry point
		command, args = path.Base(args[0]), args[1:]
	}
	for _, n := range []string{name, command} {
		for _, file := range []string{n + "-" + tag, "kubernetes/" + tag + "/" + n, n, "kubernetes/" + s.version + "/" + n} {
			file = filepath.Join(s.bin, file)
			if i, err := os.Stat(file); n != "" && err == nil && i.Mode().IsRegular() {
				return file, append(args, s.extra[n]...)
			}
		}
	}
	return filepath.Join(s.bin, "pretend"), nil
}

func (s *runtimeServer) StartContainer(_ context.Context, r *cri.StartContainerRequest) (*cri.StartContainerResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.containers[r.ContainerId]
	if c == nil {
		return nil, status.Error(codes.NotFound, "no such container")
	}
	b := s.sandboxes[c.sandbox]
	program, args := s.program(c)
	spec := containerSpec{Root: containerDir(c.id) + "/root", Netns: b.netns, Path: program, Args: append([]string{program}, args...), Dir: c.config.WorkingDir, Mounts: c.config.Mounts}
	spec.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "HOSTNAME=" + b.config.Hostname}
	for _, e := range c.config.Envs {
		spec.Env = append(spec.Env, e.Key+"="+string(e.Value))
	}
	if b.config.Labels["batch.kubernetes.io/job-name"] != "" || b.config.Labels["job-name"] != "" {
		spec.Env = append(spec.Env, "PRETEND_EXIT=1")
	}
	os.MkdirAll(spec.Root, 0o755)
	file := containerDir(c.id) + "/spec.json"
	data, _ := json.Marshal(spec)
	if err := os.WriteFile(file, data, 0o600); err != nil {
		return nil, err
	}
	cmd := exec.Command("/proc/self/exe", "container", file)
	// Own mount namespace; own process group, so that a stop reaches children too.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Cloneflags: unix.CLONE_NEWNS}
	c.log = &logWriter{path: c.logPath}
	c.log.reopen()
	outR, outW, _ := os.Pipe()
	errR, errW, _ := os.Pipe()
	cmd.Stdout, cmd.Stderr = outW, errW
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	outW.Close()
	errW.Close()
	go c.log.copy("stdout", outR)
	go c.log.copy("stderr", errR)
	c.process, c.started, c.state = cmd.Process, time.Now(), cri.ContainerState_CONTAINER_RUNNING
	log.Printf("start %s/%s %s: %s", b.config.Metadata.Name, c.config.Metadata.Name, c.config.GetImage().GetImage(), program)
	go func() {
		cmd.Wait()
		s.mu.Lock()
		c.state, c.finished, c.exit = cri.ContainerState_CONTAINER_EXITED, time.Now(), int32(cmd.ProcessState.ExitCode())
		if w, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && w.Signaled() {
			c.exit = 128 + int32(w.Signal())
		}
		s.mu.Unlock()
		unix.Kill(-cmd.Process.Pid, unix.SIGKILL)
		close(c.done)
		log.Printf("exit %d %s/%s", c.exit, b.config.Metadata.Name, c.config.Metadata.Name)
	}()
	return &cri.StartContainerResponse{}, nil
}

func (s *runtimeServer) stop(c *container, grace time.Duration) {
	s.mu.Lock()
	running := c.state == cri.ContainerState_CONTAINER_RUNNING
	s.mu.Unlock()
	if !running {
		return
	}
	unix.Kill(-c.process.Pid, unix.SIGTERM)
	select {
	case <-c.done:
		return
	case <-time.After(min(max(grace, time.Second), 10*time.Second)):
	}
	unix.Kill(-c.process.Pid, unix.SIGKILL)
	<-c.done
}

func (s *runtimeServer) find(id string) (*container, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.containers[id]; c != nil {
		return c, nil
	}
	return nil, status.Error(codes.NotFound, "no such container")
}

func (s *runtimeServer) StopContainer(_ context.Context, r *cri.StopContainerRequest) (*cri.StopContainerResponse, error) {
	if c, err := s.find(r.ContainerId); err == nil {
		s.stop(c, time.Duration(r.Timeout)*time.Second)
	}
	return &cri.StopContainerResponse{}, nil
}

func (s *runtimeServer) RemoveContainer(_ context.Context, r *cri.RemoveContainerRequest) (*cri.RemoveContainerResponse, error) {
	if c, err := s.find(r.ContainerId); err == nil {
		s.stop(c, 0)
		s.mu.Lock()
		delete(s.containers, c.id)
		s.mu.Unlock()
		os.RemoveAll(containerDir(c.id))
		if c.logPath != "" {
			os.Remove(c.logPath)
		}
	}
	return &cri.RemoveContainerResponse{}, nil
}

func (s *runtimeServer) ListContainers(_ context.Context, r *cri.ListContainersRequest) (*cri.ListContainersResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	out, f := &cri.ListContainersResponse{}, r.GetFilter()
	for _, c := range s.containers {
		if (f.GetId() != "" && f.GetId() != c.id) || (f.GetPodSandboxId() != "" && f.GetPodSandboxId() != c.sandbox) ||
			(f.GetState() != nil && f.GetState().State != c.state) || !selects(f.GetLabelSelector(), c.config.Labels) {
			continue
		}
		out.Containers = append(out.Containers, &cri.Container{Id: c.id, PodSandboxId: c.sandbox, Metadata: c.config.Metadata,
			Image: c.config.Image, ImageRef: c.config.GetImage().GetImage(), ImageId: c.config.GetImage().GetImage(), State: c.state,
			CreatedAt: c.created.UnixNano(), Labels: c.config.Labels, Annotations: c.config.Annotations})
	}
	return out, nil
}

func (s *runtimeServer) ContainerStatus(_ context.Context, r *cri.ContainerStatusRequest) (*cri.ContainerStatusResponse, error) {
	c, err := s.find(r.ContainerId)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	st := &cri.ContainerStatus{Id: c.id, Metadata: c.config.Metadata, State: c.state, CreatedAt: c.created.UnixNano(),
		Image: c.config.Image, ImageRef: c.config.GetImage().GetImage(), ImageId: c.config.GetImage().GetImage(), Labels: c.config.Labels,
		Annotations: c.config.Annotations, Mounts: c.config.Mounts, LogPath: c.logPath, ExitCode: c.exit}
	if !c.started.IsZero() {
		st.StartedAt = c.started.UnixNano()
	}
	if !c.finished.IsZero() {
		st.FinishedAt = c.finished.UnixNano()
		st.Reason = map[bool]string{true: "Completed", false: "Error"}[c.exit == 0]
	}
	return &cri.ContainerStatusResponse{Status: st}, nil
}

func (s *runtimeServer) UpdateContainerResources(context.Context, *cri.UpdateContainerResourcesRequest) (*cri.UpdateContainerResourcesResponse, error) {
	return &cri.UpdateContainerResourcesResponse{}, nil
}

func (s *runtimeServer) UpdatePodSandboxResources(context.Context, *cri.UpdatePodSandboxResourcesRequest) (*cri.UpdatePodSandboxResourcesResponse, error) {
	return &cri.UpdatePodSandboxResourcesResponse{}, nil
}

func (s *runtimeServer) ReopenContainerLog(_ context.Context, r *cri.ReopenContainerLogRequest) (*cri.ReopenContainerLogResponse, error) {
	c, err := s.find(r.ContainerId)
	if err == nil && c.log != nil {
		c.log.reopen()
	}
	return &cri.ReopenContainerLogResponse{}, err
}
