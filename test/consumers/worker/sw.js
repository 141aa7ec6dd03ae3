import { answer } from '../answer.js'

const failed = (error) => `failed: ${error}`
addEventListener('install', () => skipWaiting())
addEventListener('activate', (event) => event.waitUntil(clients.claim()))
addEventListener('fetch', (event) => {
  if (!event.request.url.endsWith('/answer')) return
  event.respondWith(
    answer('')
      .catch(failed)
      .then((text) => new Response(text)),
  )
})
