/** How large a picture needs to be, and what it costs: pure. The figures are those of docs/wire.md, Pictures. */

const CROP_SIDE = 336;
/** Each detail: its name on the wire, the crops that it may take, and the tokens that these are at most. */
const DETAILS = [
  { detail: "low", crops: 1, tokens: 313 },
  { detail: "auto", crops: 4, tokens: 781 },
];
const PATIENCE_SECONDS = 60;

/**
 * The detail that a picture is asked about with: the finest that the board takes, its context has room for, and that
 * is read within a minute; the coarsest where none is.
 */
export function detailFor(info, tokensPerSecond) {
  const fits = ({ crops, tokens }) =>
    crops <= (info?.crops_max ?? 1) &&
    tokens <= (info?.context_length ?? 0) / 2 &&
    tokens / (tokensPerSecond || Infinity) <= PATIENCE_SECONDS;
  return DETAILS.filter(fits).at(-1) ?? DETAILS[0];
}

/** Width and height that hold all that the crops can show of a picture, never more than it has. */
export function sizeFor(width, height, crops) {
  const scale = Math.min(
    1,
    Math.sqrt((crops * CROP_SIDE ** 2) / (width * height)),
    (crops * CROP_SIDE) / Math.max(width, height),
  );
  return { width: Math.max(1, Math.round(width * scale)), height: Math.max(1, Math.round(height * scale)) };
}

/** Seconds that it takes a board to read a picture, at least 1; null where its speed is not known. */
export function costSeconds(tokens, tokensPerSecond) {
  return tokensPerSecond > 0 ? Math.max(1, Math.round(tokens / tokensPerSecond)) : null;
}
