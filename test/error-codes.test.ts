/** docs/errors.md names every error code that the sources throw, and no other. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { ERROR_CODES } from '../tools/docs/error-codes.ts'
import { errorsPage } from '../tools/docs/errors.ts'
import { root } from './util.ts'

const CODE = /['"`]((?:format|lower|plan|image|runtime|usage)\/[a-z0-9-]+)['"`]/g

function codesThrown(): Set<string> {
  const codes = new Set<string>()
  for (const entry of readdirSync(join(root, 'src'), { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || !entry.name.endsWith('.ts') || entry.parentPath.includes('generated')) continue
    // The MIME types of pictures look like codes.
    for (const [, code] of readFileSync(join(entry.parentPath, entry.name), 'utf8').matchAll(CODE)) {
      if (!/^image\/(png|jpeg|bmp|gif|webp|svg)/.test(code!)) codes.add(code!)
    }
  }
  return codes
}

test('every code has its cause and cure', () => {
  const thrown = codesThrown()
  assert.equal(
    [...thrown].filter((c) => !ERROR_CODES[c]),
    [],
    'thrown, not explained',
  )
  assert.equal(
    Object.keys(ERROR_CODES).filter((c) => !thrown.has(c)),
    [],
    'explained, never thrown',
  )
})

test('docs/errors.md is up to date (tsx tools/docs/errors.ts)', () => {
  assert.is(readFileSync(join(root, 'docs/errors.md'), 'utf8'), errorsPage())
})

test.run()
