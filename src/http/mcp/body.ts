/** Bodies that a route reads itself, once it is known who sent them. */
import { isUtf8 } from 'node:buffer'
import type { Context } from 'koa'
import { Refused } from '../../ledger/refused.ts'

/**
 * The text of a body.
 * @param limit bytes
 * @throws {Refused} `media_type_unsupported`, `request_too_large`, `request_malformed`
 */
export async function readBody(ctx: Context, { types, limit }: { types: string[]; limit: number }): Promise<string> {
  const isPlain = ['', 'identity'].includes(ctx.get('content-encoding').toLowerCase())
  const isRight = ['', 'utf-8', 'utf8'].includes(ctx.request.charset.toLowerCase())
  if (!ctx.is(...types) || !isPlain || !isRight) throw new Refused('media_type_unsupported')
  if (Number(ctx.get('content-length') || 0) > limit) throw new Refused('request_too_large')
  const chunks: Buffer[] = []
  let length = 0
  try {
    for await (const chunk of ctx.req.iterator({ destroyOnReturn: false })) {
      length += (chunk as Buffer).length
      if (length > limit) throw new Refused('request_too_large')
      chunks.push(chunk as Buffer)
    }
  } catch (error) {
    throw error instanceof Refused ? error : new Refused('request_malformed')
  } finally {
    if (!ctx.req.complete) ctx.set('Connection', 'close')
  }
  const bytes = Buffer.concat(chunks)
  if (!isUtf8(bytes)) throw new Refused('request_malformed', 'The body must be UTF-8.')
  return bytes.toString('utf8')
}
