/**
 * Vision at the edge: the HTTP application of `thimble serve`, with the same routes, errors and limits.
 *
 *   POST /classify, /detect, /faces, /pose, /segment   body: an image file; answers JSON, where a model for it is
 *   bundled POST /v1/vision/…                                  as DeepStack and CodeProject.AI have them
 *   /v2/…                                              Open Inference Protocol
 *   GET  /, /healthz, /metrics                         a page to drop a photo on, what is running, counters
 *
 * Models and runtime are compiled modules (`npm run model`, models.ts); a small one more decodes and resizes photos.
 */
import image from 'thimble/image.wasm'
import { answersOf, createApp, describeAll } from 'thimble/serve'
import { MODELS } from './models'
import page from './page.html'
import { SMALL_JPEG } from './warm-up'

const VERSION = '0.1.0'
/** What fits an isolate's 128 MB beside the models: one body, all bodies that are arriving, and a decoded photo. */
const LIMITS = { maxBytes: 10 * 1024 * 1024, maxHeldBytes: 24 * 1024 * 1024, maxRequests: 32, arriveMs: 15_000 }
const IMAGE_LIMITS = { maxPixels: 25_000_000, maxBytes: 64 * 1024 * 1024 }

const PAGE = {
  body: page,
  headers: {
    'content-type': 'text/html; charset=utf-8',
    'content-security-policy':
      "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src blob:; connect-src 'self'; base-uri 'none'; form-action 'none'",
  },
}

// Where a model of one of these names is bundled, it finds the people or hands that a landmark network looks at.
const finder = ['people', 'palms'].find((name) => name in MODELS)
const answers = answersOf({
  models: MODELS,
  image,
  imageLimits: IMAGE_LIMITS,
  decode: 'fast',
  ...(finder !== undefined && { finder }),
})
const models = await describeAll(answers, Object.keys(MODELS))

// Every model runs a few times while the Worker starts, so that it is compiled: no request pays for it.
const WARM_UPS = 4
for (const [model, { about }] of models) {
  if (about.task === 'run') continue
  for (let i = 0; i < WARM_UPS; i++) await answers.answer({ model, picture: SMALL_JPEG })
}

interface Env {
  /** `npx wrangler secret put API_KEY`: asked of every request then. */
  API_KEY?: string
}

const appOf = (apiKey?: string) =>
  createApp({
    answers,
    models,
    version: VERSION,
    limits: LIMITS,
    page: (path) => (path === 'index.html' ? PAGE : undefined),
    cors: true,
    ...(apiKey === undefined ? {} : { apiKey }),
  })
let app: ReturnType<typeof appOf> | undefined

export default {
  fetch(request: Request, env: Env): Promise<Response> {
    app ??= appOf(env.API_KEY)
    return app.fetch(request)
  },
}
