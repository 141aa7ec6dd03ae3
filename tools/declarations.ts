/**
 * Declarations of the public surface: tsc writes one file a module, kept are those that the entry points' types name.
 * Imports end in `.js`, which every resolution of TypeScript reads.
 */
import { mkdirSync, readdirSync, readFileSync, rmdirSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'

const SPECIFIER = /(\bfrom |\bimport\()(['"])(\.[^'"]+)\.ts\2/g

/**
 * Deletes the declarations below `dist` that no entry point reaches, and writes the others again below `dist/cjs`, as those
 * of CommonJS modules: TypeScript lets `require` see no others.
 */
export function pruneDeclarations(dist: string, entries: readonly string[]): void {
  const kept = new Set<string>()
  const keep = (path: string): void => {
    if (kept.has(path)) return
    kept.add(path)
    const text = readFileSync(path, 'utf8')
    for (const [, , , name] of text.matchAll(SPECIFIER)) keep(resolve(dirname(path), `${name}.d.ts`))
    writeFileSync(path, text.replace(SPECIFIER, '$1$2$3.js$2'))
  }
  for (const entry of entries) keep(join(dist, `${entry}.d.ts`))
  const visit = (folder: string): void => {
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      const path = join(folder, entry.name)
      if (entry.isDirectory()) visit(path)
      else if (entry.name.endsWith('.d.ts') && !kept.has(path)) rmSync(path)
    }
    if (readdirSync(folder).length === 0) rmdirSync(folder)
  }
  visit(dist)
  for (const path of kept) {
    const twin = join(dist, 'cjs', relative(dist, path))
    mkdirSync(dirname(twin), { recursive: true })
    writeFileSync(twin, readFileSync(path))
  }
  writeFileSync(join(dist, 'cjs/package.json'), '{ "type": "commonjs" }\n')
}
