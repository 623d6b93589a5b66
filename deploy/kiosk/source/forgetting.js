/**
 * What a browser may keep of a visitor, emptied. The page writes none of it; this is so that nothing else stays
 * either.
 */

/**
 * Empty the storages, the caches and the databases of this page; those that are not there or may not be used are let
 * be.
 */
export async function emptyStorages() {
  for (const name of ["localStorage", "sessionStorage"]) quietly(() => globalThis[name].clear());
  await quietly(async () => Promise.all((await caches.keys()).map((key) => caches.delete(key))));
  await quietly(async () => (await indexedDB.databases()).forEach(({ name }) => indexedDB.deleteDatabase(name)));
}

async function quietly(what) {
  try {
    await what();
  } catch {
    // not there, or not allowed: then nothing can be in it
  }
}

/** Take back from the clipboard what was copied here. */
export const emptyClipboard = () => quietly(() => navigator.clipboard.writeText(""));

/** Copy a text, on pages without the clipboard's programming interface by the browser's old command. */
export async function copyText(text) {
  if (navigator.clipboard?.writeText) {
    try {
      return await navigator.clipboard.writeText(text);
    } catch {
      // not allowed: the old way may be
    }
  }
  const field = document.createElement("textarea");
  field.value = text;
  field.className = "unseen";
  document.body.append(field);
  field.select();
  document.execCommand("copy");
  field.remove();
}
