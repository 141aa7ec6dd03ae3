// Drives a packed module through wazero, the Go engine without cgo:
//
//	wazero-host compiler|interpreter MODULE.wasm OUTPUTS RUNS IN0[,IN1]=PREFIX ...
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
)

type model struct {
	ctx    context.Context
	module api.Module
}

func (m model) call(name string, args ...uint64) uint32 {
	results, err := m.module.ExportedFunction(name).Call(m.ctx, args...)
	check(err)
	return uint32(results[0])
}

func (m model) invoke(files []string) time.Duration {
	for i, file := range files {
		data, err := os.ReadFile(file)
		check(err)
		if want := m.call("thimble_input_bytes", uint64(i)); int(want) != len(data) {
			log.Fatalf("input %d: expected %d bytes, got %d", i, want, len(data))
		}
		if !m.module.Memory().Write(m.call("thimble_input_ptr", uint64(i)), data) {
			log.Fatalf("input %d is outside the memory", i)
		}
	}
	before := time.Now()
	if status := m.call("thimble_invoke"); status != 0 {
		log.Fatalf("thimble_invoke returned %d", status)
	}
	return time.Since(before)
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func version() string {
	info, _ := debug.ReadBuildInfo()
	for _, dep := range info.Deps {
		if dep.Path == "github.com/tetratelabs/wazero" {
			return strings.TrimPrefix(dep.Version, "v")
		}
	}
	return "?"
}

func main() {
	mode, path := os.Args[1], os.Args[2]
	outputs, err := strconv.Atoi(os.Args[3])
	check(err)
	runs, err := strconv.Atoi(os.Args[4])
	check(err)
	cases := os.Args[5:]

	config := wazero.NewRuntimeConfigCompiler()
	if mode == "interpreter" {
		config = wazero.NewRuntimeConfigInterpreter()
	}
	ctx := context.Background()
	r := wazero.NewRuntimeWithConfig(ctx, config)
	defer r.Close(ctx)
	binary, err := os.ReadFile(path)
	check(err)
	module, err := r.Instantiate(ctx, binary)
	check(err)
	m := model{ctx, module}

	for _, entry := range cases {
		files, prefix, _ := strings.Cut(entry, "=")
		m.invoke(strings.Split(files, ","))
		for i := range outputs {
			bytes, ok := module.Memory().Read(m.call("thimble_output_ptr", uint64(i)), m.call("thimble_output_bytes", uint64(i)))
			if !ok {
				log.Fatalf("output %d is outside the memory", i)
			}
			check(os.WriteFile(prefix+strconv.Itoa(i), bytes, 0o644))
		}
	}
	times := make([]time.Duration, runs)
	for i := range times {
		files, _, _ := strings.Cut(cases[0], "=")
		times[i] = m.invoke(strings.Split(files, ","))
	}
	slices.Sort(times)
	ms := 0.0
	if runs > 0 {
		ms = float64(times[runs/2].Microseconds()) / 1e3
	}
	line, err := json.Marshal(map[string]any{
		"engine": fmt.Sprintf("wazero %s %s %s", version(), mode, runtime.GOARCH),
		"abi":    m.call("thimble_abi"), "memoryBytes": module.Memory().Size(), "ms": ms,
	})
	check(err)
	fmt.Println(string(line))
}
