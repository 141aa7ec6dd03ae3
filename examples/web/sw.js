/**
 * Keeps every file of the page and its first models, so that it works offline once loaded, and the other models that
 * were used. A new version replaces the old one as a whole; a model stays until its file changes.
 */
const VERSION = 'development'
const FILES = ['./']

const NAME = `thimble-${VERSION}`
const USED = 'thimble-models'

addEventListener('install', (event) => {
  // Straight from the server: the browser's own cache may hold files of the last version.
  event.waitUntil(
    caches
      .open(NAME)
      .then((cache) => cache.addAll(FILES.map((file) => new Request(file, { cache: 'reload' }))))
      .then(() => self.skipWaiting()),
  )
})

addEventListener('activate', (event) => {
  event.waitUntil(
    caches
      .keys()
      .then((names) =>
        Promise.all(
          names
            .filter((name) => name.startsWith('thimble-') && name !== NAME && name !== USED)
            .map((name) => caches.delete(name)),
        ),
      )
      .then(() => self.clients.claim()),
  )
})

/** A model that was asked for is kept; what was kept of another version of its file goes. */
async function keepUsed(request, response) {
  const cache = await caches.open(USED)
  await cache.delete(request, { ignoreSearch: true })
  await cache.put(request, response)
}

async function answer(event) {
  const { request } = event
  const kept =
    (await (await caches.open(NAME)).match(request, { ignoreSearch: request.mode === 'navigate' })) ??
    (await (await caches.open(USED)).match(request))
  if (kept) return kept
  const response = await fetch(request)
  if (response.ok && new URL(request.url).pathname.endsWith('.thimble')) {
    event.waitUntil(keepUsed(request, response.clone()).catch(() => {}))
  }
  return response
}

addEventListener('fetch', (event) => {
  const { request } = event
  if (request.method !== 'GET' || new URL(request.url).origin !== location.origin) return
  event.respondWith(answer(event))
})
