// A device whose model is replaced in the field: agent DIRECTORY PUBLIC_KEY
//
// The unit of update is a module of `thimble pack` and what goes with it, in one file: signature (Ed25519, 64 bytes, of all that
// follows), version, length of the module, the module, an input and the output that the module has to answer (lengths
// before each; all numbers are little-endian and have 32 bits). `update.mjs` makes such files.
//
// DIRECTORY/current holds what runs, DIRECTORY/next what came in. A line on stdin is work: `run FILE` prints the output's
// bytes in hex, `update` looks at `next`. An update that is damaged, not signed by the key, older than what runs, not a
// module, or answers something else is refused, with the reason, and the old model goes on. It is put in place by one
// rename, after it has answered: power may fail at any time.
package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
)

// Pages of 64 KiB that a model may have: a module cannot take more memory than the device gives.
const memoryPages = 512

// A model may not run for longer than this; one that does is closed.
const deadline = 10 * time.Second

type bundle struct {
	version               uint32
	module, input, output []byte
}

// open checks the signature before anything else of a file is looked at.
func open(file []byte, key ed25519.PublicKey) (bundle, error) {
	var b bundle
	if len(file) < ed25519.SignatureSize {
		return b, errors.New("the file is too short")
	}
	signature, signed := file[:ed25519.SignatureSize], file[ed25519.SignatureSize:]
	if !ed25519.Verify(key, signed, signature) {
		return b, errors.New("the signature is not of this key and these bytes")
	}
	r := bytes.NewReader(signed)
	if err := binary.Read(r, binary.LittleEndian, &b.version); err != nil {
		return b, errors.New("the file ends early")
	}
	for _, part := range []*[]byte{&b.module, &b.input, &b.output} {
		var length uint32
		if err := binary.Read(r, binary.LittleEndian, &length); err != nil || int64(length) > int64(r.Len()) {
			return b, errors.New("the file ends early")
		}
		*part = make([]byte, length)
		r.Read(*part)
	}
	return b, nil
}

type model struct {
	version uint32
	runtime wazero.Runtime
	module  api.Module
}

// start instantiates a module, which may have no imports, and asks it what it has to answer.
func start(ctx context.Context, b bundle) (*model, error) {
	config := wazero.NewRuntimeConfig().WithMemoryLimitPages(memoryPages).WithCloseOnContextDone(true)
	m := &model{version: b.version, runtime: wazero.NewRuntimeWithConfig(ctx, config)}
	var err error
	if m.module, err = m.runtime.InstantiateWithConfig(ctx, b.module, wazero.NewModuleConfig().WithName("")); err != nil {
		m.close(ctx)
		return nil, fmt.Errorf("the module does not start: %w", err)
	}
	answer, err := m.run(ctx, b.input)
	if err == nil && !bytes.Equal(answer, b.output) {
		err = errors.New("its answer to the self-check is another one")
	}
	if err != nil {
		m.close(ctx)
		return nil, err
	}
	return m, nil
}

func (m *model) close(ctx context.Context) { m.runtime.Close(ctx) }

func (m *model) call(ctx context.Context, name string, arguments ...uint64) (uint32, error) {
	f := m.module.ExportedFunction(name)
	if f == nil {
		return 0, fmt.Errorf("no %s is exported", name)
	}
	results, err := f.Call(ctx, arguments...)
	if err != nil || len(results) != 1 {
		return 0, fmt.Errorf("%s failed: %w", name, err)
	}
	return uint32(results[0]), nil
}

func (m *model) run(ctx context.Context, input []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	var at [4]uint32
	for i, name := range []string{"input_ptr", "input_bytes", "output_ptr", "output_bytes"} {
		var err error
		if at[i], err = m.call(ctx, "thimble_"+name, 0); err != nil {
			return nil, err
		}
	}
	if uint32(len(input)) != at[1] {
		return nil, fmt.Errorf("the input has %d bytes, the model's %d", len(input), at[1])
	}
	if !m.module.Memory().Write(at[0], input) {
		return nil, errors.New("the input is outside of the memory")
	}
	if status, err := m.call(ctx, "thimble_invoke"); err != nil || status != 0 {
		return nil, fmt.Errorf("thimble_invoke returned %d, %v", status, err)
	}
	output, ok := m.module.Memory().Read(at[2], at[3])
	if !ok {
		return nil, errors.New("the output is outside of the memory")
	}
	return bytes.Clone(output), nil
}

// load opens a file and starts what is in it.
func load(ctx context.Context, path string, key ed25519.PublicKey, newerThan *model) (*model, error) {
	file, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	b, err := open(file, key)
	if err != nil {
		return nil, err
	}
	if newerThan != nil && b.version <= newerThan.version {
		return nil, fmt.Errorf("version %d is not newer than %d", b.version, newerThan.version)
	}
	return start(ctx, b)
}

func main() {
	ctx := context.Background()
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "agent DIRECTORY PUBLIC_KEY (32 bytes in hex)")
		os.Exit(2)
	}
	key, err := hex.DecodeString(os.Args[2])
	if err != nil || len(key) != ed25519.PublicKeySize {
		fmt.Fprintln(os.Stderr, "the key is not 32 bytes in hex")
		os.Exit(2)
	}
	current, next := filepath.Join(os.Args[1], "current"), filepath.Join(os.Args[1], "next")
	running, err := load(ctx, current, key, nil)
	if err != nil {
		fmt.Fprintln(os.Stderr, "no model:", err)
		os.Exit(1)
	}
	fmt.Println("running", running.version)
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		command, argument, _ := strings.Cut(lines.Text(), " ")
		switch command {
		case "run":
			input, err := os.ReadFile(argument)
			var output []byte
			if err == nil {
				output, err = running.run(ctx, input)
			}
			if err != nil {
				fmt.Println("failed:", err)
			} else {
				fmt.Println(hex.EncodeToString(output))
			}
		case "update":
			fresh, err := load(ctx, next, key, running)
			if err == nil {
				if err = os.Rename(next, current); err != nil {
					fresh.close(ctx)
				}
			}
			if err != nil {
				os.Remove(next)
				fmt.Println("refused:", err)
				break
			}
			running.close(ctx)
			running = fresh
			fmt.Println("running", running.version)
		default:
			fmt.Println("run FILE or update")
		}
	}
}
