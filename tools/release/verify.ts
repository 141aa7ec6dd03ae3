/**
 * Whether the package is what its sources say: the commit is built twice, in two folders at once, each with a compiler
 * cache of its own, and packed; both tarballs must hold the same bytes. Prints the SHA-256 of every wasm module and of
 * the tarball.
 *
 * Usage: npm run verify-release [-- --cached] [--write]
 *   --cached takes modules from the compiler cache where it has them: minutes less, the compiler is not repeated
 *   --write  puts the sums into docs/release-sha256.txt (for `sha256sum --check` in a folder with the files)
 */
import { execFile, execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { constants, cpSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { gunzipSync } from 'node:zlib'
import { difference } from './tarball.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const CACHE = process.env.THIMBLE_BUILD_CACHE ?? join(root, 'node_modules/.cache/thimble-asc')
const SUMS = 'docs/release-sha256.txt'

interface Release {
  /** Bytes of the modules in build/, by name. */
  modules: Map<string, Uint8Array>
  name: string
  tarball: Uint8Array
}

const run = promisify(execFile)
const git = (...args: string[]): Buffer => execFileSync('git', args, { cwd: root, maxBuffer: 1 << 30 })

/** Builds and packs the commit in `folder`, which is made. */
async function release(folder: string): Promise<Release> {
  mkdirSync(folder, { recursive: true })
  execFileSync('tar', ['-x', '-C', folder], { input: git('archive', 'HEAD') })
  // Copied, not linked: what a bundle says of a package's path must not depend on where the packages are.
  cpSync(join(root, 'node_modules'), join(folder, 'node_modules'), {
    recursive: true,
    verbatimSymlinks: true,
    mode: constants.COPYFILE_FICLONE,
    filter: (path) => !path.endsWith('node_modules/.cache'),
  })
  const cache = process.argv.includes('--cached') ? CACHE : join(folder, '.asc-cache')
  const options = { cwd: folder, env: { ...process.env, THIMBLE_BUILD_CACHE: cache } }
  await run(process.execPath, ['--import', 'tsx', 'tools/build.ts'], options)
  // The folder is built; the script that builds it before packing has nothing to add.
  const { stdout } = await run('npm', ['pack', '--ignore-scripts', '--json'], { ...options, maxBuffer: 1 << 24 })
  const [{ filename }] = JSON.parse(stdout) as [{ filename: string }]
  const modules = readdirSync(join(folder, 'build'))
    .filter((name) => name.endsWith('.wasm') && !name.startsWith('.'))
    .sort()
    .map((name) => [name, readFileSync(join(folder, 'build', name))] as const)
  return { modules: new Map(modules), name: filename, tarball: readFileSync(join(folder, filename)) }
}

const sum = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

/** Lines as `sha256sum` prints them. */
function sums({ modules, name, tarball }: Release): string {
  return [...modules, [name, tarball] as const].map(([path, bytes]) => `${sum(bytes)}  ${path}\n`).join('')
}

async function main(): Promise<number> {
  if (git('status', '--porcelain').length) console.error('uncommitted changes are not part of what is verified')
  const scratch = mkdtempSync(join(tmpdir(), 'thimble-release-'))
  try {
    // Folders of different depth and length: a path that leaks into the package shows.
    const folders = ['a', 'another/and-deeper'].map((folder) => join(scratch, folder))
    const [one, two] = (await Promise.all(folders.map(release))) as [Release, Release]
    for (const [name, bytes] of one.modules) {
      const other = two.modules.get(name)
      if (!other || sum(other) !== sum(bytes)) {
        console.error(`not reproducible: ${name}`)
        return 1
      }
    }
    const unlike = difference(gunzipSync(one.tarball), gunzipSync(two.tarball))
    if (unlike) {
      console.error(`not reproducible: ${unlike}`)
      return 1
    }
    const lines = sums(one)
    process.stdout.write(lines)
    const commit = String(git('rev-parse', 'HEAD')).trim()
    if (process.argv.includes('--write')) {
      writeFileSync(join(root, SUMS), `# ${one.name}, built from ${commit}\n${lines}`)
    }
    console.error(`${one.name}: two builds, the same bytes`)
    return 0
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
}

process.exitCode = await main()
