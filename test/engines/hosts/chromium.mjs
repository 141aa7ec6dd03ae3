// Chromium through playwright-core: node chromium.mjs MODULE.wasm OUTPUTS RUNS IN0[,IN1]=PREFIX ...
import { readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { runJobs } from './jobs.mjs'

const { chromium } = createRequire(`${process.env.THIMBLE_ENGINES}/npm/`)('playwright-core')
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox'],
})

/** In the page: compiles the module and leaves `e` and `invoke` for the calls to come. */
async function prepare(wasm) {
  const bytes = Uint8Array.from(atob(wasm), (c) => c.charCodeAt(0))
  const { exports: e } = await WebAssembly.instantiate(await WebAssembly.compile(bytes))
  globalThis.e = e
  globalThis.invoke = (inputs) => {
    inputs.forEach((text, i) =>
      new Uint8Array(e.memory.buffer).set(
        Uint8Array.from(atob(text), (c) => c.charCodeAt(0)),
        e.thimble_input_ptr(i),
      ),
    )
    const before = performance.now()
    const status = e.thimble_invoke()
    if (status !== 0) throw new Error(`thimble_invoke returned ${status}`)
    return performance.now() - before
  }
}

/** In the page. */
function outputsOf([inputs, count]) {
  globalThis.invoke(inputs)
  const e = globalThis.e
  return Array.from({ length: count }, (_, i) =>
    Array.from(new Uint8Array(e.memory.buffer, e.thimble_output_ptr(i), e.thimble_output_bytes(i))),
  )
}

/** In the page: median milliseconds, and what the module says of itself. */
async function measure([inputs, count]) {
  const run = () => Array.from({ length: count }, () => globalThis.invoke(inputs)).sort((a, b) => a - b)
  run() // Until V8's optimizing tier is in.
  await new Promise((resolve) => setTimeout(resolve, count ? 100 : 0))
  return {
    abi: globalThis.e.thimble_abi(),
    memoryBytes: globalThis.e.memory.buffer.byteLength,
    ms: run()[count >> 1] ?? 0,
  }
}

try {
  await runJobs(async ({ path, outputs, runs, cases }) => {
    const page = await browser.newPage()
    try {
      await page.evaluate(prepare, readFileSync(path).toString('base64'))
      const inputs = (files) => files.map((f) => readFileSync(f).toString('base64'))
      for (const { files, prefix } of cases) {
        const results = await page.evaluate(outputsOf, [inputs(files), outputs])
        results.forEach((bytes, i) => writeFileSync(prefix + i, Uint8Array.from(bytes)))
      }
      return {
        engine: `Chromium ${browser.version()}`,
        ...(await page.evaluate(measure, [inputs(cases[0].files), runs])),
      }
    } finally {
      await page.close()
    }
  })
} finally {
  await browser.close()
}
