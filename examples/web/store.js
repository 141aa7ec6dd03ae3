/**
 * The user's own models, and what was taught, kept by the browser from one visit to the next; where it keeps nothing,
 * for this visit.
 */

const STORE = 'models'
/** Databases: of models, and of what was taught. Apart, so that neither waits for the other's newer version. */
const MODELS = 'thimble'
const TAUGHT = 'thimble-taught'

const opened = new Map()

function database(name) {
  if (!opened.has(name)) {
    opened.set(
      name,
      new Promise((resolve, reject) => {
        const request = indexedDB.open(name, 1)
        request.onupgradeneeded = () => request.result.createObjectStore(STORE, { keyPath: 'id', autoIncrement: true })
        request.onsuccess = () => resolve(request.result)
        request.onerror = () => reject(request.error)
      }),
    )
  }
  return opened.get(name)
}

/** The result of one request; undefined where there is no database (private windows). */
async function request(mode, ask, name = MODELS) {
  try {
    const transaction = (await database(name)).transaction(STORE, mode)
    const asked = ask(transaction.objectStore(STORE))
    return await new Promise((resolve, reject) => {
      transaction.oncomplete = () => resolve(asked.result)
      transaction.onerror = transaction.onabort = () => reject(transaction.error)
    })
  } catch {
    return undefined
  }
}

/** Records `{ id, name, task, bytes: Blob, labels?: { name, bytes: Blob } }`, in the order in which they came. */
export const ownModels = async () => (await request('readonly', (store) => store.getAll())) ?? []

/** Keeps one, in place of one with the same id; its id, or undefined where nothing can be kept. */
export const keepModel = (record) => request('readwrite', (store) => store.put(record))

export const forgetModel = (id) => request('readwrite', (store) => store.delete(id))

const THE_ONE = 1

/** The learned model of the visit before, a Blob, or undefined. */
export const taughtModel = async () => (await request('readonly', (store) => store.get(THE_ONE), TAUGHT))?.bytes

/** Keeps a Blob in place of the one before; undefined forgets it. */
export const keepTaught = (bytes) =>
  request('readwrite', (store) => (bytes ? store.put({ id: THE_ONE, bytes }) : store.delete(THE_ONE)), TAUGHT)
