/** A picture from a file or a camera, made as small as the board needs it. */
import { detailFor, sizeFor } from "./picture_budget.js";

const FILE_BYTES_MAX = 64 * 1024 * 1024;
const QUALITY = 0.85;

/**
 * @param {Blob | HTMLVideoElement} source
 * @returns {Promise<{data: string, detail: string, tokens: number}>} data: a JPEG as a data URL
 * @throws where it is no picture that this browser reads
 */
export async function prepared(source, info, tokensPerSecond) {
  if (source instanceof Blob && source.size > FILE_BYTES_MAX) throw new RangeError("the file is too large");
  const bitmap = await createImageBitmap(source);
  const { detail, crops, tokens } = detailFor(info, tokensPerSecond);
  const { width, height } = sizeFor(bitmap.width, bitmap.height, crops);
  const canvas = document.createElement("canvas");
  Object.assign(canvas, { width, height });
  const context = canvas.getContext("2d");
  context.fillStyle = "white";
  context.fillRect(0, 0, width, height);
  context.drawImage(bitmap, 0, 0, width, height);
  bitmap.close();
  return { data: canvas.toDataURL("image/jpeg", QUALITY), detail, tokens };
}

/** Whether this page may ask for a camera at all; a page that is neither secure nor on loopback may not. */
export const hasCamera = () => Boolean(navigator.mediaDevices?.getUserMedia);

/** Show the camera in a video element. Returns what ends it. @throws where there is none or it may not be used */
export async function openCamera(video) {
  const wanted = { video: { facingMode: "environment", width: { ideal: 1280 } }, audio: false };
  const stream = await navigator.mediaDevices.getUserMedia(wanted);
  video.srcObject = stream;
  await video.play();
  return () => {
    stream.getTracks().forEach((track) => track.stop());
    video.srcObject = null;
  };
}
