/** Runs of the benchmark: each adds a file by processor, and docs/benchmarks.md says what the files say. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { intoPage, newest, processors, record, slugOf, writeTables } from '../bench/records.ts'
import type { Report } from '../bench/report.ts'
import { RESULTS } from '../bench/tables.ts'
import { root } from './util.ts'

const run = (name: string, features: string[], date: string, medianMs: number): Report => ({
  date: `${date}T10:00:00.000Z`,
  processor: { name, arch: 'x64', cores: 2, features },
  machine: name,
  versions: { node: ['26.10.0'] },
  networks: [
    {
      name: 'net',
      bytes: 1000,
      input: 'int8 1x8',
      reference: 'litert',
      peers: [
        { id: 'litert', name: 'LiteRT', where: 'native', arithmetic: 'int8', medianMs: 2 },
        {
          id: 'thimble',
          name: 'Thimble',
          where: 'Node 26.10.0',
          arithmetic: 'int8',
          medianMs,
          ratios: { litert: medianMs / 2 },
        },
      ],
    },
  ],
})

test('a run adds its file, the newest of every processor is shown, those with VNNI last', () => {
  const folder = mkdtempSync(join(tmpdir(), 'thimble-'))
  try {
    for (let i = 0; i < 11; i++) record(folder, run('Old', ['AVX2'], '2026-01-02', 1 + i))
    record(folder, run('Old', ['AVX2'], '2026-01-01', 100))
    record(folder, run('A new one', ['AVX2', 'AVX-512 VNNI'], '2026-01-01', 5))
    assert.is(readdirSync(join(folder, 'old-x64-avx2')).length, 12)
    const all = newest(folder)
    assert.equal(
      all.map(({ slug, report }) => [slug, report.networks[0]!.peers[1]!.medianMs]),
      [
        ['old-x64-avx2', 11],
        ['a-new-one-x64-avx-512-vnni', 5],
      ],
    )
    assert.match(
      processors(all),
      /\| Old \(AVX2, no VNNI\) \| net \| 2\.00 \| 11\.0 \(\*\*5\.50\*\*\) \| - \| 2026-01-02 \|/,
    )
    const section = writeTables(folder, 'results')
    assert.ok(section.includes('results/old-x64-avx2/latency.svg') && section.includes('### A new one'))
    assert.is(readdirSync(join(folder, 'old-x64-avx2')).length, 14)
    assert.is(newest(folder).length, 2)
  } finally {
    rmSync(folder, { recursive: true })
  }
})

test('a processor is called by its name and its best vectors', () => {
  assert.is(slugOf({ name: 'Raspberry Pi 5', arch: 'arm64', cores: 4, features: undefined }), 'raspberry-pi-5-arm64')
})

test('the page has what the recorded runs say', () => {
  const page = readFileSync(join(root, 'docs/benchmarks.md'), 'utf8')
  const all = newest(RESULTS)
  assert.ok(all.length >= 2)
  assert.ok(page.includes(processors(all)), 'npx tsx bench/tables.ts makes it anew')
  assert.is(intoPage('no markers', ''), undefined)
})

test.run()
