/** The conversation on the screen: a view for each turn, changed where the turn has changed. */
import { part, setText } from "./elements.js";
import { showSources } from "./sources.js";
import { askingAgain, noteLine, queueLine } from "./turn_text.js";
import { fill } from "./words.js";

const NEAR_PIXELS = 120;

/**
 * @param {{log: HTMLElement, scroll: HTMLElement, template: HTMLTemplateElement}} places
 * @param {{again, copy, speak, rate: (id: string, what: any) => void, source: (source: object, from: HTMLElement) => void}} acts
 * @param {{mayRate: boolean, maySpeak: () => boolean}} options
 */
export function turnsView({ log, scroll, template }, acts, options) {
  const views = new Map();

  function made(turn, words) {
    const view = template.content.firstElementChild.cloneNode(true);
    fill(view, words);
    setText(view.querySelector(".turn-text"), turn.question);
    const picture = { src: turn.picture?.data, alt: words.say("picture"), hidden: false };
    if (turn.picture) Object.assign(view.querySelector(".turn-picture"), picture);
    part("again", view).onclick = () => acts.again(turn.id);
    part("copy", view).onclick = () => acts.copy(turn.id, part("tools-note", view));
    part("speak", view).onclick = () => acts.speak(turn.id, part("speak", view));
    part("rate-good", view).onclick = () => acts.rate(turn.id, "good", part("tools-note", view));
    part("rate-bad", view).onclick = () => acts.rate(turn.id, "bad", part("tools-note", view));
    log.append(view);
    views.set(turn.id, view);
    return view;
  }

  function show({ turns }, boardKey, words, now) {
    const isNear = scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < NEAR_PIXELS;
    const count = views.size;
    for (const [id, view] of views) {
      if (turns.some((turn) => turn.id === id)) continue;
      view.remove();
      views.delete(id);
    }
    turns.forEach((turn) => showTurn(views.get(turn.id) ?? made(turn, words), turn, boardKey, words, now));
    if (turns.length > 0 && (isNear || views.size > count)) scroll.scrollTop = scroll.scrollHeight;
  }

  function showTurn(view, turn, boardKey, words, now) {
    const answer = part("turn-answer", view);
    answer.dataset.state = turn.state;
    grow(part("answer-text", view), turn.text);
    line(part("queue", view), queueLine(turn, now), words);
    const note = noteLine(turn, boardKey, now);
    line(part("answer-note", view), note ? [note] : [], words);
    line(part("answer-shortened", view), turn.isShortened ? [["shortened", null]] : [], words);
    showTools(view, turn, now);
    if (turn.ended?.sources) showSources(part("sources", view), turn.ended.sources, words, acts.source);
  }

  function showTools(view, turn, now) {
    const isEnded = turn.ended !== null;
    part("tools", view).hidden = !isEnded;
    if (!isEnded) return;
    const { isOffered, isFree } = askingAgain(turn, now);
    const hasText = turn.text !== "";
    Object.assign(part("again", view), { hidden: !isOffered, disabled: !isFree });
    part("copy", view).hidden = !hasText;
    part("speak", view).hidden = !hasText || !options.maySpeak();
    for (const name of ["good", "bad"]) {
      const button = part(`rate-${name}`, view);
      button.hidden = !options.mayRate || turn.state !== "done";
      button.setAttribute("aria-pressed", String(turn.rating === name));
    }
  }

  /** Put all words in another language. */
  const translate = (words) => views.forEach((view) => fill(view, words));
  return { show, translate };
}

/** Let an element's text grow without touching what is there, so that a selection stays. */
function grow(target, text) {
  const node = target.firstChild;
  if (node && text.startsWith(node.data)) {
    if (text.length > node.data.length) node.appendData(text.slice(node.data.length));
  } else setText(target, text);
}

function line(target, entries, words) {
  target.hidden = entries.length === 0;
  target.dataset.says = entries[0]?.[0] ?? "";
  setText(target, entries.map(([key, count]) => words.say(key, count === null ? {} : { count })).join(" "));
}
