/** API keys: how many somebody may have. */
import test from 'ava'
import { issueKey } from '../../src/domain/keys.ts'
import { History, registered } from './_history.ts'

test('a user may have fifty keys; another’s do not count', (t) => {
  const history = new History().given(registered('u1', 'alice'), registered('u2', 'bob'))
  const issue = (n: number, user = 'u1') =>
    history.when(issueKey(history.state, { key: `k${n}`, user, digest: `d${n}`, label: 'x' })).refusal
  for (let n = 0; n < 50; n++) t.is(issue(n), undefined)
  t.is(issue(50), 'keys_too_many')
  t.is(issue(51, 'u2'), undefined)
  history.given({ type: 'KeyRevoked', data: { key: 'k7', user: 'u1' } })
  t.is(issue(52), undefined)
})
