/** A document opened within the page: plain text as text, a PDF by the browser's viewer, all else in a sandbox. */
import { element } from "./elements.js";

const TEXT = /\.(txt|text|md|markdown|rst)$/i;
const PDF = /\.pdf$/i;
const TEXT_BYTES_MAX = 4_000_000;
const PIECE_WORDS = 8;
const ROOT_PIXELS = 16;

/**
 * The address of a source's document in a folder, or null where its path leads out of it or the folder is elsewhere.
 */
export function documentAddress(folder, { path }, base) {
  const steps = String(path ?? "")
    .split("/")
    .filter(Boolean);
  if (!steps.length || steps.some((step) => step === "." || step === "..")) return null;
  const root = new URL(folder.endsWith("/") ? folder : `${folder}/`, base);
  return root.origin === new URL(base).origin ? new URL(steps.map(encodeURIComponent).join("/"), root).href : null;
}

/** Where a piece begins and ends in a text, by its first words, however they are spaced; null where it is not there. */
export function found(text, piece) {
  const words = piece
    .trim()
    .split(/\s+/, PIECE_WORDS)
    .map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  const first = words[0] ? new RegExp(words.join("\\s+")).exec(text) : null;
  return first && { start: first.index, end: first.index + first[0].length };
}

/**
 * What shows a document, or null where it cannot be had.
 * @param {{title: string, page: ?number, text: string}} source the piece that is looked for in it
 * @returns {Promise<?{element: HTMLElement, isText: boolean}>}
 */
export async function opened(address, source) {
  const { pathname } = new URL(address);
  if (TEXT.test(pathname)) return asText(await read(address), source);
  const kind = await kindOf(address);
  if (kind === null) return null;
  const frame = element("iframe", { title: source.title || source.path });
  if (PDF.test(pathname) && kind === "pdf") {
    frame.src = `${address}#toolbar=0&page=${source.page ?? 1}`;
  } else {
    frame.setAttribute("sandbox", "");
    frame.style.zoom = parseFloat(getComputedStyle(document.documentElement).fontSize) / ROOT_PIXELS;
    frame.src = address;
  }
  return { element: frame, isText: false };
}

async function read(address) {
  try {
    const response = await fetch(address);
    const text = response.ok ? await response.text() : null;
    return text && text.length <= TEXT_BYTES_MAX ? text : null;
  } catch {
    return null;
  }
}

/**
 * "pdf" for what is one, "other" for what is not, null for what cannot be had. The viewer runs in no sandbox of ours.
 */
async function kindOf(address) {
  try {
    const response = await fetch(address);
    const { value } = response.ok ? await response.body.getReader().read() : {};
    if (!value) return null;
    const type = response.headers.get("content-type")?.split(";")[0].trim() ?? "application/pdf";
    const isPdf = new TextDecoder("latin1").decode(value.subarray(0, 5)) === "%PDF-";
    return isPdf && type === "application/pdf" ? "pdf" : "other";
  } catch {
    return null;
  }
}

function asText(text, source) {
  if (text === null) return null;
  const place = found(text, source.text ?? "");
  if (!place) return { element: element("div", {}, text), isText: true };
  const { start, end } = place;
  const mark = element("mark", {}, text.slice(start, end));
  return { element: element("div", {}, text.slice(0, start), mark, text.slice(end)), isText: true };
}
