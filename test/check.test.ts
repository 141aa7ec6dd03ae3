/** What `npm run check` asks: one format, no lint, strict types over the whole repository. */
import { spawnSync } from 'node:child_process'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { root } from './util.ts'

for (const script of ['check:format', 'check:lint', 'check:types']) {
  test(`npm run ${script}`, () => {
    const { status, stdout, stderr } = spawnSync('npm', ['run', '--silent', script], { cwd: root, encoding: 'utf8' })
    assert.is(status, 0, `${stdout}${stderr}`.slice(-4000))
  })
}

test.run()
