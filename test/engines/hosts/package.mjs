// The package itself, as installed: node package.mjs MODEL.tflite OUTPUTS RUNS IN0[,IN1]=PREFIX ...
// THIMBLE_PACKAGE: its entry point. A model path may end in `?scalar` and the like: the variant to load.
import { readFileSync, writeFileSync } from 'node:fs'
import { median, runJobs } from './jobs.mjs'

const { loadModel } = await import(process.env.THIMBLE_PACKAGE)
const ARRAYS = {
  int8: Int8Array,
  uint8: Uint8Array,
  bool: Uint8Array,
  int16: Int16Array,
  int32: Int32Array,
  int64: BigInt64Array,
  float32: Float32Array,
}

await runJobs(async ({ path, runs, cases }) => {
  const [file, variant] = path.split('?')
  const model = await loadModel(file, { variant: variant ?? 'auto' })
  const read = (files) =>
    files.map((name, i) => new ARRAYS[model.inputs[i].dtype](new Uint8Array(readFileSync(name)).buffer))
  for (const { files, prefix } of cases) {
    model
      .run(read(files))
      .forEach((tensor, i) =>
        writeFileSync(prefix + i, new Uint8Array(tensor.buffer, tensor.byteOffset, tensor.byteLength)),
      )
  }
  const first = read(cases[0].files)
  const ms = median(runs, () => {
    const before = performance.now()
    model.run(first)
    return performance.now() - before
  })
  const answer = {
    engine: `Node ${process.versions.node} ${process.arch}`,
    abi: 1,
    memoryBytes: model.memoryBytes,
    ms,
    variant: model.variant,
    kernels: model.kernels,
    why: model.why,
  }
  model.dispose()
  return answer
})
