/** Chromium on this machine, through playwright-core; undefined where one of them is missing. */
import { existsSync } from 'node:fs'
import { peer } from './worker-host.ts'

export interface Page {
  goto(url: string): Promise<unknown>
  setInputFiles(selector: string, path: string): Promise<void>
  evaluate<R>(body: string): Promise<R>
  setViewportSize(size: { width: number; height: number }): Promise<void>
  on(event: 'pageerror', listener: (error: Error) => void): void
}
export interface Browser {
  newPage(): Promise<Page>
  close(): Promise<void>
}

interface Context {
  serviceWorkers(): Pick<Page, 'evaluate'>[]
  waitForEvent(event: 'serviceworker'): Promise<Pick<Page, 'evaluate'>>
  close(): Promise<void>
}

const playwright = peer<{
  chromium: {
    launch(options: unknown): Promise<Browser>
    launchPersistentContext(folder: string, options: unknown): Promise<Context>
  }
}>('playwright-core')
const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium'
const args = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

/** What is missing; undefined where Chromium starts. */
export const noChromium = !playwright
  ? 'playwright-core is not installed'
  : !existsSync(executablePath)
    ? 'Chromium is not installed'
    : undefined

/** Starts one with a camera that shows a test picture; `B` is what the caller does with it. */
export const launchWithCamera = <B>(): Promise<B> =>
  playwright!.chromium.launch({
    executablePath,
    args: [...args, '--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream'],
  }) as Promise<unknown> as Promise<B>

/** Starts one that asks the network for nothing of its own. */
export const launchChromium =
  playwright && existsSync(executablePath) ? () => playwright.chromium.launch({ executablePath, args }) : undefined

/** Starts one with the extension of a folder, and gives its service worker. */
export const launchExtension =
  playwright && existsSync(executablePath)
    ? async (folder: string): Promise<{ background: Pick<Page, 'evaluate'>; close: () => Promise<void> }> => {
        const context = await playwright.chromium.launchPersistentContext('', {
          executablePath,
          ignoreDefaultArgs: ['--disable-extensions'],
          args: [...args, `--disable-extensions-except=${folder}`, `--load-extension=${folder}`],
        })
        const [running] = context.serviceWorkers()
        const background = running ?? (await context.waitForEvent('serviceworker'))
        return { background, close: () => context.close() }
      }
    : undefined
