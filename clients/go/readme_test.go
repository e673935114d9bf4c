package objectstreaming_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The program of the README, copied and run against a server.
func TestTheProgramOfTheReadmeRuns(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(readme), "```go\n")
	program, _, found := strings.Cut(rest, "```\n")
	if !found || !strings.HasPrefix(program, "package main") {
		t.Fatal("the README begins with another example")
	}
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	const module = "example.com/objectstreaming/clients/go"
	mod := "module example\n\ngo 1.24\n\nrequire " + module + " v0.1.0\n\nreplace " + module + " => " + here + "\n"
	for name, content := range map[string]string{"go.mod": mod, "main.go": program} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	server := exampleServer()
	defer server.Close()
	run := exec.CommandContext(t.Context(), "go", "run", ".", server.URL)
	run.Dir = dir
	run.Env = append(os.Environ(), "GOPROXY=off", "GOFLAGS=-mod=mod", "GOWORK=off")
	output, err := run.CombinedOutput()
	if want := "Frames have lengths. -- spec.md\nSo a cut is found. -- spec.md\n"; err != nil || string(output) != want {
		t.Errorf("%v: %s", err, output)
	}
}
