import { AttentionContext } from "webgpu-attention";
import { openDevice } from "../common/open-device.js";
import { PageFailure } from "../common/page-failure.js";

export interface OpenedSession {
  readonly ctx: AttentionContext;
  readonly adapterName: string;
  /** Resolves when the device is gone; the session is then of no more use. */
  readonly lost: Promise<PageFailure>;
}

/** @throws PageFailure "no-webgpu" or "no-adapter" */
export async function openSession(): Promise<OpenedSession> {
  const { device, adapterName } = await openDevice();
  const lost = device.lost.then(({ message }) => new PageFailure("device-lost", message));
  return { ctx: await AttentionContext.create(device), adapterName, lost };
}
