/** What is published for a question: pure. Of what was said before as much as the board's context and payload hold. */

const TOKENS_ASIDE = 64;
const TOKENS_A_TURN = 8;
const BYTES_ASIDE = 4096;
const LETTERS_A_TOKEN = 3;
const WIDE = /[\u0e00-\u0eff\u1100-\u11ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]/gu;

/** About how many tokens a text takes, rather too many than too few. */
export function tokensOf(text) {
  const wide = text.match(WIDE)?.length ?? 0;
  return Math.ceil(wide * 1.5 + (text.length - wide) / LETTERS_A_TOKEN) + TOKENS_A_TURN;
}

const turnTokens = ({ question, picture, text }) =>
  tokensOf(question) + (picture?.tokens ?? 0) + (text ? tokensOf(text) : 0);

const turnBytes = ({ question, picture, text }) =>
  3 * (question.length + (text?.length ?? 0)) + (picture?.data.length ?? 0);

/** The turns that have an answer, whole or stopped. */
export const answered = (turns) => turns.filter(({ state, text }) => text && ["done", "stopped"].includes(state));

/** Of answered turns those that go with a question: the newest that fit, in their order. */
export function kept(turns, question, picture, { system, maxTokens, info, turnsMax = Infinity }) {
  let tokens = (info?.context_length ?? 2048) - maxTokens - TOKENS_ASIDE - tokensOf(system ?? "");
  let bytes = (picture ? (info?.picture_bytes ?? 0) : (info?.payload_bytes ?? 262_144)) - BYTES_ASIDE;
  tokens -= turnTokens({ question, picture });
  bytes -= turnBytes({ question, picture });
  const fitting = [];
  for (const turn of [...turns].reverse()) {
    tokens -= turnTokens(turn);
    bytes -= turnBytes(turn);
    if (tokens < 0 || bytes < 0 || fitting.length >= turnsMax) break;
    fitting.unshift(turn);
  }
  return fitting;
}

function content(question, picture) {
  if (!picture) return question;
  const url = { url: picture.data, detail: picture.detail };
  return [
    { type: "image_url", image_url: url },
    { type: "text", text: question },
  ];
}

/** The request as JSON. turns: those of `kept`. */
export function requestText(
  { id, question, picture = null },
  turns,
  { system, maxTokens, deadlineSeconds, documents },
) {
  const messages = turns.flatMap((turn) => [
    { role: "user", content: content(turn.question, turn.picture) },
    { role: "assistant", content: turn.text },
  ]);
  return JSON.stringify({
    id,
    ...(system ? { system } : {}),
    messages: [...messages, { role: "user", content: content(question, picture) }],
    ...(maxTokens ? { max_tokens: maxTokens } : {}),
    ...(deadlineSeconds ? { deadline_ms: Math.round(deadlineSeconds * 1000) } : {}),
    ...(documents ? { documents } : {}),
    keep: false,
  });
}
