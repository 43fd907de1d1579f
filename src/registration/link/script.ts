/**
 * The script of the page behind a mailed link. It is the same for every language and link: the words stand in the page,
 * the token in the part of the address after `#`. The token is sent in a request body and nowhere else.
 */
export const linkScript = `'use strict'
const token = location.hash.slice(1)
history.replaceState(null, '', location.pathname)
// If somebody opens the link of another mail in this tab, only the part after # changes, so the page reloads.
addEventListener('hashchange', () => location.reload())

const part = (id) => document.getElementById(id)
const messages = new Map(Array.from(document.querySelectorAll('#messages li'), (item) => [item.dataset.code, item.textContent]))
const say = (code) => { part('status').textContent = messages.get(code) ?? messages.get('failed') }

const ask = async (path, content) => {
  const body = JSON.stringify(content)
  const headers = { 'Content-Type': 'application/json' }
  try {
    const response = await fetch(location.pathname + path, { method: 'POST', headers, body })
    const answer = await response.json()
    return { code: response.ok ? null : answer.code, answer }
  } catch {
    return { code: 'unreachable', answer: null }
  }
}

const finish = (code) => {
  part('request').hidden = true
  say(code)
  part('status').focus()
}

const tryAgain = (code) => {
  say(code)
  part('code').setAttribute('aria-invalid', String(code === 'code_wrong'))
  part('code').focus()
}

const final = new Set(['registration_ended', 'registration_completed', 'token_wrong'])
const settle = (code, done) => {
  if (code === null) finish(done)
  else if (final.has(code)) finish(code)
  else tryAgain(code)
}

let busy = false
const once = async (path, content, done) => {
  if (busy) return
  busy = true
  say('loading')
  const { code } = await ask(path, content)
  busy = false
  settle(code, done)
}

part('request').addEventListener('submit', (event) => {
  event.preventDefault()
  once('', { token, userCode: part('code').value }, 'confirmed')
})
part('refuse').addEventListener('click', () => once('/refusal', { token }, 'refused'))

const show = ({ deviceType, appVersion, osVersion, startedAt }) => {
  const when = { day: 'numeric', month: 'long', year: 'numeric', hour: '2-digit', minute: '2-digit', timeZoneName: 'short' }
  part('device-type').textContent = deviceType
  part('app-version').textContent = appVersion
  part('os-version').textContent = osVersion
  part('started-at').textContent = new Date(startedAt).toLocaleString(document.documentElement.lang, when)
  part('status').textContent = ''
  part('request').hidden = false
}

const begin = async () => {
  if (token === '') return say('token_missing')
  say('loading')
  const { code, answer } = await ask('/facts', { token })
  if (code === null) show(answer)
  else say(code)
}
begin()
`
