/** Where a runner lives: a child process, or a page in headless Chromium. Both are asked the same questions. */
import { spawn, type ChildProcess } from 'node:child_process'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { BrowserContext, Page } from 'playwright-core'
import type { Network, Opened } from './drive.ts'
import type { FileServer } from './server.ts'

export interface Memory {
  baseBytes: number
  peakBytes: number
}

export interface Host {
  open(network: Network, input: string): Promise<Opened>
  block(budgetMs: number, maxRuns: number): Promise<number[]>
  answer(input: string): Promise<string>
  /**
   * Resident bytes before the library was loaded, and the most ever since. Undefined where the system does not tell.
   */
  memory(): Promise<Memory | undefined>
  close(): Promise<void>
}

const DEADLINE_MS = 120_000

function deadline<T>(promise: Promise<T>, what: string): Promise<T> {
  let timer: NodeJS.Timeout
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: no answer in ${DEADLINE_MS / 1000} s`)), DEADLINE_MS)
  })
  return Promise.race([promise, late]).finally(() => clearTimeout(timer))
}

/** A child process that answers JSON lines (runners/process.ts, runners/litert.py). */
export class ProcessHost implements Host {
  private readonly child: ChildProcess
  private pending: { resolve: (value: any) => void; reject: (error: Error) => void } | undefined
  private errors = ''

  constructor(command: string, args: string[]) {
    this.child = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'] })
    this.child.stderr!.on('data', (text) => {
      this.errors = (this.errors + text).slice(-4000)
    })
    createInterface({ input: this.child.stdout! }).on('line', (line) => {
      if (!line.startsWith('@')) return
      const { value, error } = JSON.parse(line.slice(1))
      const pending = this.pending
      this.pending = undefined
      if (error === undefined) pending?.resolve(value)
      else pending?.reject(new Error(error))
    })
    const lost = (why: string): void => {
      this.pending?.reject(new Error(why))
      this.pending = undefined
    }
    this.child.on('error', (error) => lost(error.message))
    this.child.on('exit', (code, signal) =>
      lost(`ended with ${signal ?? `exit code ${code}`}: ${this.errors.trim().split('\n').at(-1) ?? ''}`),
    )
    this.child.stdin!.on('error', () => {})
  }

  private ask<T>(op: string, args: object = {}): Promise<T> {
    const answer = new Promise<T>((resolve, reject) => {
      if (this.child.exitCode !== null || this.child.signalCode !== null) {
        return reject(new Error(`process has ended: ${this.errors.trim().split('\n').at(-1) ?? ''}`))
      }
      this.pending = { resolve, reject }
      this.child.stdin!.write(`${JSON.stringify({ op, ...args })}\n`)
    })
    return deadline(answer, op)
  }

  open(network: Network, input: string): Promise<Opened> {
    return this.ask('open', { network, input })
  }
  block(budgetMs: number, maxRuns: number): Promise<number[]> {
    return this.ask('block', { budgetMs, maxRuns })
  }
  answer(input: string): Promise<string> {
    return this.ask('answer', { input })
  }
  memory(): Promise<Memory | undefined> {
    return this.ask('memory')
  }

  async close(): Promise<void> {
    const gone = new Promise<void>((resolve) => {
      if (this.child.exitCode !== null || this.child.signalCode !== null) resolve()
      else this.child.once('exit', () => resolve())
    })
    this.child.stdin!.end(`${JSON.stringify({ op: 'close' })}\n`)
    const timer = setTimeout(() => this.child.kill('SIGKILL'), 3000)
    await gone
    clearTimeout(timer)
  }
}

/** Command-line flags that keep Chromium off the network and let it run as root in a container. */
const CHROMIUM_FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--disable-extensions',
  '--disable-background-timer-throttling',
  '--disable-renderer-backgrounding',
]

/** A fresh Chromium with one page; its renderer process is the peer's process. */
export class PageHost implements Host {
  private readonly browser: BrowserContext
  private readonly page: Page
  private readonly profile: string
  /** Resident bytes of each renderer process before the library was loaded. */
  private readonly base: Map<number, number>

  private constructor(browser: BrowserContext, page: Page, profile: string, base: Map<number, number>) {
    this.browser = browser
    this.page = page
    this.profile = profile
    this.base = base
  }

  /** `runner` is the URL path of the runner's bundle on `server`. */
  static async start(executable: string, server: FileServer, runner: string): Promise<PageHost> {
    const { chromium } = await import('playwright-core')
    const profile = await mkdtemp(join(tmpdir(), 'thimble-bench-'))
    const context = await chromium.launchPersistentContext(profile, {
      executablePath: executable,
      headless: true,
      args: CHROMIUM_FLAGS,
    })
    const page = context.pages()[0] ?? (await context.newPage())
    page.setDefaultTimeout(DEADLINE_MS)
    await page.goto(`${server.url}/page.html`)
    await page.evaluate(
      `import('/build/drive.js').then(({ Driver }) => { globalThis.driver = new Driver(() => import(${JSON.stringify(runner)}), async (url) => new Uint8Array(await (await fetch(url)).arrayBuffer())) })`,
    )
    const base = new Map((await renderersOf(profile)).map((r) => [r.pid, r.rss]))
    return new PageHost(context, page, profile, base)
  }

  private ask<T>(call: string, ...args: unknown[]): Promise<T> {
    return deadline(
      this.page.evaluate(`globalThis.driver.${call}(${args.map((a) => JSON.stringify(a)).join(', ')})`) as Promise<T>,
      call,
    )
  }

  open(network: Network, input: string): Promise<Opened> {
    return this.ask('open', network, input)
  }
  block(budgetMs: number, maxRuns: number): Promise<number[]> {
    return this.ask('block', budgetMs, maxRuns)
  }
  answer(input: string): Promise<string> {
    return this.ask('answer', input)
  }

  async memory(): Promise<Memory | undefined> {
    const [largest] = (await renderersOf(this.profile)).sort((a, b) => b.peak - a.peak) as [
      { pid: number; rss: number; peak: number },
    ]
    const baseBytes = largest && this.base.get(largest.pid)
    return baseBytes === undefined ? undefined : { baseBytes, peakBytes: largest.peak }
  }

  async close(): Promise<void> {
    await this.browser.close()
    await rm(this.profile, { recursive: true, force: true, maxRetries: 5 })
  }
}

async function status(pid: number): Promise<{ rss: number; peak: number }> {
  const text = await readFile(`/proc/${pid}/status`, 'utf8')
  const kilobytes = (field: string): number => Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(text)?.[1] ?? 0)
  return { rss: kilobytes('VmRSS') * 1024, peak: kilobytes('VmHWM') * 1024 }
}

/**
 * Renderer processes of the Chromium that owns `profile` (Chromium keeps a spare one beside the page's); none where
 * there is no /proc.
 */
async function renderersOf(profile: string): Promise<{ pid: number; rss: number; peak: number }[]> {
  const processes: { pid: number; parent: number; command: string }[] = []
  for (const name of await readdir('/proc').catch(() => [])) {
    if (!/^\d+$/.test(name)) continue
    const [command, stat] = await Promise.all([
      readFile(`/proc/${name}/cmdline`, 'utf8'),
      readFile(`/proc/${name}/stat`, 'utf8'),
    ]).catch(() => ['', ''])
    if (command) {
      processes.push({
        pid: Number(name),
        parent: Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]),
        command,
      })
    }
  }
  const family = new Set(processes.filter((p) => p.command.includes(profile)).map((p) => p.pid))
  for (let grown = -1; grown !== family.size;) {
    grown = family.size
    for (const p of processes) if (family.has(p.parent)) family.add(p.pid)
  }
  const renderers = processes.filter((p) => family.has(p.pid) && p.command.includes('--type=renderer'))
  return Promise.all(
    renderers.map(async (p) => ({ pid: p.pid, ...(await status(p.pid).catch(() => ({ rss: 0, peak: 0 }))) })),
  )
}
