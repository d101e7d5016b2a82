/** C. Token: the exchange of a code (RFC 6749 §4.1.3), as the numbered cases say. */
import test from 'ava'
import { ClientSide, person, startWorld, Visitor } from '../_support.ts'

test('26. a JSON exchange gives a pair of tokens, recorded once', async (t) => {
  const { url, news } = await startWorld(t)
  const chatgpt = new ClientSide(url)
  const visitor = new Visitor(url)
  await visitor.signUp(person('alice'))
  const code = await chatgpt.codeFor(visitor)
  await news()
  const { status, json, headers } = await chatgpt.exchange(code)
  t.is(status, 200)
  t.deepEqual(Object.keys(json), ['access_token', 'token_type', 'expires_in', 'refresh_token', 'scope'])
  t.is(json.expires_in, 3600)
  t.is(headers.get('cache-control'), 'no-store')
  t.deepEqual(await news(), ['TokenIssued'])
  t.is((await chatgpt.api(json.access_token, 'GET', '/todos/me')).status, 200)
})
