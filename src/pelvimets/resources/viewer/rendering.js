// Bones and lesions in three dimensions.
import { Niivue, SLICE_TYPE } from "./niivue.js";
import { labelMap } from "./panel.js";

// Whether WebGL is drawn by the processor: slices are quick enough then, renderings are not.
export function drawsInSoftware() {
  const gl = document.createElement("canvas").getContext("webgl2");
  const info = gl?.getExtension("WEBGL_debug_renderer_info");
  const renderer = info ? gl.getParameter(info.UNMASKED_RENDERER_WEBGL) : "";
  gl?.getExtension("WEBGL_lose_context")?.loseContext();
  return /swiftshader|llvmpipe|software|basic render/i.test(renderer);
}

// Bones and lesions as surfaces, turned with the mouse.
export class Rendering {
  constructor(element, events) {
    Object.assign(this, { element, events });
    this.canvas = element.querySelector("canvas");
    this.nv = new Niivue({
      backColor: [0, 0, 0, 1], show3Dcrosshair: true, crosshairColor: [0.42, 0.74, 0.94, 1], crosshairWidth: 1,
      dragAndDropEnabled: false, loadingText: "", logLevel: "error", isAntiAlias: false, sliceType: SLICE_TYPE.RENDER,
      isOrientCube: true, clipPlaneHotKey: "", cycleClipPlaneHotKey: "", viewModeHotKey: "",
    });
    this.nv.meshShaders = [];
    this.nv.keyDownListener = () => {};
    this.nv.keyUpListener = () => {};
    this.nv.onLocationChange = (place) => this.events.moved(this, place.mm);
  }

  async open(bones, boneTable, lesions, lesionTable) {
    await this.nv.attachToCanvas(this.canvas, false);
    this.nv.scene.renderAzimuth = 160;
    this.nv.scene.renderElevation = 8;
    this.nv.scene.volScaleMultiplier = 1.4;
    const base = await labelMap(bones, "bones", boneTable, 1);
    this.lesions = await labelMap(lesions, "lesions", lesionTable, 1);
    this.nv.volumes = [base, this.lesions];
    this.nv.back = base;
    this.nv.overlays = [this.lesions];
    this.nv.updateGLVolume();
    this.opened = true;
  }

  async setLesions(buffer, colours) {
    this.lesions = await labelMap(buffer, "lesions", colours, 1);
    this.nv.overlays = [this.lesions];
    this.nv.volumes = [this.nv.volumes[0], this.lesions];
    this.drawLesions();
  }

  recolour(colours) {
    this.lesions.setColormapLabel(colours);
    this.drawLesions();
  }

  drawLesions() {
    this.nv.refreshLayers(this.lesions, 1);
    this.nv.drawScene();
  }

  // Drawn once the hand rests: a rendering costs more than a slice.
  goTo(mm) {
    if (!this.opened) return;
    clearTimeout(this.waiting);
    this.waiting = setTimeout(() => {
      this.nv.scene.crosshairPos = this.nv.mm2frac(mm, 0, true);
      this.nv.drawScene();
    }, 120);
  }
}
