/** The page's tab "Teach" in real Chromium with a fake camera: hold, see it learn, download, go on offline. */
import { existsSync, readFileSync } from 'node:fs'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { createClassifier, loadModel } from '../src/node.ts'
import { serve, webSite } from '../tools/web.ts'
import { root, skip } from './util.ts'
import { launchWithCamera, noChromium } from './chromium.ts'

/** The part of playwright-core that is used here. */
interface Page {
  goto(url: string): Promise<unknown>
  reload(): Promise<unknown>
  click(selector: string): Promise<void>
  textContent(selector: string): Promise<string | null>
  setInputFiles(selector: string, files: { name: string; mimeType: string; buffer: Buffer }[]): Promise<void>
  evaluate<R>(body: string): Promise<R>
  on(event: 'pageerror', listener: (what: Error) => void): void
  mouse: { down(): Promise<void>; up(): Promise<void> }
  hover(selector: string): Promise<void>
}
interface Context {
  newPage(): Promise<Page>
  setOffline(offline: boolean): Promise<void>
}
interface Browser {
  newContext(options: unknown): Promise<Context>
  close(): Promise<void>
}

const missing = noChromium ?? (existsSync(join(root, 'dist/vision.js')) ? undefined : 'dist/ is not built')
const LIMIT_MS = 60_000
const sample = (name: string): Buffer => readFileSync(join(root, `weights/samples/${name}.jpg`))

const test = suite('web-teach')

if (missing) skip('the tab Teach', missing)
else {
  let server: Server
  let browser: Browser
  let context: Context
  let page: Page
  let saved: Buffer
  const problems: string[] = []
  const until = async (expression: string): Promise<void> => {
    const end = Date.now() + LIMIT_MS
    while (!(await page.evaluate<unknown>(expression))) {
      if (Date.now() > end) {
        const shown = await page.textContent('#problem')
        throw new Error(`never true: ${expression}; problem shown: ${shown}; ${await page.textContent('#teach')}`)
      }
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }
  const row = (n: number): string => `#teach-classes li:nth-child(${n})`
  const count = (n: number): string =>
    `Number(/\\((\\d+)\\)/.exec(document.querySelector('${row(n)} .teach-hold').textContent)?.[1] ?? 0)`
  const best = (n: number): Promise<void> => until(`document.querySelector('${row(n)}').classList.contains('best')`)
  const files = (names: string[]): { name: string; mimeType: string; buffer: Buffer }[] =>
    names.map((name) => ({ name: `${name}.jpg`, mimeType: 'image/jpeg', buffer: sample(name) }))

  test.before(async () => {
    server = await serve(webSite(), 0)
    browser = await launchWithCamera<Browser>()
    context = await browser.newContext({ permissions: ['camera'], viewport: { width: 1280, height: 900 } })
    page = await context.newPage()
    page.on('pageerror', ({ message }) => problems.push(message))
    await page.goto(`http://localhost:${(server.address() as AddressInfo).port}/#teach`)
    await until("document.querySelector('#tab-teach')?.getAttribute('aria-selected') === 'true'")
  })
  test.after(async () => {
    await browser.close()
    server.close()
  })

  test('a thing is learned while its button is held, the page stays free', async () => {
    await page.hover(`${row(1)} .teach-hold`)
    await page.mouse.down()
    await until(`${count(1)} >= 4`)
    const late = await page.evaluate<number>(
      '(async () => { let worst = 0; for (let i = 0; i < 10; i++) { const t = performance.now(); await new Promise((r) => setTimeout(r, 50)); worst = Math.max(worst, performance.now() - t - 50) } return worst })()',
    )
    await page.mouse.up()
    console.log(`teaching: the page's timers at most ${late.toFixed(0)} ms late`)
    assert.is(await page.textContent('#camera'), 'Stop camera')
    const after = await page.evaluate<number>(count(1))
    await new Promise((resolve) => setTimeout(resolve, 400))
    // Nothing is learned any more once it is let go, but for the frame under way.
    assert.ok((await page.evaluate<number>(count(1))) <= after + 1)
  })

  test('with a second class the camera is named live, and what is neither is unknown', async () => {
    await page.setInputFiles(`${row(2)} input[type=file]`, files(['coffee', 'coffee', 'coffee']))
    await until("document.querySelector('#teach').dataset.trained === 'true'")
    await until(`${count(2)} === 3`)
    await best(1)
    assert.match((await page.textContent('#teach-status'))!, /pictures learned in \d+ ms/)
    await page.setInputFiles('#file', files(['coffee']))
    await best(2)
    await page.setInputFiles('#file', files(['astronaut']))
    await best(3)
    assert.is(await page.textContent('#caption'), 'unknown')
  })

  test('the downloaded model says the same in Node', async () => {
    await page.evaluate(
      '(() => { const make = URL.createObjectURL; URL.createObjectURL = (blob) => { window.saved = blob; return make(blob) } })()',
    )
    await page.click('#teach-save')
    await until('window.saved')
    const text = await page.evaluate<string>(
      '(async () => { const b = new Uint8Array(await window.saved.arrayBuffer()); let s = ""; for (let i = 0; i < b.length; i += 32768) s += String.fromCharCode(...b.subarray(i, i + 32768)); return btoa(s) })()',
    )
    saved = Buffer.from(text, 'base64')
    const classifier = await createClassifier(await loadModel(saved))
    assert.equal(classifier.labels, ['thing 1', 'thing 2', 'unknown'])
    assert.is(classifier.classify(sample('coffee'))[0]!.label, 'thing 2')
    assert.is(classifier.classify(sample('astronaut'))[0]!.label, 'unknown')
    classifier.dispose()
  })

  test('after a reload, offline, it goes on where it was', async () => {
    await until('navigator.serviceWorker.controller && !document.querySelector("#offline").hidden')
    const taught = await page.evaluate<number>(count(1))
    await context.setOffline(true)
    await page.reload()
    await until("document.querySelector('#teach')?.dataset.trained === 'true'")
    assert.equal(
      await page.evaluate<string[]>("[...document.querySelectorAll('.teach-name')].map((input) => input.value)"),
      ['thing 1', 'thing 2', 'none of these'],
    )
    assert.is(await page.evaluate<number>(count(1)), taught)
    await page.setInputFiles('#file', files(['coffee']))
    await best(2)
  })

  test('what was forgotten stays forgotten', async () => {
    for (const left of [2, 1]) {
      await page.click(`${row(1)} .teach-remove`)
      await until(`document.querySelectorAll('#teach-classes li').length === ${left}`)
    }
    await until(`(async () => !(await (await import('./store.js')).taughtModel()))()`)
    await page.reload()
    await until("document.querySelector('#teach')?.dataset.trained === 'false'")
    await until("document.querySelectorAll('#teach-classes li').length === 3")
  })

  test('it goes on with a file of before, and forgets a class', async () => {
    await page.setInputFiles('#teach-open', [{ name: 'mine.thimble', mimeType: '', buffer: saved }])
    await until("document.querySelector('#teach').dataset.trained === 'true'")
    await page.setInputFiles('#file', files(['coffee']))
    await until("document.querySelector('#teach-classes li.best .teach-name')?.value === 'thing 2'")
    await page.click('#teach-more')
    await page.setInputFiles(`${row(3)} input[type=file]`, files(['cat', 'cat']))
    await until(`${count(3)} === 2`)
    await page.click(`${row(1)} .teach-remove`)
    await until("document.querySelectorAll('#teach-classes li').length === 3")
    await page.setInputFiles('#file', files(['cat']))
    await best(2)
    await context.setOffline(false)
  })

  test('no error on the page', () => {
    assert.equal(problems, [])
  })
}

if (!missing) test.run()
