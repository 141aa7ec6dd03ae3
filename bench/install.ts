/**
 * Brings the peers in: npm packages, a Python environment, Chromium. Whatever can't be had is named with its reason.
 */
import { execFile, spawn } from 'node:child_process'
import { existsSync, readFileSync, rmSync, statSync } from 'node:fs'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const run = promisify(execFile)
export const here = fileURLToPath(new URL('.', import.meta.url))

/** A tool that is there, or the reason why it is not. */
export type Tool = { path: string; version: string; reason?: undefined } | { reason: string; path?: undefined }

export interface Setup {
  modules: Tool
  chromium: Tool
  /** Python with ai-edge-litert and wasmtime. */
  python: Tool
  /** Python with tf2onnx. */
  converter: Tool
  nodes: { version: string; path: string }[]
}

const oneLine = (error: unknown): string => {
  const e = error as { stderr?: string; message?: string }
  const lines = (e.stderr || e.message || String(error)).trim().split('\n').filter(Boolean)
  return (lines.find((l) => /error/i.test(l)) ?? lines.at(-1) ?? 'unknown error').slice(0, 300)
}

/** Runs a command with its output on our stderr only when it fails. */
async function attempt(command: string, args: string[], cwd = here): Promise<string | undefined> {
  try {
    await run(command, args, { cwd, maxBuffer: 1 << 26 })
    return undefined
  } catch (error) {
    return oneLine(error)
  }
}

async function modules(fresh: boolean, log: (line: string) => void): Promise<Tool> {
  const lock = `${here}package-lock.json`
  const installed = `${here}node_modules/.package-lock.json`
  if (fresh || !existsSync(installed) || statSync(installed).mtimeMs < statSync(lock).mtimeMs) {
    log('npm packages')
    const reason = await attempt('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund'])
    if (reason) return { reason: `npm ci failed: ${reason}` }
  }
  return { path: `${here}node_modules`, version: '' }
}

/** A virtual environment with the pinned packages of `requirements`, remade when that file changes. */
async function environment(
  folder: string,
  requirements: string,
  fresh: boolean,
  log: (line: string) => void,
): Promise<Tool> {
  const python = `${here}${folder}/bin/python`
  const stamp = `${here}${folder}/requirements.txt`
  const wanted = await readFile(`${here}${requirements}`, 'utf8')
  if (fresh || !existsSync(stamp) || readFileSync(stamp, 'utf8') !== wanted) {
    log(`Python packages: ${wanted.trim().split('\n').join(', ')}`)
    rmSync(`${here}${folder}`, { recursive: true, force: true })
    const reason =
      (await attempt(process.env.PYTHON ?? 'python3', ['-m', 'venv', folder])) ??
      (await attempt(python, ['-m', 'pip', 'install', '-q', '--disable-pip-version-check', '-r', requirements]))
    if (reason) return { reason: `Python environment: ${reason}` }
    await writeFile(stamp, wanted)
  }
  const { stdout } = await run(python, ['--version'])
  return { path: python, version: stdout.trim().replace('Python ', '') }
}

async function chromium(): Promise<Tool> {
  const names = process.env.CHROMIUM
    ? [process.env.CHROMIUM]
    : ['chromium', 'chromium-browser', 'google-chrome', '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome']
  for (const path of names) {
    try {
      const { stdout } = await run(path, ['--version'])
      const { stdout: full } = await run('sh', ['-c', `command -v "$0"`, path])
      return { path: full.trim(), version: /[\d.]+/.exec(stdout)?.[0] ?? stdout.trim() }
    } catch {
      /* The next name. */
    }
  }
  return { reason: 'no Chromium found; install one (Debian: apt-get install chromium) or set CHROMIUM to its path' }
}

async function nodes(extra: string[]): Promise<Setup['nodes']> {
  const found = new Map<string, string>()
  for (const path of [
    process.execPath,
    `${here}node_modules/node22/bin/node`,
    `${here}node_modules/node26/bin/node`,
    ...extra,
  ]) {
    try {
      const { stdout } = await run(path, ['--version'])
      const version = stdout.trim().replace('v', '')
      if (!found.has(version)) found.set(version, path)
    } catch (error) {
      if (extra.includes(path)) throw new Error(`--node ${path}: ${oneLine(error)}`)
    }
  }
  return [...found]
    .map(([version, path]) => ({ version, path }))
    .sort((a, b) => Number.parseInt(a.version) - Number.parseInt(b.version))
}

export interface InstallOptions {
  fresh: boolean
  convert: boolean
  nodes: string[]
  log: (line: string) => void
}

export async function install(options: InstallOptions): Promise<Setup> {
  await mkdir(`${here}build`, { recursive: true })
  const installed = await modules(options.fresh, options.log)
  const python = await environment('.venv', 'requirements.txt', options.fresh, options.log)
  const converter: Tool = options.convert
    ? await environment('.venv-convert', 'requirements-convert.txt', options.fresh, options.log)
    : { reason: 'conversion was switched off' }
  return { modules: installed, chromium: await chromium(), python, converter, nodes: await nodes(options.nodes) }
}

/** Version of an installed npm package, or of the pinned line of requirements.txt. */
export function versionOf(name: string): string {
  const file = `${here}node_modules/${name}/package.json`
  if (existsSync(file)) return JSON.parse(readFileSync(file, 'utf8')).version
  const line = readFileSync(`${here}requirements.txt`, 'utf8')
    .split('\n')
    .find((l) => l.startsWith(`${name}==`))
  return line?.split('==')[1] ?? '?'
}

/** Runs a long command, its lines handed to `log`. Resolves to the exit code. */
export function stream(command: string, args: string[], log: (line: string) => void): Promise<number> {
  return new Promise((resolve) => {
    const child = spawn(command, args, { cwd: here, stdio: ['ignore', 'pipe', 'ignore'] })
    let rest = ''
    child.stdout.on('data', (text) => {
      const lines = (rest + text).split('\n')
      rest = lines.pop()!
      lines.forEach(log)
    })
    child.on('error', () => resolve(-1))
    child.on('exit', (code) => resolve(code ?? -1))
  })
}
