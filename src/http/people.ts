/** Pages for people: home, sign in, sign up, sign out. */
import Router from '@koa/router'
import type { Context } from 'koa'
import type { State } from '../domain/domain.ts'
import { signIn, signOut } from '../domain/sessions.ts'
import type { Reason } from '../domain/shape.ts'
import { itemOf, openInOrder } from '../domain/todos.ts'
import { findUser, isEmail, isUsername, passwordName, registerUser, usernameOf } from '../domain/users.ts'
import { newId } from '../ledger/ids.ts'
import type { Caller as Acting, Ledger } from '../ledger/ledger.ts'
import { Refused } from '../ledger/refused.ts'
import { newKey } from '../ledger/vault.ts'
import { addressOf, anonymous, type Caller, sessionCaller } from '../service/caller.ts'
import { keyOfName } from '../service/limits.ts'
import { hashPassword, isCommonPassword, isPassword, isTooLong, verifyPassword } from '../service/passwords.ts'
import { isForUsers } from '../service/policy.ts'
import { sentence } from '../service/refusals.ts'
import { asset } from './assets.ts'
import { statusOf, tellWait } from './errors.ts'
import { destination } from './oauth/authorize.ts'
import { provenance } from './origin.ts'
import { homePage, signedInHomePage } from './pages/home.ts'
import { seeOther, sendPage } from './pages/layout.ts'
import { waitInWords } from './pages/refusals.ts'
import { signInPage } from './pages/sign-in.ts'
import { type FieldErrors, signUpPage } from './pages/sign-up.ts'
import { formFields } from './parse.ts'
import {
  clearSession,
  newSession,
  requireOwnForm,
  requireSameSite,
  sessionBefore,
  setSession,
  signedIn,
  tokenFor,
} from './session.ts'
import type { Deps } from './settings.ts'

/** How many to-dos the first page shows at once, and about how many characters of them. */
const [ON_A_PAGE, CHARACTERS_ON_A_PAGE] = [100, 50_000]

function todosOnPage(state: State, user: string, from: number): string[] {
  const texts: string[] = []
  let characters = 0
  for (const row of openInOrder(state, user).slice(from)) {
    const text = itemOf(row).todo
    characters += text.length
    if (texts.push(text) === ON_A_PAGE || characters > CHARACTERS_ON_A_PAGE) break
  }
  return texts
}

export function peopleRoutes(deps: Deps): Router {
  const router = new Router({ sensitive: true, strict: true })
  addHome(router, deps)
  addSignIn(router, deps)
  addSignUp(router, deps)
  addSignOut(router, deps)
  return router
}

function addHome(router: Router, deps: Deps): void {
  const { ledger, settings } = deps
  const style = asset('src/http/pages/style.css').toString('utf8')
  router.get('/style.css', (ctx) => {
    ctx.type = 'text/css; charset=utf-8'
    ctx.set('Cache-Control', 'public, max-age=300')
    ctx.body = style
  })

  router.get('/', async (ctx) => {
    const visitor = await signedIn(ctx, deps)
    if (visitor === undefined) return sendPage(ctx, homePage({ ...settings, canSignUp: canSignUp(deps) }))
    const [username, count] = await ledger.read((state) => [
      usernameOf(state, visitor.user.id),
      state.todos.countBy('open', visitor.user.id),
    ])
    const asked = /^\d{1,9}$/.test(String(ctx.query.from)) ? Number(ctx.query.from) : 0
    const from = asked < count ? asked : 0
    const todos = await ledger.read((state) => todosOnPage(state, visitor.user.id, from))
    const next = from + todos.length < count ? from + todos.length : undefined
    const signOutToken = tokenFor(ctx, deps, 'logout', visitor.session)
    return sendPage(ctx, signedInHomePage({ ...settings, username, todos, from, count, next, signOutToken }))
  })
}

function addSignIn(router: Router, deps: Deps): void {
  router.get('/login', async (ctx) => {
    if ((await signedIn(ctx, deps)) !== undefined) return seeOther(ctx, '/')
    return sendPage(
      ctx,
      signInPage({ returnTo: '/', formToken: tokenFor(ctx, deps, 'login'), canSignUp: canSignUp(deps) }),
    )
  })

  router.post('/login', async (ctx) => {
    const fields = formFields(ctx)
    requireOwnForm(ctx, deps, fields, 'login')
    const to = await destination(deps, fields.get('return_to'))
    const identifier = fields.get('identifier') ?? ''
    try {
      await signInWith(ctx, deps, identifier, fields.get('password') ?? '')
    } catch (error) {
      if (
        !(error instanceof Refused) ||
        !['credentials_wrong', 'password_length', 'rate_limited'].includes(error.reason)
      )
        throw error
      const formToken = tokenFor(ctx, deps, 'login')
      const status = statusOf(error.reason)
      const text = error.reason === 'rate_limited' ? waitInWords(error) : sentence(error.reason)
      tellWait(ctx, error)
      return sendPage(
        ctx,
        signInPage({ ...to, formToken, identifier, error: text, status, canSignUp: canSignUp(deps) }),
      )
    }
    return seeOther(ctx, to.returnTo)
  })
}

function addSignUp(router: Router, deps: Deps): void {
  const {
    ledger,
    services: { limits },
  } = deps
  router.get('/signup', async (ctx) => {
    if (!canSignUp(deps)) throw new Refused('signup_closed')
    const returnTo = ctx.query.return_to
    const to = await destination(deps, typeof returnTo === 'string' ? returnTo : undefined)
    return sendPage(ctx, signUpPage({ ...to, formToken: tokenFor(ctx, deps, 'signup') }))
  })

  router.post('/signup', async (ctx) => {
    const fields = formFields(ctx)
    requireOwnForm(ctx, deps, fields, 'signup')
    if (!canSignUp(deps)) throw new Refused('signup_closed')
    const to = await destination(deps, fields.get('return_to'))
    const username = (fields.get('username') ?? '').trim()
    const email = (fields.get('email') ?? '').trim()
    const password = fields.get('password') ?? ''
    const again = (errors: FieldErrors, status: number): Promise<void> =>
      sendPage(ctx, signUpPage({ ...to, formToken: tokenFor(ctx, deps, 'signup'), username, email, errors, status }))
    // All that is wrong at once, so that nobody has to come back for each.
    const malformed = [
      ...(isUsername(username) ? [] : (['username_invalid'] as const)),
      ...(email === '' || isEmail(email) ? [] : (['email_invalid'] as const)),
      ...(isPassword(password) ? [] : (['password_length'] as const)),
      ...((await isCommonPassword(password, [username, email])) ? (['password_common'] as const) : []),
    ]
    if (malformed.length > 0) return again(Object.assign({}, ...malformed.map(signUpErrors)), 400)
    try {
      const who = anonymous(provenance(ctx))
      limits.take(who.meter, 'sign_up', addressOf(who))
      limits.take(who.meter, 'sign_ups', '')
      const made = addUser(ledger, who, { username, email: email || undefined, password, admin: false })
      made.catch(() => limits.giveBack('sign_ups', '')) // No account was made.
      const user = await made
      await startSession(ctx, deps, user)
    } catch (error) {
      if (!(error instanceof Refused)) throw error
      const errors = error.reason === 'rate_limited' ? { form: waitInWords(error) } : signUpErrors(error.reason)
      if (errors === undefined) throw error
      tellWait(ctx, error)
      return again(errors, statusOf(error.reason))
    }
    return seeOther(ctx, to.returnTo)
  })
}

function addSignOut(router: Router, deps: Deps): void {
  const { ledger, settings } = deps
  router.get('/logout', async (ctx) => seeOther(ctx, '/'))

  router.post('/logout', async (ctx) => {
    const fields = formFields(ctx)
    requireSameSite(ctx, deps)
    const visitor = await signedIn(ctx, deps)
    if (visitor !== undefined) {
      requireOwnForm(ctx, deps, fields, 'logout', visitor.session)
      await ledger.transact(sessionCaller(provenance(ctx), visitor), (state) => signOut(state, visitor.session))
    }
    clearSession(ctx, settings)
    return seeOther(ctx, (await destination(deps, fields.get('return_to'))).returnTo)
  })
}

/** Accounts are for those whose to-dos are their own. */
const canSignUp = ({ settings: { signup, authMode } }: Deps): boolean => signup === 'open' && isForUsers(authMode)

function signUpErrors(reason: Reason): FieldErrors | undefined {
  const text = sentence(reason)
  if (reason === 'username_invalid' || reason === 'username_taken') return { username: text }
  if (reason === 'email_invalid' || reason === 'email_taken') return { email: text }
  if (reason === 'password_length' || reason === 'password_common') return { password: text }
  return undefined
}

type NewUser = { username: string; email: string | undefined; password: string; admin: boolean }

/**
 * Registers a user; gives their id.
 * @throws {Refused} `password_length`, `password_common`, and as `registerUser` does
 */
export async function addUser(ledger: Ledger, who: Acting, input: NewUser): Promise<string> {
  const { username, email, password, admin } = input
  if (!isPassword(password)) throw new Refused('password_length')
  if (await isCommonPassword(password, [username, email ?? ''])) throw new Refused('password_common')
  const user = newId(ledger.now())
  const passwordHash = await hashPassword(password)
  await ledger.transact(who, (state) =>
    registerUser(state, { user, username, email, admin, passwordHash, key: newKey() }),
  )
  return user
}

/** A session for somebody who has just registered. */
const startSession = (ctx: Context, deps: Deps, user: string): Promise<void> =>
  beginSession(ctx, deps, { user, passwordRight: true, passwordChanges: 0 })

/**
 * A session for whoever has that password. What is wrong does not show, neither in the answer nor in the time.
 * @throws {Refused} `credentials_wrong`, `password_length`, `rate_limited`
 */
async function signInWith(ctx: Context, deps: Deps, identifier: string, password: string): Promise<void> {
  const {
    ledger,
    services: { limits },
  } = deps
  // Nothing longer is hashed; nothing shorter can be right, but that is not told before it was tried.
  if (isTooLong(password)) throw new Refused('password_length')
  const user = await ledger.read((state) => findUser(state, identifier))
  const from = provenance(ctx)
  const [account, address] = [user?.id ?? keyOfName(identifier.trim().toLowerCase()), addressOf(from)]
  limits.take(from.meter, 'sign_in_address', address)
  limits.take(from.meter, 'sign_in', account)
  const passwordRight = await verifyPassword(password, user && ledger.secret(passwordName(user.id)))
  const isRight = passwordRight && user?.active === true
  if (isRight) {
    limits.giveBack('sign_in_address', address)
    limits.giveBack('sign_in', account)
    limits.take(from.meter, 'account', account)
  }
  await beginSession(ctx, deps, { user: user?.id, passwordRight, passwordChanges: user?.passwordChanges ?? 0 })
}

type Claim = { user: string | undefined; passwordRight: boolean; passwordChanges: number }

/** @throws {Refused} `credentials_wrong` */
async function beginSession(ctx: Context, { ledger, settings }: Deps, claim: Claim): Promise<void> {
  const { cookie, session } = newSession()
  const input = { ...claim, session, sessionTtlMs: settings.sessionTtlMs, before: sessionBefore(ctx, settings) }
  const { user, passwordRight } = claim
  const from = anonymous(provenance(ctx))
  const who: Caller = passwordRight && user !== undefined ? { ...from, actor: { kind: 'user', id: user } } : from
  await ledger.transact(who, (state, now) => signIn(state, input, now))
  setSession(ctx, settings, cookie)
}
