/**
 * What the page can look for, a tab each. Any module registers its own, before the page starts or after:
 *
 *   registerTab({
 *     id, title,                 the tab's name in addresses (#id), and in words
 *     hint,                      one line under the tabs
 *     panel,                     optional: an element that takes the place of the answers and the model card
 *     enter(), leave(),          optional: the tab is chosen, another is; enter may give a promise
 *     look({ file | frame }),    the answer to a File, or to an ImageBitmap which it closes: a promise of
 *                                { width, height, decodeMs, preprocessMs, inferMs } and whatever `show` wants
 *     show(answer, live),        shows it; `live`: a frame of the camera. Boxes, points and masks: overlay.js
 *   })
 */
import { $ } from './dom.js'

const tabs = []
let chosen
let changed = () => {}

/** The tab that is chosen; undefined before the first. */
export const currentTab = () => chosen

const button = ({ id }) => $(`tab-${id}`)
const tabOf = (id) => tabs.find((tab) => tab.id === id)

export function registerTab(tab) {
  tabs.push(tab)
  const element = document.createElement('button')
  Object.assign(element, { id: `tab-${tab.id}`, type: 'button', textContent: tab.title, tabIndex: -1 })
  element.setAttribute('role', 'tab')
  element.setAttribute('aria-controls', 'work')
  element.setAttribute('aria-selected', 'false')
  element.onclick = () => chooseTab(tab.id)
  $('tabs').append(element)
  if (tab.panel) {
    tab.panel.hidden = true
    tab.panel.classList.add('panel')
    $('work').append(tab.panel)
  }
  // The address named it before it was there.
  if (chosen && location.hash.slice(1) === tab.id) void chooseTab(tab.id)
}

/** Chooses a tab; where there is none of this name, the first. */
export async function chooseTab(id) {
  const next = tabOf(id) ?? tabs[0]
  if (!next || next === chosen) return
  chosen?.leave?.()
  chosen = next
  for (const tab of tabs) {
    const on = tab === next
    button(tab).setAttribute('aria-selected', String(on))
    button(tab).tabIndex = on ? 0 : -1
    if (tab.panel) tab.panel.hidden = !on
  }
  $('work').setAttribute('aria-labelledby', `tab-${next.id}`)
  $('hint').textContent = next.hint ?? ''
  for (const card of ['results', 'model']) $(card).hidden = next.panel !== undefined
  button(next).scrollIntoView({ block: 'nearest', inline: 'center' })
  if (location.hash.slice(1) !== next.id) history.replaceState(null, '', `#${next.id}`)
  await next.enter?.()
  if (chosen === next) await changed()
}

/** Starts with the tab of the address; `onChange` is called when another is chosen and ready. */
export function startTabs(onChange) {
  changed = onChange
  return chooseTab(location.hash.slice(1))
}

const STEPS = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }

$('tabs').onkeydown = (event) => {
  const at = tabs.indexOf(chosen)
  const to =
    event.key === 'Home'
      ? 0
      : event.key === 'End'
        ? tabs.length - 1
        : event.key in STEPS
          ? (at + STEPS[event.key] + tabs.length) % tabs.length
          : -1
  if (to < 0) return
  event.preventDefault()
  button(tabs[to]).focus()
  void chooseTab(tabs[to].id)
}
addEventListener('hashchange', () => void chooseTab(location.hash.slice(1)))
