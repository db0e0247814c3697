package e2e

import (
	"bufio"
	"bytes"
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// countScripts has the killer count the scripts that admit changes of balances in Redis, and that
// note them as done or undo them, too: it is a proxy in front of Redis. It returns the URL of that.
func (k *killer) countScripts(t *testing.T, redis string) string {
	t.Helper()
	scripts := map[string]string{}
	for _, name := range []string{"admit", "done", "undo"} {
		source, err := os.ReadFile(filepath.Join(moduleRoot, "lockprovider", "redisfirst", "scripts", name+".lua"))
		must(t, err)
		sum := sha1.Sum(source)
		scripts[hex.EncodeToString(sum[:])] = name
	}
	to, err := url.Parse(redis)
	must(t, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	var running sync.WaitGroup
	t.Cleanup(func() { listener.Close(); running.Wait() })
	target := to.Host
	to.Host = listener.Addr().String()
	running.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			running.Go(func() { k.serveRedis(client, target, scripts) })
		}
	})
	return to.String()
}

// serveRedis copies one connection of the server to Redis, command by command.
func (k *killer) serveRedis(client net.Conn, target string, scripts map[string]string) {
	defer client.Close()
	server, err := net.Dial("tcp", target)
	if err != nil {
		return
	}
	defer server.Close()
	var mute atomic.Bool
	go k.copyAnswers(client, server, &mute)
	from := bufio.NewReader(client)
	for {
		raw, words, err := redisCommand(from)
		if err != nil {
			return
		}
		if script := scripts[scriptOf(words)]; script != "" {
			switch k.effect("redis " + script) {
			case killBefore:
				k.kill()
				return
			case killAfter:
				mute.Store(true)
			}
		}
		if _, err := server.Write(raw); err != nil {
			return
		}
	}
}

// scriptOf returns the SHA-1 of the script that a command runs, "" for other commands.
func scriptOf(words []string) string {
	if len(words) < 2 {
		return ""
	}
	switch strings.ToLower(words[0]) {
	case "evalsha":
		return words[1]
	case "eval": // Redis did not know the script yet
		sum := sha1.Sum([]byte(words[1]))
		return hex.EncodeToString(sum[:])
	}
	return ""
}

// redisCommand reads one command of a client, as it came, and its first words.
func redisCommand(from *bufio.Reader) (raw []byte, words []string, err error) {
	var whole bytes.Buffer
	length := func(kind byte) (int, error) {
		line, err := from.ReadString('\n')
		if err != nil {
			return 0, err
		}
		whole.WriteString(line)
		if line[0] != kind {
			return 0, fmt.Errorf("not a command of Redis: %q", line)
		}
		return strconv.Atoi(strings.TrimSpace(line[1:]))
	}
	n, err := length('*')
	if err != nil {
		return nil, nil, err
	}
	for range n {
		size, err := length('$')
		if err != nil {
			return nil, nil, err
		}
		word := make([]byte, size+2)
		if _, err := io.ReadFull(from, word); err != nil {
			return nil, nil, err
		}
		whole.Write(word)
		if len(words) < 2 {
			words = append(words, string(word[:size]))
		}
	}
	return whole.Bytes(), words, nil
}
