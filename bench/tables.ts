/**
 * The tables of docs/benchmarks.md from what runs have left in results/by-processor: `npx tsx bench/tables.ts`.
 * A run of bench/run.ts that is kept does the same at its end.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { intoPage, writeTables } from './records.ts'

export const RESULTS = fileURLToPath(new URL('results/by-processor', import.meta.url))
const PAGE = fileURLToPath(new URL('../docs/benchmarks.md', import.meta.url))

/** Throws where the page has lost its markers. */
export function updatePage(): void {
  const changed = intoPage(readFileSync(PAGE, 'utf8'), writeTables(RESULTS, '../bench/results/by-processor'))
  if (changed === undefined) throw new Error('docs/benchmarks.md has no <!-- bench --> ... <!-- /bench -->')
  writeFileSync(PAGE, changed)
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) updatePage()
