package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strings"
	"time"

	"bed/netns"

	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
	"k8s.io/cri-streaming/pkg/streaming/remotecommand"
)

// inside prepares a command in the namespaces and root of a running container.
func (s *runtimeServer) inside(ctx context.Context, id string, command []string) (*exec.Cmd, error) {
	c, err := s.find(id)
	if err != nil {
		return nil, err
	}
	pid := fmt.Sprint(c.process.Pid)
	return exec.CommandContext(ctx, "nsenter", append([]string{"-t", pid, "-m", "-n", "-r", "-w", "--"}, command...)...), nil
}

func (s *runtimeServer) ExecSync(ctx context.Context, r *cri.ExecSyncRequest) (*cri.ExecSyncResponse, error) {
	if r.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(r.Timeout)*time.Second)
		defer cancel()
	}
	cmd, err := s.inside(ctx, r.ContainerId, r.Cmd)
	if err != nil {
		return nil, err
	}
	var out, errOut strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errOut
	err = cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return nil, err
	}
	return &cri.ExecSyncResponse{Stdout: []byte(out.String()), Stderr: []byte(errOut.String()), ExitCode: int32(cmd.ProcessState.ExitCode())}, nil
}

// streams are the ends of the three streaming calls.
type streams struct{ *runtimeServer }

func (s *runtimeServer) Exec(_ context.Context, r *cri.ExecRequest) (*cri.ExecResponse, error) {
	return s.streams.GetExec(r)
}

func (s *runtimeServer) Attach(_ context.Context, r *cri.AttachRequest) (*cri.AttachResponse, error) {
	return s.streams.GetAttach(r)
}

func (s *runtimeServer) PortForward(_ context.Context, r *cri.PortForwardRequest) (*cri.PortForwardResponse, error) {
	return s.streams.GetPortForward(r)
}

func (s streams) Exec(ctx context.Context, containerID string, command []string, in io.Reader, out, errOut io.WriteCloser, tty bool, _ <-chan remotecommand.TerminalSize) error {
	cmd, err := s.inside(ctx, containerID, command)
	if err != nil {
		return err
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, out, errOut
	return cmd.Run()
}

func (s streams) Attach(context.Context, string, io.Reader, io.WriteCloser, io.WriteCloser, bool, <-chan remotecommand.TerminalSize) error {
	return errors.New("attach is not supported by this runtime")
}

func (s streams) PortForward(ctx context.Context, id string, port int32, stream io.ReadWriteCloser) error {
	s.mu.Lock()
	b := s.sandboxes[id]
	s.mu.Unlock()
	if b == nil {
		return errors.New("no such pod sandbox")
	}
	conn, err := netns.Dial(b.netns, fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return err
	}
	defer conn.Close()
	done := make(chan struct{}, 2)
	go func() { io.Copy(conn, stream); conn.(*net.TCPConn).CloseWrite(); done <- struct{}{} }()
	go func() { io.Copy(stream, conn); done <- struct{}{} }()
	<-done
	return nil
}
