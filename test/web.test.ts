/** examples/web in real Chromium: photos, models and labels from the user, errors in words, camera, offline. */
import { existsSync, readFileSync } from 'node:fs'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { serve, webSite } from '../tools/web.ts'
import { makePng } from './image-files.ts'
import { need, root, shared, skip } from './util.ts'
import { launchWithCamera, noChromium } from './chromium.ts'

/** The part of playwright-core that is used here. */
interface Page {
  goto(url: string): Promise<unknown>
  reload(): Promise<unknown>
  click(selector: string): Promise<void>
  textContent(selector: string): Promise<string | null>
  waitForSelector(selector: string, options?: { timeout: number }): Promise<unknown>
  setInputFiles(selector: string, file: { name: string; mimeType: string; buffer: Buffer }): Promise<void>
  evaluate<R>(body: string): Promise<R>
  on(
    event: 'pageerror' | 'console',
    listener: (what: { message?: string; text?(): string; type?(): string }) => void,
  ): void
  setViewportSize(size: { width: number; height: number }): Promise<void>
}
interface Context {
  newPage(): Promise<Page>
  setOffline(offline: boolean): Promise<void>
  close(): Promise<void>
}
interface Browser {
  version(): string
  newContext(options: unknown): Promise<Context>
  close(): Promise<void>
}

const missing = noChromium ?? (existsSync(join(root, 'dist/browser.js')) ? undefined : 'dist/ is not built')
const LIMIT = { timeout: 30_000 }

const test = suite('web')

if (missing) skip('web', missing)
else {
  let server: Server
  let browser: Browser
  let context: Context
  let page: Page
  const problems: string[] = []
  const top = (): Promise<string | null> => page.textContent('#predictions li .label')
  /** Waits until an expression is true in the page, asked from outside: the page's own policy forbids eval. */
  const until = async (expression: string): Promise<void> => {
    const end = Date.now() + LIMIT.timeout
    while (!(await page.evaluate<unknown>(expression))) {
      if (Date.now() > end) {
        throw new Error(`never true: ${expression}; problem shown: ${await page.textContent('#problem')}`)
      }
      await new Promise((resolve) => setTimeout(resolve, 30))
    }
  }
  const topIs = (label: string): Promise<void> =>
    until(`/${label}/i.test(document.querySelector('#predictions li .label')?.textContent ?? '')`)
  const problem = async (): Promise<string> => {
    await page.waitForSelector('#problem:not([hidden])', LIMIT)
    return (await page.textContent('#problem'))!
  }
  const give = (input: string, name: string, bytes: Uint8Array | string): Promise<void> =>
    page.setInputFiles(input, { name, mimeType: '', buffer: Buffer.from(bytes) })
  /** How many pixels of the overlay are drawn on. */
  const drawn = (): Promise<number> =>
    page.evaluate(
      '(() => { const c = document.querySelector("#overlay"); const d = c.getContext("2d").getImageData(0, 0, c.width, c.height).data; let n = 0; for (let i = 3; i < d.length; i += 4) n += d[i] > 0; return n })()',
    )
  /** Chooses a tab and waits until the photo on show was looked at. */
  const tab = async (id: string): Promise<void> => {
    await page.click(`#tab-${id}`)
    await ready()
    await until('!document.querySelector("#predictions").classList.contains("waiting")')
  }
  const ready = (): Promise<void> =>
    until('document.documentElement.dataset.ready && document.querySelector("#progress").classList.contains("done")')

  test.before(async () => {
    server = await serve(webSite(), 0)
    browser = await launchWithCamera<Browser>()
    context = await browser.newContext({ permissions: ['camera'], viewport: { width: 1280, height: 860 } })
    page = await context.newPage()
    page.on('pageerror', ({ message }) => problems.push(message!))
    page.on('console', (line) => {
      if (line.type!() === 'error') problems.push(line.text!())
    })
    await page.goto(`http://localhost:${(server.address() as AddressInfo).port}/`)
    await ready()
  })
  test.after(async () => {
    await browser.close()
    server.close()
  })

  test('says which variant runs and why', async () => {
    const facts = (await page.textContent('#facts'))!
    assert.match(facts, /runs as(simd|relaxed): \w+/)
    assert.match(facts, /224 × 224/)
  })

  test('a chosen photo gets a label, with bars and milliseconds', async () => {
    await give('#file', 'cat.jpg', readFileSync(join(root, 'weights/samples/cat.jpg')))
    await topIs('cat|tabby')
    await page.click('[data-photo="samples/coffee.jpg"]')
    await topIs('espresso')
    assert.match((await page.textContent('#predictions li .share'))!, /^\d+ %$/)
    assert.ok(Number(await page.textContent('#infer')) > 0)
    assert.is(await page.evaluate('document.querySelectorAll("#predictions li").length'), 5)
  })

  test('a pasted and a dropped photo', async () => {
    const send = async (event: string, bytes: Uint8Array, name: string): Promise<void> => {
      await page.evaluate(`(() => {
        const data = new DataTransfer()
        data.items.add(new File([Uint8Array.from(atob('${Buffer.from(bytes).toString('base64')}'), (c) => c.charCodeAt(0))], '${name}', { type: 'image/jpeg' }))
        document.body.dispatchEvent('${event}' === 'paste' ? new ClipboardEvent('paste', { clipboardData: data, bubbles: true }) : new DragEvent('drop', { dataTransfer: data, bubbles: true, cancelable: true }))
      })()`)
    }
    await send('drop', readFileSync(join(root, 'weights/samples/cat.jpg')), 'dropped.jpg')
    await topIs('cat|tabby')
    await send('paste', readFileSync(join(root, 'weights/samples/coffee.jpg')), 'pasted.jpg')
    await topIs('espresso')
  })

  test('a bad file gets a sentence, and the page goes on', async () => {
    await give('#file', 'broken.jpg', 'this is no picture')
    assert.match(await problem(), /can't read “broken\.jpg” as a picture; use a JPEG, PNG or WebP file\.$/)
    await give('#model-file', 'broken.tflite', 'this is no model')
    await until('document.querySelector("#problem").textContent.includes("broken.tflite")')
    const text = await problem()
    assert.match(text, /^“broken\.tflite” can't be used: /)
    assert.not.match(text, /undefined|\[object|format\//)
    await give('#labels-file', 'two.txt', 'one\ntwo\n')
    await until('document.querySelector("#problem").textContent.includes("two.txt")')
    assert.match(await problem(), /expected 1000 labels, got 2/)
    await give(
      '#file',
      'cat.png',
      makePng(64, 48, (x, y) => (x * y) & 255, { type: 2, depth: 8 }),
    )
    await until('document.querySelector("#problem").hidden')
    assert.ok((await top())!.length > 1)
  })

  need(
    test,
    'a model and labels of the user',
    { resource: shared('models/mobilenet_v1_0.25_128_quant.tflite'), missing: '../shared/models is missing' },
    async (path) => {
      await give('#model-file', 'mine.tflite', readFileSync(path))
      await until('document.querySelector("#facts").textContent.includes("128 × 128")')
      await give('#labels-file', 'names.txt', Array.from({ length: 1001 }, (_, i) => `thing ${i}`).join('\n'))
      await until('document.querySelector("#facts").textContent.includes("names from names.txt")')
      await page.click('[data-photo="samples/coffee.jpg"]')
      await topIs('^thing \\d+$')
      await page.evaluate(
        '(() => { const m = document.querySelector("#models"); m.selectedIndex = 0; m.onchange() })()',
      )
      await topIs('espresso')
    },
  )

  test('every task finds what is on the photo, and draws it there', async () => {
    await page.click('[data-photo="samples/astronaut.jpg"]')
    for (const [id, found] of [
      ['detect', '^person'],
      ['faces', 'female|male'],
      ['pose', '33 points'],
      ['segment', 'person|background'],
    ] as const) {
      await tab(id)
      await topIs(found)
      assert.ok((await drawn()) > 1000, id)
      assert.is(await page.evaluate('location.hash'), `#${id}`)
    }
    // What is drawn lies on the photo: the box of a face is small and above the middle.
    await tab('faces')
    const rows = await page.evaluate<number[]>(
      '(() => { const c = document.querySelector("#overlay"); const d = c.getContext("2d").getImageData(0, 0, c.width, c.height).data; const ys = []; for (let i = 3; i < d.length; i += 4) if (d[i]) ys.push(Math.floor(i / 4 / c.width) / c.height); return [Math.min(...ys.filter((_, i) => i % 50 === 0)), Math.max(...ys.filter((_, i) => i % 50 === 0))] })()',
    )
    assert.ok(rows[0]! > 0.08 && rows[1]! < 0.6, JSON.stringify(rows))
    await tab('classify')
    assert.is(await drawn(), 0)
  })

  test('tabs by keyboard and by address', async () => {
    const key = (name: string): Promise<void> =>
      page.evaluate(
        `document.activeElement.dispatchEvent(new KeyboardEvent('keydown', { key: '${name}', bubbles: true }))`,
      )
    await page.evaluate('document.querySelector("#tab-classify").focus()')
    await key('ArrowRight')
    await until('document.activeElement.id === "tab-detect" && location.hash === "#detect"')
    await key('End')
    await until('document.querySelector("#tabs").lastElementChild.getAttribute("aria-selected") === "true"')
    await page.evaluate('location.hash = "#classify"')
    await until('document.querySelector("#tab-classify").getAttribute("aria-selected") === "true"')
    await ready()
  })

  test('another file can register a tab with a panel of its own', async () => {
    await page.evaluate(`(async () => {
      const { registerTab } = await import('/tabs.js')
      const panel = document.createElement('section')
      panel.id = 'mine'
      panel.textContent = 'mine'
      registerTab({ id: 'mine-tab', title: 'Mine', hint: 'a hint', panel, enter() { window.entered = true }, leave() { window.left = true },
        look: async ({ file, frame }) => { frame?.close(); return { width: 4, height: 3, decodeMs: 1, preprocessMs: 1, inferMs: 1 } },
        show(answer) { window.shownMine = answer.width } })
    })()`)
    await page.click('#tab-mine-tab')
    await until('window.entered && window.shownMine === 4')
    assert.equal(await page.evaluate('["results", "model", "mine"].map((id) => document.getElementById(id).hidden)'), [
      true,
      true,
      false,
    ])
    await tab('classify')
    assert.ok(await page.evaluate('window.left && !document.querySelector("#results").hidden'))
  })

  test('models of the user stay, each under its task, until they are forgotten', async () => {
    const names = (): Promise<string[]> =>
      page.evaluate('[...document.querySelectorAll("#models optgroup option")].map((o) => o.textContent)')
    const own = (name: string): Buffer => readFileSync(join(root, `weights/${name}.thimble`))
    await give('#model-file', 'my faces.thimble', own('blazeface_short_128'))
    await until('location.hash === "#detect"')
    await ready()
    assert.equal(await names(), ['my faces.thimble'])
    await give('#model-file', 'my cut.thimble', own('selfie_segmentation_256'))
    await until('location.hash === "#segment"')
    await ready()
    await page.reload()
    await ready()
    assert.equal(await names(), ['my cut.thimble'])
    assert.is(await page.evaluate('document.querySelector("#models").selectedOptions[0].textContent'), 'my cut.thimble')
    await page.click('#tab-detect')
    await ready()
    assert.equal(await names(), ['my faces.thimble'])
    for (const id of ['detect', 'segment']) {
      await page.click(`#tab-${id}`)
      await ready()
      await page.click('#forget')
      await until('document.querySelector("#forget").hidden')
      await ready()
    }
    await page.reload()
    await ready()
    assert.equal(await names(), [])
    await page.click('#tab-classify')
    await ready()
  })

  test('camera: live predictions, frames per second', async () => {
    await page.click('#camera')
    await until('Number(document.querySelector("#fps").textContent) > 0')
    // The page's own thread stays free: a timer of 50 ms comes on time while the worker infers.
    const late = await page.evaluate<number>(
      '(async () => { let worst = 0; for (let i = 0; i < 20; i++) { const t = performance.now(); await new Promise((r) => setTimeout(r, 50)); worst = Math.max(worst, performance.now() - t - 50) } return worst })()',
    )
    console.log(
      `camera: ${await page.textContent('#fps')} frames a second, inference ${await page.textContent('#infer')} ms, the page's timers at most ${late.toFixed(0)} ms late`,
    )
    // Another tab while it runs: its model is loaded, and the frames go to it.
    for (const id of ['detect', 'segment', 'classify']) {
      await page.click(`#tab-${id}`)
      await ready()
      await until('!document.querySelector("#predictions").classList.contains("waiting")')
      assert.is(await page.textContent('#camera'), 'Stop camera')
    }
    await page.click('#camera')
    assert.is(await page.textContent('#camera'), 'Start camera')
  })

  test('on a phone nothing is wider than the screen', async () => {
    await page.setViewportSize({ width: 360, height: 740 })
    assert.ok((await page.evaluate<number>('document.documentElement.scrollWidth')) <= 360)
    await page.setViewportSize({ width: 1280, height: 860 })
  })

  test('every control has a name', async () => {
    const nameless = await page.evaluate<string[]>(
      '[...document.querySelectorAll("button, input, select, [role=img]")].filter((e) => !(e.ariaLabel || e.textContent.trim() || e.labels?.[0]?.textContent.trim() || e.querySelector("img[alt]:not([alt=\'\'])"))).map((e) => e.outerHTML.slice(0, 80))',
    )
    assert.equal(nameless, [])
  })

  test('works offline once loaded', async () => {
    await page.waitForSelector('#offline:not([hidden])', LIMIT)
    await until('navigator.serviceWorker.controller')
    await context.setOffline(true)
    await page.evaluate('delete document.documentElement.dataset.ready')
    await page.reload()
    await ready()
    await page.click('[data-photo="samples/cat.jpg"]')
    await topIs('cat|tabby')
    await context.setOffline(false)
  })

  test('no error in the console', () => {
    assert.equal(problems, [])
  })

  test('what a visitor downloads', () => {
    const site = webSite()
    const files = site.paths.map((path) => [path, site.get(path)!] as const)
    const sum = (filter: (path: string) => boolean, size: (bytes: Uint8Array) => number): number =>
      files.filter(([path]) => filter(path)).reduce((n, [, bytes]) => n + size(bytes), 0)
    const gz = (bytes: Uint8Array): number => gzipSync(bytes, { level: 9 }).length
    for (const [name, filter] of [
      ['page', (path: string) => !/^(thimble|models|samples)\//.test(path)],
      ['runtime, not minified', (path: string) => path.startsWith('thimble/')],
      ['first model', (path: string) => path === 'models/mobilenet_v2_1.0_224.thimble'],
    ] as const) {
      console.log(`${name}: ${sum(filter, (b) => b.length)} bytes, ${sum(filter, gz)} gzip`)
    }
    assert.not.ok(files.some(([path]) => /image\/(png|jpeg|bmp|pnm|decode)|fflate|cli|convert|quantize/.test(path)))
  })
}

if (!missing) test.run()
