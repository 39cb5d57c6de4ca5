// What a TypeScript program does with the service. `schema.ts` is generated from the published document, and the strict compiler checks
// that a client gets usable types (no `any`, no member that may be missing from an answer). `story.ts` runs it.
import createClient from "openapi-fetch";
import type { components, paths } from "./schema";

type Asset = components["schemas"]["Asset"];

/** True only if T is `any`, which would let the rest of this file compile whatever the document says. */
type IsAny<T> = 0 extends 1 & T ? true : false;
export const assetIsTyped: IsAny<Asset> = false;

export const connect = (baseUrl: string, key: string) => createClient<paths>({ baseUrl, headers: { Authorization: `Bearer ${key}` } });
export type Isms = ReturnType<typeof connect>;

/** Every asset, page by page. */
export async function* assets(isms: Isms, limit = 200): AsyncGenerator<Asset> {
  const page = (from: { cursor?: string }) => isms.GET("/v1/assets", { params: { query: { limit, ...from } } });
  for (let from: { cursor?: string } | null = {}; from !== null; ) {
    const { data, error } = await page(from);
    if (error !== undefined) throw new Error(`${error.status} ${error.code}: ${error.title}`);
    yield* data.data;
    from = data.next_cursor === null ? null : { cursor: data.next_cursor };
  }
}

/** Gives an asset another name, if nobody changed it since it was read. */
export async function rename(isms: Isms, id: string, name: string): Promise<number> {
  const read = await isms.GET("/v1/assets/{id}", { params: { path: { id } } });
  if (read.error !== undefined) throw new Error(read.error.title);
  const { data, error } = await isms.PATCH("/v1/assets/{id}", {
    params: { path: { id }, header: { "If-Match": `"${read.data.version}"` } },
    body: { name },
  });
  if (error !== undefined) throw new Error(error.title);
  return data.version;
}
