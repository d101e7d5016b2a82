/** Pages for people: home, sign in, sign up, sign out. */
import Router from '@koa/router'
import type { Context } from 'koa'
import { Refused } from '../ledger/refused.ts'
import { visitorCaller } from '../service/authentication.ts'
import { isForUsers } from '../service/policy.ts'
import type { OpenTexts } from '../service/todos.ts'
import { asset } from './assets.ts'
import { type Places, submit } from './forms.ts'
import { destination } from './oauth/authorize.ts'
import { provenance } from './origin.ts'
import { homePage, operatorHomePage, signedInHomePage } from './pages/home.ts'
import { seeOther, sendPage } from './pages/layout.ts'
import { type SignInField, signInPage } from './pages/sign-in.ts'
import { type SignUpField, signUpPage } from './pages/sign-up.ts'
import { formFields } from './parse.ts'
import {
  clearSession,
  requireOwnForm,
  requireSameSite,
  type SignedIn,
  sessionBefore,
  setSession,
  signedIn,
  tokenFor,
} from './session.ts'
import type { Deps } from './settings.ts'

/** How many to-dos the first page shows at once, and about how many characters of them. */
const [ON_A_PAGE, CHARACTERS_ON_A_PAGE] = [100, 50_000]

/** The to-dos of a page. @param asked the index of its first one; past the end, the first page is shown */
function pageOf(open: OpenTexts, asked: number) {
  const from = asked < open.count ? asked : 0
  const todos: string[] = []
  let characters = 0
  for (const text of open.from(from)) {
    characters += text.length
    if (todos.push(text) === ON_A_PAGE || characters > CHARACTERS_ON_A_PAGE) break
  }
  const next = from + todos.length < open.count ? from + todos.length : undefined
  return { todos, from, count: open.count, next }
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
  const { settings, services } = deps
  const style = asset('src/http/pages/style.css').toString('utf8')
  router.get('/style.css', (ctx) => {
    ctx.type = 'text/css; charset=utf-8'
    ctx.set('Cache-Control', 'public, max-age=300')
    ctx.body = style
  })

  router.get('/', async (ctx) => {
    const visitor = await signedIn(ctx, deps)
    if (visitor !== undefined) return showHome(ctx, deps, visitor)
    return sendPage(ctx, homePage({ ...settings, canSignUp: services.accounts.canSignUp }))
  })
}

async function showHome(ctx: Context, deps: Deps, visitor: SignedIn): Promise<void> {
  const { services, settings } = deps
  const asked = /^\d{1,9}$/.test(String(ctx.query.from)) ? Number(ctx.query.from) : 0
  const signOutToken = tokenFor(ctx, deps, 'logout', visitor.session)
  const caller = visitorCaller(provenance(ctx), visitor)
  const username = visitor.user.sealed.open?.username ?? visitor.user.id
  const home = { username, ...(await services.todos.texts(caller, (open) => pageOf(open, asked))) }
  const page = isForUsers(settings.authMode) ? signedInHomePage : operatorHomePage
  return sendPage(ctx, page({ ...settings, ...home, signOutToken }))
}

const SIGN_IN_PLACES: Places<SignInField> = { credentials_wrong: 'form', password_length: 'password' }

function addSignIn(router: Router, deps: Deps): void {
  const { accounts } = deps.services
  const page = (ctx: Context) => ({
    formToken: tokenFor(ctx, deps, 'login'),
    canSignUp: accounts.canSignUp,
    isForOperators: !isForUsers(deps.settings.authMode),
  })

  router.get('/login', async (ctx) => {
    if ((await signedIn(ctx, deps)) !== undefined) return seeOther(ctx, '/')
    return sendPage(ctx, signInPage({ ...page(ctx), returnTo: '/' }))
  })

  router.post('/login', async (ctx) => {
    const fields = formFields(ctx)
    requireOwnForm(ctx, deps, fields, 'login')
    const to = await destination(deps, fields.get('return_to'))
    const [identifier, password] = [fields.get('identifier') ?? '', fields.get('password') ?? '']
    const cookie = await submit(
      ctx,
      SIGN_IN_PLACES,
      () => accounts.signIn(provenance(ctx), { identifier, password, before: sessionBefore(ctx, deps.settings) }),
      (errors) => signInPage({ ...to, ...page(ctx), identifier, errors }),
    )
    if (cookie === undefined) return
    setSession(ctx, deps.settings, cookie)
    seeOther(ctx, to.returnTo)
  })
}

const SIGN_UP_PLACES: Places<SignUpField> = {
  username_invalid: 'username',
  username_taken: 'username',
  email_invalid: 'email',
  email_taken: 'email',
  password_length: 'password',
  password_common: 'password',
}

function addSignUp(router: Router, deps: Deps): void {
  const { accounts } = deps.services
  router.get('/signup', async (ctx) => {
    if (!accounts.canSignUp) throw new Refused('signup_closed')
    const returnTo = ctx.query.return_to
    const to = await destination(deps, typeof returnTo === 'string' ? returnTo : undefined)
    return sendPage(ctx, signUpPage({ ...to, formToken: tokenFor(ctx, deps, 'signup') }))
  })

  router.post('/signup', async (ctx) => {
    const fields = formFields(ctx)
    requireOwnForm(ctx, deps, fields, 'signup')
    const to = await destination(deps, fields.get('return_to'))
    const username = (fields.get('username') ?? '').trim()
    const email = (fields.get('email') ?? '').trim()
    const password = fields.get('password') ?? ''
    const cookie = await submit(
      ctx,
      SIGN_UP_PLACES,
      () => accounts.signUp(provenance(ctx), { username, email, password, before: sessionBefore(ctx, deps.settings) }),
      (errors) => signUpPage({ ...to, formToken: tokenFor(ctx, deps, 'signup'), username, email, errors }),
    )
    if (cookie === undefined) return
    setSession(ctx, deps.settings, cookie)
    seeOther(ctx, to.returnTo)
  })
}

function addSignOut(router: Router, deps: Deps): void {
  router.get('/logout', async (ctx) => seeOther(ctx, '/'))

  router.post('/logout', async (ctx) => {
    const fields = formFields(ctx)
    requireSameSite(ctx, deps)
    const visitor = await signedIn(ctx, deps)
    if (visitor !== undefined) {
      requireOwnForm(ctx, deps, fields, 'logout', visitor.session)
      await deps.services.accounts.signOut(provenance(ctx), visitor)
    }
    clearSession(ctx, deps.settings)
    return seeOther(ctx, (await destination(deps, fields.get('return_to'))).returnTo)
  })
}
