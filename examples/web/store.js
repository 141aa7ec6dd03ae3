/** The user's own models, kept by the browser from one visit to the next; where it keeps nothing, for this visit. */

const STORE = 'models'

let opened

function database() {
  opened ??= new Promise((resolve, reject) => {
    const request = indexedDB.open('thimble', 1)
    request.onupgradeneeded = () => request.result.createObjectStore(STORE, { keyPath: 'id', autoIncrement: true })
    request.onsuccess = () => resolve(request.result)
    request.onerror = () => reject(request.error)
  })
  return opened
}

/** The result of one request; undefined where there is no database (private windows). */
async function request(mode, ask) {
  try {
    const transaction = (await database()).transaction(STORE, mode)
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
