package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
	"sync"
	"time"
)

// logWriter writes the log of a container in the CRI format.
type logWriter struct {
	mu   sync.Mutex
	path string
	file *os.File
}

func (w *logWriter) reopen() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.file != nil {
		w.file.Close()
	}
	if w.path != "" {
		os.MkdirAll(path.Dir(w.path), 0o755)
		w.file, _ = os.OpenFile(w.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	}
}

func (w *logWriter) copy(name string, r *os.File) {
	defer r.Close()
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadString('\n')
		if line != "" {
			w.mu.Lock()
			if w.file != nil {
				io.WriteString(w.file, logLine(time.Now(), name, line))
			}
			w.mu.Unlock()
		}
		if err != nil {
			return
		}
	}
}

// logLine is one full line of a stream in the CRI format.
func logLine(at time.Time, stream, line string) string {
	return fmt.Sprintf("%s %s F %s\n", at.UTC().Format(time.RFC3339Nano), stream, strings.TrimRight(line, "\n"))
}
