// V8 in any Node: node node.mjs MODULE.wasm OUTPUTS RUNS IN0[,IN1]=PREFIX ...
import { readFileSync, writeFileSync } from 'node:fs'
import { median, runJobs } from './jobs.mjs'

await runJobs(({ path, outputs, runs, cases }) => {
  const module = new WebAssembly.Module(readFileSync(path))
  if (WebAssembly.Module.imports(module).length) throw new Error('the module has imports')
  const { exports: e } = new WebAssembly.Instance(module)

  function invoke(files) {
    files.forEach((file, i) => {
      const bytes = readFileSync(file)
      if (bytes.length !== e.thimble_input_bytes(i))
        throw new Error(`input ${i}: expected ${e.thimble_input_bytes(i)} bytes, got ${bytes.length}`)
      new Uint8Array(e.memory.buffer).set(bytes, e.thimble_input_ptr(i))
    })
    const before = performance.now()
    const status = e.thimble_invoke()
    if (status !== 0) throw new Error(`thimble_invoke returned ${status}`)
    return performance.now() - before
  }

  for (const { files, prefix } of cases) {
    invoke(files)
    for (let i = 0; i < outputs; i++)
      writeFileSync(prefix + i, new Uint8Array(e.memory.buffer, e.thimble_output_ptr(i), e.thimble_output_bytes(i)))
  }
  return {
    engine: `Node ${process.versions.node} ${process.arch}`,
    abi: e.thimble_abi(),
    memoryBytes: e.memory.buffer.byteLength,
    ms: median(runs, () => invoke(cases[0].files)),
  }
})
