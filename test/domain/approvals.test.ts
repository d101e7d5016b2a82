/** Approvals: whom a user has let in before is let in again without a question, for a while, and only just so. */
import test from 'ava'
import { withdrawApproval } from '../../src/domain/approvals.ts'
import { type Asked, denyConsent, grantAgain, grantConsent, isRemembered } from '../../src/domain/consents.ts'
import type { Event } from '../../src/domain/domain.ts'
import {
  CALLBACK,
  chatgpt,
  codeIssued,
  consentRequested,
  DAY,
  History,
  keysOf,
  MINUTE,
  NOON,
  registered,
  signedIn,
} from './_history.ts'

const TWIN = 'https://chatgpt.com/aip/g-1/oauth/callback'
const ASKED: Asked = {
  client: 'chatgpt',
  redirectUri: CALLBACK,
  scope: 'todos:read todos:write',
  challenge: null,
  resource: null,
}
const allowed = (uri: string): Event => ({
  type: 'RedirectUriAllowed',
  data: { client: 'chatgpt', uri, from: 'operator' },
})

/** alice has let ChatGPT in, for 90 days. */
function approved(scope = ASKED.scope): History {
  const history = new History().given(
    ...chatgpt,
    allowed(TWIN),
    registered('alice'),
    registered('bob'),
    signedIn('alice', 's1'),
    signedIn('bob', 's2'),
    consentRequested('alice', 's1', 'r1', { scope }),
  )
  history.when(grantConsent(history.state, { ...ANSWER, request: 'r1' }, NOON))
  return history
}
const ANSWER = { session: 's1', grant: 'g1', code: 'c1', codeTtlMs: MINUTE, approvalTtlMs: 90 * DAY }
const remembers = ({ state }: History, wanted: Partial<Asked> = {}, now = NOON, user = 'alice'): boolean =>
  isRemembered(state, user, { ...ASKED, ...wanted }, now)

test('a yes holds for that user, client, callback and scope, or less of it', (t) => {
  const history = approved()
  for (const scope of ['todos:read', 'todos:write', ASKED.scope]) t.true(remembers(history, { scope }), scope)
  t.true(remembers(history, { challenge: 'x', resource: 'y' }), 'what is asked for is the same')
  t.false(remembers(history, { redirectUri: TWIN }), 'another callback, although it is allowed')
  t.false(remembers(history, { redirectUri: `${CALLBACK}/` }))
  t.false(remembers(history, { client: 'other' }))
  t.false(remembers(history, {}, NOON, 'bob'))
  t.false(remembers(approved('todos:read')), 'more than was allowed')
})

test('the last yes counts, not all that were ever given', (t) => {
  const history = approved().given(consentRequested('alice', 's1', 'r2', { scope: 'todos:read' }))
  history.when(grantConsent(history.state, { ...ANSWER, request: 'r2', grant: 'g2', code: 'c2' }, NOON))
  t.true(remembers(history, { scope: 'todos:read' }))
  t.false(remembers(history))
})

test('a yes ends with its time, and what it gives silently does not make it longer', (t) => {
  const history = approved()
  t.true(remembers(history, {}, NOON + 90 * DAY - 1))
  t.false(remembers(history, {}, NOON + 90 * DAY))
  history.now = NOON + 80 * DAY
  const again = { user: 'alice', session: 's1', asked: ASKED, grant: 'g2', code: 'c2', codeTtlMs: MINUTE }
  history.given(signedIn('alice', 's1'))
  t.is(history.when(grantAgain(history.state, again, NOON)).refusal, undefined)
  t.false(remembers(history, {}, NOON + 90 * DAY))
  history.sweep(NOON + 90 * DAY)
  t.is(history.state.approvals.size, 1)
  history.sweep(NOON + 90 * DAY + MINUTE)
  t.is(history.state.approvals.size, 0)
})

test('a public client is never remembered, and leaves nothing that could be taken for it', (t) => {
  const [first] = chatgpt as [Extract<Event, { type: 'ClientRegistered' }>]
  const app: Event = {
    ...first,
    data: { ...first.data, client: 'app', clientId: 'app', secret: null, secretFrom: 'none' },
  }
  const callback: Event = { type: 'RedirectUriAllowed', data: { client: 'app', uri: TWIN, from: 'operator' } }
  const history = approved().given(app, callback)
  const asked = { client: 'app', redirectUri: TWIN }
  history.given(consentRequested('alice', 's1', 'r2', asked))
  t.is(history.when(grantConsent(history.state, { ...ANSWER, request: 'r2', code: 'c2' }, NOON)).refusal, undefined)
  t.false(remembers(history, asked))
  t.is(history.state.approvals.countBy('client', 'app'), 0)
})

const ids = { user: 'alice', client: 'chatgpt' }
const ends: { readonly [what: string]: Event } = {
  'no, said later': { type: 'ConsentDenied', data: { request: 'r9', ...ids } },
  'an operator': { type: 'ApprovalWithdrawn', data: { request: 'r1', ...ids } },
  'the end of a connection': { type: 'TokenRevoked', data: { access: null, grant: 'g9', ...ids } },
  'a code that was shown twice': { type: 'CodeReplayed', data: { code: 'c9', grant: 'g9', ...ids } },
  'a refresh token that was stolen': { type: 'TokenReplayed', data: { refresh: 'x', grant: 'g9', ...ids } },
  revocation: { type: 'UserRevoked', data: { user: 'alice' } },
  erasure: { type: 'UserErased', data: { user: 'alice' } },
  'a new password': { type: 'PasswordChanged', data: { user: 'alice' } },
  'the removal of the app': { type: 'ClientRemoved', data: { client: 'chatgpt', cause: 'operator' } },
  'a new secret of the app': {
    type: 'ClientSecretRotated',
    data: { client: 'chatgpt', secret: 'x', secretFrom: 'vault' },
  },
  'the withdrawal of the callback': { type: 'RedirectUriWithdrawn', data: { client: 'chatgpt', uri: CALLBACK } },
}
for (const [what, event] of Object.entries(ends))
  test(`what ends a yes: ${what}; bob’s stays where it is not about him`, (t) => {
    const history = approved().given(consentRequested('bob', 's2', 'r2', { redirectUri: TWIN }))
    history.when(grantConsent(history.state, { ...ANSWER, session: 's2', request: 'r2', code: 'c2' }, NOON))
    history.given(event)
    t.is(history.state.approvals.countBy('user', 'alice'), 0)
    const isAboutAll = ['ClientRemoved', 'ClientSecretRotated'].includes(event.type)
    t.is(history.state.approvals.countBy('user', 'bob'), isAboutAll ? 0 : 1)
    // What is allowed again was not asked for again.
    if (event.type === 'RedirectUriWithdrawn') t.false(remembers(history.given(allowed(CALLBACK))))
  })

test('what does not end a yes: an access token given back, a refused sibling, another callback withdrawn', (t) => {
  const history = approved().given(
    { type: 'TokenRevoked', data: { access: 'a', grant: 'g1', ...ids } },
    { type: 'TokenRefused', data: { refresh: 'x', grant: 'g1', ...ids } },
    { type: 'RedirectUriWithdrawn', data: { client: 'chatgpt', uri: TWIN } },
  )
  t.true(remembers(history))
})

test('a no on one callback ends the yes on the other, too', (t) => {
  const history = approved().given(consentRequested('alice', 's1', 'r2', { redirectUri: TWIN }))
  history.when(denyConsent(history.state, { session: 's1', request: 'r2' }, NOON))
  t.false(remembers(history))
})

test('an operator takes one approval back, by the request that was allowed', (t) => {
  const history = approved().given(consentRequested('alice', 's1', 'r2', { redirectUri: TWIN }))
  history.when(grantConsent(history.state, { ...ANSWER, request: 'r2', grant: 'g2', code: 'c2' }, NOON))
  t.is(withdrawApproval(history.state, 'r3').refusal, 'grant_unknown')
  const { facts } = history.when(withdrawApproval(history.state, 'r1'))
  t.deepEqual(facts, [{ type: 'ApprovalWithdrawn', data: { request: 'r1', ...ids } }])
  t.false(remembers(history))
  t.true(remembers(history, { redirectUri: TWIN }))
  t.is(withdrawApproval(history.state, 'r1').refusal, 'grant_unknown')
})

test('what is remembered gives no code to a session that has ended, nor to another’s', (t) => {
  const history = approved()
  const input = { user: 'alice', asked: ASKED, grant: 'g2', code: 'c2', codeTtlMs: MINUTE }
  for (const session of ['s0', 's2'])
    t.is(grantAgain(history.state, { ...input, session }, NOON).refusal, 'session_ended')
})

test('whatever ends a yes ends the codes that it gave and that nobody has redeemed; bob’s stay', (t) => {
  const ofAlice: Event[] = [
    { type: 'ConsentDenied', data: { request: 'r9', ...ids } },
    { type: 'ApprovalWithdrawn', data: { request: 'r1', ...ids } },
    { type: 'TokenRevoked', data: { access: null, grant: 'g9', ...ids } },
    { type: 'CodeReplayed', data: { code: 'c9', grant: 'g9', ...ids } },
    { type: 'TokenReplayed', data: { refresh: 'x', grant: 'g9', ...ids } },
    { type: 'ClientSecretRotated', data: { client: 'chatgpt', secret: 'x', secretFrom: 'vault' } },
  ]
  for (const event of ofAlice) {
    const history = approved().given(codeIssued('bob', 'c2'), codeIssued('alice', 'c3', { client: 'other' }), event)
    const left = event.type === 'ClientSecretRotated' ? ['c3'] : ['c2', 'c3']
    t.deepEqual(keysOf(history.state.codes), left, event.type)
  }
  const history = approved().given({ type: 'TokenRevoked', data: { access: 'a', grant: 'g9', ...ids } })
  t.deepEqual(keysOf(history.state.codes), ['c1'], 'an access token alone')
})
