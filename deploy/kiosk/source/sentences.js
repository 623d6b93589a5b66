/** A growing text cut into whole sentences, for who listens instead of reading: pure. */

const LONG = 240;

/**
 * A cutter of texts in one language. `add` returns the sentences that are whole now, `rest` what is left at the end.
 */
export function sentenceCutter(language) {
  const segmenter = globalThis.Intl?.Segmenter ? new Intl.Segmenter(language, { granularity: "sentence" }) : null;
  let held = "";
  const cut = (text) =>
    segmenter
      ? [...segmenter.segment(text)].map(({ segment }) => segment)
      : text.split(/(?<=[.!?…。！？؟]\s)|(?<=\n)/u);

  return {
    add(text) {
      held += text;
      const pieces = cut(held);
      held = pieces.pop() ?? "";
      while (held.length > LONG) {
        const end = held.lastIndexOf(" ", LONG) + 1 || LONG;
        pieces.push(held.slice(0, end));
        held = held.slice(end);
      }
      return pieces.map((piece) => piece.trim()).filter(Boolean);
    },
    rest() {
      const last = held.trim();
      held = "";
      return last ? [last] : [];
    },
  };
}
