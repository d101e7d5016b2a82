/** API keys by page: a user makes them, sees when each was used last, and revokes them (`AUTH_MODE=user_http`). */
import Router from '@koa/router'
import type { Context } from 'koa'
import { Refused } from '../ledger/refused.ts'
import { sessionCaller } from '../service/caller.ts'
import { type Places, submit } from './forms.ts'
import { provenance } from './origin.ts'
import { type KeyField, type KeysPage, keysPage } from './pages/keys.ts'
import { type Page, seeOther, sendPage } from './pages/layout.ts'
import { formFields } from './parse.ts'
import { requireOwnForm, type SignedIn, signedIn, tokenFor } from './session.ts'
import type { Deps } from './settings.ts'

const PATH = '/account/keys'

const PLACES: Places<KeyField> = { key_label_invalid: 'label', keys_too_many: 'form' }

export function keyRoutes(deps: Deps): Router {
  const { keys } = deps.services
  const router = new Router({ sensitive: true, strict: true })

  router.get(PATH, async (ctx) => {
    const visitor = await signedIn(ctx, deps)
    if (visitor === undefined) return seeOther(ctx, '/login')
    return sendPage(ctx, await pageFor(ctx, deps, visitor))
  })

  router.post(PATH, async (ctx) => {
    const { visitor, fields } = await ownForm(ctx, deps)
    const label = (fields.get('label') ?? '').trim()
    const made = await submit(
      ctx,
      PLACES,
      () => keys.issueOwn(sessionCaller(provenance(ctx), visitor), visitor.user.id, label),
      (errors) => pageFor(ctx, deps, visitor, { errors, label }),
    )
    if (made === undefined) return
    await sendPage(ctx, await pageFor(ctx, deps, visitor, { made: { label, secret: made.secret } }))
  })

  router.post(`${PATH}/revoke`, async (ctx) => {
    const { visitor, fields } = await ownForm(ctx, deps)
    await keys.revokeOwn(sessionCaller(provenance(ctx), visitor), visitor.user.id, fields.get('key') ?? '')
    return seeOther(ctx, PATH)
  })

  return router
}

/** A form of this page, by the visitor whom it was given to. @throws {Refused} `session_ended`, `form_foreign` */
async function ownForm(ctx: Context, deps: Deps): Promise<{ visitor: SignedIn; fields: Map<string, string> }> {
  const fields = formFields(ctx)
  const visitor = await signedIn(ctx, deps)
  if (visitor === undefined) throw new Refused('session_ended')
  requireOwnForm(ctx, deps, fields, 'keys', visitor.session)
  return { visitor, fields }
}

type FormResult = Pick<KeysPage, 'made' | 'errors' | 'label'>

async function pageFor(ctx: Context, deps: Deps, visitor: SignedIn, result: FormResult = {}): Promise<Page> {
  const { services, settings } = deps
  const keys = await services.keys.listOwn(sessionCaller(provenance(ctx), visitor), visitor.user.id)
  const formToken = tokenFor(ctx, deps, 'keys', visitor.session)
  return keysPage({ keys, formToken, publicUrl: settings.publicUrl, ...result })
}
