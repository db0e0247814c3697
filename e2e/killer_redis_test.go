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
	"testing"
)

// countScripts has the killer count the scripts by which the server changes balances in Redis, too: it is a proxy in front of Redis. It
// returns the URL of that.
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
	var mu sync.Mutex
	mute := false
	go func() { // ends with the connections
		defer client.Close()
		defer server.Close()
		buffer := make([]byte, 64<<10)
		for {
			n, err := server.Read(buffer)
			mu.Lock()
			muted := mute
			mu.Unlock()
			if muted { // Redis has done it, and the server does not hear of it
				k.kill()
				return
			}
			if n > 0 {
				if _, err := client.Write(buffer[:n]); err != nil {
					return
				}
			}
			if err != nil {
				return
			}
		}
	}()
	from := bufio.NewReader(client)
	for {
		raw, words, err := redisCommand(from)
		if err != nil {
			return
		}
		act := goOn
		if len(words) > 1 && strings.EqualFold(words[0], "evalsha") && scripts[words[1]] != "" {
			act = k.effect("redis " + scripts[words[1]])
		}
		if act == killBefore {
			k.kill()
			return
		}
		mu.Lock()
		_, err = server.Write(raw)
		mute = mute || act == killAfter
		mu.Unlock()
		if err != nil {
			return
		}
	}
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
