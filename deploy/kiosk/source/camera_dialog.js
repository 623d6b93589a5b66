/** The dialog in which a picture is chosen: a file, or what the camera sees. */
import { show } from "./dialogs.js";
import { part, setText } from "./elements.js";
import { hasCamera, openCamera } from "./picture.js";

export class PictureDialog {
  /**
   * @param {boolean} mayUseCamera what the settings say
   * @param {(source: Blob | HTMLVideoElement) => Promise<void>} take makes a picture of it; rejects where it is none
   */
  constructor(root, mayUseCamera, words, take) {
    this.root = root;
    this.words = words;
    this.take = take;
    this.mayUseCamera = mayUseCamera && hasCamera();
    this.dialog = part("picture-dialog", root);
    this.endCamera = () => {};
    this.#wire();
  }

  #wire() {
    const file = part("picture-file", this.root);
    part("picture-choose", this.root).addEventListener("click", () => file.click());
    part("picture-camera", this.root).addEventListener("click", () => this.#startCamera());
    part("picture-take", this.root).addEventListener("click", () => this.#taken(part("camera", this.root)));
    file.addEventListener("change", () => file.files[0] && this.#taken(file.files[0]));
    this.dialog.addEventListener("close", () => this.#stopCamera());
  }

  open() {
    this.#tell(null);
    this.#showCamera(false);
    show(this.dialog);
  }

  async #taken(source) {
    try {
      await this.take(source);
      this.dialog.close();
    } catch {
      show(this.dialog);
      this.#tell("picture_fault");
    }
    part("picture-file", this.root).value = "";
  }

  async #startCamera() {
    this.#tell(null);
    try {
      const end = await openCamera(part("camera", this.root));
      if (!this.dialog.open) return end();
      this.endCamera = end;
      this.#showCamera(true);
      part("picture-take", this.root).focus();
    } catch {
      this.#tell("camera_fault");
    }
  }

  #stopCamera() {
    this.endCamera();
    this.endCamera = () => {};
    this.#showCamera(false);
  }

  #showCamera(isOn) {
    part("camera", this.root).hidden = !isOn;
    part("picture-take", this.root).hidden = !isOn;
    part("picture-camera", this.root).hidden = isOn || !this.mayUseCamera;
  }

  #tell(fault) {
    setText(part("picture-fault", this.root), fault ? this.words().say(fault) : "");
  }
}
