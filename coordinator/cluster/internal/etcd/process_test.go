package etcd

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"
)

const memberVariable = "CORRAL_TEST_ETCD_MEMBER"

// A process is a member of etcd that can be killed.
type process struct {
	command *exec.Cmd
	said    <-chan string
}

func spawn(t *testing.T, config Embedded) *process {
	t.Helper()
	config.Log = nil
	description, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	p := &process{command: exec.Command(os.Args[0], "-test.run=^TestAMemberInAProcessOfItsOwn$")}
	p.command.Env = append(os.Environ(), memberVariable+"="+string(description))
	if _, err := p.command.StdinPipe(); err != nil { // open for as long as the test lives
		t.Fatal(err)
	}
	out, err := p.command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	said := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(out).ReadString('\n')
		said <- line
	}()
	p.said = said
	return p
}

func (p *process) ready(t *testing.T) {
	t.Helper()
	if got := wait(t, p.said, "the member's process to be ready"); got != "ready\n" {
		t.Fatalf("the member's process said %q", got)
	}
}

func (p *process) kill() {
	_ = p.command.Process.Kill()
	_ = p.command.Wait()
}

// TestAMemberInAProcessOfItsOwn is what spawn runs. It ends with its parent.
func TestAMemberInAProcessOfItsOwn(t *testing.T) {
	description := os.Getenv(memberVariable)
	if description == "" {
		t.Skip("for tests that kill a member")
	}
	var config Embedded
	if err := json.Unmarshal([]byte(description), &config); err != nil {
		t.Fatal(err)
	}
	config.Log = new(logged).logger()
	s, err := Start(t.Context(), config)
	if err != nil {
		fmt.Println(err)
		return
	}
	<-s.Ready()
	fmt.Println("ready")
	_, _ = io.Copy(io.Discard, os.Stdin)
}
