/** API keys by page: a user makes them, sees when each was used last, and revokes them (`AUTH_MODE=user_http`). */
import Router from '@koa/router'
import type { Context } from 'koa'
import { issueKey, revokeKey } from '../domain/keys.ts'
import { usernameOf } from '../domain/users.ts'
import { newId } from '../ledger/ids.ts'
import { Refused } from '../ledger/refused.ts'
import { sessionCaller } from '../service/caller.ts'
import { sentence } from '../service/refusals.ts'
import { digest, newSecret } from '../service/secrets.ts'
import { statusOf } from './errors.ts'
import { provenance } from './origin.ts'
import { keysPage, type MadeKey } from './pages/keys.ts'
import { seeOther, sendPage } from './pages/layout.ts'
import { formFields } from './parse.ts'
import { requireOwnForm, type SignedIn, signedIn, tokenFor } from './session.ts'
import type { Deps } from './settings.ts'

const PATH = '/account/keys'

export function keyRoutes(deps: Deps): Router {
  const { ledger } = deps
  const router = new Router({ sensitive: true, strict: true })

  router.get(PATH, async (ctx) => {
    const visitor = await signedIn(ctx, deps)
    return visitor === undefined ? seeOther(ctx, '/login') : show(ctx, deps, visitor)
  })

  router.post(PATH, async (ctx) => {
    const { visitor, fields } = await ownForm(ctx, deps)
    const label = (fields.get('label') ?? '').trim()
    const caller = sessionCaller(provenance(ctx), visitor)
    deps.services.limits.take(caller.meter, 'account', visitor.user.id)
    const secret = newSecret('dbk')
    const key = newId(ledger.now())
    const username = await ledger.read((state) => usernameOf(state, visitor.user.id))
    try {
      await ledger.transact(caller, (state) => issueKey(state, { key, username, digest: digest(secret), label }))
    } catch (error) {
      if (!(error instanceof Refused) || !['key_label_invalid', 'keys_too_many'].includes(error.reason)) throw error
      return show(ctx, deps, visitor, { error: sentence(error.reason), label, status: statusOf(error.reason) })
    }
    return show(ctx, deps, visitor, { made: { label, secret } })
  })

  router.post(`${PATH}/revoke`, async (ctx) => {
    const { visitor, fields } = await ownForm(ctx, deps)
    const key = fields.get('key') ?? ''
    await ledger.transact(sessionCaller(provenance(ctx), visitor), (state) => revokeKey(state, key, visitor.user.id))
    return seeOther(ctx, PATH)
  })

  return router
}

/** A form of this page, by whoever it was given to. @throws {Refused} `session_ended`, `form_foreign` */
async function ownForm(ctx: Context, deps: Deps): Promise<{ visitor: SignedIn; fields: Map<string, string> }> {
  const fields = formFields(ctx)
  const visitor = await signedIn(ctx, deps)
  if (visitor === undefined) throw new Refused('session_ended')
  requireOwnForm(ctx, deps, fields, 'keys', visitor.session)
  return { visitor, fields }
}

type Outcome = { readonly made?: MadeKey; readonly error?: string; readonly label?: string; readonly status?: number }

async function show(ctx: Context, deps: Deps, { session, user }: SignedIn, outcome: Outcome = {}): Promise<void> {
  const keys = await deps.ledger.read((state) =>
    state.keys.by('user', user.id).map(({ sealed, createdAt, usedAt }, i) => ({
      id: state.keys.keysBy('user', user.id)[i]!,
      label: sealed.open?.label ?? '',
      createdAt,
      usedAt,
    })),
  )
  const formToken = tokenFor(ctx, deps, 'keys', session)
  await sendPage(ctx, keysPage({ keys, formToken, publicUrl: deps.settings.publicUrl, ...outcome }))
}
