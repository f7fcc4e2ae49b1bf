package netns

import (
	"io"
	"net"
	"strings"
	"testing"
)

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func TestForwardJoinsBothWays(t *testing.T) {
	back, front := listen(t), listen(t)
	go func() { // reads to the end, then answers: half-closed connections must survive
		c, err := back.Accept()
		if err != nil {
			return
		}
		data, _ := io.ReadAll(c)
		c.Write([]byte(strings.ToUpper(string(data))))
		c.Close()
	}()
	go Forward(front, func() (net.Conn, error) { return Dial("", back.Addr().String()) })
	c, err := net.Dial("tcp4", front.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.Write([]byte("hello"))
	c.(*net.TCPConn).CloseWrite()
	if answer, err := io.ReadAll(c); err != nil || string(answer) != "HELLO" {
		t.Errorf("%q %v", answer, err)
	}
}

func TestForwardResetsWhenNobodyIsThere(t *testing.T) {
	closed, front := listen(t), listen(t)
	closed.Close()
	go Forward(front, func() (net.Conn, error) { return Dial("", closed.Addr().String()) })
	c, err := net.Dial("tcp4", front.Addr().String())
	if err != nil {
		return // the reset was quicker
	}
	defer c.Close()
	if n, err := c.Read(make([]byte, 1)); err == nil {
		t.Errorf("read %d bytes", n)
	}
}

func TestInMissingNamespace(t *testing.T) {
	err := In("/nonexistent/ns", func() error { return nil })
	if err == nil || !strings.Contains(err.Error(), "/nonexistent/ns") {
		t.Errorf("%v", err)
	}
}

func TestRunShowsCommandAndOutput(t *testing.T) {
	if err := Run("true %s", "a"); err != nil {
		t.Error(err)
	}
	err := Run("ls %s", "/nonexistent")
	if err == nil || !strings.Contains(err.Error(), "ls /nonexistent") || !strings.Contains(err.Error(), "No such file") {
		t.Errorf("%v", err)
	}
}
