/**
 * Runs every test file in its own process, two at a time, and ends with `N passed, N failed, N skipped`.
 *
 * Usage: tsx test/index.ts [part of a file name …]
 * A file that runs no test and skips none counts as failed.
 */
import { spawn } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const here = fileURLToPath(new URL('.', import.meta.url))
const LIMIT_MS = 10 * 60_000

interface Result {
  file: string
  passed: number
  failed: number
  skips: string[]
  ms: number
  output: string
}

function testFiles(dir: string, prefix = ''): string[] {
  return readdirSync(dir, { withFileTypes: true })
    .flatMap((entry) => {
      if (entry.name === 'node_modules' || entry.name === 'fixtures') return []
      if (entry.isDirectory()) return testFiles(join(dir, entry.name), `${prefix}${entry.name}/`)
      return entry.name.endsWith('.test.ts') ? [`${prefix}${entry.name}`] : []
    })
    .sort()
}

function run(file: string): Promise<Result> {
  return new Promise((resolve) => {
    const start = performance.now()
    const child = spawn(process.execPath, ['--import', 'tsx', join(here, file)], {
      cwd: join(here, '..'),
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, NO_COLOR: '1', FORCE_COLOR: '0' },
    })
    let output = ''
    child.stdout.on('data', (chunk) => {
      output += chunk
    })
    child.stderr.on('data', (chunk) => {
      output += chunk
    })
    const timer = setTimeout(() => {
      output += `\nkilled after ${LIMIT_MS / 1000} s\n`
      child.kill('SIGKILL')
    }, LIMIT_MS)
    child.on('close', (code) => {
      clearTimeout(timer)
      const sum = (label: string): number =>
        [...output.matchAll(new RegExp(`^\\s*${label}:\\s+(\\d+)`, 'gm'))].reduce((a, m) => a + Number(m[1]), 0)
      const total = sum('Total')
      const passed = sum('Passed')
      const skips = [...output.matchAll(/^SKIP (.*)$/gm)].map((m) => m[1]!)
      let failed = total - passed
      if ((code !== 0 || total + skips.length === 0) && failed === 0) failed = 1
      resolve({ file, passed, failed, skips, ms: performance.now() - start, output })
    })
  })
}

async function main(): Promise<void> {
  const wanted = process.argv.slice(2)
  const queue = testFiles(here).filter((f) => wanted.length === 0 || wanted.some((w) => f.includes(w)))
  const results: Result[] = []
  const worker = async (): Promise<void> => {
    for (let file = queue.shift(); file; file = queue.shift()) {
      const r = await run(file)
      results.push(r)
      console.log(
        `${r.failed ? 'FAIL' : 'ok  '} ${file.padEnd(34)} ${r.passed} passed${r.failed ? `, ${r.failed} failed` : ''}${r.skips.length ? `, ${r.skips.length} skipped` : ''}  ${(r.ms / 1000).toFixed(1)} s`,
      )
      for (const s of r.skips) console.log(`     skipped ${s}`)
      if (r.failed) {
        console.log(
          r.output
            .trimEnd()
            .split('\n')
            .slice(-50)
            .map((line) => `     ${line}`)
            .join('\n'),
        )
      }
    }
  }
  await Promise.all(Array.from({ length: Math.min(2, availableParallelism()) }, worker))
  const sum = (f: (r: Result) => number): number => results.reduce((a, r) => a + f(r), 0)
  console.log(`${sum((r) => r.passed)} passed, ${sum((r) => r.failed)} failed, ${sum((r) => r.skips.length)} skipped`)
  if (results.length === 0 || sum((r) => r.failed)) process.exitCode = 1
}

await main()
