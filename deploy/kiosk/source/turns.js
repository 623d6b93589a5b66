/** The conversation on the screen: a view for each turn, changed where the turn has changed. */
import { part, setText } from "./elements.js";
import { showSources } from "./sources.js";
import { askingAgain, noteLine, queueLine } from "./turn_text.js";
import { fill } from "./words.js";

const NEAR_PIXELS = 120;

export class TurnsView {
  /**
   * @param {{log: HTMLElement, scroll: HTMLElement, template: HTMLTemplateElement}} places
   * @param {object} acts what its buttons do: again, copy, speak and rate with a turn's id, source with a source
   * @param {{mayRate: boolean, maySpeak: () => boolean}} options
   */
  constructor(places, acts, options) {
    Object.assign(this, { ...places, acts, options, views: new Map() });
  }

  /** Show a conversation. boardKey: what is said of the board, as a key of the words; now: ms. */
  show({ turns }, boardKey, words, now) {
    const { scroll } = this;
    const isNear = scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < NEAR_PIXELS;
    const count = this.views.size;
    this.#removeAllBut(turns.map(({ id }) => id));
    for (const turn of turns) {
      const view = this.views.get(turn.id) ?? this.#made(turn, words);
      showAnswer(view, turn, boardKey, words, now);
      this.#showTools(view, turn, now);
      if (turn.ended?.sources) showSources(part("sources", view), turn.ended.sources, words, this.acts.source);
    }
    if (turns.length > 0 && (isNear || this.views.size > count)) scroll.scrollTop = scroll.scrollHeight;
  }

  /** Put all words in another language. */
  translate(words) {
    this.views.forEach((view) => fill(view, words));
  }

  #removeAllBut(ids) {
    for (const [id, view] of this.views) {
      if (ids.includes(id)) continue;
      view.remove();
      this.views.delete(id);
    }
  }

  #made({ id, question, picture }, words) {
    const view = this.template.content.firstElementChild.cloneNode(true);
    fill(view, words);
    setText(view.querySelector(".turn-text"), question);
    const shown = { src: picture?.data, alt: words.say("picture"), hidden: false };
    if (picture) Object.assign(view.querySelector(".turn-picture"), shown);
    this.#wire(view, id);
    this.log.append(view);
    this.views.set(id, view);
    return view;
  }

  #wire(view, id) {
    const { acts } = this;
    const note = part("tools-note", view);
    const on = (name, act) => part(name, view).addEventListener("click", act);
    on("again", () => acts.again(id));
    on("copy", () => acts.copy(id, note));
    on("speak", () => acts.speak(id, part("speak", view)));
    on("rate-good", () => acts.rate(id, "good", note));
    on("rate-bad", () => acts.rate(id, "bad", note));
  }

  #showTools(view, turn, now) {
    part("tools", view).hidden = turn.ended === null;
    if (turn.ended === null) return;
    const { isOffered, isFree } = askingAgain(turn, now);
    Object.assign(part("again", view), { hidden: !isOffered, disabled: !isFree });
    part("copy", view).hidden = turn.text === "";
    part("speak", view).hidden = turn.text === "" || !this.options.maySpeak();
    for (const rating of ["good", "bad"]) {
      const button = part(`rate-${rating}`, view);
      button.hidden = !this.options.mayRate || turn.state !== "done";
      button.setAttribute("aria-pressed", String(turn.rating === rating));
    }
  }
}

function showAnswer(view, turn, boardKey, words, now) {
  part("turn-answer", view).dataset.state = turn.state;
  const note = noteLine(turn, boardKey, now);
  grow(part("answer-text", view), turn.text);
  line(part("queue", view), queueLine(turn, now), words);
  line(part("answer-note", view), note ? [note] : [], words);
  line(part("answer-shortened", view), turn.isShortened ? [["shortened", null]] : [], words);
}

/** Let an element's text grow without touching what is there, so that a selection stays. */
function grow(target, text) {
  const node = target.firstChild;
  if (!node || !text.startsWith(node.data)) setText(target, text);
  else if (text.length > node.data.length) node.appendData(text.slice(node.data.length));
}

function line(target, entries, words) {
  target.hidden = entries.length === 0;
  target.dataset.says = entries[0]?.[0] ?? "";
  setText(target, entries.map(([key, count]) => words.say(key, count === null ? {} : { count })).join(" "));
}
