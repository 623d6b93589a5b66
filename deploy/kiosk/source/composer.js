/** Where a question is written: the field, its keys, and a picture beside it. */
import { part, setText } from "./elements.js";
import { show } from "./dialogs.js";
import { hasCamera, openCamera, prepared } from "./picture.js";
import { costSeconds } from "./picture_budget.js";

/**
 * @param {HTMLElement} root
 * @param {{settings: object, words: () => object, board: () => object, speed: () => ?number,
 *   ask: (question: string, picture: ?object) => void, stop: () => void}} kiosk
 */
export function composer(root, kiosk) {
  const field = part("prompt", root);
  const picture = pictureBeside(root, kiosk, () => field.focus());

  function send() {
    const question = field.value.trim() || (picture.chosen() ? kiosk.words().say("picture_question") : "");
    if (!question || part("ask", root).hidden) return;
    kiosk.ask(question, picture.chosen());
    clear();
  }

  function clear() {
    field.value = "";
    picture.clear();
  }

  part("composer", root).addEventListener("submit", (event) => (event.preventDefault(), send()));
  part("stop", root).addEventListener("click", kiosk.stop);
  field.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    send();
  });
  return {
    field,
    send,
    clear,
    /** Show what may be done now. */
    show({ isBusy, seesPictures }) {
      const hadFocus = [part("ask", root), part("stop", root)].includes(document.activeElement);
      part("ask", root).hidden = isBusy;
      part("stop", root).hidden = !isBusy;
      if (hadFocus && document.activeElement === document.body) field.focus();
      part("picture-add", root).hidden = !seesPictures;
      if (!seesPictures) picture.clear();
      picture.show();
    },
  };
}

/** The picture beside the question: chosen in a dialog, previewed, its cost told. */
function pictureBeside(root, kiosk, done) {
  const dialog = part("picture-dialog", root);
  const file = part("picture-file", root);
  const video = part("camera", root);
  let chosen = null;
  let endCamera = () => {};

  function fault(key) {
    setText(part("picture-fault", root), key ? kiosk.words().say(key) : "");
  }

  async function take(source) {
    try {
      chosen = await prepared(source, kiosk.board().info, kiosk.speed());
      dialog.close();
      showChosen();
      done();
    } catch {
      fault("picture_fault");
      show(dialog);
    }
  }

  function showChosen() {
    part("picture", root).hidden = chosen === null;
    if (!chosen) return;
    const image = part("picture-preview", root);
    if (image.src !== chosen.data) image.src = chosen.data;
    image.alt = kiosk.words().say("picture_preview");
    const seconds = costSeconds(chosen.tokens, kiosk.speed());
    setText(part("picture-cost", root), seconds === null ? "" : kiosk.words().say("picture_cost", { count: seconds }));
  }

  function clear() {
    if (!chosen) return;
    chosen = null;
    file.value = "";
    part("picture-preview", root).removeAttribute("src");
    showChosen();
  }

  async function startCamera() {
    fault(null);
    try {
      endCamera = await openCamera(video);
      setCamera(true);
      part("picture-take", root).focus();
    } catch {
      fault("camera_fault");
    }
  }

  function setCamera(isOn) {
    video.hidden = !isOn;
    part("picture-take", root).hidden = !isOn;
    part("picture-camera", root).hidden = isOn || !kiosk.settings.camera || !hasCamera();
  }

  dialog.addEventListener("close", () => (endCamera(), (endCamera = () => {}), setCamera(false)));
  part("picture-add", root).addEventListener("click", () => (fault(null), setCamera(false), show(dialog)));
  part("picture-choose", root).addEventListener("click", () => file.click());
  part("picture-camera", root).addEventListener("click", startCamera);
  part("picture-take", root).addEventListener("click", () => take(video));
  part("picture-remove", root).addEventListener("click", () => (clear(), done()));
  file.addEventListener("change", () => file.files[0] && take(file.files[0]));
  return { chosen: () => chosen, clear, show: showChosen };
}
