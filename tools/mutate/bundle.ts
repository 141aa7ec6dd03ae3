/** Bundles of test files, in which the sources of a folder hold all of their mutants. */
import { readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { build } from 'esbuild'
import { type Mode, type Mutant, mutate } from './mutants.ts'

export const root = fileURLToPath(new URL('../..', import.meta.url))
export const BUILD = join(root, 'build/mutate')

export interface Sources {
  mutants: Mutant[]
  /** By absolute path, per mode. */
  code: Record<Mode, Map<string, string>>
}

/** All mutants of these files, which are relative to the root; numbered from 1 on. */
export function sourcesOf(files: readonly string[]): Sources {
  const out: Sources = { mutants: [], code: { run: new Map(), cover: new Map() } }
  for (const file of files) {
    const source = readFileSync(join(root, file), 'utf8')
    const first = out.mutants.length + 1
    for (const mode of ['run', 'cover'] as const) {
      const { mutants, code } = mutate(source, file, first, mode)
      out.code[mode].set(join(root, file), code)
      if (mode === 'run') out.mutants.push(...mutants)
    }
  }
  return out
}

export const scriptOf = (folder: string, test: string, mode: Mode): string =>
  join(BUILD, folder.replaceAll('/', '-'), mode, `${basename(test)}.js`)

const BANNER: Record<Mode, string> = {
  run: 'const __a = __w.active',
  cover: 'const __h = globalThis.mutantHits = new Uint8Array(__w.mutants + 1)',
}

/** One script of each test file. */
export async function bundleTests(
  folder: string,
  tests: readonly string[],
  sources: Sources,
  mode: Mode,
): Promise<void> {
  const shim = join(root, 'tools/mutate/uvu.ts')
  await build({
    entryPoints: tests.map((test) => ({ in: `run:${test}`, out: basename(test) })),
    outdir: join(BUILD, folder.replaceAll('/', '-'), mode),
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    logLevel: 'error',
    // The package says that its modules have no side effects; tests have little else.
    ignoreAnnotations: true,
    banner: { js: `import { workerData as __w } from 'node:worker_threads'\n${BANNER[mode]}` },
    plugins: [
      {
        name: 'mutants',
        setup(b) {
          b.onResolve({ filter: /^run:/ }, ({ path }) => ({ path: path.slice(4), namespace: 'run' }))
          b.onLoad({ filter: /.*/, namespace: 'run' }, ({ path }) => ({
            contents: `import ${JSON.stringify(join(root, path))}\nimport { finish } from 'uvu'\nawait finish()\n`,
            resolveDir: root,
            loader: 'ts',
          }))
          b.onResolve({ filter: /^uvu$/ }, () => ({ path: shim }))
          // Packages are taken as they are.
          b.onResolve({ filter: /^[^./]/ }, ({ path }) =>
            path.startsWith('run:') ? undefined : { path, external: true },
          )
          b.onLoad({ filter: /\.ts$/ }, ({ path }) => {
            const text = sources.code[mode].get(path) ?? readFileSync(path, 'utf8')
            return {
              contents: text.replaceAll('import.meta.url', JSON.stringify(pathToFileURL(path).href)),
              loader: 'ts',
            }
          })
        },
      },
    ],
  })
}
