// workerd, the engine of Cloudflare Workers, through miniflare: node workerd.mjs MODULE.wasm OUTPUTS RUNS
// IN0[,IN1]=PREFIX ... The module is imported by a Worker, as a deployed one would: workerd compiles no wasm at run
// time.
import { readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { runJobs } from './jobs.mjs'

const require = createRequire(`${process.env.THIMBLE_ENGINES}/npm/`)
const { Miniflare } = require('miniflare')
const workerd = require('workerd/package.json').version

// Body: the inputs one after the other. Answer: the outputs one after the other.
const WORKER = `
import module from './model.wasm'
const { exports: e } = new WebAssembly.Instance(module)
export default {
  async fetch(request) {
    const url = new URL(request.url)
    const bytes = new Uint8Array(await request.arrayBuffer())
    const runs = Number(url.searchParams.get('runs'))
    for (let run = 0; run < runs; run++) {
      let at = 0
      for (let i = 0; at < bytes.length; i++) {
        const n = e.thimble_input_bytes(i)
        new Uint8Array(e.memory.buffer).set(bytes.subarray(at, at + n), e.thimble_input_ptr(i))
        at += n
      }
      const status = e.thimble_invoke()
      if (status !== 0) return new Response('thimble_invoke returned ' + status, { status: 500 })
    }
    const parts = []
    for (let i = 0; i < Number(url.searchParams.get('outputs')); i++) parts.push(new Uint8Array(e.memory.buffer).slice(e.thimble_output_ptr(i), e.thimble_output_ptr(i) + e.thimble_output_bytes(i)))
    const headers = { 'x-sizes': parts.map((p) => p.length).join(), 'x-abi': String(e.thimble_abi()), 'x-memory': String(e.memory.buffer.byteLength) }
    return new Response(new Blob(parts), { headers })
  }
}`

await runJobs(async ({ path, outputs, runs, cases }) => {
  const mf = new Miniflare({
    modules: [
      { type: 'ESModule', path: 'worker.mjs', contents: WORKER },
      { type: 'CompiledWasm', path: 'model.wasm', contents: readFileSync(path) },
    ],
    compatibilityDate: '2026-01-01',
    cf: false,
  })
  const ask = async (files, times) => {
    const response = await mf.dispatchFetch(`http://worker/?outputs=${outputs}&runs=${times}`, {
      method: 'POST',
      body: Buffer.concat(files.map((f) => readFileSync(f))),
    })
    if (!response.ok) throw new Error(await response.text())
    return response
  }
  try {
    let last
    for (const { files, prefix } of cases) {
      last = await ask(files, 1)
      const bytes = Buffer.from(await last.arrayBuffer())
      let at = 0
      last.headers
        .get('x-sizes')
        .split(',')
        .forEach((n, i) => {
          writeFileSync(prefix + i, bytes.subarray(at, (at += Number(n))))
        })
    }
    // A Worker's clock stands still while it computes: the time is taken from outside, less that of a single run.
    const timed = async (times) => {
      const before = performance.now()
      await (await ask(cases[0].files, times)).arrayBuffer()
      return performance.now() - before
    }
    if (runs) await timed(20) // Until V8's optimizing tier is in.
    const ms = runs ? Math.max(0, ((await timed(1 + runs)) - (await timed(1))) / runs) : 0
    return {
      engine: `workerd ${workerd}`,
      abi: +last.headers.get('x-abi'),
      memoryBytes: +last.headers.get('x-memory'),
      ms,
    }
  } finally {
    await mf.dispose()
  }
})
